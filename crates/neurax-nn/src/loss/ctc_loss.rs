//! Connectionist temporal classification: Graves et al., 2006
//! (<https://www.cs.toronto.edu/~graves/icml_2006.pdf>).
//!
//! The probability of a sequence of labels is the sum of the probabilities of all paths of one
//! class for each frame that become the labels when repetitions are merged and blanks removed. The
//! forward algorithm sums over the states of the labels with blanks between them, `_ a _ b _`: a
//! path stays in its state, advances by one, or by two from a label to another label. The sums are
//! kept as logarithms, with a large negative number for the logarithm of 0, so that no derivative
//! is NaN.

use super::criterion::{Criterion, LossFn, Losses, criteria};
use super::label_sequences::{
    LOG_ZERO, LabelSequences, frame_counts, shifted, wrong_blank, wrong_lengths,
};
use super::operands::{invalid, together};
use neurax_tensor::{DType, Tensor, concat, scan, stack};

/// The logarithm below which a probability counts as 0.
const NEARLY_LOG_ZERO: f64 = -1e29;

/// Returns the negative log-likelihood of label sequences under connectionist temporal
/// classification: [`CtcLoss`] with its default options. `y` are logits f[examples, frames,
/// classes], `t` labels i[examples, labels], negative behind the end of a sequence; class 0 is the
/// blank. One loss for each example.
///
/// ```
/// use neurax::prelude::*;
/// let y = Tensor::zeros([1, 3, 2]); // eight paths of equal probability
/// let losses = loss::each::ctc(&y, &tensor([[1, -1]])).to_vec::<f32>()?;
/// assert!((losses[0] - (8.0f32 / 6.0).ln()).abs() < 1e-6); // six of which are `_*11*_*`
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn ctc(y: &Tensor, t: &Tensor) -> Tensor {
    CtcLoss::new().each(y, t)
}

/// The loss of connectionist temporal classification, of logits f[examples, frames, classes] and
/// labels i[examples, labels]: one for each example, the negative log-likelihood of its labels.
///
/// Labels are negative behind the end of a sequence, unless their lengths are set. A sequence that
/// is longer than its frames allow has an infinite loss and a gradient of 0. The loss of an example
/// is NaN, and its gradient 0, if one of its labels is the blank or no class, or if a length is
/// beyond its axis. Follows `torch.nn.functional.ctc_loss`, whose mean divides by the numbers of
/// labels first, as that of this loss does with [`CtcLoss::per_label`].
///
/// ```
/// use neurax::prelude::*;
/// let ctc = loss::CtcLoss::new().blank(2).lengths(&tensor([2, 1])).zero_infinity();
/// let losses = ctc.each(&Tensor::zeros([2, 4, 3]), &tensor([[0, 1], [0, 1]]));
/// assert_eq!(losses.to_vec::<f32>()?, [2.1972246, 0.0]); // ln 9; two labels in one frame
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CtcLoss {
    blank: usize,
    lengths: Option<Tensor>,
    label_lengths: Option<Tensor>,
    zero_infinity: bool,
    per_label: bool,
}

criteria!(CtcLoss);

impl CtcLoss {
    /// Creates the loss with class 0 as the blank.
    pub fn new() -> CtcLoss {
        CtcLoss::default()
    }

    /// Sets the class that stands for no label.
    pub fn blank(mut self, class: usize) -> Self {
        self.blank = class;
        self
    }

    /// Sets the numbers of frames, `i[examples]`; by default all frames count.
    pub fn lengths(mut self, lengths: &Tensor) -> Self {
        self.lengths = Some(lengths.clone());
        self
    }

    /// Sets the numbers of labels, `i[examples]`; by default those in front of the first negative
    /// label.
    pub fn label_lengths(mut self, lengths: &Tensor) -> Self {
        self.label_lengths = Some(lengths.clone());
        self
    }

    /// Sets the loss of sequences that are longer than their frames allow to 0.
    pub fn zero_infinity(mut self) -> Self {
        self.zero_infinity = true;
        self
    }

    /// Divides the loss of each example by its number of labels, at least 1. The mean is then that
    /// of PyTorch, `reduction="mean"`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let ctc = loss::CtcLoss::new().per_label();
    /// let losses = ctc.each(&Tensor::zeros([1, 2, 3]), &tensor([[1, 2]]));
    /// assert!((losses.item()? - 9f64.ln() / 2.0).abs() < 1e-6);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn per_label(mut self) -> Self {
        self.per_label = true;
        self
    }

    /// Returns one loss for each example.
    #[track_caller]
    pub fn each(&self, y: &Tensor, t: &Tensor) -> Tensor {
        if let Some(error) = self.invalid(y, t) {
            return error;
        }
        together("ctc_loss", [("prediction", y)], |[y]| self.negative_log_likelihood(&y, t))
    }

    #[track_caller]
    fn negative_log_likelihood(&self, y: &Tensor, t: &Tensor) -> Tensor {
        let [examples, frames, _] = [y.dim(0), y.dim(1), y.dim(2)];
        let lengths = frame_counts(self.lengths.as_ref(), examples, frames);
        let in_time = Tensor::arange(frames).lt(lengths.expand_dims(1));
        // Padding may be NaN.
        let log = in_time.expand_dims(2).select(y, 0.0).log_softmax(-1);
        let labels = Labels::new(self, t, y.dim(2));
        let emitted = labels.emitted(&log);
        let start = labels.start(log.dtype());
        let (last, ()) = scan(start, (emitted, in_time.t()), |state: Tensor, (e, in_time)| {
            let next: Tensor = labels.advanced(&state) + e;
            let in_time: Tensor = in_time;
            (in_time.expand_dims(1).select(next, state), ())
        });
        let total = labels.total(&last);
        let otherwise = if self.zero_infinity { 0.0 } else { f64::INFINITY };
        let losses = total.gt(NEARLY_LOG_ZERO).select(-total, otherwise);
        let losses = match self.per_label {
            true => &losses / labels.lengths.maximum(1).to(losses.dtype()),
            false => losses,
        };
        let are_frames = lengths.ge(0) & lengths.le(frames);
        (labels.are_valid & are_frames).select(losses, f64::NAN)
    }

    /// Returns the error of operands or options of a wrong shape or dtype.
    #[track_caller]
    fn invalid(&self, y: &Tensor, t: &Tensor) -> Option<Tensor> {
        let (a, b) = match (y.ty(), t.ty()) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(e), _) | (_, Err(e)) => return Some(Tensor::from_error(e)),
        };
        if a.rank() != 3 || b.rank() != 2 || a.shape.first() != b.shape.first() || !b.dtype.is_int()
        {
            let why = format!(
                "expected logits [examples, frames, classes] and integer labels [examples, \
                 labels], got {a} and {b}"
            );
            return Some(invalid("ctc_loss", why));
        }
        let all = [("lengths", &self.lengths), ("label lengths", &self.label_lengths)];
        let mut lengths = all.into_iter();
        wrong_blank("ctc_loss", self.blank, y.dim(2)).or_else(|| {
            lengths.find_map(|(what, n)| wrong_lengths("ctc_loss", what, n.as_ref(), y.dim(0)))
        })
    }
}

impl Losses<2> for CtcLoss {
    fn each(&self, [y, t]: &[Tensor; 2]) -> Tensor {
        self.each(y, t)
    }
}

/// The states of label sequences, `2 labels + 1` of them.
struct Labels {
    /// The class of each state, i32[examples, states].
    states: Tensor,
    /// True if a state can be reached from the last but one before it, bool[examples, states].
    may_skip: Tensor,
    /// The number of labels of each example, i32[examples].
    lengths: Tensor,
    /// True if all labels of an example are classes and its number of labels is possible,
    /// bool[examples].
    are_valid: Tensor,
}

impl Labels {
    #[track_caller]
    fn new(options: &CtcLoss, t: &Tensor, classes: usize) -> Labels {
        let given = options.label_lengths.as_ref();
        let sequences = LabelSequences::new(t, given, options.blank, classes);
        let LabelSequences { labels: t, lengths, are_valid } = sequences;
        let (examples, labels, blank) = (t.dim(0), t.dim(1), options.blank as i32);
        let blanks = Tensor::full([examples, labels, 1], blank);
        let pairs = concat([&blanks, &t.expand_dims(2)], 2).reshape([examples, 2 * labels]);
        let states = concat([&pairs, &Tensor::full([examples, 1], blank)], 1);
        let may_skip = states.not_equal(blank) & states.not_equal(shifted(&states, 2, blank));
        Labels { states, may_skip, lengths, are_valid }
    }

    /// Returns the log-probabilities of the classes of the states, f[frames, examples, states].
    #[track_caller]
    fn emitted(&self, log: &Tensor) -> Tensor {
        // Labels behind the end are negative, but no path to the end passes them.
        let classes = self.states.maximum(0).expand_dims(1);
        log.take_along_axis(&classes, 2).move_axis(1, 0)
    }

    /// Returns the logarithms of the probabilities in front of the first frame: a state before
    /// which a path may begin with a blank or with the first label.
    #[track_caller]
    fn start(&self, dtype: DType) -> Tensor {
        let first = Tensor::arange(self.states.dim(1)).equal(0);
        let start = first.select(Tensor::scalar(dtype, 0.0), LOG_ZERO);
        start.broadcast_to(self.states.shape())
    }

    /// Returns the logarithms of the probabilities of the states after one more frame.
    #[track_caller]
    fn advanced(&self, log: &Tensor) -> Tensor {
        let before = shifted(log, 1, LOG_ZERO);
        let skipped = self.may_skip.select(shifted(log, 2, LOG_ZERO), LOG_ZERO);
        stack([log, &before, &skipped], -1).logsumexp(-1)
    }

    /// Returns the logarithm of the probability that a path ends in the last label or the blank
    /// behind it.
    #[track_caller]
    fn total(&self, log: &Tensor) -> Tensor {
        let last = self.lengths.expand_dims(1) * 2;
        let ends = concat([&last, &(&last - 1).maximum(0)], 1);
        let at_ends = log.take_along_axis(&ends, 1);
        let has_labels = self.lengths.gt(0).expand_dims(1);
        let counts = concat([&has_labels.ones_like().to(DType::Bool), &has_labels], 1);
        counts.select(at_ends, LOG_ZERO).logsumexp(-1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{key, tensor, value_and_grad_at};

    #[test]
    fn labels_and_lengths_that_are_impossible_yield_nan_without_a_gradient() {
        let y = key(0).normal([7, 4, 3]);
        // The first two examples are valid: what is behind the end may be anything.
        let t = tensor([[1, 2], [1, 9], [1, 3], [1, 0], [1, 2], [1, 2], [-2, 1]]);
        let lengths = tensor([2, 1, 2, 2, 3, -1, 2]);
        let ctc = CtcLoss::new().label_lengths(&lengths).zero_infinity();
        let found = ctc.each(&y, &t).to_vec::<f32>().unwrap();
        let is_nan: Vec<bool> = found.iter().map(|x| x.is_nan()).collect();
        assert_eq!(is_nan, [false, false, true, true, true, true, true], "{found:?}");
        let sum = |y: Tensor| {
            let losses = ctc.each(&y, &t);
            losses.is_nan().select(0.0, losses).sum(..)
        };
        let (_, gradient) = value_and_grad_at(&y, sum);
        assert_eq!(gradient.slice(0, 2..).abs().max(..).item().unwrap(), 0.0);
        assert!(gradient.slice(0, ..2).abs().min(..).item().unwrap() > 0.0);
    }

    #[test]
    fn more_frames_than_there_are_yield_nan() {
        let y = Tensor::zeros([3, 4, 3]);
        let ctc = CtcLoss::new().lengths(&tensor([4, 5, -1]));
        let found = ctc.each(&y, &tensor([[1], [1], [1]])).to_vec::<f32>().unwrap();
        assert_eq!(found.iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [false, true, true]);
    }
}
