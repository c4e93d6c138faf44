//! Errors propagate, name the location, and say what to do.

use neurax::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

fn message(t: Tensor) -> String {
    t.ok().unwrap_err().to_string()
}

#[track_caller]
fn says(t: Tensor, parts: &[&str]) {
    let m = message(t);
    for p in parts {
        assert!(m.contains(p), "`{p}` is missing in: {m}");
    }
    assert!(m.contains("tests/errors.rs:"), "no location in: {m}");
}

#[test]
fn the_first_error_travels_and_every_axis_answers_1() {
    let bad = Tensor::zeros([2]) + Tensor::zeros([3]);
    let later = (bad.clone() * 2.0).sin().matmul(Tensor::eye(7)).reshape([9]);
    assert_eq!(message(later.clone()), message(bad));
    assert_eq!((later.dim(5), later.shape()[3], later.shape().len()), (1, 1, 0));
    assert_eq!(later.shape()[2..7].len(), 0);
    assert!(later.item().is_err() && later.to_vec::<f32>().is_err() && later.ty().is_err());
}

#[test]
fn mistakes_are_named() {
    let x = Tensor::zeros([2, 3]);
    says(&x + &Tensor::zeros([3, 5]), &["add: cannot broadcast f32[2, 3] with f32[3, 5]"]);
    says(2.0 * (&x - &Tensor::zeros([4])), &["subtract: cannot broadcast"]);
    says(x.sum(2), &["sum: axis 2 is out of range for rank 2", "f32[2, 3]"]);
    says(x.mean([0, 0]), &["expected different axes, got axis 0 twice"]);
    says(x.reshape([7]), &["reshape: cannot reshape f32[2, 3] to [7]: expected 6 elements"]);
    says(x.reshape(dims![-1, 6]), &["expected sizes or `_`, got `-1`"]);
    says(x.matmul(&x), &["matmul: f32[2, 3] and f32[2, 3]"]);
    says(x.get(2), &["get: index 2 is out of range for axis 0 of f32[2, 3]"]);
    says(Tensor::scalar(U4, 1) + Tensor::scalar(I8, 1), &["u4 and i8 have no common dtype"]);
    says(x.select(&x, &x), &["expected a bool predicate, got f32"]);
    says(tensor(vec![vec![1.0], vec![]]), &["rows differ in length"]);
    says(Tensor::zeros([usize::MAX, usize::MAX]), &["larger than the address space"]);
    says(concat::<Tensor>([], 0), &["expected at least one operand, got none"]);
    let e = x.to_vec::<f64>().unwrap_err().to_string();
    assert!(e.contains("expected f64 elements, got f32[2, 3]"), "{e}");
}

#[derive(Tree)]
struct Counted {
    w: Tensor,
    n: Tensor,
}

#[test]
fn what_cannot_be_differentiated_is_named() {
    let w = tensor([1.0, 2.0]);
    let loss = grad(|w: Tensor| w).run(w.clone()).unwrap_err().to_string();
    assert!(loss.contains("scalar as loss") && loss.contains("got f32[2]"), "{loss}");
    let f = grad(|(w, i): (Tensor, Tensor)| (w * i.to(F32)).sum(..));
    let (good, bad) = f((w.clone(), tensor(3)));
    assert_eq!(good.to_vec::<f32>().unwrap(), [3.0, 3.0]);
    says(
        bad,
        &["leaf `1` of the argument is i32[]: only floats can be differentiated; capture it, \
             convert it to a float, or pass a plain number as `Static(n)`"],
    );
    let counted = Counted { w: w.clone(), n: tensor(3) };
    says(
        grad(|c: Counted| c.w.sum(..))(counted).n,
        &[
            "leaf `n` of the argument is i32[]",
            "or hold a plain number instead, in a field marked #[tree(static)]",
        ],
    );
    let whole = grad(|i: Tensor| i.to(F32)).run(tensor(3)).unwrap_err().to_string();
    assert!(
        whole.contains("the argument is i32[]") && whole.contains("convert it to a float, at "),
        "{whole}"
    );
    // An error in the argument stays in its leaf, and the rest is differentiated.
    let (a, b) = grad(|(a, _b): (Tensor, Tensor)| a.sum(..))((w.clone(), &w + &Tensor::zeros([3])));
    assert_eq!(a.to_vec::<f32>().unwrap(), [1.0, 1.0]);
    says(b, &["cannot broadcast"]);
}

#[test]
fn an_op_without_a_derivative_is_named_with_its_line_and_what_to_do() {
    let next = |x: Tensor| x.nextafter(9.0).sum(..);
    let order = |n: Tensor| n.polygamma(2.0).sum(..);
    for (f, op) in
        [(&next as &(dyn Fn(Tensor) -> Tensor + Send + Sync), "next_after"), (&order, "polygamma")]
    {
        let (from, to) = (format!("{op}: it has no derivative; "), "tests/errors.rs:");
        for e in [grad(f).run(tensor([1.0, 2.0])), jvp(f, tensor([1.0]), tensor([1.0])).1.ok()] {
            let e = e.unwrap_err().to_string();
            assert!(
                e.starts_with(&from) && e.len() > from.len() + to.len() && e.contains(to),
                "{e}"
            );
        }
    }
}

#[test]
fn a_value_is_needed_inside_a_trace() {
    let seen = Mutex::new(String::new());
    let f = jit(|x: Tensor| {
        if let Err(e) = x.item() {
            *seen.lock().unwrap() = e.to_string();
        }
        x
    });
    let _ = f.run(tensor(1.0)).unwrap();
    let seen = seen.lock().unwrap();
    assert!(
        seen.contains("item: the value is needed here") && seen.contains("`select` or `cond`"),
        "{seen}"
    );
}

#[test]
fn a_tracer_that_escaped_is_an_error_with_its_line() {
    let hole = Mutex::new(None);
    let _ = grad(|x: Tensor| {
        *hole.lock().unwrap() = Some(x.clone());
        x
    })(tensor(1.0));
    let leaked = hole.lock().unwrap().take().unwrap();
    says(&leaked + 1.0, &["a tensor of a finished trace is used"]);
    says(jit(|y: Tensor| y * 2.0)(leaked), &["finished trace"]);
}

#[test]
fn loops_and_branches_name_the_leaf() {
    let (c, _) = scan((tensor(0.0), tensor(1)), Tensor::arange(3), |(a, b), x| {
        ((a + x.to(F32), b.to(F32)), ())
    });
    says(c.1, &["scan: the carry, leaf `1`, is i32[] at the start, but f32[] after a step"]);
    says(
        scan(tensor(0.0), (), |c, ()| (c, ())).0,
        &["expected at least one tensor to scan over", "fori"],
    );
    says(
        cond(&tensor(1.0).gt(0.0), || tensor(1.0), || tensor([1.0])),
        &["cond: the tensor: expected branches of one type, got f32[1] and f32[]"],
    );
    says(
        cond(&tensor([true, false]), || tensor(1.0), || tensor(2.0)),
        &["expected a predicate of one bool, got bool[2]"],
    );
    says(
        while_loop(tensor(0.0), |x| x * 1.0, |x| x),
        &["expected a condition of one bool, got f32[]"],
    );
    says(
        vmap(|(a, b): (Tensor, Tensor)| a + b)((Tensor::zeros([2]), Tensor::zeros([3]))),
        &["expected mapped axes of one size, got 2 for leaf `0` and 3 for axis 0 of leaf `1`"],
    );
    says(vmap(|a: Tensor| a)(tensor(1.0)), &["axis 0 is out of range for rank 0"]);
}

#[test]
fn captured_values_of_custom_rules_have_no_derivative() {
    let f = |w: Tensor| {
        custom_jvp(|x: Tensor| &x * &w, |(x, dx): (Tensor, Tensor)| (&x * &w, dx * &w))(tensor(2.0))
    };
    let e = grad(f).run(tensor(3.0)).unwrap_err().to_string();
    assert!(e.contains("captures a value that is being differentiated"), "{e}");
    let no_forward = custom_vjp(
        |x: Tensor| x.sin(),
        |x: Tensor| (x.sin(), x),
        |(x, d): (Tensor, Tensor)| d * x.cos(),
    );
    let e = jvp(&no_forward, tensor(0.0), tensor(1.0)).1.ok().unwrap_err().to_string();
    assert!(e.contains("no JVP rule"), "{e}");
    let second = grad(grad(&no_forward)).run(tensor(1.0)).unwrap().item().unwrap();
    // Backends compute sines to within 4 units in the last place.
    assert!((second + 1f64.sin()).abs() < 4.0 * f32::EPSILON as f64, "{second}");
}

#[test]
fn layers_are_named_on_the_way_out() {
    let bad = (Tensor::zeros([2]) + Tensor::zeros([3])).within("dense_1").within("encoder");
    assert!(message(bad).contains("in layer encoder/dense_1, at "));
}

type Jit<A, O> = neurax::Jit<'static, A, O>;

/// Creates a compiled function whose body receives the function itself.
fn knot<A: Tree, O: Tree>(body: impl Fn(&Jit<A, O>, A) -> O + Send + Sync + 'static) -> Jit<A, O> {
    let slot: Arc<OnceLock<Jit<A, O>>> = Arc::default();
    let inner = slot.clone();
    let f = jit(move |a: A| body(inner.get().unwrap(), a));
    slot.set(f.clone()).unwrap();
    f
}

#[test]
fn a_jit_that_calls_itself_says_so() {
    let check = |e: neurax::Error| {
        let e = e.to_string();
        assert!(e.contains("calls itself") && e.contains("errors.rs"), "{e}");
    };
    let by_run = knot(|f: &Jit<Tensor, Tensor>, x| f.run(x).unwrap_or_else(Tensor::from_error));
    check(by_run.run(tensor(1.0)).unwrap_err());
    let by_call = || knot(|f: &Jit<Tensor, Tensor>, x| f(x) + 1.0);
    check(by_call().run(tensor(1.0)).unwrap_err());
    check(by_call()(tensor(1.0)).ok().unwrap_err());
    check(grad(by_call()).run(tensor(1.0)).unwrap_err());
    let twice = knot(|f: &Jit<Tensor, Tensor>, x| f(f(x)));
    check(twice(tensor(1.0)).ok().unwrap_err());
    let several = knot(|f: &Jit<(Tensor, Vec<Tensor>), (Tensor, Vec<Tensor>)>, (x, y)| {
        f((y[0].clone(), vec![x]))
    });
    check(several((tensor(1.0), vec![tensor(2.0)])).ok().unwrap_err());
}

#[test]
fn jits_that_call_each_other_from_two_threads_say_so() {
    type F = Jit<Tensor, Tensor>;
    let slots: [Arc<OnceLock<F>>; 2] = Default::default();
    let both_trace = Arc::new(Barrier::new(2));
    for (own, other) in [(0, 1), (1, 0)] {
        let (callee, both_trace) = (slots[other].clone(), both_trace.clone());
        let first = AtomicBool::new(true);
        let f = jit(move |x: Tensor| {
            if first.swap(false, Relaxed) {
                both_trace.wait();
            }
            callee.get().unwrap()(x) + 1.0
        });
        slots[own].set(f).unwrap();
    }
    let run = |f: &F| f.run(tensor(1.0)).unwrap_err().to_string();
    let errors = thread::scope(|s| {
        slots.each_ref().map(|f| s.spawn(|| run(f.get().unwrap()))).map(|t| t.join().unwrap())
    });
    assert!(errors.iter().all(|e| e.contains("calls itself")), "{errors:?}");
}

#[test]
fn a_jit_with_static_results_that_calls_itself_says_so() {
    type Out = (Tensor, Static<usize>);
    let check = |e: neurax::Error| assert!(e.to_string().contains("calls itself"), "{e}");
    let endless = || knot(|f: &Jit<Tensor, Out>, x| f(x));
    check(endless().run(tensor(1.0)).unwrap_err());
    check(endless().compile(types![f32[]]).unwrap_err());
    check(endless().stages(&tensor(1.0), false).unwrap_err());
    // The function calls itself once: a run on an argument that carries the error shows the
    // structure of its result.
    let calls = AtomicUsize::new(0);
    let once = knot(
        move |f: &Jit<Tensor, Out>, x| {
            if calls.fetch_add(1, Relaxed) == 0 { f(x) } else { (x, Static(7)) }
        },
    );
    let (x, n) = once(tensor(1.0));
    assert_eq!(*n, 7);
    check(x.ok().unwrap_err());
    let down = knot(
        |f: &Jit<(Tensor, Static<usize>), Out>, (x, n)| {
            if *n == 0 { (x, n) } else { f((x, Static(*n - 1))) }
        },
    );
    let (x, n) = down((Tensor::zeros([2]) + Tensor::zeros([3]), Static(3)));
    assert!(*n == 0 && x.ok().unwrap_err().to_string().contains("f32[2]"));
}

#[test]
fn a_jit_that_calls_itself_on_something_else_may() {
    let power = knot(
        |f: &Jit<(Tensor, Static<usize>), Tensor>, (x, n)| {
            if *n == 0 { x } else { f((&x * &x, Static(*n - 1))) }
        },
    );
    assert_eq!(power.run((tensor(2.0), Static(3))).unwrap().item().unwrap(), 256.0);
    let failed = power((Tensor::zeros([2]) + Tensor::zeros([3]), Static(3)));
    assert!(failed.ok().unwrap_err().to_string().contains("f32[2]"));
}

#[test]
fn sizes_beyond_all_memory_are_errors() {
    let e = (Tensor::zeros([1 << 45]) + 1.0).to_vec::<f32>().unwrap_err().to_string();
    assert!(e.contains("not enough memory for f32[35184372088832]"), "{e}");
    let e = Tensor::zeros([1 << 62, 1 << 62]).ok().unwrap_err().to_string();
    assert!(e.contains("larger than the address space"), "{e}");
}

#[test]
fn loop_counts_beyond_i32_are_errors() {
    let e = fori(i64::MAX - 1..i64::MAX, tensor(0.0), |i, c| c + i).ok().unwrap_err().to_string();
    assert!(e.contains("i32 integers, got 9223372036854775806..9223372036854775807"), "{e}");
    assert!(fori(0..i32::MAX as i64 + 2, tensor(0.0), |i, c| c + i).ok().is_err());
    assert_eq!(
        fori(i32::MAX as i64..i32::MAX as i64 + 1, tensor(0), |i, c| c + i).item().unwrap(),
        i32::MAX as f64
    );
    assert_eq!(Tensor::zeros([1 << 40, 0]).diff(usize::MAX, 0).shape(), [0, 0]);
    assert!(Tensor::zeros([1 << 45]).diff(usize::MAX, 0).ok().is_err());
}

#[test]
fn errors_of_named_tensors_have_the_operation_and_the_line() {
    let x = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).names(["batch", "feature"]);
    let failures = [
        ("add", &x + Tensor::zeros([4])),
        ("sum", x.sum(["time"])),
        ("sum", x.sum(["feature", "feature"])),
        ("max", x.max(["time"])),
        ("permute", x.permute(["time", "batch"])),
        ("dot", x.dot(&x, ["time"])),
    ];
    for (op, failed) in failures {
        let e = failed.tensor().error().unwrap().to_string();
        assert!(e.starts_with(&format!("{op}: ")) && e.contains("errors.rs"), "{e}");
    }
}

#[test]
fn squeeze_removes_axes_of_size_1_alone() {
    for (shape, axes) in [(vec![3], vec![0]), (vec![3, 1], vec![0, 1]), (vec![3, 1], vec![0])] {
        let e = Tensor::ones(&shape).squeeze(axes).error().unwrap().to_string();
        assert!(e.contains("expected size 1 along axis 0"), "{e}");
    }
    assert_eq!(Tensor::ones([3, 1]).squeeze(..).shape(), [3]);
    assert_eq!(Tensor::ones([3]).squeeze(..).shape(), [3]);
}

#[test]
fn a_number_for_quantiles_is_in_range() {
    let x = tensor([1.0, 2.0, 3.0]);
    for (failed, want) in [
        (x.quantile(95.0, ..), "quantile: expected a number from 0 to 1, got 95"),
        (x.percentile(150, ..), "expected a number from 0 to 100, got 150"),
        (x.nanquantile(-0.5, ..), "expected a number from 0 to 1, got -0.5"),
    ] {
        let e = failed.error().unwrap().to_string();
        assert!(e.contains(want), "{e}");
    }
}
