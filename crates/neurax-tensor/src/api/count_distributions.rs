//! Random counts: Poisson, binomial and multinomial.
//!
//! # Method
//!
//! Small means are counted: Poisson by Knuth's product of uniform numbers, binomial by sums of
//! geometric numbers. Large means use the transformed rejections PTRS and BTRS of Hörmann
//! (<https://doi.org/10.1016/0167-6687(93)90997-4>, <https://doi.org/10.1080/00949659308811496>),
//! which accept nine of ten proposals. Both methods run for all elements, with harmless parameters
//! where the other one counts, and loop until the last element has accepted.
//!
//! The numbers that are drawn are those of `jax.random`; docs/random-numbers.md says where a sample
//! may differ.

use super::{
    common::{promote_operands, tensor_or_error},
    random::Key,
};
use crate::{
    CumulativeOptions, DType, IntoShape, Operand, Shape, Tensor,
    random_parameters::{Domain, Parameter, broadcast_parameter, sample_shape},
    scan, stop_gradient,
    tensor::CallSite,
    while_loop,
};
use std::panic::Location;

impl Key {
    /// Samples from the Poisson distribution with mean `rate`, which broadcasts to `shape`; i32.
    /// Follows `jax.random.poisson`.
    ///
    /// A rate that is NaN or negative yields -1, an infinite one the largest i32.
    ///
    /// # Errors
    ///
    /// The result carries an error if `rate` is complex, does not broadcast to `shape`, or is a
    /// negative number.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).poisson(tensor([3.0, 200.0]), [1000, 2]);
    /// let mean = x.to(F32).mean(0) / tensor([3.0, 200.0]);
    /// assert!((mean - 1).abs().max(..).item()? < 0.05);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn poisson(&self, rate: impl Operand, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let rate = Parameter::new("rate", Domain::NotNegative, rate);
        match self.transformed("poisson", [rate], shape, at) {
            Ok((_, [rate])) => poisson(self, &stop_gradient(&rate).convert(DType::F32, at)),
            Err(e) => e,
        }
    }

    /// Samples from the binomial distribution: the number of successes in `n` trials, each with
    /// probability `p`. The parameters broadcast to `shape`; the counts are floats of their dtype.
    /// Follows `jax.random.binomial`.
    ///
    /// A negative `n` and a negative `p` yield NaN.
    ///
    /// # Errors
    ///
    /// The result carries an error if the parameters are complex or do not broadcast to `shape`,
    /// if `n` is a negative number, or `p` a number outside of 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).binomial(tensor([10.0, 1000.0]), 0.3, [1000, 2]);
    /// assert!((x.mean(0) / tensor([3.0, 300.0]) - 1).abs().max(..).item()? < 0.05);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn binomial(&self, n: impl Operand, p: impl Operand, shape: impl IntoShape) -> Tensor {
        let parameters = [
            Parameter::new("number of trials", Domain::NotNegative, n),
            Parameter::new("probability", Domain::Probability, p),
        ];
        let at = Location::caller();
        match self.transformed("binomial", parameters, shape, at) {
            Ok((_, [n, p])) => {
                let (n, dtype) = stop_gradient(&n).wide(at);
                let p = stop_gradient(&p).wide(at).0;
                binomial(self, &n, &p).convert(dtype, at)
            }
            Err(e) => e,
        }
    }

    /// Samples from the multinomial distribution: how many of `n` trials have each outcome. `p`
    /// holds the probabilities of the outcomes along its last axis; its other axes and `n`
    /// broadcast to `shape`. The result has `shape` and the last axis of `p`, and sums to `n` along
    /// it. Follows `jax.random.multinomial`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `p` is a scalar, or the parameters are complex or do not
    /// broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).multinomial(100, &tensor([0.2, 0.3, 0.5]), [4]);
    /// assert_eq!(x.sum(-1).to_vec::<f32>()?, [100.0, 100.0, 100.0, 100.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn multinomial(&self, n: impl Operand, p: &Tensor, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let n = match n.number() {
            Some(n) => n.weak_like(p),
            None => n.operand(p),
        };
        match sample_shape("multinomial", shape, at) {
            Ok(shape) => tensor_or_error(self.outcomes(&n, p, &shape, at)),
            Err(e) => e,
        }
    }

    #[track_caller]
    fn outcomes(
        &self,
        n: &Tensor,
        p: &Tensor,
        shape: &Shape,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let (n, p) = (n.real_float("multinomial", at)?, p.real_float("multinomial", at)?);
        let Some(&outcomes) = p.shape().last() else {
            let why = format!(
                "expected probabilities with an axis of outcomes, got {}",
                p.dtype_and_shape()
            );
            return Err(Tensor::fail("multinomial", why, at));
        };
        let both = promote_operands("multinomial", &[n, p], at)?;
        let sizes: Shape = shape.iter().copied().chain([outcomes]).collect::<Vec<_>>().into();
        let n = stop_gradient(&broadcast_parameter("multinomial", &both[0], shape, at)?);
        let p = stop_gradient(&broadcast_parameter("multinomial", &both[1], &sizes, at)?);
        let ((n, dtype), (p, _)) = (n.wide(at), p.wide(at));
        let p = p.move_axis(-1, 0);
        let rest = p.cumsum_with(0, CumulativeOptions::new().reverse());
        let ratios = (&p / rest.equal(0).select(1, &rest)).maximum(0).minimum(1);
        let keys = self.split_n(outcomes).tensor().clone();
        let (_, counts) = scan(n, (keys, ratios), draw_outcome);
        Ok(counts.move_axis(0, -1).convert(dtype, at))
    }
}

/// Draws how many of the remaining trials have an outcome, whose key and probability among the
/// remaining outcomes are given.
#[track_caller]
fn draw_outcome(remaining: Tensor, (key, ratio): (Tensor, Tensor)) -> (Tensor, Tensor) {
    let count = binomial(&Key::from_tensor(key), &remaining, &ratio);
    (remaining - &count, count)
}

/// Samples Poisson counts with f32 rates, i32.
#[track_caller]
fn poisson(key: &Key, rate: &Tensor) -> Tensor {
    let at = Location::caller();
    let is_small = rate.ge(10).logical_not();
    let counted = poisson_by_products(key, &is_small.select(rate, 0));
    // A large rate accepts soon; an infinite one never would.
    let is_other = &is_small | rate.is_inf();
    let rejected = poisson_by_rejection(key, &is_other.select(1e5, rate));
    let count = is_small.select(counted, rejected.convert(DType::I32, at));
    let count = rate.equal(f64::INFINITY).select(i32::MAX, count);
    rate.equal(0).select(0, count)
}

/// Counts the uniform numbers whose product stays above `e^-rate`.
#[track_caller]
fn poisson_by_products(key: &Key, rate: &Tensor) -> Tensor {
    let at = Location::caller();
    let limit = -rate;
    let count = limit.zeros_like().convert(DType::I32, at);
    let state = (key.tensor().clone(), count, limit.zeros_like());
    let (_, count, _) = while_loop(
        state,
        |s: &(Tensor, Tensor, Tensor)| s.2.gt(&limit).any(..),
        |s: (Tensor, Tensor, Tensor)| multiply_once(s, &limit),
    );
    count - 1
}

#[track_caller]
fn multiply_once(
    (key, count, log): (Tensor, Tensor, Tensor),
    limit: &Tensor,
) -> (Tensor, Tensor, Tensor) {
    let [next, of_u] = Key::from_tensor(key).split();
    let count = log.gt(limit).select(&count + 1, &count);
    let u = of_u.uniform_of(DType::F32, limit.shape().to_vec(), 0, 1);
    (next.tensor().clone(), count, log + u.log())
}

/// Samples floats that are Poisson counts of rates of at least 10, by PTRS.
#[track_caller]
fn poisson_by_rejection(key: &Key, rate: &Tensor) -> Tensor {
    let b = rate.sqrt() * 2.53 + 0.931;
    let a = &b * 0.02483 - 0.059;
    let parameters = Ptrs {
        log_rate: rate.log(),
        inverse_alpha: (&b - 3.4).reciprocal() * 1.1328 + 1.1239,
        v_limit: (&b - 2).reciprocal() * -3.6224 + 0.9277,
        rate: rate.clone(),
        a,
        b,
    };
    until_accepted(key, rate, &|u: &Tensor, v: &Tensor| parameters.propose(u, v))
}

/// The parameters of the transformed rejection of Poisson counts.
struct Ptrs {
    rate: Tensor,
    log_rate: Tensor,
    a: Tensor,
    b: Tensor,
    inverse_alpha: Tensor,
    v_limit: Tensor,
}

impl Ptrs {
    /// Returns the proposed count of uniform numbers `u` in -1/2 to 1/2 and `v`, and whether it is
    /// accepted.
    #[track_caller]
    fn propose(&self, u: &Tensor, v: &Tensor) -> (Tensor, Tensor) {
        let side = 0.5 - u.abs();
        let k = ((&self.a * 2 / &side + &self.b) * u + &self.rate + 0.43).floor();
        let s = (v * &self.inverse_alpha / (&self.a / side.square() + &self.b)).log();
        let t = &k * &self.log_rate - &self.rate - (&k + 1).lgamma();
        let is_inside = side.ge(0.07) & v.le(&self.v_limit);
        let is_outside = k.lt(0) | (side.lt(0.013) & v.gt(&side));
        let accepts = is_inside | (is_outside.logical_not() & s.le(t));
        (k, accepts)
    }
}

/// A rejection method: returns proposals of uniform numbers `u` in -1/2 to 1/2 and `v` in 0 to 1,
/// and which are accepted.
type Propose<'p> = &'p dyn Fn(&Tensor, &Tensor) -> (Tensor, Tensor);

/// Draws proposals for all elements of `like` until each has accepted one.
#[track_caller]
fn until_accepted(key: &Key, like: &Tensor, propose: Propose) -> Tensor {
    let waits = like.equal(like) | like.not_equal(like);
    let state = (key.tensor().clone(), like.full_like(-1.0), waits);
    let step = |s: (Tensor, Tensor, Tensor)| propose_once(s, propose);
    while_loop(state, |s: &(Tensor, Tensor, Tensor)| s.2.any(..), step).1
}

#[track_caller]
fn propose_once(
    (key, count, waits): (Tensor, Tensor, Tensor),
    propose: Propose,
) -> (Tensor, Tensor, Tensor) {
    let [next, of_u, of_v] = Key::from_tensor(key).split();
    let shape = count.shape().to_vec();
    let u = of_u.uniform_of(count.dtype(), &shape, 0, 1) - 0.5;
    let v = of_v.uniform_of(count.dtype(), &shape, 0, 1);
    let (k, accepts) = propose(&u, &v);
    // As in JAX, the last accepted proposal counts.
    let count = accepts.select(k, count);
    (next.tensor().clone(), count, waits & accepts.logical_not())
}

/// Samples binomial counts as floats of the dtype of `n` and `p`.
#[track_caller]
fn binomial(key: &Key, n: &Tensor, p: &Tensor) -> Tensor {
    let is_low = p.lt(0.5);
    let q = is_low.select(p, 1 - p);
    let is_invalid_q = q.is_nan() | q.lt(0);
    let is_invalid_n = n.is_nan() | n.lt(0);
    let q = is_invalid_q.select(0.01, q);
    let is_endless = n.is_inf();
    let is_small = &is_invalid_n | &is_endless | (n * &q).le(10);
    let n = n.floor();
    let is_counted = &is_small & is_endless.logical_not();
    let counted = binomial_by_sums(key, &is_counted.select(&n, 0), &q);
    let (many, half) = (is_small.select(1e4, &n), is_small.select(0.5, &q));
    let rejected = binomial_by_rejection(key, &many, &half);
    let count = is_small.select(counted, rejected);
    let is_invalid = &is_invalid_q | &is_invalid_n;
    let count = is_invalid.select(f64::NAN, count);
    let count = (&is_endless & is_invalid.logical_not()).select(f64::INFINITY, count);
    let is_done = is_low | is_invalid | is_endless;
    is_done.select(&count, n - &count)
}

/// Counts the geometric numbers of trials up to a success whose sum stays within `n`.
#[track_caller]
fn binomial_by_sums(key: &Key, n: &Tensor, p: &Tensor) -> Tensor {
    let log_failure = (-p).log1p();
    let state = (key.tensor().clone(), n.zeros_like(), n.zeros_like());
    let (_, count, _) = while_loop(
        state,
        |s: &(Tensor, Tensor, Tensor)| s.2.le(n).any(..),
        |s: (Tensor, Tensor, Tensor)| add_trials(s, n, &log_failure),
    );
    count - 1
}

#[track_caller]
fn add_trials(
    (key, count, sum): (Tensor, Tensor, Tensor),
    n: &Tensor,
    log_failure: &Tensor,
) -> (Tensor, Tensor, Tensor) {
    let [of_u, next] = Key::from_tensor(key).split();
    let count = sum.le(n).select(&count + 1, &count);
    let u = of_u.uniform_of(n.dtype(), n.shape().to_vec(), 0, 1);
    (next.tensor().clone(), count, sum + (u.log() / log_failure).ceil())
}

/// Samples binomial counts with `n p > 10` and `p <= 1/2`, by BTRS.
#[track_caller]
fn binomial_by_rejection(key: &Key, n: &Tensor, p: &Tensor) -> Tensor {
    let deviation = (n * p * (1 - p)).sqrt();
    let b = &deviation * 2.53 + 1.15;
    let parameters = Btrs {
        a: &b * 0.0248 + p * 0.01 - 0.0873,
        c: n * p + 0.5,
        v_limit: b.reciprocal() * -4.2 + 0.92,
        odds: p / (1 - p),
        alpha: (b.reciprocal() * 5.1 + 2.83) * deviation,
        mode: ((n + 1) * p).floor(),
        n: n.clone(),
        b,
    };
    until_accepted(key, p, &|u: &Tensor, v: &Tensor| parameters.propose(u, v))
}

/// The parameters of the transformed rejection of binomial counts.
struct Btrs {
    n: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    v_limit: Tensor,
    odds: Tensor,
    alpha: Tensor,
    mode: Tensor,
}

impl Btrs {
    /// Returns the proposed count of uniform numbers `u` in -1/2 to 1/2 and `v`, and whether it is
    /// accepted.
    #[track_caller]
    fn propose(&self, u: &Tensor, v: &Tensor) -> (Tensor, Tensor) {
        let (n, mode) = (&self.n, &self.mode);
        let side = 0.5 - u.abs();
        let k = ((&self.a * 2 / &side + &self.b) * u + &self.c).floor();
        let is_inside = side.ge(0.07) & v.le(&self.v_limit);
        let is_outside = k.lt(0) | k.gt(n);
        let log = (v * &self.alpha / (&self.a / side.square() + &self.b)).log();
        let (failures, mode_failures) = (n - &k + 1, n - mode + 1);
        let limit = (mode + 0.5) * ((mode + 1) / (&self.odds * &mode_failures)).log()
            + (n + 1) * (mode_failures / &failures).log()
            + (&k + 0.5) * (&self.odds * failures / (&k + 1)).log()
            + stirling_tail(mode)
            + stirling_tail(&(n - mode))
            - stirling_tail(&k)
            - stirling_tail(&(n - &k));
        let accepts = is_inside | (is_outside.logical_not() & log.le(limit));
        (k, accepts)
    }
}

/// Returns `log(k!) - log(sqrt(2 pi)) - (k + 1/2) log(k + 1) + k + 1`, from a table up to 9 and
/// from Stirling's series beyond.
#[track_caller]
fn stirling_tail(k: &Tensor) -> Tensor {
    const TABLE: [f64; 10] = [
        0.0810614667953272,
        0.0413406959554092,
        0.0276779256849983,
        0.02079067210376509,
        0.0166446911898211,
        0.0138761288230707,
        0.0118967099458917,
        0.0104112652619720,
        0.00925546218271273,
        0.00833056343336287,
    ];
    let at = Location::caller();
    let table = Tensor::from_vec(TABLE.to_vec(), [10]).convert(k.dtype(), at);
    let index = k.maximum(0).minimum(9).floor().convert(DType::I32, at);
    let next = k.maximum(9) + 1;
    let square = next.square();
    let series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / &square) / &square) / next;
    k.le(9).select(table.take(index, 0), series)
}
