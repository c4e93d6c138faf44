//! The options of cumulative functions: [`CumulativeOptions`].

/// The options of cumulative functions: [`crate::Tensor::cumsum_with`] and its relatives. The
/// default is to accumulate from the start of the axis.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([1, 2, 3]).cumsum_with(0, CumulativeOptions::new().reverse());
/// assert_eq!(y.to_vec::<i32>()?, [6, 5, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CumulativeOptions {
    pub(crate) is_reverse: bool,
    pub(crate) has_initial: bool,
}

impl CumulativeOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1, 2, 3]).cumsum_with(0, CumulativeOptions::new());
    /// assert_eq!(y.to_vec::<i32>()?, [1, 3, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> CumulativeOptions {
        CumulativeOptions::default()
    }

    /// Accumulates from the end of the axis: each result is that of its element and all later ones.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1, 5, 3]).cummax_with(0, CumulativeOptions::new().reverse());
    /// assert_eq!(y.to_vec::<i32>()?, [5, 5, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn reverse(self) -> CumulativeOptions {
        CumulativeOptions { is_reverse: true, ..self }
    }

    /// Begins with the result of no elements, so that the axis becomes larger by 1: 0 for sums, 1
    /// for products, the least and the greatest value of the dtype for maxima and minima, and
    /// negative infinity for `cumlogsumexp_with`. With [`CumulativeOptions::reverse`] it comes
    /// last. `include_initial` in `jax.numpy.cumulative_sum`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1, 2, 3]).cumsum_with(0, CumulativeOptions::new().include_initial());
    /// assert_eq!(y.to_vec::<i32>()?, [0, 1, 3, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn include_initial(self) -> CumulativeOptions {
        CumulativeOptions { has_initial: true, ..self }
    }
}
