//! CSV files with named or numbered columns. Errors name the line and the column.
//!
//! A file is read record by record, and only the numbers are kept, 4 bytes each.

mod records;

use crate::tuning::{MAX_ONE_HOT_CLASSES, MAX_ONE_HOT_ELEMENTS};
use crate::{Dataset, is_affordable, one_hot};
use neurax_tensor::{Result, Tensor, Tree};
use records::{CsvFile, CsvRecord, Records};
use std::collections::HashMap;
use std::path::PathBuf;

/// A CSV file and the options to read it with: see [`csv()`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `read` or `table`"]
pub struct Csv {
    file: CsvFile,
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
    let file = CsvFile { path: path.into(), header: true, delimiter: b',' };
    Csv { file, target: TargetColumns::None }
}

impl Csv {
    /// Sets whether the first line holds the column names; it does by default. Columns without
    /// names are called `0`, `1`, ..
    pub fn header(self, header: bool) -> Csv {
        Csv { file: CsvFile { header, ..self.file }, ..self }
    }

    /// Sets the byte that separates columns, e.g. `b';'` or `b'\t'`.
    pub fn delimiter(self, delimiter: u8) -> Csv {
        Csv { file: CsvFile { delimiter, ..self.file }, ..self }
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
    /// number of columns or is longer than 16 MiB, or a field is not a number or too large for f32.
    /// The message names the file, the line and the column.
    pub fn read(&self) -> Result<Dataset> {
        let mut records = Records::open(&self.file)?;
        let names = records.names();
        let targets = match &self.target {
            TargetColumns::None => {
                return Err(self.file.error(
                    "name the column to predict with `target`, `targets` or `classes`, \
                     or read all columns with `table`",
                ));
            }
            TargetColumns::Numbers(columns) => {
                columns.iter().map(|c| self.find(names, c)).collect::<Result<Vec<usize>>>()?
            }
            TargetColumns::Classes(column) => vec![self.find(names, column)?],
        };
        let others = (0..names.len()).filter(|i| !targets.contains(i)).collect();
        let mut x = Numbers::new(others);
        let y = match &self.target {
            TargetColumns::Classes(_) => {
                let mut y = Classes::new(targets[0]);
                while let Some(record) = records.next()? {
                    x.push(&record).and_then(|()| y.push(&record))?;
                }
                y.tensor(&self.file)?
            }
            _ => {
                let mut y = Numbers::new(targets);
                while let Some(record) = records.next()? {
                    x.push(&record).and_then(|()| y.push(&record))?;
                }
                y.tensor()?
            }
        };
        Dataset::new(x.tensor()?, y)
    }

    /// Reads all columns as numbers.
    ///
    /// # Errors
    /// As for [`Csv::read`], except that no target is needed.
    pub fn table(&self) -> Result<Table> {
        let mut records = Records::open(&self.file)?;
        let mut values = Numbers::new((0..records.names().len()).collect());
        while let Some(record) = records.next()? {
            values.push(&record)?;
        }
        Ok(Table { values: values.tensor()?, names: records.into_names() })
    }

    fn find(&self, names: &[String], column: &str) -> Result<usize> {
        let found = names.iter().position(|n| n == column);
        found.ok_or_else(|| {
            self.file
                .error(format!("expected one of the columns {}, got `{column}`", names.join(", ")))
        })
    }
}

/// The numbers in some columns of the records so far.
struct Numbers {
    columns: Vec<usize>,
    rows: usize,
    values: Vec<f32>,
}

impl Numbers {
    fn new(columns: Vec<usize>) -> Numbers {
        Numbers { columns, rows: 0, values: Vec::new() }
    }

    fn push(&mut self, record: &CsvRecord) -> Result<()> {
        let more = self.columns.len();
        if self.values.try_reserve(more).is_err() {
            let read = self.values.len();
            return Err(record.error(format!("not enough memory for more than {read} numbers")));
        }
        for &c in &self.columns {
            let value = number(record.field(c));
            self.values.push(value.map_err(|expected| record.field_error(c, expected))?);
        }
        self.rows += 1;
        Ok(())
    }

    /// Returns the numbers as f32[rows, columns].
    fn tensor(self) -> Result<Tensor> {
        Tensor::from_vec(self.values, [self.rows, self.columns.len()]).ok()
    }
}

/// The classes in a column of the records so far.
struct Classes {
    column: usize,
    /// The index of each distinct name, in the order of their first records.
    indices: HashMap<String, usize>,
    /// The class of each record.
    rows: Vec<usize>,
}

impl Classes {
    fn new(column: usize) -> Classes {
        Classes { column, indices: HashMap::new(), rows: Vec::new() }
    }

    fn push(&mut self, record: &CsvRecord) -> Result<()> {
        let (name, next) = (record.field(self.column), self.indices.len());
        let class = match self.indices.get(name) {
            Some(&class) => class,
            None if next == MAX_ONE_HOT_CLASSES => {
                return Err(record.error(format!(
                    "column `{}` holds more than {MAX_ONE_HOT_CLASSES} distinct names; select it \
                     with `target` if it is a number",
                    record.name(self.column)
                )));
            }
            None => {
                self.indices.insert(name.to_string(), next);
                next
            }
        };
        if self.rows.try_reserve(1).is_err() {
            return Err(record.error(format!("not enough memory for {} rows", self.rows.len())));
        }
        self.rows.push(class);
        Ok(())
    }

    /// Returns the classes as one-hot rows, in numerical order if all are numbers, else in
    /// alphabetical order.
    fn tensor(self, file: &CsvFile) -> Result<Tensor> {
        let (rows, count) = (self.rows.len(), self.indices.len());
        if !is_affordable(rows, count) {
            return Err(file.error(format!(
                "{count} distinct names in {rows} lines are too many classes; expected at most \
                 {MAX_ONE_HOT_ELEMENTS} one-hot elements"
            )));
        }
        let mut names: Vec<(&str, usize)> =
            self.indices.iter().map(|(name, &i)| (&name[..], i)).collect();
        names.sort_unstable();
        let numbers: Option<Vec<(f64, usize)>> =
            names.iter().map(|&(name, i)| Some((name.parse().ok()?, i))).collect();
        let mut order: Vec<usize> = names.iter().map(|&(_, i)| i).collect();
        if let Some(mut numbers) = numbers {
            numbers.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            order = numbers.into_iter().map(|(_, i)| i).collect();
        }
        let mut ranks = vec![0; count];
        order.iter().enumerate().for_each(|(rank, &i)| ranks[i] = rank);
        Ok(one_hot(self.rows.iter().map(|&class| ranks[class]), count))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::MAX_CSV_RECORD_BYTES;

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
        assert!(e.contains("column `c` holds more than 10000 distinct names"), "{e}");
        // 27,000 lines of a few bytes each take more than 1 GiB as one-hot rows.
        let rows: String =
            (0..27_000).map(|i| format!("0,{}\n", i % MAX_ONE_HOT_CLASSES)).collect();
        let e = error(file("cells", format!("a,c\n{rows}").as_bytes()).classes("c").read());
        assert!(e.contains("10000 distinct names in 27000 lines are too many classes"), "{e}");
        assert!(is_affordable(1_000_000, 100) && !is_affordable(1_000_000, 1000));
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let mut text = b"a,b\n1,2\n1,\"".to_vec();
        text.resize(MAX_CSV_RECORD_BYTES + (1 << 20), b'1');
        let e = error(file("endless", &text).target("b").read());
        assert!(e.ends_with("line 3: expected lines of at most 16777216 bytes"), "{e}");
    }

    #[test]
    fn columns_and_classes_are_those_of_their_rows() {
        let d = file("order", b"k,v\nb,1\na,2\nc,3\na,4\n").classes("k").read().unwrap();
        assert_eq!(d.x.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
        let classes = d.y.argmax(-1).to_vec::<i32>().unwrap();
        assert_eq!(classes, [1, 0, 2, 0]);
        assert_eq!(d.y.shape(), [4, 3]);
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
