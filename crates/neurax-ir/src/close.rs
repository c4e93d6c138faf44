//! Comparison of literals: exact for integers and bools, within a tolerance for floats.

use crate::{Compute, DType, FloatFormat, Kind, Literal, with_compute};

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
    FloatFormat::of(dtype.real()).map_or(0.0, FloatFormat::epsilon)
}

/// Compares two literals within [`Tolerance::of`] the dtype.
///
/// # Errors
/// The worst element.
///
/// ```
/// use neurax_ir::Literal;
/// use neurax_ir::close::close;
/// let x = Literal::from_slice([2], &[1.0f32, f32::NAN]).unwrap();
/// let y = Literal::from_slice([2], &[1.5f32, f32::NAN]).unwrap();
/// assert!(close(&x, &x).is_ok(), "NaN equals NaN");
/// assert_eq!(
///     close(&x, &y).unwrap_err(),
///     "f32[2]: 1 of 2 elements differ, worst at [0]: expected 1.5, got 1 (off by 0.5); \
///      largest absolute difference 0.5 at [0], largest relative 0.333 at [0]"
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
    if matches!(want.dtype().kind(), Kind::Bool | Kind::Unsigned | Kind::Signed) {
        return exact(have, want);
    }
    let (a, b) = (parts(have), parts(want));
    let element = |i: usize| Compared::new(a[i], b[i], tolerance);
    report(have, want, element, |i| {
        (show(a[i], have), show(b[i], have), difference(a[i], b[i]).to_string())
    })
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
    let element = |i: usize| {
        let by = a[i].abs_diff(b[i]);
        let far = if by == 0 { 0.0 } else { 1.0 + by as f64 };
        Compared { far, by: by as f64, size: b[i].unsigned_abs() as f64 }
    };
    report(have, want, element, |i| {
        (a[i].to_string(), b[i].to_string(), a[i].abs_diff(b[i]).to_string())
    })
}

/// The comparison of one element.
#[derive(Clone, Copy)]
struct Compared {
    /// The distance in units of the tolerance: at most 1 is close.
    far: f64,
    /// The absolute difference.
    by: f64,
    /// The absolute value of the expected element.
    size: f64,
}

impl Compared {
    /// Compares the parts of two numbers.
    fn new(a: (f64, f64), b: (f64, f64), t: Tolerance) -> Compared {
        let far = distance(a.0, b.0, t).max(distance(a.1, b.1, t));
        let by = if far == 0.0 { 0.0 } else { difference(a, b) };
        Compared { far, by, size: b.0.abs().max(b.1.abs()) }
    }

    /// Returns the difference relative to the expected element.
    fn relative(self) -> f64 {
        if self.by == 0.0 { 0.0 } else { self.by / self.size }
    }
}

/// Returns the distance in units of the tolerance: at most 1 is close.
fn distance(a: f64, b: f64, t: Tolerance) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let d = (a - b).abs() / (t.abs + t.rel * b.abs());
    if d.is_nan() { f64::INFINITY } else { d }
}

/// Returns an error if an element is not close. It shows the element that is farthest off, in units
/// of the tolerance, and the largest absolute and relative differences.
fn report(
    have: &Literal,
    want: &Literal,
    element: impl Fn(usize) -> Compared,
    show: impl Fn(usize) -> (String, String, String),
) -> Result<(), String> {
    let all: Vec<Compared> = (0..want.ty().size()).map(element).collect();
    let differing = all.iter().filter(|e| e.far > 1.0).count();
    if differing == 0 {
        return Ok(());
    }
    let at = |i: usize| index(i, want.shape());
    let worst = largest(&all, |e| e.far);
    let (absolute, relative) = (largest(&all, |e| e.by), largest(&all, |e| e.relative()));
    let (a, b, by) = show(worst);
    Err(format!(
        "{}: {differing} of {} elements differ, worst at {:?}: expected {b}, got {a} \
         (off by {by}); largest absolute difference {} at {:?}, largest relative {} at {:?}",
        have.ty(),
        all.len(),
        at(worst),
        short(all[absolute].by),
        at(absolute),
        short(all[relative].relative()),
        at(relative),
    ))
}

/// Returns the index of the first element for which `f` is largest. NaN, the difference of a number
/// from NaN, is larger than all numbers.
fn largest(all: &[Compared], f: impl Fn(Compared) -> f64) -> usize {
    let order = |&a: &usize, &b: &usize| f(all[a]).abs().total_cmp(&f(all[b]).abs());
    (0..all.len()).rev().max_by(order).unwrap_or(0)
}

/// Returns a difference with three significant digits, without trailing zeros.
fn short(x: f64) -> String {
    let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
    if (1e-4..1e7).contains(&rounded) || !rounded.is_normal() {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

fn index(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = shape.iter().rev().map(|&d| (flat % d, flat /= d).0).collect();
    at.reverse();
    at
}

fn show(x: (f64, f64), like: &Literal) -> String {
    if like.dtype().is_complex() { format!("{}{:+}i", x.0, x.1) } else { x.0.to_string() }
}

/// Returns the larger absolute difference of the parts.
fn difference(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.0 - b.0).abs().max((a.1 - b.1).abs())
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
                "u64[2]: 1 of 2 elements differ, worst at [0]: expected {}, got {} (off by 1); \
                 largest absolute difference 1 at [0], largest relative 5.42e-20 at [0]",
                u64::MAX - 1,
                u64::MAX
            )
        );
    }

    #[test]
    fn the_largest_differences_need_not_be_of_one_element() {
        let (have, want) = (f64s(&[1e6 + 3.0, 2e-3, 5.0]), f64s(&[1e6, 1e-3, 5.0]));
        assert_eq!(
            close_within(&have, &want, Tolerance { rel: 0.0, abs: 1e-4 }).unwrap_err(),
            "f64[3]: 2 of 3 elements differ, worst at [0]: expected 1000000, got 1000003 \
             (off by 3); largest absolute difference 3 at [0], largest relative 1 at [1]"
        );
    }

    #[test]
    fn complex_numbers_are_compared_by_parts() {
        let z =
            |re: f32, im: f32| Literal::from_slice([1, 1], &[crate::Complex::new(re, im)]).unwrap();
        assert!(close(&z(1e6, 1e-3), &z(1e6, 1e-3)).is_ok());
        assert_eq!(
            close(&z(1.0, 2.0), &z(1.0, 3.0)).unwrap_err(),
            "c64[1, 1]: 1 of 1 elements differ, worst at [0, 0]: expected 1+3i, got 1+2i \
             (off by 1); largest absolute difference 1 at [0, 0], largest relative 0.333 at [0, 0]"
        );
    }
}
