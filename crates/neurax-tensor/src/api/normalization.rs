//! Normalization.

use super::common::tensor_or_error;
use crate::{
    AxisInt, Error, Tensor,
    dispatch::{dispatch, dispatch_multi},
    tensor::CallSite,
};
use neurax_ir::composite::{
    BatchNormInference, BatchNormTraining, LayerNormalization, RmsNormalization,
};
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

    /// Computes batch normalization with the statistics of the batch: for each channel of axis
    /// `axis`, `(x - mean) / sqrt(var + epsilon) · scale + bias`. Returns the result, the mean and
    /// the variance, which is divided by the number of elements.
    ///
    /// Scale and bias, as well as mean and variance, have one element for each channel. Integers
    /// and bool are converted to f32; floats below 32 bits are computed in f32, and the result is
    /// rounded once; mean and variance remain f32. An epsilon below the smallest normal number is
    /// raised to it. The gradient is computed in closed form. Follows StableHLO's
    /// `batch_norm_training`.
    ///
    /// # Errors
    ///
    /// The results carry an error for complex numbers, for an axis that is out of range, for
    /// weights of other shapes, and if epsilon is negative or NaN.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 10.0], [3.0, 10.0]]);
    /// let (y, mean, var) = x.batch_norm_training(&Tensor::ones(2), &tensor([0.0, 5.0]), 1, 0.0);
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 5.0, 1.0, 5.0]);
    /// assert_eq!(mean.to_vec::<f32>()?, [2.0, 10.0]);
    /// assert_eq!(var.to_vec::<f32>()?, [1.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn batch_norm_training(
        &self,
        scale: &Tensor,
        bias: &Tensor,
        axis: impl AxisInt,
        epsilon: f64,
    ) -> (Tensor, Tensor, Tensor) {
        let (name, at) = (BatchNormTraining::NAME, Location::caller());
        let results = || {
            let axis = self.axis_at(axis, name, at)?;
            let op = BatchNormTraining { axis, batch: 0, epsilon: epsilon.into() };
            let xs = self.with_weights(name, &[scale, bias], at)?;
            dispatch_multi(op, xs, at).map_err(|e| Tensor::error_at(e, at))
        };
        match results().as_deref() {
            Ok([y, mean, var]) => (y.clone(), mean.clone(), var.clone()),
            Ok(_) => {
                let e = Tensor::from_error(Error::bug("batch_norm_training has three results"));
                (e.clone(), e.clone(), e)
            }
            Err(e) => (e.clone(), e.clone(), e.clone()),
        }
    }

    /// Computes batch normalization with given statistics: for each channel of axis `axis`,
    /// `(x - mean) / sqrt(var + epsilon) · scale + bias`.
    ///
    /// Scale, bias, mean and variance have one element for each channel. Integers and bool are
    /// converted to f32; floats below 32 bits are computed in f32 and rounded once. An epsilon
    /// below the smallest normal number is raised to it. The gradient is computed in closed form.
    /// Follows StableHLO's `batch_norm_inference`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, for an axis that is out of range, for
    /// weights of other shapes, and if epsilon is negative or NaN.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (mean, var) = (tensor([1.0, 10.0]), tensor([4.0, 1.0]));
    /// let (scale, bias) = (Tensor::ones(2), tensor([0.0, 0.5]));
    /// let y = tensor([[3.0, 10.0]]).batch_norm_inference(&scale, &bias, &mean, &var, 1, 0.0);
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 0.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn batch_norm_inference(
        &self,
        scale: &Tensor,
        bias: &Tensor,
        mean: &Tensor,
        var: &Tensor,
        axis: impl AxisInt,
        epsilon: f64,
    ) -> Tensor {
        let (name, at) = (BatchNormInference::NAME, Location::caller());
        let result = || {
            let axis = self.axis_at(axis, name, at)?;
            let op = BatchNormInference { axis, batch: 0, epsilon: epsilon.into() };
            Ok(dispatch(op, self.with_weights(name, &[scale, bias, mean, var], at)?, at))
        };
        tensor_or_error(result())
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
