//! Ops that fall back to the reference interpreter read the program's buffers without a copy; ops
//! that only move elements have machine code for every dtype.

use neurax_ir::{
    Axis, Batched, Bound, Builder, Bytes, Complex, DType, Literal, Result, Tangent, Transposed,
    Type, Value, Values,
    op::{Concatenate, Custom, CustomOp, Reverse, Slice},
    transform,
};
use neurax_native::Native;
use neurax_runtime::Backend;
use std::sync::{Arc, Mutex};

/// A custom op that returns its operands and keeps them.
#[derive(Debug, Default)]
struct Keeps(Mutex<Vec<Literal>>);

impl CustomOp for Keeps {
    fn name(&self) -> &str {
        "keeps"
    }
    fn params(&self) -> String {
        String::new()
    }
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(xs.to_vec())
    }
    fn eval(&self, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        self.0.lock().unwrap().extend(xs.iter().cloned());
        Ok(xs)
    }
    fn jvp(&self, _: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(dxs.to_vec())
    }
    fn transpose(
        &self,
        _: &mut Builder,
        _: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        Transposed::Cotangents(cts.to_vec())
    }
    fn batch(
        &self,
        _: &mut Builder,
        _: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        Ok((Values::from_slice(xs), dims.to_vec()))
    }
}

#[test]
fn what_users_keep_stays_as_it_is() {
    let keeps = Arc::new(Keeps::default());
    let mut b = Builder::new();
    let x = b.input(Type::new(DType::F32, [100]));
    let y = b.add(x, x);
    let y = b.emit(Custom(keeps.clone()), &[y]);
    let y = b.mul(y, x);
    let run = Native::new().unwrap().compile(&b.finish(&[y]).unwrap(), 0).unwrap();
    for i in 0..3 {
        run.run(vec![Literal::from_slice([100], &[i as f32; 100]).unwrap().into()]).unwrap();
    }
    drop(run);
    let kept: Vec<Vec<f32>> = keeps.0.lock().unwrap().iter().map(|x| x.to_vec().unwrap()).collect();
    assert_eq!(kept, [0.0, 2.0, 4.0].map(|x| vec![x; 100]));
}

#[test]
fn arguments_and_constants_are_only_read() {
    // Memory that cannot be written, such as that of a mapped file.
    static NUMBERS: [[u8; 4]; 8] = [
        [0, 0, 0x80, 0x3f],
        [0, 0, 0, 0x40],
        [0, 0, 0x40, 0xc0],
        [0, 0, 0, 0x40],
        [0; 4],
        [0, 0, 0x80, 0x3f],
        [0; 4],
        [0, 0, 0, 0xc0],
    ];
    struct Mapped;
    impl AsRef<[u8]> for Mapped {
        fn as_ref(&self) -> &[u8] {
            NUMBERS.as_flattened()
        }
    }
    for dtype in [DType::C64, DType::C128, DType::F8E5M2, DType::F32, DType::I4] {
        let ty = Type::new(dtype, [256 / dtype.bits()]);
        let mapped =
            Literal::new(ty.clone(), Bytes::borrowed(Arc::new(Mapped), 0..32, 1).unwrap()).unwrap();
        let mut b = Builder::new();
        let x = b.input(ty.clone());
        let c = b.constant(mapped.clone());
        let y = b.add(x, c);
        // Aliases of the same memory.
        let names = [x, c].map(|v| b.reshape(v, [1, ty.size()]));
        let z = b.add(names[0], names[1]);
        let graph = b.finish(&[y, c, names[0], names[1], z]).unwrap();
        let want = transform::eval(&graph, vec![mapped.clone()]).unwrap();
        let have =
            Native::new().unwrap().compile(&graph, 0).unwrap().run(vec![mapped.into()]).unwrap();
        assert_eq!(have.into_iter().map(|y| y.into_literal().unwrap()).collect::<Vec<_>>(), want);
    }
}

#[test]
fn operands_stay_as_they_are() {
    let z: Vec<Complex<f32>> = (0..500).map(|i| Complex::new(i as f32, 1.0 - i as f32)).collect();
    let args = [
        Literal::from_slice([500], &z).unwrap(),
        Literal::from_slice([500], &z[..].iter().rev().copied().collect::<Vec<_>>()).unwrap(),
    ];
    let mut b = Builder::new();
    let xs = b.inputs(&[0, 1].map(|i: usize| args[i].ty().clone()));
    let sum = b.add(xs[0], xs[1]);
    let again = b.add(sum, sum);
    let product = b.mul(again, xs[0]);
    let back = b.reshape(product, [20, 25]);
    let last = b.sub(again, sum);
    let graph = b.finish(&[sum, back, last, product]).unwrap();
    let want = transform::eval(&graph, args.to_vec()).unwrap();
    let run = Native::new().unwrap().compile(&graph, 0).unwrap();
    for _ in 0..2 {
        let have = run.run(args.iter().map(|x| x.clone().into()).collect()).unwrap();
        let have: Vec<Literal> = have.into_iter().map(|y| y.into_literal().unwrap()).collect();
        assert_eq!(have, want);
    }
    assert_eq!(args[0].to_vec::<Complex<f32>>().unwrap(), z);
}

#[test]
fn what_only_moves_elements_is_machine_code() {
    for dtype in [DType::C64, DType::F8E4M3FN, DType::F8E5M2] {
        // Any bits: NaN is moved unchanged, too.
        let ty = Type::new(dtype, [37, 50]);
        let bytes: Vec<u8> =
            (0..ty.bytes().unwrap()).map(|i| ((i * 2654435761) >> 9) as u8).collect();
        let x = Literal::new(ty.clone(), Bytes::copy_of(&bytes)).unwrap();
        let mut b = Builder::new();
        let v = b.input(ty.clone());
        let turned = b.transpose(v, &[1, 0]);
        let zeros = b.zeros(Type::new(dtype, [50, 3]));
        let wide = b.emit(Concatenate { axis: 1 }, &[turned, zeros, turned]);
        let back = b.emit(Reverse { axes: vec![0] }, &[wide]);
        let part =
            b.emit(Slice { start: vec![3, 1], limit: vec![49, 77], stride: vec![2, 3] }, &[back]);
        let spread = b.broadcast(part, [23, 4, 26], &[0, 2]);
        let graph = b.finish(&[wide, spread]).unwrap();
        let want = transform::eval(&graph, vec![x.clone()]).unwrap();
        let native = Native::new().unwrap();
        let have = native.compile(&graph, 0).unwrap().run(vec![x.into()]).unwrap();
        assert!(native.kernels() > 0);
        assert_eq!(have.into_iter().map(|y| y.into_literal().unwrap()).collect::<Vec<_>>(), want);
    }
}
