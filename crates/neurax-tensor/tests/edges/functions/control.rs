//! Branches, loops and custom derivatives.

use super::functions;
use neurax::prelude::*;

functions! {
    cond_sqrt(x) => each(x, |x| cond(&x.gt(0.0), || x.sqrt(), || x.zeros_like()));
    cond_log(x) => each(x, |x| cond(&x.gt(0.0), || x * x.log(), || x * x));
    cond_reciprocal(x) => each(x, |x| cond(&x.equal(0.0), || x.clone(), || 1.0 / x));
    switch_sqrt(x) => each(x, |x| {
        switch(&x.gt(0.0).select(1, 0), &[&|| x * 3.0, &|| x.sqrt(), &|| x / 0.0])
    });
    vmapped_cond(x) => vmap(|x: Tensor| cond(&x.gt(2.0), || x.pow(3), || &x * 2.0))(x.clone());
    scan_of_cond(x) => scan(tensor(1.0).to(x.dtype()), x.clone(), |c: Tensor, v: Tensor| {
        let root = cond(&v.gt(0.0), || v.sqrt(), || v.zeros_like());
        (&c + root * &c, c)
    }).1;
    cond_in_scan_of_log(x) => scan(tensor(0.0).to(x.dtype()), x.clone(), |c: Tensor, v: Tensor| {
        (&c + cond(&v.gt(0.0), || &v * v.log(), || v.zeros_like()), c)
    }).0;
    fori_halves(x) => fori(0..3, x.clone(), |_, x: Tensor| &x * &x / 2.0);
    custom_jvp_clipped(x) => clipped(x);
    custom_tangent_clipped(x) => custom_tangent(
        |x: Tensor| x.clip(-1.0, 1.0),
        |(x, _, dx): (Tensor, Tensor, Tensor)| dx * &x * &x,
    )(x.clone()).square();
    custom_jvp_straight_through(x) => straight_through(x) * x;
    custom_jvp_square_of(x) => straight_through(x).square();
    custom_jvp_cubed(x) => cubed(x);
    custom_jvp_in_scan(x) => scan(tensor(1.0).to(x.dtype()), x / 4.0, |c: Tensor, v: Tensor| {
        (cubed(&(&c * v)), c)
    }).1;
    custom_vjp_doubled(x) => custom_vjp(
        |x: Tensor| x.sin(),
        |x: Tensor| (x.sin(), x),
        |(x, dy): (Tensor, Tensor)| dy * x.cos() * 2.0,
    )(x.clone());
    while_halves(x) => while_loop(x.clone(), |x| x.abs().max(..).gt(1.0), |x| x * 0.5);
    while_squares(x) => while_loop(
        (tensor(0), x.clone()),
        |c| c.0.lt(3),
        |(i, x)| (i + 1, &x * &x / 4.0),
    ).1;
}

/// Applies a function of scalars to the elements one after another.
fn each(x: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
    scan((), x.clone(), |(), x: Tensor| ((), f(&x))).1
}

fn clipped(x: &Tensor) -> Tensor {
    custom_jvp(
        |x: Tensor| x.clip(-1.0, 1.0),
        |(x, dx): (Tensor, Tensor)| (x.clip(-1.0, 1.0), dx * &x * &x),
    )(x.clone())
}

fn straight_through(x: &Tensor) -> Tensor {
    custom_jvp(|x: Tensor| x.round(), |(x, dx): (Tensor, Tensor)| (x, dx))(x.clone())
}

fn cubed(x: &Tensor) -> Tensor {
    custom_jvp(
        |x: Tensor| &x * &x * &x,
        |(x, dx): (Tensor, Tensor)| (&x * &x * &x, &x * &x * 3.0 * dx),
    )(x.clone())
}
