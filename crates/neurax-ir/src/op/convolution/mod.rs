//! `convolution`, with groups, strides, padding and dilations, over any number of space axes.

mod eval;
mod rules;
mod samples;

use super::dot::check_product_dtypes;
use super::{Axis, Batched, Bound, Primitive, Sample, Slide, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// A convolution of operands `(x, kernel)`: the products of the kernel with each window of `x`,
    /// summed over taps and features. The kernel is not reversed (a cross-correlation).
    ///
    /// The axes of `x` are (batch, features, space ..), those of the kernel (result features,
    /// features of a group, taps ..), those of the result (batch, result features, space ..). Other
    /// layouts are transpositions of these. There can be any number of space axes.
    ///
    /// With `groups`, the features of operand and result are divided into that number of equal
    /// groups, and group `i` of the result is computed from group `i` of the operand. Padding and
    /// dilation insert zeros; negative padding crops. Both operands have the same dtype; products
    /// are accumulated and stored as in [`super::DotGeneral`].
    ///
    /// <https://openxla.org/stablehlo/spec#convolution>, whose `batch_group_count` is `groups`
    /// after a reshape of the operand.
    pub struct Convolution = "convolution" {
        /// The window positions along each space axis.
        slides: Vec<Slide>,
        /// The number of feature groups.
        groups: usize,
        /// The dtype of the result: the operands' own, or a wider one of the same family (unsigned
        /// may become signed).
        dtype: DType,
    }
}

impl Primitive for Convolution {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        let (x, w) = (&xs[0], &xs[1]);
        check_product_dtypes(Self::NAME, x, w, self.dtype)?;
        let rank = self.slides.len() + 2;
        if [x.rank(), w.rank()] != [rank; 2] {
            let why = format!(
                "expected operands of {rank} axes for {} space axes, got {x} and {w}",
                self.slides.len()
            );
            return refuse(Self::NAME, why);
        }
        self.check_features(x, w)?;
        let space = |i: usize| self.slides[i].count(x.shape[i + 2], w.shape[i + 2]);
        let space = |i: usize| {
            space(i)
                .or_else(|why| refuse(Self::NAME, format!("axis {} of {x} and {w}: {why}", i + 2)))
        };
        let sizes =
            [Ok(x.shape[0]), Ok(w.shape[0])].into_iter().chain((0..self.slides.len()).map(space));
        Ok(vec![Type::new(self.dtype, sizes.collect::<Result<Vec<_>>>()?)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let ty = self.infer(&[xs[0].ty().clone(), xs[1].ty().clone()])?.remove(0);
        Ok(vec![eval::convolve(self, &xs[0], &xs[1], ty)])
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
                Transposed::Cotangents(vec![Some(self.operand_cotangent(b, at, ct)), None])
            }
            [false, true] => {
                Transposed::Cotangents(vec![None, Some(self.kernel_cotangent(b, at, ct))])
            }
            _ => Transposed::NotLinear,
        }
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        Ok(match (dims[0], dims[1]) {
            (Some(d), None) => self.batch_operand(b, xs, d),
            (None, Some(d)) => self.batch_kernel(b, xs, d),
            (Some(x), Some(w)) => self.batch_both(b, axis, xs, x, w),
            (None, None) => (b.emit_n(self.clone(), xs, 1), vec![None]),
        })
    }

    fn samples() -> Vec<Sample> {
        samples::rows()
    }
}

impl Convolution {
    fn check_features(&self, x: &Type, w: &Type) -> Result<()> {
        let (groups, all, of_group, results) = (self.groups, x.shape[1], w.shape[1], w.shape[0]);
        if groups == 0 || results % groups != 0 {
            return refuse(
                Self::NAME,
                format!(
                    "the {results} features of the result (axis 0 of {w}) are not divisible into \
                     {groups} groups"
                ),
            );
        }
        if of_group.checked_mul(groups) != Some(all) {
            let why = format!(
                "{groups} groups of {of_group} features (axis 1 of the kernel {w}) are not the \
                 {all} features (axis 1) of {x}"
            );
            return refuse(Self::NAME, why);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(slides: Vec<Slide>, groups: usize, x: &Literal, w: &Literal) -> Literal {
        let op = Convolution { slides, groups, dtype: x.dtype() };
        let y = op.eval(&mut Eval::default(), vec![x.clone(), w.clone()]).unwrap().remove(0);
        assert_eq!(op.infer(&[x.ty().clone(), w.ty().clone()]).unwrap(), [y.ty().clone()]);
        y
    }

    fn lit(dtype: DType, shape: &[usize], v: &[f64]) -> Literal {
        Literal::from_f64s(dtype, shape, v)
    }

    #[test]
    fn a_row_by_hand() {
        let x = lit(DType::F32, &[1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
        let w = lit(DType::F32, &[1, 1, 3], &[1.0, 0.0, -1.0]);
        let run = |s: Slide| conv(vec![s], 1, &x, &w).to_f64s();
        let plain = Slide::default();
        assert_eq!(run(plain), [-2.0, -2.0], "the kernel is not reversed");
        assert_eq!(run(Slide { low: 1, high: 1, ..plain }), [-2.0, -2.0, -2.0, 3.0]);
        assert_eq!(run(Slide { stride: 2, low: 1, high: 1, ..plain }), [-2.0, -2.0]);
        assert_eq!(run(Slide { base_dilation: 2, ..plain }), [-1.0, 0.0, -1.0, 0.0, -1.0]);
        assert_eq!(run(Slide { window_dilation: 2, low: 1, ..plain }), [-4.0]);
        assert_eq!(run(Slide { low: -1, ..plain }), [-2.0]);
        assert_eq!(run(Slide { low: -2, ..plain }), [0.0; 0]);
        // Windows far apart: no array of the padded size may be allocated.
        let far = Slide { stride: 1 << 40, low: 1 << 40, high: 1 << 40, ..plain };
        assert_eq!(run(far), [0.0, -2.0, 0.0]);
    }

    #[test]
    fn an_image_by_hand() {
        let x = lit(
            DType::I32,
            &[1, 2, 2, 3],
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
        );
        let w = lit(DType::I32, &[1, 2, 2, 2], &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(
            conv(vec![Slide::default(); 2], 1, &x, &w).to_f64s(),
            [12.0 + 60.0, 16.0 + 80.0]
        );
        let each = lit(DType::I32, &[4, 1, 1, 1], &[1.0, 2.0, 3.0, 4.0]);
        let y = conv(
            vec![Slide { low: -1, ..Slide::default() }, Slide { stride: 2, ..Slide::default() }],
            2,
            &x,
            &each,
        );
        assert_eq!(y.ty().to_string(), "i32[1, 4, 1, 2]");
        assert_eq!(
            y.to_f64s(),
            [4.0, 6.0, 8.0, 12.0, 120.0, 180.0, 160.0, 240.0],
            "two results of each feature"
        );
    }

    #[test]
    fn without_space_axes_it_is_a_product() {
        let x = lit(DType::F32, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let w = lit(DType::F32, &[1, 2], &[10.0, 1.0]);
        assert_eq!(conv(vec![], 1, &x, &w).to_f64s(), [12.0, 34.0]);
    }

    #[test]
    fn dtypes_sum_as_products_do() {
        let ones = |d, n: usize| lit(d, &[1, 1, n], &vec![1.0; n]);
        assert_eq!(
            conv(vec![Slide::default()], 1, &ones(DType::Bool, 256), &ones(DType::Bool, 256))
                .to_f64s(),
            [1.0]
        );
        assert_eq!(
            conv(vec![Slide::default()], 1, &ones(DType::U8, 256), &ones(DType::U8, 256)).to_f64s(),
            [0.0],
            "it wraps"
        );
        let x = lit(DType::F32, &[1, 1, 3], &[1e8, 1.0, -1e8]);
        assert_eq!(
            conv(vec![Slide::default()], 1, &x, &ones(DType::F32, 3)).to_f64s(),
            [1.0],
            "summed in f64"
        );
        let op = Convolution { slides: vec![Slide::default()], groups: 1, dtype: DType::I32 };
        let x = lit(DType::I8, &[1, 1, 2], &[100.0, 100.0]);
        assert_eq!(
            op.eval(&mut Eval::default(), vec![x.clone(), x]).unwrap()[0].to_f64s(),
            [20000.0]
        );
    }

    #[test]
    fn empty_shapes_are_legal() {
        let z = |s: &[usize]| Literal::zeros(Type::new(DType::F32, s));
        let of = |x: &[usize], w: &[usize]| {
            conv(vec![Slide::default()], 1, &z(x), &z(w)).ty().to_string()
        };
        assert_eq!(of(&[0, 1, 3], &[2, 1, 2]), "f32[0, 2, 2]");
        assert_eq!(of(&[1, 0, 3], &[2, 0, 2]), "f32[1, 2, 2]");
        assert_eq!(of(&[1, 1, 0], &[2, 1, 2]), "f32[1, 2, 0]");
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let t = |d, s: &[usize]| Type::new(d, s);
        let say = |groups, x: Type, w: Type| {
            let op = Convolution { slides: vec![Slide::default()], groups, dtype: x.dtype };
            op.infer(&[x, w]).unwrap_err().to_string()
        };
        assert!(
            say(1, t(DType::F32, &[1, 2, 3]), t(DType::F32, &[1, 3, 3]))
                .contains("are not the 2 features (axis 1) of f32[1, 2, 3]")
        );
        assert!(
            say(2, t(DType::F32, &[1, 2, 3]), t(DType::F32, &[3, 1, 3]))
                .contains("are not divisible into 2 groups")
        );
        assert!(say(0, t(DType::F32, &[1, 2, 3]), t(DType::F32, &[3, 1, 3])).contains("0 groups"));
        assert!(
            say(1, t(DType::F32, &[1, 2, 3]), t(DType::F64, &[3, 2, 3]))
                .contains("differ in dtype")
        );
        assert!(
            say(1, t(DType::F32, &[1, 2]), t(DType::F32, &[3, 2, 3]))
                .contains("operands of 3 axes")
        );
        assert!(
            say(1, t(DType::F32, &[1, 2, 3]), t(DType::F32, &[3, 2, 0])).contains("windows of 0")
        );
    }
}
