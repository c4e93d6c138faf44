//! Linear systems with a method that solves them, `custom_linear_solve`, and the unknown of an
//! equation.
//!
//! The derivatives of a solution are those of the equation, by the implicit function theorem, not
//! of the steps of the method that solves it. For `f(x, p) = 0`,
//!
//! ```text
//! df/dx · dx + df/dp · dp = 0        so        dx = -(df/dx)⁻¹ · df/dp · dp
//! ```
//!
//! A linear system `a(p) · x = b` is the op `linear_solve` of the IR, which holds the graphs of the
//! map and of its inverses, so that its derivatives and its transpose are that op again. For other
//! equations, see `root.rs`.
//!
//! # Invariants
//!
//! - The captures of the equation are operands of the op, so that the solution has derivatives
//!   with respect to them. Captures of the methods alone have none: they do not change the
//!   solution.
//! - The equation maps a tree to one of the same structure and types, all floats or complex.

use crate::{
    Error, Func, Function, Result, Tensor, Tree, Type,
    dispatch::{Outs, apply_graph, dispatch_multi},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{CapturingGraph, TracedFn, trace_fn, unify_captures},
    tree::{AnyTree, into_vec, leaves, paths, rebuild, to_vec},
};
use neurax_ir::{OrBug, composite, mismatch, transform};
use std::{panic::Location, sync::Arc};

/// A method that solves an equation: it gets the function of the equation, and a tree of the type
/// of the solution.
pub(super) type Method<'m, X> = &'m dyn Fn(&Func<'_, X, X>, X) -> X;

/// Returns the solution `x` of the linear system `matvec(x) = b`, which `solve(matvec, b)`
/// computes. `transpose_solve(vecmat, ct)` computes the solution of the transposed system, for
/// derivatives in reverse mode. Follows `jax.lax.custom_linear_solve`.
///
/// The derivatives, of every order and mode, are those of the system: they solve it again, with
/// other right sides, and do not differentiate the methods, which may contain a `while_loop`. They
/// exist with respect to `b` and to the tensors that `matvec` captures.
///
/// # Errors
///
/// The solution carries an error if `matvec` is not linear, if a function returns a tree of another
/// structure or of other types than `b`, or if a leaf of `b` is neither float nor complex.
///
/// ```
/// use neurax::prelude::*;
/// let x = |a: Tensor| {
///     let by_diagonal = |_: &Func<'_, Tensor, Tensor>, b: Tensor| b / &a;
///     custom_linear_solve(|x: Tensor| &a * x, tensor([2.0, 6.0]), by_diagonal, by_diagonal)
/// };
/// assert_eq!(x(tensor([1.0, 2.0])).to_vec::<f32>()?, [2.0, 3.0]);
/// let slope = grad(|a: Tensor| x(a).sum(..));
/// assert_eq!(slope.run(tensor([1.0, 2.0]))?.to_vec::<f32>()?, [-2.0, -1.5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn custom_linear_solve<B: Tree>(
    matvec: impl Function<B, Out = B>,
    b: B,
    solve: impl Fn(&Func<'_, B, B>, B) -> B,
    transpose_solve: impl Fn(&Func<'_, B, B>, B) -> B,
) -> B {
    let at = Location::caller();
    let matvec = Func::new(|x| matvec.apply(x));
    let x = linear_solution(&matvec, &b, &solve, Some(&transpose_solve), at);
    filled(&b, x, at)
}

/// Returns the solution of a linear system as [`custom_linear_solve`] does, for a symmetric
/// `matvec`: `solve` solves the transposed system as well. Follows `jax.lax.custom_linear_solve`
/// with `symmetric=True`.
///
/// # Errors
///
/// As [`custom_linear_solve`]. A `matvec` that is not symmetric gives wrong derivatives, and this
/// is not checked.
///
/// ```
/// use neurax::prelude::*;
/// let a = tensor([[2.0, 1.0], [1.0, 2.0]]);
/// let solve = |_: &Func<'_, Tensor, Tensor>, b: Tensor| a.solve(b);
/// let x = |b: Tensor| custom_linear_solve_symmetric(|x: Tensor| a.matmul(x), b, solve);
/// let y = x(tensor([3.0, 3.0]));
/// assert!(y.allclose(tensor([1.0, 1.0]), 1e-6, 1e-6).item()? == 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn custom_linear_solve_symmetric<B: Tree>(
    matvec: impl Function<B, Out = B>,
    b: B,
    solve: impl Fn(&Func<'_, B, B>, B) -> B,
) -> B {
    let at = Location::caller();
    let matvec = Func::new(|x| matvec.apply(x));
    let x = linear_solution(&matvec, &b, &solve, None, at);
    filled(&b, x, at)
}

/// Returns a tree like `like` with `leaves`, or with the error in every leaf.
pub(super) fn filled<X: Tree>(like: &X, leaves: Result<Outs>, at: CallSite) -> X {
    match leaves {
        Ok(leaves) => rebuild(like, leaves),
        Err(e) => like.map_leaves(|_| Tensor::error_at(e.clone(), at)),
    }
}

/// Returns the leaves of the solution of `matvec(x) = b`. Without `transpose_solve`, `matvec` is
/// symmetric.
fn linear_solution<B: Tree>(
    matvec: &Func<'_, B, B>,
    b: &B,
    solve: Method<B>,
    transpose_solve: Option<Method<B>>,
    at: CallSite,
) -> Result<Outs> {
    let name = "custom_linear_solve";
    let unknown = Unknown::of(name, b, at)?;
    let map = unknown.trace("matvec", &|x| matvec.apply(x))?;
    let inverse = unknown.trace("solve", &|x| solve(matvec, x))?;
    let (graph, count) = (map.graph()?, unknown.types.len());
    let linear: Vec<bool> = (0..graph.input_types().len()).map(|i| i < count).collect();
    let transposed = transform::transpose(graph, &linear)?;
    let vecmat = |y: B| -> Result<Outs> {
        unknown.check("the argument of vecmat to be", &y)?;
        apply_graph(&transposed, map.captures.iter().cloned().chain(into_vec(y)).collect(), at)
    };
    let vecmat = Func::new(|y| filled(b, vecmat(y), at));
    let back = match transpose_solve {
        Some(solve) => Some(unknown.trace("transpose_solve", &|x| solve(&vecmat, x))?),
        None => None,
    };
    let all: Vec<CapturingGraph> = [&map, &inverse]
        .into_iter()
        .chain(&back)
        .map(TracedFn::capturing_graph)
        .collect::<Result<_>>()?;
    let unified = unify_captures(&all)?;
    let mut graphs = unified.graphs.into_iter().map(Arc::new);
    let (matvec, solve) = (graphs.next().or_bug("no map")?, graphs.next().or_bug("no inverse")?);
    let op = composite::LinearSolve {
        captures: unified.captures.len(),
        matvec,
        transpose_solve: Some(graphs.next().unwrap_or_else(|| solve.clone())),
        solve,
    };
    dispatch_multi(op, unified.captures.into_iter().chain(to_vec(b)), at)
}

/// The unknown of an equation: a tree of floats.
pub(super) struct Unknown<'t, X> {
    /// The function that solves the equation, for messages.
    name: &'static str,
    /// A tree of the structure of the unknown.
    pub like: &'t X,
    pub types: Vec<Type>,
    pub at: CallSite,
}

impl<'t, X: Tree> Unknown<'t, X> {
    /// Returns the unknown of the structure and types of `like`.
    ///
    /// # Errors
    /// When a leaf carries an error, or is not of a dtype that has derivatives.
    pub fn of(name: &'static str, like: &'t X, at: CallSite) -> Result<Unknown<'t, X>> {
        let mut types = vec![];
        for (path, x) in leaves(like) {
            let ty = x.ty()?;
            if !ty.dtype.is_differentiable() {
                let leaf =
                    if path.is_empty() { String::new() } else { format!(" in leaf `{path}`") };
                return Err(Error::new(name, format!("expected floats{leaf}, got {ty}")));
            }
            types.push(ty);
        }
        Ok(Unknown { name, like, types, at })
    }

    /// Traces a function of the unknown that returns a tree like it; `what` names it in messages.
    pub fn trace(&self, what: &str, f: &dyn Fn(X) -> X) -> Result<TracedFn> {
        let (traced, out) = trace_fn(f, self.like, TraceKind::Body, self.at);
        traced.check()?;
        let what = format!("{what} to return");
        self.check_structure(&what, &out)?;
        self.check_types(&what, &traced.graph()?.output_types())?;
        Ok(traced)
    }

    pub fn check_structure(&self, what: &str, x: &dyn AnyTree) -> Result<()> {
        if paths(x) == paths(self.like) {
            return Ok(());
        }
        let why = format!("expected {what} a tree of the structure of the unknown, got another");
        Err(Error::new(self.name, why))
    }

    pub fn check_types(&self, what: &str, types: &[Type]) -> Result<()> {
        if types == self.types {
            return Ok(());
        }
        Err(mismatch(self.name, what, &self.types, types))
    }

    /// Checks that `x` has the structure and the types of the unknown.
    pub fn check(&self, what: &str, x: &X) -> Result<()> {
        self.check_structure(what, x)?;
        let types = leaves(x).into_iter().map(|(_, x)| x.ty()).collect::<Result<Vec<_>>>()?;
        self.check_types(what, &types)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    /// Solves a diagonal system in a loop without reverse mode.
    fn by_steps(matvec: &Func<'_, Tensor, Tensor>, b: Tensor) -> Tensor {
        let step = |x: Tensor| &x + (&b - matvec(x.clone())) * 0.25;
        let is_open = |x: &Tensor| (&b - matvec(x.clone())).abs().max(..).gt(1e-13);
        while_loop(b.zeros_like(), is_open, step)
    }

    #[test]
    fn derivatives_of_a_linear_solution_keep_the_method() {
        let solution = |(a, b): (Tensor, Tensor)| {
            custom_linear_solve(|x: Tensor| &a * x, b, by_steps, by_steps).sum(..)
        };
        let (a, b) = (tensor([2.0, 4.0]).to(F64), tensor([6.0, 4.0]).to(F64));
        let at = || (a.clone(), b.clone());
        let (da, db) = jit(grad(solution)).run(at()).unwrap();
        assert!(da.allclose(tensor([-1.5, -0.25]).to(F64), 1e-9, 1e-9).item().unwrap() == 1.0);
        assert!(db.allclose(tensor([0.5, 0.25]).to(F64), 1e-9, 1e-9).item().unwrap() == 1.0);
        let curve = |p: (Tensor, Tensor)| grad(solution)(p).0.sum(..);
        let (daa, dab) = grad(curve).run(at()).unwrap();
        assert!(daa.allclose(tensor([1.5, 0.125]).to(F64), 1e-9, 1e-9).item().unwrap() == 1.0);
        let want = tensor([-0.25, -0.0625]).to(F64);
        assert!(dab.allclose(want, 1e-9, 1e-9).item().unwrap() == 1.0);
        let rows = (stack([&a, &a], 0), stack([&b, &(&b * 2.0)], 0));
        let each = vmap(grad(solution))(rows).0;
        assert!(each.get(1).allclose(&da * 2.0, 1e-9, 1e-9).item().unwrap() == 1.0);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: Tensor| x.error().map(|e| e.to_string()).unwrap_or_default();
        let solve = |_: &Func<'_, Tensor, Tensor>, b: Tensor| b;
        let of = |f: fn(Tensor) -> Tensor, b: Tensor| custom_linear_solve(f, b, solve, solve);
        let b = tensor([1.0, 2.0]);
        assert!(
            say(of(|x| &x * &x, b.clone())).contains("not linear"),
            "{}",
            say(of(|x| &x * &x, b))
        );
        let e = say(of(|x| x.sum(..), tensor([1.0, 2.0])));
        assert!(e.contains("expected matvec to return (f32[2]), got (f32[])"), "{e}");
        let e = say(of(|x| x, tensor([1, 2])));
        assert!(e.contains("expected floats, got i32[2]"), "{e}");
        let bad = tensor([1.0, 2.0]) + tensor([1.0, 2.0, 3.0]);
        assert!(say(of(|x| x, bad)).contains("add"));
    }
}
