//! The value of a convolution: a product of matrices for each member of the batch and each group.

use super::Convolution;
use crate::op::dot::kernel::{Side, product};
use crate::op::{Slide, rules::grid};
use crate::{Literal, Shape, Type, with_compute};

/// The result, of type `ty`, of operands that `infer` admitted.
pub fn convolve(op: &Convolution, x: &Literal, w: &Literal, ty: Type) -> Literal {
    if ty.size() == 0 || w.ty().size() == 0 {
        return Literal::zeros(ty);
    }
    let axes: Vec<Layout> = (0..op.slides.len())
        .map(|i| Layout::new(&op.slides[i], x.shape()[i + 2], w.shape()[i + 2], ty.shape[i + 2]))
        .collect();
    let x = axes.iter().enumerate().fold(x.clone(), |x, (i, axis)| axis.lay_out(x, i + 2));
    let (sx, sw) = (x.shape().strides(), w.shape().strides());
    let space = |of: fn(&Layout) -> (usize, usize)| {
        axes.iter().enumerate().map(|(i, a)| (of(a).0, of(a).1 * sx[i + 2])).collect::<Vec<_>>()
    };
    let (features, results) = (w.shape()[1], w.shape()[0] / op.groups);
    // One product for each member of the batch and each group; the windows are the free axis of the
    // operand.
    let members = [(x.shape()[0], sx[0]), (op.groups, features * sx[1])];
    let of_x = Side::at(
        grid(members),
        grid(space(|a| (a.windows, a.stride))),
        grid([(features, sx[1])].into_iter().chain(space(|a| (a.taps, a.dilation)))),
    );
    let of_w = Side::at(
        grid([(x.shape()[0], 0), (op.groups, results * sw[0])]),
        grid([(results, sw[0])]),
        (0..sw[0]).collect(),
    );
    product(ty, w, &of_w, &x, &of_x)
}

/// How an axis of the operand is laid out, so that tap `k` of window `p` is at `p * stride + k *
/// dilation`.
struct Layout {
    windows: usize,
    taps: usize,
    stride: usize,
    dilation: usize,
    /// The element on each place of the new axis, `None` where zero is added; `None` if the axis
    /// stays as it is.
    elements: Option<Vec<Option<usize>>>,
}

impl Layout {
    fn new(s: &Slide, n: usize, taps: usize, windows: usize) -> Layout {
        let places = s.places(n);
        if taps.saturating_mul(windows) < places {
            // Fewer taps under windows than places: the taps one by one.
            let element =
                |i: usize| s.element(i % windows * s.stride + i / windows * s.window_dilation, n);
            let elements = Some((0..taps * windows).map(element).collect());
            return Layout { windows, taps, stride: 1, dilation: windows, elements };
        }
        let changed = s.low != 0 || s.base_dilation != 1 || places > n;
        let elements = changed.then(|| (0..places).map(|i| s.element(i, n)).collect());
        Layout { windows, taps, stride: s.stride, dilation: s.window_dilation, elements }
    }

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
                for (out, from) in out.chunks_exact_mut(elements.len() * inner).zip(from.chunks_exact(n * inner)) {
                    for (out, i) in out.chunks_exact_mut(inner).zip(elements) {
                        i.iter().for_each(|&i| out.copy_from_slice(&from[i * inner..][..inner]));
                    }
                }
            })
        })
    }
}
