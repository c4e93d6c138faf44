//! Shapes, padding, splits and concatenations.

use crate::harness::mirrors;
use neurax::{PadMode, prelude::*};

mirrors! {
    atleast(x, y) => (y.atleast_1d() * x, x.square().atleast_2d(), x.atleast_3d());
    hstack_vstack(x, y) => (hstack([x.square(), y.clone()]), vstack([x.clone(), y.square()]));
    array_split(x) => x.array_split(3, 0).iter().map(|p| p.square()).collect::<Vec<_>>();
    split_equal(x) => x.split(3, 1).iter().map(|p| p.square()).collect::<Vec<_>>();
    hsplit_vsplit(x) => (x.split(2, 1)[1].square(), x.square().split(2, 0)[0].clone());
    unstack(x) => x.square().unstack(1);
    chunked(x) => x.chunk(2, 0).iter().map(|p| p.square()).collect::<Vec<_>>();
    rot90_1(x) => x.square().rot90(1, 0, 1);
    rot90_2(x) => x.square().rot90(2, 0, 1);
    rot90_minus_1(x) => x.square().rot90(-1, 0, 1);
    flip_all(x) => x.square().flip(..);
    fliplr_flipud(x) => (x.square().flip(1), x.flip(0));
    roll_flat(x) => x.square().flatten().roll(2, 0).reshape(x.shape());
    transpose_all(x) => x.square().transpose();
    swapaxes_moveaxis(x) => (x.square().swap_axes(0, -1), x.move_axis(0, -1), x.t());
    rollaxis(x) => x.square().move_axis(2, 0);
    expand_squeeze(x) => (x.square().squeeze(..), x.expand_dims(0).expand_dims(-1), x.squeeze(-1));
    ravel_order(x) => (x.square().flatten(), x.t().flatten());
    repeat_flat(x) => x.square().flatten().repeat(2, 0);
    repeat_first(x) => x.square().repeat(3, 0);
    tile_new_axes(x) => x.square().tile([2, 2]);
    broadcast_arrays(x, y) => {
        broadcast_arrays([x, y]).iter().map(|a| a.square()).collect::<Vec<_>>()
    };
    broadcast_in_dim(x) => {
        (x.square().expand_dims(1).broadcast_to([2, 3, 2]), x.broadcast_to([2, 3]))
    };
    diag_offsets(x) => (x.square().diag(1), x.diag(-1));
    diag_of_matrix(x) => x.square().diag(1) * x.diag(-1).get(0);
    diagonal_axes(x) => (x.square().diagonal(1, 1, 2), x.diagonal(0, 2, 0));
    tril_below(x) => x.square().tril(-1);
    triu_above(x) => x.square().triu(2);
    tri_mask(x) => x.square() * Tensor::tri(3, 4, 1).to(x.dtype());
    pad_edges(x) => x.square().pad_with([(2, 1), (0, 2)], PadMode::Edge);
    pad_reflect(x) => x.square().pad_with([(2, 1), (0, 2)], PadMode::Reflect);
    pad_symmetric(x) => x.square().pad_with([(2, 1), (0, 2)], PadMode::Symmetric);
    pad_wrap(x) => x.square().pad_with([(2, 1), (0, 2)], PadMode::Wrap);
    pad_constant(x) => x.square().pad([(1, 0), (0, 2)], 3);
    meshgrid_ij(x, y) => {
        meshgrid([x, y], Indexing::Ij).iter().map(|a| a.square()).collect::<Vec<_>>()
    };
    meshgrid_three(x, y, z) => {
        meshgrid([x, y, z], Indexing::Xy).iter().map(|a| a.square()).collect::<Vec<_>>()
    };
    filled(x) => {
        let (d, shape) = (x.dtype(), [2, 3]);
        let sum = x * Tensor::full(shape, 2).to(d) + Tensor::ones_of(d, shape) * x.full_like(7);
        let like = (x.zeros_like(), x.ones_like());
        (sum, like, Tensor::eye_of(2, 3, 0).to(d), Tensor::eye(2).to(d))
    };
    windows_of_signals(x) => {
        let (bartlett, hanning) = (Tensor::bartlett(6), Tensor::hanning(6));
        let windows = [bartlett, hanning, Tensor::hamming(6), Tensor::blackman(6)];
        windows.map(|w| x * w.to(x.dtype()))
    };
    indices_from(x) => x.index(x.tril_indices_from(0)).square();
    linspace_axis(x, y) => x.linspace_to_with(y, 4, SpacedOptions::new().axis(-1)).square();
    logspace_tensors(x, y) => x.logspace_to(y, 4, 10.0);
    insert_one(x, y) => x.square().insert(2, y.clone(), 1);
    insert_row(x, y) => x.square().insert(1, y.expand_dims(0), 0).square();
    delete_one(x) => x.square().delete(2, 0);
    append_axis(x, y) => concat([x.square(), y.clone()], 1).square();
    shapes_of(x) => {
        let total: usize = broadcast_shapes([vec![2, 1], vec![3]]).unwrap_or_default().iter().sum();
        x * (total * x.size() * x.rank()) as f64
    };
    exact_sizes(x) => {
        let (k, l) = (tensor([3, 1, 3, 0, 1, 3]), tensor([1, 5]));
        let ((values, counts), (_, inverse)) = (k.unique_counts(), k.unique_inverse());
        let places = (k.nonzero(), k.argwhere().flatten(), k.flatnonzero());
        let sets = vec![k.union1d(&l), k.intersect1d(&l), k.setdiff1d(&l), k.setxor1d(&l)];
        let parts = (k.extract(&k.gt(1)), k.compress(&tensor([false, true, true]), 0));
        (x.square(), vec![values, counts, inverse], places, sets, parts)
    };
    unique_exact(x) => {
        let k = tensor([[1, 2], [0, 5], [1, 2]]);
        let list = |u: neurax::Unique| vec![u.values, u.indices, u.inverse, u.counts];
        (x.square(), list(k.unique_all()), list(k.unique_along(0)))
    };
}
