//! A layer that is applied at every step.

use crate::layers::axes::describe;
use crate::{Cx, Layer, LayerOutput, LayerPrecision, MaskRule};
use neurax_tensor::{Error, Result, Tensor, Tree};
use serde::{Deserialize, Serialize};

/// The layer that applies another one at every step of `[batch, time, ..]`, with the same
/// parameters: it makes one axis of the batch and time, so that a layer that computes statistics of
/// its batch uses all steps. Its variables are those of the other layer.
///
/// Layers that work on the last axis, as `Dense`, need no such layer.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::TimeDistributed::new(nn::Conv::new(4, [3, 3]));
/// let model = nn::input("video", dims![_, _, 2, 8, 8]).layer(layer);
/// let vars = model.init(key(0), &types![f32[_, 5, 2, 8, 8]])?;
/// let out = model.apply(&vars, Tensor::ones([1, 5, 2, 8, 8]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 5, 4, 6, 6]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimeDistributed<L> {
    layer: L,
}

impl<L: Layer> TimeDistributed<L> {
    /// Creates a layer that applies `layer` at every step.
    pub fn new(layer: L) -> TimeDistributed<L> {
        TimeDistributed { layer }
    }
}

impl<L: Layer<Output = O>, O: LayerOutput + Tree> Layer for TimeDistributed<L> {
    const NAME: &'static str = "time_distributed";
    const PRECISION: LayerPrecision = L::PRECISION;
    type Output = O;

    fn precision(&self) -> LayerPrecision {
        self.layer.precision()
    }

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> O {
        let shape: Vec<usize> = x.shape().iter().copied().collect();
        let (steps, merged) = match &shape[..] {
            [batch, time, rest @ ..] => {
                ([*batch, *time], x.reshape([&[batch * time], rest].concat()))
            }
            _ => ([1, 1], not_a_sequence(&x)),
        };
        let y = self.layer.apply(cx, [merged]);
        y.map_leaves(|y| split_steps(y, steps).unwrap_or_else(Tensor::from_error))
    }
}

fn not_a_sequence(x: &Tensor) -> Tensor {
    let got = describe(x);
    let why = format!("expected an input [batch, time, ..], got {got}");
    Tensor::from_error(Error::new("time_distributed", why))
}

/// Makes two axes, the batch and time, of axis 0.
fn split_steps(y: &Tensor, [batch, time]: [usize; 2]) -> Result<Tensor> {
    let shape = y.ty()?.shape;
    match &shape[..] {
        [n, rest @ ..] if *n == batch * time => y.reshape([&[batch, time], rest].concat()).ok(),
        _ => {
            let (want, got) = (batch * time, y.shape());
            let why = format!("expected a layer that keeps axis 0, of size {want}, got {got}");
            Err(Error::new("time_distributed", why))
        }
    }
}
