//! The triplet loss as a value with options.

use super::criterion::{Criterion, Losses, criteria};
use super::operands::{invalid_option, together};
use neurax_tensor::Tensor;

/// The triplet loss `max(d(a, p) - d(a, n) + margin, 0)` of an anchor, a positive example and a
/// negative one, f[.., features], with distances `d` over the last axis, which is removed. Follows
/// `torch.nn.TripletMarginLoss`, which adds 1e-6 to the differences.
///
/// ```
/// use neurax::prelude::*;
/// let [a, p, n] = [[0.0, 0.0], [3.0, 4.0], [0.0, 6.0]].map(|x| tensor([x]));
/// let loss = loss::TripletLoss::new(1.0).p(1.0).swap();
/// // The distances are 7 and 5, that of the positive and the negative example.
/// assert!((loss.measure(&a, &p, &n).item()? - 3.0).abs() < 1e-5);
/// let sum = loss.criterion().weights(&tensor([0.5])).reduction(loss::Reduction::Sum);
/// assert!((sum.measure(&a, &p, &n).item()? - 1.5).abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TripletLoss {
    margin: f64,
    p: f64,
    swap: bool,
}

impl TripletLoss {
    /// Creates the loss with Euclidean distances and a margin, at least 0.
    pub fn new(margin: f64) -> TripletLoss {
        TripletLoss { margin, p: 2.0, swap: false }
    }

    /// Sets the order of the norms that are the distances, at least 1.
    pub fn p(self, p: f64) -> TripletLoss {
        TripletLoss { p, ..self }
    }

    /// Takes the distance of the positive and the negative example instead of that of the anchor
    /// and the negative one where it is smaller. Balntas et al., Learning Shallow Convolutional
    /// Feature Descriptors with Triplet Losses (<https://doi.org/10.5244/C.30.119>).
    pub fn swap(self) -> TripletLoss {
        TripletLoss { swap: true, ..self }
    }

    /// Returns one loss for each triplet.
    ///
    /// # Errors
    /// The result carries an error if the operands have not the same shape, if the order of the
    /// norm is below 1, or if the margin is negative or NaN.
    #[track_caller]
    pub fn each(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Tensor {
        if self.p.is_nan() || self.p < 1.0 {
            return invalid_option("triplet", "a norm of at least 1", self.p);
        }
        if self.margin.is_nan() || self.margin < 0.0 {
            return invalid_option("triplet", "a margin of at least 0", self.margin);
        }
        let operands = [("anchor", anchor), ("positive", positive), ("negative", negative)];
        together("triplet", operands, |[a, p, n]| {
            let far = self.distance(&a, &n);
            let far = if self.swap { far.minimum(self.distance(&p, &n)) } else { far };
            (self.distance(&a, &p) - far + self.margin).relu()
        })
    }

    #[track_caller]
    fn distance(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let differences = a - b + 1e-6;
        match self.p {
            2.0 => differences.norm(-1),
            p => differences.norm_of_order(p, -1),
        }
    }
}

impl Losses<3> for TripletLoss {
    fn each(&self, [anchor, positive, negative]: &[Tensor; 3]) -> Tensor {
        self.each(anchor, positive, negative)
    }
}

criteria!(TripletLoss, 3, anchor, positive, negative);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Reduction;
    use neurax_tensor::dtype_consts::{F16, F32};
    use neurax_tensor::{grad, tensor};

    #[test]
    fn weights_masks_and_reductions_count_triplets() {
        // The losses are 2, 4 and NaN.
        let a = tensor([[0.0], [0.0], [f32::NAN]]);
        let (p, n) = (tensor([[3.0], [7.0], [1.0]]), tensor([[2.0], [4.0], [1.0]]));
        let triplets = TripletLoss::new(1.0).criterion().mask(&tensor([true, true, false]));
        let near = |loss: Criterion<3>, want: f64| {
            let found = loss.measure(&a, &p, &n).item().unwrap();
            assert!((found - want).abs() < 1e-5, "{found}, {want}");
        };
        near(triplets.clone(), 3.0);
        let weighted = triplets.clone().weights(&tensor([3.0, 1.0, 9.0]));
        near(weighted.clone(), 2.5);
        near(weighted.clone().reduction(Reduction::Sum), 10.0);
        let first = TripletLoss::new(0.0).criterion().mask(&tensor([true, false, false]));
        near(2.0 * weighted.clone() + first, 6.0);
        let each = weighted.clone().reduction(Reduction::None).measure(&a, &p, &n);
        assert_eq!(each.round().to_vec::<f32>().unwrap(), [6.0, 4.0, 0.0]);
        let gradient = grad(move |p: Tensor| weighted.measure(&a, &p, &n))(p.clone());
        let want = tensor([0.75, 0.25, 0.0]).expand_dims(1);
        assert_eq!(gradient.allclose(want, 1e-6, 0.0).item().unwrap(), 1.0, "{gradient}");
    }

    #[test]
    fn the_mean_is_rounded_once_and_options_are_checked() {
        let [a, p, n] = [0.0, 300.0, 0.0].map(|x| Tensor::full([2, 4], x as f32).to(F16));
        let y = TripletLoss::new(0.0).swap().measure(&a, &p, &n);
        assert_eq!((y.dtype(), y.to(F32).item().unwrap()), (F16, 600.0));
        for margin in [-0.5, f64::NAN] {
            let x = tensor([[1.0]]);
            let loss = TripletLoss::new(margin);
            for y in [loss.each(&x, &x, &x), loss.measure(&x, &x, &x)] {
                let e = y.error().map(|e| e.to_string()).unwrap();
                let want = format!("triplet: expected a margin of at least 0, got {margin}");
                assert!(e.contains(&want), "{e}");
            }
        }
        for order in [0.5, f64::NAN] {
            let x = tensor([[1.0]]);
            let y = TripletLoss::new(1.0).p(order).each(&x, &x, &x);
            let e = y.error().map(|e| e.to_string()).unwrap();
            assert!(
                e.contains(&format!("triplet: expected a norm of at least 1, got {order}")),
                "{e}"
            );
        }
    }
}
