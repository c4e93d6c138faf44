//! What goes into a model, and what comes out.

use crate::Params;
use neurax_tensor::{Error, Place, Tensor, Tree};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::panic::Location;
use std::sync::OnceLock;

/// The inputs of a model: a tensor, several in the model's order, or tensors by name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a model",
    note = "inputs are a Tensor, an array, tuple or Vec of Tensors in the order of the model's inputs, or [(\"name\", tensor), ..]"
)]
pub trait Inputs {
    /// The tensors, and their names if they have any.
    fn inputs(&self) -> Vec<(Option<String>, Tensor)>;
}

impl Inputs for Tensor {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        vec![(None, self.clone())]
    }
}

impl<T: Inputs + ?Sized> Inputs for &T {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        (**self).inputs()
    }
}

impl Inputs for [Tensor] {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        self.iter().map(|t| (None, t.clone())).collect()
    }
}

impl<const N: usize> Inputs for [Tensor; N] {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        self.as_slice().inputs()
    }
}

impl Inputs for Vec<Tensor> {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        self.as_slice().inputs()
    }
}

impl<const N: usize> Inputs for [&Tensor; N] {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        self.iter().map(|&t| (None, t.clone())).collect()
    }
}

impl Inputs for (Tensor, Tensor) {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        [&self.0, &self.1].inputs()
    }
}

impl Inputs for (Tensor, Tensor, Tensor) {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        [&self.0, &self.1, &self.2].inputs()
    }
}

impl<const N: usize> Inputs for [(&str, Tensor); N] {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        self.iter().map(|(name, t)| (Some(name.to_string()), t.clone())).collect()
    }
}

impl<const N: usize> Inputs for [(&str, &Tensor); N] {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        self.iter().map(|&(name, t)| (Some(name.to_string()), t.clone())).collect()
    }
}

impl Inputs for BTreeMap<String, Tensor> {
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        self.iter().map(|(name, t)| (Some(name.clone()), t.clone())).collect()
    }
}

/// What applying a model gives: outputs by name, and the new state. A [`Tree`], so that it can come
/// out of a jitted function.
#[derive(Tree, Clone, Debug)]
pub struct Applied {
    /// The outputs by name.
    pub outputs: BTreeMap<String, Tensor>,
    /// The state that the next application takes.
    pub state: Params,
    #[tree(static)]
    first: String,
    #[tree(static)]
    missing: Missing,
}

/// The error of the first output that was asked for and is not there: an index gives a reference,
/// so it lives here.
#[derive(Default)]
struct Missing(OnceLock<(String, Tensor)>);

/// What was asked for is no part of the value.
impl Clone for Missing {
    fn clone(&self) -> Missing {
        Missing::default()
    }
}

impl PartialEq for Missing {
    fn eq(&self, _: &Missing) -> bool {
        true
    }
}

impl fmt::Debug for Missing {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Missing")
    }
}

impl Applied {
    pub(crate) fn new(outputs: BTreeMap<String, Tensor>, state: Params, first: String) -> Applied {
        Applied { outputs, state, first, missing: Missing::default() }
    }

    /// The first output; the only one in most models.
    pub fn y(&self) -> &Tensor {
        &self[self.first.as_str()]
    }

    /// The output of that name, or a tensor that carries the error that there is none.
    #[track_caller]
    pub fn get(&self, name: &str) -> Tensor {
        let at = Location::caller();
        self.outputs.get(name).cloned().unwrap_or_else(|| self.no_output(name, at))
    }

    fn no_output(&self, name: &str, at: &'static Location<'static>) -> Tensor {
        let names: Vec<&str> = self.outputs.keys().map(String::as_str).collect();
        let why =
            format!("there is no output `{name}`; the model's outputs are {}", names.join(", "));
        Tensor::from_error(Error::new("model", why).at(&Place::from(at)))
    }
}

/// `out["left"]`; a name that is no output's gives a tensor that carries an error, for indexing
/// cannot fail.
impl Index<&str> for Applied {
    type Output = Tensor;
    #[track_caller]
    fn index(&self, name: &str) -> &Tensor {
        let at = Location::caller();
        self.outputs.get(name).unwrap_or_else(|| {
            match self.missing.0.get_or_init(|| (name.into(), self.no_output(name, at))) {
                (first, error) if first == name => error,
                _ => another(),
            }
        })
    }
}

/// The error of a second name that is not there either.
fn another() -> &'static Tensor {
    static ANOTHER: OnceLock<Tensor> = OnceLock::new();
    let why = "another output was asked for that the model does not have; `get` tells the name";
    ANOTHER.get_or_init(|| Tensor::from_error(Error::new("model", why)))
}
