//! ARCHITECTURE.md says who may use whom; this holds every `Cargo.toml` to it.

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
