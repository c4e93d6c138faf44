//! The reader of the fixtures that `fixtures/record.py` recorded from JAX. `fixtures/README.md`
//! explains their keys.

use neurax_ir::{Bytes, DType, Literal, Type};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{collections::BTreeMap, fs, path::PathBuf};

/// The contents of a fixture file.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The file's name without its extension.
    pub name: String,
    /// The values by key, e.g. `f32/in.0`.
    pub values: BTreeMap<String, Literal>,
    /// The metadata of the file: `family`, `modes`, `jax`.
    pub metadata: BTreeMap<String, String>,
}

/// Returns the folder of the fixture files: `NEURAX_FIXTURES` if it is set, for
/// `scripts/draw-functions.sh`.
pub fn folder() -> PathBuf {
    let recorded = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/data"));
    std::env::var_os("NEURAX_FIXTURES").map_or_else(recorded, PathBuf::from)
}

/// Returns the names of all files, sorted.
///
/// # Errors
/// If the folder cannot be read.
pub fn names() -> Result<Vec<String>, String> {
    let files = fs::read_dir(folder()).map_err(|e| format!("{}: {e}", folder().display()))?;
    let stems = files
        .flatten()
        .map(|f| f.path())
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors"));
    let mut names: Vec<String> =
        stems.filter_map(|p| Some(p.file_stem()?.to_str()?.to_string())).collect();
    names.sort();
    Ok(names)
}

/// Reads the file called `name`.
///
/// ```
/// let f = neurax_testkit::fixtures::read("tanh").unwrap();
/// assert!(f.has("grad"));
/// let (xs, ys) = (f.list("f32", "in"), f.list("f32", "out"));
/// assert_eq!(xs[0].ty(), ys[0].ty());
/// ```
///
/// # Errors
/// If the file does not exist or is not well-formed.
pub fn read(name: &str) -> Result<Fixture, String> {
    let path = folder().join(format!("{name}.safetensors"));
    let message = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let bytes = fs::read(&path).map_err(|e| message(&e))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| message(&e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| message(&e))?;
    let values = file
        .iter()
        .map(|(key, view)| Ok((key.to_string(), literal(&view).map_err(|e| message(&e))?)));
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Fixture { name: name.to_string(), values: values.collect::<Result<_, String>>()?, metadata })
}

impl Fixture {
    /// Returns true if `mode` was recorded.
    pub fn has(&self, mode: &str) -> bool {
        self.metadata.get("modes").is_some_and(|m| m.split(',').any(|x| x == mode))
    }

    /// Returns the values `prefix/key.0`, `prefix/key.1`, .. by index. Indices may be missing
    /// (integers have no gradient).
    pub fn numbered(&self, prefix: &str, key: &str) -> BTreeMap<usize, Literal> {
        let start = format!("{prefix}/{key}.");
        let number = |k: &str| k.strip_prefix(&start)?.parse().ok();
        self.values.iter().filter_map(|(k, v)| Some((number(k)?, v.clone()))).collect()
    }

    /// Returns the values `prefix/key.0`, `prefix/key.1`, .. in order.
    pub fn list(&self, prefix: &str, key: &str) -> Vec<Literal> {
        self.numbered(prefix, key).into_values().collect()
    }
}

fn literal(view: &TensorView) -> Result<Literal, String> {
    let dtype = match view.dtype() {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::U16 => DType::U16,
        Dtype::U32 => DType::U32,
        Dtype::U64 => DType::U64,
        Dtype::I8 => DType::I8,
        Dtype::I16 => DType::I16,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        d => return Err(format!("fixtures do not use {d:?}")),
    };
    Literal::new(Type::new(dtype, view.shape()), Bytes::copy_of(view.data()))
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_reads_and_has_the_modes_that_it_names() {
        let names = names().unwrap();
        assert!(names.len() > 60);
        for name in names.iter().filter(|n| *n != "random") {
            let f = read(name).unwrap();
            for (mode, key) in [
                ("value", "out"),
                ("jvp", "jvp"),
                ("grad", "grad"),
                ("hvp", "hvp"),
                ("vmap", "vout"),
                ("vgrad", "vgrad"),
            ] {
                for prefix in ["f32", "f64"] {
                    assert_eq!(
                        f.has(mode),
                        !f.list(prefix, key).is_empty(),
                        "{name}: {prefix}/{key}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_missing_file_is_an_error() {
        assert!(read("no_such_function").unwrap_err().contains("no_such_function"));
    }
}
