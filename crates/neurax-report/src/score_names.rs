//! The names of scores. A metric of several numbers has a score for each index, such as `recall[0]`
//! and `recall[1]`.

use crate::tuning::MAX_PLOT_LINES;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The name of the loss, which comes first.
pub(crate) const FIRST_SCORE: &str = "loss";

/// Returns the name of the metric of a score, and its index: `recall` and `[2]` for `recall[2]`. A
/// score of a metric of one number has an empty index.
pub(crate) fn metric_and_index(name: &str) -> (&str, &str) {
    match name.find('[') {
        Some(at) if name.ends_with(']') => name.split_at(at),
        _ => (name, ""),
    }
}

/// Compares the names of scores by metric, and those of a metric by index. Numbers in an index are
/// compared as numbers: `recall[2]` comes before `recall[10]`.
pub(crate) fn by_metric_and_index(a: &str, b: &str) -> Ordering {
    let [(a_metric, a_index), (b_metric, b_index)] = [a, b].map(metric_and_index);
    let by_index = || index_parts(a_index).cmp(index_parts(b_index));
    a_metric.cmp(b_metric).then_with(by_index).then_with(|| a.cmp(b))
}

/// Returns the parts of an index, numbers and the texts between them, as values to compare.
fn index_parts(index: &str) -> impl Iterator<Item = (usize, &[u8])> {
    let is_same_part = |a: &u8, b: &u8| a.is_ascii_digit() == b.is_ascii_digit();
    index.as_bytes().chunk_by(is_same_part).map(compared_part)
}

/// Returns a number as its length and its digits, without zeros in front; a text comes after all
/// numbers.
fn compared_part(part: &[u8]) -> (usize, &[u8]) {
    if part.first().is_none_or(|c| !c.is_ascii_digit()) {
        return (usize::MAX, part);
    }
    let zeros = part.iter().take_while(|digit| **digit == b'0').count();
    let digits = part.get(zeros..).unwrap_or_default();
    (digits.len(), digits)
}

/// The names of scores that are listed, such as in the columns of a table.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ListedNames<'n> {
    /// The names, that of the loss first.
    pub names: Vec<&'n String>,
    /// The metrics of more than 10 indices, whose scores are left out, and their numbers.
    pub left_out: BTreeMap<&'n str, usize>,
}

impl<'n> ListedNames<'n> {
    /// Creates the list of distinct names.
    pub fn of(names: impl Iterator<Item = &'n String> + Clone) -> ListedNames<'n> {
        let mut left_out = BTreeMap::<&str, usize>::new();
        for metric in names.clone().filter_map(|name| metric_of_index(name)) {
            *left_out.entry(metric).or_default() += 1;
        }
        left_out.retain(|_, n| *n > MAX_PLOT_LINES);
        let is_listed = |name: &&String| {
            metric_of_index(name).is_none_or(|metric| !left_out.contains_key(metric))
        };
        let mut names: Vec<&String> = names.filter(is_listed).collect();
        let is_first = |name: &str| name == FIRST_SCORE;
        names.sort_by(|a, b| is_first(b).cmp(&is_first(a)).then_with(|| by_metric_and_index(a, b)));
        ListedNames { names, left_out }
    }
}

/// Returns the name of the metric of a score with an index.
fn metric_of_index(name: &str) -> Option<&str> {
    match metric_and_index(name) {
        (_, "") => None,
        (metric, _) => Some(metric),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_at_the_end_of_a_name() {
        let all = ["loss", "recall[2]", "night recall[0][1]", "norm[a.b]", "set[1] loss"];
        let want = [
            ("loss", ""),
            ("recall", "[2]"),
            ("night recall", "[0][1]"),
            ("norm", "[a.b]"),
            ("set[1] loss", ""),
        ];
        assert_eq!(all.map(metric_and_index), want);
    }

    #[test]
    fn the_numbers_of_indices_are_in_order() {
        let want = [
            "a[x]",
            "norm[dense]",
            "norm[dense_2]",
            "norm[dense_10]",
            "recall",
            "recall[0]",
            "recall[2][10]",
            "recall[02][11]",
            "recall[10][2]",
            "recall[100000000000000000000]",
            "recall[a]",
        ];
        let mut names = want;
        names.sort_unstable();
        assert_ne!(names, want);
        names.sort_by(|a, b| by_metric_and_index(a, b));
        assert_eq!(names, want);
        let names = ["recall[10]", "recall[9]", "loss"].map(String::from);
        assert_eq!(ListedNames::of(names.iter()).names, ["loss", "recall[9]", "recall[10]"]);
    }

    #[test]
    fn scores_of_more_than_ten_indices_are_not_listed() {
        let recalls = (0..11).map(|i| format!("recall[{i}]"));
        let norms = (0..10).map(|i| format!("norm[{i}]"));
        let all: Vec<String> = ["accuracy", "loss"]
            .map(String::from)
            .into_iter()
            .chain(recalls)
            .chain(norms)
            .collect();
        let listed = ListedNames::of(all.iter());
        assert_eq!(listed.names.len(), 12);
        assert_eq!(listed.names[..3], ["loss", "accuracy", "norm[0]"]);
        assert_eq!(listed.left_out, BTreeMap::from([("recall", 11)]));
    }
}
