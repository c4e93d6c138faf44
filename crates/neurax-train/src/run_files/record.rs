//! [`RunRecord`].

use super::secrets::without_secrets;
use super::{RUN_FILE, RunEnvironment, document};
use crate::{HyperParameter, Status};
use neurax_nn::{Model, SummaryRow};
use neurax_tensor::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

const RUN_FORMAT: &str = "neurax-run";

/// The description of a run in `run.json` of a [`RunDirectory`](crate::RunDirectory).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The reason for which the run ended. A program that was killed left [`Status::Running`].
    pub status: Status,
    /// The number of epochs of the whole run; `None` if it is unlimited.
    pub epochs: Option<usize>,
    /// The number of batches of an epoch, if it is known.
    pub batches: Option<usize>,
    /// The programs that trained: one, and one more for each time that the run was resumed.
    pub sessions: Vec<RunSession>,
    /// The hyper-parameters by name.
    pub hyper_parameters: BTreeMap<String, HyperParameter>,
    /// The layers of the model.
    pub layers: Vec<LayerRecord>,
    /// True if the run wrote `predictions.json`, so that its absence is a problem.
    #[serde(default)]
    pub has_predictions: bool,
    /// Messages about parts of the directory that could not be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A program that trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSession {
    /// The time of the start in seconds since 1970.
    pub started: f64,
    /// The time of the end; `None` if the program runs or was killed.
    pub ended: Option<f64>,
    /// The number of steps that were complete at the start.
    pub step: usize,
    /// The program and its arguments, with secrets replaced by `***`; empty after
    /// [`RunDirectory::without_command`](crate::RunDirectory::without_command).
    pub command: Vec<String>,
    /// The machine and the program.
    pub environment: RunEnvironment,
}

/// A layer or an input of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The path.
    pub path: String,
    /// The kind, such as `dense`; `input` for an input.
    pub kind: String,
    /// The paths of the layers or inputs that it reads.
    pub inputs: Vec<String>,
    /// The types of the outputs.
    pub output: String,
    /// The number of parameters, frozen ones among them.
    pub parameters: usize,
    /// The bytes of all variables.
    pub bytes: usize,
    /// The multiply-adds of one example, if they are known.
    pub multiply_adds: Option<u64>,
}

impl RunRecord {
    /// Reads the description of a run; `None` if the directory has none.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or was written by another version.
    pub fn read(directory: impl AsRef<Path>) -> Result<Option<RunRecord>> {
        document::read(&directory.as_ref().join(RUN_FILE), RUN_FORMAT)
    }

    /// Replaces the description in a directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        document::write(&directory.join(RUN_FILE), RUN_FORMAT, self)
    }
}

impl RunSession {
    /// Returns the session of this program, which starts at `time` after `step` steps.
    pub(crate) fn here(time: f64, step: usize) -> RunSession {
        let command = std::env::args_os().map(|a| a.to_string_lossy().into_owned());
        RunSession {
            started: time,
            ended: None,
            step,
            command: without_secrets(command),
            environment: RunEnvironment::here(),
        }
    }
}

impl LayerRecord {
    /// Returns the layers of a model.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(4).model();
    /// let layers = train::LayerRecord::of(&model);
    /// assert_eq!((layers[1].kind.as_str(), layers[1].parameters), ("dense", 16));
    /// assert_eq!(layers[1].inputs, ["x"]);
    /// ```
    pub fn of(model: &Model) -> Vec<LayerRecord> {
        let rows: BTreeMap<String, SummaryRow> =
            model.summary_rows().into_iter().map(|row| (row.path.clone(), row)).collect();
        let record = |layer: neurax_nn::LayerInfo| {
            let row = rows.get(&layer.path);
            LayerRecord {
                output: row.map(|r| r.output.clone()).unwrap_or_default(),
                parameters: row.map_or(0, |r| r.trainable.saturating_add(r.frozen)),
                bytes: row.map_or(0, |r| r.bytes),
                multiply_adds: row.and_then(|r| r.multiply_adds),
                path: layer.path,
                kind: layer.kind,
                inputs: layer.inputs,
            }
        };
        model.layers().into_iter().map(record).collect()
    }
}
