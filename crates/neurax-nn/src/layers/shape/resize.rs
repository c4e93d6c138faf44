//! Layers that resize space axes: [`Tensor::image_resize`], with the rules of PyTorch and ONNX as
//! options.

use crate::layers::axes::{describe, space_sizes};
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, Interpolation, IntoEach, ResizeOptions, Tensor};
use serde::{Deserialize, Serialize};

/// The options that [`Resize`] and [`UpSampling`] share.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SpaceOptions {
    #[serde(flatten)]
    resize: ResizeOptions,
    channels_last: bool,
}

impl SpaceOptions {
    fn new(antialias: bool) -> SpaceOptions {
        let resize = ResizeOptions::new(Interpolation::Nearest).antialias(antialias);
        SpaceOptions { resize, channels_last: false }
    }

    /// Resizes the space axes of `x` to `sizes`, for the layer `op`.
    #[track_caller]
    fn resize(&self, op: &'static str, x: &Tensor, sizes: &[usize]) -> Tensor {
        let (first, sizes) = match space_sizes(op, x, sizes, self.channels_last) {
            Ok(found) => found,
            Err(e) => return Tensor::from_error(e),
        };
        let mut shape = x.shape().to_vec();
        shape[first..first + sizes.len()].copy_from_slice(&sizes);
        x.image_resize(shape, self.resize.clone())
    }
}

/// Adds the option methods to a layer with the field `options`, a [`SpaceOptions`].
macro_rules! resize_options {
    ($Layer:ident) => {
        impl $Layer {
            /// Sets the interpolation.
            pub fn method(mut self, method: Interpolation) -> $Layer {
                self.options.resize = self.options.resize.method(method);
                self
            }

            /// Makes the channels the last axis, as in Keras and JAX.
            pub fn channels_last(mut self) -> $Layer {
                self.options.channels_last = true;
                self
            }

            /// Places the first and the last element of the result at those of the input, as
            /// PyTorch's `align_corners=True`: element `i` of `m` lies at `i (n - 1) / (m - 1)`.
            /// Not for [`Interpolation::Nearest`] and [`Interpolation::NearestFloor`].
            pub fn align_corners(mut self) -> $Layer {
                self.options.resize = self.options.resize.align_corners();
                self
            }

            /// Sets the coefficient of [`Interpolation::Cubic`], -1/2 by default. PyTorch, OpenCV
            /// and ONNX have -3/4, together with [`repeat_edge`](Self::repeat_edge) and without
            /// antialiasing.
            pub fn cubic_coefficient(mut self, a: f64) -> $Layer {
                self.options.resize = self.options.resize.cubic_coefficient(a);
                self
            }

            /// Repeats the first and the last element of an axis beyond its ends, as PyTorch does
            /// for the cubic kernel without antialiasing. By default, the kernel leaves out what
            /// is beyond the ends, as in JAX.
            pub fn repeat_edge(mut self) -> $Layer {
                self.options.resize = self.options.resize.repeat_edge();
                self
            }
        }
    };
}

/// Resizes the space axes of `x`, `[batch, channels, space ..]` or with channels last
/// `[batch, space .., channels]`, to the sizes of the layer [`Resize`]. Follows
/// `jax.image.resize` by default: with `Linear`, an element that is not finite spreads over its
/// whole row.
///
/// The dtype is kept by `Nearest` and for floats; narrow floats are computed in f32.
///
/// # Errors
/// The result carries an error if there is not a size of at least 1 for each space axis, if
/// `x` has an empty one, or if corners are to be aligned without interpolation.
///
/// ```
/// use neurax::prelude::*;
/// use nn::layers::{Interpolation, Resize, resize};
/// let x = tensor([[[1.0, 3.0]]]);
/// let nearest = resize(&x, &Resize::new(4));
/// assert_eq!(nearest.to_vec::<f32>()?, [1.0, 1.0, 3.0, 3.0]);
/// let linear = Resize::new(4).method(Interpolation::Linear);
/// assert_eq!(resize(&x, &linear).to_vec::<f32>()?, [1.0, 1.5, 2.5, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn resize(x: &Tensor, options: &Resize) -> Tensor {
    options.options.resize("resize", x, &options.sizes)
}

/// The layer of [`resize`], and its options: resizes the space axes to given sizes.
///
/// ```
/// use neurax::prelude::*;
/// // PyTorch's `bicubic`.
/// let cubic = nn::Resize::new([16, 16]).method(nn::Interpolation::Cubic);
/// let layer = cubic.cubic_coefficient(-0.75).repeat_edge().antialias(false);
/// let model = nn::input("image", dims![_, 3, _, _]).layer(layer).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 10, 20]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 3, 16, 16]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resize {
    sizes: Vec<usize>,
    #[serde(flatten)]
    options: SpaceOptions,
}

impl Resize {
    /// Creates a layer that resizes each space axis to the size that `sizes` has for it; one number
    /// counts for all axes. The defaults are the nearest element and antialiasing.
    pub fn new(sizes: impl IntoEach) -> Resize {
        Resize { sizes: sizes.each(), options: SpaceOptions::new(true) }
    }

    /// Sets whether the kernel is widened where an axis shrinks. It does not matter to
    /// [`Interpolation::Nearest`] and [`Interpolation::NearestFloor`].
    pub fn antialias(mut self, antialias: bool) -> Resize {
        self.options.resize = self.options.resize.antialias(antialias);
        self
    }
}

resize_options!(Resize);

impl Layer for Resize {
    const NAME: &'static str = "resize";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        resize(&x, self)
    }
}

/// A layer that multiplies the sizes of the space axes by integers: see [`resize`].
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("image", dims![_, 3, 4, 4]).layer(nn::UpSampling::new(2)).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 4, 4]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 3, 8, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpSampling {
    factors: Vec<usize>,
    #[serde(flatten)]
    options: SpaceOptions,
}

impl UpSampling {
    /// Creates a layer that multiplies the size of each space axis by its factor; one number counts
    /// for all axes. The default is to repeat elements.
    pub fn new(factors: impl IntoEach) -> UpSampling {
        UpSampling { factors: factors.each(), options: SpaceOptions::new(false) }
    }
}

resize_options!(UpSampling);

impl Layer for UpSampling {
    const NAME: &'static str = "up_sampling";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let shape = x.shape().to_vec();
        let first = if self.options.channels_last { 1 } else { 2 };
        let space = shape.get(first..first + shape.len().saturating_sub(2)).unwrap_or(&[]);
        let factors = match self.factors[..] {
            [one] => vec![one; space.len()],
            _ => self.factors.clone(),
        };
        if factors.len() != space.len() {
            let got = describe(&x);
            let why = format!("expected one factor for each space axis, got {factors:?} for {got}");
            return Tensor::from_error(Error::new(Self::NAME, why));
        }
        let sizes: Vec<usize> =
            space.iter().zip(&factors).map(|(n, f)| n.saturating_mul(*f)).collect();
        self.options.resize(Self::NAME, &x, &sizes)
    }
}

impl Node {
    /// Resizes the space axes to the nearest elements: see [`Resize`].
    #[track_caller]
    pub fn resize(&self, sizes: impl IntoEach) -> Node {
        self.layer(Resize::new(sizes))
    }

    /// Multiplies the sizes of the space axes by `factors`, repeating elements: see
    /// [`UpSampling`].
    #[track_caller]
    pub fn up_sampling(&self, factors: impl IntoEach) -> Node {
        self.layer(UpSampling::new(factors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{tensor, types};

    #[test]
    fn are_layers() {
        check::layer(Resize::new(5), &types![f32[2, 2, 3]]).unwrap();
        for method in [Interpolation::Linear, Interpolation::Cubic, Interpolation::Lanczos5] {
            let layer = Resize::new([5, 2]).method(method);
            check::layer(layer.clone(), &types![f32[1, 2, 3, 4]]).unwrap();
            check::layer(layer.channels_last().antialias(false), &types![f32[1, 4, 3, 2]]).unwrap();
        }
        check::layer(UpSampling::new(2), &types![f32[1, 2, 2, 1, 2]]).unwrap();
        let linear = UpSampling::new([2, 3]).method(Interpolation::Linear).channels_last();
        check::layer(linear, &types![f32[1, 2, 3, 2]]).unwrap();
    }

    #[test]
    fn options_of_other_libraries_are_layers() {
        let torch = Resize::new([5, 2]).method(Interpolation::Cubic).antialias(false);
        let torch = torch.cubic_coefficient(-0.75).repeat_edge();
        check::layer(torch.clone(), &types![f32[1, 2, 3, 4]]).unwrap();
        check::layer(torch.align_corners(), &types![f32[1, 2, 3, 4]]).unwrap();
        let floor = UpSampling::new(3).method(Interpolation::NearestFloor);
        check::layer(floor, &types![f32[1, 2, 3]]).unwrap();
        let linear = UpSampling::new(2).method(Interpolation::Linear).align_corners();
        check::layer(linear.channels_last(), &types![f32[1, 3, 2, 2]]).unwrap();
        let x = tensor([[[5.0, 6.0, 7.0]]]);
        let floor = Resize::new(2).method(Interpolation::NearestFloor);
        assert_eq!(resize(&x, &floor).to_vec::<f32>().unwrap(), [5.0, 6.0]);
        assert_eq!(resize(&x, &Resize::new(2)).to_vec::<f32>().unwrap(), [5.0, 7.0]);
    }

    #[test]
    fn one_aligned_element_is_that_of_the_first_corner() {
        let x = tensor([[[[5.0, 6.0, 7.0], [8.0, 9.0, 4.0]]]]);
        for method in [Interpolation::Linear, Interpolation::Cubic, Interpolation::Lanczos3] {
            let aligned = |sizes: [usize; 2]| {
                Resize::new(sizes).method(method).antialias(false).align_corners()
            };
            let near = |sizes, want: Tensor| {
                let y = resize(&x, &aligned(sizes));
                let close = y.flatten().allclose(want, 1e-5, 1e-5).item().unwrap() == 1.0;
                assert!(close, "{method:?}: {y}");
            };
            near([1, 1], tensor([5.0]));
            // Along the other axis, the corners are the first and the last element.
            near([1, 2], tensor([5.0, 7.0]));
            near([2, 1], tensor([5.0, 8.0]));
            check::layer(aligned([1, 2]), &types![f32[1, 2, 3, 4]]).unwrap();
        }
        let linear = Resize::new([1, 1]).method(Interpolation::Linear).align_corners();
        let wide = resize(&x, &linear).to_vec::<f32>().unwrap();
        assert_eq!(wide, [5.0], "the distance of elements is 0, so antialiasing widens nothing");
    }

    #[test]
    fn options_that_do_not_fit_are_errors() {
        let e = check::layer(UpSampling::new([2, 2]), &types![f32[1, 2, 4]]).unwrap_err();
        assert!(e.to_string().contains("got [2, 2] for f32[1, 2, 4]"), "{e}");
        let e = check::layer(Resize::new(2).align_corners(), &types![f32[1, 2, 4]]).unwrap_err();
        assert!(e.to_string().contains("an interpolation to align corners, got Nearest"), "{e}");
        let bad = Resize::new(2).method(Interpolation::Cubic).cubic_coefficient(f64::NAN);
        let e = check::layer(bad, &types![f32[1, 2, 4]]).unwrap_err().to_string();
        assert!(e.contains("a finite coefficient of the cubic kernel, got NaN"), "{e}");
    }

    #[test]
    fn files_without_the_options_are_read() {
        let json = r#"{"sizes":[2],"method":"cubic","antialias":true,"channels_last":false}"#;
        let layer: Resize = serde_json::from_str(json).unwrap();
        let x = tensor([[[1.0, 4.0, 2.0]]]);
        let want = resize(&x, &Resize::new(2).method(Interpolation::Cubic));
        let y = resize(&x, &layer);
        assert_eq!(y.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
        let json = r#"{"factors":[2],"method":"nearest","channels_last":true}"#;
        assert!(serde_json::from_str::<UpSampling>(json).is_ok());
    }
}
