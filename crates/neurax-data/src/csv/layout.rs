//! The columns of a file and the way in which their cells become numbers.
//!
//! [`CsvOptions`] has the options of the user, which name columns. [`CsvLayout::learn`] looks them
//! up in the header, checks the first records, and, only where classes, categories or means are not
//! known, reads the whole file to learn them. Example, with `categories(["color"])`:
//!
//! ```text
//! color,size,price        inputs:  color -> one-hot of blue, red; size -> number
//! red,1,20                targets: price -> number
//! blue,2,30
//! ```
//!
//! Invariant: a layout determines the number of columns of `x` and `y`, so that all parts of a file
//! have one shape.

use super::encoder::{A_NUMBER, CsvEncoder};
use super::options::{CsvColumn, CsvOptions, EmptyCells};
use super::records::{CsvFile, Records};
use crate::tuning::{CSV_CHECKED_RECORDS, MAX_ONE_HOT_ELEMENTS};
use neurax_tensor::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The columns that are read from a file.
#[derive(Debug)]
pub(super) struct CsvLayout {
    /// The names of all columns of the file.
    columns: Arc<[String]>,
    pub(super) inputs: Vec<CsvEncoder>,
    pub(super) targets: Vec<CsvEncoder>,
    /// The number of records, if all were read to learn the layout.
    pub(super) learned_rows: Option<usize>,
}

impl CsvLayout {
    /// Looks up the columns of `options` in a file, and learns what is not known of them.
    ///
    /// # Errors
    /// If a column does not exist or is both input and target, two columns have one name, an option
    /// is for a column that is not read, or a record is malformed.
    pub(super) fn learn(
        file: &Arc<CsvFile>,
        options: &CsvOptions,
        has_targets: bool,
    ) -> Result<CsvLayout> {
        let mut records = Records::open(file)?;
        let names = records.names().clone();
        let columns = CsvColumns { file, names: &names, options };
        let targets = if has_targets { columns.targets()? } else { Vec::new() };
        let inputs = columns.inputs(&targets)?;
        let mut layout = CsvLayout { columns: names.clone(), inputs, targets, learned_rows: None };
        layout.check_first(file)?;
        if layout.encoders().any(|encoder| !encoder.is_known()) {
            let mut rows = 0;
            while let Some(record) = records.next()? {
                layout.encoders_mut().try_for_each(|encoder| encoder.learn(&record))?;
                rows += 1;
            }
            layout.encoders_mut().try_for_each(|encoder| encoder.finish(file))?;
            layout.learned_rows = Some(rows);
        }
        Ok(layout)
    }

    /// Opens the file to read its numbers.
    ///
    /// # Errors
    /// If it cannot be read, or its columns changed.
    pub(super) fn open(&self, file: &Arc<CsvFile>) -> Result<Records> {
        Records::open_again(file, &self.columns)
    }

    /// Checks that the one-hot columns of `rows` records fit into memory.
    pub(super) fn check_size(&self, file: &CsvFile, rows: usize) -> Result<()> {
        let one_hot = self.encoders().filter(|encoder| encoder.is_one_hot());
        let width: usize = one_hot.map(CsvEncoder::width).sum();
        if rows.saturating_mul(width) <= MAX_ONE_HOT_ELEMENTS {
            return Ok(());
        }
        Err(file.error(format!(
            "{width} distinct names in {rows} lines are too many classes; expected at most \
             {MAX_ONE_HOT_ELEMENTS} one-hot elements"
        )))
    }

    /// Checks the first records; the error names all columns that hold no numbers.
    fn check_first(&self, file: &Arc<CsvFile>) -> Result<()> {
        let mut records = self.open(file)?;
        let mut bad: Vec<(usize, String)> = Vec::new();
        let (mut hints, mut checked) = (false, 0);
        while checked < CSV_CHECKED_RECORDS
            && let Some(record) = records.next()?
        {
            checked += 1;
            for encoder in self.encoders() {
                let is_new = bad.iter().all(|(column, _)| *column != encoder.column());
                if is_new && let Err(expected) = encoder.check(&record) {
                    hints |= expected == A_NUMBER && !encoder.is_empty(&record);
                    bad.push((encoder.column(), record.field_text(encoder.column(), &expected)));
                }
            }
        }
        if bad.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = bad.into_iter().map(|(_, text)| text).collect();
        let hint = "; `skip` columns that are not needed, or read them with `categories`";
        let hint = if hints { hint } else { "" };
        let delimiter = file.delimiter_hint(&self.columns);
        Err(file.error(format!("{}{hint}{delimiter}", texts.join("; "))))
    }

    /// Returns the names of the columns of `x`.
    pub(super) fn input_names(&self) -> Vec<String> {
        self.inputs.iter().flat_map(CsvEncoder::names).collect()
    }

    fn encoders(&self) -> impl Iterator<Item = &CsvEncoder> {
        self.inputs.iter().chain(&self.targets)
    }

    fn encoders_mut(&mut self) -> impl Iterator<Item = &mut CsvEncoder> {
        self.inputs.iter_mut().chain(&mut self.targets)
    }
}

/// The columns of a file, to look up those of the options.
pub(super) struct CsvColumns<'a> {
    pub(super) file: &'a CsvFile,
    pub(super) names: &'a [String],
    pub(super) options: &'a CsvOptions,
}

impl CsvColumns<'_> {
    /// Returns the index of a column.
    pub(super) fn find(&self, column: &CsvColumn) -> Result<usize> {
        let found = match column {
            CsvColumn::Named(name) => {
                let all: Vec<usize> =
                    (0..self.names.len()).filter(|&c| self.names[c] == *name).collect();
                self.check_distinct(&all)?;
                all.first().copied()
            }
            CsvColumn::At(at) => Some(*at).filter(|&at| at < self.names.len()),
        };
        found.ok_or_else(|| {
            let (names, hint) = (self.names.join(", "), self.file.delimiter_hint(self.names));
            self.file.error(format!("expected one of the columns {names}, got {column}{hint}"))
        })
    }

    fn find_all(&self, columns: &[CsvColumn]) -> Result<Vec<usize>> {
        columns.iter().map(|column| self.find(column)).collect()
    }

    /// Checks that the columns `read` have different names.
    fn check_distinct(&self, read: &[usize]) -> Result<()> {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for &column in read {
            let name = &self.names[column];
            if let Some(other) = seen.insert(name, column)
                && other != column
            {
                return Err(self.file.error(format!(
                    "the columns {other} and {column} are both called `{name}`; rename one of \
                     them, or `select` or `skip` columns by number"
                )));
            }
        }
        Ok(())
    }

    fn targets(&self) -> Result<Vec<CsvEncoder>> {
        match &self.options.classes {
            Some((column, names)) => {
                Ok(vec![self.one_hot(self.find(column)?, names.as_ref(), EmptyCells::Error)?])
            }
            None => {
                let columns = self.find_all(&self.options.targets)?;
                Ok(columns.into_iter().map(|c| self.number(c, EmptyCells::Error)).collect())
            }
        }
    }

    /// Returns the columns that are read into `x`.
    fn inputs(&self, targets: &[CsvEncoder]) -> Result<Vec<CsvEncoder>> {
        let CsvOptions { selected, skipped, categories, empty, .. } = self.options;
        let skipped = self.find_all(skipped)?;
        let is_target = |c: usize| targets.iter().any(|target| target.column() == c);
        let columns = match selected {
            Some(columns) => self.find_all(columns)?,
            None => (0..self.names.len()).filter(|&c| !is_target(c)).collect(),
        };
        if let Some(&c) = skipped.iter().find(|&&c| is_target(c)) {
            let why = format!("column `{}` is skipped and is a target", self.names[c]);
            return Err(self.file.error(why));
        }
        let columns: Vec<usize> = columns.into_iter().filter(|c| !skipped.contains(c)).collect();
        if let Some(&c) = columns.iter().find(|&&c| is_target(c)) {
            let why = format!("column `{}` is selected as an input and is a target", self.names[c]);
            return Err(self.file.error(why));
        }
        self.check_distinct(&columns)?;
        let mut named: BTreeMap<usize, Option<&Vec<String>>> = BTreeMap::new();
        for (column, names) in categories {
            let c = self.find(column)?;
            if !columns.contains(&c) {
                let why = "holds categories, but is no input: it is skipped, not selected or a \
                           target";
                return Err(self.file.error(format!("column `{}` {why}", self.names[c])));
            }
            if named.insert(c, names.as_ref()).is_some() {
                let why = format!("expected categories once for a column, got {column} twice");
                return Err(self.file.error(why));
            }
        }
        let encoder = |c: usize| match named.get(&c) {
            Some(names) => self.one_hot(c, *names, *empty),
            None => Ok(self.number(c, *empty)),
        };
        columns.into_iter().map(encoder).collect()
    }

    fn number(&self, column: usize, empty: EmptyCells) -> CsvEncoder {
        let encoder = CsvEncoder::number(column, &self.names[column], empty);
        encoder.empty_texts(&self.options.empty_texts)
    }

    fn one_hot(
        &self,
        column: usize,
        names: Option<&Vec<String>>,
        empty: EmptyCells,
    ) -> Result<CsvEncoder> {
        let (name, empty_texts) = (&self.names[column], &self.options.empty_texts);
        let mut seen = BTreeSet::new();
        for known in names.into_iter().flatten() {
            let failed = |why: &str| {
                let why = format!("column `{name}`: expected {why}, got `{known}`");
                Err(self.file.error(why))
            };
            if known.is_empty() || empty_texts.contains(known) {
                return failed("known names that do not stand for an empty cell");
            }
            if !seen.insert(known) {
                return failed("each known name once");
            }
        }
        let encoder = CsvEncoder::one_hot(column, name, names, empty);
        Ok(encoder.empty_texts(empty_texts))
    }
}
