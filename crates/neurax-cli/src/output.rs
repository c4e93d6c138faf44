//! Printing to a standard output that may be closed.

use neurax::Result;
use std::fmt::Display;
use std::io::{ErrorKind, Write, stdout};

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
