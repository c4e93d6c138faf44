//! The description of compiled segments.

use crate::info::ValueInfo;
use neurax_tensor::ProgramSummary;
use std::collections::BTreeMap;
use std::fmt;

/// The description of a compiled segment of a [`Session`](crate::Session).
///
/// It prints as [`Session::plan`](crate::Session::plan) does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SegmentInfo {
    /// The number of segments that run before it in a call. Segments with equal numbers are for
    /// other types of inputs.
    pub depth: usize,
    /// The values that it takes, with their types.
    pub inputs: Vec<ValueInfo>,
    /// The values that are constants of the segment: it is compiled for these.
    pub constants: Vec<(String, Vec<f64>)>,
    /// The numbers of nodes by operator.
    pub operators: BTreeMap<String, usize>,
    /// The rewrites for inference that were applied, by their names in
    /// [`neurax_ir::passes::inference`], and how often.
    pub rewrites: Vec<(&'static str, usize)>,
    /// The nodes that run on the host behind it.
    pub on_host: Vec<String>,
    /// The steps that it is compiled to; `None` if all its nodes run on the host, or the device
    /// does not know.
    pub summary: Option<ProgramSummary>,
    /// The bytes of the weights that it reads, and of what is computed from them before all calls.
    pub weight_bytes: usize,
    /// The bytes of intermediate values of a call; `None` if the device does not know.
    pub call_bytes: Option<usize>,
}

impl fmt::Display for SegmentInfo {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let input = |x: &ValueInfo| match x.r#type.as_str() {
            "" => x.name.clone(),
            ty => format!("{}: {ty}", x.name),
        };
        let inputs: Vec<String> = self.inputs.iter().map(input).collect();
        let constants = self.constants.iter().map(|(name, x)| format!("{name} = {x:?}"));
        let values = inputs.into_iter().chain(constants).collect::<Vec<_>>().join(", ");
        let operators = self.operators.iter().map(|(name, count)| format!("{count} {name}"));
        let operators = operators.collect::<Vec<_>>().join(", ");
        let indent = "  ".repeat(self.depth);
        let rewrites = self.rewrites.iter().map(|(name, count)| format!("{count} {name}"));
        let rewrites = rewrites.collect::<Vec<_>>().join(", ");
        let rewrites = match rewrites.is_empty() {
            true => String::new(),
            false => format!("; rewritten: {rewrites}"),
        };
        writeln!(f, "{indent}segment ({values}): {operators}{rewrites}")?;
        match self.on_host.is_empty() {
            true => Ok(()),
            false => writeln!(f, "{indent}host: {}", self.on_host.join(", ")),
        }
    }
}
