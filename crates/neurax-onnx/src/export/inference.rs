//! Models for inference: what depends on weights alone is computed before the model is written.
//!
//! The method is that of compiled programs (`passes::freeze` of the IR): batch normalizations are
//! folded into the weights in front of them, and constant equations are computed. A function with
//! open sizes has several traces, of which one model is made: an equation is computed if it is the
//! same one, with results of the same types, in all of them.
//!
//! ```text
//! graph(w, x)                          graph(x, c)
//!   t = transpose(w)                     y = dot_general(x, c)      c = transpose(w)
//!   y = dot_general(x, t)          ->
//! ```
//!
//! # Invariants
//!
//! - The traces keep the same equations in the same order. Traces that differ in what they read
//!   stay as they are, and are an error when they are merged.
//! - A computed constant has the path of the layer that computed it as a name, with `.folded`.

use neurax_ir::passes::FrozenGraph;
use neurax_ir::{Graph, OrBug, Result, Value, passes};
use neurax_tensor::runtime::Buffer;
use neurax_tensor::{Tensor, default_device};
use std::collections::HashSet;

/// The graphs of a function, one for each trace, and what their inputs are.
#[derive(Debug)]
pub(super) struct NamedGraphs {
    pub graphs: Vec<Graph>,
    /// The names of the inputs, weights included.
    pub names: Vec<String>,
    /// The weights by the names of their inputs, in the order of the inputs.
    pub weights: Vec<(String, Tensor)>,
}

/// A function from a name to a free one.
type FreeName<'f> = &'f mut dyn FnMut(&str) -> String;

impl NamedGraphs {
    /// Returns the graphs with constants in place of what depends on weights alone. `free_name`
    /// returns a name like its argument that nothing has.
    ///
    /// # Errors
    /// If a constant cannot be computed.
    pub fn for_inference(self, free_name: FreeName) -> Result<NamedGraphs> {
        let weights = self.weight_names();
        let is_constant: Vec<bool> =
            self.names.iter().map(|name| weights.contains(name.as_str())).collect();
        let graphs = folded(&self.graphs, &is_constant)?;
        let alike = alike(&graphs);
        let may_move = |i: usize| alike.get(i).copied() == Some(true);
        let frozen = graphs.iter().map(|g| passes::freeze_where(g, &is_constant, &may_move));
        let frozen: Vec<Option<FrozenGraph>> = frozen.collect::<Result<_>>()?;
        let frozen: Vec<FrozenGraph> = match frozen.into_iter().collect() {
            Some(frozen) => frozen,
            None => return Ok(NamedGraphs { graphs, ..self }),
        };
        // Traces that read other weights are no one model: the merge of the graphs says where.
        let first = frozen.first().or_bug("a function that was not traced")?;
        if frozen.iter().any(|f| f.constants != first.constants || f.kept != first.kept) {
            return Ok(NamedGraphs { graphs, ..self });
        }
        self.with_constants(&frozen, free_name)
    }

    /// Returns the rest of graphs that were frozen in the same way, and the constants that they
    /// read.
    fn with_constants(self, frozen: &[FrozenGraph], free_name: FreeName) -> Result<NamedGraphs> {
        let first = frozen.first().or_bug("a function that was not traced")?;
        let own = self.weight_names();
        let inputs = self.names.iter().filter(|name| !own.contains(name.as_str()));
        let mut names: Vec<String> = inputs.cloned().collect();
        let kept = first.kept.iter().map(|&i| self.names.get(i).or_bug("an input without a name"));
        let kept = kept.collect::<Result<Vec<&String>>>()?;
        let weight = |name: &&String| self.weights.iter().find(|(own, _)| own == *name).cloned();
        let mut weights: Vec<(String, Tensor)> = kept.iter().filter_map(weight).collect();
        for (path, value) in paths(&first.constants).into_iter().zip(self.computed(first)?) {
            weights.push((free_name(&path), value));
        }
        names.extend(weights.iter().map(|(name, _)| name.clone()));
        let graphs = frozen.iter().map(|f| f.rest.clone()).collect();
        Ok(NamedGraphs { graphs, names, weights })
    }

    fn weight_names(&self) -> HashSet<&str> {
        self.weights.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Returns the values of the constants.
    fn computed(&self, frozen: &FrozenGraph) -> Result<Vec<Tensor>> {
        let device = default_device()?;
        let upload = |(_, x): &(String, Tensor)| device.upload(x.to_literal()?);
        let weights = self.weights.iter().map(upload).collect::<Result<Vec<Buffer>>>()?;
        let results = device.compile(&frozen.constants)?.run(weights)?;
        results.iter().map(|y| Ok(Tensor::from(device.download(y)?))).collect()
    }
}

/// Returns graphs without batch normalizations that can be folded. A single graph has no other
/// traces that must stay like it, and is simplified by all passes.
fn folded(graphs: &[Graph], is_constant: &[bool]) -> Result<Vec<Graph>> {
    let all = |graph: &Graph| match graphs.len() {
        1 => passes::optimize(graph, &mut |_, _| {}),
        _ => Ok(graph.clone()),
    };
    let fold = |graph: &Graph| {
        let graph = all(graph)?;
        Ok(passes::fold_batch_norms(&graph, is_constant)?.unwrap_or(graph))
    };
    graphs.iter().map(fold).collect()
}

/// Returns for each equation whether it is the same one in all graphs, with results of the same
/// types; nothing if the graphs have different numbers of equations.
fn alike(graphs: &[Graph]) -> Vec<bool> {
    let Some((first, others)) = graphs.split_first() else { return vec![] };
    if others.iter().any(|g| g.eqns().len() != first.eqns().len()) {
        return vec![];
    }
    let is_alike = |i: usize| {
        let e = &first.eqns()[i];
        others.iter().all(|g| {
            let other = &g.eqns()[i];
            let mut outputs = e.outputs.iter().zip(&other.outputs);
            e.op == other.op
                && e.inputs == other.inputs
                && outputs.all(|(a, b)| first.ty(*a) == g.ty(*b))
        })
    };
    (0..first.eqns().len()).map(is_alike).collect()
}

/// Returns the names of the results of a graph, by the layers that compute them.
fn paths(graph: &Graph) -> Vec<String> {
    let producers = graph.producers();
    let path = |v: &Value| {
        let eqn = producers[v.index()].map(|i| &graph.eqns()[i]);
        match eqn.and_then(|e| e.at.path.as_ref()) {
            Some(path) => format!("{path}.folded"),
            None => "folded".into(),
        }
    };
    graph.outputs().iter().map(path).collect()
}

#[cfg(test)]
mod tests {
    use crate::export::Exporter;
    use crate::import_bytes;
    use crate::testing::{body, declared, floats, graph, ints, model, node};
    use neurax::prelude::*;

    #[test]
    fn a_function_that_reads_other_weights_in_other_sizes_is_an_error() {
        let branch = |w: &str| graph(&[], &["b"], vec![], vec![node("Identity", w, "b")]);
        let choice = node("If", "is_large", "chosen")
            .with(body("then_branch", branch("v")))
            .with(body("else_branch", branch("w")));
        let nodes = vec![
            node("Shape", "x", "sizes"),
            node("Gather", "sizes zero", "number"),
            node("Greater", "number limit", "is_large"),
            choice,
            node("Neg", "u", "negative"),
            node("Mul", "x negative", "product"),
            node("Add", "product chosen", "y"),
        ];
        let weight = |name: &str| floats(name, &[2], &[2.0, 3.0]);
        let numbers = [ints("limit", &[], &[200]), ints("zero", &[], &[0])];
        let weights = ["u", "v", "w"].map(weight).into_iter().chain(numbers).collect();
        let mut g = graph(&[], &["y"], weights, nodes);
        g.input.push(declared("x", 1, &["n", "2"]));
        let net = import_bytes(model(g)).unwrap();
        for exporter in [Exporter::new(), Exporter::new().for_inference()] {
            let e = exporter.to_bytes(&net, types![f32["n", 2]]).unwrap_err().to_string();
            assert!(e.contains("depend on an open size"), "{e}");
            assert!(exporter.to_bytes(&net, types![f32[20, 2]]).is_ok());
        }
    }
}
