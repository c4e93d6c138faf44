//! Functions of trees: closures, fn items, and what transforms return.

use crate::{Error, Jit, Result, Tensor, Tree, tree::checked};
use std::{fmt, ops::Deref, sync::Arc};

/// Anything that maps a tree to a tree: closures, fn items, and what `jit`, `grad` and the other
/// transforms return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function of tensors",
    label = "not a function of one tree of tensors",
    note = "several arguments are one tuple: `|(params, x, y): (Params, Tensor, Tensor)| ..`",
    note = "a transformed function captures only what is Send + Sync, and does not change what it captures"
)]
pub trait Function<A>: Send + Sync {
    /// What it returns.
    type Out;
    /// Calls it.
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

/// What a differentiable function returns: the loss alone, or the loss and anything else.
#[diagnostic::on_unimplemented(
    message = "a function to differentiate returns a Tensor (the loss) or (loss, anything else), not `{Self}`"
)]
pub trait Loss: Tree {
    /// The loss; its leaf comes first.
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

/// What `grad`, `vmap` and the other transforms return: a value that can be named, stored and
/// cloned.
///
/// Inside other functions it is simply called, `slope(x)`, and errors travel in the result;
/// `slope.run(x)` is the way out to `Result`.
pub struct Func<'f, A, O> {
    f: Arc<dyn Fn(A) -> O + Send + Sync + 'f>,
    check: fn(O) -> Result<O>,
}

impl<'f, A, O> Func<'f, A, O> {
    /// A function as a value.
    pub fn new(f: impl Fn(A) -> O + Send + Sync + 'f) -> Func<'f, A, O>
    where
        O: Tree,
    {
        Func { f: Arc::new(f), check: checked }
    }

    /// Calls it: the result, or the first error in it.
    ///
    /// # Errors
    /// The first error that travels in the result.
    // No bound on A and O here: a missing one would send method look-up on to the unstable
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

/// A call that failed: why, and the arguments if nothing was taken from them.
pub struct Failed<A> {
    /// What went wrong.
    pub error: Error,
    /// The arguments; `None` if the program had started and may have reused their memory.
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
