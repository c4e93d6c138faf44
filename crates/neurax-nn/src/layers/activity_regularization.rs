//! Penalties of what a layer computes.

use crate::precision::at_least_f32;
use crate::{Cx, Layer, MaskRule};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// A layer that returns its input and a penalty of it, a scalar that is added to the loss: `l1 ·
/// Σ |x| + l2 · Σ x²`, divided by the number of examples, the size of axis 0, as Keras's
/// `ActivityRegularization`. The penalty is f32 at least; that of no examples is 0. For penalties
/// of parameters, see [`regularize`](crate::regularize).
///
/// ```
/// use neurax::prelude::*;
/// let h = nn::input("x", dims![_, 2]).dense(3).relu();
/// let (h, penalty) = h.layer(nn::ActivityRegularization::new().l1(0.01).l2(0.1));
/// let model = Model::new([("y", h.dense(2)), ("penalty", penalty)]);
/// let vars = model.init(key(0), &types![f32[_, 2]])?;
/// let x = Tensor::ones([4, 2]);
/// let (loss, grads) = value_and_grad_at(&vars.params, |p| {
///     let out = model.apply_with(&p, &vars.state, &x, &Mode::Eval);
///     loss::mse(&out["y"], &x) + &out["penalty"]
/// });
/// assert!(loss.item()? > 0.0 && grads["dense"]["kernel"].shape() == [2, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ActivityRegularization {
    l1: f64,
    l2: f64,
}

impl ActivityRegularization {
    /// Creates a layer whose penalty is 0.
    pub fn new() -> ActivityRegularization {
        ActivityRegularization::default()
    }

    /// Sets the factor of the sum of the absolute values.
    pub fn l1(self, l1: f64) -> ActivityRegularization {
        ActivityRegularization { l1, ..self }
    }

    /// Sets the factor of the sum of the squares.
    pub fn l2(self, l2: f64) -> ActivityRegularization {
        ActivityRegularization { l2, ..self }
    }
}

impl Layer for ActivityRegularization {
    const NAME: &'static str = "activity_regularization";
    type Output = (Tensor, Tensor);

    fn mask_rule(&self) -> MaskRule {
        // The penalty has no steps.
        MaskRule::KeepOfFirst { outputs: 1 }
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> (Tensor, Tensor) {
        let fail = |why: String| (x.clone(), Tensor::from_error(Error::new(Self::NAME, why)));
        let ty = match x.ty() {
            Ok(ty) => ty,
            Err(e) => return (x, Tensor::from_error(e)),
        };
        let is_valid = |factor: f64| factor >= 0.0 && factor.is_finite();
        if !is_valid(self.l1) || !is_valid(self.l2) {
            let got = format!("got l1 = {} and l2 = {}", self.l1, self.l2);
            return fail(format!("expected finite factors of at least 0, {got}"));
        }
        if !ty.dtype.is_float() {
            return fail(format!("expected an input of floats, got {ty}"));
        }
        let wide = at_least_f32(&x);
        let examples = ty.shape.first().copied().unwrap_or(1).max(1);
        let sum = wide.abs().sum(..) * self.l1 + wide.square().sum(..) * self.l2;
        (x, sum / examples as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::dtype_consts::F16;
    use neurax_tensor::{dims, types};

    #[test]
    fn both_outputs_pass_the_checks() {
        let layer = || ActivityRegularization::new().l1(0.5).l2(0.25);
        check::nodes(|[x]| x.layer(layer()).0, &types![f32[2, 3]]).unwrap();
        check::examples(
            |[x]| {
                let (x, penalty) = x.layer(layer());
                x + penalty
            },
            &types![f32[3]],
        )
        .unwrap();
    }

    #[test]
    fn the_penalty_carries_no_mask() {
        let (x, mask) = (crate::input("x", dims![_, 3, 2]), crate::input("mask", dims![_, 3]));
        let (x, penalty) = x.with_mask(mask).layer(ActivityRegularization::new().l1(0.5));
        assert!(x.mask().is_some() && penalty.mask().is_none());
    }

    fn penalty(layer: ActivityRegularization, x: Tensor) -> Tensor {
        let x = crate::input("x", vec![neurax_tensor::Dim::Any; x.rank()]).layer(layer).1.apply(
            &crate::Vars::default(),
            x,
            &crate::Mode::Eval,
        );
        x.y().clone()
    }

    #[test]
    fn sums_are_divided_by_the_examples_in_f32() {
        let layer = || ActivityRegularization::new().l1(0.5).l2(2.0);
        let x = neurax_tensor::tensor([[1.0, -2.0], [3.0, 0.0]]);
        assert_eq!(penalty(layer(), x).item().unwrap(), (0.5 * 6.0 + 2.0 * 14.0) / 2.0);
        let large = penalty(layer(), Tensor::full([1, 2], 300.0).to(F16));
        assert_eq!(large.to_vec::<f32>().unwrap(), [300.0 + 2.0 * 180_000.0]);
        assert_eq!(penalty(layer(), Tensor::ones([0, 2])).item().unwrap(), 0.0);
    }

    #[test]
    fn bad_factors_and_integers_are_errors() {
        let x = || Tensor::ones([1, 2]);
        for (l1, l2) in [(-1.0, 0.0), (0.0, f64::NAN), (f64::INFINITY, 0.0)] {
            let y = penalty(ActivityRegularization::new().l1(l1).l2(l2), x());
            let e = y.error().unwrap().to_string();
            assert!(e.contains("expected finite factors of at least 0"), "{e}");
        }
        let y = penalty(ActivityRegularization::new(), Tensor::arange(3));
        let e = y.error().unwrap().to_string();
        assert!(e.contains("expected an input of floats, got i32[3]"), "{e}");
    }
}
