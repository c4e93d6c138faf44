//! Random distributions that are functions of one uniform or normal number.
//!
//! A distribution without parameters has a form for f32 and one that takes the dtype (`_of`). One
//! with parameters has their dtype: they are numbers or tensors that broadcast to the shape of the
//! sample, and the sample is differentiable with respect to them. All follow `jax.random`.

use super::{common::example, random::Key};
use crate::{
    DType, IntoShape, Operand, Tensor,
    random_parameters::{Domain, Parameter, float_parameters, sample_shape},
    stop_gradient,
    tensor::CallSite,
};
use std::{
    f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2},
    panic::Location,
};

/// A table of distributions of f32 without parameters; `$of` is the form with a dtype. A row is
/// `name = form, "doc", "code" => "value";`.
macro_rules! standard {
    ($($f:ident = $of:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Key {$(
            #[doc = $doc]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, shape: impl IntoShape) -> Tensor {
                self.$of(DType::F32, shape)
            }
        )*}
    };
}

/// A table of distributions of any float dtype without parameters: formulas of the key, the dtype,
/// and the shape. A row is `name(key, dtype, shape) = formula, "doc", "code" => "value";`.
macro_rules! standard_of {
    ($($f:ident($key:ident, $dtype:ident, $shape:ident) = $e:expr, $doc:literal,
       $code:literal => $value:literal;)*) => {
        impl Key {$(
            #[doc = $doc]
            #[doc = "\n`dtype` is f16, bf16, f32 or f64.\n\n# Errors\n\nThe result carries an \
                     error for other dtypes."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
                let ($key, $dtype, $shape) = (self, dtype, shape);
                $e
            }
        )*}
    };
}

standard! {
    exponential = exponential_of,
        "Samples from the exponential distribution with rate 1, f32. Follows \
         `jax.random.exponential`.",
        "key(0).exponential([2])" => "[2.950128, 3.8434246]";
    laplace = laplace_of,
        "Samples from the Laplace distribution with location 0 and scale 1, f32. Follows \
         `jax.random.laplace`.",
        "key(0).laplace([2])" => "[-2.2569816, -3.1502788]";
    logistic = logistic_of,
        "Samples from the logistic distribution with location 0 and scale 1, f32. Follows \
         `jax.random.logistic`.",
        "key(0).logistic([2])" => "[2.896376, 3.8217716]";
    cauchy = cauchy_of,
        "Samples from the Cauchy distribution with location 0 and scale 1, f32. Follows \
         `jax.random.cauchy`.",
        "key(0).cauchy([2]) / 10" => "[0.60274947, 1.4837896]";
    gumbel = gumbel_of,
        "Samples from the standard Gumbel distribution, f32. Follows `jax.random.gumbel`.",
        "key(0).gumbel([2])" => "[2.9233725, 3.8326178]";
    maxwell = maxwell_of,
        "Samples from the Maxwell distribution with scale 1, f32: the norm of three standard \
         normal numbers. Follows `jax.random.maxwell`.",
        "key(0).maxwell([2])" => "[2.6310966, 0.99103284]";
}

standard_of! {
    exponential_of(key, dtype, shape) = -(-key.uniform_of(dtype, shape, 0, 1)).log1p(),
        "Samples from the exponential distribution with rate 1: `-log(1 - u)` with `u` uniform in \
         `[0, 1)`. Follows `jax.random.exponential`.",
        "key(0).exponential_of(F64, [2])" => "[0.5420705551711603, 0.24372318502372997]";
    laplace_of(key, dtype, shape) = {
        let u = key.symmetric_uniform(dtype, shape);
        u.sign() * (-u.abs()).log1p()
    },
        "Samples from the Laplace distribution with location 0 and scale 1: \
         `sign(u) log(1 - |u|)` with `u` uniform in `(-1, 1)`. Follows `jax.random.laplace`.",
        "key(0).laplace_of(F64, [2])" => "[0.17803369470862349, 0.8379627799904482]";
    logistic_of(key, dtype, shape) = {
        let u = key.positive_uniform(dtype, shape);
        u.log() - (-&u).log1p()
    },
        "Samples from the logistic distribution with location 0 and scale 1: `log(u / (1 - u))` \
         with `u` uniform in `(0, 1)`. Follows `jax.random.logistic`.",
        "key(0).logistic_of(F64, [2])" => "[-0.3291103200974086, -1.2873867755266637]";
    cauchy_of(key, dtype, shape) = {
        let u = key.uniform_of(dtype, shape, epsilon(dtype), 1);
        ((u - 0.5) * PI).tan()
    },
        "Samples from the Cauchy distribution with location 0 and scale 1: `tan(pi (u - 1/2))` \
         with `u` uniform in `(0, 1)`. Follows `jax.random.cauchy`.",
        "key(0).cauchy_of(F64, [2])" => "[-0.2619295066536063, -1.2378460184296847]";
    maxwell_of(key, dtype, shape) = maxwell(key, dtype, shape, Location::caller()),
        "Samples from the Maxwell distribution with scale 1: the norm of three standard normal \
         numbers. Follows `jax.random.maxwell`.",
        "key(0).maxwell_of(F64, [2])" => "[1.9890699115189192, 0.42460738321377167]";
}

/// Samples the norm of three standard normal numbers.
#[track_caller]
fn maxwell(key: &Key, dtype: DType, shape: impl IntoShape, at: CallSite) -> Tensor {
    match sample_shape("maxwell", shape, at) {
        Ok(shape) => {
            let sizes: Vec<usize> = shape.iter().copied().chain([3]).collect();
            key.normal_of(dtype, sizes).norm(-1)
        }
        Err(e) => e,
    }
}

/// Returns the distance of 1 from the next number of a float dtype.
fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f64::powi(2.0, -10),
        DType::BF16 => f64::powi(2.0, -7),
        DType::F32 => f32::EPSILON.into(),
        _ => f64::EPSILON,
    }
}

/// Returns the smallest positive normal number of a float dtype.
fn tiny(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f64::powi(2.0, -14),
        DType::BF16 | DType::F32 => f32::MIN_POSITIVE.into(),
        _ => f64::MIN_POSITIVE,
    }
}

impl Key {
    /// Samples uniformly from `(-1, 1)`.
    #[track_caller]
    fn symmetric_uniform(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
        self.uniform_of(dtype, shape, -1.0 + epsilon(dtype) / 2.0, 1)
    }

    /// Samples uniformly from `(0, 1)`.
    #[track_caller]
    fn positive_uniform(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
        self.uniform_of(dtype, shape, tiny(dtype), 1)
    }

    /// Samples -1 and 1 with equal probabilities, i32. Follows `jax.random.rademacher`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).rademacher([4]).square().to_vec::<i32>()?, [1, 1, 1, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn rademacher(&self, shape: impl IntoShape) -> Tensor {
        self.rademacher_of(DType::I32, shape)
    }

    /// Samples -1 and 1 with equal probabilities, in a signed integer or float dtype. Follows
    /// `jax.random.rademacher`, with the numbers that it draws with 64 bits enabled for dtypes of
    /// 64 bits, and those without 64 bits for others.
    ///
    /// # Errors
    ///
    /// The result carries an error for other dtypes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).rademacher_of(F64, [3]).abs().to_vec::<f64>()?, [1.0, 1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn rademacher_of(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let is_signed = dtype.is_float() || dtype.int_range().is_some_and(|r| *r.start() < -1);
        if !is_signed {
            let why = format!("expected a signed integer or float dtype, got {dtype}");
            return Tensor::fail("rademacher", why, at);
        }
        let drawn = if dtype.bits() == 64 { DType::F64 } else { DType::F32 };
        let heads = self.bernoulli(Tensor::scalar(drawn, 0.5), shape);
        heads.convert(dtype, at) * 2 - 1
    }

    /// Samples from the normal distribution with `mean` and standard deviation `deviation`, which
    /// broadcast to `shape`: `mean + deviation n` with the `n` of [`Key::normal_of`]. Follows
    /// `Nx.Random.normal`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the parameters are complex or do not broadcast to `shape`,
    /// and if `deviation` is a negative number.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).normal_around(tensor([10.0, -10.0]), 0.0, [3, 2]);
    /// assert_eq!(x.sum(0).to_vec::<f32>()?, [30.0, -30.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn normal_around(
        &self,
        mean: impl Operand,
        deviation: impl Operand,
        shape: impl IntoShape,
    ) -> Tensor {
        let parameters = [
            Parameter::new("mean", Domain::Any, mean),
            Parameter::new("deviation", Domain::NotNegative, deviation),
        ];
        match self.transformed("normal", parameters, shape, Location::caller()) {
            Ok((shape, [mean, deviation])) => {
                let n = self.normal_of(mean.dtype(), &shape);
                mean + deviation * n
            }
            Err(e) => e,
        }
    }

    /// Samples from the log-normal distribution: `e^(sigma n)` with standard normal `n`. `sigma`
    /// broadcasts to `shape`. Follows `jax.random.lognormal`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `sigma` is complex, does not broadcast to `shape`, or is a
    /// negative number.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).lognormal(0.0, [2]).to_vec::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lognormal(&self, sigma: impl Operand, shape: impl IntoShape) -> Tensor {
        let sigma = Parameter::new("sigma", Domain::NotNegative, sigma);
        match self.transformed("lognormal", [sigma], shape, Location::caller()) {
            Ok((shape, [sigma])) => (self.normal_of(sigma.dtype(), &shape) * sigma).exp(),
            Err(e) => e,
        }
    }

    /// Samples from the Pareto distribution with scale 1 and shape parameter `b`, which broadcasts
    /// to `shape`: `e^(x / b)` with `x` of [`Key::exponential_of`]. Follows `jax.random.pareto`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `b` is complex, does not broadcast to `shape`, or is a number
    /// that is not above 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).pareto(3.0, [100]).ge(1.0).all(..).to_vec::<bool>()?, [true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn pareto(&self, b: impl Operand, shape: impl IntoShape) -> Tensor {
        let b = Parameter::new("shape parameter b", Domain::Positive, b);
        match self.transformed("pareto", [b], shape, Location::caller()) {
            Ok((shape, [b])) => (self.exponential_of(b.dtype(), &shape) / b).exp(),
            Err(e) => e,
        }
    }

    /// Samples from the Rayleigh distribution: `scale sqrt(-2 log(u))` with `u` uniform in
    /// `[0, 1)`. `scale` broadcasts to `shape`. Follows `jax.random.rayleigh`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `scale` is complex, does not broadcast to `shape`, or is a
    /// number that is not above 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).rayleigh(tensor([1.0, 100.0]), [1000, 2]).mean(0);
    /// assert!((&x / tensor([1.0, 100.0]) - 1.2533).abs().max(..).item()? < 0.1, "{x}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn rayleigh(&self, scale: impl Operand, shape: impl IntoShape) -> Tensor {
        let scale = Parameter::new("scale", Domain::Positive, scale);
        match self.transformed("rayleigh", [scale], shape, Location::caller()) {
            Ok((shape, [scale])) => {
                let u = self.uniform_of(scale.dtype(), &shape, 0, 1);
                scale * (u.log() * -2).sqrt()
            }
            Err(e) => e,
        }
    }

    /// Samples from the Weibull distribution of minima: `scale x^(1 / concentration)` with `x` of
    /// [`Key::exponential_of`]. The parameters broadcast to `shape`. Follows
    /// `jax.random.weibull_min`.
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
    /// // With concentration 1 it is the exponential distribution.
    /// let x = key(0).weibull_min(3.0, 1.0, [4]) - key(0).exponential([4]) * 3.0;
    /// assert!(x.abs().max(..).item()? < 1e-5, "{x}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn weibull_min(
        &self,
        scale: impl Operand,
        concentration: impl Operand,
        shape: impl IntoShape,
    ) -> Tensor {
        let parameters = [
            Parameter::new("scale", Domain::Positive, scale),
            Parameter::new("concentration", Domain::Positive, concentration),
        ];
        match self.transformed("weibull_min", parameters, shape, Location::caller()) {
            Ok((shape, [scale, concentration])) => {
                let x = self.exponential_of(scale.dtype(), &shape);
                x.pow(concentration.reciprocal()) * scale
            }
            Err(e) => e,
        }
    }

    /// Samples from the triangular distribution between `left` and `right` with its peak at `mode`.
    /// The parameters broadcast to `shape`. Follows `jax.random.triangular`.
    ///
    /// `left <= mode <= right` is not checked; other parameters yield NaN for some samples.
    ///
    /// # Errors
    ///
    /// The result carries an error if the parameters are complex or do not broadcast to `shape`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).triangular(-1.0, 0.5, 1.0, [1000]);
    /// assert!(x.abs().max(..).item()? <= 1.0 && (x.mean(..).item()? - 1.0 / 6.0).abs() < 0.05);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn triangular(
        &self,
        left: impl Operand,
        mode: impl Operand,
        right: impl Operand,
        shape: impl IntoShape,
    ) -> Tensor {
        let parameters = [
            Parameter::new("left end", Domain::Any, left),
            Parameter::new("mode", Domain::Any, mode),
            Parameter::new("right end", Domain::Any, right),
        ];
        match self.transformed("triangular", parameters, shape, Location::caller()) {
            Ok((shape, [left, mode, right])) => {
                let u = self.uniform_of(left.dtype(), &shape, 0, 1);
                let (width, rise) = (&right - &left, &mode - &left);
                let below = u.lt(&rise / &width);
                // A root of zero that is not selected has an infinite derivative.
                let up = below.select(&u * &width * rise, 1).sqrt();
                let down = below.select(1, (1 - &u) * width * (&right - mode)).sqrt();
                below.select(left + up, right - down)
            }
            Err(e) => e,
        }
    }

    /// Samples from the geometric distribution, i32: the number of trials up to the first success,
    /// each with probability `p`, which broadcasts to `shape`. Follows `jax.random.geometric`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `p` is complex, does not broadcast to `shape`, or is a number
    /// outside of 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).geometric(1.0, [3]).to_vec::<i32>()?, [1, 1, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn geometric(&self, p: impl Operand, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let p = Parameter::new("probability", Domain::Probability, p);
        match self.transformed("geometric", [p], shape, at) {
            Ok((shape, [p])) => {
                let u = self.uniform_of(p.dtype(), &shape, 0, 1);
                let u = u.equal(0).select(1, &u);
                let trials = (u.log() / (-p).log1p()).floor() + 1;
                trials.convert(DType::I32, at)
            }
            Err(e) => e,
        }
    }

    /// Samples from the double-sided Maxwell distribution: `loc + scale s x` with a random sign `s`
    /// and `x` of [`Key::maxwell_of`]. The parameters broadcast to `shape`. Follows
    /// `jax.random.double_sided_maxwell`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the parameters are complex or do not broadcast to `shape`,
    /// and if `scale` is a number that is not above 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).double_sided_maxwell(5.0, 2.0, [1000]);
    /// assert!((x.mean(..).item()? - 5.0).abs() < 0.3);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn double_sided_maxwell(
        &self,
        loc: impl Operand,
        scale: impl Operand,
        shape: impl IntoShape,
    ) -> Tensor {
        let parameters = [
            Parameter::new("location", Domain::Any, loc),
            Parameter::new("scale", Domain::Positive, scale),
        ];
        let at = Location::caller();
        match self.transformed("double_sided_maxwell", parameters, shape, at) {
            Ok((shape, [loc, scale])) => {
                let [of_size, of_sign] = self.split();
                let sign = of_sign.rademacher_of(loc.dtype(), &shape);
                sign * of_size.maxwell_of(loc.dtype(), &shape) * scale + loc
            }
            Err(e) => e,
        }
    }

    /// Samples from the standard normal distribution restricted to the open interval from `lower`
    /// to `upper`, which broadcast to `shape`. Follows `jax.random.truncated_normal`.
    ///
    /// An interval that is far from 0 is represented by its end next to 0. `lower < upper` is not
    /// checked.
    ///
    /// # Errors
    ///
    /// The result carries an error if the bounds are complex or do not broadcast to `shape`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).truncated_normal(-2.0, tensor([0.0, 2.0]), [100, 2]);
    /// let most = x.max(0).to_vec::<f32>()?;
    /// assert!(most[0] < 0.0 && most[1] < 2.0 && x.min(..).item()? > -2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn truncated_normal(
        &self,
        lower: impl Operand,
        upper: impl Operand,
        shape: impl IntoShape,
    ) -> Tensor {
        let parameters = [
            Parameter::new("lower bound", Domain::Any, lower),
            Parameter::new("upper bound", Domain::Any, upper),
        ];
        let at = Location::caller();
        match self.transformed("truncated_normal", parameters, shape, at) {
            Ok((shape, [lower, upper])) => {
                let at_bound = |x: &Tensor| (x * FRAC_1_SQRT_2).erf();
                let u = self.uniform_of(lower.dtype(), &shape, at_bound(&lower), at_bound(&upper));
                let x = u.erf_inv() * SQRT_2;
                let (lower, upper) = (stop_gradient(&lower), stop_gradient(&upper));
                x.maximum(lower.nextafter(f64::INFINITY))
                    .minimum(upper.nextafter(f64::NEG_INFINITY))
            }
            Err(e) => e,
        }
    }

    /// Samples from the Wald distribution (inverse Gaussian) with scale 1 and `mean`, which
    /// broadcasts to `shape`, by the method of Michael, Schucany and Haas. Follows
    /// `jax.random.wald`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `mean` is complex, does not broadcast to `shape`, or is a
    /// number that is not above 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).wald(0.5, [10_000]);
    /// assert!(x.min(..).item()? > 0.0 && (x.mean(..).item()? - 0.5).abs() < 0.02);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn wald(&self, mean: impl Operand, shape: impl IntoShape) -> Tensor {
        let mean = Parameter::new("mean", Domain::Positive, mean);
        match self.transformed("wald", [mean], shape, Location::caller()) {
            Ok((shape, [mean])) => {
                let [of_normal, of_uniform] = self.split();
                let y = of_normal.normal_of(mean.dtype(), &shape).square();
                let z = of_uniform.uniform_of(mean.dtype(), &shape, 0, 1);
                let square = mean.square();
                let root = (&mean * &y * 4 + &square * y.square()).sqrt();
                let x = &mean + &square * y / 2 - &mean / 2 * root;
                z.le(&mean / (&mean + &x)).select(&x, square / &x)
            }
            Err(e) => e,
        }
    }

    /// Returns the shape of the sample and the parameters, broadcast to it.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` for a wrong shape, parameter or dtype.
    #[track_caller]
    pub(crate) fn transformed<const N: usize>(
        &self,
        op: &str,
        parameters: [Parameter; N],
        shape: impl IntoShape,
        at: CallSite,
    ) -> Result<(Vec<usize>, [Tensor; N]), Tensor> {
        let shape = sample_shape(op, shape, at)?;
        let parameters = float_parameters(op, parameters, &shape, at)?;
        Ok((shape.to_vec(), parameters))
    }
}
