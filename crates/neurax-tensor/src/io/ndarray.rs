//! Conversions between tensors and arrays of the `ndarray` crate (feature `ndarray`).

use crate::{Element, Error, Result, Tensor, tensor::CallSite};
use ::ndarray::{Array, ArrayBase, ArrayD, Data, Dimension, IxDyn};
use neurax_ir::Place;
use std::panic::Location;

/// A tensor of an array. Elements in row-major order become the memory of the tensor, as those of
/// `Tensor::from_vec`; others are copied into this order.
///
/// ```
/// use neurax::prelude::*;
/// let x = ndarray::array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
/// assert_eq!(Tensor::from(x).shape(), [2, 3]);
/// ```
impl<T: Element, D: Dimension> From<Array<T, D>> for Tensor {
    #[track_caller]
    fn from(array: Array<T, D>) -> Tensor {
        let shape = array.shape().to_vec();
        let size = array.len();
        if array.is_standard_layout() {
            let (elements, start) = array.into_raw_vec_and_offset();
            if start.unwrap_or(0) == 0 && elements.len() == size {
                return Tensor::from_vec(elements, shape);
            }
            let start = start.unwrap_or(0);
            return match elements.get(start..start.saturating_add(size)) {
                Some(elements) => Tensor::from_slice(elements, shape),
                None => Tensor::from_error(Error::bug("an array lies within its memory")),
            };
        }
        Tensor::from(&array)
    }
}

/// A tensor of a copy of an array or view with any strides.
///
/// ```
/// use ndarray::s;
/// use neurax::prelude::*;
/// let x = ndarray::array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
/// let y = Tensor::from(&x.slice(s![.., ..;-2]).t());
/// assert_eq!(y.to_nested::<Vec<Vec<f32>>>()?, [[3.0, 6.0], [1.0, 4.0]]);
/// # Ok::<(), Error>(())
/// ```
impl<T: Element, S: Data<Elem = T>, D: Dimension> From<&ArrayBase<S, D>> for Tensor {
    #[track_caller]
    fn from(array: &ArrayBase<S, D>) -> Tensor {
        let shape = array.shape().to_vec();
        match array.as_slice() {
            Some(elements) => Tensor::from_slice(elements, shape),
            None => Tensor::from_vec(array.iter().copied().collect(), shape),
        }
    }
}

impl Tensor {
    /// Returns an array with a copy of the elements. `into_dimensionality` gives it a static rank.
    ///
    /// # Errors
    /// The error that the tensor carries; when `T` is not its dtype; when it is being traced.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 2.0], [3.0, 4.0]]).to_ndarray::<f32>()?;
    /// assert_eq!(x, ndarray::array![[1.0, 2.0], [3.0, 4.0]].into_dyn());
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        array_of(self, Location::caller())
    }
}

/// An array with a copy of the elements, as [`Tensor::to_ndarray`].
impl<T: Element> TryFrom<&Tensor> for ArrayD<T> {
    type Error = Error;

    #[track_caller]
    fn try_from(x: &Tensor) -> Result<ArrayD<T>> {
        array_of(x, Location::caller())
    }
}

fn array_of<T: Element>(x: &Tensor, at: CallSite) -> Result<ArrayD<T>> {
    let literal = x.literal_for("to_ndarray", at)?;
    let failed = |why: String| Error::new("to_ndarray", why).at(&Place::Source(at));
    let elements = literal.to_vec::<T>().map_err(|e| failed(e.message().into()))?;
    ArrayD::from_shape_vec(IxDyn(literal.shape()), elements).map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::{prelude::*, testing::property};
    use ndarray::{ArrayD, Slice};

    #[test]
    fn arrays_of_any_strides_become_tensors() {
        property(100, |draw| {
            let shape = draw.shape(0..=4, 0..=4);
            let x = draw.tensor(F32, &shape[..]);
            let array = x.to_ndarray::<f32>()?;
            assert_eq!(Tensor::from(array.clone()).to_vec::<f32>()?, x.to_vec::<f32>()?);
            let mut view = array.view();
            view.slice_each_axis_inplace(|axis| {
                let step = draw.one_of(&[-3, -2, -1, 1, 2, 3]);
                Slice::new(draw.below(axis.len + 1) as isize, None, step)
            });
            let reversed = view.reversed_axes();
            let copied = Tensor::from(&reversed);
            let elements: Vec<f32> = reversed.iter().copied().collect();
            assert_eq!(copied.shape()[..], *reversed.shape());
            assert_eq!(copied.to_vec::<f32>()?, elements);
            // An owned array in column-major order.
            let columns: ArrayD<f32> = array.reversed_axes();
            let want: Vec<f32> = columns.iter().copied().collect();
            assert_eq!(Tensor::from(columns).to_vec::<f32>()?, want);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_part_of_an_owned_array_is_its_part() {
        let x = ndarray::arr1(&[1i32, 2, 3, 4]).slice_move(ndarray::s![1..3]);
        assert_eq!(Tensor::from(x).to_vec::<i32>().unwrap(), [2, 3]);
    }

    #[test]
    fn another_element_type_is_an_error() {
        let e = tensor([1, 2]).to_ndarray::<f32>().unwrap_err();
        assert_eq!(e.message(), "expected f32 elements, got i32[2]; convert it first");
    }
}
