//! The macro `debug::print!`.

use super::effects::debug_print;
use crate::{Tensor, tree::first_error};
use std::panic::Location;

/// Prints tensors to the standard output, each in the place of one `{}` of the text, and a line
/// break. In a traced function it prints when the program runs: in `scan` in each iteration, in
/// `vmap` for each member. As `jax.debug.print`; [`debug_print`](crate::debug_print) is the
/// function that returns its argument.
///
/// A tensor that does not depend on the argument of the traced function has a value already, which
/// is printed while the function is traced. A tensor that carries an error prints the error to the
/// standard error.
///
/// ```
/// use neurax::prelude::*;
/// let double = jit(|x: Tensor| {
///     let y = &x * 2.0;
///     debug::print!("twice {} is {}", x, y);
///     y
/// });
/// // Prints "twice f32[2] [1.0, 2.0] is f32[2] [2.0, 4.0]".
/// assert_eq!(double.run(tensor([1.0, 2.0]))?.to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
///
/// The text must have one `{}` for each tensor, and no other braces:
///
/// ```compile_fail
/// use neurax::prelude::*;
/// debug::print!("no place for it", tensor(1.0));
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __debug_print {
    ($text:literal, $($x:expr),+ $(,)?) => {{
        const _: () = assert!(
            $crate::transform::is_text_for($text, <[&str]>::len(&[$(stringify!($x)),+])),
            "expected a text with one `{{}}` for each tensor and no other braces"
        );
        $crate::transform::print_tensors($text, ::std::vec![$($crate::Tensor::clone(&$x)),+]);
    }};
}

/// Returns true if `text` has `count` times `{}` and no other braces.
///
/// ```
/// assert!(neurax::transform::is_text_for("{} and {}", 2));
/// assert!(!neurax::transform::is_text_for("{x}", 1));
/// ```
pub const fn is_text_for(text: &str, count: usize) -> bool {
    let bytes = text.as_bytes();
    let (mut i, mut found) = (0, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'{' if i + 1 < bytes.len() && bytes[i + 1] == b'}' => {
                found += 1;
                i += 1;
            }
            b'{' | b'}' => return false,
            _ => {}
        }
        i += 1;
    }
    found == count
}

/// Prints tensors in a text that [`is_text_for`] has checked, or the error of one of them.
///
/// ```
/// use neurax::prelude::*;
/// neurax::transform::print_tensors("x is {}", vec![tensor(1.0)]);
/// ```
#[track_caller]
pub fn print_tensors(text: &str, tensors: Vec<Tensor>) {
    let at = Location::caller();
    if let Some(e) = first_error(&debug_print(text, tensors)) {
        eprintln!("debug::print! at {at}: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::is_text_for;

    #[test]
    fn each_pair_of_braces_is_a_place() {
        for (text, count) in [("a", 0), ("{}", 1), ("{} and {}{}", 3)] {
            assert!(is_text_for(text, count) && !is_text_for(text, count + 1), "{text}");
        }
        for text in ["{", "}{", "{x}", "{}}", "{{}}"] {
            assert!((0..4).all(|count| !is_text_for(text, count)), "{text}");
        }
    }
}
