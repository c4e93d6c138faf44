//! Affine offsets: the position of an element as a linear function of loop counters.
//!
//! A group of equations is computed over one iteration space. Through broadcasts, transposes,
//! slices and reshapes, the offset of the element that an iteration reads stays `base + sum(step *
//! counter)`, so data movement costs nothing. A reshape that cuts through a loop needs the loop to
//! be split first ([`ReshapeError::Split`]).
//!
//! ```text
//! x: f32[4, 6], read as transpose(x) over loops (i < 6, j < 4):  offset = 1 * i + 6 * j
//! ```

use neurax_ir::Shape;
use smallvec::SmallVec;

/// `base + sum(steps[d] * counter[d])` over the loops of an iteration space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct AffineOffset {
    /// The step of each loop, in elements.
    pub steps: SmallVec<[isize; 4]>,
    /// The offset at which all counters are 0, in elements.
    pub base: isize,
}

/// An index: an affine function for each axis of an array.
pub type AffineIndex = SmallVec<[AffineOffset; 4]>;

/// The reason why an index is not affine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReshapeError {
    /// The loop of the first number must be split, with an inner loop of the second number of
    /// iterations.
    Split(usize, usize),
    /// No split makes it affine.
    Never,
}

impl AffineOffset {
    /// Returns the constant `base` over `loops` loops.
    pub fn constant(loops: usize, base: isize) -> AffineOffset {
        AffineOffset { steps: smallvec::smallvec![0; loops], base }
    }

    /// Returns `self * k`.
    pub fn times(&self, k: isize) -> AffineOffset {
        AffineOffset { steps: self.steps.iter().map(|s| s * k).collect(), base: self.base * k }
    }

    /// Returns `self + o`.
    pub fn plus(&self, o: &AffineOffset) -> AffineOffset {
        AffineOffset {
            steps: self.steps.iter().zip(&o.steps).map(|(a, b)| a + b).collect(),
            base: self.base + o.base,
        }
    }
}

/// Returns the offset of the element at `index` of a contiguous array.
pub fn flat(shape: &Shape, index: &[AffineOffset], loops: usize) -> AffineOffset {
    let strides = shape.strides();
    let terms = index.iter().zip(&strides).map(|(a, &s)| a.times(s as isize));
    terms.fold(AffineOffset::constant(loops, 0), |sum, t| sum.plus(&t))
}

/// Returns the index of the element at `offset` in a contiguous array of shape `shape`; `sizes` are
/// the trip counts of the loops.
///
/// # Errors
/// If the index is not affine, with the split that would help.
pub fn index_of(
    shape: &Shape,
    offset: &AffineOffset,
    sizes: &[usize],
) -> Result<AffineIndex, ReshapeError> {
    let (loops, strides) = (sizes.len(), shape.strides());
    let mut out: AffineIndex =
        (0..shape.rank()).map(|_| AffineOffset::constant(loops, 0)).collect();
    if shape.size() == 0 {
        return Ok(out);
    }
    for (d, &step) in offset.steps.iter().enumerate().filter(|&(d, &s)| s != 0 && sizes[d] > 1) {
        if step < 0 {
            return Err(ReshapeError::Never);
        }
        let axis = axis_of(shape, &strides, step as usize).ok_or(ReshapeError::Never)?;
        let count = step as usize / strides[axis];
        if !(step as usize).is_multiple_of(strides[axis]) {
            return Err(ReshapeError::Never);
        }
        if count * (sizes[d] - 1) >= shape[axis] {
            // The loop runs over the end of the axis into the one before it.
            let inner = shape[axis] / count;
            return Err(if shape[axis].is_multiple_of(count) && sizes[d].is_multiple_of(inner) {
                ReshapeError::Split(d, inner)
            } else {
                ReshapeError::Never
            });
        }
        out[axis].steps[d] += count as isize;
    }
    let mut rest = usize::try_from(offset.base).map_err(|_| ReshapeError::Never)?;
    for (axis, a) in out.iter_mut().enumerate() {
        a.base = (rest / strides[axis]) as isize;
        rest %= strides[axis];
        let furthest: isize =
            a.base + a.steps.iter().zip(sizes).map(|(&s, &n)| s * (n as isize - 1)).sum::<isize>();
        if furthest >= shape[axis] as isize {
            return Err(ReshapeError::Never);
        }
    }
    if rest == 0 { Ok(out) } else { Err(ReshapeError::Never) }
}

/// Returns the axis along which `step` elements move: the outermost one whose stride is not larger.
fn axis_of(shape: &Shape, strides: &[usize], step: usize) -> Option<usize> {
    (0..shape.rank()).filter(|&a| shape[a] > 1).find(|&a| strides[a] <= step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(loops: usize) -> AffineIndex {
        let counter = |d: usize| AffineOffset {
            steps: (0..loops).map(|l| (l == d) as isize).collect(),
            base: 0,
        };
        (0..loops).map(counter).collect()
    }

    fn shape(s: &[usize]) -> Shape {
        Shape::from(s)
    }

    fn offset(steps: &[isize]) -> AffineOffset {
        AffineOffset { steps: steps.iter().copied().collect(), base: 0 }
    }

    #[test]
    fn a_reshape_that_only_merges_axes_is_free() {
        let at = index_of(&shape(&[24]), &flat(&shape(&[4, 6]), &identity(2), 2), &[4, 6]).unwrap();
        assert_eq!(at[0], offset(&[6, 1]));
        let back = index_of(&shape(&[4, 6]), &at[0], &[4, 6]).unwrap();
        assert_eq!(back, identity(2));
    }

    #[test]
    fn a_reshape_that_parts_an_axis_asks_for_a_split() {
        assert_eq!(index_of(&shape(&[4, 6]), &offset(&[1]), &[24]), Err(ReshapeError::Split(0, 6)));
        assert_eq!(index_of(&shape(&[4, 6]), &offset(&[6, 1]), &[4, 6]).unwrap(), identity(2));
        assert_eq!(
            index_of(&shape(&[3, 4]), &offset(&[6, 1]), &[2, 6]),
            Err(ReshapeError::Never),
            "4 and 6 overlap"
        );
    }

    #[test]
    fn unit_axes_and_bases_find_their_place() {
        let at = index_of(&shape(&[1, 4, 1, 6]), &AffineOffset { base: 7, ..offset(&[6]) }, &[3])
            .unwrap();
        assert_eq!((at[1].base, at[3].base, at[1].steps[0]), (1, 1, 1));
        assert_eq!(
            index_of(&shape(&[4, 6]), &AffineOffset { base: 7, ..offset(&[6]) }, &[4]),
            Err(ReshapeError::Never),
            "it would leave the array"
        );
    }
}
