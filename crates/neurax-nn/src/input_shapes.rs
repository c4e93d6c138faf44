//! The types of a model's inputs, checked against the declared ones.

use neurax_tensor::{DType, Dim, Error, Result, Tensor, Type, TypeSpec};
use std::collections::HashMap;
use std::fmt;

/// The declared type of an input.
#[derive(Clone, Debug)]
pub(crate) struct InputSpec {
    pub(crate) dims: Vec<Dim>,
    /// The dtype, if it is declared.
    pub(crate) dtype: Option<DType>,
}

/// Returns zeros of type `t`. An axis of any size gets the size `any`, a named axis the first size
/// that `sizes` has for its name.
pub(crate) fn placeholder(t: &TypeSpec, any: usize, sizes: &mut HashMap<String, usize>) -> Tensor {
    let size = |d: &Dim| match d {
        Dim::Any => Dim::Size(any),
        Dim::Named(n) => Dim::Size(*sizes.entry(n.clone()).or_insert(any)),
        other => other.clone(),
    };
    Tensor::zeros(t.dims.iter().map(size).collect::<Vec<Dim>>()).to(t.dtype)
}

/// Returns the input `x`, or an error if it has not the declared type.
pub(crate) fn checked_input<'d>(
    name: &str,
    spec: &'d InputSpec,
    x: Option<&Tensor>,
    named: &mut HashMap<&'d str, usize>,
) -> Tensor {
    let Some(x) = x else {
        return Tensor::from_error(invalid(format!("missing input `{name}`")));
    };
    let checked = x.ty().and_then(|t| check_input(name, spec, &t, x.shape(), named));
    checked.map_or_else(Tensor::from_error, |()| x.clone())
}

/// Checks that `ty` fits the declared type; the message shows its shape as `got`.
pub(crate) fn check_input<'d>(
    name: &str,
    spec: &'d InputSpec,
    ty: &Type,
    got: impl fmt::Display,
    named: &mut HashMap<&'d str, usize>,
) -> Result<()> {
    check_shape(name, &spec.dims, &ty.shape, got, named)?;
    match spec.dtype {
        Some(dtype) if dtype != ty.dtype => {
            Err(invalid(format!("input `{name}`: expected dtype {dtype}, got {ty}")))
        }
        _ => Ok(()),
    }
}

/// Checks that `shape` fits the declared `dims`; the message shows `shape` as `got`.
fn check_shape<'d>(
    name: &str,
    dims: &'d [Dim],
    shape: &[usize],
    got: impl fmt::Display,
    named: &mut HashMap<&'d str, usize>,
) -> Result<()> {
    if fits(dims, shape, named) {
        return Ok(());
    }
    let expected = format!("{}{}", dims_to_string(dims), other_sizes(dims, shape, named));
    Err(invalid(format!("input `{name}`: expected shape {expected}, got {got}")))
}

/// Checks that `got` is a `want`.
pub(crate) fn check_type<'d>(
    name: &str,
    want: &'d TypeSpec,
    got: &Type,
    named: &mut HashMap<&'d str, usize>,
) -> Result<()> {
    if want.dtype == got.dtype && fits(&want.dims, &got.shape, named) {
        return Ok(());
    }
    let sizes = other_sizes(&want.dims, &got.shape, named);
    Err(invalid(format!("input `{name}`: expected {want}{sizes}, got {got}")))
}

/// Returns the named sizes of `dims` that `shape` does not have, for a message.
fn other_sizes(dims: &[Dim], shape: &[usize], named: &HashMap<&str, usize>) -> String {
    let other = |(d, n): (&Dim, &usize)| match d {
        Dim::Named(name) => named
            .get(name.as_str())
            .filter(|size| *size != n)
            .map(|size| format!(" with {name} = {size}")),
        _ => None,
    };
    dims.iter().zip(shape).filter_map(other).collect()
}

/// Returns true if `shape` fits `dims`. Axes with equal names must have equal sizes in all inputs.
fn fits<'d>(dims: &'d [Dim], shape: &[usize], named: &mut HashMap<&'d str, usize>) -> bool {
    let mut fits = |(d, &n): (&'d Dim, &usize)| match d {
        Dim::Any => true,
        Dim::Size(m) => *m == n,
        Dim::Named(name) => *named.entry(name).or_insert(n) == n,
        Dim::Bad(_) => false,
    };
    dims.len() == shape.len() && dims.iter().zip(shape).all(&mut fits)
}

pub(crate) fn dims_to_string(dims: &[Dim]) -> String {
    let each: Vec<String> = dims.iter().map(|d| d.to_string()).collect();
    format!("[{}]", each.join(", "))
}

/// Creates the error of an invalid model or of invalid inputs.
pub(crate) fn invalid(why: String) -> Error {
    Error::new("model", why)
}
