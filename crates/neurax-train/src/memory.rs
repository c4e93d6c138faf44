//! The data that a handler keeps from call to call.

use crate::Scores;
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::collections::BTreeMap;
use std::fmt;

/// The data that a handler keeps from call to call, by name. It is a part of the
/// [`State`](crate::State), so that it is saved, cloned and resumed with it: a handler reads and
/// writes it by [`State::memory`](crate::State::memory) instead of keeping fields.
///
/// ```
/// use neurax::prelude::*;
/// let mut memory = train::HandlerMemory::default();
/// assert_eq!(memory.number("calls"), None);
/// memory.set_number("calls", 1.0);
/// memory.set_tree("weights", &vec![tensor([1.0, 2.0])]);
/// let weights = memory.tree("weights", &vec![tensor([0.0, 0.0])])?;
/// assert_eq!(weights[0].to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HandlerMemory {
    pub(crate) numbers: BTreeMap<String, f64>,
    pub(crate) texts: BTreeMap<String, String>,
    /// The leaves of trees, as `name.path`, or `name` if the path is empty.
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

/// The memories of all handlers, by name: see [`State::memory`](crate::State::memory).
///
/// The map is behind a trait object, as code that drops a state would otherwise drop all maps in
/// it, and that code is compiled in each program of a user.
///
/// ```
/// use neurax::prelude::*;
/// let mut state = State::new(Vars::default(), nn::OptState::default(), key(0));
/// state.memory("calls").set_number("count", 2.0);
/// assert_eq!(state.handlers.get("calls").map(|memory| memory.count("count")), Some(2));
/// assert_eq!(state.handlers.iter().count(), 1);
/// # Ok::<(), Error>(())
/// ```
pub struct HandlerMemories(Box<dyn MemoryMap>);

/// A map of memories behind a trait object.
trait MemoryMap: Send + Sync {
    fn map(&self) -> &BTreeMap<String, HandlerMemory>;
    fn map_mut(&mut self) -> &mut BTreeMap<String, HandlerMemory>;
    fn into_map(self: Box<Self>) -> BTreeMap<String, HandlerMemory>;
}

impl MemoryMap for BTreeMap<String, HandlerMemory> {
    fn map(&self) -> &BTreeMap<String, HandlerMemory> {
        self
    }
    fn map_mut(&mut self) -> &mut BTreeMap<String, HandlerMemory> {
        self
    }
    fn into_map(self: Box<Self>) -> BTreeMap<String, HandlerMemory> {
        *self
    }
}

impl HandlerMemories {
    /// Returns the memory of the handler `name`, if it keeps something.
    pub fn get(&self, name: &str) -> Option<&HandlerMemory> {
        self.0.map().get(name)
    }

    /// Returns the names and memories, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &HandlerMemory)> {
        self.0.map().iter()
    }

    /// Returns the map of the memories.
    pub(crate) fn map(&self) -> &BTreeMap<String, HandlerMemory> {
        self.0.map()
    }

    /// Moves the map of the memories out.
    pub(crate) fn into_map(self) -> BTreeMap<String, HandlerMemory> {
        self.0.into_map()
    }

    /// Returns the memory of the handler `name`, which is empty at first.
    pub(crate) fn entry(&mut self, name: &str) -> &mut HandlerMemory {
        self.0.map_mut().entry(name.into()).or_default()
    }
}

impl Default for HandlerMemories {
    fn default() -> HandlerMemories {
        HandlerMemories::from_iter([])
    }
}

impl Clone for HandlerMemories {
    fn clone(&self) -> HandlerMemories {
        HandlerMemories(Box::new(self.0.map().clone()))
    }
}

impl fmt::Debug for HandlerMemories {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.map().fmt(f)
    }
}

impl FromIterator<(String, HandlerMemory)> for HandlerMemories {
    fn from_iter<I: IntoIterator<Item = (String, HandlerMemory)>>(all: I) -> HandlerMemories {
        HandlerMemories(Box::new(BTreeMap::from_iter(all)))
    }
}

impl HandlerMemory {
    /// Returns the number `name`. Counts up to 2⁵³ are exact.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied()
    }

    /// Returns the number `name` as a count; 0 if there is none.
    pub fn count(&self, name: &str) -> usize {
        self.number(name).map_or(0, |n| n as usize)
    }

    /// Sets the number `name`.
    pub fn set_number(&mut self, name: &str, value: f64) {
        self.numbers.insert(name.into(), value);
    }

    /// Returns the text `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// Sets the text `name`.
    pub fn set_text(&mut self, name: &str, value: &str) {
        self.texts.insert(name.into(), value.into());
    }

    /// Returns a tree with the structure of `like` and the tensors that
    /// [`HandlerMemory::set_tree`] stored as `name`.
    ///
    /// # Errors
    /// If a leaf of `like` is not stored.
    pub fn tree<T: Tree>(&self, name: &str, like: &T) -> Result<T> {
        let leaf = |(path, _): (String, &Tensor)| {
            let full = below(name, &path);
            self.tensors.get(&full).cloned().ok_or_else(|| {
                let why = format!("expected `{full}` in the memory of the handler, got none");
                Error::new("train", why)
            })
        };
        let leaves: Vec<Tensor> = like.leaves().into_iter().map(leaf).collect::<Result<_>>()?;
        Ok(like.with_leaves(leaves))
    }

    /// Stores the leaves of a tree as `name`, in place of those before.
    pub fn set_tree(&mut self, name: &str, tree: &impl Tree) {
        self.remove_tree(name);
        tree.each(|path, t| drop(self.tensors.insert(below(name, path), t.clone())));
    }

    /// Returns the scores of these names that [`HandlerMemory::set_scores`] stored as `prefix`, or
    /// `None` if one is not stored.
    pub(crate) fn scores<'n>(
        &self,
        prefix: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Option<Scores> {
        names.map(|name| Some((name.to_string(), self.number(&below(prefix, name))?))).collect()
    }

    /// Stores scores as the numbers `prefix.name`. Their order is not stored.
    pub(crate) fn set_scores(&mut self, prefix: &str, scores: &Scores) {
        for (name, x) in scores.iter() {
            self.set_number(&below(prefix, name), x);
        }
    }

    /// Removes the tensors that were stored as `name`.
    pub fn remove_tree(&mut self, name: &str) {
        let inside = format!("{name}.");
        self.tensors.retain(|path, _| path != name && !path.starts_with(&inside));
    }
}

/// Returns the path of a leaf of a tree that is stored as `name`.
pub(crate) fn below(name: &str, path: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{name}.{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn a_tree_replaces_the_one_before_and_no_other() {
        let mut memory = HandlerMemory::default();
        memory.set_tree("best", &vec![tensor(1.0), tensor(2.0)]);
        memory.set_tree("bestseller", &tensor(3.0));
        memory.set_tree("best", &vec![tensor(4.0)]);
        assert_eq!(memory.tensors.keys().collect::<Vec<_>>(), ["best.0", "bestseller"]);
        assert_eq!(memory.tree("best", &vec![tensor(0.0)]).unwrap()[0].item().unwrap(), 4.0);
        let e = memory.tree("best", &vec![tensor(0.0), tensor(0.0)]).unwrap_err();
        assert!(e.to_string().contains("expected `best.1` in the memory"), "{e}");
    }
}
