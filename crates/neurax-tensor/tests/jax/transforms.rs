//! Transforms inside of transformed functions.

use crate::harness::mirrors;
use neurax::prelude::*;

fn energy(x: Tensor) -> Tensor {
    (x.sin() * x.square()).sum(..) + x.get(0) * x.get(1)
}

fn pair(x: Tensor) -> Tensor {
    stack([x.get(0) * x.get(1), x.get(2).sin() * x.get(0)], 0)
}

mirrors! {
    grad_inside(x) => grad(energy)(x.clone()) * x;
    grad_of_grad_inside(x) => vmap(grad(grad(|t: Tensor| t.sin() * t.pow(3))))(x.clone());
    jvp_of_grad_inside(x, v) => jvp(grad(energy), x.clone(), v.clone()).1;
    grad_of_jvp_inside(x, v) => grad(|x: Tensor| jvp(energy, x, v.clone()).1)(x.clone());
    jvp_of_jvp_inside(x, v) => jvp(|x: Tensor| jvp(energy, x, v.clone()).1, x.clone(), v * x).1;
    vmap_grad_inside(xs, w) => {
        let by_weights = |(w, x): (Tensor, Tensor)| {
            grad(|w: Tensor| w.matmul(&x).tanh().square())(w)
        };
        let axes = Axes { inputs: [None, Some(0)].into(), ..Axes::default() };
        vmap_with(by_weights, axes)((w.clone(), xs.clone()))
    };
    grad_of_vmap_inside(xs, w) => {
        let loss = |w: Tensor| {
            vmap(|x: Tensor| w.matmul(x).tanh().square())(xs.clone()).sum(..)
        };
        grad(loss)(w.clone())
    };
    jacfwd_inside(x) => jacobian_forward(pair)(x.clone());
    jacrev_inside(x) => jacobian_reverse(pair)(x.clone());
    hessian_inside(x) => hessian(energy)(x.clone());
    linearize_inside(x, vs) => {
        let (y, f) = linearize(|x: Tensor| x.tanh() * x.get(0), x.clone());
        y * f(vs.get(0)) + f(vs.get(1))
    };
    vjp_inside(x, g) => {
        let (y, pull) = vjp(|(x, s): (Tensor, Tensor)| (x * s).exp(), (x.clone(), x.sum(..) * 0.1));
        let (dx, ds) = pull(g.clone());
        dx * ds + y
    };
    gradient_descent(w, x, y) => {
        let loss = |w: Tensor| (x.matmul(w).tanh() - y).square().mean(..);
        let step = |w: Tensor, _: Tensor| (&w - grad(loss)(w.clone()) * 0.3, loss(w));
        scan(w.clone(), Tensor::arange(3), step)
    };
    grad_of_scan_inside(xs, a) => {
        let roll_out = |a: Tensor| scan(a.clone(), xs.clone(), |c, x| ((&a * c).sin() + x, ())).0;
        grad(roll_out)(a.clone()) * xs
    };
    grad_of_cond_inside(x) => {
        let f = |t: Tensor| cond(&t.gt(0.0), || t.sin() * &t, || t.pow(4));
        vmap(grad(f))(x.clone())
    };
    jit_inside(x, w) => {
        let f = jit(|x: Tensor| w.matmul(x).tanh());
        grad(|x: Tensor| f(f(x)).sum(..))(x.clone())
    };
    value_and_grad_aux(x) => {
        let ((y, aux), g) = value_and_grad(|x: Tensor| (energy(x.clone()), x.cos()))(x.clone());
        (g * &aux, y, aux)
    };
}
