//! The picture of the dashboard.
//!
//! ```text
//! title, status
//! progress bar: steps, time that is left, steps in a second
//! two charts, one below the other on a narrow terminal
//! the last lines of the log
//! keys
//! ```

use super::dashboard::Dashboard;
use super::eta::RunProgress;
use neurax::train::{LineKind, MetricsLine, Status};
use neurax_report::{Plot, PlotKind, PlotLine, PlotScale, duration};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset as ChartLine, Gauge, GraphType, Paragraph};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The colors of the lines of a chart, which has at most 10.
const LINE_COLORS: [Color; 10] = [
    Color::Cyan,
    Color::Yellow,
    Color::Green,
    Color::Magenta,
    Color::Blue,
    Color::Red,
    Color::LightCyan,
    Color::LightYellow,
    Color::LightGreen,
    Color::LightMagenta,
];
/// The width of a terminal from which two charts stand in one row.
const WIDE_COLUMNS: u16 = 90;
/// The height of the list of log lines, with its border.
const LOG_ROWS: u16 = 8;
/// The time in seconds after which a run that writes no line is said to be silent.
const SILENT_AFTER: f64 = 60.0;

/// Draws the dashboard.
pub fn draw(frame: &mut Frame, dashboard: &Dashboard) {
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Min(8),
        Constraint::Length(LOG_ROWS),
        Constraint::Length(1),
    ]);
    let [title, progress, charts, log, keys] = rows.areas(frame.area());
    draw_title(frame, title, dashboard);
    draw_progress(frame, progress, dashboard);
    draw_charts(frame, charts, dashboard);
    draw_log(frame, log, dashboard);
    frame.render_widget(Line::from("q quit   ←/→ other charts").dim(), keys);
}

fn draw_title(frame: &mut Frame, area: Rect, dashboard: &Dashboard) {
    let status = match &dashboard.files.record {
        None if dashboard.is_waiting() => "waiting for the run to start".into(),
        None if dashboard.has_description() => "run.json cannot be read".into(),
        None => "no run.json".into(),
        Some(record) => record.status.to_string(),
    };
    let color = match dashboard.files.record.as_ref().map(|record| &record.status) {
        Some(Status::Completed) => Color::Green,
        Some(Status::Failed) => Color::Red,
        _ => Color::Yellow,
    };
    let name = dashboard.files.directory.display().to_string();
    let line = Line::from(vec![name.bold(), "  ".into(), Span::styled(status, color)]);
    frame.render_widget(line, area);
}

fn draw_progress(frame: &mut Frame, area: Rect, dashboard: &Dashboard) {
    let progress = RunProgress::of(&dashboard.files);
    let mut label = match progress.steps {
        Some(steps) => format!("step {} of {steps}", progress.step),
        None => format!("step {}", progress.step),
    };
    if let Some(speed) = progress.speed {
        label += &format!("   {speed:.1} steps/s");
    }
    let is_running =
        dashboard.files.record.as_ref().is_some_and(|record| record.status == Status::Running);
    if let Some(seconds) = progress.remaining().filter(|_| is_running) {
        label += &format!("   {} left", duration(seconds));
    }
    if let Some(seconds) = silence(dashboard).filter(|_| is_running) {
        label += &format!("   no line since {}", duration(seconds));
    }
    let gauge = Gauge::default()
        .block(Block::bordered().title(" progress "))
        .gauge_style(Style::new().fg(Color::Blue))
        .ratio(progress.fraction().unwrap_or(0.0))
        .label(label);
    frame.render_widget(gauge, area);
}

/// Returns the time since the last line, if it is long.
fn silence(dashboard: &Dashboard) -> Option<f64> {
    let last = dashboard.files.lines.last()?.time;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(now - last).filter(|seconds| *seconds > SILENT_AFTER)
}

fn draw_charts(frame: &mut Frame, area: Rect, dashboard: &Dashboard) {
    let plots = &dashboard.plots;
    if plots.is_empty() {
        let text = Paragraph::new("no scores yet").block(Block::bordered());
        return frame.render_widget(text, area);
    }
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let layout = match area.width >= WIDE_COLUMNS {
        true => Layout::horizontal(halves),
        false => Layout::vertical(halves),
    };
    let areas = if plots.len() == 1 { vec![area] } else { layout.split(area).to_vec() };
    let from = dashboard.chosen.min(plots.len() - 1);
    for (plot, area) in plots.iter().cycle().skip(from).zip(areas) {
        draw_chart(frame, area, plot);
    }
}

fn draw_chart(frame: &mut Frame, area: Rect, plot: &Plot) {
    let PlotKind::Lines { lines, x_label, scale, .. } = &plot.kind else { return };
    let positions = scale.positions(lines);
    let finite = |line: &PlotLine| -> Vec<(f64, f64)> {
        let points = line.points.iter().filter(|p| p.iter().all(|x| x.is_finite()));
        points.map(|[x, y]| (*x, *y)).collect()
    };
    let points: Vec<Vec<(f64, f64)>> = positions.iter().map(finite).collect();
    let x = bounds(points.iter().flatten().map(|p| p.0));
    let y = bounds(points.iter().flatten().map(|p| p.1));
    let y = match scale {
        PlotScale::Linear => y,
        // The axis ends at powers of ten.
        PlotScale::Logarithmic => [y[0].floor(), y[1].ceil()],
    };
    let sets = points.iter().enumerate().map(|(i, points)| {
        ChartLine::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(LINE_COLORS[i % LINE_COLORS.len()])
            .data(points)
    });
    let axis = |ends: [f64; 2], labels: Vec<String>| {
        let labels = labels.into_iter().map(|text| text.dim());
        Axis::default().bounds(ends).labels(labels).style(Color::DarkGray)
    };
    let middle = |[low, high]: [f64; 2]| (low + high) / 2.0;
    // There is no epoch or step between two others.
    let x_ticks = [x[0], middle(x), x[1]].into_iter().filter(|at| at.fract() == 0.0);
    let y_ticks = [y[0], middle(y), y[1]].map(|at| label(scale.number_at(at)));
    let chart = Chart::new(sets.collect())
        .block(Block::bordered().title(chart_title(plot, lines)))
        // The title is the legend: one inside of a small chart would hide the lines.
        .legend_position(None)
        .x_axis(axis(x, x_ticks.map(label).collect()).title(x_label.as_str()))
        .y_axis(axis(y, y_ticks.into()));
    frame.render_widget(chart, area);
}

/// Returns the title of a chart: the caption of the plot, and the name and the last number of each
/// line in its color.
fn chart_title(plot: &Plot, lines: &[PlotLine]) -> Line<'static> {
    let entry = |(i, line): (usize, &PlotLine)| {
        let last = line.points.iter().rev().map(|[_, y]| *y).find(|y| y.is_finite());
        let last = last.map_or("NaN".into(), label);
        let text = if line.name.is_empty() { last } else { format!("{} {last}", line.name) };
        Span::styled(format!("{text} "), LINE_COLORS[i % LINE_COLORS.len()])
    };
    let entries = lines.iter().enumerate().map(entry);
    let title = Span::raw(format!(" {} ", plot.caption()));
    [title].into_iter().chain(entries).collect::<Vec<_>>().into()
}

fn draw_log(frame: &mut Frame, area: Rect, dashboard: &Dashboard) {
    let rows = usize::from(area.height.saturating_sub(2));
    let lines = &dashboard.files.lines;
    let last = lines.get(lines.len().saturating_sub(rows)..).unwrap_or_default();
    let problems = dashboard.files.problems.iter().filter(|_| !dashboard.is_waiting());
    let problems = problems.map(|text| Line::from(text.as_str()).red());
    let text: Vec<Line> =
        problems.chain(last.iter().map(|line| Line::from(log_line(line)))).collect();
    let hidden = text.len().saturating_sub(rows);
    let shown = text.into_iter().skip(hidden).collect::<Vec<_>>();
    frame.render_widget(Paragraph::new(shown).block(Block::bordered().title(" log ")), area);
}

/// Returns a line of the log for people, who count epochs from 1.
fn log_line(line: &MetricsLine) -> String {
    let kind = match line.event {
        LineKind::Epoch => "epoch",
        LineKind::Step => "step ",
    };
    let mut text = format!("{kind} {:>4}  {:>7}", line.epoch.saturating_add(1), line.step);
    text += &scores("", &line.train);
    if let Some(fields) = &line.of_epoch {
        text += &scores("val ", &fields.validation);
    }
    if let Some(rate) = line.rate {
        text += &format!("  rate {}", label(rate));
    }
    text
}

fn scores(prefix: &str, all: &BTreeMap<String, Option<f64>>) -> String {
    let text = |(name, x): (&String, &Option<f64>)| {
        format!("  {prefix}{name} {}", x.map_or("NaN".into(), label))
    };
    all.iter().map(text).collect()
}

/// Returns the ends of an axis that holds all numbers.
fn bounds(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = values.fold(start, |(low, high), x| (low.min(x), high.max(x)));
    match low < high {
        true => [low, high],
        false if low.is_finite() => [low - 0.5, low + 0.5],
        false => [0.0, 1.0],
    }
}

fn label(x: f64) -> String {
    match x.abs() {
        _ if x.fract() == 0.0 && x.abs() < 1e6 => format!("{x:.0}"),
        a if !(1e-3..1e6).contains(&a) => format!("{x:.1e}"),
        a if a >= 100.0 => format!("{x:.0}"),
        _ => format!("{x:.4}"),
    }
}
