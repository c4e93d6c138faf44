//! The one open door: an op from outside.

use super::{Axis, Batched, Bound, Tangent, Text, Transposed};
use crate::{Builder, Literal, Result, Type, Value, graph::{Parser, Printer}};
use std::{fmt::Debug, hash::{Hash, Hasher}, sync::Arc};

/// An op that a user of this crate defines. It is known by its name and the text of its parameters: two ops with the same
/// ones are the same op. Backends run it by `eval` on the host.
pub trait CustomOp: Debug + Send + Sync {
    /// Its name, unique in the program.
    fn name(&self) -> &str;
    /// Its parameters as text.
    fn params(&self) -> String;
    /// See [`super::Primitive::infer`].
    ///
    /// # Errors
    /// When the op does not admit the operands.
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>>;
    /// See [`super::Primitive::eval`].
    ///
    /// # Errors
    /// When a value has no result.
    fn eval(&self, xs: Vec<Literal>) -> Result<Vec<Literal>>;
    /// See [`super::Primitive::jvp`].
    ///
    /// # Errors
    /// When the op has no derivative.
    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>>;
    /// See [`super::Primitive::transpose`].
    fn transpose(&self, b: &mut Builder, at: &Bound, linear: &[bool], cts: &[Option<Value>]) -> Transposed;
    /// See [`super::Primitive::batch`].
    ///
    /// # Errors
    /// When the op cannot be batched.
    fn batch(&self, b: &mut Builder, axis: &Axis, xs: &[Value], dims: &[Option<usize>]) -> Result<Batched>;
}

/// A [`CustomOp`] in a graph. StableHLO's `custom_call`: <https://openxla.org/stablehlo/spec#custom_call>
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
pending!(Custom);
