//! A traced user function: the graph, its captures, and the structure of its result.
//!
//! [`trace_fn`] runs the function on traced tensors of the argument's types. The tensors that come
//! out become the outputs of the graph; the tree around them is kept with placeholders, so that the
//! result can be rebuilt from the outputs of a run. A closed graph `(arguments.., captures..) ->
//! outputs..` is all that transforms and backends see.
//!
//! # Invariants
//!
//! - A leaf of the argument that carries an error is not an input: the function gets the error.
//! - A leaf of the result that carries an error is not an output. The other leaves stay good, so
//!   an error reaches only the leaves that depend on it.
//! - Nothing here keeps the trace alive: its memory is freed when tracing ends.

use crate::{
    Error, Result, Tensor, Tree, Type,
    dispatch::{Outs, apply_graph},
    tensor::CallSite,
    trace::{Trace, TraceKind},
    tree::{AnyTree, placeholders, rebuild, visit_leaves},
};
use neurax_ir::{Builder, Graph, Place};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A traced function.
pub(crate) struct TracedFn {
    /// The graph. Inputs are the leaves of the argument without errors, then the captures; outputs
    /// are the leaves of the result without errors.
    pub graph: Result<Graph>,
    /// The tensors from outside that the function uses, each once.
    pub captures: Vec<Tensor>,
    /// For each leaf of the argument, true if it is an input of the graph; other leaves carried
    /// errors.
    pub is_input: Vec<bool>,
    /// The source of each leaf of the result.
    pub out: Vec<OutputLeaf>,
}

/// The source of a leaf of the result.
#[derive(Clone)]
pub(crate) enum OutputLeaf {
    /// The output of the graph with this index.
    Output(usize),
    /// This error, for all arguments.
    Error(Error),
}

/// Traces `f` on an argument of the types of `like`. A leaf that carries an error stays as it is.
/// Returns the traced function and the structure of its result, with placeholders for leaves.
pub(crate) fn trace_fn<A: Tree, O: Tree>(
    f: &dyn Fn(A) -> O,
    like: &A,
    kind: TraceKind,
    at: CallSite,
) -> (TracedFn, O) {
    trace_fn_as(f, like, kind, at, &mut |_, t| Ok(t.clone()))
}

/// Traces `f` as [`trace_fn`] does, with the type `change(i, ty)` for leaf `i` of type `ty`. A leaf
/// for which `change` fails carries the error.
pub(crate) fn trace_fn_as<A: Tree, O: Tree>(
    f: &dyn Fn(A) -> O,
    like: &A,
    kind: TraceKind,
    at: CallSite,
    change: &mut dyn FnMut(usize, &Type) -> Result<Type>,
) -> (TracedFn, O) {
    let (started, leaves) = StartedTrace::new(like, kind, at, change);
    let arg = rebuild(like, leaves);
    let out = {
        let _open = started.trace.open_if_body();
        f(arg)
    };
    let traced = started.finish(&out, at);
    let structure = rebuild(&out, placeholders(&out));
    (traced, structure)
}

/// A trace whose function has not returned yet.
struct StartedTrace {
    trace: Arc<Trace>,
    is_input: Vec<bool>,
}

impl StartedTrace {
    /// Starts a trace. Returns it with the leaves of the argument of the function.
    fn new(
        like: &dyn AnyTree,
        kind: TraceKind,
        at: CallSite,
        change: &mut dyn FnMut(usize, &Type) -> Result<Type>,
    ) -> (StartedTrace, Outs) {
        let trace = Trace::new(kind);
        let (mut leaves, mut is_input) = (Outs::new(), vec![]);
        visit_leaves(like, false, &mut |_, x| {
            let leaf = match x.type_ref().map(|t| change(leaves.len(), t)) {
                Ok(Ok(t)) => trace.argument(t),
                Ok(Err(e)) => Tensor::error_at(e, at),
                Err(_) => x.clone(),
            };
            is_input.push(leaf.is_traced());
            leaves.push(leaf);
        });
        (StartedTrace { trace, is_input }, leaves)
    }

    /// Ends the trace of a function that returned `result`.
    fn finish(self, result: &dyn AnyTree, at: CallSite) -> TracedFn {
        let StartedTrace { trace, is_input } = self;
        let (mut out, mut outs) = (vec![], vec![]);
        visit_leaves(result, false, &mut |_, x| match x.error() {
            Some(e) => out.push(OutputLeaf::Error(e.clone())),
            None => {
                out.push(OutputLeaf::Output(outs.len()));
                outs.push(x.clone());
            }
        });
        let args = is_input.iter().filter(|g| **g).count();
        let (graph, captures) = match trace.finish(args, &outs, at) {
            Ok((graph, captures)) => (Ok(graph), captures),
            Err(e) => (Err(e), vec![]),
        };
        TracedFn { graph, captures, is_input, out }
    }
}

impl TracedFn {
    /// Returns the leaves of the result, for the outputs `outs` of the graph.
    pub fn fill(&self, outs: Outs) -> Outs {
        if outs.len() == self.out.len() {
            return outs;
        }
        let mut outs = outs.into_iter();
        let leaf = |leaf: &OutputLeaf| match leaf {
            OutputLeaf::Output(_) => outs.next().unwrap_or_else(Tensor::placeholder),
            OutputLeaf::Error(e) => Tensor::from_error(e.clone()),
        };
        self.out.iter().map(leaf).collect()
    }

    /// Returns the leaves of the result, for the outputs `outs` of the graph or with the error in
    /// every leaf.
    pub fn fill_or_fail(&self, outs: Result<Outs>, at: CallSite) -> Outs {
        match outs {
            Ok(outs) => self.fill(outs),
            Err(e) => self.fail(&e, at),
        }
    }

    /// Returns `e` for every leaf of the result.
    pub fn fail(&self, e: &Error, at: CallSite) -> Outs {
        let e = e.clone().at(&Place::Source(at));
        self.out.iter().map(|_| Tensor::from_error(e.clone())).collect()
    }

    /// Returns the first error that a leaf of the result carries for all arguments.
    pub fn error(&self) -> Option<&Error> {
        self.out.iter().find_map(|s| match s {
            OutputLeaf::Error(e) => Some(e),
            OutputLeaf::Output(_) => None,
        })
    }

    /// Returns the graph.
    ///
    /// # Errors
    /// The error of tracing.
    pub fn graph(&self) -> Result<&Graph> {
        self.graph.as_ref().map_err(Clone::clone)
    }

    /// Returns the number of inputs that are leaves of the argument.
    pub fn arg_count(&self) -> usize {
        self.is_input.iter().filter(|g| **g).count()
    }

    /// Returns the inputs of the graph: the leaves that are inputs, then the captures.
    pub fn operands(&self, leaves: Vec<Tensor>) -> Vec<Tensor> {
        let args = leaves.into_iter().zip(&self.is_input).filter(|(_, g)| **g).map(|(x, _)| x);
        args.chain(self.captures.iter().cloned()).collect()
    }

    /// Applies the graph to `leaves`, the leaves of an argument. Returns the leaves of the result.
    pub fn call(&self, leaves: Vec<Tensor>, at: CallSite) -> Outs {
        let outs = self.graph().and_then(|g| apply_graph(g, self.operands(leaves), at));
        self.fill_or_fail(outs, at)
    }

    /// Returns the graph and its captures, for [`unify_captures`].
    ///
    /// # Errors
    /// The error of tracing.
    pub fn capturing_graph(&self) -> Result<CapturingGraph<'_>> {
        Ok(CapturingGraph {
            graph: self.graph()?,
            args: self.arg_count(),
            captures: &self.captures,
        })
    }

    /// Checks that no leaf of the result carries an error, as the body of a loop needs it.
    ///
    /// # Errors
    /// The first error among the leaves of the result, or the error of tracing.
    pub fn check(&self) -> Result<()> {
        match self.error() {
            Some(e) => Err(e.clone()),
            None => self.graph().map(|_| ()),
        }
    }
}

/// A graph with inputs `(args.., captures..)`, one of several whose captures are unified.
pub(crate) struct CapturingGraph<'a> {
    pub graph: &'a Graph,
    /// The number of inputs in front of the captures.
    pub args: usize,
    pub captures: &'a [Tensor],
}

/// The union of the captures of several traced functions, by identity, and each function's graph as
/// `(all captures.., its arguments..)`.
pub(crate) struct UnifiedCaptures {
    pub captures: Vec<Tensor>,
    pub graphs: Vec<Graph>,
}

/// Gives several graphs the same captures, in front of their arguments: the branches of a `cond`
/// and the rules of a custom derivative are called with one list of operands.
///
/// # Errors
/// When a capture carries an error.
pub(crate) fn unify_captures(graphs: &[CapturingGraph]) -> Result<UnifiedCaptures> {
    let mut captures: Vec<Tensor> = vec![];
    let mut known: FxHashMap<usize, usize> = FxHashMap::default();
    for x in graphs.iter().flat_map(|p| p.captures) {
        known.entry(x.identity()).or_insert_with(|| {
            captures.push(x.clone());
            captures.len() - 1
        });
    }
    let types = captures.iter().map(Tensor::ty).collect::<Result<Vec<_>>>()?;
    let unified = graphs.iter().map(|p| {
        let mut b = Builder::new();
        let shared = b.inputs(&types);
        let args = b.inputs(&p.graph.input_types()[..p.args]);
        let inputs: Vec<_> = args
            .into_iter()
            .chain(p.captures.iter().map(|x| shared[known[&x.identity()]]))
            .collect();
        let outs = b.inline(p.graph, &inputs);
        b.finish(&outs)
    });
    Ok(UnifiedCaptures { graphs: unified.collect::<Result<_>>()?, captures })
}
