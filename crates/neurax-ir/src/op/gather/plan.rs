//! Where windows are: what gathering and scattering have in common when they run.

use super::{Gather, OutOfBounds};
use crate::{Literal, Shape, op::rules::grid, op::strided::by_width, with_compute};

/// The places of all windows, in the operand and in the dense array of windows. Windows are runs of
/// neighbouring elements.
pub struct Plan {
    /// For every index vector: where its window starts in the operand (nowhere if it is dropped)
    /// and in the array of windows.
    windows: Vec<(Option<usize>, usize)>,
    /// Where each run of a window is, from its start on, in the operand and in the array of
    /// windows.
    runs: Vec<(usize, usize)>,
    /// The length of the runs.
    len: usize,
}

impl Plan {
    /// The places of a gather (or the mirror of a scatter) that `check` has admitted; `out`, the
    /// shape of the array of windows, is not empty.
    pub fn new(g: &Gather, x: &Shape, indices: &Literal, out: &Shape) -> Plan {
        let (runs, len) = runs(g, x, out);
        Plan { windows: windows(g, x, indices, out), runs, len }
    }

    /// Calls `f` with the place of each run in the operand and in the array of windows, in order;
    /// and with its length.
    pub fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        for &(at, out) in &self.windows {
            let Some(at) = at else { continue };
            self.runs.iter().for_each(|&(x, o)| f(at + x, out + o, self.len));
        }
    }

    /// Copies windows of `x` into `out`, whose elements are zero.
    pub fn read(&self, x: &Literal, out: Literal) -> Literal {
        let bits = x.dtype().bits();
        if bits < 8 {
            let from = x.load::<u8>();
            return Literal::build(out.ty().clone(), |to: &mut [u8]| {
                self.each(|x, o, n| to[o..o + n].copy_from_slice(&from[x..x + n]))
            });
        }
        out.edit_bytes(|to| by_width!(bits, N => self.cells::<N>(to, x.bytes(), false))).0
    }

    /// Copies `windows` into `x`; the second answer says whether it was in place.
    pub fn write(&self, x: Literal, windows: &Literal) -> (Literal, bool) {
        let bits = x.dtype().bits();
        if bits < 8 {
            let from = windows.load::<u8>();
            return x.edit(|to: &mut [u8]| {
                self.each(|x, o, n| to[x..x + n].copy_from_slice(&from[o..o + n]))
            });
        }
        x.edit_bytes(|to| by_width!(bits, N => self.cells::<N>(to, windows.bytes(), true)))
    }

    /// Copies elements of `N` bytes: into the operand if `scatter`, else out of it.
    fn cells<const N: usize>(&self, to: &mut [u8], from: &[u8], scatter: bool) {
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

/// The start of every window. A batch axis of the indices moves the window along the operand's axis
/// that goes with it.
fn windows(g: &Gather, x: &Shape, indices: &Literal, out: &Shape) -> Vec<(Option<usize>, usize)> {
    let (strides, out_strides) = (x.strides(), out.strides());
    let batch = &indices.shape()[..indices.shape().rank() - 1];
    let paired = |i: usize| {
        g.indices_batch.iter().position(|&j| j == i).map_or(0, |k| strides[g.operand_batch[k]])
    };
    let along = grid(batch.iter().enumerate().map(|(i, &n)| (n, paired(i))));
    let free = (0..out.rank()).filter(|i| !g.offset_dims.contains(i));
    let outs = grid(free.map(|i| (out[i], out_strides[i])));
    let room: Vec<(i64, usize)> =
        g.index_map.iter().map(|&a| (x[a] as i64 - g.sizes[a] as i64, strides[a])).collect();
    let numbers = integers(indices);
    let start = |w: usize| {
        let vector = &numbers[w * room.len()..][..room.len()];
        vector.iter().zip(&room).try_fold(along[w], |at, (&i, &(most, stride))| {
            Some(at + place(i, most, g.mode)? * stride)
        })
    };
    (0..along.len()).map(|w| (start(w), outs[w])).collect()
}

/// The place that index `i` means on an axis where the last window that fits starts at `most`.
fn place(i: i64, most: i64, mode: OutOfBounds) -> Option<usize> {
    let fits = (0..=most).contains(&i);
    match mode {
        _ if fits => Some(i as usize),
        OutOfBounds::Clip => Some(i.min(most).max(0) as usize),
        OutOfBounds::Drop => None,
    }
}

/// The indices; those beyond the range of i64 are out of bounds as they are.
fn integers(x: &Literal) -> Vec<i64> {
    let narrow = |i: i128| i.min(i64::MAX as i128) as i64;
    with_compute!(int x.dtype(), C => x.load::<C>().iter().map(|&i| narrow(crate::Compute::to_i128(i))).collect(), else vec![])
}

/// The runs of one window: inner axes that are whole in both arrays make one run.
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
