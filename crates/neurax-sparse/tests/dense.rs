//! Random sparse tensors against the same computation on dense ones, their derivatives, and misuse.

use neurax::{
    prelude::*,
    sparse::{Coo, Csr},
    testing::{
        Draw, GradCheckOptions, assert_equal, check_close, check_equal, check_grads_with, property,
    },
};

/// Returns a dense tensor with zeros, of integers, which are added without rounding.
fn sparse_tensor(draw: &mut Draw, dtype: DType, shape: &[usize]) -> Tensor {
    let x = draw.tensor(I32, shape);
    let kept = draw.tensor(BOOL, shape) & draw.tensor(BOOL, shape);
    kept.select(x.remainder(10), 0).to(dtype)
}

/// Returns the same tensor with its elements shuffled, one of them split in two, and padding.
fn disordered(draw: &mut Draw, a: &Coo) -> Coo {
    let half = a.map_values(|v| v / 2.0);
    let outside = (0..a.rank()).map(|i| a.shape()[i] as i32 + draw.below(2) as i32);
    let outside: Vec<i32> = outside.collect();
    let nan = Coo::new(
        tensor([f32::NAN]).to(a.values().dtype()),
        Tensor::from_vec(outside, [a.rank(), 1]),
        a.shape(),
    );
    let all = half.add(&nan).add(&half);
    let order = key(draw.below(1000) as i64).permutation(all.nse());
    Coo::new(all.values().take(&order, 0), all.indices().take(&order, 1), a.shape())
}

#[test]
fn dense_tensors_return_from_both_formats() {
    property(30, |draw| {
        let shape = draw.shape(1..=3, 0..=4);
        let dtype = draw.one_of(&[F32, F64, I32, C64, BF16]);
        let x = sparse_tensor(draw, dtype, &shape);
        let a = Coo::from_dense(&x);
        check_equal(&a.to_dense(), &x)?;
        let padded = Coo::from_dense_with_nse(&x, a.nse() + 3);
        check_equal(&padded.to_dense(), &x)?;
        check_equal(&padded.trimmed(), &a)?;
        check_equal(&a.transpose().to_dense(), &x.transpose())?;
        if shape.len() == 2 {
            let csr = Csr::from_dense(&x);
            check_equal(&csr.to_dense(), &x)?;
            check_equal(&csr.to_coo(), &a)?;
            check_equal(&a.to_csr(), &csr)?;
            let padded = padded.to_csr();
            check_equal(&padded.to_dense(), &x)?;
            let parts = (padded.columns().clone(), padded.row_starts().clone());
            let given = Csr::new(padded.values().clone(), parts.0, parts.1, [shape[0], shape[1]]);
            check_equal(&given, &padded)?;
            check_equal(&csr.transpose().to_dense(), &x.t())?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_order_of_elements_does_not_matter() {
    property(30, |draw| {
        let shape = draw.shape(1..=3, 1..=4);
        let x = sparse_tensor(draw, F32, &shape);
        let a = Coo::from_dense(&x);
        let b = disordered(draw, &a);
        check_equal(&b.to_dense(), &x)?;
        check_equal(&b.sort_indices().to_dense(), &x)?;
        check_equal(&b.sum_duplicates().trimmed(), &a)?;
        let (axis, dense) = (draw.axis(shape.len()), draw.tensor(F32, &shape[..]));
        check_equal(&b.sum(axis), &x.sum(axis))?;
        check_equal(&b.sum(keep(axis)), &x.sum(keep(axis)))?;
        check_equal(&b.sum(..), &x.sum(..))?;
        check_close(&b.mul_dense(&dense).to_dense(), &(&x * &dense))?;
        check_close(&b.add_dense(&dense), &(&x + &dense))?;
        check_equal(&(&(&b - &a) * 2.0).to_dense(), &x.zeros_like())
    })
    .unwrap();
}

#[test]
fn products_are_those_of_dense_matrices() {
    property(30, |draw| {
        let (m, k, n) = (draw.below(6), draw.below(6), draw.below(4));
        let dtype = draw.one_of(&[F32, F64, I32, C64]);
        let x = sparse_tensor(draw, dtype, &[m, k]);
        let (a, csr) = (disordered(draw, &Coo::from_dense(&x.to(F64))), Csr::from_dense(&x));
        let a = a.to(F64);
        for (left, right) in [(vec![m], vec![k]), (vec![n, m], vec![k, n])] {
            let (left, right) =
                (sparse_tensor(draw, dtype, &left), sparse_tensor(draw, dtype, &right));
            check_close(&csr.matmul(&right), &x.matmul(&right))?;
            check_close(&csr.matmul_from(&left), &left.matmul(&x))?;
            let (x, left, right) = (x.to(F64), left.to(F64), right.to(F64));
            check_close(&a.matmul(&right), &x.matmul(&right))?;
            check_close(&a.matmul_from(&left), &left.matmul(&x))?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn derivatives_are_those_of_the_values_and_of_dense_operands() {
    let mut draw = Draw::new(5);
    let x = sparse_tensor(&mut draw, F64, &[4, 5]);
    let a = disordered(&mut draw, &Coo::from_dense(&x)).sum_duplicates();
    let (csr, options) = (a.to_csr(), GradCheckOptions::new());
    let at = (a.values().clone(), draw.tensor(F64, [5, 2]));
    let product = |(values, y): (Tensor, Tensor)| a.with_values(values).matmul(&y).square();
    check_grads_with(product, &at, &options).unwrap();
    let product = |(values, y): (Tensor, Tensor)| csr.with_values(values).matmul(&y).square();
    check_grads_with(product, &at, &options).unwrap();
    let at = (a.values().clone(), draw.tensor(F64, [4, 5]));
    let elementwise = |(values, y): (Tensor, Tensor)| {
        let b = a.with_values(values);
        (b.mul_dense(&y).sum(0).square(), b.add_dense(&y).sin())
    };
    check_grads_with(elementwise, &at, &options).unwrap();
    let converted = |x: Tensor| Coo::from_dense_with_nse(&x, 9).to_dense().square();
    let first = GradCheckOptions::new().order(1);
    check_grads_with(converted, &tensor([[1.0, 0.5], [0.25, 2.0]]), &first).unwrap();
}

#[test]
fn a_sparse_tensor_is_a_tree_of_transforms() {
    let x = tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]);
    let (a, y) = (Coo::from_dense(&x), tensor([1.0, 2.0, 3.0]));
    let product = |(a, y): (Coo, Tensor)| a.matmul(&y);
    let jitted = jit(product).run((a.clone(), y.clone())).unwrap();
    assert_equal(&jitted, &tensor([4.0, 15.0]));
    // A batch of values and indices, and of dense vectors.
    let batch = a.map_leaves(|leaf| stack([leaf, leaf], 0));
    let ys = stack([&y, &(&y * 2.0)], 0);
    let batched = vmap(product).run((batch, ys)).unwrap();
    assert_equal(&batched, &tensor([[4.0, 15.0], [8.0, 30.0]]));
    // The gradient of a whole sparse tensor: integers have none.
    let f = |a: Coo| a.matmul(&y).sum(..);
    assert!(grad(f).run(a).is_err());
}

#[test]
fn nan_of_the_dense_operand_meets_stored_elements_only() {
    let a = Coo::from_dense_with_nse(&tensor([[1.0, 0.0], [0.0, 0.0]]), 3);
    assert_equal(&a.matmul(&tensor([2.0, f32::NAN])), &tensor([2.0, 0.0]));
}

#[test]
fn indices_outside_of_the_shape_are_padding() {
    let far = tensor([[0i32, -1, 2, 1]]).to(I64) + tensor([[0, 0, 0, 1]]).to(I64) * (1i64 << 32);
    let a = Coo::new(tensor([1.0, 2.0, 3.0, 4.0]), far, [3]);
    assert_equal(&a.to_dense(), &tensor([1.0, 0.0, 3.0]));
}

#[test]
fn misuse_is_an_error() {
    let a = Coo::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    let message = |x: Tensor| x.ok().unwrap_err().message().to_string();
    let want = "expected f32[3] or f32[3, n] for a sparse matrix [2, 3], got f32[2]";
    assert_eq!(message(a.matmul(&Tensor::ones(2))), want);
    let want = "expected f32[2] or f32[n, 2] for a sparse matrix [2, 3], got f32[3]";
    assert_eq!(message(a.matmul_from(&Tensor::ones(3))), want);
    assert!(a.matmul(&Tensor::ones([1, 3, 1])).ok().is_err());
    assert!(message(a.sum(2)).contains("axis 2"));
    let want = "expected a dense tensor of the shape [2, 3], got f32[3]";
    assert_eq!(message(a.add_dense(&Tensor::ones(3))), want);
    assert!(a.mul_dense(&Tensor::ones(2)).ok().is_err());
    assert!(a.add(&Coo::eye(2)).ok().is_err());
    let vector = Coo::from_dense(&tensor([1.0, 0.0]));
    assert_eq!(message(vector.matmul(&Tensor::ones(2))), "expected a matrix, got the shape [2]");
    assert!(vector.to_csr().ok().is_err());
    let bad = |values, indices, shape: &[usize]| Coo::new(values, indices, shape).ok().is_err();
    assert!(bad(tensor([[1.0]]), tensor([[0]]), &[3]));
    assert!(bad(tensor([1.0]), tensor([[0.0]]), &[3]));
    assert!(bad(tensor([1.0]), tensor([[0]]), &[1 << 40]));
    let error = a.matmul(&Tensor::ones(2)).ok().unwrap_err().to_string();
    assert!(error.contains("tests/dense.rs"), "{error}");
    let error = a.mul_dense(&Tensor::ones(2)).to_dense().ok().unwrap_err().to_string();
    assert!(error.contains("tests/dense.rs"), "{error}");
    // Errors of operands are passed on.
    let failed = Coo::from_dense(&(Tensor::zeros(2) + Tensor::zeros(3)));
    assert!(failed.to_dense().ok().unwrap_err().message().contains("cannot broadcast"));
    assert!(failed.matmul(&Tensor::ones(2)).ok().unwrap_err().message().contains("cannot"));
    for sum in [a.add(&failed), failed.add(&a), &a - &failed, &failed - &failed] {
        assert_eq!(sum.ok().unwrap_err().op(), "add");
        assert!(message(sum.to_dense()).contains("cannot broadcast"));
    }
    // Elements of a tensor without elements are none, but its errors are errors.
    let none = Coo::from_dense_with_nse(&Tensor::zeros([0, 3]), 2);
    assert!(message(none.gather(&Tensor::ones(2))).contains("broadcast"));
}
