//! The memory of one transformation: each nested graph is transformed once for the same flags.
//!
//! The rule of a loop transforms its body several times, as the fixed point of its flags needs the
//! flags of the body's results. If the body is a loop, too, its rule does the same in each of these
//! rounds, so that the cost would be exponential in the depth. Almost all of these calls ask for
//! the same: the memo returns the result of the first.
//!
//! A [`Builder`] carries the memo to the rules, and hands it to the builders of nested graphs.
//! The keys hold their graph, so that its address identifies it.

use super::{Jvp, Linearized, batch_graph, jvp_instantiated, linearize_instantiated};
use crate::{Axis, Graph, Result};
use rustc_hash::FxHashMap;
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The transforms of nested graphs that one transformation has computed. Clones share them.
#[derive(Clone, Default)]
pub struct Memo(Arc<Mutex<MemoTables>>);

/// The batched form of a graph, and for each output whether it is batched.
pub type BatchedGraph = (Graph, Vec<bool>);

/// One table for each transform.
#[derive(Default)]
struct MemoTables {
    jvps: FxHashMap<MemoKey<bool>, Arc<Jvp>>,
    linearized: FxHashMap<MemoKey<()>, Arc<Linearized>>,
    batched: FxHashMap<MemoKey<(usize, Option<Arc<str>>)>, Arc<BatchedGraph>>,
}

/// A nested graph with the flags of its inputs and outputs, and further parameters.
#[derive(Clone, PartialEq, Eq, Hash)]
struct MemoKey<P> {
    graph: GraphAddress,
    inputs: Vec<bool>,
    outputs: Vec<bool>,
    parameters: P,
}

/// A graph that is compared by its address.
#[derive(Clone)]
struct GraphAddress(Arc<Graph>);

impl Memo {
    /// Returns the derivative of `g`, as [`jvp_instantiated`] computes it.
    ///
    /// # Errors
    /// If an op has no derivative.
    pub fn jvp(
        &self,
        g: &Arc<Graph>,
        active: &[bool],
        force: &[bool],
        for_reverse: bool,
    ) -> Result<Arc<Jvp>> {
        let key = MemoKey::new(g, active, force, for_reverse);
        let known = self.tables().jvps.get(&key).cloned();
        known.map_or_else(
            || {
                let new = Arc::new(jvp_instantiated(self, g, active, force, for_reverse)?);
                self.tables().jvps.insert(key, new.clone());
                Ok(new)
            },
            Ok,
        )
    }

    /// Returns the two halves of the derivative of `g`, as [`linearize_instantiated`] computes
    /// them.
    ///
    /// # Errors
    /// If an op has no derivative, or one that cannot be split.
    pub fn linearize(
        &self,
        g: &Arc<Graph>,
        active: &[bool],
        force: &[bool],
    ) -> Result<Arc<Linearized>> {
        let key = MemoKey::new(g, active, force, ());
        let known = self.tables().linearized.get(&key).cloned();
        known.map_or_else(
            || {
                let d = self.jvp(g, active, force, true)?;
                let new = Arc::new(linearize_instantiated(g, &d)?);
                self.tables().linearized.insert(key, new.clone());
                Ok(new)
            },
            Ok,
        )
    }

    /// Returns the batched form of `g`, as [`batch_graph`] computes it.
    ///
    /// # Errors
    /// If an op cannot be batched.
    pub fn batch(
        &self,
        g: &Arc<Graph>,
        axis: &Axis,
        batched: &[bool],
        force: &[bool],
    ) -> Result<Arc<BatchedGraph>> {
        let key = MemoKey::new(g, batched, force, (axis.size, axis.name.clone()));
        let known = self.tables().batched.get(&key).cloned();
        known.map_or_else(
            || {
                let new = Arc::new(batch_graph(self, g, axis, batched, force)?);
                self.tables().batched.insert(key, new.clone());
                Ok(new)
            },
            Ok,
        )
    }

    /// Locks the tables, which never happens while a graph is transformed.
    fn tables(&self) -> MutexGuard<'_, MemoTables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> MemoKey<P> {
    fn new(g: &Arc<Graph>, inputs: &[bool], outputs: &[bool], parameters: P) -> MemoKey<P> {
        MemoKey {
            graph: GraphAddress(g.clone()),
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            parameters,
        }
    }
}

impl PartialEq for GraphAddress {
    fn eq(&self, o: &GraphAddress) -> bool {
        Arc::ptr_eq(&self.0, &o.0)
    }
}

impl Eq for GraphAddress {}

impl Hash for GraphAddress {
    fn hash<H: Hasher>(&self, h: &mut H) {
        Arc::as_ptr(&self.0).hash(h);
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let t = self.tables();
        let sizes = (t.jvps.len(), t.linearized.len(), t.batched.len());
        write!(f, "Memo({} jvps, {} linearized, {} batched)", sizes.0, sizes.1, sizes.2)
    }
}
