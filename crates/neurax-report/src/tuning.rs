//! Tuning constants of this crate.

/// The most points of a line that are drawn: about two for each pixel.
pub(crate) const MAX_LINE_POINTS: usize = 800;

/// The most points of a line that are marked by dots.
pub(crate) const MAX_MARKED_POINTS: usize = 30;

/// The ratio of the largest loss to the median above which a plot of losses is logarithmic: the
/// others would have less than 2 % of the height.
pub(crate) const LOG_SCALE_RATIO: f64 = 50.0;

/// The most powers of ten on a logarithmic axis: less than a millionth of the first loss is close
/// to no loss.
pub(crate) const MAX_LOG_DECADES: f64 = 6.0;

/// The most lines of a plot, which is the number of colors.
pub(crate) const MAX_PLOT_LINES: usize = 10;

/// The most classes of a confusion matrix that is drawn: cells of 8 pixels fill a screen.
pub(crate) const MAX_DRAWN_CLASSES: usize = 60;

/// The largest side of a tensor that a notebook shows as an image, in pixels.
pub(crate) const MAX_IMAGE_SIDE: usize = 1000;

/// The most rows of a table of epochs that are shown in a report: the first and the last ones.
pub(crate) const MAX_EPOCH_ROWS: usize = 200;

/// The most rows of a table of epochs that is open in a report: about a screen.
pub(crate) const MAX_OPEN_EPOCH_ROWS: usize = 30;

/// The most layers, ops or lines of a profile in a table of a report: others take little time.
pub(crate) const MAX_PROFILE_ROWS: usize = 12;

/// The most layers of a model whose graph is drawn.
pub(crate) const MAX_DRAWN_LAYERS: usize = 150;

/// The largest tensor that a notebook shows as a table: what fits on a screen.
pub(crate) const MAX_TABLE_ROWS: usize = 20;
pub(crate) const MAX_TABLE_COLUMNS: usize = 10;

/// The most layers of a model whose graph is shown before it is asked for: about two screens.
pub(crate) const MAX_OPEN_LAYERS: usize = 30;
