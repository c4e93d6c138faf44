//! Derivatives of functions composed of several ops: compared with finite differences, and at
//! points where a formula that is right for values has NaN as its derivative.

use neurax::{Side, einsum, prelude::*};

fn f64s(x: &[f64]) -> Tensor {
    Tensor::from_vec(x.to_vec(), [x.len()])
}

/// Compares the gradient of the weighted sum of `f` with central differences, in f64.
#[track_caller]
fn check(name: &str, x: &[f64], f: impl Fn(&Tensor) -> Tensor + Send + Sync) {
    let total = |x: Tensor| {
        let y = f(&x);
        let n = y.size();
        (y.flatten() * Tensor::arange(n).to(F64).sin().abs()).sum(..)
    };
    let slope = grad(total)
        .run(f64s(x))
        .and_then(|g| g.to_vec::<f64>())
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    for i in 0..x.len() {
        let at = |h: f64| {
            let mut x = x.to_vec();
            x[i] += h;
            total(f64s(&x)).item().unwrap()
        };
        let h = 1e-5;
        let difference = (at(h) - at(-h)) / (2.0 * h);
        assert!(
            (difference - slope[i]).abs() <= 1e-6 * (1.0 + difference.abs()),
            "{name} at {}: {} is not {difference}",
            x[i],
            slope[i]
        );
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let x = [0.3, -1.2, 2.5, 0.7];
    let positive = [0.3, 1.2, 2.5, 0.7];
    check("silu", &x, |x| x.silu());
    check("selu", &x, |x| x.selu());
    check("celu", &x, |x| x.celu(0.7));
    check("mish", &x, |x| x.mish());
    check("gelu", &x, |x| x.gelu(false));
    check("gelu(tanh)", &x, |x| x.gelu(true));
    check("softplus", &x, |x| x.softplus());
    check("log_sigmoid", &x, |x| x.log_sigmoid());
    check("squareplus", &x, |x| x.squareplus());
    check("soft_shrink", &x, |x| x.soft_shrink(0.5));
    check("glu", &x, |x| x.glu(0));
    check("softmax", &x, |x| x.softmax(0));
    check("softmax of a matrix", &x, |x| x.reshape([2, 2]).softmax([1, 0]));
    check("log_softmax", &x, |x| x.log_softmax(0));
    check("logsumexp", &x, |x| x.reshape([2, 2]).logsumexp(keep(..)));
    check("sinc", &[0.0, 0.01, -0.02, 0.5, 1.3], |x| x.sinc());
    check("log2", &positive, |x| x.log2());
    check("exp2", &x, |x| x.exp2());
    check("hypot", &x, |x| x.hypot(x.flip(0) * 2.0));
    check("logaddexp", &x, |x| x.logaddexp(x.flip(0)));
    check("atan2", &x, |x| x.atan2(x.flip(0) * 2.0));
    // Away from multiples of the divisor, where the function is discontinuous.
    check("remainder", &x, |x| x.remainder(0.47));
    check("lerp", &x, |x| x.lerp(x.square(), x.sin()));
    check("xlogy", &positive, |x| x.xlogy(x.square()));
    check("norm", &x, |x| x.norm(..));
    check("norm of order 3", &x, |x| x.norm_of_order(3.0, ..));
    check("norm of order inf", &x, |x| x.norm_of_order(f64::INFINITY, ..));
    check("var", &x, |x| x.var(.., 1));
    check("std", &x, |x| x.std(.., 0));
    check("average", &x, |x| x.average(x.square(), ..));
    check("prod", &x, |x| x.prod(..));
    check("median", &x, |x| x.median(..));
    check("quantile", &x, |x| x.quantile(tensor([0.1, 0.77]), ..));
    check("cov", &x, |x| x.reshape([2, 2]).cov(1));
    check("cumsum", &x, |x| x.cumsum(0));
    check("cumprod", &x, |x| x.cumprod(0));
    check("cummax", &x, |x| x.cummax(0));
    check("cumlogsumexp", &x, |x| x.cumlogsumexp(0));
    check("diff", &x, |x| x.diff(2, 0));
    check("sort", &x, |x| x.sort(0));
    check("sort_by_key", &x, |x| x.square().sort_by_key(x, 0));
    check("top_k", &x, |x| x.top_k(2).0);
    check("roll", &x, |x| x.roll(1, 0) * x);
    check("pad_with", &x, |x| x.pad_with([(2, 3)], neurax::PadMode::Reflect).square());
    check("repeat", &x, |x| x.repeat(3, 0).square());
    check("tile", &x, |x| x.tile([2, 2]).square());
    check("split", &x, |x| {
        let p = x.split(2, 0);
        &p[0] * &p[1]
    });
    check("index", &x, |x| x.index(step(.., -2)).square());
    check("take", &x, |x| x.take(tensor([0, 0, -1]), 0).square());
    check("take_along_axis", &x, |x| x.take_along_axis(&tensor([3, 3]), 0).square());
    check("set", &x, |x| x.at(1..3).set(x.slice(0, ..2).square()));
    check("set with a step", &x, |x| x.at(step(.., -2)).set(x.slice(0, ..2).square()));
    check("add at indices", &x, |x| x.at(tensor([1, 1, -1])).add(x.slice(0, ..3).square()));
    check("max at indices", &x, |x| x.at(tensor([1, 2])).max(x.slice(0, 2..)));
    check("diag", &x, |x| x.diag(1).square());
    check("diagonal", &x, |x| x.reshape([2, 2]).diagonal(0, 0, 1).square());
    check("tril", &x, |x| x.reshape([2, 2]).tril(0).square());
    check("einsum", &x, |x| {
        einsum("ij,kj,i->k", [&x.reshape([2, 2]), &x.reshape([2, 2]).sin(), &x.slice(0, ..2)])
    });
    check("einsum of a diagonal", &x, |x| einsum("ii,j->j", [&x.reshape([2, 2]), x]));
    check("kron", &x, |x| x.kron(x.slice(0, ..2)));
    check("cross", &x, |x| x.slice(0, ..3).cross(x.slice(0, 1..)));
    check("matrix_power", &x, |x| x.reshape([2, 2]).matrix_power(3));
    check("interp", &[0.25, 1.5], |x| x.interp(&tensor([0.0, 1.0, 2.0]), &tensor([0.0, 3.0, 1.0])));
    check("polyval", &x, |x| x.polyval(&tensor([1.0, -2.0, 3.0])));
    check("cosine_similarity", &x, |x| x.cosine_similarity(x.flip(0).square(), 0));
}

fn slope(x: f32, f: impl Fn(Tensor) -> Tensor + Send + Sync) -> f64 {
    grad(f).run(tensor(x)).and_then(|g| g.item()).unwrap()
}

#[test]
fn derivatives_at_singular_points_are_finite() {
    let zeros = || tensor([0.0, 0.0]);
    assert_eq!(
        grad(|x: Tensor| x.norm(..)).run(zeros()).unwrap().to_vec::<f32>().unwrap(),
        [0.0, 0.0]
    );
    assert_eq!(
        grad(|x: Tensor| x.std(.., 0)).run(zeros()).unwrap().to_vec::<f32>().unwrap(),
        [0.0, 0.0]
    );
    assert_eq!(
        grad(|x: Tensor| x.norm_of_order(3.0, ..)).run(zeros()).unwrap().to_vec::<f32>().unwrap(),
        [0.0, 0.0]
    );
    assert_eq!(
        grad(|x: Tensor| x.cosine_similarity(tensor([1.0, 2.0]), 0))
            .run(zeros())
            .unwrap()
            .to_vec::<f32>()
            .unwrap(),
        [0.0, 0.0]
    );
    // A product with one zero factor has a derivative.
    assert_eq!(
        grad(|x: Tensor| x.prod(..)).run(tensor([0.0, 3.0])).unwrap().to_vec::<f32>().unwrap(),
        [3.0, 0.0]
    );
    assert_eq!(
        grad(|x: Tensor| x.cumprod(0).sum(..))
            .run(tensor([0.0, 3.0]))
            .unwrap()
            .to_vec::<f32>()
            .unwrap(),
        [4.0, 0.0]
    );
    assert_eq!(slope(0.0, |x| x.sinc()), 0.0);
    assert_eq!(slope(0.0, |x| x.relu()), 0.0);
    assert_eq!(slope(0.0, |x| x.hypot(0.0)), 0.0);
    assert_eq!(slope(0.0, |x| x.pow(2.0)), 0.0);
    assert_eq!(slope(0.0, |x| x.pow(0.0)), 0.0);
    assert_eq!(slope(0.0, |x| x.pow(1.0)), 1.0);
    assert_eq!(slope(2.0, |x| tensor(0.0).pow(x)), 0.0);
    assert_eq!(slope(0.0, |x| x.softplus()), 0.5);
    assert_eq!(slope(1000.0, |x| x.softplus()), 1.0);
    assert_eq!(slope(-1000.0, |x| x.softplus()), 0.0);
    assert_eq!(slope(1000.0, |x| x.elu(1.0)), 1.0);
    assert_eq!(slope(1000.0, |x| x.celu(1.0)), 1.0);
    assert_eq!(slope(0.0, |x| x.xlogy(0.0)), 0.0);
    // A common idiom of users: the branch that is not selected must not make the derivative NaN.
    assert_eq!(slope(0.0, |x| where_(&x.gt(0.0), where_(&x.gt(0.0), &x, 1.0).sqrt(), 0.0)), 0.0);
}

#[test]
fn logaddexp_handles_infinities() {
    let infinity = f32::INFINITY;
    let pairs = [
        (-infinity, 1.0),
        (1.0, -infinity),
        (-infinity, -infinity),
        (infinity, 1.0),
        (infinity, infinity),
        (infinity, -infinity),
    ];
    let values = [1.0, 1.0, -infinity, infinity, infinity, infinity];
    for ((x, y), value) in pairs.into_iter().zip(values) {
        let f = |(x, y): (Tensor, Tensor)| x.logaddexp(y);
        assert_eq!(f((tensor(x), tensor(y))).item().unwrap(), value as f64, "{x} {y}");
        let (dx, dy) = grad(f).run((tensor(x), tensor(y))).unwrap();
        assert_eq!(dx.item().unwrap() + dy.item().unwrap(), 1.0, "{x} {y}");
    }
}

#[test]
fn second_derivatives_at_ties_are_right() {
    let second =
        |f: fn(Tensor) -> Tensor, x: f32| grad(grad(f)).run(tensor(x)).unwrap().item().unwrap();
    assert_eq!(second(|x| x.softplus(), 0.0), 0.25);
    assert_eq!(second(|x| x.hypot(2.0), 0.0), 0.5);
    assert!((second(|x| x.sinc(), 0.0) + std::f64::consts::PI.powi(2) / 3.0).abs() < 1e-5);
}

#[test]
fn functions_without_a_derivative_are_constants() {
    assert_eq!(slope(1.5, |x| &x * x.floor() + x.round() + x.trunc() + x.sign()), 1.0);
    let counted = |x: Tensor| &x * tensor([0.0, 1.0]).searchsorted(&x, Side::Left).to(F32);
    assert_eq!(slope(0.5, counted), 1.0);
    assert_eq!(slope(0.5, |x| x.nan_to_num()), 1.0);
}

#[test]
fn functions_have_batching_rules() {
    let rows = Tensor::arange(6).reshape([2, 3]).to(F32);
    let each = |f: fn(Tensor) -> Tensor| {
        vmap(f).run(rows.clone()).and_then(|y| y.to_vec::<f32>()).unwrap()
    };
    assert_eq!(each(|x| x.sort(0).index(step(.., -1))), [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
    assert_eq!(each(|x| x.at(tensor([0, 0])).add(1.0)), [2.0, 1.0, 2.0, 5.0, 4.0, 5.0]);
    assert_eq!(each(|x| x.quantile(0.5, ..)), [1.0, 4.0]);
    assert_eq!(each(|x| einsum("i,i->", [&x, &x])), [5.0, 50.0]);
    assert_eq!(
        each(|x| tensor([1.0, 3.5]).searchsorted(&x, Side::Left).to(F32)),
        [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    );
    assert_eq!(
        each(|x| x.roll(1, 0).pad_with([(1, 0)], neurax::PadMode::Edge)),
        [2.0, 2.0, 0.0, 1.0, 5.0, 5.0, 3.0, 4.0]
    );
    assert_eq!(each(|x| x.cumsum(0)), [0.0, 1.0, 3.0, 3.0, 7.0, 12.0]);
    assert_eq!(each(|x| x.to(I32).one_hot(2).sum(0)), [1.0, 1.0, 0.0, 0.0]);
}
