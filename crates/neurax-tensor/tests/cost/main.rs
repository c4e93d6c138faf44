//! What captures, transforms and loops cost, as a backend sees it.

mod captures;
mod counting;
mod loops;
