//! The limits of what a file can ask for.
//!
//! The problem: a few bytes of a file can stand for work without end. A function that calls the
//! next one twice doubles the nodes with each of its kind, loops inside of loops multiply their
//! iterations, and a string that is concatenated with itself doubles its length. Each of these has
//! a limit here, far above what models of exporters need, and an error that names it.
//!
//! A loop of a compiled program that ends by a condition on data has no limit: it runs until the
//! condition is false.

/// The number of graphs inside of each other: bodies of branches, loops and functions.
pub(crate) const MAX_BODY_DEPTH: usize = 64;

/// The number of nodes, and of default attributes, that the calls of functions in a model stand
/// for.
pub(crate) const MAX_CALLED_NODES: usize = 1 << 20;

/// The number of problems that are collected; others are counted.
pub(crate) const MAX_COLLECTED_PROBLEMS: usize = 1000;

/// The number of iterations of a call of a model: those that run on the host, and those of compiled
/// loops with known numbers of iterations. The iterations of nested loops multiply.
pub(crate) const MAX_LOOP_ITERATIONS: u64 = 1 << 24;

/// The number of iterations that are traced one by one into a program. A loop with more runs on the
/// host, where it can.
pub(crate) const MAX_TRACED_ITERATIONS: u64 = 1 << 12;

/// The bytes of the strings of one value, with those that hold them: 1 GiB.
pub(crate) const MAX_STRING_BYTES: usize = 1 << 30;

/// The number of elements of a sequence that an operator makes of a tensor.
pub(crate) const MAX_SEQUENCE: usize = 1 << 20;

/// The bytes of all sparse tensors of a file, made dense, besides [`MAX_DENSE_RATIO`].
pub(crate) const MAX_DENSE_BYTES: usize = 1 << 26;

/// The bytes of sparse tensors, made dense, for each byte of their values.
pub(crate) const MAX_DENSE_RATIO: usize = 1 << 12;
