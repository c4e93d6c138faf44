//! Event files of TensorBoard (<https://www.tensorflow.org/tensorboard>).
//!
//! ```text
//! run/events.out.tfevents.1790000000.neurax.4711
//!   record: length u64, checksum u32, bytes, checksum u32      record.rs
//!   bytes:  Event { wall_time, step, summary { tag, value } }  messages.rs
//! ```
//!
//! The problem: TensorBoard reads protocol buffers in a framing with checksums, TFRecord, that
//! TensorFlow defines. The messages are declared by hand and few of their fields are written: the
//! older fields for scalars, histograms and images, which every version of TensorBoard reads.
//!
//! # Invariants
//!
//! - A program that resumes writes a new file, which begins with the start of a session: readers
//!   drop the events behind its checkpoint in older files.
//! - Files are read in the order of their names, which are times: a new one is later than all in
//!   the folder.

mod event_writer;
mod histogram;
mod hyper;
mod image;
mod image_axes;
mod layers;
mod messages;
mod record;

pub use event_writer::EventWriter;
pub use image::png_image;
pub use image_axes::ImageAxes;

use super::rate::RateSource;
use crate::{Event, Flow, Handler, HyperParameter, Scores, State, Status, When, every};
use neurax_nn::Model;
use neurax_nn::optim::Schedule;
use neurax_tensor::{Error, Result, Tree};
use std::path::PathBuf;

/// A handler that writes the scores for TensorBoard: `tensorboard --logdir runs` shows all runs
/// below a folder.
///
/// | tag | value | after |
/// |---|---|---|
/// | `train/loss`, `train/accuracy`, .. | the scores in training | each epoch |
/// | `validation/loss`, .. | those on the validation sets | each evaluation |
/// | `steps/loss`, .. | those of the epoch so far, with [`TensorBoard::every_steps`] | a step |
/// | `rate` | the learning rate, if it is known or given by [`TensorBoard::rate`] | both |
/// | `examples per second` | the throughput in training | each epoch |
/// | `params/dense.kernel`, .. | histograms, with [`TensorBoard::histograms`] | each epoch |
///
/// The graph of the model and hyper-parameters are written when the run starts. A run that is
/// resumed writes a new file in the folder, and TensorBoard drops the values behind its checkpoint.
/// A new run needs a folder without events. A trial writes nothing.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let folder = std::env::temp_dir().join(format!("neurax-doc-board-{}", std::process::id()));
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1).model();
/// let board = train::TensorBoard::new(&folder)
///     .model(&model)
///     .histograms()
///     .hyper_parameter("rate", 0.1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).validate(&set).quiet();
/// trainer.handler(board).run(&set.batched(2), epochs(2))?;
/// assert_eq!(std::fs::read_dir(&folder)?.count(), 1);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    steps: Option<usize>,
    histograms: bool,
    rate: RateSource,
    model: Option<Model>,
    hyper_parameters: Vec<(String, HyperParameter)>,
    /// `None` before the run starts.
    writer: Option<EventWriter>,
}

impl TensorBoard {
    /// Creates a handler that writes to `folder`, which is created when the run starts.
    pub fn new(folder: impl Into<PathBuf>) -> TensorBoard {
        TensorBoard {
            folder: folder.into(),
            steps: None,
            histograms: false,
            rate: RateSource::default(),
            model: None,
            hyper_parameters: vec![],
            writer: None,
        }
    }

    /// Writes the scores of the epoch so far after every `n` steps, too.
    pub fn every_steps(self, n: usize) -> TensorBoard {
        TensorBoard { steps: Some(n), ..self }
    }

    /// Writes a histogram of each parameter after each epoch, too.
    pub fn histograms(self) -> TensorBoard {
        TensorBoard { histograms: true, ..self }
    }

    /// Writes the learning rate of a schedule, for a [`CustomTraining`](crate::CustomTraining),
    /// whose optimizers the trainer does not know. Of other trainings, the rate is known and
    /// written without it.
    pub fn rate(self, schedule: Schedule) -> TensorBoard {
        TensorBoard { rate: RateSource::of(schedule), ..self }
    }

    /// Writes the graph of a model.
    pub fn model(self, model: &Model) -> TensorBoard {
        TensorBoard { model: Some(model.clone()), ..self }
    }

    /// Writes a hyper-parameter: TensorBoard lists runs by them, with the last scores on the
    /// validation set, or in training if there is none.
    pub fn hyper_parameter(mut self, name: &str, value: impl Into<HyperParameter>) -> TensorBoard {
        self.hyper_parameters.push((name.into(), value.into()));
        self
    }

    fn start(&mut self, state: &State) -> Result<()> {
        if state.is_new && event_writer::has_events(&self.folder) {
            let why = format!(
                "expected a folder without events for a new run, got {}; choose another folder, or \
                 resume the run",
                self.folder.display()
            );
            return Err(Error::new("tensorboard", why));
        }
        let mut writer = EventWriter::create(&self.folder)?;
        writer.session_start(state.step)?;
        if let Some(model) = &self.model {
            writer.model(model)?;
        }
        self.writer = Some(writer);
        Ok(())
    }

    fn epoch_ended(&mut self, state: &State) -> Result<()> {
        let Some(log) = state.history.last() else { return Ok(()) };
        if log.epoch == 0 {
            self.write_hyper_parameters(&log.train, &log.validation)?;
        }
        self.scores("train", state.step, &log.train)?;
        if !state.is_validated_after_last_step() {
            self.scores("validation", state.step, &log.validation)?;
        }
        let speed = log.examples as f64 / log.seconds.max(f64::MIN_POSITIVE);
        self.writer()?.scalar("examples per second", state.step, speed)?;
        self.write_rate(state)?;
        if self.histograms {
            for (path, x) in state.vars.params.leaves() {
                self.writer()?.histogram(&format!("params/{path}"), state.step, x)?;
            }
        }
        Ok(())
    }

    /// Writes the hyper-parameters when the names of the scores are known.
    fn write_hyper_parameters(&mut self, train: &Scores, validation: &Scores) -> Result<()> {
        if self.hyper_parameters.is_empty() {
            return Ok(());
        }
        let has_validation = validation.iter().next().is_some();
        let (group, scores) =
            if has_validation { ("validation", validation) } else { ("train", train) };
        let tags: Vec<String> = scores.iter().map(|(name, _)| format!("{group}/{name}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let values = self.hyper_parameters.clone();
        self.writer()?.hyper_parameters(&values, &tags)
    }

    fn scores(&mut self, group: &str, step: usize, scores: &Scores) -> Result<()> {
        let writer = self.writer()?;
        let mut write = |(name, x): (&str, f64)| writer.scalar(&format!("{group}/{name}"), step, x);
        scores.iter().try_for_each(&mut write)
    }

    fn step_ended(&mut self, state: &State) -> Result<()> {
        self.writer()?.scalar("steps/loss", state.step, state.loss)?;
        self.scores("steps", state.step, &state.metrics)?;
        self.write_rate(state)
    }

    fn write_rate(&mut self, state: &State) -> Result<()> {
        match self.rate.value(state)? {
            Some(rate) => self.writer()?.scalar("rate", state.step, rate),
            None => Ok(()),
        }
    }

    fn ended(&mut self, status: &Status) -> Result<()> {
        match &mut self.writer {
            Some(writer) if !self.hyper_parameters.is_empty() => {
                writer.hyper_parameters_end(status)
            }
            _ => Ok(()),
        }
    }

    fn writer(&mut self) -> Result<&mut EventWriter> {
        self.writer.as_mut().ok_or_else(|| Error::bug("an event file was not opened at the start"))
    }
}

impl Handler for TensorBoard {
    fn name(&self) -> String {
        format!("tensorboard {}", self.folder.display())
    }

    fn events(&self) -> Vec<When> {
        use Event::*;
        let steps = self.steps.map(|n| BatchEnded.when(every(n).batches()));
        let always = [Started, Validated, EpochEnded, Completed, Failed].map(When::from);
        always.into_iter().chain(steps).collect()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match event {
            _ if state.is_trial => {}
            Event::Started => self.start(state)?,
            Event::BatchEnded => self.step_ended(state)?,
            Event::Validated => self.scores("validation", state.step, &state.validation)?,
            Event::EpochEnded => self.epoch_ended(state)?,
            _ => self.ended(&state.status)?,
        }
        Ok(Flow::Continue)
    }
}
