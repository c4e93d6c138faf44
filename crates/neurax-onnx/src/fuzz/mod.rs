//! Damaged models: no file may panic, hang, or allocate what it merely claims.
//!
//! Models are written, bytes and fields of them changed, and the results read and, where that
//! succeeds, run (`corpus.rs`, `damage.rs`, `wire.rs`). Values of test data and external data are
//! damaged as well (`files.rs`). Then models of one node are made: any operator, with inputs and
//! attributes of any kind (`calls.rs`).
//!
//! `NEURAX_FUZZ_COUNT` sets the number of cases of each test, `NEURAX_FUZZ_SEED` the seed, which is
//! printed: case i has the seed plus i, so that a failure can be repeated with a count of 1.
//! `NEURAX_FUZZ_MODELS` is a folder of tests of ONNX backends, whose models are damaged, too, and
//! `NEURAX_FUZZ_STATE` a file for the seed of the current case, which remains when the process is
//! killed. `scripts/fuzz-onnx.sh` sets them, and limits the memory of the process.

mod calls;
mod corpus;
mod damage;
mod files;
mod watch;
mod wire;

use crate::elements::{optional_value, sequence_value, tensor_value};
use crate::external::ExternalData;
use crate::loop_budget::LoopBudget;
use crate::proto::{GraphProto, ModelProto};
use crate::{Importer, OnnxValue};
use corpus::IntactModel;
use neurax::testing::Draw;
use neurax_ir::Error;
use neurax_tensor::Tensor;
use prost::Message;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{SystemTime, UNIX_EPOCH};
use watch::{HangWatch, in_bounded_space};

/// The cases of a test without other settings.
const COUNT: u64 = 2000;
/// The failures after which a test stops.
const MAX_FAILURES: usize = 20;
/// The iterations of a model with loops. One with a larger integer, which may be a number of
/// iterations, is not compiled.
const MAX_FUZZ_ITERATIONS: u64 = 4096;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Checks cases, of which each draws from its own seed. Prints how many of them succeed, for which
/// `check` returns true.
#[track_caller]
fn check_cases(check: impl Fn(&mut Draw) -> Result<bool, String>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let seed = setting("NEURAX_FUZZ_SEED", now << 32);
    println!("NEURAX_FUZZ_SEED={seed}");
    let state = std::env::var_os(watch::FUZZ_STATE_VARIABLE);
    let (watch, mut failures, mut succeeded) = (HangWatch::start(), Vec::new(), 0);
    let count = setting("NEURAX_FUZZ_COUNT", COUNT);
    for seed in (0..count).map(|i| seed.wrapping_add(i)) {
        let case = format!("NEURAX_FUZZ_SEED={seed} NEURAX_FUZZ_COUNT=1");
        if let Some(path) = &state {
            std::fs::write(path, &case).unwrap();
        }
        watch.begin(&case);
        match catch_unwind(AssertUnwindSafe(|| check(&mut Draw::new(seed)))) {
            Ok(Ok(success)) => succeeded += u64::from(success),
            Ok(Err(why)) => failures.push(format!("{case}: {why}")),
            Err(_) => failures.push(format!("{case}: panicked")),
        }
        if failures.len() >= MAX_FAILURES {
            break;
        }
    }
    println!("{succeeded} of {count} cases succeeded");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Reads a damaged model and, if that succeeds, runs it. Returns true if that succeeds, too.
fn read_and_run(intact: &IntactModel, file: Vec<u8>) -> Result<bool, String> {
    let (ends, operators) = (ends_soon(&file), operators_of(&file));
    let read = in_bounded_space(file.len(), || Importer::new().open_bytes(file))?;
    let Ok(session) = read else { return Ok(false) };
    _ = session.input_types();
    let net = session.net();
    let input = |name: &str| match intact.inputs.get(name) {
        Some(x) => (name.to_string(), x.clone()),
        None => (name.to_string(), OnnxValue::Tensor(Tensor::ones([2]))),
    };
    let inputs = session.inputs().map(input).collect();
    let result = match ends {
        true => session.run(inputs),
        false => {
            session.run_eagerly_within(inputs, LoopBudget::of(MAX_FUZZ_ITERATIONS).counting_all())
        }
    };
    let is_ok = result.is_ok();
    match [net.err(), result.err()].into_iter().flatten().find(is_bug) {
        Some(e) => Err(format!("{operators}: {e}")),
        None => Ok(is_ok),
    }
}

/// Returns true if an error says that it is one of Neurax.
fn is_bug(e: &Error) -> bool {
    e.to_string().contains("internal error")
}

/// Returns the names of the operators of a model, for a message.
fn operators_of(file: &[u8]) -> String {
    let graph = ModelProto::decode(file).ok().and_then(|model| model.graph).unwrap_or_default();
    graph.node.into_iter().map(|n| n.op_type).collect::<Vec<_>>().join(" ")
}

/// Returns true if it is known that the loops of a model end soon when they are compiled: as any
/// program, a model may have one that does not.
fn ends_soon(file: &[u8]) -> bool {
    let Ok(ModelProto { graph: Some(g), functions, .. }) = ModelProto::decode(file) else {
        return true;
    };
    let mut found = LoopsOfModel::default();
    found.add_graph(&g);
    let main =
        functions.iter().map(|f| GraphProto { node: f.node.clone(), ..GraphProto::default() });
    main.for_each(|g| found.add_graph(&g));
    !found.has_loops || (!found.is_unlimited && found.largest <= MAX_FUZZ_ITERATIONS as i64)
}

/// The loops of a model.
#[derive(Default)]
struct LoopsOfModel {
    has_loops: bool,
    /// True if a loop has no largest number of iterations.
    is_unlimited: bool,
    /// The largest integer in the model.
    largest: i64,
}

impl LoopsOfModel {
    fn add_graph(&mut self, g: &GraphProto) {
        let attributes = || g.node.iter().flat_map(|n| &n.attribute);
        let constants = attributes().filter_map(|a| a.t.as_ref());
        for t in g.initializer.iter().chain(constants) {
            let raw = t.raw_data.iter().flat_map(|raw| raw.chunks_exact(8));
            let raw = raw.filter_map(|x| Some(i64::from_le_bytes(x.try_into().ok()?)));
            self.largest = t.int64_data.iter().copied().chain(raw).fold(self.largest, i64::max);
        }
        let ints = attributes().flat_map(|a| a.ints.iter().copied().chain(a.i));
        self.largest = ints.fold(self.largest, i64::max);
        for n in g.node.iter().filter(|n| n.op_type == "Loop") {
            self.has_loops = true;
            self.is_unlimited |= n.input.first().is_none_or(String::is_empty);
        }
        attributes().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|g| self.add_graph(g));
    }
}

#[test]
fn damaged_models_neither_panic_nor_hang() {
    let models = corpus::intact_models();
    check_cases(|draw| {
        let intact = &models[draw.below(models.len())];
        let file = damage::message(&intact.file, draw);
        read_and_run(intact, file)
    });
}

#[test]
fn damaged_values_neither_panic_nor_hang() {
    let values = corpus::values();
    check_cases(|draw| {
        let file = damage::message(&values[draw.below(values.len())], draw);
        let files = ExternalData::new(None, HashMap::new());
        let kind = draw.below(3);
        let read = || match kind {
            0 => tensor_value(&decoded(&file)?, &files).ok(),
            1 => sequence_value(&decoded(&file)?, &files).ok(),
            _ => optional_value(&decoded(&file)?, &files).ok(),
        };
        Ok(in_bounded_space(file.len(), read)?.is_some())
    });
}

fn decoded<M: Message + Default>(file: &[u8]) -> Option<M> {
    M::decode(file).ok()
}

#[test]
fn damaged_external_data_are_errors_or_read_right() {
    let folder = files::ModelFolder::new();
    check_cases(|draw| files::read(&folder, draw));
}

#[test]
fn random_calls_of_operators_neither_panic_nor_hang() {
    check_cases(calls::call);
}
