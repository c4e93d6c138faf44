"""Records the losses of PyTorch, and of Keras on PyTorch where that lacks them: see common.py.

The name of a case is `<loss>.<variant>`. Targets are constants: they have no gradients.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from common import Cases

cases = Cases("losses")


def case(name, f, *inputs, constants=1):
    """Adds a case whose last `constants` inputs are no variables."""
    first = len(inputs) - constants
    cases.add_function(
        name, lambda *xs: f(*xs[:first], *(x.detach() for x in xs[first:])), *inputs
    )


def reductions(name, f, *inputs, constants=1):
    """Adds a case for each reduction of PyTorch."""
    for r in ["none", "mean", "sum"]:
        case(f"{name}.{r}", lambda *xs: f(*xs, reduction=r), *inputs, constants=constants)


# Numbers.
y = torch.tensor([[0.5, -1.25, 3.0], [2.5, 0.125, -40.0]])
t = torch.tensor([[0.75, -1.0, 0.5], [-2.5, 8.0, -39.5]])
reductions("mse", F.mse_loss, y, t)
reductions("mae", F.l1_loss, y, t)
reductions("huber", F.huber_loss, y, t)
case("huber_with.2", lambda y, t: F.huber_loss(y, t, delta=2.0), y, t)
case("smooth_l1.1", lambda y, t: F.smooth_l1_loss(y, t, beta=1.0), y, t)
case("smooth_l1.025", lambda y, t: F.smooth_l1_loss(y, t, beta=0.25, reduction="none"), y, t)
case("log_cosh.mean", lambda y, t: keras.losses.LogCosh()(t, y), y, t)
case("mape.mean", lambda y, t: keras.losses.MeanAbsolutePercentageError()(t, y), y, t)
case("msle.mean", lambda y, t: keras.losses.MeanSquaredLogarithmicError()(t, y), y.abs(), t.abs())


def pinball(y, t, q):
    return torch.maximum(q * (t - y), (q - 1) * (t - y))


case("quantile.01", lambda y, t: pinball(y, t, 0.1), y, t)
case("quantile.09", lambda y, t: pinball(y, t, 0.9).mean(), y, t)
counts = torch.tensor([[0.0, 1.0, 3.0], [2.0, 0.0, 7.0]])
case("poisson.mean", lambda y, t: keras.losses.Poisson()(t, y), y.abs(), counts)
case("poisson_nll.none", lambda y, t: F.poisson_nll_loss(y, t, reduction="none"), y, counts)
case("poisson_nll.mean", F.poisson_nll_loss, y, counts)
variance = torch.tensor([[1.0, 0.25, 4.0], [0.5, 3.0, 1e-8]])
near = torch.tensor([[0.75, -1.0, 0.5], [-2.5, 8.0, -40.0]])
case(
    "gaussian_nll.none",
    lambda y, v, t: F.gaussian_nll_loss(y, t, v, reduction="none"), y, variance, near,
)
case("gaussian_nll.mean", lambda y, v, t: F.gaussian_nll_loss(y, t, v), y, variance, t)

# Two classes.
z = torch.tensor([[0.5, -1.25, 30.0], [-90.0, 0.125, -3.0]])
hot = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.25, 0.0]])
reductions("binary_cross_entropy_logits", F.binary_cross_entropy_with_logits, z, hot)
p = torch.tensor([[0.5, 0.25, 0.999], [0.001, 0.125, 0.75]])
reductions("binary_cross_entropy", F.binary_cross_entropy, p, hot)
case(
    "bce.positive",
    lambda z, t: F.binary_cross_entropy_with_logits(z, t, pos_weight=torch.tensor(3.0)), z, hot,
)
case(
    "bce.smooth",
    lambda z, t: keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)(t, z),
    z, hot,
)
case(
    "bce.probabilities",
    lambda p, t: keras.losses.BinaryCrossentropy(label_smoothing=0.2)(t, p), p, hot,
)
zeros_and_ones = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
case(
    "binary_focal_cross_entropy_logits.025",
    lambda z, t: sigmoid_focal_loss(z, t, alpha=0.25, gamma=2.0), z, zeros_and_ones,
)
case(
    "binary_focal_cross_entropy_logits.none",
    lambda z, t: sigmoid_focal_loss(z, t, alpha=-1, gamma=1.5), z, zeros_and_ones,
)
case(
    "binary_focal_cross_entropy.025",
    lambda p, t: keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True)(t, p),
    p, zeros_and_ones,
)
case(
    "binary_focal_cross_entropy.none",
    lambda p, t: keras.losses.BinaryFocalCrossentropy(gamma=3.0)(t, p), p, zeros_and_ones,
)

# Several classes.
z = torch.tensor([[0.5, -1.25, 3.0, 0.0], [2.5, 0.125, -4.0, 1.0], [0.0, 0.0, 1.0, -2.0]])
large = z * 1e3
soft = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.0, 1.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
classes = torch.tensor([2, 0, 3])
weights = torch.tensor([1.0, 3.0, 0.5, 2.0])
reductions("categorical_cross_entropy_logits", F.cross_entropy, z, soft)
reductions("sparse_categorical_cross_entropy_logits", F.cross_entropy, z, classes)
case("categorical_cross_entropy_logits.large", F.cross_entropy, large, soft)
case("sparse_categorical_cross_entropy_logits.large", F.cross_entropy, large, classes)
case(
    "sparse_categorical_cross_entropy_logits.sequence",
    lambda z, t: F.cross_entropy(z.transpose(1, 2), t),
    z.reshape(1, 3, 4).repeat(2, 1, 1) * torch.tensor([1.0, -2.0]).reshape(2, 1, 1),
    torch.tensor([[2, 0, 3], [1, 1, 0]]),
)
probabilities = F.softmax(z, -1)
case(
    "categorical_cross_entropy.mean",
    lambda p, t: -(t * p.log()).sum(-1).mean(), probabilities, soft,
)
case(
    "sparse_categorical_cross_entropy.none",
    lambda p, t: F.nll_loss(p.log(), t, reduction="none"), probabilities, classes,
)
reductions("nll", F.nll_loss, F.log_softmax(z, -1), classes)
case("kl_divergence.none", lambda p, t: keras.losses.kl_divergence(t, p), probabilities, soft)
case(
    "kl_divergence_logits.mean",
    lambda z, t: F.kl_div(F.log_softmax(z, -1), t, reduction="batchmean"), z, soft,
)
case(
    "kl_divergence_logits.large",
    lambda z, t: F.kl_div(F.log_softmax(z, -1), t, reduction="batchmean"), large, soft,
)
for name, f in {
    "weights": lambda z, t, r: F.cross_entropy(z, t, weight=weights, reduction=r),
    "smooth": lambda z, t, r: F.cross_entropy(z, t, label_smoothing=0.3, reduction=r),
    "both": lambda z, t, r: F.cross_entropy(
        z, t, weight=weights, label_smoothing=0.3, reduction=r
    ),
}.items():
    for target, kind in [(classes, "sparse"), (soft, "dense")]:
        for r in ["none", "mean", "sum"]:
            case(f"{kind}_{name}.{r}", lambda z, t: f(z, t, r), z, target)
ignored = torch.tensor([2, -1, 3])
for r in ["none", "mean", "sum"]:
    case(
        f"ignore.{r}",
        lambda z, t: F.cross_entropy(
            z, t, weight=weights, label_smoothing=0.3, ignore_index=-1, reduction=r
        ),
        z, ignored,
    )
case("ignore_class.mean", lambda z, t: F.cross_entropy(z, t, ignore_index=3), z, classes)
one_hot = F.one_hot(classes, 4).float()
case(
    "categorical_focal_cross_entropy.mean",
    # Keras divides probabilities by their sum first, which is 1 but has a derivative.
    lambda p, t: -(0.25 * (1 - p) ** 2 * t * p.log()).sum(-1).mean(), probabilities, one_hot,
)
case(
    "categorical_focal_cross_entropy_logits.mean",
    lambda z, t: keras.losses.CategoricalFocalCrossentropy(from_logits=True)(t, z), z, one_hot,
)

# Margins.
y = torch.tensor([[0.5, -1.25, 3.0], [2.5, 0.125, -0.75]])
sign = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
case("hinge.mean", lambda y, t: keras.losses.Hinge()(t, y), y, sign)
case("squared_hinge.mean", lambda y, t: keras.losses.SquaredHinge()(t, y), y, sign)
case(
    "categorical_hinge.none",
    lambda y, t: keras.losses.categorical_hinge(t, y), y, torch.eye(3)[torch.tensor([0, 2])],
)
reductions("soft_margin", F.soft_margin_loss, y, sign)
case("hinge_embedding.none",
     lambda y, t: F.hinge_embedding_loss(y, t, margin=1.5, reduction="none"), y, sign)
case("hinge_embedding.mean", lambda y, t: F.hinge_embedding_loss(y, t, margin=1.5), y, sign)
a, b = torch.randn(2, 4, 3)
case("margin_ranking.mean",
     lambda a, b, t: F.margin_ranking_loss(a[:, 0], b[:, 0], t, margin=0.5), a, b,
     torch.tensor([1.0, -1.0, 1.0, -1.0]))
for power in [1, 2]:
    case(f"multi_margin.{power}",
         lambda y, t: F.multi_margin_loss(y, t, p=power, margin=0.75, reduction="none"), z,
         classes)
distances = torch.tensor([0.25, 1.5, 0.75, 2.0])
similar = torch.tensor([1.0, 1.0, 0.0, 0.0])
case("contrastive.none",
     lambda y, t: t * y**2 + (1 - t) * (1.25 - y).clamp(min=0) ** 2, distances, similar)
case("triplet.none", lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=0.5, reduction="none"),
     a, b, torch.randn(4, 3), constants=0)
case("triplet.mean", lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=2.0),
     a, b, torch.randn(4, 3), constants=0)

# Embeddings.
case("cosine_similarity.mean", lambda y, t: keras.losses.CosineSimilarity()(t, y), a, b)
pair = torch.tensor([1.0, -1.0, -1.0, 1.0])
for r in ["none", "mean"]:
    case(f"cosine_embedding.{r}",
         lambda a, b, t: F.cosine_embedding_loss(a, b, t, margin=0.125, reduction=r), a, b, pair)


def info_nce(a, b, temperature):
    logits = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / temperature
    return F.cross_entropy(logits, torch.arange(len(a)), reduction="none")


def nt_xent(a, b, temperature):
    views = F.normalize(torch.cat([a, b]), dim=-1)
    logits = (views @ views.T / temperature).masked_fill(torch.eye(len(views)).bool(), -torch.inf)
    other = torch.arange(len(views)).roll(len(a))
    return F.cross_entropy(logits, other, reduction="none").reshape(2, -1).mean(0)


case("info_nce.05", lambda a, b: info_nce(a, b, 0.5), a, b, constants=0)
case("info_nce.clip", lambda a, b: (info_nce(a, b, 0.1) + info_nce(b, a, 0.1)).mean() / 2, a, b,
     constants=0)
case("nt_xent.none", lambda a, b: nt_xent(a, b, 0.5), a, b, constants=0)
case("nt_xent.mean", lambda a, b: nt_xent(a, b, 0.1).mean(), a, b, constants=0)

# Masks of images.
y = torch.rand(3, 2, 4)
mask = (torch.rand(3, 2, 4) > 0.5).float()
mask[2] = 0.0
case("dice.none", lambda y, t: keras.losses.dice(t, y, axis=(1, 2)), y, mask)
# Keras swaps alpha and beta: its `fp` is the sum of `(1 - prediction) * target`.
case("tversky.none",
     lambda y, t: keras.losses.tversky(t, y, alpha=0.3, beta=0.7, axis=(1, 2)), y, mask)

# Sequences without alignment.
frames = torch.randn(3, 6, 4) * 2


def ctc(z, labels, lengths, label_lengths, **options):
    log = F.log_softmax(z, -1).transpose(0, 1)
    return F.ctc_loss(log, labels, lengths, label_lengths, reduction="none", **options)


labels = torch.tensor([[1, 2, 3], [2, 2, 1], [3, 1, 1]])
every = torch.tensor([6, 6, 6])
case("ctc.padded",
     lambda z, t: ctc(z, t.clamp(min=0), every, torch.tensor([3, 3, 1])), frames,
     torch.tensor([[1, 2, 3], [2, 2, 1], [3, -1, -1]]))
case("ctc.empty",
     lambda z, t: ctc(z, t.clamp(min=0), every, torch.tensor([3, 0, 2])), frames,
     torch.tensor([[1, 1, 1], [-1, -1, -1], [3, 2, -1]]))
case("ctc_lengths.none", ctc, frames, labels, torch.tensor([6, 5, 3]), torch.tensor([3, 2, 2]),
     constants=3)
case("ctc_blank.none", lambda z, t, n, m: ctc(z, t, n, m, blank=3), frames, labels - 1,
     torch.tensor([6, 5, 3]), torch.tensor([3, 2, 1]), constants=3)
case("ctc_infinite.none", lambda z, t, n, m: ctc(z, t, n, m, zero_infinity=True), frames, labels,
     torch.tensor([6, 3, 2]), torch.tensor([3, 3, 1]), constants=3)
case("ctc.large", lambda z, t: ctc(z * 5, t, every, torch.tensor([3, 3, 3])), frames, labels)

# Weights of examples, masks and sums.
y, t = torch.randn(2, 4, 3)
w = torch.tensor([1.0, 0.0, 2.5, 0.5])
m = torch.tensor([True, True, False, True])
each = lambda y, t: (y - t) ** 2
case("weighted.mean", lambda y, t, w: (each(y, t) * w[:, None]).sum() / (3 * w.sum()), y, t, w,
     constants=2)
case("weighted.sum", lambda y, t, w: (each(y, t) * w[:, None]).sum(), y, t, w, constants=2)
case("weighted.none", lambda y, t, w: each(y, t) * w[:, None], y, t, w, constants=2)
case("masked.mean", lambda y, t, m: each(y, t)[m].mean(), y, t, m, constants=2)
case("masked.none", lambda y, t, m: each(y, t) * m[:, None], y, t, m, constants=2)
case("masked_weighted.mean",
     lambda y, t, m, w: (each(y, t) * w[:, None])[m].sum() / (3 * w[m].sum()), y, t, m, w,
     constants=3)
case("sum.mean", lambda y, t: 0.75 * F.mse_loss(y, t) + 0.25 * F.l1_loss(y, t), y, t)
z4, c4, w4 = torch.randn(4, 4), torch.tensor([1, 0, 2, 1]), torch.tensor([1.0, 2.0, 0.0, 0.5])
case("weighted_classes.mean",
     lambda z, t, w: (F.cross_entropy(z, t, weight=weights, reduction="none") * w).sum()
     / (weights[t] * w).sum(), z4, c4, w4, constants=2)

# Weights of labels and of classes.
label_weights = torch.tensor([1.0, 3.0, 0.5])
z3 = torch.tensor([[0.5, -1.25, 30.0], [-90.0, 0.125, -3.0]])
for r in ["none", "mean", "sum"]:
    case(f"bce_labels.{r}",
         lambda z, t: F.binary_cross_entropy_with_logits(
             z, t, pos_weight=label_weights, reduction=r), z3, hot)
    case(f"nll_weights.{r}",
         lambda y, t: F.nll_loss(y, t, weight=weights, reduction=r), F.log_softmax(z, -1), classes)
case("nll_ignore.mean", lambda y, t: F.nll_loss(y, t, weight=weights, ignore_index=-1),
     F.log_softmax(z, -1), ignored)
for power in [1, 2]:
    for r in ["none", "mean"]:
        case(f"multi_margin_{power}.{r}",
             lambda y, t: F.multi_margin_loss(
                 y, t, p=power, margin=0.75, weight=weights, reduction=r), z, classes)
alpha = [0.1, 0.2, 0.3, 0.4]
case("categorical_focal_cross_entropy_logits.classes",
     lambda z, t: keras.losses.CategoricalFocalCrossentropy(alpha=alpha, from_logits=True)(t, z),
     z, one_hot)
case("categorical_focal_cross_entropy.classes",
     # As above, without the division by the sum.
     lambda p, t: -(torch.tensor(alpha) * (1 - p) ** 2 * t * p.log()).sum(-1).mean(),
     probabilities, one_hot)

# Options of the triplet loss, and the mean of ctc_loss.
for name, options in {
    "swap": dict(swap=True, margin=2.0),
    "p1": dict(p=1.0, margin=0.5),
    "p3": dict(p=3.0, swap=True, margin=1.0),
}.items():
    case(f"triplet_{name}.none",
         lambda a, p, n: F.triplet_margin_loss(a, p, n, reduction="none", **options),
         torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 3), constants=0)
case("triplet_swap.mean",
     lambda a, p, n: F.triplet_margin_loss(a, p, n, swap=True, margin=2.0),
     torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 3), constants=0)


def ctc_mean(z, labels, lengths, label_lengths, **options):
    log = F.log_softmax(z, -1).transpose(0, 1)
    return F.ctc_loss(log, labels, lengths, label_lengths, reduction="mean", **options)


case("ctc_mean.mean", ctc_mean, frames, labels, torch.tensor([6, 5, 3]), torch.tensor([3, 0, 2]),
     constants=3)
case("ctc_mean.infinite", lambda z, t, n, m: ctc_mean(z, t, n, m, zero_infinity=True), frames,
     labels, torch.tensor([6, 3, 2]), torch.tensor([3, 3, 1]), constants=3)
cases.save()
