//! Custom derivatives at higher order, and derivatives of loops whose length is unknown.

use neurax::prelude::*;

type Two = (Tensor, Tensor);
type Three = (Tensor, Tensor, Tensor);

fn number(x: Tensor) -> f64 {
    x.item().unwrap()
}

/// Returns the first and the second derivative of the square of `f`, each in two modes.
fn of_square(f: &Func<'_, Tensor, Tensor>, x: f32) -> [f64; 4] {
    let square = |x: Tensor| f.apply(x).square();
    let one = || tensor(1.0f32);
    [
        number(grad(square)(tensor(x))),
        number(jvp(square, tensor(x), one()).1),
        number(grad(grad(square))(tensor(x))),
        number(jvp(grad(square), tensor(x), one()).1),
    ]
}

/// The values are those of JAX 0.12 for the rules of the same text.
#[test]
fn higher_derivatives_differentiate_what_a_jvp_rule_returns() {
    // Straight-through rounding: the value that the rule returns is a step function.
    let round = custom_jvp(|x: Tensor| x.round(), |(x, dx): Two| (x.round(), dx));
    assert_eq!(of_square(&round, 2.7), [6.0, 6.0, 0.0, 0.0]);
    // The same with a value whose derivative is 1.
    let round = custom_jvp(
        |x: Tensor| x.round(),
        |(x, dx): Two| (&x + stop_gradient(&(x.round() - &x)), dx),
    );
    assert_eq!(of_square(&round, 2.7), [6.0, 6.0, 2.0, 2.0]);
    // A clipped derivative holds once: the value that the rule returns is `x^2`.
    let clipped = custom_jvp(
        |x: Tensor| x.square(),
        |(x, dx): Two| (x.square(), (&x * 2.0).clip(-1.0, 1.0) * dx),
    );
    assert_eq!(of_square(&clipped, 3.0), [18.0, 18.0, 12.0, 12.0]);
    // A value from the rule replaces that of the function.
    let other = custom_jvp(|x: Tensor| x.square(), |(x, dx): Two| (&x * 5.0, dx * 7.0));
    assert_eq!(number(jvp(|x: Tensor| other.apply(x), tensor(2.0), tensor(1.0)).0), 10.0);
    assert_eq!(of_square(&other, 2.0), [140.0, 140.0, 70.0, 70.0]);
}

#[test]
fn a_custom_tangent_holds_for_every_order() {
    let round = custom_tangent(|x: Tensor| x.round(), |(_, _, dx): Three| dx);
    assert_eq!(of_square(&round, 2.7), [6.0, 6.0, 2.0, 2.0]);
    let exp = custom_tangent(|x: Tensor| x.exp(), |(_, y, dx): Three| y * dx * 2.0);
    let f = |x: Tensor| exp.apply(x);
    let third = grad(grad(grad(f)));
    assert_eq!(number(third(tensor(0.0))), 8.0);
    assert_eq!(vmap(third).run(Tensor::zeros(2)).unwrap().to_vec::<f32>().unwrap(), [8.0, 8.0]);
    let in_scan = |x: Tensor| scan(x, Tensor::zeros(2), |c, _| (exp.apply(c), ())).0;
    let by_hand = |x: Tensor| exp.apply(exp.apply(x));
    assert_eq!(number(grad(grad(in_scan))(tensor(0.5))), number(grad(grad(by_hand))(tensor(0.5))));
    // A constant, and a result that is no float.
    let pair = custom_tangent(
        |(x, n): Two| (&x * 3.0, n.to(I32)),
        |((_, _), (y, n), (dx, _)): (Two, Two, Two)| (dx * y, n),
    );
    let slope = grad(|x: Tensor| pair.apply((x, tensor(1))).0);
    assert_eq!(number(slope(tensor(2.0))), 6.0);
}

#[test]
fn stop_gradient_stops_derivatives_of_every_order() {
    let f = |x: Tensor| stop_gradient(&x) * &x * &x;
    assert_eq!(number(grad(f)(tensor(3.0))), 18.0);
    assert_eq!(number(grad(grad(f))(tensor(3.0))), 6.0);
    assert_eq!(number(grad(grad(grad(f)))(tensor(3.0))), 0.0);
}

#[test]
fn a_value_that_depends_on_tangents_is_an_error() {
    let f = custom_jvp(|x: Tensor| x.sin(), |(x, dx): Two| (x.sin() + &dx, dx));
    let e = grad(&f).run(tensor(1.0)).unwrap_err().to_string();
    assert!(
        e.starts_with("custom_jvp: the rule returns a value that depends on the tangents"),
        "{e}"
    );
    let f = custom_tangent(|x: Tensor| x.sin(), |(_, _, dx): Three| dx.reshape(1));
    let e = f.run(tensor(1.0)).unwrap_err().to_string();
    assert!(e.starts_with("custom rule: expected the rule of custom_tangent to return"), "{e}");
}

/// Doubles the elements until their sum reaches 10.
fn doubled(x: Tensor) -> Tensor {
    while_loop(x, |x| x.sum(..).lt(10.0), |x| x * 2.0)
}

#[test]
fn loops_of_unknown_length_have_all_forward_modes() {
    let x = || tensor([1.0, 2.0]);
    let want = [4.0, 0.0, 0.0, 4.0];
    assert_eq!(jacobian_forward(doubled).run(x()).unwrap().to_vec::<f32>().unwrap(), want);
    assert_eq!(jacobian(doubled).run(x()).unwrap().to_vec::<f32>().unwrap(), want);
    let jitted = jit(jacobian_forward(doubled));
    assert_eq!(jitted.run(x()).unwrap().to_vec::<f32>().unwrap(), want);
    // Fewer results than arguments: reverse mode would need fewer passes.
    let total = |x: Tensor| (doubled(x.clone()) * x).sum(..);
    assert_eq!(jacobian(total).run(x()).unwrap().to_vec::<f32>().unwrap(), [8.0, 16.0]);
    let twice = jacobian_forward(jacobian_forward(total)).run(x()).unwrap();
    assert_eq!(twice.to_vec::<f32>().unwrap(), [8.0, 0.0, 0.0, 8.0]);
    let (y, slope) = linearize(doubled, x());
    assert_eq!(y.to_vec::<f32>().unwrap(), [4.0, 8.0]);
    assert_eq!(slope.run(tensor([1.0, 10.0])).unwrap().to_vec::<f32>().unwrap(), [4.0, 40.0]);
    let in_scan = |x: Tensor| scan(x, Tensor::zeros(2), |c, _| (doubled(c * 0.1), ())).0;
    let (_, slope) = linearize(in_scan, x());
    let along = jvp(in_scan, x(), tensor([1.0, 10.0])).1;
    assert_eq!(
        slope.run(tensor([1.0, 10.0])).unwrap().to_vec::<f32>().unwrap(),
        along.to_vec::<f32>().unwrap()
    );
    let batched = vmap(jacobian_forward(doubled)).run(tensor([[1.0, 2.0], [4.0, 5.0]])).unwrap();
    assert_eq!(batched.to_vec::<f32>().unwrap(), [4.0, 0.0, 0.0, 4.0, 2.0, 0.0, 0.0, 2.0]);
    let e = jacobian_reverse(doubled).run(x()).unwrap_err().to_string();
    assert!(e.starts_with("while: a loop whose number of steps is only known at run time"), "{e}");
}

#[test]
fn a_jacobian_uses_the_mode_that_the_function_has() {
    let sine =
        || custom_vjp(|x: Tensor| x.sin(), |x: Tensor| (x.sin(), x), |(x, g): Two| x.cos() * g);
    // Results and arguments of one size: forward mode would be used.
    let j = jacobian(sine()).run(Tensor::zeros(2)).unwrap();
    assert_eq!(j.to_vec::<f32>().unwrap(), [1.0, 0.0, 0.0, 1.0]);
    let e = jacobian_forward(sine()).run(Tensor::zeros(2)).unwrap_err().to_string();
    assert!(e.starts_with("custom_vjp: custom_vjp defines no JVP rule"), "{e}");
    let bad = |x: Tensor| x + Tensor::zeros(3);
    for j in [jacobian(bad), jacobian_forward(bad), jacobian_reverse(bad)] {
        let e = j.run(Tensor::zeros(2)).unwrap_err().to_string();
        assert!(e.starts_with("add:"), "{e}");
    }
}
