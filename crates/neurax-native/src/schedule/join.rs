//! Joining units into kernels: work over one iteration space shares its loops, reductions take what they are made of, and products are
//! followed by what is done with their result.

use super::{
    Facts, Note,
    body::{Body, BufferId, End, Root, Source, Space, Why},
    units::{Unit, Work, kernel},
};
use crate::kernel::Do;
use neurax_ir::{Error, Result};
use rustc_hash::FxHashSet;

/// Roots in one kernel, at most.
const ROOTS: usize = 16;
/// Instructions in one kernel, at most.
const NODES: usize = 600;
/// Arrays larger than this are not written along the columns of a reduction, which would touch a cache line for every few elements.
const COLUMNS: usize = 1 << 20;

/// The units as a graph of what must come before what.
pub struct Joiner<'a> {
    facts: &'a Facts<'a>,
    units: Vec<Option<Unit>>,
    /// For every unit those that must come before it.
    before: Vec<FxHashSet<usize>>,
    /// Why units were not joined.
    pub notes: Vec<Note>,
}

impl<'a> Joiner<'a> {
    /// Units in an order that works.
    pub fn new(facts: &'a Facts<'a>, units: Vec<Unit>) -> Joiner<'a> {
        let before = (0..units.len()).map(|j| (0..j).filter(|&i| conflict(&units[i], &units[j])).collect()).collect();
        Joiner { facts, units: units.into_iter().map(Some).collect(), before, notes: vec![] }
    }

    /// Joins what can be joined, and gives the units in an order that works.
    ///
    /// # Errors
    /// When they wait for each other, which is an error of this crate.
    pub fn join(mut self) -> Result<(Vec<Unit>, Vec<Note>)> {
        for j in 0..self.units.len() {
            // Nearest first: what was just computed is most likely to share loops.
            for i in (0..j).rev() {
                if self.related(i, j) {
                    self.try_join(i, j);
                }
            }
        }
        for j in 0..self.units.len() {
            self.try_follow(j);
        }
        Ok((self.sorted()?, self.notes))
    }

    /// Does one read what the other reads or writes?
    fn related(&self, i: usize, j: usize) -> bool {
        let (Some(a), Some(b)) = (&self.units[i], &self.units[j]) else { return false };
        let kernels = matches!((&a.work, &b.work), (Work::Kernel(..), Work::Kernel(..)));
        kernels && b.reads.iter().any(|x| a.reads.contains(x) || a.writes.contains(x))
    }

    fn try_join(&mut self, i: usize, j: usize) {
        let (Some(a), Some(b)) = (&self.units[i], &self.units[j]) else { return };
        let (Work::Kernel(s, first), Work::Kernel(t, second)) = (&a.work, &b.work) else { return };
        // Joining moves work: the one that comes first in the list need not be the one that must come first.
        if self.between(i, j) || self.between(j, i) {
            return;
        }
        let joined = common_space(s, t).and_then(|space| {
            let roots = [&first[..], second].concat();
            self.fits(&space, &roots).and_then(|()| kernel(self.facts, space, roots))
        });
        match joined {
            Ok(unit) => self.replace(i, j, unit),
            Err(why) => self.note(i, j, why),
        }
    }

    fn fits(&self, space: &Space, roots: &[Root]) -> std::result::Result<(), Why> {
        let says = |s: &str| Err(Why::Says(s.into()));
        if roots.len() > ROOTS {
            return says("the kernel would have too many results");
        }
        if roots.iter().any(|r| r.end.is_dynamic() || matches!(r.end, End::Fill(_))) {
            return says("a place that is found at run time is written");
        }
        let bytes = |v| self.facts.graph.ty(v).bytes().unwrap_or(usize::MAX);
        let is_column = space.reduced.first() == Some(&true) && space.reduced.last() == Some(&false);
        if is_column && roots.iter().any(|r| matches!(r.end, End::Store(_)) && bytes(r.value) > COLUMNS) {
            return says("a large array would be written along the columns of a reduction");
        }
        let body = Body::build(self.facts, space, roots)?;
        // What the group knows by value is not loaded: a load of what it writes reads other places, or by another name.
        let own: Vec<BufferId> = roots.iter().map(|r| r.end.buffer()).collect();
        if body.nodes.iter().any(|n| matches!(&n.op, Do::Leaf(Source::Load { buffer, .. }) if own.contains(buffer))) {
            return says("it would read parts of an array before they are written");
        }
        if body.nodes.len() > NODES {
            return says("the kernel would be too large");
        }
        if body.levels.iter().max().is_some_and(|&l| l > 3) {
            return says("it would take too many loops one after the other");
        }
        Ok(())
    }

    /// Must anything run after `i` and before `j`?
    fn between(&self, i: usize, j: usize) -> bool {
        let mut seen = FxHashSet::default();
        let mut todo: Vec<usize> = self.before[j].iter().copied().filter(|&k| k != i).collect();
        while let Some(k) = todo.pop() {
            if k == i {
                return true;
            }
            if seen.insert(k) {
                todo.extend(self.before[k].iter().copied());
            }
        }
        false
    }

    /// `j` becomes the joined unit; `i` is gone.
    fn replace(&mut self, i: usize, j: usize, unit: Unit) {
        self.units[i] = None;
        self.units[j] = Some(unit);
        let gone = std::mem::take(&mut self.before[i]);
        self.before[j].extend(gone);
        for b in &mut self.before {
            if b.remove(&i) {
                b.insert(j);
            }
        }
        self.before[j].remove(&j);
    }

    fn note(&mut self, i: usize, j: usize, why: Why) {
        let results = |k: usize| self.units[k].as_ref().map_or(vec![], |u| u.writes.clone());
        self.notes.push(Note { first: results(i), second: results(j), why });
    }

    /// Attaches a kernel to the product that it follows.
    fn try_follow(&mut self, j: usize) {
        let Some(Unit { work: Work::Kernel(space, roots), reads, .. }) = &self.units[j] else { return };
        let products = self.before[j].iter().copied().filter(|&i| self.is_product_of(i, reads));
        let Some(i) = products.max() else { return };
        if self.between(i, j) || self.between(j, i) || roots.iter().any(|r| r.end.is_dynamic()) {
            return;
        }
        let (space, roots) = (space.clone(), roots.clone());
        let (Some(a), Some(b)) = (&self.units[i], &self.units[j]) else { return };
        let Work::Equation(e, None) = a.work else { return };
        if !super::rows::follow(self.facts, e, &space, &roots) {
            return;
        }
        let merge = |x: &[BufferId], y: &[BufferId]| {
            let mut all = [x, y].concat();
            all.sort_unstable();
            all.dedup();
            all
        };
        let unit = Unit { work: Work::Equation(e, Some((space, roots))), reads: merge(&a.reads, &b.reads), writes: merge(&a.writes, &b.writes) };
        self.replace(i, j, unit);
    }

    fn is_product_of(&self, i: usize, reads: &[BufferId]) -> bool {
        let Some(u) = &self.units[i] else { return false };
        let product = matches!(u.work, Work::Equation(e, None) if self.facts.class[e] == super::classify::Class::Product);
        product && u.writes.iter().all(|w| reads.contains(w))
    }

    /// The units, each after those that must come before it, as near to the given order as that allows.
    fn sorted(&mut self) -> Result<Vec<Unit>> {
        let mut out = vec![];
        let mut done = vec![false; self.units.len()];
        loop {
            let ready = |&j: &usize| !done[j] && self.units[j].is_some() && self.before[j].iter().all(|&i| done[i] || self.units[i].is_none());
            let Some(j) = (0..self.units.len()).find(ready) else { break };
            done[j] = true;
            out.extend(self.units[j].clone());
        }
        let all = self.units.iter().flatten().count();
        if out.len() == all { Ok(out) } else { Err(Error::new("schedule", format!("{} of {all} steps wait for each other", all - out.len()))) }
    }
}

/// Must they stay in their order?
fn conflict(a: &Unit, b: &Unit) -> bool {
    let meets = |x: &[BufferId], y: &[BufferId]| x.iter().any(|b| y.contains(b));
    meets(&a.writes, &b.reads) || meets(&a.reads, &b.writes) || meets(&a.writes, &b.writes)
}

/// The iteration space of both, if they have one.
fn common_space(s: &Space, t: &Space) -> std::result::Result<Space, Why> {
    let plain = |x: &Space| !x.reduced.contains(&true);
    let kept = |x: &Space| x.sizes.iter().zip(&x.reduced).filter(|(_, r)| !**r).map(|(&n, _)| n).collect::<Vec<_>>();
    if s.sizes == t.sizes && (s.reduced == t.reduced || plain(t)) {
        return Ok(s.clone());
    }
    if s.sizes == t.sizes && plain(s) {
        return Ok(t.clone());
    }
    if !plain(s) && plain(t) && kept(s) == t.sizes {
        return Ok(s.clone());
    }
    if plain(s) && !plain(t) && kept(t) == s.sizes {
        return Ok(t.clone());
    }
    Err(Why::Says(format!("the loops {s} and {t} differ")))
}
