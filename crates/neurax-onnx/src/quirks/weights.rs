//! Weights: where they are stored, and what they are to the caller.

use super::{assert_tensor, calls, numbers, one_node, open, refusal, results, run};
use crate::proto::{DataLocation, TensorProto};
use crate::testing::{
    body, declared, edited, external, floats, graph, int, ints, model, node, raw, value,
};
use crate::{Importer, Session};
use neurax_ir::Result;
use neurax_tensor::{DType, Tensor, tensor};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

// Quirk 7.

/// Returns a model that adds `w`, which is an initializer and an input, in a version of the format.
fn with_default(ir_version: i64) -> Session {
    let inputs: &[(&str, &[i64])] = &[("x", &[2]), ("w", &[2]), ("shape", &[2])];
    let mut g = graph(
        inputs,
        &["y"],
        vec![],
        vec![node("Add", "x w", "sum"), node("Reshape", "sum shape", "y")],
    );
    g.initializer = vec![floats("w", &[2], &[10.0, 20.0]), ints("shape", &[2], &[1, 2])];
    g.input[2] = declared("shape", 7, &["2"]);
    open(edited(model(g), |m| m.ir_version = ir_version))
}

#[test]
fn initializers_of_old_files_are_no_inputs() {
    let session = with_default(3);
    assert_eq!(session.inputs().collect::<Vec<_>>(), ["x"]);
    assert_tensor(&run(&session, &[("x", tensor([1.0, 2.0]))])[0], &[1, 2], &[11.0, 22.0]);
    let why = super::failure(&session, &[("x", tensor([1.0, 2.0])), ("w", tensor([0.0, 0.0]))]);
    assert!(why.contains("`w`"), "{why}");
}

#[test]
fn initializers_that_are_inputs_are_defaults() {
    let session = with_default(4);
    let x = ("x", tensor([1.0, 2.0]));
    assert_tensor(&run(&session, std::slice::from_ref(&x))[0], &[1, 2], &[11.0, 22.0]);
    let w = ("w", tensor([3.0, 4.0]));
    assert_tensor(&run(&session, &[x.clone(), w])[0], &[1, 2], &[4.0, 6.0]);
    let shape = ("shape", tensor([2i64, 1]));
    assert_tensor(&run(&session, &[x.clone(), shape])[0], &[2, 1], &[11.0, 22.0]);
    assert_tensor(&run(&session, &[x])[0], &[1, 2], &[11.0, 22.0]);
    assert_eq!(session.plan().matches("segment").count(), 3, "{}", session.plan());
    let y = session.net().unwrap().apply(tensor([1.0, 2.0]));
    assert_tensor(&y["y"], &[1, 2], &[11.0, 22.0]);
}

// Quirk 8.

/// A folder for a test, which is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("neurax-onnx-quirks-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    /// Writes a file in a folder, which is created.
    fn write(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a model that returns `w`, two floats in another file.
    fn model(&self, path: &str, location: &str) -> PathBuf {
        self.write(path, &returning(external("w", 1, &[2], &[("location", location)])))
    }

    #[cfg(unix)]
    fn link(&self, path: &str, target: &str) -> PathBuf {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns a model that returns an initializer.
fn returning(w: TensorProto) -> Vec<u8> {
    let name = w.name.clone();
    model(graph(&[], &[&name], vec![w], vec![]))
}

fn bytes(xs: &[f32]) -> Vec<u8> {
    xs.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn opened(path: &Path) -> Result<Vec<f64>> {
    Importer::new().open(path).map(|session| numbers(&run(&session, &[])[0]))
}

#[track_caller]
fn assert_refused(path: &Path, part: &str) {
    let why = opened(path).unwrap_err().to_string();
    assert!(why.contains(part), "expected `{part}` in: {why}");
}

#[test]
fn external_data_lie_beside_the_model_in_parts_of_files() {
    let folder = Folder::new();
    folder.write("model/data/w.bin", &[&[0; 3][..], &bytes(&[1.0, 2.0]), &[0; 5]].concat());
    // Unknown keys are ignored; without a length, it is that of the tensor.
    for entries in [&[("checksum", "ab"), ("length", "8")][..], &[]] {
        let place = [("location", "data/w.bin"), ("offset", "3")];
        let w = external("w", 1, &[2], &[&place[..], entries].concat());
        let path = folder.write("model/m.onnx", &returning(w));
        assert_eq!(opened(&path).unwrap(), [1.0, 2.0]);
    }
    let place = [("location", "./data/w.bin"), ("offset", "7")];
    for (data_type, dims, want) in
        [(7, vec![], vec![0x4000_0000 as f64]), (16, vec![1, 2], vec![0.0, 2.0])]
    {
        let w = external("w", data_type, &dims, &place);
        assert_eq!(opened(&folder.write("model/m.onnx", &returning(w))).unwrap(), want);
    }
}

#[test]
fn locations_outside_of_the_folder_are_refused() {
    let folder = Folder::new();
    let outside = folder.write("secret.bin", &bytes(&[1.0, 2.0]));
    folder.write("model/sub/w.bin", &bytes(&[1.0, 2.0]));
    let absolute = outside.to_str().unwrap();
    let inside = folder.0.join("model/sub/w.bin");
    let locations = [absolute, "../secret.bin", "sub/../../secret.bin", "sub/../sub/w.bin", ""];
    let others = ["..\\secret.bin", "sub\\w.bin", inside.to_str().unwrap()];
    for location in locations.into_iter().chain(others) {
        assert_refused(&folder.model("model/m.onnx", location), "without `..`");
    }
    for location in ["missing.bin", "sub", "."] {
        assert_refused(&folder.model("model/m.onnx", location), "`w`");
    }
}

#[test]
fn ranges_beyond_the_end_of_the_file_are_refused() {
    let folder = Folder::new();
    folder.write("w.bin", &bytes(&[1.0, 2.0]));
    let huge = usize::MAX.to_string();
    let ranges = [("0", "9"), ("1", "8"), ("9", "0"), (&huge, "8"), ("8", &huge), ("0", &huge)];
    for (offset, length) in ranges {
        let place = [("location", "w.bin"), ("offset", offset), ("length", length)];
        let w = external("w", 1, &[2], &place);
        assert_refused(&folder.write("m.onnx", &returning(w)), "`w.bin`, which has 8");
    }
    for (offset, length, part) in
        [("-1", "8", "a number"), ("0", "x", "a number"), ("0", "4", "expected 8 bytes")]
    {
        let place = [("location", "w.bin"), ("offset", offset), ("length", length)];
        let w = external("w", 1, &[2], &place);
        assert_refused(&folder.write("m.onnx", &returning(w)), part);
    }
    let w = external("w", 1, &[1 << 40], &[("location", "w.bin")]);
    assert_refused(&folder.write("m.onnx", &returning(w)), "which has 8");
}

#[test]
#[cfg(unix)]
fn links_lead_into_the_folders_of_the_model_and_of_its_target_alone() {
    let folder = Folder::new();
    folder.write("cache/blobs/b2", &bytes(&[1.0, 2.0]));
    folder.write("secret.bin", &bytes(&[1.0, 2.0]));
    folder.model("cache/blobs/b1", "m.onnx_data");
    // The cache of Hugging Face: files of a snapshot are links to blobs.
    let path = folder.link("cache/snapshots/1/onnx/m.onnx", "../../../blobs/b1");
    let data = folder.link("cache/snapshots/1/onnx/m.onnx_data", "../../../blobs/b2");
    assert_eq!(opened(&path).unwrap(), [1.0, 2.0]);
    std::fs::remove_file(data).unwrap();
    assert_refused(&path, "m.onnx_data");
    let data = folder.link("cache/snapshots/1/onnx/m.onnx_data", "../../../../secret.bin");
    assert_refused(&path, "outside of the folder");
    std::fs::remove_file(data).unwrap();
    // A link to a file in the folder, and links to one outside of it.
    folder.link("model/inside", "sub/w.bin");
    folder.write("model/sub/w.bin", &bytes(&[3.0, 4.0]));
    assert_eq!(opened(&folder.model("model/m.onnx", "inside")).unwrap(), [3.0, 4.0]);
    folder.link("model/outside", "../cache");
    assert_refused(&folder.model("model/m.onnx", "outside/blobs/b2"), "outside of the folder");
    folder.link("model/blob", "../cache/blobs/b2");
    assert_refused(&folder.model("model/m.onnx", "blob"), "outside of the folder");
}

#[test]
#[cfg(unix)]
fn places_that_are_no_files_are_refused() {
    let folder = Folder::new();
    let socket = std::os::unix::net::UnixListener::bind(folder.0.join("w.bin")).unwrap();
    assert_refused(&folder.model("m.onnx", "w.bin"), "expected a file, got a socket");
    drop(socket);
}

#[test]
fn a_model_in_memory_is_given_its_external_data() {
    let file = returning(external("w", 1, &[2], &[("location", "../any/w.bin")]));
    let session = Importer::new().file("../any/w.bin", bytes(&[1.0, 2.0])).open_bytes(file.clone());
    assert_tensor(&run(&session.unwrap(), &[])[0], &[2], &[1.0, 2.0]);
    let why = refusal(file);
    assert!(why.contains("../any/w.bin") && why.contains("Importer::file"), "{why}");
}

// Quirk 9.

#[test]
fn weights_in_constant_nodes_are_parameters() {
    let w = floats("", &[2], &[1.0, 2.0]);
    let constant = node("Constant", "", "fc.weight").with(value("value", w));
    let g =
        graph(&[("x", &[-1, 2])], &["y"], vec![], vec![node("Mul", "x fc.weight", "y"), constant]);
    let net = open(model(g)).net().unwrap();
    assert_tensor(&net.vars.params["fc"]["weight"], &[2], &[1.0, 2.0]);
    assert_tensor(&net.apply(tensor([[3.0, 4.0]]))["y"], &[1, 2], &[3.0, 8.0]);
}

#[test]
fn weights_in_constant_nodes_of_branches_are_used_in_networks() {
    let branch = |x: f32| {
        let w = value("value", floats("", &[2], &[x, x]));
        let constant = node("Constant", "", "w").with(w);
        graph(&[], &["r"], vec![], vec![node("Mul", "x w", "r"), constant])
    };
    let nodes = vec![
        node("ReduceSum", "x", "sum").with(int("keepdims", 0)),
        node("Cast", "sum", "pred").with(int("to", 9)),
        node("If", "pred", "y")
            .with(body("then_branch", branch(2.0)))
            .with(body("else_branch", branch(3.0))),
    ];
    let session = open(model(graph(&[("x", &[2])], &["y"], vec![], nodes)));
    let net = session.net().unwrap();
    for (x, want) in [([1.0, 1.0], [2.0, 2.0]), ([1.0, -1.0], [3.0, -3.0])] {
        assert_tensor(&run(&session, &[("x", tensor(x))])[0], &[2], &want);
        assert_tensor(&net.apply(tensor(x))["y"], &[2], &want);
    }
}

#[test]
fn raw_data_may_begin_at_any_byte_of_the_file() {
    for length in 0..8 {
        let w = raw(&"w".repeat(1 + length), 11, &[1], &1.5f64.to_le_bytes());
        assert_tensor(
            &results(graph(&[], &[&w.name.clone()], vec![w], vec![]), &[])[0],
            &[1],
            &[1.5],
        );
    }
}

#[test]
fn graphs_that_are_nested_too_deeply_are_an_error() {
    let other = graph(&[], &["x"], vec![], vec![]);
    let nested = |depth: usize| {
        let mut g = graph(&[], &["y"], vec![], vec![node("Neg", "x", "y")]);
        for _ in 0..depth {
            let n = node("If", "go", "y").with(body("then_branch", g.clone()));
            g = graph(&[], &["y"], vec![], vec![n.with(body("else_branch", other.clone()))]);
        }
        g.input = graph(&[("x", &[1]), ("go", &[])], &[], vec![], vec![]).input;
        g.input[1].r#type = None;
        model(g)
    };
    let xs = [("x", tensor([1.0])), ("go", Tensor::scalar(DType::Bool, true))];
    assert_tensor(&run(&open(nested(12)), &xs)[0], &[1], &[-1.0]);
    assert!(refusal(nested(200)).contains("no ONNX model"));
}

// Quirk 10.

/// Returns an initializer of a dtype with empty data.
fn typed(data_type: i32, dims: &[i64]) -> TensorProto {
    TensorProto { data_type, dims: dims.to_vec(), name: "w".into(), ..TensorProto::default() }
}

fn value_of(w: TensorProto) -> Tensor {
    run(&open(returning(w)), &[]).remove(0)
}

#[test]
fn elements_are_in_the_field_of_their_dtype() {
    let narrow = |data_type: i32, dims: &[i64], data: &[i32]| {
        value_of(TensorProto { int32_data: data.to_vec(), ..typed(data_type, dims) })
    };
    // uint8, int8, uint16, int16, int32, bool: numbers.
    for (data_type, x) in [(2, 200), (3, -100), (4, 60_000), (5, -30_000), (6, -70_000), (9, 1)] {
        assert_tensor(&narrow(data_type, &[2], &[x, 0]), &[2], &[x.into(), 0.0]);
    }
    // float16, bfloat16, float8e4m3fn, float8e5m2: bits of 1.5.
    for (data_type, bits) in [(10, 0x3e00), (16, 0x3fc0), (17, 0x3c), (19, 0x3e)] {
        assert_tensor(&narrow(data_type, &[1], &[bits]), &[1], &[1.5]);
    }
    // uint4, int4, uint2: packed, the first one in the lowest bits, the last byte padded.
    assert_tensor(&narrow(21, &[3], &[0x21, 0xf3]), &[3], &[1.0, 2.0, 3.0]);
    assert_tensor(&narrow(22, &[3], &[0xf1, 0x08]), &[3], &[1.0, -1.0, -8.0]);
    assert_tensor(&narrow(25, &[5], &[0xe4, 0x02]), &[5], &[0.0, 1.0, 2.0, 3.0, 2.0]);
    let u32 = TensorProto { uint64_data: vec![4_000_000_000], ..typed(12, &[1]) };
    assert_tensor(&value_of(u32), &[1], &[4e9]);
    let complex = TensorProto { float_data: vec![1.0, 2.0], ..typed(14, &[1]) };
    let complex = value_of(complex);
    assert_tensor(&complex.imag(), &[1], &[2.0]);
    assert_eq!(complex.dtype(), DType::C64);
}

#[test]
fn raw_elements_are_little_endian_and_packed() {
    assert_tensor(&value_of(raw("w", 5, &[2], &[1, 0, 0, 0x80])), &[2], &[1.0, -32768.0]);
    assert_tensor(&value_of(raw("w", 10, &[1], &[0, 0x3e])), &[1], &[1.5]);
    assert_tensor(&value_of(raw("w", 22, &[3], &[0xf1, 0xf8])), &[3], &[1.0, -1.0, -8.0]);
    assert_tensor(&value_of(raw("w", 9, &[2], &[1, 0])), &[2], &[1.0, 0.0]);
    assert_tensor(&value_of(raw("w", 1, &[0, 3], &[])), &[0, 3], &[]);
}

#[test]
fn numbers_of_elements_that_are_not_those_of_the_sizes_are_errors() {
    let refused = |w: TensorProto| assert!(refusal(returning(w)).contains("initializer `w`"));
    for dims in [&[-1][..], &[i64::MAX, i64::MAX], &[1 << 62, 8], &[3], &[1], &[]] {
        refused(floats("w", dims, &[1.0, 2.0]));
        refused(raw("w", 1, dims, &bytes(&[1.0, 2.0])));
    }
    refused(raw("w", 1, &[2], &[0; 7]));
    refused(raw("w", 1, &[0, i64::MAX, i64::MAX], &[]));
    refused(raw("w", 99, &[2], &[0; 8]));
    let nowhere = TensorProto { data_location: DataLocation::External as i32, ..typed(1, &[2]) };
    refused(nowhere);
}

// Quirk 18.

#[test]
fn quantization_has_scales_of_axes_and_blocks_and_rounds_halves_to_even() {
    let quantized = |n: crate::proto::NodeProto, x: Tensor, scale: Tensor, zero: Tensor| {
        calls(21, n, &[("x", x), ("s", scale), ("z", zero)]).remove(0)
    };
    let u8s = |x: Tensor| x.to(DType::U8);
    let x = tensor([[1.0, 3.0, 5.0, 1000.0], [1.0, 3.0, 5.0, -1000.0]]);
    let n = node("QuantizeLinear", "x s z", "y").with(int("axis", 0));
    let y = quantized(n, x, tensor([2.0, 1.0]), u8s(tensor([1, 10])));
    assert_eq!(y.dtype(), DType::U8);
    // 0.5, 1.5 and 2.5 are 0, 2 and 2 before the zero point is added.
    assert_tensor(&y, &[2, 4], &[1.0, 3.0, 3.0, 255.0, 11.0, 13.0, 15.0, 0.0]);
    let n = node("DequantizeLinear", "x s z", "y").with(int("axis", 1)).with(int("block_size", 2));
    let y = quantized(n, u8s(tensor([[1, 2, 3, 4]])), tensor([[1.0, 10.0]]), u8s(tensor([[0, 1]])));
    assert_tensor(&y, &[1, 4], &[1.0, 2.0, 20.0, 30.0]);
    // Biases are 32 bits without a zero point.
    let n = node("DequantizeLinear", "x s", "y").with(int("axis", 0));
    let xs = [("x", tensor([1 << 20, -7])), ("s", tensor([0.5, 2.0]))];
    assert_tensor(&calls(13, n, &xs)[0], &[2], &[(1 << 19).into(), -14.0]);
}

#[test]
fn products_of_u8_and_i8_are_summed_in_32_bits() {
    let xs = [
        ("a", tensor([[200, 100]]).to(DType::U8)),
        ("b", tensor([[-100], [100]]).to(DType::I8)),
        ("za", tensor(100).to(DType::U8)),
        ("zb", tensor([-100]).to(DType::I8)),
    ];
    let y = &calls(10, node("MatMulInteger", "a b za zb", "y"), &xs)[0];
    assert_eq!(y.dtype(), DType::I32);
    // (200 - 100) (-100 + 100) + (100 - 100) (100 + 100), and without zero points.
    assert_tensor(y, &[1, 1], &[0.0]);
    let file = one_node(10, node("MatMulInteger", "a b", "y"), &xs[..2]);
    assert_tensor(&run(&open(file), &xs[..2])[0], &[1, 1], &[-10_000.0]);
}
