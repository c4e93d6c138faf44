//! The op of named composites; the composites themselves are in [`crate::composite`].

pub use crate::composite::Composite;
