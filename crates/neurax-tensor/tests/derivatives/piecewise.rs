//! Functions with kinks or jumps, between them.

use crate::law::{complex, halves};
use neurax::{Windows, concat, prelude::*};

/// Rows `name, reason, point, |x| formula;`, and `|a, b|` for a function of the two halves of the
/// point. The point is away from the kinks.
macro_rules! piecewise {
    ($($name:literal, $why:literal, $point:expr, |$x:ident $(, $y:ident)?| $e:expr;)*) => {
        /// A name of `docs/functions.md`, the reason why the function is not smooth everywhere, a
        /// point, and the function of it.
        pub const PIECEWISE: &[(&str, &str, &[f64], fn(&Tensor) -> Tensor)] =
            &[$(($name, $why, $point, piecewise!(@ $x $(, $y)?, $e))),*];
    };
    (@ $x:ident, $e:expr) => { |$x| $e };
    (@ $x:ident, $y:ident, $e:expr) => {
        |both| {
            let [$x, $y] = &halves(both);
            $e
        }
    };
}

/// Numbers of both signs with a tie.
const REAL: &[f64] = &[0.3, 0.7, 0.7, -1.2, -3.4, 7.0];
/// Pairs without ties.
const PAIRS: &[f64] = &[0.4, 0.5, 0.5, -1.0, 0.8, 0.2, -0.7, -0.6];

piecewise! {
    "x.relu", "a kink at 0", REAL, |x| x.relu().square();
    "x.relu6", "kinks at 0 and 6", REAL, |x| x.relu6().square();
    "x.selu", "a kink at 0", REAL, |x| x.selu();
    "x.softsign", "the second derivative jumps at 0", REAL, |x| x.softsign();
    "x.hard_tanh", "kinks at -1 and 1", REAL, |x| x.hard_tanh().square();
    "x.hard_sigmoid", "kinks at -3 and 3", REAL, |x| x.hard_sigmoid().square();
    "x.hard_silu", "kinks at -3 and 3", REAL, |x| x.hard_silu();
    "x.elu", "the second derivative jumps at 0", REAL, |x| x.elu(0.7);
    "x.celu", "the second derivative jumps at 0", REAL, |x| x.celu(0.7);
    "x.leaky_relu", "a kink at 0", REAL, |x| x.leaky_relu(0.1).square();
    "x.hard_shrink", "jumps at the bound", REAL, |x| x.hard_shrink(0.5).square();
    "x.soft_shrink", "kinks at the bound", REAL, |x| x.soft_shrink(0.5).square();
    "x.cummax", "a kink where elements are equal", PAIRS, |x, y| (x * y).cummax(0);
    "x.cummin", "a kink where elements are equal", PAIRS, |x, y| (x * y).cummin(0);
    "x.at(i).min", "a kink at ties", PAIRS, |x, y| {
        x.square().at(tensor([1, 2, 0, 3])).min(y.square())
    };
    "x.at(i).max", "a kink at ties", PAIRS, |x, y| {
        x.square().at(tensor([1, 2, 0, 3])).max(y.square())
    };
    "x.i0e", "a kink at 0, of the factor e^-|x|", REAL, |x| x.i0e();
    "x.i1e", "the second derivative jumps at 0", REAL, |x| x.i1e();
    "x.abs", "a kink at 0", REAL, |x| x.abs() * x;
    "x.abs", "a kink at 0, not where one part is 0", &[0.0, 3.0, -1.0, 0.0], |x| complex(x).abs();
    "x.sign", "a jump at 0", &[0.0, 3.0, -1.0, 0.0], |x| complex(x).sign();
    "x.maximum", "a kink at ties", PAIRS, |x, y| x.square().maximum(y.square());
    "x.minimum", "a kink at ties", PAIRS, |x, y| x.square().minimum(y.square());
    "x.fmod", "jumps at multiples", PAIRS, |x, y| x.fmod(y).square();
    "x % y", "jumps at multiples", PAIRS, |x, y| (x % y).square();
    "x.remainder", "jumps at multiples", PAIRS, |x, y| x.remainder(y).square();
    "x.clip", "kinks at the bounds", REAL, |x| x.clip(-1, 1).square();
    "x.copysign", "a kink at 0", PAIRS, |x, y| x.copysign(y).square();
    "x.interp", "kinks at the points", REAL, |x| {
        x.interp(&tensor([0.0, 1.0, 2.0]), &tensor([0.0, 3.0, 1.0])).square()
    };
    "x.interp", "none if the points are on a line", &[0.0, 1.0, 1.0, 2.0], |x| {
        x.interp(&tensor([-1.0, 0.0, 1.0, 2.0, 4.0]), &tensor([-2.0, 0.0, 2.0, 4.0, 8.0])).square()
    };
    "x.max", "a kink where elements are equal", PAIRS, |x, y| (x * y).max(..);
    "x.min", "a kink where elements are equal", PAIRS, |x, y| (x * y).min(..);
    "x.ptp", "a kink where elements are equal", PAIRS, |x, y| (x * y).ptp(..);
    "x.nanmax", "a kink where elements are equal", PAIRS, |x, y| (x * y).nanmax(..);
    "x.nanmin", "a kink where elements are equal", PAIRS, |x, y| (x * y).nanmin(..);
    "x.norm_of_order", "a kink at 0 for order 1", REAL, |x| x.norm_of_order(1.0, ..).square();
    "x.norm_of_order", "smooth for order 2", &[0.0, 0.7, 0.7], |x| x.norm_of_order(2.0, ..);
    "x.norm_of_order", "smooth for order 4", &[0.0, 0.7, 0.7], |x| x.norm_of_order(4.0, ..);
    "x.norm_of_order", "a kink at 0 below order 1", REAL, |x| x.norm_of_order(0.5, ..);
    "x.norm_of_order", "the second derivative is infinite at 0", REAL, |x| x.norm_of_order(1.5, ..);
    "x.norm_of_order", "a kink at 0 below order 1", REAL, |x| x.norm_of_order(-1.0, ..);
    "x.norm_of_order", "the largest element: kinks", PAIRS, |x, y| {
        (x * y).norm_of_order(f64::INFINITY, ..)
    };
    "x.sort", "kinks where elements are equal", PAIRS, |x, y| (x * y).sort(0);
    "x.top_k", "kinks where elements are equal", PAIRS, |x, y| (x * y).top_k(2).0;
    "x.median", "kinks where elements are equal", PAIRS, |x, y| (x * y).median(..);
    "x.quantile", "kinks where elements are equal", PAIRS, |x, y| (x * y).quantile(0.3, ..);
    "x.percentile", "kinks where elements are equal", PAIRS, |x, y| (x * y).percentile(30, ..);
    "x.max_pool", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).reshape([1, 1, 4]).max_pool(2, Windows::default())
    };
    "x.window_scatter_max", "jumps where elements are equal", PAIRS, |x, y| {
        (x * y).window_scatter_max(&y.square().slice(0, 1..), y.get(0), 2, Windows::new()).square()
    };
    "x.window_scatter_min", "jumps where elements are equal", PAIRS, |x, y| {
        (x * y).window_scatter_min(&y.square().slice(0, 1..), y.get(0), 2, Windows::new()).square()
    };
    "x.window_max", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).window_max(2, Windows::new())
    };
    "x.window_min", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).window_min(2, Windows::new())
    };
    "x.cummax_with", "a kink where elements are equal", PAIRS, |x, y| {
        (x * y).cummax_with(0, CumulativeOptions::new().reverse())
    };
    "x.cummin_with", "a kink where elements are equal", PAIRS, |x, y| {
        (x * y).cummin_with(0, CumulativeOptions::new().reverse())
    };
    "x.sort_with", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).sort_with(0, SortOptions::new().descending())
    };
    "x.partition", "kinks where elements are equal", PAIRS, |x, y| (x * y).partition(1, 0).square();
    "x.minmax", "kinks where elements are equal", PAIRS, |x, y| {
        let (low, high) = (x * y).minmax(..);
        low.square() * high
    };
    "x.approx_max_k", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).approx_max_k(2, 0).0.square()
    };
    "x.approx_min_k", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).approx_min_k(2, 0).0.square()
    };
    "x.unique_with", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).unique_with(SizeOptions::new().size(5).fill_value(1)).square()
    };
    "x.unique_all_with", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).unique_all_with(SizeOptions::new().size(3)).values.square()
    };
    "x.unique_along_with", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).reshape([2, 2]).unique_along_with(0, SizeOptions::new().size(3)).values.square()
    };
    "x.union1d_with", "kinks where elements are equal", &[0.4, 0.5, -1.0, 0.2], |x, y| {
        x.square().union1d_with(y, SizeOptions::new().size(5)).square()
    };
    "x.intersect1d_with", "kinks where elements are equal", &[0.4, 0.5, -1.0, 0.2], |x, y| {
        let (x, y) = (x.square(), concat([x.square(), y.square()], 0));
        x.intersect1d_with(&y, SizeOptions::new().size(3)).square()
    };
    "x.setdiff1d_with", "kinks where elements are equal", &[0.4, 0.5, -1.0, 0.2], |x, y| {
        x.square().setdiff1d_with(y, SizeOptions::new().size(3)).square()
    };
    "x.setxor1d_with", "kinks where elements are equal", &[0.4, 0.5, -1.0, 0.2], |x, y| {
        x.square().setxor1d_with(y, SizeOptions::new().size(4)).square()
    };
    "x.max_with", "a kink where elements are equal", PAIRS, |x, y| {
        (x * y).max_with(.., ReduceOptions::new().where_(x.gt(0)))
    };
    "x.min_with", "a kink where elements are equal", PAIRS, |x, y| {
        (x * y).min_with(.., ReduceOptions::new().where_(x.gt(0)).initial(7))
    };
    "x.mode", "jumps where elements become equal", PAIRS, |x, y| (x * y).mode(..);
    "x.sparse_plus", "the second derivative jumps at -1 and 1", REAL, |x| x.sparse_plus();
    "x.sparse_sigmoid", "kinks at -1 and 1", REAL, |x| x.sparse_sigmoid().square();
    "x.nanmedian", "kinks where elements are equal", PAIRS, |x, y| (x * y).nanmedian(..);
    "x.nanquantile", "kinks where elements are equal", PAIRS, |x, y| (x * y).nanquantile(0.3, ..);
    "x.nanpercentile", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).nanpercentile(30, ..)
    };
    "x.quantile_with", "kinks where elements are equal", PAIRS, |x, y| {
        let options = QuantileOptions::new().method(QuantileMethod::Midpoint);
        (x * y).quantile_with(0.3, .., options)
    };
    "x.percentile_with", "kinks where elements are equal", PAIRS, |x, y| {
        let options = QuantileOptions::new().method(QuantileMethod::Lower);
        (x * y).percentile_with(30, .., options)
    };
    "x.nanquantile_with", "kinks where elements are equal", PAIRS, |x, y| {
        let options = QuantileOptions::new().method(QuantileMethod::Higher);
        (x * y).nanquantile_with(0.3, .., options)
    };
    "x.nanpercentile_with", "kinks where elements are equal", PAIRS, |x, y| {
        let options = QuantileOptions::new().method(QuantileMethod::Nearest);
        (x * y).nanpercentile_with(30, .., options)
    };
    "x.interp_with", "kinks at the points", PAIRS, |x, y| {
        let options = InterpOptions::new().extrapolate();
        x.interp_with(&tensor([-1.0, 0.0, 1.0]).to(F64), &y.slice(0, ..3), options)
    };
    "x.histogram_bin_edges", "the smallest and the largest element: kinks", PAIRS, |x, y| {
        (x * y).histogram_bin_edges(3, HistogramOptions::new())
    };
    "x.histogram_with", "jumps at the edges; linear in the weights", PAIRS, |x, y| {
        let options = HistogramOptions::new().weights(y.square()).density().range(-2.0, 2.0);
        x.histogram_with(3, options).0
    };
    "x.histogram2d", "jumps at the edges; linear in the weights", PAIRS, |x, y| {
        let options = HistogramOptions::new().weights(y.square()).range(-2.0, 2.0);
        x.histogram2d(y, [2, 2], options).0
    };
    "x.histogramdd", "jumps at the edges; linear in the weights", PAIRS, |x, y| {
        let options = HistogramOptions::new().weights(y.square()).range(-2.0, 2.0);
        stack([x, y], 1).histogramdd([2, 2], options).0
    };
    "x.segment_max", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).segment_max(&tensor([0, 1, 1, 0]), 2)
    };
    "x.segment_min", "kinks where elements are equal", PAIRS, |x, y| {
        (x * y).segment_min(&tensor([0, 1, 1, 0]), 2)
    };
    "x.map_coordinates", "jumps of the slope at the entries of the grid", PAIRS, |x, y| {
        let options = MapOptions::new().boundary(Boundary::Reflect);
        x.square().map_coordinates([y.slice(0, 1..) * 3], options)
    };
    "x.fmax", "a kink at ties", PAIRS, |x, y| x.square().fmax(y.square());
    "x.fmin", "a kink at ties", PAIRS, |x, y| x.square().fmin(y.square());
    "x.divmod", "jumps at multiples", PAIRS, |x, y| x.divmod(y).1.square();
    "x.modf", "jumps at integers", &[0.3, 0.7, 0.7, -1.2, -3.4], |x| x.modf().0.square();
    "x.frexp", "jumps at powers of 2", REAL, |x| x.frexp().0.square();
    "x.unwrap_phase", "jumps where elements differ by half a period", REAL, |x| {
        x.unwrap_phase(3.0, 0).square()
    };
}
