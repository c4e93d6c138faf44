//! Random arguments: mostly small ones, for which a call has a value, and extreme ones.

use neurax::{
    AttentionOptions, Index, Interpolation, Keep, Padding, ResizeOptions, Scalar, SizeOptions,
    Triangle, Windows, keep, prelude::*, step,
};
use neurax_testkit::rng::Rng;
use std::ops::Bound;

/// Sizes that no memory holds, so that what has them must be without elements or an error.
const HUGE: [usize; 5] = [1 << 50, 1 << 62, i64::MAX as usize, usize::MAX - 1, usize::MAX];

/// Integers at the ends of ranges.
const EXTREME: [i64; 8] = [
    i64::MIN,
    i64::MIN + 1,
    i64::MAX,
    i32::MIN as i64 - 1,
    i32::MAX as i64 + 1,
    1 << 40,
    -(1 << 40),
    u32::MAX as i64,
];

const FLOATS: [f64; 10] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    -0.0,
    1e-300,
    1e300,
    -1e300,
];

const DTYPES: [DType; 25] = [
    F32, F32, F32, F64, F16, BF16, I32, I32, I64, U8, BOOL, C64, C128, I8, U64, I16, U32, U16,
    F8E4M3FN, F8E5M2, I1, F8E4M3, F8E8M0FNU, F6E2M3FN, F4E2M1FN,
];

/// The arguments of one call: the tensors, and a generator for the others.
pub struct Draw {
    pub rng: Rng,
    /// The tensors, at least one.
    pub xs: Vec<Tensor>,
    /// The first tensor.
    pub x: Tensor,
}

impl Draw {
    pub fn new(rng: Rng, xs: Vec<Tensor>) -> Draw {
        Draw { rng, x: xs[0].clone(), xs }
    }

    /// Returns one of the tensors.
    pub fn tensor(&mut self) -> Tensor {
        self.rng.pick(&self.xs)
    }

    /// Returns a list of tensors, rarely an empty one.
    pub fn tensors(&mut self) -> Vec<Tensor> {
        let n = if self.rng.one_in(10) { 0 } else { self.rng.between(1, 3) };
        (0..n).map(|_| self.tensor()).collect()
    }

    /// Returns an operand: a tensor or a number.
    pub fn operand(&mut self) -> Arg {
        match self.rng.below(8) {
            0 => Arg::Int(self.int()),
            1 => Arg::Float(self.float()),
            2 => Arg::Bool(self.rng.one_in(2)),
            _ => Arg::Tensor(self.tensor()),
        }
    }

    pub fn size(&mut self) -> usize {
        if self.rng.one_in(10) { self.rng.pick(&HUGE) } else { self.rng.below(6) }
    }

    pub fn int(&mut self) -> i64 {
        if self.rng.one_in(8) { self.rng.pick(&EXTREME) } else { self.rng.below(7) as i64 - 3 }
    }

    pub fn float(&mut self) -> f64 {
        match self.rng.below(4) {
            0 => self.rng.pick(&FLOATS),
            1 => self.rng.below(7) as f64 - 3.0,
            _ => self.rng.range(-3.0, 3.0),
        }
    }

    /// Returns an axis, usually of the first tensor.
    pub fn axis(&mut self) -> i64 {
        let rank = self.x.shape().len();
        match self.rng.below(8) {
            0 => self.int(),
            _ => self.rng.below(2 * rank.max(1)) as i64 - rank as i64,
        }
    }

    pub fn axes(&mut self) -> Axes {
        let all = self.rng.one_in(4);
        let n = self.rng.below(3);
        let list = if all { None } else { Some((0..n).map(|_| self.axis()).collect()) };
        Axes { list, keep: self.rng.one_in(3) }
    }

    pub fn dtype(&mut self) -> DType {
        self.rng.pick(&DTYPES)
    }

    pub fn shape(&mut self) -> Vec<usize> {
        shape(&mut self.rng)
    }

    /// Returns the shape of the first tensor, mostly, behind other axes at times.
    pub fn shape_of_sample(&mut self) -> Vec<usize> {
        let sizes = self.x.shape().to_vec();
        match self.rng.below(4) {
            0 => self.shape(),
            1 => [vec![2], sizes].concat(),
            _ => sizes,
        }
    }

    /// Returns a shape of the size of the first tensor, mostly.
    pub fn reshape(&mut self) -> Vec<usize> {
        let mut sizes = self.x.shape().to_vec();
        match self.rng.below(6) {
            0 => return self.shape(),
            1 => sizes.reverse(),
            2 => sizes.push(1),
            3 => sizes = vec![sizes.iter().product()],
            _ => {}
        }
        sizes
    }

    /// Returns pairs of sizes, one for each axis of the first tensor, mostly.
    pub fn widths(&mut self) -> Vec<(usize, usize)> {
        let n = if self.rng.one_in(8) { self.rng.below(4) } else { self.x.shape().len() };
        (0..n).map(|_| (self.width(), self.width())).collect()
    }

    fn width(&mut self) -> usize {
        if self.rng.one_in(16) { self.rng.pick(&HUGE) } else { self.rng.below(3) }
    }

    /// Returns options of reductions.
    pub fn reduction(&mut self) -> ReduceOptions {
        let mut options = ReduceOptions::new();
        if !self.rng.one_in(4) {
            let x = if self.rng.one_in(2) { self.x.clone() } else { self.tensor() };
            options = options.where_(if self.rng.one_in(8) { x } else { x.gt(0) });
        }
        if self.rng.one_in(4) {
            options = options.initial(self.float());
        }
        if self.rng.one_in(4) { options.dtype(self.dtype()) } else { options }
    }

    pub fn arg(&mut self) -> ArgOptions {
        if self.rng.one_in(2) { ArgOptions::new().last() } else { ArgOptions::new() }
    }

    pub fn cumulative(&mut self) -> CumulativeOptions {
        let mut options = CumulativeOptions::new();
        if self.rng.one_in(2) {
            options = options.reverse();
        }
        if self.rng.one_in(2) { options.include_initial() } else { options }
    }

    pub fn index_mode(&mut self) -> IndexMode {
        self.rng.pick(&[IndexMode::Clip, IndexMode::Wrap, IndexMode::Drop])
    }

    pub fn quantile(&mut self) -> QuantileOptions {
        use QuantileMethod::*;
        let methods = [Linear, Lower, Higher, Midpoint, Nearest, InvertedCdf];
        QuantileOptions::new().method(self.rng.pick(&methods))
    }

    pub fn bins(&mut self) -> Bins {
        if self.rng.one_in(3) { self.tensor().into() } else { self.size().into() }
    }

    pub fn histogram(&mut self) -> HistogramOptions {
        let mut options = HistogramOptions::new();
        if self.rng.one_in(2) {
            options = options.range(self.float(), self.float());
        }
        if self.rng.one_in(3) {
            options = options.weights(self.tensor());
        }
        if self.rng.one_in(2) { options.density() } else { options }
    }

    pub fn index(&mut self) -> Vec<Index> {
        let n = self.rng.below(self.x.shape().len() + 2);
        (0..n).map(|_| self.entry()).collect()
    }

    fn entry(&mut self) -> Index {
        match self.rng.below(8) {
            0 => Index::Ellipsis,
            1 => Index::NewAxis,
            2 => Index::Tensor(self.places()),
            3 => Index::Integer(self.int()),
            4 => step(.., self.int()),
            _ => Index::Range(self.bound(), self.bound(), self.int()),
        }
    }

    /// Returns a tensor that is no mask: a mask has no size in a trace.
    fn places(&mut self) -> Tensor {
        let x = self.tensor();
        if x.dtype() == BOOL { x.to(I32) } else { x }
    }

    fn bound(&mut self) -> Bound<i64> {
        match self.rng.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(self.int()),
            _ => Bound::Excluded(self.int()),
        }
    }

    /// Returns one to three sizes of windows, strides or dilations.
    pub fn each(&mut self) -> Vec<usize> {
        let n = self.rng.between(1, 2);
        (0..n)
            .map(|_| if self.rng.one_in(3) { self.size() } else { self.rng.between(1, 2) })
            .collect()
    }

    pub fn windows(&mut self) -> Windows {
        let mut w = Windows::new();
        if self.rng.one_in(3) {
            w = w.strides(self.each());
        }
        if self.rng.one_in(3) {
            w = w.dilation(self.each());
        }
        if self.rng.one_in(4) {
            w = w.groups(self.size());
        }
        if self.rng.one_in(4) {
            w = w.channels_last();
        }
        match self.rng.below(4) {
            0 => w.padding(Padding::Same),
            1 => {
                let n = self.rng.between(1, 2);
                w.padding(Padding::Each((0..n).map(|_| (self.int(), self.int())).collect()))
            }
            2 => w.padding(self.width()),
            _ => w,
        }
    }

    pub fn attention(&mut self) -> AttentionOptions {
        let mut options = AttentionOptions::new();
        if self.rng.one_in(3) {
            options = options.causal();
        }
        if self.rng.one_in(3) {
            options = options.window(self.size(), self.size());
        }
        if self.rng.one_in(4) {
            options = options.scale(self.float());
        }
        if self.rng.one_in(4) {
            options = options.soft_cap(self.float());
        }
        if self.rng.one_in(4) {
            options = options.mask(&self.tensor().to(BOOL));
        }
        if self.rng.one_in(4) {
            options = options.bias(&self.tensor());
        }
        if self.rng.one_in(4) {
            options = options.dropout(self.float(), &self.key());
        }
        options
    }

    pub fn fft(&mut self) -> FftOptions {
        let mut options = FftOptions::new();
        let n = self.rng.between(1, 2);
        if self.rng.one_in(3) {
            options = options.sizes((0..n).map(|_| self.size()).collect::<Vec<_>>());
        }
        if self.rng.one_in(3) {
            options = options.axes((0..n).map(|_| self.axis()).collect::<Vec<_>>());
        }
        options.norm(self.rng.pick(&[FftNorm::Backward, FftNorm::Ortho, FftNorm::Forward]))
    }

    /// Returns options of ranks.
    pub fn rank(&mut self) -> RankOptions {
        let options = match self.rng.one_in(2) {
            true => RankOptions::new().relative(self.tensor()),
            false => RankOptions::new().relative(self.float() as f32),
        };
        if self.rng.one_in(2) { options.hermitian() } else { options }
    }

    /// Returns options of resampling.
    pub fn resize(&mut self) -> ResizeOptions {
        use Interpolation::*;
        let methods = [Nearest, NearestFloor, Linear, Linear, Cubic, Cubic, Lanczos3, Lanczos5];
        let method = methods[self.rng.below(methods.len())];
        let mut options = ResizeOptions::new(method).antialias(self.rng.one_in(2));
        if self.rng.one_in(4) {
            options = options.align_corners();
        }
        if self.rng.one_in(4) {
            options = options.repeat_edge();
        }
        if self.rng.one_in(8) { options.cubic_coefficient(self.float()) } else { options }
    }

    /// Returns options of fits.
    pub fn polyfit(&mut self) -> PolyfitOptions {
        let mut options = PolyfitOptions::new();
        if self.rng.one_in(3) {
            options = options.weights(self.tensor());
        }
        if self.rng.one_in(3) {
            options = options.relative(self.float());
        }
        if self.rng.one_in(3) { options.unscaled() } else { options }
    }

    /// Returns a triangle and options of its systems.
    pub fn triangular(&mut self) -> (Triangle, TriangularOptions) {
        let mut options = TriangularOptions::new();
        for set in [
            TriangularOptions::right_side,
            TriangularOptions::transpose,
            TriangularOptions::conjugate,
            TriangularOptions::unit_diagonal,
        ] {
            if self.rng.one_in(2) {
                options = set(options);
            }
        }
        (if self.rng.one_in(2) { Triangle::Lower } else { Triangle::Upper }, options)
    }

    /// Returns options with a size.
    pub fn sized(&mut self) -> SizeOptions {
        let options = SizeOptions::new().size(self.size());
        match self.rng.below(4) {
            0 => options.fill_value(self.int()),
            1 => options.fill_value(self.float()),
            _ => options,
        }
    }

    pub fn key(&mut self) -> Key {
        key(self.int())
    }
}

/// Returns one to three tensors for the arguments of a call.
pub fn inputs(rng: &mut Rng) -> Vec<Tensor> {
    let (dtype, nice) = (rng.pick(&DTYPES), !rng.one_in(4));
    let first = shape(rng);
    (0..rng.between(1, 3))
        .map(|i| {
            let shape = if i == 0 || rng.one_in(2) { first.clone() } else { shape(rng) };
            let dtype = if rng.one_in(3) { rng.pick(&DTYPES) } else { dtype };
            tensor_of(rng, dtype, shape, nice)
        })
        .collect()
}

/// Returns a shape of at most 64 elements.
fn shape(rng: &mut Rng) -> Vec<usize> {
    let rank = if rng.one_in(4) { rng.below(7) } else { rng.below(4) };
    let most = if rank > 3 { 2 } else { 4 };
    let mut sizes: Vec<usize> =
        (0..rank).map(|_| if rng.one_in(16) { 0 } else { rng.between(1, most) }).collect();
    // Without elements, an axis may have any size.
    if sizes.contains(&0) && rng.one_in(2) {
        let axis = rng.below(rank);
        if sizes[axis] != 0 {
            sizes[axis] = rng.pick(&[1 << 40, 1 << 50]);
        }
    }
    sizes
}

fn tensor_of(rng: &mut Rng, dtype: DType, shape: Vec<usize>, nice: bool) -> Tensor {
    if shape.contains(&0) {
        return Tensor::zeros_of(dtype, shape);
    }
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| match nice {
            true => rng.below(9) as f64 / 4.0 - 0.75,
            false if rng.one_in(3) => rng.pick(&FLOATS),
            false => rng.pick(&EXTREME) as f64,
        })
        .collect();
    Tensor::from(neurax::Literal::from_f64s(dtype, &shape[..], &values))
}

/// Axes as an argument: a list, or all of them.
#[derive(Clone, Debug)]
pub struct Axes {
    list: Option<Vec<i64>>,
    keep: bool,
}

impl IntoAxes for Axes {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        let kept: Option<Keep<Vec<i64>>> = self.list.clone().map(keep);
        kept.map_or_else(|| (..).axes(rank), |list| list.axes(rank))
    }

    fn keep(&self) -> bool {
        self.keep
    }
}

/// An operand.
#[derive(Clone, Debug)]
pub enum Arg {
    Tensor(Tensor),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl Operand for Arg {
    fn operand(self, like: &Tensor) -> Tensor {
        match self {
            Arg::Tensor(x) => x,
            Arg::Int(x) => x.operand(like),
            Arg::Float(x) => x.operand(like),
            Arg::Bool(x) => x.operand(like),
        }
    }

    fn number(&self) -> Option<Scalar> {
        match self {
            Arg::Tensor(_) => None,
            Arg::Int(x) => x.number(),
            Arg::Float(x) => x.number(),
            Arg::Bool(x) => x.number(),
        }
    }
}
