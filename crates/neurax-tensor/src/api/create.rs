//! Tensors from literals, constants and sequences.

use crate::{
    DType, IntoShape, IntoTensor, Scalar, Tensor, Type, dispatch::lazy_constant, shape::fixed,
    tensor::CallSite,
};
use neurax_ir::{Literal, Shape};
use std::panic::Location;

/// Creates a tensor from a number, or from an array, a vector or a slice of numbers or, nested, of
/// such.
///
/// Float literals are f32, integer literals i32. f64 is not accepted, so that `1.0` means f32
/// without a suffix; use [`Tensor::from_vec`] for other dtypes. `Tensor::from(data)` is the same.
/// Follows `jax.numpy.array`.
///
/// # Errors
///
/// The result carries an error if arrays at one level differ in length.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(tensor([[1.0, 2.0], [3.0, 4.0]]).ty()?.to_string(), "f32[2, 2]");
/// assert_eq!(tensor(3).ty()?.to_string(), "i32[]");
/// assert_eq!(tensor([true, false]).dtype(), BOOL);
/// let rows = vec![[1u8, 2, 3]; 5];
/// assert_eq!(tensor(&rows[1..]).shape(), [4, 3]);
/// assert_eq!(Tensor::from(rows).shape(), [5, 3]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn tensor(data: impl IntoTensor) -> Tensor {
    let at = Location::caller();
    let (mut shape, mut elements) = (vec![], vec![]);
    match data.collect(0, &mut shape, &mut elements) {
        Ok(()) => Literal::from_vec(shape, elements)
            .map_or_else(|e| Tensor::error_at(e, at), Tensor::from),
        Err(why) => Tensor::fail("tensor", why, at),
    }
}

impl Tensor {
    /// Creates a tensor of `shape` with all elements `x`: f32 for a float, i32 for an integer, bool
    /// for a bool.
    ///
    /// Follows `numpy.full`.
    ///
    /// # Errors
    ///
    /// The result carries an error if i32 does not hold an integer; [`Tensor::full_of`] takes the
    /// dtype.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::full([2], 7).to_vec::<i32>()?, [7, 7]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn full(shape: impl IntoShape, x: impl Into<Scalar>) -> Tensor {
        let x = x.into();
        filled("full", x.default_dtype(), shape, x, Location::caller())
    }

    /// Creates a tensor of `dtype` and `shape` with all elements `x`, rounded to a float dtype or
    /// truncated to an integer dtype.
    ///
    /// # Errors
    ///
    /// The result carries an error if an integer dtype does not hold `x`, or if `x` is complex and
    /// the dtype is not.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::full_of(BF16, [2], 7).ty()?.to_string(), "bf16[2]");
    /// let e = Tensor::full_of(U8, [2], -1).ok().unwrap_err();
    /// assert!(e.message().ends_with("u8 does not hold -1, but i16 does"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn full_of(dtype: DType, shape: impl IntoShape, x: impl Into<Scalar>) -> Tensor {
        filled("full", dtype, shape, x.into(), Location::caller())
    }

    /// Creates a tensor of `shape` filled with zeros, f32.
    ///
    /// It is computed when it is needed, and takes no memory inside of a traced function. Follows
    /// `numpy.zeros`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2]).to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn zeros(shape: impl IntoShape) -> Tensor {
        filled("zeros", DType::F32, shape, Scalar::Float(0.0), Location::caller())
    }

    /// Creates a tensor of `dtype` and `shape` filled with zeros.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros_of(I32, [2]).to_vec::<i32>()?, [0, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn zeros_of(dtype: DType, shape: impl IntoShape) -> Tensor {
        filled("zeros", dtype, shape, Scalar::Int(0), Location::caller())
    }

    /// Creates a tensor of `shape` filled with ones, f32. Follows `numpy.ones`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::ones([2]).to_vec::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ones(shape: impl IntoShape) -> Tensor {
        filled("ones", DType::F32, shape, Scalar::Float(1.0), Location::caller())
    }

    /// Creates a tensor of `dtype` and `shape` filled with ones; bool ones are true.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::ones_of(BOOL, [2]).to_vec::<bool>()?, [true, true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ones_of(dtype: DType, shape: impl IntoShape) -> Tensor {
        filled("ones", dtype, shape, Scalar::Int(1), Location::caller())
    }

    /// Creates a tensor of the dtype and shape of `self` filled with zeros. Follows
    /// `numpy.zeros_like`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).zeros_like().to_vec::<i32>()?, [0, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.zeros_at(Location::caller())
    }

    pub(crate) fn zeros_at(&self, at: CallSite) -> Tensor {
        self.type_ref().map_or_else(
            |_| self.clone(),
            |t| filled("zeros_like", t.dtype, &t.shape, Scalar::Int(0), at),
        )
    }

    /// Creates a tensor of the dtype and shape of `self` filled with ones. Follows
    /// `numpy.ones_like`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).ones_like().to_vec::<i32>()?, [1, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        let at = Location::caller();
        self.type_ref().map_or_else(
            |_| self.clone(),
            |t| filled("ones_like", t.dtype, &t.shape, Scalar::Int(1), at),
        )
    }

    /// Creates the identity matrix of shape `[n, n]`, f32. Follows `numpy.eye` and
    /// `numpy.identity`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::eye(2).to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn eye(n: usize) -> Tensor {
        Tensor::eye_at(n, n, 0, Location::caller())
    }

    /// Creates the vector `0, 1, .. n - 1`, i32.
    ///
    /// [`Tensor::range`] takes a start, an end and a step. Follows `numpy.arange` of one argument.
    ///
    /// # Errors
    ///
    /// The result carries an error if `n` is larger than 2^31: i32 does not hold `n - 1`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(3).to_vec::<i32>()?, [0, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn arange(n: usize) -> Tensor {
        let at = Location::caller();
        if n > 1 << 31 {
            return Tensor::fail("arange", format!("i32 does not hold the numbers below {n}"), at);
        }
        lazy_constant(at, |b| b.iota(Type::new(DType::I32, [n]), 0))
    }

    /// Creates a vector of `n` evenly spaced numbers from `a` to `b`, both included, f32. Follows
    /// `numpy.linspace`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 5).to_vec::<f32>()?, [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn linspace(a: f64, b: f64, n: usize) -> Tensor {
        Tensor::linspace_of(DType::F32, a, b, n, Location::caller())
    }

    /// Creates a vector of `n` evenly spaced numbers of a float `dtype`.
    pub(crate) fn linspace_of(dtype: DType, a: f64, b: f64, n: usize, at: CallSite) -> Tensor {
        lazy_constant(at, |g| {
            // Computed in f64 as `a (1 - i/d) + b i/d`, so that both ends are exact.
            let i = g.iota(Type::new(DType::F64, [n]), 0);
            let s = g.mul_scalar(i, 1.0 / n.saturating_sub(1).max(1) as f64);
            let rest = g.neg(s);
            let rest = g.add_scalar(rest, 1.0);
            let (low, high) = (g.mul_scalar(rest, a), g.mul_scalar(s, b));
            let x = g.add(low, high);
            g.convert(x, dtype)
        })
    }
}

/// Creates a tensor of `dtype` with all elements `x`.
fn filled(op: &str, dtype: DType, shape: impl IntoShape, x: Scalar, at: CallSite) -> Tensor {
    filled_fixed(op, dtype, fixed(shape), x, at)
}

/// Creates a tensor as [`filled`] does, of a shape whose sizes are checked.
fn filled_fixed(
    op: &str,
    dtype: DType,
    shape: Result<Shape, String>,
    x: Scalar,
    at: CallSite,
) -> Tensor {
    let shape = match shape {
        Ok(s) => s,
        Err(why) => return Tensor::fail(op, why, at),
    };
    let x = match x.to_literal(dtype) {
        Ok(x) => x,
        Err(e) => return Tensor::fail(op, e.message(), at),
    };
    lazy_constant(at, |b| {
        let c = b.constant(x);
        b.broadcast(c, shape, &[])
    })
}
