//! Shapes as users write and read them.

use crate::{DType, Error, Result, Shape, Type};
use std::{
    fmt,
    ops::{Deref, Index, Range, RangeFrom, RangeFull, RangeTo},
};

/// A dimension of a shape: a size, `_` (any size, or inferred), or a name. See [`crate::dims!`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Any size; in `reshape`, the size that is inferred from the others.
    Any,
    /// A fixed size in elements.
    Size(usize),
    /// Any size with a name: equal names are equal sizes.
    Named(String),
    /// An invalid size as the user wrote it, e.g. a negative number.
    Bad(String),
}

impl From<usize> for Dim {
    fn from(n: usize) -> Dim {
        Dim::Size(n)
    }
}

impl From<i32> for Dim {
    fn from(n: i32) -> Dim {
        usize::try_from(n).map_or_else(|_| Dim::Bad(n.to_string()), Dim::Size)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Dim {
        Dim::Named(name.into())
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Dim::Any => f.write_str("_"),
            Dim::Size(n) => write!(f, "{n}"),
            Dim::Named(s) | Dim::Bad(s) => f.write_str(s),
        }
    }
}

/// A type that is accepted as a shape: `[2, 3]`, `5`, `()`, a slice or vector of sizes, the shape
/// of another tensor, or [`crate::dims!`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shape",
    note = "shapes are `[2, 3]`, `5`, `()`, `&[usize]`, `x.shape()`, or `dims![n, _]` where `_` is \
            inferred; sizes are not negative"
)]
pub trait IntoShape {
    /// Returns the dimensions.
    fn dims(self) -> Vec<Dim>;
}

fn sizes(s: &[usize]) -> Vec<Dim> {
    s.iter().copied().map(Dim::Size).collect()
}

impl<const N: usize> IntoShape for [usize; N] {
    fn dims(self) -> Vec<Dim> {
        sizes(&self)
    }
}

impl<const N: usize> IntoShape for &[usize; N] {
    fn dims(self) -> Vec<Dim> {
        sizes(self)
    }
}

impl<const N: usize> IntoShape for [Dim; N] {
    fn dims(self) -> Vec<Dim> {
        self.into()
    }
}

macro_rules! shapes {
    ($($t:ty: |$s:ident| $e:expr),* $(,)?) => {$(
        impl IntoShape for $t {
            fn dims(self) -> Vec<Dim> {
                let $s = self;
                $e
            }
        }
    )*};
}

shapes! {
    usize: |s| vec![Dim::Size(s)],
    (): |_s| vec![],
    &[usize]: |s| sizes(s),
    Vec<usize>: |s| sizes(&s),
    &Vec<usize>: |s| sizes(s),
    Vec<Dim>: |s| s,
    &[Dim]: |s| s.to_vec(),
    Shape: |s| sizes(&s),
    &Shape: |s| sizes(s),
    Dims: |s| sizes(&s),
    &Dims: |s| sizes(s),
}

/// Returns the shape if all dimensions have a size.
///
/// # Errors
/// When one has none; the message names it.
pub(crate) fn fixed(s: impl IntoShape) -> Result<Shape, String> {
    fixed_sizes(s.dims())
}

/// Returns the sizes of `dims`, as [`fixed`] does.
fn fixed_sizes(dims: Vec<Dim>) -> Result<Shape, String> {
    let size = |d: Dim| match d {
        Dim::Size(n) => Ok(n),
        d => Err(format!("expected a size, got `{d}`")),
    };
    dims.into_iter().map(size).collect()
}

/// The sizes of a tensor's axes. It works like a slice, except that indexing beyond the end returns
/// 1 instead of panicking: the shape of a tensor that carries an error is empty.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Dims(pub(crate) Shape);

impl Deref for Dims {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl Index<usize> for Dims {
    type Output = usize;
    fn index(&self, i: usize) -> &usize {
        self.0.get(i).unwrap_or(&1)
    }
}

macro_rules! ranges {
    ($($R:ty: |$r:ident, $n:ident| $bounds:expr),*) => {$(
        impl Index<$R> for Dims {
            type Output = [usize];
            fn index(&self, $r: $R) -> &[usize] {
                let $n = self.0.len();
                let b: Range<usize> = $bounds;
                self.0.get(b.start.min($n)..b.end.clamp(b.start.min($n), $n)).unwrap_or(&[])
            }
        }
    )*};
}

ranges!(
    Range<usize>: |r, _n| r,
    RangeFrom<usize>: |r, n| r.start..n,
    RangeTo<usize>: |r, _n| 0..r.end,
    RangeFull: |_r, n| 0..n
);

impl<const N: usize> PartialEq<[usize; N]> for Dims {
    fn eq(&self, o: &[usize; N]) -> bool {
        **self == o[..]
    }
}

impl PartialEq<Vec<usize>> for Dims {
    fn eq(&self, o: &Vec<usize>) -> bool {
        **self == o[..]
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A type whose dimensions may be open, the result of [`crate::types!`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeSpec {
    /// The element type.
    pub dtype: DType,
    /// The dimensions.
    pub dims: Vec<Dim>,
}

impl TypeSpec {
    /// Returns the type if no dimension is open.
    ///
    /// # Errors
    /// When one is open; the message names it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [fixed, open] = types![f32[2, 3], f32[_, 3]];
    /// assert_eq!(fixed.fixed()?.to_string(), "f32[2, 3]");
    /// assert!(open.fixed().unwrap_err().message().contains("expected a size, got `_`"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fixed(&self) -> Result<Type> {
        let shape = fixed(self.dims.clone()).map_err(|why| {
            Error::new("types", format!("{self}: {why}; a compiled function has fixed sizes"))
        })?;
        let ty = Type::new(self.dtype, shape);
        ty.bytes()?;
        Ok(ty)
    }

    /// Returns true if `ty` has this dtype, this rank, and these sizes where they are fixed.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [open] = types![f32[_, 3]];
    /// assert!(open.admits(&Tensor::zeros([7, 3]).ty()?));
    /// assert!(!open.admits(&Tensor::zeros([7, 4]).ty()?), "another size");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn admits(&self, ty: &Type) -> bool {
        let fits =
            |(d, n): (&Dim, &usize)| matches!(d, Dim::Any | Dim::Named(_)) || *d == Dim::Size(*n);
        self.dtype == ty.dtype
            && self.dims.len() == ty.rank()
            && self.dims.iter().zip(ty.shape.iter()).all(fits)
    }
}

impl From<&Type> for TypeSpec {
    fn from(t: &Type) -> TypeSpec {
        TypeSpec { dtype: t.dtype, dims: sizes(&t.shape) }
    }
}

impl fmt::Display for TypeSpec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let dims: Vec<String> = self.dims.iter().map(Dim::to_string).collect();
        write!(f, "{}[{}]", self.dtype, dims.join(", "))
    }
}
