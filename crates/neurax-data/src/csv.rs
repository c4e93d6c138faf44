//! CSV files with named or numbered columns. Errors name the line and the column.
//!
//! A file is read record by record, and only the numbers are kept, 4 bytes each. The first
//! records are checked before anything else is read, so that a column of text in a large file is
//! reported immediately, together with all others. What depends on the whole file, such as the
//! classes in a column, is learned in a pass before the numbers are read: see [`layout`].

mod cells;
mod empty_lines;
mod encoder;
mod layout;
mod options;
mod quotes;
mod records;
#[cfg(test)]
mod tests;
mod texts;

use crate::kept::Kept;
use crate::stream::{ItemTask, ItemTasks, Stream, task};
use crate::{Batch, Dataset};
use ::csv::StringRecord;
use cells::CsvCells;
use layout::CsvLayout;
use neurax_tensor::{Result, Tensor};
use options::CsvOptions;
use records::{CsvFile, CsvRecord, Records};
use std::path::PathBuf;
use std::sync::Arc;

pub use options::{CsvColumn, EmptyCells};

/// A CSV file and the options to read it with: see [`csv()`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `read`, `table` or `stream`"]
pub struct Csv {
    file: Arc<CsvFile>,
    options: CsvOptions,
}

/// Columns of a file as one tensor.
#[derive(Clone, Debug)]
pub struct Table {
    /// The column names in the header; `0`, `1`, .. if there is no header. The columns of
    /// categories are called `color=red`, `color=blue`, ..
    pub names: Vec<String>,
    /// The numbers, f32[rows, columns].
    pub values: Tensor,
}

/// Creates a reader of the CSV file at `path`, with a header line and comma-separated columns. The
/// other methods of [`Csv`] are its options; [`Csv::read`] returns a [`Dataset`], [`Csv::table`]
/// one tensor, [`Csv::stream`] the parts of a file that is larger than memory.
///
/// A byte order mark at the start of the file is skipped. An empty line of a file of one column is
/// a row whose cell is empty; in a file of several columns it is skipped.
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
/// assert!(error.contains("line 3, column `width`: expected a number, got `tall`"), "{error}");
/// # Ok::<(), Error>(())
/// ```
pub fn csv(path: impl Into<PathBuf>) -> Csv {
    let file = CsvFile { path: path.into(), header: true, delimiter: b',' };
    Csv { file: Arc::new(file), options: CsvOptions::default() }
}

impl Csv {
    /// Sets whether the first line holds the column names; it does by default. Columns without
    /// names are called `0`, `1`, ..
    pub fn header(self, header: bool) -> Csv {
        Csv { file: Arc::new(CsvFile { header, ..(*self.file).clone() }), ..self }
    }

    /// Sets the byte that separates columns, e.g. `b';'` or `b'\t'`.
    pub fn delimiter(self, delimiter: u8) -> Csv {
        Csv { file: Arc::new(CsvFile { delimiter, ..(*self.file).clone() }), ..self }
    }

    /// Sets the column of numbers to predict, by name or by number from 0: `y` is f32[n, 1].
    pub fn target(self, column: impl Into<CsvColumn>) -> Csv {
        self.targets([column])
    }

    /// Sets several columns of numbers to predict: `y` is f32[n, k].
    pub fn targets<C: Into<CsvColumn>>(self, columns: impl IntoIterator<Item = C>) -> Csv {
        self.with(|options| options.set_targets(columns.into_iter().map(Into::into).collect()))
    }

    /// Sets the column of classes to predict, numbers or names: `y` is one-hot f32[n, classes]. The
    /// classes are those in the file, in numerical order if all are numbers, else in alphabetical
    /// order. They are texts: `1` and `1.0` are two classes.
    pub fn classes(self, column: impl Into<CsvColumn>) -> Csv {
        self.with(|options| options.set_classes(column.into(), None))
    }

    /// Sets the column of classes to predict, and the classes in their order, which need not all be
    /// in the file: for files that must have the same classes, such as one to test on. Another
    /// class in the file is an error, and so are names that are empty or given twice.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-known.csv");
    /// std::fs::write(&path, "a,kind\n1,dog\n")?;
    /// let set = data::csv(&path).known_classes("kind", ["cat", "dog"]).read()?;
    /// assert_eq!(set.y.to_vec::<f32>()?, [0.0, 1.0]);
    /// let error = data::csv(&path).known_classes("kind", ["cat"]).read().unwrap_err().to_string();
    /// assert!(error.ends_with("expected one of the names cat, got `dog`"), "{error}");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn known_classes<S: Into<String>>(
        self,
        column: impl Into<CsvColumn>,
        classes: impl IntoIterator<Item = S>,
    ) -> Csv {
        let classes = classes.into_iter().map(Into::into).collect();
        self.with(|options| options.set_classes(column.into(), Some(classes)))
    }

    /// Sets the columns that are read into `x`, in this order; by default all that are not targets.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-select.csv");
    /// std::fs::write(&path, "id,a,b,y\nk7,1,2,3\nk8,4,5,6\n")?;
    /// let set = data::csv(&path).select(["b", "a"]).target("y").read()?;
    /// assert_eq!(set.x.to_vec::<f32>()?, [2.0, 1.0, 5.0, 4.0]);
    /// let same = data::csv(&path).select([2, 1]).target(3).read()?;
    /// assert_eq!(same.x.to_vec::<f32>()?, set.x.to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn select<C: Into<CsvColumn>>(self, columns: impl IntoIterator<Item = C>) -> Csv {
        let columns = columns.into_iter().map(Into::into).collect();
        self.with(|options| options.selected = Some(columns))
    }

    /// Sets columns that are not read: names, notes, keys.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-skip.csv");
    /// std::fs::write(&path, "id,a,y\nk7,1,3\nk8,4,6\n")?;
    /// let set = data::csv(&path).skip(["id"]).target("y").read()?;
    /// assert_eq!(set.x.shape(), [2, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn skip<C: Into<CsvColumn>>(self, columns: impl IntoIterator<Item = C>) -> Csv {
        self.with(|options| options.skipped.extend(columns.into_iter().map(Into::into)))
    }

    /// Sets columns of names that are read as one-hot columns, one for each name in the file, in
    /// the order of [`Csv::classes`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-categories.csv");
    /// std::fs::write(&path, "color,size\nred,1\nblue,2\n")?;
    /// let table = data::csv(&path).categories(["color"]).table()?;
    /// assert_eq!(table.names, ["color=blue", "color=red", "size"]);
    /// assert_eq!(table.values.to_vec::<f32>()?, [0.0, 1.0, 1.0, 1.0, 0.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn categories<C: Into<CsvColumn>>(self, columns: impl IntoIterator<Item = C>) -> Csv {
        let columns = columns.into_iter().map(|column| (column.into(), None));
        self.with(|options| options.categories.extend(columns))
    }

    /// Sets a column of names that is read as one-hot columns, one for each of `names`, as
    /// [`Csv::categories`]. Another name in the file is an error, and so are names that are empty
    /// or given twice.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-known-categories.csv");
    /// std::fs::write(&path, "color,size\nred,1\n")?;
    /// let table = data::csv(&path).known_categories("color", ["red", "blue"]).table()?;
    /// assert_eq!(table.values.to_vec::<f32>()?, [1.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn known_categories<S: Into<String>>(
        self,
        column: impl Into<CsvColumn>,
        names: impl IntoIterator<Item = S>,
    ) -> Csv {
        let names = names.into_iter().map(Into::into).collect();
        self.with(|options| options.categories.push((column.into(), Some(names))))
    }

    /// Sets the treatment of empty cells of inputs; by default they are an error. An empty target
    /// is always an error.
    ///
    /// ```
    /// use neurax::{data::EmptyCells, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-empty.csv");
    /// std::fs::write(&path, "a,b\n1,?\n3,8\n,4\n")?;
    /// let file = data::csv(&path).empty_texts(["?"]);
    /// assert!(file.table().is_err());
    /// let means = file.clone().empty(EmptyCells::Mean).table()?;
    /// assert_eq!(means.values.to_vec::<f32>()?, [1.0, 6.0, 3.0, 8.0, 2.0, 4.0]);
    /// let zeros = file.empty(EmptyCells::Value(0.0)).table()?;
    /// assert_eq!(zeros.values.to_vec::<f32>()?, [1.0, 0.0, 3.0, 8.0, 0.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn empty(self, rule: EmptyCells) -> Csv {
        self.with(|options| options.empty = rule)
    }

    /// Sets texts that stand for an empty cell, such as `NA` or `?`.
    ///
    /// ```
    /// use neurax::{data::EmptyCells, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-empty-texts.csv");
    /// std::fs::write(&path, "a,b\nNA,1\n")?;
    /// let table = data::csv(&path).empty_texts(["NA"]).empty(EmptyCells::Value(-1.0)).table()?;
    /// assert_eq!(table.values.to_vec::<f32>()?, [-1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn empty_texts<S: Into<String>>(self, texts: impl IntoIterator<Item = S>) -> Csv {
        self.with(|options| options.empty_texts.extend(texts.into_iter().map(Into::into)))
    }

    /// Reads the file: the target columns become `y`, the others `x`, f32[n, k]. Numbers have the
    /// syntax of Rust, including `nan` and `inf` in upper or lower case.
    ///
    /// # Errors
    /// If no target was set, a column does not exist, two columns have one name, an option is for a
    /// column that is not read, the one-hot columns have more than 2^28 elements, a line differs
    /// from the first in its number of columns or is longer than 16 MiB, a quote is not closed, or
    /// a field is not a number or too large for f32. The message names the file, the line and the
    /// column; all columns that hold no numbers in the first 100 lines are named together.
    pub fn read(&self) -> Result<Dataset> {
        self.check_target()?;
        let layout = self.layout(true)?;
        self.check_size(&layout)?;
        let mut cells = CsvCells::default();
        let mut records = layout.open(&self.file)?;
        while let Some(record) = records.next()? {
            cells.push(&layout, &record)?;
        }
        let Batch { x, y } = cells.batch(&layout)?;
        Dataset::new(x, y)
    }

    /// Reads all columns as numbers, or those of [`Csv::select`] and not of [`Csv::skip`].
    ///
    /// # Errors
    /// As for [`Csv::read`], except that no target is needed.
    pub fn table(&self) -> Result<Table> {
        let layout = self.layout(false)?;
        self.check_size(&layout)?;
        let mut cells = CsvCells::default();
        let mut records = layout.open(&self.file)?;
        while let Some(record) = records.next()? {
            cells.push(&layout, &record)?;
        }
        Ok(Table { values: cells.batch(&layout)?.x, names: layout.input_names() })
    }

    /// Returns the examples in batches of `rows` lines, the last one of fewer: for files that are
    /// larger than memory. The file is read while the items are used, again for each epoch;
    /// [`Stream::prefetch`] converts several batches in parallel. The numbers are those of
    /// [`Csv::read`].
    ///
    /// Classes, categories and means are learned from the whole file before the first batch; with
    /// [`Csv::known_classes`] and the like, no line is read twice. [`Stream::unbatch`] and
    /// [`Stream::shuffle_buffer`] change the order of the examples.
    ///
    /// # Errors
    /// The first item is an error if `rows` is 0. Other errors are those of [`Csv::read`], in the
    /// batch in which they are found.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-stream.csv");
    /// std::fs::write(&path, "a,y\n1,10\n2,20\n3,30\n")?;
    /// let batches = data::csv(&path).target("y").stream(2);
    /// let targets: Vec<Vec<f32>> =
    ///     batches.epoch(0).map(|batch| batch?.y.to_vec()).collect::<Result<_>>()?;
    /// assert_eq!(targets, [vec![10.0, 20.0], vec![30.0]]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn stream(&self, rows: usize) -> Stream<Batch> {
        if rows == 0 {
            return Stream::failed("csv", "expected batches of at least 1 line, got 0");
        }
        let (csv, kept) = (self.clone(), Kept::default());
        let open = move |_, first: usize| {
            csv.check_target()?;
            let layout = kept.get(|| csv.layout(true))?;
            let mut records = layout.open(&csv.file)?;
            for _ in 0..first.saturating_mul(rows) {
                if records.next()?.is_none() {
                    break;
                }
            }
            let parts =
                CsvParts { file: csv.file.clone(), records, layout, rows, has_failed: false };
            Ok(Box::new(parts) as ItemTasks<Batch>)
        };
        Stream::sequential(|| None, open)
    }

    fn with(mut self, change: impl FnOnce(&mut CsvOptions)) -> Csv {
        change(&mut self.options);
        self
    }

    /// Learns the layout. `has_targets` is false if targets are columns like all others.
    fn layout(&self, has_targets: bool) -> Result<CsvLayout> {
        CsvLayout::learn(&self.file, &self.options, has_targets)
    }

    /// Checks that there is something to predict.
    fn check_target(&self) -> Result<()> {
        if self.options.has_targets() {
            return Ok(());
        }
        Err(self.file.error(
            "name the column to predict with `target`, `targets` or `classes`, or read all columns \
             with `table`",
        ))
    }

    /// Checks that the one-hot rows of a whole file fit into memory, if its size is known before it
    /// is read.
    fn check_size(&self, layout: &CsvLayout) -> Result<()> {
        layout.learned_rows.map_or(Ok(()), |rows| layout.check_size(&self.file, rows))
    }
}

/// The parts of an open file, as tasks that convert their lines.
struct CsvParts {
    file: Arc<CsvFile>,
    records: Records,
    layout: Arc<CsvLayout>,
    /// The number of lines of a part.
    rows: usize,
    has_failed: bool,
}

impl CsvParts {
    /// Reads the fields of the next part.
    fn read(&mut self) -> Result<Vec<StringRecord>> {
        let mut part = Vec::new();
        while part.len() < self.rows {
            match self.records.next()? {
                Some(record) => part.push(record.fields.clone()),
                None => break,
            }
        }
        Ok(part)
    }
}

impl Iterator for CsvParts {
    type Item = Result<ItemTask<Batch>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let part = match self.read() {
            Ok(part) if part.is_empty() => return None,
            Ok(part) => part,
            Err(e) => {
                self.has_failed = true;
                return Some(Err(e));
            }
        };
        let (file, layout) = (self.file.clone(), self.layout.clone());
        let names = self.records.names().clone();
        Some(Ok(task(move || {
            let mut cells = CsvCells::default();
            for fields in &part {
                cells.push(&layout, &CsvRecord { source: &file, names: &names, fields })?;
            }
            cells.batch(&layout)
        })))
    }
}
