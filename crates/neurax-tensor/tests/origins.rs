//! Every equation that reaches a backend names the line of the user's program that it comes from,
//! after all transforms.

#[allow(dead_code, reason = "the tests of costs use the rest")]
#[path = "cost/counting.rs"]
mod counting;

use counting::Counting;
use neurax::ir::{Graph, Place};
use neurax::prelude::*;
use std::collections::BTreeSet;

/// Runs `f` on a new device, and returns the graphs that were compiled for it.
fn compiled<A: Tree, O: Tree>(f: impl Function<A, Out = O>, a: A) -> Result<Vec<Graph>> {
    let counting = Counting::default();
    let device = counting.device()?;
    f.apply(a.map_leaves(|x| x.on(&device))).ok()?;
    Ok(counting.compiled())
}

/// Collects the transforms that wrote equations of the graph, and the equations whose location is
/// not in this file.
fn survey(
    g: &Graph,
    path: &str,
    transforms: &mut BTreeSet<&'static str>,
    strays: &mut Vec<String>,
) {
    for e in g.eqns() {
        let path = format!("{path}/{}", e.op.name());
        let here = matches!(&e.at.place, Place::Source(l) if l.file() == file!());
        strays.extend((!here).then(|| format!("{path} at {:?}", e.at)));
        transforms.extend(e.at.transform);
        e.op.graphs().iter().for_each(|g| survey(g, &path, transforms, strays));
    }
}

/// Checks the locations of all equations, and returns the transforms that wrote some.
#[track_caller]
fn placed<A: Tree, O: Tree>(f: impl Function<A, Out = O>, a: A) -> BTreeSet<&'static str> {
    check(&compiled(f, a).unwrap())
}

#[track_caller]
fn check(graphs: &[Graph]) -> BTreeSet<&'static str> {
    assert!(graphs.iter().any(|g| g.count_eqns() > 0));
    let (mut transforms, mut strays) = (BTreeSet::new(), vec![]);
    graphs.iter().for_each(|g| survey(g, "", &mut transforms, &mut strays));
    assert!(
        strays.is_empty(),
        "{} equations have lost their location:\n{}",
        strays.len(),
        strays.join("\n")
    );
    transforms
}

fn loops(x: Tensor) -> Tensor {
    let rows = tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    let step = |c: Tensor, row: Tensor| {
        let long = || vmap(|t: Tensor| t.sin() * 2.0)(&c * &row);
        let c =
            cond(&c.sum(..).gt(0.0), long, || c.tanh() + fori(0..3, row.clone(), |_, r| r * 0.5));
        (c.clone(), c.softmax(-1))
    };
    let (c, ys) = scan(x, rows, step);
    (c * ys.log().mean(0)).sum(..)
}

fn ruled(x: Tensor) -> Tensor {
    let one = custom_jvp(|x: Tensor| x.sin(), |(x, dx): (Tensor, Tensor)| (x.sin(), dx * x.cos()));
    let other = custom_vjp(
        |x: Tensor| x.exp(),
        |x: Tensor| (x.exp(), x),
        |(x, dy): (Tensor, Tensor)| dy * x.exp(),
    );
    (one(x.clone()) * other(stop_gradient(&x) + x)).sum(..)
}

fn at() -> Tensor {
    tensor([0.5, 0.25])
}

#[test]
fn through_every_transform_inside_jit() {
    let both = |f: fn(Tensor) -> Tensor| {
        let names = placed(jit(f), at());
        assert!(!names.contains("jvp") && !names.contains("transpose"), "{names:?}");
        let names = placed(jit(grad(f)), at());
        assert!(["jvp", "transpose"].iter().all(|t| names.contains(t)), "{names:?}");
        placed(jit(grad(checkpoint(f))), at());
        let names = placed(jit(vmap(grad(checkpoint(f)))), Tensor::ones([3, 2]));
        assert!(names.contains("vmap"), "{names:?}");
        placed(jit(grad(|x: Tensor| vmap(checkpoint(f))(x).sum(..))), Tensor::ones([3, 2]));
        placed(jit(grad(|x: Tensor| (grad(checkpoint(f))(x.clone()) * x).sum(..))), at());
    };
    both(loops);
    both(ruled);
}

#[test]
fn through_forward_mode_and_loops_without_an_end() {
    let f =
        |x: Tensor| while_loop(x, |x| x.max(..).lt(10.0), |x| checkpoint(|x: Tensor| x * 3.0)(x));
    placed(jit(move |x: Tensor| jvp(f, x.clone(), x).1), at());
    placed(jit(|x: Tensor| jvp(grad(checkpoint(loops)), x.clone(), x).1), at());
    placed(jit(vmap(f)), Tensor::ones([3, 2]));
}

#[test]
fn through_transforms_that_run_eagerly() {
    placed(grad(loops), at());
    placed(grad(checkpoint(ruled)), at());
    placed(vmap(grad(checkpoint(loops))), Tensor::ones([3, 2]));
    placed(hessian(checkpoint(loops)), at());
    placed(jacobian_forward(loops), at());
}

#[test]
fn through_the_layers_of_a_model() -> Result<()> {
    let step =
        |c: Tensor, s: Tensor| (checkpoint(|(c, s): (Tensor, Tensor)| (c * s).sin())((c, s)), ());
    let spin =
        move |x: Node| nn::layer("spin", [x], move |_, [x]| scan(x, Tensor::ones([3]), step).0);
    let model = nn::input("x", dims![_, 4])
        .dense(3)
        .relu()
        .layer_norm()
        .dropout(0.5)
        .then(spin)
        .dense(2)
        .softmax()
        .model();
    let vars = model.init(key(0), &types![f32[_, 4]])?;
    // Enough rows that dropout keeps some elements.
    let (x, y, state) = (Tensor::ones([16, 4]), Tensor::ones([16, 2]) / 2.0, vars.state.clone());
    let loss = move |p: Params| {
        loss::categorical_cross_entropy(
            model.apply_with(&p, &state, &x, &Mode::Train(key(1))).y(),
            &y,
        )
    };
    let opt = optim::chain([optim::clip(1.0), optim::adam(0.1)]);
    let start = opt.init(&vars.params);
    let train = jit(move |(p, state): (Params, nn::OptState)| {
        let grads = grad(&loss)(p.clone());
        opt.step(&p, &grads, state)
    });
    let mut layers = BTreeSet::new();
    let mut graphs = compiled(train, (vars.params, start))?;
    // Leave out the programs of initializers, which have no arguments.
    graphs.retain(|g| !g.input_types().is_empty());
    graphs.iter().for_each(|g| each_path(g, &mut layers));
    // The loss takes the logits in front of the softmax.
    assert_eq!(
        layers.into_iter().collect::<Vec<_>>(),
        ["dense", "dense_1", "dropout", "layer_norm", "relu", "spin"]
    );
    check(&graphs);
    Ok(())
}

#[test]
fn through_losses_that_are_values() {
    use loss::{CrossEntropyLoss, CtcLoss, each};
    let weights = tensor([1.0, 2.0]);
    let labels = tensor([1, 0]);
    let sum = move |y: Tensor| {
        let sum = 0.5 * loss::of(each::mse) + loss::of(|y, t| each::quantile(y, t, 0.9));
        sum.weights(&weights).mask(&y.sum(1).gt(0.0)).measure(&y, &y.sin())
            + CrossEntropyLoss::new().class_weights(&weights).ignore_index(0).measure(&y, &labels)
            + CtcLoss::new().measure(&y.expand_dims(0), &labels.expand_dims(0))
    };
    placed(jit(grad(sum)), Tensor::ones([2, 2]));
}

/// Collects the paths of layers.
fn each_path(g: &Graph, into: &mut BTreeSet<String>) {
    for e in g.eqns() {
        into.extend(e.at.path.as_ref().map(|p| p.to_string()));
        e.op.graphs().iter().for_each(|g| each_path(g, into));
    }
}
