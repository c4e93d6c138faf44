//! The shapes of a model's inputs, checked against the declared dimensions.

use neurax_tensor::{Dim, Error, Result, Tensor, TypeSpec};
use std::collections::HashMap;
use std::fmt;

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

/// Returns the input `x`, or an error if it has not the declared shape.
pub(crate) fn checked_input<'d>(
    name: &str,
    dims: &'d [Dim],
    x: Option<&Tensor>,
    named: &mut HashMap<&'d str, usize>,
) -> Tensor {
    let Some(x) = x else {
        return Tensor::from_error(invalid(format!("missing input `{name}`")));
    };
    if x.error().is_some() {
        return x.clone();
    }
    let shape = x.shape();
    check_shape(name, dims, &shape, &shape, named).map_or_else(Tensor::from_error, |()| x.clone())
}

/// Checks that `shape` fits the declared `dims`; the message shows `shape` as `got`.
pub(crate) fn check_shape<'d>(
    name: &str,
    dims: &'d [Dim],
    shape: &[usize],
    got: impl fmt::Display,
    named: &mut HashMap<&'d str, usize>,
) -> Result<()> {
    if fits(dims, shape, named) {
        return Ok(());
    }
    let other = |(d, n): (&Dim, &usize)| match d {
        Dim::Named(name) => named
            .get(name.as_str())
            .filter(|size| *size != n)
            .map(|size| format!(" with {name} = {size}")),
        _ => None,
    };
    let known: Vec<String> = dims.iter().zip(shape).filter_map(other).collect();
    let expected = format!("{}{}", dims_to_string(dims), known.concat());
    Err(invalid(format!("input `{name}`: expected shape {expected}, got {got}")))
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
