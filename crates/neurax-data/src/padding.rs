//! The padding of examples of different sizes.

use neurax_tensor::{Error, Result};

/// The padding of a batch of examples of different sizes: the value behind the elements of inputs
/// and of targets, and the tensors that are not padded. A number alone is the value for both.
///
/// ```
/// use neurax::{data::{ExamplePadding, Stream}, prelude::*};
/// // Tokens, and a label for each: index -100 is one that the loss leaves out.
/// let texts = vec![(tensor([7, 8, 9]), tensor([1, 0, 1])), (tensor([5]), tensor([0]))];
/// let padding = ExamplePadding::new(0.0).targets(-100.0);
/// let batch = Stream::from_vec(texts).padded_batch(2, padding).epoch(0).next().unwrap()?;
/// assert_eq!(batch.x.to_vec::<i32>()?, [7, 8, 9, 5, 0, 0]);
/// assert_eq!(batch.y.to_vec::<i32>()?, [1, 0, 1, 0, -100, -100]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExamplePadding {
    inputs: f64,
    targets: f64,
    /// The paths of the tensors and trees that are not padded.
    kept: Vec<String>,
}

impl ExamplePadding {
    /// Creates the padding of all tensors with `value`.
    ///
    /// ```
    /// use neurax::data::ExamplePadding;
    /// assert_eq!(ExamplePadding::new(-1.0), ExamplePadding::from(-1.0));
    /// ```
    pub fn new(value: f64) -> ExamplePadding {
        ExamplePadding { inputs: value, targets: value, kept: Vec::new() }
    }

    /// Sets the value of the targets, such as the label of tokens that a loss leaves out.
    ///
    /// ```
    /// use neurax::data::ExamplePadding;
    /// assert_ne!(ExamplePadding::new(0.0).targets(-100.0), ExamplePadding::new(0.0));
    /// ```
    pub fn targets(self, value: f64) -> ExamplePadding {
        ExamplePadding { targets: value, ..self }
    }

    /// Sets tensors that have one size in all examples and are not padded: the paths that messages
    /// have, such as `y`, `x.1` or `x.age`. A path of a tree is that of all its tensors. A path
    /// that no tensor has is an error of the batch.
    ///
    /// ```
    /// use neurax::{data::{ExamplePadding, Stream}, prelude::*};
    /// let texts = [2, 4].map(|n| (Tensor::ones([n]), data::one_hot([1], 3).reshape(3)));
    /// let padding = ExamplePadding::new(0.0).keep(["y"]);
    /// let batches = Stream::from_vec(texts.to_vec()).bucketed_to_bounds(&[6], 2, padding);
    /// let batch = batches.epoch(0).next().unwrap()?;
    /// assert_eq!(batch.x.shape(), [2, 6]);
    /// assert_eq!(batch.y.shape(), [2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn keep<S: Into<String>>(mut self, paths: impl IntoIterator<Item = S>) -> ExamplePadding {
        self.kept.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Returns the value of the tensor at `path` of a batch; `None` if it is not padded.
    pub(crate) fn value_at(&self, path: &str) -> Option<f64> {
        if self.kept.iter().any(|kept| is_below(path, kept)) {
            return None;
        }
        Some(if is_below(path, "y") { self.targets } else { self.inputs })
    }

    /// Checks that each path that is not padded is the path of one of the tensors at `paths`.
    pub(crate) fn check(&self, paths: &[String]) -> Result<()> {
        let is_unknown = |kept: &&String| !paths.iter().any(|path| is_below(path, kept));
        match self.kept.iter().find(is_unknown) {
            None => Ok(()),
            Some(kept) => {
                let all = paths.join(", ");
                let why = format!("`keep`: expected one of the tensors {all}, got `{kept}`");
                Err(Error::new("padding", why))
            }
        }
    }
}

impl From<f64> for ExamplePadding {
    fn from(value: f64) -> ExamplePadding {
        ExamplePadding::new(value)
    }
}

/// Returns true if `path` is `tree` or the path of a tensor in it.
fn is_below(path: &str, tree: &str) -> bool {
    path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_tensors_and_trees() {
        let padding = ExamplePadding::new(1.0).targets(2.0).keep(["x.age", "y.1"]);
        for (path, value) in [
            ("x", Some(1.0)),
            ("x.ages", Some(1.0)),
            ("x.age", None),
            ("x.age.0", None),
            ("y", Some(2.0)),
            ("y.0", Some(2.0)),
            ("y.1", None),
        ] {
            assert_eq!(padding.value_at(path), value, "{path}");
        }
        let paths = |list: [&str; 2]| list.map(String::from);
        assert!(padding.check(&paths(["x.age", "y.1.a"])).is_ok());
        let e = padding.check(&paths(["x.age", "y.0"])).unwrap_err().to_string();
        assert!(e.contains("expected one of the tensors x.age, y.0, got `y.1`"), "{e}");
    }
}
