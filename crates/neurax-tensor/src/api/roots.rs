//! Roots of polynomials.

use super::common::{located, tensor_or_error};
use crate::{DType, Tensor, concat, tensor::CallSite};
use std::panic::Location;

impl Tensor {
    /// Computes the roots of the polynomial whose coefficients are the elements of a vector, the
    /// highest power first: complex, one less than there are coefficients.
    ///
    /// They are the eigenvalues of the companion matrix, in the order of [`Tensor::eigvals`]. For
    /// each leading coefficient that is 0 there is one root less, and the last result is NaN. The
    /// derivative exists where the roots differ. Integers and bool become f32. Follows
    /// `jax.numpy.roots` with `strip_zeros=False`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor is neither a vector nor a scalar.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let roots = tensor([1.0, -3.0, 2.0]).roots();
    /// assert!(roots.real().allclose(tensor([1.0, 2.0]), 1e-5, 1e-5).item()? == 1.0);
    /// assert!(roots.imag().allclose(tensor([0.0, 0.0]), 1e-5, 1e-5).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn roots(&self) -> Tensor {
        let at = Location::caller();
        located(at, &[self], || tensor_or_error(roots(self, at)))
    }
}

fn roots(p: &Tensor, at: CallSite) -> Result<Tensor, Tensor> {
    let ty = p.type_or_error()?;
    if ty.rank() > 1 {
        return Err(Tensor::fail(
            "roots",
            format!("expected a vector of coefficients, got {ty}"),
            at,
        ));
    }
    let (p, dtype) = p.flatten().float(at).wide(at);
    let n = p.size();
    if n < 2 {
        return Ok(Tensor::zeros_of(dtype.at_least_f32().complex(), 0));
    }
    // Leading zeros are moved to the end, where each is a root of 0.
    let is_leading = p.not_equal(0).to(DType::I32).cummax(0).equal(0);
    let missing = is_leading.to(DType::I32).sum(..);
    let moved = (Tensor::arange(n) + &missing) % n as i64;
    let p = p.take(moved, 0);
    let is_zero = missing.equal(n as i64);
    let first = is_zero.select(1.0, p.get(0));
    let w = companion(&p, &first, n).eigvals();
    // The roots of 0 that were added are the nearest to it.
    let rank = w.abs().argsort(0).argsort(0);
    let is_added = rank.lt(&missing);
    let w = w.sort_by_keys([is_added.to(DType::I32)], 0);
    let is_root = Tensor::arange(n - 1).lt((n as i64 - 1) - missing);
    let none = Tensor::full_of(w.dtype().real(), &[] as &[usize], f64::NAN);
    Ok(is_root.select(w, none.complex(&none)))
}

/// Returns the companion matrix of the coefficients `p`, of which `first` is the first one.
#[track_caller]
fn companion(p: &Tensor, first: &Tensor, n: usize) -> Tensor {
    let row = -(p.slice(0, 1..) / first).reshape([1, n - 1]);
    let below = Tensor::eye_of(n - 2, n - 1, 0).convert(p.dtype(), Location::caller());
    concat([row, below], 0)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn leading_zeros_have_no_roots() {
        let roots = tensor([0.0, 0.0, 1.0, -5.0, 6.0]).roots();
        let re = roots.real().to_vec::<f32>().unwrap();
        assert!((re[0] - 2.0).abs() < 1e-5 && (re[1] - 3.0).abs() < 1e-5, "{re:?}");
        assert!(re[2].is_nan() && re[3].is_nan());
        // x² - x has a root of 0, which is kept.
        let roots = tensor([1, -1, 0]).roots().real().to_vec::<f32>().unwrap();
        assert_eq!(roots, [0.0, 1.0]);
        assert!(tensor([0, 0, 0]).roots().real().is_nan().all(..).item().unwrap() == 1.0);
    }

    #[test]
    fn short_vectors_have_no_roots() {
        let roots = tensor([3]).roots();
        assert_eq!(roots.dtype(), C64);
        assert_eq!(roots.shape(), [0]);
        assert_eq!(tensor(3.0).to(F64).roots().dtype(), C128);
        assert_eq!(Tensor::zeros([0]).roots().shape(), [0]);
    }

    #[test]
    fn complex_coefficients_have_complex_roots() {
        // (x - i)(x - 2)
        let p = tensor([1.0, -2.0, 0.0]).complex(tensor([0.0, -1.0, 2.0]));
        let roots = p.roots();
        assert!(roots.real().allclose(tensor([0.0, 2.0]), 1e-5, 1e-5).item().unwrap() == 1.0);
        assert!(roots.imag().allclose(tensor([1.0, 0.0]), 1e-5, 1e-5).item().unwrap() == 1.0);
    }

    #[test]
    fn misuse_is_an_error() {
        let e = Tensor::zeros([2, 2]).roots().error().unwrap().to_string();
        assert!(e.contains("expected a vector of coefficients, got f32[2, 2]"), "{e}");
    }
}
