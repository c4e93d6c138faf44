//! Rules that have no file yet.

use crate::{Source, code_below, report};
use std::collections::BTreeMap;

/// Type names with more than one definition, each with its reason.
const SHARED_TYPE_NAMES: &[(&str, &str)] = &[];

/// Returns the name that `line` defines with one of `keywords`, e.g. `struct`.
fn defined<'a>(line: &'a str, keywords: &[&str]) -> Option<&'a str> {
    let mut rest = line;
    for visibility in ["pub(crate) ", "pub(super) ", "pub "] {
        rest = rest.strip_prefix(visibility).unwrap_or(rest);
    }
    let rest = keywords.iter().find_map(|k| rest.strip_prefix(k)?.strip_prefix(' '))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

/// Returns where each name is defined at the top level of library code.
fn definitions(keywords: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for s in &code_below("") {
        for (i, line) in code(s) {
            if let Some(name) = defined(line, keywords) {
                found.entry(name.to_string()).or_default().push(format!("{}:{i}", s.path));
            }
        }
    }
    found
}

#[test]
fn a_type_name_has_one_definition() {
    let allowed = |name: &str| SHARED_TYPE_NAMES.iter().any(|(n, _)| *n == name);
    let all = definitions(&["struct", "enum", "trait", "type", "union"]);
    let shared = all.into_iter().filter(|(name, at)| at.len() > 1 && !allowed(name));
    report(shared.map(|(name, at)| format!("{name}: {}", at.join(", "))).collect());
}

#[test]
fn a_constant_name_has_one_definition() {
    let all = definitions(&["const", "static"]);
    let shared = all.into_iter().filter(|(name, at)| at.len() > 1 && name != "_");
    report(shared.map(|(name, at)| format!("{name}: {}", at.join(", "))).collect());
}

/// Returns the lines before the unit tests.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let is_tests = |line: &str| line.trim_start().starts_with("#[cfg(test)]");
    source.lines().take_while(move |(_, line)| !is_tests(line))
}
