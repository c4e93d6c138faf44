//! Images seen through an affine map: the common part of `rotate` and `zoom`.

use super::images::{ImageSizes, image_sizes};
use neurax_tensor::{Boundary, DType, MapOptions, Result, Tensor, vmap};

/// Returns the images whose pixel at `(row, column)`, measured from the center, is the pixel of the
/// image in `x` at `(a row + b column, c row + d column)`, interpolated linearly. `matrix` has
/// `[a, b, c, d]`, each `[n]`, one number for each image. Pixels from outside are `value`.
///
/// # Errors
/// If `x` is no float tensor of four axes.
pub(super) fn warped(op: &str, x: &Tensor, matrix: [Tensor; 4], value: f64) -> Result<Tensor> {
    let ImageSizes { height, width, .. } = image_sizes(op, x)?;
    let middle = |size: usize| (size as f64 - 1.0) / 2.0;
    let (row_middle, column_middle) = (middle(height), middle(width));
    let rows = (Tensor::arange(height).to(DType::F32) - row_middle).reshape([height, 1]);
    let columns = (Tensor::arange(width).to(DType::F32) - column_middle).reshape([1, width]);
    let options = MapOptions::new().boundary(Boundary::Constant(value));
    let image = |(image, [a, b, c, d]): (Tensor, [Tensor; 4])| {
        let from_rows = &rows * a + &columns * b + row_middle;
        let from_columns = &rows * c + &columns * d + column_middle;
        let plane =
            |plane: Tensor| plane.map_coordinates([&from_rows, &from_columns], options.clone());
        vmap(plane)(image)
    };
    Ok(vmap(image)((x.clone(), matrix)))
}
