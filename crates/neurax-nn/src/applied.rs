//! What goes into a model, and what comes out.

use crate::Params;
use neurax_tensor::{Error, Tensor, Tree};
use std::collections::BTreeMap;
use std::ops::Index;
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

/// What applying a model gives: outputs by name, and the new state. A [`Tree`], so that it can come out of a jitted function.
#[derive(Tree, Clone, Debug)]
pub struct Applied {
    /// The outputs by name.
    pub outputs: BTreeMap<String, Tensor>,
    /// The state that the next application takes.
    pub state: Params,
    #[tree(static)]
    first: String,
}

impl Applied {
    pub(crate) fn new(outputs: BTreeMap<String, Tensor>, state: Params, first: String) -> Applied {
        Applied { outputs, state, first }
    }

    /// The first output; the only one in most models.
    pub fn y(&self) -> &Tensor {
        &self[self.first.as_str()]
    }

    /// The output of that name, or a tensor that carries the error that there is none.
    pub fn get(&self, name: &str) -> Tensor {
        let names = || self.outputs.keys().cloned().collect::<Vec<_>>().join(", ");
        let missing = || Tensor::from_error(Error::new("model", format!("there is no output `{name}`; the model's outputs are {}", names())));
        self.outputs.get(name).cloned().unwrap_or_else(missing)
    }
}

/// `out["left"]`; a name that is no output's gives a tensor that carries an error, for indexing cannot fail.
impl Index<&str> for Applied {
    type Output = Tensor;
    fn index(&self, name: &str) -> &Tensor {
        static MISSING: OnceLock<Tensor> = OnceLock::new();
        let missing = || Tensor::from_error(Error::new("model", "an output was asked for that the model does not have; `get` tells the name"));
        self.outputs.get(name).unwrap_or_else(|| MISSING.get_or_init(missing))
    }
}
