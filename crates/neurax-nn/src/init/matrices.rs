//! Initializers of kernels as matrices: orthogonal and identity.

use super::Init;
use super::fan::axes_of;
use neurax_tensor::{DType, Error, Key, Tensor, fori, keep};

/// Initializes with `gain` times a random orthogonal matrix, as `keras.initializers.Orthogonal` and
/// `torch.nn.init.orthogonal_`: Saxe et al., 2014 (<https://arxiv.org/abs/1312.6120>). The matrix
/// has one column for each output, and one row for each input and element of the window. Its
/// columns are orthonormal, or its rows if these are fewer.
///
/// # Errors
/// The value carries an error if the shape has fewer than two axes.
///
/// ```
/// use neurax::prelude::*;
/// let kernel = init::orthogonal(1.0).make(&key(0), &[3, 2]);
/// let products = kernel.t().matmul(&kernel);
/// assert!(products.allclose(&Tensor::eye(2), 0.0, 1e-6).item()? == 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn orthogonal(gain: f64) -> Init {
    Init::with_axes("orthogonal", move |key, shape, axes| {
        if shape.len() < 2 {
            return not_a_matrix("orthogonal", "at least two axes", shape);
        }
        let outputs = match axes_of(shape, axes) {
            Ok([_, outputs]) => outputs,
            Err(e) => return Tensor::from_error(e),
        };
        let rest: Vec<usize> = (0..shape.len()).filter(|&i| i != outputs).collect();
        let rest: Vec<usize> = rest.iter().map(|&i| shape[i]).collect();
        let (rows, columns) = (rest.iter().product(), shape[outputs]);
        let matrix = if rows < columns {
            orthonormal_rows(key, rows, columns)
        } else {
            orthonormal_rows(key, columns, rows).t()
        };
        let with_outputs_last = matrix.reshape([&rest[..], &[columns]].concat());
        with_outputs_last.move_axis(-1, outputs as i64) * gain
    })
    .with([gain])
}

/// Returns a matrix of `rows <= columns` orthonormal rows that are distributed uniformly: rows of
/// normal numbers, orthogonalized one after the other (Gram-Schmidt). Each row is orthogonalized
/// twice, because once leaves errors that grow with the number of rows (Giraud et al., 2005,
/// <https://doi.org/10.1007/s00211-005-0615-4>).
fn orthonormal_rows(key: &Key, rows: usize, columns: usize) -> Tensor {
    if rows == 0 {
        return Tensor::zeros([rows, columns]);
    }
    let random = key.normal([rows, columns]);
    fori(0..rows, Tensor::zeros([rows, columns]), |i, done| {
        let mut row = random.take(&i, 0);
        for _ in 0..2 {
            row = &row - done.matmul(&row).matmul(&done);
        }
        let row = &row / row.norm(keep(-1));
        done.at(i).set(row)
    })
}

/// Initializes with `gain` times the identity matrix, as `keras.initializers.Identity`; a matrix
/// that is not square has ones where the indices are equal.
///
/// # Errors
/// The value carries an error if the shape has not two axes.
///
/// ```
/// use neurax::prelude::*;
/// let kernel = init::identity(2.0).make(&key(0), &[2, 3]);
/// assert_eq!(kernel.to_vec::<f32>()?, [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn identity(gain: f64) -> Init {
    Init::new("identity", move |_, shape| match shape[..] {
        [rows, columns] => {
            let row = Tensor::arange(rows).expand_dims(1);
            row.equal(Tensor::arange(columns)).to(DType::F32) * gain
        }
        _ => not_a_matrix("identity", "two axes", shape),
    })
    .with([gain])
}

fn not_a_matrix(name: &'static str, expected: &str, shape: &[usize]) -> Tensor {
    let why = format!("expected a shape of {expected}, got {shape:?}");
    Tensor::from_error(Error::new(name, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    fn assert_orthonormal(rows: &Tensor) {
        let products = rows.matmul(rows.t());
        let n = products.dim(0);
        let far = (products - Tensor::eye(n)).abs().max(..).item().unwrap();
        assert!(far < 2e-6, "{n} rows: {far}");
    }

    #[test]
    fn orthogonal_matrices_have_orthonormal_columns_or_rows() {
        let make = |shape: &[usize]| orthogonal(1.0).make(&key(3), shape);
        assert_orthonormal(&make(&[60, 60]));
        assert_orthonormal(&make(&[7, 40]));
        assert_orthonormal(&make(&[40, 7]).t());
        assert_orthonormal(&make(&[8, 3, 3, 2]).reshape([8, 18]));
        let last = orthogonal(2.0).axes(-2, -1).make(&key(3), &[3, 3, 2, 8]);
        assert_orthonormal(&(last.reshape([18, 8]).t() / 2.0));
        for shape in [[0, 3], [3, 0], [1, 1]] {
            assert_eq!(make(&shape).shape(), shape);
        }
        assert_eq!(make(&[1, 1]).abs().to_vec::<f32>().unwrap(), [1.0]);
    }

    // The elements of a uniformly distributed orthogonal n x n matrix have the mean 0, the variance
    // 1 / n and the fourth moment 3 / (n (n + 2)).
    #[test]
    fn orthogonal_matrices_are_distributed_uniformly() {
        const N: usize = 4;
        let all: Vec<Tensor> =
            (0..400).map(|i| orthogonal(1.0).make(&key(i), &[N, N]).flatten()).collect();
        let all = neurax_tensor::stack(&all, 0);
        let mean = all.mean(0).abs().max(..).item().unwrap();
        let variance = (all.square().mean(0) * N as f64 - 1.0).abs().max(..).item().unwrap();
        let fourth = all.square().square().mean(..).item().unwrap();
        assert!(mean < 0.1 && variance < 0.25, "{mean} {variance}");
        assert!((fourth - 3.0 / 24.0).abs() < 0.01, "{fourth}");
    }

    #[test]
    fn shapes_that_are_no_matrices_are_errors() {
        let message = |init: Init, shape: &[usize]| {
            init.make(&key(0), shape).error().map(|e| e.to_string()).unwrap()
        };
        let e = message(orthogonal(1.0), &[3]);
        assert!(e.contains("expected a shape of at least two axes, got [3]"), "{e}");
        let e = message(orthogonal(1.0).axes(0, 4), &[3, 3]);
        assert!(e.contains("outputs along axis 4, got shape [3, 3]"), "{e}");
        let e = message(identity(1.0), &[3, 3, 3]);
        assert!(e.contains("expected a shape of two axes, got [3, 3, 3]"), "{e}");
    }
}
