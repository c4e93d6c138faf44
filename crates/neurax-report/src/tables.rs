//! The tables of a page.

use crate::score_names::{FIRST_SCORE, ListedNames};
use crate::text::{bytes, count, duration, escape, number, push};
use crate::tuning::{MAX_EPOCH_ROWS, MAX_OPEN_EPOCH_ROWS};
use neurax_tensor::{DType, Result, Tensor};
use neurax_train::{LayerRecord, MetricsLine, RunFiles, RunRecord};
use std::collections::{BTreeMap, BTreeSet};

/// The most scores among the figures at the top.
const TILE_SCORES: usize = 4;

/// A table of names and values.
#[derive(Default)]
pub(crate) struct Facts(String);

impl Facts {
    /// Adds a row.
    pub fn add(&mut self, name: &str, value: &str) {
        let (name, value) = (escape(name), escape(value));
        push(&mut self.0, format_args!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n"));
    }

    /// Adds a row whose value is code.
    pub fn add_code(&mut self, name: &str, value: &str) {
        let (name, value) = (escape(name), escape(value));
        push(
            &mut self.0,
            format_args!("<tr><th scope=\"row\">{name}</th><td><code>{value}</code></td></tr>\n"),
        );
    }

    /// Returns the table.
    pub fn table(self) -> String {
        format!("<div class=\"scroll\"><table class=\"facts\">\n{}</table></div>\n", self.0)
    }
}

/// The largest relative difference of two texts of one float: the JSON of a log is read with an
/// error of the last bit.
const SAME_SCORE: f64 = 1e-12;

/// Returns the figures at the top: the score of the best state, or without one the least loss on
/// the validation set, the scores of the last epoch, and the sizes of the run.
pub(crate) fn tiles(files: &RunFiles, record: &RunRecord) -> String {
    let best_one = best_tile(files).or_else(|| best_loss_tile(files));
    let mut tiles: Vec<(String, String)> = best_one.into_iter().collect();
    // Beside the best score, those of the last epoch are said to be the last ones.
    let last_one = if tiles.is_empty() { "" } else { "last " };
    if let Some(last) = files.epochs().next_back() {
        let fields = last.of_epoch.as_ref();
        let validation =
            fields.map(|fields| &fields.validation).filter(|scores| !scores.is_empty());
        let (scores, what) = match validation {
            Some(scores) => (scores, "validation"),
            None => (&last.train, "training"),
        };
        for name in ListedNames::of(scores.keys()).names.into_iter().take(TILE_SCORES) {
            tiles.push((shown(scores, name), format!("{last_one}{what} {name}")));
        }
        let epochs = record.epochs.map(|n| format!(" of {n}")).unwrap_or_default();
        tiles.push((format!("{}{epochs}", last.epoch.saturating_add(1)), "epochs".into()));
    }
    if let Some(last) = files.lines.last() {
        tiles.push((count(last.step as u64), "steps".into()));
    }
    if let Some(step) = files.checkpoints.last() {
        tiles.push((count(*step as u64), "step of the newest checkpoint".into()));
    }
    if !record.layers.is_empty() {
        let each = record.layers.iter().map(|l| l.parameters as u64);
        let parameters = each.fold(0, u64::saturating_add);
        tiles.push((count(parameters), "parameters".into()));
    }
    let tile = |(value, name): &(String, String)| {
        format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escape(value), escape(name))
    };
    let all: String = tiles.iter().map(tile).collect();
    if all.is_empty() { all } else { format!("<div class=\"tiles\">\n{all}</div>\n") }
}

/// Returns the score of the best state, with its epoch and step. Its name is that of the score that
/// the log has for this step with this value.
fn best_tile(files: &RunFiles) -> Option<(String, String)> {
    let best = files.best.as_ref()?;
    let score = best.score?;
    let is_it = |x: &f64| (x - score).abs() <= SAME_SCORE * score.abs();
    let lines = files.lines.iter().filter(|line| line.step == best.step);
    let named = lines.rev().find_map(|line| {
        let of_epoch = line.of_epoch.as_ref().map(|fields| &fields.validation);
        let sets = of_epoch.into_iter().chain([&line.validated]).map(|s| ("validation", s));
        let all = sets.chain([("training", &line.train)]);
        let mut found = all.filter_map(|(what, scores)| {
            let same = |name: &&String| {
                scores.get(name.as_str()).copied().flatten().as_ref().is_some_and(is_it)
            };
            let name = scores.keys().filter(same).min_by_key(|name| *name != FIRST_SCORE)?;
            Some(format!("{what} {name}"))
        });
        Some((found.next()?, line.epoch))
    });
    let step = count(best.step as u64);
    let name = match named {
        Some((name, epoch)) => {
            format!("best {name}, epoch {}, step {step}", epoch.saturating_add(1))
        }
        // The log has no line of this step.
        None => format!("best score, step {step}"),
    };
    Some((number(score), name))
}

/// Returns the least loss on the validation set, with its epoch and step, if it is not that of the
/// last epoch.
fn best_loss_tile(files: &RunFiles) -> Option<(String, String)> {
    let epochs: Vec<&MetricsLine> = files.epochs().collect();
    let (best, loss) = best(&epochs).filter(|(i, _)| i + 1 < epochs.len())?;
    let line = epochs.get(best)?;
    let (epoch, step) = (line.epoch.saturating_add(1), count(line.step as u64));
    Some((number(loss), format!("least validation {FIRST_SCORE}, epoch {epoch}, step {step}")))
}

/// Returns the table of the layers, with a row of totals.
pub(crate) fn layer_table(layers: &[LayerRecord]) -> String {
    let mut html = "<div class=\"scroll\" tabindex=\"0\"><table>\n<tr><th>Layer</th><th>Kind</th>\
                    <th>Output</th><th class=\"n\">Parameters</th><th class=\"n\">Size</th>\
                    <th class=\"n\">Multiply-adds</th></tr>\n"
        .to_string();
    let work = |n: Option<u64>| n.map_or("?".into(), count);
    let mut row = |class: &str, texts: [&str; 3], numbers: [String; 3]| {
        let texts: String = texts.iter().map(|x| format!("<td>{}</td>", escape(x))).collect();
        let numbers: String = numbers.iter().map(|x| format!("<td class=\"n\">{x}</td>")).collect();
        push(&mut html, format_args!("<tr{class}>{texts}{numbers}</tr>\n"));
    };
    for layer in layers {
        let numbers =
            [count(layer.parameters as u64), bytes(layer.bytes as u64), work(layer.multiply_adds)];
        row("", [&layer.path, &layer.kind, &layer.output], numbers);
    }
    let sum = |of: fn(&LayerRecord) -> u64| layers.iter().map(of).fold(0, u64::saturating_add);
    let all_work =
        layers.iter().try_fold(0u64, |sum, l| Some(sum.saturating_add(l.multiply_adds?)));
    let totals =
        [count(sum(|l| l.parameters as u64)), bytes(sum(|l| l.bytes as u64)), work(all_work)];
    row(" class=\"best\"", ["Total", "", ""], totals);
    html + "</table></div>\n"
}

/// Returns the table of the epochs: the scores, those on the validation sets first, the time and
/// the throughput. The epoch with the least loss on the validation set is marked. A long table is
/// folded.
pub(crate) fn epoch_table(files: &RunFiles) -> String {
    let epochs: Vec<&MetricsLine> = files.epochs().collect();
    if epochs.is_empty() {
        return String::new();
    }
    let train: BTreeSet<&String> = epochs.iter().flat_map(|line| line.train.keys()).collect();
    let fields = epochs.iter().filter_map(|line| line.of_epoch.as_ref());
    let sets: BTreeSet<&String> = fields.flat_map(|fields| fields.validation.keys()).collect();
    let [train, sets] = [&train, &sets].map(|names| ListedNames::of(names.iter().copied()));
    let left_out = left_out(&train, &sets);
    let (train, sets) = (train.names, sets.names);
    let heads = sets.iter().map(|name| format!("validation {name}"));
    let heads = heads.chain(train.iter().map(|name| name.to_string()));
    let heads: String =
        heads.map(|head| format!("<th class=\"n\">{}</th>", escape(&head))).collect();
    let best = best(&epochs).map(|(i, _)| i);
    let mut html = format!(
        "<p class=\"hint\">Scroll the table sideways for more columns.</p>\n\
         <div class=\"scroll\" tabindex=\"0\"><table class=\"epochs\">\n<tr><th class=\"n\">Epoch\
         </th>{heads}<th class=\"n\">Step</th><th class=\"n\">Time</th>\
         <th class=\"n\">Examples/s</th><th></th></tr>\n"
    );
    let (hidden, mut skipped) = (epochs.len().saturating_sub(MAX_EPOCH_ROWS), 0);
    for (i, line) in epochs.iter().enumerate() {
        let is_best = best == Some(i);
        // The first half and the last half of the rows that are shown, and the best one.
        if !is_best && (MAX_EPOCH_ROWS / 2..MAX_EPOCH_ROWS / 2 + hidden).contains(&i) {
            skipped += 1;
            continue;
        }
        let class = if is_best { " class=\"best\"" } else { "" };
        push(&mut html, format_args!("<tr{class}>{}</tr>\n", cells(line, &train, &sets)));
    }
    html += "</table></div>\n";
    html += &left_out;
    if skipped > 0 {
        push(&mut html, format_args!("<p>{skipped} epochs in the middle are not shown.</p>\n"));
    }
    match epochs.len() > MAX_OPEN_EPOCH_ROWS {
        true => format!(
            "<h2>Epochs</h2>\n<details><summary>Table of {} epochs</summary>\n{html}</details>\n",
            epochs.len()
        ),
        false => format!("<h2>Epochs</h2>\n{html}"),
    }
}

/// Returns a note of the metrics of many indices, which have no columns.
fn left_out(train: &ListedNames, sets: &ListedNames) -> String {
    let note = |what: &str, names: &ListedNames| {
        let text = |(metric, n): (&&str, &usize)| {
            format!("the {} scores of {what}{}", count(*n as u64), escape(metric))
        };
        names.left_out.iter().map(text).collect::<Vec<_>>()
    };
    let all = [note("validation ", sets), note("", train)].concat();
    match all.is_empty() {
        true => String::new(),
        false => format!("<p>Not shown: {}.</p>\n", all.join(", ")),
    }
}

/// Returns the cells of an epoch.
fn cells(line: &MetricsLine, train: &[&String], sets: &[&String]) -> String {
    let fields = line.of_epoch.as_ref();
    let none = BTreeMap::new();
    let validation = fields.map_or(&none, |fields| &fields.validation);
    let scores = sets.iter().map(|name| shown(validation, name));
    let scores = scores.chain(train.iter().map(|name| shown(&line.train, name)));
    let seconds = fields.map_or(0.0, |fields| fields.seconds);
    let speed = fields.filter(|f| f.seconds > 0.0).map(|f| f.examples as f64 / f.seconds);
    let ends = [
        count(line.step as u64),
        duration(seconds),
        speed.map_or(String::new(), |x| count(x as u64)),
    ];
    let mut html: String = [line.epoch.saturating_add(1).to_string()]
        .into_iter()
        .chain(scores)
        .chain(ends)
        .map(|x| format!("<td class=\"n\">{x}</td>"))
        .collect();
    let mut notes = vec![];
    if fields.is_some_and(|fields| fields.halted) {
        notes.push("halted".to_string());
    }
    match fields.map_or(0, |fields| fields.skipped) {
        0 => {}
        n => notes.push(format!("{n} skipped steps")),
    }
    push(&mut html, format_args!("<td>{}</td>", notes.join(", ")));
    html
}

/// Returns the elements of a vector or matrix as a table.
///
/// # Errors
/// If the tensor carries an error.
pub(crate) fn tensor_table(x: &Tensor) -> Result<String> {
    let (ty, values) = (x.ty()?, x.to(DType::F64).to_vec::<f64>()?);
    let columns = ty.shape.last().copied().unwrap_or(1).max(1);
    let row = |row: &[f64]| {
        let cells: String = row.iter().map(|x| format!("<td>{}</td>", number(*x))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = values.chunks(columns).map(row).collect();
    Ok(format!("<table><caption>{}</caption>\n{rows}</table>", escape(&ty.to_string())))
}

/// Returns the index of the epoch with the least loss on the validation set, and this loss; `None`
/// if there is none, or one epoch alone.
fn best(epochs: &[&MetricsLine]) -> Option<(usize, f64)> {
    let loss = |line: &MetricsLine| {
        let fields = line.of_epoch.as_ref()?;
        fields.validation.get(FIRST_SCORE).copied().flatten()
    };
    let known = epochs.iter().enumerate().filter_map(|(i, line)| Some((i, loss(line)?)));
    let best = known.min_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|_| epochs.len() > 1)
}

/// Returns the score as text; `NaN` for one that was not finite, and nothing if there is none.
fn shown(scores: &BTreeMap<String, Option<f64>>, name: &str) -> String {
    scores.get(name).map_or(String::new(), |x| x.map_or("NaN".into(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_metrics_without_columns_are_escaped() {
        let names: Vec<String> = (0..11).map(|i| format!("<b>[{i}]")).collect();
        let (train, sets) = (ListedNames::of(names.iter()), ListedNames::default());
        let note = left_out(&train, &sets);
        assert_eq!(note, "<p>Not shown: the 11 scores of &lt;b&gt;.</p>\n");
    }
}
