//! Group normalization and instance normalization.

use super::axes::channels_first;
use super::scale_bias::{ScaleBiasOptions, scale_bias_options};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, LayerPrecision, Node};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// Computes `(x - mean) / sqrt(var + epsilon) · scale + bias`, with mean and variance over each of
/// `groups` groups of channels and the space axes of an example: `x` is `[batch, channels,
/// space ..]`, `scale` and `bias` have one element for each channel. Wu and He, Group Normalization
/// (<https://arxiv.org/abs/1803.08494>). With one group for each channel it is instance
/// normalization (<https://arxiv.org/abs/1607.08022>).
///
/// If `x` is a float of fewer than 32 bits, everything is computed in f32, and the result is
/// rounded once to the dtype of `x`.
///
/// # Errors
/// The result carries an error if `x` has fewer than two axes, or if `groups` does not divide the
/// number of channels.
///
/// ```
/// use neurax::prelude::*;
/// let (scale, bias) = (Tensor::ones(4), Tensor::zeros(4));
/// let x = tensor([[1.0, 3.0, 20.0, 40.0]]);
/// let y = nn::layers::group_norm(&x, 2, &scale, &bias, 0.0);
/// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn group_norm(
    x: &Tensor,
    groups: usize,
    scale: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Tensor {
    if let Some(e) = error_of(x, groups, 1) {
        return Tensor::from_error(e);
    }
    let members = x.shape().iter().product::<usize>().checked_div(x.dim(0) * groups);
    // empty: without examples, any size is right.
    let grouped = at_least_f32(x).reshape([x.dim(0), groups, members.unwrap_or(0)]);
    let normal = grouped.layer_norm(None, None, epsilon).reshape(x.shape());
    let channels: Vec<usize> = (0..x.rank()).map(|i| if i == 1 { x.dim(1) } else { 1 }).collect();
    narrow_as(x, normal * scale.reshape(&channels) + bias.reshape(&channels))
}

/// Returns the error of an input that has no groups of channels at `axis`.
fn error_of(x: &Tensor, groups: usize, axis: i64) -> Option<Error> {
    let ty = match x.ty() {
        Ok(ty) => ty,
        Err(e) => return Some(e),
    };
    let is_divided = ty.rank() >= 2 && groups > 0 && x.dim(axis).is_multiple_of(groups);
    let why =
        || format!("expected an input [batch, channels, ..] with {groups} groups of channels");
    (!is_divided).then(|| Error::new("group_norm", format!("{}, got {ty}; take a divisor", why())))
}

/// The layer of [`group_norm`], with parameters `scale` and `bias` for each channel.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("image", dims![_, 8, 4, 4]).layer(nn::GroupNorm::new(2));
/// let vars = model.init(key(0), &types![f32[_, 8, 4, 4]])?;
/// assert_eq!(vars.params["group_norm"]["scale"].shape(), [8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupNorm {
    /// The number of groups; without one, each channel is a group.
    groups: Option<usize>,
    epsilon: f64,
    channels_last: bool,
    #[serde(flatten)]
    options: ScaleBiasOptions,
}

impl GroupNorm {
    /// Creates a layer that divides the channels into `groups`, with an epsilon of 1e-5.
    pub fn new(groups: usize) -> GroupNorm {
        let (groups, options) = (Some(groups), ScaleBiasOptions::new());
        GroupNorm { groups, epsilon: 1e-5, channels_last: false, options }
    }

    /// Creates a layer in which each channel is a group: instance normalization.
    pub fn of_instances() -> GroupNorm {
        GroupNorm { groups: None, ..GroupNorm::new(1) }
    }

    /// Sets the constant that is added to the variance.
    pub fn epsilon(self, epsilon: f64) -> GroupNorm {
        GroupNorm { epsilon, ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> GroupNorm {
        GroupNorm { channels_last: true, ..self }
    }
}

scale_bias_options!(GroupNorm);

impl Layer for GroupNorm {
    const NAME: &'static str = "group_norm";
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let axis = if self.channels_last { -1 } else { 1 };
        let channels = if x.rank() >= 2 { x.dim(axis) } else { 0 };
        let groups = self.groups.unwrap_or(channels);
        if let Some(e) = error_of(&x, groups, axis) {
            return Tensor::from_error(e);
        }
        let [scale, bias] = self.options.channel_params(cx, channels);
        channels_first(&x, self.channels_last, |x| {
            group_norm(x, groups, &scale, &bias, self.epsilon)
        })
    }
}

impl Node {
    /// Normalizes groups of channels: see [`GroupNorm`].
    #[track_caller]
    pub fn group_norm(&self, groups: usize) -> Node {
        self.layer(GroupNorm::new(groups))
    }

    /// Normalizes each channel of each example over its space axes: see
    /// [`GroupNorm::of_instances`].
    #[track_caller]
    pub fn instance_norm(&self) -> Node {
        self.layer(GroupNorm::of_instances()).named("instance_norm")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, check, input};
    use neurax_tensor::dtype_consts::{F16, F32};
    use neurax_tensor::{key, tensor, types};

    #[test]
    fn is_a_layer() {
        check::layer(GroupNorm::new(2), &types![f32[2, 4, 3]]).unwrap();
        check::layer(GroupNorm::new(3).channels_last(), &types![f32[2, 2, 2, 3]]).unwrap();
        check::layer(GroupNorm::of_instances(), &types![f32[2, 3, 4]]).unwrap();
        let plain = GroupNorm::of_instances().scale(false).bias(false);
        check::layer(plain, &types![f32[2, 3, 4]]).unwrap();
        check::nodes(|[x]| x.instance_norm(), &types![f32[1, 2, 3, 2]]).unwrap();
    }

    #[test]
    fn channels_last_is_the_same_function_in_another_layout() {
        let x = key(1).normal([2, 4, 3]);
        let (first, last) = (GroupNorm::new(2), GroupNorm::new(2).channels_last());
        let run = |layer: GroupNorm, x: &Tensor| {
            let shape = x.shape().to_vec();
            let model = input("x", shape).layer(layer).model();
            let vars = model.init(key(0), &[neurax_tensor::TypeSpec::from(&x.ty().unwrap())]);
            model.apply(&vars.unwrap(), x, &Mode::Eval).y().clone()
        };
        let a = run(first, &x);
        let b = run(last, &x.move_axis(1, -1)).move_axis(-1, 1);
        assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    }

    #[test]
    fn narrow_floats_do_not_overflow_and_empty_batches_stay_empty() {
        let (scale, bias) = (Tensor::ones(2), Tensor::zeros(2));
        let x = tensor([[600.0, -600.0]]).to(F16);
        let y = group_norm(&x, 1, &scale, &bias, 1e-5);
        assert_eq!((y.dtype(), y.to(F32).to_vec::<f32>().unwrap()), (F16, vec![1.0, -1.0]));
        let none = group_norm(&Tensor::zeros([0, 2, 3]), 2, &scale, &bias, 1e-5);
        assert_eq!(none.shape(), [0, 2, 3]);
        assert!(none.error().is_none());
    }

    #[test]
    fn groups_that_do_not_divide_the_channels_are_an_error() {
        for (groups, t) in [(2, types![f32[1, 3, 2]]), (0, types![f32[1, 3, 2]])] {
            let e = check::layer(GroupNorm::new(groups), &t).unwrap_err().to_string();
            let want = format!(
                "{groups} groups of channels, got f32[1, 3, 2]; take a divisor, in layer group_norm"
            );
            assert!(e.contains(&want), "{e}");
        }
        let e = check::layer(GroupNorm::of_instances(), &types![f32[3]]).unwrap_err().to_string();
        assert!(e.contains("expected an input [batch, channels, ..]"), "{e}");
    }
}
