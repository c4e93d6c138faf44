//! Functions of vectors and scalars, mapped over the other axes.

use super::common::{located, tensor_or_error};
use crate::{
    AxisInt, Error, Func, Function, Recorder, Result, Shape, Tensor, Tree, Type,
    dispatch::common_shape,
    tensor::CallSite,
    tree::{rebuild, to_vec},
    vmap,
};
use std::{collections::BTreeMap, panic::Location};

/// Returns the function that maps `f`, a function of tensors with the axes that `signature` names,
/// over all axes in front of them, which broadcast.
///
/// The signature lists the axes of the arguments and of the results, the leaves of both trees:
/// `"(m,n),(n)->(m)"` is that of the product of a matrix and a vector, `"(),()->()"` that of a
/// function of two scalars. Axes of one name have one size. Follows `jax.numpy.vectorize`.
///
/// # Errors
///
/// The results carry an error if the signature is not one, or does not fit the arguments or the
/// results.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let apply = vectorize("(m,n),(n)->(m)", |(a, x): (Tensor, Tensor)| a.matmul(x));
/// let y = apply.run((Tensor::ones([3, 2]), tensor([[1.0, 2.0], [3.0, 4.0]])))?;
/// assert_eq!(y.shape(), [2, 3]);
/// assert_eq!(y.to_vec::<f32>()?, [3.0, 3.0, 3.0, 7.0, 7.0, 7.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn vectorize<'f, A: Tree, O: Tree, F: Function<A, Out = O> + 'f>(
    signature: &str,
    f: F,
) -> Func<'f, A, O> {
    let at = Location::caller();
    let signature = Signature::parse(signature);
    Func::new(move |a: A| map_over(&signature, &|a| f.apply(a), a, at))
}

/// The axes of arguments and results by name.
struct Signature {
    arguments: Vec<Vec<String>>,
    results: Vec<Vec<String>>,
}

impl Signature {
    /// Parses a signature such as `(m,n),(n)->(m)`.
    fn parse(text: &str) -> Result<Signature> {
        let fail = || {
            let why = format!("expected a signature such as `(m,n),(n)->(m)`, got `{text}`");
            Error::new("vectorize", why)
        };
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (arguments, results) = plain.split_once("->").ok_or_else(fail)?;
        match (parse_groups(arguments), parse_groups(results)) {
            (Some(arguments), Some(results)) => Ok(Signature { arguments, results }),
            _ => Err(fail()),
        }
    }
}

/// Parses lists of names in parentheses: `(m,n),(n)`.
fn parse_groups(text: &str) -> Option<Vec<Vec<String>>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let group = |group: &str| -> Option<Vec<String>> {
        if group.is_empty() {
            return Some(vec![]);
        }
        let names: Vec<&str> = group.split(',').collect();
        names.iter().all(is_name).then(|| names.iter().map(|n| n.to_string()).collect())
    };
    inner.split("),(").map(group).collect()
}

/// Maps `f` over the axes in front of those in `signature`.
fn map_over<A: Tree, O: Tree>(
    signature: &Result<Signature>,
    f: &(dyn Fn(A) -> O + Send + Sync),
    a: A,
    at: CallSite,
) -> O {
    let aligned = signature.as_ref().map_err(Clone::clone).and_then(|signature| {
        let leaves = to_vec(&a);
        let recorder = Recorder::of(&leaves);
        let (leaves, batch) = recorder.at(at, || align(&signature.arguments, leaves))?;
        Ok((leaves, batch, &signature.results))
    });
    match aligned {
        Ok((leaves, batch, results)) => {
            let mapped = vmap(|a: A| f(a))(rebuild(&a, leaves.into_iter().collect()));
            let ys = to_vec(&mapped).into_iter().enumerate();
            let split = ys.map(|(i, y)| split_batch(&y, &batch, results, i, at)).collect();
            rebuild(&mapped, split)
        }
        // A function of errors has errors as results.
        Err(e) => {
            let failed = Tensor::error_at(e, at);
            f(rebuild(&a, to_vec(&a).iter().map(|_| failed.clone()).collect()))
        }
    }
}

/// Broadcasts the axes in front of those in the signature, and merges them into axis 0. Returns the
/// tensors and the shape of the merged axes.
fn align(arguments: &[Vec<String>], leaves: Vec<Tensor>) -> Result<(Vec<Tensor>, Shape)> {
    let fail = |why: String| Error::new("vectorize", why);
    if arguments.len() != leaves.len() || leaves.is_empty() {
        return Err(fail(format!(
            "expected one tensor for each argument of the signature, {}, at least 1, got {}",
            arguments.len(),
            leaves.len()
        )));
    }
    let (mut sizes, mut types) = (BTreeMap::new(), vec![]);
    for (names, x) in arguments.iter().zip(&leaves) {
        let ty = x.ty()?;
        let Some(front) = ty.rank().checked_sub(names.len()) else {
            return Err(fail(format!("expected axes ({}), got {ty}", names.join(","))));
        };
        for (name, &n) in names.iter().zip(&ty.shape[front..]) {
            let known = *sizes.entry(name).or_insert(n);
            if known != n {
                return Err(fail(format!("axis {name} has the sizes {known} and {n}")));
            }
        }
        types.push(Type::new(ty.dtype, &ty.shape[..front]));
    }
    let batch = common_shape("vectorize", &types)?;
    let total = batch.iter().product();
    let merge = |(names, x): (&Vec<String>, &Tensor)| {
        let core = &x.shape()[x.rank() - names.len()..];
        x.broadcast_to([&batch[..], core].concat()).reshape([&[total][..], core].concat())
    };
    Ok((arguments.iter().zip(&leaves).map(merge).collect(), batch.clone()))
}

/// Splits axis 0 of result `i` into the axes `batch`.
fn split_batch(
    y: &Tensor,
    batch: &Shape,
    results: &[Vec<String>],
    i: usize,
    at: CallSite,
) -> Tensor {
    let Ok(ty) = y.type_ref() else { return y.clone() };
    match results.get(i) {
        Some(names) if names.len() + 1 == ty.rank() => {
            y.reshaped([&batch[..], &ty.shape[1..]].concat(), at)
        }
        Some(names) => {
            let core = ty.with_shape(ty.shape.removed(0));
            let why = format!("expected a result with axes ({}), got {core}", names.join(","));
            Tensor::fail("vectorize", why, at)
        }
        None => {
            let why = format!("expected {} results, as in the signature, got more", results.len());
            Tensor::fail("vectorize", why, at)
        }
    }
}

impl Tensor {
    /// Maps `f`, a function of a vector, over all vectors along `axis`. The axes of its results
    /// replace the axis.
    ///
    /// Follows `jax.numpy.apply_along_axis`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the axis is out of range, and the error of `f`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[3, 1, 2], [6, 5, 4]]);
    /// let y = x.apply_along_axis(1, |row: Tensor| row.sort(0).slice(0, 1..));
    /// assert_eq!(y.to_vec::<i32>()?, [2, 3, 5, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn apply_along_axis(
        &self,
        axis: impl AxisInt,
        f: impl Function<Tensor, Out = Tensor>,
    ) -> Tensor {
        let at = Location::caller();
        let axis = match self.axis_at(axis, "apply_along_axis", at) {
            Ok(axis) => axis,
            Err(e) => return e,
        };
        let x = self.move_axis(axis, -1);
        let (shape, last) = (x.shape(), self.rank() - 1);
        let vectors = x.reshaped([shape[..last].iter().product(), shape[last]], at);
        let y = vmap(|x: Tensor| f.apply(x))(vectors);
        let own = y.rank().saturating_sub(1);
        let y = y.reshaped([&shape[..last], &y.shape()[1..]].concat(), at);
        // The axes of the results are last: move them to the place of the axis.
        let order = (0..axis).chain(last..last + own).chain(axis..last).collect::<Vec<_>>();
        if y.error().is_some() { y } else { y.permute_at(order, at) }
    }

    /// Applies `f(x, axis)` for each of `axes`, one after the other: a reduction, whose result may
    /// or may not have the axis. The result has all axes.
    ///
    /// Reductions of this library take several axes: `x.sum(keep([0, 2]))`. Follows
    /// `jax.numpy.apply_over_axes`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an axis is out of range, or if a result of `f` has neither
    /// the rank of the tensor nor one less.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = Tensor::ones([2, 3, 4]).apply_over_axes([0, 2], |x, axis| x.sum(axis));
    /// assert_eq!(y.shape(), [1, 3, 1]);
    /// assert_eq!(y.to_vec::<f32>()?, [8.0, 8.0, 8.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn apply_over_axes(
        &self,
        axes: impl AsRef<[i64]>,
        f: impl Fn(&Tensor, usize) -> Tensor,
    ) -> Tensor {
        let (op, at) = ("apply_over_axes", Location::caller());
        let mut x = self.clone();
        for &axis in axes.as_ref() {
            let step = || {
                let axis = x.axis_at(axis, op, at)?;
                let y = f(&x, axis);
                let ty = y.type_or_error()?;
                match x.rank() - ty.rank().min(x.rank()) {
                    0 if ty.rank() == x.rank() => Ok(y),
                    1 => Ok(y.expand_dims(axis)),
                    _ => {
                        let why = format!(
                            "expected a result with the axes of {} or one less, got {ty}",
                            x.dtype_and_shape()
                        );
                        Err(Tensor::fail(op, why, at))
                    }
                }
            };
            x = located(at, &[&x], || tensor_or_error(step()));
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn axes_of_results_replace_the_axis() {
        let x = Tensor::arange(24).reshape([2, 3, 4]);
        for axis in 0..3usize {
            let n = x.shape()[axis];
            let y = x.apply_along_axis(axis, |v: Tensor| v.outer(Tensor::arange(5)));
            let mut want = x.shape().to_vec();
            want.splice(axis..=axis, [n, 5]);
            assert_eq!(y.shape(), want);
            let sum = x.apply_along_axis(axis, |v: Tensor| v.sum(..));
            assert_eq!(sum.to_vec::<i32>().unwrap(), x.sum(axis).to_vec::<i32>().unwrap());
        }
    }

    #[test]
    fn signatures_are_checked() {
        let error = |signature: &str| {
            let f = vectorize(signature, |(x, y): (Tensor, Tensor)| x + y.sum(..));
            f.run((tensor([1.0, 2.0]), tensor([3.0, 4.0, 5.0]))).unwrap_err().to_string()
        };
        assert!(error("(n)->()").contains("argument of the signature, 1, at least 1, got 2"));
        assert!(error("(n),(n)->(n)").contains("axis n has the sizes 2 and 3"));
        assert!(error("(n),(m)->()").contains("expected a result with axes (), got f32[2]"));
        assert!(error("(n),(m,k)->()").contains("expected axes (m,k), got f32[3]"));
        for bad in ["", "(n)", "n->n", "(n,)->()", "(1),()->()", "(n)(m)->()"] {
            assert!(error(bad).contains("expected a signature such as"), "{bad}");
        }
        let f = vectorize("(n),(m)->(n)", |(x, y): (Tensor, Tensor)| x + y.sum(..));
        let y = f.run((tensor([1.0, 2.0]), Tensor::ones([2, 1, 3]))).unwrap();
        assert_eq!(y.shape(), [2, 1, 2]);
        assert_eq!(y.to_vec::<f32>().unwrap(), [4.0, 5.0, 4.0, 5.0]);
    }
}
