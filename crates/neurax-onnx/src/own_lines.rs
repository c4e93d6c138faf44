//! Lines of this crate in errors.
//!
//! An operator is a composition of tensor functions, and these record the line that calls them: a
//! line of this crate, which a user cannot act on. Errors that leave the crate name the node, and
//! the user's line if there is one.

use neurax_ir::{Error, Origin, Place};

/// The path of this file, as the compiler knows it.
const THIS_FILE: &str = file!();

/// Returns an error without its line, if that is one of this crate. The caller's line can then be
/// set.
pub(crate) fn without_own_line(e: Error) -> Error {
    let origin = e.origin();
    match is_own(&origin.place) {
        true => Error::new(e.op(), e.message()).at_origin(&shown_origin(origin)),
        false => e,
    }
}

/// Returns an origin without a line of this crate.
pub(crate) fn shown_origin(origin: &Origin) -> Origin {
    match is_own(&origin.place) {
        true => Origin { place: Place::Unknown, ..origin.clone() },
        false => origin.clone(),
    }
}

/// Returns true for a line of this crate. The unit tests, whose lines are those of users, are in
/// the same folders.
fn is_own(place: &Place) -> bool {
    !cfg!(test) && matches!(place, Place::Source(l) if is_beside_this_file(l.file()))
}

fn is_beside_this_file(file: &str) -> bool {
    let folder = THIS_FILE.strip_suffix("own_lines.rs");
    folder.is_some_and(|folder| file.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_this_crate_are_known_by_their_folder() {
        let line = std::panic::Location::caller().file();
        assert!(is_beside_this_file(line), "{line}");
        assert!(!is_beside_this_file("src/main.rs"));
        assert!(!is_own(&Place::from(std::panic::Location::caller())), "lines of tests are shown");
    }
}
