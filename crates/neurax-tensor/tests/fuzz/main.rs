//! Random calls of every function of tensors: no argument may cause a panic, and a call that runs
//! eagerly, in a jitted function, on the interpreter and on the compiler has the same result or is
//! an error in all of them.
//!
//! `NEURAX_FUZZ` and `NEURAX_SEED` choose the number of calls and the first seed
//! (`scripts/fuzz.sh`). A failure prints the seed of its call.

#![recursion_limit = "256"]

mod backend;
mod calls;
mod calls_of_arrays;
mod collective_calls;
mod draw;
mod files;
mod memory;
mod option_calls;

use backend::{DIFFERS, near, with};
use calls::Call;
use draw::Draw;
use neurax::{Literal, grad, jit, prelude::*, vmap};
use neurax_testkit::rng::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{collections::BTreeSet, fs, path::Path};

/// The number of calls in the default tests: four of each function.
const CALLS: u64 = 1100;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn random_calls_neither_panic_nor_differ() {
    backend::install();
    let (first, count) = (number("NEURAX_SEED", 0), number("NEURAX_FUZZ", CALLS));
    println!("{count} calls, seeds from {first} on");
    let verbose = std::env::var_os("NEURAX_FUZZ_PRINT").is_some();
    std::panic::set_hook(Box::new(|_| {}));
    let calls = calls::all();
    let (mut failures, mut valid) = (vec![], 0);
    for seed in (0..count).map(|i| first.wrapping_add(i)) {
        let call = calls[(seed % calls.len() as u64) as usize];
        if verbose {
            println!("seed {seed}: {}", call.0);
        }
        let run = || check(seed, call);
        let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|e| {
            let text = e.downcast_ref::<String>().cloned();
            let text = text.or_else(|| e.downcast_ref::<&str>().map(|s| s.to_string()));
            Err(format!("panic: {}", text.unwrap_or_default()))
        });
        match outcome {
            Ok(is_valid) => valid += is_valid as u64,
            Err(why) => failures.push(format!("seed {seed}: {}: {why}", describe(seed, call))),
        }
        if failures.len() >= 20 {
            break;
        }
    }
    let _ = std::panic::take_hook();
    assert!(failures.is_empty(), "{} calls failed:\n{}", failures.len(), failures.join("\n\n"));
    println!("{valid} calls have a value");
    assert!(valid * 3 >= count, "only {valid} of {count} calls have a value");
}

/// Returns the function and the types of its tensors.
fn describe(seed: u64, (name, _): Call) -> String {
    let (_, xs) = drawn(seed);
    let types = xs.iter().map(|x| x.ty().map_or_else(|e| e.to_string(), |t| t.to_string()));
    format!("{name} of {}", types.collect::<Vec<_>>().join(", "))
}

/// Returns the generator after the inputs of `seed`, and the inputs.
fn drawn(seed: u64) -> (Rng, Vec<Tensor>) {
    let mut rng = Rng::new(seed);
    // The first numbers of neighbouring seeds differ by a constant.
    rng.bits();
    let xs = draw::inputs(&mut rng);
    (rng, xs)
}

/// Checks one call in all modes. Returns true if it has a value.
fn check(seed: u64, (name, call): Call) -> Result<bool, String> {
    let (rng, xs) = drawn(seed);
    let f = |xs: Vec<Tensor>| call(&mut Draw::new(rng.clone(), xs));
    let nice = xs.iter().all(is_nice);
    let eager = with(seed.is_multiple_of(4), nice, || values(f(xs.clone())));
    let jitted = with(true, nice, || jit(f).run(xs.clone()).and_then(values));
    agree(&eager, &jitted, nice && !is_sensitive(name))?;
    let loss = |xs: Vec<Tensor>| {
        let outs = f(xs).into_iter().filter(|y| y.dtype().is_float());
        outs.fold(tensor(0.0), |sum, y| sum + y.to(F32).sum(..))
    };
    let gradient =
        with(seed.is_multiple_of(8), false, || grad(loss).run(xs.clone()).and_then(values));
    let batched = with(seed % 8 == 4, false, || vmap(f).run(xs.clone()).and_then(values));
    for result in [gradient, batched] {
        is_not_ours(&result)?;
    }
    Ok(eager.is_ok())
}

/// Returns the values of tensors, or the first error.
fn values(xs: Vec<Tensor>) -> Result<Vec<Literal>> {
    xs.iter().map(Tensor::to_literal).collect()
}

/// Compares the results of two modes.
fn agree(
    eager: &Result<Vec<Literal>>,
    jitted: &Result<Vec<Literal>>,
    compared: bool,
) -> Result<(), String> {
    is_not_ours(eager)?;
    is_not_ours(jitted)?;
    match (eager, jitted) {
        (Ok(eager), Ok(jitted)) if eager.len() == jitted.len() => {
            for (have, want) in jitted.iter().zip(eager) {
                if compared {
                    near(have, want).map_err(|e| format!("jitted: {e}"))?;
                } else if have.ty() != want.ty() {
                    return Err(format!("jitted: expected {}, got {}", want.ty(), have.ty()));
                }
            }
            Ok(())
        }
        (Ok(_), Ok(_)) => Err("other numbers of results".into()),
        (Err(_), Err(_)) => Ok(()),
        // A fused program may need no memory for a value that does not fit.
        (Err(e), Ok(_)) | (Ok(_), Err(e)) if e.to_string().contains("memory") => Ok(()),
        (Err(e), Ok(_)) => Err(format!("only an error when it runs eagerly: {e}")),
        (Ok(_), Err(e)) => Err(format!("only an error when jitted: {e}")),
    }
}

/// Returns an error if the result is one of this test, or says that it is an error of Neurax.
fn is_not_ours(result: &Result<Vec<Literal>>) -> Result<(), String> {
    match result {
        Err(e) if e.op() == DIFFERS || e.to_string().contains("error of Neurax") => {
            Err(e.to_string())
        }
        _ => Ok(()),
    }
}

/// Returns true if all elements are small.
fn is_nice(x: &Tensor) -> bool {
    x.to_literal().is_ok_and(|x| x.to_f64s().iter().all(|v| v.abs() <= 4.0))
}

/// Returns true if a small change of an operand, by rounding, may change the result by much.
fn is_sensitive(name: &str) -> bool {
    name.starts_with("Key::")
}

#[test]
fn every_function_of_the_page_is_called() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/functions.md");
    let page = fs::read_to_string(path).unwrap();
    let rows = page.lines().filter_map(|l| l.strip_prefix("| `")?.split("` | ").next());
    let name = |row: &str| match row.strip_prefix("x.at(i).") {
        Some(rest) => format!("x.at(i).{}", rest.split('(').next().unwrap()),
        None => row.split('(').next().unwrap().replace("\\|", "|"),
    };
    let named: BTreeSet<String> = rows.map(name).collect();
    let called: BTreeSet<String> = calls::all().iter().map(|c| c.0.to_string()).collect();
    let missing: Vec<_> = named.difference(&called).collect();
    assert!(missing.is_empty(), "functions without a call: {missing:?}");
}
