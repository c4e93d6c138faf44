//! One of several graphs.

use super::{
    Axis, Batched, Bound, Direction, Primitive, Pruned, Region, Sample, Tangent, Transposed,
    accepts, either, front_where_batched, marked, rules::*, select, spread_marked,
};
use crate::{
    Builder, DType, Eval, Graph, Literal, Op, Result, Type, Value, Values, graph::attr::attrs,
    transform, transform::Linearized,
};
use std::sync::Arc;

attrs! {
    /// Operands `(index, args..)`: applies branch `index` (an i32 scalar, clamped into range) to
    /// `args`. All branches have the same signature. StableHLO's `case`:
    /// <https://openxla.org/stablehlo/spec#case>
    pub struct Cond = "case" {
        /// The branches.
        branches: Vec<Arc<Graph>>,
    }
}

fn of(branches: Vec<Graph>) -> Cond {
    Cond { branches: branches.into_iter().map(Arc::new).collect() }
}

impl Cond {
    /// Every branch through `f`, which answers with a graph and which outputs it has of its own
    /// accord; asked again until all branches agree on the outputs.
    fn agreed(
        &self,
        n: usize,
        f: impl Fn(&Graph, &[bool]) -> Result<(Graph, Vec<bool>)>,
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

    /// Two equations: the branches give their residuals as well, each at places of its own types
    /// that branches share.
    fn jvp_parted(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
    ) -> Result<(Values, Vec<Tangent>)> {
        let n = self.outputs();
        let active: Vec<bool> = dxs[1..].iter().map(Option::is_some).collect();
        let mut outs = vec![false; n];
        for g in &self.branches {
            outs = either(&outs, &transform::jvp_instantiated(g, &active, &outs, true)?.outputs);
        }
        let parts = self
            .branches
            .iter()
            .map(|g| transform::linearize_instantiated(g, &active, &outs))
            .collect::<Result<Vec<_>>>()?;
        let (slots, places) = share_slots(&parts, n);
        let read: Vec<usize> = (0..xs.len() - 1)
            .filter(|&i| places.iter().flatten().any(|&p| p == Place::Operand(i)))
            .collect();
        let primals = parts
            .iter()
            .zip(&places)
            .map(|(p, at)| primal_branch(&p.primal, n, &slots, at))
            .collect::<Result<_>>()?;
        let linears = parts
            .iter()
            .zip(&places)
            .map(|(p, at)| linear_branch(p, &slots, &read, at))
            .collect::<Result<_>>()?;
        let ys = b.emit_n(of(primals), xs, n + slots.len());
        let mut args = vec![xs[0]];
        args.extend_from_slice(&ys[n..]);
        args.extend(read.iter().map(|&i| xs[1 + i]));
        args.extend(dxs[1..].iter().flatten());
        let dys = b.emit_n(of(linears), &args, marked(&outs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&outs, &dys)))
    }
}

/// Where a branch's linear half finds a residual.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// It is one of the operands.
    Operand(usize),
    /// The primal half gives it at that place.
    Slot(usize),
}

/// Places for the residuals of all branches: two branches may use one slot, as only one of them
/// runs.
fn share_slots(parts: &[Linearized], n: usize) -> (Vec<Type>, Vec<Vec<Place>>) {
    let mut slots: Vec<Type> = vec![];
    let mut places = vec![];
    for part in parts {
        let mut taken: Vec<Place> = vec![];
        for (ty, repeated) in part.primal.output_types()[n..].iter().zip(part.repeated_inputs()) {
            let free =
                || (0..slots.len()).find(|&i| slots[i] == *ty && !taken.contains(&Place::Slot(i)));
            let at = repeated
                .map(Place::Operand)
                .or_else(|| free().map(Place::Slot))
                .unwrap_or_else(|| {
                    slots.push(ty.clone());
                    Place::Slot(slots.len() - 1)
                });
            taken.push(at);
        }
        places.push(taken);
    }
    (slots, places)
}

fn primal_branch(g: &Graph, n: usize, slots: &[Type], places: &[Place]) -> Result<Graph> {
    let mut b = Builder::new();
    let xs = b.inputs(g.input_types());
    let ys = b.inline(g, &xs);
    let mut outs = ys[..n].to_vec();
    for (i, ty) in slots.iter().enumerate() {
        let mine = places.iter().position(|&p| p == Place::Slot(i));
        outs.push(mine.map_or_else(|| b.zeros(ty.clone()), |k| ys[n + k]));
    }
    b.finish(&outs)
}

/// `(slots.., the operands that are read.., tangents..) -> tangents..`
fn linear_branch(
    part: &Linearized,
    slots: &[Type],
    read: &[usize],
    places: &[Place],
) -> Result<Graph> {
    let mut b = Builder::new();
    let slots = b.inputs(slots);
    let mut operands: Vec<Option<Value>> = vec![None; part.primal.input_types().len()];
    read.iter().for_each(|&i| operands[i] = Some(b.input(part.primal.input_types()[i].clone())));
    let tangents = b.inputs(&part.linear.input_types()[part.residuals..]);
    let value = |p: &Place| match *p {
        Place::Operand(i) => operands[i],
        Place::Slot(i) => Some(slots[i]),
    };
    let args: Vec<Value> = places.iter().filter_map(value).chain(tangents).collect();
    let ys = b.inline(&part.linear, &args);
    b.finish(&ys)
}

impl Primitive for Cond {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let (Some(index), Some(first)) = (xs.first(), self.branches.first()) else {
            return refuse(Self::NAME, "it takes an index, and has at least one branch");
        };
        if *index != Type::scalar(DType::I32) {
            return refuse(Self::NAME, format!("the index is an i32 scalar, not {index}"));
        }
        let outs = first.output_types();
        for (i, g) in self.branches.iter().enumerate() {
            accepts(Self::NAME, &format!("branch {i}"), g, &xs[1..])?;
            if g.output_types() != outs {
                let (a, b) = (list(&outs), list(&g.output_types()));
                return refuse(
                    Self::NAME,
                    format!(
                        "all branches must give the same types; branch 0 gives ({a}), branch {i} gives ({b})"
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
        let turned = self
            .branches
            .iter()
            .map(|g| Ok(transform::transpose_graph(g, &linear[1..], &given, true)?.0))
            .collect::<Result<Vec<_>>>();
        let turned = match turned {
            Ok(graphs) => of(graphs),
            Err(e) => {
                b.fail(e);
                return Transposed::Cotangents(vec![None; at.xs.len()]);
            }
        };
        let nonlinear: Vec<bool> = linear.iter().map(|l| !l).collect();
        let mut args = select(at.xs, &nonlinear);
        args.extend(cts.iter().flatten());
        let n = turned.outputs();
        let answers = b.emit_n(turned, &args, n);
        Transposed::Cotangents(spread_marked(linear, &answers))
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
        let (graphs, outs) = self
            .agreed(self.outputs(), |g, force| transform::batch_graph(g, axis, &batched, force))?;
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

/// Of `(x, y)`: `(sin(x) y, x)`, of integers `(x y, x)`; `(x + y, x)`; and `(x x, x)`.
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

impl Cond {
    /// Members disagree on the branch: all branches run for all members, and each member takes the
    /// results of its own.
    fn batch_all(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let index = b.batched_at_front(xs[0], dims[0], axis.size);
        let last = self.branches.len() - 1;
        let mut chosen: Option<Values> = None;
        for (i, g) in self.branches.iter().enumerate() {
            let (ys, at) = transform::vmap_into(b, g, axis, &xs[1..], &dims[1..])?;
            let ys: Values =
                ys.iter().zip(at).map(|(&y, d)| b.batched_at_front(y, d, axis.size)).collect();
            let Some(before) = chosen.take() else {
                chosen = Some(ys);
                continue;
            };
            // Indices beyond the last branch mean the last, below the first the first.
            let here = b.full_like(index, i as f64);
            let mine =
                b.compare(if i == last { Direction::Ge } else { Direction::Eq }, index, here);
            let pick = |b: &mut Builder, y: Value, z: Value| {
                let shape = b.ty(y).shape.clone();
                let mine = b.broadcast(mine, shape, &[0]);
                b.select(mine, y, z)
            };
            chosen = Some(ys.iter().zip(before).map(|(&y, z)| pick(b, y, z)).collect());
        }
        Ok(at_front(chosen.unwrap_or_default()))
    }
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
            return self.jvp_parted(b, xs, dxs);
        }
        let n = self.outputs();
        let active: Vec<bool> = dxs[1..].iter().map(Option::is_some).collect();
        let (graphs, outs) = self.agreed(n, |g, force| {
            let d = transform::jvp_instantiated(g, &active, force, false)?;
            Ok((d.graph, d.outputs))
        })?;
        let args: Vec<Value> = xs.iter().copied().chain(dxs.iter().flatten().copied()).collect();
        let ys = b.emit_n(of(graphs), &args, n + marked(&outs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&outs, &ys[n..])))
    }

    fn dce(&self, live: &[bool]) -> Option<Pruned> {
        let used = self.branches.iter().map(|g| g.pruned(live).1).reduce(|a, b| either(&a, &b))?;
        if !live.contains(&false) && !used.contains(&false) {
            return None;
        }
        let branches = self.branches.iter().map(|g| g.restricted(live, &used)).collect();
        let inputs = std::iter::once(true).chain(used.iter().copied()).collect();
        Some(Pruned { op: of(branches).into(), inputs, outputs: live.to_vec() })
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}
