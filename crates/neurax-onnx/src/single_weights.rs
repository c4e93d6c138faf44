//! Weights of one element: which floats of a file are parameters of the network.
//!
//! The problem: the bias of a layer of one unit is a vector of one number, and so are a bound of
//! `Clip`, an epsilon and a divisor in the spelling of many exporters. The first is to be trained,
//! the others are constants, and rules of the compiler need to know them.
//!
//! The method: floats of several elements are parameters. A float of one element is a parameter if
//! it has axes and a node of the main graph reads it at the position of a weight: a factor of a
//! product, the kernel or the bias of a convolution, the scale or the bias of a normalization, the
//! slope of `PRelu`, a weight of a recurrent layer, or a summand of a product or convolution.
//!
//! ```text
//! product = MatMul(x, kernel);  y = Add(product, bias)     `bias` of [1] is a parameter
//! z = Div(y, two);              w = Clip(z, low, high)     `two`, `low` and `high` are not
//! ```
//!
//! # Invariants
//!
//! - The importer and the writer of weights have the same parameters: both ask this module, one
//!   with the nodes it evaluates, the other with those of the file. Nodes that no output depends on
//!   read no weights.

use neurax_ir::DType;
use std::collections::{HashMap, HashSet};

/// The products and convolutions, whose inputs are weights and whose results may have a bias.
const PRODUCTS: &[&str] = &[
    "Conv",
    "ConvTranspose",
    "DeformConv",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "Gemm",
    "MatMul",
];
/// Other operators whose inputs behind the first one are weights.
const WITH_WEIGHTS: &[&str] = &[
    "BatchNormalization",
    "GRU",
    "GroupNormalization",
    "InstanceNormalization",
    "LSTM",
    "LayerNormalization",
    "PRelu",
    "RMSNormalization",
    "RNN",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// A node, of a graph that was read or of a file.
pub(crate) struct NodeView<'a> {
    pub(crate) operator: &'a str,
    pub(crate) inputs: &'a [String],
    pub(crate) outputs: &'a [String],
    /// The names that the graphs of its attributes may use.
    pub(crate) captures: Vec<&'a str>,
}

/// Returns true if a constant of the main graph is a parameter. `is_weight` says whether its name
/// is one of [`weight_names`].
pub(crate) fn is_parameter(dtype: DType, shape: &[usize], is_weight: bool) -> bool {
    let size = shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d));
    dtype.is_float() && (size > 1 || size == 1 && !shape.is_empty() && is_weight)
}

/// Returns the names that nodes of a graph with these outputs read at the position of a weight.
pub(crate) fn weight_names<'a>(
    nodes: &[NodeView<'a>],
    outputs: impl IntoIterator<Item = &'a str>,
) -> HashSet<&'a str> {
    let live = live_nodes(nodes, outputs);
    let products: HashSet<&str> = live
        .iter()
        .filter(|n| PRODUCTS.contains(&n.operator))
        .flat_map(|n| n.outputs)
        .map(String::as_str)
        .collect();
    let is_sum = |n: &NodeView| {
        n.operator == "Add" && n.inputs.iter().any(|x| products.contains(x.as_str()))
    };
    let weights = |n: &&NodeView<'a>| -> &'a [String] {
        if PRODUCTS.contains(&n.operator) || is_sum(n) {
            n.inputs
        } else if WITH_WEIGHTS.contains(&n.operator) {
            n.inputs.get(1..).unwrap_or(&[])
        } else {
            &[]
        }
    };
    live.iter().flat_map(weights).map(String::as_str).collect()
}

/// Returns the nodes that the outputs depend on.
fn live_nodes<'v, 'a>(
    nodes: &'v [NodeView<'a>],
    outputs: impl IntoIterator<Item = &'a str>,
) -> Vec<&'v NodeView<'a>> {
    let results =
        nodes.iter().enumerate().flat_map(|(i, n)| n.outputs.iter().map(move |y| (y.as_str(), i)));
    let makers: HashMap<&str, usize> = results.collect();
    let mut is_live = vec![false; nodes.len()];
    let mut needed: Vec<&str> = outputs.into_iter().collect();
    while let Some(name) = needed.pop() {
        let Some(&i) = makers.get(name).filter(|_| !name.is_empty()) else { continue };
        if let (Some(live @ false), Some(n)) = (is_live.get_mut(i), nodes.get(i)) {
            *live = true;
            needed.extend(n.inputs.iter().map(String::as_str).chain(n.captures.iter().copied()));
        }
    }
    nodes.iter().zip(is_live).filter(|(_, is_live)| *is_live).map(|(n, _)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names of the weights of a text: one node a line, `y = Operator x w`.
    fn weights(text: &str, output: &str) -> Vec<String> {
        let names = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        let rows: Vec<(Vec<String>, Vec<String>)> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(outputs, call)| (names(outputs), names(call)))
            .collect();
        let nodes: Vec<NodeView> = rows
            .iter()
            .map(|(outputs, call)| NodeView {
                operator: &call[0],
                inputs: &call[1..],
                outputs,
                captures: vec![],
            })
            .collect();
        let mut found: Vec<String> =
            weight_names(&nodes, [output]).into_iter().map(String::from).collect();
        found.sort();
        found
    }

    #[test]
    fn weights_are_found_by_position() {
        let text = "y = Clip s low high\ns = Add p bias\np = MatMul x kernel\nd = MatMul q dead";
        assert_eq!(weights(text, "y"), ["bias", "kernel", "p", "x"]);
        assert_eq!(weights("y = PRelu x slope\nz = Mul x two", "y"), ["slope"]);
        assert_eq!(weights("s = Add x one\ny = Div s two", "y"), [""; 0]);
    }

    #[test]
    fn one_number_is_a_parameter_with_axes_and_a_position() {
        let is = |shape: &[usize], is_weight| is_parameter(DType::F32, shape, is_weight);
        assert!(is(&[1], true) && is(&[1, 1], true) && is(&[2], false));
        assert!(!is(&[1], false) && !is(&[], true) && !is(&[0], true));
        assert!(!is_parameter(DType::I64, &[3], true));
    }
}
