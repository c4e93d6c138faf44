//! Losses, compared with those of PyTorch, and of Keras where that lacks them.

use crate::cases::cases;
use loss::{
    BinaryCrossEntropyLoss, CrossEntropyLoss, CtcLoss, MultiMarginLoss, Reduction, TripletLoss,
    each,
};
use neurax::prelude::*;

type Function = fn(&Tensor, &Tensor) -> Tensor;

/// Lists functions of `(&prediction, &target)`: name, unreduced, mean.
macro_rules! functions {
    ($($name:ident)*) => {
        [$((stringify!($name), each::$name as Function, loss::$name as Function)),*]
    };
}

#[test]
fn values_and_gradients() {
    for case in cases("losses", 132) {
        let (name, variant) = case.name.split_once('.').unwrap();
        let f = |xs: &[Tensor]| {
            let found = function(name, variant, &xs[0], &xs[1]);
            vec![found.unwrap_or_else(|| with_options(name, variant, xs))]
        };
        case.assert_function(f, 3e-6);
    }
}

/// Returns the loss of a function without options, if there is one of this name.
fn function(name: &str, variant: &str, y: &Tensor, t: &Tensor) -> Option<Tensor> {
    let all = functions!(
        mse mae huber log_cosh mape msle poisson poisson_nll nll hinge squared_hinge
        categorical_hinge soft_margin cosine_similarity kl_divergence kl_divergence_logits
        binary_cross_entropy binary_cross_entropy_logits categorical_cross_entropy
        categorical_cross_entropy_logits sparse_categorical_cross_entropy
        sparse_categorical_cross_entropy_logits dice ctc
    );
    let (_, each, mean) = all.into_iter().find(|(n, ..)| *n == name)?;
    Some(match variant {
        "none" | "padded" | "empty" => each(y, t),
        "large" if name == "ctc" => each(&(y * 5.0), t),
        "sum" => reduced(loss::of(each), variant).measure(y, t),
        _ => mean(y, t),
    })
}

fn reduced(loss: loss::Criterion, variant: &str) -> loss::Criterion {
    loss.reduction(match variant {
        "none" => Reduction::None,
        "sum" => Reduction::Sum,
        _ => Reduction::Mean,
    })
}

fn with_options(name: &str, variant: &str, xs: &[Tensor]) -> Tensor {
    let (y, t) = (&xs[0], &xs[1]);
    match (name, variant) {
        ("huber_with", _) => loss::huber_with(y, t, 2.0),
        ("smooth_l1", "1") => loss::smooth_l1(y, t, 1.0),
        ("smooth_l1", _) => each::smooth_l1(y, t, 0.25),
        ("quantile", "01") => each::quantile(y, t, 0.1),
        ("quantile", _) => loss::quantile(y, t, 0.9),
        ("gaussian_nll", "none") => each::gaussian_nll(y, t, &xs[2]),
        ("gaussian_nll", _) => loss::gaussian_nll(y, t, &xs[2]),
        ("hinge_embedding", "none") => each::hinge_embedding(y, t, 1.5),
        ("hinge_embedding", _) => loss::hinge_embedding(y, t, 1.5),
        ("margin_ranking", _) => {
            loss::margin_ranking(&y.index((.., 0)), &t.index((.., 0)), &xs[2], 0.5)
        }
        ("multi_margin", "1") => each::multi_margin(y, t, 1, 0.75),
        ("multi_margin", _) => each::multi_margin(y, t, 2, 0.75),
        ("contrastive", _) => each::contrastive(y, t, 1.25),
        ("triplet", "none") => each::triplet(y, t, &xs[2], 0.5),
        ("triplet", _) => loss::triplet(y, t, &xs[2], 2.0),
        ("triplet_swap", "none") => TripletLoss::new(2.0).swap().each(y, t, &xs[2]),
        ("triplet_swap", _) => TripletLoss::new(2.0).swap().measure(y, t, &xs[2]),
        ("triplet_p1", _) => TripletLoss::new(0.5).p(1.0).each(y, t, &xs[2]),
        ("triplet_p3", _) => TripletLoss::new(1.0).p(3.0).swap().each(y, t, &xs[2]),
        ("cosine_embedding", "none") => each::cosine_embedding(y, t, &xs[2], 0.125),
        ("cosine_embedding", _) => loss::cosine_embedding(y, t, &xs[2], 0.125),
        ("info_nce", "clip") => (loss::info_nce(y, t, 0.1) + loss::info_nce(t, y, 0.1)) / 2.0,
        ("info_nce", _) => each::info_nce(y, t, 0.5),
        ("nt_xent", "none") => each::nt_xent(y, t, 0.5),
        ("nt_xent", _) => loss::nt_xent(y, t, 0.1),
        ("tversky", _) => each::tversky(y, t, 0.7, 0.3),
        _ if name.contains("focal") => focal(name, variant, y, t),
        _ => of_values(name, variant, xs),
    }
}

fn focal(name: &str, variant: &str, y: &Tensor, t: &Tensor) -> Tensor {
    match (name, variant) {
        ("binary_focal_cross_entropy_logits", "025") => {
            each::binary_focal_cross_entropy_logits(y, t, 0.25, 2.0)
        }
        ("binary_focal_cross_entropy_logits", _) => {
            each::binary_focal_cross_entropy_logits(y, t, None, 1.5)
        }
        ("binary_focal_cross_entropy", "025") => loss::binary_focal_cross_entropy(y, t, 0.25, 2.0),
        ("binary_focal_cross_entropy", _) => loss::binary_focal_cross_entropy(y, t, None, 3.0),
        ("categorical_focal_cross_entropy", "classes") => {
            loss::categorical_focal_cross_entropy(y, t, tensor([0.1, 0.2, 0.3, 0.4]), 2.0)
        }
        ("categorical_focal_cross_entropy_logits", "classes") => {
            let alpha = tensor([0.1, 0.2, 0.3, 0.4]);
            loss::categorical_focal_cross_entropy_logits(y, t, &alpha, 2.0)
        }
        ("categorical_focal_cross_entropy", _) => {
            loss::categorical_focal_cross_entropy(y, t, 0.25, 2.0)
        }
        _ => loss::categorical_focal_cross_entropy_logits(y, t, 0.25, 2.0),
    }
}

/// Returns losses that are values.
fn of_values(name: &str, variant: &str, xs: &[Tensor]) -> Tensor {
    let (y, t) = (&xs[0], &xs[1]);
    let weights = tensor([1.0, 3.0, 0.5, 2.0]);
    let classes = CrossEntropyLoss::new();
    let loss = match name {
        "bce" => match variant {
            "positive" => BinaryCrossEntropyLoss::new().positive_weight(3.0).criterion(),
            "smooth" => BinaryCrossEntropyLoss::new().label_smoothing(0.2).criterion(),
            _ => BinaryCrossEntropyLoss::new().probabilities().label_smoothing(0.2).criterion(),
        },
        "bce_labels" => {
            let weights = tensor([1.0, 3.0, 0.5]);
            BinaryCrossEntropyLoss::new().positive_weight(&weights).criterion()
        }
        "nll_weights" => classes.log_probabilities().class_weights(&weights).criterion(),
        "nll_ignore" => {
            let classes = classes.log_probabilities().class_weights(&weights);
            classes.ignore_index(-1).criterion()
        }
        "multi_margin_1" | "multi_margin_2" => {
            let loss = MultiMarginLoss::new().margin(0.75).class_weights(&weights);
            let power = if name.ends_with('1') { 1 } else { 2 };
            loss.power(power).criterion()
        }
        "ctc_lengths" => return CtcLoss::new().lengths(&xs[2]).label_lengths(&xs[3]).each(y, t),
        "ctc_blank" => {
            return CtcLoss::new().blank(3).lengths(&xs[2]).label_lengths(&xs[3]).each(y, t);
        }
        "ctc_mean" => {
            let ctc = CtcLoss::new().lengths(&xs[2]).label_lengths(&xs[3]).per_label();
            let ctc = if variant == "infinite" { ctc.zero_infinity() } else { ctc };
            return ctc.measure(y, t);
        }
        "ctc_infinite" => {
            let ctc = CtcLoss::new().lengths(&xs[2]).label_lengths(&xs[3]);
            return ctc.zero_infinity().each(y, t);
        }
        "sparse_weights" | "dense_weights" => classes.class_weights(&weights).criterion(),
        "sparse_smooth" | "dense_smooth" => classes.label_smoothing(0.3).criterion(),
        "sparse_both" | "dense_both" => {
            classes.class_weights(&weights).label_smoothing(0.3).criterion()
        }
        "ignore" => {
            let classes = classes.class_weights(&weights).label_smoothing(0.3);
            classes.ignore_index(-1).criterion()
        }
        "ignore_class" => classes.ignore_index(3).criterion(),
        "weighted" => loss::of(each::mse).weights(&xs[2]),
        "masked" => loss::of(each::mse).mask(&xs[2]),
        "masked_weighted" => loss::of(each::mse).mask(&xs[2]).weights(&xs[3]),
        "sum" => 0.75 * loss::of(each::mse) + 0.25 * loss::of(each::mae),
        "weighted_classes" => classes.class_weights(&weights).criterion().weights(&xs[2]),
        _ => panic!("no loss {name}"),
    };
    reduced(loss, variant).measure(y, t)
}
