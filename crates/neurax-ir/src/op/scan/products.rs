//! Sums of products over the iterations of a transposed loop.
//!
//! The cotangent of a matrix that each iteration multiplies by is a sum of products, one from each
//! iteration: the gradient of the recurrent kernel of a network. If the loop reads or returns both
//! operands as rows of stacks, which exist anyway, the sum is one product of the stacks that
//! contracts the iterations as well. It runs once, behind the loop:
//!
//! ```text
//! scan { s = s + transpose(dot_general(y, x)); y }       scan { y }
//!                                                  ->    dot_general(ys, xs), contracting axis 0
//! x: a row of xs; y: a row of the result ys              too; transpose
//! ```
//!
//! Invariants: the sum begins at zero, and nothing but the addition reads it. Products of narrow
//! floats are added in f32, as the loop would add them.

use crate::op::{Binary, DotGeneral};
use crate::{Builder, Eqn, Graph, Op, Value};

/// The parts of the signature of the body of a transposed loop.
pub(super) struct BodyLayout {
    /// The first input and the first output that is a sum.
    pub sums: [usize; 2],
    /// The number of sums.
    pub count: usize,
}

/// A row of a stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum StackRow {
    /// The row of stacked operand `i`.
    Operand(usize),
    /// The row of stacked result `i`.
    Result(usize),
}

/// A product of two stacks, contracted over the iterations.
pub(super) struct StackedProduct {
    op: DotGeneral,
    /// The stacks of the left and the right operand.
    pub sides: [StackRow; 2],
    /// The permutations of the axes of the product, the first one first.
    permutations: Vec<Vec<usize>>,
}

impl StackedProduct {
    /// Emits the product of the stacks `xs`.
    pub fn emit(&self, b: &mut Builder, xs: [Value; 2]) -> Value {
        let behind = |axes: &[usize]| axes.iter().map(|a| a + 1).collect::<Vec<_>>();
        let with_iterations = |axes: &[usize]| [vec![0], behind(axes)].concat();
        let op = DotGeneral {
            lhs_batch: behind(&self.op.lhs_batch),
            rhs_batch: behind(&self.op.rhs_batch),
            lhs_contract: with_iterations(&self.op.lhs_contract),
            rhs_contract: with_iterations(&self.op.rhs_contract),
            dtype: self.op.dtype.at_least_f32(),
        };
        let product = b.emit(op, &xs);
        self.permutations.iter().fold(product, |y, p| b.transpose(y, p))
    }
}

/// Takes the sums of `body` that are products of stacks out of it. Returns the body without them,
/// and the product of each sum that was taken.
pub(super) fn take_products(
    body: Graph,
    layout: &BodyLayout,
) -> (Graph, Vec<Option<StackedProduct>>) {
    let find = SumFinder::new(&body, layout);
    let products: Vec<_> = (0..layout.count).map(|j| find.product(j)).collect();
    let keeps = |first: usize, all: usize| {
        let taken = |i: usize| products.get(i.wrapping_sub(first)).is_some_and(Option::is_some);
        (0..all).map(|i| !taken(i)).collect::<Vec<_>>()
    };
    let outputs = keeps(layout.sums[1], body.outputs().len());
    let inputs = keeps(layout.sums[0], body.input_types().len());
    let body = if products.iter().any(Option::is_some) {
        body.restricted(&outputs, &inputs)
    } else {
        body
    };
    (body, products)
}

/// The search for sums of products in a body.
struct SumFinder<'g> {
    body: &'g Graph,
    layout: &'g BodyLayout,
    producers: Vec<Option<usize>>,
    /// The number of readers of each value, outputs included.
    uses: Vec<usize>,
}

impl<'g> SumFinder<'g> {
    fn new(body: &'g Graph, layout: &'g BodyLayout) -> SumFinder<'g> {
        SumFinder { body, layout, producers: body.producers(), uses: body.use_counts() }
    }

    /// Returns the equation that computes `v`, if it is no input.
    fn producer(&self, v: Value) -> Option<&'g Eqn> {
        self.producers[v.index()].map(|i| &self.body.eqns()[i])
    }

    /// Returns sum `j` as a product of stacks, if it is one.
    fn product(&self, j: usize) -> Option<StackedProduct> {
        let sum = self.body.inputs().nth(self.layout.sums[0] + j)?;
        let next = self.producer(self.body.outputs()[self.layout.sums[1] + j])?;
        let (Op::Binary(Binary::Add), [first, term]) = (&next.op, &next.inputs[..]) else {
            return None;
        };
        if *first != sum || self.uses[sum.index()] != 1 {
            return None;
        }
        let (mut v, mut permutations) = (*term, vec![]);
        loop {
            let e = self.producer(v)?;
            match &e.op {
                Op::Transpose(t) => permutations.insert(0, t.permutation.clone()),
                Op::Convert(_) => {}
                Op::DotGeneral(op) => {
                    let sides = [self.row(e.inputs[0])?, self.row(e.inputs[1])?];
                    return Some(StackedProduct { op: op.clone(), sides, permutations });
                }
                _ => return None,
            }
            v = e.inputs[0];
        }
    }

    /// Returns the stack whose row `v` is.
    fn row(&self, v: Value) -> Option<StackRow> {
        let first = self.layout.sums.map(|s| s + self.layout.count);
        let operand = v.index().checked_sub(first[0]);
        let inputs = self.body.input_types().len();
        match operand.filter(|_| v.index() < inputs) {
            Some(i) => Some(StackRow::Operand(i)),
            None => {
                let rows = self.body.outputs().get(first[1]..)?;
                rows.iter().position(|y| *y == v).map(StackRow::Result)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn products_of(sum: &str, rows: &str) -> Vec<Option<[StackRow; 2]>> {
        let text = format!(
            "graph(%0: f32[2, 3], %1: f32[4, 3], %2: f32[4, 2]) {{
               %3: f32[4, 3] = sine(%1)
               %4: f32[2, 3] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[0],
                 rhs_contract=[0], dtype=f32](%2, %3)
               %5: f32[2, 3] = {sum}
               return %5{rows}
             }}"
        );
        let body = Graph::parse(&text).unwrap();
        let (rest, products) = take_products(body, &BodyLayout { sums: [0, 0], count: 1 });
        let taken = products.iter().flatten().count();
        assert_eq!(rest.input_types().len(), 3 - taken);
        products.iter().map(|p| p.as_ref().map(|p| p.sides)).collect()
    }

    #[test]
    fn only_sums_of_products_of_rows_leave_the_loop() {
        let sides = [StackRow::Operand(1), StackRow::Result(0)];
        assert_eq!(products_of("add(%0, %4)", ", %3"), [Some(sides)]);
        // The right operand is no row of a stack.
        assert_eq!(products_of("add(%0, %4)", ""), [None]);
        // The sum is read, or is no sum.
        assert_eq!(products_of("add(%0, %4)", ", %3, %0"), [None]);
        assert_eq!(products_of("subtract(%0, %4)", ", %3"), [None]);
    }
}
