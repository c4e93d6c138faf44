//! One operand, element by element. Adding one is a row in each match.

use crate::graph::attr::{nameless_attrs, names};

names! {
    /// An elementwise function of one operand. Names are StableHLO's (<https://openxla.org/stablehlo/spec#ops>) and CHLO's.
    pub enum Unary {
        /// `-x`; integers wrap.
        Neg = "negate",
        /// `|x|`; of a complex number the real modulus.
        Abs = "abs",
        /// -1, 0 or 1; of a complex number `x / |x|`. NaN stays NaN.
        Sign = "sign",
        /// `e^x`
        Exp = "exponential",
        /// `e^x - 1`, exact near zero.
        Expm1 = "exponential_minus_one",
        /// Natural logarithm.
        Log = "log",
        /// `log(1 + x)`, exact near zero.
        Log1p = "log_plus_one",
        /// Sine of radians.
        Sin = "sine",
        /// Cosine of radians.
        Cos = "cosine",
        /// Tangent of radians.
        Tan = "tan",
        /// Inverse sine.
        Asin = "asin",
        /// Inverse cosine.
        Acos = "acos",
        /// Inverse tangent.
        Atan = "atan",
        /// Hyperbolic sine.
        Sinh = "sinh",
        /// Hyperbolic cosine.
        Cosh = "cosh",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Inverse hyperbolic sine.
        Asinh = "asinh",
        /// Inverse hyperbolic cosine.
        Acosh = "acosh",
        /// Inverse hyperbolic tangent.
        Atanh = "atanh",
        /// Square root.
        Sqrt = "sqrt",
        /// `1 / sqrt(x)`
        Rsqrt = "rsqrt",
        /// Cube root, real also below zero.
        Cbrt = "cbrt",
        /// `1 / (1 + e^-x)`
        Logistic = "logistic",
        /// Error function.
        Erf = "erf",
        /// `1 - erf(x)`, exact for large x.
        Erfc = "erfc",
        /// Inverse error function.
        ErfInv = "erf_inv",
        /// Logarithm of the absolute value of the gamma function.
        Lgamma = "lgamma",
        /// Derivative of [`Unary::Lgamma`].
        Digamma = "digamma",
        /// Derivative of [`Unary::Digamma`].
        Trigamma = "trigamma",
        /// The largest integer not above.
        Floor = "floor",
        /// The smallest integer not below.
        Ceil = "ceil",
        /// The nearest integer, ties to even.
        RoundEven = "round_nearest_even",
        /// The nearest integer, ties away from zero.
        RoundAway = "round_nearest_afz",
        /// Bitwise complement; of bool, logical not.
        Not = "not",
        /// Number of one bits.
        PopulationCount = "popcnt",
        /// Number of leading zero bits, in the width of the dtype.
        CountLeadingZeros = "count_leading_zeros",
        /// Neither infinite nor NaN; gives bool.
        IsFinite = "is_finite",
        /// Real part; gives the real dtype.
        Real = "real",
        /// Imaginary part; gives the real dtype.
        Imag = "imag",
        /// Complex conjugate.
        Conj = "conj",
    }
}

nameless_attrs!(Unary);
pending!(Unary);
