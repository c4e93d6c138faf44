//! [`State`] as a tree: the one list of the paths of its tensors, in memory and in files.
//!
//! All that is no tensor is static, and floats are compared by their bits, since no NaN equals
//! another one. The optimizer and the stopwatch of the epoch are not visited: no function of a
//! state that is traced can read them.

use crate::epoch_so_far::{EpochSoFar, TOTALS, TotalsSoFar};
use crate::{EpochLog, HandlerMemories, HandlerMemory, Scores, State};
use neurax_tensor::tree::Visitor;
use neurax_tensor::{Tensor, Tree};

/// The keys of the tensors: the first parts of their paths.
const VARS: &str = "vars";
const OPTIMIZER_STATE: &str = "optimizer";
const KEY: &str = "key";
const HANDLERS: &str = "handlers";

impl Tree for State {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.child(VARS, |v| self.vars.visit(v));
        v.child(OPTIMIZER_STATE, |v| self.opt.visit(v));
        v.child(KEY, |v| self.key.visit(v));
        v.child(TOTALS, |v| self.so_far.totals.visit(v));
        v.child(HANDLERS, |v| self.handlers.visit(v));
        for (name, count) in [("epoch", &self.epoch), ("batch", &self.batch), ("step", &self.step)]
        {
            v.fixed(name, count);
        }
        v.fixed("loss", &self.loss.to_bits());
        v.fixed("metrics", &self.metrics.bits());
        v.fixed("validation", &self.validation.bits());
        v.fixed("history", &self.history.iter().map(LogBits::new).collect::<Vec<_>>());
        v.fixed("status", &self.status);
        v.fixed("plan", &self.plan);
        v.fixed("program", &self.program);
        v.fixed("is_new", &self.is_new);
        v.fixed("is_trial", &self.is_trial);
        self.so_far.visit_fixed(v);
    }

    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> State {
        let (vars, opt) = (self.vars.rebuild(next), self.opt.rebuild(next));
        let (key, totals) = (self.key.rebuild(next), self.so_far.totals.rebuild(next));
        let handlers = self.handlers.rebuild(next);
        let mut state = State { vars, opt, key, handlers, ..self.clone() };
        state.so_far.totals = totals;
        state
    }

    fn into_leaves(self, out: &mut Vec<Tensor>) {
        self.vars.into_leaves(out);
        self.opt.into_leaves(out);
        self.key.into_leaves(out);
        self.so_far.totals.into_leaves(out);
        self.handlers.into_leaves(out);
    }
}

/// The log of an epoch with the bits of its floats.
#[derive(Clone, PartialEq)]
struct LogBits {
    /// The log without its floats.
    counts: EpochLog,
    train: Vec<(String, u64)>,
    validation: Vec<(String, u64)>,
    seconds: u64,
}

impl LogBits {
    fn new(log: &EpochLog) -> LogBits {
        let (train, validation) = (Scores::default(), Scores::default());
        LogBits {
            counts: EpochLog { train, validation, seconds: 0.0, ..*log },
            train: log.train.bits(),
            validation: log.validation.bits(),
            seconds: log.seconds.to_bits(),
        }
    }
}

impl EpochSoFar {
    /// Visits all that is no tensor, but the stopwatch.
    fn visit_fixed(&self, v: &mut Visitor) {
        let EpochSoFar {
            totals: _,
            measures,
            examples,
            skipped_before,
            first_batch,
            validated,
            halts,
            is_logged_in_part,
            watch: _,
        } = self;
        v.fixed("measures", measures);
        v.fixed("examples", examples);
        v.fixed("skipped_before", skipped_before);
        v.fixed("first_batch", first_batch);
        v.fixed("validated", validated);
        v.fixed("halts", halts);
        v.fixed("is_logged_in_part", is_logged_in_part);
    }
}

/// The tensors under the names of their handlers.
impl Tree for HandlerMemories {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        self.map().visit(v);
    }

    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> HandlerMemories {
        self.map().rebuild(next).into_iter().collect()
    }

    fn into_leaves(self, out: &mut Vec<Tensor>) {
        self.into_map().into_leaves(out);
    }
}

/// The tensors under their names; numbers and texts are static.
impl Tree for HandlerMemory {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        self.tensors.visit(v);
        let bits = |(name, x): (&String, &f64)| (name.clone(), x.to_bits());
        v.fixed("numbers", &self.numbers.iter().map(bits).collect::<Vec<_>>());
        v.fixed("texts", &self.texts);
    }

    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> HandlerMemory {
        let (numbers, texts) = (self.numbers.clone(), self.texts.clone());
        HandlerMemory { tensors: self.tensors.rebuild(next), numbers, texts }
    }

    fn into_leaves(self, out: &mut Vec<Tensor>) {
        self.tensors.into_leaves(out);
    }
}

impl Tree for TotalsSoFar {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.fixed("stored", &matches!(self, TotalsSoFar::Stored(_)));
        match self {
            TotalsSoFar::Of(totals) => totals.visit(v),
            TotalsSoFar::Stored(tensors) => tensors.visit(v),
        }
    }

    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> TotalsSoFar {
        match self {
            TotalsSoFar::Of(totals) => TotalsSoFar::Of(totals.rebuild(next)),
            TotalsSoFar::Stored(tensors) => TotalsSoFar::Stored(tensors.rebuild(next)),
        }
    }

    fn into_leaves(self, out: &mut Vec<Tensor>) {
        match self {
            TotalsSoFar::Of(totals) => totals.into_leaves(out),
            TotalsSoFar::Stored(tensors) => tensors.into_leaves(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Measure, Objective, Totals};
    use neurax_nn::{Model, Vars, input, metric, optim};
    use neurax_tensor::{dims, jit, key, tensor, types};
    use std::panic::Location;

    fn paths(tree: &impl Tree) -> Vec<String> {
        tree.leaves().into_iter().map(|(path, _)| path).collect()
    }

    fn values(tree: &impl Tree) -> Vec<Vec<f64>> {
        let wide = |t: &Tensor| t.to(neurax_tensor::DType::F64).to_vec::<f64>().unwrap();
        tree.leaves().into_iter().map(|(_, t)| wide(t)).collect()
    }

    fn state() -> State {
        let model: Model = input("x", dims![_, 1]).dense(1).batch_norm().model();
        let vars: Vars = model.init(key(0), &types![f32[_, 1]]).unwrap();
        let opt = optim::adam(0.1).init(&vars.params);
        let mut state = State::new(vars, opt, key(7));
        let observe = Objective::metric::<Tensor, Tensor, (Tensor, Tensor)>(
            metric::recall(),
            |out, batch| (out.y().clone(), batch.y.clone()),
        );
        let at = Location::caller();
        let recall = Measure { name: "recall".into(), of: observe, at };
        let loss = Measure { name: "loss".into(), of: Objective::Score, at };
        state.so_far.totals = TotalsSoFar::Of(Totals::new(&[loss, recall]));
        state.memory("b").set_tree("best", &vec![tensor(1.0), tensor(2.0)]);
        state.memory("a").set_tree("mean", &tensor(3.0));
        state.memory("a").set_number("count", 4.0);
        state
    }

    #[test]
    fn a_state_keeps_the_contract_of_trees() {
        let state = state();
        let all = paths(&state);
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
        let counts = [("vars", 6), ("optimizer", 11), ("key", 1), ("epoch", 3), ("handlers", 3)];
        for (first, n) in counts {
            let own = all.iter().filter(|path| path.split('.').next() == Some(first));
            assert_eq!(own.count(), n, "{first}: {all:?}");
        }
        let mut leaves = vec![];
        state.clone().into_leaves(&mut leaves);
        assert_eq!(values(&leaves), values(&state));
        let same = state.map_leaves(Tensor::clone);
        assert_eq!((paths(&same), values(&same)), (all, values(&state)));
        assert_eq!(same.handlers.get("a").map(|memory| memory.count("count")), Some(4));
    }

    #[test]
    fn a_state_of_another_step_is_another_program() {
        let (mut state, doubled) = (state(), jit(|s: State| s.map_leaves(|t| t + t)));
        state.key = key(0);
        assert_eq!(doubled.run(state.clone()).unwrap().memory("a").count("count"), 4);
        doubled.run(state.clone()).unwrap();
        state.step += 1;
        doubled.run(state).unwrap();
        assert_eq!(doubled.traces(), 2);
    }

    #[test]
    fn a_state_with_nan_is_the_same_program_and_one_of_other_examples_another_one() {
        let (mut state, doubled) = (state(), jit(|s: State| s.map_leaves(|t| t + t)));
        state.key = key(0);
        let nan = Scores::from_iter([("mae".to_string(), f64::NAN)]);
        (state.metrics, state.validation) = (nan.clone(), nan.clone());
        state.memory("a").set_number("best", f64::NAN);
        state.history.push(EpochLog {
            epoch: 0,
            train: nan.clone(),
            validation: nan,
            examples: 4,
            skipped: 0,
            halted: false,
            seconds: f64::NAN,
        });
        doubled.run(state.clone()).unwrap();
        doubled.run(state.clone()).unwrap();
        assert_eq!(doubled.traces(), 1);
        state.so_far.examples += 1;
        doubled.run(state).unwrap();
        assert_eq!(doubled.traces(), 2);
    }
}
