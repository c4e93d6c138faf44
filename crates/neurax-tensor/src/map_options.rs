//! The options of [`crate::Tensor::map_coordinates`]: [`MapOptions`] and [`Boundary`].

/// The values of a grid beyond its ends. The examples continue `[1, 2, 3]` by two on either side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Boundary {
    /// One number: `0 0 1 2 3 0 0`.
    Constant(f64),
    /// The first and the last entry: `1 1 1 2 3 3 3`.
    Nearest,
    /// The grid repeated: `2 3 1 2 3 1 2`.
    Wrap,
    /// The grid mirrored at its first and last entry: `3 2 1 2 3 2 1`.
    Mirror,
    /// The grid mirrored beyond its first and last entry: `2 1 1 2 3 3 2`.
    Reflect,
}

/// The options of [`crate::Tensor::map_coordinates`]. The defaults are linear interpolation and the
/// number 0 beyond the ends.
///
/// ```
/// use neurax::{Boundary, MapOptions, prelude::*};
/// let x = tensor([10.0, 20.0]);
/// let options = MapOptions::new().boundary(Boundary::Nearest);
/// let y = x.map_coordinates([tensor([0.5, 7.0])], options);
/// assert_eq!(y.to_vec::<f32>()?, [15.0, 20.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MapOptions {
    pub(crate) is_nearest: bool,
    pub(crate) boundary: Boundary,
}

impl Default for MapOptions {
    fn default() -> MapOptions {
        MapOptions::new()
    }
}

impl MapOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([10.0, 20.0]).map_coordinates([tensor([0.5, 7.0])], MapOptions::new());
    /// assert_eq!(y.to_vec::<f32>()?, [15.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> MapOptions {
        MapOptions { is_nearest: false, boundary: Boundary::Constant(0.0) }
    }

    /// Takes the nearest entry instead of interpolating: order 0 in scipy.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = MapOptions::new().nearest();
    /// let y = tensor([10.0, 20.0]).map_coordinates([tensor([0.25, 0.75])], options);
    /// assert_eq!(y.to_vec::<f32>()?, [10.0, 20.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn nearest(self) -> MapOptions {
        MapOptions { is_nearest: true, ..self }
    }

    /// Sets the values beyond the ends.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = MapOptions::new().boundary(Boundary::Wrap);
    /// let y = tensor([10.0, 20.0]).map_coordinates([tensor([2.0, 3.0])], options);
    /// assert_eq!(y.to_vec::<f32>()?, [10.0, 20.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn boundary(self, boundary: Boundary) -> MapOptions {
        MapOptions { boundary, ..self }
    }
}
