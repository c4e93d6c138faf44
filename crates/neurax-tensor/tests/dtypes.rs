//! Conversions between dtypes, on the reference interpreter and in machine code.

use neurax::{
    Literal,
    ir::{Builder, DType, FloatFormat, Type, op::Convert, transform},
    jit,
    prelude::*,
};
use neurax_testkit::fixtures;

/// Returns `x` converted to `dtype` by the reference interpreter and by machine code, which give
/// the same bits.
#[track_caller]
fn converted(x: &Literal, dtype: DType) -> Literal {
    let mut b = Builder::new();
    let v = b.input(x.ty().clone());
    let y = b.emit(Convert { dtype }, &[v]);
    let graph = b.finish(&[y]).unwrap();
    let y = transform::eval(&graph, vec![x.clone()]).unwrap().swap_remove(0);
    let native = jit(move |x: Tensor| x.to(dtype)).run(Tensor::from(x.clone())).unwrap();
    assert_eq!(native.to_literal().unwrap(), y, "{} to {dtype}", x.ty());
    y
}

/// Returns the float dtypes with numbers of at most 8 bits.
fn small_floats() -> impl Iterator<Item = (DType, FloatFormat)> {
    let formats = DType::ALL.into_iter().filter_map(|d| Some((d, FloatFormat::of(d)?)));
    formats.filter(|(_, f)| f.bits() <= 8)
}

#[test]
fn every_code_has_the_number_of_ml_dtypes() {
    let recorded = fixtures::read("formats/floats").unwrap();
    for (dtype, format) in small_floats() {
        let want = recorded.values[&format!("{dtype}/values")].to_vec::<f32>().unwrap();
        assert_eq!(want.len(), 1 << format.bits());
        for (code, &want) in want.iter().enumerate() {
            let have = format.decode(code as u64);
            let is_same =
                have == f64::from(want) && have.is_sign_negative() == (want.is_sign_negative());
            assert!(is_same || (have.is_nan() && want.is_nan()), "{dtype} {code:#x}: {have}");
        }
    }
}

#[test]
fn numbers_round_as_in_ml_dtypes() {
    let recorded = fixtures::read("formats/floats").unwrap();
    for (dtype, format) in small_floats() {
        for kind in ["f32", "f64"] {
            let x = &recorded.values[&format!("{dtype}/{kind}")];
            let codes = recorded.values[&format!("{dtype}/{kind}_codes")].to_vec::<u8>().unwrap();
            let have = converted(x, dtype);
            let want: Vec<f64> = codes.iter().map(|&c| format.decode(c.into())).collect();
            for ((x, have), (want, code)) in
                x.to_f64s().into_iter().zip(have.to_f64s()).zip(want.into_iter().zip(codes))
            {
                assert_eq!(format.encode(x), u64::from(code), "{x:e} to {dtype}, from {kind}");
                assert!(have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan()));
            }
        }
    }
}

#[test]
fn codes_convert_to_every_float() {
    for (dtype, format) in small_floats().filter(|(d, _)| d.bits() == 8) {
        let codes: Vec<u8> = (0..1u16 << format.bits()).map(|c| c as u8).collect();
        let ty = Type::new(dtype, [codes.len()]);
        let x = Literal::from_slice([codes.len()], &codes).unwrap().with_type(ty).unwrap();
        for wide in [F16, BF16, F32, F64] {
            let rounding = FloatFormat::of(wide).unwrap();
            let want = |&c: &u8| rounding.decode(rounding.encode(format.decode(c.into())));
            let want: Vec<f64> = codes.iter().map(want).collect();
            for (have, want) in converted(&x, wide).to_f64s().into_iter().zip(want) {
                assert!(have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan()));
            }
        }
    }
}
