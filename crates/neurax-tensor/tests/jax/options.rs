//! Functions with options: reductions of selected elements, statistics, histograms and sampled
//! curves.

use crate::harness::mirrors;
use neurax::{PadMode, prelude::*};

/// Returns the mask with the first `n` columns set to true.
fn with_columns(mask: &Tensor, n: i64) -> Tensor {
    mask.at((.., ..n)).set(true)
}

/// Returns options that select the elements of `mask`.
fn selected(mask: &Tensor) -> ReduceOptions {
    ReduceOptions::new().where_(mask.clone())
}

/// Returns the options of quantiles with a method.
fn quantile(method: QuantileMethod) -> QuantileOptions {
    QuantileOptions::new().method(method)
}

const METHODS: [QuantileMethod; 6] = [
    QuantileMethod::Linear,
    QuantileMethod::Lower,
    QuantileMethod::Higher,
    QuantileMethod::Midpoint,
    QuantileMethod::Nearest,
    QuantileMethod::InvertedCdf,
];

mirrors! {
    reductions_where(x, m) => {
        let (y, m) = (x.square(), selected(&with_columns(m, 1)));
        let product = x.prod_with(1, m.clone().initial(0.5));
        let sum = y.sum_with(1, m.clone().initial(2)) * product;
        let (any, all) = (x.gt(0).any_with(0, m.clone()), x.gt(0).all_with(0, m.clone()));
        (sum, y.mean_with(1, m), any, all)
    };
    extrema_where(x, m) => {
        let m = selected(m);
        x.max_with(1, m.clone().initial(-1)) * x.square().min_with(1, m.initial(7))
    };
    deviations_where(x, m) => {
        let m = selected(&with_columns(m, 3));
        x.var_with(1, 1, m.clone()) * x.std_with(1, 0, m)
    };
    softmax_where(x, m) => {
        let m = &with_columns(m, 1);
        (
            x.square().softmax_with(1, selected(m)),
            m.select(x.log_softmax_with(0, selected(m)), 0),
            x.logsumexp_with(1, selected(m)),
            x.logmeanexp_with(1, selected(m)),
        )
    };
    logsumexp_scaled(x, b) => x.square().logsumexp_scaled(b, 1);
    logsumexp_signed(x, b) => {
        let b = b - tensor([3.0, 3.0, 0.0, 3.0]).to(b.dtype());
        let (y, sign) = x.square().logsumexp_signed(b, 1);
        (y * &sign, sign)
    };
    standardize_where(x, m) => {
        x.standardize_with(1, 0.25, selected(&with_columns(m, 2))).square()
    };
    log1mexp(x) => x.log1mexp();
    sparse_plus_sigmoid(x, y) => {
        (x.sparse_plus() * x.sparse_sigmoid(), y.sparse_plus(), y.sparse_sigmoid())
    };
    cumulative_include_initial(x) => {
        let initial = CumulativeOptions::new().include_initial();
        (x.square().cumsum_with(1, initial.clone()), x.cumprod_with(0, initial))
    };
    nan_cumulative(x, m) => {
        let x = m.select(x, f64::NAN);
        (x.nancumsum(1), x.nancumprod(0))
    };
    mode(i) => i.mode(1);
    argmax_all_keepdims(x) => (x.square(), x.argmax(..), x.argmin(keep(1)));
    quantile_methods(x, q) => {
        METHODS.map(|method| x.pow(3).quantile_with(q, 1, quantile(method)))
    };
    percentile_methods(x, q) => {
        let methods = [QuantileMethod::Midpoint, QuantileMethod::Linear, QuantileMethod::Higher];
        methods.map(|method| x.pow(3).percentile_with(q, .., quantile(method)))
    };
    nanquantile_methods(x, m, q) => {
        let y = with_columns(m, 1).select(x.pow(3), f64::NAN);
        METHODS[..5].iter().map(|&m| y.nanquantile_with(q, 1, quantile(m))).collect::<Vec<_>>()
    };
    nan_deviations(x, m) => {
        let y = with_columns(m, 2).select(x, f64::NAN);
        (y.nanvar(1, 1) * y.nanstd(1, 0), y.nanmedian(1), y.nanpercentile(30, 1))
    };
    cov_weights(x, f, w) => {
        let (f, w) = (f.clone(), w.clone());
        let options = CovOptions::new;
        (
            x.cov_with(1, options().frequencies(f.clone()).weights(w.clone())),
            x.cov_with(0, options().weights(w)),
            x.cov_with(1, options().frequencies(f)),
        )
    };
    histogram_weights(x, w) => {
        let options = HistogramOptions::new().weights(w.clone());
        let (density, edges) = x.histogram_with(4, options.clone().density());
        let (sums, _) = x.histogram_with(tensor([-1.0, 0.0, 0.5, 2.0]).to(x.dtype()), options);
        (density, edges, sums, x.histogram(3, -1.0, 1.0).0)
    };
    histogram_grid(x, y, w) => {
        let options = HistogramOptions::new().weights(w.clone()).density();
        let (density, a, b) = x.histogram2d(y, [3, 2], options);
        let options = HistogramOptions::new().ranges([(-1.0, 1.0), (-0.5, 2.0)]);
        (stack([x, y], 1).histogramdd([2, 3], options).0, density, a, b)
    };
    bincount_weights(i, w) => i.bincount_weighted(&w.square(), 4);
    numerical_gradient(x, points) => {
        (x.square().gradient(points.sort(0), 1), x.gradient(0.5, 0))
    };
    integral_differences(x, points, p) => {
        let options = DiffOptions::new().prepend(p.clone()).append(p * 2);
        (x.square().trapezoid_over(&points.sort(0), 1), x.square().diff_with(2, 1, options))
    };
    interp_options(x, xs, ys) => {
        let (xs, options) = (xs.sort(0), InterpOptions::new);
        (
            x.interp_with(&xs, ys, options().left(2.0).right(-3.0)),
            x.interp_with(&xs, ys, options().extrapolate()),
        )
    };
    interp_period(x, xs, ys) => x.interp_with(xs, ys, InterpOptions::new().period(1.75));
    spaced_between(a, b) => {
        let options = SpacedOptions::new;
        (
            a.square().linspace_to(b, 5),
            a.linspace_to_with(b, 4, options().exclude_end().axis(1)),
            a.logspace_to_with(b, 3, 2.0, options().axis(-1)),
            Tensor::eye_of(2, 4, 1).to(I32),
        )
    };
    index_modes(x, i, y) => {
        let (square, filled) = (x.square(), x.at(i).get_or(-1));
        let taken = x.at((.., i)).mode(IndexMode::Clip).get();
        (
            square.take_with(i, 1, IndexMode::Wrap),
            square.take_or(i, 0, 7),
            taken.at((.., i)).mode(IndexMode::Clip).add(y),
            filled,
        )
    };
    indexed_divide_power(x, i, y) => {
        let places = x.at(i).unique();
        (places.div(y), places.pow(y), x.at(1..3).apply(|x| x.sin()))
    };
    pad_computed(x) => {
        use PadMode::*;
        let pad = |mode| x.square().pad_with([(0, 1), (2, 3)], mode);
        [LinearRamp, Mean, Maximum, Minimum, Median].map(pad)
    };
    round_decimals(x) => (x.round_to(2) * x, (x * 100).round_to(-1));
    repeat_counts(x, n) => x.square().repeat_each_to(n, 0, 7);
    segment_extrema(x, i) => {
        let i = i.at(..3).set(Tensor::arange(3));
        let extrema = x.segment_max(&i, 3) * x.square().segment_min(&i, 3);
        (extrema, x.square().segment_sum(&i, 3))
    };
    map_coordinates(x, i, j) => {
        use Boundary::*;
        let ways = [Constant(2.0), Nearest, Wrap, Mirror, Reflect];
        let map = |options, x: &Tensor| x.map_coordinates([i, j], options);
        let mut ys: Vec<Tensor> =
            ways.map(|way| map(MapOptions::new().boundary(way), &x.square())).into();
        ys.push(map(MapOptions::new().nearest().boundary(Mirror), x));
        ys
    };
    parts_and_grids(x, a, b) => {
        let parts = x.square().split_at([1, 4], 0);
        let grids = meshgrid_sparse([a, &b.square()], Indexing::Xy);
        let (product, grid) = (parts[1].square(), &grids[0] * &grids[1]);
        [vec![product], parts, vec![grid, x.collapse(0..2)]].concat()
    };
}
