//! Functions that are smooth wherever they are defined, at points with zeros, ties and equal
//! elements. A function that is smooth at some of these points only is in `piecewise.rs`.

use crate::law::{complex, f64s, halves};
use neurax::{
    AttentionOptions, ConvolveMode, Indexing, Interpolation, MultivariateNormalOptions, PadMode,
    ResizeOptions, Windows, dot_product_attention, einsum, meshgrid, prelude::*,
};

/// Rows `name, point, |x| formula;`, and `|a, b|` for a function of the two halves of the point.
macro_rules! smooth {
    ($($name:literal, $point:expr, |$x:ident $(, $y:ident)?| $e:expr;)*) => {
        /// A name of `docs/functions.md`, a point, and the function of it.
        pub const SMOOTH: &[(&str, &[f64], fn(&Tensor) -> Tensor)] =
            &[$(($name, $point, smooth!(@ $x $(, $y)?, $e))),*];
    };
    (@ $x:ident, $e:expr) => { |$x| $e };
    (@ $x:ident, $y:ident, $e:expr) => {
        |both| {
            let [$x, $y] = &halves(both);
            $e
        }
    };
}

pub(crate) use smooth;

/// Zero, negative zero, equal numbers, and numbers of both signs.
const REAL: &[f64] = &[0.0, 0.7, 0.7, -1.2, -0.0];
/// Positive numbers.
const POSITIVE: &[f64] = &[0.5, 1.0, 1.0, 2.3];
/// Numbers between -1 and 1.
const INSIDE: &[f64] = &[0.0, 0.7, 0.7, -0.9];
/// Numbers between 0 and 1.
const UNIT: &[f64] = &[0.5, 0.5, 0.1, 0.9];
/// Pairs with zeros, ties and opposite numbers, but not `(0, 0)`.
const PAIRS: &[f64] = &[0.0, 0.5, 0.5, -1.0, 2.0, 0.8, 0.5, -0.5, 0.0, -3.0];
/// Four numbers with a zero and a tie, for matrices.
pub const MATRIX: &[f64] = &[0.0, 0.7, 0.7, -1.2];
/// Eight numbers with zeros and ties, for two matrices.
pub const MATRICES: &[f64] = &[0.0, 0.7, 0.7, -1.2, 0.4, 0.0, -0.3, 0.7];

/// Six numbers, then scales and biases.
const NORMS: &[f64] = &[0.0, 0.7, 0.7, -1.2, 0.3, 0.3, 1.0, 0.0, 0.5, 0.5, 2.0, 0.1];

/// A positive definite matrix with different eigenvalues.
pub const POSITIVE_DEFINITE: &[f64] = &[2.0, 0.7, 0.7, 3.5];
/// A positive definite matrix, and a right side.
pub const SYSTEM: &[f64] = &[2.0, 0.7, 0.7, 3.5, 0.0, 1.5, -0.3, 0.7];

/// Returns options with other sizes, axes and factors than the default ones.
fn fft(sizes: &[usize]) -> FftOptions {
    let axes = (0..sizes.len() as i64).rev().map(|a| -1 - a);
    FftOptions::new().sizes(sizes).axes(axes.collect::<Vec<_>>()).norm(FftNorm::Ortho)
}

/// Returns options that select the numbers that are not negative.
fn not_negative(x: &Tensor) -> ReduceOptions {
    ReduceOptions::new().where_(x.ge(-0.9))
}

smooth! {
    // Reductions and sums of exponentials of selected elements.
    "x.sum_with", REAL, |x| x.square().sum_with(.., not_negative(x));
    "x.prod_with", REAL, |x| x.prod_with(.., not_negative(x).initial(2));
    "x.mean_with", REAL, |x| x.square().mean_with(.., not_negative(x));
    "x.var_with", REAL, |x| x.var_with(.., 1, not_negative(x));
    "x.std_with", POSITIVE, |x| x.std_with(.., 1, ReduceOptions::new().where_(x.gt(0.7)));
    "x.nanvar", REAL, |x| x.nanvar(.., 0);
    "x.nanstd", REAL, |x| x.nanstd(.., 0);
    "x.softmax_with", REAL, |x| x.softmax_with(0, not_negative(x)).square();
    "x.log_softmax_with", REAL, |x| {
        let selected = x.ge(-0.9);
        selected.select(x.log_softmax_with(0, not_negative(x)), 0)
    };
    "x.logsumexp_with", REAL, |x| x.logsumexp_with(0, not_negative(x));
    "x.logsumexp_scaled", REAL, |x| x.logsumexp_scaled(x.square() + 1, 0);
    "x.logsumexp_signed", REAL, |x| x.logsumexp_signed(-x.exp(), 0).0;
    "x.logmeanexp", REAL, |x| x.logmeanexp(0);
    "x.logmeanexp_with", REAL, |x| x.logmeanexp_with(0, not_negative(x));
    "x.log1mexp", POSITIVE, |x| x.log1mexp();
    "x.standardize", REAL, |x| x.standardize(0, 0.1).square();
    "x.standardize_with", REAL, |x| x.standardize_with(0, 0.1, not_negative(x)).square();
    // Index modes and updates, segments and shapes.
    "x.take_with", REAL, |x| x.square().take_with(tensor([7, -1, 2]), 0, IndexMode::Wrap);
    "x.take_or", REAL, |x| x.square().take_or(tensor([7, -1, 2]), 0, 3);
    "x.at(i).get_or", REAL, |x| x.square().at(tensor([7, -1, 2])).get_or(3);
    "x.at(i).div", PAIRS, |x, y| {
        let update = y.slice(0, ..2).square() + 1;
        x.at(tensor([3, 0])).unique().div(update)
    };
    "x.at(i).pow", POSITIVE, |x| x.at(1..3).pow(x.slice(0, ..2));
    "x.at(i).apply", REAL, |x| x.at(tensor([3, 0])).apply(|x| x.sin());
    "x.segment_sum", REAL, |x| x.square().segment_sum(&tensor([1, 0, 1, 2, 1]), 2);
    "x.nan_to_num_with", REAL, |x| x.square().nan_to_num_with(NanToNumOptions::new().nan(1));
    "x.repeat_each", REAL, |x| x.square().repeat_each(&tensor([1, 0, 2, 1, 1]), 0);
    "x.repeat_each_to", REAL, |x| x.square().repeat_each_to(&tensor([1, 0, 2, 1, 1]), 0, 6);
    "x.split_at", REAL, |x| x.square().split_at([2], 0).remove(1);
    "meshgrid_sparse", PAIRS, |x, y| {
        let grids = meshgrid_sparse([x, y], Indexing::Xy);
        &grids[0] * &grids[1]
    };
    "x.matmul_as", MATRICES, |x, y| {
        x.reshape([2, 2]).matmul_as(y.reshape([2, 2]), F64).square()
    };
    // Sampled curves, weights and evenly spaced numbers.
    "x.nancumsum", REAL, |x| x.square().nancumsum(0);
    "x.nancumprod", REAL, |x| x.nancumprod(0);
    "x.diff_with", REAL, |x| {
        x.square().diff_with(2, 0, DiffOptions::new().prepend(x.get(0)).append(x.get(1)))
    };
    "x.trapezoid_over", PAIRS, |x, y| x.square().trapezoid_over(y, 0);
    "x.gradient", &[0.0, 0.5, 0.5, -1.0, 2.0, 3.5], |x, y| x.square().gradient(y, 0);
    "x.bincount_weighted", REAL, |x| {
        tensor([2, 0, 0, 1, 2]).bincount_weighted(&x.square(), 3)
    };
    "x.cov_with", MATRICES, |x, y| {
        x.reshape([2, 2]).cov_with(0, CovOptions::new().weights(y.square().slice(0, 2..)))
    };
    "x.linspace_to", PAIRS, |x, y| x.square().linspace_to(y, 3).square();
    "x.linspace_to_with", PAIRS, |x, y| {
        x.linspace_to_with(y, 3, SpacedOptions::new().exclude_end().axis(1)).square()
    };
    "x.logspace_to", PAIRS, |x, y| x.logspace_to(y, 3, 2.0);
    "x.logspace_to_with", PAIRS, |x, y| {
        x.logspace_to_with(y, 3, 2.0, SpacedOptions::new().exclude_end())
    };
    // Discrete Fourier transforms.
    "x.fft", REAL, |x| x.square().fft();
    "x.fft_with", MATRICES, |x, y| complex(x).square().fft_with(fft(&[3])) * y.get(0);
    "x.ifft", MATRICES, |x, y| complex(x).square().ifft() * y.square().ifft().get(0);
    "x.ifft_with", REAL, |x| x.square().ifft_with(fft(&[3]));
    "x.rfft", REAL, |x| x.square().rfft();
    "x.rfft_with", REAL, |x| x.square().rfft_with(fft(&[6]));
    "x.irfft", MATRICES, |x, y| x.complex(y).square().irfft();
    "x.irfft_with", MATRICES, |x, y| x.complex(y).square().irfft_with(fft(&[7]));
    "x.hfft", MATRICES, |x, y| x.complex(y).square().hfft();
    "x.hfft_with", MATRICES, |x, y| x.complex(y).square().hfft_with(fft(&[5]));
    "x.ihfft", REAL, |x| x.square().ihfft();
    "x.ihfft_with", REAL, |x| x.square().ihfft_with(fft(&[4]));
    "x.fft2", MATRIX, |x| x.square().reshape([2, 2]).fft2();
    "x.fft2_with", MATRIX, |x| x.square().reshape([2, 2]).fft2_with(fft(&[3, 1]));
    "x.ifft2", MATRIX, |x| x.square().reshape([2, 2]).ifft2();
    "x.ifft2_with", MATRIX, |x| x.square().reshape([2, 2]).ifft2_with(fft(&[1, 3]));
    "x.rfft2", MATRIX, |x| x.square().reshape([2, 2]).rfft2();
    "x.rfft2_with", MATRIX, |x| x.square().reshape([2, 2]).rfft2_with(fft(&[3, 3]));
    "x.irfft2", MATRICES, |x, y| x.complex(y).square().reshape([2, 2]).irfft2();
    "x.irfft2_with", MATRICES, |x, y| {
        x.complex(y).square().reshape([2, 2]).irfft2_with(fft(&[2, 3]))
    };
    "x.fftn", MATRICES, |x, y| x.complex(y).square().reshape([2, 2]).fftn();
    "x.fftn_with", MATRIX, |x| x.square().reshape([2, 2]).fftn_with(fft(&[3]));
    "x.ifftn", MATRICES, |x, y| x.complex(y).square().reshape([2, 2]).ifftn();
    "x.ifftn_with", MATRIX, |x| x.square().reshape([2, 2]).ifftn_with(fft(&[3]));
    "x.rfftn", MATRIX, |x| x.square().reshape([1, 2, 2]).rfftn();
    "x.rfftn_with", MATRIX, |x| x.square().reshape([2, 2]).rfftn_with(fft(&[5]));
    "x.irfftn", MATRICES, |x, y| x.complex(y).square().reshape([2, 1, 2]).irfftn();
    "x.irfftn_with", MATRICES, |x, y| {
        x.complex(y).square().reshape([2, 2]).irfftn_with(fft(&[3, 4]))
    };
    "x.fftshift", REAL, |x| x.square().fftshift(0);
    "x.ifftshift", REAL, |x| x.square().ifftshift(0);
    // Activations and losses.
    "x.silu", REAL, |x| x.silu();
    "x.softplus", REAL, |x| x.softplus();
    "x.squareplus", REAL, |x| x.squareplus();
    "x.log_sigmoid", REAL, |x| x.log_sigmoid();
    "x.mish", REAL, |x| x.mish();
    "x.tanh_shrink", REAL, |x| x.tanh_shrink();
    "x.gelu", REAL, |x| x.gelu(false);
    "x.gelu", REAL, |x| x.gelu(true);
    "x.glu", MATRIX, |x| x.glu(0);
    "x.softmax", REAL, |x| x.softmax(0);
    "x.log_softmax", REAL, |x| x.log_softmax(0);
    "x.logsumexp", REAL, |x| x.logsumexp(..);
    "x.cross_entropy", &[0.5, 0.5, 0.0, 0.0, 1.0, 0.0], |x, t| x.cross_entropy(t);
    "dot_product_attention", &[0.3, -0.2, 0.3, 1.0, 0.5, 0.0, -1.0, 0.7], |x, y| {
        let (q, k) = (x.reshape([2, 2, 1]), y.reshape([4, 1, 1]));
        let bias = x.reshape([2, 2, 1]);
        let options = AttentionOptions::new().soft_cap(2.0).window(0, 1).bias(&bias);
        dot_product_attention(&q, &k, &k.square(), options)
    };
    "x.layer_norm", &[0.0, 0.7, 0.7, -1.2, 1.0, 0.0, 0.5, 0.5], |x, y| {
        x.reshape([2, 2]).layer_norm(Some(&y.slice(0, ..2)), Some(&y.slice(0, 2..)), 0.1)
    };
    "x.layer_norm", REAL, |x| x.layer_norm(None, None, 0.5);
    "x.rms_norm", &[0.0, 0.7, 0.7, -1.2, 1.0, 0.0, 0.5, 0.5], |x, y| {
        x.reshape([2, 2]).rms_norm(Some(&y.slice(0, 1..3)), 0.1)
    };
    "x.rms_norm", REAL, |x| x.rms_norm(None, 0.5);
    "x.batch_norm_training", NORMS, |x, y| {
        let (scale, bias) = (y.slice(0, ..2), y.slice(0, 2..4));
        let (y, mean, var) = x.reshape([3, 2]).batch_norm_training(&scale, &bias, 1, 0.1);
        y.sum(0) + mean.square() * var.exp() + y.get(0)
    };
    "x.batch_norm_inference", &[0.0, 0.7, 0.7, -1.2, 1.0, 0.0, 0.5, 0.5], |x, y| {
        let [scale, bias, mean, var] = [0, 1, 2, 3].map(|i| y.slice(0, i..i + 1));
        x.reshape([1, 4]).batch_norm_inference(&scale, &bias, &mean, &var, 0, 0.1)
    };
    "x.sparse_cross_entropy", &[0.0, 0.7, 0.7, -1.2, 0.0, 0.0], |x| {
        x.reshape([2, 3]).sparse_cross_entropy(&tensor([1, 0]))
    };
    // Selections by constants.
    "x.select", REAL, |x| x.gt(0.1).select(x.square(), -x.square() + 0.5).slice(0, 1..4);
    "where_", REAL, |x| where_(&tensor([true, false, true, true, false]), x.square(), x.sin());
    "block", MATRICES, |x, y| {
        let (x, y) = (x.square().reshape([2, 2]), y.square().reshape([2, 2]));
        block([[&x, &y], [&y, &x]]).square()
    };
    "column_stack", MATRICES, |x, y| column_stack([x.square(), y.square()]).square();
    "dstack", MATRICES, |x, y| dstack([x.square(), y.square()]).square();
    "broadcast_arrays", MATRICES, |x, y| {
        let both = broadcast_arrays([x.square().expand_dims(1), y.square()]);
        &both[0] * &both[1]
    };
    "x.atleast_1d", REAL, |x| x.square().atleast_1d();
    "x.atleast_2d", REAL, |x| x.square().atleast_2d();
    "x.atleast_3d", REAL, |x| x.square().atleast_3d();
    "x.collapse", MATRIX, |x| x.square().reshape([2, 1, 2]).collapse(1..);
    "x.ediff1d", MATRIX, |x| x.square().reshape([2, 2]).ediff1d().square();
    "select_first", MATRICES, |x, y| {
        let masks = [tensor([true, false, false, true]), tensor([true, true, false, false])];
        select_first(masks, [x.square(), y.square()], 2.0) * x
    };
    "x.choose", MATRICES, |x, y| tensor([0, 1, 1, 0]).choose([x.square(), y.square()]) * x;
    "x.piecewise", REAL, |x| {
        let mask = tensor([true, false, false, true, true]);
        x.piecewise([mask], &[&|x| x.square(), &|x| x.sin()])
    };
    "vectorize", MATRICES, |x, y| {
        let f = vectorize("(n),(n)->(n)", |(x, y): (Tensor, Tensor)| x.square() * y.sum(..));
        f((x.reshape([2, 2]), y.square().reshape([2, 2])))
    };
    "x.apply_along_axis", MATRIX, |x| {
        x.reshape([2, 2]).apply_along_axis(0, |v: Tensor| v.square().cumsum(0).square())
    };
    "x.apply_over_axes", MATRIX, |x| {
        x.square().reshape([2, 2]).apply_over_axes([0, 1], |x, axis| x.sum(axis).square())
    };
    "associative_scan", MATRIX, |x| {
        associative_scan(|x: Tensor, y: Tensor| x * y, x.square(), 0)
    };
    "associative_scan_reverse", MATRIX, |x| {
        associative_scan_reverse(|x: Tensor, y: Tensor| x + y, x.square(), 0).square()
    };
    "Tensor::kaiser", &[1.5], |x| Tensor::kaiser(5, x.get(0));
    "x.convolve", MATRICES, |x, y| x.square().convolve(&y.square(), ConvolveMode::Same).square();
    "x.correlate", MATRICES, |x, y| x.square().correlate(&y.square(), ConvolveMode::Full).square();
    "x.fftconvolve", MATRICES, |x, y| {
        x.square().fftconvolve(&y.square(), ConvolveMode::Full).square()
    };
    "x.patches", MATRIX, |x| x.square().reshape([1, 1, 4]).patches(2, Windows::new()).square();
    "x.poly", MATRIX, |x| x.square().poly().square();
    "x.polyadd", MATRICES, |x, y| x.square().polyadd(&y.square().slice(0, 1..)).square();
    "x.polysub", MATRICES, |x, y| x.square().polysub(&y.square().slice(0, 1..)).square();
    "x.polymul", MATRICES, |x, y| x.square().polymul(&y.square()).square();
    "x.polydiv", &[0.0, 0.7, 0.7, 1.2, 0.5, -0.3], |x, y| {
        let (quotient, rest) = x.square().polydiv(&(y.square().slice(0, ..2) + 1));
        quotient.square().sum(..) * rest.get(-1)
    };
    "x.polyder", MATRIX, |x| x.square().polyder(2).square();
    "x.polyint", MATRIX, |x| x.square().polyint(2, x.slice(0, ..2).square()).square();
    "x.polyfit_with", &[0.0, 0.7, 1.5, -1.2, 0.4, 0.0, -0.3, 0.7], |x, y| {
        x.polyfit_with(&y.square(), 1, PolyfitOptions::new().weights(y.exp()))
    };
    "x.polyfit_full", &[0.0, 0.7, 1.5, -1.2, 0.4, 0.0, -0.3, 0.7], |x, y| {
        let (fit, rest, _, s) = x.polyfit_full(&y.square(), 1, PolyfitOptions::new());
        (fit + rest) * s
    };
    "x.polyfit_cov", &[0.0, 0.7, 1.5, -1.2, 0.4, 0.0, -0.3, 0.7], |x, y| {
        x.polyfit_cov(&y.square(), 1, PolyfitOptions::new()).1
    };
    "x.polyfit", &[0.0, 0.7, 1.5, -1.2, 0.4, 0.0, -0.3, 0.7], |x, y| x.polyfit(&y.square(), 1);
    "x.compress_with", REAL, |x| {
        let mask = tensor([true, false, true, true]);
        x.square().compress_with(&mask, 0, SizeOptions::new().size(4).fill_value(2.0)).square()
    };
    "x.extract_with", REAL, |x| {
        x.square().extract_with(&x.gt(0.1), SizeOptions::new().size(3)).square()
    };
    "x.put", MATRICES, |x, y| x.square().put(&tensor([2, 0]), y.square().slice(0, ..2)).square();
    "x.put_along_axis", MATRICES, |x, y| {
        x.square().put_along_axis(&tensor([3, 0, 1, 2]), y.square(), 0) * x
    };
    "x.place", MATRICES, |x, y| x.square().place(&tensor([1, 0, 1, 1]), y.square()) * x;
    "x.fill_diagonal", MATRICES, |x, y| {
        x.square().reshape([2, 2]).fill_diagonal(y.square().slice(0, ..2)).square()
    };
    "x.put_diagonal", MATRICES, |x, y| {
        x.square().reshape([2, 2]).put_diagonal(y.square().slice(0, ..1), 1).square()
    };
    "x.insert", MATRICES, |x, y| x.square().insert(1, y.square(), 0).square();
    "x.delete", REAL, |x| x.square().delete(1, 0).square();
    "x.delete_unique", REAL, |x| x.square().delete_unique(&tensor([3, 0]), 0).square();
    "x.vander", MATRIX, |x| x.vander(4, false);
    "x.diagflat", MATRIX, |x| x.square().diagflat(1).square();
    "x.resize", MATRIX, |x| x.square().resize([2, 3]).square();
    // Cumulative functions.
    "x.cumsum", REAL, |x| x.cumsum(0).square();
    "x.cumprod", REAL, |x| x.cumprod(0);
    "x.cumlogsumexp", REAL, |x| x.cumlogsumexp(0);
    "x.cumsum_with", REAL, |x| x.cumsum_with(0, CumulativeOptions::new().reverse()).square();
    "x.cumprod_with", REAL, |x| x.cumprod_with(0, CumulativeOptions::new().reverse());
    "x.cumlogsumexp_with", REAL, |x| x.cumlogsumexp_with(0, CumulativeOptions::new().reverse());
    "x.diff", REAL, |x| x.diff(2, 0).square();
    "x.trapezoid", REAL, |x| x.square().trapezoid(0.5, 0);
    // Sums of products.
    "einsum", MATRIX, |x| einsum("ij,jk,ik->i", [&m(x), &m(x), &m(x)]);
    "x.matmul", MATRICES, |x, y| m(x).matmul(m(y)).square();
    "matmul", MATRICES, |x, y| matmul(&m(x), &m(y)).square();
    "x.dot", MATRICES, |x, y| x.dot(y).square();
    "x.vdot", MATRICES, |x, y| complex(x).vdot(complex(y));
    "x.inner", MATRICES, |x, y| x.inner(y).square();
    "x.outer", MATRICES, |x, y| x.outer(y);
    "x.tensordot", MATRICES, |x, y| m(x).tensordot(m(y), [0, 1], [1, 0]);
    "x.trace", MATRIX, |x| m(x).trace(0).square();
    "x.kron", MATRICES, |x, y| x.kron(y);
    "x.cross", PAIRS, |x, y| x.slice(0, ..3).cross(y.slice(0, 1..4));
    "x.matrix_power", MATRIX, |x| m(x).matrix_power(3);
    "x.cosine_similarity", PAIRS, |x, y| x.cosine_similarity(y, 0);
    "x.cosine_similarity", &[0.0, 2.0, 0.0, 2.0], |x, y| x.cosine_similarity(y, 0);
    // Indexing, joining and moving.
    "x.take", REAL, |x| x.take(tensor([0, 0, -2]), 0).square();
    "x.take_along_axis", REAL, |x| x.take_along_axis(&tensor([3, 3]), 0).square();
    "x.dynamic_slice", REAL, |x| x.dynamic_slice(tensor([1]), 3).square();
    "x.dynamic_update_slice", REAL, |x| {
        x.dynamic_update_slice(x.slice(0, ..2), tensor([1])).square()
    };
    "x.get", REAL, |x| x.get(0).square();
    "x.slice", REAL, |x| x.slice(0, ..3).square();
    "x.index", REAL, |x| x.index(neurax::step(.., -2)).square();
    "x.at(i).get", REAL, |x| x.at(0..2).get().square();
    "x.at(i).set", REAL, |x| x.at(tensor([1, 1])).set(x.slice(0, ..2)).square();
    "x.at(i).add", REAL, |x| x.at(tensor([1, 1])).add(x.slice(0, ..2)).square();
    "x.at(i).mul", REAL, |x| x.at(tensor([0, 3])).unique().mul(x.slice(0, ..2));
    "concat", REAL, |x| concat([x, &x.square()], 0).square();
    "stack", REAL, |x| stack([x, &x.square()], 0).square();
    "hstack", REAL, |x| hstack([x, &x.square()]).square();
    "vstack", MATRIX, |x| vstack([m(x), m(x).square()]).square();
    "x.split", MATRIX, |x| &x.split(2, 0)[0] * &x.split(2, 0)[1];
    "x.array_split", REAL, |x| x.array_split(2, 0)[0].square();
    "x.chunk", REAL, |x| x.chunk(2, 0)[2].square();
    "x.unstack", REAL, |x| &x.unstack(0)[0] * &x.unstack(0)[1];
    "x.tril", MATRIX, |x| m(x).tril(0).square();
    "x.triu", MATRIX, |x| m(x).triu(0).square();
    "x.diag", MATRIX, |x| x.diag(1).square();
    "x.diagonal", MATRIX, |x| m(x).diagonal(0, 0, 1).square();
    "meshgrid", MATRICES, |x, y| { let g = meshgrid([x, y], Indexing::Ij); &g[0] * &g[1] };
    "x.flip", REAL, |x| x.flip(0) * x;
    "x.roll", REAL, |x| x.roll(1, 0) * x;
    "x.rot90", MATRIX, |x| m(x).rot90(1, 0, 1) * m(x);
    "x.repeat", REAL, |x| x.repeat(2, 0).square();
    "x.tile", REAL, |x| x.tile([2]).square();
    "x.pad", REAL, |x| x.pad([(1, 2)], 0.5).square();
    "x.pad_dilated", REAL, |x| x.pad_dilated([(2, -1, 1)], 0.5).square();
    "x.pad_with", REAL, |x| x.pad_with([(2, 3)], PadMode::Reflect).square();
    "x.reshape", MATRIX, |x| x.reshape([2, 2]).square();
    "x.permute", MATRIX, |x| m(x).permute([1, 0]) * m(x);
    "x.t", MATRIX, |x| m(x).t() * m(x);
    "x.transpose", MATRIX, |x| m(x).transpose() * m(x);
    "x.move_axis", MATRIX, |x| m(x).move_axis(0, 1) * m(x);
    "x.broadcast_to", REAL, |x| x.broadcast_to([2, 5]).square();
    "x.expand_dims", REAL, |x| x.expand_dims(0) * x.expand_dims(1);
    "x.swap_axes", MATRIX, |x| m(x).swap_axes(0, 1) * m(x);
    "x.flatten", MATRIX, |x| m(x).flatten().square();
    "x.squeeze", REAL, |x| x.reshape([1, 5]).squeeze(0).square();
    "x.sort_by_key", REAL, |x| x.sort_by_key(&tensor([3, 1, 2, 0, 4]), 0).square();
    "Key::shuffle_each", REAL, |x| key(0).shuffle_each(x, 0) * x;
    "Key::uniform_of", POSITIVE, |x| key(0).uniform_of(x.dtype(), [4], -x, x.square());
    "Key::normal_around", POSITIVE, |x| key(0).normal_around(x, x.square(), [4]);
    "Key::lognormal", POSITIVE, |x| key(0).lognormal(x, [2, 4]);
    "Key::pareto", POSITIVE, |x| key(0).pareto(x, [2, 4]);
    "Key::rayleigh", POSITIVE, |x| key(0).rayleigh(x, [4]).square();
    "Key::weibull_min", POSITIVE, |x| key(0).weibull_min(x, x, [4]);
    "Key::triangular", UNIT, |x| key(0).triangular(-x, x * 0.3, x + 1.0, [4]);
    "Key::double_sided_maxwell", POSITIVE, |x| key(0).double_sided_maxwell(x, x.square(), [4]);
    "Key::truncated_normal", POSITIVE, |x| key(0).truncated_normal(-x, x, [4]);
    "Key::wald", POSITIVE, |x| key(0).wald(x, [4]);
    "Key::multivariate_normal", POSITIVE_DEFINITE, |x| {
        key(0).multivariate_normal(x.slice(0, ..2), &m(x), [2])
    };
    "Key::multivariate_normal_with", POSITIVE_DEFINITE, |x| {
        let options = MultivariateNormalOptions::new();
        key(0).multivariate_normal_with(x.slice(0, ..2), &m(x), [2], options)
    };
    "Key::shuffle", REAL, |x| key(0).shuffle(x, 0) * x;
    // Elementwise functions.
    "x.sin", REAL, |x| x.sin();
    "x.cos", REAL, |x| x.cos();
    "x.tan", REAL, |x| x.tan();
    "x.asin", INSIDE, |x| x.asin();
    "x.acos", INSIDE, |x| x.acos();
    "x.atan", REAL, |x| x.atan();
    "x.sinh", REAL, |x| x.sinh();
    "x.cosh", REAL, |x| x.cosh();
    "x.tanh", REAL, |x| x.tanh();
    "x.asinh", REAL, |x| x.asinh();
    "x.acosh", &[1.5, 1.5, 3.0], |x| x.acosh();
    "x.atanh", INSIDE, |x| x.atanh();
    "x.exp", REAL, |x| x.exp();
    "x.expm1", REAL, |x| x.expm1();
    "x.log", POSITIVE, |x| x.log();
    "x.log1p", INSIDE, |x| x.log1p();
    "x.sqrt", POSITIVE, |x| x.sqrt();
    "x.rsqrt", POSITIVE, |x| x.rsqrt();
    "x.cbrt", &[0.5, 1.0, 1.0, -2.3], |x| x.cbrt();
    "x.sigmoid", REAL, |x| x.sigmoid();
    "x.erf", REAL, |x| x.erf();
    "x.erfc", REAL, |x| x.erfc();
    "x.erf_inv", INSIDE, |x| x.erf_inv();
    "x.lgamma", &[0.5, 1.0, 2.0, 2.0, -0.4], |x| x.lgamma();
    "x.digamma", &[0.5, 1.0, 2.0, 2.0, -0.4], |x| x.digamma();
    "x.real", MATRICES, |x| complex(x).square().real();
    "x.imag", MATRICES, |x| complex(x).square().imag();
    "x.conj", MATRICES, |x| complex(x).conj() * complex(x).square();
    "x.complex", PAIRS, |x, y| x.square().complex(y.square() * x);
    "x.angle", PAIRS, |x| complex(x).angle().slice(0, ..3);
    "x.negative", REAL, |x| x.negative().square();
    "x.pow", REAL, |x| x.pow(2.0);
    "x.pow", REAL, |x| x.pow(3.0);
    "x.pow", REAL, |x| x.pow(1.0).square();
    "x.pow", REAL, |x| x.pow(0.0) * x.square();
    "x.pow", REAL, |x| x.full_like(2.0).pow(x);
    "x.pow", &[1.0, 2.0, 0.5, 2.0, 0.0, 0.0, -1.0, 2.0], |x, y| x.pow(y);
    "x.float_power", &[1.0, 2.0, 0.5, 2.0, 0.0, 0.0, -1.0, 2.0], |x, y| x.float_power(y);
    "x.square", REAL, |x| x.square();
    "x.square", REAL, |x| x.abs().square();
    "x.square", MATRICES, |x| complex(x).abs().square();
    "x.reciprocal", POSITIVE, |x| x.reciprocal();
    "x.exp2", REAL, |x| x.exp2();
    "x.log2", POSITIVE, |x| x.log2();
    "x.log10", POSITIVE, |x| x.log10();
    "x.deg2rad", REAL, |x| x.deg2rad().square();
    "x.rad2deg", REAL, |x| x.rad2deg().square();
    "x.logit", UNIT, |x| x.logit();
    "x.to", REAL, |x| x.to(C128).square();
    "x.atan2", PAIRS, |y, x| y.atan2(x).slice(0, ..3);
    "x.hypot", PAIRS, |x, y| x.hypot(y);
    "x.logaddexp", PAIRS, |x, y| x.logaddexp(y);
    "x.logaddexp2", PAIRS, |x, y| x.logaddexp2(y);
    "x.polygamma", POSITIVE, |x| x.full_like(1.0).polygamma(x);
    "x.zeta", POSITIVE, |x| x.full_like(2.5).zeta(x);
    "x.gammainc", POSITIVE, |x| x.full_like(1.5).gammainc(x);
    "x.gammaincc", POSITIVE, |x| x.full_like(1.5).gammaincc(x);
    "x.igamma_grad_a", POSITIVE, |x| x.full_like(1.5).igamma_grad_a(x);
    "x.random_gamma_grad", POSITIVE, |x| x.full_like(1.5).random_gamma_grad(x);
    "x.betainc", UNIT, |x| x.full_like(1.5).betainc(2.5, x);
    "x.expn", POSITIVE, |x| tensor([0, 1, 2, 5]).expn(x);
    "x.exp1", POSITIVE, |x| x.exp1();
    "x.expi", POSITIVE, |x| x.expi();
    "x.spence", POSITIVE, |x| x.spence();
    "x.dawsn", REAL, |x| x.dawsn();
    "x.sici", POSITIVE, |x| { let (sine, cosine) = x.sici(); sine + cosine };
    "x.fresnel", REAL, |x| { let (sine, cosine) = x.fresnel(); sine + cosine };
    "x.owens_t", MATRICES, |h, a| h.owens_t(a);
    "x.wofz", REAL, |x| { let w = x.wofz(); w.real() + w.imag() };
    "x.loggamma", MATRICES, |x, y| x.exp().complex(y).loggamma().real();
    "x.bessel_jn", REAL, |x| { let j = x.bessel_jn(3); j.get(0) * j.get(3) + j.get(1) };
    "x.sph_harm_y", MATRICES, |x, y| {
        tensor([2, 2, 1, 3]).sph_harm_y(tensor([0, 1, 1, -2]), x, y, 3).real()
    };
    "x.xlogy", &[0.0, 1.0, 0.5, 2.0, 1.0, 0.5], |x, y| x.xlogy(y);
    "x.xlog1py", &[0.0, 1.0, 0.5, 2.0, 0.0, 0.5], |x, y| x.xlog1py(y);
    "x.sinc", REAL, |x| x.sinc();
    "x.ndtr", REAL, |x| x.ndtr();
    "x.entr", POSITIVE, |x| x.entr();
    "x.gamma", POSITIVE, |x| x.gamma();
    "x.factorial", POSITIVE, |x| x.factorial();
    "x.i0", REAL, |x| x.i0();
    "x.i1", REAL, |x| x.i1();
    "x.erfcx", REAL, |x| x.erfcx();
    "x.log_ndtr", REAL, |x| x.log_ndtr();
    "x.ndtri", UNIT, |x| x.ndtri();
    "x.erfcinv", UNIT, |x| x.erfcinv();
    "x.rel_entr", POSITIVE, |x| x.rel_entr(x.square() + 0.5);
    "x.kl_div", POSITIVE, |x| x.kl_div(x.square() + 0.5);
    "x.betaln", &[0.5, 2.0, 12.0, 1.0, 2.0, 3.0], |a, b| a.betaln(b);
    "x.beta", &[0.5, 2.0, 3.0, 1.0, 2.0, 0.7], |a, b| a.beta(b);
    "x.poch", &[0.5, 2.0, 3.0, 1.0, 0.0, 0.7], |a, b| a.poch(b);
    "x.comb", &[5.0, 2.5, 3.0, 1.0, 2.0, 0.7], |n, k| n.comb(k);
    "x.multigammaln", POSITIVE, |x| (x + 1.0).multigammaln(3);
    "x.boxcox", &[0.5, 2.0, 1.0, 0.0, 1.5, -0.5], |x, p| x.boxcox(p);
    "x.boxcox1p", &[0.5, 2.0, 0.0, 0.0, 1.5, -0.5], |x, p| x.boxcox1p(p);
    "x.nan_to_num", REAL, |x| x.nan_to_num().square();
    "x.lerp", MATRICES, |x, y| x.lerp(y, x.sin());
    "x.polyval", REAL, |x| x.polyval(&x.slice(0, ..3));
    "x + y", MATRICES, |x, y| (x + y).square();
    "x - y", MATRICES, |x, y| (x - y).square();
    "x * y", MATRICES, |x, y| x * y;
    "x / y", &[0.0, 1.0, -2.0, 1.0, 1.0, 0.5], |x, y| x / y;
    // Reductions.
    "x.sum", REAL, |x| x.sum(..).square();
    "x.prod", REAL, |x| x.prod(..);
    "x.prod", &[0.0, 0.5, 0.5, 2.0], |x| x.prod(..);
    "x.mean", REAL, |x| x.mean(..).square();
    "x.nansum", REAL, |x| concat([x, &x.full_like(f64::NAN)], 0).nansum(..).square();
    "x.nanprod", REAL, |x| concat([x, &x.full_like(f64::NAN)], 0).nanprod(..);
    "x.nanmean", REAL, |x| concat([x, &x.full_like(f64::NAN)], 0).nanmean(..).square();
    "x.average", MATRICES, |x, w| x.average(w.square() + 1.0, ..);
    "x.var", &[1.0, 2.0, 3.0], |x| x.var(.., 0);
    "x.var", &[2.0, 2.0, 2.0], |x| x.var(.., 1);
    "x.var", MATRICES, |x| complex(x).var(.., 0);
    "x.std", &[1.0, 2.0, 3.0], |x| x.std(.., 0);
    "x.std", &[1.0, 2.0, 3.0, 0.0, 0.0, 0.0], |x| complex(x).std(.., 1);
    "x.norm", REAL, |x| x.norm(..);
    "x.norm", MATRICES, |x| complex(x).norm(..);
    // Covariances.
    "x.cov", &[1.0, 2.0, 3.0, 1.0, 1.0, 2.0], |x| x.reshape([2, 3]).cov(1);
    "x.corrcoef", &[1.0, 2.0, 3.0, 1.0, 1.0, 2.0], |x| x.reshape([2, 3]).corrcoef();
    // Convolutions.
    "x.conv", PAIRS, |x, k| x.reshape([1, 1, 5]).conv(&k.reshape([1, 1, 5]), same());
    "x.conv_transpose", PAIRS, |x, k| {
        x.reshape([1, 1, 5]).conv_transpose(&k.reshape([1, 1, 5]), same())
    };
    "x.avg_pool", REAL, |x| x.reshape([1, 1, 5]).avg_pool(2, Windows::default()).square();
    "x.sum_pool", REAL, |x| x.reshape([1, 1, 5]).sum_pool(2, Windows::default()).square();
    "x.window_sum", REAL, |x| x.window_sum(2, Windows::new()).square();
    "x.conv_local", MATRICES, |x, k| {
        x.reshape([1, 2, 2]).conv_local(&k.reshape([1, 2, 2]), 1, Windows::new()).square()
    };
    "x.sparse_dot", MATRICES, |x, y| {
        let (rows, columns) = (tensor([1, 0, 1, 3]), tensor([0, 1, 1, 0]));
        x.reshape([4]).sparse_dot(&rows, &columns, 2, &y.reshape([2, 2]))
    };
    "x.ragged_dot", MATRICES, |x, y| {
        x.square().reshape([4, 1]).ragged_dot(&y.reshape([4, 1, 1]), &tensor([1, 0, 2, 0]))
    };
    "x.ragged_dot_contracted", MATRICES, |x, y| {
        let (x, y) = (x.square().reshape([4, 1]), y.reshape([4, 1]));
        x.ragged_dot_contracted(&y, &tensor([1, 3]))
    };
    "tridiagonal_solve", SYSTEM, |a, b| {
        let diagonal = a.square().slice(0, ..2);
        tridiagonal_solve(&a.slice(0, 2..), &diagonal, &b.slice(0, 1..3), b.slice(0, ..2))
    };
    "x.roots", &[1.0, -1.5, -5.5, 3.0], |x| x.roots();
    "x.sqrtm", POSITIVE_DEFINITE, |x| m(x).sqrtm();
    "x.sqrtm", MATRICES, |x, y| (m(x).complex(m(y)) + Tensor::eye(2) * 4).sqrtm();
    "x.det", SYSTEM, |x, y| (x.outer(y) + Tensor::eye(4) * 3).det();
    "x.image_resize", REAL, |x| {
        x.square().image_resize([3], ResizeOptions::new(Interpolation::Lanczos3))
    };
    "x.scale_and_translate", PAIRS, |x, y| {
        let (scale, shift) = (y.get(1) + 1.13, y.get(2) * 0.17);
        let options = ResizeOptions::new(Interpolation::Cubic);
        x.square().scale_and_translate([4], &[0], scale, shift, options)
    };
    "x.conv_as", MATRICES, |x, y| {
        x.reshape([1, 1, 4]).conv_as(&y.slice(0, ..3).reshape([1, 1, 3]), Windows::new(), F64)
    };
    "x.hyp1f1", PAIRS, |x, y| x.hyp1f1(y.square() + 1.3, y * 1.7 + x);
    "x.hyp2f1", PAIRS, |x, y| x.hyp2f1(y, y.square() + 1.3, (x + y).tanh() * 0.8);
    "x.ldexp", REAL, |x| x.ldexp(3).square();
    "x.sort_by_keys", REAL, |x| {
        x.square().sort_by_keys([tensor([1, 0, 1, 0, 1]), tensor([4, 3, 2, 1, 0])], 0) * x
    };
}

/// Returns a 2 by 2 matrix.
pub fn m(x: &Tensor) -> Tensor {
    x.reshape([2, 2])
}

fn same() -> Windows {
    Windows::default().padding(Padding::Same)
}

#[test]
fn points_have_zeros_and_ties() {
    for point in [REAL, PAIRS, MATRIX, MATRICES] {
        let x = f64s(point);
        assert!(x.equal(0).any(..).item().unwrap() == 1.0, "{point:?}");
    }
}
