//! Elements of slices copied into and out of tensors that exist, without new tensors: input and
//! output buffers of compiled functions.

use crate::{
    Tensor, Type,
    tensor::{CallSite, Repr},
};
use neurax_ir::{Element, Error, Place, Result, Shape};
use std::{panic::Location, sync::Arc};

impl Tensor {
    /// Replaces the elements by those of `data`, in row-major order. The tensor keeps its memory
    /// unless another tensor shares it, so that the input of a [`crate::Compiled`] can be refilled
    /// for each call.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let double = jit(|x: Tensor| x * 2.0).compile(types![f32[2]])?;
    /// let (mut x, mut y) = (Tensor::zeros(2), Tensor::zeros(2));
    /// let mut result = [0.0f32; 2];
    /// for row in [[1.0f32, 2.0], [3.0, 4.0]] {
    ///     x.copy_from_slice(&row)?;
    ///     double.run_into(&x, &mut [&mut y])?;
    ///     y.copy_to_slice(&mut result)?;
    /// }
    /// assert_eq!(result, [6.0, 8.0]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the tensor carries an error, or `data` has another dtype or number of elements. Then the
    /// tensor is unchanged.
    #[track_caller]
    pub fn copy_from_slice<T: Element>(&mut self, data: &[T]) -> Result<()> {
        let at = Location::caller();
        let shape = checked::<T>(self, "copy_from_slice", data.len(), at)?;
        if let Repr::Concrete(c) = &mut self.0
            && c.device.is_none()
            && let Some(c) = Arc::get_mut(c)
            && let Some(bytes) = c.buffer.host_mut()
            && let Ok(stored) = bytemuck::try_cast_slice_mut::<u8, T::Stored>(bytes)
        {
            stored.iter_mut().zip(data).for_each(|(to, x)| *to = x.to_stored());
            return Ok(());
        }
        *self = Tensor::from_slice(data, &shape[..]);
        Ok(())
    }

    /// Copies the elements to `out`, in row-major order.
    ///
    /// # Errors
    /// If the tensor carries an error or is being traced, or `out` has another dtype or number of
    /// elements.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let mut out = [0.0f32; 2];
    /// tensor([1.0, 2.0]).copy_to_slice(&mut out)?;
    /// assert_eq!(out, [1.0, 2.0]);
    /// assert!(tensor([1, 2]).copy_to_slice(&mut out).is_err(), "another dtype");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn copy_to_slice<T: Element>(&self, out: &mut [T]) -> Result<()> {
        let at = Location::caller();
        checked::<T>(self, "copy_to_slice", out.len(), at)?;
        let literal = self.literal_for("copy_to_slice", at)?;
        match bytemuck::try_cast_slice::<u8, T::Stored>(literal.bytes()) {
            Ok(stored) => out.iter_mut().zip(stored).for_each(|(to, &s)| *to = T::from_stored(s)),
            Err(_) => out.copy_from_slice(&literal.to_vec()?),
        }
        Ok(())
    }
}

/// Checks that a tensor has `len` elements of the type `T`, and returns its shape.
fn checked<T: Element>(t: &Tensor, op: &str, len: usize, at: CallSite) -> Result<Shape> {
    let Type { dtype, shape } = t.ty().map_err(|e| e.at(&Place::Source(at)))?;
    let size = shape.iter().product::<usize>();
    if dtype == T::DTYPE && size == len {
        return Ok(shape);
    }
    let why = format!("expected {size} elements of {dtype}, got {len} of {}", T::DTYPE);
    Err(Error::new(op, why).at(&Place::Source(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, jit, tensor};

    #[test]
    fn memory_is_kept_unless_it_is_shared() {
        let mut x = tensor([1.0, 2.0]) + 0.0;
        let address = x.address();
        x.copy_from_slice(&[3.0f32, 4.0]).unwrap();
        assert_eq!((x.address(), x.to_vec::<f32>().unwrap()), (address, vec![3.0, 4.0]));
        let other = x.clone();
        x.copy_from_slice(&[5.0f32, 6.0]).unwrap();
        assert_eq!(other.to_vec::<f32>().unwrap(), [3.0, 4.0]);
        assert_eq!(x.to_vec::<f32>().unwrap(), [5.0, 6.0]);
        let mut flags = Tensor::zeros(2).to(DType::Bool);
        flags.copy_from_slice(&[true, false]).unwrap();
        let mut read = [false; 2];
        flags.copy_to_slice(&mut read).unwrap();
        assert_eq!(read, [true, false]);
    }

    #[test]
    fn other_dtypes_and_lengths_are_errors() {
        let mut x = Tensor::zeros([2, 2]);
        let e = x.copy_from_slice(&[1.0f32; 3]).unwrap_err().to_string();
        assert!(e.contains("expected 4 elements of f32, got 3 of f32"), "{e}");
        let e = x.copy_to_slice(&mut [1.0f64; 4]).unwrap_err().to_string();
        assert!(e.contains("expected 4 elements of f32, got 4 of f64"), "{e}");
        let traced = jit(|x: Tensor| {
            let mut x = x;
            let e = x.copy_to_slice(&mut [0.0f32; 2]).unwrap_err().to_string();
            assert!(e.contains("has none yet"), "{e}");
            x.copy_from_slice(&[1.0f32, 2.0]).unwrap();
            x
        });
        assert_eq!(traced(Tensor::zeros(2)).to_vec::<f32>().unwrap(), [1.0, 2.0]);
    }
}
