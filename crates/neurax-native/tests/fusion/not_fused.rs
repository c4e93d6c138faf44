//! One graph for each reason why two steps that share data stay two steps.
//!
//! Four refusals in the code have no case, because no graph reaches them:
//!
//! - an operand of a gather or dynamic slice that is not in memory (`fetch.rs`): `Analysis` stores
//!   the first operand of each,
//! - an operand of a scatter or update that is not in memory (`groups.rs`): likewise,
//! - a constant of different numbers without a buffer (`expr_graph.rs`): `Analysis` gives each
//!   constant a buffer,
//! - a value that no equation computes (`expr_graph.rs`): the only ones are the inputs of the
//!   graph, which have buffers.

use super::check;
use expect_test::expect;
use std::fmt::Write;

#[test]
fn reductions_over_different_axes_have_different_loops() {
    check(
        "graph(%0: f32[300, 40]) {
          %1: f32[300] = reduce[kind=sum, axes=[1]](%0)
          %2: f32[40] = reduce[kind=sum, axes=[0]](%0)
          return %1, %2
        }",
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b1: f32[300] = %1 (reduce)
            b2: f32[40] = %2 (reduce)
            inputs b0; outputs b1, b2
            step 0: kernel 0 reads b0; writes b1; 300 iterations, parallel
            step 1: kernel 1 reads b0; writes b2; 40 iterations, parallel
            step 0 and step 1 were not fused: the iteration spaces [300, (40)] and [(300),
                40] differ
              first: %1 (reduce)
              second: %2 (reduce)
        "#]],
    )
    .has_steps(2)
    .has_refusals(1);
}

/// The reversed reader needs the last element first.
#[test]
fn a_value_read_at_another_index_than_it_is_computed() {
    check(
        "graph(%0: f32[300]) {
          %1: f32[300] = tanh(%0)
          %2: f32[300] = reverse[axes=[0]](%1)
          %3: f32[300] = multiply(%1, %2)
          return %3
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (tanh)
            b2: f32[300] = %3 (multiply)
            inputs b0; outputs b2
            step 0: kernel 0 reads b0; writes b1; 300 iterations, parallel
            step 1: kernel 1 reads b1; writes b2; 300 iterations, parallel
            step 0 and step 1 were not fused: %1 (tanh) is read at a different index than it
                is produced
              first: %1 (tanh)
              second: %3 (multiply)
        "#]],
    )
    .has_steps(2)
    .has_refusals(1);
}

/// One reader splits the loop over 24 elements into 4 and 6, the other one needs 3 and 8, and no
/// split serves both.
#[test]
fn a_reshape_that_no_split_of_the_loops_serves() {
    check(
        "graph(%0: f32[4, 6], %1: f32[3, 8], %2: f32[24]) {
          %3: f32[6, 4] = transpose[permutation=[1, 0]](%0)
          %4: f32[24] = reshape[shape=[24]](%3)
          %5: f32[24] = add(%4, %2)
          %6: f32[8, 3] = transpose[permutation=[1, 0]](%1)
          %7: f32[24] = reshape[shape=[24]](%6)
          %8: f32[24] = add(%7, %2)
          return %5, %8
        }",
        expect![[r#"
            b0: f32[4, 6] = %0 (an input)
            b1: f32[3, 8] = %1 (an input)
            b2: f32[24] = %2 (an input)
            b3: f32[24] = %5 (add)
            b4: f32[24] = %8 (add)
            inputs b0, b1, b2; outputs b3, b4
            step 0: kernel 0 reads b0, b2; writes b3; 6 iterations, parallel
            step 1: kernel 1 reads b1, b2; writes b4; 8 iterations, parallel
            step 0 and step 1 were not fused: %6 (transpose) would have to be stored first
              first: %5 (add)
              second: %8 (add)
        "#]],
    )
    .has_steps(2)
    .has_refusals(1);
}

#[test]
fn a_kernel_with_too_many_results() {
    let mut text = "graph(%0: f32[300]) {\n".to_string();
    for i in 1..=17 {
        let op = if i == 1 { "negate(%0)".into() } else { format!("add(%0, %{})", i - 1) };
        writeln!(text, "%{i}: f32[300] = {op}").unwrap();
    }
    let results: Vec<String> = (1..=17).map(|i| format!("%{i}")).collect();
    write!(text, "return {}\n}}", results.join(", ")).unwrap();
    super::compiled(&text)
        .check_refusals(expect![[r#"
            step 0 and step 1 were not fused: the kernel would have more than 16 outputs
        "#]])
        .has_steps(2)
        .has_refusals(1);
}

/// 350 sums and 350 products, each of the one before.
#[test]
fn a_kernel_with_too_many_instructions() {
    let mut text = "graph(%0: f32[300], %1: f32[300]) {\n".to_string();
    for i in 2..=701 {
        let first = if i == 2 || i == 352 { 0 } else { i - 1 };
        let op = if i < 352 { "add" } else { "multiply" };
        writeln!(text, "%{i}: f32[300] = {op}(%{first}, %1)").unwrap();
    }
    text += "return %351, %701\n}";
    super::compiled(&text)
        .check_refusals(expect![[r#"
            step 0 and step 1 were not fused: the kernel would have more than 600
                instructions
        "#]])
        .has_steps(2)
        .has_refusals(1);
}

/// The sum and the fill of the pad read the same scalar. The whole buffer is filled before the
/// operand is written into it.
#[test]
fn a_step_that_fills_a_buffer_for_another_one() {
    check(
        "graph(%0: f32[30, 30], %1: f32[], %2: f32[32, 32]) {
          %3: f32[32, 32] = broadcast_in_dim[shape=[32, 32], dims=[]](%1)
          %4: f32[32, 32] = add(%3, %2)
          %5: f32[32, 32] = pad[low=[1, 1], high=[1, 1], interior=[0, 0]](%0, %1)
          return %4, %5
        }",
        expect![[r#"
            b0: f32[30, 30] = %0 (an input)
            b1: f32[] = %1 (an input)
            b2: f32[32, 32] = %2 (an input)
            b3: f32[32, 32] = %4 (add)
            b4: f32[32, 32] = %5 (pad)
            inputs b0, b1, b2; outputs b3, b4
            step 0: kernel 0 reads b1, b2; writes b3; 1024 iterations, parallel
            step 1: kernel 1 reads b1; writes b4; 1024 iterations, parallel
            step 2: kernel 2 reads b0; writes b4; 30 iterations, parallel
            step 0 and step 1 were not fused: one fills a buffer that another step writes
                parts of
              first: %4 (add)
              second: %5 (pad)
        "#]],
    )
    .has_steps(3)
    .has_refusals(1);
}

/// Elements of a scatter are read, changed and written in order.
#[test]
fn a_step_that_writes_at_indices_found_at_run_time() {
    check(
        "graph(%0: f32[1000], %1: i32[300, 1], %2: f32[300]) {
          %3: f32[300] = tanh(%2)
          %4: f32[1000] = scatter[kind=add, window_dims=[], inserted=[0],
            operand_batch=[], indices_batch=[], index_map=[0], mode=drop, unique=false](%0, %1, %3)
          return %4, %3
        }",
        expect![[r#"
            b0: f32[1000] = %0 (an input)
            b1: i32[300, 1] = %1 (an input)
            b2: f32[300] = %2 (an input)
            b3: f32[300] = %3 (tanh)
            b4: f32[1000] = %4 (scatter)
            inputs b0, b1, b2; outputs b4, b3
            step 0: kernel 0 reads b2; writes b3; 300 iterations, parallel
            step 1: copy b0 to b4, unless they share memory
            step 2: kernel 1 reads b1, b4, b3; writes b4; 300 iterations, sequential
            step 0 and step 2 were not fused: one writes at an offset found at run time
              first: %3 (tanh)
              second: %4 (scatter)
        "#]],
    )
    .has_steps(3)
    .has_refusals(1);
}

/// 2 MiB, of which the loop over columns would touch one cache line for each element.
#[test]
fn a_large_array_written_along_the_columns_of_a_reduction() {
    check(
        "graph(%0: f32[256, 2048]) {
          %1: f32[256, 2048] = tanh(%0)
          %2: f32[2048] = reduce[kind=max, axes=[0]](%1)
          return %1, %2
        }",
        expect![[r#"
            b0: f32[256, 2048] = %0 (an input)
            b1: f32[256, 2048] = %1 (tanh)
            b2: f32[2048] = %2 (reduce)
            inputs b0; outputs b1, b2
            step 0: kernel 0 reads b0; writes b1; 524288 iterations, parallel
            step 1: kernel 1 reads b1; writes b2; 2048 iterations, parallel
            step 0 and step 1 were not fused: a large array would be written along the
                columns of a reduction
              first: %1 (tanh)
              second: %2 (reduce)
        "#]],
    )
    .has_steps(2)
    .has_refusals(1);
}

/// The slice begins in the first operand and ends in the second one, which a fused loop would not
/// have written yet.
#[test]
fn a_slice_of_a_concatenate_across_its_operands() {
    check(
        "graph(%0: f32[300], %1: f32[300]) {
          %2: f32[600] = concatenate[axis=0](%0, %1)
          %3: f32[300] = slice[start=[150], limit=[450], stride=[1]](%2)
          %4: f32[300] = tanh(%3)
          return %2, %4
        }",
        expect![[r#"
            b0: f32[300] = %0 (an input)
            b1: f32[300] = %1 (an input)
            b2: f32[600] = %2 (concatenate)
            b3: f32[300] = %4 (tanh)
            inputs b0, b1; outputs b2, b3
            step 0: kernel 0 reads b0; writes b2; 300 iterations, parallel
            step 1: kernel 1 reads b1; writes b2; 300 iterations, parallel
            step 2: kernel 2 reads b2; writes b3; 300 iterations, parallel
            step 1 and step 2 were not fused: it would read elements of a buffer before they
                are written
              first: %2 (concatenate)
              second: %4 (tanh)
        "#]],
    )
    .has_steps(3)
    .has_refusals(1);
}

/// Four sums, each of what the one before leaves of a row: five loops over the row.
#[test]
fn a_kernel_with_too_many_loops_in_sequence() {
    let mut text = "graph(%0: f32[300, 40]) {\n".to_string();
    for i in 0..4 {
        let [x, sum, row, y] = [3 * i, 3 * i + 1, 3 * i + 2, 3 * i + 3];
        writeln!(
            text,
            "%{sum}: f32[300] = reduce[kind=max, axes=[1]](%{x})
             %{row}: f32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[0]](%{sum})
             %{y}: f32[300, 40] = subtract(%{x}, %{row})"
        )
        .unwrap();
    }
    text += "return %12\n}";
    check(
        &text,
        expect![[r#"
            b0: f32[300, 40] = %0 (an input)
            b4: f32[300, 40] = %9 (subtract)
            b5: f32[300] = %10 (reduce)
            b6: f32[300, 40] = %12 (subtract)
            inputs b0; outputs b6
            step 0: kernel 0 reads b0; writes b4, b5; 300 iterations, parallel
            step 1: kernel 1 reads b4, b5; writes b6; 300 iterations, parallel
            step 0 and step 1 were not fused: the kernel would have more than 3 reductions
                after one another
              first: %1 (reduce), %4 (reduce), %7 (reduce), %9 (subtract), %10 (reduce)
              second: %12 (subtract)
        "#]],
    )
    .has_steps(2)
    .has_refusals(1);
}

/// The difference reads the tanh, and the sorted tanh, which is complete only at the end.
#[test]
fn two_kernels_with_a_step_between_them() {
    check(
        "graph(%0: f32[64, 64]) {
          %1: f32[64, 64] = tanh(%0)
          %2: f32[64, 64] = sort[axis=1, keys=1](%1)
          %3: f32[64, 64] = subtract(%1, %2)
          return %3
        }",
        expect![[r#"
            b0: f32[64, 64] = %0 (an input)
            b1: f32[64, 64] = %1 (tanh)
            b2: f32[64, 64] = %2 (sort)
            b3: f32[64, 64] = %3 (subtract)
            inputs b0; outputs b3
            step 0: kernel 0 reads b0; writes b1; 4096 iterations, parallel
            step 1: sort reads b1; writes b2
            step 2: kernel 1 reads b1, b2; writes b3; 4096 iterations, parallel
            step 0 and step 2 were not fused: another step must run between them
              first: %1 (tanh)
              second: %3 (subtract)
        "#]],
    )
    .has_steps(3)
    .has_refusals(1);
}

#[test]
fn an_epilogue_that_does_not_read_the_product_by_rows() {
    check(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %3: f32[32] = reduce[kind=sum, axes=[0]](%2)
          return %3
        }",
        expect![[r#"
            b0: f32[64, 128] = %0 (an input)
            b1: f32[128, 32] = %1 (an input)
            b2: f32[64, 32] = %3 (dot_general)
            b3: f32[32] = %4 (reduce)
            inputs b0, b1; outputs b3
            step 0: dot_general reads b0, b1; writes b2
            step 1: kernel 0 reads b2; writes b3; 32 iterations, parallel
            step 0 and step 1 were not fused: the second does not read the result of the
                product row by row
              first: %3 (dot_general)
              second: %4 (reduce)
        "#]],
    )
    .has_steps(2)
    .has_refusals(1);
}

/// The map reads the product, and the sorted product, which is complete only at the end.
#[test]
fn an_epilogue_after_another_step_that_needs_the_product() {
    check(
        "graph(%0: f32[64, 64]) {
          %1: f32[64, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %0)
          %2: f32[64, 64] = sort[axis=1, keys=1](%1)
          %3: f32[64, 64] = subtract(%1, %2)
          return %3
        }",
        expect![[r#"
            b0: f32[64, 64] = %0 (an input)
            b1: f32[64, 64] = %2 (dot_general)
            b2: f32[64, 64] = %3 (sort)
            b3: f32[64, 64] = %4 (subtract)
            inputs b0; outputs b3
            step 0: dot_general reads b0, b0; writes b1
            step 1: sort reads b1; writes b2
            step 2: kernel 0 reads b1, b2; writes b3; 4096 iterations, parallel
            step 0 and step 2 were not fused: another step must run between them
              first: %2 (dot_general)
              second: %4 (subtract)
        "#]],
    )
    .has_steps(3)
    .has_refusals(1);
}

#[test]
fn an_epilogue_that_writes_at_indices_found_at_run_time() {
    check(
        "graph(%0: f32[64, 64], %1: f32[1000, 64], %2: i32[64, 1]) {
          %3: f32[64, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %0)
          %4: f32[1000, 64] = scatter[kind=add, window_dims=[1], inserted=[0],
            operand_batch=[], indices_batch=[], index_map=[0], mode=drop, unique=false](%1, %2, %3)
          return %4
        }",
        expect![[r#"
            b0: f32[64, 64] = %0 (an input)
            b1: f32[1000, 64] = %1 (an input)
            b2: i32[64, 1] = %2 (an input)
            b3: f32[64, 64] = %4 (dot_general)
            b4: f32[1000, 64] = %5 (scatter)
            inputs b0, b1, b2; outputs b4
            step 0: dot_general reads b0, b0; writes b3
            step 1: copy b1 to b4, unless they share memory
            step 2: kernel 0 reads b2, b4, b3; writes b4; 64 iterations, sequential
            step 0 and step 2 were not fused: one writes at an offset found at run time
              first: %4 (dot_general)
              second: %5 (scatter)
        "#]],
    )
    .has_steps(3)
    .has_refusals(1);
}
