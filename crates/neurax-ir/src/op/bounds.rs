//! Indices out of bounds: those of which `gather`, `scatter`, `dynamic_slice` and
//! `dynamic_update_slice` clamp or drop the windows.
//!
//! The ops define what happens then, so that a program on any device reads and writes its own
//! memory only; for a user, such an index is usually a mistake. [`out_of_bounds`] finds it.
//!
//! Example: a `gather` of rows `[0, 9]` of `f32[3, 4]` with the mode `clip` has the index 9 along
//! axis 0 of size 3, which is clamped to 2.

use super::{Gather, Op, OutOfBounds};
use crate::{Literal, with_compute};
use std::fmt;

/// The first index of an equation that is out of bounds, and the number of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFault {
    /// The index: the start of a window.
    pub index: i128,
    /// The axis of the operand.
    pub axis: usize,
    /// The number of elements along the axis.
    pub size: usize,
    /// The number of elements of the window along the axis.
    pub window: usize,
    /// The number of windows that are out of bounds.
    pub count: usize,
    /// The treatment of these windows.
    pub mode: OutOfBounds,
}

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let IndexFault { index, axis, size, window, count, mode } = self;
        write!(f, "index {index}")?;
        if *index < 0 {
            // Functions of tensors add the size to negative indices.
            write!(f, " ({} counted from the end)", index - *size as i128)?;
        }
        write!(f, " is out of bounds for axis {axis} of size {size}")?;
        if *window != 1 {
            write!(f, " and windows of {window}")?;
        }
        let treatment = match mode {
            OutOfBounds::Clip => "clamped",
            OutOfBounds::Drop => "dropped",
        };
        match count {
            1 => write!(f, "; it is {treatment}"),
            _ => write!(f, "; it is the first of {count} that are {treatment}"),
        }
    }
}

/// Returns the first index of an equation of `op` on `xs` that is out of bounds; `None` if there is
/// none, or if the op has no indices. Reads that yield zeros out of bounds are not looked at: no
/// function of tensors asks for them by default.
pub fn out_of_bounds(op: &Op, xs: &[Literal]) -> Option<IndexFault> {
    match (op, xs) {
        (Op::Gather(g), [x, at]) if g.mode == OutOfBounds::Clip => of_gather(g, x.shape(), at),
        (Op::Scatter(s), [x, at, updates]) => {
            of_gather(&s.to_gather(x.shape().rank(), updates.ty()), x.shape(), at)
        }
        (Op::DynamicSlice(s), [x, at]) => of_slice(x.shape(), &s.sizes, at),
        (Op::DynamicUpdateSlice(_), [x, update, at]) => of_slice(x.shape(), update.shape(), at),
        _ => None,
    }
}

fn of_gather(g: &Gather, whole: &[usize], at: &Literal) -> Option<IndexFault> {
    let axes: Vec<(usize, usize, usize)> =
        g.index_map.iter().map(|&a| (a, whole[a], g.sizes[a])).collect();
    first_fault(&axes, g.mode, at)
}

fn of_slice(whole: &[usize], sizes: &[usize], at: &Literal) -> Option<IndexFault> {
    let axes = whole.iter().zip(sizes).enumerate().map(|(a, (&n, &k))| (a, n, k));
    first_fault(&axes.collect::<Vec<_>>(), OutOfBounds::Clip, at)
}

/// Returns the first index out of bounds in `at`, vectors with one entry for each of `axes`: an
/// axis, its size and that of the window.
fn first_fault(
    axes: &[(usize, usize, usize)],
    mode: OutOfBounds,
    at: &Literal,
) -> Option<IndexFault> {
    let at: Vec<i128> = with_compute!(int at.dtype(), C => {
        at.load::<C>().iter().map(|&i| crate::Compute::to_i128(i)).collect()
    }, else vec![]);
    // empty axes: the operand is a scalar, which has one window.
    let vectors = at.chunks(axes.len().max(1));
    let fault_of = |vector: &[i128]| {
        let mut entries = vector.iter().zip(axes);
        entries.find(|&(&i, &(_, n, k))| i < 0 || i > n as i128 - k as i128).map(|(&i, &a)| (i, a))
    };
    let mut faults = vectors.filter_map(fault_of);
    let (index, (axis, size, window)) = faults.next()?;
    Some(IndexFault { index, axis, size, window, count: 1 + faults.count(), mode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{DynamicSlice, DynamicUpdateSlice, Scatter, ScatterKind};
    use crate::{DType, Literal};

    fn ints(shape: &[usize], values: &[f64]) -> Literal {
        Literal::from_f64s(DType::I32, shape, values)
    }

    fn table() -> Literal {
        Literal::from_f64s(DType::F32, [3, 4], &[0.0; 12])
    }

    fn rows(mode: OutOfBounds) -> Gather {
        Gather {
            offset_dims: vec![1],
            collapsed: vec![0],
            operand_batch: vec![],
            indices_batch: vec![],
            index_map: vec![0],
            sizes: vec![1, 4],
            mode,
        }
    }

    #[test]
    fn a_gather_names_the_first_index_and_counts_the_windows() {
        let op = Op::from(rows(OutOfBounds::Clip));
        assert_eq!(out_of_bounds(&op, &[table(), ints(&[2, 1], &[0.0, 2.0])]), None);
        let fault = out_of_bounds(&op, &[table(), ints(&[3, 1], &[0.0, 3.0, -1.0])]).unwrap();
        assert_eq!((fault.index, fault.axis, fault.size, fault.count), (3, 0, 3, 2));
        let text = "index 3 is out of bounds for axis 0 of size 3; it is the first of 2 that are \
                    clamped";
        assert_eq!(fault.to_string(), text);
        let fault = out_of_bounds(&op, &[table(), ints(&[1, 1], &[-1.0])]).unwrap();
        assert!(fault.to_string().starts_with("index -1 (-4 counted from the end) is out"));
        let dropped = Op::from(rows(OutOfBounds::Drop));
        assert_eq!(out_of_bounds(&dropped, &[table(), ints(&[1, 1], &[7.0])]), None);
    }

    #[test]
    fn a_scatter_and_slices_count_the_size_of_the_window() {
        let scatter = Scatter {
            kind: ScatterKind::Add,
            window_dims: vec![1],
            inserted: vec![0],
            operand_batch: vec![],
            indices_batch: vec![],
            index_map: vec![0],
            mode: OutOfBounds::Drop,
            unique: false,
        };
        let updates = Literal::from_f64s(DType::F32, [1, 4], &[0.0; 4]);
        let fault = out_of_bounds(&scatter.into(), &[table(), ints(&[1, 1], &[-2.0]), updates]);
        assert_eq!(fault.map(|f| (f.index, f.mode)), Some((-2, OutOfBounds::Drop)));

        let slice = Op::from(DynamicSlice { sizes: vec![2, 2] });
        assert_eq!(out_of_bounds(&slice, &[table(), ints(&[2], &[1.0, 2.0])]), None);
        let fault = out_of_bounds(&slice, &[table(), ints(&[2], &[1.0, 3.0])]).unwrap();
        assert_eq!(
            fault.to_string(),
            "index 3 is out of bounds for axis 1 of size 4 and windows of 2; it is clamped"
        );
        let update = Literal::from_f64s(DType::F32, [3, 4], &[0.0; 12]);
        let write = Op::from(DynamicUpdateSlice {});
        assert!(out_of_bounds(&write, &[table(), update, ints(&[2], &[0.0, 1.0])]).is_some());
    }
}
