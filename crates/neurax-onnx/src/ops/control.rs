//! Branches and loops: `If`, `Loop`, `Scan`.
//!
//! A condition that is known selects one body, and the other is not looked at: exporters write
//! conditions on ranks and sizes. Other conditions become `cond` if the bodies have results of the
//! same types. A loop whose number of iterations is known becomes a `scan`, and is unrolled if its
//! carried values change their types or are no tensors. A loop that ends by a condition becomes a
//! `while_loop`, unless it also collects values: their number is then known on the host alone.

use super::axes::{as_axes, axis_of, size_of};
use super::sequences::stacked;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::graph::OnnxGraph;
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_ir::{DType, Error};
use neurax_tensor::{Tensor, cond, scan, while_loop};
use std::cell::RefCell;

pub(crate) const OPERATORS: &[Operator] = &[
    op("If", &[1, 11, 13, 16, 19, 21, 23, 24, 25], 1..=1, branch)
        .attributes(&["then_branch", "else_branch"]),
    op("Loop", &[1, 11, 13, 16, 19, 21, 23, 24, 25], 2..=usize::MAX, run_loop)
        .attributes(&["body"]),
    op("Scan", &[8, 9, 11, 16, 19, 21, 23, 24, 25], 1..=usize::MAX, run_scan).attributes(&[
        "body",
        "num_scan_inputs",
        "directions",
        "scan_input_directions",
        "scan_output_directions",
        "scan_input_axes",
        "scan_output_axes",
    ]),
];

/// The number of iterations after which a loop on the host is given up.
const MAX_HOST_ITERATIONS: i64 = 1 << 24;

/// A failure inside of a closure that is traced, whose results are then errors.
#[derive(Default)]
struct Caught(RefCell<Option<RuleFailure>>);

impl Caught {
    /// Returns the tensors of an outcome; on a failure, keeps it and returns `placeholder`.
    fn tensors(&self, outcome: RuleOutcome, placeholder: &[Tensor]) -> Vec<Tensor> {
        outcome.and_then(tensors).unwrap_or_else(|f| {
            self.0.borrow_mut().get_or_insert(f);
            placeholder.to_vec()
        })
    }

    /// Returns the failure, or the error of the first tensor that carries one.
    fn check(self, ys: &[Tensor]) -> Result<(), RuleFailure> {
        match (self.0.into_inner(), ys.iter().find_map(Tensor::error)) {
            (Some(f), _) => Err(f),
            (None, Some(e)) => Err(RuleFailure::Error(e.clone())),
            (None, None) => Ok(()),
        }
    }
}

fn tensors(values: Vec<OnnxValue>) -> Result<Vec<Tensor>, RuleFailure> {
    let tensor = |x| match x {
        OnnxValue::Tensor(x) => Ok(x),
        // A value that is no tensor cannot leave a body that is traced.
        _ => Err(RuleFailure::NeedsValues),
    };
    values.into_iter().map(tensor).collect()
}

fn values(tensors: Vec<Tensor>) -> Vec<OnnxValue> {
    tensors.into_iter().map(OnnxValue::Tensor).collect()
}

/// Returns the value of a known bool.
fn known_bool(x: &Tensor) -> Result<bool, RuleFailure> {
    Ok(x.item()? != 0.0)
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
            Err(_) => this.unrolled(count).or_else(|f| this.as_while().map_err(|_| f)),
            ys => ys,
        },
        None => this.unrolled(i64::MAX).or_else(|f| this.as_while().map_err(|_| f)),
    }
}

impl Loop<'_> {
    /// Runs the body for an iteration.
    fn iterate(&self, i: Tensor, carried: Vec<OnnxValue>) -> Result<Iteration, RuleFailure> {
        let condition = OnnxValue::Tensor(Tensor::scalar(DType::Bool, true));
        let inputs = [vec![OnnxValue::Tensor(i), condition], carried].concat();
        let mut ys = self.call.run(self.body, inputs)?;
        if ys.len() < 1 + self.carried.len() {
            return fail(format!("expected a body of {} outputs at least", 1 + self.carried.len()));
        }
        let collected = ys.split_off(1 + self.carried.len());
        let carried = ys.split_off(1);
        match ys.pop() {
            Some(OnnxValue::Tensor(goes_on)) if goes_on.size() == 1 => {
                Ok(Iteration { goes_on: goes_on.reshape(()), carried, collected })
            }
            _ => fail("expected a condition of one bool as the first output of the body"),
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
            RuleFailure::NeedsValues => fail("a loop without iterations collects no tensors"),
            other => Err(other),
        })
    }

    /// Runs a loop of `count` iterations that the condition does not end.
    fn as_scan(&self, count: usize) -> RuleOutcome {
        let start = tensors(self.carried.clone())?;
        let caught = Caught::default();
        let step = |carry: Vec<Tensor>, i: Tensor| {
            let ys = self.iterate(i, values(carry.clone())).and_then(|ys| match count {
                // What the body would carry on, and of which type, does not matter.
                0 => Ok((carry.clone(), tensors(ys.collected)?)),
                _ if !ys.goes_on.is_traced() && known_bool(&ys.goes_on)? => {
                    Ok((tensors(ys.carried)?, tensors(ys.collected)?))
                }
                _ => Err(RuleFailure::NeedsValues),
            });
            ys.unwrap_or_else(|f| {
                caught.0.borrow_mut().get_or_insert(f);
                (carry, Vec::new())
            })
        };
        let indices = Tensor::arange(count).to(DType::I64);
        let (carry, rows) = scan(start, indices, step);
        let ys = [carry, rows].concat();
        caught.check(&ys)?;
        Ok(values(ys))
    }

    /// Runs the iterations one after the other, until the condition, which must be known, is false.
    ///
    /// # Errors
    /// After [`MAX_HOST_ITERATIONS`]: a file must not keep a program busy for ever.
    fn unrolled(&self, limit: i64) -> RuleOutcome {
        let mut carried = self.carried.clone();
        let mut rows: Vec<Vec<OnnxValue>> = Vec::new();
        for i in 0..limit {
            if i == MAX_HOST_ITERATIONS {
                return fail(format!(
                    "the loop ran {MAX_HOST_ITERATIONS} iterations and did not end"
                ));
            }
            let i = Tensor::scalar(DType::I64, i);
            let ys = self.iterate(i, carried)?;
            carried = ys.carried;
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
    fn as_while(&self) -> RuleOutcome {
        if self.collects() {
            return Err(RuleFailure::NeedsValues);
        }
        let goes_on = self.condition.clone().unwrap_or_else(|| Tensor::scalar(DType::Bool, true));
        let start = [vec![Tensor::scalar(DType::I64, 0), goes_on], tensors(self.carried.clone())?];
        let start = start.concat();
        let caught = Caught::default();
        let test = |carry: &Vec<Tensor>| match &self.limit {
            Some(limit) => carry[0].lt(limit).logical_and(&carry[1]),
            None => carry[1].clone(),
        };
        let step = |carry: Vec<Tensor>| {
            let next = &carry[0] + 1;
            let ys = self.iterate(carry[0].clone(), values(carry[2..].to_vec()));
            let ys = ys.map(|ys| [vec![OnnxValue::Tensor(ys.goes_on)], ys.carried].concat());
            [vec![next], caught.tensors(ys, &carry[1..])].concat()
        };
        let ys = while_loop(start, test, step);
        caught.check(&ys)?;
        Ok(values(ys[2..].to_vec()))
    }
}

fn run_scan(c: &NodeCall) -> RuleOutcome {
    let count = size_of(c.required("num_scan_inputs", c.int("num_scan_inputs")?)?)?;
    if c.version() >= 9 {
        let xs = c.xs()?;
        let inputs = xs.len().checked_sub(count);
        let Some(states) = inputs else { return fail("expected more inputs than scan inputs") };
        let (start, xs) = xs.split_at(states);
        let directions = c.ints("scan_input_directions")?.unwrap_or(&[]);
        return scan_once(c, start.to_vec(), xs.to_vec(), directions);
    }
    scan_batch(c, count)
}

/// Runs a `Scan` over one sequence.
fn scan_once(c: &NodeCall, start: Vec<Tensor>, xs: Vec<Tensor>, directions: &[i64]) -> RuleOutcome {
    let body = c.graph("body")?;
    let states = start.len();
    let input_axes = c.ints("scan_input_axes")?.unwrap_or(&[]);
    let xs: Vec<Tensor> = xs
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let axis = axis_of(input_axes.get(i).copied().unwrap_or(0), x.rank())?;
            Ok(directed(x.move_axis(axis, 0), directions.get(i), 0))
        })
        .collect::<Result<_, RuleFailure>>()?;
    let length = xs.first().map_or(0, |x| x.dim(0));
    if xs.iter().any(|x| x.dim(0) != length) {
        return fail("expected scan inputs of the same length");
    }
    let caught = Caught::default();
    let step = |carry: Vec<Tensor>, x: Vec<Tensor>| {
        let inputs = values([carry.clone(), x].concat());
        let mut ys = caught.tensors(c.run(body, inputs), &carry);
        let rows = ys.split_off(states.min(ys.len()));
        (ys, rows)
    };
    let (states, rows) = scan(start.clone(), xs.clone(), step);
    let ys = [&states[..], &rows].concat();
    if let Err(f) = caught.check(&ys) {
        let is_invalid = matches!(f, RuleFailure::Error(_));
        return unrolled_scan(c, body, start, &xs).map_err(|g| if is_invalid { f } else { g });
    }
    arranged(c, states, rows)
}

/// Moves the rows of a scan to the axes and into the directions that the attributes ask for.
fn arranged(c: &NodeCall, states: Vec<Tensor>, rows: Vec<Tensor>) -> RuleOutcome {
    let axes = c.ints("scan_output_axes")?.unwrap_or(&[]);
    let directions = c.ints("scan_output_directions")?.unwrap_or(&[]);
    let mut all = values(states);
    for (i, y) in rows.iter().enumerate() {
        let axis = axis_of(axes.get(i).copied().unwrap_or(0), y.rank())?;
        all.push(OnnxValue::Tensor(directed(y.clone(), directions.get(i), 0).move_axis(0, axis)));
    }
    Ok(all)
}

/// Runs a scan whose states change their types, or whose body needs to know values.
fn unrolled_scan(c: &NodeCall, body: &OnnxGraph, start: Vec<Tensor>, xs: &[Tensor]) -> RuleOutcome {
    let (count, mut states) = (start.len(), values(start));
    let mut rows: Vec<Vec<OnnxValue>> = Vec::new();
    for t in 0..xs.first().map_or(0, |x| x.dim(0)) {
        let x = values(xs.iter().map(|x| x.get(t)).collect());
        states = c.run(body, [states, x].concat())?;
        rows.push(states.split_off(count.min(states.len())));
    }
    let Some(first) = rows.first() else {
        return fail("expected a scan over one row at least, as the body needs to know its values");
    };
    let column = |k: usize| {
        let column: Vec<OnnxValue> = rows.iter().map(|row| row[k].clone()).collect();
        tensors(vec![stacked(&column, 0)?])
    };
    let rows: Vec<Tensor> =
        (0..first.len()).map(column).collect::<Result<Vec<_>, RuleFailure>>()?.concat();
    arranged(c, tensors(states)?, rows)
}

/// Runs a `Scan` of version 8: a batch of sequences, each with its length.
fn scan_batch(c: &NodeCall, count: usize) -> RuleOutcome {
    let lengths = c.known_ints(0)?;
    let inputs: Vec<Tensor> = (1..c.count()).map(|i| c.x(i)).collect::<Result<_, _>>()?;
    let Some(states) = inputs.len().checked_sub(count) else {
        return fail("expected more inputs than scan inputs");
    };
    let Some(first) = inputs.first() else { return fail("expected at least one input") };
    let directions = c.ints("directions")?.unwrap_or(&[]);
    let mut members: Vec<Vec<OnnxValue>> = Vec::new();
    for b in 0..first.dim(0) {
        let of = |x: &Tensor| x.get(b);
        let mut xs: Vec<Tensor> = inputs[states..].iter().map(of).collect();
        let padded = xs.first().map_or(0, |x| x.dim(0));
        let length = lengths.as_ref().and_then(|l| l.get(b).copied()).unwrap_or(padded as i64);
        xs.iter_mut().for_each(|x| *x = x.slice(0, ..length));
        let mut ys = scan_once(c, inputs[..states].iter().map(of).collect(), xs, directions)?;
        for y in ys.iter_mut().skip(states) {
            if let OnnxValue::Tensor(y) = y {
                let mut widths = vec![(0, 0, 0); y.rank()];
                widths[0].1 = padded as i64 - length;
                *y = y.pad_dilated(widths, Tensor::zeros_of(y.dtype(), ()));
            }
        }
        members.push(ys);
    }
    let Some(first) = members.first() else {
        return Err(RuleFailure::Error(Error::new(
            "onnx",
            "expected a batch of at least one sequence",
        )));
    };
    let column = |k: usize| {
        let column: Vec<OnnxValue> = members.iter().map(|ys| ys[k].clone()).collect();
        stacked(&column, 0)
    };
    (0..first.len()).map(column).collect()
}

/// Reverses a tensor along an axis if its direction is 1.
fn directed(x: Tensor, direction: Option<&i64>, axis: usize) -> Tensor {
    if direction == Some(&1) { x.flip(as_axes(&[axis])) } else { x }
}
