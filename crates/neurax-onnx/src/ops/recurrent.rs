//! Recurrent layers: `RNN`, `GRU`, `LSTM`.
//!
//! The products of all inputs with the weights are one matrix product before the loop; a `scan`
//! over the steps then computes the state, from the last step on for the reverse direction.
//! Sequences that end before the last step are masked: beyond its end, a sequence keeps its state
//! and has the output 0. So the reverse direction, which begins at the end of each sequence, needs
//! no moved elements.
//!
//! Weights are those of the gates one after the other: update, reset and hidden gate of a `GRU`;
//! input, output, forget and cell gate of an `LSTM`.

use super::activation_names::{StepActivation, activations};
use super::axes::{same_dtype, size_of};
use super::normalization::wide;
use super::recurrent_cells::{Product, RecurrentKind, StepCell};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{Tensor, scan, scan_reverse, stack};

pub(crate) const OPERATORS: &[Operator] = &[
    op("RNN", &[1, 7, 14, 22], 3..=6, rnn).attributes(&[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "layout",
        "output_sequence",
    ]),
    op("GRU", &[1, 3, 7, 14, 22], 3..=6, gru).attributes(&[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "layout",
        "linear_before_reset",
        "output_sequence",
    ]),
    op("LSTM", &[1, 7, 14, 22], 3..=8, lstm).attributes(&[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "input_forget",
        "layout",
        "output_sequence",
    ]),
    op("DynamicQuantizeLSTM", &[1], 12..=12, quantized_lstm).domain("com.microsoft").attributes(&[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "input_forget",
    ]),
];

fn rnn(c: &NodeCall) -> RuleOutcome {
    run(c, RecurrentKind::Rnn, Weights::of(c)?)
}

fn gru(c: &NodeCall) -> RuleOutcome {
    let is_linear_first = c.flag("linear_before_reset", false)?;
    run(c, RecurrentKind::Gru { is_linear_first }, Weights::of(c)?)
}

fn lstm(c: &NodeCall) -> RuleOutcome {
    run(c, RecurrentKind::Lstm { is_coupled: c.flag("input_forget", false)? }, Weights::of(c)?)
}

/// Runs a layer with 8-bit weights, of which the numbers that they multiply are rounded to 8 bits.
fn quantized_lstm(c: &NodeCall) -> RuleOutcome {
    let weights = |i: usize, scale: usize, zero: usize| {
        // The scales are those of a direction, or of its columns.
        let broadcast =
            |x: Tensor| x.reshape([x.dim(0), 1, if x.rank() > 1 { x.dim(1) } else { 1 }]);
        let x = c.x(i)?;
        if x.rank() != 3 {
            return fail(format!("expected weights of 3 axes, got {}", x.ty()?));
        }
        let (scale, zero) = (broadcast(c.x(scale)?), broadcast(c.x(zero)?));
        Ok((x.to(scale.dtype()) - zero.to(scale.dtype())) * scale)
    };
    let (of_inputs, of_states) = (weights(1, 8, 9)?, weights(2, 10, 11)?);
    let weights = Weights { of_inputs, of_states, is_quantized: true };
    run(c, RecurrentKind::Lstm { is_coupled: c.flag("input_forget", false)? }, weights)
}

impl RecurrentKind {
    fn gates(self) -> usize {
        match self {
            RecurrentKind::Rnn => 1,
            RecurrentKind::Gru { .. } => 3,
            RecurrentKind::Lstm { .. } => 4,
        }
    }

    /// Returns the activations by default: those of the gates, of the candidate and of the state.
    fn activations(self) -> &'static [&'static str] {
        match self {
            RecurrentKind::Rnn => &["Tanh"],
            RecurrentKind::Gru { .. } => &["Sigmoid", "Tanh"],
            RecurrentKind::Lstm { .. } => &["Sigmoid", "Tanh", "Tanh"],
        }
    }

    fn has_cell(self) -> bool {
        matches!(self, RecurrentKind::Lstm { .. })
    }
}

/// The weights of all directions: of inputs `[directions, inputs, gates * hidden]`, and of states
/// `[directions, hidden, gates * hidden]`.
pub(crate) struct Weights {
    pub(crate) of_inputs: Tensor,
    pub(crate) of_states: Tensor,
    /// True if the weights were quantized, so that what they multiply is, too.
    pub(crate) is_quantized: bool,
}

impl Weights {
    /// Returns the weights of ONNX, which are transposed.
    fn of(c: &NodeCall) -> Result<Weights, RuleFailure> {
        let x = c.x(0)?;
        let weights = |i: usize| {
            let w = c.x(i)?;
            same_dtype(&x, &w)?;
            match w.rank() {
                3 => Ok(w.to(wide(&x)).swap_axes(1, 2)),
                _ => fail(format!("expected weights of 3 axes, got {}", w.ty()?)),
            }
        };
        let (of_inputs, of_states) = (weights(1)?, weights(2)?);
        Ok(Weights { of_inputs, of_states, is_quantized: false })
    }
}

/// Runs a layer in its directions.
pub(crate) fn run(c: &NodeCall, kind: RecurrentKind, weights: Weights) -> RuleOutcome {
    // Whether a sequence is wanted is what the outputs say.
    c.int("output_sequence")?;
    let is_batch_first = c.flag("layout", false)?;
    let time_first = |x: Tensor| if is_batch_first { x.swap_axes(0, 1) } else { x };
    let directions: &[bool] = match c.str_or("direction", "forward")?.as_str() {
        // Version 1 of GRU misspells its default.
        "forward" | "foward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return fail(format!("expected a direction, got `{other}`")),
    };
    let layer = RecurrentLayer::of(c, kind, weights, directions.len(), time_first)?;
    let activations = activations(c, directions.len(), kind.activations())?;
    let clip = c.float("clip")?.map(f64::from);
    let mut results = Vec::new();
    for (d, &is_reverse) in directions.iter().enumerate() {
        let own = activations[d].clone();
        results.push(layer.direction(d, is_reverse, &layer.cell(d, own, clip)));
    }
    // `[time, directions, batch, hidden]`, and the last states `[directions, batch, hidden]`.
    let stacked_results =
        |k: usize, axis: usize| stack(results.iter().map(|ys| ys[k].clone()), axis);
    let mut ys = vec![stacked_results(0, 1)];
    ys.extend((1..results[0].len()).map(|k| stacked_results(k, 0)));
    if is_batch_first {
        ys[0] = ys[0].permute([2, 0, 1, 3]);
        ys[1..].iter_mut().for_each(|y| *y = y.swap_axes(0, 1));
    }
    let dtype = c.x(0)?.dtype();
    Ok(ys.into_iter().map(|y| OnnxValue::Tensor(y.to(dtype))).collect())
}

/// The inputs of a layer, floats of at least 32 bits, with the time axis in front.
struct RecurrentLayer {
    kind: RecurrentKind,
    hidden: usize,
    x: Tensor,
    weights: Weights,
    bias: Option<Tensor>,
    /// True at the steps of each sequence, `[time, batch, 1]`.
    is_inside: Option<Tensor>,
    /// The first states, `[directions, batch, hidden]` each.
    states: Vec<Tensor>,
    peepholes: Option<Tensor>,
}

impl RecurrentLayer {
    /// Reads and checks the inputs.
    fn of(
        c: &NodeCall,
        kind: RecurrentKind,
        weights: Weights,
        directions: usize,
        time_first: impl Fn(Tensor) -> Tensor,
    ) -> Result<RecurrentLayer, RuleFailure> {
        let like = c.x(0)?;
        if like.rank() != 3 || !like.dtype().is_float() {
            return fail(format!("expected floats [time, batch, inputs], got {}", like.ty()?));
        }
        let x = time_first(like.to(wide(&like)));
        let (steps, batch, inputs) = (x.dim(0), x.dim(1), x.dim(2));
        let hidden = weights.of_states.dim(1);
        if let Some(size) = c.int("hidden_size")?
            && size_of(size)? != hidden
        {
            return fail(format!("expected weights of {size} hidden elements, got {hidden}"));
        }
        let width = kind.gates() * hidden;
        expect(&weights.of_inputs, &[directions, inputs, width], "transposed weights of inputs")?;
        expect(&weights.of_states, &[directions, hidden, width], "transposed weights of states")?;
        // Input `i`, of which the states have the axes of the layout.
        let optional = |i: usize, shape: &[usize], name: &str| -> Result<_, RuleFailure> {
            let Some(w) = c.maybe(i)? else { return Ok(None) };
            same_dtype(&like, &w)?;
            let w = w.to(wide(&like));
            let w = if w.rank() == 3 { time_first(w) } else { w };
            expect(&w, shape, name)?;
            Ok(Some(w))
        };
        let bias = optional(3, &[directions, 2 * width], "a bias")?;
        let shape = [directions, batch, hidden];
        let count = if kind.has_cell() { 2 } else { 1 };
        let mut states = Vec::new();
        for k in 0..count {
            let state = optional(5 + k, &shape, "a state")?;
            states.push(state.unwrap_or_else(|| Tensor::zeros_of(x.dtype(), shape)));
        }
        let peepholes = match kind.has_cell() {
            true => optional(7, &[directions, 3 * hidden], "weights of peepholes")?,
            false => None,
        };
        let is_inside = match c.maybe(4)? {
            Some(lengths) => {
                expect(&lengths, &[batch], "lengths of sequences")?;
                Some(Tensor::arange(steps).reshape([steps, 1, 1]).lt(lengths.expand_dims(1)))
            }
            None => None,
        };
        Ok(RecurrentLayer { kind, hidden, x, weights, bias, is_inside, states, peepholes })
    }

    /// Returns what computes the states of a direction.
    fn cell(&self, d: usize, activations: Vec<StepActivation>, clip: Option<f64>) -> StepCell {
        let bias = self.bias.as_ref().map(|b| b.get(d).split(2, 0)[1].clone());
        StepCell {
            kind: self.kind,
            hidden: self.hidden,
            weights: Product::new(self.weights.of_states.get(d), self.weights.is_quantized),
            bias,
            peepholes: self.peepholes.as_ref().map(|p| p.get(d).split(3, 0)),
            activations,
            clip,
        }
    }

    /// Runs a direction: returns the outputs `[time, batch, hidden]` and the last states.
    fn direction(&self, d: usize, is_reverse: bool, cell: &StepCell) -> Vec<Tensor> {
        let weights = Product::new(self.weights.of_inputs.get(d), self.weights.is_quantized);
        let mut x = weights.of(&self.x);
        if let Some(bias) = &self.bias {
            x += cell.bias_outside(&bias.get(d));
        }
        let xs = [Some(x), self.is_inside.clone()].into_iter().flatten().collect::<Vec<_>>();
        let start: Vec<Tensor> = self.states.iter().map(|state| state.get(d)).collect();
        let step = |old: Vec<Tensor>, x: Vec<Tensor>| {
            let new = cell.next(&old, &x[0]);
            let Some(is_inside) = x.get(1) else {
                let y = new[0].clone();
                return (new, y);
            };
            let kept = new.iter().zip(&old).map(|(new, old)| is_inside.select(new, old)).collect();
            (kept, is_inside.select(&new[0], 0.0))
        };
        let (states, y) = match is_reverse {
            true => scan_reverse(start, xs, step),
            false => scan(start, xs, step),
        };
        [vec![y], states].concat()
    }
}

/// Checks the shape of an input.
fn expect(x: &Tensor, shape: &[usize], name: &str) -> Result<(), RuleFailure> {
    match x.shape()[..] == *shape {
        true => Ok(()),
        false => fail(format!("expected {name} of shape {shape:?}, got {}", x.ty()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_have_the_expected_shape() {
        let x = Tensor::zeros([2, 3]);
        assert!(expect(&x, &[2, 3], "a state").is_ok());
        let Err(RuleFailure::Error(e)) = expect(&x, &[3, 2], "a state") else { panic!() };
        assert!(e.to_string().contains("a state of shape [3, 2]"), "{e}");
    }
}
