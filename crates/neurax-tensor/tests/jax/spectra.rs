//! Discrete Fourier transforms along each axis, with sizes and norms.

use crate::harness::{mirrors, packed};
use neurax::prelude::*;

fn options() -> FftOptions {
    FftOptions::new()
}

mirrors! {
    fft_first(x) => packed(&x.square().fft_with(options().axis(0)));
    rfft_first(x) => packed(&x.square().rfft_with(options().axis(0)));
    fft_middle(x) => packed(&x.square().fft_with(options().axis(1)));
    rfft_middle(x) => packed(&x.square().rfft_with(options().axis(1)));
    fft_last(x) => packed(&x.square().fft_with(options().axis(-1)));
    rfft_last(x) => packed(&x.square().rfft_with(options().axis(-1)));
    ifft_first(x, y) => packed(&x.square().complex(y).ifft_with(options().axis(0)));
    irfft_first(x, y) => x.square().complex(y).irfft_with(options().axis(0));
    hfft_first(x, y) => x.square().complex(y).hfft_with(options().axis(0));
    ihfft_first(x) => packed(&x.square().ihfft_with(options().axis(0)));
    ifft_last(x, y) => packed(&x.square().complex(y).ifft_with(options().axis(-1)));
    irfft_last(x, y) => x.square().complex(y).irfft_with(options().axis(-1));
    hfft_last(x, y) => x.square().complex(y).hfft_with(options().axis(-1));
    ihfft_last(x) => packed(&x.square().ihfft_with(options().axis(-1)));
    fft_ortho(x, y) => packed(&x.square().complex(y).fft_with(options().norm(FftNorm::Ortho)));
    ifft_ortho(x, y) => packed(&x.square().complex(y).ifft_with(options().norm(FftNorm::Ortho)));
    rfft_ortho(x) => packed(&x.square().rfft_with(options().norm(FftNorm::Ortho)));
    irfft_ortho(x, y) => x.square().complex(y).irfft_with(options().norm(FftNorm::Ortho));
    fft_forward(x, y) => packed(&x.square().complex(y).fft_with(options().norm(FftNorm::Forward)));
    ifft_forward(x, y) => {
        packed(&x.square().complex(y).ifft_with(options().norm(FftNorm::Forward)))
    };
    rfft_forward(x) => packed(&x.square().rfft_with(options().norm(FftNorm::Forward)));
    irfft_forward(x, y) => x.square().complex(y).irfft_with(options().norm(FftNorm::Forward));
    fft_cropped(x) => packed(&x.square().fft_with(options().size(4)));
    fft_prime(x, y) => packed(&x.square().complex(y).fft());
    fft_of_one(x, y) => packed(&x.square().complex(y).fft());
    fft2_real(x) => packed(&x.square().fft2());
    ifft2_sizes(x, y) => {
        packed(&x.square().complex(y).ifft2_with(options().sizes([2, 5]).norm(FftNorm::Ortho)))
    };
    rfft2_axes(x) => packed(&x.square().rfft2_with(options().axes([1, 0])));
    irfft2_plain(x, y) => x.square().complex(y).irfft2();
    fftn_axes(x, y) => packed(&x.square().complex(y).fftn_with(options().axes([0, 1])));
    ifftn_all(x, y) => packed(&x.square().complex(y).ifftn());
    rfftn_all(x) => packed(&x.square().rfftn());
    irfftn_all(x, y) => x.square().complex(y).irfftn();
    rfft_round_trip(x) => x.square().rfft().square().irfft_with(options().size(7));
    fft_convolution(x, y) => (x.fft() * y.fft()).ifft().real();
    fftshift_all(x) => x.square().fftshift(..);
    ifftshift_axis(x) => x.square().ifftshift(1);
    fft_in_scan(x) => {
        let one = x.get(0).ones_like().complex(0);
        scan(one, x.clone(), |c, v| (&c + (v * c.real()).fft(), c.real())).1
    };
}
