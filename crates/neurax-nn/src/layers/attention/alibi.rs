//! Attention with linear biases.

use neurax_tensor::Tensor;

/// Returns the slopes of [`alibi`] for each of `heads` heads: powers of 2 from `2^(-8 / heads)` to
/// `2^-8`. If the number of heads is no power of 2, they are those of the power below it, then
/// every other one of the power above it, as in the paper's code.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(nn::layers::alibi_slopes(4), [0.25, 0.0625, 0.015625, 0.00390625]);
/// ```
pub fn alibi_slopes(heads: usize) -> Vec<f64> {
    let powers = |n: usize| (1..=n).map(move |i| (-8.0 * i as f64 / n as f64).exp2());
    let below = if heads == 0 { 0 } else { 1 << heads.ilog2() };
    powers(below).chain(powers(2 * below).step_by(2)).take(heads).collect()
}

/// Returns the bias `-slope · |i - j|` for the distance of the positions `i` of queries, integers
/// `[queries]`, from the positions `j` of keys, integers `[keys]`, for each of `heads` heads; the
/// result is `[heads, queries, keys]`, f32. Press et al., Train Short, Test Long
/// (<https://arxiv.org/abs/2108.12409>).
///
/// ```
/// use neurax::prelude::*;
/// let bias = nn::layers::alibi(2, &Tensor::arange(2), &Tensor::arange(2));
/// assert_eq!(bias.shape(), [2, 2, 2]);
/// assert_eq!(bias.get(0).to_vec::<f32>()?, [0.0, -0.0625, -0.0625, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn alibi(heads: usize, queries: &Tensor, keys: &Tensor) -> Tensor {
    let slopes: Vec<f32> = alibi_slopes(heads).into_iter().map(|s| s as f32).collect();
    let slopes = Tensor::from_vec(slopes, [heads, 1, 1]);
    slopes * -(queries.expand_dims(-1) - keys).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_other_numbers_of_heads_come_from_two_powers() {
        assert_eq!(alibi_slopes(3), [0.0625, 0.003_906_25, 0.25]);
        assert_eq!(alibi_slopes(1), [0.003_906_25]);
        assert!(alibi_slopes(0).is_empty());
        assert_eq!(alibi_slopes(12).len(), 12);
    }
}
