//! Tables of text: CSV with named or numbered columns. Errors name line and column.

use crate::{Dataset, one_hot};
use csv::{ReaderBuilder, StringRecord};
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// How to read a CSV file: see [`csv()`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `read` or `table`"]
pub struct Csv {
    path: PathBuf,
    header: bool,
    delimiter: u8,
    target: Target,
}

/// All columns of a file as one tensor.
#[derive(Clone, Debug)]
pub struct Table {
    /// The names in the header; `0`, `1`, .. without one.
    pub names: Vec<String>,
    /// f32[rows, columns].
    pub values: Tensor,
}

#[derive(Clone, Debug)]
enum Target {
    None,
    Numbers(Vec<String>),
    Classes(String),
}

/// A CSV file with a header line, columns separated by commas. Options: [`Csv::header`],
/// [`Csv::delimiter`], [`Csv::target`], [`Csv::classes`]; [`Csv::read`] gives a [`Dataset`],
/// [`Csv::table`] one tensor.
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
/// assert!(error.ends_with("line 3, column `width`: `tall` is not a number"), "{error}");
/// # Ok::<(), Error>(())
/// ```
pub fn csv(path: impl Into<PathBuf>) -> Csv {
    Csv { path: path.into(), header: true, delimiter: b',', target: Target::None }
}

impl Csv {
    /// Does the first line name the columns? Yes, unless told otherwise; without names, columns are
    /// called `0`, `1`, ..
    pub fn header(self, header: bool) -> Csv {
        Csv { header, ..self }
    }

    /// What separates columns, e.g. `b';'` or `b'\t'`.
    pub fn delimiter(self, delimiter: u8) -> Csv {
        Csv { delimiter, ..self }
    }

    /// The column of numbers to predict: y f32[n, 1].
    pub fn target(self, column: &str) -> Csv {
        self.targets([column])
    }

    /// Several columns of numbers to predict: y f32[n, k].
    pub fn targets<S: Into<String>>(self, columns: impl IntoIterator<Item = S>) -> Csv {
        Csv { target: Target::Numbers(columns.into_iter().map(Into::into).collect()), ..self }
    }

    /// The column of classes to predict, numbers or names: y one-hot f32[n, classes], in the order
    /// of the numbers or of the alphabet.
    pub fn classes(self, column: &str) -> Csv {
        Csv { target: Target::Classes(column.into()), ..self }
    }

    /// Reads the file: the target columns are y, all others x f32[n, k]. Numbers are written as in
    /// Rust; `nan` and `inf`, in any case, are read as such.
    ///
    /// # Errors
    /// When no target was named, a named column is not there, a line has another number of columns
    /// than the first, or a field is not a number or too large for f32; the message names file,
    /// line and column.
    pub fn read(&self) -> Result<Dataset> {
        let (names, rows) = self.rows()?;
        let targets = match &self.target {
            Target::None => return Err(self.error("name the column to predict with `target`, `targets` or `classes`, or read all with `table`")),
            Target::Numbers(columns) => columns.iter().map(|c| self.find(&names, c)).collect::<Result<Vec<usize>>>()?,
            Target::Classes(column) => vec![self.find(&names, column)?],
        };
        let others: Vec<usize> = (0..names.len()).filter(|i| !targets.contains(i)).collect();
        let y = match &self.target {
            Target::Classes(column) => classes(&rows, targets[0]).map_err(|n| {
                let rows = rows.len();
                self.error(format!(
                    "column `{column}` holds {n} different names in {rows} lines, more than {MAX_CLASSES} classes or {MAX_CELLS} numbers, one-hot; \
                     name it with `target` if it is a number"
                ))
            })?,
            _ => self.numbers(&names, &rows, &targets)?,
        };
        Dataset::new(self.numbers(&names, &rows, &others)?, y)
    }

    /// Reads all columns as numbers.
    ///
    /// # Errors
    /// As [`Csv::read`].
    pub fn table(&self) -> Result<Table> {
        let (names, rows) = self.rows()?;
        let all: Vec<usize> = (0..names.len()).collect();
        let values = self.numbers(&names, &rows, &all)?;
        Ok(Table { names, values })
    }

    /// The names of the columns and the lines below, all of one length.
    fn rows(&self) -> Result<(Vec<String>, Vec<StringRecord>)> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .trim(csv::Trim::All)
            .from_path(&self.path);
        let records = reader.as_mut().map_err(|e| self.error(e))?.records();
        let mut rows = records
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
                "line {} has {} columns, but the first line has {width}",
                self.line(r),
                r.len()
            ))),
            None => Ok((names, rows.collect())),
        }
    }

    fn find(&self, names: &[String], column: &str) -> Result<usize> {
        let found = names.iter().position(|n| n == column);
        found.ok_or_else(|| {
            self.error(format!("there is no column `{column}`; there are {}", names.join(", ")))
        })
    }

    fn numbers(
        &self,
        names: &[String],
        rows: &[StringRecord],
        columns: &[usize],
    ) -> Result<Tensor> {
        let mut out = Vec::new();
        for row in rows {
            for &c in columns {
                out.push(number(&row[c]).map_err(|why| {
                    self.error(format!(
                        "line {}, column `{}`: `{}` {why}",
                        self.line(row),
                        names[c],
                        &row[c]
                    ))
                })?);
            }
        }
        Tensor::from_vec(out, [rows.len(), columns.len()]).ok()
    }

    /// The line where a record starts, for messages. The reader counts empty lines before a record
    /// as part of it, so the file is looked at again.
    fn line(&self, r: &StringRecord) -> usize {
        let text = std::fs::read(&self.path).unwrap_or_default();
        let from = r.position().map_or(0, |p| p.byte() as usize).min(text.len());
        let (before, rest) = text.split_at(from);
        let empty = rest.iter().take_while(|b| matches!(b, b'\n' | b'\r'));
        1 + before.iter().chain(empty).filter(|&&b| b == b'\n').count()
    }

    fn error(&self, why: impl std::fmt::Display) -> Error {
        Error::new("csv", format!("{}: {why}", Path::new(&self.path).display()))
    }
}

/// A field as a number. `inf` is one, but what becomes infinite is not what the file says.
fn number(field: &str) -> Result<f32, &'static str> {
    match field.parse::<f32>() {
        Ok(x) if x.is_infinite() && field.contains(|c: char| c.is_ascii_digit()) => {
            Err("is too large for f32")
        }
        Ok(x) => Ok(x),
        Err(_) => Err("is not a number"),
    }
}

/// More different names than this are no classes.
const MAX_CLASSES: usize = 10_000;
/// More numbers than this, 1 GiB of f32, are not made of one column: one-hot rows take memory that
/// a small file only claims.
const MAX_CELLS: usize = 1 << 28;

/// Are so many classes few enough for so many rows?
fn affordable(rows: usize, classes: usize) -> bool {
    classes <= MAX_CLASSES && rows.saturating_mul(classes) <= MAX_CELLS
}

/// The names of a column as one-hot rows; too many of them are the error.
fn classes(rows: &[StringRecord], column: usize) -> Result<Tensor, usize> {
    let mut names: Vec<&str> =
        rows.iter().map(|r| &r[column]).collect::<BTreeSet<&str>>().into_iter().collect();
    if !affordable(rows.len(), names.len()) {
        return Err(names.len());
    }
    let numbers: Option<Vec<f64>> = names.iter().map(|n| n.parse().ok()).collect();
    if numbers.is_some() {
        names.sort_by(|a, b| a.parse::<f64>().unwrap_or(0.0).total_cmp(&b.parse().unwrap_or(0.0)));
    }
    let number: HashMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    Ok(one_hot(rows.iter().filter_map(|r| number.get(&r[column]).copied()), names.len()))
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
    fn classes_that_are_numbers_keep_their_order() {
        let d = file("classes", b"a,c\n0,10\n0,9\n0,10\n").classes("c").read().unwrap();
        assert_eq!(d.y.to_vec::<f32>().unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn absurdly_many_classes_are_refused() {
        let rows: String = (0..MAX_CLASSES + 1).map(|i| format!("0,n{i}\n")).collect();
        let e = error(file("many", format!("a,c\n{rows}").as_bytes()).classes("c").read());
        assert!(e.contains("column `c` holds 10001 different names"), "{e}");
        // 27,000 lines of a few bytes each, one-hot more than 1 GiB.
        let rows: String = (0..27_000).map(|i| format!("0,{}\n", i % MAX_CLASSES)).collect();
        let e = error(file("cells", format!("a,c\n{rows}").as_bytes()).classes("c").read());
        assert!(e.contains("holds 10000 different names in 27000 lines"), "{e}");
        assert!(affordable(1_000_000, 100) && !affordable(1_000_000, 1000));
    }

    #[test]
    fn not_a_number_and_infinity_are_read() {
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
    fn a_header_alone_is_no_rows() {
        assert_eq!(file("none", b"a,b\n").target("b").read().unwrap().x.shape(), [0, 1]);
    }

    #[test]
    fn malformed_files_name_line_and_column() {
        assert!(error(file("empty", b"").target("a").read()).ends_with("the file is empty"));
        assert!(
            error(file("ragged", b"a,b\n1,2\n3\n").target("a").read())
                .ends_with("line 3 has 1 columns, but the first line has 2")
        );
        assert!(
            error(file("word", b"a,b\n1,2\n\nx,4\n").target("b").read())
                .ends_with("line 4, column `a`: `x` is not a number")
        );
        let big = error(file("big", b"a,b\n1,2\n-1e39,4\n").target("b").read());
        assert!(big.ends_with("line 3, column `a`: `-1e39` is too large for f32"), "{big}");
        assert!(
            error(file("column", b"a,b\n1,2\n").target("z").read())
                .ends_with("there is no column `z`; there are a, b")
        );
        assert!(error(file("target", b"a,b\n1,2\n").read()).contains("name the column to predict"));
        assert!(error(file("utf8", b"a,b\n1,\xff\n").target("b").read()).contains("UTF-8"));
        assert!(error(csv("/no/such/file.csv").target("b").read()).contains("/no/such/file.csv"));
    }
}
