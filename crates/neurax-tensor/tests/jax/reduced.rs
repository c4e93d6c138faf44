//! Reductions along each axis with their options.

use crate::harness::mirrors;
use neurax::prelude::*;

mirrors! {
    sum_first(x) => x.square().sum(0);
    mean_first(x) => x.square().mean(0);
    variance_first(x) => x.var(0, 1);
    logsumexp_first_axis(x) => x.square().logsumexp(0);
    median_first(x) => x.pow(3).median(0);
    sum_middle(x) => x.square().sum(1);
    prod_middle(x) => x.prod(1);
    min_middle(x) => x.min(1).square();
    ptp_middle(x) => x.ptp(1).square();
    sum_last(x) => x.square().sum(-1);
    max_last(x) => x.max(-1).square();
    deviation_last(x) => x.std(-1, 0);
    median_last(x) => x.pow(3).median(-1);
    sum_pair(x) => x.square().sum([0, -1]);
    mean_pair(x) => x.square().mean([0, -1]);
    max_pair(x) => x.max([0, -1]).square();
    min_pair(x) => x.min([0, -1]).square();
    variance_pair(x) => x.var([0, -1], 1);
    deviation_pair(x) => x.std([0, -1], 0);
    logsumexp_pair_axis(x) => x.square().logsumexp([0, -1]);
    sum_all(x) => x.square().sum(..);
    mean_all(x) => x.square().mean(..);
    prod_all(x) => x.prod(..);
    max_all(x) => x.max(..).square();
    variance_all(x) => x.var(.., 1);
    deviation_all(x) => x.std(.., 0);
    logsumexp_all_axis(x) => x.square().logsumexp(..);
    median_all(x) => x.pow(3).median(..);
    ptp_all(x) => x.ptp(..).square();
    sum_keepdims(x) => x.square().sum(keep([0, 2]));
    max_keepdims(x) => x.max(keep(1)) * x;
    variance_keepdims(x) => x.var(keep([0, 1]), 0) * x;
    sum_dtype(x) => x.square().sum_with(1, ReduceOptions::new().dtype(F64)).to(x.dtype());
    max_with_ties(x, y) => (x.to(y.dtype()) + y.zeros_like()).max(1) * y.sum(..);
    count_nonzero(x, y) => (y.square(), x.count_nonzero(1), x.count_nonzero(..));
    average(x, y) => x.average(y, 1);
    average_all(x, y) => x.average(y, ..);
    minmax(x) => {
        let (a, b) = x.minmax(1);
        (a.square(), b)
    };
    argmax_last_of_ties(x, y) => {
        let last = x.argmax_with(1, ArgOptions::new().last());
        (y.square(), x.argmax(1), last, x.argmin(0))
    };
    argmin_last_of_ties(x, y) => (y.square(), x.argmin_with(1, ArgOptions::new().last()));
    nansum(x, y) => {
        let x = y.at((.., ..1)).set(true).select(x, f64::NAN);
        x.square().nansum(0)
    };
    nanprod(x, y) => {
        let x = y.at((.., ..1)).set(true).select(x, f64::NAN);
        x.nanprod(1)
    };
}
