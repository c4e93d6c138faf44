//! The error of a command for ONNX models.

use neurax::Error;

/// Returns the error that says `why` an argument or a file is invalid.
pub fn invalid(why: String) -> Error {
    Error::new("onnx", why)
}
