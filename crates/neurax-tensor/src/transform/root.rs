//! Roots with a method that finds them: `custom_root`.
//!
//! A root is the op `function` of the IR with the implicit function theorem as its tangent rule
//! (see `implicit.rs`), in which `tangent_solve` inverts the derivative of the equation.

use super::implicit::{Method, Unknown, filled};
use crate::{
    Error, Func, Function, Result, Tensor, Tree, Type,
    dispatch::{Outs, apply_graph, dispatch_multi},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{TracedFn, trace_fn, unify_captures},
    tree::{into_vec, rebuild, to_vec},
};
use neurax_ir::{Builder, Graph, OrBug, Place, Value, composite, op::Tangent, transform};
use std::{panic::Location, sync::Arc};

/// Returns a root of `f`, an `x` with `f(x) = 0`, which `solve(f, guess)` computes.
/// `tangent_solve(g, y)` returns the `x` with `g(x) = y` for the linear function `g`, the
/// derivative of `f` at the root. Follows `jax.lax.custom_root`.
///
/// The derivatives are those of the equation `f(x) = 0`, by the implicit function theorem, and do
/// not differentiate `solve`, which may contain a `while_loop`. They exist with respect to the
/// tensors that `f` captures. `tangent_solve` is differentiated for reverse mode and for higher
/// orders, so a method with a `while_loop` there is a [`crate::custom_linear_solve`]. For a scalar
/// it is `|g, y| &y / g(y.ones_like())`.
///
/// # Errors
///
/// The root carries an error if a function returns a tree of another structure or of other types
/// than `guess`, or if a leaf of `guess` is neither float nor complex.
///
/// ```
/// use neurax::prelude::*;
/// // Newton's method for the square root of `a`.
/// let newton = |f: &Func<'_, Tensor, Tensor>, x: Tensor| {
///     fori(0..6, x, |_, x: Tensor| &x - f(x.clone()) / grad(f)(x.clone()))
/// };
/// let root = |a: Tensor| {
///     let f = |x: Tensor| &x * &x - &a;
///     custom_root(f, tensor(1.0), newton, |g, y| &y / g(y.ones_like()))
/// };
/// assert_eq!(root(tensor(4.0)).item()?, 2.0);
/// assert_eq!(grad(root).run(tensor(4.0))?.item()?, 0.25);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn custom_root<X: Tree>(
    f: impl Function<X, Out = X>,
    guess: X,
    solve: impl Fn(&Func<'_, X, X>, X) -> X,
    tangent_solve: impl Fn(&Func<'_, X, X>, X) -> X,
) -> X {
    let at = Location::caller();
    let f = Func::new(|x| f.apply(x));
    let x = root(&f, &guess, &solve, &tangent_solve, at);
    filled(&guess, x, at)
}

/// Returns the leaves of the root of `f`.
fn root<X: Tree>(
    f: &Func<'_, X, X>,
    guess: &X,
    solve: Method<X>,
    tangent_solve: Method<X>,
    at: CallSite,
) -> Result<Outs> {
    let unknown = Unknown::of("custom_root", guess, at)?;
    let equation = unknown.trace("f", &|x| f.apply(x))?;
    let method = unknown.trace("solve", &|x| solve(f, x))?;
    let unified = unify_captures(&[equation.capturing_graph()?, method.capturing_graph()?])?;
    let [equation, method] =
        <[Graph; 2]>::try_from(unified.graphs).map_err(|_| Error::bug("expected two graphs"))?;
    let inverse = tangent_inverse(&unknown, &equation, &unified.captures, tangent_solve)?;
    let further = unify_captures(&[inverse.capturing_graph()?])?;
    let inverse = further.graphs.into_iter().next().or_bug("no inverse")?;
    let ignored = further.captures.iter().map(Tensor::ty).collect::<Result<Vec<_>>>()?;
    let op = composite::CustomFunction {
        callee: "custom_root".into(),
        captures: 0,
        body: Arc::new(without_first(&method, &ignored)?),
        jvp: None,
        tangent: Some(Arc::new(root_tangent(&equation, &inverse, &ignored, &unknown)?)),
        forward: None,
        backward: None,
    };
    let operands = further.captures.into_iter().chain(unified.captures).chain(to_vec(guess));
    dispatch_multi(op, operands, at)
}

/// Traces `tangent_solve` for the derivative of the equation, `(captures.., x..) -> y..`, as a
/// function of `(captures, x, y)`.
fn tangent_inverse<X: Tree>(
    unknown: &Unknown<X>,
    equation: &Graph,
    captures: &[Tensor],
    tangent_solve: Method<X>,
) -> Result<TracedFn> {
    let (like, at) = (unknown.like, unknown.at);
    let slope = derivative(equation, captures.len(), at)?;
    let invert = |(captures, x, y): (Vec<Tensor>, X, X)| {
        let point: Vec<Tensor> = captures.into_iter().chain(into_vec(x)).collect();
        let product = |v: X| -> Result<Outs> {
            unknown.check("the argument of the derivative of f to be", &v)?;
            apply_graph(&slope, point.iter().cloned().chain(into_vec(v)).collect(), at)
        };
        let g = Func::new(|v| filled(like, product(v), at));
        tangent_solve(&g, y)
    };
    let copy = || rebuild(like, to_vec(like).into());
    let args = (captures.to_vec(), copy(), copy());
    let (traced, out) = trace_fn(&invert, &args, TraceKind::Body, at);
    traced.check()?;
    unknown.check_structure("tangent_solve to return", &out)?;
    unknown.check_types("tangent_solve to return", &traced.graph()?.output_types())?;
    Ok(traced)
}

/// Returns the graph of the derivative of `(captures.., x..) -> y..` with respect to `x`:
/// `(captures.., x.., dx..) -> dy..`.
fn derivative(equation: &Graph, captures: usize, at: CallSite) -> Result<Graph> {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let point = b.inputs(equation.input_types());
    let dxs = b.inputs(&equation.input_types()[captures..]);
    let none = std::iter::repeat_n(None, captures);
    let directions: Vec<Tangent> = none.chain(dxs.into_iter().map(Some)).collect();
    let dys = tangents(&mut b, equation, &point, &directions)?;
    b.finish(&dys)
}

/// Emits the tangents of the results of a graph.
fn tangents(
    b: &mut Builder,
    graph: &Graph,
    point: &[Value],
    directions: &[Tangent],
) -> Result<Vec<Value>> {
    // Values and tangents of loops in separate equations, so that the tangents can be transposed.
    let (ys, dys) = transform::jvp_into(b, graph, point, directions, true)?;
    Ok(ys.into_iter().zip(dys).map(|(y, dy)| b.tangent_or_zero(dy, y)).collect())
}

/// Returns `graph` with further inputs of types `ignored` in front.
fn without_first(graph: &Graph, ignored: &[Type]) -> Result<Graph> {
    let mut b = Builder::new();
    b.inputs(ignored);
    let xs = b.inputs(graph.input_types());
    let ys = b.inline(graph, &xs);
    b.finish(&ys)
}

/// Returns the tangent rule of a root: `(ignored.., captures.., guess.., x.., tangents of the
/// differentiable ignored.., captures.., guess..) -> dx..`.
fn root_tangent<X>(
    equation: &Graph,
    inverse: &Graph,
    ignored: &[Type],
    unknown: &Unknown<X>,
) -> Result<Graph> {
    let (unknown, at) = (&unknown.types, unknown.at);
    let captures = &equation.input_types()[..equation.input_types().len() - unknown.len()];
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let further = b.inputs(ignored);
    let known = b.inputs(captures);
    b.inputs(unknown);
    let xs = b.inputs(unknown);
    for ty in ignored.iter().filter(|t| t.dtype.is_differentiable()) {
        b.input(ty.clone());
    }
    let mut directions: Vec<Tangent> = vec![];
    for ty in captures {
        directions.push(ty.dtype.is_differentiable().then(|| b.input(ty.clone())));
    }
    b.inputs(unknown);
    directions.extend(vec![None; unknown.len()]);
    let point = [&known[..], &xs[..]].concat();
    let moved = tangents(&mut b, equation, &point, &directions)?;
    let right: Vec<Value> = moved.into_iter().map(|dy| b.neg(dy)).collect();
    let dxs = b.inline(inverse, &[further, known, xs, right].concat());
    b.finish(&dxs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fori, prelude::*};

    /// Returns the root of `x² - a` by Newton's method, in a loop without reverse mode.
    fn square_root(a: Tensor) -> Tensor {
        let newton = |f: &Func<'_, Tensor, Tensor>, x: Tensor| {
            let step = |x: Tensor| &x - f(x.clone()) / jvp(f, x.clone(), x.ones_like()).1;
            while_loop(x, |x: &Tensor| f(x.clone()).abs().gt(1e-14), step)
        };
        let f = |x: Tensor| &x * &x - &a;
        custom_root(f, a.clone(), newton, |g, y| &y / g(y.ones_like()))
    }

    fn number(x: f32) -> Tensor {
        tensor(x).to(F64)
    }

    fn item(x: Tensor) -> f64 {
        x.item().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn derivatives_of_a_root_are_those_of_the_equation() {
        let slopes = |x: Tensor| {
            let once = grad(square_root);
            let forward = |x: Tensor| jvp(square_root, x, number(1.0)).1;
            let third = grad(grad(&once));
            let twice = (grad(&once)(x.clone()), grad(forward)(x.clone()));
            (square_root(x.clone()), once(x.clone()), forward(x.clone()), twice, third(x))
        };
        for y in [slopes(number(4.0)), jit(slopes).run(number(4.0)).unwrap()] {
            let all = [y.0, y.1, y.2, y.3.0, y.3.1, y.4].map(item);
            let want = [2.0, 0.25, 0.25, -1.0 / 32.0, -1.0 / 32.0, 3.0 / 256.0];
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
            assert!(all.iter().zip(&want).all(near), "{all:?}");
        }
        let each = vmap(grad(square_root))(tensor([1.0, 4.0, 16.0]).to(F64));
        let want = tensor([0.5, 0.25, 0.125]).to(F64);
        assert!(each.allclose(want, 1e-12, 0.0).item().unwrap() == 1.0, "{each}");
    }

    #[test]
    fn the_unknown_of_a_root_may_be_a_tree() {
        // x + y = p and x - y = q, by one step of Newton's method.
        let root = |(p, q): (Tensor, Tensor)| {
            let f = |(x, y): (Tensor, Tensor)| (&x + &y - &p, x - y - &q);
            let invert = |(a, b): (Tensor, Tensor)| ((&a + &b) * 0.5, (a - b) * 0.5);
            let solve = |f: &Func<'_, (Tensor, Tensor), (Tensor, Tensor)>, (x, y)| {
                let (dx, dy) = invert(f((Tensor::clone(&x), Tensor::clone(&y))));
                (x - dx, y - dy)
            };
            custom_root(f, (number(0.0), number(0.0)), solve, |_, y| invert(y))
        };
        let (x, y) = root((number(5.0), number(1.0)));
        assert_eq!((item(x), item(y)), (3.0, 2.0));
        let product = |at: (Tensor, Tensor)| {
            let (x, y) = root(at);
            x * y
        };
        let (dp, dq) = grad(product).run((number(5.0), number(1.0))).unwrap();
        assert_eq!((item(dp), item(dq)), (2.5, -0.5));
    }

    #[test]
    fn captures_of_the_methods_alone_have_no_derivative() {
        let f = |a: Tensor| {
            // The scale of the step changes the way, not the root.
            let solve = |f: &Func<'_, Tensor, Tensor>, x: Tensor| {
                fori(0..60, x, |_, x: Tensor| &x - f(x.clone()) * &a * 0.1)
            };
            let invert = |_: &Func<'_, Tensor, Tensor>, y: Tensor| y * &a / &a * 0.5;
            custom_root(|x: Tensor| x * 2.0 - 6.0, number(0.0), solve, invert)
        };
        assert!((item(f(number(3.0))) - 3.0).abs() < 1e-12);
        assert_eq!(item(grad(f).run(number(3.0)).unwrap()), 0.0);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: Tensor| x.error().map(|e| e.to_string()).unwrap_or_default();
        let root = custom_root(|x: Tensor| x, tensor(1.0), |_, x| x, |_, y| y.expand_dims(0));
        assert!(say(root).contains("expected tangent_solve to return (f32[]), got (f32[1])"));
        let root = custom_root(|x: Tensor| x, tensor(1.0), |_, x| x, |g, y| g(stack([&y, &y], 0)));
        let e = say(root);
        assert!(e.contains("expected the argument of the derivative of f to be (f32[])"), "{e}");
    }
}
