//! Rotary position embeddings.

use super::rope_scaling::{RopeScaling, positive};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::{DType, Ellipsis, Error, Tensor, concat, stack};
use serde::{Deserialize, Serialize};

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
    pub fn scaling(self, scaling: impl Into<RopeScaling>) -> Rope {
        Rope { scaling: scaling.into(), ..self }
    }

    /// Sets the position of the first element in the layer.
    pub fn offset(self, offset: i64) -> Rope {
        Rope { offset, ..self }
    }

    /// Returns what is wrong with the options, for heads of `depth` features.
    fn mistake(&self, depth: usize) -> Option<String> {
        let dims = self.dims.unwrap_or(depth);
        if dims > depth || dims % 2 == 1 {
            let why = "expected an even number of features, at most those of a head";
            return Some(format!("{why}, {depth}, got {dims}"));
        }
        positive("base", self.base).or_else(|| self.scaling.mistake(dims / 2))
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
    let wide = at_least_f32(x);
    let positions = positions.to(wide.dtype());
    let frequencies = options.scaling.frequencies(options.base, dims / 2, &positions);
    let scale = options.scaling.attention_factor();
    // One angle for each position and pair, equal for all heads.
    let angles = positions.expand_dims(-1).expand_dims(-1) * frequencies;
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

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

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
    use super::super::Yarn;
    use super::*;
    use crate::check;
    use neurax_tensor::dtype_consts::F16;
    use neurax_tensor::{key, types};

    fn yarn() -> RopeScaling {
        Yarn::new(4.0, 8.0).into()
    }

    const LLAMA3: RopeScaling =
        RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64.0 };

    #[test]
    fn is_a_layer() {
        check::layer(Rope::new(), &types![f32[2, 3, 2, 4]]).unwrap();
        check::layer(Rope::new().interleaved().offset(5), &types![f32[3, 1, 4]]).unwrap();
        check::layer(Rope::new().dims(2).base(100.0), &types![f32[2, 3, 1, 6]]).unwrap();
        for scaling in [RopeScaling::Linear(2.0), RopeScaling::Ntk(2.0), yarn(), LLAMA3] {
            check::layer(Rope::new().scaling(scaling), &types![f32[3, 1, 4]]).unwrap();
        }
    }

    #[test]
    fn products_depend_on_the_distance_alone() {
        let (q, k) = (key(0).normal([1, 1, 8]), key(1).normal([1, 1, 8]));
        for options in [Rope::new(), Rope::new().interleaved(), Rope::new().scaling(yarn())] {
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
