//! SVG documents.

use crate::text::escape;
use crate::theme::SURFACE;

/// Returns an SVG document with a background and an accessible name.
pub(crate) fn document((width, height): (u32, u32), description: &str, content: &str) -> String {
    let label = escape(description);
    let surface = SURFACE.light;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\" \
         font-family=\"system-ui, 'DejaVu Sans', sans-serif\"><title>{label}</title>\
         <rect width=\"{width}\" height=\"{height}\" fill=\"{surface}\"/>{content}</svg>"
    )
}
