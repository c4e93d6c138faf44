//! `while`: a loop that runs as long as a condition holds.
//!
//! The values that stay the same are separate operands, the constants of the condition and of the
//! body: passes and rules then see what is invariant, and an unused one costs nothing. Counting
//! to `n` in steps of `d` has the condition `(n, i) -> i < n` with one constant and the body
//! `(d, i) -> i + d` with another, and the operands `(n, d, i)`.
//!
//! # Which carries
//!
//! Whether a carry is active, batched or needed depends on the others, through the body. Each rule
//! computes the least fixed point: start with the flags of the initial values, transform the body,
//! add the flags of its results, and repeat until none is added.
//!
//! # Batching
//!
//! If the condition is the same for all members, the body is batched. If it is not, the loop runs
//! as long as any member's condition holds, and those that are done keep their carries by a select.
//! All carries are batched then, and the body takes the constants of the condition, too, to compute
//! the selection.
//!
//! # Derivatives
//!
//! In forward mode the tangents of the carries are further carries. For a linearization, which
//! splits values from tangents, that loop follows the original one and computes the values again:
//! its residuals are the operands of the loop. There is no reverse mode: it would store the
//! residuals of each iteration, and their number is unknown before the loop runs. The error advises
//! a scan, whose length is fixed.
//!
//! Invariants: the body returns the types of the carries; the condition returns one bool scalar.
//! Dead code elimination keeps each carry that the condition reads, directly or through the body.
//!
//! Rejected: a buffer of a fixed size for the residuals, which fails at run time for longer loops,
//! and recomputing each iteration from the first, which is quadratic.

use super::{
    Axis, Batched, Bound, Direction, Liveness, Needs, Primitive, ReduceKind, Region, Sample,
    Tangent, Transposed, TripCount, accepts, count_marked, either, front_where, loop_invariants,
    pointwise::ORDERED, rules::*, select, spread_marked,
};
use crate::{
    Builder, DType, Eval, Graph, Literal, Op, Result, Type, Value, Values,
    graph::attr::attrs,
    transform::{self, Memo},
};
use std::sync::Arc;

attrs! {
    /// A loop over carries: operands `(cond constants.., body constants.., carries..)`. As long as
    /// `cond(cond constants.., carries..)` is true, the carries become `body(body constants..,
    /// carries..)`. The results are the last carries. <https://openxla.org/stablehlo/spec#while>
    pub struct While = "while" {
        /// The condition, which returns one bool scalar.
        cond: Arc<Graph>,
        /// The body, which returns the next carries.
        body: Arc<Graph>,
        /// The number of constants that `cond` takes.
        cond_consts: usize,
        /// The number of constants that `body` takes.
        body_consts: usize,
    }
}

impl While {
    /// Splits a list with one item per operand into those of `(cond constants, body constants,
    /// carries)`.
    fn split<'a, T>(&self, xs: &'a [T]) -> (&'a [T], &'a [T], &'a [T]) {
        let (c, rest) = xs.split_at(self.cond_consts);
        let (b, carries) = rest.split_at(self.body_consts);
        (c, b, carries)
    }

    /// Returns the loop for a batched condition: it runs as long as any member's condition holds,
    /// and members that are done keep their carries.
    fn batch_pred(
        &self,
        memo: &Memo,
        axis: &Axis,
        cond_batched: &[bool],
        body_batched: &[bool],
    ) -> Result<While> {
        let n = self.body.outputs().len();
        let all = vec![true; n];
        let cond = memo.batch(&self.cond, axis, &[cond_batched, &all].concat(), &[true])?;
        let body = memo.batch(&self.body, axis, &[body_batched, &all].concat(), &all)?;
        let (cond, body) = (&cond.0, &body.0);
        let mut any = Builder::new();
        let xs = any.inputs(cond.input_types());
        let pred = any.inline(cond, &xs)[0];
        let some = any.reduce(ReduceKind::Or, pred, &[0]);
        let mut step = Builder::new();
        let cs = step.inputs(&cond.input_types()[..self.cond_consts]);
        let bs = step.inputs(&body.input_types()[..self.body_consts]);
        let carries = step.inputs(&body.input_types()[self.body_consts..]);
        let pred = step.inline(cond, &[&cs[..], &carries].concat())[0];
        let next = step.inline(body, &[&bs[..], &carries].concat());
        let mut outs = vec![];
        for (y, x) in next.into_iter().zip(carries) {
            let shape = step.ty(y).shape.clone();
            let continues = step.broadcast(pred, shape, &[0]);
            outs.push(step.select(continues, y, x));
        }
        let body_consts = self.cond_consts + self.body_consts;
        Ok(While {
            cond: Arc::new(any.finish(&[some])?),
            body: Arc::new(step.finish(&outs)?),
            cond_consts: self.cond_consts,
            body_consts,
        })
    }
}

impl Primitive for While {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        if self.cond_consts.checked_add(self.body_consts).is_none_or(|n| xs.len() < n) {
            return refuse(
                Self::NAME,
                format!(
                    "expected {} constants of the condition and {} of the body, got ({})",
                    self.cond_consts,
                    self.body_consts,
                    list_types(xs)
                ),
            );
        }
        let (c, b, carries) = self.split(xs);
        accepts(Self::NAME, "the condition", &self.cond, &[c, carries].concat())?;
        accepts(Self::NAME, "the body", &self.body, &[b, carries].concat())?;
        if self.cond.output_types() != [Type::scalar(DType::Bool)] {
            return refuse(
                Self::NAME,
                format!(
                    "expected the condition to return one bool[], got ({})",
                    list_types(&self.cond.output_types())
                ),
            );
        }
        if self.body.output_types() != carries {
            return refuse(
                Self::NAME,
                format!(
                    "expected the body to return the types of the carries ({}), got ({})",
                    list_types(carries),
                    list_types(&self.body.output_types())
                ),
            );
        }
        Ok(carries.to_vec())
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let mut carries = xs.split_off(self.cond_consts + self.body_consts);
        let (cond_consts, body_consts) = xs.split_at(self.cond_consts);
        loop {
            let pred = cx.run(&self.cond, [cond_consts, &carries].concat())?;
            if !pred[0].to_vec::<bool>()?[0] {
                return Ok(carries);
            }
            // The carries are moved, so that the body can write to their memory.
            let args = body_consts.iter().cloned().chain(carries).collect();
            carries = cx.run(&self.body, args)?;
        }
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(self.jvp_region(b, at.xs, dxs, false)?.1)
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let flags: Vec<bool> = dims.iter().map(Option::is_some).collect();
        let (cb, bb, init) = self.split(&flags);
        let (none, memo) = (vec![false; init.len()], b.memo());
        let carry = transform::fixed_point(init.to_vec(), |c| {
            Ok(memo.batch(&self.body, axis, &[bb, c].concat(), &none)?.1.clone())
        })?;
        let cond = memo.batch(&self.cond, axis, &[cb, &carry].concat(), &[false])?;
        if cond.1[0] {
            let all = vec![true; carry.len()];
            let op = self.batch_pred(&memo, axis, cb, bb)?;
            let xs = front_where(b, xs, dims, &[cb, bb, &all].concat(), axis.size);
            let (c, bc, carries) = self.split(&xs);
            return Ok(at_front(b.emit_n(op, &[c, c, bc, carries].concat(), carry.len())));
        }
        let body = memo.batch(&self.body, axis, &[bb, &carry].concat(), &carry)?;
        let xs = front_where(b, xs, dims, &[cb, bb, &carry].concat(), axis.size);
        let op = While {
            cond: Arc::new(cond.0.clone()),
            body: Arc::new(body.0.clone()),
            ..self.clone()
        };
        let ys = b.emit_n(op, &xs, carry.len());
        Ok((ys, carry.iter().map(|&y| y.then_some(0)).collect()))
    }

    fn samples() -> Vec<Sample> {
        let row = |(counter, d, n): (DType, DType, f64)| {
            let numbers = [
                Literal::scalar(counter, n),
                Literal::scalar(d, 1.25),
                Literal::scalar(counter, 0.0),
            ];
            let inputs = numbers.into_iter().chain([sample(Type::new(d, [2]), 0.5, 1.5)]).collect();
            Some(Sample {
                op: sines(counter, d)?.into(),
                inputs,
                smooth: d == DType::F64 && counter.is_int(),
            })
        };
        let ordered = DType::ALL.into_iter().filter(|c| ORDERED.contains(&c.kind()));
        // Rows that count in floats are not smooth: the number of iterations jumps with the bound.
        let counters = ordered.map(|c| (c, DType::F64, 1.0));
        let values = DType::ALL.into_iter().map(|d| (DType::I32, d, 2.0));
        let often = [0.0, 3.0].map(|n| (DType::I32, DType::F64, n));
        counters.chain(values).chain(often).filter_map(row).collect()
    }
}

/// Builds `for i in 0..n { x = sin(x) * c }`, or `x = x * c` for integers, with operands `(n, c, 0,
/// x)`.
fn sines(counter: DType, d: DType) -> Option<While> {
    let (count, factor, ty) = (Type::scalar(counter), Type::scalar(d), Type::new(d, [2]));
    let mut cond = Builder::new();
    let (n, i, _) = (cond.input(count.clone()), cond.input(count.clone()), cond.input(ty.clone()));
    let continues = cond.compare(Direction::Lt, i, n);
    let mut body = Builder::new();
    let (c, i, x) = (body.input(factor), body.input(count), body.input(ty));
    let next = body.add_scalar(i, 1.0);
    let s = if d.is_differentiable() { body.sin(x) } else { x };
    let c = body.broadcast_like(c, s);
    let y = body.mul(s, c);
    Some(While {
        cond: Arc::new(cond.finish(&[continues]).ok()?),
        body: Arc::new(body.finish(&[next, y]).ok()?),
        cond_consts: 1,
        body_consts: 1,
    })
}

impl Region for While {
    fn graphs(&self) -> Vec<Arc<Graph>> {
        vec![self.cond.clone(), self.body.clone()]
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        Ok(While { cond: Arc::new(f(&self.cond)?), body: Arc::new(f(&self.body)?), ..self.clone() }
            .into())
    }

    /// Emits one loop that carries values and tangents; with `for_reverse`, the results come from
    /// the original loop, so that they depend on no tangent. Reverse mode is an error when the loop
    /// of tangents is transposed.
    fn jvp_region(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)> {
        let flags: Vec<bool> = dxs.iter().map(Option::is_some).collect();
        let (_, active, init) = self.split(&flags);
        let n = init.len();
        let (none, memo) = (vec![false; n], b.memo());
        let jvp =
            |c: &[bool], force: &[bool]| memo.jvp(&self.body, &[active, c].concat(), force, false);
        let carry = transform::fixed_point(init.to_vec(), |c| Ok(jvp(c, &none)?.outputs.clone()))?;
        if !carry.contains(&true) {
            // Only constants have tangents, and no carry depends on them differentiably.
            return Ok((b.emit_n(self.clone(), xs, n), vec![None; n]));
        }
        let d = jvp(&carry, &carry)?;
        let (consts, tangents) = (self.body_consts, count_marked(active));
        // From (constants, carries, tangents of constants, tangents of carries) to (constants,
        // tangents of constants, carries, tangents of carries).
        let order = (0..consts)
            .chain(consts + n..consts + n + tangents)
            .chain(consts..consts + n)
            .chain(consts + n + tangents..d.graph.input_types().len());
        let mut body = d.graph.clone().with_input_order(&order.collect::<Vec<_>>());
        let mut cond = self.cond.clone();
        if for_reverse {
            // The loop of the results has the effects.
            body = body.without_effects()?.into_owned();
            cond = Arc::new(cond.without_effects()?.into_owned());
        }
        let extra: Vec<Type> = select(&self.body.output_types(), &carry);
        let cond = cond.with_more_inputs(&extra)?;
        let op = While {
            cond: Arc::new(cond),
            body: Arc::new(body),
            cond_consts: self.cond_consts,
            body_consts: consts + tangents,
        };
        let (c, bc, carries) = self.split(xs);
        let (_, dbc, dcarries) = self.split(dxs);
        let mut args = [c, bc].concat();
        args.extend(dbc.iter().flatten());
        args.extend_from_slice(carries);
        for ((&x, &dx), _) in carries.iter().zip(dcarries).zip(&carry).filter(|(_, a)| **a) {
            args.push(b.tangent_or_zero(dx, x));
        }
        let both = b.emit_n(op, &args, n + count_marked(&carry));
        let ys = if for_reverse {
            b.emit_n(self.clone(), xs, n)
        } else {
            Values::from_slice(&both[..n])
        };
        Ok((ys, spread_marked(&carry, &both[n..])))
    }

    fn needs(&self, live: &[bool], inside: &mut [Liveness]) -> Option<Needs> {
        let cond_reads = inside[0].add(&self.cond, &[true]);
        let mut needed = either(live, &cond_reads[self.cond_consts..]);
        let body_reads = loop {
            let reads = inside[1].add(&self.body, &needed);
            let more = either(&needed, &reads[self.body_consts..]);
            if more == needed {
                break reads;
            }
            needed = more;
        };
        let (cc, bc) = (&cond_reads[..self.cond_consts], &body_reads[..self.body_consts]);
        Needs::unless_all([cc, bc, &needed].concat(), needed)
    }

    fn pruned(&self, needs: &Needs, inside: &[Liveness]) -> Op {
        let (cc, bc, carries) = self.split(&needs.inputs);
        let body_inputs = [bc, carries].concat();
        While {
            cond: inside[0].restrict(&self.cond, &[true], &[cc, carries].concat()).into(),
            body: inside[1].restrict(&self.body, &needs.outputs, &body_inputs).into(),
            cond_consts: count_marked(cc),
            body_consts: count_marked(bc),
        }
        .into()
    }

    fn hoist(&self, b: &mut Builder, xs: &[Value]) -> Option<Values> {
        // The condition runs at least once, the body perhaps never.
        let cond = loop_invariants(&self.cond, self.cond_consts, TripCount::Positive);
        let body = loop_invariants(&self.body, self.body_consts, TripCount::Unknown);
        if cond.is_none() && body.is_none() {
            return None;
        }
        let (c, bc, carries) = self.split(xs);
        let (mut op, mut c, mut bc) = (self.clone(), c.to_vec(), bc.to_vec());
        if let Some((outside, cond)) = cond {
            op.cond = Arc::new(cond);
            c.extend(b.inline(&outside, &c));
        }
        if let Some((outside, body)) = body {
            op.body = Arc::new(body);
            bc.extend(b.inline(&outside, &bc));
        }
        (op.cond_consts, op.body_consts) = (c.len(), bc.len());
        Some(b.emit_n(op, &[&c, &bc, carries].concat(), carries.len()))
    }
}
