//! Batch normalization with the statistics of the batch.

use super::channels::{CHANNEL_ROWS, Channels, NormalChannels, channel_types};
use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Sample, Tangent, rules::*};
use crate::{Builder, DType, FloatAttr, Result, Type, Value, Values};

attrs! {
    /// `(x - mean) / sqrt(var + epsilon) * scale + bias` with the mean and the variance of each
    /// channel; operands `(x, scale, bias)`. The results are the normalized operand, the mean and
    /// the variance (divided by the number of elements; 0 of no elements). Ioffe and Szegedy, Batch
    /// Normalization (<https://arxiv.org/abs/1502.03167>);
    /// <https://openxla.org/stablehlo/spec#batch_norm_training>.
    ///
    /// Scale, bias, mean and variance are `[batch .., channels]`. Scale and bias have the dtype of
    /// the operand or, if that is narrower, f32; mean and variance are of at least 32 bits.
    pub struct BatchNormTraining = "batch_norm_training" {
        /// The axis of the channels.
        axis: usize,
        /// The number of leading axes over which no mean is taken: their elements each have
        /// separate statistics, scales and biases. 0 in StableHLO.
        batch: usize,
        /// The constant that is added to the variance. In computation, it is at least the smallest
        /// normal number, so that a constant channel is not divided by 0.
        epsilon: FloatAttr,
    }
}

impl BatchNormTraining {
    fn channels(&self) -> Channels {
        let BatchNormTraining { axis, batch, epsilon } = *self;
        Channels { name: Self::NAME, axis, batch, epsilon }
    }

    /// Emits the tangent of the normalized operand.
    ///
    /// With `z = (x - mean) r`, the cotangent of `x` is `scale r (c - mean(c) - z mean(z c))` for
    /// the cotangent `c` of the result. The same map, applied to `dx`, is the tangent.
    fn derivative_of_result(
        &self,
        b: &mut Builder,
        at: &Bound,
        dxs: &[Tangent],
    ) -> Result<Vec<Tangent>> {
        let c = self.channels();
        let active: Vec<usize> = (0..dxs.len()).filter(|&i| dxs[i].is_some()).collect();
        let forward: LinearMap = &|b, kept, dxs| {
            let z = c.normalize(b, kept[0], kept[2], kept[3]);
            let mut total = None;
            for (&i, &dx) in active.iter().zip(dxs) {
                let term = match i {
                    0 => slope(b, &c, &z, kept[1], dx),
                    1 => {
                        let dx = c.along(b, dx, z.x);
                        b.mul(z.x, dx)
                    }
                    // other: the bias.
                    _ => c.along(b, dx, z.x),
                };
                total = b.add_tangents(total, Some(term));
            }
            total.into_iter().collect()
        };
        let backward: LinearMap = &|b, kept, cts| {
            let z = c.normalize(b, kept[0], kept[2], kept[3]);
            let cotangent = |&i: &usize| match i {
                0 => slope(b, &c, &z, kept[1], cts[0]),
                1 => {
                    let product = b.mul(z.x, cts[0]);
                    c.sum(b, product)
                }
                // other: the bias.
                _ => c.sum(b, cts[0]),
            };
            active.iter().map(cotangent).collect()
        };
        let kept = [at.xs[0], at.xs[1], at.ys[1], at.ys[2]];
        linear(b, Self::NAME, &Bound { xs: at.xs, ys: &at.ys[..1] }, &kept, dxs, forward, backward)
    }

    /// Emits the tangents of mean and variance, `mean(dx)` and `2 mean((x - mean) dx)`. They are
    /// a separate equation, as most gradients do not need them.
    fn derivative_of_statistics(
        &self,
        b: &mut Builder,
        at: &Bound,
        dx: Tangent,
    ) -> Result<Vec<Tangent>> {
        if dx.is_none() {
            return Ok(vec![None; 2]);
        }
        let c = self.channels();
        let count = b.ty(at.xs[0]).size() / b.ty(at.ys[1]).size().max(1);
        let share = 1.0 / count.max(1) as f64;
        let forward: LinearMap = &|b, kept, dx| {
            let deviations = c.deviations(b, kept[0], kept[1]);
            let product = b.mul(deviations, dx[0]);
            let (of_mean, of_variance) = (c.sum(b, dx[0]), c.sum(b, product));
            vec![b.mul_scalar(of_mean, share), b.mul_scalar(of_variance, 2.0 * share)]
        };
        let backward: LinearMap = &|b, kept, cts| {
            let deviations = c.deviations(b, kept[0], kept[1]);
            let of_mean = b.mul_scalar(cts[0], share);
            let of_mean = c.along(b, of_mean, kept[0]);
            let of_variance = b.mul_scalar(cts[1], 2.0 * share);
            let of_variance = c.along(b, of_variance, kept[0]);
            let product = b.mul(deviations, of_variance);
            vec![b.add(of_mean, product)]
        };
        let kept = [at.xs[0], at.ys[1]];
        linear(
            b,
            Self::NAME,
            &Bound { xs: at.xs, ys: &at.ys[1..] },
            &kept,
            &[dx],
            forward,
            backward,
        )
    }
}

/// Emits `scale r (d - mean(d) - z mean(z d))`.
fn slope(b: &mut Builder, c: &Channels, z: &NormalChannels, scale: Value, d: Value) -> Value {
    let product = b.mul(z.x, d);
    let along = c.mean(b, product);
    let along = c.along(b, along, d);
    let along = b.mul(z.x, along);
    let mean = c.mean(b, d);
    let rest = c.deviations(b, d, mean);
    let rest = b.sub(rest, along);
    let factor = b.mul(z.factor, scale);
    let factor = c.along(b, factor, d);
    b.mul(factor, rest)
}

impl Named for BatchNormTraining {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let statistics = self.channels().infer(xs, &["scale", "bias"])?;
        Ok(vec![xs[0].clone(), statistics.clone(), statistics])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let c = self.channels();
        let mean = c.mean(b, xs[0]);
        let deviations = c.deviations(b, xs[0], mean);
        let square = b.square(deviations);
        let variance = c.mean(b, square);
        let y = c.result(b, xs[0], [xs[1], xs[2]], [mean, variance]);
        Values::from_slice(&[y, mean, variance])
    }

    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let mut all = || {
            let mut tangents = self.derivative_of_result(b, at, dxs)?;
            tangents.extend(self.derivative_of_statistics(b, at, dxs[0])?);
            Ok(tangents)
        };
        Some(all())
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        let BatchNormTraining { axis, batch, epsilon } = *self;
        Some(BatchNormTraining { axis: axis + 1, batch: batch + 1, epsilon }.into())
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, row: &(&[usize], usize, usize)| {
            let op = BatchNormTraining { axis: row.1, batch: row.2, epsilon: 0.1.into() };
            Sample {
                op: op.into(),
                inputs: channel_types(d, row, 2)
                    .into_iter()
                    .map(|t| sample(t, -2.0, 1.5))
                    .collect(),
                smooth: d == DType::F64,
            }
        };
        let floats = DType::ALL.into_iter().filter(|d| d.is_float());
        floats.flat_map(|d| CHANNEL_ROWS.iter().map(move |r| row(d, r))).collect()
    }
}
