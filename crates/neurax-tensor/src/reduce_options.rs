//! The options of reductions: [`ReduceOptions`] and [`ArgOptions`].

use crate::{DType, Scalar, Tensor};

/// The options of reductions: [`crate::Tensor::sum_with`] and its relatives. The default is to
/// reduce all elements.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([1.0, f32::NAN, 2.0]);
/// let known = ReduceOptions::new().where_(!x.is_nan());
/// assert_eq!(x.sum_with(.., known.clone().initial(10)).item()?, 13.0);
/// assert_eq!(x.mean_with(.., known).item()?, 1.5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReduceOptions {
    pub(crate) mask: Option<Tensor>,
    pub(crate) initial: Option<Scalar>,
    pub(crate) dtype: Option<DType>,
}

impl ReduceOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 2.0]).sum_with(.., ReduceOptions::new()).item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> ReduceOptions {
        ReduceOptions::default()
    }

    /// Reduces only the elements at which `mask`, bool, is true. It broadcasts to the shape of the
    /// tensor. NumPy's `where`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]);
    /// let y = x.sum_with(1, ReduceOptions::new().where_(tensor([true, false])));
    /// assert_eq!(y.to_vec::<i32>()?, [1, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn where_(self, mask: Tensor) -> ReduceOptions {
        ReduceOptions { mask: Some(mask), ..self }
    }

    /// Reduces `x` together with the elements, once for each result. For `sum_with`, `prod_with`,
    /// `max_with` and `min_with`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([[1, 2], [3, 9]]).max_with(1, ReduceOptions::new().initial(5));
    /// assert_eq!(y.to_vec::<i32>()?, [5, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn initial(self, x: impl Into<Scalar>) -> ReduceOptions {
        ReduceOptions { initial: Some(x.into()), ..self }
    }

    /// Converts the elements to `dtype` first, which is the dtype of the result. For `sum_with`,
    /// `prod_with`, `mean_with`, `var_with` and `std_with`; the last three take floats and complex
    /// numbers only.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::from_vec(vec![200u8, 100], [2]);
    /// assert_eq!(x.sum_with(.., ReduceOptions::new().dtype(I32)).to_vec::<i32>()?, [300]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn dtype(self, dtype: DType) -> ReduceOptions {
        ReduceOptions { dtype: Some(dtype), ..self }
    }

    /// Returns the message if an option is set that a function does not use; `used` are the names
    /// of those that it uses besides `where_`.
    pub(crate) fn unused(&self, used: &[&str]) -> Option<String> {
        let all = [
            ("initial", "sum_with, prod_with, max_with and min_with", self.initial.is_some()),
            (
                "dtype",
                "sum_with, prod_with, mean_with, var_with and std_with",
                self.dtype.is_some(),
            ),
        ];
        let (name, users, _) =
            all.into_iter().find(|(name, _, set)| *set && !used.contains(name))?;
        Some(format!("expected no `{name}`; only {users} have it"))
    }
}

/// The options of [`crate::Tensor::argmax_with`] and [`crate::Tensor::argmin_with`]. The default is
/// the first index of equal elements.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([3, 7, 7, 1]);
/// assert_eq!(x.argmax_with(0, ArgOptions::new().last()).item()?, 2.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ArgOptions {
    pub(crate) is_last: bool,
}

impl ArgOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3, 7, 7, 1]).argmax_with(0, ArgOptions::new()).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> ArgOptions {
        ArgOptions::default()
    }

    /// Returns the last index of equal elements; of several NaN the last one. `tie_break: :high`
    /// in Nx.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 7, 1]).argmin_with(0, ArgOptions::new().last()).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn last(self) -> ArgOptions {
        ArgOptions { is_last: true }
    }
}
