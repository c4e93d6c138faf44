//! A doctest for every public function of the crates of tensors.
//!
//! A function is public if it is a `pub fn`, and a method if its type is `pub` as well: types and
//! functions for other modules of the crate are `pub(crate)` or narrower, and what `#[doc(hidden)]`
//! hides is for other crates of the workspace. Methods of traits are not read.

use crate::{Source, code_below, report};
use std::collections::BTreeSet;

/// The crates whose functions need a doctest.
const CRATES: [&str; 2] = ["crates/neurax-tensor/src/", "crates/neurax-sparse/src/"];

/// Files whose functions need none, each with its reason.
const WITHOUT_DOCTESTS: &[(&str, &str)] = &[];

/// A public item with what stands above it, and the type of a method.
struct Item<'a> {
    line: usize,
    /// The declaration, from `pub` on.
    text: &'a str,
    /// The doc comments and attributes.
    above: Vec<&'a str>,
    /// The type whose `impl` block contains the item.
    of: Option<&'a str>,
}

impl Item<'_> {
    /// Returns true if the docs have an example, or the table of functions makes one.
    fn has_doctest(&self) -> bool {
        // A macro's doc has the whole example in one string.
        let is_macro = |l: &&str| l.contains("example!(") || l.contains("\\n```\\n");
        // Every second fence ends a block.
        let fences = self.above.iter().filter_map(|l| l.strip_prefix("/// ```"));
        let runs = |language: &str| !["text", "ignore"].contains(&language);
        self.above.iter().any(is_macro) || fences.step_by(2).any(runs)
    }

    fn is_hidden(&self) -> bool {
        self.above.contains(&"#[doc(hidden)]")
    }

    /// Returns the name of the item if it is declared with one of `keywords`, e.g. `fn`.
    fn name(&self, keywords: &[&str]) -> Option<&str> {
        let rest = self.text.strip_prefix("pub ")?;
        let words = rest.split_inclusive([' ', '(', '<', '{', ';', ':']).map(|w| w.trim_end());
        let mut words = words.skip_while(|w| ["unsafe", "const", "async"].contains(w));
        let is_one = words.next().is_some_and(|word| keywords.contains(&word));
        let name = words.next().map(|w| w.trim_end_matches(['(', '<', '{', ';', ':']));
        name.filter(|_| is_one)
    }
}

/// Returns the public items of a file outside of its tests.
fn items(source: &Source) -> Vec<Item<'_>> {
    let (mut found, mut above, mut blocks) = (vec![], vec![], vec![]);
    let mut in_attribute = false;
    for (line, text) in source.code() {
        let trimmed = text.trim_start();
        let indent = text.len() - trimmed.len();
        if in_attribute || trimmed.starts_with("#[") || trimmed.starts_with("///") {
            in_attribute = !trimmed.starts_with("///") && !trimmed.ends_with(']');
            above.push(trimmed);
            continue;
        }
        if trimmed.is_empty() {
            above.clear();
        } else if !trimmed.starts_with("//") {
            blocks.retain(|(outer, _)| *outer < indent);
            if let Some(of) = implemented(trimmed) {
                blocks.push((indent, of));
            }
            let of = blocks.last().map(|(_, of)| *of);
            let above = std::mem::take(&mut above);
            if trimmed.starts_with("pub ") {
                found.push(Item { line, text: trimmed, above, of });
            }
        }
    }
    found
}

/// Returns the type of the `impl` block that `line` begins.
fn implemented(line: &str) -> Option<&str> {
    let mut rest = line.strip_prefix("impl")?;
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.find(|c| {
            depth += i32::from(c == '<') - i32::from(c == '>');
            depth == 0
        })?;
        rest = &rest[end + 1..];
    }
    let rest = rest.strip_prefix(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Returns the public functions without a doctest, with file and line.
fn without_doctest(sources: &[Source]) -> Vec<String> {
    let items: Vec<_> =
        sources.iter().flat_map(|s| items(s).into_iter().map(move |item| (s, item))).collect();
    let types = ["struct", "enum", "union", "trait"];
    let visible = items.iter().filter(|(_, item)| !item.is_hidden());
    let public: BTreeSet<&str> =
        visible.clone().filter_map(|(_, item)| item.name(&types)).collect();
    let functions = visible.filter(|(_, item)| item.of.is_none_or(|of| public.contains(of)));
    let missing = functions.filter(|(_, item)| !item.has_doctest());
    let describe = |(s, item): &(&Source, Item<'_>)| {
        let name = item.name(&["fn"])?;
        let of = item.of.map_or(String::new(), |of| format!("{of}::"));
        Some(format!(
            "{}:{}: the public function `{of}{name}` has no doctest: show a call and its result, \
             or make it `pub(crate)`",
            s.path, item.line
        ))
    };
    missing.filter_map(describe).collect()
}

#[test]
fn public_functions_of_tensors_have_a_doctest() {
    let mut missing = vec![];
    for prefix in CRATES {
        let mut sources = code_below(prefix);
        sources.retain(|s| !WITHOUT_DOCTESTS.iter().any(|(path, _)| s.path == *path));
        missing.extend(without_doctest(&sources));
    }
    report(missing);
}

#[test]
fn functions_without_a_doctest_are_found() {
    let shown = "/// A.\n///\n/// ```\n/// a();\n/// ```\n#[must_use]\n// Why.\npub fn a() {}\n";
    let of = |ty: &str, function: &str| {
        let body = function.trim_end().replace('\n', "\n    ");
        format!("{ty}\nimpl<'a, T: B<C>> A<'a, T> {{\n    {body}\n}}\n")
    };
    for (text, want) in [
        (shown.to_string(), None),
        ("/// A.\npub fn a() {}".into(), Some("a")),
        ("/// A.\npub const unsafe fn a() {}".into(), Some("a")),
        ("/// A.\n#[doc(hidden)]\npub fn a() {}".into(), None),
        ("/// A.\npub(crate) fn a() {}".into(), None),
        ("#[cfg(test)]\nmod tests {\n    pub fn a() {}\n}".into(), None),
        (of("pub struct A;", shown), None),
        (of("pub struct A<'a, T>(&'a T);", "/// A.\npub fn a() {}"), Some("A::a")),
        (of("pub(crate) struct A;", "/// A.\npub fn a() {}"), None),
        (of("#[doc(hidden)]\npub enum A {}", "/// A.\npub fn a() {}"), None),
        (format!("{shown}\npub fn b() {{}}"), Some("b")),
        (
            "pub struct A;\nm! {\n    impl A {\n        /// A.\n        pub fn a() {}\n    }\n}"
                .into(),
            Some("A::a"),
        ),
        ("#[doc = $doc]\n#[doc = example!(\n    a => b\n)]\npub fn $f() {}".into(), None),
        ("#[doc = $doc]\npub fn $f() {}".into(), Some("$f")),
    ] {
        let found = without_doctest(&[crate::example(&text)]);
        let want: Vec<String> = want.iter().map(|name| format!("`{name}`")).collect();
        assert_eq!(found.len(), want.len(), "{text}\n{found:?}");
        assert!(found.iter().zip(&want).all(|(have, name)| have.contains(name)), "{found:?}");
    }
}
