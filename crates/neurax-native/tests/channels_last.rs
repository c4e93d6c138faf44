//! Convolutions with features last, of sizes around blocks, parts and tiles: the compiler agrees
//! with the reference interpreter. Elements are small integers, whose sums are exact in any order.

use neurax_ir::{
    DType, FloatAttr, Literal, Type,
    composite::{ChannelsLastConvolution, FEATURE_BLOCK},
    op::{Primitive, Slide},
};
use neurax_native::Native;
use neurax_testkit::conformance::check_exact;

const PLAIN: Slide = Slide { stride: 1, low: 0, high: 0, base_dilation: 1, window_dilation: 1 };
const SAME: Slide = Slide { low: 1, high: 1, ..PLAIN };
const NONE: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

/// A convolution to be checked.
#[derive(Clone)]
struct Case {
    x: Vec<usize>,
    taps: Vec<usize>,
    slides: Vec<Slide>,
    results: usize,
    depthwise: bool,
    limits: [f64; 2],
    adds: bool,
}

impl Case {
    fn new(x: &[usize], taps: &[usize], slide: Slide, results: usize) -> Case {
        let slides = vec![slide; taps.len()];
        let (x, taps) = (x.to_vec(), taps.to_vec());
        Case { x, taps, slides, results, depthwise: false, limits: NONE, adds: false }
    }

    fn depthwise(x: &[usize], taps: &[usize], slide: Slide) -> Case {
        let results = x[x.len() - 1];
        Case { depthwise: true, ..Case::new(x, taps, slide, results) }
    }

    fn limited(self, low: f64, high: f64) -> Case {
        Case { limits: [low, high], adds: true, ..self }
    }

    fn types(&self, op: &ChannelsLastConvolution) -> Vec<Type> {
        let ty = |shape: &[usize]| Type::new(DType::F32, shape);
        let features = self.x[self.x.len() - 1];
        let blocks = self.results.div_ceil(FEATURE_BLOCK);
        let weights = match self.depthwise {
            true => [&self.taps[..], &[features]].concat(),
            false => [&[blocks], &self.taps[..], &[features, FEATURE_BLOCK]].concat(),
        };
        let mut types = vec![ty(&self.x), ty(&weights), ty(&[self.results])];
        if self.adds {
            let op = neurax_ir::composite::Composite::from(op.clone());
            types.push(op.infer(&types).unwrap()[0].clone());
        }
        types
    }

    /// Compares the convolution and an epilogue with the reference interpreter, bit for bit.
    #[track_caller]
    fn check(&self) {
        let op = ChannelsLastConvolution {
            slides: self.slides.clone(),
            results: self.results,
            depthwise: self.depthwise,
            low: FloatAttr::from(self.limits[0]),
            high: FloatAttr::from(self.limits[1]),
        };
        let args: Vec<Literal> = self.types(&op).iter().enumerate().map(numbers).collect();
        let native = Native::new().unwrap();
        check_exact(&native, &args, |b, xs| vec![b.emit(op.clone(), xs)]);
        check_exact(&native, &args, |b, xs| {
            let y = b.emit(op.clone(), xs);
            let scaled = b.mul_scalar(y, 0.5);
            let absolute = b.abs(y);
            vec![b.add(scaled, absolute)]
        });
    }
}

/// Returns small integers without a pattern.
fn numbers((i, ty): (usize, &Type)) -> Literal {
    let number = |k: usize| ((k * 2654435761 + i * 40503) >> 7) as f64 % 5.0 - 2.0;
    let x: Vec<f64> = (0..ty.size()).map(number).collect();
    Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
}

#[test]
fn features_fill_blocks_or_not() {
    for results in [1, 15, 16, 17, 40, 64, 70, 131] {
        Case::new(&[2, 7, 5, 9], &[3, 3], SAME, results).check();
        Case::new(&[1, 7, 5, 9], &[2, 1], PLAIN, results).limited(-1.0, 3.0).check();
    }
}

#[test]
fn sums_have_parts() {
    // Features beyond one part, several taps a part, and one.
    for features in [3, 100, 512, 700, 1100] {
        Case::new(&[1, 5, 4, features], &[3, 3], SAME, 20).limited(0.0, f64::INFINITY).check();
        Case::new(&[3, 6, features], &[2], PLAIN, 33).check();
    }
}

#[test]
fn few_features_are_read_as_lines() {
    let far = Slide { low: 5, high: 4, stride: 2, ..PLAIN };
    let inside = Slide { low: -2, high: -1, ..PLAIN };
    for slide in [PLAIN, SAME, far, inside, Slide { window_dilation: 2, ..SAME }] {
        for features in [1, 3, 8, 9] {
            Case::new(&[2, 11, 13, features], &[3, 4], slide, 18).check();
            Case::new(&[2, 30, features], &[5], slide, 18).check();
        }
    }
}

#[test]
fn tiles_are_places_or_features() {
    Case::new(&[1, 40, 41, 33], &[3, 3], SAME, 70).limited(0.0, 6.0).check();
    Case::new(&[1, 7, 7, 150], &[1, 1], PLAIN, 700).check();
    Case::new(&[30, 9, 9, 20], &[3, 3], Slide { stride: 2, ..SAME }, 65).check();
}

#[test]
fn each_feature_by_itself() {
    let two = Slide { stride: 2, ..SAME };
    let far = Slide { stride: 3, low: 4, high: 1, base_dilation: 1, window_dilation: 2 };
    let inside = Slide { low: -2, high: -1, ..PLAIN };
    for slide in [PLAIN, SAME, two, far, inside] {
        for features in [16, 17, 40] {
            Case::depthwise(&[2, 9, 10, features], &[3, 3], slide).check();
            Case::depthwise(&[2, 9, 10, features], &[5, 4], slide).limited(-2.0, 2.0).check();
            Case::depthwise(&[3, 21, features], &[4], slide).check();
        }
    }
    // Fewer features than a vector, and more taps than the kernel takes: the body is compiled.
    Case::depthwise(&[1, 9, 10, 5], &[3, 3], SAME).check();
    Case::depthwise(&[1, 12, 12, 16], &[9, 9], PLAIN).check();
    Case::depthwise(&[1, 60, 60, 48], &[3, 3], SAME).limited(0.0, f64::INFINITY).check();
}

#[test]
fn limits_keep_nan_and_prefer_the_positive_zero() {
    let op = ChannelsLastConvolution {
        slides: vec![PLAIN],
        results: 1,
        depthwise: false,
        low: 0.0.into(),
        high: 6.0.into(),
    };
    let x = Literal::from_f64s(DType::F32, [1, 4, 1], &[f64::NAN, -0.0, -3.0, 9.0]);
    let mut weights = vec![0.0; FEATURE_BLOCK];
    weights[0] = 1.0;
    let weights = Literal::from_f64s(DType::F32, [1, 1, 1, FEATURE_BLOCK], &weights);
    let bias = Literal::from_f64s(DType::F32, [1], &[-0.0]);
    let native = Native::new().unwrap();
    let y = check_exact(&native, &[x, weights, bias], |b, xs| vec![b.emit(op, xs)])[0].to_f64s();
    assert!(y[0].is_nan() && y[1..] == [0.0, 0.0, 6.0] && y[1].is_sign_positive(), "{y:?}");
}
