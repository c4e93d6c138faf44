//! Checkpoints and custom derivative rules.

use crate::harness::mirrors;
use neurax::prelude::*;

type Two = (Tensor, Tensor);

/// Returns `log(1 + e^x)` with a custom derivative that does not overflow.
fn log1pexp() -> Func<'static, Tensor, Tensor> {
    custom_tangent(
        |x: Tensor| (x.exp() + 1.0).log(),
        |(x, _, dx): (Tensor, Tensor, Tensor)| (1.0 - 1.0 / (x.exp() + 1.0)) * dx,
    )
}

/// Returns a function with a wrong derivative, which shows that the custom rule is used.
fn wrong_sine() -> Func<'static, Two, Tensor> {
    custom_tangent(
        |(x, y): Two| x.sin() * y,
        |((x, y), _, (dx, dy)): (Two, Tensor, Two)| x.cos() * y * dx * 3.0 + x * dy * 2.0,
    )
}

fn clip_gradient() -> Func<'static, Tensor, Tensor> {
    custom_vjp(|x: Tensor| x, |x: Tensor| (x, ()), |((), g): ((), Tensor)| g.clip(-0.5, 0.5))
}

fn round_straight_through() -> Func<'static, Tensor, Tensor> {
    custom_vjp(|x: Tensor| x.round(), |x: Tensor| (x.round(), ()), |((), g): ((), Tensor)| g)
}

/// Returns a function with a wrong derivative that saves residuals.
fn scaled_product() -> Func<'static, Two, Tensor> {
    let forward = |(x, y): Two| (&x * &y, (x, y));
    custom_vjp(
        |(x, y): Two| x * y,
        forward,
        |((x, y), g): (Two, Tensor)| (&g * y * 2.0, g * x.sin() * 3.0),
    )
}

/// Repeats a step in a loop whose number of steps only the run knows.
fn repeated(step: impl Fn(Tensor) -> Tensor, x: Tensor, n: i32) -> Tensor {
    let next = |(x, i): Two| (step(x), i + 1);
    while_loop((x, tensor(0)), |(_, i): &Two| i.lt(n), next).0
}

/// Returns the solution of a positive definite system by conjugate gradients.
fn conjugate_gradients(matvec: &Func<'_, Tensor, Tensor>, b: Tensor) -> Tensor {
    let epsilon = if b.dtype() == F64 { f64::EPSILON } else { f32::EPSILON as f64 };
    let bb = b.dot(&b);
    let bound = &bb * epsilon.powi(2) + 1e-34;
    let step = |(x, r, p, rr): (Tensor, Tensor, Tensor, Tensor)| {
        let ap = matvec(p.clone());
        let alpha = &rr / p.dot(&ap);
        let r = r - &alpha * ap;
        let next = r.dot(&r);
        (x + alpha * &p, r.clone(), r + &next / rr * p, next)
    };
    let start = (b.zeros_like(), b.clone(), b, bb);
    while_loop(start, |c: &(Tensor, Tensor, Tensor, Tensor)| c.3.gt(&bound), step).0
}

mirrors! {
    checkpoint_mlp(x, w1, w2) => {
        let layer = checkpoint(|(x, w): Two| x.matmul(w).tanh());
        layer((layer((x.clone(), w1.clone())), w2.clone()))
    };
    checkpoint_in_scan(xs, w) => {
        let body = checkpoint(|(c, x): Two| (c.matmul(w).sin() + x * &c, c.sum(..)));
        scan(Tensor::ones_of(xs.dtype(), [2]), xs.clone(), |c, x| body((c, x)))
    };
    checkpoint_grad_of_grad(x) => {
        let f = checkpoint(|t: Tensor| t.sin() * (t * 0.5).exp());
        vmap(grad(grad(&f)))(x.clone())
    };
    checkpoint_nested(x, w) => {
        let inner = checkpoint(|x: Tensor| w.matmul(x).tanh());
        checkpoint(|x: Tensor| inner(inner(x.clone())) * x)(x.clone())
    };
    checkpoint_cond(x) => {
        let f = checkpoint(|t: Tensor| cond(&t.gt(0.0), || t.sin() * &t, || t.exp()));
        f(x.get(0)) * f(x.get(1)) + f(x.get(2))
    };
    custom_jvp_log1pexp(x) => log1pexp()(x.clone()) * x;
    custom_jvp_in_scan(xs, init) => {
        scan(init.clone(), xs.clone(), |c, x| (log1pexp()(&c * x), c)).1
    };
    custom_jvp_is_used(x, y) => wrong_sine()((x.clone(), y.clone())).square();
    custom_vjp_clip_gradient(x) => clip_gradient()(x * x) * x;
    custom_vjp_straight_through(x, y) => round_straight_through()(x * 2.0) * x * y;
    custom_vjp_in_scan(xs, init) => {
        let body = |c: Tensor, x: Tensor| (scaled_product()((c.clone(), x)) + &c * 0.3, c);
        scan(init.clone(), xs.clone(), body).1
    };
    custom_root_of_vectors(a, w) => {
        let f = |x: Tensor| &x + w.matmul(&x).sin() * 0.3 - a;
        let solve = |f: &Func<'_, Tensor, Tensor>, x: Tensor| {
            repeated(|x| &x - f(x.clone()), x, 80)
        };
        custom_root(f, a.clone(), solve, |g, y: Tensor| jacobian(g)(y.clone()).solve(y))
    };
    custom_root_by_bisection(a) => {
        let root = |a: Tensor| {
            let f = |x: Tensor| &x * &x * &x + x - &a;
            let solve = |f: &Func<'_, Tensor, Tensor>, x: Tensor| {
                let halve = |c: Tensor| {
                    let (low, high) = (&c * 0.5 + c.get(0) * 0.5, &c * 0.5 + c.get(1) * 0.5);
                    f(c.mean(..)).gt(0.0).select(low, high)
                };
                repeated(halve, tensor([0.0, 4.0]).to(x.dtype()) + x * 0.0, 80).mean(..)
            };
            custom_root(f, a.clone(), solve, |g, y: Tensor| &y / g(y.ones_like()))
        };
        vmap(root)(a.clone())
    };
    custom_linear_solve_symmetric(x, b) => {
        let a = x.matmul(x.t()) + Tensor::eye(3).to(x.dtype()) * 2.0;
        let matvec = |v: Tensor| a.matmul(v);
        custom_linear_solve_symmetric(matvec, b.clone(), conjugate_gradients)
    };
    custom_linear_solve_jacobi(x, b) => {
        let a = x * 0.2 + Tensor::eye(3).to(x.dtype()) * 2.0;
        let d = a.diagonal(0, 0, 1);
        let solve = |matvec: &Func<'_, Tensor, Tensor>, b: Tensor| {
            repeated(|v| &v + (&b - matvec(v.clone())) / &d, &b * 0.0, 120)
        };
        custom_linear_solve(|v: Tensor| a.matmul(v), b.clone(), solve, solve)
    };
}
