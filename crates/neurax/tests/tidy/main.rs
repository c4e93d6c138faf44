//! Rules of wording and structure that text can show; `docs/testing.md` lists them.
//!
//! Every test collects all violations and prints them as `file:line: rule`.
//! `NEURAX_TIDY=crates/neurax-nn` limits the files to those whose path starts so.

mod definitions;
mod docs;
mod doctests;
mod layout;
mod stages;
mod tokens;
mod words;
#[path = "../workspace/mod.rs"]
mod workspace;

use std::{env, fs};
use workspace::{
    below, files, root,
    tokens::{Token, test_items, test_modules, tokens as tokens_of},
};

/// One file.
struct Source {
    /// The path from the root of the workspace.
    path: String,
    text: String,
}

impl Source {
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    /// Returns the lines outside of `#[cfg(test)]` items.
    fn code(&self) -> Vec<(usize, &str)> {
        let tokens = tokens_of(&self.text);
        let lines = |start: &Token<'_>, end: &Token<'_>| self.line(start.at)..=self.line(end.at);
        let items = test_items(&tokens).into_iter();
        let tests: Vec<_> =
            items.map(|item| lines(&tokens[item.start], &tokens[item.end - 1])).collect();
        let is_code = |i: &usize| !tests.iter().any(|lines| lines.contains(i));
        self.lines().filter(|(i, _)| is_code(i)).collect()
    }

    /// Returns the number of the line at the byte `offset`.
    fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// Returns the paths, without their ending, of the modules that are compiled for tests only.
    fn test_modules(&self) -> Vec<String> {
        let folder = ["mod.rs", "lib.rs", "main.rs"].iter().find_map(|f| self.path.strip_suffix(f));
        let folder = folder.map_or(self.path.replace(".rs", "/"), String::from);
        let names = test_modules(&tokens_of(&self.text)).into_iter();
        names.map(|name| format!("{folder}{name}")).collect()
    }
}

/// Returns all files of the workspace with `ending`.
fn sources(ending: &str) -> Vec<Source> {
    sources_below("", ending)
}

/// Returns the files with `ending` whose path starts with `prefix`. Fails if there is none, so that
/// no rule passes because a folder was renamed.
fn sources_below(prefix: &str, ending: &str) -> Vec<Source> {
    let root = root();
    let paths = files(&root, ending).into_iter().map(|file| (below(&root, &file), file));
    let mut found: Vec<_> = paths.filter(|(path, _)| path.starts_with(prefix)).collect();
    assert!(!found.is_empty(), "no file {prefix}..{ending}");
    let only = env::var("NEURAX_TIDY").unwrap_or_default();
    found.retain(|(path, _)| path.starts_with(&only));
    let read = |(path, file)| Source { path, text: fs::read_to_string(file).unwrap() };
    found.into_iter().map(read).collect()
}

/// Returns the Rust files whose path starts with `prefix` and that are compiled into a program.
fn code_below(prefix: &str) -> Vec<Source> {
    let mut all = sources_below(prefix, ".rs");
    all.retain(|s| s.path.contains("/src/"));
    let tests: Vec<String> = all.iter().flat_map(Source::test_modules).collect();
    let is_in = |path: &str, test: &String| {
        path.strip_prefix(test.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    all.retain(|s| !tests.iter().any(|test| is_in(&s.path, test)));
    all
}

/// Fails with all violations, one a line.
fn report(violations: Vec<String>) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// Returns a source of `text` for the tests of a rule.
fn example(text: &str) -> Source {
    Source { path: "example.rs".into(), text: text.into() }
}

#[test]
fn test_modules_have_paths() {
    for (path, want) in [("a/src/b/mod.rs", "a/src/b/c"), ("a/src/b.rs", "a/src/b/c")] {
        let source = Source { path: path.into(), text: "#[cfg(test)]\nmod c;".into() };
        assert_eq!(source.test_modules(), [want]);
    }
}

#[test]
fn code_is_without_test_items_only() {
    let text = "a();\n#[cfg(test)]\nmod parse;\nb();\n#[cfg(test)]\nfn c() {\n    d();\n}\ne();\n";
    let source = example(text);
    let code: Vec<&str> = source.code().into_iter().map(|(_, line)| line).collect();
    assert_eq!(code, ["a();", "b();", "e();"]);
}
