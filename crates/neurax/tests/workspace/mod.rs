//! The files of this workspace, for the tests that read them.

#![allow(dead_code, reason = "each test that includes this module uses a part of it")]

pub mod tokens;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A crate of the workspace.
pub struct Crate {
    pub name: String,
    /// The folder of the crate.
    pub path: PathBuf,
    /// The text of its `Cargo.toml`.
    pub manifest: String,
}

impl Crate {
    pub fn is_published(&self) -> bool {
        !self.manifest.contains("publish = false")
    }
}

/// Returns the folder of the workspace.
pub fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// Returns the crates by name.
pub fn crates() -> Vec<Crate> {
    let folders = sorted(&root().join("crates")).into_iter();
    let read = |path: PathBuf| Crate {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        manifest: fs::read_to_string(path.join("Cargo.toml")).unwrap(),
        path,
    };
    folders.map(read).collect()
}

/// Returns the files below `dir` whose names end with `ending`, by path. Hidden files and folders
/// and the folder `target` are skipped.
pub fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    for path in sorted(dir) {
        let name = path.file_name().unwrap().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// Returns the path of `file` below `dir`, with `/` on every system.
pub fn below(dir: &Path, file: &Path) -> String {
    file.strip_prefix(dir).unwrap().to_string_lossy().replace('\\', "/")
}

/// Returns true if the `len` bytes of `text` at `at` are no part of a longer word.
pub fn is_word(text: &str, at: usize, len: usize) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !is_part(text[..at].chars().next_back()) && !is_part(text[at + len..].chars().next())
}

/// Returns true if `text` contains `word`, not as a part of a longer word.
pub fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| is_word(text, at, word.len()))
}

/// Returns the entries of `dir` by name.
fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}
