//! Matrix products, convolutions and their epilogues, windows.

use super::{SMALL_MATMUL, check, check_plan};
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
            inputs b0, b1; outputs b2
            step 0: dot_general reads b0, b1; writes b2
        "#]],
    )
    .has_steps(1)
    .has_kernels(0);
}

#[test]
fn a_small_matmul_is_a_loop_nest() {
    check(
        SMALL_MATMUL,
        expect![[r#"
            b0: f32[4, 8] = %0 (an input)
            b1: f32[8, 4] = %1 (an input)
            b2: f32[4, 4] = %6 (reduce)
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b0, b1; writes b2; 4 iterations, parallel
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
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b0, b1; writes b2; 64 iterations, parallel
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
            inputs b0, b1, b2; outputs b6
            step 0: dot_general reads b0, b1; writes b3; epilogue for each tile of rows:
                kernel 0 reads b3, b2; writes b6; 64 iterations, parallel
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
            b0: f32[64, 128], in input 0
            b1: f32[128, 32], in input 1
            b2: f32[32], in input 2
            b3: f32[64, 32], in output 0
            b4: f32[64, 32], in output 0
            block of 0 bytes
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
            inputs b0, b1; outputs b6
            step 0: dot_general reads b0, b1; writes b2; epilogue for each tile of rows:
                kernel 0 reads b2, b4; writes b4, b6; 64 iterations, parallel
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
            inputs b0, b1; outputs b3
            step 0: dot_general reads b0, b1; writes b2; epilogue for each tile of rows:
                kernel 0 reads b2, b0; writes b3; 8192 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

/// The gates of a recurrent cell: each reads its own columns of a row.
#[test]
fn a_matmul_takes_slices_of_its_columns_as_epilogue() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %3: f32[64, 16] = slice[start=[0, 0], limit=[64, 16], stride=[1, 1]](%2)
          %4: f32[64, 16] = slice[start=[0, 16], limit=[64, 32], stride=[1, 1]](%2)
          %5: f32[64, 16] = multiply(%3, %4)
          return %5
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 32] = %1 (an input)
            b2: f32[64, 32] = %3 (dot_general)
            b3: f32[64, 16] = %6 (multiply)
            inputs b0, b1; outputs b3
            step 0: dot_general reads b0, b1; writes b2; epilogue for each tile of rows:
                kernel 0 reads b2; writes b3; 64 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_kernels(1);
}

/// The last iterations would read the rows of the next tile.
#[test]
fn rows_that_a_kernel_reads_from_the_second_on_are_no_epilogue() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %3: f32[63, 32] = slice[start=[1, 0], limit=[64, 32], stride=[1, 1]](%2)
          %4: f32[63, 32] = multiply(%3, %3)
          return %4
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 32] = %1 (an input)
            b2: f32[64, 32] = %3 (dot_general)
            b3: f32[63, 32] = %5 (multiply)
            inputs b0, b1; outputs b3
            step 0: dot_general reads b0, b1; writes b2
            step 1: kernel 0 reads b2; writes b3; 2016 iterations, parallel
            step 0 and step 1 were not fused: the second does not read the result of the
                product row by row
              first: %3 (dot_general)
              second: %5 (multiply)
        "#]],
    )
    .has_steps(2)
    .has_kernels(1);
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
            inputs b0, b1, b2, b3, b4; outputs b8
            step 0: dot_general reads b0, b1; writes b5; epilogue for each tile of rows:
                kernel 0 reads b5, b2; writes b6; 64 iterations, parallel
            step 1: dot_general reads b6, b3; writes b7; epilogue for each tile of rows:
                kernel 1 reads b7, b4; writes b8; 64 iterations, parallel
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
            inputs b0, b1; outputs b2
            step 0: dot_general reads b0, b1; writes b2
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
            inputs b0, b1; outputs b3
            step 0: kernel 0 reads b0; writes b2; 8192 iterations, parallel
            step 1: dot_general reads b2, b1; writes b3
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
            inputs b0, b1; outputs b3
            step 0: dot_general reads b0, b1; writes b2; epilogue for each tile of rows:
                kernel 0 reads b2; writes b3; 6144 iterations, parallel
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
            inputs b0, b1, b2; outputs b8
            step 0: dot_general reads b0, b1; writes b3; epilogue for each tile of rows:
                kernel 0 reads b3, b5; writes b5, b7; 128 iterations, parallel
            step 1: dot_general reads b7, b2; writes b8
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
            inputs b0, b1, b2; outputs b5
            step 0: convolution reads b0, b1; writes b3; epilogue for each tile of rows:
                kernel 0 reads b3, b2; writes b5; 8 iterations, parallel
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
            inputs b0; outputs b3
            step 0: kernel 0 reads b0; writes b1; 7200 iterations, parallel
            step 1: reduce_window reads b1; writes b2
            step 2: kernel 1 reads b2; writes b3; 1800 iterations, parallel
        "#]],
    )
    .has_steps(3)
    .has_kernels(2);
}
