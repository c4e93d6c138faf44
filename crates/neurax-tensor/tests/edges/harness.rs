//! Runs each row of a family eagerly, under jit and, if it is a value, under vmap.

use crate::{
    functions::{self, EdgeFunction, Value},
    report::difference,
};
use neurax::{Literal, prelude::*};
use neurax_testkit::edges::{self, EdgeOperand, EdgeRow};

/// Checks all rows of a family and reports every difference.
pub fn check(family: &str) {
    let rows = edges::read(family).unwrap();
    let report: Vec<String> = rows.iter().flat_map(differences).collect();
    assert!(
        report.is_empty(),
        "{} differences in {} rows; by line of {family}.txt:\n{}",
        report.len(),
        rows.len(),
        report.join("\n")
    );
}

/// Returns one line for each way of running `row` whose results differ from the recorded ones.
fn differences(row: &EdgeRow) -> Vec<String> {
    let Some(f) = functions::find(&row.function) else {
        return vec![format!("{}: {}: no such function", row.line, row.function)];
    };
    let case = Case::new(row, f);
    let mut report = vec![];
    for (way, have) in case.ways() {
        if let Err(e) = difference(row, have) {
            report.push(format!("{}: {} {} {way}: {e}", row.line, row.function, row.mode));
        }
    }
    report
}

type Outcome = Result<Vec<Literal>>;

/// One row, with its tensors.
struct Case {
    f: EdgeFunction,
    mode: String,
    values: Vec<Value>,
    tensors: Vec<Tensor>,
}

impl Case {
    fn new(row: &EdgeRow, f: EdgeFunction) -> Case {
        let values: Vec<Value> = row.operands.iter().map(value).collect();
        let tensors = values.iter().filter_map(Value::as_tensor).collect();
        Case { f, mode: row.mode.clone(), values, tensors }
    }

    /// Returns the results of each way of running the row, by the way's name.
    fn ways(&self) -> Vec<(&'static str, Outcome)> {
        let at = || self.tensors.clone();
        let each = |xs: Vec<Tensor>| -> Outcome { xs.iter().map(Tensor::to_literal).collect() };
        let mut out = vec![];
        let mut add = |names: [&'static str; 2],
                       g: &(dyn Fn(Vec<Tensor>) -> Vec<Tensor> + Sync)| {
            out.push((names[0], each(g(at()))));
            out.push((names[1], jit(|xs: Vec<Tensor>| g(xs)).run(at()).and_then(each)));
        };
        match &*self.mode {
            "value" => {
                add(["eager", "jit"], &|xs| self.call(xs));
                if !self.tensors.is_empty() {
                    out.push(("vmap", self.second_of_batch()));
                }
            }
            "grad" => add(["grad", "jit grad"], &|xs| grad(|xs| self.weighted(xs))(xs)),
            "jvp" => {
                add(["jvp", "jit jvp"], &|xs| self.along(|xs| self.call(xs), xs));
            }
            "hvp" => {
                add(["jvp grad", "jit jvp grad"], &|xs| {
                    self.along(grad(|xs| self.weighted(xs)), xs)
                });
                add(["grad grad", "jit grad grad"], &|xs| grad(|xs| self.slope(xs))(xs));
            }
            "jvp2" => {
                let first = |xs| self.along(|xs| self.call(xs), xs);
                add(["jvp jvp", "jit jvp jvp"], &|xs| self.along(first, xs));
            }
            other => out.push(("read", Err(Error::new(other, "no such mode")))),
        }
        out
    }

    /// Returns the results of the second member of a batch of two; the first has the same elements
    /// in reversed order.
    fn second_of_batch(&self) -> Outcome {
        let batch = |x: &Tensor| stack([x.flip(..), x.clone()], 0);
        let batches: Vec<Tensor> = self.tensors.iter().map(batch).collect();
        let ys = vmap(|xs: Vec<Tensor>| self.call(xs)).run(batches)?;
        ys.iter().map(|y| y.get(1).to_literal()).collect()
    }

    /// Calls the function with `tensors` in place of the operands that are tensors.
    fn call(&self, tensors: Vec<Tensor>) -> Vec<Tensor> {
        let mut tensors = tensors.into_iter();
        let values: Vec<Value> = self.values.iter().map(|v| v.with(&mut tensors)).collect();
        (self.f)(&values)
    }

    /// Returns the sum of the first result times the weights 1, 1.25, 1.5, ..
    fn weighted(&self, xs: Vec<Tensor>) -> Tensor {
        let y = self.call(xs).swap_remove(0);
        let weights = Tensor::arange(y.size()).to(y.dtype()) / 4.0 + 1.0;
        (weights.reshape(y.shape()) * y).sum(..)
    }

    /// Returns the derivative of `weighted` along the tangents.
    fn slope(&self, xs: Vec<Tensor>) -> Tensor {
        let gradients = grad(|xs| self.weighted(xs))(xs);
        let along = |(i, g): (usize, &Tensor)| (g * tangent(g, i)).sum(..);
        gradients.iter().enumerate().map(along).sum::<Tensor>()
    }

    /// Returns the derivative of `g` along the tangents.
    fn along(
        &self,
        g: impl Function<Vec<Tensor>, Out = Vec<Tensor>>,
        xs: Vec<Tensor>,
    ) -> Vec<Tensor> {
        let tangents = xs.iter().enumerate().map(|(i, x)| tangent(x, i)).collect();
        jvp(g, xs, tangents).1
    }
}

/// Returns the tangent of operand `i`: 1, -1.125, 1.25, .. from the i-th number on.
fn tangent(x: &Tensor, i: usize) -> Tensor {
    let number = |k: usize| (1.0 + k as f64 / 8.0) * if k.is_multiple_of(2) { 1.0 } else { -1.0 };
    let numbers: Vec<f64> = (i..i + x.size()).map(number).collect();
    Tensor::from_vec(numbers, x.shape()).to(x.dtype())
}

fn value(x: &EdgeOperand) -> Value {
    match x {
        EdgeOperand::Tensor(x) => Value::Tensor(Tensor::from(x.clone())),
        EdgeOperand::Bool(x) => Value::Bool(*x),
        EdgeOperand::Int(x) => Value::Int(*x),
        EdgeOperand::Float(x) => Value::Float(*x),
        EdgeOperand::Complex(x) => Value::Complex(*x),
    }
}
