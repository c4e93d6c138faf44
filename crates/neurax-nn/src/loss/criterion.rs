//! [`Criterion`]: a loss as a value, with weights, a mask and a reduction.

use super::operands::rounded;
use crate::example_weights::{not_a_prefix, spread};
use neurax_tensor::{DType, Place, Recorder, Tensor, sigmoid_logits, softmax_logits};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Add, Mul};
use std::panic::Location;
use std::sync::Arc;

/// A loss for a trainer: a function of `(&prediction, &target)`, or a value of this module.
#[diagnostic::on_unimplemented(
    message = "expected a loss, a function of two `&Tensor` that returns a `Tensor`, got `{Self}`",
    note = "a closure needs the types of its arguments: `|y: &Tensor, t: &Tensor| ..`"
)]
pub trait LossFn: Send + Sync + 'static {
    /// Returns the loss of the predictions `y` and the targets `t`.
    #[track_caller]
    fn loss(&self, y: &Tensor, t: &Tensor) -> Tensor;
}

impl<F: Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static> LossFn for F {
    fn loss(&self, y: &Tensor, t: &Tensor) -> Tensor {
        self(y, t)
    }
}

/// The choice of what becomes of the losses of elements or examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// The weighted mean `Σ w l / Σ w`; 0 if all weights are 0.
    #[default]
    Mean,
    /// The sum `Σ w l`.
    Sum,
    /// The products `w l` themselves, 0 where masked.
    None,
}

/// Unreduced losses of `N` operands, a prediction and a target as a rule, and what they say about
/// examples.
pub(super) trait Losses<const N: usize>: Send + Sync {
    /// Returns the losses.
    fn each(&self, operands: &[Tensor; N]) -> Tensor;

    /// Returns the examples that count, a bool tensor, if not all do.
    fn counted(&self, _operands: &[Tensor; N]) -> Option<Tensor> {
        None
    }

    /// Returns the weights that the losses contain and by whose sum a mean is divided.
    fn contained_weights(&self, _operands: &[Tensor; N]) -> Option<Tensor> {
        None
    }

    /// Returns the names of the options with which not all examples count alike in a mean.
    fn uneven_options(&self) -> Vec<&'static str> {
        vec![]
    }

    /// Returns the integer that stands for those of masked examples.
    fn masked_label(&self) -> f64 {
        0.0
    }
}

struct OfFunction<F>(F);

impl<F: Fn(&Tensor, &Tensor) -> Tensor + Send + Sync> Losses<2> for OfFunction<F> {
    fn each(&self, [y, t]: &[Tensor; 2]) -> Tensor {
        (self.0)(y, t)
    }
}

/// Creates a loss of a function that returns one loss for each element or example, such as those of
/// [`each`](mod@super::each).
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[1.0, 2.0], [5.0, f32::NAN]]), Tensor::zeros([2, 2]));
/// let mask = tensor([[true, true], [true, false]]);
/// let loss = loss::of(loss::each::mse).mask(&mask);
/// assert_eq!(loss.measure(&y, &t).item()?, 10.0); // (1 + 4 + 25) / 3
/// let loss = loss.weights(&tensor([1.0, 0.5])); // one for each example
/// assert_eq!(loss.measure(&y, &t).item()?, 7.0); // (1 + 4 + 25/2) / 2.5
/// let total = loss.reduction(loss::Reduction::Sum);
/// assert_eq!(total.measure(&y, &t).item()?, 17.5);
/// # Ok::<(), Error>(())
/// ```
pub fn of(f: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static) -> Criterion {
    Criterion::of_losses(OfFunction(f))
}

/// A loss as a value: a weighted sum of losses, each with weights of examples, a mask and a
/// reduction. [`of`] creates it, `+` and `*` with numbers combine it, and
/// [`measure`](Criterion::measure) computes it. A trainer takes it as its loss.
///
/// Weights and masks have the shape of the losses or a prefix of it, so that one weight counts for
/// all losses of an example. Losses are computed in f32 or wider, and rounded once, after the sum.
///
/// `N` is the number of operands: 2, a prediction and a target, or 3 of a
/// [`TripletLoss`](super::TripletLoss). Trainers take losses of two.
#[derive(Clone)]
pub struct Criterion<const N: usize = 2> {
    terms: Vec<LossTerm<N>>,
}

/// A loss of a weighted sum.
#[derive(Clone)]
struct LossTerm<const N: usize> {
    factor: f64,
    losses: Arc<dyn Losses<N>>,
    weights: Option<Tensor>,
    mask: Option<Tensor>,
    reduction: Reduction,
}

impl<const N: usize> Criterion<N> {
    pub(super) fn of_losses(losses: impl Losses<N> + 'static) -> Criterion<N> {
        let (weights, mask, reduction) = (None, None, Reduction::Mean);
        let term = LossTerm { factor: 1.0, losses: Arc::new(losses), weights, mask, reduction };
        Criterion { terms: vec![term] }
    }

    /// Sets the weights of the examples, of all losses of a sum: one for each example of a batch,
    /// or of the shape of the losses.
    ///
    /// The mean is `Σ w l / Σ w`, so that a weight of 2 counts as the same example twice, and equal
    /// weights change nothing; with class weights `c` of the loss, it is `Σ w c l / Σ w c`. The sum
    /// `Σ w l` and the single losses `w l` are not divided. An example of weight 0 counts for
    /// nothing unless its loss is NaN: [`Criterion::mask`] leaves out such examples.
    ///
    /// The weights belong to one batch. For a training, put them into the data set beside the
    /// targets; the closure of `Trainer::objective` gets each batch with its weights.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([1.0, 2.0]), tensor([0.0, 0.0]));
    /// let squares = loss::of(loss::each::mse).weights(&tensor([3.0, 1.0]));
    /// assert_eq!(squares.measure(&y, &t).item()?, (3.0 * 1.0 + 1.0 * 4.0) / 4.0);
    /// let products = squares.clone().reduction(loss::Reduction::None).measure(&y, &t);
    /// assert_eq!(products.to_vec::<f32>()?, [3.0, 4.0]);
    ///
    /// let (x, t) = (tensor([[1.0], [2.0]]), tensor([[0.0], [0.0]]));
    /// let set = Dataset::new(x, (t, tensor([3.0, 1.0])))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let weighted = |out: &Applied, batch: &data::Batch<Tensor, (Tensor, Tensor)>| {
    ///     let (target, weights) = &batch.y;
    ///     loss::of(loss::each::mse).weights(weights).measure(out.y(), target)
    /// };
    /// let trainer = Trainer::objective(&model, weighted, optim::sgd(0.1)).quiet();
    /// assert!(trainer.run(&set.batched(2), epochs(1))?.loss.is_finite());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn weights(self, weights: &Tensor) -> Criterion<N> {
        self.with(|term| term.weights = Some(weights.clone()))
    }

    /// Sets which examples count, a bool tensor, for all losses of a sum: one for each example of a
    /// batch, or of the shape of the losses. The others have a loss and a gradient of 0, even if
    /// the prediction or the target is NaN there, and the mean is that of the examples that count.
    pub fn mask(self, mask: &Tensor) -> Criterion<N> {
        self.with(|term| term.mask = Some(mask.clone()))
    }

    /// Sets the reduction of all losses of a sum. The default is the mean.
    pub fn reduction(self, reduction: Reduction) -> Criterion<N> {
        self.with(|term| term.reduction = reduction)
    }

    /// Returns the names of the options that make the loss another one than the mean over all
    /// examples: `reduction`, `weights`, `mask`, and those of its losses, such as `class_weights`.
    /// A trainer that weights the examples refuses them.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::of(loss::each::mse).mask(&tensor([true]));
    /// assert_eq!(Vec::from_iter(loss.options_beside_mean()), ["mask"]);
    /// ```
    pub fn options_beside_mean(&self) -> BTreeSet<&'static str> {
        self.terms.iter().flat_map(LossTerm::options).collect()
    }

    fn with(mut self, set: impl Fn(&mut LossTerm<N>)) -> Criterion<N> {
        self.terms.iter_mut().for_each(set);
        self
    }

    /// Returns the loss of the operands.
    #[track_caller]
    fn of_operands(&self, operands: [&Tensor; N]) -> Tensor {
        let at = Location::caller();
        let loss = Recorder::of(operands).at(at, || {
            let all = self.terms.iter().map(|term| term.measure(operands) * term.factor);
            let sum = all.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros(()));
            rounded(sum, &operands)
        });
        loss.at_place(&Place::from(at))
    }
}

impl Criterion {
    /// Returns the loss of the predictions `y` and the targets `t`: a scalar, or the losses
    /// themselves with [`Reduction::None`].
    ///
    /// # Errors
    /// The result carries an error if the loss does, or if the shape of the weights or the mask is
    /// not a prefix of that of the losses.
    #[track_caller]
    pub fn measure(&self, y: &Tensor, t: &Tensor) -> Tensor {
        self.of_operands([y, t])
    }
}

impl Criterion<3> {
    /// Returns the loss of triplets: a scalar, or the losses themselves with [`Reduction::None`].
    ///
    /// # Errors
    /// The result carries an error as that of two operands does.
    #[track_caller]
    pub fn measure(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Tensor {
        self.of_operands([anchor, positive, negative])
    }
}

impl<const N: usize> LossTerm<N> {
    /// Returns the names of [`Criterion::options_beside_mean`].
    fn options(&self) -> Vec<&'static str> {
        let own = [
            (self.reduction != Reduction::Mean, "reduction"),
            (self.weights.is_some(), "weights"),
            (self.mask.is_some(), "mask"),
        ];
        let own = own.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name);
        own.chain(self.losses.uneven_options()).collect()
    }

    #[track_caller]
    fn measure(&self, operands: [&Tensor; N]) -> Tensor {
        let operands = operands.map(Tensor::clone);
        let mask = match (&self.mask, self.losses.counted(&operands)) {
            (Some(a), Some(b)) => Some(a & b),
            (a, b) => a.clone().or(b),
        };
        let operands = match &mask {
            Some(mask) => self.masked(operands, mask),
            None => operands,
        };
        let losses = self.losses.each(&operands);
        let losses = losses.to(losses.dtype().at_least_f32());
        let (Ok(ty), weights) = (losses.ty(), self.weights.as_ref()) else { return losses };
        for (what, x) in [("weights", weights), ("a mask", mask.as_ref())] {
            if let Some(error) = x.and_then(|x| not_a_prefix("loss", what, x, "losses", &ty.shape))
            {
                return error;
            }
        }
        let weights = weights.map(|w| spread(&w.to(losses.dtype()), losses.rank()));
        let mask = mask.map(|m| spread(&m, losses.rank()));
        let contained = self.losses.contained_weights(&operands);
        reduce(self.reduction, losses, weights, mask, contained)
    }

    /// Returns operands with different numbers where the mask is false, so that no distance of two
    /// of them is 0, where derivatives may be infinite.
    #[track_caller]
    fn masked(&self, operands: [Tensor; N], mask: &Tensor) -> [Tensor; N] {
        let mut fill = 1.0;
        operands.map(|x| {
            fill /= 2.0;
            let is_label = !x.dtype().is_differentiable();
            masked(&x, mask, if is_label { self.losses.masked_label() } else { fill })
        })
    }
}

/// Reduces losses. `weights` and `mask` broadcast to them; `contained` are weights that the losses
/// contain already.
#[track_caller]
fn reduce(
    reduction: Reduction,
    losses: Tensor,
    weights: Option<Tensor>,
    mask: Option<Tensor>,
    contained: Option<Tensor>,
) -> Tensor {
    let counted = |x: Tensor| match &mask {
        Some(mask) => mask.select(x, 0.0),
        None => x,
    };
    let is_plain = weights.is_none() && mask.is_none() && contained.is_none();
    let weighted = counted(match &weights {
        Some(w) => &losses * w,
        None => losses.clone(),
    });
    match reduction {
        Reduction::None => weighted,
        Reduction::Sum => weighted.sum(..),
        Reduction::Mean if losses.size() == 0 => losses.sum(..),
        Reduction::Mean if is_plain => losses.mean(..),
        Reduction::Mean => {
            let ones = Tensor::ones_of(losses.dtype(), losses.shape());
            let all = [weights, contained].into_iter().flatten().fold(ones, |all, w| all * w);
            let total = counted(all).sum(..);
            let nothing = total.equal(0.0);
            nothing.select(0.0, weighted.sum(..) / nothing.select(1.0, &total))
        }
    }
}

/// Returns `x` with `value` where the mask is false, so that neither a NaN there nor the derivative
/// of one reaches the loss. Probabilities are computed again from masked logits,
/// so that a loss finds these. A mask of another shape leaves `x` as it is.
#[track_caller]
fn masked(x: &Tensor, mask: &Tensor, value: f64) -> Tensor {
    let (Ok(ty), Ok(m)) = (x.ty(), mask.ty()) else { return x.clone() };
    if m.dtype != DType::Bool || !ty.shape.starts_with(&m.shape) {
        return x.clone();
    }
    let select = |x: &Tensor| spread(mask, x.rank()).select(x, x.full_like(value));
    match (softmax_logits(x), sigmoid_logits(x)) {
        (Some(logits), _) => select(&logits).softmax(-1).to(ty.dtype),
        (_, Some(logits)) => select(&logits).sigmoid().to(ty.dtype),
        _ => select(x),
    }
}

impl LossFn for Criterion {
    #[track_caller]
    fn loss(&self, y: &Tensor, t: &Tensor) -> Tensor {
        self.measure(y, t)
    }
}

impl<const N: usize> Mul<f64> for Criterion<N> {
    type Output = Criterion<N>;
    fn mul(self, factor: f64) -> Criterion<N> {
        self.with(|term| term.factor *= factor)
    }
}

impl<const N: usize> Mul<Criterion<N>> for f64 {
    type Output = Criterion<N>;
    fn mul(self, loss: Criterion<N>) -> Criterion<N> {
        loss * self
    }
}

impl<const N: usize, C: Into<Criterion<N>>> Add<C> for Criterion<N> {
    type Output = Criterion<N>;
    fn add(mut self, other: C) -> Criterion<N> {
        self.terms.extend(other.into().terms);
        self
    }
}

impl<const N: usize> fmt::Debug for Criterion<N> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let factors = self.terms.iter().map(|term| term.factor);
        f.debug_struct("Criterion").field("factors", &factors.collect::<Vec<_>>()).finish()
    }
}

/// Makes a type with `Losses` a [`Criterion`] of the operands; of two, also a loss of a trainer.
macro_rules! criteria {
    ($loss:ident) => {
        $crate::loss::criterion::criteria!($loss, 2, y, t);

        impl LossFn for $loss {
            #[track_caller]
            fn loss(&self, y: &Tensor, t: &Tensor) -> Tensor {
                self.measure(y, t)
            }
        }
    };
    ($loss:ident, $n:literal, $($operand:ident),+) => {
        impl $loss {
            /// Returns the loss as a [`Criterion`], for weights of examples, masks, reductions and
            /// sums.
            pub fn criterion(self) -> Criterion<$n> {
                Criterion::of_losses(self)
            }

            /// Returns the mean of the losses of all examples.
            #[track_caller]
            pub fn measure(&self, $($operand: &Tensor),+) -> Tensor {
                self.clone().criterion().measure($($operand),+)
            }
        }

        impl From<$loss> for Criterion<$n> {
            fn from(loss: $loss) -> Criterion<$n> {
                loss.criterion()
            }
        }
    };
}
pub(super) use criteria;
