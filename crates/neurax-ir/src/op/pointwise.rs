//! Helpers shared by the elementwise families: checks, loops, batching, sample rows.

use super::{Axis, Batched, Op, Sample, rules::*};
use crate::{Builder, Bytes, DType, Error, Kind, Literal, Result, Shape, Type, Value};
use std::ops::Range;

/// All kinds that are ordered.
pub const ORDERED: &[Kind] = &[Kind::Bool, Kind::Unsigned, Kind::Signed, Kind::Float];
/// All kinds but bool.
pub const NUMBERS: &[Kind] = &[Kind::Unsigned, Kind::Signed, Kind::Float, Kind::Complex];
/// Integers and floats.
pub const REALS: &[Kind] = &[Kind::Unsigned, Kind::Signed, Kind::Float];
/// Integers.
pub const INTS: &[Kind] = &[Kind::Unsigned, Kind::Signed];
/// Bool and integers.
pub const BITS: &[Kind] = &[Kind::Bool, Kind::Unsigned, Kind::Signed];
/// Floats.
pub const FLOATS: &[Kind] = &[Kind::Float];
/// Floats and complex numbers.
pub const FIELDS: &[Kind] = &[Kind::Float, Kind::Complex];
/// All kinds that are computed with.
pub const COMPUTED: &[Kind] =
    &[Kind::Bool, Kind::Unsigned, Kind::Signed, Kind::Float, Kind::Complex];

/// Returns the dtypes that are computed with.
pub fn computed_dtypes() -> impl Iterator<Item = DType> {
    DType::ALL.into_iter().filter(|d| !d.is_storage())
}

/// Checks that an operand is of one of `kinds`.
///
/// # Errors
/// If it is not; the message lists `kinds`.
pub fn check_kind(op: &str, ty: &Type, kinds: &[Kind]) -> Result<()> {
    if kinds.contains(&ty.dtype.kind()) {
        return Ok(());
    }
    let names: Vec<&str> = kinds.iter().map(|&k| kind_name(k)).collect();
    let names = names.join(" or ");
    let article = if names.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    refuse(op, format!("expected {article} {names} operand, got {ty}; convert it first"))
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Unsigned => "unsigned integer",
        Kind::Signed => "signed integer",
        Kind::Float => "float",
        Kind::Storage => "storage float",
        Kind::Complex => "complex",
    }
}

/// Checks that two operands have the same type.
///
/// # Errors
/// If they differ in shape or dtype.
pub fn same_type(op: &str, x: &Type, y: &Type) -> Result<()> {
    if x.shape != y.shape {
        return refuse(
            op,
            format!("the operands {x} and {y} differ in shape; broadcast them first"),
        );
    }
    if x.dtype != y.dtype {
        return refuse(
            op,
            format!("the operands {x} and {y} differ in dtype; convert one of them first"),
        );
    }
    Ok(())
}

/// Batches an elementwise op of `results` results. If all operands have the new axis at the same
/// position, it stays there; otherwise it is moved to the front.
pub fn batch(
    b: &mut Builder,
    op: impl Into<Op>,
    results: usize,
    axis: &Axis,
    xs: &[Value],
    dims: &[Option<usize>],
) -> Result<Batched> {
    if let Some(&Some(d)) = dims.first()
        && dims.iter().all(|&e| e == Some(d))
    {
        return Ok((b.emit_n(op, xs, results), vec![Some(d); results]));
    }
    let xs = batch_front(b, axis, xs, dims);
    Ok(at_front(b.emit_n(op, &xs, results)))
}

/// Returns the error of a function that has no evaluation in `dtype`: `infer` refuses it, or it is
/// evaluated before the loops over elements.
#[cold]
pub fn no_evaluation<T>(op: &str, dtype: DType) -> Result<T> {
    Err(Error::bug(format_args!("{op} has no evaluation in {dtype}")))
}

/// Applies `f` to every element, in place.
#[inline(always)]
pub fn each<C: Copy>(v: &mut [C], f: impl Fn(C) -> C) {
    v.iter_mut().for_each(|x| *x = f(*x));
}

/// Two operands, one of which the result overwrites.
pub enum Sides<'a, C> {
    /// The result overwrites the left operand.
    Left(&'a mut [C], &'a [C]),
    /// The result overwrites the right operand.
    Right(&'a [C], &'a mut [C]),
}

/// Applies `f` to every pair of elements, in place.
#[inline(always)]
pub fn zip<C: Copy>(s: Sides<C>, f: impl Fn(C, C) -> C) {
    match s {
        Sides::Left(x, y) => x.iter_mut().zip(y).for_each(|(x, &y)| *x = f(*x, y)),
        Sides::Right(x, y) => x.iter().zip(y).for_each(|(&x, y)| *y = f(x, *y)),
    }
}

/// Creates a literal of bools; `fill` writes 0 or 1 to each byte.
///
/// # Errors
/// If the size overflows.
pub fn bools(shape: &Shape, fill: impl FnOnce(&mut [u8])) -> Result<Literal> {
    let ty = Type::new(DType::Bool, shape);
    let mut bytes = Bytes::zeroed(ty.bytes()?);
    if let Some(out) = bytes.get_mut() {
        fill(out);
    }
    Literal::new(ty, bytes)
}

/// Returns the sample rows of an elementwise op: one of every admitted dtype, then a scalar and an
/// empty array of the last of them. `ranges` has one range per operand.
pub fn samples(
    op: impl Into<Op>,
    admits: impl Fn(DType) -> bool,
    ranges: &[Range<f64>],
    smooth: bool,
) -> Vec<Sample> {
    let op = op.into();
    let row = |ty: Type, smooth: bool| {
        let input = |r: &Range<f64>| {
            if ty.dtype == DType::Bool {
                sample(ty.clone(), 0.0, 2.0 + r.end / 8.0)
            } else {
                sample(ty.clone(), r.start, r.end)
            }
        };
        Sample { op: op.clone(), inputs: ranges.iter().map(input).collect(), smooth }
    };
    let dtypes: Vec<DType> = DType::ALL.into_iter().filter(|&d| admits(d)).collect();
    let mut rows: Vec<Sample> = dtypes
        .iter()
        .map(|&d| row(Type::new(d, [2, 3]), smooth && d.is_differentiable()))
        .collect();
    if let Some(&d) = dtypes.last() {
        rows.push(row(Type::scalar(d), smooth && d.is_differentiable()));
        rows.push(row(Type::new(d, [2, 0]), false));
    }
    rows
}

/// Helpers of the unit tests of these families.
#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::{Element, Eval};

    /// Evaluates `op` and returns its first result.
    pub fn eval(op: impl Into<Op>, xs: &[&Literal]) -> Literal {
        let op = op.into();
        let types: Vec<Type> = xs.iter().map(|x| x.ty().clone()).collect();
        let want = op.infer(&types).unwrap();
        let out = op
            .eval(&mut Eval::default(), xs.iter().map(|&x| x.clone()).collect())
            .unwrap()
            .swap_remove(0);
        assert_eq!(out.ty(), &want[0]);
        out
    }

    /// Returns a vector literal.
    pub fn vector<T: Element>(v: &[T]) -> Literal {
        Literal::from_slice([v.len()], v).unwrap()
    }

    /// Returns a vector literal of `dtype`.
    pub fn of(dtype: DType, v: &[f64]) -> Literal {
        Literal::from_f64s(dtype, [v.len()], v)
    }

    /// Returns the error of inference for operands of types `xs`.
    pub fn refusal(op: impl Into<Op>, xs: &[Type]) -> String {
        op.into().infer(xs).unwrap_err().to_string()
    }
}
