//! The programs of the manual under "Tensors and transforms".

use neurax::prelude::*;

#[test]
fn tensors() -> Result<()> {
    let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
    let y = ((&x * 2.0).sin() + 1.0).sum(0);
    assert_eq!(y.shape(), [2]);
    let loss = |w: Tensor| w.matmul(&x).tanh().mean(..);
    let slope = grad(loss);
    let fast = jit(&slope);
    let g = fast.run(Tensor::eye(2))?;
    assert_eq!(g.to_vec::<f32>()?, slope(Tensor::eye(2)).to_vec::<f32>()?);
    let bad = &x + &Tensor::zeros([3, 5]);
    let e = bad.to_vec::<f32>().unwrap_err().to_string();
    assert!(
        e.starts_with("add: cannot broadcast f32[2, 2] with f32[3, 5], at ")
            && e.contains("programs.rs:"),
        "{e}"
    );
    Ok(())
}

#[derive(Tree, Clone)]
struct Linear {
    kernel: Tensor,
    bias: Tensor,
    #[tree(static)]
    name: String,
}

fn mse(y: &Tensor, t: &Tensor) -> Tensor {
    (y - t).square().mean(..)
}

#[test]
fn a_training_step_updates_in_place() -> Result<()> {
    let (x, y) = (Tensor::ones([4, 2]), Tensor::ones([4, 1]));
    let step = jit(|(params, x, y): (Linear, Tensor, Tensor)| {
        let (loss, grads) =
            value_and_grad_at(&params, |p| mse(&(x.matmul(&p.kernel) + p.bias), &y));
        (params.zip_map(&grads, |p, g| p - g * 0.1), loss)
    });
    let mut params =
        Linear { kernel: tensor([[1.0], [1.0]]), bias: tensor([0.0]), name: "out".into() };
    let mut losses = vec![];
    for _ in 0..20 {
        let loss;
        (params, loss) = step.run((params, x.clone(), y.clone()))?;
        losses.push(loss.item()?);
    }
    assert_eq!(losses[0], 1.0);
    assert!(losses[19] < 1e-3, "{losses:?}");
    assert_eq!((step.traces(), params.name.as_str()), (1, "out"));
    assert!(step.donated() >= 40);
    Ok(())
}

fn cube(x: Tensor) -> Tensor {
    &x * &x * &x
}

#[test]
fn transforms_nest_in_any_order() -> Result<()> {
    let at = |f: Func<Tensor, Tensor>| f.run(tensor(2.0)).and_then(|y| y.item());
    assert_eq!(at(grad(cube))?, 12.0);
    assert_eq!(at(grad(grad(cube)))?, 12.0);
    assert_eq!(at(grad(grad(grad(cube))))?, 6.0);
    assert_eq!(jit(grad(jit(grad(jit(cube))))).run(tensor(2.0))?.item()?, 12.0);
    let xs = tensor([1.0, 2.0, 3.0]);
    assert_eq!(vmap(grad(cube)).run(xs.clone())?.to_vec::<f32>()?, [3.0, 12.0, 27.0]);
    assert_eq!(
        grad(|x: Tensor| vmap(cube)(x).sum(..)).run(xs.clone())?.to_vec::<f32>()?,
        [3.0, 12.0, 27.0]
    );
    let (_, d) = jvp(grad(cube), tensor(2.0), tensor(1.0));
    assert_eq!(d.item()?, 12.0);
    assert_eq!(at(grad(checkpoint(cube)))?, 12.0);
    assert_eq!(at(grad(grad(checkpoint(cube))))?, 12.0);
    let by_rows = hessian(|x: Tensor| cube(x).sum(..)).run(tensor([1.0, 2.0]))?;
    let f = |x: Tensor| cube(x).sum(..);
    let x0 = tensor([1.0, 2.0]);
    let by_hand = vmap(|v: Tensor| grad(|x: Tensor| (grad(f)(x) * &v).sum(..))(x0.clone()));
    assert_eq!(jit(&by_hand).run(Tensor::eye(2))?.to_vec::<f32>()?, by_rows.to_vec::<f32>()?);
    Ok(())
}

#[test]
fn perturbations_are_not_confused() -> Result<()> {
    let one = grad(|x: Tensor| &x * grad(|y: Tensor| &x + &y)(tensor(1.0)));
    assert_eq!(one.run(tensor(1.0))?.item()?, 1.0);
    let f = grad(|x: Tensor| &x * grad(|y: Tensor| &x * &y * &y)(tensor(3.0)));
    assert_eq!(f.run(tensor(2.0))?.item()?, 24.0);
    // A jit that is created inside a trace captures its tracer, and is called with traced and with
    // concrete arguments: 6 * 2x + 3x^2.
    let o = grad(|x: Tensor| {
        let inner = jit(|y: Tensor| &y * &x * &x);
        inner(tensor(1.0)) + inner(x.clone()) + inner(tensor(5.0))
    });
    assert_eq!(o.run(tensor(2.0))?.item()?, 36.0);
    let outside = jit(|x: Tensor| &x * &x);
    assert_eq!(grad(|x: Tensor| outside(x) * 2.0).run(tensor(2.0))?.item()?, 8.0);
    Ok(())
}

#[test]
fn loops_and_branches() -> Result<()> {
    let w = tensor(0.5);
    let total = |w: Tensor| scan(tensor(0.0), tensor([1.0, 2.0, 3.0]), |c, x| (&c + x * &w, c)).0;
    assert_eq!(grad(total).run(w.clone())?.item()?, 6.0);
    assert_eq!(jit(grad(total)).run(w)?.item()?, 6.0);
    let power = |x: Tensor| fori(0..3, x.ones_like(), |_, c| c * &x);
    assert_eq!(grad(power).run(tensor(2.0))?.item()?, 12.0);
    let branchy = |x: Tensor| cond(&x.gt(0.0), || &x * &x, || -&x);
    assert_eq!(vmap(grad(branchy)).run(tensor([3.0, -3.0]))?.to_vec::<f32>()?, [6.0, -1.0]);
    let (y, dy) =
        jvp(|x: Tensor| while_loop(x, |x| x.lt(10.0), |x| x * 3.0), tensor(1.0), tensor(1.0));
    assert_eq!((y.item()?, dy.item()?), (27.0, 27.0));
    let e =
        grad(|x: Tensor| while_loop(x, |x| x.lt(10.0), |x| x * 3.0)).run(tensor(1.0)).unwrap_err();
    let why = "while: a loop whose number of steps is only known at run time has no reverse mode; \
               use scan, or fori with a fixed range, at ";
    assert!(e.to_string().starts_with(why) && e.to_string().contains("tests/programs.rs:"), "{e}");
    Ok(())
}
