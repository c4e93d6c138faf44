//! Generator rules for elementwise ops and ops without operands.

use super::custom::Twist;
use super::generate::{AXIS, BoundedValue, Gen, GenRule, any_shape};
use neurax_ir::op::*;
use neurax_ir::{DType, Type};
use std::sync::Arc;

pub(super) const ELEMENTWISE_RULES: &[GenRule] = &[
    smooth_unary,
    smooth_unary,
    positive_unary,
    narrow_unary,
    polygamma,
    with_parameter,
    smooth_binary,
    smooth_binary,
    smooth_binary,
    complex_op,
    integer_op,
    integer_unary,
    float_op,
    float_op,
    rounding,
    comparison,
    boolean_op,
    select,
    clamp,
    convert,
    iota,
    random_bits,
    barrier,
    extremum,
    custom,
    all_gather,
    all_reduce,
    axis_index,
];

fn smooth_unary(g: &mut Gen) -> Option<()> {
    use Unary::*;
    let x = g.pick_value(DType::F64);
    let op = g
        .rng
        .pick(&[Neg, Sin, Cos, Tanh, Logistic, Atan, Asinh, Erf, Erfc, Exp, Expm1, Sinh, Cosh]);
    let y = g.emit(op, &[x.v]);
    let bound = match op {
        Neg => x.bound,
        Exp | Expm1 | Sinh | Cosh => x.bound.exp(),
        Atan | Asinh | Erfc => 2.5,
        _ => 1.0,
    };
    g.keep(y, bound)
}

fn positive_unary(g: &mut Gen) -> Option<()> {
    use Unary::*;
    let x = g.pick_value(DType::F64);
    let p = g.positive(x.v);
    let op =
        g.rng.pick(&[Log, Log1p, Sqrt, Rsqrt, Cbrt, Lgamma, Digamma, Acosh, BesselI0e, BesselI1e]);
    let p = if matches!(op, Digamma | Acosh) { g.above_one(p) } else { p };
    let y = g.emit(op, &[p]);
    g.keep(y, 3.0)
}

fn narrow_unary(g: &mut Gen) -> Option<()> {
    use Unary::*;
    let x = g.pick_value(DType::F64);
    let s = g.b.sin(x.v);
    let s = g.b.mul_scalar(s, 0.8);
    let op = g.rng.pick(&[Asin, Acos, Atanh, ErfInv, Tan]);
    let y = g.emit(op, &[s]);
    g.keep(y, 2.6)
}

/// Emits a polygamma of constant order: it has no derivative by its order.
fn polygamma(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let p = g.above_one(x.v);
    let order = g.rng.below(4) as f64;
    let n = g.b.full_like(p, order);
    let y = g.emit(Binary::Polygamma, &[n, p]);
    g.keep(y, 6.5)
}

/// Emits a function whose other operands are constant parameters: it has no derivative by them, or
/// one of the first order only.
fn with_parameter(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let parameter = 1.25 + 0.5 * g.rng.below(6) as f64;
    let a = g.b.full_like(x.v, parameter);
    if g.rng.below(4) == 0 {
        let b = g.b.full_like(x.v, 2.5);
        let inside = g.b.logistic(x.v);
        let y = g.emit(IncompleteBeta {}, &[a, b, inside]);
        return g.keep(y, 1.0);
    }
    let p = g.above_one(x.v);
    use Binary::*;
    let op = g.rng.pick(&[Zeta, Igamma, Igammac, IgammaGradA, RandomGammaGrad]);
    let y = g.emit(op, &[a, p]);
    g.keep(y, if matches!(op, Zeta | RandomGammaGrad) { 8.0 } else { 1.0 })
}

fn smooth_binary(g: &mut Gen) -> Option<()> {
    use Binary::*;
    let x = g.pick_value(DType::F64);
    let y = g.pick_shaped(DType::F64, &g.ty(x).shape);
    match g.rng.pick(&[Add, Sub, Mul, Div, Pow, Atan2]) {
        Div => {
            let d = g.above_one(y.v);
            let z = g.b.div(x.v, d);
            g.keep(z, x.bound)
        }
        Pow => {
            let p = g.positive(x.v);
            let z = g.b.pow(p, y.v);
            g.keep(z, 2.5f64.powf(y.bound))
        }
        Atan2 => {
            let p = g.positive(y.v);
            let z = g.emit(Atan2, &[x.v, p]);
            g.keep(z, 1.6)
        }
        op => {
            let z = g.emit(op, &[x.v, y.v]);
            g.keep(z, if op == Mul { x.bound * y.bound } else { x.bound + y.bound })
        }
    }
}

/// Emits the maximum or minimum of two values that are never equal.
fn extremum(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let y = g.pick_shaped(DType::F64, &g.ty(x).shape);
    let above = g.b.square(y.v);
    let above = g.b.add_scalar(above, 0.3);
    let above = g.b.add(above, x.v);
    let op = g.rng.pick(&[Binary::Max, Binary::Min]);
    let z = if g.rng.one_in(2) { g.emit(op, &[x.v, above]) } else { g.emit(op, &[above, x.v]) };
    g.keep(z, x.bound + y.bound * y.bound + 0.3)
}

fn complex_op(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::C128);
    let double = |g: &mut Gen, op| {
        let y = g.emit(op, &[x.v]);
        g.keep(y, x.bound)
    };
    match g.rng.below(7) {
        0 => double(g, Unary::Real),
        1 => double(g, Unary::Imag),
        2 => double(g, Unary::Conj),
        3 => {
            let y = g.b.convert(x.v, DType::F64);
            g.keep(y, x.bound)
        }
        4 => {
            let y = g.b.exp(x.v);
            g.keep(y, 2.0 * x.bound.exp())
        }
        k => {
            let op = if k == 5 { Binary::Mul } else { Binary::Sub };
            let (z, y) = g.binary(op, x);
            g.keep(z, if k == 5 { x.bound * y.bound } else { x.bound + y.bound })
        }
    }
}

fn integer_op(g: &mut Gen) -> Option<()> {
    use Binary::*;
    let x = g.pick_value(DType::I32);
    let op = g.rng.pick(&[
        Add,
        Sub,
        Mul,
        Div,
        Rem,
        Max,
        Min,
        And,
        Or,
        Xor,
        ShiftLeft,
        ShiftRightArithmetic,
        ShiftRightLogical,
    ]);
    let (z, y) = g.binary(op, x);
    let bound = match op {
        Add | Sub => x.bound + y.bound,
        Rem | Max | Min | Div => x.bound.max(y.bound),
        _ => 1e9,
    };
    g.keep(z, bound)
}

fn integer_unary(g: &mut Gen) -> Option<()> {
    use Unary::*;
    let x = g.pick_value(DType::I32);
    let op = g.rng.pick(&[Neg, Abs, Sign, Not, PopulationCount, CountLeadingZeros]);
    let y = g.emit(op, &[x.v]);
    g.keep(y, x.bound.max(33.0))
}

fn float_op(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F32);
    if g.rng.one_in(2) {
        use Unary::*;
        let op = g.rng.pick(&[Neg, Abs, Sign, Floor, Ceil, RoundEven, RoundAway, Sin, Tanh, Exp]);
        let y = g.emit(op, &[x.v]);
        return g.keep(y, if op == Exp { x.bound.exp() } else { x.bound + 1.0 });
    }
    let op = g.rng.pick(&[Binary::Add, Binary::Mul, Binary::Max, Binary::Min, Binary::NextAfter]);
    let (z, y) = g.binary(op, x);
    g.keep(z, if op == Binary::Mul { x.bound * y.bound } else { x.bound + y.bound })
}

fn rounding(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F32);
    let y = g.emit(ReducePrecision { exponent_bits: 8, mantissa_bits: 20 }, &[x.v]);
    g.keep(y, x.bound)
}

fn comparison(g: &mut Gen) -> Option<()> {
    if g.rng.one_in(6) {
        let x = g.pick_value(DType::F32);
        let y = g.emit(Unary::IsFinite, &[x.v]);
        return g.keep(y, 1.0);
    }
    if g.rng.one_in(3) {
        // A value that no short computation hits, so that the last bit never decides.
        let x = g.pick_value(DType::F32);
        let c = g.b.full_like(x.v, 0.123_456);
        let y = g.b.compare(Direction::Lt, x.v, c);
        return g.keep(y, 1.0);
    }
    let x = g.pick_value(DType::I32);
    let y = g.pick_shaped(DType::I32, &g.ty(x).shape);
    let direction = g.rng.pick(Direction::ALL);
    let z = g.emit(Compare { direction }, &[x.v, y.v]);
    g.keep(z, 1.0)
}

fn boolean_op(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::Bool);
    if g.rng.one_in(3) {
        let y = g.b.not(x.v);
        return g.keep(y, 1.0);
    }
    let op = g.rng.pick(&[Binary::And, Binary::Or, Binary::Xor, Binary::Add, Binary::Mul]);
    let (z, _) = g.binary(op, x);
    g.keep(z, 1.0)
}

fn select(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let shape = g.ty(x).shape;
    let y = g.pick_shaped(dtype, &shape);
    let p = g.pick_shaped(DType::Bool, &shape);
    let z = g.b.select(p.v, x.v, y.v);
    g.keep(z, x.bound.max(y.bound))
}

fn clamp(g: &mut Gen) -> Option<()> {
    let dtype = g.rng.pick(&[DType::F64, DType::F32, DType::I32]);
    let x = g.pick_value(dtype);
    // In double precision the limits must not be reached, as clamping is not smooth there.
    let reach = if dtype == DType::F64 { 100.0 } else { 1.0 };
    let (low, high) = (g.b.full_like(x.v, -reach), g.b.full_like(x.v, reach));
    let y = g.emit(Clamp {}, &[low, x.v, high]);
    g.keep(y, x.bound)
}

fn convert(g: &mut Gen) -> Option<()> {
    use DType::*;
    let (from, to) = g.rng.pick(&[
        (I32, F64),
        (F32, F64),
        (Bool, F64),
        (F64, C128),
        (I32, F32),
        (F32, I32),
        (I32, Bool),
        (Bool, I32),
        (Bool, F32),
    ]);
    let x = g.pick_value(from);
    let y = g.b.convert(x.v, to);
    g.keep(y, x.bound)
}

fn iota(g: &mut Gen) -> Option<()> {
    let shape = any_shape(&mut g.rng);
    if shape.rank() == 0 {
        return None;
    }
    let (axis, dtype) =
        (g.rng.below(shape.rank()), g.rng.pick(&[DType::I32, DType::F32, DType::F64, DType::C128]));
    let y = g.emit(Iota { ty: Type::new(dtype, shape), axis }, &[]);
    g.keep(y, 4.0)
}

fn random_bits(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::I32);
    let y = g.pick_shaped(DType::I32, &g.ty(x).shape);
    let bits = |g: &mut Gen, s: BoundedValue| g.emit(BitcastConvert { dtype: DType::U32 }, &[s.v]);
    let (x, y) = (bits(g, x), bits(g, y));
    let out = g.b.emit_n(Threefry {}, &[x, y, y, x], 2);
    let place = g.b.full_like(out[1], 29.0);
    let few = g.emit(Binary::ShiftRightLogical, &[out[1], place]);
    let y = g.b.convert(few, DType::I32);
    g.keep(y, 8.0)
}

fn barrier(g: &mut Gen) -> Option<()> {
    let dtypes = [g.dtype(), g.dtype()];
    let xs = dtypes.map(|d| g.pick_value(d));
    let ys = g.b.emit_n(OptimizationBarrier {}, &xs.map(|x| x.v), 2);
    g.keep(ys[0], xs[0].bound)?;
    g.keep(ys[1], xs[1].bound)
}

fn custom(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let y = g.emit(Custom(Arc::new(Twist)), &[x.v]);
    g.keep(y, x.bound)
}

fn all_reduce(g: &mut Gen) -> Option<()> {
    let (kind, dtype) = g.rng.pick(&[
        (ReduceKind::Sum, DType::F64),
        (ReduceKind::Sum, DType::C128),
        (ReduceKind::Max, DType::I32),
        (ReduceKind::Or, DType::Bool),
    ]);
    g.named_axis?;
    let x = g.pick_value(dtype);
    let y = g.emit(AllReduce { kind, axis: AXIS.into() }, &[x.v]);
    g.keep(y, 3.0 * x.bound)
}

fn all_gather(g: &mut Gen) -> Option<()> {
    let size = g.named_axis?;
    let x = g.pick_value(DType::F64);
    let y = g.emit(AllGather { axis: AXIS.into(), size }, &[x.v]);
    g.keep(y, x.bound)
}

fn axis_index(g: &mut Gen) -> Option<()> {
    g.named_axis?;
    let y = g.emit(AxisIndex { axis: AXIS.into() }, &[]);
    g.keep(y, 3.0)
}
