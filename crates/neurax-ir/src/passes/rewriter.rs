//! The walk that passes share: a graph written anew, equation by equation, while looking back at what is written already.

use crate::op::{Broadcast, Constant};
use crate::{Builder, DType, Eqn, Graph, Literal, Op, Result, Type, Value, Values};

/// A graph being written. It knows which equation made each value.
#[derive(Default)]
pub(super) struct Rewriter {
    b: Builder,
    maker: Vec<Option<usize>>,
    seen: usize,
}

/// What becomes of one equation, whose operands are values of the new graph: the values that stand for its results.
pub(super) type Each = fn(&mut Rewriter, Eqn) -> Result<Values>;

impl Rewriter {
    /// Writes `graph` anew.
    pub fn rewrite(graph: &Graph, each: Each) -> Result<Graph> {
        let mut w = Rewriter::default();
        let args = w.b.inputs(graph.input_types());
        let outputs = w.walk(graph, &args, each)?;
        w.b.finish(&outputs)
    }

    /// Writes the equations of `graph` with `args` for its inputs; answers with its outputs.
    pub fn walk(&mut self, graph: &Graph, args: &[Value], each: Each) -> Result<Vec<Value>> {
        let mut env = args.to_vec();
        for e in graph.eqns() {
            let mut e = e.clone();
            e.inputs.iter_mut().for_each(|v| *v = env[v.index()]);
            self.b.set_origin(e.at.clone());
            self.look();
            env.extend(each(self, e)?);
        }
        Ok(graph.outputs().iter().map(|v| env[v.index()]).collect())
    }

    /// The builder.
    pub fn builder(&mut self) -> &mut Builder {
        &mut self.b
    }

    /// Adds an equation as it is.
    pub fn keep(&mut self, e: Eqn) -> Result<Values> {
        self.b.try_emit(e.op, &e.inputs)
    }

    /// Adds a value: equal elements as one scalar, broadcast.
    pub fn literal(&mut self, x: Literal) -> Value {
        match uniform(&x) {
            Some(scalar) if x.ty().rank() > 0 => self.splat_of(scalar, x.ty().clone()),
            _ => self.b.constant(x),
        }
    }

    /// Adds a scalar, repeated.
    pub fn splat_of(&mut self, scalar: Literal, ty: Type) -> Value {
        let s = self.b.constant(scalar);
        if ty.rank() == 0 { s } else { self.b.emit(Broadcast { shape: ty.shape, dims: vec![] }, &[s]) }
    }

    /// The type of a value.
    pub fn ty(&self, v: Value) -> &Type {
        self.b.ty(v)
    }

    /// The dtype of a value.
    pub fn dtype(&self, v: Value) -> DType {
        self.b.dtype(v)
    }

    /// The types of values.
    pub fn types_of(&self, vs: &[Value]) -> Vec<Type> {
        self.b.types_of(vs)
    }

    /// The equation that made a value; `None` for arguments.
    pub fn maker(&self, v: Value) -> Option<&Eqn> {
        let i = self.maker.get(v.index()).copied().flatten()?;
        self.b.eqns().get(i)
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
        for (i, e) in self.b.eqns().iter().enumerate().skip(self.seen) {
            let end = e.outputs.iter().map(|v| v.index() + 1).max().unwrap_or(0);
            self.maker.resize(self.maker.len().max(end), None);
            e.outputs.iter().for_each(|v| self.maker[v.index()] = Some(i));
        }
        self.seen = self.b.eqns().len();
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
