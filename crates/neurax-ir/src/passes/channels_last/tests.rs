use super::*;
use crate::{Literal, Type, transform};

/// Gives a graph's convolutions their features last and compares both on numbers; only the first
/// input is no constant. Returns the text of the equations behind the last packed weights.
fn laid_out(text: &str) -> Option<String> {
    let graph = Graph::parse(text).unwrap();
    let is_constant: Vec<bool> = (0..graph.input_types().len()).map(|i| i > 0).collect();
    let new = channels_last(&graph, &is_constant).unwrap()?;
    crate::verify(&new).unwrap();
    assert_eq!(new.input_types(), graph.input_types());
    let number = |(i, ty): (usize, &Type)| {
        let x: Vec<f64> = (0..ty.size()).map(|k| ((k * 7 + i * 3) % 11) as f64 - 5.0).collect();
        Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
    };
    let args: Vec<Literal> = graph.input_types().iter().enumerate().map(number).collect();
    // Sums of small integers are exact in any order.
    assert_eq!(
        transform::eval(&new, args.clone()).unwrap(),
        transform::eval(&graph, args).unwrap(),
        "{graph}\n{new}"
    );
    let frozen = super::super::freeze(&new, &is_constant).unwrap().unwrap();
    Some(super::super::optimize(&frozen.rest, &mut |_, _| {}).unwrap().to_string())
}

const CONV: &str = "convolution[slides=[{low=1 high=1}, {low=1 high=1}], groups=1, dtype=f32]";

#[test]
fn a_bias_an_addition_and_limits_become_part_of_the_convolution() {
    let text = format!(
        "graph(%0: f32[1, 9, 4, 4], %1: f32[9, 9, 3, 3], %2: f32[9, 9, 3, 3], \
     %3: f32[1, 9, 1, 1]) {{
  %4: f32[1, 9, 4, 4] = {CONV}(%0, %1)
  %5: f32[1, 9, 4, 4] = broadcast_in_dim[shape=[1, 9, 4, 4], dims=[0, 1, 2, 3]](%3)
  %6: f32[1, 9, 4, 4] = add(%4, %5)
  %7: f32[] = constant[value=f32[] 0.0]()
  %8: f32[1, 9, 4, 4] = broadcast_in_dim[shape=[1, 9, 4, 4], dims=[]](%7)
  %9: bool[1, 9, 4, 4] = compare[direction=LE](%6, %8)
  %10: f32[1, 9, 4, 4] = select(%9, %8, %6)
  %11: f32[1, 9, 4, 4] = {CONV}(%10, %2)
  %12: f32[1, 9, 4, 4] = add(%10, %11)
  %13: f32[] = constant[value=f32[] 6.0]()
  %14: f32[1, 9, 4, 4] = broadcast_in_dim[shape=[1, 9, 4, 4], dims=[]](%13)
  %15: f32[1, 9, 4, 4] = maximum(%12, %8)
  %16: f32[1, 9, 4, 4] = minimum(%14, %15)
  %17: f32[1, 9] = reduce[kind=sum, axes=[2, 3]](%16)
  return %17
}}"
    );
    let slides = "slides=[{low=1 high=1}, {low=1 high=1}], results=9, depthwise=false";
    assert_eq!(
        laid_out(&text).unwrap(),
        format!(
            "graph(%0: f32[1, 9, 4, 4], %1: f32[1, 3, 3, 9, 16], %2: f32[9], \
             %3: f32[1, 3, 3, 9, 16]) {{
  %4: f32[1, 4, 4, 9] = transpose[permutation=[0, 2, 3, 1]](%0)
  %5: f32[1, 4, 4, 9] = channels_last_convolution[{slides}, low=0.0, high=inf](%4, %1, %2)
  %6: f32[] = constant[value=f32[] 0.0]()
  %7: f32[9] = broadcast_in_dim[shape=[9], dims=[]](%6)
  %8: f32[1, 4, 4, 9] = channels_last_convolution[{slides}, low=0.0, high=6.0](%5, %3, %7, %5)
  %9: f32[1, 9] = reduce[kind=sum, axes=[1, 2]](%8)
  return %9
}}"
        )
    );
}

#[test]
fn other_ops_keep_the_layout() {
    let text = format!(
        "graph(%0: f32[1, 9, 4, 4], %1: f32[9, 9, 3, 3], %2: f32[18, 1, 3, 3], \
     %3: f32[9, 18, 1, 1]) {{
  %4: f32[1, 9, 4, 4] = {CONV}(%0, %1)
  %5: f32[1, 9, 4, 4] = negate(%4)
  %6: f32[1, 18, 4, 4] = concatenate[axis=1](%5, %4)
  %7: f32[1, 18, 2, 2] = reduce_window[kind=max, sizes=[1, 1, 2, 2], \
   slides=[{{}}, {{}}, {{stride=2}}, {{stride=2}}]](%6)
  %8: f32[1, 18, 2, 2] = convolution[slides=[{{low=1 high=1}}, {{low=1 high=1}}], groups=18, \
   dtype=f32](%7, %2)
  %9: f32[1, 18] = reduce[kind=max, axes=[2, 3]](%8)
  %10: f32[1, 18, 1, 1] = reshape[shape=[1, 18, 1, 1]](%9)
  %11: f32[1, 18, 2, 2] = broadcast_in_dim[shape=[1, 18, 2, 2], dims=[0, 1, 2, 3]](%10)
  %12: f32[1, 18, 2, 2] = multiply(%8, %11)
  %13: f32[1, 9, 2, 2] = convolution[slides=[{{}}, {{}}], groups=1, dtype=f32](%12, %3)
  return %13
}}"
    );
    let new = laid_out(&text).unwrap();
    let ops: Vec<&str> = new
        .lines()
        .filter_map(|line| line.split(" = ").nth(1))
        .map(|op| op.split(['[', '(']).next().unwrap())
        .collect();
    let conv = "channels_last_convolution";
    let want = [
        "transpose",
        conv,
        "negate",
        "concatenate",
        "reduce_window",
        conv,
        "reduce",
        "reshape",
        "multiply",
        conv,
        "transpose",
    ];
    // Biases of zeros aside.
    let is_own = |op: &&str| !["constant", "broadcast_in_dim"].contains(op);
    assert_eq!(ops.into_iter().filter(is_own).collect::<Vec<_>>(), want, "{new}");
}

#[test]
fn transposed_convolutions_of_one_element_are_products() {
    let text = "graph(%0: f32[2, 3, 4, 5], %1: f32[12, 3, 2, 3], %2: f32[1, 12, 2, 2]) {
  %3: f32[2, 12, 8, 15] = convolution[slides=[{low=1 high=1 base_dilation=2}, \
     {low=2 high=2 base_dilation=3}], groups=1, dtype=f32](%0, %1)
  %4: f32[2, 12, 8, 15] = negate(%3)
  %5: f32[2, 1, 16, 30] = convolution[slides=[{low=1 high=1 base_dilation=2}, \
     {low=1 high=1 base_dilation=2}], groups=1, dtype=f32](%4, %2)
  return %5
}";
    let new = laid_out(text).unwrap();
    assert_eq!(new.matches("slides=[{}, {}], results=72").count(), 1, "{new}");
    assert_eq!(new.matches("slides=[{}, {}], results=4").count(), 1, "{new}");
    assert!(!new.contains("base_dilation"), "{new}");
}

#[test]
fn convolutions_that_do_not_suit_are_kept() {
    let of = |x: &str, w: &str, attrs: &str, y: &str| {
        format!(
            "graph(%0: f32[{x}], %1: f32[{w}]) {{
  %2: f32[{y}] = convolution[{attrs}, dtype=f32](%0, %1)
  return %2
}}"
        )
    };
    // Few features of the result, groups, elements apart, little work for a copy, few features
    // under taps that are no neighbors, and no elements.
    let plain = "slides=[{}, {}], groups=1";
    let kept = [
        of("1, 9, 4, 4", "3, 9, 3, 3", plain, "1, 3, 2, 2"),
        of("1, 9, 4, 4", "30, 3, 3, 3", "slides=[{}, {}], groups=3", "1, 30, 2, 2"),
        of(
            "1, 9, 2, 2",
            "30, 9, 3, 3",
            "slides=[{base_dilation=2}, {base_dilation=2}], groups=1",
            "1, 30, 1, 1",
        ),
        of(
            "1, 3, 9, 9",
            "30, 3, 3, 3",
            "slides=[{}, {window_dilation=2}], groups=1",
            "1, 30, 7, 5",
        ),
        of("1, 3, 0", "16, 3, 2", "slides=[{low=1 high=1 base_dilation=2}], groups=1", "1, 16, 1"),
        of("1, 16, 4, 4", "16, 1, 3, 3", "slides=[{}, {}], groups=16", "1, 16, 2, 2"),
    ];
    for text in kept {
        assert!(laid_out(&text).is_none(), "{text}");
    }
    assert!(laid_out(&of("1, 9, 4, 4", "9, 9, 3, 3", plain, "1, 9, 2, 2")).is_some());
}
