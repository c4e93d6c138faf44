//! Strided views, and the copy between two of them that evaluates all ops that move elements.
//!
//! Loops that are contiguous in both views are collapsed, and transpositions are tiled for the
//! cache. Elements are copied by their width, regardless of their dtype.

use crate::{Literal, Shape, tuning::TRANSPOSE_TILE};
use smallvec::SmallVec;

/// Evaluates `$body` with the constant `$N`: the size in bytes of an element of `$bits` bits, at
/// least 8. Elements that are only copied need no type.
macro_rules! by_width {
    ($bits:expr, $N:ident => $body:expr) => {
        match $bits {
            8 => {
                const $N: usize = 1;
                $body
            }
            16 => {
                const $N: usize = 2;
                $body
            }
            32 => {
                const $N: usize = 4;
                $body
            }
            64 => {
                const $N: usize = 8;
                $body
            }
            _ => {
                const $N: usize = 16;
                $body
            }
        }
    };
}

pub(super) use by_width;

/// A strided view of a dense array: index `i` of the view is the element at `offset + i[0] *
/// strides[0] + ..`.
#[derive(Clone, Debug)]
pub struct View {
    offset: isize,
    shape: Shape,
    strides: SmallVec<[isize; 6]>,
}

impl View {
    /// Creates the view of a whole row-major array.
    pub fn dense(shape: &Shape) -> View {
        View {
            offset: 0,
            shape: shape.clone(),
            strides: shape.strides().iter().map(|&s| s as isize).collect(),
        }
    }

    /// Broadcasts the view to `shape`: its axis `i` becomes axis `dims[i]`, axes of size 1 repeat.
    pub fn broadcast(self, shape: &Shape, dims: &[usize]) -> View {
        let mut strides = SmallVec::from_elem(0, shape.rank());
        for (i, &d) in dims.iter().enumerate().filter(|&(i, _)| self.shape[i] != 1) {
            strides[d] = self.strides[i];
        }
        View { offset: self.offset, shape: shape.clone(), strides }
    }

    /// Permutes the axes: axis `permutation[i]` becomes axis `i`.
    pub fn transpose(self, permutation: &[usize]) -> View {
        let shape = permutation.iter().map(|&p| self.shape[p]).collect();
        View {
            offset: self.offset,
            shape,
            strides: permutation.iter().map(|&p| self.strides[p]).collect(),
        }
    }

    /// Slices the view: `sizes[i]` elements of axis `i` from `start[i]` on, at distance `step[i]`.
    pub fn window(mut self, start: &[usize], sizes: &[usize], step: &[usize]) -> View {
        for (i, s) in self.strides.iter_mut().enumerate() {
            // The start of an empty window may be out of bounds; computing its offset could
            // overflow.
            self.offset += if sizes.contains(&0) { 0 } else { *s * start[i] as isize };
            *s = if sizes[i] > 1 { *s * step[i] as isize } else { 0 };
        }
        View { shape: sizes.into(), ..self }
    }

    /// Reverses the order of the elements along `axes`.
    pub fn reverse(mut self, axes: &[usize]) -> View {
        for &a in axes {
            self.offset += self.strides[a] * (self.shape[a] as isize - 1).max(0);
            self.strides[a] = -self.strides[a];
        }
        self
    }
}

/// Copies view `from` of `x` to a dense literal.
pub fn read(x: &Literal, from: &View) -> Literal {
    let ty = x.ty().with_shape(&from.shape);
    write(Literal::zeros(ty), &View::dense(&from.shape), x, from).0
}

/// Copies view `from` of `x` to view `at` of `to`, which has the same shape and dtype. Happens in
/// place if `to` has no other owner; also returns whether it did.
pub fn write(to: Literal, at: &View, x: &Literal, from: &View) -> (Literal, bool) {
    let bits = x.dtype().bits();
    to.edit_bytes(|out| {
        if !at.shape.contains(&0) {
            CopyPlan::new(at, from).copy(bits, out, x.bytes());
        }
    })
}

/// One loop of a copy.
#[derive(Clone, Copy, Debug)]
struct CopyLoop {
    /// The trip count.
    n: usize,
    /// The stride in the target, in elements.
    to: isize,
    /// The stride in the source, in elements.
    from: isize,
}

/// The loop nest of a copy, outermost loop first. Loops with compatible strides are collapsed, and
/// a long loop is innermost.
#[derive(Debug)]
struct CopyPlan {
    loops: SmallVec<[CopyLoop; 6]>,
    /// The offsets of the first element in target and source, in elements.
    at: [isize; 2],
}

impl CopyPlan {
    fn new(at: &View, from: &View) -> CopyPlan {
        let mut loops: SmallVec<[CopyLoop; 6]> = SmallVec::new();
        for (i, &n) in at.shape.iter().enumerate().filter(|&(_, &n)| n != 1) {
            let l = CopyLoop { n, to: at.strides[i], from: from.strides[i] };
            match loops.last_mut() {
                Some(o) if o.to == l.to * n as isize && o.from == l.from * n as isize => {
                    *o = CopyLoop { n: o.n * n, ..l }
                }
                _ => loops.push(l),
            }
        }
        if loops.is_empty() {
            loops.push(CopyLoop { n: 1, to: 1, from: 1 });
        }
        let longest = (0..loops.len()).max_by_key(|&i| loops[i].n).unwrap_or(0);
        let last = loops.len() - 1;
        if loops[last].n < 8 {
            loops.swap(longest, last);
        }
        CopyPlan { loops, at: [at.offset, from.offset] }
    }

    fn copy(mut self, bits: usize, to: &mut [u8], from: &[u8]) {
        if bits < 8 {
            return self.copy_packed(bits, to, from);
        }
        by_width!(bits, N => self.copy_elements::<N>(to, from))
    }

    /// Copies elements of `N` bytes.
    fn copy_elements<const N: usize>(&mut self, to: &mut [u8], from: &[u8]) {
        let (to, from) = (to.as_chunks_mut::<N>().0, from.as_chunks::<N>().0);
        match self.transposed_loops() {
            Some([a, b]) => self.rows(2, |t, f| copy_transposed(to, from, a, b, t, f)),
            None => {
                let inner = self.loops[self.loops.len() - 1];
                self.rows(1, |t, f| copy_row(to, from, inner, t, f));
            }
        }
    }

    /// Copies elements of 2 or 4 bits, which are packed into bytes from the low bits on.
    fn copy_packed(&self, bits: usize, to: &mut [u8], from: &[u8]) {
        let (per, mask) = (8 / bits, (1u8 << bits) - 1);
        let inner = self.loops[self.loops.len() - 1];
        self.rows(1, |t, f| {
            for i in 0..inner.n as isize {
                let (t, f) = ((t + i * inner.to) as usize, (f + i * inner.from) as usize);
                let x = from[f / per] >> (f % per * bits) & mask;
                let shift = t % per * bits;
                to[t / per] = to[t / per] & !(mask << shift) | x << shift;
            }
        });
    }

    /// Returns the two inner loops if they are long and transpose: the source is contiguous along
    /// the first, the target along the second.
    fn transposed_loops(&mut self) -> Option<[CopyLoop; 2]> {
        let last = self.loops.len() - 1;
        let inner = self.loops[last];
        let other = self.loops[..last].iter().position(|l| l.from == 1)?;
        let long = inner.n >= TRANSPOSE_TILE && self.loops[other].n >= TRANSPOSE_TILE;
        if inner.to != 1 || !long {
            return None;
        }
        self.loops.swap(other, last - 1);
        Some([self.loops[last - 1], inner])
    }

    /// Calls `f` with the offsets in target and source for every iteration of all loops but the
    /// last `inner` ones.
    fn rows(&self, inner: usize, mut f: impl FnMut(isize, isize)) {
        let outer = &self.loops[..self.loops.len() - inner];
        let mut i: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer.len());
        let [mut t, mut s] = self.at;
        'next: loop {
            f(t, s);
            for (i, l) in i.iter_mut().zip(outer).rev() {
                *i += 1;
                (t, s) = (t + l.to, s + l.from);
                if *i < l.n {
                    continue 'next;
                }
                (t, s) = (t - l.to * l.n as isize, s - l.from * l.n as isize);
                *i = 0;
            }
            return;
        }
    }
}

/// Runs the innermost loop `l`, from offset `t` in `to` and `f` in `from` on.
fn copy_row<T: Copy>(to: &mut [T], from: &[T], l: CopyLoop, t: isize, f: isize) {
    let (t0, f0) = (t as usize, f as usize);
    match (l.to, l.from) {
        (1, 1) => to[t0..t0 + l.n].copy_from_slice(&from[f0..f0 + l.n]),
        (1, 0) => to[t0..t0 + l.n].fill(from[f0]),
        (1, step) => to[t0..t0 + l.n]
            .iter_mut()
            .zip(0..)
            .for_each(|(o, i)| *o = from[(f + i * step) as usize]),
        _ => (0..l.n as isize)
            .for_each(|i| to[(t + i * l.to) as usize] = from[(f + i * l.from) as usize]),
    }
}

/// Transposes tile by tile: `from` is contiguous along `a`, `to` along `b`.
fn copy_transposed<T: Copy>(
    to: &mut [T],
    from: &[T],
    a: CopyLoop,
    b: CopyLoop,
    t: isize,
    f: isize,
) {
    for i in (0..a.n).step_by(TRANSPOSE_TILE) {
        for j in (0..b.n).step_by(TRANSPOSE_TILE) {
            let within =
                |l: CopyLoop, from: usize| CopyLoop { n: TRANSPOSE_TILE.min(l.n - from), ..l };
            let (i0, j0) = (i as isize, j as isize);
            let (t, f) = (t + i0 * a.to + j0, f + i0 + j0 * b.from);
            copy_tile(to, from, within(a, i), within(b, j), t, f);
        }
    }
}

/// Transposes one tile through a buffer, so that all of a cache line is read or written at a time.
fn copy_tile<T: Copy>(to: &mut [T], from: &[T], a: CopyLoop, b: CopyLoop, t: isize, f: isize) {
    const SIDE: usize = TRANSPOSE_TILE;
    let mut tile = [from[f as usize]; SIDE * SIDE];
    for j in 0..b.n {
        let f = (f + j as isize * b.from) as usize;
        from[f..f + a.n].iter().enumerate().for_each(|(i, &x)| tile[i * SIDE + j] = x);
    }
    for i in 0..a.n {
        let t = (t + i as isize * a.to) as usize;
        to[t..t + b.n].copy_from_slice(&tile[i * SIDE..i * SIDE + b.n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Type};

    fn count(dtype: DType, shape: impl Into<Shape>) -> Literal {
        let ty = Type::new(dtype, shape);
        let n = ty.size();
        Literal::from_f64s(dtype, ty.shape, &(0..n).map(|i| i as f64).collect::<Vec<_>>())
    }

    #[test]
    fn every_width_is_copied() {
        for d in DType::ALL {
            let x = Literal::from_f64s(d, [2, 3], &[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
            let y = read(&x, &View::dense(x.shape()).transpose(&[1, 0]));
            let want = Literal::from_f64s(d, [3, 2], &[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
            assert_eq!(y, want, "{d}");
            let z = read(&y, &View::dense(y.shape()).transpose(&[1, 0]));
            assert_eq!(z, x, "{d}");
        }
    }

    #[test]
    fn tiles_and_short_rows_agree_with_plain_indexing() {
        for (m, k, n) in [(1, 40, 35), (3, 17, 16), (2, 100, 3), (1, 3, 100), (2, 1, 5)] {
            let x = count(DType::F32, [m, k, n]);
            let y = read(&x, &View::dense(x.shape()).transpose(&[0, 2, 1])).to_f64s();
            let at = |i: usize, j: usize, l: usize| ((i * k + l) * n + j) as f64;
            let want: Vec<f64> =
                (0..m * n * k).map(|f| at(f / (n * k), f / k % n, f % k)).collect();
            assert_eq!(y, want, "{m} {k} {n}");
        }
    }

    #[test]
    fn views_compose() {
        let x = count(DType::I16, [4, 5]);
        let v = View::dense(x.shape())
            .window(&[1, 0], &[2, 3], &[2, 2])
            .reverse(&[1])
            .transpose(&[1, 0]);
        assert_eq!(read(&x, &v).to_f64s(), [9.0, 19.0, 7.0, 17.0, 5.0, 15.0]);
        let row = count(DType::U4, [1, 3]);
        let v = View::dense(row.shape()).broadcast(&Shape::from([2, 2, 3]), &[1, 2]);
        assert_eq!(read(&row, &v).to_f64s(), [0.0, 1.0, 2.0].repeat(4));
    }

    #[test]
    fn writing_changes_the_window_only() {
        for d in [DType::U4, DType::F64] {
            let x = count(d, [3, 3]);
            let at = View::dense(x.shape()).window(&[1, 1], &[2, 2], &[1, 1]);
            let (y, inplace) =
                write(x.clone(), &at, &count(d, [2, 2]), &View::dense(&[2, 2].into()));
            assert!(!inplace);
            assert_eq!(y.to_f64s(), [0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 6.0, 2.0, 3.0]);
            let address = y.bytes().address();
            let (y, inplace) = write(
                y,
                &at,
                &count(d, []),
                &View::dense(&[].into()).broadcast(&[2, 2].into(), &[]),
            );
            assert!(inplace && y.bytes().address() == address);
            assert_eq!(y.to_f64s(), [0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 6.0, 0.0, 0.0]);
        }
    }

    #[test]
    fn empty_views() {
        let x = count(DType::F32, [0, 3]);
        assert_eq!(
            read(&x, &View::dense(x.shape()).reverse(&[0]).transpose(&[1, 0])).ty().to_string(),
            "f32[3, 0]"
        );
    }
}
