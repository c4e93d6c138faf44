//! Batch normalization with given statistics.

use super::channels::{CHANNEL_ROWS, Channels, channel_types};
use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Sample, Tangent, rules::*};
use crate::{Builder, DType, FloatAttr, Result, Type, Value, Values};

attrs! {
    /// `(x - mean) / sqrt(var + epsilon) * scale + bias` for each channel; operands
    /// `(x, scale, bias, mean, var)`. <https://openxla.org/stablehlo/spec#batch_norm_inference>.
    ///
    /// Scale, bias, mean and variance are `[batch .., channels]`, each of the dtype of the operand
    /// or, if that is narrower, f32.
    pub struct BatchNormInference = "batch_norm_inference" {
        /// The axis of the channels.
        axis: usize,
        /// The number of leading axes whose elements each have separate statistics, scales and
        /// biases. 0 in StableHLO.
        batch: usize,
        /// The constant that is added to the variance. In computation, it is at least the smallest
        /// normal number.
        epsilon: FloatAttr,
    }
}

impl BatchNormInference {
    /// Returns the axis of the channels.
    pub(crate) fn channel_axis(&self) -> usize {
        self.axis
    }

    /// Returns true if no leading axes have statistics of their elements.
    pub(crate) fn has_one_batch(&self) -> bool {
        self.batch == 0
    }

    /// Emits the vectors `factor` and `shift` with `x * factor + shift` as the result for the
    /// operand `x + added`, and for scale, bias, mean and variance.
    pub(crate) fn factor_and_shift(
        &self,
        b: &mut Builder,
        parameters: &[Value],
        added: Option<Value>,
    ) -> [Value; 2] {
        let factor = inverse_root(b, parameters[3], self.epsilon);
        let factor = b.mul(factor, parameters[0]);
        // The mean usually contains what is added: their difference first loses no digits.
        let offset = match added {
            Some(added) => b.sub(added, parameters[2]),
            None => b.neg(parameters[2]),
        };
        let offset = b.mul(offset, factor);
        [factor, b.add(offset, parameters[1])]
    }

    fn channels(&self) -> Channels {
        let BatchNormInference { axis, batch, epsilon } = *self;
        Channels { name: Self::NAME, axis, batch, epsilon }
    }
}

/// The values that the derivatives by the operands read: `z = (x - mean) r` and `f = scale r`.
struct Slopes<'c> {
    channels: &'c Channels,
    z: Value,
    /// The factor `r = 1 / sqrt(var + epsilon)`, a vector.
    r: Value,
    /// The vector `f`.
    f: Value,
}

impl Slopes<'_> {
    fn of<'c>(b: &mut Builder, channels: &'c Channels, kept: &[Value]) -> Slopes<'c> {
        let z = channels.normalize(b, kept[0], kept[2], kept[3]);
        Slopes { channels, z: z.x, r: z.factor, f: b.mul(z.factor, kept[1]) }
    }

    /// Emits the factor of a tangent of operand `i`, a vector but for `x`, in that of the result
    /// without `z`; `None` if it is 1. `z` is a factor of the tangents of scale and variance.
    fn factor(&self, b: &mut Builder, i: usize) -> Option<Value> {
        match i {
            0 => Some(self.f),
            3 => Some(b.neg(self.f)),
            4 => {
                let fr = b.mul(self.f, self.r);
                Some(b.mul_scalar(fr, -0.5))
            }
            // other: scale and bias.
            _ => None,
        }
    }

    /// Emits the summand of the tangent of the result that comes from the tangent `dx` of operand
    /// `i`.
    fn term(&self, b: &mut Builder, i: usize, dx: Value) -> Value {
        let factor = self.factor(b, i);
        if let (0, Some(f)) = (i, factor) {
            let f = self.channels.along(b, f, dx);
            return b.mul(f, dx);
        }
        let dx = factor.map_or(dx, |f| b.mul(f, dx));
        let dx = self.channels.along(b, dx, self.z);
        if reads_z(i) { b.mul(self.z, dx) } else { dx }
    }

    /// Emits the cotangent of operand `i`.
    fn cotangent(&self, b: &mut Builder, i: usize, ct: Value) -> Value {
        let factor = self.factor(b, i);
        if let (0, Some(f)) = (i, factor) {
            let f = self.channels.along(b, f, ct);
            return b.mul(f, ct);
        }
        let each = if reads_z(i) { b.mul(self.z, ct) } else { ct };
        let total = self.channels.sum(b, each);
        factor.map_or(total, |f| b.mul(f, total))
    }
}

/// Returns true if `z` is a factor of the derivative by operand `i`.
fn reads_z(i: usize) -> bool {
    [1, 4].contains(&i)
}

impl Named for BatchNormInference {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.channels().infer(xs, &["scale", "bias", "mean", "variance"])?;
        Ok(vec![xs[0].clone()])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let y = self.channels().result(b, xs[0], [xs[1], xs[2]], [xs[3], xs[4]]);
        Values::from_slice(&[y])
    }

    /// Emits the tangent in closed form. The residuals are the operands but the bias.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let c = self.channels();
        let active: Vec<usize> = (0..dxs.len()).filter(|&i| dxs[i].is_some()).collect();
        let forward: LinearMap = &|b, kept, dxs| {
            let slopes = Slopes::of(b, &c, kept);
            let mut total = None;
            for (&i, &dx) in active.iter().zip(dxs) {
                let term = slopes.term(b, i, dx);
                total = b.add_tangents(total, Some(term));
            }
            total.into_iter().collect()
        };
        let backward: LinearMap = &|b, kept, cts| {
            let slopes = Slopes::of(b, &c, kept);
            active.iter().map(|&i| slopes.cotangent(b, i, cts[0])).collect()
        };
        let kept = [at.xs[0], at.xs[1], at.xs[3], at.xs[4]];
        Some(linear(b, Self::NAME, at, &kept, dxs, forward, backward))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        let BatchNormInference { axis, batch, epsilon } = *self;
        Some(BatchNormInference { axis: axis + 1, batch: batch + 1, epsilon }.into())
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, row: &(&[usize], usize, usize)| {
            let op = BatchNormInference { axis: row.1, batch: row.2, epsilon: 0.1.into() };
            let operand = |(i, t): (usize, Type)| {
                let (low, high) = if i == 4 { (0.5, 2.0) } else { (-2.0, 1.5) };
                sample(t, low, high)
            };
            Sample {
                op: op.into(),
                inputs: channel_types(d, row, 4).into_iter().enumerate().map(operand).collect(),
                smooth: d == DType::F64,
            }
        };
        let floats = DType::ALL.into_iter().filter(|d| d.is_float());
        floats.flat_map(|d| CHANNEL_ROWS.iter().map(move |r| row(d, r))).collect()
    }
}
