//! The bodies of loops and branches, which are compiled as separate programs.

use super::{check, check_plan, compiled};
use expect_test::expect;

/// A running sum, and its tanh after each element.
const SCAN: &str = "graph(%0: f32[40], %1: f32[300, 40]) {
  %2: f32[40], %3: f32[300, 40] = scan[body=graph(%0: f32[40], %1: f32[40]) {
    %2: f32[40] = add(%0, %1)
    %3: f32[40] = tanh(%2)
    return %2, %3
  }, length=300, reverse=false, consts=0, carries=1](%0, %1)
  return %2, %3
}";

#[test]
fn a_scan_is_one_step() {
    check(
        SCAN,
        expect![[r#"
            b0: f32[40] = %0 (an input)
            b1: f32[300, 40] = %1 (an input)
            b2: f32[40] = %2 (scan)
            b3: f32[300, 40] = %3 (scan)
            inputs b0, b1; outputs b2, b3
            step 0: scan reads b0, b1; writes b2, b3
        "#]],
    )
    .has_steps(1)
    .has_kernels(0);
}

#[test]
fn the_body_of_a_scan_is_one_kernel() {
    compiled(SCAN)
        .check(
            "scan-0/schedule",
            expect![[r#"
                b0: f32[40] = %0 (an input)
                b1: f32[40] = %1 (an input)
                b2: f32[40] = %2 (add)
                b3: f32[40] = %3 (tanh)
                inputs b0, b1; outputs b2, b3
                step 0: kernel 0 reads b0, b1; writes b2, b3; 40 iterations, parallel
            "#]],
        )
        .has("scan-0/schedule", 1);
}

/// The kernel reads each element of the carried sum before it writes it, so that the sum has one
/// buffer for all 300 iterations, the result's.
#[test]
fn a_carried_sum_is_updated_in_place() {
    check_plan(
        SCAN,
        expect![[r#"
            b0: f32[40], in input 0
            b1: f32[300, 40], in input 1
            b2: f32[40], in output 0
            b3: f32[300, 40], in output 1
            output 0 may reuse input 0, if it is donated
            block of 0 bytes
        "#]],
    )
    .has_block(0);
}

/// Element `i` of the next state needs the old element `39 - i`, which would be overwritten: the
/// loop alternates between two buffers.
#[test]
fn a_carried_value_that_is_reversed_has_a_second_buffer() {
    check_plan(
        "graph(%0: f32[40], %1: f32[300, 40]) {
          %2: f32[40] = scan[body=graph(%0: f32[40], %1: f32[40]) {
            %2: f32[40] = reverse[axes=[0]](%0)
            %3: f32[40] = add(%2, %1)
            return %3
          }, length=300, reverse=false, consts=0, carries=1](%0, %1)
          return %2
        }",
        expect![[r#"
            b0: f32[40], in input 0
            b1: f32[300, 40], in input 1
            b2: f32[40], in output 0
            block of 192 bytes
        "#]],
    )
    .has_block(192);
}

/// A counter and a vector that grows while the counter is below ten.
const WHILE: &str = "graph(%0: i32[], %1: f32[300]) {
  %2: i32[], %3: f32[300] = while[cond=graph(%0: i32[], %1: f32[300]) {
    %2: i32[] = constant[value=i32[] 10]()
    %3: bool[] = compare[direction=LT](%0, %2)
    return %3
  }, body=graph(%0: i32[], %1: f32[300]) {
    %2: i32[] = constant[value=i32[] 1]()
    %3: i32[] = add(%0, %2)
    %4: f32[300] = sqrt(%1)
    %5: f32[300] = add(%4, %1)
    return %3, %5
  }, cond_consts=0, body_consts=0](%0, %1)
  return %2, %3
}";

#[test]
fn a_while_is_one_step() {
    check(
        WHILE,
        expect![[r#"
            b0: i32[] = %0 (an input)
            b1: f32[300] = %1 (an input)
            b2: i32[] = %2 (while)
            b3: f32[300] = %3 (while)
            inputs b0, b1; outputs b2, b3
            step 0: while reads b0, b1; writes b2, b3
        "#]],
    )
    .has_steps(1);
}

/// The body has more constants than the condition has inputs.
const WHILE_WITH_CONSTANTS: &str = "graph(%0: f32[], %1: f32[], %2: f32[]) {
  %3: f32[] = while[cond=graph(%0: f32[]) {
    %1: f32[] = constant[value=f32[] 5.0]()
    %2: bool[] = compare[direction=LT](%0, %1)
    return %2
  }, body=graph(%0: f32[], %1: f32[], %2: f32[]) {
    %3: f32[] = multiply(%0, %2)
    %4: f32[] = add(%3, %1)
    return %4
  }, cond_consts=0, body_consts=2](%0, %1, %2)
  return %3
}";

#[test]
fn a_body_may_have_more_constants_than_the_condition_has_inputs() {
    check(
        WHILE_WITH_CONSTANTS,
        expect![[r#"
        b0: f32[] = %0 (an input)
        b1: f32[] = %1 (an input)
        b2: f32[] = %2 (an input)
        b3: f32[] = %3 (while)
        inputs b0, b1, b2; outputs b3
        step 0: while reads b0, b1, b2; writes b3
    "#]],
    )
    .has_steps(1);
}

#[test]
fn the_condition_of_a_while_is_one_kernel() {
    compiled(WHILE)
        .check(
            "while-0/schedule",
            expect![[r#"
                b0: i32[] = %0 (an input)
                b1: f32[300] = %1 (an input)
                b3: bool[] = %3 (compare)
                inputs b0, b1; outputs b3
                step 0: kernel 0 reads b0; writes b3; 1 iterations, sequential
            "#]],
        )
        .has("while-0/schedule", 1);
}

#[test]
fn the_body_of_a_while_has_a_kernel_for_each_carried_value() {
    compiled(WHILE)
        .check(
            "while-1/schedule",
            expect![[r#"
                b0: i32[] = %0 (an input)
                b1: f32[300] = %1 (an input)
                b3: i32[] = %3 (add)
                b4: f32[300] = %5 (add)
                inputs b0, b1; outputs b3, b4
                step 0: kernel 0 reads b0; writes b3; 1 iterations, sequential
                step 1: kernel 1 reads b1; writes b4; 300 iterations, parallel
            "#]],
        )
        .has("while-1/schedule", 2);
}

#[test]
fn the_branches_of_a_case_are_programs_of_their_own() {
    compiled(
        "graph(%0: i32[], %1: f32[300]) {
          %2: f32[300] = case[branches=[graph(%0: f32[300]) {
            %1: f32[300] = sqrt(%0)
            return %1
          }, graph(%0: f32[300]) {
            return %0
          }]](%0, %1)
          return %2
        }",
    )
    .has_steps(1)
    .check(
        "case-0/schedule",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (sqrt)
            inputs b0; outputs b1
            step 0: kernel 0 reads b0; writes b1; 300 iterations, parallel
        "#]],
    )
    .check(
        "case-1/plan",
        expect![[r#"
            b0: f32[300], in input 0
            output 0 is a copy of b0
            block of 0 bytes
        "#]],
    )
    .has("case-0/schedule", 1)
    .has("case-1/schedule", 0);
}
