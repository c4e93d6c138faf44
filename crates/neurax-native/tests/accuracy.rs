//! The errors of vectorized functions, run as machine code. With `-- --nocapture` it prints the
//! figures of docs/accuracy.md.
//!
//! The references are the f64 functions of std and libm. For f32 they are practically exact; for
//! f64 they are within one unit of the last place, which the bounds allow for. Subnormal arguments
//! and results count as zeros.

#[path = "accuracy/table.rs"]
mod table;

use neurax_ir::{Builder, Bytes, DType, Element, Graph, Literal, Type};
use neurax_native::Native;
use neurax_runtime::Backend;
use table::{PAIRS, REFERENCE, ROWS, corners, off_f32, off_f64, pairs, points, same_class};

/// Returns the results of a function as machine code.
fn run<T: Element>(name: &str, xs: &[&[T]]) -> Vec<T> {
    let n = xs[0].len();
    let ty = format!("{}[{n}]", T::DTYPE);
    let list = |s: &str| (0..xs.len()).map(|i| format!("%{i}{s}")).collect::<Vec<_>>().join(", ");
    let (inputs, args, y) = (list(&format!(": {ty}")), list(""), xs.len());
    let graph = Graph::parse(&format!(
        "graph({inputs}) {{\n  %{y}: {ty} = {name}({args})\n  return %{y}\n}}"
    ))
    .unwrap();
    let args = xs.iter().map(|x| Literal::from_slice([n], x).unwrap().into()).collect();
    let out = Native::new().unwrap().compile(&graph, 0).unwrap().run(args).unwrap();
    out[0].to_literal().unwrap().to_vec().unwrap()
}

/// Returns the largest of some errors, and its position.
fn worst<X: Copy>(all: impl Iterator<Item = (f64, X)>) -> (f64, Option<X>) {
    all.fold((0.0, None), |worst, (off, x)| if off > worst.0 { (off, Some(x)) } else { worst })
}

/// Prints a row of the table. Returns a message if it is out of bounds.
fn judge<X: std::fmt::Debug>(
    name: &str,
    dtype: &str,
    bound: f64,
    allowed: f64,
    (off, at): (f64, Option<X>),
) -> Option<String> {
    println!("| `{name}` | {dtype} | {bound} | {off:.2} |");
    (off > allowed).then(|| format!("{name} of {dtype}: off by {off} at {at:?}, not {bound}"))
}

/// Returns true if `have` is a zero where `want` is below `least`, or so little above it that
/// rounding may have made it a zero.
fn faded(have: f64, want: f64, least: f64) -> bool {
    have.abs() < least
        && want.abs() < least * (1.0 + 1e-5)
        && have.is_sign_negative() == want.is_sign_negative()
}

/// Returns a number, or zero if it is subnormal.
fn flush_f32(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

fn flush_f64(x: f64) -> f64 {
    if x.is_subnormal() { 0f64.copysign(x) } else { x }
}

fn distance_f32(have: f32, want: f64) -> f64 {
    if faded(have as f64, want, f32::MIN_POSITIVE as f64) { 0.0 } else { off_f32(have, want) }
}

fn distance_f64(have: f64, want: f64) -> f64 {
    if faded(have, want, f64::MIN_POSITIVE) { 0.0 } else { off_f64(have, want) }
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
        let all = xs
            .iter()
            .zip(&ys)
            .map(|(&x, &y)| (distance_f32(y, (row.want)(flush_f32(x) as f64)), (x, y)));
        judge(row.f.name(), "f32", row.f32, row.f32, worst(all))
    }));
}

#[test]
fn functions_of_f64_are_within_their_bounds() {
    let xs: Vec<f64> = points(64).into_iter().map(f64::from_bits).collect();
    no_complaints(ROWS.iter().filter_map(|row| {
        let bound = row.f64?;
        let ys = run(row.f.name(), &[&xs]);
        let all =
            xs.iter().zip(&ys).map(|(&x, &y)| (distance_f64(y, (row.want)(flush_f64(x))), (x, y)));
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
        let all = xs.iter().zip(&ys).zip(&zs).map(|((&x, &y), &z)| {
            (distance_f32(z, want(flush_f32(x) as f64, flush_f32(y) as f64)), (x, y, z))
        });
        judge(f.name(), "f32", bound, bound, worst(all))
    }));
}

#[test]
fn corners_are_right() {
    let xs: Vec<f32> = corners(32).into_iter().map(|p| f32::from_bits(p as u32)).collect();
    let wide: Vec<f64> = corners(64).into_iter().map(f64::from_bits).collect();
    no_complaints(ROWS.iter().flat_map(|row| {
        let name = row.f.name();
        // Functions of the scalar library may return subnormal numbers.
        let narrow = xs.iter().zip(run(name, &[&xs])).map(|(&x, y)| {
            let wants = [x, flush_f32(x)].map(|x| flush_f32((row.want)(x as f64) as f32) as f64);
            (x as f64, flush_f32(y) as f64, wants)
        });
        let wide = wide
            .iter()
            .zip(run(name, &[&wide]))
            .map(|(&x, y)| (x, flush_f64(y), [x, flush_f64(x)].map(|x| flush_f64((row.want)(x)))));
        let is_wrong = |y: f64, wants: [f64; 2]| !wants.iter().any(|&want| same_class(y, want));
        let wrong = |(x, y, wants): (f64, f64, [f64; 2])| {
            is_wrong(y, wants).then(|| format!("{name} of {x:e} is {y:e}, not {:e}", wants[0]))
        };
        narrow.chain(wide).filter_map(wrong).collect::<Vec<_>>()
    }));
}

#[test]
fn every_f16_is_the_same_number_as_f32_and_back() {
    let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_ne_bytes).collect();
    let x = Literal::new(Type::new(DType::F16, [1 << 16]), Bytes::copy_of(&all)).unwrap();
    let mut b = Builder::new();
    let inputs = b.inputs(&[x.ty().clone()]);
    let wide = b.convert(inputs[0], DType::F32);
    let narrow = b.convert(wide, DType::F16);
    let graph = b.finish(&[wide, narrow]).unwrap();
    let ys =
        Native::new().unwrap().compile(&graph, 0).unwrap().run(vec![x.clone().into()]).unwrap();
    let (wide, narrow) = (ys[0].to_literal().unwrap(), ys[1].to_literal().unwrap());
    let is_nan: Vec<bool> = x.to_f64s().iter().map(|x| x.is_nan()).collect();
    let numbers = |l: &Literal| {
        l.to_f64s()
            .into_iter()
            .map(f64::to_bits)
            .zip(&is_nan)
            .filter(|(_, nan)| !**nan)
            .map(|p| p.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&wide), numbers(&x));
    assert_eq!(numbers(&narrow), numbers(&x));
    assert!(wide.to_f64s().iter().zip(&is_nan).all(|(y, nan)| y.is_nan() == *nan));
}
