//! The HTML page of a run.

use crate::figure::figure;
use crate::layer_graph::themed_layers_svg;
use crate::plot::Plot;
use crate::profile_section::profile_section;
use crate::run_plots::run_plots;
use crate::tables::{Facts, epoch_table, layer_table, tiles};
use crate::text::{date, duration, escape, shell_command};
use crate::theme::style_sheet;
use crate::tuning::MAX_OPEN_LAYERS;
use neurax_train::{RunFiles, RunRecord, RunSession, Status};
use std::path::Path;

/// The style sheet, without the colors.
const PAGE_STYLE: &str = include_str!("page.css");

/// Returns the report of a run directory: one HTML page without scripts that loads nothing, with
/// the state of the run, its plots, its model, its hyper-parameters, the programs that trained, the
/// time of a step if it was measured, and its epochs.
///
/// A file that is missing or damaged is named on the page, and the others are shown. All texts of
/// the files are escaped.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let run = std::env::temp_dir().join(format!("neurax-doc-page-{}", std::process::id()));
/// let iris = data::iris()?.split(0.8, key(0));
/// let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
/// Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
///     .metric(metric::accuracy())
///     .record(train::RunDirectory::new(&run).hyper_parameter("rate", 0.01))
///     .quiet()
///     .run(&iris.train.batched(20), epochs(3))?;
/// let page = neurax_report::report(&run);
/// assert!(page.starts_with("<!doctype html>") && page.contains("aria-label=\"loss over epoch"));
/// assert!(!page.contains("<script") && !page.contains("src=\"http"));
/// # std::fs::remove_dir_all(&run)?;
/// # Ok::<(), Error>(())
/// ```
pub fn report(directory: impl AsRef<Path>) -> String {
    page(&RunFiles::read(directory))
}

/// Returns the report of files that were read.
pub fn page(files: &RunFiles) -> String {
    let title = title(&files.directory);
    let record = files.record.clone().unwrap_or_default();
    let sections = [
        header(&title, files, &record),
        tiles(files, &record),
        problems(&files.problems),
        plots(&run_plots(files)),
        predicted(files),
        model(&record),
        facts(&record),
        programs(&record),
        files.profile.as_ref().map(profile_section).unwrap_or_default(),
        // The longest part is the last one.
        epoch_table(files),
    ];
    let (title, colors, body) = (escape(&title), style_sheet(), sections.concat());
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{colors}{PAGE_STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}<footer>Made by <code>neurax report</code> {version}.</footer>\n\
         </main>\n</body>\n</html>\n"
    )
}

/// Returns the name of the directory.
fn title(directory: &Path) -> String {
    // `.` has a name only as an absolute path.
    let whole = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| directory.display().to_string())
}

fn header(title: &str, files: &RunFiles, record: &RunRecord) -> String {
    let class = match record.status {
        Status::Running => "running",
        Status::Completed => "completed",
        Status::Failed => "failed",
        Status::Stopped { .. } | Status::Interrupted | Status::Terminated => "stopped",
    };
    let status = match &files.record {
        None => "unknown".into(),
        Some(record) if record.status == Status::Running => "running, or killed".into(),
        Some(record) => record.status.to_string(),
    };
    let (title, status) = (escape(title), escape(&status));
    let about = about(files, record).map(|text| format!("<p>{}</p>\n", escape(&text)));
    format!(
        "<header><h1>{title}</h1><span class=\"status {class}\">{status}</span></header>\n{}",
        about.unwrap_or_default()
    )
}

/// Returns when the run started, and how long it took.
fn about(files: &RunFiles, record: &RunRecord) -> Option<String> {
    let first = record.sessions.first()?;
    let seconds: f64 = (0..record.sessions.len()).map(|i| session_seconds(files, record, i)).sum();
    let resumed = match record.sessions.len() {
        1 => String::new(),
        2 => ", resumed once".into(),
        n => format!(", resumed {} times", n - 1),
    };
    let (start, took) = (date(first.started), duration(seconds));
    Some(format!("Started {start}, trained for {took}{resumed}."))
}

/// Returns the time that a program trained. One that was killed ended with its last line, which is
/// before the next program started.
fn session_seconds(files: &RunFiles, record: &RunRecord, index: usize) -> f64 {
    let Some(session) = record.sessions.get(index) else { return 0.0 };
    let next = record.sessions.get(index + 1).map_or(f64::INFINITY, |next| next.started);
    let times = || files.lines.iter().rev().map(|line| line.time);
    let end = session.ended.or_else(|| times().find(|time| *time < next));
    (end.unwrap_or(session.started) - session.started).max(0.0)
}

/// Returns a note of the step at which the predictions were made: those of an earlier program are
/// older than the run.
fn predicted(files: &RunFiles) -> String {
    let Some(step) = files.predictions.as_ref().and_then(|p| p.step) else { return String::new() };
    let is_old = files.lines.last().is_some_and(|line| line.step != step);
    let note = if is_old { ", not at the last step of the log" } else { "" };
    format!("<p>The predictions were made after {step} steps{note}.</p>\n")
}

fn problems(all: &[String]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let items: String = all.iter().map(|text| format!("<li>{}</li>\n", escape(text))).collect();
    format!("<ul class=\"problems\" role=\"alert\">\n{items}</ul>\n")
}

fn plots(all: &[Plot]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut html = "<h2>Plots</h2>\n<div class=\"plots\">\n".to_string();
    html.extend(all.iter().map(|plot| figure(plot, plot.to_themed_svg())));
    html + "</div>\n"
}

fn model(record: &RunRecord) -> String {
    if record.layers.is_empty() {
        return String::new();
    }
    let open = if record.layers.len() <= MAX_OPEN_LAYERS { " open" } else { "" };
    let (graph, table) = (themed_layers_svg(&record.layers), layer_table(&record.layers));
    format!(
        "<h2>Model</h2>\n{table}<details{open}><summary>Graph of the layers</summary>\n\
         <div class=\"scroll\" tabindex=\"0\">{graph}</div></details>\n"
    )
}

fn facts(record: &RunRecord) -> String {
    if record.hyper_parameters.is_empty() {
        return String::new();
    }
    let mut facts = Facts::default();
    for (name, value) in &record.hyper_parameters {
        facts.add(name, &value.to_string());
    }
    format!("<h2>Hyper-parameters</h2>\n{}", facts.table())
}

fn programs(record: &RunRecord) -> String {
    let sessions = record.sessions.iter().rev().enumerate();
    let all: String = sessions.map(|(i, session)| program(session, i == 0)).collect();
    if all.is_empty() { all } else { format!("<h2>Programs that trained</h2>\n{all}") }
}

/// Returns the facts of a program; older ones are folded.
fn program(session: &RunSession, is_newest: bool) -> String {
    let mut facts = Facts::default();
    if !session.command.is_empty() {
        facts.add_code("Command", &shell_command(&session.command));
    }
    facts.add("Started", &format!("{}, at step {}", date(session.started), session.step));
    let end = session.ended.map_or("did not end, or was killed".into(), date);
    facts.add("Ended", &end);
    let environment = &session.environment;
    facts.add("Neurax", &format!("{} ({})", environment.neurax, environment.build));
    facts.add("System", &environment.system);
    if let Some(processor) = &environment.processor {
        facts.add("Processor", processor);
    }
    if let Some(processors) = environment.processors {
        facts.add("Processors", &processors.to_string());
    }
    if let Some(threads) = &environment.threads {
        facts.add("NEURAX_THREADS", threads);
    }
    facts.add("Device", &environment.device);
    let table = facts.table();
    match is_newest {
        true => table,
        false => {
            let start = date(session.started);
            format!("<details><summary>Earlier: {start}</summary>\n{table}</details>\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_train::{LayerRecord, LineKind, MetricsLine};
    use std::collections::BTreeMap;

    fn line(time: f64) -> MetricsLine {
        let (event, train, validated) = (LineKind::Step, BTreeMap::new(), BTreeMap::new());
        MetricsLine { event, epoch: 0, step: 1, time, rate: None, train, validated, of_epoch: None }
    }

    fn session(started: f64, ended: Option<f64>) -> RunSession {
        RunSession { started, ended, ..RunSession::default() }
    }

    #[test]
    fn the_pause_after_a_program_that_was_killed_is_no_training() {
        let sessions = vec![session(100.0, None), session(5000.0, Some(5020.0))];
        let record = RunRecord { sessions, ..RunRecord::default() };
        let lines = [110.0, 130.0, 5010.0].map(line).into();
        let files = RunFiles { lines, record: Some(record.clone()), ..RunFiles::default() };
        let text = about(&files, &record).unwrap();
        assert!(text.contains("trained for 50.0 s, resumed once"), "{text}");
    }

    #[test]
    fn numbers_at_the_ends_of_their_types_have_a_page() {
        let layer = LayerRecord { parameters: usize::MAX, ..LayerRecord::default() };
        let record = RunRecord {
            sessions: vec![session(1e300, Some(-1e300))],
            layers: vec![layer.clone(), layer],
            ..RunRecord::default()
        };
        let of_epoch = Some(neurax_train::EpochFields {
            validation: [("loss".to_string(), Some(f64::MIN))].into(),
            examples: usize::MAX,
            skipped: usize::MAX,
            halted: true,
            seconds: 1e-300,
        });
        let (event, epoch) = (LineKind::Epoch, usize::MAX);
        let train: BTreeMap<String, Option<f64>> = [("loss".to_string(), Some(f64::MAX))].into();
        let last = MetricsLine { event, epoch, train, of_epoch, step: usize::MAX, ..line(1e300) };
        let first = MetricsLine { epoch: 0, ..last.clone() };
        let lines = vec![first, last];
        let files = RunFiles { lines, record: Some(record), ..RunFiles::default() };
        let page = page(&files);
        assert!(page.contains("at an unknown time") && page.ends_with("</html>\n"), "{page}");
        assert!(page.contains("expected an axis of finite ends"), "{page}");
    }

    #[test]
    fn the_best_one_of_many_epochs_has_a_row() {
        let epoch = |epoch: usize| {
            let loss = if epoch == 150 { 0.125 } else { 1.0 };
            let validation = [("loss".to_string(), Some(loss))].into();
            let (examples, skipped, halted, seconds) = (1, 0, false, 1.0);
            let of_epoch =
                Some(neurax_train::EpochFields { validation, examples, skipped, halted, seconds });
            MetricsLine { event: LineKind::Epoch, epoch, of_epoch, ..line(1.0) }
        };
        let lines = (0..300).map(epoch).collect();
        let table = epoch_table(&RunFiles { lines, ..RunFiles::default() });
        assert!(table.contains("<tr class=\"best\"><td class=\"n\">151</td>"), "{table}");
        assert!(table.contains("<details><summary>Table of 300 epochs</summary>"), "{table}");
        assert!(table.contains("99 epochs in the middle are not shown"), "{table}");
    }

    #[test]
    fn the_best_score_has_a_name_an_epoch_and_a_step() {
        let scores = |x: f64| -> BTreeMap<String, Option<f64>> {
            [("loss".to_string(), Some(1.0 - x)), ("accuracy".to_string(), Some(x))].into()
        };
        let epoch = |(epoch, accuracy): (usize, f64)| {
            let of_epoch = Some(neurax_train::EpochFields {
                validation: scores(accuracy),
                examples: 1,
                skipped: 0,
                halted: false,
                seconds: 1.0,
            });
            let (event, step, train) = (LineKind::Epoch, 45 * (epoch + 1), scores(0.5));
            MetricsLine { event, epoch, step, train, of_epoch, ..line(1.0) }
        };
        let lines: Vec<MetricsLine> = [0.7, 0.9, 0.8].into_iter().enumerate().map(epoch).collect();
        let shown = |step, score| {
            let best = Some(neurax_train::BestRecord { step, score: Some(score) });
            let files = RunFiles { lines: lines.clone(), best, ..RunFiles::default() };
            tiles(&files, &RunRecord::default())
        };
        let page = shown(90, 0.9);
        let tile = "<b>0.9000</b><span>best validation accuracy, epoch 2, step 90</span>";
        assert!(page.contains(tile) && page.contains("last validation accuracy"), "{page}");
        assert!(shown(91, 0.9).contains("best score, step 91"));
        // Without a state that was chosen, the least loss, unless it is the last one.
        let without = |lines: &[MetricsLine]| {
            let files = RunFiles { lines: lines.to_vec(), ..RunFiles::default() };
            tiles(&files, &RunRecord::default())
        };
        let tile = "<b>0.1000</b><span>least validation loss, epoch 2, step 90</span>";
        assert!(without(&lines).contains(tile), "{}", without(&lines));
        assert!(!without(&lines[..2]).contains("least"), "{}", without(&lines[..2]));
        let table = epoch_table(&RunFiles { lines: lines.clone(), ..RunFiles::default() });
        let heads: Vec<&str> = table
            .split("<th")
            .skip(1)
            .map(|head| {
                head.split('>').nth(1).unwrap_or_default().split('<').next().unwrap_or_default()
            })
            .collect();
        let want = ["Epoch", "validation loss", "validation accuracy", "loss", "accuracy", "Step"];
        assert_eq!(heads[..6], want);
        assert!(!table.contains("<details"), "{table}");
    }

    #[test]
    fn names_and_commands_are_no_markup() {
        let evil = "<script>'\"&</script>";
        let layer = LayerRecord {
            path: evil.into(),
            kind: evil.into(),
            output: evil.into(),
            ..LayerRecord::default()
        };
        let command = vec![evil.to_string()];
        let record = RunRecord {
            sessions: vec![RunSession { command, ..RunSession::default() }],
            layers: vec![layer],
            problems: vec![evil.into()],
            ..RunRecord::default()
        };
        let scores: BTreeMap<String, Option<f64>> = [(evil.to_string(), Some(1.0))].into();
        let of_epoch = Some(neurax_train::EpochFields {
            validation: scores.clone(),
            examples: 1,
            skipped: 0,
            halted: false,
            seconds: 1.0,
        });
        let event = LineKind::Epoch;
        let curve = neurax_train::ClassCurves { class: evil.into(), ..Default::default() };
        let predictions = neurax_train::PredictionRecord {
            classes: vec![evil.into()],
            confusion: vec![vec![1]],
            curves: vec![curve],
            step: Some(2),
        };
        let files = RunFiles {
            lines: vec![MetricsLine { event, train: scores, of_epoch, ..line(1.0) }],
            record: Some(record),
            predictions: Some(predictions),
            problems: vec![evil.into()],
            ..RunFiles::default()
        };
        let page = page(&files);
        assert!(!page.contains("<script"), "{page}");
        assert!(page.matches("&lt;script&gt;").count() > 8);
        assert!(page.contains("after 2 steps, not at the last step of the log"));
    }
}
