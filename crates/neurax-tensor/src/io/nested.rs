//! Tensors as nested vectors.

use crate::{Complex, Element, Error, Result, Tensor, bf16, f16, tensor::CallSite};
use neurax_ir::{
    F8E3M4, F8E4M3, F8E4M3B11FNUZ, F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F8E8M0FNU, Place,
};
use std::panic::Location;

/// A number, or a vector of nested values: the result of [`Tensor::to_nested`].
pub trait Nested: Sized {
    /// The type of the numbers.
    type Of: Element;

    /// The number of enclosing vectors.
    const DEPTH: usize;

    /// Builds a value of the sizes `shape` from the elements, in row-major order; `None` if there
    /// are too few.
    fn build(shape: &[usize], elements: &mut impl Iterator<Item = Self::Of>) -> Option<Self>;
}

impl<T: Nested> Nested for Vec<T> {
    type Of = T::Of;
    const DEPTH: usize = T::DEPTH + 1;

    fn build(shape: &[usize], elements: &mut impl Iterator<Item = T::Of>) -> Option<Vec<T>> {
        let (&n, inner) = shape.split_first()?;
        (0..n).map(|_| T::build(inner, elements)).collect()
    }
}

macro_rules! numbers {
    ($($t:ty),* $(,)?) => {$(
        impl Nested for $t {
            type Of = $t;
            const DEPTH: usize = 0;

            fn build(_: &[usize], elements: &mut impl Iterator<Item = $t>) -> Option<$t> {
                elements.next()
            }
        }
    )*};
}

numbers!(bool, u8, u16, u32, u64, i8, i16, i32, i64, f16, bf16, f32, f64);
numbers!(Complex<f32>, Complex<f64>, F8E3M4, F8E4M3, F8E4M3B11FNUZ, F8E4M3FN, F8E4M3FNUZ);
numbers!(F8E5M2, F8E5M2FNUZ, F8E8M0FNU);

impl Tensor {
    /// Returns the elements as vectors in vectors, one level for each axis; a number for a tensor
    /// of rank 0.
    ///
    /// # Errors
    /// The error that the tensor carries; when the type has another number of levels than the
    /// tensor axes, or other elements; when the tensor is being traced.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    /// let rows: Vec<Vec<f32>> = x.to_nested()?;
    /// assert_eq!(rows, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    /// let e = x.to_nested::<Vec<f32>>().unwrap_err().to_string();
    /// let want = "to_nested: expected a type of 2 nested vectors for f32[3, 2], got 1 levels";
    /// assert!(e.starts_with(want), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_nested<T: Nested>(&self) -> Result<T> {
        let at = Location::caller();
        let x = self.literal_for("to_nested", at)?;
        if x.ty().rank() != T::DEPTH {
            let (rank, ty) = (x.ty().rank(), x.ty());
            let why = format!(
                "expected a type of {rank} nested vectors for {ty}, got {} levels",
                T::DEPTH
            );
            return Err(failed(why, at));
        }
        // An axis before one of size 0 may have any size, and so would the vector.
        let outer = x.shape().iter().take_while(|&&n| n > 0);
        let vectors = outer.fold(1usize, |n, &d| n.saturating_mul(d));
        neurax_ir::check_memory(vectors.saturating_mul(size_of::<Vec<T::Of>>()))?;
        let elements = x.to_vec::<T::Of>().map_err(|e| failed(e.message().into(), at))?;
        T::build(x.shape(), &mut elements.into_iter())
            .ok_or_else(|| Error::bug("the elements of a tensor fill its shape"))
    }
}

fn failed(why: String, at: CallSite) -> Error {
    Error::new("to_nested", why).at(&Place::Source(at))
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn levels_are_axes() {
        assert_eq!(tensor(3).to_nested::<i32>().unwrap(), 3);
        assert_eq!(tensor([true, false]).to_nested::<Vec<bool>>().unwrap(), [true, false]);
        let x = Tensor::arange(24).reshape([2, 3, 4]);
        let nested = x.to_nested::<Vec<Vec<Vec<i32>>>>().unwrap();
        assert_eq!((nested[1][2][3], nested[0].len(), nested[0][0].len()), (23, 3, 4));
        let back = tensor(nested);
        assert_eq!(back.to_literal().unwrap(), x.to_literal().unwrap());
    }

    #[test]
    fn axes_of_size_0_are_empty_vectors() {
        assert_eq!(Tensor::zeros([2, 0]).to_nested::<Vec<Vec<f32>>>().unwrap(), [[0f32; 0]; 2]);
        assert!(Tensor::zeros([1 << 56, 0]).to_nested::<Vec<Vec<f32>>>().is_err());
        assert!(Tensor::zeros([0, 1 << 40]).to_nested::<Vec<Vec<f32>>>().unwrap().is_empty());
    }

    #[test]
    fn another_element_type_is_an_error() {
        let e = tensor([1, 2]).to_nested::<Vec<f32>>().unwrap_err();
        assert_eq!(e.message(), "expected f32 elements, got i32[2]; convert it first");
    }
}
