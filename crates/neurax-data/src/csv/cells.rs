//! The numbers of records, row by row.

use super::encoder::CsvEncoder;
use super::layout::CsvLayout;
use super::records::CsvRecord;
use crate::Batch;
use neurax_tensor::{Result, Tensor, Tree};

/// The numbers of the records so far.
#[derive(Default)]
pub(super) struct CsvCells {
    rows: usize,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl CsvCells {
    /// Appends the numbers of a record.
    pub(super) fn push(&mut self, layout: &CsvLayout, record: &CsvRecord) -> Result<()> {
        layout.check_size(record.source, self.rows + 1)?;
        append(&layout.inputs, record, &mut self.x)?;
        append(&layout.targets, record, &mut self.y)?;
        self.rows += 1;
        Ok(())
    }

    /// Returns the numbers as f32[rows, columns] each.
    pub(super) fn batch(self, layout: &CsvLayout) -> Result<Batch> {
        let tensor = |values, encoders: &[CsvEncoder]| {
            let width = encoders.iter().map(CsvEncoder::width).sum::<usize>();
            Tensor::from_vec(values, [self.rows, width]).ok()
        };
        Ok(Batch { x: tensor(self.x, &layout.inputs)?, y: tensor(self.y, &layout.targets)? })
    }
}

fn append(encoders: &[CsvEncoder], record: &CsvRecord, values: &mut Vec<f32>) -> Result<()> {
    let more: usize = encoders.iter().map(CsvEncoder::width).sum();
    if values.try_reserve(more).is_err() {
        let read = values.len();
        return Err(record.error(format!("not enough memory for more than {read} numbers")));
    }
    encoders.iter().try_for_each(|encoder| encoder.push(record, values))
}
