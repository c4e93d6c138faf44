//! The fan of a kernel.

use neurax_tensor::{Error, Result};

/// The fan of a kernel: the number of inputs of one output, and of outputs of one input.
pub(super) struct Fan {
    pub inputs: f64,
    pub outputs: f64,
}

impl Fan {
    /// Returns the fan of a kernel with the given axes, or of the layout of the module's rule.
    ///
    /// # Errors
    /// If the shape has not two different axes of these numbers.
    pub fn of(shape: &[usize], axes: Option<[i64; 2]>) -> Result<Fan> {
        let [inputs, outputs] = match (axes, shape.len()) {
            (None, 0) => return Ok(Fan { inputs: 1.0, outputs: 1.0 }),
            (None, 1) => [0, 0],
            _ => axes_of(shape, axes)?,
        };
        // In floats, because the product of sizes that were not checked yet could overflow. The
        // variance of an empty kernel does not matter; 1 keeps it finite.
        let sizes = shape.iter().enumerate().filter(|(i, _)| *i != inputs && *i != outputs);
        let window: f64 = sizes.map(|(_, &n)| n as f64).product();
        let times = |axis: usize| (shape[axis] as f64 * window).max(1.0);
        Ok(Fan { inputs: times(inputs), outputs: times(outputs) })
    }
}

/// Returns the axes of inputs and outputs of a kernel of rank `rank` by the module's rule.
pub(super) fn default_axes(rank: usize) -> [i64; 2] {
    if rank == 2 { [0, 1] } else { [1, 0] }
}

/// Returns the positions of the axes of inputs and outputs, of a kernel of at least two axes.
///
/// # Errors
/// If the shape has not two different axes of these numbers.
pub(super) fn axes_of(shape: &[usize], axes: Option<[i64; 2]>) -> Result<[usize; 2]> {
    let axes = axes.unwrap_or_else(|| default_axes(shape.len()));
    positions(axes, shape.len()).ok_or_else(|| Error::new("init", not_axes(axes, shape)))
}

/// Returns the positions of two different axes of a shape of rank `rank`.
fn positions(axes: [i64; 2], rank: usize) -> Option<[usize; 2]> {
    let [inputs, outputs] = [position(axes[0], rank)?, position(axes[1], rank)?];
    (inputs != outputs).then_some([inputs, outputs])
}

/// Returns the position of an axis of a shape of rank `rank`, which is counted from the back if it
/// is negative.
pub(super) fn position(axis: i64, rank: usize) -> Option<usize> {
    let from = if axis < 0 { i64::try_from(rank).ok()? } else { 0 };
    usize::try_from(from.checked_add(axis)?).ok().filter(|&axis| axis < rank)
}

fn not_axes([inputs, outputs]: [i64; 2], shape: &[usize]) -> String {
    format!(
        "expected a kernel with inputs along axis {inputs} and outputs along axis {outputs}, \
             got shape {shape:?}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fan_of_a_convolution_includes_its_window() {
        let fan = |shape: &[usize], axes| {
            let fan = Fan::of(shape, axes).unwrap();
            (fan.inputs, fan.outputs)
        };
        assert_eq!(fan(&[32, 16, 3, 3], None), (144.0, 288.0), "[outputs, inputs, window ..]");
        assert_eq!(fan(&[32, 16, 5], None), (80.0, 160.0));
        assert_eq!(fan(&[3, 3, 16, 32], Some([-2, -1])), (144.0, 288.0));
        assert_eq!(fan(&[16, 32], None), (16.0, 32.0), "[inputs, outputs]");
        assert_eq!(fan(&[32, 16], Some([1, 0])), (16.0, 32.0));
        assert_eq!(fan(&[0, 3, 1 << 40, 1 << 40], None), (3.0 * 2f64.powi(80), 1.0));
    }
}
