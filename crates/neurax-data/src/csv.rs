//! CSV files with named or numbered columns. Errors name the line and the column.

use crate::tuning::{MAX_ONE_HOT_CLASSES, MAX_ONE_HOT_ELEMENTS};
use crate::{Dataset, one_hot};
use csv::{ReaderBuilder, StringRecord};
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// A CSV file and the options to read it with: see [`csv()`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `read` or `table`"]
pub struct Csv {
    path: PathBuf,
    header: bool,
    delimiter: u8,
    target: TargetColumns,
}

/// All columns of a file as one tensor.
#[derive(Clone, Debug)]
pub struct Table {
    /// The column names in the header; `0`, `1`, .. if there is no header.
    pub names: Vec<String>,
    /// The numbers, f32[rows, columns].
    pub values: Tensor,
}

/// The contents of a file.
struct Records {
    /// The bytes of the file, in which errors look up lines.
    text: Vec<u8>,
    /// The column names.
    names: Vec<String>,
    /// The records after the header, each with one field per name.
    rows: Vec<StringRecord>,
}

/// The columns that are the targets of a data set.
#[derive(Clone, Debug)]
enum TargetColumns {
    None,
    Numbers(Vec<String>),
    Classes(String),
}

/// Creates a reader of the CSV file at `path`, with a header line and comma-separated columns.
/// [`Csv::header`], [`Csv::delimiter`], [`Csv::target`] and [`Csv::classes`] are its options;
/// [`Csv::read`] returns a [`Dataset`], [`Csv::table`] one tensor.
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc.csv");
/// std::fs::write(&path, "height,width,kind\n1,2,cat\n3,4,dog\n5,6,cat\n")?;
/// let data = data::csv(&path).classes("kind").read()?;
/// assert_eq!(data.x.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// assert_eq!(data.y.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
///
/// std::fs::write(&path, "height,width\n1,2\n3,tall\n")?;
/// let error = data::csv(&path).target("width").read().unwrap_err().to_string();
/// assert!(error.ends_with("line 3, column `width`: expected a number, got `tall`"), "{error}");
/// # Ok::<(), Error>(())
/// ```
pub fn csv(path: impl Into<PathBuf>) -> Csv {
    Csv { path: path.into(), header: true, delimiter: b',', target: TargetColumns::None }
}

impl Csv {
    /// Sets whether the first line holds the column names; it does by default. Columns without
    /// names are called `0`, `1`, ..
    pub fn header(self, header: bool) -> Csv {
        Csv { header, ..self }
    }

    /// Sets the byte that separates columns, e.g. `b';'` or `b'\t'`.
    pub fn delimiter(self, delimiter: u8) -> Csv {
        Csv { delimiter, ..self }
    }

    /// Sets the column of numbers to predict: `y` is f32[n, 1].
    pub fn target(self, column: &str) -> Csv {
        self.targets([column])
    }

    /// Sets several columns of numbers to predict: `y` is f32[n, k].
    pub fn targets<S: Into<String>>(self, columns: impl IntoIterator<Item = S>) -> Csv {
        let columns = columns.into_iter().map(Into::into).collect();
        Csv { target: TargetColumns::Numbers(columns), ..self }
    }

    /// Sets the column of classes to predict, numbers or names: `y` is one-hot f32[n, classes]. The
    /// classes are in numerical order if all are numbers, else in alphabetical order.
    pub fn classes(self, column: &str) -> Csv {
        Csv { target: TargetColumns::Classes(column.into()), ..self }
    }

    /// Reads the file: the target columns become `y`, all others `x`, f32[n, k]. Numbers have the
    /// syntax of Rust, including `nan` and `inf` in upper or lower case.
    ///
    /// # Errors
    /// If no target was set, a named column does not exist, a line differs from the first in its
    /// number of columns, or a field is not a number or too large for f32. The message names the
    /// file, the line and the column.
    pub fn read(&self) -> Result<Dataset> {
        let records = self.records()?;
        let names = &records.names;
        let targets = match &self.target {
            TargetColumns::None => {
                return Err(self.error(
                    "name the column to predict with `target`, `targets` or `classes`, \
                     or read all columns with `table`",
                ));
            }
            TargetColumns::Numbers(columns) => {
                columns.iter().map(|c| self.find(names, c)).collect::<Result<Vec<usize>>>()?
            }
            TargetColumns::Classes(column) => vec![self.find(names, column)?],
        };
        let others: Vec<usize> = (0..names.len()).filter(|i| !targets.contains(i)).collect();
        let y = match &self.target {
            TargetColumns::Classes(column) => classes(&records.rows, targets[0]).map_err(|n| {
                let rows = records.rows.len();
                self.error(format!(
                    "column `{column}` holds {n} distinct names in {rows} lines; expected at most \
                     {MAX_ONE_HOT_CLASSES} classes and {MAX_ONE_HOT_ELEMENTS} one-hot elements; \
                     select it with `target` if it is a number"
                ))
            })?,
            _ => self.numbers(&records, &targets)?,
        };
        Dataset::new(self.numbers(&records, &others)?, y)
    }

    /// Reads all columns as numbers.
    ///
    /// # Errors
    /// As for [`Csv::read`], except that no target is needed.
    pub fn table(&self) -> Result<Table> {
        let records = self.records()?;
        let all: Vec<usize> = (0..records.names.len()).collect();
        let values = self.numbers(&records, &all)?;
        Ok(Table { names: records.names, values })
    }

    /// Reads the column names and the records, which all have the same number of columns.
    fn records(&self) -> Result<Records> {
        let text = std::fs::read(&self.path).map_err(|e| self.error(e))?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .trim(csv::Trim::All)
            .from_reader(&text[..]);
        let mut rows = reader
            .records()
            .map(|r| r.map_err(|e| self.error(e)))
            .collect::<Result<Vec<StringRecord>>>()?
            .into_iter();
        let first = rows.as_slice().first().ok_or_else(|| self.error("the file is empty"))?;
        let width = first.len();
        let names = (0..width)
            .map(|i| if self.header { first[i].to_string() } else { i.to_string() })
            .collect();
        if self.header {
            rows.next();
        }
        match rows.as_slice().iter().find(|r| r.len() != width) {
            Some(r) => Err(self.error(format!(
                "line {}: expected {width} columns, as in the first line, got {}",
                line_of(r, &text),
                r.len()
            ))),
            None => Ok(Records { names, rows: rows.collect(), text }),
        }
    }

    fn find(&self, names: &[String], column: &str) -> Result<usize> {
        let found = names.iter().position(|n| n == column);
        found.ok_or_else(|| {
            self.error(format!("expected one of the columns {}, got `{column}`", names.join(", ")))
        })
    }

    /// Returns the fields of `columns` as f32[rows, columns].
    fn numbers(&self, records: &Records, columns: &[usize]) -> Result<Tensor> {
        let Records { text, names, rows } = records;
        let mut out = Vec::new();
        for row in rows {
            for &c in columns {
                out.push(number(&row[c]).map_err(|expected| {
                    let (line, column, field) = (line_of(row, text), &names[c], &row[c]);
                    self.error(format!(
                        "line {line}, column `{column}`: expected {expected}, got `{field}`"
                    ))
                })?);
            }
        }
        Tensor::from_vec(out, [rows.len(), columns.len()]).ok()
    }

    fn error(&self, why: impl std::fmt::Display) -> Error {
        Error::new("csv", format!("{}: {why}", Path::new(&self.path).display()))
    }
}

/// Returns the line of `text`, counted from 1, on which the record `r` starts, for messages. The
/// reader counts empty lines before a record as part of it.
fn line_of(r: &StringRecord, text: &[u8]) -> usize {
    let from = r.position().map_or(0, |p| p.byte() as usize).min(text.len());
    let (before, rest) = text.split_at(from);
    let empty = rest.iter().take_while(|b| matches!(b, b'\n' | b'\r'));
    1 + before.iter().chain(empty).filter(|&&b| b == b'\n').count()
}

/// Parses a field. `inf` is a number, but digits that overflow to infinity are an error: the text
/// of the error completes "expected ..".
fn number(field: &str) -> Result<f32, &'static str> {
    match field.parse::<f32>() {
        Ok(x) if x.is_infinite() && field.contains(|c: char| c.is_ascii_digit()) => {
            Err("a number in the range of f32")
        }
        Ok(x) => Ok(x),
        Err(_) => Err("a number"),
    }
}

/// Returns true if one-hot rows of `classes` elements stay within the limits for `rows` rows.
fn is_affordable(rows: usize, classes: usize) -> bool {
    classes <= MAX_ONE_HOT_CLASSES && rows.saturating_mul(classes) <= MAX_ONE_HOT_ELEMENTS
}

/// Encodes the names in a column as one-hot rows.
///
/// # Errors
/// The number of distinct names, if it is too large.
fn classes(rows: &[StringRecord], column: usize) -> Result<Tensor, usize> {
    let mut names: Vec<&str> =
        rows.iter().map(|r| &r[column]).collect::<BTreeSet<&str>>().into_iter().collect();
    if !is_affordable(rows.len(), names.len()) {
        return Err(names.len());
    }
    let numbers: Option<Vec<(f64, &str)>> =
        names.iter().map(|n| Some((n.parse().ok()?, *n))).collect();
    if let Some(mut numbers) = numbers {
        numbers.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        names = numbers.into_iter().map(|(_, n)| n).collect();
    }
    let index: HashMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    Ok(one_hot(rows.iter().filter_map(|r| index.get(&r[column]).copied()), names.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &[u8]) -> Csv {
        let path = std::env::temp_dir().join(format!("neurax-csv-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        csv(path)
    }

    fn error(r: Result<Dataset>) -> String {
        r.unwrap_err().to_string()
    }

    #[test]
    fn options() {
        let d = file("semi", b"1;2;30\n4;5;60\n")
            .header(false)
            .delimiter(b';')
            .targets(["2", "0"])
            .read()
            .unwrap();
        assert_eq!(d.x.to_vec::<f32>().unwrap(), [2.0, 5.0]);
        assert_eq!(d.y.to_vec::<f32>().unwrap(), [30.0, 1.0, 60.0, 4.0]);
        let t = file("table", b"a, b\n1, 2\n").table().unwrap();
        assert_eq!(t.names, ["a", "b"]);
        assert_eq!(t.values.shape(), [1, 2]);
    }

    #[test]
    fn numeric_classes_are_in_numerical_order() {
        let d = file("classes", b"a,c\n0,10\n0,9\n0,10\n").classes("c").read().unwrap();
        assert_eq!(d.y.to_vec::<f32>().unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn too_many_classes_are_an_error() {
        let rows: String = (0..MAX_ONE_HOT_CLASSES + 1).map(|i| format!("0,n{i}\n")).collect();
        let e = error(file("many", format!("a,c\n{rows}").as_bytes()).classes("c").read());
        assert!(e.contains("column `c` holds 10001 distinct names"), "{e}");
        // 27,000 lines of a few bytes each take more than 1 GiB as one-hot rows.
        let rows: String =
            (0..27_000).map(|i| format!("0,{}\n", i % MAX_ONE_HOT_CLASSES)).collect();
        let e = error(file("cells", format!("a,c\n{rows}").as_bytes()).classes("c").read());
        assert!(e.contains("holds 10000 distinct names in 27000 lines"), "{e}");
        assert!(is_affordable(1_000_000, 100) && !is_affordable(1_000_000, 1000));
    }

    #[test]
    fn nan_and_infinity_are_numbers() {
        let x = file("nan", b"a,b\nnan,-inf\nNaN,Infinity\n")
            .table()
            .unwrap()
            .values
            .to_vec::<f32>()
            .unwrap();
        assert!(x[0].is_nan() && x[2].is_nan());
        assert_eq!((x[1], x[3]), (f32::NEG_INFINITY, f32::INFINITY));
    }

    #[test]
    fn a_file_with_only_a_header_has_no_rows() {
        assert_eq!(file("none", b"a,b\n").target("b").read().unwrap().x.shape(), [0, 1]);
    }

    #[test]
    fn malformed_files_name_line_and_column() {
        assert!(error(file("empty", b"").target("a").read()).ends_with("the file is empty"));
        assert!(
            error(file("ragged", b"a,b\n1,2\n3\n").target("a").read())
                .ends_with("line 3: expected 2 columns, as in the first line, got 1")
        );
        assert!(
            error(file("word", b"a,b\n1,2\n\nx,4\n").target("b").read())
                .ends_with("line 4, column `a`: expected a number, got `x`")
        );
        let big = error(file("big", b"a,b\n1,2\n-1e39,4\n").target("b").read());
        let want = "line 3, column `a`: expected a number in the range of f32, got `-1e39`";
        assert!(big.ends_with(want), "{big}");
        assert!(
            error(file("column", b"a,b\n1,2\n").target("z").read())
                .ends_with("expected one of the columns a, b, got `z`")
        );
        assert!(error(file("target", b"a,b\n1,2\n").read()).contains("name the column to predict"));
        assert!(error(file("utf8", b"a,b\n1,\xff\n").target("b").read()).contains("UTF-8"));
        assert!(error(csv("/no/such/file.csv").target("b").read()).contains("/no/such/file.csv"));
    }
}
