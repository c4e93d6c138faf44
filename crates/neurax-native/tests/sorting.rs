//! Sorts of sizes around chunk boundaries, by keys of every dtype, and in place: the compiler's
//! order equals the reference interpreter's bit for bit.

use neurax_ir::{
    Builder, Bytes, DType, Literal, Type, Value,
    op::{Scan, Sort},
    transform,
};
use neurax_native::Native;
use neurax_runtime::Backend;
use neurax_testkit::conformance::{call, graph};
use std::sync::Arc;

/// Returns arbitrary bits, so that there are NaN of every kind, infinities, zeros and subnormal
/// numbers; few distinct ones, so that there are ties.
fn any_bits(ty: Type, seed: u64) -> Literal {
    let mut state = seed + 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    // The most significant byte of a number is the last one.
    let special = [0, 1, 0x3f, 0x40, 0x7c, 0x7e, 0x7f, 0x80, 0xbf, 0xc0, 0xfe, 0xff];
    let few = [0, 0, 0, 0x80, 0xf0, 1];
    let width = ty.dtype.bits() / 8 / (1 + ty.dtype.is_complex() as usize);
    let mut byte = |i: usize| match width {
        _ if ty.dtype == DType::Bool => (next() % 2) as u8,
        1 => next() as u8,
        _ if i % width == width - 1 => special[next() % special.len()],
        _ => few[next() % few.len()],
    };
    let bytes: Vec<u8> = (0..ty.bytes().unwrap()).map(&mut byte).collect();
    Literal::new(ty, Bytes::copy_of(&bytes)).unwrap()
}

/// Compares the results with the reference interpreter's.
fn check_on(args: &[Literal], f: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>) {
    let types: Vec<Type> = args.iter().map(|x| x.ty().clone()).collect();
    let graph = graph(&types, f).unwrap();
    let want = transform::eval(&graph, args.to_vec()).unwrap();
    let native = Native::new().unwrap();
    let program = native.compile(&graph, 0).unwrap();
    let same = |have: &[Literal]| {
        assert!(have.iter().map(Literal::bytes).eq(want.iter().map(Literal::bytes)), "{graph}");
    };
    for _ in 0..2 {
        same(&call(&native, &*program, args).unwrap());
    }
    // The last call owns its arguments: results may reuse their memory.
    let copy = |x: &Literal| Literal::new(x.ty().clone(), Bytes::copy_of(x.bytes())).unwrap();
    let have = program.run(args.iter().map(|x| copy(x).into()).collect()).unwrap();
    same(&have.into_iter().map(|y| y.into_literal().unwrap()).collect::<Vec<_>>());
}

fn check(types: &[Type], axis: usize, keys: usize) {
    let args: Vec<Literal> =
        types.iter().zip(1..).map(|(t, seed)| any_bits(t.clone(), seed)).collect();
    check_on(&args, |b, xs| b.emit_n(Sort { axis, keys }, xs, xs.len()).to_vec());
}

#[test]
fn every_dtype_is_a_key() {
    for d in DType::ALL.into_iter().filter(|d| d.bits() >= 8 && !d.is_storage()) {
        let types = |shape: &[usize]| [Type::new(d, shape), Type::new(DType::U32, shape)];
        check(&types(&[3000]), 0, 1);
        check(&types(&[40, 30, 5]), 1, 1);
        check(&types(&[40, 30, 5]), 0, 1);
        check(&types(&[7]), 0, 2);
        check(&types(&[600, 20]), 1, 1);
    }
}

#[test]
fn keys_in_turn() {
    let t = |d: DType| Type::new(d, [25, 60]);
    for keys in 1..=4 {
        // In one pass, and in several passes.
        check(
            &[t(DType::Bool), t(DType::F8E5M2), t(DType::F16), t(DType::I8), t(DType::C128)],
            1,
            keys,
        );
        check(&[t(DType::Bool), t(DType::C128), t(DType::F64), t(DType::I8)], 0, keys);
        check(&[t(DType::F8E4M3FN), t(DType::U64), t(DType::I64), t(DType::BF16)], 1, keys);
    }
}

/// Distinct numbers and ties, without 0 and NaN, or with them: other elements decide on the method.
fn distinct(ty: Type, seed: u64) -> Literal {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / 1e5 - 80.5
    };
    let xs: Vec<f64> = (0..ty.size()).map(|_| next()).collect();
    Literal::from_f64s(ty.dtype, ty.shape, &xs)
}

#[test]
fn long_rows_with_and_without_equal_elements() {
    let real =
        DType::ALL.into_iter().filter(|d| d.bits() >= 8 && !d.is_complex() && !d.is_storage());
    for d in real {
        // Below and above the length from which rows are sorted digit by digit.
        for (shape, axis) in [(&[3000][..], 0), (&[5000], 0), (&[3, 4100], 1), (&[4100, 3], 0)] {
            let ty = Type::new(d, shape);
            let sort = Sort { axis, keys: 1 };
            for x in [distinct(ty.clone(), 1), any_bits(ty, 1)] {
                check_on(&[x], |b, xs| b.emit_n(sort.clone(), xs, 1).to_vec());
            }
        }
    }
    // Several chunks of a row, in one pass and in several.
    let t = |d: DType| Type::new(d, [150_000]);
    check(&[t(DType::F32)], 0, 1);
    check(&[t(DType::F32), t(DType::I64)], 0, 1);
    check(&[t(DType::C128), t(DType::U8)], 0, 1);
    for d in [DType::F32, DType::I64, DType::F16] {
        check_on(&[distinct(t(d), 1)], |b, xs| b.emit_n(Sort { axis: 0, keys: 1 }, xs, 1).to_vec());
    }
}

#[test]
fn sizes_of_zero_and_one() {
    for shape in [[0, 3], [3, 0], [1, 3], [3, 1], [1, 1]] {
        for axis in [0, 1] {
            check(&[Type::new(DType::F32, shape), Type::new(DType::I8, shape)], axis, 1);
        }
    }
}

#[test]
fn results_may_be_where_operands_are() {
    let types = [DType::F32, DType::F32, DType::I32].map(|d| Type::new(d, [70, 90]));
    let args: Vec<Literal> =
        types.iter().zip(1..).map(|(t, seed)| any_bits(t.clone(), seed)).collect();
    let sort = |axis, keys| Sort { axis, keys };
    check_on(&args, |b, xs| {
        let ys = b.emit_n(sort(1, 2), xs, 3);
        b.emit_n(sort(0, 1), &ys, 3).to_vec()
    });
    // Operands that are one array, and results in another order.
    check_on(&args[1..], |b, xs| {
        let ys = b.emit_n(sort(1, 1), &[xs[0], xs[0], xs[1]], 3);
        let ys = b.emit_n(sort(0, 1), &[ys[1], ys[2], ys[1]], 3);
        vec![ys[2], ys[0], ys[1]]
    });
}

#[test]
fn loops_carry_what_is_sorted() {
    let mut b = Builder::new();
    let t = Type::new(DType::F64, [50, 40]);
    let xs = b.inputs(&[t.clone(), t.clone()]);
    let ys = b.emit_n(Sort { axis: 0, keys: 1 }, &xs, 2);
    let body = b.finish(&[ys[1], ys[0]]).unwrap();
    let scan = Scan { body: Arc::new(body), length: 5, reverse: false, consts: 0, carries: 2 };
    check_on(&[any_bits(t.clone(), 1), any_bits(t, 2)], |b, xs| b.emit_n(scan, xs, 2).to_vec());
}
