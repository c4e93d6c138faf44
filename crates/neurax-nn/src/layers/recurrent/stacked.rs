//! Recurrent layers on top of each other.

use super::rnn::mask_rule;
use super::{Bidirectional, Cell, Recurrent, ReturnState, Rnn};
use crate::layers::dropout::{dropout, rate_error};
use crate::{Cx, Layer, LayerPrecision, MaskRule};
use neurax_tensor::{Error, Tensor, Tree, stack};
use serde::{Deserialize, Serialize};

/// The layer that applies copies of a recurrent layer with separate parameters one after the other,
/// each to the sequence of the one below it, as PyTorch's modules with `num_layers` do.
///
/// The parameters are below the paths `layer_0`, `layer_1` and so on. Inputs are those of the layer
/// that it is made of: `x`, a mask if that is masked, and the tensors of the initial state, which
/// are those of all copies, stacked along axis 0: `[layers, batch, ..]`. So are the tensors of the
/// state that [`Stacked::return_state`] adds.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::Stacked::new(nn::Lstm::new(4), 2).dropout(0.1).return_state();
/// let (y, (h, c)) = nn::input("x", dims![_, _, 3]).layer(layer);
/// let model = Model::new([("y", y), ("h", h), ("c", c)]);
/// let vars = model.init(key(0), &types![f32[_, 5, 3]])?;
/// assert_eq!(vars.params["stacked.layer_0"]["kernel"].shape(), [3, 16]);
/// assert_eq!(vars.params["stacked.layer_1"]["kernel"].shape(), [4, 16]);
/// let out = model.apply(&vars, Tensor::ones([2, 5, 3]), &Mode::Eval);
/// assert_eq!(out["y"].shape(), [2, 5, 4]);
/// assert_eq!(out["h"].shape(), [2, 2, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stacked<R> {
    layer: R,
    layers: usize,
    dropout: f64,
}

/// A recurrent layer of which [`Stacked`] applies copies.
pub trait Stackable: Recurrent<Output = Tensor, State: Tree> {
    /// Returns true if a mask is among the inputs.
    fn is_masked(&self) -> bool;

    /// Returns this layer with the outputs of all steps.
    fn with_sequences(&self) -> Self;
}

impl<C: Cell> Stackable for Rnn<C> {
    fn is_masked(&self) -> bool {
        self.masked
    }

    fn with_sequences(&self) -> Rnn<C> {
        self.clone().return_sequences(true)
    }
}

impl<C: Cell> Stackable for Bidirectional<C> {
    fn is_masked(&self) -> bool {
        self.forward.masked
    }

    fn with_sequences(&self) -> Bidirectional<C> {
        let Bidirectional { forward, backward, merge } = self;
        let [forward, backward] = [forward, backward].map(Stackable::with_sequences);
        Bidirectional { forward, backward, merge: *merge }
    }
}

impl<R> Stacked<R> {
    /// Creates a layer of `layers` copies of `layer`, which may be bidirectional.
    pub fn new(layer: R, layers: usize) -> Stacked<R> {
        Stacked { layer, layers, dropout: 0.0 }
    }

    /// Sets the fraction of the elements between two copies that are dropped in training.
    pub fn dropout(self, rate: f64) -> Stacked<R> {
        Stacked { dropout: rate, ..self }
    }

    /// Makes the layer return `(outputs, state)`.
    pub fn return_state(self) -> ReturnState<Stacked<R>> {
        ReturnState(self)
    }
}

impl<R: Stackable> Stacked<R> {
    /// Runs the copies, from the lowest to the highest.
    fn run_all(&self, cx: &mut Cx, x: &Tensor, rest: &[Tensor]) -> (Tensor, R::State) {
        let (mut y, first) = self.run_copy(cx, 0, x, rest);
        let mut states = vec![tensors(&first)];
        for i in 1..self.layers {
            let x = match cx.key().filter(|_| self.dropout > 0.0) {
                Some(key) => dropout(&y, self.dropout, &key),
                None => y,
            };
            let state;
            (y, state) = self.run_copy(cx, i, &x, rest);
            states.push(tensors(&state));
        }
        let mut i = 0;
        let stacked = first.map_leaves(|_| {
            i += 1;
            stack(states.iter().map(|state| state[i - 1].clone()).collect::<Vec<_>>(), 0)
        });
        (y, stacked)
    }

    /// Runs copy `i` on `x`; `rest` are the other inputs of the layer.
    fn run_copy(&self, cx: &mut Cx, i: usize, x: &Tensor, rest: &[Tensor]) -> (Tensor, R::State) {
        let (masks, states) = rest.split_at(rest.len().min(usize::from(self.layer.is_masked())));
        let own = states.iter().map(|s| self.of_copy(s, i));
        let inputs: Vec<Tensor> =
            [x.clone()].into_iter().chain(masks.to_vec()).chain(own).collect();
        cx.within(&format!("layer_{i}"), |cx| match i + 1 < self.layers {
            true => self.layer.with_sequences().run(cx, &inputs),
            false => self.layer.run(cx, &inputs),
        })
    }

    /// Returns the part of copy `i` of a tensor of the initial state.
    fn of_copy(&self, state: &Tensor, i: usize) -> Tensor {
        match state.ty() {
            Ok(ty) if ty.shape.first() == Some(&self.layers) => state.get(i as i64),
            Ok(ty) => {
                let n = self.layers;
                let why =
                    format!("expected initial states of {n} layers, [{n}, batch, ..], got {ty}");
                Tensor::from_error(Error::new("stacked", why))
            }
            Err(e) => Tensor::from_error(e),
        }
    }

    /// Returns the error of the options.
    fn mistake(&self) -> Option<Error> {
        match self.layers {
            0 => Some(Error::new("stacked", "expected at least one layer, got 0")),
            _ => rate_error("stacked", self.dropout),
        }
    }
}

impl<R: Stackable> Recurrent for Stacked<R> {
    const NAME: &'static str = "stacked";
    type Output = Tensor;
    type State = R::State;

    fn run(&self, cx: &mut Cx, inputs: &[Tensor]) -> (Tensor, R::State) {
        let none = || Tensor::from_error(Error::new("stacked", "expected an input, got none"));
        let (x, rest) = match (self.mistake(), inputs.split_first()) {
            (Some(e), _) => (Tensor::from_error(e), &[][..]),
            (None, Some((x, rest))) => (x.clone(), rest),
            (None, None) => (none(), &[][..]),
        };
        self.run_all(cx, &x, rest)
    }

    fn with_mask(&self) -> Option<Stacked<R>> {
        Some(Stacked { layer: self.layer.with_mask()?, ..*self })
    }

    fn sequences(&self) -> usize {
        self.layer.sequences()
    }
}

impl<R: Stackable, const N: usize> Layer<N> for Stacked<R> {
    const NAME: &'static str = "stacked";
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        mask_rule(self, N, |layer| layer)
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> Tensor {
        self.run(cx, &inputs).0
    }
}

/// Returns the tensors of a state.
fn tensors(state: &impl Tree) -> Vec<Tensor> {
    state.leaves().into_iter().map(|(_, tensor)| tensor.clone()).collect()
}

#[cfg(test)]
mod tests {
    use crate::layers::{Bidirectional, Gru, Lstm, SimpleRnn, Stacked};
    use crate::{Layer, Mode, Model, check, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn is_a_layer() {
        let t = &types![f32[2, 4, 3]];
        check::layer(Stacked::new(Lstm::new(2), 2), t).unwrap();
        check::layer(Stacked::new(Gru::new(2).return_sequences(false), 3).dropout(0.2), t).unwrap();
        check::layer(Stacked::new(SimpleRnn::new(2), 1).return_state(), t).unwrap();
        let both = Bidirectional::new(Gru::new(2).return_sequences(false));
        check::layer(Stacked::new(both, 3).return_state(), t).unwrap();
    }

    #[test]
    fn equals_separate_layers() {
        let x = input("x", dims![_, 4, 3]);
        let (separate, (low, _)) = x.layer(Lstm::new(2).return_state());
        let (last, (high, _)) = separate.layer(Lstm::new(2).return_sequences(false).return_state());
        let layer = Stacked::new(Lstm::new(2).return_sequences(false), 2).return_state();
        let (y, (h, _)) = x.layer(layer);
        let separate = Model::new([("y", last), ("low", low), ("high", high)]);
        let stacked = Model::new([("y", y), ("h", h)]);
        let types = types![f32[_, 4, 3]];
        let vars = stacked.init(key(0), &types).unwrap();
        let mut same = separate.init(key(1), &types).unwrap();
        for (ours, path) in [("lstm", "stacked.layer_0"), ("lstm_1", "stacked.layer_1")] {
            for name in ["kernel", "recurrent_kernel", "bias"] {
                let value = vars.get(&format!("{path}.{name}")).unwrap().clone();
                same.set(&format!("{ours}.{name}"), value).unwrap();
            }
        }
        let x = key(2).normal([5, 4, 3]);
        let want = separate.apply(&same, &x, &Mode::Eval);
        let got = stacked.apply(&vars, &x, &Mode::Eval);
        let values = |y: &neurax_tensor::Tensor| y.to_vec::<f32>().unwrap();
        assert_eq!(values(&got["y"]), values(&want["y"]));
        assert_eq!(values(&got["h"].get(0)), values(&want["low"]));
        assert_eq!(values(&got["h"].get(1)), values(&want["high"]));
    }

    #[test]
    fn a_run_continues_from_the_states_of_all_copies() {
        let x = input("x", dims![_, _, 3]);
        let layer = Stacked::new(Gru::new(2), 2);
        let (y, h) = x.layer(layer.clone().return_state());
        let start = input("start", dims![2, _, 2]);
        let further = Stacked::new(Gru::new(2).initial_state(), 2).call([&x, &start]);
        let first = Model::new([("y", y), ("h", h)]);
        let vars = first.init(key(0), &types![f32[_, _, 3]]).unwrap();
        let x = key(1).normal([1, 6, 3]);
        let whole = first.apply(&vars, &x, &Mode::Eval);
        let state = first.apply(&vars, x.slice(1, ..4), &Mode::Eval)["h"].clone();
        let rest = further.model().apply(&vars, [&x.slice(1, 4..), &state], &Mode::Eval);
        let same = rest.y().allclose(whole["y"].slice(1, 4..), 1e-6, 1e-6);
        assert!(same.item().unwrap() == 1.0);
    }

    #[test]
    fn mistakes_are_errors() {
        let t = &types![f32[2, 4, 3]];
        let error = |layer: Stacked<_>| check::layer(layer, t).unwrap_err().to_string();
        let e = error(Stacked::new(Lstm::new(2), 0));
        assert!(e.contains("expected at least one layer, got 0"), "{e}");
        let e = error(Stacked::new(Lstm::new(2), 2).dropout(1.0));
        assert!(e.contains("expected a rate in 0..1"), "{e}");
        let nodes =
            |[x, h]: [crate::Node; 2]| Stacked::new(Gru::new(2).initial_state(), 2).call([&x, &h]);
        let e = check::nodes(nodes, &types![f32[2, 4, 3], f32[3, 2, 2]]).unwrap_err().to_string();
        assert!(e.contains("expected initial states of 2 layers"), "{e}");
        let one = |[x]: [crate::Node; 1]| Stacked::new(Gru::new(2).masked(), 2).call([&x]);
        let e = check::nodes(one, t).unwrap_err().to_string();
        assert!(e.contains("expected 2 inputs (x, a mask), got 1"), "{e}");
    }
}
