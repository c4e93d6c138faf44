//! The walk that passes share: a graph written anew, equation by equation, while looking back at
//! what is written already.

use crate::op::{Broadcast, Constant};
use crate::{Builder, DType, Eqn, Graph, Literal, Op, Result, Type, Value, Values};

/// A graph being written. It knows which equation made each value. As long as all equations stay,
/// it is the source itself.
pub(super) struct Rewriter<'g> {
    source: &'g Graph,
    /// How many equations of the source stayed before anything was changed.
    same: usize,
    /// What is written, as soon as anything is changed.
    b: Option<Builder>,
    maker: Vec<Option<usize>>,
    seen: usize,
}

/// What becomes of one equation, whose operands are values of the new graph: the values that stand
/// for its results; `None` if it stays.
pub(super) type Each = fn(&mut Rewriter, &Eqn) -> Result<Option<Values>>;

/// A pass: the new graph, or `None` if nothing changes.
pub(super) type Pass = fn(&Graph) -> Result<Option<Graph>>;

/// An op with its graphs changed by a pass; `None` if they stay.
pub(super) fn inside(op: &Op, pass: Pass) -> Result<Option<Op>> {
    let Some(region) = op.region() else { return Ok(None) };
    let changes =
        region.graphs().iter().map(|g| Ok(pass(g)?.is_some())).collect::<Result<Vec<bool>>>()?;
    if !changes.contains(&true) {
        return Ok(None);
    }
    region.map_graphs(&mut |g| Ok(pass(g)?.unwrap_or_else(|| g.clone()))).map(Some)
}

impl<'g> Rewriter<'g> {
    /// Writes `graph` anew; `None` if nothing changes.
    pub fn rewrite(graph: &'g Graph, each: Each) -> Result<Option<Graph>> {
        let mut w = Rewriter { source: graph, same: 0, b: None, maker: vec![], seen: 0 };
        let mut env: Vec<Value> = graph.inputs().collect();
        for e in graph.eqns() {
            if w.b.is_some() {
                w.equation(graph, e, &mut env, each)?;
                continue;
            }
            w.look();
            match each(&mut w, e)? {
                Some(ys) => {
                    w.builder();
                    env.extend(ys);
                }
                None if w.b.is_some() => env.extend(w.stay(graph, e.clone())),
                None => {
                    w.same += 1;
                    env.extend(&e.outputs);
                }
            }
        }
        let Some(b) = w.b else { return Ok(None) };
        let outputs: Vec<Value> = graph.outputs().iter().map(|v| env[v.index()]).collect();
        let new = b.finish(&outputs)?;
        Ok((new != *graph).then_some(new))
    }

    /// Writes the equations of another graph with `args` for its inputs; answers with its outputs.
    pub fn walk(&mut self, graph: &Graph, args: &[Value], each: Each) -> Result<Vec<Value>> {
        self.builder();
        let mut env = args.to_vec();
        for e in graph.eqns() {
            self.equation(graph, e, &mut env, each)?;
        }
        Ok(graph.outputs().iter().map(|v| env[v.index()]).collect())
    }

    /// Writes an equation of a graph whose values so far are those of `env`.
    fn equation(&mut self, graph: &Graph, e: &Eqn, env: &mut Vec<Value>, each: Each) -> Result<()> {
        let mut e = e.clone();
        e.inputs.iter_mut().for_each(|v| *v = env[v.index()]);
        self.builder().set_origin(e.at.clone());
        self.look();
        let ys = match each(self, &e)? {
            Some(ys) => ys,
            None => self.stay(graph, e),
        };
        env.extend(ys);
        Ok(())
    }

    /// The builder. What stayed so far is in it.
    pub fn builder(&mut self) -> &mut Builder {
        let (source, same) = (self.source, self.same);
        self.b.get_or_insert_with(|| {
            let mut b = Builder::with_prefix(source, same);
            source.eqns().get(same).into_iter().for_each(|e| b.set_origin(e.at.clone()));
            b
        })
    }

    /// Adds an equation of a graph, whose results have the types that they have there.
    fn stay(&mut self, graph: &Graph, e: Eqn) -> Values {
        let types = e.outputs.iter().map(|&v| graph.ty(v).clone()).collect();
        self.builder().emit_typed(e.op, e.inputs, types)
    }

    /// Adds an equation.
    pub fn emit(&mut self, op: Op, inputs: &[Value]) -> Result<Values> {
        self.builder().try_emit(op, inputs)
    }

    /// The equations so far.
    fn eqns(&self) -> &[Eqn] {
        match &self.b {
            Some(b) => b.eqns(),
            None => &self.source.eqns()[..self.same],
        }
    }

    /// Adds a value: equal elements as one scalar, broadcast.
    pub fn literal(&mut self, x: Literal) -> Value {
        match uniform(&x) {
            Some(scalar) if x.ty().rank() > 0 => self.splat_of(scalar, x.ty().clone()),
            _ => self.builder().constant(x),
        }
    }

    /// Adds a scalar, repeated.
    pub fn splat_of(&mut self, scalar: Literal, ty: Type) -> Value {
        let s = self.builder().constant(scalar);
        if ty.rank() == 0 {
            s
        } else {
            self.builder().emit(Broadcast { shape: ty.shape, dims: vec![] }, &[s])
        }
    }

    /// The type of a value.
    pub fn ty(&self, v: Value) -> &Type {
        self.b.as_ref().map_or_else(|| self.source.ty(v), |b| b.ty(v))
    }

    /// The dtype of a value.
    pub fn dtype(&self, v: Value) -> DType {
        self.ty(v).dtype
    }

    /// The types of values.
    pub fn types_of(&self, vs: &[Value]) -> Vec<Type> {
        vs.iter().map(|&v| self.ty(v).clone()).collect()
    }

    /// The equation that made a value; `None` for arguments.
    pub fn maker(&self, v: Value) -> Option<&Eqn> {
        let i = self.maker.get(v.index()).copied().flatten()?;
        self.eqns().get(i)
    }

    /// The scalar that every element of `v` is known to be.
    pub fn splat(&self, v: Value) -> Option<Literal> {
        let e = self.maker(v)?;
        match &e.op {
            Op::Constant(Constant { value }) => uniform(value),
            Op::Broadcast(_) => self.splat(*e.inputs.first()?),
            _ => None,
        }
    }

    /// Are all elements of `v` known to be `x`, bit for bit?
    pub fn is_splat(&self, v: Value, x: f64) -> bool {
        self.splat(v).is_some_and(|s| s == Literal::scalar(self.dtype(v), x))
    }

    /// Takes notice of the equations added since the last look.
    fn look(&mut self) {
        let eqns = match &self.b {
            Some(b) => b.eqns(),
            None => &self.source.eqns()[..self.same],
        };
        for (i, e) in eqns.iter().enumerate().skip(self.seen) {
            let end = e.outputs.iter().map(|v| v.index() + 1).max().unwrap_or(0);
            self.maker.resize(self.maker.len().max(end), None);
            e.outputs.iter().for_each(|v| self.maker[v.index()] = Some(i));
        }
        self.seen = eqns.len();
    }
}

/// The scalar that all elements are, by their bits.
fn uniform(x: &Literal) -> Option<Literal> {
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
