//! Segments: parts of a graph that are compiled as one program, and the cache in which a call finds
//! them.
//!
//! Calls of other threads go on while a segment is compiled, which takes seconds: the cache
//! is locked to look types up and to add what was made, never to trace or to compare numbers.
//! A thread that needs a segment of the types that another thread traces waits for it.

use crate::graph::OnnxGraph;
use crate::info::ValueInfo;
use crate::segment_info::SegmentInfo;
use crate::tracer::{Rest, traced};
use crate::value::OnnxValue;
use crate::value_type::ValueType;
use neurax_ir::{Error, Literal, OrBug, Result};
use neurax_tensor::{Compiled, Tensor};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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

/// The segments at one position, of different types.
#[derive(Debug, Default)]
pub(crate) struct SegmentCache {
    state: Mutex<CachedSegments>,
    /// Notified when a trace has ended.
    ended: Condvar,
}

/// The segments of a cache.
#[derive(Debug, Default)]
struct CachedSegments {
    /// The segments, the last used last.
    all: Vec<Arc<GraphSegment>>,
    /// The number of segments that were ever added.
    added: usize,
    /// The keys of the segments that are traced.
    open: Vec<SegmentKey>,
}

/// The nodes with which a segment begins, and the types of the values that they use.
#[derive(Clone, Debug, PartialEq)]
struct SegmentKey {
    nodes: Vec<usize>,
    types: BTreeMap<String, ValueType>,
}

/// A trace of the segment of a key: until it is dropped, other threads wait.
struct OpenTrace<'c> {
    cache: &'c SegmentCache,
    key: SegmentKey,
}

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

    /// Returns true if the constants of the segment are among the values.
    fn has_values(&self, values: &ValuesByName) -> bool {
        let has_value = |(name, want): (&String, &Literal)| match values.get(name) {
            Some(OnnxValue::Tensor(x)) => x.to_literal().is_ok_and(|x| x == *want),
            _ => false,
        };
        self.constants.iter().all(has_value)
    }

    /// Returns true if the segment is one for these nodes, and values of these types.
    fn has_types(&self, nodes: &[usize], values: &ValuesByName) -> bool {
        let has_type =
            |(name, want): (&String, &ValueType)| values.get(name).is_some_and(|x| want.is_of(x));
        self.begins_with == nodes
            && self.signatures.iter().all(has_type)
            && self.defaults.iter().all(|name| !values.contains_key(name))
    }

    /// Returns true if values are constants of the segment.
    fn has_constants(&self) -> bool {
        !self.constants.is_empty()
    }

    /// Traces and compiles the segment that begins with `nodes`. Small values that decide a shape
    /// become constants if `may_specialize` is set.
    ///
    /// # Errors
    /// If a node is invalid for its inputs, or the program cannot be compiled.
    fn trace(
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
        for segment in &self.lock().all {
            to.push(segment.info(graph, depth));
            segment.next.list(graph, depth + 1, to);
        }
    }

    /// Returns the segment that begins with `nodes` for these values, which is traced if it is
    /// missing.
    ///
    /// # Errors
    /// As for [`GraphSegment::trace`]. An error is not kept: the next call traces again.
    pub(crate) fn get(
        &self,
        graph: &Arc<OnnxGraph>,
        nodes: &[usize],
        values: &ValuesByName,
    ) -> Result<Arc<GraphSegment>> {
        let mut seen = match self.find(nodes, values) {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        let key = SegmentKey::of(graph, nodes, values);
        let trace = loop {
            if let Some(trace) = self.open(&key, seen) {
                break trace;
            }
            seen = match self.find(nodes, values) {
                Ok(found) => return Ok(found),
                Err(seen) => seen,
            };
        };
        let is_variant = |s: &&Arc<GraphSegment>| s.has_constants() && s.has_types(nodes, values);
        let may_specialize = self.lock().all.iter().filter(is_variant).count() < MAX_VARIANTS;
        let new = Arc::new(GraphSegment::trace(graph, nodes, values, may_specialize)?);
        self.add(new.clone());
        // Only now: those who wait find the segment.
        drop(trace);
        Ok(new)
    }

    /// Returns the segment for these nodes and values. If there is none, returns the number of
    /// segments that were added before.
    fn find(&self, nodes: &[usize], values: &ValuesByName) -> Result<Arc<GraphSegment>, usize> {
        let (candidates, added) = {
            let state = self.lock();
            let newest = state.all.iter().rev().filter(|s| s.has_types(nodes, values));
            (newest.cloned().collect::<Vec<_>>(), state.added)
        };
        let found = candidates.into_iter().find(|s| s.has_values(values)).ok_or(added)?;
        let all = &mut self.lock().all;
        if let Some(i) = all.iter().position(|s| Arc::ptr_eq(s, &found)) {
            all[i..].rotate_left(1);
        }
        Ok(found)
    }

    /// Begins the trace of a segment. If others were added since the number `seen`, or after a wait
    /// for another thread that traces the same key, returns `None`: the segment may be there.
    fn open(&self, key: &SegmentKey, seen: usize) -> Option<OpenTrace<'_>> {
        let mut state = self.lock();
        if state.open.contains(key) {
            let is_open = |state: &mut CachedSegments| state.open.contains(key);
            drop(self.ended.wait_while(state, is_open).unwrap_or_else(PoisonError::into_inner));
            return None;
        }
        if state.added != seen {
            return None;
        }
        state.open.push(key.clone());
        Some(OpenTrace { cache: self, key: key.clone() })
    }

    /// Adds a segment; the one that was not used for the longest time makes room for it.
    fn add(&self, new: Arc<GraphSegment>) {
        let mut state = self.lock();
        if state.all.len() == MAX_SEGMENTS {
            state.all.remove(0);
        }
        state.all.push(new);
        state.added += 1;
    }

    fn lock(&self) -> MutexGuard<'_, CachedSegments> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SegmentKey {
    fn of(graph: &OnnxGraph, nodes: &[usize], values: &ValuesByName) -> SegmentKey {
        let used = nodes.iter().flat_map(|&i| graph.nodes[i].needs());
        let types =
            used.filter_map(|name| Some((name.to_string(), ValueType::of(values.get(name)?))));
        SegmentKey { nodes: nodes.to_vec(), types: types.collect() }
    }
}

impl Drop for OpenTrace<'_> {
    fn drop(&mut self) {
        self.cache.lock().open.retain(|key| *key != self.key);
        self.cache.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Importer;
    use crate::proto::NodeProto;
    use crate::testing::{graph, int_list, model, node};
    use std::thread;

    fn graph_of(n: NodeProto) -> Arc<OnnxGraph> {
        let file = model(graph(&[("x", &[-1])], &["y"], vec![], vec![n]));
        Arc::new(Importer::new().model(file.into(), None).unwrap().1)
    }

    fn relu() -> Arc<OnnxGraph> {
        graph_of(node("Relu", "x", "y"))
    }

    fn ones(count: usize) -> ValuesByName {
        HashMap::from([("x".to_string(), OnnxValue::Tensor(Tensor::ones(count)))])
    }

    #[test]
    fn calls_of_known_shapes_go_on_while_another_shape_is_traced() {
        let (graph, cache) = (relu(), SegmentCache::default());
        let known = cache.get(&graph, &[0], &ones(2)).unwrap();
        let key = SegmentKey::of(&graph, &[0], &ones(3));
        let trace = cache.open(&key, 1).expect("no other thread traces");
        // With the lock held meanwhile, these calls would never return.
        assert!(Arc::ptr_eq(&cache.get(&graph, &[0], &ones(2)).unwrap(), &known));
        cache.get(&graph, &[0], &ones(4)).unwrap();
        assert_eq!(cache.lock().open, [key]);
        drop(trace);
        assert!(cache.lock().open.is_empty());
    }

    #[test]
    fn threads_trace_a_new_shape_once() {
        let (graph, cache) = (relu(), SegmentCache::default());
        let found: Vec<Arc<GraphSegment>> = thread::scope(|scope| {
            let call = || cache.get(&graph, &[0], &ones(5)).unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(found.iter().all(|s| Arc::ptr_eq(s, &found[0])));
        assert_eq!(cache.lock().added, 1);
    }

    #[test]
    fn a_trace_that_fails_lets_others_try() {
        let transpose = node("Transpose", "x", "y").with(int_list("perm", &[1, 0]));
        let (graph, cache) = (graph_of(transpose), SegmentCache::default());
        for _ in 0..2 {
            assert!(cache.get(&graph, &[0], &ones(2)).is_err(), "a vector has one axis");
            assert!(cache.lock().open.is_empty());
        }
    }
}
