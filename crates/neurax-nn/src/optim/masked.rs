//! Optimizers for some of the parameters: masks and groups.

use super::change::ParamChange;
use super::rules::{Rules, prefixed, take_prefixed};
use super::{Evaluate, NonFinite, Optim, Rule, Slots, Step, invalid};
use crate::ParamMask;
use neurax_tensor::{Tensor, Type};

/// Applies `optim` to the updates of the parameters that `mask` chooses; the updates of the others
/// pass unchanged, as in Optax's `masked`. The rules of `optim` see and keep state for the chosen
/// parameters alone. To train only some of the parameters, freeze the others with
/// [`Vars::freeze`](crate::Vars::freeze).
///
/// A mask is a pattern of paths, an array of them, or a [`ParamMask`]. For weight decay without
/// biases and normalizations, see [`adamw_masked`](super::adamw_masked).
///
/// # Errors
///
/// The updates carry an error if a pattern matches no parameter, or is malformed.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3]).dense(4).dense(2);
/// let vars = model.init(key(0), &types![f32[_, 3]])?;
/// let decay = optim::masked("**.kernel", optim::weight_decay(0.5));
/// let opt = optim::chain([decay, optim::sgd(1.0)]);
/// let zeros = vars.params.map_leaves(|p| p.zeros_like());
/// let (new, _) = opt.step(&vars.params, &zeros, opt.init(&vars.params));
/// let kernel = &vars.params["dense"]["kernel"];
/// assert_eq!(new["dense"]["kernel"].array_equal(kernel * 0.5).item()?, 1.0);
///
/// let opt = optim::masked("dens.*", optim::sgd(1.0));
/// let (wrong, _) = opt.step(&vars.params, &zeros, opt.init(&vars.params));
/// let error = wrong.ok().unwrap_err();
/// let want = "expected a pattern of one of the parameters dense.bias, dense.kernel, ";
/// assert!(error.message().starts_with(want));
/// # Ok::<(), Error>(())
/// ```
pub fn masked(mask: impl Into<ParamMask>, optim: Optim) -> Optim {
    let rule = Masked { mask: mask.into(), rules: optim.rules };
    Optim { rules: Rules::one(rule), ..optim }
}

/// Updates the parameters of each group with the group's optimizer, as in Optax's
/// `multi_transform`. Each parameter must be in exactly one group; for a group of all others, see
/// [`per_group_or`]. `groups` is an array or a tuple of pairs of a mask and an optimizer; the masks
/// of a tuple may be of different types.
///
/// # Errors
///
/// The updates carry an error if a parameter is in no group or in two of them, or if a pattern
/// matches no parameter or is malformed.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::per_group([("0", optim::sgd(1.0)), ("1", optim::adam(0.1))]);
/// let p = vec![tensor(1.0), tensor(1.0)];
/// let (p, _) = opt.step(&p, &vec![tensor(0.5), tensor(0.5)], opt.init(&p));
/// assert_eq!(p[0].item()?, 0.5);
/// assert!((p[1].item()? - 0.9).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn per_group(groups: impl ParamGroups) -> Optim {
    groups_or(groups.into_groups(), None)
}

/// Updates the parameters of each group with the group's optimizer, and those in no group with
/// `others`.
///
/// # Errors
///
/// The updates carry an error if a parameter is in two groups, or if a pattern matches no parameter
/// or is malformed.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3]).dense(8).relu().dense(2).named("head").model();
/// let vars = model.init(key(0), &types![f32[_, 3]])?;
/// // A pretrained network is changed slowly, its new head fast, and its biases are kept.
/// let head = nn::ParamMask::from("head.*");
/// let biases = !nn::ParamMask::kernels() & !head;
/// let opt = optim::per_group_or(
///     (("head.*", optim::adam(1e-2)), (biases, optim::sgd(0.0))),
///     optim::adam(1e-4),
/// );
/// let ones = vars.params.map_leaves(|p| p.ones_like());
/// let (new, _) = opt.step(&vars.params, &ones, opt.init(&vars.params));
/// let moved = |layer: &str, name: &str| {
///     (&new[layer][name] - &vars.params[layer][name]).abs().max(..).item()
/// };
/// assert!((moved("head", "bias")? - 1e-2).abs() < 1e-6);
/// assert!((moved("dense", "kernel")? - 1e-4).abs() < 1e-6);
/// assert_eq!(moved("dense", "bias")?, 0.0);
/// # Ok::<(), Error>(())
/// ```
pub fn per_group_or(groups: impl ParamGroups, others: Optim) -> Optim {
    groups_or(groups.into_groups(), Some(others))
}

/// An argument that is a list of groups of parameters: an array or a tuple of pairs of a mask and
/// an optimizer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of groups of parameters",
    note = "pass pairs of a mask and an optimizer, e.g. \
            `((\"head.*\", optim::adam(1e-2)), (nn::ParamMask::kernels(), optim::sgd(0.1)))`"
)]
pub trait ParamGroups {
    /// Returns the masks and their optimizers.
    fn into_groups(self) -> Vec<(ParamMask, Optim)>;
}

impl<M: Into<ParamMask>, const N: usize> ParamGroups for [(M, Optim); N] {
    fn into_groups(self) -> Vec<(ParamMask, Optim)> {
        self.into_iter().collect::<Vec<_>>().into_groups()
    }
}

impl<M: Into<ParamMask>> ParamGroups for Vec<(M, Optim)> {
    fn into_groups(self) -> Vec<(ParamMask, Optim)> {
        self.into_iter().map(|(mask, opt)| (mask.into(), opt)).collect()
    }
}

/// Implements [`ParamGroups`] for tuples.
macro_rules! tuples {
    ($(($($M:ident)*))*) => {$(
        impl<$($M: Into<ParamMask>),*> ParamGroups for ($(($M, Optim),)*) {
            #[allow(non_snake_case)] // The names of the types.
            fn into_groups(self) -> Vec<(ParamMask, Optim)> {
                let ($($M,)*) = self;
                vec![$(($M.0.into(), $M.1)),*]
            }
        }
    )*};
}
tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }

fn groups_or(groups: Vec<(ParamMask, Optim)>, others: Option<Optim>) -> Optim {
    let all = || groups.iter().map(|(_, opt)| opt).chain(&others);
    Optim {
        master_copies: all().any(|opt| opt.master_copies),
        non_finite: all().map(|opt| opt.non_finite).max().unwrap_or(NonFinite::Pass),
        loss_scale: all().filter_map(|opt| opt.loss_scale).next_back(),
        rules: Rules::one(Groups {
            rules: all().map(|opt| opt.rules.clone()).collect(),
            masks: groups.iter().map(|(mask, _)| mask.clone()).collect(),
        }),
    }
}

struct Masked {
    mask: ParamMask,
    rules: Rules,
}

impl Rule for Masked {
    fn init(&self, params: &[Tensor], paths: &[String]) -> Slots {
        match self.mask.select(paths, params) {
            Ok(chosen) => self.rules.init_nested(&of(params, &chosen), &of(paths, &chosen)),
            // empty: each step reports the error.
            Err(_) => Slots::new(),
        }
    }

    fn update(&self, mut updates: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        match self.mask.select(step.paths, step.params) {
            Ok(chosen) => {
                update_chosen(&self.rules, &chosen, &mut updates, slots, step);
                updates
            }
            Err(why) => invalid("masked", why, &updates),
        }
    }

    fn accumulates(&self) -> bool {
        self.rules.accumulate()
    }

    fn learning_rate(&self, slots: &Slots, count: &Tensor) -> Option<Tensor> {
        self.rules.learning_rate_nested(slots, count)
    }

    fn change(&self, mut slots: Slots, change: &ParamChange) -> Slots {
        let choose = |paths: &[String], ranks: &[usize]| self.mask.select_ranks(paths, ranks);
        let new = choose(change.paths(), &ranks(change.params()));
        let old = choose(&change.old_paths(), &old_ranks(change));
        match new {
            Ok(new) => {
                // A mask of no parameter had no state.
                let old = old.unwrap_or_else(|_| vec![false; change.old_paths().len()]);
                self.rules.change_nested(&mut slots, &change.of_chosen(&old, &new))
            }
            // empty: each step reports the error.
            Err(_) => slots,
        }
    }
}

struct Groups {
    masks: Vec<ParamMask>,
    /// The rules of each mask, and those of the parameters without a group, if there may be such.
    rules: Vec<Rules>,
}

impl Groups {
    /// Returns for each of `rules` which parameters it is for, or the message of an error.
    fn chosen(&self, ranks: &[usize], paths: &[String]) -> Result<Vec<Vec<bool>>, String> {
        let masks = self.masks.iter().map(|mask| mask.select_ranks(paths, ranks));
        let mut chosen: Vec<Vec<bool>> = masks.collect::<Result<_, _>>()?;
        let mut rest = vec![false; paths.len()];
        for (i, path) in paths.iter().enumerate() {
            let groups = chosen.iter().zip(&self.masks).filter(|(chosen, _)| chosen[i]);
            let groups: Vec<String> = groups.map(|(_, mask)| format!("`{mask}`")).collect();
            let want = || format!("expected each parameter in one group, got `{path}` in");
            match groups.len() {
                0 if self.rules.len() == self.masks.len() => {
                    return Err(format!("{} none; add a group, or use `per_group_or`", want()));
                }
                0 => rest[i] = true,
                1 => {}
                _ => return Err(format!("{} the groups {}", want(), groups.join(" and "))),
            }
        }
        chosen.push(rest);
        Ok(chosen)
    }
}

impl Rule for Groups {
    fn init(&self, params: &[Tensor], paths: &[String]) -> Slots {
        // empty: each step reports the error.
        let Ok(groups) = self.chosen(&ranks(params), paths) else { return Slots::new() };
        let init = |(i, (rules, chosen)): (usize, (&Rules, &Vec<bool>))| {
            prefixed(rules.init_nested(&of(params, chosen), &of(paths, chosen)), i)
        };
        self.rules.iter().zip(&groups).enumerate().flat_map(init).collect()
    }

    fn update(&self, mut updates: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        let groups = match self.chosen(&ranks(step.params), step.paths) {
            Ok(groups) => groups,
            Err(why) => return invalid("per_group", why, &updates),
        };
        for (i, (rules, chosen)) in self.rules.iter().zip(&groups).enumerate() {
            let mut own = take_prefixed(slots, i);
            update_chosen(rules, chosen, &mut updates, &mut own, step);
            slots.extend(prefixed(own, i));
        }
        updates
    }

    fn accumulates(&self) -> bool {
        self.rules.iter().any(Rules::accumulate)
    }

    /// Returns the rate of the first group that has one.
    fn learning_rate(&self, slots: &Slots, count: &Tensor) -> Option<Tensor> {
        let rate = |(i, rules): (usize, &Rules)| {
            rules.learning_rate_nested(&take_prefixed(&mut slots.clone(), i), count)
        };
        self.rules.iter().enumerate().find_map(rate)
    }

    fn change(&self, mut slots: Slots, change: &ParamChange) -> Slots {
        // empty: each step reports the error.
        let Ok(new) = self.chosen(&ranks(change.params()), change.paths()) else { return slots };
        let paths = change.old_paths();
        let none = || vec![vec![false; paths.len()]; new.len()];
        let old = self.chosen(&old_ranks(change), &paths).unwrap_or_else(|_| none());
        let groups = self.rules.iter().zip(old.iter().zip(&new)).enumerate();
        let changed = groups.flat_map(|(i, (rules, (old, new)))| {
            let mut own = take_prefixed(&mut slots, i);
            prefixed(rules.change_nested(&mut own, &change.of_chosen(old, new)), i)
        });
        changed.collect()
    }
}

fn ranks(params: &[Tensor]) -> Vec<usize> {
    params.iter().map(Tensor::rank).collect()
}

fn old_ranks(change: &ParamChange) -> Vec<usize> {
    change.old_types().map(Type::rank).collect()
}

/// Updates the chosen ones of `updates` with `rules`.
fn update_chosen(
    rules: &Rules,
    chosen: &[bool],
    updates: &mut [Tensor],
    slots: &mut Slots,
    step: &Step,
) {
    let (params, paths) = (of(step.params, chosen), of(step.paths, chosen));
    let restricted = |new: &[Tensor]| {
        let mut all = step.params.to_vec();
        replace(&mut all, chosen, new.to_vec());
        let missing = || (Tensor::from_error(super::no_evaluate("masked")), all.clone());
        let (loss, grads) = step.evaluate.map_or_else(missing, |f| f.at(&all));
        (loss, of(&grads, chosen))
    };
    let evaluate = step.evaluate.map(|_| Evaluate::new(&restricted));
    let counts = &step.counts.chosen(chosen);
    let inner = Step { params: &params, paths: &paths, counts, evaluate, ..*step };
    let new = rules.update_nested(of(updates, chosen), slots, &inner);
    replace(updates, chosen, new);
}

/// Returns the chosen ones of `all`.
fn of<T: Clone>(all: &[T], chosen: &[bool]) -> Vec<T> {
    all.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(x, _)| x.clone()).collect()
}

/// Replaces the chosen ones of `all` by those of `new`.
fn replace(all: &mut [Tensor], chosen: &[bool], new: Vec<Tensor>) {
    let old = all.iter_mut().zip(chosen).filter(|(_, chosen)| **chosen);
    old.zip(new).for_each(|((old, _), new)| *old = new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{adam, chain, sgd, weight_decay};
    use neurax_tensor::{Tree, tensor};

    fn params() -> Vec<Tensor> {
        vec![tensor([[1.0]]), tensor([2.0]), tensor([4.0])]
    }

    fn message(opt: &Optim) -> String {
        let (p, _) = opt.step(&params(), &params(), opt.init(&params()));
        p.ok().unwrap_err().message().to_string()
    }

    #[test]
    fn only_chosen_parameters_are_decayed_and_have_state() {
        for (mask, want) in [
            (ParamMask::kernels(), [0.9, 2.0, 4.0]),
            (!ParamMask::kernels(), [1.0, 1.8, 3.6]),
            (ParamMask::from(["0", "2"]), [0.9, 2.0, 3.6]),
        ] {
            let opt = chain([masked(mask, weight_decay(1.0)), sgd(0.1)]);
            let zeros = params().map_leaves(Tensor::zeros_like);
            let (p, _) = opt.step(&params(), &zeros, opt.init(&params()));
            let found: Vec<f32> = p.iter().map(|p| p.item().unwrap() as f32).collect();
            assert_eq!(found, want);
        }
        let state = masked("1", adam(0.1)).init(&params());
        assert_eq!(state.slots[0]["0.m"].len(), 1);
    }

    #[test]
    fn groups_step_as_their_optimizers_alone() {
        let opt = per_group_or([("0", sgd(0.1)), ("1", adam(0.5))], sgd(1.0).master_copies());
        let (mut p, mut state) = (params(), opt.init(&params()));
        let alone = [sgd(0.1), adam(0.5), sgd(1.0)];
        let mut want: Vec<(Tensor, _)> =
            params().into_iter().zip(&alone).map(|(p, opt)| (p.clone(), opt.init(&p))).collect();
        for _ in 0..3 {
            let grads = p.map_leaves(|p| p * 0.5);
            (p, state) = opt.step(&p, &grads, state);
            for ((p, state), opt) in want.iter_mut().zip(&alone) {
                (*p, *state) = opt.step(p, &(&*p * 0.5), state.clone());
            }
        }
        for (found, (want, _)) in p.iter().zip(&want) {
            assert_eq!(found.item().unwrap(), want.item().unwrap());
        }
    }

    #[test]
    fn masks_of_groups_may_be_of_different_types() {
        let kernels = || ParamMask::kernels();
        let opt = per_group((("1", sgd(0.5)), (kernels(), sgd(0.25)), (["2"], adam(0.1))));
        let (p, _) = opt.step(&params(), &params(), opt.init(&params()));
        let found: Vec<f32> = p.iter().map(|p| p.item().unwrap() as f32).collect();
        assert_eq!(found, [0.75, 1.0, 3.9]);
        let opt = per_group_or(((kernels() | "1".into(), sgd(0.5)),), sgd(0.0));
        let (p, _) = opt.step(&params(), &params(), opt.init(&params()));
        let found: Vec<f32> = p.iter().map(|p| p.item().unwrap() as f32).collect();
        assert_eq!(found, [0.5, 1.0, 4.0]);
    }

    #[test]
    fn each_parameter_is_in_one_group() {
        let none = per_group([("0", sgd(0.1)), ("1", sgd(0.1))]);
        assert!(message(&none).contains("got `2` in none; add a group"), "{}", message(&none));
        let two = per_group([("*", sgd(0.1)), ("1", sgd(0.1))]);
        assert!(message(&two).contains("got `1` in the groups `*` and `1`"), "{}", message(&two));
        let unknown = per_group_or([("x.*", sgd(0.1))], sgd(0.1));
        assert!(message(&unknown).contains("of one of the parameters 0, 1, 2; got `x.*`"));
        assert!(message(&masked("a..b", sgd(0.1))).contains("got `a..b`"));
    }
}
