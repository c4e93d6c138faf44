//! The options of sorts: [`SortOptions`].

/// The options of [`crate::Tensor::sort_with`] and [`crate::Tensor::argsort_with`]. The default is
/// the ascending order.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([1, 3, 2]).sort_with(0, SortOptions::new().descending());
/// assert_eq!(y.to_vec::<i32>()?, [3, 2, 1]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SortOptions {
    pub(crate) is_descending: bool,
}

impl SortOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1, 3, 2]).sort_with(0, SortOptions::new());
    /// assert_eq!(y.to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> SortOptions {
        SortOptions::default()
    }

    /// Sorts in descending order. NaN comes first; equal elements keep their order.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1, 3, 2]).argsort_with(0, SortOptions::new().descending());
    /// assert_eq!(y.to_vec::<i32>()?, [1, 2, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn descending(self) -> SortOptions {
        SortOptions { is_descending: true }
    }
}
