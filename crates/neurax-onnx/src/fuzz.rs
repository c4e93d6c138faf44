//! Damaged models: no file may panic, hang, or allocate what it merely claims.
//!
//! Models are written, bytes of them changed, and the results read and, where that succeeds, run.
//! Then models of one node are made: any operator, with inputs and attributes of any kind.
//! `NEURAX_FUZZ_COUNT` sets the number of files, `NEURAX_FUZZ_SEED` the seed, which is printed.

use crate::operator::Operator;
use crate::ops::FAMILIES;
use crate::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use crate::testing::{body, floats, graph, int, ints, model, model_of, node};
use crate::{Importer, OnnxValue, Strings};
use neurax::testing::Draw;
use neurax_tensor::{DType, Tensor};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Files of a run without other settings.
const COUNT: usize = 2000;

/// Returns valid models of different parts.
fn models() -> Vec<Vec<u8>> {
    let step = graph(
        &[("i", &[]), ("go", &[]), ("s", &[2])],
        &["go2", "s2", "s3"],
        vec![],
        vec![node("Identity", "go", "go2"), node("Add", "s x", "s2"), node("Neg", "s2", "s3")],
    );
    let branch = |op: &str| graph(&[], &["z"], vec![], vec![node(op, "x", "z")]);
    vec![
        model(graph(
            &[("x", &[2])],
            &["y", "all"],
            vec![ints("n", &[], &[3])],
            vec![node("Loop", "n _ x", "y all").with(body("body", step))],
        )),
        model(graph(
            &[("x", &[2])],
            &["y"],
            vec![floats("zero", &[1], &[0.0])],
            vec![
                node("ReduceSum", "x", "sum").with(int("keepdims", 0)),
                node("Greater", "sum zero", "pred"),
                node("If", "pred", "y")
                    .with(body("then_branch", branch("Neg")))
                    .with(body("else_branch", branch("Abs"))),
            ],
        )),
        model(graph(
            &[("x", &[2, 3])],
            &["y"],
            vec![
                floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
                ints("shape", &[2], &[1, -1]),
                ints("pads", &[4], &[0, 1, 0, 1]),
            ],
            vec![
                node("MatMul", "x w", "a"),
                node("Pad", "a pads", "b"),
                node("Reshape", "b shape", "c"),
                node("NonZero", "c", "d"),
                node("Transpose", "d", "e"),
                node("GatherND", "c e", "y"),
            ],
        )),
    ]
}

/// Changes bytes of a file: single bits, whole bytes, ends, repeated and removed parts.
fn damage(bytes: &mut Vec<u8>, draw: &mut Draw) {
    for _ in 0..draw.within(1..=4) {
        if bytes.is_empty() {
            return;
        }
        let at = draw.below(bytes.len());
        match draw.below(6) {
            0 => bytes[at] ^= 1 << draw.below(8),
            1 => bytes[at] = draw.below(256) as u8,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, draw.below(256) as u8),
            4 => _ = bytes.remove(at),
            _ => {
                let end = (at + draw.within(1..=16)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

fn read_and_run(bytes: Vec<u8>) {
    let Ok(session) = Importer::new().open_bytes(bytes) else { return };
    for shape in [vec![2], vec![2, 3]] {
        let inputs: HashMap<String, OnnxValue> = session
            .inputs()
            .map(|name| (name.to_string(), OnnxValue::Tensor(Tensor::ones(&shape))))
            .collect();
        _ = session.run(inputs);
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

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

#[test]
fn random_calls_of_operators_neither_panic_nor_hang() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let seed = setting("NEURAX_FUZZ_SEED", now);
    println!("NEURAX_FUZZ_SEED={seed}");
    let all: Vec<&Operator> = FAMILIES.iter().flat_map(|family| family.iter()).collect();
    let (mut panics, mut succeeded) = (Vec::new(), 0);
    for i in 0..setting("NEURAX_FUZZ_COUNT", COUNT as u64) {
        let mut draw = Draw::new(seed.wrapping_add(i));
        let op = all[draw.below(all.len())];
        let (bytes, values) = any_call(op, &mut draw);
        let start = Instant::now();
        let run = || Importer::new().open_bytes(bytes).and_then(|s| s.run(values));
        let outcome = catch_unwind(AssertUnwindSafe(run));
        let case =
            format!("{} NEURAX_FUZZ_SEED={} NEURAX_FUZZ_COUNT=1", op.name, seed.wrapping_add(i));
        match outcome {
            Ok(Err(e)) if e.to_string().contains("internal error") => {
                panics.push(format!("{case}: {e}"));
            }
            Ok(Err(_)) => (),
            Ok(Ok(_)) => succeeded += 1,
            Err(_) => panics.push(format!("{case}: panicked")),
        }
        assert!(start.elapsed().as_secs() < 60, "{case}: took {:?}", start.elapsed());
    }
    println!("{succeeded} calls succeeded");
    assert!(panics.is_empty(), "{}", panics.join("\n"));
}

#[test]
fn damaged_models_neither_panic_nor_hang() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let seed = setting("NEURAX_FUZZ_SEED", now);
    let count = setting("NEURAX_FUZZ_COUNT", COUNT as u64);
    println!("NEURAX_FUZZ_SEED={seed}");
    let models = models();
    models.iter().for_each(|m| assert!(Importer::new().open_bytes(m.clone()).is_ok()));
    for i in 0..count {
        let mut draw = Draw::new(seed.wrapping_add(i));
        let mut bytes = models[draw.below(models.len())].clone();
        damage(&mut bytes, &mut draw);
        let (start, copy) = (Instant::now(), bytes.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| read_and_run(bytes)));
        let case = format!("NEURAX_FUZZ_SEED={} NEURAX_FUZZ_COUNT=1", seed.wrapping_add(i));
        assert!(outcome.is_ok(), "{case}: panicked on {copy:?}");
        // A hang is minutes; a slow machine is not.
        assert!(start.elapsed().as_secs() < 60, "{case}: took {:?}", start.elapsed());
    }
}
