//! Choosing elements.

use crate::graph::attr::attrs;

attrs! {
    /// `pred ? x : y`, element by element; `pred` is bool of the same shape. <https://openxla.org/stablehlo/spec#select>
    pub struct Select = "select" {}

    /// `min(max(x, low), high)` of operands `(low, x, high)`, all of one type. <https://openxla.org/stablehlo/spec#clamp>
    pub struct Clamp = "clamp" {}
}
pending!(Select, Clamp);
