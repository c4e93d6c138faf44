use neurax::prelude::*;
use std::time::Instant;
#[derive(Clone, Debug, Tree)]
struct P { w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor }
#[derive(Clone, Debug, Tree)]
struct S { p: P, m: P, v: P, t: Tensor }
fn loss(p: &P, x: &Tensor, y: &Tensor) -> Tensor {
    let h = (x.matmul(&p.w1) + &p.b1).relu();
    let z = h.matmul(&p.w2) + &p.b2;
    z.cross_entropy(y).mean(..)
}
fn step(s: S, x: Tensor, y: Tensor) -> (S, Tensor) {
    let (l, g) = value_and_grad_at(&s.p, |p: P| loss(&p, &x, &y));
    let t = s.t + 1.0;
    let m = s.m.zip_map(&g, |m, g| m * 0.9 + g * 0.1);
    let v = s.v.zip_map(&g, |v, g| v * 0.999 + g.square() * 0.001);
    let c1 = 1.0 - tensor(0.9).pow(&t);
    let c2 = 1.0 - tensor(0.999).pow(&t);
    let u = m.zip_map(&v, |m, v| (m / &c1) / ((v / &c2).sqrt() + 1e-8) * 1e-3);
    let p = s.p.zip_map(&u, |p, u| p - u);
    (S { p, m, v, t }, l)
}
fn main() -> Result<()> {
    let batch: usize = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(32);
    let k = key(0);
    let w = |k: Key, a: usize, b: usize| k.normal([a, b]) * 0.05;
    let p = P { w1: w(k.clone(), 784, 128), b1: Tensor::zeros([128]), w2: w(k.clone(), 128, 10), b2: Tensor::zeros([10]) };
    let z = p.map_leaves(|t| Tensor::zeros_of(t.dtype(), t.shape()));
    let mut s = S { m: z.clone(), v: z, t: tensor(0.0), p };
    let x = k.uniform([batch, 784]);
    let y = Tensor::one_hot(&k.randint([batch], 0..10), 10);
    let f = jit(|(s, x, y): (S, Tensor, Tensor)| step(s, x, y));
    if std::env::args().nth(2).is_some() {
        for st in f.stages(&(s.clone(), x.clone(), y.clone()), true)?.list().iter().rev().take(1) { println!("{} {:?}\n{}", st.name, st.time, st.graph.as_ref().unwrap()); }
        return Ok(());
    }
    let t0 = Instant::now();
    let (s1, l) = f.run((s, x.clone(), y.clone()))?;
    s = s1;
    println!("compile+first {:?} loss {}", t0.elapsed(), l.item()?);
    let s0 = s.clone(); for _ in 0..5 { s = s0.clone();
        let t0 = Instant::now();
        let n = 2000 * 32 / batch;
        for _ in 0..n { let (s1, _) = f.run((s, x.clone(), y.clone()))?; s = s1; }
        let e = t0.elapsed().as_secs_f64() / n as f64;
        println!("step {:.1} us, {:.0} samples/s", e * 1e6, batch as f64 / e);
    }
    Ok(())
}
