//! Layers around another layer that normalize its kernel: weight and spectral normalization.
//!
//! The wrapped layer requests its kernel from [`Cx`], which applies the normalization of every
//! wrapper to each parameter whose name ends in `kernel`. So any layer can be wrapped, also one of
//! a user, and its parameters keep their paths.

use super::axes::positions;
use crate::init::{self, Init};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, LayerPrecision};
use neurax_tensor::{Error, Tensor, keep, stop_gradient};
use serde::{Deserialize, Serialize};

/// A normalization of kernels. `axis` is that of the outputs, if it is not the default one.
#[derive(Clone, Copy, Debug)]
enum KernelNorm {
    Weight { axis: Option<i64> },
    Spectral { axis: Option<i64>, iterations: usize },
}

impl KernelNorm {
    /// Runs `f`, in which kernels are normalized.
    fn within<O>(self, cx: &mut Cx, f: impl FnOnce(&mut Cx) -> O) -> O {
        cx.with_kernel_map(move |cx, name, kernel| self.apply(cx, name, kernel), f)
    }

    /// Returns the normalized kernel. `name` is that of the parameter.
    #[track_caller]
    fn apply(self, cx: &mut Cx, name: &str, kernel: &Tensor) -> Tensor {
        let (KernelNorm::Weight { axis } | KernelNorm::Spectral { axis, .. }) = self;
        // The rule of `init`: [inputs, outputs], or [outputs, inputs, window ..].
        let axis = axis.unwrap_or(if kernel.rank() == 2 { 1 } else { 0 });
        let axis = match positions("kernel_norm", kernel, &[axis]) {
            Ok(axis) => axis[0] as i64,
            Err(e) => return Tensor::from_error(e),
        };
        let wide = at_least_f32(kernel).move_axis(axis, 0);
        let outputs = wide.dim(0);
        let inputs = wide.shape()[1..].iter().product();
        let matrix = wide.reshape([outputs, inputs]);
        let normal = match self {
            KernelNorm::Weight { .. } => weight_normalized(cx, name, &matrix),
            KernelNorm::Spectral { iterations, .. } => {
                spectrally_normalized(cx, name, &matrix, iterations)
            }
        };
        narrow_as(kernel, normal.reshape(wide.shape()).move_axis(0, axis))
    }
}

/// Returns the rows of `matrix`, scaled to norms that are a parameter.
fn weight_normalized(cx: &mut Cx, name: &str, matrix: &Tensor) -> Tensor {
    let norms = matrix.square().sum(keep(-1)).maximum(f64::from(f32::MIN_POSITIVE)).sqrt();
    let start = norms.squeeze(-1);
    let init = Init::new("norms", move |_, _| start.clone());
    let scale = cx.param(&format!("{name}_scale"), matrix.dim(0), init);
    matrix / norms * scale.expand_dims(-1)
}

/// Returns `matrix` divided by its largest singular value, which `iterations` of the power method
/// approximate from the vector of the previous step on.
fn spectrally_normalized(cx: &mut Cx, name: &str, matrix: &Tensor, iterations: usize) -> Tensor {
    let unit = |x: Tensor| {
        let square = x.square().sum(..).maximum(f64::from(f32::MIN_POSITIVE));
        x / square.sqrt()
    };
    let name = format!("{name}_u");
    let stored = cx.state(&name, matrix.dim(0), init::normal(1.0));
    let fixed = stop_gradient(matrix);
    let mut u = unit(stored.to(matrix.dtype()));
    if cx.training() {
        for _ in 0..iterations {
            u = unit(fixed.matmul(unit(u.matmul(&fixed))));
        }
        cx.set(&name, u.to(stored.dtype()));
    }
    let v = unit(u.matmul(&fixed));
    matrix / (u * matrix.matmul(v)).sum(..)
}

/// A layer whose kernel is `scale · v / |v|` for each output, with the parameters `v`, called
/// `kernel` as before, and `kernel_scale`. Salimans and Kingma, 2016
/// (<https://arxiv.org/abs/1602.07868>).
///
/// The outputs are the last axis of a kernel of two axes, and the first one of others, as for
/// [`init`](crate::init); [`WeightNorm::axis`] sets another one. At the start the kernel is that of
/// the layer.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 4]).layer(nn::WeightNorm::new(Dense::new(2)));
/// let vars = model.init(key(0), &types![f32[_, 4]])?;
/// let names: Vec<&String> = vars.params["dense"].keys().collect();
/// assert_eq!(names, ["bias", "kernel", "kernel_scale"]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WeightNorm<L> {
    layer: L,
    axis: Option<i64>,
}

impl<L> WeightNorm<L> {
    /// Wraps a layer.
    pub fn new(layer: L) -> WeightNorm<L> {
        WeightNorm { layer, axis: None }
    }

    /// Sets the axis of the outputs in the kernel.
    pub fn axis(self, axis: i64) -> WeightNorm<L> {
        WeightNorm { axis: Some(axis), ..self }
    }
}

impl<L: Layer> Layer for WeightNorm<L> {
    const NAME: &'static str = L::NAME;
    type Output = L::Output;

    fn precision(&self) -> LayerPrecision {
        self.layer.precision()
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; 1]) -> L::Output {
        let norm = KernelNorm::Weight { axis: self.axis };
        norm.within(cx, |cx| self.layer.apply(cx, inputs))
    }
}

/// A layer whose kernel is divided by its largest singular value, taken as a matrix with one row
/// for each output. Miyato et al., 2018 (<https://arxiv.org/abs/1802.05957>).
///
/// Each step in training does one iteration of the power method from the state `kernel_u` on, as
/// PyTorch's `spectral_norm`; [`SpectralNorm::iterations`] sets another number. The vectors of the
/// method are constants for the gradient. The outputs are those of [`WeightNorm`].
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::SpectralNorm::new(nn::Conv::new(8, [3, 3])).iterations(2);
/// let model = nn::input("image", dims![_, 3, 8, 8]).layer(layer);
/// let vars = model.init(key(0), &types![f32[_, 3, 8, 8]])?;
/// assert_eq!(vars.state["conv"]["kernel_u"].shape(), [8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpectralNorm<L> {
    layer: L,
    axis: Option<i64>,
    iterations: usize,
}

impl<L> SpectralNorm<L> {
    /// Wraps a layer.
    pub fn new(layer: L) -> SpectralNorm<L> {
        SpectralNorm { layer, axis: None, iterations: 1 }
    }

    /// Sets the axis of the outputs in the kernel.
    pub fn axis(self, axis: i64) -> SpectralNorm<L> {
        SpectralNorm { axis: Some(axis), ..self }
    }

    /// Sets the number of iterations of the power method for each step, at least 1.
    pub fn iterations(self, iterations: usize) -> SpectralNorm<L> {
        SpectralNorm { iterations, ..self }
    }
}

impl<L: Layer> Layer for SpectralNorm<L> {
    const NAME: &'static str = L::NAME;
    type Output = L::Output;

    fn precision(&self) -> LayerPrecision {
        self.layer.precision()
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; 1]) -> L::Output {
        let inputs = match self.iterations {
            0 => {
                let why = "expected at least 1 iteration, got 0";
                [Tensor::from_error(Error::new("spectral_norm", why))]
            }
            _ => inputs,
        };
        let norm = KernelNorm::Spectral { axis: self.axis, iterations: self.iterations };
        norm.within(cx, |cx| self.layer.apply(cx, inputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conv, Dense, Mode, check, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn are_layers() {
        check::layer(WeightNorm::new(Dense::new(3)), &types![f32[2, 4]]).unwrap();
        let last = Conv::new(3, [2, 2]).channels_last();
        check::layer(WeightNorm::new(last).axis(-1), &types![f32[2, 3, 3, 2]]).unwrap();
        // The derivative of a norm with constant vectors is right when these have converged.
        let converged = SpectralNorm::new(Dense::new(2)).iterations(60);
        check::layer(converged, &types![f32[2, 3]]).unwrap();
        let both = SpectralNorm::new(WeightNorm::new(Conv::new(2, 2))).iterations(60);
        check::layer(both, &types![f32[1, 2, 3]]).unwrap();
    }

    #[test]
    fn a_weight_norm_starts_with_the_kernel_of_the_layer() {
        let x = key(1).normal([2, 4]);
        let run = |model: crate::Node| {
            let vars = model.init(key(0), &types![f32[_, 4]]).unwrap();
            model.apply(&vars, &x, &Mode::Eval).y().clone()
        };
        let plain = run(input("x", dims![_, 4]).dense(3));
        let wrapped = run(input("x", dims![_, 4]).layer(WeightNorm::new(Dense::new(3))));
        assert!(wrapped.allclose(&plain, 1e-5, 1e-6).item().unwrap() == 1.0);
    }

    #[test]
    fn a_spectral_norm_converges_over_the_steps() {
        let layer = SpectralNorm::new(Dense::new(3).bias(false));
        let model = input("x", dims![_, 3]).layer(layer).model();
        let mut vars = model.init(key(0), &types![f32[_, 3]]).unwrap();
        let eye = Tensor::eye(3);
        for _ in 0..50 {
            vars.state = model.apply(&vars, &eye, &Mode::Train(key(0))).state.clone();
        }
        let kernel = model.apply(&vars, &eye, &Mode::Eval).y().clone();
        // The largest eigenvalue of KᵀK, by its power 64.
        let square = kernel.t().matmul(&kernel);
        let largest = square.matrix_power(64).trace(0).item().unwrap().powf(1.0 / 64.0);
        assert!((largest - 1.0).abs() < 0.02, "{largest}");
    }

    #[test]
    fn invalid_options_are_errors() {
        let none = SpectralNorm::new(Dense::new(2)).iterations(0);
        let e = check::layer(none, &types![f32[1, 3]]).unwrap_err().to_string();
        assert!(e.contains("expected at least 1 iteration, got 0"), "{e}");
        let e = check::layer(WeightNorm::new(Dense::new(2)).axis(2), &types![f32[1, 3]]);
        let e = e.unwrap_err().to_string();
        assert!(e.contains("axes [2], got f32[3, 2]") && e.contains("in layer dense"), "{e}");
    }
}
