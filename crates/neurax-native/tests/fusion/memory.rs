//! The memory plan: live ranges, steps that work in place, donation of arguments.

use super::check_plan;
use expect_test::expect;

#[test]
fn a_result_may_take_the_memory_of_a_donated_argument() {
    check_plan(
        "graph(%0: f32[300]) {
          %1: f32[300] = sqrt(%0)
          return %1
        }",
        expect![[r#"
            b0: f32[300], in input 0
            b1: f32[300], in output 0
            output 0 may reuse input 0, if it is donated
            block of 0 bytes
        "#]],
    )
    .has_block(0);
}

/// Element `i` of the result needs element `299 - i` of the argument.
#[test]
fn a_reversed_argument_is_not_donated() {
    check_plan(
        "graph(%0: f32[300]) {
          %1: f32[300] = reverse[axes=[0]](%0)
          return %1
        }",
        expect![[r#"
            b0: f32[300], in input 0
            b1: f32[300], in output 0
            block of 0 bytes
        "#]],
    );
}

#[test]
fn an_argument_of_another_type_is_not_donated() {
    check_plan(
        "graph(%0: i32[300]) {
          %1: f32[300] = convert[dtype=f32](%0)
          return %1
        }",
        expect![[r#"
            b0: i32[300], in input 0
            b1: f32[300], in output 0
            block of 0 bytes
        "#]],
    );
}

/// A training step: each parameter and moment takes over the buffer of the old one.
#[test]
fn two_results_take_two_arguments() {
    check_plan(
        "graph(%0: f32[300], %1: f32[300], %2: f32[300]) {
          %3: f32[300] = add(%1, %2)
          %4: f32[300] = subtract(%0, %3)
          return %4, %3
        }",
        expect![[r#"
            b0: f32[300], in input 0
            b1: f32[300], in input 1
            b2: f32[300], in input 2
            b3: f32[300], in output 1
            b4: f32[300], in output 0
            output 0 may reuse input 0, if it is donated
            output 1 may reuse input 1, if it is donated
            block of 0 bytes
        "#]],
    );
}

#[test]
fn an_argument_that_is_returned_is_copied() {
    check_plan(
        "graph(%0: f32[300]) {
          return %0
        }",
        expect![[r#"
            b0: f32[300], in input 0
            output 0 is a copy of b0
            block of 0 bytes
        "#]],
    );
}

#[test]
fn a_value_that_is_returned_twice_is_written_once() {
    check_plan(
        "graph(%0: f32[300]) {
          %1: f32[300] = sqrt(%0)
          return %1, %1
        }",
        expect![[r#"
            b0: f32[300], in input 0
            b1: f32[300], in output 0
            output 1 is a copy of b1
            output 0 may reuse input 0, if it is donated
            block of 0 bytes
        "#]],
    )
    .has_steps(1);
}

#[test]
fn a_constant_that_is_returned_is_copied() {
    check_plan(
        "graph() {
          %0: f32[3] = constant[value=f32[3] {1.0, 2.0, 4.0}]()
          return %0
        }",
        expect![[r#"
            b0: f32[3], in constant 0
            output 0 is a copy of b0
            block of 0 bytes
        "#]],
    );
}

/// Each product reads the one before, so that at most two of them are live at any step.
#[test]
fn buffers_whose_live_ranges_are_disjoint_share_memory() {
    check_plan(
        "graph(%0: f32[64, 64]) {
          %1: f32[64, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %0)
          %2: f32[64, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%1, %0)
          %3: f32[64, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%2, %0)
          %4: f32[64, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%3, %0)
          return %4
        }",
        expect![[r#"
            b0: f32[64, 64], in input 0
            b1: f32[64, 64], in the block at byte 0
            b2: f32[64, 64], in the block at byte 16384
            b3: f32[64, 64], in the block at byte 0
            b4: f32[64, 64], in output 0
            block of 32768 bytes
        "#]],
    )
    .has_steps(4)
    .has_block(2 * 64 * 64 * 4);
}

/// Two stages over all elements. The first one writes the tanh, because the second one reads it
/// again, and overwrites it element by element.
#[test]
fn a_stage_writes_its_result_over_an_operand_that_dies() {
    check_plan(
        "graph(%0: f32[300, 40]) {
          %1: f32[300, 40] = tanh(%0)
          %2: f32[] = reduce[kind=sum, axes=[0, 1]](%1)
          %3: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[]](%2)
          %4: f32[300, 40] = subtract(%1, %3)
          return %4
        }",
        expect![[r#"
            b0: f32[300, 40], in input 0
            b1: f32[300, 40], in output 0
            b3: f32[300, 40], in output 0
            output 0 may reuse input 0, if it is donated
            block of 0 bytes
        "#]],
    );
}

/// The product is read after the map that could overwrite it: it has a separate buffer.
#[test]
fn an_operand_that_is_read_later_is_not_overwritten() {
    check_plan(
        "graph(%0: f32[64, 64]) {
          %1: f32[64, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %0)
          %2: f32[64, 64] = sqrt(%1)
          %3: f32[64, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%2, %1)
          return %3
        }",
        expect![[r#"
            b0: f32[64, 64], in input 0
            b1: f32[64, 64], in the block at byte 0
            b2: f32[64, 64], in the block at byte 16384
            b3: f32[64, 64], in output 0
            output 0 may reuse input 0, if it is donated
            block of 32768 bytes
        "#]],
    )
    .has_block(2 * 64 * 64 * 4);
}

#[test]
fn a_graph_without_steps_needs_no_memory() {
    check_plan(
        "graph() { return }",
        expect![[r#"
            block of 0 bytes
        "#]],
    )
    .has_steps(0)
    .has_block(0);
}
