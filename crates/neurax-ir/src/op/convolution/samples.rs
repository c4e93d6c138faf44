//! Sample rows: every dtype, every corner case of the parameters.

use super::*;
use crate::op::pointwise::computed_dtypes;

pub fn rows() -> Vec<Sample> {
    let line =
        |d: DType, to: DType| row(vec![slide(2, 1, 0, 1, 1)], 1, d, to, &[2, 2, 4], &[3, 2, 2]);
    let mut rows: Vec<Sample> = computed_dtypes().map(|d| line(d, d)).collect();
    for (from, to) in [
        (DType::I8, DType::I32),
        (DType::U4, DType::I16),
        (DType::BF16, DType::F32),
        (DType::F8E5M2, DType::F16),
        (DType::F32, DType::F64),
    ] {
        rows.push(line(from, to));
    }
    let plain = Slide::default();
    for (slides, groups, x, w) in [
        (vec![slide(1, 1, 1, 1, 2)], 1, &[1, 2, 5][..], &[2, 2, 2][..]),
        (vec![slide(2, 0, 2, 2, 1)], 1, &[2, 1, 3], &[2, 1, 3]),
        (vec![slide(3, 2, 1, 2, 2)], 2, &[1, 4, 4], &[2, 2, 2]),
        (vec![slide(1, -1, 0, 1, 1)], 1, &[1, 1, 4], &[1, 1, 2]),
        (vec![slide(1, -2, 3, 3, 1)], 1, &[1, 1, 3], &[1, 1, 2]),
        (vec![slide(2, 0, 0, 1, 1)], 2, &[2, 2, 6], &[4, 1, 3]),
        (vec![slide(1, 1, 1, 1, 1), slide(2, 0, 1, 1, 1)], 1, &[1, 2, 3, 4], &[2, 2, 3, 2]),
        (vec![slide(2, 1, 0, 1, 2), slide(1, 0, -1, 2, 1)], 2, &[2, 4, 4, 3], &[4, 2, 2, 2]),
        (vec![plain, slide(2, 1, 1, 1, 1), plain], 1, &[1, 2, 2, 3, 3], &[1, 2, 2, 2, 1]),
        (vec![], 1, &[2, 3], &[2, 3]),
        (vec![], 3, &[2, 3], &[3, 1]),
        (vec![slide(4, 0, 0, 1, 1)], 1, &[1, 1, 3], &[1, 1, 1]),
        (vec![slide(1, 4, 4, 1, 1)], 1, &[1, 1, 1], &[1, 1, 2]),
        (vec![plain], 1, &[0, 2, 3], &[1, 2, 2]),
        (vec![plain], 1, &[2, 0, 3], &[1, 0, 2]),
        (vec![plain], 1, &[2, 1, 3], &[0, 1, 2]),
        (vec![plain], 1, &[2, 1, 2], &[2, 1, 3]),
        (vec![slide(1, 1, 1, 1, 1)], 1, &[1, 1, 0], &[1, 1, 2]),
    ] {
        rows.push(row(slides, groups, DType::F64, DType::F64, x, w));
    }
    rows.push(row(
        vec![slide(2, 1, 1, 1, 1), plain],
        2,
        DType::C128,
        DType::C128,
        &[1, 2, 3, 2],
        &[2, 1, 2, 2],
    ));
    rows
}

fn slide(
    stride: usize,
    low: i64,
    high: i64,
    base_dilation: usize,
    window_dilation: usize,
) -> Slide {
    Slide { stride, low, high, base_dilation, window_dilation }
}

fn row(
    slides: Vec<Slide>,
    groups: usize,
    dtype: DType,
    to: DType,
    x: &[usize],
    w: &[usize],
) -> Sample {
    Sample {
        op: Convolution { slides, groups, dtype: to }.into(),
        inputs: vec![
            sample(Type::new(dtype, x), -2.0, 3.0),
            sample(Type::new(dtype, w), -1.0, 2.0),
        ],
        smooth: dtype == DType::F64,
    }
}
