//! Plots with their captions in HTML.

use crate::plot::Plot;
use crate::text::escape;
use neurax_tensor::Result;

/// Returns the picture of a plot with its caption. A plot that cannot be drawn is an alert, as it
/// must not hide the others.
pub(crate) fn figure(plot: &Plot, picture: Result<String>) -> String {
    let picture =
        picture.unwrap_or_else(|e| format!("<p role=\"alert\">{}</p>", escape(&e.to_string())));
    let caption = escape(&plot.caption());
    format!("<figure><figcaption>{caption}</figcaption>{picture}</figure>\n")
}
