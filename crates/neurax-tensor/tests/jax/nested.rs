//! Single compositions of transforms, each by its name, on one recorded function. The fixtures run
//! all of them, too.

use crate::harness::leaves;
use neurax::prelude::*;
use neurax_testkit::{
    close::{Tolerance, close_within},
    fixtures,
};

fn recorded(name: &str, key: &str) -> Tensor {
    Tensor::from(fixtures::read(name).unwrap().values[&format!("f64/{key}")].clone())
}

#[track_caller]
fn same(have: impl Tree, want: Tensor) {
    let have = leaves(have).swap_remove(0).to_literal().unwrap();
    close_within(&have, &want.to_literal().unwrap(), Tolerance::both(1e-11)).unwrap();
}

/// Computes a scalar function. Its first derivative was recorded at each element as `grad`, its
/// second as `hvp`.
fn f(t: Tensor) -> Tensor {
    t.tanh()
}

fn point() -> Tensor {
    recorded("tanh", "in.0").flatten()
}

fn slope() -> Tensor {
    (recorded("tanh", "grad.0") / recorded("tanh", "ct.0")).flatten()
}

fn curvature() -> Tensor {
    (recorded("tanh", "hvp.0") / recorded("tanh", "ct.0") / recorded("tanh", "tan.0")).flatten()
}

#[test]
fn grad_of_grad() {
    same(grad(grad(f))(point().get(0)), curvature().get(0));
    same(jit(grad(grad(f)))(point().get(0)), curvature().get(0));
    same(grad(grad(checkpoint(f)))(point().get(0)), curvature().get(0));
    same(jit(grad(grad(checkpoint(f))))(point().get(0)), curvature().get(0));
    same(grad(checkpoint(grad(checkpoint(f))))(point().get(0)), curvature().get(0));
}

#[test]
fn jvp_of_grad() {
    let along = |t: Tensor| jvp(grad(f), t.clone(), t.ones_like()).1;
    same(along(point().get(1)), curvature().get(1));
    same(jit(along)(point().get(1)), curvature().get(1));
    let again = |t: Tensor| jvp(grad(checkpoint(f)), t.clone(), t.ones_like()).1;
    same(again(point().get(1)), curvature().get(1));
    same(jit(again)(point().get(1)), curvature().get(1));
}

#[test]
fn vmap_of_grad() {
    same(vmap(grad(f))(point()), slope());
    same(jit(vmap(grad(f)))(point()), slope());
    same(vmap(grad(checkpoint(f)))(point()), slope());
    same(jit(vmap(grad(checkpoint(f))))(point()), slope());
    same(vmap(grad(grad(f)))(point()), curvature());
}

#[test]
fn grad_of_a_sum_over_vmap() {
    let total = |x: Tensor| vmap(f)(x).sum(..);
    same(grad(total)(point()), slope());
    same(jit(grad(total))(point()), slope());
    let again = |x: Tensor| vmap(checkpoint(f))(x).sum(..);
    same(grad(again)(point()), slope());
    same(jit(grad(again))(point()), slope());
}

#[test]
fn grad_through_scan_in_cond_in_vmap_in_scan() {
    let name = "scan_cond_vmap_scan";
    let inner = |(c, row): (Tensor, Tensor)| {
        let long = || scan(c.clone(), row.clone(), |d, x| ((d + x).sin(), ())).0;
        cond(&c.gt(0.0), long, || &c * row.get(0) - 0.5)
    };
    let loss = |(xs, start): (Tensor, Tensor)| {
        let ys = scan(start, xs, |c, x| (vmap(inner)((c.clone(), x)), c.square())).1;
        (ys * recorded(name, "ct.0")).sum(..)
    };
    let at = || (recorded(name, "in.0"), recorded(name, "in.1"));
    let (by_xs, by_start) = grad(loss)(at());
    same(by_xs, recorded(name, "grad.0"));
    same(by_start, recorded(name, "grad.1"));
    same(jit(grad(loss))(at()), recorded(name, "grad.0"));
    same(grad(checkpoint(loss))(at()), recorded(name, "grad.0"));
    same(jit(grad(checkpoint(loss)))(at()), recorded(name, "grad.0"));
    let directions = (recorded(name, "tan.0"), recorded(name, "tan.1"));
    same(jvp(grad(loss), at(), directions).1, recorded(name, "hvp.0"));
}
