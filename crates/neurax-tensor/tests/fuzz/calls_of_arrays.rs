//! Random calls of functions of indices, masks, blocks, signals and polynomials.

use crate::{
    calls::{Call, calls},
    draw::Draw,
};
use neurax::{ConvolveMode, Trim, Unique, prelude::*};

calls! { ARRAYS:
    "block" => |d| vec![
        block([[d.tensor(), d.tensor()], [d.tensor(), d.tensor()]]),
        block(d.tensors()),
    ];
    "column_stack" => |d| vec![column_stack(d.tensors())];
    "dstack" => |d| vec![dstack(d.tensors())];
    "broadcast_arrays" => |d| broadcast_arrays(d.tensors());
    "broadcast_shapes" => |d| vec![{
        let shapes = [d.shape(), d.shape(), vec![d.size()]];
        broadcast_shapes(shapes).map_or_else(Tensor::from_error, |s| tensor(s.len() as i32))
    }];
    "x.partition" => |d| vec![{ let (k, axis) = (d.int(), d.axis()); d.x.partition(k, axis) }];
    "x.argpartition" => |d| vec![{
        let (k, axis) = (d.int(), d.axis());
        d.x.argpartition(k, axis)
    }];
    "x.minmax" => |d| { let axes = d.axes(); <[Tensor; 2]>::from(d.x.minmax(axes)).to_vec() };
    "x.approx_max_k" => |d| {
        let (k, axis) = (d.size(), d.axis());
        <[Tensor; 2]>::from(d.x.approx_max_k(k, axis)).to_vec()
    };
    "x.approx_min_k" => |d| {
        let (k, axis) = (d.size(), d.axis());
        <[Tensor; 2]>::from(d.x.approx_min_k(k, axis)).to_vec()
    };
    "select_first" => |d| vec![{
        let (a, b, v) = (d.tensors(), d.tensors(), d.operand());
        select_first(a, b, v)
    }, { let (a, b, v) = (d.tensor(), d.tensor(), d.operand()); select_first([a], [b], v) }];
    "x.choose" => |d| vec![{ let xs = d.tensors(); d.x.to(I32).choose(xs) }];
    "x.piecewise" => |d| vec![{
        let (a, b, n) = (d.tensor(), d.tensor(), d.rng.below(4));
        let functions: [&dyn Fn(&Tensor) -> Tensor; 3] = [&|x| x * 2, &|x| x.square(), &|x| -x];
        d.x.piecewise([a.gt(0), b.lt(0)], &functions[..n])
    }];
    "vectorize" => |d| vec![{
        let signatures = ["(n),(n)->()", "(),()->()", "(n),()->(n)", "(n)->n", "(n)->()"];
        let signature = d.rng.pick(&signatures);
        let f = vectorize(signature, |(x, y): (Tensor, Tensor)| (x * y).sum(-1));
        f((d.x.clone(), d.tensor()))
    }];
    "x.apply_along_axis" => |d| vec![{
        let axis = d.axis();
        d.x.apply_along_axis(axis, |x: Tensor| x.sort(0))
    }, { let axis = d.axis(); d.x.apply_along_axis(axis, |x: Tensor| x.max(..)) }];
    "x.apply_over_axes" => |d| vec![{
        let axes = [d.axis(), d.axis()];
        d.x.apply_over_axes(axes, |x, axis| x.max(axis))
    }];
    "associative_scan" => |d| vec![{
        let axis = d.axis();
        associative_scan(|x: Tensor, y: Tensor| x.maximum(y), d.x.clone(), axis)
    }];
    "associative_scan_reverse" => |d| {
        let axis = d.axis();
        let add = |(a, b): (Tensor, Tensor), (c, d): (Tensor, Tensor)| (a + c, b.minimum(d));
        let (x, y) = associative_scan_reverse(add, (d.x.clone(), d.tensor()), axis);
        vec![x, y]
    };
    "Tensor::bartlett" => |d| vec![Tensor::bartlett(d.size())];
    "Tensor::hanning" => |d| vec![Tensor::hanning(d.size())];
    "Tensor::hamming" => |d| vec![Tensor::hamming(d.size())];
    "Tensor::blackman" => |d| vec![Tensor::blackman(d.size())];
    "Tensor::kaiser" => |d| vec![{
        let (n, beta) = (d.size(), d.operand());
        Tensor::kaiser(n, beta)
    }];
    "x.convolve" => |d| vec![{ let (y, mode) = (d.tensor(), mode(d)); d.x.convolve(&y, mode) }, {
        let (y, mode) = (d.tensor().flatten(), mode(d));
        d.x.flatten().convolve(&y, mode)
    }];
    "x.correlate" => |d| vec![{
        let (y, mode) = (d.tensor().flatten(), mode(d));
        d.x.flatten().correlate(&y, mode)
    }];
    "x.fftconvolve" => |d| vec![{
        let (y, mode) = (d.tensor(), mode(d));
        d.x.fftconvolve(&y, mode)
    }];
    "x.roots" => |d| vec![d.x.roots(), d.x.flatten().roots()];
    "tridiagonal_solve" => |d| vec![{
        let (l, u, b) = (d.tensor(), d.tensor(), d.operand());
        tridiagonal_solve(&l, &d.x, &u, b)
    }, { let b = d.operand(); tridiagonal_solve(&d.x, &d.x, &d.x, b) }];
    "x.ragged_dot" => |d| vec![{
        let (y, sizes) = (d.tensor(), d.tensor());
        d.x.ragged_dot(&y, &sizes)
    }, {
        let (rows, sizes) = (d.x.flatten().expand_dims(0), d.tensor().flatten().to(I32));
        let matrices = d.x.flatten().expand_dims(-1).broadcast_to([sizes.size(), d.x.size(), 1]);
        rows.ragged_dot(&matrices, &sizes)
    }];
    "x.ragged_dot_contracted" => |d| vec![{
        let (y, sizes) = (d.tensor(), d.tensor());
        d.x.ragged_dot_contracted(&y, &sizes)
    }, {
        let (rows, sizes) = (d.x.flatten().expand_dims(-1), d.tensor().flatten().to(I64));
        rows.ragged_dot_contracted(&rows, &sizes)
    }];
    "x.sparse_dot" => |d| vec![{
        let (rows, columns, m, dense) = (d.tensor(), d.tensor(), d.size(), d.tensor());
        d.x.sparse_dot(&rows, &columns, m, &dense)
    }, {
        let (values, m, dense) = (d.x.flatten(), d.size(), d.tensor());
        let [rows, columns] = [0, 1].map(|i| (d.x.flatten() + i).to(I32));
        values.sparse_dot(&rows, &columns, m, &dense)
    }];
    "x.conv_local" => |d| vec![{
        let (y, s, w) = (d.tensor(), d.each(), d.windows());
        d.x.conv_local(&y, s, w)
    }, { let w = d.windows(); d.x.conv_local(&d.x, 1, w) }];
    "x.window_scatter_max" => |d| vec![{
        let (y, v, s, w) = (d.tensor(), d.operand(), d.each(), d.windows());
        d.x.window_scatter_max(&y, v, s, w)
    }, { let v = d.int(); d.x.window_scatter_max(&d.x, v, 1, Windows::new()) }];
    "x.window_scatter_min" => |d| vec![{
        let (y, v, s, w) = (d.tensor(), d.operand(), d.each(), d.windows());
        d.x.window_scatter_min(&y, v, s, w)
    }, { let v = d.int(); d.x.window_scatter_min(&d.x, v, 1, Windows::new()) }];
    "x.patches" => |d| vec![{ let (s, w) = (d.each(), d.windows()); d.x.patches(s, w) }];
    "x.polyadd" => |d| vec![{ let y = d.tensor(); d.x.polyadd(&y) }];
    "x.polysub" => |d| vec![{ let y = d.tensor().flatten(); d.x.flatten().polysub(&y) }];
    "x.polymul" => |d| vec![{ let y = d.tensor().flatten(); d.x.flatten().polymul(&y) }];
    "x.polydiv" => |d| {
        let y = d.tensor().flatten();
        <[Tensor; 2]>::from(d.x.flatten().polydiv(&y)).to_vec()
    };
    "x.polyint" => |d| vec![{ let (n, k) = (d.size(), d.operand()); d.x.polyint(n, k) }, {
        let n = d.size();
        d.x.flatten().polyint(n, 1)
    }];
    "x.polyfit" => |d| vec![{
        let (y, n) = (d.tensor().flatten(), d.size());
        d.x.flatten().polyfit(&y, n)
    }];
    "x.nonzero" => |d| tried(d.x.nonzero());
    "x.argwhere" => |d| tried(vec![d.x.argwhere()]);
    "x.flatnonzero" => |d| tried(vec![d.x.flatnonzero()]);
    "x.nonzero_with" => |d| { let size = d.sized(); d.x.nonzero_with(size) };
    "x.argwhere_with" => |d| vec![{ let size = d.sized(); d.x.argwhere_with(size) }];
    "x.flatnonzero_with" => |d| vec![{ let size = d.sized(); d.x.flatnonzero_with(size) }];
    "x.compress" => |d| tried(vec![{
        let (mask, axis) = (d.tensor(), d.axis());
        d.x.compress(&mask, axis)
    }]);
    "x.compress_with" => |d| vec![{
        let (mask, axis, size) = (d.x.flatten(), d.axis(), d.sized());
        d.x.compress_with(&mask, axis, size)
    }];
    "x.extract" => |d| tried(vec![{ let mask = d.tensor(); d.x.extract(&mask) }]);
    "x.extract_with" => |d| vec![{
        let (mask, size) = (d.tensor(), d.sized());
        d.x.extract_with(&mask, size)
    }];
    "x.trim_zeros" => |d| tried(vec![{
        let trim = d.rng.pick(&[Trim::Both, Trim::Front, Trim::Back]);
        d.x.trim_zeros(trim)
    }]);
    "x.unique" => |d| tried(vec![d.x.unique()]);
    "x.unique_with" => |d| vec![{ let size = d.sized(); d.x.unique_with(size) }];
    "x.unique_all" => |d| tried(parts(d.x.unique_all()));
    "x.unique_all_with" => |d| { let size = d.sized(); parts(d.x.unique_all_with(size)) };
    "x.unique_counts" => |d| tried(<[Tensor; 2]>::from(d.x.unique_counts()).to_vec());
    "x.unique_inverse" => |d| tried(<[Tensor; 2]>::from(d.x.unique_inverse()).to_vec());
    "x.unique_along" => |d| tried({ let axis = d.axis(); parts(d.x.unique_along(axis)) });
    "x.unique_along_with" => |d| {
        let (axis, size) = (d.axis(), d.sized());
        parts(d.x.unique_along_with(axis, size))
    };
    "x.isin" => |d| vec![{ let y = d.tensor(); d.x.isin(&y) }];
    "x.union1d" => |d| tried(vec![{ let y = d.tensor(); d.x.union1d(&y) }]);
    "x.intersect1d" => |d| tried(vec![{ let y = d.tensor(); d.x.intersect1d(&y) }]);
    "x.setdiff1d" => |d| tried(vec![{ let y = d.tensor(); d.x.setdiff1d(&y) }]);
    "x.setxor1d" => |d| tried(vec![{ let y = d.tensor(); d.x.setxor1d(&y) }]);
    "x.union1d_with" => |d| vec![{ let (y, o) = (d.tensor(), d.sized()); d.x.union1d_with(&y, o) }];
    "x.intersect1d_with" => |d| vec![{
        let (y, size) = (d.tensor(), d.sized());
        d.x.intersect1d_with(&y, size)
    }];
    "x.setdiff1d_with" => |d| vec![{
        let (y, size) = (d.tensor(), d.sized());
        d.x.setdiff1d_with(&y, size)
    }];
    "x.setxor1d_with" => |d| vec![{
        let (y, size) = (d.tensor(), d.sized());
        d.x.setxor1d_with(&y, size)
    }];
    "ix_" => |d| {
        // A mask has no size in a trace.
        let xs = d.tensors();
        ix_(xs.iter().map(|x| if x.dtype() == BOOL { x.to(I32) } else { x.clone() }))
    };
    "ravel_multi_index" => |d| vec![{
        let (xs, shape) = (d.tensors(), d.shape());
        ravel_multi_index(&xs, shape)
    }, { let n = d.size(); ravel_multi_index([&d.x.to(I32)], n) }];
    "fromfunction" => |d| vec![{ let shape = d.shape(); fromfunction(shape, index_sum) }];
    "Tensor::diag_indices" => |d| Tensor::diag_indices(d.size(), d.rng.below(4));
    "x.diag_indices_from" => |d| d.x.diag_indices_from();
    "Tensor::tril_indices" => |d| Tensor::tril_indices(d.size(), d.size(), d.int()).to_vec();
    "Tensor::triu_indices" => |d| Tensor::triu_indices(d.size(), d.size(), d.int()).to_vec();
    "x.tril_indices_from" => |d| { let k = d.int(); d.x.tril_indices_from(k).to_vec() };
    "x.triu_indices_from" => |d| { let k = d.int(); d.x.triu_indices_from(k).to_vec() };
    "Tensor::mask_indices" => |d| {
        let (n, k) = (d.rng.below(5), d.int());
        Tensor::mask_indices(n, |x| x.tril(k)).to_vec()
    };
    "x.unravel_index" => |d| { let shape = d.shape(); d.x.to(I32).unravel_index(shape) };
    "x.put" => |d| vec![{ let (i, v) = (d.tensor(), d.operand()); d.x.put(&i, v) }, {
        let (i, v) = (d.tensor().to(I32), d.operand());
        d.x.put(&i, v)
    }];
    "x.put_along_axis" => |d| vec![{
        let (i, v, axis) = (d.tensor().to(I32), d.operand(), d.axis());
        d.x.put_along_axis(&i, v, axis)
    }];
    "x.place" => |d| vec![{ let (mask, v) = (d.tensor(), d.operand()); d.x.place(&mask, v) }];
    "x.fill_diagonal" => |d| vec![{ let v = d.operand(); d.x.fill_diagonal(v) }];
    "x.put_diagonal" => |d| vec![{
        let (v, k) = (d.operand(), d.int());
        d.x.put_diagonal(v, k)
    }];
    "x.insert" => |d| vec![{
        let (i, v, axis) = (d.tensor().to(I32).flatten(), d.operand(), d.axis());
        d.x.insert(i, v, axis)
    }, { let (i, v, axis) = (d.int(), d.operand(), d.axis()); d.x.insert(i, v, axis) }];
    "x.delete" => |d| tried(vec![{ let (i, axis) = (d.operand(), d.axis()); d.x.delete(i, axis) }]);
    "x.delete_unique" => |d| vec![{
        let (i, axis) = (d.tensor().to(I32), d.axis());
        d.x.delete_unique(&i.get(0), axis)
    }];
    "x.vander" => |d| vec![{
        let (n, is_increasing) = (d.size(), d.rng.one_in(2));
        d.x.flatten().vander(n, is_increasing)
    }];
    "x.resize" => |d| vec![{ let shape = d.shape(); d.x.resize(shape) }];
    "Tensor::geomspace" => |d| vec![Tensor::geomspace(d.float(), d.float(), d.size())];
}

/// Checks results whose sizes depend on values, so that they are errors in a trace, and drops them.
pub fn tried(ys: Vec<Tensor>) -> Vec<Tensor> {
    let is_ours = |y: &Tensor| y.error().is_some_and(|e| e.to_string().contains("error of Neurax"));
    ys.into_iter().filter(is_ours).collect()
}

/// Returns the part of a convolution to return.
fn mode(d: &mut Draw) -> ConvolveMode {
    d.rng.pick(&[ConvolveMode::Full, ConvolveMode::Same, ConvolveMode::Valid])
}

/// Returns the parts of a result.
fn parts(x: Unique) -> Vec<Tensor> {
    vec![x.values, x.indices, x.inverse, x.counts]
}

/// Returns the sum of indices.
fn index_sum(indices: Vec<Tensor>) -> Tensor {
    indices.into_iter().fold(tensor(0), |sum, i| sum + i)
}
