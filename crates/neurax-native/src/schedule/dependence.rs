//! The dependence graph of groups while they are fused.
//!
//! Fusing groups `i` and `j` is allowed if no other group lies on a path between them. The graph
//! keeps a topological order while nodes merge (after Pearce and Kelly, "A dynamic topological sort
//! algorithm for directed acyclic graphs", 2006), so that a search for a path only visits the
//! groups between the two in that order.
//!
//! ```text
//! 0 -> 1 -> 3, 2 -> 3:   a path leads from 0 to 3 through 1; none from 2 to 3
//! merge(0, 2):           2 now comes before 1
//! ```

use super::groups::sorted_unique;
use crate::{tuning::MAX_PATH_SEARCH, visits::visit};
use std::cell::Cell;

/// A dependence graph with a topological order.
pub struct DependenceGraph {
    /// For every node, the nodes it depends on, by their original indices.
    before: Vec<Vec<usize>>,
    /// The node that each node was merged into, or itself. Look-ups shorten the chains.
    merged_into: Vec<Cell<usize>>,
    /// The position of each node in the order.
    position: Vec<usize>,
    /// The nodes in topological order.
    at: Vec<usize>,
    /// The search that last visited each node.
    seen: Vec<usize>,
    searches: usize,
}

impl DependenceGraph {
    /// Creates the graph of nodes in topological order; `before` are the nodes each depends on.
    pub fn new(before: Vec<Vec<usize>>) -> DependenceGraph {
        let n = before.len();
        DependenceGraph {
            before,
            merged_into: (0..n).map(Cell::new).collect(),
            position: (0..n).collect(),
            at: (0..n).collect(),
            seen: vec![0; n],
            searches: 0,
        }
    }

    /// Returns the direct dependences of node `j`.
    pub fn before(&self, j: usize) -> impl Iterator<Item = usize> {
        self.before[j].iter().map(|&k| self.current(k)).filter(move |&k| k != j)
    }

    /// Returns true if a path between the two nodes leads through another one, or if it would take
    /// more than [`MAX_PATH_SEARCH`] nodes to find out.
    pub fn has_path_between(&mut self, i: usize, j: usize) -> bool {
        let (first, last) = if self.position[i] < self.position[j] { (i, j) } else { (j, i) };
        !self.mark_dependences(first, last, MAX_PATH_SEARCH) || self.seen[first] == self.searches
    }

    /// Merges node `i` into node `j`. No path between them leads through another node.
    pub fn merge(&mut self, i: usize, j: usize) {
        let (first, last) = if self.position[i] < self.position[j] { (i, j) } else { (j, i) };
        let (from, to) = (self.position[first], self.position[last]);
        // The dependences of the later one move in front of both, all others behind.
        self.mark_dependences(first, last, usize::MAX);
        let (needed, rest): (Vec<usize>, Vec<usize>) = self.at[from..=to]
            .iter()
            .filter(|&&k| k != i && k != j)
            .partition(|&&k| self.seen[k] == self.searches);
        for (p, k) in needed.into_iter().chain([i, j]).chain(rest).enumerate() {
            self.at[from + p] = k;
            self.position[k] = from + p;
        }
        self.merged_into[i].set(j);
        let own = std::mem::take(&mut self.before[i]);
        let all: Vec<usize> = own.into_iter().chain(self.before(j)).collect();
        let all = all.into_iter().map(|k| self.current(k)).filter(|&k| k != j).collect();
        self.before[j] = sorted_unique(all);
    }

    /// Returns true after it has marked the nodes behind `first` in the order that `last` depends
    /// on, and `first` itself if one of them depends on it; false if there are more than `most`.
    fn mark_dependences(&mut self, first: usize, last: usize, most: usize) -> bool {
        self.searches += 1;
        let mut left = most;
        let mut todo: Vec<usize> = self.before(last).filter(|&k| k != first).collect();
        while let Some(k) = todo.pop() {
            visit();
            if self.position[k] >= self.position[first] && self.seen[k] != self.searches {
                if left == 0 {
                    return false;
                }
                left -= 1;
                self.seen[k] = self.searches;
                todo.extend(self.before(k));
            }
        }
        true
    }

    /// Returns the node that `k` is part of.
    fn current(&self, mut k: usize) -> usize {
        while self.merged_into[k].get() != k {
            let next = self.merged_into[self.merged_into[k].get()].get();
            self.merged_into[k].set(next);
            k = next;
        }
        k
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 0 -> 1 -> 3; 2 -> 3; 4 alone.
    fn order() -> DependenceGraph {
        DependenceGraph::new(vec![vec![], vec![0], vec![], vec![1, 2], vec![]])
    }

    #[test]
    fn a_path_through_others_is_found_from_both_ends() {
        let mut o = order();
        assert!(o.has_path_between(0, 3) && o.has_path_between(3, 0));
        assert!(
            !o.has_path_between(0, 1)
                && !o.has_path_between(0, 2)
                && !o.has_path_between(2, 3)
                && !o.has_path_between(0, 4)
        );
    }

    #[test]
    fn a_merged_node_has_the_dependences_of_both() {
        let mut o = order();
        o.merge(0, 2);
        assert!(o.has_path_between(2, 3), "1 is between");
        o.merge(1, 2);
        assert!(!o.has_path_between(2, 3));
        assert_eq!(o.before(3).collect::<Vec<_>>(), [2, 2], "both merged into 2");
    }

    #[test]
    fn the_order_stays_topological() {
        let mut o = order();
        o.merge(4, 0);
        o.merge(2, 0);
        assert!(o.has_path_between(0, 3), "1 is between");
        for j in [0, 1, 3] {
            assert!(o.before(j).all(|i| o.position[i] < o.position[j]), "{j}");
        }
    }
}
