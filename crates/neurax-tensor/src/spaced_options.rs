//! The options of evenly spaced numbers: [`SpacedOptions`].

use crate::AxisInt;

/// The options of [`crate::Tensor::linspace_to_with`] and [`crate::Tensor::logspace_to_with`]. The
/// default is to include both ends and to put the numbers along axis 0.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor(0.0).linspace_to_with(1, 4, SpacedOptions::new().exclude_end());
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.25, 0.5, 0.75]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpacedOptions {
    pub(crate) has_end: bool,
    pub(crate) axis: i64,
}

impl Default for SpacedOptions {
    fn default() -> SpacedOptions {
        SpacedOptions::new()
    }
}

impl SpacedOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor(0.0).linspace_to_with(1, 5, SpacedOptions::new());
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> SpacedOptions {
        SpacedOptions { has_end: true, axis: 0 }
    }

    /// Leaves the end out: the numbers are those of one more step without the last one. NumPy's
    /// `endpoint=False`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor(0.0).linspace_to_with(1, 2, SpacedOptions::new().exclude_end());
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.5]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn exclude_end(self) -> SpacedOptions {
        SpacedOptions { has_end: false, ..self }
    }

    /// Sets the axis of the result along which the numbers are.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (start, stop) = (tensor([0.0, 10.0]), tensor([2.0, 12.0]));
    /// let y = start.linspace_to_with(stop, 3, SpacedOptions::new().axis(1));
    /// assert_eq!(y.to_nested::<Vec<Vec<f32>>>()?, [[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn axis(self, axis: impl AxisInt) -> SpacedOptions {
        SpacedOptions { axis: axis.to_i64(), ..self }
    }
}
