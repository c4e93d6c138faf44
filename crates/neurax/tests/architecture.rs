//! Checks ARCHITECTURE.md against the code: the dependencies between crates, the features, the
//! table of modules, the names and paths of its tables, and the modules that hold unsafe code.
//! Checks the manifests of all crates, too: lints, licenses and packaging.

mod workspace;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use workspace::{Crate, crates, files, has_word, root};

fn page() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// Returns the cells of all rows of the table of ARCHITECTURE.md whose header starts with `header`.
fn rows(header: &str) -> Vec<Vec<String>> {
    let page = page();
    let table = page.lines().skip_while(|l| !l.starts_with(header));
    let cells = |l: &str| -> Vec<String> {
        l.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()
    };
    let rows: Vec<_> = table.skip(2).take_while(|l| l.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table {header}");
    rows
}

/// Returns the words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// A line of a section of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    section: String,
    key: String,
    value: String,
}

/// Returns the entries `key = value` of a manifest, without comments.
fn entries(manifest: &str) -> Vec<Entry> {
    let (mut out, mut section) = (vec![], String::new());
    for line in manifest.lines().map(|l| l.split('#').next().unwrap_or(l).trim()) {
        if let Some(head) = line.strip_prefix('[').filter(|_| line.ends_with(']')) {
            section = head.trim_matches(['[', ']']).to_string();
        } else if let Some((key, value)) = line.split_once('=') {
            let (key, value) = (key.trim().to_string(), value.trim().to_string());
            out.push(Entry { section: section.clone(), key, value });
        }
    }
    out
}

/// Returns the keys and values of the section `name` of a manifest.
fn section(manifest: &str, name: &str) -> Vec<(String, String)> {
    let own = entries(manifest).into_iter().filter(|e| e.section == name);
    own.map(|e| (e.key, e.value)).collect()
}

/// Returns the features of a manifest except `default`, each with true if `default` enables it.
fn features(manifest: &str) -> Vec<(String, bool)> {
    let all = section(manifest, "features");
    let default = all.iter().find(|f| f.0 == "default").map_or("", |f| &f.1);
    let named = all.iter().filter(|f| f.0 != "default");
    named.map(|f| (f.0.clone(), default.contains(&format!("\"{}\"", f.0)))).collect()
}

#[test]
fn every_feature_is_in_the_table() {
    let plain = |cell: &String| cell.trim_matches('`').to_string();
    let row = |r: Vec<String>| [plain(&r[0]), plain(&r[1]), plain(&r[2])];
    let mut table: Vec<[String; 3]> = rows("| feature |").into_iter().map(row).collect();
    let mut found = vec![];
    for Crate { name, manifest, .. } in crates() {
        let row = |(feature, default): (String, bool)| {
            [feature, name.clone(), if default { "yes" } else { "no" }.to_string()]
        };
        found.extend(features(&manifest).into_iter().map(row));
    }
    table.sort();
    found.sort();
    assert_eq!(table, found);
}

#[test]
fn every_published_crate_carries_the_license_texts() {
    for Crate { name, path, .. } in crates().into_iter().filter(Crate::is_published) {
        for text in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let (own, ours) = (fs::read(path.join(text)), fs::read(root().join(text)));
            assert!(own.unwrap() == ours.unwrap(), "{text} of {name}");
        }
    }
}

/// Returns the lints of a manifest, whose tables are at `prefix`: table, lint and level.
fn lints(manifest: &str, prefix: &str) -> BTreeSet<[String; 3]> {
    let table = |e: Entry| Some([e.section.strip_prefix(prefix)?.to_string(), e.key, e.value]);
    entries(manifest).into_iter().filter_map(table).collect()
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let ours = lints(&fs::read_to_string(root().join("Cargo.toml")).unwrap(), "workspace.lints");
    let row = |row: [&str; 3]| row.map(String::from);
    let forbid = row([".rust", "unsafe_code", "\"forbid\""]);
    let deny = row([".rust", "unsafe_code", "\"deny\""]);
    assert!(ours.contains(&forbid), "{ours:?}");
    assert!(ours.contains(&row([".clippy", "todo", "\"deny\""])), "{ours:?}");
    let mut with_unsafe = vec![];
    for Crate { name, manifest, .. } in crates() {
        let own = lints(&manifest, "lints");
        if own == BTreeSet::from([row(["", "workspace", "true"])]) {
            continue;
        }
        let differ: Vec<_> = ours.symmetric_difference(&own).collect();
        assert_eq!(differ, [&deny, &forbid], "{name}");
        with_unsafe.push(name);
    }
    assert_eq!(with_unsafe, UNSAFE_CRATES, "ARCHITECTURE.md names the crates that need unsafe");
}

/// The crates that may hold unsafe code, as ARCHITECTURE.md says under *Invariants*.
const UNSAFE_CRATES: [&str; 3] = ["neurax-bench", "neurax-native", "neurax-tensor"];

/// Returns the modules below the root of a crate with code for which `unsafe_code` is allowed.
fn unsafe_modules(name: &str) -> BTreeSet<String> {
    let src = root().join("crates").join(name).join("src");
    let allows = |file: &&PathBuf| fs::read_to_string(file).unwrap().contains("unsafe_code");
    let module = |file: &PathBuf| {
        let path = workspace::below(&src, file);
        path.split('/').next().unwrap_or(&path).trim_end_matches(".rs").to_string()
    };
    files(&src, ".rs").iter().filter(allows).map(module).collect()
}

#[test]
fn the_page_names_the_modules_with_unsafe_code() {
    for name in UNSAFE_CRATES {
        let (page, modules) = (page(), unsafe_modules(name));
        let start = format!("In `{name}`, ");
        let sentence = page.lines().map(str::trim).find_map(|l| l.strip_prefix(&start));
        let sentence = sentence.unwrap_or_else(|| panic!("no sentence starts with {start}"));
        if sentence.starts_with("one module ") {
            assert_eq!(modules.len(), 1, "{name}: {modules:?}");
        } else {
            let named = quoted(sentence).into_iter().map(String::from).collect();
            assert_eq!(modules, named, "{name}: modules with unsafe code, and those of the page");
        }
    }
}

#[test]
fn every_published_crate_denies_panics() {
    // Not a lint of the workspace, which would apply to the crates of test helpers as well.
    let line =
        "#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]";
    for Crate { name, path, .. } in crates().into_iter().filter(Crate::is_published) {
        let roots = ["src/lib.rs", "src/main.rs"].map(|f| path.join(f));
        let roots: Vec<String> = roots.iter().filter_map(|f| fs::read_to_string(f).ok()).collect();
        let denies = |text: &String| text.lines().any(|l| l == line);
        assert!(!roots.is_empty() && roots.iter().all(denies), "{name} lacks {line}");
    }
}

#[test]
fn every_module_of_the_tensor_crate_is_in_the_table() {
    let rows = rows("| module |");
    let table: Vec<&str> = rows.iter().map(|r| r[0].trim_matches('`')).collect();
    let source = fs::read_dir(root().join("crates/neurax-tensor/src")).unwrap();
    let mut modules: Vec<String> = source
        .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().to_string())
        .collect();
    modules.retain(|m| m != "lib");
    modules.sort();
    assert_eq!(table, modules);
}

/// The crates that the tests of every crate may use, as ARCHITECTURE.md says above its table.
const FOR_TESTS: [&str; 2] = ["neurax", "neurax-testkit"];

/// Returns the crates of this workspace among the dependencies of a manifest, each with the kind of
/// its section: `dependencies`, `build-dependencies` or `dev-dependencies`, of any target.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut out = vec![];
    for Entry { section, key, value } in entries(manifest) {
        // `[dependencies]`, `[target.'cfg(..)'.dependencies]`, or `[dependencies.name]`.
        let heads: Vec<&str> = section.rsplitn(3, '.').collect();
        let is_kind = |k: &&&str| k.ends_with("dependencies");
        if let Some(kind) = heads.get(1).filter(is_kind) {
            out.push((kind.to_string(), heads[0].to_string()));
        } else if let Some(kind) = heads.first().filter(is_kind) {
            // `name.workspace = true`, `name = { .. }`, or `other = { package = "name", .. }`.
            let name = key.split('.').next().unwrap_or(&key);
            let renamed = value.split_once("package").and_then(|(_, v)| v.split('"').nth(1));
            out.push((kind.to_string(), renamed.unwrap_or(name).trim_matches('"').to_string()));
        }
    }
    out.retain(|(_, name)| name.starts_with("neurax"));
    out
}

#[test]
fn dependencies_are_read_from_every_section() {
    let manifest = r#"
        [package]
        name = "neurax-x"
        [dependencies]
        neurax-a.workspace = true # neurax-z = 1
        half = "2"
        [target.'cfg(target_os = "linux")'.dependencies]
        neurax-b = { path = "../neurax-b" }
        [build-dependencies]
        other = { package = "neurax-c", version = "1" }
        [dev-dependencies.neurax-d]
        path = "../neurax-d"
        [features]
        neurax-e = []
    "#;
    let found = dependencies(manifest);
    let found: Vec<(&str, &str)> = found.iter().map(|(k, n)| (k.as_str(), n.as_str())).collect();
    let want = [
        ("dependencies", "neurax-a"),
        ("dependencies", "neurax-b"),
        ("build-dependencies", "neurax-c"),
        ("dev-dependencies", "neurax-d"),
    ];
    assert_eq!(found, want);
}

/// Returns the crates that each crate may use, by the rows `| crate | may use | ..`.
fn allowed_crates() -> BTreeMap<String, Vec<String>> {
    let full = |name: &str| {
        let is_full = name == "neurax" || name.starts_with("neurax-");
        if is_full { name.to_string() } else { format!("neurax-{name}") }
    };
    let uses = |cell: &str| cell.split(", ").filter(|u| *u != "-").map(full).collect();
    rows("| crate |").into_iter().map(|row| (row[0].clone(), uses(&row[1]))).collect()
}

#[test]
fn every_crate_uses_only_the_crates_that_the_table_allows() {
    let mut table = allowed_crates();
    for Crate { name, manifest, .. } in crates() {
        let allowed =
            table.remove(&name).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}"));
        for (kind, d) in dependencies(&manifest) {
            let in_tests = kind == "dev-dependencies" && FOR_TESTS.contains(&&*d);
            assert!(
                allowed.contains(&d) || in_tests,
                "{name} names {d} under [{kind}]; ARCHITECTURE.md allows {allowed:?}"
            );
        }
    }
    assert!(table.is_empty(), "ARCHITECTURE.md names crates that do not exist: {table:?}");
}

/// Returns true if the word looks like a path: has a slash, or the extension of a file.
fn is_path(word: &str) -> bool {
    let has_extension = [".rs", ".toml", ".md"].iter().any(|e| word.ends_with(e));
    !word.contains([' ', ':', '(']) && (word.contains('/') || has_extension)
}

/// Returns true if `path` exists in `folder`. `*` matches the name of any file.
fn exists(folder: &Path, path: &str) -> bool {
    match path.split_once("/*") {
        None => folder.join(path).exists(),
        Some((parent, ending)) => {
            let entries = fs::read_dir(folder.join(parent)).into_iter().flatten().flatten();
            entries.into_iter().any(|e| e.file_name().to_string_lossy().ends_with(ending))
        }
    }
}

#[test]
fn every_path_of_the_page_exists() {
    // A path is relative to the root, to the folder of crates, or to the folder that its section
    // describes.
    let bases = [
        "",
        "crates",
        "crates/neurax-ir/src",
        "crates/neurax-ir/src/passes",
        "crates/neurax-tensor/src",
        "crates/neurax-native/src",
        "crates/neurax-native/src/kernel",
        "crates/neurax-testkit",
    ];
    let folders = bases.map(|p| root().join(p));
    let page = page();
    let all: Vec<&str> = quoted(&page).into_iter().filter(|word| is_path(word)).collect();
    assert!(all.len() >= 20, "{all:?}");
    let missing: Vec<&str> =
        all.into_iter().filter(|p| !folders.iter().any(|f| exists(f, p))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names missing files: {missing:?}");
}

/// Returns the texts of the files and of the folders that `row` names.
fn texts(row: &[String]) -> Vec<String> {
    let paths = row.iter().flat_map(|cell| quoted(cell)).filter(|word| is_path(word));
    let paths = paths.map(|path| root().join("crates").join(path));
    let all = paths.flat_map(|path| if path.is_dir() { files(&path, ".rs") } else { vec![path] });
    all.map(|file| fs::read_to_string(&file).unwrap()).collect()
}

/// Returns true if `name` is an identifier, or several that `::` joins; `!` marks a macro.
fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_:!".contains(c);
    name.chars().all(is_part) && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[test]
fn every_name_of_the_page_is_in_a_file_of_its_row() {
    let (mut count, mut missing) = (0, vec![]);
    for row in [rows("| what | function |"), rows("| term of the field |")].concat() {
        let texts = texts(&row);
        for name in quoted(&row[1]).into_iter().filter(|word| is_name(word)) {
            let parts: Vec<&str> = name.trim_end_matches('!').split("::").collect();
            let has_all = |text: &String| parts.iter().all(|part| has_word(text, part));
            if !texts.iter().any(has_all) {
                missing.push(format!("{name}, of the row \"{}\"", row[0]));
            }
            count += 1;
        }
    }
    assert!(count >= 80, "{count} names");
    assert!(missing.is_empty(), "names that are not in the files of their rows: {missing:#?}");
}
