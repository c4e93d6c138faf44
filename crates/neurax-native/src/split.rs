//! Reductions of much to little: in two steps, the first of which has independent parts.

use neurax_ir::{Builder, Value, op::Reduce};

/// A reduction of at least so many elements ..
const MANY: usize = 1 << 17;
/// .. to at most so many is done in parts, ..
const FEW: usize = 1024;
/// .. so many of them.
const PARTS: usize = 32;

/// A reduction. Its parts are cut from the shapes alone, so that sums have the same bits for any number of threads.
pub fn reduce(b: &mut Builder, op: &Reduce, x: Value) -> Value {
    let shape = b.ty(x).shape.clone();
    let left: usize = (0..shape.rank()).filter(|a| !op.axes.contains(a)).map(|a| shape[a]).product();
    if left > FEW || shape.size() < MANY {
        return b.emit(op.clone(), &[x]);
    }
    let (axes, x) = joined(b, op, x);
    let shape = b.ty(x).shape.clone();
    let op = &Reduce { axes, ..op.clone() };
    let Some(&axis) = op.axes.iter().max_by_key(|&&a| shape[a]).filter(|&&a| shape[a] >= 8 * PARTS) else { return b.emit(op.clone(), &[x]) };
    let each = shape[axis] / PARTS;
    let main = b.slice_axis(x, axis, 0, PARTS * each);
    let main = in_parts(b, op, main, axis);
    if PARTS * each == shape[axis] {
        return main;
    }
    let rest = b.slice_axis(x, axis, PARTS * each, shape[axis]);
    let rest = b.emit(op.clone(), &[rest]);
    b.emit(op.kind.binary(), &[main, rest])
}

/// The axes and the operand of a reduction, after axes beside each other that are reduced became one.
fn joined(b: &mut Builder, op: &Reduce, x: Value) -> (Vec<usize>, Value) {
    let shape = b.ty(x).shape.clone();
    let (mut sizes, mut axes): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
    for a in 0..shape.rank() {
        let is_reduced = op.axes.contains(&a);
        match sizes.last_mut() {
            Some(size) if is_reduced && a > 0 && op.axes.contains(&(a - 1)) => *size *= shape[a],
            _ => {
                axes.extend(is_reduced.then_some(sizes.len()));
                sizes.push(shape[a]);
            }
        }
    }
    (axes, b.reshape(x, sizes))
}

/// A reduction of an array whose axis falls into parts.
fn in_parts(b: &mut Builder, op: &Reduce, x: Value, axis: usize) -> Value {
    let mut shape = b.ty(x).shape.to_vec();
    shape.splice(axis..=axis, [PARTS, shape[axis] / PARTS]);
    let x = b.reshape(x, shape);
    // The axes behind the new one moved on by one; the new one stays for now.
    let axes: Vec<usize> = op.axes.iter().map(|&a| if a >= axis { a + 1 } else { a }).collect();
    let parts = b.reduce(op.kind, x, &axes);
    let place = axis - axes.iter().filter(|&&a| a < axis).count();
    b.reduce(op.kind, parts, &[place])
}
