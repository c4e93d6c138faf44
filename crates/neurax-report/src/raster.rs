//! SVG documents as PNG images.

use neurax_tensor::{Error, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use std::sync::Arc;

/// The name of the font that is part of the program.
const OWN_FONT: &str = "DejaVu Sans";

/// The most pixels of an image: 400 MB of memory.
const MAX_PIXELS: f32 = 1e8;

/// Returns a document as a PNG image that is `scale` times as large. Its texts have a font that is
/// part of the program, so that images are equal on all machines.
///
/// # Errors
/// If the document is invalid, or the image would be empty or too large.
pub(crate) fn png(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let failed = |why: String| Error::new("png", why);
    let mut options = Options { font_family: OWN_FONT.into(), ..Options::default() };
    let fonts = Arc::make_mut(&mut options.fontdb);
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family(OWN_FONT);
    let tree = Tree::from_str(svg, &options).map_err(|e| failed(e.to_string()))?;
    let size = tree.size();
    let (width, height) = ((size.width() * scale).ceil(), (size.height() * scale).ceil());
    if !(width >= 1.0 && height >= 1.0 && width * height <= MAX_PIXELS) {
        return Err(failed(format!("expected up to {MAX_PIXELS} pixels, got {width} x {height}")));
    }
    let pixels = Pixmap::new(width as u32, height as u32);
    let mut pixels = pixels.ok_or_else(|| failed("the image is too large".into()))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::{Plot, PlotLine};

    #[test]
    fn a_plot_has_text_and_lines_in_its_colors() {
        let line = PlotLine::new("training", vec![[0.0, 1.0], [1.0, 2.0]]);
        let bytes = Plot::lines("loss", "epoch", vec![line]).to_png(2.0).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (920, 600));
        let count = |color: [u8; 3]| pixels.chunks(4).filter(|p| p[..3] == color).count();
        assert!(count([0x2A, 0x78, 0xD6]) > 500, "the line");
        assert!(count([0x63, 0x65, 0x6B]) > 50, "the text");
        assert!(Plot::lines("loss", "epoch", vec![]).to_png(0.0).is_err());
        assert!(Plot::lines("loss", "epoch", vec![]).to_png(f32::INFINITY).is_err());
    }
}
