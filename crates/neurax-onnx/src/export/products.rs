//! Matrix products.
//!
//! `dot_general` contracts any axes of its operands for each index of any batch axes. `MatMul`
//! contracts the last axis with the last but one, for batch axes in front that broadcast. So the
//! axes are permuted to `[batch .., rows, contracted]` and `[batch .., contracted, columns]`, and
//! reshaped where there is not exactly one axis of each kind. A product without batch axes keeps
//! the rows as they are, since they are batch axes for `MatMul`:
//!
//! ```text
//! [n, t, 64] times [64, 10]            MatMul alone
//! [n, t, h, d] times [n, s, h, d]      Transpose, Transpose, MatMul: the scores of attention
//! ```

use super::draft::{Lowered, Wire};
use super::emitter::{Emitter, FormResult};
use neurax_ir::op::DotGeneral;
use neurax_ir::{DType, Shape};

impl Emitter {
    /// Emits a product.
    pub(super) fn dot(&mut self, op: &DotGeneral, x: &Lowered, y: &Lowered) -> FormResult<Lowered> {
        let (x_free, y_free) = (op.lhs_free(x.rank()), op.rhs_free(y.rank()));
        let size = |s: &Shape, axes: &[usize]| axes.iter().map(|&a| s[a]).collect::<Vec<usize>>();
        let batch = size(&x.shape, &op.lhs_batch);
        let (rows, columns) = (size(&x.shape, &x_free), size(&y.shape, &y_free));
        let shape: Shape = [&batch[..], &rows, &columns].concat().into();
        // A product without contracted elements is zero, which not all runtimes know.
        if op.lhs_contract.iter().any(|&a| x.shape[a] == 0) {
            let zero = self.scalar(op.dtype, 0.0);
            return Ok(Lowered { wire: zero, shape });
        }
        let (x, y) = (self.full(x), self.full(y));
        let (x, y) = (self.product_operand(&x, op.dtype), self.product_operand(&y, op.dtype));
        let x = self.permuted(&x, &[&op.lhs_batch[..], &x_free, &op.lhs_contract].concat())?;
        let y = self.permuted(&y, &[&op.rhs_batch[..], &op.rhs_contract, &y_free].concat())?;
        let contracted: usize = x.ty.shape[batch.len() + rows.len()..].iter().product();
        let merged = |sizes: &[usize]| sizes.iter().product::<usize>();
        let is_matrix_of_rows = batch.is_empty() && !rows.is_empty();
        let x_shape: Shape = match is_matrix_of_rows {
            true => [&rows[..], &[contracted]].concat().into(),
            false => [&batch[..], &[merged(&rows), contracted]].concat().into(),
        };
        let y_shape: Shape = [&batch[..], &[contracted, merged(&columns)]].concat().into();
        let (x, y) = (self.reshaped(&x, &x_shape)?, self.reshaped(&y, &y_shape)?);
        let mut product = x_shape.to_vec();
        product.pop();
        product.push(merged(&columns));
        let product = self.compute("MatMul", &[&x, &y], &[], vec![], product)?;
        let product = self.product_result(&product, op.dtype);
        Ok(Lowered::of(self.reshaped(&product, &shape)?))
    }

    /// Converts an operand to the dtype of the sums; bools are counted.
    fn product_operand(&mut self, x: &Wire, dtype: DType) -> Wire {
        self.cast(x, if dtype == DType::Bool { DType::I32 } else { dtype })
    }

    /// Converts the sums to the dtype of the result.
    fn product_result(&mut self, x: &Wire, dtype: DType) -> Wire {
        self.cast(x, dtype)
    }
}
