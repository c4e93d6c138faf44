//! `case`: a conditional that runs one of several graphs.
//!
//! All branches have one signature, so each rule transforms every branch and must make the results
//! agree again: a result that has a tangent or a batch axis in one branch must have it in all. A
//! first round over the branches finds the union of these flags, a second one forces it
//! (`transform_branches`).
//!
//! # Reverse mode
//!
//! The branches have different residuals, but the equation has one list of results. As only one
//! branch runs, they share *slots* (`share_slots`): a residual takes the first slot of its type
//! that its branch has not taken. A branch returns zeros in the slots that it does not use. A
//! residual that is an operand takes none. For `case(i, x, y)` with the branches `sin(x) y` and
//! `x y` the residuals that are no operands are `cos(x)` and `sin(x)` in the first branch, none in
//! the second, and the two halves are
//!
//! ```text
//! %r, %s0, %s1 = case[(sin(x) y, cos(x), sin(x)), (x y, 0, 0)](%i, %x, %y)
//! %dr          = case[s0 dx y + s1 dy,            dx y + x dy](%i, %s0, %s1, %x, %y, %dx, %dy)
//! ```
//!
//! # Batching
//!
//! With one index for all members the branches are batched. With a batched index each member may
//! take another branch: see `batch.rs`.
//!
//! Invariants: the index is an i32 scalar and is clamped, so that some branch always runs; there is
//! at least one branch.
//!
//! Rejected: a tuple of residuals for each branch, of which only one is filled: it
//! needs the results of all branches together.

mod batch;

use super::{
    Axis, Batched, Bound, Liveness, Needs, Primitive, Region, Sample, Tangent, Transposed, accepts,
    count_marked, either, front_where_batched, rules::*, select, spread_marked,
};
use crate::{
    Builder, DType, Eval, Graph, Literal, Op, Result, Type, Value, Values, graph::attr::attrs,
    transform, transform::Linearized,
};
use std::sync::Arc;

attrs! {
    /// The application of one of several graphs: operands `(index, args..)`, where branch `index`
    /// (an i32 scalar, clamped into range) is applied to `args`. All branches have the same
    /// signature. StableHLO's `case`: <https://openxla.org/stablehlo/spec#case>
    pub struct Cond = "case" {
        /// The branches.
        branches: Vec<Arc<Graph>>,
    }
}

fn of(branches: Vec<Graph>) -> Cond {
    Cond { branches: branches.into_iter().map(Arc::new).collect() }
}

impl Cond {
    /// Transforms every branch by `f`, so that all have the same outputs. `f(branch, forced)`
    /// returns the transformed graph and marks the outputs that it has; it must have those that
    /// `forced` marks. A first round finds the union of the outputs, a second one forces it.
    fn transform_branches(
        &self,
        n: usize,
        f: impl Fn(&Arc<Graph>, &[bool]) -> Result<(Graph, Vec<bool>)>,
    ) -> Result<(Vec<Graph>, Vec<bool>)> {
        let mut outs = vec![false; n];
        for g in &self.branches {
            outs = either(&outs, &f(g, &outs)?.1);
        }
        let graphs = self.branches.iter().map(|g| Ok(f(g, &outs)?.0)).collect::<Result<_>>()?;
        Ok((graphs, outs))
    }

    fn outputs(&self) -> usize {
        self.branches.first().map_or(0, |g| g.outputs().len())
    }

    /// Emits two equations: a primal one whose branches return their residuals in shared slots, and
    /// a linear one that takes the slots.
    fn jvp_for_reverse(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
    ) -> Result<(Values, Vec<Tangent>)> {
        let n = self.outputs();
        let active: Vec<bool> = dxs[1..].iter().map(Option::is_some).collect();
        let mut outs = vec![false; n];
        let memo = b.memo();
        for g in &self.branches {
            outs = either(&outs, &memo.jvp(g, &active, &outs, true)?.outputs);
        }
        let linearized = self
            .branches
            .iter()
            .map(|g| memo.linearize(g, &active, &outs))
            .collect::<Result<Vec<_>>>()?;
        let (slots, sources) = share_slots(&linearized, n);
        let is_read = |i: usize| sources.iter().flatten().any(|&s| s == ResidualSource::Operand(i));
        let read: Vec<usize> = (0..xs.len() - 1).filter(|&i| is_read(i)).collect();
        let branches = || linearized.iter().zip(&sources);
        let primals = branches()
            .map(|(l, from)| primal_branch(&l.primal, n, &slots, from))
            .collect::<Result<_>>()?;
        let linears = branches()
            .map(|(l, from)| linear_branch(l, &slots, &read, from))
            .collect::<Result<_>>()?;
        let ys = b.emit_n(of(primals), xs, n + slots.len());
        let mut args = vec![xs[0]];
        args.extend_from_slice(&ys[n..]);
        args.extend(read.iter().map(|&i| xs[1 + i]));
        args.extend(dxs[1..].iter().flatten());
        let dys = b.emit_n(of(linears), &args, count_marked(&outs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&outs, &dys)))
    }
}

/// The source of a residual for the linear half of a branch.
#[derive(Clone, Copy, PartialEq)]
enum ResidualSource {
    /// The operand of that index.
    Operand(usize),
    /// The slot of that index, an additional result of the primal half.
    Slot(usize),
}

/// Assigns the residuals of all branches to slots. Returns the types of the slots, and the source
/// of every residual of each branch. Branches share slots, since only one of them runs. Each branch
/// has `n` results before its residuals.
fn share_slots(linearized: &[Arc<Linearized>], n: usize) -> (Vec<Type>, Vec<Vec<ResidualSource>>) {
    let mut slots: Vec<Type> = vec![];
    let mut sources = vec![];
    for branch in linearized {
        let mut taken: Vec<ResidualSource> = vec![];
        let types = &branch.primal.output_types()[n..];
        for (ty, repeated) in types.iter().zip(branch.repeated_inputs()) {
            let is_free = |i: usize| !taken.contains(&ResidualSource::Slot(i));
            let free = || (0..slots.len()).find(|&i| slots[i] == *ty && is_free(i));
            let source = repeated
                .map(ResidualSource::Operand)
                .or_else(|| free().map(ResidualSource::Slot))
                .unwrap_or_else(|| {
                    slots.push(ty.clone());
                    ResidualSource::Slot(slots.len() - 1)
                });
            taken.push(source);
        }
        sources.push(taken);
    }
    (slots, sources)
}

/// Builds a primal branch that returns its `n` results and all slots; slots that it does not use
/// are zeros.
fn primal_branch(g: &Graph, n: usize, slots: &[Type], sources: &[ResidualSource]) -> Result<Graph> {
    let mut b = Builder::new();
    let xs = b.inputs(g.input_types());
    let ys = b.inline(g, &xs);
    let mut outs = ys[..n].to_vec();
    for (i, ty) in slots.iter().enumerate() {
        let residual = sources.iter().position(|&s| s == ResidualSource::Slot(i));
        outs.push(residual.map_or_else(|| b.zeros(ty.clone()), |k| ys[n + k]));
    }
    b.finish(&outs)
}

/// Builds a linear branch `(slots.., operands of the indices read.., tangents..) -> tangents..`.
fn linear_branch(
    branch: &Linearized,
    slots: &[Type],
    read: &[usize],
    sources: &[ResidualSource],
) -> Result<Graph> {
    let mut b = Builder::new();
    let slots = b.inputs(slots);
    let types = branch.primal.input_types();
    let mut operands: Vec<Option<Value>> = vec![None; types.len()];
    read.iter().for_each(|&i| operands[i] = Some(b.input(types[i].clone())));
    let tangents = b.inputs(&branch.linear.input_types()[branch.residuals..]);
    let value = |source: &ResidualSource| match *source {
        ResidualSource::Operand(i) => operands[i],
        ResidualSource::Slot(i) => Some(slots[i]),
    };
    let args: Vec<Value> = sources.iter().filter_map(value).chain(tangents).collect();
    let ys = b.inline(&branch.linear, &args);
    b.finish(&ys)
}

impl Primitive for Cond {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let (Some(index), Some(first)) = (xs.first(), self.branches.first()) else {
            return refuse(Self::NAME, "expected an index and at least one branch");
        };
        if *index != Type::scalar(DType::I32) {
            return refuse(Self::NAME, format!("expected an i32 scalar as index, got {index}"));
        }
        let outs = first.output_types();
        for (i, g) in self.branches.iter().enumerate() {
            accepts(Self::NAME, &format!("branch {i}"), g, &xs[1..])?;
            if g.output_types() != outs {
                let (a, b) = (list_types(&outs), list_types(&g.output_types()));
                return refuse(
                    Self::NAME,
                    format!(
                        "expected branches of the same result types; branch 0 returns ({a}), \
                         branch {i} returns ({b})"
                    ),
                );
            }
        }
        Ok(outs)
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let index = xs.remove(0).to_vec::<i32>()?[0];
        let last = self.branches.len() as i32 - 1;
        cx.run(&self.branches[index.clamp(0, last) as usize], xs)
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(self.jvp_region(b, at.xs, dxs, false)?.1)
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if linear[0] {
            return Transposed::NotLinear;
        }
        let given: Vec<bool> = cts.iter().map(Option::is_some).collect();
        let transposed = self
            .branches
            .iter()
            .map(|g| Ok(transform::transpose_graph(g, &linear[1..], &given, true)?.0))
            .collect::<Result<Vec<_>>>();
        let transposed = match transposed {
            Ok(graphs) => of(graphs),
            Err(e) => {
                b.fail(e);
                return Transposed::Cotangents(vec![None; at.xs.len()]);
            }
        };
        let nonlinear: Vec<bool> = linear.iter().map(|l| !l).collect();
        let mut args = select(at.xs, &nonlinear);
        args.extend(cts.iter().flatten());
        let n = transposed.outputs();
        let cotangents = b.emit_n(transposed, &args, n);
        Transposed::Cotangents(spread_marked(linear, &cotangents))
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        if dims[0].is_some() {
            return self.batch_all(b, axis, xs, dims);
        }
        let batched: Vec<bool> = dims[1..].iter().map(Option::is_some).collect();
        let memo = b.memo();
        let (graphs, outs) = self.transform_branches(self.outputs(), |g, force| {
            Ok((*memo.batch(g, axis, &batched, force)?).clone())
        })?;
        let args = front_where_batched(b, xs, dims, axis.size);
        let ys = b.emit_n(of(graphs), &args, outs.len());
        Ok((ys, outs.iter().map(|&y| y.then_some(0)).collect()))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, i: f64| {
            let ty = Type::new(d, [2]);
            let inputs = vec![
                Literal::scalar(DType::I32, i),
                sample(ty.clone(), 0.5, 1.5),
                sample(ty, 1.0, 2.0),
            ];
            Some(Sample { op: of(branches(d)?).into(), inputs, smooth: d == DType::F64 })
        };
        let each = DType::ALL.into_iter().flat_map(|d| [(d, 0.0), (d, 1.0)]);
        let clamped = [-3.0, 2.0, 9.0].map(|i| (DType::F64, i));
        each.chain(clamped).filter_map(|(d, i)| row(d, i)).collect()
    }
}

/// Builds three functions of `(x, y)`: `(sin(x) y, x)`, or `(x y, x)` for integers; `(x + y, x)`;
/// and `(x x, x)`.
fn branches(d: DType) -> Option<Vec<Graph>> {
    let branch = |f: &dyn Fn(&mut Builder, Value, Value) -> Value| {
        let mut b = Builder::new();
        let (x, y) = (b.input(Type::new(d, [2])), b.input(Type::new(d, [2])));
        let z = f(&mut b, x, y);
        b.finish(&[z, x]).ok()
    };
    let product = |b: &mut Builder, x: Value, y: Value| {
        let s = if d.is_differentiable() { b.sin(x) } else { x };
        b.mul(s, y)
    };
    Some(vec![branch(&product)?, branch(&|b, x, y| b.add(x, y))?, branch(&|b, x, _| b.square(x))?])
}

impl Region for Cond {
    fn graphs(&self) -> Vec<Arc<Graph>> {
        self.branches.clone()
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        Ok(of(self.branches.iter().map(|g| f(g)).collect::<Result<_>>()?).into())
    }

    fn jvp_region(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)> {
        if for_reverse {
            return self.jvp_for_reverse(b, xs, dxs);
        }
        let n = self.outputs();
        let active: Vec<bool> = dxs[1..].iter().map(Option::is_some).collect();
        let memo = b.memo();
        let (graphs, outs) = self.transform_branches(n, |g, force| {
            let d = memo.jvp(g, &active, force, false)?;
            Ok((d.graph.clone(), d.outputs.clone()))
        })?;
        let args: Vec<Value> = xs.iter().copied().chain(dxs.iter().flatten().copied()).collect();
        let ys = b.emit_n(of(graphs), &args, n + count_marked(&outs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&outs, &ys[n..])))
    }

    fn needs(&self, live: &[bool], inside: &mut [Liveness]) -> Option<Needs> {
        let reads = self.branches.iter().zip(inside).map(|(g, l)| l.add(g, live));
        let used = reads.reduce(|a, b| either(&a, &b))?;
        let inputs = std::iter::once(true).chain(used).collect();
        Needs::unless_all(inputs, live.to_vec())
    }

    fn pruned(&self, needs: &Needs, inside: &[Liveness]) -> Op {
        let smaller =
            |(g, l): (&Arc<Graph>, &Liveness)| l.restrict(g, &needs.outputs, &needs.inputs[1..]);
        of(self.branches.iter().zip(inside).map(smaller).collect()).into()
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}
