//! The numbers that stand for open sizes in the traces of a function.
//!
//! In the first traces, the numbers are small, as a function may admit no larger ones, and odd and
//! even, so that halves that are rounded differ from halves that are not. They are none of the
//! sizes that the types fix. A number that is linear in a size there may still be `min(n, 100)`, or
//! be rounded if the numbers are multiples of a scale. So each open size is large in one trace
//! more: a prime, or the smallest multiple of one that the function admits.
//!
//! ```text
//! f32["n", "t"]  traced with [5, 29], [8, 34], [13, 45], [14, 52], [1009, 31] and [7, 1013]
//! ```

use super::captures::CapturingTrace;
use super::size_formula::{OpenSize, trace_text};
use neurax_ir::{Error, Result};
use neurax_tensor::{Dim, TypeSpec};
use std::collections::HashSet;

/// The number of traces of a function with open sizes, without those of large sizes.
pub(super) const TRACE_COUNT: usize = 4;
/// The numbers that stand for open sizes, those of each size together.
const OPEN_NUMBERS: [usize; 24] =
    [5, 8, 13, 14, 29, 34, 45, 52, 31, 38, 47, 60, 37, 43, 56, 61, 41, 50, 59, 68, 53, 62, 71, 80];
/// The least values of large sizes, of which the first is taken that the function admits.
const LARGE_SIZES: [usize; 2] = [1000, 100];
/// The largest memory of the captured tensors in a trace with a large size, in bytes.
const MAX_CHECK_BYTES: usize = 1 << 30;
/// Smaller numbers, for functions of which a sum of sizes has a limit, such as the positions of a
/// language model.
const SMALL_NUMBERS: [usize; 24] =
    [5, 8, 13, 14, 7, 10, 17, 22, 9, 15, 12, 19, 11, 16, 21, 18, 20, 25, 23, 27, 24, 26, 29, 28];
/// The numbers that are tried one after the other if a function fails: an image may have to be
/// larger than windows, or a multiple of 32.
pub(super) const SAMPLE_SIZES: [SampleSizes; 4] = [
    SampleSizes { numbers: &OPEN_NUMBERS, scale: 1 },
    SampleSizes { numbers: &SMALL_NUMBERS, scale: 1 },
    SampleSizes { numbers: &OPEN_NUMBERS, scale: 17 },
    SampleSizes { numbers: &OPEN_NUMBERS, scale: 32 },
];
/// The name of the open size of the first axis.
const BATCH_NAME: &str = "batch";

/// The numbers that may stand for open sizes, those of each size together, and the factor of all
/// but those of the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleSizes {
    numbers: &'static [usize],
    scale: usize,
}

/// Types with open sizes, and what they are.
#[derive(Debug)]
pub(super) struct OpenShapes {
    types: Vec<TypeSpec>,
    scale: usize,
    pub open: Vec<OpenSize>,
    /// The inputs and axes that have an open size, with its index.
    pub axes: Vec<(String, usize, usize)>,
    /// The scale, if a size has no large number that checks it; else 1.
    pub unchecked: usize,
}

impl OpenShapes {
    /// Chooses the numbers for the open sizes of types.
    ///
    /// # Errors
    /// If there are too many open sizes.
    pub fn of(inputs: &[String], types: &[TypeSpec], samples: SampleSizes) -> Result<OpenShapes> {
        let fixed = fixed_sizes(types);
        let scale = samples.scale;
        let mut numbers = samples.numbers.iter().copied().filter(|n| !fixed.contains(n));
        let mut shapes =
            OpenShapes { types: types.to_vec(), scale, open: vec![], axes: vec![], unchecked: 1 };
        for (input, t) in inputs.iter().zip(types) {
            for (axis, dim) in t.dims.iter().enumerate() {
                let name = match dim {
                    Dim::Any if axis == 0 => BATCH_NAME.to_string(),
                    Dim::Any => format!("{input}_dim_{axis}"),
                    Dim::Named(name) => name.clone(),
                    Dim::Size(_) | Dim::Bad(_) => continue,
                };
                let index = shapes.open.iter().position(|o| o.name == name);
                let index = index.unwrap_or(shapes.open.len());
                if index == shapes.open.len() {
                    let scale = if name == BATCH_NAME { 1 } else { scale };
                    let sizes: Vec<usize> =
                        numbers.by_ref().take(TRACE_COUNT).map(|n| n * scale).collect();
                    if sizes.len() < TRACE_COUNT {
                        let most = samples.numbers.len() / TRACE_COUNT;
                        let why = format!("expected at most {most} different open sizes");
                        return Err(Error::new("onnx export", why));
                    }
                    shapes.open.push(OpenSize { name, sizes });
                }
                shapes.axes.push((input.clone(), axis, index));
            }
        }
        Ok(shapes)
    }

    /// Calls `trace` for each of the sizes, and adds a trace for each open size in which that is
    /// large.
    ///
    /// # Errors
    /// If the function fails, but for large sizes.
    pub fn traced(
        &mut self,
        trace: &dyn Fn(&[TypeSpec]) -> Result<CapturingTrace>,
    ) -> Result<Vec<CapturingTrace>> {
        let count = if self.open.is_empty() { 1 } else { TRACE_COUNT };
        let traced = |i: usize| trace(&self.sized(i)).map_err(|e| self.explained(e, i, trace));
        let mut traces: Vec<CapturingTrace> = (0..count).map(traced).collect::<Result<_>>()?;
        let bytes = varying_bytes(&traces)?;
        for index in 0..self.open.len() {
            match self.checked(index, bytes, trace) {
                Some(check) => traces.push(check),
                None => self.unchecked = self.scale,
            }
        }
        Ok(traces)
    }

    /// Traces a function with a large number for an open size; `None` if it admits none, or if it
    /// captures `bytes` bytes in small sizes and would need too much memory. The smallest
    /// multiplier for which the function has a trace is likely to be what it needs.
    fn checked(
        &mut self,
        index: usize,
        bytes: usize,
        trace: &dyn Fn(&[TypeSpec]) -> Result<CapturingTrace>,
    ) -> Option<CapturingTrace> {
        let multipliers = (1..=self.scale).filter(|m| self.scale.is_multiple_of(*m));
        let all = multipliers.flat_map(|m| LARGE_SIZES.map(|large| (m, large)));
        for (multiplier, large) in all.collect::<Vec<_>>() {
            let numbers = self.check_numbers(index, multiplier, large);
            self.open.iter_mut().zip(numbers).for_each(|(o, n)| o.sizes.push(n));
            let sizes = &self.open[index].sizes;
            let (first, last) = (sizes[0], sizes.len() - 1);
            let needed = bytes / first * sizes[last];
            match (needed <= MAX_CHECK_BYTES).then(|| trace(&self.sized(last))) {
                Some(Ok(found)) => return Some(found),
                _ => self.open.iter_mut().for_each(|o| o.sizes.truncate(last)),
            }
        }
        None
    }

    /// Returns the numbers of a trace in which the open size `index` is at least `large`: products
    /// of the multiplier and primes that no trace and no type has.
    fn check_numbers(&self, index: usize, multiplier: usize, large: usize) -> Vec<usize> {
        let mut taken = fixed_sizes(&self.types);
        taken.extend(self.open.iter().flat_map(|o| o.sizes.iter().copied()));
        let number = |(i, open): (usize, &OpenSize)| {
            let multiplier = if open.name == BATCH_NAME { 1 } else { multiplier };
            // A function may need numbers that are not smaller than those of the first trace.
            let least = open.sizes.first().copied().unwrap_or(1);
            let least = if i == index { least.max(large) } else { least };
            let primes = (least.div_ceil(multiplier)..).filter(|&n| is_odd_prime(n));
            let found = primes.map(|n| n * multiplier).find(|n| !taken.contains(n));
            let found = found.unwrap_or(least);
            taken.insert(found);
            found
        };
        self.open.iter().enumerate().map(number).collect()
    }

    /// Returns the error of trace number `i` with the numbers that stand for open sizes there, as
    /// it may name types that have them. An error that is the same one for sizes of 1 is not one
    /// of the sizes.
    fn explained(
        &self,
        e: Error,
        i: usize,
        trace: &dyn Fn(&[TypeSpec]) -> Result<CapturingTrace>,
    ) -> Error {
        let of_ones = || trace(&self.with_sizes(|_| 1)).err();
        let is_same = |other: Error| other.message() == e.message();
        if self.open.is_empty() || of_ones().is_some_and(is_same) {
            return e;
        }
        let why = format!(
            "{}, where {}; fix the sizes that the function does not admit",
            e.message(),
            trace_text(&self.open, i)
        );
        Error::new(e.op(), why).at_origin(e.origin())
    }

    /// Returns the types of a trace.
    fn sized(&self, trace: usize) -> Vec<TypeSpec> {
        self.with_sizes(|index| self.open[index].sizes[trace])
    }

    /// Returns the types with a size for each open one, which is chosen by its index.
    fn with_sizes(&self, size: impl Fn(usize) -> usize) -> Vec<TypeSpec> {
        let mut types = self.types.clone();
        let mut axes = self.axes.iter();
        for t in &mut types {
            for dim in &mut t.dims {
                if matches!(dim, Dim::Any | Dim::Named(_))
                    && let Some((_, _, index)) = axes.next()
                {
                    *dim = Dim::Size(size(*index));
                }
            }
        }
        types
    }
}

/// Returns the sizes that types fix.
fn fixed_sizes(types: &[TypeSpec]) -> HashSet<usize> {
    let dims = types.iter().flat_map(|t| &t.dims);
    dims.filter_map(|d| if let Dim::Size(n) = d { Some(*n) } else { None }).collect()
}

/// Returns the number of bytes of the captures of the first trace that depend on an open size.
fn varying_bytes(traces: &[CapturingTrace]) -> Result<usize> {
    let [(_, xs), (_, ys), ..] = traces else { return Ok(0) };
    let mut bytes = 0;
    for (x, y) in xs.iter().zip(ys) {
        let ty = x.ty()?;
        if ty != y.ty()? {
            bytes += ty.size() * ty.dtype.bits().div_ceil(8);
        }
    }
    Ok(bytes)
}

fn is_odd_prime(n: usize) -> bool {
    n > 2 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

#[cfg(test)]
mod tests {
    use super::super::Exporter;
    use super::*;
    use neurax::prelude::*;

    #[test]
    fn each_open_size_is_large_in_one_trace() {
        let names = ["x".to_string()];
        let types = types![f32["n", 1009, "t"]];
        let mut shapes = OpenShapes::of(&names, &types, SAMPLE_SIZES[0]).unwrap();
        let plain = jit(|x: Tensor| x.sin()).trace(types![f32[2]]).unwrap();
        let traces = shapes.traced(&|_| Ok(plain.clone())).unwrap();
        assert_eq!((traces.len(), shapes.unchecked), (6, 1));
        let numbers: Vec<Vec<usize>> =
            (0..6).map(|i| shapes.open.iter().map(|o| o.sizes[i]).collect()).collect();
        assert_eq!(numbers[..4], [[5, 29], [8, 34], [13, 45], [14, 52]]);
        assert_eq!((numbers[4][0], numbers[5][1]), (1013, 1019), "the type has 1009");
        assert!(numbers[4][1] < 100 && numbers[5][0] < 100);
    }

    #[test]
    fn an_error_names_the_numbers_that_stand_for_open_sizes() {
        let names = ["x".to_string()];
        let mut shapes =
            OpenShapes::of(&names, &types![f32[_, 3, "width"]], SAMPLE_SIZES[2]).unwrap();
        let fails = |types: &[TypeSpec]| Err(Error::new("conv", format!("got {}", types[0])));
        let e = shapes.traced(&fails).unwrap_err().to_string();
        let want = "conv: got f32[5, 3, 493], where batch = 5 and width = 493; \
                    fix the sizes that the function does not admit";
        assert_eq!(e, want);
        let fails = |_: &[TypeSpec]| Err(Error::new("cholesky", "no matrix"));
        let e = shapes.traced(&fails).unwrap_err().to_string();
        assert_eq!(e, "cholesky: no matrix", "other sizes do not help");
    }

    #[test]
    fn multiples_are_those_that_the_function_admits() {
        let (names, types) = (["x".to_string()], types![f32["n"]]);
        let mut shapes = OpenShapes::of(&names, &types, SAMPLE_SIZES[3]).unwrap();
        let plain = jit(|x: Tensor| x.sin()).trace(types![f32[2]]).unwrap();
        let of_four = |types: &[TypeSpec]| match types[0].dims[0] {
            Dim::Size(n) if n % 4 == 0 => Ok(plain.clone()),
            _ => Err(Error::new("test", "no multiple of 4")),
        };
        shapes.traced(&of_four).unwrap();
        assert_eq!(shapes.open[0].sizes, [160, 256, 416, 448, 4 * 251]);
        let mut small = OpenShapes::of(&names, &types, SAMPLE_SIZES[3]).unwrap();
        let at_most = |types: &[TypeSpec]| match types[0].dims[0] {
            Dim::Size(160 | 256 | 416 | 448) => Ok(plain.clone()),
            _ => Err(Error::new("test", "too large")),
        };
        assert_eq!(small.traced(&at_most).unwrap().len(), 4);
        assert_eq!(small.unchecked, 32);
    }

    #[test]
    fn open_sizes_may_have_a_limit() {
        // A language model has a table of positions, and no more positions than that.
        let limited = |limit: usize| {
            move |x: Tensor| match x.dim(1) {
                n if n > limit => Tensor::from_error(Error::new("positions", format!("got {n}"))),
                n => x.reshape([x.dim(0) * n]).sin(),
            }
        };
        let types = || types![f32[_, "length"]];
        let file = Exporter::new().to_bytes_fn(limited(40), types()).unwrap();
        let x = key(5).normal([2, 40]);
        let y = crate::import_bytes(file).unwrap().apply(&x).y().clone();
        assert_eq!(y.to_literal().unwrap(), limited(40)(x).to_literal().unwrap());
        let e = Exporter::new().to_bytes_fn(limited(20), types()).unwrap_err().to_string();
        assert!(
            e.contains("positions: got 29, where batch = 5 and length = 29; fix the sizes"),
            "{e}"
        );
    }
}
