//! Position encodings that are added to the features: sinusoidal and learned.

use crate::init::{self, Init};
use crate::layers::axes::describe;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::{DType, Error, Tensor, concat, stack};
use serde::{Deserialize, Serialize};

/// Returns `[length, features]`, f32: for pair `i` of `n` at position `p`, the sine and the cosine
/// of `p · 10000^(-i / n)`. The features of a pair are neighbours, as in Vaswani et al., Attention
/// Is All You Need (<https://arxiv.org/abs/1706.03762>). If `halves`, all sines come before all
/// cosines, and the angles are `p · 10000^(-i / (n - 1))`, as in Tensor2Tensor and Whisper. With an
/// odd number of features, the last cosine is left out.
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::layers::sinusoidal_positions(2, 4, false);
/// let want = tensor([[0.0, 1.0, 0.0, 1.0], [0.8415, 0.5403, 0.01, 0.99995]]);
/// assert_eq!(x.allclose(want, 0.0, 1e-4).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn sinusoidal_positions(length: usize, features: usize, halves: bool) -> Tensor {
    let n = features.div_ceil(2);
    let pairs = if halves { n.saturating_sub(1).max(1) as f64 } else { features as f64 / 2.0 };
    let wave = |i: usize| 10_000f64.powf(-(i as f64) / pairs) as f32;
    let waves = Tensor::from_vec((0..n).map(wave).collect::<Vec<f32>>(), [n]);
    let angles = Tensor::arange(length).to(DType::F32).expand_dims(-1) * waves;
    let (sin, cos) = (angles.sin(), angles.cos());
    let all = match halves {
        true => concat([sin, cos], -1),
        false => stack([sin, cos], -1).reshape([length, 2 * n]),
    };
    all.slice(-1, ..features as i64)
}

/// The layer that adds [`sinusoidal_positions`] to `[.., length, features]`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 5, 8]).layer(nn::SinusoidalPositions::new()).model();
/// let y = model.apply(&Vars::default(), Tensor::zeros([1, 5, 8]), &Mode::Eval);
/// assert_eq!(y.y().get(0).get(0).to_vec::<f32>()?, [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SinusoidalPositions {
    halves: bool,
}

impl SinusoidalPositions {
    /// Creates a layer in which neighbours are the sine and the cosine of an angle.
    pub fn new() -> SinusoidalPositions {
        SinusoidalPositions::default()
    }

    /// Puts all sines before all cosines, as in Tensor2Tensor and Whisper: see
    /// [`sinusoidal_positions`].
    pub fn halves(self) -> SinusoidalPositions {
        SinusoidalPositions { halves: true }
    }
}

impl Layer for SinusoidalPositions {
    const NAME: &'static str = "sinusoidal_positions";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        match needs_length("sinusoidal_positions", &x) {
            Some(e) => e,
            None => added(&x, sinusoidal_positions(x.dim(-2), x.dim(-1), self.halves)),
        }
    }
}

/// The layer that adds a learned vector for every position to `[.., length, features]`. The
/// parameter is `table` `[max_length, features]`. Follows `keras_hub.layers.PositionEmbedding`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 5, 8]).layer(nn::PositionEmbedding::new(100)).model();
/// let vars = model.init(key(0), &types![f32[_, 5, 8]])?;
/// assert_eq!(vars.params["position_embedding"]["table"].shape(), [100, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PositionEmbedding {
    max_length: usize,
    counted: bool,
    table: Init,
}

impl PositionEmbedding {
    /// Creates a layer for up to `max_length` positions, with a table that is initialized with
    /// [`init::normal`] of deviation 0.02, as in GPT-2.
    pub fn new(max_length: usize) -> PositionEmbedding {
        PositionEmbedding { max_length, counted: false, table: init::normal(0.02) }
    }

    /// Keeps the number of positions of earlier calls in the state `position`, for generation
    /// beside layers with a cache: in evaluation, the inputs of a call are the positions behind
    /// those of earlier calls. Beyond the table, the result is NaN.
    pub fn counted(self) -> PositionEmbedding {
        PositionEmbedding { counted: true, ..self }
    }

    /// Sets the initializer of the table.
    pub fn table(self, table: Init) -> PositionEmbedding {
        PositionEmbedding { table, ..self }
    }

    /// Returns the rows of this call.
    #[track_caller]
    fn rows(&self, cx: &mut Cx, table: &Tensor, length: usize) -> Tensor {
        if !self.counted {
            return table.slice(0, ..length as i64);
        }
        let zero = Init::new("zero", |_, s| Tensor::zeros(s).to(DType::I32));
        let start = cx.state("position", (), zero);
        if cx.training() {
            return table.slice(0, ..length as i64);
        }
        let end = &start + length as i64;
        let from = stack([start, Tensor::zeros(()).to(DType::I32)], 0);
        let rows = table.dynamic_slice(from, [length, table.dim(-1)]);
        cx.set("position", end.clone());
        end.le(self.max_length as i64).select(rows, f64::NAN)
    }
}

impl Layer for PositionEmbedding {
    const NAME: &'static str = "position_embedding";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if let Some(e) = needs_length("position_embedding", &x) {
            return e;
        }
        let length = x.dim(-2);
        if length > self.max_length {
            let why = format!("expected at most {} positions, got {length}", self.max_length);
            return Tensor::from_error(Error::new("position_embedding", why));
        }
        let table = cx.param("table", [self.max_length, x.dim(-1)], self.table.clone());
        let rows = self.rows(cx, &table, length);
        added(&x, rows)
    }
}

/// Returns the error of an input without an axis of positions.
fn needs_length(name: &str, x: &Tensor) -> Option<Tensor> {
    let got = describe(x);
    let why = format!("expected an input [.., length, features], got {got}");
    (x.rank() < 2).then(|| Tensor::from_error(Error::new(name, why)))
}

/// Returns the sum of features and positions in the dtype of `x`.
#[track_caller]
fn added(x: &Tensor, positions: Tensor) -> Tensor {
    narrow_as(x, at_least_f32(x) + positions)
}

impl Node {
    /// Adds a learned vector for each of up to `max_length` positions: see [`PositionEmbedding`].
    #[track_caller]
    pub fn position_embedding(&self, max_length: usize) -> Node {
        self.layer(PositionEmbedding::new(max_length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, check, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn are_layers() {
        check::layer(SinusoidalPositions::new(), &types![f32[2, 3, 4]]).unwrap();
        check::layer(SinusoidalPositions::new().halves(), &types![f32[3, 5]]).unwrap();
        check::layer(PositionEmbedding::new(4), &types![f32[2, 3, 4]]).unwrap();
        check::layer(PositionEmbedding::new(4).counted(), &types![f32[2, 3, 4]]).unwrap();
    }

    #[test]
    fn counted_positions_go_on_from_call_to_call() {
        let model = input("x", dims![_, _, 2]).layer(PositionEmbedding::new(3).counted()).model();
        let mut vars = model.init(key(0), &types![f32[1, _, 2]]).unwrap();
        let table = vars.params["position_embedding"]["table"].to_vec::<f32>().unwrap();
        let mut found = vec![];
        for length in [2, 1, 1] {
            let out = model.apply(&vars, Tensor::zeros([1, length, 2]), &Mode::Eval);
            found.extend(out.y().to_vec::<f32>().unwrap());
            vars.state = out.state;
        }
        assert_eq!(found[..6], table);
        assert!(found[6].is_nan());
    }

    #[test]
    fn too_many_positions_and_no_length_are_errors() {
        let message = |types: &[neurax_tensor::TypeSpec; 1]| {
            check::layer(PositionEmbedding::new(2), types).unwrap_err().to_string()
        };
        assert!(message(&types![f32[1, 3, 4]]).contains("expected at most 2 positions, got 3"));
        assert!(message(&types![f32[4]]).contains("[.., length, features], got f32[4]"));
    }
}
