//! The offsets of all windows of a gather or scatter, and the loops that copy them.

use super::{Gather, OutOfBounds};
use crate::op::{rules::grid, select::as_codes, strided::by_width};
use crate::{Literal, Result, Shape, with_compute};

/// The offsets, in elements, of all windows in the operand and in the dense array of windows. A
/// window consists of runs of contiguous elements.
pub struct GatherPlan {
    /// For every index vector, the start of its window in the operand (`None` if it is dropped) and
    /// in the array of windows.
    windows: Vec<(Option<usize>, usize)>,
    /// The offsets of each run of a window from the start of the window, in the operand and in the
    /// array of windows.
    runs: Vec<(usize, usize)>,
    /// The length of the runs, in elements.
    len: usize,
}

impl GatherPlan {
    /// Plans a gather that `check` has admitted, or the gather with the windows of a scatter.
    /// `out`, the shape of the array of windows, must not be empty.
    pub fn new(g: &Gather, x: &Shape, indices: &Literal, out: &Shape) -> GatherPlan {
        let (runs, len) = runs(g, x, out);
        GatherPlan { windows: windows(g, x, indices, out), runs, len }
    }

    /// Calls `f(offset in the operand, offset in the array of windows, length)` for each run, in
    /// order.
    pub fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        for &(at, out) in &self.windows {
            let Some(at) = at else { continue };
            self.runs.iter().for_each(|&(x, o)| f(at + x, out + o, self.len));
        }
    }

    /// Copies the windows of `x` to `out`, whose elements are zero.
    ///
    /// # Errors
    /// [`Error::bug`](crate::Error::bug) if the types do not fit the bytes.
    pub fn read(&self, x: &Literal, out: Literal) -> Result<Literal> {
        let bits = x.dtype().bits();
        if bits < 8 {
            let (ty, codes) = (out.ty().clone(), as_codes(x.clone())?);
            let from = codes.load::<u8>();
            let (out, _) = as_codes(out)?.edit(|to: &mut [u8]| {
                self.each(|x, o, n| to[o..o + n].copy_from_slice(&from[x..x + n]))
            });
            return out.with_type(ty);
        }
        Ok(out.edit_bytes(|to| by_width!(bits, N => self.copy::<N>(to, x.bytes(), false))).0)
    }

    /// Copies `windows` into `x`; also returns whether that happened in place.
    ///
    /// # Errors
    /// As for [`GatherPlan::read`].
    pub fn write(&self, x: Literal, windows: &Literal) -> Result<(Literal, bool)> {
        let bits = x.dtype().bits();
        if bits < 8 {
            let (ty, codes) = (x.ty().clone(), as_codes(windows.clone())?);
            let from = codes.load::<u8>();
            let (out, inplace) = as_codes(x)?.edit(|to: &mut [u8]| {
                self.each(|x, o, n| to[x..x + n].copy_from_slice(&from[o..o + n]))
            });
            return Ok((out.with_type(ty)?, inplace));
        }
        Ok(x.edit_bytes(|to| by_width!(bits, N => self.copy::<N>(to, windows.bytes(), true))))
    }

    /// Copies elements of `N` bytes: from the windows to the operand if `scatter`, else back.
    fn copy<const N: usize>(&self, to: &mut [u8], from: &[u8], scatter: bool) {
        let (to, from) = (to.as_chunks_mut::<N>().0, from.as_chunks::<N>().0);
        self.each(|x, o, n| {
            let (t, f) = if scatter { (x, o) } else { (o, x) };
            match n {
                1 => to[t] = from[f],
                n => to[t..t + n].copy_from_slice(&from[f..f + n]),
            }
        });
    }
}

/// Returns the start of every window. The index along a batch axis of the indices is also the index
/// along the operand's axis that it is paired with.
fn windows(g: &Gather, x: &Shape, indices: &Literal, out: &Shape) -> Vec<(Option<usize>, usize)> {
    let (strides, out_strides) = (x.strides(), out.strides());
    let batch = &indices.shape()[..indices.shape().rank() - 1];
    let paired = |i: usize| {
        g.indices_batch.iter().position(|&j| j == i).map_or(0, |k| strides[g.operand_batch[k]])
    };
    let along = grid(batch.iter().enumerate().map(|(i, &n)| (n, paired(i))));
    let free = (0..out.rank()).filter(|i| !g.offset_dims.contains(i));
    let outs = grid(free.map(|i| (out[i], out_strides[i])));
    // For each entry of an index vector, the last start in bounds and the stride.
    let axes: Vec<(i64, usize)> =
        g.index_map.iter().map(|&a| (x[a] as i64 - g.sizes[a] as i64, strides[a])).collect();
    let indices = integers(indices);
    let start = |w: usize| {
        let vector = &indices[w * axes.len()..][..axes.len()];
        vector.iter().zip(&axes).try_fold(along[w], |at, (&i, &(last, stride))| {
            Some(at + in_bounds(i, last, g.mode)? * stride)
        })
    };
    (0..along.len()).map(|w| (start(w), outs[w])).collect()
}

/// Returns the start of a window at index `i` on an axis where the last window in bounds starts at
/// `last`; `None` if the window is dropped.
fn in_bounds(i: i64, last: i64, mode: OutOfBounds) -> Option<usize> {
    let fits = (0..=last).contains(&i);
    match mode {
        _ if fits => Some(i as usize),
        OutOfBounds::Clip => Some(i.min(last).max(0) as usize),
        OutOfBounds::Drop => None,
    }
}

/// Returns the indices as i64, saturating: an index beyond its range is out of bounds anyway.
fn integers(x: &Literal) -> Vec<i64> {
    let narrow = |i: i128| i.min(i64::MAX as i128) as i64;
    with_compute!(int x.dtype(), C => {
        x.load::<C>().iter().map(|&i| narrow(crate::Compute::to_i128(i))).collect()
    }, else vec![])
}

/// Returns the runs of one window and their length: inner axes that are contiguous in both arrays
/// are collapsed into one run.
fn runs(g: &Gather, x: &Shape, out: &Shape) -> (Vec<(usize, usize)>, usize) {
    let (strides, out_strides) = (x.strides(), out.strides());
    let mut axes: Vec<(usize, usize, usize)> = g
        .kept(x.rank())
        .iter()
        .zip(&g.offset_dims)
        .map(|(&a, &o)| (g.sizes[a], strides[a], out_strides[o]))
        .filter(|a| a.0 != 1)
        .collect();
    let mut len = 1;
    while let Some((n, _, _)) = axes.pop_if(|a| a.1 == len && a.2 == len) {
        len *= n;
    }
    let from = grid(axes.iter().map(|a| (a.0, a.1)));
    let to = grid(axes.iter().map(|a| (a.0, a.2)));
    (from.into_iter().zip(to).collect(), len)
}
