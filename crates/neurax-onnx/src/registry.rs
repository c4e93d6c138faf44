//! The list of all operators, and the one that a node calls.

use crate::graph::OperatorId;
use crate::operator::{DEFAULT_DOMAIN, MICROSOFT, Operator};
use crate::ops;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The newest version of the operator sets of the default domain.
pub(crate) const NEWEST: i64 = 28;
/// The newest versions of the operator sets of other domains.
const NEWEST_OF_OTHERS: &[(&str, i64)] =
    &[("ai.onnx.ml", 5), ("ai.onnx.preview.training", 1), ("ai.onnx.preview", 1), (MICROSOFT, 1)];

/// Returns the name of a domain, without the alias of the default domain.
pub(crate) fn canonical_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { DEFAULT_DOMAIN } else { domain }
}

/// Returns an operator, and the version in which its rule for `opset` was introduced.
///
/// # Errors
/// Why there is none, and what to do.
pub(crate) fn find(domain: &str, name: &str, opset: i64) -> Result<(OperatorId, i64), String> {
    let of = of_domain(domain);
    let Some(&id) = POSITIONS.get(&(domain, name)) else {
        return Err(format!(
            "the operator {name}{of} is not supported (opset {opset}); export the model without it"
        ));
    };
    let op = operator(id);
    if let Some(why) = op.refusal {
        return Err(format!("the operator {name}{of} is refused (opset {opset}): {why}"));
    }
    if let Some(until) = op.until.filter(|&until| opset >= until) {
        return Err(format!("the operator {name} was removed in opset {until}, got opset {opset}"));
    }
    match op.since.iter().rfind(|&&since| since <= opset) {
        Some(&since) => Ok((id, since)),
        None => Err(format!("the operator {name} exists since opset {}, got {opset}", op.since[0])),
    }
}

/// Checks that an opset is not newer than the newest known one.
///
/// # Errors
/// If it is: what to do.
pub(crate) fn check_known(domain: &str, opset: i64) -> Result<(), String> {
    let newest = newest(domain);
    match opset > newest {
        false => Ok(()),
        true => Err(format!(
            "opset {opset}{} is newer than {newest}, the newest known one; export the model with \
             opset {newest}, or allow the rules of {newest} by `Importer::allow_newer_opsets` \
             (`--allow-newer-opsets` on the command line)",
            of_domain(domain)
        )),
    }
}

/// Returns the domain for messages; nothing for the default one.
fn of_domain(domain: &str) -> String {
    if domain.is_empty() { String::new() } else { format!(" of `{domain}`") }
}

/// Returns the newest known version of a domain's operator sets.
fn newest(domain: &str) -> i64 {
    match NEWEST_OF_OTHERS.iter().find(|row| row.0 == domain) {
        Some(row) => row.1,
        None => NEWEST,
    }
}

/// Returns an operator of the list.
pub(crate) fn operator(id: OperatorId) -> &'static Operator {
    // Positions are made from this list alone.
    ALL_OPERATORS[id.0]
}

/// All operators, family by family.
static ALL_OPERATORS: LazyLock<Vec<&Operator>> =
    LazyLock::new(|| ops::FAMILIES.iter().flat_map(|family| family.iter()).collect());

/// The positions of the operators by domain and name.
static POSITIONS: LazyLock<HashMap<(&str, &str), OperatorId>> = LazyLock::new(|| {
    let all = ALL_OPERATORS.iter().enumerate();
    all.map(|(i, op)| ((op.domain, op.name), OperatorId(i))).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_listed_once_with_versions_in_order() {
        assert_eq!(POSITIONS.len(), ALL_OPERATORS.len(), "a name is listed twice");
        for op in ALL_OPERATORS.iter() {
            assert!(op.since.is_sorted() && !op.since.is_empty(), "{}", op.name);
            assert!(op.since.iter().all(|&v| v <= newest(op.domain)), "{}", op.name);
        }
    }

    #[test]
    fn the_rule_is_that_of_the_opset() {
        let since = |opset| find("", "Add", opset).map(|found| found.1);
        assert_eq!(since(6), Ok(6));
        assert_eq!(since(13), Ok(13));
        assert_eq!(since(NEWEST), Ok(14));
        assert_eq!(since(NEWEST + 1), Ok(14));
        assert!(check_known("", NEWEST).is_ok());
        assert!(check_known("", NEWEST + 1).unwrap_err().contains("allow_newer_opsets"));
        assert!(find("", "NoSuch", 13).unwrap_err().contains("not supported"));
    }
}
