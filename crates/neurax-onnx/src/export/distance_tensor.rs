//! Tensors whose elements depend on the difference of two indices: the buckets of relative
//! positions in a transformer, and the masks of attention to a window.
//!
//! ```text
//! squares of j - i, up to 4    table by j - i
//! 0 1 4 4                      -2 and less   4
//! 1 0 1 4                      -1, 0, 1      1, 0, 1
//! 4 1 0 1                      2 and more    4
//! ```
//!
//! The elements of all traces together are a table of the differences. Its ends stand for all
//! larger differences: the function must be constant from there up to twice the difference, which
//! large sizes show.

use super::trace_elements::{TraceElements, is_same};
use neurax_ir::op::OutOfBounds;
use neurax_ir::{Builder, DType, Literal, Type, Value};

/// A tensor whose elements depend on the difference of two indices.
#[derive(Debug)]
pub(super) struct DistanceTensor {
    ty: Type,
    rows: usize,
    columns: usize,
    /// The elements for differences from `-reach` to `reach`; the first and the last one are those
    /// of all other differences.
    table: Literal,
    reach: usize,
}

/// Returns the tensors of all traces as tables of the difference of two indices; `None` if they are
/// none.
pub(super) fn distances(all: &[TraceElements], open: &[usize]) -> Option<Vec<DistanceTensor>> {
    let pairs = open.iter().flat_map(|&r| open.iter().map(move |&c| (r, c)));
    let of_pair = |(rows, columns): (usize, usize)| {
        let table = distance_table(all, rows, columns)?;
        let reach = table.len() / 2;
        let tensor = |x: &TraceElements| {
            let (ty, dtype) = (x.ty.clone(), x.ty.dtype);
            let table = Literal::from_f64s(dtype, [table.len()], &table);
            DistanceTensor { ty, rows, columns, table, reach }
        };
        Some(all.iter().map(tensor).collect())
    };
    pairs.filter(|(r, c)| r < c).find_map(of_pair)
}

/// Returns the elements by the difference of two indices, from `-n` to `n`, where `n` is the
/// smallest number beyond which all elements are equal; `None` if elements of one difference
/// differ, or no such number is at most half of the largest difference.
fn distance_table(all: &[TraceElements], rows: usize, columns: usize) -> Option<Vec<f64>> {
    let sizes = all.iter().map(|x| x.ty.shape[rows].max(x.ty.shape[columns]));
    let zero = sizes.max()?;
    let mut found: Vec<Option<f64>> = vec![None; 2 * zero + 1];
    for x in all {
        for (p, &number) in x.numbers.iter().enumerate() {
            let at = zero + x.index(p, columns) - x.index(p, rows);
            if !is_same(*found.get_mut(at)?.get_or_insert(number), number) {
                return None;
            }
        }
    }
    let first = found.iter().position(Option::is_some)?;
    let last = found.iter().rposition(Option::is_some)?;
    let largest = zero.checked_sub(first)?.min(last.checked_sub(zero)?);
    let are_equal = |part: &[Option<f64>], end: Option<f64>| {
        part.iter().flatten().all(|&x| end.is_some_and(|end| is_same(x, end)))
    };
    let is_end = |n: &usize| {
        are_equal(&found[..zero - n], found[zero - n])
            && are_equal(&found[zero + n..], found[zero + n])
    };
    let reach = (0..=largest / 2).find(is_end)?;
    found[zero - reach..=zero + reach].iter().copied().collect()
}

impl DistanceTensor {
    /// Emits the tensor.
    pub fn emit(&self, b: &mut Builder) -> Value {
        let indices = self.ty.with_dtype(DType::I64);
        let rows = b.iota(indices.clone(), self.rows);
        let columns = b.iota(indices.clone(), self.columns);
        let reach = b.full(indices, self.reach as f64);
        let difference = b.sub(columns, rows);
        let at = b.add(difference, reach);
        let table = b.constant(self.table.clone());
        b.take(table, at, 0, OutOfBounds::Clip)
    }
}
