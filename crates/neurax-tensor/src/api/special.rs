//! Activations and other functions that networks are made of.

use crate::{IntoAxes, Tensor, keep};
use neurax_ir::op::Binary;
use std::panic::Location;

impl Tensor {
    /// `max(x, 0)`, element by element.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-1.0, 2.0]).relu().to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn relu(&self) -> Tensor {
        let at = Location::caller();
        let zero = crate::Scalar::Int(0).beside(self);
        self.clone().binary(zero, Binary::Max, at)
    }

    /// `exp(x) / sum(exp(x))` over the axes.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 1.0]).softmax(-1).to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn softmax(&self, axes: impl IntoAxes + Copy) -> Tensor {
        let e = (self - crate::stop_gradient(&self.max(keep(axes)))).exp();
        let sum = e.sum(keep(axes));
        e / sum
    }
}
