//! Products of blocks: by the matrix kernel for floats, by loops for integers and for thin blocks.

#![allow(unsafe_code, reason = "blocks are addresses and strides")]

use crate::{
    launch::{matmul::matmul, strided_matrix::StridedMatrix, totals::SumElement},
    tuning::{CONV_THIN_ROWS, MATMUL_MIN_MULTIPLIES},
};

/// A block as a strided matrix.
#[derive(Clone, Copy)]
pub struct BlockView<P> {
    /// The address of the first element.
    pub at: P,
    /// The stride from row to row, in elements.
    pub row: isize,
    /// The stride from column to column, in elements.
    pub column: isize,
}

/// The product `to = left x right`, or `to += left x right`.
#[derive(Clone, Copy)]
pub struct BlockProduct<T> {
    /// The rows, columns and depth.
    pub sizes: [usize; 3],
    /// The left operand, rows by depth.
    pub left: BlockView<*const T>,
    /// The right operand, depth by columns.
    pub right: BlockView<*const T>,
    /// The result.
    pub to: BlockView<*mut T>,
    /// True if the product is added to `to`.
    pub adds: bool,
}

/// An element of a convolution.
pub trait ConvElement: SumElement + std::fmt::Debug + Send + Sync + 'static {
    /// The number 0.
    const ZERO: Self;

    /// Returns `self + a * b`; integers wrap.
    fn plus(self, a: Self, b: Self) -> Self;

    /// Returns `self + other`; integers wrap.
    fn and(self, other: Self) -> Self;

    /// Multiplies blocks.
    ///
    /// # Safety
    /// Sizes and strides stay inside of live memory, and no other thread uses the result, which
    /// overlaps neither operand.
    unsafe fn multiply(b: BlockProduct<Self>) {
        // SAFETY: as promised by the caller.
        unsafe { plain(b) }
    }
}

macro_rules! floats {
    ($($t:ident),*) => {$(
        impl ConvElement for $t {
            const ZERO: $t = 0.0;
            #[inline]
            fn plus(self, a: $t, b: $t) -> $t { self + a * b }
            #[inline]
            fn and(self, other: $t) -> $t { self + other }
            unsafe fn multiply(b: BlockProduct<$t>) {
                let [m, n, k] = b.sizes;
                let (l, r, y) = (b.left, b.right, b.to);
                // SAFETY: as promised by the caller.
                unsafe {
                    let is_thin = m < CONV_THIN_ROWS && r.column == 1 && y.column == 1;
                    // The matrix kernel allocates in each call.
                    if is_thin || m * n * k < MATMUL_MIN_MULTIPLIES {
                        return plain(b);
                    }
                    let strided = |at: *const $t, row, column| StridedMatrix {
                        at: at.cast_mut(),
                        steps: [row, column],
                    };
                    let to = strided(y.at, y.row, y.column);
                    let left = strided(l.at, l.row, l.column);
                    let right = strided(r.at, r.row, r.column);
                    matmul([m, n, k], to, left, right, b.adds, 1.0);
                }
            }
        }
    )*};
}

macro_rules! integers {
    ($($t:ident),*) => {$(
        impl ConvElement for $t {
            const ZERO: $t = 0;
            #[inline]
            fn plus(self, a: $t, b: $t) -> $t { self.wrapping_add(a.wrapping_mul(b)) }
            #[inline]
            fn and(self, other: $t) -> $t { self.wrapping_add(other) }
        }
    )*};
}

floats!(f32, f64);
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// Multiplies blocks by loops. Where the columns of `right` and `to` are contiguous, the inner loop
/// runs along them.
///
/// # Safety
/// As [`ConvElement::multiply`].
unsafe fn plain<T: ConvElement>(b: BlockProduct<T>) {
    let [m, n, k] = b.sizes;
    let (l, r, y) = (b.left, b.right, b.to);
    for i in 0..m as isize {
        let (left, to) = (l.at.wrapping_offset(i * l.row), y.at.wrapping_offset(i * y.row));
        // SAFETY: as promised by the caller.
        unsafe {
            if !b.adds {
                (0..n as isize).for_each(|j| *to.offset(j * y.column) = T::ZERO);
            }
            for p in 0..k as isize {
                let (a, right) = (*left.offset(p * l.column), r.at.wrapping_offset(p * r.row));
                if r.column == 1 && y.column == 1 {
                    let (to, right) = (
                        std::slice::from_raw_parts_mut(to, n),
                        std::slice::from_raw_parts(right, n),
                    );
                    to.iter_mut().zip(right).for_each(|(y, &x)| *y = y.plus(a, x));
                } else {
                    (0..n as isize).for_each(|j| {
                        *to.offset(j * y.column) =
                            (*to.offset(j * y.column)).plus(a, *right.offset(j * r.column))
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product<T: ConvElement + PartialEq + std::fmt::Debug>(
        number: fn(usize) -> T,
        [m, n, k]: [usize; 3],
        dense: bool,
    ) {
        let (left, right): (Vec<T>, Vec<T>) =
            ((0..m * k).map(number).collect(), (0..k * n).map(number).collect());
        let mut to: Vec<T> = (0..m * n).map(number).collect();
        let (row, column) = if dense { (n, 1) } else { (1, m) };
        let at = |i: usize, j: usize| i * row + j * column;
        let sum = |i: usize, j: usize| {
            (0..k).fold(number(at(i, j)), |s, p| s.plus(left[i * k + p], right[p * n + j]))
        };
        let want: Vec<(usize, T)> = (0..m)
            .flat_map(|i| (0..n).map(move |j| (i, j)))
            .map(|(i, j)| (at(i, j), sum(i, j)))
            .collect();
        let blocks = BlockProduct {
            sizes: [m, n, k],
            left: BlockView { at: left.as_ptr(), row: k as isize, column: 1 },
            right: BlockView { at: right.as_ptr(), row: n as isize, column: 1 },
            to: BlockView { at: to.as_mut_ptr(), row: row as isize, column: column as isize },
            adds: true,
        };
        // SAFETY: the sizes are those of the vectors.
        unsafe { T::multiply(blocks) }
        want.iter().for_each(|(i, w)| assert_eq!(to[*i], *w, "{m} x {n} x {k}"));
    }

    #[test]
    fn blocks_of_all_layouts_are_multiplied() {
        for dense in [true, false] {
            for sizes in [[1, 9, 4], [2, 3, 5], [17, 13, 6], [5, 1, 3], [4, 4, 0]] {
                product(|i| (i % 5) as f32 - 2.0, sizes, dense);
                product(|i| (i % 7) as f64 - 3.0, sizes, dense);
                product(|i| (i * 37) as i8, sizes, dense);
                product(|i| (i * 37) as u16, sizes, dense);
            }
        }
    }
}
