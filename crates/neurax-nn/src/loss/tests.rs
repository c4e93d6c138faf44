//! Tests of the losses that all have in common, and of cross-entropies.

use super::*;
use neurax_tensor::dtype_consts::{BF16, F16, F32};
use neurax_tensor::{Tensor, checkpoint, grad, hessian, jit, tensor, value_and_grad};

type Loss = fn(&Tensor, &Tensor) -> Tensor;

#[test]
fn logits_and_probabilities_agree() {
    let z = tensor([[0.3, -1.2, 2.0], [1.0, 0.0, -0.5]]);
    let t = tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
    let labels = tensor([2, 0]);
    let values = [
        categorical_cross_entropy(&z.softmax(-1), &t),
        categorical_cross_entropy_logits(&z, &t),
        sparse_categorical_cross_entropy(&z.softmax(-1), &labels),
        sparse_categorical_cross_entropy_logits(&z, &labels),
    ];
    for v in &values {
        assert!((v.item().unwrap() - values[0].item().unwrap()).abs() < 1e-6);
    }
    let (z, t) = (tensor([0.3, -1.2]), tensor([1.0, 0.0]));
    let (a, b) = (binary_cross_entropy(&z.sigmoid(), &t), binary_cross_entropy_logits(&z, &t));
    assert!((a.item().unwrap() - b.item().unwrap()).abs() < 1e-6);
}

#[test]
fn a_certain_but_wrong_prediction_has_a_finite_loss_and_gradient() {
    let t = tensor([[1.0, 0.0]]);
    let y = tensor([[0.0, 1.0]]);
    let value = categorical_cross_entropy(&y, &t).item().unwrap();
    assert!((value - 16.118_095).abs() < 1e-3, "{value}");
    let g = grad(|y: Tensor| categorical_cross_entropy(&y, &t))(y).to_vec::<f32>().unwrap();
    assert!(g.iter().all(|g| g.is_finite()), "{g:?}");
}

/// Losses of probabilities and of logits, as functions of logits.
type Pair = (fn(&Tensor, &Tensor) -> Tensor, Loss);

const PAIRS: [Pair; 2] = [
    (|z, t| categorical_cross_entropy(&z.softmax(-1), t), categorical_cross_entropy_logits),
    (|z, t| binary_cross_entropy(&z.sigmoid(), t), binary_cross_entropy_logits),
];

#[test]
fn value_and_gradient_of_saturated_probabilities_are_those_of_logits() {
    for (of_probabilities, of_logits) in PAIRS {
        for z in [0.0, 1.0, 10.0, 20.0, 50.0, 1000.0] {
            let (z, t) = (tensor([[z, -z], [-z, z]]), tensor([[0.0, 1.0], [1.0, 0.0]]));
            for dtype in [F32, F16] {
                let (z, t) = (z.to(dtype), t.to(dtype));
                let [a, b] = [of_probabilities, of_logits].map(|f| {
                    let (v, g) = value_and_grad(|z: Tensor| f(&z, &t)).run(z.clone()).unwrap();
                    (v.item().unwrap(), g.to(F32).to_vec::<f32>().unwrap())
                });
                assert_eq!(a, b, "{z}");
            }
            let [a, b] = [of_probabilities, of_logits]
                .map(|f| hessian(|z: Tensor| f(&z, &t)).run(z.clone()).unwrap());
            assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap(), "{z}");
        }
    }
}

#[test]
fn logits_inside_of_a_checkpoint_are_found() {
    for (of_probabilities, of_logits) in PAIRS {
        let (z, t) = (tensor([[20.0, -20.0]]), tensor([[0.0, 1.0]]));
        let inside = |z: Tensor| checkpoint(|z: Tensor| of_probabilities(&z, &t))(z);
        let [a, b] = [
            grad(inside).run(z.clone()).unwrap(),
            grad(|z: Tensor| of_logits(&z, &t)).run(z.clone()).unwrap(),
        ];
        assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    }
    let t = tensor([[0.0, 1.0]]);
    let w = tensor([[3.0, 0.5], [-2.0, 1.0]]);
    let net = |x: Tensor| x.matmul(&w).sigmoid();
    let of_probabilities = |x: Tensor| binary_cross_entropy(&checkpoint(net)(x * 10.0), &t);
    let of_logits = |x: Tensor| binary_cross_entropy_logits(&(x * 10.0).matmul(&w), &t);
    let x = tensor([[2.0, -1.0]]);
    let [a, b] = [grad(of_probabilities).run(x.clone()).unwrap(), grad(of_logits).run(x).unwrap()];
    assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
}

#[test]
fn the_gradient_is_alive_where_the_logits_are_hidden() {
    let t = tensor([[0.0, 1.0]]);
    for z in [1.0, 10.0, 20.0] {
        let hidden = |z: Tensor| {
            let y = checkpoint(|z: Tensor| z.softmax(-1))(z);
            categorical_cross_entropy(&y, &t)
        };
        let g = grad(hidden).run(tensor([[z, -z]])).unwrap().to_vec::<f32>().unwrap();
        let p = 1.0 / (1.0 + (-2.0 * z as f64).exp());
        assert!((g[0] as f64 - p).abs() < 1e-4 && (g[1] as f64 + p).abs() < 1e-4, "{z}: {g:?}");
    }
    for (dtype, bound) in [(F16, 20_000.0), (BF16, 1e31), (F32, 1e31)] {
        for f in [categorical_cross_entropy, binary_cross_entropy] {
            let (y, t) = (tensor([[0.0, 1.0]]).to(dtype), tensor([[1.0, 0.0]]).to(dtype));
            let plain = f(&y, &t).item().unwrap();
            let (v, g) = value_and_grad(|y: Tensor| f(&y, &t)).run(y).unwrap();
            assert!((v.item().unwrap() - plain).abs() < 1e-2 && (16.0..16.2).contains(&plain));
            let g = g.to(F32).to_vec::<f32>().unwrap();
            assert!(g.iter().all(|g| g.abs() < bound) && g[0] < -1000.0, "{dtype}: {g:?}");
        }
    }
}

#[test]
fn losses_of_narrow_floats_are_those_of_f32() {
    let all: [Loss; 7] = [
        categorical_cross_entropy,
        categorical_cross_entropy_logits,
        binary_cross_entropy,
        binary_cross_entropy_logits,
        mse,
        mae,
        huber,
    ];
    let y = tensor([[0.0, 1.0, 300.0, 0.25], [1e-7, 0.5, 0.125, -250.0]]);
    let t = tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.25, 0.25]]);
    for (i, f) in all.into_iter().enumerate() {
        for dtype in [F16, BF16] {
            let y = if matches!(i, 0 | 2) { y.clip(0, 1) } else { y.clone() };
            let (y, t) = (y.to(dtype), t.to(dtype));
            let want = f(&y.to(F32), &t.to(F32)).to(dtype);
            let found = f(&y, &t);
            assert_eq!(found.dtype(), dtype);
            assert_eq!(found.item().unwrap(), want.item().unwrap(), "loss {i} in {dtype}");
            let g = grad(|y: Tensor| f(&y, &t)).run(y).unwrap();
            assert!(g.is_finite().all(..).item().unwrap() == 1.0, "loss {i} in {dtype}: {g}");
        }
    }
}

#[test]
fn the_gradient_of_logits_is_softmax_minus_target() {
    let t = tensor([[0.0, 1.0]]);
    let g = grad(|z: Tensor| categorical_cross_entropy_logits(&z, &t))(tensor([[0.0, 0.0]]));
    assert_eq!(g.to_vec::<f32>().unwrap(), [0.5, -0.5]);
}

/// Returns the graph that reaches the backend.
fn compiled(f: neurax_tensor::Jit<'_, Tensor, Tensor>) -> String {
    let stages = f.stages(&tensor([[0.3, -1.2], [1.0, 0.0]]), true).unwrap();
    let last = stages.list().iter().rfind(|s| s.name.starts_with("passes/")).unwrap();
    last.text.clone().unwrap()
}

/// Backends recognize the loss and its backward pass by the name of the composite.
#[test]
fn the_loss_of_logits_and_its_gradient_keep_the_name_of_the_composite() {
    let t = tensor([[0.0, 1.0], [1.0, 0.0]]);
    let hot = |z: Tensor| categorical_cross_entropy_logits(&z, &t);
    assert!(compiled(jit(hot)).contains("= cross_entropy("));
    assert!(compiled(jit(grad(hot))).contains("callee=\"cross_entropy\""));
}

/// One-hot rows would cost a product for each class. The loss of class indices is therefore another
/// composite than that of target distributions, and so is that of a softmax.
#[test]
fn the_loss_of_class_indices_gathers() {
    let labels = tensor([1, 0]);
    let of_logits = |z: Tensor| sparse_categorical_cross_entropy_logits(&z, &labels);
    let of_softmax = |z: Tensor| sparse_categorical_cross_entropy(&z.softmax(-1), &labels);
    for text in [compiled(jit(of_logits)), compiled(jit(of_softmax))] {
        assert!(text.contains("= sparse_cross_entropy("), "{text}");
    }
    for text in [compiled(jit(grad(of_logits))), compiled(jit(grad(of_softmax)))] {
        assert!(text.contains("callee=\"sparse_cross_entropy\""), "{text}");
        assert!(!text.contains("one_hot") && !text.contains("= cross_entropy("), "{text}");
    }
}

/// Differences of gradients, which are right on both sides of the point.
#[test]
fn second_derivatives_at_equal_elements_and_zeros_are_right() {
    let all: [(&str, Loss); 7] = [
        ("categorical_cross_entropy", categorical_cross_entropy),
        ("categorical_cross_entropy_logits", categorical_cross_entropy_logits),
        ("binary_cross_entropy", binary_cross_entropy),
        ("binary_cross_entropy_logits", binary_cross_entropy_logits),
        ("mse", mse),
        ("huber", huber),
        ("huber_with", |y, t| huber_with(y, t, 0.2)),
    ];
    let f64s = |x: &[f64]| Tensor::from_vec(x.to_vec(), [2, 2]);
    let t = f64s(&[0.5, 0.5, 1.0, 0.0]);
    let v = [0.7, -0.4, 0.3, 0.9];
    for (name, f) in all {
        let loss = |y: Tensor| f(&y, &t);
        let along = |y: Tensor| (grad(loss)(y) * f64s(&v)).sum(..);
        let point = [0.5, 0.5, 0.9, 0.1];
        let gradient = |h: f64| {
            let x: Vec<f64> = point.iter().zip(v).map(|(x, v)| x + h * v).collect();
            grad(loss)(f64s(&x)).to_vec::<f64>().unwrap()
        };
        let have = [
            grad(along)(f64s(&point)).to_vec::<f64>().unwrap(),
            neurax_tensor::jvp(grad(loss), f64s(&point), f64s(&v)).1.to_vec::<f64>().unwrap(),
        ];
        let (up, down) = (gradient(1e-5), gradient(-1e-5));
        for (i, (up, down)) in up.iter().zip(down).enumerate() {
            let want = (up - down) / 2e-5;
            for have in &have {
                assert!((have[i] - want).abs() < 1e-6, "{name}, element {i}: {have:?}, {want}");
            }
        }
    }
}

#[test]
fn integers_do_not_wrap_around() {
    let (y, t) = (tensor([3u8, 200]), tensor([7u8, 100]));
    for (f, want) in [(mae as Loss, 52.0), (mse, 5008.0), (huber, 51.5)] {
        assert_eq!(f(&y, &t).item().unwrap(), want);
    }
    assert_eq!(crate::metric::mae().measure(&y, &t).item().unwrap(), 52.0);
}

// The number of classes may be beyond the dtype of the labels.
#[test]
fn labels_may_be_narrow() {
    use neurax_tensor::dtype_consts::{I8, I16, I64, U8, U64};
    for (dtype, classes) in [(U8, 256), (I8, 128), (I16, 40_000), (I64, 256), (U64, 256)] {
        let y = Tensor::zeros([2, classes]);
        let labels = tensor([0, 127]).to(dtype);
        let want = (classes as f64).ln();
        for y in [
            sparse_categorical_cross_entropy_logits(&y, &labels),
            sparse_categorical_cross_entropy(&y.softmax(-1), &labels),
        ] {
            assert!((y.item().unwrap() - want).abs() < 1e-4, "{dtype}: {y}");
        }
        let hit = crate::metric::accuracy().measure(&labels.one_hot(classes), &labels);
        assert_eq!(hit.item().unwrap(), 1.0, "{dtype}");
    }
}

#[test]
fn shapes_must_agree() {
    let all: [Loss; 7] = [
        categorical_cross_entropy,
        categorical_cross_entropy_logits,
        binary_cross_entropy,
        binary_cross_entropy_logits,
        mse,
        mae,
        huber,
    ];
    for f in all {
        let e = f(&Tensor::zeros([3, 1]), &Tensor::zeros(3)).item().unwrap_err();
        assert!(e.message().contains("prediction and target of equal shapes"), "{e}");
    }
    let e = categorical_cross_entropy(&Tensor::zeros([3, 2]), &tensor([0, 1, 1]))
        .item()
        .unwrap_err()
        .to_string();
    assert!(e.contains("for class indices use `sparse_categorical_cross_entropy`"), "{e}");
    let sparse: [Loss; 2] =
        [sparse_categorical_cross_entropy, sparse_categorical_cross_entropy_logits];
    for f in sparse {
        assert!(
            f(&Tensor::zeros([3, 2]), &Tensor::zeros(3))
                .item()
                .unwrap_err()
                .message()
                .contains("expected integer class indices")
        );
        assert!(f(&Tensor::zeros([3, 2]), &tensor([0, 1])).error().is_some());
        assert!(f(&Tensor::zeros(()), &tensor(0)).error().is_some());
    }
}

#[test]
fn an_out_of_range_class_index_yields_nan_and_a_zero_gradient() {
    let y = tensor([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]);
    let sparse: [Loss; 2] =
        [sparse_categorical_cross_entropy, sparse_categorical_cross_entropy_logits];
    for f in sparse {
        for stray in [7, 3, -1] {
            let t = tensor([1, stray]);
            let traced = jit(move |y: Tensor| f(&y, &t)).run(y.clone()).unwrap().item().unwrap();
            assert!(traced.is_nan(), "{stray}");
            let t = tensor([1, stray]);
            let g =
                grad(move |y: Tensor| f(&y, &t)).run(y.clone()).unwrap().to_vec::<f32>().unwrap();
            assert!(g[..3].iter().any(|x| *x != 0.0) && g[3..] == [0.0; 3], "{g:?}");
        }
        assert_eq!(f(&y.to(BF16), &tensor([0, 1])).dtype(), BF16);
    }
}

#[test]
fn errors_of_operands_propagate() {
    let bad = Tensor::zeros(2) + Tensor::zeros(3);
    let first = bad.error().unwrap().to_string();
    for y in [mse(&bad, &tensor(0.0)), sparse_categorical_cross_entropy(&tensor([[1.0]]), &bad)] {
        assert_eq!(y.error().unwrap().to_string(), first);
    }
}

/// Masked examples are NaN and infinite: they do not count, nor do their gradients.
#[test]
fn masked_nan_does_not_reach_value_or_gradient() {
    let mask = tensor([true, false, true]);
    let z = tensor([[1.0, -1.0], [f32::NAN, f32::INFINITY], [30.0, -30.0]]);
    let t = tensor([[1.0, 0.0], [f32::NAN, 1.0], [0.0, 1.0]]);
    let probabilities: [(&str, Loss, fn(&Tensor) -> Tensor); 5] = [
        ("softmax", each::categorical_cross_entropy, |z| z.softmax(-1)),
        ("sigmoid", each::binary_cross_entropy, |z| z.sigmoid()),
        ("logits", each::categorical_cross_entropy_logits, Tensor::clone),
        ("mse", each::mse, Tensor::clone),
        ("cosine_similarity", each::cosine_similarity, Tensor::clone),
    ];
    for (name, each, output) in probabilities {
        let counted = |z: Tensor| of(each).mask(&mask).measure(&output(&z), &t);
        let rows = |x: &Tensor| x.take(tensor([0, 2]), 0);
        let alone = |z: Tensor| of(each).measure(&output(&z), &rows(&t));
        let (value, g) = value_and_grad(counted).run(z.clone()).unwrap();
        let (want, g_alone) = value_and_grad(alone).run(rows(&z)).unwrap();
        assert_eq!(value.item().unwrap(), want.item().unwrap(), "{name}");
        assert_eq!(rows(&g).to_vec::<f32>().unwrap(), g_alone.to_vec::<f32>().unwrap(), "{name}");
        assert_eq!(g.get(1).to_vec::<f32>().unwrap(), [0.0, 0.0], "{name}");
    }
    let labels = tensor([0, -1, 1]);
    let ignoring = |z: Tensor| CrossEntropyLoss::new().ignore_index(-1).measure(&z, &labels);
    let (value, g) = value_and_grad(ignoring).run(z).unwrap();
    assert!((value.item().unwrap() - 30.0634).abs() < 1e-3, "{value}");
    assert!(g.is_finite().all(..).item().unwrap() == 1.0, "{g}");
}

#[test]
fn nothing_counted_is_a_loss_of_zero() {
    let (y, t) = (Tensor::ones([2, 3]), Tensor::zeros([2, 3]));
    let none = tensor([false, false]);
    for loss in [of(each::mse).mask(&none), of(each::mse).weights(&Tensor::zeros(2))] {
        let (value, g) = value_and_grad(|y: Tensor| loss.measure(&y, &t)).run(y.clone()).unwrap();
        assert_eq!(value.item().unwrap(), 0.0);
        assert_eq!(g.to_vec::<f32>().unwrap(), [0.0; 6]);
    }
    let labels = tensor([7, 7]);
    let ignored = CrossEntropyLoss::new().ignore_index(7).measure(&y, &labels);
    assert_eq!(ignored.item().unwrap(), 0.0);
    let empty = of(each::mse).measure(&Tensor::zeros([0, 3]), &Tensor::zeros([0, 3]));
    assert_eq!(empty.item().unwrap(), 0.0);
}

#[test]
fn a_value_equals_the_function_and_is_rounded_once() {
    let (y, t) = (tensor([300.0, 0.1, -2.0]).to(F16), tensor([0.0, 0.2, 0.3]).to(F16));
    for (each, mean) in [(each::mae as Loss, mae as Loss), (each::huber, huber)] {
        let (a, b) = (of(each).measure(&y, &t), mean(&y, &t));
        assert_eq!((a.dtype(), a.item().unwrap()), (F16, b.item().unwrap()));
        assert_eq!(each(&y, &t).dtype(), F32);
    }
    // The squares are beyond f16; their weighted mean is not.
    let small = of(each::mse).weights(&tensor([0.001, 1.0, 1.0])).measure(&y, &t);
    assert!((small.item().unwrap() - (90.0 + 0.01 + 5.29) / 2.001).abs() < 0.1, "{small}");
}

/// Errors name the line of the user, also through function pointers.
#[test]
fn wrong_weights_masks_and_options_are_errors() {
    let (y, t) = (Tensor::zeros([3, 2]), Tensor::zeros([3, 2]));
    let labels = tensor([0, 1, 1]);
    let message = |x: Tensor| x.item().unwrap_err().to_string();
    let e = message(of(each::mse).weights(&Tensor::ones(2)).measure(&y, &t));
    assert!(e.contains("expected weights of the shape of the losses, [3, 2], or a prefix"), "{e}");
    let e = message(of(each::mse).mask(&Tensor::ones(3)).measure(&y, &t));
    assert!(e.contains("expected a bool mask of the shape of the losses, [3, 2], or"), "{e}");
    let rows: [(Tensor, &str); 20] = [
        (huber_with(&y, &t, 0.0), "a delta above 0, got 0"),
        (smooth_l1(&y, &t, f64::NAN), "a beta above 0, got NaN"),
        (quantile(&y, &t, 1.5), "a quantile in 0..=1, got 1.5"),
        (info_nce(&y, &t, -1.0), "a temperature above 0, got -1"),
        (nt_xent(&Tensor::zeros(3), &Tensor::zeros(3), 1.0), "[examples, features], got f32[3]"),
        (binary_focal_cross_entropy(&y, &t, 2.0, 1.0), "an alpha in 0..=1, got 2"),
        (categorical_focal_cross_entropy(&y, &t, 1.0, -1.0), "a gamma of at least 0, got -1"),
        (categorical_focal_cross_entropy(&y, &t, -1.0, 1.0), "an alpha of at least 0, got -1"),
        (
            categorical_focal_cross_entropy_logits(&y, &t, tensor([1.0, f32::NAN]), 1.0),
            "an alpha of at least 0, got NaN",
        ),
        (tversky(&y, &t, -1.0, 1.0), "an alpha and a beta of at least 0, got -1"),
        (multi_margin(&y, &labels, 3, 1.0), "a power of 1 or 2, got 3"),
        (cosine_embedding(&y, &t, &labels, 2.0), "a margin in -1..=1, got 2"),
        (label_smoothing(&t, 1.5), "a label smoothing in 0..=1, got 1.5"),
        (
            CrossEntropyLoss::new().class_weights(&Tensor::ones(3)).measure(&y, &labels),
            "expected class weights of shape [2], one for each class, got [3]",
        ),
        (
            MultiMarginLoss::new().class_weights(&Tensor::ones(3)).measure(&y, &labels),
            "multi_margin_loss: expected class weights of shape [2], one for each class, got [3]",
        ),
        (
            categorical_focal_cross_entropy(&y, &t, Tensor::ones([3, 2]), 1.0),
            "expected alpha of shape [2], one for each class, got [3, 2]",
        ),
        (
            BinaryCrossEntropyLoss::new().positive_weight(Tensor::ones(3)).measure(&y, &t),
            "expected positive weights of a shape that broadcasts to [3, 2], got [3]",
        ),
        (
            BinaryCrossEntropyLoss::new().negative_weight(Tensor::ones([1, 1, 1])).measure(&y, &t),
            "expected negative weights of a shape that broadcasts to [3, 2], got [1, 1, 1]",
        ),
        (
            CrossEntropyLoss::new().ignore_index(0).measure(&y, &t),
            "expected class indices as targets if an index is ignored",
        ),
        (
            CtcLoss::new().blank(4).measure(&Tensor::zeros([1, 5, 4]), &tensor([[1]])),
            "expected a blank below 4 classes, got 4",
        ),
    ];
    for (loss, why) in rows {
        let e = message(loss);
        assert!(e.contains(why), "{e}");
    }
    let e = message(triplet(&y, &t, &Tensor::zeros([3, 4]), 1.0));
    assert!(e.contains("anchor, positive, negative of equal shapes, got f32[3, 2], "), "{e}");
    let e = message(ctc(&y, &labels));
    assert!(e.contains("expected logits [examples, frames, classes] and integer labels"), "{e}");
}

/// Losses without a fixture in these dtypes and shapes: they are finite, and empty batches work.
#[test]
fn all_losses_of_narrow_floats_and_empty_batches() {
    let all: [Loss; 16] = [
        each::mse,
        each::mae,
        each::mape,
        each::msle,
        each::huber,
        each::log_cosh,
        each::poisson,
        each::poisson_nll,
        each::hinge,
        each::categorical_hinge,
        each::soft_margin,
        each::cosine_similarity,
        each::kl_divergence,
        each::dice,
        |y, t| each::info_nce(y, t, 1.0),
        |y, t| each::triplet(y, t, t, 1.0),
    ];
    for (i, f) in all.into_iter().enumerate() {
        let (y, t) = (tensor([[0.5, 0.25], [1.0, 0.75]]), tensor([[0.0, 1.0], [1.0, 0.0]]));
        let (low, wide) = (f(&y.to(BF16), &t.to(BF16)), f(&y, &t));
        assert_eq!(low.dtype(), F32, "loss {i}");
        assert_eq!(low.to_vec::<f32>().unwrap(), wide.to_vec::<f32>().unwrap(), "loss {i}");
        let empty = f(&y.slice(0, 0..0), &t.slice(0, 0..0));
        assert_eq!(empty.shape()[0], 0, "loss {i}: {empty}");
        let one = f(&y.slice(0, 0..1), &t.slice(0, 0..1));
        assert_eq!(one.get(0).to_vec::<f32>().unwrap().len() * 2, wide.size(), "loss {i}");
        let batched = neurax_tensor::vmap(|(y, t): (Tensor, Tensor)| f(&y, &t))((
            y.reshape([1, 2, 2]),
            t.reshape([1, 2, 2]),
        ));
        assert_eq!(batched.to_vec::<f32>().unwrap(), wide.to_vec::<f32>().unwrap(), "loss {i}");
    }
}
