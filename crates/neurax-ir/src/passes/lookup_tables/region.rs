//! The functions of quantized numbers in a graph.

use crate::composite::Composite;
use crate::op::{Binary, OutOfBounds, Unary};
use crate::passes::constant_facts::{ConstantFacts, range};
use crate::passes::elementwise::is_elementwise;
use crate::{Builder, DType, Eqn, Graph, Op, OrBug, Result, Type, Value, Values};
use std::collections::BTreeMap;

/// The cost in vector instructions from which a table replaces a function. A read of a table costs
/// 6 instructions for each element, and vectors have 4.
const MIN_TABLE_COST: usize = 32;

/// The cost up to which functions are followed; this also bounds the depth of their equations. Not
/// measured.
const MAX_FUNCTION_COST: usize = 500;

/// The most elements of all tables of a graph. Not measured.
const MAX_TABLE_ELEMENTS: usize = 1 << 24;

/// The number of quantized numbers.
const QUANTIZED_NUMBERS: usize = 256;

/// The functions of quantized numbers in a graph.
pub(super) struct Regions<'g> {
    facts: ConstantFacts<'g>,
    /// The function of quantized numbers that each value is, if any.
    functions: Vec<Option<QuantizedFunction>>,
    /// True for values that something else than a function of the same numbers reads.
    is_read: Vec<bool>,
}

/// The values on all quantized numbers, by those of the graph.
type TableValues = BTreeMap<Value, Value>;

/// The values of all tables, by the quantized numbers and the shape of the table.
pub(super) type SharedTables = BTreeMap<(Value, Vec<usize>), TableValues>;

/// A function of quantized numbers.
#[derive(Clone, Copy, PartialEq)]
struct QuantizedFunction {
    /// The quantized numbers.
    of: Value,
    /// The vector instructions that it takes, about.
    cost: usize,
    /// True if it depends on the index along the last axis.
    by_column: bool,
}

impl<'g> Regions<'g> {
    pub fn new(graph: &'g Graph, is_constant: &[bool]) -> Regions<'g> {
        let count = graph.types().len();
        let mut regions = Regions {
            facts: ConstantFacts::new(graph, is_constant),
            functions: vec![None; count],
            is_read: vec![false; count],
        };
        for e in graph.eqns() {
            if let [y] = e.outputs[..] {
                regions.functions[y.index()] = regions.function(e);
            }
        }
        for e in graph.eqns() {
            let own = e.outputs.first().and_then(|y| regions.functions[y.index()]);
            for v in &e.inputs {
                let is_inside = regions.functions[v.index()]
                    .is_some_and(|f| own.is_some_and(|own| own.of == f.of));
                regions.is_read[v.index()] |= !is_inside;
            }
        }
        graph.outputs().iter().for_each(|v| regions.is_read[v.index()] = true);
        regions
    }

    /// Returns for each equation whether a table is to replace its result.
    pub fn tables(&self) -> Vec<bool> {
        let mut left = MAX_TABLE_ELEMENTS;
        let mut is_table = |e: &Eqn| {
            let entries = self.entries(e).filter(|entries| *entries <= left);
            left -= entries.unwrap_or(0);
            entries.is_some()
        };
        self.facts.graph.eqns().iter().map(&mut is_table).collect()
    }

    /// Returns the entries of a table that is worth replacing the result of `e`.
    fn entries(&self, e: &Eqn) -> Option<usize> {
        let [y] = e.outputs[..] else { return None };
        let function = self.functions[y.index()]?;
        let ty = self.facts.ty(y);
        let entries = table_shape(ty, function.by_column).iter().product();
        let is_worth_it =
            self.is_read[y.index()] && function.cost >= MIN_TABLE_COST && entries <= ty.size();
        is_worth_it.then_some(entries).filter(|entries| *entries >= QUANTIZED_NUMBERS)
    }

    /// Emits the table of `y` and the reads of it; `of` returns the new value of one of the graph.
    /// Tables of the same numbers share equations, which `tables` has.
    ///
    /// # Errors
    /// If an equation does not fit the table, an error of this crate.
    pub fn emit(
        &self,
        b: &mut Builder,
        y: Value,
        of: &dyn Fn(Value) -> Value,
        tables: &mut SharedTables,
    ) -> Result<Value> {
        let function = self.functions[y.index()].or_bug("a table has no function")?;
        let ty = self.facts.ty(y);
        let shape = table_shape(ty, function.by_column);
        let low = self.least(function.of).or_bug("a table has no numbers")?;
        let values = tables.entry((function.of, shape.clone())).or_default();
        let mut table = TableBuilder { regions: self, shape, of, values };
        if !table.values.contains_key(&function.of) {
            let numbers = self.all_numbers(b, function.of, low, &table.shape);
            table.values.insert(function.of, numbers);
        }
        let entries = table.value(b, y)?;
        let entries = b.reshape(entries, [b.ty(entries).size()]);
        let index = b.convert(of(function.of), DType::I32);
        let mut index = if low == 0.0 { index } else { b.add_scalar(index, -low) };
        if function.by_column {
            let last = ty.rank() - 1;
            let column = b.iota(Type::new(DType::I32, ty.shape.clone()), last);
            let first = b.mul_scalar(column, QUANTIZED_NUMBERS as f64);
            index = b.add(index, first);
        }
        Ok(b.take(entries, index, 0, OutOfBounds::Clip))
    }

    /// Emits all numbers that `v` can be, from `low` on, along the last axis of an array of shape
    /// `shape`.
    fn all_numbers(&self, b: &mut Builder, v: Value, low: f64, shape: &[usize]) -> Value {
        let numbers = b.iota(Type::new(DType::I32, shape.to_vec()), shape.len() - 1);
        let numbers = if low == 0.0 { numbers } else { b.add_scalar(numbers, low) };
        b.convert(numbers, self.facts.ty(v).dtype)
    }

    /// Returns the function that `e` computes, if it is one of quantized numbers.
    fn function(&self, e: &Eqn) -> Option<QuantizedFunction> {
        let own = function_cost(&e.op)?;
        let shape = &self.facts.ty(e.outputs[0]).shape;
        let mut found: Option<QuantizedFunction> = None;
        let mut by_column = false;
        for &v in &e.inputs {
            if self.facts.is_constant(v) {
                by_column |= self.column_constant(v)?;
                continue;
            }
            let function = self.operand(v).filter(|_| self.facts.ty(v).shape == *shape)?;
            let before = found.map_or(0, |f| f.cost);
            if found.is_some_and(|f| f.of != function.of) {
                return None;
            }
            by_column |= function.by_column;
            // What both operands are computed from is counted once, about.
            found = Some(QuantizedFunction { cost: before.max(function.cost), ..function });
        }
        let found = found.map(|f| QuantizedFunction { cost: f.cost + own, by_column, ..f });
        found.filter(|f| f.cost <= MAX_FUNCTION_COST)
    }

    /// Returns `v` as a function of quantized numbers: one that was found, or the numbers.
    fn operand(&self, v: Value) -> Option<QuantizedFunction> {
        let numbers = || {
            self.facts.byte_dtype(v).map(|_| QuantizedFunction { of: v, cost: 0, by_column: false })
        };
        self.functions[v.index()].or_else(numbers)
    }

    /// Returns the least of the quantized numbers that `v` can be.
    fn least(&self, v: Value) -> Option<f64> {
        range(self.facts.byte_dtype(v)?).map(|[least, _]| least)
    }

    /// Returns whether a constant depends on the index along the last axis; `None` if it depends on
    /// others.
    fn column_constant(&self, v: Value) -> Option<bool> {
        if self.facts.scalar(v).is_some() {
            return Some(false);
        }
        self.vector(v).map(|_| true)
    }

    /// Returns the numbers along the last axis that `v` repeats.
    fn vector(&self, v: Value) -> Option<Value> {
        match self.facts.ty(v).rank().checked_sub(1)? {
            0 => Some(v),
            last => self.facts.along(v, last),
        }
    }
}

/// The equations of a table.
struct TableBuilder<'r> {
    regions: &'r Regions<'r>,
    shape: Vec<usize>,
    of: &'r dyn Fn(Value) -> Value,
    values: &'r mut TableValues,
}

impl TableBuilder<'_> {
    /// Emits `v` for all quantized numbers.
    fn value(&mut self, b: &mut Builder, v: Value) -> Result<Value> {
        if let Some(known) = self.values.get(&v) {
            return Ok(*known);
        }
        let new = if self.regions.facts.is_constant(v) {
            self.constant(b, v)?
        } else {
            let e = self.regions.facts.producer(v).or_bug("a table is not of these numbers")?;
            let inputs = e.inputs.iter().map(|x| self.value(b, *x)).collect::<Result<Values>>()?;
            b.try_emit(e.op.clone(), &inputs)?[0]
        };
        self.values.insert(v, new);
        Ok(new)
    }

    /// Emits a constant in the shape of the table.
    fn constant(&self, b: &mut Builder, v: Value) -> Result<Value> {
        if let Some(scalar) = self.regions.facts.scalar(v) {
            let scalar = b.reshape((self.of)(scalar), []);
            return Ok(b.broadcast(scalar, self.shape.clone(), &[]));
        }
        let vector = self.regions.vector(v).or_bug("a table depends on several axes")?;
        let vector = b.reshape((self.of)(vector), [self.shape[0]]);
        Ok(b.broadcast(vector, self.shape.clone(), &[0]))
    }
}

/// Returns the shape of the table of a function whose result has type `ty`.
fn table_shape(ty: &Type, by_column: bool) -> Vec<usize> {
    let columns = ty.shape.last().filter(|_| by_column);
    columns.copied().into_iter().chain([QUANTIZED_NUMBERS]).collect()
}

/// Returns the vector instructions of a function of elements, about; `None` for other ops.
fn function_cost(op: &Op) -> Option<usize> {
    Some(match op {
        Op::Unary(Unary::Erf) | Op::Composite(Composite::Gelu(_)) | Op::Binary(Binary::Pow) => 40,
        Op::Unary(Unary::Erfc) => 60,
        Op::Unary(Unary::Tanh | Unary::Logistic) | Op::Composite(Composite::Silu(_)) => 24,
        Op::Unary(Unary::Exp | Unary::Log | Unary::Log1p | Unary::Expm1) => 16,
        op if is_elementwise(op) => 1,
        _ => return None,
    })
}
