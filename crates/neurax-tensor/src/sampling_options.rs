//! The options of random choices: [`ChoiceOptions`] and [`CategoricalOptions`].

use crate::{Dim, IntoShape, Tensor};

/// The options of [`crate::Key::choice_with`]. The defaults: entries of axis 0, with replacement,
/// all equally likely.
///
/// ```
/// use neurax::{ChoiceOptions, prelude::*};
/// let options = ChoiceOptions::new().weights(&tensor([0.0, 0.0, 1.0]));
/// let x = key(0).choice_with(&tensor([1, 2, 3]), [4], options);
/// assert_eq!(x.to_vec::<i32>()?, [3, 3, 3, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ChoiceOptions {
    pub(crate) axis: i64,
    pub(crate) without_replacement: bool,
    pub(crate) weights: Option<Tensor>,
}

impl ChoiceOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::{ChoiceOptions, prelude::*};
    /// let x = key(0).choice_with(&tensor([7, 8]), [100], ChoiceOptions::new());
    /// assert_eq!(x.unique().to_vec::<i32>()?, [7, 8]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> ChoiceOptions {
        ChoiceOptions::default()
    }

    /// Sets the axis whose entries are drawn.
    ///
    /// ```
    /// use neurax::{ChoiceOptions, prelude::*};
    /// let x = tensor([[1, 1, 1], [2, 2, 2]]);
    /// let y = key(0).choice_with(&x, [2], ChoiceOptions::new().axis(1));
    /// assert_eq!(y.to_nested::<Vec<Vec<i32>>>()?, [[1, 1], [2, 2]]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn axis(self, axis: i64) -> ChoiceOptions {
        ChoiceOptions { axis, ..self }
    }

    /// Draws each entry once at most.
    ///
    /// ```
    /// use neurax::{ChoiceOptions, prelude::*};
    /// let options = ChoiceOptions::new().without_replacement();
    /// let x = key(0).choice_with(&tensor([1, 2, 3]), [3], options);
    /// assert_eq!(x.sort(0).to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn without_replacement(self) -> ChoiceOptions {
        ChoiceOptions { without_replacement: true, ..self }
    }

    /// Sets the weights of the entries, a vector of numbers of at least 0 that are proportional to
    /// the probabilities.
    ///
    /// ```
    /// use neurax::{ChoiceOptions, prelude::*};
    /// let options = ChoiceOptions::new().weights(&tensor([1.0, 0.0, 1.0]));
    /// let x = key(0).choice_with(&tensor([7, 8, 9]), [100], options);
    /// assert_eq!(x.unique().to_vec::<i32>()?, [7, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn weights(self, weights: &Tensor) -> ChoiceOptions {
        ChoiceOptions { weights: Some(weights.clone()), ..self }
    }
}

/// The options of [`crate::Key::categorical_with`]. The defaults: one sample of each distribution,
/// with replacement.
///
/// ```
/// use neurax::{CategoricalOptions, prelude::*};
/// let options = CategoricalOptions::new().samples([3]).without_replacement();
/// let x = key(0).categorical_with(&tensor([0.0, 1.0, 2.0]), -1, options);
/// assert_eq!(x.sort(0).to_vec::<i32>()?, [0, 1, 2]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CategoricalOptions {
    pub(crate) samples: Vec<Dim>,
    pub(crate) without_replacement: bool,
}

impl CategoricalOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::{CategoricalOptions, prelude::*};
    /// let logits = tensor([f32::NEG_INFINITY, 0.0]);
    /// assert_eq!(key(0).categorical_with(&logits, -1, CategoricalOptions::new()).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> CategoricalOptions {
        CategoricalOptions::default()
    }

    /// Draws a tensor of shape `samples` of each distribution; its axes are the first ones of the
    /// result.
    ///
    /// ```
    /// use neurax::{CategoricalOptions, prelude::*};
    /// let options = CategoricalOptions::new().samples([3, 4]);
    /// assert_eq!(key(0).categorical_with(&Tensor::zeros([2, 5]), -1, options).shape(), [3, 4, 2]);
    /// ```
    pub fn samples(self, samples: impl IntoShape) -> CategoricalOptions {
        CategoricalOptions { samples: samples.dims(), ..self }
    }

    /// Draws each index of a distribution once at most.
    ///
    /// ```
    /// use neurax::{CategoricalOptions, prelude::*};
    /// let options = CategoricalOptions::new().samples([3]).without_replacement();
    /// let x = key(7).categorical_with(&Tensor::zeros(3), -1, options);
    /// assert_eq!(x.sort(0).to_vec::<i32>()?, [0, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn without_replacement(self) -> CategoricalOptions {
        CategoricalOptions { without_replacement: true, ..self }
    }
}
