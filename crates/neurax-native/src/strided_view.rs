//! Strided views: folds the transposes, reshapes and reversals of matmul and convolution operands
//! into strides.
//!
//! ```text
//! %1: f32[64, 32] = transpose(%0: f32[32, 64])   ->   %0 with sizes [64, 32], strides [1, 64]
//! ```

use crate::{
    support::{moved_as, producer},
    tuning::CONV_MIN_TAPS_PER_FEATURE,
};
use neurax_ir::{Eqn, Graph, Op, Type, Value, op::DotGeneral};

/// A view of an array in memory with a stride for each axis.
pub struct StridedView {
    /// The offset of the first element, in elements.
    pub offset: isize,
    /// The size of each axis.
    pub sizes: Vec<usize>,
    /// The stride of each axis, in elements.
    pub strides: Vec<isize>,
}

impl StridedView {
    /// Returns the contiguous view of a value, and the value.
    fn dense(graph: &Graph, v: Value) -> (StridedView, Value) {
        (StridedView::of(graph.ty(v)), v)
    }

    /// Returns the contiguous view of an array of type `ty`.
    pub fn of(ty: &Type) -> StridedView {
        let shape = &ty.shape;
        StridedView {
            offset: 0,
            sizes: shape.to_vec(),
            strides: shape.strides().iter().map(|&s| s as isize).collect(),
        }
    }

    /// Returns the view of `v` through the transposes in front of it, and the value behind them. A
    /// transpose that has no machine code is not looked through.
    fn through_transposes(graph: &Graph, v: Value) -> (StridedView, Value) {
        match producer(graph, v) {
            Some(Eqn { op: Op::Transpose(op), inputs, .. })
                if moved_as(graph.ty(v).dtype).is_some() =>
            {
                let (inner, root) = StridedView::through_transposes(graph, inputs[0]);
                (inner.transposed(&op.permutation), root)
            }
            // other: the value itself, which is dense.
            _ => StridedView::dense(graph, v),
        }
    }

    /// Returns the view of `v` through transposes, reshapes and reversals as far as these are
    /// strides, and the value behind them.
    fn through_views(graph: &Graph, v: Value) -> (StridedView, Value) {
        let inner = |e: &Eqn| StridedView::through_views(graph, e.inputs[0]);
        let found = match producer(graph, v) {
            Some(e @ Eqn { op: Op::Transpose(op), .. }) => {
                let (inner, root) = inner(e);
                Some((inner.transposed(&op.permutation), root))
            }
            Some(e @ Eqn { op: Op::Reverse(op), .. }) => {
                let (inner, root) = inner(e);
                Some((inner.reversed(&op.axes), root))
            }
            Some(e @ Eqn { op: Op::Reshape(op), .. }) => {
                let (inner, root) = inner(e);
                inner.reshaped(&op.shape).map(|w| (w, root))
            }
            _ => None,
        };
        found.unwrap_or_else(|| StridedView::dense(graph, v))
    }

    /// Returns operand `side` of a product or convolution as a view, and the value behind it;
    /// `None` if the view does not suit the kernel. Of a product, the rows (or columns) and the
    /// depth need one stride each. Of the weights of a convolution, the taps need one stride,
    /// together with the features if there are few taps.
    pub fn operand(graph: &Graph, e: &Eqn, side: usize) -> Option<(StridedView, Value)> {
        match &e.op {
            Op::DotGeneral(op) => {
                let (view, root) = StridedView::through_transposes(graph, e.inputs[side]);
                view.is_operand(op, side).then_some((view, root))
            }
            Op::Convolution(_) => {
                let (view, root) = StridedView::through_views(graph, e.inputs[side]);
                let axes: Vec<usize> = (1..view.sizes.len()).collect();
                let has_many_taps = view.sizes[2..].iter().product::<usize>()
                    >= CONV_MIN_TAPS_PER_FEATURE
                    && view.merged(&axes[1..]).is_some();
                (side == 0 || has_many_taps || view.merged(&axes).is_some()).then_some((view, root))
            }
            _ => None,
        }
    }

    /// Returns operand `side` as [`StridedView::operand`] does, or else its contiguous view and the
    /// operand itself.
    pub fn operand_or_dense(graph: &Graph, e: &Eqn, side: usize) -> (StridedView, Value) {
        StridedView::operand(graph, e, side)
            .unwrap_or_else(|| StridedView::dense(graph, e.inputs[side]))
    }

    /// Returns true if the rows (or columns) and the depth have one stride each.
    pub fn is_operand(&self, op: &DotGeneral, side: usize) -> bool {
        let rank = self.sizes.len();
        let (free, contract) = if side == 0 {
            (op.lhs_free(rank), &op.lhs_contract)
        } else {
            (op.rhs_free(rank), &op.rhs_contract)
        };
        self.merged(&free).is_some() && self.merged(contract).is_some()
    }

    fn transposed(self, permutation: &[usize]) -> StridedView {
        let (sizes, strides) =
            permutation.iter().map(|&p| (self.sizes[p], self.strides[p])).unzip();
        StridedView { sizes, strides, ..self }
    }

    fn reversed(mut self, axes: &[usize]) -> StridedView {
        for &a in axes.iter().filter(|&&a| self.sizes[a] > 0) {
            self.offset += self.strides[a] * (self.sizes[a] as isize - 1);
            self.strides[a] = -self.strides[a];
        }
        self
    }

    /// Returns the view with another shape, if each of its axes has a stride.
    fn reshaped(&self, shape: &[usize]) -> Option<StridedView> {
        if shape.contains(&0) {
            return None;
        }
        let mut strides = vec![1; shape.len()];
        let (mut from, mut to) = (self.sizes.len(), shape.len());
        // From the last axis on: the fewest old and new axes with equal numbers of elements.
        while to > 0 {
            let (old_end, new_end) = (from, to);
            let (mut old, mut new) = (1, 1);
            while to > 0 && (new == 1 || old != new) {
                if old < new {
                    from = from.checked_sub(1)?;
                    old *= self.sizes[from];
                } else {
                    to -= 1;
                    new *= shape[to];
                }
            }
            while old < new {
                from = from.checked_sub(1)?;
                old *= self.sizes[from];
            }
            if old != new {
                return None;
            }
            let (_, mut stride) = self.merged(&(from..old_end).collect::<Vec<_>>())?;
            for axis in (to..new_end).rev() {
                strides[axis] = stride;
                stride *= shape[axis] as isize;
            }
        }
        Some(StridedView { offset: self.offset, sizes: shape.to_vec(), strides })
    }

    /// Merges `axes`, in this order, into one: its size and stride, if they have a common stride.
    pub fn merged(&self, axes: &[usize]) -> Option<(usize, isize)> {
        let mut out: Option<(usize, isize)> = None;
        for &a in axes.iter().rev().filter(|&&a| self.sizes[a] != 1) {
            out = match out {
                None => Some((self.sizes[a], self.strides[a])),
                Some((n, s)) if self.strides[a] == s * n as isize => Some((n * self.sizes[a], s)),
                _ => return None,
            };
        }
        // empty: all axes have size 1.
        Some(out.unwrap_or((1, 1)))
    }
}
