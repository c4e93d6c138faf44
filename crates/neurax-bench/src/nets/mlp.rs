//! The dense digit classifier: 784-128-10.

use super::{DenseParams, Network};
use crate::data;
use neurax::prelude::*;

/// A classifier with one hidden layer.
#[derive(Tree, Clone, Debug)]
pub struct Mlp {
    /// The layer from 784 to 128 features.
    pub hidden: DenseParams,
    /// The layer from 128 features to 10 logits.
    pub out: DenseParams,
}

impl Network for Mlp {
    const NAME: &'static str = "mlp";

    fn init() -> Mlp {
        Mlp { hidden: DenseParams::init(10, 784, 128), out: DenseParams::init(20, 128, 10) }
    }

    // Centred around zero: with positive inputs nearly all hidden units die, Adam's moments of
    // their weights decay to subnormal numbers, and the speed of subnormal arithmetic dominates.
    fn examples(n: usize) -> (Tensor, Tensor) {
        (data::around_zero(1, [n, 784], 1.0), data::classes(2, [n], 10))
    }

    fn logits(&self, x: &Tensor) -> Tensor {
        self.out.apply(&self.hidden.apply(x).relu())
    }
}
