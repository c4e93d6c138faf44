//! The pages `docs/coverage/nx.md` and `jax.md` name functions that exist: a row says which
//! function of ours computes the same, how it is written without one, why it is refused, or what is
//! left.

mod workspace;

use std::{collections::BTreeSet, fs};
use workspace::root;

const PAGES: [&str; 2] = ["docs/coverage/nx.md", "docs/coverage/jax.md"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Returns the rows of a page as `(section, name, ours)`.
fn rows(page: &str) -> Vec<(String, String, String)> {
    let (text, mut section, mut rows) = (read(page), String::new(), vec![]);
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.into();
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        if let [name, ours] = cells[..]
            && let Some(name) = name.strip_prefix("| `")
        {
            let name = name.trim_end_matches('`').to_string();
            rows.push((section.clone(), name, ours.trim_end_matches(" |").to_string()));
        }
    }
    rows
}

/// Returns the functions that exist: those of the page of functions, and those of the prelude.
fn functions() -> BTreeSet<String> {
    let start = |code: &str| {
        code.chars().take_while(|c| c.is_alphanumeric() || "_.:".contains(*c)).collect::<String>()
    };
    let page = read("docs/functions.md");
    let mut all: BTreeSet<String> =
        page.lines().filter_map(|l| l.strip_prefix("| `")).map(start).collect();
    let source = read("crates/neurax-tensor/src/lib.rs");
    let (_, prelude) = source.split_once("pub mod prelude {").expect("a prelude");
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    all.extend(prelude.split(|c| !is_name(c)).map(String::from));
    all
}

#[test]
fn rows_name_functions_that_exist() {
    let exists = functions();
    let mut wrong = vec![];
    for (section, name, ours) in PAGES.iter().flat_map(|p| rows(p)) {
        if ["idiom: ", "refused: ", "left: "].iter().any(|kind| ours.starts_with(kind)) {
            continue;
        }
        let named: Vec<&str> = ours.split('`').skip(1).step_by(2).collect();
        if named.is_empty() || !named.iter().all(|f| exists.contains(*f)) {
            wrong.push(format!("{section}, {name}: {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows name no function:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn pages_have_the_namespaces_and_each_name_once() {
    let counts = |page: &str| {
        let all = rows(page);
        let names: BTreeSet<(String, String)> =
            all.iter().map(|(section, name, _)| (section.clone(), name.clone())).collect();
        assert_eq!(names.len(), all.len(), "{page}");
        (names.iter().map(|n| &n.0).collect::<BTreeSet<_>>().len(), all.len())
    };
    let (namespaces, names) = counts("docs/coverage/jax.md");
    assert!(namespaces == 9 && names >= 800, "{namespaces} namespaces, {names} names");
    let (sections, names) = counts("docs/coverage/nx.md");
    assert!(sections >= 12 && names >= 230, "{sections} sections, {names} names");
}
