//! Programs that are also the manual.
