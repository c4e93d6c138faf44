//! [`RowBatch`]: the rows of several requests as one batch, and the results of each request.
//!
//! A request has rows: axis 0 of its inputs. A batch is the rows of its requests, in order, filled
//! up with rows of zeros to a size for which the model is compiled. Rows are copied as bytes, or as
//! bits if they do not end with a byte: an operation such as `concat` would be compiled for each
//! number and size of operands.

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
    origin: BatchOrigin,
}

/// The key of the requests of a batch, and the partition that runs it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BatchOrigin {
    pub(crate) key: u64,
    pub(crate) partition: usize,
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
        origin: BatchOrigin,
    ) -> Result<RowBatch> {
        let count = requests.first().map_or(0, |inputs| inputs.len());
        let inputs = (0..count).map(|i| {
            let parts: Vec<&Literal> = requests.iter().filter_map(|r| r.get(i)).collect();
            stacked(&parts, size)
        });
        Ok(RowBatch { inputs: inputs.collect::<Result<_>>()?, rows, size, origin })
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
        self.origin.key
    }

    /// Returns the number of the partition that runs the batch, from 0 on; see
    /// [`Serving::partitions`](crate::Serving::partitions).
    pub fn partition(&self) -> usize {
        self.origin.partition
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
    let to = bytes.get_mut().or_bug("fresh memory has another owner")?;
    match row_bits(&ty) {
        row if row % 8 != 0 => stack_bits(parts, row, to)?,
        _ => stack_bytes(parts, to)?,
    }
    Ok(Tensor::from(Literal::new(ty, bytes)?))
}

/// Returns `rows` rows of `y`, which has `size`, from the row `first` on.
fn rows_of(y: &Literal, size: usize, first: usize, rows: usize) -> Result<Tensor> {
    let (ty, row) = (with_rows(y.ty(), rows), row_bits(y.ty()));
    let missing = "an output has too few rows";
    if row % 8 != 0 {
        let mut bytes = vec![0; ty.bytes()?];
        copy_bits(y.bytes(), first * row, &mut bytes, 0, rows * row).or_bug(missing)?;
        return Ok(Tensor::from(Literal::new(ty, Bytes::copy_of(&bytes))?));
    }
    let row = y.bytes().len().checked_div(size).unwrap_or(0);
    let bytes = y.bytes().get(first * row..(first + rows) * row).or_bug(missing)?;
    Ok(Tensor::from(Literal::new(ty, Bytes::copy_of(bytes))?))
}

/// Returns the bits of a row of `ty`. A row of a packed dtype may end within a byte.
fn row_bits(ty: &Type) -> usize {
    ty.shape.iter().skip(1).product::<usize>() * ty.dtype.bits()
}

/// Copies the bytes of `parts`, one after the other, and fills the rest of `to` with zeros.
fn stack_bytes(parts: &[&Literal], mut to: &mut [u8]) -> Result<()> {
    for part in parts {
        let from: &[u8] = part.bytes();
        let (target, rest) = std::mem::take(&mut to)
            .split_at_mut_checked(from.len())
            .or_bug("a batch is too small")?;
        target.copy_from_slice(from);
        to = rest;
    }
    to.fill(0);
    Ok(())
}

/// Copies the rows of `parts`, of `row` bits each, without gaps, and fills the rest of `to` with
/// zeros.
fn stack_bits(parts: &[&Literal], row: usize, to: &mut [u8]) -> Result<()> {
    to.fill(0);
    let mut at = 0;
    for part in parts {
        let bits = part.shape().first().copied().or_bug("a request has no rows")? * row;
        copy_bits(part.bytes(), 0, to, at, bits).or_bug("a batch is too small")?;
        at += bits;
    }
    Ok(())
}

/// Copies `n` bits from the bit `first` of `from` to the bit `at` of `to`, where zeros are. The
/// lowest bit of a byte is the first one, as in packed elements. `None` if a slice is too short.
fn copy_bits(from: &[u8], first: usize, to: &mut [u8], at: usize, n: usize) -> Option<()> {
    for i in 0..n {
        let (source, target) = (first + i, at + i);
        let bit = from.get(source / 8)? >> (source % 8) & 1;
        *to.get_mut(target / 8)? |= bit << (target % 8);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{DType, tensor};

    fn literals(xs: &[Tensor]) -> Vec<Literal> {
        xs.iter().map(|x| x.to_literal().unwrap()).collect()
    }

    #[test]
    fn rows_are_stacked_in_order_filled_up_and_split_again() {
        let a = literals(&[tensor([[1.0, 2.0]]), tensor([7])]);
        let b = literals(&[tensor([[3.0, 4.0], [5.0, 6.0]]), tensor([8, 9])]);
        let batch =
            RowBatch::new(&[&a, &b], vec![1, 2], 4, BatchOrigin { key: 5, partition: 1 }).unwrap();
        let x = batch.x().to_vec::<f32>().unwrap();
        assert_eq!(x, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0]);
        assert_eq!(batch.inputs()[1].to_vec::<i32>().unwrap(), [7, 8, 9, 0]);
        assert_eq!((batch.rows(), batch.size()), (3, 4));
        assert_eq!((batch.key(), batch.partition()), (5, 1));

        let parts = batch.split(&[batch.x() * 2.0]).unwrap();
        assert_eq!(parts[0][0].shape(), [1, 2]);
        assert_eq!(parts[0][0].to_vec::<f32>().unwrap(), [2.0, 4.0]);
        assert_eq!(parts[1][0].to_vec::<f32>().unwrap(), [6.0, 8.0, 10.0, 12.0]);
    }

    #[test]
    fn packed_rows_that_end_within_a_byte_are_stacked_and_split() {
        for (dtype, width) in [(DType::I4, 3), (DType::I2, 3), (DType::U1, 5), (DType::I4, 4)] {
            let zeros = |rows| Tensor::zeros([rows, width]).to(dtype);
            let ones = |rows| Tensor::ones([rows, width]).to(dtype);
            let parts = [ones(1), zeros(2), ones(3)].map(|x| literals(&[x]));
            let parts = parts.each_ref().map(Vec::as_slice);
            let batch = RowBatch::new(&parts, vec![1, 2, 3], 8, BatchOrigin::default()).unwrap();
            let x = batch.x().to_literal().unwrap();
            let rows: Vec<f64> = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0].into();
            let expected: Vec<f64> = rows.iter().flat_map(|x| vec![*x; width]).collect();
            let expected = Literal::from_f64s(dtype, [8, width], &expected);
            assert_eq!(x.bytes(), expected.bytes(), "{dtype} with {width} columns");

            let outputs = batch.split(&[batch.x()]).unwrap();
            for (output, part) in outputs.iter().zip(parts) {
                let y = output[0].to_literal().unwrap();
                assert_eq!((y.ty(), y.bytes()), (part[0].ty(), part[0].bytes()));
            }
        }
    }

    #[test]
    fn outputs_of_other_rows_are_errors() {
        let a = literals(&[tensor([[1.0, 2.0]])]);
        let batch = RowBatch::new(&[&a], vec![1], 4, BatchOrigin::default()).unwrap();
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
        let batch = RowBatch::new(&[&a, &a], vec![2, 2], 8, BatchOrigin::default()).unwrap();
        assert_eq!(batch.x().shape(), [8, 0]);
        assert_eq!(batch.split(&[batch.x()]).unwrap()[1][0].shape(), [2, 0]);
    }
}
