//! Log-probabilities of many classes, most of which are rare.
//!
//! The classes are sorted by frequency, the most frequent ones first, and divided into a shortlist
//! and clusters. A head has one output for each class of the shortlist and one for each cluster,
//! and each cluster a tail, two matrices of which the inner size shrinks from cluster to cluster.
//! The log-probability of a rare class is that of its cluster plus that in the cluster: Grave et
//! al., Efficient softmax approximation for GPUs (<https://arxiv.org/abs/1609.04309>).
//!
//! ```text
//! 10 classes, cutoffs 4 and 7    head    0 1 2 3 A B     features -> 6
//!                                tail A  4 5 6           features -> features / 4  -> 3
//!                                tail B  7 8 9           features -> features / 16 -> 3
//! ```
//!
//! With targets, a tail is computed if a target of the batch is in its cluster, and its
//! log-probabilities are not stored.

use crate::init::{self, Init};
use crate::precision::wide_index;
use crate::{Cx, Layer, LayerPrecision, MaskRule};
use neurax_tensor::{Error, Tensor, concat, cond};
use serde::{Deserialize, Serialize};

/// Returns the log-probabilities of all classes, `[.., classes]`: `head` are logits of the classes
/// of the shortlist and of one for each cluster, `[.., shortlist + clusters]`, and `tails` those of
/// the classes of each cluster, `[.., classes of the cluster]`.
///
/// ```
/// use neurax::prelude::*;
/// let (head, tail) = (tensor([[0.0, 0.0]]), tensor([[0.0, 0.0]]));
/// let y = nn::layers::adaptive_log_softmax(&head, &[tail]).exp();
/// assert_eq!(y.allclose(tensor([[0.5, 0.25, 0.25]]), 1e-6, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn adaptive_log_softmax(head: &Tensor, tails: &[Tensor]) -> Tensor {
    let of_head = head.log_softmax(-1);
    let shortlist = head.dim(-1) as i64 - tails.len() as i64;
    let mut parts = vec![of_head.slice(-1, ..shortlist)];
    for (tail, i) in tails.iter().zip(shortlist..) {
        parts.push(tail.log_softmax(-1) + of_head.slice(-1, i..i + 1));
    }
    concat(parts, -1)
}

/// The layer of [`adaptive_log_softmax`]: `[.., features]` become log-probabilities
/// `[.., classes]`. With targets as a second input, integers `[..]`, it returns their
/// log-probabilities `[..]` and computes no more than it needs; that of a target outside of
/// `0..classes` is NaN. PyTorch's `AdaptiveLogSoftmaxWithLoss`, whose loss is the mean of the
/// latter with a minus sign.
///
/// The parameters are called as there: `head.kernel`, and `tail.<i>.0.kernel` and
/// `tail.<i>.1.kernel` of cluster `i`.
///
/// ```
/// use neurax::prelude::*;
/// let words = nn::shared(nn::AdaptiveLogSoftmax::new(1000, [100, 400]));
/// let x = nn::input("x", dims![_, 64]);
/// let targets = nn::typed_input("targets", I32, dims![_]);
/// let model = Model::new([("loss", -words.call([&x, &targets])), ("all", words.call(&x))]);
/// let vars = model.init(key(0), &types![f32[_, 64], i32[_]])?;
/// assert_eq!(vars.get("adaptive_log_softmax.head.kernel").unwrap().shape(), [64, 102]);
/// let out = model.apply(&vars, [key(1).normal([2, 64]), tensor([7, 999])], &Mode::Eval);
/// assert_eq!(out["loss"].shape(), [2]);
/// assert_eq!(out["all"].shape(), [2, 1000]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdaptiveLogSoftmax {
    classes: usize,
    cutoffs: Vec<usize>,
    div_value: f64,
    head_bias: bool,
    kernel: Init,
}

impl AdaptiveLogSoftmax {
    /// Creates a layer for `classes` classes, sorted by frequency with the most frequent ones
    /// first. Each of the ascending `cutoffs` is the first class of a cluster. The defaults are a
    /// division by 4 and no bias.
    pub fn new(classes: usize, cutoffs: impl Into<Vec<usize>>) -> AdaptiveLogSoftmax {
        let (cutoffs, kernel) = (cutoffs.into(), init::glorot_uniform());
        AdaptiveLogSoftmax { classes, cutoffs, div_value: 4.0, head_bias: false, kernel }
    }

    /// Sets the number by which the features are divided from cluster to cluster: the inner size of
    /// cluster `i` is `features / div_value^(i + 1)`, rounded down.
    pub fn div_value(self, div_value: f64) -> AdaptiveLogSoftmax {
        AdaptiveLogSoftmax { div_value, ..self }
    }

    /// Sets whether the head has a bias.
    pub fn head_bias(self, head_bias: bool) -> AdaptiveLogSoftmax {
        AdaptiveLogSoftmax { head_bias, ..self }
    }

    /// Sets the initializer of all kernels.
    pub fn kernel(self, kernel: Init) -> AdaptiveLogSoftmax {
        AdaptiveLogSoftmax { kernel, ..self }
    }

    /// Returns the classes of each cluster.
    fn clusters(&self) -> Vec<std::ops::Range<usize>> {
        let ends = self.cutoffs.iter().skip(1).copied().chain([self.classes]);
        self.cutoffs.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
    }

    /// Returns the inner size of cluster `i`.
    fn hidden(&self, features: usize, i: usize) -> usize {
        (features as f64 / self.div_value.powf(i as f64 + 1.0)) as usize
    }

    /// Returns what is wrong with the options or the inputs.
    fn mistake(&self, x: &Tensor, targets: Option<&Tensor>) -> Option<String> {
        let (classes, cutoffs) = (self.classes, &self.cutoffs);
        let is_empty = self.clusters().iter().any(|cluster| cluster.is_empty());
        if cutoffs.is_empty() || cutoffs[0] == 0 || is_empty {
            return Some(format!(
                "expected ascending cutoffs between 1 and {classes}, the number of classes, got \
                 {cutoffs:?}"
            ));
        }
        let ty = x.ty().ok()?;
        let Some((&features, rows)) = ty.shape.split_last() else {
            return Some(format!("expected an input [.., features], got {ty}"));
        };
        let is_positive = self.div_value > 0.0;
        if !is_positive || self.hidden(features, cutoffs.len() - 1) == 0 {
            return Some(format!(
                "expected at least div_value^{} features, so that the tail of the last cluster \
                 has one, got {ty} and the div_value {}",
                cutoffs.len(),
                self.div_value
            ));
        }
        let of_targets = targets?.ty().ok()?;
        let fits = of_targets.dtype.is_int() && of_targets.shape[..] == *rows;
        let why = || format!("expected an integer target for each row of {ty}, got {of_targets}");
        (!fits).then(why)
    }

    /// Returns the logits of the head.
    #[track_caller]
    fn head(&self, cx: &mut Cx, x: &Tensor) -> Tensor {
        let units = self.cutoffs[0] + self.cutoffs.len();
        cx.within("head", |cx| {
            let y = cx.matmul(x, "kernel", units, self.kernel.clone());
            match self.head_bias {
                true => y + cx.param("bias", units, init::zeros()),
                false => y,
            }
        })
    }

    /// Returns the logits of the classes of cluster `i`.
    #[track_caller]
    fn tail(&self, cx: &mut Cx, x: &Tensor, i: usize, classes: usize) -> Tensor {
        let hidden = self.hidden(x.dim(-1), i);
        let kernel = || self.kernel.clone();
        let inner =
            cx.within(&format!("tail.{i}.0"), |cx| cx.matmul(x, "kernel", hidden, kernel()));
        cx.within(&format!("tail.{i}.1"), |cx| cx.matmul(&inner, "kernel", classes, kernel()))
    }

    /// Returns the kernels of [`AdaptiveLogSoftmax::tail`].
    #[track_caller]
    fn tail_kernels(&self, cx: &mut Cx, features: usize, i: usize, classes: usize) -> [Tensor; 2] {
        let hidden = self.hidden(features, i);
        [(0, [features, hidden]), (1, [hidden, classes])].map(|(k, shape)| {
            let kernel = self.kernel.clone();
            cx.within(&format!("tail.{i}.{k}"), |cx| cx.param("kernel", shape, kernel))
        })
    }
}

impl Layer for AdaptiveLogSoftmax {
    const NAME: &'static str = "adaptive_log_softmax";
    const PRECISION: LayerPrecision = LayerPrecision::FullOutput;
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if let Some(why) = self.mistake(&x, None) {
            return Tensor::from_error(Error::new("adaptive_log_softmax", why));
        }
        let head = self.head(cx, &x);
        let clusters = self.clusters();
        let tail = |(i, of): (usize, &std::ops::Range<usize>)| self.tail(cx, &x, i, of.len());
        let tails: Vec<Tensor> = clusters.iter().enumerate().map(tail).collect();
        adaptive_log_softmax(&head, &tails)
    }
}

impl Layer<2> for AdaptiveLogSoftmax {
    const NAME: &'static str = "adaptive_log_softmax";
    const PRECISION: LayerPrecision = LayerPrecision::FullOutput;
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x, targets]: [Tensor; 2]) -> Tensor {
        if let Some(why) = self.mistake(&x, Some(&targets)) {
            return Tensor::from_error(Error::new("adaptive_log_softmax", why));
        }
        let (shortlist, features) = (self.cutoffs[0], x.dim(-1));
        let targets = wide_index(&targets);
        let mut of_head = targets.clone();
        let mut within = Vec::new();
        for (i, classes) in self.clusters().into_iter().enumerate() {
            let is_inside = targets.ge(classes.start) & targets.lt(classes.end);
            of_head = is_inside.select(shortlist + i, of_head);
            let kernels = self.tail_kernels(cx, features, i, classes.len());
            let target = is_inside.select(&targets - classes.start as i64, 0);
            within.push(cond(
                &is_inside.any(..),
                || {
                    let logits = x.matmul(&kernels[0]).matmul(&kernels[1]);
                    is_inside.select(-logits.sparse_cross_entropy(&target), 0.0)
                },
                || x.take(0, -1).zeros_like(),
            ));
        }
        let head = -self.head(cx, &x).sparse_cross_entropy(&of_head);
        within.iter().fold(head, |y, part| y + part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Model, Vars, check, input, shared, typed_input};
    use neurax_tensor::dtype_consts::I32;
    use neurax_tensor::{TypeSpec, dims, grad, jit, key, tensor, types, vmap};

    fn layer() -> AdaptiveLogSoftmax {
        AdaptiveLogSoftmax::new(10, [4, 7]).div_value(2.0)
    }

    /// Returns a model of the log-probabilities of targets and of all classes, and its variables.
    fn both() -> (Model, Vars) {
        let words = shared(layer().head_bias(true));
        let (x, targets) = (input("x", dims![_, 8]), typed_input("targets", I32, dims![_]));
        let model = Model::new([("of", words.call([&x, &targets])), ("all", words.call(&x))]);
        let vars = model.init(key(0), &types![f32[_, 8], i32[_]]).unwrap();
        (model, vars)
    }

    #[test]
    fn is_a_layer() {
        check::layer(layer(), &types![f32[2, 8]]).unwrap();
        check::layer(layer().head_bias(true), &types![f32[2, 3, 5]]).unwrap();
        let one = AdaptiveLogSoftmax::new(5, [2]);
        check::layer(one.clone(), &types![f32[2, 4]]).unwrap();
        check::nodes(|x: [_; 2]| layer().call(x), &types![f32[2, 8], i32[2]]).unwrap();
        check::nodes(|x: [_; 2]| one.call(x), &types![f32[2, 3, 4], i32[2, 3]]).unwrap();
    }

    #[test]
    fn targets_have_the_log_probabilities_of_all_classes() {
        let (model, vars) = both();
        let (x, targets) = (key(1).normal([12, 8]), Tensor::arange(12) - 1);
        let out = model.apply(&vars, [&x, &targets], &Mode::Eval);
        let sums = out["all"].exp().sum(-1);
        assert_eq!(sums.allclose(Tensor::ones(12), 1e-5, 0.0).item().unwrap(), 1.0, "{sums}");
        let inside = |y: &Tensor| y.slice(0, 1..11).clone();
        let want = out["all"].take_along_axis(&targets.expand_dims(-1), -1).squeeze(-1);
        let close = inside(&out["of"]).allclose(inside(&want), 1e-5, 1e-5);
        assert_eq!(close.item().unwrap(), 1.0, "{} {want}", out["of"]);
        let found = out["of"].to_vec::<f32>().unwrap();
        assert!(found[0].is_nan() && found[11].is_nan(), "{found:?}");
    }

    #[test]
    fn gradients_of_targets_in_all_clusters_are_those_of_all_classes() {
        let (model, vars) = both();
        let (x, targets) = (key(1).normal([5, 8]), tensor([0, 9, 5, 3, 4]));
        let run = |params: &crate::Params, name: &str| {
            let out = model.apply_with(params, &vars.state, [&x, &targets], &Mode::Eval);
            match name {
                "of" => out[name].sum(..),
                _ => out[name].take_along_axis(&targets.expand_dims(-1), -1).sum(..),
            }
        };
        let gradient = |name: &'static str| {
            let g = grad(|params: crate::Params| run(&params, name)).run(vars.params.clone());
            g.unwrap()
        };
        let (found, want) = (gradient("of"), gradient("all"));
        assert_eq!(found.len(), 5);
        for (path, variables) in &found {
            for (name, g) in variables {
                let close = g.allclose(&want[path][name], 1e-4, 1e-5).item().unwrap();
                assert_eq!(close, 1.0, "{path}.{name}: {g} {}", want[path][name]);
            }
        }
    }

    #[test]
    fn a_tail_without_targets_is_not_computed() {
        let (model, mut vars) = both();
        vars.set("adaptive_log_softmax.tail.1.1.kernel", Tensor::full([2, 3], f64::NAN)).unwrap();
        let x = key(1).normal([2, 8]);
        let of = |targets: Tensor| model.apply(&vars, [&x, &targets], &Mode::Eval)["of"].clone();
        let finite = |y: Tensor| y.to_vec::<f32>().unwrap().iter().all(|y| y.is_finite());
        let run = jit(|targets: Tensor| of(targets));
        assert!(finite(of(tensor([3, 6]))) && finite(run(tensor([3, 6]))));
        assert!(!finite(of(tensor([3, 7]))) && !finite(run(tensor([3, 7]))));
        // Under `vmap`, an example has its branch as well.
        let each = vmap(|targets: Tensor| of(targets))(tensor([[3, 6], [0, 4]]));
        assert!(finite(each));
    }

    #[test]
    fn options_and_inputs_that_do_not_fit_are_errors() {
        let message = |l, t: &[TypeSpec; 1]| check::layer::<AdaptiveLogSoftmax>(l, t);
        let message = |l, t: &[TypeSpec; 1]| message(l, t).unwrap_err().to_string();
        for cutoffs in [vec![], vec![0, 3], vec![3, 3], vec![5, 3], vec![10]] {
            let e = message(AdaptiveLogSoftmax::new(10, cutoffs.clone()), &types![f32[2, 64]]);
            assert!(e.contains(&format!("got {cutoffs:?}")), "{e}");
        }
        let e = message(AdaptiveLogSoftmax::new(10, [4, 7]), &types![f32[2, 15]]);
        assert!(e.contains("at least div_value^2 features") && e.contains("div_value 4"), "{e}");
        let e = message(layer().div_value(f64::NAN), &types![f32[2, 15]]);
        assert!(e.contains("div_value NaN"), "{e}");
        let e = message(layer(), &types![f32[]]);
        assert!(e.contains("expected an input [.., features]"), "{e}");
        let e = check::nodes(|x: [_; 2]| layer().call(x), &types![f32[2, 8], f32[2]]);
        assert!(e.unwrap_err().to_string().contains("an integer target for each row"));
    }
}
