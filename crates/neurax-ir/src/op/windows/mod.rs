//! `reduce_window`, and the ops of its derivatives: `select_and_gather`, `select_and_scatter`.

mod eval;
mod samples;

use super::pointwise::{COMPUTED, check_kind};
use super::{
    ArgKind, Axis, Batched, Bound, Combine, Primitive, ReduceKind, Sample, Slide, Tangent,
    Transposed, rules::*,
};
use crate::{Builder, Eval, Literal, Result, Shape, Type, Value, graph::attr::attrs};

attrs! {
    /// The reduction of the elements under each window. Padding and dilation are identity elements:
    /// they never change a result, and a window without elements yields the identity element. Sums,
    /// maxima and minima have a derivative. <https://openxla.org/stablehlo/spec#reduce_window>
    pub struct ReduceWindow = "reduce_window" {
        /// The function that combines elements.
        kind: ReduceKind,
        /// The number of taps of a window along every axis.
        sizes: Vec<usize>,
        /// The window positions along every axis.
        slides: Vec<Slide>,
    }

    /// The elements of `source` at the extrema of windows: operands `(x, source)` of the same
    /// shape. For each window it is the element of `source` at the position of the largest or
    /// smallest element of `x` under the window; the first of equals, and NaN wins. A window
    /// without elements yields zero.
    ///
    /// It is the derivative of a maximum or minimum of windows, and linear in `source`, which may
    /// have any dtype.
    pub struct SelectAndGather = "select_and_gather" {
        /// The extremum that is selected.
        kind: ArgKind,
        /// The number of taps of a window along every axis.
        sizes: Vec<usize>,
        /// The window positions along every axis.
        slides: Vec<Slide>,
    }

    /// The sums of `source` at the extrema of windows: operands `(x, source)`, where `source` has
    /// one element for each window over `x`. Each is added, to zeros of the shape of `x`, at the
    /// position of the largest or smallest element of `x` under its window; the first of equals,
    /// and NaN wins. Elements of windows without elements are dropped.
    ///
    /// It is the transpose of [`SelectAndGather`].
    /// <https://openxla.org/stablehlo/spec#select_and_scatter>
    pub struct SelectAndScatter = "select_and_scatter" {
        /// The extremum that is selected.
        kind: ArgKind,
        /// The number of taps of a window along every axis.
        sizes: Vec<usize>,
        /// The window positions along every axis.
        slides: Vec<Slide>,
    }
}

/// Returns the number of windows along every axis of `x`.
fn counts(op: &str, x: &Type, sizes: &[usize], slides: &[Slide]) -> Result<Shape> {
    if [sizes.len(), slides.len()] != [x.rank(); 2] {
        return refuse(
            op,
            format!(
                "expected one size and one slide for each axis of {x}, got {} and {}",
                sizes.len(),
                slides.len()
            ),
        );
    }
    let one = |i: usize| {
        slides[i]
            .count(x.shape[i], sizes[i])
            .or_else(|why| refuse(op, format!("axis {i} of {x}: {why}")))
    };
    (0..x.rank()).map(one).collect::<Result<Vec<_>>>().map(Shape::from)
}

/// Returns sizes and slides with windows of one element along a new axis `d`.
fn with_axis(d: usize, sizes: &[usize], slides: &[Slide]) -> (Vec<usize>, Vec<Slide>) {
    let (mut sizes, mut slides) = (sizes.to_vec(), slides.to_vec());
    sizes.insert(d, 1);
    slides.insert(d, Slide::default());
    (sizes, slides)
}

impl ReduceWindow {
    fn select_and_gather(&self, kind: ArgKind) -> SelectAndGather {
        SelectAndGather { kind, sizes: self.sizes.clone(), slides: self.slides.clone() }
    }

    /// Emits the transpose of a sum: for each element, the sum of the cotangents `ct` of all
    /// windows over it.
    fn transposed_sum(&self, b: &mut Builder, x: &Type, ct: Value) -> Value {
        let counts = b.ty(ct).shape.clone();
        if x.size() == 0 || counts.size() == 0 {
            return b.zeros(x.clone());
        }
        let slide = |(i, s): (usize, &Slide)| s.transposed(x.shape[i], self.sizes[i], counts[i]);
        let slides = self.slides.iter().enumerate().map(slide).collect();
        b.emit(ReduceWindow { slides, ..self.clone() }, &[ct])
    }
}

impl Primitive for ReduceWindow {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        self.kind.check(Self::NAME, &xs[0])?;
        Ok(vec![xs[0].with_shape(counts(Self::NAME, &xs[0], &self.sizes, &self.slides)?)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let shape = counts(Self::NAME, xs[0].ty(), &self.sizes, &self.slides)?;
        let windows = eval::WindowGrid::new(xs[0].shape(), &shape, &self.sizes, &self.slides);
        Ok(vec![windows.reduce(self.kind, &xs[0], xs[0].ty().with_shape(shape))])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let (x, Some(dx)) = (at.xs[0], dxs[0]) else { return Ok(no_tangents(at)) };
        Ok(vec![match self.kind {
            ReduceKind::Sum => Some(b.emit(self.clone(), &[dx])),
            ReduceKind::Max => Some(b.emit(self.select_and_gather(ArgKind::Max), &[x, dx])),
            ReduceKind::Min => Some(b.emit(self.select_and_gather(ArgKind::Min), &[x, dx])),
            ReduceKind::Prod => {
                return no_derivative(
                    Self::NAME,
                    "multiply slices of the operand, one for each tap of the window",
                );
            }
            ReduceKind::And | ReduceKind::Or | ReduceKind::Xor => None,
        }])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if self.kind != ReduceKind::Sum {
            return Transposed::NotLinear;
        }
        let x = b.ty(at.xs[0]).clone();
        Transposed::Cotangents(vec![cts[0].map(|ct| self.transposed_sum(b, &x, ct))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        _: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let mut op = self.clone();
        if let Some(d) = dims[0] {
            (op.sizes, op.slides) = with_axis(d, &self.sizes, &self.slides);
        }
        Ok((b.emit_n(op, xs, 1), dims.to_vec()))
    }

    fn samples() -> Vec<Sample> {
        samples::reduce()
    }
}

impl Primitive for SelectAndGather {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let shape = check_select(Self::NAME, xs, &self.sizes, &self.slides)?;
        if xs[0].shape != xs[1].shape {
            return refuse(
                Self::NAME,
                format!("expected operands of the same shape, got {} and {}", xs[0], xs[1]),
            );
        }
        Ok(vec![xs[1].with_shape(shape)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let shape = counts(Self::NAME, xs[0].ty(), &self.sizes, &self.slides)?;
        let windows = eval::WindowGrid::new(xs[0].shape(), &shape, &self.sizes, &self.slides);
        let positions = windows.positions(self.kind, &xs[0]);
        Ok(vec![eval::gather(&positions, &xs[1], xs[1].ty().with_shape(shape))])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[1].map(|d| b.emit(self.clone(), &[at.xs[0], d]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if linear[0] {
            return Transposed::NotLinear;
        }
        let op = SelectAndScatter {
            kind: self.kind,
            sizes: self.sizes.clone(),
            slides: self.slides.clone(),
        };
        Transposed::Cotangents(vec![None, cts[0].map(|ct| b.emit(op, &[at.xs[0], ct]))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let (sizes, slides) = with_axis(0, &self.sizes, &self.slides);
        let xs = batch_front(b, axis, xs, dims);
        Ok(at_front(b.emit_n(SelectAndGather { kind: self.kind, sizes, slides }, &xs, 1)))
    }

    fn samples() -> Vec<Sample> {
        samples::gather()
    }
}

impl Primitive for SelectAndScatter {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let shape = check_select(Self::NAME, xs, &self.sizes, &self.slides)?;
        if shape != xs[1].shape {
            return refuse(
                Self::NAME,
                format!(
                    "expected one element for each of {shape} windows over {}, got {}",
                    xs[0], xs[1]
                ),
            );
        }
        Ok(vec![xs[1].with_shape(&xs[0].shape)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let counts = xs[1].shape();
        let windows = eval::WindowGrid::new(xs[0].shape(), counts, &self.sizes, &self.slides);
        let positions = windows.positions(self.kind, &xs[0]);
        Ok(vec![eval::scatter(&positions, &xs[1], xs[1].ty().with_shape(xs[0].shape()))])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[1].map(|d| b.emit(self.clone(), &[at.xs[0], d]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if linear[0] {
            return Transposed::NotLinear;
        }
        let op = SelectAndGather {
            kind: self.kind,
            sizes: self.sizes.clone(),
            slides: self.slides.clone(),
        };
        Transposed::Cotangents(vec![None, cts[0].map(|ct| b.emit(op, &[at.xs[0], ct]))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let (sizes, slides) = with_axis(0, &self.sizes, &self.slides);
        let xs = batch_front(b, axis, xs, dims);
        Ok(at_front(b.emit_n(SelectAndScatter { kind: self.kind, sizes, slides }, &xs, 1)))
    }

    fn samples() -> Vec<Sample> {
        samples::scatter()
    }
}

/// Checks the operands of both selections, and returns the number of windows along every axis.
fn check_select(op: &str, xs: &[Type], sizes: &[usize], slides: &[Slide]) -> Result<Shape> {
    arity(op, xs, 2)?;
    if xs[0].dtype.is_complex() {
        return refuse(
            op,
            format!(
                "complex numbers ({}) have no order; take the real part or the modulus first",
                xs[0]
            ),
        );
    }
    xs.iter().try_for_each(|x| check_kind(op, x, COMPUTED))?;
    counts(op, &xs[0], sizes, slides)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::transform::{eval, grad};

    fn ints(shape: &[usize], v: &[f64]) -> Literal {
        Literal::from_f64s(DType::I32, shape, v)
    }

    /// Returns windows of 2 by 2, with stride 2 along the second axis.
    fn square() -> (Vec<usize>, Vec<Slide>) {
        (vec![2, 2], vec![Slide::default(), Slide { stride: 2, ..Slide::default() }])
    }

    fn reduce(kind: ReduceKind, x: &Literal, size: usize, slide: Slide) -> Vec<f64> {
        let op = ReduceWindow { kind, sizes: vec![size], slides: vec![slide] };
        op.eval(&mut Eval::default(), vec![x.clone()]).unwrap()[0].to_f64s()
    }

    #[test]
    fn windows_are_reduced() {
        let (sizes, slides) = square();
        let x = ints(&[3, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        let of = |kind| {
            ReduceWindow { kind, sizes: sizes.clone(), slides: slides.clone() }
                .eval(&mut Eval::default(), vec![x.clone()])
                .unwrap()
        };
        assert_eq!(of(ReduceKind::Sum)[0].to_f64s(), [14.0, 22.0, 30.0, 38.0]);
        assert_eq!(of(ReduceKind::Max)[0].to_f64s(), [6.0, 8.0, 10.0, 12.0]);
        assert_eq!(of(ReduceKind::Prod)[0].to_f64s(), [60.0, 672.0, 2700.0, 7392.0]);
    }

    #[test]
    fn padding_is_the_identity_element() {
        let x = Literal::from_f64s(DType::F32, [2], &[-3.0, -2.0]);
        let around = Slide { low: 2, high: 1, base_dilation: 2, ..Slide::default() };
        assert_eq!(
            reduce(ReduceKind::Max, &x, 2, around),
            [f64::NEG_INFINITY, -3.0, -3.0, -2.0, -2.0]
        );
        assert_eq!(reduce(ReduceKind::Sum, &x, 2, around), [0.0, -3.0, -3.0, -2.0, -2.0]);
        let x = Literal::from_f64s(DType::F32, [4], &[1.0, f64::NAN, 2.0, 3.0]);
        let y = reduce(ReduceKind::Max, &x, 2, Slide { stride: 2, ..Slide::default() });
        assert!(y[0].is_nan() && y[1] == 3.0, "NaN wins");
        assert_eq!(
            reduce(
                ReduceKind::Min,
                &Literal::zeros(Type::new(DType::U4, [0])),
                2,
                Slide { low: 2, ..Slide::default() }
            ),
            [15.0]
        );
    }

    #[test]
    fn sums_are_rounded_once_and_bool_is_an_or() {
        let x = Literal::from_f64s(DType::F32, [2, 2], &[1e8, 1.0, 1.0, -1e8]);
        let op = ReduceWindow {
            kind: ReduceKind::Sum,
            sizes: vec![2, 2],
            slides: vec![Slide::default(); 2],
        };
        assert_eq!(op.eval(&mut Eval::default(), vec![x]).unwrap()[0].to_f64s(), [2.0]);
        let x = Literal::from_slice([3], &[true, true, false]).unwrap();
        assert_eq!(reduce(ReduceKind::Sum, &x, 2, Slide::default()), [1.0, 1.0]);
        assert_eq!(reduce(ReduceKind::Prod, &x, 2, Slide::default()), [1.0, 0.0]);
    }

    #[test]
    fn the_first_of_equals_is_selected() {
        let (sizes, slides) = square();
        let x = ints(&[3, 4], &[1.0, 7.0, 3.0, 3.0, 7.0, 0.0, 3.0, 3.0, 9.0, 9.0, 2.0, 3.0]);
        let indices =
            ints(&[3, 4], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        let gather =
            SelectAndGather { kind: ArgKind::Max, sizes: sizes.clone(), slides: slides.clone() };
        let y = gather.eval(&mut Eval::default(), vec![x.clone(), indices]).unwrap().remove(0);
        assert_eq!(y.to_f64s(), [1.0, 2.0, 8.0, 6.0]);
        let scatter = SelectAndScatter { kind: ArgKind::Max, sizes, slides };
        let y = scatter
            .eval(&mut Eval::default(), vec![x, ints(&[2, 2], &[1.0, 10.0, 100.0, 1000.0])])
            .unwrap()
            .remove(0);
        assert_eq!(y.to_f64s(), [0.0, 1.0, 10.0, 0.0, 0.0, 0.0, 1000.0, 0.0, 100.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn nan_is_selected_and_empty_windows_give_zero() {
        let op = |kind| SelectAndGather {
            kind,
            sizes: vec![2],
            slides: vec![Slide { low: 2, ..Slide::default() }],
        };
        let x = Literal::from_f64s(DType::F32, [3], &[1.0, f64::NAN, -2.0]);
        let source = Literal::from_f64s(DType::F32, [3], &[5.0, 6.0, 7.0]);
        for kind in [ArgKind::Max, ArgKind::Min] {
            let y = op(kind)
                .eval(&mut Eval::default(), vec![x.clone(), source.clone()])
                .unwrap()
                .remove(0);
            assert_eq!(y.to_f64s(), [0.0, 5.0, 6.0, 6.0], "{kind:?}");
        }
    }

    #[test]
    fn the_gradient_of_a_maximum_goes_to_one_element() {
        let mut b = Builder::new();
        let x = b.input(Type::new(DType::F32, [5]));
        let y = b.emit(
            ReduceWindow {
                kind: ReduceKind::Max,
                sizes: vec![3],
                slides: vec![Slide { stride: 2, ..Slide::default() }],
            },
            &[x],
        );
        let y = b.sum(y, &[0]);
        let g = grad(&b.finish(&[y]).unwrap(), &[true]).unwrap();
        let ys = eval(&g, vec![Literal::from_f64s(DType::F32, [5], &[1.0, 2.0, 4.0, 4.0, 0.0])])
            .unwrap();
        assert_eq!(ys[1].to_f64s(), [0.0, 0.0, 2.0, 0.0, 0.0]);
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let t = |d, s: &[usize]| Type::new(d, s);
        let say = |kind, sizes: &[usize], slides: usize, x: Type| {
            ReduceWindow { kind, sizes: sizes.to_vec(), slides: vec![Slide::default(); slides] }
                .infer(&[x])
                .unwrap_err()
                .to_string()
        };
        assert!(
            say(ReduceKind::Sum, &[2], 2, t(DType::F32, &[3])).contains("one size and one slide")
        );
        assert!(
            say(ReduceKind::Sum, &[0], 1, t(DType::F32, &[3]))
                .contains("axis 0 of f32[3]: windows of 0")
        );
        assert!(say(ReduceKind::Max, &[1], 1, t(DType::C64, &[3])).contains("max is not defined"));
        let (sizes, slides) = (vec![2], vec![Slide::default()]);
        let scatter =
            SelectAndScatter { kind: ArgKind::Max, sizes: sizes.clone(), slides: slides.clone() };
        let e = scatter.infer(&[t(DType::F32, &[3]), t(DType::F32, &[3])]).unwrap_err().to_string();
        assert!(e.contains("each of [2] windows over f32[3], got f32[3]"), "{e}");
        let gather = SelectAndGather { kind: ArgKind::Max, sizes, slides };
        assert!(
            gather
                .infer(&[t(DType::C64, &[3]), t(DType::C64, &[3])])
                .unwrap_err()
                .to_string()
                .contains("no order")
        );
        assert!(
            gather
                .infer(&[t(DType::F32, &[3]), t(DType::F32, &[2])])
                .unwrap_err()
                .to_string()
                .contains("expected operands of the same shape")
        );
    }
}
