//! Pooling layers over all space axes.

use super::lp::{norm_error, root};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, Result, Tensor, keep};
use serde::{Deserialize, Serialize};

/// Returns the space axes: all but the batch and the channels.
///
/// # Errors
/// If there are fewer than two axes.
fn space_axes(op: &'static str, x: &Tensor, channels_last: bool) -> Result<Vec<i64>> {
    let rank = x.ty()?.rank();
    if rank < 2 {
        let why = format!("expected an input [batch, channels, space ..], got {}", x.ty()?);
        return Err(Error::new(op, why));
    }
    let (first, end) = if channels_last { (1, rank - 1) } else { (2, rank) };
    Ok((first..end).map(|i| i as i64).collect())
}

macro_rules! global_pools {
    ($($(#[$doc:meta])* $Name:ident $name:ident $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub struct $Name {
            channels_last: bool,
            keep_axes: bool,
        }

        impl $Name {
            /// Creates a layer for tensors with channels at axis 1.
            pub fn new() -> $Name {
                $Name::default()
            }

            /// Makes the channels the last axis, as in Keras and JAX.
            pub fn channels_last(self) -> $Name {
                $Name { channels_last: true, ..self }
            }

            /// Keeps the space axes, with size 1.
            pub fn keep_axes(self) -> $Name {
                $Name { keep_axes: true, ..self }
            }
        }

        impl Layer for $Name {
            const NAME: &'static str = stringify!($name);
            type Output = Tensor;

            fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
                match space_axes(stringify!($name), &x, self.channels_last) {
                    Ok(axes) if self.keep_axes => x.$method(keep(&axes[..])),
                    Ok(axes) => x.$method(&axes[..]),
                    Err(e) => Tensor::from_error(e),
                }
            }
        }

        impl Node {
            #[doc = concat!("Reduces the space axes: see [`", stringify!($Name), "`].")]
            #[track_caller]
            pub fn $name(&self) -> Node {
                self.layer($Name::new())
            }
        }
    )*};
}

global_pools! {
    /// The maximum over all space axes: `[batch, channels, space ..]` becomes `[batch, channels]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = nn::input("x", dims![_, 3, 8, 8]).layer(nn::GlobalMaxPool::new());
    /// let out = y.apply(&Vars::default(), Tensor::ones([2, 3, 8, 8]), &Mode::Eval);
    /// assert_eq!(out.y().shape(), [2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    GlobalMaxPool global_max_pool max;
    /// The mean over all space axes: `[batch, channels, space ..]` becomes `[batch, channels]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = nn::input("x", dims![_, 8, 8, 3]).layer(nn::GlobalAvgPool::new().channels_last());
    /// let out = y.apply(&Vars::default(), Tensor::ones([2, 8, 8, 3]), &Mode::Eval);
    /// assert_eq!(out.y().shape(), [2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    GlobalAvgPool global_avg_pool mean;
}

/// The norm of order `p` over all space axes, `(Σ |x|ᵖ)^(1/p)`: `[batch, channels, space ..]`
/// becomes `[batch, channels]`.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::input("x", dims![_, 1, 2]).layer(nn::GlobalLpPool::new(2.0));
/// let out = y.apply(&Vars::default(), tensor([[[3.0, 4.0]]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [5.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GlobalLpPool {
    norm: f64,
    channels_last: bool,
    keep_axes: bool,
}

impl GlobalLpPool {
    /// Creates a layer for tensors with channels at axis 1 that computes norms of order `norm`, at
    /// least 1.
    pub fn new(norm: f64) -> GlobalLpPool {
        GlobalLpPool { norm, channels_last: false, keep_axes: false }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> GlobalLpPool {
        GlobalLpPool { channels_last: true, ..self }
    }

    /// Keeps the space axes, with size 1.
    pub fn keep_axes(self) -> GlobalLpPool {
        GlobalLpPool { keep_axes: true, ..self }
    }
}

impl Layer for GlobalLpPool {
    const NAME: &'static str = "global_lp_pool";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if let Some(e) = norm_error("global_lp_pool", self.norm) {
            return Tensor::from_error(e);
        }
        let powers = at_least_f32(&x).abs().pow(self.norm);
        let sum = match space_axes("global_lp_pool", &x, self.channels_last) {
            Ok(axes) if self.keep_axes => powers.sum(keep(&axes[..])),
            Ok(axes) => powers.sum(&axes[..]),
            Err(e) => return Tensor::from_error(e),
        };
        narrow_as(&x, root(&sum, self.norm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(GlobalAvgPool::new(), &types![f32[2, 3, 4, 2]]).unwrap();
        check::layer(GlobalMaxPool::new().channels_last(), &types![f32[2, 3, 4]]).unwrap();
        check::layer(GlobalAvgPool::new().keep_axes(), &types![f32[2, 3, 4, 2]]).unwrap();
        check::layer(GlobalMaxPool::new().keep_axes(), &types![f32[2, 3, 4]]).unwrap();
        check::layer(GlobalLpPool::new(2.0), &types![f32[2, 3, 4, 2]]).unwrap();
        let last = GlobalLpPool::new(3.0).channels_last().keep_axes();
        check::layer(last, &types![f32[2, 4, 3]]).unwrap();
    }

    #[test]
    fn axes_that_are_kept_have_size_1() {
        let shape = |layer: GlobalAvgPool| {
            let vars = crate::Vars::default();
            let model = crate::input("x", neurax_tensor::dims![_, _, _, _]).layer(layer).model();
            model.apply(&vars, Tensor::ones([2, 3, 4, 5]), &crate::Mode::Eval).y().shape().to_vec()
        };
        assert_eq!(shape(GlobalAvgPool::new().keep_axes()), [2, 3, 1, 1]);
        assert_eq!(shape(GlobalAvgPool::new().keep_axes().channels_last()), [2, 1, 1, 5]);
        assert_eq!(shape(GlobalAvgPool::new().channels_last()), [2, 5]);
    }

    #[test]
    fn inputs_without_channels_and_norms_below_1_are_errors() {
        let e = check::layer(GlobalAvgPool::new(), &types![f32[3]]).unwrap_err().to_string();
        assert!(e.contains("expected an input [batch, channels, space ..], got f32[3]"), "{e}");
        let e = check::layer(GlobalLpPool::new(0.5), &types![f32[1, 2, 3]]).unwrap_err();
        assert!(e.to_string().contains("expected a finite norm of at least 1, got 0.5"), "{e}");
    }
}
