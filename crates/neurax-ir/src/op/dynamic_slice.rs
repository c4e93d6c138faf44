//! `dynamic_slice` and `dynamic_update_slice`: windows at an index that is known at run time only.

use super::strided::{View, read, write};
use super::{
    Axis, Batched, Bound, Gather, OutOfBounds, Primitive, Sample, Scatter, ScatterKind, Tangent,
    Transposed, rules::*,
};
use crate::{
    Builder, Compute, DType, Eval, Literal, Op, Result, Shape, Type, Value, Values,
    graph::attr::attrs, with_compute,
};

attrs! {
    /// A window of `x` at a runtime index: operands `(x, start)`, where `start` is an integer
    /// vector with one entry per axis. The start is clamped so that the window is in bounds.
    /// <https://openxla.org/stablehlo/spec#dynamic_slice>
    pub struct DynamicSlice = "dynamic_slice" {
        /// The size of the window along every axis.
        sizes: Vec<usize>,
    }

    /// `x` with the window at a runtime index replaced: operands `(x, update, start)`, where
    /// `start` is an integer vector. The start is clamped so that the window is in bounds.
    /// <https://openxla.org/stablehlo/spec#dynamic_update_slice>
    pub struct DynamicUpdateSlice = "dynamic_update_slice" {}
}

impl Primitive for DynamicSlice {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        check_window(Self::NAME, &xs[0], &self.sizes, &xs[1])?;
        Ok(vec![xs[0].with_shape(&self.sizes[..])])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        Ok(vec![read(&xs[0], &window(xs[0].shape(), &self.sizes, &xs[1]))])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[0].map(|dx| b.emit(self.clone(), &[dx, at.xs[1]]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let back = |ct| {
            let zeros = b.full_like(at.xs[0], 0.0);
            b.emit(DynamicUpdateSlice {}, &[zeros, ct, at.xs[1]])
        };
        Transposed::Cotangents(vec![cts[0].map(back), None])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let rank = self.sizes.len();
        let [x, start] = [xs[0], xs[1]];
        let Some(at) = dims[1].filter(|_| rank > 0) else {
            // The window of a scalar is the scalar, so a batched `start` makes no difference.
            let Some(d) = dims[0] else { return Ok((Values::from_slice(&[x]), vec![None])) };
            let start = if dims[1].is_some() { empty_start(b) } else { start };
            let start = start_with_axis(b, start, d);
            let sizes = inserted(&self.sizes, d, axis.size);
            return Ok((b.emit_n(DynamicSlice { sizes }, &[x, start], 1), vec![Some(d)]));
        };
        let starts = b.move_axis(start, at, 0);
        // The number of batch axes of `x`: 0 or 1.
        let own = dims[0].is_some() as usize;
        let x = dims[0].map_or(x, |d| b.move_axis(x, d, 0));
        let op = Gather {
            offset_dims: (1..=rank).collect(),
            collapsed: vec![],
            operand_batch: (0..own).collect(),
            indices_batch: (0..own).collect(),
            index_map: (own..own + rank).collect(),
            sizes: if own == 1 { inserted(&self.sizes, 0, 1) } else { self.sizes.clone() },
            mode: OutOfBounds::Clip,
        };
        Ok(at_front(b.emit_n(op, &[x, starts], 1)))
    }

    fn samples() -> Vec<Sample> {
        rows(|x, sizes, start| (DynamicSlice { sizes: sizes.to_vec() }.into(), vec![x, start]))
    }
}

impl Primitive for DynamicUpdateSlice {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 3)?;
        if xs[0].dtype != xs[1].dtype {
            return refuse(
                Self::NAME,
                format!(
                    "the update {} and the operand {} differ in dtype; convert one of them",
                    xs[1], xs[0]
                ),
            );
        }
        check_window(Self::NAME, &xs[0], &xs[1].shape, &xs[2])?;
        Ok(vec![xs[0].clone()])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let x = xs.swap_remove(0);
        let (start, update) = (&xs[0], &xs[1]);
        let at = window(x.shape(), update.shape(), start);
        let (y, inplace) = write(x, &at, update, &View::dense(update.shape()));
        cx.count_reuse(inplace);
        Ok(vec![y])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let [dx, du] = [0, 1].map(|i| b.tangent_or_zero(dxs[i], at.xs[i]));
        Ok(vec![Some(b.emit(self.clone(), &[dx, du, at.xs[2]]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let Some(ct) = cts[0] else { return Transposed::Cotangents(vec![None; 3]) };
        let (update, start) = (at.xs[1], at.xs[2]);
        let of_x = linear[0].then(|| {
            let zeros = b.full_like(update, 0.0);
            b.emit(self.clone(), &[ct, zeros, start])
        });
        let sizes = b.ty(update).shape.to_vec();
        let of_update = linear[1].then(|| b.emit(DynamicSlice { sizes }, &[ct, start]));
        Transposed::Cotangents(vec![of_x, of_update, None])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let (x, update) = (
            b.batched_at_front(xs[0], dims[0], axis.size),
            b.batched_at_front(xs[1], dims[1], axis.size),
        );
        let rank = b.ty(x).rank() - 1;
        let Some(at) = dims[2].filter(|_| rank > 0) else {
            let start = if dims[2].is_some() { empty_start(b) } else { xs[2] };
            let start = start_with_axis(b, start, 0);
            return Ok(at_front(b.emit_n(self.clone(), &[x, update, start], 1)));
        };
        let starts = b.move_axis(xs[2], at, 0);
        let op = Scatter {
            kind: ScatterKind::Set,
            window_dims: (1..=rank).collect(),
            inserted: vec![],
            operand_batch: vec![0],
            indices_batch: vec![0],
            index_map: (1..=rank).collect(),
            mode: OutOfBounds::Clip,
            unique: true,
        };
        Ok(at_front(b.emit_n(op, &[x, starts, update], 1)))
    }

    fn samples() -> Vec<Sample> {
        rows(|x, sizes, start| {
            let update = sample(x.ty().with_shape(sizes), -1.0, 2.0);
            (DynamicUpdateSlice {}.into(), vec![x, update, start])
        })
    }
}

/// Returns the sample rows of both ops. `of` makes an op and its operands from an operand, the
/// sizes of a window and its start.
fn rows(of: impl Fn(Literal, &[usize], Literal) -> (Op, Vec<Literal>)) -> Vec<Sample> {
    let row = |d: DType, shape: &[usize], sizes: &[usize], start: Literal| {
        let (op, inputs) = of(sample(Type::new(d, shape), -3.0, 4.0), sizes, start);
        Sample { op, inputs, smooth: d == DType::F64 }
    };
    let mut rows: Vec<Sample> = DType::ALL
        .into_iter()
        .map(|d| row(d, &[3, 4], &[2, 2], start_at(DType::I32, &[1, 1])))
        .collect();
    let dtypes = DType::ALL.into_iter().filter(|d| d.is_int());
    rows.extend(dtypes.map(|d| row(DType::F64, &[4], &[2], start_at(d, &[1]))));
    rows.extend([
        row(DType::F64, &[3, 4], &[2, 3], start_at(DType::I64, &[7, -2])),
        row(DType::F64, &[], &[], start_at(DType::I32, &[])),
        row(DType::F64, &[2, 3], &[0, 3], start_at(DType::I32, &[1, 0])),
        row(DType::F64, &[0, 3], &[0, 2], start_at(DType::I32, &[1, 1])),
    ]);
    rows
}

fn check_window(op: &str, x: &Type, sizes: &[usize], start: &Type) -> Result<()> {
    if sizes.len() != x.rank() {
        return refuse(
            op,
            format!("the window {} has {} axes, {x} has {}", shape(sizes), sizes.len(), x.rank()),
        );
    }
    if let Some(i) = (0..x.rank()).find(|&i| sizes[i] > x.shape[i]) {
        return refuse(
            op,
            format!("the window {} is larger than {x} along axis {i}", shape(sizes)),
        );
    }
    if !start.dtype.is_int() || start.shape[..] != [x.rank()] {
        return refuse(
            op,
            format!(
                "expected an integer vector of shape [{}] as the start in {x}, got {start}",
                x.rank()
            ),
        );
    }
    Ok(())
}

/// Returns the window of `sizes` at `start`, clamped into bounds.
fn window(whole: &Shape, sizes: &[usize], start: &Literal) -> View {
    let start: Vec<i128> = with_compute!(any start.dtype(), C => {
        start.load::<C>().iter().map(|x| x.to_i128()).collect()
    });
    let clamped = |i: usize| start[i].clamp(0, (whole[i] - sizes[i]) as i128) as usize;
    let start: Vec<usize> = (0..whole.rank()).map(clamped).collect();
    View::dense(whole).window(&start, sizes, &vec![1; sizes.len()])
}

/// Inserts a 0 for a new axis at `axis` into `start`.
fn start_with_axis(b: &mut Builder, start: Value, axis: usize) -> Value {
    let rank = b.ty(start).shape[0];
    let zero = b.zeros(b.ty(start).with_shape([1]));
    let (before, after) = (b.slice_axis(start, 0, 0, axis), b.slice_axis(start, 0, axis, rank));
    let parts = [(before, axis > 0), (zero, true), (after, axis < rank)];
    let parts: Vec<Value> = parts.into_iter().filter(|p| p.1).map(|p| p.0).collect();
    b.concat(&parts, 0)
}

/// Emits the empty start vector of a scalar.
fn empty_start(b: &mut Builder) -> Value {
    b.constant(start_at(DType::I32, &[]))
}

fn start_at(dtype: DType, at: &[i64]) -> Literal {
    Literal::from_f64s(dtype, [at.len()], &at.iter().map(|&i| i as f64).collect::<Vec<_>>())
}

fn inserted(sizes: &[usize], axis: usize, size: usize) -> Vec<usize> {
    shape(sizes).inserted(axis, size).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::eval;

    fn count(n: usize) -> Literal {
        Literal::from_f64s(DType::F32, [n], &(0..n).map(|i| i as f64).collect::<Vec<_>>())
    }

    #[test]
    fn starts_are_clamped() {
        for (at, want) in
            [(-5, [0.0, 1.0]), (1, [1.0, 2.0]), (3, [2.0, 3.0]), (i64::MAX, [2.0, 3.0])]
        {
            let start = Literal::from_slice([1], &[at]).unwrap();
            let y = DynamicSlice { sizes: vec![2] }
                .eval(&mut Eval::default(), vec![count(4), start])
                .unwrap();
            assert_eq!(y[0].to_f64s(), want, "{at}");
        }
        let start = Literal::from_slice([1], &[u64::MAX]).unwrap();
        let y = DynamicUpdateSlice {}
            .eval(
                &mut Eval::default(),
                vec![count(3), Literal::zeros(Type::new(DType::F32, [1])), start],
            )
            .unwrap();
        assert_eq!(y[0].to_f64s(), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_carry_is_updated_in_place() {
        let mut b = Builder::new();
        let types = [
            Type::new(DType::F32, [1000, 250]),
            Type::new(DType::F32, [1, 250]),
            Type::new(DType::I32, [2]),
        ];
        let xs = b.inputs(&types);
        let y = b.emit(DynamicUpdateSlice {}, &xs);
        let g = b.finish(&[y]).unwrap();
        let mut carry = Literal::zeros(types[0].clone());
        let (address, mut cx) = (carry.bytes().address(), Eval::default());
        for i in 0..1000 {
            let row = Literal::from_slice([1, 250], &[i as f32; 250]).unwrap();
            let start = Literal::from_slice([2], &[i, 0]).unwrap();
            carry = cx.run(&g, vec![carry, row, start]).unwrap().remove(0);
            assert_eq!(carry.bytes().address(), address);
        }
        assert_eq!(cx.reused, 1000);
        let at = carry.to_vec::<f32>().unwrap();
        assert!((0..1000).all(|i| at[i * 250] == i as f32 && at[i * 250 + 249] == i as f32));
    }

    #[test]
    fn a_shared_operand_is_copied() {
        let x = count(3);
        let start = Literal::from_slice([1], &[1i32]).unwrap();
        let mut cx = Eval::default();
        let y = DynamicUpdateSlice {}
            .eval(&mut cx, vec![x.clone(), Literal::from_slice([1], &[9.0f32]).unwrap(), start])
            .unwrap();
        assert_eq!(
            (x.to_f64s(), y[0].to_f64s(), cx.reused),
            (vec![0.0, 1.0, 2.0], vec![0.0, 9.0, 2.0], 0)
        );
    }

    #[test]
    fn the_new_axis_stays_where_it_is() {
        let mut b = Builder::new();
        let xs = b.inputs(&[Type::new(DType::F32, [4, 3]), Type::new(DType::I32, [1])]);
        let axis = Axis { size: 3, name: None };
        let (ys, dims) =
            DynamicSlice { sizes: vec![2] }.batch(&mut b, &axis, &xs, &[Some(1), None]).unwrap();
        let g = b.finish(&ys).unwrap();
        let x = Literal::from_f64s(
            DType::F32,
            [4, 3],
            &std::array::from_fn::<f64, 12, _>(|i| i as f64),
        );
        let y = eval(&g, vec![x, start_at(DType::I32, &[1])]).unwrap();
        assert_eq!((dims, y[0].to_f64s()), (vec![Some(1)], vec![3.0, 4.0, 5.0, 6.0, 7.0, 8.0]));
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let (x, i) = (Type::new(DType::F32, [3]), Type::new(DType::I32, [1]));
        let err = |sizes: &[usize], start: &Type| {
            DynamicSlice { sizes: sizes.to_vec() }
                .infer(&[x.clone(), start.clone()])
                .unwrap_err()
                .to_string()
        };
        assert!(err(&[4], &i).contains("larger than f32[3] along axis 0"));
        assert!(err(&[1, 1], &i).contains("has 2 axes"));
        assert!(err(&[1], &Type::scalar(DType::I32)).contains("integer vector of shape [1]"));
        assert!(err(&[1], &Type::new(DType::F32, [1])).contains("got f32[1]"));
        let update = DynamicUpdateSlice {}
            .infer(&[x.clone(), x.with_dtype(DType::F64), i])
            .unwrap_err()
            .to_string();
        assert!(update.contains("the update f64[3] and the operand f32[3] differ in dtype"));
    }
}
