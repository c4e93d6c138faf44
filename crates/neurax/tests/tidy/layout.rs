//! Lengths of lines and files, and one sentence a line in Markdown.

use crate::{Source, report, sources};

/// The most columns of a line of code or comment.
const MAX_COLUMNS: usize = 100;
/// The most lines of a file.
const MAX_LINES: usize = 600;

#[test]
fn lines_have_at_most_100_columns() {
    // A value of a manifest, such as the description of a crate, cannot be wrapped.
    let can_wrap = |s: &Source, l: &str| !s.path.ends_with(".toml") || l.starts_with('#');
    let too_long = |s: &Source| {
        let long = s.lines().filter(|(_, l)| l.chars().count() > MAX_COLUMNS && can_wrap(s, l));
        long.map(|(i, l)| format!("{}:{i}: {} columns", s.path, l.chars().count()))
            .collect::<Vec<_>>()
    };
    let all = [".rs", ".toml", ".sh", ".py"].into_iter().flat_map(sources);
    report(all.flat_map(|s| too_long(&s)).collect());
}

#[test]
fn files_have_at_most_600_lines() {
    let counts = sources(".rs").into_iter().map(|s| (s.text.lines().count(), s.path));
    report(
        counts.filter(|(n, _)| *n > MAX_LINES).map(|(n, p)| format!("{p}: {n} lines")).collect(),
    );
}

#[test]
fn markdown_has_one_sentence_a_line() {
    let mut bad = vec![];
    for s in &sources(".md") {
        let mut in_code = false;
        for (i, line) in s.lines() {
            in_code ^= line.trim_start().starts_with("```");
            if !in_code && !line.starts_with('|') && has_two_sentences(line) {
                bad.push(format!("{}:{i}: two sentences", s.path));
            }
        }
    }
    report(bad);
}

/// Returns true if a sentence ends within `line`, outside of code and parentheses, and another one
/// follows: it begins with a capital, code or emphasis.
fn has_two_sentences(line: &str) -> bool {
    let ends = [". ", "? ", "! "].iter().flat_map(|end| line.match_indices(end));
    let is_end = |at: usize| {
        let (head, tail) = (&line[..at], &line[at + 2..]);
        let in_code = head.matches('`').count() % 2 == 1;
        let in_parens = head.matches('(').count() > head.matches(')').count();
        let is_dots = [".", "e.g", "i.e", "vs"].iter().any(|end| head.ends_with(end));
        let is_number = head.trim().chars().all(|c| c.is_ascii_digit());
        let starts = tail.starts_with(|c: char| c.is_uppercase() || c == '`' || c == '*');
        starts && !in_code && !in_parens && !is_dots && !is_number
    };
    ends.into_iter().any(|(at, _)| is_end(at))
}

#[test]
fn two_sentences_are_found() {
    for (line, want) in [
        ("One sentence.", false),
        ("One. Two.", true),
        ("One. `two` is code.", true),
        ("One. *Two* is emphasis.", true),
        ("One? Two.", true),
        ("One (e.g. `a`). Two.", true),
        ("1. One.", false),
        ("1. One. Two.", true),
        ("Values, e.g. `a`, i.e. B.", false),
        ("It prints `a. B`.", false),
        ("One (see there. Or here).", false),
        ("A, b .. `c` follows.", false),
    ] {
        assert_eq!(has_two_sentences(line), want, "{line}");
    }
}
