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
}
