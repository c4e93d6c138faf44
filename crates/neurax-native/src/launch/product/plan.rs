//! The plan of a matrix product: how it is computed, and the tiles of its result.

use super::{ProductDType, ProductTask, RealProduct};
use crate::{
    launch::{blocked::BlockedProduct, kernel::KernelTask, pack_rhs::PackRhs},
    schedule::BufferId,
    strided_view::StridedView,
    tuning::{
        MATMUL_EPILOGUE_MIN_ROWS, MATMUL_EPILOGUE_TILE_BYTES, MATMUL_LARGE_RHS_BYTES,
        MATMUL_MAX_TILES, MATMUL_MIN_TILE_FMA, MATMUL_MIN_TILE_ROWS, MATMUL_NARROW_COLUMNS,
        MATMUL_NARROW_MIN_TILE_ROWS, MATMUL_STRIDED_MIN_TILE_ROWS, MATMUL_TILE_MULTIPLE,
        PARALLEL_GRAIN_FMA, PARALLEL_GRAIN_KERNEL,
    },
};
use neurax_ir::{Eqn, Error, Graph, Result, op::DotGeneral};
use smallvec::SmallVec;

impl ProductTask {
    /// Creates the task of equation `e`. Transposes of the operands become strides.
    ///
    /// # Errors
    /// If the dtype has no matrix kernel, or the rows, columns or depth of an operand have no
    /// common stride, an error of this crate: the schedule checks both.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        op: &DotGeneral,
        reads: &[BufferId],
        write: BufferId,
        epilogue: Option<KernelTask>,
    ) -> Result<ProductTask> {
        let side = |i| StridedView::operand_or_dense(graph, e, i).0;
        let (l, r) = (side(0), side(1));
        let (lf, rf) = (op.lhs_free(l.sizes.len()), op.rhs_free(r.sizes.len()));
        let bug = |what: String| Error::bug(what).at_origin(&e.at);
        let no_kernel = || bug(format!("{} has no matrix kernel", op.dtype));
        let lost = || bug("the axes of a dot_general operand have no common stride".into());
        let (m, rows) = l.merged(&lf).ok_or_else(lost)?;
        let (n, columns) = r.merged(&rf).ok_or_else(lost)?;
        let (k, down) = l.merged(&op.lhs_contract).ok_or_else(lost)?;
        let (_, across) = r.merged(&op.rhs_contract).ok_or_else(lost)?;
        let mut step = (m * n) as isize;
        let mut batch = SmallVec::new();
        for (&i, &j) in op.lhs_batch.iter().zip(&op.rhs_batch).rev() {
            batch.insert(0, ([l.strides[i], r.strides[j], step], l.sizes[i]));
            step *= l.sizes[i] as isize;
        }
        let arrays = [reads[0], reads[1], write];
        let (left, right) = ([rows, down], [across, columns]);
        let mut task = ProductTask {
            dtype: ProductDType::of(op.dtype).ok_or_else(no_kernel)?,
            arrays,
            batch,
            sizes: [m, n, k],
            left,
            right,
            blocked: None,
            pack_rhs: None,
            epilogue,
            tile_size: [m, n],
            epilogue_per_tile: false,
        };
        task.choose_packing();
        task.tile_size = task.best_tile_size();
        task.epilogue_per_tile = task.tiles_hold_iterations();
        Ok(task)
    }

    /// Computes the product in blocks if the CPU has microkernels. Otherwise packs a column-strided
    /// right operand once when several tiles would share it and many rows use it. With more columns
    /// than depth, most tiles have different columns.
    fn choose_packing(&mut self) {
        let [m, n, k] = self.sizes;
        if self.batch.is_empty() && !self.is_narrow() {
            self.blocked = match self.dtype {
                ProductDType::F32 => {
                    BlockedProduct::of(self.sizes, self.left, self.right).map(RealProduct::F32)
                }
                ProductDType::F64 => {
                    BlockedProduct::of(self.sizes, self.left, self.right).map(RealProduct::F64)
                }
                ProductDType::C64 | ProductDType::C128 => None,
            };
        }
        if self.blocked.is_some() {
            return;
        }
        let is_strided = self.right[0] == 1 && self.right[1] != 1;
        if self.dtype.is_real()
            && is_strided
            && self.batch.is_empty()
            && m >= MATMUL_MIN_TILE_ROWS
            && n >= MATMUL_NARROW_COLUMNS
            && k >= n
        {
            self.pack_rhs = Some(PackRhs {
                sizes: [k, n],
                across: self.right[1],
                is_wide: self.dtype.bytes() == 8,
            });
            self.right = [n as isize, 1];
        }
    }

    /// Returns the rows and columns that one tile should have, from the shapes alone.
    fn best_tile_size(&self) -> [usize; 2] {
        let [m, n, k] = self.sizes;
        let batches = self.batches();
        let own =
            batches.saturating_mul(m).saturating_mul(n).saturating_mul(k) / PARALLEL_GRAIN_FMA;
        // empty: no epilogue, no work after the product.
        let after = self.epilogue.as_ref().map_or(0, |t| t.work / PARALLEL_GRAIN_KERNEL);
        let wanted = own.saturating_add(after).clamp(1, MATMUL_MAX_TILES).div_ceil(batches).max(1);
        let [row_unit, column_unit] = match &self.blocked {
            Some(blocked) => blocked.tile_unit(),
            None => [MATMUL_TILE_MULTIPLE; 2],
        };
        let least = if self.blocked.is_some() {
            1
        } else if self.is_narrow() {
            MATMUL_NARROW_MIN_TILE_ROWS
        } else if n * k * self.dtype.bytes() > MATMUL_LARGE_RHS_BYTES {
            MATMUL_MIN_TILE_ROWS
        } else if self.right[1] != 1 {
            // A right operand whose columns are strided is packed for each tile, too.
            MATMUL_STRIDED_MIN_TILE_ROWS
        } else {
            // A call of the matrix kernel has a fixed cost.
            MATMUL_MIN_TILE_FMA.div_ceil((n * k).max(1)).next_multiple_of(MATMUL_TILE_MULTIPLE)
        };
        let rows =
            |parts: usize| m.div_ceil(parts).next_multiple_of(row_unit).max(least).min(m).max(1);
        if self.epilogue_splits_into(batches * m) {
            // The epilogue takes whole rows.
            let cached = MATMUL_EPILOGUE_TILE_BYTES / (n * self.dtype.bytes()).max(1);
            return [rows(wanted).min(cached.max(MATMUL_EPILOGUE_MIN_ROWS)), n];
        }
        let columns = |parts: usize| n.div_ceil(parts).next_multiple_of(column_unit).min(n).max(1);
        // Every tile reads, and may pack, its rows and columns: the fewer in all, the better.
        let packed = |&[r, c]: &[usize; 2]| m.div_ceil(r) * n.div_ceil(c) * (r + c);
        let tilings = (1..=wanted).map(|i| [rows(i), columns(wanted.div_ceil(i))]);
        // empty: `wanted` is at least 1, so that there is a tiling.
        tilings.rev().min_by_key(packed).unwrap_or([m, n])
    }

    /// Returns true if the product has few columns and the left operand has contiguous columns.
    pub(super) fn is_narrow(&self) -> bool {
        self.sizes[1] < MATMUL_NARROW_COLUMNS
            && self.left[0] == 1
            && self.sizes[0] >= MATMUL_NARROW_COLUMNS
    }
}
