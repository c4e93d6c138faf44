//! [`PlotScale`].

use super::plot_line::PlotLine;
use crate::tuning::{LOG_SCALE_RATIO, MAX_LOG_DECADES};
use std::borrow::Cow;

/// The scale of the vertical axis of a plot of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlotScale {
    /// Equal distances for equal differences.
    #[default]
    Linear,
    /// Equal distances for equal ratios. Numbers of less than a millionth of the largest one, such
    /// as 0, are drawn at the lower end, and negative ones interrupt a line.
    Logarithmic,
}

impl PlotScale {
    /// Returns the scale on which lines can be read: logarithmic if no finite number is negative
    /// and the largest one of a line is more than 50 times the median of this line, as that of a
    /// first epoch whose loss would flatten all others.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax_report::{PlotLine, PlotScale};
    /// let line = |losses: [f64; 4]| {
    ///     let points = losses.iter().enumerate().map(|(i, loss)| [i as f64, *loss]);
    ///     PlotLine::new("training", points.collect())
    /// };
    /// assert_eq!(PlotScale::of(&[line([90.0, 1.0, 0.5, 0.4])]), PlotScale::Logarithmic);
    /// assert_eq!(PlotScale::of(&[line([9.0, 1.0, 0.5, 0.4])]), PlotScale::Linear);
    /// ```
    pub fn of(lines: &[PlotLine]) -> PlotScale {
        let is_flattened = |line: &PlotLine| {
            let sorted = sorted(line);
            let (median, largest) = (sorted.get(sorted.len() / 2), sorted.last());
            median.zip(largest).is_some_and(|(median, largest)| *largest > LOG_SCALE_RATIO * median)
        };
        let is_negative = |line: &PlotLine| sorted(line).first().is_some_and(|least| *least < 0.0);
        match lines.iter().any(is_flattened) && !lines.iter().any(is_negative) {
            true => PlotScale::Logarithmic,
            false => PlotScale::Linear,
        }
    }

    /// Returns lines whose numbers are their positions on the scale: on a logarithmic one,
    /// logarithms to the base 10, of which none is below the lower end, and NaN for a negative
    /// number.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax_report::{PlotLine, PlotScale};
    /// let points = vec![[1.0, 100.0], [2.0, 0.1], [3.0, 0.0], [4.0, -5.0]];
    /// let lines = [PlotLine::new("training", points)];
    /// let positions = PlotScale::Logarithmic.positions(&lines);
    /// assert_eq!(positions[0].points[..3], [[1.0, 2.0], [2.0, -1.0], [3.0, -1.0]]);
    /// assert!(positions[0].points[3][1].is_nan());
    /// ```
    pub fn positions(self, lines: &[PlotLine]) -> Cow<'_, [PlotLine]> {
        match self {
            PlotScale::Linear => Cow::Borrowed(lines),
            PlotScale::Logarithmic => Cow::Owned(logarithms(lines)),
        }
    }

    /// Returns the number at a position.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax_report::PlotScale;
    /// assert_eq!(PlotScale::Linear.number_at(2.0), 2.0);
    /// assert_eq!(PlotScale::Logarithmic.number_at(2.0), 100.0);
    /// ```
    pub fn number_at(self, position: f64) -> f64 {
        match self {
            PlotScale::Linear => position,
            PlotScale::Logarithmic => 10f64.powf(position),
        }
    }
}

/// Returns the lines with the logarithms of their numbers, of which none is below the lower end.
fn logarithms(lines: &[PlotLine]) -> Vec<PlotLine> {
    let all = lines.iter().flat_map(|line| &line.points).map(|[_, y]| y.log10());
    let positive = all.filter(|log| log.is_finite());
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = positive.fold(start, |(low, high), x| (low.min(x), high.max(x)));
    let end = if low > high { 0.0 } else { low.max(high - MAX_LOG_DECADES).floor() };
    // The logarithm of a negative number is NaN, which `max` would replace.
    let at = |y: f64| if y >= 0.0 { y.log10().max(end) } else { f64::NAN };
    let line = |line: &PlotLine| {
        let points = line.points.iter().map(|[x, y]| [*x, at(*y)]);
        PlotLine::new(line.name.as_str(), points.collect())
    };
    lines.iter().map(line).collect()
}

/// Returns the finite numbers of a line in ascending order.
fn sorted(line: &PlotLine) -> Vec<f64> {
    let all = line.points.iter().map(|[_, y]| *y);
    let mut sorted: Vec<f64> = all.filter(|y| y.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}
