//! `docs/functions.md` lists every public function of tensors. `BLESS=1 cargo test -p neurax-tensor
//! --test functions` generates it from the doc comments in `src/api`; the test checks that it is up
//! to date.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, str::Chars};

#[test]
fn the_page_of_functions_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let families = families(&root.join("src/api"));
    let count = families.iter().map(|f| f.functions.len()).sum();
    assert!(count >= 120, "only {count} functions were found");
    for f in families.iter().flat_map(|f| &f.functions) {
        assert!(!f.doc.is_empty(), "{} has no doc comment", f.name);
        assert!(f.example, "{} has no example", f.name);
    }
    let text = page(&families, count);
    let path = root.join("../../docs/functions.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/functions.md is out of date; generate it with BLESS=1");
}

#[test]
fn every_free_function_is_in_the_prelude() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let prelude = source.split_once("pub mod prelude {").unwrap().1;
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let names: Vec<&str> = prelude.split(|c| !is_name(c)).collect();
    let families = families(&root.join("src/api"));
    let functions = families.iter().flat_map(|f| &f.functions);
    let free: Vec<&str> = functions
        .map(|f| f.name.split('(').next().unwrap_or_default())
        .filter(|name| name.chars().all(is_name))
        .collect();
    assert!(free.contains(&"einsum") && free.len() > 8, "{free:?}");
    for name in free {
        assert!(names.contains(&name), "`{name}` is not in the prelude");
    }
}

/// The functions of one file.
struct Family {
    title: String,
    functions: Vec<Function>,
}

/// One row of the page.
struct Function {
    /// The name with arguments, and with the result unless it is a tensor.
    name: String,
    /// The first sentence of the doc comment.
    doc: String,
    /// True if the doc comment has an example.
    example: bool,
}

/// Returns the text of the page.
fn page(families: &[Family], count: usize) -> String {
    let mut s = format!(
        "# Functions of tensors\n\n\
         This page lists {count} functions by family.\n\
         `x.f` is a method of `Tensor`, `Tensor::f` creates a tensor, `f` is a free function.\n\
         `Key::f` creates a key or is a method of one.\n\
         The result is a tensor unless the row has another one.\n\
         `impl Operand` is a tensor or a number; `impl IntoAxes` is one axis, several, or `..` for \
         all axes.\n\
         The page is generated from the doc comments: `BLESS=1 cargo test -p neurax-tensor --test \
         functions`.\n"
    );
    for family in families {
        write!(s, "\n## {}\n\n| function | what it computes |\n|---|---|\n", family.title).unwrap();
        for f in &family.functions {
            let row = [&f.name, &f.doc].map(|text| text.replace('|', "\\|"));
            writeln!(s, "| `{}` | {} |", row[0], row[1]).unwrap();
        }
    }
    s
}

/// Returns one family for each file of `folder`; its title is the first line of the file.
fn families(folder: &Path) -> Vec<Family> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.push(folder.join("../operators.rs"));
    paths.sort_by_key(|p| p.file_name().map(ToOwned::to_owned));
    let sources: Vec<String> = paths.iter().map(|p| fs::read_to_string(p).unwrap()).collect();
    let tables: BTreeMap<String, String> =
        sources.iter().flat_map(|s| table_signatures(s)).collect();
    let mut families: Vec<Family> = sources.iter().map(|s| family(s, &tables)).collect();
    families.retain(|f| !f.functions.is_empty());
    families
}

/// Returns the signature of the functions of each table, by the name of its macro.
fn table_signatures(source: &str) -> Vec<(String, String)> {
    let macros = source.split("macro_rules! ").skip(1).filter_map(|m| m.split_once(" {"));
    macros
        .filter_map(|(name, body)| {
            Some((
                name.to_string(),
                signature(body.split("\n}").next()?.split_once("pub fn $f")?.1),
            ))
        })
        .collect()
}

/// Returns the signature without `self` and the usual result: `(y: impl Operand)`, `() -> f64`.
/// `rest` is the source after the name of the function.
fn signature(rest: &str) -> String {
    let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ").replace("crate::", "");
    let (mut depth, mut angles, mut from, mut to) = (0, 0, None, rest.len());
    let mut before = ' ';
    for (i, c) in rest.char_indices() {
        match c {
            '<' => angles += 1,
            '>' if before != '-' => angles -= 1,
            '(' if angles == 0 || depth > 0 => {
                depth += 1;
                from = from.or(Some(i + 1));
            }
            ')' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    to = i;
                    break;
                }
            }
            _ => {}
        }
        before = c;
    }
    let takes = rest.get(from.unwrap_or(to)..to).unwrap_or_default().trim_start();
    let takes =
        ["&self", "self", "mut self"].iter().find_map(|s| takes.strip_prefix(s)).unwrap_or(takes);
    let result =
        rest[to..].strip_prefix(") -> ").and_then(|r| r.split(" {").next()).unwrap_or_default();
    let result = result.split(" where ").next().unwrap_or_default().trim();
    let result = if matches!(result, "" | "Tensor" | "Self") {
        String::new()
    } else {
        format!(" -> {result}")
    };
    format!("({}){result}", takes.trim_start_matches([',', ' ']).trim_end_matches([',', ' ']))
}

/// Reads the functions of one file. `tables` has the signatures of macros.
fn family(source: &str, tables: &BTreeMap<String, String>) -> Family {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let line = source
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("//!")
        .trim()
        .trim_end_matches('.');
    let title = line.split(':').next().unwrap_or_default().to_string();
    let mut functions = vec![];
    // The type whose methods the functions of a table are, by the name of the macro.
    let mut homes = BTreeMap::new();
    let (mut home, mut table, mut doc) = (String::new(), None, vec![]);
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let word = line.trim();
        if let Some(name) = line.strip_prefix("macro_rules! ") {
            table = Some(name.trim_end_matches(" {").to_string());
        } else if line == "}" {
            table = None;
        } else if let Some(of) = word.strip_prefix("impl ") {
            home = of.split([' ', '<']).next().unwrap_or_default().to_string();
            if let Some(name) = &table {
                homes.insert(name.clone(), home.clone());
            }
        }
        if let Some(text) = word.strip_prefix("///") {
            doc.push(text.trim().to_string());
        } else if let Some(rest) = word.strip_prefix("pub fn ").filter(|_| table.is_none()) {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            // The signature may continue on the next lines.
            let whole = [rest]
                .into_iter()
                .chain(lines.clone().take_while(|_| !rest.ends_with('{')))
                .collect::<Vec<_>>()
                .join("\n");
            let whole = whole.split(" {\n").next().unwrap_or_default();
            let method = whole.split(')').next().unwrap_or_default().contains("self");
            let name = shown(line, name, &home, method) + &signature(&whole[name.len()..]);
            functions.push(Function {
                name,
                doc: first_sentence(&doc.join("\n")),
                example: doc.iter().any(|l| l.starts_with("```")),
            });
            doc.clear();
        } else if !word.starts_with("#[") {
            doc.clear();
        }
        if let Some((name, "{")) = line.split_once("! ").filter(|_| !line.starts_with(' ')) {
            let block: Vec<&str> = lines.by_ref().take_while(|l| *l != "}").collect();
            let home = homes.get(name).map_or("Tensor", String::as_str);
            let takes = tables.get(name).map_or("()", String::as_str);
            functions.extend(rows(&block.join("\n"), home, takes));
            functions.extend(operators(name, &block));
        }
    }
    Family { title, functions }
}

/// Returns the name of a function as users call it.
fn shown(line: &str, name: &str, home: &str, method: bool) -> String {
    match (line.starts_with(' '), method, home) {
        (false, ..) => name.to_string(),
        (true, true, "Tensor") => format!("x.{name}"),
        (true, true, "Places") => format!("x.at(i).{name}"),
        (true, _, home) => format!("{home}::{name}"),
    }
}

/// Reads the rows `name = .., "doc", ..;` and `name(x) = .., "doc", ..;` of a table.
fn rows(block: &str, home: &str, takes: &str) -> Vec<Function> {
    let (mut functions, mut text, mut doc, mut depth) = (vec![], String::new(), None, 0);
    let mut chars = block.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                let mut literal = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => literal.extend(escaped(&mut chars)),
                        c => literal.push(c),
                    }
                }
                // A literal of one word is an argument, such as the name of an operation.
                if literal.contains(' ') {
                    doc.get_or_insert(literal);
                }
            }
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            ';' if depth == 0 => {
                let name: String =
                    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if let (Some(doc), true) = (doc.take(), text.contains('=')) {
                    // An arrow precedes the value of the example.
                    functions.push(Function {
                        name: shown(" ", &name, home, true) + takes,
                        doc: first_sentence(&doc),
                        example: text.contains("=>"),
                    });
                }
                text.clear();
                continue;
            }
            _ => {}
        }
        text.push(c);
    }
    functions
}

/// Reads the rest of an escape sequence; a line that ends with a backslash continues without the
/// whitespace at the beginning of the next line.
fn escaped(chars: &mut Chars) -> Option<char> {
    let c = chars.next()?;
    if c != '\n' {
        return Some(c);
    }
    *chars = chars.as_str().trim_start().chars();
    None
}

/// Reads the operators: rows `Trait method ..` of the tables in `operators.rs`.
fn operators(table: &str, block: &[&str]) -> Vec<Function> {
    let symbols = [
        ("Add", "x + y", "Computes the sum; `+=` works in place."),
        ("Sub", "x - y", "Computes the difference; `-=` works in place."),
        ("Mul", "x * y", "Computes the product; `*=` works in place."),
        ("Div", "x / y", "Computes the quotient, f32 for integers; `/=` works in place."),
        ("Rem", "x % y", "Computes the remainder with the sign of `x`; `%=` works in place."),
        ("BitAnd", "x & y", "Computes the bitwise and of integers and bool; `&=` works in place."),
        ("BitOr", "x | y", "Computes the bitwise or of integers and bool; `|=` works in place."),
        (
            "BitXor",
            "x ^ y",
            "Computes the bitwise exclusive or of integers and bool; `^=` works in place.",
        ),
    ];
    if table != "operators" {
        return vec![];
    }
    let one = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        let row = symbols.iter().find(|s| s.0 == word);
        let (_, name, doc) =
            row.unwrap_or_else(|| panic!("the operator {word} has no row in this test"));
        Function { name: name.to_string(), doc: first_sentence(doc), example: true }
    };
    // The first line names the conversions of the operands.
    block.iter().filter(|line| line.contains(": |")).map(one).collect()
}

/// Returns the first sentence on one line, without its full stop and without the brackets of
/// links: ``[`X`]`` becomes `` `X` ``.
fn first_sentence(doc: &str) -> String {
    let paragraph = doc.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let paragraph = paragraph.replace("[`", "`").replace("`]", "`");
    // `..` does not end a sentence.
    let end = paragraph
        .match_indices(". ")
        .find(|(i, _)| !paragraph[..*i].ends_with('.'))
        .map_or(paragraph.len(), |(i, _)| i + 1);
    paragraph[..end].trim().trim_end_matches('.').to_string()
}

#[test]
fn signatures_are_read() {
    assert_eq!(signature("(&self, axes: impl IntoAxes) -> Tensor {"), "(axes: impl IntoAxes)");
    assert_eq!(signature("<const N: usize>(&self) -> [Key; N]"), "() -> [Key; N]");
    assert_eq!(
        signature(
            "<F: Fn(Tensor) -> Tensor>(\n  f: F,\n  n: (usize, usize),\n) -> Self\nwhere F: Send {"
        ),
        "(f: F, n: (usize, usize))"
    );
}

#[test]
fn a_sentence_does_not_end_within_a_range() {
    assert_eq!(first_sentence("`0, 1, .. n - 1` as i32. More."), "`0, 1, .. n - 1` as i32");
    assert_eq!(first_sentence("One line\nand its end\n\nMore."), "One line and its end");
}

#[test]
fn a_link_is_shown_without_brackets() {
    assert_eq!(
        first_sentence("The square root of [`Tensor::var`]."),
        "The square root of `Tensor::var`"
    );
}
