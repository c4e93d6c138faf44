//! Conversions between dtypes, on the reference interpreter and in machine code.

use neurax::{
    Literal,
    ir::{
        Builder, Compute, DType, FloatFormat, NanCodes, Type, op::Convert, transform, with_compute,
    },
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

/// Returns the cells of the rows of the table in docs/dtypes.md whose head begins with `first`.
fn table(first: &str) -> Vec<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dtypes.md");
    let page = std::fs::read_to_string(path).unwrap();
    let head = format!("| {first} |");
    let rows = page.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    let cells = |line: &str| line.trim_matches('|').split('|').map(cell).collect();
    rows.take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn cell(text: &str) -> String {
    text.trim().trim_matches('`').to_string()
}

/// Returns a number of a table, such as `2^-9`.
fn number(text: &str) -> f64 {
    match text.strip_prefix("2^") {
        Some(exponent) => 2f64.powi(exponent.parse().unwrap()),
        None => text.parse().unwrap(),
    }
}

#[test]
fn conversions_are_those_of_the_table() {
    let rows = table("from");
    for row in &rows {
        let [from, x, to, want] = &row[..4] else { panic!("{row:?}") };
        let [from, to] = [from, to].map(|d| DType::parse(d).unwrap());
        let y = converted(&Literal::scalar(from, number(x)), to);
        match to.int_range() {
            Some(_) => assert_eq!(integer(&y), want.parse::<i128>().unwrap(), "{row:?}"),
            None => {
                let (have, want) = (y.to_f64s()[0], number(want));
                let same = have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan());
                assert!(same, "{row:?}: {have}");
            }
        }
    }
    let named = |d: DType| rows.iter().any(|row| row[0] == d.name() || row[2] == d.name());
    let missing: Vec<DType> = small_floats().map(|(d, _)| d).filter(|&d| !named(d)).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

fn integer(x: &Literal) -> i128 {
    with_compute!(any x.dtype(), C => x.load::<C>()[0].to_i128())
}

#[test]
fn formats_are_those_of_the_table() {
    let rows = table("dtype");
    assert_eq!(rows.len(), small_floats().count());
    for (row, (dtype, f)) in rows.iter().zip(small_floats()) {
        assert_eq!(row[0], dtype.name());
        assert_eq!(row[1].parse::<i32>().unwrap(), f.bias, "{dtype}");
        let limits = [f.max(), f.smallest_subnormal(), f.smallest_normal()];
        assert_eq!([2, 3, 4].map(|i| number(&row[i])), limits, "{dtype}");
        let (infinity, nan) = (f.has_infinity, f.nan != NanCodes::Absent);
        assert_eq!([&row[5], &row[6]].map(|c| c == "yes"), [infinity, nan], "{dtype}");
    }
}

#[test]
fn storage_types_are_moved_and_nothing_else() {
    // The moves, of any dtype.
    let moved = |x: Tensor| {
        let rows = concat([x.transpose(), x.reshape([3, 2])], 0);
        let taken = rows.take(tensor([5, 0, 2]), 0).flip(1);
        tensor([[true], [false], [true]]).select(&taken, rows.slice(0, 1..4))
    };
    let wide = tensor([[1.0, 2.0, 4.0], [0.5, 1.0, 2.0]]);
    for dtype in DType::ALL.into_iter().filter(|d| d.is_storage()) {
        let f = move |x: Tensor| moved(x.to(dtype)).to(F32);
        for y in [f(wide.clone()), jit(f).run(wide.clone()).unwrap()] {
            assert_eq!(y.to_vec::<f32>().unwrap(), moved(wide.clone()).to_vec::<f32>().unwrap());
        }
        let x = wide.to(dtype);
        for y in [&x + &x, x.sum(..), x.lt(&x), x.sort(0), x.matmul(x.transpose())] {
            let e = y.ok().unwrap_err();
            assert!(e.to_string().contains("convert it"), "{dtype}: {e}");
        }
        let e = grad(move |x: Tensor| x.to(dtype).to(F32).sum(..)).run(wide.clone()).unwrap_err();
        assert!(e.to_string().contains("use stop_gradient before it"), "{dtype}: {e}");
    }
}
