//! Compares results with recorded ones, element by element.

use neurax::{Literal, ir::FloatFormat, prelude::*};
use neurax_testkit::{
    close::{epsilon, parts},
    edges::{EdgeOperand, EdgeResult, EdgeRow, EdgeTolerance},
};

/// The magnitude below which a tolerance relative to the largest element is absolute: derivatives
/// such as `s (1 - s)` of functions near a limit have no more digits.
const SMALL: f64 = 1e-3;

/// Compares results with those of `row`.
///
/// # Errors
/// The first element that differs, with its operands.
pub fn difference(row: &EdgeRow, have: Result<Vec<Literal>>) -> Result<(), String> {
    match (&row.results, have) {
        (None, Err(_)) => Ok(()),
        (None, Ok(have)) => {
            Err(format!("{}: expected an error, got {}", operands(row), all(&have)))
        }
        (Some(_), Err(e)) => Err(format!("{}: {e}", operands(row))),
        (Some(want), Ok(have)) if want.len() != have.len() => {
            Err(format!("expected {} results, got {}", want.len(), have.len()))
        }
        (Some(want), Ok(have)) => {
            want.iter().zip(&have).try_for_each(|(want, have)| compare(row, want, have))
        }
    }
}

fn compare(row: &EdgeRow, want: &EdgeResult, have: &Literal) -> Result<(), String> {
    if want.kept.ty() != have.ty() {
        return Err(format!("{}: expected {}, got {}", operands(row), want.kept.ty(), have.ty()));
    }
    let close = |want: &Literal| far(row, want, have);
    let far: Vec<usize> =
        close(&want.kept).into_iter().filter(|i| close(&want.flushed).contains(i)).collect();
    let Some(&i) = far.first() else { return Ok(()) };
    Err(format!(
        "{}: [{i}] expected {}, got {} ({} of {} differ)",
        operands_at(row, have, i),
        show(&want.kept, i),
        show(have, i),
        far.len(),
        have.ty().size()
    ))
}

/// Returns the indices of the elements that differ by more than the tolerance.
fn far(row: &EdgeRow, want: &Literal, have: &Literal) -> Vec<usize> {
    let (a, b) = (parts(want), parts(have));
    let largest = a.iter().flat_map(|x| [x.0.abs(), x.1.abs()]).filter(|x| x.is_finite());
    let largest = largest.fold(SMALL, f64::max);
    let d = want.dtype();
    let near = |a: f64, b: f64, size: f64| match row.tolerance {
        _ if a.is_nan() || b.is_nan() => a.is_nan() && b.is_nan(),
        EdgeTolerance::Ulps(0) if a == b => {
            a != 0.0 || a.is_sign_negative() == b.is_sign_negative()
        }
        _ if a == b => true,
        EdgeTolerance::Ulps(n) => (a - b).abs() <= n as f64 * ulp(size, d) || below_normal(a, b, d),
        EdgeTolerance::OfLargest(t) => (a - b).abs() <= t * largest,
    };
    let size = |x: (f64, f64)| match x.0.hypot(x.1) {
        s if s.is_finite() => s,
        _ => 1.0,
    };
    let differs = |i: &usize| {
        let (x, y) = (a[*i], b[*i]);
        let exact = !d.is_differentiable() && show(want, *i) != show(have, *i);
        exact || !(near(x.0, y.0, size(x)) && near(x.1, y.1, size(x)))
    };
    (0..a.len()).filter(differs).collect()
}

/// Returns the distance between numbers of `dtype` as large as `x`.
fn ulp(x: f64, dtype: DType) -> f64 {
    let exponent = x.abs().max(smallest_normal(dtype)).log2().floor();
    epsilon(dtype) * exponent.exp2()
}

/// Returns true if `a` and `b` are both 0 or subnormal numbers, in a dtype whose subnormal numbers
/// may count as zeros.
fn below_normal(a: f64, b: f64, dtype: DType) -> bool {
    let flushed = matches!(dtype.real(), DType::F32 | DType::F64 | DType::BF16);
    let tiny = smallest_normal(dtype);
    flushed && a.abs() <= tiny && b.abs() <= tiny && (a == 0.0 || b == 0.0)
}

fn smallest_normal(dtype: DType) -> f64 {
    FloatFormat::of(dtype.real()).map_or(0.0, FloatFormat::smallest_normal)
}

fn show(x: &Literal, i: usize) -> String {
    use neurax::ir::{Compute, with_compute};
    if !x.dtype().is_differentiable() {
        return with_compute!(any x.dtype(), C => x.load::<C>()[i].to_i128().to_string());
    }
    match parts(x)[i] {
        (re, im) if x.dtype().is_complex() => format!("({re},{im})"),
        (re, _) => format!("{re}"),
    }
}

/// Returns the operands at element `i` of a result of their common shape, or whole operands.
fn operands_at(row: &EdgeRow, have: &Literal, i: usize) -> String {
    let at = |x: &EdgeOperand| match x {
        EdgeOperand::Tensor(x) if x.ty().size() > 1 && x.shape() == have.shape() => {
            format!("{} {}", x.ty(), show(x, i))
        }
        // Two operands that broadcast against each other, as columns and rows.
        EdgeOperand::Tensor(x) if x.shape().len() == 2 && have.shape().len() == 2 => {
            let n = have.shape()[1];
            let k = if x.shape()[1] == 1 { i / n } else { i % n };
            if x.ty().size() > k { format!("{} {}", x.ty(), show(x, k)) } else { operand(x) }
        }
        EdgeOperand::Tensor(x) => operand(x),
        number => format!("{number:?}"),
    };
    row.operands.iter().map(at).collect::<Vec<_>>().join("; ")
}

fn operands(row: &EdgeRow) -> String {
    let text = |x: &EdgeOperand| match x {
        EdgeOperand::Tensor(x) => operand(x),
        number => format!("{number:?}"),
    };
    row.operands.iter().map(text).collect::<Vec<_>>().join("; ")
}

fn operand(x: &Literal) -> String {
    let n = x.ty().size();
    let elements: Vec<String> = (0..n.min(6)).map(|i| show(x, i)).collect();
    format!("{} {}{}", x.ty(), elements.join(" "), if n > 6 { " .." } else { "" })
}

fn all(xs: &[Literal]) -> String {
    xs.iter().map(operand).collect::<Vec<_>>().join("; ")
}
