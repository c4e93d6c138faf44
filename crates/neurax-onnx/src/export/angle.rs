//! The angle of a point, which ONNX has no operator for.

use super::draft::Lowered;
use super::emitter::{Emitter, FormResult};
use std::f64::consts::PI;

impl Emitter {
    /// Emits the angle of the point with ordinate `x` and abscissa `y`. The zeros have signs, and
    /// both may be infinite.
    pub(super) fn atan2(&mut self, x: &Lowered, y: &Lowered) -> FormResult<Lowered> {
        let quotient = self.elementwise("Div", &[x, y])?;
        // Of two zeros, and of two infinities, the quotient is NaN.
        let [size_x, size_y] = [self.elementwise("Abs", &[x])?, self.elementwise("Abs", &[y])?];
        let [sign_x, sign_y] = [self.elementwise("Sign", &[x])?, self.elementwise("Sign", &[y])?];
        let diagonal = self.comparison("Equal", &size_x, &size_y)?;
        let sign = self.elementwise("Mul", &[&sign_x, &sign_y])?;
        let ratio = self.choice(&diagonal, &sign, &quotient)?;
        let angle = self.elementwise("Atan", &[&ratio])?;
        let below = self.is_negative(x)?;
        let (half_turn, back) = (self.splat(x, PI), self.splat(x, -PI));
        let turn = self.choice(&below, &back, &half_turn)?;
        let turned = self.elementwise("Add", &[&angle, &turn])?;
        let left = self.is_negative(y)?;
        self.choice(&left, &turned, &angle)
    }

    /// Emits the comparison with zero that is true for -0.
    fn is_negative(&mut self, x: &Lowered) -> FormResult<Lowered> {
        let (zero, one) = (self.splat(x, 0.0), self.splat(x, 1.0));
        let inverse = self.elementwise("Div", &[&one, x])?;
        // The inverse of negative infinity is -0.
        let [is_below, has_negative_inverse] =
            [self.comparison("Less", x, &zero)?, self.comparison("Less", &inverse, &zero)?];
        self.elementwise("Or", &[&is_below, &has_negative_inverse])
    }
}
