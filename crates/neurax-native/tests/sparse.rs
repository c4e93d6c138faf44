//! Products of sparse matrices are those of the reference interpreter bit for bit, for sorted and
//! unsorted elements and any number of threads: sums of products of small integers are exact.

use neurax_ir::{DType, Literal, Type, composite::SparseDot, transform};
use neurax_native::Native;
use neurax_testkit::conformance::{evaluate, graph};

const ROWS: usize = 150;
const DENSE_ROWS: usize = 90;
/// Rows of 300 elements and more are several blocks.
const STORED: usize = 60_000;

/// Returns integers in `low..high` without a pattern.
fn integers(seed: u64, count: usize, low: i64, high: i64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (low + (state >> 33) as i64 % (high - low)) as f64
    };
    (0..count).map(|_| next()).collect()
}

/// Returns operands with `columns`; some elements are out of bounds.
fn operands(dtype: DType, columns: usize, is_sorted: bool) -> Vec<Literal> {
    let numbers = |seed, shape: &[usize]| {
        let count = shape.iter().product();
        Literal::from_f64s(dtype, shape, &integers(seed, count, -4, 5))
    };
    let mut to = integers(1, STORED, -2, ROWS as i64 + 2);
    if is_sorted {
        to.sort_by(f64::total_cmp);
    }
    let from = integers(2, STORED, -1, DENSE_ROWS as i64 + 1);
    let index = |data: &[f64]| Literal::from_f64s(DType::I32, [STORED], data);
    let dense = if columns == 0 { vec![DENSE_ROWS] } else { vec![DENSE_ROWS, columns] };
    vec![numbers(3, &[STORED]), index(&to), index(&from), numbers(4, &dense)]
}

#[test]
fn products_are_those_of_the_reference() {
    let native = Native::new().unwrap();
    for (dtype, columns, is_sorted) in [
        (DType::F32, 0, true),
        (DType::F32, 0, false),
        (DType::F32, 45, true),
        (DType::F64, 45, false),
        (DType::F64, 1, true),
        (DType::BF16, 8, false),
    ] {
        let args = operands(dtype, columns, is_sorted);
        let types: Vec<Type> = args.iter().map(|x| x.ty().clone()).collect();
        let graph = graph(&types, |b, xs| vec![b.emit(SparseDot { rows: ROWS }, xs)]).unwrap();
        let want = transform::eval(&graph, args.clone()).unwrap();
        for threads in [1, 2, 5] {
            let have = evaluate(&native.with_threads(threads), &graph, &args).unwrap();
            assert!(have == want, "{dtype}, {columns} columns, sorted: {is_sorted}, {threads}");
        }
    }
}
