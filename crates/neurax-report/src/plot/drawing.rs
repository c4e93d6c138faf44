//! [`Plot`].

use super::document::document;
use super::lines::PlotAxes;
use super::plot_line::PlotLine;
use super::plot_scale::PlotScale;
use super::{heat_map, lines};
use crate::theme::with_variables;
use neurax_tensor::Result;

/// The size of a plot of lines in pixels, without the further rows of a long legend: that of a
/// column on a wide screen, and narrow enough that the labels can be read on a phone.
const PLOT_SIZE: (u32, u32) = (460, 300);

/// A plot: lines, or a heat map.
///
/// # Examples
///
/// ```
/// use neurax_report::{Plot, PlotLine};
/// let loss = PlotLine::new("training", vec![[1.0, 0.9], [2.0, 0.4], [3.0, 0.2]]);
/// let plot = Plot::lines("loss", "epoch", vec![loss]);
/// let svg = plot.to_svg()?;
/// assert!(svg.starts_with("<svg") && svg.contains("aria-label=\"loss over epoch: training\""));
/// # Ok::<(), neurax_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// The title.
    pub title: String,
    /// The lines or the matrix.
    pub kind: PlotKind,
}

/// The content of a [`Plot`].
#[derive(Clone, Debug, PartialEq)]
pub enum PlotKind {
    /// Lines through points.
    Lines {
        /// The label of the horizontal axis.
        x_label: String,
        /// The label of the vertical axis; empty if it is the title.
        y_label: String,
        /// The ends of both axes, `[x, y]`; by default, those of the points.
        range: Option<[[f64; 2]; 2]>,
        /// The scale of the vertical axis.
        scale: PlotScale,
        /// The lines.
        lines: Vec<PlotLine>,
    },
    /// A matrix whose cells are filled in proportion to the largest number of their row; negative
    /// numbers and zeros are empty. The rows of a confusion matrix have different sums.
    HeatMap {
        /// The label of the rows.
        row_label: String,
        /// The label of the columns.
        column_label: String,
        /// The names of the rows.
        rows: Vec<String>,
        /// The names of the columns.
        columns: Vec<String>,
        /// The numbers, row by row.
        values: Vec<Vec<f64>>,
    },
}

impl Plot {
    /// Creates a plot of lines.
    pub fn lines(title: impl Into<String>, x_label: &str, lines: Vec<PlotLine>) -> Plot {
        let (x_label, y_label) = (x_label.into(), String::new());
        let (range, scale) = (None, PlotScale::Linear);
        let kind = PlotKind::Lines { x_label, y_label, range, scale, lines };
        Plot { title: title.into(), kind }
    }

    /// Returns the title and, in parentheses, that the scale is logarithmic, if it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax_report::{Plot, PlotKind, PlotLine, PlotScale};
    /// let mut plot = Plot::lines("loss", "epoch", vec![]);
    /// assert_eq!(plot.caption(), "loss");
    /// if let PlotKind::Lines { scale, .. } = &mut plot.kind {
    ///     *scale = PlotScale::Logarithmic;
    /// }
    /// assert_eq!(plot.caption(), "loss (logarithmic scale)");
    /// ```
    pub fn caption(&self) -> String {
        match &self.kind {
            PlotKind::Lines { scale: PlotScale::Logarithmic, .. } => {
                format!("{} (logarithmic scale)", self.title)
            }
            PlotKind::Lines { .. } | PlotKind::HeatMap { .. } => self.title.clone(),
        }
    }

    /// Returns the plot as an SVG document on a light background.
    ///
    /// # Errors
    /// If a point lies outside of what can be drawn.
    pub fn to_svg(&self) -> Result<String> {
        let (size, content) = match &self.kind {
            PlotKind::Lines { x_label, y_label, range, scale, lines } => {
                let axes = PlotAxes { x_label, y_label, range: *range, scale: *scale };
                lines::content(&axes, lines, PLOT_SIZE)?
            }
            PlotKind::HeatMap { row_label, column_label, rows, columns, values } => {
                heat_map::content(row_label, column_label, rows, columns, values)
            }
        };
        Ok(document(size, &self.description(), &content))
    }

    /// Returns the plot as an SVG element whose colors are variables of the page.
    pub(crate) fn to_themed_svg(&self) -> Result<String> {
        Ok(with_variables(&self.to_svg()?))
    }

    /// Returns the plot as a PNG image on a light background, `scale` times as large as the SVG.
    ///
    /// # Errors
    /// If the plot cannot be drawn, or `scale` is not positive or too large.
    #[cfg(feature = "png")]
    pub fn to_png(&self, scale: f32) -> Result<Vec<u8>> {
        crate::raster::png(&self.to_svg()?, scale)
    }

    /// Returns what the plot shows, in words.
    pub fn description(&self) -> String {
        match &self.kind {
            PlotKind::Lines { x_label, lines, .. } => {
                let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
                format!("{} over {x_label}: {}", self.caption(), names.join(", "))
            }
            PlotKind::HeatMap { row_label, column_label, .. } => {
                format!("{}: {row_label} in rows, {column_label} in columns", self.title)
            }
        }
    }

    /// Returns a name for a file: the title with `-` in place of all but letters and digits.
    pub fn file_name(&self) -> String {
        let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = self.title.chars().map(plain).collect();
        let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { "plot".into() } else { parts.join("-") }
    }
}
