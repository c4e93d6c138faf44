//! Models as users build them: names, several inputs and outputs, state, errors with source lines.

use neurax::prelude::*;

fn text(x: &Tensor) -> String {
    x.error().map(|e| e.to_string()).unwrap_or_default()
}

#[test]
fn a_shape_mismatch_inside_a_layer_names_its_path_and_line() {
    let model = nn::input("x", dims![_, 3])
        .dense(4)
        .then(|x| nn::layer("mix", [x], |_, [x]| x.matmul(Tensor::zeros([5, 5]))));
    let e = model.init(key(0), &types![f32[_, 3]]).unwrap_err().to_string();
    assert!(e.contains("f32[1, 4]") && e.contains("f32[5, 5]"), "{e}");
    assert!(e.contains("in layer mix, at") && e.contains("tests/models.rs"), "{e}");
}

#[test]
fn an_error_of_the_backward_pass_names_the_layer() {
    let spin = |x: Node| {
        nn::layer("spin", [x], |_, [x]| while_loop(x, |x| x.max(..).lt(10.0), |x| x * 2.0))
    };
    let model = nn::input("x", dims![_, 2]).dense(2).then(spin).model();
    let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
    let x = Tensor::ones([1, 2]);
    let (_, grads) = value_and_grad_at(&vars.params, |p| {
        model.apply_with(&p, &vars.state, &x, &Mode::Eval).y().sum(..)
    });
    let e = text(&grads["dense"]["kernel"]);
    assert!(e.contains("scan") && e.contains("in layer spin"), "{e}");
}

#[test]
fn parameters_of_another_model_name_layer_and_shape() {
    let (small, large) =
        (nn::input("x", dims![_, 3]).dense(4), nn::input("x", dims![_, 3]).dense(5));
    let vars = small.init(key(0), &types![f32[_, 3]]).unwrap();
    let e = text(large.apply(&vars, Tensor::ones([1, 3]), &Mode::Eval).y());
    assert!(
        e.contains("param: expected `kernel` of shape [3, 5], got [3, 4]; the variables are those")
            && e.contains("in layer dense, at"),
        "{e}"
    );
    assert!(e.contains("tests/models.rs"), "{e}");
    let e = text(large.relu().apply(&Vars::default(), Tensor::ones([1, 3]), &Mode::Eval).y());
    assert!(e.contains("missing `kernel`; create the variables"), "{e}");
    let other = large.clone().named("other").model();
    let e = text(other.apply(&vars, Tensor::ones([1, 3]), &Mode::Eval).y());
    assert!(e.contains("those of another model, with the layers dense; load a checkpoint"), "{e}");
    let e = vars.clone().freeze("dense").unwrap_err().to_string();
    assert!(e.contains("`dense.**` stands for all below it") && e.contains("models.rs:"), "{e}");
    let e = nn::Net::load("Cargo.toml").map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("expected a directory that `Net::save` wrote, got a file"), "{e}");
}

#[test]
fn invalid_inputs_are_named() {
    let (a, b) = (nn::input("a", dims!["batch", 2]), nn::input("b", dims!["batch", 2]));
    let model = (a + b).model();
    let run = |e: Applied| {
        let e = text(e.y());
        assert!(e.is_empty() || e.contains("tests/models.rs:"), "no source line in: {e}");
        e
    };
    let (two, three) = (Tensor::ones([2, 2]), Tensor::ones([3, 2]));
    let vars = Vars::default();
    assert!(
        run(model.apply(&vars, [("a", &two), ("c", &two)], &Mode::Eval))
            .contains("expected one of the inputs a, b, got `c`")
    );
    assert!(
        run(model.apply(&vars, [("a", &two)], &Mode::Eval))
            .contains("missing input `b`; expected the inputs a, b")
    );
    assert!(
        run(model.apply(&vars, [("a", &two), ("a", &two)], &Mode::Eval))
            .contains("got input `a` twice")
    );
    assert!(
        run(model.apply(&vars, [&two, &two, &two], &Mode::Eval))
            .contains("expected 2 inputs (a, b), got 3")
    );
    let e = run(model.apply(&vars, [("a", &two), ("b", &three)], &Mode::Eval));
    assert!(e.contains("input `b`: expected shape [batch, 2] with batch = 2, got [3, 2]"), "{e}");
    assert_eq!(
        model.apply(&vars, [&two, &two], &Mode::Eval).y().to_vec::<f32>().unwrap(),
        [2.0; 4]
    );
    let e = model.init(key(0), &types![f32[_, 2]]).unwrap_err().to_string();
    assert!(e.contains("missing input `b`") && e.contains("tests/models.rs:"), "{e}");
    let e = model.init(key(0), &types![f32[_, 2], f32[_, 5]]).unwrap_err().to_string();
    assert!(e.contains("input `b`: expected shape [batch, 2], got [_, 5], at "), "{e}");
    assert!(e.contains("tests/models.rs:"), "{e}");
}

#[test]
fn invalid_outputs_are_errors_not_panics() {
    let model = nn::input("x", dims![_, 2]).relu();
    let out = model.apply(&Vars::default(), Tensor::ones([1, 2]), &Mode::Eval);
    assert!(text(&out.get("z")).contains("expected one of the outputs y, got `z`"));
    let e = text(&out["z"]);
    assert!(
        e.contains("expected one of the outputs y, got `z`, at ") && e.contains("tests/models.rs:"),
        "{e}"
    );
    assert!(text(&out["w"]).contains("a second requested name") && text(&out["z"]) == e);
    let twice = Model::new([("y", &model), ("y", &model)]);
    assert!(
        twice
            .init(key(0), &types![f32[_, 2]])
            .unwrap_err()
            .to_string()
            .contains("expected unique names of outputs, got `y` twice")
    );
    let none = Model::new::<&str, Node>([]);
    assert!(
        text(none.apply(&Vars::default(), Vec::new(), &Mode::Eval).y())
            .contains("expected at least one output, got none")
    );
    let same = nn::input("x", dims![_, 2]) + nn::input("x", dims![_, 2]);
    assert!(
        same.init(key(0), &types![f32[_, 2], f32[_, 2]])
            .unwrap_err()
            .to_string()
            .contains("expected unique names of inputs, got `x` twice")
    );
}

#[test]
fn names_are_counted_and_a_node_used_twice_is_one_layer() {
    let x = nn::input("x", dims![_, 2]);
    let shared = x.dense(2);
    let model = (&shared + &shared * 2.0 + x.dense(2).named("dense_1") + x.dense(2)).model();
    let names: Vec<&str> = model.nodes().collect();
    assert_eq!(
        names.iter().filter(|n| n.starts_with("dense")).collect::<Vec<_>>(),
        [&"dense", &"dense_1", &"dense_2"]
    );
    assert_eq!(model.init(key(0), &types![f32[_, 2]]).unwrap().params.len(), 3);
}

#[test]
fn scalars_are_operands_on_both_sides_and_keep_the_dtype() {
    let x = nn::input("x", dims![_]);
    let y = 1.0 - (2 * &x + 3) / 2.0 - -&x;
    let run = |t: Tensor| y.apply(&Vars::default(), t, &Mode::Eval).y().clone();
    assert_eq!(run(tensor([1.0, 5.0])).to_vec::<f32>().unwrap(), [-0.5, -0.5]);
    assert_eq!(run(tensor([1.0]).to(BF16)).dtype(), BF16);
}

#[test]
fn quotients_of_integers_below_8_bits_and_whole_numbers_are_floats() {
    let x = nn::input("x", dims![_]);
    let run = |y: nn::Node, d: DType| {
        y.apply(&Vars::default(), tensor([1, 7]).to(d), &Mode::Eval).y().clone()
    };
    assert_eq!(run(7 / &x, U4).to_vec::<f32>().unwrap(), [7.0, 1.0]);
    assert_eq!(run(&x / 300, U4).to_vec::<f32>().unwrap(), [1.0 / 300.0, 7.0 / 300.0]);
    assert!(run(2.5 / &x, U4).error().is_some(), "as for tensors");
    assert_eq!(run(7 / &x, U8).to_vec::<f32>().unwrap(), [7.0, 1.0]);
}

#[test]
fn initial_values_do_not_depend_on_other_layers() {
    let x = nn::input("x", dims![_, 3]);
    let alone = x.dense(2).init(key(5), &types![f32[_, 3]]).unwrap();
    let among = x.dense(2).relu().dropout(0.5).dense(7).init(key(5), &types![f32[_, 3]]).unwrap();
    let kernel = |v: &Vars| v.params["dense"]["kernel"].to_vec::<f32>().unwrap();
    assert_eq!(kernel(&alone), kernel(&among));
    assert_ne!(kernel(&alone), kernel(&x.dense(2).init(key(6), &types![f32[_, 3]]).unwrap()));
}

#[test]
fn training_updates_state_and_evaluation_keeps_it() {
    let model = nn::input("x", dims![_, 1]).then(|x| {
        nn::layer("count", [x], |cx, [x]| {
            let seen = cx.state("seen", (), init::zeros());
            if cx.training() {
                cx.set("seen", &seen + 1.0);
            }
            x + seen
        })
    });
    let mut vars = model.init(key(0), &types![f32[_, 1]]).unwrap();
    for _ in 0..3 {
        vars.state = model.apply(&vars, Tensor::zeros([1, 1]), &Mode::Train(key(0))).state;
    }
    let out = model.apply(&vars, Tensor::zeros([1, 1]), &Mode::Eval);
    assert_eq!(out.y().item().unwrap(), 3.0);
    assert_eq!(out.state["count"]["seen"].item().unwrap(), 3.0);
}

#[test]
fn a_model_is_a_function_for_every_transform() {
    let model = nn::input("x", dims![_, 2]).dense(3).tanh().dropout(0.2).dense(1).model();
    let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
    let (m, v) = (model.clone(), vars.clone());
    let apply = jit(move |(x, mode): (Tensor, Mode)| m.apply(&v, x, &mode).y().clone());
    let x = Tensor::ones([4, 2]);
    assert_eq!(apply.run((x.clone(), Mode::Eval)).unwrap().shape(), [4, 1]);
    let a = apply.run((x.clone(), Mode::Train(key(1)))).unwrap();
    let b = apply.run((x.clone(), Mode::Train(key(2)))).unwrap();
    assert_ne!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap(), "the key is data");
    assert_eq!(apply.traces(), 2, "one for each mode");
    let each = vmap(|x: Tensor| model.apply(&vars, x.reshape([1, 2]), &Mode::Eval).y().clone())
        .run(x)
        .unwrap();
    assert_eq!(each.shape(), [4, 1, 1]);
}

#[test]
fn a_parameter_name_with_a_dot_is_an_error() {
    let model = nn::layer("odd", [nn::input("x", dims![1])], |cx, [x]| {
        x * cx.param("a.b", 1, init::ones())
    });
    assert!(
        model
            .init(key(0), &types![f32[1]])
            .unwrap_err()
            .to_string()
            .contains("expected a name without a dot")
    );
}

#[test]
fn deep_models_do_not_overflow_the_stack() {
    let mut x = nn::input("x", dims![1]);
    for _ in 0..3_000 {
        x = x + 1.0;
    }
    assert_eq!(x.model().nodes().count(), 3_001);
}

/// Returns the values of the only output.
fn values(model: &Model, vars: &Vars, inputs: impl nn::Inputs, mode: &Mode) -> Vec<f32> {
    model.apply(vars, inputs, mode).y().to_vec::<f32>().unwrap()
}

#[test]
fn blocks_nest_and_share_their_variables() {
    let inner = nn::block("inner", |x| x.dense(3).dropout(0.5));
    let outer = nn::block("outer", |x| inner.call(x.dense(3)) + inner.call(&x));
    let x = nn::input("x", dims![_, 3]);
    let model = (outer.call(&x) - outer.call(&x)).model();
    let vars = model.init(key(0), &types![f32[_, 3]]).unwrap();
    let layers: Vec<&String> = vars.params.keys().collect();
    assert_eq!(layers, ["outer.dense", "outer.inner.dense"]);
    let nodes = ["x", "outer.dense", "outer.inner.dense", "outer.inner.dropout", "outer.add"];
    assert_eq!(model.nodes().collect::<Vec<_>>(), [&nodes[..], &["subtract"]].concat());

    let x = Tensor::ones([2, 3]);
    assert_eq!(values(&model, &vars, &x, &Mode::Eval), [0.0; 6]);
    // Every call drops other elements.
    assert!(values(&model, &vars, &x, &Mode::Train(key(1))).iter().any(|v| *v != 0.0));
    let summary = model.summary();
    let rows: Vec<&str> = summary.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(rows[2..8], [&nodes[..], &["subtract"]].concat());
    let total: Vec<&str> = rows_of(&summary).pop().unwrap();
    assert_eq!(total, ["total", "24", "96", "54"], "{summary}");
}

#[test]
fn two_blocks_of_one_name_have_variables_of_their_own() {
    let block = || nn::block("tower", |x| x.dense(2));
    let x = nn::input("x", dims![_, 3]);
    let y = block().call(&x) + block().call(&x);
    let vars = y.init(key(0), &types![f32[_, 3]]).unwrap();
    assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["tower.dense", "tower_1.dense"]);
}

#[test]
fn a_shared_layer_inside_of_a_block_keeps_its_path() {
    let head = nn::shared(Dense::new(3)).named("head");
    let block = nn::block("block", |x| head.call(x.relu()));
    let x = nn::input("x", dims![_, 3]);
    let y = block.call(head.call(&x));
    let vars = y.init(key(0), &types![f32[_, 3]]).unwrap();
    assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["head"]);
    assert_eq!(y.apply(&vars, Tensor::ones([1, 3]), &Mode::Eval).y().shape(), [1, 3]);
}

#[test]
fn state_is_updated_in_the_order_of_the_calls() {
    let count = nn::block("count", |x| {
        nn::layer("calls", [x], |cx, [x]| {
            let calls = cx.state("calls", [0usize; 0], init::zeros());
            cx.set("calls", &calls + 1.0);
            x + calls
        })
    });
    let x = nn::input("x", dims![1]);
    let model = (count.call(&x) * 10.0 + count.call(&x)).model();
    let vars = model.init(key(0), &types![f32[1]]).unwrap();
    let out = model.apply(&vars, Tensor::zeros([1]), &Mode::Eval);
    assert_eq!(out.y().to_vec::<f32>().unwrap(), [1.0]);
    assert_eq!(out.state["count.calls"]["calls"].item().unwrap(), 2.0);
}

#[test]
fn misused_blocks_are_errors() {
    let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 2]));
    let captures = nn::block("captures", |x| x + &b);
    let e = captures.call(&a).init(key(0), &types![f32[_, 2]]).unwrap_err().to_string();
    let want = "block `captures`: expected layers of its arguments, got the node `b` from outside";
    assert!(e.contains(want) && e.contains("tests/models.rs:"), "{e}");

    let shared = nn::shared(Dense::new(2));
    let y = shared.call(&a) + shared.call(nn::concat([&a, &a], -1));
    let e = y.init(key(0), &types![f32[_, 2]]).unwrap_err().to_string();
    let want = "expected `kernel` of shape [4, 2], got [2, 2]; the variables are those of another";
    assert!(e.contains(want) && e.contains("in layer dense"), "{e}");

    let [_, second] = a.relu().model().call_all([&b]);
    let e = text(second.apply(&Vars::default(), Tensor::ones([1, 2]), &Mode::Eval).y());
    assert!(e.contains("expected a model with an output of the index 1, got fewer"), "{e}");
}

#[test]
fn layers_have_outputs_in_any_structure() {
    let x = nn::input("x", dims![_, 2]);
    let (sum, [low, high]) = nn::layer("parts", [&x], |_, [x]| (x.sum(-1), [x.min(-1), x.max(-1)]));
    let model = Model::new([("sum", &sum), ("range", &(high.named("top") - low))]);
    assert_eq!(model.nodes().collect::<Vec<_>>(), ["x", "parts", "top", "subtract"]);
    let out = model.apply(&Vars::default(), tensor([[1.0, 4.0]]), &Mode::Eval);
    assert_eq!(out["sum"].to_vec::<f32>().unwrap(), [5.0]);
    assert_eq!(out["range"].to_vec::<f32>().unwrap(), [3.0]);
}

/// Outputs in a struct, which is nested and has fields without names.
#[derive(Tree, nn::LayerOutput)]
struct Encoded<T> {
    sequence: T,
    state: State<T>,
    ends: [T; 2],
}

#[derive(Tree, nn::LayerOutput)]
struct State<T>(T, T);

#[test]
fn layers_have_outputs_in_structs() {
    let encode = |x: &Tensor| Encoded {
        sequence: x * 1.0,
        state: State(x * 10.0, x * 100.0),
        ends: [x.min(-1), x.max(-1)],
    };
    let leaves = encode(&Tensor::ones([1, 2]));
    let paths: Vec<String> = leaves.leaves().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["sequence", "state.0", "state.1", "ends.0", "ends.1"]);

    let x = nn::input("x", dims![_, 2]);
    let Encoded { sequence, state: State(h, c), ends: [low, high] } =
        nn::layer("encode", [&x], move |_, [x]| encode(&x));
    let model = Model::new([("all", sequence + h + c), ("range", high - low)]);
    let out = model.apply(&Vars::default(), tensor([[1.0, 4.0]]), &Mode::Eval);
    assert_eq!(out["all"].to_vec::<f32>().unwrap(), [111.0, 444.0]);
    assert_eq!(out["range"].to_vec::<f32>().unwrap(), [3.0]);
}

#[test]
fn frozen_parameters_take_no_part_in_a_training_step() {
    let base = nn::block("base", |x| x.dense(8).tanh().dense(8).tanh());
    let model = base.call(nn::input("x", dims![_, 4])).dense(1).model();
    let mut vars = model.init(key(0), &types![f32[_, 4]]).unwrap();
    let (x, t) = (Tensor::ones([5, 4]), Tensor::ones([5, 1]));
    let opt = optim::adamw(0.1, 0.01);
    let products = |vars: &Vars| {
        let slots = opt.init(&vars.params);
        let (model, x, t, opt) = (model.clone(), x.clone(), t.clone(), opt.clone());
        let step = jit(move |(params, state, slots): (nn::Params, nn::Params, nn::OptState)| {
            let loss = |p| loss::mse(model.apply_with(&p, &state, &x, &Mode::Eval).y(), &t);
            let grads = value_and_grad_at(&params, loss).1;
            opt.step(&params, &grads, slots)
        });
        let args = (vars.params.clone(), vars.state.clone(), slots);
        let stages = step.stages(&args, true).unwrap();
        let text = stages.list()[0].text.as_ref().unwrap();
        (text.matches("dot_general").count(), args.2.leaves().len())
    };
    let (all, slots) = products(&vars);
    vars.freeze("base.dense.*").unwrap();
    vars.freeze("base.**").unwrap();
    let (head, fewer_slots) = products(&vars);
    // Three products forward, two for each layer backward, less that of the input's gradient.
    assert_eq!([all, head], [8, 4]);
    assert!(fewer_slots < slots);
    let before = model.apply(&vars, &x, &Mode::Eval).y().to_vec::<f32>().unwrap();
    let path = std::env::temp_dir().join(format!("neurax-frozen-{}", std::process::id()));
    vars.save(&path).unwrap();
    let loaded = Vars::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((loaded.trainable(), loaded.frozen()), (vars.trainable(), vars.frozen()));
    assert_eq!(model.apply(&loaded, &x, &Mode::Eval).y().to_vec::<f32>().unwrap(), before);
    assert_eq!((vars.size(), vars.unfreeze("**").unwrap()), (loaded.size(), 6));
    assert_eq!(vars.state.len(), 0);
}

#[test]
fn freezing_twice_adds_up() {
    let x = nn::input("x", dims![_, 3]);
    let mut vars = x.dense(2).dense(2).model().init(key(0), &types![f32[_, 3]]).unwrap();
    assert_eq!((vars.freeze("dense.*").unwrap(), vars.freeze("dense_1.bias").unwrap()), (2, 1));
    assert_eq!(vars.frozen(), ["dense.bias", "dense.kernel", "dense_1.bias"]);
    assert_eq!(vars.trainable(), ["dense_1.kernel"]);
}

#[test]
fn scales_of_normalizations_start_with_ones() {
    let x = nn::input("x", dims![_, 4]);
    let y = x.batch_norm().layer_norm().rms_norm().group_norm(2);
    let y = y.reshape([4, 1]).instance_norm();
    let vars = y.init(key(0), &types![f32[_, 4]]).unwrap();
    assert_eq!(vars.params.len(), 5);
    for (layer, params) in &vars.params {
        assert_eq!(params["scale"].to_vec::<f32>().unwrap(), [1.0; 4], "{layer}");
    }
}

/// Returns the cells of a table.
fn rows_of(summary: &str) -> Vec<Vec<&str>> {
    summary.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// Never returns if it runs, unless an element is NaN.
fn endless(x: &Node) -> Node {
    nn::layer("endless", [x], |_, [x]| while_loop(x, |x| x.equal(x).all(..), |x| x + 0.0))
}

/// Returns the scalar that says whether the sum of `x` is positive.
fn is_positive(x: &Node) -> Node {
    nn::layer("is_positive", [x], |_, [x]| x.sum(..).gt(0.0))
}

#[test]
fn a_choice_by_one_bool_computes_one_branch() {
    let x = nn::input("x", dims![_, 2]);
    let (h, pred) = (x.dense(2).named("h"), is_positive(&x));
    let y = nn::cond(&pred, &h.dense(2).named("taken"), &endless(&h.dense(2)).dense(2)) + &h;
    let model = y.model();
    let nodes: Vec<&str> = model.nodes().collect();
    let expected = ["x", "is_positive", "h", "taken", "dense", "endless", "dense_1", "cond", "add"];
    assert_eq!(nodes, expected);
    let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
    let x = Tensor::ones([3, 2]);
    let apply = |x: Tensor| model.apply(&vars, x, &Mode::Eval).y().clone();
    let found = apply(x.clone());
    let is_near = |y: Tensor| y.allclose(&found, 1e-6, 1e-6).item().unwrap() == 1.0;
    assert!(is_near(jit(apply)(x.clone())));
    // The same values as those of a model without the choice.
    let h = nn::input("x", dims![_, 2]).dense(2).named("h");
    let plain = (h.dense(2).named("taken") + h).model();
    assert!(is_near(plain.apply(&vars, &x, &Mode::Eval).y().clone()));
    // The square root of a negative number would make the gradient NaN.
    let z = nn::input("x", dims![_, 2]);
    let root = nn::layer("root", [z.dense(2)], |_, [x]| (x * 0.0 - 1.0).sqrt());
    let model = nn::cond(&is_positive(&z), &z.dense(2).named("taken"), &root).model();
    let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
    let (_, grads) = value_and_grad_at(&vars.params, |p| {
        model.apply_with(&p, &vars.state, &x, &Mode::Eval).y().sum(..)
    });
    assert_eq!(grads["dense"]["kernel"].to_vec::<f32>().unwrap(), [0.0; 4]);
    assert_eq!(grads["taken"]["kernel"].to_vec::<f32>().unwrap(), [3.0; 4]);
    // Of a bool for each example, both branches are computed.
    let x = nn::input("x", dims![_, 2]);
    let each = nn::layer("each", [&x], |_, [x]| x.sum(-1).gt(0.0));
    let model = nn::cond(&each, &x.layer(nn::Activation::relu()), &(&x * 2.0)).model();
    let out = model.apply(&vars, tensor([[1.0, 2.0], [-1.0, 0.0]]), &Mode::Eval);
    assert_eq!(out.y().to_vec::<f32>().unwrap(), [1.0, 2.0, -2.0, 0.0]);
}

#[test]
fn choices_nest_batch_and_are_saved() {
    let x = nn::input("x", dims![_, 2]);
    let tower = nn::block("tower", |x| nn::cond(&is_positive(&x), &endless(&x), &(x * 3.0)));
    let inner = nn::cond(&is_positive(&(&x + 1.0)), &tower.call(&x), &endless(&x));
    let model = nn::cond(&is_positive(&x), &endless(&x), &(inner.dense(2) + &x)).model();
    let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
    let x = tensor([[-0.5, 0.25]]);
    let y = model.apply(&vars, &x, &Mode::Eval).y().to_vec::<f32>().unwrap();
    assert!(y.iter().all(|y| y.is_finite()), "{y:?}");

    let x = nn::input("x", dims![2]);
    let model = nn::cond(&is_positive(&x), &(&x * 2.0), &(&x * 3.0 + &x)).model();
    let xs = tensor([[1.0, 2.0], [-1.0, -2.0]]);
    let none = Vars::default();
    let each = vmap(|x: Tensor| model.apply(&none, x, &Mode::Eval).y().clone());
    assert_eq!(each(xs).to_vec::<f32>().unwrap(), [2.0, 4.0, -4.0, -8.0]);
    let (_, seen) =
        model.apply_capturing(&none, tensor([1.0, 2.0]), &Mode::Eval, "multiply*").unwrap();
    assert_eq!(seen.len(), 2);

    let (a, p) = (nn::input("a", dims![_, 2]), nn::typed_input("p", BOOL, Vec::<Dim>::new()));
    let model = nn::cond(&p, &a.dense(2), &a.dense(2)).model();
    let net = model.bind(model.init(key(0), &types![bool[], f32[_, 2]]).unwrap());
    let directory = std::env::temp_dir().join("neurax-test-cond");
    net.save(&directory).unwrap();
    let loaded = nn::Net::load(&directory).unwrap();
    let inputs = [("a", tensor([[1.0, 2.0]])), ("p", tensor(false))];
    let values = |net: &nn::Net| net.apply(inputs.clone()).y().to_vec::<f32>().unwrap();
    assert_eq!(values(&loaded), values(&net));
}

#[test]
fn a_branch_that_is_not_taken_keeps_its_state() {
    let x = nn::input("x", dims![_, 2]);
    let (left, right) = (x.layer(nn::BatchNorm::new()), x.layer(nn::BatchNorm::new()));
    let model = nn::cond(&is_positive(&x), &left, &right).model();
    let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
    let step = |vars: &Vars, x: Tensor| {
        let out = model.apply(vars, x, &Mode::Train(key(1)));
        let mean = |layer: &str| out.state[layer]["mean"].to_vec::<f32>().unwrap();
        [mean("batch_norm"), mean("batch_norm_1")].map(|m| m.iter().any(|x| *x != 0.0))
    };
    assert_eq!(step(&vars, Tensor::ones([3, 2])), [true, false]);
    assert_eq!(step(&vars, -Tensor::ones([3, 2])), [false, true]);

    let sets = |x: &Node| {
        nn::layer("sets", [x], |cx, [x]| {
            cx.set("seen", x.clone());
            x
        })
    };
    let model = nn::cond(&is_positive(&x), &sets(&x), &(&x * 1.0)).model();
    let e = text(model.apply(&vars, Tensor::ones([3, 2]), &Mode::Eval).y());
    assert!(e.contains("got the new state `sets.seen`; request it with `cx.state`"), "{e}");
    let model = nn::cond(&is_positive(&x), &x.dense(3), &(&x * 1.0)).model();
    let vars = model.init(key(0), &types![f32[_, 2]]).unwrap_err().to_string();
    assert!(vars.contains("two branches of one type") && vars.contains("in layer cond"), "{vars}");
    let net = (nn::cond(&is_positive(&x), &x.dense(2), &(&x * 1.0))).model();
    let e = text(net.apply(&Vars::default(), Tensor::ones([3, 2]), &Mode::Eval).y());
    assert!(e.contains("missing `kernel`") && e.contains("in layer dense, at"), "{e}");
}

#[test]
fn bad_input_has_one_error_with_path_expected_found_and_advice() {
    let image = nn::input("image", dims![_, 3, 8, 8]);
    let of_init = |y: Node, types: &[TypeSpec]| y.init(key(0), types).unwrap_err().to_string();
    let images = types![f32[_, 3, 8, 8]];
    let x = nn::input("x", dims![_, 4, 3]);
    let mask = nn::typed_input("mask", BOOL, dims![_, _]);
    let masked = || nn::Gru::new(2).masked().call([&x, &mask]).named("reader");
    let attention = nn::MultiHeadAttention::new(2, 4).masked();
    let attended = attention.call([&x, &mask]).named("reader");
    let masks = types![f32[2, 4, 3], bool[2, 5]];
    let net = image.conv(4, 3).named("stem");
    let vars = net.init(key(0), &images).unwrap();
    let other = nn::input("image", dims![_, 3, 8, 8]).conv(5, 3).named("stem");
    let shape = text(other.apply(&vars, Tensor::ones([1, 3, 8, 8]), &Mode::Eval).y());
    let unknown = vars.clone().freeze("stm.*").unwrap_err().to_string();
    let cases: [(String, &str, &[&str]); 8] = [
        // Wrong ranks and channels.
        (
            of_init(image.layer_norm().reshape([192]).conv(4, 3).named("stem"), &images),
            "in layer stem",
            &["expected an input [batch, channels, space ..] with at least one", "got f32[1, 192]"],
        ),
        (
            of_init(image.lstm(3).named("reader"), &images),
            "in layer reader",
            &["expected an input [batch, time, features]", "got f32[1, 3, 8, 8]"],
        ),
        // Groups that do not divide.
        (
            of_init(image.layer(nn::Conv::new(4, 3).groups(2)).named("stem"), &images),
            "in layer stem",
            &["divides the 3 channels of f32[1, 3, 8, 8] and the 4 filters, got 2 groups; change"],
        ),
        (
            of_init(image.group_norm(2).named("norm"), &images),
            "in layer norm",
            &["with 2 groups of channels, got f32[1, 3, 8, 8]; take a divisor"],
        ),
        // Masks of the wrong shape.
        (
            of_init(masked(), &masks),
            "in layer reader",
            &["expected a mask bool[2, 4], [batch, time], got bool[2, 5]; `nn::mask_of` makes"],
        ),
        (of_init(attended, &masks), "in layer reader", &["expected a mask", "got bool[2, "]),
        // A pattern that matches nothing.
        (unknown, "", &["expected a pattern of one of the parameters stem.bias, stem.kernel; got"]),
        // Variables of another model.
        (
            shape,
            "in layer stem",
            &["expected `kernel` of shape [5, 3, 3, 3], got [4, 3, 3, 3]; the variables are those"],
        ),
    ];
    for (e, path, parts) in cases {
        assert!(e.contains(path) && parts.iter().all(|part| e.contains(part)), "{path}: {e}");
        assert!(e.matches("tests/models.rs:").count() <= 1, "one line: {e}");
    }
}
