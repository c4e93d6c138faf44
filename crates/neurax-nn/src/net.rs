//! A model together with its variables, for inference.

use crate::{Applied, Inputs, Mode, Model, Vars};

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
#[derive(Clone, Debug)]
pub struct Net {
    /// The model, a pure function.
    pub model: Model,
    /// The variables of the model.
    pub vars: Vars,
}

impl Net {
    /// Applies the model in evaluation mode.
    #[track_caller]
    pub fn apply(&self, inputs: impl Inputs) -> Applied {
        self.model.apply(&self.vars, inputs, &Mode::Eval)
    }
}
