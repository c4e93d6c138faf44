//! Models of one node: any operator, with inputs and attributes of any kind.

use crate::operator::Operator;
use crate::ops::FAMILIES;
use crate::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use crate::testing::{graph, model_of, node};
use crate::{Importer, OnnxValue, Strings};
use neurax::testing::Draw;
use neurax_tensor::{DType, Tensor};
use std::collections::HashMap;

/// Numbers that are sizes, axes, and neither.
const NUMBERS: [i64; 12] = [0, 1, 2, 3, -1, -2, 4, 5, 1 << 40, i64::MAX, i64::MIN, i32::MIN as i64];

/// Strings that are values of attributes.
const TEXTS: [&str; 16] = [
    "",
    "constant",
    "reflect",
    "linear",
    "cubic",
    "nearest",
    "SAME_UPPER",
    "VALID",
    "bidirectional",
    "add",
    "none",
    "LEFT",
    "ij,jk->ik",
    "Relu",
    "sum",
    "align_corners",
];

/// Returns a shape of few elements, also of none and of rank 0.
fn any_shape(draw: &mut Draw) -> Vec<usize> {
    (0..draw.below(5)).map(|_| [0, 1, 2, 3, 4][draw.below(5)]).collect()
}

fn any_value(draw: &mut Draw) -> OnnxValue {
    const DTYPES: [DType; 9] = [
        DType::F32,
        DType::F32,
        DType::I64,
        DType::I64,
        DType::F64,
        DType::U8,
        DType::I8,
        DType::Bool,
        DType::F16,
    ];
    let (shape, dtype) = (any_shape(draw), DTYPES[draw.below(9)]);
    let size: usize = shape.iter().product();
    match (draw.below(20), dtype) {
        (0, _) => OnnxValue::Sequence((0..draw.below(3)).map(|_| any_value(draw)).collect()),
        (1, _) => OnnxValue::Optional(None),
        (2, _) => Strings::new(shape, vec!["a b".into(); size])
            .map_or(OnnxValue::Optional(None), OnnxValue::Strings),
        (_, DType::I64) => {
            let data: Vec<i64> = (0..size).map(|_| NUMBERS[draw.below(12)]).collect();
            OnnxValue::Tensor(Tensor::from_vec(data, shape))
        }
        _ => {
            let data: Vec<f32> = (0..size).map(|_| draw.below(9) as f32 / 2.0 - 1.0).collect();
            OnnxValue::Tensor(Tensor::from_vec(data, shape).to(dtype))
        }
    }
}

fn any_attribute(name: &str, draw: &mut Draw) -> AttributeProto {
    let number = |draw: &mut Draw| NUMBERS[draw.below(12)];
    let mut a = AttributeProto { name: name.into(), ..AttributeProto::default() };
    (a.r#type, a.i) = (2, Some(number(draw)));
    match draw.below(9) {
        0 => (a.r#type, a.f) = (1, Some(draw.below(9) as f32 / 2.0 - 1.0)),
        1 => (a.r#type, a.s) = (3, Some(TEXTS[draw.below(16)].into())),
        2 => (a.r#type, a.floats) = (6, vec![0.5; draw.below(5)]),
        3 => (a.r#type, a.ints) = (7, (0..draw.below(6)).map(|_| number(draw)).collect()),
        4 => (a.r#type, a.ints) = (7, vec![1; draw.below(6)]),
        5 => {
            let strings = (0..draw.below(4)).map(|_| TEXTS[draw.below(16)].into());
            (a.r#type, a.strings) = (8, strings.collect());
        }
        6 => {
            let t = TensorProto { data_type: 1, float_data: vec![1.0], ..TensorProto::default() };
            (a.r#type, a.t) = (4, Some(t));
        }
        7 => {
            let g: GraphProto = graph(&[("i", &[])], &["o"], vec![], vec![node("Neg", "i", "o")]);
            (a.r#type, a.g) = (5, Some(g));
        }
        _ => a.i = Some(draw.below(3) as i64),
    }
    a
}

/// Returns a model of one call of an operator, and its inputs.
fn any_call(op: &Operator, draw: &mut Draw) -> (Vec<u8>, HashMap<String, OnnxValue>) {
    let most = (*op.inputs.end()).min(op.inputs.start() + 3);
    let count = draw.within(*op.inputs.start()..=most);
    let names: Vec<String> = (0..count).map(|i| format!("x{i}")).collect();
    let values = names.iter().map(|n| (n.clone(), any_value(draw))).collect();
    let attributes = op.attributes.iter().filter(|_| draw.below(3) > 0).collect::<Vec<_>>();
    let node = NodeProto {
        op_type: op.name.into(),
        domain: op.domain.into(),
        input: names.clone(),
        output: (0..draw.within(1..=3)).map(|i| format!("y{i}")).collect(),
        attribute: attributes.into_iter().map(|name| any_attribute(name, draw)).collect(),
        ..NodeProto::default()
    };
    let inputs: Vec<(&str, &[i64])> = names.iter().map(|n| (n.as_str(), &[][..])).collect();
    let version = op.since[draw.below(op.since.len())];
    let mut g = graph(&inputs, &["y0"], vec![], vec![node]);
    g.input.iter_mut().for_each(|i| i.r#type = None);
    (model_of(op.domain, version, g), values)
}

/// Calls an operator. Returns true if the call succeeds.
///
/// # Errors
/// If the error of the call is one of Neurax.
pub(super) fn call(draw: &mut Draw) -> Result<bool, String> {
    let all: Vec<&Operator> = FAMILIES.iter().flat_map(|family| family.iter()).collect();
    let op = all[draw.below(all.len())];
    let (bytes, values) = any_call(op, draw);
    match Importer::new().open_bytes(bytes).and_then(|s| s.run(values)) {
        Err(e) if super::is_bug(&e) => Err(format!("{}: {e}", op.name)),
        result => Ok(result.is_ok()),
    }
}
