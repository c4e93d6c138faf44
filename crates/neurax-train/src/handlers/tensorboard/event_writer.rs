//! [`EventWriter`].

use super::histogram::histogram;
use super::image::image;
use super::messages::*;
use super::record::framed;
use super::{hyper, layers};
use crate::handlers::json_lines::now;
use crate::{HyperParameter, Status};
use neurax_nn::Model;
use neurax_tensor::{Error, Result, Tensor};
use prost::Message;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The start of the name of an event file, which TensorBoard looks for.
const EVENT_FILE: &str = "events.out.tfevents.";
/// The version of the format.
const FILE_VERSION: &str = "brain.Event:2";

/// A writer of an event file of TensorBoard, for values that no handler writes: see
/// [`TensorBoard`](crate::TensorBoard) for those of a training. Each value has a tag, whose part
/// before `/` groups the charts, and a step.
///
/// A record is written in one call of the operating system, so that TensorBoard reads it while the
/// program runs.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let folder = std::env::temp_dir().join(format!("neurax-doc-events-{}", std::process::id()));
/// let mut events = train::EventWriter::create(&folder)?;
/// for step in 0..3 {
///     events.scalar("game/score", step, 1.5 * step as f64)?;
/// }
/// events.image("digit", 2, &Tensor::eye(8))?;
/// events.histogram("weights", 2, &key(0).normal([100]))?;
/// events.text("note", 2, "A **better** start")?;
/// let name = events.path().file_name().and_then(|name| name.to_str());
/// assert!(name.is_some_and(|name| name.starts_with("events.out.tfevents.")));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Creates a new event file in a folder, which is created if there is none. TensorBoard shows
    /// all files of a folder as one run, in the order in which they were created.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn create(folder: impl AsRef<Path>) -> Result<EventWriter> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
        let newest = newest_file(folder).map_err(|e| failed(folder, &e))?;
        let seconds = newest.map_or(0, |old| old + 1).max(now() as u64);
        let path = folder.join(format!("{EVENT_FILE}{seconds:010}.neurax.{}", std::process::id()));
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        let mut writer = EventWriter { file: file.map_err(|e| failed(&path, &e))?, path };
        writer.append(0, EventContent::FileVersion(FILE_VERSION.into()))?;
        Ok(writer)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a number, which is rounded to f32.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: usize, value: f64) -> Result<()> {
        self.summary(step, item(tag, None, SummaryContent::Scalar(value as f32)))
    }

    /// Writes the distribution of the elements of a tensor. Those that are not finite are left out;
    /// without any other, nothing is written.
    ///
    /// # Errors
    /// If the tensor carries an error, or the file cannot be written.
    pub fn histogram(&mut self, tag: &str, step: usize, values: &Tensor) -> Result<()> {
        match histogram(values)? {
            Some(found) => self.summary(step, item(tag, None, SummaryContent::Histogram(found))),
            None => Ok(()),
        }
    }

    /// Writes an image, or a batch of images as a grid: `[height, width]`, or with 1 (grey), 3
    /// (RGB) or 4 (RGBA) channels in front of them or behind them, see
    /// [`ImageAxes`](crate::ImageAxes). Floats are 0 to 1 and integers 0 to 255; others are
    /// clamped.
    ///
    /// # Errors
    /// If the tensor carries an error or has another shape, or the file cannot be written.
    pub fn image(&mut self, tag: &str, step: usize, pixels: &Tensor) -> Result<()> {
        self.summary(step, item(tag, None, SummaryContent::Image(image(pixels)?)))
    }

    /// Writes a text in Markdown.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn text(&mut self, tag: &str, step: usize, markdown: &str) -> Result<()> {
        let shape = TensorSizes { axes: vec![AxisSize { size: 1 }] };
        let texts = vec![markdown.as_bytes().to_vec()];
        let tensor = TensorMessage { dtype: STRING_DTYPE, shape: Some(shape), texts };
        let metadata = metadata("text", vec![]);
        self.summary(step, item(tag, Some(metadata), SummaryContent::Tensor(tensor)))
    }

    /// Writes the layers of a model as a graph. Paths with `.` become nested boxes; each box has
    /// the type of its output, its parameters and its multiply-adds.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn model(&mut self, model: &Model) -> Result<()> {
        self.append(0, EventContent::Graph(layers::graph(model).encode_to_vec()))
    }

    /// Writes the hyper-parameters of a run, and the tags of the scalars by which runs are
    /// compared.
    ///
    /// # Errors
    /// If the file cannot be written.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let name = format!("neurax-doc-hyper-{}", std::process::id());
    /// # let folder = std::env::temp_dir().join(name);
    /// let mut events = train::EventWriter::create(&folder)?;
    /// let values = [("rate", 1e-3.into()), ("layers", 2.into()), ("optimizer", "adam".into())];
    /// events.hyper_parameters(&values, &["validation/loss"])?;
    /// events.scalar("validation/loss", 100, 0.25)?;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn hyper_parameters<N: AsRef<str>>(
        &mut self,
        values: &[(N, HyperParameter)],
        metrics: &[&str],
    ) -> Result<()> {
        let values: Vec<(&str, &HyperParameter)> =
            values.iter().map(|(name, x)| (name.as_ref(), x)).collect();
        self.hyper("_hparams_/experiment", hyper::experiment(&values, metrics, now()))?;
        self.hyper("_hparams_/session_start_info", hyper::start(&values, now()))
    }

    /// Writes the end of the run whose hyper-parameters were written.
    pub(super) fn hyper_parameters_end(&mut self, status: &Status) -> Result<()> {
        self.hyper("_hparams_/session_end_info", hyper::end(status, now()))
    }

    /// Writes that the events after `step` in earlier files are void.
    pub(super) fn session_start(&mut self, step: usize) -> Result<()> {
        self.append(step + 1, EventContent::Session(SessionMessage { status: SESSION_START }))
    }

    fn hyper(&mut self, tag: &str, content: HyperMessage) -> Result<()> {
        let metadata = metadata("hparams", content.encode_to_vec());
        // The plugin reads the metadata alone, but a value must have one.
        let shape = Some(TensorSizes { axes: vec![] });
        let empty = TensorMessage { dtype: STRING_DTYPE, shape, texts: vec![vec![]] };
        self.summary(0, item(tag, Some(metadata), SummaryContent::Tensor(empty)))
    }

    fn summary(&mut self, step: usize, item: SummaryItem) -> Result<()> {
        self.append(step, EventContent::Summary(SummaryMessage { values: vec![item] }))
    }

    fn append(&mut self, step: usize, content: EventContent) -> Result<()> {
        let message = EventMessage { wall_time: now(), step: step as i64, content: Some(content) };
        let record = framed(&message.encode_to_vec());
        self.file.write_all(&record).map_err(|e| failed(&self.path, &e))
    }
}

fn item(tag: &str, metadata: Option<PluginMetadata>, content: SummaryContent) -> SummaryItem {
    SummaryItem { tag: tag.into(), metadata, content: Some(content) }
}

fn metadata(plugin: &str, content: Vec<u8>) -> PluginMetadata {
    let plugin = PluginContent { name: plugin.into(), content };
    PluginMetadata { plugin: Some(plugin), data_class: TENSOR_CLASS }
}

/// Returns true if a folder has event files. What cannot be read is an error when it is written.
pub(super) fn has_events(folder: &Path) -> bool {
    newest_file(folder).is_ok_and(|newest| newest.is_some())
}

/// Returns the largest time in the names of the event files of a folder: TensorBoard reads them in
/// the order of their names.
fn newest_file(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(EVENT_FILE));
        let seconds = rest.and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
        newest = newest.max(seconds);
    }
    Ok(newest)
}

fn failed(path: &Path, e: &std::io::Error) -> Error {
    Error::new("tensorboard", format!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_files_of_a_folder_have_later_names() {
        let name = format!("neurax-events-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let paths: Vec<PathBuf> =
            (0..3).map(|_| EventWriter::create(&folder).unwrap().path().into()).collect();
        assert!(has_events(&folder) && !has_events(&folder.join("none")));
        assert!(paths.is_sorted() && paths[0] < paths[1] && paths[1] < paths[2], "{paths:?}");
        fs::remove_dir_all(&folder).unwrap();

        fs::write(&folder, "a file").unwrap();
        let e = EventWriter::create(&folder).unwrap_err().to_string();
        assert!(e.contains("cannot write"), "{e}");
        fs::remove_file(&folder).unwrap();
    }
}
