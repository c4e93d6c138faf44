//! Pooling layers: maximum and mean over windows. Norms over windows, adaptive and global pools are
//! in the files of this folder.

mod adaptive;
mod blur;
mod fractional;
mod global;
mod lp;
mod unpool;

pub use adaptive::{AdaptiveAvgPool, AdaptiveLpPool, AdaptiveMaxPool};
pub use blur::{BlurPool, blur_pool};
pub use fractional::{FractionalMaxPool, fractional_max_pool};
pub use global::{GlobalAvgPool, GlobalLpPool, GlobalMaxPool};
pub use lp::{LpPool, lp_pool};
pub use unpool::{MaxPoolWithIndices, MaxUnpool, max_unpool};

use crate::layers::conv::if_fitting;
use crate::{Cx, Layer, Node};
use neurax_tensor::{IntoEach, Padding, Tensor, Windows};
use serde::{Deserialize, Serialize};

/// Adds the option methods to a layer with a field `options`.
macro_rules! pool_options {
    ($Name:ident) => {
        impl $Name {
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

            /// Keeps a last window that reaches beyond the input: see [`Windows::ceil_mode`].
            pub fn ceil_mode(self) -> $Name {
                $Name { options: self.options.ceil_mode(), ..self }
            }

            /// Makes the channels the last axis, as in Keras and JAX.
            pub fn channels_last(self) -> $Name {
                $Name { options: self.options.channels_last(), ..self }
            }
        }
    };
}
use pool_options;

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
        }

        pool_options!($Name);

        impl Layer for $Name {
            const NAME: &'static str = $name;
            type Output = Tensor;

            fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
                let y = x.$method(self.sizes.clone(), self.options.clone());
                if_fitting(cx, $name, y, &x, &self.sizes, &self.options)
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

impl AvgPool {
    /// Counts padding as zeros, as PyTorch does by default: see [`Windows::count_padding`].
    pub fn count_padding(self) -> AvgPool {
        AvgPool { options: self.options.count_padding(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConvTranspose, Mode, check};
    use neurax_tensor::{Dim, key, types};

    #[test]
    fn are_layers() {
        check::layer(MaxPool::new(2), &types![f32[2, 3, 6]]).unwrap();
        let padded = MaxPool::new([3, 2]).strides(1).padding(Padding::Same).channels_last();
        check::layer(padded, &types![f32[1, 4, 4, 2]]).unwrap();
        check::layer(AvgPool::new(2).strides(1), &types![f32[1, 2, 3, 3]]).unwrap();
        check::layer(AvgPool::new(3).padding(Padding::Same), &types![f32[1, 2, 5]]).unwrap();
        let padded = AvgPool::new(3).strides(2).padding(1).ceil_mode();
        check::layer(padded.clone(), &types![f32[1, 2, 6]]).unwrap();
        check::layer(padded.count_padding().channels_last(), &types![f32[1, 6, 5, 2]]).unwrap();
    }

    #[test]
    fn windows_larger_than_the_input_are_errors() {
        let run = |layer: &dyn Fn(Node) -> Node, shape: [usize; 3]| {
            let model = layer(crate::input("x", vec![Dim::Any; 3])).model();
            let vars = model.init(key(0), &types![f32[1, 2, 9]]).unwrap();
            model.apply(&vars, Tensor::ones(shape), &Mode::Eval).y().clone()
        };
        let layers: [(&str, &dyn Fn(Node) -> Node); 5] = [
            ("max_pool", &|x| x.max_pool(3)),
            ("avg_pool", &|x| x.layer(AvgPool::new(2).dilation(2))),
            ("lp_pool", &|x| x.lp_pool(2.0, 3)),
            ("conv", &|x| x.conv(4, 3)),
            ("conv_transpose", &|x| x.layer(ConvTranspose::new(4, 1).padding(1))),
        ];
        for (name, layer) in layers {
            let e = run(layer, [1, 2, 2]).error().map(|e| e.to_string()).unwrap();
            let has = |part: &str| assert!(e.contains(part), "{name}: {e}");
            has("expected windows that fit into the input, got windows of [");
            has("elements and an input f32[1, 2, 2]");
            has(&format!("in layer {name}"));
            let empty = run(layer, [0, 2, 9]);
            assert!(empty.error().is_none() && empty.dim(0) == 0, "{name}: {empty}");
        }
    }

    #[test]
    fn windows_that_do_not_fit_are_errors() {
        let e = check::layer(MaxPool::new([2, 2]), &types![f32[1, 2, 4]]).unwrap_err().to_string();
        assert!(e.contains("in layer max_pool"), "{e}");
        let empty = AvgPool::new(0);
        assert!(check::layer(empty, &types![f32[1, 2, 4]]).is_err());
    }
}
