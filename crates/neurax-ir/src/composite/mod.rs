//! Named composites: functions made of other ops that keep their name, so that backends, export and
//! derivatives recognise them. The body is an ordinary graph and is the meaning.
//!
//! One file per composite; adding one is a file here and a row in the list below.

mod cross_entropy;
mod cumulative;
mod function;
mod gelu;
mod log_softmax;
mod logsumexp;
mod rules;
mod silu;
mod softmax;

pub(crate) use function::{no_forward_rule, only_in_reverse};

use crate::graph::{Parser, Printer};
use crate::op::{
    Axis, Batched, Bound, Primitive, Pruned, Region, Sample, Tangent, Text, Transposed, rules::*,
};
use crate::{Builder, Eval, Graph, Literal, Op, Result, Type, Value, Values, transform};
use std::sync::Arc;

/// What a composite answers.
pub trait Named {
    /// The name in text.
    fn name(&self) -> &'static str;

    /// The types of the results: what the body's are, found without making it.
    ///
    /// # Errors
    /// When it does not admit the operands.
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>>;

    /// The meaning: emits the body on operands in the builder, which `infer` admits.
    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values;

    /// The tangents of the results in closed form, under the name of the composite; `None`
    /// differentiates the body.
    ///
    /// # Errors
    /// When there is no derivative.
    fn derivative(
        &self,
        b: &mut Builder,
        at: &Bound,
        dxs: &[Tangent],
    ) -> Option<Result<Vec<Tangent>>>;

    /// The cotangents of the operands, for a composite that is linear itself; `None` transposes the
    /// body.
    fn transposed(
        &self,
        b: &mut Builder,
        at: &Bound,
        cts: &[Option<Value>],
    ) -> Option<Vec<Option<Value>>>;

    /// The composite that does the same for operands with a new axis, all at the front; `None`
    /// batches the body. `ranks` are the operands' ranks without it.
    fn batched(&self, ranks: &[usize]) -> Option<Composite>;

    /// Rows for the laws.
    fn samples() -> Vec<Sample>
    where
        Self: Sized;
}

/// Exports the composites, declares the enum, and forwards every question to the composite.
macro_rules! composites {
    ($($module:ident: $V:ident;)*) => {
        $(pub use $module::*;)*

        /// A function of other ops that keeps its name.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each variant holds the documented struct of its name")]
        pub enum Composite { $($V($V)),* }

        $(impl From<$V> for Composite { fn from(x: $V) -> Composite { Composite::$V(x) } })*
        $(impl From<$V> for Op { fn from(x: $V) -> Op { Op::Composite(x.into()) } })*

        impl Composite {
            fn named(&self) -> &dyn Named {
                match self { $(Composite::$V(x) => x),* }
            }
        }

        impl Text for Composite {
            fn print_attrs(&self, p: &mut Printer) {
                match self { $(Composite::$V(x) => x.print_attrs(p)),* }
            }
            fn parse_attrs(name: &str, p: &mut Parser) -> Option<Result<Self>> {
                $(if let Some(x) = <$V as Text>::parse_attrs(name, p) { return Some(x.map(Composite::$V)) })*
                None
            }
        }

        fn all_samples() -> Vec<Sample> {
            let mut rows = vec![];
            $(rows.extend(<$V as Named>::samples());)*
            rows
        }
    };
}

composites! {
    softmax: Softmax;
    log_softmax: LogSoftmax;
    logsumexp: LogSumExp;
    gelu: Gelu;
    silu: Silu;
    cross_entropy: CrossEntropy;
    cumulative: Cumulative;
    function: Function;
}

impl Composite {
    /// The body as a graph for operands of those types.
    ///
    /// # Errors
    /// When the operands do not fit.
    pub fn graph(&self, xs: &[Type]) -> Result<Graph> {
        self.infer(xs)?;
        let mut b = Builder::new();
        let args = b.inputs(xs);
        let ys = self.named().body(&mut b, &args);
        b.finish(&ys)
    }
}

impl Primitive for Composite {
    fn name(&self) -> &'static str {
        self.named().name()
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.named().infer(xs)
    }

    fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types: Vec<Type> = xs.iter().map(|x| x.ty().clone()).collect();
        let graph = self.graph(&types)?;
        cx.run(&graph, xs)
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
        if let Some(answers) = self.named().transposed(b, at, cts) {
            return Transposed::Cotangents(answers);
        }
        match self.graph(&b.types_of(at.xs)) {
            Ok(graph) => transform::transpose_into(b, &graph, at.xs, linear, cts),
            Err(e) => {
                b.fail(e);
                Transposed::NotLinear
            }
        }
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        if let Composite::Function(f) = self {
            return f.batch(b, axis, xs, dims);
        }
        let unbatched = |(&x, d): (&Value, &Option<usize>)| b.ty(x).rank() - d.is_some() as usize;
        let ranks: Vec<usize> = xs.iter().zip(dims).map(unbatched).collect();
        if let Some(op) = self.named().batched(&ranks) {
            let xs = batch_front(b, axis, xs, dims);
            let types = b.types_of(&xs);
            let count = op.infer(&types)?.len();
            return Ok(at_front(b.emit_n(op, &xs, count)));
        }
        let types = xs.iter().zip(dims).map(|(&x, d)| match d {
            Some(d) => b.ty(x).with_shape(b.ty(x).shape.removed(*d)),
            None => b.ty(x).clone(),
        });
        let graph = self.graph(&types.collect::<Vec<_>>())?;
        transform::vmap_into(b, &graph, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        all_samples()
    }
}

impl Region for Composite {
    fn graphs(&self) -> Vec<Arc<Graph>> {
        match self {
            Composite::Function(f) => f.graphs(),
            _ => vec![],
        }
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        match self {
            Composite::Function(x) => Ok(x.map_graphs(f)?.into()),
            _ => Ok(self.clone().into()),
        }
    }

    fn jvp_region(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)> {
        if let Composite::Function(f) = self {
            return f.jvp(b, xs, dxs, for_reverse);
        }
        let count = self.infer(&b.types_of(xs))?.len();
        let ys = b.emit_n(self.clone(), xs, count);
        if let Some(tangents) = self.named().derivative(b, &Bound { xs, ys: &ys }, dxs) {
            return Ok((ys, tangents?));
        }
        let graph = self.graph(&b.types_of(xs))?;
        transform::jvp_into(b, &graph, xs, dxs, for_reverse)
    }

    fn dce(&self, _: &[bool]) -> Option<Pruned> {
        None
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}

#[cfg(test)]
mod tests;
