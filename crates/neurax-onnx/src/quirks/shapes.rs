//! Sizes: those that files declare, compute, leave out, or write as negative numbers.

use super::{assert_tensor, call, calls, failure, one_node, open, results, run};
use crate::testing::{declared, floats, graph, int, int_list, ints, model, node, string};
use neurax_tensor::{DType, Tensor, tensor};

fn iota(shape: &[usize]) -> Tensor {
    Tensor::arange(shape.iter().product::<usize>()).to(DType::F32).reshape(shape)
}

fn indices(xs: &[i64]) -> Tensor {
    Tensor::from_vec(xs.to_vec(), [xs.len()])
}

// Quirk 1.

#[test]
fn a_name_of_two_axes_does_not_make_them_equal() {
    let mut g = graph(&[], &["y"], vec![], vec![node("Transpose", "x", "y")]);
    g.input = vec![declared("x", 1, &["?", "?"])];
    let session = open(model(g));
    for shape in [[2, 3], [4, 1]] {
        let y = &run(&session, &[("x", iota(&shape))])[0];
        assert_eq!(y.shape(), [shape[1], shape[0]]);
        let y = session.net().unwrap().apply(iota(&shape));
        assert_eq!(y["y"].shape(), [shape[1], shape[0]]);
    }
}

#[test]
fn expressions_and_sizes_below_zero_and_axes_without_size_are_any_size() {
    let mut g = graph(&[], &["y"], vec![], vec![node("Neg", "x", "y")]);
    g.input = vec![declared("x", 1, &["-1", "floor(W/2 - 1/2) + 1", ""])];
    let session = open(model(g));
    let x = iota(&[2, 3, 1]);
    assert_tensor(
        &run(&session, &[("x", x.clone())])[0],
        &[2, 3, 1],
        &[-0., -1., -2., -3., -4., -5.],
    );
    assert_eq!(session.net().unwrap().apply(x)["y"].shape(), [2, 3, 1]);
}

#[test]
fn declared_types_of_results_are_ignored() {
    let nodes = vec![node("Neg", "x", "a"), node("Neg", "a", "y")];
    let mut g = graph(&[("x", &[-1, 4])], &[], vec![], nodes);
    g.output = vec![declared("y", 7, &["batch_size"])];
    g.value_info = vec![declared("a", 1, &["7", "7"])];
    let y = &results(g.clone(), &[("x", iota(&[1, 4]))])[0];
    assert_tensor(y, &[1, 4], &[0.0, 1.0, 2.0, 3.0]);
    assert_eq!(open(model(g)).net().unwrap().apply(iota(&[3, 4]))["y"].shape(), [3, 4]);
}

#[test]
fn a_batch_that_a_constant_fixes_is_an_error_that_names_the_node() {
    let mut flatten = node("Reshape", "x shape", "y");
    flatten.name = "flatten".into();
    let shape = ints("shape", &[2], &[1, 6]);
    let session = open(model(graph(&[("x", &[-1, 2, 3])], &["y"], vec![shape], vec![flatten])));
    assert_eq!(run(&session, &[("x", iota(&[1, 2, 3]))])[0].shape(), [1, 6]);
    let why = failure(&session, &[("x", iota(&[2, 2, 3]))]);
    assert!(why.contains("flatten"), "{why}");
}

#[test]
fn inputs_have_the_declared_sizes() {
    let g = graph(&[("x", &[-1, 3])], &["y"], vec![], vec![node("Neg", "x", "y")]);
    let session = open(model(g));
    assert_eq!(run(&session, &[("x", iota(&[5, 3]))])[0].shape(), [5, 3]);
    for wrong in [iota(&[5, 4]), iota(&[3]), iota(&[5, 3]).to(DType::I32)] {
        let why = failure(&session, &[("x", wrong)]);
        assert!(why.contains("`x`") && why.contains("f32[_, 3]"), "{why}");
    }
}

// Quirk 2.

#[test]
fn shapes_are_computed_in_any_dtype_and_by_any_operator() {
    let constants = vec![
        floats("half", &[], &[0.5]),
        ints("zero", &[1], &[0]),
        ints("one", &[1], &[1]),
        ints("two", &[1], &[2]),
        ints("three", &[1], &[3]),
        ints("rest", &[1], &[-1]),
    ];
    let nodes = vec![
        node("Shape", "x", "shape"),
        node("Cast", "shape", "f").with(int("to", 1)),
        node("Mul", "f half", "g"),
        node("Floor", "g", "h"),
        node("Cast", "h", "halves").with(int("to", 7)),
        node("Gather", "halves zero", "rows"),
        node("Slice", "halves one two", "columns"),
        node("Equal", "columns three", "is_three"),
        node("Where", "is_three rest columns", "chosen"),
        node("Concat", "rows chosen", "new").with(int("axis", 0)),
        node("Reshape", "x new", "y"),
    ];
    let session = open(model(graph(&[("x", &[-1, -1])], &["y"], constants, nodes)));
    assert_eq!(run(&session, &[("x", iota(&[5, 6]))])[0].shape(), [2, 15]);
    assert_eq!(run(&session, &[("x", iota(&[2, 7]))]).len(), 1, "{}", session.plan());
    assert!(!session.plan().contains("host"), "{}", session.plan());
    assert_eq!(session.net().unwrap().apply(iota(&[5, 6]))["y"].shape(), [2, 15]);
}

#[test]
fn a_shape_that_is_an_input_may_be_computed_with() {
    let nodes = vec![
        node("Cast", "size", "n").with(int("to", 7)),
        node("ReduceProd", "n", "count").with(int("keepdims", 0)),
        node("Range", "zero count one", "all"),
        node("Reshape", "all n", "y"),
    ];
    let constants = vec![ints("zero", &[], &[0]), ints("one", &[], &[1])];
    let mut g = graph(&[], &["y"], constants, nodes);
    g.input = vec![declared("size", 1, &["2"])];
    let session = open(model(g));
    for size in [[2.0f32, 3.0], [4.0, 1.0], [0.0, 2.0]] {
        let y = &run(&session, &[("size", tensor(size))])[0];
        assert_eq!(y.shape(), [size[0] as usize, size[1] as usize]);
    }
    assert!(!session.plan().contains("host"), "{}", session.plan());
}

// Quirk 12.

#[test]
fn zeros_of_a_new_shape_are_sizes_of_the_old_one_before_the_rest_is_inferred() {
    let reshape = |x: &[usize], to: &[i64], allowzero: i64| {
        let n = node("Reshape", "x shape", "y").with(int("allowzero", allowzero));
        call(n, &[("x", iota(x)), ("shape", indices(to))]).shape().to_vec()
    };
    assert_eq!(reshape(&[2, 3, 4], &[-1, 0], 0), [8, 3]);
    assert_eq!(reshape(&[2, 3, 4], &[0, -1, 2], 0), [2, 6, 2]);
    assert_eq!(reshape(&[0, 3], &[0, 5], 0), [0, 5]);
    assert_eq!(reshape(&[0, 3], &[-1, 3], 0), [0, 3]);
    assert_eq!(reshape(&[0, 3], &[3, 0], 1), [3, 0]);
    let xs = [("x", iota(&[0, 3])), ("shape", indices(&[0, -1]))];
    let session = open(one_node(21, node("Reshape", "x shape", "y"), &xs));
    let why = failure(&session, &xs);
    assert!(why.contains("-1"), "{why}");
}

#[test]
fn reductions_of_nothing_are_identities() {
    let none = |dtype: DType| Tensor::zeros_of(dtype, [2, 0]);
    let reduced = |op: &str, x: Tensor| {
        let axes = ("axes", indices(&[1]));
        calls(20, node(op, "x axes", "y").with(int("keepdims", 0)), &[("x", x), axes]).remove(0)
    };
    assert_tensor(&reduced("ReduceMax", none(DType::F32)), &[2], &[f64::NEG_INFINITY; 2]);
    assert_tensor(&reduced("ReduceMin", none(DType::F32)), &[2], &[f64::INFINITY; 2]);
    assert_tensor(&reduced("ReduceMax", none(DType::I32)), &[2], &[i32::MIN.into(); 2]);
    assert_tensor(&reduced("ReduceMax", none(DType::Bool)), &[2], &[0.0; 2]);
    assert_tensor(&reduced("ReduceMin", none(DType::Bool)), &[2], &[1.0; 2]);
    assert_tensor(&reduced("ReduceSum", none(DType::F32)), &[2], &[0.0; 2]);
    assert_tensor(&reduced("ReduceProd", none(DType::F32)), &[2], &[1.0; 2]);
}

#[test]
fn operators_take_and_return_empty_tensors() {
    let empty = || ("x", iota(&[0, 4]));
    let y = call(node("Concat", "x a", "y").with(int("axis", 0)), &[empty(), ("a", iota(&[1, 4]))]);
    assert_tensor(&y, &[1, 4], &[0.0, 1.0, 2.0, 3.0]);
    let n = node("Split", "x sizes", "a b").with(int("axis", 1));
    let ys = calls(21, n, &[empty(), ("sizes", indices(&[4, 0]))]);
    assert!(ys[0].shape() == [0, 4] && ys[1].shape() == [0, 0], "{ys:?}");
    let ys = calls(21, node("TopK", "x k", "a b"), &[("x", iota(&[4])), ("k", indices(&[0]))]);
    assert!(ys[0].shape() == [0] && ys[1].dtype() == DType::I64, "{ys:?}");
    let y = call(node("MatMul", "a x", "y"), &[("a", iota(&[2, 0])), empty()]);
    assert_tensor(&y, &[2, 4], &[0.0; 8]);
    let image = [("x", iota(&[0, 2, 5])), ("w", iota(&[3, 2, 3]))];
    assert_eq!(call(node("Conv", "x w", "y"), &image).shape(), [0, 3, 3]);
    let pool = node("MaxPool", "x", "y").with(int_list("kernel_shape", &[2]));
    assert_eq!(call(pool, &[("x", iota(&[0, 1, 4]))]).shape(), [0, 1, 3]);
    assert_eq!(call(node("Softmax", "x", "y"), &[empty()]).shape(), [0, 4]);
    assert_eq!(call(node("Softmax", "x", "y"), &[("x", iota(&[2, 0]))]).shape(), [2, 0]);
    let gathered = [("x", iota(&[3, 4])), ("i", indices(&[]))];
    assert_eq!(call(node("Gather", "x i", "y"), &gathered).shape(), [0, 4]);
    let gru = [("x", iota(&[0, 2, 1])), ("w", iota(&[1, 3, 1])), ("r", iota(&[1, 3, 1]))];
    let ys = calls(21, node("GRU", "x w r", "y h").with(int("hidden_size", 1)), &gru);
    assert_eq!(ys[0].shape(), [0, 1, 2, 1]);
    assert_tensor(&ys[1], &[1, 2, 1], &[0.0; 2]);
    let boxes = [("b", iota(&[1, 0, 4])), ("s", iota(&[1, 1, 0])), ("n", indices(&[5]))];
    assert_eq!(call(node("NonMaxSuppression", "b s n", "y"), &boxes).shape(), [0, 3]);
    assert_eq!(call(node("NonZero", "x", "y"), &[("x", tensor([0.0, 0.0]))]).shape(), [1, 0]);
}

// Quirk 13.

#[test]
fn one_pixel_of_pytorch_half_pixel_is_the_first_one() {
    let xs = [("x", tensor([1.0, 2.0, 3.0, 4.0])), ("n", indices(&[1]))];
    let resized = |coordinates: &str| {
        let n = node("Resize", "x _ _ n", "y").with(string("mode", "linear"));
        call(n.with(string("coordinate_transformation_mode", coordinates)), &xs)
    };
    assert_tensor(&resized("pytorch_half_pixel"), &[1], &[1.0]);
    assert_tensor(&resized("half_pixel"), &[1], &[2.5]);
    assert_tensor(&resized("align_corners"), &[1], &[1.0]);
}

#[test]
fn scales_are_used_as_they_are_given_and_sizes_rounded_down() {
    let resized = |x: Tensor, scale: f32| {
        let n = node("Resize", "x _ s", "y").with(string("mode", "linear"));
        call(n, &[("x", x), ("s", tensor([scale]))])
    };
    // 2.4 pixels are 2; with a scale of 2/4 they would be 1.5 and 3.5.
    assert_tensor(&resized(tensor([1.0, 2.0, 3.0, 4.0]), 0.6), &[2], &[4.0 / 3.0, 3.0]);
    // The number of the file that is nearest to 1/3 is above it, that nearest to 0.1 above, too.
    assert_eq!(resized(iota(&[9]), 1.0 / 3.0).shape(), [3]);
    assert_eq!(resized(iota(&[49]), 0.1).shape(), [4]);
}

// Quirk 14.

#[test]
fn automatic_pads_depend_on_the_size_and_the_odd_one_is_at_the_named_end() {
    let x = || ("x", tensor([[[1.0, 2.0, 3.0, 4.0]]]));
    let w = || ("w", tensor([[[1.0, 10.0, 100.0]]]));
    let conv = |op: &str, x: (&str, Tensor), pad: &str| {
        let n = node(op, "x w", "y").with(int_list("strides", &[2])).with(string("auto_pad", pad));
        call(n, &[(x.0, x.1), w()])
    };
    assert_tensor(&conv("Conv", x(), "SAME_UPPER"), &[1, 1, 2], &[321.0, 43.0]);
    assert_tensor(&conv("Conv", x(), "SAME_LOWER"), &[1, 1, 2], &[210.0, 432.0]);
    assert_tensor(&conv("Conv", x(), "VALID"), &[1, 1, 1], &[321.0]);
    let x = || ("x", tensor([[[1.0, 2.0]]]));
    let want = [1.0, 10.0, 102.0, 20.0, 200.0];
    assert_tensor(&conv("ConvTranspose", x(), "SAME_UPPER"), &[1, 1, 4], &want[..4]);
    assert_tensor(&conv("ConvTranspose", x(), "SAME_LOWER"), &[1, 1, 4], &want[1..]);
    assert_tensor(&call(node("Conv", "x w", "y"), &[x(), w()]), &[1, 1, 0], &[]);
}

// Quirk 15.

#[test]
fn no_window_of_a_pool_begins_in_the_pads_at_the_end() {
    let n = node("MaxPool", "x", "y")
        .with(int_list("kernel_shape", &[2]))
        .with(int_list("strides", &[3]))
        .with(int_list("pads", &[1, 1]))
        .with(int("ceil_mode", 1));
    let y = call(n, &[("x", tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]]))]);
    assert_tensor(&y, &[1, 1, 2], &[1.0, 4.0]);
}

#[test]
fn averages_count_the_pads_but_not_what_is_behind_them() {
    let average = |counts_pads: i64| {
        let n = node("AveragePool", "x", "y")
            .with(int_list("kernel_shape", &[3]))
            .with(int_list("strides", &[2]))
            .with(int_list("pads", &[1, 1]))
            .with(int("ceil_mode", 1))
            .with(int("count_include_pad", counts_pads));
        call(n, &[("x", tensor([[[1.0, 2.0, 3.0, 4.0]]]))])
    };
    assert_tensor(&average(1), &[1, 1, 3], &[1.0, 3.0, 2.0]);
    assert_tensor(&average(0), &[1, 1, 3], &[1.5, 3.0, 4.0]);
}

// Quirk 21.

#[test]
fn negative_pads_crop_before_the_others_are_filled() {
    let padded = |pads: &[i64], mode: &str| {
        let n = node("Pad", "x pads", "y").with(string("mode", mode));
        call(n, &[("x", tensor([1.0, 2.0, 3.0, 4.0])), ("pads", indices(pads))])
    };
    assert_tensor(&padded(&[-1, 2], "constant"), &[5], &[2.0, 3.0, 4.0, 0.0, 0.0]);
    assert_tensor(&padded(&[1, -1], "edge"), &[4], &[1.0, 1.0, 2.0, 3.0]);
    assert_tensor(&padded(&[-1, 2], "reflect"), &[5], &[2.0, 3.0, 4.0, 3.0, 2.0]);
    assert_tensor(&padded(&[-2, -2], "constant"), &[0], &[]);
}

#[test]
fn ends_of_slices_are_clamped() {
    let sliced = |start: i64, end: i64, step: i64| {
        let n = node("Slice", "x start end axes step", "y");
        let one = |x: i64| indices(&[x]);
        let xs = [("start", one(start)), ("end", one(end)), ("axes", one(-1)), ("step", one(step))];
        call(n, &[&[("x", tensor([1.0, 2.0, 3.0, 4.0]))], &xs[..]].concat())
    };
    assert_tensor(&sliced(-1, i64::MIN, -1), &[4], &[4.0, 3.0, 2.0, 1.0]);
    assert_tensor(&sliced(i64::MAX, i64::MIN, -3), &[2], &[4.0, 1.0]);
    assert_tensor(&sliced(1, i64::MAX, 2), &[2], &[2.0, 4.0]);
    assert_tensor(&sliced(-2, i32::MAX.into(), 1), &[2], &[3.0, 4.0]);
    assert_tensor(&sliced(0, i64::MAX, i64::MAX), &[1], &[1.0]);
    assert_tensor(&sliced(3, i64::MIN, i64::MIN), &[1], &[4.0]);
}

#[test]
fn negative_axes_count_from_the_end_of_the_tensor_that_has_them() {
    let x = || ("x", iota(&[2, 3]));
    let axes = |xs: &[i64]| ("a", indices(xs));
    let shape = |op: &str, xs: &[(&str, Tensor)]| call(node(op, "x a", "y"), xs).shape().to_vec();
    assert_eq!(shape("Unsqueeze", &[x(), axes(&[-1, 0])]), [1, 2, 3, 1]);
    assert_eq!(shape("Unsqueeze", &[x(), axes(&[-2])]), [2, 1, 3]);
    assert_eq!(shape("Squeeze", &[("x", iota(&[1, 3, 1])), axes(&[-1])]), [1, 3]);
    assert_eq!(shape("ReduceSum", &[x(), axes(&[-2])]), [1, 3]);
    assert_tensor(
        &call(node("CumSum", "x a", "y"), &[x(), ("a", tensor(-1i64))]),
        &[2, 3],
        &[0.0, 1.0, 3.0, 3.0, 7.0, 12.0],
    );
    let pads = [x(), ("p", indices(&[1, 0])), axes(&[-2])];
    assert_eq!(call(node("Pad", "x p _ a", "y"), &pads).shape(), [3, 3]);
}

#[test]
fn negative_indices_count_from_the_end() {
    let x = || ("x", iota(&[2, 3]));
    let y =
        call(node("Gather", "x i", "y").with(int("axis", -1)), &[x(), ("i", indices(&[-1, 0]))]);
    assert_tensor(&y, &[2, 2], &[2.0, 0.0, 5.0, 3.0]);
    let y = call(node("GatherND", "x i", "y"), &[x(), ("i", tensor([[-1i64, -3]]))]);
    assert_tensor(&y, &[1], &[3.0]);
    let n = node("GatherElements", "x i", "y").with(int("axis", 1));
    assert_tensor(&call(n, &[x(), ("i", tensor([[-1i64], [-2]]))]), &[2, 1], &[2.0, 4.0]);
}

#[test]
fn a_convolution_of_an_absurd_size_is_an_error() {
    let pads = int_list("pads", &[1 << 40, 0, 0, 0]);
    let g = graph(
        &[("x", &[1, 1, 3, 8])],
        &["y"],
        vec![floats("w", &[1, 1, 2, 8], &[1.0; 16])],
        vec![node("Conv", "x w", "y").with(pads)],
    );
    let why = failure(&open(model(g)), &[("x", Tensor::ones([1, 1, 3, 8]))]);
    assert!(why.contains("not enough memory"), "{why}");
}
