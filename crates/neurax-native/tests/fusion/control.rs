//! The bodies of loops and branches, which are compiled as programs of their own.

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
            takes b0, b1, gives b2, b3
            step 0: scan of b0, b1 to b2, b3
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
                takes b0, b1, gives b2, b3
                step 0: kernel 0 of b0, b1 to b2, b3: 40 times, in any order
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
            b0: f32[40], in argument 0
            b1: f32[300, 40], in argument 1
            b2: f32[40], in result 0
            b3: f32[300, 40], in result 1
            result 0 takes over argument 0, if nobody else holds it
            the block has 0 bytes
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
            b0: f32[40], in argument 0
            b1: f32[300, 40], in argument 1
            b2: f32[40], in result 0
            the block has 192 bytes
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
            takes b0, b1, gives b2, b3
            step 0: while of b0, b1 to b2, b3
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
                takes b0, b1, gives b3
                step 0: kernel 0 of b0 to b3: 1 times, in order
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
                takes b0, b1, gives b3, b4
                step 0: kernel 0 of b0 to b3: 1 times, in order
                step 1: kernel 1 of b1 to b4: 300 times, in any order
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
            takes b0, gives b1
            step 0: kernel 0 of b0 to b1: 300 times, in any order
        "#]],
    )
    .check(
        "case-1/plan",
        expect![[r#"
            b0: f32[300], in argument 0
            result 0 is a copy of b0
            the block has 0 bytes
        "#]],
    )
    .has("case-0/schedule", 1)
    .has("case-1/schedule", 0);
}
