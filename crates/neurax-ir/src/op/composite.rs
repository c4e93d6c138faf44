//! Named composites as an op; the composites themselves are in [`crate::composite`].

pub use crate::composite::Composite;
