//! The report as a table and as JSON.

use super::rates::GroupRates;
use super::{Estimate, FairnessReport};
use std::fmt::{self, Write};

/// The columns of rates in the table, and their rates.
const COLUMNS: [(&str, fn(&GroupRates) -> f64); 7] = [
    ("selected", |g| g.selection_rate),
    ("positive", |g| g.base_rate),
    ("tpr", |g| g.true_positive_rate),
    ("fpr", |g| g.false_positive_rate),
    ("accuracy", |g| g.accuracy),
    ("precision", |g| g.precision),
    ("ece", |g| g.calibration_error),
];

impl FairnessReport {
    fn measures(&self) -> [(&'static str, Estimate); 6] {
        [
            ("demographic parity difference", self.demographic_parity_difference),
            ("demographic parity ratio", self.demographic_parity_ratio),
            ("equalized odds difference", self.equalized_odds_difference),
            ("equalized odds ratio", self.equalized_odds_ratio),
            ("equal opportunity difference", self.equal_opportunity_difference),
            ("disparate impact", self.disparate_impact),
        ]
    }

    /// Returns the report as JSON: an object with the list `groups` and the measures, each with
    /// `value`, `low` and `high`. NaN is `null`.
    pub fn to_json(&self) -> String {
        let groups = self.groups.iter().zip(&self.selection_rates).map(|(g, e)| group(g, *e));
        let groups = groups.collect::<Vec<_>>().join(",");
        let measures = self
            .measures()
            .map(|(name, e)| format!("\"{}\":{}", name.replace(' ', "_"), estimate(e)));
        format!("{{\"groups\":[{groups}],{}}}", measures.join(","))
    }
}

impl fmt::Display for FairnessReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = self.groups.iter().map(|g| g.name.chars().count());
        let width = names.max().unwrap_or(0).max("group".len());
        write!(f, "{:<width$}  examples", "group")?;
        for (name, _) in COLUMNS {
            write!(f, "  {name:>0$}", name.len().max(6))?;
        }
        for group in &self.groups {
            write!(f, "\n{:<width$}  {:>8}", group.name, group.examples())?;
            for (name, rate) in COLUMNS {
                write!(f, "  {:>1$.4}", rate(group), name.len().max(6))?;
            }
        }
        writeln!(f)?;
        let width = self.measures().iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, e) in self.measures() {
            write!(f, "\n{name:<width$}  {:.4}  [{:.4}, {:.4}]", e.value, e.low, e.high)?;
        }
        Ok(())
    }
}

/// Formats a group as JSON.
fn group(g: &GroupRates, selection_rate: Estimate) -> String {
    let numbers = [
        ("base_rate", g.base_rate),
        ("true_positive_rate", g.true_positive_rate),
        ("false_positive_rate", g.false_positive_rate),
        ("accuracy", g.accuracy),
        ("precision", g.precision),
        ("calibration_error", g.calibration_error),
    ];
    let numbers = numbers.map(|(name, x)| format!("\"{name}\":{}", number(x)));
    format!(
        "{{\"name\":{},\"examples\":{},\"true_positives\":{},\"false_positives\":{},\
         \"true_negatives\":{},\"false_negatives\":{},\"selection_rate\":{},{}}}",
        quoted(&g.name),
        g.examples(),
        g.true_positives,
        g.false_positives,
        g.true_negatives,
        g.false_negatives,
        estimate(selection_rate),
        numbers.join(",")
    )
}

fn estimate(e: Estimate) -> String {
    let [value, low, high] = [e.value, e.low, e.high].map(number);
    format!("{{\"value\":{value},\"low\":{low},\"high\":{high}}}")
}

/// Formats a number as JSON, which has no NaN and no infinity.
fn number(x: f64) -> String {
    if x.is_finite() { x.to_string() } else { "null".into() }
}

/// Formats a string as JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Writing to a String cannot fail.
            c if c.is_control() => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
        assert_eq!([number(0.5), number(f64::NAN)], ["0.5", "null"]);
    }
}
