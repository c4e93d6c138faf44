//! Properties that hold for random arguments, drawn by a seed that a failure prints.

use crate::{DType, Error, Literal, Result, Tensor, Type};
use neurax_ir::{Compute, FloatFormat, Kind, rng::Rng, with_compute};
use std::{env, ops::RangeInclusive, thread};

/// The variable that sets the first seed of [`property`].
const SEED: &str = "NEURAX_SEED";

/// The variable that sets the number of cases of [`property`].
const CASES: &str = "NEURAX_CASES";

/// Checks that `check` succeeds for the draws of `cases` seeds: 0, 1, 2 and so on.
///
/// The environment variable `NEURAX_SEED` sets the first seed and `NEURAX_CASES` the number of
/// cases, to repeat one case or to run more. If `check` panics, the seed is printed on stderr.
///
/// # Errors
/// The first error of `check`, with its seed; when a variable is not a number.
///
/// ```
/// use neurax::{prelude::*, testing::{check_close, property}};
/// property(20, |draw| {
///     let shape = draw.shape(1..=3, 1..=5);
///     let axis = draw.axis(shape.len());
///     let x = draw.tensor(F32, shape);
///     check_close(&x.softmax(axis).sum(axis), &x.sum(axis).ones_like())
/// })?;
///
/// let e = property(20, |draw| check_close(&tensor(draw.below(9) as i64), &tensor(0i64)));
/// let e = e.unwrap_err().to_string();
/// assert!(e.contains("NEURAX_CASES=1: assert_close: i64[]: 1 of 1 elements differ"), "{e}");
/// # Ok::<(), Error>(())
/// ```
pub fn property(cases: u64, check: impl Fn(&mut Draw) -> Result<()>) -> Result<()> {
    let (first, cases) = (variable(SEED, 0)?, variable(CASES, cases)?);
    for seed in first..first.saturating_add(cases) {
        let case = Case { seed };
        check(&mut Draw::new(seed)).map_err(|e| e.inside(&case.name()))?;
    }
    Ok(())
}

/// Returns the number in the environment variable `name`, or `default` if it is not set.
fn variable(name: &str, default: u64) -> Result<u64> {
    let Ok(text) = env::var(name) else { return Ok(default) };
    let wrong = |_| Error::new("property", format!("expected {name} to be a number, got {text:?}"));
    text.parse().map_err(wrong)
}

/// One case of a property, which prints its seed if it panics.
struct Case {
    seed: u64,
}

impl Case {
    fn name(&self) -> String {
        format!("property with {SEED}={} {CASES}=1", self.seed)
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{} panicked", self.name());
        }
    }
}

/// Random arguments of a property: numbers, shapes, axes, dtypes and tensors. Equal seeds draw
/// equal arguments, on every machine.
#[derive(Clone, Debug)]
pub struct Draw {
    rng: Rng,
}

impl Draw {
    /// Creates the draws of `seed`.
    ///
    /// ```
    /// use neurax::testing::Draw;
    /// assert_eq!(Draw::new(7).shape(2..=2, 1..=9), Draw::new(7).shape(2..=2, 1..=9));
    /// ```
    pub fn new(seed: u64) -> Draw {
        Draw { rng: Rng::new(seed) }
    }

    /// Returns a number in `0..n`; 0 if the range is empty.
    ///
    /// ```
    /// use neurax::testing::Draw;
    /// let mut draw = Draw::new(0);
    /// assert!((0..100).all(|_| draw.below(3) < 3));
    /// assert_eq!(draw.below(0), 0);
    /// ```
    pub fn below(&mut self, n: usize) -> usize {
        self.rng.below(n)
    }

    /// Returns a number of `range`; its start if it is empty.
    ///
    /// ```
    /// use neurax::testing::Draw;
    /// let mut draw = Draw::new(0);
    /// assert!((0..100).all(|_| (2..=4).contains(&draw.within(2..=4))));
    /// ```
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let (start, end) = range.into_inner();
        start + self.rng.below(end.saturating_sub(start).saturating_add(1))
    }

    /// Returns a number of at least `low` and below `high`.
    ///
    /// ```
    /// use neurax::testing::Draw;
    /// let mut draw = Draw::new(0);
    /// assert!((0..100).all(|_| (-1.5..2.0).contains(&draw.number(-1.5, 2.0))));
    /// ```
    pub fn number(&mut self, low: f64, high: f64) -> f64 {
        self.rng.range(low, high)
    }

    /// Returns one of `items`, e.g. of a list of dtypes or functions.
    ///
    /// # Panics
    /// If `items` is empty.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::Draw};
    /// assert!([F32, BF16].contains(&Draw::new(3).one_of(&[F32, BF16])));
    /// ```
    pub fn one_of<T: Clone>(&mut self, items: &[T]) -> T {
        self.rng.pick(items)
    }

    /// Returns one of the dtypes.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::Draw};
    /// let mut draw = Draw::new(0);
    /// assert!((0..500).map(|_| draw.dtype()).any(|d| d == C128));
    /// ```
    pub fn dtype(&mut self) -> DType {
        self.rng.pick(&DType::ALL)
    }

    /// Returns a shape with a number of axes of `ranks`, each with a size of `sizes`.
    ///
    /// ```
    /// use neurax::testing::Draw;
    /// let shape = Draw::new(1).shape(2..=4, 0..=3);
    /// assert!((2..=4).contains(&shape.len()) && shape.iter().all(|n| *n <= 3));
    /// ```
    pub fn shape(
        &mut self,
        ranks: RangeInclusive<usize>,
        sizes: RangeInclusive<usize>,
    ) -> Vec<usize> {
        (0..self.within(ranks)).map(|_| self.within(sizes.clone())).collect()
    }

    /// Returns a shape that broadcasts to `shape`: without some leading axes, and with the size 1
    /// for some of the others.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::Draw};
    /// let mut draw = Draw::new(1);
    /// let small = draw.broadcastable(&[2, 3, 4]);
    /// assert_eq!((Tensor::zeros([2, 3, 4]) + Tensor::zeros(small)).ok()?.shape(), [2, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn broadcastable(&mut self, shape: &[usize]) -> Vec<usize> {
        let dropped = if self.rng.one_in(2) { 0 } else { self.below(shape.len() + 1) };
        let kept = shape.iter().skip(dropped);
        kept.map(|&n| if self.rng.one_in(3) { 1 } else { n }).collect()
    }

    /// Returns an axis of a tensor of `rank` axes, counted from the front or from the back; 0 for
    /// rank 0, which has none.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::Draw};
    /// let axis = Draw::new(0).axis(3);
    /// assert_eq!(Tensor::zeros([2, 2, 2]).sum(axis).shape(), [2, 2]);
    /// ```
    pub fn axis(&mut self, rank: usize) -> i64 {
        self.below(2 * rank) as i64 - rank as i64
    }

    /// Returns a tensor of random numbers: floats and parts of complex numbers between -3 and 3
    /// (positive in a dtype without signs), integers of at most 100 that the dtype holds, bools.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::Draw};
    /// let x = Draw::new(5).tensor(I8, [2, 3]);
    /// assert_eq!(x.ty()?.to_string(), "i8[2, 3]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn tensor(&mut self, dtype: DType, shape: impl Into<neurax_ir::Shape>) -> Tensor {
        self.filled(Type::new(dtype, shape), |draw, dtype| match dtype.int_range() {
            Some(range) => {
                let ends = (*range.start()).max(-100) as f64..(*range.end()).min(100) as f64 + 1.0;
                draw.number(ends.start, ends.end).floor()
            }
            None if dtype == DType::Bool => draw.below(2) as f64,
            None if dtype == DType::F8E8M0FNU => draw.number(0.25, 3.0),
            None => draw.number(-3.0, 3.0),
        })
    }

    /// Returns a tensor of numbers at which functions differ from their usual course: zeros of both
    /// signs, ones, infinities, NaN, and the smallest and largest numbers of the dtype.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::Draw};
    /// let x = Draw::new(5).edges(F32, [1000]);
    /// assert!(x.is_nan().any(..).item()? == 1.0 && x.is_inf().any(..).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn edges(&mut self, dtype: DType, shape: impl Into<neurax_ir::Shape>) -> Tensor {
        self.filled(Type::new(dtype, shape), |draw, dtype| match dtype.int_range() {
            // Not above 2^53: the largest f64 below the end of the range is in it.
            Some(range) => {
                let (low, high) = (*range.start() as f64, *range.end() as f64);
                let high = if high as i128 > *range.end() { high.next_down() } else { high };
                draw.one_of(&[low, high, 0.0, 1.0])
            }
            None if dtype == DType::Bool => draw.below(2) as f64,
            None => draw.one_of(&[
                0.0,
                -0.0,
                1.0,
                -1.0,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
                limit(dtype, FloatFormat::max),
                limit(dtype, FloatFormat::min),
                limit(dtype, FloatFormat::smallest_normal),
            ]),
        })
    }

    /// Returns a tensor whose elements, or their real and imaginary parts, are results of `number`.
    #[track_caller]
    fn filled(&mut self, ty: Type, number: impl Fn(&mut Draw, DType) -> f64) -> Tensor {
        if let Err(e) = ty.bytes() {
            return Tensor::from_error(e);
        }
        let (dtype, is_complex) = (ty.dtype, ty.dtype.kind() == Kind::Complex);
        Tensor::from(with_compute!(any dtype, C => Literal::build(ty, |out: &mut [C]| {
            for o in out {
                let re = number(self, dtype);
                let im = if is_complex { number(self, dtype) } else { 0.0 };
                *o = C::from_parts(re, im);
            }
        })))
    }
}

/// Returns a limit of a float dtype.
fn limit(dtype: DType, of: fn(FloatFormat) -> f64) -> f64 {
    FloatFormat::of(dtype.real()).map_or(0.0, of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn every_dtype_holds_what_is_drawn() {
        let mut draw = Draw::new(0);
        for dtype in DType::ALL {
            let x = draw.tensor(dtype, [50]).to_literal().unwrap().to_f64s();
            let bound = if dtype.is_int() { 100.0 } else { 3.0 };
            assert!(x.iter().all(|x| x.abs() <= bound), "{dtype}: {x:?}");
            assert!(x.iter().any(|v| *v != x[0]), "{dtype}: {x:?}");
        }
    }

    #[test]
    fn edges_are_the_ends_of_every_dtype() {
        for dtype in DType::ALL.into_iter().filter(|d| *d != BOOL) {
            let x = Draw::new(1).edges(dtype, [200]).to_literal().unwrap().to_f64s();
            let (low, high) = x.iter().fold((0.0, 0.0), |(l, h), &x| (x.min(l), x.max(h)));
            let want = match dtype.int_range() {
                Some(r) => (*r.start() as f64, *r.end() as f64),
                None => {
                    let format = FloatFormat::of(dtype.real()).unwrap();
                    (format.lower_bound().min(0.0), format.upper_bound())
                }
            };
            // The largest 64-bit integers are no f64.
            let is_high = high == want.1 || (high / want.1 - 1.0).abs() < 1e-15;
            assert!(low == want.0 && is_high, "{dtype}: {low} to {high}");
        }
    }

    #[test]
    fn a_panic_keeps_its_message() {
        let check = |draw: &mut Draw| -> Result<()> { panic!("at {}", draw.below(1)) };
        let panic = std::panic::catch_unwind(|| property(1, check)).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "at 0");
    }
}
