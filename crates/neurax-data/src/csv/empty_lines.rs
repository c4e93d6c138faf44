//! The empty lines of a file of one column, each of which is an empty cell.
//!
//! The crate `csv` skips empty lines. In a file of several columns they are no rows; in a file of
//! one column, an empty line is a row whose only cell is empty, and skipping it would shift all
//! rows behind it against those of other files. [`EmptyLines`] reads the bytes between the records:
//!
//! ```text
//! a \n 1 \n \n 3      the names, row 0, an empty line, which is row 1, and row 2
//! ```
//!
//! An end of a line is `\n`, `\r` or both, as in the crate `csv`.

use crate::readers::{UTF8_BOM, starts_with_bom};
use neurax_tensor::io::open_file;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::Path;

/// A position in a file of one column, between its records.
pub(super) struct EmptyLines {
    file: BufReader<File>,
    /// The size of the file at the beginning.
    size: u64,
    /// The offset of the next byte.
    at: u64,
    /// True if the byte in front is `\r`, with which a `\n` ends the same line.
    is_behind_return: bool,
}

impl EmptyLines {
    /// Opens the file at its first line.
    pub(super) fn open(path: &Path) -> io::Result<EmptyLines> {
        let mut file = open_file(path)?;
        let size = file.metadata()?.len();
        let at = if starts_with_bom(&mut file)? { UTF8_BOM.len() as u64 } else { 0 };
        file.seek(io::SeekFrom::Start(at))?;
        Ok(EmptyLines { file: BufReader::new(file), size, at, is_behind_return: false })
    }

    /// Returns the offset of the next line if it is empty, and moves behind it; moves to the start
    /// of the next record otherwise.
    pub(super) fn next(&mut self) -> io::Result<Option<u64>> {
        loop {
            let at = self.at;
            match self.peek()? {
                Some(b'\n') if self.is_behind_return => self.consume(b'\n'),
                Some(end @ (b'\n' | b'\r')) => {
                    self.consume(end);
                    return Ok(Some(at));
                }
                _ => return Ok(None),
            }
        }
    }

    /// Returns the offset of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.at
    }

    /// Moves to the offset `end` of the record that starts at this position.
    pub(super) fn move_to(&mut self, end: u64) -> io::Result<()> {
        let last = end.saturating_sub(1).max(self.at);
        self.file.seek_relative(i64::try_from(last - self.at).map_err(io::Error::other)?)?;
        self.at = last;
        if let Some(byte) = self.peek()? {
            self.consume(byte);
        }
        Ok(())
    }

    /// Returns the next byte, without moving.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at >= self.size {
            return Ok(None);
        }
        Ok(self.file.fill_buf()?.first().copied())
    }

    /// Moves behind the next byte, which is `byte`.
    fn consume(&mut self, byte: u8) {
        self.file.consume(1);
        self.at += 1;
        self.is_behind_return = byte == b'\r';
    }
}
