//! The state of lowering.

use neurax_ir::{Builder, Eqn, Value, Values, op::DotGeneral};
use rustc_hash::FxHashMap;

/// The lowered graph so far.
pub struct Lowering {
    /// The builder of the lowered graph.
    pub b: Builder,
    /// The products by their result, as they were before lowering; without those that both an
    /// inlined body and its caller may read.
    pub products: FxHashMap<Value, (DotGeneral, Values)>,
}

/// An equation with its operands in the lowered graph.
pub struct LoweringEqn<'a> {
    /// The equation.
    pub eqn: &'a Eqn,
    /// The operands in the lowered graph.
    pub xs: Values,
    /// True if no other equation reads the first operand.
    pub owns_first: bool,
}
