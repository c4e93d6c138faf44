//! [`Tensor`]: what users hold.

use crate::{
    DType, Dims, Element, Error, IntoShape, Result, Scalar, Type,
    device::{Device, default_device, or_default},
    lazy::LazyConstant,
    shape::fixed,
    trace::Tracer,
};
use neurax_ir::{Literal, Place};
use neurax_runtime::Buffer;
use std::{
    panic::Location,
    sync::{Arc, OnceLock},
};

/// A line of the user's program.
pub(crate) type CallSite = &'static Location<'static>;

/// An array of numbers, or the promise of one: a value on a device, or a value of a function that
/// is being traced by `jit`, `grad` or `vmap`.
///
/// Operations never panic and never need `?`. One that makes no sense gives a tensor that carries
/// the error; later operations pass it on, and every way out (`to_vec`, `item`, `ok`, `run`)
/// returns it. Cloning is cheap and shares memory; an operation that gets the last reference to an
/// operand may write into its memory.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
/// let y = (&x * 2.0 + 1.0).sum(0);
/// assert_eq!(y.to_vec::<f32>()?, [10.0, 14.0]);
///
/// let bad = &x + &Tensor::zeros([3, 5]);
/// let error = (bad * 2.0).to_vec::<f32>().unwrap_err();
/// assert!(error.to_string().starts_with("add: cannot broadcast f32[2, 2] with f32[3, 5], at"), "{error}");
/// # Ok::<(), Error>(())
/// ```
#[must_use = "an error may travel in it: look at it with ok(), item() or to_vec()"]
#[derive(Clone)]
pub struct Tensor(pub(crate) Repr);

#[derive(Clone)]
pub(crate) enum Repr {
    /// A value on a device.
    Concrete(Arc<Concrete>),
    /// A value of a function that is being traced.
    Traced(Arc<Tracer>),
    /// A value that is computed when it is needed.
    Lazy(Arc<LazyConstant>),
    /// The first error.
    Error(Error),
}

/// A value on a device; `None` is the default device.
#[derive(Clone)]
pub(crate) struct Concrete {
    pub buffer: Buffer,
    pub device: Option<Device>,
}

impl Concrete {
    fn is_on(&self, device: &Device) -> bool {
        match &self.device {
            None => default_device().is_ok_and(|d| d == device),
            Some(d) => d == device,
        }
    }
}

impl Tensor {
    /// A tensor of those elements, in row-major order. It keeps their type: `Vec<f64>` gives f64.
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

    /// A tensor of a copy of those elements, in row-major order.
    #[track_caller]
    pub fn from_slice<T: Element>(data: &[T], shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let built = fixed(shape)
            .map_err(|why| Error::new("from_slice", why))
            .and_then(|s| Literal::from_slice(s, data));
        built.map_or_else(|e| Tensor::error_at(e, at), Tensor::from)
    }

    /// A scalar of a dtype, rounded or wrapped.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::scalar(BF16, 2).ty()?.to_string(), "bf16[]");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn scalar(dtype: DType, x: impl Into<Scalar>) -> Tensor {
        x.into().literal(dtype).into()
    }

    /// A tensor that carries an error; for functions that find out themselves that something is
    /// wrong.
    #[track_caller]
    pub fn from_error(e: Error) -> Tensor {
        Tensor::error_at(e, Location::caller())
    }

    pub(crate) fn error_at(e: Error, at: CallSite) -> Tensor {
        Tensor(Repr::Error(e.at(&Place::Source(at))))
    }

    pub(crate) fn fail(op: &str, why: impl Into<String>, at: CallSite) -> Tensor {
        Tensor::error_at(Error::new(op, why), at)
    }

    /// Stands where a tensor was taken out; never seen by users.
    pub(crate) fn placeholder() -> Tensor {
        static PLACEHOLDER: OnceLock<Error> = OnceLock::new();
        Tensor(Repr::Error(
            PLACEHOLDER.get_or_init(|| Error::new("tree", "a leaf is missing")).clone(),
        ))
    }

    pub(crate) fn concrete(buffer: Buffer, device: Option<Device>) -> Tensor {
        Tensor(Repr::Concrete(Arc::new(Concrete { buffer, device })))
    }

    /// The error that travels in it, if there is one.
    pub fn error(&self) -> Option<&Error> {
        match &self.0 {
            Repr::Error(e) => Some(e),
            _ => None,
        }
    }

    /// Element type and shape.
    ///
    /// # Errors
    /// The error that travels in it.
    pub fn ty(&self) -> Result<Type> {
        self.type_ref().cloned().map_err(Clone::clone)
    }

    pub(crate) fn type_ref(&self) -> Result<&Type, &Error> {
        match &self.0 {
            Repr::Concrete(c) => Ok(c.buffer.ty()),
            Repr::Traced(t) => Ok(&t.ty),
            Repr::Lazy(r) => Ok(&r.ty),
            Repr::Error(e) => Err(e),
        }
    }

    /// The sizes of the axes; of a tensor that carries an error, none, and every axis answers 1.
    pub fn shape(&self) -> Dims {
        Dims(self.type_ref().map(|t| t.shape.clone()).unwrap_or_default())
    }

    /// Number of axes; 0 if it carries an error.
    pub fn rank(&self) -> usize {
        self.type_ref().map_or(0, Type::rank)
    }

    /// Number of elements; 1 if it carries an error.
    pub fn size(&self) -> usize {
        self.type_ref().map_or(1, Type::size)
    }

    /// The element type; f32 if it carries an error.
    pub fn dtype(&self) -> DType {
        self.type_ref().map_or(DType::F32, |t| t.dtype)
    }

    /// The size of an axis; negative ones count from the back. 1 if there is no such axis.
    pub fn dim(&self, axis: i64) -> usize {
        let shape = self.type_ref().map(|t| &t.shape[..]).unwrap_or_default();
        crate::args::axis_of(axis, shape.len()).map_or(1, |a| shape[a])
    }

    /// The elements, in row-major order.
    ///
    /// # Errors
    /// The error that travels in it; if the dtype is another one; if it is being traced and has no
    /// value yet.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let at = Location::caller();
        self.literal_for("to_vec", at)?.to_vec().map_err(|e| e.at(&Place::Source(at)))
    }

    /// The only element, as f64 (true is 1).
    ///
    /// # Errors
    /// The error that travels in it; if it has more or fewer elements than one; if it is being
    /// traced and has no value yet.
    #[track_caller]
    pub fn item(&self) -> Result<f64> {
        let at = Location::caller();
        let lit = self.literal_for("item", at)?;
        match lit.to_f64s()[..] {
            [x] => Ok(x),
            _ => Err(Error::new("item", format!("{} is not one number", lit.ty()))
                .at(&Place::Source(at))),
        }
    }

    /// The value with its type, sharing its memory.
    ///
    /// # Errors
    /// The error that travels in it; if it is being traced and has no value yet.
    #[track_caller]
    pub fn to_literal(&self) -> Result<Literal> {
        self.literal_for("to_literal", Location::caller())
    }

    pub(crate) fn literal_for(&self, op: &str, at: CallSite) -> Result<Literal> {
        let device = self.device_or_default().map_err(|e| e.at(&Place::Source(at)))?;
        let buffer = self.clone().into_buffer(op, device).map_err(|e| e.at(&Place::Source(at)))?;
        device.download(&buffer)
    }

    /// The value on a device; an owned, unshared tensor gives up its memory.
    pub(crate) fn into_buffer(self, op: &str, device: &Device) -> Result<Buffer> {
        match self.0 {
            Repr::Concrete(c) => {
                let is_there = c.is_on(device);
                let Concrete { buffer, device: from } = Arc::unwrap_or_clone(c);
                if is_there {
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

    /// Its buffer, if it has one on that device.
    pub(crate) fn buffer_on(&self, device: &Device) -> Option<&Buffer> {
        match &self.0 {
            Repr::Concrete(c) if c.is_on(device) => Some(&c.buffer),
            _ => None,
        }
    }

    /// Its buffer, if it has one on that device and nobody else holds it.
    pub(crate) fn own_buffer(&mut self, device: &Device) -> Option<&mut Buffer> {
        match &mut self.0 {
            Repr::Concrete(c) => Arc::get_mut(c)
                .filter(|c| c.is_on(device) && c.buffer.is_unique())
                .map(|c| &mut c.buffer),
            _ => None,
        }
    }

    /// The device it was put on, unless that is the default one.
    pub(crate) fn own_device(&self) -> Option<&Device> {
        match &self.0 {
            Repr::Concrete(c) => c.device.as_ref(),
            _ => None,
        }
    }

    /// What tells this tensor from others that may be equal: clones share it. 0 for errors.
    pub(crate) fn identity(&self) -> usize {
        match &self.0 {
            Repr::Concrete(c) => Arc::as_ptr(c).addr(),
            Repr::Traced(t) => Arc::as_ptr(t).addr(),
            Repr::Lazy(r) => Arc::as_ptr(r).addr(),
            Repr::Error(_) => 0,
        }
    }

    /// Has it a value of its own, now or on demand? Traced values and errors have none, nor what
    /// reads a named axis.
    pub(crate) fn has_value(&self) -> bool {
        match &self.0 {
            Repr::Concrete(_) => true,
            Repr::Lazy(r) => !r.reads_named_axis,
            Repr::Traced(_) | Repr::Error(_) => false,
        }
    }

    /// Is this the only reference to memory that may be written? `None` if it has no memory.
    pub(crate) fn is_unshared(&self) -> Option<bool> {
        match &self.0 {
            Repr::Concrete(c) => Some(Arc::strong_count(c) == 1 && c.buffer.is_unique()),
            _ => None,
        }
    }

    fn device_or_default(&self) -> Result<&Device> {
        or_default(self.own_device())
    }

    /// The same value on a device. Operations run where their operands are; operands on the default
    /// device follow.
    #[track_caller]
    pub fn on(&self, device: &Device) -> Tensor {
        let at = Location::caller();
        match self.clone().into_buffer("on", device) {
            Ok(buffer) => Tensor::concrete(buffer, Some(device.clone())),
            Err(e) => Tensor::error_at(e, at),
        }
    }

    /// The device it is on.
    ///
    /// # Errors
    /// When `NEURAX_DEVICE` names no device.
    pub fn device(&self) -> Result<Device> {
        self.device_or_default().cloned()
    }

    /// Is it a value of a function that is being traced?
    pub fn is_traced(&self) -> bool {
        matches!(self.0, Repr::Traced(_))
    }

    /// The address of its memory: tensors that share memory have the same one. 0 if it has no
    /// memory of its own (yet).
    pub fn address(&self) -> usize {
        match &self.0 {
            Repr::Concrete(c) => c.buffer.address(),
            Repr::Lazy(r) => r.address(),
            _ => 0,
        }
    }

    /// Puts a layer's name in front of the layer path of the error that travels in it; called on
    /// the way out of a layer whose inputs were good.
    pub fn within(self, layer: &str) -> Tensor {
        match self.0 {
            Repr::Error(e) => Tensor(Repr::Error(e.within(layer))),
            _ => self,
        }
    }

    /// Gives the error that travels in it, if it has no place yet, that place: a name where a line
    /// of source would say nothing.
    pub fn at_place(self, place: &Place) -> Tensor {
        match self.0 {
            Repr::Error(e) => Tensor(Repr::Error(e.at(place))),
            _ => self,
        }
    }
}

pub(crate) fn no_value(op: &str) -> Error {
    let why = "the value is needed here, but this tensor has none yet: it is being traced by jit, grad, vmap or another transform. \
               Decide on values with `select` or `cond`, or take the value outside";
    Error::new(op, why)
}

impl From<Literal> for Tensor {
    fn from(x: Literal) -> Tensor {
        Tensor::concrete(Buffer::from(x), None)
    }
}
