//! Images of tensors.

use super::image_axes::ImageAxes;
use super::messages::ImageMessage;
use neurax_tensor::{DType, Error, Result, Tensor};
use png::{BitDepth, ColorType, Encoder};

/// Returns the image of a tensor, as [`png_image`], with its size.
///
/// # Errors
/// As [`png_image`].
pub(super) fn image(x: &Tensor) -> Result<ImageMessage> {
    let layout = ImageLayout::of(x)?;
    Ok(ImageMessage {
        height: layout.height as i32,
        width: layout.width as i32,
        colorspace: layout.color.samples() as i32,
        png: png_image(x)?,
    })
}

/// Returns a tensor as a PNG image: `[height, width]`, `[height, width, channels]` or
/// `[channels, height, width]` with 1 (grey), 3 (RGB) or 4 (RGBA) channels, or a batch of such
/// images, which is a grid: see [`ImageAxes`]. Integers are 0 to 255 and floats 0 to 1; others are
/// clamped, NaN is 0, and true is white.
///
/// ```
/// use neurax::prelude::*;
/// let bytes = train::png_image(&Tensor::eye(8))?;
/// assert!(bytes.starts_with(b"\x89PNG"));
/// let batch = key(0).uniform([16, 3, 32, 32]); // 16 images, as layers read them
/// assert!(train::png_image(&batch)?.starts_with(b"\x89PNG"));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the tensor carries an error or has another shape or dtype.
pub fn png_image(x: &Tensor) -> Result<Vec<u8>> {
    let ImageLayout { axes, height, width, color } = ImageLayout::of(x)?;
    let is_unit = x.dtype().is_float() || x.dtype() == DType::Bool;
    let scaled = if is_unit { x.to(DType::F32) * 255.0 } else { x.to(DType::F32) };
    // A cast of Rust, which saturates.
    let pixels = scaled.to_vec::<f32>()?.into_iter().map(|x| x.round() as u8).collect();
    let mut encoded = vec![];
    let failed = |e: png::EncodingError| Error::new("image", e.to_string());
    let mut encoder = Encoder::new(&mut encoded, width, height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&axes.grid(pixels)).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(encoded)
}

/// The size of the image of a tensor in pixels, and their kind.
struct ImageLayout {
    axes: ImageAxes,
    height: u32,
    width: u32,
    color: ColorType,
}

impl ImageLayout {
    fn of(x: &Tensor) -> Result<ImageLayout> {
        let ty = x.ty()?;
        let expected = |what: &str| Error::new("image", format!("expected {what}, got {ty}"));
        if x.dtype().is_complex() {
            return Err(expected("real numbers"));
        }
        let axes = ImageAxes::of(&ty.shape).ok_or_else(|| {
            expected(
                "an image [height, width], [height, width, channels] or [channels, height, width] \
                 with 1, 3 or 4 channels, or a batch [images, channels, height, width]",
            )
        })?;
        let color = match axes.channels {
            1 => ColorType::Grayscale,
            3 => ColorType::Rgb,
            _ => ColorType::Rgba,
        };
        if x.size() == 0 {
            return Err(expected("at least one pixel"));
        }
        match axes.grid_size().map(u32::try_from) {
            [Ok(height), Ok(width)] => Ok(ImageLayout { axes, height, width, color }),
            _ => Err(expected("an image of less than 2^32 pixels in a row and a column")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{key, tensor};

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
    fn channels_may_come_first() {
        let rgb = key(0).randint([5, 7, 3], 0..256);
        let (height, width, want) = pixels(&rgb);
        assert_eq!((height, width), (5, 7));
        assert_eq!(pixels(&rgb.permute([2, 0, 1])), (5, 7, want));
        let grey = tensor([[[10, 20], [30, 40]]]);
        assert_eq!(pixels(&grey), (2, 2, vec![10, 20, 30, 40]));
    }

    #[test]
    fn a_batch_is_a_grid() {
        let batch = tensor([[[[1, 2]]], [[[3, 4]]], [[[5, 6]]]]);
        let want = [[1, 2, 0, 3, 4], [0; 5], [5, 6, 0, 0, 0]].concat();
        assert_eq!(pixels(&batch), (3, 5, want));
        let message = image(&Tensor::ones([6, 3, 8, 9])).unwrap();
        assert_eq!((message.height, message.width, message.colorspace), (17, 29, 3));
    }

    #[test]
    fn other_shapes_are_errors() {
        for (x, want) in [
            (Tensor::zeros([4]), "an image [height, width]"),
            (Tensor::zeros([5, 4, 2]), "1, 3 or 4 channels"),
            (Tensor::zeros([2, 2, 4, 5]), "1, 3 or 4 channels"),
            (Tensor::zeros([4, 0]), "at least one pixel"),
            (Tensor::zeros([0, 3, 4, 4]), "at least one pixel"),
        ] {
            let e = image(&x).unwrap_err().to_string();
            assert!(e.contains(want), "{e}");
        }
    }
}
