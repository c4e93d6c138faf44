//! Checks ARCHITECTURE.md against the code: the dependencies between crates, the features, and the
//! table of modules. Checks the manifests of all crates, too: lints, licenses and packaging.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// Returns the crates that each crate may use, by the rows `| crate | may use | ..`.
fn table() -> BTreeMap<String, Vec<String>> {
    let page = page();
    let rows = page.lines().filter(|l| l.starts_with("| neurax"));
    let full = |name: &str| {
        if name == "neurax" || name.starts_with("neurax-") {
            name.to_string()
        } else {
            format!("neurax-{name}")
        }
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let uses = cells[2].split(", ").filter(|u| *u != "-").map(full).collect();
        (cells[1].to_string(), uses)
    })
    .collect()
}

/// Returns the cells of all rows of the table whose header starts with `header`.
fn rows(header: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = page
        .lines()
        .skip_while(|l| !l.starts_with(header))
        .skip(2)
        .take_while(|l| l.starts_with('|'));
    lines
        .map(|l| l.split('|').map(|cell| cell.trim().trim_matches('`').to_string()).collect())
        .collect()
}

/// Returns the features of a manifest except `default`, each with true if `default` enables it.
fn features(manifest: &str) -> Vec<(String, bool)> {
    let block = manifest
        .lines()
        .skip_while(|l| *l != "[features]")
        .skip(1)
        .take_while(|l| !l.starts_with('['));
    let lines: Vec<(&str, &str)> = block.filter_map(|l| l.split_once(" = ")).collect();
    let default = lines.iter().find(|l| l.0 == "default").map_or("", |l| l.1);
    let named = lines.iter().filter(|l| l.0 != "default" && !l.0.starts_with('#'));
    named.map(|l| (l.0.to_string(), default.contains(&format!("\"{}\"", l.0)))).collect()
}

#[test]
fn every_feature_is_in_the_table() {
    let mut table: Vec<[String; 3]> = rows("| feature |")
        .into_iter()
        .map(|r| [r[1].clone(), r[2].clone(), r[3].clone()])
        .collect();
    let mut found = vec![];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_string();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
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
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        if fs::read_to_string(path.join("Cargo.toml")).unwrap().contains("publish = false") {
            continue;
        }
        for text in ["LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(
                fs::read(path.join(text)).unwrap() == fs::read(root().join(text)).unwrap(),
                "{text} of {}",
                path.display()
            );
        }
    }
}

/// Returns the entries `key = value` of the sections of a manifest whose names start with `name`,
/// each as `section key = value`.
fn entries(manifest: &str, name: &str) -> BTreeSet<String> {
    let (mut out, mut section) = (BTreeSet::new(), None);
    for line in manifest.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.strip_prefix('[') {
            Some(head) => section = head.trim_end_matches(']').strip_prefix(name),
            None => out.extend(section.map(|s| format!("{s} {line}"))),
        }
    }
    out
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let ours = entries(&fs::read_to_string(root().join("Cargo.toml")).unwrap(), "workspace.lints");
    assert!(
        ours.contains(".rust unsafe_code = \"forbid\"") && ours.contains(".clippy todo = \"deny\""),
        "{ours:?}"
    );
    let mut with_unsafe = vec![];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_string();
        let own = entries(&fs::read_to_string(path.join("Cargo.toml")).unwrap(), "lints");
        if own == BTreeSet::from([" workspace = true".to_string()]) {
            continue;
        }
        let differ: Vec<&String> = ours.symmetric_difference(&own).collect();
        assert_eq!(
            differ,
            [".rust unsafe_code = \"deny\"", ".rust unsafe_code = \"forbid\""],
            "{name}"
        );
        with_unsafe.push(name);
    }
    with_unsafe.sort();
    assert_eq!(
        with_unsafe,
        ["neurax-bench", "neurax-native", "neurax-tensor"],
        "ARCHITECTURE.md names the crates that need unsafe"
    );
}

#[test]
fn every_published_crate_denies_panics() {
    // Not a lint of the workspace, which would apply to the crates of test helpers as well.
    let line =
        "#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]";
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        if fs::read_to_string(path.join("Cargo.toml")).unwrap().contains("publish = false") {
            continue;
        }
        let roots = ["src/lib.rs", "src/main.rs"].map(|f| path.join(f));
        let roots: Vec<String> = roots.iter().filter_map(|f| fs::read_to_string(f).ok()).collect();
        assert!(
            !roots.is_empty() && roots.iter().all(|text| text.lines().any(|l| l == line)),
            "{} lacks {line}",
            path.display()
        );
    }
}

#[test]
fn every_module_of_the_tensor_crate_is_in_the_table() {
    let table: Vec<String> = rows("| module |").into_iter().map(|r| r[1].clone()).collect();
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
    let mut section: Option<String> = None;
    for line in manifest.lines().map(|l| l.split('#').next().unwrap_or(l).trim()) {
        if line.starts_with('[') {
            // `[dependencies]`, `[target.'cfg(..)'.dependencies]`, or `[dependencies.name]`.
            let keys: Vec<&str> = line.trim_matches(['[', ']']).rsplitn(3, '.').collect();
            let is_kind = |k: &str| k.ends_with("dependencies");
            section = is_kind(keys[0]).then(|| keys[0].to_string());
            if let Some(kind) = keys.get(1).filter(|k| is_kind(k)) {
                out.push((kind.to_string(), keys[0].to_string()));
            }
        } else if let Some(kind) = &section
            && let Some((name, value)) = line.split_once('=')
        {
            // `name.workspace = true`, `name = { .. }`, or `other = { package = "name", .. }`.
            let name = name.trim().split('.').next().unwrap_or(name);
            let renamed = value.split_once("package").and_then(|(_, v)| v.split('"').nth(1));
            out.push((kind.clone(), renamed.unwrap_or(name).trim_matches('"').to_string()));
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

#[test]
fn every_crate_uses_only_the_crates_that_the_table_allows() {
    let table = table();
    let mut seen = vec![];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_string();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let allowed =
            table.get(&name).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}"));
        for (kind, d) in dependencies(&manifest) {
            let in_tests = kind == "dev-dependencies" && FOR_TESTS.contains(&&*d);
            assert!(
                allowed.contains(&d) || in_tests,
                "{name} names {d} under [{kind}]; ARCHITECTURE.md allows {allowed:?}"
            );
        }
        seen.push(name);
    }
    for name in table.keys() {
        assert!(seen.contains(name), "ARCHITECTURE.md names {name}, which does not exist");
    }
}

/// Returns the words in backticks that look like a path: with a slash, or with the extension of a
/// file.
fn paths(page: &str) -> Vec<&str> {
    let quoted = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |s: &&str| {
        !s.contains([' ', ':', '('])
            && (s.contains('/') || s.ends_with(".rs") || s.ends_with(".toml") || s.ends_with(".md"))
    };
    quoted.filter(is_path).collect()
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
    let all = paths(&page);
    assert!(all.len() >= 20, "{all:?}");
    let missing: Vec<&str> =
        all.into_iter().filter(|p| !folders.iter().any(|f| exists(f, p))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names missing files: {missing:?}");
}
