//! Cumulative sums, products and extrema.

use super::common::{example, tensor_or_error};
use crate::{AxisInt, CumulativeOptions, Tensor, dispatch::dispatch, tensor::CallSite};
use neurax_ir::{
    composite::{Cumulative, CumulativeKind},
    op::{Broadcast, Concatenate, ReduceKind},
};
use std::panic::Location;

/// A table of cumulative functions along an axis. A row is
/// `name = Kind by conversion, "doc", "code" => "value";`, where the conversion of the operand is a
/// method.
macro_rules! running {
    ($($f:ident = $V:ident by $how:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, axis: impl AxisInt) -> Tensor {
                let at = Location::caller();
                let kind = CumulativeKind::$V;
                let options = CumulativeOptions::new();
                tensor_or_error(self.$how(at).running(stringify!($f), kind, axis, options, at))
            }
        )*}
    };
}

running! {
    cumsum = Sum by widen_integers,
        "Computes the sum of all elements up to each element along an axis. Bool and integers \
         below 32 bits are converted to 32 bits. Follows `numpy.cumsum`.",
        "tensor([1, 2, 3]).cumsum(0)" => "[1, 3, 6]";
    cumprod = Prod by widen_integers,
        "Computes the product of all elements up to each element along an axis. Bool and integers \
         below 32 bits are converted to 32 bits. Follows `numpy.cumprod`.",
        "tensor([1, 2, 3]).cumprod(0)" => "[1, 2, 6]";
    cummax = Max by itself,
        "Computes the largest of all elements up to each element along an axis; NaN from the first \
         NaN on. Follows `jax.lax.cummax`.",
        "tensor([1, 3, 2]).cummax(0)" => "[1, 3, 3]";
    cummin = Min by itself,
        "Computes the smallest of all elements up to each element along an axis; NaN from the \
         first NaN on. Follows `jax.lax.cummin`.",
        "tensor([2, 1, 3]).cummin(0)" => "[2, 1, 1]";
    cumlogsumexp = LogSumExp by floats,
        "Computes `log(sum(e^x))` of all elements up to each element along an axis, without \
         overflow. Integers and bool are converted to f32. Follows `jax.lax.cumlogsumexp`.",
        "tensor([0.0, 0.0, 1000.0]).cumlogsumexp(0)" => "[0.0, 0.6931472, 1000.0]";
}

/// A table of cumulative functions with options. A row is
/// `name = Kind by conversion, "doc", "code" => "value";`, as in `running!`.
macro_rules! running_with {
    ($($f:ident = $V:ident by $how:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, axis: impl AxisInt, options: CumulativeOptions) -> Tensor {
                let (at, kind) = (Location::caller(), CumulativeKind::$V);
                let x = self.$how(at);
                tensor_or_error(x.running(stringify!($f), kind, axis, options, at))
            }
        )*}
    };
}

running_with! {
    cumsum_with = Sum by widen_integers,
        "Computes the cumulative sum along an axis with options: [`Tensor::cumsum`].",
        "tensor([1, 2, 3]).cumsum_with(0, CumulativeOptions::new().reverse())" =>
        "[6, 5, 3]";
    cumprod_with = Prod by widen_integers,
        "Computes the cumulative product along an axis with options: [`Tensor::cumprod`].",
        "tensor([1, 2, 3]).cumprod_with(0, CumulativeOptions::new().reverse())" =>
        "[6, 6, 3]";
    cummax_with = Max by itself,
        "Computes the cumulative maximum along an axis with options: [`Tensor::cummax`].",
        "tensor([1, 3, 2]).cummax_with(0, CumulativeOptions::new().reverse())" =>
        "[3, 3, 2]";
    cummin_with = Min by itself,
        "Computes the cumulative minimum along an axis with options: [`Tensor::cummin`].",
        "tensor([2, 1, 3]).cummin_with(0, CumulativeOptions::new().reverse())" =>
        "[1, 1, 3]";
    cumlogsumexp_with = LogSumExp by floats,
        "Computes the cumulative `log(sum(e^x))` along an axis with options: \
         [`Tensor::cumlogsumexp`].",
        "tensor([0.0, 0.0]).cumlogsumexp_with(0, CumulativeOptions::new().reverse())" =>
        "[0.6931472, 0.0]";
}

impl Tensor {
    /// Returns `self`: no conversion of the operand.
    fn itself(&self, _: CallSite) -> Tensor {
        self.clone()
    }

    /// Converts integers and bool to f32.
    fn floats(&self, at: CallSite) -> Tensor {
        self.clone().float(at)
    }

    /// Applies the cumulative op `kind` along `axis`.
    fn running(
        &self,
        op: &str,
        kind: CumulativeKind,
        axis: impl AxisInt,
        options: CumulativeOptions,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let axis = self.axis_at(axis, op, at)?;
        let reverse = options.is_reverse;
        let y = dispatch(Cumulative { kind, axis, reverse }, [self.clone()], at);
        if !options.has_initial || y.error().is_some() {
            return Ok(y);
        }
        let dtype = y.dtype();
        let identity = match kind {
            CumulativeKind::Sum => ReduceKind::Sum.identity_element(dtype),
            CumulativeKind::Prod => ReduceKind::Prod.identity_element(dtype),
            CumulativeKind::Max | CumulativeKind::LogSumExp => {
                ReduceKind::Max.identity_element(dtype)
            }
            CumulativeKind::Min => ReduceKind::Min.identity_element(dtype),
        };
        let mut shape = self.type_or_error()?.shape.clone();
        shape[axis] = 1;
        let first = dispatch(Broadcast { shape, dims: vec![] }, [Tensor::from(identity)], at);
        let parts = if reverse { [y, first] } else { [first, y] };
        Ok(dispatch(Concatenate { axis }, parts, at))
    }

    /// Computes the sum of all elements that are not NaN up to each element along `axis`.
    ///
    /// Bool and integers below 32 bits are converted to 32 bits. Follows `numpy.nancumsum`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, f32::NAN, 2.0]);
    /// assert_eq!(x.nancumsum(0).to_vec::<f32>()?, [1.0, 1.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nancumsum(&self, axis: impl AxisInt) -> Tensor {
        self.is_nan().select(0, self).cumsum(axis)
    }

    /// Computes the product of all elements that are not NaN up to each element along `axis`.
    ///
    /// Bool and integers below 32 bits are converted to 32 bits. Follows `numpy.nancumprod`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([2.0, f32::NAN, 3.0]);
    /// assert_eq!(x.nancumprod(0).to_vec::<f32>()?, [2.0, 2.0, 6.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nancumprod(&self, axis: impl AxisInt) -> Tensor {
        self.is_nan().select(1, self).cumprod(axis)
    }
}
