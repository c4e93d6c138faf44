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
}

impl CumulativeOptions {
    /// Creates the default options.
    pub fn new() -> CumulativeOptions {
        CumulativeOptions::default()
    }

    /// Accumulates from the end of the axis: each result is that of its element and all later ones.
    pub fn reverse(self) -> CumulativeOptions {
        CumulativeOptions { is_reverse: true }
    }
}
