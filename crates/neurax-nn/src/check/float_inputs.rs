//! The inputs with respect to which a checked layer is differentiated.

use super::outputs::all_of;
use crate::{Mode, Model, Params};
use neurax_tensor::{DType, Key, Result, Tensor, Tree, TypeSpec, key};

/// The inputs of a layer, of which only those of floats have gradients.
pub(super) struct FloatInputs {
    /// The inputs of floats.
    pub floats: Vec<Tensor>,
    /// Their positions among all inputs.
    positions: Vec<usize>,
    all: Vec<Tensor>,
}

impl FloatInputs {
    pub fn of(all: &[Tensor]) -> FloatInputs {
        let (positions, floats) =
            all.iter().cloned().enumerate().filter(|(_, x)| x.dtype().is_float()).unzip();
        FloatInputs { floats, positions, all: all.to_vec() }
    }

    /// Returns a weighted sum of the outputs in training mode, with other floats.
    pub fn loss(
        &self,
        model: &Model,
        params: &Params,
        state: &Params,
        floats: Vec<Tensor>,
    ) -> Tensor {
        let mut xs = self.all.clone();
        for (&i, x) in self.positions.iter().zip(floats) {
            xs[i] = x;
        }
        weighted_sum(all_of(&model.apply_with(params, state, xs, &Mode::Train(key(3)))))
    }
}

/// Returns the sum of all elements of all outputs, each with a separate weight.
fn weighted_sum(ys: Vec<Tensor>) -> Tensor {
    let sum = |(i, y): (usize, Tensor)| {
        let weights = key(5 + 1000 * i as i64).uniform(y.shape()).to(DType::F64) + 0.5;
        (y.to(DType::F64) * weights).sum(..)
    };
    let zero = Tensor::scalar(DType::F64, 0.0);
    ys.into_iter().enumerate().map(sum).fold(zero, |all, y| all + y)
}

/// Returns random values away from 0, where many activations have a kink.
pub(super) fn sample(t: &TypeSpec, k: Key) -> Result<Tensor> {
    let ty = t.fixed()?;
    if !ty.dtype.is_float() {
        return Ok(Tensor::zeros(&ty.shape).to(ty.dtype));
    }
    let x = k.uniform(&ty.shape) * 2.0 - 1.0;
    (&x + x.sign() * 0.1).to(ty.dtype).ok()
}
