//! The matrix product of the reference interpreter.
//!
//! Blocks of both operands are packed into contiguous buffers of the accumulator type, so that all
//! layouts of the operands run at the speed of the dense one.

use crate::tuning::{DOT_BLOCK_ELEMENTS, DOT_PANEL_COLUMNS, DOT_PANEL_ROWS};
use crate::{Complex, Compute, DType, Literal, Shape, Type, op::rules::offsets, with_compute};

/// The offsets, in elements, of an operand: element `(batch, free, contracted)` is at the sum of
/// the three.
pub struct OperandOffsets {
    batch: Vec<usize>,
    free: OffsetTable,
    contract: OffsetTable,
}

/// The offsets of all indices along some axes, in row-major order.
struct OffsetTable {
    at: Vec<usize>,
    /// True if the offsets are contiguous.
    dense: bool,
}

/// The type that products are accumulated in. Its methods are single instructions of the inner
/// loops. They are marked `inline` because a build without LTO would call them, which is eight
/// times slower.
trait DotAccumulator: Copy {
    const ZERO: Self;
    fn from_element<C: Compute>(x: C) -> Self;
    fn to_element<C: Compute>(self) -> C;
    /// Returns `self + a * b`.
    fn add_product(self, a: Self, b: Self) -> Self;
    /// Returns the sum of two accumulators.
    fn add(self, other: Self) -> Self;
}

impl OperandOffsets {
    /// Computes the offsets of a dense operand of `shape` from three groups of its axes.
    pub fn new(
        shape: &Shape,
        batch: &[usize],
        free: &[usize],
        contract: &[usize],
    ) -> OperandOffsets {
        OperandOffsets::at(offsets(shape, batch), offsets(shape, free), offsets(shape, contract))
    }

    /// Creates an operand whose elements are at the sums of these offsets.
    pub fn at(batch: Vec<usize>, free: Vec<usize>, contract: Vec<usize>) -> OperandOffsets {
        let (free, contract) = (OffsetTable::new(free), OffsetTable::new(contract));
        OperandOffsets { batch, free, contract }
    }
}

impl OffsetTable {
    fn new(at: Vec<usize>) -> OffsetTable {
        OffsetTable { dense: at.windows(2).all(|w| w[1] == w[0] + 1), at }
    }

    fn len(&self) -> usize {
        self.at.len()
    }
}

/// Returns the product, of type `ty`, of two operands of the same dtype. `lo` and `ro` are the
/// offsets of `l` and `r`.
pub fn product(
    ty: Type,
    l: &Literal,
    lo: &OperandOffsets,
    r: &Literal,
    ro: &OperandOffsets,
) -> Literal {
    // Integers accumulate in i64: a sum that wraps at 64 bits is also correct modulo any smaller
    // power of two.
    match l.dtype() {
        d @ (DType::C64 | DType::C128) => with_compute!(field d, C => {
            batches::<C, Complex<f64>>(ty, l, lo, r, ro)
        }, else Literal::zeros(ty)),
        d if d.is_float() => with_compute!(float d, C => {
            batches::<C, f64>(ty, l, lo, r, ro)
        }, else Literal::zeros(ty)),
        d => with_compute!(int d, C => {
            batches::<C, i64>(ty, l, lo, r, ro)
        }, else Literal::zeros(ty)),
    }
}

fn batches<C: Compute, S: DotAccumulator>(
    ty: Type,
    l: &Literal,
    lo: &OperandOffsets,
    r: &Literal,
    ro: &OperandOffsets,
) -> Literal {
    let (lx, rx) = (l.load::<C>(), r.load::<C>());
    let (m, n) = (lo.free.len(), ro.free.len());
    let mut sums = vec![S::ZERO; m * n];
    let order = DotOrder::choose(lo, ro);
    let mut one = |batch: usize, store: &mut dyn FnMut(&[S])| {
        sums.fill(S::ZERO);
        let (x, y) = (
            MatrixView { x: &lx, base: lo.batch[batch], offsets: lo },
            MatrixView { x: &rx, base: ro.batch[batch], offsets: ro },
        );
        match order {
            DotOrder::Rows { swapped: false } => product_by_rows(&x, &y, &mut sums),
            DotOrder::Rows { swapped: true } => product_by_rows(&y, &x, &mut sums),
            DotOrder::Dots { swapped: false } => product_by_dots(&x, &y, &mut sums),
            DotOrder::Dots { swapped: true } => product_by_dots(&y, &x, &mut sums),
        }
        store(&sums);
    };
    let (DotOrder::Rows { swapped } | DotOrder::Dots { swapped }) = order;
    let count = lo.batch.len();
    match ty.dtype {
        // A sum of bools is stored from i64: in 8 bits the count could wrap to zero.
        DType::Bool => {
            Literal::build(ty, |out: &mut [i64]| fill(out, m, n, swapped, count, &mut one))
        }
        d => with_compute!(any d, D => {
            Literal::build(ty, |out: &mut [D]| fill(out, m, n, swapped, count, &mut one))
        }),
    }
}

/// Stores the sums of each of `count` batches. If `swapped`, they are `[n, m]`.
fn fill<D: Compute, S: DotAccumulator>(
    out: &mut [D],
    m: usize,
    n: usize,
    swapped: bool,
    count: usize,
    one: &mut dyn FnMut(usize, &mut dyn FnMut(&[S])),
) {
    for batch in 0..count {
        let out = &mut out[batch * m * n..][..m * n];
        one(batch, &mut |sums| {
            if swapped {
                out.chunks_exact_mut(n).enumerate().for_each(|(i, row)| {
                    row.iter_mut().enumerate().for_each(|(j, o)| *o = sums[j * m + i].to_element())
                });
            } else {
                out.iter_mut().zip(sums).for_each(|(o, s)| *o = s.to_element());
            }
        });
    }
}

/// The loop order of a product.
#[derive(Clone, Copy)]
enum DotOrder {
    /// Rank-1 updates of whole rows of the result; if swapped, of its columns.
    Rows { swapped: bool },
    /// One dot product per element of the result; if swapped, the right operand's index is the
    /// outer loop.
    Dots { swapped: bool },
}

impl DotOrder {
    /// Chooses the loop order. Row updates are only fast for long rows; if one operand is nearly a
    /// vector, dot products read the other one in memory order.
    fn choose(l: &OperandOffsets, r: &OperandOffsets) -> DotOrder {
        let (m, n) = (l.free.len(), r.free.len());
        let wide = if m > n { l } else { r };
        if m.min(n) < 4 && (wide.contract.dense || m.max(n) < 4) {
            return DotOrder::Dots { swapped: m <= n };
        }
        DotOrder::Rows { swapped: m > n && n < 32 }
    }
}

/// One batch of an operand, a matrix `[free, contracted]`.
struct MatrixView<'a, C> {
    x: &'a [C],
    /// The offset of the batch, in elements.
    base: usize,
    offsets: &'a OperandOffsets,
}

/// Computes `sums[i, j] = sum of x[i, k] * y[j, k]` by row updates, one packed panel of `y` after
/// the other.
fn product_by_rows<C: Compute, S: DotAccumulator>(
    x: &MatrixView<C>,
    y: &MatrixView<C>,
    sums: &mut [S],
) {
    let (x_at, y_at) = (x.offsets, y.offsets);
    let (n, k) = (y_at.free.len(), y_at.contract.len());
    let mut panel = vec![S::ZERO; DOT_PANEL_ROWS.min(k) * DOT_PANEL_COLUMNS.min(n)];
    let mut factors = [S::ZERO; DOT_PANEL_ROWS];
    for j in (0..n).step_by(DOT_PANEL_COLUMNS) {
        let nj = DOT_PANEL_COLUMNS.min(n - j);
        for p in (0..k).step_by(DOT_PANEL_ROWS) {
            let np = DOT_PANEL_ROWS.min(k - p);
            let panel = &mut panel[..np * nj];
            pack(y, &y_at.contract, p, &y_at.free, j, nj, panel);
            for (i, row) in sums.chunks_exact_mut(n).enumerate() {
                pack(x, &x_at.free, i, &x_at.contract, p, np, &mut factors[..np]);
                add_rows(&mut row[j..j + nj], &factors[..np], panel);
            }
        }
    }
}

/// Computes `row += factors x panel`, in the order of the factors. Four rows of the panel are added
/// at a time, so that `row` is loaded and stored less often.
fn add_rows<S: DotAccumulator>(row: &mut [S], factors: &[S], panel: &[S]) {
    let n = row.len();
    let (fours, ones) = factors.as_chunks::<4>();
    let mut panel = panel;
    for f in fours {
        let (block, rest) = panel.split_at(4 * n);
        panel = rest;
        let (a, b, c, d) = (&block[..n], &block[n..2 * n], &block[2 * n..3 * n], &block[3 * n..]);
        for i in 0..n {
            row[i] = row[i]
                .add_product(f[0], a[i])
                .add_product(f[1], b[i])
                .add_product(f[2], c[i])
                .add_product(f[3], d[i]);
        }
    }
    for (&f, block) in ones.iter().zip(panel.chunks_exact(n)) {
        row.iter_mut().zip(block).for_each(|(s, &b)| *s = s.add_product(f, b));
    }
}

/// Computes the same sums as [`product_by_rows`] by one dot product each. `y` has few rows: all of
/// it is packed.
fn product_by_dots<C: Compute, S: DotAccumulator>(
    x: &MatrixView<C>,
    y: &MatrixView<C>,
    sums: &mut [S],
) {
    let (x_at, y_at) = (x.offsets, y.offsets);
    let (n, k) = (y_at.free.len(), y_at.contract.len());
    let mut packed = vec![S::ZERO; n * k];
    for (j, row) in packed.chunks_exact_mut(k.max(1)).enumerate() {
        pack(y, &y_at.free, j, &y_at.contract, 0, k, row);
    }
    let mut block = [S::ZERO; DOT_BLOCK_ELEMENTS];
    for (i, out) in sums.chunks_exact_mut(n).enumerate() {
        for p in (0..k).step_by(DOT_BLOCK_ELEMENTS) {
            let block = &mut block[..DOT_BLOCK_ELEMENTS.min(k - p)];
            pack(x, &x_at.free, i, &x_at.contract, p, block.len(), block);
            for (j, s) in out.iter_mut().enumerate() {
                *s = add_dot(*s, block, &packed[j * k + p..][..block.len()]);
            }
        }
    }
}

/// Returns `s + x . y`, accumulated in four lanes.
fn add_dot<S: DotAccumulator>(s: S, x: &[S], y: &[S]) -> S {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<4>(), y.as_chunks::<4>());
    let mut lanes = [s, S::ZERO, S::ZERO, S::ZERO];
    for (a, b) in xs.iter().zip(ys) {
        for i in 0..4 {
            lanes[i] = lanes[i].add_product(a[i], b[i]);
        }
    }
    x_rest.iter().zip(y_rest).for_each(|(&a, &b)| lanes[0] = lanes[0].add_product(a, b));
    lanes[0].add(lanes[1]).add(lanes[2].add(lanes[3]))
}

/// Packs a block of `m` into `out` in row-major order. The block has `columns` columns, those from
/// index `c` of `cols`, and as its rows those from index `r` of `rows` until `out` is full.
fn pack<C: Compute, S: DotAccumulator>(
    m: &MatrixView<C>,
    rows: &OffsetTable,
    r: usize,
    cols: &OffsetTable,
    c: usize,
    columns: usize,
    out: &mut [S],
) {
    let count = out.len() / columns.max(1);
    if rows.dense && !cols.dense && count > 1 {
        // The block is column-major: read it in memory order.
        for (j, &at) in cols.at[c..c + columns].iter().enumerate() {
            let from = &m.x[m.base + at + rows.at[r]..][..count];
            from.iter().enumerate().for_each(|(i, &x)| out[i * columns + j] = S::from_element(x));
        }
        return;
    }
    for (&at, to) in rows.at[r..].iter().zip(out.chunks_exact_mut(columns.max(1))) {
        let base = m.base + at;
        if cols.dense {
            let from = &m.x[base + cols.at[c]..];
            to.iter_mut().zip(from).for_each(|(o, &x)| *o = S::from_element(x));
        } else {
            let from = cols.at[c..].iter().map(|&k| m.x[base + k]);
            to.iter_mut().zip(from).for_each(|(o, x)| *o = S::from_element(x));
        }
    }
}

impl DotAccumulator for f64 {
    const ZERO: f64 = 0.0;
    #[inline]
    fn from_element<C: Compute>(x: C) -> f64 {
        x.to_f64()
    }
    #[inline]
    fn to_element<C: Compute>(self) -> C {
        C::from_f64(self)
    }
    #[inline]
    fn add_product(self, a: f64, b: f64) -> f64 {
        self + a * b
    }
    #[inline]
    fn add(self, other: f64) -> f64 {
        self + other
    }
}

impl DotAccumulator for i64 {
    const ZERO: i64 = 0;
    #[inline]
    fn from_element<C: Compute>(x: C) -> i64 {
        x.to_i128() as i64
    }
    #[inline]
    fn to_element<C: Compute>(self) -> C {
        C::from_i128(self as i128)
    }
    #[inline]
    fn add_product(self, a: i64, b: i64) -> i64 {
        self.wrapping_add(a.wrapping_mul(b))
    }
    #[inline]
    fn add(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }
}

impl DotAccumulator for Complex<f64> {
    const ZERO: Self = Complex { re: 0.0, im: 0.0 };
    #[inline]
    fn from_element<C: Compute>(x: C) -> Self {
        let (re, im) = x.parts();
        Complex { re, im }
    }
    #[inline]
    fn to_element<C: Compute>(self) -> C {
        C::from_parts(self.re, self.im)
    }
    #[inline]
    fn add_product(self, a: Self, b: Self) -> Self {
        self + a * b
    }
    #[inline]
    fn add(self, other: Self) -> Self {
        self + other
    }
}
