//! Rules that change the frequencies of rotary position embeddings for contexts longer than those
//! in training, as in `modeling_rope_utils` of the library `transformers`.

use neurax_tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// The rule that changes the frequencies of [`Rope`](super::Rope) for contexts longer than those in
/// training, as in the library `transformers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RopeScaling {
    /// No change.
    None,
    /// Divides positions by the factor. Chen et al., Extending Context Window via Positional
    /// Interpolation (<https://arxiv.org/abs/2306.15595>).
    Linear(f64),
    /// Raises the base such that the lowest frequency is divided by the factor, and the highest
    /// stays ("NTK-aware").
    Ntk(f64),
    /// The rule `Ntk` with a factor that grows with the sequence: 1 up to the length of the
    /// contexts in training, and `factor · n / original - factor + 1` for a sequence of `n`
    /// positions, of which the largest position of the call is the last. With a cache, keys of
    /// earlier calls keep the factor of their call, so that a sequence beyond `original` differs
    /// from one full pass.
    Dynamic {
        /// The factor.
        factor: f64,
        /// The length of the contexts in training.
        original: f64,
    },
    /// Divides low frequencies by a factor, and keeps high ones: see [`Yarn`].
    Yarn(Yarn),
    /// Divides each frequency by a separate factor: see [`LongRope`]. With a cache, keys of earlier
    /// calls keep their factors, as with `Dynamic`.
    LongRope(LongRope),
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

/// The options of [`RopeScaling::Yarn`]: frequencies below a number of rotations in a context of
/// the training are divided by the factor, high ones are kept. Peng et al., YaRN
/// (<https://arxiv.org/abs/2309.00071>).
///
/// Sine and cosine are multiplied by the attention factor, `0.1 ln(factor) + 1` by default.
///
/// ```
/// use neurax::prelude::*;
/// // The options of DeepSeek-V2.
/// let yarn = nn::Yarn::new(40.0, 4096.0).mscale(0.707, 0.707);
/// let x = Tensor::ones([2, 1, 64]);
/// let y = nn::layers::rope(&x, &Tensor::arange(2), &nn::Rope::new().scaling(yarn));
/// assert_eq!(y.get(0).to_vec::<f32>()?, [1.0; 64]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Yarn {
    factor: f64,
    original: f64,
    fast: f64,
    slow: f64,
    #[serde(default)]
    exact: bool,
    attention_factor: Option<f64>,
    mscale: Option<[f64; 2]>,
}

impl Yarn {
    /// Creates the rule that divides by `factor`, for a model that was trained with contexts of
    /// `original` positions.
    pub fn new(factor: f64, original: f64) -> Yarn {
        let (fast, slow) = (32.0, 1.0);
        Yarn { factor, original, fast, slow, exact: false, attention_factor: None, mscale: None }
    }

    /// Sets the number of rotations in a context of the training from which on a frequency is kept,
    /// 32 by default (`beta_fast`).
    pub fn fast(self, fast: f64) -> Yarn {
        Yarn { fast, ..self }
    }

    /// Sets the number of rotations below which a frequency is divided by the factor, 1 by default
    /// (`beta_slow`).
    pub fn slow(self, slow: f64) -> Yarn {
        Yarn { slow, ..self }
    }

    /// Sets whether the range between the two is rounded to whole features, as by default.
    pub fn truncate(self, truncate: bool) -> Yarn {
        Yarn { exact: !truncate, ..self }
    }

    /// Sets the factor of sine and cosine.
    pub fn attention_factor(self, factor: f64) -> Yarn {
        Yarn { attention_factor: Some(factor), ..self }
    }

    /// Sets the factor of sine and cosine to the quotient of `0.1 m ln(factor) + 1` for the two
    /// numbers `m`, `mscale` and `mscale_all_dim`, as in DeepSeek-V2, unless
    /// [`Yarn::attention_factor`] is set.
    pub fn mscale(self, mscale: f64, all_dim: f64) -> Yarn {
        Yarn { mscale: Some([mscale, all_dim]), ..self }
    }

    /// Returns the number by which sine and cosine are multiplied.
    fn scale(&self) -> f64 {
        let of = |m: f64| if self.factor <= 1.0 { 1.0 } else { 0.1 * m * self.factor.ln() + 1.0 };
        self.attention_factor.unwrap_or_else(|| match self.mscale {
            // Without one of the numbers, `transformers` ignores both.
            Some([m, all]) if m != 0.0 && all != 0.0 => of(m) / of(all),
            _ => of(1.0),
        })
    }

    /// Returns the changed frequencies of `plain`, which are those of the base `base`.
    fn frequencies(&self, plain: &[f64], base: f64) -> Vec<f64> {
        let n = plain.len() as f64;
        let at =
            |rotations: f64| 2.0 * n * (self.original / (rotations * TAU)).ln() / (2.0 * base.ln());
        let (low, high) = match self.exact {
            true => (at(self.fast), at(self.slow)),
            false => (at(self.fast).floor(), at(self.slow).ceil()),
        };
        let (low, high) = (low.max(0.0), high.min(2.0 * n - 1.0));
        let width = if high == low { 0.001 } else { high - low };
        let divided = |i: usize| ((i as f64 - low) / width).clamp(0.0, 1.0);
        let mix = |(i, f): (usize, &f64)| f / self.factor * divided(i) + f * (1.0 - divided(i));
        plain.iter().enumerate().map(mix).collect()
    }

    fn mistake(&self) -> Option<String> {
        positive("factor", self.factor)
            .or_else(|| positive("original length", self.original))
            .or_else(|| positive("fast", self.fast))
            .or_else(|| positive("slow", self.slow))
            .or_else(|| positive("attention factor", self.scale()))
    }
}

/// The options of [`RopeScaling::LongRope`]: each frequency is divided by a separate factor, one
/// of a list for sequences up to the length of the contexts in training, and one of another list
/// for longer ones, as in Phi-3. Ding et al., LongRoPE (<https://arxiv.org/abs/2402.13753>).
///
/// The length of the sequence is the largest position of the call plus one, so that all positions
/// of a call have the same factors. Sine and cosine are multiplied by the attention factor,
/// `sqrt(1 + ln(factor) / ln(original))` by default.
///
/// ```
/// use neurax::prelude::*;
/// let long = nn::LongRope::new([1.0, 1.0], [1.0, 4.0], 4.0).attention_factor(1.0);
/// let options = nn::Rope::new().scaling(long);
/// let x = tensor([[[0.0, 1.0, 0.0, 0.0]]]);
/// let at = |p: i64| nn::layers::rope(&x, &Tensor::full(1, p), &options).to_vec::<f32>();
/// assert!((at(3)?[3] - (3.0f32 / 100.0).sin()).abs() < 1e-6);
/// assert!((at(4)?[3] - (4.0f32 / 400.0).sin()).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LongRope {
    short: Vec<f64>,
    long: Vec<f64>,
    original: f64,
    factor: f64,
    attention_factor: Option<f64>,
}

impl LongRope {
    /// Creates the rule with the divisors of the frequencies of sequences of up to `original`
    /// positions and of longer ones, one divisor for each pair of features.
    pub fn new(short: impl AsRef<[f64]>, long: impl AsRef<[f64]>, original: f64) -> LongRope {
        let [short, long] = [short.as_ref(), long.as_ref()].map(<[f64]>::to_vec);
        LongRope { short, long, original, factor: 1.0, attention_factor: None }
    }

    /// Sets the quotient of the longest sequence and `original`, from which the attention factor
    /// follows; 1 by default.
    pub fn factor(self, factor: f64) -> LongRope {
        LongRope { factor, ..self }
    }

    /// Sets the factor of sine and cosine.
    pub fn attention_factor(self, factor: f64) -> LongRope {
        LongRope { attention_factor: Some(factor), ..self }
    }

    /// Returns the number by which sine and cosine are multiplied.
    fn scale(&self) -> f64 {
        self.attention_factor.unwrap_or_else(|| match self.factor <= 1.0 {
            true => 1.0,
            false => (1.0 + self.factor.ln() / self.original.ln()).sqrt(),
        })
    }

    fn mistake(&self, pairs: usize) -> Option<String> {
        for (name, factors) in [("short", &self.short), ("long", &self.long)] {
            if factors.len() != pairs {
                let got = factors.len();
                let why = format!("expected a {name} factor for each of {pairs} pairs of features");
                return Some(format!("{why}, got {got}"));
            }
            let bad = factors.iter().find_map(|&f| positive(&format!("{name} factor"), f));
            if bad.is_some() {
                return bad;
            }
        }
        positive("original length", self.original)
            .or_else(|| positive("factor", self.factor))
            .or_else(|| positive("attention factor", self.scale()))
    }
}

/// Defines the conversion of the options of a rule to the rule.
macro_rules! rules {
    ($($Rule:ident)*) => {$(
        impl From<$Rule> for RopeScaling {
            fn from(rule: $Rule) -> RopeScaling {
                RopeScaling::$Rule(rule)
            }
        }
    )*};
}
rules!(Yarn LongRope);

impl RopeScaling {
    /// Returns the number by which sine and cosine are multiplied.
    pub(super) fn attention_factor(&self) -> f64 {
        match self {
            RopeScaling::Yarn(yarn) => yarn.scale(),
            RopeScaling::LongRope(long) => long.scale(),
            RopeScaling::None
            | RopeScaling::Linear(_)
            | RopeScaling::Ntk(_)
            | RopeScaling::Dynamic { .. }
            | RopeScaling::Llama3 { .. } => 1.0,
        }
    }

    /// Returns the radians per position of each of `pairs` pairs, `[pairs]`, in the dtype of
    /// `positions`, which are floats.
    #[track_caller]
    pub(super) fn frequencies(&self, base: f64, pairs: usize, positions: &Tensor) -> Tensor {
        let n = pairs as f64;
        let wave = |base: f64| (0..pairs).map(move |i| base.powf(-(i as f64) / n));
        let plain: Vec<f64> = wave(base).collect();
        let list = |fs: Vec<f64>| Tensor::from_vec(fs, [pairs]).to(positions.dtype());
        // Without positions there is no sequence, and the length does not matter.
        let longest = || match positions.size() {
            0 => Tensor::zeros_of(positions.dtype(), ()),
            _ => positions.max(..) + 1.0,
        };
        match self {
            RopeScaling::None => list(plain),
            RopeScaling::Linear(factor) => list(plain.iter().map(|f| f / factor).collect()),
            RopeScaling::Ntk(factor) => {
                list(wave(base * factor.powf(n / (n - 1.0).max(1.0))).collect())
            }
            RopeScaling::Dynamic { factor, original } => {
                let grown = longest().maximum(*original) * (factor / original) - (factor - 1.0);
                let exponents = (0..pairs).map(|i| -(i as f64) / (n - 1.0).max(1.0)).collect();
                list(plain) * grown.pow(list(exponents))
            }
            RopeScaling::Yarn(yarn) => list(yarn.frequencies(&plain, base)),
            RopeScaling::LongRope(rule) => {
                let divided =
                    |by: &[f64]| list(plain.iter().zip(by).map(|(f, by)| f / by).collect());
                longest().gt(rule.original).select(divided(&rule.long), divided(&rule.short))
            }
            RopeScaling::Llama3 { factor, low, high, original } => {
                let scaled = |f: &f64| {
                    let periods = original * f / TAU;
                    let kept = ((periods - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - kept) * f / factor + kept * f
                };
                list(plain.iter().map(scaled).collect())
            }
        }
    }

    /// Returns what is wrong with the options, for `pairs` pairs of features.
    pub(super) fn mistake(&self, pairs: usize) -> Option<String> {
        match self {
            RopeScaling::None => None,
            RopeScaling::Linear(factor) | RopeScaling::Ntk(factor) => positive("factor", *factor),
            RopeScaling::Dynamic { factor, original } => {
                positive("factor", *factor).or_else(|| positive("original length", *original))
            }
            RopeScaling::Yarn(yarn) => yarn.mistake(),
            RopeScaling::LongRope(long) => long.mistake(pairs),
            RopeScaling::Llama3 { factor, low, high, original } => positive("factor", *factor)
                .or_else(|| positive("original length", *original))
                .or_else(|| positive("low", *low))
                .or_else(|| positive("difference of high and low", high - low)),
        }
    }
}

/// Returns what is wrong with a number that must be positive.
pub(super) fn positive(what: &str, x: f64) -> Option<String> {
    (!x.is_finite() || x <= 0.0).then(|| format!("expected a positive {what}, got {x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layers::{Rope, rope};
    use neurax_tensor::{jit, key, tensor, types};

    fn long() -> LongRope {
        LongRope::new([1.0, 1.5], [2.0, 4.0], 6.0).factor(2.0)
    }

    #[test]
    fn rules_pass_the_checks_of_layers() {
        let dynamic = RopeScaling::Dynamic { factor: 2.0, original: 2.0 };
        let exact = Yarn::new(4.0, 8.0).truncate(false).mscale(0.5, 1.0);
        for scaling in [dynamic, long().into(), exact.into()] {
            check::layer(Rope::new().scaling(scaling), &types![f32[2, 3, 1, 4]]).unwrap();
        }
    }

    #[test]
    fn the_length_of_the_sequence_chooses_the_frequencies() {
        let x = key(0).normal([2, 3, 1, 4]);
        let at = |positions: &Tensor, scaling: RopeScaling| {
            let options = Rope::new().scaling(scaling);
            let run = jit(|(x, p): (Tensor, Tensor)| rope(&x, &p, &options));
            run.run((x.clone(), positions.clone())).unwrap().to_vec::<f32>().unwrap()
        };
        let of = |factors: [f64; 2]| LongRope::new(factors, factors, 6.0).factor(2.0).into();
        let short = tensor([[0, 1, 2], [3, 4, 5]]);
        assert_eq!(at(&short, long().into()), at(&short, of([1.0, 1.5])));
        // One longer sequence changes all of the call.
        let longer = tensor([[0, 1, 2], [4, 5, 6]]);
        assert_eq!(at(&longer, long().into()), at(&longer, of([2.0, 4.0])));
        let dynamic = || RopeScaling::Dynamic { factor: 3.0, original: 6.0 };
        assert_eq!(at(&short, dynamic()), at(&short, RopeScaling::None));
        let grown = at(&longer, RopeScaling::Ntk(3.0 * 7.0 / 6.0 - 2.0));
        let found = at(&longer, dynamic());
        assert!(found.iter().zip(&grown).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {grown:?}");
        let none = Tensor::arange(0);
        let y = rope(&x.slice(1, ..0), &none, &Rope::new().scaling(long()));
        assert_eq!(y.shape(), [2, 0, 1, 4]);
    }

    #[test]
    fn options_outside_of_their_ranges_are_errors() {
        let message = |scaling: RopeScaling| {
            let y =
                rope(&Tensor::ones([2, 1, 4]), &Tensor::arange(2), &Rope::new().scaling(scaling));
            y.error().map(|e| e.to_string()).unwrap()
        };
        let e = message(LongRope::new([1.0], [1.0, 2.0], 4.0).into());
        assert!(e.contains("a short factor for each of 2 pairs of features, got 1"), "{e}");
        let e = message(LongRope::new([1.0, 1.0], [1.0, 0.0], 4.0).into());
        assert!(e.contains("expected a positive long factor, got 0"), "{e}");
        let e = message(Yarn::new(2.0, 8.0).attention_factor(-1.0).into());
        assert!(e.contains("expected a positive attention factor, got -1"), "{e}");
        let e = message(RopeScaling::Dynamic { factor: 2.0, original: 0.0 });
        assert!(e.contains("expected a positive original length, got 0"), "{e}");
    }

    #[test]
    fn files_without_the_options_of_yarn_are_read() {
        let json = r#"{"Yarn":{"factor":4.0,"original":8.0,"fast":32.0,"slow":1.0}}"#;
        let yarn: RopeScaling = serde_json::from_str(json).unwrap();
        assert_eq!(yarn, Yarn::new(4.0, 8.0).into());
    }
}
