//! Metrics, compared with those of scikit-learn and SciPy over batches of uneven sizes, one of
//! which is empty.

use crate::cases::{Case, cases};
use metric::Average;
use neurax::prelude::*;
use nn::{Metric, MetricState};

#[test]
fn values_over_uneven_batches_and_merges() {
    for case in cases("metrics", 113) {
        let (name, variant) = case.name.split_once('.').unwrap();
        let metric = metric_of(name, variant);
        let batches = batches(&case);
        let update = jit(|(state, y, t, w): (MetricState, Tensor, Tensor, Tensor)| {
            metric.update_weighted(state, &y, &t, &w)
        });
        let states: Vec<MetricState> = batches
            .iter()
            .map(|(y, t, w)| update((metric.init(), y.clone(), t.clone(), w.clone())))
            .collect();
        let all =
            batches.into_iter().fold(metric.init(), |state, (y, t, w)| update((state, y, t, w)));
        case.assert_near("value", &metric.result(&all), 1e-6);
        let rest = states[1..].iter().rev().fold(metric.init(), |a, b| metric.merge(&a, b));
        case.assert_near("value", &metric.result(&metric.merge(&rest, &states[0])), 1e-6);
        if case.find("weights").is_none() {
            let whole = metric.update(metric.init(), &case.get("y"), &case.get("t"));
            case.assert_near("value", &metric.result(&whole), 1e-6);
        }
    }
}

/// Returns predictions, targets and weights of the batches; weights of 1 if none were recorded.
fn batches(case: &Case) -> Vec<(Tensor, Tensor, Tensor)> {
    let (y, t) = (case.get("y"), case.get("t"));
    let w = case.find("weights").unwrap_or_else(|| Tensor::ones(t.dim(0)));
    let mut start = 0;
    let sizes = case.get("sizes").to_vec::<i32>().unwrap();
    sizes
        .into_iter()
        .map(|n| {
            let rows = start..start + i64::from(n);
            start = rows.end;
            (y.slice(0, rows.clone()), t.slice(0, rows.clone()), w.slice(0, rows))
        })
        .collect()
}

fn metric_of(name: &str, variant: &str) -> Metric {
    let options = match variant {
        "binary" | "weighted" => metric::binary(),
        "threshold" => metric::binary().threshold(0.7),
        "logits" => metric::binary().logits(),
        "three_none" | "three_macro" | "three_weighted" => metric::multiclass(3),
        "ignored" => metric::multiclass(4).ignore_index(-1),
        _ => metric::multiclass(4),
    };
    let options = options.average(match variant.rsplit('_').next() {
        Some("none") => Average::None,
        Some("micro") => Average::Micro,
        Some("weighted") if variant != "weighted" => Average::Weighted,
        _ => Average::Macro,
    });
    match name {
        "accuracy" => options.accuracy(),
        "precision" => options.precision(),
        "recall" => options.recall(),
        "specificity" => options.specificity(),
        "f1" => options.f1(),
        "f_beta" => options.f_beta(2.0),
        "iou" => options.iou(),
        "balanced_accuracy" => options.balanced_accuracy(),
        "mcc" => options.mcc(),
        "kappa" => options.kappa(),
        "true_positives" => options.true_positives(),
        "false_positives" => options.false_positives(),
        "true_negatives" => options.true_negatives(),
        "false_negatives" => options.false_negatives(),
        "confusion_matrix" => options.confusion_matrix(),
        "roc_auc" => options.roc_auc(),
        "average_precision" => options.average_precision(),
        "pr_auc" => options.pr_auc(),
        "calibration_error" => match variant {
            "weighted" => options.bins(10).calibration_error(),
            "classes" => options.bins(7).calibration_error(),
            _ => options.calibration_error(),
        },
        _ => of_values(name),
    }
}

fn of_values(name: &str) -> Metric {
    match name {
        "top_k" => metric::top_k(2),
        "log_loss" => metric::log_loss(),
        "perplexity" => metric::perplexity(),
        "r2" => metric::r2(),
        "pearson" => metric::pearson(),
        "mse" => metric::mse(),
        "rmse" => metric::rmse(),
        "mae" => metric::mae(),
        "mape" => metric::mape(),
        "sum" => metric::sum("sum", |y, t| (y - t).relu()),
        "new" => metric::mean("bias", |y, t| y - t),
        _ => panic!("no metric {name}"),
    }
}

/// Exact areas of the recorded scores, which are those of scikit-learn without bins.
#[test]
fn exact_areas() {
    for case in cases("metrics", 113) {
        let area: fn(&Tensor, &Tensor) -> Result<f64> = match case.name.as_str() {
            "roc_auc.binary" => metric::exact::roc_auc,
            "average_precision.binary" => metric::exact::average_precision,
            "pr_auc.binary" => metric::exact::pr_auc,
            _ => continue,
        };
        let found = area(&case.get("y"), &case.get("t")).unwrap();
        assert!((found - case.get("value").item().unwrap()).abs() < 1e-12, "{}", case.name);
    }
}
