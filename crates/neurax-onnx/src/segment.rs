//! Segments: parts of a graph that are compiled as one program.

use crate::graph::OnnxGraph;
use crate::info::ValueInfo;
use crate::segment_info::SegmentInfo;
use crate::tracer::{Rest, traced};
use crate::value::OnnxValue;
use crate::value_type::ValueType;
use neurax_ir::{Error, Literal, OrBug, Result};
use neurax_tensor::{Compiled, Tensor};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The number of segments that are kept for one position in the graph.
const MAX_SEGMENTS: usize = 32;
/// The number of segments of one position that differ in their constants alone: a value that has
/// had that number of values varies, and is no shape.
const MAX_VARIANTS: usize = 8;

/// The values of a call so far, by name.
pub(crate) type ValuesByName = HashMap<String, OnnxValue>;

/// A compiled part of a graph.
pub(crate) struct GraphSegment {
    /// The nodes that were left when the segment began.
    begins_with: Vec<usize>,
    /// The types of the values that the segment may use.
    signatures: BTreeMap<String, ValueType>,
    /// The values that are constants of the segment.
    constants: BTreeMap<String, Literal>,
    /// The inputs of the graph for which the segment uses the values of the file.
    defaults: Vec<String>,
    /// The values that the program takes, in order.
    inputs: Vec<String>,
    /// The program; `None` if all nodes run on the host.
    program: Option<Compiled<Vec<Tensor>, Vec<Tensor>>>,
    /// The values that the program returns: their tensors are results of it, in order.
    outputs: Vec<(String, OnnxValue)>,
    rest: Rest,
    /// The segments that follow.
    pub(crate) next: SegmentCache,
}

/// The segments at one position, of different types, the last used last.
#[derive(Debug, Default)]
pub(crate) struct SegmentCache(Mutex<Vec<Arc<GraphSegment>>>);

impl GraphSegment {
    /// Returns the nodes behind the segment.
    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Returns the description of the segment, which runs behind `depth` others.
    fn info(&self, graph: &OnnxGraph, depth: usize) -> SegmentInfo {
        let input = |name: &String| {
            let ty = match self.signatures.get(name) {
                Some(ValueType::Tensor(t)) => t.to_string(),
                _ => String::new(),
            };
            ValueInfo { name: name.clone(), r#type: ty }
        };
        let put_off: HashSet<usize> = self.rest.nodes.iter().copied().collect();
        let nodes = self.begins_with.iter().filter(|i| !put_off.contains(*i));
        let mut operators: BTreeMap<String, usize> = BTreeMap::new();
        nodes.for_each(|&i| *operators.entry(graph.nodes[i].operator().into()).or_default() += 1);
        let program = self.program.as_ref();
        SegmentInfo {
            depth,
            inputs: self.inputs.iter().map(input).collect(),
            constants: self.constants.iter().map(|(n, x)| (n.clone(), x.to_f64s())).collect(),
            operators,
            on_host: self.rest.on_host.iter().map(|&i| graph.nodes[i].label.clone()).collect(),
            rewrites: program.map_or(&[][..], Compiled::rewrites).to_vec(),
            summary: program.and_then(Compiled::summary),
            weight_bytes: program.map_or(0, Compiled::captured_bytes),
            call_bytes: program.and_then(Compiled::call_bytes),
        }
    }

    /// Returns true if the segment is one for these nodes and values.
    pub(crate) fn fits(&self, nodes: &[usize], values: &ValuesByName) -> bool {
        let has_value = |(name, want): (&String, &Literal)| match values.get(name) {
            Some(OnnxValue::Tensor(x)) => x.to_literal().is_ok_and(|x| x == *want),
            _ => false,
        };
        self.has_types(nodes, values) && self.constants.iter().all(has_value)
    }

    /// Returns true if the segment is one for these nodes, and values of these types.
    pub(crate) fn has_types(&self, nodes: &[usize], values: &ValuesByName) -> bool {
        let has_type =
            |(name, want): (&String, &ValueType)| values.get(name).is_some_and(|x| want.is_of(x));
        self.begins_with == nodes
            && self.signatures.iter().all(has_type)
            && self.defaults.iter().all(|name| !values.contains_key(name))
    }

    /// Returns true if values are constants of the segment.
    pub(crate) fn has_constants(&self) -> bool {
        !self.constants.is_empty()
    }

    /// Traces and compiles the segment that begins with `nodes`. Small values that decide a shape
    /// become constants if `may_specialize` is set.
    ///
    /// # Errors
    /// If a node is invalid for its inputs, or the program cannot be compiled.
    pub(crate) fn trace(
        graph: &Arc<OnnxGraph>,
        nodes: &[usize],
        values: &ValuesByName,
        may_specialize: bool,
    ) -> Result<GraphSegment> {
        let used: HashSet<&str> = nodes.iter().flat_map(|&i| graph.nodes[i].needs()).collect();
        let has_default = |name: &String| {
            used.contains(name.as_str())
                && graph.initializers.contains_key(name)
                && !values.contains_key(name)
        };
        let inputs = graph.inputs.iter().map(|input| &input.name);
        let defaults: Vec<String> = inputs.filter(|name| has_default(name)).cloned().collect();
        let used: BTreeMap<&String, &OnnxValue> =
            values.iter().filter(|(name, _)| used.contains(name.as_str())).collect();
        let mut constants: BTreeSet<String> = BTreeSet::new();
        loop {
            let found = traced(graph, nodes, &used, &constants, may_specialize)?;
            if let Some(e) = found.error {
                return Err(e);
            }
            if !found.needed.is_empty() {
                constants.extend(found.needed);
                continue;
            }
            let literal = |name: &String| match used.get(name) {
                Some(OnnxValue::Tensor(x)) => Ok((name.clone(), x.to_literal()?)),
                _ => Err(Error::bug("a constant of a segment is no tensor")),
            };
            return Ok(GraphSegment {
                begins_with: nodes.to_vec(),
                signatures: used.iter().map(|(n, x)| ((*n).clone(), ValueType::of(x))).collect(),
                constants: constants.iter().map(literal).collect::<Result<_>>()?,
                defaults,
                inputs: found.inputs,
                program: found.program,
                outputs: found.outputs.into_iter().map(|(n, x)| (n, x.skeleton())).collect(),
                rest: found.rest,
                next: SegmentCache::default(),
            });
        }
    }

    /// Runs the program and adds its results to the values.
    ///
    /// # Errors
    /// If the program fails.
    pub(crate) fn run(&self, values: &mut ValuesByName) -> Result<()> {
        let Some(program) = &self.program else { return Ok(()) };
        let mut inputs = Vec::new();
        for name in &self.inputs {
            values.get(name).or_bug("a value of a segment is missing")?.append_tensors(&mut inputs);
        }
        let mut results = program.run(inputs)?.into_iter();
        for (name, skeleton) in &self.outputs {
            let value = skeleton.with_tensors(&mut || results.next());
            values.insert(name.clone(), value.or_bug("a program returns too few results")?);
        }
        Ok(())
    }
}

impl std::fmt::Debug for GraphSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Segment").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl SegmentCache {
    /// Appends the descriptions of the segments, those that follow one behind it.
    pub(crate) fn list(&self, graph: &OnnxGraph, depth: usize, to: &mut Vec<SegmentInfo>) {
        for segment in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            to.push(segment.info(graph, depth));
            segment.next.list(graph, depth + 1, to);
        }
    }

    /// Returns the segment that begins with `nodes` for these values.
    pub(crate) fn get(
        &self,
        graph: &Arc<OnnxGraph>,
        nodes: &[usize],
        values: &ValuesByName,
    ) -> Result<Arc<GraphSegment>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = all.iter().rposition(|s| s.fits(nodes, values)) {
            let found = all.remove(i);
            all.push(found.clone());
            return Ok(found);
        }
        let is_variant = |s: &&Arc<GraphSegment>| s.has_constants() && s.has_types(nodes, values);
        let may_specialize = all.iter().filter(is_variant).count() < MAX_VARIANTS;
        let new = Arc::new(GraphSegment::trace(graph, nodes, values, may_specialize)?);
        if all.len() == MAX_SEGMENTS {
            all.remove(0);
        }
        all.push(new.clone());
        Ok(new)
    }
}
