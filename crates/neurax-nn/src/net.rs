//! A model together with its variables, for inference.

use crate::{Applied, Inputs, Mode, Model, Params, Vars};
use neurax_tensor::{Jit, Place, Tensor, jit};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

/// A model with its variables.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3]).dense(2);
/// let vars = model.init(key(0), &types![f32[_, 3]])?;
/// let net = model.bind(vars);
/// assert_eq!(net.apply(Tensor::ones([1, 3])).y().shape(), [1, 2]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Net {
    /// The model, a pure function.
    pub model: Model,
    /// The variables of the model.
    pub vars: Vars,
    compiled: Arc<Mutex<Option<CompiledModel>>>,
}

/// A compiled model: compared by its graph, as the user may replace [`Net::model`].
struct CompiledModel {
    model: Model,
    apply: Arc<JitApply>,
}

/// A function of parameters, state and inputs.
type JitApply = Jit<'static, (Params, Params, Vec<Tensor>), Applied>;

impl Net {
    /// Creates a model with its variables: see [`Model::bind`].
    pub(crate) fn new(model: Model, vars: Vars) -> Net {
        Net { model, vars, compiled: Arc::default() }
    }

    /// Applies the model in evaluation mode. The first call for each type of inputs compiles it;
    /// later calls, also those of clones, run the compiled program.
    #[track_caller]
    pub fn apply(&self, inputs: impl Inputs) -> Applied {
        let at = Place::from(Location::caller());
        let inputs = match self.model.in_model_order(inputs.inputs()) {
            Ok(inputs) => inputs,
            Err(e) => return self.model.failed(&e, self.vars.state.clone(), &at),
        };
        let Vars { params, state } = self.vars.clone();
        self.jit()((params, state, inputs)).located(&at)
    }

    /// Returns the jitted model, the same one for all calls with this model.
    fn jit(&self) -> Arc<JitApply> {
        let mut cached = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some(c) if c.model.is_same(&self.model) => c.apply.clone(),
            _ => {
                let model = self.model.clone();
                let apply = Arc::new(jit(move |(params, state, inputs): (_, _, Vec<Tensor>)| {
                    model.apply_in_order(&params, &state, &inputs, &Mode::Eval)
                }));
                *cached = Some(CompiledModel { model: self.model.clone(), apply: apply.clone() });
                apply
            }
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Net").field("model", &self.model).field("vars", &self.vars).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input;
    use neurax_tensor::{dims, key, types};

    #[test]
    fn changed_variables_and_models_are_used() {
        let model = input("x", dims![_, 3]).dense(2).model();
        let mut net = model.bind(model.init(key(0), &types![f32[_, 3]]).unwrap());
        let x = Tensor::ones([1, 3]);
        let y = |net: &Net| net.apply(&x).y().to_vec::<f32>().unwrap();
        let first = y(&net);
        net.vars = model.init(key(1), &types![f32[_, 3]]).unwrap();
        assert_ne!(y(&net), first);
        net.model = model.insert("dense", |y| y * 0.0).unwrap();
        assert_eq!(y(&net), [0.0, 0.0]);
    }

    #[test]
    fn wrong_inputs_are_errors_of_the_caller() {
        let net = input("x", dims![_, 3]).dense(2).bind(Vars::default());
        let e = net.apply([Tensor::ones([1, 3]), Tensor::ones([1, 3])]);
        let e = e.y().error().unwrap().to_string();
        assert!(e.contains("expected 1 inputs (x), got 2"), "{e}");
        let e = net.apply(Tensor::ones([1, 4])).y().error().unwrap().to_string();
        assert!(e.contains("input `x`: expected shape [_, 3]"), "{e}");
    }
}
