//! Cumulative sums and products, and differences.

use super::common::{example, tensor_or_error};
use crate::{AxisInt, CumulativeOptions, Tensor, dispatch::dispatch, tensor::CallSite};
use neurax_ir::composite::{Cumulative, CumulativeKind};
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
                tensor_or_error(self.$how(at).running(stringify!($f), kind, axis, false, at))
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
                tensor_or_error(x.running(stringify!($f), kind, axis, options.is_reverse, at))
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

    /// Applies the cumulative op `kind` along `axis`, from its end if `reverse`.
    fn running(
        &self,
        op: &str,
        kind: CumulativeKind,
        axis: impl AxisInt,
        reverse: bool,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let axis = self.axis_at(axis, op, at)?;
        Ok(dispatch(Cumulative { kind, axis, reverse }, [self.clone()], at))
    }

    /// Computes the difference of adjacent elements along `axis`, `n` times; the size of the axis
    /// shrinks by 1 each time.
    ///
    /// For bool, the difference is the exclusive or. Follows `numpy.diff`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 4, 9, 16]);
    /// assert_eq!(x.diff(1, -1).to_vec::<i32>()?, [3, 5, 7]);
    /// assert_eq!(x.diff(2, -1).to_vec::<i32>()?, [2, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn diff(&self, n: usize, axis: impl AxisInt) -> Tensor {
        let axis = match self.axis_at(axis, "diff", Location::caller()) {
            Ok(a) => a,
            Err(e) => return e,
        };
        let n = n.min(self.shape()[axis]);
        if self.size() == 0 || n == self.shape()[axis] {
            return self.slice(axis, n as i64..);
        }
        let mut x = self.clone();
        for _ in 0..n {
            if x.error().is_some() {
                break;
            }
            let (next, own) = (x.slice(axis, 1..), x.slice(axis, ..-1));
            x = if x.dtype() == crate::DType::Bool { next ^ own } else { next - own };
        }
        x
    }

    /// Integrates values at distance `dx` along `axis` with the trapezoidal rule; the axis is
    /// removed.
    ///
    /// Integers and bool are converted to f32. Follows `numpy.trapezoid`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0.0, 1.0, 2.0]).trapezoid(0.5, -1).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn trapezoid(&self, dx: f64, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let axis = match self.axis_at(axis, "trapezoid", at) {
            Ok(a) => a,
            Err(e) => return e,
        };
        let (x, dtype) = self.clone().float(at).wide(at);
        let area = (x.slice(axis, 1..) + x.slice(axis, ..-1)).sum(axis) * (dx / 2.0);
        area.convert(dtype, at)
    }
}
