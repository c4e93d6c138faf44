//! Tests of whole models.

use super::Exporter;
use crate::proto::ModelProto;
use crate::{Importer, import_bytes};
use neurax::nn;
use neurax::prelude::*;
use prost::Message;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns the operators of a file, in order.
fn operators(file: &[u8]) -> Vec<String> {
    let model = ModelProto::decode(file).unwrap();
    model.graph.unwrap().node.iter().map(|n| n.op_type.clone()).collect()
}

fn assert_close(y: &Tensor, want: &Tensor) {
    assert_eq!(y.shape(), want.shape());
    assert!(y.allclose(want, 1e-4, 1e-5).item().unwrap() == 1.0, "{y} {want}");
}

/// Exports a function for open sizes, and compares it with its import for several numbers.
fn check(f: impl Fn(Tensor) -> Tensor + Send + Sync, types: [TypeSpec; 1]) -> Vec<String> {
    let file = Exporter::new().to_bytes_fn(&f, types.clone()).unwrap();
    let net = import_bytes(file.clone()).unwrap();
    for n in [1, 2, 5] {
        let size = |d: &Dim| if let Dim::Size(n) = d { *n } else { n };
        let x = key(n as i64).normal(types[0].dims.iter().map(size).collect::<Vec<_>>());
        assert_close(net.apply(&x).y(), &f(x));
    }
    operators(&file)
}

fn type_of(x: &Tensor) -> TypeSpec {
    TypeSpec { dtype: x.dtype(), dims: x.shape().iter().map(|&n| Dim::Size(n)).collect() }
}

fn mlp() -> Net {
    let model = nn::input("x", dims![_, 4]).dense(8).relu().dense(3).softmax().model();
    model.bind(model.init(key(0), &types![f32[_, 4]]).unwrap())
}

#[test]
fn an_mlp_is_products_sums_and_activations() {
    let net = mlp();
    let file = Exporter::new().to_bytes(&net, types![f32[_, 4]]).unwrap();
    assert_eq!(operators(&file), ["MatMul", "Add", "Relu", "MatMul", "Add", "Softmax"]);
    let back = import_bytes(file).unwrap();
    assert_eq!(back.vars.trainable(), net.vars.trainable());
    let x = key(1).normal([5, 4]);
    assert_close(back.apply(&x).y(), net.apply(&x).y());
}

#[test]
fn sizes_that_depend_on_open_ones_are_computed() {
    let any = || types![f32[_, 4]];
    assert_eq!(check(|x| x.reshape([x.dim(0) * 2, 2]), any()), ["Reshape"]);
    assert_eq!(check(|x| x.mean(0), any()), ["ReduceMean"]);
    check(|x| x.slice(0, 1..).concat_zeros(), types![f32["n", 4]]);
    check(|x| x.expand_dims(0) + x.expand_dims(1), any());
    check(|x| x.t().matmul(&x) / x.dim(0) as f64, any());
    check(|x| Tensor::arange(x.dim(0)).to(F32).expand_dims(1) * x, any());
    check(|x| x.reshape([x.dim(0), x.dim(1) * 2]), types![f32[_, "m", 2]]);
}

trait ConcatZeros {
    fn concat_zeros(&self) -> Tensor;
}

impl ConcatZeros for Tensor {
    /// Appends a row of zeros.
    fn concat_zeros(&self) -> Tensor {
        concat([self.clone(), Tensor::zeros([1, self.dim(1)])], 0)
    }
}

#[test]
fn functions_may_need_larger_sizes_or_multiples() {
    let f = |x: Tensor| x.reshape([x.dim(0) / 4, 4]).sum(1);
    let file = Exporter::new().to_bytes_fn(f, types![f32["n"]]).unwrap();
    let x = key(0).normal([24]);
    assert_close(import_bytes(file).unwrap().apply(&x).y(), &f(x));
}

#[test]
fn what_cannot_be_computed_is_an_error_with_its_line() {
    let f = |x: Tensor| x.reshape([x.dim(0)]).mean(..) * (x.dim(0) as f64).ln();
    let e = Exporter::new().to_bytes_fn(f, types![f32[_, 1]]).unwrap_err().to_string();
    assert!(e.contains("depends on an open size") && e.contains("export/tests.rs"), "{e}");
    let g = |x: Tensor| (0..x.dim(0)).fold(x.clone(), |y, _| y.sin());
    let e = Exporter::new().to_bytes_fn(g, types![f32[_, 1]]).unwrap_err().to_string();
    assert!(e.contains("open size"), "{e}");
    assert!(Exporter::new().to_bytes_fn(g, types![f32[3, 1]]).is_ok());
}

#[test]
fn captures_that_differ_are_not_traced_with_larger_sizes() {
    static TRACES: AtomicUsize = AtomicUsize::new(0);
    let f = |x: Tensor| {
        TRACES.fetch_add(1, Ordering::Relaxed);
        let squares: Vec<f32> = (0..x.dim(0)).map(|i| (i * i) as f32).collect();
        &x + Tensor::from_vec(squares, [x.dim(0)])
    };
    let e = Exporter::new().to_bytes_fn(f, types![f32["n"]]).unwrap_err().to_string();
    assert!(e.contains("is another one for other open sizes; fix the sizes"), "{e}");
    assert!(e.contains("the tensor f32[5] where n = 5,") && e.contains("export/tests.rs"), "{e}");
    assert_eq!(TRACES.load(Ordering::Relaxed), 5, "four small sizes and a large one");
}

/// Tensors of up to 64 bytes are constants of a trace, and larger ones are captures.
#[test]
fn tensors_that_are_computed_from_sizes_are_generated() {
    let tensor = |shape: &[usize], f: &dyn Fn(usize) -> f32| {
        let count: usize = shape.iter().product();
        Tensor::from_vec((0..count).map(f).collect::<Vec<f32>>(), shape)
    };
    let filled = move |x: Tensor| &x + tensor(&[x.dim(0), 3], &|_| 2.5);
    assert!(check(filled, types![f32["n", 3]]).contains(&"Add".to_string()));
    let repeated = move |x: Tensor| &x * tensor(&[x.dim(0), 3], &|i| (i % 3) as f32);
    check(repeated, types![f32["n", 3]]);
    let range = move |x: Tensor| {
        let n = x.dim(0);
        &x + tensor(&[n], &|i| (2 * i + n) as f32)
    };
    assert!(check(range, types![f32["n"]]).contains(&"Range".to_string()));
    let mask = move |x: Tensor| {
        let n = x.dim(0);
        let of = |i: usize| if i % n <= i / n { 0.0 } else { f32::NEG_INFINITY };
        (x.expand_dims(0) * x.expand_dims(1) + tensor(&[n, n], &of)).softmax(-1)
    };
    check(mask, types![f32["n"]]);
    let bias = move |x: Tensor| {
        let n = x.dim(0) as i64;
        let of = |i: usize| ((i as i64 % n - i as i64 / n).clamp(-3, 3) as f32).powi(3);
        x.expand_dims(1) + tensor(&[n as usize, n as usize], &of)
    };
    check(bias, types![f32["n"]]);
    let row = move |x: Tensor| scan(Tensor::zeros(3), x, |s, row| (&s + &row, s * row)).1;
    let in_body = move |x: Tensor| row(&x + tensor(&[x.dim(0), 3], &|_| 1.0));
    check(in_body, types![f32["n", 3]]);
}

#[test]
fn numbers_that_are_linear_for_some_sizes_only_are_errors() {
    let half = |x: Tensor| x.slice(0, ..x.dim(0).div_ceil(2) as i64);
    let first = |x: Tensor| x.slice(0, ..x.dim(0).min(100) as i64);
    let inner = |x: Tensor| x.slice(0, 1..x.dim(0).min(100) as i64);
    let of_four = |x: Tensor| {
        let x = x.reshape([x.dim(0) / 4, 4]).sum(1);
        x.slice(0, ..x.dim(0).div_ceil(2) as i64)
    };
    let file = |f: fn(Tensor) -> Tensor| Exporter::new().to_bytes_fn(f, types![f32["n"]]);
    for f in [half, first, inner, of_four] {
        let e = file(f).unwrap_err().to_string();
        assert!(e.contains("open size") && e.contains("export/tests.rs"), "{e}");
    }
    let pairs = |x: Tensor| {
        let n = x.dim(0) / 4;
        x.reshape([n, 4]).slice(0, ..n as i64 - 1).sum(0)
    };
    assert!(file(pairs).is_ok(), "all sizes are multiples of 4");
}

#[test]
fn constants_may_have_the_length_of_a_trace() {
    // Open sizes are 5, 8, .. in the traces.
    let f = |x: Tensor| x.sum(0) + Tensor::arange(8).to(F32);
    assert!(check(f, types![f32[_, 8]]).contains(&"Add".to_string()));
    let table = Tensor::arange(8).to(F32);
    check(move |x: Tensor| x.sum(..) * &table, types![f32["n"]]);
}

#[test]
fn integers_stay_integers() {
    let big = tensor([(1i64 << 60) + 3, -(1i64 << 60) - 3, i64::MIN, 7]);
    let run = |f: fn(Tensor) -> Tensor, x: &Tensor| {
        let file = Exporter::new().to_bytes_fn(f, [type_of(x)]).unwrap();
        let y = import_bytes(file.clone()).unwrap().apply(x).y().clone();
        let want = f(x.clone());
        assert_eq!(y.to_literal().unwrap(), want.to_literal().unwrap(), "{y} {want}");
        operators(&file)
    };
    let ops = run(|x| &x % 10 + &x % tensor(-1i64), &big);
    assert!(ops.contains(&"Div".to_string()) && !ops.contains(&"Mod".to_string()), "{ops:?}");
    assert!(run(|x| x % 10, &big.to(U64)).contains(&"Mod".to_string()));
    let ops = run(|x| x.pow(5), &tensor([12345i64, -7, 0, 1]));
    assert_eq!(ops, ["Mul", "Mul", "Mul"]);
    let f = |(x, y): (Tensor, Tensor)| x.pow(y);
    let e = Exporter::new().to_bytes_fn(f, types![i64[2], i64[2]]).unwrap_err().to_string();
    assert!(e.contains("constant exponent"), "{e}");
}

#[test]
fn erfc_keeps_its_digits() {
    let f = |x: Tensor| x.erfc();
    for dtype in [F32, F64] {
        let x = Tensor::linspace(-9.0, 9.0, 181).to(dtype);
        let file = Exporter::new().to_bytes_fn(f, [type_of(&x)]).unwrap();
        let y = import_bytes(file).unwrap().apply(&x).y().clone();
        let rtol = if dtype == F64 { 3e-7 } else { 1e-3 };
        assert!(y.allclose(f(x), rtol, 0.0).item().unwrap() == 1.0, "{y}");
    }
}

#[test]
fn means_are_exact_in_their_dtype() {
    let ops = |count: f64, spec: [TypeSpec; 1]| {
        operators(&Exporter::new().to_bytes_fn(move |x: Tensor| x.sum(0) / count, spec).unwrap())
    };
    assert_eq!(ops(100.0, types![f64[100]]), ["ReduceMean"]);
    assert!(ops(100.0 + 1e-9, types![f64[100]]).contains(&"Div".to_string()));
    assert_eq!(ops(100.0, types![f32[100]]), ["ReduceMean"]);
}

#[test]
fn all_operations_without_a_form_are_listed() {
    let f = |x: Tensor| (x.lgamma() + x.digamma()).matmul(x.cholesky());
    let e = Exporter::new().to_bytes_fn(f, types![f32[3, 3]]).unwrap_err().to_string();
    assert!(e.contains("3 operations have no ONNX form"), "{e}");
    for part in ["lgamma: ", "digamma: ", "cholesky: ", "export/tests.rs"] {
        assert!(e.contains(part), "{e}");
    }
    let e = Exporter::new().opset(12).to_bytes(&mlp(), types![f32[_, 4]]).unwrap_err();
    assert!(e.message().contains("expected an opset from 13 to 28, got 12"), "{e}");
}

#[test]
fn loops_and_branches_are_exported() {
    let double = |x: Tensor| while_loop(x, |x| x.sum(..).lt(100.0), |x| x * 2.0 + 1.0);
    assert!(check(double, types![f32[_, 2]]).contains(&"Loop".to_string()));
    let sums = |x: Tensor| scan(Tensor::zeros(2), x, |s, row| (&s + &row, s * row)).1;
    assert!(check(sums, types![f32[_, 2]]).contains(&"Scan".to_string()));
    let back = |x: Tensor| scan_reverse(x.sum(0), x, |s, row| (&s + &row, s * row)).1;
    check(back, types![f32[_, 2]]);
    let power = |x: Tensor| fori(0..3, x, |i, x| &x * &x + i.to(F32));
    check(power, types![f32[_, 2]]);
    let choice = |x: Tensor| cond(&x.sum(..).gt(0.0), || x.sin(), || x.exp());
    assert!(check(choice, types![f32[_, 2]]).contains(&"If".to_string()));
}

#[test]
fn layers_are_operators() {
    let image = || nn::input("image", dims![_, 3, 8, 8]);
    let cases = [
        (image().conv(4, 3).relu().max_pool(2), vec!["Conv", "Relu", "MaxPool"]),
        (image().avg_pool(2).batch_norm(), vec!["AveragePool", "BatchNormalization"]),
    ];
    for (node, want) in cases {
        let model = node.model();
        let net = model.bind(model.init(key(0), &types![f32[_, 3, 8, 8]]).unwrap());
        let file = Exporter::new().to_bytes(&net, types![f32[_, 3, 8, 8]]).unwrap();
        assert_eq!(operators(&file), want);
        let x = key(1).normal([2, 3, 8, 8]);
        assert_close(import_bytes(file).unwrap().apply(&x).y(), net.apply(&x).y());
    }
    let up = nn::ConvTranspose::new(2, 3).strides(2);
    let model = image().layer(up).model();
    let net = model.bind(model.init(key(0), &types![f32[_, 3, 8, 8]]).unwrap());
    let file = Exporter::new().to_bytes(&net, types![f32[_, 3, 8, 8]]).unwrap();
    assert!(operators(&file).contains(&"ConvTranspose".to_string()), "{:?}", operators(&file));
    let x = key(1).normal([2, 3, 8, 8]);
    assert_close(import_bytes(file).unwrap().apply(&x).y(), net.apply(&x).y());
}

#[test]
fn quantized_weights_stay_integers() {
    let model = nn::input("x", dims![_, 64]).dense(64).relu().dense(10).model();
    let vars = model.init(key(0), &types![f32[_, 64]]).unwrap();
    let vars = nn::quantize::weights(&vars, "**.kernel", nn::Scheme::Int8).unwrap().vars;
    let net = model.bind(vars);
    let file = Exporter::new().to_bytes(&net, types![f32[_, 64]]).unwrap();
    assert!(file.len() < 64 * 74 + 4000, "{}", file.len());
    let found = operators(&file).iter().filter(|op| *op == "DequantizeLinear").count();
    assert_eq!(found, 2);
    let x = key(1).normal([2, 64]);
    assert_close(import_bytes(file).unwrap().apply(&x).y(), net.apply(&x).y());
}

#[test]
fn narrow_floats_halve_the_file() {
    let model = nn::input("x", dims![_, 64]).dense(64).relu().dense(10).model();
    let net = model.bind(model.init(key(0), &types![f32[_, 64]]).unwrap());
    let size = |exporter: &Exporter| exporter.to_bytes(&net, types![f32[_, 64]]).unwrap().len();
    let narrow = Exporter::new().float(F16);
    assert!(size(&narrow) < size(&Exporter::new()) / 2 + 1000);
    let file = narrow.to_bytes(&net, types![f32[_, 64]]).unwrap();
    let x = key(1).normal([2, 64]);
    let y = import_bytes(file).unwrap().apply(&x).y().clone();
    assert_eq!(y.dtype(), F32);
    assert!(y.allclose(net.apply(&x).y(), 0.02, 0.02).item().unwrap() == 1.0);
    let e = Exporter::new().float(F64).to_bytes(&net, types![f32[_, 64]]).unwrap_err();
    assert!(e.message().contains("expected f16 or bf16 as float, got f64"), "{e}");
}

#[test]
fn narrow_masks_stay_finite() {
    let f = |(x, mask): (Tensor, Tensor)| x + (1.0 - mask) * f32::MIN;
    for dtype in [F16, BF16] {
        let exporter = Exporter::new().float(dtype);
        let file = exporter.to_bytes_fn(f, types![f32[2], f32[2]]).unwrap();
        let inputs = [("x0", tensor([1.0, 2.0])), ("x1", tensor([1.0, 0.0]))];
        let y = import_bytes(file).unwrap().apply(inputs).y().to_vec::<f32>().unwrap();
        assert!(y[0] == 1.0 && y[1] < -60000.0 && y[1].is_finite(), "{dtype}: {y:?}");
    }
}

#[test]
fn narrow_means_of_open_sizes_are_means() {
    let f: [fn(Tensor) -> Tensor; 2] =
        [|x| x.mean([1, 2]) * 2.0, |x| x.mean(keep([1, 2])).relu() * 2.0];
    let exporter = Exporter::new().float(F16);
    for f in f {
        let file = exporter.to_bytes_fn(f, types![f32[_, "height", "width"]]).unwrap();
        let ops = operators(&file);
        assert!(ops.contains(&"ReduceMean".to_string()), "{ops:?}");
        assert!(!ops.contains(&"Div".to_string()), "{ops:?}");
        let y = import_bytes(file).unwrap().apply(Tensor::ones([1, 300, 300]));
        assert_eq!(y.y().to_vec::<f32>().unwrap(), [2.0], "90,000 is no f16");
    }
}

#[test]
fn large_tensors_are_in_another_file() {
    let folder = std::env::temp_dir().join(format!("neurax-export-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (path, net) = (folder.join("mlp.onnx"), mlp());
    Exporter::new().external_data(64).export(&net, types![f32[_, 4]], &path).unwrap();
    let data = std::fs::metadata(folder.join("mlp.onnx.data")).unwrap().len();
    assert_eq!(data, 4096 + 8 * 3 * 4, "two kernels, each on a page");
    let x = key(1).normal([5, 4]);
    assert_close(crate::import(&path).unwrap().apply(&x).y(), net.apply(&x).y());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn names_and_metadata_are_those_of_the_options() {
    let exporter = Exporter::new().input_names(["a"]).output_names(["b"]).doc("text");
    let exporter = exporter.property("license", "MIT").producer("me", "2").model_version(3);
    let file = exporter.to_bytes(&mlp(), types![f32[_, 4]]).unwrap();
    let session = Importer::new().open_bytes(file.clone()).unwrap();
    assert_eq!(session.info().inputs[0].r#type, "f32[batch, 4]");
    assert_eq!(session.inputs().chain(session.outputs()).collect::<Vec<_>>(), ["a", "b"]);
    let model = ModelProto::decode(&file[..]).unwrap();
    assert_eq!((model.producer_name.as_str(), model.producer_version.as_str()), ("me", "2"));
    assert_eq!((model.doc_string.as_str(), model.model_version), ("text", 3));
    assert_eq!(model.metadata_props[0].value, "MIT");
    let names: Vec<String> = model.graph.unwrap().node.iter().map(|n| n.name.clone()).collect();
    assert!(names.iter().any(|n| n == "dense_1/MatMul"), "{names:?}");
    let e = Exporter::new().input_names(["a", "b"]).to_bytes(&mlp(), types![f32[_, 4]]);
    assert!(e.unwrap_err().message().contains("expected 1 names of inputs, got 2"));
}

/// The steps of a layer normalization are its operator in a newer operator set, also those of a
/// file that had none.
#[test]
fn steps_of_composites_become_their_operators() {
    let layer_norm = |x: Tensor| {
        let c = &x - &x.mean(keep(-1));
        &c / ((&c * &c).mean(keep(-1)) + 1e-5).sqrt()
    };
    let types = || types![f32[_, 8]];
    assert_eq!(check(layer_norm, types()), ["LayerNormalization"]);
    let old = Exporter::new().opset(13).to_bytes_fn(layer_norm, types()).unwrap();
    assert!(operators(&old).len() > 5, "{:?}", operators(&old));
    let net = import_bytes(old).unwrap();
    let new = Exporter::new().opset(17).to_bytes(&net, types()).unwrap();
    assert_eq!(operators(&new), ["LayerNormalization"]);
    let x = key(3).normal([4, 8]);
    assert_close(import_bytes(new).unwrap().apply(&x).y(), &layer_norm(x));

    let gelu = |x: Tensor| x.gelu(false);
    let old = Exporter::new().opset(18).to_bytes_fn(gelu, types()).unwrap();
    assert_eq!(operators(&old), ["Div", "Erf", "Add", "Mul", "Mul"]);
    let new = Exporter::new().opset(20).to_bytes(&import_bytes(old).unwrap(), types()).unwrap();
    assert_eq!(operators(&new), ["Gelu"]);
}

#[test]
fn angles_and_conversions_are_right_at_their_limits() {
    let inf = f32::INFINITY;
    let ends = [0.0, -0.0, 1.0, -2.0, inf, -inf];
    let pairs: Vec<(f32, f32)> = ends.iter().flat_map(|&y| ends.map(|x| (y, x))).collect();
    let column = |f: fn(&(f32, f32)) -> f32| tensor(pairs.iter().map(f).collect::<Vec<_>>());
    let (y, x) = (column(|p| p.0), column(|p| p.1));
    let exporter = Exporter::new();
    let file =
        exporter.to_bytes_fn(|(y, x): (Tensor, Tensor)| y.atan2(x), types![f32[36], f32[36]]);
    let angles = import_bytes(file.unwrap()).unwrap().apply([("x0", y), ("x1", x)]);
    let want: Vec<f32> = pairs.iter().map(|(y, x)| y.atan2(*x)).collect();
    assert_close(angles.y(), &tensor(want));
    let numbers = vec![1e20, -1e20, inf, -inf, 2147483648.0, 2147483520.0, 3e9, -3e9, 1.5, 9.3e18];
    for dtype in [I32, I64, U32, U64, I8] {
        let file = exporter.to_bytes_fn(move |x: Tensor| x.to(dtype), types![f32[10]]).unwrap();
        let y = import_bytes(file).unwrap().apply(tensor(numbers.clone()));
        let want = tensor(numbers.clone()).to(dtype);
        assert_eq!(y.y().to_string(), want.to_string(), "{dtype}");
    }
}
