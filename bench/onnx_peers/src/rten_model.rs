//! Models in rten.

use crate::PeerCall;
use crate::input::{InputElements, PeerInput};
use anyhow::{Context, Result, bail};
use rten::{ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use std::path::Path;
use std::sync::Arc;

/// Loads a model with packed weights.
pub fn load(model: &Path, inputs: &[PeerInput], threads: usize) -> Result<PeerCall> {
    let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(model)?;
    let input = |x: &PeerInput| -> Result<(NodeId, Value)> {
        let id = model.find_node(&x.name).with_context(|| format!("no input `{}`", x.name))?;
        Ok((id, value(x)?))
    };
    let inputs: Vec<(NodeId, Value)> = inputs.iter().map(input).collect::<Result<_>>()?;
    let pool = Arc::new(ThreadPool::with_num_threads(threads));
    Ok(Box::new(move || {
        let views = inputs.iter().map(|(id, x)| (*id, x.as_view().into())).collect();
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        model.run(views, model.output_ids(), Some(options))?;
        Ok(())
    }))
}

/// Returns an input in a dtype of rten, which has no i64, bool and f64.
fn value(x: &PeerInput) -> Result<Value> {
    let shape = x.shape.as_slice();
    Ok(match &x.elements {
        InputElements::Bool(v) => Value::from_shape(shape, v.iter().map(|x| *x as i32).collect())?,
        InputElements::F32(v) => Value::from_shape(shape, v.clone())?,
        InputElements::F64(v) => Value::from_shape(shape, v.iter().map(|x| *x as f32).collect())?,
        InputElements::I8(v) => Value::from_shape(shape, v.clone())?,
        InputElements::I32(v) => Value::from_shape(shape, v.clone())?,
        InputElements::I64(v) => Value::from_shape(shape, v.iter().map(|x| *x as i32).collect())?,
        InputElements::U8(v) => Value::from_shape(shape, v.clone())?,
        InputElements::F16(_) => bail!("rten has no f16"),
    })
}
