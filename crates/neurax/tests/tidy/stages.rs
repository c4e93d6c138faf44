//! A broken invariant in the compiler is an error, never a value that stands in for one.

use crate::{
    Source, code_below, report,
    workspace::tokens::{Token, depth_change, tokens, without_tests},
};

/// The folder of the compiler, all of whose stages are checked.
const COMPILER: &str = "crates/neurax-native/src/";
/// Methods that replace a missing value by another one.
const SUBSTITUTES: [&str; 3] = ["unwrap_or", "unwrap_or_default", "map_or"];
/// Bodies of wildcard arms that say that nothing is there: the answers of a query.
const ANSWERS: [&str; 3] = ["None", "return None", "false"];
/// Parts of expressions that make an error.
const ERRORS: [&str; 4] = ["bug(", "Err(", "or_bug", "broken("];
/// The beginnings of a line comment, on or above the line, that says why a value is right.
const REASONS: [&str; 2] = ["// empty: ", "// other: "];

/// Returns the wildcard arms and substitutes of a file that are neither an error nor explained.
fn invented(source: &Source) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let all = tokens(&source.text);
    let tokens = without_tests(&all);
    let mut found = vec![];
    for at in 0..tokens.len() {
        let Some(end) = wildcard_arm(&tokens[at..]).or_else(|| substitute(&tokens[at..])) else {
            continue;
        };
        let text = &source.text[tokens[at].at..tokens[at + end - 1].end()];
        let line = source.line(tokens[at].at);
        if !is_harmless(text) && !is_explained(&lines, line - 1) {
            found.push((line, lines[line - 1].trim()));
        }
    }
    found
}

/// Returns true if a wildcard arm or substitute is an error, or the answer of a query.
fn is_harmless(text: &str) -> bool {
    let body =
        text.split_once("=>").map_or("", |(_, body)| body.trim_matches([' ', ',', '\n', '}']));
    ANSWERS.contains(&body) || ERRORS.iter().any(|error| text.contains(error))
}

/// Returns the number of tokens of the arm `_ => ..` that `tokens` begin with.
fn wildcard_arm(tokens: &[Token<'_>]) -> Option<usize> {
    let [a, b, c, ..] = tokens else { return None };
    if (a.text, b.text, c.text) != ("_", "=", ">") {
        return None;
    }
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(3) {
        depth += depth_change(token.text);
        let is_block_end = depth == 0 && token.text == "}" && tokens[3].text == "{";
        if depth < 0 || (depth == 0 && token.text == ",") || is_block_end {
            return Some(at + 1);
        }
    }
    Some(tokens.len())
}

/// Returns the number of tokens of the call of one of [`SUBSTITUTES`] that `tokens` begin with.
fn substitute(tokens: &[Token<'_>]) -> Option<usize> {
    let [dot, name, open, ..] = tokens else { return None };
    if dot.text != "." || !SUBSTITUTES.contains(&name.text) || open.text != "(" {
        return None;
    }
    let mut depth = 0;
    let is_end = |token: &Token<'_>| {
        depth += depth_change(token.text);
        depth == 0
    };
    tokens[2..].iter().position(is_end).map(|at| at + 3)
}

/// Returns true if the line `at`, or the comment above it, gives a reason.
fn is_explained(lines: &[&str], at: usize) -> bool {
    let gives_reason = |line: &str| REASONS.iter().any(|reason| line.contains(reason));
    let above = lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with("//"));
    gives_reason(lines[at]) || above.into_iter().any(|line| gives_reason(line))
}

#[test]
fn compiler_stages_invent_no_values() {
    let mut bad = vec![];
    for s in &code_below(COMPILER) {
        let found = invented(s).into_iter();
        bad.extend(found.map(|(i, line)| format!("{}:{i}: {line}", s.path)));
    }
    report(bad);
}

#[test]
fn invented_values_are_found() {
    for (text, want) in [
        ("match a { A => 1, _ => 0 }", 1),
        ("match a { A => 1, _ => xs[0], }", 1),
        ("match a {\n    A => {}\n    _ => {}\n}", 1),
        ("match a { A => 1, _ => return Err(e) }", 0),
        ("match a { A => 1, _ => { return bug(\"expected a, b\") } }", 0),
        ("match a { A => Err(e), _ => 0 }", 1),
        ("match a { B => match b { _ => 0 }, C => bug(c) }", 1),
        ("match a {\n    // other: b is 0\n    // by the law above.\n    _ => 0,\n}", 0),
        ("match a {\n    _ => {} // empty: nothing to do\n}", 0),
        ("match a { A => Some(1), _ => None }", 0),
        ("match a {\n    A => true,\n    _ => false,\n}", 0),
        ("match a { A => Some(1), _ => Some(0) }", 1),
        ("matches!(a, A | _)", 0),
        ("let f = |_| 0; let _ = a;", 0),
        ("a.unwrap_or(1)", 1),
        ("a\n    .unwrap_or(\n        usize::MAX,\n    )", 1),
        ("a.unwrap_or_default()", 1),
        ("a.map_or(0, |x| x)", 1),
        ("a.map_or(Err(e), |x| Ok(x))", 0),
        ("// empty: no operand\na.unwrap_or(0)", 0),
        ("#[cfg(test)]\nfn f() { a.unwrap_or(0); }", 0),
        ("\"_ => 0\"; // _ => 0", 0),
    ] {
        assert_eq!(invented(&crate::example(text)).len(), want, "{text}");
    }
}
