//! Transposes in front of products are strides.

use neurax_ir::{Eqn, Graph, Op, Value};

/// The equation that makes a value, if it is not an input: values are numbered equation by equation.
pub fn maker(graph: &Graph, v: Value) -> Option<&Eqn> {
    let after = graph.eqns().partition_point(|e| e.outputs.first().is_some_and(|&first| first <= v));
    graph.eqns()[..after].last().filter(|e| e.outputs.contains(&v))
}

/// How an operand is walked in memory.
pub struct Walk {
    /// The sizes of its axes.
    pub sizes: Vec<usize>,
    /// How far one step along each moves, in elements.
    pub strides: Vec<isize>,
}

impl Walk {
    /// As a dense array.
    pub fn dense(graph: &Graph, v: Value) -> Walk {
        let shape = &graph.ty(v).shape;
        Walk { sizes: shape.to_vec(), strides: shape.strides().iter().map(|&s| s as isize).collect() }
    }

    /// Through the transposes in front of it, and the array behind them.
    fn deep(graph: &Graph, v: Value) -> (Walk, Value) {
        let Some(Eqn { op: Op::Transpose(op), inputs, .. }) = maker(graph, v) else { return (Walk::dense(graph, v), v) };
        let (inner, root) = Walk::deep(graph, inputs[0]);
        let (sizes, strides) = op.permutation.iter().map(|&p| (inner.sizes[p], inner.strides[p])).unzip();
        (Walk { sizes, strides }, root)
    }

    /// An operand of a product through its transposes, if its rows and its depth have one stride each there.
    pub fn operand(graph: &Graph, e: &Eqn, side: usize) -> Option<(Walk, Value)> {
        let Op::DotGeneral(op) = &e.op else { return None };
        let (walk, root) = Walk::deep(graph, e.inputs[side]);
        let rank = walk.sizes.len();
        let (free, contract) = if side == 0 { (op.lhs_free(rank), &op.lhs_contract) } else { (op.rhs_free(rank), &op.rhs_contract) };
        (walk.joined(&free).is_some() && walk.joined(contract).is_some()).then_some((walk, root))
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
