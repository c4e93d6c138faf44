//! Derivatives against finite differences.
//!
//! The directional derivative of `f` at `p` along a random `v` is computed three times: by central
//! differences with Richardson extrapolation, whose error is of fourth order in the step; in
//! forward mode by `jvp`; and in reverse mode by `vjp` with a random cotangent `c`, as `<vjp(c),
//! v>`, which is `<c, jvp(v)>`. Each leaf of `p` is moved alone, so that an error names the leaf
//! whose rule is wrong. The same checks of the functions `p -> vjp(f, p)(c)` and `p -> jvp(f, p,
//! v)` are those of the second order: forward and reverse mode over reverse mode, and reverse over
//! forward mode.
//!
//! The inner product of complex numbers is `Re(a b)` without a conjugate, as in JAX.

use super::{compare::in_leaf, grad_check_options::GradCheckOptions};
use crate::{DType, Error, Function, Literal, Result, Tensor, Tree, jvp, vjp};
use neurax_ir::{
    Compute, Type,
    close::{Tolerance, close_within, parts},
    rng::Rng,
    with_compute,
};

/// The step of differences, and the tolerance of derivatives, in double precision.
const DOUBLE: (f64, f64) = (1e-3, 1e-6);

/// The step of differences, and the tolerance of derivatives, if some leaf is f32 or c64.
const SINGLE: (f64, f64) = (1.0 / 32.0, 2e-3);

/// Checks the derivatives of `f` at `at`, of first and second order and in both modes, against
/// finite differences along random directions. `f` must be smooth around `at`. Leaves that are not
/// f32, f64, c64 or c128 are held fixed; those of the result are not compared.
///
/// # Errors
/// The first derivative that differs, with its mode, order and leaf; when no leaf can be
/// differentiated, or `f` fails.
///
/// ```
/// use neurax::{prelude::*, testing::check_grads};
/// check_grads(|x: Tensor| x.sin() * &x, &tensor([0.5, 2.0]))?;
///
/// // A rule with the wrong sign.
/// let rule = |(x, _, dx): (Tensor, Tensor, Tensor)| x.sin() * dx;
/// let wrong = custom_tangent(|x: Tensor| x.cos(), rule);
/// let e = check_grads(wrong, &tensor([0.5, 2.0])).unwrap_err().to_string();
/// assert!(e.starts_with("check_grads: forward mode: f32[2]: 2 of 2 elements differ"), "{e}");
/// # Ok::<(), Error>(())
/// ```
pub fn check_grads<A, O, F>(f: F, at: &A) -> Result<()>
where
    A: Tree + Clone,
    O: Tree + Clone,
    F: Function<A, Out = O>,
{
    check_grads_with(f, at, &GradCheckOptions::new())
}

/// Checks derivatives as [`check_grads`] does, with options.
///
/// # Errors
/// As [`check_grads`]; when an option is out of range.
///
/// ```
/// use neurax::{prelude::*, testing::{GradCheckOptions, check_grads_with}};
/// let first = GradCheckOptions::new().order(1);
/// let product = |(x, y): (Tensor, Tensor)| x.matmul(y);
/// check_grads_with(product, &(Tensor::eye(2), Tensor::ones([2, 1])), &first)?;
/// # Ok::<(), Error>(())
/// ```
pub fn check_grads_with<A, O, F>(f: F, at: &A, options: &GradCheckOptions) -> Result<()>
where
    A: Tree + Clone,
    O: Tree + Clone,
    F: Function<A, Out = O>,
{
    let f = |p: A| f.apply(p);
    let mut check = Checker::new(options, at, &f(at.clone()))?;
    check.order(&f, at, "")?;
    if options.order == 1 {
        return Ok(());
    }
    let (cotangent, direction) = (check.random(&f(at.clone()))?, check.random(at)?);
    if options.reverse {
        let gradient = |p: A| floats_of(&vjp(f, p).1.apply(cotangent.clone()));
        check.order(&gradient, at, " over reverse mode")?;
    }
    if options.forward && options.reverse {
        let derivative = |p: A| floats_of(&jvp(f, p, direction.clone()).1);
        check.reverse(&derivative, at, " over forward mode")?;
    }
    if options.forward && !options.reverse {
        let derivative = |p: A| floats_of(&jvp(f, p, direction.clone()).1);
        check.forward(&derivative, at, " over forward mode")?;
    }
    Ok(())
}

/// The state of a check: the resolved options and the random numbers.
struct Checker<'o> {
    options: &'o GradCheckOptions,
    step: f64,
    tolerance: f64,
    rng: Rng,
}

impl Checker<'_> {
    /// Creates the checker of a function with the argument `p` and the result `y`.
    fn new<'o, A: Tree, O: Tree>(
        options: &'o GradCheckOptions,
        p: &A,
        y: &O,
    ) -> Result<Checker<'o>> {
        if !(1..=2).contains(&options.order) {
            return Err(failed(format!("expected the order 1 or 2, got {}", options.order)));
        }
        let dtypes = |leaves: Vec<(String, &Tensor)>| -> Result<Vec<DType>> {
            leaves.into_iter().map(|(_, x)| Ok(x.ty()?.dtype)).collect()
        };
        let (inputs, outputs) = (dtypes(p.leaves())?, dtypes(y.leaves())?);
        if !inputs.iter().any(|d| is_checked(*d)) {
            let why = format!("expected a leaf of f32, f64, c64 or c128, got {inputs:?}");
            return Err(failed(why));
        }
        if !outputs.iter().any(|d| is_checked(*d)) {
            let why =
                format!("expected a result with a leaf of f32, f64, c64 or c128, got {outputs:?}");
            return Err(failed(why));
        }
        let mut all = inputs.into_iter().chain(outputs).filter(|d| d.is_differentiable());
        let is_double = all.all(|d| d.real() == DType::F64);
        let (step, tolerance) = if is_double { DOUBLE } else { SINGLE };
        let step = options.step.unwrap_or(step);
        if !(step.is_finite() && step > 0.0) {
            return Err(failed(format!("expected a positive step, got {step}")));
        }
        let tolerance = options.tolerance.unwrap_or(tolerance);
        Ok(Checker { options, step, tolerance, rng: Rng::new(options.seed) })
    }

    /// Checks the modes of the options for `f` at `p`. `of` says in errors what `f` is.
    fn order<A, O>(&mut self, f: &(impl Fn(A) -> O + Send + Sync), p: &A, of: &str) -> Result<()>
    where
        A: Tree + Clone,
        O: Tree + Clone,
    {
        if self.options.forward {
            self.forward(f, p, of)?;
        }
        if self.options.reverse {
            self.reverse(f, p, of)?;
        }
        Ok(())
    }

    /// Compares `jvp` with differences, for each leaf.
    fn forward<A, O>(&mut self, f: &(impl Fn(A) -> O + Send + Sync), p: &A, of: &str) -> Result<()>
    where
        A: Tree + Clone,
        O: Tree,
    {
        for i in moved_leaves(p) {
            let v = self.direction(p, i)?;
            let want = self.difference(f, p, &v)?;
            let have = jvp(f, p.clone(), v).1;
            for ((path, have), want) in have.leaves().into_iter().zip(&want) {
                let Some(want) = want else { continue };
                let compared =
                    close_within(&have.to_literal()?, want, Tolerance::both(self.tolerance));
                compared.map_err(|e| {
                    let (moved, of_result) = (leaf_name(p, i), in_leaf(&path));
                    failed(format!("forward mode{of}{moved}: {of_result}{e}"))
                })?;
            }
        }
        Ok(())
    }

    /// Compares `vjp` with differences, for each leaf.
    fn reverse<A, O>(&mut self, f: &(impl Fn(A) -> O + Send + Sync), p: &A, of: &str) -> Result<()>
    where
        A: Tree + Clone,
        O: Tree + Clone,
    {
        let (y, pull) = vjp(f, p.clone());
        let cotangent = self.random(&y)?;
        let gradient = pull.apply(cotangent.clone());
        for i in moved_leaves(p) {
            let v = self.direction(p, i)?;
            let mut want = Sum::default();
            for ((_, c), d) in cotangent.leaves().into_iter().zip(self.difference(f, p, &v)?) {
                if let Some(d) = d {
                    want.add(&c.to_literal()?, &d);
                }
            }
            let mut have = Sum::default();
            if let (Some(g), Some(v)) = (gradient.leaves().get(i), v.leaves().get(i)) {
                have.add(&g.1.to_literal()?, &v.1.to_literal()?);
            }
            let allowed = self.tolerance * (1.0 + want.size.max(have.size));
            let off = (have.sum - want.sum).abs();
            if !(off <= allowed || have.sum.is_nan() && want.sum.is_nan()) {
                let (moved, have, want) = (leaf_name(p, i), have.sum, want.sum);
                return Err(failed(format!(
                    "reverse mode{of}{moved}: expected the derivative {want} along a random \
                     direction, got {have} (off by {off}, tolerance {allowed})"
                )));
            }
        }
        Ok(())
    }

    /// Returns the differences of the leaves of `f` at `p` along `v`; `None` for leaves that have
    /// none.
    fn difference<A, O>(&self, f: &impl Fn(A) -> O, p: &A, v: &A) -> Result<Vec<Option<Literal>>>
    where
        A: Tree,
        O: Tree,
    {
        let coarse = self.central(f, p, v, self.step)?;
        let fine = self.central(f, p, v, self.step / 2.0)?;
        let extrapolated = coarse
            .iter()
            .zip(&fine)
            .map(|(a, b)| Some(combined(a.as_ref()?, b.as_ref()?, |a, b| (4.0 * b - a) / 3.0)));
        let differences: Vec<Option<Literal>> = extrapolated.collect();
        if differences.iter().flatten().flat_map(parts).any(|(a, b)| !(a + b).is_finite()) {
            let why = "the differences are not finite: choose a point inside of the domain";
            return Err(failed(why.into()));
        }
        Ok(differences)
    }

    /// Returns the central differences with the step `h`.
    fn central<A, O>(
        &self,
        f: &impl Fn(A) -> O,
        p: &A,
        v: &A,
        h: f64,
    ) -> Result<Vec<Option<Literal>>>
    where
        A: Tree,
        O: Tree,
    {
        let moved = |h: f64| -> Result<O> {
            let step = |p: &Tensor, v: &Tensor| {
                if is_checked(p.dtype()) { p + v * h } else { p.clone() }
            };
            f(p.zip_map(v, step)).ok()
        };
        let (up, down) = (moved(h)?, moved(-h)?);
        let pairs = up.leaves().into_iter().zip(down.leaves());
        let differences = pairs.map(|((_, a), (_, b))| {
            if !is_checked(a.dtype()) {
                return Ok(None);
            }
            let difference = |a, b| if a == b { 0.0 } else { (a - b) / (2.0 * h) };
            Ok(Some(combined(&a.to_literal()?, &b.to_literal()?, difference)))
        });
        differences.collect()
    }

    /// Returns a random direction of leaf `moved` of `p`; the other leaves are zero.
    fn direction<A: Tree>(&mut self, p: &A, moved: usize) -> Result<A> {
        let mut i = 0;
        let v = p.map_leaves(|x| {
            i += 1;
            if i - 1 == moved { self.random_like(x) } else { x.zeros_like() }
        });
        v.ok()
    }

    /// Returns random numbers between -1 and 1 for the leaves that are compared; the others are
    /// zero.
    fn random<A: Tree>(&mut self, p: &A) -> Result<A> {
        p.map_leaves(|x| if is_checked(x.dtype()) { self.random_like(x) } else { x.zeros_like() })
            .ok()
    }

    fn random_like(&mut self, x: &Tensor) -> Tensor {
        x.ty().map_or_else(Tensor::from_error, |ty| Tensor::from(self.random_literal(ty)))
    }

    fn random_literal(&mut self, ty: Type) -> Literal {
        with_compute!(any ty.dtype, C => Literal::build(ty, |out: &mut [C]| {
            for o in out {
                *o = C::from_parts(self.rng.range(-1.0, 1.0), self.rng.range(-1.0, 1.0));
            }
        }))
    }
}

/// An inner product.
#[derive(Default)]
struct Sum {
    sum: f64,
    /// The sum of the absolute values.
    size: f64,
}

impl Sum {
    /// Adds `Re(a b)` of all elements.
    fn add(&mut self, a: &Literal, b: &Literal) {
        for (a, b) in parts(a).into_iter().zip(parts(b)) {
            let product = a.0 * b.0 - a.1 * b.1;
            self.sum += product;
            self.size += product.abs();
        }
    }
}

fn failed(why: String) -> Error {
    Error::new("check_grads", why)
}

/// Returns true if derivatives of a leaf of this dtype are compared: not of floats below 32 bits,
/// in which differences have no correct digit.
fn is_checked(dtype: DType) -> bool {
    dtype.is_differentiable() && dtype.real().bits() >= 32
}

/// Returns the indices of the leaves that are moved.
fn moved_leaves(p: &impl Tree) -> Vec<usize> {
    let leaves = p.leaves().into_iter().enumerate();
    leaves.filter(|(_, (_, x))| is_checked(x.dtype())).map(|(i, _)| i).collect()
}

/// Returns the words that name leaf `i` of the argument; none for a lone tensor.
fn leaf_name(p: &impl Tree, i: usize) -> String {
    match p.leaves().get(i) {
        Some((path, _)) if !path.is_empty() => format!(" with respect to `{path}`"),
        _ => String::new(),
    }
}

/// Returns the tree with zeros for the leaves whose derivatives are not compared: their gradients
/// carry errors.
fn floats_of<A: Tree>(gradient: &A) -> A {
    gradient.map_leaves(|x| if x.error().is_none() { x.clone() } else { Tensor::zeros(()) })
}

/// Combines two literals of one type elementwise, real and imaginary parts separately.
fn combined(a: &Literal, b: &Literal, f: impl Fn(f64, f64) -> f64) -> Literal {
    let pairs: Vec<_> = parts(a).into_iter().zip(parts(b)).collect();
    with_compute!(any a.dtype(), C => Literal::build(a.ty().clone(), |out: &mut [C]| {
        for (o, (x, y)) in out.iter_mut().zip(&pairs) {
            *o = C::from_parts(f(x.0, y.0), f(x.1, y.1));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn f64s(x: &[f64]) -> Tensor {
        Tensor::from_slice(x, [x.len()])
    }

    #[test]
    fn derivatives_that_are_right_pass() {
        let x = f64s(&[0.5, -1.25, 2.0]);
        check_grads(|x: Tensor| x.tanh() * x.exp(), &x).unwrap();
        check_grads(|x: Tensor| (x.sin(), x.sum(..)), &x).unwrap();
        check_grads(|(x, n): (Tensor, Tensor)| x * n, &(x, tensor([1, 2, 3]))).unwrap();
    }

    #[test]
    fn complex_derivatives_pass() {
        let z = f64s(&[0.5, -1.25]).complex(f64s(&[0.25, 1.0]));
        check_grads(|z: Tensor| z.exp() * &z, &z).unwrap();
        check_grads(|z: Tensor| (z.conj() * &z).real(), &z).unwrap();
    }

    #[test]
    fn a_wrong_rule_is_found_in_its_mode_and_order() {
        let x = f64s(&[0.5, 2.0]);
        let rule = |(x, _, dx): (Tensor, Tensor, Tensor)| x.sin() * dx;
        let forward = custom_tangent(|x: Tensor| x.cos(), rule);
        let e = check_grads(forward, &x).unwrap_err();
        assert!(e.message().starts_with("forward mode: f64[2]: 2 of 2"), "{e}");

        // The gradient is right at first order and depends on x wrongly.
        let frozen = |x: Tensor| &x * stop_gradient(&x) * 2.0 - stop_gradient(&(&x * &x));
        check_grads_with(frozen, &x, &GradCheckOptions::new().order(1)).unwrap();
        let e = check_grads(frozen, &x).unwrap_err();
        assert!(e.message().starts_with("forward mode over reverse mode: f64[2]"), "{e}");
    }

    #[test]
    fn an_error_names_the_leaf() {
        let f = |(x, y): (Tensor, Tensor)| x.sin() + stop_gradient(&y.exp());
        let at = (f64s(&[1.0]), f64s(&[2.0]));
        let e = check_grads(f, &at).unwrap_err();
        assert!(e.message().starts_with("forward mode with respect to `1`: f64[1]"), "{e}");
        let e = check_grads_with(f, &at, &GradCheckOptions::new().reverse_only()).unwrap_err();
        assert!(e.message().starts_with("reverse mode with respect to `1`: expected the"), "{e}");
    }

    #[test]
    fn misuse_is_an_error() {
        let f = |x: Tensor| x;
        let message = |e: Error| e.message().to_string();
        let e = check_grads(f, &tensor([1, 2])).map_err(message);
        assert_eq!(e.unwrap_err(), "expected a leaf of f32, f64, c64 or c128, got [I32]");
        let options = GradCheckOptions::new().order(3);
        let e = check_grads_with(f, &tensor(1.0), &options).map_err(message);
        assert_eq!(e.unwrap_err(), "expected the order 1 or 2, got 3");
        let options = GradCheckOptions::new().step(0.0);
        let e = check_grads_with(f, &tensor(1.0), &options).map_err(message);
        assert_eq!(e.unwrap_err(), "expected a positive step, got 0");
    }
}
