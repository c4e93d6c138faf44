//! Models as diagrams: Mermaid and Graphviz.

use crate::Model;
use crate::walk::walk;
use std::collections::{BTreeMap, BTreeSet};

impl Model {
    /// Returns the layers as a Mermaid flowchart (<https://mermaid.js.org>), which GitHub and
    /// rustdoc's tools draw. Repeated calls of a block or shared layer are further arrows.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = nn::input("x", dims![_, 3]);
    /// let model = (x.dense(4).relu() + x.dense(4)).model();
    /// assert_eq!(model.to_mermaid(), r#"flowchart TD
    ///   n0(["x"])
    ///   n1["dense"]
    ///   n2["relu"]
    ///   n3["dense_1"]
    ///   n4["add"]
    ///   n0 --> n1
    ///   n1 --> n2
    ///   n0 --> n3
    ///   n2 --> n4
    ///   n3 --> n4
    /// "#);
    /// ```
    pub fn to_mermaid(&self) -> String {
        let diagram = Diagram::of(self);
        let node = |(i, (path, is_input)): (usize, &(String, bool))| {
            let label = path.replace('"', "#quot;");
            match is_input {
                true => format!("  n{i}([\"{label}\"])\n"),
                false => format!("  n{i}[\"{label}\"]\n"),
            }
        };
        let nodes: String = diagram.nodes.iter().enumerate().map(node).collect();
        let edges = diagram.edges.iter().map(|(from, to)| format!("  n{from} --> n{to}\n"));
        format!("flowchart TD\n{nodes}{}", edges.collect::<String>())
    }

    /// Returns the layers as a graph in the DOT format of Graphviz (<https://graphviz.org>): `dot
    /// -Tsvg` draws it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(4).model();
    /// assert_eq!(model.to_dot(), r#"digraph model {
    ///   node [shape=box];
    ///   n0 [label="x", shape=ellipse];
    ///   n1 [label="dense"];
    ///   n0 -> n1;
    /// }
    /// "#);
    /// ```
    pub fn to_dot(&self) -> String {
        let diagram = Diagram::of(self);
        let node = |(i, (path, is_input)): (usize, &(String, bool))| {
            let label = path.replace('\\', "\\\\").replace('"', "\\\"");
            let shape = if *is_input { ", shape=ellipse" } else { "" };
            format!("  n{i} [label=\"{label}\"{shape}];\n")
        };
        let nodes: String = diagram.nodes.iter().enumerate().map(node).collect();
        let edges = diagram.edges.iter().map(|(from, to)| format!("  n{from} -> n{to};\n"));
        let edges: String = edges.collect();
        format!("digraph model {{\n  node [shape=box];\n{nodes}{edges}}}\n")
    }
}

/// The layers and the arrows between them.
#[derive(Default)]
struct Diagram {
    /// The paths; true for inputs.
    nodes: Vec<(String, bool)>,
    /// Pairs of indices, in order and without repetition.
    edges: Vec<(usize, usize)>,
}

impl Diagram {
    fn of(model: &Model) -> Diagram {
        let (mut diagram, mut indices) = (Diagram::default(), BTreeMap::new());
        let mut seen = BTreeSet::new();
        walk(model.graph(), &mut |layer| {
            let next = diagram.nodes.len();
            let to = *indices.entry(layer.path.to_string()).or_insert(next);
            if to == next {
                diagram.nodes.push((layer.path.into(), layer.kind == "input"));
            }
            let edges = layer.inputs.iter().filter_map(|from| Some((*indices.get(from)?, to)));
            diagram.edges.extend(edges.filter(|edge| seen.insert(*edge)));
        });
        diagram
    }
}
