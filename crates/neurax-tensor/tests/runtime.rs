//! Compilation counts, reuse of memory, and failures at run time.

use neurax::Compiled;
use neurax::ir::{Graph, Literal};
use neurax::prelude::*;
use neurax::runtime::{Backend, Buffer, Executable};
use std::sync::Arc;

/// Creates a device for a test that counts its compilations.
fn new_device() -> Result<Device> {
    Device::from_backend(Arc::new(neurax_interp::Interp::new()), 0)
}

#[test]
fn a_thousand_steps_with_changing_rates_compile_once() -> Result<()> {
    let device = new_device()?;
    let (mut p, g) = (Tensor::ones([321]).on(&device), Tensor::ones([321]).on(&device));
    p = &p - &g * 0.5;
    let before = (device.prepared_ops(), device.compilations());
    assert_eq!(before, (2, 1), "two ops, and the program of the ones");
    for i in 0..1000 {
        p -= &g * (i as f64 * 1e-6);
    }
    assert_eq!((device.prepared_ops(), device.compilations()), before);
    // A transform outside jit does not compile a new program for another captured number either.
    let step = |lr: f64, w: &Tensor| value_and_grad_at(w, |w| (w.square() * lr).sum(..)).1;
    let _ = step(0.1, &g).ok()?;
    let before = device.compilations();
    for i in 0..20 {
        let _ = step(i as f64, &g).ok()?;
    }
    assert_eq!(device.compilations(), before);
    Ok(())
}

#[test]
fn owned_operands_are_reused() -> Result<()> {
    let x = tensor([1.0, 2.0, 3.0, 4.0]);
    let a = x.address();
    let y = x + 1.0;
    assert_eq!(y.address(), a, "the memory of the last reference is reused");
    let z = &y * 2.0;
    assert_ne!(z.address(), a);
    let mut w = z;
    let a = w.address();
    w += &y;
    w *= 2.0;
    assert_eq!(w.address(), a);
    assert_eq!(w.to_vec::<f32>()?, [12.0, 18.0, 24.0, 30.0]);
    Ok(())
}

#[test]
fn arguments_that_are_moved_in_are_updated_in_place() -> Result<()> {
    let add = jit(|x: Tensor| x + 1.0);
    let x = tensor([1.0, 2.0, 3.0, 4.0]);
    let (a, kept) = (x.address(), x.clone());
    let y = add.run(x)?;
    assert_ne!(y.address(), a, "a kept clone makes a copy of it");
    assert_eq!((add.donated(), add.copied()), (0, 1));
    drop(kept);
    let a = y.address();
    let y = add.run(y)?;
    assert_eq!((y.address(), add.donated()), (a, 1));
    Ok(())
}

#[test]
fn a_failed_call_gives_its_arguments_back() -> Result<()> {
    let f = jit(|(p, x): (Tensor, Tensor)| &p + &x);
    let p = tensor([1.0, 2.0]);
    let a = p.address();
    let failed = f.try_run((p, Tensor::zeros([3]))).unwrap_err();
    assert!(failed.error.to_string().contains("cannot broadcast"), "{}", failed.error);
    let (p, _) = failed.args.unwrap();
    assert_eq!(p.address(), a);
    let bad = &p + &Tensor::zeros([5]);
    let failed = f.try_run((p, bad)).unwrap_err();
    let (p, _) = failed.args.unwrap();
    assert_eq!(f.run((p, tensor([1.0, 1.0])))?.to_vec::<f32>()?, [2.0, 3.0]);
    Ok(())
}

#[test]
fn two_threads_may_fill_one_trace() -> Result<()> {
    let device = new_device()?;
    let both = |x: Tensor| {
        std::thread::scope(|s| {
            let h = s.spawn(|| (x.sin() * 2.0).exp());
            let b = x.cos().exp();
            h.join().unwrap() + b
        })
    };
    for _ in 0..20 {
        let y = jit(both).run(tensor([0.0, 0.25]).on(&device))?;
        assert_eq!(y.to_vec::<f32>()?[0], 1.0 + 1f32.exp());
    }
    assert_eq!(device.compilations(), 1, "the graph does not depend on which thread comes first");
    Ok(())
}

#[test]
fn any_number_of_threads_run_one_function() {
    let f = jit(|x: Tensor| x.square().sum(..));
    std::thread::scope(|s| {
        for i in 0..4 {
            let f = &f;
            s.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(
                        f.run(tensor([i as f32, 2.0])).unwrap().item().unwrap(),
                        (i * i + 4) as f64
                    );
                }
            });
        }
    });
    assert_eq!(f.traces(), 1);
}

#[test]
fn recipes_are_recorded_not_captured() -> Result<()> {
    let f = jit(|x: Tensor| x + Tensor::zeros([1000, 1000]) + key(0).uniform([1000, 1000]));
    let stages = f.stages(&tensor(1.0), true)?;
    let graph = stages.list()[0].text.clone().unwrap();
    assert!(graph.starts_with("graph(%0: f32[]) {") && graph.contains("threefry2x32"), "{graph}");
    let names: Vec<&str> = stages.list().iter().map(|s| s.name.as_str()).collect();
    let backend = format!("{}/", neurax::default_device()?.backend().name());
    assert!(
        names[0] == "trace"
            && names.contains(&"passes/cse")
            && names.last().is_some_and(|n| n.starts_with(&backend)),
        "{names:?}"
    );
    Ok(())
}

#[test]
fn compiled_functions_take_what_they_were_compiled_for() -> Result<()> {
    let f: Compiled<(Tensor, Tensor), Tensor> =
        jit(|(x, y): (Tensor, Tensor)| x + y).compile(types![f32[2], f32[]])?;
    assert_eq!(f.run((tensor([1.0, 2.0]), tensor(1.0)))?.to_vec::<f32>()?, [2.0, 3.0]);
    let e = f.run((tensor([1.0]), tensor(1.0))).unwrap_err().to_string();
    assert!(
        e.contains("compiled for, (f32[2], f32[]), got (f32[1], f32[]), at ")
            && e.contains("runtime.rs:"),
        "{e}"
    );
    let mut out = tensor([0.0, 0.0]);
    let e = f.run_into(&(tensor([1.0, 2.0]), tensor(1.0)), &mut [&mut out, &mut tensor(0.0)]);
    let e = e.unwrap_err().to_string();
    assert!(e.contains("expected 1 outputs, got 2, at ") && e.contains("runtime.rs:"), "{e}");
    let power = jit(|(x, n): (Tensor, Static<usize>)| (0..*n).fold(x, |a, _| &a * 2.0))
        .compile(&(tensor(1.0), Static(2)))?;
    let e = power.run((tensor(1.0), Static(3))).unwrap_err().to_string();
    assert!(e.contains("expected the static values") && e.contains("runtime.rs:"), "{e}");
    let e = jit(|x: Tensor| x).compile(types![f32[_, 2]]).unwrap_err().to_string();
    assert!(e.contains("f32[_, 2]: expected a size, got `_`"), "{e}");
    Ok(())
}

#[test]
fn one_trace_for_each_type_and_static_value() -> Result<()> {
    let f = jit(|(x, n): (Tensor, Static<usize>)| (0..*n).fold(x, |a, _| &a * 2.0));
    for (n, want) in [(3, 8.0), (4, 16.0), (3, 8.0)] {
        assert_eq!(f.run((tensor(1.0), Static(n)))?.item()?, want);
    }
    let _ = f.run((tensor([1.0]), Static(3)))?;
    assert_eq!(f.traces(), 3);
    Ok(())
}

#[test]
fn devices_from_outside() -> Result<()> {
    let backend = neurax_interp::Interp::new();
    let device = Device::from_backend(std::sync::Arc::new(backend.clone()), 0)?;
    let x = tensor([1.0, 2.0]).on(&device);
    let y = jit(|x: Tensor| x.square() + 1.0).run(&x * 2.0)?;
    assert_eq!((y.device()?, y.to_vec::<f32>()?), (device, vec![5.0, 17.0]));
    assert!(backend.counters().eqns() > 0);
    Ok(())
}

#[test]
fn stages_are_of_the_device_of_the_captures() -> Result<()> {
    let c = Tensor::from_vec(vec![2.0f32; 64], 64).on(&new_device()?);
    let f = jit(move |x: Tensor| x * &c);
    let stages = f.stages(&Tensor::ones(64), false)?;
    let names: Vec<&str> = stages.list().iter().map(|s| s.name.as_str()).collect();
    assert!(!names.iter().any(|name| name.starts_with("native/")), "{names:?}");
    Ok(())
}

#[test]
fn everything_may_be_sent() {
    fn check<T: Send + Sync>() {}
    check::<Tensor>();
    check::<Key>();
    check::<Error>();
    check::<Func<'static, Tensor, Tensor>>();
    check::<Jit<'static, Tensor, Tensor>>();
    check::<Compiled<Tensor, Tensor>>();
    assert_eq!(std::mem::size_of::<Tensor>(), 16);
}

/// A backend that compiles every graph to an executable whose run fails.
#[derive(Debug)]
struct Broken;

impl Backend for Broken {
    fn name(&self) -> &str {
        "broken"
    }
    fn devices(&self) -> usize {
        1
    }
    fn compile(&self, _: &Graph, _: usize) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(Broken))
    }
    fn upload(&self, value: Literal, _: usize) -> Result<Buffer> {
        Ok(value.into())
    }
    fn download(&self, buffer: &Buffer) -> Result<Literal> {
        buffer.to_literal()
    }
}

impl Executable for Broken {
    fn run(&self, _: Vec<Buffer>) -> Result<Vec<Buffer>> {
        Err(Error::new("broken", "out of order"))
    }
}

#[test]
fn outputs_survive_a_run_that_fails() -> Result<()> {
    // Large enough to be captured, so that the program runs on its device.
    let c = Tensor::from_vec(vec![2.0f32; 64], 64).on(&Device::from_backend(Arc::new(Broken), 0)?);
    let f = jit(move |x: Tensor| (&x * &c, x)).compile(types![f32[64]])?;
    let (mut own, mut other) = (Tensor::ones(64) * 3.0, tensor([5, 6, 7]));
    let memory = own.address();
    let e = f
        .run_into(&Tensor::from_vec(vec![1.0f32; 64], 64), &mut [&mut own, &mut other])
        .unwrap_err();
    assert_eq!(e.op(), "broken");
    assert!(e.to_string().contains("runtime.rs:"), "{e}");
    assert_eq!((own.to_vec::<f32>()?, own.address()), (vec![3.0; 64], memory));
    assert_eq!(other.to_vec::<i32>()?, [5, 6, 7]);
    Ok(())
}

#[test]
fn arguments_and_outputs_survive_an_allocation_that_fails() -> Result<()> {
    // The intermediate result has 2^48 elements, the result 1.
    let cube = jit(|(x, y, z): (Tensor, Tensor, Tensor)| (x.outer(y).expand_dims(2) * z).sum(..));
    let axis = || tensor([1.0, 2.0]).repeat(1 << 15, 0);
    let args = (axis(), axis(), axis());
    let memory = [args.0.address(), args.1.address(), args.2.address()];
    let failed = cube.try_run(args).unwrap_err();
    assert!(
        failed.error.to_string().contains("memory: not enough memory for f32[65536, 65536, 65536]"),
        "{}",
        failed.error
    );
    let (x, y, z) = failed.args.unwrap();
    assert_eq!([x.address(), y.address(), z.address()], memory);
    let compiled = cube.compile(&(x.clone(), y.clone(), z.clone()))?;
    let mut out = tensor(5.0);
    let e = compiled.run_into(&(x, y, z), &mut [&mut out]).unwrap_err();
    assert!(e.op() == "memory" && e.to_string().contains("runtime.rs:"), "{e}");
    assert_eq!(out.item()?, 5.0);
    Ok(())
}

#[test]
fn temporaries_of_a_loop_body_do_not_overwrite_its_results() -> Result<()> {
    let x = Tensor::arange(40).to(F32).reshape([4, 10]);
    let least = |x: &Tensor| x.sort(0).slice(0, ..3);
    let rows =
        jit(|x: Tensor| scan_reverse(tensor(0.0), x, |c, x| (c, least(&(-x)))).1).run(x.clone())?;
    let want: Vec<f32> =
        (0..4).flat_map(|r| (0..3).map(move |i| -(10 * r + 9 - i) as f32)).collect();
    assert_eq!(rows.to_vec::<f32>()?, want);
    let sums =
        jit(|x: Tensor| scan(tensor(0.0), x, |c, x| (c, x.reshape([5, 2]).sum(1).slice(0, ..2))).1)
            .run(x)?;
    assert_eq!(sums.to_vec::<f32>()?, [1.0, 5.0, 21.0, 25.0, 41.0, 45.0, 61.0, 65.0]);
    let flags = Tensor::arange(8).gt(6);
    let count = jit(|flags: Tensor| {
        while_loop(tensor(0), |c| flags.sort(0).get(7).logical_and(c.lt(5)), |c| c + 1)
    })
    .run(flags)?;
    assert_eq!(count.item()?, 5.0);
    Ok(())
}

#[test]
fn products_of_empty_batches_are_empty() -> Result<()> {
    let x = Tensor::zeros([0, 32, 32]);
    assert_eq!(x.matmul(&x).to_vec::<f32>()?, [0.0f32; 0]);
    Ok(())
}
