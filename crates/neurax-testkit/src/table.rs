//! The table of ops by dtypes, derived from the sample rows.

use neurax_ir::{DType, Op, Sample};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the table as Markdown: for each op, the dtypes of its operands in the sample rows, or of
/// its results if it has no operands.
pub fn ops_by_dtypes() -> String {
    let mut rows: BTreeMap<&'static str, BTreeSet<DType>> = BTreeMap::new();
    for s in Op::samples() {
        rows.entry(s.op.name()).or_default().extend(dtypes(&s));
    }
    let mut out = String::from("# Ops by dtypes\n\n");
    out += "The element types that each op accepts, according to its sample rows.\n";
    out += "A test checks this page (`BLESS=1 cargo test -p neurax-testkit --test table` ";
    out += "writes it); the laws are checked on the same rows.\n\n";
    out += &format!("| op | {} |\n", DType::ALL.map(|d| d.name()).join(" | "));
    out += &format!("|---|{}\n", ":-:|".repeat(DType::ALL.len()));
    for (name, dtypes) in rows {
        let cell = |d: DType| if dtypes.contains(&d) { "✓" } else { " " };
        out += &format!("| `{name}` | {} |\n", DType::ALL.map(cell).join(" | "));
    }
    out
}

fn dtypes(s: &Sample) -> Vec<DType> {
    if !s.inputs.is_empty() {
        return s.inputs.iter().map(|x| x.dtype()).collect();
    }
    s.op.infer(&[]).unwrap_or_default().iter().map(|t| t.dtype).collect()
}
