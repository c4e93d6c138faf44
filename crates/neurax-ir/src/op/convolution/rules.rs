//! Transposes and batching rules: convolutions of rearranged operands.

use super::*;
use crate::op::Reverse;

/// The feature counts of a convolution: each of `groups` groups computes `results` features from
/// `features`.
#[derive(Clone, Copy)]
struct Features {
    groups: usize,
    features: usize,
    results: usize,
}

impl Convolution {
    fn features(&self, w: &Type) -> Features {
        Features {
            groups: self.groups,
            features: w.shape[1],
            results: w.shape[0] / self.groups.max(1),
        }
    }

    /// Emits the cotangent of the operand: the cotangent of the result convolved with the reversed
    /// kernel, whose feature axes are exchanged.
    pub fn operand_cotangent(&self, b: &mut Builder, at: &Bound, ct: Value) -> Value {
        let (x, w) = (b.ty(at.xs[0]).clone(), b.ty(at.xs[1]).clone());
        if [&x, &w, b.ty(ct)].iter().any(|t| t.size() == 0) {
            return b.zeros(x);
        }
        let f = self.features(&w);
        let kernel = b.convert(at.xs[1], self.dtype);
        let kernel = split(b, kernel, 0, &[f.groups, f.results]);
        let kernel = b.move_axis(kernel, 2, 1);
        let kernel = merge(b, kernel, 0);
        let taps: Vec<usize> = (2..w.rank()).filter(|&i| w.shape[i] > 1).collect();
        let kernel =
            if taps.is_empty() { kernel } else { b.emit(Reverse { axes: taps }, &[kernel]) };
        let counts = b.ty(ct).shape.clone();
        let slide =
            |(i, s): (usize, &Slide)| s.transposed(x.shape[i + 2], w.shape[i + 2], counts[i + 2]);
        let op = Convolution {
            slides: self.slides.iter().enumerate().map(slide).collect(),
            ..self.clone()
        };
        let y = b.emit(op, &[ct, kernel]);
        b.convert(y, x.dtype)
    }

    /// Emits the cotangent of the kernel: the operand convolved with the cotangent of the result,
    /// with the batch as the features.
    pub fn kernel_cotangent(&self, b: &mut Builder, at: &Bound, ct: Value) -> Value {
        let (x, w) = (b.ty(at.xs[0]).clone(), b.ty(at.xs[1]).clone());
        if [&x, &w, b.ty(ct)].iter().any(|t| t.size() == 0) {
            return b.zeros(w);
        }
        let f = self.features(&w);
        let operand = b.convert(at.xs[0], self.dtype);
        // From [batch, groups, features ..] to [features, groups, batch ..].
        let operand = split(b, operand, 1, &[f.groups, f.features]);
        let order: Vec<usize> = [2, 1, 0].into_iter().chain(3..x.rank() + 1).collect();
        let operand = b.transpose(operand, &order);
        let operand = merge(b, operand, 1);
        let counts = b.ty(ct).shape.clone();
        let slide =
            |(i, s): (usize, &Slide)| s.over_taps(x.shape[i + 2], w.shape[i + 2], counts[i + 2]);
        let op = Convolution {
            slides: self.slides.iter().enumerate().map(slide).collect(),
            ..self.clone()
        };
        let ct = b.move_axis(ct, 0, 1);
        let y = b.emit(op, &[operand, ct]);
        let y = b.move_axis(y, 0, 1);
        b.convert(y, w.dtype)
    }

    /// Batches the operand only: the new axis is merged into the batch axis.
    pub fn batch_operand(&self, b: &mut Builder, xs: &[Value], d: usize) -> Batched {
        let x = b.move_axis(xs[0], d, 0);
        let sizes = [b.ty(x).shape[0], b.ty(x).shape[1]];
        let x = merge(b, x, 0);
        let y = b.emit(self.clone(), &[x, xs[1]]);
        at_axis(split(b, y, 0, &sizes), 0)
    }

    /// Batches the kernel only: the new axis is merged into the result features of each group.
    pub fn batch_kernel(&self, b: &mut Builder, xs: &[Value], d: usize) -> Batched {
        let w = b.move_axis(xs[1], d, 0);
        let (count, results) = (b.ty(w).shape[0], b.ty(w).shape[1] / self.groups);
        let w = split(b, w, 1, &[self.groups, results]);
        let w = b.move_axis(w, 0, 1);
        let w = merge(b, w, 0);
        let w = merge(b, w, 0);
        let y = b.emit(self.clone(), &[xs[0], w]);
        let y = split(b, y, 1, &[self.groups, count, results]);
        let y = b.move_axis(y, 2, 1);
        at_axis(merge(b, y, 2), 1)
    }

    /// Batches operand and kernel: the new axis is merged into the groups.
    pub fn batch_both(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        x_dim: usize,
        w_dim: usize,
    ) -> Batched {
        let (x, w) = (b.move_axis(xs[0], x_dim, 1), b.move_axis(xs[1], w_dim, 0));
        if axis.size == 0 {
            return self.batch_of_size_zero(b, x, w);
        }
        let results = b.ty(w).shape[1];
        let (x, w) = (merge(b, x, 1), merge(b, w, 0));
        let y = b.emit(Convolution { groups: self.groups * axis.size, ..self.clone() }, &[x, w]);
        at_axis(split(b, y, 1, &[axis.size, results]), 1)
    }

    /// Emits the empty result of a new axis of size zero, as there cannot be zero groups.
    fn batch_of_size_zero(&self, b: &mut Builder, x: Value, w: Value) -> Batched {
        let one = |t: &Type, axis: usize| t.with_shape(t.shape.removed(axis));
        let y = match self.infer(&[one(b.ty(x), 1), one(b.ty(w), 0)]) {
            Ok(ys) => b.zeros(ys[0].with_shape(ys[0].shape.inserted(1, 0))),
            Err(e) => {
                b.fail(e);
                x
            }
        };
        at_axis(y, 1)
    }
}

fn at_axis(y: Value, d: usize) -> Batched {
    ([y].as_slice().into(), vec![Some(d)])
}

/// Splits axis `d` into axes of `sizes`.
fn split(b: &mut Builder, x: Value, d: usize, sizes: &[usize]) -> Value {
    let shape = &b.ty(x).shape;
    let shape = [&shape[..d], sizes, &shape[d + 1..]].concat();
    b.reshape(x, shape)
}

/// Merges axes `d` and `d + 1`.
fn merge(b: &mut Builder, x: Value, d: usize) -> Value {
    let shape = &b.ty(x).shape;
    let shape = [&shape[..d], &[shape[d] * shape[d + 1]], &shape[d + 2..]].concat();
    b.reshape(x, shape)
}
