//! A directory of saved states, `step-000120` and the like, and the newest one that is whole.

use super::folder::{existing, remove_folder};
use super::load_failure::LoadFailure;
use super::{DOCUMENT, load};
use crate::State;
use crate::run_files::checkpoint_directory;
use neurax_tensor::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const STEP_FOLDER: &str = "step-";

/// Returns the name of the folder of the state after `step` steps.
pub(crate) fn step_name(step: usize) -> String {
    format!("{STEP_FOLDER}{step:06}")
}

/// Returns the folders of a directory by their steps, in ascending order; none if there is no such
/// directory.
///
/// # Errors
/// If the directory cannot be read.
pub(crate) fn step_folders(directory: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(|e| cannot_read(directory, &e))?,
    };
    let mut found = vec![];
    for entry in entries {
        let name = entry.map_err(|e| cannot_read(directory, &e))?.file_name();
        let name = name.to_string_lossy();
        // Renamed away by a replacement that did not end.
        let name = name.strip_prefix('.').and_then(|n| n.strip_suffix(".old")).unwrap_or(&name);
        if let Some(step) = name.strip_prefix(STEP_FOLDER).and_then(|n| n.parse().ok()) {
            found.push((step, directory.join(name)));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Returns the newest state of a directory that is not damaged, and a warning for each newer one.
/// The directory may also be a run directory, or the folder of one state.
///
/// # Errors
/// If a state cannot be read for another reason, such as its version or a permission: an older one
/// in its place would lose steps. If all are damaged: the errors of all of them.
pub(crate) fn newest_state(directory: &Path) -> Result<(Option<State>, Vec<String>)> {
    let directory = &checkpoint_directory(directory);
    if existing(directory).join(DOCUMENT).exists() {
        return Ok((Some(State::load(directory)?), vec![]));
    }
    let (mut warnings, mut damaged) = (vec![], vec![]);
    for (_, folder) in step_folders(directory)?.into_iter().rev() {
        match load(&folder) {
            Ok(state) => return Ok((Some(state), warnings)),
            Err(LoadFailure::Unreadable(e)) => return Err(e),
            Err(LoadFailure::Damaged(e)) => {
                warnings.push(format!("{}; an older checkpoint is used", e.message()));
                damaged.push(e);
            }
        }
    }
    match &damaged[..] {
        [] => Ok((None, vec![])),
        all => Err(all_are_damaged(directory, all)),
    }
}

/// Returns the error of a directory whose checkpoints are all damaged.
fn all_are_damaged(directory: &Path, errors: &[Error]) -> Error {
    let each: Vec<&str> = errors.iter().map(Error::message).collect();
    let why = format!(
        "expected a whole checkpoint in {}, and all {} are damaged: {}; restore one from a copy, \
         or train in another directory",
        directory.display(),
        errors.len(),
        each.join("; ")
    );
    Error::new("load", why)
}

/// Checks that all states of a directory that are newer than `step` are damaged: another one would
/// be that of another run, which a resume would take for the newest one of this run.
///
/// # Errors
/// If there is one, or one that cannot be read for another reason than damage.
pub(crate) fn check_newest(directory: &Path, step: usize) -> Result<()> {
    let newer = step_folders(directory)?.into_iter().filter(|(n, _)| *n > step);
    for (n, folder) in newer {
        match load(&folder) {
            Err(LoadFailure::Damaged(_)) => continue,
            Err(LoadFailure::Unreadable(e)) => return Err(e),
            Ok(_) => {}
        }
        let why = format!(
            "{} has a checkpoint of step {n}, and this run begins at step {step}; continue with \
             `resume_from` or `resume_or_run`, or choose another directory",
            directory.display()
        );
        return Err(Error::new("train", why));
    }
    Ok(())
}

/// Removes all but the `keep` states of a directory up to `step`. Newer ones are removed, too: they
/// were damaged when the run began.
///
/// # Errors
/// If a folder cannot be removed.
pub(crate) fn remove_older(directory: &Path, step: usize, keep: usize) -> Result<()> {
    let (valid, newer): (Vec<_>, Vec<_>) =
        step_folders(directory)?.into_iter().partition(|(n, _)| *n <= step);
    let older = valid.iter().take(valid.len().saturating_sub(keep));
    older.chain(&newer).try_for_each(|(_, folder)| remove_folder(folder))
}

fn cannot_read(directory: &Path, e: &std::io::Error) -> Error {
    Error::new("load", format!("cannot read the directory {}: {e}", directory.display()))
}
