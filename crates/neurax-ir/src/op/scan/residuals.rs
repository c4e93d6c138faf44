//! Fewer residuals of a loop: those that follow from others are computed again.
//!
//! A residual of a loop is stacked: it is written in each iteration and read from memory in the
//! transposed loop, long after it has left the caches. A few additions and multiplications of
//! residuals that are stacked anyway cost less:
//!
//! ```text
//! s = logistic(x); d = s * (1 - s)    residuals s, d  ->  residual s; d is computed again
//! ```
//!
//! This is the rematerialization of Chen et al., "Training Deep Nets with Sublinear Memory Cost"
//! (<https://arxiv.org/abs/1604.06174>), restricted to values that need nothing else to be kept.
//! The same equations run on the same values, so that no bit changes.

use crate::op::{Binary, Unary};
use crate::transform::Linearized;
use crate::tuning::MAX_RECOMPUTED_EQNS;
use crate::{Builder, Eqn, Graph, Op, OrBug, Result, Value};

/// Returns `l` without the residuals that are cheap functions of the others. Of its residuals, only
/// those in `stacked` are worth it.
///
/// # Errors
/// If `l` is no linearization, an error of this crate.
pub(super) fn without_derived(l: &Linearized, stacked: &[bool]) -> Result<Linearized> {
    let results = l.primal.outputs().len() - l.residuals;
    let mut derived = Derived::new(&l.primal, &l.primal.outputs()[results..]);
    // From the last one on, so that a residual is removed before those that compute it.
    let mut order: Vec<usize> = (0..l.residuals).filter(|&i| stacked[i]).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(derived.residuals[i].index()));
    order.into_iter().for_each(|i| derived.try_remove(i));
    let kept: Vec<bool> = derived.residuals.iter().map(|r| derived.available[r.index()]).collect();
    if kept.iter().all(|k| *k) {
        return Ok(l.clone());
    }
    let live: Vec<bool> = vec![true; results].into_iter().chain(kept.iter().copied()).collect();
    Ok(Linearized {
        primal: l.primal.restricted(&live, &vec![true; l.primal.input_types().len()]),
        linear: derived.linear(l)?,
        outputs: l.outputs.clone(),
        residuals: kept.iter().filter(|k| **k).count(),
    })
}

/// The residuals of a graph and those that follow from others.
struct Derived<'g> {
    primal: &'g Graph,
    residuals: &'g [Value],
    producers: Vec<Option<usize>>,
    /// For each value, true if it is a residual that is kept.
    available: Vec<bool>,
}

impl<'g> Derived<'g> {
    fn new(primal: &'g Graph, residuals: &'g [Value]) -> Derived<'g> {
        let mut available = vec![false; primal.types().len()];
        residuals.iter().for_each(|r| available[r.index()] = true);
        Derived { primal, residuals, producers: primal.producers(), available }
    }

    /// Returns the equation that computes `v`, if it is cheap.
    fn cheap(&self, v: Value) -> Option<&'g Eqn> {
        let e = self.producers[v.index()].map(|i| &self.primal.eqns()[i])?;
        let is_cheap = matches!(
            e.op,
            Op::Unary(Unary::Neg)
                | Op::Binary(Binary::Add | Binary::Sub | Binary::Mul)
                | Op::Compare(_)
                | Op::Select(_)
                | Op::Broadcast(_)
                | Op::Constant(_)
        );
        is_cheap.then_some(e)
    }

    /// Marks residual `i` as one that is computed again, if a few cheap equations do.
    fn try_remove(&mut self, i: usize) {
        let r = self.residuals[i];
        self.available[r.index()] = false;
        let mut budget = MAX_RECOMPUTED_EQNS;
        self.available[r.index()] = !self.follows(r, &mut budget);
    }

    /// Returns true if at most `budget` cheap equations compute `v` from what is available.
    fn follows(&self, v: Value, budget: &mut usize) -> bool {
        if self.available[v.index()] {
            return true;
        }
        let Some(e) = self.cheap(v).filter(|_| *budget > 0) else { return false };
        *budget -= 1;
        e.inputs.iter().all(|&x| self.follows(x, budget))
    }

    /// Builds the linear graph of `l`, which reads the available residuals and computes the others.
    fn linear(&self, l: &Linearized) -> Result<Graph> {
        let mut b = Builder::new();
        let mut env = vec![None; self.primal.types().len()];
        for r in self.residuals.iter().filter(|r| self.available[r.index()]) {
            env[r.index()] = Some(b.input(self.primal.ty(*r).clone()));
        }
        let rest = &l.linear.input_types()[l.residuals..];
        let rest: Vec<Value> = rest.iter().map(|t| b.input(t.clone())).collect();
        let residuals = self.residuals.iter().map(|&r| self.emit(&mut b, &mut env, r));
        let mut args = residuals.collect::<Result<Vec<_>>>()?;
        args.extend(rest);
        let outs = b.inline(&l.linear, &args);
        b.finish(&outs)
    }

    /// Emits the equations of `v`, or returns its value if `env` has it.
    fn emit(&self, b: &mut Builder, env: &mut [Option<Value>], v: Value) -> Result<Value> {
        if let Some(x) = env[v.index()] {
            return Ok(x);
        }
        let e = self.cheap(v).or_bug("a residual that is computed again has no cheap equation")?;
        let xs = e.inputs.iter().map(|&x| self.emit(b, env, x)).collect::<Result<Vec<_>>>()?;
        b.set_origin(e.at.clone());
        let y = b.emit(e.op.clone(), &xs);
        env[v.index()] = Some(y);
        Ok(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform;

    /// Returns the residuals of `y = f(x)` before and after.
    fn residuals(body: &str) -> [usize; 2] {
        let text = format!("graph(%0: f32[3], %1: f32[3]) {{ {body} }}");
        let l = transform::linearize(&Graph::parse(&text).unwrap(), &[true, true]).unwrap();
        let fewer = without_derived(&l, &vec![true; l.residuals]).unwrap();
        assert_eq!(fewer.linear.input_types().len() - fewer.residuals, 2);
        [l.residuals, fewer.residuals]
    }

    #[test]
    fn derivatives_of_gates_follow_from_the_gates() {
        let gate = "%2: f32[3] = logistic(%0)  %3: f32[3] = multiply(%2, %1)  return %3";
        assert_eq!(residuals(gate), [3, 2]);
        let tanh = "%2: f32[3] = tanh(%0)  %3: f32[3] = multiply(%2, %1)  return %3";
        assert_eq!(residuals(tanh), [3, 2]);
    }

    #[test]
    fn expensive_values_stay_residuals() {
        let sine = "%2: f32[3] = sine(%0)  %3: f32[3] = multiply(%2, %1)  return %3";
        assert_eq!(residuals(sine), [3, 3]);
    }
}
