//! [`PredictorState`]: the programs of a predictor, one for each shape of its inputs.

use crate::input_shapes::check_type;
use crate::tensor_list::TensorList;
use crate::{InputTypes, Inputs, Mode, Net};
use neurax_tensor::runtime::Cache;
use neurax_tensor::{Compiled, Error, Result, Tensor, Type, TypeSpec};
use neurax_tensor::{SharedConstants, compile_uncached};
use rustc_hash::FxHasher;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

/// A compiled function of the inputs and outputs in the model's order.
pub(crate) type PredictorProgram = Compiled<TensorList, TensorList>;

/// The programs of a network, and what they are compiled from.
pub(crate) struct PredictorState {
    pub(crate) net: Net,
    /// The names of the inputs and the types that they may have.
    pub(crate) inputs: Vec<(String, TypeSpec)>,
    /// The names of the outputs.
    pub(crate) outputs: Vec<String>,
    /// The line of the call of [`Net::predictor`].
    pub(crate) at: &'static Location<'static>,
    /// The values that depend on variables alone, such as folded normalizations.
    pub(crate) constants: Arc<SharedConstants>,
    /// The only program if all sizes are fixed.
    pub(crate) only: Option<Arc<PredictorProgram>>,
    /// The programs by the types of the inputs.
    pub(crate) programs: Cache<Vec<Type>, Arc<PredictorProgram>>,
}

/// A program that was found for a call.
pub(crate) enum FoundProgram<'p> {
    Only(&'p PredictorProgram),
    Cached(Arc<PredictorProgram>),
}

impl Deref for FoundProgram<'_> {
    type Target = PredictorProgram;
    fn deref(&self) -> &PredictorProgram {
        match self {
            FoundProgram::Only(program) => program,
            FoundProgram::Cached(program) => program,
        }
    }
}

impl PredictorState {
    /// Returns the inputs in the model's order.
    ///
    /// # Errors
    /// If an input is missing, unknown or given twice.
    pub(crate) fn in_order(&self, inputs: &dyn Inputs) -> Result<TensorList> {
        let (mut xs, mut is_ordered) = (TensorList::default(), true);
        inputs.each_input(&mut |name, x| {
            let expected = self.inputs.get(xs.0.len()).map(|(name, _)| name.as_str());
            is_ordered &= name.is_none() || name == expected;
            xs.0.push(x.clone());
        });
        if is_ordered && xs.0.len() == self.inputs.len() {
            return Ok(xs);
        }
        Ok(self.net.model.in_model_order(inputs.inputs())?.into_iter().collect())
    }

    /// Returns the program for inputs of `types`, which is compiled if it is missing.
    ///
    /// # Errors
    /// If the types do not fit those of the predictor, or the error of compiling.
    pub(crate) fn program(&self, types: &[Type]) -> Result<Arc<PredictorProgram>> {
        let hash = hash_of(types);
        let is_same = |key: &Vec<Type>| key == types;
        if let Some(program) = self.programs.get(hash, is_same) {
            return Ok(program);
        }
        self.check(types)?;
        let compile = |types: &Vec<Type>| self.compile(types).map(Arc::new);
        self.programs.get_or_compute(hash, is_same, || types.to_vec(), compile)
    }

    /// Compiles the program for inputs of `types`, as [`Predictor::warm_up`] does.
    pub(crate) fn warm_up(&self, types: &dyn InputTypes) -> Result<()> {
        let types = self.net.model.in_model_order(types.input_types()?)?;
        let types = types.iter().map(TypeSpec::fixed).collect::<Result<Vec<_>>>()?;
        match self.only {
            Some(_) => self.check(&types),
            None => self.program(&types).map(|_| ()),
        }
    }

    /// Compiles the model for inputs of `types`.
    pub(crate) fn compile(&self, types: &[Type]) -> Result<PredictorProgram> {
        let (model, vars) = (&self.net.model, &self.net.vars);
        let apply = |xs: TensorList| -> TensorList {
            let y = model.apply_in_order(&vars.params, &vars.state, &xs.0, &Mode::Eval);
            self.outputs.iter().map(|name| y.get(name)).collect()
        };
        let like: TensorList = types.iter().map(|t| Tensor::zeros_of(t.dtype, &t.shape)).collect();
        compile_uncached(&apply, &like, self.at, &self.constants)
    }

    /// Checks that `types` are those of the predictor.
    ///
    /// # Errors
    /// If one is not; the message names the input.
    fn check(&self, types: &[Type]) -> Result<()> {
        let mut named = HashMap::new();
        let mut all = self.inputs.iter().zip(types);
        all.try_for_each(|((name, want), got)| check_type(name, want, got, &mut named))
    }

    /// Returns the error of a call with the inputs `xs`: a wrong type, if there is one, or else
    /// `e`.
    pub(crate) fn explained(&self, xs: &TensorList, e: Error) -> Error {
        let types: Result<Vec<Type>> = xs.0.iter().map(Tensor::ty).collect();
        types.and_then(|types| self.check(&types)).err().unwrap_or(e)
    }
}

fn hash_of(types: &[Type]) -> u64 {
    let mut hasher = FxHasher::default();
    types.hash(&mut hasher);
    hasher.finish()
}
