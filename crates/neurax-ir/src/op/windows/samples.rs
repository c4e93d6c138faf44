//! Sample rows: windows of every kind over every dtype.

use super::*;
use crate::DType;
use crate::op::pointwise::{ORDERED, computed_dtypes};

/// A corner case: the shape of the operand, the sizes of windows, their slides.
type Corner = (Vec<usize>, Vec<usize>, Vec<Slide>);

fn slide(
    stride: usize,
    low: i64,
    high: i64,
    base_dilation: usize,
    window_dilation: usize,
) -> Slide {
    Slide { stride, low, high, base_dilation, window_dilation }
}

/// Returns the corner cases of the parameters. In the first `FULL`, every window has an element.
fn corners() -> Vec<Corner> {
    let plain = Slide::default();
    vec![
        (vec![2, 3], vec![1, 2], vec![plain; 2]),
        (vec![5], vec![3], vec![slide(2, 1, 1, 1, 1)]),
        (vec![4, 5], vec![2, 2], vec![slide(2, 0, 1, 1, 1), slide(1, -1, 0, 1, 2)]),
        (vec![3], vec![2], vec![slide(1, 0, 0, 2, 1)]),
        (vec![3, 2], vec![3, 1], vec![slide(1, 1, 0, 1, 1), slide(1, 0, -1, 1, 1)]),
        (vec![6], vec![2], vec![slide(3, 0, 0, 1, 1)]),
        (vec![], vec![], vec![]),
        (vec![3], vec![2], vec![slide(2, 3, 2, 2, 2)]),
        (vec![0, 2], vec![2, 1], vec![slide(1, 2, 1, 1, 1), plain]),
        (vec![2], vec![3], vec![plain]),
    ]
}

/// The number of leading corner cases without empty windows.
const FULL: usize = 7;

/// Returns rows of all dtypes for the first corner case, and of f64 for the others.
fn rows(
    admits: impl Fn(DType) -> bool,
    one: impl Fn(Corner, DType, bool) -> Sample,
) -> Vec<Sample> {
    let first = || corners().remove(0);
    let mut rows: Vec<Sample> = DType::ALL
        .into_iter()
        .filter(|&d| admits(d))
        .map(|d| one(first(), d, d == DType::F64))
        .collect();
    let other = if admits(DType::F64) { DType::F64 } else { DType::U16 };
    rows.extend(corners().into_iter().enumerate().skip(1).map(|(i, c)| one(c, other, i < FULL)));
    rows
}

pub fn reduce() -> Vec<Sample> {
    let kind = |&kind: &ReduceKind| {
        let derivative = matches!(kind, ReduceKind::Sum | ReduceKind::Max | ReduceKind::Min);
        let one = move |(shape, sizes, slides): Corner, d: DType, full: bool| Sample {
            op: ReduceWindow { kind, sizes, slides }.into(),
            inputs: vec![sample(Type::new(d, shape), -2.0, 3.0)],
            // The extremum of an empty window is infinite: finite differences do not apply.
            smooth: d == DType::F64 && derivative && (full || kind == ReduceKind::Sum),
        };
        rows(|d| kind.admits(d), one)
    };
    ReduceKind::ALL.iter().flat_map(kind).collect()
}

pub fn gather() -> Vec<Sample> {
    let pair = |op: SelectAndGather, x: Type, d: DType| Sample {
        inputs: vec![sample(x.clone(), -2.0, 3.0), sample(x.with_dtype(d), 4.0, -1.0)],
        op: op.into(),
        smooth: x.dtype == DType::F64 && d == DType::F64,
    };
    let with = |kind: ArgKind, (shape, sizes, slides): Corner, x: DType, d: DType| {
        pair(SelectAndGather { kind, sizes, slides }, Type::new(x, shape), d)
    };
    selections(with)
}

pub fn scatter() -> Vec<Sample> {
    let with = |kind: ArgKind, (shape, sizes, slides): Corner, x: DType, d: DType| {
        let op = SelectAndScatter { kind, sizes, slides };
        let x = Type::new(x, shape);
        let source = counts(SelectAndScatter::NAME, &x, &op.sizes, &op.slides).unwrap_or_default();
        let smooth = x.dtype == DType::F64 && d == DType::F64;
        Sample {
            inputs: vec![sample(x, -2.0, 3.0), sample(Type::new(d, source), 4.0, -1.0)],
            op: op.into(),
            smooth,
        }
    };
    selections(with)
}

/// Returns rows that select by each ordered dtype from the same dtype, and by f64 from each dtype.
fn selections(with: impl Fn(ArgKind, Corner, DType, DType) -> Sample) -> Vec<Sample> {
    let mut all = vec![];
    for &kind in ArgKind::ALL {
        all.extend(rows(|d| ORDERED.contains(&d.kind()), |c, d, _| with(kind, c, d, d)));
    }
    all.extend(
        computed_dtypes().map(|d| with(ArgKind::Max, corners().swap_remove(2), DType::F64, d)),
    );
    all
}
