//! [`PlotScale`].

use super::plot_line::PlotLine;
use crate::tuning::LOG_SCALE_RATIO;

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
}

/// Returns the finite numbers of a line in ascending order.
fn sorted(line: &PlotLine) -> Vec<f64> {
    let all = line.points.iter().map(|[_, y]| *y);
    let mut sorted: Vec<f64> = all.filter(|y| y.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}
