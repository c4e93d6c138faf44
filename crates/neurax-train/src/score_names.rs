//! The names of scores, and the check that no two have one.
//!
//! Scores are listed, logged, drawn and compared by their names: of two of one name, a handler
//! would see the first, and a log keep the last.

use crate::evaluation::Validation;
use crate::measure::Measure;
use neurax_tensor::{Error, Place, Result};
use std::collections::BTreeSet;
use std::panic::Location;

/// Returns the names of the scores of some measures, which a metric with one value for each class
/// has several of: `loss`, `recall[0]`, `recall[1]`.
///
/// # Errors
/// If a metric has no value.
pub(crate) fn of(measures: &[Measure]) -> Result<Vec<String>> {
    let names = measures.iter().map(Measure::score_names).collect::<Result<Vec<_>>>()?;
    Ok(names.into_iter().flatten().collect())
}

/// Checks the names of the loss and the metrics, and those of the validation sets.
///
/// # Errors
/// If one is empty, or two are equal: the error is at the line of the later one.
pub(crate) fn check(measures: &[Measure], validations: &[Validation]) -> Result<()> {
    let measures = measures.iter().map(|m| (m.name.as_str(), m.at));
    check_distinct("measure", "scores", measures)?;
    let sets = validations.iter().filter_map(|v| Some((v.name.as_deref()?, v.at)));
    check_distinct("validate_on", "validation sets", sets)
}

/// Checks that the names of `what` are distinct and not empty. `op` is the method that sets one.
fn check_distinct<'n>(
    op: &str,
    what: &str,
    names: impl Iterator<Item = (&'n str, &'static Location<'static>)>,
) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (name, at) in names {
        let got = match name.is_empty() {
            true => "an empty one".to_string(),
            false if !seen.insert(name) => format!("two called `{name}`"),
            false => continue,
        };
        let advice = "give one another name";
        let why = format!("expected {what} of different names, got {got}; {advice}");
        return Err(Error::new(op, why).at(&Place::from(at)));
    }
    Ok(())
}
