//! Random choices of entries, and random integers between tensors.

use super::{
    common::{promote_operands, tensor_or_error},
    random::Key,
};
use crate::{
    CategoricalOptions, ChoiceOptions, DType, IntoShape, Operand, Scalar, Shape, Side, Tensor,
    dispatch::dispatch,
    random_bits::unsigned,
    random_parameters::{broadcast_parameter, sample_shape},
    tensor::CallSite,
};
use neurax_ir::op::BitcastConvert;
use std::panic::Location;

impl Key {
    /// Draws entries of `x` along axis 0, with replacement, all equally likely: a tensor of `shape`
    /// of them. The first axis of `x` is replaced by `shape`. Follows `jax.random.choice`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `x` is a scalar, or has no entries and `shape` has.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).choice(&tensor([3, 5]), [100]);
    /// assert_eq!(x.equal(3).logical_or(x.equal(5)).all(..).to_vec::<bool>()?, [true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn choice(&self, x: &Tensor, shape: impl IntoShape) -> Tensor {
        self.choice_with(x, shape, ChoiceOptions::new())
    }

    /// Draws entries of `x` along an axis: a tensor of `shape` of them, which replaces the axis.
    /// Follows `jax.random.choice`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the axis is out of range, the weights are not a vector of
    /// real numbers with one for each entry, or there are fewer entries than are drawn without
    /// replacement.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{ChoiceOptions, prelude::*};
    /// let x = tensor([[1, 2, 3], [4, 5, 6]]);
    /// let options = ChoiceOptions::new().axis(1).without_replacement();
    /// let y = key(0).choice_with(&x, [2], options);
    /// assert_eq!(y.shape(), [2, 2]);
    /// assert_eq!((y.get(1) - y.get(0)).to_vec::<i32>()?, [3, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn choice_with(&self, x: &Tensor, shape: impl IntoShape, options: ChoiceOptions) -> Tensor {
        let at = Location::caller();
        match sample_shape("choice", shape, at) {
            Ok(shape) => tensor_or_error(self.chosen(x, &shape, options, at)),
            Err(e) => e,
        }
    }

    #[track_caller]
    fn chosen(
        &self,
        x: &Tensor,
        shape: &Shape,
        options: ChoiceOptions,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let axis = x.axis_at(options.axis, "choice", at)?;
        let (size, drawn) = (x.shape()[axis], shape.size());
        let limit = if options.without_replacement { drawn } else { drawn.min(1) };
        if size < limit {
            let how = if options.without_replacement { " without replacement" } else { "" };
            let why = format!(
                "expected at least {limit} entries along axis {axis} to draw {drawn}{how}, got {}",
                x.dtype_and_shape()
            );
            return Err(Tensor::fail("choice", why, at));
        }
        let order = match (&options.weights, options.without_replacement) {
            (None, false) => self.randint_of(DType::I32, shape.to_vec(), 0..size.max(1) as i128),
            (None, true) => {
                let mut sizes = x.shape().to_vec();
                sizes.splice(axis..=axis, shape.iter().copied());
                let first = self.shuffle(x, axis as i64).slice(axis, ..drawn as i64);
                return Ok(first.reshaped(sizes, at));
            }
            (Some(weights), once) => {
                let weights = checked_weights(weights, size, at)?;
                self.weighted(&weights, shape, once, at)
            }
        };
        Ok(x.take(order, axis))
    }

    /// Draws indices of `weights` with probabilities proportional to them.
    #[track_caller]
    fn weighted(&self, weights: &Tensor, shape: &Shape, once: bool, at: CallSite) -> Tensor {
        if shape.size() == 0 {
            return Tensor::zeros_of(DType::I32, shape.to_vec());
        }
        if once {
            // The largest sums of Gumbel noise and logarithms of probabilities.
            let noise = self.gumbel_of(weights.dtype(), weights.shape());
            let (_, order) = (noise + weights.log()).top_k(shape.size());
            return order.reshaped(shape.clone(), at);
        }
        let sums = weights.cumsum(0);
        let u = self.uniform_of(weights.dtype(), shape.to_vec(), 0.0, 1.0);
        sums.searchsorted(sums.get(-1) * (-u + 1), Side::Left)
    }

    /// Samples indices along `axis` of `logits`, i32, with the probabilities that softmax assigns
    /// to them.
    ///
    /// The axis is removed. Follows `jax.random.categorical`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let logits = tensor([[0.0, f32::NEG_INFINITY], [f32::NEG_INFINITY, 0.0]]);
    /// assert_eq!(key(0).categorical(&logits, -1).to_vec::<i32>()?, [0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn categorical(&self, logits: &Tensor, axis: i64) -> Tensor {
        match logits.type_ref() {
            Ok(t) => (self.gumbel_of(t.dtype, &t.shape) + logits).argmax(axis),
            Err(_) => logits.clone(),
        }
    }

    /// Samples indices along `axis` of `logits`, i32, with the probabilities that softmax assigns
    /// to them; the options hold the number of samples. Follows `jax.random.categorical`.
    ///
    /// The axis is removed, and the shape of the samples is put in front.
    ///
    /// # Errors
    ///
    /// The result carries an error if `axis` is out of range, `logits` are not floats of 16 bits or
    /// more, or there are fewer categories than are drawn without replacement.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{CategoricalOptions, prelude::*};
    /// let logits = tensor([[0.0, f32::NEG_INFINITY], [f32::NEG_INFINITY, 0.0]]);
    /// let x = key(0).categorical_with(&logits, -1, CategoricalOptions::new().samples([3]));
    /// assert_eq!(x.to_vec::<i32>()?, [0, 1, 0, 1, 0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn categorical_with(
        &self,
        logits: &Tensor,
        axis: i64,
        options: CategoricalOptions,
    ) -> Tensor {
        let at = Location::caller();
        match sample_shape("categorical", options.samples.clone(), at) {
            Ok(samples) => tensor_or_error(self.categories(logits, axis, &samples, &options, at)),
            Err(e) => e,
        }
    }

    #[track_caller]
    fn categories(
        &self,
        logits: &Tensor,
        axis: i64,
        samples: &Shape,
        options: &CategoricalOptions,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let axis = logits.axis_at(axis, "categorical", at)?;
        let count = samples.size();
        let mut sizes = samples.to_vec();
        if !options.without_replacement {
            sizes.extend(logits.shape().iter().copied());
            let noise = self.gumbel_of(logits.dtype(), sizes);
            return Ok((noise + logits).argmax(axis + samples.rank()));
        }
        if count > logits.shape()[axis] {
            let why = format!(
                "expected at least {count} categories along axis {axis} to draw {count} without \
                 replacement, got {}",
                logits.dtype_and_shape()
            );
            return Err(Tensor::fail("categorical", why, at));
        }
        let noise = self.gumbel_of(logits.dtype(), logits.shape());
        let (_, order) = (noise + logits).move_axis(axis, -1).top_k(count);
        sizes.extend(logits.shape_without(&[axis], false));
        Ok(order.move_axis(-1, 0).reshaped(sizes, at))
    }

    /// Permutes the entries of `x` along `axis` randomly, in another order at each position of the
    /// other axes. Follows `jax.random.permutation` with `independent=True`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `axis` is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::arange(6).reshape([3, 2]);
    /// assert_eq!(key(0).shuffle_each(&x, 0).sum(0).to_vec::<i32>()?, [6, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn shuffle_each(&self, x: &Tensor, axis: i64) -> Tensor {
        let at = Location::caller();
        let axis = match x.axis_at(axis, "shuffle_each", at) {
            Ok(axis) => axis,
            Err(e) => return e,
        };
        let (mut key, mut x) = (self.clone(), x.clone());
        for _ in 0..crate::random_bits::shuffle_rounds(x.size()) {
            let [next, sub] = key.split();
            x = x.sort_by_key(&sub.bits_of(DType::U32, x.shape()), axis);
            key = next;
        }
        x
    }

    /// Samples integers uniformly from `[low, high)`: integers, or integer tensors that broadcast
    /// to `shape`. The dtype is that of the tensors, or i32 if there are none. Where `low` is not
    /// below `high`, the result is `low`. Follows `jax.random.randint`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the bounds are not integers of 8 to 64 bits, have no common
    /// dtype, or do not broadcast to `shape`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).randint_between(tensor([0, 10]), tensor([1, 11]), [2, 2]);
    /// assert_eq!(x.to_vec::<i32>()?, [0, 10, 0, 10]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn randint_between(
        &self,
        low: impl Operand,
        high: impl Operand,
        shape: impl IntoShape,
    ) -> Tensor {
        let at = Location::caller();
        let like = Tensor::scalar(DType::I32, 0);
        let (low_number, high_number) = (low.number(), high.number());
        let (low, high) = (low.operand(&like), high.operand(&like));
        // A number takes the dtype of a tensor.
        let low = low_number.map_or(low.clone(), |x: Scalar| x.weak_like(&high));
        let high = high_number.map_or(high.clone(), |x: Scalar| x.weak_like(&low));
        match sample_shape("randint", shape, at) {
            Ok(shape) => tensor_or_error(self.integers_between([low, high], &shape, at)),
            Err(e) => e,
        }
    }

    #[track_caller]
    fn integers_between(
        &self,
        bounds: [Tensor; 2],
        shape: &Shape,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let bounds = promote_operands("randint", &bounds, at)?;
        let dtype = bounds[0].dtype();
        if !dtype.is_int() || dtype.bits() < 8 {
            let why = format!("expected integer bounds of 8 to 64 bits, got {dtype}");
            return Err(Tensor::fail("randint", why, at));
        }
        // Narrow integers are drawn as i32, as in JAX.
        let wide = if dtype.bits() < 32 { DType::I32 } else { dtype };
        let word = unsigned(wide.bits());
        let low = broadcast_parameter("randint", &bounds[0], shape, at)?.convert(wide, at);
        let high = broadcast_parameter("randint", &bounds[1], shape, at)?.convert(wide, at);
        let as_word = |x: Tensor| dispatch(BitcastConvert { dtype: word }, [x], at);
        let span = low.lt(&high).select(as_word(&high - &low), Tensor::scalar(word, 1));
        let half = span.ones_like() * Tensor::scalar(word, 1i64 << (wide.bits() / 2));
        let factor = &half % &span;
        let factor = &factor * &factor % &span;
        let [of_high, of_low] = self.split();
        let (upper, lower) = (of_high.bits_of(word, shape), of_low.bits_of(word, shape));
        let offset = (upper % &span * factor + lower % &span) % span;
        let offset = dispatch(BitcastConvert { dtype: wide }, [offset], at);
        Ok((low + offset).convert(dtype, at))
    }
}

/// Returns the weights of `size` entries as floats.
fn checked_weights(weights: &Tensor, size: usize, at: CallSite) -> Result<Tensor, Tensor> {
    let weights = weights.real_float("choice", at)?;
    if weights.shape()[..] != [size] {
        let why = format!(
            "expected weights of shape [{size}], one for each entry, got {}",
            weights.dtype_and_shape()
        );
        return Err(Tensor::fail("choice", why, at));
    }
    Ok(weights)
}
