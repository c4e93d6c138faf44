//! Places in arrays as sums over loop counters.
//!
//! A group of equations is computed over one iteration space. Where an array is read through
//! broadcasts, transposes, slices and reshapes, its place is `base + sum(step * counter)`: data
//! movement costs nothing. A reshape that cuts through a loop asks for the loop to be split.

use neurax_ir::Shape;
use smallvec::SmallVec;

/// `base + sum(steps[d] * counter[d])` over the loops of an iteration space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct AffineOffset {
    /// How far one step of each loop moves.
    pub steps: SmallVec<[isize; 4]>,
    /// Where it starts.
    pub base: isize,
}

/// An index: one sum for every axis of an array.
pub type AffineIndex = SmallVec<[AffineOffset; 4]>;

/// Why a place is not such a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReshapeError {
    /// The loop must be split first, the inner part having that many iterations.
    Split(usize, usize),
    /// It cannot be had.
    Never,
}

impl AffineOffset {
    /// The same place for all counters.
    pub fn constant(loops: usize, base: isize) -> AffineOffset {
        AffineOffset { steps: smallvec::smallvec![0; loops], base }
    }

    /// `self * k`
    pub fn times(&self, k: isize) -> AffineOffset {
        AffineOffset { steps: self.steps.iter().map(|s| s * k).collect(), base: self.base * k }
    }

    /// `self + o`
    pub fn plus(&self, o: &AffineOffset) -> AffineOffset {
        AffineOffset {
            steps: self.steps.iter().zip(&o.steps).map(|(a, b)| a + b).collect(),
            base: self.base + o.base,
        }
    }
}

/// The place of an element of a dense array.
pub fn flat(shape: &Shape, index: &[AffineOffset], loops: usize) -> AffineOffset {
    let strides = shape.strides();
    let terms = index.iter().zip(&strides).map(|(a, &s)| a.times(s as isize));
    terms.fold(AffineOffset::constant(loops, 0), |sum, t| sum.plus(&t))
}

/// The index at which an array of that shape has the element at a place.
///
/// # Errors
/// With what would have to be done first.
pub fn index_of(
    shape: &Shape,
    place: &AffineOffset,
    sizes: &[usize],
) -> Result<AffineIndex, ReshapeError> {
    let (loops, strides) = (sizes.len(), shape.strides());
    let mut out: AffineIndex =
        (0..shape.rank()).map(|_| AffineOffset::constant(loops, 0)).collect();
    if shape.size() == 0 {
        return Ok(out);
    }
    for (d, &step) in place.steps.iter().enumerate().filter(|&(d, &s)| s != 0 && sizes[d] > 1) {
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
    let mut rest = usize::try_from(place.base).map_err(|_| ReshapeError::Never)?;
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

/// The axis along which a step of that many elements moves: the outermost one whose stride is not
/// larger.
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

    fn place(steps: &[isize]) -> AffineOffset {
        AffineOffset { steps: steps.iter().copied().collect(), base: 0 }
    }

    #[test]
    fn a_reshape_that_only_joins_axes_is_free() {
        let at = index_of(&shape(&[24]), &flat(&shape(&[4, 6]), &identity(2), 2), &[4, 6]).unwrap();
        assert_eq!(at[0], place(&[6, 1]));
        let back = index_of(&shape(&[4, 6]), &at[0], &[4, 6]).unwrap();
        assert_eq!(back, identity(2));
    }

    #[test]
    fn a_reshape_that_parts_an_axis_asks_for_a_split() {
        assert_eq!(index_of(&shape(&[4, 6]), &place(&[1]), &[24]), Err(ReshapeError::Split(0, 6)));
        assert_eq!(index_of(&shape(&[4, 6]), &place(&[6, 1]), &[4, 6]).unwrap(), identity(2));
        assert_eq!(
            index_of(&shape(&[3, 4]), &place(&[6, 1]), &[2, 6]),
            Err(ReshapeError::Never),
            "4 and 6 overlap"
        );
    }

    #[test]
    fn unit_axes_and_bases_find_their_place() {
        let at = index_of(&shape(&[1, 4, 1, 6]), &AffineOffset { base: 7, ..place(&[6]) }, &[3])
            .unwrap();
        assert_eq!((at[1].base, at[3].base, at[1].steps[0]), (1, 1, 1));
        assert_eq!(
            index_of(&shape(&[4, 6]), &AffineOffset { base: 7, ..place(&[6]) }, &[4]),
            Err(ReshapeError::Never),
            "it would leave the array"
        );
    }
}
