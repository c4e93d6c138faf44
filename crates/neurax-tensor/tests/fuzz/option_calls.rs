//! A random call of every function with options, and of functions of weights, counts and places.

use crate::{
    calls::{Call, calls},
    calls_of_arrays::tried,
    draw::Draw,
};
use neurax::{Indexing, MatrixNorm, Trim, prelude::*};

/// Defines a list of reductions with options, a method of [`Draw`]: over axes, or along an axis.
macro_rules! with_options {
    ($list:ident($kind:path, $options:path): $($f:ident)*) => {
        const $list: &[Call] = &[$((concat!("x.", stringify!($f)), |d| {
            let (axes, options) = ($kind(d), $options(d));
            vec![d.x.$f(axes, options)]
        })),*];
    };
}

with_options! { REDUCTIONS(Draw::axes, Draw::reduction):
    sum_with prod_with max_with min_with mean_with all_with any_with softmax_with log_softmax_with
    logsumexp_with logmeanexp_with
}

with_options! { ARG_REDUCTIONS(Draw::axes, Draw::arg): argmax_with argmin_with }

with_options! { CUMULATIVE(Draw::axis, Draw::cumulative):
    cumsum_with cumprod_with cummax_with cummin_with cumlogsumexp_with
}

calls! { OTHERS:
    "x.matmul_as" => |d| vec![{ let (y, t) = (d.operand(), d.dtype()); d.x.matmul_as(y, t) }];
    "x.pinv_with" => |d| vec![{ let options = d.rank(); d.x.pinv_with(options) }];
    "x.matrix_rank_with" => |d| vec![{ let options = d.rank(); d.x.matrix_rank_with(options) }];
    "x.lstsq_with" => |d| {
        let (b, options) = (d.operand(), d.rank());
        <[Tensor; 4]>::from(d.x.lstsq_with(b, options)).to_vec()
    };
    "x.cond_with" => |d| {
        use MatrixNorm::*;
        let orders = [Frobenius, Nuclear, Spectral, SmallestSingularValue, One, NegativeOne];
        orders.into_iter().chain([Infinity, NegativeInfinity]).map(|o| d.x.cond_with(o)).collect()
    };
    "x.solve_triangular_with" => |d| vec![{
        let (b, (triangle, options)) = (d.operand(), d.triangular());
        d.x.solve_triangular_with(b, triangle, options)
    }, {
        let (b, (triangle, options)) = (d.x.clone(), d.triangular());
        d.x.solve_triangular_with(b, triangle, options)
    }];
    "x.cho_solve_with" => |d| vec![{
        let (b, (triangle, _)) = (d.operand(), d.triangular());
        d.x.cho_solve_with(b, triangle)
    }];
    "x.polyfit_with" => |d| vec![{
        let (y, n, options) = (d.tensor(), d.size().min(5), d.polyfit());
        d.x.flatten().polyfit_with(&y, n, options)
    }];
    "x.polyfit_full" => |d| {
        let (y, n, options) = (d.x.square().flatten(), d.size().min(5), d.polyfit());
        <[Tensor; 4]>::from(d.x.flatten().polyfit_full(&y, n, options)).to_vec()
    };
    "x.polyfit_cov" => |d| {
        let (y, n, options) = (d.x.square().flatten(), d.size().min(3), d.polyfit());
        <[Tensor; 2]>::from(d.x.flatten().polyfit_cov(&y, n, options)).to_vec()
    };
    "x.trim_zeros_with" => |d| tried(vec![{
        let axes = d.axes();
        d.x.trim_zeros_with(Trim::Both, axes)
    }]);
    "x.image_resize" => |d| vec![{
        let (shape, options) = (d.shape_of_sample(), d.resize());
        d.x.image_resize(shape, options)
    }, {
        let (shape, options) = (vec![d.rng.between(1, 5); d.x.rank()], d.resize());
        d.x.image_resize(shape, options)
    }];
    "x.scale_and_translate" => |d| vec![{
        let (shape, axes) = (vec![d.rng.between(1, 5); d.x.rank()], [d.axis(), d.axis()]);
        let (s, t, options) = (d.operand(), d.operand(), d.resize());
        d.x.scale_and_translate(shape, &axes, s, t, options)
    }, {
        let (s, t, options) = (d.operand(), d.operand(), d.resize());
        d.x.flatten().scale_and_translate([3], &[0], s, t, options)
    }];
    "x.conv_as" => |d| vec![{
        let (kernel, windows, dtype) = (d.tensor(), d.windows(), d.dtype());
        d.x.conv_as(&kernel, windows, dtype)
    }];
    "x.nanvar" => |d| vec![{ let (axes, n) = (d.axes(), d.size()); d.x.nanvar(axes, n) }];
    "x.nanstd" => |d| vec![{ let (axes, n) = (d.axes(), d.size()); d.x.nanstd(axes, n) }];
    "x.var_with" => |d| vec![{
        let (axes, n, options) = (d.axes(), d.size(), d.reduction());
        d.x.var_with(axes, n, options)
    }];
    "x.std_with" => |d| vec![{
        let (axes, n, options) = (d.axes(), d.size(), d.reduction());
        d.x.std_with(axes, n, options)
    }];
    "x.standardize" => |d| vec![{
        let (axes, epsilon) = (d.axes(), d.float());
        d.x.standardize(axes, epsilon)
    }];
    "x.standardize_with" => |d| vec![{
        let (axes, epsilon, options) = (d.axes(), d.float(), d.reduction());
        d.x.standardize_with(axes, epsilon, options)
    }];
    "x.logsumexp_scaled" => |d| vec![{
        let (b, axes) = (d.operand(), d.axes());
        d.x.logsumexp_scaled(b, axes)
    }];
    "x.logsumexp_signed" => |d| {
        let (b, axes) = (d.operand(), d.axes());
        <[Tensor; 2]>::from(d.x.logsumexp_signed(b, axes)).to_vec()
    };
    "x.histogram_with" => |d| {
        let (bins, options) = (d.bins(), d.histogram());
        <[Tensor; 2]>::from(d.x.histogram_with(bins, options)).to_vec()
    };
    "x.histogram_bin_edges" => |d| vec![{
        let (bins, options) = (d.bins(), d.histogram());
        d.x.histogram_bin_edges(bins, options)
    }];
    "x.histogram2d" => |d| {
        let (y, bins, options) = (d.tensor(), [d.bins(), d.bins()], d.histogram());
        <[Tensor; 3]>::from(d.x.histogram2d(&y, bins, options)).to_vec()
    };
    "x.histogramdd" => |d| {
        let n = d.x.shape().get(1).copied().unwrap_or(2).min(5);
        let (bins, options) = ((0..n).map(|_| d.bins()).collect::<Vec<_>>(), d.histogram());
        let (counts, edges) = d.x.histogramdd(bins, options);
        edges.into_iter().chain([counts]).collect()
    };
    "x.bincount_weighted" => |d| vec![{
        let (weights, n) = (d.tensor(), d.size());
        d.x.bincount_weighted(&weights, n)
    }];
    "x.cov_with" => |d| vec![{
        let (n, f, w) = (d.size(), d.tensor(), d.tensor());
        let options = CovOptions::new().weights(w);
        d.x.cov_with(n, if d.rng.one_in(2) { options.frequencies(f) } else { options })
    }];
    "x.quantile_with" => |d| vec![{
        let (q, axes, options) = (d.operand(), d.axes(), d.quantile());
        d.x.quantile_with(q, axes, options)
    }];
    "x.percentile_with" => |d| vec![{
        let (q, axes, options) = (d.operand(), d.axes(), d.quantile());
        d.x.percentile_with(q, axes, options)
    }];
    "x.nanquantile" => |d| vec![{
        let (q, axes) = (d.operand(), d.axes());
        d.x.nanquantile(q, axes)
    }];
    "x.nanpercentile" => |d| vec![{
        let (q, axes) = (d.operand(), d.axes());
        d.x.nanpercentile(q, axes)
    }];
    "x.nanquantile_with" => |d| vec![{
        let (q, axes, options) = (d.operand(), d.axes(), d.quantile());
        d.x.nanquantile_with(q, axes, options)
    }];
    "x.nanpercentile_with" => |d| vec![{
        let (q, axes, options) = (d.operand(), d.axes(), d.quantile());
        d.x.nanpercentile_with(q, axes, options)
    }];
    "x.diff_with" => |d| vec![{
        let (n, axis, a, b) = (d.size(), d.axis(), d.tensor(), d.tensor());
        d.x.diff_with(n, axis, DiffOptions::new().prepend(a).append(b))
    }];
    "x.trapezoid_over" => |d| vec![{
        let (points, axis) = (d.tensor(), d.axis());
        d.x.trapezoid_over(&points, axis)
    }];
    "x.gradient" => |d| vec![{ let (h, axis) = (d.operand(), d.axis()); d.x.gradient(h, axis) }];
    "x.interp_with" => |d| vec![{
        let (a, b, left, period) = (d.tensor(), d.tensor(), d.float(), d.float());
        let options = InterpOptions::new().left(left).extrapolate();
        let options = if d.rng.one_in(2) { options.period(period) } else { options };
        d.x.interp_with(&a, &b, options)
    }];
    "Tensor::eye_of" => |d| vec![Tensor::eye_of(d.size(), d.size(), d.int())];
    "x.linspace_to" => |d| vec![{ let (y, n) = (d.operand(), d.size()); d.x.linspace_to(y, n) }];
    "x.linspace_to_with" => |d| vec![{
        let (y, n, axis) = (d.operand(), d.size(), d.axis());
        d.x.linspace_to_with(y, n, SpacedOptions::new().exclude_end().axis(axis))
    }];
    "x.logspace_to" => |d| vec![{
        let (y, n, base) = (d.operand(), d.size(), d.float());
        d.x.logspace_to(y, n, base)
    }];
    "x.logspace_to_with" => |d| vec![{
        let (y, n, base, axis) = (d.operand(), d.size(), d.float(), d.axis());
        d.x.logspace_to_with(y, n, base, SpacedOptions::new().axis(axis))
    }];
    "x.round_to" => |d| vec![{ let n = d.int() as i32; d.x.round_to(n) }];
    "x.nan_to_num_with" => |d| vec![{
        let options = NanToNumOptions::new().nan(d.float()).positive_infinity(d.int());
        d.x.nan_to_num_with(options)
    }];
    "x.isclose_with" => |d| vec![{
        let (y, options) = (d.operand(), CloseOptions::new().relative(d.float()).equal_nan());
        d.x.isclose_with(y, options)
    }];
    "x.allclose_with" => |d| vec![{
        let (y, options) = (d.operand(), CloseOptions::new().absolute(d.float()).equal_nan());
        d.x.allclose_with(y, options)
    }];
    "x.take_with" => |d| vec![{
        let (i, axis, mode) = (d.operand(), d.axis(), d.index_mode());
        d.x.take_with(i, axis, mode)
    }];
    "x.take_or" => |d| vec![{
        let (i, axis, value) = (d.operand(), d.axis(), d.operand());
        d.x.take_or(i, axis, value)
    }];
    "x.at(i).div" => |d| vec![{ let (i, y) = (d.index(), d.operand()); d.x.at(i).div(y) }];
    "x.at(i).pow" => |d| vec![{ let (i, y) = (d.index(), d.operand()); d.x.at(i).pow(y) }, {
        let (mask, y) = (d.tensor().gt(0), d.operand());
        d.x.at(mask).pow(y)
    }];
    "x.at(i).apply" => |d| vec![{ let i = d.index(); d.x.at(i).apply(|x| x * 2) }];
    "x.at(i).mode" => |d| {
        let (i, y, mode) = (d.index(), d.operand(), d.index_mode());
        let places = d.x.at(i).mode(mode);
        vec![places.get(), places.add(y)]
    };
    "x.at(i).get_or" => |d| vec![{ let (i, y) = (d.index(), d.operand()); d.x.at(i).get_or(y) }];
    "x.split_at" => |d| {
        let (places, axis) = ([d.int(), d.int()], d.axis());
        d.x.split_at(places, axis)
    };
    // Counts of known values: traced ones are an error.
    "x.repeat_each" => |d| vec![{
        let (n, axis) = (d.x.shape().first().copied().unwrap_or(1).min(4), d.axis());
        let counts: Vec<i32> = (0..n).map(|_| d.rng.below(4) as i32).collect();
        d.x.repeat_each(&tensor(counts), axis)
    }];
    "x.repeat_each_to" => |d| vec![{
        let (counts, axis, n) = (d.tensor(), d.axis(), d.size());
        d.x.repeat_each_to(&counts, axis, n)
    }];
    "meshgrid_sparse" => |d| {
        let order = if d.rng.one_in(2) { Indexing::Xy } else { Indexing::Ij };
        meshgrid_sparse(d.tensors(), order)
    };
    "x.segment_sum" => |d| vec![{ let (i, n) = (d.tensor(), d.size()); d.x.segment_sum(&i, n) }];
    "x.segment_prod" => |d| vec![{ let (i, n) = (d.tensor(), d.size()); d.x.segment_prod(&i, n) }];
    "x.segment_max" => |d| vec![{ let (i, n) = (d.tensor(), d.size()); d.x.segment_max(&i, n) }];
    "x.segment_min" => |d| vec![{ let (i, n) = (d.tensor(), d.size()); d.x.segment_min(&i, n) }];
    "x.map_coordinates" => |d| vec![{
        let n = d.x.shape().len();
        let (places, value) = ((0..n).map(|_| d.tensor()).collect::<Vec<_>>(), d.float());
        let ways = [Boundary::Nearest, Boundary::Wrap, Boundary::Mirror, Boundary::Reflect];
        let boundary = [&ways[..], &[Boundary::Constant(value)]].concat();
        let options = MapOptions::new().boundary(d.rng.pick(&boundary));
        d.x.map_coordinates(places, if d.rng.one_in(2) { options.nearest() } else { options })
    }];
}

/// Returns all calls.
pub fn all() -> Vec<Call> {
    [REDUCTIONS, ARG_REDUCTIONS, CUMULATIVE, OTHERS].concat()
}
