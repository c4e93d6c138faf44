//! Layers around another layer that normalize its kernel: weight and spectral normalization.
//!
//! The wrapped layer requests its kernel from [`Cx`], which applies the normalization of every
//! wrapper to each parameter whose name ends in `kernel`. So any layer can be wrapped, also one of
//! a user, and its parameters keep their paths.

use super::axes::{describe, positions};
use crate::init::{Init, KernelAxes};
use crate::model_layer::ModelLayer;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, LayerPrecision, MaskRule};
use neurax_tensor::{Error, Key, Result, Tensor, keep, stop_gradient};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The iterations of the power method when a spectral normalization is initialized, those of
/// PyTorch.
const INITIAL_ITERATIONS: usize = 15;

/// A normalization of kernels. `axis` is that of the outputs, if it is not that of the layer.
#[derive(Clone, Copy, Debug)]
enum KernelNorm {
    Weight { axis: Option<i64> },
    Spectral { axis: Option<i64>, iterations: usize },
}

impl KernelNorm {
    /// Returns the rule of masks of a layer with the rule `of_layer` whose kernels are normalized.
    fn mask_rule(self, of_layer: MaskRule) -> MaskRule {
        match of_layer {
            MaskRule::Take(taken) => {
                MaskRule::Take(taken.map(|layer| Arc::new(Normalized { norm: self, layer })))
            }
            other => other,
        }
    }

    /// Runs `f`, in which kernels are normalized.
    fn within<O>(self, cx: &mut Cx, f: impl FnOnce(&mut Cx) -> O) -> O {
        cx.with_kernel_map(move |cx, name, kernel, axes| self.apply(cx, name, kernel, axes), f)
    }

    /// Returns the normalized kernel. `name` is that of the parameter.
    #[track_caller]
    fn apply(self, cx: &mut Cx, name: &str, kernel: &Tensor, axes: KernelAxes) -> Tensor {
        let (KernelNorm::Weight { axis } | KernelNorm::Spectral { axis, .. }) = self;
        if let KernelNorm::Spectral { iterations: 0, .. } = self {
            let why = "expected at least 1 iteration, got 0";
            return Tensor::from_error(Error::new("spectral_norm", why));
        }
        let axes = axis.map_or(axes, |outputs| KernelAxes { outputs, batch: None });
        let front = match front_axes(kernel, axes) {
            Ok(front) => front,
            Err(e) => return Tensor::from_error(e),
        };
        let (order, back) = order_from(&front, kernel.rank());
        let wide = at_least_f32(kernel).permute(&order[..]);
        let sizes = wide.shape();
        let (rows, inputs) = sizes.split_at(front.len());
        let matrices = wide.reshape([rows, &[inputs.iter().product()]].concat());
        let normal = match self {
            KernelNorm::Weight { .. } => weight_normalized(cx, name, &matrices),
            KernelNorm::Spectral { iterations, .. } => {
                spectrally_normalized(cx, name, &matrices, iterations)
            }
        };
        narrow_as(kernel, normal.reshape(wide.shape()).permute(&back[..]))
    }
}

/// The replacement of a wrapped layer that takes a mask.
struct Normalized {
    norm: KernelNorm,
    layer: Arc<dyn ModelLayer>,
}

impl ModelLayer for Normalized {
    fn kind(&self) -> &str {
        self.layer.kind()
    }

    fn precision(&self) -> LayerPrecision {
        self.layer.precision()
    }

    fn apply(&self, cx: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        self.norm.within(cx, |cx| self.layer.apply(cx, inputs))
    }
}

/// Returns the positions of the axis of separate kernels, if there is one, and of the outputs.
fn front_axes(kernel: &Tensor, axes: KernelAxes) -> Result<Vec<usize>> {
    let Some(batch) = axes.batch else {
        return positions("kernel_norm", kernel, &[axes.outputs]);
    };
    let batch = positions("kernel_norm", kernel, &[batch])?[0];
    // The axis of the outputs is counted without that of separate kernels.
    let others: Vec<usize> = (0..kernel.rank()).filter(|&i| i != batch).collect();
    let from_end = if axes.outputs < 0 { others.len() as i64 } else { 0 };
    let outputs = usize::try_from(axes.outputs + from_end).ok().and_then(|i| others.get(i));
    let missing = || {
        let (axis, ty) = (axes.outputs, describe(kernel));
        Error::new("kernel_norm", format!("expected separate kernels with axis {axis}, got {ty}"))
    };
    Ok(vec![batch, *outputs.ok_or_else(missing)?])
}

/// Returns the permutation that moves the axes `front` to the front, and its inverse.
fn order_from(front: &[usize], rank: usize) -> (Vec<i64>, Vec<i64>) {
    let rest = (0..rank).filter(|i| !front.contains(i));
    let order: Vec<usize> = front.iter().copied().chain(rest).collect();
    let mut back = vec![0; rank];
    for (i, &axis) in order.iter().enumerate() {
        back[axis] = i as i64;
    }
    (order.iter().map(|&i| i as i64).collect(), back)
}

/// Returns the rows of `matrices`, `[.., outputs, inputs]`, scaled to norms that are a parameter.
fn weight_normalized(cx: &mut Cx, name: &str, matrices: &Tensor) -> Tensor {
    let norms = matrices.square().sum(keep(-1)).maximum(f64::from(f32::MIN_POSITIVE)).sqrt();
    let start = norms.squeeze(-1);
    let shape = start.shape().to_vec();
    let init = Init::new("norms", move |_, _| start.clone());
    let scale = cx.param(&format!("{name}_scale"), shape, init);
    matrices / norms * scale.expand_dims(-1)
}

/// Returns `matrices`, `[.., outputs, inputs]`, each divided by its largest singular value, which
/// `iterations` of the power method approximate from the vector of the previous step on.
fn spectrally_normalized(cx: &mut Cx, name: &str, matrices: &Tensor, iterations: usize) -> Tensor {
    let name = format!("{name}_u");
    let fixed = stop_gradient(matrices);
    let start = fixed.clone();
    let init = Init::new("power_iteration", move |key: &Key, shape: &[usize]| {
        iterated(unit(key.normal(shape).to(start.dtype())), &start, INITIAL_ITERATIONS)
    });
    let shape = matrices.shape().split_last().map_or(vec![], |(_, rows)| rows.to_vec());
    let stored = cx.state(&name, shape, init);
    let mut u = unit(stored.to(matrices.dtype()));
    if cx.training() {
        u = iterated(u, &fixed, iterations);
        cx.set(&name, u.to(stored.dtype()));
    }
    let v = right_vector(&u, &fixed);
    let products = matrices.matmul(v.expand_dims(-1)).squeeze(-1);
    matrices / (u * products).sum(keep(-1)).expand_dims(-1)
}

/// Returns vectors of length 1 with the directions of the rows of `x`.
fn unit(x: Tensor) -> Tensor {
    let square = x.square().sum(keep(-1)).maximum(f64::from(f32::MIN_POSITIVE));
    x / square.sqrt()
}

/// Returns the vectors `u` after `iterations` of the power method.
fn iterated(u: Tensor, matrices: &Tensor, iterations: usize) -> Tensor {
    (0..iterations).fold(u, |u, _| {
        let v = right_vector(&u, matrices);
        unit(matrices.matmul(v.expand_dims(-1)).squeeze(-1))
    })
}

/// Returns the directions of `u · matrices`.
fn right_vector(u: &Tensor, matrices: &Tensor) -> Tensor {
    unit(u.expand_dims(-2).matmul(matrices).squeeze(-2))
}

/// A layer whose kernel is `scale · v / |v|` for each output, with the parameters `v`, called
/// `kernel` as before, and `kernel_scale`. Salimans and Kingma, 2016
/// (<https://arxiv.org/abs/1602.07868>).
///
/// The axis of the outputs is that of the layer: the last one of dense layers and of convolutions
/// with channels last, axis 0 of other convolutions, and axis 1, or the last but one with channels
/// last, of transposed ones, and the last output axis of [`EinsumDense`](crate::EinsumDense). The
/// kernel of a layer of a user has the layout of [`init`](crate::init), or that of
/// [`Init::axes`](crate::init::Init::axes). [`WeightNorm::axis`] sets another axis: PyTorch's
/// `weight_norm` takes axis 0 of transposed convolutions. At the start the kernel is that of the
/// layer.
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

    fn norm(&self) -> KernelNorm {
        KernelNorm::Weight { axis: self.axis }
    }
}

impl<L: Layer> Layer for WeightNorm<L> {
    const NAME: &'static str = L::NAME;
    const PRECISION: LayerPrecision = L::PRECISION;
    type Output = L::Output;

    fn precision(&self) -> LayerPrecision {
        self.layer.precision()
    }

    fn mask_rule(&self) -> MaskRule {
        self.norm().mask_rule(self.layer.mask_rule())
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; 1]) -> L::Output {
        self.norm().within(cx, |cx| self.layer.apply(cx, inputs))
    }
}

/// A layer whose kernel is divided by its largest singular value, taken as a matrix with one row
/// for each output. Miyato et al., 2018 (<https://arxiv.org/abs/1802.05957>).
///
/// Each step in training does one iteration of the power method from the state `kernel_u` on, as
/// PyTorch's `spectral_norm`; [`SpectralNorm::iterations`] sets another number. The first state is
/// that after 15 iterations from a random vector, as in PyTorch. The vectors of the method are
/// constants for the gradient. The axis of the outputs is that of [`WeightNorm`].
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

    fn norm(&self) -> KernelNorm {
        KernelNorm::Spectral { axis: self.axis, iterations: self.iterations }
    }
}

impl<L: Layer> Layer for SpectralNorm<L> {
    const NAME: &'static str = L::NAME;
    const PRECISION: LayerPrecision = L::PRECISION;
    type Output = L::Output;

    fn precision(&self) -> LayerPrecision {
        self.layer.precision()
    }

    fn mask_rule(&self) -> MaskRule {
        self.norm().mask_rule(self.layer.mask_rule())
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; 1]) -> L::Output {
        self.norm().within(cx, |cx| self.layer.apply(cx, inputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Conv, ConvTranspose, Dense, DepthwiseConv, EinsumDense, Lstm, MixtureOfExperts, Mode,
        SeparableConv, check, init, input,
    };
    use neurax_tensor::{dims, key, tensor, types};

    #[test]
    fn are_layers() {
        check::layer(WeightNorm::new(Dense::new(3)), &types![f32[2, 4]]).unwrap();
        let last = Conv::new(3, [2, 2]).channels_last();
        check::layer(WeightNorm::new(last), &types![f32[2, 3, 3, 2]]).unwrap();
        let transposed = WeightNorm::new(ConvTranspose::new(3, 2)).axis(0);
        check::layer(transposed, &types![f32[2, 2, 3]]).unwrap();
        check::layer(WeightNorm::new(MixtureOfExperts::new(2, 3)), &types![f32[2, 3]]).unwrap();
        // All kernels have rank one, of which one iteration finds the vectors.
        let expert = SpectralNorm::new(MixtureOfExperts::new(1, 1).top(1));
        check::layer(expert, &types![f32[2, 3]]).unwrap();
        // The derivative of a norm with constant vectors is right when these have converged.
        let converged = SpectralNorm::new(Dense::new(2)).iterations(60);
        check::layer(converged, &types![f32[2, 3]]).unwrap();
        let both = SpectralNorm::new(WeightNorm::new(Conv::new(2, 2))).iterations(60);
        check::layer(both, &types![f32[1, 2, 3]]).unwrap();
    }

    #[test]
    fn recurrent_layers_take_masks_and_stay_normalized() {
        fn check_norm(layer: impl Layer<1, Output = Tensor> + Clone, normalized: &str) {
            let x = input("x", dims![_, _, 3]);
            let mask = input("mask", dims![_, _]);
            let plain = x.layer(layer.clone()).model();
            let masked = x.with_mask(&mask).layer(layer).model();
            let vars = masked.init(key(0), &types![f32[_, _, 3], bool[_, _]]).unwrap();
            let names = [&vars.params, &vars.state].map(|v| v.get("lstm"));
            assert!(names.iter().flatten().any(|v| v.contains_key(normalized)), "{vars:?}");
            let x = key(1).normal([2, 3, 3]);
            let keep = tensor([[true, true, false], [true, true, false]]);
            let found = masked.apply(&vars, [&x, &keep], &Mode::Eval);
            let want = plain.apply(&vars, x.slice(1, ..2), &Mode::Eval);
            let found = found.y().slice(1, ..2);
            assert_eq!(found.allclose(want.y(), 1e-6, 1e-6).item().unwrap(), 1.0);
        }
        check_norm(WeightNorm::new(Lstm::new(2)), "kernel_scale");
        check_norm(SpectralNorm::new(Lstm::new(2)), "kernel_u");
    }

    #[test]
    fn the_axis_of_the_outputs_is_that_of_the_layer() {
        // The variables of a layer on eight channels, of which no other axis has the size.
        fn scales(layer: impl Layer<1, Output = Tensor>, last: bool) -> Vec<Vec<usize>> {
            let (types, dims) = match last {
                true => (types![f32[1, 9, 9, 8]], dims![_, 9, 9, 8]),
                false => (types![f32[1, 8, 9, 9]], dims![_, 8, 9, 9]),
            };
            let vars = input("x", dims).layer(layer).init(key(0), &types).unwrap();
            let scales = vars.params.values().flatten().filter(|(n, _)| n.ends_with("_scale"));
            scales.map(|(_, scale)| scale.shape().to_vec()).collect()
        }
        let conv = || Conv::new(5, 3);
        let transposed = || ConvTranspose::new(5, 3);
        let depthwise = || DepthwiseConv::new(2, 3);
        assert_eq!(scales(WeightNorm::new(conv()), false), [[5]]);
        assert_eq!(scales(WeightNorm::new(conv().channels_last()), true), [[5]]);
        assert_eq!(scales(WeightNorm::new(transposed()), false), [[5]]);
        assert_eq!(scales(WeightNorm::new(transposed().channels_last()), true), [[5]]);
        assert_eq!(scales(WeightNorm::new(depthwise()), false), [[16]]);
        assert_eq!(scales(WeightNorm::new(depthwise().channels_last()), true), [[16]]);
        let separable = WeightNorm::new(SeparableConv::new(5, 3).channels_last());
        assert_eq!(scales(separable, true), [[8], [5]]);
        // The axes of a user's initializer do not matter.
        let named = conv().channels_last().kernel(init::he_normal().axes(-1, -2));
        assert_eq!(scales(WeightNorm::new(named), true), [[5]]);
        assert_eq!(scales(WeightNorm::new(transposed()).axis(0), false), [[8]]);
        let einsum = EinsumDense::new("bchw,cd->bdhw", [('d', 5)]);
        assert_eq!(scales(WeightNorm::new(einsum), false), [[5]]);
        let heads = EinsumDense::new("bchw,cdk->bdkhw", [('d', 5), ('k', 3)]);
        assert_eq!(scales(WeightNorm::new(heads), false), [[3]]);
        let experts =
            crate::input("x", dims![_, 8]).layer(WeightNorm::new(MixtureOfExperts::new(2, 5)));
        let vars = experts.0.init(key(0), &types![f32[_, 8]]).unwrap();
        let scale = |name: &str| vars.params["mixture_of_experts"][name].shape().to_vec();
        assert_eq!(scale("hidden_kernel_scale"), [2, 5]);
        assert_eq!(scale("output_kernel_scale"), [2, 8]);
        let experts = input("x", dims![_, 8]).layer(SpectralNorm::new(MixtureOfExperts::new(2, 5)));
        let vars = experts.0.init(key(0), &types![f32[_, 8]]).unwrap();
        assert_eq!(vars.state["mixture_of_experts"]["hidden_kernel_u"].shape(), [2, 5]);
    }

    #[test]
    fn a_spectral_norm_starts_near_the_largest_singular_value() {
        let kernel = tensor([[3.0, 0.0], [0.0, -1.0], [0.0, 0.0]]);
        let init = Init::new("diagonal", move |_, _| kernel.clone());
        let layer = SpectralNorm::new(Dense::new(2).kernel(init).bias(false));
        let model = input("x", dims![_, 3]).layer(layer).model();
        for seed in 0..5 {
            let vars = model.init(key(seed), &types![f32[_, 3]]).unwrap();
            let y = model.apply(&vars, Tensor::eye(3), &Mode::Eval).y().to_vec::<f32>().unwrap();
            let want = [1.0, 0.0, 0.0, -1.0 / 3.0, 0.0, 0.0];
            assert!(y.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4), "{seed}: {y:?}");
        }
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
