//! Tests of each rule: spellings of exporters, the printed result, and equal numbers.

mod activations;
mod attention;
mod normalizations;
mod softmax;
mod transposes;

use super::*;
use crate::op::{
    Binary, Broadcast, Compare, Concatenate, Direction, DotGeneral, Pad, ReduceKind, Unary,
};
use crate::{DType, Literal, Type, transform, verify};

/// A function that builds a graph from its inputs.
type MakeGraph<'f> = &'f dyn Fn(&mut Builder, &[Value]) -> Value;

/// Returns numbers of both signs, as arguments.
fn argument(i: usize, ty: &Type) -> Literal {
    let number = |k: usize| ((k * 37 + i * 11) % 23) as f64 / 4.0 - 2.6;
    let numbers: Vec<f64> = match ty.dtype {
        DType::Bool => (0..ty.size()).map(|k| ((k * 7 + k / 3) % 3 != 0) as u8 as f64).collect(),
        _ => (0..ty.size()).map(number).collect(),
    };
    Literal::from_f64s(ty.dtype, ty.shape.clone(), &numbers)
}

/// Rewrites a graph and checks that the results are close. Returns the rules that were applied and
/// the equations of the new graph as one line.
fn rewritten_line(types: &[Type], make: MakeGraph) -> (String, String) {
    let mut b = Builder::new();
    let xs = b.inputs(types);
    let y = make(&mut b, &xs);
    let graph = b.finish(&[y]).unwrap();
    let graph = super::super::optimize(&graph, &mut |_, _| {}).unwrap();
    let found = rewrite(&graph, &|_| true).unwrap();
    verify(&found.graph).unwrap();
    let args: Vec<Literal> = types.iter().enumerate().map(|(i, ty)| argument(i, ty)).collect();
    let want = transform::eval(&graph, args.clone()).unwrap();
    let have = transform::eval(&found.graph, args).unwrap();
    assert_eq!(have[0].ty(), want[0].ty());
    let tolerance = if types[0].dtype == DType::F16 { 4e-3 } else { 2e-6 };
    for (a, b) in have[0].to_f64s().iter().zip(want[0].to_f64s()) {
        let is_close = (a - b).abs() <= tolerance * b.abs().max(1.0) || a.is_nan() && b.is_nan();
        assert!(is_close, "{a} instead of {b}\n{graph}\n{}", found.graph);
    }
    let text = found.graph.to_string();
    let lines = text.lines().skip(1).map(str::trim).filter(|line| *line != "}");
    let names: Vec<String> =
        found.applied.iter().map(|(name, count)| format!("{name} {count}")).collect();
    (names.join(", "), lines.collect::<Vec<_>>().join("; "))
}

/// Asserts that a spelling becomes `want` by `rule`.
#[track_caller]
fn becomes(rule: &str, want: &str, types: &[Type], make: MakeGraph) {
    let (names, line) = rewritten_line(types, make);
    assert_eq!((names.as_str(), line.as_str()), (rule, want));
}

/// Asserts that no rule applies.
#[track_caller]
fn is_kept(types: &[Type], make: MakeGraph) {
    let (names, line) = rewritten_line(types, make);
    assert_eq!(names, "", "{line}");
}

fn f32s(shape: &[usize]) -> Type {
    Type::new(DType::F32, shape)
}

fn pow(b: &mut Builder, x: Value, n: f64) -> Value {
    let n = b.full_like(x, n);
    b.emit(Binary::Pow, &[x, n])
}

fn divided(b: &mut Builder, x: Value, c: f64) -> Value {
    let c = b.full_like(x, c);
    b.div(x, c)
}

#[test]
fn graphs_of_loops_and_branches_are_rewritten() {
    let graph = Graph::parse(
        "graph(%0: i32[], %1: f32[3]) {
  %2: f32[3] = case[branches=[graph(%0: f32[3]) {
    %1: f32[3] = logistic(%0)
    %2: f32[3] = multiply(%0, %1)
    return %2
  }, graph(%0: f32[3]) {
    return %0
  }]](%0, %1)
  return %2
}",
    )
    .unwrap();
    let found = inference(&graph).unwrap();
    assert_eq!(found.applied, [("silu", 1)]);
    assert!(found.graph.to_string().contains("silu(%0)"), "{}", found.graph);
}

#[test]
fn gelu_by_the_error_function_stays_for_inference() {
    let graph = Graph::parse(
        "graph(%0: f32[2]) {
  %1: f32[] = constant[value=f32[] 0.70710677]()
  %2: f32[2] = broadcast_in_dim[shape=[2], dims=[]](%1)
  %3: f32[2] = multiply(%0, %2)
  %4: f32[2] = erf(%3)
  %5: f32[] = constant[value=f32[] 0.5]()
  %6: f32[2] = broadcast_in_dim[shape=[2], dims=[]](%5)
  %7: f32[2] = multiply(%4, %6)
  %8: f32[2] = add(%7, %6)
  %9: f32[2] = multiply(%0, %8)
  return %9
}",
    )
    .unwrap();
    assert_eq!(inference(&graph).unwrap().graph, graph);
    let found = recognize(&graph, &|_| true).unwrap();
    assert_eq!(found.applied, [("gelu_erf", 1)]);
}

#[test]
fn every_rule_has_a_row_in_the_tables() {
    let pages = [include_str!("../mod.rs"), include_str!("../../../../../../docs/onnx.md")];
    for (name, _) in RULE_GROUPS.iter().copied().flatten() {
        for page in pages {
            assert!(page.contains(&format!("| `{name}` |")), "no row for {name}");
        }
    }
}
