//! Support vector machines.
//!
//! A classifier of `k` classes has a score for each pair of them, the sum over the support vectors
//! of both; the class that wins the most pairs is the result. Probabilities of the pairs, sigmoids
//! of the scores, are coupled to probabilities of the classes by the second method of Wu, Lin and
//! Weng ("Probability estimates for multi-class classification by pairwise coupling", 2004).

use super::super::axes::size_of;
use super::labels::ClassLabels;
use super::scores::PostTransform;
use super::{DOMAIN, matrix, rows};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor, fori, keep};

pub(crate) const OPERATORS: &[Operator] = &[
    op("SVMClassifier", &[1], 1..=1, classify).domain(DOMAIN).attributes(&[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "kernel_params",
        "kernel_type",
        "post_transform",
        "prob_a",
        "prob_b",
        "rho",
        "support_vectors",
        "vectors_per_class",
    ]),
    op("SVMRegressor", &[1], 1..=1, regress).domain(DOMAIN).attributes(&[
        "coefficients",
        "kernel_params",
        "kernel_type",
        "n_supports",
        "one_class",
        "post_transform",
        "rho",
        "support_vectors",
    ]),
];

/// The largest number of steps of the coupling of probabilities.
const SVM_STEPS: usize = 100;

fn classify(c: &NodeCall) -> RuleOutcome {
    let labels = ClassLabels::read(c, "classlabels_ints", "classlabels_strings")?;
    let x = rows(c)?;
    match c.ints("vectors_per_class")?.unwrap_or_default() {
        [] => classify_linear(c, &x, &labels),
        counts => classify_pairs(c, &x, &labels, counts),
    }
}

/// Classifies by one score for each class, without support vectors.
fn classify_linear(c: &NodeCall, x: &Tensor, labels: &ClassLabels) -> RuleOutcome {
    let coefficients = c.required("coefficients", c.floats("coefficients")?)?;
    let weights = matrix("coefficients", coefficients, labels.len(), x.dim(-1))?;
    let scores = x.matmul(weights.t()) + rho(c, 1)?[0];
    let mut best = scores.argmax(-1);
    if labels.len() == 2 && c.floats("prob_a")?.is_none_or(<[f32]>::is_empty) {
        // ONNX Runtime reads a large score as that of the second class, whosoever it is.
        let largest = scores.max(-1);
        let is_second = match coefficients.iter().all(|&w| w >= 0.0) {
            true => largest.ge(0.5),
            false => largest.gt(0.0),
        };
        best = is_second.select(best.ones_like(), best);
    }
    Ok(vec![labels.pick(&best)?, PostTransform::read(c)?.apply(&scores).into()])
}

/// Classifies by a score for each pair of classes.
fn classify_pairs(c: &NodeCall, x: &Tensor, labels: &ClassLabels, counts: &[i64]) -> RuleOutcome {
    let pairs = Pairs::read(c, labels.len(), counts)?;
    let vectors = support_vectors(c, pairs.starts[pairs.classes], x.dim(-1))?;
    let scores = SvmKernel::read(c)?.of(x, &vectors).matmul(&pairs.weights) + &pairs.rho;
    let is_first = scores.gt(0.0).to(DType::F32);
    let (first, second) = pairs.members();
    let votes = is_first.matmul(first) + (1.0 - &is_first).matmul(second);
    let transform = PostTransform::read(c)?;
    let z = match probability_of_pairs(c, &pairs, &scores)? {
        Some(p) => transform.apply(&coupled(&pairs, &p)),
        None if labels.len() == 2 => transform.of_two(&scores, transform != PostTransform::None),
        None => transform.apply(&scores),
    };
    Ok(vec![labels.pick(&votes.argmax(-1))?, z.into()])
}

/// The pairs of classes `(i, j)` with `i < j`, in lexicographic order.
struct Pairs {
    classes: usize,
    all: Vec<(usize, usize)>,
    /// The number of the first support vector of each class, and of all.
    starts: Vec<usize>,
    /// The weights of the support vectors in the scores, `[vectors, pairs]`.
    weights: Tensor,
    rho: Tensor,
}

impl Pairs {
    fn read(c: &NodeCall, classes: usize, counts: &[i64]) -> Result<Pairs, RuleFailure> {
        if classes < 2 || counts.len() != classes {
            return fail(format!("expected vectors of {classes} classes, got {counts:?}"));
        }
        let mut starts = vec![0usize];
        for &n in counts {
            starts.push(starts[starts.len() - 1].saturating_add(size_of(n)?));
        }
        let all: Vec<(usize, usize)> =
            (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j))).collect();
        let coefficients = c.required("coefficients", c.floats("coefficients")?)?;
        let vectors = starts[classes];
        if (classes - 1).checked_mul(vectors) != Some(coefficients.len()) {
            let want = format!("{} x {vectors}", classes - 1);
            return fail(format!("expected {want} `coefficients`, got {}", coefficients.len()));
        }
        // A row of coefficients has those against the first of the other classes, and so on.
        let mut weights = vec![0.0; vectors * all.len()];
        for (p, &(i, j)) in all.iter().enumerate() {
            for v in starts[i]..starts[i + 1] {
                weights[v * all.len() + p] = coefficients[(j - 1) * vectors + v];
            }
            for v in starts[j]..starts[j + 1] {
                weights[v * all.len() + p] = coefficients[i * vectors + v];
            }
        }
        let weights = Tensor::from_vec(weights, [vectors, all.len()]);
        let rho = Tensor::from_slice(&rho(c, all.len())?, all.len());
        Ok(Pairs { classes, all, starts, weights, rho })
    }

    /// Returns matrices `[pairs, classes]` with a 1 at the first, and at the second class.
    fn members(&self) -> (Tensor, Tensor) {
        let one_hot = |class: fn(&(usize, usize)) -> usize| {
            let classes: Vec<i32> = self.all.iter().map(|pair| class(pair) as i32).collect();
            Tensor::from_vec(classes, self.all.len()).one_hot(self.classes).to(DType::F32)
        };
        (one_hot(|pair| pair.0), one_hot(|pair| pair.1))
    }

    /// Returns matrices `r` with `r[i, j]` the probability of class `i` if only `i` and `j` are
    /// possible.
    fn matrices(&self, p: &Tensor) -> Tensor {
        let k = self.classes;
        let places = |place: fn(usize, &(usize, usize)) -> usize| {
            let places: Vec<i32> = self.all.iter().map(|pair| place(k, pair) as i32).collect();
            Tensor::from_vec(places, self.all.len()).one_hot(k * k).to(DType::F32)
        };
        let above = p.matmul(places(|k, &(i, j)| i * k + j));
        let below = (1.0 - p).matmul(places(|k, &(i, j)| j * k + i));
        (above + below).reshape([p.dim(0), k, k])
    }
}

/// Returns the first `count` entries of `rho`.
fn rho(c: &NodeCall, count: usize) -> Result<Vec<f32>, RuleFailure> {
    at_least(c.required("rho", c.floats("rho")?)?, "rho", count)
}

fn at_least(numbers: &[f32], name: &str, count: usize) -> Result<Vec<f32>, RuleFailure> {
    match numbers.get(..count) {
        Some(numbers) => Ok(numbers.to_vec()),
        None => fail(format!("expected {count} `{name}`, got {}", numbers.len())),
    }
}

/// Returns the probability of the first class of each pair; `None` if the model has none.
fn probability_of_pairs(
    c: &NodeCall,
    pairs: &Pairs,
    scores: &Tensor,
) -> Result<Option<Tensor>, RuleFailure> {
    let (a, b) = (c.floats("prob_a")?.unwrap_or(&[]), c.floats("prob_b")?.unwrap_or(&[]));
    if a.is_empty() && b.is_empty() {
        return Ok(None);
    }
    let count = pairs.all.len();
    let (a, b) = (at_least(a, "prob_a", count)?, at_least(b, "prob_b", count)?);
    let logits = scores * Tensor::from_vec(a, count) + Tensor::from_vec(b, count);
    Ok(Some((-logits).sigmoid().clip(1e-7, 1.0 - 1e-7)))
}

/// Couples probabilities of pairs to those of the classes.
///
/// The result minimizes `p' Q p`: each step solves for one class after the other. A row is kept
/// once its error is small, as in LIBSVM.
fn coupled(pairs: &Pairs, p: &Tensor) -> Tensor {
    let k = pairs.classes;
    let r = pairs.matrices(p);
    let diagonal = r.square().sum(1);
    let q = Tensor::eye(k) * diagonal.expand_dims(1) - r.permute([0, 2, 1]) * &r;
    let entry = |x: &Tensor, i: usize| x.slice(1, i as i64..i as i64 + 1);
    let start = Tensor::full([p.dim(0), k], 1.0 / k as f64);
    let is_done = Tensor::zeros_of(DType::Bool, [p.dim(0), 1]);
    let step = |(old, is_done): (Tensor, Tensor)| {
        let mut qp = q.matmul(old.expand_dims(2)).squeeze(2);
        let mut pqp = (&old * &qp).sum(keep(1));
        let error = (&qp - &pqp).abs().max(keep(1));
        let is_done = is_done.logical_or(error.lt(0.005 / k as f64));
        let mut new = old.clone();
        for i in 0..k {
            let row = q.slice(1, i as i64..i as i64 + 1).squeeze(1);
            let (q_ii, qp_i) = (entry(&row, i), entry(&qp, i));
            let change = (&pqp - &qp_i) / &q_ii;
            let scale = 1.0 + &change;
            let unit = Tensor::arange(k).equal(i as i64).to(DType::F32);
            pqp = (&pqp + &change * (&change * &q_ii + 2.0 * &qp_i)) / (&scale * &scale);
            qp = (qp + &change * row) / &scale;
            new = (new + &change * unit) / scale;
        }
        (is_done.select(old, new), is_done)
    };
    fori(0..SVM_STEPS as i64, (start, is_done), |_, carry| step(carry)).0
}

/// Computes the score of one target, or on which side of the boundary of one class a row is: 1 or
/// -1.
fn regress(c: &NodeCall) -> RuleOutcome {
    let x = rows(c)?;
    let coefficients = c.required("coefficients", c.floats("coefficients")?)?;
    let y = match size_of(c.int_or("n_supports", 0)?)? {
        0 => x.matmul(matrix("coefficients", coefficients, x.dim(-1), 1)?),
        count => {
            let kernel = SvmKernel::read(c)?.of(&x, &support_vectors(c, count, x.dim(-1))?);
            kernel.matmul(matrix("coefficients", coefficients, count, 1)?)
        }
    };
    let y = PostTransform::read(c)?.apply(&(y + rho(c, 1)?[0]));
    one(match c.flag("one_class", false)? {
        true => y.gt(0.0).select(y.ones_like(), -y.ones_like()),
        false => y,
    })
}

fn support_vectors(c: &NodeCall, count: usize, features: usize) -> Result<Tensor, RuleFailure> {
    let vectors = c.required("support_vectors", c.floats("support_vectors")?)?;
    matrix("support_vectors", vectors, count, features)
}

/// The kernel of a model.
struct SvmKernel {
    kind: String,
    gamma: f64,
    offset: f64,
    degree: f64,
}

impl SvmKernel {
    fn read(c: &NodeCall) -> Result<SvmKernel, RuleFailure> {
        let kind = c.str_or("kernel_type", "LINEAR")?;
        let [gamma, offset, degree] = match c.floats("kernel_params")?.unwrap_or(&[]) {
            [] => [0.0; 3],
            &[gamma, offset, degree] => [gamma, offset, degree].map(f64::from),
            other => return fail(format!("expected three `kernel_params`, got {other:?}")),
        };
        match kind.as_str() {
            "LINEAR" | "POLY" | "RBF" | "SIGMOID" => Ok(SvmKernel { kind, gamma, offset, degree }),
            other => fail(format!("expected a kernel, got `{other}`")),
        }
    }

    /// Computes the kernel of all rows of `x` and all support vectors.
    fn of(&self, x: &Tensor, vectors: &Tensor) -> Tensor {
        if self.kind == "RBF" {
            let distance = (x.expand_dims(1) - vectors.expand_dims(0)).square().sum(-1);
            return (distance * -self.gamma).exp();
        }
        let product = x.matmul(vectors.t());
        match self.kind.as_str() {
            "POLY" => (product * self.gamma + self.offset).pow(self.degree),
            "SIGMOID" => (product * self.gamma + self.offset).tanh(),
            _ => product,
        }
    }
}
