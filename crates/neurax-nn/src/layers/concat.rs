//! Concatenation.

use crate::model_layer::ModelLayer;
use crate::{Cx, MaskRule, Node};
use neurax_tensor::{Tensor, concat as concat_tensors};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;

/// Concatenates nodes along `axis`; their sizes along all other axes must be equal. The layer is
/// called `concat`. For tensors, use [`neurax_tensor::concat`].
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (nn::input("a", dims![_, 1]), nn::input("b", dims![_, 1]));
/// let model = nn::concat([a, b], -1).model();
/// let inputs = [tensor([[1.0], [2.0]]), tensor([[3.0], [4.0]])];
/// let out = model.apply(&Vars::default(), inputs, &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [1.0, 3.0, 2.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn concat<N: Borrow<Node>>(nodes: impl IntoIterator<Item = N>, axis: i64) -> Node {
    let inputs = nodes.into_iter().map(|n| n.borrow().clone()).collect();
    Node::of_layer(inputs, Concat { axis })
}

/// The layer of [`concat`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Concat {
    axis: i64,
}

impl ModelLayer for Concat {
    fn kind(&self) -> &str {
        "concat"
    }

    fn mask_rule(&self) -> MaskRule {
        MaskRule::of_axes(&[self.axis])
    }

    fn apply(&self, _: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        vec![concat_tensors(inputs, self.axis)]
    }
}

#[cfg(test)]
mod tests {
    use crate::{check, concat};
    use neurax_tensor::types;

    #[test]
    fn is_a_layer() {
        check::nodes(|[a, b]| concat([&a, &b, &a], 1), &types![f32[2, 3], f32[2, 1]]).unwrap();
    }

    #[test]
    fn sizes_must_agree() {
        let e = check::nodes(|[a, b]| concat([a, b], 1), &types![f32[2, 3], f32[4, 3]])
            .unwrap_err()
            .to_string();
        assert!(e.contains("in layer concat"), "{e}");
    }
}
