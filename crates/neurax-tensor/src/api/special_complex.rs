//! Special functions of complex numbers: the Faddeeva function and the logarithm of the gamma
//! function.
//!
//! # Method
//!
//! - `wofz`: the modified trapezoidal rules of Al Azah and Chandler-Wilde
//!   (<https://doi.org/10.1137/20M1373037>): an integral over a line with a pole near it is a sum
//!   with a correction. Of two rules, with nodes between each other, the one is used whose nodes
//!   are farther from the pole.
//! - `loggamma`: Stirling's series (<https://dlmf.nist.gov/5.11.E1>) after 7 steps of the
//!   recurrence where the argument is small, and the reflection formula left of the imaginary axis,
//!   on the principal branch (Hare, <https://doi.org/10.1006/jagm.1997.0881>).
//!
//! c64 is computed in c128.

use super::common::tensor_or_error;
use crate::{DType, Function, Tensor, custom_tangent, tensor::CallSite};
use std::{f64::consts::PI, panic::Location};

impl Tensor {
    /// Computes the Faddeeva function `e^(-z^2) erfc(-i z)`, element by element; the result is
    /// complex. Follows `scipy.special.wofz`.
    ///
    /// f64 and c128 yield c128, other dtypes c64.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let w = tensor([0.0, 1.0]).wofz();
    /// assert!(w.real().allclose(tensor([1.0, 0.36787944]), 1e-6, 1e-6).item()? == 1.0, "{w}");
    /// assert!(w.imag().allclose(tensor([0.0, 0.60715770]), 1e-6, 1e-6).item()? == 1.0, "{w}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn wofz(&self) -> Tensor {
        let at = Location::caller();
        let (z, dtype) = match self.wide_complex() {
            Ok(z) => z,
            Err(e) => return e,
        };
        let function = custom_tangent(
            |z: Tensor| faddeeva(&z),
            |(z, w, dz): (Tensor, Tensor, Tensor)| {
                let i = z.real().zeros_like().complex(z.real().full_like(2.0 / PI.sqrt()));
                dz * (i - z * w * 2)
            },
        );
        function.apply(z).convert(dtype, at)
    }

    /// Computes the principal branch of the logarithm of the gamma function, element by element. Of
    /// real numbers it is real, and NaN below 0. Follows `scipy.special.loggamma`.
    ///
    /// Integer and bool operands become f32.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1.0, 2.0]).complex(tensor([1.0, -3.0])).loggamma();
    /// assert!(y.real().allclose(tensor([-0.65092319, -2.0928517]), 1e-6, 1e-6).item()? == 1.0);
    /// assert!(y.imag().allclose(tensor([-0.30164032, -2.3023966]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn loggamma(&self) -> Tensor {
        let at = Location::caller();
        tensor_or_error(loggamma(self, at))
    }

    /// Converts to c128. Returns the dtype of the result as well: c128 for 64 bits, else c64.
    #[track_caller]
    fn wide_complex(&self) -> Result<(Tensor, DType), Tensor> {
        let at = Location::caller();
        let dtype = match self.type_or_error()?.dtype {
            DType::F64 | DType::C128 => DType::C128,
            _ => DType::C64,
        };
        Ok((self.clone().float(at).convert(DType::C128, at), dtype))
    }
}

#[track_caller]
fn loggamma(x: &Tensor, at: CallSite) -> Result<Tensor, Tensor> {
    if !x.type_or_error()?.dtype.is_complex() {
        let x = x.clone().float(at);
        return Ok(x.lt(0).select(f64::NAN, x.lgamma()));
    }
    let (z, dtype) = x.wide_complex()?;
    Ok(log_gamma(&z).convert(dtype, at))
}

/// Computes the Faddeeva function of c128 numbers from that of the first quadrant.
#[track_caller]
fn faddeeva(z: &Tensor) -> Tensor {
    let (x, y) = (z.real(), z.imag());
    let first = faddeeva_of_quadrant(&x.abs(), &y.abs());
    let is_lower = y.lt(0);
    // w(-conj(z)) = conj(w(z)), and w(-z) = 2 e^(-z^2) - w(z).
    let is_mirrored = is_lower.select(x.gt(0), x.lt(0));
    let w = is_mirrored.select(first.conj(), &first);
    is_lower.select(exp_minus_square(&x, &y) * 2 - &w, &w)
}

/// Computes the Faddeeva function of `x + i y` with `x >= 0` and `y >= 0`.
#[track_caller]
fn faddeeva_of_quadrant(x: &Tensor, y: &Tensor) -> Tensor {
    const NODES: u32 = 12;
    let step = (PI / f64::from(NODES)).sqrt();
    // Beyond, the asymptotic series has one term.
    let is_huge = x.gt(1e8) | y.gt(1e8);
    let (x, y) = (&is_huge.select(1, x), &is_huge.select(1, y));
    let z = x.complex(y);
    let square = ((x - y) * (x + y)).complex(x * y * 2);
    let fraction = x * (1.0 / step) - (x * (1.0 / step)).floor();
    let on_nodes = y.lt(x) & fraction.ge(0.25) & fraction.le(0.75);
    let mut sum = square.zeros_like();
    for k in 0..NODES {
        let node = |offset: f64| ((f64::from(k) + offset) * step).powi(2);
        let (plain, shifted) = (node(0.0), node(0.5));
        let weight = if k == 0 { 0.5 } else { (-plain).exp() };
        let weight = on_nodes.select(x.full_like(weight), (-shifted).exp());
        let place = on_nodes.select(x.full_like(plain), shifted);
        let distance = &square - place.convert(DType::C128, Location::caller());
        sum += weight.complex(x.zeros_like()) / distance;
    }
    let i = x.zeros_like().complex(x.full_like(2.0 * step / PI));
    let sum = sum * i * &z;
    // The residue at the pole, which does not count far from the line.
    let is_near = y.lt(PI / step);
    let side = is_near.select(y, 1) * (2.0 * PI / step);
    let turn = x * (-2.0 * PI / step);
    let (size, sign) = (side.exp(), on_nodes.select(x.full_like(-1.0), 1));
    let q = (&size * turn.cos() * &sign + 1).complex(size * turn.sin() * sign);
    let residue = exp_minus_square(x, &is_near.select(y, 0)) * 2 / q;
    let near = &sum + residue;
    let w = is_near.select(near, sum);
    let far = x.zeros_like().complex(x.full_like(1.0 / PI.sqrt())) / &z;
    is_huge.select(far, w)
}

/// Computes `e^(-(x + i y)^2)`.
#[track_caller]
fn exp_minus_square(x: &Tensor, y: &Tensor) -> Tensor {
    let (size, angle) = (((y - x) * (y + x)).exp(), x * y * -2);
    (&size * angle.cos()).complex(&size * angle.sin())
}

/// Computes the logarithm of the gamma function of c128 numbers.
#[track_caller]
fn log_gamma(z: &Tensor) -> Tensor {
    let is_flat = z.imag().abs().le(7);
    let is_reflected = z.real().lt(0) & &is_flat;
    let u = is_reflected.select(1 - z, z);
    let value = log_gamma_right(&u, &(u.real().lt(7) & is_flat));
    let safe = is_reflected.select(z, 0.25);
    // The sheet of the logarithm of the sine.
    let direction = z.imag().signbit().select(z.imag().full_like(-2.0 * PI), 2.0 * PI);
    let turns = (safe.real() * 0.5 + 0.25).floor() * direction;
    let sine = (safe * PI).sin().log();
    let reflected = turns.zeros_like().complex(turns) - sine - &value + PI.ln();
    is_reflected.select(reflected, value)
}

/// Computes the logarithm of the gamma function by Stirling's series, of `u + 7` and 7 steps back
/// where `is_small`.
#[track_caller]
fn log_gamma_right(u: &Tensor, is_small: &Tensor) -> Tensor {
    let start = is_small.select(u, 1);
    let mut steps = start.log();
    for k in 1..7 {
        steps += (&start + f64::from(k)).log();
    }
    let v = is_small.select(u + 7, u);
    // The coefficients B(2k) / (2k (2k - 1)), from k = 9 down to 1.
    let series = [
        43_867.0 / 244_188.0,
        -3617.0 / 122_400.0,
        1.0 / 156.0,
        -691.0 / 360_360.0,
        1.0 / 1188.0,
        -1.0 / 1680.0,
        1.0 / 1260.0,
        -1.0 / 360.0,
        1.0 / 12.0,
    ];
    let inverse = v.reciprocal();
    let rest = super::special::horner(&series, &inverse.square()) * inverse;
    const LN_SQRT_2_PI: f64 = 0.918_938_533_204_672_7;
    let value = (&v - 0.5) * v.log() - &v + rest + LN_SQRT_2_PI;
    is_small.select(&value - steps, &value)
}
