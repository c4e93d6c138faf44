//! The properties of a tensor that its users read: type and sizes, elements, device and memory, and
//! the error that it carries.

use crate::{
    DType, Dims, Element, Error, Result, Type,
    device::Device,
    tensor::{Repr, Tensor},
};
use neurax_ir::{Literal, Place};
use std::panic::Location;

impl Tensor {
    /// Returns the error that the tensor carries.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert!(tensor(1.0).error().is_none());
    /// let bad = Tensor::zeros(2) + Tensor::zeros(3);
    /// assert_eq!(bad.error().map(|e| e.op()), Some("add"));
    /// ```
    pub fn error(&self) -> Option<&Error> {
        match &self.0 {
            Repr::Error(e) => Some(e),
            _ => None,
        }
    }

    /// Returns the element type and shape.
    ///
    /// # Errors
    /// The error that the tensor carries.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3]).ty()?.to_string(), "f32[2, 3]");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn ty(&self) -> Result<Type> {
        self.type_ref().cloned().map_err(Clone::clone)
    }

    /// Returns the sizes of the axes. They are empty for a tensor that carries an error; indexing
    /// them then returns 1.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let shape = Tensor::zeros([2, 3]).shape();
    /// assert_eq!((shape.len(), shape[1], shape[7]), (2, 3, 1));
    /// ```
    pub fn shape(&self) -> Dims {
        Dims(self.type_ref().map(|t| t.shape.clone()).unwrap_or_default())
    }

    /// Returns the number of axes; 0 if the tensor carries an error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3]).rank(), 2);
    /// ```
    pub fn rank(&self) -> usize {
        self.type_ref().map_or(0, Type::rank)
    }

    /// Returns the number of elements; 1 if the tensor carries an error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3]).size(), 6);
    /// ```
    pub fn size(&self) -> usize {
        self.type_ref().map_or(1, Type::size)
    }

    /// Returns the element type; f32 if the tensor carries an error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!((tensor(1.5).dtype(), tensor(1).dtype()), (F32, I32));
    /// ```
    pub fn dtype(&self) -> DType {
        self.type_ref().map_or(DType::F32, |t| t.dtype)
    }

    /// Returns the size of `axis`, counted from the back if negative; 1 if there is no such axis.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 3]);
    /// assert_eq!((x.dim(0), x.dim(-1), x.dim(7)), (2, 3, 1));
    /// ```
    pub fn dim(&self, axis: i64) -> usize {
        let shape = self.type_ref().map(|t| &t.shape[..]).unwrap_or_default();
        crate::args::axis_of(axis, shape.len()).map_or(1, |a| shape[a])
    }

    /// Returns the elements in row-major order.
    ///
    /// # Errors
    /// The error that the tensor carries; when `T` is not its dtype; when it is being traced and
    /// has no value yet.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]);
    /// assert_eq!(x.to_vec::<i32>()?, [1, 2, 3, 4]);
    /// let e = x.to_vec::<f32>().unwrap_err();
    /// assert!(e.message().contains("i32[2, 2]"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let at = Location::caller();
        self.literal_for("to_vec", at)?.to_vec().map_err(|e| e.at(&Place::Source(at)))
    }

    /// Returns the only element as f64; `true` is 1.
    ///
    /// # Errors
    /// The error that the tensor carries; when it has not exactly one element; when it is being
    /// traced and has no value yet.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!((tensor(2).item()?, tensor([[true]]).item()?), (2.0, 1.0));
    /// let e = tensor([1.0, 2.0]).item().unwrap_err();
    /// assert_eq!(e.message(), "expected one element, got f32[2]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn item(&self) -> Result<f64> {
        let at = Location::caller();
        let lit = self.literal_for("item", at)?;
        match lit.to_f64s()[..] {
            [x] => Ok(x),
            _ => Err(Error::new("item", format!("expected one element, got {}", lit.ty()))
                .at(&Place::Source(at))),
        }
    }

    /// Returns the value as a literal that shares the memory.
    ///
    /// # Errors
    /// The error that the tensor carries; when it is being traced and has no value yet.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 2]).to_literal()?;
    /// assert_eq!((x.ty().to_string(), x.to_f64s()), ("i32[2]".to_string(), vec![1.0, 2.0]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_literal(&self) -> Result<Literal> {
        self.literal_for("to_literal", Location::caller())
    }

    /// Returns the tensor on `device`. An operation runs on the device of its operands; operands on
    /// the default device are moved to the others.
    ///
    /// ```
    /// use neurax::{backends, prelude::*};
    /// let slow = Device::from_backend(backends().pop().expect("a backend"), 0)?;
    /// let y = tensor([1.0, 2.0]).on(&slow) * 2.0;
    /// assert_eq!((y.device()?, y.to_vec::<f32>()?), (slow, vec![2.0, 4.0]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn on(&self, device: &Device) -> Tensor {
        let at = Location::caller();
        match self.clone().into_buffer("on", device) {
            Ok(buffer) => Tensor::concrete(buffer, Some(device.clone())),
            Err(e) => Tensor::error_at(e, at),
        }
    }

    /// Returns the device of the tensor.
    ///
    /// # Errors
    /// When `NEURAX_DEVICE` names no device.
    ///
    /// ```
    /// use neurax::{default_device, prelude::*};
    /// assert_eq!(tensor(1.0).device()?, *default_device()?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn device(&self) -> Result<Device> {
        self.device_or_default().cloned()
    }

    /// Returns true if the tensor is a value of a function that is being traced.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = |x: Tensor| if x.is_traced() { x * 2.0 } else { x };
    /// assert_eq!((f(tensor(3.0)).item()?, jit(f).run(tensor(3.0))?.item()?), (3.0, 6.0));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn is_traced(&self) -> bool {
        matches!(self.0, Repr::Traced(_))
    }

    /// Returns the address of the memory: tensors that share memory have the same one. 0 if the
    /// tensor has no memory.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0]);
    /// assert_eq!(x.address(), x.clone().address());
    /// assert_ne!(x.address(), (&x + 1.0).address());
    /// ```
    pub fn address(&self) -> usize {
        match &self.0 {
            Repr::Concrete(c) => c.buffer.address(),
            Repr::Lazy(r) => r.address(),
            _ => 0,
        }
    }

    /// Prepends `layer` to the layer path of the error that the tensor carries. Called with the
    /// results of a layer whose inputs carried no error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let bad = Tensor::zeros(2) + Tensor::zeros(3);
    /// let e = bad.within("encoder").ok().unwrap_err().to_string();
    /// assert!(e.contains("encoder"), "{e}");
    /// ```
    pub fn within(self, layer: &str) -> Tensor {
        match self.0 {
            Repr::Error(e) => Tensor(Repr::Error(e.within(layer))),
            _ => self,
        }
    }

    /// Sets the place of the error that the tensor carries, if it has none: a name where a source
    /// line would say nothing.
    ///
    /// ```
    /// use neurax::{Place, prelude::*};
    /// let place = Place::named("line 7 of model.json");
    /// let e = Error::new("read", "expected a number");
    /// let x = Tensor::from_error(e.at(&place)).at_place(&Place::named("another place"));
    /// let e = x.ok().unwrap_err().to_string();
    /// assert!(e.contains("line 7 of model.json"), "the first place stays: {e}");
    /// ```
    pub fn at_place(self, place: &Place) -> Tensor {
        match self.0 {
            Repr::Error(e) => Tensor(Repr::Error(e.at(place))),
            _ => self,
        }
    }
}
