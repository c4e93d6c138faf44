//! The JSON of a saved state.
//!
//! `content` is compared with `checksum` as the compact text of the parsed value, so that neither
//! spaces nor the order in which a tool writes fields matters. All its numbers are counts; floats
//! are texts.

use super::load_failure::LoadFailure;
use crate::epoch_so_far::{EpochSoFar, TOTALS, TotalsSoFar};
use crate::program_record::ProgramRecord;
use crate::stopwatch::Stopwatch;
use crate::{EpochLog, HandlerMemories, HandlerMemory, Scores, State, Status};
use neurax_nn::{OptState, Params, Vars};
use neurax_tensor::{Error, Key, Result, Tensor, Tree};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

const STATE_FORMAT: &str = "neurax-state";
/// The version of the format. A change that older programs would read wrongly increases it.
const STATE_VERSION: u32 = 1;
/// The largest count of steps, batches or examples: beyond it, floats skip numbers.
const MOST_COUNTED: u64 = 1 << 53;

/// The text of `state.json`.
#[derive(Serialize)]
pub(super) struct StateDocument {
    format: &'static str,
    version: u32,
    files: BTreeMap<String, StoredFile>,
    checksum: String,
    pub content: Content,
}

/// The size and the checksum of a file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredFile {
    bytes: u64,
    crc32: String,
}

/// All of a state but its tensors, with the structure of the trees that hold these.
#[derive(Serialize, Deserialize)]
pub(super) struct Content {
    step: usize,
    epoch: usize,
    batch: usize,
    loss: ExactNumber,
    metrics: StoredScores,
    validation: StoredScores,
    status: Status,
    /// The number of batches of an epoch, if it is known.
    #[serde(default)]
    batches: Option<usize>,
    #[serde(default)]
    program: ProgramRecord,
    history: Vec<StoredLog>,
    so_far: StoredEpoch,
    handlers: BTreeMap<String, StoredMemory>,
    params: VariableNames,
    state: VariableNames,
    /// The structure of the optimizer's state.
    optimizer: Value,
}

/// The names of variables by layer.
type VariableNames = BTreeMap<String, Vec<String>>;
type StoredScores = Vec<(String, ExactNumber)>;

#[derive(Serialize, Deserialize)]
struct StoredLog {
    epoch: usize,
    train: StoredScores,
    validation: StoredScores,
    examples: usize,
    skipped: usize,
    halted: bool,
    seconds: ExactNumber,
}

#[derive(Serialize, Deserialize)]
struct StoredEpoch {
    #[serde(default)]
    measures: Vec<String>,
    examples: usize,
    skipped_before: usize,
    #[serde(default)]
    first_batch: Option<usize>,
    #[serde(default)]
    validated: Option<usize>,
    halts: bool,
    #[serde(default)]
    is_logged_in_part: bool,
    seconds: ExactNumber,
}

#[derive(Serialize, Deserialize)]
struct StoredMemory {
    numbers: BTreeMap<String, ExactNumber>,
    texts: BTreeMap<String, String>,
    tensors: Vec<String>,
}

/// A float as a text: the shortest one that is read as the same number, or `NaN`, `inf`, `-inf`.
#[derive(Clone, Copy)]
struct ExactNumber(f64);

impl Serialize for ExactNumber {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'d> Deserialize<'d> for ExactNumber {
    fn deserialize<D: Deserializer<'d>>(d: D) -> Result<ExactNumber, D::Error> {
        let text = String::deserialize(d)?;
        let wrong = |_| serde::de::Error::custom(format!("expected a number, got `{text}`"));
        text.parse().map(ExactNumber).map_err(wrong)
    }
}

impl StoredFile {
    pub fn new(bytes: u64, crc32: u32) -> StoredFile {
        StoredFile { bytes, crc32: format!("{crc32:08x}") }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Display for StoredFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} bytes with the checksum {}", self.bytes, self.crc32)
    }
}

impl StateDocument {
    pub fn new(content: Content, files: BTreeMap<String, StoredFile>) -> Result<StateDocument> {
        let checksum = checksum(&serde_json::to_value(&content).map_err(json_error)?);
        Ok(StateDocument { format: STATE_FORMAT, version: STATE_VERSION, files, checksum, content })
    }

    /// Returns the text of the file.
    pub fn text(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(json_error)
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// If it is not that of a state, of a newer version, or damaged.
    pub fn parse(text: &str) -> Result<StateDocument, LoadFailure> {
        let broken = |why: String| LoadFailure::Damaged(is_damaged(why));
        let all: Value = serde_json::from_str(text).map_err(|e| broken(e.to_string()))?;
        if all["format"] != STATE_FORMAT {
            let got = &all["format"];
            return Err(Error::new("load", format!("expected `{STATE_FORMAT}`, got {got}")).into());
        }
        check_version(&all["version"])?;
        let (content, found) = (&all["content"], checksum(&all["content"]));
        if all["checksum"] != found.as_str() {
            let why = format!("expected the checksum {}, got {found}", all["checksum"]);
            return Err(broken(why));
        }
        let files =
            Deserialize::deserialize(&all["files"]).map_err(|e| is_damaged(e.to_string()))?;
        let content = Content::deserialize(content).map_err(|e| is_damaged(e.to_string()))?;
        let (format, version) = (STATE_FORMAT, STATE_VERSION);
        Ok(StateDocument { format, version, files, checksum: found, content })
    }

    /// Returns the size and the checksum of a file.
    pub fn file(&self, name: &str) -> Result<&StoredFile> {
        self.files.get(name).ok_or_else(|| is_damaged(format!("expected the checksum of {name}")))
    }
}

fn check_version(version: &Value) -> Result<()> {
    if *version == STATE_VERSION {
        return Ok(());
    }
    let advice = "use the version of Neurax that wrote the state";
    let why = format!("expected version {STATE_VERSION} of the format, got {version}; {advice}");
    Err(Error::new("load", why))
}

fn is_damaged(why: String) -> Error {
    Error::new("load", format!("the file is damaged: {why}"))
}

fn json_error(e: serde_json::Error) -> Error {
    Error::new("save", e.to_string())
}

/// Returns the checksum of a JSON value.
fn checksum(value: &Value) -> String {
    format!("{:08x}", crc32fast::hash(sorted(value).to_string().as_bytes()))
}

/// Returns the value with the fields of all objects in alphabetical order: a feature of serde_json
/// that another crate of the program may turn on keeps them in the order of the file.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            fields.into_iter().map(|(name, x)| (name.clone(), sorted(x))).collect()
        }
        other => other.clone(),
    }
}

impl Content {
    /// Returns the content of a state, and its tensors by name.
    pub fn of(state: &State) -> Result<(Content, BTreeMap<String, Tensor>)> {
        let tensors = tensors_of(state)?;
        let structure = state.opt.structure()?;
        let content = Content {
            step: state.step,
            epoch: state.epoch,
            batch: state.batch,
            loss: ExactNumber(state.loss),
            metrics: stored_scores(&state.metrics),
            validation: stored_scores(&state.validation),
            status: state.status.clone(),
            batches: state.plan.batches,
            program: state.program.clone(),
            history: state.history.iter().map(StoredLog::from).collect(),
            so_far: StoredEpoch::from(&state.so_far),
            handlers: state.handlers.iter().map(|(n, m)| (n.clone(), m.into())).collect(),
            params: names(&state.vars.params),
            state: names(&state.vars.state),
            optimizer: serde_json::from_str(&structure).map_err(json_error)?,
        };
        Ok((content, tensors))
    }

    /// Returns the number of completed steps.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Returns a number in the memory of a handler.
    pub fn number(&self, handler: &str, name: &str) -> Option<f64> {
        self.handlers.get(handler)?.numbers.get(name).map(|x| x.0)
    }

    /// Checks that the counts are small enough to count on.
    fn check_counts(&self) -> Result<()> {
        let of_epoch = [self.so_far.examples, self.so_far.skipped_before];
        let counts = [self.step, self.epoch, self.batch].into_iter().chain(of_epoch);
        match counts.into_iter().find(|n| *n as u64 > MOST_COUNTED) {
            Some(n) => Err(Error::new("load", format!("expected counts up to 2^53, got {n}"))),
            None => Ok(()),
        }
    }

    /// Returns the state of this content and these tensors.
    ///
    /// # Errors
    /// If a tensor is missing, there are others, or a count is implausible.
    pub fn state(self, tensors: BTreeMap<String, Tensor>) -> Result<State> {
        self.check_counts()?;
        let vars = Vars { params: placeholders(&self.params), state: placeholders(&self.state) };
        let opt = OptState::of_structure(&self.optimizer.to_string())?;
        let mut state = State::new(vars, opt, Key::from_tensor(placeholder()));
        (state.epoch, state.batch, state.step) = (self.epoch, self.batch, self.step);
        state.loss = self.loss.0;
        state.metrics = scores(self.metrics);
        state.validation = scores(self.validation);
        state.history = self.history.into_iter().map(EpochLog::from).collect();
        state.status = self.status;
        state.plan.batches = self.batches;
        state.program = self.program;
        let memory = |(name, stored)| (name, HandlerMemory::from(stored));
        state.handlers = HandlerMemories::from_iter(self.handlers.into_iter().map(memory));
        state.so_far = EpochSoFar {
            totals: TotalsSoFar::Stored(totals_of(&tensors)),
            measures: self.so_far.measures,
            examples: self.so_far.examples,
            skipped_before: self.so_far.skipped_before,
            first_batch: self.so_far.first_batch,
            validated: self.so_far.validated,
            halts: self.so_far.halts,
            is_logged_in_part: self.so_far.is_logged_in_part,
            watch: Stopwatch::stopped_at(self.so_far.seconds.0),
        };
        with_tensors(&state, tensors)
    }
}

/// Returns the tensors of a state by their paths.
fn tensors_of(state: &State) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    for (path, t) in state.leaves() {
        if tensors.insert(path.clone(), t.clone()).is_some() {
            let why = format!("two tensors of the state are called `{path}`; rename a layer");
            return Err(Error::new("save", why));
        }
    }
    Ok(tensors)
}

/// Returns a state of the structure of `like` with the tensors of a file.
fn with_tensors(like: &State, mut tensors: BTreeMap<String, Tensor>) -> Result<State> {
    let leaf = |(path, _): (String, &Tensor)| {
        let found = tensors.remove(&path);
        found.ok_or_else(|| is_damaged(format!("expected a tensor `{path}`, got none")))
    };
    let leaves: Vec<Tensor> = like.leaves().into_iter().map(leaf).collect::<Result<_>>()?;
    match tensors.keys().next() {
        Some(path) => Err(is_damaged(format!("expected no tensor `{path}`"))),
        None => Ok(like.with_leaves(leaves)),
    }
}

/// Returns placeholders of the totals of the epoch among the tensors of a file.
fn totals_of(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let inside = format!("{TOTALS}.");
    let paths = tensors.keys().filter_map(|path| path.strip_prefix(&inside));
    paths.map(|path| (path.to_string(), placeholder())).collect()
}

fn placeholder() -> Tensor {
    Tensor::from_error(Error::bug("a tensor of a saved state was not read"))
}

fn names(variables: &Params) -> VariableNames {
    variables.iter().map(|(layer, own)| (layer.clone(), own.keys().cloned().collect())).collect()
}

fn placeholders(names: &VariableNames) -> Params {
    let layer = |own: &Vec<String>| own.iter().map(|n| (n.clone(), placeholder())).collect();
    names.iter().map(|(name, own)| (name.clone(), layer(own))).collect()
}

fn stored_scores(scores: &Scores) -> StoredScores {
    scores.iter().map(|(name, x)| (name.to_string(), ExactNumber(x))).collect()
}

fn scores(stored: StoredScores) -> Scores {
    stored.into_iter().map(|(name, x)| (name, x.0)).collect()
}

impl From<&EpochLog> for StoredLog {
    fn from(log: &EpochLog) -> StoredLog {
        StoredLog {
            epoch: log.epoch,
            train: stored_scores(&log.train),
            validation: stored_scores(&log.validation),
            examples: log.examples,
            skipped: log.skipped,
            halted: log.halted,
            seconds: ExactNumber(log.seconds),
        }
    }
}

impl From<StoredLog> for EpochLog {
    fn from(log: StoredLog) -> EpochLog {
        EpochLog {
            epoch: log.epoch,
            train: scores(log.train),
            validation: scores(log.validation),
            examples: log.examples,
            skipped: log.skipped,
            halted: log.halted,
            seconds: log.seconds.0,
        }
    }
}

impl From<&EpochSoFar> for StoredEpoch {
    fn from(epoch: &EpochSoFar) -> StoredEpoch {
        StoredEpoch {
            measures: epoch.measures.clone(),
            examples: epoch.examples,
            skipped_before: epoch.skipped_before,
            first_batch: epoch.first_batch,
            validated: epoch.validated,
            halts: epoch.halts,
            is_logged_in_part: epoch.is_logged_in_part,
            seconds: ExactNumber(epoch.watch.seconds()),
        }
    }
}

impl From<StoredMemory> for HandlerMemory {
    /// Returns the memory with placeholders of its tensors.
    fn from(memory: StoredMemory) -> HandlerMemory {
        HandlerMemory {
            numbers: memory.numbers.into_iter().map(|(name, x)| (name, x.0)).collect(),
            texts: memory.texts,
            tensors: memory.tensors.into_iter().map(|name| (name, placeholder())).collect(),
        }
    }
}

impl From<&HandlerMemory> for StoredMemory {
    fn from(memory: &HandlerMemory) -> StoredMemory {
        StoredMemory {
            numbers: memory.numbers.iter().map(|(n, x)| (n.clone(), ExactNumber(*x))).collect(),
            texts: memory.texts.clone(),
            tensors: memory.tensors.keys().cloned().collect(),
        }
    }
}
