//! Training runs, models and tensors as pictures: plots, HTML reports, notebooks.
//!
//! [`report`] makes a page of a run directory, which [`RunDirectory`](neurax_train::RunDirectory)
//! wrote; [`run_plots`] returns its plots, which are values ([`Plot`]) that can be written as SVG
//! and, with the feature `png`, as PNG. [`show`] displays tensors, trainings and models in a
//! notebook.
//!
//! Pages and pictures load nothing from the network and hold no scripts. All texts of users are
//! escaped.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod color_scale;
mod figure;
mod flame_graph;
mod layer_graph;
mod notebook;
mod page;
mod plot;
mod profile_section;
#[cfg(feature = "png")]
mod raster;
mod run_plots;
mod score_names;
mod score_plots;
mod tables;
mod text;
mod theme;
mod tuning;

pub use flame_graph::flame_graph;
pub use layer_graph::layers_svg;
pub use notebook::{Show, Shown, show};
pub use page::{page, report};
pub use plot::{Plot, PlotKind, PlotLine, PlotScale};
pub use run_plots::run_plots;
pub use text::{duration, shell_command};
