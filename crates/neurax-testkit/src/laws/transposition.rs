//! Law 3, of an op alone.

use super::*;
use crate::close::{epsilon, parts};
use neurax_ir::{Bound, Transposed, Value};

/// Law 3: where an op says that it is linear in some operands, `<op(v) - op(0), w> = <v,
/// transpose(w)>` (the real part of the sum of products, for complex numbers as well), and the rule
/// does not read the operands that it is linear in. `op(0)` is not zero where another operand is
/// added (`x + c`, concatenation): the rules that emit such an op give zeros for `c`.
///
/// # Errors
/// When it does not hold.
pub fn transpose_is_the_adjoint(s: &Sample) -> Result<(), String> {
    let active: Vec<usize> =
        (0..s.inputs.len()).filter(|&i| s.inputs[i].dtype().is_differentiable()).collect();
    let outs = s.op.infer(&types_of(&s.inputs)).map_err(told)?;
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
            one(s, &outs, &linear, &cts, &mut rng).map_err(|e| {
                format!("linear in operands {linear:?}, cotangents of results {cts:?}: {e}")
            })?;
        }
    }
    Ok(())
}

fn one(
    s: &Sample,
    outs: &[Type],
    linear: &[usize],
    given: &[usize],
    rng: &mut Rng,
) -> Result<(), String> {
    let Some((graph, known)) = backward(s, outs, linear, given)? else { return Ok(()) };
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
    let cts = run(&graph, &[&with(&|k| poison(v[k].ty()))[..], &w].concat())?;
    let with_ct: Vec<Literal> = known.iter().map(|&k| v[k].clone()).collect();
    same_products(&[(&up, &w, 1.0), (&zero, &w, -1.0)], &[(&with_ct, &cts, 1.0)])
}

/// The transposed op as a graph of operands and cotangents, and which of the linear operands get
/// one.
fn backward(
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
    let ys = b.try_emit(s.op.clone(), &xs).map_err(told)?;
    let flags: Vec<bool> = (0..xs.len()).map(|i| linear.contains(&i)).collect();
    let Transposed::Cotangents(answer) =
        s.op.transpose(&mut b, &Bound { xs: &xs, ys: &ys }, &flags, &cts)
    else {
        return Ok(None);
    };
    // A graph is walked equation by equation: that one of them is not linear is kept in the
    // builder.
    if s.op.region().is_some() && b.error().is_some_and(|e| e.message().contains("not linear")) {
        return Ok(None);
    }
    if answer.len() != xs.len() {
        return Err(format!("{} cotangents for {} operands", answer.len(), xs.len()));
    }
    for (i, ct) in answer.iter().enumerate() {
        match ct {
            Some(_) if !flags[i] => {
                return Err(format!("operand {i} is not linear and gets a cotangent"));
            }
            Some(c) if b.error().is_none() && b.ty(*c) != s.inputs[i].ty() => {
                return Err(format!(
                    "the cotangent of operand {i} is {}, not {}",
                    b.ty(*c),
                    s.inputs[i].ty()
                ));
            }
            _ => {}
        }
    }
    let known = (0..linear.len()).filter(|&k| answer[linear[k]].is_some()).collect();
    let graph = b.finish(&answer.into_iter().flatten().collect::<Vec<_>>()).map_err(told)?;
    Ok(Some((graph, known)))
}

/// NaN everywhere: a rule that reads it gives NaN.
fn poison(ty: &Type) -> Literal {
    complex(ty, &vec![(f64::NAN, f64::NAN); ty.size()])
}

/// `<ys, ws> = <vs, cts>`, up to what rounding in that dtype may do to the products.
pub(crate) fn same_product(
    ys: &[Literal],
    ws: &[Literal],
    vs: &[Literal],
    cts: &[Literal],
) -> Result<(), String> {
    same_products(&[(ys, ws, 1.0)], &[(vs, cts, 1.0)])
}

/// [`same_product`] with a given relative error.
pub(crate) fn same_product_within(
    ys: &[Literal],
    ws: &[Literal],
    vs: &[Literal],
    cts: &[Literal],
    rel: f64,
) -> Result<(), String> {
    products_agree(&[(ys, ws, 1.0)], &[(vs, cts, 1.0)], rel)
}

/// Products with a sign.
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

/// The sum of the real parts of products, and the sum of their sizes.
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
