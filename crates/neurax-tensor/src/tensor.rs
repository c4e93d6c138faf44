//! [`Tensor`]: the array type of the user interface.

use crate::{
    DType, Element, Error, IntoShape, Result, Scalar, Type,
    device::{Device, default_device, is_default, or_default},
    lazy::LazyConstant,
    shape::fixed,
    trace::Tracer,
};
use neurax_ir::{Literal, Place};
use neurax_runtime::Buffer;
use std::{
    borrow::Cow,
    panic::Location,
    sync::{Arc, OnceLock},
};

/// The source line of the user that called an operation.
pub(crate) type CallSite = &'static Location<'static>;

/// An array of numbers: a value on a device, or a value of a function that is being traced by
/// `jit`, `grad` or `vmap`.
///
/// Operations never panic and never need `?`. An invalid operation returns a tensor that carries
/// the error. Later operations pass it on, and every function that reads values (`to_vec`, `item`,
/// `ok`, `run`) returns it. Cloning is cheap and shares memory; an operation that gets the last
/// reference to an operand may write into its memory.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
/// let y = (&x * 2.0 + 1.0).sum(0);
/// assert_eq!(y.to_vec::<f32>()?, [10.0, 14.0]);
///
/// let bad = &x + &Tensor::zeros([3, 5]);
/// let error = (bad * 2.0).to_vec::<f32>().unwrap_err().to_string();
/// assert!(error.starts_with("add: cannot broadcast f32[2, 2] with f32[3, 5], at"), "{error}");
/// # Ok::<(), Error>(())
/// ```
#[must_use = "it may carry an error: check it with ok(), item() or to_vec()"]
#[derive(Clone)]
pub struct Tensor(pub(crate) Repr);

/// The representations of a tensor.
#[derive(Clone)]
pub(crate) enum Repr {
    /// A value on a device.
    Concrete(Arc<Concrete>),
    /// A value of a function that is being traced.
    Traced(Arc<Tracer>),
    /// A constant that is computed when it is needed.
    Lazy(Arc<LazyConstant>),
    /// The error of the operation that failed first.
    Error(Error),
}

/// A value on a device.
#[derive(Clone)]
pub(crate) struct Concrete {
    pub buffer: Buffer,
    /// The device that the tensor was put on explicitly; `None` is the default device.
    pub device: Option<Device>,
}

impl Concrete {
    /// Returns true if the value is on `device`.
    fn is_on(&self, device: &Device) -> bool {
        match &self.device {
            None => is_default(device),
            Some(d) => d == device,
        }
    }
}

impl Tensor {
    /// Creates a tensor of `data` in row-major order. The dtype is that of the elements: `Vec<f64>`
    /// becomes f64.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::from_vec(vec![1.0f64, 2.0, 3.0], [3]);
    /// assert_eq!(x.dtype(), F64);
    /// assert!(Tensor::from_vec(vec![1.0f64], [3]).ok().is_err());
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn from_vec<T: Element>(data: Vec<T>, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let built = fixed(shape)
            .map_err(|why| Error::new("from_vec", why))
            .and_then(|s| Literal::from_vec(s, data));
        built.map_or_else(|e| Tensor::error_at(e, at), Tensor::from)
    }

    /// Creates a tensor of a copy of `data` in row-major order.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::from_slice(&[1u8, 2, 3, 4], [2, 2]);
    /// assert_eq!(x.to_string(), "u8[2, 2]\n[[1, 2],\n [3, 4]]");
    /// ```
    #[track_caller]
    pub fn from_slice<T: Element>(data: &[T], shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let built = fixed(shape)
            .map_err(|why| Error::new("from_slice", why))
            .and_then(|s| Literal::from_slice(s, data));
        built.map_or_else(|e| Tensor::error_at(e, at), Tensor::from)
    }

    /// Creates a scalar of `dtype`; `x` is rounded to a float dtype and truncated to an integer
    /// dtype.
    ///
    /// # Errors
    ///
    /// The result carries an error if `x` is out of the range of an integer dtype, or complex and
    /// `dtype` is not.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::scalar(BF16, 2).ty()?.to_string(), "bf16[]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn scalar(dtype: DType, x: impl Into<Scalar>) -> Tensor {
        x.into().to_literal(dtype).map_or_else(Tensor::from_error, Tensor::from)
    }

    /// Creates a tensor that carries `e`, for functions that check their arguments themselves.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::from_error(Error::new("score", "expected a sample")) + 1.0;
    /// assert!(x.ok().unwrap_err().to_string().starts_with("score: expected a sample, at"));
    /// ```
    #[track_caller]
    pub fn from_error(e: Error) -> Tensor {
        Tensor::error_at(e, Location::caller())
    }

    /// Creates a tensor that carries `e` with the source line `at`.
    pub(crate) fn error_at(e: Error, at: CallSite) -> Tensor {
        Tensor(Repr::Error(e.at(&Place::Source(at))))
    }

    /// Creates a tensor that carries a new error of `op`.
    pub(crate) fn fail(op: &str, why: impl Into<String>, at: CallSite) -> Tensor {
        Tensor::error_at(Error::new(op, why), at)
    }

    /// Returns a placeholder for a leaf that was moved out. Users never see it.
    pub(crate) fn placeholder() -> Tensor {
        static PLACEHOLDER: OnceLock<Error> = OnceLock::new();
        Tensor(Repr::Error(
            PLACEHOLDER.get_or_init(|| Error::new("tree", "a leaf is missing")).clone(),
        ))
    }

    /// Creates the tensor of a buffer. `device` is `None` for the default device.
    pub(crate) fn concrete(buffer: Buffer, device: Option<Device>) -> Tensor {
        Tensor(Repr::Concrete(Arc::new(Concrete { buffer, device })))
    }

    /// Returns the type, or the error that the tensor carries.
    pub(crate) fn type_ref(&self) -> Result<&Type, &Error> {
        match &self.0 {
            Repr::Concrete(c) => Ok(c.buffer.ty()),
            Repr::Traced(t) => Ok(&t.ty),
            Repr::Lazy(r) => Ok(&r.ty),
            Repr::Error(e) => Err(e),
        }
    }

    /// Returns the value as a literal, for the function `op` that the user called at `at`.
    ///
    /// # Errors
    /// As [`Tensor::to_literal`].
    pub(crate) fn literal_for(&self, op: &str, at: CallSite) -> Result<Literal> {
        if let Some(e) = self.error() {
            return Err(e.clone().at(&Place::Source(at)));
        }
        let device = self.device_or_default().map_err(|e| e.at(&Place::Source(at)))?;
        let buffer = self.clone().into_buffer(op, device).map_err(|e| e.at(&Place::Source(at)))?;
        device.download(&buffer)
    }

    /// Returns the value as a buffer on `device`. The memory is moved out if no other tensor shares
    /// it. `op` is named in errors.
    ///
    /// # Errors
    /// The error that the tensor carries; when it is being traced; when the device fails.
    pub(crate) fn into_buffer(self, op: &str, device: &Device) -> Result<Buffer> {
        match self.0 {
            Repr::Concrete(c) => {
                let is_on_device = c.is_on(device);
                let Concrete { buffer, device: from } = Arc::unwrap_or_clone(c);
                if is_on_device {
                    Ok(buffer)
                } else {
                    device.upload(or_default(from.as_ref())?.download(&buffer)?)
                }
            }
            Repr::Lazy(r) => LazyConstant::into_buffer(r, device),
            Repr::Traced(_) => Err(no_value(op)),
            Repr::Error(e) => Err(e),
        }
    }

    /// Returns the value as an argument of a program on `device`. If this is the last reference to
    /// the tensor, the buffer is moved out, so that the program may write into its memory; a
    /// placeholder is left behind. `op` is named in errors.
    ///
    /// # Errors
    /// As [`Tensor::into_buffer`].
    pub(crate) fn take_arg(&mut self, op: &str, device: &Device) -> Result<Cow<'_, Buffer>> {
        let is_shared = match &self.0 {
            Repr::Concrete(c) => Arc::strong_count(c) > 1,
            Repr::Lazy(r) => Arc::strong_count(r) > 1,
            Repr::Traced(_) | Repr::Error(_) => false,
        };
        if is_shared {
            return self.as_arg(op, device);
        }
        let last = std::mem::replace(self, Tensor::placeholder());
        last.into_buffer(op, device).map(Cow::Owned)
    }

    /// Returns the value as an argument of a program on `device`, for reading. `op` is named in
    /// errors.
    ///
    /// # Errors
    /// As [`Tensor::into_buffer`].
    pub(crate) fn as_arg(&self, op: &str, device: &Device) -> Result<Cow<'_, Buffer>> {
        match (&self.0, self.buffer_on(device)) {
            (_, Some(buffer)) => Ok(Cow::Borrowed(buffer)),
            (Repr::Lazy(r), None) => r.as_arg(device),
            _ => self.clone().into_buffer(op, device).map(Cow::Owned),
        }
    }

    /// Returns the buffer if the tensor has one on `device`.
    pub(crate) fn buffer_on(&self, device: &Device) -> Option<&Buffer> {
        match &self.0 {
            Repr::Concrete(c) if c.is_on(device) => Some(&c.buffer),
            Repr::Lazy(r) => r.computed_on(device),
            _ => None,
        }
    }

    /// Returns the buffer for writing if the tensor has one on `device` that no other tensor
    /// shares.
    pub(crate) fn own_buffer(&mut self, device: &Device) -> Option<&mut Buffer> {
        match &mut self.0 {
            Repr::Concrete(c) => Arc::get_mut(c)
                .filter(|c| c.is_on(device) && c.buffer.is_unique())
                .map(|c| &mut c.buffer),
            _ => None,
        }
    }

    /// Returns the device that the tensor was put on explicitly.
    pub(crate) fn explicit_device(&self) -> Option<&Device> {
        match &self.0 {
            Repr::Concrete(c) => c.device.as_ref(),
            _ => None,
        }
    }

    /// Returns an address that identifies the tensor: clones share it, equal tensors do not. 0 for
    /// errors.
    pub(crate) fn identity(&self) -> usize {
        match &self.0 {
            Repr::Concrete(c) => Arc::as_ptr(c).addr(),
            Repr::Traced(t) => Arc::as_ptr(t).addr(),
            Repr::Lazy(r) => Arc::as_ptr(r).addr(),
            Repr::Error(_) => 0,
        }
    }

    /// Replaces a lazy constant that has a value by this value.
    ///
    /// # Errors
    /// The error of computing it.
    pub(crate) fn compute_lazy(&mut self) -> Result<()> {
        if let Repr::Lazy(r) = &self.0
            && !r.reads_named_axis
        {
            let value = r.as_arg(default_device()?)?.into_owned();
            *self = Tensor::concrete(value, None);
        }
        Ok(())
    }

    /// Computes the value of a lazy constant on `device` and keeps it, so that a check of memory
    /// that follows counts what is left.
    ///
    /// # Errors
    /// The error of computing it.
    pub(crate) fn keep_lazy_value(&self, device: &Device) -> Result<()> {
        match &self.0 {
            Repr::Lazy(r) if !r.reads_named_axis => r.as_arg(device).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Returns true if the tensor has a value, now or when it is needed. Traced values, errors and
    /// constants that read a named axis have none.
    pub(crate) fn has_value(&self) -> bool {
        match &self.0 {
            Repr::Concrete(_) => true,
            Repr::Lazy(r) => !r.reads_named_axis,
            Repr::Traced(_) | Repr::Error(_) => false,
        }
    }

    /// Returns `Some(true)` if this is the only reference to writable memory, `None` if the tensor
    /// has no memory.
    pub(crate) fn is_unshared(&self) -> Option<bool> {
        match &self.0 {
            Repr::Concrete(c) => Some(Arc::strong_count(c) == 1 && c.buffer.is_unique()),
            _ => None,
        }
    }

    /// Returns the device that the tensor was put on, or the default one.
    ///
    /// # Errors
    /// When `NEURAX_DEVICE` names no device.
    pub(crate) fn device_or_default(&self) -> Result<&Device> {
        or_default(self.explicit_device())
    }
}

/// Returns the error of an `op` that needs the value of a traced tensor.
pub(crate) fn no_value(op: &str) -> Error {
    let why = "the value is needed here, but this tensor has none yet: it is being traced by jit, \
               grad, vmap or another transform. Decide on values with `select` or `cond`, or read \
               the value outside of the traced function";
    Error::new(op, why)
}

impl From<Literal> for Tensor {
    fn from(x: Literal) -> Tensor {
        Tensor::concrete(Buffer::from(x), None)
    }
}
