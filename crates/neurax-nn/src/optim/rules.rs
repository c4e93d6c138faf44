//! The rules of an optimizer, which may stand inside of another rule.

use super::change::ParamChange;
use super::rule::{Rule, Step};
use super::state::Slots;
use neurax_tensor::{Error, Tensor};
use std::sync::Arc;

/// A list of rules, each of which transforms the updates of the previous one.
#[derive(Clone)]
pub(super) struct Rules(Arc<[Arc<dyn Rule>]>);

impl Rules {
    pub fn one(rule: impl Rule) -> Rules {
        Rules(Arc::new([Arc::new(rule)]))
    }

    pub fn concat<'r>(lists: impl IntoIterator<Item = &'r Rules>) -> Rules {
        Rules(lists.into_iter().flat_map(|rules| rules.0.iter().cloned()).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the state of each rule before the first step.
    pub fn init(&self, params: &[Tensor], paths: &[String]) -> Vec<Slots> {
        self.0.iter().map(|rule| rule.init(params, paths)).collect()
    }

    /// Returns true if one of the rules may hold gradients of former steps.
    pub fn accumulate(&self) -> bool {
        self.0.iter().any(|rule| rule.accumulates())
    }

    /// Returns the updates of the last rule, and changes the state of each rule. A step that
    /// finishes an accumulation begins with the first rule that accumulates: those before it have
    /// no gradient to change.
    pub fn update(
        &self,
        mut updates: Vec<Tensor>,
        slots: &mut [Slots],
        step: &Step,
    ) -> Vec<Tensor> {
        let mut finishes = step.finishes;
        for (rule, slots) in self.0.iter().zip(slots) {
            if finishes && !rule.accumulates() {
                continue;
            }
            let step = &Step { finishes, ..*step };
            updates = one_for_each(step.params, rule.update(updates, slots, step));
            finishes = false;
        }
        updates
    }

    /// Returns the state of all rules before the first step as that of one rule; the slots of rule
    /// `i` have the prefix `i.`.
    pub fn init_nested(&self, params: &[Tensor], paths: &[String]) -> Slots {
        nested(self.init(params, paths))
    }

    /// Returns the updates of the last rule, and changes the slots that [`Rules::init_nested`]
    /// created; `slots` must have no others with a dot in their names.
    pub fn update_nested(
        &self,
        updates: Vec<Tensor>,
        slots: &mut Slots,
        step: &Step,
    ) -> Vec<Tensor> {
        let mut inner = self.take_nested(slots);
        let updates = self.update(updates, &mut inner, step);
        slots.extend(nested(inner));
        updates
    }

    /// Returns the learning rate of the last step: the product of those of the rules that have one.
    pub fn learning_rate(&self, slots: &[Slots], count: &Tensor) -> Option<Tensor> {
        let rate = |(rule, slots): (&Arc<dyn Rule>, &Slots)| rule.learning_rate(slots, count);
        self.0.iter().zip(slots).filter_map(rate).reduce(|a, b| a * b)
    }

    /// Returns the learning rate of the last step; `slots` holds those of [`Rules::init_nested`].
    pub fn learning_rate_nested(&self, slots: &Slots, count: &Tensor) -> Option<Tensor> {
        self.learning_rate(&self.take_nested(&mut slots.clone()), count)
    }

    /// Returns the state of each rule for other parameters.
    pub fn change(&self, slots: Vec<Slots>, change: &ParamChange) -> Vec<Slots> {
        self.0.iter().zip(slots).map(|(rule, slots)| rule.change(slots, change)).collect()
    }

    /// Returns the slots of [`Rules::init_nested`] for other parameters; takes them out of `slots`.
    pub fn change_nested(&self, slots: &mut Slots, change: &ParamChange) -> Slots {
        nested(self.change(self.take_nested(slots), change))
    }

    /// Takes the slots of each rule out of those of [`Rules::init_nested`].
    pub fn take_nested(&self, slots: &mut Slots) -> Vec<Slots> {
        (0..self.len()).map(|i| take_prefixed(slots, i)).collect()
    }
}

/// Returns the slots of several rules as those of one rule.
pub(super) fn nested(inner: Vec<Slots>) -> Slots {
    let each = inner.into_iter().enumerate();
    each.flat_map(|(i, slots)| prefixed(slots, i)).collect()
}

/// Returns slots with the prefix `i.`.
pub(super) fn prefixed(slots: Slots, i: usize) -> Slots {
    slots.into_iter().map(|(name, tensors)| (format!("{i}.{name}"), tensors)).collect()
}

/// Takes the slots with the prefix `i.`, and removes the prefix.
pub(super) fn take_prefixed(slots: &mut Slots, i: usize) -> Slots {
    let prefix = format!("{i}.");
    let names: Vec<String> =
        slots.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
    let take = |name: String| Some((name[prefix.len()..].to_string(), slots.remove(&name)?));
    names.into_iter().filter_map(take).collect()
}

/// Returns the updates of a rule, or one error for each parameter if their numbers differ.
fn one_for_each(params: &[Tensor], updates: Vec<Tensor>) -> Vec<Tensor> {
    if updates.len() == params.len() {
        return updates;
    }
    let why =
        format!("expected {} updates, one for each parameter, got {}", params.len(), updates.len());
    vec![Tensor::from_error(Error::new("optim", why)); params.len()]
}
