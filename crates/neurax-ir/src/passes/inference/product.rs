//! Products, sums and polynomials as exporters write them: in any order, with constants anywhere.

use super::search::PatternSearch;
use crate::op::{Binary, Unary};
use crate::{Eqn, Op, Value};

/// The most factors of a product.
const MAX_FACTORS: usize = 4;
/// The most equations below each other in a sum or a polynomial.
const MAX_DEPTH: usize = 8;

/// A product of values and a number.
pub(super) struct FactorList {
    /// The number.
    pub coefficient: f64,
    /// The values; true for those that the product is divided by.
    pub factors: Vec<(Value, bool)>,
}

/// A sum `offset + slope * x`.
pub(super) struct LinearForm {
    pub offset: f64,
    pub slope: f64,
    pub x: Value,
}

/// A polynomial up to the third power, by its coefficients.
pub(super) type CubicForm = [f64; 4];

impl PatternSearch<'_> {
    /// Returns the factors of `e`, a multiplication or a division. Factors that are products are
    /// resolved if nothing else reads them.
    pub fn factors(&mut self, e: &Eqn) -> Option<FactorList> {
        let mut list = FactorList { coefficient: 1.0, factors: vec![] };
        self.add_factors_of(e, false, &mut list)?;
        Some(list)
    }

    fn add_factors_of(&mut self, e: &Eqn, divides: bool, list: &mut FactorList) -> Option<()> {
        match e.op {
            Op::Binary(Binary::Mul) => {
                self.add_factor(e.inputs[0], divides, list)?;
                self.add_factor(e.inputs[1], divides, list)
            }
            Op::Binary(Binary::Div) => {
                self.add_factor(e.inputs[0], divides, list)?;
                self.add_factor(e.inputs[1], !divides, list)
            }
            _ => None,
        }
    }

    fn add_factor(&mut self, v: Value, divides: bool, list: &mut FactorList) -> Option<()> {
        if let Some(x) = self.number(v) {
            list.coefficient *= if divides { 1.0 / x } else { x };
            return Some(());
        }
        let inner = self.producer(v).filter(|_| self.has_one_reader(v));
        if let Some(e @ Eqn { op: Op::Binary(Binary::Mul | Binary::Div), .. }) = inner {
            self.enter(v)?;
            return self.add_factors_of(e, divides, list);
        }
        list.factors.push((v, divides));
        (list.factors.len() <= MAX_FACTORS).then_some(())
    }

    /// Returns `v` as a multiple of a value, and enters the products with numbers.
    pub fn multiple(&mut self, v: Value) -> (f64, Value) {
        let form = self.linear_of_products(v, 0);
        (form.slope, form.x)
    }

    fn linear_of_products(&mut self, v: Value, depth: usize) -> LinearForm {
        let own = LinearForm { offset: 0.0, slope: 1.0, x: v };
        if depth == MAX_DEPTH {
            return own;
        }
        let found = self.attempt(|s| {
            let e = s.enter(v)?;
            let scaled = |s: &mut Self, x: Value, factor: f64| {
                let inner = s.linear_of_products(x, depth + 1);
                Some(LinearForm { slope: inner.slope * factor, ..inner })
            };
            let [x, y] = [e.inputs.first().copied()?, e.inputs.last().copied()?];
            match (&e.op, s.number(x), s.number(y)) {
                (Op::Binary(Binary::Mul), Some(c), None) => scaled(s, y, c),
                (Op::Binary(Binary::Mul), None, Some(c)) => scaled(s, x, c),
                (Op::Binary(Binary::Div), None, Some(c)) => scaled(s, x, 1.0 / c),
                (Op::Unary(Unary::Neg), None, _) => scaled(s, x, -1.0),
                _ => None,
            }
        });
        found.unwrap_or(own)
    }

    /// Returns `v` as a linear form of a value, and enters the sums and products with numbers.
    pub fn linear(&mut self, v: Value) -> LinearForm {
        self.linear_at(v, 0)
    }

    fn linear_at(&mut self, v: Value, depth: usize) -> LinearForm {
        let own = LinearForm { offset: 0.0, slope: 1.0, x: v };
        if depth == MAX_DEPTH {
            return own;
        }
        let found = self.attempt(|s| {
            let e = s.enter(v)?;
            let [x, y] = [e.inputs.first().copied()?, e.inputs.last().copied()?];
            let of = |s: &mut Self, x: Value, slope: f64, offset: f64| {
                let inner = s.linear_at(x, depth + 1);
                let offset = offset + slope * inner.offset;
                Some(LinearForm { offset, slope: slope * inner.slope, x: inner.x })
            };
            match (&e.op, s.number(x), s.number(y)) {
                (Op::Binary(Binary::Add), Some(c), None) => of(s, y, 1.0, c),
                (Op::Binary(Binary::Add), None, Some(c)) => of(s, x, 1.0, c),
                (Op::Binary(Binary::Sub), Some(c), None) => of(s, y, -1.0, c),
                (Op::Binary(Binary::Sub), None, Some(c)) => of(s, x, 1.0, -c),
                (Op::Binary(Binary::Mul), Some(c), None) => of(s, y, c, 0.0),
                (Op::Binary(Binary::Mul), None, Some(c)) => of(s, x, c, 0.0),
                (Op::Binary(Binary::Div), None, Some(c)) => of(s, x, 1.0 / c, 0.0),
                (Op::Unary(Unary::Neg), None, _) => of(s, x, -1.0, 0.0),
                _ => None,
            }
        });
        found.unwrap_or(own)
    }

    /// Returns `v` as a polynomial of `x` up to the third power, if it is one.
    pub fn cubic(&mut self, v: Value, x: Value) -> Option<CubicForm> {
        self.cubic_at(v, x, 0)
    }

    fn cubic_at(&mut self, v: Value, x: Value, depth: usize) -> Option<CubicForm> {
        if v == x {
            return Some([0.0, 1.0, 0.0, 0.0]);
        }
        if let Some(c) = self.number(v) {
            return Some([c, 0.0, 0.0, 0.0]);
        }
        if depth == MAX_DEPTH {
            return None;
        }
        let e = self.enter(v)?;
        let p = self.cubic_at(*e.inputs.first()?, x, depth + 1)?;
        let q = self.cubic_at(*e.inputs.last()?, x, depth + 1)?;
        match e.op {
            Op::Binary(Binary::Add) => Some(std::array::from_fn(|i| p[i] + q[i])),
            Op::Binary(Binary::Sub) => Some(std::array::from_fn(|i| p[i] - q[i])),
            Op::Binary(Binary::Mul) => product(p, q),
            Op::Binary(Binary::Div) => product(p, [1.0 / constant(q)?, 0.0, 0.0, 0.0]),
            Op::Binary(Binary::Pow) if constant(q) == Some(2.0) => product(p, p),
            Op::Binary(Binary::Pow) if constant(q) == Some(3.0) => product(product(p, p)?, p),
            Op::Unary(Unary::Neg) => Some(p.map(|c| -c)),
            _ => None,
        }
    }
}

/// Returns the number that a polynomial is.
fn constant(p: CubicForm) -> Option<f64> {
    p[1..].iter().all(|c| *c == 0.0).then_some(p[0])
}

/// Returns the product of two polynomials, unless it has a higher power than the third.
fn product(p: CubicForm, q: CubicForm) -> Option<CubicForm> {
    let mut out = [0.0; 4];
    for (i, a) in p.iter().enumerate() {
        for (j, b) in q.iter().enumerate() {
            let c = a * b;
            match out.get_mut(i + j) {
                Some(sum) => *sum += c,
                None if c == 0.0 => {}
                None => return None,
            }
        }
    }
    Some(out)
}
