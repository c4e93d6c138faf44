//! The options of attention: [`AttentionOptions`].

use crate::{Key, Tensor};

/// The options of [`crate::dot_product_attention`]. The defaults: scores are scaled by
/// `1 / sqrt(depth)`, and every query attends to every key.
///
/// ```
/// use neurax::{AttentionOptions, dot_product_attention, prelude::*};
/// let x = key(0).normal([1, 4, 2, 8]);
/// let y = dot_product_attention(&x, &x, &x, AttentionOptions::new().causal().soft_cap(30.0));
/// assert_eq!(y.shape(), [1, 4, 2, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    pub(crate) scale: Option<f64>,
    pub(crate) before: Option<usize>,
    pub(crate) after: Option<usize>,
    pub(crate) soft_cap: Option<f64>,
    pub(crate) mask: Option<Tensor>,
    pub(crate) bias: Option<Tensor>,
    pub(crate) dropout: Option<(f64, Key)>,
}

impl AttentionOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0]).reshape([1, 2, 1, 1]);
    /// let q = x.zeros_like();
    /// // Equal scores: every query gets the mean of all values.
    /// let y = dot_product_attention(&q, &x, &x, AttentionOptions::new());
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> AttentionOptions {
        AttentionOptions::default()
    }

    /// Sets the factor of the products of queries and keys.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0]).reshape([1, 2, 1, 1]);
    /// let y = dot_product_attention(&x, &x, &x, AttentionOptions::new().scale(0.0));
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 2.0], "the mean of all values");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn scale(self, scale: f64) -> AttentionOptions {
        AttentionOptions { scale: Some(scale), ..self }
    }

    /// Lets a query attend to keys up to its own index only.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0]).reshape([1, 2, 1, 1]);
    /// let q = x.zeros_like();
    /// let y = dot_product_attention(&q, &x, &x, AttentionOptions::new().causal());
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn causal(self) -> AttentionOptions {
        AttentionOptions { after: Some(0), ..self }
    }

    /// Lets a query attend to the key of its index, at most `before` keys before it, and at
    /// most `after` keys after it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0, 5.0]).reshape([1, 3, 1, 1]);
    /// let q = x.zeros_like();
    /// let y = dot_product_attention(&q, &x, &x, AttentionOptions::new().window(1, 0));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn window(self, before: usize, after: usize) -> AttentionOptions {
        let after = self.after.map_or(after, |limit| limit.min(after));
        AttentionOptions { before: Some(before), after: Some(after), ..self }
    }

    /// Bounds the scores `s` smoothly, as `cap * tanh(s / cap)`, before the bias is added. Gemma
    /// Team, Gemma 2 (<https://arxiv.org/abs/2408.00118>).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (k, v) = (tensor([0.0, 100.0]), tensor([0.0, 1.0]));
    /// let (k, v) = (k.reshape([1, 2, 1, 1]), v.reshape([1, 2, 1, 1]));
    /// let options = AttentionOptions::new().soft_cap(1.0);
    /// let y = dot_product_attention(&Tensor::ones([1, 1, 1, 1]), &k, &v, options).item()?;
    /// assert!((y - 0.731).abs() < 1e-3, "the scores are 0 and 1: {y}");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn soft_cap(self, cap: f64) -> AttentionOptions {
        AttentionOptions { soft_cap: Some(cap), ..self }
    }

    /// Sets a bool mask that is true at the keys that a query attends to. It broadcasts to
    /// `[batch .., heads, queries, keys]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0]).reshape([1, 2, 1, 1]);
    /// let q = x.zeros_like();
    /// let options = AttentionOptions::new().mask(&tensor([true, false]));
    /// assert_eq!(dot_product_attention(&q, &x, &x, options).to_vec::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mask(self, mask: &Tensor) -> AttentionOptions {
        AttentionOptions { mask: Some(mask.clone()), ..self }
    }

    /// Sets numbers that are added to the scores. They broadcast to
    /// `[batch .., heads, queries, keys]`; a key with negative infinity is masked.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0]).reshape([1, 2, 1, 1]);
    /// let q = x.zeros_like();
    /// let options = AttentionOptions::new().bias(&tensor([f32::NEG_INFINITY, 0.0]));
    /// assert_eq!(dot_product_attention(&q, &x, &x, options).to_vec::<f32>()?, [3.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn bias(self, bias: &Tensor) -> AttentionOptions {
        AttentionOptions { bias: Some(bias.clone()), ..self }
    }

    /// Sets the fraction of the probabilities that become 0, chosen by `key`; the others are
    /// divided by `1 - rate`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::ones([1, 2, 1, 1]);
    /// let options = AttentionOptions::new().dropout(0.5, &key(0));
    /// let y = dot_product_attention(&x, &x, &x, options).to_vec::<f32>()?;
    /// // Each of two probabilities of 0.5 became 0 or 1.
    /// assert!(y.iter().all(|y| [0.0, 1.0, 2.0].contains(y)), "{y:?}");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn dropout(self, rate: f64, key: &Key) -> AttentionOptions {
        AttentionOptions { dropout: Some((rate, key.clone())), ..self }
    }
}
