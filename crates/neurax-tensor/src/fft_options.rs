//! The options of discrete Fourier transforms: [`FftOptions`], [`FftNorm`].

use crate::AxisInt;

/// The factors of a discrete Fourier transform of `N` numbers and of its inverse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FftNorm {
    /// 1 for the transform, `1/N` for the inverse.
    #[default]
    Backward,
    /// `1/sqrt(N)` for both.
    Ortho,
    /// `1/N` for the transform, 1 for the inverse.
    Forward,
}

/// The options of discrete Fourier transforms, e.g. [`crate::Tensor::fft_with`]. The defaults:
/// the sizes of the operand, the last axes, and [`FftNorm::Backward`].
///
/// ```
/// use neurax::{FftNorm, FftOptions, prelude::*};
/// let x = Tensor::ones([3, 5]);
/// let y = x.fft_with(FftOptions::new().axis(0).size(8).norm(FftNorm::Ortho));
/// assert_eq!(y.shape(), [8, 5]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FftOptions {
    pub(crate) sizes: Option<Vec<usize>>,
    pub(crate) axes: Option<Vec<i64>>,
    pub(crate) norm: FftNorm,
}

impl FftOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1.0, 2.0]).rfft_with(FftOptions::new());
    /// assert_eq!(y.real().to_vec::<f32>()?, [3.0, -1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> FftOptions {
        FftOptions::default()
    }

    /// Sets the size of the transformed axis: that of the operand, which is cropped or padded with
    /// zeros, or, of an inverse real transform, that of the result.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1.0, 2.0, 5.0]).rfft_with(FftOptions::new().size(2));
    /// assert_eq!(y.real().to_vec::<f32>()?, [3.0, -1.0], "the third number is cropped");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn size(self, n: usize) -> FftOptions {
        self.sizes([n])
    }

    /// Sets the sizes of the transformed axes, as [`FftOptions::size`]. Without axes, these are
    /// the last ones, one for each size.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = Tensor::ones([2, 3, 5]).fft2_with(FftOptions::new().sizes([4, 8]));
    /// assert_eq!(y.shape(), [2, 4, 8]);
    /// ```
    pub fn sizes(self, sizes: impl Into<Vec<usize>>) -> FftOptions {
        FftOptions { sizes: Some(sizes.into()), ..self }
    }

    /// Sets the transformed axis; negative ones count from the end.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = Tensor::ones([4, 5]).rfft_with(FftOptions::new().axis(0));
    /// assert_eq!(y.shape(), [3, 5]);
    /// ```
    pub fn axis(self, axis: impl AxisInt) -> FftOptions {
        self.axes([axis])
    }

    /// Sets the transformed axes. The last one of them is the axis whose half a real transform
    /// returns.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = Tensor::ones([4, 5]).rfft2_with(FftOptions::new().axes([1, 0]));
    /// assert_eq!(y.shape(), [3, 5], "half of axis 0 is returned");
    /// ```
    pub fn axes<A: AxisInt>(self, axes: impl IntoIterator<Item = A>) -> FftOptions {
        let axes = axes.into_iter().map(AxisInt::to_i64).collect();
        FftOptions { axes: Some(axes), ..self }
    }

    /// Sets the factors of the transform and of its inverse.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = Tensor::ones([2]).fft_with(FftOptions::new().norm(FftNorm::Forward));
    /// assert_eq!(y.real().to_vec::<f32>()?, [1.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn norm(self, norm: FftNorm) -> FftOptions {
        FftOptions { norm, ..self }
    }
}
