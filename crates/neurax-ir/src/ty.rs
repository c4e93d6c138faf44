//! Shapes and types: the static properties of values.

use crate::{DType, Error, Result, tuning::MAX_RANK};
use smallvec::SmallVec;
use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    ops::DerefMut,
};

/// The sizes of the axes, outermost first. Up to six axes are stored inline.
///
/// ```
/// use neurax_ir::Shape;
/// let s = Shape::from([2, 3, 4]);
/// assert_eq!(s.strides().to_vec(), [12, 4, 1]);
/// assert_eq!(s.to_string(), "[2, 3, 4]");
/// ```
#[derive(Eq, Debug, Default)]
pub struct Shape(SmallVec<[usize; 6]>);

// Every eager operation clones, compares and hashes shapes. The derived forms go through an
// iterator and through `memcmp`, which cost more than the few words that a shape has.
impl Clone for Shape {
    fn clone(&self) -> Shape {
        Shape(SmallVec::from_slice(&self.0))
    }
}

impl PartialEq for Shape {
    fn eq(&self, o: &Shape) -> bool {
        self.len() == o.len() && self.iter().zip(o.iter()).all(|(x, y)| x == y)
    }
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, h: &mut H) {
        h.write_usize(self.len());
        self.iter().for_each(|&n| h.write_usize(n));
    }
}

/// The element type and shape of a value.
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
    /// The most axes of a value.
    pub const MAX_RANK: usize = MAX_RANK;

    /// Returns the shape of a scalar.
    pub fn scalar() -> Shape {
        Shape::default()
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Checks that a value of this shape has no more axes than values may have.
    ///
    /// # Errors
    /// If there are more than 64: the error does not list them.
    pub(crate) fn check_rank(&self) -> Result<()> {
        if self.rank() <= MAX_RANK {
            return Ok(());
        }
        let got = self.rank();
        Err(Error::new("type", format!("expected at most {MAX_RANK} axes, got {got}")))
    }

    /// Returns the number of elements, saturating. [`Type::bytes`] is the checked form, which every
    /// value of a graph has passed.
    pub fn size(&self) -> usize {
        if self.contains(&0) { 0 } else { self.iter().fold(1, |n, &d| n.saturating_mul(d)) }
    }

    /// Returns the row-major strides, in elements.
    pub fn strides(&self) -> SmallVec<[usize; 6]> {
        let mut out: SmallVec<[usize; 6]> = SmallVec::from_elem(1, self.rank());
        for i in (0..self.rank().saturating_sub(1)).rev() {
            out[i] = out[i + 1].saturating_mul(self[i + 1].max(1));
        }
        out
    }

    /// Returns this shape with an axis of `size` inserted at `axis`.
    pub fn inserted(&self, axis: usize, size: usize) -> Shape {
        let mut s = self.clone();
        s.0.insert(axis, size);
        s
    }

    /// Returns this shape without `axis`.
    pub fn removed(&self, axis: usize) -> Shape {
        let mut s = self.clone();
        s.0.remove(axis);
        s
    }

    /// Returns this shape without `axes`.
    pub fn without(&self, axes: &[usize]) -> Shape {
        self.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &d)| d).collect()
    }
}

impl Type {
    /// Creates a type.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    /// Returns the type of a scalar.
    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, shape: Shape::scalar() }
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// Returns the number of elements, saturating.
    pub fn size(&self) -> usize {
        self.shape.size()
    }

    /// Returns the type of this shape with elements of `dtype`.
    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type { dtype, shape: self.shape.clone() }
    }

    /// Returns the type of `shape` with elements of this dtype.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Type {
        Type { dtype: self.dtype, shape: shape.into() }
    }

    /// Returns the number of bytes of a value of this type.
    ///
    /// As in NumPy, the product of all nonzero axes must not overflow, even if another axis is 0,
    /// and there are at most 64 axes. Once a type has passed, the product of any subset of its axes
    /// is therefore representable.
    ///
    /// ```
    /// use neurax_ir::{DType, Type};
    /// let e = Type::new(DType::F32, vec![1; 65]).bytes().unwrap_err();
    /// assert_eq!(e.to_string(), "type: expected at most 64 axes, got 65");
    /// ```
    ///
    /// # Errors
    /// If the size in bytes exceeds the address space, or there are more axes.
    pub fn bytes(&self) -> Result<usize> {
        self.shape.check_rank()?;
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

/// Lists types for a message: `f32[2], i32[]`.
///
/// ```
/// use neurax_ir::{DType, Type, list_types};
/// let types = [Type::new(DType::F32, [2]), Type::scalar(DType::I32)];
/// assert_eq!(list_types(&types), "f32[2], i32[]");
/// ```
pub fn list_types<'t>(types: impl IntoIterator<Item = &'t Type>) -> String {
    types.into_iter().map(Type::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the error of operation `op` for arguments or outputs of other types: `what` are `have`
/// instead of `want`.
///
/// ```
/// use neurax_ir::{DType, Type, mismatch};
/// let (want, have) = (Type::new(DType::F32, [2]), Type::new(DType::F64, [2]));
/// let e = mismatch("run", "arguments", &[want], [&have]);
/// assert_eq!(e.to_string(), "run: expected arguments (f32[2]), got (f64[2])");
/// ```
pub fn mismatch<'t>(
    op: &str,
    what: &str,
    want: &[Type],
    have: impl IntoIterator<Item = &'t Type>,
) -> Error {
    let (want, have) = (list_types(want), list_types(have));
    Error::new(op, format!("expected {what} ({want}), got ({have})"))
}

/// Checks that `have` are the types `want`.
///
/// # Errors
/// [`mismatch`] if they are not.
pub fn check_types<'t>(
    op: &str,
    what: &str,
    want: &[Type],
    have: impl Iterator<Item = &'t Type> + Clone,
) -> Result<()> {
    if have.clone().eq(want) { Ok(()) } else { Err(mismatch(op, what, want, have)) }
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
