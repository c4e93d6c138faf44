//! The options of quantiles, covariances and histograms.

use crate::Tensor;

/// The value of a quantile that lies between two elements `a <= b` in order, at the fraction `w` of
/// the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuantileMethod {
    /// `a + w (b - a)`.
    #[default]
    Linear,
    /// `a`.
    Lower,
    /// `b`.
    Higher,
    /// `(a + b) / 2`.
    Midpoint,
    /// The nearer one; `a` if both are equally near.
    Nearest,
    /// The smallest element for which at least the fraction `q` of the elements is not larger.
    InvertedCdf,
}

/// The options of quantiles: [`crate::Tensor::quantile_with`] and its relatives. The default is
/// [`QuantileMethod::Linear`].
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([1.0, 2.0, 3.0, 4.0]);
/// let options = QuantileOptions::new().method(QuantileMethod::Higher);
/// assert_eq!(x.quantile_with(0.5, .., options).item()?, 3.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct QuantileOptions {
    pub(crate) method: QuantileMethod,
}

impl QuantileOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(x.quantile_with(0.5, .., QuantileOptions::new()).item()?, 2.5);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> QuantileOptions {
        QuantileOptions::default()
    }

    /// Sets the value between two elements.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, 3.0, 4.0]);
    /// let options = QuantileOptions::new().method(QuantileMethod::Lower);
    /// assert_eq!(x.quantile_with(0.5, .., options).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn method(self, method: QuantileMethod) -> QuantileOptions {
        QuantileOptions { method }
    }
}

/// The options of [`crate::Tensor::cov_with`]: weights of the observations, vectors with one for
/// each. The default is to count each observation once.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([1.0, 2.0, 4.0]);
/// let twice = CovOptions::new().frequencies(tensor([1, 2, 1]));
/// assert_eq!(x.cov_with(0, twice).item()?, tensor([1.0, 2.0, 2.0, 4.0]).cov(0).item()?);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CovOptions {
    pub(crate) frequencies: Option<Tensor>,
    pub(crate) weights: Option<Tensor>,
}

impl CovOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 3.0]).cov_with(0, CovOptions::new()).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> CovOptions {
        CovOptions::default()
    }

    /// Counts each observation as often as `frequencies` says, integers. NumPy's `fweights`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = CovOptions::new().frequencies(tensor([3, 1]));
    /// assert_eq!(tensor([1.0, 3.0]).cov_with(0, options).item()?, 0.75);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn frequencies(self, frequencies: Tensor) -> CovOptions {
        CovOptions { frequencies: Some(frequencies), ..self }
    }

    /// Weights each observation by its importance. NumPy's `aweights`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = CovOptions::new().weights(tensor([0.75, 0.25]));
    /// assert_eq!(tensor([1.0, 3.0]).cov_with(0, options).item()?, 0.75);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn weights(self, weights: Tensor) -> CovOptions {
        CovOptions { weights: Some(weights), ..self }
    }
}

/// The bins of a histogram along an axis: a number of bins of equal width, or an ascending vector
/// of their edges.
#[derive(Clone, Debug)]
pub enum Bins {
    /// The number of bins of equal width.
    Count(usize),
    /// The edges, one more than there are bins.
    Edges(Tensor),
}

impl From<usize> for Bins {
    fn from(count: usize) -> Bins {
        Bins::Count(count)
    }
}

impl From<Tensor> for Bins {
    fn from(edges: Tensor) -> Bins {
        Bins::Edges(edges)
    }
}

impl From<&Tensor> for Bins {
    fn from(edges: &Tensor) -> Bins {
        Bins::Edges(edges.clone())
    }
}

/// The options of histograms: [`crate::Tensor::histogram_with`] and its relatives. The default is
/// to count elements in bins from the smallest to the largest one.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([0.0, 1.0, 1.0, 4.0]);
/// let (counts, edges) = x.histogram_with(2, HistogramOptions::new());
/// assert_eq!(counts.to_vec::<i32>()?, [3, 1]);
/// assert_eq!(edges.to_vec::<f32>()?, [0.0, 2.0, 4.0]);
/// let (density, _) = x.histogram_with(2, HistogramOptions::new().density());
/// assert_eq!(density.to_vec::<f32>()?, [0.375, 0.125]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HistogramOptions {
    pub(crate) ranges: Vec<(f64, f64)>,
    pub(crate) weights: Option<Tensor>,
    pub(crate) is_density: bool,
}

impl HistogramOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([0.0, 1.0, 1.0, 4.0]);
    /// let (counts, edges) = x.histogram_with(2, HistogramOptions::new());
    /// assert_eq!(counts.to_vec::<i32>()?, [3, 1]);
    /// assert_eq!(edges.to_vec::<f32>()?, [0.0, 2.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> HistogramOptions {
        HistogramOptions::default()
    }

    /// Sets the lower edge of the first bin and the upper edge of the last bin, of each axis.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([0.0, 1.0, 1.0, 4.0]);
    /// let (counts, edges) = x.histogram_with(2, HistogramOptions::new().range(0.0, 2.0));
    /// assert_eq!(counts.to_vec::<i32>()?, [1, 2], "4 is outside");
    /// assert_eq!(edges.to_vec::<f32>()?, [0.0, 1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn range(self, low: f64, high: f64) -> HistogramOptions {
        self.ranges([(low, high)])
    }

    /// Sets the lower edge of the first bin and the upper edge of the last bin for each axis, or
    /// one pair for all of them.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = HistogramOptions::new().ranges([(0.0, 2.0), (0.0, 8.0)]);
    /// let (counts, x, y) = tensor([0.5, 1.5]).histogram2d(&tensor([1.0, 5.0]), [2, 2], options);
    /// assert_eq!(counts.to_nested::<Vec<Vec<i32>>>()?, [[1, 0], [0, 1]]);
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 1.0, 2.0]);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 4.0, 8.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn ranges(self, ranges: impl Into<Vec<(f64, f64)>>) -> HistogramOptions {
        HistogramOptions { ranges: ranges.into(), ..self }
    }

    /// Adds weights instead of counting: one for each element, floats. The result has their dtype.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([0.0, 1.0, 1.0, 4.0]);
    /// let options = HistogramOptions::new().weights(tensor([0.5, 1.0, 2.0, 4.0]));
    /// assert_eq!(x.histogram_with(2, options).0.to_vec::<f32>()?, [3.5, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn weights(self, weights: Tensor) -> HistogramOptions {
        HistogramOptions { weights: Some(weights), ..self }
    }

    /// Divides by the sum and by the size of each bin: the density of the elements, floats.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([0.0, 1.0, 1.0, 4.0]);
    /// let (density, _) = x.histogram_with(2, HistogramOptions::new().density());
    /// assert_eq!(density.to_vec::<f32>()?, [0.375, 0.125]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn density(self) -> HistogramOptions {
        HistogramOptions { is_density: true, ..self }
    }
}
