//! The law of transposition, for single ops.

use super::*;
use crate::close::{epsilon, parts};
use neurax_ir::{Bound, Transposed, Value};

/// Checks that where an op declares that it is linear in some operands, `<op(v) - op(0), w> = <v,
/// transpose(w)>` (for complex numbers, the real part of the sum of products), and the rule does
/// not read these operands. `op(0)` is nonzero if another operand is added (`x + c`,
/// concatenation): rules that emit such an op pass zeros for `c`.
///
/// # Errors
/// The violation.
pub fn transpose_is_the_adjoint(s: &Sample) -> Result<(), String> {
    let active: Vec<usize> =
        (0..s.inputs.len()).filter(|&i| s.inputs[i].dtype().is_differentiable()).collect();
    let outs = s.op.infer(&types_of(&s.inputs)).map_err(message)?;
    let differentiable: Vec<usize> =
        (0..outs.len()).filter(|&i| outs[i].dtype.is_differentiable()).collect();
    if needs_axis(&s.op) || differentiable.is_empty() {
        return Ok(());
    }
    let mut rng = rng_for(s);
    for linear in subsets(&active) {
        let mut given = vec![differentiable.clone()];
        if differentiable.len() > 1 {
            given.extend(differentiable.iter().map(|&i| vec![i]));
        }
        for cts in given {
            check_linear_in(s, &outs, &linear, &cts, &mut rng).map_err(|e| {
                format!("linear in operands {linear:?}, cotangents of results {cts:?}: {e}")
            })?;
        }
    }
    Ok(())
}

fn check_linear_in(
    s: &Sample,
    outs: &[Type],
    linear: &[usize],
    given: &[usize],
    rng: &mut Rng,
) -> Result<(), String> {
    let Some((graph, known)) = transposed_op(s, outs, linear, given)? else { return Ok(()) };
    let v: Vec<Literal> = linear.iter().map(|&i| direction(rng, s.inputs[i].ty())).collect();
    let w: Vec<Literal> = given.iter().map(|&i| direction(rng, &outs[i])).collect();
    let with = |f: &dyn Fn(usize) -> Literal| {
        let mut xs = s.inputs.clone();
        linear.iter().enumerate().for_each(|(k, &i)| xs[i] = f(k));
        xs
    };
    let at = |f: &dyn Fn(usize) -> Literal| {
        eval_op(&s.op, &with(f)).map(|ys| given.iter().map(|&i| ys[i].clone()).collect::<Vec<_>>())
    };
    let (up, zero) = (at(&|k| v[k].clone())?, at(&|k| Literal::zeros(v[k].ty().clone()))?);
    let cts = run(&graph, &[&with(&|k| nans(v[k].ty()))[..], &w].concat())?;
    let with_ct: Vec<Literal> = known.iter().map(|&k| v[k].clone()).collect();
    same_products(&[(&up, &w, 1.0), (&zero, &w, -1.0)], &[(&with_ct, &cts, 1.0)])
}

/// Returns the transposed op as a graph of operands and cotangents, and the linear operands that
/// get a cotangent; `None` if the op is not linear in `linear`.
fn transposed_op(
    s: &Sample,
    outs: &[Type],
    linear: &[usize],
    given: &[usize],
) -> Result<Option<(Graph, Vec<usize>)>, String> {
    let mut b = Builder::new();
    let xs = b.inputs(&types_of(&s.inputs));
    let mut cts: Vec<Option<Value>> = vec![None; outs.len()];
    for &i in given {
        cts[i] = Some(b.input(outs[i].clone()));
    }
    let ys = b.try_emit(s.op.clone(), &xs).map_err(message)?;
    let flags: Vec<bool> = (0..xs.len()).map(|i| linear.contains(&i)).collect();
    let Transposed::Cotangents(known_cts) =
        s.op.transpose(&mut b, &Bound { xs: &xs, ys: &ys }, &flags, &cts)
    else {
        return Ok(None);
    };
    // For an op that holds graphs, the error that an equation is not linear is recorded in the
    // builder.
    if s.op.region().is_some() && b.error().is_some_and(|e| e.message().contains("not linear")) {
        return Ok(None);
    }
    if known_cts.len() != xs.len() {
        return Err(format!("expected {} cotangents, got {}", xs.len(), known_cts.len()));
    }
    for (i, ct) in known_cts.iter().enumerate() {
        match ct {
            Some(_) if !flags[i] => {
                return Err(format!("operand {i} is not linear and gets a cotangent"));
            }
            Some(c) if b.error().is_none() && b.ty(*c) != s.inputs[i].ty() => {
                return Err(format!(
                    "expected a cotangent of type {} for operand {i}, got {}",
                    s.inputs[i].ty(),
                    b.ty(*c)
                ));
            }
            _ => {}
        }
    }
    let known = (0..linear.len()).filter(|&k| known_cts[linear[k]].is_some()).collect();
    let graph = b.finish(&known_cts.into_iter().flatten().collect::<Vec<_>>()).map_err(message)?;
    Ok(Some((graph, known)))
}

/// Returns NaN in all elements: a rule that reads them returns NaN.
fn nans(ty: &Type) -> Literal {
    complex(ty, &vec![(f64::NAN, f64::NAN); ty.size()])
}

/// Checks that `<ys, ws> = <vs, cts>`, up to rounding in the widest epsilon of the dtypes.
pub(crate) fn same_product(
    ys: &[Literal],
    ws: &[Literal],
    vs: &[Literal],
    cts: &[Literal],
) -> Result<(), String> {
    same_products(&[(ys, ws, 1.0)], &[(vs, cts, 1.0)])
}

/// Checks that `<ys, ws> = <vs, cts>` within the relative error `rel`.
pub(crate) fn same_product_within(
    ys: &[Literal],
    ws: &[Literal],
    vs: &[Literal],
    cts: &[Literal],
    rel: f64,
) -> Result<(), String> {
    products_agree(&[(ys, ws, 1.0)], &[(vs, cts, 1.0)], rel)
}

/// Inner products with a sign.
type Products<'a> = [(&'a [Literal], &'a [Literal], f64)];

fn same_products(left: &Products, right: &Products) -> Result<(), String> {
    let eps = left
        .iter()
        .chain(right)
        .flat_map(|p| p.0.iter().chain(p.1))
        .map(|x| epsilon(x.dtype()))
        .fold(0.0, f64::max);
    products_agree(left, right, 32.0 * eps)
}

fn products_agree(left: &Products, right: &Products, rel: f64) -> Result<(), String> {
    let (a, size_a) = product(left);
    let (b, size_b) = product(right);
    let room = rel * (1.0 + size_a.max(size_b));
    if (a - b).abs() <= room { Ok(()) } else { Err(format!("<J v, w> = {a}, <v, J^T w> = {b}")) }
}

/// Returns the sum of the real parts of all products, and the sum of their magnitudes.
fn product(products: &Products) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for (xs, ys, sign) in products {
        for (a, b) in xs.iter().zip(*ys).flat_map(|(x, y)| parts(x).into_iter().zip(parts(y))) {
            sums.0 += sign * (a.0 * b.0 - a.1 * b.1);
            sums.1 += (a.0 * b.0).abs() + (a.1 * b.1).abs();
        }
    }
    sums
}
