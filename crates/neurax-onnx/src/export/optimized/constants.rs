//! Constant folding: nodes whose inputs are constants are computed by the rules of the importer.

use super::GraphEditor;
use crate::evaluate::GraphScope;
use crate::graph::{Attribute, Callee, OnnxNode};
use crate::operator::Draws;
use crate::registry::operator;
use crate::value::OnnxValue;
use neurax_ir::{DType, Result};
use neurax_tensor::Tensor;
use std::collections::HashMap;

/// The bytes by which a result may be larger than the inputs that it is computed from. A file of
/// many megabytes of zeros is read slower than they are made.
const MAX_GROWTH_BYTES: usize = 4096;

impl GraphEditor {
    /// Computes the nodes whose inputs are constants, and drops them. A node that fails stays: it
    /// may be in a model that is never called with it.
    pub(super) fn fold_constants(&mut self) -> Result<()> {
        let mut scope = GraphScope::new(&self.main, [], None, None);
        let mut found: HashMap<String, Tensor> = HashMap::new();
        let mut is_folded = vec![];
        for node in &self.main.nodes {
            let known = |name: &str| found.get(name).or_else(|| self.constants.get(name));
            let inputs: Option<Vec<&Tensor>> = node.needs().map(known).collect();
            let results = inputs
                .filter(|_| is_foldable(node) && !node.outputs.iter().any(|y| self.is_output(y)))
                .and_then(|inputs| Some((inputs, scope.evaluate(node).ok()?)))
                .and_then(|(inputs, ())| results(node, &scope, &inputs));
            is_folded.push(results.is_some());
            found.extend(results.into_iter().flatten());
        }
        let mut is_folded = is_folded.into_iter();
        self.nodes.retain(|_| !is_folded.next().unwrap_or(false));
        let mut found: Vec<(String, Tensor)> = found.into_iter().collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.into_iter().for_each(|(name, x)| self.set_constant(&name, x));
        Ok(())
    }
}

/// Returns true if a node may be computed before all calls: it draws no random numbers, with or
/// without a seed, has no bodies, and does not convert quantized numbers.
fn is_foldable(node: &OnnxNode) -> bool {
    let Callee::Operator(id, _) = &node.callee else { return false };
    let has_bodies = node.attributes.values().any(|a| !Attribute::graphs(a).is_empty());
    operator(*id).draws == Draws::Never
        && !has_bodies
        && !operator(*id).name.to_lowercase().contains("quantize")
}

/// Returns the results of a node, if all are tensors that a file should have.
fn results(
    node: &OnnxNode,
    scope: &GraphScope,
    inputs: &[&Tensor],
) -> Option<Vec<(String, Tensor)>> {
    let bytes = |x: &Tensor| x.size().saturating_mul(x.dtype().bits()) / 8;
    let most = inputs.iter().map(|x| bytes(x)).fold(MAX_GROWTH_BYTES, usize::saturating_add);
    let is_constant = operator_name(node) == "Constant";
    let result = |name: &String| match scope.get(name)? {
        OnnxValue::Tensor(y) => {
            let is_small = is_constant || bytes(&y) <= most;
            (is_small && has_whole_bytes(y.dtype())).then_some((name.clone(), y))
        }
        _ => None,
    };
    node.outputs.iter().filter(|y| !y.is_empty()).map(result).collect()
}

fn operator_name(node: &OnnxNode) -> &'static str {
    match &node.callee {
        Callee::Operator(id, _) => operator(*id).name,
        Callee::Function(_) => "",
    }
}

/// Returns true for dtypes whose elements in a file are those in memory.
fn has_whole_bytes(dtype: DType) -> bool {
    dtype.bits() >= 8 && !matches!(dtype, DType::F6E2M3FN | DType::F6E3M2FN)
}
