//! The error type, source locations of errors and equations, and internal errors.

use std::{fmt, panic::Location, sync::Arc};

/// The result type of every fallible function of Neurax.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: the operation that failed, a message, and the origin in the user's program.
///
/// ```
/// use neurax_ir::{Error, Place};
/// let e = Error::new("add", "cannot broadcast f32[2, 2] with f32[3, 5]")
///     .at(&Place::named("the loss"))
///     .within("dense_1");
/// assert_eq!(
///     e.to_string(),
///     "add: cannot broadcast f32[2, 2] with f32[3, 5], in layer dense_1, at the loss"
/// );
/// ```
#[derive(Clone)]
pub struct Error(Arc<ErrorData>);

#[derive(Clone)]
struct ErrorData {
    op: String,
    message: String,
    origin: Origin,
}

/// A location in the user's program: a line of source, or a name where a line would be
/// meaningless (an ONNX node, a loss).
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// An unknown location.
    #[default]
    Unknown,
    /// A line of source.
    Source(&'static Location<'static>),
    /// A name.
    Named(Arc<str>),
}

/// The origin of an equation: its location, the path of its layer, the transform that emitted it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The location in the user's program.
    pub place: Place,
    /// The path of the layer, e.g. `encoder/dense_1`.
    pub path: Option<Arc<str>>,
    /// The transform that emitted the equation, e.g. `transpose`.
    pub transform: Option<&'static str>,
}

impl Error {
    /// Creates an error of operation `op`; `message` says what is wrong and what to do.
    pub fn new(op: impl Into<String>, message: impl Into<String>) -> Error {
        Error(Arc::new(ErrorData {
            op: op.into(),
            message: message.into(),
            origin: Origin::default(),
        }))
    }

    /// Creates the error of a broken invariant: `what` says what was expected and not found.
    ///
    /// It is for states that no input of a user should be able to produce. Code that meets one
    /// returns this error rather than a substituted value. See also [`OrBug`].
    ///
    /// ```
    /// let e = neurax_ir::Error::bug("value %3 has no buffer");
    /// assert_eq!(
    ///     e.to_string(),
    ///     "internal error: value %3 has no buffer; \
    ///      this is an error of Neurax, please report it"
    /// );
    /// ```
    pub fn bug(what: impl fmt::Display) -> Error {
        let message = format!("{what}; this is an error of Neurax, please report it");
        Error::new("internal error", message)
    }

    /// Returns the operation that failed.
    pub fn op(&self) -> &str {
        &self.0.op
    }

    /// Returns the message, without the operation and the location.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the location and the layer of the error.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Replaces the message; the operation and the location stay.
    pub fn with_message(&self, message: impl Into<String>) -> Error {
        self.clone().edit(|i| i.message = message.into())
    }

    /// Sets the location to `place`, unless the error has one that can be shown to a user: the
    /// location that is set first is the one closest to the cause.
    pub fn at(self, place: &Place) -> Error {
        self.edit(|i| i.origin.set_place_if_unknown(place))
    }

    /// Sets the location and the layer to those of an equation's `origin`, where they are not set.
    pub fn at_origin(self, origin: &Origin) -> Error {
        let e = self.at(&origin.place);
        if e.0.origin.path.is_none() { e.edit(|i| i.origin.path = origin.path.clone()) } else { e }
    }

    /// Prepends the layer name `scope` to the layer path; each layer calls it as an error passes.
    pub fn within(self, scope: &str) -> Error {
        self.edit(|i| i.origin.prepend_layer(scope))
    }

    /// Prepends `op` to the operation, e.g. `scan` for an op that failed inside its body.
    pub fn inside(self, op: &str) -> Error {
        self.edit(|i| i.op = format!("{op}: {}", i.op))
    }

    fn edit(self, f: impl FnOnce(&mut ErrorData)) -> Error {
        let mut inner = Arc::unwrap_or_clone(self.0);
        f(&mut inner);
        Error(Arc::new(inner))
    }
}

impl Place {
    /// Creates a location that is known by name.
    pub fn named(name: impl Into<Arc<str>>) -> Place {
        Place::Named(name.into())
    }

    /// Returns the location as text; `None` for lines of std and of the crates of Neurax, which a
    /// user cannot act on.
    pub fn shown(&self) -> Option<String> {
        match self {
            Place::Unknown => None,
            Place::Named(name) => Some(name.to_string()),
            Place::Source(l) if is_foreign(l.file()) => None,
            Place::Source(l) => Some(format!("{}:{}:{}", l.file(), l.line(), l.column())),
        }
    }
}

/// Returns true if `file` belongs to the standard library or to the `src` of a Neurax crate (their
/// tests and doctests count as user code).
fn is_foreign(file: &str) -> bool {
    let file = file.replace('\\', "/");
    let folders: Vec<&str> = file.split('/').collect();
    // Installed sources of the standard library are below `rustlib`; where they are not installed,
    // the compiler reports paths below `/rustc`.
    let std = file.starts_with("/rustc/") || folders.windows(2).any(|w| w == ["rustlib", "src"]);
    std || folders.windows(2).any(|w| is_ours(w[0]) && w[1] == "src")
}

/// Returns true if `folder` is the folder of a Neurax crate in a repository, in a registry
/// (`neurax-tensor-0.1.0`) or in a vendor folder.
fn is_ours(folder: &str) -> bool {
    let version = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix('-').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()))
    };
    OURS.iter().any(|name| folder.strip_prefix(name).is_some_and(version))
}

/// The crates whose source lines are not shown to users. The examples and the command line are
/// user code, and the facade has no code.
const OURS: [&str; 9] = [
    "neurax-ir",
    "neurax-runtime",
    "neurax-interp",
    "neurax-tensor",
    "neurax-nn",
    "neurax-sparse",
    "neurax-serve",
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
    /// Returns this origin marked as emitted by `transform`.
    pub fn by(&self, transform: &'static str) -> Origin {
        Origin { transform: Some(transform), ..self.clone() }
    }

    /// Prepends `layer` to the layer path.
    pub(crate) fn prepend_layer(&mut self, layer: &str) {
        self.path = Some(match &self.path {
            Some(inner) => format!("{layer}/{inner}").into(),
            None => layer.into(),
        });
    }

    /// Sets the location to `place`, unless there is one that can be shown to a user.
    pub(crate) fn set_place_if_unknown(&mut self, place: &Place) {
        if self.place.shown().is_none() {
            self.place = place.clone();
        }
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

/// Checks that a list has `want` elements, one `item` for each `owner` (a noun that takes an `s`).
///
/// # Errors
/// In the name of `op`: "expected one flag for each of 2 inputs, got 0".
pub(crate) fn check_len(op: &str, item: &str, owner: &str, want: usize, got: usize) -> Result<()> {
    if want == got {
        return Ok(());
    }
    let plural = if want == 1 { "" } else { "s" };
    let why = format!("expected one {item} for each of {want} {owner}{plural}, got {got}");
    Err(Error::new(op, why))
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        Error::new("io", e.to_string())
    }
}

/// Conversion of a missing value into an internal error.
pub trait OrBug<T> {
    /// Returns the value, or [`Error::bug`] of `what` if it is missing.
    ///
    /// ```
    /// use neurax_ir::OrBug;
    /// let axes = [1, 2];
    /// assert_eq!(axes.iter().position(|&a| a == 2).or_bug("axis 2 is not in the list")?, 1);
    /// # Ok::<(), neurax_ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::bug`] if there is no value.
    fn or_bug(self, what: impl fmt::Display) -> Result<T>;
}

impl<T> OrBug<T> for Option<T> {
    fn or_bug(self, what: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Error::bug(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_is_an_internal_error() {
        assert_eq!(Some(3).or_bug("three").unwrap(), 3);
        let e = None::<u8>.or_bug(format_args!("value %{} has no buffer", 3)).unwrap_err();
        let text = e.to_string();
        assert!(text.starts_with("internal error: value %3 has no buffer; "), "{text}");
        assert!(text.ends_with("; this is an error of Neurax, please report it"), "{text}");
        assert_eq!(
            e.at(&Place::named("the loss")).inside("scan").to_string(),
            "scan: internal error: value %3 has no buffer; \
             this is an error of Neurax, please report it, at the loss"
        );
    }

    #[test]
    fn our_own_lines_are_not_shown() {
        for file in [
            "crates/neurax-tensor/src/api/math.rs",
            "/a/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/neurax-ir-0.1.0/src/ty.rs",
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
            "/a/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/my-layers-1.0.0/src/lib.rs",
            "library/core/src/model.rs",
        ] {
            assert!(!is_foreign(file), "{file}");
        }
    }
}
