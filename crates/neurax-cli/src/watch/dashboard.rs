//! The state of the dashboard: the files of the run, and the chart that is chosen.

use neurax::train::RunFiles;
use neurax_report::{Plot, PlotKind, run_plots};
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// The files whose changes are noticed.
const WATCHED_FILES: [&str; 3] = [DESCRIPTION_FILE, "metrics.jsonl", "predictions.json"];
/// The file whose absence means that the run has not started.
const DESCRIPTION_FILE: &str = "run.json";

/// A wish of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DashboardKey {
    Quit,
    Next,
    Previous,
}

/// The data of the dashboard.
pub struct Dashboard {
    directory: PathBuf,
    /// The files at the last change.
    pub files: RunFiles,
    /// The plots of lines.
    pub plots: Vec<Plot>,
    /// The index of the first plot that is shown.
    pub chosen: usize,
    /// The sizes and times of the files at the last change.
    seen: Option<Vec<Option<(u64, SystemTime)>>>,
}

impl Dashboard {
    pub fn new(directory: PathBuf) -> Dashboard {
        let files = RunFiles { directory: directory.clone(), ..RunFiles::default() };
        Dashboard { directory, files, plots: vec![], chosen: 0, seen: None }
    }

    /// Reads the files if one of them has changed.
    pub fn refresh(&mut self) {
        let found: Vec<Option<(u64, SystemTime)>> = WATCHED_FILES
            .map(|name| {
                let found = fs::metadata(self.directory.join(name)).ok()?;
                Some((found.len(), found.modified().ok()?))
            })
            .into();
        if self.seen.as_ref() == Some(&found) {
            return;
        }
        self.files = RunFiles::read(&self.directory);
        let is_line = |plot: &Plot| matches!(plot.kind, PlotKind::Lines { .. });
        self.plots = run_plots(&self.files).into_iter().filter(is_line).collect();
        self.seen = Some(found);
    }

    /// Chooses another plot.
    pub fn press(&mut self, key: DashboardKey) {
        let n = self.plots.len().max(1);
        self.chosen = match key {
            DashboardKey::Quit => self.chosen,
            DashboardKey::Next => (self.chosen + 1) % n,
            DashboardKey::Previous => (self.chosen + n - 1) % n,
        };
    }

    /// Returns true if the run has not written anything yet.
    pub fn is_waiting(&self) -> bool {
        !self.has_description() && self.files.lines.is_empty()
    }

    /// Returns true if there is a description, which may be damaged.
    pub fn has_description(&self) -> bool {
        self.seen.as_ref().and_then(|seen| seen.first()).is_some_and(Option::is_some)
    }
}
