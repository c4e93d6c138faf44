//! Pooling to a given size.
//!
//! An axis of `n` elements is divided into `m` windows that may overlap: window `i` reaches from
//! `⌊i n / m⌋` up to `⌈(i + 1) n / m⌉`, as in PyTorch. Windows are products of intervals, so one
//! axis is reduced after the other.

use super::lp::{norm_error, root};
use crate::layers::axes::space_sizes;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, Node};
use neurax_tensor::{IntoEach, Tensor, concat, keep};
use serde::{Deserialize, Serialize};

/// Reduces each space axis of `x` to the size that `sizes` has for it.
#[track_caller]
fn adaptive(
    op: &'static str,
    x: &Tensor,
    sizes: &[usize],
    channels_last: bool,
    reduce: fn(&Tensor, i64) -> Tensor,
) -> Tensor {
    let (first, sizes) = match space_sizes(op, x, sizes, channels_last) {
        Ok(found) => found,
        Err(e) => return Tensor::from_error(e),
    };
    let mut y = x.clone();
    for (i, &size) in sizes.iter().enumerate() {
        y = adaptive_axis(&y, first + i, size, reduce);
    }
    y
}

/// Reduces an axis to `size` elements.
#[track_caller]
fn adaptive_axis(
    x: &Tensor,
    axis: usize,
    size: usize,
    reduce: fn(&Tensor, i64) -> Tensor,
) -> Tensor {
    let n = x.shape()[axis];
    let mut shape = x.shape().to_vec();
    if n.is_multiple_of(size) {
        shape.splice(axis..=axis, [size, n / size]);
        let windows = x.reshape(&shape);
        shape.remove(axis + 1);
        return reduce(&windows, axis as i64 + 1).reshape(shape);
    }
    let windows = (0..size).map(|i| {
        let (start, end) = (i * n / size, ((i + 1) * n).div_ceil(size));
        reduce(&x.slice(axis as i64, start as i64..end as i64), axis as i64)
    });
    concat(windows, axis as i64)
}

macro_rules! adaptive_pools {
    ($($(#[$doc:meta])* $Name:ident $name:literal $method:ident: $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $Name {
            sizes: Vec<usize>,
            channels_last: bool,
        }

        impl $Name {
            /// Creates a layer that reduces each space axis to the size that `sizes` has for it;
            /// one number counts for all axes. The channels are at axis 1.
            pub fn new(sizes: impl IntoEach) -> $Name {
                $Name { sizes: sizes.each(), channels_last: false }
            }

            /// Makes the channels the last axis, as in Keras and JAX.
            pub fn channels_last(self) -> $Name {
                $Name { channels_last: true, ..self }
            }
        }

        impl Layer for $Name {
            const NAME: &'static str = $name;
            type Output = Tensor;

            fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
                let reduce = |x: &Tensor, axis| x.$method(keep(axis));
                adaptive($name, &x, &self.sizes, self.channels_last, reduce)
            }
        }
    )*};
}

adaptive_pools! {
    /// The mean of windows that divide the space axes into a given number: `[batch, channels,
    /// space ..]` becomes `[batch, channels, sizes ..]`. The windows are those of PyTorch.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 1, _]).layer(nn::AdaptiveAvgPool::new(2)).model();
    /// let x = tensor([[[1.0, 2.0, 3.0]]]);
    /// let out = model.apply(&Vars::default(), x, &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [1.5, 2.5]);
    /// # Ok::<(), Error>(())
    /// ```
    AdaptiveAvgPool "adaptive_avg_pool" mean: "mean";
    /// The maximum of windows that divide the space axes into a given number: `[batch, channels,
    /// space ..]` becomes `[batch, channels, sizes ..]`. The windows are those of PyTorch.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 1, _]).layer(nn::AdaptiveMaxPool::new(2)).model();
    /// let x = tensor([[[1.0, 3.0, 2.0]]]);
    /// let out = model.apply(&Vars::default(), x, &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [3.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    AdaptiveMaxPool "adaptive_max_pool" max: "maximum";
}

/// The norm of windows that divide the space axes into a given number: `[batch, channels,
/// space ..]` becomes `[batch, channels, sizes ..]`. The windows are those of
/// [`AdaptiveAvgPool`].
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 1, _]).layer(nn::AdaptiveLpPool::new(2.0, 1)).model();
/// let out = model.apply(&Vars::default(), tensor([[[3.0, 4.0]]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [5.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdaptiveLpPool {
    norm: f64,
    sizes: Vec<usize>,
    channels_last: bool,
}

impl AdaptiveLpPool {
    /// Creates a layer that computes norms of order `norm`, at least 1, and reduces each space axis
    /// to the size that `sizes` has for it; one number counts for all axes.
    pub fn new(norm: f64, sizes: impl IntoEach) -> AdaptiveLpPool {
        AdaptiveLpPool { norm, sizes: sizes.each(), channels_last: false }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> AdaptiveLpPool {
        AdaptiveLpPool { channels_last: true, ..self }
    }
}

impl Layer for AdaptiveLpPool {
    const NAME: &'static str = "adaptive_lp_pool";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if let Some(e) = norm_error("adaptive_lp_pool", self.norm) {
            return Tensor::from_error(e);
        }
        let powers = at_least_f32(&x).abs().pow(self.norm);
        let sum = |x: &Tensor, axis| x.sum(keep(axis));
        let sums = adaptive("adaptive_lp_pool", &powers, &self.sizes, self.channels_last, sum);
        narrow_as(&x, root(&sums, self.norm))
    }
}

impl Node {
    /// Takes the mean of windows that divide the space axes into `sizes`: see [`AdaptiveAvgPool`].
    #[track_caller]
    pub fn adaptive_avg_pool(&self, sizes: impl IntoEach) -> Node {
        self.layer(AdaptiveAvgPool::new(sizes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(AdaptiveAvgPool::new([3, 2]), &types![f32[2, 2, 5, 4]]).unwrap();
        check::layer(AdaptiveAvgPool::new(1).channels_last(), &types![f32[2, 5, 4, 2]]).unwrap();
        check::layer(AdaptiveMaxPool::new(3), &types![f32[2, 2, 7]]).unwrap();
        check::layer(AdaptiveMaxPool::new([2, 3, 1]), &types![f32[1, 1, 2, 4, 3]]).unwrap();
        check::layer(AdaptiveLpPool::new(2.0, 3), &types![f32[2, 2, 7]]).unwrap();
        check::layer(AdaptiveLpPool::new(3.0, 5).channels_last(), &types![f32[1, 4, 2]]).unwrap();
    }
}
