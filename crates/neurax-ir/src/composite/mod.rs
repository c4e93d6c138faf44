//! Named composites: functions composed of other ops that keep their name, so that backends,
//! exporters and derivative rules recognize them. The body is an ordinary graph and defines the
//! meaning, as in StableHLO's `composite`.
//!
//! Each file defines one composite. To add one, add a file and a row to the list below.

mod attention;
mod batch_norm_inference;
mod batch_norm_training;
mod channels;
mod channels_last_convolution;
mod cross_entropy;
mod cumulative;
mod function;
mod gelu;
mod hypot;
mod layer_norm;
mod linear_solve;
mod log_softmax;
mod logaddexp;
mod logsumexp;
mod quantized_dot;
mod rms_norm;
mod row_norm;
mod rules;
mod silu;
mod softmax;
mod sparse_cross_entropy;
mod sparse_dot;

pub(crate) use function::{no_jvp_rule, only_in_reverse};

use self::rules::in_f32;
use crate::graph::{Liveness, Parser, Printer};
use crate::op::{
    Axis, Batched, Bound, Needs, Primitive, Region, Sample, Tangent, Text, Transposed, rules::*,
};
use crate::{Builder, Eval, Graph, Literal, Op, Result, Type, Value, Values, transform};
use std::sync::Arc;

/// The tangents of the results of a composite, `None` if the body is to be differentiated instead.
type Derivative = Option<Result<Vec<Tangent>>>;

/// The rules of a composite.
pub trait Named {
    /// Returns the types of the results, equal to those of the body, without building the body.
    ///
    /// # Errors
    /// If the operands do not fit.
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>>;

    /// Emits the body, which defines the meaning, on operands that `infer` admits. Floats below 32
    /// bits are converted to f32 before and back after it, so that nothing inside overflows or is
    /// rounded.
    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values;

    /// Emits the tangents of the results in closed form, under the composite's name. `None` if the
    /// body is to be differentiated instead.
    ///
    /// # Errors
    /// If there is no derivative.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative;

    /// Returns the composite for operands that all have a batch axis at the front; `ranks` are the
    /// operands' ranks without it. `None` if the body is to be batched instead.
    fn batched(&self, ranks: &[usize]) -> Option<Composite>;

    /// Returns sample rows for the laws.
    fn samples() -> Vec<Sample>
    where
        Self: Sized;
}

/// Exports the composites, declares the enum, and dispatches to the composites.
macro_rules! composites {
    ($($module:ident: $V:ident;)*) => {
        $(pub use $module::*;)*

        /// A function composed of other ops that keeps its name.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each variant holds the documented struct of its name")]
        pub enum Composite { $($V($V)),* }

        $(impl From<$V> for Composite { fn from(x: $V) -> Composite { Composite::$V(x) } })*
        $(impl From<$V> for Op { fn from(x: $V) -> Op { Op::Composite(x.into()) } })*

        impl Composite {
            /// Returns the name in the text form.
            fn text_name(&self) -> &'static str {
                match self { $(Composite::$V(_) => $V::NAME),* }
            }

            fn named(&self) -> &dyn Named {
                match self { $(Composite::$V(x) => x),* }
            }
        }

        impl Text for Composite {
            fn print_attrs(&self, p: &mut Printer) {
                match self { $(Composite::$V(x) => x.print_attrs(p)),* }
            }
            fn parse_attrs(name: &str, p: &mut Parser) -> Option<Result<Self>> {
                $(
                    if let Some(x) = <$V as Text>::parse_attrs(name, p) {
                        return Some(x.map(Composite::$V));
                    }
                )*
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
    logaddexp: LogAddExp;
    hypot: Hypot;
    gelu: Gelu;
    silu: Silu;
    cross_entropy: CrossEntropy;
    sparse_cross_entropy: SparseCrossEntropy;
    layer_norm: LayerNormalization;
    rms_norm: RmsNormalization;
    batch_norm_training: BatchNormTraining;
    batch_norm_inference: BatchNormInference;
    attention: DotProductAttention;
    cumulative: Cumulative;
    function: CustomFunction;
    linear_solve: LinearSolve;
    sparse_dot: SparseDot;
    channels_last_convolution: ChannelsLastConvolution;
    quantized_dot: QuantizedDot;
}

impl Composite {
    /// Returns the body as a graph for operands of the types `xs`.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn graph(&self, xs: &[Type]) -> Result<Graph> {
        let types = self.infer(xs)?;
        let mut b = Builder::new();
        let args = b.inputs(xs);
        let ys = match self {
            Composite::CustomFunction(f) => f.body(&mut b, &args),
            Composite::LinearSolve(s) => s.body(&mut b, &args),
            _ => in_f32(&mut b, &args, &types, |b, xs| self.named().body(b, xs)),
        };
        b.finish(&ys)
    }

    /// Emits the cotangents of the operands of a composite that is linear; `None` if the body is to
    /// be transposed instead.
    fn transpose_linear(
        &self,
        b: &mut Builder,
        cts: &[Option<Value>],
    ) -> Option<Vec<Option<Value>>> {
        match self {
            Composite::Cumulative(c) => c.transpose(b, cts),
            Composite::Softmax(_)
            | Composite::LogSoftmax(_)
            | Composite::LogSumExp(_)
            | Composite::LogAddExp(_)
            | Composite::Hypot(_)
            | Composite::Gelu(_)
            | Composite::Silu(_)
            | Composite::CrossEntropy(_)
            | Composite::SparseCrossEntropy(_)
            | Composite::LayerNormalization(_)
            | Composite::RmsNormalization(_)
            | Composite::BatchNormTraining(_)
            | Composite::BatchNormInference(_)
            | Composite::DotProductAttention(_)
            | Composite::CustomFunction(_)
            | Composite::LinearSolve(_)
            | Composite::SparseDot(_)
            | Composite::ChannelsLastConvolution(_)
            | Composite::QuantizedDot(_) => None,
        }
    }
}

impl Primitive for Composite {
    fn name(&self) -> &'static str {
        self.text_name()
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.named().infer(xs)
    }

    fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types: Vec<Type> = xs.iter().map(|x| x.ty().clone()).collect();
        let results = self.infer(&types)?;
        // Values inside of the body may be large although the results have no elements.
        if results.iter().all(|t| t.size() == 0) {
            return Ok(results.into_iter().map(Literal::zeros).collect());
        }
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
        match self {
            Composite::LinearSolve(s) => return s.transpose(b, at, linear, cts),
            Composite::SparseDot(s) => return s.transpose(b, at, linear, cts),
            _ => {}
        }
        if let Some(cts) = self.transpose_linear(b, cts) {
            return Transposed::Cotangents(cts);
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
        match self {
            Composite::CustomFunction(f) => return f.batch(b, axis, xs, dims),
            Composite::LinearSolve(s) => return s.batch(b, axis, xs, dims),
            Composite::SparseDot(s) => return Ok(s.batch(b, axis, xs, dims)),
            _ => {}
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
            Composite::CustomFunction(f) => f.graphs(),
            Composite::LinearSolve(s) => s.graphs(),
            _ => vec![],
        }
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        match self {
            Composite::CustomFunction(x) => Ok(x.map_graphs(f)?.into()),
            Composite::LinearSolve(x) => Ok(x.map_graphs(f)?.into()),
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
        match self {
            Composite::CustomFunction(f) => return f.jvp(b, xs, dxs, for_reverse),
            Composite::LinearSolve(s) => return s.jvp(b, xs, dxs, for_reverse),
            _ => {}
        }
        let count = self.infer(&b.types_of(xs))?.len();
        let ys = b.emit_n(self.clone(), xs, count);
        if let Some(tangents) = self.named().derivative(b, &Bound { xs, ys: &ys }, dxs) {
            return Ok((ys, tangents?));
        }
        let graph = self.graph(&b.types_of(xs))?;
        transform::jvp_into(b, &graph, xs, dxs, for_reverse)
    }

    fn needs(&self, _: &[bool], _: &mut [Liveness]) -> Option<Needs> {
        None
    }

    fn pruned(&self, _: &Needs, _: &[Liveness]) -> Op {
        self.clone().into()
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}

#[cfg(test)]
mod tests;
