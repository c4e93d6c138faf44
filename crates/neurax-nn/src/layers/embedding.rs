//! The embedding layer.

use crate::init::{self, Init};
use crate::layer::call_shared;
use crate::precision::{at_least_f32, narrow_as, wide_index};
use crate::{Cx, Layer, MaskRule, Node, SharedLayer};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::sync::Arc;

/// Returns the rows of `table` that `indices` names: `table` is `[count, features]`, `indices` are
/// integers `[..]`, the result is `[.., features]`. The row of an index outside of `0..count`,
/// which is no row of the table, is NaN and has no gradient.
///
/// ```
/// use neurax::prelude::*;
/// let table = tensor([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]);
/// let y = nn::layers::embedding(&tensor([2, 0]), &table);
/// assert_eq!(y.to_vec::<f32>()?, [2.0, 2.5, 0.0, 0.5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn embedding(indices: &Tensor, table: &Tensor) -> Tensor {
    index_error(indices).unwrap_or_else(|| only_rows(indices, table.dim(0), table.take(indices, 0)))
}

/// Returns the rows `y` of a table of `count` rows, with NaN in place of those of indices that are
/// outside of it: [`Tensor::take`] counts negative indices from the end and clamps large ones.
#[track_caller]
pub(super) fn only_rows(indices: &Tensor, count: usize, y: Tensor) -> Tensor {
    let indices = wide_index(indices);
    let is_inside = indices.ge(0) & indices.lt(count);
    is_inside.expand_dims(-1).select(y, f64::NAN)
}

/// Returns vectors along the last axis, of which longer ones are scaled to the norm `max_norm`. The
/// norm is computed in f32 at least, and only where it scales: that of zeros has no derivative.
#[track_caller]
pub(super) fn limited(y: &Tensor, max_norm: f64) -> Tensor {
    let wide = at_least_f32(y);
    let square = wide.square().sum(neurax_tensor::keep(-1));
    let is_long = square.gt(max_norm * max_norm);
    let norm = is_long.select(square, 1.0).sqrt();
    narrow_as(y, is_long.select(&wide * (max_norm / norm), wide))
}

/// Returns the error of indices that are not integers.
#[track_caller]
pub(super) fn index_error(indices: &Tensor) -> Option<Tensor> {
    let t = indices.ty().ok().filter(|t| !t.dtype.is_int())?;
    let why = format!("expected integer indices, got {t}; convert them with `to(I32)`");
    Some(Tensor::from_error(Error::new("embedding", why)))
}

/// The layer of [`embedding`], with a parameter `table` of `count` rows: a vector of `features`
/// numbers for each index; NaN for an index outside of `0..count`.
///
/// ```
/// use neurax::prelude::*;
/// let tokens = nn::typed_input("tokens", I32, dims![_, 4]);
/// let model = tokens.layer(nn::Embedding::new(100, 8));
/// let vars = model.init(key(0), &types![i32[_, 4]])?;
/// assert_eq!(vars.params["embedding"]["table"].shape(), [100, 8]);
/// let y = model.apply(&vars, Tensor::zeros([2, 4]).to(I32), &Mode::Eval);
/// assert_eq!(y.y().shape(), [2, 4, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Embedding {
    count: usize,
    features: usize,
    padding: Option<i64>,
    max_norm: Option<f64>,
    table: Init,
}

impl Embedding {
    /// Creates a layer with a table of `count` rows of `features` numbers, which is initialized
    /// with [`init::normal`] of deviation 1, as in PyTorch.
    pub fn new(count: usize, features: usize) -> Embedding {
        let table = init::normal(1.0);
        Embedding { count, features, padding: None, max_norm: None, table }
    }

    /// Sets the index that stands for padding: its vector is zeros, and the table gets no gradient
    /// for it.
    pub fn padding(self, index: usize) -> Embedding {
        Embedding { padding: i64::try_from(index).ok(), ..self }
    }

    /// Scales vectors whose norm is larger to the norm `max_norm`. The table itself is not changed,
    /// and the gradient is that of the scaled vectors, unlike in PyTorch, which scales the table.
    pub fn max_norm(self, max_norm: f64) -> Embedding {
        Embedding { max_norm: Some(max_norm), ..self }
    }

    /// Sets the initializer of the table.
    pub fn table(self, table: Init) -> Embedding {
        Embedding { table, ..self }
    }
}

impl Layer for Embedding {
    const NAME: &'static str = "embedding";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [indices]: [Tensor; 1]) -> Tensor {
        if let Some(failed) = index_error(&indices) {
            return failed;
        }
        let y = cx.rows(&indices, "table", [self.count, self.features], self.table.clone());
        let mut y = only_rows(&indices, self.count, y);
        if let Some(max) = self.max_norm {
            y = limited(&y, max);
        }
        match self.padding {
            Some(index) => indices.equal(index).expand_dims(-1).select(0.0, y),
            None => y,
        }
    }
}

impl SharedLayer<Embedding> {
    /// Returns the products of vectors with all rows of the table, a tied output layer: `x` is
    /// `[.., features]`, the result `[.., count]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let words = nn::shared(nn::Embedding::new(100, 8));
    /// let hidden = words.call(&nn::typed_input("tokens", I32, dims![_, 4])).dense(8).relu();
    /// let logits = words.attend(&hidden);
    /// let vars = logits.init(key(0), &types![i32[_, 4]])?;
    /// assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["dense", "embedding"]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn attend(&self, x: impl Borrow<Node>) -> Node {
        let layer = Arc::new(Attend((*self.layer).clone()));
        let name = self.name_or(<Embedding as Layer>::NAME);
        call_shared(layer, [x], name, Some(self.shared.clone()))
    }
}

/// The layer of [`SharedLayer::attend`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Attend(Embedding);

impl Layer for Attend {
    const NAME: &'static str = "attend";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let Embedding { count, features, table, .. } = &self.0;
        cx.matmul_transposed(&x, "table", [*count, *features], table.clone())
    }
}

impl Node {
    /// Replaces each index by a vector of `features` numbers from a table of `count` rows: see
    /// [`Embedding`].
    #[track_caller]
    pub fn embedding(&self, count: usize, features: usize) -> Node {
        self.layer(Embedding::new(count, features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Vars, check, shared, typed_input};
    use neurax_tensor::dtype_consts::I32;
    use neurax_tensor::{DType, dims, key, tensor, types, value_and_grad_at};

    #[test]
    fn is_a_layer() {
        check::layer(Embedding::new(5, 3), &types![i32[2, 4]]).unwrap();
        check::layer(Embedding::new(5, 3).padding(1).max_norm(1.0), &types![i64[2]]).unwrap();
    }

    #[test]
    fn limits_of_zero_rows_and_of_narrow_rows_are_finite() {
        let rows = tensor([[0.0, 0.0], [3.0, 4.0]]);
        let (_, slopes) = value_and_grad_at(&rows, |rows| limited(&rows, 1.0).sum(..));
        assert_eq!(slopes.slice(0, ..1).to_vec::<f32>().unwrap(), [1.0, 1.0]);
        assert!(slopes.to_vec::<f32>().unwrap().iter().all(|s| s.is_finite()));
        let narrow = limited(&tensor([[300.0, 0.0]]).to(DType::F16), 1.0);
        assert_eq!(narrow.to(DType::F32).to_vec::<f32>().unwrap(), [1.0, 0.0]);
    }

    #[test]
    fn indices_outside_of_the_table_are_nan_without_a_gradient() {
        let table = tensor([[1.0, 2.0], [3.0, 4.0]]);
        for dtype in [DType::I32, DType::I8, DType::I64] {
            let indices = tensor([-1, 1, 2]).to(dtype);
            let y = embedding(&indices, &table).to_vec::<f32>().unwrap();
            assert_eq!(y[2..4], [3.0, 4.0], "{dtype}");
            assert!(y[..2].iter().chain(&y[4..]).all(|y| y.is_nan()), "{dtype}: {y:?}");
        }
        let sum = |t: Tensor| embedding(&tensor([-1, 1, 2]), &t).sum(..);
        let (_, gradient) = value_and_grad_at(&table, sum);
        assert_eq!(gradient.to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0, 1.0]);
        let wide = tensor([3, 255]).to(DType::U8);
        assert_eq!(embedding(&wide, &Tensor::ones([300, 1])).to_vec::<f32>().unwrap(), [1.0, 1.0]);

        let model = typed_input("x", I32, dims![_]).embedding(2, 2).model();
        let vars = model.init(key(0), &types![i32[_]]).unwrap();
        let all = |vars: &Vars| {
            let y = model.apply(vars, tensor([-1, 0, 2]), &Mode::Eval);
            y.y().is_nan().to_vec::<bool>().unwrap()
        };
        let want = [true, true, false, false, true, true];
        assert_eq!(all(&vars), want);
        let small = crate::quantize::weights(&vars, "embedding.table", crate::Scheme::Int8);
        assert_eq!(all(&small.unwrap().vars), want);
    }

    #[test]
    fn padding_is_zeros_without_a_gradient_and_norms_are_limited() {
        let layer = Embedding::new(3, 2).padding(1).max_norm(1.0);
        let model = typed_input("x", I32, dims![_]).layer(layer).model();
        let mut vars = Vars::default();
        let table = tensor([[3.0, 4.0], [7.0, 7.0], [0.5, 0.0]]);
        vars.params.entry("embedding".into()).or_default().insert("table".into(), table);
        let x = tensor([0, 1, 2]);
        let apply = |p: &crate::Params| {
            let out = model.apply_with(p, &vars.state, &x, &Mode::Eval);
            out.y().clone()
        };
        let y = apply(&vars.params).to_vec::<f32>().unwrap();
        let want = [0.6, 0.8, 0.0, 0.0, 0.5, 0.0];
        assert!(y.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{y:?}");
        let (_, grads) = value_and_grad_at(&vars.params, |p| apply(&p).sum(..));
        let rows = grads["embedding"]["table"].to_vec::<f32>().unwrap();
        assert_eq!(rows[2..4], [0.0; 2]);
        assert_eq!(rows[4..6], [1.0; 2]);
    }

    #[test]
    fn a_tied_output_layer_uses_the_table() {
        let words = shared(Embedding::new(3, 2)).named("words");
        let y = words.attend(words.call(typed_input("x", I32, dims![_])));
        let vars = y.init(key(0), &types![i32[_]]).unwrap();
        let table = &vars.params["words"]["table"];
        let want = table.matmul(table.swap_axes(0, 1)).to_vec::<f32>().unwrap();
        let have = y.apply(&vars, tensor([0, 1, 2]), &Mode::Eval).y().to_vec::<f32>().unwrap();
        assert_eq!(have, want);
        assert_eq!(y.model().nodes().count(), 2);
    }

    #[test]
    fn indices_that_are_no_integers_are_an_error() {
        let e = check::layer(Embedding::new(3, 2), &types![f32[2]]).unwrap_err().to_string();
        assert!(
            e.contains("expected integer indices, got f32[2]") && e.contains("in layer"),
            "{e}"
        );
    }
}
