//! Tests of each rule: a graph to which it applies, the result, and equality of the values bit for
//! bit.

use super::super::{dce, tests::same_value};
use super::*;
use crate::op::{
    Binary, BitcastConvert, Call, Clamp, Cond, Pad, Reduce, ReduceKind, Reverse, Select, Unary,
};
use crate::{Builder, DType, Literal};

/// Creates an argument that discriminates between rules: NaN, both zeros, infinities.
fn argument(ty: &Type) -> Literal {
    let hard = [-0.0, f64::NAN, 2.5, f64::NEG_INFINITY, 0.0, -7.0, f64::INFINITY, 1e-3];
    let soft = [0.0, 1.0, -2.0, 100.0, 3.0, -7.0, 120.0, -128.0];
    let from = if ty.dtype.is_differentiable() { hard } else { soft };
    let data: Vec<f64> = from.into_iter().cycle().take(ty.size()).collect();
    Literal::from_f64s(ty.dtype, ty.shape.clone(), &data)
}

/// Returns the simplified graph of one argument, without dead code, as one line. Checks its value.
fn simplified(ty: Type, make: impl FnOnce(&mut Builder, Value) -> Value) -> String {
    let mut b = Builder::new();
    let x = b.input(ty.clone());
    let y = make(&mut b, x);
    let g = b.finish(&[y]).unwrap();
    let small = dce(&simplify(&g).unwrap()).unwrap();
    same_value(&g, &small, vec![argument(&ty)]);
    let text = small.to_string();
    text.lines().skip(1).map(str::trim).filter(|&l| l != "}").collect::<Vec<_>>().join("; ")
}

fn floats() -> Type {
    Type::new(DType::F32, [2, 4])
}

fn ints() -> Type {
    Type::new(DType::I8, [8])
}

#[test]
fn identity_elements() {
    for (c, op, applies) in [
        (-0.0, Binary::Add, true),
        (0.0, Binary::Add, false),
        (0.0, Binary::Sub, true),
        (-0.0, Binary::Sub, false),
        (1.0, Binary::Mul, true),
        (0.0, Binary::Mul, false),
        (1.0, Binary::Div, true),
    ] {
        for d in DType::ALL.into_iter().filter(|d| d.is_float()) {
            let text = simplified(Type::new(d, [8]), |b, x| {
                let c = b.full_like(x, c);
                b.emit(op, &[x, c])
            });
            assert_eq!(text == "return %0", applies, "{op:?} {c} {d}: {text}");
        }
    }
    for (c, op) in [
        (0.0, Binary::Add),
        (1.0, Binary::Mul),
        (0.0, Binary::Or),
        (0.0, Binary::Xor),
        (-1.0, Binary::And),
    ] {
        for d in [DType::I4, DType::U8, DType::I64] {
            let left = simplified(Type::new(d, [8]), |b, x| {
                let c = b.full_like(x, c);
                b.emit(op, &[c, x])
            });
            assert_eq!(left, "return %0", "{op:?} {d}");
        }
    }
    let by_one = |b: &mut Builder, x| b.mul_scalar(x, 1.0);
    assert_ne!(simplified(Type::new(DType::C64, [8]), by_one), "return %0");
}

#[test]
fn absorbing_elements() {
    let zero = "%1: i8[] = constant[value=i8[] 0](); \
                %2: i8[8] = broadcast_in_dim[shape=[8], dims=[]](%1); return %2";
    assert_eq!(simplified(ints(), |b, x| b.mul_scalar(x, 0.0)), zero);
}

#[test]
fn involutions() {
    for ty in [floats(), ints(), Type::new(DType::C128, [3]), Type::new(DType::U8, [8])] {
        let twice = |b: &mut Builder, x| {
            let y = b.neg(x);
            b.neg(y)
        };
        assert_eq!(simplified(ty, twice), "return %0");
    }
    let not = |b: &mut Builder, x| {
        let y = b.not(x);
        b.not(y)
    };
    assert_eq!(simplified(Type::new(DType::Bool, [8]), not), "return %0");
}

#[test]
fn additions_of_negations() {
    let plus = |b: &mut Builder, x| {
        let (y, z) = (b.neg(x), b.sin(x));
        b.add(y, z)
    };
    assert_eq!(
        simplified(floats(), plus),
        "%1: f32[2, 4] = sine(%0); %2: f32[2, 4] = subtract(%1, %0); return %2"
    );
    let minus = |b: &mut Builder, x| {
        let y = b.neg(x);
        b.sub(x, y)
    };
    assert_eq!(simplified(floats(), minus), "%1: f32[2, 4] = add(%0, %0); return %1");
}

#[test]
fn known_selections() {
    for (c, want) in [(1.0, "return %0"), (0.0, "%1: f32[2, 4] = sine(%0); return %1")] {
        let choose = |b: &mut Builder, x| {
            let (p, y) = (b.full(Type::new(DType::Bool, [2, 4]), c), b.emit(Unary::Sin, &[x]));
            b.emit(Select {}, &[p, x, y])
        };
        assert_eq!(simplified(floats(), choose), want);
    }
    let same = |b: &mut Builder, x| {
        let p = b.compare(crate::op::Direction::Lt, x, x);
        b.select(p, x, x)
    };
    assert_eq!(simplified(floats(), same), "return %0");
}

#[test]
fn conversions() {
    use DType::*;
    for (a, via, to, applies) in [
        (F32, F32, F32, true),
        (F16, F32, F16, true),
        (F16, F64, BF16, true),
        (F16, BF16, F16, false),
        (I8, I32, I16, true),
        (I8, U8, I32, false),
        (I16, F32, I8, false),
        (I16, F32, I16, true),
        (I32, F32, I32, false),
        (U8, F16, U8, true),
        (Bool, F8E5M2, Bool, true),
        (F32, C64, F32, true),
        (C64, F32, C64, false),
    ] {
        let text = simplified(Type::new(a, [8]), |b, x| {
            let y = b.emit(crate::op::Convert { dtype: via }, &[x]);
            b.emit(crate::op::Convert { dtype: to }, &[y])
        });
        let steps = text.matches("convert[").count();
        assert_eq!(steps, if applies { (a != to) as usize } else { 2 }, "{a} {via} {to}: {text}");
    }
    let bits = |b: &mut Builder, x| {
        let y = b.emit(BitcastConvert { dtype: U32 }, &[x]);
        b.emit(BitcastConvert { dtype: F32 }, &[y])
    };
    assert_eq!(simplified(floats(), bits), "return %0");
}

#[test]
fn moves_that_change_nothing() {
    let moves: [fn(&mut Builder, Value) -> Value; 8] = [
        |b, x| b.emit(crate::op::Reshape { shape: [2, 4].into() }, &[x]),
        |b, x| b.emit(crate::op::Broadcast { shape: [2, 4].into(), dims: vec![0, 1] }, &[x]),
        |b, x| b.emit(crate::op::Transpose { permutation: vec![0, 1] }, &[x]),
        |b, x| b.slice(x, &[0, 0], &[2, 4]),
        |b, x| {
            let zero = b.scalar(DType::F32, 0.0);
            b.emit(Pad { low: vec![0, 0], high: vec![0, 0], interior: vec![0, 0] }, &[x, zero])
        },
        |b, x| b.emit(crate::op::Concatenate { axis: 1 }, &[x]),
        |b, x| b.emit(Reverse { axes: vec![] }, &[x]),
        |b, x| b.emit(Reduce { kind: ReduceKind::Sum, axes: vec![] }, &[x]),
    ];
    for make in moves {
        assert_eq!(simplified(floats(), make), "return %0");
    }
}

#[test]
fn moves_of_moves() {
    let reshaped = |b: &mut Builder, x| {
        let y = b.reshape(x, [8]);
        b.reshape(y, [4, 2])
    };
    assert_eq!(
        simplified(floats(), reshaped),
        "%1: f32[4, 2] = reshape[shape=[4, 2]](%0); return %1"
    );
    let transposed = |b: &mut Builder, x| {
        let y = b.transpose(x, &[2, 0, 1]);
        b.transpose(y, &[0, 2, 1])
    };
    let cube = Type::new(DType::F32, [2, 3, 4]);
    assert_eq!(
        simplified(cube, transposed),
        "%1: f32[4, 3, 2] = transpose[permutation=[2, 1, 0]](%0); return %1"
    );
    let broadcast = |b: &mut Builder, x| {
        let y = b.broadcast(x, [3, 1], &[0]);
        b.broadcast(y, [2, 3, 5], &[1, 2])
    };
    let row = Type::new(DType::F32, [3]);
    assert_eq!(
        simplified(row, broadcast),
        "%1: f32[2, 3, 5] = broadcast_in_dim[shape=[2, 3, 5], dims=[1]](%0); return %1"
    );
    let reversed = |b: &mut Builder, x| {
        let y = b.emit(Reverse { axes: vec![0, 1] }, &[x]);
        b.emit(Reverse { axes: vec![1] }, &[y])
    };
    assert_eq!(simplified(floats(), reversed), "%1: f32[2, 4] = reverse[axes=[0]](%0); return %1");
    let unit = |b: &mut Builder, x| b.emit(Reverse { axes: vec![0] }, &[x]);
    assert_eq!(simplified(Type::new(DType::F32, [1]), unit), "return %0");
}

#[test]
fn moves_of_splats() {
    let moved = |b: &mut Builder, x| {
        let y = b.broadcast(x, [4, 6], &[]);
        let y = b.reshape(y, [2, 12]);
        let y = b.transpose(y, &[1, 0]);
        b.slice(y, &[0, 0], &[5, 1])
    };
    let want = "%1: i8[5, 1] = broadcast_in_dim[shape=[5, 1], dims=[]](%0); return %1";
    assert_eq!(simplified(Type::scalar(DType::I8), moved), want);
}

#[test]
fn concatenations_of_empty_operands() {
    let concat = |b: &mut Builder, x| {
        let none = b.slice_axis(x, 0, 0, 0);
        b.concat(&[none, x, none], 0)
    };
    assert_eq!(simplified(ints(), concat), "return %0");
}

fn body(make: impl FnOnce(&mut Builder, Value) -> Value) -> Arc<Graph> {
    let mut b = Builder::new();
    let x = b.input(floats());
    let y = make(&mut b, x);
    Arc::new(b.finish(&[y]).unwrap())
}

#[test]
fn calls_and_known_branches() {
    let inner = body(|b, x| {
        let y = b.neg(x);
        b.neg(y)
    });
    let call = |b: &mut Builder, x| b.emit(Call { callee: "f".into(), body: inner.clone() }, &[x]);
    assert_eq!(simplified(floats(), call), "return %0");
    let branches = vec![inner.clone(), body(|b, x| b.sin(x))];
    let cond = |b: &mut Builder, x| {
        let k = b.scalar(DType::I32, 9.0);
        b.emit(Cond { branches: branches.clone() }, &[k, x])
    };
    assert_eq!(simplified(floats(), cond), "%1: f32[2, 4] = sine(%0); return %1");
}

#[test]
fn limited_integers_skip_a_narrow_dtype() {
    let of = |low: f64, high: f64| {
        simplified(floats(), |b, x| {
            let (low, high) = (b.full_like(x, low), b.full_like(x, high));
            let x = b.emit(Clamp {}, &[low, x, high]);
            let x = b.convert(x, DType::I32);
            let x = b.convert(x, DType::U8);
            b.convert(x, DType::I32)
        })
    };
    assert!(!of(0.0, 255.0).contains("u8"));
    assert!(of(0.0, 256.0).contains("u8") && of(-1.0, 255.0).contains("u8"));
}
