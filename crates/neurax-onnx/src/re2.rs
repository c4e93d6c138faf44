//! Regular expressions with the meaning of RE2, in which ONNX writes them.
//!
//! RE2 differs from the crate `regex` in three ways that models depend on. Its classes `\w`, `\d`
//! and `\s` and the word boundaries `\b` and `\B` know ASCII alone, while `.` and `[^a]` match any
//! character: [`translated`] writes such classes out. Its classes have no operations on sets, so
//! that `[a&&b]` has three characters: [`translated`] escapes the signs. And RE2 can search for the
//! longest of the matches that begin first, where `regex` prefers the alternative that is written
//! first: `a|ab` in `xab` is `ab` in one and `a` in the other. [`LongestMatch`] finds the beginning
//! by `regex`, and the end by a simulation of the automaton that follows all alternatives.

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
    let (mut to, mut rest) = (String::new(), pattern);
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\\' => escape(rest, &mut to),
            '[' => class(rest, &mut to),
            c => {
                to.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
    to
}

/// Translates the escape that `text` begins with, and returns what is behind it.
fn escape<'p>(text: &'p str, to: &mut String) -> &'p str {
    let mut chars = text.chars();
    chars.next();
    match chars.next() {
        Some('b') => to.push_str(r"(?-u:\b)"),
        Some('B') => to.push_str(r"(?-u:\B)"),
        Some(c) => class_escape(c, to),
        None => to.push('\\'),
    }
    chars.as_str()
}

/// Translates the escape of a character, which may be in a class.
fn class_escape(c: char, to: &mut String) {
    match c {
        'w' => to.push_str("[0-9A-Za-z_]"),
        'W' => to.push_str("[^0-9A-Za-z_]"),
        'd' => to.push_str("[0-9]"),
        'D' => to.push_str("[^0-9]"),
        's' => to.push_str(r"[\t\n\f\r ]"),
        'S' => to.push_str(r"[^\t\n\f\r ]"),
        other => to.extend(['\\', other]),
    }
}

/// Translates the class that `text` begins with, and returns what is behind it. In the class of
/// `regex`, `&&`, `--`, `~~` and an inner `[` are operations on sets; in RE2 they are characters.
fn class<'p>(text: &'p str, to: &mut String) -> &'p str {
    let inner = &text[1..];
    let (open, mut rest) = match inner.strip_prefix('^') {
        Some(negated) => ("[^", negated),
        None => ("[", inner),
    };
    to.push_str(open);
    let mut is_first = true;
    loop {
        if let Some(behind) = rest.strip_prefix(']').filter(|_| !is_first) {
            to.push(']');
            return behind;
        }
        is_first = false;
        if let Some(length) = named_class(rest) {
            to.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        rest = class_character(rest, to);
        // A range, unless the class ends with the sign.
        match rest.strip_prefix('-').filter(|behind| !behind.starts_with(']')) {
            Some(behind) if !is_whole_class(to) => {
                to.push('-');
                rest = class_character(behind, to);
            }
            _ => (),
        }
        if rest.is_empty() {
            // Without an end, the pattern is an error of `regex`.
            return rest;
        }
    }
}

/// Returns the length of the class with a name, `[:alpha:]`, that `text` begins with.
fn named_class(text: &str) -> Option<usize> {
    text.strip_prefix("[:")?.find(":]").map(|end| end + 4)
}

/// Returns true if a translation ends with the class that an escape stands for.
fn is_whole_class(translation: &str) -> bool {
    translation.ends_with(']') && !translation.ends_with(r"\]")
}

/// Translates the character of a class that `text` begins with, and returns what is behind it.
fn class_character<'p>(text: &'p str, to: &mut String) -> &'p str {
    let mut chars = text.chars();
    match chars.next() {
        Some('\\') => match chars.next() {
            Some(c) => class_escape(c, to),
            None => to.push('\\'),
        },
        Some(c @ ('&' | '-' | '~' | '[' | ']' | '^')) => to.extend(['\\', c]),
        Some(c) => to.push(c),
        None => (),
    }
    chars.as_str()
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

    #[test]
    fn signs_of_sets_are_characters_of_classes() {
        let all = |class: &str, texts: &str| {
            let r = whole_match(class).unwrap();
            texts.chars().filter(|c| r.is_match(&c.to_string())).collect::<String>()
        };
        let texts = "ab&-~[]^+,.z";
        assert_eq!(all("[a&&b]", texts), "ab&");
        assert_eq!(all("[a~~b]", texts), "ab~");
        assert_eq!(all("[a[b]", texts), "ab[");
        assert_eq!(all("[+--]", texts), "-+,", "a range from + to -");
        assert_eq!(all("[a--]".replace("a--", "--a").as_str(), "-Ab"), "-A", "a range from -");
        assert_eq!(all(r"[]a]", texts), "a]");
        assert_eq!(all(r"[^]a]", "a]b"), "b");
        assert_eq!(all(r"[\w-]", "a-~"), "a-");
        assert_eq!(all("[[:alpha:]&-]", texts), "ab&-z");
        assert_eq!(all(r"[\x41-\x43-]", "ABCD-"), "ABC-");
        assert!(whole_match("[a").is_err() && whole_match("[").is_err());
    }

    #[test]
    fn boundaries_are_those_of_ascii() {
        assert_eq!(found(r"\B", "éa", 0), Some(0..0), "é is no character of a word");
        assert_eq!(found(r"a\Bé", "aé", 0), None);
        assert_eq!(found(r"a\bé", "aé", 0), Some(0..3));
    }
}
