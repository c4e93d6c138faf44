//! Ops that fall back to the reference interpreter read the program's buffers without a copy; ops
//! that only move elements have machine code for every dtype.

use neurax_ir::{
    Axis, Batched, Bound, Builder, Bytes, Complex, DType, Literal, Result, Tangent, Transposed,
    Type, Value, Values,
    op::{Concatenate, Custom, CustomOp, ReduceKind, ReduceWindow, Reverse, Slice, Slide, Sort},
    transform,
};
use neurax_native::Native;
use neurax_runtime::{Backend, Executable};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

type EvalFn = dyn Fn(Vec<Literal>) -> Result<Vec<Literal>> + Send + Sync;
type InferFn = dyn Fn(&[Type]) -> Vec<Type> + Send + Sync;

/// A custom op that evaluates by calling a closure.
struct Calls {
    eval: Box<EvalFn>,
    infer: Box<InferFn>,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Calls")
    }
}

impl CustomOp for Calls {
    fn name(&self) -> &str {
        "calls"
    }
    fn params(&self) -> String {
        String::new()
    }
    fn has_effects(&self) -> bool {
        false
    }
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok((self.infer)(xs))
    }
    fn eval(&self, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        (self.eval)(xs)
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

/// Compiles `y = custom(x + x); y * x` of f32[100], whose op has the types of its operands and
/// evaluates by calling `eval`.
fn around(
    eval: impl Fn(Vec<Literal>) -> Result<Vec<Literal>> + Send + Sync + 'static,
) -> Arc<dyn Executable> {
    compiled(Calls { eval: Box::new(eval), infer: Box::new(<[Type]>::to_vec) })
}

fn compiled(op: Calls) -> Arc<dyn Executable> {
    let mut b = Builder::new();
    let x = b.input(Type::new(DType::F32, [100]));
    let y = b.add(x, x);
    let y = b.emit(Custom(Arc::new(op)), &[y]);
    let y = b.mul(y, x);
    Native::new().unwrap().compile(&b.finish(&[y]).unwrap(), 0).unwrap()
}

/// Runs `f` on 100 times `x` and returns the first element of the result.
fn first_of(f: &dyn Executable, x: f32) -> Result<f32> {
    let ys = f.run(vec![Literal::from_slice([100], &[x; 100])?.into()])?;
    Ok(ys[0].to_literal()?.to_vec::<f32>()?[0])
}

#[test]
fn what_users_keep_stays_as_it_is() {
    let kept: Arc<Mutex<Vec<Literal>>> = Arc::default();
    let list = kept.clone();
    let run = around(move |xs| {
        list.lock().unwrap().extend(xs.iter().cloned());
        Ok(xs)
    });
    for i in 0..3 {
        first_of(&*run, i as f32).unwrap();
    }
    drop(run);
    let kept: Vec<Vec<f32>> = kept.lock().unwrap().iter().map(|x| x.to_vec().unwrap()).collect();
    assert_eq!(kept, [0.0, 2.0, 4.0].map(|x| vec![x; 100]));
}

#[test]
fn a_program_runs_again_after_an_op_has_panicked() {
    let calls = AtomicUsize::new(0);
    let run = around(move |xs| {
        // The first and the third call panic.
        assert!(calls.fetch_add(1, Relaxed) % 2 == 1, "a user's panic");
        Ok(xs)
    });
    for x in [1.0, 2.0] {
        let panic = catch_unwind(AssertUnwindSafe(|| first_of(&*run, x))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a user's panic"));
        assert_eq!(first_of(&*run, x).unwrap(), 2.0 * x * x);
    }
}

#[test]
fn an_op_may_call_the_program_that_it_is_part_of() {
    let itself: Arc<OnceLock<Arc<dyn Executable>>> = Arc::default();
    let program = itself.clone();
    let run = around(move |xs| {
        let x = xs[0].to_vec::<f32>()?[0];
        let y = if x > 100.0 { x } else { first_of(&**program.get().unwrap(), x)? };
        Ok(vec![Literal::from_slice([100], &[y; 100])?])
    });
    assert!(itself.set(run.clone()).is_ok());
    // g(x) = x * c(2 x), where c(x) = x if x > 100, else g(x).
    assert_eq!(first_of(&*run, 20.0).unwrap(), 20.0 * (40.0 * 80.0 * 160.0));
}

#[test]
fn results_of_other_sizes_than_when_the_op_was_compiled_are_an_error() {
    let size = Arc::new(AtomicUsize::new(100));
    let later = size.clone();
    let run = compiled(Calls {
        infer: Box::new(move |xs| vec![xs[0].with_shape([size.load(Relaxed)])]),
        eval: Box::new(|xs| Ok(vec![Literal::zeros(xs[0].ty().with_shape([2000]))])),
    });
    later.store(2000, Relaxed);
    let e = first_of(&*run, 1.0).unwrap_err();
    assert!(e.message().contains("expected results of (400) bytes"), "{e}");
    assert!(e.message().contains("got (8000)"), "{e}");
}

/// Memory that begins one byte after an aligned address.
fn unaligned(ty: &Type, values: impl Fn(usize) -> u8) -> Bytes {
    let n = ty.bytes().unwrap();
    let owner = Bytes::copy_of(&(0..=n).map(|i| values(i.wrapping_sub(1))).collect::<Vec<_>>());
    let bytes = Bytes::borrowed(Arc::new(OwnedBytes(owner)), 1..n + 1).unwrap();
    assert_eq!(bytes.address() % 2, 1);
    bytes
}

struct OwnedBytes(Bytes);

impl AsRef<[u8]> for OwnedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[test]
fn arguments_may_lie_at_any_address() {
    for dtype in [DType::F32, DType::F64, DType::I16] {
        let ty = Type::new(dtype, [7, 9]);
        // Small positive numbers of every dtype.
        let bytes = unaligned(&ty, |i| [0x40, 0x3f][i % 2]);
        let x = Literal::new(ty.clone(), bytes).unwrap();
        let mut b = Builder::new();
        let v = b.input(ty);
        let slides = vec![Slide::default(); 2];
        let sums = ReduceWindow { kind: ReduceKind::Sum, sizes: vec![3, 2], slides };
        let sums = b.emit(sums, &[v]);
        let sorted = b.emit(Sort { axis: 1, keys: 1 }, &[v]);
        let graph = b.finish(&[sums, sorted]).unwrap();
        let want = transform::eval(&graph, vec![x.clone()]).unwrap();
        let run = Native::new().unwrap().compile(&graph, 0).unwrap();
        let have = run.run(vec![x.into()]).unwrap();
        assert_eq!(have.into_iter().map(|y| y.into_literal().unwrap()).collect::<Vec<_>>(), want);
    }
}

#[test]
fn arguments_and_constants_are_only_read() {
    // Memory that cannot be written, such as that of a mapped file.
    #[repr(align(16))]
    struct Aligned([[u8; 4]; 8]);
    static NUMBERS: Aligned = Aligned([
        [0, 0, 0x80, 0x3f],
        [0, 0, 0, 0x40],
        [0, 0, 0x40, 0xc0],
        [0, 0, 0, 0x40],
        [0; 4],
        [0, 0, 0x80, 0x3f],
        [0; 4],
        [0, 0, 0, 0xc0],
    ]);
    struct Mapped;
    impl AsRef<[u8]> for Mapped {
        fn as_ref(&self) -> &[u8] {
            NUMBERS.0.as_flattened()
        }
    }
    for dtype in [DType::C64, DType::C128, DType::F8E5M2, DType::F32, DType::I4] {
        let ty = Type::new(dtype, [256 / dtype.bits()]);
        let mapped =
            Literal::new(ty.clone(), Bytes::borrowed(Arc::new(Mapped), 0..32).unwrap()).unwrap();
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
    for dtype in [DType::C64, DType::F8E4M3FN, DType::F8E5M2FNUZ, DType::F8E8M0FNU] {
        // Any bits: NaN is moved unchanged, too.
        let ty = Type::new(dtype, [37, 50]);
        let bytes: Vec<u8> =
            (0..ty.bytes().unwrap()).map(|i| ((i * 2654435761) >> 9) as u8).collect();
        let x = Literal::new(ty.clone(), Bytes::copy_of(&bytes)).unwrap();
        let mut b = Builder::new();
        let v = b.input(ty.clone());
        let transposed = b.transpose(v, &[1, 0]);
        let zeros = b.zeros(Type::new(dtype, [50, 3]));
        let wide = b.emit(Concatenate { axis: 1 }, &[transposed, zeros, transposed]);
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
