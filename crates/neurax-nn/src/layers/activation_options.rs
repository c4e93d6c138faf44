//! Activations with options, one table row each.

use crate::{Cx, Layer, LayerPrecision, MaskRule};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// Defines the layers: for each the options, the condition that they must fulfil, and the function.
macro_rules! activations {
    ($(
        $(#[$doc:meta])*
        $Name:ident $name:literal $($precision:ident)?
        ($($option:ident: $Option:ty = $what:literal),*)
        $(if $check:expr => $expected:literal)?, |$x:ident| $f:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $Name {
            $($option: $Option,)*
        }

        impl $Name {
            #[doc = "Creates the layer with, in this order,"]
            #[doc = concat!($($what, " `", stringify!($option), "`, ",)* "and no other option.")]
            pub fn new($($option: $Option),*) -> $Name {
                $Name { $($option),* }
            }
        }

        impl Layer for $Name {
            const NAME: &'static str = $name;
            $(const PRECISION: LayerPrecision = LayerPrecision::$precision;)?
            type Output = Tensor;

            fn mask_rule(&self) -> MaskRule {
                activations!(@mask_rule self $($precision)?)
            }

            fn apply(&self, _: &mut Cx, [$x]: [Tensor; 1]) -> Tensor {
                let $Name { $($option),* } = self.clone();
                $(let is_valid: bool = $check;
                if !is_valid {
                    let why = format!(concat!("expected ", $expected, ", got {:?}"), self);
                    return Tensor::from_error(Error::new($name, why));
                })?
                $f
            }
        }
    )*};
    // One of an axis computes each step separately if the axis is not that of the steps.
    (@mask_rule $layer:ident FullOutput) => { MaskRule::of_axes(&[$layer.axis]) };
    (@mask_rule $layer:ident) => { MaskRule::Keep };
}

activations! {
    /// `x` if it is not negative, else `slope · x`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_]).layer(nn::LeakyRelu::new(0.5)).model();
    /// let out = model.apply(&Vars::default(), tensor([-2.0, 3.0]), &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [-1.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    LeakyRelu "leaky_relu"(slope: f64 = "the factor"), |x| x.leaky_relu(slope);
    /// `x` above 0, else `alpha (exp(x) - 1)`.
    Elu "elu"(alpha: f64 = "the negative limit"), |x| x.elu(alpha);
    /// `max(x, 0) + min(0, alpha (exp(x / alpha) - 1))`.
    Celu "celu"(alpha: f64 = "the negative limit")
        if alpha != 0.0 && alpha.is_finite() => "an alpha other than 0", |x| x.celu(alpha);
    /// `x · Φ(x)` with the normal distribution function `Φ`, or an approximation by tanh.
    Gelu "gelu"(approximate: bool = "the choice"), |x| x.gelu(approximate);
    /// `gamma (max(x, 0) + min(0, alpha (exp(x) - 1)))`, as Axon's `selu` with options.
    Selu "selu"(alpha: f64 = "the negative limit", gamma: f64 = "the scale"),
        |x| x.elu(alpha) * gamma;
    /// The softmax over an axis.
    Softmax "softmax" FullOutput (axis: i64 = "the axis"), |x| x.softmax(axis);
    /// The softmax of `-x` over an axis.
    Softmin "softmin" FullOutput (axis: i64 = "the axis"), |x| (-&x).softmax(axis);
    /// The logarithm of the softmax over an axis.
    LogSoftmax "log_softmax" FullOutput (axis: i64 = "the axis"), |x| x.log_softmax(axis);
    /// `log(sum(exp(x)))` over an axis, which is removed.
    LogSumExp "log_sum_exp" FullOutput (axis: i64 = "the axis"), |x| x.logsumexp(axis);
    /// `min(max(alpha x + beta, 0), 1)`: with 0.2 and 0.5 that of Axon and Theano, with 1/6 and 1/2
    /// that of PyTorch and JAX.
    HardSigmoid "hard_sigmoid"(alpha: f64 = "the slope", beta: f64 = "the value at 0"),
        |x| (&x * alpha + beta).clip(0.0, 1.0);
    /// `x` times [`HardSigmoid`].
    HardSilu "hard_silu"(alpha: f64 = "the slope", beta: f64 = "the value at 0"),
        |x| (&x * alpha + beta).clip(0.0, 1.0) * &x;
    /// `x`, limited to a range.
    HardTanh "hard_tanh"(low: f64 = "the minimum", high: f64 = "the maximum")
        if low <= high => "a minimum that is not above the maximum", |x| x.clip(low, high);
    /// `x`, and 0 where it is within `bound` of 0.
    HardShrink "hard_shrink"(bound: f64 = "the bound")
        if bound >= 0.0 => "a bound of at least 0", |x| x.hard_shrink(bound);
    /// `x`, moved toward 0 by `bound`.
    SoftShrink "soft_shrink"(bound: f64 = "the bound")
        if bound >= 0.0 => "a bound of at least 0", |x| x.soft_shrink(bound);
    /// `log(1 + exp(beta x)) / beta`.
    Softplus "softplus"(beta: f64 = "the steepness")
        if beta > 0.0 && beta.is_finite() => "a positive beta", |x| (&x * beta).softplus() / beta;
    /// `x` if it is above `threshold`, else `value`.
    Threshold "threshold"(threshold: f64 = "the threshold", value: f64 = "the replacement"),
        |x| x.gt(threshold).select(&x, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        let t = types![f32[2, 3]];
        check::layer(LeakyRelu::new(0.3), &t).unwrap();
        check::layer(Elu::new(0.5), &t).unwrap();
        check::layer(Celu::new(0.5), &t).unwrap();
        check::layer(Gelu::new(true), &t).unwrap();
        check::layer(Selu::new(1.5, 1.1), &t).unwrap();
        check::layer(Softmax::new(1), &t).unwrap();
        check::layer(Softmin::new(-1), &t).unwrap();
        check::layer(LogSoftmax::new(1), &t).unwrap();
        check::layer(LogSumExp::new(-1), &t).unwrap();
        check::layer(HardSigmoid::new(0.2, 0.5), &t).unwrap();
        check::layer(HardSilu::new(0.2, 0.5), &t).unwrap();
        check::layer(HardTanh::new(-0.5, 0.7), &t).unwrap();
        check::layer(HardShrink::new(0.05), &t).unwrap();
        check::layer(SoftShrink::new(0.05), &t).unwrap();
        check::layer(Softplus::new(2.0), &t).unwrap();
        check::layer(Threshold::new(0.05, -1.0), &t).unwrap();
    }

    #[test]
    fn options_that_cannot_be_right_are_errors() {
        let t = types![f32[2, 3]];
        for (e, want) in [
            (check::layer(Celu::new(0.0), &t), "expected an alpha other than 0, got Celu"),
            (check::layer(HardTanh::new(1.0, 0.0), &t), "not above the maximum, got HardTanh"),
            (check::layer(HardShrink::new(-1.0), &t), "a bound of at least 0, got HardShrink"),
            (check::layer(SoftShrink::new(f64::NAN), &t), "a bound of at least 0, got SoftShrink"),
            (check::layer(Softplus::new(0.0), &t), "expected a positive beta, got Softplus"),
            (check::layer(Softmax::new(2), &t), "in layer softmax"),
        ] {
            let e = e.unwrap_err().to_string();
            assert!(e.contains(want), "{e}");
        }
    }
}
