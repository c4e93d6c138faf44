//! Literals: constant values, a type and its bytes.

use crate::bytes::out_of_memory;
use crate::tuning::MIN_BORROWED_BYTES;
use crate::{
    Bytes, Compute, DType, Element, Error, FloatFormat, Kind, OrBug, Result, Shape, Type,
    with_compute,
};
use bytemuck::Pod;
use half::{bf16, f16};
use std::{borrow::Cow, sync::Arc};

/// A constant value: its type and its bytes, row-major and contiguous, in the layout of the dtype,
/// at a multiple of [`DType::align`].
///
/// ```
/// use neurax_ir::{DType, Literal};
/// let x = Literal::from_slice([2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
/// assert_eq!(x.ty().to_string(), "f32[2, 2]");
/// assert_eq!(x.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
/// let nibbles = Literal::from_f64s(DType::U4, [3], &[1.0, 2.0, 17.0]);
/// assert_eq!(nibbles.to_f64s(), [1.0, 2.0, 1.0], "4 bits wrap");
/// assert_eq!(nibbles.bytes().len(), 2, "and are packed");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Literal {
    ty: Type,
    bytes: Bytes,
}

impl Literal {
    /// Creates a literal from its bytes, which are copied if their address is not a multiple of
    /// [`DType::align`].
    ///
    /// # Errors
    /// If the length is not the number of bytes of the type.
    pub fn new(ty: Type, bytes: Bytes) -> Result<Literal> {
        let want = ty.bytes()?;
        if bytes.len() != want {
            return Err(Error::new(
                "literal",
                format!("expected {want} bytes for {ty}, got {}", bytes.len()),
            ));
        }
        let aligned = bytes.address().is_multiple_of(ty.dtype.align());
        Ok(Literal { ty, bytes: if aligned { bytes } else { Bytes::copy_of(&bytes) } })
    }

    /// Creates a literal from a slice of elements.
    ///
    /// # Errors
    /// If the number of elements is not the size of the shape.
    pub fn from_slice<T: Element>(shape: impl Into<Shape>, data: &[T]) -> Result<Literal> {
        let ty = Literal::checked_type(T::DTYPE, shape.into(), data.len())?;
        let mut lit = Literal { bytes: Bytes::zeroed(ty.bytes()?), ty };
        if let Some(out) = lit.bytes.get_mut() {
            for (o, x) in bytemuck::cast_slice_mut::<u8, T::Stored>(out).iter_mut().zip(data) {
                *o = x.to_stored();
            }
        }
        Ok(lit)
    }

    /// Creates a literal that takes over the memory of `data` without copying. Bools and vectors
    /// below 64 KiB are copied.
    ///
    /// # Errors
    /// If the number of elements is not the size of the shape.
    pub fn from_vec<T: Element>(shape: impl Into<Shape>, data: Vec<T>) -> Result<Literal> {
        let ty = Literal::checked_type(T::DTYPE, shape.into(), data.len())?;
        let any: Box<dyn std::any::Any> = Box::new(data);
        // Small vectors are copied: the copy costs less than a borrowed buffer, which can never be
        // reused in place.
        match any.downcast::<Vec<T::Stored>>() {
            Ok(stored) if ty.bytes()? >= MIN_BORROWED_BYTES => {
                Literal::borrowed(ty, Arc::new(VecOwner(*stored)))
            }
            Ok(stored) => Literal::new(ty, Bytes::copy_of(bytemuck::cast_slice(&stored))),
            Err(any) => match any.downcast::<Vec<T>>() {
                Ok(data) => Literal::from_slice(ty.shape, &data),
                Err(_) => Err(Error::bug("the vector is neither of stored nor of plain elements")),
            },
        }
    }

    /// Creates a literal of the memory of `owner`, which it keeps.
    fn borrowed(ty: Type, owner: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Literal> {
        let bytes = Bytes::borrowed(owner, 0..ty.bytes()?);
        Literal::new(ty, bytes.or_bug("the vector is shorter than its type")?)
    }

    fn checked_type(dtype: DType, shape: Shape, len: usize) -> Result<Type> {
        let ty = Type::new(dtype, shape);
        ty.bytes()?;
        if ty.size() != len {
            return Err(Error::new(
                "literal",
                format!("expected {} elements for shape {}, got {len}", ty.size(), ty.shape),
            ));
        }
        Ok(ty)
    }

    /// Creates a scalar; `x` is rounded or wrapped to the dtype.
    pub fn scalar(dtype: DType, x: f64) -> Literal {
        Literal::from_f64s(dtype, Shape::scalar(), &[x])
    }

    /// Creates a literal of zeros. A type whose [`Type::bytes`] is an error, which no value of a
    /// graph has, yields a literal of shape `[0]`.
    pub fn zeros(ty: Type) -> Literal {
        match ty.bytes() {
            Ok(n) => Literal { bytes: Bytes::zeroed(n), ty },
            Err(_) => Literal { bytes: Bytes::zeroed(0), ty: ty.with_shape([0]) },
        }
    }

    /// Creates a literal from f64 values, rounded or wrapped; missing elements are zero. Meant for
    /// samples and small constants.
    pub fn from_f64s(dtype: DType, shape: impl Into<Shape>, data: &[f64]) -> Literal {
        let ty = Type::new(dtype, shape);
        with_compute!(any dtype, C => Literal::build(ty, |out: &mut [C]| {
            for (o, &x) in out.iter_mut().zip(data) {
                *o = match dtype {
                    DType::Bool => C::from_i128((x != 0.0) as i128),
                    d if d.is_int() => C::from_i128(x as i128),
                    _ => C::from_f64(x),
                };
            }
        }))
    }

    /// Returns the elements as f64; of complex numbers, the real parts.
    pub fn to_f64s(&self) -> Vec<f64> {
        with_compute!(any self.ty.dtype, C => self.load::<C>().iter().map(|x| x.to_f64()).collect())
    }

    /// Returns the elements.
    ///
    /// # Errors
    /// If the dtype is not that of `T`, or there is not enough memory.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if self.ty.dtype != T::DTYPE {
            return Err(Error::new(
                "to_vec",
                format!("expected {} elements, got {}; convert it first", T::DTYPE, self.ty),
            ));
        }
        let bytes = self.ty.size().saturating_mul(size_of::<T>());
        let mut out = vec![];
        if out.try_reserve_exact(self.ty.size()).is_err() {
            return Err(out_of_memory(bytes));
        }
        match bytemuck::try_cast_slice::<u8, T::Stored>(&self.bytes) {
            Ok(stored) => out.extend(stored.iter().map(|&s| T::from_stored(s))),
            Err(_) => {
                let stored = self.bytes.chunks_exact(size_of::<T::Stored>());
                out.extend(stored.map(|s| T::from_stored(bytemuck::pod_read_unaligned(s))));
            }
        }
        Ok(out)
    }

    /// Returns the type.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// Returns the shape.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the bytes for writing if this is the only reference to owned memory.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.bytes.get_mut()
    }

    /// Converts into the bytes.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Returns element `i` along the leading axis, which is removed and has more than `i` elements.
    pub(crate) fn row(&self, i: usize) -> Literal {
        let ty = self.ty.with_shape(self.ty.shape.removed(0));
        let (n, bits) = (ty.size(), self.ty.dtype.bits());
        if n * bits % 8 == 0 {
            let len = n * bits / 8;
            return Literal { ty, bytes: Bytes::copy_of(&self.bytes[i * len..(i + 1) * len]) };
        }
        let row = i * n..(i + 1) * n;
        with_compute!(any ty.dtype, C => Literal::build(ty, |out: &mut [C]| {
            out.copy_from_slice(&self.load::<C>()[row])
        }))
    }

    /// Writes element `i` along the leading axis, which has more than `i` elements; in place if
    /// this is the only reference.
    pub(crate) fn set_row(&mut self, i: usize, row: &Literal) {
        let (n, bits) = (row.ty.size(), self.ty.dtype.bits());
        if n * bits % 8 == 0
            && let Some(out) = self.bytes.get_mut()
        {
            let len = n * bits / 8;
            out[i * len..(i + 1) * len].copy_from_slice(&row.bytes);
            return;
        }
        let old = std::mem::replace(self, Literal::zeros(Type::scalar(self.ty.dtype)));
        *self = with_compute!(any row.ty.dtype, C => {
            let copy = |out: &mut [C]| out[i * n..(i + 1) * n].copy_from_slice(&row.load::<C>());
            old.edit(copy).0
        });
    }

    /// Reinterprets the bytes as another type of the same size in bytes.
    ///
    /// # Errors
    /// If the sizes in bytes differ.
    pub fn with_type(self, ty: Type) -> Result<Literal> {
        Literal::new(ty, self.bytes)
    }

    /// Returns the elements in their compute type: borrowed if the memory is a slice of `C`,
    /// converted otherwise.
    pub fn load<C: Compute>(&self) -> Cow<'_, [C]> {
        if is_plain::<C>(self.ty.dtype)
            && let Ok(s) = bytemuck::try_cast_slice(&self.bytes)
        {
            return Cow::Borrowed(s);
        }
        Cow::Owned(unpack(self.ty.dtype, &self.bytes, self.ty.size()))
    }

    /// Creates a literal whose elements, initially zero, are written by `fill`; in place if the
    /// memory is a slice of `C`.
    pub fn build<C: Compute>(ty: Type, fill: impl FnOnce(&mut [C])) -> Literal {
        let mut lit = Literal::zeros(ty);
        if is_plain::<C>(lit.ty.dtype) {
            if let Some(out) = lit.bytes.get_mut() {
                fill(bytemuck::cast_slice_mut(out));
            }
        } else {
            let mut tmp = vec![C::ZERO; lit.ty.size()];
            fill(&mut tmp);
            let (dtype, bytes) = (lit.ty.dtype, &mut lit.bytes);
            if let Some(out) = bytes.get_mut() {
                pack(dtype, &tmp, out);
            }
        }
        lit
    }

    /// Changes the elements, in place if this is the only reference; the second result is true if
    /// it was. Narrow dtypes are unpacked for `f` and packed into the same memory.
    pub fn edit<C: Compute>(mut self, f: impl FnOnce(&mut [C])) -> (Literal, bool) {
        let dtype = self.ty.dtype;
        if !is_plain::<C>(dtype) {
            let mut elements = self.load::<C>().into_owned();
            f(&mut elements);
            return self.edit_bytes(|out| pack(dtype, &elements, out));
        }
        if let Some(out) = self.bytes.get_mut() {
            f(bytemuck::cast_slice_mut(out));
            return (self, true);
        }
        let lit = Literal::build(self.ty.clone(), |out: &mut [C]| {
            out.copy_from_slice(&self.load::<C>());
            f(out);
        });
        (lit, false)
    }

    /// Changes the bytes, in place if this is the only reference; the second result is true if it
    /// was. `f` must leave valid values of the dtype: a bool's byte is 0 or 1, unused bits are
    /// zero.
    pub(crate) fn edit_bytes(mut self, f: impl FnOnce(&mut [u8])) -> (Literal, bool) {
        let inplace = self.bytes.is_unique();
        if !inplace {
            self.bytes = Bytes::copy_of(&self.bytes);
        }
        if let Some(out) = self.bytes.get_mut() {
            f(out);
        }
        (self, inplace)
    }
}

struct VecOwner<T>(Vec<T>);

impl<T: Pod> AsRef<[u8]> for VecOwner<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Returns true if memory of `dtype` is a slice of `C`. Memory of bools is not a slice of `u8`: a
/// stored byte must be 0 or 1, which `pack` guarantees.
fn is_plain<C: Compute>(dtype: DType) -> bool {
    C::DTYPE == dtype
}

fn unpack<C: Compute>(dtype: DType, bytes: &[u8], n: usize) -> Vec<C> {
    let f = |x: f32| C::from_f64(x as f64);
    match dtype {
        DType::F16 => {
            bytemuck::pod_collect_to_vec::<u8, f16>(bytes).iter().map(|x| f(x.to_f32())).collect()
        }
        DType::BF16 => {
            bytemuck::pod_collect_to_vec::<u8, bf16>(bytes).iter().map(|x| f(x.to_f32())).collect()
        }
        DType::Bool => bytes.iter().map(|&x| C::from_i128((x != 0) as i128)).collect(),
        _ => match FloatFormat::of(dtype).filter(|f| f.bits() <= 8) {
            Some(f) => codes(dtype, bytes, n).map(|x| C::from_f64(f.decode(x.into()))).collect(),
            None if dtype.bits() < 8 => {
                codes(dtype, bytes, n).map(|x| C::from_i128(integer(dtype, x))).collect()
            }
            None => bytemuck::pod_collect_to_vec(bytes),
        },
    }
}

/// Returns the bits of each of `n` elements of at most 8 bits, packed with the low bits first.
/// [`Literal::new`] has checked that there are bytes for all elements.
fn codes(dtype: DType, bytes: &[u8], n: usize) -> impl Iterator<Item = u8> {
    let (bits, per) = (dtype.bits(), 8 / dtype.bits());
    (0..n).map(move |i| (bytes[i / per] >> (i % per * bits)) & (!0 >> (8 - bits)))
}

/// Returns the integer of the bits of a dtype of less than 8 bits.
fn integer(dtype: DType, code: u8) -> i128 {
    let (bits, code) = (dtype.bits(), i128::from(code));
    let is_negative = dtype.kind() == Kind::Signed && code >> (bits - 1) != 0;
    if is_negative { code - (1 << bits) } else { code }
}

fn pack<C: Compute>(dtype: DType, from: &[C], out: &mut [u8]) {
    let f = |x: &C| to_odd(x.to_f64());
    match dtype {
        DType::F16 => bytemuck::cast_slice_mut(out)
            .iter_mut()
            .zip(from)
            .for_each(|(o, x)| *o = f16::from_f32(f(x))),
        DType::BF16 => bytemuck::cast_slice_mut(out)
            .iter_mut()
            .zip(from)
            .for_each(|(o, x)| *o = bf16::from_f32(f(x))),
        DType::Bool => out.iter_mut().zip(from).for_each(|(o, x)| *o = (*x != C::ZERO) as u8),
        _ => match FloatFormat::of(dtype).filter(|f| f.bits() <= 8) {
            Some(f) => pack_codes(dtype, from.iter().map(|x| f.encode(x.to_f64()) as u8), out),
            None if dtype.bits() < 8 => {
                pack_codes(dtype, from.iter().map(|x| x.to_i128() as u8), out)
            }
            None => out.copy_from_slice(bytemuck::cast_slice(from)),
        },
    }
}

/// Stores the low bits of `codes`, elements of at most 8 bits.
fn pack_codes(dtype: DType, codes: impl Iterator<Item = u8>, out: &mut [u8]) {
    let (bits, per) = (dtype.bits(), 8 / dtype.bits());
    out.fill(0);
    for (i, code) in codes.enumerate() {
        out[i / per] |= (code & (!0 >> (8 - bits))) << (i % per * bits);
    }
}

/// Rounds an f64 to f32, to odd: rounding the result once more, to a narrower format, equals a
/// single rounding (Boldo and Melquiond, "Emulation of FMA and Correctly Rounded Sums", 2008).
/// Values that f32 represents are unchanged.
fn to_odd(x: f64) -> f32 {
    let y = x as f32;
    if y as f64 == x || x.is_nan() {
        return y;
    }
    let towards_zero = y.to_bits() - ((y as f64).abs() > x.abs()) as u32;
    f32::from_bits(towards_zero | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_stores_and_loads() {
        for d in DType::ALL {
            let want: Vec<f64> = match d {
                DType::Bool => vec![0.0, 1.0, 1.0],
                DType::U1 => vec![0.0, 1.0, 1.0],
                DType::I1 => vec![0.0, -1.0, -1.0],
                DType::F8E8M0FNU => vec![1.0, 0.5, 64.0],
                DType::U2 => vec![0.0, 1.0, 3.0],
                DType::I2 => vec![0.0, 1.0, -2.0],
                _ if d.kind() == crate::Kind::Unsigned => vec![0.0, 1.0, 7.0],
                _ => vec![0.0, 1.0, -6.0],
            };
            let lit = Literal::from_f64s(d, [3], &want);
            assert_eq!(lit.to_f64s(), want, "{d}");
            assert_eq!(lit.bytes().len(), (3 * d.bits()).div_ceil(8), "{d}");
        }
    }

    #[test]
    fn narrow_floats_are_rounded_once() {
        // Just above the tie between 1 and the next value: rounded to f32 first, it would become
        // the tie and then round to 1.
        let ulp = |bits: i32| f64::powi(2.0, -bits);
        for (dtype, bits) in
            [(DType::F16, 10), (DType::BF16, 7), (DType::F8E4M3FN, 3), (DType::F8E5M2, 2)]
        {
            let above = 1.0 + ulp(bits) / 2.0 + ulp(40);
            let lit = Literal::build(Type::scalar(dtype), |out: &mut [f64]| out[0] = above);
            assert_eq!(lit.to_f64s(), [1.0 + ulp(bits)], "{dtype}");
            let lit = Literal::build(Type::scalar(dtype), |out: &mut [f64]| {
                out[0] = -(1.0 + ulp(bits) / 2.0 - ulp(40))
            });
            assert_eq!(lit.to_f64s(), [-1.0], "{dtype}");
        }
        let huge = Literal::build(Type::new(DType::BF16, [2]), |out: &mut [f64]| {
            out.copy_from_slice(&[1e300, f64::NEG_INFINITY])
        });
        assert_eq!(huge.to_f64s(), [f64::INFINITY, f64::NEG_INFINITY]);
    }

    #[test]
    fn an_edit_of_the_only_reference_is_in_place() {
        let x = Literal::from_slice([2], &[1.0f32, 2.0]).unwrap();
        let at = x.bytes().address();
        let (x, inplace) = x.edit(|v: &mut [f32]| v[0] = 5.0);
        assert!(inplace && x.bytes().address() == at);
        let kept = x.clone();
        let (x, inplace) = x.edit(|v: &mut [f32]| v[0] = 6.0);
        assert!(!inplace && x.bytes().address() != at);
        assert_eq!(kept.to_vec::<f32>().unwrap(), [5.0, 2.0]);
        assert_eq!(x.to_vec::<f32>().unwrap(), [6.0, 2.0]);
    }

    #[test]
    fn an_edit_of_a_narrow_dtype_is_in_place() {
        let holds = |&d: &DType| Literal::from_f64s(d, [2], &[0.0, 1.0]).to_f64s() == [0.0, 1.0];
        for d in DType::ALL.into_iter().filter(holds) {
            let x = Literal::from_f64s(d, [5], &[1.0; 5]);
            let at = x.bytes().address();
            let (x, inplace) = with_compute!(any d, C => x.edit(|v: &mut [C]| v[1] = C::ZERO));
            assert!(inplace && x.bytes().address() == at, "{d}");
            let kept = x.clone();
            let (y, inplace) = with_compute!(any d, C => x.edit(|v: &mut [C]| v[0] = C::ZERO));
            assert!(!inplace, "{d}");
            assert_eq!(
                (kept.to_f64s(), y.to_f64s()),
                (vec![1.0, 0.0, 1.0, 1.0, 1.0], vec![0.0, 0.0, 1.0, 1.0, 1.0]),
                "{d}"
            );
        }
    }

    #[test]
    fn a_large_vector_is_not_copied() {
        let v = vec![1.0f32; 1 << 16];
        let at = v.as_ptr().addr();
        assert_eq!(Literal::from_vec([1 << 16], v).unwrap().bytes().address(), at);
    }

    #[test]
    fn wrong_sizes_are_errors() {
        assert!(Literal::from_slice([3], &[1.0f32]).is_err());
        assert!(Literal::from_slice([usize::MAX, usize::MAX], &[1.0f32]).is_err());
        assert!(Literal::new(Type::new(DType::F32, [2]), Bytes::zeroed(7)).is_err());
        let absurd = Literal::zeros(Type::new(DType::F32, [usize::MAX, 2]));
        assert_eq!(
            (absurd.ty().to_string(), absurd.to_f64s().len()),
            ("f32[0]".to_string(), 0),
            "the type matches the memory"
        );
    }
}
