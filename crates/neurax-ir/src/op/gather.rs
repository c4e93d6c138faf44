//! `gather`: reads windows at the positions of an array of indices.
//!
//! One op serves `take`, `take_along_axis`, advanced indexing and dynamic slices at many starts, as
//! in StableHLO and XLA. The geometry has three groups of axes:
//!
//! - the *batch axes* of the result are those of the indices without the last one, which is the
//!   index vector;
//! - the *window axes* of the result are those of the operand that are neither in `collapsed` nor
//!   in `operand_batch`;
//! - *paired* axes are walked in step by the operand and the indices, which is what batching both
//!   of them gives.
//!
//! Rows 2 and 0 of a matrix: the index vector has one entry, for axis 0 of the operand, which is
//! collapsed, and axis 1 is the window.
//!
//! ```
//! use neurax_ir::{DType, Graph, Literal, transform};
//! let rows = Graph::parse("graph(%0: f32[3, 2], %1: i32[2, 1]) {
//!   %2: f32[2, 2] = gather[offset_dims=[1], collapsed=[0], operand_batch=[], indices_batch=[], \
//!     index_map=[0], sizes=[1, 2], mode=clip](%0, %1)
//!   return %2
//! }")?;
//! let x = Literal::from_f64s(DType::F32, [3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
//! let i = Literal::from_f64s(DType::I32, [2, 1], &[2.0, 0.0]);
//! assert_eq!(transform::eval(&rows, vec![x, i])?[0].to_f64s(), [4.0, 5.0, 0.0, 1.0]);
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! The rules: a gather is linear in the operand, and its transpose is the scatter that adds to the
//! same windows. A batched operand gets a window axis, batched indices a batch axis, and if both
//! are batched the new axes are paired. The evaluation ([`plan`]) copies runs of contiguous
//! elements.
//!
//! Invariants: all lists of axes but `indices_batch` and `index_map` are increasing; a read out of
//! bounds is clamped or yields zeros, and never reads other memory.
//!
//! Rejected: an attribute for the axis of the index vector, which StableHLO has. Each rule would
//! handle it, and a transposition of the indices, which are small, says the same.

pub(super) mod plan;

use super::{
    Axis, Batched, Bound, Primitive, Sample, Scatter, ScatterKind, Tangent, Transposed, rules::*,
};
use crate::graph::attr::{attrs, names};
use crate::{Builder, DType, Eval, Literal, Result, Shape, Type, Value};

names! {
    /// The treatment of windows that are not within the operand's bounds.
    pub enum OutOfBounds {
        /// The start is clamped so that the window is in bounds.
        Clip = "clip",
        /// A read yields zeros; a write is dropped.
        Drop = "drop",
    }
}

attrs! {
    /// The windows of an array at given starts: operands `(x, indices)`. Every index vector (along
    /// the last axis of `indices`) yields the window of `sizes` of `x` that starts there.
    ///
    /// The result has the batch axes of `indices` (all but the last) and the window axes, the
    /// latter at `offset_dims`. Window axes in `collapsed` (of size 1) or `operand_batch` are
    /// removed. Entry `i` of an index vector is the start along axis `index_map[i]`. Axis
    /// `operand_batch[i]` of `x` is paired with axis `indices_batch[i]` of `indices`. Indices have
    /// any integer dtype; negative ones are out of bounds.
    ///
    /// <https://openxla.org/stablehlo/spec#gather>, with the index vector always along the last
    /// axis.
    pub struct Gather = "gather" {
        /// The window axes of the result, increasing.
        offset_dims: Vec<usize>,
        /// The window axes of size 1 that are removed, increasing.
        collapsed: Vec<usize>,
        /// The batch axes of the operand, increasing; the window has size 1 there.
        operand_batch: Vec<usize>,
        /// The batch axes of the indices, each paired with one of the operand.
        indices_batch: Vec<usize>,
        /// For each entry of an index vector, the axis of the operand that it indexes.
        index_map: Vec<usize>,
        /// The size of the window along every axis of the operand.
        sizes: Vec<usize>,
        /// The treatment of windows that are out of bounds.
        mode: OutOfBounds,
    }
}

impl Gather {
    /// Returns the axes of an operand of `rank` axes that windows keep: one for each of
    /// `offset_dims`.
    pub fn kept(&self, rank: usize) -> Vec<usize> {
        (0..rank)
            .filter(|a| !self.collapsed.contains(a) && !self.operand_batch.contains(a))
            .collect()
    }

    /// Checks all parameters for operands of these types, and returns the shape of the result. `op`
    /// is the name of the op in errors.
    pub(super) fn check(&self, op: &str, x: &Type, indices: &Type) -> Result<Shape> {
        let batch_axes = self.check_indices(op, x, indices)?;
        self.check_axes(op, x, indices)?;
        self.check_sizes(op, x, indices)?;
        let kept = self.kept(x.rank());
        let rank = batch_axes + kept.len();
        if kept.len() != self.offset_dims.len() {
            let why = format!(
                "windows of {x} keep the axes {kept:?}: expected {} window axes, got {:?}",
                kept.len(),
                self.offset_dims
            );
            return refuse(op, why);
        }
        check_increasing(op, "window axes", &self.offset_dims, rank)?;
        let (mut batch, mut window) = (indices.shape.iter(), kept.iter().map(|&a| &self.sizes[a]));
        let size = |i| if self.offset_dims.contains(&i) { window.next() } else { batch.next() };
        Ok((0..rank).filter_map(size).copied().collect())
    }

    /// Checks the type of the indices and returns the number of their batch axes.
    fn check_indices(&self, op: &str, x: &Type, indices: &Type) -> Result<usize> {
        if !indices.dtype.is_int() {
            return refuse(op, format!("expected integer indices, got {indices}"));
        }
        match indices.shape.split_last() {
            Some((&n, batch)) if n == self.index_map.len() => Ok(batch.len()),
            _ => {
                let why = format!(
                    "expected size {} along the last axis of the indices, one entry for each axis \
                     of {x} in index_map {:?}, got {indices}",
                    self.index_map.len(),
                    self.index_map
                );
                refuse(op, why)
            }
        }
    }

    fn check_axes(&self, op: &str, x: &Type, indices: &Type) -> Result<()> {
        check_increasing(op, "removed axes", &self.collapsed, x.rank())?;
        check_increasing(op, "batch axes", &self.operand_batch, x.rank())?;
        check_axes(op, &[&self.collapsed[..], &self.operand_batch].concat(), x.rank())?;
        check_axes(op, &[&self.index_map[..], &self.operand_batch].concat(), x.rank())?;
        check_axes(op, &self.indices_batch, indices.rank() - 1)?;
        if self.operand_batch.len() != self.indices_batch.len() {
            let why = format!(
                "expected equal numbers of batch axes, got {:?} of the operand and {:?} of the \
                 indices",
                self.operand_batch, self.indices_batch
            );
            return refuse(op, why);
        }
        let mut pairs = self.operand_batch.iter().zip(&self.indices_batch);
        match pairs.find(|&(&i, &j)| x.shape[i] != indices.shape[j]) {
            None => Ok(()),
            Some((i, j)) => refuse(
                op,
                format!(
                    "batch axis {i} of {x} and axis {j} of the indices {indices} differ in size; \
                     they are paired"
                ),
            ),
        }
    }

    fn check_sizes(&self, op: &str, x: &Type, indices: &Type) -> Result<()> {
        if self.sizes.len() != x.rank() {
            return refuse(
                op,
                format!("expected one window size for each axis of {x}, got {:?}", self.sizes),
            );
        }
        for (i, (&size, &n)) in self.sizes.iter().zip(&x.shape[..]).enumerate() {
            let batch = self.operand_batch.contains(&i);
            if (batch || self.collapsed.contains(&i)) && size != 1 {
                return refuse(
                    op,
                    format!(
                        "expected window size 1 on axis {i}, which is removed, got {:?}",
                        self.sizes
                    ),
                );
            }
            // No index of an empty axis is in bounds. That is legal if there are no indices, or if
            // windows out of bounds are dropped.
            let is_legal = batch
                || (size == 1 && n == 0 && (self.mode == OutOfBounds::Drop || indices.size() == 0));
            if size > n && !is_legal {
                return refuse(
                    op,
                    format!("the window {:?} does not fit into {x} on axis {i}", self.sizes),
                );
            }
        }
        Ok(())
    }

    /// Returns the scatter that writes the windows which this gather reads.
    fn to_scatter(&self, kind: ScatterKind) -> Scatter {
        Scatter {
            kind,
            window_dims: self.offset_dims.clone(),
            inserted: self.collapsed.clone(),
            operand_batch: self.operand_batch.clone(),
            indices_batch: self.indices_batch.clone(),
            index_map: self.index_map.clone(),
            mode: self.mode,
            unique: false,
        }
    }

    /// Renumbers the axes of the operand for a new axis `d`.
    fn shift_operand_axes(&mut self, d: usize) {
        for axes in [&mut self.collapsed, &mut self.operand_batch, &mut self.index_map] {
            shift_axes_from(axes, d);
        }
    }

    /// Adds axis `d` of the operand as a window axis of `size`, and returns its position in the
    /// result.
    fn batch_operand(&mut self, d: usize, size: usize) -> usize {
        let before = self.kept(self.sizes.len()).iter().filter(|&&a| a < d).count();
        let to = if before == 0 { 0 } else { self.offset_dims[before - 1] + 1 };
        self.shift_operand_axes(d);
        self.sizes.insert(d, size);
        shift_axes_from(&mut self.offset_dims, to);
        self.offset_dims.insert(before, to);
        to
    }

    /// Adds axis `d` of the indices, which is not the last, as a batch axis, and returns its
    /// position in the result, which had `rank` axes.
    fn batch_indices(&mut self, d: usize, rank: usize) -> usize {
        let mut batch_axes = (0..rank).filter(|i| !self.offset_dims.contains(i));
        // Behind all batch axes of the indices, the new axis is the last one of the result.
        let to = batch_axes.nth(d).unwrap_or(rank);
        shift_axes_from(&mut self.indices_batch, d);
        shift_axes_from(&mut self.offset_dims, to);
        to
    }
}

impl Primitive for Gather {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        Ok(vec![xs[0].with_shape(self.check(Self::NAME, &xs[0], &xs[1])?)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let shape = self.check(Self::NAME, xs[0].ty(), xs[1].ty())?;
        let out = Literal::zeros(xs[0].ty().with_shape(shape));
        if out.ty().size() == 0 {
            return Ok(vec![out]);
        }
        let plan = plan::GatherPlan::new(self, xs[0].shape(), &xs[1], out.shape());
        Ok(vec![plan.read(&xs[0], out)?])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[0].map(|dx| b.emit(self.clone(), &[dx, at.xs[1]]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if linear[1] {
            return Transposed::NotLinear;
        }
        let add = |ct| {
            let zeros = b.full_like(at.xs[0], 0.0);
            b.emit(self.to_scatter(ScatterKind::Add), &[zeros, at.xs[1], ct])
        };
        Transposed::Cotangents(vec![cts[0].map(add), None])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let mut op = self.clone();
        let (mut indices, mut di) = (xs[1], dims[1]);
        // Keep the index vector along the last axis.
        if let Some(d) = di
            && d + 1 == b.ty(indices).rank()
        {
            (indices, di) = (b.move_axis(indices, d, 0), Some(0));
        }
        let rank = b.ty(xs[1]).rank() - 1 - di.iter().len() + self.offset_dims.len();
        let position = match (dims[0], di) {
            (Some(d), None) => Some(op.batch_operand(d, axis.size)),
            (x, Some(i)) => {
                let to = op.batch_indices(i, rank);
                if let Some(d) = x {
                    op.shift_operand_axes(d);
                    let at = op.operand_batch.partition_point(|&a| a < d);
                    op.operand_batch.insert(at, d);
                    op.indices_batch.insert(at, i);
                    op.sizes.insert(d, 1);
                }
                Some(to)
            }
            (None, None) => None,
        };
        Ok((b.emit_n(op, &[xs[0], indices], 1), vec![position]))
    }

    fn samples() -> Vec<Sample> {
        let geometries = || [OutOfBounds::Clip, OutOfBounds::Drop].into_iter().flat_map(geometries);
        let row = |(g, x, i): (Gather, Vec<usize>, Literal), d: DType| Sample {
            op: g.into(),
            inputs: vec![sample(Type::new(d, x), -3.0, 4.0), i],
            smooth: d == DType::F64,
        };
        let mut rows: Vec<Sample> = geometries().map(|g| row(g, DType::F64)).collect();
        let each = |d: DType| geometries().take(1).map(move |g| row(g, d));
        rows.extend(DType::ALL.into_iter().flat_map(each));
        for d in DType::ALL.into_iter().filter(|d| d.is_int()) {
            let (g, x, i) = rows_of(&[4, 3], 0, OutOfBounds::Clip, [1.0, 0.0]);
            rows.push(row((g, x, Literal::from_f64s(d, i.shape(), &i.to_f64s())), DType::F32));
        }
        rows
    }
}

/// Checks that axes are increasing and in range.
fn check_increasing(op: &str, what: &str, axes: &[usize], rank: usize) -> Result<()> {
    check_axes(op, axes, rank)?;
    if axes.is_sorted() {
        return Ok(());
    }
    refuse(op, format!("expected increasing {what}, got {axes:?}"))
}

/// Returns a gather of whole slices along `axis` at the two indices `at`, with the operand's shape
/// and the indices.
fn rows_of(
    x: &[usize],
    axis: usize,
    mode: OutOfBounds,
    at: [f64; 2],
) -> (Gather, Vec<usize>, Literal) {
    let mut sizes = x.to_vec();
    sizes[axis] = 1;
    let g = Gather {
        offset_dims: (1..x.len()).collect(),
        collapsed: vec![axis],
        operand_batch: vec![],
        indices_batch: vec![],
        index_map: vec![axis],
        sizes,
        mode,
    };
    (g, x.to_vec(), Literal::from_f64s(DType::I32, [2, 1], &at))
}

/// Returns the corner cases of the parameters, each with the operand's shape and the indices. The
/// first four read no element twice.
pub(super) fn geometries(mode: OutOfBounds) -> Vec<(Gather, Vec<usize>, Literal)> {
    let int = |shape: &[usize], v: &[f64]| Literal::from_f64s(DType::I32, shape, v);
    let scalars = Gather {
        offset_dims: vec![],
        collapsed: vec![0, 1],
        operand_batch: vec![],
        indices_batch: vec![],
        index_map: vec![1, 0],
        sizes: vec![1, 1],
        mode,
    };
    let windows =
        Gather { offset_dims: vec![0, 2], collapsed: vec![], sizes: vec![2, 2], ..scalars.clone() };
    let along = Gather {
        offset_dims: vec![1],
        collapsed: vec![1],
        operand_batch: vec![0, 2],
        indices_batch: vec![1, 0],
        index_map: vec![1],
        sizes: vec![1, 1, 1, 2],
        mode,
    };
    let still = Gather {
        offset_dims: vec![1, 2],
        collapsed: vec![],
        index_map: vec![],
        sizes: vec![1, 2],
        ..scalars.clone()
    };
    vec![
        rows_of(&[4, 3], 0, mode, [2.0, 1.0]),
        (scalars.clone(), vec![3, 4], int(&[2, 2], &[3.0, 1.0, 0.0, 2.0])),
        (along, vec![2, 3, 2, 2], int(&[2, 2, 1], &[1.0, 0.0, 2.0, 1.0])),
        rows_of(&[2, 3], 1, mode, [-1.0, 2.0]),
        rows_of(&[4, 2], 0, mode, [9.0, 3.0]),
        (windows.clone(), vec![3, 4], int(&[2, 2], &[1.0, 1.0, 3.0, 0.0])),
        (windows, vec![3, 4], int(&[2, 2], &[-2.0, 1.0, 0.0, 1.0])),
        (still, vec![2, 2], int(&[2, 0], &[])),
        (scalars.clone(), vec![3, 4], int(&[0, 2], &[])),
        rows_of(&[3, 0], 0, mode, [1.0, 0.0]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(g: &Gather, x: &Literal, i: Literal) -> Literal {
        g.eval(&mut Eval::default(), vec![x.clone(), i]).unwrap().remove(0)
    }

    fn count(dtype: DType, shape: &[usize]) -> Literal {
        let n = shape.iter().product::<usize>();
        Literal::from_f64s(dtype, shape, &(1..=n).map(|i| i as f64).collect::<Vec<_>>())
    }

    #[test]
    fn rows_scalars_and_windows() {
        let x = count(DType::F32, &[3, 4]);
        let (rows, _, i) = rows_of(&[3, 4], 0, OutOfBounds::Clip, [2.0, 0.0]);
        assert_eq!(run(&rows, &x, i).to_f64s(), [9.0, 10.0, 11.0, 12.0, 1.0, 2.0, 3.0, 4.0]);
        let all = geometries(OutOfBounds::Clip);
        assert_eq!(
            run(&all[1].0, &x, all[1].2.clone()).to_f64s(),
            [8.0, 9.0],
            "index_map swaps the axes"
        );
        let y = run(&all[5].0, &x, all[5].2.clone());
        assert_eq!(y.ty().to_string(), "f32[2, 2, 2]");
        // Windows at (1, 1) and at (0, 3), which is clamped to (0, 2). Axis 0 is the window's rows.
        assert_eq!(y.to_f64s(), [6.0, 7.0, 3.0, 4.0, 10.0, 11.0, 7.0, 8.0]);
    }

    #[test]
    fn out_of_bounds_clips_or_reads_zero() {
        let x = count(DType::I4, &[3]);
        let op = |mode| Gather { offset_dims: vec![], ..rows_of(&[3], 0, mode, [0.0; 2]).0 };
        let i = Literal::from_slice([4, 1], &[-1i64, 2, 3, i64::MAX]).unwrap();
        assert_eq!(run(&op(OutOfBounds::Clip), &x, i.clone()).to_f64s(), [1.0, 3.0, 3.0, 3.0]);
        assert_eq!(run(&op(OutOfBounds::Drop), &x, i).to_f64s(), [0.0, 3.0, 0.0, 0.0]);
        let u = Literal::from_slice([2, 1], &[u64::MAX, 1]).unwrap();
        assert_eq!(run(&op(OutOfBounds::Drop), &x, u).to_f64s(), [0.0, 2.0]);
    }

    #[test]
    fn packed_floats_keep_fractions_and_signs() {
        let x = Literal::from_f64s(DType::F4E2M1FN, [4], &[0.5, -1.5, 6.0, -0.5]);
        let op = Gather { offset_dims: vec![], ..rows_of(&[4], 0, OutOfBounds::Clip, [0.0; 2]).0 };
        let i = Literal::from_slice([3, 1], &[1i64, 3, 0]).unwrap();
        assert_eq!(run(&op, &x, i).to_f64s(), [-1.5, -0.5, 0.5]);
    }

    #[test]
    fn batch_axes_are_paired() {
        let x = count(DType::F64, &[2, 3]);
        let g = Gather {
            offset_dims: vec![],
            collapsed: vec![1],
            operand_batch: vec![0],
            indices_batch: vec![1],
            index_map: vec![1],
            sizes: vec![1, 1],
            mode: OutOfBounds::Clip,
        };
        let i = Literal::from_slice([2, 2, 1], &[0i32, 1, 2, 0]).unwrap();
        assert_eq!(run(&g, &x, i).to_f64s(), [1.0, 5.0, 3.0, 4.0]);
    }

    #[test]
    fn taking_along_an_axis() {
        let mut b = Builder::new();
        let (x, i) =
            (b.input(Type::new(DType::F32, [2, 3])), b.input(Type::new(DType::I32, [2, 2])));
        let slices = b.take(x, i, 1, OutOfBounds::Drop);
        let elements = b.take_along_axis(x, i, 1);
        let g = b.finish(&[slices, elements]).unwrap();
        let i = Literal::from_slice([2, 2], &[0i32, 2, 1, 3]).unwrap();
        let ys = crate::transform::eval(&g, vec![count(DType::F32, &[2, 3]), i]).unwrap();
        assert_eq!(ys[0].ty().to_string(), "f32[2, 2, 2]");
        assert_eq!(ys[0].to_f64s(), [1.0, 3.0, 2.0, 0.0, 4.0, 6.0, 5.0, 0.0]);
        assert_eq!(
            (ys[1].ty().to_string().as_str(), ys[1].to_f64s()),
            ("f32[2, 2]", vec![1.0, 3.0, 5.0, 6.0])
        );
        let mut b = Builder::new();
        let (x, i) = (b.input(Type::scalar(DType::F32)), b.input(Type::scalar(DType::I32)));
        let y = b.take(x, i, 0, OutOfBounds::Clip);
        assert!(b.finish(&[y]).unwrap_err().to_string().contains("out of range"));
    }

    #[test]
    fn empty_indices_and_empty_operands() {
        let (g, _, i) = rows_of(&[0, 2], 0, OutOfBounds::Drop, [0.0, 1.0]);
        let x = Literal::zeros(Type::new(DType::F32, [0, 2]));
        assert_eq!(run(&g, &x, i.clone()).to_f64s(), [0.0; 4]);
        let clip = Gather { mode: OutOfBounds::Clip, ..g };
        assert!(
            clip.infer(&[x.ty().clone(), i.ty().clone()])
                .unwrap_err()
                .to_string()
                .contains("does not fit")
        );
    }

    #[test]
    fn every_parameter_is_checked() {
        let (x, i) = (Type::new(DType::F32, [3, 4]), Type::new(DType::I32, [2, 1]));
        let good = rows_of(&[3, 4], 0, OutOfBounds::Clip, [0.0; 2]).0;
        assert_eq!(good.infer(&[x.clone(), i.clone()]).unwrap()[0].to_string(), "f32[2, 4]");
        let say = |g: Gather| g.infer(&[x.clone(), i.clone()]).unwrap_err().to_string();
        assert!(
            say(Gather { sizes: vec![1], ..good.clone() })
                .contains("one window size for each axis")
        );
        assert!(
            say(Gather { sizes: vec![2, 4], ..good.clone() }).contains("window size 1 on axis 0")
        );
        assert!(
            say(Gather { sizes: vec![1, 5], ..good.clone() })
                .contains("does not fit into f32[3, 4] on axis 1")
        );
        assert!(
            say(Gather { offset_dims: vec![], ..good.clone() }).contains("expected 1 window axes")
        );
        assert!(say(Gather { offset_dims: vec![2], ..good.clone() }).contains("out of range"));
        assert!(
            say(Gather { collapsed: vec![1, 0], ..good.clone() })
                .contains("expected increasing removed axes")
        );
        assert!(say(Gather { index_map: vec![2], ..good.clone() }).contains("out of range"));
        assert!(
            say(Gather { index_map: vec![0, 1], ..good.clone() })
                .contains("expected size 2 along the last axis")
        );
        assert!(
            say(Gather { operand_batch: vec![0], ..good.clone() })
                .contains("expected different axes")
        );
        assert!(
            say(Gather { indices_batch: vec![0], ..good.clone() })
                .contains("equal numbers of batch axes")
        );
        assert!(say(Gather { indices_batch: vec![1], ..good.clone() }).contains("out of range"));
        let batch = Gather {
            operand_batch: vec![1],
            indices_batch: vec![0],
            sizes: vec![1, 1],
            offset_dims: vec![],
            ..good.clone()
        };
        assert!(say(batch).contains("differ in size"));
        let float = good.infer(&[x.clone(), x.clone()]).unwrap_err().to_string();
        assert!(float.contains("expected integer indices"));
        assert!(good.infer(&[x.clone(), Type::scalar(DType::I32)]).is_err());
    }
}
