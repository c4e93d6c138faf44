//! [`BestStates`]: the folders of the states with the best scores.
//!
//! The memory of the handler holds the score of each folder under its name, `best` for the best one
//! and `best-000200` for those of several that are kept, so that a resumed run compares with them.
//! A folder is removed when the one that takes its place is on the disk. The scores of a directory
//! that was renamed, for which there is no memory, are those of the states in its folders.

use crate::progress::warn;
use crate::saved::folder::remove_folder;
use crate::{Event, Goal, State};
use neurax_tensor::Result;
use std::path::Path;

/// The name of the best score in the memory, and of its folder.
pub(crate) const BEST_STATE: &str = "best";
/// The beginning of the folders of several states.
const RANKED_STATE: &str = "best-";

/// The choice of the states to keep.
#[derive(Clone, Debug)]
pub(super) struct BestStates {
    pub goal: Goal,
    /// The number of states that are kept; the best one is in the folder `best`, too.
    pub kept: usize,
}

/// The folders to write and to remove after a score.
#[derive(Debug, Default, PartialEq)]
pub(super) struct BestChange {
    /// The folders in which the state is saved.
    saved: Vec<String>,
    /// The folders that are removed after it.
    removed: Vec<String>,
}

impl BestStates {
    /// Notes the scores of the folders of a directory in the memory `name`, if it knows none: the
    /// memory is another one after the directory was renamed. A new run compares with no other one.
    ///
    /// # Errors
    /// If the directory cannot be read. A folder that cannot be read is a warning.
    pub fn read_scores(&self, name: &str, directory: &Path, state: &mut State) -> Result<()> {
        if state.is_new || state.memory(name).number(BEST_STATE).is_some() {
            return Ok(());
        }
        for entry in std::fs::read_dir(directory)? {
            let folder = entry?.file_name().to_string_lossy().into_owned();
            let step = folder.strip_prefix(RANKED_STATE).map(str::parse::<usize>);
            let is_ranked = self.kept > 1 && step.is_some_and(|step| step.is_ok());
            if folder != BEST_STATE && !is_ranked {
                continue;
            }
            match State::load(directory.join(&folder)) {
                Err(e) => warn(&format!("a state is not compared with: {}", e.message())),
                Ok(best) if best.step > state.step => {}
                Ok(best) => {
                    if let Some(score) = self.goal.saved_value(&best) {
                        state.memory(name).set_number(&folder, score);
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes the score of a state after `event` in the memory `name`, and returns the
    /// folders to write and to remove.
    ///
    /// # Errors
    /// If the score was not measured.
    pub fn note(&self, name: &str, event: Event, state: &mut State) -> Result<BestChange> {
        let mut change = BestChange::default();
        let Some(score) = self.goal.value(event, state)? else { return Ok(change) };
        let folder = format!("{RANKED_STATE}{:06}", state.step);
        let memory = state.memory(name);
        if self.goal.is_better(score, memory.number(BEST_STATE)) {
            memory.set_number(BEST_STATE, score);
            change.saved.push(BEST_STATE.into());
        }
        if self.kept < 2 || score.is_nan() {
            return Ok(change);
        }
        memory.set_number(&folder, score);
        let ranked = memory.numbers.iter().filter(|(name, _)| name.starts_with(RANKED_STATE));
        let mut ranked: Vec<(String, f64)> = ranked.map(|(name, x)| (name.clone(), *x)).collect();
        // The older one of two with one score comes first.
        ranked.sort_by(|(_, a), (_, b)| self.goal.order(*a, *b));
        let rest = ranked.into_iter().skip(self.kept);
        change.removed = rest.map(|(name, _)| name).collect();
        for name in &change.removed {
            memory.numbers.remove(name);
        }
        match change.removed.iter().position(|name| *name == folder) {
            Some(own) => drop(change.removed.remove(own)),
            None => change.saved.push(folder),
        }
        Ok(change)
    }
}

impl BestChange {
    /// Saves the state in its folders of a directory, and removes the others.
    ///
    /// # Errors
    /// If a folder cannot be written or removed.
    pub fn apply(&self, directory: &Path, state: &State) -> Result<()> {
        self.saved.iter().try_for_each(|name| state.save(directory.join(name)))?;
        self.removed.iter().try_for_each(|name| remove_folder(&directory.join(name)))
    }
}
