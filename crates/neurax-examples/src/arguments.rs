//! The command line of the examples.

use clap::Parser;

/// Returns the arguments of the program. An argument that is unknown or out of range ends the
/// program with a message, and `--help` with a list of all arguments.
///
/// In the tests of this crate, whose arguments are those of the test program, it returns the
/// defaults.
///
/// ```no_run
/// /// Trains for some epochs.
/// #[derive(clap::Parser)]
/// struct EpochArguments {
///     /// The number of epochs.
///     #[arg(long, default_value = "3", value_parser = neurax_examples::positive)]
///     epochs: usize,
/// }
/// let EpochArguments { epochs } = neurax_examples::arguments();
/// println!("{epochs} epochs"); // `program --epochs 0`: expected a whole number of at least 1
/// ```
pub fn arguments<A: Parser>() -> A {
    if cfg!(test) { A::parse_from(["example"]) } else { A::parse() }
}

/// Returns the number that a text stands for, which is at least 1.
///
/// # Errors
/// Returns the reason if it is anything else.
///
/// ```
/// use neurax_examples::positive;
/// assert_eq!(positive("3"), Ok(3));
/// assert_eq!(positive("0"), Err("expected a whole number of at least 1".to_string()));
/// ```
pub fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&n| n > 0);
    number.ok_or_else(|| "expected a whole number of at least 1".into())
}

/// Returns the finite number that a text stands for, which is at least 0.
///
/// # Errors
/// Returns the reason if it is anything else.
///
/// ```
/// use neurax_examples::non_negative;
/// assert_eq!(non_negative("0.5"), Ok(0.5));
/// assert_eq!(non_negative("-1"), Err("expected a number of at least 0".to_string()));
/// ```
pub fn non_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0);
    number.ok_or_else(|| "expected a number of at least 0".into())
}
