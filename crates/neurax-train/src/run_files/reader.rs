//! [`RunFiles`].

use super::{
    BestRecord, CHECKPOINT_FOLDER, METRICS_FILE, PREDICTIONS_FILE, PredictionRecord, ProfileRecord,
    RunRecord,
};
use crate::saved::file_size;
use crate::saved::steps::step_folders;
use crate::tuning::MAX_DOCUMENT_BYTES;
use crate::{LineKind, MetricsLine, Status};
use neurax_tensor::Result;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The most damaged lines of a log that are named; the others are counted.
const MAX_NAMED_LINES: usize = 5;

/// All files of a run directory, for reports. A file that is missing or damaged is named in
/// `problems`, and the others are read: a run that was killed has a report, too.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let run = std::env::temp_dir().join(format!("neurax-doc-files-{}", std::process::id()));
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// trainer.record(train::RunDirectory::new(&run)).run(&set.batched(2), epochs(3))?;
///
/// let files = train::RunFiles::read(&run);
/// assert_eq!(files.record.as_ref().map(|record| record.epochs), Some(Some(3)));
/// assert_eq!((files.epochs().count(), files.checkpoints), (3, vec![2, 4, 6]));
/// assert!(files.problems.is_empty());
/// # std::fs::remove_dir_all(&run)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFiles {
    /// The directory.
    pub directory: PathBuf,
    /// The description of the run.
    pub record: Option<RunRecord>,
    /// The lines of the log.
    pub lines: Vec<MetricsLine>,
    /// The quality on a data set, after the run.
    pub predictions: Option<PredictionRecord>,
    /// The time of a training step.
    pub profile: Option<ProfileRecord>,
    /// The steps of the saved states.
    pub checkpoints: Vec<usize>,
    /// The best one of the saved states, if it was chosen.
    pub best: Option<BestRecord>,
    /// Messages about files that are missing or damaged.
    pub problems: Vec<String>,
}

impl RunFiles {
    /// Reads the files of a directory.
    pub fn read(directory: impl AsRef<Path>) -> RunFiles {
        let directory = directory.as_ref();
        let mut files = RunFiles { directory: directory.into(), ..RunFiles::default() };
        let record = RunRecord::read(directory);
        files.record = files.noted(record).flatten();
        let noted = files.record.as_ref().map(|record| record.problems.clone());
        if files.record.is_none() && files.problems.is_empty() {
            files.problems.push(format!("{}: there is no run.json", directory.display()));
        }
        files.problems.extend(noted.unwrap_or_default());
        files.read_lines(&directory.join(METRICS_FILE));
        files.read_predictions();
        let profile = ProfileRecord::read(directory);
        files.profile = files.noted(profile).flatten();
        let checkpoints = step_folders(&directory.join(CHECKPOINT_FOLDER));
        let checkpoints = files.noted(checkpoints).unwrap_or_default();
        files.checkpoints = checkpoints.into_iter().map(|(step, _)| step).collect();
        let best = BestRecord::read(directory);
        files.best = files.noted(best).flatten();
        let lost = files.lost_lines(&directory.join(METRICS_FILE));
        files.problems.extend(lost);
        files
    }

    /// Returns the lines of the epochs.
    pub fn epochs(&self) -> impl DoubleEndedIterator<Item = &MetricsLine> {
        self.lines.iter().filter(|line| line.event == LineKind::Epoch)
    }

    /// Returns the lines of steps.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &MetricsLine> {
        self.lines.iter().filter(|line| line.event == LineKind::Step)
    }

    fn read_lines(&mut self, path: &Path) {
        let bytes = match file_bytes(path) {
            Ok(bytes) => bytes,
            Err(e) => {
                let why = match e.kind() {
                    ErrorKind::NotFound => "there is no metrics.jsonl".into(),
                    _ => e.to_string(),
                };
                return self.problems.push(format!("{}: {why}", path.display()));
            }
        };
        // A last line without an end is being written.
        let whole = bytes.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
        let mut damaged = 0;
        for (i, line) in whole.enumerate() {
            match serde_json::from_slice(line) {
                Ok(line) => self.lines.push(line),
                Err(e) => {
                    damaged += 1;
                    if damaged <= MAX_NAMED_LINES {
                        let why = format!("{}: line {} is damaged: {e}", path.display(), i + 1);
                        self.problems.push(why);
                    }
                }
            }
        }
        if damaged > MAX_NAMED_LINES {
            let more = damaged - MAX_NAMED_LINES;
            self.problems.push(format!("{}: {more} more lines are damaged", path.display()));
        }
    }

    fn read_predictions(&mut self) {
        let predictions = PredictionRecord::read(&self.directory);
        let problems = self.problems.len();
        self.predictions = self.noted(predictions).flatten();
        let is_expected = self.record.as_ref().is_some_and(|record| record.has_predictions);
        if is_expected && self.predictions.is_none() && self.problems.len() == problems {
            let directory = self.directory.display();
            let why = format!("{directory}: there is no {PREDICTIONS_FILE}, which the run wrote");
            self.problems.push(why);
        }
    }

    /// Returns the problem of a log whose end is lost: one that ends before the newest checkpoint.
    /// In a run that did not complete, the checkpoint may be newer by less than the distance of two
    /// lines.
    fn lost_lines(&self, path: &Path) -> Option<String> {
        let saved = *self.checkpoints.last()?;
        let record = self.record.as_ref();
        let is_complete = record.is_some_and(|record| record.status == Status::Completed);
        let logged = self.lines.last().map_or(0, |line| line.step);
        let steps = || self.lines.iter().map(|line| line.step);
        let distance = if is_complete && path.exists() {
            0
        } else if self.lines.is_empty() {
            return None;
        } else {
            let distances = steps().zip(steps().skip(1)).map(|(a, b)| b.saturating_sub(a));
            distances.chain(record.and_then(|record| record.batches)).max().unwrap_or(0)
        };
        (saved > logged.saturating_add(distance)).then(|| {
            format!(
                "{}: the end of the log is lost: expected lines up to step {saved}, which is that \
                 of the newest checkpoint, got lines up to step {logged}",
                path.display()
            )
        })
    }

    /// Returns the value, or adds the error to the problems.
    fn noted<T>(&mut self, read: Result<T>) -> Option<T> {
        read.map_err(|e| self.problems.push(e.message().to_string())).ok()
    }
}

/// Returns the content of a log.
///
/// # Errors
/// If it cannot be read, is no regular file, or is too large.
fn file_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = file_size(path)?;
    if bytes > MAX_DOCUMENT_BYTES {
        let why = format!("expected at most {MAX_DOCUMENT_BYTES} bytes, got {bytes}");
        return Err(std::io::Error::other(why));
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn line(step: usize) -> MetricsLine {
        let (train, validated) = (BTreeMap::new(), BTreeMap::new());
        let (event, epoch, rate, of_epoch) = (LineKind::Step, 0, None, None);
        MetricsLine { event, epoch, step, time: 0.0, rate, train, validated, of_epoch }
    }

    #[test]
    fn a_log_that_ends_before_the_newest_checkpoint_is_a_problem() {
        let file = std::env::temp_dir().join(format!("neurax-cut-log-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let problem = |status, steps: &[usize], saved| {
            let record = Some(RunRecord { status, batches: Some(45), ..RunRecord::default() });
            let (lines, checkpoints) = (steps.iter().map(|n| line(*n)).collect(), vec![saved]);
            RunFiles { record, lines, checkpoints, ..RunFiles::default() }.lost_lines(&file)
        };
        let cut = problem(Status::Completed, &[10], 540).unwrap();
        assert!(cut.contains("lines up to step 540") && cut.ends_with("up to step 10"), "{cut}");
        assert!(problem(Status::Running, &[10, 20], 540).is_some());
        assert!(problem(Status::Completed, &[], 540).unwrap().ends_with("up to step 0"));
        assert!(problem(Status::Completed, &[530, 540], 540).is_none());
        // Lines of epochs alone, and a checkpoint inside of the next epoch.
        assert!(problem(Status::Running, &[45, 90], 111).is_none());
        assert!(problem(Status::Running, &[], 30).is_none());
        let (lines, checkpoints) = (vec![line(10), line(20)], vec![540]);
        let without_record = RunFiles { lines, checkpoints, ..RunFiles::default() };
        assert!(without_record.lost_lines(&file).is_some());
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn few_damaged_lines_are_named_and_the_others_counted() {
        let directory = std::env::temp_dir().join(format!("neurax-log-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(METRICS_FILE), "x\n".repeat(1000)).unwrap();
        let problems = RunFiles::read(&directory).problems;
        assert_eq!(problems.len(), MAX_NAMED_LINES + 2, "{problems:?}");
        assert!(problems.last().unwrap().ends_with("995 more lines are damaged"));
        std::fs::remove_file(directory.join(METRICS_FILE)).unwrap();
        std::fs::create_dir(directory.join(METRICS_FILE)).unwrap();
        let problems = RunFiles::read(&directory).problems;
        assert!(problems.iter().any(|p| p.contains("expected a regular file")), "{problems:?}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
