//! The closures of branches, loops, checkpoints and custom rules compute only if and when their
//! body runs, whatever their operands.

use crate::counting::Counting;
use neurax::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Returns a function that is 0 for `x <= 0` and `sqrt(x)` otherwise, with the closure of the root
/// in the given branch.
fn safe_root(root_first: bool) -> impl Fn(Tensor) -> Tensor + Copy + Send + Sync {
    move |x: Tensor| {
        if root_first {
            cond(&x.gt(0.0), || x.sqrt(), || x.zeros_like())
        } else {
            cond(&x.le(0.0), || x.zeros_like(), || x.sqrt())
        }
    }
}

const POINTS: [f32; 4] = [-1.0, 0.0, 0.25, 4.0];
const SLOPES: [f32; 4] = [0.0, 0.0, 1.0, 0.25];

#[test]
fn a_branch_that_is_not_taken_does_not_reach_the_gradient() -> Result<()> {
    for root_first in [true, false] {
        let f = safe_root(root_first);
        for (x, slope) in POINTS.into_iter().zip(SLOPES) {
            let x = tensor(x);
            assert_eq!(grad(f).run(x.clone())?.item()?, slope as f64);
            assert_eq!(jit(grad(f)).run(x.clone())?.item()?, slope as f64);
            assert_eq!(grad(jit(f)).run(x.clone())?.item()?, slope as f64);
            assert_eq!(grad(checkpoint(f)).run(x.clone())?.item()?, slope as f64);
            let (y, dy) = jvp(f, x.clone(), tensor(1.0));
            assert_eq!((y.ok()?.item()?, dy.item()?), (x.item()?.max(0.0).sqrt(), slope as f64));
            let curvature = grad(move |x: Tensor| grad(f)(x)).run(x.clone())?.item()?;
            let expected = if slope == 0.0 { 0.0 } else { -0.25 * x.item()?.powf(-1.5) };
            assert!((curvature - expected).abs() < 1e-6, "{curvature} {expected}");
        }
    }
    Ok(())
}

#[test]
fn batched_and_scanned_branches_have_the_same_gradients() -> Result<()> {
    let xs = tensor(POINTS);
    for root_first in [true, false] {
        let f = safe_root(root_first);
        let of_sum =
            |f: &(dyn Fn(Tensor) -> Tensor + Sync)| grad(|xs| f(xs).sum(..)).run(xs.clone());
        let results = [
            vmap(grad(f)).run(xs.clone())?,
            jit(vmap(grad(f))).run(xs.clone())?,
            of_sum(&|xs| vmap(f)(xs))?,
            of_sum(&|xs| jit(vmap(f))(xs))?,
            of_sum(&|xs| scan((), xs, |(), x| ((), f(x))).1)?,
            jit(grad(|xs: Tensor| scan((), xs, |(), x| ((), f(x))).1.sum(..))).run(xs.clone())?,
            scan((), xs.clone(), |(), x| ((), grad(f)(x))).1,
        ];
        for (i, result) in results.iter().enumerate() {
            assert_eq!(result.to_vec::<f32>()?, SLOPES, "way {i}, root first: {root_first}");
        }
    }
    Ok(())
}

#[test]
fn a_batched_branch_without_members_does_not_reach_the_gradient_of_a_capture() -> Result<()> {
    // The root of the capture is taken by no member, by one, by all.
    for (xs, slope) in [([-2.0f32, -1.0], 0.0), ([-1.0, 4.0], 0.25), ([4.0, 1.0], 0.75)] {
        let xs = tensor(xs);
        let f = |w: Tensor| {
            vmap(|x: Tensor| cond(&x.gt(0.0), || (&x * &w).sqrt(), || x.zeros_like()))(xs.clone())
                .sum(..)
        };
        let at = tensor(if slope == 0.0 { 0.0 } else { 4.0 });
        let expected = match slope {
            0.25 => 0.5,
            0.75 => 0.75,
            _ => 0.0,
        };
        assert_eq!(grad(f).run(at.clone())?.item()?, expected);
        assert_eq!(jit(grad(f)).run(at)?.item()?, expected);
    }
    Ok(())
}

#[test]
fn a_switch_computes_one_branch() -> Result<()> {
    let f = |i: i32| {
        move |x: Tensor| {
            let i = tensor(i);
            switch(&i, &[&|| x.sqrt(), &|| x.log(), &|| &x * 2.0])
        }
    };
    assert_eq!(grad(f(2)).run(tensor(0.0))?.item()?, 2.0);
    assert_eq!(jit(grad(f(2))).run(tensor(-1.0))?.item()?, 2.0);
    assert_eq!(grad(f(0)).run(tensor(4.0))?.item()?, 0.25);
    Ok(())
}

/// Never returns if it runs.
fn endless(x: &Tensor) -> Tensor {
    while_loop(x.clone(), |x| x.equal(x), |x| x + 0.0)
}

#[test]
fn an_endless_loop_in_a_branch_that_is_not_taken_does_not_run() -> Result<()> {
    let x = tensor(3.0);
    let f = |x: Tensor| cond(&x.gt(0.0), || x.sin(), || endless(&x));
    let captured = |_: Tensor| cond(&x.gt(0.0), || x.sin(), || endless(&x));
    let expected = x.sin().item()?;
    assert_eq!(f(x.clone()).item()?, expected);
    assert_eq!(jit(f).run(x.clone())?.item()?, expected);
    assert_eq!(jit(captured).run(x.clone())?.item()?, expected);
    assert_eq!(jvp(f, x.clone(), tensor(1.0)).0.item()?, expected);
    assert_eq!(vmap(f).run(stack([&x, &x], 0))?.to_vec::<f32>()?, [expected as f32; 2]);
    let nested = |x: Tensor| {
        cond(&x.gt(0.0), || x.sin(), || cond(&x.gt(1.0), || endless(&x), || endless(&(&x + 1.0))))
    };
    assert_eq!(jit(nested).run(x.clone())?.item()?, expected);
    let looped = |x: Tensor| fori(0..0, x.clone(), |_, c| c + endless(&x));
    assert_eq!(jit(looped).run(x.clone())?.item()?, 3.0);
    let none = |x: Tensor| while_loop(x.clone(), |c| c.lt(0.0), |c| c + endless(&x));
    assert_eq!(jit(none).run(x.clone())?.item()?, 3.0);
    Ok(())
}

#[test]
fn members_of_a_batch_that_take_no_endless_branch_return() -> Result<()> {
    // One member takes a loop that ends for it, and would not for the other.
    let f = |x: Tensor| {
        let double = || while_loop(x.clone(), |x| x.lt(100.0), |x| x * 2.0);
        cond(&x.gt(0.0), double, || x.clone())
    };
    let xs = tensor([-1.0, 30.0, 0.0]);
    assert_eq!(vmap(f).run(xs.clone())?.to_vec::<f32>()?, [-1.0, 120.0, 0.0]);
    assert_eq!(jit(vmap(f)).run(xs)?.to_vec::<f32>()?, [-1.0, 120.0, 0.0]);
    Ok(())
}

/// Computes 100 sines.
fn slow(x: &Tensor) -> Tensor {
    (0..100).fold(x.clone(), |x, _| x.sin())
}

#[test]
fn only_the_taken_branch_costs_time() -> Result<()> {
    let backend = Counting::default();
    let device = backend.device()?;
    // Too large to become a constant, which would be folded.
    let x = Tensor::ones([100]).on(&device);
    let run = |p: f32, f: &dyn Fn(Tensor) -> Tensor| -> Result<u64> {
        let p = tensor(p).on(&device);
        backend.eqns(|| f(p).ok())
    };
    let choose = |p: Tensor| cond(&p.gt(0.0), || slow(&x), || x.clone());
    let jitted = jit(choose);
    let captured = jit(|p: Tensor| {
        let k = cond(&p.gt(0.0), || slow(&x), || x.clone());
        k.sum(..)
    });
    let inner_jit = jit(|x: Tensor| slow(&x));
    let through_jit = |p: Tensor| cond(&p.gt(0.0), || inner_jit(x.clone()), || x.clone());
    let ways: [(&str, &dyn Fn(Tensor) -> Tensor); 4] = [
        ("eager", &choose),
        ("jit", &|p| jitted(p)),
        ("captured", &|p| captured(p)),
        ("through jit", &through_jit),
    ];
    for (name, f) in ways {
        assert!(run(1.0, f)? >= 100, "{name}");
        let cost = run(-1.0, f)?;
        assert!(cost < 20, "{name}: {cost} equations for the branch without work");
    }
    Ok(())
}

#[test]
fn invariant_work_of_a_loop_that_runs_is_done_once() -> Result<()> {
    let backend = Counting::default();
    let device = backend.device()?;
    let (w, x) = (Tensor::ones([4, 4]).on(&device), tensor(0.0).on(&device));
    let eqns = |f: &(dyn Fn(Tensor) -> Tensor + Send + Sync)| -> Result<u64> {
        let f = jit(f);
        backend.eqns(|| f.run(x.clone()))
    };
    let product = |c: Tensor| c + w.matmul(&w).sum(..);
    let plain = eqns(&|x| fori(0..100, x, |_, c| c + 1.0))?;
    let invariant = eqns(&|x| fori(0..100, x, |_, c| product(c)))?;
    assert!(invariant <= plain + 5, "{invariant} equations, {plain} without the product");
    let never = eqns(&|x| while_loop(x, |c| c.lt(0.0), |c| c + slow(&w.matmul(&w)).sum(..)))?;
    assert!(never < 10, "{never} equations of a loop that never runs");
    Ok(())
}

#[test]
fn a_checkpoint_computes_captured_values_again() -> Result<()> {
    let f = |w: Tensor| checkpoint(|x: Tensor| (x * w.sin()).sin())(tensor(2.0));
    let g = |w: Tensor| (w.sin() * 2.0).sin();
    let w = tensor(0.7);
    assert_eq!(f(w.clone()).item()?, g(w.clone()).item()?);
    let text = jit(f).stages(&w, true)?.list()[0].text.clone().unwrap_or_default();
    let inside = text.find("checkpoint").is_some_and(|at| !text[..at].contains("sine"));
    assert!(inside, "the sine of the captured value is in the checkpoint:\n{text}");
    let (df, dg) = (grad(f).run(w.clone())?.item()?, grad(g).run(w)?.item()?);
    assert!((df - dg).abs() < 1e-6);
    Ok(())
}

#[test]
fn random_numbers_and_constants_are_made_in_bodies() -> Result<()> {
    let k = key(7);
    let (normal, uniform) = (k.normal([3]), k.fold_in(2).uniform([3]));
    let choose = |p: Tensor| cond(&p.gt(0.0), || k.normal([3]), || Tensor::zeros([3]));
    let both =
        |p: Tensor| cond(&p.gt(0.0), || key(7).fold_in(2).uniform([3]), || Tensor::ones([3]) * 2.0);
    // Constants are folded by the reference interpreter, whose functions round differently.
    let close = |x: Tensor, y: &Tensor| -> Result<()> {
        assert_eq!(x.isclose(y, 1e-6, 1e-6).all(..).item()?, 1.0, "{x} and {y}");
        Ok(())
    };
    for (p, a, b) in [(1.0, &normal, &uniform), (-1.0, &Tensor::zeros([3]), &tensor([2.0; 3]))] {
        close(choose(tensor(p)), a)?;
        close(jit(choose).run(tensor(p))?, a)?;
        close(both(tensor(p)), b)?;
        close(jit(both).run(tensor(p))?, b)?;
    }
    let sum = |x: Tensor| fori(0..3, x, |i, c| c + k.fold_in(i).normal([3]) + Tensor::arange(3));
    let expected =
        (0..3).fold(Tensor::zeros([3]), |c, i| c + k.fold_in(i).normal([3]) + Tensor::arange(3));
    close(sum(Tensor::zeros([3])), &expected)?;
    close(jit(sum).run(Tensor::zeros([3]))?, &expected)?;
    Ok(())
}

#[test]
fn a_panic_closes_its_body() -> Result<()> {
    let x = tensor(2.0);
    let inner = || cond(&x.gt(0.0), || -> Tensor { panic!("in a branch") }, || x.clone());
    let outer = || fori(0..2, x.clone(), |_, _| inner());
    assert!(catch_unwind(AssertUnwindSafe(inner)).is_err());
    assert!(catch_unwind(AssertUnwindSafe(outer)).is_err());
    assert_eq!((&x * 2.0).item()?, 4.0, "operations run eagerly again");
    Ok(())
}

#[test]
fn a_jit_that_is_first_called_in_a_body_can_be_called_elsewhere() -> Result<()> {
    let w = tensor([1.0, 2.0]);
    let scaled = jit(|x: Tensor| x * w.sum(..));
    let y = tensor(2.0);
    let inside = cond(&y.gt(0.0), || scaled(y.clone()), || y.clone());
    assert_eq!(inside.item()?, 6.0);
    assert_eq!(scaled.run(y.clone())?.item()?, 6.0);
    assert_eq!(fori(0..2, y, |_, y| scaled(y)).item()?, 18.0);
    assert_eq!(scaled.traces(), 1);
    Ok(())
}

#[test]
fn values_of_a_body_do_not_exist_outside() -> Result<()> {
    let x = tensor(1.0);
    let escaped = std::sync::Mutex::new(None);
    let y = cond(
        &x.gt(0.0),
        || {
            let y = x.sin();
            *escaped.lock().unwrap() = Some(y.clone());
            y
        },
        || x.clone(),
    );
    assert!((y.item()? - x.sin().item()?).abs() < 1e-6);
    let escaped = escaped.lock().unwrap().take().unwrap();
    let e = (escaped + 1.0).item().unwrap_err().to_string();
    assert!(e.contains("finished trace") && e.contains("bodies.rs"), "{e}");
    Ok(())
}

#[test]
fn every_transform_sees_the_taken_branch_alone() -> Result<()> {
    let f = safe_root(true);
    let x = tensor([-1.0f32, 0.0, 4.0]);
    let each = |x: Tensor| vmap(f)(x).sum(..);
    let curvature = [0.0, 0.0, -0.03125];
    let h = hessian(each).run(x.clone())?;
    let expected: Vec<f32> =
        (0..9).map(|i| if i % 4 == 0 { curvature[i / 4] } else { 0.0 }).collect();
    assert_eq!(h.to_vec::<f32>()?, expected);
    let slopes = vmap(jacobian_forward(f)).run(x.clone())?;
    assert_eq!(slopes.to_vec::<f32>()?, [0.0, 0.0, 0.25]);
    let through = |x: Tensor| {
        let safe = |x: Tensor| {
            cond(&x.gt(0.0), || checkpoint(|x: Tensor| x.sqrt())(x.clone()), || x.zeros_like())
        };
        scan(tensor(0.0), x, |c, x| (c + safe(x), ())).0
    };
    assert_eq!(grad(through).run(x.clone())?.to_vec::<f32>()?, [0.0, 0.0, 0.25]);
    assert_eq!(jit(grad(jit(through))).run(x.clone())?.to_vec::<f32>()?, [0.0, 0.0, 0.25]);
    let batched = vmap(through).run(stack([&x, &x], 0))?;
    assert_eq!(batched.to_vec::<f32>()?, [2.0, 2.0]);
    let rows = stack([&x, &(&x + 1.0)], 0);
    let slopes = grad(|rows| vmap(through)(rows).sum(..)).run(rows)?.to_vec::<f32>()?;
    assert_eq!(slopes[..5], [0.0, 0.0, 0.25, 0.0, 0.5]);
    Ok(())
}

#[test]
fn the_other_branch_is_checked() -> Result<()> {
    let x = tensor([1.0, 2.0]);
    let yes = tensor(true);
    let other = cond(&yes, || x.clone(), || x.sum(..));
    let e = other.ok().map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("expected branches of one type, got f32[] and f32[2]"), "{e}");
    let invalid = cond(&yes, || x.clone(), || x.matmul(Tensor::ones([3, 3])));
    assert!(invalid.ok().is_err());
    Ok(())
}

#[test]
fn batched_branches_without_a_derivative_have_values() -> Result<()> {
    let up = |x: &Tensor| x.nextafter(f32::INFINITY);
    let next = move |x: Tensor| cond(&x.gt(0.0), || up(&x), || &x * 3.0);
    let x = tensor([-2.0, 1.0]);
    for y in [vmap(next).run(x.clone())?, jit(vmap(jit(next))).run(x.clone())?] {
        assert_eq!(y.to_vec::<f32>()?, [-6.0, 1.0 + f32::EPSILON]);
    }
    let e = vmap(grad(next)).run(x.clone()).unwrap_err().to_string();
    assert!(e.contains("next_after: it has no derivative"), "{e}");
    // A derivative by other operands.
    let by_weight = |w: Tensor| {
        let each = |x: Tensor| cond(&x.gt(0.0), || up(&stop_gradient(&x)) * &w, || x.square() * &w);
        vmap(each)(tensor([-2.0, 1.0])).sum(..)
    };
    assert_eq!(grad(by_weight).run(tensor(2.0))?.item()?, 5.0);
    // A rule of reverse mode only.
    let tripled = custom_vjp(
        |x: Tensor| x.sqrt(),
        |x: Tensor| (x.sqrt(), x),
        |(_, dy): (Tensor, Tensor)| dy * 3.0,
    );
    let each = |x: Tensor| cond(&x.gt(0.0), || tripled.apply(x.clone()), || &x * 2.0);
    assert_eq!(vmap(each).run(x.clone())?.to_vec::<f32>()?, [-4.0, 1.0]);
    assert_eq!(vmap(grad(each)).run(x.clone())?.to_vec::<f32>()?, [2.0, 3.0]);
    let slopes = jit(grad(|x: Tensor| vmap(each)(x).sum(..)));
    assert_eq!(slopes.run(x.clone())?.to_vec::<f32>()?, [2.0, 3.0]);
    assert!(jvp(vmap(each), x.clone(), x).1.ok().is_err());
    Ok(())
}

#[test]
fn a_compiled_function_does_not_write_outputs_in_a_branch() -> Result<()> {
    let x = tensor([1.0, 2.0]);
    let double = jit(|x: Tensor| x * 2.0).compile(&x)?;
    let out = std::sync::Mutex::new(Tensor::zeros([2]));
    let write = || match double.run_into(&x, &mut [&mut *out.lock().unwrap()]) {
        Ok(()) => x.clone(),
        Err(e) => Tensor::from_error(e),
    };
    let y = jit(|p: Tensor| cond(&p.gt(0.0), write, || x.clone())).run(tensor(-1.0));
    let e = y.unwrap_err().to_string();
    assert!(e.contains("run_into") && e.contains("expected `run` in the closure"), "{e}");
    assert_eq!(out.lock().unwrap().to_vec::<f32>()?, [0.0, 0.0]);
    Ok(())
}
