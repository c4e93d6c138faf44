//! Checks of the options of optimizers and schedules, with messages of one form.

use std::fmt::Display;

/// Returns the message of the first invalid option: a decay of an average that is not in `0..1`, or
/// an epsilon that is negative.
pub(super) fn option_error(decays: &[f64], epsilons: &[f64]) -> Option<String> {
    if let Some(b) = decays.iter().find(|b| !(0.0..1.0).contains(*b)) {
        return Some(expected("decays of the averages in 0..1", b, "0.9 to 0.999 is usual"));
    }
    epsilons.iter().find_map(|e| negative("an epsilon", *e, "1e-8 is usual"))
}

/// Returns the message of an option that is negative, NaN or infinite; `advice` says what to do.
pub(super) fn negative(name: &str, value: f64, advice: &str) -> Option<String> {
    below(name, value, 0.0, advice)
}

/// Returns the message of an option that is below `least`, NaN or infinite.
pub(super) fn below(name: &str, value: f64, least: f64, advice: &str) -> Option<String> {
    let is_valid = value >= least && value.is_finite();
    (!is_valid).then(|| expected(&format!("{name} of at least {least}"), value, advice))
}

/// Returns the message of an option that is not above `bound`, NaN or infinite.
pub(super) fn not_above(name: &str, value: f64, bound: f64, advice: &str) -> Option<String> {
    let is_valid = value > bound && value.is_finite();
    (!is_valid).then(|| expected(&format!("{name} above {bound}"), value, advice))
}

/// Returns the message of a fraction that is not in `0..=1`.
pub(super) fn no_fraction(name: &str, value: f64, advice: &str) -> Option<String> {
    let is_valid = (0.0..=1.0).contains(&value);
    (!is_valid).then(|| expected(&format!("{name} in 0..=1"), value, advice))
}

/// Returns the message of a number of steps that is 0; `advice` says what to do.
pub(super) fn no_steps(steps: usize, advice: &str) -> Option<String> {
    (steps == 0).then(|| expected("at least 1 step", steps, advice))
}

fn expected(what: &str, got: impl Display, advice: &str) -> String {
    format!("expected {what}, got {got}; {advice}")
}
