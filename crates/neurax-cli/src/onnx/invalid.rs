//! The errors of a command for ONNX models.

use neurax::Error;

/// Returns the error that says `why` an argument or a file is invalid.
pub fn invalid(why: String) -> Error {
    Error::new("onnx", why)
}

/// Returns an error without a line of source: all lines that a command knows are those of Neurax.
pub fn without_line(e: &Error) -> Error {
    let mut origin = e.origin().clone();
    origin.place = Default::default();
    Error::new(e.op(), e.message()).at_origin(&origin)
}
