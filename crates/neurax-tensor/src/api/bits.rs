//! Bit patterns, bitwise reductions and packed bits.

use super::common::tensor_or_error;
use crate::{AxisInt, DType, IntoAxes, Tensor, dispatch::dispatch, tensor::CallSite};
use neurax_ir::op::{BitcastConvert, ReduceKind};
use std::panic::Location;

/// The number of elements that [`Tensor::packbits`] packs into one byte.
const BITS_OF_BYTE: usize = 8;

impl Tensor {
    /// Reads the bits of each element as a number of `dtype`, which has the same width.
    ///
    /// [`Tensor::to`] converts the values instead. A float has no derivative with respect to the
    /// bits of another dtype; the bits of a float as integers have the derivative 0. Follows
    /// `jax.lax.bitcast_convert_type`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the widths differ, and for bool and complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, -2.0]).bitcast(U32).to_vec::<u32>()?, [0x3f80_0000, 0xc000_0000]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bitcast(&self, dtype: DType) -> Tensor {
        dispatch(BitcastConvert { dtype }, [self.clone()], Location::caller())
    }

    /// Computes the bitwise and of all elements over `axes`.
    ///
    /// Bool and integers only. The and of no elements has all bits set. Follows
    /// `jax.lax.reduce_and`.
    ///
    /// # Errors
    ///
    /// The result carries an error for floats and complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[6, 3], [7, 5]]).reduce_and(0).to_vec::<i32>()?, [6, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_and(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce_bits(ReduceKind::And, "reduce_and", &axes, Location::caller())
    }

    /// Computes the bitwise or of all elements over `axes`.
    ///
    /// Bool and integers only. The or of no elements is 0. Follows `jax.lax.reduce_or`.
    ///
    /// # Errors
    ///
    /// The result carries an error for floats and complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[4, 1], [6, 2]]).reduce_or(0).to_vec::<i32>()?, [6, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_or(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce_bits(ReduceKind::Or, "reduce_or", &axes, Location::caller())
    }

    /// Computes the bitwise exclusive or of all elements over `axes`.
    ///
    /// Bool and integers only. The exclusive or of no elements is 0. Follows `jax.lax.reduce_xor`.
    ///
    /// # Errors
    ///
    /// The result carries an error for floats and complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([5, 3, 1]).reduce_xor(..).to_vec::<i32>()?, [7]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_xor(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce_bits(ReduceKind::Xor, "reduce_xor", &axes, Location::caller())
    }

    /// Reduces bool or integers over `axes` by a bitwise operation.
    fn reduce_bits(&self, kind: ReduceKind, op: &str, axes: &dyn IntoAxes, at: CallSite) -> Tensor {
        match self.type_or_error() {
            Ok(ty) if ty.dtype == DType::Bool || ty.dtype.is_int() => {
                self.reduce_at(kind, op, axes, at)
            }
            Ok(ty) => {
                let why = format!("expected bool or integers, got {ty}; take `bitcast` first");
                Tensor::fail(op, why, at)
            }
            Err(e) => e,
        }
    }

    /// Packs elements along `axis` into bytes, u8: eight elements become one, the first one its
    /// highest bit.
    ///
    /// An element that is not 0 is a set bit. If the size of the axis is no multiple of 8, the last
    /// byte ends in zeros. Follows `numpy.packbits` with the bit order `big`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `axis` is out of range, and for floats and complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let bits = tensor([1, 0, 1, 0, 0, 0, 0, 1, 1]);
    /// assert_eq!(bits.packbits(0).to_vec::<u8>()?, [0b1010_0001, 0b1000_0000]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn packbits(&self, axis: impl AxisInt) -> Tensor {
        tensor_or_error(self.try_packbits(axis, Location::caller()))
    }

    /// Computes [`Tensor::packbits`].
    #[track_caller]
    fn try_packbits(&self, axis: impl AxisInt, at: CallSite) -> Result<Tensor, Tensor> {
        let axis = self.axis_at(axis, "packbits", at)?;
        let ty = self.type_or_error()?;
        if ty.dtype != DType::Bool && !ty.dtype.is_int() {
            let why = format!("expected bool or integers, got {ty}; compare first");
            return Err(Tensor::fail("packbits", why, at));
        }
        let bytes = self.shape()[axis].div_ceil(BITS_OF_BYTE);
        let mut widths = vec![(0, 0); self.rank()];
        widths[axis].1 = bytes * BITS_OF_BYTE - self.shape()[axis];
        let bits = self.to_bool(at).convert(DType::I32, at).pad(widths, 0);
        let mut shape = self.shape().to_vec();
        shape.splice(axis..=axis, [bytes, BITS_OF_BYTE]);
        let place = bit_places(shape.len(), axis + 1, at);
        let packed = bits.reshaped(shape, at).left_shift(place).sum(axis + 1);
        Ok(packed.convert(DType::U8, at))
    }

    /// Unpacks bytes along `axis` into their bits, u8: each element becomes eight, its highest bit
    /// first.
    ///
    /// [`Tensor::slice`] takes a number of bits that is no multiple of 8. Follows
    /// `numpy.unpackbits` with the bit order `big`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `axis` is out of range, and for dtypes other than u8.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let bytes = tensor([0b1010_0001]).to(U8);
    /// assert_eq!(bytes.unpackbits(0).to_vec::<u8>()?, [1, 0, 1, 0, 0, 0, 0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unpackbits(&self, axis: impl AxisInt) -> Tensor {
        tensor_or_error(self.try_unpackbits(axis, Location::caller()))
    }

    /// Computes [`Tensor::unpackbits`].
    #[track_caller]
    fn try_unpackbits(&self, axis: impl AxisInt, at: CallSite) -> Result<Tensor, Tensor> {
        let axis = self.axis_at(axis, "unpackbits", at)?;
        let ty = self.type_or_error()?;
        if ty.dtype != DType::U8 {
            let why = format!("expected bytes, got {ty}; convert them with `to(U8)`");
            return Err(Tensor::fail("unpackbits", why, at));
        }
        let mut shape = self.shape().to_vec();
        let Some(bits) = shape[axis].checked_mul(BITS_OF_BYTE) else {
            let why = format!("axis {axis} of {ty} has too many bits");
            return Err(Tensor::fail("unpackbits", why, at));
        };
        shape[axis] = bits;
        let place = bit_places(self.rank() + 1, axis + 1, at);
        let bytes = self.convert(DType::I32, at).expand_dims(axis + 1);
        let bits = bytes.right_shift(place).bitwise_and(1);
        Ok(bits.reshaped(shape, at).convert(DType::U8, at))
    }
}

/// Returns the places `7, 6, .. 0` of the bits of a byte along `axis` of an array of rank `rank`,
/// whose other axes have size 1.
#[track_caller]
fn bit_places(rank: usize, axis: usize, at: CallSite) -> Tensor {
    let mut shape = vec![1; rank];
    shape[axis] = BITS_OF_BYTE;
    Tensor::arange(BITS_OF_BYTE).flip(0).reshaped(shape, at)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn packed_bits_unpack_along_any_axis() {
        let x = Tensor::from_vec((0..24u8).map(|i| 37u8.wrapping_mul(i)).collect(), [2, 3, 4]);
        for axis in 0..3 {
            let bits = x.unpackbits(axis);
            assert_eq!(bits.shape()[axis], 8 * x.shape()[axis]);
            assert!(bits.packbits(axis).array_equal(&x).item().unwrap() == 1.0, "{axis}");
        }
        assert_eq!(Tensor::zeros_of(I32, [2, 0]).packbits(1).shape(), [2, 0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        assert!(say(tensor([1.0]).bitcast(F64)).contains("expected one of"));
        assert!(say(tensor([1.0]).reduce_or(0)).contains("expected bool or integers, got f32[1]"));
        assert!(say(tensor([1.0]).packbits(0)).contains("expected bool or integers, got f32[1]"));
        assert!(say(tensor([1]).unpackbits(0)).contains("expected bytes, got i32[1]"));
    }
}
