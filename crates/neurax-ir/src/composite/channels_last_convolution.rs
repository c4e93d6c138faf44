//! Convolutions of operands whose last axis is that of the features.

use super::{Composite, Derivative, Named};
use crate::graph::attr::attrs;
use crate::op::{Binary, Bound, Convolution, Pad, Sample, Slide, Tangent, rules::*};
use crate::{Builder, DType, FloatAttr, Result, Type, Value, Values};

attrs! {
    /// A convolution that reads and writes arrays `[batch, space .., features]`, so that the
    /// features of one place are neighbors in memory, with what often comes next:
    /// `min(max(conv(x, weights) + bias + added, low), high)`.
    ///
    /// Operands are `(x, weights, bias)` or `(x, weights, bias, added)`. The bias is `[results]`,
    /// and `added` has the shape of the result. The weights are in the order in which a program
    /// that computes [`FEATURE_BLOCK`] features of a result in one vector reads them:
    /// `[blocks, taps .., features, FEATURE_BLOCK]`, where the last block may have features beyond
    /// the results, which are ignored; `[taps .., features]` if each feature of the result is
    /// computed from the same one of the operand.
    pub struct ChannelsLastConvolution = "channels_last_convolution" {
        /// The window positions along each space axis.
        slides: Vec<Slide>,
        /// The features of the result.
        results: usize,
        /// True if each feature of the result is computed from the same one of the operand.
        depthwise: bool,
        /// The least element of the result; negative infinity if there is none.
        low: FloatAttr,
        /// The greatest element of the result; infinity if there is none.
        high: FloatAttr,
    }
}

/// The features of a block of weights: a vector of 512 bits has 16 numbers of f32.
pub const FEATURE_BLOCK: usize = 16;

/// The taps up to which a convolution of each feature by itself is worth having its features last:
/// backends keep a list of the elements under a window.
pub const MAX_DEPTHWISE_PLACES: usize = 64;

impl ChannelsLastConvolution {
    /// Emits the weights `[results, features, taps ..]` of a convolution in the order in which this
    /// one takes them.
    pub fn packed(b: &mut Builder, weights: Value, depthwise: bool) -> Value {
        let shape = b.ty(weights).shape.to_vec();
        let taps = &shape[2..];
        if depthwise {
            let flat = b.reshape(weights, [&shape[..1], taps].concat());
            return b.move_axis(flat, 0, taps.len());
        }
        let blocks = shape[0].div_ceil(FEATURE_BLOCK);
        let missing = blocks * FEATURE_BLOCK - shape[0];
        let mut high = vec![0; shape.len()];
        high[0] = missing as i64;
        let zero = b.scalar(b.dtype(weights), 0.0);
        let pad = Pad { low: vec![0; shape.len()], high, interior: vec![0; shape.len()] };
        let whole = if missing == 0 { weights } else { b.emit(pad, &[weights, zero]) };
        let split = b.reshape(whole, [&[blocks, FEATURE_BLOCK], &shape[1..]].concat());
        let space = 3..3 + taps.len();
        b.transpose(split, &[0].into_iter().chain(space).chain([2, 1]).collect::<Vec<_>>())
    }

    /// Emits weights `[results, features, taps ..]` from packed ones.
    fn unpacked(&self, b: &mut Builder, weights: Value) -> Value {
        let shape = b.ty(weights).shape.to_vec();
        let space = self.slides.len();
        if self.depthwise {
            let first = b.move_axis(weights, space, 0);
            return b.reshape(first, [&[self.results, 1], &shape[..space]].concat());
        }
        let order: Vec<usize> = [0, space + 2, space + 1].into_iter().chain(1..=space).collect();
        let split = b.transpose(weights, &order);
        let taps = &shape[1..=space];
        let rows = shape[0] * FEATURE_BLOCK;
        let whole = b.reshape(split, [&[rows, shape[space + 1]], taps].concat());
        b.slice_axis(whole, 0, 0, self.results)
    }

    /// Returns true if the convolution is one that backends are made for: strides, padding and
    /// dilations have no absurd sizes, and elements of the operand are not apart.
    pub fn is_usual(slides: &[Slide]) -> bool {
        let is_near = |x: i64| x.unsigned_abs() < 1 << 20;
        slides.iter().all(|s| {
            s.base_dilation == 1
                && [s.stride, s.window_dilation].iter().all(|n| *n < 1 << 20)
                && is_near(s.low)
                && is_near(s.high)
        })
    }

    /// Returns the taps along each space axis, for weights of type `weights`.
    pub fn taps<'t>(&self, weights: &'t Type) -> &'t [usize] {
        let from = if self.depthwise { 0 } else { 1 };
        &weights.shape[from..from + self.slides.len()]
    }

    /// Checks the weights and the bias for an operand of `features` features.
    fn check_weights(&self, weights: &Type, bias: &Type, features: usize) -> Result<()> {
        let space = self.slides.len();
        let blocks = self.results.div_ceil(FEATURE_BLOCK);
        let fits = if self.depthwise {
            weights.rank() == space + 1
                && weights.shape[space] == features
                && features == self.results
        } else {
            weights.rank() == space + 3
                && weights.shape[0] == blocks
                && weights.shape[space + 1..] == [features, FEATURE_BLOCK]
        };
        if fits && bias.shape[..] == [self.results] {
            return Ok(());
        }
        let results = self.results;
        let want = match self.depthwise {
            true => format!("[taps .., {features}]"),
            false => format!("[{blocks}, taps .., {features}, {FEATURE_BLOCK}]"),
        };
        let why = format!(
            "expected weights {want} and a bias [{results}] for {features} features and {results} \
             results, got {weights} and {bias}"
        );
        refuse(Self::NAME, why)
    }
}

impl Named for ChannelsLastConvolution {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let (x, weights, bias) = match xs {
            [x, weights, bias] | [x, weights, bias, _] => (x, weights, bias),
            _ => return refuse(Self::NAME, format!("expected 3 or 4 operands, got {}", xs.len())),
        };
        let rank = self.slides.len() + 2;
        if x.rank() != rank || !x.dtype.is_float() || xs.iter().any(|t| t.dtype != x.dtype) {
            let why = format!(
                "expected floating-point operands of one dtype, the first of {rank} axes, got {}",
                list_types(xs)
            );
            return refuse(Self::NAME, why);
        }
        self.check_weights(weights, bias, x.shape[rank - 1])?;
        let mut shape = vec![x.shape[0]];
        for (i, (slide, taps)) in self.slides.iter().zip(self.taps(weights)).enumerate() {
            let at_axis = |why: String| refuse(Self::NAME, format!("axis {} of {x}: {why}", i + 1));
            shape.push(slide.count(x.shape[i + 1], *taps).or_else(at_axis)?);
        }
        shape.push(self.results);
        let y = x.with_shape(shape);
        let (low, high) = (self.low.get(), self.high.get());
        if low.is_nan() || high.is_nan() || low == f64::INFINITY || high == f64::NEG_INFINITY {
            return refuse(Self::NAME, format!("expected limits of numbers, got {low} and {high}"));
        }
        match xs.get(3).filter(|added| **added != y) {
            Some(added) => refuse(Self::NAME, format!("expected {y} to be added, got {added}")),
            None => Ok(vec![y]),
        }
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let last = self.slides.len() + 1;
        let x = b.move_axis(xs[0], last, 1);
        let weights = self.unpacked(b, xs[1]);
        let groups = if self.depthwise { self.results } else { 1 };
        let op = Convolution { slides: self.slides.clone(), groups, dtype: b.dtype(x) };
        let y = b.emit(op, &[x, weights]);
        let mut y = b.move_axis(y, 1, last);
        let shape = b.ty(y).shape.clone();
        let bias = b.broadcast(xs[2], shape, &[last]);
        y = b.add(y, bias);
        for added in &xs[3..] {
            y = b.add(y, *added);
        }
        for (limit, op) in [(self.low, Binary::Max), (self.high, Binary::Min)] {
            if limit.get().is_finite() {
                let limit = b.full_like(y, limit.get());
                y = b.emit(op, &[y, limit]);
            }
        }
        Values::from_slice(&[y])
    }

    fn derivative(&self, _: &mut Builder, _: &Bound, _: &[Tangent]) -> Derivative {
        None
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        None
    }

    fn samples() -> Vec<Sample> {
        let floats = || DType::ALL.into_iter().filter(|d| d.is_float());
        floats().flat_map(|d| SAMPLE_ROWS.iter().map(move |row| row.sample(d))).collect()
    }
}

/// A row of operands for the laws.
struct SampleRow {
    x: &'static [usize],
    taps: &'static [usize],
    slide: Slide,
    results: usize,
    depthwise: bool,
    limits: [f64; 2],
    adds: bool,
}

const PLAIN_SLIDE: Slide =
    Slide { stride: 1, low: 0, high: 0, base_dilation: 1, window_dilation: 1 };

const SAMPLE_ROWS: &[SampleRow] = &[
    SampleRow {
        x: &[2, 4, 3],
        taps: &[2],
        slide: PLAIN_SLIDE,
        results: 5,
        depthwise: false,
        limits: [f64::NEG_INFINITY, f64::INFINITY],
        adds: false,
    },
    SampleRow {
        x: &[1, 4, 3, 2],
        taps: &[3, 2],
        slide: Slide { stride: 2, low: 1, high: 1, ..PLAIN_SLIDE },
        results: 17,
        depthwise: false,
        limits: [-0.25, 0.75],
        adds: true,
    },
    SampleRow {
        x: &[1, 5, 4, 3],
        taps: &[2, 2],
        slide: Slide { window_dilation: 2, high: 1, ..PLAIN_SLIDE },
        results: 3,
        depthwise: true,
        limits: [0.25, f64::INFINITY],
        adds: true,
    },
];

impl SampleRow {
    fn sample(&self, dtype: DType) -> Sample {
        let ty = |shape: &[usize]| Type::new(dtype, shape);
        let space = self.taps.len();
        let features = self.x[space + 1];
        let blocks = self.results.div_ceil(FEATURE_BLOCK);
        let weights = match self.depthwise {
            true => [self.taps, &[features]].concat(),
            false => [&[blocks], self.taps, &[features, FEATURE_BLOCK]].concat(),
        };
        let op = ChannelsLastConvolution {
            slides: vec![self.slide; space],
            results: self.results,
            depthwise: self.depthwise,
            low: self.limits[0].into(),
            high: self.limits[1].into(),
        };
        let mut types = vec![ty(self.x), ty(&weights), ty(&[self.results])];
        if self.adds {
            let y = op.infer(&types).map(|types| types[0].clone());
            types.extend(y.ok());
        }
        let inputs = types.into_iter().map(|t| sample(t, -1.0, 1.0)).collect();
        let has_limits = self.limits.iter().any(|limit| limit.is_finite());
        Sample { op: op.into(), inputs, smooth: dtype == DType::F64 && !has_limits }
    }
}
