//! The execution of a graph: compiled segments, with steps on the host between them.
//!
//! The problem: shapes are static in a compiled program, and some operators have results whose
//! shapes depend on data (`NonZero`, a loop that ends by a condition and collects values). The
//! method: a segment is traced with everything that is available. A node that needs to know a value
//! which only the program computes is put off, and so are the nodes that depend on it. The segment
//! is compiled and run; then everything it computed is known, the nodes that were put off run on
//! the host, and the next segment is traced with the sizes that they found.
//!
//! ```text
//! x -> Mul -> Greater -> NonZero -> Gather -> Sum     segment: Mul, Greater
//!  \____________________________/                     host:    NonZero
//!                                                     segment: Gather, Sum
//! ```
//!
//! A needed value that depends on small values alone, such as an input with a shape, is different:
//! the segment is traced again with these as constants, and used for their values only. An operator
//! whose result depends on data, such as `NonZero`, runs on the host all the same.
//!
//! # Invariants
//!
//! - A segment is found by the types of the values that it uses, and by the values of those that it
//!   has as constants. It is traced once for them.
//! - Strings and maps are never part of a compiled program; nodes that use variable ones run on the
//!   host, as do nodes that draw random numbers without a seed, also in their bodies.

use crate::call::RuleFailure;
use crate::evaluate::GraphScope;
use crate::graph::{OnnxGraph, OnnxNode};
use crate::loop_budget::LoopBudget;
use crate::segment::{SegmentCache, ValuesByName};
use crate::segment_info::SegmentInfo;
use crate::tracer::Rest;
use crate::value::OnnxValue;
use neurax_ir::{Error, Result};
use std::sync::Arc;

/// The compiled segments of a graph, found as calls need them.
#[derive(Debug)]
pub(crate) struct SegmentPlan {
    graph: Arc<OnnxGraph>,
    /// The segments that begin a call.
    first: SegmentCache,
}

impl SegmentPlan {
    pub(crate) fn new(graph: Arc<OnnxGraph>) -> SegmentPlan {
        SegmentPlan { graph, first: SegmentCache::default() }
    }

    /// Returns the descriptions of the segments, those that follow one behind it.
    pub(crate) fn segments(&self) -> Vec<SegmentInfo> {
        let mut all = vec![];
        self.first.list(&self.graph, 0, &mut all);
        all
    }

    /// Computes the outputs.
    ///
    /// # Errors
    /// If a node is invalid for its inputs.
    pub(crate) fn run(&self, mut values: ValuesByName) -> Result<Vec<OnnxValue>> {
        let mut nodes: Vec<usize> = (0..self.graph.nodes.len()).collect();
        let budget = Arc::default();
        let mut segment = self.first.get(&self.graph, &nodes, &values)?;
        loop {
            segment.run(&mut values)?;
            let left = self.run_on_host(segment.rest(), &mut values, &budget)?;
            match left.first() {
                None => return self.results(&values),
                Some(&i) if left.len() == nodes.len() => return Err(self.missing(i, &values)),
                Some(_) => nodes = left,
            }
            segment = segment.next.get(&self.graph, &nodes, &values)?;
        }
    }

    /// Runs the nodes that were put off and have all their inputs now, and returns the others.
    fn run_on_host(
        &self,
        rest: &Rest,
        values: &mut ValuesByName,
        budget: &Arc<LoopBudget>,
    ) -> Result<Vec<usize>> {
        let mut left = Vec::new();
        for &i in &rest.nodes {
            let node = &self.graph.nodes[i];
            let is_ready = || node.needs().all(|name| is_available(&self.graph, values, name));
            if rest.on_host.contains(&i) && is_ready() {
                run_node(&self.graph, node, values, budget)?;
            } else {
                left.push(i);
            }
        }
        Ok(left)
    }

    /// Returns the error of a node that has no value for an input.
    fn missing(&self, i: usize, values: &ValuesByName) -> Error {
        let node = &self.graph.nodes[i];
        match node.needs().find(|name| !is_available(&self.graph, values, name)) {
            Some(name) => {
                Error::new("onnx", format!("nothing computes the input `{name}` of {}", node.label))
            }
            None => Error::bug(format!("{} is put off again and again", node.label)),
        }
    }

    fn results(&self, values: &ValuesByName) -> Result<Vec<OnnxValue>> {
        let result = |name: &String| {
            let value = values.get(name).or_else(|| self.graph.initializers.get(name));
            value
                .cloned()
                .ok_or_else(|| Error::new("onnx", format!("nothing computes the output `{name}`")))
        };
        self.graph.outputs.iter().map(result).collect()
    }
}

/// Returns true if a name has a value.
fn is_available(graph: &OnnxGraph, values: &ValuesByName, name: &str) -> bool {
    values.contains_key(name) || graph.initializers.contains_key(name)
}

/// Runs a node on the host.
fn run_node(
    graph: &OnnxGraph,
    node: &OnnxNode,
    values: &mut ValuesByName,
    budget: &Arc<LoopBudget>,
) -> Result<()> {
    let mut frame = GraphScope::new(graph, [], None, None).with_budget(budget);
    for name in node.needs() {
        if let Some((name, x)) = values.get_key_value(name) {
            frame.set(name, x.clone());
        }
    }
    frame.evaluate(node)?;
    let outputs: Vec<(String, OnnxValue)> = node
        .outputs
        .iter()
        .filter(|name| !name.is_empty())
        .filter_map(|name| Some((name.clone(), frame.get(name)?)))
        .collect();
    values.extend(outputs);
    Ok(())
}

impl From<RuleFailure> for Error {
    /// Returns the error of a node all of whose values are known.
    fn from(f: RuleFailure) -> Error {
        match f {
            RuleFailure::Error(e) => e,
            RuleFailure::NeedsValue(_) | RuleFailure::NeedsValues => {
                Error::bug("a node whose inputs are known needs to know them")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{declared, floats, graph, ints, model, node};
    use crate::{Importer, OnnxValue, Session};
    use neurax_tensor::{Tensor, tensor};
    use std::collections::HashMap;

    fn run(session: &Session, inputs: &[(&str, Tensor)]) -> Vec<Vec<f64>> {
        let inputs = inputs.iter().map(|(n, x)| (n.to_string(), OnnxValue::Tensor(x.clone())));
        let inputs: HashMap<String, OnnxValue> = inputs.collect();
        let numbers = |y: OnnxValue| match y {
            OnnxValue::Tensor(y) => y.to_literal().unwrap().to_f64s(),
            other => panic!("{other:?}"),
        };
        let eager = session.run_eagerly(inputs.clone()).unwrap().into_iter().map(numbers);
        let ys: Vec<Vec<f64>> = session.run(inputs).unwrap().into_iter().map(numbers).collect();
        assert_eq!(ys, eager.collect::<Vec<_>>(), "compiled and eager results differ");
        ys
    }

    #[test]
    fn sizes_that_depend_on_data_are_found_between_segments() {
        let nodes = vec![
            node("Mul", "x x", "square"),
            node("Greater", "square limit", "mask"),
            node("NonZero", "mask", "places"),
            node("Transpose", "places", "rows"),
            node("GatherND", "square rows", "chosen"),
            node("Neg", "chosen", "y"),
        ];
        let limit = floats("limit", &[1], &[1.0]);
        let file = model(graph(&[("x", &[4])], &["y"], vec![limit], nodes));
        let session = Importer::new().open_bytes(file).unwrap();
        let y = run(&session, &[("x", tensor([1.0, 2.0, -3.0, 0.0]))]);
        assert_eq!(y, [vec![-4.0, -9.0]]);
        let y = run(&session, &[("x", tensor([5.0, 0.0, 0.0, 0.0]))]);
        assert_eq!(y, [vec![-25.0]]);
        let plan = "segment (x: f32[4]): 1 Greater, 1 Mul\nhost: NonZero #2\n";
        assert!(session.plan().starts_with(plan), "{}", session.plan());
        assert!(session.plan().contains("1 GatherND, 1 Neg, 1 Transpose"), "{}", session.plan());
    }

    #[test]
    fn shapes_in_inputs_become_constants_of_segments() {
        let nodes = vec![node("Add", "shape one", "new"), node("Reshape", "x new", "y")];
        let one = ints("one", &[1], &[1]);
        let mut g = graph(&[("x", &[4])], &["y"], vec![one], nodes);
        g.input.push(declared("shape", 7, &["2"]));
        let file = model(g);
        let session = Importer::new().open_bytes(file).unwrap();
        let x = tensor([1.0, 2.0, 3.0, 4.0]);
        for shape in [vec![1i64, 1], vec![3, 0], vec![0, 3]] {
            run(&session, &[("x", x.clone()), ("shape", Tensor::from_vec(shape, [2]))]);
        }
        let plan = session.plan();
        assert_eq!(plan.matches("segment").count(), 3, "one for each shape: {plan}");
        assert!(plan.contains("shape = [3.0, 0.0]") && !plan.contains("host"), "{plan}");
    }

    #[test]
    fn wrong_inputs_are_errors() {
        let file = model(graph(&[("x", &[2])], &["y"], vec![], vec![node("Relu", "x", "y")]));
        let session = Importer::new().open_bytes(file).unwrap();
        let e = session.run(HashMap::new()).unwrap_err().to_string();
        assert_eq!(e, "onnx: missing input `x`: expected f32[2]");
        let inputs = HashMap::from([("z".to_string(), OnnxValue::Tensor(Tensor::ones(2)))]);
        let e = session.run(inputs).unwrap_err().to_string();
        assert_eq!(e, "onnx: the model has no input `z`; it has: x");
    }
}
