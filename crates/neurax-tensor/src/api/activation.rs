//! Activations and losses of neural networks.
//!
//! Elementwise activations are rows of `float_formulas!`, of `formulas!` where the dtype is kept,
//! or composites of the IR where compilers and derivatives treat the function as one op (`silu`,
//! `gelu`, `softmax`, ..).

use super::common::{
    axes_last, example, float_formulas, formulas, promote_operands, tensor_or_error,
};
use crate::{
    AxisInt, DType, IntoAxes, Operand, Tensor, Type,
    args::axes_or_error,
    dispatch::{dispatch, dispatch_broadcast, lazy_constant},
    operators::{float_operand, float_operands},
    tensor::CallSite,
};
use neurax_ir::{
    Op,
    composite::{CrossEntropy, Gelu, LogSoftmax, LogSumExp, Silu, Softmax, SparseCrossEntropy},
    op::{Compare, Direction, Iota},
};
use std::panic::Location;

formulas! {
    relu(x) = x.le(0).select(0, x),
        "Computes the rectified linear unit `max(x, 0)`, element by element. NaN stays NaN, the \
         derivative at 0 is 0, and the dtype is kept. Follows `jax.nn.relu`.",
        "tensor([-1.0, 2.0]).relu()" => "[0.0, 2.0]";
    relu6(x) = x.clip(0, 6),
        "Computes `min(max(x, 0), 6)`, element by element. The dtype is kept. Follows \
         `jax.nn.relu6`.",
        "tensor([-1.0, 2.0, 7.0]).relu6()" => "[0.0, 2.0, 6.0]";
    silu(x) = { let at = Location::caller(); dispatch(Silu {}, [x.clone().float(at)], at) },
        "Computes `x sigmoid(x)`, also called swish, element by element. Integers and bool are \
         converted to f32. Follows `jax.nn.silu`.",
        "tensor([0.0, 1.0]).silu()" => "[0.0, 0.7310586]";
    hard_tanh(x) = x.clip(-1, 1),
        "Limits elements to the range -1 to 1, element by element. The dtype is kept. Follows \
         `jax.nn.hard_tanh`.",
        "tensor([-2.0, 0.5, 2.0]).hard_tanh()" => "[-1.0, 0.5, 1.0]";
}

float_formulas! {
    selu(x) = x.elu(1.673_263_242_354_377_2) * 1.050_700_987_355_480_5,
        "Computes the scaled exponential linear unit, which keeps mean 0 and variance 1, element \
         by element. Klambauer et al., Self-Normalizing Neural Networks \
         (<https://arxiv.org/abs/1706.02515>).",
        "tensor([-1.0, 1.0]).selu()" => "[-1.1113307, 1.050701]";
    softplus(x) = x.logaddexp(0.0),
        "Computes `log(1 + e^x)` without overflow, element by element. Follows `jax.nn.softplus`.",
        "tensor([0.0, 100.0]).softplus()" => "[0.6931472, 100.0]";
    softsign(x) = x / (x.abs() + 1.0),
        "Computes `x / (1 + |x|)`, element by element. Follows `jax.nn.soft_sign`.",
        "tensor([-1.0, 3.0]).softsign()" => "[-0.5, 0.75]";
    squareplus(x) = squareplus(x),
        "Computes `(x + sqrt(x^2 + 4)) / 2`, a smooth function like softplus without exponentials, \
         element by element. Follows `jax.nn.squareplus`.",
        "tensor([0.0, 1.5]).squareplus()" => "[1.0, 2.0]";
    log_sigmoid(x) = -(-x).softplus(),
        "Computes `log(sigmoid(x))` without underflow, element by element. Follows \
         `jax.nn.log_sigmoid`.",
        "tensor([0.0, -100.0]).log_sigmoid()" => "[-0.6931472, -100.0]";
    hard_sigmoid(x) = (x + 3.0).relu6() / 6.0,
        "Computes `min(max(x + 3, 0), 6) / 6`, element by element. Follows `jax.nn.hard_sigmoid`.",
        "tensor([-4.0, 0.0, 3.0]).hard_sigmoid()" => "[0.0, 0.5, 1.0]";
    hard_silu(x) = x * x.hard_sigmoid(),
        "Computes `x hard_sigmoid(x)`, also called hard swish, element by element. Follows \
         `jax.nn.hard_silu`.",
        "tensor([-4.0, 1.5, 3.0]).hard_silu()" => "[0.0, 1.125, 3.0]";
    mish(x) = x * x.softplus().tanh(),
        "Computes `x tanh(softplus(x))`, element by element. Misra, Mish \
         (<https://arxiv.org/abs/1908.08681>).",
        "tensor([0.0, 1.0]).mish()" => "[0.0, 0.8650984]";
    tanh_shrink(x) = x - x.tanh(),
        "Computes `x - tanh(x)`, element by element. Follows \
         `torch.nn.functional.tanhshrink`.",
        "tensor([0.0, 1.0]).tanh_shrink()" => "[0.0, 0.23840584]";
}

/// Computes `(x + sqrt(x^2 + 4)) / 2` without overflow, and without cancellation below 0.
#[track_caller]
fn squareplus(x: &Tensor) -> Tensor {
    // `f(x) = x + f(-x)`. At or below 0, `f(x) = 2 / (sqrt(x^2 + 4) - x)`; where the square would
    // overflow, the root is `-x`.
    let below = x.lt(0);
    let low = below.select(x, -x);
    let far = low.lt(-1e10);
    let near = far.select(0, &low);
    let root = far.select(-&low, (&near * &near + 4.0).sqrt());
    let y = x.number(2) / (root - low);
    below.select(&y, x + &y)
}

impl Tensor {
    /// Computes the Gaussian error linear unit `x Phi(x)`, element by element, with the
    /// distribution function `Phi` of the standard normal distribution.
    ///
    /// If `approximate` is true, `Phi` is approximated with tanh; else it is computed with the
    /// error function. Integers and bool are converted to f32; floats below 32 bits are computed in
    /// f32. Follows `jax.nn.gelu`. Hendrycks and Gimpel, Gaussian Error Linear Units
    /// (<https://arxiv.org/abs/1606.08415>).
    ///
    /// # Examples
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
        let (x, dtype) = self.clone().float(at).wide(at);
        dispatch(Gelu { approximate }, [x], at).convert(dtype, at)
    }

    /// Computes the exponential linear unit, element by element: `x` above 0, else
    /// `alpha (e^x - 1)`.
    ///
    /// Integers and bool are converted to f32. Follows `jax.nn.elu`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([f32::NEG_INFINITY, 2.0]).elu(1.0).to_vec::<f32>()?, [-1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Tensor {
        let at = Location::caller();
        let (x, dtype) = self.clone().float(at).wide(at);
        // The exponent is 0 where the other branch is selected, so that neither the power nor its
        // derivative overflows there.
        let below = x.gt(0).select(0, &x).expm1() * alpha;
        x.gt(0).select(&x, below).convert(dtype, at)
    }

    /// Computes the continuously differentiable exponential linear unit, element by element:
    /// `max(x, 0) + min(0, alpha (e^(x / alpha) - 1))`.
    ///
    /// Unlike [`Tensor::elu`], its slope at 0 is 1 for every `alpha`. Integers and bool are
    /// converted to f32. Follows `jax.nn.celu`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([f32::NEG_INFINITY, 2.0]).celu(0.5).to_vec::<f32>()?, [-0.5, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn celu(&self, alpha: f64) -> Tensor {
        let at = Location::caller();
        let (x, dtype) = self.clone().float(at).wide(at);
        let below = (x.gt(0).select(0, &x) / alpha).expm1() * alpha;
        x.gt(0).select(&x, below).convert(dtype, at)
    }

    /// Computes the leaky rectified linear unit, element by element: `x` if `x >= 0`, else
    /// `slope x`.
    ///
    /// `slope` is a number or a tensor that broadcasts. Integers and bool are converted to f32.
    /// Follows `jax.nn.leaky_relu`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-2.0, 2.0]).leaky_relu(0.25).to_vec::<f32>()?, [-0.5, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn leaky_relu(&self, slope: impl Operand) -> Tensor {
        let x = self.clone().float(Location::caller());
        let below = &x * slope.operand(&x);
        x.ge(0).select(&x, below)
    }

    /// Sets elements within `bound` of 0 to 0, element by element. Follows
    /// `torch.nn.functional.hardshrink`.
    ///
    /// # Examples
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

    /// Moves elements toward 0 by `bound`, element by element; those within `bound` of 0 become 0.
    ///
    /// Integers and bool are converted to f32. Follows `torch.nn.functional.softshrink`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-2.0, 0.25, 2.0]).soft_shrink(0.5).to_vec::<f32>()?, [-1.5, 0.0, 1.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn soft_shrink(&self, bound: f64) -> Tensor {
        let x = self.clone().float(Location::caller());
        &x - x.clip(-bound, bound)
    }

    /// Computes the gated linear unit: the first half of `axis` times the sigmoid of the second
    /// half.
    ///
    /// The axis of the result has half the size. Follows `jax.nn.glu`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the size of the axis is odd.
    ///
    /// # Examples
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

    /// Computes `e^x / sum(e^x)`, with one sum over all of `axes`, without overflow.
    ///
    /// The shape is kept. Integers and bool are converted to f32. Follows `jax.nn.softmax`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers and for axes that are out of range.
    ///
    /// # Examples
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

    /// Computes `log(softmax(x))`, with one sum over all of `axes`, without overflow or underflow.
    ///
    /// The shape is kept. Integers and bool are converted to f32. Follows `jax.nn.log_softmax`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers and for axes that are out of range.
    ///
    /// # Examples
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

    /// Computes `log(sum(e^x))` over `axes` without overflow.
    ///
    /// The axes are removed; [`crate::keep`] keeps them with size 1. Integers and bool are
    /// converted to f32. Follows `jax.scipy.special.logsumexp`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers and for axes that are out of range.
    ///
    /// # Examples
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
            Ok(dispatch(LogSumExp { axis }, [merged], at).reshaped(shape, at))
        };
        tensor_or_error(sum())
    }

    /// Computes the cross-entropy of logits (`self`) and `targets`: `-sum(targets log_softmax(x))`
    /// over the last axis, which is removed.
    ///
    /// `targets` are probabilities of the same shape; [`Tensor::one_hot`] converts class indices. A
    /// class of probability 0 adds nothing, even if its logit is negative infinity. Both operands
    /// are promoted to one dtype; integers and bool are converted to f32. Follows
    /// `optax.softmax_cross_entropy`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the shapes differ or the logits are complex.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let logits = tensor([[0.0, 0.0], [1000.0, 0.0]]);
    /// let loss = logits.cross_entropy(tensor([[1.0, 0.0], [0.0, 1.0]]));
    /// assert_eq!(loss.to_vec::<f32>()?, [0.6931472, 1000.0]);
    /// let loss = logits.cross_entropy(tensor([1, 0]).one_hot(2));
    /// assert_eq!(loss.to_vec::<f32>()?, [0.6931472, 0.0]);
    /// let e = logits.cross_entropy(tensor([1.0, 0.0])).item().unwrap_err();
    /// assert!(e.to_string().starts_with("cross_entropy: expected targets"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cross_entropy(&self, targets: impl Operand) -> Tensor {
        let at = Location::caller();
        let (x, targets) = float_operands(self.clone(), float_operand(targets, self), at);
        let cost = || {
            let both = [x.real_float("cross_entropy", at)?, targets];
            Ok(dispatch(CrossEntropy {}, promote_operands("cross_entropy", &both, at)?, at))
        };
        tensor_or_error(cost())
    }

    /// Computes the cross-entropy of logits (`self`, `[.., classes]`) and class indices `labels`,
    /// of the shape without the last axis: `-log_softmax(x)` at the labels.
    ///
    /// The logits of the labels are gathered, which takes less memory than one-hot targets. The
    /// result is NaN where a label is not in `0..classes`, and the gradient is 0 there. Integers
    /// and bool as logits are converted to f32. Follows
    /// `optax.softmax_cross_entropy_with_integer_labels`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the labels have another shape or are no integers, or if the
    /// logits are complex.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let logits = tensor([[0.0, 0.0], [1000.0, 0.0]]);
    /// let loss = logits.sparse_cross_entropy(&tensor([0, 1]));
    /// assert_eq!(loss.to_vec::<f32>()?, [0.6931472, 1000.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sparse_cross_entropy(&self, labels: &Tensor) -> Tensor {
        let at = Location::caller();
        let logits = self.real_float(SparseCrossEntropy::NAME, at);
        let cost = |x| dispatch(SparseCrossEntropy {}, [x, labels.clone()], at);
        tensor_or_error(logits.map(cost))
    }

    /// Applies an op that normalizes along one axis over several `axes` at the same time: they are
    /// merged into one axis for the op, and restored in the result.
    fn over_one_axis(
        &self,
        name: &str,
        axes: &dyn IntoAxes,
        op: fn(usize) -> Op,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let x = self.real_float(name, at)?;
        let list = axes_or_error(&x, axes, name, at)?;
        if let [axis] = list[..] {
            return Ok(dispatch(op(axis), [x], at));
        }
        let merged = x.merge_axes_last(&list, at);
        let y = dispatch(op(merged.rank() - 1), [merged], at);
        let order = axes_last(x.rank(), &list);
        let shape: Vec<usize> = order.iter().map(|&a| x.shape()[a]).collect();
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &a)| back[a] = i);
        Ok(y.reshaped(shape, at).permute_at(back, at))
    }

    /// Encodes integers as vectors of size `classes` along a new last axis: 1 at the index that the
    /// integer is, else 0.
    ///
    /// The dtype is f32. An integer outside of `0..classes` becomes a vector of zeros. Follows
    /// `jax.nn.one_hot`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than integers.
    ///
    /// # Examples
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
            let class = lazy_constant(at, |b| b.emit(Iota { ty: row, axis: rank }, &[]));
            let on = dispatch_broadcast(
                Compare { direction: Direction::Eq },
                [x.reshaped(shape.inserted(rank, 1), at), class],
                at,
            );
            Ok(on.convert(DType::F32, at))
        };
        tensor_or_error(hot())
    }
}
