//! Sums, means and maxima of embeddings.

use super::embedding;
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
    table: Init,
}

impl EmbeddingBag {
    /// Creates a layer with a table of `count` rows of `features` numbers that computes means.
    pub fn new(count: usize, features: usize) -> EmbeddingBag {
        let (mode, table) = (BagMode::Mean, init::normal(1.0));
        EmbeddingBag { count, features, mode, padding: None, table }
    }

    /// Sets the reduction.
    pub fn mode(self, mode: BagMode) -> EmbeddingBag {
        EmbeddingBag { mode, ..self }
    }

    /// Sets the index that stands for padding, which is left out.
    pub fn padding(self, index: usize) -> EmbeddingBag {
        EmbeddingBag { padding: i64::try_from(index).ok(), ..self }
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
        let table = cx.param("table", [self.count, self.features], self.table.clone());
        if let Ok(ty) = indices.ty()
            && ty.rank() == 0
        {
            let why = format!("expected indices [.., n], got {ty}");
            return Tensor::from_error(Error::new("embedding_bag", why));
        }
        let vectors = embedding(&indices, &table);
        let wide = at_least_f32(&vectors);
        let is_padding = match self.padding {
            Some(index) => indices.equal(index).expand_dims(-1),
            None => indices.not_equal(&indices).expand_dims(-1),
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
    use neurax_tensor::types;

    #[test]
    fn is_a_layer() {
        for mode in [BagMode::Mean, BagMode::Sum, BagMode::Max] {
            check::layer(EmbeddingBag::new(5, 3).mode(mode), &types![i32[2, 4]]).unwrap();
            let padded = EmbeddingBag::new(5, 3).mode(mode).padding(1);
            check::layer(padded, &types![i32[2, 4]]).unwrap();
        }
        check::layer(EmbeddingBag::new(5, 3).mode(BagMode::Max).padding(0), &types![i32[2, 2]])
            .unwrap();
    }

    #[test]
    fn inputs_that_are_no_bags_are_errors() {
        let e = check::layer(EmbeddingBag::new(5, 3), &types![i32[]]).unwrap_err().to_string();
        assert!(e.contains("expected indices [.., n], got i32[]"), "{e}");
        let e = check::layer(EmbeddingBag::new(5, 3), &types![f32[2]]).unwrap_err().to_string();
        assert!(e.contains("expected integer indices"), "{e}");
    }
}
