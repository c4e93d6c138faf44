//! Normalization.

use super::common::tensor_or_error;
use crate::{Tensor, dispatch::dispatch, tensor::CallSite};
use neurax_ir::composite::{LayerNormalization, RmsNormalization};
use std::panic::Location;

impl Tensor {
    /// Computes layer normalization over the last axis, of size `n`: `(x - mean) / sqrt(var +
    /// epsilon)`, times `scale`, plus `bias`, both `[n]`.
    ///
    /// Integers and bool are converted to f32; floats below 32 bits are computed in f32 and rounded
    /// once. An epsilon below the smallest normal number is raised to it, so that a constant row is
    /// not divided by 0. The gradient is computed in closed form from `x`, mean and deviation of
    /// each row. Follows `torch.nn.functional.layer_norm`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers and scalars, for weights of other shapes,
    /// and if epsilon is negative or NaN.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 3.0], [10.0, 30.0]]);
    /// assert_eq!(x.layer_norm(None, None, 0.0).to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
    /// let (scale, bias) = (tensor([2.0, 4.0]), tensor([0.0, 1.0]));
    /// let y = x.layer_norm(Some(&scale), Some(&bias), 0.0);
    /// assert_eq!(y.to_vec::<f32>()?, [-2.0, 5.0, -2.0, 5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn layer_norm(
        &self,
        scale: Option<&Tensor>,
        bias: Option<&Tensor>,
        epsilon: f64,
    ) -> Tensor {
        let at = Location::caller();
        let (epsilon, with) = (epsilon.into(), [scale.is_some(), bias.is_some()]);
        let op = LayerNormalization { epsilon, scale: with[0], bias: with[1] };
        let weights: Vec<&Tensor> = [scale, bias].into_iter().flatten().collect();
        let operands = self.with_weights(LayerNormalization::NAME, &weights, at);
        tensor_or_error(operands.map(|xs| dispatch(op, xs, at)))
    }

    /// Computes root mean square normalization over the last axis, of size `n`:
    /// `x / sqrt(mean(x²) + epsilon)`, times `scale`, which is `[n]`.
    ///
    /// Integers and bool are converted to f32; floats below 32 bits are computed in f32 and rounded
    /// once. An epsilon below the smallest normal number is raised to it, so that a row of zeros is
    /// not divided by 0. The gradient is computed in closed form. Follows
    /// `torch.nn.functional.rms_norm`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers and scalars, for a scale of another shape,
    /// and if epsilon is negative or NaN.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([3.0, 4.0, 0.0, 0.0]);
    /// assert_eq!(x.rms_norm(None, 0.0).to_vec::<f32>()?, [1.2, 1.6, 0.0, 0.0]);
    /// let y = x.rms_norm(Some(&tensor([2.0, 0.5, 1.0, 1.0])), 0.0);
    /// assert_eq!(y.to_vec::<f32>()?, [2.4, 0.8, 0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn rms_norm(&self, scale: Option<&Tensor>, epsilon: f64) -> Tensor {
        let at = Location::caller();
        let op = RmsNormalization { epsilon: epsilon.into(), scale: scale.is_some() };
        let weights: Vec<&Tensor> = scale.into_iter().collect();
        let operands = self.with_weights(RmsNormalization::NAME, &weights, at);
        tensor_or_error(operands.map(|xs| dispatch(op, xs, at)))
    }

    /// Returns this tensor as floats, and the weights in its dtype or f32 if it is narrower. A
    /// tensor of at least 32 bits is promoted with the weights.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of an operand, or of `op` for complex numbers.
    fn with_weights(
        &self,
        op: &str,
        weights: &[&Tensor],
        at: CallSite,
    ) -> Result<Vec<Tensor>, Tensor> {
        let x = self.real_float(op, at)?;
        let mut floats = vec![];
        for w in weights {
            floats.push(w.real_float(op, at)?);
        }
        let narrow = x.dtype() != x.dtype().at_least_f32();
        let wide = floats.iter().filter(|_| !narrow).fold(x.dtype().at_least_f32(), |d, w| {
            // Every float promotes with one of at least 32 bits.
            d.promote(w.dtype()).unwrap_or(d)
        });
        let x = if narrow { x } else { x.convert(wide, at) };
        let same = |w: &Tensor| w.dtype() == x.dtype();
        let weights = floats.iter().map(|w| if same(w) { w.clone() } else { w.convert(wide, at) });
        Ok([x.clone()].into_iter().chain(weights).collect())
    }
}
