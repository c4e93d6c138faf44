//! How doc comments open, and that no wrapped line reads as an item of a list.

use crate::{
    Source, code_below, report, sources, sources_below,
    workspace::tokens::{Token, depth_change, tokens},
};

/// Words that do not open a doc comment: they promise a riddle instead of a noun or a verb.
const BAD_OPENINGS: [&str; 14] = [
    "What", "Which", "Who", "Whose", "How", "So", "That", "Those", "Where", "Why", "Is", "Are",
    "Does", "Has",
];
/// Words with the ending of a third-person verb that open the doc of a function like a noun.
const PLURALS: [&str; 9] =
    ["This", "Its", "Bits", "Bytes", "Sums", "Axes", "Types", "Values", "Rows"];
/// Verbs of functions that do something, and return whether they did.
const ACTING_VERBS: [&str; 4] = ["Skips", "Moves", "Adds", "Writes"];
/// The folder with the tables of functions whose docs are strings.
const TABLES: &str = "crates/neurax-tensor/src/api/";

/// A doc comment and the item behind it.
struct Doc {
    line: usize,
    /// The first line of the comment.
    first: String,
    /// The item up to its block or its end, on one line, without attributes.
    item: String,
}

impl Doc {
    /// Returns the first word.
    fn opening(&self) -> &str {
        self.first.split([' ', ',', ':', '.']).next().unwrap_or("")
    }

    /// Returns true if the doc opens with a riddle or asks.
    fn is_riddle(&self) -> bool {
        BAD_OPENINGS.contains(&self.opening()) || self.first.ends_with('?')
    }

    /// Returns true if the doc opens with a third-person verb.
    fn opens_with_verb(&self) -> bool {
        let word = self.opening();
        word.ends_with('s') && word.starts_with(char::is_uppercase) && !PLURALS.contains(&word)
    }

    /// Returns true if this is the doc of a predicate, and does not say when it returns true.
    fn is_vague_predicate(&self) -> bool {
        returns_bool(&self.item)
            && !self.first.starts_with("Returns true ")
            && !ACTING_VERBS.contains(&self.opening())
    }
}

/// Returns the outer doc comments of a file.
fn docs(source: &Source) -> Vec<Doc> {
    let tokens = tokens(&source.text);
    let lines: Vec<&str> = source.text.split_inclusive('\n').collect();
    let is_start = |i: usize| is_outer_doc(lines[i]) && (i == 0 || !is_outer_doc(lines[i - 1]));
    let (mut found, mut offset) = (vec![], 0);
    for (i, line) in lines.iter().enumerate() {
        if is_start(i) {
            let first = line.trim()[3..].trim().to_string();
            let next = tokens.partition_point(|token| token.at < offset);
            found.push(Doc { line: i + 1, first, item: item(&source.text, &tokens[next..]) });
        }
        offset += line.len();
    }
    found
}

fn is_outer_doc(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("///") && !line.starts_with("////")
}

/// Returns the item that `tokens` of `text` begin with, up to its block or its end, on one line,
/// without attributes.
fn item(text: &str, tokens: &[Token<'_>]) -> String {
    let mut tokens = tokens;
    while let [first, second, ..] = tokens
        && (first.text, second.text) == ("#", "[")
    {
        tokens = &tokens[attribute_len(tokens)..];
    }
    let Some(start) = tokens.first() else { return String::new() };
    let mut depth = 0;
    let is_end = |token: &&Token<'_>| {
        let is_end = depth == 0 && ["{", ";", "}"].contains(&token.text);
        depth += depth_change(token.text);
        is_end
    };
    let end = tokens.iter().find(is_end).map_or(text.len(), |token| token.at);
    text[start.at..end].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the number of tokens of the attribute that `tokens` begin with.
fn attribute_len(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(1) {
        depth += depth_change(token.text);
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

fn is_function(item: &str) -> bool {
    let mut words = item.split([' ', '(']);
    let modifiers = ["pub", "crate)", "super)", "const", "unsafe", "extern", "\"C\"", "async"];
    words.find(|w| !modifiers.contains(w)) == Some("fn")
}

/// Returns true if `item` is a function whose result is a bool.
fn returns_bool(item: &str) -> bool {
    let signature = item.split(" where ").next().unwrap_or(item);
    let result = signature.rsplit_once(") -> ").map(|(_, result)| result.trim());
    is_function(item) && result == Some("bool")
}

/// Returns the docs of the rows `name = .., "doc", "code" => "value";` of tables of functions.
fn row_docs(source: &Source) -> Vec<Doc> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let examples = (0..lines.len()).filter(|&i| lines[i].starts_with('"'));
    let examples = examples.filter(|&i| lines[i].contains("\" => \""));
    let start = |i: usize| (0..i).rev().find(|&i| lines[i].starts_with('"'));
    let doc = |i: usize| Doc {
        line: i + 1,
        first: lines[i].trim_matches(['"', ',']).to_string(),
        item: "fn row()".into(),
    };
    examples.filter_map(start).map(doc).collect()
}

/// Returns the docs of functions of library code, with their files.
fn function_docs() -> Vec<(String, Doc)> {
    let mut all = vec![];
    for s in &code_below("") {
        let docs = docs(s).into_iter().filter(|d| is_function(&d.item));
        all.extend(docs.map(|d| (s.path.clone(), d)));
    }
    for s in &sources_below(TABLES, ".rs") {
        all.extend(row_docs(s).into_iter().map(|d| (s.path.clone(), d)));
    }
    all
}

/// Returns the lines of doc comments that Markdown reads as items of a list, but that continue a
/// paragraph, or have another bullet than `-`.
fn accidental_bullets(source: &Source) -> Vec<usize> {
    let (mut found, mut in_code, mut may_begin) = (vec![], false, true);
    for (i, line) in source.lines() {
        let Some(text) = doc_text(line) else {
            (in_code, may_begin) = (false, true);
            continue;
        };
        in_code ^= text.starts_with("```");
        let is_bullet = ["- ", "* ", "+ "].iter().any(|bullet| text.starts_with(bullet));
        if is_bullet && !in_code && (!may_begin || !text.starts_with('-')) {
            found.push(i);
        }
        // A list follows an empty line or a colon, and goes on until the next empty line.
        let is_item = may_begin && (is_bullet || text.starts_with(' '));
        may_begin = text.is_empty() || text.ends_with(':') || is_item;
    }
    found
}

/// Returns the text of a line of a doc comment, with its indentation.
fn doc_text(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("///").or(line.strip_prefix("//!"))?;
    Some(text.strip_prefix(' ').unwrap_or(text).trim_end())
}

#[test]
fn doc_comments_open_with_a_noun_or_a_verb() {
    let mut bad = vec![];
    for s in &sources(".rs") {
        for d in docs(s).iter().filter(|d| d.is_riddle()) {
            bad.push(format!("{}:{}: opens with \"{}\"", s.path, d.line, d.first));
        }
    }
    report(bad);
}

#[test]
fn docs_of_functions_open_with_a_third_person_verb() {
    let bad = function_docs().into_iter().filter(|(_, d)| !d.opens_with_verb());
    report(bad.map(|(path, d)| format!("{path}:{}: \"{}\"", d.line, d.first)).collect());
}

#[test]
fn predicates_say_when_they_return_true() {
    let bad = function_docs().into_iter().filter(|(_, d)| d.is_vague_predicate());
    report(bad.map(|(path, d)| format!("{path}:{}: \"{}\"", d.line, d.first)).collect());
}

#[test]
fn lines_of_docs_are_no_bullets_by_accident() {
    let mut bad = vec![];
    for s in &sources(".rs") {
        let found = accidental_bullets(s).into_iter();
        bad.extend(found.map(|i| format!("{}:{i}: a list, or another bullet than `-`", s.path)));
    }
    report(bad);
}

/// Returns the only doc of `text`.
fn only_doc(text: &str) -> Doc {
    let mut all = docs(&crate::example(text));
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

#[test]
fn items_are_read_over_several_lines() {
    for (text, want) in [
        ("/// A.\n/// B.\npub fn a() -> bool {\n    b()\n}", "pub fn a() -> bool"),
        ("/// A.\n#[track_caller]\nfn a(\n    x: u8,\n) -> bool;", "fn a( x: u8, ) -> bool"),
        ("/// A.\n#[must_use]\n#[cfg(any(\n    a,\n    b\n))]\nfn a() {}", "fn a()"),
        ("/// A.\nconst A: [u8; 2] = [1, 2];", "const A: [u8; 2] = [1, 2]"),
    ] {
        assert_eq!(only_doc(text).item, want, "{text}");
    }
}

#[test]
fn functions_and_predicates_are_known() {
    for (item, function, predicate) in [
        ("pub fn a() -> bool", true, true),
        ("pub(crate) const unsafe fn a(&self) -> bool", true, true),
        ("fn a<T>(x: T) -> bool where T: Fn(u8) -> u8", true, true),
        ("fn a(f: impl Fn(u8) -> bool)", true, false),
        ("fn a(f: impl Fn(u8) -> bool) -> u8", true, false),
        ("pub type F = fn(u8) -> bool", false, false),
        ("is_a: bool, fn_b: u8", false, false),
    ] {
        assert_eq!((is_function(item), returns_bool(item)), (function, predicate), "{item}");
    }
}

#[test]
fn docs_are_judged_by_their_opening() {
    for (doc, riddle, verb, vague) in [
        ("Returns true if it is so.", false, true, false),
        ("Returns whether it is so.", false, true, true),
        ("Adds a row, and returns true if it is new.", false, true, false),
        ("What is done.", true, false, true),
        ("Are they so?", true, false, true),
        ("The rows.", false, false, true),
        ("Rows of the table.", false, false, true),
    ] {
        let d = only_doc(&format!("/// {doc}\nfn a() -> bool;"));
        let found = (d.is_riddle(), d.opens_with_verb(), d.is_vague_predicate());
        assert_eq!(found, (riddle, verb, vague), "{doc}");
    }
}

#[test]
fn docs_of_rows_are_read() {
    let text = "a = A,\n    \"Computes a, \\\n     wrapped.\",\n    \"a()\" => \"1\";\n\
                b(x) = \"no doc\".len(),\n    \"The b.\",\n    \"b()\" => \"2\";\n";
    let docs = row_docs(&crate::example(text));
    let found: Vec<_> = docs.iter().map(|d| (d.line, d.opens_with_verb())).collect();
    assert_eq!(found, [(2, true), (6, false)]);
}

#[test]
fn bullets_by_accident_are_found() {
    for (text, want) in [
        ("/// A:\n///\n/// - a\n///   b\n/// - c", &[][..]),
        ("/// Invariants:\n/// - a\n///   b\n/// - c", &[]),
        ("/// The sum `x\n/// + y`.", &[2]),
        ("/// The product `x\n/// * y`.", &[2]),
        ("/// The difference `x\n/// - y`.", &[2]),
        ("/// * a\n/// * b", &[1, 2]),
        ("/// ```\n/// a\n/// - b\n/// ```", &[]),
    ] {
        assert_eq!(accidental_bullets(&crate::example(text)), want, "{text}");
    }
}
