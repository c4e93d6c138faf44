//! [`ValueRange`]: the range of a value, and its elements that are not finite.

use neurax_ir::{Compute, Literal, Type, with_compute};
use std::fmt;

/// Whether a value has elements that are not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NonFiniteKinds {
    pub has_nan: bool,
    pub has_infinity: bool,
}

impl NonFiniteKinds {
    /// Returns the kinds of elements of `x`; integers are finite.
    pub fn of(x: &Literal) -> NonFiniteKinds {
        let mut kinds = NonFiniteKinds::default();
        if has_non_finite(x.ty()) {
            each(x, &mut |re, im| {
                kinds.has_nan |= re.is_nan() || im.is_nan();
                kinds.has_infinity |= re.is_infinite() || im.is_infinite();
            });
        }
        kinds
    }

    /// Returns for each element of `x` whether it is NaN or infinite.
    pub fn elements(x: &Literal) -> Vec<bool> {
        let mut elements = Vec::with_capacity(x.ty().size());
        each(x, &mut |re, im| elements.push(!(re.is_finite() && im.is_finite())));
        elements
    }

    /// Returns true if all elements are finite.
    pub fn is_finite(self) -> bool {
        self == NonFiniteKinds::default()
    }
}

/// The type of a value, the least and the greatest of its elements, and the number of those that
/// are not finite.
#[derive(Clone, Debug)]
pub(super) struct ValueRange {
    pub ty: Type,
    pub nans: usize,
    pub infinities: usize,
    least: f64,
    greatest: f64,
}

impl ValueRange {
    /// Returns the range of `x`; of complex numbers, that of real and imaginary parts.
    pub fn of(x: &Literal) -> ValueRange {
        let mut range = ValueRange {
            ty: x.ty().clone(),
            nans: 0,
            infinities: 0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
        };
        let is_complex = x.dtype().is_complex();
        each(x, &mut |re, im| {
            range.nans += usize::from(re.is_nan() || im.is_nan());
            range.infinities += usize::from(re.is_infinite() || im.is_infinite());
            for part in [Some(re), is_complex.then_some(im)].into_iter().flatten() {
                // NaN is neither: `min` and `max` skip it.
                (range.least, range.greatest) = (range.least.min(part), range.greatest.max(part));
            }
        });
        range
    }
}

impl fmt::Display for ValueRange {
    /// Formats as `f32[2, 3] from -1 to 2.5` or `f32[] of 3`, with the number of NaN.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ValueRange { ty, nans, least, greatest, .. } = self;
        write!(f, "{ty}")?;
        match (*nans, least.partial_cmp(greatest)) {
            (0, Some(std::cmp::Ordering::Equal)) => write!(f, " of {}", Short(*least)),
            (0, Some(std::cmp::Ordering::Greater) | None) => write!(f, " without elements"),
            (0, _) => write!(f, " from {} to {}", Short(*least), Short(*greatest)),
            (n, Some(std::cmp::Ordering::Greater) | None) => write!(f, " of {n} NaN"),
            (n, _) => {
                write!(f, " from {} to {} and {n} NaN", Short(*least), Short(*greatest))
            }
        }
    }
}

/// A number with at most five significant digits.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let rounded: Option<f64> = format!("{:.4e}", self.0).parse().ok();
        match rounded {
            Some(x) if x != 0.0 && !(1e-4..1e7).contains(&x.abs()) && x.is_finite() => {
                write!(f, "{x:e}")
            }
            Some(x) => write!(f, "{x}"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Returns true if a value of type `ty` can have elements that are not finite.
fn has_non_finite(ty: &Type) -> bool {
    ty.dtype.is_float() || ty.dtype.is_complex()
}

/// Calls `f` with the real and the imaginary part of each element.
fn each(x: &Literal, f: &mut dyn FnMut(f64, f64)) {
    with_compute!(any x.dtype(), C => {
        x.load::<C>().iter().for_each(|x| {
            let (re, im) = x.parts();
            f(re, im);
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_ir::DType;

    fn of(values: &[f64]) -> ValueRange {
        ValueRange::of(&Literal::from_f64s(DType::F32, [values.len()], values))
    }

    #[test]
    fn ranges_are_short_and_count_nan() {
        let nan = f64::NAN;
        assert_eq!(of(&[1.0, -2.5]).to_string(), "f32[2] from -2.5 to 1");
        assert_eq!(of(&[0.1]).to_string(), "f32[1] of 0.1");
        assert_eq!(of(&[1e30, 0.0]).to_string(), "f32[2] from 0 to 1e30");
        assert_eq!(of(&[f64::INFINITY, 0.0]).to_string(), "f32[2] from 0 to inf");
        assert_eq!(of(&[nan, 2.0, 3.0]).to_string(), "f32[3] from 2 to 3 and 1 NaN");
        assert_eq!(of(&[nan, nan]).to_string(), "f32[2] of 2 NaN");
        assert_eq!(of(&[]).to_string(), "f32[0] without elements");
    }

    #[test]
    fn integers_are_finite_and_complex_numbers_are_looked_at_in_both_parts() {
        let ints = Literal::from_f64s(DType::I32, [2], &[1.0, 2.0]);
        assert!(NonFiniteKinds::of(&ints).is_finite());
        let z = Literal::from_slice([1], &[neurax_ir::Complex::new(1.0f32, f32::NAN)]).unwrap();
        assert!(NonFiniteKinds::of(&z).has_nan);
    }
}
