//! Measures the rate at which the reference interpreter multiplies f32 matrices. Fails below 0.2
//! GFLOP/s, at which the demo would take too long.

use neurax_ir::{DType, Eval, Literal, Op, Type, op::DotGeneral};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// The minimum rate for each size, in GFLOP/s.
const MIN_GFLOPS: f64 = 0.2;

/// The sizes `[m, k, n]` of products of `m x k` with `k x n`: a square, and the layers of small
/// networks.
const SIZES: [[usize; 3]; 5] =
    [[256, 256, 256], [64, 784, 512], [128, 128, 10], [32, 64, 128], [1, 512, 512]];

fn main() -> ExitCode {
    let mut good = true;
    for [m, k, n] in SIZES {
        // Row-major, and with each operand transposed.
        let rates = [[1, 0], [0, 0], [1, 1]].map(|contract| rate([m, k, n], contract));
        good &= rates.iter().all(|&r| r >= MIN_GFLOPS);
        println!(
            "{:<16} {:>6.2} GFLOP/s {:>6.2} left transposed {:>6.2} right transposed",
            format!("{m} x {k} x {n}"),
            rates[0],
            rates[1],
            rates[2]
        );
    }
    if good {
        return ExitCode::SUCCESS;
    }
    eprintln!("below {MIN_GFLOPS} GFLOP/s");
    ExitCode::FAILURE
}

/// Returns the best rate of a product that contracts the axes `contract`, in GFLOP/s.
fn rate([m, k, n]: [usize; 3], contract: [usize; 2]) -> f64 {
    let [i, j] = contract;
    let lhs = if i == 1 { [m, k] } else { [k, m] };
    let rhs = if j == 0 { [k, n] } else { [n, k] };
    let op: Op = DotGeneral {
        lhs_batch: vec![],
        rhs_batch: vec![],
        lhs_contract: vec![i],
        rhs_contract: vec![j],
        dtype: DType::F32,
    }
    .into();
    let operands = [lhs, rhs].map(filled);
    let (begun, mut best) = (Instant::now(), Duration::MAX);
    while begun.elapsed() < Duration::from_millis(200) {
        let xs = operands.to_vec();
        let start = Instant::now();
        let ys = op.eval(&mut Eval::default(), xs);
        best = best.min(start.elapsed());
        assert!(ys.is_ok(), "{ys:?}");
    }
    2.0 * (m * k * n) as f64 / best.as_secs_f64() / 1e9
}

fn filled(shape: [usize; 2]) -> Literal {
    let ty = Type::new(DType::F32, shape);
    let numbers: Vec<f64> =
        (0..ty.size()).map(|i| ((i * 37 + 11) % 101) as f64 / 50.0 - 1.0).collect();
    Literal::from_f64s(ty.dtype, ty.shape, &numbers)
}
