//! The numbers of steps at which the parameters of a state began to be trained.
//!
//! Averages are corrected for their start, so that the count of a parameter that was added after
//! `n` steps is `n` behind that of the optimizer. The numbers are a tensor with one element for
//! each parameter: it is a leaf of the state, and is kept in files.
//!
//! The scalars of a step, such as the corrections of Adam, are computed once for all parameters
//! that began together. A compiled step has to know which ones: the *groups* of equal numbers are a
//! static part of the state. Of parameters that began at 0, 0, 7, 4 and 7, the groups are
//! 0, 0, 2, 1 and 2.
//!
//! Invariant: two parameters of one group have equal numbers, and those of group 0 have 0. Unlike
//! other static parts, the groups therefore follow the leaf: a tree that is rebuilt around known
//! numbers, such as those of a file, has their groups. Numbers that are being traced are those of
//! the argument or of the state before, so that their groups stay.

use neurax_tensor::tree::Visitor;
use neurax_tensor::{DType, Tensor, Tree, concat};
use std::iter;

/// The starts of parameters.
#[derive(Clone, Debug)]
pub(super) struct Starts {
    /// The number of steps before each parameter was trained, i32[parameters].
    steps: Tensor,
    /// The group of each parameter: 0 from the first step on, others in the order of the numbers.
    groups: Vec<usize>,
}

impl Starts {
    /// Returns the starts of `n` parameters that are trained from the first step on.
    pub fn at_first_step(n: usize) -> Starts {
        Starts { steps: Tensor::zeros_of(DType::I32, [n]), groups: vec![0; n] }
    }

    /// Returns the starts `steps`. Their groups are those of the numbers if these are known, one
    /// for each of `groups`, and `groups` otherwise.
    fn of(steps: Tensor, groups: &[usize]) -> Starts {
        let known = steps.to_vec::<i32>().ok().filter(|known| steps.shape() == [known.len()]);
        let groups = match known {
            Some(known) if known.len() == groups.len() => groups_of(&known, 0),
            _ => groups.to_vec(),
        };
        Starts { steps, groups }
    }

    /// Returns the numbers of steps, i32[parameters].
    pub fn steps(&self) -> &Tensor {
        &self.steps
    }

    /// Returns the starts of other parameters: those of the old parameters `sources`, and `now`,
    /// i32[], for those without.
    pub fn changed(self, sources: &[Option<usize>], now: &Tensor) -> Starts {
        let Starts { steps, groups } = self;
        let added = groups.iter().max().map_or(1, |last| last + 1);
        let new: Vec<usize> = sources.iter().map(|i| i.map_or(added, |i| groups[i])).collect();
        let indices: Vec<i32> = sources.iter().map(|i| i.unwrap_or(groups.len()) as i32).collect();
        let all = concat([&steps, &now.expand_dims(0)], 0);
        let steps = all.take(Tensor::from_slice(&indices, indices.len()), 0);
        Starts::of(steps, &groups_of(&new, 0))
    }

    /// Returns the group of each parameter.
    pub fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// Returns the number of previous steps of each group, f32[], of `step` steps of the optimizer.
    pub fn counts(&self, step: &Tensor) -> Vec<Tensor> {
        let last = self.groups.iter().max().map_or(0, |last| *last);
        let first = |group| self.groups.iter().position(|g| *g == group);
        let since = (1..=last).filter_map(first).map(|i| step - self.steps.get(i as i64));
        iter::once(step.clone()).chain(since).map(|n| n.to(DType::F32)).collect()
    }
}

/// Returns the group of each number: 0 of `first`, others in ascending order.
fn groups_of<T: Ord + Copy>(numbers: &[T], first: T) -> Vec<usize> {
    let mut later: Vec<T> = numbers.iter().copied().filter(|n| *n != first).collect();
    later.sort_unstable();
    later.dedup();
    let group = |n: &T| later.binary_search(n).map_or(0, |i| i + 1);
    numbers.iter().map(group).collect()
}

impl Tree for Starts {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.leaf(&self.steps);
        v.fixed("groups", &self.groups);
    }

    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Starts {
        Starts::of(next(), &self.groups)
    }

    fn into_leaves(self, out: &mut Vec<Tensor>) {
        out.push(self.steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{jit, tensor};

    fn counts(starts: &Starts) -> Vec<f64> {
        let counts = starts.counts(&tensor(9));
        starts.groups().iter().map(|group| counts[*group].item().unwrap()).collect()
    }

    #[test]
    fn groups_are_those_of_known_numbers() {
        let starts = Starts::at_first_step(5);
        assert_eq!((counts(&starts), &starts.groups[..]), (vec![9.0; 5], &[0; 5][..]));
        let read = starts.map_leaves(|_| tensor([0, 0, 7, 4, 7]));
        assert_eq!(read.groups, [0, 0, 2, 1, 2]);
        assert_eq!(counts(&read), [9.0, 9.0, 2.0, 5.0, 2.0]);
        let same = jit(|s: Starts| s.map_leaves(|t| t + 0)).run(read.clone()).unwrap();
        assert_eq!(same.groups, read.groups);
        assert_eq!(read.map_leaves(|t| t.zeros_like()).groups, [0; 5]);
        let another = read.map_leaves(|_| tensor([1.0]));
        assert_eq!(another.groups, read.groups, "no numbers of steps");
    }

    #[test]
    fn added_parameters_start_now() {
        let starts = Starts::at_first_step(2).changed(&[Some(1), None, Some(0)], &tensor(3));
        assert_eq!(starts.steps.to_vec::<i32>().unwrap(), [0, 3, 0]);
        let starts = starts.changed(&[None, Some(1), Some(2), None], &tensor(5));
        assert_eq!(starts.steps.to_vec::<i32>().unwrap(), [5, 3, 0, 5]);
        assert_eq!(starts.groups, [2, 1, 0, 2]);
        let starts = starts.changed(&[Some(3), Some(2)], &tensor(6));
        assert_eq!((counts(&starts), starts.groups), (vec![4.0, 9.0], vec![1, 0]));
        let none = Starts::at_first_step(2).changed(&[], &tensor(1));
        assert_eq!((none.steps.shape().to_vec(), none.groups), (vec![0], vec![]));
    }
}
