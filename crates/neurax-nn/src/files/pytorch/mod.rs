//! State dicts that PyTorch saved.
//!
//! The problem: `torch.save` writes a zip archive with a pickle, a program for a stack machine that
//! may call any Python function, and one file of elements for each storage. Loading it with Python
//! executes what the file says. The method here is an interpreter of the pickle language that
//! builds values and calls nothing: the few functions that rebuild tensors and ordered dicts are
//! known by name, the results of all others are opaque values.
//!
//! ```text
//! archive/data.pkl    {"conv.weight": rebuild_tensor(storage 0, offset 0, size, stride), ..}
//! archive/data/0      the elements of storage 0
//! archive/byteorder   little
//! ```
//!
//! # Invariants
//!
//! - Nothing in the file is executed, and no other file is opened.
//! - Memory is bounded by the size of the file: a tensor has no more elements than its
//!   storage, and the depth of nested dicts is limited.

mod archive;
mod pickle;
mod value;

use super::error::{failed, malformed};
use archive::Archive;
use neurax_tensor::{Result, Tensor};
use pickle::Pickle;
use std::collections::BTreeMap;
use std::path::Path;
use value::{Heap, Id, PickleValue, StoredTensor};

/// Reads the tensors of a state dict by name.
pub(super) fn load(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    try_load(path).map_err(|e| failed(path, e.message()))
}

fn try_load(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let mut archive = Archive::open(path)?;
    let (heap, root) = Pickle::run(&archive.pickle()?)?;
    let mut found = Vec::new();
    StateDict { heap: &heap, visits: 0, found: &mut found }.visit(root, "", 0)?;
    if found.is_empty() {
        return Err(malformed("expected a dict of tensors, got none".into()));
    }
    found.into_iter().map(|(name, stored)| Ok((name, archive.tensor(stored)?))).collect()
}

/// The search for tensors in nested dicts.
struct StateDict<'h, 'f> {
    heap: &'h Heap,
    visits: usize,
    /// The tensors with their dotted names.
    found: &'f mut Vec<(String, &'h StoredTensor)>,
}

impl StateDict<'_, '_> {
    fn visit(&mut self, id: Id, name: &str, depth: usize) -> Result<()> {
        /// More than any checkpoint has; a dict that contains itself has no end.
        const MAX_DEPTH: usize = 32;
        /// More values than any checkpoint has; dicts that share others may have 2^32.
        const MAX_VISITS: usize = 1 << 20;
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            let want = format!("expected at most {MAX_VISITS} values in {MAX_DEPTH} nested dicts");
            return Err(malformed(want + ", got more"));
        }
        match self.heap.get(id) {
            PickleValue::Tensor(stored) => self.found.push((name.into(), stored)),
            PickleValue::Dict(entries) => {
                for &(key, value) in entries {
                    let Some(key) = self.heap.get(key).name() else { continue };
                    let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                    self.visit(value, &name, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
