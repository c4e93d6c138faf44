//! Rotary position embeddings.

use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, Node};
use neurax_tensor::{DType, Ellipsis, Error, Tensor, concat, stack};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// The options of [`rope`], and its layer.
///
/// The defaults are those of Llama: all features of a head are rotated, the pairs are the two
/// halves, and the base is 10,000.
///
/// ```
/// use neurax::prelude::*;
/// let heads = nn::input("heads", dims![_, 16, 4, 8]);
/// let model = heads.layer(nn::Rope::new().base(500_000.0).dims(4)).model();
/// let y = model.apply(&Vars::default(), Tensor::ones([1, 16, 4, 8]), &Mode::Eval);
/// assert_eq!(y.y().shape(), [1, 16, 4, 8]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rope {
    base: f64,
    interleaved: bool,
    dims: Option<usize>,
    scaling: RopeScaling,
    offset: i64,
}

/// The rule that changes the frequencies of [`Rope`] for contexts longer than those in training,
/// as in the library `transformers`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum RopeScaling {
    /// No change.
    None,
    /// Divides positions by the factor. Chen et al., Extending Context Window via Positional
    /// Interpolation (<https://arxiv.org/abs/2306.15595>).
    Linear(f64),
    /// Raises the base such that the lowest frequency is divided by the factor, and the highest
    /// stays ("NTK-aware").
    Ntk(f64),
    /// Divides low frequencies by the factor, and keeps high ones. Peng et al., YaRN
    /// (<https://arxiv.org/abs/2309.00071>).
    Yarn {
        /// The factor.
        factor: f64,
        /// The length of the contexts in training.
        original: f64,
        /// The rotations in such a context from which on a frequency is kept; usually 32.
        fast: f64,
        /// The rotations below which a frequency is divided by the factor; usually 1.
        slow: f64,
    },
    /// Divides frequencies of long waves by the factor, as in Llama 3.1.
    Llama3 {
        /// The factor.
        factor: f64,
        /// The divisor of `original` that is the wavelength from which on frequencies are divided.
        low: f64,
        /// The divisor of `original` that is the wavelength up to which frequencies are kept.
        high: f64,
        /// The length of the contexts in training.
        original: f64,
    },
}

impl Default for Rope {
    fn default() -> Rope {
        Rope::new()
    }
}

impl Rope {
    /// Creates the default options.
    pub fn new() -> Rope {
        let scaling = RopeScaling::None;
        Rope { base: 10_000.0, interleaved: false, dims: None, scaling, offset: 0 }
    }

    /// Sets the base: pair `i` of `n` rotates by `base^(-i / n)` radians per position.
    pub fn base(self, base: f64) -> Rope {
        Rope { base, ..self }
    }

    /// Makes neighbouring features a pair, as in the paper, GPT-J and the original Llama. The
    /// default pairs feature `i` of the first half with feature `i` of the second one, as GPT-NeoX
    /// and `transformers`.
    pub fn interleaved(self) -> Rope {
        Rope { interleaved: true, ..self }
    }

    /// Sets the number of features that are rotated, an even number; those behind stay.
    pub fn dims(self, dims: usize) -> Rope {
        Rope { dims: Some(dims), ..self }
    }

    /// Sets the rule for long contexts.
    pub fn scaling(self, scaling: RopeScaling) -> Rope {
        Rope { scaling, ..self }
    }

    /// Sets the position of the first element in the layer.
    pub fn offset(self, offset: i64) -> Rope {
        Rope { offset, ..self }
    }

    /// Returns the radians per position of each of `pairs` pairs, and the factor of sine and
    /// cosine.
    fn frequencies(&self, pairs: usize) -> (Vec<f64>, f64) {
        let n = pairs as f64;
        let wave = |base: f64| (0..pairs).map(move |i| base.powf(-(i as f64) / n));
        let plain = wave(self.base);
        match self.scaling {
            RopeScaling::None => (plain.collect(), 1.0),
            RopeScaling::Linear(factor) => (plain.map(|f| f / factor).collect(), 1.0),
            RopeScaling::Ntk(factor) => {
                let base = self.base * factor.powf(n / (n - 1.0).max(1.0));
                (wave(base).collect(), 1.0)
            }
            RopeScaling::Yarn { factor, original, fast, slow } => {
                let at = |rotations: f64| {
                    2.0 * n * (original / (rotations * TAU)).ln() / (2.0 * self.base.ln())
                };
                let low = at(fast).floor().max(0.0);
                let high = at(slow).ceil().min(2.0 * n - 1.0);
                let width = if high == low { 0.001 } else { high - low };
                let divided = |i: usize| ((i as f64 - low) / width).clamp(0.0, 1.0);
                let mix = |(i, f): (usize, f64)| f / factor * divided(i) + f * (1.0 - divided(i));
                let scale = if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
                (plain.enumerate().map(mix).collect(), scale)
            }
            RopeScaling::Llama3 { factor, low, high, original } => {
                let scaled = |f: f64| {
                    let periods = original * f / TAU;
                    let kept = ((periods - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - kept) * f / factor + kept * f
                };
                (plain.map(scaled).collect(), 1.0)
            }
        }
    }

    /// Returns what is wrong with the options, for heads of `depth` features.
    fn mistake(&self, depth: usize) -> Option<String> {
        let positive = |what: &str, x: f64| {
            (!x.is_finite() || x <= 0.0).then(|| format!("expected a positive {what}, got {x}"))
        };
        let dims = self.dims.unwrap_or(depth);
        if dims > depth || dims % 2 == 1 {
            let why = "expected an even number of features, at most those of a head";
            return Some(format!("{why}, {depth}, got {dims}"));
        }
        let scaling = match self.scaling {
            RopeScaling::None => None,
            RopeScaling::Linear(factor) | RopeScaling::Ntk(factor) => positive("factor", factor),
            RopeScaling::Yarn { factor, original, fast, slow } => positive("factor", factor)
                .or_else(|| positive("original length", original))
                .or_else(|| positive("fast", fast))
                .or_else(|| positive("slow", slow)),
            RopeScaling::Llama3 { factor, low, high, original } => positive("factor", factor)
                .or_else(|| positive("original length", original))
                .or_else(|| positive("low", low))
                .or_else(|| positive("difference of high and low", high - low)),
        };
        positive("base", self.base).or(scaling)
    }
}

/// Rotates pairs of features by angles that are proportional to the position: `x` is
/// `[.., length, heads, depth]`, `positions` are integers `[length]` or `[.., length]`. Su et al.,
/// RoFormer (<https://arxiv.org/abs/2104.09864>).
///
/// If `x` is a float of fewer than 32 bits, everything is computed in f32, and the result is
/// rounded once.
///
/// # Errors
/// The result carries an error if `x` has fewer than 3 axes, or if an option is out of its range.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[[1.0, 0.0]], [[1.0, 0.0]]]);
/// let y = nn::layers::rope(&x, &Tensor::arange(2), &nn::Rope::new());
/// let want = tensor([[[1.0, 0.0]], [[0.5403, 0.8415]]]);
/// assert_eq!(y.allclose(want, 0.0, 1e-4).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn rope(x: &Tensor, positions: &Tensor, options: &Rope) -> Tensor {
    let Ok(ty) = x.ty() else { return x.clone() };
    if ty.rank() < 3 || !ty.dtype.is_float() {
        let why = format!("expected floats [.., length, heads, depth], got {ty}");
        return Tensor::from_error(Error::new("rope", why));
    }
    if let Some(why) = options.mistake(x.dim(-1)) {
        return Tensor::from_error(Error::new("rope", why));
    }
    let dims = options.dims.unwrap_or(x.dim(-1));
    let (frequencies, scale) = options.frequencies(dims / 2);
    let wide = at_least_f32(x);
    let frequencies = Tensor::from_vec(frequencies, [dims / 2]).to(wide.dtype());
    // One angle for each position and pair, equal for all heads.
    let angles = positions.to(wide.dtype()).expand_dims(-1).expand_dims(-1) * frequencies;
    let (cos, sin) = (angles.cos() * scale, angles.sin() * scale);
    let end = dims as i64;
    let rotated = wide.slice(-1, ..end);
    let y = match options.interleaved {
        true => {
            let mut pairs = rotated.shape().to_vec();
            pairs.pop();
            pairs.extend([dims / 2, 2]);
            let pairs = rotated.reshape(pairs);
            let [a, b] =
                rotate([pairs.index((Ellipsis, 0)), pairs.index((Ellipsis, 1))], &cos, &sin);
            stack([a, b], -1).reshape(rotated.shape())
        }
        false => {
            let halves = [rotated.slice(-1, ..end / 2), rotated.slice(-1, end / 2..)];
            concat(rotate(halves, &cos, &sin), -1)
        }
    };
    let y = if dims < x.dim(-1) { concat([y, wide.slice(-1, end..)], -1) } else { y };
    narrow_as(x, y)
}

/// Rotates vectors of the components `a` and `b`.
fn rotate([a, b]: [Tensor; 2], cos: &Tensor, sin: &Tensor) -> [Tensor; 2] {
    [&a * cos - &b * sin, &b * cos + &a * sin]
}

/// Returns the positions `start..start + length`, where `start` is a scalar.
pub(super) fn positions(start: &Tensor, length: usize) -> Tensor {
    Tensor::arange(length).to(DType::I32) + start
}

impl Layer for Rope {
    const NAME: &'static str = "rope";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let length = if x.rank() < 3 { 0 } else { x.dim(-3) };
        rope(&x, &(Tensor::arange(length) + self.offset), self)
    }
}

impl Node {
    /// Rotates pairs of features of heads `[.., length, heads, depth]` by their positions: see
    /// [`Rope`].
    #[track_caller]
    pub fn rope(&self) -> Node {
        self.layer(Rope::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::dtype_consts::F16;
    use neurax_tensor::{key, types};

    const YARN: RopeScaling =
        RopeScaling::Yarn { factor: 4.0, original: 8.0, fast: 32.0, slow: 1.0 };
    const LLAMA3: RopeScaling =
        RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64.0 };

    #[test]
    fn is_a_layer() {
        check::layer(Rope::new(), &types![f32[2, 3, 2, 4]]).unwrap();
        check::layer(Rope::new().interleaved().offset(5), &types![f32[3, 1, 4]]).unwrap();
        check::layer(Rope::new().dims(2).base(100.0), &types![f32[2, 3, 1, 6]]).unwrap();
        for scaling in [RopeScaling::Linear(2.0), RopeScaling::Ntk(2.0), YARN, LLAMA3] {
            check::layer(Rope::new().scaling(scaling), &types![f32[3, 1, 4]]).unwrap();
        }
    }

    #[test]
    fn products_depend_on_the_distance_alone() {
        let (q, k) = (key(0).normal([1, 1, 8]), key(1).normal([1, 1, 8]));
        for options in [Rope::new(), Rope::new().interleaved(), Rope::new().scaling(YARN)] {
            let at = |x: &Tensor, p: i64| rope(x, &Tensor::full(1, p), &options);
            let product = |i, j| (at(&q, i) * at(&k, j)).sum(..).item().unwrap();
            assert!((product(3, 1) - product(12, 10)).abs() < 1e-5);
            assert!((product(3, 1) - product(3, 2)).abs() > 1e-3);
        }
    }

    #[test]
    fn narrow_floats_and_positions_of_every_example() {
        let x = key(0).normal([2, 3, 1, 4]);
        let positions = neurax_tensor::tensor([[0, 1, 2], [5, 6, 7]]);
        let y = rope(&x, &positions, &Rope::new());
        let second = rope(&x.get(1), &(Tensor::arange(3) + 5), &Rope::new());
        assert_eq!(y.get(1).to_vec::<f32>().unwrap(), second.to_vec::<f32>().unwrap());
        assert_eq!(rope(&x.to(F16), &positions, &Rope::new()).dtype(), F16);
        assert_eq!(rope(&x.slice(1, ..0), &Tensor::arange(0), &Rope::new()).shape(), [2, 0, 1, 4]);
    }

    #[test]
    fn bad_options_are_errors() {
        let x = Tensor::ones([2, 1, 4]);
        let message = |options: Rope| {
            let y = rope(&x, &Tensor::arange(2), &options);
            y.error().map(|e| e.to_string()).unwrap()
        };
        for options in [Rope::new().dims(3), Rope::new().dims(6)] {
            let e = message(options);
            assert!(e.contains("an even number of features, at most those of a head, 4"), "{e}");
        }
        let e = message(Rope::new().base(-1.0));
        assert!(e.contains("expected a positive base, got -1"), "{e}");
        let e = message(Rope::new().scaling(RopeScaling::Linear(0.0)));
        assert!(e.contains("expected a positive factor, got 0"), "{e}");
        let e = rope(&Tensor::ones([2, 4]), &Tensor::arange(2), &Rope::new());
        assert!(e.error().unwrap().to_string().contains("[.., length, heads, depth], got f32[2"));
    }
}
