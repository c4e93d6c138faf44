//! Multi-head attention.

use super::cache::{self, CachedKeys};
use super::mask::{both, with_heads};
use super::rope::positions;
use super::{Rope, alibi, rope};
use crate::init::{self, Init};
use crate::layer::Closure;
use crate::layers::axes::describe;
use crate::layers::dense::dense_of;
use crate::layers::rms_norm;
use crate::{Cx, Layer, MaskRule, Node, TakeMask};
use neurax_tensor::{AttentionOptions, DType, Error, Tensor, dot_product_attention};
use serde::{Deserialize, Serialize};

/// Multi-head attention: queries, keys and values are products of the inputs with kernels, and the
/// heads' results are multiplied with another kernel. Vaswani et al., Attention Is All You Need
/// (<https://arxiv.org/abs/1706.03762>).
///
/// The inputs are `[batch .., length, features]`: one (self-attention), two (queries, and the
/// source of keys and values), or three (queries, keys, values). With
/// [`MultiHeadAttention::masked`] and [`MultiHeadAttention::biased`], a mask and a bias follow.
/// The result is `[batch .., queries, output]`. Follows `keras.layers.MultiHeadAttention`; the
/// parameters are the matrices `query_kernel` `[features, heads * key_dim]`, `key_kernel`,
/// `value_kernel`, `output_kernel` `[heads * value_dim, output]`, and `query_bias` and so on.
///
/// Scores and probabilities are computed in f32 at least, and not kept for the gradient. A query
/// that attends to no key has the result 0 before the output kernel.
///
/// ```
/// use neurax::prelude::*;
/// let (x, memory) = (nn::input("x", dims![_, 5, 16]), nn::input("memory", dims![_, 7, 16]));
/// let h = x.layer(nn::MultiHeadAttention::new(4, 8).causal().rope(nn::Rope::new()));
/// let model = nn::MultiHeadAttention::new(4, 8).kv_heads(2).call([h, memory]).model();
/// let vars = model.init(key(0), &types![f32[_, 5, 16], f32[_, 7, 16]])?;
/// assert_eq!(vars.params["multi_head_attention_1"]["key_kernel"].shape(), [16, 2 * 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MultiHeadAttention {
    heads: usize,
    key_dim: usize,
    value_dim: Option<usize>,
    kv_heads: Option<usize>,
    output: Option<usize>,
    bias: bool,
    kernel: Init,
    #[serde(default = "init::zeros")]
    bias_init: Init,
    dropout: f64,
    causal: bool,
    window: Option<(usize, usize)>,
    scale: Option<f64>,
    soft_cap: Option<f64>,
    masked: bool,
    biased: bool,
    qk_norm: Option<f64>,
    rope: Option<Rope>,
    alibi: bool,
    cache: Option<usize>,
}

impl MultiHeadAttention {
    /// Creates a layer of `heads` heads, whose queries and keys have `key_dim` features.
    pub fn new(heads: usize, key_dim: usize) -> MultiHeadAttention {
        MultiHeadAttention {
            heads,
            key_dim,
            value_dim: None,
            kv_heads: None,
            output: None,
            bias: true,
            kernel: init::glorot_uniform(),
            bias_init: init::zeros(),
            dropout: 0.0,
            causal: false,
            window: None,
            scale: None,
            soft_cap: None,
            masked: false,
            biased: false,
            qk_norm: None,
            rope: None,
            alibi: false,
            cache: None,
        }
    }

    /// Sets the number of features of the values of a head; the default is that of the keys.
    pub fn value_dim(self, value_dim: usize) -> MultiHeadAttention {
        MultiHeadAttention { value_dim: Some(value_dim), ..self }
    }

    /// Sets the number of heads of keys and values, which divides the number of heads: consecutive
    /// heads share one (grouped-query attention, and multi-query attention for 1).
    pub fn kv_heads(self, kv_heads: usize) -> MultiHeadAttention {
        MultiHeadAttention { kv_heads: Some(kv_heads), ..self }
    }

    /// Sets the number of features of the result; the default is that of the first input.
    pub fn output(self, output: usize) -> MultiHeadAttention {
        MultiHeadAttention { output: Some(output), ..self }
    }

    /// Sets whether the products with the kernels have biases.
    pub fn bias(self, bias: bool) -> MultiHeadAttention {
        MultiHeadAttention { bias, ..self }
    }

    /// Sets the initializer of the kernels.
    pub fn kernel(self, kernel: Init) -> MultiHeadAttention {
        MultiHeadAttention { kernel, ..self }
    }

    /// Sets the initializer of the biases, which is zeros by default.
    pub fn bias_init(self, bias_init: Init) -> MultiHeadAttention {
        MultiHeadAttention { bias_init, ..self }
    }

    /// Sets the fraction of the probabilities that are dropped in training.
    pub fn dropout(self, rate: f64) -> MultiHeadAttention {
        MultiHeadAttention { dropout: rate, ..self }
    }

    /// Lets every position attend to itself and those before it only.
    pub fn causal(self) -> MultiHeadAttention {
        MultiHeadAttention { causal: true, ..self }
    }

    /// Lets every position attend to itself, at most `before` positions before it, and at most
    /// `after` positions after it.
    pub fn window(self, before: usize, after: usize) -> MultiHeadAttention {
        MultiHeadAttention { window: Some((before, after)), ..self }
    }

    /// Sets the factor of the products of queries and keys; the default is `1 / sqrt(key_dim)`.
    pub fn scale(self, scale: f64) -> MultiHeadAttention {
        MultiHeadAttention { scale: Some(scale), ..self }
    }

    /// Bounds scores `s` smoothly: `cap * tanh(s / cap)`.
    pub fn soft_cap(self, cap: f64) -> MultiHeadAttention {
        MultiHeadAttention { soft_cap: Some(cap), ..self }
    }

    /// Makes a mask a further input: bool, true at the keys that a query attends to,
    /// `[batch .., keys]`, `[batch .., queries, keys]` or `[batch .., heads, queries, keys]`, where
    /// sizes may be 1. With a cache, the number of keys is its length.
    pub fn masked(self) -> MultiHeadAttention {
        MultiHeadAttention { masked: true, ..self }
    }

    /// Makes a bias the last input: numbers that are added to the scores, in the layouts of
    /// [`MultiHeadAttention::masked`].
    pub fn biased(self) -> MultiHeadAttention {
        MultiHeadAttention { biased: true, ..self }
    }

    /// Normalizes every query and key with [`rms_norm`] and an epsilon of 1e-6, with parameters
    /// `query_scale` and `key_scale`. Henry et al., Query-Key Normalization for Transformers
    /// (<https://arxiv.org/abs/2010.04245>).
    pub fn qk_norm(self) -> MultiHeadAttention {
        MultiHeadAttention { qk_norm: Some(1e-6), ..self }
    }

    /// Rotates queries and keys by their positions.
    pub fn rope(self, rope: Rope) -> MultiHeadAttention {
        MultiHeadAttention { rope: Some(rope), ..self }
    }

    /// Adds the bias of [`alibi`] to the scores.
    pub fn alibi(self) -> MultiHeadAttention {
        MultiHeadAttention { alibi: true, ..self }
    }

    /// Keeps the keys and values of up to `length` positions in the state, for generation. In
    /// evaluation, the inputs of a call are the positions behind those of earlier calls, and attend
    /// to all of them; attention is causal. The state is `key`, `value` and the scalar `position`;
    /// a fresh state starts a sequence. Initialize the model with the batch size of its use.
    ///
    /// Every call of one length runs the same compiled program. If the cache is full, the result is
    /// NaN. In training, there is no cache.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let layer = nn::MultiHeadAttention::new(2, 4).cache(10);
    /// let model = nn::input("x", dims![_, _, 8]).layer(layer).model();
    /// let mut vars = model.init(key(0), &types![f32[1, _, 8]])?;
    /// let x = key(1).normal([1, 3, 8]);
    /// let full = model.apply(&vars, &x, &Mode::Eval);
    /// for i in 0..3 {
    ///     let step = model.apply(&vars, x.slice(1, i..i + 1), &Mode::Eval);
    ///     let want = full.y().slice(1, i..i + 1);
    ///     assert!(step.y().allclose(&want, 1e-5, 1e-5).item()? == 1.0);
    ///     vars.state = step.state;
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn cache(self, length: usize) -> MultiHeadAttention {
        MultiHeadAttention { cache: Some(length), causal: true, ..self }
    }

    /// Returns the number of masks and biases among the inputs.
    pub(crate) fn extra_inputs(&self) -> usize {
        usize::from(self.masked) + usize::from(self.biased)
    }

    /// Applies the layer to one to four nodes.
    #[track_caller]
    pub(crate) fn node(&self, inputs: &[Node]) -> Node {
        match inputs {
            [x] => self.clone().call([x]),
            [x, y] => self.clone().call([x, y]),
            [x, y, z] => self.clone().call([x, y, z]),
            [x, y, z, w] => self.clone().call([x, y, z, w]),
            _ => {
                let why = format!("expected one to four inputs, got {}", inputs.len());
                let f = move |_: &mut Cx, _: &[Tensor]| vec![Self::fail(why.clone())];
                let kind = "multi_head_attention".to_string();
                Node::of_layer(inputs.to_vec(), Closure { kind, f })
            }
        }
    }

    /// Returns an error of this layer.
    #[track_caller]
    fn fail(why: String) -> Tensor {
        Tensor::from_error(Error::new("multi_head_attention", why))
    }

    /// Returns what is wrong with the options for `sources` inputs.
    fn mistake(&self, sources: usize) -> Option<String> {
        if !(1..=3).contains(&sources) {
            let extras = self.extra_inputs();
            let why = "expected one to three inputs of queries, keys and values, and";
            return Some(format!("{why} {extras} of mask and bias, got {}", sources + extras));
        }
        if self.heads == 0 || self.kv_heads == Some(0) {
            return Some("expected at least one head, got 0".into());
        }
        if self.cache.is_some() && sources != 1 {
            return Some(format!("expected one input of a layer with a cache, got {sources}"));
        }
        let rate = self.dropout;
        (!(0.0..1.0).contains(&rate))
            .then(|| format!("expected a dropout rate in 0..1, got {rate}"))
    }

    /// Returns the product of `x` with a kernel, `[.., outputs]`.
    #[track_caller]
    fn product(&self, cx: &mut Cx, name: &str, x: &Tensor, outputs: usize) -> Tensor {
        let bias = self.bias.then_some(&self.bias_init);
        dense_of(cx, &format!("{name}_"), x, outputs, &self.kernel, bias)
    }

    /// Returns the product of `x` with a kernel, as `heads` vectors of `depth` features.
    #[track_caller]
    fn heads_of(&self, cx: &mut Cx, name: &str, x: &Tensor, heads: usize, depth: usize) -> Tensor {
        let y = self.product(cx, name, x, heads * depth);
        let mut shape = x.shape().to_vec();
        shape.pop();
        shape.extend([heads, depth]);
        y.reshape(shape)
    }

    /// Returns queries or keys, normalized and rotated.
    #[track_caller]
    fn placed(&self, cx: &mut Cx, name: &str, x: Tensor, start: &Tensor) -> Tensor {
        let x = match self.qk_norm {
            Some(epsilon) => {
                let scale = cx.param(&format!("{name}_scale"), x.dim(-1), init::ones());
                rms_norm(&x, &scale, epsilon)
            }
            None => x,
        };
        match &self.rope {
            Some(options) => rope(&x, &positions(start, x.dim(-3)), options),
            None => x,
        }
    }

    /// Returns the options of the op, without mask and bias.
    fn options(&self, cx: &mut Cx, cached: bool) -> AttentionOptions {
        let mut options = AttentionOptions::new();
        // With a cache, the indices of queries and keys differ: the mask has the limits.
        if self.causal && !cached {
            options = options.causal();
        }
        if let Some((before, after)) = self.window.filter(|_| !cached) {
            options = options.window(before, after);
        }
        if let Some(scale) = self.scale {
            options = options.scale(scale);
        }
        if let Some(cap) = self.soft_cap {
            options = options.soft_cap(cap);
        }
        match cx.key().filter(|_| self.dropout > 0.0) {
            Some(key) => options.dropout(self.dropout, &key),
            None => options,
        }
    }

    /// Returns the mask `[queries, keys]` of a cache: true for the keys at or before the position
    /// of a query, within the window.
    fn cache_mask(&self, queries: &Tensor, keys: &Tensor) -> Tensor {
        let behind = queries.expand_dims(-1) - keys;
        let causal = behind.ge(0);
        match self.window {
            Some((before, _)) => {
                causal.logical_and(behind.le(before.min(i32::MAX as usize) as i64))
            }
            None => causal,
        }
    }

    /// Returns the heads' results, `[batch .., queries, heads, value_dim]`.
    #[track_caller]
    fn attend(&self, cx: &mut Cx, [q, k, v]: [&Tensor; 3], rest: &[Tensor]) -> Tensor {
        let (kv_heads, depth) = (self.kv_heads.unwrap_or(self.heads), self.key_dim);
        let cached = self.cache.map(|length| (length, cache::position(cx)));
        let cached = cached.filter(|_| !cx.training());
        let start = match &cached {
            Some((_, position)) => position.clone(),
            None => Tensor::zeros(()).to(DType::I32),
        };
        let query = self.heads_of(cx, "query", q, self.heads, depth);
        let key = self.heads_of(cx, "key", k, kv_heads, depth);
        let value = self.heads_of(cx, "value", v, kv_heads, self.value_dim.unwrap_or(depth));
        let query = self.placed(cx, "query", query, &start);
        let key = self.placed(cx, "key", key, &start);
        let mut rest = rest.iter();
        let mut extra = |given: bool, what: &str| {
            let x = if given { rest.next()? } else { return None };
            Some(with_heads(x, q.rank(), "multi_head_attention", what))
        };
        let (mut mask, mut bias) = (extra(self.masked, "mask"), extra(self.biased, "bias"));
        let queries = positions(&start, q.dim(-2));
        let all = cached.as_ref().map(|(n, at)| CachedKeys::append(cx, *n, at, [&key, &value]));
        let (key, value) = all.as_ref().map_or((&key, &value), |all| (&all.key, &all.value));
        let keys = Tensor::arange(if key.error().is_some() { 0 } else { key.dim(-3) });
        if all.is_some() {
            mask = both(mask, Some(self.cache_mask(&queries, &keys)));
        }
        if self.alibi {
            let slopes = alibi(self.heads, &queries, &keys);
            bias = Some(bias.map_or(slopes.clone(), |bias| bias + slopes));
        }
        let mut options = self.options(cx, all.is_some());
        options = mask.iter().fold(options, |o, mask| o.mask(mask));
        options = bias.iter().fold(options, |o, bias| o.bias(bias));
        let y = dot_product_attention(&query, key, value, options);
        all.map_or(y.clone(), |all| all.unless_full(y))
    }
}

impl<const N: usize> Layer<N> for MultiHeadAttention {
    const NAME: &'static str = "multi_head_attention";
    type Output = Tensor;

    /// Takes the mask of the keys: that of input 1, or of the only one of self-attention.
    fn mask_rule(&self) -> MaskRule {
        let sources = N.saturating_sub(self.extra_inputs());
        // The mask of a cache has other lengths.
        let takes = !self.masked && self.cache.is_none();
        match takes.then(|| TakeMask::of(self.clone().masked(), N)).flatten() {
            Some(taken) => MaskRule::Take(taken.from_input(usize::from(sources > 1), sources)),
            None => MaskRule::KeepOfFirst { outputs: 1 },
        }
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> Tensor {
        let (xs, rest) = inputs.split_at(N.saturating_sub(self.extra_inputs()));
        if let Some(why) = self.mistake(xs.len()) {
            return MultiHeadAttention::fail(why);
        }
        if let Some(x) = xs.iter().find(|x| x.rank() < 2) {
            let got = describe(x);
            let why = format!("expected inputs [batch .., length, features], got {got}");
            return MultiHeadAttention::fail(why);
        }
        let (q, k, v) = match xs {
            [q, k, v] => (q, k, v),
            [q, memory] => (q, memory, memory),
            // other: one input, as checked above.
            _ => (&inputs[0], &inputs[0], &inputs[0]),
        };
        let heads = self.attend(cx, [q, k, v], rest);
        if heads.error().is_some() {
            return heads;
        }
        let mut shape = heads.shape().to_vec();
        let features = shape.split_off(shape.len() - 2).iter().product();
        shape.push(features);
        let outputs = self.output.unwrap_or(q.dim(-1));
        self.product(cx, "output", &heads.reshape(shape), outputs)
    }
}

impl Node {
    /// Applies multi-head self-attention with `heads` heads of `key_dim` features: see
    /// [`MultiHeadAttention`].
    #[track_caller]
    pub fn multi_head_attention(&self, heads: usize, key_dim: usize) -> Node {
        self.layer(MultiHeadAttention::new(heads, key_dim))
    }
}

#[cfg(test)]
mod tests;
