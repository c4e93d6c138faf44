//! Random distributions that are made of gamma samples: gamma, beta, Dirichlet, chi-square,
//! Student's t, F, generalized normal, and uniform in a ball.
//!
//! # Method
//!
//! Marsaglia and Tsang, "A simple method for generating gamma variables"
//! (<https://doi.org/10.1145/358407.358414>): with `d = a - 1/3` and `c = 1 / (3 sqrt(d))`, the
//! proposal `d v` with `v = (1 + c x)^3` and normal `x` is accepted with a probability of at least
//! 95 % for `a >= 1`. A sample of `a < 1` is one of `a + 1` times `u^(1/a)`.
//!
//! Each element has its own key and repeats until it accepts; all elements run in one loop, which
//! ends when the last one has accepted.
//!
//! A sample is differentiable in `a`: it moves so that its distribution function stays
//! ([`Tensor::random_gamma_grad`]).
//!
//! # Invariants
//!
//! - The numbers that are drawn are those of `jax.random`: an element that has to propose again
//!   draws from the keys that JAX's nested loops would use.

use super::random::Key;
use crate::{
    Function, IntoShape, Operand, Tensor, custom_tangent,
    random_elements::{Keys, child, keys_of, normal_each, uniform_each},
    random_parameters::{Domain, Parameter},
    while_loop,
};
use std::panic::Location;

impl Key {
    /// Samples from the gamma distribution with shape parameter `a`, which broadcasts to `shape`,
    /// and scale 1. Follows `jax.random.gamma`.
    ///
    /// The sample is differentiable in `a`, once.
    ///
    /// # Errors
    ///
    /// The result carries an error if `a` is complex, does not broadcast to `shape`, or is a number
    /// that is not above 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).gamma(tensor([1.0, 5.0]), [1000, 2]);
    /// assert!((x.mean(0) - tensor([1.0, 5.0])).abs().max(..).item()? < 0.2);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn gamma(&self, a: impl Operand, shape: impl IntoShape) -> Tensor {
        let a = Parameter::new("shape parameter a", Domain::Positive, a);
        match self.transformed("gamma", [a], shape, Location::caller()) {
            Ok((_, [a])) => self.gamma_like(&a),
            Err(e) => e,
        }
    }

    /// Samples logarithms of [`Key::gamma`], which do not underflow for small `a`. Follows
    /// `jax.random.loggamma`.
    ///
    /// # Errors
    ///
    /// The errors of [`Key::gamma`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).loggamma(0.001, [100]);
    /// assert!(x.min(..).item()? < -1000.0 && x.min(..).item()?.is_finite());
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn loggamma(&self, a: impl Operand, shape: impl IntoShape) -> Tensor {
        let a = Parameter::new("shape parameter a", Domain::Positive, a);
        match self.transformed("loggamma", [a], shape, Location::caller()) {
            Ok((_, [a])) => self.loggamma_like(&a),
            Err(e) => e,
        }
    }

    /// Samples from the beta distribution with parameters `a` and `b`, which broadcast to `shape`:
    /// `x / (x + y)` of two gamma samples. Follows `jax.random.beta`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the parameters are complex, do not broadcast to `shape`, or
    /// are numbers that are not above 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).beta(2.0, 6.0, [1000]);
    /// assert!((x.mean(..).item()? - 0.25).abs() < 0.02);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn beta(&self, a: impl Operand, b: impl Operand, shape: impl IntoShape) -> Tensor {
        let parameters =
            [Parameter::new("a", Domain::Positive, a), Parameter::new("b", Domain::Positive, b)];
        match self.transformed("beta", parameters, shape, Location::caller()) {
            Ok((_, [a, b])) => {
                let [of_a, of_b] = self.split();
                let (x, y) = (of_a.loggamma_like(&a), of_b.loggamma_like(&b));
                let most = x.maximum(&y);
                let (x, y) = ((x - &most).exp(), (y - &most).exp());
                &x / (&x + y)
            }
            Err(e) => e,
        }
    }

    /// Samples from the Dirichlet distribution with concentrations `alpha`, along its last axis:
    /// probabilities with sum 1. The other axes of `alpha` broadcast to `shape`, and the result has
    /// `shape` and the last axis of `alpha`. Follows `jax.random.dirichlet`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `alpha` is a scalar or complex, or does not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let p = key(0).dirichlet(&tensor([1.0, 1.0, 8.0]), [500]);
    /// assert_eq!(p.shape(), [500, 3]);
    /// assert!((p.mean(0) - tensor([0.1, 0.1, 0.8])).abs().max(..).item()? < 0.03);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn dirichlet(&self, alpha: &Tensor, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let ty = match alpha.type_or_error() {
            Ok(ty) => ty,
            Err(e) => return e,
        };
        let Some(&categories) = ty.shape.last() else {
            let why = format!("expected concentrations with an axis of categories, got {ty}");
            return Tensor::fail("dirichlet", why, at);
        };
        let mut sizes = shape.dims();
        sizes.push(categories.into());
        let alpha = Parameter::new("concentration", Domain::Positive, alpha);
        match self.transformed("dirichlet", [alpha], sizes, at) {
            Ok((_, [alpha])) => self.loggamma_like(&alpha).softmax(-1),
            Err(e) => e,
        }
    }

    /// Samples from the chi-square distribution with `df` degrees of freedom, which broadcasts to
    /// `shape`: twice a gamma sample of `df / 2`. Follows `jax.random.chisquare`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `df` is complex, does not broadcast to `shape`, or is a
    /// number that is not above 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).chisquare(4.0, [1000]);
    /// assert!((x.mean(..).item()? - 4.0).abs() < 0.3);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn chisquare(&self, df: impl Operand, shape: impl IntoShape) -> Tensor {
        let df = Parameter::new("degrees of freedom", Domain::Positive, df);
        match self.transformed("chisquare", [df], shape, Location::caller()) {
            Ok((_, [df])) => self.chisquare_like(&df),
            Err(e) => e,
        }
    }

    /// Samples from Student's t distribution with `df` degrees of freedom, which broadcasts to
    /// `shape`. Follows `jax.random.t`.
    ///
    /// # Errors
    ///
    /// The errors of [`Key::chisquare`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).t(30.0, [1000]);
    /// assert!(x.mean(..).item()?.abs() < 0.1 && (x.var(.., 0).item()? - 1.07).abs() < 0.15);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn t(&self, df: impl Operand, shape: impl IntoShape) -> Tensor {
        let df = Parameter::new("degrees of freedom", Domain::Positive, df);
        match self.transformed("t", [df], shape, Location::caller()) {
            Ok((shape, [df])) => {
                let [of_normal, of_gamma] = self.split();
                let n = of_normal.normal_of(df.dtype(), &shape);
                let half = df * 0.5;
                n * (&half / of_gamma.gamma_like(&half)).sqrt()
            }
            Err(e) => e,
        }
    }

    /// Samples from the F distribution: the quotient of the chi-square samples of `numerator` and
    /// `denominator` degrees of freedom, each divided by its degrees. They broadcast to `shape`.
    /// Follows `jax.random.f`.
    ///
    /// # Errors
    ///
    /// The errors of [`Key::chisquare`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).f(4.0, 40.0, [1000]);
    /// assert!((x.mean(..).item()? - 40.0 / 38.0).abs() < 0.1);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn f(
        &self,
        numerator: impl Operand,
        denominator: impl Operand,
        shape: impl IntoShape,
    ) -> Tensor {
        let parameters = [
            Parameter::new("degrees of freedom of the numerator", Domain::Positive, numerator),
            Parameter::new("degrees of freedom of the denominator", Domain::Positive, denominator),
        ];
        match self.transformed("f", parameters, shape, Location::caller()) {
            Ok((_, [numerator, denominator])) => {
                let [of_denominator, of_numerator] = self.split();
                let x = of_numerator.chisquare_like(&numerator) / numerator;
                x / (of_denominator.chisquare_like(&denominator) / denominator)
            }
            Err(e) => e,
        }
    }

    /// Samples from the generalized normal distribution, whose density is proportional to
    /// `e^(-|x|^p)`. The power `p` broadcasts to `shape`. Follows `jax.random.generalized_normal`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `p` is complex, does not broadcast to `shape`, or is a number
    /// that is not above 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// // The power 2 is the normal distribution with variance 1/2.
    /// let x = key(0).generalized_normal(2.0, [1000]);
    /// assert!((x.var(.., 0).item()? - 0.5).abs() < 0.05);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn generalized_normal(&self, p: impl Operand, shape: impl IntoShape) -> Tensor {
        let p = Parameter::new("power p", Domain::Positive, p);
        match self.transformed("generalized_normal", [p], shape, Location::caller()) {
            Ok((_, [p])) => self.generalized_normal_like(&p),
            Err(e) => e,
        }
    }

    /// Samples uniformly from the ball of radius 1 in `size` dimensions, by the norm of power `p`,
    /// a number or tensor that broadcasts to `shape`. The result has `shape` and an axis of `size`.
    /// Follows `jax.random.ball`.
    ///
    /// Barthe, Guédon, Mendelson and Naor, "A probabilistic approach to the geometry of the
    /// l_p^n-ball" (<https://arxiv.org/abs/math/0503650>).
    ///
    /// # Errors
    ///
    /// The errors of [`Key::generalized_normal`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).ball(3, 2.0, [1000]);
    /// assert_eq!(x.shape(), [1000, 3]);
    /// assert!(x.square().sum(-1).max(..).item()? <= 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ball(&self, size: usize, p: impl Operand, shape: impl IntoShape) -> Tensor {
        let p = Parameter::new("power p", Domain::Positive, p);
        match self.transformed("ball", [p], shape, Location::caller()) {
            Ok((shape, [p])) => {
                let [of_direction, of_radius] = self.split();
                let powers: Vec<usize> = shape.iter().copied().chain([size]).collect();
                let g =
                    of_direction.generalized_normal_like(&p.expand_dims(-1).broadcast_to(powers));
                let e = of_radius.exponential_of(p.dtype(), &shape);
                let sum = g.abs().pow(p.expand_dims(-1)).sum(-1) + e;
                g / sum.pow(p.reciprocal()).expand_dims(-1)
            }
            Err(e) => e,
        }
    }

    /// Samples from the gamma distribution, one number for each element of `a`.
    #[track_caller]
    fn gamma_like(&self, a: &Tensor) -> Tensor {
        self.sampled_gamma(a, false)
    }

    /// Samples logarithms of gamma samples, one for each element of `a`.
    #[track_caller]
    fn loggamma_like(&self, a: &Tensor) -> Tensor {
        self.sampled_gamma(a, true)
    }

    #[track_caller]
    fn chisquare_like(&self, df: &Tensor) -> Tensor {
        self.loggamma_like(&(df * 0.5)).exp() * 2.0
    }

    #[track_caller]
    fn generalized_normal_like(&self, p: &Tensor) -> Tensor {
        let [of_size, of_sign] = self.split();
        let inverse = p.reciprocal();
        let g = of_size.gamma_like(&inverse);
        of_sign.rademacher_of(p.dtype(), p.shape().to_vec()) * g.pow(inverse)
    }

    /// Samples gamma numbers or their logarithms, differentiable in `a`. Floats below 32 bits are
    /// drawn in f32.
    #[track_caller]
    fn sampled_gamma(&self, a: &Tensor, in_logs: bool) -> Tensor {
        let at = Location::caller();
        let shape = a.shape().to_vec();
        let (wide, dtype) = a.wide(at);
        let flat = wide.flatten();
        let keys = keys_of(self, flat.size());
        let sample = custom_tangent(
            move |(keys, a): (Keys, Tensor)| gamma_of_keys(&keys, &a, in_logs),
            move |((_, a), y, (_, da)): ((Keys, Tensor), Tensor, (Keys, Tensor))| {
                da * sample_slope(&a, &y, in_logs)
            },
        );
        sample.apply((keys, flat)).reshaped(shape, at).convert(dtype, at)
    }
}

/// Returns the derivative of the sample `y` of shape `a`, or of its logarithm.
#[track_caller]
fn sample_slope(a: &Tensor, y: &Tensor, in_logs: bool) -> Tensor {
    if !in_logs {
        return a.random_gamma_grad(y);
    }
    let tiny = if y.dtype() == crate::DType::F64 { f64::MIN_POSITIVE } else { 1.2e-38 };
    let x = y.exp().maximum(tiny);
    a.random_gamma_grad(&x) / x
}

/// Samples one gamma number of each key with the shapes `a`, or its logarithm.
#[track_caller]
fn gamma_of_keys(keys: &Keys, a: &Tensor, in_logs: bool) -> Tensor {
    let is_large = a.ge(1);
    let raised = is_large.select(a, a + 1);
    let d = raised - 1.0 / 3.0;
    let c = (d.ones_like() * (1.0 / 3.0)) / d.sqrt();
    let v = accepted(child(keys, 0), &c, &d);
    let u = uniform_each(&child(keys, 1), a.dtype());
    if in_logs {
        let log = (-u).log1p();
        let boost = (is_large | log.equal(0)).select(0, &log * a.reciprocal());
        return d.log() + v.log() + boost;
    }
    let boost = is_large.select(1, (1 - u).pow(a.reciprocal()));
    d * v * boost
}

/// The state of the rejection loop: the keys of each element, those of its normal and its uniform
/// number, the accepted factors, and whether the element still waits for one.
type Rejection = (Keys, Keys, Keys, Tensor, Tensor);

/// Draws proposals of each key until they are accepted, and returns the factors `v`.
#[track_caller]
fn accepted(keys: Keys, c: &Tensor, d: &Tensor) -> Tensor {
    let (next, of_x, of_u) = proposal_keys(&keys);
    let state: Rejection = (next, of_x, of_u, d.ones_like(), d.equal(d) | d.not_equal(d));
    while_loop(state, |s: &Rejection| s.4.any(..), |s: Rejection| propose(s, c, d)).3
}

/// Returns the keys of the next proposal, of the normal and of the uniform number of this one.
#[track_caller]
fn proposal_keys(keys: &Keys) -> (Keys, Keys, Keys) {
    (child(keys, 0), child(keys, 1), child(keys, 2))
}

/// Proposes once for each element, and keeps the factors of those that wait and accept.
///
/// A normal number with `1 + c x <= 0` is drawn again with the next key of a separate chain; a
/// proposal that is rejected starts again with the next key of the element.
#[track_caller]
fn propose((keys, of_x, of_u, v, waits): Rejection, c: &Tensor, d: &Tensor) -> Rejection {
    let x = normal_each(&child(&of_x, 1), c.dtype());
    let root = &x * c + 1;
    let redraws = root.le(0);
    let u = uniform_each(&of_u, c.dtype());
    let (square, cube) = (x.square(), root.square() * &root);
    let is_outside = u.ge(1 - square.square() * 0.0331);
    let limit = square * 0.5 + d * (1 - &cube + cube.log());
    let repeats = redraws.logical_or(is_outside & u.log().ge(limit));
    let v = (&waits & repeats.logical_not()).select(cube, v);
    let (next, next_of_x, next_of_u) = proposal_keys(&keys);
    let of_x = either(&redraws, child(&of_x, 0), next_of_x);
    let of_u = either(&redraws, of_u, next_of_u);
    (either(&redraws, keys, next), of_x, of_u, v, waits & repeats)
}

/// Selects keys.
#[track_caller]
fn either(condition: &Tensor, [a, b]: Keys, [c, d]: Keys) -> Keys {
    [condition.select(a, c), condition.select(b, d)]
}
