//! `fft`: the discrete Fourier transform over the last axes.

mod eval;

use super::{Axis, Batched, Bound, Direction, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{
    Builder, DType, Eval, Literal, Result, Shape, Type, Value,
    graph::attr::{attrs, names},
};

names! {
    /// The kind of a discrete Fourier transform. In every kind, `N` is the product of the lengths.
    pub enum FftKind {
        /// The transform of complex numbers: `y[k] = sum_j x[j] e^(-2 pi i j k / n)` along every
        /// axis.
        Fft = "fft",
        /// The inverse of [`FftKind::Fft`]: `y[k] = sum_j x[j] e^(2 pi i j k / n)` along every
        /// axis, divided by `N`.
        Ifft = "ifft",
        /// The transform of real numbers. The last axis has the first `n / 2 + 1` entries; the
        /// others are conjugates of them.
        Rfft = "rfft",
        /// The inverse of [`FftKind::Rfft`]. The imaginary parts of entries that a real signal
        /// makes real (the first along the last axis, and the one at `n / 2`) have no effect.
        Irfft = "irfft",
    }
}

attrs! {
    /// The discrete Fourier transform of f32 and f64, or of the complex numbers of them, over the
    /// last axes. <https://openxla.org/stablehlo/spec#fft>, with any number of axes. A NaN or an
    /// infinity makes results of its line NaN or infinite; which ones is not specified.
    ///
    /// ```
    /// use neurax_ir::{DType, Op, Type, op::{Fft, FftKind}};
    /// let op = Op::from(Fft { kind: FftKind::Rfft, lengths: vec![8] });
    /// let y = op.infer(&[Type::new(DType::F32, [3, 8])]).unwrap();
    /// assert_eq!(y, [Type::new(DType::C64, [3, 5])]);
    /// ```
    pub struct Fft = "fft" {
        /// The kind.
        kind: FftKind,
        /// The sizes of the transformed axes: those of the operand, or of the result of an `irfft`.
        lengths: Vec<usize>,
    }
}

impl FftKind {
    /// Returns true for kinds whose exponents are positive.
    pub fn is_inverse(self) -> bool {
        matches!(self, FftKind::Ifft | FftKind::Irfft)
    }

    /// Returns the kind from the result to the operand.
    fn back(self) -> FftKind {
        match self {
            FftKind::Fft => FftKind::Ifft,
            FftKind::Ifft => FftKind::Fft,
            FftKind::Rfft => FftKind::Irfft,
            FftKind::Irfft => FftKind::Rfft,
        }
    }
}

impl Fft {
    /// Returns the number of entries that a real transform of length `n` has: those up to `n / 2`;
    /// none of no numbers.
    pub fn half(n: usize) -> usize {
        if n == 0 { 0 } else { n / 2 + 1 }
    }

    /// Returns the product of the lengths.
    fn product(&self) -> f64 {
        self.lengths.iter().map(|&n| n as f64).product()
    }

    /// Returns the sizes that the transformed axes of the operand must have.
    fn operand_sizes(&self) -> Vec<usize> {
        let mut sizes = self.lengths.clone();
        if let (FftKind::Irfft, Some(n)) = (self.kind, sizes.last_mut()) {
            *n = Fft::half(*n);
        }
        sizes
    }

    /// Returns true if the kind admits operands of dtype `x`: real for `rfft`, else complex.
    fn fits(&self, x: DType) -> bool {
        match self.kind {
            FftKind::Rfft => matches!(x, DType::F32 | DType::F64),
            _ => x.is_complex(),
        }
    }

    /// Emits `x` times `ends` at the entries of the last axis that are their own conjugates (the
    /// first, and the one at `n / 2`), and times `inner` at all others. `x` has the shape of the
    /// result of an `rfft`.
    fn weighted(&self, b: &mut Builder, x: Value, ends: f64, inner: f64) -> Value {
        let n = self.lengths[self.lengths.len() - 1];
        let index = b.ty(x).with_dtype(DType::I64);
        let axis = index.rank() - 1;
        let k = b.iota(index, axis);
        let (zero, middle) = (b.full_like(k, 0.0), b.full_like(k, n.div_ceil(2) as f64));
        let above = b.compare(Direction::Gt, k, zero);
        let below = b.compare(Direction::Lt, k, middle);
        let is_inner = b.and(above, below);
        let (ends, inner) = (b.full_like(x, ends), b.full_like(x, inner));
        let weights = b.select(is_inner, inner, ends);
        b.mul(x, weights)
    }
}

impl Primitive for Fft {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let (x, axes) = (&xs[0], self.lengths.len());
        if axes == 0 || axes > x.rank() {
            return refuse(
                Self::NAME,
                format!("expected lengths of 1 to {} axes, got {axes} for {x}", x.rank()),
            );
        }
        if !self.fits(x.dtype) {
            let wanted = if self.kind == FftKind::Rfft { "f32 or f64" } else { "c64 or c128" };
            return refuse(self.kind.name(), format!("expected {wanted}, got {x}"));
        }
        let (first, sizes) = (x.rank() - axes, self.operand_sizes());
        if x.shape[first..] != sizes {
            return refuse(
                self.kind.name(),
                format!("expected the last sizes {sizes:?} for {:?}, got {x}", self.lengths),
            );
        }
        let mut shape: Shape = x.shape.clone();
        shape[first..].copy_from_slice(&self.lengths);
        let dtype = match self.kind {
            FftKind::Fft | FftKind::Ifft => x.dtype,
            FftKind::Irfft => x.dtype.real(),
            FftKind::Rfft => {
                let last = x.rank() - 1;
                shape[last] = Fft::half(shape[last]);
                x.dtype.complex()
            }
        };
        Ok(vec![Type { dtype, shape }])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let ty = self.infer(&[xs[0].ty().clone()])?.remove(0);
        Ok(vec![eval::eval(self, &xs[0], ty)])
    }

    fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[0].map(|dx| b.emit(self.clone(), &[dx]))])
    }

    /// Emits the transpose. The matrix of `fft`, and that of `ifft`, is symmetric. With `t` the
    /// cotangent and `w` 1/2, but 1 at the entries that are their own conjugates,
    /// `Re(sum_k t[k] e^(-2 pi i j k / n))` is `N irfft(w conj(t))`, the transpose of `rfft`: an
    /// `irfft` counts the other entries twice. That of `irfft` follows: `conj(rfft(t)) / (N w)`.
    fn transpose(
        &self,
        b: &mut Builder,
        _: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let back = Fft { kind: self.kind.back(), ..self.clone() };
        let ct = cts[0].map(|ct| match self.kind {
            FftKind::Fft | FftKind::Ifft => b.emit(self.clone(), &[ct]),
            FftKind::Rfft => {
                let conj = b.conj(ct);
                let weighted = self.weighted(b, conj, 1.0, 0.5);
                let x = b.emit(back, &[weighted]);
                b.mul_scalar(x, self.product())
            }
            FftKind::Irfft => {
                let y = b.emit(back, &[ct]);
                let conj = b.conj(y);
                let n = self.product();
                self.weighted(b, conj, 1.0 / n, 2.0 / n)
            }
        });
        Transposed::Cotangents(vec![ct])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        // A new axis in front of the transformed ones stays where it is.
        let first = b.ty(xs[0]).rank() - self.lengths.len();
        if dims[0].is_none_or(|d| d < first) {
            return Ok((b.emit_n(self.clone(), xs, 1), dims.to_vec()));
        }
        let xs = batch_front(b, axis, xs, dims);
        Ok(at_front(b.emit_n(self.clone(), &xs, 1)))
    }

    fn samples() -> Vec<Sample> {
        let shapes: [(&[usize], usize); 15] = [
            (&[8], 1),
            (&[7], 1),
            (&[1], 1),
            (&[2], 1),
            (&[0], 1),
            (&[2, 6], 1),
            (&[3, 15], 1),
            (&[0, 4], 1),
            (&[2, 3, 4], 2),
            (&[4, 5], 2),
            (&[0, 4], 2),
            (&[3, 1], 2),
            (&[2, 3, 2, 3], 3),
            (&[2, 2, 3, 2], 4),
            (&[22], 1),
        ];
        let dtypes = [DType::C64, DType::C128];
        let kinds = FftKind::ALL.iter().flat_map(|&k| dtypes.map(|d| (k, d)));
        kinds.flat_map(|(k, d)| shapes.map(|(shape, axes)| row(k, d, shape, axes))).collect()
    }
}

/// Returns the sample row of a transform over the last `axes` axes of `shape`, in `complex` or the
/// dtype of its parts.
fn row(kind: FftKind, complex: DType, shape: &[usize], axes: usize) -> Sample {
    let op = Fft { kind, lengths: shape[shape.len() - axes..].to_vec() };
    let dtype = if kind == FftKind::Rfft { complex.real() } else { complex };
    let sizes = [&shape[..shape.len() - axes], &op.operand_sizes()].concat();
    Sample {
        op: op.into(),
        inputs: vec![sample(Type::new(dtype, &sizes[..]), -3.0, 4.0)],
        smooth: complex == DType::C128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let say = |kind, lengths: &[usize], d: DType, shape: &[usize]| {
            let x = Type::new(d, shape);
            Fft { kind, lengths: lengths.to_vec() }.infer(&[x]).unwrap_err().to_string()
        };
        assert!(say(FftKind::Fft, &[4], DType::F32, &[4]).contains("c64 or c128, got f32[4]"));
        assert!(say(FftKind::Rfft, &[4], DType::C64, &[4]).contains("f32 or f64, got c64[4]"));
        assert!(say(FftKind::Rfft, &[4], DType::F16, &[4]).contains("got f16[4]"));
        assert!(say(FftKind::Fft, &[5], DType::C64, &[4]).contains("sizes [5] for [5], got c64"));
        assert!(say(FftKind::Irfft, &[8], DType::C64, &[8]).contains("sizes [5] for [8]"));
        assert!(say(FftKind::Fft, &[], DType::C64, &[4]).contains("1 to 1 axes, got 0"));
        assert!(say(FftKind::Fft, &[1, 4], DType::C64, &[4]).contains("got 2 for c64[4]"));
    }

    #[test]
    fn types_of_results() {
        let of = |kind, n: usize, d: DType, shape: &[usize]| {
            let op = Fft { kind, lengths: vec![n] };
            op.infer(&[Type::new(d, shape)]).unwrap()[0].to_string()
        };
        assert_eq!(of(FftKind::Fft, 4, DType::C128, &[2, 4]), "c128[2, 4]");
        assert_eq!(of(FftKind::Rfft, 7, DType::F64, &[7]), "c128[4]");
        assert_eq!(of(FftKind::Irfft, 7, DType::C64, &[4]), "f32[7]");
        assert_eq!(of(FftKind::Irfft, 6, DType::C64, &[4]), "f32[6]");
        assert_eq!(of(FftKind::Rfft, 0, DType::F32, &[0]), "c64[0]");
        assert_eq!(of(FftKind::Irfft, 0, DType::C64, &[0]), "f32[0]");
    }
}
