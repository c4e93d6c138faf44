//! `Tokenizer` of ONNX Runtime, which converters of text vectorizers write: divides strings into
//! parts along a new last axis.
//!
//! With separators, which are regular expressions, parts are what is between their matches; each
//! separator divides the parts of the one before. An empty separator divides into characters. With
//! an expression of tokens, parts are its matches. Parts of fewer than `mincharnum` characters are
//! left out.

use super::axes::size_of;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{MICROSOFT, Operator, op};
use crate::re2::LongestMatch;
use crate::strings::{bytes_of, check_strings};
use crate::value::Strings;

pub(crate) const OPERATORS: &[Operator] = &[op("Tokenizer", &[1], 1..=1, tokenize)
    .domain(MICROSOFT)
    .attributes(&["mark", "mincharnum", "pad_value", "separators", "tokenexp"])];

/// The parts in front of and behind the others if `mark` is set.
const MARKS: [&str; 2] = ["\u{2}", "\u{3}"];

fn tokenize(c: &NodeCall) -> RuleOutcome {
    let x = c.strings(0)?;
    if !(1..=2).contains(&x.shape().len()) {
        return fail(format!("expected one or two axes, got shape {:?}", x.shape()));
    }
    let pad = c.required("pad_value", c.str("pad_value")?)?;
    let has_marks = c.required("mark", c.int("mark")?)? != 0;
    let mut parts = StringParts::read(c)?;
    let mut rows: Vec<Vec<&str>> = x.elements().iter().map(|s| parts.of(s)).collect();
    // Without any part, there are no marks either.
    if has_marks && rows.iter().any(|row| !row.is_empty()) {
        for row in &mut rows {
            row.insert(0, MARKS[0]);
            row.push(MARKS[1]);
        }
    }
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let pads = pad.len().saturating_mul(rows.len()).saturating_mul(most);
    let bytes = bytes_of(x.elements()).saturating_add(pads);
    check_strings(rows.len().saturating_mul(most), bytes)?;
    let padded = rows
        .iter()
        .flat_map(|row| (0..most).map(|i| row.get(i).map_or(pad.clone(), |part| part.to_string())));
    one(Strings::new([x.shape(), &[most]].concat(), padded.collect())?)
}

/// The division of strings.
enum StringParts {
    Characters,
    Between(Vec<LongestMatch>, usize),
    Matches(Box<LongestMatch>, usize),
}

impl StringParts {
    /// Reads the attributes.
    fn read(c: &NodeCall) -> Result<StringParts, RuleFailure> {
        let least = size_of(c.required("mincharnum", c.int("mincharnum")?)?)?;
        if least == 0 {
            return fail("expected a `mincharnum` of at least 1");
        }
        let separators = c.strs("separators")?.unwrap_or_default();
        match (separators.as_slice(), c.str("tokenexp")?.filter(|pattern| !pattern.is_empty())) {
            ([only], None) if only.is_empty() && least == 1 => Ok(StringParts::Characters),
            ([], Some(pattern)) => {
                Ok(StringParts::Matches(Box::new(LongestMatch::new(&pattern)?), least))
            }
            (all @ [_, ..], None) if all.iter().all(|pattern| !pattern.is_empty()) => {
                let all = all.iter().map(|pattern| LongestMatch::new(pattern));
                Ok(StringParts::Between(all.collect::<Result<_, _>>()?, least))
            }
            (separators, pattern) => fail(format!(
                "expected separators, an empty one with a `mincharnum` of 1, or `tokenexp`, got \
                 {separators:?}, {least} and {pattern:?}"
            )),
        }
    }

    /// Returns the parts of a string.
    fn of<'s>(&mut self, s: &'s str) -> Vec<&'s str> {
        match self {
            StringParts::Characters => s.split("").filter(|part| !part.is_empty()).collect(),
            StringParts::Matches(pattern, least) => matches(pattern, s, *least),
            StringParts::Between(separators, least) => {
                separators.iter_mut().fold(vec![s], |parts, separator| {
                    let divided = parts.into_iter().flat_map(|s| between(separator, s, *least));
                    divided.collect()
                })
            }
        }
    }
}

/// Returns the parts of a string between separators. An empty match removes the character behind
/// it, as in ONNX Runtime.
fn between<'s>(separator: &mut LongestMatch, s: &'s str, least: usize) -> Vec<&'s str> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Some(found) = separator.find(s, at) {
        parts.push(&s[at..found.start]);
        at = if found.is_empty() { after_character(s, found.end) } else { found.end };
        if at > s.len() {
            break;
        }
    }
    parts.extend(s.get(at..));
    parts.retain(|part| !part.is_empty() && part.chars().count() >= least);
    parts
}

/// Returns the matches in a string. The search goes on behind a match, and behind the first
/// character of one that is too short.
fn matches<'s>(pattern: &mut LongestMatch, s: &'s str, least: usize) -> Vec<&'s str> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at <= s.len() {
        let Some(found) = pattern.find(s, at) else { break };
        let part = &s[found.clone()];
        at = match part.chars().count() >= least {
            true => found.end,
            false => after_character(s, found.start),
        };
        parts.extend((part.chars().count() >= least).then_some(part));
    }
    parts
}

/// Returns the position behind the character at `at`, which lies behind the end if there is none.
fn after_character(s: &str, at: usize) -> usize {
    at + s[at..].chars().next().map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{declared, graph, int, model_of, node, string, string_list};
    use crate::{Importer, OnnxValue};
    use std::collections::HashMap;

    /// Returns the parts as ONNX Runtime 1.32 returns them, separated by `|`.
    fn parts(separators: &[&str], tokens: &str, least: i64, mark: i64, x: &[&str]) -> Vec<String> {
        let mut n = node("Tokenizer", "x", "y").with(int("mark", mark));
        n = n.with(int("mincharnum", least)).with(string("pad_value", "#"));
        n.domain = MICROSOFT.into();
        n = match separators {
            [] => n.with(string("tokenexp", tokens)),
            all => n.with(string_list("separators", all)),
        };
        let mut g = graph(&[], &["y"], vec![], vec![n]);
        g.input.push(declared("x", 8, &["n"]));
        let session = Importer::new().open_bytes(model_of(MICROSOFT, 1, g)).unwrap();
        let x = Strings::new([x.len()], x.iter().map(|s| s.to_string()).collect()).unwrap();
        let mut y = session.run(HashMap::from([("x".to_string(), OnnxValue::Strings(x))])).unwrap();
        let OnnxValue::Strings(y) = y.remove(0) else { panic!("expected strings") };
        let [rows, columns] = y.shape()[..] else { panic!("expected two axes") };
        (0..rows).map(|i| y.elements()[i * columns..][..columns].join("|")).collect()
    }

    #[test]
    fn separators_divide_in_turn() {
        let x = ["a,b; c  d", "e"];
        assert_eq!(parts(&[";", ",", r"\s+"], "", 1, 0, &x), ["a|b|c|d", "e|#|#|#"]);
        assert_eq!(parts(&[" "], "", 2, 0, &[" ab  c ", "e"]), ["ab", "#"]);
        assert_eq!(parts(&["X|XX"], "", 1, 0, &["aXXXb", "e"]), ["a|b", "e|#"]);
        assert_eq!(parts(&["X*"], "", 1, 0, &["aXXXb", "e"]), ["", ""]);
        assert_eq!(parts(&[""], "", 1, 0, &["öß x", "e"]), ["ö|ß| |x", "e|#|#|#"]);
    }

    #[test]
    fn marks_enclose_the_parts() {
        let y = parts(&[" "], "", 1, 1, &["ab cd", "e"]);
        assert_eq!(y, ["\u{2}|ab|cd|\u{3}", "\u{2}|e|\u{3}|#"]);
        assert_eq!(parts(&[" "], "", 1, 1, &["  ", ""]), ["", ""]);
    }

    #[test]
    fn tokens_are_the_longest_matches() {
        let x = ["hello öworld a bc", "é"];
        assert_eq!(parts(&[], "[a-zA-Z0-9_]+", 2, 0, &x), ["hello|world|bc", "#|#|#"]);
        assert_eq!(parts(&[], r"\b\w\w+\b", 1, 0, &x), ["hello|world|bc", "#|#|#"]);
        assert_eq!(parts(&[], "a|ab", 1, 0, &["abab ba", "xaby"]), ["ab|ab|a", "ab|#|#"]);
        assert_eq!(parts(&[], "a*", 1, 0, &["abab ba", "xabé"]), ["a|a|a", "a|#|#"]);
        assert_eq!(parts(&[], "[a-z]{1,2}", 3, 0, &["ab abc"]), [""]);
        assert_eq!(parts(&[], "^.+$", 1, 0, &["ab\ncd", "é"]), ["#", "é"]);
    }
}
