//! Plots of lines: axes, ticks and lines by `plotters`, and a legend below.
//!
//! On a logarithmic scale, the logarithms to the base 10 are drawn, between whole powers of ten,
//! and a tick at `-2` is labelled `0.01`.

use super::plot_line::PlotLine;
use super::plot_scale::PlotScale;
use crate::text::{LETTER_WIDTH, ends_of, escape, push, tick};
use crate::theme::{GRID, MUTED, ThemeColor, series};
use crate::tuning::{MAX_LINE_POINTS, MAX_MARKED_POINTS};
use neurax_tensor::{Error, Result};
use plotters::prelude::*;
use std::ops::Range;

/// The height of a row of the legend and its font size, in pixels.
const LEGEND_ROW: u32 = 19;
const LEGEND_FONT: u32 = 12;
/// The space below the legend, in pixels.
const LEGEND_MARGIN: u32 = 4;
/// The width of the mark of a line with the space around it, in pixels.
const LEGEND_MARK: f64 = 30.0;
/// The space before the first mark of a row and behind a name, in pixels.
const LEGEND_LEFT: f64 = 12.0;
const LEGEND_GAP: f64 = 10.0;
/// The font size of labels of ticks and axes, of which the library takes four fifths.
const LABEL_FONT: i32 = 14;

/// The part of a range that is left free at both ends of the vertical axis.
const AXIS_MARGIN: f64 = 0.05;
/// The labels of axes of whole numbers.
const COUNTED_LABELS: [&str; 2] = ["epoch", "step"];
/// A number of ticks of an axis that is not reached.
const MOST_TICKS: f64 = 10.0;
/// The least range of an axis, and its least share of the larger end.
const LEAST_RANGE: f64 = 1e-290;
const LEAST_SHARE: f64 = 1e-9;

/// The axes of a plot of lines.
pub(super) struct PlotAxes<'p> {
    pub x_label: &'p str,
    pub y_label: &'p str,
    /// The ends of both axes; by default, those of the points.
    pub range: Option<[[f64; 2]; 2]>,
    pub scale: PlotScale,
}

/// Returns the size and the elements of a plot of lines. A legend of more than one row makes it
/// higher than `height`.
pub(super) fn content(
    axes: &PlotAxes,
    lines: &[PlotLine],
    (width, height): (u32, u32),
) -> Result<((u32, u32), String)> {
    let (legend, legend_height) = legend(lines, width);
    let mut svg = String::new();
    let positions = axes.scale.positions(lines);
    let lines = &positions[..];
    let range = match (axes.range, axes.scale) {
        (Some(range), PlotScale::Linear) => range,
        (Some([x, y]), PlotScale::Logarithmic) => [x, y.map(f64::log10)],
        (None, scale) => range_of(lines, scale),
    };
    if let Some([from, to]) = range.into_iter().find(|range| !is_drawable(*range)) {
        let why = format!("expected an axis of finite ends that differ, got {from} to {to}");
        return Err(Error::new("plot", why));
    }
    let drawn = DrawnAxes { axes, range };
    let top = height - legend_height.min(LEGEND_ROW + LEGEND_MARGIN);
    drawn.draw(lines, (width, top), &mut svg).map_err(|e| Error::new("plot", e))?;
    let inner = inner(&svg).ok_or_else(|| Error::bug("the library of plots wrote no SVG"))?;
    let content = format!("{inner}<g transform=\"translate(0 {top})\">{legend}</g>");
    Ok(((width, top + legend_height), content))
}

/// Axes with the ends that are drawn.
struct DrawnAxes<'p> {
    axes: &'p PlotAxes<'p>,
    range: [[f64; 2]; 2],
}

impl DrawnAxes<'_> {
    fn draw(&self, lines: &[PlotLine], size: (u32, u32), to: &mut String) -> Result<(), String> {
        let failed = |e: DrawingAreaErrorKind<_>| e.to_string();
        let root = SVGBackend::with_string(to, size).into_drawing_area();
        let [x, y] = self.range.map(|[from, to]| Range { start: from, end: to });
        let mut chart = ChartBuilder::on(&root)
            .margin_top(6)
            .margin_right(14)
            .margin_bottom(4)
            .x_label_area_size(38)
            .y_label_area_size(if self.axes.y_label.is_empty() { 50 } else { 62 })
            .build_cartesian_2d(x, y)
            .map_err(failed)?;
        let text = ("sans-serif", LABEL_FONT).into_font().color(&rgb(&MUTED));
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(rgb(&GRID))
            .light_line_style(TRANSPARENT)
            .axis_style(rgb(&GRID))
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|x| self.x_tick(*x))
            .y_label_formatter(&|y| self.y_tick(*y))
            .x_desc(self.axes.x_label)
            .y_desc(self.axes.y_label)
            .draw()
            .map_err(failed)?;
        for (i, line) in lines.iter().enumerate() {
            let style = rgb(series(i)).stroke_width(2);
            for part in parts(&line.points) {
                let points = part.iter().map(|[x, y]| (*x, *y));
                chart.draw_series(LineSeries::new(points.clone(), style)).map_err(failed)?;
                // A short line shows its points; a part of one point would be invisible.
                if line.points.len() <= MAX_MARKED_POINTS || part.len() == 1 {
                    let marks = points.map(|p| Circle::new(p, 3, rgb(series(i)).filled()));
                    chart.draw_series(marks).map_err(failed)?;
                }
            }
        }
        root.present().map_err(failed)
    }

    /// Returns the label of a tick of the horizontal axis; none between two epochs or steps.
    fn x_tick(&self, x: f64) -> String {
        let distance = tick_distance(self.range[0]);
        let is_counted = COUNTED_LABELS.contains(&self.axes.x_label);
        match is_counted && (x - x.round()).abs() > distance * 1e-6 {
            true => String::new(),
            false => tick(x, distance),
        }
    }

    /// Returns the label of a tick of the vertical axis; on a logarithmic scale, none between two
    /// powers of ten.
    fn y_tick(&self, y: f64) -> String {
        match self.axes.scale {
            PlotScale::Linear => tick(y, tick_distance(self.range[1])),
            PlotScale::Logarithmic if (y - y.round()).abs() > 1e-6 => String::new(),
            PlotScale::Logarithmic => {
                let power = self.axes.scale.number_at(y.round());
                tick(power, power)
            }
        }
    }
}

/// Returns a distance of the ticks of an axis, or a smaller one.
fn tick_distance([from, to]: [f64; 2]) -> f64 {
    (to - from) / MOST_TICKS
}

/// Returns true if ticks on an axis can be told apart: the library of plots does not end otherwise.
fn is_drawable([from, to]: [f64; 2]) -> bool {
    let size = to - from;
    size.is_finite() && size > LEAST_RANGE && size > from.abs().max(to.abs()) * LEAST_SHARE
}

/// Returns the parts of a line between numbers that are not finite, with few points of long lines.
pub(super) fn parts(points: &[[f64; 2]]) -> Vec<Vec<[f64; 2]>> {
    let is_whole = |p: &[f64; 2]| p.iter().all(|x| x.is_finite());
    let parts = points.split(|p| !is_whole(p)).filter(|part| !part.is_empty());
    let parts: Vec<&[[f64; 2]]> = parts.collect();
    // Two points of each bucket are drawn.
    let bucket = match points.len() > MAX_LINE_POINTS {
        true => points.len().div_ceil(MAX_LINE_POINTS / 2),
        false => 1,
    };
    let stride = parts.len().div_ceil(MAX_LINE_POINTS).max(1);
    parts.into_iter().step_by(stride).map(|part| reduced(part, bucket)).collect()
}

/// Returns the lowest and the highest one of every `bucket` points, so that peaks remain, and the
/// ends.
fn reduced(part: &[[f64; 2]], bucket: usize) -> Vec<[f64; 2]> {
    if part.len() <= 2 || bucket <= 2 {
        return part.to_vec();
    }
    let order = |a: &&[f64; 2], b: &&[f64; 2]| a[1].total_cmp(&b[1]);
    let extremes = part.chunks(bucket).flat_map(|points| {
        let ends = points.iter().min_by(order).into_iter().chain(points.iter().max_by(order));
        let mut ends: Vec<[f64; 2]> = ends.copied().collect();
        ends.sort_by(|a, b| a[0].total_cmp(&b[0]));
        ends
    });
    let mut kept: Vec<[f64; 2]> = part.first().copied().into_iter().collect();
    kept.extend(extremes.chain(part.last().copied()));
    kept.dedup();
    kept
}

/// Returns ends of the axes that hold all finite points, whose numbers are positions.
fn range_of(lines: &[PlotLine], scale: PlotScale) -> [[f64; 2]; 2] {
    let all = || lines.iter().flat_map(|line| &line.points);
    let [x, y] = [0, 1].map(|axis| {
        let values = all().filter(|p| p.iter().all(|x| x.is_finite())).map(|p| p[axis]);
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        values.fold(start, |(low, high), x| (low.min(x), high.max(x)))
    });
    let y = match scale {
        PlotScale::Logarithmic if y.0 <= y.1 => [y.0.floor(), y.1.floor() + 1.0],
        PlotScale::Linear | PlotScale::Logarithmic => widened(y, AXIS_MARGIN),
    };
    [widened(x, 0.0), y]
}

/// Returns a range that is not empty, with a margin at its ends.
fn widened((low, high): (f64, f64), margin: f64) -> [f64; 2] {
    if low > high {
        return [0.0, 1.0];
    }
    if !is_drawable([low, high]) {
        let larger = low.abs().max(high.abs());
        let half = if larger <= LEAST_RANGE { 1.0 } else { larger * 0.5 };
        return [low - half, high + half];
    }
    let margin = (high - low) * margin;
    // Numbers that are not negative have an axis that is not, either.
    let least = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    [(low - margin).max(least), high + margin]
}

/// Returns the legend and its height. A single line without a name has none. Of a name that is
/// wider than the plot, the start and the end are shown, and all of it as a tooltip.
fn legend(lines: &[PlotLine], width: u32) -> (String, u32) {
    if lines.iter().all(|line| line.name.is_empty()) {
        return (String::new(), 0);
    }
    let (mut svg, mut x, mut row) = (String::new(), LEGEND_LEFT, 0);
    let most_letters = (f64::from(width) - LEGEND_LEFT - LEGEND_MARK - LEGEND_GAP) / LETTER_WIDTH;
    for (i, line) in lines.iter().enumerate() {
        let name = ends_of(&line.name, most_letters.max(1.0) as usize);
        let needed = LEGEND_MARK + LETTER_WIDTH * name.chars().count() as f64 + LEGEND_GAP;
        if x > LEGEND_LEFT && x + needed > f64::from(width) {
            (x, row) = (LEGEND_LEFT, row + 1);
        }
        let whole = match name == line.name {
            true => String::new(),
            false => format!("<title>{}</title>", escape(&line.name)),
        };
        let (y, end) = (row * LEGEND_ROW + 13, x + 18.0);
        let (color, ink, text) = (series(i).light, MUTED.light, x + 24.0);
        push(
            &mut svg,
            format_args!(
                "<line x1=\"{x:.0}\" y1=\"{y}\" x2=\"{end:.0}\" y2=\"{y}\" stroke=\"{color}\" \
                 stroke-width=\"3\" stroke-linecap=\"round\"/><text x=\"{text:.0}\" y=\"{}\" \
                 font-size=\"{LEGEND_FONT}\" fill=\"{ink}\">{whole}{}</text>",
                y + 4,
                escape(&name)
            ),
        );
        x += needed;
    }
    (svg, (row + 1) * LEGEND_ROW + LEGEND_MARGIN)
}

/// Returns the elements inside of an SVG document.
fn inner(svg: &str) -> Option<&str> {
    let start = svg.find("<svg")?;
    let rest = svg.get(start + svg.get(start..)?.find('>')? + 1..)?;
    rest.rfind("</svg>").and_then(|end| rest.get(..end))
}

fn rgb(color: &ThemeColor) -> RGBColor {
    let channel = |at: usize| {
        let hex = color.light.get(at..at + 2).unwrap_or_default();
        u8::from_str_radix(hex, 16).unwrap_or_default()
    };
    RGBColor(channel(1), channel(3), channel(5))
}
