//! The evaluation of an op for each matrix of a batch.

use super::matrix::{Complex64, Matrix};
use crate::{Compute, Literal, Type, with_compute};

/// Applies `f` to the matrices of the operands, batch by batch. It returns one matrix for each of
/// the result types; a vector is a matrix of one column.
pub(super) fn for_each_matrix(
    xs: &[Literal],
    results: &[Type],
    f: impl Fn(&[Matrix]) -> Vec<Matrix>,
) -> Vec<Literal> {
    // A batch of any length may consist of empty matrices.
    if results.iter().all(|ty| ty.size() == 0) {
        return results.iter().map(|ty| Literal::zeros(ty.clone())).collect();
    }
    let operands: Vec<Vec<Matrix>> = xs.iter().map(load).collect();
    let count = operands.first().map_or(0, Vec::len);
    let mut data: Vec<Vec<Complex64>> =
        results.iter().map(|ty| Vec::with_capacity(ty.size())).collect();
    for i in 0..count {
        let matrices: Vec<Matrix> = operands.iter().map(|all| all[i].clone()).collect();
        data.iter_mut().zip(f(&matrices)).for_each(|(all, m)| all.extend(m.data));
    }
    results.iter().zip(&data).map(|(ty, data)| store(ty, data)).collect()
}

/// Returns the matrices of an operand.
fn load(x: &Literal) -> Vec<Matrix> {
    let rank = x.shape().rank();
    let (rows, columns) = (x.shape()[rank - 2], x.shape()[rank - 1]);
    let batch: usize = x.shape()[..rank - 2].iter().product();
    let data: Vec<Complex64> = with_compute!(any x.dtype(), T => {
        x.load::<T>().iter().map(|x| { let (re, im) = x.parts(); Complex64 { re, im } }).collect()
    });
    let size = rows * columns;
    let matrix = |i: usize| Matrix { rows, columns, data: data[i * size..(i + 1) * size].to_vec() };
    (0..batch).map(matrix).collect()
}

/// Returns the numbers as a literal, rounded to its dtype.
fn store(ty: &Type, data: &[Complex64]) -> Literal {
    with_compute!(any ty.dtype, T => {
        Literal::build(ty.clone(), |out: &mut [T]| {
            out.iter_mut().zip(data).for_each(|(out, x)| *out = T::from_parts(x.re, x.im));
        })
    })
}
