//! Branches and loops: `If`, `Loop`.
//!
//! A condition that is known selects one body, and the other is not looked at: exporters write
//! conditions on ranks and sizes. Other conditions become `cond` if the bodies have results of the
//! same types. A loop whose number of iterations is known becomes a `scan`, and is unrolled if its
//! carried values change their types or are no tensors. A loop that ends by a condition becomes a
//! `while_loop`, unless it also collects values: their number is then known on the host alone.
//!
//! # Limits
//!
//! A known number of iterations, and those that run on the host, come from one
//! [budget](crate::loop_budget). A `while_loop` has no limit: when its condition becomes false is
//! decided by the data, and to end it before would change its meaning. One without a condition that
//! can become false is an error.

use super::axes::size_of;
use super::sequences::stacked;
use super::traced_body::{Caught, checked, tensors, values};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::graph::OnnxGraph;
use crate::limits::MAX_SEQUENCE;
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_ir::DType;
use neurax_tensor::{Tensor, cond, scan, while_loop};

pub(crate) const OPERATORS: &[Operator] = &[
    op("If", &[1, 11, 13, 16, 19, 21, 23, 24, 25], 1..=1, branch)
        .attributes(&["then_branch", "else_branch"]),
    op("Loop", &[1, 11, 13, 16, 19, 21, 23, 24, 25], 2..=usize::MAX, run_loop)
        .attributes(&["body"]),
];

/// Returns the value of a known bool.
fn known_bool(x: &Tensor) -> Result<bool, RuleFailure> {
    Ok(x.item()? != 0.0)
}

/// Returns true if a condition is known, and true.
fn is_always_true(x: &Tensor) -> Result<bool, RuleFailure> {
    Ok(!x.is_traced() && known_bool(x)?)
}

fn branch(c: &NodeCall) -> RuleOutcome {
    let pred = c.x(0)?;
    let bodies = [c.graph("then_branch")?, c.graph("else_branch")?];
    if !pred.is_traced() {
        let taken = if known_bool(&pred)? { bodies[0] } else { bodies[1] };
        return c.run(taken, Vec::new());
    }
    if !c.traces_branches() {
        return Err(RuleFailure::NeedsValue(0));
    }
    let caught = Caught::default();
    let run = |body: &OnnxGraph| caught.tensors(c.run(body, Vec::new()), &[]);
    let ys = cond(&pred.reshape(()), || run(bodies[0]), || run(bodies[1]));
    match caught.check(&ys) {
        Ok(()) if ys.len() == c.outputs() => Ok(values(ys)),
        // The types differ: the host chooses.
        _ => Err(RuleFailure::NeedsValue(0)),
    }
}

/// The parts of a `Loop`.
struct Loop<'c> {
    call: &'c NodeCall<'c>,
    body: &'c OnnxGraph,
    /// The largest number of iterations; `None` if there is no limit.
    limit: Option<Tensor>,
    /// The condition of the first iteration; `None` if there is none.
    condition: Option<Tensor>,
    carried: Vec<OnnxValue>,
}

/// The results of one iteration.
struct Iteration {
    /// The condition of the next iteration, a scalar.
    goes_on: Tensor,
    carried: Vec<OnnxValue>,
    collected: Vec<OnnxValue>,
}

fn run_loop(c: &NodeCall) -> RuleOutcome {
    let one = |x: Tensor| x.reshape(());
    let carried = (2..c.count()).map(|i| c.value(i).cloned()).collect::<Result<_, _>>()?;
    let (limit, condition) = (c.maybe(0)?.map(one), c.maybe(1)?.map(one));
    let this = Loop { call: c, body: c.graph("body")?, limit, condition, carried };
    let is_traced = |x: &Option<Tensor>| x.as_ref().is_some_and(Tensor::is_traced);
    if is_traced(&this.limit) || is_traced(&this.condition) {
        let unknown = if is_traced(&this.limit) { 0 } else { 1 };
        // Carried values that change their types need a known number of iterations.
        return this.as_while().map_err(|f| match f {
            RuleFailure::Error(_) => RuleFailure::NeedsValue(unknown),
            needs => needs,
        });
    }
    let limit = this.limit.as_ref().map(|m| m.item().map(|m| m as i64)).transpose()?;
    let starts = this.condition.as_ref().map(known_bool).transpose()?.unwrap_or(true);
    match limit {
        _ if !starts => this.without_iterations(),
        Some(count) => match this.as_scan(size_of(count.max(0))?) {
            Err(f) if c.budget().is_exceeded() => Err(f),
            Err(_) => this.unrolled_or_while(count),
            ys => ys,
        },
        None => this.unrolled_or_while(i64::MAX),
    }
}

impl Loop<'_> {
    /// Runs the body for an iteration.
    fn iterate(&self, i: Tensor, carried: Vec<OnnxValue>) -> Result<Iteration, RuleFailure> {
        let condition = OnnxValue::Tensor(Tensor::scalar(DType::Bool, true));
        let inputs = [vec![OnnxValue::Tensor(i), condition], carried].concat();
        let mut ys = self.call.iterate(self.body, inputs)?;
        if ys.len() < 1 + self.carried.len() {
            let (want, got) = (1 + self.carried.len(), ys.len());
            return fail(format!("expected a body of at least {want} outputs, got {got}"));
        }
        let collected = ys.split_off(1 + self.carried.len());
        let carried = ys.split_off(1);
        match ys.pop() {
            Some(OnnxValue::Tensor(goes_on)) if goes_on.size() == 1 => {
                Ok(Iteration { goes_on: goes_on.reshape(()), carried, collected })
            }
            other => {
                let got = match &other {
                    Some(OnnxValue::Tensor(y)) => y.ty()?.to_string(),
                    other => other.as_ref().map_or("nothing", OnnxValue::kind).into(),
                };
                let want = "a condition of one bool as the first output of the body";
                fail(format!("expected {want}, got {got}"))
            }
        }
    }

    /// Returns true if values that the iterations collect are wanted.
    fn collects(&self) -> bool {
        (self.carried.len()..self.call.outputs()).any(|i| self.call.wants(i))
    }

    /// Returns the results of a loop without iterations: of what it collects, there is nothing.
    fn without_iterations(&self) -> RuleOutcome {
        self.as_scan(0).or_else(|f| match f {
            RuleFailure::NeedsValues if !self.collects() => Ok(self.carried.clone()),
            RuleFailure::NeedsValues => {
                let collected = self.body.outputs.get(1 + self.carried.len()..).unwrap_or(&[]);
                fail(format!(
                    "expected tensors as the values that a loop without iterations collects, got \
                     others, or none whose sizes are known, as outputs {} of the body",
                    collected.join(", ")
                ))
            }
            other => Err(other),
        })
    }

    /// Runs a loop of `count` iterations that the condition does not end.
    fn as_scan(&self, count: usize) -> RuleOutcome {
        let start = tensors(self.carried.clone())?;
        let (caught, budget) = (Caught::default(), self.call.budget());
        let before = budget.used();
        let step = |carry: Vec<Tensor>, i: Tensor| {
            // A body that is traced twice takes its iterations once.
            budget.give_back(before);
            let ys = self.iterate(i, values(carry.clone())).and_then(|ys| match count {
                // What the body would carry on, and of which type, does not matter.
                0 => Ok((carry.clone(), tensors(ys.collected)?)),
                _ if !ys.goes_on.is_traced() && known_bool(&ys.goes_on)? => {
                    Ok((tensors(ys.carried)?, tensors(ys.collected)?))
                }
                _ => Err(RuleFailure::NeedsValues),
            });
            let ys = ys.and_then(|ys| Ok(budget.repeat_since(before, count).map(|()| ys)?));
            ys.unwrap_or_else(|f| (caught.errors(f, &carry), Vec::new()))
        };
        // A number above the budget may stand for no limit: then a condition ends the loop.
        let listed = if count as u64 > budget.limit() { 0 } else { count };
        let indices = Tensor::arange(listed).to(DType::I64);
        let (carry, rows) = scan(start, indices, step);
        let ys = [carry, rows].concat();
        checked(self.call, caught, &ys, before)?;
        Ok(values(ys))
    }

    /// Runs the iterations one after the other, or, if a condition needs that, a `while_loop`. More
    /// iterations than the budget has are an error of both.
    fn unrolled_or_while(&self, limit: i64) -> RuleOutcome {
        let budget = self.call.budget();
        let before = budget.used();
        let f = match self.unrolled(limit) {
            Err(f) if !budget.is_exceeded() => f,
            outcome => return outcome,
        };
        budget.give_back(before);
        self.as_while().map_err(|g| if budget.is_exceeded() { g } else { f })
    }

    /// Runs the iterations one after the other, until the condition, which must be known, is false.
    ///
    /// # Errors
    /// If the budget has no iteration left: a file must not keep a program busy for ever. If too
    /// many would be traced, values need to be known.
    fn unrolled(&self, limit: i64) -> RuleOutcome {
        let mut carried = self.carried.clone();
        let mut rows: Vec<Vec<OnnxValue>> = Vec::new();
        for i in 0..limit {
            if !self.call.may_unroll() {
                return Err(RuleFailure::NeedsValues);
            }
            let i = Tensor::scalar(DType::I64, i);
            let ys = self.iterate(i, carried)?;
            carried = ys.carried;
            if rows.len() == MAX_SEQUENCE && !ys.collected.is_empty() {
                return fail(format!(
                    "expected at most {MAX_SEQUENCE} iterations of a loop that collects values one \
                     by one, got more; carry a tensor instead"
                ));
            }
            rows.push(ys.collected);
            if ys.goes_on.is_traced() {
                return Err(RuleFailure::NeedsValues);
            }
            if !known_bool(&ys.goes_on)? {
                break;
            }
        }
        if rows.is_empty() {
            return self.without_iterations();
        }
        for k in 0..rows[0].len() {
            let column: Vec<OnnxValue> = rows.iter().map(|row| row[k].clone()).collect();
            carried.push(stacked(&column, 0)?);
        }
        Ok(carried)
    }

    /// Runs a loop that the condition ends, without collected values.
    ///
    /// # Errors
    /// If there is neither a limit nor a condition that can become false.
    fn as_while(&self) -> RuleOutcome {
        if self.collects() || self.call.budget().counts_all() {
            return Err(RuleFailure::NeedsValues);
        }
        let goes_on = self.condition.clone().unwrap_or_else(|| Tensor::scalar(DType::Bool, true));
        let start = [vec![Tensor::scalar(DType::I64, 0), goes_on], tensors(self.carried.clone())?];
        let start = start.concat();
        let is_unlimited = self.limit.is_none() && !start[1].is_traced();
        let caught = Caught::default();
        let test = |carry: &Vec<Tensor>| match &self.limit {
            Some(limit) => carry[0].lt(limit).logical_and(&carry[1]),
            None => carry[1].clone(),
        };
        let step = |carry: Vec<Tensor>| {
            let next = &carry[0] + 1;
            let ys = self.iterate(carry[0].clone(), values(carry[2..].to_vec()));
            let ys = ys.and_then(|ys| match is_unlimited && is_always_true(&ys.goes_on)? {
                true => Err(self.call.budget().endless().into()),
                false => Ok(ys),
            });
            let ys = ys.map(|ys| [vec![OnnxValue::Tensor(ys.goes_on)], ys.carried].concat());
            let ys = ys.and_then(tensors).unwrap_or_else(|f| caught.errors(f, &carry[1..]));
            [vec![next], ys].concat()
        };
        let ys = while_loop(start, test, step);
        caught.check(&ys)?;
        Ok(values(ys[2..].to_vec()))
    }
}
