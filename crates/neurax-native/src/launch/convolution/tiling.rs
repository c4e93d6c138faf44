//! The tiles of a convolution and the blocks of their depth, from its sizes alone, so that the
//! number of threads changes no bit of the result.

use crate::tuning::{
    CONV_BLOCK_BYTES, CONV_BLOCK_DEPTH, CONV_GRAIN_FMA, CONV_MAX_TILES, CONV_MIN_BLOCK_DEPTH,
    CONV_MIN_TILE_COLUMNS, CONV_NARROW_COLUMNS, CONV_SPLIT_MAX_ELEMENTS,
    CONV_SPLIT_MIN_BLOCK_DEPTH, CONV_SPLIT_MIN_DEPTH_RATIO, CONV_TILE_COLUMN_UNIT,
};
use std::ops::Range;

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvSizes {
    /// The batch size.
    pub batch: usize,
    /// The number of feature groups.
    pub groups: usize,
    /// The features of the result in a group.
    pub results: usize,
    /// The features of the operand in a group.
    pub features: usize,
    /// The taps of a window.
    pub taps: usize,
    /// The windows over one batch member.
    pub windows: usize,
    /// True if the weights have a common stride only inside of a feature.
    pub by_features: bool,
}

impl ConvSizes {
    /// Returns the number of windows over all batch members.
    pub fn columns(&self) -> usize {
        self.batch * self.windows
    }

    /// Returns the number of products that one element of the result sums.
    pub fn depth(&self) -> usize {
        self.features * self.taps
    }

    /// Returns the offset in the result of `column`, for the first feature of `group`.
    pub fn offset(&self, column: usize, group: usize) -> usize {
        let (member, window) = (column / self.windows, column % self.windows);
        (member * self.groups + group) * self.results * self.windows + window
    }
}

/// The tiling of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// The columns of a tile.
    columns: usize,
    /// The most depth of a block of patches.
    pub depth: usize,
    /// True if a tile is whole batch members, with all groups.
    pub whole: bool,
    /// The number of partial sums over the depth, which are added in order at the end.
    pub sums: usize,
    /// True if there is enough work for more than one thread.
    pub shared: bool,
}

/// A tile of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvTile {
    /// The index of the tile.
    pub index: usize,
    /// The groups.
    pub groups: Range<usize>,
    /// The windows, counted over all batch members.
    pub columns: Range<usize>,
    /// The range of the depth.
    pub depth: Range<usize>,
}

impl Tiling {
    /// Returns the columns of a tile.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Chooses the tiling for sizes `s` and elements of `bytes` bytes.
    pub fn new(s: &ConvSizes, bytes: usize) -> Tiling {
        let (columns, depth) = (s.columns(), s.depth());
        let work = s.groups.saturating_mul(s.results).saturating_mul(columns).saturating_mul(depth);
        let shared = work >= 2 * CONV_GRAIN_FMA;
        let wanted = (work / CONV_GRAIN_FMA).clamp(1, CONV_MAX_TILES);
        let elements = CONV_BLOCK_BYTES / bytes.max(1);
        if shared
            && s.results * columns <= CONV_SPLIT_MAX_ELEMENTS
            && depth >= CONV_SPLIT_MIN_DEPTH_RATIO * columns.max(CONV_MAX_TILES)
        {
            let deep = (elements / columns.max(1))
                .clamp(CONV_SPLIT_MIN_BLOCK_DEPTH, CONV_BLOCK_DEPTH)
                .min(depth);
            return Tiling {
                columns,
                depth: deep,
                whole: false,
                sums: wanted.div_ceil(s.groups).min(depth),
                shared,
            };
        }
        let deep = (elements / s.windows.max(1))
            .clamp(CONV_MIN_BLOCK_DEPTH, CONV_BLOCK_DEPTH)
            .min(depth)
            .max(1);
        let fit = (elements / deep).max(CONV_MIN_TILE_COLUMNS);
        // A tile of one batch member is computed in the result. A tile of several, which pays if
        // they have few windows, is computed in scratch memory and copied.
        let most = if s.windows < CONV_NARROW_COLUMNS { s.batch.div_ceil(wanted) } else { 1 };
        let members = (fit / s.windows.max(1)).min(most);
        if members > 0 && (s.batch >= wanted || !shared) {
            return Tiling {
                columns: members * s.windows,
                depth: deep,
                whole: true,
                sums: 1,
                shared,
            };
        }
        let per_member =
            wanted.div_ceil(s.batch.max(1) * s.groups.max(1)).max(s.windows.div_ceil(fit));
        let columns = s.windows.div_ceil(per_member.max(1)).next_multiple_of(CONV_TILE_COLUMN_UNIT);
        Tiling { columns, depth: deep, whole: false, sums: 1, shared }
    }

    /// Returns the number of tiles.
    pub fn tiles(&self, s: &ConvSizes) -> usize {
        match (self.sums > 1, self.whole) {
            _ if s.columns() == 0 || s.groups == 0 => 0,
            (true, _) => s.groups * self.sums,
            (false, true) => s.columns().div_ceil(self.columns),
            (false, false) => s.batch * s.groups * s.windows.div_ceil(self.columns),
        }
    }

    /// Returns tile `index`.
    pub fn tile(&self, s: &ConvSizes, index: usize) -> ConvTile {
        let (all, depth) = (s.columns(), 0..s.depth());
        if self.sums > 1 {
            let (group, sum) = (index / self.sums, index % self.sums);
            return ConvTile {
                index,
                groups: group..group + 1,
                columns: 0..all,
                depth: self.sum(s, sum)..self.sum(s, sum + 1),
            };
        }
        if self.whole {
            let from = index * self.columns;
            return ConvTile {
                index,
                groups: 0..s.groups,
                columns: from..(from + self.columns).min(all),
                depth,
            };
        }
        let per = s.windows.div_ceil(self.columns);
        let (chunk, group, member) = (index % per, index / per % s.groups, index / per / s.groups);
        let from = chunk * self.columns;
        let columns =
            member * s.windows + from..member * s.windows + (from + self.columns).min(s.windows);
        ConvTile { index, groups: group..group + 1, columns, depth }
    }

    /// Returns the start of partial sum `i`: a multiple of the taps, if there are enough features.
    fn sum(&self, s: &ConvSizes, i: usize) -> usize {
        if s.features >= self.sums {
            i * s.features / self.sums * s.taps
        } else {
            i * s.depth() / self.sums
        }
    }

    /// Returns the end of the block that begins at `from`, in a depth that ends at `end`.
    pub fn next(&self, s: &ConvSizes, from: usize, end: usize) -> usize {
        let end = if s.by_features { end.min((from / s.taps + 1) * s.taps) } else { end };
        // Equal blocks instead of a small one at the end.
        let left = end.saturating_sub(from);
        from + left.div_ceil(left.div_ceil(self.depth).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_everything_once() {
        let mut seen = [false; 3];
        for case in 0..300usize {
            let pick = |k: usize, of: &[usize]| of[case / k % of.len()];
            let s = ConvSizes {
                batch: pick(1, &[1, 3, 40]),
                groups: pick(3, &[1, 2]),
                results: pick(5, &[1, 16]),
                features: pick(7, &[1, 9, 64]),
                taps: pick(2, &[1, 9, 300]),
                windows: pick(11, &[1, 9, 500, 70000]),
                by_features: case % 2 == 0,
            };
            let tiling = Tiling::new(&s, 4);
            seen[if tiling.sums > 1 { 0 } else { 1 + tiling.whole as usize }] = true;
            let parts: Vec<ConvTile> = (0..tiling.tiles(&s)).map(|i| tiling.tile(&s, i)).collect();
            let size = |p: &ConvTile| p.groups.len() * p.columns.len() * p.depth.len();
            assert_eq!(
                parts.iter().map(size).sum::<usize>(),
                s.groups * s.columns() * s.depth(),
                "{s:?} {tiling:?}"
            );
            for (i, p) in parts.iter().enumerate() {
                let meets = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
                let clash = |q: &ConvTile| {
                    meets(&p.groups, &q.groups)
                        && meets(&p.columns, &q.columns)
                        && meets(&p.depth, &q.depth)
                };
                assert!(parts[i + 1..].iter().take(50).all(|q| !clash(q)), "{s:?} {tiling:?}");
                let (mut from, mut blocks) = (p.depth.start, 0);
                while from < p.depth.end {
                    let next = tiling.next(&s, from, p.depth.end);
                    assert!(
                        next > from
                            && next - from <= tiling.depth
                            && (!s.by_features || (next - 1) / s.taps == from / s.taps),
                        "{s:?} {tiling:?}"
                    );
                    (from, blocks) = (next, blocks + 1);
                }
                assert!(blocks > 0);
            }
        }
        assert_eq!(seen, [true; 3]);
    }
}
