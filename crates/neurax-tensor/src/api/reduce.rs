//! Many elements into few.

use crate::{DType, IntoAxes, Tensor, args::axes_or_error, emit::emit, tensor::At};
use neurax_ir::op::{ArgKind, ArgReduce, Reduce, ReduceKind, Reshape};
use std::panic::Location;

impl Tensor {
    /// Any reduction over axes.
    pub(crate) fn reduce_at(&self, kind: ReduceKind, name: &str, axes: &impl IntoAxes, at: At) -> Tensor {
        let list = match axes_or_error(self, axes, name, at) {
            Ok(list) => list,
            Err(e) => return e,
        };
        let kept = axes.keep().then(|| self.shape().iter().enumerate().map(|(i, &n)| if list.contains(&i) { 1 } else { n }).collect());
        let y = if list.is_empty() { self.clone() } else { emit(Reduce { kind, axes: list }, [self.clone()], at) };
        match kept {
            Some(shape) => emit(Reshape { shape }, [y], at),
            None => y,
        }
    }

    /// For sums and products: bool and narrow integers become 32 bits wide, as in NumPy, so that they do not wrap at once.
    fn widened(&self, at: At) -> Tensor {
        match self.dtype() {
            DType::Bool | DType::I2 | DType::I4 | DType::I8 | DType::I16 => self.convert(DType::I32, at),
            DType::U2 | DType::U4 | DType::U8 | DType::U16 => self.convert(DType::U32, at),
            _ => self.clone(),
        }
    }

    /// The sum over axes: `sum(..)`, `sum(0)`, `sum([0, -1])`, `sum(keep(-1))`. Bool and integers below 32 bits give 32 bits.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.sum(0).to_vec::<f32>()?, [4.0, 6.0]);
    /// assert_eq!(x.sum(keep(-1)).shape(), [2, 1]);
    /// assert_eq!(x.gt(1.5).sum(..).item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sum(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        self.widened(at).reduce_at(ReduceKind::Sum, "sum", &axes, at)
    }

    /// The product over axes. Bool and integers below 32 bits give 32 bits.
    #[track_caller]
    pub fn prod(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        self.widened(at).reduce_at(ReduceKind::Prod, "prod", &axes, at)
    }

    /// The mean over axes. Integers and bool give f32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).mean(..).item()?, 1.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn mean(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let count: usize = match axes_or_error(self, &axes, "mean", at) {
            Ok(list) => list.iter().map(|&a| self.shape()[a]).product(),
            Err(e) => return e,
        };
        let sum = self.clone().float(at).reduce_at(ReduceKind::Sum, "mean", &axes, at);
        let count = crate::Scalar::Float(count as f64).beside(&sum);
        sum.divide(count, at)
    }

    /// The largest over axes; NaN wins. Of nothing, the least value of the dtype.
    #[track_caller]
    pub fn max(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce_at(ReduceKind::Max, "max", &axes, Location::caller())
    }

    /// The smallest over axes; NaN wins. Of nothing, the greatest value of the dtype.
    #[track_caller]
    pub fn min(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce_at(ReduceKind::Min, "min", &axes, Location::caller())
    }

    fn arg_reduce(&self, kind: ArgKind, name: &str, axis: i64, at: At) -> Tensor {
        match axes_or_error(self, &axis, name, at) {
            Ok(list) => emit(ArgReduce { kind, axis: list[0] }, [self.clone()], at),
            Err(e) => e,
        }
    }

    /// The index of the largest along an axis, as i32; the first of equals, NaN wins.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1.0, 3.0], [5.0, 4.0]]).argmax(-1).to_vec::<i32>()?, [1, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argmax(&self, axis: i64) -> Tensor {
        self.arg_reduce(ArgKind::Max, "argmax", axis, Location::caller())
    }

    /// The index of the smallest along an axis, as i32; the first of equals, NaN wins.
    #[track_caller]
    pub fn argmin(&self, axis: i64) -> Tensor {
        self.arg_reduce(ArgKind::Min, "argmin", axis, Location::caller())
    }
}
