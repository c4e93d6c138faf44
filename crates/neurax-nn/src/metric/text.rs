//! Metrics of texts, computed on the host: BLEU, ROUGE, and error rates of words and characters.

use neurax_tensor::{Error, Result};
use std::collections::HashMap;
use std::panic::Location;

/// Returns the BLEU score (Papineni et al., 2002) of a corpus of tokenized candidates, each with
/// one or more references: the geometric mean of the clipped precisions of 1- to `order`-grams
/// times the brevity penalty. 0 if one of the precisions is 0. Follows
/// `nltk.translate.bleu_score.corpus_bleu`.
///
/// ```
/// use neurax::prelude::*;
/// let words = |text: &'static str| text.split(' ').collect::<Vec<_>>();
/// let candidate = words("the cat is on the mat");
/// let references = vec![words("there is a cat on the mat"), words("the cat sat on the mat")];
/// let bleu = metric::text::bleu(&[candidate], &[references], 2)?;
/// assert!((bleu - 0.6f64.sqrt()).abs() < 1e-6); // all words, three of five pairs
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the numbers of candidates and of lists of references differ.
#[track_caller]
pub fn bleu<T: AsRef<str>>(
    candidates: &[Vec<T>],
    references: &[Vec<Vec<T>>],
    order: usize,
) -> Result<f64> {
    check_counts("bleu", candidates.len(), references.len())?;
    let mut log_precision = 0.0;
    for n in 1..=order {
        let (mut hits, mut all) = (0, 0);
        for (candidate, references) in candidates.iter().zip(references) {
            let (h, a) = clipped(candidate, references, n);
            (hits, all) = (hits + h, all + a);
        }
        log_precision += (hits as f64 / all.max(1) as f64).ln() / order as f64;
    }
    let length: usize = candidates.iter().map(Vec::len).sum();
    let closest: usize = candidates.iter().zip(references).map(|(c, r)| closest(c.len(), r)).sum();
    let brevity = (1.0 - closest as f64 / length.max(1) as f64).min(0.0);
    Ok((log_precision + brevity).exp())
}

/// Returns the number of n-grams of the candidate that occur in a reference, each counted at most
/// as often as in the reference with most of them, and the number of all n-grams.
fn clipped<T: AsRef<str>>(candidate: &[T], references: &[Vec<T>], n: usize) -> (usize, usize) {
    let counts = n_grams(candidate, n);
    let in_references: Vec<_> = references.iter().map(|r| n_grams(r, n)).collect();
    let most = |gram: &Vec<&str>| {
        in_references.iter().filter_map(|r| r.get(gram)).max().copied().unwrap_or(0)
    };
    let hits = counts.iter().map(|(gram, count)| (*count).min(most(gram))).sum();
    (hits, counts.values().sum())
}

/// Returns the length of the reference that is closest to `length`, the shorter of two.
fn closest<T>(length: usize, references: &[Vec<T>]) -> usize {
    let lengths = references.iter().map(Vec::len);
    lengths.min_by_key(|n| (n.abs_diff(length), *n)).unwrap_or(0)
}

fn n_grams<T: AsRef<str>>(tokens: &[T], n: usize) -> HashMap<Vec<&str>, usize> {
    let mut counts = HashMap::new();
    if n > 0 {
        for gram in tokens.windows(n) {
            *counts.entry(gram.iter().map(AsRef::as_ref).collect()).or_insert(0) += 1;
        }
    }
    counts
}

/// The precision, the recall and their harmonic mean of a ROUGE score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rouge {
    /// The part of the candidate that is in the reference.
    pub precision: f64,
    /// The part of the reference that is in the candidate.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

impl Rouge {
    fn new(hits: usize, candidate: usize, reference: usize) -> Rouge {
        let part = |all: usize| hits as f64 / all.max(1) as f64;
        let (precision, recall) = (part(candidate), part(reference));
        let sum = precision + recall;
        let f1 = if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 };
        Rouge { precision, recall, f1 }
    }
}

/// Returns ROUGE-N (Lin, 2004): the overlap of the n-grams of a tokenized candidate and reference.
/// Follows `rouge_score` without stemming.
///
/// ```
/// use neurax::prelude::*;
/// let (candidate, reference) = (["the", "cat", "sat"], ["the", "cat", "is", "here"]);
/// let rouge = metric::text::rouge_n(&candidate, &reference, 1);
/// assert_eq!((rouge.precision, rouge.recall), (2.0 / 3.0, 0.5));
/// ```
pub fn rouge_n<T: AsRef<str>>(candidate: &[T], reference: &[T], n: usize) -> Rouge {
    let (a, b) = (n_grams(candidate, n), n_grams(reference, n));
    let hits = a.iter().map(|(gram, count)| b.get(gram).map_or(0, |c| *c.min(count))).sum();
    Rouge::new(hits, a.values().sum(), b.values().sum())
}

/// Returns ROUGE-L (Lin, 2004): the length of the longest common subsequence of a tokenized
/// candidate and reference.
///
/// ```
/// use neurax::prelude::*;
/// let (candidate, reference) = (["the", "big", "cat"], ["the", "cat", "is", "big"]);
/// assert_eq!(metric::text::rouge_l(&candidate, &reference).recall, 0.5);
/// ```
pub fn rouge_l<T: AsRef<str>>(candidate: &[T], reference: &[T]) -> Rouge {
    // The lengths of common subsequences of the candidate so far and prefixes of the reference.
    let mut row = vec![0; reference.len() + 1];
    for a in candidate {
        let mut diagonal = 0;
        for (j, b) in reference.iter().enumerate() {
            let above = row[j + 1];
            let is_equal = a.as_ref() == b.as_ref();
            row[j + 1] = if is_equal { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    Rouge::new(row[reference.len()], candidate.len(), reference.len())
}

/// Returns the word error rate of texts: the edits of words that turn the candidates into the
/// references, divided by the number of words of the references. Follows `jiwer.wer`.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(metric::text::wer(&["the cat sat"], &["the black cat sat"])?, 0.25);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the numbers of candidates and references differ.
#[track_caller]
pub fn wer<T: AsRef<str>>(candidates: &[T], references: &[T]) -> Result<f64> {
    check_counts("wer", candidates.len(), references.len())?;
    Ok(error_rate(candidates, references, |text| text.split_whitespace().collect()))
}

/// Returns the character error rate of texts: the edits of characters that turn the candidates into
/// the references, divided by the number of characters of the references. Follows `jiwer.cer`.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(metric::text::cer(&["cat"], &["cart"])?, 0.25);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the numbers of candidates and references differ.
#[track_caller]
pub fn cer<T: AsRef<str>>(candidates: &[T], references: &[T]) -> Result<f64> {
    check_counts("cer", candidates.len(), references.len())?;
    Ok(error_rate(candidates, references, |text| text.chars().collect()))
}

/// Checks that each candidate has its reference or references.
#[track_caller]
fn check_counts(name: &str, candidates: usize, references: usize) -> Result<()> {
    if candidates == references {
        return Ok(());
    }
    let why = format!(
        "expected one reference for each candidate, got {candidates} candidates and {references} \
         references"
    );
    Err(Error::new(name, why).at(&Location::caller().into()))
}

fn error_rate<'a, T: AsRef<str>, U: PartialEq>(
    candidates: &'a [T],
    references: &'a [T],
    parts: impl Fn(&'a str) -> Vec<U>,
) -> f64 {
    let (mut edits, mut length) = (0, 0);
    for (candidate, reference) in candidates.iter().zip(references) {
        let (a, b) = (parts(candidate.as_ref()), parts(reference.as_ref()));
        edits += edit_distance(&a, &b);
        length += b.len();
    }
    match (edits, length) {
        (0, _) => 0.0,
        (edits, length) => edits as f64 / length as f64,
    }
}

/// Returns the number of insertions, deletions and replacements that turn `a` into `b`
/// (Levenshtein, 1966).
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(metric::text::edit_distance(&[1, 2, 3, 4], &[1, 3, 5]), 2);
/// ```
pub fn edit_distance<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    // The distances of the prefix of `a` so far to the prefixes of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            let replaced = diagonal + usize::from(x != y);
            row[j + 1] = replaced.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    /// Checks a value of `nltk.translate.bleu_score.corpus_bleu` 3.9, from its documentation.
    #[test]
    fn bleu_of_a_corpus() {
        let candidates = [
            words(
                "It is a guide to action which ensures that the military always obeys the commands \
                 of the party",
            ),
            words("he read the book because he was interested in world history"),
        ];
        let references = [
            vec![
                words(
                    "It is a guide to action that ensures that the military will forever heed \
                     Party commands",
                ),
                words(
                    "It is the guiding principle which guarantees the military forces always being \
                     under the command of the Party",
                ),
                words(
                    "It is the practical guide for the army always to heed the directions of the \
                     party",
                ),
            ],
            vec![words("he was interested in world history because he read the book")],
        ];
        let value = bleu(&candidates, &references, 4).unwrap();
        assert!((value - 0.5920).abs() < 1e-4, "{value}");
    }

    #[test]
    fn short_candidates_are_penalized_and_empty_ones_count_nothing() {
        let reference = vec![words("a b c d")];
        let bleu = |candidate| bleu(&[candidate], std::slice::from_ref(&reference), 1).unwrap();
        let short = bleu(words("a b"));
        assert!((short - (1.0f64 - 2.0).exp()).abs() < 1e-12, "{short}");
        assert_eq!(bleu(words("x y")), 0.0);
        assert_eq!(bleu(vec![]), 0.0);
        assert_eq!(rouge_n::<&str>(&[], &[], 2), Rouge::default());
        assert_eq!(rouge_l::<&str>(&[], &["a"]), Rouge::default());
    }

    #[test]
    fn a_missing_reference_is_an_error() {
        let (two, one) = ([vec!["a"], vec!["b"]], [vec![vec!["a"]]]);
        for e in [bleu(&two, &one, 1), wer(&["a", "b"], &["a"]), cer(&["a", "b"], &["a"])] {
            let e = e.unwrap_err();
            assert!(e.message().contains("got 2 candidates and 1 references"), "{e}");
        }
    }

    #[test]
    fn error_rates() {
        assert_eq!(wer(&["a b c", "d"], &["a x c", "d e"]).unwrap(), 2.0 / 5.0);
        assert_eq!(wer(&[""], &[""]).unwrap(), 0.0);
        assert_eq!(wer(&["a"], &[""]).unwrap(), f64::INFINITY);
        assert_eq!(cer(&["äb"], &["ab"]).unwrap(), 0.5);
        assert_eq!(edit_distance::<u8>(&[], &[1, 2]), 2);
        assert_eq!(edit_distance(b"kitten", b"sitting"), 3);
    }
}
