//! Reductions before, after and beside elementwise ops.

use super::{Compiled, check, check_kernels};
use expect_test::expect;
use neurax_ir::{Builder, DType, Graph, Type, transform};

#[test]
fn a_reduction_takes_the_map_before_it() {
    check(
        "graph(%0: f32[300, 40], %1: f32[300, 40]) {
          %2: f32[300, 40] = multiply(%0, %1)
          %3: f32[300] = reduce[kind=sum, axes=[1]](%2)
          return %3
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[300, 40] = %1 (an input)
            b2: f32[300] = %3 (reduce)
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b0, b1; writes b2; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_block(0);
}

#[test]
fn a_reduction_takes_the_map_after_it() {
    check(
        "graph(%0: f32[300, 40]) {
          %1: f32[300] = reduce[kind=sum, axes=[1]](%0)
          %2: f32[300] = sqrt(%1)
          return %2
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b2: f32[300] = %2 (sqrt)
            inputs b0; outputs b2
            step 0: kernel 0 reads b0; writes b2; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_block(0);
}

/// The accumulator of one stage is a scalar of the next one, which loops over the row again.
#[test]
fn a_row_minus_its_sum_is_one_kernel_of_two_stages() {
    check_kernels(
        "graph(%0: f32[300, 40]) {
          %1: f32[300] = reduce[kind=sum, axes=[1]](%0)
          %2: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[0]](%1)
          %3: f32[300, 40] = subtract(%0, %2)
          return %3
        }",
        expect![[r#"
            kernel 0 reads b0; writes b2; 300 iterations, parallel
            operands b0, b0, b2; parameters [300, 40, 160]
            kernel [#0] vectorize inner
              @0: f32 stage 0 [#2, 1]
              @1: f32 stage 1 [#2, 1]
              @2: f32 stage 1 [#2, 1]
              stage [#1]
                %0: f32 = load @0
                accumulate 0: sum %0
              stage [#1]
                %0: f32 = load @1
                %1: f32 = accumulator 0.0
                %2: f32 = subtract %0, %1
                store @2 %2
        "#]],
    )
    .has_steps(1)
    .has_block(0);
}

#[test]
fn sibling_reductions_share_a_loop() {
    check_kernels(
        "graph(%0: f32[300, 40]) {
          %1: f32[300] = reduce[kind=sum, axes=[1]](%0)
          %2: f32[300] = reduce[kind=max, axes=[1]](%0)
          return %1, %2
        }",
        expect![[r#"
            kernel 0 reads b0; writes b1, b2; 300 iterations, parallel
            operands b0, b1, b2; parameters [300, 40, 160, 4]
            kernel [#0] vectorize inner
              @0: f32 stage 0 [#2, 1]
              @1: f32 stage 1 [#3]
              @2: f32 stage 1 [#3]
              stage [#1]
                %0: f32 = load @0
                accumulate 0: sum %0
                accumulate 1: max %0
              stage []
                %0: f32 = accumulator 0.0
                %1: f32 = accumulator 0.1
                store @1 %0
                store @2 %1
        "#]],
    )
    .has_steps(1);
}

/// Vectors run along the rows that stay: all accesses are contiguous there.
#[test]
fn a_reduction_over_columns_is_vectorized_over_what_stays() {
    check_kernels(
        "graph(%0: f32[40, 300]) {
          %1: f32[300] = reduce[kind=sum, axes=[0]](%0)
          return %1
        }",
        expect![[r#"
            kernel 0 reads b0; writes b1; 300 iterations, parallel
            operands b0, b1; parameters [300, 40, 1200]
            kernel [#0] vectorize outer
              @0: f32 stage 0 [1, #2]
              @1: f32 stage 1 [1]
              stage [#1]
                %0: f32 = load @0
                accumulate 0: sum %0
              stage []
                %0: f32 = accumulator 0.0
                store @1 %0
        "#]],
    )
    .has_steps(1);
}

#[test]
fn a_scalar_reduction_takes_map_and_result() {
    check(
        "graph(%0: f32[300], %1: f32[300]) {
          %2: f32[300] = subtract(%0, %1)
          %3: f32[300] = multiply(%2, %2)
          %4: f32[] = reduce[kind=sum, axes=[0]](%3)
          %5: f32[] = constant[value=f32[] 300.0]()
          %6: f32[] = divide(%4, %5)
          return %6
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (an input)
            b4: f32[] = %6 (divide)
            inputs b0, b1; outputs b4
            step 0: kernel 0 reads b0, b1; writes b4; 1 iterations, sequential
        "#]],
    )
    .has_steps(1)
    .has_block(0);
}

/// A map with a separate result shares the loop of the reduction.
#[test]
fn a_map_that_is_a_result_and_reduced_is_written_by_the_reduction() {
    check(
        "graph(%0: f32[300, 40]) {
          %1: f32[300, 40] = tanh(%0)
          %2: f32[300] = reduce[kind=sum, axes=[1]](%1)
          return %1, %2
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[300, 40] = %1 (tanh)
            b2: f32[300] = %2 (reduce)
            inputs b0; outputs b1, b2
            step 0: kernel 0 reads b0; writes b1, b2; 300 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

/// Maximum, sum of exponentials and quotient: three stages for each row, which is in cache for the
/// second and third one.
#[test]
fn softmax_is_one_kernel_over_rows() {
    check(
        "graph(%0: f32[300, 40]) {
          %1: f32[300, 40] = softmax[axis=1](%0)
          return %1
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b2: f32[300, 40] = %4 (exponential)
            b4: f32[300, 40] = %7 (divide)
            inputs b0; outputs b4
            step 0: kernel 0 reads b0, b2; writes b2, b4; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_refusals(0)
    .has_block(0);
}

#[test]
fn softmax_over_columns_is_one_kernel() {
    check(
        "graph(%0: f32[40, 300]) {
          %1: f32[40, 300] = softmax[axis=0](%0)
          return %1
        }",
        expect![[r#"
            b0: f32[40, 300] = %0 (an input)
            b2: f32[40, 300] = %4 (exponential)
            b4: f32[40, 300] = %7 (divide)
            inputs b0; outputs b4
            step 0: kernel 0 reads b0, b2; writes b2, b4; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_refusals(0);
}

#[test]
fn log_softmax_is_one_kernel_over_rows() {
    check(
        "graph(%0: f32[300, 40]) {
          %1: f32[300, 40] = log_softmax[axis=1](%0)
          return %1
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b4: f32[300, 40] = %8 (subtract)
            inputs b0; outputs b4
            step 0: kernel 0 reads b0; writes b4; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_block(0);
}

/// The loss of every row and their mean: the second reduction is over what the first one leaves.
#[test]
fn cross_entropy_and_its_mean_are_two_steps() {
    check(
        "graph(%0: f32[300, 40], %1: f32[300, 40]) {
          %2: f32[300] = cross_entropy(%0, %1)
          %3: f32[] = reduce[kind=sum, axes=[0]](%2)
          return %3
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[300, 40] = %1 (an input)
            b6: f32[300] = %15 (reduce)
            b7: f32[] = %17 (reduce)
            inputs b0, b1; outputs b7
            step 0: kernel 0 reads b0, b1; writes b6; 300 iterations, parallel
            step 1: kernel 1 reads b6; writes b7; 1 iterations, sequential
            step 0 and step 1 were not fused: the iteration spaces [300, (40)] and [(300)]
                differ
              first: %5 (reduce), %9 (reduce), %10 (log), %15 (reduce)
              second: %17 (reduce)
        "#]],
    )
    .has_steps(2);
}

/// A layer norm over rows of 40 with scale and shift.
const LAYER_NORM: &str = "graph(%0: f32[300, 40], %1: f32[40], %2: f32[40]) {
  %3: f32[300] = reduce[kind=sum, axes=[1]](%0)
  %4: f32[] = constant[value=f32[] 40.0]()
  %5: f32[300] = broadcast_in_dim[shape=[300], dims=[]](%4)
  %6: f32[300] = divide(%3, %5)
  %7: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[0]](%6)
  %8: f32[300, 40] = subtract(%0, %7)
  %9: f32[300, 40] = multiply(%8, %8)
  %10: f32[300] = reduce[kind=sum, axes=[1]](%9)
  %11: f32[300] = divide(%10, %5)
  %12: f32[300] = rsqrt(%11)
  %13: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[0]](%12)
  %14: f32[300, 40] = multiply(%8, %13)
  %15: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[1]](%1)
  %16: f32[300, 40] = multiply(%14, %15)
  %17: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[1]](%2)
  %18: f32[300, 40] = add(%16, %17)
  return %18
}";

#[test]
fn layer_norm_is_one_kernel_over_rows() {
    check(
        LAYER_NORM,
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[40] = %1 (an input)
            b2: f32[40] = %2 (an input)
            b8: f32[300, 40] = %18 (add)
            inputs b0, b1, b2; outputs b8
            step 0: kernel 0 reads b0, b1, b2; writes b8; 300 iterations, parallel
        "#]],
    )
    .has_steps(1)
    .has_refusals(0)
    .has_block(0);
}

/// The gradients by the operand, the scale and the shift; `%3` is the cotangent. The third step is
/// the loss.
#[test]
fn layer_norm_backward_is_a_kernel_over_rows_and_one_over_columns() {
    let forward = Graph::parse(LAYER_NORM).unwrap();
    let mut b = Builder::new();
    let xs = b.inputs(forward.input_types());
    let cotangent = b.input(Type::new(DType::F32, [300, 40]));
    let y = b.inline(&forward, &xs)[0];
    let product = b.mul(y, cotangent);
    let loss = b.sum(product, &[0, 1]);
    let gradient = transform::grad(&b.finish(&[loss]).unwrap(), &[true, true, true, false]);
    Compiled::of(&gradient.unwrap())
        .check(
            "schedule",
            expect![[r#"
                b0: f32[300, 40] = %0 (an input)
                b1: f32[40] = %1 (an input)
                b2: f32[40] = %2 (an input)
                b3: f32[300, 40] = %3 (an input)
                b6: f32[300] = %7 (divide)
                b8: f32[300] = %13 (rsqrt)
                b9: f32[] = %21 (reduce)
                b13: f32[300, 40] = %35 (add)
                b16: f32[300, 40] = %40 (add)
                b17: f32[40] = %42 (reduce)
                b18: f32[40] = %43 (reduce)
                inputs b0, b1, b2, b3; outputs b9, b16, b17, b18
                step 0: kernel 0 reads b0, b3, b1, b13; writes b6, b8, b13, b16; 300 iterations,
                    parallel
                step 1: kernel 1 reads b0, b6, b8, b1, b2, b3; writes b9; 1 iterations,
                    sequential
                step 2: kernel 2 reads b3, b0, b6, b8; writes b17, b18; 40 iterations, parallel
                step 0 and step 1 were not fused: the iteration spaces [(300), (40)] and [300,
                    (40)] differ
                  first: %21 (reduce)
                  second: %4 (reduce), %7 (divide), %11 (reduce), %13 (rsqrt), %25 (reduce), %31
                      (divide), %35 (add), %37 (reduce), %38 (divide), %40 (add)
                step 0 and step 2 were not fused: the iteration spaces [300, (40)] and [(300),
                    40] differ
                  first: %4 (reduce), %7 (divide), %11 (reduce), %13 (rsqrt), %25 (reduce), %31
                      (divide), %35 (add), %37 (reduce), %38 (divide), %40 (add)
                  second: %42 (reduce), %43 (reduce)
                step 1 and step 2 were not fused: the iteration spaces [(300), (40)] and [(300),
                    40] differ
                  first: %21 (reduce)
                  second: %42 (reduce), %43 (reduce)
            "#]],
        )
        .has_steps(3);
}
