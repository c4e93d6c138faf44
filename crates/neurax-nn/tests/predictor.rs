//! Predictors: shapes, the bound of the cache, threads, inputs by name, errors.

use neurax::prelude::*;
use std::thread;

/// Returns a network of two rows of weights, which differ.
fn net() -> Net {
    let model = nn::input("x", dims![_, 3]).dense(4).tanh().dense(2).model();
    model.bind(model.init(key(0), &types![f32[_, 3]]).unwrap())
}

fn rows(n: usize) -> Tensor {
    key(n as i64).normal([n, 3])
}

fn floats(y: Result<Tensor>) -> Vec<f32> {
    y.unwrap().to_vec().unwrap()
}

/// Asserts that an error names the line and contains `why`.
#[track_caller]
fn assert_fails<T>(result: Result<T>, line: u32, why: &str) {
    let e = result.err().map(|e| e.to_string()).unwrap_or_default();
    let at = format!("tests/predictor.rs:{line}:");
    assert!(e.contains(why) && e.contains(&at), "expected `{why}` at {at}, got {e}");
}

#[test]
fn every_shape_gets_the_results_of_the_network() {
    let net = net();
    let predictor = net.predictor(types![f32[_, 3]]).unwrap();
    assert_eq!(predictor.memory().programs, 0, "no shape is known yet");
    for n in [1, 5, 64, 5, 1] {
        let expected = floats(net.apply(rows(n)).y().ok());
        assert_eq!(floats(predictor.run(rows(n))), expected, "{n} rows");
    }
    assert_eq!(predictor.memory().programs, 3);
    assert_eq!(predictor.clone().memory().programs, 3, "clones share the programs");
}

#[test]
fn the_least_recently_used_program_is_dropped() {
    let predictor = net().predictor(types![f32[_, 3]]).unwrap().max_programs(2);
    predictor.warm_up([types![f32[1, 3]], types![f32[2, 3]]]).unwrap();
    let first = floats(predictor.run(rows(1)));
    for n in 3..40 {
        assert_eq!(floats(predictor.run(rows(n))).len(), 2 * n);
        assert_eq!(predictor.memory().programs, 2);
    }
    assert_eq!(floats(predictor.run(rows(1))), first, "compiled again");
}

/// Returns the type with `n` as its first size.
fn fixed(t: &TypeSpec, n: usize) -> TypeSpec {
    let dims = [Dim::Size(n)].into_iter().chain(t.dims.iter().skip(1).cloned());
    TypeSpec { dims: dims.collect(), dtype: t.dtype }
}

#[test]
fn threads_share_a_predictor() {
    let predictor = net().predictor(types![f32[_, 3]]).unwrap().max_programs(3);
    let expected: Vec<_> = (1..6).map(|n| floats(predictor.run(rows(n)))).collect();
    thread::scope(|s| {
        for t in 0..8 {
            let (predictor, expected) = (predictor.clone(), &expected);
            s.spawn(move || {
                let mut y = Tensor::zeros([1, 2]);
                for i in 0..60 {
                    let n = 1 + (i + t) % 5;
                    predictor.run_into(rows(n), &mut [&mut y]).unwrap();
                    assert_eq!(y.to_vec::<f32>().unwrap(), expected[n - 1], "{n} rows");
                }
            });
        }
    });
    assert_eq!(predictor.memory().programs, 3);
}

#[test]
fn inputs_and_outputs_have_names() {
    let (a, b) = (nn::input("a", dims!["n", 2]), nn::input("b", dims!["n", 3]));
    let sum = nn::layer("sum", [&a, &b], |_, [a, b]| a.sum(-1) + b.sum(-1));
    let model = Model::new([("sum", &sum), ("doubled", &(&b * 2.0))]);
    let net = model.bind(Vars::default());
    let [a_type, b_type] = types![f32["n", 2], f32["n", 3]];
    let predictor = net.predictor([("b", b_type), ("a", a_type)]).unwrap();
    let names: Vec<String> = predictor.inputs().map(|(name, t)| format!("{name}: {t}")).collect();
    assert_eq!(names, ["a: f32[n, 2]", "b: f32[n, 3]"]);
    assert_eq!(predictor.outputs().collect::<Vec<_>>(), ["sum", "doubled"]);

    let (a, b) = (Tensor::ones([1, 2]), Tensor::full([1, 3], 2.0));
    let all = predictor.run_all([("b", &b), ("a", &a)]).unwrap();
    assert_eq!(all["sum"].to_vec::<f32>().unwrap(), [8.0]);
    assert_eq!(all["doubled"].to_vec::<f32>().unwrap(), [4.0; 3]);
    assert_eq!(floats(predictor.run([&a, &b])), [8.0], "in the model's order");
    let (mut sum, mut doubled) = (Tensor::zeros([1]), Tensor::zeros([1, 3]));
    predictor.run_into([("a", &a), ("b", &b)], &mut [&mut sum, &mut doubled]).unwrap();
    assert_eq!((sum.item().unwrap(), doubled.to_vec::<f32>().unwrap()), (8.0, vec![4.0; 3]));
    assert_eq!(predictor.memory().programs, 1);

    let (result, line) = (predictor.run([("a", &a), ("c", &b)]), line!());
    assert_fails(result, line, "expected one of the inputs a, b, got `c`");
    let (result, line) = (predictor.run(&a), line!());
    assert_fails(result, line, "missing input `b`; expected the inputs a, b");
    let (result, line) = (predictor.run([&a, &Tensor::ones([4, 3])]), line!());
    assert_fails(result, line, "input `b`: expected f32[n, 3] with n = 1, got f32[4, 3]");
}

#[test]
fn wrong_inputs_are_errors_of_the_callers_line_and_compile_nothing() {
    for types in [types![f32[_, 3]], types![f32[1, 3]]] {
        let want = types[0].to_string();
        let predictor = net().predictor(types).unwrap();
        let _ = predictor.run(rows(1)).unwrap();
        let (result, line) = (predictor.run(Tensor::ones([1, 4])), line!());
        assert_fails(result, line, &format!("input `x`: expected {want}, got f32[1, 4]"));
        let (result, line) = (predictor.run(Tensor::zeros_of(I32, [1, 3])), line!());
        assert_fails(result, line, &format!("input `x`: expected {want}, got i32[1, 3]"));
        let mut y = Tensor::zeros([1, 2]);
        let x = Tensor::ones([3]);
        let (result, line) = (predictor.run_into(&x, &mut [&mut y]), line!());
        assert_fails(result, line, &format!("input `x`: expected {want}, got f32[3]"));
        let (result, line) = (predictor.run_into(rows(1), &mut []), line!());
        assert_fails(result, line, "expected 1 outputs, got 0");
        let e = predictor.run(Tensor::ones([2]) + Tensor::ones([3])).unwrap_err().to_string();
        assert!(e.contains("cannot broadcast f32[2] with f32[3]"), "{e}");
        assert_eq!(predictor.memory().programs, 1);
    }
}

#[test]
fn wrong_types_are_errors_of_the_callers_line() {
    let net = net();
    let (result, line) = (net.predictor(types![f32[_, 4]]), line!());
    assert_fails(result, line, "input `x`: expected shape [_, 3], got [_, 4]");
    let (result, line) = (net.predictor(types![f32[1, 4]]), line!());
    assert_fails(result, line, "input `x`: expected shape [_, 3], got [1, 4]");
    let (result, line) = (net.predictor(types![f32[1, 3], f32[1, 3]]), line!());
    assert_fails(result, line, "expected 1 inputs (x), got 2");
    let (result, line) = (net.predictor(types![f32[-1, 3]]), line!());
    assert_fails(result, line, "expected a size, got `-1`");

    let predictor = net.predictor(types![f32[_, 3]]).unwrap();
    let (result, line) = (predictor.warm_up([types![f32[_, 3]]]), line!());
    assert_fails(result, line, "a compiled function has fixed sizes");
    let (result, line) = (predictor.warm_up([types![f32[2, 5]]]), line!());
    assert_fails(result, line, "input `x`: expected f32[_, 3], got f32[2, 5]");
    let one = net.predictor(types![f32[1, 3]]).unwrap();
    one.warm_up([types![f32[1, 3]]]).unwrap();
    let (result, line) = (one.warm_up([types![f32[2, 3]]]), line!());
    assert_fails(result, line, "input `x`: expected f32[1, 3], got f32[2, 3]");
}

#[test]
fn errors_of_layers_are_found_when_a_shape_is_compiled() {
    let x = nn::input("x", dims![_, _]);
    let halves = nn::layer("halves", [&x], |_, [x]| x.reshape(dims![2, _]));
    let net = halves.model().bind(Vars::default());
    let predictor = net.predictor(types![f32[_, _]]).unwrap();
    assert_eq!(predictor.run(Tensor::ones([2, 3])).unwrap().shape(), [2, 3]);
    let e = predictor.run(Tensor::ones([1, 3])).unwrap_err().to_string();
    assert!(e.contains("halves"), "{e}");
    assert!(predictor.run(Tensor::ones([4, 3])).is_ok(), "the predictor works on");
}

#[test]
fn weights_are_counted_once_and_used_by_all_programs() {
    let model = nn::input("x", dims![_, 3]).dense(4).model();
    let mut vars = model.init(key(0), &types![f32[_, 3]]).unwrap();
    let kernel = vars.params["dense"]["kernel"].clone();
    vars.state.entry("copies".into()).or_default().insert("kernel".into(), kernel);
    let predictor = model.bind(vars).predictor(types![f32[_, 3]]).unwrap();
    let before = predictor.memory();
    assert_eq!(before.weights, 4 * (3 * 4 + 4));
    predictor.warm_up((1..10).map(|n| types![f32[_, 3]].map(|t| fixed(&t, n)))).unwrap();
    let after = predictor.memory();
    assert_eq!((after.weights, after.programs), (before.weights, 9));

    // The hidden layer is an intermediate value; the reference interpreter may not know.
    let hidden = net().predictor(types![f32[64, 3]]).unwrap().memory();
    assert!(hidden.scratch.is_none_or(|bytes| bytes >= 64 * 4 * 4), "{hidden:?}");
}

#[test]
fn normalizations_are_folded_once_for_all_programs() {
    let image = nn::input("image", dims![_, 8, 8, 3]);
    let model = image.layer(nn::Conv::new(4, [3, 3])).batch_norm().relu().model();
    let types = types![f32[_, 8, 8, 3]];
    let mut net = model.bind(model.init(key(0), &types).unwrap());
    for vars in [&mut net.vars.params, &mut net.vars.state] {
        let all = vars.values_mut().flat_map(|layer| layer.values_mut()).enumerate();
        all.for_each(|(i, x)| *x = x.abs() + key(i as i64).uniform(x.shape()));
    }
    let predictor = net.predictor(&types).unwrap();
    let x = |n: usize| key(1).normal([n, 8, 8, 3]);
    let mut weights = vec![];
    for n in [1, 2, 3] {
        let (y, want) = (predictor.run(x(n)).unwrap(), net.apply(x(n)).y().clone());
        assert_eq!(y.allclose(want, 1e-5, 1e-5).item().unwrap(), 1.0);
        weights.push(predictor.memory().weights);
    }
    assert_eq!(weights, [weights[0]; 3], "the programs share the folded weights");
}

#[test]
fn predictors_run_inside_of_bodies() {
    let predictor = net().predictor(types![f32[1, 3]]).unwrap();
    let x = rows(1);
    let y = cond(&tensor(true), || predictor.run(&x).unwrap(), || Tensor::zeros([1, 2]));
    // The body is compiled as a part of another program, which may round differently.
    let difference = (y - predictor.run(&x).unwrap()).abs().max(..).item().unwrap();
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn predictors_are_shared_between_threads() {
    fn assert_shared<T: Send + Sync + Clone>() {}
    assert_shared::<nn::Predictor>();
}
