//! `custom_call`: ops that a user of the crate defines.
//!
//! The op table is a closed enum, which is what lets passes and backends match on ops. [`Custom`]
//! is the one variant that is open: it holds a [`CustomOp`], which has the rules of [`Primitive`]
//! but those that only the table needs. Such an op works under every transform; all backends run
//! its `eval` on the host.
//!
//! Other code relies on the contract of `Primitive` without checking it, as the laws of the testkit
//! hold for the ops of this crate. They do not run on a custom op, so [`Custom`] checks the
//! results:
//!
//! - `eval` returns values of the types that `infer` announced;
//! - `jvp` and `transpose` return a tangent or cotangent of the type of each value, or none;
//! - `batch` returns results that have the new axis where it says.
//!
//! An op that breaks one gets an error in its own name, "this custom op breaks its contract: ..",
//! instead of a wrong number elsewhere.
//!
//! Ops are compared, hashed and printed by their name and the text of their parameters, since a
//! trait object has no other identity. Two ops that agree in both must do the same, or the cache of
//! compiled graphs confuses them. A graph with one is parsed by a [`Parser`] that has been told how
//! to create it.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Text, Transposed, rules::*};
use crate::{
    Builder, Error, Eval, Literal, Result, Type, Value,
    graph::{Parser, Printer},
};
use std::{
    fmt::Debug,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// An op that a user of this crate defines. It is identified by its name and the text of its
/// parameters: two ops that agree in both are equal. Backends run `eval` on the host.
pub trait CustomOp: Debug + Send + Sync {
    /// Returns the name, which must be unique in the program.
    fn name(&self) -> &str;
    /// Returns the parameters as text.
    fn params(&self) -> String;
    /// Returns true if evaluating the op does more than return its results: it prints, or calls
    /// the user's code. Passes and backends keep an op with effects even if nothing reads its
    /// results, evaluate it once, and keep its order among the others.
    fn has_effects(&self) -> bool;
    /// Returns the types of the results: [`super::Primitive::infer`].
    ///
    /// # Errors
    /// If the op does not admit the operands.
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>>;
    /// Evaluates the op: [`super::Primitive::eval`].
    ///
    /// # Errors
    /// If these operands have no result.
    fn eval(&self, xs: Vec<Literal>) -> Result<Vec<Literal>>;
    /// Emits the tangents of the results: [`super::Primitive::jvp`].
    ///
    /// # Errors
    /// If the op has no derivative.
    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>>;
    /// Emits the cotangents of the linear operands: [`super::Primitive::transpose`].
    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed;
    /// Emits the op over a new axis: [`super::Primitive::batch`].
    ///
    /// # Errors
    /// If the op cannot be batched.
    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched>;
}

/// A [`CustomOp`] in a graph. StableHLO's `custom_call`:
/// <https://openxla.org/stablehlo/spec#custom_call>
#[derive(Clone, Debug)]
pub struct Custom(pub Arc<dyn CustomOp>);

impl Custom {
    /// The mnemonic.
    pub const NAME: &'static str = "custom_call";
}

impl PartialEq for Custom {
    fn eq(&self, o: &Custom) -> bool {
        self.0.name() == o.0.name() && self.0.params() == o.0.params()
    }
}

impl Eq for Custom {}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, h: &mut H) {
        self.0.name().hash(h);
        self.0.params().hash(h);
    }
}

impl Text for Custom {
    fn print_attrs(&self, p: &mut Printer) {
        p.attr("target", &Arc::<str>::from(self.0.name()));
        p.attr("params", &Arc::<str>::from(self.0.params()));
    }
    fn parse_attrs(name: &str, p: &mut Parser) -> Option<Result<Self>> {
        (name == Self::NAME).then(|| {
            let (target, params): (Arc<str>, Arc<str>) = (p.attr("target")?, p.attr("params")?);
            p.custom(&target, &params).map(Custom)
        })
    }
}

/// Every method delegates to the custom op and checks the result, because callers rely on the
/// contract of [`Primitive`] without checking it.
impl Primitive for Custom {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.0.infer(xs)
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types: Vec<Type> = xs.iter().map(|x| x.ty().clone()).collect();
        let want = self.0.infer(&types)?;
        let ys = self.0.eval(xs)?;
        let have: Vec<Type> = ys.iter().map(|y| y.ty().clone()).collect();
        if have == want {
            Ok(ys)
        } else {
            let (have, want) = (list_types(&have), list_types(&want));
            Err(self.broken(format!("eval returned ({have}), infer announced ({want})")))
        }
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let dys = self.0.jvp(b, at, dxs)?;
        b.check()?;
        self.check_types(b, "jvp", at.ys, &dys)?;
        Ok(dys)
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let transposed = self.0.transpose(b, at, linear, cts);
        if b.error().is_none()
            && let Transposed::Cotangents(cotangents) = &transposed
            && let Err(e) = self.check_types(b, "transpose", at.xs, cotangents)
        {
            b.fail(e);
            return Transposed::Cotangents(vec![None; at.xs.len()]);
        }
        transposed
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let (ys, positions) = self.0.batch(b, axis, xs, dims)?;
        b.check()?;
        let has_axis = |(&y, &d): (&Value, &Option<usize>)| {
            d.is_none_or(|d| b.ty(y).shape.get(d) == Some(&axis.size))
        };
        if ys.len() == positions.len() && ys.iter().zip(&positions).all(has_axis) {
            return Ok((ys, positions));
        }
        Err(self.broken(format!(
            "batch returned ({}) with the new axis of size {} at {positions:?}",
            list_types(&b.types_of(&ys)),
            axis.size
        )))
    }

    /// Returns no rows, as this crate defines no custom op.
    fn samples() -> Vec<Sample> {
        vec![]
    }
}

impl Custom {
    /// Returns the error of a custom op that breaks its contract.
    fn broken(&self, why: String) -> Error {
        Error::new(self.0.name(), format!("this custom op breaks its contract: {why}"))
    }

    /// Checks that `method` returned, for each value of `of`, `None` or a value of its type.
    fn check_types(
        &self,
        b: &Builder,
        method: &str,
        of: &[Value],
        returned: &[Option<Value>],
    ) -> Result<()> {
        let same = |(&x, y): (&Value, &Option<Value>)| y.is_none_or(|y| b.ty(y) == b.ty(x));
        if returned.len() == of.len() && of.iter().zip(returned).all(same) {
            return Ok(());
        }
        let types: Vec<String> =
            returned.iter().map(|y| y.map_or("none".into(), |y| b.ty(y).to_string())).collect();
        Err(self.broken(format!(
            "{method} returned ({}) for ({})",
            types.join(", "),
            list_types(&b.types_of(of))
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{ReduceKind, Transpose};
    use crate::{DType, Op, Values, transform};

    /// An op that doubles its operand; if `broken`, its methods return nothing.
    #[derive(Debug)]
    struct Twice {
        broken: bool,
    }

    impl CustomOp for Twice {
        fn name(&self) -> &str {
            "twice"
        }
        fn params(&self) -> String {
            format!("broken={}", self.broken)
        }
        fn has_effects(&self) -> bool {
            false
        }
        fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
            arity("twice", xs, 1)?;
            Ok(xs.to_vec())
        }
        fn eval(&self, xs: Vec<Literal>) -> Result<Vec<Literal>> {
            let twice = |x: Literal| {
                Literal::from_f64s(
                    x.dtype(),
                    x.shape(),
                    &x.to_f64s().iter().map(|v| 2.0 * v).collect::<Vec<_>>(),
                )
            };
            Ok(if self.broken { vec![] } else { xs.into_iter().map(twice).collect() })
        }
        fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
            let again = |dx| b.emit(Custom(Arc::new(Twice { broken: false })), &[dx]);
            Ok(if self.broken { vec![] } else { vec![dxs[0].map(again)] })
        }
        fn transpose(
            &self,
            b: &mut Builder,
            _: &Bound,
            _: &[bool],
            cts: &[Option<Value>],
        ) -> Transposed {
            let again = |ct| b.emit(Custom(Arc::new(Twice { broken: false })), &[ct]);
            Transposed::Cotangents(if self.broken { vec![] } else { vec![cts[0].map(again)] })
        }
        fn batch(
            &self,
            _: &mut Builder,
            _: &Axis,
            xs: &[Value],
            dims: &[Option<usize>],
        ) -> Result<Batched> {
            Ok((xs.into(), if self.broken { vec![] } else { dims.to_vec() }))
        }
    }

    #[test]
    fn methods_delegate_to_the_custom_op() {
        let mut b = Builder::new();
        let x = b.input(Type::scalar(DType::F32));
        let y = b.emit(Custom(Arc::new(Twice { broken: false })), &[x]);
        let g = b.finish(&[y]).unwrap();
        let three = Literal::scalar(DType::F32, 3.0);
        assert_eq!(transform::eval(&g, vec![three.clone()]).unwrap()[0].to_f64s(), [6.0]);
        let d = transform::jvp(&g, &[true]).unwrap().graph;
        assert_eq!(transform::eval(&d, vec![three.clone(), three]).unwrap()[1].to_f64s(), [6.0]);
    }

    #[test]
    fn results_that_break_the_contract_are_errors() {
        let op = Custom(Arc::new(Twice { broken: true }));
        let e = op.eval(&mut Eval::default(), vec![Literal::scalar(DType::F32, 3.0)]).unwrap_err();
        assert_eq!(
            e.to_string(),
            "twice: this custom op breaks its contract: eval returned (), infer announced (f32[])"
        );
        let mut b = Builder::new();
        let x = b.input(Type::scalar(DType::F32));
        let at = Bound { xs: &[x], ys: &[x] };
        assert!(
            op.jvp(&mut b, &at, &[Some(x)])
                .unwrap_err()
                .to_string()
                .contains("jvp returned () for (f32[])")
        );
        assert!(
            op.batch(&mut b, &Axis { size: 2, name: None }, &[x], &[None])
                .unwrap_err()
                .to_string()
                .contains("batch returned")
        );
        op.transpose(&mut b, &at, &[true], &[Some(x)]);
        assert!(b.finish(&[x]).unwrap_err().to_string().contains("transpose returned ()"));
    }

    /// An op that reverses the axes of its operand; the rule called `fails` emits an invalid
    /// equation.
    #[derive(Debug)]
    struct Transposes {
        fails: &'static str,
    }

    impl Transposes {
        /// Emits the op, or an invalid reshape if `rule` is the one that fails.
        fn emit_or_fail(&self, rule: &str, b: &mut Builder, x: Value) -> Value {
            if self.fails == rule { b.reshape(x, [7]) } else { b.transpose(x, &[1, 0]) }
        }
    }

    impl CustomOp for Transposes {
        fn name(&self) -> &str {
            "transposed"
        }
        fn params(&self) -> String {
            self.fails.into()
        }
        fn has_effects(&self) -> bool {
            false
        }
        fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
            Op::from(Transpose { permutation: vec![1, 0] }).infer(xs)
        }
        fn eval(&self, _: Vec<Literal>) -> Result<Vec<Literal>> {
            refuse("transposed", "it is never run")
        }
        fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
            let again = Custom(Arc::new(Transposes { fails: self.fails }));
            Ok(vec![dxs[0].map(|dx| {
                if self.fails == "jvp" {
                    self.emit_or_fail("jvp", b, dx)
                } else {
                    b.emit(again, &[dx])
                }
            })])
        }
        fn transpose(
            &self,
            b: &mut Builder,
            _: &Bound,
            _: &[bool],
            cts: &[Option<Value>],
        ) -> Transposed {
            Transposed::Cotangents(vec![cts[0].map(|ct| self.emit_or_fail("transpose", b, ct))])
        }
        fn batch(
            &self,
            b: &mut Builder,
            _: &Axis,
            xs: &[Value],
            _: &[Option<usize>],
        ) -> Result<Batched> {
            Ok((Values::from_slice(&[self.emit_or_fail("batch", b, xs[0])]), vec![Some(0)]))
        }
    }

    #[test]
    fn invalid_equations_of_a_rule_are_its_error() {
        let graph = |fails| {
            let mut b = Builder::new();
            let x = b.input(Type::new(DType::F32, [2, 3]));
            let x = b.transpose(x, &[1, 0]);
            let y = b.emit(Custom(Arc::new(Transposes { fails })), &[x]);
            let y = b.transpose(y, &[1, 0]);
            let y = b.reduce(ReduceKind::Prod, y, &[0, 1]);
            b.finish(&[y]).unwrap()
        };
        let check = |e: Error| assert!(e.to_string().starts_with("reshape: expected "), "{e}");
        check(transform::jvp(&graph("jvp"), &[true]).unwrap_err());
        check(transform::grad(&graph("jvp"), &[true]).unwrap_err());
        check(transform::grad(&graph("transpose"), &[true]).unwrap_err());
        check(
            transform::vmap(&graph("batch"), &[Some(0)], &Axis { size: 4, name: None })
                .unwrap_err(),
        );
        assert!(
            transform::jvp(&graph(""), &[true]).is_ok()
                && transform::grad(&graph(""), &[true]).is_ok()
        );
    }
}
