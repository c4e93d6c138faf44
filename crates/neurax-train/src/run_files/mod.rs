//! The files of a run directory.
//!
//! ```text
//! run.json           the command line, environment, hyper-parameters, layers: RunRecord
//! metrics.jsonl      a line for each epoch and for every few steps: MetricsLine
//! predictions.json   confusion matrix and curves, written at the end: PredictionRecord
//! profile.json       the time of a training step: ProfileRecord
//! checkpoints/       saved states, see `saved`
//! ```
//!
//! [`RunDirectory`](crate::RunDirectory) writes them, [`RunFiles`] reads them for reports, and
//! `resume_from` finds the checkpoints. No file holds the path of another one, so that a copied
//! directory can be read and resumed.

mod best;
mod document;
mod environment;
mod predictions;
mod profile;
mod reader;
mod record;
mod secrets;

pub use best::BestRecord;
pub use environment::RunEnvironment;
pub use predictions::{ClassCurves, PredictionRecord};
pub use profile::{ProfileRecord, TimeShare};
pub use reader::RunFiles;
pub use record::{LayerRecord, RunRecord, RunSession};

use std::path::{Path, PathBuf};

/// The names of the files and folders of a run directory.
pub(crate) const RUN_FILE: &str = "run.json";
pub(crate) const METRICS_FILE: &str = "metrics.jsonl";
pub(crate) const PREDICTIONS_FILE: &str = "predictions.json";
pub(crate) const PROFILE_FILE: &str = "profile.json";
pub(crate) const CHECKPOINT_FOLDER: &str = "checkpoints";

/// Returns the directory of the saved states: that inside of a run directory, or `directory`.
pub(crate) fn checkpoint_directory(directory: &Path) -> PathBuf {
    if directory.join(RUN_FILE).exists() {
        directory.join(CHECKPOINT_FOLDER)
    } else {
        directory.to_path_buf()
    }
}
