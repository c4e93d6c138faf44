//! Putting tensors together along an axis.

use neurax_tensor::{Tensor, concat as join};

/// The tensors one after the other along `axis`; their other axes agree. [`crate::concat`] is the
/// layer.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::concat(&[tensor([[1.0], [2.0]]), tensor([[3.0], [4.0]])], -1);
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 3.0, 2.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn concat(xs: &[Tensor], axis: i64) -> Tensor {
    join(xs, axis)
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
