//! The structure of an optimizer's state as text, for files.
//!
//! A tree in a file is read with a tree of the same structure. A program that opens a state does
//! not know the optimizer that made it, so that the file holds the structure, too: the names of the
//! slots with their numbers of tensors, and the parameters that the state was made for. In the
//! state of `sgd(0.1)` for one parameter:
//!
//! ```text
//! {"slots": [{"rate": 1}], "parameters": [{"path": "kernel", "dtype": "f32", "shape": [2, 3]}]}
//! ```

use super::change::{TrainedParam, TrainedParams};
use super::state::OptState;
use super::{Slots, starts::Starts};
use neurax_tensor::{DType, Error, Result, Tensor, Type};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most tensors of a state that is read: a larger number in a file is a mistake.
const MAX_STATE_TENSORS: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct StateStructure {
    slots: Vec<BTreeMap<String, usize>>,
    parameters: Vec<ParamStructure>,
}

#[derive(Serialize, Deserialize)]
struct ParamStructure {
    path: String,
    dtype: String,
    shape: Vec<usize>,
}

impl OptState {
    /// Returns the structure of the state as JSON, without its tensors: see
    /// [`OptState::of_structure`].
    ///
    /// # Errors
    /// If the structure cannot be written as JSON.
    pub fn structure(&self) -> Result<String> {
        let sizes = |slots: &Slots| slots.iter().map(|(name, t)| (name.clone(), t.len())).collect();
        let param = |p: &TrainedParam| ParamStructure {
            path: p.path.clone(),
            dtype: p.ty.dtype.name().into(),
            shape: p.ty.shape.to_vec(),
        };
        let structure = StateStructure {
            slots: self.slots.iter().map(sizes).collect(),
            parameters: self.trained.all().iter().map(param).collect(),
        };
        serde_json::to_string(&structure).map_err(|e| Error::new("save", e.to_string()))
    }

    /// Returns a state of the structure that [`OptState::structure`] describes, whose tensors carry
    /// an error: [`Tree::rebuild`](neurax_tensor::Tree::rebuild) replaces them.
    ///
    /// # Errors
    /// If the text is not such a structure.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (opt, p) = (optim::adam(0.1), tensor([1.0, 2.0]));
    /// let (_, state) = opt.step(&p, &tensor([0.5, 0.5]), opt.init(&p));
    /// let tensors: Vec<Tensor> = state.leaves().into_iter().map(|(_, t)| t.clone()).collect();
    ///
    /// let empty = optim::OptState::of_structure(&state.structure()?)?;
    /// let mut tensors = tensors.into_iter();
    /// let again = empty.rebuild(&mut || tensors.next().unwrap_or(tensor(0)));
    /// assert_eq!(again.step.item()?, 1.0);
    /// let (a, _) = opt.step(&p, &tensor([1.0, 1.0]), state);
    /// let (b, _) = opt.step(&p, &tensor([1.0, 1.0]), again);
    /// assert_eq!(a.to_vec::<f32>()?, b.to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of_structure(text: &str) -> Result<OptState> {
        let structure: StateStructure = serde_json::from_str(text).map_err(|e| {
            Error::new("load", format!("expected the structure of an optimizer's state: {e}"))
        })?;
        let sizes = structure.slots.iter().flat_map(BTreeMap::values);
        let tensors = sizes.fold(0usize, |n, m| n.saturating_add(*m));
        if tensors > MAX_STATE_TENSORS {
            let want = "expected an optimizer's state of at most";
            return Err(Error::new(
                "load",
                format!("{want} {MAX_STATE_TENSORS} tensors, got {tensors}"),
            ));
        }
        let slots = structure.slots.into_iter().map(placeholders).collect();
        let params: Vec<TrainedParam> =
            structure.parameters.into_iter().map(trained).collect::<Result<_>>()?;
        let starts = Starts::at_first_step(params.len());
        Ok(OptState { step: placeholder(), slots, starts, trained: TrainedParams::from(params) })
    }
}

fn trained(p: ParamStructure) -> Result<TrainedParam> {
    let ParamStructure { path, dtype, shape } = p;
    let known = DType::parse(&dtype).ok_or_else(|| {
        Error::new("load", format!("expected a dtype of the parameter `{path}`, got `{dtype}`"))
    })?;
    Ok(TrainedParam { path, ty: Type::new(known, shape) })
}

/// Returns slots of these sizes.
fn placeholders(sizes: BTreeMap<String, usize>) -> Slots {
    sizes.into_iter().map(|(name, n)| (name, vec![placeholder(); n])).collect()
}

fn placeholder() -> Tensor {
    Tensor::from_error(Error::new("load", "expected a tensor of a file in place of this one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim;
    use neurax_tensor::{Tree, tensor};

    #[test]
    fn structures_with_empty_slots_and_without_parameters_are_kept() {
        let chained =
            optim::chain([optim::clip(1.0), optim::adam(0.1)]).non_finite(optim::NonFinite::Skip);
        for params in [vec![], vec![tensor([1.0]), tensor(2.0)]] {
            let state = chained.init(&params);
            let again = OptState::of_structure(&state.structure().unwrap()).unwrap();
            let paths = |s: &OptState| s.leaves().into_iter().map(|(p, _)| p).collect::<Vec<_>>();
            assert_eq!(paths(&again), paths(&state));
            assert_eq!(again.trained, state.trained);
            assert_eq!(again.slots.len(), state.slots.len());
        }
    }

    #[test]
    fn malformed_structures_are_errors() {
        let error = |text: &str| OptState::of_structure(text).unwrap_err().to_string();
        assert!(error("[").contains("expected the structure of an optimizer's state"));
        let e = error(r#"{"slots": [{"m": 9000000000000000000}], "parameters": []}"#);
        assert!(e.contains("at most 1048576 tensors, got 9000000000000000000"), "{e}");
        let e = error(r#"{"slots": [], "parameters": [{"path": "a", "dtype": "x", "shape": []}]}"#);
        assert!(e.contains("expected a dtype of the parameter `a`, got `x`"), "{e}");
    }
}
