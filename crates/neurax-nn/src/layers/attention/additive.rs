//! Additive attention.

use super::mask::with_heads;
use crate::init;
use crate::layers::axes::describe;
use crate::layers::dropout::{dropout, rate_error};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, MaskRule, TakeMask};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// Computes for each query the mean of the values, weighted by the softmax of
/// `sum(scale · tanh(query + key))` over the keys: `query` is `[batch .., queries, features]`,
/// `key` `[batch .., keys, features]`, `value` `[batch .., keys, value features]`, `scale`
/// `[features]`. `mask` is bool and broadcasts to `[batch .., queries, keys]`: true for the keys
/// that a query attends to; without any key the result is 0. Bahdanau, Cho and Bengio
/// (<https://arxiv.org/abs/1409.0473>).
///
/// ```
/// use neurax::prelude::*;
/// let (query, key) = (tensor([[0.0]]), tensor([[0.0], [20.0]]));
/// let value = tensor([[1.0], [2.0]]);
/// let y = nn::layers::additive_attention(&query, &key, &value, &tensor([3f32.ln()]), None);
/// assert!((y.item()? - 1.75).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn additive_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    scale: &Tensor,
    mask: Option<&Tensor>,
) -> Tensor {
    let p = probabilities(query, key, Some(scale), mask);
    narrow_as(value, p.matmul(at_least_f32(value)))
}

/// Returns the probabilities, `[batch .., queries, keys]`, f32 at least.
#[track_caller]
fn probabilities(
    query: &Tensor,
    key: &Tensor,
    scale: Option<&Tensor>,
    mask: Option<&Tensor>,
) -> Tensor {
    let (query, key) = (at_least_f32(query), at_least_f32(key));
    let s = (query.expand_dims(-2) + key.expand_dims(-3)).tanh();
    let s = scale.map_or(s.clone(), |scale| s * scale).sum(-1);
    match mask {
        // Finite, so that a row without keys is no NaN.
        Some(mask) => mask.select(mask.select(s, f64::from(f32::MIN)).softmax(-1), 0.0),
        None => s.softmax(-1),
    }
}

/// The layer of [`additive_attention`], with a parameter `scale`.
///
/// The inputs are queries and values, which are the keys, too, or queries, keys and values; with
/// [`AdditiveAttention::masked`], a mask follows. Follows `keras.layers.AdditiveAttention`.
///
/// ```
/// use neurax::prelude::*;
/// let (query, memory) = (nn::input("query", dims![_, 2, 8]), nn::input("memory", dims![_, 5, 8]));
/// let model = nn::AdditiveAttention::new().call([query, memory]).model();
/// let vars = model.init(key(0), &types![f32[_, 2, 8], f32[_, 5, 8]])?;
/// assert_eq!(vars.params["additive_attention"]["scale"].shape(), [8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdditiveAttention {
    scaled: bool,
    dropout: f64,
    masked: bool,
}

impl Default for AdditiveAttention {
    fn default() -> AdditiveAttention {
        AdditiveAttention::new()
    }
}

impl AdditiveAttention {
    /// Creates a layer with a scale and without dropout.
    pub fn new() -> AdditiveAttention {
        AdditiveAttention { scaled: true, dropout: 0.0, masked: false }
    }

    /// Sets whether there is a scale, which is initialized with [`init::glorot_uniform`].
    pub fn scaled(self, scaled: bool) -> AdditiveAttention {
        AdditiveAttention { scaled, ..self }
    }

    /// Sets the fraction of the probabilities that are dropped in training.
    pub fn dropout(self, rate: f64) -> AdditiveAttention {
        AdditiveAttention { dropout: rate, ..self }
    }

    /// Makes a mask the last input: bool, `[batch .., keys]` or `[batch .., queries, keys]`.
    pub fn masked(self) -> AdditiveAttention {
        AdditiveAttention { masked: true, ..self }
    }
}

impl<const N: usize> Layer<N> for AdditiveAttention {
    const NAME: &'static str = "additive_attention";
    type Output = Tensor;

    /// Takes the mask of the keys, input 1.
    fn mask_rule(&self) -> MaskRule {
        match (!self.masked).then(|| TakeMask::of(self.clone().masked(), N)).flatten() {
            Some(taken) => MaskRule::Take(taken.from_input(1, N)),
            None => MaskRule::KeepOfFirst { outputs: 1 },
        }
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> Tensor {
        if let Some(e) = rate_error("additive_attention", self.dropout) {
            return Tensor::from_error(e);
        }
        let fail = |why: String| Tensor::from_error(Error::new("additive_attention", why));
        let (xs, rest) = inputs.split_at(N.saturating_sub(self.masked as usize));
        let (query, key, value) = match xs {
            [query, value] => (query, value, value),
            [query, key, value] => (query, key, value),
            _ => {
                let mask = if self.masked { " and a mask" } else { "" };
                let why = format!("expected queries and values, or queries, keys and values{mask}");
                return fail(format!("{why}, got {N} inputs"));
            }
        };
        if let Some(x) = xs.iter().find(|x| x.rank() < 2) {
            let got = describe(x);
            return fail(format!("expected inputs [batch .., length, features], got {got}"));
        }
        let scale = self.scaled.then(|| cx.param("scale", query.dim(-1), init::glorot_uniform()));
        // The axis of heads is not needed here.
        let mask = rest.first().map(|m| with_heads(m, query.rank(), "additive_attention", "mask"));
        let mask = mask.map(|m| m.squeeze(-3));
        let mut p = probabilities(query, key, scale.as_ref(), mask.as_ref());
        if let Some(key) = cx.key().filter(|_| self.dropout != 0.0) {
            p = dropout(&p, self.dropout, &key);
        }
        narrow_as(value, p.matmul(at_least_f32(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{tensor, types};

    #[test]
    fn is_a_layer() {
        let two = types![f32[2, 3, 4], f32[2, 5, 4]];
        check::nodes(|xs| AdditiveAttention::new().call(xs), &two).unwrap();
        check::nodes(|xs| AdditiveAttention::new().scaled(false).dropout(0.2).call(xs), &two)
            .unwrap();
        let masked = types![f32[2, 3, 4], f32[2, 5, 4], f32[2, 5, 2], bool[2, 5]];
        check::nodes(|xs| AdditiveAttention::new().masked().call(xs), &masked).unwrap();
    }

    #[test]
    fn masked_keys_have_no_influence() {
        let (q, k) = (tensor([[0.5], [1.0]]), tensor([[1.0], [2.0], [3.0]]));
        let mask = tensor([[true, true, false], [false, false, false]]);
        let scale = Tensor::ones(1);
        let y = additive_attention(&q, &k, &k, &scale, Some(&mask)).to_vec::<f32>().unwrap();
        let two = k.slice(0, ..2);
        let want = additive_attention(&q, &two, &two, &scale, None).to_vec::<f32>().unwrap();
        assert_eq!(y, [want[0], 0.0]);
    }

    #[test]
    fn wrong_inputs_are_errors() {
        let message = |types: &[neurax_tensor::TypeSpec; 1]| {
            let e = check::nodes(|xs: [_; 1]| AdditiveAttention::new().call(xs), types);
            e.unwrap_err().to_string()
        };
        let e = message(&types![f32[2, 3, 4]]);
        assert!(e.contains("queries, keys and values, got 1 inputs"), "{e}");
        let scalars = types![f32[2], f32[2]];
        let e = check::nodes(|xs| AdditiveAttention::new().call(xs), &scalars).unwrap_err();
        assert!(e.to_string().contains("[batch .., length, features], got f32[2]"), "{e}");
    }
}
