//! Damaged files: of safetensors, trained variables and states of optimizers in them, serialized
//! trees, `.npy`, `.npz`, matrices as text, IDX, CSV, and the text of graphs. No file causes a
//! panic or takes much more memory than it has bytes; what is read from it is an error or has the
//! sizes that the file declares.

use crate::{memory, number};
use neurax::io::{self, npy, npz, safetensors};
use neurax::ir::{self, Graph};
use neurax::{data, nn, prelude::*};
use neurax_testkit::{conformance, rng::Rng};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The number of files in the default tests.
const FILES: u64 = 6000;

/// The bytes that reading a damaged file may take besides [`MEMORY_PER_BYTE`] for each byte:
/// buffers of readers, and a chunk of a decompressed stream.
const MEMORY: usize = 4 << 20;

/// The largest memory for each byte of a file, in bytes: of a graph, whose names, types and
/// attributes are read into structures.
const MEMORY_PER_BYTE: usize = 200;

/// A kind of file: an intact one, and what is done with a damaged one.
struct Kind {
    name: &'static str,
    intact: Vec<Vec<u8>>,
    read: fn(&Path) -> Result<()>,
}

#[test]
fn damaged_files_are_errors_or_read_right() {
    crate::backend::install();
    let kinds = kinds().unwrap();
    let (first, count) = (number("NEURAX_SEED", 0), number("NEURAX_FUZZ", FILES));
    println!("{count} files, seeds from {first} on");
    let path = path("damaged");
    let mut failures = vec![];
    for kind in &kinds {
        for intact in &kind.intact {
            std::fs::write(&path, intact).unwrap();
            (kind.read)(&path).unwrap_or_else(|e| panic!("{}: {e}", kind.name));
        }
    }
    for seed in (0..count).map(|i| first.wrapping_add(i)) {
        let kind = &kinds[(seed % kinds.len() as u64) as usize];
        let mut rng = Rng::new(seed);
        let intact = &kind.intact[rng.below(kind.intact.len())];
        let bytes = damaged(&mut rng, intact);
        std::fs::write(&path, &bytes).unwrap();
        let read = || memory::peak(|| (kind.read)(&path));
        let why = match catch_unwind(AssertUnwindSafe(read)) {
            Err(_) => "panic".to_string(),
            Ok((Err(e), _)) if e.op() == WRONG => e.to_string(),
            Ok((_, peak)) if peak > MEMORY + MEMORY_PER_BYTE * bytes.len() => {
                format!("{peak} bytes of memory for a file of {} bytes", bytes.len())
            }
            Ok(_) => continue,
        };
        failures.push(format!("seed {seed}: {}: {why}", kind.name));
        if failures.len() >= 20 {
            break;
        }
    }
    assert!(failures.is_empty(), "{} files:\n{}", failures.len(), failures.join("\n"));
}

/// Returns a file with the header `json`, and the peak memory of loading it.
fn peak_of_header(json: &str) -> (Result<usize>, usize) {
    let path = path("header");
    let bytes = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    std::fs::write(&path, bytes).unwrap();
    memory::peak(|| safetensors::load(&path).map(|tensors| tensors.len()))
}

#[test]
fn a_large_header_takes_memory_for_its_tensors_only() {
    let many = |one: &dyn Fn(usize) -> String, n: usize| {
        let all: Vec<String> = (0..n).map(one).collect();
        format!("{{{}}}", all.join(","))
    };
    let entry = |i: usize| format!(r#""{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
    let tensors = many(&entry, 20_000);
    let (loaded, peak) = peak_of_header(&tensors);
    assert_eq!(loaded.unwrap(), 20_000);
    assert!(peak < 16 * tensors.len(), "{peak} bytes for {}", tensors.len());
    let strings = many(&|i| format!(r#""{i:x}":"""#), 100_000);
    let lists = format!("[{}]", vec!["[]"; 300_000].join(","));
    let numbers = format!("[{}]", vec!["1"; 500_000].join(","));
    for (name, value, valid) in [
        ("__metadata__", &strings, true),
        ("__metadata__", &lists, false),
        ("w", &numbers, false),
        ("w", &lists, false),
    ] {
        let header = format!(r#"{{"{name}":{value}}}"#);
        let (loaded, peak) = peak_of_header(&header);
        assert_eq!(loaded.is_ok(), valid, "{name}");
        assert!(peak < 3 * header.len(), "{name}: {peak} bytes for {}", header.len());
    }
    let shape = format!(r#"{{"w":{{"shape":{numbers},"dtype":"U8","data_offsets":[0,1]}}}}"#);
    let (loaded, peak) = peak_of_header(&shape);
    assert!(loaded.is_err() && peak < 3 * shape.len(), "{peak} bytes for {}", shape.len());
}

#[test]
fn tables_and_compressed_files_take_memory_for_their_numbers_only() {
    let path = path("large");
    let rows = 100_000;
    std::fs::write(&path, format!("a,b,c\n{}", "1,2,3\n".repeat(rows))).unwrap();
    let (table, peak) = memory::peak(|| data::csv(&path).table());
    assert_eq!(table.unwrap().values.shape(), [rows, 3]);
    // The numbers, f32, and once more while their memory grows.
    assert!(peak < 3 * 4 * 3 * rows, "{peak} bytes for {rows} rows");

    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&[0, 0, 8, 1, 0, 0, 0, 9]).unwrap();
    (0..64).for_each(|_| zip.write_all(&[0; 1 << 20]).unwrap());
    std::fs::write(&path, zip.finish().unwrap()).unwrap();
    let (read, peak) = memory::peak(|| data::idx(&path));
    assert!(read.is_err() && peak < 1 << 20, "{peak} bytes");
}

/// The op of the error when a damaged file was accepted and read wrong.
const WRONG: &str = "wrong";

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("neurax-fuzz-{}-{name}", std::process::id()))
}

fn kinds() -> Result<Vec<Kind>> {
    let file = path("intact");
    let saved = |tree: &dyn Fn(&Path) -> Result<()>| -> Result<Vec<u8>> {
        tree(&file)?;
        Ok(std::fs::read(&file)?)
    };
    let idx = idx_file();
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&idx)?;
    let csv = b"a,b,kind\n1,2.5,cat\n-3e4,nan,\"do\"\"g\"\n\n5, 6 ,cat\r\n7,8,bird\n".to_vec();
    let kind = |name, intact, read| Kind { name, intact: vec![intact], read };
    Ok(vec![
        kind("safetensors", saved(&|path| safetensors::save(&tensors(), path))?, read_tensors),
        kind("variables", saved(&|path| vars()?.save(path))?, read_vars),
        kind("training state", saved(&|path| safetensors::save(&state()?, path))?, read_state),
        kind("serialized", io::serialize(&packed())?, read_serialized),
        kind("npy", npy::to_bytes(&tensors().0)?, read_npy),
        kind("npz", saved(&|path| npz::save(&tensors(), path))?, read_npz),
        kind("compressed npz", saved(&|path| npz::save_compressed(&tensors(), path))?, read_npz),
        kind("text", io::text::format(&tensors().0)?.into_bytes(), read_text),
        kind("idx", idx, read_idx),
        kind("idx.gz", zip.finish()?, read_idx),
        kind("csv", csv, read_csv),
        Kind { name: "graph", intact: graphs()?, read: read_graph },
    ])
}

fn tensors() -> (Tensor, Vec<Tensor>) {
    let bools = tensor([1.0, 0.0]).gt(0.0);
    (Tensor::arange(6).reshape([2, 3]), vec![bools, Tensor::eye(2), Tensor::zeros([0, 3])])
}

/// Returns leaves of dtypes that safetensors files lack.
fn packed() -> Vec<Tensor> {
    vec![Tensor::eye(2), tensor([1, -2, 3]).to(I4), tensor([1.0, 2.0]).to(C128)]
}

fn vars() -> Result<Vars> {
    nn::input("x", dims![_, 2]).dense(3).relu().dense(1).init(key(0), &types![f32[_, 2]])
}

/// Returns the parameters and the state of the optimizer: what a training needs to be resumed.
fn state() -> Result<(Vars, nn::OptState)> {
    let vars = vars()?;
    let state = optim::adam(0.1).init(&vars.params);
    Ok((vars, state))
}

fn idx_file() -> Vec<u8> {
    let mut bytes = vec![0, 0, 0x0b, 2, 0, 0, 0, 3, 0, 0, 0, 4];
    bytes.extend((0..24).map(|i| i * 9));
    bytes
}

/// Returns the texts of a graph with nested graphs, and of one for each sample of every op.
fn graphs() -> Result<Vec<Vec<u8>>> {
    let mut all = vec![nested_graph()?.into_bytes()];
    for row in conformance::rows() {
        let types: Vec<_> = row.inputs.iter().map(|x| x.ty().clone()).collect();
        let graph = conformance::graph(&types, |b, xs| {
            b.try_emit(row.op.clone(), xs).map_or_else(|_| vec![], |ys| ys.to_vec())
        });
        all.push(graph.map_err(|e| Error::new("test", e))?.to_string().into_bytes());
    }
    Ok(all)
}

/// Returns the text of a graph with a loop, a conditional and many kinds of attributes.
fn nested_graph() -> Result<String> {
    let f = |x: Tensor| {
        let y = fori(0..3, x.clone(), |_, y| (y.matmul(&x) + 0.5).softmax(-1));
        let z = cond(&y.sum(..).gt(1.0), || y.sort(0), || y.take(tensor([1, 0]), 0));
        z.at((.., 1)).add(2.0).pad([(1, 0), (0, 2)], 0.0).cumsum(0)
    };
    let stages = jit(f).stages(&Tensor::zeros([2, 2]), true)?;
    let text = stages.list().iter().find(|s| s.is_graph()).and_then(|s| s.text.clone());
    text.ok_or_else(|| Error::new("test", "no stage has a graph"))
}

fn read_tensors(path: &Path) -> Result<()> {
    fits(path, safetensors::load(path)?.into_values().collect())
}

fn read_serialized(path: &Path) -> Result<()> {
    fits(path, io::deserialize(&std::fs::read(path)?)?.into_values().collect())
}

fn read_npy(path: &Path) -> Result<()> {
    fits(path, vec![npy::load(path)?])
}

fn read_npz(path: &Path) -> Result<()> {
    npz::load(path)?.into_values().try_for_each(|t| t.to_literal().map(|_| ()))
}

fn read_text(path: &Path) -> Result<()> {
    let numbers = io::text::load(path, F32)?.size() as u64;
    match 2 * numbers <= std::fs::metadata(path)?.len() + 1 {
        true => Ok(()),
        false => Err(Error::new(WRONG, format!("{numbers} numbers"))),
    }
}

fn read_vars(path: &Path) -> Result<()> {
    fits(path, Vars::load(path)?.leaves().into_iter().map(|(_, t)| t.clone()).collect())
}

fn read_state(path: &Path) -> Result<()> {
    let like = state()?;
    let loaded = safetensors::load_like(&like, path)?;
    let types = |tree: &(Vars, nn::OptState)| -> Result<Vec<_>> {
        tree.leaves().into_iter().map(|(_, t)| t.ty()).collect()
    };
    match types(&like)? == types(&loaded)? {
        true => Ok(()),
        false => Err(Error::new(WRONG, "the state has other types")),
    }
}

/// Checks that the tensors hold no more bytes than their file.
fn fits(path: &Path, tensors: Vec<Tensor>) -> Result<()> {
    let mut bytes = 0;
    for t in tensors {
        bytes += t.to_literal()?.bytes().len();
    }
    match bytes as u64 <= std::fs::metadata(path)?.len() {
        true => Ok(()),
        false => Err(Error::new(WRONG, format!("{bytes} bytes of tensors"))),
    }
}

fn read_idx(path: &Path) -> Result<()> {
    data::idx(path)?.to_literal().map(|_| ())
}

fn read_csv(path: &Path) -> Result<()> {
    let read = data::csv(path).classes("kind").read().map(|set| set.len());
    let _ = data::csv(path).header(false).delimiter(b'\n').table();
    let lines = std::fs::read(path)?.iter().filter(|b| matches!(b, b'\n' | b'\r')).count();
    match read? <= lines + 1 {
        true => Ok(()),
        false => Err(Error::new(WRONG, "more rows than lines")),
    }
}

fn read_graph(path: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    let graph = Graph::parse(&text)?;
    let text = graph.to_string();
    match Graph::parse(&text) {
        Ok(again) if again.to_string() == text => evaluate(&graph, &text),
        Ok(_) => Err(Error::new(WRONG, "prints differently when read again")),
        Err(e) => Err(Error::new(WRONG, format!("does not read what it printed: {e}\n{text}"))),
    }
}

/// Runs a graph on zeros if it takes little memory and time: loops may be endless.
fn evaluate(graph: &Graph, text: &str) -> Result<()> {
    let values = graph.eqns().iter().flat_map(|e| &e.outputs).map(|&v| graph.ty(v));
    let is_small = values.chain(graph.input_types()).all(|t| t.size() <= 1 << 10);
    if !is_small || !graph.eqns().iter().all(|e| e.op.graphs().is_empty()) {
        return Ok(());
    }
    let zeros =
        graph.input_types().iter().map(|t| ir::Literal::from_f64s(t.dtype, t.shape.clone(), &[]));
    ir::transform::eval(graph, zeros.collect()).map(|_| ()).map_err(|e| match e.message() {
        m if m.contains("error of Neurax") => Error::new(WRONG, format!("{e}\n{text}")),
        _ => e,
    })
}

/// Returns `intact` with a few changes: bytes replaced, removed, inserted or repeated, numbers
/// replaced by extreme ones, or the end cut off.
fn damaged(rng: &mut Rng, intact: &[u8]) -> Vec<u8> {
    let mut bytes = intact.to_vec();
    for _ in 0..rng.between(1, 4) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = rng.below(bytes.len());
        match rng.below(8) {
            0 => bytes[at] = rng.bits() as u8,
            1 => bytes[at] ^= 1 << rng.below(8),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, rng.pick(b"0123456789[]{}\",:-.()%=x \n\x00\xff")),
            4 => bytes.truncate(at),
            5 => {
                let end = (at + rng.below(40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = rng.below(bytes.len());
                bytes.splice(to..to, part);
            }
            6 => {
                let end = (at + 8).min(bytes.len());
                let byte = rng.pick(&[0, 0xff, 0x7f, 1]);
                bytes[at..end].fill(byte);
            }
            _ => replace_number(rng, &mut bytes, at),
        }
    }
    bytes
}

/// Replaces the first decimal number after `at` by another one.
fn replace_number(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let numbers = [
        "0",
        "-1",
        "1e30",
        "4294967296",
        "18446744073709551615",
        "9223372036854775807",
        "1099511627776",
        "99999999999999999999999",
        "2",
        "64",
    ];
    let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit).map(|i| at + i) else {
        return;
    };
    let digits = bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    bytes.splice(from..from + digits, rng.pick(&numbers).bytes());
}
