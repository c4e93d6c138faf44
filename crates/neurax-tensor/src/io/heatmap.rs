//! Heat maps for the terminal, as Nx's `to_heatmap`.

use crate::{Error, Result, Tensor};
use neurax_ir::Place;
use std::{fmt::Write, panic::Location};

/// The first grey of the 256 colors of a terminal, the darkest, and the number of greys.
const GREYS: (usize, usize) = (232, 24);

/// The options of [`Tensor::to_heatmap_with`].
///
/// ```
/// use neurax::{io::HeatmapOptions, prelude::*};
/// let text = Tensor::eye(3).to_heatmap_with(HeatmapOptions::new().digits())?;
/// assert_eq!(text, "900\n090\n009\n");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HeatmapOptions {
    digits: bool,
    range: Option<(f64, f64)>,
}

impl HeatmapOptions {
    /// Creates the default options: backgrounds in 24 greys, from the smallest element to the
    /// largest.
    ///
    /// ```
    /// use neurax::{io::HeatmapOptions, prelude::*};
    /// let x = tensor([[0.0, 1.0]]);
    /// assert_eq!(x.to_heatmap_with(HeatmapOptions::new())?, x.to_heatmap()?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> HeatmapOptions {
        HeatmapOptions::default()
    }

    /// Prints digits from 0 to 9 instead of colors, for logs and terminals without colors.
    ///
    /// ```
    /// use neurax::{io::HeatmapOptions, prelude::*};
    /// let text = Tensor::arange(10).to_heatmap_with(HeatmapOptions::new().digits())?;
    /// assert_eq!(text, "0123456789\n");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn digits(mut self) -> Self {
        self.digits = true;
        self
    }

    /// Sets the values of the darkest and the brightest color. Values outside get these.
    ///
    /// ```
    /// use neurax::{io::HeatmapOptions, prelude::*};
    /// let options = HeatmapOptions::new().digits().range(0.0, 100.0);
    /// assert_eq!(tensor([-5, 50, 500]).to_heatmap_with(options)?, "059\n");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Returns the smallest and the largest value of `x` that is a number, or those that are set.
    fn range_of(&self, x: &[f64]) -> (f64, f64) {
        let finite = || x.iter().copied().filter(|x| x.is_finite());
        let low = || finite().fold(f64::INFINITY, f64::min);
        let high = || finite().fold(f64::NEG_INFINITY, f64::max);
        self.range.unwrap_or_else(|| (low(), high()))
    }

    /// Returns one element as text.
    fn cell(&self, x: f64, (low, high): (f64, f64)) -> String {
        let levels = if self.digits { 10 } else { GREYS.1 };
        // The conversion saturates, and is 0 where all elements are equal.
        let level = ((x - low) / (high - low) * levels as f64) as usize;
        let level = level.min(levels - 1);
        match (x.is_nan(), self.digits) {
            (true, true) => "?".into(),
            (true, false) => "??".into(),
            (false, true) => level.to_string(),
            (false, false) => format!("\x1b[48;5;{}m  \x1b[0m", GREYS.0 + level),
        }
    }
}

impl Tensor {
    /// Returns a picture of the elements for a terminal: a row of the last axis is a line, an
    /// element a square whose grey is brighter the larger it is. Matrices of further axes follow
    /// each other with empty lines between them. NaN is `??`; of complex numbers, real parts are
    /// shown.
    ///
    /// # Errors
    /// The error that the tensor carries; when it has rank 0 or is being traced.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let text = tensor([[0.0, 1.0]]).to_heatmap()?;
    /// assert_eq!(text, "\x1b[48;5;232m  \x1b[0m\x1b[48;5;255m  \x1b[0m\n");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_heatmap(&self) -> Result<String> {
        self.to_heatmap_with(HeatmapOptions::new())
    }

    /// Returns a picture as [`Tensor::to_heatmap`] does, with options.
    ///
    /// # Errors
    /// As [`Tensor::to_heatmap`].
    ///
    /// ```
    /// use neurax::{io::HeatmapOptions, prelude::*};
    /// let text = tensor([[1, 0], [0, 2]]).to_heatmap_with(HeatmapOptions::new().digits())?;
    /// assert_eq!(text, "50\n09\n");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_heatmap_with(&self, options: HeatmapOptions) -> Result<String> {
        let at = Location::caller();
        let x = self.literal_for("to_heatmap", at)?;
        let Some((&columns, outer)) = x.shape().split_last() else {
            let why = format!("expected at least one axis, got {}", x.ty());
            return Err(Error::new("to_heatmap", why).at(&Place::Source(at)));
        };
        if x.ty().size() == 0 {
            return Ok(String::new());
        }
        let rows = outer.last().copied().unwrap_or(1);
        let elements = x.to_f64s();
        let range = options.range_of(&elements);
        let mut text = String::new();
        for (i, row) in elements.chunks(columns).enumerate() {
            if i > 0 && i % rows == 0 {
                text.push('\n');
            }
            row.iter().for_each(|&x| text.push_str(&options.cell(x, range)));
            let _ = writeln!(text);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn digits(x: Tensor) -> String {
        x.to_heatmap_with(HeatmapOptions::new().digits()).unwrap()
    }

    #[test]
    fn digits_are_linear_in_the_elements() {
        assert_eq!(digits(Tensor::arange(10)), "0123456789\n");
        assert_eq!(digits(tensor([f32::NAN, -1.0, f32::INFINITY, 1.0, 0.1])), "?0995\n");
        assert_eq!(digits(Tensor::ones([2, 2])), "00\n00\n");
        assert_eq!(digits(Tensor::zeros([2, 0])), "");
        let range = HeatmapOptions::new().digits().range(0.0, 100.0);
        assert_eq!(tensor([-5, 50, 500]).to_heatmap_with(range).unwrap(), "059\n");
    }

    #[test]
    fn matrices_are_apart() {
        assert_eq!(digits(Tensor::arange(8).reshape([2, 2, 2])), "01\n24\n\n57\n89\n");
    }

    #[test]
    fn a_number_has_no_picture() {
        let e = tensor(1.0).to_heatmap().unwrap_err();
        assert_eq!(e.message(), "expected at least one axis, got f32[]");
    }
}
