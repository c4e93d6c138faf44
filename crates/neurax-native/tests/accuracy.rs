//! How far vectorised functions are off, run as machine code. With `-- --nocapture` it prints the figures of docs/performance.md.
//!
//! References are the functions of f64 of std and libm. For f32 they are as good as exact; for f64 they are within one unit of the last place
//! themselves, which is allowed for.

#[path = "accuracy/table.rs"]
mod table;

use neurax_ir::{Element, Graph, Literal};
use neurax_native::Native;
use neurax_runtime::Backend;
use table::{PAIRS, REFERENCE, ROWS, corners, off_f32, off_f64, pairs, points, same_class};

/// A function as machine code gives it.
fn run<T: Element>(name: &str, xs: &[&[T]]) -> Vec<T> {
    let n = xs[0].len();
    let ty = format!("{}[{n}]", T::DTYPE);
    let list = |s: &str| (0..xs.len()).map(|i| format!("%{i}{s}")).collect::<Vec<_>>().join(", ");
    let (inputs, args, y) = (list(&format!(": {ty}")), list(""), xs.len());
    let graph = Graph::parse(&format!("graph({inputs}) {{\n  %{y}: {ty} = {name}({args})\n  return %{y}\n}}")).unwrap();
    let args = xs.iter().map(|x| Literal::from_slice([n], x).unwrap().into()).collect();
    let out = Native::new().unwrap().compile(&graph, 0).unwrap().run(args).unwrap();
    out[0].to_literal().unwrap().to_vec().unwrap()
}

/// The largest of some distances, and where it is.
fn worst<X: Copy>(all: impl Iterator<Item = (f64, X)>) -> (f64, Option<X>) {
    all.fold((0.0, None), |worst, (off, x)| if off > worst.0 { (off, Some(x)) } else { worst })
}

/// Prints a row of the table; the complaint if it is out of bounds.
fn judge<X: std::fmt::Debug>(name: &str, dtype: &str, bound: f64, allowed: f64, (off, at): (f64, Option<X>)) -> Option<String> {
    println!("| `{name}` | {dtype} | {bound} | {off:.2} |");
    (off > allowed).then(|| format!("{name} of {dtype}: off by {off} at {at:?}, not {bound}"))
}

fn no_complaints(all: impl Iterator<Item = String>) {
    let all: Vec<String> = all.collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn functions_of_f32_are_within_their_bounds() {
    let xs: Vec<f32> = points(32).into_iter().map(|p| f32::from_bits(p as u32)).collect();
    no_complaints(ROWS.iter().filter_map(|row| {
        let ys = run(row.f.name(), &[&xs]);
        let all = xs.iter().zip(&ys).map(|(&x, &y)| (off_f32(y, (row.want)(x as f64)), (x, y)));
        judge(row.f.name(), "f32", row.f32, row.f32, worst(all))
    }));
}

#[test]
fn functions_of_f64_are_within_their_bounds() {
    let xs: Vec<f64> = points(64).into_iter().map(f64::from_bits).collect();
    no_complaints(ROWS.iter().filter_map(|row| {
        let bound = row.f64?;
        let ys = run(row.f.name(), &[&xs]);
        let all = xs.iter().zip(&ys).map(|(&x, &y)| (off_f64(y, (row.want)(x)), (x, y)));
        judge(row.f.name(), "f64", bound, bound + REFERENCE, worst(all))
    }));
}

#[test]
fn functions_of_two_values_are_within_their_bounds() {
    let all = pairs();
    let xs: Vec<f32> = all.iter().map(|p| f32::from_bits(p.0)).collect();
    let ys: Vec<f32> = all.iter().map(|p| f32::from_bits(p.1)).collect();
    no_complaints(PAIRS.iter().filter_map(|&(f, bound, want)| {
        let zs = run(f.name(), &[&xs, &ys]);
        let all = xs.iter().zip(&ys).zip(&zs).map(|((&x, &y), &z)| (off_f32(z, want(x as f64, y as f64)), (x, y, z)));
        judge(f.name(), "f32", bound, bound, worst(all))
    }));
}

#[test]
fn corners_are_right() {
    let xs: Vec<f32> = corners(32).into_iter().map(|p| f32::from_bits(p as u32)).collect();
    let wide: Vec<f64> = corners(64).into_iter().map(f64::from_bits).collect();
    no_complaints(ROWS.iter().flat_map(|row| {
        let name = row.f.name();
        let narrow = xs.iter().zip(run(name, &[&xs])).map(|(&x, y)| (x as f64, y as f64, (row.want)(x as f64) as f32 as f64));
        let wide = wide.iter().zip(run(name, &[&wide])).map(|(&x, y)| (x, y, (row.want)(x)));
        let wrong = |(x, y, want): (f64, f64, f64)| (!same_class(y, want)).then(|| format!("{name} of {x} is {y}, not {want}"));
        narrow.chain(wide).filter_map(wrong).collect::<Vec<_>>()
    }));
}
