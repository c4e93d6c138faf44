//! Models in files: the graph of layers with their options, and the variables.
//!
//! ```text
//! model.json              {"format": "neurax-model", "version": 1, "graphs": [..]}
//! variables.safetensors   params.dense.kernel, ..
//! ```
//!
//! # Invariants
//!
//! - A loaded model has the same paths, and computes the same values from the same variables.
//! - A file names layers of the library by the names of its registry; nothing in it is executed.
//! - Indices refer to earlier nodes and graphs only, so that no file describes a cycle.

pub(crate) mod fields;
mod graph;
mod registry;

use crate::node::NodeKind;
use crate::policy::InDType;
use crate::{Model, Net, Vars};
use graph::SavedModel;
use neurax_tensor::{Error, Place, Result};
use registry::LayerType;
use serde::{Deserialize, Serialize};
use std::panic::Location;
use std::path::Path;

const FORMAT: &str = "neurax-model";
const VERSION: u32 = 1;
const MODEL: &str = "model.json";
const VARIABLES: &str = "variables.safetensors";

#[derive(Serialize, Deserialize)]
struct ModelFile {
    format: String,
    version: u32,
    #[serde(flatten)]
    model: SavedModel,
}

impl Net {
    /// Writes the model and its variables to a directory, which is created: `model.json` holds the
    /// layers with their options, `variables.safetensors` the variables. A program that loads the
    /// directory needs no source of the model. Frozen parameters are saved like all others.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(4).relu().dense(2).model();
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// # let directory = std::env::temp_dir().join("neurax-doc-net-save");
    /// let net = model.bind(vars);
    /// net.save(&directory)?;
    /// let loaded = nn::Net::load(&directory)?;
    /// let x = tensor([[1.0, 2.0, 3.0]]);
    /// assert_eq!(loaded.apply(&x).y().to_vec::<f32>()?, net.apply(&x).y().to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If a file cannot be written, or a layer is not one of the library: a closure, a hook, or a
    /// user's type. A layer around another one is saved if the inner one is a cell of the library
    /// ([`Rnn`](crate::Rnn), [`Bidirectional`](crate::Bidirectional)), one of `AvgPool`,
    /// `BatchNorm`, `Conv`, `Dense`, `Dropout`, `Flatten`, `GlobalAvgPool`, `GlobalMaxPool`,
    /// `GroupNorm`, `MaxPool` and `Reshape` ([`TimeDistributed`](crate::TimeDistributed)), or one
    /// of `Conv`, `ConvTranspose` and `Dense` ([`SpectralNorm`](crate::SpectralNorm),
    /// [`WeightNorm`](crate::WeightNorm)). The variables of every model can be saved with
    /// [`Vars::save`].
    #[track_caller]
    pub fn save(&self, directory: impl AsRef<Path>) -> Result<()> {
        let at = Place::from(Location::caller());
        save(self, directory.as_ref()).map_err(|e| e.at(&at))
    }

    /// Loads a model with its variables from a directory that [`Net::save`] wrote.
    ///
    /// # Errors
    /// If a file cannot be read, is malformed, or names layers that this version does not have.
    #[track_caller]
    pub fn load(directory: impl AsRef<Path>) -> Result<Net> {
        let at = Place::from(Location::caller());
        load(directory.as_ref(), &at).map_err(|e| e.at(&at))
    }
}

/// Returns true if a file can hold all layers of a model, also those of its blocks: it names their
/// types, and no option is a closure.
pub(crate) fn is_of_library(model: &Model) -> bool {
    model.graph().nodes.iter().all(|n| match n.node.kind() {
        NodeKind::Input(_) | NodeKind::Argument => true,
        NodeKind::Block(model) => is_of_library(model),
        NodeKind::Layer(layer) => {
            let layer = InDType::unwrapped(layer).0.as_ref();
            LayerType::of(layer).is_some_and(|t| matches!(t.options(layer), Some(Ok(_))))
        }
    })
}

fn save(net: &Net, directory: &Path) -> Result<()> {
    let model = SavedModel::of(&net.model)?;
    let file = ModelFile { format: FORMAT.into(), version: VERSION, model };
    let path = directory.join(MODEL);
    let text = serde_json::to_string_pretty(&file).map_err(|e| in_file("save", &path, e))?;
    std::fs::create_dir_all(directory).map_err(|e| in_file("save", directory, e))?;
    net.vars.save(directory.join(VARIABLES))?;
    std::fs::write(&path, text).map_err(|e| in_file("save", &path, e))
}

fn load(directory: &Path, at: &Place) -> Result<Net> {
    if directory.is_file() {
        let want = "expected a directory that `Net::save` wrote, got a file";
        return Err(in_file("load", directory, format!("{want}; `Vars::load` reads variables")));
    }
    let path = directory.join(MODEL);
    let text = std::fs::read(&path).map_err(|e| in_file("load", &path, e))?;
    let file: ModelFile = serde_json::from_slice(&text).map_err(|e| in_file("load", &path, e))?;
    if file.format != FORMAT || file.version != VERSION {
        let got = format!("{} of version {}", file.format, file.version);
        let why = format!("expected {FORMAT} of version {VERSION}, got {got}");
        return Err(in_file("load", &path, why));
    }
    let model = file.model.model(at).map_err(|e| in_file("load", &path, e.message()))?;
    if let Some(e) = &model.graph().error {
        return Err(in_file("load", &path, e.message()));
    }
    let vars = Vars::load(directory.join(VARIABLES))?;
    Ok(Net::new(model, vars))
}

/// Returns an error of `op` that names the file.
fn in_file(op: &str, path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(op, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests;
