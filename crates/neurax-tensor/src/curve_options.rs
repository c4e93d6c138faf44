//! The options of functions of sampled curves: [`InterpOptions`] and [`DiffOptions`].

use crate::{Scalar, Tensor};

/// The options of [`crate::Tensor::interp_with`]. The default is to continue the first and the last
/// value beyond the ends.
///
/// ```
/// use neurax::prelude::*;
/// let (xs, ys) = (tensor([0.0, 1.0]), tensor([5.0, 7.0]));
/// let y = tensor([-1.0, 2.0]).interp_with(&xs, &ys, InterpOptions::new().left(0).extrapolate());
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 9.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct InterpOptions {
    pub(crate) left: Option<Scalar>,
    pub(crate) right: Option<Scalar>,
    pub(crate) period: Option<f64>,
    pub(crate) extrapolates: bool,
}

impl InterpOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (xs, ys) = (tensor([0.0, 1.0]), tensor([5.0, 7.0]));
    /// let y = tensor([-1.0, 0.5]).interp_with(&xs, &ys, InterpOptions::new());
    /// assert_eq!(y.to_vec::<f32>()?, [5.0, 6.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> InterpOptions {
        InterpOptions::default()
    }

    /// Sets the value below the first point.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (xs, ys) = (tensor([0.0, 1.0]), tensor([5.0, 7.0]));
    /// let y = tensor([-1.0, 2.0]).interp_with(&xs, &ys, InterpOptions::new().left(0));
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 7.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn left(self, y: impl Into<Scalar>) -> InterpOptions {
        InterpOptions { left: Some(y.into()), ..self }
    }

    /// Sets the value above the last point.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (xs, ys) = (tensor([0.0, 1.0]), tensor([5.0, 7.0]));
    /// let y = tensor([-1.0, 2.0]).interp_with(&xs, &ys, InterpOptions::new().right(0));
    /// assert_eq!(y.to_vec::<f32>()?, [5.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn right(self, y: impl Into<Scalar>) -> InterpOptions {
        InterpOptions { right: Some(y.into()), ..self }
    }

    /// Continues the first and the last line beyond the ends, where no value is set for them.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (xs, ys) = (tensor([0.0, 1.0]), tensor([5.0, 7.0]));
    /// let y = tensor([-1.0, 2.0]).interp_with(&xs, &ys, InterpOptions::new().extrapolate());
    /// assert_eq!(y.to_vec::<f32>()?, [3.0, 9.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn extrapolate(self) -> InterpOptions {
        InterpOptions { extrapolates: true, ..self }
    }

    /// Interpolates a periodic function, whose points may have any order: the last point is
    /// connected with the first one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (xs, ys) = (tensor([0.0, 1.0]), tensor([5.0, 7.0]));
    /// let y = tensor([1.5, 3.0]).interp_with(&xs, &ys, InterpOptions::new().period(2.0));
    /// assert_eq!(y.to_vec::<f32>()?, [6.0, 7.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn period(self, period: f64) -> InterpOptions {
        InterpOptions { period: Some(period), ..self }
    }
}

/// The options of [`crate::Tensor::diff_with`]: entries that are put before and after those of the
/// axis. A scalar becomes one entry.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([1, 4, 9]).diff_with(1, 0, DiffOptions::new().prepend(tensor(0)));
/// assert_eq!(y.to_vec::<i32>()?, [1, 3, 5]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    pub(crate) before: Option<Tensor>,
    pub(crate) after: Option<Tensor>,
}

impl DiffOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1, 4, 9]).diff_with(1, 0, DiffOptions::new());
    /// assert_eq!(y.to_vec::<i32>()?, [3, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> DiffOptions {
        DiffOptions::default()
    }

    /// Sets the entries before the first one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1, 4, 9]).diff_with(1, 0, DiffOptions::new().prepend(tensor([3, 2])));
    /// assert_eq!(y.to_vec::<i32>()?, [-1, -1, 3, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn prepend(self, entries: Tensor) -> DiffOptions {
        DiffOptions { before: Some(entries), ..self }
    }

    /// Sets the entries after the last one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1, 4, 9]).diff_with(1, 0, DiffOptions::new().append(tensor(10)));
    /// assert_eq!(y.to_vec::<i32>()?, [3, 5, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn append(self, entries: Tensor) -> DiffOptions {
        DiffOptions { after: Some(entries), ..self }
    }
}
