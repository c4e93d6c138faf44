//! The cost of captures, transforms and loops, as seen by a backend.

mod captures;
mod counting;
mod loops;
