//! The command line of the examples.

use neurax::prelude::*;
use std::str::FromStr;

/// Returns the value behind `name` on the command line, or none if `name` is not there.
///
/// # Errors
/// If no value follows `name`, or it is of another type.
///
/// ```
/// use neurax::prelude::*;
/// // `program --data book.txt` would return `Some("book.txt")`.
/// assert_eq!(neurax_examples::argument::<String>("--data")?, None);
/// # Ok::<(), Error>(())
/// ```
pub fn argument<T: FromStr>(name: &str) -> Result<Option<T>> {
    behind(std::env::args(), name)
}

/// Returns the value behind `name` in `arguments`.
fn behind<T: FromStr>(arguments: impl Iterator<Item = String>, name: &str) -> Result<Option<T>> {
    let mut rest = arguments.skip_while(|argument| argument != name);
    if rest.next().is_none() {
        return Ok(None);
    }
    let text = rest.next().filter(|text| !text.starts_with("--"));
    let why = |got: &str| Error::new("example", format!("{name}: expected a value, got {got}"));
    let text = text.ok_or_else(|| why("none"))?;
    text.parse().map(Some).map_err(|_| why(&format!("`{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T: FromStr>(line: &str, name: &str) -> Result<Option<T>> {
        behind(line.split(' ').map(String::from), name)
    }

    #[test]
    fn a_name_without_a_value_is_an_error() {
        let line = "gpt --data book.txt --steps 20";
        assert_eq!(of::<String>(line, "--data").unwrap().unwrap(), "book.txt");
        assert_eq!(of::<usize>(line, "--steps").unwrap(), Some(20));
        assert_eq!(of::<usize>(line, "--top-k").unwrap(), None);
        for line in ["gpt --data", "gpt --data --steps 20"] {
            let error = of::<String>(line, "--data").unwrap_err().to_string();
            assert!(error.ends_with("--data: expected a value, got none"), "{error}");
        }
        let error = of::<usize>("gpt --steps many", "--steps").unwrap_err().to_string();
        assert!(error.ends_with("--steps: expected a value, got `many`"), "{error}");
    }
}
