//! Layers of two inputs that compare vectors.

use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// A layer of two inputs: the cosine of the angle between vectors along an axis, which is removed,
/// as [`Tensor::cosine_similarity`].
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 2]));
/// let model = nn::CosineSimilarity::new().call([&a, &b]).model();
/// let inputs = [tensor([[3.0, 4.0]]), tensor([[4.0, 3.0]])];
/// let out = model.apply(&Vars::default(), inputs, &Mode::Eval);
/// assert!((out.y().sum(..).item()? - 0.96).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CosineSimilarity {
    axis: i64,
}

impl CosineSimilarity {
    /// Creates a layer over the last axis.
    pub fn new() -> CosineSimilarity {
        CosineSimilarity { axis: -1 }
    }

    /// Sets the axis of the vectors.
    pub fn axis(self, axis: i64) -> CosineSimilarity {
        CosineSimilarity { axis }
    }
}

impl Default for CosineSimilarity {
    fn default() -> CosineSimilarity {
        CosineSimilarity::new()
    }
}

impl Layer<2> for CosineSimilarity {
    const NAME: &'static str = "cosine_similarity";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [a, b]: [Tensor; 2]) -> Tensor {
        a.cosine_similarity(&b, self.axis)
    }
}

/// A layer of two inputs: the norm of the difference of vectors along the last axis, which is
/// removed. PyTorch's `PairwiseDistance`, which adds 1e-6 to the differences.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 2]));
/// let model = nn::PairwiseDistance::new(2.0).epsilon(0.0).call([&a, &b]).model();
/// let inputs = [tensor([[3.0, 0.0]]), tensor([[0.0, 4.0]])];
/// let out = model.apply(&Vars::default(), inputs, &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [5.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PairwiseDistance {
    norm: f64,
    epsilon: f64,
}

impl PairwiseDistance {
    /// Creates a layer with norms of order `norm`, at least 1, and an epsilon of 1e-6.
    pub fn new(norm: f64) -> PairwiseDistance {
        PairwiseDistance { norm, epsilon: 1e-6 }
    }

    /// Sets the constant that is added to each difference.
    pub fn epsilon(self, epsilon: f64) -> PairwiseDistance {
        PairwiseDistance { epsilon, ..self }
    }
}

impl Layer<2> for PairwiseDistance {
    const NAME: &'static str = "pairwise_distance";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [a, b]: [Tensor; 2]) -> Tensor {
        if self.norm.is_nan() || self.norm < 1.0 {
            let why = format!("expected a norm of at least 1, got {}", self.norm);
            return Tensor::from_error(Error::new("pairwise_distance", why));
        }
        let differences = at_least_f32(&a) - at_least_f32(&b) + self.epsilon;
        let y = match self.norm {
            2.0 => differences.norm(-1),
            p => differences.norm_of_order(p, -1),
        };
        narrow_as(&a, y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        let two = types![f32[2, 3], f32[2, 3]];
        check::nodes(|[a, b]| CosineSimilarity::new().call([a, b]), &two).unwrap();
        for norm in [1.0, 2.0, 3.0] {
            check::nodes(|[a, b]| PairwiseDistance::new(norm).call([a, b]), &two).unwrap();
        }
    }

    #[test]
    fn options_and_shapes_that_do_not_fit_are_errors() {
        let two = types![f32[2, 3], f32[2, 4]];
        let e = check::nodes(|[a, b]| CosineSimilarity::new().call([a, b]), &two).unwrap_err();
        assert!(e.to_string().contains("in layer cosine_similarity"), "{e}");
        let e = check::nodes(|[a, b]| PairwiseDistance::new(0.5).call([a, b]), &two).unwrap_err();
        assert!(e.to_string().contains("expected a norm of at least 1, got 0.5"), "{e}");
    }
}
