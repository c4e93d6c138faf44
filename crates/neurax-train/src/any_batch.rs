//! [`AnyBatch`] and [`AnySource`]: batches of any types.
//!
//! A [`Trainer`](crate::Trainer) is generic in the types of inputs and targets, and what is generic
//! is compiled in the user's crate. Therefore the training loop, the jitted step and the evaluation
//! work on [`AnyBatch`], a tree that holds a batch behind a pointer, and are compiled once.

use neurax_data::{Batch, Dataset, RowBatches, Source};
use neurax_nn::Inputs;
use neurax_tensor::tree::Visitor;
use neurax_tensor::{Error, Result, Tensor, Tree, Type, stack};
use std::any::Any;
use std::borrow::Borrow;
use std::marker::PhantomData;

/// A [`Batch`] of any types.
pub(crate) struct AnyBatch(Box<dyn BatchTree>);

/// The methods of a [`Batch`] that do not name its types.
trait BatchTree: Any + Send + Sync {
    fn examples(&self) -> usize;
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor));
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>);
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Box<dyn BatchTree>;
    fn into_leaves(self: Box<Self>, out: &mut Vec<Tensor>);
}

impl<X: Tree + Inputs, Y: Tree> BatchTree for Batch<X, Y> {
    fn examples(&self) -> usize {
        self.len()
    }
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.x.each_input(f);
    }
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        Tree::visit(self, v);
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Box<dyn BatchTree> {
        Box::new(Tree::rebuild(self, next))
    }
    fn into_leaves(self: Box<Self>, out: &mut Vec<Tensor>) {
        Tree::into_leaves(*self, out);
    }
}

impl AnyBatch {
    pub fn new<X: Tree + Inputs, Y: Tree>(batch: Batch<X, Y>) -> AnyBatch {
        AnyBatch(Box::new(batch))
    }

    /// Returns the batch if it has these types.
    pub fn downcast<X: Tree, Y: Tree>(&self) -> Option<&Batch<X, Y>> {
        (&*self.0 as &dyn Any).downcast_ref()
    }

    /// Returns the number of examples: the size of axis 0 of the first tensor.
    pub fn len(&self) -> usize {
        self.0.examples()
    }

    /// Returns the types of the tensors, or `None` if one carries an error.
    pub fn types(&self) -> Option<Vec<Type>> {
        self.leaves().into_iter().map(|(_, t)| t.ty().ok()).collect()
    }

    /// Stacks batches of equal types along a new axis 0.
    ///
    /// # Errors
    /// If there are none, or memory is short.
    pub fn stacked(batches: &[AnyBatch]) -> Result<AnyBatch> {
        let first = batches.first().ok_or_else(|| Error::bug("no batches to stack"))?;
        let mut columns: Vec<Vec<Tensor>> = vec![vec![]; first.leaves().len()];
        for batch in batches {
            let leaves = batch.leaves().into_iter().map(|(_, t)| t.clone());
            columns.iter_mut().zip(leaves).for_each(|(column, t)| column.push(t));
        }
        first.with_leaves(columns.into_iter().map(|column| stack(column, 0))).ok()
    }
}

/// Batches as rows of a data set in memory.
pub(crate) struct AnyRows {
    /// All examples.
    pub set: AnyBatch,
    /// The indices of the examples of each batch.
    pub rows: Vec<Vec<usize>>,
}

impl Inputs for AnyBatch {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.0.each_input(f);
    }
}

impl Tree for AnyBatch {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        self.0.visit(v);
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        AnyBatch(self.0.rebuild(next))
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        self.0.into_leaves(out);
    }
}

/// The batches of one epoch of an [`AnySource`]. An error ends the epoch.
pub(crate) type AnyEpoch<'s> = Box<dyn Iterator<Item = Result<AnyBatch>> + 's>;

/// A [`Source`] of batches of any types.
pub(crate) trait AnySource {
    /// Returns the batches of epoch `epoch`, counted from 0, from index `first` on.
    fn epoch_from(&self, epoch: usize, first: usize) -> AnyEpoch<'_>;

    /// Returns the batches of epoch `epoch`, counted from 0.
    fn epoch(&self, epoch: usize) -> AnyEpoch<'_> {
        self.epoch_from(epoch, 0)
    }

    /// Returns the number of batches in an epoch, or `None` if it is not known in advance.
    fn batches(&self) -> Option<usize>;

    /// Returns the batches of [`AnySource::epoch_from`] as rows of a data set in memory, or `None`
    /// if the source is no such set.
    fn rows_from(&self, epoch: usize, first: usize) -> Option<Result<AnyRows>>;
}

/// A [`Source`] `S` of batches of known types, as an [`AnySource`]: `B` is the source itself or a
/// reference to it.
pub(crate) struct SourceOf<B, S: ?Sized, X, Y>(B, PhantomData<(fn(&S), fn(X, Y))>);

impl<'s, S: ?Sized, X, Y> SourceOf<&'s S, S, X, Y> {
    pub fn new(source: &'s S) -> Self {
        SourceOf(source, PhantomData)
    }
}

impl<S, X, Y> SourceOf<S, S, X, Y> {
    pub fn owned(source: S) -> Self {
        SourceOf(source, PhantomData)
    }
}

impl<B, S, X, Y> AnySource for SourceOf<B, S, X, Y>
where
    B: Borrow<S>,
    S: Source<X, Y> + ?Sized,
    X: Tree + Inputs,
    Y: Tree,
{
    fn epoch_from(&self, epoch: usize, first: usize) -> AnyEpoch<'_> {
        let batches = self.0.borrow().epoch_from(epoch, first);
        Box::new(batches.map(|batch| batch.map(AnyBatch::new)))
    }
    fn batches(&self) -> Option<usize> {
        self.0.borrow().batches()
    }
    fn rows_from(&self, epoch: usize, first: usize) -> Option<Result<AnyRows>> {
        let found = self.0.borrow().row_batches(epoch, first)?;
        Some(found.map(|RowBatches { set: Dataset { x, y }, rows }| {
            let set = AnyBatch::new(Batch { x, y });
            AnyRows { set, rows }
        }))
    }
}
