//! Random calls of every function of sparse tensors, with indices in and out of bounds, axes
//! without elements, and every dtype: no argument may cause a panic, and a call has the same result
//! or is an error both eagerly and jitted. Gradients and batches of it may be errors, not panics.
//!
//! `NEURAX_FUZZ` and `NEURAX_SEED` choose the number of calls and the first seed
//! (`scripts/fuzz.sh`). A failure prints the seed of its call.

use neurax::{
    prelude::*,
    sparse::{Coo, Csr},
    testing::{Draw, Tolerance, check_close_with},
};
use std::{
    any::Any,
    collections::BTreeSet,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    path::Path,
};

/// The number of calls in the default tests: six of each function.
const CALLS: u64 = 300;

/// Indices of a size that no tensor has, and others out of bounds.
const FAR: [i64; 8] = [-1, -5, 7, i32::MAX as i64, 1 << 32, (1 << 32) + 1, i64::MAX, i64::MIN];

/// The arguments of a call.
#[derive(Tree, Clone)]
struct Args {
    a: Coo,
    b: Coo,
    csr: Csr,
    /// A dense tensor, often of the shape of `a`.
    x: Tensor,
    /// A dense tensor, often a vector or matrix that `csr` is multiplied with.
    y: Tensor,
}

/// A function by its name, and a call of it with arguments that a [`Draw`] completes.
type Call = (&'static str, fn(&Args, &mut Draw) -> Vec<Tensor>);

/// Defines a list of calls: `"name" => |args, draw| result;`, whose result is a tree.
macro_rules! calls {
    ($list:ident: $($name:literal => |$a:ident, $d:ident| $call:expr;)*) => {
        const $list: &[Call] = &[$(($name, |$a, $d| leaves($call))),*];
    };
}

calls! { CALLS_IN_TRACES:
    "Coo::new" => |a, d| {
        let (values, indices) = parts(&a.a, d);
        Coo::new(values, indices, shape(d))
    };
    "Coo::from_dense_with_nse" => |a, d| Coo::from_dense_with_nse(&a.x, d.below(9));
    "Coo::eye" => |_a, d| Coo::eye(d.one_of(&[0, 1, 3, 1 << 50]));
    "Coo::to_dense" => |a, _d| a.a.to_dense();
    "Coo::values" => |a, _d| a.a.values().clone();
    "Coo::indices" => |a, _d| a.a.indices().clone();
    "Coo::shape" => |a, _d| Tensor::zeros(a.a.shape());
    "Coo::rank" => |a, _d| Tensor::zeros(a.a.rank());
    "Coo::nse" => |a, _d| Tensor::zeros(a.a.nse());
    "Coo::with_values" => |a, d| a.a.with_values(d.one_of(&[a.b.values(), &a.x]).clone());
    "Coo::map_values" => |a, d| match d.below(2) {
        0 => a.a.map_values(|v| v * 2 + 1),
        _ => a.a.map_values(|v| v.slice(0, ..-1)),
    };
    "Coo::transpose" => |a, _d| a.a.transpose();
    "Coo::mul_dense" => |a, _d| a.a.mul_dense(&a.x);
    "Coo::div_dense" => |a, _d| a.a.div_dense(&a.x);
    "Coo::gather" => |a, _d| a.a.gather(&a.x);
    "Coo::add_dense" => |a, _d| a.a.add_dense(&a.x);
    "Coo::sum" => |a, d| match d.below(4) {
        0 => a.a.sum(..),
        1 => a.a.sum(keep(axis(&a.a, d))),
        2 => a.a.sum([axis(&a.a, d), axis(&a.a, d)]),
        _ => a.a.sum(axis(&a.a, d)),
    };
    "Coo::add" => |a, d| if d.below(2) == 0 { a.a.add(&a.b) } else { &a.a - &a.a.clone() };
    "Coo::to" => |a, d| a.a.to(d.dtype());
    "Coo::to_csr" => |a, _d| a.a.to_csr();
    "Coo::sort_indices" => |a, _d| a.a.sort_indices();
    "Coo::sum_duplicates" => |a, _d| a.a.sum_duplicates();
    "Coo::matmul" => |a, d| a.a.matmul(&dense(a, d));
    "Coo::matmul_from" => |a, d| a.a.matmul_from(&dense(a, d));
    "operators" => |a, _d| &(&(&(-&a.a) * 3.0) / 2.0) + &a.b;
    "Csr::new" => |a, d| {
        let (values, columns) = parts(&a.a, d);
        let rows = d.below(4);
        let starts = indices(d, 6, &[rows + 1]);
        let columns = if d.below(4) == 0 { columns } else { columns.flatten() };
        Csr::new(values, columns, starts, [rows, d.below(4)])
    };
    "Csr::from_dense_with_nse" => |a, d| Csr::from_dense_with_nse(&a.x, d.below(9));
    "Csr::to_dense" => |a, _d| a.csr.to_dense();
    "Csr::to_coo" => |a, _d| a.csr.to_coo();
    "Csr::transpose" => |a, _d| a.csr.transpose();
    "Csr::sum" => |a, d| a.csr.sum(d.below(5) as i64 - 3);
    "Csr::map_values" => |a, _d| a.csr.map_values(|v| v - 1);
    "Csr::with_values" => |a, d| a.csr.with_values(d.one_of(&[a.b.values(), &a.x]).clone());
    "Csr::values" => |a, _d| a.csr.values().clone();
    "Csr::columns" => |a, _d| a.csr.columns().clone();
    "Csr::row_starts" => |a, _d| a.csr.row_starts().clone();
    "Csr::rows" => |a, _d| a.csr.rows().clone();
    "Csr::shape" => |a, _d| Tensor::zeros(a.csr.shape());
    "Csr::nse" => |a, _d| Tensor::zeros(a.csr.nse());
    "Csr::matmul" => |a, d| a.csr.matmul(&dense(a, d));
    "Csr::matmul_from" => |a, d| a.csr.matmul_from(&dense(a, d));
}

// The sizes of the results depend on values, so that a call in a trace is an error.
calls! { EAGER_CALLS:
    "Coo::from_dense" => |a, _d| Coo::from_dense(&a.x);
    "Coo::trimmed" => |a, _d| a.a.trimmed();
    "Csr::from_dense" => |a, _d| Csr::from_dense(&a.x);
}

fn all_calls() -> Vec<Call> {
    [CALLS_IN_TRACES, EAGER_CALLS].concat()
}

/// Returns the leaves of a result.
fn leaves(x: impl Tree) -> Vec<Tensor> {
    x.leaves().into_iter().map(|(_, leaf)| leaf.clone()).collect()
}

/// Returns a shape, mostly of a matrix, with sizes that no index has at times.
fn shape(d: &mut Draw) -> Vec<usize> {
    let mut shape = if d.below(3) == 0 { d.shape(0..=4, 0..=3) } else { d.shape(2..=2, 0..=4) };
    if d.below(20) == 0 {
        shape.push(d.one_of(&[1 << 40, 1 << 62, usize::MAX]));
    }
    shape
}

/// Returns integers of `shape`, mostly below `size`.
fn indices(d: &mut Draw, size: usize, shape: &[usize]) -> Tensor {
    let rarely = d.below(4);
    let index = |d: &mut Draw| match d.below(8) {
        0 if rarely == 0 => d.one_of(&FAR),
        1 => size as i64,
        _ => d.below(size.max(1)) as i64,
    };
    let all: Vec<i64> = (0..shape.iter().product()).map(|_| index(d)).collect();
    let dtype = d.one_of(&[I64, I64, I32, I32, I16, U8, U64]);
    Tensor::from_vec(all, shape).to(dtype)
}

/// Returns numbers of `shape`, of which some are zeros.
fn numbers(d: &mut Draw, dtype: DType, shape: &[usize]) -> Tensor {
    let x = if d.below(6) == 0 { d.edges(dtype, shape) } else { d.tensor(dtype, shape) };
    if d.below(2) == 0 { x } else { d.tensor(BOOL, shape).select(&x, x.zeros_like()) }
}

/// Returns a sparse tensor with elements in any order, some of them with equal indices or padding.
fn sparse(d: &mut Draw, dtype: DType, shape: &[usize]) -> Coo {
    let (nse, most) = (d.below(7), shape.iter().copied().max().unwrap_or(0).min(5));
    Coo::new(numbers(d, dtype, &[nse]), indices(d, most, &[shape.len(), nse]), shape)
}

/// Returns the values and indices for a new sparse tensor, mostly of one number of elements.
fn parts(a: &Coo, d: &mut Draw) -> (Tensor, Tensor) {
    match d.below(6) {
        0 => (a.values().expand_dims(0), a.indices().clone()),
        1 => (a.values().clone(), a.indices().to(F32)),
        2 => (a.indices().clone(), a.values().clone()),
        _ => {
            let rank = d.below(4);
            (a.values().clone(), indices(d, 3, &[rank, a.values().size()]))
        }
    }
}

/// Returns a dense operand of a product.
fn dense(a: &Args, d: &mut Draw) -> Tensor {
    d.one_of(&[&a.x, &a.y, &a.y]).clone()
}

/// Returns an axis of `a`, mostly.
fn axis(a: &Coo, d: &mut Draw) -> i64 {
    if d.below(8) == 0 { d.one_of(&FAR) } else { d.axis(a.rank()) }
}

/// Returns the arguments of `seed`.
fn args(d: &mut Draw) -> Args {
    let (dtype, shape) = (d.dtype(), shape(d));
    let other = d.below(4);
    let (b_dtype, b_shape) = match other {
        0 => (d.dtype(), shape.clone()),
        1 => (dtype, d.shape(0..=3, 0..=3)),
        _ => (dtype, shape.clone()),
    };
    // A size that no memory holds is an error of the sparse tensors alone.
    let sizes: Vec<usize> = shape.iter().map(|&n| n.min(5)).collect();
    let matrix = [sizes.first().copied().unwrap_or(2), sizes.get(1).copied().unwrap_or(3)];
    let x_shape = if d.below(4) == 0 { d.broadcastable(&sizes) } else { sizes };
    let x = numbers(d, dtype, &x_shape);
    let y_shape = match d.below(5) {
        0 => vec![matrix[0]],
        1 => vec![matrix[1]],
        2 => vec![d.below(4), matrix[0]],
        3 => vec![matrix[1], d.below(4)],
        _ => d.shape(0..=3, 0..=4),
    };
    let y = numbers(d, dtype, &y_shape);
    let (a, b) = (sparse(d, dtype, &shape), sparse(d, b_dtype, &b_shape));
    let csr = if d.below(3) == 0 { a.to_csr() } else { sparse(d, dtype, &matrix).to_csr() };
    Args { a, b, csr, x, y }
}

/// Checks one call in all modes. Returns true if it has a value.
fn check(seed: u64, (name, call): Call) -> Result<bool> {
    let mut draw = Draw::new(seed);
    let args = args(&mut draw);
    let f = |args: Args| call(&args, &mut draw.clone());
    // Also a call with errors runs: they travel.
    let eager = is_not_a_bug(f(args.clone()).ok())?;
    if EAGER_CALLS.iter().any(|eager| eager.0 == name) || args.ok().is_err() {
        return Ok(eager.is_ok());
    }
    let jitted = is_not_a_bug(jit(f).run(args.clone()))?;
    match (&eager, &jitted) {
        (Ok(eager), Ok(jitted)) => agree(jitted, eager)?,
        (Err(_), Err(_)) => {}
        (Err(e), Ok(_)) | (Ok(_), Err(e)) => {
            let mode = if eager.is_err() { "eagerly" } else { "jitted" };
            return Err(Error::new("fuzz", format!("only an error {mode}: {e}")));
        }
    }
    let loss = |values: Tensor| {
        let a = args.a.with_values(values);
        let outs = f(Args { a, ..args.clone() }).into_iter().filter(|y| y.dtype().is_float());
        outs.fold(tensor(0.0), |sum, y| sum + y.to(F32).sum(..))
    };
    is_not_a_bug(grad(loss).run(args.a.values().clone()))?.ok();
    let batch = args.map_leaves(|leaf| stack([leaf, leaf], 0));
    is_not_a_bug(vmap(f).run(batch))?.ok();
    Ok(eager.is_ok())
}

/// Returns the result unless it is an error that says to be one of Neurax.
fn is_not_a_bug<T>(result: Result<T>) -> Result<Result<T>> {
    match result {
        Err(e) if e.to_string().contains("error of Neurax") => Err(e),
        result => Ok(result),
    }
}

/// Compares the types of the results of two modes, and their values unless rounding in another
/// order may change them by much.
fn agree(have: &[Tensor], want: &[Tensor]) -> Result<()> {
    for (have, want) in have.iter().zip(want) {
        let (have, want) = (have.to_literal()?, want.to_literal()?);
        if have.ty() != want.ty() {
            let why = format!("jitted: expected {}, got {}", want.ty(), have.ty());
            return Err(Error::new("fuzz", why));
        }
        let is_small = want.to_f64s().iter().all(|x| x.abs() < 1e4);
        if is_small && want.dtype().bits() >= 32 {
            let tolerance = Tolerance::of(want.dtype()).times(64.0);
            check_close_with(&Tensor::from(have), &Tensor::from(want), tolerance)?;
        }
    }
    Ok(())
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Returns the message of a panic.
fn message(e: Box<dyn Any + Send>) -> String {
    let text = e.downcast_ref::<String>().cloned();
    let text = text.or_else(|| e.downcast_ref::<&str>().map(|s| s.to_string()));
    format!("panic: {}", text.unwrap_or_default())
}

#[test]
fn random_calls_neither_panic_nor_differ() {
    let (first, count) = (number("NEURAX_SEED", 0), number("NEURAX_FUZZ", CALLS));
    println!("{count} calls, seeds from {first} on");
    let verbose = env::var_os("NEURAX_FUZZ_PRINT").is_some();
    set_hook(Box::new(|_| {}));
    let calls = all_calls();
    let (mut failures, mut valid) = (vec![], 0);
    for seed in (0..count).map(|i| first.wrapping_add(i)) {
        let call = calls[(seed % calls.len() as u64) as usize];
        if verbose {
            println!("seed {seed}: {}", call.0);
        }
        match catch_unwind(AssertUnwindSafe(|| check(seed, call))) {
            Ok(Ok(is_valid)) => valid += u64::from(is_valid),
            Ok(Err(e)) => failures.push(format!("seed {seed}: {}: {e}", call.0)),
            Err(e) => failures.push(format!("seed {seed}: {}: {}", call.0, message(e))),
        }
        if failures.len() >= 20 {
            break;
        }
    }
    let _ = take_hook();
    assert!(failures.is_empty(), "{} calls failed:\n{}", failures.len(), failures.join("\n\n"));
    println!("{valid} calls have a value");
    assert!(valid * 3 >= count, "only {valid} of {count} calls have a value");
}

#[test]
fn every_function_is_called() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut of = "";
        for line in text.lines() {
            of = line.strip_prefix("impl ").and_then(|l| l.strip_suffix(" {")).unwrap_or(of);
            if let Some(function) = line.strip_prefix("    pub fn ") {
                named.insert(format!("{of}::{}", function.split(['(', '<']).next().unwrap()));
            }
        }
    }
    assert!(named.contains("Csr::from_dense"), "{named:?}");
    let called: BTreeSet<String> = all_calls().iter().map(|c| c.0.to_string()).collect();
    let missing: Vec<_> = named.difference(&called).collect();
    assert!(missing.is_empty(), "functions without a call: {missing:?}");
}
