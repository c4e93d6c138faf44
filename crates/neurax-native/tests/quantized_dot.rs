//! Quantized products of sizes around blocks, groups and tiles: the compiler agrees with the
//! reference interpreter, bit for bit.

use neurax_ir::composite::{COLUMN_BLOCK, DEPTH_GROUP, QuantizedDot};
use neurax_ir::{DType, Literal, Type};
use neurax_native::Native;
use neurax_testkit::conformance::check_exact;

/// The dtypes of results, with the number that stands for 0.
const RESULTS: [(DType, i64); 4] =
    [(DType::I32, 0), (DType::F32, 0), (DType::U8, 131), (DType::I8, -7)];

fn types(op: &QuantizedDot, x: &[usize]) -> Vec<Type> {
    let depth = x[x.len() - 1];
    let blocks = op.columns.div_ceil(COLUMN_BLOCK);
    let weights = [blocks, depth.div_ceil(DEPTH_GROUP), COLUMN_BLOCK, DEPTH_GROUP];
    let mut types = vec![
        Type::new(DType::U8, x.to_vec()),
        Type::new(DType::I8, weights),
        Type::new(DType::I32, [op.columns]),
    ];
    if op.dtype != DType::I32 {
        types.extend([Type::new(DType::F32, [op.columns]), Type::new(DType::F32, [op.columns])]);
    }
    types
}

/// Returns numbers over the whole range of bytes, and scales that keep most results in it.
fn argument((i, ty): (usize, &Type)) -> Literal {
    let number = |k: usize| {
        let x = ((k * 2654435761 + i * 40503) >> 7) % 256;
        match ty.dtype {
            DType::U8 => x as f64,
            DType::F32 => (x + 1) as f64 / 1e6,
            _ => x as f64 - 128.0,
        }
    };
    let x: Vec<f64> = (0..ty.size()).map(number).collect();
    Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
}

#[track_caller]
fn check(x: &[usize], columns: usize) {
    let native = Native::new().unwrap();
    for (dtype, zero_point) in RESULTS {
        let op = QuantizedDot { columns, zero_point, dtype };
        let args: Vec<Literal> = types(&op, x).iter().enumerate().map(argument).collect();
        check_exact(&native, &args, |b, xs| vec![b.emit(op.clone(), xs)]);
        check_exact(&native, &args, |b, xs| {
            let y = b.emit(op.clone(), xs);
            let y = b.convert(y, DType::F32);
            let y = b.add_scalar(y, -3.0);
            vec![b.mul_scalar(y, 0.25)]
        });
    }
}

#[test]
fn sizes_around_blocks_and_groups() {
    for depth in [1, 3, 4, 5, 8] {
        for columns in [1, 15, 16, 17, 40] {
            check(&[3, depth], columns);
        }
    }
}

#[test]
fn rows_of_any_number_and_rank() {
    check(&[7], 5);
    for rows in [1, 2, 6, 11, 12, 13, 25] {
        check(&[rows, 6], 33);
    }
    check(&[2, 3, 10], 20);
}

#[test]
fn tiles_are_rows_or_columns() {
    check(&[300, 64], 96);
    check(&[2, 700], 900);
}

#[test]
fn without_elements_or_depth() {
    check(&[0, 3], 4);
    check(&[2, 0], 4);
    check(&[2, 3], 0);
}
