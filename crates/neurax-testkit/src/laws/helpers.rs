//! Helpers that several laws share: evaluation, directions, seeds.

use crate::rng::Rng;
use neurax_ir::{Builder, Bytes, Error, Eval, Graph, Literal, Op, Sample, Type};
use std::panic;

/// Runs `f`, converting a panic into an error.
///
/// # Errors
/// The error of `f`, or the message of the panic.
pub fn catch_panic<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(panic::AssertUnwindSafe(f)).unwrap_or_else(|p| {
        let text = p
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| p.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Returns true if the op has no value because it contains a collective whose axis only
/// `vmap` can bind.
pub(crate) fn needs_axis(op: &Op) -> bool {
    op.uses_axis(None)
}

pub(crate) fn types_of(xs: &[Literal]) -> Vec<Type> {
    xs.iter().map(|x| x.ty().clone()).collect()
}

/// Returns the op as a graph.
pub(crate) fn graph_of(s: &Sample) -> Result<Graph, String> {
    let mut b = Builder::new();
    let xs = b.inputs(&types_of(&s.inputs));
    let ys = b.try_emit(s.op.clone(), &xs).map_err(message)?;
    b.finish(&ys).map_err(message)
}

pub(crate) fn eval_op(op: &Op, xs: &[Literal]) -> Result<Vec<Literal>, String> {
    op.eval(&mut Eval::default(), xs.to_vec()).map_err(|e| format!("eval: {e}"))
}

pub(crate) fn run(graph: &Graph, args: &[Literal]) -> Result<Vec<Literal>, String> {
    neurax_ir::transform::eval(graph, args.to_vec()).map_err(|e| format!("eval: {e}\n{graph}"))
}

pub(crate) fn message(e: Error) -> String {
    e.to_string()
}

/// Copies the value into separate memory.
pub(crate) fn unshared(x: &Literal) -> Literal {
    Literal::new(x.ty().clone(), Bytes::copy_of(x.bytes())).unwrap_or_else(|_| x.clone())
}

/// Returns random values that every dtype represents exactly, for tangents and cotangents; small
/// ones for 8-bit types, whose range is narrow.
pub(crate) fn direction(rng: &mut Rng, ty: &Type) -> Literal {
    let n = ty.size();
    let unit = if ty.dtype.bits() == 8 { 0.125 } else { 0.5 };
    let mut half = || (rng.below(9) as f64 - 4.0) * unit;
    if ty.dtype.is_complex() {
        let parts: Vec<(f64, f64)> = (0..n).map(|_| (half(), half())).collect();
        return complex(ty, &parts);
    }
    Literal::from_f64s(ty.dtype, &ty.shape, &(0..n).map(|_| half()).collect::<Vec<_>>())
}

/// Creates a literal from real and imaginary parts.
pub(crate) fn complex(ty: &Type, parts: &[(f64, f64)]) -> Literal {
    neurax_ir::with_compute!(any ty.dtype, C => Literal::build(ty.clone(), |out: &mut [C]| {
        for (o, &(re, im)) in out.iter_mut().zip(parts) {
            *o = <C as neurax_ir::Compute>::from_parts(re, im);
        }
    }))
}

/// Creates a generator that depends on the row only, so that a failing row also fails alone.
pub(crate) fn rng_for(s: &Sample) -> Rng {
    let seed = s
        .inputs
        .iter()
        .flat_map(|x| x.shape().iter().copied())
        .fold(s.inputs.len() as u64, |h, d| h.wrapping_mul(31).wrapping_add(d as u64));
    Rng::new(seed)
}

/// Returns the subsets of `items` to try: all non-empty ones up to four items, otherwise each item
/// alone and all together.
pub(crate) fn subsets(items: &[usize]) -> Vec<Vec<usize>> {
    if items.len() <= 4 {
        return (1..1usize << items.len())
            .map(|m| {
                items.iter().enumerate().filter(|(i, _)| m >> i & 1 == 1).map(|(_, &x)| x).collect()
            })
            .collect();
    }
    items.iter().map(|&i| vec![i]).chain([items.to_vec()]).collect()
}
