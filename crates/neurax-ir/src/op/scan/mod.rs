//! `scan`: a loop over the leading axis of its operands, with carried values.

mod derivative;
mod products;
mod residuals;
#[cfg(test)]
mod tests;

use super::{
    Axis, Batched, Bound, Liveness, Needs, Primitive, Region, Sample, Tangent, Transposed,
    TripCount, accepts, count_marked, either, front_where, loop_invariants, rules::*,
};
use crate::{
    Builder, DType, Eval, Graph, Literal, Op, Result, Shape, Type, Value, Values,
    graph::attr::attrs, transform,
};
use std::sync::Arc;

attrs! {
    /// A loop over the leading axis of `xs`: operands `(constants.., carries.., xs..)`. For each
    /// index `i` it computes `(carries, ys[i]) = body(constants.., carries.., xs[i]..)`. The
    /// results are the last carries and the stacked `ys`.
    pub struct Scan = "scan" {
        /// The body: `(constants.., carries.., x..) -> (carries.., y..)`.
        body: Arc<Graph>,
        /// The number of iterations.
        length: usize,
        /// True if the loop runs from the last index to the first.
        reverse: bool,
        /// The number of constants.
        consts: usize,
        /// The number of carries.
        carries: usize,
    }
}

impl Scan {
    /// Splits a list with one item per operand into those of `(constants, carries, xs)`.
    fn split<'a, T>(&self, xs: &'a [T]) -> (&'a [T], &'a [T], &'a [T]) {
        let (c, rest) = xs.split_at(self.consts);
        let (carries, xs) = rest.split_at(self.carries);
        (c, carries, xs)
    }

    fn with(&self, body: Graph, consts: usize, carries: usize) -> Scan {
        Scan { body: Arc::new(body), consts, carries, ..self.clone() }
    }

    /// Returns the types of one element of each stacked operand.
    fn element_types(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let mut out = vec![];
        for t in xs {
            if t.shape.first() != Some(&self.length) {
                return refuse(
                    Self::NAME,
                    format!(
                        "expected size {} along axis 0, one for each iteration, got {t}",
                        self.length
                    ),
                );
            }
            out.push(t.with_shape(t.shape.removed(0)));
        }
        Ok(out)
    }
}

impl Primitive for Scan {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        if self.consts.checked_add(self.carries).is_none_or(|n| xs.len() < n) {
            return refuse(
                Self::NAME,
                format!(
                    "expected {} constants and {} carries, got ({})",
                    self.consts,
                    self.carries,
                    list_types(xs)
                ),
            );
        }
        let (consts, carries, stacked) = self.split(xs);
        let elements = self.element_types(stacked)?;
        accepts(Self::NAME, "the body", &self.body, &[consts, carries, &elements].concat())?;
        let outs = self.body.output_types();
        if outs.len() < self.carries || outs[..self.carries] != *carries {
            let first = outs.len().min(self.carries);
            return refuse(
                Self::NAME,
                format!(
                    "expected the body to return the types of the carries ({}), got ({})",
                    list_types(carries),
                    list_types(&outs[..first])
                ),
            );
        }
        let (next, ys) = outs.split_at(self.carries);
        let stack = |t: &Type| t.with_shape(t.shape.inserted(0, self.length));
        Ok(next.iter().cloned().chain(ys.iter().map(stack)).collect())
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let stacked = xs.split_off(self.consts + self.carries);
        let mut carries = xs.split_off(self.consts);
        let ys = self.body.output_types().split_off(self.carries);
        let mut ys: Vec<Literal> = ys
            .iter()
            .map(|t| Literal::zeros(t.with_shape(t.shape.inserted(0, self.length))))
            .collect();
        for k in 0..self.length {
            let i = if self.reverse { self.length - 1 - k } else { k };
            // The carries are moved, so that the body can write to their memory.
            let args =
                xs.iter().cloned().chain(carries).chain(stacked.iter().map(|x| x.row(i))).collect();
            let mut outs = cx.run(&self.body, args)?;
            for (y, row) in ys.iter_mut().zip(outs.split_off(self.carries)) {
                y.set_row(i, &row);
            }
            carries = outs;
        }
        Ok(carries.into_iter().chain(ys).collect())
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(self.jvp_region(b, at.xs, dxs, false)?.1)
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        self.transposed(b, at, linear, cts)
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let flags: Vec<bool> = dims.iter().map(Option::is_some).collect();
        let (consts, init, stacked) = self.split(&flags);
        let ys = self.body.outputs().len() - self.carries;
        let memo = b.memo();
        let batch = |c: &[bool], force: &[bool]| {
            memo.batch(&self.body, axis, &[consts, c, stacked].concat(), force)
        };
        let none = vec![false; self.carries + ys];
        let carry = transform::fixed_point(init.to_vec(), |c| {
            Ok(batch(c, &none)?.1[..self.carries].to_vec())
        })?;
        let batched = batch(&carry, &[&carry[..], &none[self.carries..]].concat())?;
        let (body, outs) = &*batched;
        let mut args = front_where(b, xs, dims, &[consts, &carry, stacked].concat(), axis.size);
        for (x, _) in
            args.iter_mut().zip(dims).skip(self.consts + self.carries).filter(|(_, d)| d.is_some())
        {
            // The loop's axis stays at the front; the new one follows, so that it is at the front
            // of each element.
            *x = b.move_axis(*x, 0, 1);
        }
        let results =
            b.emit_n(self.with(body.clone(), self.consts, self.carries), &args, outs.len());
        let position = |(i, &y): (usize, &bool)| y.then_some((i >= self.carries) as usize);
        Ok((results, outs.iter().enumerate().map(position).collect()))
    }

    fn samples() -> Vec<Sample> {
        let mut rows = vec![];
        for (length, reverse) in [(3, false), (3, true), (0, false)] {
            rows.extend(DType::ALL.into_iter().filter_map(|d| recurrence(d, length, reverse)));
            rows.extend(nibbles(length, reverse));
        }
        rows
    }
}

/// Returns a sample row of the recurrence `h = tanh(w h + x)`, or `h = w h + x` for integers, which
/// returns each `h * h`: it has constants, carries, xs and ys.
fn recurrence(d: DType, length: usize, reverse: bool) -> Option<Sample> {
    let ty = Type::new(d, [2]);
    let mut b = Builder::new();
    let (w, h, x) = (b.input(ty.clone()), b.input(ty.clone()), b.input(ty.clone()));
    let wh = b.mul(w, h);
    let sum = b.add(wh, x);
    let next = if d.is_differentiable() { b.tanh(sum) } else { sum };
    let y = b.square(next);
    let op =
        Scan { body: Arc::new(b.finish(&[next, y]).ok()?), length, reverse, consts: 1, carries: 1 };
    let stacked = Type::new(d, [length, 2]);
    let inputs =
        vec![sample(ty.clone(), 0.5, 1.5), sample(ty, -1.0, 1.0), sample(stacked, -1.0, 1.0)];
    Some(Sample { op: op.into(), inputs, smooth: d == DType::F64 })
}

/// Returns a sample row over rows of three 4-bit integers, which do not fill whole bytes.
fn nibbles(length: usize, reverse: bool) -> Option<Sample> {
    let ty = Type::new(DType::U4, [3]);
    let mut b = Builder::new();
    let (sum, x) = (b.input(ty.clone()), b.input(ty.clone()));
    let next = b.add(sum, x);
    let op = Scan {
        body: Arc::new(b.finish(&[next, next]).ok()?),
        length,
        reverse,
        consts: 0,
        carries: 1,
    };
    let inputs = vec![
        sample(ty, 0.0, 9.0),
        sample(Type { dtype: DType::U4, shape: Shape::from([length, 3]) }, 0.0, 9.0),
    ];
    Some(Sample { op: op.into(), inputs, smooth: false })
}

impl Region for Scan {
    fn graphs(&self) -> Vec<Arc<Graph>> {
        vec![self.body.clone()]
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        Ok(self.with(f(&self.body)?, self.consts, self.carries).into())
    }

    fn jvp_region(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)> {
        if for_reverse { self.jvp_for_reverse(b, xs, dxs) } else { self.jvp_forward(b, xs, dxs) }
    }

    fn needs(&self, live: &[bool], inside: &mut [Liveness]) -> Option<Needs> {
        let (carries, ys) = live.split_at(self.carries);
        let mut needed = carries.to_vec();
        let reads = loop {
            let reads = inside[0].add(&self.body, &[&needed, ys].concat());
            let more = either(&needed, self.split(&reads).1);
            if more == needed {
                break reads;
            }
            needed = more;
        };
        let (consts, _, stacked) = self.split(&reads);
        Needs::unless_all([consts, &needed, stacked].concat(), [&needed, ys].concat())
    }

    fn pruned(&self, needs: &Needs, inside: &[Liveness]) -> Op {
        let (consts, carries, _) = self.split(&needs.inputs);
        let body = inside[0].restrict(&self.body, &needs.outputs, &needs.inputs);
        self.with(body, count_marked(consts), count_marked(carries)).into()
    }

    fn hoist(&self, b: &mut Builder, xs: &[Value]) -> Option<Values> {
        let trips = if self.length > 0 { TripCount::Positive } else { TripCount::Unknown };
        let (outside, body) = loop_invariants(&self.body, self.consts, trips)?;
        let (consts, carries, stacked) = self.split(xs);
        let more = b.inline(&outside, consts);
        let n = body.outputs().len();
        let op = self.with(body, self.consts + more.len(), self.carries);
        Some(b.emit_n(op, &[consts, &more, carries, stacked].concat(), n))
    }
}
