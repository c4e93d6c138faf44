//! The options of functions whose size depends on values: [`SizeOptions`].

use crate::Scalar;

/// The options of functions whose result has a size that depends on values, such as
/// [`crate::Tensor::nonzero_with`]. The default is the exact size, which only plain tensors have:
/// in a function that is being traced by `jit`, `grad` or `vmap` the size has to be given.
///
/// ```
/// use neurax::prelude::*;
/// let places = jit(|x: Tensor| {
///     x.flatnonzero_with(SizeOptions::new().size(4).fill_value(-1))
/// });
/// assert_eq!(places.run(tensor([0, 5, 0, 7]))?.to_vec::<i32>()?, [1, 3, -1, -1]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SizeOptions {
    pub(crate) size: Option<usize>,
    pub(crate) fill: Option<Scalar>,
}

impl SizeOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0, 5, 0, 7]).flatnonzero_with(SizeOptions::new());
    /// assert_eq!(y.to_vec::<i32>()?, [1, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> SizeOptions {
        SizeOptions::default()
    }

    /// Gives the result `size` entries: entries beyond it are left out, missing ones are filled.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0, 5, 0, 7]).flatnonzero_with(SizeOptions::new().size(1));
    /// assert_eq!(y.to_vec::<i32>()?, [1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn size(self, size: usize) -> SizeOptions {
        SizeOptions { size: Some(size), ..self }
    }

    /// Fills missing entries with `value`. Each function states its default.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0, 5, 0, 7]).flatnonzero_with(SizeOptions::new().size(3).fill_value(-1));
    /// assert_eq!(y.to_vec::<i32>()?, [1, 3, -1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fill_value(self, value: impl Into<Scalar>) -> SizeOptions {
        SizeOptions { fill: Some(value.into()), ..self }
    }
}
