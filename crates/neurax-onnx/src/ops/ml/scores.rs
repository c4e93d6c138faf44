//! The transforms of scores, which `post_transform` names.

use crate::call::{NodeCall, RuleFailure, fail};
use neurax_tensor::{Tensor, concat};

/// A transform of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PostTransform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

/// The transforms, in the order of their numbers.
const TRANSFORMS: [(&str, PostTransform); 5] = [
    ("NONE", PostTransform::None),
    ("SOFTMAX", PostTransform::Softmax),
    ("LOGISTIC", PostTransform::Logistic),
    ("SOFTMAX_ZERO", PostTransform::SoftmaxZero),
    ("PROBIT", PostTransform::Probit),
];

impl PostTransform {
    /// Reads the attribute `post_transform`, a name.
    pub(super) fn read(c: &NodeCall) -> Result<PostTransform, RuleFailure> {
        let name = c.str_or("post_transform", "NONE")?;
        match TRANSFORMS.iter().find(|row| row.0 == name) {
            Some(row) => Ok(row.1),
            None => fail(format!("expected a transform of scores, got `{name}`")),
        }
    }

    /// Reads the attribute `post_transform`, a number.
    pub(super) fn read_number(c: &NodeCall) -> Result<PostTransform, RuleFailure> {
        let number = c.int_or("post_transform", 0)?;
        match usize::try_from(number).ok().and_then(|i| TRANSFORMS.get(i)) {
            Some(row) => Ok(row.1),
            None => fail(format!("expected the number of a transform, got {number}")),
        }
    }

    /// Transforms the scores of each row. A single score is only transformed by `PROBIT`, as in
    /// ONNX Runtime.
    ///
    /// `PROBIT` is the exact quantile of the normal distribution; ONNX Runtime has an approximation
    /// that differs by up to 0.3 percent.
    pub(super) fn apply(self, scores: &Tensor) -> Tensor {
        match self {
            PostTransform::Probit => scores.ndtri(),
            _ if scores.dim(-1) <= 1 => scores.clone(),
            PostTransform::None => scores.clone(),
            PostTransform::Softmax => scores.softmax(-1),
            PostTransform::Logistic => scores.sigmoid(),
            PostTransform::SoftmaxZero => softmax_zero(scores),
        }
    }

    /// Returns the two scores `[n, 2]` of classes of which only the second has a score, `[n, 1]`:
    /// the other is the rest to 1 if scores are probabilities, else the negative.
    pub(super) fn of_two(self, score: &Tensor, is_probability: bool) -> Tensor {
        let (first, second) = match self {
            PostTransform::Logistic => ((-score).sigmoid(), score.sigmoid()),
            PostTransform::Probit => (-score.ndtri(), score.ndtri()),
            _ if is_probability => (1.0 - score, score.clone()),
            _ => (-score, score.clone()),
        };
        concat([first, second], -1)
    }
}

/// Computes softmax of the scores that are not 0; those remain 0.
fn softmax_zero(scores: &Tensor) -> Tensor {
    let largest = scores.max(neurax_tensor::keep(-1));
    let is_zero = scores.abs().le(1e-7);
    let weights = is_zero.select(scores * (-&largest).exp(), (scores - &largest).exp());
    let sum = is_zero.select(weights.zeros_like(), &weights).sum(neurax_tensor::keep(-1));
    weights / sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn scores_of_0_have_no_part_in_softmax_zero() {
        let y = PostTransform::SoftmaxZero.apply(&tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 2.0]]));
        assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 0.5, 0.5, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn one_score_is_that_of_the_second_class() {
        let y = |t: PostTransform, is_probability| {
            t.of_two(&tensor([[0.25]]), is_probability).to_vec::<f32>().unwrap()
        };
        assert_eq!(y(PostTransform::None, true), [0.75, 0.25]);
        assert_eq!(y(PostTransform::None, false), [-0.25, 0.25]);
        let logistic = y(PostTransform::Logistic, true);
        assert!((logistic[0] + logistic[1] - 1.0).abs() < 1e-6 && logistic[1] > 0.5);
        assert_eq!(
            PostTransform::Logistic.apply(&tensor([[0.25]])).to_vec::<f32>().unwrap(),
            [0.25]
        );
    }
}
