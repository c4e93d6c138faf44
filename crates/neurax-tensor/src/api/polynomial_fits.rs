//! Polynomials that are fitted to points.

use super::common::{located, promote_operands, tensor_or_error};
use crate::{DType, PolyfitOptions, RankOptions, Tensor, tensor::CallSite};
use std::panic::Location;

impl Tensor {
    /// Fits a polynomial of degree `degree` to points in the least-squares sense: `self` are the
    /// abscissas, a vector, and `ordinates` a vector, or a matrix with one column for each fit.
    /// Returns the coefficients, the highest power first.
    ///
    /// It is [`Tensor::lstsq`] of the columns of [`Tensor::vander`], scaled to norm 1. Integers and
    /// bool become f32. Follows `jax.numpy.polyfit`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the operands do not have one length of at least 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 1.0, 2.0, 3.0]), tensor([1.0, 3.0, 7.0, 13.0]));
    /// let fit = x.polyfit(&y, 2);
    /// assert!(fit.allclose(tensor([1.0, 1.0, 1.0]), 1e-4, 1e-4).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyfit(&self, ordinates: &Tensor, degree: usize) -> Tensor {
        let at = Location::caller();
        let options = PolyfitOptions::new();
        located(at, &[self, ordinates], || {
            let fit = Fit::of("polyfit", self, ordinates, degree, &options, at);
            tensor_or_error(fit.map(|fit| fit.coefficients))
        })
    }

    /// Fits a polynomial as [`Tensor::polyfit`] does, with weights of the points or another bound
    /// of singular values.
    ///
    /// # Errors
    ///
    /// The result carries an error if the operands do not have one length of at least 1, for
    /// weights that are not a vector of this length, and for options of covariances.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 1.0, 2.0, 3.0]), tensor([1.0, 3.0, 9.0, 7.0]));
    /// let weights = PolyfitOptions::new().weights(tensor([1.0, 1.0, 0.0, 2.0]));
    /// let line = x.polyfit_with(&y, 1, weights);
    /// assert!(line.allclose(tensor([2.0, 1.0]), 1e-4, 1e-4).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyfit_with(
        &self,
        ordinates: &Tensor,
        degree: usize,
        options: PolyfitOptions,
    ) -> Tensor {
        let (op, at) = ("polyfit_with", Location::caller());
        located(at, &[self, ordinates], || {
            let fit = scaled_only(op, &options, at)
                .and_then(|_| Fit::of(op, self, ordinates, degree, &options, at));
            tensor_or_error(fit.map(|fit| fit.coefficients))
        })
    }

    /// Fits a polynomial as [`Tensor::polyfit_with`] does. Returns the coefficients, the sums of
    /// squares of the weighted differences, one for each fit, and of the scaled powers the rank,
    /// i32, and the singular values. Follows `jax.numpy.polyfit` with `full`.
    ///
    /// # Errors
    ///
    /// The results carry an error as that of [`Tensor::polyfit_with`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 1.0, 2.0]), tensor([0.0, 3.0, 0.0]));
    /// let (mean, residuals, rank, s) = x.polyfit_full(&y, 0, PolyfitOptions::new());
    /// assert!(mean.allclose(tensor([1.0]), 1e-5, 0.0).item()? == 1.0);
    /// assert!((residuals.item()? - 6.0).abs() < 1e-5);
    /// assert_eq!((rank.item()?, s.size()), (1.0, 1));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyfit_full(
        &self,
        ordinates: &Tensor,
        degree: usize,
        options: PolyfitOptions,
    ) -> (Tensor, Tensor, Tensor, Tensor) {
        let (op, at) = ("polyfit_full", Location::caller());
        located(at, &[self, ordinates], || {
            let fit = scaled_only(op, &options, at)
                .and_then(|_| Fit::of(op, self, ordinates, degree, &options, at));
            match fit {
                Ok(fit) => (fit.coefficients, fit.residuals, fit.rank, fit.values),
                Err(e) => (e.clone(), e.clone(), e.clone(), e),
            }
        })
    }

    /// Fits a polynomial as [`Tensor::polyfit_with`] does. Returns the coefficients and the matrix
    /// of their covariances, `[degree + 1, degree + 1]`, or for several fits one matrix for each
    /// along a third axis.
    ///
    /// The covariances are scaled by the sum of squares of the weighted differences, divided by the
    /// number of points beyond the coefficients, unless [`PolyfitOptions::unscaled`]; then the
    /// third axis has size 1. Follows `jax.numpy.polyfit` with `cov`.
    ///
    /// # Errors
    ///
    /// The results carry an error as that of [`Tensor::polyfit_with`], and if there are not more
    /// points than coefficients for scaled covariances.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 1.0, 2.0]), tensor([0.0, 3.0, 0.0]));
    /// let (mean, covariance) = x.polyfit_cov(&y, 0, PolyfitOptions::new());
    /// assert!(mean.allclose(tensor([1.0]), 1e-5, 0.0).item()? == 1.0);
    /// assert!(covariance.allclose(tensor([[1.0]]), 1e-5, 0.0).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyfit_cov(
        &self,
        ordinates: &Tensor,
        degree: usize,
        options: PolyfitOptions,
    ) -> (Tensor, Tensor) {
        let (op, at) = ("polyfit_cov", Location::caller());
        located(at, &[self, ordinates], || {
            let fit = Fit::of(op, self, ordinates, degree, &options, at);
            match fit.and_then(|fit| Ok((fit.covariance(op, &options, at)?, fit))) {
                Ok((covariance, fit)) => (fit.coefficients, covariance),
                Err(e) => (e.clone(), e),
            }
        })
    }
}

/// Returns the error of `op` if the options have the form of a covariance.
fn scaled_only(op: &str, options: &PolyfitOptions, at: CallSite) -> Result<(), Tensor> {
    if options.is_unscaled {
        let why = "expected no `unscaled`; only polyfit_cov has it";
        return Err(Tensor::fail(op, why, at));
    }
    Ok(())
}

/// A polynomial that was fitted.
struct Fit {
    coefficients: Tensor,
    /// The weighted powers of the abscissas, columns of norm 1.
    powers: Tensor,
    /// The norms of the weighted powers.
    scale: Tensor,
    /// The sums of squares of the weighted differences.
    residuals: Tensor,
    rank: Tensor,
    /// The singular values of `powers`.
    values: Tensor,
}

impl Fit {
    #[track_caller]
    fn of(
        op: &str,
        abscissas: &Tensor,
        ordinates: &Tensor,
        degree: usize,
        options: &PolyfitOptions,
        at: CallSite,
    ) -> Result<Fit, Tensor> {
        let (x, y) = (abscissas.type_or_error()?, ordinates.type_or_error()?);
        let fits = x.rank() == 1 && (1..=2).contains(&y.rank()) && x.shape[0] == y.shape[0];
        if !fits || x.size() == 0 {
            let why = format!(
                "expected a vector of at least one abscissa and ordinates of its length, got {x} \
                 and {y}"
            );
            return Err(Tensor::fail(op, why, at));
        }
        let one = abscissas.ones_like();
        let weights = options.weights.as_ref().unwrap_or(&one);
        let w = weights.type_or_error()?;
        if w.shape != x.shape || w.dtype.is_complex() {
            let why = format!("expected real weights of the abscissas {x}, got {w}");
            return Err(Tensor::fail(op, why, at));
        }
        let floats = [abscissas, ordinates, weights].map(|v| v.clone().float(at));
        let all = promote_operands(op, &floats, at)?;
        let (mut powers, mut right) =
            (all[0].vander(degree.saturating_add(1), false), all[1].clone());
        if options.weights.is_some() {
            let column = all[2].expand_dims(1);
            right = if y.rank() == 1 { right * &all[2] } else { right * &column };
            powers *= column;
        }
        let norm = powers.norm(0);
        let scale = norm.equal(0).select(1, norm);
        let powers = powers / &scale;
        let ranks = match options.bound {
            Some(bound) => RankOptions::new().relative(Tensor::scalar(DType::F64, bound)),
            None => RankOptions::new(),
        };
        let (fit, residuals, rank, values) = powers.lstsq_with(&right, ranks);
        let coefficients = if y.rank() == 1 { fit / &scale } else { fit / scale.expand_dims(1) };
        Ok(Fit { coefficients, powers, scale, residuals, rank, values })
    }

    /// Computes the covariances of the coefficients.
    #[track_caller]
    fn covariance(
        &self,
        op: &str,
        options: &PolyfitOptions,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let ty = self.powers.type_or_error()?;
        let (points, order) = (ty.shape[0], ty.shape[1]);
        if !options.is_unscaled && points <= order {
            let why = format!(
                "expected more than {order} points, one for each coefficient, to scale the \
                 covariance, got {points}; `unscaled` does not need them"
            );
            return Err(Tensor::fail(op, why, at));
        }
        let base = self.powers.adjoint().matmul(&self.powers).inv();
        let base = base / self.scale.outer(&self.scale);
        let is_one = self.coefficients.rank() == 1;
        let base = if is_one { base } else { base.expand_dims(-1) };
        if options.is_unscaled {
            return Ok(base);
        }
        Ok(base * (&self.residuals / (points - order) as f64))
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn several_fits_share_their_abscissas() {
        let x = Tensor::linspace(-1.0, 2.0, 7);
        let y = crate::stack([x.square() * 3.0, &x * 2.0 - 1.0], 1);
        let fit = x.polyfit(&y, 2);
        let want = tensor([[3.0, 0.0], [0.0, 2.0], [0.0, -1.0]]);
        assert!(fit.allclose(want, 1e-4, 1e-4).item().unwrap() == 1.0, "{fit}");
    }

    #[test]
    fn weights_are_counts_of_points() {
        let (x, y) = (key(0).normal_of(F64, [6]), key(1).normal_of(F64, [6, 2]));
        let count = tensor([1, 3, 1, 2, 1, 1]);
        let near = |x: &Tensor, y: &Tensor| x.allclose(y, 1e-9, 1e-9).item().unwrap() == 1.0;
        let again: Vec<i64> = vec![0, 1, 1, 1, 2, 3, 3, 4, 5];
        let places = Tensor::from_vec(again, [9]);
        let all = (x.take(&places, 0), y.take(&places, 0));
        let options = PolyfitOptions::new().weights(count.to(F64).sqrt());
        let weighted = x.polyfit_full(&y, 2, options.clone());
        let counted = all.0.polyfit_full(&all.1, 2, PolyfitOptions::new());
        assert!(near(&weighted.0, &counted.0) && near(&weighted.1, &counted.1));
        assert!(near(&weighted.3, &counted.3) && weighted.2.item().unwrap() == 3.0);
        assert!(near(&x.polyfit_with(&y, 2, options.clone()), &counted.0));
        let few = x.polyfit_cov(&y, 2, options.clone().unscaled()).1;
        let many = all.0.polyfit_cov(&all.1, 2, PolyfitOptions::new().unscaled()).1;
        assert_eq!(few.shape(), [3, 3, 1]);
        assert!(near(&few, &many));
        let scaled = x.polyfit_cov(&y, 2, options).1;
        assert!(near(&scaled, &(few * weighted.1 / 3.0)));
    }

    #[test]
    fn misuse_of_fits_is_an_error() {
        let say = |x: Tensor| x.error().unwrap().to_string();
        let (x, y) = (tensor([1.0, 2.0]), tensor([1.0, 3.0]));
        let options = PolyfitOptions::new;
        assert!(say(x.polyfit(&tensor([1.0]), 1)).contains("ordinates of its length"));
        let e = say(x.polyfit_with(&y, 1, options().weights(tensor([1.0]))));
        assert!(e.contains("expected real weights of the abscissas f32[2], got f32[1]"), "{e}");
        let e = say(x.polyfit_with(&y, 1, options().unscaled()));
        assert!(e.contains("only polyfit_cov has it"), "{e}");
        let e = say(x.polyfit_cov(&y, 1, options()).1);
        assert!(e.contains("expected more than 2 points"), "{e}");
        assert!(x.polyfit_cov(&y, 1, options().unscaled()).1.error().is_none());
        assert!(say(x.polyfit_full(&y, 1, options().unscaled()).3).contains("polyfit_cov"));
    }
}
