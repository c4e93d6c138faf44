//! `dot_general`: products of arrays, contracted over any axes.

pub(super) mod kernel;

use super::pointwise::{COMPUTED, check_kind, computed_dtypes};
use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Kind, Literal, Result, Shape, Type, Value, graph::attr::attrs};

attrs! {
    /// The product of two operands, summed over the contracted axes, for every index of the batch
    /// axes. The axes of the result are the batch axes, the free axes of the left operand, and the
    /// free axes of the right operand.
    ///
    /// Both operands have the same dtype. Floats accumulate in f64, integers in the width of the
    /// result; a product of bools is an or of ands. The sums are stored as `dtype`.
    /// <https://openxla.org/stablehlo/spec#dot_general>
    pub struct DotGeneral = "dot_general" {
        /// The batch axes of the left operand.
        lhs_batch: Vec<usize>,
        /// The batch axes of the right operand, in the same order.
        rhs_batch: Vec<usize>,
        /// The contracted axes of the left operand.
        lhs_contract: Vec<usize>,
        /// The contracted axes of the right operand, in the same order.
        rhs_contract: Vec<usize>,
        /// The dtype of the result: the operands' own, or a wider one of the same family (unsigned
        /// may become signed).
        dtype: DType,
    }
}

impl DotGeneral {
    /// Returns the free axes of the left operand, of `rank` axes: neither batch nor contracted.
    pub fn lhs_free(&self, rank: usize) -> Vec<usize> {
        free_axes(rank, &self.lhs_batch, &self.lhs_contract)
    }

    /// Returns the free axes of the right operand, of `rank` axes: neither batch nor contracted.
    pub fn rhs_free(&self, rank: usize) -> Vec<usize> {
        free_axes(rank, &self.rhs_batch, &self.rhs_contract)
    }

    /// Returns the product of the swapped operands. Its result has the free axes of the right
    /// operand first.
    pub fn swapped(&self) -> DotGeneral {
        DotGeneral {
            lhs_batch: self.rhs_batch.clone(),
            rhs_batch: self.lhs_batch.clone(),
            lhs_contract: self.rhs_contract.clone(),
            rhs_contract: self.lhs_contract.clone(),
            dtype: self.dtype,
        }
    }

    /// Returns the batch, contracted and free axes of operand `side` (0 is left), of `rank` axes.
    fn axes(&self, side: usize, rank: usize) -> (&[usize], &[usize], Vec<usize>) {
        match side {
            0 => (&self.lhs_batch, &self.lhs_contract, self.lhs_free(rank)),
            _ => (&self.rhs_batch, &self.rhs_contract, self.rhs_free(rank)),
        }
    }

    fn check_side(&self, side: usize, x: &Type) -> Result<()> {
        let (batch, contract, _) = self.axes(side, 0);
        check_axes(Self::NAME, &[batch, contract].concat(), x.rank())
    }

    fn check_pairs(&self, what: &str, xs: &[Type], l: &[usize], r: &[usize]) -> Result<()> {
        if l.len() != r.len() {
            return refuse(
                Self::NAME,
                format!(
                    "expected equal numbers of {what} axes, got {l:?} of the left and {r:?} of \
                     the right operand"
                ),
            );
        }
        match l.iter().zip(r).find(|&(&i, &j)| xs[0].shape[i] != xs[1].shape[j]) {
            None => Ok(()),
            Some((i, j)) => refuse(
                Self::NAME,
                format!(
                    "{what} axis {i} of {} and axis {j} of {} differ in size; they are paired",
                    xs[0], xs[1]
                ),
            ),
        }
    }

    /// Emits the cotangent of operand `side`: the product of the result's cotangent `ct` with the
    /// other operand, contracted over the free axes of the latter, and transposed to the axes of
    /// this operand.
    fn transpose_side(&self, b: &mut Builder, at: &Bound, side: usize, ct: Value) -> Value {
        let (x, y) = (b.ty(at.xs[side]).clone(), at.xs[1 - side]);
        let (batch, contract, free) = self.axes(side, x.rank());
        let (y_batch, y_contract, y_free) = self.axes(1 - side, b.ty(y).rank());
        // The axes of the result are: batch, free of the left, free of the right operand.
        let nb = batch.len();
        let first = nb + if side == 0 { free.len() } else { 0 };
        let op = DotGeneral {
            lhs_batch: (0..nb).collect(),
            rhs_batch: y_batch.to_vec(),
            lhs_contract: (first..first + y_free.len()).collect(),
            rhs_contract: y_free,
            dtype: self.dtype,
        };
        let y = b.convert(y, self.dtype);
        let product = b.emit(op, &[ct, y]);
        // The axes of the product are: batch, free of this operand, and the contracted ones in the
        // order of the other operand's axes.
        let mut pairs: Vec<(usize, usize)> =
            y_contract.iter().copied().zip(contract.iter().copied()).collect();
        pairs.sort_unstable();
        let targets: Vec<usize> =
            batch.iter().chain(&free).copied().chain(pairs.into_iter().map(|p| p.1)).collect();
        let mut permutation = vec![0; targets.len()];
        targets.iter().enumerate().for_each(|(from, &to)| permutation[to] = from);
        let back = b.transpose(product, &permutation);
        b.convert(back, x.dtype)
    }
}

impl Primitive for DotGeneral {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        check_product_dtypes(Self::NAME, &xs[0], &xs[1], self.dtype)?;
        self.check_side(0, &xs[0])?;
        self.check_side(1, &xs[1])?;
        self.check_pairs("batch", xs, &self.lhs_batch, &self.rhs_batch)?;
        self.check_pairs("contracted", xs, &self.lhs_contract, &self.rhs_contract)?;
        let sizes = |x: &Type, axes: &[usize]| axes.iter().map(|&a| x.shape[a]).collect::<Vec<_>>();
        let (l, r) = (self.lhs_free(xs[0].rank()), self.rhs_free(xs[1].rank()));
        let shape = [sizes(&xs[0], &self.lhs_batch), sizes(&xs[0], &l), sizes(&xs[1], &r)].concat();
        Ok(vec![Type::new(self.dtype, shape)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let ty = self.infer(&[xs[0].ty().clone(), xs[1].ty().clone()])?.remove(0);
        if ty.size() == 0 {
            return Ok(vec![Literal::zeros(ty)]);
        }
        let side = |i: usize| {
            let (batch, contract, free) = self.axes(i, xs[i].shape().rank());
            kernel::OperandOffsets::new(xs[i].shape(), batch, &free, contract)
        };
        Ok(vec![kernel::product(ty, &xs[0], &side(0), &xs[1], &side(1))])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(bilinear(b, self.clone(), at, dxs))
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let Some(ct) = cts[0] else { return Transposed::Cotangents(vec![None; 2]) };
        match linear {
            [true, false] => {
                Transposed::Cotangents(vec![Some(self.transpose_side(b, at, 0, ct)), None])
            }
            [false, true] => {
                Transposed::Cotangents(vec![None, Some(self.transpose_side(b, at, 1, ct))])
            }
            _ => Transposed::NotLinear,
        }
    }

    fn batch(
        &self,
        b: &mut Builder,
        _: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let mut op = self.clone();
        for (axes, d) in [
            (&mut op.lhs_batch, 0),
            (&mut op.lhs_contract, 0),
            (&mut op.rhs_batch, 1),
            (&mut op.rhs_contract, 1),
        ] {
            dims[d].inspect(|&d| shift_axes_from(axes, d));
        }
        let nb = self.lhs_batch.len();
        // An axis that only one operand has is one of its free axes.
        let position = match (dims[0], dims[1]) {
            (Some(l), Some(r)) => {
                op.lhs_batch.insert(0, l);
                op.rhs_batch.insert(0, r);
                Some(0)
            }
            (Some(l), None) => {
                op.lhs_free(b.ty(xs[0]).rank()).iter().position(|&a| a == l).map(|i| nb + i)
            }
            (None, Some(r)) => {
                let before = nb + op.lhs_free(b.ty(xs[0]).rank()).len();
                op.rhs_free(b.ty(xs[1]).rank()).iter().position(|&a| a == r).map(|i| before + i)
            }
            (None, None) => None,
        };
        Ok((b.emit_n(op, xs, 1), vec![position]))
    }

    fn samples() -> Vec<Sample> {
        let mut rows: Vec<Sample> =
            computed_dtypes().map(|d| row(matrix(d), d, &[2, 3], &[3, 2])).collect();
        for (from, to) in [
            (DType::I8, DType::I32),
            (DType::U8, DType::I32),
            (DType::U4, DType::U32),
            (DType::BF16, DType::F32),
        ] {
            rows.push(row(matrix(to), from, &[2, 3], &[3, 2]));
        }
        for (from, to) in
            [(DType::F8E5M2, DType::F16), (DType::F32, DType::F64), (DType::C64, DType::C128)]
        {
            rows.push(row(matrix(to), from, &[2, 3], &[3, 1]));
        }
        let op = |lb: &[usize], rb: &[usize], lc: &[usize], rc: &[usize]| DotGeneral {
            lhs_batch: lb.to_vec(),
            rhs_batch: rb.to_vec(),
            lhs_contract: lc.to_vec(),
            rhs_contract: rc.to_vec(),
            dtype: DType::F64,
        };
        for d in [DType::F64, DType::C128] {
            let op = |lb: &[usize], rb: &[usize], lc: &[usize], rc: &[usize]| DotGeneral {
                dtype: d,
                ..op(lb, rb, lc, rc)
            };
            rows.push(row(op(&[1], &[2], &[0, 3], &[1, 0]), d, &[2, 2, 1, 3], &[3, 2, 2]));
        }
        rows.push(row(op(&[1, 0], &[0, 2], &[], &[]), DType::F64, &[2, 3], &[3, 2, 2]));
        rows.push(row(op(&[], &[], &[0], &[0]), DType::F64, &[3], &[3]));
        rows.push(row(op(&[], &[], &[], &[]), DType::F64, &[], &[2]));
        rows.push(row(op(&[0], &[0], &[1], &[1]), DType::F64, &[2, 0, 3], &[2, 0]));
        rows.push(row(matrix(DType::F64), DType::F64, &[0, 3], &[3, 2]));
        rows.push(row(op(&[0], &[0], &[2], &[1]), DType::F64, &[0, 1, 2], &[0, 2, 2]));
        rows
    }
}

/// Checks that `x` and `y` have the same dtype, and that sums of their products can be stored as
/// `to`: the same dtype, or a wider one of the same family (unsigned may become signed).
pub(super) fn check_product_dtypes(op: &str, x: &Type, y: &Type, to: DType) -> Result<()> {
    let from = x.dtype;
    check_kind(op, x, COMPUTED)?;
    if from != y.dtype {
        let why = format!("the operands {x} and {y} differ in dtype; convert one of them");
        return refuse(op, why);
    }
    let is_family =
        from.kind() == to.kind() || (from.kind() == Kind::Unsigned && to.kind() == Kind::Signed);
    if from == to || (is_family && to.bits() > from.bits()) {
        return Ok(());
    }
    let why = format!(
        "expected {from} or a wider dtype of its family for the result of {from} operands, got {to}"
    );
    refuse(op, why)
}

/// Returns the axes that are in neither list.
fn free_axes(rank: usize, a: &[usize], b: &[usize]) -> Vec<usize> {
    (0..rank).filter(|i| !a.contains(i) && !b.contains(i)).collect()
}

/// Returns the product of two matrices.
fn matrix(dtype: DType) -> DotGeneral {
    DotGeneral {
        lhs_batch: vec![],
        rhs_batch: vec![],
        lhs_contract: vec![1],
        rhs_contract: vec![0],
        dtype,
    }
}

fn row(op: DotGeneral, dtype: DType, l: &[usize], r: &[usize]) -> Sample {
    let ty = |s: &[usize]| Type::new(dtype, Shape::from(s));
    Sample {
        op: op.into(),
        inputs: vec![sample(ty(l), -2.0, 3.0), sample(ty(r), -1.0, 2.0)],
        smooth: dtype == DType::F64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DType::*;

    fn dot(op: &DotGeneral, l: Literal, r: Literal) -> Literal {
        op.eval(&mut Eval::default(), vec![l, r]).unwrap().remove(0)
    }

    #[test]
    fn matrices_by_hand() {
        let l = Literal::from_slice([2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
        let r = Literal::from_slice([2, 3], &[1.0f32, 0.0, -1.0, 0.5, 2.0, f32::INFINITY]).unwrap();
        let y = dot(&matrix(F32), l, r);
        assert_eq!(y.ty().to_string(), "f32[2, 3]");
        assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 4.0, f32::INFINITY, 5.0, 8.0, f32::INFINITY]);
    }

    #[test]
    fn integers_wrap_in_the_width_of_the_result() {
        let x = || Literal::from_slice([1, 2], &[100i8, 100]).unwrap();
        let y = || Literal::from_slice([2, 1], &[2i8, 1]).unwrap();
        assert_eq!(dot(&matrix(I8), x(), y()).to_vec::<i8>().unwrap(), [44]);
        assert_eq!(dot(&matrix(I32), x(), y()).to_vec::<i32>().unwrap(), [300]);
        let big = |s| Literal::from_slice(s, &[u64::MAX]).unwrap();
        assert_eq!(dot(&matrix(U64), big([1, 1]), big([1, 1])).to_vec::<u64>().unwrap(), [1]);
    }

    #[test]
    fn bool_is_an_or_of_ands() {
        let l = Literal::from_slice([2, 256], &[[true; 256], [false; 256]].concat()).unwrap();
        let r = Literal::from_slice([256, 1], &[true; 256]).unwrap();
        assert_eq!(dot(&matrix(Bool), l, r).to_vec::<bool>().unwrap(), [true, false]);
    }

    #[test]
    fn complex_numbers_multiply_without_conjugation() {
        let z = |s, re, im| Literal::from_slice(s, &[crate::Complex::new(re, im)]).unwrap();
        let y = dot(&matrix(C64), z([1, 1], 1.0f32, 2.0), z([1, 1], 3.0, -1.0));
        assert_eq!(y.to_vec::<crate::Complex<f32>>().unwrap(), [crate::Complex::new(5.0, 5.0)]);
    }

    #[test]
    fn empty_contractions_are_zero_and_empty_shapes_are_legal() {
        let z = |s: &[usize]| Literal::zeros(Type::new(F32, s));
        assert_eq!(dot(&matrix(F32), z(&[2, 0]), z(&[0, 1])).to_f64s(), [0.0, 0.0]);
        assert_eq!(dot(&matrix(F32), z(&[0, 3]), z(&[3, 2])).ty().to_string(), "f32[0, 2]");
    }

    #[test]
    fn every_layout_gives_the_sums_of_products() {
        // Sizes beyond one block, and every position of the contracted axis.
        for (m, n, k) in [
            (1, 1, 700),
            (70, 1, 70),
            (1, 300, 9),
            (2, 3, 600),
            (5, 300, 37),
            (40, 9, 3),
            (33, 20, 130),
        ] {
            let l = |i: usize, p: usize| ((i * 7 + p * 3) % 11) as f64 - 5.0;
            let r = |p: usize, j: usize| ((j * 5 + p * 2) % 13) as f64 - 6.0;
            let want: Vec<f64> =
                (0..m * n).map(|o| (0..k).map(|p| l(o / n, p) * r(p, o % n)).sum()).collect();
            for (lc, rc) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let grid = |rows: usize, cols: usize, f: &dyn Fn(usize, usize) -> f64| {
                    (0..rows * cols).map(|o| f(o / cols, o % cols)).collect()
                };
                let lv: Vec<f64> =
                    if lc == 1 { grid(m, k, &l) } else { grid(k, m, &|p, i| l(i, p)) };
                let rv: Vec<f64> =
                    if rc == 0 { grid(k, n, &r) } else { grid(n, k, &|j, p| r(p, j)) };
                let op =
                    DotGeneral { lhs_contract: vec![lc], rhs_contract: vec![rc], ..matrix(F32) };
                let x = Literal::from_f64s(F32, if lc == 1 { [m, k] } else { [k, m] }, &lv);
                let y = Literal::from_f64s(F32, if rc == 0 { [k, n] } else { [n, k] }, &rv);
                assert_eq!(dot(&op, x, y).to_f64s(), want, "{m} {n} {k}, axes {lc} {rc}");
            }
        }
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let t = |d, s: &[usize]| Type::new(d, s);
        let say = |op: &DotGeneral, xs: &[Type]| op.infer(xs).unwrap_err().to_string();
        assert!(
            say(&matrix(F32), &[t(F32, &[2, 3]), t(F32, &[2, 3])])
                .contains("contracted axis 1 of f32[2, 3] and axis 0 of f32[2, 3]")
        );
        assert!(say(&matrix(F32), &[t(F32, &[2, 3]), t(F64, &[3, 2])]).contains("differ in dtype"));
        assert!(
            say(&matrix(F16), &[t(F32, &[2, 3]), t(F32, &[3, 2])]).contains("operands, got f16")
        );
        assert!(
            say(&matrix(BF16), &[t(F16, &[2, 3]), t(F16, &[3, 2])]).contains("operands, got bf16")
        );
        assert!(
            say(&matrix(F32), &[t(F32, &[2]), t(F32, &[2, 3])]).contains("axis 1 is out of range")
        );
        let twice = DotGeneral { lhs_batch: vec![1], rhs_batch: vec![0], ..matrix(F32) };
        assert!(
            say(&twice, &[t(F32, &[2, 2]), t(F32, &[2, 2])]).contains("expected different axes")
        );
        let uneven = DotGeneral { lhs_batch: vec![0], ..matrix(F32) };
        assert!(say(&uneven, &[t(F32, &[2, 2]), t(F32, &[2, 2])]).contains("equal numbers of"));
        assert!(say(&matrix(F32), &[t(F32, &[2, 2])]).contains("2 operands"));
    }

    #[test]
    fn a_batch_of_one_side_becomes_a_free_axis() {
        let mut b = Builder::new();
        let x = b.input(Type::new(F32, [2, 3]));
        let y = b.input(Type::new(F32, [3, 7, 4]));
        let axis = Axis { size: 7, name: None };
        let (ys, dims) = matrix(F32).batch(&mut b, &axis, &[x, y], &[None, Some(1)]).unwrap();
        assert_eq!((b.ty(ys[0]).to_string().as_str(), dims), ("f32[2, 7, 4]", vec![Some(1)]));
        let x = b.input(Type::new(F32, [2, 3, 7]));
        let (ys, dims) = matrix(F32).batch(&mut b, &axis, &[x, y], &[Some(2), Some(1)]).unwrap();
        assert_eq!((b.ty(ys[0]).to_string().as_str(), dims), ("f32[7, 2, 4]", vec![Some(0)]));
    }
}
