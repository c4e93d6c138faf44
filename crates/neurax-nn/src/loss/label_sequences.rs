//! Sequences of labels of different lengths: what the losses of transcriptions have in common.

use super::operands::invalid;
use neurax_tensor::{DType, Tensor};

/// The logarithm of a probability of 0: large and finite, so that no derivative is NaN.
pub(super) const LOG_ZERO: f64 = -1e30;

/// The labels of a batch.
pub(super) struct LabelSequences {
    /// The labels, i32[examples, labels]; anything behind the end of a sequence.
    pub labels: Tensor,
    /// The number of labels of each example, i32[examples].
    pub lengths: Tensor,
    /// True if all labels of an example are classes other than the blank, and its number of labels
    /// is possible, bool[examples].
    pub are_valid: Tensor,
}

impl LabelSequences {
    /// Creates the sequences of labels `t` i[examples, labels]. Without `lengths`, they end in
    /// front of the first negative label.
    #[track_caller]
    pub fn new(t: &Tensor, lengths: Option<&Tensor>, blank: usize, classes: usize) -> Self {
        // Before the conversion to i32, which wraps.
        let wide = t.to(DType::I64);
        let is_label = wide.ge(0) & wide.lt(classes as i64) & wide.not_equal(blank as i64);
        let labels = t.to(DType::I32);
        let given = || wide.ge(0).to(DType::I32).cumprod(1).sum(1);
        let lengths = lengths.map_or_else(given, |n| n.to(DType::I32));
        let is_behind = Tensor::arange(labels.dim(1)).ge(lengths.expand_dims(1));
        let are_labels = (is_label | is_behind).all(1);
        let are_valid = are_labels & lengths.ge(0) & lengths.le(labels.dim(1));
        LabelSequences { labels, lengths, are_valid }
    }
}

/// Returns the numbers of frames of the examples, i32[examples]: `lengths`, or all `frames`.
#[track_caller]
pub(super) fn frame_counts(lengths: Option<&Tensor>, examples: usize, frames: usize) -> Tensor {
    let all = || Tensor::full([examples], frames as i32);
    lengths.map_or_else(all, |n| n.to(DType::I32))
}

/// Returns the error of lengths that are not integers of shape [examples].
#[track_caller]
pub(super) fn wrong_lengths(
    name: &str,
    what: &str,
    lengths: Option<&Tensor>,
    examples: usize,
) -> Option<Tensor> {
    match lengths?.ty() {
        Ok(n) if n.shape[..] == [examples] && n.dtype.is_int() => None,
        Ok(n) => {
            let why = format!("expected {what} of shape [{examples}], integers, got {n}");
            Some(invalid(name, why))
        }
        Err(e) => Some(Tensor::from_error(e)),
    }
}

/// Returns the error of a blank that is no class.
#[track_caller]
pub(super) fn wrong_blank(name: &str, blank: usize, classes: usize) -> Option<Tensor> {
    let why = || format!("expected a blank below {classes} classes, got {blank}");
    (blank >= classes).then(|| invalid(name, why()))
}

/// Moves the entries along the last axis by `n` positions; the first ones become `fill`.
#[track_caller]
pub(super) fn shifted(x: &Tensor, n: usize, fill: impl neurax_tensor::Operand) -> Tensor {
    let n = n.min(x.dim(-1));
    x.slice(-1, ..(x.dim(-1) - n) as i64).pad([(0, 0), (n, 0)], fill)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn labels_beyond_i32_are_no_classes() {
        let t = tensor([[1i64, (1 << 32) + 1], [1, 2]]);
        let sequences = LabelSequences::new(&t, None, 0, 3);
        assert_eq!(sequences.are_valid.to_vec::<bool>().unwrap(), [false, true]);
        let t = tensor([[1u32, u32::MAX]]);
        let sequences = LabelSequences::new(&t, None, 0, 3);
        assert_eq!(sequences.are_valid.to_vec::<bool>().unwrap(), [false]);
    }
}
