//! [`RowBatch`]: the rows of several requests as one batch, and the results of each request.
//!
//! A request has rows: axis 0 of its inputs. A batch is the rows of its requests, in order, filled
//! up with rows of zeros to a size for which the model is compiled. Rows are copied as bytes: an
//! operation such as `concat` would be compiled for each number and size of operands.

use neurax_tensor::ir::{Bytes, OrBug};
use neurax_tensor::{Error, Literal, Result, Tensor, Type};

/// The rows of several requests, for a model.
///
/// ```
/// use neurax::prelude::*;
/// let serving = Serving::of(|batch| Ok(vec![batch.x() * batch.rows() as f32])).batch_sizes([4]);
/// let y = serving.run(tensor([[1.0, 2.0]]))?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0], "one of the four rows is a request");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RowBatch {
    inputs: Vec<Tensor>,
    /// The number of rows of each request.
    rows: Vec<usize>,
    size: usize,
    key: u64,
}

impl RowBatch {
    /// Creates the batch of requests with these inputs and numbers of rows, filled up to `size`
    /// rows.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(crate) fn new(
        requests: &[&[Literal]],
        rows: Vec<usize>,
        size: usize,
        key: u64,
    ) -> Result<RowBatch> {
        let count = requests.first().map_or(0, |inputs| inputs.len());
        let inputs = (0..count).map(|i| {
            let parts: Vec<&Literal> = requests.iter().filter_map(|r| r.get(i)).collect();
            stacked(&parts, size)
        });
        Ok(RowBatch { inputs: inputs.collect::<Result<_>>()?, rows, size, key })
    }

    /// Returns the inputs, in the model's order, with [`RowBatch::size`] rows each.
    pub fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// Returns the first input; most models have only this one.
    pub fn x(&self) -> Tensor {
        let missing = || Tensor::from_error(Error::new("serving", "a request has no input"));
        self.inputs.first().cloned().unwrap_or_else(missing)
    }

    /// Returns the number of rows of the requests.
    pub fn rows(&self) -> usize {
        self.rows.iter().sum()
    }

    /// Returns the number of rows of the inputs: those of the requests, then rows of zeros.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the key of the requests; see [`Serving::batch_key`](crate::Serving::batch_key).
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Returns the rows of `outputs` that belong to each request.
    ///
    /// # Errors
    /// If an output does not have [`RowBatch::size`] rows, carries an error, or there is not enough
    /// memory.
    pub(crate) fn split(&self, outputs: &[Tensor]) -> Result<Vec<Vec<Tensor>>> {
        let size = self.size;
        let literals = outputs.iter().map(Tensor::to_literal).collect::<Result<Vec<_>>>()?;
        if let Some(y) = literals.iter().find(|y| y.shape().first() != Some(&size)) {
            let why = format!("expected outputs with {size} rows, one per row of the batch, got ");
            return Err(Error::new("serving", why + &y.ty().to_string()));
        }
        if self.rows == [size] {
            return Ok(vec![outputs.to_vec()]);
        }
        let mut start = 0;
        let part = |&rows: &usize| -> Result<Vec<Tensor>> {
            let first = start;
            start += rows;
            literals.iter().map(|y| rows_of(y, size, first, rows)).collect()
        };
        self.rows.iter().map(part).collect()
    }
}

/// Returns the type `ty` with `rows` rows.
fn with_rows(ty: &Type, rows: usize) -> Type {
    let mut shape = ty.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = rows;
    }
    Type::new(ty.dtype, shape)
}

/// Returns the rows of `parts`, which differ in their numbers of rows only, filled up to `size`.
fn stacked(parts: &[&Literal], size: usize) -> Result<Tensor> {
    let first = parts.first().or_bug("a batch has no requests")?;
    if let [only] = parts
        && only.shape().first() == Some(&size)
    {
        return Ok(Tensor::from((*only).clone()));
    }
    let ty = with_rows(first.ty(), size);
    let mut bytes = Bytes::try_recycled(ty.bytes()?)?;
    let mut free = bytes.get_mut().or_bug("fresh memory has another owner")?;
    for part in parts {
        let from: &[u8] = part.bytes();
        let (to, rest) = std::mem::take(&mut free)
            .split_at_mut_checked(from.len())
            .or_bug("a batch is too small")?;
        to.copy_from_slice(from);
        free = rest;
    }
    free.fill(0);
    Ok(Tensor::from(Literal::new(ty, bytes)?))
}

/// Returns `rows` rows of `y`, which has `size`, from the row `first` on.
fn rows_of(y: &Literal, size: usize, first: usize, rows: usize) -> Result<Tensor> {
    let row = y.bytes().len().checked_div(size).unwrap_or(0);
    let range = first * row..(first + rows) * row;
    let bytes = y.bytes().get(range).or_bug("an output has too few rows")?;
    Ok(Tensor::from(Literal::new(with_rows(y.ty(), rows), Bytes::copy_of(bytes))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    fn literals(xs: &[Tensor]) -> Vec<Literal> {
        xs.iter().map(|x| x.to_literal().unwrap()).collect()
    }

    #[test]
    fn rows_are_stacked_in_order_filled_up_and_split_again() {
        let a = literals(&[tensor([[1.0, 2.0]]), tensor([7])]);
        let b = literals(&[tensor([[3.0, 4.0], [5.0, 6.0]]), tensor([8, 9])]);
        let batch = RowBatch::new(&[&a, &b], vec![1, 2], 4, 5).unwrap();
        let x = batch.x().to_vec::<f32>().unwrap();
        assert_eq!(x, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0]);
        assert_eq!(batch.inputs()[1].to_vec::<i32>().unwrap(), [7, 8, 9, 0]);
        assert_eq!((batch.rows(), batch.size(), batch.key()), (3, 4, 5));

        let parts = batch.split(&[batch.x() * 2.0]).unwrap();
        assert_eq!(parts[0][0].shape(), [1, 2]);
        assert_eq!(parts[0][0].to_vec::<f32>().unwrap(), [2.0, 4.0]);
        assert_eq!(parts[1][0].to_vec::<f32>().unwrap(), [6.0, 8.0, 10.0, 12.0]);
    }

    #[test]
    fn outputs_of_other_rows_are_errors() {
        let a = literals(&[tensor([[1.0, 2.0]])]);
        let batch = RowBatch::new(&[&a], vec![1], 4, 0).unwrap();
        for y in [tensor(1.0), Tensor::ones([3, 4])] {
            let e = batch.split(&[y]).unwrap_err().to_string();
            assert!(
                e.contains("expected outputs with 4 rows, one per row of the batch, got"),
                "{e}"
            );
        }
        let e = batch.split(&[Tensor::ones([2]) + Tensor::ones([3])]).unwrap_err().to_string();
        assert!(e.contains("cannot broadcast"), "{e}");
    }

    #[test]
    fn rows_without_elements_are_rows() {
        let a = literals(&[Tensor::zeros([2, 0])]);
        let batch = RowBatch::new(&[&a, &a], vec![2, 2], 8, 0).unwrap();
        assert_eq!(batch.x().shape(), [8, 0]);
        assert_eq!(batch.split(&[batch.x()]).unwrap()[1][0].shape(), [2, 0]);
    }
}
