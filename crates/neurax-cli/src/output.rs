//! Printing to readers that may go away.

use neurax::Result;
use std::fmt::Display;
use std::io::{ErrorKind, Write, stdout};

/// Prints a line. That nobody reads it any more, as in `neurax demo | head -1`, is no mistake: the
/// work goes on.
///
/// # Errors
/// When it cannot be written for another reason.
pub fn print_line(line: impl Display) -> Result<()> {
    match writeln!(stdout(), "{line}") {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}
