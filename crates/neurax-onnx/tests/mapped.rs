//! Large files are mapped. The test measures memory of the process, so it is alone in one.

#![cfg(target_os = "linux")]

use neurax::onnx::{Exporter, Importer, OnnxValue};
use neurax::prelude::*;
use std::collections::HashMap;
use std::path::PathBuf;

/// The length of the file of external data, in bytes.
const LENGTH: u64 = 3 << 30;

fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap() * 1024
}

/// Writes a model whose weights are in a file of 3 GiB, which is a hole but for these.
fn written() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("neurax-mapped-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("model.onnx");
    let weights = Tensor::arange(64).to(F32);
    let exporter = Exporter::new().external_data(1);
    exporter.export_fn(|x: Tensor| x + &weights, types![f32[64]], &path).unwrap();
    let data = std::fs::File::options().write(true).open(folder.join("model.onnx.data")).unwrap();
    data.set_len(LENGTH).unwrap();
    path
}

#[test]
fn a_mapped_file_takes_no_memory_but_for_the_weights() {
    let path = written();
    let is_mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.contains(path.parent().unwrap().to_str().unwrap())
    };
    let session = Importer::new().open(&path).unwrap();
    assert!(is_mapped());
    let x = OnnxValue::Tensor(Tensor::ones(64));
    let outputs = session.run(HashMap::from([("x".to_string(), x)])).unwrap();
    let Some(OnnxValue::Tensor(y)) = outputs.first() else { panic!("{outputs:?}") };
    assert_eq!(y.to_vec::<f32>().unwrap()[61..], [62.0, 63.0, 64.0]);
    assert!(status("VmPeak:") > LENGTH as usize, "the map is part of the address space");
    let peak = status("VmHWM:");
    assert!(peak < LENGTH as usize / 4, "{peak} bytes of memory");
    drop((session, outputs));
    assert!(!is_mapped(), "no tensor uses the file any more");
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}
