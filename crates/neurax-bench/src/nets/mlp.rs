//! The dense classifier of digits: 784-128-10.

use super::{DenseParams, Network};
use crate::data;
use neurax::prelude::*;

/// A hidden layer and the logits.
#[derive(Tree, Clone, Debug)]
pub struct Mlp {
    /// 784 to 128.
    pub hidden: DenseParams,
    /// 128 to 10.
    pub out: DenseParams,
}

impl Network for Mlp {
    const NAME: &'static str = "mlp";

    fn init() -> Mlp {
        Mlp { hidden: DenseParams::init(10, 784, 128), out: DenseParams::init(20, 128, 10) }
    }

    /// Centred: with all inputs above zero nearly all hidden units die, what Adam remembers of them
    /// decays to numbers below the normal ones, and the speed of those is all that is measured.
    fn examples(n: usize) -> (Tensor, Tensor) {
        (data::around_zero(1, [n, 784], 1.0), data::classes(2, [n], 10))
    }

    fn logits(&self, x: &Tensor) -> Tensor {
        self.out.apply(&self.hidden.apply(x).relu())
    }
}
