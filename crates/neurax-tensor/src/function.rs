//! Functions of trees: closures, fn items, and the results of transforms.

use crate::{Error, Jit, Result, Tensor, Tree, tree::checked};
use std::{fmt, ops::Deref, sync::Arc};

/// A function from a tree to a tree: a closure, a fn item, or a result of `jit`, `grad` and the
/// other transforms.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function of tensors",
    label = "not a function of one tree of tensors",
    note = "several arguments are one tuple: `|(params, x, y): (Params, Tensor, Tensor)| ..`",
    note = "a transformed function captures only values that are Send + Sync, and does not change \
            them"
)]
pub trait Function<A>: Send + Sync {
    /// The type of the result.
    type Out;
    /// Calls the function.
    fn apply(&self, a: A) -> Self::Out;
}

impl<F, A, O> Function<A> for F
where
    F: Fn(A) -> O + Send + Sync,
{
    type Out = O;
    fn apply(&self, a: A) -> O {
        self(a)
    }
}

impl<A, O> Function<A> for Func<'_, A, O> {
    type Out = O;
    fn apply(&self, a: A) -> O {
        (self.f)(a)
    }
}

impl<A, O> Function<A> for &Func<'_, A, O> {
    type Out = O;
    fn apply(&self, a: A) -> O {
        (self.f)(a)
    }
}

impl<A, O> Function<A> for Jit<'_, A, O> {
    type Out = O;
    fn apply(&self, a: A) -> O {
        (**self)(a)
    }
}

impl<A, O> Function<A> for &Jit<'_, A, O> {
    type Out = O;
    fn apply(&self, a: A) -> O {
        (***self)(a)
    }
}

/// The result of a differentiable function: the loss alone, or the loss and auxiliary values.
#[diagnostic::on_unimplemented(
    message = "a function to differentiate returns a Tensor (the loss) or (loss, auxiliary \
               values), not `{Self}`"
)]
pub trait Loss: Tree {
    /// Returns the loss, the first leaf of the result.
    fn loss(&self) -> &Tensor;
}

impl Loss for Tensor {
    fn loss(&self) -> &Tensor {
        self
    }
}

impl<X: Tree> Loss for (Tensor, X) {
    fn loss(&self) -> &Tensor {
        &self.0
    }
}

/// The result of `grad`, `vmap` and the other transforms: a function that can be named, stored and
/// cloned.
///
/// Inside other functions call it as `slope(x)`; errors travel in the result. `slope.run(x)`
/// returns a `Result`.
pub struct Func<'f, A, O> {
    f: Arc<dyn Fn(A) -> O + Send + Sync + 'f>,
    check: fn(O) -> Result<O>,
}

impl<'f, A, O> Func<'f, A, O> {
    /// Creates a `Func` of a closure.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let double = Func::new(|x: Tensor| x * 2.0);
    /// assert_eq!(double.run(tensor(3.0))?.item()?, 6.0);
    /// assert_eq!(grad(double).run(tensor(3.0))?.item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(f: impl Fn(A) -> O + Send + Sync + 'f) -> Func<'f, A, O>
    where
        O: Tree,
    {
        Func { f: Arc::new(f), check: checked }
    }

    /// Calls the function. Returns the result, or the first error in it.
    ///
    /// # Errors
    /// The first error that travels in the result.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let slope = grad(|x: Tensor| x.square().sum(..));
    /// assert_eq!(slope.run(tensor([1.0, 3.0]))?.to_vec::<f32>()?, [2.0, 6.0]);
    /// let e = slope.run(Tensor::ones(2) + Tensor::ones(3)).unwrap_err();
    /// assert!(e.message().contains("cannot broadcast"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    // No bounds on A and O here: if one were not met, method lookup would find the unstable
    // `Fn::call`.
    pub fn run(&self, a: A) -> Result<O> {
        (self.check)((self.f)(a))
    }
}

impl<A, O> Clone for Func<'_, A, O> {
    fn clone(&self) -> Self {
        Func { f: self.f.clone(), check: self.check }
    }
}

impl<'f, A, O> Deref for Func<'f, A, O> {
    type Target = dyn Fn(A) -> O + Send + Sync + 'f;
    fn deref(&self) -> &Self::Target {
        &*self.f
    }
}

impl<A, O> fmt::Debug for Func<'_, A, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Func")
    }
}

/// A failed call: the error, and the arguments if they were not used up.
pub struct Failed<A> {
    /// The reason.
    pub error: Error,
    /// The arguments, or `None` if the program had started and may have reused their memory. A run
    /// with the checks of [`crate::debug`] keeps them.
    pub args: Option<A>,
}

impl<A> fmt::Debug for Failed<A> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{} (arguments {})",
            self.error,
            if self.args.is_some() { "given back" } else { "lost" }
        )
    }
}

impl<A> From<Failed<A>> for Error {
    fn from(f: Failed<A>) -> Error {
        f.error
    }
}
