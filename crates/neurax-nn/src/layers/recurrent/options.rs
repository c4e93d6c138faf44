//! The options that the cells of the library share.

use super::CellWeights;
use crate::init::{self, Init};
use crate::precision::at_least_f32;
use crate::{Activation, Cx, dropout};
use neurax_tensor::{Error, Result, Tensor, Type};
use serde::{Deserialize, Serialize};

/// The options of a cell with `gates · units` outputs of its products.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CellOptions {
    pub units: usize,
    pub activation: Activation,
    pub recurrent_activation: Activation,
    pub bias: bool,
    pub kernel: Init,
    pub recurrent_kernel: Init,
    pub bias_init: Init,
    pub dropout: f64,
    pub recurrent_dropout: f64,
}

impl CellOptions {
    pub fn new(units: usize) -> CellOptions {
        CellOptions {
            units,
            activation: Activation::tanh(),
            recurrent_activation: Activation::sigmoid(),
            bias: true,
            kernel: init::glorot_uniform(),
            recurrent_kernel: init::orthogonal(1.0),
            bias_init: init::zeros(),
            dropout: 0.0,
            recurrent_dropout: 0.0,
        }
    }

    /// Checks the options, and that the input `x` of the layer `name` is `[batch, time, features]`.
    pub fn check(&self, name: &str, x: &Type) -> Result<()> {
        if x.rank() != 3 {
            let why = format!("expected an input [batch, time, features], got {x}");
            return Err(Error::new(name, why));
        }
        self.check_numbers(name)
    }

    /// Checks the options of the layer `name`.
    pub fn check_numbers(&self, name: &str) -> Result<()> {
        for (option, rate) in
            [("dropout", self.dropout), ("recurrent_dropout", self.recurrent_dropout)]
        {
            if !(0.0..1.0).contains(&rate) {
                let why = format!("expected a rate of {option} in 0..1, got {rate}");
                return Err(Error::new(name, why));
            }
        }
        match self.units {
            0 => Err(Error::new(name, "expected at least 1 unit, got 0")),
            _ => Ok(()),
        }
    }

    /// Requests the parameters of a dense cell with `gates` gates and returns the product of all
    /// inputs `xs`, `[time, batch, features]`, with the kernel, plus the bias.
    pub fn prepare(
        &self,
        cx: &mut Cx,
        xs: Tensor,
        gates: usize,
        bias_init: Init,
    ) -> (CellWeights, Tensor) {
        let outputs = gates.saturating_mul(self.units);
        let kernel = cx.param("kernel", [xs.dim(-1), outputs], self.kernel.clone());
        let recurrent_kernel =
            cx.param("recurrent_kernel", [self.units, outputs], self.recurrent_kernel.clone());
        let bias = self.bias.then(|| cx.param("bias", outputs, bias_init));
        let projected = self.dropped(cx, xs).matmul(at_least_f32(&kernel));
        let projected = match bias {
            Some(bias) => projected + at_least_f32(&bias),
            None => projected,
        };
        let state = [projected.dim(1), self.units];
        let weights = CellWeights {
            recurrent_kernel: at_least_f32(&recurrent_kernel),
            recurrent_bias: None,
            recurrent_dropout: self.recurrent_factors(cx, &state),
        };
        (weights, projected)
    }

    /// Drops the same elements of the inputs `xs`, `[time, ..]`, in every step.
    pub fn dropped(&self, cx: &mut Cx, xs: Tensor) -> Tensor {
        match factors(cx, self.dropout, xs.shape().get(1..).unwrap_or(&[])) {
            Some(factors) => xs * factors,
            None => xs,
        }
    }

    /// Returns the factors of dropout of a state of shape `shape`, in training.
    pub fn recurrent_factors(&self, cx: &mut Cx, shape: &[usize]) -> Option<Tensor> {
        factors(cx, self.recurrent_dropout, shape)
    }
}

/// Returns the factors of dropout: 0 for dropped elements, else `1 / (1 - rate)`.
fn factors(cx: &mut Cx, rate: f64, shape: &[usize]) -> Option<Tensor> {
    let key = if rate > 0.0 { cx.key() } else { None };
    key.map(|key| dropout(&Tensor::ones(shape), rate, &key))
}

/// Returns the initializer of the bias of gates in the order input, forget, cell, output: `init`,
/// but ones for the forget gate if `unit_forget_bias` is set.
pub(super) fn gate_bias(init: &Init, unit_forget_bias: bool) -> Init {
    let init = init.clone();
    if !unit_forget_bias {
        return init;
    }
    Init::new("with_forget_ones", move |key, shape| {
        let units = shape[0] / 4;
        let values = init.make(key, shape);
        let index = Tensor::arange(shape[0]);
        let is_forget = index.ge(units as i64).logical_and(index.lt(2 * units as i64));
        is_forget.select(1.0, values)
    })
}

/// Defines the options of a cell: as methods of the cell, and of the layer that runs it.
macro_rules! cell_options {
    ($Cell:ident { $(
        $(#[$doc:meta])* $name:ident: $T:ty = $($field:ident).+;
    )* }) => {
        impl $Cell {$(
            $(#[$doc])*
            pub fn $name(mut self, $name: $T) -> $Cell {
                self.$($field).+ = $name;
                self
            }
        )*}

        /// The options of the cell.
        impl Rnn<$Cell> {$(
            $(#[$doc])*
            pub fn $name(mut self, $name: $T) -> Rnn<$Cell> {
                self.cell.$($field).+ = $name;
                self
            }
        )*}
    };
}
pub(super) use cell_options;

/// Defines the options that all cells of the library have, in a field of the cell, and further
/// ones.
macro_rules! common_options {
    ($Cell:ident $($options:ident).+ { $($further:tt)* }) => {
        cell_options! { $Cell {
            /// Sets the activation of the new state, [`Activation::tanh`] by default.
            activation: Activation = $($options).+.activation;
            /// Sets whether there is a bias.
            bias: bool = $($options).+.bias;
            /// Sets the initializer of `kernel`, which is
            /// [`glorot_uniform`](crate::init::glorot_uniform) by default.
            kernel: Init = $($options).+.kernel;
            /// Sets the initializer of `recurrent_kernel`, which is
            /// [`orthogonal`](crate::init::orthogonal) by default.
            recurrent_kernel: Init = $($options).+.recurrent_kernel;
            /// Sets the initializer of the bias, which is [`zeros`](crate::init::zeros) by default.
            bias_init: Init = $($options).+.bias_init;
            /// Sets the fraction of the input's elements that are dropped in training: the same
            /// elements in every step, as in Gal and Ghahramani, 2016
            /// (<https://arxiv.org/abs/1512.05287>).
            dropout: f64 = $($options).+.dropout;
            /// Sets the fraction of the state's elements that are dropped in the product with
            /// `recurrent_kernel` in training: the same elements in every step and for all gates.
            recurrent_dropout: f64 = $($options).+.recurrent_dropout;
            $($further)*
        } }
    };
}
pub(super) use common_options;
