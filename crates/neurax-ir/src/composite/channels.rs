//! The axes of batch normalization.

use super::rules::*;
use crate::op::rules::*;
use crate::{Builder, DType, FloatAttr, Result, Shape, Type, Value};

/// The axis of the channels of an operand `x`, the leading axes that are kept apart, and epsilon.
/// A vector has an element for each channel: its shape is that of these axes, `[batch ..,
/// channels]`.
pub(super) struct Channels {
    pub name: &'static str,
    pub axis: usize,
    pub batch: usize,
    pub epsilon: FloatAttr,
}

/// The operand, normalized with a mean and a variance of each channel.
pub(super) struct NormalChannels {
    /// The deviations from the mean, divided by the deviation of the channel.
    pub x: Value,
    /// The factor `1 / sqrt(var + epsilon)`, a vector.
    pub factor: Value,
}

impl Channels {
    /// Returns the type of a mean or a variance. `xs` are the operand and the vectors, whose names
    /// are `vectors`.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn infer(&self, xs: &[Type], vectors: &[&str]) -> Result<Type> {
        arity(self.name, xs, 1 + vectors.len())?;
        check_epsilon(self.name, self.epsilon)?;
        let x = float_with_axis(self.name, &xs[..1], self.axis)?;
        if self.axis < self.batch {
            let why = format!(
                "expected the axis of the channels behind {} batch axes, got axis {}",
                self.batch, self.axis
            );
            return refuse(self.name, why);
        }
        let shape = self.vector_shape(&x.shape);
        for (name, w) in vectors.iter().zip(&xs[1..]) {
            if !is_weight_of(w, x) || w.shape != shape {
                let want = Type::new(x.dtype, &shape);
                return refuse(self.name, format!("expected a {name} {want} for {x}, got {w}"));
            }
        }
        Ok(Type::new(x.dtype.at_least_f32(), &shape))
    }

    /// Returns the shape of the vectors of an operand of `shape`.
    fn vector_shape(&self, shape: &Shape) -> Shape {
        (0..self.batch).chain([self.axis]).map(|a| shape[a]).collect()
    }

    /// Returns the axes over which a mean is taken, of an operand of `rank` axes.
    fn others(&self, rank: usize) -> Vec<usize> {
        (self.batch..rank).filter(|&a| a != self.axis).collect()
    }

    /// Emits the vector `w`, broadcast to the shape of `x`.
    pub fn along(&self, b: &mut Builder, w: Value, x: Value) -> Value {
        let shape = b.ty(x).shape.clone();
        let axes = self.others(shape.rank());
        b.unreduce(w, shape, &axes)
    }

    /// Emits the sum of each channel, a vector.
    pub fn sum(&self, b: &mut Builder, x: Value) -> Value {
        let axes = self.others(b.ty(x).rank());
        b.sum(x, &axes)
    }

    /// Emits the mean of each channel, a vector.
    pub fn mean(&self, b: &mut Builder, x: Value) -> Value {
        let axes = self.others(b.ty(x).rank());
        mean(b, x, &axes)
    }

    /// Emits the deviations from the vector `mean`.
    pub fn deviations(&self, b: &mut Builder, x: Value, mean: Value) -> Value {
        let mean = self.along(b, mean, x);
        b.sub(x, mean)
    }

    /// Emits the operand, normalized.
    pub fn normalize(
        &self,
        b: &mut Builder,
        x: Value,
        mean: Value,
        variance: Value,
    ) -> NormalChannels {
        let factor = inverse_root(b, variance, self.epsilon);
        let along = self.along(b, factor, x);
        let deviations = self.deviations(b, x, mean);
        NormalChannels { x: b.mul(deviations, along), factor }
    }

    /// Emits `(x - mean) / sqrt(variance + epsilon) * scale + bias`.
    pub fn result(
        &self,
        b: &mut Builder,
        x: Value,
        [scale, bias]: [Value; 2],
        [mean, variance]: [Value; 2],
    ) -> Value {
        let factor = inverse_root(b, variance, self.epsilon);
        let factor = b.mul(factor, scale);
        let factor = self.along(b, factor, x);
        let deviations = self.deviations(b, x, mean);
        let scaled = b.mul(deviations, factor);
        let bias = self.along(b, bias, x);
        b.add(scaled, bias)
    }
}

/// A shape, an axis of channels and a number of batch axes of sample rows.
pub(super) const CHANNEL_ROWS: &[(&[usize], usize, usize)] = &[
    (&[4, 2], 1, 0),
    (&[2, 2, 3], 1, 0),
    (&[2, 3], 0, 0),
    (&[2, 3, 2], 2, 1),
    (&[3], 0, 0),
    (&[2, 0], 1, 0),
    (&[0, 2], 1, 0),
];

/// Returns the types of the operand and of `vectors` vectors of `dtype`.
pub(super) fn channel_types(
    dtype: DType,
    &(shape, axis, batch): &(&[usize], usize, usize),
    vectors: usize,
) -> Vec<Type> {
    let vector: Vec<usize> = (0..batch).chain([axis]).map(|a| shape[a]).collect();
    let vectors = std::iter::repeat_n(Type::new(dtype, vector), vectors);
    [Type::new(dtype, shape)].into_iter().chain(vectors).collect()
}
