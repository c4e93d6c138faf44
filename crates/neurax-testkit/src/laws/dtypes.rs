//! The sample rows leave no dtype out.

use super::*;
use neurax_ir::DType;
use std::collections::{BTreeMap, BTreeSet};

/// A kind of op, and dtypes that it admits, with where: `operand 0` or `result 0`.
type Seen = BTreeSet<(String, String, DType)>;

/// Every dtype that an op admits at an operand or a result has a row: in each row every dtype is
/// replaced by every other, wherever it stands in the row's types, attributes and graphs; if the op
/// admits that, there must be a row that has those. Ops of one name with different kinds (`reduce`
/// by sum, by maximum) are different ops.
///
/// # Errors
/// With the dtypes that have no row, by op.
pub fn every_admitted_dtype_has_a_row(rows: &[Sample]) -> Result<(), String> {
    let (mut sampled, mut admitted) = (Seen::new(), Seen::new());
    for row in rows {
        let graph = graph_of(row)?;
        note(&mut sampled, &graph);
        let own: BTreeSet<DType> = graph.types().iter().map(|t| t.dtype).collect();
        let text = graph.to_string();
        for (from, to) in own.iter().flat_map(|&from| DType::ALL.map(|to| (from, to))) {
            if let Ok(g) = Graph::parse(&with_dtype(&text, from, to)) {
                note(&mut admitted, &g);
            }
        }
    }
    let mut lost: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (op, place, dtype) in admitted.difference(&sampled) {
        lost.entry((op, place)).or_default().push(dtype.name());
    }
    let lines: Vec<String> = lost
        .iter()
        .map(|((op, place), dtypes)| format!("  {op}, {place}: {}", dtypes.join(", ")))
        .collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(format!("dtypes that `infer` admits and no sample row has:\n{}", lines.join("\n")))
    }
}

/// Adds the dtypes of the one equation of a graph.
fn note(seen: &mut Seen, g: &Graph) {
    for e in g.eqns() {
        let kind = kind_of(&e.op);
        let mut add = |role: &str, values: &[neurax_ir::Value]| {
            for (i, v) in values.iter().enumerate() {
                seen.insert((kind.clone(), format!("{role} {i}"), g.ty(*v).dtype));
            }
        };
        add("operand", &e.inputs);
        add("result", &e.outputs);
    }
}

/// The name of an op, and its kind or direction if it has one.
fn kind_of(op: &Op) -> String {
    let mut p = Printer::default();
    p.op(op);
    let text = p.finish();
    let kind = ["kind=", "direction="]
        .iter()
        .find_map(|key| text.split_once(key))
        .map(|(_, k)| k.split([',', ']']).next().unwrap_or(k));
    [Some(op.name()), kind].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The text with one dtype in place of another.
fn with_dtype(text: &str, from: DType, to: DType) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        out += if word == from.name() { to.name() } else { &word };
        out.push(c);
        word.clear();
    }
    out
}
