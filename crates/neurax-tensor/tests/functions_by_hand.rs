//! Functions with many cases, compared with values from NumPy.

#![allow(clippy::reversed_empty_ranges, reason = "a range with a negative step runs backwards")]

use neurax::{Indexing, PadMode, Side, meshgrid, prelude::*};

fn ints(x: &Tensor) -> Vec<i32> {
    x.to_vec().unwrap_or_else(|e| panic!("{e}"))
}

fn floats(x: &Tensor) -> Vec<f32> {
    x.to_vec().unwrap_or_else(|e| panic!("{e}"))
}

fn why(x: &Tensor) -> String {
    x.clone().ok().err().map(|e| e.to_string()).unwrap_or_default()
}

/// Returns `0..24` as `[2, 3, 4]`.
fn cube() -> Tensor {
    Tensor::arange(24).reshape([2, 3, 4])
}

#[test]
fn indices_are_pythons() {
    let x = cube();
    assert_eq!(ints(&x.index((1, 2, 3))), [23]);
    assert_eq!(ints(&x.index((-1, -1))), [20, 21, 22, 23]);
    assert_eq!(ints(&x.index((.., 1, ..2))), [4, 5, 16, 17]);
    assert_eq!(ints(&x.index((Ellipsis, 0))), [0, 4, 8, 12, 16, 20]);
    assert_eq!(x.index((0, Ellipsis, NewAxis)).shape(), [3, 4, 1]);
    assert_eq!(x.index((NewAxis, .., 0, NewAxis, 1..)).shape(), [1, 2, 1, 3]);
    assert_eq!(ints(&x.index((0, step(.., -1), 0))), [8, 4, 0]);
    assert_eq!(ints(&x.index((0, 0, step(3..0, -2)))), [3, 1]);
    assert_eq!(ints(&x.index((0, 0, 1..=2))), [1, 2]);
    assert_eq!(ints(&x.index((0, 0, ..=-2))), [0, 1, 2]);
    assert_eq!(x.index((5.., ..)).shape(), [0, 3, 4]);
    assert_eq!(ints(&x.index(())), ints(&x));
    assert_eq!(ints(&x.index((.., 1..1))), [0; 0]);
}

#[test]
fn clip_passes_an_error_on_whatever_its_bounds_are() {
    // 1e300 is no f32.
    let y = (tensor([1.0]) + Tensor::zeros([2]).reshape([3])).clip(-1e300, 1e300);
    assert!(why(&y).starts_with("reshape: "), "{}", why(&y));
    assert_eq!(floats(&tensor([1.0]).clip(-1e300, 1e300)), [1.0]);
}

#[test]
fn integer_tensors_as_indices_are_numpys() {
    let x = cube();
    assert_eq!(ints(&x.index((0, 0, tensor([3, -1, 0])))), [3, 3, 0]);
    assert_eq!(x.index((.., tensor([[0, 1], [2, 0]]))).shape(), [2, 2, 2, 4]);
    assert_eq!(ints(&x.index((tensor([0, 1]), tensor([2, 0]), 1..3))), [9, 10, 13, 14]);
    // The axes of adjacent index tensors stay in position, those of others go to the front.
    assert_eq!(x.index((.., tensor([0, 1]), tensor([0, 1]))).shape(), [2, 2]);
    assert_eq!(ints(&x.index((.., tensor([0, 1]), tensor([0, 1])))), [0, 5, 12, 17]);
    assert_eq!(ints(&x.index((tensor([0, 1]), .., tensor([0, 3])))), [0, 4, 8, 15, 19, 23]);
    assert_eq!(ints(&x.index((0, 0, tensor([9, -9])))), [3, 0], "clamped");
    assert_eq!(ints(&x.take(Tensor::from_vec(vec![1u8, 0], [2]), 0).index((.., 0, 0))), [12, 0]);
    assert_eq!(ints(&tensor([[1, 2], [3, 4]]).take_along_axis(&tensor([[1], [0]]), 1)), [2, 3]);
    assert_eq!(ints(&tensor([[1, 2], [3, 4]]).take_along_axis(&tensor([[1, 0]]), 0)), [3, 2]);
}

#[test]
fn updates_are_numpys() {
    let x = Tensor::zeros_of(I32, [2, 4]);
    assert_eq!(ints(&x.at((0, 1..3)).set(tensor([7, 8]))), [0, 7, 8, 0, 0, 0, 0, 0]);
    assert_eq!(ints(&x.at((.., step(.., 2))).set(1)), [1, 0, 1, 0, 1, 0, 1, 0]);
    assert_eq!(ints(&x.at((1, step(.., -3))).set(tensor([5, 6]))), [0, 0, 0, 0, 6, 0, 0, 5]);
    assert_eq!(ints(&x.at((.., -1)).add(tensor([1, 2]))), [0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(
        ints(&x.at((1, tensor([0, 0, 3]))).add(tensor([1, 2, 4]))),
        [0, 0, 0, 0, 3, 0, 0, 4]
    );
    assert_eq!(
        ints(&x.at((tensor([0, 1]), tensor([1, 2]))).set(tensor([5, 6]))),
        [0, 5, 0, 0, 0, 0, 6, 0]
    );
    assert_eq!(ints(&x.at((.., tensor([9]))).set(1)), [0; 8], "dropped");
    assert_eq!(ints(&(&x + 2).at(Ellipsis).mul(3)), [6; 8]);
    assert_eq!(ints(&(&x + 2).at((0, ..2)).min(1)), [1, 1, 2, 2, 2, 2, 2, 2]);
    assert_eq!(ints(&(&x + 2).at(tensor([1])).max(3)), [2, 2, 2, 2, 3, 3, 3, 3]);
    assert_eq!(ints(&x.at((0, 3..3)).set(9)), [0; 8]);
    assert_eq!(ints(&x.at((NewAxis, 1, ..2)).set(tensor([[4, 5]]))), [0, 0, 0, 0, 4, 5, 0, 0]);
}

#[test]
fn wrong_indices_say_what_is_wrong() {
    let x = cube();
    for (y, say) in [
        (
            x.index((0, 3)),
            "index: index 3 is out of range for axis 1, which has 3 entries; the operand is \
             i32[2, 3, 4], at ",
        ),
        (
            x.index((0, 0, 0, 0)),
            "index: expected at most 3 axes in the index, got 4; the operand is i32[2, 3, 4]",
        ),
        (x.index((Ellipsis, 0, Ellipsis)), "at most one Ellipsis"),
        (x.index(step(.., 0)), "expected a step other than 0"),
        (x.index(tensor([0.5])), "expected integer indices, got f32[1]"),
        (
            x.index(tensor([true])),
            "expected a mask with the sizes of the axes of i32[2, 3, 4] that it indexes, got \
             bool[1]",
        ),
        (x.take(tensor([true, false]), 0), "expected integer indices, got the mask bool[2]"),
        (
            x.at(0).set(0.5),
            "set: expected an update that promotes to the dtype of i32[2, 3, 4], got f32[]",
        ),
        (
            x.at(0).add(tensor([1, 2])),
            "add: expected an update that broadcasts to [3, 4], got i32[2]",
        ),
        (
            x.at(tensor([0])).add(tensor([1, 2])),
            "add: expected an update that broadcasts to [1, 3, 4], got i32[2]",
        ),
        (x.take(0, 3), "take: axis 3 is out of range for rank 3"),
        (
            x.take_along_axis(&tensor([0]), 0),
            "expected indices that broadcast against i32[2, 3, 4] along all axes but 0, got i32[1]",
        ),
        (x.dynamic_slice(tensor([0]), [1, 1]), "dynamic_slice"),
        (x.get(2), "get: index 2 is out of range for axis 0 of i32[2, 3, 4]"),
        (x.roll(1, 5), "roll: axis 5"),
        (x.squeeze(0), "squeeze: expected size 1 along axis 0 of i32[2, 3, 4]"),
        (x.glu(1), "glu: expected an even size along axis 1, got 3 in i32[2, 3, 4]"),
        (
            x.split(5, 0)[4].clone(),
            "split: expected a size along axis 0 of i32[2, 3, 4] that is a multiple of 5",
        ),
        (
            stack([&x, &x.get(0)], 0),
            "stack: expected operands of one shape, got i32[2, 3, 4] and i32[3, 4]",
        ),
        (x.tril(0) + tensor([1, 2]), "cannot broadcast"),
        (tensor([1]).tril(0), "tril: expected matrices, got i32[1]"),
        (tensor([1.0]).one_hot(3), "one_hot: expected integers, got f32[1]"),
        (tensor([1.0]).bincount(3), "bincount: expected integers, got f32[1]"),
        (
            tensor([1.0]).hypot(tensor([1.0, 2.0, 3.0]).reshape([3])).hypot(tensor([1.0, 2.0])),
            "hypot: cannot broadcast f32[3] with f32[2]",
        ),
        (tensor([1.0]).complex(0.0).hypot(1.0), "hypot: expected real numbers, got c64[1]"),
        (
            tensor([1, 2]).cross(tensor([1, 2])),
            "cross: expected size 3 along the last axis, got i32[2]",
        ),
        (x.searchsorted(1, Side::Left), "searchsorted: expected a sorted vector, got i32[2, 3, 4]"),
        (
            tensor([1.0, 2.0]).top_k(3).0,
            "top_k: expected at least 3 elements along the last axis, got f32[2]",
        ),
        (Tensor::range(0.0, 1.0, 0.0), "range: expected a finite number of steps, got 0 to 1 by 0"),
        (
            Tensor::zeros([0]).median(..),
            "median: expected at least one element and a scalar or vector `q`, got f32[0]",
        ),
        (x.sort(3), "sort: axis 3"),
        (x.diagonal(0, 1, 1), "diagonal: expected different axes, got axis 1 twice"),
    ] {
        assert!(
            why(&y).contains(say) && why(&y).contains(file!()),
            "`{say}` is not in: {}",
            why(&y)
        );
    }
}

#[test]
fn dtypes_are_jaxs() {
    let bools = tensor([true, false, true]);
    let bytes = Tensor::from_vec(vec![200u8, 100], [2]);
    assert_eq!((bools.sum(..).dtype(), bools.sum(..).item().unwrap()), (I32, 2.0));
    assert_eq!((bytes.sum(..).dtype(), bytes.sum(..).item().unwrap()), (U32, 300.0));
    assert_eq!(bytes.cumsum(0).dtype(), U32);
    assert_eq!((tensor([1, 2]).mean(..).dtype(), tensor([1, 2]).var(.., 0).dtype()), (F32, F32));
    assert_eq!(tensor([1, 2]).softmax(0).dtype(), F32);
    assert_eq!(bytes.relu().dtype(), U8);
    assert_eq!(Tensor::full_of(F8E5M2, [2], 2.0).relu().dtype(), F8E5M2);
    assert_eq!(Tensor::full_of(BF16, [2], 2.0).leaky_relu(0.1).dtype(), BF16);
    assert_eq!(Tensor::full_of(BF16, [2], 2.0).gelu(true).dtype(), BF16);
    assert_eq!(bytes.exp().dtype(), F32);
    assert_eq!(tensor([1, 2]).reciprocal().dtype(), F32);
    assert_eq!(tensor([1, 2]).hypot(tensor([3, 4])).dtype(), F32);
    assert_eq!(tensor([1, 2]).floor().dtype(), I32);
    assert_eq!(tensor([1, 2]).is_finite().dtype(), BOOL);
    assert_eq!(concat([&bytes, &tensor([1])], 0).dtype(), I32);
    // Sums of 16-bit floats are accumulated in f32, without overflow.
    assert_eq!(Tensor::full_of(F16, [100], 1000.0).mean(..).item().unwrap(), 1000.0);
    assert_eq!(Tensor::full_of(F16, [100], 1000.0).std(.., 0).item().unwrap(), 0.0);
}

#[test]
fn quantiles_are_numpys() {
    let x = tensor([[7.0, 1.0, 3.0], [4.0, 2.0, 9.0]]);
    assert_eq!(floats(&x.median(0)), [5.5, 1.5, 6.0]);
    assert_eq!(x.median(..).item().unwrap(), 3.5);
    assert_eq!(floats(&x.quantile(tensor([0.25, 1.0]), 1)), [2.0, 3.0, 7.0, 9.0]);
    assert_eq!(x.quantile(tensor([0.25, 0.5, 1.0]), keep(1)).shape(), [3, 2, 1]);
    assert_eq!(x.quantile(0.1, keep(..)).shape(), [1, 1]);
    assert_eq!(floats(&x.percentile(tensor([0.0, 50.0]), ..)), [1.0, 3.5]);
    assert!(tensor([1.0, f32::NAN]).median(..).item().unwrap().is_nan());
    assert_eq!(tensor([1.0, f32::INFINITY]).quantile(0.0, ..).item().unwrap(), 1.0);
    assert_eq!(tensor([1, 2, 3, 4]).quantile(0.5, ..).item().unwrap(), 2.5);
}

#[test]
fn reductions_are_numpys() {
    let nan = f32::NAN;
    let x = tensor([[1.0, nan, 3.0], [nan, nan, nan]]);
    assert_eq!(floats(&x.nansum(1)), [4.0, 0.0]);
    assert_eq!(floats(&x.nanprod(1)), [3.0, 1.0]);
    assert!(x.nanmean(1).to_vec::<f32>().unwrap()[1].is_nan());
    assert_eq!(x.nanmax(1).to_vec::<f32>().unwrap()[0], 3.0);
    assert!(x.nanmin(1).to_vec::<f32>().unwrap()[1].is_nan());
    let y = tensor([[3.0, -4.0], [0.0, 5.0]]);
    assert_eq!(floats(&y.norm(1)), [5.0, 5.0]);
    assert_eq!(floats(&y.norm_of_order(0.0, 1)), [2.0, 1.0]);
    assert_eq!(floats(&y.norm_of_order(f64::NEG_INFINITY, keep(1))), [3.0, 0.0]);
    assert_eq!(floats(&y.average(tensor([1.0, 3.0]), 1)), [-2.25, 3.75]);
    assert_eq!(y.var(.., 1).item().unwrap() as f32, 15.333333);
    assert_eq!(ints(&tensor([[1, 0], [0, 0]]).count_nonzero(0)), [1, 0]);
    assert_eq!(floats(&y.ptp(keep(0))), [3.0, 9.0]);
    assert_eq!(floats(&y.softmax(..).sum([0, 1]).reshape([1])), [1.0]);
    let three = Tensor::arange(8).to(F32).reshape([2, 2, 2]);
    let (merged, each) = (three.log_softmax([0, 2]), &three - three.logsumexp(keep([0, 2])));
    assert_eq!(merged.allclose(each, 1e-6, 1e-6).item().unwrap(), 1.0);
}

#[test]
fn arrangements_are_numpys() {
    assert_eq!(ints(&tensor([[1, 2], [3, 4]]).tile([1, 2])), [1, 2, 1, 2, 3, 4, 3, 4]);
    assert_eq!(ints(&tensor([[1], [2]]).tile([2])), [1, 1, 2, 2]);
    assert_eq!(ints(&tensor([[1, 2], [3, 4]]).repeat(2, 1)), [1, 1, 2, 2, 3, 3, 4, 4]);
    assert_eq!(tensor([1, 2]).repeat(0, 0).shape(), [0]);
    assert_eq!(ints(&hstack([tensor([1, 2]), tensor([3])])), [1, 2, 3]);
    assert_eq!(vstack([tensor([[1, 2]]), tensor([3, 4]).reshape([1, 2])]).shape(), [2, 2]);
    assert_eq!(
        ints(&tensor([[1, 2], [3, 4]]).pad([(0, 1), (1, 0)], 9)),
        [9, 1, 2, 9, 3, 4, 9, 9, 9]
    );
    assert_eq!(ints(&tensor([1, 2, 3]).pad_with([(1, 1)], PadMode::Wrap)), [3, 1, 2, 3, 1]);
    let grids = meshgrid([tensor([1, 2, 3]), tensor([4, 5])], Indexing::Ij);
    assert_eq!(
        (grids[0].shape(), ints(&grids[1])),
        (tensor([[0; 2]; 3]).shape(), vec![4, 5, 4, 5, 4, 5])
    );
    let x = Tensor::arange(6).reshape([2, 3]);
    assert_eq!(ints(&x.diagonal(-1, 0, 1)), [3]);
    assert_eq!(ints(&x.diagonal(0, 1, 0)), [0, 4]);
    assert_eq!(x.diagonal(7, 0, 1).shape(), [0]);
    assert_eq!(ints(&x.triu(0)), [0, 1, 2, 0, 4, 5]);
    assert_eq!(ints(&x.tril(-1)), [0, 0, 0, 3, 0, 0]);
    assert_eq!(ints(&tensor([1, 2]).diag(-1)), [0, 0, 0, 1, 0, 0, 0, 2, 0]);
    assert_eq!(x.trace(1).item().unwrap(), 6.0);
    assert_eq!(ints(&tensor([[1, 2], [3, 4]]).kron(tensor([[1, 1]]))), [1, 1, 2, 2, 3, 3, 4, 4]);
    assert_eq!(ints(&x.tensordot(&x, 1, 1)), [5, 14, 14, 50]);
    assert_eq!(ints(&x.dot(tensor([1, 1, 1]))), [3, 12]);
    assert_eq!(
        floats(&tensor([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]]).t().cov(1)),
        [1.0, 1.0, 1.0, 1.0]
    );
}

#[test]
fn numbers_are_pythons() {
    let (x, y) = (tensor([7, -7, 7, -7]), tensor([2, 2, -2, -2]));
    assert_eq!(ints(&x.floor_divide(&y)), [3, -4, -4, 3]);
    assert_eq!(ints(&x.remainder(&y)), [1, 1, -1, -1]);
    assert_eq!(floats(&tensor([5.5, -5.5]).remainder(2.0)), [1.5, 0.5]);
    assert_eq!(
        floats(&tensor([f32::INFINITY, 0.0]).hypot(tensor([f32::NAN, 0.0]))),
        [f32::INFINITY, 0.0]
    );
    assert_eq!(
        floats(&tensor([0.0, 1.0]).interp(&tensor([0.0, 0.0, 1.0]), &tensor([1.0, 2.0, 3.0]))),
        [2.0, 3.0]
    );
    assert_eq!(floats(&tensor([9.0]).interp(&tensor([0.0]), &tensor([4.0]))), [4.0]);
    assert_eq!(
        tensor([1.0, f32::NAN])
            .isclose(tensor([1.0, f32::NAN]), 1e-5, 1e-8)
            .to_vec::<bool>()
            .unwrap(),
        [true, false]
    );
    assert_eq!(
        tensor([f32::INFINITY, 1.0])
            .allclose(tensor([f32::NEG_INFINITY, 1.0]), 1e-5, 1e-8)
            .item()
            .unwrap(),
        0.0
    );
    let (values, indices) = tensor([[1.0, f32::NAN, 2.0], [3.0, 3.0, 0.0]]).top_k(2);
    assert_eq!((ints(&indices), floats(&values)[3]), (vec![1, 2, 0, 1], 3.0));
    assert_eq!(ints(&Tensor::from_vec(vec![128u8, 1], [2]).right_shift(7).to(I32)), [1, 0]);
}

#[test]
fn nan_to_num_replaces_both_parts_of_complex_numbers() {
    let x = tensor([f32::NAN, 1.0, f32::INFINITY])
        .complex(tensor([2.0, f32::NEG_INFINITY, f32::NAN]))
        .nan_to_num();
    assert_eq!(x.real().to_vec::<f32>().unwrap(), [0.0, 1.0, f32::MAX]);
    assert_eq!(x.imag().to_vec::<f32>().unwrap(), [2.0, f32::MIN, 0.0]);
}

#[test]
fn offsets_and_sizes_may_be_extreme() {
    for k in [i64::MIN, i64::MIN + 1, i64::MAX, 1 << 40, -(1 << 40)] {
        assert!(!why(&tensor([1, 2]).diag(k)).is_empty(), "{k}");
        assert_eq!(cube().diagonal(k, 0, 1).shape(), [4, 0]);
        assert_eq!(floats(&Tensor::tri(2, 2, k)), [(k > 0) as u8 as f32; 4]);
        assert_eq!(
            ints(&tensor([[1, 2], [3, 4]]).triu(k)).iter().sum::<i32>(),
            10 * (k < 0) as i32
        );
        assert_eq!(floats(&Tensor::zeros([2, 2]).trace(k)), [0.0]);
    }
    for (n, m) in [(usize::MAX, 0), (0, usize::MAX), (usize::MAX, 1), (1 << 63, 1 << 63)] {
        assert!(!why(&Tensor::tri(n, m, 0)).is_empty(), "{n} x {m}");
    }
    assert_eq!(Tensor::tri(1 << 40, 0, i64::MIN).shape(), [1 << 40, 0]);
    // More taps than fit into 64 bits.
    let pool = |x: Tensor| x.avg_pool([1 << 33, 1 << 33], Windows::new());
    assert_eq!(eval_shape(pool, &Tensor::ones([1, 1, 2, 2])).shape(), [1, 1, 0, 0]);
    // A difference for each entry leaves none.
    assert_eq!(Tensor::zeros([1_000_000]).diff(usize::MAX, 0).shape(), [0]);
    // The middle of two indices beyond 2^30 would overflow as half of their sum.
    let x = Tensor::arange(5);
    assert_eq!(ints(&x.searchsorted(tensor([-1, 3, 9]), Side::Left)), [0, 3, 5]);
    assert_eq!(ints(&tensor([0, -1, 2]).bincount(3)), [1, 0, 1]);
    assert!(!why(&tensor([-1]).bincount(1 << 60)).is_empty());
}

#[test]
fn extreme_arguments_have_results() {
    let options = neurax::HistogramOptions::new;
    let endless = key(0).binomial(f32::INFINITY, 0.0, ());
    assert_eq!(floats(&endless), [f32::INFINITY]);
    assert_eq!(floats(&Tensor::zeros([2, 2]).cond()), [f32::INFINITY]);
    let (counts, edges) = tensor([0.0, f32::NAN, 2.0]).histogram_with(2, options());
    assert_eq!((ints(&counts), floats(&edges)), (vec![1, 1], vec![0.0, 1.0, 2.0]));
    let (counts, _) = tensor([1.0]).histogram_with(0, options());
    assert!(why(&counts).contains("expected at least one bin, got 0"), "{}", why(&counts));
    let out = tensor([1, 2, 3]).delete(tensor(9), 0);
    assert!(why(&out).contains("expected an index along axis 0"), "{}", why(&out));
    assert_eq!(ints(&tensor([1, 2, 3]).delete(tensor(-1), 0)), [1, 2]);
}

#[test]
fn systems_keep_small_singular_values_and_batches_of_right_sides() {
    let a = tensor([[1.0, 0.0], [0.0, 5e-7]]);
    let x = a.lstsq(tensor([1.0, 1.0]));
    assert!(x.allclose(tensor([1.0, 2e6]), 1e-5, 1e-5).item().unwrap() == 1.0, "{x}");
    let (lu, _, permutation) = tensor([[2.0, 1.0], [4.0, 1.0]]).lu_factor();
    let b = tensor([[[4.0], [6.0]], [[3.0], [5.0]]]);
    assert_eq!(floats(&lu.lu_solve(&permutation, b)), [1.0, 2.0, 1.0, 1.0]);
}

/// Twenty rows take the blocked method.
#[test]
fn a_right_side_with_nan_makes_its_column_nan() {
    for n in [2, 20] {
        let a = Tensor::eye(n) * 2.0;
        let right = Tensor::ones([n, 3]).at((0, 1)).set(f32::NAN);
        let x = a.solve(right);
        assert_eq!(x.slice(1, 1..2).is_nan().all(..).item().unwrap(), 1.0, "{x}");
        assert_eq!(x.take(tensor([0, 2]), 1).unique().to_vec::<f32>().unwrap(), [0.5]);
    }
}

#[test]
fn a_function_of_an_associative_scan_keeps_the_leaves() {
    let drops = |a: Vec<Tensor>, _: Vec<Tensor>| a.into_iter().take(1).collect();
    let y = neurax::associative_scan(drops, vec![tensor([1, 2, 3]), tensor([1, 2, 3])], 0);
    assert!(why(&y[0]).contains("expected a result of 2 leaves, got 1"), "{}", why(&y[0]));
}
