//! Named composites of networks, and their derivatives in closed form.

use super::{Compiled, check};
use expect_test::expect;
use neurax_ir::{Builder, Graph, transform};

/// Compiles a training step of `graph`: from its inputs and the cotangent of its first result, the
/// results and the cotangents of the floating-point inputs.
#[track_caller]
fn compiled_step(graph: &str) -> Compiled {
    let forward = Graph::parse(graph).unwrap();
    let types = forward.input_types();
    let active: Vec<bool> = types.iter().map(|t| t.dtype.is_differentiable()).collect();
    let first: Vec<bool> = (0..forward.outputs().len()).map(|i| i == 0).collect();
    let loss = forward.restricted(&first, &vec![true; types.len()]);
    let vjp = transform::vjp(&loss, &active).unwrap();
    let mut b = Builder::new();
    let xs = b.inputs(types);
    let results = b.inline(&forward, &xs);
    let mut residuals = b.inline(&vjp.primal, &xs);
    let cotangent = b.input(b.ty(residuals[0]).clone());
    residuals.remove(0);
    let cotangents = b.inline(&vjp.backward, &[residuals, vec![cotangent]].concat());
    Compiled::of(&b.finish(&[results, cotangents].concat()).unwrap())
}

const LAYER_NORM: &str = "graph(%0: f32[300, 40], %1: f32[40], %2: f32[40]) {
  %3: f32[300, 40] = layer_norm[epsilon=1e-5, scale=true, bias=true](%0, %1, %2)
  return %3
}";

const RMS_NORM: &str = "graph(%0: f32[300, 40], %1: f32[40]) {
  %2: f32[300, 40] = rms_norm[epsilon=1e-5, scale=true](%0, %1)
  return %2
}";

#[test]
fn layer_norm_is_one_kernel_over_rows() {
    check(
        LAYER_NORM,
        expect![[r#"
        b0: f32[300, 40] = %0 (an input)
        b1: f32[40] = %1 (an input)
        b2: f32[40] = %2 (an input)
        b12: f32[300, 40] = %32 (add)
        inputs b0, b1, b2; outputs b12
        step 0: kernel 0 reads b0, b1, b2; writes b12; 300 iterations, parallel
    "#]],
    )
    .has_steps(1);
}

/// The result and the gradient by the operand are one kernel over rows, those by scale and bias are
/// one over columns.
#[test]
fn layer_norm_and_its_gradient_are_a_kernel_over_rows_and_one_over_columns() {
    compiled_step(LAYER_NORM)
        .check(
            "schedule",
            expect![[r#"
        b0: f32[300, 40] = %0 (an input)
        b1: f32[40] = %1 (an input)
        b2: f32[40] = %2 (an input)
        b3: f32[300, 40] = %3 (an input)
        b13: f32[300, 40] = %29 (multiply)
        b14: f32[300, 40] = %33 (add)
        b19: f32[300, 40] = %45 (multiply)
        b20: f32[40] = %47 (reduce)
        b21: f32[40] = %48 (reduce)
        inputs b0, b1, b2, b3; outputs b14, b19, b20, b21
        step 0: kernel 0 reads b0, b3, b1, b2, b13; writes b13, b14, b19; 300
            iterations, parallel
        step 1: kernel 1 reads b13, b3; writes b20, b21; 40 iterations, parallel
        step 0 and step 1 were not fused: the iteration spaces [300, (40)] and [(300),
            40] differ
          first: %4 (reduce), %7 (divide), %10 (reduce), %11 (divide), %15 (reduce), %27
              (rsqrt), %29 (multiply), %33 (add), %36 (reduce), %37 (divide), %41
              (reduce), %42 (divide), %45 (multiply)
          second: %47 (reduce), %48 (reduce)
    "#]],
        )
        .has_steps(2);
}

#[test]
fn rms_norm_is_one_kernel_over_rows() {
    check(
        RMS_NORM,
        expect![[r#"
        b0: f32[300, 40] = %0 (an input)
        b1: f32[40] = %1 (an input)
        b6: f32[300, 40] = %14 (multiply)
        inputs b0, b1; outputs b6
        step 0: kernel 0 reads b0, b1; writes b6; 300 iterations, parallel
    "#]],
    )
    .has_steps(1);
}

#[test]
fn rms_norm_and_its_gradient_are_a_kernel_over_rows_and_one_over_columns() {
    compiled_step(RMS_NORM)
        .check(
            "schedule",
            expect![[r#"
        b0: f32[300, 40] = %0 (an input)
        b1: f32[40] = %1 (an input)
        b2: f32[300, 40] = %2 (an input)
        b6: f32[300] = %11 (rsqrt)
        b7: f32[300, 40] = %15 (multiply)
        b10: f32[300, 40] = %23 (multiply)
        b11: f32[40] = %25 (reduce)
        inputs b0, b1, b2; outputs b7, b10, b11
        step 0: kernel 0 reads b0, b1, b2; writes b6, b7, b10; 300 iterations, parallel
        step 1: kernel 1 reads b0, b6, b2; writes b11; 40 iterations, parallel
        step 0 and step 1 were not fused: the iteration spaces [300, (40)] and [(300),
            40] differ
          first: %4 (reduce), %11 (rsqrt), %15 (multiply), %18 (reduce), %19 (divide),
              %23 (multiply)
          second: %25 (reduce)
    "#]],
        )
        .has_steps(2);
}

const BATCH_NORM: &str = "graph(%0: f32[16, 8, 10, 10], %1: f32[8], %2: f32[8]) {
  %3: f32[16, 8, 10, 10], %4: f32[8], %5: f32[8] =
    batch_norm_training[axis=1, batch=0, epsilon=1e-5](%0, %1, %2)
  return %3, %4, %5
}";

const BATCH_NORM_INFERENCE: &str =
    "graph(%0: f32[16, 8, 10, 10], %1: f32[8], %2: f32[8], %3: f32[8], %4: f32[8]) {
  %5: f32[16, 8, 10, 10] =
    batch_norm_inference[axis=1, batch=0, epsilon=1e-5](%0, %1, %2, %3, %4)
  return %5
}";

const SPARSE_CROSS_ENTROPY: &str = "graph(%0: f32[300, 40], %1: i32[300]) {
  %2: f32[300] = sparse_cross_entropy(%0, %1)
  return %2
}";

#[test]
fn batch_norm_training_is_one_kernel_over_channels() {
    check(
        BATCH_NORM,
        expect![[r#"
        b0: f32[16, 8, 10, 10] = %0 (an input)
        b1: f32[8] = %1 (an input)
        b2: f32[8] = %2 (an input)
        b5: f32[8] = %6 (divide)
        b7: f32[8] = %11 (divide)
        b10: f32[16, 8, 10, 10] = %20 (add)
        inputs b0, b1, b2; outputs b10, b5, b7
        step 0: kernel 0 reads b0, b1, b2; writes b5, b7, b10; 8 iterations, parallel
    "#]],
    )
    .has_steps(1);
}

#[test]
fn batch_norm_training_and_its_gradient_are_one_kernel_over_channels() {
    compiled_step(BATCH_NORM)
        .check(
            "schedule",
            expect![[r#"
        b0: f32[16, 8, 10, 10] = %0 (an input)
        b1: f32[8] = %1 (an input)
        b2: f32[8] = %2 (an input)
        b3: f32[16, 8, 10, 10] = %3 (an input)
        b6: f32[8] = %7 (divide)
        b8: f32[8] = %12 (divide)
        b12: f32[16, 8, 10, 10] = %21 (add)
        b13: f32[8] = %22 (reduce)
        b15: f32[8] = %29 (reduce)
        b17: f32[16, 8, 10, 10] = %34 (multiply)
        inputs b0, b1, b2, b3; outputs b12, b6, b8, b17, b15, b13
        step 0: kernel 0 reads b0, b3, b1, b2; writes b6, b13, b8, b12, b15, b17; 8
            iterations, parallel
    "#]],
        )
        .has_steps(1);
}

#[test]
fn batch_norm_inference_is_a_kernel_with_the_factors_of_the_channels_in_front() {
    check(
        BATCH_NORM_INFERENCE,
        expect![[r#"
        b0: f32[16, 8, 10, 10] = %0 (an input)
        b1: f32[8] = %1 (an input)
        b2: f32[8] = %2 (an input)
        b3: f32[8] = %3 (an input)
        b4: f32[8] = %4 (an input)
        b6: f32[8] = %11 (multiply)
        b7: f32[16, 8, 10, 10] = %15 (add)
        inputs b0, b1, b2, b3, b4; outputs b7
        step 0: kernel 0 reads b4, b1; writes b6; 8 iterations, parallel
        step 1: kernel 1 reads b0, b3, b6, b2; writes b7; 16 iterations, parallel
        step 0 and step 1 were not fused: the iteration spaces [8] and [16, 8, 10, 10]
            differ
          first: %11 (multiply)
          second: %15 (add)
    "#]],
    )
    .has_steps(2);
}

#[test]
fn batch_norm_inference_and_its_gradient_are_one_kernel_over_channels() {
    compiled_step(BATCH_NORM_INFERENCE)
        .check(
            "schedule",
            expect![[r#"
        b0: f32[16, 8, 10, 10] = %0 (an input)
        b1: f32[8] = %1 (an input)
        b2: f32[8] = %2 (an input)
        b3: f32[8] = %3 (an input)
        b4: f32[8] = %4 (an input)
        b5: f32[16, 8, 10, 10] = %5 (an input)
        b9: f32[16, 8, 10, 10] = %16 (add)
        b10: f32[16, 8, 10, 10] = %17 (multiply)
        b11: f32[8] = %21 (reduce)
        b12: f32[8] = %22 (reduce)
        b13: f32[8] = %24 (multiply)
        b15: f32[8] = %29 (multiply)
        inputs b0, b1, b2, b3, b4, b5; outputs b9, b10, b11, b12, b13, b15
        step 0: kernel 0 reads b0, b3, b4, b1, b2, b5; writes b9, b10, b11, b12, b13,
            b15; 8 iterations, parallel
    "#]],
        )
        .has_steps(1);
}

#[test]
fn sparse_cross_entropy_is_one_kernel_that_reads_the_logits_of_the_labels() {
    check(
        SPARSE_CROSS_ENTROPY,
        expect![[r#"
        b0: f32[300, 40] = %0 (an input)
        b1: i32[300] = %1 (an input)
        b7: f32[300] = %23 (select)
        inputs b0, b1; outputs b7
        step 0: kernel 0 reads b0, b1; writes b7; 300 iterations, parallel
    "#]],
    )
    .has_steps(1);
}

#[test]
fn sparse_cross_entropy_and_its_gradient_are_one_kernel_without_a_scatter() {
    compiled_step(SPARSE_CROSS_ENTROPY)
        .check(
            "schedule",
            expect![[r#"
        b0: f32[300, 40] = %0 (an input)
        b1: i32[300] = %1 (an input)
        b2: f32[300] = %2 (an input)
        b6: f32[300, 40] = %13 (exponential)
        b10: f32[300] = %24 (select)
        b14: f32[300, 40] = %38 (multiply)
        inputs b0, b1, b2; outputs b10, b14
        step 0: kernel 0 reads b0, b1, b6, b2; writes b6, b10, b14; 300 iterations,
            parallel
    "#]],
        )
        .has_steps(1);
}

const CAUSAL: &str = "graph(%0: f32[2, 64, 4, 32], %1: f32[2, 64, 4, 32], %2: f32[2, 64, 4, 32]) {
  %3: f32[2, 64, 4, 32] = dot_product_attention[scale=0.5, before=none, after=0, soft_cap=none,
    mask=false, bias=false, dropout=none](%0, %1, %2)
  return %3
}";

const GROUPED: &str = "graph(%0: f32[2, 64, 4, 32], %1: f32[2, 64, 2, 32], %2: f32[2, 64, 2, 32]) {
  %3: f32[2, 64, 4, 32] = dot_product_attention[scale=0.5, before=none, after=0, soft_cap=none,
    mask=false, bias=false, dropout=none](%0, %1, %2)
  return %3
}";

const GROUPED_DECODING: &str =
    "graph(%0: f32[2, 1, 4, 32], %1: f32[2, 64, 2, 32], %2: f32[2, 64, 2, 32],
  %3: bool[1, 1, 1, 64]) {
  %4: f32[2, 1, 4, 32] = dot_product_attention[scale=0.5, before=none, after=none, soft_cap=none,
    mask=true, bias=false, dropout=none](%0, %1, %2, %3)
  return %4
}";

#[test]
fn causal_attention_is_two_products_that_copy_no_operand() {
    check(
        CAUSAL,
        expect![[r#"
            b0: f32[2, 64, 4, 32] = %0 (an input)
            b1: f32[2, 64, 4, 32] = %1 (an input)
            b2: f32[2, 64, 4, 32] = %2 (an input)
            b3: f32[2, 4, 64, 64] = %9 (dot_general)
            b7: f32[2, 4, 64, 64] = %19 (exponential)
            b10: f32[2, 4, 64, 64] = %25 (select)
            b11: f32[2, 4, 64, 32] = %27 (dot_general)
            b12: f32[2, 64, 4, 32] = %28 (transpose)
            inputs b0, b1, b2; outputs b12
            step 0: dot_general reads b0, b1; writes b3; epilogue for each tile of rows:
                kernel 0 reads b3, b7; writes b7, b10; 8 iterations, parallel
            step 1: dot_general reads b10, b2; writes b11; epilogue for each tile of rows:
                kernel 1 reads b11; writes b12; 2 iterations, parallel
        "#]],
    )
    .has_steps(2);
}

#[test]
fn grouped_attention_copies_the_query_and_is_two_products() {
    check(
        GROUPED,
        expect![[r#"
            b0: f32[2, 64, 4, 32] = %0 (an input)
            b1: f32[2, 64, 2, 32] = %1 (an input)
            b2: f32[2, 64, 2, 32] = %2 (an input)
            b3: f32[2, 2, 128, 32] = %11 (reshape)
            b4: f32[2, 2, 128, 64] = %13 (dot_general)
            b8: f32[2, 2, 128, 64] = %23 (exponential)
            b11: f32[2, 2, 128, 64] = %29 (select)
            b12: f32[2, 2, 128, 32] = %31 (dot_general)
            b13: f32[2, 64, 4, 32] = %33 (transpose)
            inputs b0, b1, b2; outputs b13
            step 0: kernel 0 reads b0; writes b3; 2 iterations, parallel
            step 1: dot_general reads b3, b1; writes b4; epilogue for each tile of rows:
                kernel 1 reads b4, b8; writes b8, b11; 8 iterations, parallel
            step 2: dot_general reads b11, b2; writes b12; epilogue for each tile of rows:
                kernel 2 reads b12; writes b13; 2 iterations, parallel
        "#]],
    )
    .has_steps(3);
}

#[test]
fn grouped_attention_of_one_query_copies_no_operand() {
    check(
        GROUPED_DECODING,
        expect![[r#"
            b0: f32[2, 1, 4, 32] = %0 (an input)
            b1: f32[2, 64, 2, 32] = %1 (an input)
            b2: f32[2, 64, 2, 32] = %2 (an input)
            b3: bool[1, 1, 1, 64] = %3 (an input)
            b4: f32[2, 2, 2, 64] = %10 (reduce)
            b8: f32[2, 2, 2, 64] = %20 (exponential)
            b11: f32[2, 2, 2, 64] = %26 (select)
            b12: f32[2, 2, 2, 32] = %31 (reduce)
            inputs b0, b1, b2, b3; outputs b12
            step 0: kernel 0 reads b0, b1; writes b4; 2 iterations, parallel
            step 1: kernel 1 reads b3, b4, b8; writes b8, b11; 8 iterations, parallel
            step 2: kernel 2 reads b11, b2; writes b12; 2 iterations, parallel
            step 0 and step 1 were not fused: the iteration spaces [2, 2, 2, 64, (32)] and
                [2, 2, 2, (64)] differ
              first: %10 (reduce)
              second: %17 (reduce), %20 (exponential), %21 (reduce), %26 (select)
            step 1 and step 2 were not fused: the iteration spaces [2, 2, 2, (64)] and [2,
                2, 2, 32, (64)] differ
              first: %17 (reduce), %20 (exponential), %21 (reduce), %26 (select)
              second: %31 (reduce)
        "#]],
    )
    .has_steps(3);
}

#[test]
fn causal_attention_and_its_gradient_are_six_products() {
    compiled_step(CAUSAL)
        .check(
            "schedule",
            expect![[r#"
                b0: f32[2, 64, 4, 32] = %0 (an input)
                b1: f32[2, 64, 4, 32] = %1 (an input)
                b2: f32[2, 64, 4, 32] = %2 (an input)
                b3: f32[2, 64, 4, 32] = %3 (an input)
                b4: f32[2, 4, 64, 64] = %10 (dot_general)
                b8: f32[2, 4, 64, 64] = %20 (exponential)
                b11: f32[2, 4, 64, 64] = %26 (select)
                b12: f32[2, 4, 64, 32] = %28 (dot_general)
                b13: f32[2, 64, 4, 32] = %29 (transpose)
                b14: f32[2, 4, 64, 64] = %32 (dot_general)
                b16: f32[2, 4, 64, 64] = %40 (multiply)
                b17: f32[2, 4, 64, 32] = %42 (dot_general)
                b18: f32[2, 64, 4, 32] = %43 (transpose)
                b19: f32[2, 4, 64, 32] = %46 (dot_general)
                b20: f32[2, 64, 4, 32] = %47 (transpose)
                b21: f32[2, 4, 32, 64] = %50 (dot_general)
                b22: f32[2, 64, 4, 32] = %51 (transpose)
                inputs b0, b1, b2, b3; outputs b13, b18, b20, b22
                step 0: dot_general reads b0, b1; writes b4
                step 1: dot_general reads b3, b2; writes b14; epilogue for each tile of rows:
                    kernel 0 reads b4, b8, b14; writes b8, b11, b16; 8 iterations, parallel
                step 2: dot_general reads b11, b2; writes b12; epilogue for each tile of rows:
                    kernel 1 reads b12; writes b13; 2 iterations, parallel
                step 3: dot_general reads b16, b1; writes b17; epilogue for each tile of rows:
                    kernel 2 reads b17; writes b18; 2 iterations, parallel
                step 4: dot_general reads b16, b0; writes b19; epilogue for each tile of rows:
                    kernel 3 reads b19; writes b20; 2 iterations, parallel
                step 5: dot_general reads b3, b11; writes b21; epilogue for each tile of rows:
                    kernel 4 reads b21; writes b22; 2 iterations, parallel
            "#]],
        )
        .has_steps(6);
}

#[test]
fn grouped_attention_and_its_gradient_copy_the_query_and_the_cotangent() {
    compiled_step(GROUPED)
        .check(
            "schedule",
            expect![[r#"
            b0: f32[2, 64, 4, 32] = %0 (an input)
            b1: f32[2, 64, 2, 32] = %1 (an input)
            b2: f32[2, 64, 2, 32] = %2 (an input)
            b3: f32[2, 64, 4, 32] = %3 (an input)
            b4: f32[2, 2, 128, 32] = %12 (reshape)
            b5: f32[2, 2, 128, 64] = %14 (dot_general)
            b9: f32[2, 2, 128, 64] = %24 (exponential)
            b12: f32[2, 2, 128, 64] = %30 (select)
            b13: f32[2, 2, 128, 32] = %32 (dot_general)
            b14: f32[2, 64, 4, 32] = %34 (transpose)
            b15: f32[2, 2, 128, 32] = %36 (reshape)
            b16: f32[2, 2, 128, 64] = %38 (dot_general)
            b18: f32[2, 2, 128, 64] = %46 (multiply)
            b19: f32[2, 2, 128, 32] = %48 (dot_general)
            b20: f32[2, 64, 4, 32] = %51 (reshape)
            b21: f32[2, 2, 64, 32] = %54 (dot_general)
            b22: f32[2, 64, 2, 32] = %55 (transpose)
            b23: f32[2, 2, 32, 64] = %58 (dot_general)
            b24: f32[2, 64, 2, 32] = %59 (transpose)
            inputs b0, b1, b2, b3; outputs b14, b20, b22, b24
            step 0: kernel 0 reads b0; writes b4; 2 iterations, parallel
            step 1: dot_general reads b4, b1; writes b5
            step 2: kernel 1 reads b3; writes b15; 2 iterations, parallel
            step 3: dot_general reads b15, b2; writes b16; epilogue for each tile of rows:
                kernel 2 reads b5, b9, b16; writes b9, b12, b18; 8 iterations, parallel
            step 4: dot_general reads b12, b2; writes b13; epilogue for each tile of rows:
                kernel 3 reads b13; writes b14; 2 iterations, parallel
            step 5: dot_general reads b18, b1; writes b19; epilogue for each tile of rows:
                kernel 4 reads b19; writes b20; 2 iterations, parallel
            step 6: dot_general reads b18, b4; writes b21; epilogue for each tile of rows:
                kernel 5 reads b21; writes b22; 2 iterations, parallel
            step 7: dot_general reads b15, b12; writes b23; epilogue for each tile of rows:
                kernel 6 reads b23; writes b24; 2 iterations, parallel
        "#]],
        )
        .has_steps(8);
}
