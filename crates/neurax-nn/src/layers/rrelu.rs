//! Leaky rectified linear units with random slopes.

use crate::{Cx, Layer, MaskRule};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// A layer that multiplies negative elements by slopes: in training, each by a random one that is
/// uniform in a range, in evaluation all by the middle of the range. PyTorch's `RReLU`; Xu et al.,
/// 2015 (<https://arxiv.org/abs/1505.00853>).
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_]).layer(nn::RRelu::new().slopes(0.25, 0.75)).model();
/// let out = model.apply(&Vars::default(), tensor([-2.0, 3.0]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [-1.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RRelu {
    lowest: f64,
    highest: f64,
}

impl RRelu {
    /// Creates a layer with slopes from 1/8 to 1/3, as in PyTorch.
    pub fn new() -> RRelu {
        RRelu { lowest: 1.0 / 8.0, highest: 1.0 / 3.0 }
    }

    /// Sets the range of the slopes.
    pub fn slopes(self, lowest: f64, highest: f64) -> RRelu {
        RRelu { lowest, highest }
    }
}

impl Default for RRelu {
    fn default() -> RRelu {
        RRelu::new()
    }
}

impl Layer for RRelu {
    const NAME: &'static str = "rrelu";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let RRelu { lowest, highest } = *self;
        if !(lowest <= highest && lowest.is_finite() && highest.is_finite()) {
            let why =
                format!("expected slopes from a number to one not below, got {lowest}..{highest}");
            return Tensor::from_error(Error::new(Self::NAME, why));
        }
        let negative = match (cx.key(), x.ty()) {
            (Some(key), Ok(ty)) if ty.dtype.is_float() => {
                let slope = key.uniform(&ty.shape) * (highest - lowest) + lowest;
                &x * slope.to(ty.dtype)
            }
            _ => &x * ((lowest + highest) / 2.0),
        };
        x.ge(0.0).select(x, negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Vars, check, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn is_a_layer() {
        check::layer(RRelu::new(), &types![f32[2, 3]]).unwrap();
    }

    #[test]
    fn slopes_in_training_are_in_the_range_and_differ() {
        let model = input("x", dims![_]).layer(RRelu::new().slopes(0.25, 0.5)).model();
        let x = -Tensor::ones([1000]);
        let y = model.apply(&Vars::default(), &x, &Mode::Train(key(0))).y().clone();
        let slopes = (-y).to_vec::<f32>().unwrap();
        assert!(slopes.iter().all(|s| (0.25..=0.5).contains(s)), "{slopes:?}");
        let mean = slopes.iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.375).abs() < 0.01 && slopes[0] != slopes[1], "{mean}");
    }

    #[test]
    fn ranges_that_are_none_are_errors() {
        for (lowest, highest) in [(0.5, 0.25), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            let e = check::layer(RRelu::new().slopes(lowest, highest), &types![f32[2]]);
            let e = e.unwrap_err().to_string();
            assert!(e.contains("expected slopes") && e.contains("in layer rrelu"), "{e}");
        }
    }
}
