//! Gradient clipping.

use super::{Optim, Rule, Slots, Step, invalid};
use neurax_tensor::{DType, Operand, Tensor, stop_gradient};
use std::slice;

/// Clips gradients by their global norm: scales all of them by one factor, so that the root of the
/// sum of all squares is at most `norm` (Pascanu et al., 2012, <https://arxiv.org/abs/1211.5063>).
/// The norm is computed in f64, whatever the dtypes, and does not overflow.
///
/// If the norm is infinite, finite elements become 0 and infinite ones NaN; if it is NaN, all
/// elements become NaN, as in Optax. [`Optim::non_finite`] chooses otherwise.
///
/// # Errors
///
/// The updates carry an error if `norm` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::clip(1.0), tensor([0.0, 0.0]));
/// let (updates, _) = opt.update(&p, &tensor([3e20, 4e20]), opt.init(&p));
/// assert_eq!(updates.to_vec::<f32>()?, [0.6, 0.8]);
/// # Ok::<(), Error>(())
/// ```
pub fn clip(norm: f64) -> Optim {
    Optim::new(ClipGlobalNorm(norm))
}

/// Clips each element to `-limit..=limit`.
///
/// # Errors
///
/// The updates carry an error if `limit` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::clip_value(1.0);
/// let p = tensor([0.0, 0.0]);
/// let (updates, _) = opt.update(&p, &tensor([-5.0, 0.5]), opt.init(&p));
/// assert_eq!(updates.to_vec::<f32>()?, [-1.0, 0.5]);
/// # Ok::<(), Error>(())
/// ```
pub fn clip_value(limit: f64) -> Optim {
    Optim::new(ClipValue(limit))
}

/// Clips the gradient of each parameter by its norm: scales it so that the norm is at most `limit`.
/// The norm is computed as by [`clip`].
///
/// # Errors
///
/// The updates carry an error if `limit` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::clip_norm(1.0), vec![tensor([0.0, 0.0]), tensor([0.0])]);
/// let (u, _) = opt.update(&p, &vec![tensor([3.0, 4.0]), tensor([0.5])], opt.init(&p));
/// assert_eq!((u[0].to_vec::<f32>()?, u[1].item()?), (vec![0.6, 0.8], 0.5));
/// # Ok::<(), Error>(())
/// ```
pub fn clip_norm(limit: f64) -> Optim {
    Optim::new(ClipEach { limit, is_rms: false })
}

/// Clips the update of each parameter by the root of the mean of its squares, as Adafactor does
/// (Shazeer and Stern, 2018, <https://arxiv.org/abs/1804.04235>): Optax's `clip_by_block_rms`.
///
/// # Errors
///
/// The updates carry an error if `limit` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::clip_rms(1.0), tensor([0.0, 0.0]));
/// let (u, _) = opt.update(&p, &tensor([3.0, -3.0]), opt.init(&p));
/// assert_eq!(u.to_vec::<f32>()?, [1.0, -1.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn clip_rms(limit: f64) -> Optim {
    Optim::new(ClipEach { limit, is_rms: true })
}

struct ClipGlobalNorm(f64);

impl Rule for ClipGlobalNorm {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
        if let Some(why) = limit_error(self.0) {
            return invalid("clip", why, &grads);
        }
        let Some(norm) = global_norm(&grads) else { return grads };
        let factor = limiting_factor(&norm, self.0);
        grads.iter().map(|g| scaled(g, &factor)).collect()
    }
}

/// Returns the factors that limit `norms` to `limit`, f64.
pub(super) fn limiting_factor(norms: &Tensor, limit: impl Operand + Copy) -> Tensor {
    // Divided by 1 where the factor is 1: the derivative of a quotient by 0 would be NaN.
    let fits = norms.le(limit);
    let one = norms.ones_like();
    fits.select(&one, limit.operand(&one) / fits.select(&one, norms))
}

/// Multiplies `g` by a factor, f64[]. It is multiplied in f64: the factor of a huge norm would be 0
/// in f32.
fn scaled(g: &Tensor, factor: &Tensor) -> Tensor {
    (g.to(DType::F64) * factor).to(g.dtype())
}

struct ClipEach {
    limit: f64,
    is_rms: bool,
}

impl Rule for ClipEach {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
        let name = if self.is_rms { "clip_rms" } else { "clip_norm" };
        if let Some(why) = limit_error(self.limit) {
            return invalid(name, why, &grads);
        }
        let clipped = |g: &Tensor| {
            let root_of_size = if self.is_rms { (g.size() as f64).sqrt() } else { 1.0 };
            match global_norm(slice::from_ref(g)) {
                Some(norm) => scaled(g, &limiting_factor(&norm, self.limit * root_of_size)),
                None => g.clone(),
            }
        };
        grads.iter().map(clipped).collect()
    }
}

/// Returns the message of a limit that is no number of at least 0.
pub(super) fn limit_error(limit: f64) -> Option<String> {
    let is_valid = limit >= 0.0;
    (!is_valid).then(|| format!("expected a limit of at least 0, got {limit}"))
}

/// Returns the root of the sum of all squares, f64[]; `None` if there are no elements.
pub(super) fn global_norm(grads: &[Tensor]) -> Option<Tensor> {
    let wide = || grads.iter().filter(|g| g.size() > 0).map(|g| g.to(DType::F64));
    let total = |xs: &mut dyn Iterator<Item = Tensor>| {
        xs.map(|x| x.square().sum(..)).reduce(|a, b| a + b).map(|x| root(&x))
    };
    if grads.iter().all(|g| g.dtype() != DType::F64) {
        return total(&mut wide());
    }
    // Squares of narrower floats do not overflow in f64; those of f64 are scaled first.
    let largest = wide().map(|g| g.abs().max(..)).reduce(|a, b| a.maximum(b))?;
    let is_scale = largest.gt(f64::MIN_POSITIVE) & largest.is_finite();
    let scale = stop_gradient(&is_scale.select(largest, 1.0));
    total(&mut wide().map(|g| g / &scale)).map(|norm| norm * &scale)
}

/// Returns the square root, with a derivative of 0 at 0.
pub(super) fn root(x: &Tensor) -> Tensor {
    let zero = x.equal(0.0);
    zero.select(0.0, zero.select(1.0, x).sqrt())
}

struct ClipValue(f64);

impl Rule for ClipValue {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
        match limit_error(self.0) {
            Some(why) => invalid("clip_value", why, &grads),
            None => grads.iter().map(|g| g.minimum(self.0).maximum(-self.0)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{adam, adamw, chain};
    use neurax_tensor::{grad, tensor};

    #[test]
    fn the_norm_is_that_of_all_leaves() {
        let p = vec![tensor([0.0]), tensor([0.0])];
        let update = |a: f32, b: f32| {
            let opt = clip(1.0);
            let (u, _) = opt.update(&p, &vec![tensor([a]), tensor([b])], opt.init(&p));
            [u[0].item().unwrap() as f32, u[1].item().unwrap() as f32]
        };
        assert_eq!(update(3.0, 4.0), [0.6, 0.8]);
        assert_eq!(update(0.3, 0.4), [0.3, 0.4], "gradients below the norm are unchanged");
        assert_eq!(update(0.0, 0.0), [0.0, 0.0]);
        assert_eq!(update(3e38, 0.0), [1.0, 0.0]);
        assert!(update(f32::NAN, 1.0).iter().all(|x| x.is_nan()));
        let [infinite, finite] = update(f32::INFINITY, 1.0);
        assert!(infinite.is_nan() && finite == 0.0);
    }

    #[test]
    fn updates_have_finite_derivatives_at_gradients_of_zero() {
        let p = tensor([1.0, 2.0]);
        let optimizers =
            [clip(1.0), clip(0.0), adam(0.1), adamw(0.1, 0.01), chain([clip(1.0), adam(0.1)])];
        for dtype in [DType::F32, DType::F64] {
            for (i, opt) in optimizers.iter().enumerate() {
                let p = p.to(dtype);
                let loss = |g: Tensor| {
                    let (u, state) = opt.update(&p, &g, opt.init(&p));
                    let (v, _) = opt.update(&p, &g, state);
                    (u + v * 2.0).sum(..)
                };
                for g in [[0.0, 0.0], [0.0, 3.0], [0.5, -0.5]] {
                    let g = tensor(g).to(dtype);
                    let d = grad(loss)(g.clone()).to(DType::F64).to_vec::<f64>().unwrap();
                    assert!(d.iter().all(|d| d.is_finite()), "optimizer {i} at {g}: {d:?}");
                }
            }
        }
        // Gradients below the limit pass unchanged.
        let opt = clip(1.0);
        let total = |g: Tensor| opt.update(&p, &g, opt.init(&p)).0.sum(..);
        assert_eq!(grad(total)(tensor([0.0, 0.0])).to_vec::<f32>().unwrap(), [1.0, 1.0]);
    }

    #[test]
    fn the_norm_of_every_dtype_is_computed_in_f64() {
        let clipped = |limit: f64, dtype: DType, g: [f64; 2]| {
            let g = Tensor::from_slice(&g, 2).to(dtype);
            let opt = clip(limit);
            let (u, _) = opt.update(&g, &g, opt.init(&g));
            assert_eq!(u.dtype(), dtype);
            u.to(DType::F64).to_vec::<f64>().unwrap()
        };
        let near = |found: Vec<f64>, want: [f64; 2], dtype: DType| {
            // Two roundings to the 8 bits of bf16.
            let tolerance = if dtype.bits() < 32 { 1.0 / 256.0 } else { 1e-6 };
            let close = |(a, b): (&f64, f64)| (a - b).abs() <= tolerance * b.abs();
            assert!(found.iter().zip(want).all(close), "expected {want:?}, got {found:?}");
        };
        for (dtype, scales) in [
            (DType::F16, &[1.0, 1e4][..]),
            (DType::BF16, &[1e-30, 1.0, 1e30]),
            (DType::F32, &[1e-30, 1.0, 1e20, 5e37]),
            (DType::F64, &[1e-200, 1.0, 1e40, 1e200, 1e307]),
        ] {
            for &s in scales {
                near(clipped(s * 0.5, dtype, [3.0 * s, 4.0 * s]), [0.3 * s, 0.4 * s], dtype);
                let exact = Tensor::from_slice(&[3.0 * s, 4.0 * s], 2).to(dtype).to(DType::F64);
                assert_eq!(
                    clipped(s * 9.0, dtype, [3.0 * s, 4.0 * s]),
                    exact.to_vec::<f64>().unwrap()
                );
            }
        }
        assert_eq!(clipped(0.0, DType::F32, [0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(clipped(0.0, DType::F64, [1.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn a_negative_limit_is_an_error() {
        let p = tensor([1.0]);
        for opt in [clip(-1.0), clip(f64::NAN), clip_value(-1.0), clip_norm(-1.0), clip_rms(-1.0)] {
            let (u, _) = opt.update(&p, &p, opt.init(&p));
            assert!(u.error().unwrap().message().contains("a limit of at least 0"), "{u:?}");
        }
    }
}
