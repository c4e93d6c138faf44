//! The rewriter that the passes share: visits the equations of a graph in order and builds the new
//! graph, in which a rule can look up the producer of each operand.
//!
//! A rule sees an equation whose operands are values of the new graph and returns the values that
//! replace its results, or `None` to keep it. Until the first change nothing is copied: the new
//! graph is a prefix of the source. Most passes of a later round change nothing and therefore
//! allocate no graph.

use crate::graph::record_producers;
use crate::op::{Broadcast, Constant};
use crate::visits::visit;
use crate::{Builder, DType, Eqn, Graph, Literal, Op, OrBug, Result, Type, Value, Values};

/// A graph under construction. Without changes so far, it is a prefix of the source.
pub(super) struct Rewriter<'g> {
    source: &'g Graph,
    /// The number of equations of the source that were kept before the first change.
    unchanged: usize,
    /// The new graph; `None` before the first change.
    b: Option<Builder>,
    /// For each value of the new graph, the equation that produces it.
    producers: Vec<Option<usize>>,
    /// The number of equations whose results are in `producers`.
    synced: usize,
}

/// A rule for one equation, whose operands are values of the new graph. Returns the values that
/// replace its results, or `None` to keep it.
pub(super) type EqnRule = fn(&mut Rewriter, &Eqn) -> Result<Option<Values>>;

/// A pass: returns the new graph, or `None` if it changes nothing.
pub(super) type Pass = fn(&Graph) -> Result<Option<Graph>>;

/// Applies a pass to `graph`; returns a copy of `graph` if the pass changes nothing.
pub(super) fn apply(pass: Pass, graph: &Graph) -> Result<Graph> {
    Ok(pass(graph)?.unwrap_or_else(|| graph.clone()))
}

/// Applies a pass to the graphs of an op, once to each; `None` if none of them changes.
pub(super) fn apply_inside(op: &Op, pass: Pass) -> Result<Option<Op>> {
    let Some(region) = op.region() else { return Ok(None) };
    let changed = region.graphs().iter().map(|g| pass(g)).collect::<Result<Vec<_>>>()?;
    if changed.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut changed = changed.into_iter();
    let mut next = |g: &Graph| {
        let new = changed.next().or_bug("an op holds more graphs than it lists")?;
        Ok(new.unwrap_or_else(|| g.clone()))
    };
    region.map_graphs(&mut next).map(Some)
}

impl<'g> Rewriter<'g> {
    /// Applies `rule` to each equation of `graph`; `None` if nothing changes.
    pub fn rewrite(graph: &'g Graph, rule: EqnRule) -> Result<Option<Graph>> {
        let mut w = Rewriter { source: graph, unchanged: 0, b: None, producers: vec![], synced: 0 };
        let mut env: Vec<Value> = graph.inputs().collect();
        for e in graph.eqns() {
            visit();
            if w.b.is_some() {
                w.rewrite_eqn(graph, e, &mut env, rule)?;
                continue;
            }
            w.sync_producers();
            match rule(&mut w, e)? {
                Some(ys) => {
                    w.builder();
                    env.extend(ys);
                }
                None if w.b.is_some() => env.extend(w.keep(graph, e.clone())),
                None => {
                    w.unchanged += 1;
                    env.extend(&e.outputs);
                }
            }
        }
        let Some(b) = w.b else { return Ok(None) };
        let outputs: Vec<Value> = graph.outputs().iter().map(|v| env[v.index()]).collect();
        let new = b.finish(&outputs)?;
        Ok((new != *graph).then_some(new))
    }

    /// Adds the equations of another graph, with `args` for its inputs and `rule` applied to each;
    /// returns its outputs.
    pub fn inline(&mut self, graph: &Graph, args: &[Value], rule: EqnRule) -> Result<Vec<Value>> {
        self.builder();
        let mut env = args.to_vec();
        for e in graph.eqns() {
            visit();
            self.rewrite_eqn(graph, e, &mut env, rule)?;
        }
        Ok(graph.outputs().iter().map(|v| env[v.index()]).collect())
    }

    /// Adds an equation of `graph`; `env` maps the values of `graph` to those of the new graph.
    fn rewrite_eqn(
        &mut self,
        graph: &Graph,
        e: &Eqn,
        env: &mut Vec<Value>,
        rule: EqnRule,
    ) -> Result<()> {
        let mut e = e.clone();
        e.inputs.iter_mut().for_each(|v| *v = env[v.index()]);
        self.builder().set_origin(e.at.clone());
        self.sync_producers();
        let ys = match rule(self, &e)? {
            Some(ys) => ys,
            None => self.keep(graph, e),
        };
        env.extend(ys);
        Ok(())
    }

    /// Returns the builder of the new graph, which contains the equations kept so far.
    pub fn builder(&mut self) -> &mut Builder {
        let (source, unchanged) = (self.source, self.unchanged);
        self.b.get_or_insert_with(|| {
            let mut b = Builder::with_prefix(source, unchanged);
            if let Some(e) = source.eqns().get(unchanged) {
                b.set_origin(e.at.clone());
            }
            b
        })
    }

    /// Adds an equation of `graph` unchanged; its result types are those in `graph`.
    fn keep(&mut self, graph: &Graph, e: Eqn) -> Values {
        let types = e.outputs.iter().map(|&v| graph.ty(v).clone()).collect();
        self.builder().emit_typed(e.op, e.inputs, types)
    }

    /// Adds an equation.
    pub fn emit(&mut self, op: Op, inputs: &[Value]) -> Result<Values> {
        self.builder().try_emit(op, inputs)
    }

    /// Returns the equations of the new graph so far.
    fn eqns(&self) -> &[Eqn] {
        match &self.b {
            Some(b) => b.eqns(),
            None => &self.source.eqns()[..self.unchanged],
        }
    }

    /// Adds a constant; if all elements are equal, as a scalar broadcast.
    pub fn literal(&mut self, x: Literal) -> Value {
        match uniform(&x) {
            Some(scalar) if x.ty().rank() > 0 => self.splat_of(scalar, x.ty().clone()),
            _ => self.builder().constant(x),
        }
    }

    /// Adds a scalar constant broadcast to `ty`.
    pub fn splat_of(&mut self, scalar: Literal, ty: Type) -> Value {
        let s = self.builder().constant(scalar);
        if ty.rank() == 0 {
            s
        } else {
            self.builder().emit(Broadcast { shape: ty.shape, dims: vec![] }, &[s])
        }
    }

    /// Returns the type of `v`.
    pub fn ty(&self, v: Value) -> &Type {
        self.b.as_ref().map_or_else(|| self.source.ty(v), |b| b.ty(v))
    }

    /// Returns the dtype of `v`.
    pub fn dtype(&self, v: Value) -> DType {
        self.ty(v).dtype
    }

    /// Returns the types of `vs`.
    pub fn types_of(&self, vs: &[Value]) -> Vec<Type> {
        vs.iter().map(|&v| self.ty(v).clone()).collect()
    }

    /// Returns the equation that produces `v`; `None` for inputs.
    pub fn producer(&self, v: Value) -> Option<&Eqn> {
        let i = self.producers.get(v.index()).copied().flatten()?;
        self.eqns().get(i)
    }

    /// Returns the scalar that all elements of `v` are known to equal.
    pub fn splat(&self, v: Value) -> Option<Literal> {
        let e = self.producer(v)?;
        match &e.op {
            Op::Constant(Constant { value }) => uniform(value),
            Op::Broadcast(_) => self.splat(*e.inputs.first()?),
            _ => None,
        }
    }

    /// Returns true if all elements of `v` are known to equal `x`, bit for bit.
    pub fn is_splat(&self, v: Value, x: f64) -> bool {
        self.splat(v).is_some_and(|s| s == Literal::scalar(self.dtype(v), x))
    }

    /// Records the producers of the values added since the last call.
    fn sync_producers(&mut self) {
        let eqns = match &self.b {
            Some(b) => b.eqns(),
            None => &self.source.eqns()[..self.unchanged],
        };
        record_producers(&mut self.producers, eqns, self.synced);
        self.synced = eqns.len();
    }
}

/// Returns the scalar that all elements equal, bit for bit.
pub(super) fn uniform(x: &Literal) -> Option<Literal> {
    let (ty, bytes) = (x.ty(), x.bytes());
    if ty.size() == 0 {
        return None;
    }
    let width = ty.dtype.bits() / 8;
    if width == 0 {
        let all = x.to_f64s();
        return all.iter().all(|e| *e == all[0]).then(|| Literal::scalar(ty.dtype, all[0]));
    }
    let first = bytes.get(..width)?;
    let same = bytes.chunks_exact(width).all(|e| e == first);
    same.then(|| Literal::new(Type::scalar(ty.dtype), crate::Bytes::copy_of(first)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_elements_are_found_by_their_bits() {
        for d in DType::ALL {
            let x = Literal::from_f64s(d, [5], &[1.0; 5]);
            assert_eq!(uniform(&x), Some(Literal::scalar(d, 1.0)), "{d}");
            assert_eq!(uniform(&Literal::from_f64s(d, [2], &[0.0, 1.0])), None, "{d}");
        }
        assert_eq!(uniform(&Literal::from_slice([2], &[0.0f32, -0.0]).unwrap()), None);
        assert!(uniform(&Literal::from_slice([2], &[f32::NAN; 2]).unwrap()).is_some());
        assert_eq!(uniform(&Literal::zeros(Type::new(DType::F32, [0]))), None);
    }
}
