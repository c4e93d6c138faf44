//! [`CircleLoss`]: similarities of embeddings with classes.

use super::criterion::{Criterion, LossFn, Losses, criteria};
use super::each::unit;
use super::label_sequences::LOG_ZERO;
use super::operands::{invalid, invalid_option, is_positive, together};
use neurax_tensor::{Tensor, stop_gradient};

const CIRCLE: &str = "circle_loss";

/// Returns the circle loss of embeddings `y` f[examples, features] and class indices `t`, one for
/// each example: [`CircleLoss`] with a margin of 0.25 and a scale of 256.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]);
/// // The first two are equal; their similarity with the third, 0, has the weight 0.25.
/// let losses = loss::each::circle(&y, &tensor([5, 5, 7])).to_vec::<f32>()?;
/// let want = (1.0 + f32::exp(-256.0 * 0.25 * 0.25 - 256.0 * 0.25 * 0.25)).ln();
/// assert!((losses[0] - want).abs() < 1e-6 && losses[2] == 0.0, "{losses:?}");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn circle(y: &Tensor, t: &Tensor) -> Tensor {
    CircleLoss::new().each(y, t)
}

/// The circle loss of embeddings f[examples, features] and class indices, `i[examples]`: Sun et
/// al., 2020 (<https://arxiv.org/abs/2002.10857>). It compares the cosines `p` of each example with
/// the others of its class, and its cosines `n` with all others:
///
/// ```text
/// ln(1 + Σ exp(scale · a · (n - margin)) · Σ exp(-scale · b · (p - 1 + margin)))
/// a = max(n + margin, 0)    b = max(1 + margin - p, 0)
/// ```
///
/// The weights `a` and `b` are constants for the derivative. The loss of an example is 0 if the
/// batch has no other one of its class, or none of another class. Examples with a negative class,
/// or that a mask leaves out, count for nothing, also as pairs of others.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]);
/// let loss = loss::CircleLoss::new().margin(0.4).scale(2.0);
/// let losses = loss.each(&y, &tensor([0, 0, 1])).to_vec::<f32>()?;
/// let positive = f32::exp(-2.0 * (1.4 - 0.6) * (0.6 - 0.6)); // the cosines are 0.6 and 0
/// let negative = f32::exp(2.0 * 0.4 * (0.0 - 0.4));
/// assert!((losses[0] - (1.0 + positive * negative).ln()).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CircleLoss {
    margin: f64,
    scale: f64,
}

criteria!(CircleLoss);

impl CircleLoss {
    /// Creates the loss with a margin of 0.25 and a scale of 256, those of the paper for faces.
    pub fn new() -> CircleLoss {
        CircleLoss { margin: 0.25, scale: 256.0 }
    }

    /// Sets the margin, in 0..=1: cosines above `1 - margin` in a class and below `margin` between
    /// classes are good.
    pub fn margin(self, margin: f64) -> CircleLoss {
        CircleLoss { margin, ..self }
    }

    /// Sets the scale, above 0, called γ in the paper.
    pub fn scale(self, scale: f64) -> CircleLoss {
        CircleLoss { scale, ..self }
    }

    /// Returns one loss for each example.
    ///
    /// # Errors
    /// The result carries an error if the operands have other shapes or dtypes, or if an option is
    /// out of its range.
    #[track_caller]
    pub fn each(&self, y: &Tensor, t: &Tensor) -> Tensor {
        match self.invalid(y, t) {
            Some(error) => error,
            None => together(CIRCLE, [("prediction", y)], |[y]| self.of_cosines(&y, t)),
        }
    }

    #[track_caller]
    fn of_cosines(&self, y: &Tensor, t: &Tensor) -> Tensor {
        let CircleLoss { margin, scale } = *self;
        let y = unit(y);
        let cosines = y.matmul(y.t());
        let fixed = stop_gradient(&cosines);
        let within = (1.0 + margin - &fixed).relu() * (&cosines - (1.0 - margin)) * -scale;
        let between = (fixed + margin).relu() * (cosines - margin) * scale;
        let counts = t.ge(0);
        let are_pairs = counts.expand_dims(1) & &counts & Tensor::eye(t.dim(0)).equal(0.0);
        let is_same = t.expand_dims(1).equal(t);
        let log_sum = |are_chosen: Tensor, x: Tensor| {
            (are_chosen & &are_pairs).select(x, LOG_ZERO).logsumexp(-1)
        };
        (log_sum(!&is_same, between) + log_sum(is_same, within)).softplus()
    }

    /// Returns the error of operands of a wrong shape or dtype, or of an invalid option.
    #[track_caller]
    fn invalid(&self, y: &Tensor, t: &Tensor) -> Option<Tensor> {
        let (a, b) = match (y.ty(), t.ty()) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(e), _) | (_, Err(e)) => return Some(Tensor::from_error(e)),
        };
        // A masked class is -1.
        let is_signed = b.dtype.int_range().is_some_and(|range| range.contains(&-1));
        if a.rank() != 2 || b.shape[..] != a.shape[..1] || !is_signed {
            let why = format!(
                "expected embeddings [examples, features] and signed class indices [examples], \
                 got {a} and {b}"
            );
            return Some(invalid(CIRCLE, why));
        }
        match self {
            CircleLoss { margin, .. } if !(0.0..=1.0).contains(margin) => {
                Some(invalid_option(CIRCLE, "a margin in 0..=1", *margin))
            }
            CircleLoss { scale, .. } if !is_positive(*scale) => {
                Some(invalid_option(CIRCLE, "a scale above 0", *scale))
            }
            _ => None,
        }
    }
}

impl Default for CircleLoss {
    fn default() -> CircleLoss {
        CircleLoss::new()
    }
}

impl Losses<2> for CircleLoss {
    fn each(&self, [y, t]: &[Tensor; 2]) -> Tensor {
        self.each(y, t)
    }

    fn counted(&self, [_, t]: &[Tensor; 2]) -> Option<Tensor> {
        Some(t.ge(0))
    }

    fn masked_label(&self) -> f64 {
        -1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Reduction;
    use neurax_tensor::dtype_consts::{F16, F32, F64};
    use neurax_tensor::{grad, key, tensor};

    /// Computes the formula of the paper for each example, with weights at the cosines of `fixed`.
    fn formula(y: &[[f64; 3]], fixed: &[[f64; 3]], t: &[i32], m: f64, scale: f64) -> Vec<f64> {
        let cosine = |y: &[[f64; 3]], i: usize, j: usize| {
            let dot = |i: usize, j: usize| (0..3).map(|k| y[i][k] * y[j][k]).sum::<f64>();
            dot(i, j) / (dot(i, i) * dot(j, j)).sqrt()
        };
        let of = |i: usize| {
            let (mut within, mut between) = (0.0, 0.0);
            for j in (0..t.len()).filter(|&j| j != i && t[i] >= 0 && t[j] >= 0) {
                let (s, weight) = (cosine(y, i, j), cosine(fixed, i, j));
                if t[i] == t[j] {
                    within += (-scale * f64::max(1.0 + m - weight, 0.0) * (s - 1.0 + m)).exp();
                } else {
                    between += (scale * f64::max(weight + m, 0.0) * (s - m)).exp();
                }
            }
            (1.0 + within * between).ln()
        };
        (0..t.len()).map(of).collect()
    }

    const LABELS: [i32; 6] = [1, 4, 1, -1, 4, 9];

    fn embeddings() -> (Tensor, Vec<[f64; 3]>) {
        let y = key(5).normal_of(F64, [6, 3]);
        let rows = y.to_vec::<f64>().unwrap();
        (y, rows.chunks(3).map(|row| [row[0], row[1], row[2]]).collect())
    }

    #[test]
    fn losses_and_gradients_are_those_of_the_formula() {
        let ((y, mut rows), t) = (embeddings(), tensor(LABELS));
        for (margin, scale) in [(0.25, 4.0), (0.4, 16.0), (0.0, 1.0)] {
            let loss = CircleLoss::new().margin(margin).scale(scale);
            let found = loss.each(&y, &t).to_vec::<f64>().unwrap();
            let want = formula(&rows, &rows, &LABELS, margin, scale);
            let close = found.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(close, "{found:?}, {want:?}");
            assert_eq!((found[3], found[5]), (0.0, 0.0), "no class, and no other of the class");
            let labels = t.clone();
            let gradient = grad(move |y: Tensor| loss.each(&y, &labels).sum(..))(y.clone());
            let gradient = gradient.to_vec::<f64>().unwrap();
            let fixed = rows.clone();
            for k in 0..18 {
                let old = rows[k / 3][k % 3];
                let totals = [1e-6, -1e-6].map(|h| {
                    rows[k / 3][k % 3] = old + h;
                    formula(&rows, &fixed, &LABELS, margin, scale).iter().sum::<f64>()
                });
                rows[k / 3][k % 3] = old;
                let want = (totals[0] - totals[1]) / 2e-6;
                assert!((gradient[k] - want).abs() < 1e-5, "{k}: {}, {want}", gradient[k]);
            }
        }
    }

    #[test]
    fn masked_examples_are_no_pairs_and_weights_count_examples() {
        let ((y, _), t) = (embeddings(), tensor(LABELS));
        let loss = CircleLoss::new().scale(8.0);
        let mask = tensor([true, true, true, true, true, false]);
        let rest = |x: &Tensor| x.slice(0, 0..5);
        let each = loss.each(&rest(&y), &rest(&t)).to_vec::<f64>().unwrap();
        let masked = loss.criterion().mask(&mask);
        let found = masked.clone().reduction(Reduction::None).measure(&y, &t);
        let found = found.to_vec::<f64>().unwrap();
        let close = found[..5].iter().zip(&each).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close && found[5] == 0.0, "{found:?}, {each:?}");
        // The example without a class does not count.
        let mean = masked.clone().measure(&y, &t).item().unwrap();
        assert!((mean - each.iter().sum::<f64>() / 4.0).abs() < 1e-9, "{mean}");
        let weights = tensor([3.0, 1.0, 0.0, 5.0, 0.0, 7.0]);
        let mean = masked.weights(&weights).measure(&y, &t).item().unwrap();
        assert!((mean - (3.0 * each[0] + each[1]) / 4.0).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn large_scales_and_zeros_are_finite_and_options_are_checked() {
        let y = tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1e-3], [-1.0, 0.0]]);
        let t = tensor([0, 0, 1, 1]);
        let found = circle(&y, &t);
        assert_eq!((found.dtype(), found.is_finite().all(..).item().unwrap()), (F32, 1.0));
        let gradient = grad(move |y: Tensor| circle(&y, &t).sum(..))(y.clone());
        assert_eq!(gradient.is_finite().all(..).item().unwrap(), 1.0);
        let t = tensor([0, 0, 1, 1]);
        assert_eq!(CircleLoss::new().measure(&y.to(F16), &t).dtype(), F16);
        for (loss, t, want) in [
            (CircleLoss::new().margin(f64::NAN), &t, "a margin in 0..=1, got NaN"),
            (CircleLoss::new().margin(-0.1), &t, "a margin in 0..=1, got -0.1"),
            (CircleLoss::new().scale(0.0), &t, "a scale above 0, got 0"),
            (CircleLoss::new(), &tensor([0, 1]), "signed class indices [examples], got"),
            (CircleLoss::new(), &tensor([0u8, 0, 1, 1]), "signed class indices [examples], got"),
        ] {
            let e = loss.each(&y, t).error().unwrap().to_string();
            assert!(e.contains(want), "{e}");
        }
    }
}
