//! Window functions of signals, convolutions and correlations of sequences, and patches.

use super::common::{located, promote_operands, tensor_or_error};
use crate::{
    DType, FftOptions, IntoEach, Operand, Padding, Tensor, Type, Windows, dispatch::lazy_constant,
    tensor::CallSite,
};
use neurax_ir::{Builder, Value};
use std::{f64::consts::PI, panic::Location};

/// The part of a convolution that is returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvolveMode {
    /// All positions at which the operands overlap: `n + m - 1`.
    #[default]
    Full,
    /// The middle, of the size of the larger operand (of `fftconvolve`, the first one).
    Same,
    /// The positions at which the operands overlap entirely.
    Valid,
}

impl Tensor {
    /// Creates the Bartlett window of `n` elements, a triangle from 0 to 1 to 0, f32. A window of
    /// one element is 1. Follows `jax.numpy.bartlett`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::bartlett(5).to_vec::<f32>()?, [0.0, 0.5, 1.0, 0.5, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bartlett(n: usize) -> Tensor {
        window(n, Location::caller(), |g, i, last| {
            let x = g.add_scalar(i, -last / 2.0);
            let x = g.abs(x);
            let x = g.mul_scalar(x, -2.0 / last);
            g.add_scalar(x, 1.0)
        })
    }

    /// Creates the Hann window of `n` elements, `0.5 - 0.5 cos(2 pi i / (n - 1))`, f32. A window of
    /// one element is 1. Follows `jax.numpy.hanning`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::hanning(5);
    /// assert!(x.allclose(tensor([0.0, 0.5, 1.0, 0.5, 0.0]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn hanning(n: usize) -> Tensor {
        window(n, Location::caller(), |g, i, last| cosines(g, i, last, 0.5, &[-0.5]))
    }

    /// Creates the Hamming window of `n` elements, `0.54 - 0.46 cos(2 pi i / (n - 1))`, f32. A
    /// window of one element is 1. Follows `jax.numpy.hamming`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::hamming(5);
    /// assert!(x.allclose(tensor([0.08, 0.54, 1.0, 0.54, 0.08]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn hamming(n: usize) -> Tensor {
        window(n, Location::caller(), |g, i, last| cosines(g, i, last, 0.54, &[-0.46]))
    }

    /// Creates the Blackman window of `n` elements,
    /// `0.42 - 0.5 cos(2 pi i / (n - 1)) + 0.08 cos(4 pi i / (n - 1))`, f32. A window of one
    /// element is 1. Follows `jax.numpy.blackman`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::blackman(5);
    /// assert!(x.allclose(tensor([0.0, 0.34, 1.0, 0.34, 0.0]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn blackman(n: usize) -> Tensor {
        window(n, Location::caller(), |g, i, last| cosines(g, i, last, 0.42, &[-0.5, 0.08]))
    }

    /// Creates the Kaiser window of `n` elements,
    /// `I0(beta sqrt(1 - (2 i / (n - 1) - 1)^2)) / I0(beta)` with the modified Bessel function
    /// `I0`, f32.
    ///
    /// `beta` is a number or a scalar tensor; 0 gives ones. A window of one element is 1. Follows
    /// `jax.numpy.kaiser`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::kaiser(3, 4.0);
    /// assert!(x.allclose(tensor([0.08848053, 1.0, 0.08848053]), 1e-5, 1e-5).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn kaiser(n: usize, beta: impl Operand) -> Tensor {
        let ones = Tensor::ones([n]);
        if n <= 1 {
            return ones;
        }
        let beta = beta.operand(&Tensor::scalar(DType::F32, 0)).float(Location::caller());
        let (i, middle) = (Tensor::arange(n).to(beta.dtype()), 0.5 * (n - 1) as f64);
        let root = (1.0 - ((i - middle) / middle).square()).maximum(0.0).sqrt();
        // The scaled Bessel function does not overflow.
        let (x, beta) = (&root * &beta, beta.abs());
        x.i0e() / beta.i0e() * (x.abs() - beta).exp()
    }

    /// Computes the convolution of two vectors: `sum(x[i] y[k - i])` over all `i`, for each `k` of
    /// the part that `mode` names.
    ///
    /// Integers and bool become f32. [`Tensor::conv`] slides a kernel over several axes,
    /// [`Tensor::fftconvolve`] is faster for long operands. Follows `jax.numpy.convolve`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an operand is not a vector, or has no element.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{ConvolveMode, prelude::*};
    /// let (x, y) = (tensor([1.0, 2.0, 3.0]), tensor([0.0, 1.0, 0.5]));
    /// let full = x.convolve(&y, ConvolveMode::Full);
    /// assert_eq!(full.to_vec::<f32>()?, [0.0, 1.0, 2.5, 4.0, 1.5]);
    /// assert_eq!(x.convolve(&y, ConvolveMode::Same).to_vec::<f32>()?, [1.0, 2.5, 4.0]);
    /// assert_eq!(x.convolve(&y, ConvolveMode::Valid).to_vec::<f32>()?, [2.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn convolve(&self, other: &Tensor, mode: ConvolveMode) -> Tensor {
        let at = Location::caller();
        let convolve = || {
            let (x, y) = sequences("convolve", self, other, at)?;
            let (x, y) = if x.size() < y.size() { (y, x) } else { (x, y) };
            Ok(slide(&x, &y.flip(0), mode, at))
        };
        located(at, &[self, other], || tensor_or_error(convolve()))
    }

    /// Computes the correlation of two vectors: `sum(x[i + k] conj(y[i]))` over all `i`, for each
    /// shift `k` of the part that `mode` names.
    ///
    /// Integers and bool become f32. Follows `jax.numpy.correlate`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an operand is not a vector, or has no element.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{ConvolveMode, prelude::*};
    /// let (x, y) = (tensor([1.0, 2.0, 3.0]), tensor([0.0, 1.0, 0.5]));
    /// assert_eq!(x.correlate(&y, ConvolveMode::Valid).to_vec::<f32>()?, [3.5]);
    /// let full = x.correlate(&y, ConvolveMode::Full);
    /// assert_eq!(full.to_vec::<f32>()?, [0.5, 2.0, 3.5, 3.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn correlate(&self, other: &Tensor, mode: ConvolveMode) -> Tensor {
        let at = Location::caller();
        let correlate = || {
            let (x, y) = sequences("correlate", self, other, at)?;
            let y = y.conj();
            if x.size() < y.size() {
                return Ok(slide(&y, &x, mode, at).flip(0));
            }
            Ok(slide(&x, &y, mode, at))
        };
        located(at, &[self, other], || tensor_or_error(correlate()))
    }

    /// Computes the convolution of two tensors over all axes, by Fourier transforms: faster than
    /// sums of products for long operands, with a rounding error relative to the largest result.
    ///
    /// Integers and bool become f32. Follows `jax.scipy.signal.fftconvolve`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the ranks differ, if an operand has no element, or, for
    /// `Valid`, if no operand is at least as large as the other along all axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{ConvolveMode, prelude::*};
    /// let (x, y) = (tensor([1.0, 2.0, 3.0]), tensor([0.0, 1.0, 0.5]));
    /// let full = x.fftconvolve(&y, ConvolveMode::Full);
    /// assert!(full.allclose(tensor([0.0, 1.0, 2.5, 4.0, 1.5]), 1e-5, 1e-5).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn fftconvolve(&self, other: &Tensor, mode: ConvolveMode) -> Tensor {
        tensor_or_error(self.try_fftconvolve(other, mode))
    }

    #[track_caller]
    fn try_fftconvolve(&self, other: &Tensor, mode: ConvolveMode) -> Result<Tensor, Tensor> {
        let (op, at) = ("fftconvolve", Location::caller());
        let (mut x, mut y) =
            (self.type_or_error()?.shape.to_vec(), other.type_or_error()?.shape.to_vec());
        let fail = |what: &str| {
            let types = [self.dtype_and_shape(), other.dtype_and_shape()].join(" and ");
            Err(Tensor::fail(op, format!("expected {what}, got {types}"), at))
        };
        if x.len() != y.len() {
            return fail("operands of one rank");
        }
        if x.contains(&0) || y.contains(&0) {
            return fail("operands with elements");
        }
        let fits = |x: &[usize], y: &[usize]| x.iter().zip(y).all(|(x, y)| x >= y);
        if mode == ConvolveMode::Valid && !fits(&x, &y) {
            if !fits(&y, &x) {
                return fail("an operand at least as large as the other along all axes");
            }
            std::mem::swap(&mut x, &mut y);
        }
        let both = promote_operands(op, &[self.clone().float(at), other.clone().float(at)], at)?;
        let (a, dtype) = both[0].wide(at);
        let b = both[1].wide(at).0;
        let full: Vec<usize> = x.iter().zip(&y).map(|(x, y)| (x - 1).saturating_add(*y)).collect();
        let product = if x.iter().zip(&y).all(|(&x, &y)| x == 1 || y == 1) {
            a * b
        } else {
            let sizes = || FftOptions::new().sizes(full.clone());
            if dtype.is_complex() {
                (a.fftn_with(sizes()) * b.fftn_with(sizes())).ifftn_with(sizes())
            } else {
                (a.rfftn_with(sizes()) * b.rfftn_with(sizes())).irfftn_with(sizes())
            }
        };
        let mut z = product;
        for (axis, (&n, (&x, &y))) in full.iter().zip(x.iter().zip(&y)).enumerate() {
            let size = match mode {
                ConvolveMode::Full => n,
                ConvolveMode::Same => x,
                ConvolveMode::Valid => x - y + 1,
            };
            let first = (n - size) / 2;
            z = z.slice(axis, first as i64..(first + size) as i64);
        }
        Ok(z.convert(dtype, at))
    }

    /// Extracts the windows of `sizes` over the spatial axes of `[batch, channels, space ..]` as
    /// channels: `[batch, channels taps, positions ..]`, where the taps of one channel, in
    /// row-major order, are adjacent.
    ///
    /// The options are those of [`Tensor::conv`], which is a product of patches and a kernel.
    /// Follows `jax.lax.conv_general_dilated_patches`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there is no spatial axis, if `sizes` do not fit, and as
    /// [`Tensor::conv`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{Windows, prelude::*};
    /// let x = Tensor::arange(4).to(F32).reshape([1, 1, 4]);
    /// let y = x.patches(2, Windows::new());
    /// assert_eq!(y.shape(), [1, 2, 3]);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 1.0, 2.0, 1.0, 2.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn patches(&self, sizes: impl IntoEach, options: Windows) -> Tensor {
        let (op, at, mut sizes) = ("patches", Location::caller(), sizes.each());
        let mut patches = || {
            let ty = self.type_or_error()?;
            let space = ty.rank().saturating_sub(2);
            if sizes.len() == 1 {
                sizes = vec![sizes[0]; space];
            }
            if space == 0 || sizes.len() != space {
                let why = format!("expected a size for each spatial axis of {ty}, got {sizes:?}");
                return Err(Tensor::fail(op, why, at));
            }
            if options.groups != 1 || options.channels_last {
                let why = "expected channels in front of the space axes and one group, which are \
                           the channels here; permute the axes, and leave `groups` out";
                return Err(Tensor::fail(op, why, at));
            }
            let taps = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
            // The kernels are squares of the taps; memory holds no larger ones.
            let Some(taps) = taps.filter(|&taps| taps <= 1 << 24) else {
                let why = format!("expected windows of at most 2^24 elements, got {sizes:?}");
                return Err(Tensor::fail(op, why, at));
            };
            let channels = ty.shape[1];
            let tap = Tensor::eye(taps).convert(ty.dtype, at);
            let kernels = tap.broadcast_to([channels, taps, taps]);
            let kernels =
                kernels.reshape([&[channels.saturating_mul(taps), 1][..], &sizes[..]].concat());
            Ok(self.conv(&kernels, options.clone().groups(channels)))
        };
        located(at, &[self], || tensor_or_error(patches()))
    }
}

/// Creates a window of `n` elements by `formula` of the indices in f64 and the largest of them.
fn window(
    n: usize,
    at: CallSite,
    formula: impl FnOnce(&mut Builder, Value, f64) -> Value,
) -> Tensor {
    lazy_constant(at, |g| {
        let i = g.iota(Type::new(DType::F64, [n]), 0);
        let x = if n > 1 { formula(g, i, (n - 1) as f64) } else { g.full_like(i, 1.0) };
        g.convert(x, DType::F32)
    })
}

/// Adds `constant + sum(weights[k] cos(2 pi (k + 1) i / n))`.
fn cosines(g: &mut Builder, i: Value, n: f64, constant: f64, weights: &[f64]) -> Value {
    let mut sum = g.full_like(i, constant);
    for (k, &weight) in weights.iter().enumerate() {
        let angle = g.mul_scalar(i, 2.0 * PI * (k + 1) as f64 / n);
        let cosine = g.cos(angle);
        let term = g.mul_scalar(cosine, weight);
        sum = g.add(sum, term);
    }
    sum
}

/// Converts two vectors to floats of one dtype.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` for other ranks, and vectors without elements.
#[track_caller]
pub(super) fn sequences(
    op: &str,
    x: &Tensor,
    y: &Tensor,
    at: CallSite,
) -> Result<(Tensor, Tensor), Tensor> {
    for ty in [x.type_or_error()?, y.type_or_error()?] {
        if ty.rank() != 1 || ty.size() == 0 {
            let why = format!("expected vectors of at least one element, got {ty}");
            return Err(Tensor::fail(op, why, at));
        }
    }
    promote_operands(op, &[x.clone(), y.clone()], at)?;
    let (x, y) = crate::operators::float_operands(x.clone(), y.clone(), at);
    let both = promote_operands(op, &[x, y], at)?;
    Ok((both[0].clone(), both[1].clone()))
}

/// Computes the products of `kernel`, which is not longer, with all parts of `x`.
#[track_caller]
fn slide(x: &Tensor, kernel: &Tensor, mode: ConvolveMode, at: CallSite) -> Tensor {
    let n = kernel.size() as i64;
    let padding = match mode {
        ConvolveMode::Full => (n - 1, n - 1),
        ConvolveMode::Same => (n / 2, n - n / 2 - 1),
        ConvolveMode::Valid => (0, 0),
    };
    let ((x, dtype), (kernel, _)) = (x.wide(at), kernel.wide(at));
    let row = |x: Tensor| x.reshape([1, 1, x.size()]);
    let options = Windows::new().padding(Padding::Each(vec![padding]));
    row(x).conv(&row(kernel), options).flatten().convert(dtype, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn windows_of_few_elements_are_ones() {
        let all: [fn(usize) -> Tensor; 4] =
            [Tensor::bartlett, Tensor::hanning, Tensor::hamming, Tensor::blackman];
        for f in all {
            assert_eq!(f(0).shape(), [0]);
            assert_eq!(f(1).to_vec::<f32>().unwrap(), [1.0]);
        }
        assert_eq!(Tensor::kaiser(0, 2.0).shape(), [0]);
        assert_eq!(Tensor::kaiser(1, 2.0).to_vec::<f32>().unwrap(), [1.0]);
        assert_eq!(Tensor::kaiser(3, 0).to_vec::<f32>().unwrap(), [1.0; 3]);
        let wide = Tensor::kaiser(3, 500.0).to_vec::<f32>().unwrap();
        assert_eq!(wide, [0.0, 1.0, 0.0]);
    }

    #[test]
    fn the_shorter_operand_is_the_kernel() {
        let (x, y) = (tensor([1, 2]), tensor([1.0, 0.0, 3.0, 4.0, 5.0]));
        for mode in [ConvolveMode::Full, ConvolveMode::Same, ConvolveMode::Valid] {
            let (a, b) = (x.convolve(&y, mode), y.convolve(&x, mode));
            assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
            let back = y.correlate(&x, mode).flip(0);
            assert_eq!(
                x.correlate(&y, mode).to_vec::<f32>().unwrap(),
                back.to_vec::<f32>().unwrap()
            );
        }
        let z = x
            .to(C64)
            .correlate(&tensor([1.0, 2.0]).complex(tensor([1.0, 0.0])), ConvolveMode::Valid);
        assert_eq!(z.imag().item().unwrap(), -1.0);
    }

    #[test]
    fn transforms_convolve_over_all_axes() {
        let x = Tensor::arange(12).reshape([3, 4]);
        let y = Tensor::arange(4).reshape([2, 2]);
        let z = x.fftconvolve(&y, ConvolveMode::Valid);
        assert_eq!(z.shape(), [2, 3]);
        let plane = |x: &Tensor| x.to(F32).reshape([1, 1, x.shape()[0], x.shape()[1]]);
        let want = plane(&x).conv(&plane(&y.flip([0, 1])), Windows::new());
        assert!(z.allclose(want.reshape([2, 3]), 1e-5, 1e-4).item().unwrap() == 1.0, "{z}");
        assert_eq!(y.fftconvolve(&x, ConvolveMode::Same).shape(), [2, 2]);
        assert_eq!(y.fftconvolve(&x, ConvolveMode::Valid).shape(), [2, 3]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: Tensor| x.error().unwrap().to_string();
        let (x, none) = (tensor([1.0, 2.0]), Tensor::zeros([0]));
        assert!(say(x.convolve(&none, ConvolveMode::Full)).contains("at least one element"));
        assert!(say(x.correlate(&tensor(1.0), ConvolveMode::Full)).contains("got f32[]"));
        let e = x.fftconvolve(&tensor([[1.0]]), ConvolveMode::Full);
        assert!(say(e).contains("operands of one rank, got f32[2] and f32[1, 1]"));
        let (wide, high) = (Tensor::ones([1, 2]), Tensor::ones([2, 1]));
        let e = wide.fftconvolve(&high, ConvolveMode::Valid);
        assert!(say(e).contains("at least as large"));
        assert!(say(x.patches(2, Windows::new())).contains("each spatial axis of f32[2]"));
        let image = Tensor::ones([1, 2, 3]);
        assert!(say(image.patches(2, Windows::new().groups(2))).contains("one group"));
    }
}
