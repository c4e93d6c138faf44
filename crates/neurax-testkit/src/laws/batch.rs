//! The law of batching.

use super::*;
use crate::close::close;
use neurax_ir::{Axis, DType, Value};

/// Checks that batching equals evaluating each example and stacking the results, for subsets of
/// batched operands, with the batch axis at the front, at the back and in between, and also for
/// size 0.
///
/// # Errors
/// The violation.
pub fn batching_is_stacking(s: &Sample) -> Result<(), String> {
    if needs_axis(&s.op) {
        return Ok(());
    }
    for (dims, size) in axes(s) {
        check_axis(s, &dims, size).map_err(|e| format!("axis of size {size} at {dims:?}: {e}"))?;
    }
    Ok(())
}

/// Returns the op as a graph with all operands batched along an axis of `size` at the front
/// (`position` 0), the back (1) or in between (2), and its operands, for comparison with other
/// implementations.
///
/// # Errors
/// If the op cannot be batched.
pub fn batched(s: &Sample, position: usize, size: usize) -> Result<(Graph, Vec<Literal>), String> {
    let dims: Vec<Option<usize>> =
        s.inputs.iter().map(|x| Some(axis_position(x.ty().rank(), position))).collect();
    let members: Vec<Vec<Literal>> = (0..size.max(1)).map(|k| member(s, &dims, k)).collect();
    let stacked: Vec<Literal> =
        (0..dims.len()).map(|i| stacked_operand(&members, i, dims[i], size)).collect();
    Ok((batched_graph(s, &stacked, &dims, size)?.0, stacked))
}

/// Returns the positions and sizes of the batch axis to try.
fn axes(s: &Sample) -> Vec<(Vec<Option<usize>>, usize)> {
    let all: Vec<usize> = (0..s.inputs.len()).collect();
    let mut out = vec![];
    for set in subsets(&all) {
        for round in 0..3 {
            let dims: Vec<Option<usize>> = all
                .iter()
                .map(|i| {
                    set.contains(i).then(|| axis_position(s.inputs[*i].ty().rank(), round + i))
                })
                .collect();
            let sizes = if round == 0 { &[3, 0][..] } else { &[2] };
            out.extend(sizes.iter().map(|&size| (dims.clone(), size)));
        }
    }
    out
}

/// Returns the position of the batch axis: front, back, middle in turn, by `round`.
fn axis_position(rank: usize, round: usize) -> usize {
    match round % 3 {
        0 => 0,
        1 => rank,
        _ => rank / 2,
    }
}

fn check_axis(s: &Sample, dims: &[Option<usize>], size: usize) -> Result<(), String> {
    let members: Vec<Vec<Literal>> = (0..size.max(1)).map(|k| member(s, dims, k)).collect();
    let stacked: Vec<Literal> =
        (0..dims.len()).map(|i| stacked_operand(&members, i, dims[i], size)).collect();
    let (graph, out_dims) = batched_graph(s, &stacked, dims, size)?;
    let ys = run(&graph, &stacked)?;
    let outs = s.op.infer(&types_of(&s.inputs)).map_err(message)?;
    if ys.len() != outs.len() || out_dims.len() != outs.len() {
        return Err(format!(
            "expected {} results and batch axes, got {} and {}",
            outs.len(),
            ys.len(),
            out_dims.len()
        ));
    }
    for (i, (t, (y, d))) in outs.iter().zip(ys.iter().zip(&out_dims)).enumerate() {
        let want = d.map_or(t.shape.clone(), |d| t.shape.inserted(d, size));
        if y.ty() != &t.with_shape(want) {
            return Err(format!(
                "result {i} is {}, expected {t} with the batch axis at {d:?}",
                y.ty()
            ));
        }
    }
    for (k, xs) in members.iter().enumerate().take(size) {
        for (i, want) in eval_op(&s.op, xs)?.iter().enumerate() {
            let have = out_dims[i].map_or(ys[i].clone(), |d| take(&ys[i], d, k));
            close(&have, want).map_err(|e| format!("result {i} of member {k}: {e}"))?;
        }
    }
    Ok(())
}

fn batched_graph(
    s: &Sample,
    stacked: &[Literal],
    dims: &[Option<usize>],
    size: usize,
) -> Result<(Graph, Vec<Option<usize>>), String> {
    let mut b = Builder::new();
    let xs: Vec<Value> = b.inputs(&types_of(stacked));
    let axis = Axis { size, name: None };
    let (ys, out) = s.op.batch(&mut b, &axis, &xs, dims).map_err(|e| format!("batch: {e}"))?;
    Ok((b.finish(&ys).map_err(message)?, out))
}

/// Returns the operands of example `k`: those of the row for 0, variations in the row's domain for
/// the others.
fn member(s: &Sample, dims: &[Option<usize>], k: usize) -> Vec<Literal> {
    s.inputs
        .iter()
        .zip(dims)
        .map(|(x, d)| if d.is_some() { varied(x, k) } else { x.clone() })
        .collect()
}

/// Rotates the elements by `k`; scalar integers count up, scalar bools alternate.
pub fn varied(x: &Literal, k: usize) -> Literal {
    let n = x.ty().size();
    let scalar_step = x.ty().rank() == 0 && (x.dtype().is_int() || x.dtype() == DType::Bool);
    if k == 0 || n == 0 {
        return x.clone();
    }
    if scalar_step {
        let v = x.to_f64s()[0];
        let v = if x.dtype() == DType::Bool { (v as usize + k) as f64 % 2.0 } else { v + k as f64 };
        return Literal::scalar(x.dtype(), v);
    }
    neurax_ir::with_compute!(any x.dtype(), C => {
        let old = x.load::<C>();
        Literal::build(x.ty().clone(), |out: &mut [C]| for i in 0..n { out[i] = old[(i + k) % n] })
    })
}

fn stacked_operand(members: &[Vec<Literal>], i: usize, dim: Option<usize>, size: usize) -> Literal {
    let xs: Vec<&Literal> = members.iter().take(size).map(|m| &m[i]).collect();
    match dim {
        Some(d) => stack(members[0][i].ty(), &xs, d),
        None => members[0][i].clone(),
    }
}

/// Stacks literals of type `ty` along a new axis `dim`.
pub fn stack(ty: &Type, xs: &[&Literal], dim: usize) -> Literal {
    let inner: usize = ty.shape[dim..].iter().product();
    let out_ty = ty.with_shape(ty.shape.inserted(dim, xs.len()));
    neurax_ir::with_compute!(any ty.dtype, C => {
        let loaded: Vec<_> = xs.iter().map(|x| x.load::<C>()).collect();
        Literal::build(out_ty, |out: &mut [C]| for (at, o) in out.iter_mut().enumerate() {
            let (outer, k, rest) = (at / inner / xs.len(), at / inner % xs.len(), at % inner);
            *o = loaded[k][outer * inner + rest];
        })
    })
}

/// Returns the slice at index `k` of axis `dim`.
pub fn take(x: &Literal, dim: usize, k: usize) -> Literal {
    let shape = x.shape().removed(dim);
    let (count, inner): (usize, usize) = (x.shape()[dim], x.shape()[dim + 1..].iter().product());
    neurax_ir::with_compute!(any x.dtype(), C => {
        let old = x.load::<C>();
        Literal::build(x.ty().with_shape(shape), |out: &mut [C]| {
            for (at, o) in out.iter_mut().enumerate() {
                *o = old[(at / inner * count + k) * inner + at % inner];
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacking_and_taking_are_inverse() {
        let x = Literal::from_slice([2, 2], &[1i32, 2, 3, 4]).unwrap();
        let y = varied(&x, 1);
        for d in 0..3 {
            let z = stack(x.ty(), &[&x, &y], d);
            assert_eq!((take(&z, d, 0), take(&z, d, 1)), (x.clone(), y.clone()), "{d}");
        }
        assert_eq!(stack(x.ty(), &[&x, &y], 1).to_f64s(), [1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 1.0]);
    }
}
