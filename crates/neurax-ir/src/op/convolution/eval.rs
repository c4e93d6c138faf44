//! Evaluation of convolutions: one matrix product for each member of the batch and each group.
//!
//! The operand is read through offsets, an implicit im2col: a window is a row of the left matrix, a
//! tap and feature one of its columns. Padding and dilation are first written into a copy of the
//! operand, so that the offsets are sums of a window's and a tap's.

use super::Convolution;
use crate::op::dot::kernel::{OperandOffsets, product};
use crate::op::{Slide, rules::grid};
use crate::{Literal, Shape, Type, with_compute};

/// Returns the convolution, of type `ty`, of operands that `infer` admitted.
pub fn convolve(op: &Convolution, x: &Literal, w: &Literal, ty: Type) -> Literal {
    if ty.size() == 0 || w.ty().size() == 0 {
        return Literal::zeros(ty);
    }
    let axis = |i: usize| {
        AxisLayout::new(&op.slides[i], x.shape()[i + 2], w.shape()[i + 2], ty.shape[i + 2])
    };
    let axes: Vec<AxisLayout> = (0..op.slides.len()).map(axis).collect();
    let x = axes.iter().enumerate().fold(x.clone(), |x, (i, axis)| axis.lay_out(x, i + 2));
    let (sx, sw) = (x.shape().strides(), w.shape().strides());
    let space = |of: fn(&AxisLayout) -> (usize, usize)| {
        axes.iter().enumerate().map(|(i, a)| (of(a).0, of(a).1 * sx[i + 2])).collect::<Vec<_>>()
    };
    let (features, results) = (w.shape()[1], w.shape()[0] / op.groups);
    // One product for each member of the batch and each group: the windows are the free axes of the
    // operand, the features and taps are contracted.
    let members = [(x.shape()[0], sx[0]), (op.groups, features * sx[1])];
    let of_x = OperandOffsets::at(
        grid(members),
        grid(space(|a| (a.windows, a.stride))),
        grid([(features, sx[1])].into_iter().chain(space(|a| (a.taps, a.dilation)))),
    );
    let of_w = OperandOffsets::at(
        grid([(x.shape()[0], 0), (op.groups, results * sw[0])]),
        grid([(results, sw[0])]),
        (0..sw[0]).collect(),
    );
    product(ty, w, &of_w, &x, &of_x)
}

/// The layout of a space axis of the operand: tap `k` of window `p` is element
/// `p * stride + k * dilation`.
struct AxisLayout {
    windows: usize,
    taps: usize,
    stride: usize,
    dilation: usize,
    /// For each position of the new axis the index of its element, `None` for a zero of the
    /// padding. `None` if the axis stays as it is.
    elements: Option<Vec<Option<usize>>>,
}

impl AxisLayout {
    fn new(s: &Slide, n: usize, taps: usize, windows: usize) -> AxisLayout {
        let positions = s.padded_len(n);
        if taps.saturating_mul(windows) < positions {
            // All taps of all windows are fewer than the positions of the padded axis: im2col.
            let element =
                |i: usize| s.element(i % windows * s.stride + i / windows * s.window_dilation, n);
            let elements = Some((0..taps * windows).map(element).collect());
            return AxisLayout { windows, taps, stride: 1, dilation: windows, elements };
        }
        let changed = s.low != 0 || s.base_dilation != 1 || positions > n;
        let elements = changed.then(|| (0..positions).map(|i| s.element(i, n)).collect());
        AxisLayout { windows, taps, stride: s.stride, dilation: s.window_dilation, elements }
    }

    /// Copies `x` to this layout along `axis`.
    fn lay_out(&self, x: Literal, axis: usize) -> Literal {
        let Some(elements) = &self.elements else { return x };
        let mut shape: Shape = x.shape().clone();
        let n = std::mem::replace(&mut shape[axis], elements.len());
        let inner: usize = shape[axis + 1..].iter().product();
        let ty = x.ty().with_shape(shape);
        if n * inner == 0 {
            return Literal::zeros(ty);
        }
        with_compute!(any ty.dtype, C => {
            let from = x.load::<C>();
            Literal::build(ty, |out: &mut [C]| {
                let outer = out.chunks_exact_mut(elements.len() * inner);
                for (out, from) in outer.zip(from.chunks_exact(n * inner)) {
                    for (out, i) in out.chunks_exact_mut(inner).zip(elements) {
                        i.iter().for_each(|&i| out.copy_from_slice(&from[i * inner..][..inner]));
                    }
                }
            })
        })
    }
}
