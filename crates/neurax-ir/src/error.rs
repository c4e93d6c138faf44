//! Errors that name the thing, the place and what to do; and the places themselves.

use std::{fmt, panic::Location, sync::Arc};

/// The result of everything that can fail in Neurax.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in which operation, and where in the user's program.
///
/// ```
/// use neurax_ir::{Error, Place};
/// let e = Error::new("add", "cannot broadcast f32[2, 2] with f32[3, 5]").at(&Place::named("the loss"));
/// assert_eq!(e.within("dense_1").to_string(), "add: cannot broadcast f32[2, 2] with f32[3, 5], in layer dense_1, at the loss");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    op: String,
    message: String,
    origin: Origin,
}

/// A place in the user's program: a line of source, or a name where a line would say nothing
/// (an ONNX node, a loss).
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// Nothing is known.
    #[default]
    Unknown,
    /// A line of source.
    Source(&'static Location<'static>),
    /// A name.
    Named(Arc<str>),
}

/// Where an equation comes from: the place, the path of the layer, the transform that wrote it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The place in the user's program.
    pub place: Place,
    /// The path of the layer, e.g. `encoder/dense_1`.
    pub path: Option<Arc<str>>,
    /// The transform that wrote the equation, e.g. `transpose`.
    pub transform: Option<&'static str>,
}

impl Error {
    /// An error of operation `op`; the message says what is wrong and what to do.
    pub fn new(op: impl Into<String>, message: impl Into<String>) -> Error {
        Error(Arc::new(Inner { op: op.into(), message: message.into(), origin: Origin::default() }))
    }

    /// Creates the error of a broken invariant of Neurax itself; `what` says which.
    ///
    /// ```
    /// use neurax_ir::Error;
    /// assert_eq!(
    ///     Error::bug("value %3 has no buffer").to_string(),
    ///     "internal error: value %3 has no buffer; this is an error of Neurax, please report it"
    /// );
    /// ```
    pub fn bug(what: impl fmt::Display) -> Error {
        Error::new(
            "internal error",
            format!("{what}; this is an error of Neurax, please report it"),
        )
    }

    /// The operation that failed.
    pub fn op(&self) -> &str {
        &self.0.op
    }

    /// What is wrong, without the operation and the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The same error at that place, unless it has one already that a user can act on: the first
    /// place is the one closest to the cause.
    pub fn at(self, place: &Place) -> Error {
        if self.0.origin.place.shown().is_none() {
            self.edit(|i| i.origin.place = place.clone())
        } else {
            self
        }
    }

    /// The same error at the place and layer of an equation, where it has none yet.
    pub fn at_origin(self, origin: &Origin) -> Error {
        let e = self.at(&origin.place);
        if e.0.origin.path.is_none() { e.edit(|i| i.origin.path = origin.path.clone()) } else { e }
    }

    /// Puts a layer's name in front of the layer path; called on the way out of each layer.
    pub fn within(self, scope: &str) -> Error {
        self.edit(|i| {
            i.origin.path = Some(match &i.origin.path {
                Some(inner) => format!("{scope}/{inner}").into(),
                None => scope.into(),
            })
        })
    }

    /// The same error as a part of operation `op`, e.g. the failing op inside a `scan`.
    pub fn inside(self, op: &str) -> Error {
        self.edit(|i| i.op = format!("{op}: {}", i.op))
    }

    fn edit(self, f: impl FnOnce(&mut Inner)) -> Error {
        let mut inner = Arc::unwrap_or_clone(self.0);
        f(&mut inner);
        Error(Arc::new(inner))
    }
}

/// A value that is there unless an invariant of Neurax is broken.
pub trait OrBug<T> {
    /// Returns the value, or [`Error::bug`] with `what` if there is none.
    ///
    /// # Errors
    /// If there is no value.
    ///
    /// ```
    /// use neurax_ir::OrBug;
    /// assert_eq!(Some(1).or_bug("a number is missing")?, 1);
    /// assert!(None::<i32>.or_bug("a number is missing").is_err());
    /// # Ok::<(), neurax_ir::Error>(())
    /// ```
    fn or_bug(self, what: impl fmt::Display) -> Result<T>;
}

impl<T> OrBug<T> for Option<T> {
    fn or_bug(self, what: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Error::bug(what))
    }
}

impl Place {
    /// A place known by name.
    pub fn named(name: impl Into<Arc<str>>) -> Place {
        Place::Named(name.into())
    }

    /// Is this a line that a user can act on? Lines of std and of our own crates are not.
    pub(crate) fn shown(&self) -> Option<String> {
        match self {
            Place::Unknown => None,
            Place::Named(name) => Some(name.to_string()),
            Place::Source(l) if is_foreign(l.file()) => None,
            Place::Source(l) => Some(format!("{}:{}:{}", l.file(), l.line(), l.column())),
        }
    }
}

/// A file of the standard library, or of a Neurax crate's own `src` (their tests and doctests are
/// users).
fn is_foreign(file: &str) -> bool {
    let file = file.replace('\\', "/");
    let folders: Vec<&str> = file.split('/').collect();
    // Installed sources of the standard library lie below `rustlib`; without them the compiler
    // names them below `/rustc`.
    let std = file.starts_with("/rustc/") || folders.windows(2).any(|w| w == ["rustlib", "src"]);
    std || folders.windows(2).any(|w| is_ours(w[0]) && w[1] == "src")
}

/// The folder of one of our crates, as it lies in a repository, in a registry
/// (`neurax-tensor-0.1.0`) or among vendored ones?
fn is_ours(folder: &str) -> bool {
    let version = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix('-').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()))
    };
    OURS.iter().any(|name| folder.strip_prefix(name).is_some_and(version))
}

/// Crates whose own lines say nothing to a user; examples and the command line are written as users
/// would, and the facade has no code.
const OURS: [&str; 7] = [
    "neurax-ir",
    "neurax-runtime",
    "neurax-interp",
    "neurax-tensor",
    "neurax-nn",
    "neurax-data",
    "neurax-train",
];

impl From<&'static Location<'static>> for Place {
    fn from(l: &'static Location<'static>) -> Place {
        Place::Source(l)
    }
}

impl From<Place> for Origin {
    fn from(place: Place) -> Origin {
        Origin { place, ..Origin::default() }
    }
}

impl Origin {
    /// The same origin, written by that transform.
    pub fn by(&self, transform: &'static str) -> Origin {
        Origin { transform: Some(transform), ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.shown().unwrap_or_else(|| "an unknown place".into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let i = &*self.0;
        write!(f, "{}: {}", i.op, i.message)?;
        if let Some(path) = &i.origin.path {
            write!(f, ", in layer {path}")?;
        }
        match i.origin.place.shown() {
            Some(place) => write!(f, ", at {place}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        Error::new("io", e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_lines_are_not_shown() {
        for file in [
            "crates/neurax-tensor/src/api/math.rs",
            "/home/a/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/neurax-ir-0.1.0/src/ty.rs",
            "/home/a/.cargo/git/checkouts/neurax-0123/4567/crates/neurax-nn/src/node.rs",
            "vendor/neurax-tensor/src/api/math.rs",
            r"C:\work\crates\neurax-train\src\trainer.rs",
            "/rustc/0123/library/core/src/ops/function.rs",
            "/home/a/.rustup/toolchains/stable/lib/rustlib/src/rust/library/alloc/src/vec/mod.rs",
        ] {
            assert!(is_foreign(file), "{file}");
        }
    }

    #[test]
    fn users_lines_are_shown() {
        for file in [
            "src/main.rs",
            "crates/neurax-training-app/src/main.rs",
            "neurax-nn-demo/src/main.rs",
            "crates/neurax-tensor/tests/errors.rs",
            "crates/neurax-examples/src/lib.rs",
            "/home/a/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/somebodys-layers-1.0.0/src/lib.rs",
            "library/core/src/model.rs",
        ] {
            assert!(!is_foreign(file), "{file}");
        }
    }
}
