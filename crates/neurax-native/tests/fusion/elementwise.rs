//! Elementwise ops and constants.

use super::{check, check_kernels};
use expect_test::expect;

#[test]
fn a_chain_is_one_kernel() {
    check(
        "graph(%0: f32[300, 40], %1: f32[300, 40]) {
          %2: f32[300, 40] = add(%0, %1)
          %3: f32[300, 40] = sqrt(%2)
          %4: f32[300, 40] = multiply(%3, %0)
          return %4
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[300, 40] = %1 (an input)
            b2: f32[300, 40] = %4 (multiply)
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b0, b1; writes b2; 12000 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_refusals(0);
}

/// Axes that all operands traverse alike are one loop, so that the vectors of a short last axis do
/// not end with a remainder in every row.
#[test]
fn the_axes_of_a_chain_become_one_loop() {
    check_kernels(
        "graph(%0: f32[300, 5], %1: f32[300, 5]) {
          %2: f32[300, 5] = add(%0, %1)
          %3: f32[300, 5] = multiply(%2, %0)
          return %3
        }",
        expect![[r#"
            kernel 0 reads b0, b1; writes b2; 1500 iterations, parallel
            operands b0, b1, b2; parameters [1500]
            kernel [] vectorize inner
              @0: f32 stage 0 [1]
              @1: f32 stage 0 [1]
              @2: f32 stage 0 [1]
              stage [#0]
                %0: f32 = load @0
                %1: f32 = load @1
                %2: f32 = add %0, %1
                %3: f32 = multiply %2, %0
                store @2 %3
        "#]],
    )
    .has_kernels(1);
}

#[test]
fn a_cheap_diamond_is_one_kernel() {
    check(
        "graph(%0: f32[300], %1: f32[300]) {
          %2: f32[300] = add(%0, %1)
          %3: f32[300] = multiply(%2, %0)
          %4: f32[300] = subtract(%2, %1)
          %5: f32[300] = divide(%3, %4)
          return %5
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (an input)
            b2: f32[300] = %5 (divide)
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b0, b1; writes b2; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_refusals(0);
}

/// `tanh` costs more than a load, so its result is a buffer at first. Once both readers are in its
/// kernel, it is a register and never written.
#[test]
fn an_expensive_diamond_is_one_kernel_without_a_buffer() {
    check(
        "graph(%0: f32[300], %1: f32[300]) {
          %2: f32[300] = tanh(%0)
          %3: f32[300] = multiply(%2, %1)
          %4: f32[300] = subtract(%2, %1)
          %5: f32[300] = divide(%3, %4)
          return %5
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (an input)
            b3: f32[300] = %5 (divide)
            inputs b0, b1; outputs b3
            step 0: kernel 0 reads b0, b1; writes b3; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_block(0);
}

#[test]
fn two_results_over_the_same_operand_share_a_kernel() {
    check(
        "graph(%0: f32[300], %1: f32[300]) {
          %2: f32[300] = add(%0, %1)
          %3: f32[300] = multiply(%0, %1)
          return %2, %3
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (an input)
            b2: f32[300] = %2 (add)
            b3: f32[300] = %3 (multiply)
            inputs b0, b1; outputs b2, b3
            step 0: kernel 0 reads b0, b1; writes b2, b3; 300 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

/// A shared loop would gain nothing: there is no load that two steps without a common buffer share.
#[test]
fn steps_without_a_common_buffer_are_not_fused() {
    check(
        "graph(%0: f32[300], %1: f32[300]) {
          %2: f32[300] = sqrt(%0)
          %3: f32[300] = sqrt(%1)
          return %2, %3
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (an input)
            b2: f32[300] = %2 (sqrt)
            b3: f32[300] = %3 (sqrt)
            inputs b0, b1; outputs b2, b3
            step 0: kernel 0 reads b0; writes b2; 300 iterations, parallel
            step 1: kernel 1 reads b1; writes b3; 300 iterations, parallel
        "#]],
    )
    .has_steps(2)
    .has_refusals(0);
}

#[test]
fn a_mask_by_comparison_is_one_kernel() {
    check_kernels(
        "graph(%0: f32[300], %1: f32[300]) {
          %2: bool[300] = compare[direction=LT](%0, %1)
          %3: f32[300] = select(%2, %0, %1)
          return %3
        }",
        expect![[r#"
            kernel 0 reads b0, b1; writes b2; 300 iterations, parallel
            operands b0, b1, b2; parameters [300]
            kernel [] vectorize inner
              @0: f32 stage 0 [1]
              @1: f32 stage 0 [1]
              @2: f32 stage 0 [1]
              stage [#0]
                %0: f32 = load @0
                %1: f32 = load @1
                %2: bool = compare LT %0, %1
                %3: f32 = select %2, %0, %1
                store @2 %3
        "#]],
    )
    .has_steps(1);
}

#[test]
fn a_uniform_constant_and_an_iota_need_no_memory() {
    check(
        "graph(%0: i32[300]) {
          %1: i32[300] = iota[ty=i32[300], axis=0]()
          %2: i32[] = constant[value=i32[] 3]()
          %3: i32[300] = broadcast_in_dim[shape=[300], dims=[]](%2)
          %4: i32[300] = multiply(%1, %3)
          %5: i32[300] = add(%0, %4)
          return %5
        }",
        expect![[r#"
            b0: i32[300] = %0 (an input)
            b2: i32[300] = %5 (add)
            inputs b0; outputs b2
            step 0: kernel 0 reads b0; writes b2; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_block(0);
}

/// Numbers of a program are parameters: another learning rate reuses the machine code. Zero and one
/// are part of the kernel, where instructions may become simpler by them.
#[test]
fn a_number_is_a_parameter_and_zero_is_not() {
    check_kernels(
        "graph(%0: f32[300]) {
          %1: f32[] = constant[value=f32[] 0.5]()
          %2: f32[300] = broadcast_in_dim[shape=[300], dims=[]](%1)
          %3: f32[300] = multiply(%0, %2)
          %4: f32[] = constant[value=f32[] 0.0]()
          %5: f32[300] = broadcast_in_dim[shape=[300], dims=[]](%4)
          %6: f32[300] = maximum(%3, %5)
          return %6
        }",
        expect![[r#"
            kernel 0 reads b0; writes b3; 300 iterations, parallel
            operands b0, b3; parameters [300, 1056964608]
            kernel [] vectorize inner
              @0: f32 stage 0 [1]
              @1: f32 stage 0 [1]
              stage [#0]
                %0: f32 = load @0
                %1: f32 = param #1
                %2: f32 = multiply %0, %1
                %3: f32 = 0x0
                %4: f32 = maximum %2, %3
                store @1 %4
        "#]],
    )
    .has_steps(1);
}

#[test]
fn a_constant_of_many_numbers_is_a_buffer_of_the_program() {
    check(
        "graph(%0: f32[2, 3]) {
          %1: f32[3] = constant[value=f32[3] {1.0, 2.0, 4.0}]()
          %2: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[1]](%1)
          %3: f32[2, 3] = multiply(%0, %2)
          return %3
        }",
        expect![[r#"
            b0: f32[2, 3] = %0 (an input)
            b1: f32[3] = %1 (constant)
            b2: f32[2, 3] = %3 (multiply)
            inputs b0; outputs b2
            step 0: kernel 0 reads b0, b1; writes b2; 2 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

/// Narrow floats are computed in f32 and rounded after every op, so that fusion changes no bit.
#[test]
fn a_chain_of_bf16_is_rounded_after_every_op() {
    check_kernels(
        "graph(%0: bf16[300], %1: bf16[300]) {
          %2: bf16[300] = add(%0, %1)
          %3: bf16[300] = multiply(%2, %0)
          return %3
        }",
        expect![[r#"
            kernel 0 reads b0, b1; writes b2; 300 iterations, parallel
            operands b0, b1, b2; parameters [300]
            kernel [] vectorize inner
              @0: bf16 stage 0 [1]
              @1: bf16 stage 0 [1]
              @2: bf16 stage 0 [1]
              stage [#0]
                %0: bf16 = load @0
                %1: f32 = convert %0
                %2: bf16 = load @1
                %3: f32 = convert %2
                %4: f32 = add %1, %3
                %5: f32 = round bf16 %4
                %6: f32 = multiply %5, %1
                %7: f32 = round bf16 %6
                %8: bf16 = convert %7
                store @2 %8
        "#]],
    )
    .has_steps(1);
}

/// The new parameters and both moments, written in one pass over the parameters.
#[test]
fn adam_is_one_kernel_with_three_results() {
    check(
        "graph(%0: f32[300], %1: f32[300], %2: f32[300], %3: f32[300], %4: f32[]) {
          %5: f32[] = constant[value=f32[] 0.9]()
          %6: f32[300] = broadcast_in_dim[shape=[300], dims=[]](%5)
          %7: f32[300] = subtract(%1, %3)
          %8: f32[300] = multiply(%6, %7)
          %9: f32[300] = add(%3, %8)
          %10: f32[] = constant[value=f32[] 0.999]()
          %11: f32[300] = broadcast_in_dim[shape=[300], dims=[]](%10)
          %12: f32[300] = multiply(%3, %3)
          %13: f32[300] = subtract(%2, %12)
          %14: f32[300] = multiply(%11, %13)
          %15: f32[300] = add(%12, %14)
          %16: f32[300] = sqrt(%15)
          %17: f32[] = constant[value=f32[] 1e-8]()
          %18: f32[300] = broadcast_in_dim[shape=[300], dims=[]](%17)
          %19: f32[300] = add(%16, %18)
          %20: f32[300] = divide(%9, %19)
          %21: f32[300] = broadcast_in_dim[shape=[300], dims=[]](%4)
          %22: f32[300] = multiply(%20, %21)
          %23: f32[300] = subtract(%0, %22)
          return %23, %9, %15
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (an input)
            b2: f32[300] = %2 (an input)
            b3: f32[300] = %3 (an input)
            b4: f32[] = %4 (an input)
            b6: f32[300] = %9 (add)
            b8: f32[300] = %15 (add)
            b10: f32[300] = %23 (subtract)
            inputs b0, b1, b2, b3, b4; outputs b10, b6, b8
            step 0: kernel 0 reads b3, b1, b2, b0, b4; writes b6, b8, b10; 300 iterations,
                parallel
        "#]],
    )
    .has_steps(1)
    .has_refusals(0);
}
