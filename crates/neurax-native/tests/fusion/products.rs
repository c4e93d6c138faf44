//! Matrix products, convolutions and their epilogues, windows.

use super::{check, check_plan};
use expect_test::expect;

#[test]
fn a_matmul_is_a_library_step() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          return %2
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 32] = %1 (an input)
            b2: f32[64, 32] = %3 (dot_general)
            takes b0, b1, gives b2
            step 0: dot_general of b0, b1 to b2
        "#]],
    )
    .has_steps(1)
    .has_kernels(0);
}

#[test]
fn a_small_matmul_is_a_loop_nest() {
    check(
        "graph(%0: f32[4, 8], %1: f32[8, 4]) {
          %2: f32[4, 4] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          return %2
        }",
        expect![[r#"
            b0: f32[4, 8] = %0 (an input)
            b1: f32[8, 4] = %1 (an input)
            b2: f32[4, 4] = %6 (reduce)
            takes b0, b1, gives b2
            step 0: kernel 0 of b0, b1 to b2: 4 times, in any order
        "#]],
    )
    .has_steps(1)
    .has_kernels(1);
}

#[test]
fn a_matmul_of_integers_is_a_loop_nest() {
    check(
        "graph(%0: i32[64, 128], %1: i32[128, 32]) {
          %2: i32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=i32](%0, %1)
          return %2
        }",
        expect![[r#"
            b0: i32[64, 128] = %0 (an input)
            b1: i32[128, 32] = %1 (an input)
            b2: i32[64, 32] = %6 (reduce)
            takes b0, b1, gives b2
            step 0: kernel 0 of b0, b1 to b2: 64 times, in any order
        "#]],
    )
    .has_steps(1)
    .has_kernels(1);
}

/// The product's rows are in cache when the epilogue reads them.
#[test]
fn a_matmul_takes_bias_and_gelu_as_epilogue() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 32], %2: f32[32]) {
          %3: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %4: f32[64, 32] = broadcast_in_dim[shape=[64, 32], dims=[1]](%2)
          %5: f32[64, 32] = add(%3, %4)
          %6: f32[64, 32] = gelu[approximate=false](%5)
          return %6
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 32] = %1 (an input)
            b2: f32[32] = %2 (an input)
            b3: f32[64, 32] = %4 (dot_general)
            b6: f32[64, 32] = %14 (multiply)
            takes b0, b1, b2, gives b6
            step 0: dot_general of b0, b1 to b3, its rows followed by kernel 0 of b3, b2 to
                b6: 64 times, in any order
        "#]],
    )
    .has_steps(1)
    .has_kernels(1)
    .has_refusals(0);
}

/// The epilogue overwrites the product row by row: no second buffer of its size.
#[test]
fn an_epilogue_works_in_place() {
    check_plan(
        "graph(%0: f32[64, 128], %1: f32[128, 32], %2: f32[32]) {
          %3: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %4: f32[64, 32] = broadcast_in_dim[shape=[64, 32], dims=[1]](%2)
          %5: f32[64, 32] = add(%3, %4)
          return %5
        }",
        expect![[r#"
            b0: f32[64, 128], in argument 0
            b1: f32[128, 32], in argument 1
            b2: f32[32], in argument 2
            b3: f32[64, 32], in result 0
            b4: f32[64, 32], in result 0
            the block has 0 bytes
        "#]],
    )
    .has_block(0);
}

#[test]
fn a_matmul_takes_softmax_over_its_rows_as_epilogue() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %3: f32[64, 32] = softmax[axis=1](%2)
          return %3
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 32] = %1 (an input)
            b2: f32[64, 32] = %3 (dot_general)
            b4: f32[64, 32] = %7 (exponential)
            b6: f32[64, 32] = %10 (divide)
            takes b0, b1, gives b6
            step 0: dot_general of b0, b1 to b2, its rows followed by kernel 0 of b2, b4 to
                b4, b6: 64 times, in any order
        "#]],
    )
    .has_steps(1)
    .has_kernels(1);
}

#[test]
fn a_matmul_takes_the_sum_with_a_residual_as_epilogue() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 128]) {
          %2: f32[64, 128] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %3: f32[64, 128] = add(%2, %0)
          return %3
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 128] = %1 (an input)
            b2: f32[64, 128] = %3 (dot_general)
            b3: f32[64, 128] = %4 (add)
            takes b0, b1, gives b3
            step 0: dot_general of b0, b1 to b2, its rows followed by kernel 0 of b2, b0 to
                b3: 8192 times, in any order
        "#]],
    )
    .has_steps(1);
}

#[test]
fn two_layers_are_two_steps_with_epilogues() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 32], %2: f32[32], %3: f32[32, 32], %4: f32[32]) {
          %5: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %6: f32[64, 32] = broadcast_in_dim[shape=[64, 32], dims=[1]](%2)
          %7: f32[64, 32] = add(%5, %6)
          %8: f32[64, 32] = tanh(%7)
          %9: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%8, %3)
          %10: f32[64, 32] = broadcast_in_dim[shape=[64, 32], dims=[1]](%4)
          %11: f32[64, 32] = add(%9, %10)
          return %11
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 32] = %1 (an input)
            b2: f32[32] = %2 (an input)
            b3: f32[32, 32] = %3 (an input)
            b4: f32[32] = %4 (an input)
            b5: f32[64, 32] = %6 (dot_general)
            b6: f32[64, 32] = %9 (tanh)
            b7: f32[64, 32] = %11 (dot_general)
            b8: f32[64, 32] = %13 (add)
            takes b0, b1, b2, b3, b4, gives b8
            step 0: dot_general of b0, b1 to b5, its rows followed by kernel 0 of b5, b2 to
                b6: 64 times, in any order
            step 1: dot_general of b6, b3 to b7, its rows followed by kernel 1 of b7, b4 to
                b8: 64 times, in any order
        "#]],
    )
    .has_steps(2)
    .has_kernels(2);
}

/// The packed kernel reads its operand through strides.
#[test]
fn a_transposed_operand_of_a_matmul_is_not_copied() {
    check(
        "graph(%0: f32[128, 64], %1: f32[32, 128]) {
          %2: f32[64, 128] = transpose[permutation=[1, 0]](%0)
          %3: f32[128, 32] = transpose[permutation=[1, 0]](%1)
          %4: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%2, %3)
          return %4
        }",
        expect![[r#"
            b0: f32[128, 64] = %0 (an input)
            b1: f32[32, 128] = %1 (an input)
            b2: f32[64, 32] = %3 (dot_general)
            takes b0, b1, gives b2
            step 0: dot_general of b0, b1 to b2
        "#]],
    )
    .has_steps(1)
    .has_kernels(0);
}

/// An operand of a matrix product must be an array in memory.
#[test]
fn a_map_before_a_matmul_is_a_step() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 128] = negate(%0)
          %3: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%2, %1)
          return %3
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 32] = %1 (an input)
            b2: f32[64, 128] = %2 (negate)
            b3: f32[64, 32] = %4 (dot_general)
            takes b0, b1, gives b3
            step 0: kernel 0 of b0 to b2: 8192 times, in any order
            step 1: dot_general of b2, b1 to b3
        "#]],
    )
    .has_steps(2);
}

#[test]
fn a_batch_of_matmuls_is_one_step_with_its_epilogue() {
    check(
        "graph(%0: f32[3, 64, 128], %1: f32[3, 128, 32]) {
          %2: f32[3, 64, 32] = dot_general[lhs_batch=[0], rhs_batch=[0], lhs_contract=[2],
            rhs_contract=[1], dtype=f32](%0, %1)
          %3: f32[3, 64, 32] = sqrt(%2)
          return %3
        }",
        expect![[r#"
            b0: f32[3, 64, 128] = %0 (an input)
            b1: f32[3, 128, 32] = %1 (an input)
            b2: f32[3, 64, 32] = %3 (dot_general)
            b3: f32[3, 64, 32] = %4 (sqrt)
            takes b0, b1, gives b3
            step 0: dot_general of b0, b1 to b2, its rows followed by kernel 0 of b2 to b3:
                6144 times, in any order
        "#]],
    )
    .has_steps(1);
}

/// `softmax(q k^T) v`: the scores of a head are normalised while they are in cache.
#[test]
fn attention_is_two_products_with_softmax_between_them_as_epilogue() {
    check(
        "graph(%0: f32[2, 64, 32], %1: f32[2, 64, 32], %2: f32[2, 64, 32]) {
          %3: f32[2, 64, 64] = dot_general[lhs_batch=[0], rhs_batch=[0], lhs_contract=[2],
            rhs_contract=[2], dtype=f32](%0, %1)
          %4: f32[2, 64, 64] = softmax[axis=2](%3)
          %5: f32[2, 64, 32] = dot_general[lhs_batch=[0], rhs_batch=[0], lhs_contract=[2],
            rhs_contract=[1], dtype=f32](%4, %2)
          return %5
        }",
        expect![[r#"
            b0: f32[2, 64, 32] = %0 (an input)
            b1: f32[2, 64, 32] = %1 (an input)
            b2: f32[2, 64, 32] = %2 (an input)
            b3: f32[2, 64, 64] = %3 (dot_general)
            b5: f32[2, 64, 64] = %7 (exponential)
            b7: f32[2, 64, 64] = %10 (divide)
            b8: f32[2, 64, 32] = %12 (dot_general)
            takes b0, b1, b2, gives b8
            step 0: dot_general of b0, b1 to b3, its rows followed by kernel 0 of b3, b5 to
                b5, b7: 128 times, in any order
            step 1: dot_general of b7, b2 to b8
        "#]],
    )
    .has_steps(2)
    .has_kernels(1);
}

#[test]
fn a_convolution_takes_bias_and_relu_as_epilogue() {
    check(
        "graph(%0: f32[8, 3, 32, 32], %1: f32[16, 3, 3, 3], %2: f32[16]) {
          %3: f32[8, 16, 30, 30] = convolution[slides=[{}, {}], groups=1, dtype=f32](%0, %1)
          %4: f32[8, 16, 30, 30] = broadcast_in_dim[shape=[8, 16, 30, 30], dims=[1]](%2)
          %5: f32[8, 16, 30, 30] = add(%3, %4)
          %6: f32[] = constant[value=f32[] 0.0]()
          %7: f32[8, 16, 30, 30] = broadcast_in_dim[shape=[8, 16, 30, 30], dims=[]](%6)
          %8: f32[8, 16, 30, 30] = maximum(%5, %7)
          return %8
        }",
        expect![[r#"
            b0: f32[8, 3, 32, 32] = %0 (an input)
            b1: f32[16, 3, 3, 3] = %1 (an input)
            b2: f32[16] = %2 (an input)
            b3: f32[8, 16, 30, 30] = %3 (convolution)
            b5: f32[8, 16, 30, 30] = %8 (maximum)
            takes b0, b1, b2, gives b5
            step 0: convolution of b0, b1 to b3, its rows followed by kernel 0 of b3, b2 to
                b5: 8 times, in any order
        "#]],
    )
    .has_steps(1)
    .has_kernels(1)
    .has_refusals(0);
}

#[test]
fn a_pooling_window_is_a_step() {
    check(
        "graph(%0: f32[8, 30, 30]) {
          %1: f32[8, 30, 30] = negate(%0)
          %2: f32[8, 15, 15] = reduce_window[kind=max, sizes=[1, 2, 2],
            slides=[{}, {stride=2}, {stride=2}]](%1)
          %3: f32[8, 15, 15] = negate(%2)
          return %3
        }",
        expect![[r#"
            b0: f32[8, 30, 30] = %0 (an input)
            b1: f32[8, 30, 30] = %1 (negate)
            b2: f32[8, 15, 15] = %2 (reduce_window)
            b3: f32[8, 15, 15] = %3 (negate)
            takes b0, gives b3
            step 0: kernel 0 of b0 to b1: 7200 times, in any order
            step 1: reduce_window of b1 to b2
            step 2: kernel 1 of b2 to b3: 1800 times, in any order
        "#]],
    )
    .has_steps(3)
    .has_kernels(2);
}
