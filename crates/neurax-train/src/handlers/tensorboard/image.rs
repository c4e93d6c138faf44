//! Images of tensors.

use super::messages::ImageMessage;
use neurax_tensor::{DType, Error, Result, Tensor};
use png::{BitDepth, ColorType, Encoder};

/// Returns the image of a tensor, as [`png_image`], with its size.
///
/// # Errors
/// As [`png_image`].
pub(super) fn image(x: &Tensor) -> Result<ImageMessage> {
    let (height, width, color) = layout(x)?;
    Ok(ImageMessage {
        height: height as i32,
        width: width as i32,
        colorspace: color.samples() as i32,
        png: png_image(x)?,
    })
}

/// Returns a tensor as a PNG image: `[height, width]` or `[height, width, channels]` with 1 (grey),
/// 3 (RGB) or 4 (RGBA) channels. Integers are 0 to 255 and floats 0 to 1; others are clamped, NaN
/// is 0, and true is white.
///
/// ```
/// use neurax::prelude::*;
/// let bytes = train::png_image(&Tensor::eye(8))?;
/// assert!(bytes.starts_with(b"\x89PNG"));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the tensor carries an error or has another shape or dtype.
pub fn png_image(x: &Tensor) -> Result<Vec<u8>> {
    let (height, width, color) = layout(x)?;
    let is_unit = x.dtype().is_float() || x.dtype() == DType::Bool;
    let scaled = if is_unit { x.to(DType::F32) * 255.0 } else { x.to(DType::F32) };
    // A cast of Rust, which saturates.
    let pixels: Vec<u8> = scaled.to_vec::<f32>()?.into_iter().map(|x| x.round() as u8).collect();
    let mut encoded = vec![];
    let failed = |e: png::EncodingError| Error::new("image", e.to_string());
    let mut encoder = Encoder::new(&mut encoded, width, height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(encoded)
}

/// Returns the height, the width and the kind of pixels.
fn layout(x: &Tensor) -> Result<(u32, u32, ColorType)> {
    let (ty, shape) = (x.ty()?, x.shape());
    let expected = |what: &str| Error::new("image", format!("expected {what}, got {ty}"));
    if x.dtype().is_complex() {
        return Err(expected("real numbers"));
    }
    let color = match shape.get(2) {
        None | Some(1) => ColorType::Grayscale,
        Some(3) => ColorType::Rgb,
        Some(4) => ColorType::Rgba,
        _ => return Err(expected("1, 3 or 4 channels in the last axis")),
    };
    let sizes = match *shape {
        [height, width] | [height, width, _] => (u32::try_from(height), u32::try_from(width)),
        _ => return Err(expected("an image [height, width] or [height, width, channels]")),
    };
    match sizes {
        (Ok(height), Ok(width)) if height > 0 && width > 0 => Ok((height, width, color)),
        _ => Err(expected("at least one pixel")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    fn pixels(x: &Tensor) -> (u32, u32, Vec<u8>) {
        let message = image(x).unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(message.png));
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        (info.height, info.width, bytes)
    }

    #[test]
    fn pixels_are_read_back() {
        let grey = tensor([[0.0, 0.5, 1.0], [-1.0, 7.0, f32::NAN]]);
        assert_eq!(pixels(&grey), (2, 3, vec![0, 128, 255, 0, 255, 0]));
        let flags = tensor([[1.0, 0.0]]).gt(0.5);
        assert_eq!(pixels(&flags), (1, 2, vec![255, 0]));
        let rgb = tensor([[[10, 20, 30], [40, 300, -1]]]);
        assert_eq!(pixels(&rgb), (1, 2, vec![10, 20, 30, 40, 255, 0]));
    }

    #[test]
    fn other_shapes_are_errors() {
        for (x, want) in [
            (Tensor::zeros([4]), "an image [height, width]"),
            (Tensor::zeros([4, 4, 2]), "1, 3 or 4 channels"),
            (Tensor::zeros([4, 0]), "at least one pixel"),
        ] {
            let e = image(&x).unwrap_err().to_string();
            assert!(e.contains(want), "{e}");
        }
    }
}
