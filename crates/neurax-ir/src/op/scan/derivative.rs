//! Derivatives of a scan.
//!
//! Forward mode is one loop that also carries the tangents. Reverse mode is two loops: the primal
//! one stacks the residuals of its iterations, and a linear one computes the tangents from them.
//! The transpose of the linear loop is a loop in the opposite direction. Residuals that follow from
//! others are computed again (`residuals`), and sums of products leave the loop (`products`).

use super::{
    Scan,
    products::{BodyLayout, StackRow, StackedProduct, take_products},
    residuals::without_derived,
};
use crate::op::{Bound, Tangent, Transposed, count_marked, select, spread_marked};
use crate::transform::{Linearized, Memo, fixed_point, transpose_walk};
use crate::tuning::MAX_PLAIN_ITERATIONS;
use crate::{Builder, DType, Graph, OrBug, Result, Type, Value, Values};

/// The source of a residual of the body.
#[derive(Clone, Copy, PartialEq)]
enum Residual {
    /// A loop-invariant value, computed once and passed as a constant.
    Invariant,
    /// Operand `i` of the loop, a constant.
    Const(usize),
    /// The element of stacked operand `i`.
    Element(usize),
    /// The element of stacked result `i`.
    Result(usize),
    /// A value that differs in each iteration and has to be stacked.
    Stacked,
}

impl Scan {
    /// Marks the carries that have a tangent, given the operands that have one: the fixed point of
    /// the body's derivative.
    fn active_carries(&self, memo: &Memo, flags: &[bool], for_reverse: bool) -> Result<Vec<bool>> {
        let (consts, init, stacked) = self.split(flags);
        let none = vec![false; self.body.outputs().len()];
        fixed_point(init.to_vec(), |c| {
            let active = [consts, c, stacked].concat();
            let d = memo.jvp(&self.body, &active, &none, for_reverse)?;
            Ok(d.outputs[..self.carries].to_vec())
        })
    }

    /// Returns the tangent operands: of constants, of active carries (zero where a carry has no
    /// tangent yet), of stacked operands.
    fn tangents(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        carry: &[bool],
    ) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
        let (dconsts, dcarries, dstacked) = self.split(dxs);
        let carries = self.split(xs).1.iter().zip(dcarries).zip(carry).filter(|(_, a)| **a);
        let carries = carries.map(|((&x, &dx), _)| b.tangent_or_zero(dx, x)).collect();
        (
            dconsts.iter().flatten().copied().collect(),
            carries,
            dstacked.iter().flatten().copied().collect(),
        )
    }

    /// Emits one loop that computes the results and their tangents.
    pub(super) fn jvp_forward(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
    ) -> Result<(Values, Vec<Tangent>)> {
        let flags: Vec<bool> = dxs.iter().map(Option::is_some).collect();
        let memo = b.memo();
        let carry = self.active_carries(&memo, &flags, false)?;
        let (consts, _, stacked) = self.split(&flags);
        let n = self.body.outputs().len();
        let force = [&carry[..], &vec![false; n - self.carries]].concat();
        let d = memo.jvp(&self.body, &[consts, &carry, stacked].concat(), &force, false)?;
        let (nc, nk) = (count_marked(consts), count_marked(&carry));
        let (c, k, all) = (self.consts, self.consts + self.carries, xs.len());
        // Each group of operands is followed by its tangents.
        let ins = (0..c)
            .chain(all..all + nc)
            .chain(c..k)
            .chain(all + nc..all + nc + nk)
            .chain(k..all)
            .chain(all + nc + nk..d.graph.input_types().len());
        let outs = (0..self.carries)
            .chain(n..n + nk)
            .chain(self.carries..n)
            .chain(n + nk..d.graph.outputs().len());
        let body = d
            .graph
            .clone()
            .with_input_order(&ins.collect::<Vec<_>>())
            .with_outputs(&outs.collect::<Vec<_>>());
        let (vc, vk, vx) = self.split(xs);
        let (tc, tk, tx) = self.tangents(b, xs, dxs, &carry);
        let count = body.outputs().len();
        let ys = b.emit_n(
            self.with(body, c + nc, self.carries + nk),
            &[vc, &tc, vk, &tk, vx, &tx].concat(),
            count,
        );
        let split = self.carries + nk;
        let primal: Values = ys[..self.carries]
            .iter()
            .chain(&ys[split..split + n - self.carries])
            .copied()
            .collect();
        let tangents = [&ys[self.carries..split], &ys[split + n - self.carries..]].concat();
        Ok((primal, spread_marked(&d.outputs, &tangents)))
    }

    /// Emits a primal loop that stacks residuals, and a loop that is linear in the tangents.
    pub(super) fn jvp_for_reverse(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
    ) -> Result<(Values, Vec<Tangent>)> {
        let flags: Vec<bool> = dxs.iter().map(Option::is_some).collect();
        let memo = b.memo();
        let carry = self.active_carries(&memo, &flags, true)?;
        let (consts, _, stacked) = self.split(&flags);
        let n = self.body.outputs().len();
        let force = [&carry[..], &vec![false; n - self.carries]].concat();
        let l = memo.linearize(&self.body, &[consts, &carry, stacked].concat(), &force)?;
        let kinds = self.classify(&l.primal, n);
        let is_stacked: Vec<bool> = kinds.iter().map(|k| *k == Residual::Stacked).collect();
        let l = without_derived(&l, &is_stacked)?;
        let kinds = self.classify(&l.primal, n);

        let (invariant, values) = self.invariant_residuals(b, &l, &kinds, xs, n)?;
        let live: Vec<bool> =
            (0..n + kinds.len()).map(|i| i < n || kinds[i - n] == Residual::Stacked).collect();
        let primal = l.primal.restricted(&live, &vec![true; xs.len()]);
        let count = primal.outputs().len();
        let ys = b.emit_n(self.with(primal, self.consts, self.carries), xs, count);
        let mut stacks = ys[n..].iter().copied();
        let row = |k: &Residual| match k {
            Residual::Stacked => Some(stacks.next().or_bug("a stack for each stacked residual")),
            Residual::Element(i) => Some(Ok(xs[*i])),
            Residual::Result(i) => Some(Ok(ys[*i])),
            Residual::Invariant | Residual::Const(_) => None,
        };
        let rows: Vec<Value> = kinds.iter().filter_map(row).collect::<Result<_>>()?;
        let (tc, tk, tx) = self.tangents(b, xs, dxs, &carry);
        let body = reorder_linear(&l, &invariant, tc.len(), tk.len());
        let op = self.with(body, values.len() + tc.len(), tk.len());
        let args = [&values[..], &tc, &tk, &rows, &tx].concat();
        let dys = b.emit_n(op, &args, count_marked(&l.outputs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&l.outputs, &dys)))
    }

    /// Returns the source of each residual of the body, whose first `n` outputs are its results.
    fn classify(&self, primal: &Graph, n: usize) -> Vec<Residual> {
        let inputs = primal.input_types().len();
        let mut invariant: Vec<bool> = (0..inputs).map(|i| i < self.consts).collect();
        for e in primal.eqns() {
            let same = !e.op.has_effects() && e.inputs.iter().all(|v| invariant[v.index()]);
            invariant.extend(e.outputs.iter().map(|_| same));
        }
        let result = |v: &Value| (self.carries..n).find(|&i| primal.outputs()[i] == *v);
        let kind = |v: &Value| match v.index() {
            i if i < self.consts => Residual::Const(i),
            i if i >= self.consts + self.carries && i < inputs => Residual::Element(i),
            i if invariant[i] => Residual::Invariant,
            _ => result(v).map_or(Residual::Stacked, Residual::Result),
        };
        primal.outputs()[n..].iter().map(kind).collect()
    }

    /// Marks the residuals that are constants of the linear loop, and emits their values outside
    /// the loop.
    fn invariant_residuals(
        &self,
        b: &mut Builder,
        l: &Linearized,
        kinds: &[Residual],
        xs: &[Value],
        n: usize,
    ) -> Result<(Vec<bool>, Vec<Value>)> {
        let live: Vec<bool> =
            (0..n + kinds.len()).map(|i| i >= n && kinds[i - n] == Residual::Invariant).collect();
        let (outside, reads) = l.primal.pruned(&live)?;
        let mut once = b.inline(&outside, &select(xs, &reads)).into_iter();
        let value = |k: &Residual| match k {
            Residual::Const(i) => Some(Ok(xs[*i])),
            Residual::Invariant => Some(once.next().or_bug("a value of each invariant residual")),
            Residual::Element(_) | Residual::Result(_) | Residual::Stacked => None,
        };
        let values: Vec<Option<Result<Value>>> = kinds.iter().map(value).collect();
        let invariant = values.iter().map(Option::is_some).collect();
        Ok((invariant, values.into_iter().flatten().collect::<Result<_>>()?))
    }

    /// Emits the transposed loop. It runs in the opposite direction, carries the cotangents of the
    /// carries, accumulates the cotangents of the constants in further carries, and reads the
    /// nonlinear constants and elements again. Sums of products of stacks run behind it.
    pub(super) fn transposed(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let carries = self.split(at.xs).1;
        if carries.iter().any(|&k| !b.dtype(k).is_differentiable()) {
            return Transposed::NotLinear;
        }
        Transposed::Cotangents(self.cotangents(b, at.xs, linear, cts).unwrap_or_else(|e| {
            b.fail(e);
            vec![None; at.xs.len()]
        }))
    }

    /// Emits the transposed loop for the operands `xs`, and returns their cotangents.
    fn cotangents(
        &self,
        b: &mut Builder,
        xs: &[Value],
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Result<Vec<Option<Value>>> {
        let (lc, _, lx) = self.split(linear);
        let (vc, vk, vx) = self.split(xs);
        let (ct_carries, ct_ys) = cts.split_at(self.carries);
        let given: Vec<bool> = ct_ys.iter().map(Option::is_some).collect();
        let (body, some) = self.transposed_body(lc, lx, &given)?;
        let not = |flags: &[bool]| flags.iter().map(|f| !f).collect::<Vec<_>>();
        let mut args = select(vc, &not(lc));
        let layout =
            BodyLayout { sums: [args.len() + self.carries, self.carries], count: count_marked(lc) };
        let (body, products) = take_products(body, &layout);
        args.extend(ct_carries.iter().zip(vk).map(|(&ct, &k)| b.tangent_or_zero(ct, k)));
        let linear_consts = select(vc, lc);
        let in_loop: Vec<bool> = products.iter().map(Option::is_none).collect();
        args.extend(select(&linear_consts, &in_loop).into_iter().map(|c| {
            let ty = b.ty(c).with_dtype(self.sum_dtype(b.dtype(c)));
            b.zeros(ty)
        }));
        let operands = [select(vx, &not(lx)), ct_ys.iter().flatten().copied().collect()].concat();
        args.extend(&operands);
        let (count, in_loop) = (body.outputs().len(), count_marked(&in_loop));
        let op = Scan {
            reverse: !self.reverse,
            ..self.with(body, self.consts - count_marked(lc), self.carries + in_loop)
        };
        let outs = b.emit_n(op, &args, count);
        let (carries, rest) = outs.split_at(self.carries);
        let (sums, rows) = rest.split_at(in_loop);
        let consts = const_cotangents(b, &linear_consts, &products, sums, [&operands, rows])?;
        let mut rows = spread_marked(&some, rows).into_iter();
        let mut cotangents = spread_marked(lc, &consts);
        cotangents.extend(carries.iter().copied().map(Some));
        cotangents.extend(lx.iter().map(|&l| if l { rows.next().flatten() } else { None }));
        Ok(cotangents)
    }

    /// Returns the dtype in which the cotangents of a constant of `dtype` are added over the
    /// iterations.
    fn sum_dtype(&self, dtype: DType) -> DType {
        match dtype {
            _ if self.length <= MAX_PLAIN_ITERATIONS => dtype.at_least_f32(),
            DType::C64 | DType::C128 => DType::C128,
            _ => DType::F64,
        }
    }

    /// Builds the body of the transposed loop: `(nonlinear constants, cotangents of carries, sums
    /// of the cotangents of constants, nonlinear elements, cotangents of ys) -> (cotangents of
    /// carries, sums of the cotangents of constants, cotangents of elements)`. Also marks the
    /// linear elements that have a cotangent.
    fn transposed_body(
        &self,
        lc: &[bool],
        lx: &[bool],
        given: &[bool],
    ) -> Result<(Graph, Vec<bool>)> {
        let (tc, tk, tx) = self.split(self.body.input_types());
        let outs = self.body.output_types();
        let mut b = Builder::new();
        let all = vec![true; self.carries];
        let mut xs: Vec<Value> =
            tc.iter().zip(lc).map(|(t, l)| b.input_or_placeholder(t.clone(), !l)).collect();
        xs.extend(tk.iter().map(|t| b.placeholder(t.clone())));
        let mut cts: Vec<Option<Value>> = tk.iter().map(|t| Some(b.input(t.clone()))).collect();
        let wide = |t: Type| t.with_dtype(self.sum_dtype(t.dtype));
        let sums: Vec<Value> = select(tc, lc).into_iter().map(|t| b.input(wide(t))).collect();
        xs.extend(
            tx.iter()
                .zip(lx)
                .map(|(t, l)| b.input_or_placeholder(t.clone(), !l))
                .collect::<Vec<_>>(),
        );
        let ys: &[Type] = &outs[self.carries..];
        cts.extend(
            ys.iter().zip(given).map(|(t, &g)| g.then(|| b.input(t.clone()))).collect::<Vec<_>>(),
        );
        let cotangents = transpose_walk(&mut b, &self.body, &xs, &[lc, &all, lx].concat(), &cts)?;
        let (cc, ck, cx) = self.split(&cotangents);
        let mut results: Vec<Value> =
            ck.iter().zip(self.split(&xs).1).map(|(&ct, &k)| b.tangent_or_zero(ct, k)).collect();
        for (sum, ct) in sums.into_iter().zip(select(cc, lc)) {
            let add = |ct| {
                let ct = b.convert(ct, b.dtype(sum));
                b.add(sum, ct)
            };
            results.push(ct.map_or(sum, add));
        }
        let elements = select(cx, lx);
        results.extend(elements.iter().flatten());
        Ok((b.finish(&results)?, elements.iter().map(Option::is_some).collect()))
    }
}

/// Returns the cotangents of the constants `xs` of a transposed loop: the `sums` that it has added
/// up, and the products of its `stacks`, the operands and the results.
fn const_cotangents(
    b: &mut Builder,
    xs: &[Value],
    products: &[Option<StackedProduct>],
    sums: &[Value],
    stacks: [&[Value]; 2],
) -> Result<Vec<Value>> {
    let stack = |row: StackRow| match row {
        StackRow::Operand(i) => stacks[0].get(i),
        StackRow::Result(i) => stacks[1].get(i),
    };
    let mut sums = sums.iter().copied();
    let lost = || "a constant of a transposed loop has neither a sum nor a product";
    let mut out = vec![];
    for (&x, product) in xs.iter().zip(products) {
        let sum = match product.as_ref().map(|p| (p, p.sides.map(stack))) {
            Some((product, [Some(&l), Some(&r)])) => Some(product.emit(b, [l, r])),
            Some(_) => None,
            None => sums.next(),
        };
        out.push(b.convert(sum.or_bug(lost())?, b.dtype(x)));
    }
    Ok(out)
}

/// Returns the linear body with its inputs in the order of a loop: invariant residuals, tangents of
/// constants, tangents of carries, stacked residuals, tangents of elements.
fn reorder_linear(l: &Linearized, invariant: &[bool], consts: usize, carries: usize) -> Graph {
    let of = |want: bool| (0..l.residuals).filter(move |&i| invariant[i] == want);
    let r = l.residuals;
    let order = of(true)
        .chain(r..r + consts + carries)
        .chain(of(false))
        .chain(r + consts + carries..l.linear.input_types().len());
    l.linear.clone().with_input_order(&order.collect::<Vec<_>>())
}
