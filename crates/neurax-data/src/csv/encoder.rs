//! The way in which the cells of a column become numbers, and what is learned for it.

use super::options::EmptyCells;
use super::records::{CsvFile, CsvRecord};
use crate::tuning::MAX_ONE_HOT_CLASSES;
use neurax_tensor::Result;
use std::collections::{BTreeSet, HashMap};

/// The text that completes "expected .." for a cell that must be a number.
pub(super) const A_NUMBER: &str = "a number";

/// The way in which the cells of a column become numbers.
#[derive(Debug)]
pub(super) struct CsvEncoder {
    column: usize,
    name: String,
    cells: CellEncoding,
    /// The value of empty cells, or `None` if they are an error. One-hot cells are zeros then.
    empty: Option<f32>,
    empty_texts: Vec<String>,
    /// A part of the layout that is not known yet.
    unknown: Option<UnknownPart>,
}

#[derive(Debug)]
enum CellEncoding {
    Number,
    /// One column for each name.
    OneHot(HashMap<String, usize>),
}

/// A part of a layout that is learned from the file.
#[derive(Debug)]
enum UnknownPart {
    /// The distinct names.
    Names(BTreeSet<String>),
    /// The sum and the number of the finite numbers, for their mean.
    Mean { sum: f64, count: usize },
}

impl CsvEncoder {
    /// Creates the encoder of a column of numbers.
    pub(super) fn number(column: usize, name: &str, empty: EmptyCells) -> CsvEncoder {
        let unknown = UnknownPart::Mean { sum: 0.0, count: 0 };
        CsvEncoder {
            column,
            name: name.to_string(),
            cells: CellEncoding::Number,
            empty: match empty {
                EmptyCells::Error => None,
                EmptyCells::Value(value) => Some(value),
                EmptyCells::Mean => Some(f32::NAN),
            },
            empty_texts: Vec::new(),
            unknown: Some(unknown).filter(|_| empty == EmptyCells::Mean),
        }
    }

    /// Creates the encoder of a column of names, which are learned if they are not known. Known
    /// names are distinct.
    pub(super) fn one_hot(
        column: usize,
        name: &str,
        names: Option<&Vec<String>>,
        empty: EmptyCells,
    ) -> CsvEncoder {
        let known = names.map(|names| names.iter().cloned().zip(0..).collect());
        CsvEncoder {
            cells: CellEncoding::OneHot(known.unwrap_or_default()),
            empty: Some(0.0).filter(|_| empty != EmptyCells::Error),
            unknown: names.is_none().then(|| UnknownPart::Names(BTreeSet::new())),
            ..CsvEncoder::number(column, name, EmptyCells::Error)
        }
    }

    /// Sets the texts that stand for an empty cell.
    pub(super) fn empty_texts(self, texts: &[String]) -> CsvEncoder {
        CsvEncoder { empty_texts: texts.to_vec(), ..self }
    }

    /// Returns the index of the column.
    pub(super) fn column(&self) -> usize {
        self.column
    }

    /// Returns true if nothing has to be learned from the file.
    pub(super) fn is_known(&self) -> bool {
        self.unknown.is_none()
    }

    /// Returns true if the column becomes one column for each of its names.
    pub(super) fn is_one_hot(&self) -> bool {
        matches!(self.cells, CellEncoding::OneHot(_))
    }

    /// Returns the number of columns that the column becomes.
    pub(super) fn width(&self) -> usize {
        match &self.cells {
            CellEncoding::Number => 1,
            CellEncoding::OneHot(names) => names.len(),
        }
    }

    /// Appends the numbers of the cell of a record.
    pub(super) fn push(&self, record: &CsvRecord, to: &mut Vec<f32>) -> Result<()> {
        let failed = |expected: &str| record.field_error(self.column, expected);
        if self.is_empty(record) {
            let value = self.empty.ok_or_else(|| failed(self.expected()))?;
            to.extend((0..self.width()).map(|_| value));
            return Ok(());
        }
        let text = record.field(self.column);
        match &self.cells {
            CellEncoding::Number => to.push(number(text).map_err(failed)?),
            CellEncoding::OneHot(names) => {
                let class = *names.get(text).ok_or_else(|| failed("one of the known names"))?;
                to.extend((0..names.len()).map(|c| f32::from(u8::from(c == class))));
            }
        }
        Ok(())
    }

    /// Checks the cell of a record. The text of the error completes "expected ..".
    pub(super) fn check(&self, record: &CsvRecord) -> Result<(), String> {
        let text = record.field(self.column);
        match &self.cells {
            _ if self.is_empty(record) => match self.empty {
                Some(_) => Ok(()),
                None => Err(self.expected().into()),
            },
            CellEncoding::Number => number(text).map(|_| ()).map_err(Into::into),
            CellEncoding::OneHot(names) if self.unknown.is_none() && !names.contains_key(text) => {
                let mut known: Vec<(&String, &usize)> = names.iter().collect();
                known.sort_by_key(|(_, at)| **at);
                let known: Vec<&str> = known.into_iter().take(10).map(|(n, _)| &n[..]).collect();
                let more = if names.len() > known.len() { ", .." } else { "" };
                Err(format!("one of the names {}{more}", known.join(", ")))
            }
            CellEncoding::OneHot(_) => Ok(()),
        }
    }

    /// Returns the text that completes "expected .." for an empty cell.
    fn expected(&self) -> &'static str {
        match self.cells {
            CellEncoding::Number => A_NUMBER,
            CellEncoding::OneHot(_) => "a name",
        }
    }

    pub(super) fn is_empty(&self, record: &CsvRecord) -> bool {
        let text = record.field(self.column);
        text.is_empty() || self.empty_texts.iter().any(|empty| empty == text)
    }

    /// Adds the cell of a record to what is learned.
    pub(super) fn learn(&mut self, record: &CsvRecord) -> Result<()> {
        if self.is_empty(record) {
            return Ok(());
        }
        let text = record.field(self.column);
        match &mut self.unknown {
            None => {}
            Some(UnknownPart::Mean { sum, count }) => {
                let x = number(text).map_err(|e| record.field_error(self.column, e))?;
                // One `nan` or `inf` would make every empty cell one.
                if x.is_finite() {
                    *sum += f64::from(x);
                    *count += 1;
                }
            }
            Some(UnknownPart::Names(names)) => {
                if !names.contains(text) {
                    names.insert(text.to_string());
                }
                if names.len() > MAX_ONE_HOT_CLASSES {
                    return Err(record.error(format!(
                        "column `{}` holds more than {MAX_ONE_HOT_CLASSES} distinct names; select \
                         it with `target` if it is a number",
                        self.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Takes over what was learned.
    pub(super) fn finish(&mut self, file: &CsvFile) -> Result<()> {
        match self.unknown.take() {
            None => {}
            Some(UnknownPart::Mean { count: 0, .. }) => {
                let why =
                    "expected at least one finite number, for the mean of the others, got none";
                return Err(file.error(format!("column `{}`: {why}", self.name)));
            }
            Some(UnknownPart::Mean { sum, count }) => {
                self.empty = Some((sum / count as f64) as f32)
            }
            Some(UnknownPart::Names(names)) => {
                self.cells = CellEncoding::OneHot(in_order(names).into_iter().zip(0..).collect());
            }
        }
        Ok(())
    }

    /// Returns the names of the columns that the column becomes.
    pub(super) fn names(&self) -> Vec<String> {
        match &self.cells {
            CellEncoding::Number => vec![self.name.clone()],
            CellEncoding::OneHot(names) => {
                let mut names: Vec<(&String, &usize)> = names.iter().collect();
                names.sort_by_key(|(_, at)| **at);
                names.into_iter().map(|(name, _)| format!("{}={name}", self.name)).collect()
            }
        }
    }
}

/// Returns names in numerical order if all are numbers, else in alphabetical order.
fn in_order(names: BTreeSet<String>) -> Vec<String> {
    let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    let Some(numbers) = numbers else { return names.into_iter().collect() };
    let mut pairs: Vec<(f64, String)> = numbers.into_iter().zip(names).collect();
    pairs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    pairs.into_iter().map(|(_, name)| name).collect()
}

/// Parses a field. `inf` is a number, but digits that overflow to infinity are an error: the text
/// of the error completes "expected ..".
fn number(field: &str) -> Result<f32, &'static str> {
    match field.parse::<f32>() {
        Ok(x) if x.is_infinite() && field.contains(|c: char| c.is_ascii_digit()) => {
            Err("a number in the range of f32")
        }
        Ok(x) => Ok(x),
        Err(_) => Err(A_NUMBER),
    }
}
