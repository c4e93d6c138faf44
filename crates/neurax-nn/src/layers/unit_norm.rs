//! Normalization to unit length.

use super::axes::over_axes;
use crate::precision::{at_least_f32, narrow_as, normal_epsilon};
use crate::{Cx, Layer, LayerPrecision, MaskRule, Node};
use neurax_tensor::{Tensor, keep};
use serde::{Deserialize, Serialize};

/// Divides the vectors along the last axis by their Euclidean norm, or by `epsilon` if it is
/// larger: PyTorch's `F.normalize`.
///
/// If `x` is a float of fewer than 32 bits, everything is computed in f32, and the result is
/// rounded once to the dtype of `x`.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::unit_norm(&tensor([[3.0, 4.0], [0.0, 0.0]]), 1e-12);
/// assert_eq!(y.to_vec::<f32>()?, [0.6, 0.8, 0.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn unit_norm(x: &Tensor, epsilon: f64) -> Tensor {
    let wide = at_least_f32(x);
    let square = wide.square().sum(keep(-1)).maximum(normal_epsilon(epsilon * epsilon, x));
    narrow_as(x, &wide / square.sqrt())
}

/// The layer of [`unit_norm`], Keras's `UnitNormalization`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 2]).layer(nn::UnitNorm::new()).model();
/// let out = model.apply(&Vars::default(), tensor([[3.0, 4.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [0.6, 0.8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnitNorm {
    axes: Vec<i64>,
    epsilon: f64,
}

impl UnitNorm {
    /// Creates a layer over the last axis with an epsilon of 1e-12.
    pub fn new() -> UnitNorm {
        UnitNorm { axes: vec![-1], epsilon: 1e-12 }
    }

    /// Sets the axes over which the norm is computed, counted from the end if negative.
    pub fn axes(self, axes: impl AsRef<[i64]>) -> UnitNorm {
        UnitNorm { axes: axes.as_ref().to_vec(), ..self }
    }

    /// Sets the least divisor.
    pub fn epsilon(self, epsilon: f64) -> UnitNorm {
        UnitNorm { epsilon, ..self }
    }
}

impl Default for UnitNorm {
    fn default() -> UnitNorm {
        UnitNorm::new()
    }
}

impl Layer for UnitNorm {
    const NAME: &'static str = "unit_norm";
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::of_axes(&self.axes)
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        over_axes("unit_norm", &x, &self.axes, |x, _| unit_norm(x, self.epsilon))
    }
}

impl Node {
    /// Divides the vectors along the last axis by their norm: see [`UnitNorm`].
    #[track_caller]
    pub fn unit_norm(&self) -> Node {
        self.layer(UnitNorm::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::dtype_consts::{F16, F32};
    use neurax_tensor::{tensor, types};

    #[test]
    fn is_a_layer() {
        check::layer(UnitNorm::new(), &types![f32[2, 3]]).unwrap();
        check::layer(UnitNorm::new().axes([1, 2]), &types![f32[2, 3, 2]]).unwrap();
    }

    #[test]
    fn narrow_floats_do_not_overflow_and_missing_axes_are_errors() {
        let y = unit_norm(&tensor([[300.0, -400.0]]).to(F16), 1e-12);
        assert_eq!((y.dtype(), y.to(F32).round().to_vec::<f32>().unwrap()), (F16, vec![1.0, -1.0]));
        let e = check::layer(UnitNorm::new().axes([4]), &types![f32[2, 3]]).unwrap_err();
        assert!(e.to_string().contains("axes [4], got f32[2, 3]"), "{e}");
    }
}
