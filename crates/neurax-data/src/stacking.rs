//! Trees of tensors stacked along a new axis, and taken apart again.

use crate::dataset::common_rows;
use crate::padding::ExamplePadding;
use neurax_tensor::ir::{Bytes, OrBug};
use neurax_tensor::tree::{TreeDifference, TreeStructure};
use neurax_tensor::{DType, Error, Literal, Result, Tensor, Tree, Type, stack};

/// Stacks trees of one structure along a new axis 0.
///
/// # Errors
/// If there are none, a tree has tensors at other paths or other static values than the first one,
/// or a tensor differs in its type from that of the first tree.
pub(crate) fn stack_trees<T: Tree>(items: Vec<T>) -> Result<T> {
    let hint = "use `padded_batch`, or resize the items";
    combine(items, |path, leaves| stacked_equals(path, &leaves, hint))
}

/// Stacks trees of one structure along a new axis 0. Tensors are padded at the end of their axes,
/// to the largest size; with a `bound`, at the end of axis 0 alone, to this size.
///
/// # Errors
/// As [`stack_trees`], but a tensor may differ in the sizes of the axes that are padded.
pub(crate) fn pad_and_stack<T: Tree>(
    items: Vec<T>,
    padding: &ExamplePadding,
    bound: Option<usize>,
) -> Result<T> {
    if let Some(first) = items.first() {
        padding.check(TreeStructure::of(first).paths())?;
    }
    combine(items, |path, leaves| match padding.value_at(path) {
        None => stacked_equals(path, &leaves, "tensors that `keep` names have one size"),
        Some(value) => {
            let ty = padded_type(path, &leaves, bound)?;
            if ty.rank() == 0 {
                // Numbers are never padded: their dtype need not hold the value.
                return concatenated(&leaves);
            }
            padded(&leaves, &ty, value).map_err(|e| {
                let why = format!("padding of `{path}`: {}; see `ExamplePadding`", e.message());
                Error::new("stack", why)
            })
        }
    })
}

/// The rows of all tensors of a tree: entry `i` of axis 0 of each.
pub(crate) struct TreeRows<T> {
    tree: T,
    leaves: Vec<Literal>,
    /// The number of rows.
    pub(crate) len: usize,
}

impl<T: Tree> TreeRows<T> {
    /// Takes the tensors of a tree.
    ///
    /// # Errors
    /// If a tensor has no axes or another number of rows.
    pub(crate) fn new(tree: T) -> Result<TreeRows<T>> {
        let len = common_rows(tree.leaves())?;
        let leaves = tree.leaves().into_iter().map(|(_, leaf)| leaf.to_literal());
        let leaves = leaves.collect::<Result<Vec<_>>>()?;
        Ok(TreeRows { tree, leaves, len })
    }

    /// Returns row `i`, which is below the number of rows.
    pub(crate) fn row(&self, i: usize) -> Result<T> {
        let row = self.leaves.iter().map(|leaf| row_of(leaf, i)).collect::<Result<Vec<_>>>()?;
        Ok(self.tree.with_leaves(row))
    }
}

/// Returns entry `i` of axis 0. The bytes are copied: an operation would take longer.
fn row_of(x: &Literal, i: usize) -> Result<Tensor> {
    if !has_whole_bytes(x.dtype()) {
        return Tensor::from(x.clone()).take(i as i64, 0).ok();
    }
    let ty = Type::new(x.dtype(), x.shape().iter().skip(1).copied().collect::<Vec<usize>>());
    let size = ty.bytes()?;
    let start = i.checked_mul(size).or_bug("the offset of a row fits into memory")?;
    let bytes = x.bytes().get(start..start.saturating_add(size));
    let bytes = bytes.or_bug("a row lies inside of its tensor")?;
    Ok(Tensor::from(Literal::new(ty, Bytes::copy_of(bytes))?))
}

/// Stacks tensors of one type along a new axis 0. The bytes are copied, as by [`row_of`].
fn concatenated(leaves: &[Tensor]) -> Result<Tensor> {
    let literals = leaves.iter().map(Tensor::to_literal).collect::<Result<Vec<Literal>>>()?;
    let first = literals.first().or_bug("there is a tensor to stack")?.ty();
    if !has_whole_bytes(first.dtype) {
        return stack(leaves, 0).ok();
    }
    let shape = std::iter::once(literals.len()).chain(first.shape.iter().copied());
    let ty = Type::new(first.dtype, shape.collect::<Vec<usize>>());
    let mut bytes = Bytes::try_recycled(ty.bytes()?)?;
    let to = bytes.get_mut().or_bug("new memory has one owner")?;
    // A chunk has at least one byte; there are no chunks of tensors without elements.
    let chunks = to.chunks_exact_mut(first.bytes()?.max(1));
    chunks.zip(&literals).for_each(|(to, from)| to.copy_from_slice(from.bytes()));
    Ok(Tensor::from(Literal::new(ty, bytes)?))
}

/// Stacks tensors of one type along a new axis 0; `hint` says what to do about those that differ.
fn stacked_equals(path: &str, leaves: &[Tensor], hint: &str) -> Result<Tensor> {
    let first = leaves.first().map(Tensor::ty).transpose()?;
    for leaf in leaves {
        let (ty, want) = (leaf.ty()?, first.as_ref());
        if want.is_some_and(|want| *want != ty) {
            return Err(different(path, want, &ty, hint));
        }
    }
    concatenated(leaves)
}

/// Returns the type of tensors that are padded: the largest size of each axis. With a `bound`, this
/// is the size of axis 0, and the other axes have one size.
fn padded_type(path: &str, leaves: &[Tensor], bound: Option<usize>) -> Result<Type> {
    let mut largest = leaves.first().or_bug("there is a tensor to pad")?.ty()?;
    for leaf in leaves {
        let ty = leaf.ty()?;
        if ty.dtype != largest.dtype || ty.rank() != largest.rank() {
            let why = "expected one dtype and number of axes";
            return Err(different(path, Some(&largest), &ty, why));
        }
        if bound.is_some() && ty.shape.iter().skip(1).ne(largest.shape.iter().skip(1)) {
            let why = "only axis 0 is padded to a bound: resize the items";
            return Err(different(path, Some(&largest), &ty, why));
        }
        let sizes = largest.shape.iter_mut().zip(ty.shape.iter());
        sizes.for_each(|(most, &n)| *most = n.max(*most));
    }
    if let (Some(bound), Some(size)) = (bound, largest.shape.first_mut()) {
        if *size > bound {
            return Err(Error::bug(format!("expected at most {bound} entries, got {size}")));
        }
        *size = bound;
    }
    Ok(largest)
}

/// Stacks tensors along a new axis 0, each padded with `value` to the type `ty`. The bytes are
/// copied: an operation would be compiled for each size.
fn padded(leaves: &[Tensor], ty: &Type, value: f64) -> Result<Tensor> {
    let value = Tensor::scalar(ty.dtype, value);
    if !has_whole_bytes(ty.dtype) {
        let padded = leaves.iter().map(|leaf| {
            let sizes = leaf.shape();
            let missing = ty.shape.iter().zip(sizes.iter()).map(|(&most, &n)| (0, most - n));
            leaf.pad(missing.collect::<Vec<_>>(), &value)
        });
        return stack(padded.collect::<Vec<_>>(), 0).ok();
    }
    let element = value.to_literal()?;
    let shape = std::iter::once(leaves.len()).chain(ty.shape.iter().copied());
    let whole = Type::new(ty.dtype, shape.collect::<Vec<usize>>());
    let mut bytes = Bytes::try_recycled(whole.bytes()?)?;
    let to = bytes.get_mut().or_bug("new memory has one owner")?;
    to.chunks_exact_mut(element.bytes().len()).for_each(|to| to.copy_from_slice(element.bytes()));
    for (to, leaf) in to.chunks_exact_mut(ty.bytes()?.max(1)).zip(leaves) {
        let from = leaf.to_literal()?;
        copy_block((to, &ty.shape[..]), (from.bytes(), from.shape()), element.bytes().len());
    }
    Ok(Tensor::from(Literal::new(whole, bytes)?))
}

/// Copies an array, bytes and shape, into the first entries of each axis of one that is as large or
/// larger. An element has `size` bytes.
fn copy_block(to: (&mut [u8], &[usize]), from: (&[u8], &[usize]), size: usize) {
    let ((to, to_shape), (from, from_shape)) = (to, from);
    match (to_shape, from_shape) {
        ([_, to_rest @ ..], [_, from_rest @ ..]) if to_rest != from_rest => {
            let row = |rest: &[usize]| rest.iter().product::<usize>() * size;
            // A row of an array without elements has no bytes, and there is nothing to copy.
            let to = to.chunks_exact_mut(row(to_rest).max(1));
            for (to, from) in to.zip(from.chunks_exact(row(from_rest).max(1))) {
                copy_block((to, to_rest), (from, from_rest), size);
            }
        }
        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
    }
}

/// Returns true if an element of `dtype` has its bytes for itself.
fn has_whole_bytes(dtype: DType) -> bool {
    dtype.bits().is_multiple_of(8)
}

/// Combines the tensors at each path of trees of one structure.
fn combine<T: Tree>(items: Vec<T>, f: impl Fn(&str, Vec<Tensor>) -> Result<Tensor>) -> Result<T> {
    let Some(first) = items.first() else {
        return Err(Error::new("stack", "expected at least one item to stack, got none"));
    };
    let structure = TreeStructure::of(first);
    let mut columns: Vec<Vec<Tensor>> = structure.paths().iter().map(|_| Vec::new()).collect();
    for (i, item) in items.iter().enumerate() {
        check_structure(&structure, item)
            .map_err(|why| Error::new("stack", format!("item {i} of the batch: {why}")))?;
        let mut columns = columns.iter_mut();
        item.each_leaf(|leaf| {
            if let Some(column) = columns.next() {
                column.push(leaf.clone());
            }
        });
    }
    let combined = structure.paths().iter().zip(columns).map(|(path, leaves)| f(path, leaves));
    let combined = combined.collect::<Result<Vec<_>>>()?;
    Ok(first.with_leaves(combined))
}

/// Checks that a tree has the structure of the first item. The error is a text.
pub(crate) fn check_structure(first: &TreeStructure, item: &impl Tree) -> Result<(), String> {
    match first.difference(item) {
        None => Ok(()),
        Some(TreeDifference::Paths(got)) => {
            let want = first.paths().join(", ");
            Err(format!(
                "expected the tensors {want}, as in the first item, got {}",
                got.join(", ")
            ))
        }
        Some(TreeDifference::Static(path)) => Err(format!(
            "expected the static value `{path}` to be that of the first item, got another; make it \
             a tensor, or keep items with other values apart"
        )),
    }
}

fn different(path: &str, want: Option<&Type>, got: &Type, hint: &str) -> Error {
    let want = want.map_or(String::new(), |ty| ty.to_string());
    let why = format!("expected {want} at `{path}`, as in the first item, got {got}; {hint}");
    Error::new("stack", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Static, tensor};

    #[test]
    fn trees_are_stacked_leaf_by_leaf_and_taken_apart() {
        let items = vec![(tensor([1, 2]), tensor(3.0)), (tensor([4, 5]), tensor(6.0))];
        let both = stack_trees(items).unwrap();
        assert_eq!(both.0.to_string(), "i32[2, 2]\n[[1, 2],\n [4, 5]]");
        let rows = TreeRows::new(both).unwrap();
        let row = rows.row(1).unwrap();
        assert_eq!((rows.len, row.1.item().unwrap()), (2, 6.0));
        assert_eq!(row.0.to_vec::<i32>().unwrap(), [4, 5]);
        assert!(TreeRows::new(tensor(1.0)).is_err());
    }

    #[test]
    fn a_number_needs_no_padding_that_its_dtype_holds() {
        let padding = ExamplePadding::new(0.0).targets(-100.0);
        let item = |y: Tensor| crate::Batch { x: tensor([1.0]), y: y.to(DType::U8) };
        let labels = pad_and_stack(vec![item(tensor(3)), item(tensor(4))], &padding, None);
        assert_eq!(labels.unwrap().y.to_vec::<u8>().unwrap(), [3, 4]);
        let of_tokens = vec![item(tensor([3])), item(tensor([4, 5]))];
        let e = pad_and_stack(of_tokens, &padding, None).unwrap_err().to_string();
        assert!(e.contains("padding of `y`: ") && e.contains("`ExamplePadding`"), "{e}");
    }

    #[test]
    fn rows_of_all_dtypes_are_those_of_the_operations() {
        for dtype in [DType::Bool, DType::U8, DType::I4, DType::U2, DType::F16, DType::F64] {
            let x = tensor([[1, 0, 1], [0, 1, 1]]).to(dtype);
            let rows = TreeRows::new(x.clone()).unwrap();
            let parts = [rows.row(0).unwrap(), rows.row(1).unwrap()];
            assert_eq!(parts[1].to_string(), x.take(1, 0).to_string());
            assert_eq!(stack_trees(parts.to_vec()).unwrap().to_string(), x.to_string());
        }
        let empty = stack_trees(vec![Tensor::zeros([0, 2]); 3]).unwrap();
        assert_eq!(empty.shape(), [3, 0, 2]);
        assert_eq!(TreeRows::new(empty).unwrap().row(2).unwrap().shape(), [0, 2]);
    }

    #[test]
    fn trees_that_differ_are_errors() {
        let error = |items: Vec<Vec<Tensor>>| stack_trees(items).unwrap_err().to_string();
        assert!(error(vec![]).contains("expected at least one item"));
        let one = tensor(1);
        let uneven = error(vec![vec![one.clone()], vec![one.clone(), one.clone()]]);
        assert!(
            uneven.contains("expected the tensors 0, as in the first item, got 0, 1"),
            "{uneven}"
        );
        let item = |name: &'static str| (tensor(1), Static(name));
        let same = stack_trees(vec![item("a"); 3]).unwrap();
        assert_eq!((same.0.shape().to_vec(), *same.1), (vec![3], "a"));
        for different in [
            stack_trees(vec![item("a"), item("a"), item("b")]).map(|_| ()),
            pad_and_stack(vec![item("a"), item("a"), item("b")], &ExamplePadding::new(0.0), None)
                .map(|_| ()),
        ] {
            let error = different.unwrap_err().to_string();
            let want = "stack: item 2 of the batch: expected the static value `1.static` to be \
                        that of the first item, got another";
            assert!(error.starts_with(want), "{error}");
        }
        let pad = |items: Vec<Tensor>| pad_and_stack(items, &ExamplePadding::new(0.0), None);
        let error = pad(vec![one.clone(), tensor([1])]).unwrap_err().to_string();
        assert!(
            error.contains("expected i32[] at ``, as in the first item, got i32[1]"),
            "{error}"
        );
        let error = pad(vec![one, tensor(1.0)]).unwrap_err().to_string();
        assert!(error.contains("got f32[]; expected one dtype"), "{error}");
    }

    #[test]
    fn padding_of_all_dtypes_is_that_of_the_operation() {
        for dtype in [DType::Bool, DType::U8, DType::I4, DType::F16, DType::F64, DType::C64] {
            let items = [[2, 3], [1, 4], [0, 1]].map(|[rows, columns]: [usize; 2]| {
                Tensor::arange(rows * columns).reshape([rows, columns]).to(dtype)
            });
            let (one, value) = (ExamplePadding::new(1.0), Tensor::scalar(dtype, 1.0));
            let want = items.iter().map(|x| {
                let (rows, columns) = (x.dim(0), x.dim(1));
                x.pad([(0, 2 - rows), (0, 4 - columns)], &value)
            });
            let want = stack(want.collect::<Vec<_>>(), 0);
            let got = pad_and_stack(items.to_vec(), &one, None).unwrap();
            assert_eq!(got.to_string(), want.to_string(), "{dtype}");
            let to_bound = pad_and_stack(vec![items[0].clone()], &one, Some(5)).unwrap();
            let want = items[0].pad([(0, 3), (0, 0)], &value).reshape([1, 5, 3]);
            assert_eq!(to_bound.to_string(), want.to_string(), "{dtype}");
        }
        let mixed = vec![Tensor::ones([1, 2]), Tensor::ones([1, 3])];
        let e = pad_and_stack(mixed, &ExamplePadding::new(0.0), Some(4)).unwrap_err().to_string();
        assert!(e.contains("got f32[1, 3]; only axis 0 is padded to a bound"), "{e}");
    }
}
