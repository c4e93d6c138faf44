//! How a convolution is cut into parts, and these into blocks: from its sizes alone, so that any
//! number of threads gives the same bits.

use crate::tuning::{
    CONV_BLOCK_BYTES, CONV_BLOCK_DEPTH, CONV_GRAIN_FMA, CONV_MAX_TILES, CONV_NARROW_COLUMNS,
    CONV_SPLIT_MAX_ELEMENTS,
};
use std::ops::Range;

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvSizes {
    /// Members of the batch.
    pub batch: usize,
    /// Groups of features.
    pub groups: usize,
    /// Features of the result in a group.
    pub results: usize,
    /// Features of the operand in a group.
    pub features: usize,
    /// Taps of a window.
    pub taps: usize,
    /// Windows over one member.
    pub windows: usize,
    /// Is the kernel walked with one stride only inside of a feature?
    pub by_features: bool,
}

impl ConvSizes {
    /// Windows over all members.
    pub fn columns(&self) -> usize {
        self.batch * self.windows
    }

    /// Products that are added up for one element of the result.
    pub fn depth(&self) -> usize {
        self.features * self.taps
    }

    /// The place in the result of a column, for the first feature of a group.
    pub fn place(&self, column: usize, group: usize) -> usize {
        let (member, window) = (column / self.windows, column % self.windows);
        (member * self.groups + group) * self.results * self.windows + window
    }
}

/// How it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Columns of a part.
    columns: usize,
    /// Depth of a block of patches, at most.
    pub depth: usize,
    /// Is a part whole members of the batch, with all their groups?
    pub whole: bool,
    /// Parts of the depth, which are summed in their order at the end.
    pub sums: usize,
    /// Is it work for more than one thread?
    pub shared: bool,
}

/// What is done at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvTile {
    /// Which one it is.
    pub index: usize,
    /// These groups.
    pub groups: Range<usize>,
    /// These windows of all members.
    pub columns: Range<usize>,
    /// These products.
    pub depth: Range<usize>,
}

impl Tiling {
    /// The cut for those sizes, of elements of so many bytes.
    pub fn new(s: &ConvSizes, bytes: usize) -> Tiling {
        let (columns, depth) = (s.columns(), s.depth());
        let work = s.groups.saturating_mul(s.results).saturating_mul(columns).saturating_mul(depth);
        let shared = work >= 2 * CONV_GRAIN_FMA;
        let wanted = (work / CONV_GRAIN_FMA).clamp(1, CONV_MAX_TILES);
        let elements = CONV_BLOCK_BYTES / bytes.max(1);
        if shared
            && s.results * columns <= CONV_SPLIT_MAX_ELEMENTS
            && depth >= 4 * columns.max(CONV_MAX_TILES)
        {
            let deep = (elements / columns.max(1)).clamp(16, CONV_BLOCK_DEPTH).min(depth);
            return Tiling {
                columns,
                depth: deep,
                whole: false,
                sums: wanted.div_ceil(s.groups).min(depth),
                shared,
            };
        }
        // Blocks of whole members are worth a smaller depth.
        let deep = (elements / s.windows.max(1))
            .clamp(CONV_BLOCK_DEPTH / 2, CONV_BLOCK_DEPTH)
            .min(depth)
            .max(1);
        let fit = (elements / deep).max(16);
        // The sums of one member are made where they belong; those of several, which are worth it
        // if they are few, are copied there.
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
        let columns = s.windows.div_ceil(per_member.max(1)).next_multiple_of(8);
        Tiling { columns, depth: deep, whole: false, sums: 1, shared }
    }

    /// How many parts there are.
    pub fn parts(&self, s: &ConvSizes) -> usize {
        match (self.sums > 1, self.whole) {
            _ if s.columns() == 0 || s.groups == 0 => 0,
            (true, _) => s.groups * self.sums,
            (false, true) => s.columns().div_ceil(self.columns),
            (false, false) => s.batch * s.groups * s.windows.div_ceil(self.columns),
        }
    }

    /// One of them.
    pub fn part(&self, s: &ConvSizes, index: usize) -> ConvTile {
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

    /// Where a part of the depth begins: at a feature, if there are enough.
    fn sum(&self, s: &ConvSizes, i: usize) -> usize {
        if s.features >= self.sums {
            i * s.features / self.sums * s.taps
        } else {
            i * s.depth() / self.sums
        }
    }

    /// Where the block that begins there ends.
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
    fn parts_are_everything_once() {
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
            let parts: Vec<ConvTile> = (0..tiling.parts(&s)).map(|i| tiling.part(&s, i)).collect();
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
