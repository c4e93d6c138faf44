//! Programs that are large, deep or empty: their cost is bounded, and what cannot be is an error.

use neurax::prelude::*;
use std::{
    process::Command,
    sync::{Arc, OnceLock},
};

/// A size that no loop could count to.
const HUGE: usize = 1 << 40;

#[test]
fn a_tensor_without_elements_costs_nothing() -> Result<()> {
    let x = Tensor::zeros([HUGE, 0, 2]);
    assert_eq!((&x + 1.0).shape(), [HUGE, 0, 2]);
    assert!((&x + 1.0).to_vec::<f32>()?.is_empty());
    assert_eq!(Tensor::zeros([HUGE, 0]).matmul(Tensor::zeros([0, 0])).shape(), [HUGE, 0]);
    assert_eq!(x.repeat(3, 0).ok()?.shape(), [3 * HUGE, 0, 2]);
    let ops: [(&str, fn(Tensor) -> Tensor); 14] = [
        ("elementwise", |x| (x.sin() * 2.0).tanh()),
        ("sum of all", |x| x.exp().sum(..)),
        ("sums", |x| x.sum([0, 1])),
        ("maximum", |x| x.max(2)),
        ("cumulative", |x| x.cumsum(0)),
        ("sort", |x| x.sort(0)),
        ("transposed", |x| x.transpose() + 1.0),
        ("concatenate", |x| concat([&x, &x], 0)),
        ("stack", |x| stack([&x, &x], 0)),
        ("reversed", |x| x.flip(0)),
        ("sliced", |x| x.slice(0, 1..5).sin()),
        ("gathered", |x| x.take(tensor([0, 5, 7]), 0)),
        ("products", |x| x.matmul(Tensor::zeros([2, 3]))),
        ("loop", |x| scan(tensor(0.0), x.slice(0, 0..3), |c, x| (&c + 1.0, x + c)).1),
    ];
    for (name, op) in ops {
        for f in [jit(op), jit(move |x: Tensor| grad(move |x| op(x).sum(..))(x))] {
            let y = f.run(x.clone()).map_err(|e| e.within(name))?;
            assert!(y.to_vec::<f32>()?.iter().all(|&y| y == 0.0), "{name}");
        }
    }
    Ok(())
}

/// A function of loops inside of one another.
fn nested(depth: usize, x: Tensor) -> Tensor {
    if depth == 0 {
        return x.sin();
    }
    scan(x, Tensor::arange(2), |c, _| (nested(depth - 1, c.cos()) + &c, ())).0
}

#[test]
fn nested_loops_compile_in_a_time_that_is_polynomial_in_their_depth() -> Result<()> {
    let x = tensor([1.0, 2.0]);
    jit(|x| nested(50, x)).stages(&x, false)?;
    jit(grad(|x| nested(30, x).sum(..))).stages(&x, false)?;
    jit(vmap(|x| nested(30, x))).stages(&x, false)?;
    let branches =
        |x: Tensor| (0..20).fold(x, |x, i| cond(&x.sum(..).gt(i as f32), || x.sin(), || x.cos()));
    jit(vmap(branches)).stages(&x, false)?;
    let e = jit(|x| nested(64, x)).stages(&x, false).unwrap_err().to_string();
    assert!(e.contains("nested less than 64 deep") && e.contains("limits.rs"), "{e}");
    Ok(())
}

fn branches(depth: usize, x: Tensor) -> Tensor {
    if depth == 0 {
        return x.sin();
    }
    cond(&x.sum(..).gt(depth as f32), || branches(depth - 1, x.cos()), || x.exp())
}

#[test]
fn nested_branches_of_a_batch_compile_too() -> Result<()> {
    let x = tensor([1.0, 2.0]);
    jit(|x| branches(40, x)).stages(&x, false)?;
    jit(vmap(|x| branches(12, x))).stages(&x, false)?;
    Ok(())
}

#[test]
fn more_than_64_axes_are_an_error() -> Result<()> {
    assert_eq!(Tensor::ones(vec![1usize; 64]).sin().sum(..).ok()?.rank(), 0);
    for rank in [65, 10_000] {
        let want = format!("type: expected at most 64 axes, got {rank}, at ");
        for x in [Tensor::zeros(vec![1usize; rank]), tensor(1.0).reshape(vec![1usize; rank])] {
            let e = x.ok().unwrap_err().to_string();
            assert!(e.starts_with(&want) && e.contains("limits.rs"), "{e}");
        }
    }
    Ok(())
}

#[test]
fn a_function_that_calls_itself_with_ever_new_types_is_an_error() {
    type Own = Jit<'static, Tensor, Tensor>;
    let own: Arc<OnceLock<Own>> = Arc::default();
    let inner = own.clone();
    let grow = jit(move |x: Tensor| inner.get().unwrap()(concat([&x, &x.slice(0, 0..1)], 0)));
    let grow = own.get_or_init(|| grow);
    let e = grow.run(tensor([1.0])).unwrap_err().to_string();
    assert!(e.contains("ever new types") && e.contains("limits.rs"), "{e}");
}

#[test]
fn windows_far_larger_than_the_operand_are_computed() -> Result<()> {
    let wide = 1usize << 33;
    let (x, side) = (tensor([[[1.0, 4.0, 2.0]]]), (wide / 2) as i64);
    let options = || Windows::new().padding(Padding::Each(vec![(side, side - 3)]));
    assert_eq!(x.max_pool(wide, options()).to_vec::<f32>()?, [4.0]);
    let total = grad(move |x: Tensor| x.max_pool(wide, options()).sum(..)).run(x)?;
    assert_eq!(total.to_vec::<f32>()?, [0.0, 1.0, 0.0]);
    Ok(())
}

/// The address space of the process in which [`short_of_memory`] runs, in KiB.
const LIMIT_KIB: usize = 1 << 20;

#[test]
fn what_cannot_be_allocated_is_an_error_and_keeps_its_arguments() {
    // The reference interpreter computes in f64, and has not even memory for the arguments.
    if std::env::var("NEURAX_DEVICE").is_ok_and(|name| name == "interp") {
        return;
    }
    run_short_of_memory("short_of_memory", 1);
    for mebi in (32..48).step_by(2) {
        run_short_of_memory("lazy_arguments_are_computed_before_memory_is_checked", mebi << 20);
    }
}

/// Runs a test in a process with little memory, with a size.
#[track_caller]
fn run_short_of_memory(test: &str, size: usize) {
    let program = std::env::current_exe().unwrap();
    let command = format!("ulimit -v {LIMIT_KIB} && exec \"$0\" --exact {test} --nocapture");
    let child = Command::new("sh")
        .args(["-c", &command])
        .arg(program)
        .env("NEURAX_SHORT_OF_MEMORY", size.to_string())
        .env("NEURAX_THREADS", "2")
        .output()
        .unwrap();
    let text = [child.stdout, child.stderr].map(|t| String::from_utf8_lossy(&t).into_owned());
    assert!(child.status.success(), "{test} {size}: {}\n{}", text[0], text[1]);
}

/// Runs in a process with little memory: see
/// [`what_cannot_be_allocated_is_an_error_and_keeps_its_arguments`].
#[test]
fn short_of_memory() -> Result<()> {
    if std::env::var_os("NEURAX_SHORT_OF_MEMORY").is_none() {
        return Ok(());
    }
    let mut x = jit(|x: Tensor| x + 1.0).run(Tensor::zeros([48 << 20]))?;
    let ops: [(&str, fn(Tensor) -> Tensor); 5] = [
        ("sort", |x| x.sort(0)),
        ("stack", |x| stack([&x, &x, &x, &x, &x], 0)),
        ("packed", |x| x.reshape([1, 48 << 20]).to(U4).repeat(40, 0)),
        ("wider", |x| x.to(C128)),
        ("intermediate", |x| {
            let y = x.cumsum(0);
            stack([&y, &y.flip(0), &x, &x.flip(0)], 0).sort(1).sum(0)
        }),
    ];
    for (name, op) in ops {
        let failed = jit(op).try_run(x).unwrap_err();
        let e = failed.error.to_string();
        assert!(e.contains("not enough memory"), "{name}: {e}");
        x = failed.args.expect(name);
        let e = op(x.clone()).ok().and_then(|y| y.to_vec::<f32>()).unwrap_err().to_string();
        assert!(e.contains("not enough memory"), "{name} eagerly: {e}");
    }
    assert_eq!(x.sum(..).item()?, (48 << 20) as f64);
    Ok(())
}

/// Runs in a process with little memory: the memory of a lazy argument is not counted as free. A
/// sort of any size succeeds or is an error.
#[test]
fn lazy_arguments_are_computed_before_memory_is_checked() -> Result<()> {
    let Ok(size) = std::env::var("NEURAX_SHORT_OF_MEMORY") else { return Ok(()) };
    let size: usize = size.parse().unwrap();
    let least = jit(|x: Tensor| x.sort(0).get(0)).run(Tensor::zeros([size]));
    match least.and_then(|y| y.item()) {
        Ok(y) => assert_eq!(y, 0.0),
        Err(e) => assert!(e.to_string().contains("not enough memory"), "{e}"),
    }
    Ok(())
}
