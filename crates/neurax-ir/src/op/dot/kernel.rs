//! The product itself: packed blocks, so that any layout of the operands runs at the speed of the
//! dense one.

use crate::{Complex, Compute, DType, Literal, Shape, Type, op::rules::offsets, with_compute};

/// Where the elements of an operand are: element `(batch, free, contracted)` is at the sum of the
/// three offsets.
pub struct Side {
    batch: Vec<usize>,
    free: Table,
    contract: Table,
}

/// Offsets of the indices along some axes.
struct Table {
    at: Vec<usize>,
    /// Do they follow one another in memory?
    dense: bool,
}

/// What products are summed in. Its functions are single instructions of the inner loops: marked
/// `inline`, as a build without LTO in the crate calls them otherwise, which is eight times as
/// slow.
trait Sum: Copy {
    const ZERO: Self;
    fn of<C: Compute>(x: C) -> Self;
    fn to<C: Compute>(self) -> C;
    /// `self + a * b`
    fn plus(self, a: Self, b: Self) -> Self;
    /// The sum of two sums.
    fn and(self, other: Self) -> Self;
}

impl Side {
    /// An operand of that shape with its axes in three groups.
    pub fn new(shape: &Shape, batch: &[usize], free: &[usize], contract: &[usize]) -> Side {
        Side::at(offsets(shape, batch), offsets(shape, free), offsets(shape, contract))
    }

    /// An operand whose elements are at the sums of those offsets.
    pub fn at(batch: Vec<usize>, free: Vec<usize>, contract: Vec<usize>) -> Side {
        Side { batch, free: Table::new(free), contract: Table::new(contract) }
    }
}

impl Table {
    fn new(at: Vec<usize>) -> Table {
        Table { dense: at.windows(2).all(|w| w[1] == w[0] + 1), at }
    }

    fn len(&self) -> usize {
        self.at.len()
    }
}

/// The result, of type `ty`, of two operands of one dtype.
pub fn product(ty: Type, l: &Literal, ls: &Side, r: &Literal, rs: &Side) -> Literal {
    // Complex and integer sums have their own type. An integer sum wraps in 64 bits: stored, it has
    // wrapped in any fewer.
    match l.dtype() {
        d @ (DType::C64 | DType::C128) => {
            with_compute!(field d, C => batches::<C, Complex<f64>>(ty, l, ls, r, rs), else Literal::zeros(ty))
        }
        d if d.is_float() => {
            with_compute!(float d, C => batches::<C, f64>(ty, l, ls, r, rs), else Literal::zeros(ty))
        }
        d => {
            with_compute!(int d, C => batches::<C, i64>(ty, l, ls, r, rs), else Literal::zeros(ty))
        }
    }
}

fn batches<C: Compute, S: Sum>(
    ty: Type,
    l: &Literal,
    ls: &Side,
    r: &Literal,
    rs: &Side,
) -> Literal {
    let (lx, rx) = (l.load::<C>(), r.load::<C>());
    let (m, n) = (ls.free.len(), rs.free.len());
    let mut sums = vec![S::ZERO; m * n];
    let way = Way::choose(ls, rs);
    let mut one = |batch: usize, store: &mut dyn FnMut(&[S])| {
        sums.fill(S::ZERO);
        let (x, y) = (
            Matrix { x: &lx, base: ls.batch[batch], side: ls },
            Matrix { x: &rx, base: rs.batch[batch], side: rs },
        );
        match way {
            Way::Rows { swapped: false } => rows(&x, &y, &mut sums),
            Way::Rows { swapped: true } => rows(&y, &x, &mut sums),
            Way::Dots { swapped: false } => dots(&x, &y, &mut sums),
            Way::Dots { swapped: true } => dots(&y, &x, &mut sums),
        }
        store(&sums);
    };
    let (Way::Rows { swapped } | Way::Dots { swapped }) = way;
    let count = ls.batch.len();
    match ty.dtype {
        // A bool keeps the whole count: in 8 bits it could wrap to zero.
        DType::Bool => {
            Literal::build(ty, |out: &mut [i64]| fill(out, m, n, swapped, count, &mut one))
        }
        d => {
            with_compute!(any d, D => Literal::build(ty, |out: &mut [D]| fill(out, m, n, swapped, count, &mut one)))
        }
    }
}

/// Stores the sums of each batch; swapped ones are `[n, m]`.
fn fill<D: Compute, S: Sum>(
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
                    row.iter_mut().enumerate().for_each(|(j, o)| *o = sums[j * m + i].to())
                });
            } else {
                out.iter_mut().zip(sums).for_each(|(o, s)| *o = s.to());
            }
        });
    }
}

/// How a product is summed.
#[derive(Clone, Copy)]
enum Way {
    /// Whole rows of the result at once; swapped, whole columns.
    Rows { swapped: bool },
    /// One scalar product per element; swapped, the right operand's index is the outer one.
    Dots { swapped: bool },
}

impl Way {
    /// Rows need length to be fast. Where one operand is nearly a vector, scalar products read the
    /// other one in order.
    fn choose(l: &Side, r: &Side) -> Way {
        let (m, n) = (l.free.len(), r.free.len());
        let wide = if m > n { l } else { r };
        if m.min(n) < 4 && (wide.contract.dense || m.max(n) < 4) {
            return Way::Dots { swapped: m <= n };
        }
        Way::Rows { swapped: m > n && n < 32 }
    }
}

/// One batch of an operand: `[free, contracted]`.
struct Matrix<'a, C> {
    x: &'a [C],
    base: usize,
    side: &'a Side,
}

const K_BLOCK: usize = 64;
const J_BLOCK: usize = 128;
const DOT_BLOCK: usize = 512;

/// `sums[i, j] = sum of x[i, k] * y[j, k]`, a block of `y` at a time, which stays in the
/// first-level cache.
fn rows<C: Compute, S: Sum>(x: &Matrix<C>, y: &Matrix<C>, sums: &mut [S]) {
    let (n, k) = (y.side.free.len(), y.side.contract.len());
    let mut panel = vec![S::ZERO; K_BLOCK.min(k) * J_BLOCK.min(n)];
    let mut factors = [S::ZERO; K_BLOCK];
    for j in (0..n).step_by(J_BLOCK) {
        let nj = J_BLOCK.min(n - j);
        for p in (0..k).step_by(K_BLOCK) {
            let np = K_BLOCK.min(k - p);
            let panel = &mut panel[..np * nj];
            pack(y, &y.side.contract, p, &y.side.free, j, nj, panel);
            for (i, row) in sums.chunks_exact_mut(n).enumerate() {
                pack(x, &x.side.free, i, &x.side.contract, p, np, &mut factors[..np]);
                add_rows(&mut row[j..j + nj], &factors[..np], panel);
            }
        }
    }
}

/// `row += factors x panel`, in the order of the factors; four at a time, so that the row is read
/// and written less often.
fn add_rows<S: Sum>(row: &mut [S], factors: &[S], panel: &[S]) {
    let n = row.len();
    let (fours, ones) = factors.as_chunks::<4>();
    let mut panel = panel;
    for f in fours {
        let (block, rest) = panel.split_at(4 * n);
        panel = rest;
        let (a, b, c, d) = (&block[..n], &block[n..2 * n], &block[2 * n..3 * n], &block[3 * n..]);
        for i in 0..n {
            row[i] = row[i].plus(f[0], a[i]).plus(f[1], b[i]).plus(f[2], c[i]).plus(f[3], d[i]);
        }
    }
    for (&f, block) in ones.iter().zip(panel.chunks_exact(n)) {
        row.iter_mut().zip(block).for_each(|(s, &b)| *s = s.plus(f, b));
    }
}

/// The same sums, by one scalar product each; `y` has few rows. Answers `[x's, y's]`.
fn dots<C: Compute, S: Sum>(x: &Matrix<C>, y: &Matrix<C>, sums: &mut [S]) {
    let (n, k) = (y.side.free.len(), y.side.contract.len());
    let mut few = vec![S::ZERO; n * k];
    for (j, row) in few.chunks_exact_mut(k.max(1)).enumerate() {
        pack(y, &y.side.free, j, &y.side.contract, 0, k, row);
    }
    let mut block = [S::ZERO; DOT_BLOCK];
    for (i, out) in sums.chunks_exact_mut(n).enumerate() {
        for p in (0..k).step_by(DOT_BLOCK) {
            let block = &mut block[..DOT_BLOCK.min(k - p)];
            pack(x, &x.side.free, i, &x.side.contract, p, block.len(), block);
            for (j, s) in out.iter_mut().enumerate() {
                *s = add_dot(*s, block, &few[j * k + p..][..block.len()]);
            }
        }
    }
}

/// `s + x . y`, in four lanes.
fn add_dot<S: Sum>(s: S, x: &[S], y: &[S]) -> S {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<4>(), y.as_chunks::<4>());
    let mut lanes = [s, S::ZERO, S::ZERO, S::ZERO];
    for (a, b) in xs.iter().zip(ys) {
        for i in 0..4 {
            lanes[i] = lanes[i].plus(a[i], b[i]);
        }
    }
    x_rest.iter().zip(y_rest).for_each(|(&a, &b)| lanes[0] = lanes[0].plus(a, b));
    lanes[0].and(lanes[1]).and(lanes[2].and(lanes[3]))
}

/// Copies a block into `out`, row after row: rows from index `r` of one table (as many as fill it),
/// `columns` from index `c` of the other.
fn pack<C: Compute, S: Sum>(
    m: &Matrix<C>,
    rows: &Table,
    r: usize,
    cols: &Table,
    c: usize,
    columns: usize,
    out: &mut [S],
) {
    let count = out.len() / columns.max(1);
    if rows.dense && !cols.dense && count > 1 {
        // The transposed block: read in memory's order.
        for (j, &at) in cols.at[c..c + columns].iter().enumerate() {
            let from = &m.x[m.base + at + rows.at[r]..][..count];
            from.iter().enumerate().for_each(|(i, &x)| out[i * columns + j] = S::of(x));
        }
        return;
    }
    for (&at, to) in rows.at[r..].iter().zip(out.chunks_exact_mut(columns.max(1))) {
        let base = m.base + at;
        if cols.dense {
            to.iter_mut().zip(&m.x[base + cols.at[c]..]).for_each(|(o, &x)| *o = S::of(x));
        } else {
            to.iter_mut().zip(&cols.at[c..]).for_each(|(o, &k)| *o = S::of(m.x[base + k]));
        }
    }
}

impl Sum for f64 {
    const ZERO: f64 = 0.0;
    #[inline]
    fn of<C: Compute>(x: C) -> f64 {
        x.to_f64()
    }
    #[inline]
    fn to<C: Compute>(self) -> C {
        C::from_f64(self)
    }
    #[inline]
    fn plus(self, a: f64, b: f64) -> f64 {
        self + a * b
    }
    #[inline]
    fn and(self, other: f64) -> f64 {
        self + other
    }
}

impl Sum for i64 {
    const ZERO: i64 = 0;
    #[inline]
    fn of<C: Compute>(x: C) -> i64 {
        x.to_i128() as i64
    }
    #[inline]
    fn to<C: Compute>(self) -> C {
        C::from_i128(self as i128)
    }
    #[inline]
    fn plus(self, a: i64, b: i64) -> i64 {
        self.wrapping_add(a.wrapping_mul(b))
    }
    #[inline]
    fn and(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }
}

impl Sum for Complex<f64> {
    const ZERO: Self = Complex { re: 0.0, im: 0.0 };
    #[inline]
    fn of<C: Compute>(x: C) -> Self {
        let (re, im) = x.parts();
        Complex { re, im }
    }
    #[inline]
    fn to<C: Compute>(self) -> C {
        C::from_parts(self.re, self.im)
    }
    #[inline]
    fn plus(self, a: Self, b: Self) -> Self {
        self + a * b
    }
    #[inline]
    fn and(self, other: Self) -> Self {
        self + other
    }
}
