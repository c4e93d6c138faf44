//! ONNX Runtime by the crate `ort`.

use crate::PeerCall;
use crate::input::{InputElements, PeerInput};
use anyhow::{Context, Result, anyhow};
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// Loads a model; `library` is the path of `libonnxruntime`.
pub fn load(
    model: &Path,
    inputs: &[PeerInput],
    threads: usize,
    library: &Option<PathBuf>,
) -> Result<PeerCall> {
    let library = library.as_ref().context("expected --library or ORT_DYLIB_PATH")?;
    let environment = ort::init_from(library)?.build()?;
    let builder = Session::builder(&environment)?.with_intra_threads(threads);
    let mut session = builder.map_err(|e| anyhow!("{e}"))?.commit_from_file(model)?;
    let inputs = inputs.iter().map(|x| Ok((x.name.clone(), value(x)?)));
    let inputs: Vec<(String, DynValue)> = inputs.collect::<Result<_>>()?;
    Ok(Box::new(move || {
        let values = inputs.iter().map(|(name, x)| (name.as_str(), SessionInputValue::from(x)));
        let values: Vec<(&str, SessionInputValue)> = values.collect();
        session.run(values)?;
        Ok(())
    }))
}

fn value(x: &PeerInput) -> Result<DynValue> {
    match &x.elements {
        InputElements::Bool(v) => tensor(x, v),
        InputElements::F16(v) => tensor(x, v),
        InputElements::F32(v) => tensor(x, v),
        InputElements::F64(v) => tensor(x, v),
        InputElements::I8(v) => tensor(x, v),
        InputElements::I32(v) => tensor(x, v),
        InputElements::I64(v) => tensor(x, v),
        InputElements::U8(v) => tensor(x, v),
    }
}

fn tensor<T: PrimitiveTensorElementType + Clone + Debug + 'static>(
    x: &PeerInput,
    elements: &[T],
) -> Result<DynValue> {
    Ok(Tensor::from_array((x.shape.clone(), elements.to_vec()))?.into_dyn())
}
