//! Checks that a layer and its variables survive saving and loading.

use super::failure::failed;
use super::invariance::assert_all_near;
use super::outputs::all_of;
use crate::{Mode, Model, Net, Vars};
use neurax_tensor::{Result, Tensor, TypeSpec, key};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Checks that variables in a file give the same outputs.
pub(super) fn variables(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    let path = temporary_path("safetensors");
    let back = vars.save(&path).and_then(|()| Vars::load(&path));
    // A file that cannot be removed is left to the cleanup of the system's temporary folder.
    let _ = std::fs::remove_file(&path);
    let back = back?;
    let run = |vars: &Vars| all_of(&model.apply(vars, xs, &Mode::Eval));
    assert_all_near("save and load", &run(vars), &run(&back), 0.0)
}

/// Checks that a network in a file has the same outputs in both modes and the same initial
/// variables, if its layers are those that a file can name.
pub(super) fn network(model: &Model, types: &[TypeSpec], vars: &Vars, xs: &[Tensor]) -> Result<()> {
    if !crate::saved::is_of_library(model) {
        return Ok(());
    }
    let directory = temporary_path("model");
    let net = model.bind(vars.clone());
    let back = net.save(&directory).and_then(|()| Net::load(&directory));
    // A file that cannot be removed is left to the cleanup of the system's temporary folder.
    let _ = std::fs::remove_dir_all(&directory);
    let back = back.map_err(|e| failed("save and load of a network", e.message().into()))?;
    for mode in [Mode::Eval, Mode::Train(key(13))] {
        let run = |net: &Net| all_of(&net.model.apply(&net.vars, xs, &mode));
        assert_all_near("save and load of a network", &run(&net), &run(&back), 0.0)?;
    }
    let (want, got) = (initial(model, types)?, initial(&back.model, types)?);
    if want.len() != got.len() {
        let why = format!("expected {} variables, got {}", want.len(), got.len());
        return Err(failed("initialization of a loaded network", why));
    }
    assert_all_near("initialization of a loaded network", &want, &got, 0.0)
}

/// Returns the initial parameters and state of a model.
fn initial(model: &Model, types: &[TypeSpec]) -> Result<Vec<Tensor>> {
    let Vars { params, state } = model.init(key(7), types)?;
    Ok([params, state].iter().flat_map(|v| v.values().flat_map(|l| l.values().cloned())).collect())
}

/// Returns a path in the temporary folder that no other check uses.
fn temporary_path(suffix: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(format!("neurax-check-{process}-{count}.{suffix}"))
}
