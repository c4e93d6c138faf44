//! Sums, means and maxima of embeddings.

use super::embedding::{index_error, limited, only_rows};
use crate::init::{self, Init};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// The reduction of [`EmbeddingBag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BagMode {
    /// The mean, 0 of an empty bag.
    Mean,
    /// The sum.
    Sum,
    /// The maximum, 0 of an empty bag.
    Max,
}

/// A layer that reduces the vectors of all indices along the last axis: `[.., n]` becomes
/// `[.., features]`. Its parameter `table` is that of [`Embedding`](crate::Embedding). PyTorch's
/// `EmbeddingBag` for bags of one size, which a padding index fills.
///
/// A second input are weights of the indices, `[.., n]`, by which the vectors of a
/// [`BagMode::Sum`] are multiplied: `EmbeddingBag::new(100, 8).mode(BagMode::Sum).call([&tokens,
/// &weights])`.
///
/// ```
/// use neurax::prelude::*;
/// let tokens = nn::typed_input("tokens", I32, dims![_, _]);
/// let model = tokens.layer(nn::EmbeddingBag::new(100, 8).padding(0));
/// let vars = model.init(key(0), &types![i32[_, _]])?;
/// let y = model.apply(&vars, tensor([[3, 7, 0], [5, 0, 0]]), &Mode::Eval);
/// assert_eq!(y.y().shape(), [2, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmbeddingBag {
    count: usize,
    features: usize,
    mode: BagMode,
    padding: Option<i64>,
    max_norm: Option<f64>,
    table: Init,
}

impl EmbeddingBag {
    /// Creates a layer with a table of `count` rows of `features` numbers that computes means.
    pub fn new(count: usize, features: usize) -> EmbeddingBag {
        let (mode, table) = (BagMode::Mean, init::normal(1.0));
        EmbeddingBag { count, features, mode, padding: None, max_norm: None, table }
    }

    /// Sets the reduction.
    pub fn mode(self, mode: BagMode) -> EmbeddingBag {
        EmbeddingBag { mode, ..self }
    }

    /// Sets the index that stands for padding, which is left out.
    pub fn padding(self, index: usize) -> EmbeddingBag {
        EmbeddingBag { padding: i64::try_from(index).ok(), ..self }
    }

    /// Scales vectors whose norm is larger to the norm `max_norm`, as
    /// [`Embedding::max_norm`](crate::Embedding::max_norm).
    pub fn max_norm(self, max_norm: f64) -> EmbeddingBag {
        EmbeddingBag { max_norm: Some(max_norm), ..self }
    }

    /// Sets the initializer of the table.
    pub fn table(self, table: Init) -> EmbeddingBag {
        EmbeddingBag { table, ..self }
    }
}

impl Layer for EmbeddingBag {
    const NAME: &'static str = "embedding_bag";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [indices]: [Tensor; 1]) -> Tensor {
        self.reduced(cx, &indices, None)
    }
}

impl Layer<2> for EmbeddingBag {
    const NAME: &'static str = "embedding_bag";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [indices, weights]: [Tensor; 2]) -> Tensor {
        self.reduced(cx, &indices, Some(&weights))
    }
}

impl EmbeddingBag {
    /// Returns what is wrong with the inputs.
    fn mistake(&self, indices: &Tensor, weights: Option<&Tensor>) -> Option<String> {
        let ty = indices.ty().ok()?;
        if ty.rank() == 0 {
            return Some(format!("expected indices [.., n], got {ty}"));
        }
        let of_weights = weights?.ty().ok()?;
        if self.mode != BagMode::Sum {
            return Some(format!("expected the mode Sum with weights, got {:?}", self.mode));
        }
        let fits = of_weights.shape == ty.shape && of_weights.dtype.is_float();
        (!fits).then(|| format!("expected a float weight for each of {ty}, got {of_weights}"))
    }

    /// Returns the reduced vectors, of which those of a sum have weights.
    #[track_caller]
    fn reduced(&self, cx: &mut Cx, indices: &Tensor, weights: Option<&Tensor>) -> Tensor {
        if let Some(failed) = index_error(indices) {
            return failed;
        }
        let rows = cx.rows(indices, "table", [self.count, self.features], self.table.clone());
        if let Some(why) = self.mistake(indices, weights) {
            return Tensor::from_error(Error::new("embedding_bag", why));
        }
        let vectors = only_rows(indices, self.count, rows);
        let wide = at_least_f32(&vectors);
        let wide = self.max_norm.map_or(wide.clone(), |max| limited(&wide, max));
        let wide = weights.map_or(wide.clone(), |w| &wide * w.expand_dims(-1).to(wide.dtype()));
        let is_padding = match self.padding {
            Some(index) => indices.equal(index).expand_dims(-1),
            None => indices.not_equal(indices).expand_dims(-1),
        };
        let count = is_padding.logical_not().to(wide.dtype()).sum(-2);
        let is_empty = count.equal(0.0);
        let sum = || is_padding.select(0.0, &wide).sum(-2);
        let y = match self.mode {
            BagMode::Sum => sum(),
            BagMode::Mean => sum() / count.maximum(1.0),
            BagMode::Max if indices.dim(-1) == 0 => sum(),
            BagMode::Max => {
                let largest = is_padding.select(f64::NEG_INFINITY, &wide).max(-2);
                is_empty.select(0.0, largest)
            }
        };
        narrow_as(&vectors, y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{TypeSpec, types};

    #[test]
    fn is_a_layer() {
        for mode in [BagMode::Mean, BagMode::Sum, BagMode::Max] {
            check::layer(EmbeddingBag::new(5, 3).mode(mode), &types![i32[2, 4]]).unwrap();
            let padded = EmbeddingBag::new(5, 3).mode(mode).padding(1);
            check::layer(padded, &types![i32[2, 4]]).unwrap();
        }
        let limited = EmbeddingBag::new(5, 3).mode(BagMode::Sum).padding(1).max_norm(0.5);
        check::layer(limited.clone(), &types![i32[2, 4]]).unwrap();
        check::nodes(|x: [_; 2]| limited.call(x), &types![i32[2, 4], f32[2, 4]]).unwrap();
        check::layer(EmbeddingBag::new(5, 3).mode(BagMode::Max).padding(0), &types![i32[2, 2]])
            .unwrap();
    }

    #[test]
    fn inputs_that_are_no_bags_are_errors() {
        let e = check::layer(EmbeddingBag::new(5, 3), &types![i32[]]).unwrap_err().to_string();
        assert!(e.contains("expected indices [.., n], got i32[]"), "{e}");
        let e = check::layer(EmbeddingBag::new(5, 3), &types![f32[2]]).unwrap_err().to_string();
        assert!(e.contains("expected integer indices"), "{e}");
        let weighted = |mode, types: &[TypeSpec; 2]| {
            let layer = EmbeddingBag::new(5, 3).mode(mode);
            check::nodes(|x: [_; 2]| layer.call(x), types).unwrap_err().to_string()
        };
        let e = weighted(BagMode::Mean, &types![i32[2, 4], f32[2, 4]]);
        assert!(e.contains("expected the mode Sum with weights, got Mean"), "{e}");
        let e = weighted(BagMode::Sum, &types![i32[2, 4], f32[2, 3]]);
        assert!(e.contains("a float weight for each of i32[2, 4], got f32[2, 3]"), "{e}");
    }
}
