//! Fusion of groups into kernels.
//!
//! The problem: adjacent groups that run over one iteration space should share its loops, so that a
//! value goes from one to the next in a register (loop fusion, operator fusion). Reordering and
//! merging must keep every dependence. Chains of elementwise ops and data movement are fused
//! before: `ExprGraph::build` inlines every value that is not stored into its readers. What is left
//! are loop nests between which a value is stored.
//!
//! The method is greedy fusion over a dependence graph. Each kernel is offered every earlier kernel
//! that touches a buffer it reads, nearest first ([`Fuser::fuse_related`]): producers and consumers
//! (*vertical* fusion), and siblings that read the same buffer (*horizontal* fusion). Two kernels
//! are fused ([`Fuser::try_fuse`]) if
//!
//! - no other step must run between them (`dependence`),
//! - their iteration spaces are equal, or one is the other without its reduced loops
//!   ([`common_space`]), and
//! - one expression graph over that space exists, within the limits of `tuning`.
//!
//! Afterwards, a kernel that reads the result of a matrix product or a convolution row by row
//! becomes its *epilogue* ([`Fuser::try_fuse_epilogue`]): it runs on each tile of rows while they
//! are in the cache.
//!
//! ```text
//! %2 = multiply(%0, %1); %3 = reduce(%2); %4 = tanh(%0)
//!   groups:  sum over [32, (784)] of %0 * %1      tanh over [32, 784]
//!   fused:   one kernel over [32, (784)]: %0 is loaded once for both
//! ```
//!
//! Invariants: the order of groups respects all dependences; refusing a pair changes nothing, but
//! adds a [`Note`] with the reason.
//!
//! To fuse one more pattern: propose the pair in [`Fuser::related`], allow its space in
//! [`common_space`] or its expressions in `expr_graph`, and add a snapshot to
//! `tests/fusion/` (see `docs/adding-a-fusion.md`).

use super::{
    analysis::Analysis,
    classify::has_epilogue,
    dependence::DependenceGraph,
    epilogue::can_be_epilogue,
    expr_graph::ExprGraph,
    groups::{FusedLoop, Group, GroupKind, sorted_unique},
    outputs::{BufferId, ExprSource, IterSpace, NotFused, Output, Sink},
    print,
    types::Note,
};
use crate::{
    kernel::InstKind,
    tuning::{
        MAX_COLUMN_WRITE_BYTES, MAX_FUSED_NODES, MAX_FUSED_OUTPUTS, MAX_FUSED_STAGES, MAX_REFUSALS,
    },
    visits::visit,
};
use neurax_ir::{Error, OrBug, Result};
use std::{collections::BTreeSet, rc::Rc};

/// The fusion pass: groups, and the order in which they must run.
pub struct Fuser<'a> {
    analysis: &'a Analysis<'a>,
    /// The groups; `None` where a group was fused into another.
    groups: Vec<Option<Group<'a>>>,
    order: DependenceGraph,
    /// For every buffer, the kernels that read or write it.
    users: Vec<BTreeSet<usize>>,
    /// The pairs that were not fused.
    notes: Vec<Note>,
}

impl<'a> Fuser<'a> {
    /// Creates the pass over `groups`, which are in an order that keeps all dependences.
    pub fn new(analysis: &'a Analysis<'a>, groups: Vec<Group<'a>>) -> Fuser<'a> {
        let mut before = conflicts(&groups, analysis.buffers.len());
        keep_order_of_effects(analysis, &groups, &mut before);
        let order = DependenceGraph::new(before);
        let mut users = vec![BTreeSet::new(); analysis.buffers.len()];
        for (i, group) in groups.iter().enumerate().filter(|(_, group)| group.is_kernel()) {
            group.buffers().for_each(|b| _ = users[b].insert(i));
        }
        let groups = groups.into_iter().map(Some).collect();
        Fuser { analysis, groups, order, users, notes: vec![] }
    }

    /// Fuses all pairs that can be fused. Returns the groups in an order that keeps all
    /// dependences, and the pairs that were not fused.
    ///
    /// # Errors
    /// If groups wait for each other, an error of this crate.
    pub fn fuse(mut self) -> Result<(Vec<Group<'a>>, Vec<Note>)> {
        for j in 0..self.groups.len() {
            self.fuse_related(j)?;
        }
        for j in 0..self.groups.len() {
            self.try_fuse_epilogue(j)?;
        }
        Ok((self.sorted()?, self.notes))
    }

    /// Fuses kernel `j` with the earlier kernels that are related to it, nearest first: the latest
    /// producer most likely shares loops. A buffer may have any number of users: after
    /// [`MAX_REFUSALS`] of them were refused, only the producers of what `j` reads are tried, so
    /// that the work stays linear in the number of kernels.
    fn fuse_related(&mut self, j: usize) -> Result<()> {
        let (mut i, mut refused) = (j, 0);
        while refused < MAX_REFUSALS
            && let Some(next) = self.related(i, j)
        {
            i = next;
            refused += !self.try_fuse(i, j)? as usize;
        }
        if refused == MAX_REFUSALS {
            let producers = self.order.before(j).filter(|&k| k < i && self.is_producer(k, j));
            for k in sorted_unique(producers.collect()).into_iter().rev() {
                self.try_fuse(k, j)?;
            }
        }
        Ok(())
    }

    /// Returns true if kernel `k` writes a buffer that kernel `j` reads.
    fn is_producer(&self, k: usize, j: usize) -> bool {
        let (Some(a), Some(b)) = (&self.groups[k], &self.groups[j]) else { return false };
        a.is_kernel() && b.is_kernel() && a.writes.iter().any(|w| b.reads.contains(w))
    }

    /// Returns the last kernel before `i` that reads or writes a buffer that kernel `j` reads.
    fn related(&self, i: usize, j: usize) -> Option<usize> {
        let group = self.groups[j].as_ref().filter(|group| group.is_kernel())?;
        group.reads.iter().filter_map(|&b| self.users[b].range(..i).next_back().copied()).max()
    }

    /// Fuses kernel `i` into kernel `j`, or notes why not. Returns true if they are fused.
    fn try_fuse(&mut self, i: usize, j: usize) -> Result<bool> {
        visit();
        // Found first, as it needs no search: a concatenate of many parts has many full kernels.
        if self.kernel(i)?.outputs.len() + self.kernel(j)?.outputs.len() > MAX_FUSED_OUTPUTS {
            self.note(i, j, NotFused::TooManyOutputs);
            return Ok(false);
        }
        // After earlier fusions, `j` may precede `i` in the order.
        if self.order.has_path_between(i, j) {
            self.note(i, j, NotFused::StepBetween);
            return Ok(false);
        }
        let (a, b) = (self.kernel(i)?, self.kernel(j)?);
        let fused = common_space(&a.space, &b.space)
            .and_then(|space| self.fused(&space, [&a.outputs[..], &b.outputs].concat()));
        match fused {
            Ok(group) => {
                self.replace(i, j, group);
                Ok(true)
            }
            Err(why @ NotFused::Bug(..)) => Err(print::no_schedule(self.analysis, &why)),
            Err(why) => {
                self.note(i, j, why);
                Ok(false)
            }
        }
    }

    /// Returns the loop nest of group `i`, a kernel that was not fused into another.
    fn kernel(&self, i: usize) -> Result<&FusedLoop<'a>> {
        match self.groups[i].as_ref().map(|group| &group.kind) {
            Some(GroupKind::Kernel(kernel)) => Ok(kernel),
            Some(GroupKind::Equation(..) | GroupKind::Copy(..)) | None => {
                Err(Error::bug(format!("group {i} is a user of a buffer, but no kernel")))
            }
        }
    }

    /// Returns the group that computes `outputs` over `space`, if that is one kernel.
    fn fused(
        &self,
        space: &IterSpace,
        outputs: Vec<Output>,
    ) -> std::result::Result<Group<'a>, NotFused> {
        if outputs.iter().any(|o| o.sink.is_dynamic()) {
            return Err(NotFused::DynamicWrite);
        }
        if outputs.iter().any(|o| matches!(o.sink, Sink::Fill(_))) {
            return Err(NotFused::Fill);
        }
        if self.writes_columns(space, &outputs) {
            return Err(NotFused::ColumnWrite);
        }
        let body = ExprGraph::build(self.analysis, space, &outputs)?;
        // A value that the group writes is forwarded as a node and never loaded. A load of such a
        // buffer that remains reads another element, or goes through an alias.
        let own: Vec<BufferId> = outputs.iter().map(|o| o.sink.buffer()).collect();
        let loads_own = body.nodes.iter().any(|node| match &node.op {
            InstKind::Source(ExprSource::Load { buffer, .. }) => own.contains(buffer),
            _ => false,
        });
        if loads_own {
            return Err(NotFused::ReadBeforeWrite);
        }
        if body.nodes.len() > MAX_FUSED_NODES {
            return Err(NotFused::TooManyNodes);
        }
        if body.levels.iter().any(|&level| level > MAX_FUSED_STAGES) {
            return Err(NotFused::TooManyStages);
        }
        Ok(Group::of(body, space.clone(), outputs))
    }

    /// Returns true if a large value would be written along the columns of a reduction.
    fn writes_columns(&self, space: &IterSpace, outputs: &[Output]) -> bool {
        let is_column =
            space.reduced.first() == Some(&true) && space.reduced.last() == Some(&false);
        // A size that overflows is large.
        let is_small = |o: &Output| {
            self.analysis.graph.ty(o.value).bytes().is_ok_and(|n| n <= MAX_COLUMN_WRITE_BYTES)
        };
        is_column && outputs.iter().any(|o| matches!(o.sink, Sink::Store(_)) && !is_small(o))
    }

    /// Replaces group `j` by `group`, which contains group `i`.
    fn replace(&mut self, i: usize, j: usize, group: Group<'a>) {
        for b in self.groups[i].take().iter().flat_map(Group::buffers) {
            self.users[b].remove(&i);
        }
        for b in group.buffers().filter(|_| group.is_kernel()) {
            self.users[b].insert(j);
        }
        self.groups[j] = Some(group);
        self.order.merge(i, j);
    }

    fn note(&mut self, i: usize, j: usize, why: NotFused) {
        // empty: the group was fused into another one.
        let writes = |k: usize| self.groups[k].as_ref().map_or(vec![], |g| g.writes.clone());
        self.notes.push(Note { first: writes(i), second: writes(j), why });
    }

    /// Makes kernel `j` the epilogue of the product whose result it reads, or notes why not.
    fn try_fuse_epilogue(&mut self, j: usize) -> Result<()> {
        let Some(Group { kind: GroupKind::Kernel(kernel), reads, .. }) = &self.groups[j] else {
            return Ok(());
        };
        let kernel = kernel.clone();
        let Some(i) = self.order.before(j).filter(|&i| self.is_product_of(i, reads)).max() else {
            return Ok(());
        };
        match self.with_epilogue(i, j, kernel)? {
            Ok(group) => self.replace(i, j, group),
            Err(why) => self.note(i, j, why),
        }
        Ok(())
    }

    /// Returns product `i` with kernel `j` as its epilogue, or the reason why it cannot be one.
    fn with_epilogue(
        &mut self,
        i: usize,
        j: usize,
        kernel: Rc<FusedLoop<'a>>,
    ) -> Result<std::result::Result<Group<'a>, NotFused>> {
        if kernel.outputs.iter().any(|o| o.sink.is_dynamic()) {
            return Ok(Err(NotFused::DynamicWrite));
        }
        if self.order.has_path_between(i, j) {
            return Ok(Err(NotFused::StepBetween));
        }
        let (a, b) = (self.groups[i].as_ref(), self.groups[j].as_ref());
        let (a, b) = a.zip(b).or_bug("a product and its reader are groups")?;
        let GroupKind::Equation(eqn, None) = a.kind else {
            return Err(Error::bug("a product with an epilogue takes no second one"));
        };
        if !can_be_epilogue(eqn, &kernel.body)? {
            return Ok(Err(NotFused::NotByRows));
        }
        Ok(Ok(Group {
            kind: GroupKind::Equation(eqn, Some(kernel)),
            reads: sorted_unique([&a.reads[..], &b.reads].concat()),
            writes: sorted_unique([&a.writes[..], &b.writes].concat()),
        }))
    }

    /// Returns true if group `i` is a product or convolution without an epilogue whose results are
    /// all in `reads`.
    fn is_product_of(&self, i: usize, reads: &[BufferId]) -> bool {
        let Some(group) = &self.groups[i] else { return false };
        let GroupKind::Equation(eqn, None) = group.kind else { return false };
        has_epilogue(self.analysis.class[eqn]) && group.writes.iter().all(|w| reads.contains(w))
    }

    /// Returns the groups in topological order, as near to their indices as that allows.
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
            let waiting = all - out.len();
            Err(Error::bug(format!("{waiting} of {all} steps wait for each other")))
        }
    }
}

/// Returns for every group the earlier groups that it depends on: one of the two writes what the
/// other reads or writes. Of the writers of a buffer only the last is listed, and of its readers
/// those after the last writer: the others come before these. A concatenate of `n` parts has `n`
/// writers; a list of all pairs would be quadratic.
fn conflicts(groups: &[Group], buffers: usize) -> Vec<Vec<usize>> {
    let mut readers: Vec<Vec<usize>> = vec![vec![]; buffers];
    let mut writer: Vec<Option<usize>> = vec![None; buffers];
    let mut out = vec![];
    for (j, group) in groups.iter().enumerate() {
        let written = group.buffers().filter_map(|b| writer[b]);
        let read = group.writes.iter().flat_map(|&b| &readers[b]).copied();
        out.push(sorted_unique(written.chain(read).collect()));
        for &b in &group.writes {
            readers[b].clear();
            writer[b] = Some(j);
        }
        group.reads.iter().filter(|b| !group.writes.contains(b)).for_each(|&b| readers[b].push(j));
    }
    out
}

/// Adds to the dependences `before` of each group with effects the last such group in front of it.
fn keep_order_of_effects(analysis: &Analysis, groups: &[Group], before: &mut [Vec<usize>]) {
    let eqns = analysis.graph.eqns();
    let has_effects = |group: &Group| match &group.kind {
        GroupKind::Equation(i, _) => eqns[*i].op.has_effects(),
        GroupKind::Kernel(_) | GroupKind::Copy(..) => false,
    };
    let mut last = None;
    for (j, _) in groups.iter().enumerate().filter(|(_, group)| has_effects(group)) {
        before[j] = sorted_unique(before[j].iter().copied().chain(last).collect());
        last = Some(j);
    }
}

/// Returns the iteration space that covers both: equal sizes, or those of one without the reduced
/// loops of the other.
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
    Err(NotFused::DifferentSpaces(s.clone(), t.clone()))
}
