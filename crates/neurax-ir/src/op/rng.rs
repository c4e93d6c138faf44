//! Random bits.

use crate::graph::attr::attrs;

attrs! {
    /// The Threefry-2x32 block function, 20 rounds, element by element: operands `(key0, key1, counter0, counter1)`, all
    /// u32 of one shape, give two u32 results of that shape.
    /// Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (<https://doi.org/10.1145/2063384.2063405>).
    pub struct Threefry = "threefry2x32" {}
}
pending!(Threefry);
