//! The text of one file as tokens, imports and definitions.

use crate::workspace::tokens;
use std::{collections::BTreeSet, iter::Peekable};

/// A `use` declaration of one name.
#[derive(Clone)]
pub struct Import {
    /// The path, from the module of the declaration.
    pub path: Vec<String>,
    /// The name that it introduces, or `*`.
    pub name: String,
    /// True for `pub use` and `pub(crate) use`.
    pub is_reexport: bool,
}

/// The text of one file, without comments, strings and test items.
pub struct Source {
    pub file: String,
    pub module: Vec<String>,
    /// The tokens but for the `use` declarations.
    pub code: Vec<String>,
    pub imports: Vec<Import>,
    /// The names that the file defines.
    pub defined: BTreeSet<String>,
    /// True if a macro of the file re-exports modules that it is given.
    pub has_macro_reexport: bool,
}

impl Source {
    /// Scans `text`; the modules of `#[cfg(test)] mod name;` are added to `tests`.
    pub fn parse(
        file: String,
        module: Vec<String>,
        text: &str,
        tests: &mut Vec<Vec<String>>,
    ) -> Source {
        let tokens = code(text, &module, tests);
        let mut source = Source {
            file,
            module,
            code: vec![],
            imports: vec![],
            defined: BTreeSet::new(),
            has_macro_reexport: false,
        };
        let (mut at, mut depth) = (0, 0usize);
        while at < tokens.len() {
            let next = tokens.get(at + 1).map_or("", String::as_str);
            match tokens[at].as_str() {
                "use" if next == "$" => source.has_macro_reexport = true,
                "use" if next != "<" => {
                    let end = at + tokens[at..].iter().position(|t| t == ";").unwrap_or(0);
                    let is_reexport = at > 0 && ["pub", ")"].contains(&&*tokens[at - 1]);
                    let mut tree = tokens[at + 1..end].iter().map(String::as_str).peekable();
                    import_tree(&mut tree, vec![], is_reexport, &mut source.imports);
                    at = end;
                }
                "struct" | "enum" | "trait" | "union" => _ = source.defined.insert(next.into()),
                "fn" | "const" | "static" | "type" if depth == 0 => {
                    source.defined.insert(next.into());
                }
                "macro_rules" => _ = source.defined.insert(tokens[at + 2].clone()),
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            source.code.push(tokens[at].clone());
            at += 1;
        }
        source
    }

    /// Returns the identifiers of the code that do not follow `.` or `::`, each with its position.
    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_start =
            |at: usize| at == 0 || !["::", ".", "mod", "fn"].contains(&&*self.code[at - 1]);
        let is_word = |word: &str| word.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let words = self.code.iter().map(String::as_str).enumerate();
        words.filter(move |&(at, word)| is_word(word) && is_start(at))
    }

    /// Returns the tokens of the path that begins at `at`.
    pub fn path(&self, at: usize) -> &[String] {
        let is_more = |end: usize| {
            self.code.get(end).is_some_and(|t| t == "::")
                && self.code.get(end + 1).is_some_and(|t| t.starts_with(char::is_alphabetic))
        };
        let mut end = at + 1;
        while is_more(end) {
            end += 2;
        }
        &self.code[at..end]
    }

    /// Returns true if the word at `at` can be the name of an item: a type or constant, or called.
    pub fn is_name(&self, at: usize) -> bool {
        let next = self.code.get(at + 1).map_or("", String::as_str);
        self.code[at].starts_with(char::is_uppercase) || ["(", "!", "::"].contains(&next)
    }

    /// Returns true if the file defines or imports `name`.
    pub fn knows(&self, name: &str) -> bool {
        self.defined.contains(name) || self.imports.iter().any(|import| import.name == name)
    }

    /// Returns true if the code uses `name`.
    pub fn is_used(&self, name: &str) -> bool {
        self.words().any(|(_, word)| word == name)
    }

    /// Returns true if the code uses `name` other than as the beginning of a path.
    pub fn is_used_alone(&self, name: &str) -> bool {
        self.words().any(|(at, word)| {
            word == name
                && self.path(at).len() == 1
                && self.code.get(at + 1).is_some_and(|t| t == "(")
        })
    }
}

/// Adds the names of a use tree below `prefix` to `out`.
fn import_tree<'t>(
    tree: &mut Peekable<impl Iterator<Item = &'t str>>,
    prefix: Vec<String>,
    is_reexport: bool,
    out: &mut Vec<Import>,
) {
    let mut path = prefix.clone();
    let mut name = None;
    while let Some(&token) = tree.peek() {
        match token {
            "}" | "," => break,
            "{" => {
                tree.next();
                while tree.peek().is_some_and(|t| *t != "}") {
                    import_tree(tree, path.clone(), is_reexport, out);
                    tree.next_if_eq(&",");
                }
                tree.next();
                return;
            }
            "*" => name = Some("*".to_string()),
            "as" => {
                tree.next();
                name = tree.peek().map(|t| t.to_string());
            }
            "::" => {}
            word => path.push(word.to_string()),
        }
        tree.next();
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    if let Some(last) = path.last() {
        out.push(Import { name: name.unwrap_or(last.clone()), path, is_reexport });
    }
}

/// Returns the tokens of `text` without `#[cfg(test)]` items; the modules of `mod name;` among them
/// are added to `tests`.
fn code(text: &str, module: &[String], tests: &mut Vec<Vec<String>>) -> Vec<String> {
    let all = tokens::tokens(text);
    let names = tokens::test_modules(&all).into_iter();
    tests.extend(names.map(|name| [module, &[name.to_string()]].concat()));
    tokens::without_tests(&all).iter().map(|token| token.text.to_string()).collect()
}
