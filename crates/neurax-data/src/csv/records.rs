//! The records of a CSV file, one after the other.

use super::empty_lines::EmptyLines;
use super::quotes::unclosed_quote;
use crate::readers::UTF8_BOM;
use crate::tuning::MAX_CSV_RECORD_BYTES;
use csv::{Position, Reader, ReaderBuilder, StringRecord, Trim};
use neurax_tensor::io::open_file;
use neurax_tensor::{Error, Result};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that separate columns in files of other programs.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// The most letters of a field in a message.
const MAX_SHOWN_LETTERS: usize = 60;

/// A file and how it is divided into fields.
#[derive(Clone, Debug)]
pub(super) struct CsvFile {
    pub(super) path: PathBuf,
    /// True if the first line holds the column names.
    pub(super) header: bool,
    pub(super) delimiter: u8,
}

impl CsvFile {
    /// Returns an error that names the file.
    pub(super) fn error(&self, why: impl std::fmt::Display) -> Error {
        Error::new("csv", format!("{}: {why}", self.path.display()))
    }

    /// Returns the end of a message about columns called `names`: the delimiter that the file seems
    /// to have, if all columns are in one.
    pub(super) fn delimiter_hint(&self, names: &[String]) -> String {
        let [name] = names else { return String::new() };
        let is_found = |&b: &u8| b != self.delimiter && name.as_bytes().contains(&b);
        DELIMITERS.into_iter().find(is_found).map_or(String::new(), |b| {
            let byte = b.escape_ascii();
            format!("; if `{byte}` separates the columns, set `.delimiter(b'{byte}')`")
        })
    }
}

/// The records of a file after the header, which all have the same number of fields.
pub(super) struct Records {
    source: Arc<CsvFile>,
    reader: Reader<Limited>,
    /// The bytes that were read since the last record.
    read: Arc<AtomicUsize>,
    names: Arc<[String]>,
    record: StringRecord,
    /// True if `record` is the first record and has not been returned.
    pending: bool,
    /// The empty lines in front of the next record, if there is one column.
    empty_lines: Option<EmptyLines>,
    /// The record of an empty line.
    empty_cell: StringRecord,
}

/// A record, for errors with the file that it is of.
pub(super) struct CsvRecord<'a> {
    pub(super) source: &'a CsvFile,
    pub(super) names: &'a [String],
    pub(super) fields: &'a StringRecord,
}

impl Records {
    /// Opens the file and reads the names of the columns.
    pub(super) fn open(source: &Arc<CsvFile>) -> Result<Records> {
        let read = Arc::new(AtomicUsize::new(0));
        let limited = Limited::open(source, read.clone()).map_err(|e| source.error(e))?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(source.delimiter)
            .trim(Trim::All)
            .from_reader(limited);
        let mut record = StringRecord::new();
        if !read_record(source, &[], &mut reader, &read, &mut record)? {
            return Err(source.error("the file is empty"));
        }
        let name = |(i, field): (usize, &str)| match source.header {
            true => field.to_string(),
            false => i.to_string(),
        };
        let names: Arc<[String]> = record.iter().enumerate().map(name).collect();
        let mut empty_lines = None;
        if names.len() == 1 {
            let mut lines = EmptyLines::open(&source.path).map_err(|e| source.error(e))?;
            if source.header {
                lines.move_to(reader.position().byte()).map_err(|e| source.error(e))?;
            }
            empty_lines = Some(lines);
        }
        let (source, pending) = (source.clone(), !source.header);
        let empty_cell = StringRecord::from(vec![""]);
        Ok(Records { source, reader, read, names, record, pending, empty_lines, empty_cell })
    }

    /// Opens the file again, which had columns called `names`. The columns of a layout index the
    /// fields of all records.
    ///
    /// # Errors
    /// If its columns are others now.
    pub(super) fn open_again(source: &Arc<CsvFile>, names: &[String]) -> Result<Records> {
        let records = Records::open(source)?;
        if records.names[..] == *names {
            return Ok(records);
        }
        let (want, got) = (names.join(", "), records.names.join(", "));
        Err(source.error(format!("the columns changed meanwhile: expected {want}, got {got}")))
    }

    /// Returns the names of the columns.
    pub(super) fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    /// Reads the next record.
    pub(super) fn next(&mut self) -> Result<Option<CsvRecord<'_>>> {
        if let Some(offset) = self.next_empty_line()? {
            self.empty_cell.set_position(Some(position_at(offset)));
            return Ok(Some(CsvRecord { fields: &self.empty_cell, ..self.record() }));
        }
        let is_read = std::mem::take(&mut self.pending)
            || read_record(
                &self.source,
                &self.names,
                &mut self.reader,
                &self.read,
                &mut self.record,
            )?;
        if !is_read {
            return Ok(None);
        }
        self.move_empty_lines()?;
        let record = self.record();
        let (got, width) = (record.fields.len(), self.names.len());
        if got != width {
            let line = record.line();
            let hint = self.source.delimiter_hint(&self.names);
            return Err(self.source.error(format!(
                "{line}: expected {width} columns, as in the first line, got {got}{hint}"
            )));
        }
        Ok(Some(record))
    }

    /// Returns the record that was read last.
    fn record(&self) -> CsvRecord<'_> {
        CsvRecord { source: &self.source, names: &self.names, fields: &self.record }
    }

    /// Returns the offset of the next line if it is empty and a row.
    fn next_empty_line(&mut self) -> Result<Option<u64>> {
        let Some(lines) = &mut self.empty_lines else { return Ok(None) };
        lines.next().map_err(|e| self.source.error(e))
    }

    /// Moves `empty_lines` behind the record that was read last.
    fn move_empty_lines(&mut self) -> Result<()> {
        let Some(lines) = &mut self.empty_lines else { return Ok(()) };
        self.record.set_position(Some(position_at(lines.offset())));
        lines.move_to(self.reader.position().byte()).map_err(|e| self.source.error(e))
    }
}

/// Returns the position of a record that starts at an offset.
fn position_at(offset: u64) -> Position {
    let mut position = Position::new();
    position.set_byte(offset);
    position
}

/// Reads the next record of a file with columns called `names` into `record`. Returns false at the
/// end of the file.
///
/// # Errors
/// If the file cannot be read, or the record is too long, not UTF-8, or has a quote that is not
/// closed, which makes all lines up to the end of the file a part of it.
fn read_record(
    source: &CsvFile,
    names: &[String],
    reader: &mut Reader<Limited>,
    read: &AtomicUsize,
    record: &mut StringRecord,
) -> Result<bool> {
    read.store(0, Ordering::Relaxed);
    let start = reader.position().byte();
    let is_read = match reader.read_record(record) {
        Ok(is_read) => is_read,
        Err(e) => {
            let is_long = matches!(e.kind(), csv::ErrorKind::Io(e)
                if e.kind() == io::ErrorKind::FileTooLarge);
            let quote = is_long.then(|| quote_error(source, start)).flatten();
            return Err(quote.unwrap_or_else(|| read_error(source, names, start, e)));
        }
    };
    let is_last = reader.position().byte() >= reader.get_ref().size;
    match (is_read && is_last).then(|| quote_error(source, start)).flatten() {
        Some(error) => Err(error),
        None => Ok(is_read),
    }
}

/// Returns the error of a record that starts at the offset `start` and cannot be read.
fn read_error(source: &CsvFile, names: &[String], start: u64, e: csv::Error) -> Error {
    match e.kind() {
        csv::ErrorKind::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            source.error(format!("{}: {e}", line_at(source, start, true)))
        }
        csv::ErrorKind::Utf8 { err, .. } => {
            let (line, at) = (line_at(source, start, true), err.valid_up_to());
            let column = match names.get(err.field()) {
                Some(name) => format!("column `{name}`"),
                None => format!("column {}", err.field()),
            };
            let why = format!("expected UTF-8, got another byte at offset {at} of the field");
            source.error(format!("{line}, {column}: {why}"))
        }
        _ => source.error(e),
    }
}

/// Returns an error if the record at the offset `start` of a file has a quote that is not closed.
fn quote_error(source: &CsvFile, start: u64) -> Option<Error> {
    let read = || {
        let mut file = open_file(&source.path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(MAX_CSV_RECORD_BYTES as u64).read_to_end(&mut bytes)?;
        Ok::<Vec<u8>, io::Error>(bytes)
    };
    // The reader has read these bytes; if they cannot be read again, the record stays as it was.
    let bytes = read().ok()?;
    let is_first = start == 0 && bytes.starts_with(UTF8_BOM);
    let bom = if is_first { UTF8_BOM.len() } else { 0 };
    let quote = unclosed_quote(bytes.get(bom..)?, source.delimiter)?;
    let line = line_at(source, start.saturating_add(quote as u64), false);
    Some(
        source
            .error(format!("{line}: expected the end of a quoted text, whose quote is not closed")),
    )
}

impl CsvRecord<'_> {
    /// Returns the text in column `c`.
    pub(super) fn field(&self, c: usize) -> &str {
        &self.fields[c]
    }

    /// Returns the name of column `c`.
    pub(super) fn name(&self, c: usize) -> &str {
        &self.names[c]
    }

    /// Returns an error of the file.
    pub(super) fn error(&self, why: impl std::fmt::Display) -> Error {
        self.source.error(why)
    }

    /// Returns the error of the field in column `c`.
    pub(super) fn field_error(&self, c: usize, expected: &str) -> Error {
        self.error(self.field_text(c, expected))
    }

    /// Returns the text of the error of the field in column `c`, without the file.
    pub(super) fn field_text(&self, c: usize, expected: &str) -> String {
        let (line, name, field) = (self.line(), self.name(c), start_of(self.field(c)));
        format!("{line}, column `{name}`: expected {expected}, got `{field}`")
    }

    /// Returns the line on which the record starts, for messages.
    fn line(&self) -> String {
        // The reader counts empty lines before a record as part of it, unless they are rows.
        let skips_empty_lines = self.names.len() != 1;
        let offset = self.fields.position().map_or(0, Position::byte);
        line_at(self.source, offset, skips_empty_lines)
    }
}

/// Returns a text for a message: the start of a long one.
fn start_of(text: &str) -> String {
    let start: String = text.chars().take(MAX_SHOWN_LETTERS).collect();
    if start.len() < text.len() { start + ".." } else { start }
}

/// Returns the line, counted from 1, at an offset in bytes, as part of a message; with
/// `skips_empty_lines`, that of the first line from there on that is not empty. The file is read
/// again up to there.
fn line_at(source: &CsvFile, offset: u64, skips_empty_lines: bool) -> String {
    let count = || {
        let mut file = BufReader::new(open_file(&source.path)?);
        let mut line = 1;
        let mut before = file.by_ref().take(offset);
        loop {
            let bytes = before.fill_buf()?;
            line += bytes.iter().filter(|&&b| b == b'\n').count();
            match bytes.len() {
                0 => break,
                n => before.consume(n),
            }
        }
        for byte in file.bytes() {
            match byte? {
                b'\n' if skips_empty_lines => line += 1,
                b'\r' if skips_empty_lines => {}
                _ => break,
            }
        }
        Ok::<usize, io::Error>(line)
    };
    match count() {
        Ok(line) => format!("line {line}"),
        // The message has another cause, so a second error does not replace it.
        Err(_) => format!("byte {offset}"),
    }
}

/// A file of which no more is read than its size of the beginning, and no more than
/// [`MAX_CSV_RECORD_BYTES`] for one record.
struct Limited {
    file: Take<File>,
    /// The size of the file at the beginning.
    size: u64,
    /// The bytes that were read since the last record; the reader reads ahead by its buffer.
    read: Arc<AtomicUsize>,
}

impl Limited {
    fn open(source: &CsvFile, read: Arc<AtomicUsize>) -> io::Result<Limited> {
        let file = open_file(&source.path)?;
        let size = file.metadata()?.len();
        Ok(Limited { file: file.take(size), size, read })
    }
}

impl Read for Limited {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.read.load(Ordering::Relaxed) >= MAX_CSV_RECORD_BYTES {
            let why = format!("expected lines of at most {MAX_CSV_RECORD_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        let n = self.file.read(to)?;
        self.read.fetch_add(n, Ordering::Relaxed);
        Ok(n)
    }
}
