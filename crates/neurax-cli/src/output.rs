//! Printing to a standard output that may be closed.

use neurax::Result;
use std::fmt::Display;
use std::io::{ErrorKind, Write, stdout};

/// Returns text of a file, such as the name of an output, for the terminal: control characters, of
/// which sequences could change what the terminal shows, are escaped.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() })
        .collect()
}

/// Returns text of several lines as [`printable`] returns one.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Prints a line. Ignores a closed pipe, as in `neurax demo | head -1`, so that the work goes on.
///
/// # Errors
/// Returns an error if the line cannot be written for another reason.
pub fn print_line(line: impl Display) -> Result<()> {
    match writeln!(stdout(), "{line}") {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable_lines("a\u{7}\nb"), "a\\u{7}\nb");
        assert_eq!(printable("x\n\u{1b}[31mred é"), "x\\n\\u{1b}[31mred é");
    }
}
