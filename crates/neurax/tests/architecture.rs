//! ARCHITECTURE.md says who may use whom, which features there are, and what is where in the conductor; this holds it to the code.

use std::{collections::BTreeMap, fs, path::PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows `| crate | may use | ..` of the table of crates.
fn table() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = page.lines().filter(|l| l.starts_with("| neurax"));
    let full = |name: &str| if name == "neurax" || name.starts_with("neurax-") { name.to_string() } else { format!("neurax-{name}") };
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let uses = cells[2].split(", ").filter(|u| *u != "-").map(full).collect();
        (cells[1].to_string(), uses)
    })
    .collect()
}

/// The cells of all rows of the table under that header.
fn rows(header: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = page.lines().skip_while(|l| !l.starts_with(header)).skip(2).take_while(|l| l.starts_with('|'));
    lines.map(|l| l.split('|').map(|cell| cell.trim().trim_matches('`').to_string()).collect()).collect()
}

/// The features of a manifest, but for `default`, and whether that holds them.
fn features(manifest: &str) -> Vec<(String, bool)> {
    let block = manifest.lines().skip_while(|l| *l != "[features]").skip(1).take_while(|l| !l.starts_with('['));
    let lines: Vec<(&str, &str)> = block.filter_map(|l| l.split_once(" = ")).collect();
    let default = lines.iter().find(|l| l.0 == "default").map_or("", |l| l.1);
    let named = lines.iter().filter(|l| l.0 != "default" && !l.0.starts_with('#'));
    named.map(|l| (l.0.to_string(), default.contains(&format!("\"{}\"", l.0)))).collect()
}

#[test]
fn every_feature_is_in_the_table() {
    let mut table: Vec<[String; 3]> = rows("| feature |").into_iter().map(|r| [r[1].clone(), r[2].clone(), r[3].clone()]).collect();
    let mut found = vec![];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_string();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let row = |(feature, default): (String, bool)| [feature, name.clone(), if default { "yes" } else { "no" }.to_string()];
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
            assert!(fs::read(path.join(text)).unwrap() == fs::read(root().join(text)).unwrap(), "{text} of {}", path.display());
        }
    }
}

#[test]
fn every_module_of_the_conductor_is_in_the_table() {
    let table: Vec<String> = rows("| module |").into_iter().map(|r| r[1].clone()).collect();
    let source = fs::read_dir(root().join("crates/neurax-tensor/src")).unwrap();
    let mut modules: Vec<String> = source.map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().to_string()).collect();
    modules.retain(|m| m != "lib");
    modules.sort();
    assert_eq!(table, modules);
}

/// Our own crates among the normal dependencies of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut out = vec![];
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && line.starts_with("neurax") {
            let name = line.split(['.', '=', ' ']).next().unwrap_or(line);
            out.push(name.to_string());
        }
    }
    out
}

#[test]
fn every_crate_uses_only_what_the_map_allows() {
    let table = table();
    let mut seen = vec![];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_string();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let allowed = table.get(&name).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}"));
        for d in dependencies(&manifest) {
            assert!(allowed.contains(&d), "{name} uses {d}; ARCHITECTURE.md allows {allowed:?}");
        }
        seen.push(name);
    }
    for name in table.keys() {
        assert!(seen.contains(name), "ARCHITECTURE.md names {name}, which does not exist");
    }
}
