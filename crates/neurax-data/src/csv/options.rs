//! The options of a CSV reader: the columns that it reads, and the rule for empty cells.

use std::fmt;

/// A column of a CSV file: its name, or its number from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum CsvColumn {
    /// The name in the header; the number as text if there is no header.
    Named(String),
    /// The number, counted from 0.
    At(usize),
}

/// The treatment of empty cells of a [`Csv`](super::Csv).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum EmptyCells {
    /// An error that names the line and the column.
    #[default]
    Error,
    /// This number; a category that is empty has zeros in all its columns.
    Value(f32),
    /// The mean of the finite numbers in the column; categories as with `Value`.
    Mean,
}

/// The options of a [`Csv`](super::Csv).
#[derive(Clone, Debug, Default)]
pub(super) struct CsvOptions {
    pub(super) targets: Vec<CsvColumn>,
    /// The column of classes, and the classes if they are known.
    pub(super) classes: Option<NamesOf>,
    pub(super) selected: Option<Vec<CsvColumn>>,
    pub(super) skipped: Vec<CsvColumn>,
    pub(super) categories: Vec<NamesOf>,
    pub(super) empty: EmptyCells,
    pub(super) empty_texts: Vec<String>,
}

/// A column of names, and the names if they are known.
pub(super) type NamesOf = (CsvColumn, Option<Vec<String>>);

impl From<&str> for CsvColumn {
    fn from(name: &str) -> CsvColumn {
        CsvColumn::Named(name.into())
    }
}

impl From<String> for CsvColumn {
    fn from(name: String) -> CsvColumn {
        CsvColumn::Named(name)
    }
}

impl From<&String> for CsvColumn {
    fn from(name: &String) -> CsvColumn {
        CsvColumn::Named(name.clone())
    }
}

impl From<usize> for CsvColumn {
    fn from(at: usize) -> CsvColumn {
        CsvColumn::At(at)
    }
}

impl fmt::Display for CsvColumn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            CsvColumn::Named(name) => write!(f, "`{name}`"),
            CsvColumn::At(at) => write!(f, "column {at}"),
        }
    }
}

impl CsvOptions {
    /// Sets the columns of numbers to predict.
    pub(super) fn set_targets(&mut self, columns: Vec<CsvColumn>) {
        (self.targets, self.classes) = (columns, None);
    }

    /// Sets the column of classes to predict.
    pub(super) fn set_classes(&mut self, column: CsvColumn, classes: Option<Vec<String>>) {
        (self.targets, self.classes) = (Vec::new(), Some((column, classes)));
    }

    /// Returns true if there is something to predict.
    pub(super) fn has_targets(&self) -> bool {
        !self.targets.is_empty() || self.classes.is_some()
    }
}
