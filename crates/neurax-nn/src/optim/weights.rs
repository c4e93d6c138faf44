//! Averages of weights: moving averages (Polyak and Juditsky, 1992) and Lookahead (Zhang et al.,
//! 2019, <https://arxiv.org/abs/1907.08610>).

use super::averages::average;
use super::option_checks::{no_steps, option_error};
use super::schedule_free::{self, average_at};
use super::state::{OptState, take};
use super::{Optim, Rule, Slots, Step, invalid, missing, with_floats};
use crate::precision::{at_least_f32, narrow_as};
use neurax_tensor::{Tensor, Tree};

/// The slot of the averages.
const AVERAGE: &str = "average";
/// The slot of the slow weights.
const SLOW: &str = "slow";

/// Keeps a moving average of the parameters in the state, `a ← decay · a + (1 - decay) · p`, which
/// starts at the first parameters; the updates pass unchanged. It is the last link of a chain.
/// [`OptState::average_of`] returns the averages, which often generalize better than the last
/// parameters.
///
/// # Errors
///
/// The updates carry an error if `decay` is not in `0..1`.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::sgd(1.0), optim::average_weights(0.75)]);
/// let p = tensor([1.0]);
/// let (p, state) = opt.step(&p, &tensor([4.0]), opt.init(&p));
/// assert_eq!((p.item()?, state.average_of(&p).item()?), (-3.0, 0.0));
/// # Ok::<(), Error>(())
/// ```
pub fn average_weights(decay: f64) -> Optim {
    Optim::new(AverageWeights(decay))
}

/// Moves slow weights toward the parameters every `k` steps, `s ← s + rate · (p - s)`, and sets the
/// parameters to them. It is the last link of a chain. The paper uses a `k` of 5 or 10 and a `rate`
/// of 0.5 or 0.8.
///
/// # Errors
///
/// The updates carry an error if `k` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::sgd(1.0), optim::lookahead(2, 0.5)]);
/// let (p, g) = (tensor([4.0]), tensor([1.0]));
/// let (p, state) = opt.step(&p, &g, opt.init(&p));
/// assert_eq!(p.item()?, 3.0);
/// let (p, _) = opt.step(&p, &g, state);
/// assert_eq!(p.item()?, 3.0, "the mean of 4 and 2");
/// # Ok::<(), Error>(())
/// ```
pub fn lookahead(k: usize, rate: f64) -> Optim {
    Optim::new(Lookahead { k, rate })
}

impl OptState {
    /// Returns the averages that [`average_weights`] or a [schedule-free
    /// optimizer](super::schedule_free) keeps, in the structure and the dtypes of `params`, the
    /// parameters after the last step. Leaves that are not floats are those of `params`.
    ///
    /// # Errors
    ///
    /// The averages carry an error if the state has none for these parameters.
    pub fn average_of<P: Tree>(&self, params: &P) -> P {
        let mut leaves = vec![];
        params.each_leaf(|t| leaves.push(t.clone()));
        let floats: Vec<Tensor> = super::floats(&leaves);
        let averages = match self.last_slot(schedule_free::BASE) {
            Some(base) => {
                let mut slots = Slots::from([(AVERAGE.into(), base.clone())]);
                let momentum = self.last_slot(schedule_free::MOMENTUM).and_then(|b| b.first());
                let missing = || Tensor::from_error(missing(schedule_free::MOMENTUM));
                let momentum = momentum.cloned().unwrap_or_else(missing);
                let base = take(&mut slots, AVERAGE, &floats);
                let pairs = floats.iter().zip(base);
                pairs.map(|(y, z)| average_at(&at_least_f32(y), &z, &momentum)).collect()
            }
            None => {
                let found = self.last_slot(AVERAGE);
                let found = found.map(|slot| (AVERAGE.into(), slot.clone()));
                take(&mut found.into_iter().collect(), AVERAGE, &floats)
            }
        };
        let rounded = floats.iter().zip(averages).map(|(p, a)| narrow_as(p, a)).collect();
        params.with_leaves(with_floats(&leaves, rounded, Tensor::clone))
    }

    /// Returns the last slot of a name. Inside of another rule, its name has numbers in front.
    fn last_slot(&self, name: &str) -> Option<&Vec<Tensor>> {
        let mut slots = self.slots.iter().flatten();
        slots.rfind(|(path, _)| path.rsplit('.').next() == Some(name)).map(|(_, slot)| slot)
    }
}

struct AverageWeights(f64);

impl Rule for AverageWeights {
    fn init(&self, params: &[Tensor], _: &[String]) -> Slots {
        Slots::from([(AVERAGE.into(), params.to_vec())])
    }

    fn update(&self, updates: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = option_error(&[self.0], &[]) {
            return invalid("average_weights", why, &updates);
        }
        if !slots.contains_key(AVERAGE) {
            return vec![Tensor::from_error(missing(AVERAGE)); updates.len()];
        }
        let old = take(slots, AVERAGE, step.params).into_iter();
        let new = step.params.iter().zip(&updates).map(|(p, u)| p + u);
        let averages = old.zip(new).map(|(a, p)| average(a, &p, self.0)).collect();
        slots.insert(AVERAGE.into(), averages);
        updates
    }
}

struct Lookahead {
    k: usize,
    rate: f64,
}

impl Rule for Lookahead {
    fn init(&self, params: &[Tensor], _: &[String]) -> Slots {
        Slots::from([(SLOW.into(), params.to_vec())])
    }

    fn update(&self, updates: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = no_steps(self.k, "5 or 10 steps are usual") {
            return invalid("lookahead", why, &updates);
        }
        let is_synchronized = ((step.count + 1.0) % self.k as f64).equal(0.0);
        let slow = take(slots, SLOW, step.params).into_iter();
        let (slow, updates) = slow
            .zip(step.params.iter().zip(updates))
            .map(|(slow, (p, u))| {
                let moved = &slow + (p + &u - &slow) * self.rate;
                let update = is_synchronized.select(&moved - p, u);
                (is_synchronized.select(moved, slow), update)
            })
            .unzip();
        slots.insert(SLOW.into(), slow);
        updates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};
    use crate::optim::{accumulate, chain, sgd};
    use neurax_tensor::dtype_consts::BF16;
    use neurax_tensor::tensor;

    #[test]
    fn lookahead_follows_the_paper() {
        let mut slow = 1.0;
        let want = formula(|p, g, t| {
            let fast = p - 0.1 * g;
            if t % 5 != 0 {
                return fast;
            }
            slow += 0.8 * (fast - slow);
            slow
        });
        near_formula(chain([sgd(0.1), lookahead(5, 0.8)]), want);
    }

    #[test]
    fn averages_have_the_structure_of_the_parameters() {
        let opt = chain([sgd(0.1), average_weights(0.9)]);
        let mut p = (tensor([1.0]), tensor([7]), tensor([2.0]).to(BF16));
        let (mut s, mut want) = (opt.init(&p), 1.0);
        for _ in 0..20 {
            let g = (p.0.clone(), tensor([0]), tensor([0.0]).to(BF16));
            (p, s) = opt.step(&p, &g, s);
            want = 0.9 * want + 0.1 * p.0.item().unwrap();
        }
        let found = s.average_of(&p);
        assert!((found.0.item().unwrap() - want).abs() < 1e-6);
        assert_eq!((found.1.item().unwrap(), found.2.item().unwrap()), (7.0, 2.0));
        assert_eq!(found.2.dtype(), BF16);
        let p = tensor([1.0]);
        let opt = accumulate(1, chain([sgd(1.0), average_weights(0.5)]));
        let (q, s) = opt.step(&p, &p, opt.init(&p));
        assert_eq!((q.item().unwrap(), s.average_of(&q).item().unwrap()), (0.0, 0.5));
    }

    #[test]
    fn invalid_uses_are_errors() {
        let p = tensor([1.0]);
        for (opt, part) in [(lookahead(0, 0.5), "at least 1 step"), (average_weights(1.0), "0..1")]
        {
            let (u, _) = opt.update(&p, &p, opt.init(&p));
            assert!(u.error().unwrap().message().contains(part), "{u:?}");
        }
        let state = sgd(0.1).init(&p);
        assert!(state.average_of(&p).error().unwrap().message().contains("missing slot"));
        for opt in [lookahead(2, 0.5), average_weights(0.5)] {
            let (u, _) = opt.update(&p, &p, state.clone());
            assert!(u.error().unwrap().message().contains("missing slot"), "{u:?}");
        }
    }
}
