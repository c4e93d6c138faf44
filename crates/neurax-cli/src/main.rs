//! The `neurax` command.
fn main() {}
