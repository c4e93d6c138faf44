//! Text files with a line for each epoch or step, which a resumed run continues.
//!
//! A program that is killed while it writes leaves a part of a line behind, and lines of steps that
//! the last checkpoint does not know. Both are removed when a run starts, so that the file of a
//! resumed run has the lines of an undisturbed one.
//!
//! A file that is no such log is an error, and so is the log of another run when a new one starts:
//! a mistaken path removes nothing.

use crate::State;
use crate::saved::folder::replace_file;
use neurax_tensor::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The characters of a foreign line that an error shows.
const SHOWN_OF_LINE: usize = 40;

/// The relation of a line of a log to the state from which a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogLine {
    /// Written before the state was saved.
    Kept,
    /// Written after it.
    Behind,
    /// Not a line of such a log.
    Foreign,
}

impl LogLine {
    /// Returns [`LogLine::Kept`] for a line that was written before the state was saved.
    pub fn of(is_before: bool) -> LogLine {
        if is_before { LogLine::Kept } else { LogLine::Behind }
    }
}

/// A file to which lines are appended.
#[derive(Debug)]
pub(super) struct LineLog {
    path: PathBuf,
    /// The text with which the first line begins.
    start: &'static str,
    /// `None` before [`LineLog::open`].
    file: Option<File>,
}

impl LineLog {
    /// Creates the log of a file whose first line begins with `start`.
    pub fn new(path: PathBuf, start: &'static str) -> LineLog {
        LineLog { path, start, file: None }
    }

    /// Opens the file, which is created if it does not exist, without the lines behind the state
    /// and without a last line that has no end. `classify` gets the index of a line and its text.
    ///
    /// # Errors
    /// If the file cannot be read or written, has a line that is foreign, or any line when a new
    /// run starts; the file is unchanged then.
    pub fn open(&mut self, state: &State, classify: impl Fn(usize, &str) -> LogLine) -> Result<()> {
        let old = match fs::read(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => vec![],
            old => old.map_err(|e| self.failed(&e.into()))?,
        };
        let new = self.kept(&old, classify)?;
        if state.is_new && !old.is_empty() {
            let why = "expected a new file for a new run, got the log of another one; continue \
                       that with `resume_or_run`, delete the file, or choose another path";
            return Err(self.failed(&Error::new("log", why)));
        }
        if new != old || !self.path.exists() {
            replace_file(&self.path, &new)?;
        }
        let file = OpenOptions::new().append(true).open(&self.path);
        self.file = Some(file.map_err(|e| self.failed(&e.into()))?);
        Ok(())
    }

    /// Returns the lines that are kept.
    fn kept(&self, old: &[u8], classify: impl Fn(usize, &str) -> LogLine) -> Result<Vec<u8>> {
        let mut kept = vec![];
        for (i, line) in old.split_inclusive(|b| *b == b'\n').enumerate() {
            let text = String::from_utf8_lossy(line);
            let class = match text.strip_suffix('\n') {
                Some(whole) => classify(i, whole.trim_end()),
                // A line that was cut off, perhaps inside of a character.
                None if i > 0 || is_start(self.start, &text) => LogLine::Behind,
                None => LogLine::Foreign,
            };
            match class {
                LogLine::Kept => kept.extend_from_slice(line),
                LogLine::Behind => {}
                LogLine::Foreign => return Err(self.foreign(i, &text)),
            }
        }
        Ok(kept)
    }

    fn foreign(&self, index: usize, line: &str) -> Error {
        let shown: String = line.trim_end().chars().take(SHOWN_OF_LINE).collect();
        let why = format!(
            "expected the log of an earlier run, got `{shown}` in line {}; choose another path",
            index + 1
        );
        self.failed(&Error::new("log", why))
    }

    /// Returns true if the file has no lines.
    ///
    /// # Errors
    /// If its size cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        fs::metadata(&self.path).map(|m| m.len() == 0).map_err(|e| self.failed(&e.into()))
    }

    /// Appends a line in one call of the operating system.
    ///
    /// # Errors
    /// If the file is not open or cannot be written.
    pub fn append(&mut self, line: &str) -> Result<()> {
        let file = self.file.as_mut();
        let file = file.ok_or_else(|| Error::bug("a log was not opened before its first line"))?;
        let written = file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|e| self.failed(&e.into()))
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, e: &Error) -> Error {
        Error::new("log", format!("cannot write {}: {}", self.path.display(), e.message()))
    }
}

/// Returns true if a line that was cut off begins with `start`, as far as it goes.
fn is_start(start: &str, line: &str) -> bool {
    line.starts_with(start) || start.starts_with(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_nn::{OptState, Vars};
    use neurax_tensor::key;

    fn state() -> State {
        State::new(Vars::default(), OptState::default(), key(0))
    }

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("neurax-line-log-{}-{name}", std::process::id()))
    }

    fn classify(_: usize, line: &str) -> LogLine {
        match line.split(' ').next() {
            Some("keep") => LogLine::Kept,
            Some("drop") => LogLine::Behind,
            _ => LogLine::Foreign,
        }
    }

    #[test]
    fn cut_and_unwanted_lines_are_removed() {
        let path = file("cut");
        // The last byte is the first one of a character of two.
        fs::write(&path, b"keep 1\ndrop 2\nkeep 3\nkeep 4 is \xc3").unwrap();
        let mut log = LineLog::new(path.clone(), "keep");
        assert!(log.append("too early").is_err());
        log.open(&state(), classify).unwrap();
        log.append("keep 5").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "keep 1\nkeep 3\nkeep 5\n");
        log.open(&state(), |_, _| LogLine::Behind).unwrap();
        assert!(log.is_empty().unwrap());
        fs::write(&path, "ke").unwrap();
        log.open(&state(), classify).unwrap();
        assert!(log.is_empty().unwrap());
    }

    #[test]
    fn files_that_are_no_logs_and_logs_of_other_runs_are_unchanged() {
        let path = file("foreign");
        let mut log = LineLog::new(path.clone(), "keep");
        for text in ["keep 1\nx,y\n", "one line without an end", "\n"] {
            fs::write(&path, text).unwrap();
            let e = log.open(&state(), classify).unwrap_err().to_string();
            assert!(e.contains("expected the log of an earlier run, got `"), "{e}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, "keep 1\n").unwrap();
        let new = State { is_new: true, ..state() };
        let e = log.open(&new, classify).unwrap_err().to_string();
        assert!(e.contains("got the log of another one"), "{e}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "keep 1\n");
    }
}
