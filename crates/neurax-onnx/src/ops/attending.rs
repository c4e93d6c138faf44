//! Scaled dot-product attention with all that operators of ONNX add to it.
//!
//! The result is one call of [`dot_product_attention`], which the compiler knows, unless a caller
//! also wants the scores or the probabilities, or something that this function does not have:
//! sinks, or a softmax of less precision. Scores are computed in f32 for narrower dtypes.

use super::normalization::wide;
use neurax_tensor::{AttentionOptions, DType, Tensor, concat, dot_product_attention, keep};

/// An attention of queries `[batch, heads, queries, depth]` to keys `[batch, key heads, keys,
/// depth]` with values `[batch, key heads, keys, value depth]`.
///
/// Masks and biases broadcast to `[batch, heads, queries, keys]`. Consecutive heads share a key
/// head.
pub(crate) struct Attention {
    pub(crate) query: Tensor,
    pub(crate) key: Tensor,
    pub(crate) value: Tensor,
    /// The factor of the scores; `None` for the reciprocal root of the depth.
    pub(crate) scale: Option<f64>,
    /// The bound `b` of scores `s`, which become `b tanh(s / b)`; 0 for none.
    pub(crate) soft_cap: f64,
    /// The keys that a query sees by their positions.
    pub(crate) window: Window,
    /// True at the keys that a query sees.
    pub(crate) mask: Option<Tensor>,
    /// The numbers that are added to the scores.
    pub(crate) bias: Option<Tensor>,
    /// For each head, the score of a key with the value 0, `[heads]`.
    pub(crate) sinks: Option<Tensor>,
    /// The dtype of the softmax; `None` for that of the scores.
    pub(crate) softmax: Option<DType>,
}

/// The keys that a query sees: those at most `before` in front of its position, and at most `after`
/// behind it; `None` is no limit.
#[derive(Clone, Default)]
pub(crate) struct Window {
    pub(crate) before: Option<usize>,
    pub(crate) after: Option<usize>,
    /// The position of the first query: a number, or one for each of the batch.
    pub(crate) offset: Offset,
}

/// The number of keys in front of the first query.
#[derive(Clone)]
pub(crate) enum Offset {
    Known(usize),
    /// Integers, `[batch]`.
    OfBatch(Tensor),
}

impl Default for Offset {
    fn default() -> Offset {
        Offset::Known(0)
    }
}

impl Window {
    /// Returns the mask `[queries, keys]` or `[batch, 1, queries, keys]`; `None` if there is no
    /// limit.
    pub(crate) fn mask(&self, queries: usize, keys: usize) -> Option<Tensor> {
        let at = Tensor::arange(queries).expand_dims(1);
        let at = match &self.offset {
            Offset::Known(offset) => at + *offset,
            Offset::OfBatch(offsets) => at + offsets.reshape([offsets.dim(0), 1, 1, 1]),
        };
        let distance = Tensor::arange(keys) - at;
        let largest = i32::MAX as usize / 2;
        let after = self.after.map(|n| distance.le(n.min(largest)));
        let before = self.before.map(|n| distance.ge(-(n.min(largest) as i64)));
        both(after, before)
    }

    fn is_limited(&self) -> bool {
        self.before.is_some() || self.after.is_some()
    }
}

/// Returns the conjunction of two masks, of which each may be absent.
pub(crate) fn both(x: Option<Tensor>, y: Option<Tensor>) -> Option<Tensor> {
    match (x, y) {
        (Some(x), Some(y)) => Some(x.logical_and(y)),
        (x, y) => x.or(y),
    }
}

impl Attention {
    /// Creates an attention without options.
    pub(crate) fn new(query: Tensor, key: Tensor, value: Tensor) -> Attention {
        Attention {
            query,
            key,
            value,
            scale: None,
            soft_cap: 0.0,
            window: Window::default(),
            mask: None,
            bias: None,
            sinks: None,
            softmax: None,
        }
    }

    /// Returns the result, `[batch, heads, queries, value depth]`, in the dtype of the queries.
    pub(crate) fn result(&self) -> Tensor {
        if self.is_less_precise() || self.sinks.is_some() {
            return self.weighted(&self.probabilities());
        }
        // A softmax of more precision: that of all, as the operation has one dtype.
        let dtype = self.softmax.filter(|&d| d == DType::F64).unwrap_or(self.query.dtype());
        let swapped = |x: &Tensor| x.to(dtype).swap_axes(1, 2);
        let (query, key, value) = (swapped(&self.query), swapped(&self.key), swapped(&self.value));
        let y = dot_product_attention(&query, &key, &value, self.options());
        y.swap_axes(1, 2).to(self.query.dtype())
    }

    /// Returns true if the softmax has a dtype with fewer bits than that of the scores.
    fn is_less_precise(&self) -> bool {
        self.softmax.is_some_and(|dtype| dtype.bits() < wide(&self.query).bits())
    }

    fn options(&self) -> AttentionOptions {
        let mut options = AttentionOptions::new();
        if let Some(scale) = self.scale {
            options = options.scale(scale);
        }
        if self.soft_cap > 0.0 {
            options = options.soft_cap(self.soft_cap);
        }
        let (queries, keys) = (self.query.dim(2), self.key.dim(2));
        let mut mask = self.mask.clone();
        match (&self.window.offset, self.window.before, self.window.after) {
            (Offset::Known(0), None, Some(0)) => options = options.causal(),
            (Offset::Known(0), before, after) if self.window.is_limited() => {
                options = options.window(before.unwrap_or(queries), after.unwrap_or(keys));
            }
            _ => mask = both(mask, self.window.mask(queries, keys)),
        }
        if let Some(mask) = mask {
            options = options.mask(&mask);
        }
        if let Some(bias) = &self.bias {
            options = options.bias(bias);
        }
        options
    }

    /// Returns the scaled products of queries and keys.
    pub(crate) fn scores(&self) -> Tensor {
        let (query, key) = (self.query.to(wide(&self.query)), self.key.to(wide(&self.query)));
        let depth = self.query.dim(-1).max(1) as f64;
        let scale = self.scale.unwrap_or(1.0 / depth.sqrt());
        (query * scale).matmul(self.for_each_head(&key).t())
    }

    /// Repeats keys or values for the heads that share them.
    fn for_each_head(&self, x: &Tensor) -> Tensor {
        match self.query.dim(1).checked_div(x.dim(1)) {
            Some(times) if times > 1 => x.repeat(times, 1),
            _ => x.clone(),
        }
    }

    /// Returns the scores within their bound.
    pub(crate) fn capped(&self) -> Tensor {
        match self.soft_cap > 0.0 {
            true => (self.scores() / self.soft_cap).tanh() * self.soft_cap,
            false => self.scores(),
        }
    }

    /// Returns the capped scores with bias, negative infinity at keys that are not seen.
    pub(crate) fn biased(&self) -> Tensor {
        let (queries, keys) = (self.query.dim(2), self.key.dim(2));
        let mut mask = both(self.mask.clone(), self.window.mask(queries, keys));
        let mut scores = self.capped();
        if let Some(bias) = &self.bias {
            // Also where a score is NaN, a bias of negative infinity masks it.
            mask = both(mask, Some(bias.not_equal(f64::NEG_INFINITY)));
            scores += bias.to(wide(&self.query));
        }
        mask.map_or(scores.clone(), |mask| mask.select(scores, f64::NEG_INFINITY))
    }

    /// Returns the probabilities of the keys, 0 for a query that sees none.
    pub(crate) fn probabilities(&self) -> Tensor {
        let scores = self.biased();
        let scores = self.softmax.map_or(scores.clone(), |dtype| scores.to(dtype));
        let Some(sinks) = &self.sinks else { return softmax(&scores) };
        let shape = scores.shape();
        let mut column = shape.to_vec();
        column[3] = 1;
        let sinks = sinks.to(scores.dtype()).reshape([sinks.dim(0), 1, 1]).broadcast_to(column);
        softmax(&concat([&scores, &sinks], 3)).slice(3, ..shape[3] as i64)
    }

    /// Returns the values weighted by probabilities.
    pub(crate) fn weighted(&self, probabilities: &Tensor) -> Tensor {
        let value = self.for_each_head(&self.value.to(wide(&self.query)));
        probabilities.to(wide(&self.query)).matmul(value).to(self.query.dtype())
    }
}

/// Computes the softmax over the last axis, 0 for rows of negative infinity.
pub(crate) fn softmax(scores: &Tensor) -> Tensor {
    let largest = scores.max(keep(-1));
    let largest = largest.equal(f64::NEG_INFINITY).select(0.0, largest);
    let powers = (scores - largest).exp();
    let sum = powers.sum(keep(-1));
    powers / sum.equal(0.0).select(1.0, &sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_counted_from_the_offset() {
        let window = Window { before: Some(1), after: Some(0), offset: Offset::Known(1) };
        let mask = window.mask(2, 4).map(|m| m.to_vec::<bool>().unwrap());
        let (f, t) = (false, true);
        assert_eq!(mask, Some(vec![t, t, f, f, f, t, t, f]));
        assert!(Window::default().mask(2, 4).is_none());
    }

    #[test]
    fn both_computations_agree() {
        let x = Tensor::arange(24).to(DType::F32).reshape([1, 2, 3, 4]) / 10.0;
        let mut a = Attention::new(x.clone(), x.slice(1, ..1), x.slice(1, 1..));
        a.soft_cap = 2.0;
        a.window.after = Some(0);
        a.bias = Some(Tensor::from_vec(vec![0.5f32, f32::NEG_INFINITY, 0.0], [3]));
        let (y, z) = (a.result(), a.weighted(&a.probabilities()));
        assert!(y.allclose(z, 1e-5, 1e-5).item().unwrap() == 1.0);
    }
}
