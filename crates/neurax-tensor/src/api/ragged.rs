//! Products of matrices whose rows are in groups of different sizes.
//!
//! The rows are divided into tiles of a fixed size. Group `g` meets the tiles from that of its
//! first row to that of its last one, so all groups meet at most `tiles + groups - 1` tiles, a
//! number that does not depend on their sizes; a `scan` goes over these pairs, and masks the rows
//! of other groups in each tile. This is the scheme of MegaBlocks
//! (<https://arxiv.org/abs/2211.15841>).
//!
//! ```text
//! rows 0 1 2 3 4 5 6 7     tiles of 4 rows
//! group sizes 3, 0, 4      pairs (tile 0, group 0), (tile 0, group 2), (tile 1, group 2)
//! ```

use super::common::{located, promote_operands, tensor_or_error};
use crate::{DType, Tensor, checkpoint, scan, tensor::CallSite};
use std::panic::Location;

/// The number of rows of a tile.
const TILE: usize = 64;

impl Tensor {
    /// Computes the products of groups of rows with one matrix each: rows `[m, k]` and matrices
    /// `rhs` `[groups, k, n]` give `[m, n]`.
    ///
    /// The groups lie one after the other; `group_sizes`, integers `[groups]`, has their numbers of
    /// rows. Rows after the last group are 0. Dtypes are promoted; floats below 32 bits are
    /// accumulated in f32. Follows `jax.lax.ragged_dot`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the ranks or sizes do not fit, or if the sizes of the groups
    /// are not integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let rows = tensor([[1.0], [2.0], [3.0]]);
    /// let factors = tensor([[[10.0]], [[100.0]]]);
    /// let y = rows.ragged_dot(&factors, &tensor([1, 2]));
    /// assert_eq!(y.to_vec::<f32>()?, [10.0, 200.0, 300.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ragged_dot(&self, rhs: &Tensor, group_sizes: &Tensor) -> Tensor {
        let at = Location::caller();
        let dot = || {
            let rows = Rows::of("ragged_dot", self, rhs, group_sizes, at)?;
            let (matrices, shape) = (&rows.rhs, rows.rhs.shape());
            if shape[0] == 0 {
                return Ok(Tensor::zeros_of(rows.dtype, [rows.count, shape[2]]));
            }
            let start = Tensor::zeros_of(rows.rhs.dtype(), [rows.tiles, TILE, shape[2]]);
            let y = scan(start, rows.pairs(group_sizes), |y: Tensor, pair: TileOfGroup| {
                located(at, &[], || (added_rows(&rows.lhs, matrices, y, pair), ()))
            });
            let y = y.0.reshape([rows.tiles * TILE, shape[2]]);
            Ok(y.slice(0, ..rows.count as i64).convert(rows.dtype, at))
        };
        located(at, &[self, rhs, group_sizes], || tensor_or_error(dot()))
    }

    /// Computes the products of groups of rows with each other: rows `[m, k]` and rows `rhs`
    /// `[m, n]` give matrices `[groups, k, n]`, the sums over the rows of each group.
    ///
    /// The groups are those of [`Tensor::ragged_dot`], of which this is the derivative with respect
    /// to the matrices. Rows after the last group are not read. Follows
    /// `jax.lax.ragged_dot_general` with a ragged dimension that is contracted.
    ///
    /// # Errors
    ///
    /// The result carries an error if the ranks or sizes do not fit, or if the sizes of the groups
    /// are not integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([[1.0], [2.0], [3.0]]), tensor([[1.0], [10.0], [10.0]]));
    /// let sums = x.ragged_dot_contracted(&y, &tensor([1, 2]));
    /// assert_eq!(sums.to_vec::<f32>()?, [1.0, 50.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ragged_dot_contracted(&self, rhs: &Tensor, group_sizes: &Tensor) -> Tensor {
        let at = Location::caller();
        let dot = || {
            let rows = Rows::of("ragged_dot_contracted", self, rhs, group_sizes, at)?;
            let right = tiled(&rows.rhs, rows.tiles);
            let shape = [group_sizes.size(), self.dim(1), rhs.dim(1)];
            if shape[0] == 0 {
                return Ok(Tensor::zeros_of(rows.dtype, shape));
            }
            let start = Tensor::zeros_of(rows.rhs.dtype(), shape);
            let y = scan(start, rows.pairs(group_sizes), |y: Tensor, pair: TileOfGroup| {
                located(at, &[], || (added_matrix(&rows.lhs, &right, y, pair), ()))
            });
            Ok(y.0.convert(rows.dtype, at))
        };
        located(at, &[self, rhs, group_sizes], || tensor_or_error(dot()))
    }
}

/// The index of a tile, that of a group, and the first row of the group and the first one behind
/// it, counted from the first row of the tile.
type TileOfGroup = (Tensor, Tensor, Tensor, Tensor);

/// Operands of one dtype of at least 32 bits, the left one in tiles.
struct Rows {
    /// The left operand, `[tiles, TILE, k]`.
    lhs: Tensor,
    rhs: Tensor,
    /// The number of rows.
    count: usize,
    tiles: usize,
    /// The dtype of the result.
    dtype: DType,
}

impl Rows {
    fn of(
        op: &str,
        lhs: &Tensor,
        rhs: &Tensor,
        group_sizes: &Tensor,
        at: CallSite,
    ) -> Result<Rows, Tensor> {
        let (x, y, sizes) =
            (lhs.type_or_error()?, rhs.type_or_error()?, group_sizes.type_or_error()?);
        let fits = match (op, &x.shape[..], &y.shape[..], &sizes.shape[..]) {
            ("ragged_dot", &[_, k], &[g, l, _], &[groups]) => k == l && g == groups,
            (_, &[m, _], &[n, _], &[_]) => m == n,
            _ => false,
        };
        if !fits || !sizes.dtype.is_int() {
            let want = match op {
                "ragged_dot" => "rows [m, k], matrices [groups, k, n]",
                _ => "rows [m, k] and [m, n]",
            };
            let why = format!("expected {want} and integers [groups], got {x}, {y} and {sizes}");
            return Err(Tensor::fail(op, why, at));
        }
        let both = promote_operands(op, &[lhs.clone(), rhs.clone()], at)?;
        let [(lhs, dtype), (rhs, _)] = [both[0].wide(at), both[1].wide(at)];
        let count = lhs.dim(0);
        let tiles = count.div_ceil(TILE).max(1);
        Ok(Rows { lhs: tiled(&lhs, tiles), rhs, count, tiles, dtype })
    }

    /// Returns the pairs of tiles and groups, of which there is at least one. Those that are left
    /// over have no rows.
    fn pairs(&self, group_sizes: &Tensor) -> TileOfGroup {
        let (tile, rows) = (TILE as i64, self.count as i64);
        let groups = group_sizes.size();
        let total = self.tiles + groups - 1;
        // Sums of sizes that are out of range stay in i64, and within the rows.
        let sizes = group_sizes.to(DType::I64).clip(0, rows);
        let ends = sizes.cumsum(0).minimum(rows);
        let starts = (ends.roll(1, 0) * Tensor::arange(groups).gt(0).to(DType::I64)).minimum(rows);
        let first = starts.floor_divide(tile);
        let met = ends.gt(&starts).select((&ends + (tile - 1)).floor_divide(tile) - &first, 0);
        let before = met.cumsum(0) - &met;
        let group = Tensor::arange(groups).repeat_each_to(&met, 0, total);
        let of = |x: &Tensor| x.take(&group, 0);
        let index = Tensor::arange(total).to(DType::I64);
        let tiles = (of(&first) + &index - of(&before)).clip(0, self.tiles as i64 - 1);
        let is_pair = index.lt(met.sum(..));
        let offset = &tiles * tile;
        let end = is_pair.select(of(&ends) - &offset, 0);
        let start = is_pair.select(of(&starts) - offset, 0);
        (tiles, group, start, end)
    }
}

/// Returns the rows of `x` in tiles, `[tiles, TILE, k]`; missing rows are 0.
fn tiled(x: &Tensor, tiles: usize) -> Tensor {
    let k = x.dim(1);
    x.pad([(0, tiles * TILE - x.dim(0)), (0, 0)], 0).reshape([tiles, TILE, k])
}

/// Returns the rows of a tile that belong to the group of a pair; the others are 0.
fn masked(rows: Tensor, start: &Tensor, end: &Tensor) -> Tensor {
    let row = Tensor::arange(TILE).to(DType::I64);
    let is_inside = row.ge(start) & row.lt(end);
    is_inside.expand_dims(-1).select(rows, 0)
}

/// Adds the products of the rows of a pair to `y`.
///
/// The products are masked too, as a row of 0 beside an infinite factor would give NaN.
fn added_rows(tiles: &Tensor, matrices: &Tensor, y: Tensor, pair: TileOfGroup) -> Tensor {
    let (tile, group, start, end) = pair;
    let product = checkpoint(|(tile, group, start, end): TileOfGroup| {
        let rows = masked(tiles.take(tile, 0), &start, &end);
        masked(rows.matmul(matrices.take(group, 0)), &start, &end)
    });
    let product = product((tile.clone(), group, start, end));
    y.at(tile).add(product)
}

/// Adds the product of the rows of a pair to the matrix of its group.
fn added_matrix(tiles: &Tensor, right: &Tensor, y: Tensor, pair: TileOfGroup) -> Tensor {
    let (tile, group, start, end) = pair;
    let product = checkpoint(|(tile, start, end): (Tensor, Tensor, Tensor)| {
        let [lhs, rhs] = [tiles, right].map(|x| masked(x.take(&tile, 0), &start, &end));
        lhs.t().matmul(rhs)
    });
    let product = product((tile, start, end));
    y.at(group).add(product)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;
    const INFINITY: f32 = f32::INFINITY;

    /// Returns the group of each row, `groups` for rows after the last one.
    fn ids(sizes: &[usize], rows: usize) -> Vec<usize> {
        let mut ids: Vec<usize> =
            sizes.iter().enumerate().flat_map(|(g, &n)| vec![g; n]).take(rows).collect();
        ids.resize(rows, sizes.len());
        ids
    }

    #[test]
    fn products_are_those_of_each_row() {
        for (rows, sizes) in [
            (7, vec![3, 0, 2]),
            (300, vec![100, 28, 64, 1, 0, 107]),
            (130, vec![0, 200, 5]),
            (128, vec![64, 64]),
            (5, vec![0, 0]),
            (4, vec![]),
            (0, vec![1, 0]),
        ] {
            let groups = sizes.len();
            let (x, w) = (key(1).normal([rows, 3]), key(2).normal([groups, 3, 2]));
            let counts: Vec<i32> = sizes.iter().map(|&n| n as i32).collect();
            let counts = Tensor::from_vec(counts, [groups]);
            let ids: Vec<i32> = ids(&sizes, rows).into_iter().map(|i| i as i32).collect();
            let ids = Tensor::from_vec(ids, [rows]);
            let is_of = ids.expand_dims(-1).equal(Tensor::arange(groups)).to(F32);
            let want = einsum("mg,mk,gkn->mn", [&is_of, &x, &w]);
            let y = x.ragged_dot(&w, &counts);
            assert!(y.allclose(&want, 1e-5, 1e-5).item().unwrap() == 1.0, "{rows} {sizes:?}");
            let want = einsum("mg,mk,mn->gkn", [&is_of, &x, &y]);
            let sums = x.ragged_dot_contracted(&y, &counts);
            assert!(sums.allclose(&want, 1e-4, 1e-4).item().unwrap() == 1.0, "{rows} {sizes:?}");
        }
    }

    #[test]
    fn the_derivatives_are_products_of_groups() {
        let (x, w) = (key(1).normal([70, 3]), key(2).normal([2, 3, 2]));
        let sizes = tensor([66, 3]);
        let (_, pull) = vjp(|(x, w): (Tensor, Tensor)| x.ragged_dot(&w, &sizes), (x.clone(), w));
        let ct = key(3).normal([70, 2]);
        let (dx, dw) = pull.run(ct.clone()).unwrap();
        assert_eq!(dx.get(69).to_vec::<f32>().unwrap(), [0.0; 3]);
        let want = x.ragged_dot_contracted(&ct, &sizes);
        assert!(dw.allclose(want, 1e-5, 1e-5).item().unwrap() == 1.0);
    }

    #[test]
    fn infinities_stay_in_their_group() {
        let (x, w) = (tensor([[1.0], [INFINITY], [3.0]]), tensor([[[1.0]], [[INFINITY]]]));
        let sizes = tensor([2, 1]);
        let f = |(x, w): (Tensor, Tensor)| x.ragged_dot(&w, &sizes);
        assert_eq!(f((x.clone(), w.clone())).to_vec::<f32>().unwrap(), [1.0, INFINITY, INFINITY]);
        let (_, pull) = vjp(f, (x, w));
        let (dx, dw) = pull.run(Tensor::ones([3, 1])).unwrap();
        assert_eq!(dx.to_vec::<f32>().unwrap(), [1.0, 1.0, INFINITY]);
        assert_eq!(dw.to_vec::<f32>().unwrap(), [INFINITY, 3.0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let (x, w) = (Tensor::ones([4, 3]), Tensor::ones([2, 3, 2]));
        let say = |y: Tensor| y.error().unwrap().to_string();
        let e = say(x.ragged_dot(&w, &tensor([1.0, 2.0])));
        assert!(e.contains("and integers [groups], got f32[4, 3], f32[2, 3, 2] and f32[2]"), "{e}");
        assert!(say(x.ragged_dot(&w, &tensor([1, 2, 3]))).contains("matrices [groups, k, n]"));
        assert!(say(x.ragged_dot_contracted(&w, &tensor([1]))).contains("rows [m, k] and [m, n]"));
    }
}
