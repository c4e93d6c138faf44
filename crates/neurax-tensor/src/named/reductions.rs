//! Reductions over named axes.

use super::NamedTensor;
use crate::Tensor;
use std::panic::Location;

/// A table of reductions by names. A row is `name, "doc", dtype of the example => its result;`.
macro_rules! named_reductions {
    ($($f:ident, $doc:literal, $T:ident => $value:literal;)*) => {$(
        #[doc = $doc]
        #[doc = "\nNo names reduce all axes.\n\n# Errors\nThe tensor of the result carries an \
                 error if there is no axis of a name."]
        #[doc = concat!(
            "\n```\nuse neurax::prelude::*;\n\
             let x = tensor([[0.0, 2.0], [3.0, 4.0]]).names([\"batch\", \"feature\"]);\n\
             let y = x.", stringify!($f), "([\"batch\"]);\n\
             assert_eq!(y.tensor().to_vec::<", stringify!($T), ">()?, ", $value, ");\n\
             # Ok::<(), Error>(())\n```"
        )]
        #[track_caller]
        pub fn $f<'n>(&self, axes: impl AsRef<[&'n str]>) -> NamedTensor {
            self.reduced(stringify!($f), axes.as_ref(), |x, axes| x.$f(axes))
        }
    )*};
}

impl NamedTensor {
    named_reductions! {
        sum, "Computes the sum over the named axes: [`Tensor::sum`].", f32 => "[3.0, 6.0]";
        prod, "Computes the product over the named axes: [`Tensor::prod`].", f32 => "[0.0, 8.0]";
        mean, "Computes the mean over the named axes: [`Tensor::mean`].", f32 => "[1.5, 3.0]";
        max, "Returns the largest element over the named axes: [`Tensor::max`].",
            f32 => "[3.0, 4.0]";
        min, "Returns the smallest element over the named axes: [`Tensor::min`].",
            f32 => "[0.0, 2.0]";
        all, "Tests if all elements over the named axes are true: [`Tensor::all`].",
            bool => "[false, true]";
        any, "Tests if any element over the named axes is true: [`Tensor::any`].",
            bool => "[true, true]";
        argmax, "Returns the index of the largest element over the named axes: [`Tensor::argmax`].",
            i32 => "[1, 1]";
        argmin, "Returns the index of the smallest element over the named axes: \
                 [`Tensor::argmin`].", i32 => "[0, 0]";
    }

    /// Computes `log(sum(e^x))` over the named axes: [`Tensor::logsumexp`]. No names reduce all
    /// axes.
    ///
    /// # Errors
    /// The tensor of the result carries an error if there is no axis of a name.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::assert_close};
    /// let x = tensor([[0.0, 0.0], [2.0, 2.0]]).names(["batch", "feature"]);
    /// assert_close(x.logsumexp(["feature"]).tensor(), &(tensor([0.0, 2.0]) + 2f32.ln()));
    /// ```
    #[track_caller]
    pub fn logsumexp<'n>(&self, axes: impl AsRef<[&'n str]>) -> NamedTensor {
        self.reduced("logsumexp", axes.as_ref(), |x, axes| x.logsumexp(axes))
    }

    /// Computes the variance over the named axes: [`Tensor::var`]. No names reduce all axes.
    ///
    /// # Errors
    /// The tensor of the result carries an error if there is no axis of a name.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 3.0], [2.0, 6.0]]).names(["batch", "feature"]);
    /// assert_eq!(x.var(["feature"], 0).tensor().to_vec::<f32>()?, [1.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn var<'n>(&self, axes: impl AsRef<[&'n str]>, ddof: usize) -> NamedTensor {
        self.reduced("var", axes.as_ref(), |x, axes| x.var(axes, ddof))
    }

    /// Computes the standard deviation over the named axes: [`Tensor::std`]. No names reduce all
    /// axes.
    ///
    /// # Errors
    /// The tensor of the result carries an error if there is no axis of a name.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 3.0], [2.0, 6.0]]).names(["batch", "feature"]);
    /// assert_eq!(x.std(["feature"], 0).tensor().to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn std<'n>(&self, axes: impl AsRef<[&'n str]>, ddof: usize) -> NamedTensor {
        self.reduced("std", axes.as_ref(), |x, axes| x.std(axes, ddof))
    }

    /// Reduces the named axes by `f`.
    #[track_caller]
    fn reduced(
        &self,
        op: &str,
        names: &[&str],
        f: impl FnOnce(&Tensor, Vec<usize>) -> Tensor,
    ) -> NamedTensor {
        let at = Location::caller();
        let axes =
            if names.is_empty() { Ok((0..self.x.rank()).collect()) } else { self.axes(op, names) };
        match axes {
            Ok(axes) => {
                let names = self.names_without(&axes);
                NamedTensor::new(op, f(&self.x, axes), names, at)
            }
            Err(e) => NamedTensor::failed(e, at),
        }
    }
}
