//! Comparing and choosing.

use crate::{DType, Operand, Tensor, emit::emit_implicit};
use neurax_ir::op::{Compare, Direction, Select};
use std::panic::Location;

macro_rules! comparisons {
    ($($f:ident = $V:ident, $doc:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            ///
            /// Element by element, with promotion and broadcasting; gives bool. NaN is not equal to anything, and neither less nor greater.
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                let at = Location::caller();
                let other = other.operand(self);
                emit_implicit(Compare { direction: Direction::$V }, [self.clone(), other], at)
            }
        )*}
    };
}

comparisons! {
    equal = Eq, "`x == y`.";
    not_equal = Ne, "`x != y`.";
    lt = Lt, "`x < y`.";
    le = Le, "`x <= y`.";
    gt = Gt, "`x > y`.";
    ge = Ge, "`x >= y`.";
}

impl Tensor {
    /// `self ? x : y`, element by element, with promotion and broadcasting; `self` is bool.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([-1.0, 2.0]);
    /// assert_eq!(x.gt(0.0).select(&x, 0.0).to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn select(&self, x: impl Operand, y: impl Operand) -> Tensor {
        let at = Location::caller();
        let like = Tensor::scalar(DType::Bool, false);
        let x = x.operand(&like);
        let y = y.operand(&x);
        if self.error().is_none() && self.dtype() != DType::Bool {
            return Tensor::fail("select", format!("the predicate must be bool, not {}; compare first: `x.gt(0.0)`", self.dtype()), at);
        }
        emit_implicit(Select {}, [self.clone(), x, y], at)
    }
}

/// `pred ? x : y`, element by element: [`Tensor::select`] by NumPy's name.
#[track_caller]
pub fn where_(pred: &Tensor, x: impl Operand, y: impl Operand) -> Tensor {
    pred.select(x, y)
}
