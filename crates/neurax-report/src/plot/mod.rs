//! Plots as SVG and PNG.

mod document;
mod drawing;
mod heat_map;
mod lines;
mod plot_line;
mod plot_scale;

pub(crate) use document::document;
pub use drawing::{Plot, PlotKind};
pub use plot_line::PlotLine;
pub use plot_scale::PlotScale;

#[cfg(test)]
mod tests;
