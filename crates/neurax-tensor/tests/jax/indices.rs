//! Indices, writes at indices, and sizes that depend on values.

use crate::harness::mirrors;
use neurax::{fromfunction, ix_, prelude::*, ravel_multi_index, stack};

/// Returns options with a size and a fill value.
fn sized(size: usize, fill: i32) -> SizeOptions {
    SizeOptions::new().size(size).fill_value(fill)
}

mirrors! {
    triangle_indices(x) => {
        let (lower, upper) = (Tensor::tril_indices(4, 4, -1), x.triu_indices_from(1));
        let places = stack(lower.iter().chain(&upper), 0);
        (x.index(lower).square() * x.index(upper), places)
    };
    diagonal_indices(x, y) => {
        x.index(Tensor::diag_indices(4, 2)).slice(0, ..3).square() * y.index(y.diag_indices_from())
    };
    open_mesh(x, i, j) => x.index(ix_([i, j])).square();
    flat_indices(x, i) => {
        let places = i.unravel_index([3, 4]);
        let flat = ravel_multi_index([&places[0] + 1, &places[1] - 1], [3, 4]);
        (x.index(places).square(), flat)
    };
    function_of_indices(x) => {
        let x = x.clone();
        fromfunction([4, 3], move |i: Vec<Tensor>| {
            x.take(&i[0], 0).square() * x.take(&i[1], 0)
        })
    };
    put_flat(x, i, v) => x.square().put(i, v.square()) * x;
    put_along_axis(x, i, v) => x.square().put_along_axis(i, v.square(), 1) * x;
    place(x, v) => x.square().place(&x.gt(0), v.square()) * x;
    fill_diagonal(x, v) => x.square().fill_diagonal(v.square()) * x;
    vandermonde(x) => (x.vander(4, false), x.square().vander(3, true));
    insert_entries(x, i, v) => x.square().insert(i, v.square(), 1).square();
    delete_entries(x, i) => x.square().delete_unique(i, 0).square();
    resize_diagflat(x) => (x.square().resize([2, 4]).square(), x.diagflat(1));
    nonzero_sized(x) => {
        let places = x.gt(0).nonzero_with(SizeOptions::new().size(9));
        (
            x.index(places).square(),
            x.gt(0).argwhere_with(sized(7, -1)),
            x.lt(0).flatnonzero_with(sized(13, 20)),
        )
    };
    compress_extract(x, mask) => {
        let squares = x.square();
        let some = squares.compress_with(mask, 1, sized(3, 7));
        (some.square(), squares.extract_with(&x.gt(0), sized(8, 0)).square())
    };
    unique_sized(k, x) => {
        let x = x.take(k, 0);
        let unique = x.unique_all_with(sized(5, 0));
        let places = stack([&unique.indices, &unique.counts], 0);
        let values = x.unique_with(SizeOptions::new().size(6)).square();
        (unique.values.square(), places, unique.inverse, values)
    };
    unique_rows(k, x) => {
        let unique = k.unique_along_with(0, sized(4, -1));
        let places = stack([&unique.indices, &unique.counts], 0);
        let y = x.take(&unique.indices, 0) * unique.counts.maximum(1);
        (y.square(), unique.values, places, unique.inverse)
    };
    set_operations(k, l, x) => {
        let (x, y) = (x.take(k, 0), x.take(l, 0));
        vec![
            x.union1d_with(&y, sized(10, 0)).square(),
            x.intersect1d_with(&y, sized(10, 0)).square(),
            x.setdiff1d_with(&y, sized(10, 0)).square(),
            x.setxor1d_with(&y, sized(10, 0)).square(),
        ]
    };
    isin(k, l, x) => k.isin(l).select(x.square(), x);
}
