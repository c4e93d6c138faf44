//! The colors of a matrix of numbers: a sequential scale, with a separate color for what is no
//! finite number.

use neurax_tensor::{DType, Result, Tensor, Tree};

/// The colors of the scale at equal distances, from the least number to the largest one: five of
/// viridis (<https://bids.github.io/colormap>), whose lightness grows evenly, so that it is also
/// read in grey and by the color-blind.
const COLOR_SCALE: [[u8; 3]; 5] =
    [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
/// The color of NaN and infinities, which the scale does not have.
const NOT_FINITE: [u8; 3] = [255, 0, 0];

/// A matrix as an image, and the legend of its colors.
pub(crate) struct ColoredMatrix {
    /// The pixels, u8[rows, columns, 3].
    pub pixels: Tensor,
    pub legend: String,
}

/// Returns the colors of a matrix, on the scale from its least to its largest finite number.
///
/// # Errors
/// If `x` carries an error, or its numbers are complex.
pub(crate) fn colored(x: &Tensor) -> Result<ColoredMatrix> {
    let values: Vec<f32> = x.to(DType::F32).to_vec()?;
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::MIN, f32::max));
    let pixels: Vec<u8> = values.iter().flat_map(|&v| color(v, low, high)).collect();
    let rest = values.len() - finite().count();
    let mut legend = match rest < values.len() {
        true => format!("{low} (dark violet) to {high} (yellow)"),
        false => "no finite number".to_string(),
    };
    if rest > 0 {
        legend += &format!(", {rest} not finite (red)");
    }
    let shape: Vec<usize> = x.shape().iter().copied().chain([3]).collect();
    Ok(ColoredMatrix { pixels: Tensor::from_vec(pixels, shape).ok()?, legend })
}

fn color(v: f32, low: f32, high: f32) -> [u8; 3] {
    if !v.is_finite() {
        return NOT_FINITE;
    }
    // Halves, as the distance of two finite numbers may be infinite.
    let range = high / 2.0 - low / 2.0;
    let share = if range > 0.0 { (v / 2.0 - low / 2.0) / range } else { 0.0 };
    let place = share.clamp(0.0, 1.0) * (COLOR_SCALE.len() - 1) as f32;
    let below = (place as usize).min(COLOR_SCALE.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|c| {
        let [a, b] = [COLOR_SCALE[below][c], COLOR_SCALE[below + 1][c]].map(f32::from);
        (a + (b - a) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn the_scale_runs_from_the_least_to_the_largest_finite_number() {
        let x = tensor([[-1.0, 0.0, 1.0], [f32::NAN, f32::INFINITY, 0.5]]);
        let found = colored(&x).unwrap();
        let pixels = found.pixels.to_vec::<u8>().unwrap();
        let rows: Vec<&[u8]> = pixels.chunks(3).collect();
        assert_eq!(rows[..3], [[68, 1, 84], [33, 145, 140], [253, 231, 37]]);
        assert_eq!(rows[3..], [[255, 0, 0], [255, 0, 0], [94, 201, 98]]);
        assert_eq!(found.legend, "-1 (dark violet) to 1 (yellow), 2 not finite (red)");
    }

    #[test]
    fn matrices_without_a_range_have_colors() {
        let pixels = |x: Tensor| colored(&x).unwrap().pixels.to_vec::<u8>().unwrap();
        assert_eq!(pixels(tensor([[2.0, 2.0]])), [68, 1, 84, 68, 1, 84]);
        assert_eq!(pixels(tensor([[f32::MIN, f32::MAX]])), [68, 1, 84, 253, 231, 37]);
        let none = colored(&tensor([[f32::NAN]])).unwrap();
        assert_eq!(none.legend, "no finite number, 1 not finite (red)");
    }
}
