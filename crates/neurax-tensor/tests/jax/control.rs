//! Loops and branches, nested in each other and in vmap.

use crate::harness::mirrors;
use neurax::prelude::*;

mirrors! {
    scan_cumulative(xs, init) => {
        let (last, ys) = scan(init.clone(), xs.clone(), |c, x| (&c * 0.7 + &x * &x, c * x));
        (ys, last)
    };
    scan_rnn(xs, w, u, h) => {
        scan(h.clone(), xs.clone(), |h, x| ((x.matmul(w) + h.matmul(u)).tanh(), h))
    };
    scan_reverse(xs, init) => {
        let (last, ys) = scan_reverse(init.clone(), xs.clone(), |c, x| (c.sin() + &x, c * x));
        (ys, last)
    };
    scan_pytree(a, b, i, table) => {
        let start = (Tensor::zeros_of(a.dtype(), [2]), tensor(0));
        let xs = (a.clone(), b.clone(), i.clone());
        let ((s, n), (ys, ns)) = scan(start, xs, |(s, n), (a, b, i)| {
            let s = s + a * &b + table.take(&i, 0);
            ((s.clone(), &n + i), (s * b, n))
        });
        (ys, s, n, ns)
    };
    scan_without_xs(x, a) => {
        scan(x.clone(), Tensor::arange(4), |c, _| ((a * &c).cos(), c.sum(..))).1
    };
    scan_in_scan(xs, w) => {
        let step = |d: Tensor, s: Tensor| ((d.matmul(w) + &s).tanh(), d.get(0) * s);
        let inner = |c: Tensor, x: Tensor| scan(c, x, step);
        let outer = |c, x| {
            let (c, ys) = inner(c, x);
            (c, ys.sum(..))
        };
        scan(Tensor::ones_of(xs.dtype(), [2]), xs.clone(), outer).1
    };
    scan_cond_vmap_scan(xs, start) => {
        let inner = |(c, row): (Tensor, Tensor)| {
            let long = || scan(c.clone(), row.clone(), |d, x| ((d + x).sin(), ())).0;
            cond(&c.gt(0.0), long, || &c * row.get(0) - 0.5)
        };
        scan(start.clone(), xs.clone(), |c, x| (vmap(inner)((c.clone(), x)), c.square())).1
    };
    cond_sum(x) => cond(&x.sum(..).gt(0.0), || x.sin() * x, || x.pow(3));
    cond_captures(p, x, y) => cond(p, || x * x * y, || y.exp());
    cond_nested(p, q, x) => {
        let inner = |x: &Tensor| cond(q, || x.tanh(), || x.square());
        cond(p, || inner(x), || inner(&(x * 2.0)) + x)
    };
    switch(i, x) => switch(i, &[&|| x.sin(), &|| x * x, &|| x.exp() * x]);
    switch_clamped(i, x) => switch(i, &[&|| x.sin(), &|| x * x, &|| x.exp() * x]);
    cond_in_scan(xs, init) => {
        let body = |c: Tensor, x: Tensor| (cond(&x.gt(0.0), || &c * &x, || c.sin() + &x), c);
        let (last, ys) = scan(init.clone(), xs.clone(), body);
        (ys, last)
    };
    switch_in_scan(ids, xs, init) => {
        let body = |c: Tensor, (i, x): (Tensor, Tensor)| {
            let y = switch(&i, &[&|| &c * &x, &|| c.sin() + &x, &|| &c - &x * &x]);
            (y, c)
        };
        scan(init.clone(), (ids.clone(), xs.clone()), body).1
    };
    while_counter(n, x) => {
        while_loop((tensor(0), x.clone()), |s| s.0.lt(n), |(i, x)| (i + 1, x.sin() * 1.5)).1
    };
    while_data(x) => {
        let start = (x.clone(), tensor(0));
        let (y, n) = while_loop(start, |s| s.0.sum(..).lt(12.3), |(x, n)| (x * 1.7, n + 1));
        (y.square(), n)
    };
    while_in_scan(xs, init) => {
        let inner = |c: &Tensor, x: Tensor| {
            while_loop(c.clone(), |c| c.lt(5.3), |c| &c * &c * 0.1 + &x + c)
        };
        scan(init.clone(), xs.clone(), |c, x| (inner(&c, x) * 0.3, c)).1
    };
    fori_dynamic(n, x) => {
        let step = |(i, x): (Tensor, Tensor)| (&i + 1, x.sin() + i.to(x.dtype()));
        while_loop((tensor(0), x.clone()), |s| s.0.lt(n), step).1
    };
    fori_static(x, a) => fori(0..4, x.clone(), |i, x| (a * &x).sin() + x * i);
    fori_update(x) => fori(1..4, x.clone(), |i, x| {
        let (own, before) = (x.take(&i, 0), x.take(&i - 1, 0));
        x.at(i).set((&own + before * &own).tanh())
    });
    vmap_of_scan(xs, w) => {
        let step = |c: Tensor, _: Tensor| (w.matmul(&c).tanh(), c.get(0));
        vmap(|x: Tensor| scan(x, Tensor::arange(3), step))(xs.clone())
    };
    vmap_axes(x, y, z) => {
        let axes = Axes { inputs: [Some(1), Some(0)].into(), outputs: 1.into(), ..Axes::default() };
        vmap_with(|(a, b): (Tensor, Tensor)| a.sum(..) * b * z, axes)((x * x, y.slice(0, ..3)))
    };
}
