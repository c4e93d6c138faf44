//! Functions of strings, which are computed on the host.

use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::re2::whole_match;
use crate::strings::{broadcast, bytes_of, check_strings};
use crate::value::{OnnxValue, Strings};
use neurax_tensor::Tensor;
use std::collections::HashSet;

pub(crate) const OPERATORS: &[Operator] = &[
    op("RegexFullMatch", &[20], 1..=1, full_match).attributes(&["pattern"]),
    op("StringConcat", &[20], 2..=2, concatenate),
    op("StringNormalizer", &[10], 1..=1, normalize).attributes(&[
        "case_change_action",
        "is_case_sensitive",
        "locale",
        "stopwords",
    ]),
    op("StringSplit", &[20], 1..=1, split).attributes(&["delimiter", "maxsplit"]),
];

/// Concatenates the strings of two tensors, which broadcast.
fn concatenate(c: &NodeCall) -> RuleOutcome {
    let [x, y] = broadcast([c.strings(0)?, c.strings(1)?])?;
    let bytes = [&x, &y].map(|x| bytes_of(x.elements()));
    check_strings(x.elements().len(), bytes[0].saturating_add(bytes[1]))?;
    let pairs = x.elements().iter().zip(y.elements());
    one(Strings::new(x.shape(), pairs.map(|(x, y)| format!("{x}{y}")).collect())?)
}

/// Returns true for strings that match a regular expression as a whole.
fn full_match(c: &NodeCall) -> RuleOutcome {
    let x = c.strings(0)?;
    let pattern = c.required("pattern", c.str("pattern")?)?;
    let whole = whole_match(&pattern)?;
    let matches: Vec<bool> = x.elements().iter().map(|s| whole.is_match(s)).collect();
    one(Tensor::from_vec(matches, x.shape()))
}

/// Splits strings at a delimiter, or at white space, into parts along a new last axis, with empty
/// strings behind where another string has more. Returns the numbers of parts, too.
fn split(c: &NodeCall) -> RuleOutcome {
    let x = c.strings(0)?;
    let delimiter = c.str("delimiter")?.filter(|d| !d.is_empty());
    // A negative number is no limit.
    let limit = c.int("maxsplit")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let parts: Vec<Vec<&str>> = x
        .elements()
        .iter()
        .map(|s| match &delimiter {
            Some(d) => s.splitn(limit.saturating_add(1), d.as_str()).collect(),
            None => words(s, limit),
        })
        .collect();
    let most = parts.iter().map(Vec::len).max().unwrap_or(0);
    // One string of many parts makes the rows of all others longer.
    check_strings(parts.len().saturating_mul(most), bytes_of(x.elements()))?;
    let counts: Vec<i64> = parts.iter().map(|p| p.len() as i64).collect();
    let padded = parts.iter().flat_map(|p| (0..most).map(|i| p.get(i).copied().unwrap_or("")));
    let shape = [x.shape(), &[most]].concat();
    let strings = Strings::new(shape, padded.map(String::from).collect())?;
    Ok(vec![strings.into(), Tensor::from_vec(counts, x.shape()).into()])
}

/// Splits a string at white space at most `limit` times; the rest is the last part.
fn words(s: &str, limit: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), s.trim_start());
    while !rest.is_empty() {
        let end = match parts.len() == limit {
            true => rest.len(),
            false => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    parts
}

/// Removes stop words from a row of strings, and changes the case of the others.
fn normalize(c: &NodeCall) -> RuleOutcome {
    let x = c.strings(0)?;
    if !matches!(x.shape(), [_] | [1, _]) {
        return fail(format!("expected strings of shape [n] or [1, n], got {:?}", x.shape()));
    }
    let changed = LetterCase::parse(&c.str_or("case_change_action", "NONE")?)?;
    // Words are compared in the case that the results have.
    let compared = match (c.flag("is_case_sensitive", false)?, changed) {
        (true, _) => LetterCase::Kept,
        (false, LetterCase::Upper) => LetterCase::Upper,
        (false, _) => LetterCase::Lower,
    };
    let locale = c.str_or("locale", "en_US")?;
    let stops = c.strs("stopwords")?.unwrap_or_default();
    let stops: HashSet<String> = stops.iter().map(|s| compared.of(s, &locale)).collect();
    let kept = x.elements().iter().filter(|s| !stops.contains(&compared.of(s, &locale)));
    let mut row: Vec<String> = kept.map(|s| changed.of(s, &locale)).collect();
    if row.is_empty() {
        row.push(String::new());
    }
    let mut shape = x.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = row.len();
    }
    one(OnnxValue::Strings(Strings::new(shape, row)?))
}

/// A change of the case of letters.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LetterCase {
    Kept,
    Lower,
    Upper,
}

impl LetterCase {
    fn parse(name: &str) -> Result<LetterCase, RuleFailure> {
        match name {
            "NONE" => Ok(LetterCase::Kept),
            "LOWER" => Ok(LetterCase::Lower),
            "UPPER" => Ok(LetterCase::Upper),
            other => fail(format!("expected LOWER, UPPER or NONE as case, got `{other}`")),
        }
    }

    /// Changes the case of a string by the rules of Unicode. Of the languages that have others,
    /// those with an `i` without a dot are known.
    fn of(self, s: &str, locale: &str) -> String {
        let is_dotless = ["tr", "az"].iter().any(|language| locale.starts_with(language));
        match self {
            LetterCase::Kept => s.into(),
            LetterCase::Lower if is_dotless => s.replace('I', "ı").replace('İ', "i").to_lowercase(),
            LetterCase::Lower => s.to_lowercase(),
            LetterCase::Upper if is_dotless => s.replace('i', "İ").to_uppercase(),
            LetterCase::Upper => s.to_uppercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_behind_the_last_split_is_one_part() {
        assert_eq!(words("  a b  c ", 1), ["a", "b  c "]);
        assert_eq!(words(" a  ", 1), ["a"]);
        assert_eq!(words(" a b ", 0), ["a b "]);
        assert!(words(" \t", 9).is_empty());
    }

    #[test]
    fn case_follows_the_language() {
        assert_eq!(LetterCase::Upper.of("straße i", "en_US"), "STRASSE I");
        assert_eq!(LetterCase::Upper.of("i", "tr_TR.UTF-8"), "İ");
        assert_eq!(LetterCase::Lower.of("Iİ", "tr"), "ıi");
    }
}
