//! One definition for each name of a type or constant.

use crate::{Source, code_below, report};
use std::collections::BTreeMap;

/// Type names with more than one definition, each with its reason.
const SHARED_TYPE_NAMES: &[(&str, &str)] = &[
    ("Pad", "the op and the layer of that name, as in StableHLO and Axon"),
    ("Reshape", "the op and the layer of that name, as in StableHLO and Keras"),
    ("Split", "the layer of Axon, and the parts of a dataset"),
];

/// Names of constants with more than one definition, each with its reason.
const SHARED_CONSTANT_NAMES: &[(&str, &str)] =
    &[("OPERATORS", "the table of each family of ONNX operators")];

/// The columns by which the body of a module or macro is indented.
const INDENT: &str = "    ";

/// Returns `line` without a visibility, or `None` if it has none.
fn without_visibility(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(inside) => inside.split_once(')')?.1,
        None => rest,
    };
    rest.strip_prefix(' ')
}

/// Returns the name that `line` defines with one of `keywords`, e.g. `struct`.
fn defined<'a>(line: &'a str, keywords: &[&str]) -> Option<&'a str> {
    let rest = without_visibility(line).unwrap_or(line);
    let rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
    let rest = keywords.iter().find_map(|k| rest.strip_prefix(k)?.strip_prefix(' '))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

/// Returns the type that `line` defines: at the top level, or publicly in a module or macro.
fn defined_type(line: &str) -> Option<&str> {
    let inner = line.strip_prefix(INDENT).filter(|inner| without_visibility(inner).is_some());
    defined(inner.unwrap_or(line), &["struct", "enum", "trait", "type", "union"])
}

/// Returns the constant that `line` defines at the top level.
fn defined_constant(line: &str) -> Option<&str> {
    defined(line, &["const", "static"]).filter(|name| !["_", "fn", "unsafe"].contains(name))
}

/// A function that returns the name that a line defines.
type Definer = fn(&str) -> Option<&str>;

/// Returns the names that several lines of `sources` define, each with the lines.
fn defined_twice(sources: &[Source], definer: Definer) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for s in sources {
        for (i, line) in s.code() {
            if let Some(name) = definer(line) {
                found.entry(name.to_string()).or_default().push(format!("{}:{i}", s.path));
            }
        }
    }
    found.retain(|_, at| at.len() > 1);
    found
}

#[test]
fn a_type_name_has_one_definition() {
    let mut shared = defined_twice(&code_below(""), defined_type);
    shared.retain(|name, _| !SHARED_TYPE_NAMES.iter().any(|(n, _)| n == name));
    report(shared.iter().map(|(name, at)| format!("{name}: {}", at.join(", "))).collect());
}

#[test]
fn a_constant_name_has_one_definition() {
    let mut shared = defined_twice(&code_below(""), defined_constant);
    shared.retain(|name, _| !SHARED_CONSTANT_NAMES.iter().any(|(n, _)| n == name));
    report(shared.iter().map(|(name, at)| format!("{name}: {}", at.join(", "))).collect());
}

#[test]
fn a_line_defines_a_type() {
    for (line, want) in [
        ("struct A;", Some("A")),
        ("pub enum A<T> {", Some("A")),
        ("pub(crate) type A_1 = u8;", Some("A_1")),
        ("pub(in crate::b) union A {", Some("A")),
        ("pub unsafe trait A {", Some("A")),
        ("unsafe trait A {", Some("A")),
        ("    pub struct A {", Some("A")),
        ("    struct A {", None),
        ("    type Error = E;", None),
        ("        pub struct $A {", None),
        ("pub fn type_of() {", None),
        ("publish struct", None),
    ] {
        assert_eq!(defined_type(line), want, "{line}");
    }
}

#[test]
fn a_line_defines_a_constant() {
    for (line, want) in [
        ("const A: u8 = 1;", Some("A")),
        ("pub(crate) static A: u8 = 1;", Some("A")),
        ("    pub const A: u8 = 1;", None),
        ("const _: () = ();", None),
        ("pub const fn a() {", None),
    ] {
        assert_eq!(defined_constant(line), want, "{line}");
    }
}

#[test]
fn types_in_macros_and_behind_test_items_are_seen() {
    let text = "m! {\n    pub struct A {}\n}\n#[cfg(test)]\nmod tests;\npub struct A;\n";
    let found = defined_twice(&[crate::example(text)], defined_type);
    assert_eq!(found["A"], ["example.rs:2", "example.rs:6"]);
}
