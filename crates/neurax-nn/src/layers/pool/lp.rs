//! Pooling by norms.

use super::pool_options;
use crate::layers::conv::if_fitting;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, IntoEach, Padding, Tensor, Windows};
use serde::{Deserialize, Serialize};

/// Computes the norm of order `norm` of each window of `sizes`, `(Σ |x|ᵖ)^(1/p)`: `x` is
/// `[batch, channels, space ..]`. Padding counts as zeros. The sums are computed in f32 if `x` is
/// narrower. For even orders this is PyTorch's `lp_pool2d`, which has no absolute value for others.
///
/// # Errors
/// The result carries an error if `norm` is below 1 or not finite, and as for [`Tensor::sum_pool`].
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[[3.0, -4.0, 0.0, 2.0]]]);
/// let y = nn::layers::lp_pool(&x, 2.0, 2, Windows::new());
/// assert_eq!(y.to_vec::<f32>()?, [5.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn lp_pool(x: &Tensor, norm: f64, sizes: impl IntoEach, options: Windows) -> Tensor {
    match norm_error("lp_pool", norm) {
        Some(e) => Tensor::from_error(e),
        None => {
            let sums = at_least_f32(x).abs().pow(norm).sum_pool(sizes, options);
            narrow_as(x, root(&sums, norm))
        }
    }
}

/// Returns the error of an order that is no norm.
pub(super) fn norm_error(op: &'static str, norm: f64) -> Option<Error> {
    let why = || format!("expected a finite norm of at least 1, got {norm}");
    (!(norm >= 1.0 && norm.is_finite())).then(|| Error::new(op, why()))
}

/// Computes `x^(1/p)`, with the derivative 0 at 0.
#[track_caller]
pub(super) fn root(x: &Tensor, p: f64) -> Tensor {
    let is_zero = x.equal(0.0);
    is_zero.select(0.0, is_zero.select(1.0, x).pow(1.0 / p))
}

/// The layer of [`lp_pool`].
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 1, 4]).layer(nn::LpPool::new(2.0, 2)).model();
/// let x = tensor([[[3.0, 4.0, 0.0, 1.0]]]);
/// let out = model.apply(&Vars::default(), x, &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [5.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LpPool {
    norm: f64,
    sizes: Vec<usize>,
    options: Windows,
}

impl LpPool {
    /// Creates a layer that computes norms of order `norm`, at least 1, of windows of `sizes`
    /// elements along the space axes; one number counts for all axes. The defaults are strides of
    /// the window's size and no padding.
    pub fn new(norm: f64, sizes: impl IntoEach) -> LpPool {
        LpPool { norm, sizes: sizes.each(), options: Windows::new() }
    }
}

pool_options!(LpPool);

impl Layer for LpPool {
    const NAME: &'static str = "lp_pool";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let y = lp_pool(&x, self.norm, self.sizes.clone(), self.options.clone());
        if_fitting(cx, Self::NAME, y, &x, &self.sizes, &self.options)
    }
}

impl Node {
    /// Takes the norm of order `norm` of windows of `sizes` elements along the space axes: see
    /// [`LpPool`].
    #[track_caller]
    pub fn lp_pool(&self, norm: f64, sizes: impl IntoEach) -> Node {
        self.layer(LpPool::new(norm, sizes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::dtype_consts::{F16, F32};
    use neurax_tensor::{grad, tensor, types};

    #[test]
    fn is_a_layer() {
        check::layer(LpPool::new(2.0, 2), &types![f32[2, 3, 6]]).unwrap();
        let padded = LpPool::new(3.0, [3, 2]).strides(2).padding(1).ceil_mode().channels_last();
        check::layer(padded, &types![f32[1, 4, 4, 2]]).unwrap();
        check::layer(LpPool::new(1.0, 2).dilation(2), &types![f32[1, 2, 4]]).unwrap();
    }

    #[test]
    fn zeros_have_a_finite_gradient_and_f16_does_not_overflow() {
        let pool = |x: Tensor| lp_pool(&x, 2.0, 2, Windows::new());
        let zero = grad(|x: Tensor| pool(x).sum(..)).run(Tensor::zeros([1, 1, 2])).unwrap();
        assert_eq!(zero.to_vec::<f32>().unwrap(), [0.0; 2]);
        let y = pool(tensor([[[300.0, 400.0]]]).to(F16));
        assert_eq!((y.dtype(), y.to(F32).to_vec::<f32>().unwrap()), (F16, vec![500.0]));
        let nan = pool(tensor([[[f32::NAN, 1.0]]])).to_vec::<f32>().unwrap();
        assert!(nan[0].is_nan());
    }

    #[test]
    fn a_norm_below_1_is_an_error() {
        for norm in [0.5, f64::NAN, f64::INFINITY] {
            let e = check::layer(LpPool::new(norm, 2), &types![f32[1, 2, 4]]).unwrap_err();
            let e = e.to_string();
            assert!(e.contains(&format!("at least 1, got {norm}")) && e.contains("layer lp_pool"));
        }
    }
}
