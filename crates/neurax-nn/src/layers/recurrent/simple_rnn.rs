//! The fully connected recurrent layer: Elman, 1990 (<https://doi.org/10.1207/s15516709cog1402_1>).

use super::cell::product;
use super::options::{CellOptions, cell_options, common_options};
use super::{Cell, CellWeights, Rnn};
use crate::init::Init;
use crate::{Activation, Cx, Node};
use neurax_tensor::{Result, Tensor, Type};
use serde::{Deserialize, Serialize};

/// The layer of a [`SimpleRnnCell`].
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::SimpleRnn::new(4).activation(nn::Activation::relu());
/// let model = nn::input("x", dims![_, _, 3]).layer(layer);
/// let vars = model.init(key(0), &types![f32[_, 5, 3]])?;
/// assert_eq!(vars.params["simple_rnn"]["recurrent_kernel"].shape(), [4, 4]);
/// # Ok::<(), Error>(())
/// ```
pub type SimpleRnn = Rnn<SimpleRnnCell>;

/// The cell of a fully connected recurrent layer, whose state is `h`, `[batch, units]`:
/// `h = tanh(x · kernel + bias + h · recurrent_kernel)`.
///
/// The parameters are `kernel` `[features, units]`, `recurrent_kernel` `[units, units]` and `bias`
/// `[units]`. PyTorch's `weight_ih_l0` and `weight_hh_l0` are the kernels, transposed, and `bias`
/// is `bias_ih_l0 + bias_hh_l0`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SimpleRnnCell {
    options: CellOptions,
}

impl SimpleRnnCell {
    /// Creates a cell with `units` units. Its options have the defaults of Keras.
    pub fn new(units: usize) -> SimpleRnnCell {
        SimpleRnnCell { options: CellOptions::new(units) }
    }
}

impl Rnn<SimpleRnnCell> {
    /// Creates a layer with `units` units, which returns the sequence `[batch, time, units]`.
    pub fn new(units: usize) -> SimpleRnn {
        Rnn::of(SimpleRnnCell::new(units))
    }
}

common_options! { SimpleRnnCell options {} }

impl Cell for SimpleRnnCell {
    const NAME: &'static str = "simple_rnn";
    type Weights = CellWeights;
    type State = Tensor;

    fn check(&self, x: &Type) -> Result<()> {
        self.options.check(Self::NAME, x)
    }

    fn prepare(&self, cx: &mut Cx, xs: Tensor) -> (CellWeights, Tensor) {
        self.options.prepare(cx, xs, 1, self.options.bias_init.clone())
    }

    fn initial_state(&self, _: &CellWeights, xs: &Tensor) -> Tensor {
        Tensor::zeros_of(xs.dtype(), [xs.dim(1), self.options.units])
    }

    fn step(&self, w: &CellWeights, x: &Tensor, h: Tensor) -> Tensor {
        self.options.activation.of(&(x + product(&w.dropped(&h), &w.recurrent_kernel)))
    }

    fn output(&self, h: &Tensor) -> Tensor {
        h.clone()
    }
}

impl Node {
    /// Applies a fully connected recurrent layer with `units` units over axis 1: see [`SimpleRnn`].
    #[track_caller]
    pub fn simple_rnn(&self, units: usize) -> Node {
        self.layer(SimpleRnn::new(units))
    }
}
