//! A user's function, traced: the graph, what it captured, and the structure of its result.

use crate::{
    Error, Result, Tensor, Tree, Type,
    emit::{Outs, apply},
    tensor::At,
    trace::Trace,
};
use neurax_ir::{Builder, Graph, Place};
use rustc_hash::FxHashMap;

/// A traced function.
pub(crate) struct Closed<O> {
    /// Inputs are the good leaves of the argument, then the captures; outputs the good leaves of
    /// the result.
    pub graph: Result<Graph>,
    pub captures: Vec<Tensor>,
    /// Which leaves of the argument are inputs; the others carried errors.
    pub good: Vec<bool>,
    pub out: Skeleton<O>,
}

/// The structure of a result without its tensors, so that it does not keep the trace alive.
pub(crate) struct Skeleton<O> {
    hollow: O,
    pub slots: Vec<Slot>,
}

/// Where a leaf of the result comes from.
#[derive(Clone)]
pub(crate) enum Slot {
    /// That output of the graph.
    Output(usize),
    /// It carries that error whatever the arguments are.
    Error(Error),
}

/// What a trace is for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// Small concrete values are constants: for `jit` and the bodies of loops.
    Program,
    /// They are captured: for transforms that run at once.
    Transform,
}

/// Runs `f` on tracers of the types of `like`. A leaf that carries an error stays as it is.
pub(crate) fn trace<A: Tree, O: Tree>(
    f: &dyn Fn(A) -> O,
    like: &A,
    mode: Mode,
    at: At,
) -> Closed<O> {
    trace_with(f, like, mode, at, &mut |_, t| Ok(t.clone()))
}

/// Like [`trace`], with the types that `change` makes of those of the leaves, which it gets by
/// number. A leaf for which it fails carries the error.
pub(crate) fn trace_with<A: Tree, O: Tree>(
    f: &dyn Fn(A) -> O,
    like: &A,
    mode: Mode,
    at: At,
    change: &mut dyn FnMut(usize, &Type) -> Result<Type>,
) -> Closed<O> {
    let trace = Trace::new(mode == Mode::Program);
    let (mut leaves, mut good) = (vec![], vec![]);
    like.each_leaf(|x| {
        let leaf = match x.type_ref().map(|t| change(leaves.len(), t)) {
            Ok(Ok(t)) => trace.argument(t),
            Ok(Err(e)) => Tensor::error_at(e, at),
            Err(_) => x.clone(),
        };
        good.push(leaf.is_traced());
        leaves.push(leaf);
    });
    let out = f(like.with_leaves(leaves));
    let (mut slots, mut outs) = (vec![], vec![]);
    out.each_leaf(|x| match x.error() {
        Some(e) => slots.push(Slot::Error(e.clone())),
        None => {
            slots.push(Slot::Output(outs.len()));
            outs.push(x.clone());
        }
    });
    let hollow = out.map_leaves(|_| Tensor::hollow());
    drop(out);
    let (graph, captures) = match trace.finish(good.iter().filter(|g| **g).count(), &outs, at) {
        Ok((graph, captures)) => (Ok(graph), captures),
        Err(e) => (Err(e), vec![]),
    };
    Closed { graph, captures, good, out: Skeleton { hollow, slots } }
}

impl<O: Tree> Skeleton<O> {
    /// The result with those outputs.
    pub fn fill(&self, outs: impl IntoIterator<Item = Tensor>) -> O {
        let mut outs: Vec<Option<Tensor>> = outs.into_iter().map(Some).collect();
        let mut take = |slot: &Slot| match slot {
            Slot::Output(i) => {
                outs.get_mut(*i).and_then(Option::take).unwrap_or_else(Tensor::hollow)
            }
            Slot::Error(e) => Tensor::from_error(e.clone()),
        };
        let mut slots = self.slots.iter();
        self.hollow.rebuild(&mut || slots.next().map_or_else(Tensor::hollow, &mut take))
    }

    /// The result with those outputs, or with that error in every leaf.
    pub fn fill_or_fail(&self, outs: Result<Outs>, at: At) -> O {
        match outs {
            Ok(outs) => self.fill(outs),
            Err(e) => self.fail(&e, at),
        }
    }

    /// The result with that error in every leaf.
    pub fn fail(&self, e: &Error, at: At) -> O {
        crate::tree::all_errors(&self.hollow, e, at)
    }

    /// The first leaf that carries an error whatever the arguments are.
    pub fn error(&self) -> Option<&Error> {
        self.slots.iter().find_map(|s| match s {
            Slot::Error(e) => Some(e),
            Slot::Output(_) => None,
        })
    }

    /// The paths of the leaves.
    pub fn paths(&self) -> Vec<String> {
        self.hollow.leaves().into_iter().map(|(p, _)| p).collect()
    }
}

impl<O: Tree> Closed<O> {
    /// The graph.
    pub fn graph(&self) -> Result<&Graph> {
        self.graph.as_ref().map_err(Clone::clone)
    }

    /// How many inputs are arguments.
    pub fn args(&self) -> usize {
        self.good.iter().filter(|g| **g).count()
    }

    /// Good leaves and captures, as the graph takes them.
    pub fn operands(&self, leaves: Vec<Tensor>) -> Vec<Tensor> {
        let good = leaves.into_iter().zip(&self.good).filter(|(_, g)| **g).map(|(x, _)| x);
        good.chain(self.captures.iter().cloned()).collect()
    }

    /// The graph applied to leaves.
    pub fn call(&self, leaves: Vec<Tensor>, at: At) -> O {
        let outs = self.graph().and_then(|g| apply(g, self.operands(leaves), at));
        self.out.fill_or_fail(outs, at)
    }

    /// What [`join`] takes.
    pub fn part(&self) -> Result<Part<'_>> {
        Ok(Part { graph: self.graph()?, args: self.args(), captures: &self.captures })
    }

    /// The first error among the leaves of the result, with the leaf's path: what the body of a
    /// loop must not have.
    ///
    /// # Errors
    /// That error.
    pub fn check(&self) -> Result<()> {
        match self.out.error() {
            Some(e) => Err(e.clone()),
            None => self.graph().map(|_| ()),
        }
    }
}

/// One of several graphs whose captures are joined: inputs `(args.., captures..)`.
pub(crate) struct Part<'a> {
    pub graph: &'a Graph,
    pub args: usize,
    pub captures: &'a [Tensor],
}

/// Captures of several traced functions, joined by identity, and each function's graph as `(all
/// captures.., its arguments..)`.
pub(crate) struct Joint {
    pub captures: Vec<Tensor>,
    pub graphs: Vec<Graph>,
}

pub(crate) fn join(parts: &[Part]) -> Result<Joint> {
    let mut captures: Vec<Tensor> = vec![];
    let mut known: FxHashMap<usize, usize> = FxHashMap::default();
    for x in parts.iter().flat_map(|p| p.captures) {
        known.entry(x.identity()).or_insert_with(|| {
            captures.push(x.clone());
            captures.len() - 1
        });
    }
    let types = captures.iter().map(Tensor::ty).collect::<Result<Vec<_>>>()?;
    let graphs = parts.iter().map(|p| {
        let mut b = Builder::new();
        let shared = b.inputs(&types);
        let own = b.inputs(&p.graph.input_types()[..p.args]);
        let inputs: Vec<_> = own
            .into_iter()
            .chain(p.captures.iter().map(|x| shared[known[&x.identity()]]))
            .collect();
        let outs = b.inline(p.graph, &inputs);
        b.finish(&outs)
    });
    Ok(Joint { graphs: graphs.collect::<Result<_>>()?, captures })
}

/// The place as an origin's.
pub(crate) fn place(at: At) -> Place {
    Place::Source(at)
}
