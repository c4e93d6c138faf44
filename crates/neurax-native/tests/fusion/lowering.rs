//! Ops that become other ops before fusion.

use super::{SMALL_MATMUL, check_lowered};
use expect_test::expect;

#[test]
fn a_call_becomes_its_body() {
    check_lowered(
        "graph(%0: f32[300]) {
          %1: f32[300] = call[callee=\"twice\", body=graph(%0: f32[300]) {
            %1: f32[300] = add(%0, %0)
            return %1
          }](%0)
          return %1
        }",
        expect![[r#"
            graph(%0: f32[300]) {
              %1: f32[300] = add(%0, %0)
              return %1
            }
        "#]],
    )
    .has("lower", 1);
}

#[test]
fn a_composite_becomes_its_body() {
    check_lowered(
        "graph(%0: f32[300]) {
          %1: f32[300] = silu(%0)
          return %1
        }",
        expect![[r#"
            graph(%0: f32[300]) {
              %1: f32[300] = logistic(%0)
              %2: f32[300] = multiply(%0, %1)
              return %2
            }
        "#]],
    )
    .has("lower", 2);
}

#[test]
fn a_large_matmul_stays_a_product() {
    check_lowered(
        "graph(%0: f32[128, 64], %1: f32[128, 32]) {
          %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[0],
            rhs_contract=[0], dtype=f32](%0, %1)
          return %2
        }",
        expect![[r#"
            graph(%0: f32[128, 64], %1: f32[128, 32]) {
              %2: f32[64, 128] = transpose[permutation=[1, 0]](%0)
              %3: f32[32, 128] = transpose[permutation=[1, 0]](%1)
              %4: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
                  rhs_contract=[1], dtype=f32](%2, %3)
              return %4
            }
        "#]],
    );
}

#[test]
fn a_small_matmul_becomes_a_sum_of_products() {
    check_lowered(
        SMALL_MATMUL,
        expect![[r#"
            graph(%0: f32[4, 8], %1: f32[8, 4]) {
              %2: f32[4, 4, 8] = broadcast_in_dim[shape=[4, 4, 8], dims=[0, 2]](%0)
              %3: f32[4, 8] = transpose[permutation=[1, 0]](%1)
              %4: f32[4, 4, 8] = broadcast_in_dim[shape=[4, 4, 8], dims=[1, 2]](%3)
              %5: f32[4, 4, 8] = multiply(%2, %4)
              %6: f32[4, 4] = reduce[kind=sum, axes=[2]](%5)
              return %6
            }
        "#]],
    );
}

#[test]
fn a_matmul_of_bf16_is_computed_in_f32() {
    check_lowered(
        "graph(%0: bf16[64, 128], %1: bf16[128, 32]) {
          %2: bf16[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=bf16](%0, %1)
          return %2
        }",
        expect![[r#"
            graph(%0: bf16[64, 128], %1: bf16[128, 32]) {
              %2: f32[64, 128] = convert[dtype=f32](%0)
              %3: f32[128, 32] = convert[dtype=f32](%1)
              %4: f32[32, 128] = transpose[permutation=[1, 0]](%3)
              %5: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
                  rhs_contract=[1], dtype=f32](%2, %4)
              %6: bf16[64, 32] = convert[dtype=bf16](%5)
              return %6
            }
        "#]],
    );
}

/// `(a b)^T = b^T a^T`: strides instead of a pass over the result.
#[test]
fn a_transposed_matmul_is_a_matmul_of_swapped_operands() {
    check_lowered(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %3: f32[32, 64] = transpose[permutation=[1, 0]](%2)
          return %3
        }",
        expect![[r#"
            graph(%0: f32[64, 128], %1: f32[128, 32]) {
              %2: f32[32, 128] = transpose[permutation=[1, 0]](%1)
              %3: f32[32, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
                  rhs_contract=[1], dtype=f32](%2, %0)
              return %3
            }
        "#]],
    );
}

/// The caller reads the product, too: one more with swapped operands would compute it twice.
#[test]
fn a_matmul_that_a_call_transposes_and_its_caller_reads_is_computed_once() {
    check_lowered(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
            rhs_contract=[0], dtype=f32](%0, %1)
          %3: f32[32, 64] = call[callee=\"turned\", body=graph(%0: f32[64, 32]) {
            %1: f32[32, 64] = transpose[permutation=[1, 0]](%0)
            return %1
          }](%2)
          return %2, %3
        }",
        expect![[r#"
            graph(%0: f32[64, 128], %1: f32[128, 32]) {
              %2: f32[32, 128] = transpose[permutation=[1, 0]](%1)
              %3: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
                  rhs_contract=[1], dtype=f32](%0, %2)
              %4: f32[32, 64] = transpose[permutation=[1, 0]](%3)
              return %3, %4
            }
        "#]],
    )
    .has_steps(2);
}

/// The body of the call reads its product twice, and the caller only once.
#[test]
fn a_matmul_that_a_call_reads_and_its_caller_transposes_is_computed_once() {
    check_lowered(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32], %3: f32[64, 32] = call[callee=\"both\",
            body=graph(%0: f32[64, 128], %1: f32[128, 32]) {
              %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
                rhs_contract=[0], dtype=f32](%0, %1)
              %3: f32[64, 32] = tanh(%2)
              return %2, %3
            }](%0, %1)
          %4: f32[32, 64] = transpose[permutation=[1, 0]](%2)
          return %3, %4
        }",
        expect![[r#"
            graph(%0: f32[64, 128], %1: f32[128, 32]) {
              %2: f32[32, 128] = transpose[permutation=[1, 0]](%1)
              %3: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
                  rhs_contract=[1], dtype=f32](%0, %2)
              %4: f32[64, 32] = tanh(%3)
              %5: f32[32, 64] = transpose[permutation=[1, 0]](%3)
              return %4, %5
            }
        "#]],
    )
    .has_steps(2);
}

/// Only the caller reads the product, which is swapped as if there were no call.
#[test]
fn a_matmul_that_a_call_returns_is_transposed_by_its_operands() {
    check_lowered(
        "graph(%0: f32[64, 128], %1: f32[128, 32]) {
          %2: f32[64, 32] = call[callee=\"product\",
            body=graph(%0: f32[64, 128], %1: f32[128, 32]) {
              %2: f32[64, 32] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
                rhs_contract=[0], dtype=f32](%0, %1)
              return %2
            }](%0, %1)
          %3: f32[32, 64] = transpose[permutation=[1, 0]](%2)
          return %3
        }",
        expect![[r#"
            graph(%0: f32[64, 128], %1: f32[128, 32]) {
              %2: f32[32, 128] = transpose[permutation=[1, 0]](%1)
              %3: f32[32, 64] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
                  rhs_contract=[1], dtype=f32](%2, %0)
              return %3
            }
        "#]],
    )
    .has_steps(1);
}

/// The extremum, and the least index at which it is found.
#[test]
fn an_argmax_becomes_two_reductions() {
    check_lowered(
        "graph(%0: i32[300, 40]) {
          %1: i32[300] = arg_reduce[kind=max, axis=1](%0)
          return %1
        }",
        expect![[r#"
            graph(%0: i32[300, 40]) {
              %1: i32[300] = reduce[kind=max, axes=[1]](%0)
              %2: i32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[0]](%1)
              %3: bool[300, 40] = compare[direction=EQ](%0, %2)
              %4: i32[300, 40] = iota[ty=i32[300, 40], axis=1]()
              %5: i32[] = constant[value=i32[] 2147483647]()
              %6: i32[300, 40] = broadcast_in_dim[shape=[300, 40], dims=[]](%5)
              %7: i32[300, 40] = select(%3, %4, %6)
              %8: i32[300] = reduce[kind=min, axes=[1]](%7)
              return %8
            }
        "#]],
    )
    .has_steps(1);
}

/// Tiles of a fixed number, whatever the number of threads: a sum has the same bits on any machine.
#[test]
fn a_large_reduction_is_done_in_tiles() {
    check_lowered(
        "graph(%0: f32[100003, 2]) {
          %1: f32[2] = reduce[kind=sum, axes=[0]](%0)
          return %1
        }",
        expect![[r#"
            graph(%0: f32[100003, 2]) {
              %1: f32[100000, 2] = slice[start=[0, 0], limit=[100000, 2], stride=[1, 1]](%0)
              %2: f32[32, 3125, 2] = reshape[shape=[32, 3125, 2]](%1)
              %3: f32[32, 2] = reduce[kind=sum, axes=[1]](%2)
              %4: f32[2] = reduce[kind=sum, axes=[0]](%3)
              %5: f32[3, 2] = slice[start=[100000, 0], limit=[100003, 2], stride=[1, 1]](%0)
              %6: f32[2] = reduce[kind=sum, axes=[0]](%5)
              %7: f32[2] = add(%4, %6)
              return %7
            }
        "#]],
    );
}

#[test]
fn a_small_reduction_stays_as_it_is() {
    check_lowered(
        "graph(%0: f32[1000, 2]) {
          %1: f32[2] = reduce[kind=sum, axes=[0]](%0)
          return %1
        }",
        expect![[r#"
            graph(%0: f32[1000, 2]) {
              %1: f32[2] = reduce[kind=sum, axes=[0]](%0)
              return %1
            }
        "#]],
    )
    .has("lower", 1);
}

#[test]
fn a_convolution_of_bf16_is_computed_in_f32() {
    check_lowered(
        "graph(%0: bf16[8, 3, 32], %1: bf16[16, 3, 3]) {
          %2: bf16[8, 16, 30] = convolution[slides=[{}], groups=1, dtype=bf16](%0, %1)
          return %2
        }",
        expect![[r#"
            graph(%0: bf16[8, 3, 32], %1: bf16[16, 3, 3]) {
              %2: f32[8, 3, 32] = convert[dtype=f32](%0)
              %3: f32[16, 3, 3] = convert[dtype=f32](%1)
              %4: f32[8, 16, 30] = convolution[slides=[{}], groups=1, dtype=f32](%2, %3)
              %5: bf16[8, 16, 30] = convert[dtype=bf16](%4)
              return %5
            }
        "#]],
    );
}

#[test]
fn a_window_of_bf16_is_computed_in_f32() {
    check_lowered(
        "graph(%0: bf16[30]) {
          %1: bf16[15] = reduce_window[kind=sum, sizes=[2], slides=[{stride=2}]](%0)
          return %1
        }",
        expect![[r#"
            graph(%0: bf16[30]) {
              %1: f32[30] = convert[dtype=f32](%0)
              %2: f32[15] = reduce_window[kind=sum, sizes=[2], slides=[{stride=2}]](%1)
              %3: bf16[15] = convert[dtype=bf16](%2)
              return %3
            }
        "#]],
    );
}

/// 20 rounds of elementwise integer ops. One kernel would have too many results: values that are
/// read more than once count as results until all steps are fused.
#[test]
fn random_bits_are_two_kernels() {
    super::compiled(
        "graph(%0: u32[300], %1: u32[300], %2: u32[300], %3: u32[300]) {
          %4: u32[300], %5: u32[300] = threefry2x32(%0, %1, %2, %3)
          %6: u32[300] = xor(%4, %5)
          return %6
        }",
    )
    .has_steps(2);
}

/// A checkpoint matters to differentiation, which comes before.
#[test]
fn a_checkpoint_becomes_its_body() {
    check_lowered(
        "graph(%0: f32[300]) {
          %1: f32[300] = checkpoint[body=graph(%0: f32[300]) {
            %1: f32[300] = sqrt(%0)
            return %1
          }](%0)
          return %1
        }",
        expect![[r#"
            graph(%0: f32[300]) {
              %1: f32[300] = sqrt(%0)
              return %1
            }
        "#]],
    )
    .has("lower", 1);
}

/// The sum of each row without elements would be a loop over all rows.
#[test]
fn a_result_without_elements_is_a_constant_of_no_step() {
    check_lowered(
        "graph(%0: f32[1099511627776, 0]) {
          %1: f32[1099511627776, 0] = rms_norm[epsilon=1e-5, scale=false](%0)
          return %1
        }",
        expect![[r#"
            graph(%0: f32[1099511627776, 0]) {
              %1: f32[] = constant[value=f32[] 0.0]()
              %2: f32[1099511627776, 0] = broadcast_in_dim[shape=[1099511627776, 0],
                  dims=[]](%1)
              return %2
            }
        "#]],
    )
    .has_steps(0);
}
