//! Coverage: the sample rows include each dtype that an op admits.

use super::*;
use neurax_ir::DType;
use std::collections::{BTreeMap, BTreeSet};

/// A set of (op, `operand i` or `result i`, dtype).
type Seen = BTreeSet<(String, String, DType)>;

/// Checks that each dtype that an op admits at an operand or a result has a row. In each row, each
/// dtype is replaced by each other dtype, in types, attributes and nested graphs; if the op admits
/// the result, there must be a row with it. Ops of one name with different kinds (`reduce` by sum,
/// by maximum) are different ops.
///
/// # Errors
/// The dtypes without a row, by op.
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
    let mut missing: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (op, place, dtype) in admitted.difference(&sampled) {
        missing.entry((op, place)).or_default().push(dtype.name());
    }
    let lines: Vec<String> = missing
        .iter()
        .map(|((op, place), dtypes)| format!("  {op}, {place}: {}", dtypes.join(", ")))
        .collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(format!("dtypes that `infer` accepts without a sample row:\n{}", lines.join("\n")))
    }
}

/// Adds the dtypes of the equations of a graph.
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

/// Returns the name of an op with its kind or direction, if it has one.
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

/// Replaces a dtype in the text by another one.
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
