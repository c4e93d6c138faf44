//! Matrices in memory, by address and strides.

/// A matrix in memory.
#[derive(Clone, Copy, Debug)]
pub struct StridedMatrix<T> {
    /// The address of the first element.
    pub at: *mut T,
    /// The steps from one row to the next, and from one column to the next, in elements.
    pub steps: [isize; 2],
}

impl<T: Copy> StridedMatrix<T> {
    /// Returns the matrix without its first `rows` rows.
    pub fn below(self, rows: usize) -> StridedMatrix<T> {
        self.offset(rows as isize * self.steps[0])
    }

    /// Returns the matrix without its first `columns` columns.
    pub fn right_of(self, columns: usize) -> StridedMatrix<T> {
        self.offset(columns as isize * self.steps[1])
    }

    /// Returns the matrix from `elements` elements further on.
    pub fn offset(self, elements: isize) -> StridedMatrix<T> {
        StridedMatrix { at: self.at.wrapping_offset(elements), ..self }
    }

    /// Returns the matrix with rows and columns swapped.
    pub fn transposed(self) -> StridedMatrix<T> {
        StridedMatrix { steps: [self.steps[1], self.steps[0]], ..self }
    }

    /// Returns the matrix with axis `axis`, of `size` elements, in reverse order.
    pub fn reversed(self, axis: usize, size: usize) -> StridedMatrix<T> {
        let mut out = self.offset(size.saturating_sub(1) as isize * self.steps[axis]);
        out.steps[axis] = -out.steps[axis];
        out
    }
}
