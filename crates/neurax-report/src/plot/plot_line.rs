//! [`PlotLine`].

/// A line of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct PlotLine {
    /// The name in the legend.
    pub name: String,
    /// The points `[x, y]`, in ascending order of x. The line is interrupted where y is not finite.
    pub points: Vec<[f64; 2]>,
}

impl PlotLine {
    /// Creates a line.
    pub fn new(name: impl Into<String>, points: Vec<[f64; 2]>) -> PlotLine {
        PlotLine { name: name.into(), points }
    }
}
