//! The outputs of a model.

use crate::Params;
use neurax_tensor::{Error, Place, Tensor, Tree};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::panic::Location;
use std::sync::OnceLock;

/// The result of applying a model: outputs by name, and the new state. It is a [`Tree`], so that a
/// jitted function can return it.
#[derive(Tree, Clone, Debug)]
pub struct Applied {
    /// The outputs by name.
    pub outputs: BTreeMap<String, Tensor>,
    /// The new state, an argument of the next application.
    pub state: Params,
    /// The name of the first output.
    #[tree(static)]
    first: String,
    #[tree(static)]
    missing: MissingOutput,
}

/// The error of the first index that named no output. Indexing returns a reference, so the error
/// must be stored here.
#[derive(Default)]
struct MissingOutput(OnceLock<(String, Tensor)>);

/// A clone starts empty: the error is a cache and not a part of the value.
impl Clone for MissingOutput {
    fn clone(&self) -> MissingOutput {
        MissingOutput::default()
    }
}

impl PartialEq for MissingOutput {
    fn eq(&self, _: &MissingOutput) -> bool {
        true
    }
}

impl fmt::Debug for MissingOutput {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("MissingOutput")
    }
}

impl Applied {
    pub(crate) fn new(outputs: BTreeMap<String, Tensor>, state: Params, first: String) -> Applied {
        Applied { outputs, state, first, missing: MissingOutput::default() }
    }

    /// Adds the source line of the call to errors without one.
    pub(crate) fn located(self, at: &Place) -> Applied {
        let outputs = self.outputs.into_iter().map(|(name, y)| (name, y.at_place(at))).collect();
        Applied { outputs, ..self }
    }

    /// Returns the first output; most models have only this one.
    pub fn y(&self) -> &Tensor {
        &self[self.first.as_str()]
    }

    /// Returns the output `name`, or a tensor that carries an error if the model has no such
    /// output.
    #[track_caller]
    pub fn get(&self, name: &str) -> Tensor {
        let at = Location::caller();
        self.outputs.get(name).cloned().unwrap_or_else(|| self.no_output(name, at))
    }

    fn no_output(&self, name: &str, at: &'static Location<'static>) -> Tensor {
        let names: Vec<&str> = self.outputs.keys().map(String::as_str).collect();
        let why = format!("expected one of the outputs {}, got `{name}`", names.join(", "));
        Tensor::from_error(Error::new("model", why).at(&Place::from(at)))
    }
}

/// Access to an output by name, `out["left"]`. Indexing cannot fail: if the model has no output of
/// the name, the result is a tensor that carries an error.
impl Index<&str> for Applied {
    type Output = Tensor;
    #[track_caller]
    fn index(&self, name: &str) -> &Tensor {
        let at = Location::caller();
        self.outputs.get(name).unwrap_or_else(|| {
            match self.missing.0.get_or_init(|| (name.into(), self.no_output(name, at))) {
                (first, error) if first == name => error,
                _ => second_missing_output(),
            }
        })
    }
}

/// Returns the error of all further names that are missing from the same [`Applied`].
fn second_missing_output() -> &'static Tensor {
    static ERROR: OnceLock<Tensor> = OnceLock::new();
    let why = "the model has no output of a second requested name; use `get` to see the name";
    ERROR.get_or_init(|| Tensor::from_error(Error::new("model", why)))
}
