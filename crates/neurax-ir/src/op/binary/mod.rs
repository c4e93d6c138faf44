//! Elementwise functions of two operands. A new function is one row in each `match`.

mod eval;
mod rules;

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::graph::attr::{nameless_attrs, names};
use crate::{Builder, DType, Eval, Kind, Literal, Result, Type, Value};
use std::ops::Range;

pub(super) use eval::apply;

names! {
    /// An elementwise function of two operands of the same type.
    /// <https://openxla.org/stablehlo/spec#ops>
    pub enum Binary {
        /// `x + y`; integers wrap, the or of bools.
        Add = "add",
        /// `x - y`; integers wrap.
        Sub = "subtract",
        /// `x * y`; integers wrap, the and of bools.
        Mul = "multiply",
        /// `x / y`; integers truncate, and division by zero yields -1 (all bits set), as in XLA.
        Div = "divide",
        /// Remainder with the sign of `x`; an integer modulo zero is `x`.
        Rem = "remainder",
        /// `x^y`
        Pow = "power",
        /// C's `atan2(x, y)` of operands `(x, y)`: the angle of the point with abscissa `y` and
        /// ordinate `x`.
        Atan2 = "atan2",
        /// The larger operand; NaN wins.
        Max = "maximum",
        /// The smaller operand; NaN wins.
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
        /// A complex number from real and imaginary part: c64 from f32, c128 from f64.
        Complex = "complex",
        /// The next representable number after `x` towards `y`.
        NextAfter = "next_after",
        /// The derivative of order `x` of [`super::Unary::Digamma`] at `y`; NaN if `x` is not a
        /// whole number. It has no derivative with respect to `x`.
        Polygamma = "polygamma",
        /// The Hurwitz zeta function: the sum of `(y + k)^-x` over `k = 0, 1, ..`. It has no
        /// derivative with respect to `x`.
        Zeta = "zeta",
        /// The regularized lower incomplete gamma function of parameter `x` at `y`.
        Igamma = "igamma",
        /// The regularized upper incomplete gamma function of parameter `x` at `y`.
        Igammac = "igammac",
        /// The derivative of [`Binary::Igamma`] by `x`. It has no derivative with respect to `x`.
        IgammaGradA = "igamma_grad_a",
        /// The derivative by `x` of a sample `y` of the gamma distribution with shape `x`: minus
        /// [`Binary::IgammaGradA`] over the density at `y`. It has no derivative with respect to
        /// `x`.
        RandomGammaGrad = "random_gamma_grad",
    }
}

nameless_attrs!(Binary);

use Binary::*;

impl Binary {
    /// Returns the kinds of dtype that the function takes; of the floats, [`Binary::Complex`] takes
    /// f32 and f64 only.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Add | Mul => COMPUTED,
            Sub | Div | Pow => NUMBERS,
            Rem => REALS,
            Max | Min => ORDERED,
            And | Or | Xor => BITS,
            ShiftLeft | ShiftRightArithmetic | ShiftRightLogical => INTS,
            Atan2 | NextAfter | Complex | Polygamma | Zeta | Igamma | Igammac | IgammaGradA
            | RandomGammaGrad => FLOATS,
        }
    }

    /// Returns true if the function takes operands of `dtype`.
    pub fn admits(self, dtype: DType) -> bool {
        self.kinds().contains(&dtype.kind()) && self.result(dtype).is_some()
    }

    /// Returns the dtype of the result.
    fn result(self, dtype: DType) -> Option<DType> {
        match (self, dtype) {
            (Complex, DType::F32) => Some(DType::C64),
            (Complex, DType::F64) => Some(DType::C128),
            (Complex, _) => None,
            (
                Add | Sub | Mul | Div | Rem | Pow | Atan2 | Max | Min | And | Or | Xor | ShiftLeft
                | ShiftRightArithmetic | ShiftRightLogical | NextAfter | Polygamma | Zeta | Igamma
                | Igammac | IgammaGradA | RandomGammaGrad,
                _,
            ) => Some(dtype),
        }
    }

    /// Evaluates a function from floats to floats; NaN if it is not one. Compilers call this for
    /// functions that they have no code for.
    ///
    /// ```
    /// use neurax_ir::op::Binary;
    /// assert_eq!(Binary::Pow.of_f32(2.0, 3.0), 8.0);
    /// ```
    pub fn of_f32(self, x: f32, y: f32) -> f32 {
        eval::of_elements(self, DType::F32, x, y).unwrap_or(f32::NAN)
    }

    /// Evaluates a function from floats to floats, in f64; NaN if it is not one.
    pub fn of_f64(self, x: f64, y: f64) -> f64 {
        eval::of_elements(self, DType::F64, x, y).unwrap_or(f64::NAN)
    }

    /// Evaluates a function that takes signed integers; 0 if it takes none.
    pub fn of_i64(self, x: i64, y: i64) -> i64 {
        eval::of_elements(self, DType::I64, x, y).unwrap_or(0)
    }

    /// Evaluates a function that takes unsigned integers; 0 if it takes none.
    pub fn of_u64(self, x: u64, y: u64) -> u64 {
        eval::of_elements(self, DType::U64, x, y).unwrap_or(0)
    }

    /// Returns a range for each operand in which the function is defined and differentiable.
    pub fn domain(self) -> [Range<f64>; 2] {
        match self {
            Div => [-3.0..3.0, 0.5..3.0],
            Rem => [-5.0..5.0, 1.1..2.3],
            Pow => [0.2..3.0, -2.0..2.5],
            ShiftLeft | ShiftRightArithmetic | ShiftRightLogical => [-4.0..7.0, 0.0..5.0],
            Polygamma => [0.0..4.0, 0.4..4.0],
            Zeta => [1.5..5.0, 0.4..4.0],
            Igamma | Igammac | IgammaGradA | RandomGammaGrad => [0.5..4.0, 0.3..5.0],
            Add | Sub | Mul | Atan2 | Max | Min | And | Or | Xor | Complex | NextAfter => {
                [-3.0..3.0, -2.0..3.5]
            }
        }
    }
}

impl Primitive for Binary {
    fn name(&self) -> &'static str {
        (*self).name()
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let name = (*self).name();
        arity(name, xs, 2)?;
        same_type(name, &xs[0], &xs[1])?;
        check_kind(name, &xs[0], self.kinds())?;
        match self.result(xs[0].dtype) {
            Some(dtype) => Ok(vec![xs[0].with_dtype(dtype)]),
            None => refuse(
                name,
                format!("expected f32 or f64 operands, got {}; convert them first", xs[0]),
            ),
        }
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let y = xs.swap_remove(1);
        Ok(vec![apply(*self, cx, xs.swap_remove(0), y)?])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        if !b.dtype(at.ys[0]).is_differentiable() {
            return Ok(no_tangents(at));
        }
        Ok(vec![rules::tangent(*self, b, at, dxs[0], dxs[1])?])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        rules::transpose(*self, b, at, [linear[0], linear[1]], cts[0])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        batch(b, *self, 1, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        // NextAfter has no derivative, and others none with respect to their first operand; all
        // other functions of floats have one.
        let rows = |&f: &Binary| {
            let smooth = !matches!(f, NextAfter | Polygamma | Zeta | IgammaGradA | RandomGammaGrad);
            samples(f, |d| f.admits(d), &f.domain(), smooth)
        };
        let mut rows: Vec<Sample> = Binary::ALL.iter().flat_map(rows).collect();
        for s in rows.iter_mut().filter(|s| s.op == Polygamma.into()) {
            let x = &s.inputs[0];
            let whole: Vec<f64> = x.to_f64s().iter().map(|n| n.floor()).collect();
            s.inputs[0] = Literal::from_f64s(x.dtype(), x.shape(), &whole);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::pointwise::testing::*;
    use crate::{Complex as Cx, Op};

    fn ints(f: Binary, dtype: DType, x: &[f64], y: &[f64]) -> Vec<f64> {
        eval(f, &[&of(dtype, x), &of(dtype, y)]).to_f64s()
    }

    #[test]
    fn a_function_without_evaluation_is_an_internal_error() {
        for (f, d) in [(Atan2, DType::I32), (Max, DType::C64), (And, DType::F16)] {
            let x = Literal::zeros(Type::new(d, [2]));
            let e = apply(f, &mut Eval::default(), x.clone(), x).unwrap_err().to_string();
            let want = format!("internal error: {} has no evaluation in {d}", f.name());
            assert!(e.starts_with(&want), "{e}");
        }
        assert!(Xor.of_f64(1.0, 2.0).is_nan());
    }

    #[test]
    fn integers_wrap_and_never_trap() {
        assert_eq!(
            eval(Add, &[&vector(&[i32::MAX]), &vector(&[1])]).to_vec::<i32>().unwrap(),
            [i32::MIN]
        );
        assert_eq!(
            ints(Div, DType::I8, &[7.0, -7.0, -128.0, 5.0], &[2.0, 2.0, -1.0, 0.0]),
            [3.0, -3.0, -128.0, -1.0]
        );
        assert_eq!(ints(Div, DType::U4, &[9.0, 5.0], &[2.0, 0.0]), [4.0, 15.0]);
        assert_eq!(ints(Div, DType::I2, &[-2.0], &[-1.0]), [-2.0]);
        assert_eq!(
            ints(Rem, DType::I8, &[7.0, -7.0, -128.0, 5.0], &[4.0, 4.0, -1.0, 0.0]),
            [3.0, -3.0, 0.0, 5.0]
        );
        assert_eq!(ints(Mul, DType::U4, &[5.0], &[7.0]), [3.0]);
        assert_eq!(
            ints(
                Pow,
                DType::I32,
                &[3.0, -1.0, 2.0, 0.0, 2.0, 1.0],
                &[4.0, -3.0, -1.0, 0.0, 32.0, -5.0]
            ),
            [81.0, -1.0, 0.0, 1.0, 0.0, 1.0]
        );
        assert_eq!(
            eval(Pow, &[&vector(&[3u64]), &vector(&[41u64])]).to_vec::<u64>().unwrap(),
            [3u64.wrapping_pow(41)]
        );
        assert_eq!(
            eval(Pow, &[&vector(&[u64::MAX]), &vector(&[u64::MAX])]).to_vec::<u64>().unwrap(),
            [u64::MAX]
        );
    }

    #[test]
    fn shifts_respect_the_width() {
        let (x, y) = ([-8.0, -8.0, -8.0, 5.0], [1.0, 4.0, -1.0, 1.0]);
        assert_eq!(ints(ShiftRightArithmetic, DType::I4, &x, &y), [-4.0, -1.0, -1.0, 2.0]);
        assert_eq!(ints(ShiftRightLogical, DType::I4, &x, &y), [4.0, 0.0, 0.0, 2.0]);
        assert_eq!(ints(ShiftLeft, DType::I4, &x, &y), [0.0, 0.0, 0.0, -6.0]);
        assert_eq!(
            ints(ShiftRightArithmetic, DType::U8, &[128.0], &[1.0]),
            [192.0],
            "the top bit is the sign"
        );
        assert_eq!(
            ints(ShiftLeft, DType::I32, &[1.0, 1.0, 1.0], &[31.0, 32.0, 300.0]),
            [i32::MIN as f64, 0.0, 0.0]
        );
        assert_eq!(ints(ShiftRightLogical, DType::I64, &[-1.0, -1.0], &[63.0, 64.0]), [1.0, 0.0]);
        assert_eq!(ints(ShiftRightArithmetic, DType::I64, &[-2.0], &[64.0]), [-1.0]);
    }

    #[test]
    fn bools_are_logic() {
        let (x, y) = (vector(&[false, false, true, true]), vector(&[false, true, false, true]));
        for (f, want) in [
            (Add, [0, 1, 1, 1]),
            (Mul, [0, 0, 0, 1]),
            (Max, [0, 1, 1, 1]),
            (Min, [0, 0, 0, 1]),
            (Xor, [0, 1, 1, 0]),
        ] {
            assert_eq!(&eval(f, &[&x, &y]).bytes()[..], want, "{f:?}");
        }
    }

    #[test]
    fn corners_of_floats() {
        let (x, y) = (vector(&[f64::NAN, 1.0, 2.0]), vector(&[1.0, f64::NAN, 3.0]));
        for (f, last) in [(Max, 3.0), (Min, 2.0)] {
            let out = eval(f, &[&x, &y]).to_f64s();
            assert!(out[0].is_nan() && out[1].is_nan() && out[2] == last, "{out:?}");
        }
        let pow =
            eval(Pow, &[&vector(&[0.0, -8.0, -2.0, 0.0]), &vector(&[0.0, 1.0 / 3.0, 3.0, -1.0])])
                .to_f64s();
        assert!(pow[0] == 1.0 && pow[1].is_nan() && pow[2] == -8.0 && pow[3] == f64::INFINITY);
        assert_eq!(eval(Rem, &[&vector(&[-5.5]), &vector(&[2.0])]).to_f64s(), [-1.5]);
        assert_eq!(
            eval(Atan2, &[&vector(&[1.0]), &vector(&[-1.0])]).to_f64s(),
            [0.75 * std::f64::consts::PI]
        );
    }

    #[test]
    fn adjacent_numbers_depend_on_the_format() {
        assert_eq!(
            eval(NextAfter, &[&of(DType::F16, &[1.0, 1.0]), &of(DType::F16, &[2.0, 0.0])])
                .to_f64s(),
            [1.0 + 1.0 / 1024.0, 1.0 - 1.0 / 2048.0]
        );
        let out = eval(
            NextAfter,
            &[
                &vector(&[0.0f32, -0.0, 1.0, f32::MAX, -1.0]),
                &vector(&[-1.0, 1.0, 1.0, f32::INFINITY, 0.0]),
            ],
        );
        let least = f32::from_bits(1);
        assert_eq!(
            out.to_vec::<f32>().unwrap(),
            [-least, least, 1.0, f32::INFINITY, -1.0 + f32::EPSILON / 2.0]
        );
        assert!(
            eval(NextAfter, &[&vector(&[1.0, f64::NAN]), &vector(&[f64::NAN, 1.0])])
                .to_f64s()
                .iter()
                .all(|x| x.is_nan())
        );
        assert_eq!(
            eval(NextAfter, &[&of(DType::F8E4M3FN, &[8.0]), &of(DType::F8E4M3FN, &[9.0])])
                .to_f64s(),
            [9.0]
        );
    }

    #[test]
    fn complex_arithmetic() {
        let (x, y) = (vector(&[Cx::new(1.0f32, 2.0)]), vector(&[Cx::new(3.0f32, -1.0)]));
        assert_eq!(eval(Mul, &[&x, &y]).to_vec::<Cx<f32>>().unwrap(), [Cx::new(5.0, 5.0)]);
        assert_eq!(eval(Div, &[&x, &y]).to_vec::<Cx<f32>>().unwrap(), [Cx::new(0.1, 0.7)]);
        assert_eq!(
            eval(Complex, &[&vector(&[1.0]), &vector(&[2.0])]).to_vec::<Cx<f64>>().unwrap(),
            [Cx::new(1.0, 2.0)]
        );
    }

    #[test]
    fn either_unique_operand_is_reused() {
        let (x, y) = (vector(&[1.0f32, 2.0]), vector(&[5.0f32, 7.0]));
        let addresses = [x.bytes().address(), y.bytes().address()];
        let mut cx = Eval::default();
        let kept = x.clone();
        let out = Op::from(Sub).eval(&mut cx, vec![x, y]).unwrap().swap_remove(0);
        assert_eq!(
            (out.bytes().address(), out.to_f64s()),
            (addresses[1], vec![-4.0, -5.0]),
            "the right one"
        );
        let out = Op::from(Sub).eval(&mut cx, vec![kept, out.clone()]).unwrap().swap_remove(0);
        assert_eq!(
            (out.bytes().address(), out.to_f64s()),
            (addresses[0], vec![5.0, 7.0]),
            "the left one"
        );
        assert_eq!(cx.reused, 2);
    }

    #[test]
    fn wrong_operands_are_errors() {
        let ty = |d| Type::new(d, [2]);
        assert_eq!(
            refusal(Mul, &[ty(DType::F32), ty(DType::I32)]),
            "multiply: the operands f32[2] and i32[2] differ in dtype; convert one of them first"
        );
        assert_eq!(
            refusal(Complex, &[ty(DType::F16), ty(DType::F16)]),
            "complex: expected f32 or f64 operands, got f16[2]; convert them first"
        );
        assert!(refusal(Max, &[ty(DType::C64), ty(DType::C64)]).contains("got c64[2]"));
        assert!(refusal(Sub, &[ty(DType::Bool), ty(DType::Bool)]).contains("got bool[2]"));
    }

    /// Returns the tangent of `f` at `x`, `y` for a unit tangent of `operand`.
    fn slope(f: Binary, x: f64, y: f64, operand: usize) -> f64 {
        let mut b = Builder::new();
        let xs = b.inputs(&[Type::scalar(DType::F64), Type::scalar(DType::F64)]);
        let (ys, one) = (b.emit_n(f, &xs, 1), b.scalar(DType::F64, 1.0));
        let mut dxs = [None, None];
        dxs[operand] = Some(one);
        let d = Op::from(f).jvp(&mut b, &Bound { xs: &xs, ys: &ys }, &dxs).unwrap()[0].unwrap();
        let graph = b.finish(&[d]).unwrap();
        crate::transform::eval(
            &graph,
            vec![Literal::scalar(DType::F64, x), Literal::scalar(DType::F64, y)],
        )
        .unwrap()[0]
            .to_f64s()[0]
    }

    #[test]
    fn polygamma_of_every_order() {
        let of = |n: f64, x: f64| eval(Polygamma, &[&vector(&[n]), &vector(&[x])]).to_f64s()[0];
        assert_eq!(
            (of(0.0, 2.5), of(2.0, 0.0)),
            (eval(crate::op::Unary::Digamma, &[&vector(&[2.5])]).to_f64s()[0], f64::NEG_INFINITY)
        );
        assert!(of(1.5, 2.0).is_nan() && of(-1.0, 2.0).is_nan() && of(f64::INFINITY, 2.0).is_nan());
        for n in [0.0, 1.0, 2.0, 5.0] {
            let (h, have) = (1e-5, slope(Polygamma, n, 1.3, 1));
            let want = (of(n, 1.3 + h) - of(n, 1.3 - h)) / (2.0 * h);
            assert!((have - want).abs() < 1e-7 * want.abs(), "{n}: {have}, not {want}");
        }
        let mut b = Builder::new();
        let xs = b.inputs(&[Type::scalar(DType::F64), Type::scalar(DType::F64)]);
        let e = Op::from(Polygamma)
            .jvp(&mut b, &Bound { xs: &xs, ys: &xs[..1] }, &[Some(xs[0]), None])
            .unwrap_err();
        assert!(e.to_string().starts_with("polygamma: it has no derivative; "), "{e}");
    }

    #[test]
    fn slopes_at_ties_and_zeros_are_those_of_jax() {
        assert_eq!(
            (
                slope(Max, 2.0, 2.0, 0),
                slope(Max, 2.0, 2.0, 1),
                slope(Min, 1.0, 2.0, 0),
                slope(Min, 1.0, 2.0, 1)
            ),
            (0.5, 0.5, 1.0, 0.0)
        );
        assert_eq!(
            (
                slope(Pow, 0.0, 2.0, 0),
                slope(Pow, 0.0, 1.0, 0),
                slope(Pow, 0.0, 0.0, 0),
                slope(Pow, 0.0, 2.0, 1)
            ),
            (0.0, 1.0, 0.0, 0.0)
        );
        assert_eq!(slope(Pow, -3.0, 2.0, 0), -6.0);
        assert_eq!(
            (slope(Rem, 5.0, 3.0, 0), slope(Rem, 5.0, 3.0, 1), slope(Rem, -7.0, 3.0, 1)),
            (1.0, -1.0, 2.0)
        );
    }
}
