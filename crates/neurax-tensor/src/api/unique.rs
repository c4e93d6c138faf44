//! Different elements, their counts, and set operations.
//!
//! All functions sort: equal elements become adjacent, and the first one of each group is marked.
//! The marks give the number of the group of every element (`cumsum - 1`), and from that the
//! counts, the inverse and, for two tensors, the groups with elements of one or both of them. NaN
//! is equal to NaN here, as in NumPy, except that no set has it in common with another one.

use super::{
    common::{located, promote_operands, tensor_or_error},
    nonzero::{Found, fill_of},
    sort::Side,
};
use crate::{
    AxisInt, DType, Error, SizeOptions, Tensor, Tree, concat, fori, tensor::CallSite, tree::Visitor,
};
use std::panic::Location;

/// The different elements of a tensor, and where they are: the result of [`Tensor::unique_all`].
#[derive(Clone, Debug)]
pub struct Unique {
    /// The different elements, in ascending order.
    pub values: Tensor,
    /// The index of the first element equal to each of `values`, i32.
    pub indices: Tensor,
    /// For each element of the tensor the index of its value in `values`, i32.
    pub inverse: Tensor,
    /// The number of elements equal to each of `values`, i32; 0 for values that fill up a size.
    pub counts: Tensor,
}

impl Unique {
    /// Returns results that all carry the error `e`.
    fn failed(e: Tensor) -> Unique {
        Unique { values: e.clone(), indices: e.clone(), inverse: e.clone(), counts: e }
    }
}

impl Tree for Unique {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.child("values", |v| self.values.visit(v));
        v.child("indices", |v| self.indices.visit(v));
        v.child("inverse", |v| self.inverse.visit(v));
        v.child("counts", |v| self.counts.visit(v));
    }

    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        Unique { values: next(), indices: next(), inverse: next(), counts: next() }
    }

    fn into_leaves(self, out: &mut Vec<Tensor>) {
        out.extend([self.values, self.indices, self.inverse, self.counts]);
    }

    fn of_error(e: &Error) -> Option<Self> {
        Some(Unique::failed(Tensor::from_error(e.clone())))
    }
}

/// Entries along axis 0 in ascending order, in groups of equal ones.
struct EqualGroups {
    /// The sorted entries.
    sorted: Tensor,
    /// The index of each sorted entry before the sort, i32.
    order: Tensor,
    /// True for the first entry of each group, a vector.
    is_first: Tensor,
    /// The number of the group of each sorted entry, i32.
    group: Tensor,
}

impl EqualGroups {
    /// Sorts the entries of `x` along axis 0, vectors or scalars.
    #[track_caller]
    fn new(x: &Tensor, op: &str, at: CallSite) -> Result<EqualGroups, Tensor> {
        let ty = x.type_or_error()?;
        let n = ty.shape[0];
        let (sorted, order) = if ty.rank() == 1 {
            let mut both = x.sorted(op, &[x.indices_along(0, at)?], 0, at)?;
            let order = both.remove(1);
            (both.remove(0), order)
        } else {
            let order = order_of_rows(x);
            (x.take(&order, 0), order)
        };
        let (after, before) = (sorted.slice(0, 1..), sorted.slice(0, ..-1));
        let mut differs = after.not_equal(&before);
        if ty.dtype.is_differentiable() {
            differs &= !(after.is_nan() & before.is_nan());
        }
        if ty.rank() > 1 {
            differs = differs.any(1);
        }
        let is_first = concat([Tensor::ones_of(DType::Bool, n.min(1)), differs], 0);
        let group = is_first.convert(DType::I32, at).cumsum(0) - 1;
        Ok(EqualGroups { sorted, order, is_first, group })
    }

    /// Returns the different entries and where they are.
    #[track_caller]
    fn unique(&self, options: SizeOptions, op: &str, at: CallSite) -> Result<Unique, Tensor> {
        let n = self.sorted.shape()[0];
        if n == 0 && options.fill.is_none() && options.size.is_some_and(|size| size > 0) {
            let why = "expected a fill value, as there are no elements to fill the size with";
            return Err(Tensor::fail(op, why, at));
        }
        let found = Found::new(&self.is_first, options, op, at)?;
        let values = self.kept(&found, options, Fill::First, op, at)?;
        let zero = Tensor::scalar(DType::I32, 0);
        let indices = match n {
            0 => zero.broadcast_to(found.size),
            _ => self.order.take(&found.positions, 0),
        };
        let counts = Tensor::zeros_of(DType::I32, found.size).at(&self.group).add(1);
        let inverse = self.order.zeros_like().at(&self.order).set(&self.group);
        Ok(Unique { values, indices, inverse, counts })
    }

    /// Returns the sorted entries that were `found`.
    #[track_caller]
    fn kept(
        &self,
        found: &Found,
        options: SizeOptions,
        default: Fill,
        op: &str,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let fill = fill_of(&self.sorted, options, op, at)?;
        if options.fill.is_some() || default == Fill::Zero || self.sorted.shape()[0] == 0 {
            return Ok(found.take(&self.sorted, 0, &fill));
        }
        // Missing positions are 0; the first one is that of the smallest entry that was found.
        let kept = self.sorted.take(&found.positions, 0);
        if !found.is_sized || found.size == 0 {
            return Ok(kept);
        }
        let mut column = vec![1; kept.rank()];
        column[0] = found.size;
        let smallest = found.count.gt(0).select(kept.slice(0, ..1), &fill);
        Ok(found.is_valid().reshape(column).select(kept, smallest))
    }
}

/// The default value of missing entries.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    /// The first entry of the result.
    First,
    /// Zero.
    Zero,
}

/// Returns the indices that sort the rows of `x` along axis 0, i32: by the first column, rows that
/// are equal there by the second one, and so on.
#[track_caller]
fn order_of_rows(x: &Tensor) -> Tensor {
    let rows = x.shape()[0];
    let columns = x.size() / rows.max(1);
    let order = Tensor::arange(rows);
    if rows == 0 || columns == 0 {
        return order;
    }
    let by_column = x.reshape([rows, columns]).t();
    // A stable sort by each column, from the last to the first.
    let at = Location::caller();
    fori(0..columns, order, |i, order| {
        located(at, &[], || sorted_by_column(&by_column, i, &order, at))
    })
}

/// Sorts `order`, the indices of rows, by column `columns - 1 - i`.
fn sorted_by_column(by_column: &Tensor, i: Tensor, order: &Tensor, at: CallSite) -> Tensor {
    use neurax_ir::op::Binary;
    let last = Tensor::scalar(DType::I32, by_column.shape()[0] - 1);
    let column = last.binary(i, Binary::Sub, at);
    let gather = |x: &Tensor, i: &Tensor| super::gather::gather("unique", x, &[(0, i.clone())], at);
    let sort = || {
        let keys = gather(&gather(by_column, &column)?, order)?;
        Ok(keys.sorted("unique", std::slice::from_ref(order), 0, at)?.remove(1))
    };
    tensor_or_error(sort())
}

impl Tensor {
    /// Returns the different elements of the flattened tensor in ascending order.
    ///
    /// NaN is equal to itself and comes last. [`Tensor::unique_all`] returns indices and counts as
    /// well, [`Tensor::unique_along`] different rows. Follows `jax.numpy.unique`, and
    /// `unique_values`.
    ///
    /// # Errors
    ///
    /// The result carries an error in a traced function, where [`Tensor::unique_with`] takes the
    /// size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3, 1, 3, 2]).unique().to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unique(&self) -> Tensor {
        self.unique_with(SizeOptions::new())
    }

    /// Returns the different elements of the flattened tensor in ascending order, with a size:
    /// [`Tensor::unique`]. Missing elements are the smallest one unless there is a fill value.
    ///
    /// # Errors
    ///
    /// The result carries an error if the dtype does not hold the fill value, or if there is
    /// neither an element nor a fill value.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([3, 1, 3]);
    /// assert_eq!(x.unique_with(SizeOptions::new().size(3)).to_vec::<i32>()?, [1, 3, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unique_with(&self, options: SizeOptions) -> Tensor {
        let at = Location::caller();
        let unique = || {
            let groups = EqualGroups::new(&self.flatten(), "unique", at)?;
            if groups.sorted.size() == 0 {
                return Ok(groups.unique(options, "unique", at)?.values);
            }
            let found = Found::new(&groups.is_first, options, "unique", at)?;
            groups.kept(&found, options, Fill::First, "unique", at)
        };
        located(at, &[self], || tensor_or_error(unique()))
    }

    /// Returns the different elements of the flattened tensor in ascending order, the index of the
    /// first of each, the index of each element's value, and the numbers of elements.
    ///
    /// `values.index(inverse)` is the tensor. Follows `jax.numpy.unique_all`, and `unique` with
    /// `return_index`, `return_inverse` and `return_counts`.
    ///
    /// # Errors
    ///
    /// The results carry an error in a traced function, where [`Tensor::unique_all_with`] takes the
    /// size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let unique = tensor([3, 1, 3, 2]).unique_all();
    /// assert_eq!(unique.values.to_vec::<i32>()?, [1, 2, 3]);
    /// assert_eq!(unique.indices.to_vec::<i32>()?, [1, 3, 0]);
    /// assert_eq!(unique.inverse.to_vec::<i32>()?, [2, 0, 2, 1]);
    /// assert_eq!(unique.counts.to_vec::<i32>()?, [1, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unique_all(&self) -> Unique {
        self.unique_all_with(SizeOptions::new())
    }

    /// Returns the different elements and where they are, with a size: [`Tensor::unique_all`].
    /// Missing values are the smallest one unless there is a fill value; their counts are 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let counts = jit(|x: Tensor| {
    ///     let unique = x.unique_all_with(SizeOptions::new().size(3).fill_value(-1));
    ///     (unique.values, unique.counts)
    /// });
    /// let (values, counts) = counts.run(tensor([7, 5, 7]))?;
    /// assert_eq!(values.to_vec::<i32>()?, [5, 7, -1]);
    /// assert_eq!(counts.to_vec::<i32>()?, [1, 2, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unique_all_with(&self, options: SizeOptions) -> Unique {
        let at = Location::caller();
        let unique = || {
            let groups = EqualGroups::new(&self.flatten(), "unique_all", at)?;
            let unique = groups.unique(options, "unique_all", at)?;
            Ok(Unique { inverse: unique.inverse.reshape(self.shape()), ..unique })
        };
        located(at, &[self], || unique().unwrap_or_else(Unique::failed))
    }

    /// Returns the different elements of the flattened tensor in ascending order, and the numbers
    /// of elements equal to each, i32. Follows `jax.numpy.unique_counts`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (values, counts) = tensor([3, 1, 3]).unique_counts();
    /// assert_eq!(values.to_vec::<i32>()?, [1, 3]);
    /// assert_eq!(counts.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unique_counts(&self) -> (Tensor, Tensor) {
        let unique = self.unique_all();
        (unique.values, unique.counts)
    }

    /// Returns the different elements of the flattened tensor in ascending order, and for each
    /// element the index of its value, i32. Follows `jax.numpy.unique_inverse`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[3, 1], [1, 3]]);
    /// let (values, inverse) = x.unique_inverse();
    /// assert_eq!(values.take(inverse, 0).to_vec::<i32>()?, x.to_vec::<i32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unique_inverse(&self) -> (Tensor, Tensor) {
        let unique = self.unique_all();
        (unique.values, unique.inverse)
    }

    /// Returns the different entries along `axis` in lexicographic order, and where they are.
    ///
    /// Follows `jax.numpy.unique` with `axis`.
    ///
    /// # Errors
    ///
    /// The results carry an error if the axis is out of range, and in a traced function, where
    /// [`Tensor::unique_along_with`] takes the size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[2, 1], [1, 5], [2, 1]]);
    /// let rows = x.unique_along(0);
    /// assert_eq!(rows.values.to_vec::<i32>()?, [1, 5, 2, 1]);
    /// assert_eq!(rows.counts.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unique_along(&self, axis: impl AxisInt) -> Unique {
        self.unique_along_with(axis, SizeOptions::new())
    }

    /// Returns the different entries along `axis` and where they are, with a size:
    /// [`Tensor::unique_along`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[2, 1], [1, 5], [2, 1]]);
    /// let rows = x.unique_along_with(0, SizeOptions::new().size(1));
    /// assert_eq!(rows.values.to_vec::<i32>()?, [1, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unique_along_with(&self, axis: impl AxisInt, options: SizeOptions) -> Unique {
        let (op, at) = ("unique_along", Location::caller());
        let unique = || {
            let axis = self.axis_at(axis, op, at)?;
            let x = self.move_axis(axis, 0);
            let shape = x.shape();
            let rows = x.reshape([shape[0], shape[1..].iter().product()]);
            let unique = EqualGroups::new(&rows, op, at)?.unique(options, op, at)?;
            let mut sizes = shape.to_vec();
            sizes[0] = unique.values.shape()[0];
            let values = unique.values.reshape(sizes).move_axis(0, axis);
            Ok(Unique { values, ..unique })
        };
        located(at, &[self], || unique().unwrap_or_else(Unique::failed))
    }

    /// Tests for each element if it is equal to an element of `other`: a bool tensor of the shape
    /// of `self`.
    ///
    /// NaN is equal to nothing. Follows `jax.numpy.isin`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]);
    /// assert_eq!(x.isin(&tensor([4, 1])).to_vec::<bool>()?, [true, false, false, true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn isin(&self, other: &Tensor) -> Tensor {
        let at = Location::caller();
        let test = || {
            let both = promote_operands("isin", &[self.clone(), other.clone()], at)?;
            let (x, set) = (&both[0], both[1].flatten());
            if set.size() == 0 {
                return Ok(Tensor::zeros_of(DType::Bool, x.shape()));
            }
            if x.dtype().is_complex() {
                return Ok(x.expand_dims(-1).equal(&set).any(-1));
            }
            let set = set.sort(0);
            let place = set.searchsorted(x, Side::Left);
            Ok(set.take(place, 0).equal(x))
        };
        located(at, &[self, other], || tensor_or_error(test()))
    }
}

/// A table of operations on the sets of the elements of two tensors. A row is
/// `name = name_with, "doc", "code" => "value";`.
macro_rules! set_operations {
    ($($f:ident = $with:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = concat!("\nThe result is a vector in ascending order; dtypes are promoted. It \
                     carries an error in a traced function, where [`Tensor::",
                     stringify!($with), "`] takes the size. Follows `jax.numpy.",
                     stringify!($f), "`.")]
            #[doc = super::common::example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: &Tensor) -> Tensor {
                self.$with(other, SizeOptions::new())
            }
        )*}
    };
}

set_operations! {
    union1d = union1d_with,
        "Returns the different elements of both tensors.",
        "tensor([3, 1]).union1d(&tensor([2, 3]))" => "[1, 2, 3]";
    intersect1d = intersect1d_with,
        "Returns the different elements that both tensors have; NaN is none of them.",
        "tensor([3, 1, 2]).intersect1d(&tensor([2, 3, 4]))" => "[2, 3]";
    setdiff1d = setdiff1d_with,
        "Returns the different elements of `self` that `other` does not have.",
        "tensor([3, 1, 2]).setdiff1d(&tensor([2, 4]))" => "[1, 3]";
    setxor1d = setxor1d_with,
        "Returns the different elements that exactly one of both tensors has.",
        "tensor([3, 1, 2]).setxor1d(&tensor([2, 4]))" => "[1, 3, 4]";
}

/// A table of operations on sets with a size. A row is
/// `name = operation, |is_in_x, is_in_y, in_both| formula, default fill value, "doc",
/// "code" => "value";`.
macro_rules! sized_set_operations {
    ($($f:ident = $op:literal, |$x:ident, $y:ident, $both:ident| $e:expr, $fill:ident, $doc:literal,
       $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = super::common::example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: &Tensor, options: SizeOptions) -> Tensor {
                let at = Location::caller();
                let keep: SetRule = |$x, $y, $both| $e;
                let combine = || self.combined(other, options, Fill::$fill, $op, at, keep);
                located(at, &[self, other], || tensor_or_error(combine()))
            }
        )*}
    };
}

sized_set_operations! {
    union1d_with = "union1d", |x, y, _both| x | y, First,
        "Returns the different elements of both tensors with a size: [`Tensor::union1d`]. Missing \
         elements are the smallest one unless there is a fill value.",
        "tensor([3, 1]).union1d_with(&tensor([2, 3]), SizeOptions::new().size(4))" =>
        "[1, 2, 3, 1]";
    intersect1d_with = "intersect1d", |_x, _y, both| both.clone(), First,
        "Returns the elements that both tensors have with a size: [`Tensor::intersect1d`]. Missing \
         elements are the smallest one unless there is a fill value, 0 if there is none.",
        "tensor([3, 1, 2]).intersect1d_with(&tensor([2, 3, 4]), SizeOptions::new().size(3))" =>
        "[2, 3, 2]";
    setdiff1d_with = "setdiff1d", |x, _y, both| x & !both, Zero,
        "Returns the elements that only `self` has with a size: [`Tensor::setdiff1d`]. Missing \
         elements are 0 unless there is a fill value.",
        "tensor([3, 1, 2]).setdiff1d_with(&tensor([2, 4]), SizeOptions::new().size(3))" =>
        "[1, 3, 0]";
    setxor1d_with = "setxor1d", |x, y, both| (x | y) & !both, First,
        "Returns the elements that one of both tensors has with a size: [`Tensor::setxor1d`]. \
         Missing elements are the smallest one unless there is a fill value, 0 if there is none.",
        "tensor([3, 1, 2]).setxor1d_with(&tensor([2, 4]), SizeOptions::new().size(4))" =>
        "[1, 3, 4, 1]";
}

/// A choice of elements by three masks: the element is in the first set, in the second, in both.
type SetRule = fn(&Tensor, &Tensor, &Tensor) -> Tensor;

impl Tensor {
    /// Returns the different elements of both tensors for which `keep` is true.
    #[track_caller]
    fn combined(
        &self,
        other: &Tensor,
        options: SizeOptions,
        default: Fill,
        op: &str,
        at: CallSite,
        keep: SetRule,
    ) -> Result<Tensor, Tensor> {
        let both = promote_operands(op, &[self.flatten(), other.flatten()], at)?;
        let groups = EqualGroups::new(&concat(&both, 0), op, at)?;
        let is_from_x = groups.order.lt(both[0].size());
        let none = Tensor::zeros_of(DType::Bool, groups.order.shape());
        // Group numbers are below the number of elements.
        let has = |of: &Tensor| none.at(&groups.group).max(of).take(&groups.group, 0);
        let (in_x, in_y) = (has(&is_from_x), has(&!&is_from_x));
        let mut in_both = &in_x & &in_y;
        if groups.sorted.dtype().is_differentiable() {
            in_both &= !groups.sorted.is_nan();
        }
        let mask = &groups.is_first & keep(&in_x, &in_y, &in_both);
        let found = Found::new(&mask, options, op, at)?;
        groups.kept(&found, options, default, op, at)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn nan_is_one_element() {
        let nan = f32::NAN;
        let x = tensor([nan, 1.0, nan, -0.0, 0.0]);
        let unique = x.unique_all();
        let values = unique.values.to_vec::<f32>().unwrap();
        assert!(values[..2] == [0.0, 1.0] && values[2].is_nan() && values.len() == 3);
        assert_eq!(unique.counts.to_vec::<i32>().unwrap(), [2, 1, 2]);
        assert_eq!(unique.inverse.to_vec::<i32>().unwrap(), [2, 1, 2, 0, 0]);
        assert_eq!(x.isin(&x).to_vec::<bool>().unwrap(), [false, true, false, true, true]);
        assert_eq!(x.intersect1d(&x).to_vec::<f32>().unwrap(), [0.0, 1.0]);
        assert_eq!(x.setdiff1d(&x).to_vec::<f32>().unwrap().len(), 1);
        let rows = tensor([[nan, 1.0], [nan, 1.0], [nan, 0.0]]).unique_along(0);
        assert_eq!(rows.counts.to_vec::<i32>().unwrap(), [1, 2]);
    }

    #[test]
    fn rows_are_in_lexicographic_order() {
        let x = tensor([[1, 2, 0], [0, 9, 9], [1, 1, 5], [0, 9, 9], [1, 2, 0]]);
        let rows = x.unique_along(0);
        assert_eq!(rows.values.to_vec::<i32>().unwrap(), [0, 9, 9, 1, 1, 5, 1, 2, 0]);
        assert_eq!(rows.indices.to_vec::<i32>().unwrap(), [1, 2, 0]);
        assert_eq!(rows.inverse.to_vec::<i32>().unwrap(), [2, 0, 1, 0, 2]);
        let columns = x.t().unique_along(-1);
        assert_eq!(columns.values.shape(), [3, 3]);
        assert_eq!(columns.counts.to_vec::<i32>().unwrap(), [2, 1, 2]);
        // Rows without elements are all equal.
        assert_eq!(Tensor::zeros([4, 0]).unique_along(0).counts.to_vec::<i32>().unwrap(), [4]);
        assert_eq!(Tensor::zeros([0, 4]).unique_along(0).values.shape(), [0, 4]);
    }

    #[test]
    fn a_size_works_in_a_trace() {
        let sized = |size: usize| SizeOptions::new().size(size);
        let f = jit(move |x: Tensor| {
            let unique = x.unique_along_with(0, sized(3).fill_value(9));
            (unique, x.unique_with(sized(2)))
        });
        let (rows, values) = f.run(tensor([[5, 1], [5, 1], [2, 7]])).unwrap();
        assert_eq!(rows.values.to_vec::<i32>().unwrap(), [2, 7, 5, 1, 9, 9]);
        assert_eq!(rows.counts.to_vec::<i32>().unwrap(), [1, 2, 0]);
        assert_eq!(values.to_vec::<i32>().unwrap(), [1, 2]);
        let f = vmap(move |(x, y): (Tensor, Tensor)| x.setxor1d_with(&y, sized(3).fill_value(0)));
        let y = f.run((tensor([[1, 2], [3, 3]]), tensor([[2, 5], [3, 3]]))).unwrap();
        assert_eq!(y.to_vec::<i32>().unwrap(), [1, 5, 0, 0, 0, 0]);
        let e = jit(|x: Tensor| x.unique()).run(tensor([1])).unwrap_err().to_string();
        assert!(e.contains("give the size with `unique_with`"), "{e}");
    }

    #[test]
    fn empty_sets() {
        let (none, x) = (Tensor::zeros([0]), tensor([2.0, 1.0]));
        assert_eq!(none.unique().shape(), [0]);
        assert_eq!(none.unique_all().counts.shape(), [0]);
        assert_eq!(none.union1d(&x).to_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(x.intersect1d(&none).shape(), [0]);
        assert_eq!(x.setdiff1d(&none).to_vec::<f32>().unwrap(), [1.0, 2.0]);
        let y = x.intersect1d_with(&none, SizeOptions::new().size(2));
        assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 0.0]);
        let y = none.unique_with(SizeOptions::new().size(2).fill_value(7.0));
        assert_eq!(y.to_vec::<f32>().unwrap(), [7.0, 7.0]);
        let e = none.unique_with(SizeOptions::new().size(2)).ok().unwrap_err();
        assert!(e.message().contains("expected a fill value"), "{e}");
        assert_eq!(x.isin(&none).to_vec::<bool>().unwrap(), [false, false]);
    }
}
