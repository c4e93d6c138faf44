//! Activations, compared with those of PyTorch.

use crate::cases::cases;
use neurax::prelude::*;

/// Returns a node method by its name.
fn activation(name: &str, x: &Node) -> Node {
    nn::Activation::by_name(name).map(|a| x.layer(a)).unwrap()
}

#[test]
fn values_and_gradients() {
    for case in cases("activations", 21) {
        let model = activation(&case.name, &nn::input("x", dims![_, _])).model();
        let f =
            |xs: &[Tensor]| vec![model.apply(&Vars::default(), &xs[0], &Mode::Eval).y().clone()];
        case.assert_function(f, 2e-6);
    }
}
