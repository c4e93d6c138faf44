//! Reductions of much to little: in two steps, the first of which has independent parts.

use crate::{kernel::computed_in, schedule::is_native};
use neurax_ir::{Builder, Shape, Value, op::Reduce};

/// A reduction of at least so many elements ..
const MANY: usize = 1 << 17;
/// .. to at most so many is done in parts, ..
const FEW: usize = 1024;
/// .. so many of them, ..
const PARTS: usize = 32;
/// .. if each joins at least so many elements for each result: otherwise the parts are as large as
/// what they are parts of.
const EACH: usize = 8;

/// A reduction. Its parts are cut from the shapes alone, so that sums have the same bits for any
/// number of threads.
pub fn reduce(b: &mut Builder, op: &Reduce, x: Value) -> Value {
    let ty = b.ty(x).clone();
    let axis = cut(&ty.shape, &op.axes).filter(|_| is_native(ty.dtype));
    let Some(axis) = axis else { return b.emit(op.clone(), &[x]) };
    // Narrow floats are rounded once, at the end: a part's sum may be too large for them.
    let x = b.convert(x, computed_in(ty.dtype));
    let y = in_parts(b, op, x, axis);
    b.convert(y, ty.dtype)
}

/// The axis that falls into parts: the outermost one that has as many elements, so that parts lie
/// apart in memory.
fn cut(shape: &Shape, axes: &[usize]) -> Option<usize> {
    let reduced: usize = axes.iter().map(|&a| shape[a]).product();
    let worth = reduced >= EACH * PARTS && shape.size() >= MANY && shape.size() / reduced <= FEW;
    axes.iter().copied().filter(|&a| worth && shape[a] >= PARTS).min()
}

/// A reduction in parts along an axis, and of what is left of it.
fn in_parts(b: &mut Builder, op: &Reduce, x: Value, axis: usize) -> Value {
    let n = b.ty(x).shape[axis];
    let whole = n / PARTS * PARTS;
    let main = b.slice_axis(x, axis, 0, whole);
    let main = of_parts(b, op, main, axis);
    if whole == n {
        return main;
    }
    let rest = b.slice_axis(x, axis, whole, n);
    let rest = b.emit(op.clone(), &[rest]);
    b.emit(op.kind.binary(), &[main, rest])
}

/// A reduction of an array whose axis falls into parts.
fn of_parts(b: &mut Builder, op: &Reduce, x: Value, axis: usize) -> Value {
    let mut shape = b.ty(x).shape.to_vec();
    shape.splice(axis..=axis, [PARTS, shape[axis] / PARTS]);
    let x = b.reshape(x, shape);
    // The axes behind the new one moved on by one; the new one stays for now.
    let axes: Vec<usize> = op.axes.iter().map(|&a| if a >= axis { a + 1 } else { a }).collect();
    let parts = b.reduce(op.kind, x, &axes);
    let place = axis - axes.iter().filter(|&&a| a < axis).count();
    b.reduce(op.kind, parts, &[place])
}
