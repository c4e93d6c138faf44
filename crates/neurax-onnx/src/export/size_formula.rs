//! Formulas of numbers that depend on open sizes.

use neurax_ir::{DType, FloatFormat};
use std::sync::Arc;

/// The largest divisor of a size in a formula.
const MAX_DIVISOR: i64 = 4096;

/// The largest relative error of a factor that is taken for 1, in dtypes that are less precise.
const UNIT_TOLERANCE: f64 = 1e-6;

/// An open size: its name, and the number that it has in each trace.
#[derive(Clone, Debug)]
pub(super) struct OpenSize {
    pub name: String,
    pub sizes: Vec<usize>,
}

/// The size of an axis of a value that can be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownSize {
    /// The name of the value.
    pub of: Arc<str>,
    pub axis: usize,
    /// The size in each trace.
    pub numbers: Vec<i64>,
}

/// The number `product of sizes * mul / div + add`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SizeFormula {
    pub sizes: Vec<KnownSize>,
    pub mul: i64,
    pub div: i64,
    pub add: i64,
}

impl SizeFormula {
    /// Returns a formula that has the given number in each trace.
    pub fn of(numbers: &[i64], known: &[KnownSize]) -> Option<SizeFormula> {
        let first = *numbers.first()?;
        if numbers.iter().all(|&n| n == first) {
            return Some(SizeFormula { sizes: vec![], mul: 1, div: 1, add: first });
        }
        // Small numbers of which some are equal are rounded, and could be those of many formulas.
        if (1..numbers.len()).any(|i| numbers[..i].contains(&numbers[i])) {
            return None;
        }
        let equal = known.iter().find(|k| k.numbers == numbers);
        let single = || known.iter().find_map(|k| SizeFormula::linear(numbers, &[k]));
        let pair = || {
            let pairs = (0..known.len()).flat_map(|i| (i..known.len()).map(move |j| (i, j)));
            pairs
                .into_iter()
                .find_map(|(i, j)| SizeFormula::linear(numbers, &[&known[i], &known[j]]))
        };
        let read = |k: &KnownSize| SizeFormula { sizes: vec![k.clone()], mul: 1, div: 1, add: 0 };
        equal.map(read).or_else(single).or_else(pair)
    }

    /// Returns a constant and a formula whose quotient is the given float in each trace, up to
    /// rounding.
    pub fn of_divisor(
        values: &[f64],
        dtype: DType,
        known: &[KnownSize],
    ) -> Option<(f64, SizeFormula)> {
        let tolerance = rounding_of(dtype)?;
        let candidates = (0..known.len()).flat_map(|i| (i..=known.len()).map(move |j| (i, j)));
        for (i, j) in candidates {
            let sizes: Vec<&KnownSize> =
                [known.get(i), known.get(j)].into_iter().flatten().collect();
            let sizes = if i == j { &sizes[..1] } else { &sizes[..] };
            let product = |t: usize| sizes.iter().map(|k| k.numbers[t] as f64).product::<f64>();
            let first = values.first()? * product(0);
            let is_close = |t: usize| (values[t] * product(t) / first - 1.0).abs() < tolerance;
            if first != 0.0 && (0..values.len()).all(is_close) {
                let sizes = sizes.iter().map(|&k| k.clone()).collect();
                // The constant is a whole number in most functions, but for rounding.
                let whole = first.round();
                let numerator = match (first / whole - 1.0).abs() < tolerance {
                    true => whole,
                    false => first,
                };
                return Some((numerator, SizeFormula { sizes, mul: 1, div: 1, add: 0 }));
            }
        }
        None
    }

    /// Returns the linear formula of the product of some sizes.
    fn linear(numbers: &[i64], sizes: &[&KnownSize]) -> Option<SizeFormula> {
        let products: Vec<i64> = (0..numbers.len())
            .map(|t| sizes.iter().try_fold(1i64, |n, k| n.checked_mul(k.numbers[t])))
            .collect::<Option<_>>()?;
        let (rise, run) = (numbers.get(1)? - numbers[0], products.get(1)? - products[0]);
        if run == 0 || rise == 0 {
            return None;
        }
        let divisor = gcd(rise.abs(), run.abs()) * run.signum();
        let (mul, div) = (rise / divisor, run / divisor);
        if div > MAX_DIVISOR {
            return None;
        }
        let add = numbers[0] - products[0] * mul / div;
        let is_equal = |t: usize| {
            (products[t] * mul) % div == 0 && products[t] * mul / div + add == numbers[t]
        };
        // Products of several sizes and a sum are rare, and more likely a chance.
        let is_plain = sizes.len() == 1 || add == 0;
        let sizes = sizes.iter().map(|&k| k.clone()).collect();
        let formula = SizeFormula { sizes, mul, div, add };
        ((0..numbers.len()).all(is_equal) && is_plain).then_some(formula)
    }
}

/// Returns the relative error that a few roundings to a dtype make: four units in the last place.
fn rounding_of(dtype: DType) -> Option<f64> {
    let bits = FloatFormat::of(dtype)?.mantissa_bits;
    Some(4.0 * 0.5f64.powi(bits as i32))
}

/// Returns true if a factor is 1 but for the rounding of numbers of a dtype.
pub(super) fn is_unit(factor: f64, dtype: DType) -> bool {
    (factor - 1.0).abs() <= rounding_of(dtype).unwrap_or(0.0).min(UNIT_TOLERANCE)
}

/// Returns the greatest common divisor.
pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Returns the open sizes of a trace: `batch = 5 and height = 29`.
pub(super) fn trace_text(open: &[OpenSize], trace: usize) -> String {
    let size = |o: &OpenSize| Some(format!("{} = {}", o.name, o.sizes.get(trace)?));
    open.iter().filter_map(size).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<KnownSize> {
        let size = |of: &str, numbers: [i64; 3]| KnownSize {
            of: of.into(),
            axis: 0,
            numbers: numbers.into(),
        };
        vec![size("n", [7, 11, 13]), size("t", [30, 42, 66]), size("w", [4, 4, 5])]
    }

    fn text(numbers: [i64; 3]) -> Option<String> {
        let f = SizeFormula::of(&numbers, &known())?;
        let sizes: Vec<&str> = f.sizes.iter().map(|k| &*k.of).collect();
        Some(format!("{} * {} / {} + {}", sizes.join(" "), f.mul, f.div, f.add))
    }

    #[test]
    fn numbers_are_linear_in_sizes_or_products_of_them() {
        assert_eq!(text([5, 5, 5]).unwrap(), " * 1 / 1 + 5");
        assert_eq!(text([7, 11, 13]).unwrap(), "n * 1 / 1 + 0");
        assert_eq!(text([6, 10, 12]).unwrap(), "n * 1 / 1 + -1");
        assert_eq!(text([15, 21, 33]).unwrap(), "t * 1 / 2 + 0");
        assert_eq!(text([448, 704, 832]).unwrap(), "n * 64 / 1 + 0");
        assert_eq!(text([210, 462, 858]).unwrap(), "n t * 1 / 1 + 0");
        assert_eq!(text([-7, -11, -13]).unwrap(), "n * -1 / 1 + 0");
        assert_eq!(text([4, 4, 5]), None, "it may be a rounded multiple of any size");
        assert_eq!(text([1, 2, 4]), None);
    }

    #[test]
    fn floats_are_constants_divided_by_sizes() {
        let values = [7.0, 11.0, 13.0].map(|n: f64| f64::from((3.0 / n) as f32));
        let (c, f) = SizeFormula::of_divisor(&values, DType::F32, &known()).unwrap();
        assert_eq!((c, &*f.sizes[0].of, f.sizes.len()), (3.0, "n", 1));
        let values = [7.0 * 30.0, 11.0 * 42.0, 13.0 * 66.0].map(|n: f64| 1.0 / n);
        let (c, f) = SizeFormula::of_divisor(&values, DType::F64, &known()).unwrap();
        assert_eq!((c, f.sizes.len()), (1.0, 2));
        assert!(SizeFormula::of_divisor(&[0.1, 0.2, 0.5], DType::F32, &known()).is_none());
    }
}
