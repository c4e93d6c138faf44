//! The cost of captures, transforms and loops, as seen by a backend.

mod bodies;
mod captures;
mod counting;
mod lazy;
mod loops;
