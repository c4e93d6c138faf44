//! Transposes that cancel.

use super::*;

const LAST: [usize; 4] = [0, 2, 3, 1];
const FIRST: [usize; 4] = [0, 3, 1, 2];

#[test]
fn inverse_transposes_cancel_across_elementwise_ops() {
    let (names, text) = rewritten_line(&[f32s(&[2, 3, 4, 5]), f32s(&[3])], &|b, x| {
        let y = b.transpose(x[0], &LAST);
        let bias = b.broadcast(x[1], [2, 4, 5, 3], &[3]);
        let y = b.add(y, bias);
        let zero = b.full_like(y, 0.0);
        let y = b.max(y, zero);
        b.transpose(y, &FIRST)
    });
    assert_eq!(names, "transpose_across 1");
    assert_eq!(
        text,
        "%2: f32[2, 3, 4, 5] = broadcast_in_dim[shape=[2, 3, 4, 5], dims=[1]](%1); \
         %3: f32[2, 3, 4, 5] = add(%0, %2); \
         %4: f32[] = constant[value=f32[] 0.0](); \
         %5: f32[2, 3, 4, 5] = broadcast_in_dim[shape=[2, 3, 4, 5], dims=[]](%4); \
         %6: f32[2, 3, 4, 5] = maximum(%3, %5); return %6"
    );
}

#[test]
fn axes_of_moves_are_renamed() {
    let want = "%1: f32[] = constant[value=f32[] 0.0](); \
                %2: f32[2, 3, 6, 5] = pad[low=[0, 0, 1, 0], high=[0, 0, 1, 0], \
                interior=[0, 0, 0, 0]](%0, %1); \
                %3: f32[] = constant[value=f32[] 1.0](); \
                %4: f32[2, 3, 6, 5] = broadcast_in_dim[shape=[2, 3, 6, 5], dims=[]](%3); \
                %5: f32[2, 6, 6, 5] = concatenate[axis=1](%2, %4); \
                %6: f32[2, 6, 6, 2] = slice[start=[0, 0, 0, 3], limit=[2, 6, 6, 5], \
                stride=[1, 1, 1, 1]](%5); return %6";
    becomes("transpose_across 1", want, &[f32s(&[2, 3, 4, 5])], &|b, x| {
        let y = b.transpose(x[0], &LAST);
        let zero = b.scalar(DType::F32, 0.0);
        let edge = Pad { low: vec![0, 1, 0, 0], high: vec![0, 1, 0, 0], interior: vec![0; 4] };
        let y = b.emit(edge, &[y, zero]);
        let ones = b.full(f32s(&[2, 6, 5, 3]), 1.0);
        let y = b.emit(Concatenate { axis: 3 }, &[y, ones]);
        let y = b.slice(y, &[0, 0, 3, 0], &[2, 6, 5, 6]);
        b.transpose(y, &FIRST)
    });
}

#[test]
fn a_transpose_that_would_be_left_over_stays() {
    is_kept(&[f32s(&[2, 3, 4, 5]), f32s(&[2, 4, 5, 3])], &|b, x| {
        let y = b.transpose(x[0], &LAST);
        let y = b.add(y, x[1]);
        b.transpose(y, &FIRST)
    });
    // The sum is read elsewhere.
    is_kept(&[f32s(&[4, 4])], &|b, x| {
        let y = b.transpose(x[0], &[1, 0]);
        let y = b.exp(y);
        let z = b.transpose(y, &[1, 0]);
        b.sub(y, z)
    });
}

#[test]
fn reductions_take_the_order_that_is_there() {
    let want = "%1: f32[2, 3] = reduce[kind=sum, axes=[2, 3]](%0); return %1";
    let rule = "transpose_behind_reduction 1";
    becomes(rule, want, &[f32s(&[2, 3, 4, 5])], &|b, x| {
        let y = b.transpose(x[0], &LAST);
        b.sum(y, &[1, 2])
    });
    let want = "%1: f32[3, 4] = reduce[kind=sum, axes=[0]](%0); \
                %2: f32[4, 3] = transpose[permutation=[1, 0]](%1); return %2";
    becomes(rule, want, &[f32s(&[2, 3, 4])], &|b, x| {
        let y = b.transpose(x[0], &[2, 0, 1]);
        b.sum(y, &[1])
    });
}

#[test]
fn products_read_transposed_operands_by_other_axes() {
    let of = |batch: Vec<usize>, contract: usize| DotGeneral {
        lhs_batch: batch.clone(),
        rhs_batch: batch,
        lhs_contract: vec![contract],
        rhs_contract: vec![contract],
        dtype: DType::F32,
    };
    let want = "%2: f32[2, 3, 5, 6] = dot_general[lhs_batch=[0, 2], rhs_batch=[0, 1], \
                lhs_contract=[3], rhs_contract=[2], dtype=f32](%0, %1); return %2";
    let types = [f32s(&[2, 5, 3, 4]), f32s(&[2, 3, 4, 6])];
    becomes("transpose_into_product 1", want, &types, &|b, x| {
        let heads = b.transpose(x[0], &[0, 2, 1, 3]);
        let keys = b.transpose(x[1], &[0, 1, 3, 2]);
        b.emit(of(vec![0, 1], 3), &[heads, keys])
    });
    // A weight, and free axes that change places.
    is_kept(&[f32s(&[5, 4]), f32s(&[4, 6])], &|b, x| {
        let w = b.transpose(x[1], &[1, 0]);
        b.emit(of(vec![], 1), &[x[0], w])
    });
    is_kept(&[f32s(&[2, 5, 3, 4]), f32s(&[2, 6, 4])], &|b, x| {
        let y = b.transpose(x[0], &[0, 2, 1, 3]);
        let op = DotGeneral { rhs_contract: vec![2], ..of(vec![0], 3) };
        b.emit(op, &[y, x[1]])
    });
}
