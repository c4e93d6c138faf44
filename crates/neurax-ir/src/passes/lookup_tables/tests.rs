use super::lookup_tables;
use crate::{DType, Graph, Literal, Type, transform};

/// Numbers over the whole range of bytes, and small floats.
fn argument((i, ty): (usize, &Type)) -> Literal {
    let number = |k: usize| {
        let x = ((k * 7919 + i * 31) % 256) as f64;
        match ty.dtype {
            DType::U8 => x,
            DType::I8 => x - 128.0,
            _ => x / 40.0 - 3.0,
        }
    };
    let x: Vec<f64> = (0..ty.size()).map(number).collect();
    Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
}

/// Rewrites a graph whose inputs but the first are constant, and checks that the value is kept.
fn rewritten(text: &str) -> Option<Graph> {
    let graph = Graph::parse(text).unwrap();
    let is_constant: Vec<bool> = (0..graph.input_types().len()).map(|i| i > 0).collect();
    let new = lookup_tables(&graph, &is_constant).unwrap()?.graph;
    let args: Vec<Literal> = graph.input_types().iter().enumerate().map(argument).collect();
    let want = transform::eval(&graph, args.clone()).unwrap();
    assert_eq!(transform::eval(&new, args).unwrap(), want, "{new}");
    Some(new)
}

/// Returns how many values of the shape `shape` the ops called `name` compute.
fn count(graph: &Graph, name: &str, shape: &[usize]) -> usize {
    let has_shape = |v: &crate::Value| graph.ty(*v).shape[..] == *shape;
    graph.eqns().iter().filter(|e| e.op.name() == name && has_shape(&e.outputs[0])).count()
}

#[test]
fn a_function_of_bytes_is_a_table_of_all_bytes() {
    let new = rewritten(
        "graph(%0: u8[20, 30]) {
  %1: f32[20, 30] = convert[dtype=f32](%0)
  %2: f32[] = constant[value=f32[] 0.1]()
  %3: f32[20, 30] = broadcast_in_dim[shape=[20, 30], dims=[]](%2)
  %4: f32[20, 30] = multiply(%1, %3)
  %5: f32[20, 30] = erf(%4)
  %6: f32[20, 30] = multiply(%5, %4)
  return %6
}",
    )
    .unwrap();
    assert_eq!([count(&new, "erf", &[20, 30]), count(&new, "erf", &[256])], [0, 1], "{new}");
    assert_eq!(count(&new, "gather", &[20, 30]), 1, "{new}");
}

#[test]
fn constants_of_columns_give_a_table_for_each() {
    let new = rewritten(
        "graph(%0: i8[300, 3], %1: f32[3]) {
  %2: f32[300, 3] = convert[dtype=f32](%0)
  %3: f32[300, 3] = broadcast_in_dim[shape=[300, 3], dims=[1]](%1)
  %4: f32[300, 3] = add(%3, %2)
  %5: f32[300, 3] = erf(%4)
  return %5
}",
    )
    .unwrap();
    assert_eq!([count(&new, "erf", &[300, 3]), count(&new, "erf", &[3, 256])], [0, 1], "{new}");
}

#[test]
fn limited_integers_are_quantized_numbers() {
    let text = "graph(%0: f32[400]) {
  %1: f32[] = constant[value=f32[] -128.0]()
  %2: f32[400] = broadcast_in_dim[shape=[400], dims=[]](%1)
  %3: f32[] = constant[value=f32[] 127.0]()
  %4: f32[400] = broadcast_in_dim[shape=[400], dims=[]](%3)
  %5: f32[400] = clamp(%2, %0, %4)
  %6: i32[400] = convert[dtype=i32](%5)
  %7: f32[400] = convert[dtype=f32](%6)
  %8: f32[400] = erf(%7)
  return %8
}";
    let new = rewritten(text).unwrap();
    assert_eq!([count(&new, "erf", &[400]), count(&new, "erf", &[256])], [0, 1], "{new}");
    assert!(rewritten(&text.replace("127.0", "300.0")).is_none());
}

#[test]
fn cheap_functions_small_arrays_and_other_operands_have_no_table() {
    let text = |n: usize, op: &str| {
        format!(
            "graph(%0: u8[{n}], %1: f32[{n}]) {{
  %2: f32[{n}] = convert[dtype=f32](%0)
  %3: f32[{n}] = {op}(%2)
  return %3
}}"
        )
    };
    assert!(rewritten(&text(256, "erf")).is_some());
    assert!(rewritten(&text(255, "erf")).is_none());
    assert!(rewritten(&text(256, "negate")).is_none());
    let other = "graph(%0: u8[256], %1: f32[256]) {
  %2: f32[256] = convert[dtype=f32](%0)
  %3: f32[256] = add(%2, %1)
  %4: f32[256] = erf(%3)
  return %4
}";
    assert!(lookup_tables(&Graph::parse(other).unwrap(), &[false, false]).unwrap().is_none());
}
