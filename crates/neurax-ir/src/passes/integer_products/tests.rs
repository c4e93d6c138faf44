use super::integer_products;
use crate::{DType, Graph, Literal, Type, passes, transform};

/// The product of x, which `x` computes from %0, with dequantized weights %1 and their scales %2.
fn product(x: &str) -> String {
    format!(
        "graph(%0: f32[2, 6], %1: i8[6, 3], %2: f32[3]) {{
  %3: f32[] = constant[value=f32[] 0.5]()
  %4: f32[2, 6] = broadcast_in_dim[shape=[2, 6], dims=[]](%3)
{x}  %20: f32[6, 3] = convert[dtype=f32](%1)
  %21: f32[6, 3] = broadcast_in_dim[shape=[6, 3], dims=[1]](%2)
  %22: f32[6, 3] = multiply(%20, %21)
  %23: f32[2, 3] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
         dtype=f32](%19, %22)
"
    )
}

/// The quantization of %0 with the limits `low` and `high` and the zero point `zero`, and back.
fn quantized(low: i32, high: i32, zero: i32) -> String {
    format!(
        "  %5: f32[2, 6] = divide(%0, %4)
  %6: f32[2, 6] = round_nearest_even(%5)
  %7: f32[] = constant[value=f32[] {zero}.0]()
  %8: f32[2, 6] = broadcast_in_dim[shape=[2, 6], dims=[]](%7)
  %9: f32[2, 6] = add(%6, %8)
  %10: f32[] = constant[value=f32[] {low}.0]()
  %11: f32[2, 6] = broadcast_in_dim[shape=[2, 6], dims=[]](%10)
  %12: f32[] = constant[value=f32[] {high}.0]()
  %13: f32[2, 6] = broadcast_in_dim[shape=[2, 6], dims=[]](%12)
  %14: f32[2, 6] = clamp(%11, %9, %13)
  %15: i32[2, 6] = convert[dtype=i32](%14)
  %16: i32[] = constant[value=i32[] {zero}]()
  %17: i32[2, 6] = broadcast_in_dim[shape=[2, 6], dims=[]](%16)
  %18: i32[2, 6] = subtract(%15, %17)
  %24: f32[2, 6] = convert[dtype=f32](%18)
  %19: f32[2, 6] = multiply(%24, %4)
"
    )
}

/// Numbers the values of a text in order.
fn numbered(text: &str) -> Graph {
    let mut names: Vec<String> = vec![];
    let mut out = String::new();
    for (i, part) in text.split('%').enumerate() {
        if i == 0 {
            out.push_str(part);
            continue;
        }
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let known = names.iter().position(|n| n == name);
        let index = known.unwrap_or_else(|| {
            names.push(name.into());
            names.len() - 1
        });
        out.push_str(&format!("%{index}{rest}"));
    }
    Graph::parse(&out).unwrap()
}

fn argument((i, ty): (usize, &Type)) -> Literal {
    let number = |k: usize| {
        let x = ((k * 7919 + i * 31) % 251) as f64 - 125.0;
        match ty.dtype {
            DType::I8 => x,
            _ if i == 2 => 0.01 * (k + 1) as f64,
            _ => x / 2.5,
        }
    };
    let x: Vec<f64> = (0..ty.size()).map(number).collect();
    Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
}

/// Rewrites a graph whose inputs but the first are constant, and compares the values, which may
/// differ by rounding and by `step`.
fn rewritten(graph: &Graph, is_zero: &[bool], step: f64) -> Option<Graph> {
    let is_constant: Vec<bool> = (0..graph.input_types().len()).map(|i| i > 0).collect();
    let new = integer_products(graph, &is_constant, is_zero).unwrap()?.graph;
    let args: Vec<Literal> = graph.input_types().iter().enumerate().map(argument).collect();
    let want = transform::eval(graph, args.clone()).unwrap();
    let have = transform::eval(&new, args).unwrap();
    for (have, want) in have.iter().zip(&want) {
        assert_eq!(have.ty(), want.ty());
        for (a, b) in have.to_f64s().iter().zip(want.to_f64s()) {
            assert!((a - b).abs() <= step + 1e-6 * b.abs(), "{a} instead of {b}\n{new}");
        }
    }
    Some(new)
}

/// Returns the ops that are not constant.
fn variable_ops(graph: &Graph) -> Vec<&'static str> {
    let is_constant: Vec<bool> = (0..graph.input_types().len()).map(|i| i > 0).collect();
    let rest = passes::freeze(graph, &is_constant).unwrap().unwrap().rest;
    let names = ["constant", "broadcast_in_dim"];
    let ops = rest.eqns().iter().map(|e| e.op.name());
    ops.filter(|name| !names.contains(name)).collect()
}

const QUANTIZE: [&str; 5] = ["divide", "round_nearest_even", "add", "clamp", "convert"];

#[test]
fn a_product_of_dequantized_numbers_is_one_of_integers() {
    let graph = numbered(&(product(&quantized(0, 255, 131)) + "  return %23\n}"));
    let new = rewritten(&graph, &[false; 3], 0.0).unwrap();
    let ops = variable_ops(&new);
    assert_eq!(ops, [&QUANTIZE[..], &["convert", "quantized_dot"]].concat(), "{new}");
    let product = "quantized_dot[columns=3, zero_point=0, dtype=f32]";
    assert!(new.to_string().contains(product), "{new}");
}

#[test]
fn signed_numbers_are_moved() {
    let graph = numbered(&(product(&quantized(-128, 127, -3)) + "  return %23\n}"));
    let new = rewritten(&graph, &[false; 3], 0.0).unwrap();
    let ops = variable_ops(&new);
    assert_eq!(ops, [&QUANTIZE[..], &["add", "convert", "quantized_dot"]].concat(), "{new}");
}

/// Quantizes %23, with the bias %2 added to it.
const RESULT: &str = "  %30: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[1]](%2)
  %31: f32[2, 3] = add(%30, %23)
  %32: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[]](%3)
  %33: f32[2, 3] = divide(%31, %32)
  %34: f32[2, 3] = round_nearest_even(%33)
  %35: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[]](%7)
  %36: f32[2, 3] = add(%35, %34)
  %37: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[]](%10)
  %38: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[]](%12)
  %39: f32[2, 3] = clamp(%37, %36, %38)
  %40: i32[2, 3] = convert[dtype=i32](%39)
";

#[test]
fn a_quantized_result_is_rounded_in_the_product() {
    let text = product(&quantized(0, 255, 131)) + RESULT + "  return %40\n}";
    let new = rewritten(&numbered(&text), &[false; 3], 1.0).unwrap();
    let ops = variable_ops(&new);
    let want = [&QUANTIZE[..], &["convert", "quantized_dot", "convert"]].concat();
    assert_eq!(ops, want, "{new}");
    assert!(new.to_string().contains("zero_point=131, dtype=u8"), "{new}");
}

#[test]
fn a_product_with_other_readers_stays_beside() {
    let text = product(&quantized(0, 255, 131)) + RESULT + "  return %40, %23\n}";
    let new = rewritten(&numbered(&text), &[false; 3], 1.0).unwrap();
    let count = new.eqns().iter().filter(|e| e.op.name() == "quantized_dot").count();
    assert_eq!(count, 1, "{new}");
}

#[test]
fn zero_points_of_weights_must_be_known_to_be_zero() {
    let text = product(&quantized(0, 255, 0))
        .replace("%2: f32[3])", "%2: f32[3], %50: i8[3])")
        .replace("= convert[dtype=f32](%1)", "= convert[dtype=f32](%53)");
    let text = text.replace(
        "  %20:",
        "  %51: i32[6, 3] = convert[dtype=i32](%1)
  %52: i8[6, 3] = broadcast_in_dim[shape=[6, 3], dims=[1]](%50)
  %54: i32[6, 3] = convert[dtype=i32](%52)
  %53: i32[6, 3] = subtract(%51, %54)
  %20:",
    );
    let graph = numbered(&(text + "  return %23\n}"));
    let is_constant = [false, true, true, true];
    let zeros = |last: bool| [false, false, false, last];
    assert!(integer_products(&graph, &is_constant, &zeros(false)).unwrap().is_none());
    assert!(integer_products(&graph, &is_constant, &zeros(true)).unwrap().is_some());
}

#[test]
fn integers_less_a_zero_point_are_multiplied() {
    let graph = numbered(
        "graph(%0: u8[2, 6], %1: i8[6, 3], %2: u8[]) {
  %3: i32[2, 6] = convert[dtype=i32](%0)
  %4: i32[] = convert[dtype=i32](%2)
  %5: i32[2, 6] = broadcast_in_dim[shape=[2, 6], dims=[]](%4)
  %6: i32[2, 6] = subtract(%3, %5)
  %7: i32[6, 3] = convert[dtype=i32](%1)
  %8: i32[2, 3] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
         dtype=i32](%6, %7)
  return %8
}",
    );
    let new = rewritten(&graph, &[false; 3], 0.0).unwrap();
    assert!(new.to_string().contains("zero_point=0, dtype=i32"), "{new}");
}

#[test]
fn variable_weights_stay() {
    let graph = numbered(&(product(&quantized(0, 255, 131)) + "  return %23\n}"));
    assert!(integer_products(&graph, &[false; 3], &[false; 3]).unwrap().is_none());
}

#[test]
fn weights_that_are_not_multiplied_as_integers_are_dequantized_once() {
    let graph = numbered(
        "graph(%0: f32[2, 6], %1: u8[6, 3]) {
  %2: f32[6, 3] = convert[dtype=f32](%1)
  %3: f32[2, 3] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
         dtype=f32](%0, %2)
  return %3
}",
    );
    assert_eq!(variable_ops(&graph), ["dot_general"]);
}

/// A convolution of quantized numbers, 3 x 3 taps, with padding, stride 2, a bias and a limit of 0.
fn convolution() -> Graph {
    let shape = "f32[1, 16, 5, 5]";
    let full = |name: usize, of: usize| {
        format!("  %{name}: {shape} = broadcast_in_dim[shape=[1, 16, 5, 5], dims=[]](%{of})\n")
    };
    let text = format!(
        "graph(%0: {shape}, %1: i8[8, 16, 3, 3], %2: f32[8], %60: f32[8, 1, 1, 1]) {{
  %3: f32[] = constant[value=f32[] 0.5]()
{}  %7: f32[] = constant[value=f32[] 131.0]()
{}  %10: f32[] = constant[value=f32[] 0.0]()
{}  %12: f32[] = constant[value=f32[] 255.0]()
{}  %5: {shape} = divide(%0, %4)
  %6: {shape} = round_nearest_even(%5)
  %9: {shape} = add(%6, %8)
  %14: {shape} = clamp(%11, %9, %13)
  %15: i32[1, 16, 5, 5] = convert[dtype=i32](%14)
  %16: i32[] = constant[value=i32[] 131]()
  %17: i32[1, 16, 5, 5] = broadcast_in_dim[shape=[1, 16, 5, 5], dims=[]](%16)
  %18: i32[1, 16, 5, 5] = subtract(%15, %17)
  %24: {shape} = convert[dtype=f32](%18)
  %19: {shape} = multiply(%24, %4)
  %20: f32[8, 16, 3, 3] = convert[dtype=f32](%1)
  %21: f32[8, 16, 3, 3] = broadcast_in_dim[shape=[8, 16, 3, 3], dims=[0, 1, 2, 3]](%60)
  %22: f32[8, 16, 3, 3] = multiply(%20, %21)
  %23: f32[1, 8, 3, 3] = convolution[slides=[{{stride=2 low=1 high=1}}, \
         {{stride=2 low=1 high=1}}], groups=1, dtype=f32](%19, %22)
  %30: f32[1, 8, 3, 3] = broadcast_in_dim[shape=[1, 8, 3, 3], dims=[1]](%2)
  %31: f32[1, 8, 3, 3] = add(%23, %30)
  %32: f32[1, 8, 3, 3] = broadcast_in_dim[shape=[1, 8, 3, 3], dims=[]](%10)
  %33: f32[1, 8, 3, 3] = maximum(%31, %32)
  return %33
}}",
        full(4, 3),
        full(8, 7),
        full(11, 10),
        full(13, 12)
    );
    passes::channels_last(&numbered(&text), &[false, true, true, true]).unwrap().unwrap()
}

#[test]
fn a_convolution_is_a_product_of_patches() {
    let new = rewritten(&convolution(), &[false; 4], 0.0).unwrap();
    let products = new.eqns().iter().filter(|e| e.op.name() == "quantized_dot");
    let shapes: Vec<Vec<usize>> = products.map(|e| new.ty(e.inputs[0]).shape.to_vec()).collect();
    assert_eq!(shapes, [[1, 3, 3, 144]], "{new}");
    assert!(!new.to_string().contains("convolution"), "{new}");
}

/// Returns true if the product of what `x` computes from bytes %0 with the weights %1 stays.
fn stays(depth: usize, x: &str) -> bool {
    let graph = numbered(&format!(
        "graph(%0: i8[2, {depth}], %1: i8[{depth}, 3]) {{
{x}
  %20: f32[{depth}, 3] = convert[dtype=f32](%1)
  %23: f32[2, 3] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
         dtype=f32](%19, %20)
  return %23
}}"
    ));
    rewritten(&graph, &[false; 2], 0.0).is_none()
}

#[test]
fn only_exact_forms_are_integer_products() {
    let plain = |depth: usize| format!("  %19: f32[2, {depth}] = convert[dtype=f32](%0)");
    assert!(!stays(6, &plain(6)));
    // Sums of 65,794 products of 255 and 128 do not fit.
    assert!(!stays(65_793, &plain(65_793)));
    assert!(stays(65_794, &plain(65_794)));
    // Numbers that wrap.
    assert!(stays(
        6,
        "  %2: u8[2, 6] = convert[dtype=u8](%0)
  %3: u16[2, 6] = convert[dtype=u16](%0)
  %19: f32[2, 6] = convert[dtype=f32](%3)"
    ));
    let wrapped = "  %2: u8[2, 6] = convert[dtype=u8](%0)
  %3: i32[2, 6] = convert[dtype=i32](%2)
  %19: f32[2, 6] = convert[dtype=f32](%3)";
    assert!(!stays(6, wrapped), "the bytes are those after the conversion");
    // A difference of bytes wraps, too, and a zero point is a byte.
    assert!(stays(
        6,
        "  %2: i8[] = constant[value=i8[] 100]()
  %3: i8[2, 6] = broadcast_in_dim[shape=[2, 6], dims=[]](%2)
  %4: i8[2, 6] = subtract(%0, %3)
  %5: i32[2, 6] = convert[dtype=i32](%4)
  %6: i32[] = constant[value=i32[] 1000]()
  %7: i32[2, 6] = broadcast_in_dim[shape=[2, 6], dims=[]](%6)
  %8: i32[2, 6] = subtract(%5, %7)
  %19: f32[2, 6] = convert[dtype=f32](%8)"
    ));
}
