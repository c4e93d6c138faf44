//! Pooling layers: maximum and mean over windows, or over all space axes.

use crate::{Cx, Layer, Node};
use neurax_tensor::{IntoEach, Padding, Tensor, Windows};
use serde::{Deserialize, Serialize};

macro_rules! pools {
    ($($(#[$doc:meta])* $Name:ident $name:literal $method:ident: $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $Name {
            sizes: Vec<usize>,
            options: Windows,
        }

        impl $Name {
            /// Creates a layer with windows of `sizes` elements along the space axes; one number
            /// counts for all axes. The defaults are strides of the window's size and no padding.
            pub fn new(sizes: impl IntoEach) -> $Name {
                $Name { sizes: sizes.each(), options: Windows::new() }
            }

            /// Sets the distance between neighbouring windows.
            pub fn strides(self, strides: impl IntoEach) -> $Name {
                $Name { options: self.options.strides(strides), ..self }
            }

            /// Sets the padding, which counts as no element: see [`Windows::padding`].
            pub fn padding(self, padding: impl Into<Padding>) -> $Name {
                $Name { options: self.options.padding(padding), ..self }
            }

            /// Sets the distance between neighbouring elements of a window: 1 is no dilation.
            pub fn dilation(self, dilation: impl IntoEach) -> $Name {
                $Name { options: self.options.dilation(dilation), ..self }
            }

            /// Makes the channels the last axis, as in Keras and JAX.
            pub fn channels_last(self) -> $Name {
                $Name { options: self.options.channels_last(), ..self }
            }
        }

        impl Layer for $Name {
            const NAME: &'static str = $name;
            type Output = Tensor;

            fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
                x.$method(self.sizes.clone(), self.options.clone())
            }
        }

        impl Node {
            #[doc = concat!("Takes the ", $kind, " of windows of `sizes` elements along the ")]
            #[doc = concat!("space axes: see [`", stringify!($Name), "`].")]
            #[track_caller]
            pub fn $method(&self, sizes: impl IntoEach) -> Node {
                self.layer($Name::new(sizes))
            }
        }
    )*};
}

pools! {
    /// The layer of [`Tensor::max_pool`]: the maximum of each window over the space axes of
    /// `[batch, channels, space ..]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 1, 4]).layer(nn::MaxPool::new(2)).model();
    /// let x = tensor([[[1.0, 3.0, 2.0, 0.0]]]);
    /// let out = model.apply(&Vars::default(), x, &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [3.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    MaxPool "max_pool" max_pool: "maximum";
    /// The layer of [`Tensor::avg_pool`]: the mean of each window over the space axes of
    /// `[batch, channels, space ..]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 1, 4]).layer(nn::AvgPool::new(2)).model();
    /// let x = tensor([[[1.0, 3.0, 2.0, 0.0]]]);
    /// let out = model.apply(&Vars::default(), x, &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [2.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    AvgPool "avg_pool" avg_pool: "mean";
}

/// Returns the space axes: all but the batch and the channels.
fn space_axes(x: &Tensor, channels_last: bool) -> Vec<i64> {
    let first = if channels_last { 1 } else { 2 };
    let end = if channels_last { x.rank().saturating_sub(1) } else { x.rank() };
    (first..end).map(|i| i as i64).collect()
}

macro_rules! global_pools {
    ($($(#[$doc:meta])* $Name:ident $name:ident $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub struct $Name {
            channels_last: bool,
        }

        impl $Name {
            /// Creates a layer for tensors with channels at axis 1.
            pub fn new() -> $Name {
                $Name::default()
            }

            /// Makes the channels the last axis, as in Keras and JAX.
            pub fn channels_last(self) -> $Name {
                $Name { channels_last: true }
            }
        }

        impl Layer for $Name {
            const NAME: &'static str = stringify!($name);
            type Output = Tensor;

            fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
                x.$method(&space_axes(&x, self.channels_last)[..])
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(MaxPool::new(2), &types![f32[2, 3, 6]]).unwrap();
        let padded = MaxPool::new([3, 2]).strides(1).padding(Padding::Same).channels_last();
        check::layer(padded, &types![f32[1, 4, 4, 2]]).unwrap();
        check::layer(AvgPool::new(2).strides(1), &types![f32[1, 2, 3, 3]]).unwrap();
        check::layer(AvgPool::new(3).padding(Padding::Same), &types![f32[1, 2, 5]]).unwrap();
        check::layer(GlobalAvgPool::new(), &types![f32[2, 3, 4, 2]]).unwrap();
        check::layer(GlobalMaxPool::new().channels_last(), &types![f32[2, 3, 4]]).unwrap();
    }

    #[test]
    fn windows_that_do_not_fit_are_errors() {
        let e = check::layer(MaxPool::new([2, 2]), &types![f32[1, 2, 4]]).unwrap_err().to_string();
        assert!(e.contains("in layer max_pool"), "{e}");
    }
}
