//! Words and names that a term of the field has replaced.

use crate::{
    Source, report, sources, sources_below,
    workspace::{is_word, tokens::tokens},
};

/// Words of a private vocabulary, each with the field's term.
const OLD_WORDS: &[(&str, &str)] = &[
    ("so many", "the parameter in backticks"),
    ("as many", "the parameter in backticks"),
    ("that many", "the parameter in backticks"),
    ("lie apart", "strided"),
    ("lies apart", "strided"),
    ("side by side", "contiguous"),
    ("into vectors", "vectorize"),
    ("cut into", "divided into tiles, chunks, .."),
    ("of one's own", "custom"),
    ("of its own", "separate"),
    ("of their own", "separate"),
    ("what follows", "epilogue"),
    ("oracle", "reference interpreter"),
    ("the language", "the IR"),
    ("joined", "fused, reduced, concatenated"),
    ("mended", "fixed"),
    ("at once", "simultaneously, eagerly, immediately"),
    ("anew", "again"),
    ("held to", "checked against"),
    ("nobody", "no caller, no step"),
    ("somebody", "the caller"),
    ("anybody", "a caller"),
    ("whoever", "the caller"),
    ("whichever", "the one that"),
    ("shall", "must, is to"),
];
/// Identifiers that the code used before its renaming, each list with the folder.
const OLD_NAMES: &[(&str, &[&str])] = &[
    ("crates/neurax-native/src/schedule/", SCHEDULE_NAMES),
    ("crates/neurax-native/src/", COMPILER_NAMES),
    (
        "crates/neurax-tensor/src/",
        &["Closed", "Endless", "Road", "Skeleton", "Threads", "hold_me", "hollow"],
    ),
    ("crates/neurax-ir/src/", &["maker", "look"]),
];
/// Old names of the scheduler that other stages may use.
const SCHEDULE_NAMES: &[&str] = &["Loop", "follow", "weigh"];
/// Old names of the compiler.
const COMPILER_NAMES: &[&str] = &[
    "Affine",
    "Body",
    "Built",
    "Cut",
    "Do",
    "End",
    "Facts",
    "Fold",
    "Gives",
    "Held",
    "Home",
    "Joiner",
    "Lanes",
    "Leaf",
    "Made",
    "Make",
    "Needs",
    "Nest",
    "Nester",
    "Number",
    "Order",
    "Patches",
    "ReferenceTask",
    "Root",
    "Run",
    "Says",
    "Space",
    "Stop",
    "Turn",
    "Walk",
    "Why",
    "Work",
    "Writer",
    "choose",
    "decide",
    "deepest",
    "first_of",
    "flushed",
    "gap",
    "give",
    "given",
    "heir",
    "inherit",
    "life",
    "spent",
    "tenants",
    "try_join",
    "watch",
];
/// The list itself, and the history.
const UNCHECKED: [&str; 2] = ["crates/neurax/tests/tidy/words.rs", "CHANGELOG.md"];

/// A text in which the lines of a wrapped comment or string are one line.
struct Unwrapped {
    text: String,
    /// The offset in `text` of each line of the file.
    starts: Vec<usize>,
}

impl Unwrapped {
    fn new(source: &Source) -> Unwrapped {
        let (mut text, mut starts, mut in_comment) = (String::new(), vec![], false);
        for (_, line) in source.lines() {
            let comment = comment(&source.path, line);
            let rest = match comment {
                Some(comment) if in_comment => {
                    text.push(' ');
                    comment
                }
                _ if text.ends_with('\\') => {
                    text.pop();
                    line.trim_start()
                }
                _ => {
                    text.push('\n');
                    line
                }
            };
            in_comment = comment.is_some();
            starts.push(text.len());
            text.push_str(rest.trim_end());
        }
        text.make_ascii_lowercase();
        Unwrapped { text, starts }
    }

    /// Returns the number of the line at `offset`.
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// Returns the numbers of the lines at which `word` begins.
    fn find(&self, word: &str) -> Vec<usize> {
        let all = self.text.match_indices(word).map(|(at, _)| at);
        all.filter(|&at| is_word(&self.text, at, word.len())).map(|at| self.line(at)).collect()
    }
}

/// Returns the text of a line of a file that is a comment.
fn comment<'l>(path: &str, line: &'l str) -> Option<&'l str> {
    let line = line.trim_start();
    let markers = if path.ends_with(".rs") { &["///", "//!", "//"][..] } else { &["#"] };
    let is_text = path.ends_with(".md");
    markers.iter().find_map(|m| line.strip_prefix(m)).map(str::trim).filter(|_| !is_text)
}

/// Returns the old words of a file, each with its line.
fn old_words(source: &Source) -> Vec<(usize, &'static str, &'static str)> {
    let text = Unwrapped::new(source);
    let found = OLD_WORDS.iter().flat_map(|&(old, new)| {
        let lines = text.find(old).into_iter();
        lines.map(move |line| (line, old, new))
    });
    found.collect()
}

/// Returns those of `names` that are identifiers of a file, or words in backticks in its comments,
/// each with its line.
fn old_names<'n>(source: &Source, names: &[&'n str]) -> Vec<(usize, &'n str)> {
    let find = |word: &str| names.iter().find(|name| **name == word).copied();
    let in_code = tokens(&source.text).into_iter().filter_map(|token| {
        let name = find(token.text)?;
        Some((source.line(token.at), name))
    });
    let in_comments = source.lines().flat_map(|(i, line)| {
        let quoted = line.split_once("//").map_or("", |(_, comment)| comment).split('`');
        let words = quoted.skip(1).step_by(2).flat_map(|code| code.split([':', '(', '.', '<']));
        words.filter_map(find).map(|name| (i, name)).collect::<Vec<_>>()
    });
    in_code.chain(in_comments).collect()
}

#[test]
fn old_words_do_not_come_back() {
    let mut bad = vec![];
    for s in [".rs", ".md", ".toml", ".sh", ".py"].into_iter().flat_map(sources) {
        if !UNCHECKED.contains(&&*s.path) {
            let found = old_words(&s).into_iter();
            bad.extend(found.map(|(i, old, new)| format!("{}:{i}: \"{old}\", say {new}", s.path)));
        }
    }
    report(bad);
}

#[test]
fn old_names_do_not_come_back() {
    let mut bad = vec![];
    for (folder, names) in OLD_NAMES {
        for s in sources_below(folder, ".rs") {
            let found = old_names(&s, names).into_iter();
            bad.extend(found.map(|(i, name)| format!("{}:{i}: `{name}`", s.path)));
        }
    }
    report(bad);
}

#[test]
fn old_words_are_found_where_they_are_wrapped() {
    for (text, want) in [
        ("/// Held to the sums.", &[(1, "held to")][..]),
        ("a();\n    /// One of so\n    /// many rows.", &[(2, "so many")]),
        ("//! It is held\n//! to the sums, mended.", &[(1, "held to"), (2, "mended")]),
        ("\"one of so \\\n   many rows\"", &[(1, "so many")]),
        ("let so;\nlet many;", &[]),
        ("/// A household to see; unmended.", &[]),
    ] {
        let mut found = old_words(&crate::example(text));
        found.sort();
        let found: Vec<_> = found.into_iter().map(|(line, old, _)| (line, old)).collect();
        assert_eq!(found, want, "{text}");
    }
}

#[test]
fn old_names_are_identifiers() {
    for (text, want) in [
        ("struct Walk;", 1),
        ("walk::Walk::new()", 1),
        ("/// The result of `Walk::new`.", 1),
        ("/// Walk the plank.", 0),
        ("let s = \"Walk\";", 0),
        ("struct SideWalk;", 0),
    ] {
        assert_eq!(old_names(&crate::example(text), &["Walk"]).len(), want, "{text}");
    }
}
