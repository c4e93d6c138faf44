//! States of trainings in folders.
//!
//! ```text
//! state.json           {"format": "neurax-state", "version": 1, "files": {..}, "checksum": "..",
//!                       "content": {"step": 120, "epoch": 1, "batch": 20, "history": [..], ..}}
//! tensors.safetensors  vars.params.dense.kernel, optimizer.slots.0.m.0, key, epoch.all.0.0, ..
//! ```
//!
//! The problem: a training must go on after a crash as if nothing had happened, and no file that
//! was half written or damaged may be taken for a good one. All that the next step depends on is in
//! the [`State`]: a file holds it bit by bit, so that the steps after a resume equal those of an
//! undisturbed run. `state.json` holds what is not a tensor, and the structure of the trees whose
//! leaves are in the other file. Floats are texts, which Rust reads back as the same bits.
//!
//! # Invariants
//!
//! - A folder appears under its name when all of it is on the disk (see [`folder`]).
//! - `state.json` has the size and the CRC-32 of the other file and a CRC-32 of its content: a
//!   folder with a changed byte is an error, never another state.

mod document;
pub(crate) mod folder;
mod load_failure;
pub(crate) mod steps;

use crate::State;
use crate::tuning::{CHECKSUM_BUFFER_BYTES, MAX_DOCUMENT_BYTES};
use document::{Content, StateDocument, StoredFile};
use folder::{existing, replace_folder, write_synced};
use load_failure::{LoadFailure, in_path};
use neurax_tensor::io::safetensors;
use neurax_tensor::{Error, Result};
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The file of a folder that describes the others.
pub(crate) const DOCUMENT: &str = "state.json";
/// The file of a folder with the tensors.
const TENSORS: &str = "tensors.safetensors";

impl State {
    /// Writes the state to a folder, which is created or replaced: `state.json` with the counters,
    /// the history and the memory of handlers, and `tensors.safetensors` with the variables, the
    /// state of the optimizer, the key and the running totals of the epoch. The files are written
    /// beside the folder, reach the disk, and are then renamed: a program that is killed leaves the
    /// old folder or the new one.
    ///
    /// [`State::load`] reads the folder, [`Trainer::resume_from`](crate::Trainer::resume_from)
    /// continues the training, and [`Checkpoints`](crate::Checkpoints) saves during one.
    ///
    /// # Errors
    /// If a tensor carries an error, or the folder cannot be written or holds anything but a saved
    /// state.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = || Trainer::new(&model, loss::mse, optim::adam(0.1)).quiet();
    /// let half = trainer().run(&set.batched(1), epochs(2))?;
    /// # let folder = std::env::temp_dir().join("neurax-doc-state");
    /// half.state.save(&folder)?;
    ///
    /// let whole = trainer().resume_from(&folder, &set.batched(1), epochs(5))?;
    /// let undisturbed = trainer().run(&set.batched(1), epochs(5))?;
    /// let kernel = |t: &Trained| t.vars.params["dense"]["kernel"].to_vec::<f32>();
    /// assert_eq!((whole.step, kernel(&whole)?), (10, kernel(&undisturbed)?));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let (content, tensors) = Content::of(self)?;
        replace_folder(folder.as_ref(), &[DOCUMENT, TENSORS], |part| {
            let path = part.join(TENSORS);
            safetensors::save(&tensors, &path)?;
            let files = [(TENSORS.to_string(), stored_file(&path)?)].into();
            let document = StateDocument::new(content, files)?;
            write_synced(&part.join(DOCUMENT), document.text()?.as_bytes())
        })
    }

    /// Reads a state that [`State::save`] wrote.
    ///
    /// # Errors
    /// If there is no such folder, it was written by a newer version, or a file is missing or
    /// damaged; the message says which.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let vars = nn::input("x", dims![_, 1]).dense(1).init(key(0), &types![f32[_, 1]])?;
    /// let opt = optim::adam(0.1).init(&vars.params);
    /// # let folder = std::env::temp_dir().join("neurax-doc-state-load");
    /// State::new(vars, opt, key(7)).save(&folder)?;
    /// let state = State::load(&folder)?;
    /// assert_eq!((state.step, state.vars.size()), (0, 2));
    ///
    /// std::fs::write(folder.join("tensors.safetensors"), "broken")?;
    /// let e = State::load(&folder).unwrap_err().to_string();
    /// assert!(e.contains("tensors.safetensors is damaged"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(folder: impl AsRef<Path>) -> Result<State> {
        Ok(load(folder.as_ref())?)
    }
}

/// Reads a state as [`State::load`] does, and says whether it is damaged if it cannot.
pub(crate) fn load(folder: &Path) -> Result<State, LoadFailure> {
    let found = existing(folder);
    match load_in(&found) {
        // A program that replaces the folder removed the old one.
        Err(_) if found != folder && folder.exists() => load_in(folder),
        loaded => loaded,
    }
}

fn load_in(folder: &Path) -> Result<State, LoadFailure> {
    let (path, tensors) = (folder.join(DOCUMENT), folder.join(TENSORS));
    let document = read_document(folder)?;
    let want = document.file(TENSORS).map_err(|e| in_path(&path, &e))?;
    let failed = |e: std::io::Error| LoadFailure::of(e.kind(), in_path(&tensors, &e.into()));
    let bytes = file_size(&tensors).map_err(failed)?;
    if bytes != want.bytes() {
        let got = format!("{bytes} bytes");
        return Err(LoadFailure::Damaged(damaged(&tensors, got, want)));
    }
    let found = stored_file(&tensors).map_err(failed)?;
    if found != *want {
        return Err(LoadFailure::Damaged(damaged(&tensors, found, want)));
    }
    let tensors = safetensors::load(tensors)?;
    Ok(document.content.state(tensors).map_err(|e| in_path(&path, &e))?)
}

/// Reads the description of the state in a folder.
fn read_document(folder: &Path) -> Result<StateDocument, LoadFailure> {
    let path = folder.join(DOCUMENT);
    let failed = |e: std::io::Error| LoadFailure::of(e.kind(), no_state(folder, &e));
    let bytes = file_size(&path).map_err(failed)?;
    if bytes > MAX_DOCUMENT_BYTES {
        let why = format!("expected at most {MAX_DOCUMENT_BYTES} bytes, got {bytes}");
        return Err(in_path(&path, &Error::new("load", why)).into());
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    StateDocument::parse(&text).map_err(|e| e.in_path(&path))
}

/// Returns the step of the state in a folder, and the number `number` in the memory of the handler
/// `handler`, without reading the tensors; nothing if there is no state.
///
/// # Errors
/// If the description of the state is damaged or of another version.
pub(crate) fn step_and_number(
    folder: &Path,
    handler: &str,
    number: &str,
) -> Result<Option<(usize, Option<f64>)>> {
    let found = existing(folder);
    if !found.join(DOCUMENT).exists() {
        return Ok(None);
    }
    let content = read_document(&found)?.content;
    Ok(Some((content.step(), content.number(handler, number))))
}

/// Returns the size of a regular file. Another one, such as a pipe, may never end.
pub(crate) fn file_size(path: &Path) -> std::io::Result<u64> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(std::io::Error::other("expected a regular file"));
    }
    Ok(found.len())
}

/// Returns the size and the checksum of a file.
fn stored_file(path: &Path) -> std::io::Result<StoredFile> {
    let (mut file, mut hasher) = (File::open(path)?, crc32fast::Hasher::new());
    let (mut buffer, mut bytes) = (vec![0; CHECKSUM_BUFFER_BYTES], 0);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(StoredFile::new(bytes, hasher.finalize()));
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
        bytes += n as u64;
    }
}

fn no_state(folder: &Path, e: &std::io::Error) -> Error {
    let why = format!(
        "expected a folder that `State::save` or `Checkpoints` wrote at {}, cannot read its \
         {DOCUMENT}: {e}",
        folder.display()
    );
    Error::new("load", why)
}

fn damaged(path: &Path, found: impl Display, want: &StoredFile) -> Error {
    let why = format!("{} is damaged: expected {want}, got {found}", path.display());
    Error::new("load", why)
}

#[cfg(test)]
mod tests;
