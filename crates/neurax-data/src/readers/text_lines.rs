//! Files of lines, read one after the other.

use crate::stream::Stream;
use crate::tuning::MAX_TEXT_LINE_BYTES;
use neurax_tensor::io::open_file;
use neurax_tensor::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Take};
use std::path::{Path, PathBuf};

/// The bytes of a byte order mark in UTF-8, with which some programs begin a file.
pub(crate) const UTF8_BOM: &[u8; 3] = b"\xef\xbb\xbf";

/// Returns the lines of a UTF-8 text file, without line ends. A byte order mark in front of the
/// first line is not part of it. The file is read while the items are used, again for each epoch,
/// and may be larger than memory.
///
/// # Errors
/// An item is an error if the file cannot be read, a line is longer than 16 MiB or is not UTF-8:
/// the message has the file and the line.
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-lines.txt");
/// std::fs::write(&path, "one\ntwo\n")?;
/// let lines = data::text_lines(&path);
/// assert_eq!(lines.epoch(0).collect::<Result<Vec<_>>>()?, ["one", "two"]);
/// # Ok::<(), Error>(())
/// ```
pub fn text_lines(path: impl Into<PathBuf>) -> Stream<String> {
    numbered_lines("text_lines", path.into()).map_indexed(|_, (_, line)| Ok(line))
}

/// Returns the lines of a file with their numbers, counted from 1.
pub(super) fn numbered_lines(op: &'static str, path: PathBuf) -> Stream<(usize, String)> {
    Stream::from_epochs(move |_| LineReader::open(op, &path))
}

/// Returns an error of a line of a file.
pub(super) fn line_error(op: &str, path: &Path, line: usize, why: impl std::fmt::Display) -> Error {
    Error::new(op, format!("{}: line {line}: {why}", path.display()))
}

/// Reads the first bytes of a file, and returns true if they are a byte order mark.
pub(crate) fn starts_with_bom(file: &mut impl Read) -> std::io::Result<bool> {
    let mut start = Vec::with_capacity(UTF8_BOM.len());
    file.by_ref().take(UTF8_BOM.len() as u64).read_to_end(&mut start)?;
    Ok(start == UTF8_BOM)
}

/// An open file.
struct LineReader {
    op: &'static str,
    path: PathBuf,
    file: BufReader<Take<File>>,
    /// The number of the last line.
    line: usize,
}

impl LineReader {
    fn open(op: &'static str, path: &Path) -> Result<LineReader> {
        let file = open_file(path).and_then(|mut file| {
            let mut size = file.metadata()?.len();
            if starts_with_bom(&mut file)? {
                size = size.saturating_sub(UTF8_BOM.len() as u64);
            } else {
                file.rewind()?;
            }
            // No more than the size of now, should the file grow while it is read.
            Ok(BufReader::new(file.take(size)))
        });
        let file = file.map_err(|e| Error::new(op, format!("{}: {e}", path.display())))?;
        Ok(LineReader { op, path: path.into(), file, line: 0 })
    }

    fn read(&mut self) -> Result<Option<(usize, String)>> {
        self.line += 1;
        let (op, line) = (self.op, self.line);
        let failed = |why: String| line_error(op, &self.path, line, why);
        let mut bytes = Vec::new();
        let most = MAX_TEXT_LINE_BYTES as u64;
        self.file
            .by_ref()
            .take(most + 1)
            .read_until(b'\n', &mut bytes)
            .map_err(|e| failed(e.to_string()))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() > MAX_TEXT_LINE_BYTES {
            return Err(failed(format!("expected lines of at most {most} bytes")));
        }
        while bytes.last().is_some_and(|b| b"\r\n".contains(b)) {
            bytes.pop();
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            failed(format!("expected UTF-8, got another byte at offset {at} of the line"))
        })?;
        Ok(Some((line, text)))
    }
}

impl Iterator for LineReader {
    type Item = Result<(usize, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("neurax-lines-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn lines_end_with_or_without_a_line_feed() {
        let lines = text_lines(file("ends", b"a\r\n\nb c\nlast"));
        let all: Vec<String> = lines.epoch(0).collect::<Result<_>>().unwrap();
        assert_eq!(all, ["a", "", "b c", "last"]);
        let rest: Vec<String> = lines.epoch_from(3, 2).collect::<Result<_>>().unwrap();
        assert_eq!(rest, all[2..]);
        assert_eq!(text_lines(file("empty", b"")).epoch(0).count(), 0);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let all = |name: &str, bytes: &str| -> Vec<String> {
            let lines = text_lines(file(name, bytes.as_bytes()));
            lines.epoch(0).collect::<Result<_>>().unwrap()
        };
        assert_eq!(all("bom", "\u{feff}a\r\n\u{feff}b\n"), ["a", "\u{feff}b"]);
        assert_eq!(all("bom-empty", "\u{feff}\nb"), ["", "b"]);
        assert_eq!(all("bom-alone", "\u{feff}"), [""; 0]);
        let error = text_lines(file("bom-part", b"\xef\xbb")).epoch(0).next().unwrap();
        assert!(error.unwrap_err().message().contains("another byte at offset 0"));
    }

    #[test]
    fn errors_name_the_line() {
        let lines = text_lines(file("utf8", b"a\nb\xff\nc\n"));
        let items: Vec<_> = lines.epoch(0).collect();
        assert_eq!(items.len(), 2);
        let error = items[1].as_ref().unwrap_err().to_string();
        assert!(
            error.ends_with("line 2: expected UTF-8, got another byte at offset 1 of the line")
        );
        let mut long = b"a\n".to_vec();
        long.resize(MAX_TEXT_LINE_BYTES + 10, b'x');
        let error = text_lines(file("long", &long)).epoch(0).nth(1).unwrap().unwrap_err();
        assert!(error.message().ends_with("line 2: expected lines of at most 16777216 bytes"));
        let error = text_lines("/no/such/file").epoch(0).next().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("text_lines: /no/such/file: "), "{error}");
    }
}
