//! Data sets, readers, batching.
