//! Masks of sequences: ordinary nodes, bools `[batch, time]`, that layers take as inputs.

use crate::layer::call_shared;
use crate::layers::axes::describe;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, MaskRule, Node, TakeMask};
use neurax_tensor::{DType, Error, Result, Tensor, keep};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::sync::Arc;

/// Creates the mask of tokens, integers `[batch, time]`: true where the token is not `padding`.
///
/// ```
/// use neurax::prelude::*;
/// let tokens = nn::typed_input("tokens", I32, dims![_, _]);
/// let mask = nn::mask_of(&tokens, 0);
/// let h = nn::Lstm::new(4).masked().call([&tokens.embedding(10, 3), &mask]);
/// let y = nn::MaskedMean::new().call([&h, &mask]);
/// let vars = y.init(key(0), &types![i32[_, 5]])?;
/// // Padding does not change the result.
/// let [a, b] = [tensor([[3, 4, 0, 0, 0]]), tensor([[3, 4]])]
///     .map(|x| y.apply(&vars, x, &Mode::Eval).y().clone());
/// assert!(a.allclose(b, 1e-6, 1e-6).to_vec::<bool>()?[0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn mask_of(tokens: impl Borrow<Node>, padding: i64) -> Node {
    Mask { padding }.call([tokens])
}

/// The layer of [`mask_of`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mask {
    padding: i64,
}

impl Layer for Mask {
    const NAME: &'static str = "mask";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        x.not_equal(self.padding)
    }
}

/// The layer that finds the steps of `x`, `[batch, time, features]`, whose features are all equal
/// to a value: it returns `x` with zeros there, and the mask, which is false there. `x` carries the
/// mask: see [`Node::with_mask`].
///
/// ```
/// use neurax::prelude::*;
/// let (x, mask) = nn::input("x", dims![_, _, 2]).layer(nn::Masking::new(-1.0));
/// let model = Model::new([("x", x), ("mask", mask)]);
/// let x = tensor([[[-1.0, 3.0], [-1.0, -1.0]]]);
/// let out = model.apply(&Vars::default(), x, &Mode::Eval);
/// assert_eq!(out["x"].to_vec::<f32>()?, [-1.0, 3.0, 0.0, 0.0]);
/// assert_eq!(out["mask"].to_vec::<bool>()?, [true, false]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Masking {
    value: f64,
}

impl Masking {
    /// Creates a layer that masks steps of the features `value`.
    pub fn new(value: f64) -> Masking {
        Masking { value }
    }
}

impl Layer for Masking {
    const NAME: &'static str = "masking";
    type Output = (Tensor, Tensor);

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> (Tensor, Tensor) {
        if x.rank() < 2 {
            let got = describe(&x);
            let why = format!("expected an input [batch, time, features], got {got}");
            let failed = Tensor::from_error(Error::new(Self::NAME, why));
            return (failed.clone(), failed);
        }
        let differs = x.not_equal(self.value);
        (differs.any(keep(-1)).select(&x, 0.0), differs.any(-1))
    }

    fn call(self, inputs: [impl Borrow<Node>; 1]) -> (Node, Node) {
        let (x, mask) = call_shared(Arc::new(self), inputs, Self::NAME, None);
        (x.with_mask(&mask), mask)
    }
}

/// Computes the mean of `x`, `[batch, time, ..]`, over the steps whose `mask`, bools `[batch,
/// time]`, is true: `[batch, ..]`. The mean of no steps is 0.
///
/// ```
/// use neurax::prelude::*;
/// let (x, mask) = (tensor([[[1.0], [3.0], [8.0]]]), tensor([[true, true, false]]));
/// assert_eq!(nn::layers::masked_mean(&x, &mask).to_vec::<f32>()?, [2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn masked_mean(x: &Tensor, mask: &Tensor) -> Tensor {
    if let Err(e) = check_mask("masked_mean", x, mask) {
        return Tensor::from_error(e);
    }
    let shape: Vec<usize> = mask.shape().iter().copied().collect();
    let mask = mask.reshape([shape, vec![1; x.rank() - 2]].concat());
    let wide = at_least_f32(x);
    let count = mask.to(wide.dtype()).sum(1).maximum(1.0);
    narrow_as(x, mask.select(wide, 0.0).sum(1) / count)
}

/// Checks that `mask` is bools of the first two axes of `x`.
fn check_mask(op: &str, x: &Tensor, mask: &Tensor) -> Result<()> {
    let (x, mask) = (x.ty()?, mask.ty()?);
    if x.rank() < 2 {
        return Err(Error::new(op, format!("expected an input [batch, time, ..], got {x}")));
    }
    let want = &x.shape[..2];
    if mask.dtype != DType::Bool || mask.shape[..] != *want {
        let why = format!("expected a mask bool{want:?}, [batch, time], got {mask}");
        return Err(Error::new(op, why));
    }
    Ok(())
}

/// The layer of [`masked_mean`], the global mean over time of the steps that a mask keeps: its
/// second input, or the one that its only input carries, without which it is the mean of all steps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MaskedMean;

impl MaskedMean {
    /// Creates a layer.
    pub fn new() -> MaskedMean {
        MaskedMean
    }
}

impl Layer for MaskedMean {
    const NAME: &'static str = "masked_mean";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Take(TakeMask::new::<_, 2>(MaskedMean).outputs(0))
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let steps = x.shape().get(..2).map(<[usize]>::to_vec).unwrap_or_default();
        masked_mean(&x, &Tensor::ones(steps).to(DType::Bool))
    }
}

impl Layer<2> for MaskedMean {
    const NAME: &'static str = "masked_mean";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x, mask]: [Tensor; 2]) -> Tensor {
        masked_mean(&x, &mask)
    }
}
