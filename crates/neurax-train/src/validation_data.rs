//! [`ValidationData`]: the types that a validation set may have.

use neurax_data::{Batches, Dataset, Source};
use neurax_tensor::Tree;

/// The data of a validation set: a data set in memory, which is evaluated in batches of 256
/// examples, or any [`Source`] of batches, such as a [`Stream`](neurax_data::Stream) of a file that
/// does not fit into memory.
///
/// `K` tells the implementations apart, and is never named: it is inferred.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = || Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// let stream = set.stream().map(|(x, y)| (x * 1.0, y * 1.0)).batch(1);
/// let trained = trainer().validate(stream).run(&set.batched(2), epochs(3))?;
/// let same = trainer().validate(&set).run(&set.batched(2), epochs(3))?;
/// assert!((trained.validation["loss"] - same.validation["loss"]).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "expected a `&Dataset`, batches or another `Source` of batches, got `{Self}`",
    note = "a source is moved into the trainer: it is `Send` and `'static`"
)]
pub trait ValidationData<X: Tree, Y: Tree, K> {
    /// The source of the batches.
    type Batches: Source<X, Y> + Send + 'static;

    /// Returns the source of the batches, of which those of epoch 0 are evaluated.
    fn into_batches(self) -> Self::Batches;
}

impl<X: Tree, Y: Tree, S: Source<X, Y> + Send + 'static> ValidationData<X, Y, ()> for S {
    type Batches = S;

    fn into_batches(self) -> S {
        self
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> ValidationData<X, Y, Dataset<X, Y>> for &Dataset<X, Y> {
    type Batches = Batches<X, Y>;

    fn into_batches(self) -> Batches<X, Y> {
        self.into()
    }
}

impl<X: Tree + Clone, Y: Tree + Clone> ValidationData<X, Y, Batches<X, Y>> for &Batches<X, Y> {
    type Batches = Batches<X, Y>;

    fn into_batches(self) -> Batches<X, Y> {
        self.clone()
    }
}
