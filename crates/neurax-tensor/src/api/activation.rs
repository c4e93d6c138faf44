//! Activations and other functions that networks are made of.

use super::common::{axes_last, example, formulas, promote_operands, tensor_or_error};
use crate::{
    AxisInt, DType, IntoAxes, Operand, Tensor, Type,
    args::axes_or_error,
    emit::{emit, emit_implicit, recipe},
    tensor::At,
};
use neurax_ir::{
    Op,
    composite::{CrossEntropy, Gelu, LogSoftmax, LogSumExp, Silu, Softmax},
    op::{Compare, Direction, Iota},
};
use std::panic::Location;

formulas! {
    relu(x) = x.le(0).select(0, x),
        "`max(x, 0)`, element by element; NaN stays, the derivative at 0 is 0. The dtype stays.",
        "tensor([-1.0, 2.0]).relu()" => "[0.0, 2.0]";
    relu6(x) = x.clip(0, 6),
        "`min(max(x, 0), 6)`, element by element.",
        "tensor([-1.0, 2.0, 7.0]).relu6()" => "[0.0, 2.0, 6.0]";
    silu(x) = { let at = Location::caller(); emit(Silu {}, [x.clone().float(at)], at) },
        "`x sigmoid(x)`, element by element; also called swish. Integers and bool give f32.",
        "tensor([0.0, 1.0]).silu()" => "[0.0, 0.7310586]";
    selu(x) = x.elu(1.673_263_242_354_377_2) * 1.050_700_987_355_480_5,
        "Scaled [`Tensor::elu`] that keeps mean 0 and variance 1. Klambauer et al., Self-Normalizing Neural Networks (<https://arxiv.org/abs/1706.02515>).",
        "tensor([-1.0, 1.0]).selu()" => "[-1.1113307, 1.050701]";
    softplus(x) = x.logaddexp(0.0),
        "`log(1 + e^x)`, element by element, without overflow.",
        "tensor([0.0, 100.0]).softplus()" => "[0.6931472, 100.0]";
    softsign(x) = x / (x.abs() + 1.0),
        "`x / (1 + |x|)`, element by element.",
        "tensor([-1.0, 3.0]).softsign()" => "[-0.5, 0.75]";
    squareplus(x) = (x + (x * x + 4.0).sqrt()) * 0.5,
        "`(x + sqrt(x^2 + 4)) / 2`, element by element: smooth like softplus, without powers.",
        "tensor([0.0, 1.5]).squareplus()" => "[1.0, 2.0]";
    log_sigmoid(x) = -(-x).softplus(),
        "`log(sigmoid(x))`, element by element, without underflow.",
        "tensor([0.0, -100.0]).log_sigmoid()" => "[-0.6931472, -100.0]";
    hard_tanh(x) = x.clip(-1, 1),
        "`x` between -1 and 1, -1 below and 1 above.",
        "tensor([-2.0, 0.5, 2.0]).hard_tanh()" => "[-1.0, 0.5, 1.0]";
    hard_sigmoid(x) = (x + 3.0).relu6() / 6.0,
        "`min(max(x + 3, 0), 6) / 6`, element by element.",
        "tensor([-4.0, 0.0, 3.0]).hard_sigmoid()" => "[0.0, 0.5, 1.0]";
    hard_silu(x) = x * x.hard_sigmoid(),
        "`x hard_sigmoid(x)`, element by element; also called hard swish.",
        "tensor([-4.0, 1.5, 3.0]).hard_silu()" => "[0.0, 1.125, 3.0]";
    mish(x) = x * x.softplus().tanh(),
        "`x tanh(softplus(x))`, element by element. Misra, Mish (<https://arxiv.org/abs/1908.08681>).",
        "tensor([0.0, 1.0]).mish()" => "[0.0, 0.8650984]";
    tanh_shrink(x) = x - x.tanh(),
        "`x - tanh(x)`, element by element.",
        "tensor([0.0, 1.0]).tanh_shrink()" => "[0.0, 0.23840584]";
}

impl Tensor {
    /// `x Phi(x)`, element by element, with the normal distribution's `Phi`: exactly, by the error
    /// function, or approximately, by tanh. Integers and bool give f32. Hendrycks and Gimpel,
    /// Gaussian Error Linear Units (<https://arxiv.org/abs/1606.08415>).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0]);
    /// assert_eq!(x.gelu(false).to_string(), "f32[1] [0.8413]");
    /// assert_eq!(x.gelu(true).to_string(), "f32[1] [0.8412]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn gelu(&self, approximate: bool) -> Tensor {
        let at = Location::caller();
        emit(Gelu { approximate }, [self.clone().float(at)], at)
    }

    /// `x` above 0, else `alpha (e^x - 1)`, element by element.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([f32::NEG_INFINITY, 2.0]).elu(1.0).to_vec::<f32>()?, [-1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Tensor {
        let x = self.clone().float(Location::caller());
        // Where the other branch is taken, the power is of 0: it cannot overflow, nor can its
        // derivative.
        let below = x.gt(0).select(0, &x).expm1() * alpha;
        x.gt(0).select(&x, below)
    }

    /// `max(x, 0) + min(0, alpha (e^(x / alpha) - 1))`, element by element: [`Tensor::elu`] with
    /// slope 1 at 0 for every alpha.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([f32::NEG_INFINITY, 2.0]).celu(0.5).to_vec::<f32>()?, [-0.5, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn celu(&self, alpha: f64) -> Tensor {
        let x = self.clone().float(Location::caller());
        let below = (x.gt(0).select(0, &x) / alpha).expm1() * alpha;
        x.gt(0).select(&x, below)
    }

    /// `x` from 0 on, else `slope x`, element by element.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-2.0, 2.0]).leaky_relu(0.25).to_vec::<f32>()?, [-0.5, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn leaky_relu(&self, slope: impl Operand) -> Tensor {
        let below = self * slope.operand(self);
        self.ge(0).select(self, below)
    }

    /// `x` where it is further than `bound` from 0, else 0.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-2.0, 0.25, 2.0]).hard_shrink(0.5).to_vec::<f32>()?, [-2.0, 0.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn hard_shrink(&self, bound: f64) -> Tensor {
        self.abs().le(bound).select(0, self)
    }

    /// `x` moved towards 0 by `bound`, 0 within it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-2.0, 0.25, 2.0]).soft_shrink(0.5).to_vec::<f32>()?, [-1.5, 0.0, 1.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn soft_shrink(&self, bound: f64) -> Tensor {
        self - self.clip(-bound, bound)
    }

    /// The first half of an axis times the sigmoid of the second half: the gated linear unit. The
    /// axis must have an even size.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0, 4.0, 0.0, 0.0]).glu(-1).to_vec::<f32>()?, [1.5, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn glu(&self, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let axis = match self.axis_at(axis, "glu", at) {
            Ok(a) => a,
            Err(e) => return e,
        };
        let n = self.shape()[axis];
        if n % 2 == 1 {
            return Tensor::fail(
                "glu",
                format!(
                    "expected an even size along axis {axis}, got {n} in {}",
                    self.dtype_and_shape()
                ),
                at,
            );
        }
        let half = (n / 2) as i64;
        self.slice(axis, ..half) * self.slice(axis, half..).sigmoid()
    }

    /// `e^x / sum(e^x)` over the axes, together. Integers and bool give f32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 1.0]).softmax(-1).to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn softmax(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        tensor_or_error(self.over_one_axis("softmax", &axes, |axis| Softmax { axis }.into(), at))
    }

    /// `log(softmax(x))` over the axes, together, computed so that nothing over- or underflows.
    /// Integers and bool give f32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0.0, 1000.0]).log_softmax(-1).to_vec::<f32>()?, [-1000.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn log_softmax(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        tensor_or_error(self.over_one_axis(
            "log_softmax",
            &axes,
            |axis| LogSoftmax { axis }.into(),
            at,
        ))
    }

    /// `log(sum(e^x))` over the axes, computed so that nothing overflows. Integers and bool give
    /// f32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1000.0, -1000.0]).logsumexp(..).item()?, 1000.0);
    /// assert_eq!(Tensor::zeros([2, 3]).logsumexp(keep(-1)).shape(), [2, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logsumexp(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let sum = || {
            let x = self.real_float("logsumexp", at)?;
            let list = axes_or_error(&x, &axes, "logsumexp", at)?;
            let shape = x.shape_without(&list, axes.keep());
            let merged = x.merge_axes_last(&list, at);
            let axis = merged.rank().saturating_sub(1);
            Ok(emit(LogSumExp { axis }, [merged], at).reshaped(shape, at))
        };
        tensor_or_error(sum())
    }

    /// The cross-entropy of these logits (before the softmax) and `targets`, probabilities of the
    /// same shape: `-sum(targets log_softmax(x))` over the last axis, which is removed. What has
    /// probability zero costs nothing, however unlikely the logits make it. Both are promoted to
    /// one dtype; integers and bool give f32. [`Tensor::one_hot`] makes targets of class numbers.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let logits = tensor([[0.0, 0.0], [1000.0, 0.0]]);
    /// assert_eq!(logits.cross_entropy(tensor([[1.0, 0.0], [0.0, 1.0]])).to_vec::<f32>()?, [0.6931472, 1000.0]);
    /// assert_eq!(logits.cross_entropy(tensor([1, 0]).one_hot(2)).to_vec::<f32>()?, [0.6931472, 0.0]);
    /// let e = logits.cross_entropy(tensor([1.0, 0.0])).item().unwrap_err();
    /// assert!(e.to_string().starts_with("cross_entropy: the logits are f32[2, 2], the targets f32[2]; give probabilities"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cross_entropy(&self, targets: impl Operand) -> Tensor {
        let at = Location::caller();
        let targets = targets.operand(self);
        let cost = || {
            let both = [self.real_float("cross_entropy", at)?, targets];
            Ok(emit(CrossEntropy {}, promote_operands("cross_entropy", &both, at)?, at))
        };
        tensor_or_error(cost())
    }

    /// An op that normalises along one axis, over several axes together: they are merged to one for
    /// it.
    fn over_one_axis(
        &self,
        name: &str,
        axes: &impl IntoAxes,
        op: impl Fn(usize) -> Op,
        at: At,
    ) -> Result<Tensor, Tensor> {
        let x = self.real_float(name, at)?;
        let list = axes_or_error(&x, axes, name, at)?;
        if let [axis] = list[..] {
            return Ok(emit(op(axis), [x], at));
        }
        let merged = x.merge_axes_last(&list, at);
        let y = emit(op(merged.rank() - 1), [merged], at);
        let order = axes_last(x.rank(), &list);
        let shape: Vec<usize> = order.iter().map(|&a| x.shape()[a]).collect();
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &a)| back[a] = i);
        Ok(y.reshaped(shape, at).permute_at(back, at))
    }

    /// For every integer a row of `classes` numbers, f32: 1 at that place and 0 elsewhere; all 0
    /// for integers out of range. The new axis is the last one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 0]).one_hot(3).to_vec::<f32>()?, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Tensor {
        let at = Location::caller();
        let hot = || {
            let x = self.integers("one_hot", at)?;
            let (rank, shape) = (self.rank(), &self.type_or_error()?.shape);
            let row = Type::new(x.dtype(), shape.inserted(rank, classes));
            let class = recipe(at, |b| b.emit(Iota { ty: row, axis: rank }, &[]));
            let on = emit_implicit(
                Compare { direction: Direction::Eq },
                [x.reshaped(shape.inserted(rank, 1), at), class],
                at,
            );
            Ok(on.convert(DType::F32, at))
        };
        tensor_or_error(hot())
    }
}
