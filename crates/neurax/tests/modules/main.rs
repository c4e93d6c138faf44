//! Cycles of modules: files of one crate that use each other, directly or through other files.
//!
//! A reader of a file in a cycle has to know all files of the cycle. Those that remain are
//! recursive by nature and listed in [`CYCLES`] with the reason.
//!
//! The graph of the files is read from the text: paths that begin with `crate`, `super`, `self`, a
//! child module or an imported module, resolved through re-exports to the file that defines the
//! name. `#[cfg(test)]` items, comments and strings do not count, nor does a parent that only
//! declares and re-exports its children.

mod graph;
mod source;
#[path = "../workspace/mod.rs"]
mod workspace;

use graph::{Edges, Sources};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// The cycles that remain: crate, files below `src`, and why they need each other. A name that ends
/// in `/` stands for any files of that directory. The test prints the rows of cycles that are not
/// listed, ready to paste; a row of a cycle that is gone is deleted.
const CYCLES: &[(&str, &[&str], &str)] = &[
    (
        "neurax-data",
        &["batches.rs", "dataset.rs", "split.rs"],
        "a dataset has methods that split and batch it; both results hold datasets",
    ),
    (
        "neurax-ir",
        &["composite/", "graph/", "op/", "passes/dce.rs", "passes/rewriter.rs", "transform/"],
        "recursive: a graph holds ops, ops hold graphs, and transforms of an op emit ops",
    ),
    (
        "neurax-ir",
        &["passes/simplify/"],
        "recursive: a rule calls the rules of the values that it makes",
    ),
    (
        "neurax-native",
        &["launch/control.rs", "launch/program.rs"],
        "recursive: a program holds the programs of its loops",
    ),
    (
        "neurax-nn",
        &[
            "branches.rs",
            "evaluate.rs",
            "model.rs",
            "model_graph.rs",
            "net.rs",
            "node.rs",
            "walk.rs",
        ],
        "recursive: a node may be a block, which is a model",
    ),
    (
        "neurax-tensor",
        &["dispatch.rs", "lazy.rs", "tensor.rs", "trace.rs"],
        "recursive: a tensor holds its lazy constant or trace, which hold tensors",
    ),
    ("neurax-tensor", &["function.rs", "jit/mod.rs"], "recursive: a jitted function is a function"),
    (
        "neurax-tensor",
        &["tree/any.rs", "tree/mod.rs"],
        "the methods of a tree call functions that are compiled once for all trees",
    ),
    (
        "neurax-testkit",
        &["random/"],
        "recursive: a program has bodies, which are programs; its rules are listed by kind",
    ),
];

#[test]
fn module_cycles_are_the_listed_ones() {
    let mut report = String::new();
    let mut found = 0;
    for workspace::Crate { name, path, .. } in workspace::crates() {
        let listed: Vec<_> = CYCLES.iter().filter(|row| row.0 == name).collect();
        let sources = Sources::read(&path.join("src"));
        let edges = sources.edges();
        let cycles = cycles(&edges);
        found += cycles.len();
        for cycle in &cycles {
            if !listed.iter().any(|row| covers(row.1, cycle)) {
                write!(report, "\nnot listed:\n{}", describe(&name, cycle, &edges)).unwrap();
            }
        }
        for row in listed {
            let count = cycles.iter().filter(|cycle| covers(row.1, cycle)).count();
            if count != 1 {
                writeln!(report, "\n{count} cycles instead of one: {row:?}").unwrap();
            }
        }
    }
    assert!(report.is_empty(), "{found} module cycles, of which some differ from CYCLES{report}");
}

/// Returns true if `row` names all files of `cycle`, and each entry of `row` a file of it.
fn covers(row: &[&str], cycle: &BTreeSet<String>) -> bool {
    let is_named = |entry: &str, file: &str| match entry.strip_suffix('/') {
        Some(_) => file.starts_with(entry),
        None => file == entry,
    };
    cycle.iter().all(|file| row.iter().any(|entry| is_named(entry, file)))
        && row.iter().all(|entry| cycle.iter().any(|file| is_named(entry, file)))
}

/// Returns the row of a cycle for [`CYCLES`], with the reason of a row that shares a file with it,
/// and the uses that make the cycle.
fn describe(name: &str, cycle: &BTreeSet<String>, edges: &Edges) -> String {
    let is_near = |row: &&(&str, &[&str], &str)| {
        row.0 == name && row.1.iter().any(|entry| cycle.contains(*entry))
    };
    let reason = CYCLES.iter().find(is_near).map_or("REASON", |row| row.2);
    let files: Vec<&String> = cycle.iter().collect();
    let mut out = format!("    ({name:?}, &{files:?}, {reason:?}),\n");
    for ((from, to), names) in
        edges.iter().filter(|((a, b), _)| cycle.contains(a) && cycle.contains(b))
    {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        writeln!(out, "        {from} -> {to}: {}", names.join(", ")).unwrap();
    }
    out
}

/// Returns the strongly connected components of more than one file.
fn cycles(edges: &Edges) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().push(to);
    }
    let reachable = |from: &str| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
        while let Some(file) = todo.pop() {
            for &to in next.get(file).into_iter().flatten() {
                if seen.insert(to.to_string()) {
                    todo.push(to);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<String>> =
        next.keys().map(|&file| (file, reachable(file))).collect();
    let mut out: Vec<BTreeSet<String>> = vec![];
    for (&file, ahead) in reach.iter().filter(|(file, ahead)| ahead.contains(**file)) {
        if !out.iter().any(|cycle| cycle.contains(file)) {
            let is_mutual = |to: &&String| reach.get(to.as_str()).is_some_and(|r| r.contains(file));
            out.push(ahead.iter().filter(is_mutual).cloned().collect());
        }
    }
    out
}
