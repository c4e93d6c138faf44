//! Batch normalization.

use super::axes::{describe, position};
use super::scale_bias::{ScaleBiasOptions, scale_bias_options};
use crate::precision::at_least_f32;
use crate::{Cx, Layer, LayerPrecision, Node, init};
use neurax_tensor::{Error, Tensor, keep, pmean, psum};
use serde::{Deserialize, Serialize};

/// Computes `(x - mean) / sqrt(var + epsilon) · scale + bias` for each channel of axis `axis`:
/// `mean`, `var`, `scale` and `bias` have one element for each channel. Ioffe and Szegedy, Batch
/// Normalization (<https://arxiv.org/abs/1502.03167>).
///
/// If `x` is a float of fewer than 32 bits, everything is computed in f32, and the result is
/// rounded once to the dtype of `x`.
///
/// # Errors
/// The result carries an error if `x` has no axis `axis`.
///
/// ```
/// use neurax::prelude::*;
/// let (mean, var) = (tensor([1.0, 10.0]), tensor([4.0, 1.0]));
/// let (scale, bias) = (Tensor::ones(2), tensor([0.0, 0.5]));
/// let x = tensor([[3.0, 10.0]]);
/// let y = nn::layers::batch_norm(&x, &mean, &var, &scale, &bias, 1, 0.0);
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 0.5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn batch_norm(
    x: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    scale: &Tensor,
    bias: &Tensor,
    axis: i64,
    epsilon: f64,
) -> Tensor {
    match position(x, axis) {
        Some(axis) => x.batch_norm_inference(scale, bias, mean, var, axis as i64, epsilon),
        None => no_axis(x, axis),
    }
}

/// Returns the error of an axis that `x` lacks.
fn no_axis(x: &Tensor, axis: i64) -> Tensor {
    let got = describe(x);
    let why = format!("expected an input with the axis {axis} for its channels, got {got}");
    Tensor::from_error(Error::new("batch_norm", why))
}

/// The layer of [`batch_norm`], with parameters `scale` and `bias`, and the state `mean` and `var`.
///
/// In training, mean and variance are those of the batch, over all axes but that of the channels,
/// and the running statistics move towards them: `momentum · old + (1 - momentum) · new`, with the
/// variance divided by the number of elements, as in Keras and Flax; see
/// [`unbiased_variance`](Self::unbiased_variance) for PyTorch, whose `momentum` is `1 - momentum`
/// here. In evaluation, the running statistics are used. A batch without elements leaves them as
/// they are.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("image", dims![_, 8, 8, 3]).layer(nn::BatchNorm::new().axis(-1));
/// let vars = model.init(key(0), &types![f32[_, 8, 8, 3]])?;
/// assert_eq!(vars.params["batch_norm"]["scale"].shape(), [3]);
/// let out = model.apply(&vars, Tensor::ones([2, 8, 8, 3]), &Mode::Train(key(1)));
/// assert_eq!(out.state["batch_norm"]["mean"].to_vec::<f32>()?, [0.1; 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BatchNorm {
    axis: i64,
    momentum: f64,
    epsilon: f64,
    #[serde(flatten)]
    options: ScaleBiasOptions,
    synced: Option<String>,
    #[serde(default)]
    unbiased: bool,
}

impl BatchNorm {
    /// Creates a layer with channels at axis 1, a momentum of 0.9 and an epsilon of 1e-5.
    pub fn new() -> BatchNorm {
        let options = ScaleBiasOptions::new();
        BatchNorm { axis: 1, momentum: 0.9, epsilon: 1e-5, options, synced: None, unbiased: false }
    }

    /// Sets the axis of the channels; -1 is the last one.
    pub fn axis(self, axis: i64) -> BatchNorm {
        BatchNorm { axis, ..self }
    }

    /// Sets the part of the running statistics that a training step keeps.
    pub fn momentum(self, momentum: f64) -> BatchNorm {
        BatchNorm { momentum, ..self }
    }

    /// Divides the variance of the running statistics by one less than the number of elements, as
    /// PyTorch does. That of the batch in training is divided by their number all the same.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let norm = nn::BatchNorm::new().unbiased_variance().momentum(0.0);
    /// let model = nn::input("x", dims![_, 1]).layer(norm).model();
    /// let vars = model.init(key(0), &types![f32[_, 1]])?;
    /// let out = model.apply(&vars, tensor([[1.0], [3.0]]), &Mode::Train(key(1)));
    /// assert_eq!(out.state["batch_norm"]["var"].to_vec::<f32>()?, [2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn unbiased_variance(self) -> BatchNorm {
        BatchNorm { unbiased: true, ..self }
    }

    /// Sets the constant that is added to the variance.
    pub fn epsilon(self, epsilon: f64) -> BatchNorm {
        BatchNorm { epsilon, ..self }
    }

    /// Computes mean and variance in training over all members of the axis that
    /// [`vmap_with`](neurax_tensor::vmap_with) calls `axis`, as if their batches, of equal sizes,
    /// were one: PyTorch's `SyncBatchNorm`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 1]).layer(nn::BatchNorm::new().synced("parts")).model();
    /// let vars = model.init(key(0), &types![f32[_, 1]])?;
    /// let apply = |x: Tensor| model.apply(&vars, x, &Mode::Train(key(0))).y().clone();
    /// let axes = Axes { name: Some("parts"), ..Axes::default() };
    /// let y = vmap_with(apply, axes).run(tensor([[[1.0], [1.0]], [[3.0], [3.0]]]))?;
    /// assert_eq!(y.round().to_vec::<f32>()?, [-1.0, -1.0, 1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn synced(self, axis: &str) -> BatchNorm {
        BatchNorm { synced: Some(axis.into()), ..self }
    }

    /// Normalizes `x` with the statistics of the batch. Returns the result, the mean and the
    /// variance of each channel.
    #[track_caller]
    fn train(
        &self,
        x: &Tensor,
        scale: &Tensor,
        bias: &Tensor,
        axis: usize,
    ) -> (Tensor, Tensor, Tensor) {
        let Some(name) = &self.synced else {
            return x.batch_norm_training(scale, bias, axis as i64, self.epsilon);
        };
        let wide = at_least_f32(x);
        let others: Vec<i64> = (0..x.rank()).filter(|&i| i != axis).map(|i| i as i64).collect();
        let mean = pmean(&wide.mean(keep(&others[..])), name);
        let var = pmean(&(&wide - &mean).square().mean(&others[..]), name);
        let mean = mean.flatten();
        (batch_norm(x, &mean, &var, scale, bias, axis as i64, self.epsilon), mean, var)
    }

    /// Returns the variance for the running statistics, from that of a batch `x`.
    #[track_caller]
    fn var_to_keep(&self, x: &Tensor, var: Tensor) -> Tensor {
        if !self.unbiased {
            return var;
        }
        let count = Tensor::scalar(var.dtype(), (x.size() / var.size().max(1)) as f64);
        let count = match &self.synced {
            Some(name) => psum(&count, name),
            None => count,
        };
        var * &count / (&count - 1.0).maximum(1.0)
    }
}

scale_bias_options!(BatchNorm);

impl Default for BatchNorm {
    fn default() -> BatchNorm {
        BatchNorm::new()
    }
}

impl Layer for BatchNorm {
    const NAME: &'static str = "batch_norm";
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if position(&x, self.axis).is_none() {
            return no_axis(&x, self.axis);
        }
        let channels = x.dim(self.axis);
        let [scale, bias] = self.options.channel_params(cx, channels);
        let running =
            [cx.state("mean", channels, init::zeros()), cx.state("var", channels, init::ones())];
        match position(&x, self.axis) {
            Some(axis) if cx.training() && !x.shape().contains(&0) => {
                let (y, mean, var) = self.train(&x, &scale, &bias, axis);
                let var = self.var_to_keep(&x, var);
                for (name, old, new) in [("mean", &running[0], &mean), ("var", &running[1], &var)] {
                    cx.set(name, old * self.momentum + new.to(old.dtype()) * (1.0 - self.momentum));
                }
                y
            }
            _ => {
                let [mean, var] = &running;
                batch_norm(&x, mean, var, &scale, &bias, self.axis, self.epsilon)
            }
        }
    }
}

impl Node {
    /// Applies batch normalization with channels at axis 1: see [`BatchNorm`].
    #[track_caller]
    pub fn batch_norm(&self) -> Node {
        self.layer(BatchNorm::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, check, input};
    use neurax_tensor::dtype_consts::{F16, F32};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn is_a_layer() {
        check::layer(BatchNorm::new(), &types![f32[4, 3]]).unwrap();
        check::layer(BatchNorm::new().momentum(0.5), &types![f32[2, 3, 4]]).unwrap();
        check::layer(BatchNorm::new().unbiased_variance(), &types![f32[2, 3]]).unwrap();
        check::layer(BatchNorm::new().axis(-1), &types![f32[2, 3, 4, 2]]).unwrap();
        check::layer(BatchNorm::new().scale(false).bias(false), &types![f32[4, 3]]).unwrap();
    }

    #[test]
    fn training_uses_the_batch_and_evaluation_the_running_statistics() {
        let model = input("x", dims![_, 2]).layer(BatchNorm::new().momentum(0.5)).model();
        let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
        let x = neurax_tensor::tensor([[1.0, 10.0], [3.0, 10.0]]);
        let out = model.apply(&vars, &x, &Mode::Train(key(0)));
        let y = out.y().to_vec::<f32>().unwrap();
        let want = [-1.0, 0.0, 1.0, 0.0];
        assert!(y.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{y:?}");
        let state = |name| out.state["batch_norm"][name].to_vec::<f32>().unwrap();
        assert_eq!([state("mean"), state("var")], [[1.0, 5.0], [1.0, 0.5]]);
        let still = model.apply(&vars, &x, &Mode::Eval);
        let y = still.y().to_vec::<f32>().unwrap();
        assert!((y[0] - 1.0).abs() < 1e-4 && (y[1] - 10.0).abs() < 1e-3, "{y:?}");
        assert_eq!(still.state["batch_norm"]["mean"].to_vec::<f32>().unwrap(), [0.0; 2]);
    }

    #[test]
    fn synced_statistics_are_those_of_the_whole_batch() {
        use neurax_tensor::{Axes, vmap_with};
        let norm = BatchNorm::new().unbiased_variance();
        let whole = input("x", dims![_, 3, 2]).layer(norm.clone()).model();
        let parts = input("x", dims![_, 3, 2]).layer(norm.synced("i")).model();
        let vars = whole.init(key(0), &types![f32[_, 3, 2]]).unwrap();
        let x = key(1).normal([6, 3, 2]) * 3.0 + 1.0;
        let mode = Mode::Train(key(2));
        let run = |x: Tensor| {
            let out = parts.apply(&vars, x, &mode);
            (out.y().clone(), out.state["batch_norm"]["var"].clone())
        };
        let axes = Axes { name: Some("i"), ..Axes::default() };
        let (y, var) = vmap_with(run, axes).run(x.reshape([3, 2, 3, 2])).unwrap();
        let want = whole.apply(&vars, &x, &mode);
        let is_near = |a: &Tensor, b: &Tensor| a.allclose(b, 1e-5, 1e-5).item().unwrap() == 1.0;
        assert!(is_near(&y.reshape([6, 3, 2]), want.y()));
        assert!(is_near(&var, &want.state["batch_norm"]["var"]));
        assert!(parts.apply(&vars, &x, &mode).y().to_vec::<f32>().is_err(), "no axis `i`");
    }

    #[test]
    fn an_empty_batch_keeps_the_statistics_and_f16_does_not_overflow() {
        let model = input("x", dims![_, 1]).batch_norm().model();
        let vars = model.init(key(0), &types![f32[_, 1]]).unwrap();
        let out = model.apply(&vars, Tensor::zeros([0, 1]), &Mode::Train(key(0)));
        assert_eq!(out.y().shape(), [0, 1]);
        assert_eq!(out.state["batch_norm"]["var"].to_vec::<f32>().unwrap(), [1.0]);
        let x = neurax_tensor::tensor([[600.0], [-600.0]]).to(F16);
        let y = model.apply(&vars, &x, &Mode::Train(key(0))).y().clone();
        assert_eq!(y.dtype(), F16);
        assert_eq!(y.to(F32).to_vec::<f32>().unwrap(), [1.0, -1.0]);
    }

    #[test]
    fn an_axis_that_the_input_lacks_is_an_error() {
        let e = check::layer(BatchNorm::new().axis(3), &types![f32[2, 3]]).unwrap_err().to_string();
        assert!(e.contains("axis 3 for its channels, got f32[2, 3], in layer batch_norm"), "{e}");
    }

    // In Axon, the statistics of one of two branches stay as they are.
    #[test]
    fn batch_statistics_of_every_branch_are_updated() {
        let x = input("x", dims![_, 2]);
        let branch = |x: &Node| x.dense(3).batch_norm().relu();
        let y = crate::concat([branch(&x), branch(&x) + branch(&x.batch_norm())], -1);
        let model = y.dense(1).model();
        let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
        let x = key(1).normal([8, 2]) + 1.0;
        let train =
            neurax_tensor::jit(|x: Tensor| model.apply(&vars, x, &Mode::Train(key(2))).state);
        let state = train(x);
        assert_eq!(state.len(), 4);
        for (path, old) in &vars.state {
            for (name, old) in old {
                let moved = (&state[path][name] - old).abs().min(..).item().unwrap();
                assert!(moved > 0.0, "{path}.{name}");
            }
        }
    }
}
