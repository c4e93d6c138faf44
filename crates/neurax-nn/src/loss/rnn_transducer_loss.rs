//! The RNN transducer: Graves, 2012 (<https://arxiv.org/abs/1211.3711>).
//!
//! An alignment is a path through a grid of frames `t` and numbers `u` of labels so far: from
//! `(t, u)` a blank leads to `(t + 1, u)`, and the next label to `(t, u + 1)`. It ends with a blank
//! in the last frame, behind all labels. The probability of a sequence is the sum of those of all
//! alignments: of two frames and the label `a`, those of `a _ _` and `_ a _`.
//!
//! The forward algorithm sums over the paths to each point, as logarithms. The points of a diagonal
//! of equal `t + u` depend on the diagonal before it alone, so that each step of a scan computes a
//! diagonal of all examples: `frames + labels` steps in place of `frames · labels`.

use super::criterion::{Criterion, LossFn, Losses, criteria};
use super::label_sequences::{
    LOG_ZERO, LabelSequences, frame_counts, shifted, wrong_blank, wrong_lengths,
};
use super::operands::{invalid, together};
use neurax_tensor::{Tensor, scan};

const RNN_TRANSDUCER: &str = "rnn_transducer_loss";

/// Returns the negative log-likelihood of label sequences under an RNN transducer:
/// [`RnnTransducerLoss`] with its default options. `y` are logits f[examples, frames, labels + 1,
/// classes], `t` labels i[examples, labels], negative behind the end of a sequence; class 0 is the
/// blank. One loss for each example.
///
/// ```
/// use neurax::prelude::*;
/// let y = Tensor::zeros([1, 2, 2, 3]); // two alignments of three outputs of probability 1/3
/// let losses = loss::each::rnn_transducer(&y, &tensor([[1]])).to_vec::<f32>()?;
/// assert!((losses[0] - (27.0f32 / 2.0).ln()).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn rnn_transducer(y: &Tensor, t: &Tensor) -> Tensor {
    RnnTransducerLoss::new().each(y, t)
}

/// The loss of an RNN transducer, of logits f[examples, frames, labels + 1, classes] and labels
/// i[examples, labels]: one for each example, the negative log-likelihood of its labels. The logits
/// at `[.., t, u, ..]` are those of the next output in frame `t` behind `u` labels.
///
/// Labels are negative behind the end of a sequence, unless their lengths are set. The loss of an
/// example is NaN, and its gradient 0, if one of its labels is the blank or no class, if a length
/// is beyond its axis, or if it has no frame. Follows `torchaudio.functional.rnnt_loss`, whose
/// blank is the last class by default.
///
/// ```
/// use neurax::prelude::*;
/// let loss = loss::RnnTransducerLoss::new().blank(2).lengths(&tensor([1, 2]));
/// let losses = loss.each(&Tensor::zeros([2, 2, 3, 3]), &tensor([[0, 1], [0, -1]]));
/// // One alignment of three outputs, and two.
/// let want = tensor([27f32.ln(), 13.5f32.ln()]);
/// assert_eq!(losses.allclose(want, 1e-6, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RnnTransducerLoss {
    blank: usize,
    lengths: Option<Tensor>,
    label_lengths: Option<Tensor>,
}

criteria!(RnnTransducerLoss);

impl RnnTransducerLoss {
    /// Creates the loss with class 0 as the blank.
    pub fn new() -> RnnTransducerLoss {
        RnnTransducerLoss::default()
    }

    /// Sets the class that stands for the step to the next frame.
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

    /// Returns one loss for each example.
    ///
    /// # Errors
    /// The result carries an error if the operands or the lengths have other shapes or dtypes, if
    /// there are no frames, or if the blank is no class.
    #[track_caller]
    pub fn each(&self, y: &Tensor, t: &Tensor) -> Tensor {
        if let Some(error) = self.invalid(y, t) {
            return error;
        }
        together(RNN_TRANSDUCER, [("prediction", y)], |[y]| self.negative_log_likelihood(&y, t))
    }

    #[track_caller]
    fn negative_log_likelihood(&self, y: &Tensor, t: &Tensor) -> Tensor {
        let [examples, frames, classes] = [y.dim(0), y.dim(1), y.dim(3)];
        let lengths = frame_counts(self.lengths.as_ref(), examples, frames);
        let given = self.label_lengths.as_ref();
        let sequences = LabelSequences::new(t, given, self.blank, classes);
        // Padding may be NaN.
        let log = is_inside(y, &lengths, &sequences.lengths).select(y, 0.0).log_softmax(-1);
        let blanks = log.slice(-1, self.blank as i64..self.blank as i64 + 1).squeeze(-1);
        let next = sequences.labels.clip(0, classes as i32 - 1).pad([(0, 0), (0, 1)], 0);
        let labels = log.take_along_axis(&next.expand_dims(1).expand_dims(-1), -1).squeeze(-1);
        let (blanks, labels) = (diagonals(&blanks), diagonals(&labels));
        let reached = log_sums(&blanks, &labels) + &blanks;
        let total = at_end(&reached, &lengths, &sequences.lengths);
        let are_frames = lengths.ge(1) & lengths.le(frames);
        (sequences.are_valid & are_frames).select(-total, f64::NAN)
    }

    /// Returns the error of operands or options of a wrong shape or dtype.
    #[track_caller]
    fn invalid(&self, y: &Tensor, t: &Tensor) -> Option<Tensor> {
        let (a, b) = match (y.ty(), t.ty()) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(e), _) | (_, Err(e)) => return Some(Tensor::from_error(e)),
        };
        let fits = match (&a.shape[..], &b.shape[..]) {
            ([m, frames, positions, _], [n, labels]) => {
                m == n && *frames > 0 && *positions == labels + 1 && b.dtype.is_int()
            }
            _ => false,
        };
        if !fits {
            let why = format!(
                "expected logits [examples, frames, labels + 1, classes] of at least 1 frame and \
                 integer labels [examples, labels], got {a} and {b}"
            );
            return Some(invalid(RNN_TRANSDUCER, why));
        }
        let all = [("lengths", &self.lengths), ("label lengths", &self.label_lengths)];
        let mut lengths = all.into_iter();
        wrong_blank(RNN_TRANSDUCER, self.blank, y.dim(3)).or_else(|| {
            lengths.find_map(|(what, n)| wrong_lengths(RNN_TRANSDUCER, what, n.as_ref(), y.dim(0)))
        })
    }
}

impl Losses<2> for RnnTransducerLoss {
    fn each(&self, [y, t]: &[Tensor; 2]) -> Tensor {
        self.each(y, t)
    }
}

/// Returns true for the logits of frames and labels that an example has, bool[examples, frames,
/// labels + 1, 1].
#[track_caller]
fn is_inside(y: &Tensor, lengths: &Tensor, label_lengths: &Tensor) -> Tensor {
    let in_time = Tensor::arange(y.dim(1)).lt(lengths.expand_dims(1));
    let in_labels = Tensor::arange(y.dim(2)).le(label_lengths.expand_dims(1));
    (in_time.expand_dims(2) & in_labels.expand_dims(1)).expand_dims(3)
}

/// Returns the diagonals of `x` f[examples, frames, positions], f[diagonals, examples, positions]:
/// at `[n, .., u]` the number of frame `n - u`, and that of a probability of 0 outside of the grid.
#[track_caller]
fn diagonals(x: &Tensor) -> Tensor {
    let (frames, positions) = (x.dim(1), x.dim(2));
    let all = Tensor::arange(frames + positions - 1).expand_dims(1);
    let frame = all - Tensor::arange(positions);
    let is_inside = frame.ge(0) & frame.lt(frames);
    let index = frame.clip(0, frames as i32 - 1).expand_dims(0);
    is_inside.select(x.take_along_axis(&index, 1), LOG_ZERO).move_axis(1, 0)
}

/// Returns the logarithms of the probabilities to reach the points of each diagonal, from those of
/// the blank and of the next label at each point; all are f[diagonals, examples, positions].
#[track_caller]
fn log_sums(blanks: &Tensor, labels: &Tensor) -> Tensor {
    let is_first = Tensor::arange(blanks.dim(2)).equal(0);
    let start = is_first.select(Tensor::scalar(blanks.dtype(), 0.0), LOG_ZERO);
    let start = start.broadcast_to([blanks.dim(1), blanks.dim(2)]);
    let step = |before: Tensor, (blank, label): (Tensor, Tensor)| {
        let with_label = shifted(&(&before + label), 1, LOG_ZERO);
        ((&before + blank).logaddexp(with_label), before)
    };
    scan(start, (blanks.clone(), labels.clone()), step).1
}

/// Returns the numbers of `x` f[diagonals, examples, positions] in the last frame behind all
/// labels, f[examples].
#[track_caller]
fn at_end(x: &Tensor, lengths: &Tensor, label_lengths: &Tensor) -> Tensor {
    let last = label_lengths.clip(0, x.dim(2) as i32 - 1);
    let diagonal = (lengths - 1 + &last).clip(0, x.dim(0) as i32 - 1);
    let of_diagonal = x.move_axis(0, 1).take_along_axis(&diagonal.expand_dims(1).expand_dims(2), 1);
    of_diagonal.squeeze(1).take_along_axis(&last.expand_dims(1), 1).squeeze(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Reduction;
    use neurax_tensor::dtype_consts::F64;
    use neurax_tensor::{grad, jit, key, tensor};

    /// Returns the sum of the probabilities of all alignments from `(t, u)` on, each of which is
    /// followed to its end. `p(t, u, class)` is the probability of an output.
    fn sum_of_alignments(
        p: &dyn Fn(usize, usize, usize) -> f64,
        (t, u): (usize, usize),
        frames: usize,
        labels: &[usize],
        blank: usize,
    ) -> f64 {
        let rest = |at| sum_of_alignments(p, at, frames, labels, blank);
        let is_end = t + 1 == frames && u == labels.len();
        let with_blank = match t + 1 == frames {
            true => f64::from(u8::from(is_end)),
            false => rest((t + 1, u)),
        };
        let with_label = labels.get(u).map_or(0.0, |label| p(t, u, *label) * rest((t, u + 1)));
        p(t, u, blank) * with_blank + with_label
    }

    /// Returns the loss of example `i` of logits `y` by enumeration.
    fn enumerated(y: &Tensor, i: usize, frames: usize, labels: &[usize], blank: usize) -> f64 {
        let shape = y.shape().to_vec();
        let all = y.softmax(-1).to_vec::<f64>().unwrap();
        let at =
            |t: usize, u: usize, c: usize| all[((i * shape[1] + t) * shape[2] + u) * shape[3] + c];
        -sum_of_alignments(&at, (0, 0), frames, labels, blank).ln()
    }

    /// Returns logits, labels, numbers of frames, and for each example its frames and labels.
    fn batch() -> (Tensor, Tensor, Tensor, Vec<(usize, Vec<usize>)>) {
        let y = key(3).normal_of(F64, [4, 4, 3, 5]) * 2.0;
        let t = tensor([[1, 3], [4, -1], [-1, -1], [3, 3]]);
        let examples = vec![(4, vec![1, 3]), (2, vec![4]), (3, vec![]), (1, vec![3, 3])];
        (y, t, tensor([4, 2, 3, 1]), examples)
    }

    #[test]
    fn losses_are_those_of_all_alignments() {
        let (y, t, lengths, examples) = batch();
        let loss = RnnTransducerLoss::new().blank(2).lengths(&lengths);
        let found = loss.each(&y, &t).to_vec::<f64>().unwrap();
        let jitted = {
            let (loss, t) = (loss.clone(), t.clone());
            jit(move |y: Tensor| loss.each(&y, &t)).run(y.clone()).unwrap()
        };
        let jitted = jitted.to_vec::<f64>().unwrap();
        for (i, (frames, labels)) in examples.iter().enumerate() {
            let want = enumerated(&y, i, *frames, labels, 2);
            assert!((found[i] - want).abs() < 1e-9, "{i}: {}, {want}", found[i]);
            assert!((jitted[i] - want).abs() < 1e-9, "{i}: {}, {want}", jitted[i]);
        }
        let explicit = loss.label_lengths(&tensor([2, 1, 0, 2])).each(&y, &t);
        assert_eq!(explicit.to_vec::<f64>().unwrap(), found);
    }

    #[test]
    fn gradients_are_those_of_the_enumeration_and_0_in_the_padding() {
        let (y, t, lengths, examples) = batch();
        let loss = RnnTransducerLoss::new().blank(2).lengths(&lengths);
        let found = grad(move |y: Tensor| loss.each(&y, &t).sum(..))(y.clone());
        let found = found.to_vec::<f64>().unwrap();
        let total = |y: &[f64]| {
            let y = Tensor::from_slice(y, [4, 4, 3, 5]);
            let each = examples.iter().enumerate();
            each.map(|(i, (n, labels))| enumerated(&y, i, *n, labels, 2)).sum::<f64>()
        };
        let mut values = y.to_vec::<f64>().unwrap();
        for k in (0..values.len()).step_by(3) {
            let old = values[k];
            let difference = [1e-5, -1e-5].map(|h| {
                values[k] = old + h;
                total(&values)
            });
            values[k] = old;
            let want = (difference[0] - difference[1]) / 2e-5;
            assert!((found[k] - want).abs() < 1e-6, "{k}: {}, {want}", found[k]);
        }
    }

    #[test]
    fn padding_may_be_nan_and_impossible_examples_have_no_gradient() {
        let y = key(1).normal([6, 3, 3, 4]);
        let t = tensor([[1, -1], [1, 0], [1, 4], [1, 2], [1, 2], [1, 2]]);
        let lengths = tensor([2, 3, 3, 0, 4, 3]);
        let padded = Tensor::arange(3).ge(2).expand_dims(0).expand_dims(2).expand_dims(3)
            & Tensor::arange(6).equal(0).expand_dims(1).expand_dims(2).expand_dims(3);
        let y = padded.select(f32::NAN, y);
        let loss = RnnTransducerLoss::new().lengths(&lengths);
        let losses = loss.each(&y, &t);
        let is_nan: Vec<bool> =
            losses.to_vec::<f32>().unwrap().iter().map(|x| x.is_nan()).collect();
        assert_eq!(is_nan, [false, true, true, true, true, false]);
        let mask = losses.is_finite();
        let criterion =
            loss.criterion().mask(&mask).weights(&tensor([1.0, 1.0, 1.0, 1.0, 1.0, 3.0]));
        let each = criterion.clone().reduction(Reduction::None).measure(&y, &t);
        let each = each.to_vec::<f32>().unwrap();
        let mean = criterion.measure(&y, &t).item().unwrap();
        assert!((mean - f64::from(each[0] + each[5]) / 4.0).abs() < 1e-6, "{mean}, {each:?}");
        let gradient = grad(move |y: Tensor| criterion.measure(&y, &t))(y);
        assert_eq!(gradient.is_finite().all(..).item().unwrap(), 1.0);
        let sizes = gradient.abs().max([1, 2, 3]).to_vec::<f32>().unwrap();
        assert!(sizes[0] > 0.0 && sizes[5] > 0.0 && sizes[1..5] == [0.0; 4], "{sizes:?}");
    }

    #[test]
    fn long_and_certain_sequences_are_finite() {
        let y = Tensor::full([1, 60, 41, 3], 0.0) + tensor([200.0, 0.0, -200.0]);
        let t = Tensor::full([1, 40], 2);
        let found = rnn_transducer(&y, &t).item().unwrap();
        // C(99, 40) alignments of 40 labels of the logarithm -400 each.
        let paths: f64 = (1..=40).map(|i| (f64::from(59 + i) / f64::from(i)).ln()).sum();
        assert!((found - (16_000.0 - paths)).abs() < 0.1, "{found}");
        let gradient = grad(move |y: Tensor| rnn_transducer(&y, &t).sum(..))(y);
        assert_eq!(gradient.is_finite().all(..).item().unwrap(), 1.0);
    }

    #[test]
    fn wrong_shapes_and_options_are_errors() {
        let (y, t) = (Tensor::zeros([2, 3, 3, 4]), tensor([[1, 2], [1, 2]]));
        let loss = RnnTransducerLoss::new;
        for (found, want) in [
            (loss().each(&y, &tensor([[1], [1]])), "[examples, frames, labels + 1, classes]"),
            (loss().each(&y.slice(1, 0..0), &t), "of at least 1 frame"),
            (loss().blank(4).measure(&y, &t), "expected a blank below 4 classes, got 4"),
            (loss().lengths(&tensor([1])).each(&y, &t), "expected lengths of shape [2], integers"),
            (
                loss().label_lengths(&tensor([1.0, 2.0])).each(&y, &t),
                "expected label lengths of shape [2], integers, got f32[2]",
            ),
        ] {
            let e = found.error().unwrap().to_string();
            assert!(e.contains(want), "{e}");
        }
        let none = loss().each(&y.slice(0, 0..0), &t.slice(0, 0..0));
        assert_eq!(none.shape(), [0]);
    }
}
