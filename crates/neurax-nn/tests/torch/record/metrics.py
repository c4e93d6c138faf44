"""Records metrics of scikit-learn and SciPy: see common.py.

The name of a case is `<metric>.<variant>`. Each holds predictions `y`, targets `t`, the sizes of
the batches, the value over all of them, and weights of the examples where there are any.
"""

import numpy as np
import scipy.stats
import sklearn.metrics as m

from common import Cases

cases = Cases("metrics")
rng = np.random.default_rng(0)
SIZES = np.array([7, 1, 20, 0, 12], np.int32)
N = int(SIZES.sum())


def case(name, value, y, t, **more):
    cases.add(name, y=y, t=t, sizes=SIZES, value=np.asarray(value, np.float64), **more)


weights = rng.choice([0.0, 0.5, 1.0, 3.0], N).astype(np.float32)

# Two classes: probabilities that are multiples of 1/200, the centers of the bins.
t = rng.integers(0, 2, N).astype(np.int32)
p = (np.round(np.clip(rng.normal(0.35 + 0.3 * t, 0.25), 0, 1) * 200) / 200).astype(np.float32)
for variant, w in {"binary": None, "weighted": weights}.items():
    more = {} if w is None else {"weights": w}
    hard = p > 0.5
    tn, fp, fn, tp = m.confusion_matrix(t, hard, sample_weight=w).ravel()
    for name, value in {
        "accuracy": m.accuracy_score(t, hard, sample_weight=w),
        "precision": m.precision_score(t, hard, sample_weight=w),
        "recall": m.recall_score(t, hard, sample_weight=w),
        "specificity": m.recall_score(t, hard, sample_weight=w, pos_label=0),
        "f1": m.f1_score(t, hard, sample_weight=w),
        "f_beta": m.fbeta_score(t, hard, beta=2.0, sample_weight=w),
        "iou": m.jaccard_score(t, hard, sample_weight=w),
        "balanced_accuracy": m.balanced_accuracy_score(t, hard, sample_weight=w),
        "mcc": m.matthews_corrcoef(t, hard, sample_weight=w),
        "kappa": m.cohen_kappa_score(t, hard, sample_weight=w),
        "true_positives": tp,
        "false_positives": fp,
        "true_negatives": tn,
        "false_negatives": fn,
        "confusion_matrix": m.confusion_matrix(t, hard, sample_weight=w),
        "roc_auc": m.roc_auc_score(t, p, sample_weight=w),
        "average_precision": m.average_precision_score(t, p, sample_weight=w),
        "pr_auc": m.auc(*m.precision_recall_curve(t, p, sample_weight=w)[1::-1]),
    }.items():
        case(f"{name}.{variant}", value, p, t, **more)
case("precision.threshold", m.precision_score(t, p > 0.7), p, t)
logits = rng.normal(size=N).astype(np.float32)
case("recall.logits", m.recall_score(t, logits > 0), logits, t)


def calibration_error(confidence, hit, bins, w):
    bin = np.clip(np.floor(confidence.astype(np.float64) * bins), 0, bins - 1)
    gaps = [
        abs((w * hit)[bin == b].sum() - (w * confidence)[bin == b].sum()) for b in range(bins)
    ]
    return sum(gaps) / w.sum()


# Away from the borders of the bins.
confidence = (np.floor(p * 150) / 150 + 1 / 300).clip(0, 1).astype(np.float32)
case("calibration_error.binary", calibration_error(confidence, t, 15, np.ones(N)), confidence, t)
case("calibration_error.weighted", calibration_error(confidence, t, 10, weights), confidence, t,
     weights=weights)

# Four classes, the last of which is only predicted.
t = rng.integers(0, 3, N).astype(np.int32)
scores = rng.normal(size=(N, 4)) + 1.5 * np.eye(4)[t]
scores = np.round(np.exp(scores) / np.exp(scores).sum(-1, keepdims=True) * 200) / 200
# No ties of the largest score.
scores = (scores + np.eye(4)[scores.argmax(-1)] * 0.005).clip(0, 1).astype(np.float32)
hard = scores.argmax(-1)
for variant, w in {"classes": None, "classes_w": weights.clip(min=0.25)}.items():
    more = {} if w is None else {"weights": w}
    for average in ["micro", "macro", "weighted", None]:
        options = {"average": average, "sample_weight": w, "zero_division": 0}
        for name, value in {
            "precision": m.precision_score(t, hard, **options),
            "recall": m.recall_score(t, hard, **options),
            "f1": m.f1_score(t, hard, **options),
            "f_beta": m.fbeta_score(t, hard, beta=2.0, **options),
            "iou": m.jaccard_score(t, hard, **options),
        }.items():
            case(f"{name}.{variant}_{average or 'none'}", value, scores, t, **more)
    for name, value in {
        "accuracy": m.accuracy_score(t, hard, sample_weight=w),
        "balanced_accuracy": m.balanced_accuracy_score(t, hard, sample_weight=w),
        "mcc": m.matthews_corrcoef(t, hard, sample_weight=w),
        "kappa": m.cohen_kappa_score(t, hard, sample_weight=w),
        "confusion_matrix": m.confusion_matrix(t, hard, sample_weight=w, labels=range(4)),
    }.items():
        case(f"{name}.{variant}", value, scores, t, **more)
aucs = [m.roc_auc_score(t == c, scores[:, c]) for c in range(3)]
aps = [m.average_precision_score(t == c, scores[:, c]) for c in range(3)]
three = np.ascontiguousarray(scores[:, :3])
shares = np.bincount(t) / N
case("roc_auc.three_none", aucs, three, t)
case("roc_auc.three_macro", np.mean(aucs), three, t)
case("roc_auc.three_weighted", np.dot(aucs, shares), three, t)
case("average_precision.three_macro", np.mean(aps), three, t)
case("calibration_error.classes",
     calibration_error(scores.max(-1), hard == t, 7, np.ones(N)), scores, t)
normalized = (scores + 0.01) / (scores + 0.01).sum(-1, keepdims=True)
case("top_k.2", m.top_k_accuracy_score(t, scores + np.arange(4) * 1e-9, k=2, labels=range(4)),
     (scores + np.arange(4) * 1e-4).astype(np.float32), t)
case("log_loss.all", m.log_loss(t, normalized.astype(np.float32), labels=range(4)),
     normalized.astype(np.float32), t)
case("log_loss.weighted",
     m.log_loss(t, normalized.astype(np.float32), labels=range(4), sample_weight=weights),
     normalized.astype(np.float32), t, weights=weights)
case("perplexity.all", np.exp(m.log_loss(t, normalized.astype(np.float32), labels=range(4))),
     np.log(normalized).astype(np.float32), t)
ignored = np.where(rng.random(N) < 0.3, -1, t).astype(np.int32)
kept = ignored >= 0
case("f1.ignored", m.f1_score(t[kept], hard[kept], average="macro"), scores, ignored)

# Numbers, far from 0: their squares lose the digits of the variance.
t = (rng.normal(size=N) + 1000).astype(np.float32)
y = (t + rng.normal(size=N) * 0.5).astype(np.float32)
for variant, w in {"all": None, "weighted": weights}.items():
    more = {} if w is None else {"weights": w}
    for name, value in {
        "r2": m.r2_score(t, y, sample_weight=w),
        "mse": m.mean_squared_error(t, y, sample_weight=w),
        "rmse": m.root_mean_squared_error(t, y, sample_weight=w),
        "mae": m.mean_absolute_error(t, y, sample_weight=w),
        "mape": m.mean_absolute_percentage_error(t, y, sample_weight=w) * 100,
    }.items():
        case(f"{name}.{variant}", value, y, t, **more)
case("pearson.all", scipy.stats.pearsonr(y.astype(np.float64), t.astype(np.float64))[0], y, t)
case("sum.all", np.maximum(y.astype(np.float64) - t, 0).sum(), y, t)
case("new.all", np.mean(y.astype(np.float64) - t), y, t)
cases.save()
