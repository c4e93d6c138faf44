//! Gather, scatter, concatenate, pad, slices at run time.

use super::{check, check_plan};
use expect_test::expect;

/// Rows of an embedding, scaled: the table is read in the loop over the results.
#[test]
fn a_gather_is_read_where_it_is_used() {
    check(
        "graph(%0: f32[1000, 40], %1: i32[300, 1], %2: f32[300, 40]) {
          %3: f32[300, 40] = gather[offset_dims=[1], collapsed=[0], operand_batch=[],
            indices_batch=[], index_map=[0], sizes=[1, 40], mode=clip](%0, %1)
          %4: f32[300, 40] = multiply(%3, %2)
          return %4
        }",
        expect![[r#"
            b0: f32[1000, 40] = %0 (an input)
            b1: i32[300, 1] = %1 (an input)
            b2: f32[300, 40] = %2 (an input)
            b3: f32[300, 40] = %4 (multiply)
            inputs b0, b1, b2; outputs b3
            step 0: kernel 0 reads b1, b0, b2; writes b3; 300 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

/// The position of an element is found at run time: a table that is computed must be complete.
#[test]
fn the_operand_of_a_gather_is_written_first() {
    check(
        "graph(%0: f32[1000, 40], %1: i32[300, 1]) {
          %2: f32[1000, 40] = negate(%0)
          %3: f32[300, 40] = gather[offset_dims=[1], collapsed=[0], operand_batch=[],
            indices_batch=[], index_map=[0], sizes=[1, 40], mode=clip](%2, %1)
          return %3
        }",
        expect![[r#"
            b0: f32[1000, 40] = %0 (an input)
            b1: i32[300, 1] = %1 (an input)
            b2: f32[1000, 40] = %2 (negate)
            b3: f32[300, 40] = %3 (gather)
            inputs b0, b1; outputs b3
            step 0: kernel 0 reads b0; writes b2; 40000 iterations, parallel
            step 1: kernel 1 reads b1, b2; writes b3; 300 iterations, parallel
            step 0 and step 1 were not fused: the iteration spaces [1000, 40] and [300, 40]
                differ
              first: %2 (negate)
              second: %3 (gather)
        "#]],
    )
    .has_steps(2);
}

#[test]
fn a_dynamic_slice_is_read_where_it_is_used() {
    check(
        "graph(%0: f32[1000], %1: i32[1]) {
          %2: f32[100] = dynamic_slice[sizes=[100]](%0, %1)
          %3: f32[100] = sqrt(%2)
          return %3
        }",
        expect![[r#"
            b0: f32[1000] = %0 (an input)
            b1: i32[1] = %1 (an input)
            b2: f32[100] = %3 (sqrt)
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b1, b0; writes b2; 100 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

/// The loop that adds the updates computes them. The copy is skipped at run time if the result has
/// taken over the memory of the operand.
#[test]
fn a_scatter_is_a_copy_and_an_ordered_kernel() {
    check(
        "graph(%0: f32[1000, 40], %1: i32[300, 1], %2: f32[300, 40]) {
          %3: f32[300, 40] = negate(%2)
          %4: f32[1000, 40] = scatter[kind=add, window_dims=[1], inserted=[0],
            operand_batch=[], indices_batch=[], index_map=[0], mode=drop, unique=false](%0, %1, %3)
          return %4
        }",
        expect![[r#"
            b0: f32[1000, 40] = %0 (an input)
            b1: i32[300, 1] = %1 (an input)
            b2: f32[300, 40] = %2 (an input)
            b3: f32[1000, 40] = %4 (scatter)
            inputs b0, b1, b2; outputs b3
            step 0: copy b0 to b3, unless they share memory
            step 1: kernel 0 reads b1, b3, b2; writes b3; 300 iterations, sequential
        "#]],
    )
    .has_steps(2)
    .has_kernels(1);
}

#[test]
fn a_concatenate_is_a_kernel_for_each_operand() {
    check(
        "graph(%0: f32[100, 40], %1: f32[200, 40]) {
          %2: f32[100, 40] = negate(%0)
          %3: f32[300, 40] = concatenate[axis=0](%2, %1)
          return %3
        }",
        expect![[r#"
            b0: f32[100, 40] = %0 (an input)
            b1: f32[200, 40] = %1 (an input)
            b2: f32[300, 40] = %3 (concatenate)
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b0; writes b2; 4000 iterations, parallel
            step 1: kernel 1 reads b1; writes b2; 8000 iterations, parallel
        "#]],
    )
    .has_steps(2)
    .has_block(0);
}

/// Sine and cosine of the same angles: one loop reads an angle and writes to both halves.
#[test]
fn operands_of_a_concatenate_that_share_loads_share_a_loop() {
    check(
        "graph(%0: f32[300, 20]) {
          %1: f32[300, 20] = sine(%0)
          %2: f32[300, 20] = cosine(%0)
          %3: f32[300, 40] = concatenate[axis=1](%1, %2)
          return %3
        }",
        expect![[r#"
            b0: f32[300, 20] = %0 (an input)
            b1: f32[300, 40] = %3 (concatenate)
            inputs b0; outputs b1
            step 0: kernel 0 reads b0; writes b1; 300 iterations, parallel
        "#]],
    )
    .has_steps(1);
}

#[test]
fn a_pad_fills_first_and_writes_its_operand_inside() {
    check(
        "graph(%0: f32[30, 30], %1: f32[]) {
          %2: f32[30, 30] = sqrt(%0)
          %3: f32[32, 32] = pad[low=[1, 1], high=[1, 1], interior=[0, 0]](%2, %1)
          return %3
        }",
        expect![[r#"
            b0: f32[30, 30] = %0 (an input)
            b1: f32[] = %1 (an input)
            b2: f32[32, 32] = %3 (pad)
            inputs b0, b1; outputs b2
            step 0: kernel 0 reads b1; writes b2; 1024 iterations, parallel
            step 1: kernel 1 reads b0; writes b2; 30 iterations, parallel
        "#]],
    )
    .has_steps(2);
}

/// The last use of the operand: its memory becomes the result's, and only the window is written.
#[test]
fn an_update_of_a_temporary_is_in_place() {
    check_plan(
        "graph(%0: f32[1000], %1: f32[100], %2: i32[1]) {
          %3: f32[1000] = sqrt(%0)
          %4: f32[1000] = dynamic_update_slice(%3, %1, %2)
          return %4
        }",
        expect![[r#"
            b0: f32[1000], in input 0
            b1: f32[100], in input 1
            b2: i32[1], in input 2
            b3: f32[1000], in output 0
            b4: f32[1000], in output 0
            output 0 may reuse input 0, if it is donated
            block of 0 bytes
        "#]],
    )
    .has_steps(3)
    .has_block(0);
}

/// The operand is a result, too: it stays as it is, and the update works on a copy.
#[test]
fn an_update_of_a_value_that_is_still_needed_is_a_copy() {
    check_plan(
        "graph(%0: f32[1000], %1: f32[100], %2: i32[1]) {
          %3: f32[1000] = sqrt(%0)
          %4: f32[1000] = dynamic_update_slice(%3, %1, %2)
          return %3, %4
        }",
        expect![[r#"
            b0: f32[1000], in input 0
            b1: f32[100], in input 1
            b2: i32[1], in input 2
            b3: f32[1000], in output 0
            b4: f32[1000], in output 1
            output 0 may reuse input 0, if it is donated
            block of 0 bytes
        "#]],
    )
    .has_steps(3);
}

#[test]
fn a_sort_is_a_step_with_maps_around_it() {
    check(
        "graph(%0: f32[300]) {
          %1: f32[300] = negate(%0)
          %2: f32[300] = sort[axis=0, keys=1](%1)
          %3: f32[300] = negate(%2)
          return %3
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (negate)
            b2: f32[300] = %2 (sort)
            b3: f32[300] = %3 (negate)
            inputs b0; outputs b3
            step 0: kernel 0 reads b0; writes b1; 300 iterations, parallel
            step 1: sort reads b1; writes b2
            step 2: kernel 1 reads b2; writes b3; 300 iterations, parallel
        "#]],
    )
    .has_steps(3)
    .has_kernels(2);
}

/// Its operands are stored: the product of the values is not fused into it.
#[test]
fn a_sparse_product_is_a_step() {
    check(
        "graph(%0: f32[300], %1: i32[300], %2: i32[300], %3: f32[50, 8]) {
          %4: f32[300] = multiply(%0, %0)
          %5: f32[40, 8] = sparse_dot[rows=40](%4, %1, %2, %3)
          return %5
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: i32[300] = %1 (an input)
            b2: i32[300] = %2 (an input)
            b3: f32[50, 8] = %3 (an input)
            b4: f32[300] = %4 (multiply)
            b5: f32[40, 8] = %5 (sparse_dot)
            inputs b0, b1, b2, b3; outputs b5
            step 0: kernel 0 reads b0; writes b4; 300 iterations, parallel
            step 1: sparse_dot reads b4, b1, b2, b3; writes b5
        "#]],
    )
    .has_steps(2)
    .has_kernels(1);
}

/// Ops and dtypes that kernels do not know go to the reference interpreter, one step each.
#[test]
fn an_op_without_a_kernel_is_a_fallback_step() {
    check(
        "graph(%0: c128[300]) {
          %1: c128[300] = multiply(%0, %0)
          %2: c128[300] = add(%1, %0)
          return %2
        }",
        expect![[r#"
            b0: c128[300] = %0 (an input)
            b1: c128[300] = %1 (multiply)
            b2: c128[300] = %2 (add)
            inputs b0; outputs b2
            step 0: multiply reads b0, b0; writes b1
            step 1: add reads b1, b0; writes b2
        "#]],
    )
    .has_steps(2)
    .has_kernels(0);
}
