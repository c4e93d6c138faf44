//! Shapes and types: what is known of a value before it runs.

use crate::{DType, Error, Result};
use smallvec::SmallVec;
use std::{fmt, ops::Deref, ops::DerefMut};

/// The sizes of the axes, outermost first. Kept inline up to six axes.
///
/// ```
/// use neurax_ir::Shape;
/// let s = Shape::from([2, 3, 4]);
/// assert_eq!(s.strides().to_vec(), [12, 4, 1]);
/// assert_eq!(s.to_string(), "[2, 3, 4]");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Shape(SmallVec<[usize; 6]>);

/// Element type and shape of a value.
///
/// ```
/// use neurax_ir::{DType, Type};
/// let t = Type::new(DType::F32, [2, 3]);
/// assert_eq!(t.to_string(), "f32[2, 3]");
/// assert_eq!(t.bytes().unwrap(), 24);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    /// The type of one element.
    pub dtype: DType,
    /// The sizes of the axes.
    pub shape: Shape,
}

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Shape {
        Shape::default()
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements. Saturates; [`Type::bytes`] is the checked form that every graph value
    /// has passed.
    pub fn size(&self) -> usize {
        if self.contains(&0) { 0 } else { self.iter().fold(1, |n, &d| n.saturating_mul(d)) }
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> SmallVec<[usize; 6]> {
        let mut out: SmallVec<[usize; 6]> = SmallVec::from_elem(1, self.rank());
        for i in (0..self.rank().saturating_sub(1)).rev() {
            out[i] = out[i + 1].saturating_mul(self[i + 1].max(1));
        }
        out
    }

    /// This shape with an axis of that size put in at `axis`.
    pub fn inserted(&self, axis: usize, size: usize) -> Shape {
        let mut s = self.clone();
        s.0.insert(axis, size);
        s
    }

    /// This shape without that axis.
    pub fn removed(&self, axis: usize) -> Shape {
        let mut s = self.clone();
        s.0.remove(axis);
        s
    }

    /// This shape without those axes.
    pub fn without(&self, axes: &[usize]) -> Shape {
        self.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &d)| d).collect()
    }
}

impl Type {
    /// A type of that element type and shape.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    /// The type of a scalar.
    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, shape: Shape::scalar() }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// Number of elements.
    pub fn size(&self) -> usize {
        self.shape.size()
    }

    /// The same shape with other elements.
    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type { dtype, shape: self.shape.clone() }
    }

    /// The same elements in another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Type {
        Type { dtype: self.dtype, shape: shape.into() }
    }

    /// Bytes that a value of this type takes.
    ///
    /// An axis of size 0 does not excuse the others: as in NumPy, the product of all others must
    /// fit, too. So in a type that passed, the product of any of its axes does not overflow.
    ///
    /// # Errors
    /// When the size does not fit the address space.
    pub fn bytes(&self) -> Result<usize> {
        let count =
            self.shape.iter().filter(|&&d| d != 0).try_fold(1usize, |n, &d| n.checked_mul(d));
        let bits = count.and_then(|n| n.checked_mul(self.dtype.bits()));
        match bits {
            Some(_) if self.shape.contains(&0) => Ok(0),
            Some(bits) if bits / 8 < isize::MAX as usize / 2 => Ok(bits.div_ceil(8)),
            _ => Err(Error::new("type", format!("{self} is larger than the address space"))),
        }
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(d: [usize; N]) -> Shape {
        Shape(SmallVec::from_slice(&d))
    }
}

impl From<&[usize]> for Shape {
    fn from(d: &[usize]) -> Shape {
        Shape(SmallVec::from_slice(d))
    }
}

impl From<Vec<usize>> for Shape {
    fn from(d: Vec<usize>) -> Shape {
        Shape(SmallVec::from_vec(d))
    }
}

impl From<&Shape> for Shape {
    fn from(d: &Shape) -> Shape {
        d.clone()
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(it: I) -> Shape {
        Shape(it.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{d}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_axis_does_not_hide_absurd_ones() {
        let bytes = |shape: &[usize]| Type::new(DType::F32, shape).bytes();
        assert_eq!(bytes(&[3, 0]).unwrap(), 0);
        assert_eq!(bytes(&[1 << 40, 0]).unwrap(), 0, "2^40 elements could be counted");
        for absurd in
            [&[1 << 40, 1 << 40, 0][..], &[usize::MAX, 0], &[0, 1 << 62], &[1 << 40, 0, 1 << 40]]
        {
            assert!(bytes(absurd).is_err(), "{absurd:?}");
        }
    }
}
