//! `ImageDecoder`: files of images in memory.
//!
//! The size of an image is known once its file is, so that this is a step on the host. It needs the
//! feature `images`. As the operator demands, a file that cannot be decoded is an image without
//! pixels, and no error.

use crate::call::{NodeCall, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] =
    &[op("ImageDecoder", &[20], 1..=1, image_decoder).attributes(&["pixel_format"])];

/// An image of three colors per pixel: red, green and blue.
struct Pixels {
    height: usize,
    width: usize,
    /// One for each color of each pixel, row after row.
    colors: Vec<u8>,
}

fn image_decoder(c: &NodeCall) -> RuleOutcome {
    let file = c.known(0)?;
    if file.dtype() != DType::U8 || file.rank() != 1 {
        return fail(format!("expected a vector of bytes, got {}", file.ty()?));
    }
    if !cfg!(feature = "images") {
        return fail("build neurax-onnx with its feature `images` to decode images");
    }
    let image = decoded(&file.to_vec()?);
    let image = image.unwrap_or(Pixels { height: 0, width: 0, colors: Vec::new() });
    let (colors, channels) = match c.str_or("pixel_format", "RGB")?.as_str() {
        "RGB" => (image.colors, 3),
        "BGR" => (image.colors.chunks(3).flat_map(|rgb| rgb.iter().rev()).copied().collect(), 3),
        "Grayscale" => (image.colors.chunks(3).map(gray).collect(), 1),
        other => {
            return fail(format!("expected RGB, BGR or Grayscale as `pixel_format`, got {other}"));
        }
    };
    one(Tensor::from_vec(colors, [image.height, image.width, channels]))
}

/// Returns the brightness of a color: the weights of ITU-R BT.601 in units of 2^-16.
fn gray(rgb: &[u8]) -> u8 {
    let weighted = rgb.iter().zip([19595, 38470, 7471]).map(|(&x, weight)| u32::from(x) * weight);
    ((weighted.sum::<u32>() + (1 << 15)) >> 16).min(255) as u8
}

#[cfg(not(feature = "images"))]
fn decoded(_: &[u8]) -> Option<Pixels> {
    None
}

/// Decodes a file of any known format.
#[cfg(feature = "images")]
fn decoded(file: &[u8]) -> Option<Pixels> {
    if [JPEG_2000, JPEG_2000_STREAM].iter().any(|start| file.starts_with(start)) {
        return decoded_jpeg_2000(file);
    }
    let image = image::load_from_memory(file).ok()?.into_rgb8();
    let (width, height) = image.dimensions();
    Some(Pixels { height: height as usize, width: width as usize, colors: image.into_raw() })
}

/// The first bytes of files with JPEG 2000, and of its data without a file around it.
#[cfg(feature = "images")]
const JPEG_2000: &[u8] = b"\x00\x00\x00\x0cjP  ";
#[cfg(feature = "images")]
const JPEG_2000_STREAM: &[u8] = b"\xff\x4f\xff\x51";

#[cfg(feature = "images")]
fn decoded_jpeg_2000(file: &[u8]) -> Option<Pixels> {
    use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
    let image = Image::new(file, &DecodeSettings::default()).ok()?;
    let (height, width) = (image.height() as usize, image.width() as usize);
    let channels = usize::from(image.color_space().num_channels());
    let each = channels + usize::from(image.has_alpha());
    let mut context = DecoderContext::default();
    let data = image.decode(&mut context).ok()?.data_u8();
    if data.len() != height.checked_mul(width)?.checked_mul(each)? {
        return None;
    }
    let rgb = |pixel: &[u8]| match channels {
        1 => Some([pixel[0]; 3]),
        3 => Some([pixel[0], pixel[1], pixel[2]]),
        _ => None,
    };
    let colors: Vec<[u8; 3]> = data.chunks(each).map(rgb).collect::<Option<_>>()?;
    Some(Pixels { height, width, colors: colors.concat() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brightness_of_gray_is_its_own() {
        assert_eq!((gray(&[0, 0, 0]), gray(&[7, 7, 7]), gray(&[255, 255, 255])), (0, 7, 255));
        assert_eq!(gray(&[255, 0, 0]), 76);
    }

    #[cfg(feature = "images")]
    #[test]
    fn a_file_of_no_image_has_no_pixels() {
        assert!(decoded(b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06").is_some_and(|x| x.width == 2));
        assert!(decoded(b"no image").is_none() && decoded(b"").is_none());
        assert!(decoded(b"\xff\x4f\xff\x51 cut off").is_none());
    }
}
