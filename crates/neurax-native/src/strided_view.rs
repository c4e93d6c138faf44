//! What only moves elements in front of products and convolutions is strides.

use crate::support::moved_as;
use neurax_ir::{Eqn, Graph, Op, Type, Value, op::DotGeneral};

/// The equation that makes a value, if it is not an input: values are numbered equation by
/// equation.
pub fn producer(graph: &Graph, v: Value) -> Option<&Eqn> {
    let after =
        graph.eqns().partition_point(|e| e.outputs.first().is_some_and(|&first| first <= v));
    graph.eqns()[..after].last().filter(|e| e.outputs.contains(&v))
}

/// How an operand is walked in memory.
pub struct StridedView {
    /// The place of its first element.
    pub offset: isize,
    /// The sizes of its axes.
    pub sizes: Vec<usize>,
    /// How far one step along each moves, in elements.
    pub strides: Vec<isize>,
}

impl StridedView {
    /// As a dense array.
    pub fn dense(graph: &Graph, v: Value) -> StridedView {
        StridedView::of(graph.ty(v))
    }

    /// A dense array of that type.
    pub fn of(ty: &Type) -> StridedView {
        let shape = &ty.shape;
        StridedView {
            offset: 0,
            sizes: shape.to_vec(),
            strides: shape.strides().iter().map(|&s| s as isize).collect(),
        }
    }

    /// Through the transposes in front of it, and the array behind them; a transpose that machine
    /// code cannot do is an array of its own.
    fn through_transposes(graph: &Graph, v: Value) -> (StridedView, Value) {
        match producer(graph, v) {
            Some(Eqn { op: Op::Transpose(op), inputs, .. })
                if moved_as(graph.ty(v).dtype).is_some() =>
            {
                let (inner, root) = StridedView::through_transposes(graph, inputs[0]);
                (inner.transposed(&op.permutation), root)
            }
            _ => (StridedView::dense(graph, v), v),
        }
    }

    /// Through transposes, reshapes and reversals as far as they are strides, and the array behind
    /// them.
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
        found.unwrap_or_else(|| (StridedView::dense(graph, v), v))
    }

    /// An operand of a product through its transposes, if its rows and its depth have one stride
    /// each there; or one of a convolution: of a kernel the taps must have one stride, and if they
    /// are few the features together with them.
    pub fn operand(graph: &Graph, e: &Eqn, side: usize) -> Option<(StridedView, Value)> {
        match &e.op {
            Op::DotGeneral(op) => {
                let (walk, root) = StridedView::through_transposes(graph, e.inputs[side]);
                walk.is_operand(op, side).then_some((walk, root))
            }
            Op::Convolution(_) => {
                let (walk, root) = StridedView::through_views(graph, e.inputs[side]);
                let axes: Vec<usize> = (1..walk.sizes.len()).collect();
                let many = walk.sizes[2..].iter().product::<usize>() >= MANY
                    && walk.joined(&axes[1..]).is_some();
                (side == 0 || many || walk.joined(&axes).is_some()).then_some((walk, root))
            }
            _ => None,
        }
    }

    /// Have its rows (or columns) and its depth one stride each as an operand of a product?
    pub fn is_operand(&self, op: &DotGeneral, side: usize) -> bool {
        let rank = self.sizes.len();
        let (free, contract) = if side == 0 {
            (op.lhs_free(rank), &op.lhs_contract)
        } else {
            (op.rhs_free(rank), &op.rhs_contract)
        };
        self.joined(&free).is_some() && self.joined(contract).is_some()
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

    /// With other axes, if each of them has a stride.
    fn reshaped(&self, shape: &[usize]) -> Option<StridedView> {
        if shape.contains(&0) {
            return None;
        }
        let mut strides = vec![1; shape.len()];
        let (mut from, mut to) = (self.sizes.len(), shape.len());
        // From the last axes on: as few as possible of the old and the new ones that have as many
        // elements.
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
            let (_, mut stride) = self.joined(&(from..old_end).collect::<Vec<_>>())?;
            for axis in (to..new_end).rev() {
                strides[axis] = stride;
                stride *= shape[axis] as isize;
            }
        }
        Some(StridedView { offset: self.offset, sizes: shape.to_vec(), strides })
    }

    /// Those axes as one, in that order: its size and stride.
    pub fn joined(&self, axes: &[usize]) -> Option<(usize, isize)> {
        let mut out: Option<(usize, isize)> = None;
        for &a in axes.iter().rev().filter(|&&a| self.sizes[a] != 1) {
            out = match out {
                None => Some((self.sizes[a], self.strides[a])),
                Some((n, s)) if self.strides[a] == s * n as isize => Some((n * self.sizes[a], s)),
                _ => return None,
            };
        }
        Some(out.unwrap_or((1, 1)))
    }
}

/// Taps that are worth a block of their own for every feature.
const MANY: usize = 64;
