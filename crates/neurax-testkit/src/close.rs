//! Comparison of literals: exact for integers and bools, within a tolerance for floats.

use neurax_ir::{Compute, DType, Literal, with_compute};

/// A tolerance for floats: `|have - want| <= abs + rel * |want|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The relative tolerance.
    pub rel: f64,
    /// The absolute tolerance.
    pub abs: f64,
}

impl Tolerance {
    /// Creates a tolerance with `t` as both relative and absolute tolerance.
    pub const fn both(t: f64) -> Tolerance {
        Tolerance { rel: t, abs: t }
    }

    /// Returns a tolerance of a few units in the last place of `dtype`, by which equivalent
    /// computations may differ. Integers and bools must be equal.
    pub fn of(dtype: DType) -> Tolerance {
        Tolerance::both(8.0 * epsilon(dtype))
    }

    /// Returns this tolerance multiplied by `factor`.
    pub fn times(self, factor: f64) -> Tolerance {
        Tolerance { rel: self.rel * factor, abs: self.abs * factor }
    }
}

/// Returns the distance from 1 to the next larger value of `dtype`; 0 for integers and bools.
pub fn epsilon(dtype: DType) -> f64 {
    match dtype.real() {
        DType::F8E5M2 => 0.25,
        DType::F8E4M3FN => 0.125,
        DType::BF16 => 2f64.powi(-7),
        DType::F16 => 2f64.powi(-10),
        DType::F32 => f32::EPSILON as f64,
        DType::F64 => f64::EPSILON,
        _ => 0.0,
    }
}

/// Compares two literals within [`Tolerance::of`] the dtype.
///
/// # Errors
/// The worst element.
///
/// ```
/// use neurax_ir::Literal;
/// use neurax_testkit::close::close;
/// let x = Literal::from_slice([2], &[1.0f32, f32::NAN]).unwrap();
/// let y = Literal::from_slice([2], &[1.5f32, f32::NAN]).unwrap();
/// assert!(close(&x, &x).is_ok(), "NaN equals NaN");
/// assert_eq!(
///     close(&x, &y).unwrap_err(),
///     "f32[2]: 1 of 2 elements differ, worst at [0]: expected 1.5, got 1 (off by 0.5)"
/// );
/// ```
pub fn close(have: &Literal, want: &Literal) -> Result<(), String> {
    close_within(have, want, Tolerance::of(want.dtype()))
}

/// Compares two literals within `tolerance`.
///
/// # Errors
/// The worst element.
pub fn close_within(have: &Literal, want: &Literal, tolerance: Tolerance) -> Result<(), String> {
    if have.ty() != want.ty() {
        return Err(format!("expected {}, got {}", want.ty(), have.ty()));
    }
    if !want.dtype().is_differentiable() {
        return exact(have, want);
    }
    let (a, b) = (parts(have), parts(want));
    let distances = (0..a.len())
        .map(|i| distance(a[i].0, b[i].0, tolerance).max(distance(a[i].1, b[i].1, tolerance)));
    report(have, want, distances, |i| (show(a[i], have), show(b[i], have), difference(a[i], b[i])))
}

/// Compares lists of literals, each within [`Tolerance::of`] its dtype times `factor`.
///
/// # Errors
/// The index of the first literal that differs.
pub fn all_close(have: &[Literal], want: &[Literal], factor: f64) -> Result<(), String> {
    all_within(have, want, |d| Tolerance::of(d).times(factor))
}

/// Compares lists of literals, each within the tolerance of its dtype.
///
/// # Errors
/// The index of the first literal that differs.
pub fn all_within(
    have: &[Literal],
    want: &[Literal],
    tolerance: impl Fn(DType) -> Tolerance,
) -> Result<(), String> {
    if have.len() != want.len() {
        return Err(format!("expected {} values, got {}", want.len(), have.len()));
    }
    for (i, (a, b)) in have.iter().zip(want).enumerate() {
        close_within(a, b, tolerance(b.dtype())).map_err(|e| format!("value {i}: {e}"))?;
    }
    Ok(())
}

/// Returns the real and imaginary parts of all elements.
pub fn parts(x: &Literal) -> Vec<(f64, f64)> {
    with_compute!(any x.dtype(), C => x.load::<C>().iter().map(|x| x.parts()).collect())
}

fn exact(have: &Literal, want: &Literal) -> Result<(), String> {
    let integers = |x: &Literal| -> Vec<i128> {
        with_compute!(any x.dtype(), C => x.load::<C>().iter().map(|x| x.to_i128()).collect())
    };
    let (a, b) = (integers(have), integers(want));
    let distances =
        (0..a.len()).map(|i| if a[i] == b[i] { 0.0 } else { 1.0 + (a[i] - b[i]).abs() as f64 });
    report(have, want, distances, |i| {
        (a[i].to_string(), b[i].to_string(), (a[i] - b[i]).abs().to_string())
    })
}

/// Returns the distance in units of the tolerance: at most 1 is close.
fn distance(a: f64, b: f64, t: Tolerance) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let d = (a - b).abs() / (t.abs + t.rel * b.abs());
    if d.is_nan() { f64::INFINITY } else { d }
}

/// Returns an error that shows the worst element if one of `distances` is above 1.
fn report(
    have: &Literal,
    want: &Literal,
    distances: impl Iterator<Item = f64>,
    show: impl Fn(usize) -> (String, String, String),
) -> Result<(), String> {
    let far: Vec<(usize, f64)> = distances.enumerate().filter(|(_, d)| *d > 1.0).collect();
    let Some(&(worst, _)) = far.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else { return Ok(()) };
    let (a, b, by) = show(worst);
    let at = index(worst, want.shape());
    Err(format!(
        "{}: {} of {} elements differ, worst at {at:?}: expected {b}, got {a} (off by {by})",
        have.ty(),
        far.len(),
        have.ty().size()
    ))
}

fn index(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = shape.iter().rev().map(|&d| (flat % d, flat /= d).0).collect();
    at.reverse();
    at
}

fn show(x: (f64, f64), like: &Literal) -> String {
    if like.dtype().is_complex() { format!("{}{:+}i", x.0, x.1) } else { x.0.to_string() }
}

fn difference(a: (f64, f64), b: (f64, f64)) -> String {
    (a.0 - b.0).abs().max((a.1 - b.1).abs()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f64s(x: &[f64]) -> Literal {
        Literal::from_f64s(DType::F64, [x.len()], x)
    }

    #[test]
    fn infinities_are_equal_only_to_themselves() {
        assert!(close(&f64s(&[f64::INFINITY]), &f64s(&[f64::INFINITY])).is_ok());
        assert!(close(&f64s(&[f64::INFINITY]), &f64s(&[f64::NEG_INFINITY])).is_err());
        assert!(close(&f64s(&[1.0]), &f64s(&[f64::INFINITY])).is_err());
        assert!(close(&f64s(&[f64::NAN]), &f64s(&[1.0])).is_err());
    }

    #[test]
    fn integers_are_exact_in_their_whole_range() {
        let a = Literal::from_slice([2], &[u64::MAX, 3]).unwrap();
        let b = Literal::from_slice([2], &[u64::MAX - 1, 3]).unwrap();
        assert_eq!(
            close(&a, &b).unwrap_err(),
            format!(
                "u64[2]: 1 of 2 elements differ, worst at [0]: expected {}, got {} (off by 1)",
                u64::MAX - 1,
                u64::MAX
            )
        );
    }

    #[test]
    fn complex_numbers_are_compared_by_parts() {
        let z = |re: f32, im: f32| {
            Literal::from_slice([1, 1], &[neurax_ir::Complex::new(re, im)]).unwrap()
        };
        assert!(close(&z(1e6, 1e-3), &z(1e6, 1e-3)).is_ok());
        assert_eq!(
            close(&z(1.0, 2.0), &z(1.0, 3.0)).unwrap_err(),
            "c64[1, 1]: 1 of 1 elements differ, worst at [0, 0]: expected 1+3i, got 1+2i (off by 1)"
        );
    }
}
