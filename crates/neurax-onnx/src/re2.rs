//! Regular expressions with the meaning of RE2, in which ONNX writes them.
//!
//! RE2 differs from the crate `regex` in two ways that models depend on. Its classes `\w`, `\d` and
//! `\s` and the word boundary `\b` know ASCII alone, while `.` and `[^a]` match any character:
//! [`translated`] writes such classes out. And RE2 can search for the longest of the matches that
//! begin first, where `regex` prefers the alternative that is written first: `a|ab` in `xab` is
//! `ab` in one and `a` in the other. [`LongestMatch`] finds the beginning by `regex`, and the end
//! by a simulation of the automaton that follows all alternatives.

use crate::call::{RuleFailure, fail};
use regex::Regex;
use regex_automata::nfa::thompson::pikevm::{Cache, PikeVM};
use regex_automata::{Anchored, Input, MatchKind};
use std::ops::Range;

/// Compiles a pattern of RE2 that has to match a string as a whole.
///
/// # Errors
/// If it is no regular expression.
pub(crate) fn whole_match(pattern: &str) -> Result<Regex, RuleFailure> {
    let pattern = translated(pattern);
    // Compiled by itself, a pattern with unbalanced parentheses is an error.
    let whole = Regex::new(&pattern).and_then(|_| Regex::new(&format!(r"\A(?:{pattern})\z")));
    whole.or_else(|e| invalid(&e))
}

/// A search for the longest of the matches that begin first.
pub(crate) struct LongestMatch {
    first: Regex,
    all: PikeVM,
    cache: Cache,
}

impl LongestMatch {
    /// Compiles a pattern of RE2.
    ///
    /// # Errors
    /// If it is no regular expression.
    pub(crate) fn new(pattern: &str) -> Result<LongestMatch, RuleFailure> {
        let pattern = translated(pattern);
        let first = Regex::new(&pattern).or_else(|e| invalid(&e))?;
        let config = PikeVM::config().match_kind(MatchKind::All);
        let all = PikeVM::builder().configure(config).build(&pattern).or_else(|e| invalid(&e))?;
        let cache = all.create_cache();
        Ok(LongestMatch { first, all, cache })
    }

    /// Returns the bytes of the match in `text` from byte `from` on.
    pub(crate) fn find(&mut self, text: &str, from: usize) -> Option<Range<usize>> {
        let start = self.first.find_at(text, from)?.start();
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        self.all.find(&mut self.cache, input).map(|found| found.range())
    }
}

fn invalid<T>(e: &dyn std::fmt::Display) -> Result<T, RuleFailure> {
    fail(format!("expected a regular expression: {e}"))
}

/// Returns a pattern of RE2 as one of the crate `regex`.
fn translated(pattern: &str) -> String {
    let (mut to, mut chars) = (String::new(), pattern.chars());
    while let Some(c) = chars.next() {
        if c != '\\' {
            to.push(c);
            continue;
        }
        match chars.next() {
            Some('w') => to.push_str("[0-9A-Za-z_]"),
            Some('W') => to.push_str("[^0-9A-Za-z_]"),
            Some('d') => to.push_str("[0-9]"),
            Some('D') => to.push_str("[^0-9]"),
            Some('s') => to.push_str(r"[\t\n\f\r ]"),
            Some('S') => to.push_str(r"[^\t\n\f\r ]"),
            Some('b') => to.push_str(r"(?-u:\b)"),
            Some(other) => to.extend(['\\', other]),
            None => to.push('\\'),
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str, from: usize) -> Option<Range<usize>> {
        LongestMatch::new(pattern).unwrap().find(text, from)
    }

    #[test]
    fn the_longest_of_the_first_matches_is_found() {
        assert_eq!(found("a|ab", "xab", 0), Some(1..3));
        assert_eq!(found("a*?", "aab", 0), Some(0..2));
        assert_eq!(found("b*", "aab", 0), Some(0..0));
        assert_eq!(found("c", "aab", 0), None);
        // What is in front of the position counts.
        assert_eq!(found("^a", "aab", 1), None);
        assert_eq!(found(r"\bab", "aab", 1), None);
        assert_eq!(found(".+", "é\nx", 0), Some(0..2));
    }

    #[test]
    fn classes_are_those_of_ascii() {
        let matches = |pattern: &str, text: &str| whole_match(pattern).unwrap().is_match(text);
        assert!(matches(r"\w+", "a_9") && !matches(r"\w+", "ö"));
        assert!(matches(r"[\W-]+", "ö-") && matches(r"[^\d]", "٣"));
        assert!(matches(r"\s\S", " \u{a0}") && !matches(r"\s", "\u{b}"));
        assert!(matches(r"\\w", r"\w") && matches(".", "ö"));
        assert!(whole_match("a)(b").is_err() && LongestMatch::new("(").is_err());
    }
}
