//! A warm compiled function with preallocated outputs allocates no memory, and loops update their
//! carries in place.

#![allow(unsafe_code, reason = "an allocator that counts")]

use neurax::prelude::*;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The system allocator with counters of calls and bytes.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Returns the number of allocations of twenty calls: the minimum over several rounds, as other
/// threads of the process may allocate, too.
fn calls_when_warm<A: Tree>(f: &Compiled<A, Tensor>, a: &A, out: &mut Tensor) -> Result<usize> {
    allocations_of(|| f.run_into(a, &mut [out]))
}

/// Returns the number of allocations of twenty calls, as [`calls_when_warm`] does.
fn allocations_of(mut call: impl FnMut() -> Result<()>) -> Result<usize> {
    let mut least = usize::MAX;
    for _ in 0..5 {
        let before = CALLS.load(Relaxed);
        for _ in 0..20 {
            call()?;
        }
        least = least.min(CALLS.load(Relaxed) - before);
    }
    Ok(least)
}

/// Predictors allocate nothing in warm calls, and their programs share the weights.
fn check_predictors() -> Result<()> {
    let dense = nn::input("x", dims![_, 30]).dense(64).relu().dense(32).relu().dense(1);
    let model = dense.sigmoid().model();
    let net = model.bind(model.init(key(0), &types![f32[_, 30]])?);
    let (x, mut y) = (key(1).normal([1, 30]), Tensor::zeros([1, 1]));
    for types in [types![f32[1, 30]], types![f32[_, 30]]] {
        let predictor = net.predictor(&types)?;
        let calls = allocations_of(|| predictor.run_into(&x, &mut [&mut y]))?;
        assert_eq!(calls, 0, "a predictor of {}", types[0]);
        let calls = allocations_of(|| predictor.run_into([("x", &x)], &mut [&mut y]))?;
        assert_eq!(calls, 0, "a predictor of {}, by name", types[0]);
    }

    let weights: usize = 4 * 2048 * 4096;
    let model = nn::input("x", dims![_, 2048]).dense(4096).relu().dense(1).model();
    let net = model.bind(model.init(key(0), &types![f32[_, 2048]])?);
    let predictor = net.predictor(types![f32[_, 2048]])?;
    let bytes_of = |rows: Range<usize>| -> Result<usize> {
        let before = BYTES.load(Relaxed);
        for rows in rows {
            assert_eq!(predictor.run(Tensor::ones([rows, 2048]))?.shape(), [rows, 1]);
        }
        Ok(BYTES.load(Relaxed) - before)
    };
    let allocated = bytes_of(1..4)?;
    assert_eq!((predictor.memory().programs, predictor.memory().weights / weights), (3, 1));
    assert!(allocated < weights, "three programs of one network took {allocated} bytes");
    // The weights of products of more rows are packed, once for all programs.
    bytes_of(4..5)?;
    let allocated = bytes_of(5..8)?;
    assert_eq!((predictor.memory().programs, predictor.memory().weights / weights), (7, 2));
    assert!(allocated < weights, "three programs of packed weights took {allocated} bytes");
    Ok(())
}

/// One test for all, as the counters belong to the whole process.
#[test]
fn calls_take_no_memory_and_loops_copy_nothing() -> Result<()> {
    if tensor(0).device()?.backend().name() != "native" {
        return Ok(());
    }
    check_predictors()?;
    let key = key(1);
    let x = key.normal([1, 30]);
    let weights = [
        key.fold_in(1).normal([30, 64]),
        key.fold_in(2).normal([64, 32]),
        key.fold_in(3).normal([32, 1]),
    ];
    let net = jit(move |x: Tensor| weights.iter().fold(x, |x, w| x.matmul(w).relu()).sigmoid())
        .compile(&x)?;
    assert_eq!(calls_when_warm(&net, &x, &mut Tensor::zeros([1, 1]))?, 0, "a network");

    let x = key.normal([200_000]);
    let wide = jit(|x: Tensor| x.tanh() * 2.0 - x.cumsum(0).sin()).compile(&x)?;
    assert_eq!(
        calls_when_warm(&wide, &x, &mut Tensor::zeros([200_000]))?,
        0,
        "work for many threads"
    );

    let (x, w) = (key.normal([2, 3, 8, 8]), key.normal([4, 3, 3, 3]));
    let convolved = jit(move |x: Tensor| x.conv(&w, Windows::new()).relu()).compile(&x)?;
    let mut out = Tensor::zeros([2, 4, 6, 6]);
    assert_eq!(calls_when_warm(&convolved, &x, &mut out)?, 0, "a small convolution");
    let (x, w) = (key.normal([16, 24]), key.normal([24, 32]));
    let multiplied = jit(move |x: Tensor| x.matmul(&w).tanh()).compile(&x)?;
    let mut out = Tensor::zeros([16, 32]);
    assert_eq!(calls_when_warm(&multiplied, &x, &mut out)?, 0, "a small product");
    // The largest ones without an allocation: `Compiled::run_into` names 16,384 multiplications.
    let (x, w) = (key.normal([25, 26]), key.normal([26, 25]));
    let multiplied = jit(move |x: Tensor| x.matmul(&w)).compile(&x)?;
    let mut out = Tensor::zeros([25, 25]);
    assert_eq!(calls_when_warm(&multiplied, &x, &mut out)?, 0, "16,250 multiplications");
    let (x, w) = (key.normal([1, 3, 8, 8]), key.normal([16, 3, 3, 3]));
    let convolved = jit(move |x: Tensor| x.conv(&w, Windows::new())).compile(&x)?;
    let mut out = Tensor::zeros([1, 16, 6, 6]);
    assert_eq!(calls_when_warm(&convolved, &x, &mut out)?, 0, "15,552 multiplications");

    let x = key.normal([300, 40]);
    let sorted = jit(|x: Tensor| x.sort(0) + x.sort(1)).compile(&x)?;
    assert_eq!(calls_when_warm(&sorted, &x, &mut Tensor::zeros([300, 40]))?, 0, "sorting");

    let (x, rows) = (key.normal([200, 300]), Tensor::arange(64) * 3);
    let gathered = jit(move |x: Tensor| x.take(&rows, 0)).compile(&x)?;
    assert_eq!(
        calls_when_warm(&gathered, &x, &mut Tensor::zeros([64, 300]))?,
        0,
        "rows copied with memcpy"
    );

    let x = key.normal([16, 8]);
    let looped = jit(|x: Tensor| {
        let total = scan(Tensor::zeros([8]), x, |c, x| (&c + x.exp(), c)).1;
        let doubled = while_loop(total, |c| c.abs().sum(..).lt(1e6), |c| c * 2.0);
        cond(&doubled.sum(..).gt(0.0), || doubled.clone(), || -&doubled)
    });
    let looped = looped.compile(&x)?;
    assert_eq!(calls_when_warm(&looped, &x, &mut Tensor::zeros([16, 8]))?, 0, "control flow");

    // Updates ten thousand rows of a table of 100 MB; a copy for each would allocate a million MB.
    let fill = |table: Tensor| {
        fori(0..10_000, table * 0.5, |i, t| {
            let row = (&i + Tensor::arange(2500)).to(F32).reshape([1, 2500]);
            t.dynamic_update_slice(row, stack(&[i, tensor(0)], 0))
        })
    };
    let table = jit(|x: Tensor| x * 2.0).run(Tensor::zeros([10_000, 2500]))?;
    let step = jit(fill).compile(&table)?;
    let before = BYTES.load(Relaxed);
    let table = step.run(table)?;
    assert!(
        BYTES.load(Relaxed) - before < 1 << 20,
        "not even the first call allocates a second table"
    );
    let table = step.run(table)?;
    assert!(BYTES.load(Relaxed) - before < 1 << 20, "the table is updated in place");
    assert_eq!(table.get(7).get(5).item()?, 12.0);
    assert_eq!(table.get(9999).get(2499).item()?, 12_498.0);
    Ok(())
}
