//! What must come before what, while pieces of work are joined.

/// The pieces of work that must come before each other, and an order of them that works at any time
/// (after Pearce and Kelly, "A dynamic topological sort algorithm for directed acyclic graphs",
/// 2006), so that only what lies between two of them is searched for a way.
pub struct DependenceGraph {
    /// For every piece those that must come before it, by their first numbers.
    before: Vec<Vec<usize>>,
    /// The number under which a piece goes on after it was joined.
    now: Vec<usize>,
    /// Where each piece is in the order.
    place: Vec<usize>,
    /// The pieces in order.
    at: Vec<usize>,
    /// The search that saw a piece last.
    seen: Vec<usize>,
    searches: usize,
}

impl DependenceGraph {
    /// Pieces in an order that works; for each those that must come before it.
    pub fn new(before: Vec<Vec<usize>>) -> DependenceGraph {
        let n = before.len();
        DependenceGraph {
            before,
            now: (0..n).collect(),
            place: (0..n).collect(),
            at: (0..n).collect(),
            seen: vec![0; n],
            searches: 0,
        }
    }

    /// Those that must come directly before a piece.
    pub fn before(&self, j: usize) -> impl Iterator<Item = usize> {
        self.before[j].iter().map(|&k| self.current(k)).filter(move |&k| k != j)
    }

    /// Must any other piece run between the two?
    pub fn has_path_between(&mut self, i: usize, j: usize) -> bool {
        let (first, last) = if self.place[i] < self.place[j] { (i, j) } else { (j, i) };
        self.needed(first, last);
        self.seen[first] == self.searches
    }

    /// `i` goes on as part of `j`; nothing must run between them.
    pub fn join(&mut self, i: usize, j: usize) {
        let (first, last) = if self.place[i] < self.place[j] { (i, j) } else { (j, i) };
        let (from, to) = (self.place[first], self.place[last]);
        // What the later one needs moves in front of both, everything else behind.
        self.needed(first, last);
        let (needed, rest): (Vec<usize>, Vec<usize>) = self.at[from..=to]
            .iter()
            .filter(|&&k| k != i && k != j)
            .partition(|&&k| self.seen[k] == self.searches);
        for (p, k) in needed.into_iter().chain([i, j]).chain(rest).enumerate() {
            self.at[from + p] = k;
            self.place[k] = from + p;
        }
        let own = std::mem::take(&mut self.before[i]);
        self.before[j].extend(own);
        self.now[i] = j;
    }

    /// Marks what must come before `last`, behind `first` in the order; and `first`, if one of
    /// those needs it.
    fn needed(&mut self, first: usize, last: usize) {
        self.searches += 1;
        let mut todo: Vec<usize> = self.before(last).filter(|&k| k != first).collect();
        while let Some(k) = todo.pop() {
            if self.place[k] >= self.place[first] && self.seen[k] != self.searches {
                self.seen[k] = self.searches;
                todo.extend(self.before(k));
            }
        }
    }

    fn current(&self, mut k: usize) -> usize {
        while self.now[k] != k {
            k = self.now[k];
        }
        k
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 before 1 before 3; 2 before 3; 4 alone.
    fn order() -> DependenceGraph {
        DependenceGraph::new(vec![vec![], vec![0], vec![], vec![1, 2], vec![]])
    }

    #[test]
    fn a_way_through_others_is_found_from_both_ends() {
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
    fn joined_pieces_need_what_both_needed() {
        let mut o = order();
        o.join(0, 2);
        assert!(o.has_path_between(2, 3), "1 is has_path_between");
        o.join(1, 2);
        assert!(!o.has_path_between(2, 3));
        assert_eq!(o.before(3).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn the_order_goes_on_to_work() {
        let mut o = order();
        o.join(4, 0);
        o.join(2, 0);
        assert!(o.has_path_between(0, 3), "1 is has_path_between");
        for j in [0, 1, 3] {
            assert!(o.before(j).all(|i| o.place[i] < o.place[j]), "{j}");
        }
    }
}
