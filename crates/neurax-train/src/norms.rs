//! Norms of gradients and parameters, computed in the compiled step.

use neurax_nn::Params;
use neurax_tensor::{DType, Tensor};

/// The names of the scores.
const GRADIENT_NORM: &str = "gradient_norm";
const WEIGHT_NORM: &str = "weight_norm";

/// The norms that a trainer measures: see [`Trainer::norms`](crate::Trainer::norms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NormDetail {
    /// The norms of all parameters together.
    Global,
    /// The norms of each layer, too.
    ByLayer,
}

/// A norm: of the gradients or the parameters, of all layers or one.
#[derive(Clone, Debug)]
pub(crate) struct NormOf {
    is_gradient: bool,
    /// `None` for all.
    layer: Option<String>,
}

impl NormDetail {
    /// Returns the names and norms of these parameters.
    pub fn list(self, params: &Params) -> Vec<(String, NormOf)> {
        let layers = params.keys().filter(|_| self == NormDetail::ByLayer).map(Some);
        let both = |layer: Option<&String>| {
            [true, false].map(|is_gradient| NormOf { is_gradient, layer: layer.cloned() })
        };
        let all = std::iter::once(None).chain(layers).flat_map(both);
        all.map(|norm| (norm.name(), norm)).collect()
    }
}

impl NormOf {
    fn name(&self) -> String {
        let name = if self.is_gradient { GRADIENT_NORM } else { WEIGHT_NORM };
        match &self.layer {
            Some(layer) => format!("{name}[{layer}]"),
            None => name.into(),
        }
    }

    /// Returns the norm in a step, the root of the sum of all squares, in f64, and its weight in
    /// the mean over the steps: 0 if the norm is not finite, else 1. `scale` is the factor of the
    /// gradients, 1 if there is none.
    pub fn of_step(&self, params: &Params, grads: &Params, scale: Option<&Tensor>) -> [Tensor; 2] {
        let norm = self.norm(if self.is_gradient { grads } else { params });
        let norm = match scale {
            Some(scale) if self.is_gradient => norm / scale.to(DType::F64),
            _ => norm,
        };
        let is_finite = norm.is_finite();
        [is_finite.select(norm, 0.0), is_finite.to(DType::F64)]
    }

    fn norm(&self, of: &Params) -> Tensor {
        let chosen = of.iter().filter(|(name, _)| self.layer.as_ref().is_none_or(|l| l == *name));
        let floats = chosen.flat_map(|(_, own)| own.values()).filter(|t| t.dtype().is_float());
        let sum_of_squares = |t: &Tensor| {
            let wide = t.to(t.dtype().at_least_f32());
            wide.square().sum(..).to(DType::F64)
        };
        let zero = Tensor::scalar(DType::F64, 0.0);
        floats.fold(zero, |sum, t| sum + sum_of_squares(t)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;
    use std::collections::BTreeMap;

    #[test]
    fn norms_are_roots_of_sums_of_squares_of_all_layers_or_one() {
        let layer = |w: Tensor, b: Tensor| {
            BTreeMap::from([("bias".to_string(), b), ("kernel".to_string(), w)])
        };
        let params = Params::from([
            ("a".to_string(), layer(tensor([[3.0, 0.0]]), tensor([4.0]))),
            ("b".to_string(), layer(tensor([[12.0]]), tensor([7]))),
        ]);
        let grads: Params = params
            .iter()
            .map(|(name, own)| {
                (name.clone(), own.iter().map(|(n, t)| (n.clone(), t * 2)).collect())
            })
            .collect();
        let list = NormDetail::ByLayer.list(&params);
        let value = |norm: &NormOf| {
            norm.of_step(&params, &grads, Some(&tensor(4.0))).map(|x| x.item().unwrap())
        };
        let found: Vec<(&str, f64)> =
            list.iter().map(|(n, of)| (n.as_str(), value(of)[0])).collect();
        let want = [
            ("gradient_norm", 6.5),
            ("weight_norm", 13.0),
            ("gradient_norm[a]", 2.5),
            ("weight_norm[a]", 5.0),
            ("gradient_norm[b]", 6.0),
            ("weight_norm[b]", 12.0),
        ];
        assert_eq!(found, want, "integers do not count");
        assert_eq!(NormDetail::Global.list(&params).len(), 2);
        let bad = Params::from([("a".to_string(), layer(tensor([f32::NAN]), tensor([1.0])))]);
        let found = list[0].1.of_step(&params, &bad, None);
        assert_eq!(found.map(|x| x.item().unwrap()), [0.0, 0.0]);
    }
}
