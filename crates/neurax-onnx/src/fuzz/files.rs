//! Models with external data: damaged places, files that are missing or are no files, and links out
//! of the folder. What is read is what the place names, or an error; nothing outside of the folder
//! is read.

use super::damage;
use crate::proto::StringEntry;
use crate::testing::{external, graph, model};
use crate::{Importer, OnnxValue};
use neurax::testing::Draw;
use neurax_tensor::Tensor;
use std::collections::HashMap;
use std::path::PathBuf;

/// The byte of the files that models must not read.
const SECRET: u8 = 0xa5;
/// The most bytes of a file of weights.
const MAX_WEIGHTS: usize = 200;

const LOCATIONS: [&str; 24] = [
    "weights.bin",
    "weights.bin",
    "weights.bin",
    "./weights.bin",
    "sub/weights.bin",
    "sub//weights.bin",
    "sub/../weights.bin",
    "../secret.bin",
    "sub/../../secret.bin",
    "inner-link",
    "outer-link",
    "folder-link/secret.bin",
    "cycle-link",
    "",
    ".",
    "..",
    "sub",
    "pipe",
    "missing.bin",
    "weights.bin\0",
    "sub\\weights.bin",
    "/dev/zero",
    "/proc/self/environ",
    "model.onnx",
];

const PLACES: [&str; 20] = [
    "",
    "0",
    "1",
    "4",
    "8",
    "60",
    "64",
    "65",
    "199",
    "-1",
    "+4",
    "1e3",
    "0x10",
    " 4",
    "4.0",
    "٣",
    "2147483648",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
];

const DIMS: [&[i64]; 10] =
    [&[], &[0], &[1], &[2], &[4, 4], &[16], &[-1], &[1 << 40], &[1 << 32, 1 << 32], &[i64::MAX]];

/// The dtypes of weights, as numbers of ONNX: floats, packed integers, strings, and none.
const DTYPES: [i32; 8] = [1, 1, 2, 7, 10, 22, 8, 99];

/// A folder with a model and its external data, and a file beside it that is secret.
pub(super) struct ModelFolder(PathBuf);

impl ModelFolder {
    pub(super) fn new() -> ModelFolder {
        let name = format!("neurax-onnx-fuzz-{}", std::process::id());
        let this = ModelFolder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(this.path("sub")).unwrap();
        std::fs::write(this.0.join("secret.bin"), [SECRET; 64]).unwrap();
        #[cfg(unix)]
        for (link, target) in [
            ("inner-link", "sub/weights.bin"),
            ("outer-link", "../secret.bin"),
            ("folder-link", ".."),
            ("cycle-link", "cycle-link"),
        ] {
            std::os::unix::fs::symlink(target, this.path(link)).unwrap();
        }
        _ = std::process::Command::new("mkfifo").arg(this.path("pipe")).status();
        this
    }

    /// Returns a path in the folder of the model.
    fn path(&self, name: &str) -> PathBuf {
        self.0.join("model").join(name)
    }
}

impl Drop for ModelFolder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The entries of external data.
struct DataPlace {
    location: &'static str,
    offset: Option<&'static str>,
    length: Option<&'static str>,
}

impl DataPlace {
    fn any(draw: &mut Draw) -> DataPlace {
        let place = |draw: &mut Draw| match draw.below(3) {
            0 => None,
            _ => Some(draw.one_of(&PLACES)),
        };
        DataPlace { location: draw.one_of(&LOCATIONS), offset: place(draw), length: place(draw) }
    }

    fn entries(&self) -> Vec<(&str, &str)> {
        let all =
            [("location", Some(self.location)), ("offset", self.offset), ("length", self.length)];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// Reads a model with external data. Returns true if that succeeds.
///
/// # Errors
/// If it reads other bytes than those that the place names, or those of a secret file.
pub(super) fn read(folder: &ModelFolder, draw: &mut Draw) -> Result<bool, String> {
    let weights: Vec<u8> = (0..draw.within(0..=MAX_WEIGHTS)).map(|i| i as u8 % 100).collect();
    let (place, dtype, dims) = (DataPlace::any(draw), draw.one_of(&DTYPES), draw.one_of(&DIMS));
    let mut w = external("w", dtype, dims, &place.entries());
    if draw.below(4) == 0 {
        // An entry that occurs twice, or that is unknown.
        let key = draw.one_of(&["location", "offset", "length", "checksum", ""]).to_string();
        let value = draw.one_of(&["sub/weights.bin", "0", "-5", "4"]).to_string();
        let at = draw.below(w.external_data.len() + 1);
        w.external_data.insert(at, StringEntry { key, value });
    }
    let is_intact = w.external_data.len() == place.entries().len() && draw.below(2) == 0;
    let mut file = model(graph(&[], &["w"], vec![w], vec![]));
    if !is_intact {
        file = damage::message(&file, draw);
    }
    let in_memory = draw.below(3) == 0;
    let bytes = file.len() + weights.len();
    let outputs = super::watch::in_bounded_space(bytes, || {
        let session = if in_memory {
            Importer::new().file(place.location, weights.clone()).open_bytes(file)?
        } else {
            let all = ["weights.bin", "sub/weights.bin"].map(|name| (folder.path(name), &weights));
            all.into_iter().try_for_each(|(path, weights)| std::fs::write(path, weights))?;
            std::fs::write(folder.path("model.onnx"), &file)?;
            Importer::new().open(folder.path("model.onnx"))?
        };
        session.run(HashMap::new())
    })?;
    let Ok(outputs) = outputs else { return Ok(false) };
    for y in &outputs {
        let OnnxValue::Tensor(y) = y else { continue };
        let y = bytes_of(y)?;
        if y.windows(8).any(|part| part == [SECRET; 8]) {
            return Err(format!("a file outside of the folder was read: {}", place.location));
        }
        // The text of a number that is valid is that of its value.
        let number = |text: Option<&str>, default| text.map_or(default, |t| t.parse().unwrap());
        let start: usize = number(place.offset.filter(|_| is_intact), 0);
        // The last byte of packed elements may have bits that are not read.
        if is_intact && place.location != "model.onnx" && dtype != 22 {
            let want = &weights[start..][..y.len()];
            if y != want {
                return Err(format!("expected {want:?} of {:?}, got {y:?}", place.entries()));
            }
        }
    }
    Ok(true)
}

fn bytes_of(y: &Tensor) -> Result<Vec<u8>, String> {
    let literal = y.to_literal().map_err(|e| e.to_string())?;
    Ok(literal.bytes().to_vec())
}
