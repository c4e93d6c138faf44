//! The steps of recurrent layers: the next states from the last ones.

use super::activation_names::StepActivation;
use neurax_tensor::{Tensor, concat};

/// A matrix by which rows are multiplied.
pub(crate) struct Product {
    weights: Tensor,
    is_quantized: bool,
}

impl Product {
    pub(crate) fn new(weights: Tensor, is_quantized: bool) -> Product {
        Product { weights, is_quantized }
    }

    /// Returns the product with rows, which are rounded to 8 bits if the weights are.
    pub(crate) fn of(&self, rows: &Tensor) -> Tensor {
        let rows = if self.is_quantized { rounded_to_u8(rows) } else { rows.clone() };
        rows.matmul(&self.weights)
    }

    /// Returns the product with the first `n` columns of the matrix, or with the others.
    fn part(&self, n: usize, is_first: bool) -> Product {
        let n = n as i64;
        let weights = match is_first {
            true => self.weights.slice(1, ..n),
            false => self.weights.slice(1, n..),
        };
        Product::new(weights, self.is_quantized)
    }
}

/// Rounds numbers to the 256 multiples of a scale from their minimum to their maximum, with 0.
fn rounded_to_u8(x: &Tensor) -> Tensor {
    let (low, high) = (x.min(..).minimum(0.0), x.max(..).maximum(0.0));
    let scale = (high - &low) / 255.0;
    let scale = scale.equal(0.0).select(1.0, &scale);
    let zero = (low.negative() / &scale).round();
    let codes = ((x / &scale).round() + &zero).clip(0.0, 255.0);
    (codes - zero) * scale
}

/// The kind of a layer.
#[derive(Clone, Copy)]
pub(crate) enum RecurrentKind {
    Rnn,
    /// With `is_linear_first`, the state is multiplied by the weights before the reset gate.
    Gru {
        is_linear_first: bool,
    },
    /// With `is_coupled`, the forget gate is 1 minus the input gate.
    Lstm {
        is_coupled: bool,
    },
}

/// A function that computes the next states from the last ones.
pub(crate) struct StepCell {
    pub(crate) kind: RecurrentKind,
    pub(crate) hidden: usize,
    pub(crate) weights: Product,
    /// The bias of the states.
    pub(crate) bias: Option<Tensor>,
    /// The weights of the cell for the input, output and forget gate.
    pub(crate) peepholes: Option<Vec<Tensor>>,
    pub(crate) activations: Vec<StepActivation>,
    pub(crate) clip: Option<f64>,
}

impl StepCell {
    /// Returns the sum of the biases that are added before the loop, of both biases of a direction:
    /// all but that of the state in the hidden gate of a `GRU` that is reset behind it.
    pub(crate) fn bias_outside(&self, bias: &Tensor) -> Tensor {
        let (of_inputs, of_states) = (bias.split(2, 0)[0].clone(), bias.split(2, 0)[1].clone());
        match self.kind {
            RecurrentKind::Gru { is_linear_first: true } => {
                let hidden = self.gate(&of_states, 2).zeros_like();
                let gates = of_states.slice(0, ..2 * self.hidden as i64);
                of_inputs + concat([gates, hidden], 0)
            }
            _ => of_inputs + of_states,
        }
    }

    /// Returns the states after a step with the product `x` of its inputs and weights.
    pub(crate) fn next(&self, states: &[Tensor], x: &Tensor) -> Vec<Tensor> {
        match self.kind {
            RecurrentKind::Rnn => vec![self.activate(0, x + self.weights.of(&states[0]))],
            RecurrentKind::Gru { is_linear_first: true } => {
                vec![self.gru_linear_first(&states[0], x)]
            }
            RecurrentKind::Gru { .. } => vec![self.gru(&states[0], x)],
            RecurrentKind::Lstm { is_coupled } => self.lstm(&states[0], &states[1], x, is_coupled),
        }
    }

    fn gru(&self, h: &Tensor, x: &Tensor) -> Tensor {
        let gates = 2 * self.hidden;
        let zr = self.weights.part(gates, true).of(h);
        let [update, reset] = [0, 1].map(|i| self.activate(0, self.gate(x, i) + self.gate(&zr, i)));
        let reset = self.weights.part(gates, false).of(&(reset * h));
        let candidate = self.activate(1, self.gate(x, 2) + reset);
        (1.0 - &update) * candidate + update * h
    }

    fn gru_linear_first(&self, h: &Tensor, x: &Tensor) -> Tensor {
        let s = self.weights.of(h);
        let [update, reset] = [0, 1].map(|i| self.activate(0, self.gate(x, i) + self.gate(&s, i)));
        let hidden = match &self.bias {
            Some(bias) => self.gate(&s, 2) + self.gate(bias, 2),
            None => self.gate(&s, 2),
        };
        let candidate = self.activate(1, self.gate(x, 2) + reset * hidden);
        (1.0 - &update) * candidate + update * h
    }

    fn lstm(&self, h: &Tensor, cell: &Tensor, x: &Tensor, is_coupled: bool) -> Vec<Tensor> {
        let s = x + self.weights.of(h);
        // A gate with the contribution of the cell.
        let gate = |i: usize, peephole: usize, cell: &Tensor| match &self.peepholes {
            Some(p) => self.activate(0, self.gate(&s, i) + &p[peephole] * cell),
            None => self.activate(0, self.gate(&s, i)),
        };
        let input = gate(0, 0, cell);
        let forget = if is_coupled { 1.0 - &input } else { gate(2, 2, cell) };
        let candidate = self.activate(1, self.gate(&s, 3));
        let cell = forget * cell + input * candidate;
        let output = gate(1, 1, &cell);
        vec![output * self.activations[2].of(&cell), cell]
    }

    /// Returns the part of gate `i`.
    fn gate(&self, x: &Tensor, i: usize) -> Tensor {
        let hidden = self.hidden as i64;
        x.slice(-1, i as i64 * hidden..(i as i64 + 1) * hidden)
    }

    /// Applies activation `i` to numbers, which are limited first.
    fn activate(&self, i: usize, x: Tensor) -> Tensor {
        self.activations[i].of(&self.clip.map_or(x.clone(), |clip| x.clip(-clip, clip)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_256_steps_with_0() {
        let x = Tensor::from_vec(vec![0.0f32, 25.5, 0.04, 0.06], [4]);
        let y = rounded_to_u8(&x).to_vec::<f32>().unwrap();
        assert!(y.iter().zip([0.0, 25.5, 0.0, 0.1]).all(|(y, want)| (y - want).abs() < 1e-4));
        let zeros = rounded_to_u8(&Tensor::zeros([2])).to_vec::<f32>().unwrap();
        assert_eq!(zeros, [0.0, 0.0]);
    }
}
