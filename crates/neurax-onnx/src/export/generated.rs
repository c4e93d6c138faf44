//! Tensors that a function computes from the sizes of its inputs alone.
//!
//! The problem: `Tensor::zeros(x.shape())` or a table of positions is a plain tensor in each trace,
//! and another one for other open sizes. A model must compute it from the sizes. What is computed
//! so is one of a few kinds of tensors in practice, and the values of all traces together show
//! which one:
//!
//! ```text
//! constant along the open axes    roots of trees, repeated for each row; fillings
//! base + step * index             ranges, positions, differences of positions
//! j <= i + offset                 causal masks of all dtypes, and their transposes
//! table[j - i]                    buckets of relative positions, and masks of windows
//! ```
//!
//! The method: an axis is open if its size differs between the traces. The base is read at index 0
//! of the open axes, the steps at index 1, the offset in the first row; then all elements are
//! compared with the kind. Base, steps and offset may be other numbers in each trace: `merge.rs`
//! finds their formulas. The table has the elements of all traces, and its ends stand for all
//! larger distances: the elements must be equal there up to twice the distance.
//!
//! # Invariants
//!
//! - A kind holds for all elements of all traces, bit for bit; there is no tolerance.
//! - All traces get the same equations.

use super::distance_tensor::{DistanceTensor, distances};
use super::trace_elements::{TraceElements, is_same};
use neurax_ir::op::Direction;
use neurax_ir::{Builder, Bytes, DType, Literal, Result, Type, Value};

/// A tensor that is computed from open sizes, in one trace.
#[derive(Debug)]
pub(super) enum GeneratedTensor {
    Affine(AffineTensor),
    Mask(MaskTensor),
    Distance(DistanceTensor),
}

/// The tensor `base + step * index` for some axes.
#[derive(Debug)]
pub(super) struct AffineTensor {
    ty: Type,
    /// The elements at index 0 of the open axes: a scalar if they are equal, else without those
    /// axes.
    base: Literal,
    /// The axes of the base.
    dims: Vec<usize>,
    steps: Vec<AxisStep>,
    /// True if the base is 0 in all traces, and there are steps.
    is_without_base: bool,
}

/// The difference of neighbours along an axis.
#[derive(Clone, Copy, Debug)]
struct AxisStep {
    axis: usize,
    step: f64,
    /// True if the step is 1 in all traces.
    is_one: bool,
}

/// A tensor of two numbers: `inside` where `index of columns <= index of rows + offset`.
#[derive(Debug)]
pub(super) struct MaskTensor {
    ty: Type,
    rows: usize,
    columns: usize,
    offset: i64,
    inside: f64,
    outside: f64,
}

/// Returns how the values of the traces of a tensor are generated, one for each trace; `None` if
/// they are of no known kind.
pub(super) fn generated(values: &[Literal]) -> Option<Vec<GeneratedTensor>> {
    let first = values.first()?.ty();
    let is_like = |x: &Literal| x.dtype() == first.dtype && x.ty().rank() == first.rank();
    if !values.iter().all(is_like) {
        return None;
    }
    let differs = |a: &usize| values.iter().any(|x| x.shape()[*a] != first.shape[*a]);
    let open: Vec<usize> = (0..first.rank()).filter(differs).collect();
    let all: Vec<TraceElements> = values.iter().map(TraceElements::of).collect::<Option<_>>()?;
    affine(&all, &open).or_else(|| mask(&all, &open)).or_else(|| of_distances(&all, &open))
}

/// Returns true for several equal elements.
pub(super) fn is_splat(x: &Literal) -> bool {
    let ty = x.ty();
    let width = ty.dtype.bits() / 8;
    if ty.size() < 2 || width == 0 {
        return false;
    }
    let first = x.bytes().get(..width).unwrap_or_default();
    x.bytes().chunks_exact(width).all(|e| e == first)
}

fn affine(all: &[TraceElements], open: &[usize]) -> Option<Vec<GeneratedTensor>> {
    let forms: Vec<(Vec<f64>, Vec<f64>)> =
        all.iter().map(|x| x.affine(open)).collect::<Option<_>>()?;
    let in_all = |f: &dyn Fn(&(Vec<f64>, Vec<f64>)) -> bool| forms.iter().all(f);
    let is_splat = in_all(&|(base, _)| base.iter().all(|b| is_same(*b, base[0])));
    let (first, _) = forms.first()?;
    let is_shared = in_all(&|(base, _)| {
        base.len() == first.len() && base.iter().zip(first).all(|(x, y)| is_same(*x, *y))
    });
    if !is_splat && !is_shared {
        return None;
    }
    let has_step = |k: &usize| !in_all(&|(_, steps)| steps[*k] == 0.0);
    let stepped: Vec<usize> = (0..open.len()).filter(has_step).collect();
    let is_zero = in_all(&|(base, _)| base.iter().all(|b| *b == 0.0));
    let tensor = |(x, (base, steps)): (&TraceElements, &(Vec<f64>, Vec<f64>))| {
        let dims: Vec<usize> = match is_splat {
            true => vec![],
            false => (0..x.ty.rank()).filter(|a| !open.contains(a)).collect(),
        };
        let shape: Vec<usize> = dims.iter().map(|&a| x.ty.shape[a]).collect();
        let count = if is_splat { 1 } else { base.len() };
        let step = |&k: &usize| AxisStep {
            axis: open[k],
            step: steps[k],
            is_one: in_all(&|(_, steps)| steps[k] == 1.0),
        };
        GeneratedTensor::Affine(AffineTensor {
            ty: x.ty.clone(),
            base: Literal::from_f64s(x.ty.dtype, shape, &base[..count]),
            dims,
            steps: stepped.iter().map(step).collect(),
            is_without_base: is_zero && !stepped.is_empty(),
        })
    };
    Some(all.iter().zip(&forms).map(tensor).collect())
}

fn mask(all: &[TraceElements], open: &[usize]) -> Option<Vec<GeneratedTensor>> {
    let pairs = open.iter().flat_map(|&r| open.iter().map(move |&c| (r, c)));
    let of_pair = |(rows, columns): (usize, usize)| {
        let masks: Vec<MaskTensor> =
            all.iter().map(|x| x.mask(rows, columns)).collect::<Option<_>>()?;
        let first = masks.first()?;
        let is_like =
            |m: &MaskTensor| is_same(m.inside, first.inside) && is_same(m.outside, first.outside);
        masks.iter().all(is_like).then_some(masks)
    };
    let found = pairs.filter(|(r, c)| r != c).find_map(of_pair)?;
    Some(found.into_iter().map(GeneratedTensor::Mask).collect())
}

fn of_distances(all: &[TraceElements], open: &[usize]) -> Option<Vec<GeneratedTensor>> {
    let found = distances(all, open)?;
    Some(found.into_iter().map(GeneratedTensor::Distance).collect())
}

impl TraceElements {
    /// Returns the base and the steps along the open axes; `None` if an element is another one.
    fn affine(&self, open: &[usize]) -> Option<(Vec<f64>, Vec<f64>)> {
        let at_zero = |p: usize| -> usize {
            p - open.iter().map(|&a| self.index(p, a) * self.strides[a]).sum::<usize>()
        };
        let step = |&a: &usize| match self.ty.shape[a] {
            0 | 1 => 0.0,
            _ => self.numbers[self.strides[a]] - self.numbers[0],
        };
        let is_number = self.ty.dtype.is_int() || matches!(self.ty.dtype, DType::F32 | DType::F64);
        let mut steps: Vec<f64> = open.iter().map(step).collect();
        // Equal infinities have no difference.
        steps.iter_mut().filter(|s| s.is_nan()).for_each(|s| *s = 0.0);
        let is_flat = steps.iter().all(|s| *s == 0.0);
        if !is_flat && !is_number {
            return None;
        }
        let is_right = |p: usize| {
            let base = self.numbers[at_zero(p)];
            let rise: f64 = steps.iter().zip(open).map(|(s, &a)| s * self.index(p, a) as f64).sum();
            match is_flat {
                true => is_same(self.numbers[p], base),
                false => self.numbers[p] == base + rise,
            }
        };
        if !(0..self.numbers.len()).all(is_right) {
            return None;
        }
        let bases = (0..self.numbers.len()).filter(|&p| at_zero(p) == p);
        Some((bases.map(|p| self.numbers[p]).collect(), steps))
    }

    /// Returns the mask of two axes that the elements are; `None` if they are none.
    fn mask(&self, rows: usize, columns: usize) -> Option<MaskTensor> {
        let row = |j: usize| self.numbers[j * self.strides[columns]];
        let inside = row(0);
        let end = (0..self.ty.shape[columns]).find(|&j| !is_same(row(j), inside))?;
        let (outside, offset) = (row(end), end as i64 - 1);
        let is_right = |p: usize| {
            let is_inside = self.index(p, columns) as i64 <= self.index(p, rows) as i64 + offset;
            is_same(self.numbers[p], if is_inside { inside } else { outside })
        };
        let ty = self.ty.clone();
        (0..self.numbers.len()).all(is_right).then_some(MaskTensor {
            ty,
            rows,
            columns,
            offset,
            inside,
            outside,
        })
    }
}

impl GeneratedTensor {
    /// Returns a tensor of equal elements, which [`is_splat`] finds.
    ///
    /// # Errors
    /// If the tensor has no element.
    pub fn splat(x: &Literal) -> Result<GeneratedTensor> {
        let ty = x.ty().clone();
        let first = x.bytes().get(..ty.dtype.bits() / 8).unwrap_or_default();
        let base = Literal::new(Type::scalar(ty.dtype), Bytes::copy_of(first))?;
        let (dims, steps) = (vec![], vec![]);
        Ok(GeneratedTensor::Affine(AffineTensor { ty, base, dims, steps, is_without_base: false }))
    }

    /// Emits the tensor.
    pub fn emit(&self, b: &mut Builder) -> Value {
        match self {
            GeneratedTensor::Affine(x) => x.emit(b),
            GeneratedTensor::Mask(x) => x.emit(b),
            GeneratedTensor::Distance(x) => x.emit(b),
        }
    }
}

impl AffineTensor {
    fn emit(&self, b: &mut Builder) -> Value {
        let mut sum = None;
        for step in &self.steps {
            let mut term = b.iota(self.ty.clone(), step.axis);
            if !step.is_one {
                let factor = b.full(self.ty.clone(), step.step);
                term = b.mul(term, factor);
            }
            sum = Some(sum.map_or(term, |sum| b.add(sum, term)));
        }
        if let (Some(sum), true) = (sum, self.is_without_base) {
            return sum;
        }
        let base = b.constant(self.base.clone());
        let base = b.broadcast(base, self.ty.shape.clone(), &self.dims);
        sum.map_or(base, |sum| b.add(sum, base))
    }
}

impl MaskTensor {
    fn emit(&self, b: &mut Builder) -> Value {
        let indices = self.ty.with_dtype(DType::I64);
        let (rows, columns) =
            (b.iota(indices.clone(), self.rows), b.iota(indices.clone(), self.columns));
        let offset = b.full(indices, self.offset as f64);
        let limit = b.add(rows, offset);
        if self.ty.dtype == DType::Bool {
            // ONNX Runtime selects no bools.
            let is_true_inside = self.inside != 0.0;
            let direction = if is_true_inside { Direction::Le } else { Direction::Gt };
            return b.compare(direction, columns, limit);
        }
        let is_inside = b.compare(Direction::Le, columns, limit);
        let [inside, outside] = [self.inside, self.outside].map(|x| b.full(self.ty.clone(), x));
        b.select(is_inside, inside, outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax::prelude::*;

    /// Returns the values that are emitted for a tensor at three sizes; `None` if it is of no kind.
    fn emitted(f: impl Fn(usize) -> Tensor) -> Option<bool> {
        let values: Vec<Literal> = [5, 8, 13].map(|n| f(n).to_literal().unwrap()).into();
        let all = generated(&values)?;
        let value = |x: &GeneratedTensor| {
            let mut b = Builder::new();
            let y = x.emit(&mut b);
            neurax_ir::transform::eval(&b.finish(&[y]).unwrap(), vec![]).unwrap().remove(0)
        };
        Some(all.iter().map(value).collect::<Vec<_>>() == values)
    }

    #[test]
    fn repeated_tensors_ranges_and_masks_are_generated() {
        let table = || tensor([[3, 1, 2]]).to(I32);
        assert_eq!(emitted(|n| table().broadcast_to([n, 3])), Some(true));
        assert_eq!(emitted(|n| Tensor::full([n, 2, n], f64::NEG_INFINITY)), Some(true));
        assert_eq!(emitted(|n| Tensor::full([4], n as f64)), Some(true));
        assert_eq!(emitted(|n| Tensor::arange(n).to(I64) * 3 + n as i64), Some(true));
        let distance = |n: usize| Tensor::arange(n).expand_dims(1) - Tensor::arange(n + 2);
        assert_eq!(emitted(distance), Some(true));
        let rows = |n: usize| table().transpose() + Tensor::arange(n).to(I32);
        assert_eq!(emitted(rows), Some(true));
        for offset in [-1, 0, 2] {
            let mask = move |n: usize| {
                let columns = Tensor::arange(n + 1) - offset;
                columns.le(Tensor::arange(n).reshape([1, n, 1]))
            };
            assert_eq!(emitted(mask), Some(true), "{offset}");
            let scores = move |n: usize| mask(n).select(0.0, f64::NEG_INFINITY);
            assert_eq!(emitted(scores), Some(true), "{offset}");
        }
    }

    #[test]
    fn masks_of_bools_are_comparisons() {
        for is_true_inside in [true, false] {
            let mask = |n: usize| {
                let is_inside = Tensor::arange(n).le(Tensor::arange(n).expand_dims(1));
                if is_true_inside { is_inside } else { is_inside.logical_not() }
            };
            assert_eq!(emitted(mask), Some(true));
            let values = [5, 8].map(|n| mask(n).to_literal().unwrap());
            let mut b = Builder::new();
            generated(&values).unwrap()[0].emit(&mut b);
            assert!(b.eqns().iter().all(|e| e.op.name() != "select"), "ONNX Runtime has none");
        }
    }

    #[test]
    fn functions_of_distances_are_tables() {
        let distance = |n: usize| Tensor::arange(n) - Tensor::arange(n).expand_dims(1);
        assert_eq!(emitted(|n| distance(n).abs().le(1)), Some(true), "a window");
        let bucket = |n: usize| distance(n).clip(-2, 4).expand_dims(0).to(I64) * 7;
        assert_eq!(emitted(bucket), Some(true));
        let wide = |n: usize| Tensor::arange(n + 3) - Tensor::arange(n).expand_dims(1);
        assert_eq!(emitted(|n| wide(n).abs().minimum(3).to(F32).sqrt()), Some(true));
    }

    #[test]
    fn other_tensors_are_of_no_kind() {
        assert_eq!(emitted(|n| Tensor::arange(n) * Tensor::arange(n)), None);
        assert_eq!(emitted(|n| Tensor::linspace(0.0, 1.0, n)), None);
        assert_eq!(emitted(|n| key(n as i64).normal([4])), None, "another base in each trace");
        assert_eq!(emitted(|n| (Tensor::arange(n) % 2).equal(1)), None);
        assert_eq!(emitted(|n| Tensor::zeros(n).to(if n > 9 { F64 } else { F32 })), None);
        let distance = |n: usize| Tensor::arange(n) - Tensor::arange(n).expand_dims(1);
        assert_eq!(emitted(|n| distance(n).abs().minimum(9)), None, "9 is too near the largest");
        assert_eq!(emitted(|n| distance(n) % 2), None);
    }
}
