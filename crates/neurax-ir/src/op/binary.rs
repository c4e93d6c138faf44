//! Two operands of one type, element by element. Adding one is a row in each match.

use crate::graph::attr::{nameless_attrs, names};

names! {
    /// An elementwise function of two operands of the same type. <https://openxla.org/stablehlo/spec#ops>
    pub enum Binary {
        /// `x + y`; integers wrap, bool is or.
        Add = "add",
        /// `x - y`; integers wrap.
        Sub = "subtract",
        /// `x * y`; integers wrap, bool is and.
        Mul = "multiply",
        /// `x / y`; integers truncate, and by zero give -1 (all bits set), as XLA does.
        Div = "divide",
        /// Remainder with the sign of `x`; by zero gives `x` for integers.
        Rem = "remainder",
        /// `x^y`
        Pow = "power",
        /// The angle of the point `(y, x)`: `atan2(x, y)` of operands `(x, y)` in this order, as C's.
        Atan2 = "atan2",
        /// The larger; NaN wins.
        Max = "maximum",
        /// The smaller; NaN wins.
        Min = "minimum",
        /// Bitwise and.
        And = "and",
        /// Bitwise or.
        Or = "or",
        /// Bitwise exclusive or.
        Xor = "xor",
        /// `x << y`; zero when `y` is not less than the width.
        ShiftLeft = "shift_left",
        /// `x >> y`, filling with the sign.
        ShiftRightArithmetic = "shift_right_arithmetic",
        /// `x >> y`, filling with zero.
        ShiftRightLogical = "shift_right_logical",
        /// A complex number of real and imaginary part; f32 gives c64, f64 gives c128.
        Complex = "complex",
        /// The next representable number after `x` towards `y`.
        NextAfter = "next_after",
    }
}

nameless_attrs!(Binary);
pending!(Binary);
