//! Loops and branches.
//!
//! The bodies are graphs whose constants are values of the graph around them: a body of ONNX reads
//! these by name.
//!
//! ```text
//! while[cond, body]       Loop without a trip count; the condition is computed before the loop,
//!                         and at the end of the body
//! scan                    Scan; Loop with a trip count if there is nothing to scan over
//! case[b0, b1]            If(index >= 1) of b1, b0
//! case[b0, b1, b2]        If(index <= 0) of b0, If(index <= 1) of b1, b2
//! ```

use super::draft::{DraftBody, Lowered, Wire};
use super::emitter::{Emitter, FormResult};
use crate::proto::AttributeProto;
use neurax_ir::op::{Cond, Scan, While};
use neurax_ir::{DType, Graph, Literal, Type};
use std::sync::Arc;

impl Emitter {
    /// Emits a loop that runs as long as a condition holds.
    pub(super) fn while_loop(&mut self, op: &While, xs: &[Lowered]) -> FormResult<Vec<Lowered>> {
        let (cond_consts, rest) = xs.split_at(op.cond_consts);
        let (body_consts, carries) = rest.split_at(op.body_consts);
        self.check_carried(carries.iter().map(|x| x.wire.ty.dtype))?;
        let carries = self.all_full(carries);
        let first = self.applied(&op.cond, cond_consts, &carries);
        let carried = self.carried(&carries);
        let inputs = self.loop_inputs(&carried);
        let body = self.body(inputs, |e| {
            let next = e.applied(&op.body, body_consts, &carried);
            let goes_on = e.applied(&op.cond, cond_consts, &next);
            Ok([goes_on, next].concat())
        })?;
        let absent = self.absent();
        let operands = [&absent, &first[0]].into_iter().chain(&carries).collect::<Vec<_>>();
        let outputs = self.results_of("Loop", &carries);
        let ys = self.push_with_bodies("Loop", &operands, outputs, vec![], vec![("body", body)]);
        Ok(ys.into_iter().map(Lowered::of).collect())
    }

    /// Emits a loop over the leading axis of operands.
    pub(super) fn scan(
        &mut self,
        op: &Scan,
        xs: &[Lowered],
        types: &[Type],
    ) -> FormResult<Vec<Lowered>> {
        let (consts, rest) = xs.split_at(op.consts);
        let (carries, stacked) = rest.split_at(op.carries);
        let dtypes = rest.iter().map(|x| x.wire.ty.dtype).chain(types.iter().map(|t| t.dtype));
        self.check_carried(dtypes)?;
        if op.length == 0 {
            let empty =
                |e: &mut Emitter, t: &Type| Lowered::of(e.literal(Literal::zeros(t.clone())));
            let ys = types[op.carries..].iter().map(|t| empty(self, t)).collect::<Vec<_>>();
            return Ok(carries.iter().cloned().chain(ys).collect());
        }
        let (carries, stacked) = (self.all_full(carries), self.all_full(stacked));
        let carried = self.carried(&carries);
        let element = |x: &Wire| x.ty.with_shape(x.ty.shape.removed(0));
        let elements: Vec<Wire> =
            stacked.iter().map(|x| self.wire("scan_element", element(x))).collect();
        let step = |e: &mut Emitter| {
            let args = [&carried[..], &elements].concat();
            e.applied(&op.body, consts, &args)
        };
        let outputs = types.iter().map(|t| self.wire("Scan", t.clone())).collect::<Vec<_>>();
        if stacked.is_empty() {
            return self.counted_loop(op, &carries, &carried, outputs, &step);
        }
        let body = self.body([&carried[..], &elements].concat(), |e| Ok(step(e)))?;
        let mut attributes = vec![AttributeProto::of_int("num_scan_inputs", stacked.len() as i64)];
        if op.reverse {
            let backward = |n: usize| std::iter::repeat_n(1, n);
            let ys = types.len() - op.carries;
            attributes
                .push(AttributeProto::of_ints("scan_input_directions", backward(stacked.len())));
            attributes.push(AttributeProto::of_ints("scan_output_directions", backward(ys)));
        }
        let operands: Vec<&Wire> = carries.iter().chain(&stacked).collect();
        let ys =
            self.push_with_bodies("Scan", &operands, outputs, attributes, vec![("body", body)]);
        Ok(ys.into_iter().map(Lowered::of).collect())
    }

    /// Emits a scan over no operands: a loop with a trip count.
    fn counted_loop(
        &mut self,
        op: &Scan,
        carries: &[Wire],
        carried: &[Wire],
        outputs: Vec<Wire>,
        step: &dyn Fn(&mut Emitter) -> Vec<Wire>,
    ) -> FormResult<Vec<Lowered>> {
        let inputs = self.loop_inputs(carried);
        let goes_on = self.literal(Literal::scalar(DType::Bool, 1.0));
        let body = self.body(inputs, |e| Ok([vec![goes_on.clone()], step(e)].concat()))?;
        let (count, always) = (self.scalar_int(op.length), self.absent());
        let operands: Vec<&Wire> = [&count, &always].into_iter().chain(carries).collect();
        let ys = self.push_with_bodies("Loop", &operands, outputs, vec![], vec![("body", body)]);
        let mut ys: Vec<Lowered> = ys.into_iter().map(Lowered::of).collect();
        if op.reverse {
            for y in &mut ys[op.carries..] {
                *y = self.reversed(y, &[0])?;
            }
        }
        Ok(ys)
    }

    /// Emits a choice among branches.
    pub(super) fn case(
        &mut self,
        op: &Cond,
        xs: &[Lowered],
        types: &[Type],
    ) -> FormResult<Vec<Lowered>> {
        let (index, args) = xs.split_first().ok_or("a choice without an index")?;
        self.check_carried(types.iter().map(|t| t.dtype))?;
        let index = self.full(index);
        let ys = self.branches(&op.branches, 0, &index, args, types)?;
        Ok(ys.into_iter().map(Lowered::of).collect())
    }

    /// Emits the choice among `branches`, the first of which has the index `first`.
    fn branches(
        &mut self,
        branches: &[Arc<Graph>],
        first: usize,
        index: &Wire,
        args: &[Lowered],
        types: &[Type],
    ) -> FormResult<Vec<Wire>> {
        let (branch, others) = branches.split_first().ok_or("a choice without branches")?;
        if others.is_empty() {
            return Ok(self.applied(branch, args, &[]));
        }
        let bound = self.scalar(index.ty.dtype, first as f64);
        let is_first = self.node("LessOrEqual", &[index, &bound], Type::scalar(DType::Bool));
        let outputs = types.iter().map(|t| self.wire("If", t.clone())).collect();
        let here: DraftBody = self.body(vec![], |e| Ok(e.applied(branch, args, &[])))?;
        let there = self.body(vec![], |e| e.branches(others, first + 1, index, args, types))?;
        let bodies = vec![("then_branch", here), ("else_branch", there)];
        Ok(self.push_with_bodies("If", &[&is_first], outputs, vec![], bodies))
    }

    /// Emits `graph` on two lists of arguments, and returns its stored results.
    fn applied(&mut self, graph: &Graph, first: &[Lowered], then: &[Wire]) -> Vec<Wire> {
        let then = then.iter().cloned().map(Lowered::of);
        let ys = self.graph(graph, first.iter().cloned().chain(then).collect());
        self.all_full(&ys)
    }

    /// Checks that loops and branches of the opset have values of these types.
    fn check_carried(&self, types: impl IntoIterator<Item = DType>) -> FormResult<()> {
        match self.opset < 16 && types.into_iter().any(|d| d == DType::BF16) {
            true => Err(format!("loops and branches of bf16 need opset 16, got {}", self.opset)),
            false => Ok(()),
        }
    }

    /// Returns stored values.
    fn all_full(&mut self, xs: &[Lowered]) -> Vec<Wire> {
        xs.iter().map(|x| self.full(x)).collect()
    }

    /// Returns the inputs of a body for carried values.
    fn carried(&mut self, carries: &[Wire]) -> Vec<Wire> {
        carries.iter().map(|x| self.wire("carried", x.ty.clone())).collect()
    }

    /// Returns the inputs of the body of a `Loop`: the iteration, the condition, and the carries.
    fn loop_inputs(&mut self, carried: &[Wire]) -> Vec<Wire> {
        let iteration = self.wire("iteration", Type::scalar(DType::I64));
        let goes_on = self.wire("goes_on", Type::scalar(DType::Bool));
        [iteration, goes_on].into_iter().chain(carried.iter().cloned()).collect()
    }

    fn results_of(&mut self, op: &str, like: &[Wire]) -> Vec<Wire> {
        like.iter().map(|x| self.wire(op, x.ty.clone())).collect()
    }
}
