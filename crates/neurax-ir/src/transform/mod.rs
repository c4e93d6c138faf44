//! Transforms: `Graph -> Graph`, one walker per file.

mod eval;

pub use eval::{Eval, eval};

use crate::op::{Axis, Batched, Tangent, Transposed};
use crate::{Builder, Graph, Result, Value, Values};
/// x
pub fn jvp_into(_b: &mut Builder, _g: &Graph, _xs: &[Value], _dxs: &[Tangent], _for_reverse: bool) -> Result<(Values, Vec<Tangent>)> { crate::op::rules::refuse("pending", "") }
/// x
pub fn transpose_into(_b: &mut Builder, _g: &Graph, _xs: &[Value], _linear: &[bool], _cts: &[Option<Value>]) -> Transposed { Transposed::NotLinear }
/// x
pub fn vmap_into(_b: &mut Builder, _g: &Graph, _axis: &Axis, _xs: &[Value], _dims: &[Option<usize>]) -> Result<Batched> { crate::op::rules::refuse("pending", "") }
/// x
pub fn vmap_all(_g: &Graph, _axis: &Axis) -> Result<Graph> { crate::op::rules::refuse("pending", "") }
