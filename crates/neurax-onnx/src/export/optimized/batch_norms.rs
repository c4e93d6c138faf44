//! Folding of batch normalizations into the convolution in front of them.
//!
//! ```text
//! factor = scale / sqrt(var + epsilon)
//! BatchNormalization(Conv(x, w, b))  ->  Conv(x, w * factor, (b - mean) * factor + bias)
//! ```
//!
//! The convolution must have no other reader. The results differ by the rounding of the weights.

use super::{GraphEditor, uses};
use crate::proto::NodeProto;
use neurax_ir::{DType, Result};
use neurax_tensor::{Tensor, Tree};
use std::collections::HashMap;

/// The first version of the operator that normalizes each channel without an option to do
/// otherwise.
const CHANNELS_SINCE: i64 = 9;
/// The number that is added to the variance unless the node has another one.
const DEFAULT_EPSILON: f32 = 1e-5;

impl GraphEditor {
    /// Folds all batch normalizations behind convolutions with constant weights.
    ///
    /// # Errors
    /// If the new weights cannot be computed.
    pub(super) fn fold_batch_norms(&mut self) -> Result<()> {
        if self.opset() < CHANNELS_SINCE {
            return Ok(());
        }
        let mut counts: HashMap<String, usize> = HashMap::new();
        for n in &self.nodes {
            uses::each_use(n, &mut |name| *counts.entry(name.into()).or_default() += 1);
        }
        self.main.outputs.iter().for_each(|y| *counts.entry(y.clone()).or_default() += 1);
        let mut kept: Vec<NodeProto> = vec![];
        // The position of the convolution of each value that nothing but one node reads.
        let mut convolutions: HashMap<String, usize> = HashMap::new();
        for n in std::mem::take(&mut self.nodes) {
            let conv = n.input.first().and_then(|x| convolutions.get(x)).copied();
            if let Some(conv) = conv
                && let Some([weights, bias]) = self.folded(&kept[conv], &n)?
            {
                let name = kept[conv].input.get(1).cloned().unwrap_or_default();
                let weights = self.add_constant(&format!("{name}.folded"), weights);
                let bias = self.add_constant(&format!("{name}.folded_bias"), bias);
                kept[conv].input.truncate(1);
                kept[conv].input.extend([weights, bias]);
                kept[conv].output = n.output.into_iter().take(1).collect();
                continue;
            }
            if let ("Conv", "", [y]) = (n.op_type.as_str(), n.domain.as_str(), &n.output[..])
                && counts.get(y) == Some(&1)
            {
                convolutions.insert(y.clone(), kept.len());
            }
            kept.push(n);
        }
        self.nodes = kept;
        Ok(())
    }

    /// Returns the weights and the bias of a convolution with the normalization `norm` behind it;
    /// `None` if they are not constant or the node is no such normalization.
    fn folded(&self, conv: &NodeProto, norm: &NodeProto) -> Result<Option<[Tensor; 2]>> {
        let is_norm = norm.op_type == "BatchNormalization" && norm.domain.is_empty();
        let attribute = |name: &str| norm.attribute.iter().find(|a| a.name == name);
        let is_training = attribute("training_mode").and_then(|a| a.i).is_some_and(|i| i != 0);
        let has_one_result = norm.output.iter().skip(1).all(|y| y.is_empty());
        if !is_norm || is_training || !has_one_result {
            return Ok(None);
        }
        let constant = |name: &String| self.constants.get(name).cloned();
        let statistics: Option<Vec<Tensor>> = norm.input.iter().skip(1).map(constant).collect();
        let weights = conv.input.get(1).and_then(constant);
        let Some((weights, [scale, bias, mean, var])) =
            weights.zip(statistics.as_ref().and_then(|s| s.first_chunk::<4>()))
        else {
            return Ok(None);
        };
        let old = match conv.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => constant(name),
            None => Some(Tensor::zeros_of(weights.dtype(), weights.dim(0))),
        };
        let Some(old) = old else { return Ok(None) };
        let vectors = [&old, scale, bias, mean, var];
        let channels = vec![weights.dim(0)];
        let fits = vectors.iter().all(|x| x.dtype() == weights.dtype() && *x.shape() == channels);
        if !fits || !matches!(weights.dtype(), DType::F32 | DType::F64) || weights.rank() < 2 {
            return Ok(None);
        }
        let epsilon = attribute("epsilon").and_then(|a| a.f).unwrap_or(DEFAULT_EPSILON);
        let factor = (scale / (var + epsilon as f64).sqrt()).ok()?;
        let shift = ((old - mean) * &factor + bias).ok()?;
        let mut along = vec![1; weights.rank()];
        along[0] = channels[0];
        Ok(Some([(weights * factor.reshape(along)).ok()?, shift]))
    }
}
