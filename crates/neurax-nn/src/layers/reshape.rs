//! Reshaping of each example.

use crate::{Cx, Layer, Node};
use neurax_tensor::{Dim, IntoShape, Tensor};
use serde::{Deserialize, Serialize};

/// Reshapes `x` from [n, ..] to [n, dims..]: the first axis is kept. One of `dims` may be `_`,
/// which is computed from the others.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(nn::layers::reshape(&Tensor::zeros([5, 12]), dims![3, _]).shape(), [5, 3, 4]);
/// ```
#[track_caller]
pub fn reshape(x: &Tensor, dims: impl IntoShape) -> Tensor {
    let mut shape = vec![Dim::Size(x.dim(0))];
    shape.extend(dims.dims());
    if x.size() == 0 {
        shape = inferred(x, shape);
    }
    x.reshape(shape)
}

/// Returns the dims with a size for `_`, which an empty batch leaves open: that of one example.
fn inferred(x: &Tensor, mut dims: Vec<Dim>) -> Vec<Dim> {
    let example: usize = x.shape().iter().skip(1).product();
    let size = |d: &Dim| if let Dim::Size(n) = d { *n } else { 1 };
    let known: usize = dims.iter().skip(1).map(size).product();
    if let Some(open) = dims.iter().skip(1).position(|d| *d == Dim::Any)
        && known > 0
        && example.is_multiple_of(known)
    {
        dims[open + 1] = Dim::Size(example / known);
    }
    dims
}

/// The layer of [`reshape`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reshape {
    #[serde(with = "crate::saved::fields::dims")]
    dims: Vec<Dim>,
}

impl Reshape {
    /// Creates a layer that reshapes each example to `dims`.
    pub fn new(dims: impl IntoShape) -> Reshape {
        Reshape { dims: dims.dims() }
    }
}

impl Layer for Reshape {
    const NAME: &'static str = "reshape";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        reshape(&x, self.dims.clone())
    }
}

impl Node {
    /// Reshapes each example to `dims`: see [`reshape`].
    #[track_caller]
    pub fn reshape(&self, dims: impl IntoShape) -> Node {
        self.layer(Reshape::new(dims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{dims, types};

    #[test]
    fn is_a_layer() {
        check::layer(Reshape::new([3, 2]), &types![f32[2, 6]]).unwrap();
        check::layer(Reshape::new(dims![_, 3]), &types![f32[2, 6]]).unwrap();
    }

    #[test]
    fn sizes_that_do_not_fit_are_an_error() {
        let e = check::layer(Reshape::new([4]), &types![f32[2, 6]]).unwrap_err().to_string();
        assert!(e.contains("in layer reshape"), "{e}");
    }
}
