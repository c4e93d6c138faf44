//! Joining units into kernels: work over one iteration space shares its loops, reductions take what
//! they are made of, and products are followed by what is done with their result.

use super::{
    Analysis, Note,
    classify::is_strided,
    dependence::DependenceGraph,
    expr_graph::ExprGraph,
    groups::{Group, GroupKind},
    outputs::{BufferId, ExprSource, IterSpace, NotFused, Output, Sink},
};
use crate::kernel::InstKind;
use neurax_ir::{Error, Result};
use std::collections::BTreeSet;

/// Roots in one kernel, at most.
const ROOTS: usize = 16;
/// Instructions in one kernel, at most.
const NODES: usize = 600;
/// Arrays larger than this are not written along the columns of a reduction, which would touch a
/// cache line for every few elements.
const COLUMNS: usize = 1 << 20;

/// The units as a graph of what must come before what.
pub struct Fuser<'a> {
    analysis: &'a Analysis<'a>,
    groups: Vec<Option<Group<'a>>>,
    order: DependenceGraph,
    /// For every array the kernels that read or write it.
    users: Vec<BTreeSet<usize>>,
    /// Why units were not joined.
    notes: Vec<Note>,
}

impl<'a> Fuser<'a> {
    /// Units in an order that works.
    pub fn new(analysis: &'a Analysis<'a>, groups: Vec<Group<'a>>) -> Fuser<'a> {
        let order = DependenceGraph::new(conflicts(&groups, analysis.buffers.len()));
        let mut users = vec![BTreeSet::new(); analysis.buffers.len()];
        for (i, u) in
            groups.iter().enumerate().filter(|(_, u)| matches!(u.kind, GroupKind::Kernel(_)))
        {
            u.buffers().for_each(|b| _ = users[b].insert(i));
        }
        Fuser {
            analysis,
            groups: groups.into_iter().map(Some).collect(),
            order,
            users,
            notes: vec![],
        }
    }

    /// Joins what can be joined, and gives the units in an order that works.
    ///
    /// # Errors
    /// When they wait for each other, which is an error of this crate.
    pub fn join(mut self) -> Result<(Vec<Group<'a>>, Vec<Note>)> {
        for j in 0..self.groups.len() {
            // Nearest first: what was just computed is most likely to share loops.
            let mut i = j;
            while let Some(next) = self.related(i, j) {
                i = next;
                self.try_fuse(i, j);
            }
        }
        for j in 0..self.groups.len() {
            self.try_fuse_epilogue(j);
        }
        Ok((self.sorted()?, self.notes))
    }

    /// The last kernel before `i` that reads or writes what kernel `j` reads.
    fn related(&self, i: usize, j: usize) -> Option<usize> {
        let group = self.groups[j].as_ref().filter(|u| matches!(u.kind, GroupKind::Kernel(_)))?;
        group.reads.iter().filter_map(|&b| self.users[b].range(..i).next_back().copied()).max()
    }

    fn try_fuse(&mut self, i: usize, j: usize) {
        // Joining moves work: the one that comes first in the list need not be the one that must
        // come first.
        if self.order.has_path_between(i, j) {
            return;
        }
        let (Some(a), Some(b)) = (&self.groups[i], &self.groups[j]) else { return };
        let (GroupKind::Kernel(a), GroupKind::Kernel(b)) = (&a.kind, &b.kind) else { return };
        let joined = common_space(&a.whole, &b.whole)
            .and_then(|space| self.joined(&space, [&a.outputs[..], &b.outputs].concat()));
        match joined {
            Ok(group) => self.replace(i, j, group),
            Err(why) => self.note(i, j, why),
        }
    }

    fn joined(
        &self,
        space: &IterSpace,
        outputs: Vec<Output>,
    ) -> std::result::Result<Group<'a>, NotFused> {
        let says = |s: &'static str| Err(NotFused::Says(s.into()));
        if outputs.len() > ROOTS {
            return says("the kernel would have too many results");
        }
        if outputs.iter().any(|r| r.sink.is_dynamic() || matches!(r.sink, Sink::Fill(_))) {
            return says("a place that is found at run time is written");
        }
        let bytes = |v| self.analysis.graph.ty(v).bytes().unwrap_or(usize::MAX);
        let is_column =
            space.reduced.first() == Some(&true) && space.reduced.last() == Some(&false);
        if is_column
            && outputs.iter().any(|r| matches!(r.sink, Sink::Store(_)) && bytes(r.value) > COLUMNS)
        {
            return says("a large array would be written along the columns of a reduction");
        }
        let body = ExprGraph::build(self.analysis, space, &outputs)?;
        // What the group knows by value is not loaded: a load of what it writes reads other places,
        // or by another name.
        let own: Vec<BufferId> = outputs.iter().map(|r| r.sink.buffer()).collect();
        if body
            .nodes
            .iter()
            .any(|n| matches!(&n.op, InstKind::Source(ExprSource::Load { buffer, .. }) if own.contains(buffer)))
        {
            return says("it would read parts of an array before they are written");
        }
        if body.nodes.len() > NODES {
            return says("the kernel would be too large");
        }
        if body.levels.iter().max().is_some_and(|&l| l > 3) {
            return says("it would take too many loops one after the other");
        }
        Ok(Group::of(body, space.clone(), outputs))
    }

    /// `j` becomes the joined unit; `i` is gone.
    fn replace(&mut self, i: usize, j: usize, group: Group<'a>) {
        let is_kernel = matches!(group.kind, GroupKind::Kernel(_));
        for b in self.groups[i].take().iter().flat_map(Group::buffers) {
            self.users[b].remove(&i);
        }
        for b in group.buffers().filter(|_| is_kernel) {
            self.users[b].insert(j);
        }
        self.groups[j] = Some(group);
        self.order.join(i, j);
    }

    fn note(&mut self, i: usize, j: usize, why: NotFused) {
        let results = |k: usize| self.groups[k].as_ref().map_or(vec![], |u| u.writes.clone());
        self.notes.push(Note { first: results(i), second: results(j), why });
    }

    /// Attaches a kernel to the product that it follows.
    fn try_fuse_epilogue(&mut self, j: usize) {
        let Some(Group { kind: GroupKind::Kernel(k), reads, .. }) = &self.groups[j] else { return };
        let Some(i) = self.order.before(j).filter(|&i| self.is_product_of(i, reads)).max() else {
            return;
        };
        let is_dynamic = k.outputs.iter().any(|r| r.sink.is_dynamic());
        if self.order.has_path_between(i, j) || is_dynamic {
            let why = if is_dynamic {
                "a place that is found at run time is written"
            } else {
                "other steps come has_path_between them"
            };
            return self.note(i, j, NotFused::Says(why.into()));
        }
        let (Some(a), Some(b)) = (&self.groups[i], &self.groups[j]) else { return };
        let GroupKind::Equation(e, None) = a.kind else { return };
        if !super::epilogue::can_be_epilogue(e, &k.body) {
            return self.note(
                i,
                j,
                NotFused::Says("the second does not go through the product row by row".into()),
            );
        }
        let merge = |x: &[BufferId], y: &[BufferId]| {
            let mut all = [x, y].concat();
            all.sort_unstable();
            all.dedup();
            all
        };
        let group = Group {
            kind: GroupKind::Equation(e, Some(k.clone())),
            reads: merge(&a.reads, &b.reads),
            writes: merge(&a.writes, &b.writes),
        };
        self.replace(i, j, group);
    }

    fn is_product_of(&self, i: usize, reads: &[BufferId]) -> bool {
        let Some(u) = &self.groups[i] else { return false };
        let product =
            matches!(u.kind, GroupKind::Equation(e, None) if is_strided(self.analysis.class[e]));
        product && u.writes.iter().all(|w| reads.contains(w))
    }

    /// The units, each after those that must come before it, as near to the given order as that
    /// allows.
    fn sorted(&mut self) -> Result<Vec<Group<'a>>> {
        let n = self.groups.len();
        let (mut missing, mut after) = (vec![0; n], vec![vec![]; n]);
        for j in (0..n).filter(|&j| self.groups[j].is_some()) {
            for i in self.order.before(j) {
                missing[j] += 1;
                after[i].push(j);
            }
        }
        let mut ready: BTreeSet<usize> =
            (0..n).filter(|&j| missing[j] == 0 && self.groups[j].is_some()).collect();
        let all = self.groups.iter().flatten().count();
        let mut out = Vec::with_capacity(all);
        while let Some(i) = ready.pop_first() {
            out.extend(self.groups[i].take());
            for &j in &after[i] {
                missing[j] -= 1;
                if missing[j] == 0 {
                    ready.insert(j);
                }
            }
        }
        if out.len() == all {
            Ok(out)
        } else {
            Err(Error::new(
                "schedule",
                format!("{} of {all} steps wait for each other", all - out.len()),
            ))
        }
    }
}

/// For every unit those before it that must stay there: one of the two writes what the other reads
/// or writes.
fn conflicts(groups: &[Group], buffers: usize) -> Vec<Vec<usize>> {
    let (mut readers, mut writers) = (vec![vec![]; buffers], vec![vec![]; buffers]);
    let mut out = vec![];
    for (j, u) in groups.iter().enumerate() {
        let seen =
            u.buffers().flat_map(|b| &writers[b]).chain(u.writes.iter().flat_map(|&b| &readers[b]));
        let mut before: Vec<usize> = seen.copied().collect();
        before.sort_unstable();
        before.dedup();
        out.push(before);
        u.reads.iter().for_each(|&b| readers[b].push(j));
        u.writes.iter().for_each(|&b| writers[b].push(j));
    }
    out
}

/// The iteration space of both, if they have one.
fn common_space(s: &IterSpace, t: &IterSpace) -> std::result::Result<IterSpace, NotFused> {
    let plain = |x: &IterSpace| !x.reduced.contains(&true);
    let kept = |x: &IterSpace| {
        x.sizes.iter().zip(&x.reduced).filter(|(_, r)| !**r).map(|(&n, _)| n).collect::<Vec<_>>()
    };
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
    Err(NotFused::Spaces(s.clone(), t.clone()))
}
