//! Discrete Fourier transforms.
//!
//! The transform of `n` numbers is `y[k] = sum_j x[j] e^(-2 pi i j k / n)`. All functions here are
//! the op `fft` over the last axes, with conversions, sizes and factors around it.

use super::common::{example, tensor_or_error};
use crate::{
    DType, FftNorm, FftOptions, IntoAxes, Tensor, Type,
    args::axes_or_error,
    dispatch::{dispatch, lazy_constant},
    tensor::CallSite,
};
use neurax_ir::op::{Direction, Fft, FftKind, Pad, Slice, Transpose};
use std::panic::Location;

/// One of the functions of this file.
#[derive(Clone, Copy)]
struct Transform {
    name: &'static str,
    kind: FftKind,
    /// The number of transformed axes; `None` for any number, by default all.
    axes: Option<usize>,
    /// True for the transforms between a real spectrum and half of a Hermitian signal: those with
    /// the opposite sign in the exponent, and the opposite factors.
    is_hermitian: bool,
}

/// Defines the constants of the transforms.
macro_rules! names {
    ($($N:ident = $name:literal, $kind:ident, $axes:expr, $is_hermitian:literal;)*) => {
        impl Transform {$(
            const $N: Transform = Transform {
                name: $name,
                kind: FftKind::$kind,
                axes: $axes,
                is_hermitian: $is_hermitian,
            };
        )*}
    };
}

names!(
    FFT = "fft", Fft, Some(1), false;
    IFFT = "ifft", Ifft, Some(1), false;
    RFFT = "rfft", Rfft, Some(1), false;
    IRFFT = "irfft", Irfft, Some(1), false;
    HFFT = "hfft", Irfft, Some(1), true;
    IHFFT = "ihfft", Rfft, Some(1), true;
    FFT2 = "fft2", Fft, Some(2), false;
    IFFT2 = "ifft2", Ifft, Some(2), false;
    RFFT2 = "rfft2", Rfft, Some(2), false;
    IRFFT2 = "irfft2", Irfft, Some(2), false;
    FFTN = "fftn", Fft, None, false;
    IFFTN = "ifftn", Ifft, None, false;
    RFFTN = "rfftn", Rfft, None, false;
    IRFFTN = "irfftn", Irfft, None, false;
);

/// A table of transforms without options. A row is `name = TRANSFORM, "doc", "code" => "value";`.
macro_rules! transforms {
    ($($f:ident = $T:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\nIntegers, bool and floats below 32 bits are converted to f32; the result is \
                     c64, or c128 for f64 and c128, or real of the same precision.\n\n# Errors\n\n\
                     The result carries an error if the tensor has too few axes. A real transform \
                     refuses complex numbers, and an inverse one less than 2 entries."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self) -> Tensor {
                self.transformed(Transform::$T, &FftOptions::new(), Location::caller())
            }
        )*}
    };
}

/// A table of transforms with options. A row is `name = TRANSFORM, "doc", "code" => "value";`.
macro_rules! transforms_with {
    ($($f:ident = $T:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\n# Errors\n\nBesides the errors of the form without options: if an axis is \
                     out of range or occurs twice, if a size is 0, or if the number of axes or \
                     sizes is wrong."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, options: FftOptions) -> Tensor {
                self.transformed(Transform::$T, &options, Location::caller())
            }
        )*}
    };
}

transforms! {
    fft = FFT,
        "Computes the discrete Fourier transform along the last axis, complex. Follows \
         `jax.numpy.fft.fft`.",
        "tensor([1.0, 2.0, 3.0, 4.0]).fft().imag()" => "[0.0, 2.0, 0.0, -2.0]";
    ifft = IFFT,
        "Computes the inverse of `fft` along the last axis, complex. Follows \
         `jax.numpy.fft.ifft`.",
        "tensor([1.0, 2.0, 3.0]).fft().ifft().real()" => "[1.0, 2.0, 3.0]";
    rfft = RFFT,
        "Computes the first `n / 2 + 1` entries of the `fft` of real numbers along the last \
         axis; the others are their conjugates. Follows `jax.numpy.fft.rfft`.",
        "tensor([1.0, 2.0, 3.0, 4.0]).rfft().real()" => "[10.0, -2.0, -2.0]";
    irfft = IRFFT,
        "Computes the inverse of `rfft` along the last axis: `n = 2 (m - 1)` real numbers from \
         `m` entries. An odd `n` is an option. Follows `jax.numpy.fft.irfft`.",
        "tensor([1.0, 2.0, 3.0, 4.0]).rfft().irfft()" => "[1.0, 2.0, 3.0, 4.0]";
    hfft = HFFT,
        "Computes the `fft` of a signal that equals its reversed conjugate, given by the first \
         `m` entries along the last axis: `n = 2 (m - 1)` real numbers. Follows \
         `jax.numpy.fft.hfft`.",
        "tensor([1.0, 2.0, 3.0]).hfft()" => "[8.0, -2.0, 0.0, -2.0]";
    ihfft = IHFFT,
        "Computes the inverse of `hfft` along the last axis: the first `n / 2 + 1` entries of \
         the `ifft` of real numbers. Follows `jax.numpy.fft.ihfft`.",
        "tensor([8.0, -2.0, 0.0, -2.0]).ihfft().real()" => "[1.0, 2.0, 3.0]";
    fft2 = FFT2,
        "Computes the discrete Fourier transform over the last two axes, complex. Follows \
         `jax.numpy.fft.fft2`.",
        "tensor([[1.0, 2.0], [3.0, 4.0]]).fft2().real()" => "[[10.0, -2.0], [-4.0, 0.0]]";
    ifft2 = IFFT2,
        "Computes the inverse of `fft2` over the last two axes, complex. Follows \
         `jax.numpy.fft.ifft2`.",
        "tensor([[10.0, -2.0], [-4.0, 0.0]]).ifft2().real()" => "[[1.0, 2.0], [3.0, 4.0]]";
    rfft2 = RFFT2,
        "Computes the `fft2` of real numbers; of the last axis, the first `n / 2 + 1` entries. \
         Follows `jax.numpy.fft.rfft2`.",
        "tensor([[1.0, 2.0, 3.0, 4.0]]).rfft2().real()" => "[[10.0, -2.0, -2.0]]";
    irfft2 = IRFFT2,
        "Computes the inverse of `rfft2` over the last two axes: real numbers, of the last axis \
         `2 (m - 1)` from `m` entries. Follows `jax.numpy.fft.irfft2`.",
        "tensor([[1.0, 2.0], [3.0, 4.0]]).rfft2().irfft2()" => "[[1.0, 2.0], [3.0, 4.0]]";
    fftn = FFTN,
        "Computes the discrete Fourier transform over all axes, complex. Follows \
         `jax.numpy.fft.fftn`.",
        "tensor([[1.0, 2.0], [3.0, 4.0]]).fftn().real()" => "[[10.0, -2.0], [-4.0, 0.0]]";
    ifftn = IFFTN,
        "Computes the inverse of `fftn` over all axes, complex. Follows `jax.numpy.fft.ifftn`.",
        "tensor([[10.0, -2.0], [-4.0, 0.0]]).ifftn().real()" => "[[1.0, 2.0], [3.0, 4.0]]";
    rfftn = RFFTN,
        "Computes the `fftn` of real numbers; of the last axis, the first `n / 2 + 1` entries. \
         Follows `jax.numpy.fft.rfftn`.",
        "tensor([[1.0, 2.0, 3.0, 4.0]]).rfftn().real()" => "[[10.0, -2.0, -2.0]]";
    irfftn = IRFFTN,
        "Computes the inverse of `rfftn` over all axes: real numbers, of the last axis `2 (m - \
         1)` from `m` entries. Follows `jax.numpy.fft.irfftn`.",
        "tensor([[1.0, 2.0], [3.0, 4.0]]).rfftn().irfftn()" => "[[1.0, 2.0], [3.0, 4.0]]";
}

transforms_with! {
    fft_with = FFT,
        "Computes `fft` with options: size, axis and factors.",
        "tensor([1.0, 2.0]).fft_with(FftOptions::new().size(4)).real()" => "[3.0, 1.0, -1.0, 1.0]";
    ifft_with = IFFT,
        "Computes `ifft` with options: size, axis and factors.",
        "tensor([3]).ifft_with(FftOptions::new().norm(FftNorm::Forward)).real()" => "[3.0]";
    rfft_with = RFFT,
        "Computes `rfft` with options: size, axis and factors.",
        "tensor([[1.0], [2.0]]).rfft_with(FftOptions::new().axis(0)).real()" => "[[3.0], [-1.0]]";
    irfft_with = IRFFT,
        "Computes `irfft` with options: size of the result, axis and factors.",
        "tensor([1, 2, 3]).rfft().irfft_with(FftOptions::new().size(3))" => "[1.0, 2.0, 3.0]";
    hfft_with = HFFT,
        "Computes `hfft` with options: size of the result, axis and factors.",
        "tensor([1.0, 2.0]).hfft_with(FftOptions::new().size(3))" => "[5.0, -1.0, -1.0]";
    ihfft_with = IHFFT,
        "Computes `ihfft` with options: size, axis and factors.",
        "tensor([5.0, -1.0, -1.0]).ihfft_with(FftOptions::new().axis(0)).real()" => "[1.0, 2.0]";
    fft2_with = FFT2,
        "Computes `fft2` with options: two sizes, two axes, and factors.",
        "tensor([[1.0]]).fft2_with(FftOptions::new().sizes([1, 2])).real()" => "[[1.0, 1.0]]";
    ifft2_with = IFFT2,
        "Computes `ifft2` with options: two sizes, two axes, and factors.",
        "tensor([[3.0, -1.0]]).ifft2_with(FftOptions::new().axes([1, 0])).real()" => "[[1.0, 2.0]]";
    rfft2_with = RFFT2,
        "Computes `rfft2` with options: two sizes, two axes, and factors.",
        "tensor([[1.0, 2.0]]).rfft2_with(FftOptions::new().axes([1, 0])).real()" => "[[3.0, -1.0]]";
    irfft2_with = IRFFT2,
        "Computes `irfft2` with options: two sizes of the result, two axes, and factors.",
        "tensor([[3.0, 0.0]]).irfft2_with(FftOptions::new().sizes([1, 3]))" => "[[1.0, 1.0, 1.0]]";
    fftn_with = FFTN,
        "Computes `fftn` with options: sizes, axes and factors.",
        "tensor([[1.0, 2.0]]).fftn_with(FftOptions::new().axes([-1])).real()" => "[[3.0, -1.0]]";
    ifftn_with = IFFTN,
        "Computes `ifftn` with options: sizes, axes and factors.",
        "tensor([[3.0, -1.0]]).ifftn_with(FftOptions::new().axes([-1])).real()" => "[[1.0, 2.0]]";
    rfftn_with = RFFTN,
        "Computes `rfftn` with options: sizes, axes and factors.",
        "tensor([[1.0, 2.0]]).rfftn_with(FftOptions::new().sizes([3])).real()" => "[[3.0, 0.0]]";
    irfftn_with = IRFFTN,
        "Computes `irfftn` with options: sizes of the result, axes and factors.",
        "tensor([[3.0, 0.0]]).irfftn_with(FftOptions::new().sizes([3]))" => "[[1.0, 1.0, 1.0]]";
}

impl Tensor {
    /// Creates the frequencies of the entries of an `fft` of `n` numbers, `spacing` apart:
    /// `0, 1, .., -2, -1` divided by `n spacing`, f32. Follows `jax.numpy.fft.fftfreq`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `n` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::fftfreq(4, 0.5).to_vec::<f32>()?, [0.0, 0.5, -1.0, -0.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn fftfreq(n: usize, spacing: f64) -> Tensor {
        frequencies("fftfreq", n, n, spacing, Location::caller())
    }

    /// Creates the frequencies of the entries of an `rfft` of `n` numbers, `spacing` apart:
    /// `0, 1, .., n / 2` divided by `n spacing`, f32. Follows `jax.numpy.fft.rfftfreq`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `n` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::rfftfreq(4, 0.5).to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn rfftfreq(n: usize, spacing: f64) -> Tensor {
        frequencies("rfftfreq", n, Fft::half(n), spacing, Location::caller())
    }

    /// Moves the entry of frequency 0 to the middle of each of `axes`, index `n / 2`. Follows
    /// `jax.numpy.fft.fftshift`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an axis is out of range or occurs twice.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = Tensor::fftfreq(5, 0.2).fftshift(..);
    /// assert_eq!(y.to_vec::<f32>()?, [-2.0, -1.0, 0.0, 1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn fftshift(&self, axes: impl IntoAxes) -> Tensor {
        self.shifted("fftshift", &axes, 1)
    }

    /// Undoes `fftshift`: moves the entry at index `n / 2` of each of `axes` to the front. Follows
    /// `jax.numpy.fft.ifftshift`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an axis is out of range or occurs twice.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([-2, -1, 0, 1, 2]);
    /// assert_eq!(x.ifftshift(0).to_vec::<i32>()?, [0, 1, 2, -2, -1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ifftshift(&self, axes: impl IntoAxes) -> Tensor {
        self.shifted("ifftshift", &axes, -1)
    }

    /// Rolls each of `axes` by half of its size, forward or, if `sign` is -1, backward.
    #[track_caller]
    fn shifted(&self, op: &str, axes: &dyn IntoAxes, sign: i64) -> Tensor {
        let axes = match axes_or_error(self, axes, op, Location::caller()) {
            Ok(axes) => axes,
            Err(e) => return e,
        };
        let mut x = self.clone();
        for axis in axes {
            x = x.roll(sign * (x.shape()[axis] / 2) as i64, axis);
        }
        x
    }

    fn transformed(&self, t: Transform, options: &FftOptions, at: CallSite) -> Tensor {
        tensor_or_error(self.try_transformed(t, options, at))
    }

    fn try_transformed(
        &self,
        t: Transform,
        options: &FftOptions,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let fail = |why: String| Tensor::fail(t.name, why, at);
        let axes = t.axes_of(self.type_or_error()?, options).map_err(fail)?;
        let lengths = t.lengths(self.type_or_error()?, options, &axes).map_err(fail)?;
        let x = if t.kind == FftKind::Rfft {
            self.real_float(t.name, at)?
        } else {
            self.clone().float(at)
        };
        let factor = t.factor(options.norm, lengths.iter().map(|&n| n as f64).product());
        // Real numbers are cheaper to multiply than complex ones.
        let x = x.wide(at).0;
        let (before, after) = if x.dtype().is_complex() { (1.0, factor) } else { (factor, 1.0) };
        let mut x = x.times(before, at);
        if t.kind != FftKind::Rfft {
            x = x.convert(x.dtype().complex(), at);
        }
        if t.is_hermitian && t.kind == FftKind::Irfft {
            x = x.conj_at(at);
        }
        if axes.is_empty() {
            return Ok(x);
        }
        let sizes: Vec<usize> = (0..axes.len()).map(|i| t.operand_size(&lengths, i)).collect();
        let order = super::common::axes_last(x.rank(), &axes);
        let x = x.resized(&axes, &sizes, at).permute_at(order.clone(), at);
        let y = dispatch(Fft { kind: t.kind, lengths }, [x], at);
        let back = Transpose { permutation: order }.inverse();
        let y = y.permute_at(back, at).times(after, at);
        Ok(if t.is_hermitian && t.kind == FftKind::Rfft { y.conj_at(at) } else { y })
    }

    /// Crops each of `axes`, or pads it with zeros at its end, to the size in `sizes`.
    fn resized(&self, axes: &[usize], sizes: &[usize], at: CallSite) -> Tensor {
        let mut limit = self.shape().to_vec();
        let mut high = vec![0; limit.len()];
        for (&axis, &size) in axes.iter().zip(sizes) {
            high[axis] = i64::try_from(size.saturating_sub(limit[axis])).unwrap_or(i64::MAX);
            limit[axis] = limit[axis].min(size);
        }
        let mut x = self.clone();
        let none = vec![0; limit.len()];
        if limit[..] != x.shape()[..] {
            let (start, stride) = (vec![0; limit.len()], vec![1; limit.len()]);
            x = dispatch(Slice { start, limit, stride }, [x], at);
        }
        if high != none {
            let zero = Tensor::scalar(x.dtype(), 0.0);
            x = dispatch(Pad { low: none, high, interior: vec![0; self.rank()] }, [x, zero], at);
        }
        x
    }

    /// Multiplies by `factor`.
    fn times(self, factor: f64, at: CallSite) -> Tensor {
        if factor == 1.0 {
            return self;
        }
        let factor = Tensor::scalar(self.dtype(), factor);
        self.binary(factor, neurax_ir::op::Binary::Mul, at)
    }

    fn conj_at(self, at: CallSite) -> Tensor {
        dispatch(neurax_ir::op::Unary::Conj, [self], at)
    }
}

impl Transform {
    /// Returns the transformed axes of an operand of type `x`, counted from the front.
    ///
    /// # Errors
    ///
    /// If there are too few or too many, or if one is out of range or occurs twice.
    fn axes_of(self, x: &Type, options: &FftOptions) -> Result<Vec<usize>, String> {
        let sizes = options.sizes.as_ref().map(Vec::len);
        let count = match &options.axes {
            Some(axes) => axes.len(),
            None => self.axes.or(sizes).unwrap_or(x.rank()),
        };
        let is_real = matches!(self.kind, FftKind::Rfft | FftKind::Irfft);
        if self.axes.is_some_and(|n| n != count) || (is_real && count == 0) {
            let wanted = self.axes.map_or("at least 1 axis".to_string(), |n| format!("axes: {n}"));
            return Err(format!("expected {wanted}, got {count}; the operand is {x}"));
        }
        if sizes.is_some_and(|n| n != count) {
            let n = sizes.unwrap_or_default();
            return Err(format!("expected a size for each axis, got {n} sizes and {count} axes"));
        }
        let axes = match &options.axes {
            Some(axes) => axes.axes(x.rank()),
            None if count > x.rank() => Err(format!("expected at least {count} axes")),
            None => Ok((x.rank() - count..x.rank()).collect()),
        };
        axes.map_err(|why| format!("{why}; the operand is {x}"))
    }

    /// Returns the sizes of the transform along `axes`.
    ///
    /// # Errors
    ///
    /// If one is 0 that an option or the operand of an inverse real transform sets.
    fn lengths(self, x: &Type, options: &FftOptions, axes: &[usize]) -> Result<Vec<usize>, String> {
        if let Some(sizes) = &options.sizes {
            return match sizes.contains(&0) {
                true => Err(format!("expected sizes of at least 1, got {sizes:?}")),
                false => Ok(sizes.clone()),
            };
        }
        let mut lengths: Vec<usize> = axes.iter().map(|&a| x.shape[a]).collect();
        if let (FftKind::Irfft, Some(n)) = (self.kind, lengths.last_mut()) {
            if *n < 2 {
                let axis = axes[axes.len() - 1];
                return Err(format!(
                    "expected at least 2 entries along axis {axis}, got {x}; set the size of the \
                     result"
                ));
            }
            *n = 2 * (*n - 1);
        }
        Ok(lengths)
    }

    /// Returns the size that transformed axis `i` of the operand must have.
    fn operand_size(self, lengths: &[usize], i: usize) -> usize {
        match self.kind {
            FftKind::Irfft if i + 1 == lengths.len() => Fft::half(lengths[i]),
            _ => lengths[i],
        }
    }

    /// Returns the factor of the op's result, which divides inverse transforms by `n`.
    fn factor(self, norm: FftNorm, n: f64) -> f64 {
        let (norm, n) = match norm {
            FftNorm::Ortho => {
                return if self.kind.is_inverse() { n.sqrt() } else { n.sqrt().recip() };
            }
            norm => (norm, n),
        };
        // A Hermitian transform has the factors of the opposite direction.
        let has_none = (norm == FftNorm::Backward) != self.is_hermitian;
        match (has_none, self.kind.is_inverse()) {
            (true, _) => 1.0,
            (false, true) => n,
            (false, false) => n.recip(),
        }
    }
}

/// Creates the first `count` frequencies of a transform of `n` numbers; from the middle on, those
/// below 0 if `count` is `n`.
fn frequencies(op: &str, n: usize, count: usize, spacing: f64, at: CallSite) -> Tensor {
    if n == 0 {
        return Tensor::fail(op, "expected at least 1 number, got 0", at);
    }
    lazy_constant(at, |g| {
        let i = g.iota(Type::new(DType::F64, [count]), 0);
        let below = g.add_scalar(i, -(n as f64));
        let middle = g.full_like(i, if count == n { n.div_ceil(2) as f64 } else { n as f64 });
        let is_below = g.compare(Direction::Ge, i, middle);
        let k = g.select(is_below, below, i);
        let y = g.mul_scalar(k, (n as f64 * spacing).recip());
        g.convert(y, DType::F32)
    })
}
