//! Discrete Fourier transforms.

use crate::harness::mirrors;
use neurax::prelude::*;

/// Returns the real parts, then the imaginary parts along the last axis.
fn parts(y: &Tensor) -> Tensor {
    concat([y.real(), y.imag()], -1)
}

fn options() -> FftOptions {
    FftOptions::new()
}

mirrors! {
    fft_real(x) => parts(&x.square().fft());
    fft_padded_axis(x, y) => {
        parts(&x.square().complex(y).fft_with(options().axis(0).size(6).norm(FftNorm::Ortho)))
    };
    ifft_cropped(x, y) => {
        parts(&x.square().complex(y).ifft_with(options().size(3).norm(FftNorm::Forward)))
    };
    rfft_even(x) => parts(&x.square().rfft());
    rfft_odd(x) => parts(&x.square().rfft_with(options().size(7)));
    irfft_even(x, y) => x.square().complex(y).irfft();
    irfft_odd(x, y) => x.square().complex(y).irfft_with(options().size(7).norm(FftNorm::Ortho));
    hfft_odd(x, y) => x.square().complex(y).hfft_with(options().size(5));
    hfft_forward(x, y) => x.square().complex(y).hfft_with(options().norm(FftNorm::Forward));
    ihfft_ortho(x) => parts(&x.square().ihfft_with(options().norm(FftNorm::Ortho)));
    fft2_axes(x) => parts(&x.square().fft2_with(options().axes([0, 2])));
    ifft2_last(x, y) => parts(&x.square().complex(y).ifft2());
    rfft2_irfft2(x) => (x.square().rfft2() * x.rfft2()).irfft2_with(options().sizes([3, 5]));
    fftn_all(x, y) => parts(&x.square().complex(y).fftn());
    ifftn_sizes(x, y) => parts(&x.square().complex(y).ifftn_with(options().sizes([2, 4])));
    rfftn_axes(x) => parts(&x.square().rfftn_with(options().axes([2, 0])));
    irfftn_sizes(x, y) => {
        x.square().complex(y).irfftn_with(options().sizes([3, 5]).norm(FftNorm::Forward))
    };
    fft_shifts(x) => x.square().fftshift(1) - x.ifftshift(..);
    fft_frequencies(x) => {
        let of = |n: usize, d: f64| (Tensor::fftfreq(n, d).to(x.dtype()), Tensor::rfftfreq(n, d));
        let ((even, _), (odd, half)) = (of(6, 0.5), of(7, 0.25));
        let odd = odd.slice(0, ..6);
        x.square() * even + x * odd + half.to(x.dtype()).sum(..)
    };
}
