//! Broadcasts, transposes, slices and reshapes: offsets and strides of loads, not steps.

use super::{check, check_kernels};
use expect_test::expect;

#[test]
fn a_broadcast_is_read_with_stride_zero() {
    check_kernels(
        "graph(%0: f32[300, 40], %1: f32[40]) {
          %2: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[1]](%1)
          %3: f32[300, 40] = add(%0, %2)
          return %3
        }",
        expect![[r#"
            kernel 0 reads b0, b1; writes b2; 300 iterations, parallel
            operands b0, b1, b2; parameters [300, 40, 160]
            kernel [#0] vectorize inner
              @0: f32 stage 0 [#2, 1]
              @1: f32 stage 0 [0, 1]
              @2: f32 stage 0 [#2, 1]
              stage [#1]
                %0: f32 = load @0
                %1: f32 = load @1
                %2: f32 = add %0, %1
                store @2 %2
        "#]],
    )
    .has_steps(1)
    .has_kernels(1);
}

/// Fusion would compute every `tanh` once for each of 300 rows.
#[test]
fn an_expensive_operand_of_a_broadcast_is_computed_once() {
    check(
        "graph(%0: f32[300, 40], %1: f32[40]) {
          %2: f32[40] = tanh(%1)
          %3: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[1]](%2)
          %4: f32[300, 40] = add(%0, %3)
          return %4
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[40] = %1 (an input)
            b2: f32[40] = %2 (tanh)
            b3: f32[300, 40] = %4 (add)
            inputs b0, b1; outputs b3
            step 0: kernel 0 reads b1; writes b2; 40 iterations, parallel
            step 1: kernel 1 reads b0, b2; writes b3; 300 iterations, parallel
            step 0 and step 1 were not fused: the iteration spaces [40] and [300, 40] differ
              first: %2 (tanh)
              second: %4 (add)
        "#]],
    )
    .has_steps(2);
}

#[test]
fn a_cheap_operand_of_a_broadcast_is_computed_for_every_row() {
    check(
        "graph(%0: f32[300, 40], %1: f32[40]) {
          %2: f32[40] = negate(%1)
          %3: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[1]](%2)
          %4: f32[300, 40] = add(%0, %3)
          return %4
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[40] = %1 (an input)
            b2: f32[300, 40] = %4 (add)
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b0, b1; writes b2; 300 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

#[test]
fn a_transpose_is_a_stride() {
    check_kernels(
        "graph(%0: f32[300, 40], %1: f32[40, 300]) {
          %2: f32[300, 40] = transpose[permutation=[1, 0]](%1)
          %3: f32[300, 40] = add(%0, %2)
          return %3
        }",
        expect![[r#"
            kernel 0 reads b0, b1; writes b2; 300 iterations, parallel
            operands b0, b1, b2; parameters [300, 40, 160, 4, 1200]
            kernel [#0] vectorize inner
              @0: f32 stage 0 [#2, 1]
              @1: f32 stage 0 [#3, #4]
              @2: f32 stage 0 [#2, 1]
              stage [#1]
                %0: f32 = load @0
                %1: f32 = load @1
                %2: f32 = add %0, %1
                store @2 %2
        "#]],
    )
    .has_steps(1);
}

#[test]
fn a_slice_and_a_reverse_are_an_offset_and_a_negative_stride() {
    check_kernels(
        "graph(%0: f32[100], %1: f32[300]) {
          %2: f32[100] = slice[start=[7], limit=[107], stride=[1]](%1)
          %3: f32[100] = reverse[axes=[0]](%2)
          %4: f32[100] = add(%0, %3)
          return %4
        }",
        expect![[r#"
            kernel 0 reads b0, b1; writes b2; 100 iterations, parallel
            operands b0, b1+424, b2; parameters [100, -4]
            kernel [] vectorize inner
              @0: f32 stage 0 [1]
              @1: f32 stage 0 [#1]
              @2: f32 stage 0 [1]
              stage [#0]
                %0: f32 = load @0
                %1: f32 = load @1
                %2: f32 = add %0, %1
                store @2 %2
        "#]],
    )
    .has_steps(1);
}

/// The loop over 12000 elements is split into 300 and 40, where the transpose needs both counters.
#[test]
fn a_reshape_splits_a_loop() {
    check_kernels(
        "graph(%0: f32[12000], %1: f32[40, 300]) {
          %2: f32[300, 40] = transpose[permutation=[1, 0]](%1)
          %3: f32[12000] = reshape[shape=[12000]](%2)
          %4: f32[12000] = add(%0, %3)
          return %4
        }",
        expect![[r#"
            kernel 0 reads b0, b1; writes b2; 300 iterations, parallel
            operands b0, b1, b2; parameters [300, 40, 160, 4, 1200]
            kernel [#0] vectorize inner
              @0: f32 stage 0 [#2, 1]
              @1: f32 stage 0 [#3, #4]
              @2: f32 stage 0 [#2, 1]
              stage [#1]
                %0: f32 = load @0
                %1: f32 = load @1
                %2: f32 = add %0, %1
                store @2 %2
        "#]],
    )
    .has_steps(1);
}

#[test]
fn a_reshape_of_a_buffer_is_that_buffer() {
    check(
        "graph(%0: f32[300, 40]) {
          %1: f32[300, 40] = sqrt(%0)
          %2: f32[12000] = reshape[shape=[12000]](%1)
          return %2
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[12000] = %2 (reshape)
            inputs b0; outputs b1
            step 0: kernel 0 reads b0; writes b1; 12000 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

/// Rows of 4 elements as rows of 3: the position of an element is no sum of strides, so that the
/// transposed array is written to memory.
#[test]
fn a_reshape_that_no_strides_express_is_a_step() {
    check(
        "graph(%0: f32[4, 6]) {
          %1: f32[6, 4] = transpose[permutation=[1, 0]](%0)
          %2: f32[8, 3] = reshape[shape=[8, 3]](%1)
          %3: f32[8, 3] = negate(%2)
          return %3
        }",
        expect![[r#"
            b0: f32[4, 6] = %0 (an input)
            b1: f32[6, 4] = %1 (transpose)
            b2: f32[8, 3] = %3 (negate)
            inputs b0; outputs b2
            step 0: kernel 0 reads b0; writes b1; 6 iterations, parallel
            step 1: kernel 1 reads b1; writes b2; 24 iterations, parallel
            step 0 and step 1 were not fused: the iteration spaces [6, 4] and [8, 3] differ
              first: %1 (transpose)
              second: %3 (negate)
        "#]],
    )
    .has_steps(2);
}
