//! A traced user function: the graph, its captures, and the structure of its result.
//!
//! [`trace_fn`] runs the function on traced tensors of the argument's types. The tensors that come
//! out become the outputs of the graph; the tree around them is kept as an [`OutputTree`] with
//! placeholders, so that the result can be rebuilt from the outputs of a run. A closed graph
//! `(arguments.., captures..) -> outputs..` is all that transforms and backends see.
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
};
use neurax_ir::{Builder, Graph};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A traced function.
pub(crate) struct TracedFn<O> {
    /// The graph. Inputs are the leaves of the argument without errors, then the captures; outputs
    /// are the leaves of the result without errors.
    pub graph: Result<Graph>,
    /// The tensors from outside that the function uses, each once.
    pub captures: Vec<Tensor>,
    /// For each leaf of the argument, true if it is an input of the graph; other leaves carried
    /// errors.
    pub is_input: Vec<bool>,
    /// The structure of the result.
    pub out: OutputTree<O>,
}

/// The structure of a result without its tensors.
pub(crate) struct OutputTree<O> {
    /// The result with a placeholder in every leaf.
    tree: O,
    /// The source of each leaf, in the order of the tree.
    pub leaves: Vec<OutputLeaf>,
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
pub(crate) fn trace_fn<A: Tree, O: Tree>(
    f: &dyn Fn(A) -> O,
    like: &A,
    kind: TraceKind,
    at: CallSite,
) -> TracedFn<O> {
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
) -> TracedFn<O> {
    let trace = Trace::new(kind);
    let (mut leaves, mut is_input) = (vec![], vec![]);
    like.each_leaf(|x| {
        let leaf = match x.type_ref().map(|t| change(leaves.len(), t)) {
            Ok(Ok(t)) => trace.argument(t),
            Ok(Err(e)) => Tensor::error_at(e, at),
            Err(_) => x.clone(),
        };
        is_input.push(leaf.is_traced());
        leaves.push(leaf);
    });
    let arg = like.with_leaves(leaves);
    let out = trace.run(|| f(arg));
    let (mut out_leaves, mut outs) = (vec![], vec![]);
    out.each_leaf(|x| match x.error() {
        Some(e) => out_leaves.push(OutputLeaf::Error(e.clone())),
        None => {
            out_leaves.push(OutputLeaf::Output(outs.len()));
            outs.push(x.clone());
        }
    });
    let tree = out.map_leaves(|_| Tensor::placeholder());
    drop(out);
    let (graph, captures) = match trace.finish(is_input.iter().filter(|g| **g).count(), &outs, at) {
        Ok((graph, captures)) => (Ok(graph), captures),
        Err(e) => (Err(e), vec![]),
    };
    TracedFn { graph, captures, is_input, out: OutputTree { tree, leaves: out_leaves } }
}

impl<O: Tree> OutputTree<O> {
    /// Returns the result with `outs` in its leaves.
    pub fn fill(&self, outs: impl IntoIterator<Item = Tensor>) -> O {
        let mut outs: SmallVec<[Option<Tensor>; 4]> = outs.into_iter().map(Some).collect();
        let mut take = |leaf: &OutputLeaf| match leaf {
            OutputLeaf::Output(i) => {
                outs.get_mut(*i).and_then(Option::take).unwrap_or_else(Tensor::placeholder)
            }
            OutputLeaf::Error(e) => Tensor::from_error(e.clone()),
        };
        let mut leaves = self.leaves.iter();
        self.tree.rebuild(&mut || leaves.next().map_or_else(Tensor::placeholder, &mut take))
    }

    /// Returns the result with `outs` in its leaves, or with the error in every leaf.
    pub fn fill_or_fail(&self, outs: Result<Outs>, at: CallSite) -> O {
        match outs {
            Ok(outs) => self.fill(outs),
            Err(e) => self.fail(&e, at),
        }
    }

    /// Returns the result with `e` in every leaf.
    pub fn fail(&self, e: &Error, at: CallSite) -> O {
        crate::tree::all_errors(&self.tree, e, at)
    }

    /// Returns the first error that a leaf carries for all arguments.
    pub fn error(&self) -> Option<&Error> {
        self.leaves.iter().find_map(|s| match s {
            OutputLeaf::Error(e) => Some(e),
            OutputLeaf::Output(_) => None,
        })
    }

    /// Returns the paths of the leaves.
    pub fn paths(&self) -> Vec<String> {
        self.tree.leaves().into_iter().map(|(p, _)| p).collect()
    }
}

impl<O: Tree> TracedFn<O> {
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

    /// Applies the graph to `leaves`, the leaves of an argument.
    pub fn call(&self, leaves: Vec<Tensor>, at: CallSite) -> O {
        let outs = self.graph().and_then(|g| apply_graph(g, self.operands(leaves), at));
        self.out.fill_or_fail(outs, at)
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
        match self.out.error() {
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
