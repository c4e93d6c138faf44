//! The solution of a linear system by a user's method, recorded by `custom_linear_solve`.
//!
//! The op holds the linear map, a graph that inverts it and one that inverts its transpose. Its
//! derivative is that of the equation `a(p) · x = b`, not of the method:
//!
//! ```text
//! a · dx + da · x = db        so        dx = a⁻¹ · (db - da · x)
//! ```
//!
//! which is the same op with another right side; the transpose of the map from `b` to `x` is the op
//! of the transposed map. So derivatives of every order and mode run the user's method, which may
//! contain loops that have no derivative. This is JAX's `custom_linear_solve`.

use super::{Composite, CustomFunction, Derivative, Named};
use crate::graph::attr::attrs;
use crate::op::{Axis, Batched, Bound, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Error, Graph, Result, Type, Value, Values, transform};
use std::sync::Arc;

attrs! {
    /// The `x` of `matvec(captures.., x..) = b..`; operands `(captures.., b..)`. The results have
    /// the types of `b..`, which are floats or complex numbers.
    pub struct LinearSolve = "linear_solve" {
        /// The number of leading operands on which the linear map depends.
        captures: usize,
        /// The map: `(captures.., x..) -> b..`, linear in `x..`
        matvec: Arc<Graph>,
        /// Its inverse: `(captures.., b..) -> x..`
        solve: Arc<Graph>,
        /// The inverse of its transpose, of the same types; without it, reverse mode is an error.
        transpose_solve: Option<Arc<Graph>>,
    }
}

impl LinearSolve {
    pub(crate) fn graphs(&self) -> Vec<Arc<Graph>> {
        [&self.matvec, &self.solve].into_iter().chain(&self.transpose_solve).cloned().collect()
    }

    pub(super) fn map_graphs(
        &self,
        f: &mut dyn FnMut(&Graph) -> Result<Graph>,
    ) -> Result<LinearSolve> {
        // In the order of `graphs`.
        Ok(LinearSolve {
            captures: self.captures,
            matvec: Arc::new(f(&self.matvec)?),
            solve: Arc::new(f(&self.solve)?),
            transpose_solve: self
                .transpose_solve
                .as_ref()
                .map(|g| f(g).map(Arc::new))
                .transpose()?,
        })
    }

    /// Returns the function that the op computes, without its derivatives.
    ///
    /// # Errors
    /// If `f`, which is applied to the graph of the function, fails.
    pub(crate) fn function(&self, f: impl FnOnce(&Graph) -> Result<Graph>) -> Result<Composite> {
        Ok(Composite::from(CustomFunction {
            callee: Self::NAME.into(),
            captures: self.captures,
            body: Arc::new(f(&self.solve)?),
            jvp: None,
            tangent: None,
            forward: None,
            backward: None,
        }))
    }

    pub(super) fn jvp(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)> {
        let (captures, right) = xs.split_at(self.captures);
        let (dcaptures, dright) = dxs.split_at(self.captures);
        let ys = b.emit_n(Composite::from(self.clone()), xs, right.len());
        let mut moved: Vec<Tangent> = vec![None; right.len()];
        if dcaptures.iter().any(Option::is_some) {
            let point = [captures, &ys].concat();
            let directions = [dcaptures, &moved].concat();
            moved = transform::jvp_into(b, &self.matvec, &point, &directions, for_reverse)?.1;
        }
        if dright.iter().chain(&moved).all(Option::is_none) {
            return Ok((ys, vec![None; right.len()]));
        }
        let mut operands = captures.to_vec();
        for ((&x, &db), da) in right.iter().zip(dright).zip(moved) {
            let da = da.map(|da| b.neg(da));
            let sum = b.add_tangents(db, da);
            operands.push(b.tangent_or_zero(sum, x));
        }
        let dys = b.emit_n(Composite::from(self.clone()), &operands, right.len());
        Ok((ys, dys.into_iter().map(Some).collect()))
    }

    /// Emits the cotangents of the right side: the solution of the transposed system.
    pub(super) fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if linear[..self.captures].contains(&true) {
            return Transposed::NotLinear;
        }
        let swapped = match self.transposed() {
            Ok(swapped) => swapped,
            Err(e) => {
                b.fail(e);
                return Transposed::NotLinear;
            }
        };
        let (captures, right) = at.xs.split_at(self.captures);
        let mut operands = captures.to_vec();
        for (&ct, &x) in cts.iter().zip(right) {
            operands.push(b.tangent_or_zero(ct, x));
        }
        let solved = b.emit_n(Composite::from(swapped), &operands, right.len());
        let none = std::iter::repeat_n(None, self.captures);
        Transposed::Cotangents(none.chain(solved.into_iter().map(Some)).collect())
    }

    /// Returns the op of the transposed map.
    ///
    /// # Errors
    /// If it has no inverse of the transpose, or the map is not linear.
    fn transposed(&self) -> Result<LinearSolve> {
        let Some(solve) = &self.transpose_solve else {
            let why = "it has no solution of the transposed system, so no reverse mode; give one \
                       to custom_linear_solve, or differentiate in forward mode";
            return Err(Error::new(Self::NAME, why));
        };
        let inputs = self.matvec.input_types().len();
        let linear: Vec<bool> = (0..inputs).map(|i| i >= self.captures).collect();
        Ok(LinearSolve {
            captures: self.captures,
            matvec: Arc::new(transform::transpose(&self.matvec, &linear)?),
            solve: solve.clone(),
            transpose_solve: Some(self.solve.clone()),
        })
    }

    /// Applies `vmap`: batches the map and its inverses, each with a batch axis at the front of all
    /// operands.
    pub(super) fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let moved = batch_front(b, axis, xs, dims);
        let batched = self.map_graphs(&mut |g| transform::vmap_all(g, axis))?;
        let count = xs.len() - self.captures;
        Ok(at_front(b.emit_n(Composite::from(batched), &moved, count)))
    }
}

impl Named for LinearSolve {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let Some((_, right)) = xs.split_at_checked(self.captures) else {
            let why = format!("expected {} captures, got ({})", self.captures, list_types(xs));
            return refuse(Self::NAME, why);
        };
        if let Some(t) = right.iter().find(|t| !t.dtype.is_differentiable()) {
            return refuse(Self::NAME, format!("expected a right side of floats, got {t}"));
        }
        for (what, g) in ["matvec", "solve", "transpose_solve"].into_iter().zip(self.graphs()) {
            if g.input_types() != xs || g.output_types() != right {
                let (ins, outs) = (list_types(g.input_types()), list_types(&g.output_types()));
                let why = format!(
                    "expected {what} from ({}) to ({}), got ({ins}) to ({outs})",
                    list_types(xs),
                    list_types(right)
                );
                return refuse(Self::NAME, why);
            }
        }
        Ok(right.to_vec())
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        b.inline(&self.solve, xs).into()
    }

    // Not called: `Composite::jvp_region` calls `LinearSolve::jvp`, which knows the mode.
    fn derivative(&self, _: &mut Builder, _: &Bound, _: &[Tangent]) -> Derivative {
        None
    }

    // Not called: `Composite::batch` calls `LinearSolve::batch`.
    fn batched(&self, _: &[usize]) -> Option<Composite> {
        None
    }

    fn samples() -> Vec<Sample> {
        let row = |dtype: DType, shape: &[usize], reverse: bool| {
            let ty = Type::new(dtype, shape);
            let divide = graph(&ty, |b, p, x| b.div(x, p));
            let op = LinearSolve {
                captures: 1,
                matvec: graph(&ty, |b, p, x| b.mul(p, x))?,
                solve: divide.clone()?,
                transpose_solve: if reverse { divide } else { None },
            };
            let inputs = vec![sample(ty.clone(), 0.5, 2.0), sample(ty, -1.0, 1.0)];
            Some(Sample { op: op.into(), inputs, smooth: dtype.real() == DType::F64 })
        };
        let floats = DType::ALL.into_iter().filter(|d| d.is_differentiable());
        let rows = floats.map(|d| row(d, &[3], true));
        rows.chain([row(DType::F64, &[0], true), row(DType::F64, &[2, 2], true)])
            .flatten()
            .collect()
    }
}

/// Returns the graph of a function of two operands of type `ty`.
fn graph(ty: &Type, f: impl Fn(&mut Builder, Value, Value) -> Value) -> Option<Arc<Graph>> {
    let mut b = Builder::new();
    let (p, x) = (b.input(ty.clone()), b.input(ty.clone()));
    let y = f(&mut b, p, x);
    b.finish(&[y]).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a graph of one solution of `p x = b` of scalars.
    fn program(reverse: bool) -> Graph {
        let ty = Type::scalar(DType::F64);
        let divide = graph(&ty, |b, p, x| b.div(x, p)).unwrap();
        let op = LinearSolve {
            captures: 1,
            matvec: graph(&ty, |b, p, x| b.mul(p, x)).unwrap(),
            solve: divide.clone(),
            transpose_solve: reverse.then_some(divide),
        };
        let mut b = Builder::new();
        let xs = b.inputs(&[ty.clone(), ty]);
        let y = b.emit(Composite::from(op), &xs);
        b.finish(&[y]).unwrap()
    }

    #[test]
    fn derivatives_keep_the_method() {
        let count = |g: &Graph| g.eqns().iter().filter(|e| e.op.name() == "linear_solve").count();
        let d = transform::jvp(&program(true), &[true, true]).unwrap().graph;
        assert_eq!(count(&d), 2);
        let v = transform::vjp(&program(true), &[true, true]).unwrap();
        assert_eq!((count(&v.primal), count(&v.backward)), (1, 1));
    }

    #[test]
    fn reverse_mode_needs_the_transposed_solution() {
        assert!(transform::jvp(&program(false), &[true, true]).is_ok());
        let e = transform::vjp(&program(false), &[true, true]).unwrap_err().to_string();
        assert!(e.contains("no solution of the transposed system"), "{e}");
    }

    #[test]
    fn graphs_are_checked() {
        let ty = Type::new(DType::F64, [2]);
        let op = LinearSolve {
            captures: 1,
            matvec: graph(&ty, |b, p, x| b.mul(p, x)).unwrap(),
            solve: graph(&ty, |b, _, x| b.sum(x, &[0])).unwrap(),
            transpose_solve: None,
        };
        let e = Named::infer(&op, &[ty.clone(), ty.clone()]).unwrap_err().to_string();
        assert!(e.contains("expected solve from (f64[2], f64[2]) to (f64[2]), got"), "{e}");
        let e = Named::infer(&LinearSolve { captures: 3, ..op }, &[ty]).unwrap_err().to_string();
        assert!(e.contains("expected 3 captures"), "{e}");
    }
}
