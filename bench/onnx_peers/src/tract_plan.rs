//! Models in tract.

use crate::PeerCall;
use crate::input::{InputElements, PeerInput};
use anyhow::{Context, Result};
use std::path::Path;
use tract_onnx::prelude::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

/// Loads a model and optimizes it for the shapes of the inputs.
pub fn load(model: &Path, inputs: &[PeerInput], threads: usize) -> Result<PeerCall> {
    set_default_executor(Executor::multithread(threads));
    let mut model = onnx().model_for_path(model)?;
    let outlets = model.input_outlets()?.to_vec();
    let mut values: TVec<TValue> = tvec![];
    for (i, outlet) in outlets.iter().enumerate() {
        let name = model.node(outlet.node).name.clone();
        let input = inputs.iter().find(|x| x.name == name);
        let x = value(input.with_context(|| format!("no value for the input `{name}`"))?)?;
        model.set_input_fact(i, InferenceFact::dt_shape(x.datum_type(), x.shape()))?;
        values.push(x.into());
    }
    let plan = model.into_optimized()?.into_runnable()?;
    Ok(Box::new(move || {
        plan.run(values.clone())?;
        Ok(())
    }))
}

fn value(x: &PeerInput) -> Result<Tensor> {
    match &x.elements {
        InputElements::Bool(v) => Tensor::from_shape(&x.shape, v),
        InputElements::F16(v) => Tensor::from_shape(&x.shape, v),
        InputElements::F32(v) => Tensor::from_shape(&x.shape, v),
        InputElements::F64(v) => Tensor::from_shape(&x.shape, v),
        InputElements::I8(v) => Tensor::from_shape(&x.shape, v),
        InputElements::I32(v) => Tensor::from_shape(&x.shape, v),
        InputElements::I64(v) => Tensor::from_shape(&x.shape, v),
        InputElements::U8(v) => Tensor::from_shape(&x.shape, v),
    }
}
