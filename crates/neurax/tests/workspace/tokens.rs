//! The text of a Rust file as tokens, and which of them are test items.

use std::ops::Range;

/// An identifier, `::` or a single character.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token<'t> {
    pub text: &'t str,
    /// The offset in the text of the file, in bytes.
    pub at: usize,
}

impl Token<'_> {
    /// Returns the offset behind the token, in bytes.
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

/// Splits `text` into tokens, without comments and literals.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut out, mut at) = (vec![], 0);
    while at < text.len() {
        let (len, is_token) = lexeme(&text[at..]);
        if is_token {
            out.push(Token { text: &text[at..at + len], at });
        }
        at += len;
    }
    out
}

/// Returns the length of the lexeme that `text` begins with, and whether it is a token.
fn lexeme(text: &str) -> (usize, bool) {
    let through = |from: usize, end: &str| {
        text[from..].find(end).map_or(text.len(), |i| from + i + end.len())
    };
    let c = text.chars().next().unwrap_or(' ');
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    match c {
        _ if c.is_whitespace() => (c.len_utf8(), false),
        '/' if text.starts_with("//") => (through(2, "\n"), false),
        '/' if text.starts_with("/*") => (through(2, "*/"), false),
        '"' => (string_len(text), false),
        'r' if raw_string_quote(text).is_some() => {
            let hashes = raw_string_quote(text).unwrap_or(0);
            (through(hashes + 2, &format!("\"{}", "#".repeat(hashes))), false)
        }
        '\'' if text.starts_with("'\\") => (through(3, "'"), false),
        '\'' if text.chars().nth(2) == Some('\'') => (through(1, "'").max(3), false),
        _ if is_part(c) => (text.find(|c| !is_part(c)).unwrap_or(text.len()), true),
        ':' if text.starts_with("::") => (2, true),
        _ => (c.len_utf8(), true),
    }
}

/// Returns the number of `#` if `text` begins with a raw string.
fn raw_string_quote(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let quote = rest.find(|c| c != '#')?;
    rest[quote..].starts_with('"').then_some(quote)
}

/// Returns the length of the string literal that `text` begins with.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == '"' && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

/// Returns the change of the nesting depth at `token`.
pub fn depth_change(token: &str) -> i32 {
    match token {
        "{" | "(" | "[" => 1,
        "}" | ")" | "]" => -1,
        _ => 0,
    }
}

/// Returns the `#[cfg(test)]` items, as ranges of `tokens`.
pub fn test_items(tokens: &[Token<'_>]) -> Vec<Range<usize>> {
    let (mut out, mut at) = (vec![], 0);
    while at < tokens.len() {
        if is_cfg_test(&tokens[at..]) {
            let end = item_end(tokens, at);
            out.push(at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    out
}

fn is_cfg_test(tokens: &[Token<'_>]) -> bool {
    let words: Vec<&str> = tokens.iter().take(7).map(|t| t.text).collect();
    words.starts_with(&["#", "[", "cfg", "(", "test"])
        || words.starts_with(&["#", "[", "cfg", "(", "all", "(", "test"])
}

/// Returns the position behind the item at `start`: behind its block or semicolon, or at the end of
/// the block that contains it.
fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        depth += depth_change(token.text);
        if depth < 0 {
            return at;
        }
        if depth == 0 && ["}", ";"].contains(&token.text) {
            return at + 1;
        }
    }
    tokens.len()
}

/// Returns `tokens` without the `#[cfg(test)]` items.
pub fn without_tests<'t>(tokens: &[Token<'t>]) -> Vec<Token<'t>> {
    let items = test_items(tokens);
    let is_test = |at: usize| items.iter().any(|item| item.contains(&at));
    tokens.iter().enumerate().filter(|(at, _)| !is_test(*at)).map(|(_, token)| *token).collect()
}

/// Returns the names of the modules `mod name;` among the `#[cfg(test)]` items.
pub fn test_modules<'t>(tokens: &[Token<'t>]) -> Vec<&'t str> {
    let name = |item: Range<usize>| match &tokens[item] {
        [.., m, name, end] if (m.text, end.text) == ("mod", ";") => Some(name.text),
        _ => None,
    };
    test_items(tokens).into_iter().filter_map(name).collect()
}
