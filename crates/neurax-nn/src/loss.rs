//! Losses: functions of `(&prediction, &target)` that return a scalar, the mean over all examples.
//!
//! Prediction and target must have equal shapes (integer labels: the prediction's shape without its
//! last axis), so that a forgotten axis is an error instead of a broadcast.
//!
//! Losses of floats of fewer than 32 bits are computed in f32 and rounded once, to the dtype to
//! which prediction and target promote.
//!
//! # Losses of probabilities
//!
//! The derivative of a softmax or a sigmoid is 0 in f32 where it is close to 0 or 1, so that a
//! loss of its result could not train a network that is certain and wrong. If a traced function
//! (a training step, `grad`, `jit`) computes the prediction by `softmax` over the last axis or by
//! `sigmoid`, also behind a conversion or a reshape, these losses are computed from the logits, as
//! in Keras: value and gradient are those of the loss of logits. Of other probabilities, and of
//! plain tensors, the logarithm is limited to that of 1e-7 as in Keras, but its derivative is not:
//! it stays `1 / y` (down to 1e-30, or the smallest normal number of a narrower dtype).

use crate::precision::at_least_f32;
use neurax_tensor::{
    DType, Error, Recorder, Tensor, sigmoid_logits, softmax_logits, stop_gradient,
};
use std::panic::Location;

/// The probability below which the value of its logarithm is limited, as in Keras.
const MIN_PROBABILITY: f64 = 1e-7;

/// The probability below which the derivative of its logarithm is limited.
const MIN_DIVISOR: f64 = 1e-30;

/// Returns the cross-entropy of probabilities `y` and one-hot (or other) target distributions `t`,
/// both f[.., classes]: `-Σ t · ln y` over the last axis, then the mean. It is computed from the
/// logits of a softmax; otherwise, the logarithm is limited to that of 1e-7: see the
/// [module](self).
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[0.5, 0.25, 0.25]]), tensor([[1.0, 0.0, 0.0]]));
/// assert_eq!(loss::categorical_cross_entropy(&y, &t).to_vec::<f32>()?, [0.6931472]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn categorical_cross_entropy(y: &Tensor, t: &Tensor) -> Tensor {
    paired("categorical_cross_entropy", y, t, |y, t, dtype| match softmax_logits(y) {
        Some(logits) => cross_entropy_of(&logits, t),
        None => -(at_least_f32(t) * limited_log(&at_least_f32(y), dtype)).sum(-1).mean(..),
    })
}

/// Returns the cross-entropy of logits `y` (before the softmax) and target distributions `t`, both
/// f[.., classes]: [`Tensor::cross_entropy`], then the mean.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[1000.0, 0.0]]), tensor([[0.0, 1.0]]));
/// assert_eq!(loss::categorical_cross_entropy_logits(&y, &t).item()?, 1000.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn categorical_cross_entropy_logits(y: &Tensor, t: &Tensor) -> Tensor {
    paired("categorical_cross_entropy_logits", y, t, |y, t, _| cross_entropy_of(y, t))
}

/// Returns the mean cross-entropy of logits in f32 or wider.
#[track_caller]
fn cross_entropy_of(logits: &Tensor, t: &Tensor) -> Tensor {
    at_least_f32(logits).cross_entropy(at_least_f32(t)).mean(..)
}

/// Returns the logarithm of probabilities, whose value is limited to that of 1e-7. The derivative
/// is that of a logarithm which continues below [`MIN_DIVISOR`] along its tangent, so that it is
/// nowhere 0. `dtype` is that of the prediction, which must hold the derivative.
#[track_caller]
fn limited_log(p: &Tensor, dtype: DType) -> Tensor {
    let least = match dtype {
        DType::F16 => 2f64.powi(-14),
        d if d.bits() < 16 => 2f64.powi(-4),
        _ => MIN_DIVISOR,
    };
    let value = p.maximum(MIN_PROBABILITY).log();
    if !p.is_traced() {
        return value;
    }
    let smooth = p.maximum(least).log() + (p.minimum(least) - least) / least;
    stop_gradient(&(value - &smooth)) + smooth
}

/// Returns the cross-entropy of probabilities `y` f[.., classes] and class indices `t` i[..]. An
/// out-of-range class index yields NaN, as in Optax and in Keras on a GPU, because a traced
/// function cannot report an error that depends on values; the gradient is that of the other
/// examples.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]);
/// let loss = loss::sparse_categorical_cross_entropy(&y, &tensor([0, 1]));
/// assert_eq!(loss.to_vec::<f32>()?, [0.3465736]);
/// assert!(loss::sparse_categorical_cross_entropy(&y, &tensor([0, 3])).item()?.is_nan());
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn sparse_categorical_cross_entropy(y: &Tensor, t: &Tensor) -> Tensor {
    labelled("sparse_categorical_cross_entropy", y, t, |y, t| categorical_cross_entropy(y, &t))
}

/// Returns the cross-entropy of logits `y` f[.., classes] and class indices `t` i[..]. An
/// out-of-range class index yields NaN, as in [`sparse_categorical_cross_entropy`].
///
/// ```
/// use neurax::prelude::*;
/// let loss = loss::sparse_categorical_cross_entropy_logits(&tensor([[0.0, 0.0]]), &tensor([1]));
/// assert_eq!(loss.to_vec::<f32>()?, [0.6931472]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn sparse_categorical_cross_entropy_logits(y: &Tensor, t: &Tensor) -> Tensor {
    labelled("sparse_categorical_cross_entropy_logits", y, t, |y, t| {
        categorical_cross_entropy_logits(y, &t)
    })
}

/// Returns the binary cross-entropy of probabilities `y` and targets `t` in 0..=1, then the mean:
/// `-t · ln y - (1 - t) · ln(1 - y)`. It is computed from the logits of a sigmoid; otherwise, the
/// logarithms are limited to that of 1e-7: see the [module](self).
///
/// ```
/// use neurax::prelude::*;
/// let loss = loss::binary_cross_entropy(&tensor([0.5, 0.5]), &tensor([1.0, 0.0]));
/// assert_eq!(loss.to_vec::<f32>()?, [0.6931472]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn binary_cross_entropy(y: &Tensor, t: &Tensor) -> Tensor {
    paired("binary_cross_entropy", y, t, |y, t, dtype| match sigmoid_logits(y) {
        Some(logits) => binary_cross_entropy_of(&logits, t),
        None => {
            let (y, t) = (at_least_f32(y), at_least_f32(t));
            let (yes, no) = (limited_log(&y, dtype), limited_log(&(1.0 - y), dtype));
            -(&t * yes + (1.0 - &t) * no).mean(..)
        }
    })
}

/// Returns the binary cross-entropy of logits `y` and targets `t` in 0..=1, then the mean:
/// `max(y, 0) - y·t + ln(1 + exp(-|y|))`, which does not overflow.
///
/// ```
/// use neurax::prelude::*;
/// let loss = loss::binary_cross_entropy_logits(&tensor([-1000.0, 0.0]), &tensor([1.0, 0.0]));
/// assert_eq!(loss.to_vec::<f32>()?, [500.3466]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn binary_cross_entropy_logits(y: &Tensor, t: &Tensor) -> Tensor {
    paired("binary_cross_entropy_logits", y, t, |y, t, _| binary_cross_entropy_of(y, t))
}

/// Returns the mean binary cross-entropy of logits in f32 or wider.
#[track_caller]
fn binary_cross_entropy_of(logits: &Tensor, t: &Tensor) -> Tensor {
    let logits = at_least_f32(logits);
    (logits.softplus() - &logits * at_least_f32(t)).mean(..)
}

/// Returns the mean squared error.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(loss::mse(&tensor([1.0, 2.0]), &tensor([1.0, 4.0])).item()?, 2.0);
/// // A forgotten axis is an error, not a matrix of differences:
/// let e = loss::mse(&Tensor::zeros([3, 1]), &Tensor::zeros(3)).item().unwrap_err();
/// assert!(e.message().ends_with("of equal shapes, got f32[3, 1] and f32[3]"), "{e}");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn mse(y: &Tensor, t: &Tensor) -> Tensor {
    paired("mse", y, t, |y, t, _| {
        let d = at_least_f32(y) - at_least_f32(t);
        (&d * &d).mean(..)
    })
}

/// Returns the mean absolute error.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(loss::mae(&tensor([1.0, 2.0]), &tensor([1.0, 4.0])).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn mae(y: &Tensor, t: &Tensor) -> Tensor {
    paired("mae", y, t, |y, t, _| (at_least_f32(y) - at_least_f32(t)).abs().mean(..))
}

/// Returns the Huber loss with a `delta` of 1: see [`huber_with`].
#[track_caller]
pub fn huber(y: &Tensor, t: &Tensor) -> Tensor {
    huber_with(y, t, 1.0)
}

/// Returns the mean Huber loss (Huber, 1964): half the square of a difference up to `delta`, linear
/// beyond, so that outliers do not dominate. As the loss of a trainer:
/// `|y, t| loss::huber_with(y, t, 0.5)`.
///
/// ```
/// use neurax::prelude::*;
/// let loss = loss::huber_with(&tensor([1.0, 5.75]), &Tensor::zeros(2), 2.0);
/// assert_eq!(loss.item()?, (0.5 + 9.5) / 2.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn huber_with(y: &Tensor, t: &Tensor, delta: f64) -> Tensor {
    paired("huber", y, t, |y, t, _| {
        // Without the absolute value, whose kink at 0 makes the second derivative wrong there.
        let d = at_least_f32(y) - at_least_f32(t);
        let near = d.clip(-delta, delta);
        (&near * (&d - &near * 0.5)).mean(..)
    })
}

/// Computes a loss of two tensors, which must have equal shapes. `f` gets the dtype of the
/// prediction, and may return the loss in f32 if prediction and target are narrower.
#[track_caller]
fn paired(
    name: &str,
    y: &Tensor,
    t: &Tensor,
    f: impl FnOnce(&Tensor, &Tensor, DType) -> Tensor,
) -> Tensor {
    match (y.ty(), t.ty()) {
        (Ok(a), Ok(b)) if a.shape != b.shape => {
            let hint = if name.starts_with("categorical") && b.dtype.is_int() {
                format!("; for class indices use `sparse_{name}`")
            } else {
                String::new()
            };
            let want = "expected prediction and target of equal shapes";
            let why = format!("{want}, got {a} and {b}{hint}");
            Tensor::from_error(Error::new(name, why).at(&Location::caller().into()))
        }
        // The difference of integers would wrap around.
        (Ok(a), Ok(b)) if !a.dtype.is_differentiable() && !b.dtype.is_differentiable() => {
            Recorder::of([y, t])
                .at(Location::caller(), || f(&y.to(DType::F32), &t.to(DType::F32), DType::F32))
        }
        (Ok(a), Ok(b)) => Recorder::of([y, t]).at(Location::caller(), || {
            let loss = f(y, t, a.dtype);
            match a.dtype.promote(b.dtype) {
                Some(dtype) if dtype.is_float() => loss.to(dtype),
                _ => loss,
            }
        }),
        _ => y + t,
    }
}

/// Computes a loss of class indices by converting them to one-hot rows.
#[track_caller]
fn labelled(
    name: &str,
    y: &Tensor,
    t: &Tensor,
    f: impl FnOnce(&Tensor, Tensor) -> Tensor,
) -> Tensor {
    let (a, b) = match (y.ty(), t.ty()) {
        (Ok(a), Ok(b)) => (a, b),
        _ => return y + t,
    };
    let expected = a.shape.len().checked_sub(1).and_then(|n| a.shape.get(..n));
    if expected != Some(&b.shape[..]) || !b.dtype.is_int() {
        let why = format!(
            "expected integer class indices of the prediction's shape without its last axis, \
             got prediction {a} and target {b}"
        );
        return Tensor::from_error(Error::new(name, why).at(&Location::caller().into()));
    }
    let classes = y.dim(-1);
    // NaN is added to the loss instead of being written to the one-hot rows, so that the gradient
    // of the other examples stays finite.
    let out_of_range = (t.lt(0) | t.ge(classes)).any(..).select(f64::NAN, 0.0).to(a.dtype);
    let t = t.one_hot(classes).to(a.dtype);
    Recorder::of([y, &t]).at(Location::caller(), || f(y, t.clone()) + out_of_range.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::dtype_consts::{BF16, F16, F32};
    use neurax_tensor::{checkpoint, grad, hessian, jit, tensor, value_and_grad};

    type Loss = fn(&Tensor, &Tensor) -> Tensor;

    #[test]
    fn logits_and_probabilities_agree() {
        let z = tensor([[0.3, -1.2, 2.0], [1.0, 0.0, -0.5]]);
        let t = tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
        let labels = tensor([2, 0]);
        let values = [
            categorical_cross_entropy(&z.softmax(-1), &t),
            categorical_cross_entropy_logits(&z, &t),
            sparse_categorical_cross_entropy(&z.softmax(-1), &labels),
            sparse_categorical_cross_entropy_logits(&z, &labels),
        ];
        for v in &values {
            assert!((v.item().unwrap() - values[0].item().unwrap()).abs() < 1e-6);
        }
        let (z, t) = (tensor([0.3, -1.2]), tensor([1.0, 0.0]));
        let (a, b) = (binary_cross_entropy(&z.sigmoid(), &t), binary_cross_entropy_logits(&z, &t));
        assert!((a.item().unwrap() - b.item().unwrap()).abs() < 1e-6);
    }

    #[test]
    fn a_certain_but_wrong_prediction_has_a_finite_loss_and_gradient() {
        let t = tensor([[1.0, 0.0]]);
        let y = tensor([[0.0, 1.0]]);
        let value = categorical_cross_entropy(&y, &t).item().unwrap();
        assert!((value - 16.118_095).abs() < 1e-3, "{value}");
        let g = grad(|y: Tensor| categorical_cross_entropy(&y, &t))(y).to_vec::<f32>().unwrap();
        assert!(g.iter().all(|g| g.is_finite()), "{g:?}");
    }

    /// Losses of probabilities and of logits, as functions of logits.
    type Pair = (fn(&Tensor, &Tensor) -> Tensor, Loss);

    const PAIRS: [Pair; 2] = [
        (|z, t| categorical_cross_entropy(&z.softmax(-1), t), categorical_cross_entropy_logits),
        (|z, t| binary_cross_entropy(&z.sigmoid(), t), binary_cross_entropy_logits),
    ];

    #[test]
    fn value_and_gradient_of_saturated_probabilities_are_those_of_logits() {
        for (of_probabilities, of_logits) in PAIRS {
            for z in [0.0, 1.0, 10.0, 20.0, 50.0, 1000.0] {
                let (z, t) = (tensor([[z, -z], [-z, z]]), tensor([[0.0, 1.0], [1.0, 0.0]]));
                for dtype in [F32, F16] {
                    let (z, t) = (z.to(dtype), t.to(dtype));
                    let [a, b] = [of_probabilities, of_logits].map(|f| {
                        let (v, g) = value_and_grad(|z: Tensor| f(&z, &t)).run(z.clone()).unwrap();
                        (v.item().unwrap(), g.to(F32).to_vec::<f32>().unwrap())
                    });
                    assert_eq!(a, b, "{z}");
                }
                let [a, b] = [of_probabilities, of_logits]
                    .map(|f| hessian(|z: Tensor| f(&z, &t)).run(z.clone()).unwrap());
                assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap(), "{z}");
            }
        }
    }

    #[test]
    fn logits_inside_of_a_checkpoint_are_found() {
        for (of_probabilities, of_logits) in PAIRS {
            let (z, t) = (tensor([[20.0, -20.0]]), tensor([[0.0, 1.0]]));
            let inside = |z: Tensor| checkpoint(|z: Tensor| of_probabilities(&z, &t))(z);
            let [a, b] = [
                grad(inside).run(z.clone()).unwrap(),
                grad(|z: Tensor| of_logits(&z, &t)).run(z.clone()).unwrap(),
            ];
            assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
        }
        let t = tensor([[0.0, 1.0]]);
        let w = tensor([[3.0, 0.5], [-2.0, 1.0]]);
        let net = |x: Tensor| x.matmul(&w).sigmoid();
        let of_probabilities = |x: Tensor| binary_cross_entropy(&checkpoint(net)(x * 10.0), &t);
        let of_logits = |x: Tensor| binary_cross_entropy_logits(&(x * 10.0).matmul(&w), &t);
        let x = tensor([[2.0, -1.0]]);
        let [a, b] =
            [grad(of_probabilities).run(x.clone()).unwrap(), grad(of_logits).run(x).unwrap()];
        assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    }

    #[test]
    fn the_gradient_is_alive_where_the_logits_are_hidden() {
        let t = tensor([[0.0, 1.0]]);
        for z in [1.0, 10.0, 20.0] {
            let hidden = |z: Tensor| {
                let y = checkpoint(|z: Tensor| z.softmax(-1))(z);
                categorical_cross_entropy(&y, &t)
            };
            let g = grad(hidden).run(tensor([[z, -z]])).unwrap().to_vec::<f32>().unwrap();
            let p = 1.0 / (1.0 + (-2.0 * z as f64).exp());
            assert!((g[0] as f64 - p).abs() < 1e-4 && (g[1] as f64 + p).abs() < 1e-4, "{z}: {g:?}");
        }
        for (dtype, bound) in [(F16, 20_000.0), (BF16, 1e31), (F32, 1e31)] {
            for f in [categorical_cross_entropy, binary_cross_entropy] {
                let (y, t) = (tensor([[0.0, 1.0]]).to(dtype), tensor([[1.0, 0.0]]).to(dtype));
                let plain = f(&y, &t).item().unwrap();
                let (v, g) = value_and_grad(|y: Tensor| f(&y, &t)).run(y).unwrap();
                assert!((v.item().unwrap() - plain).abs() < 1e-2 && (16.0..16.2).contains(&plain));
                let g = g.to(F32).to_vec::<f32>().unwrap();
                assert!(g.iter().all(|g| g.abs() < bound) && g[0] < -1000.0, "{dtype}: {g:?}");
            }
        }
    }

    #[test]
    fn losses_of_narrow_floats_are_those_of_f32() {
        let all: [Loss; 7] = [
            categorical_cross_entropy,
            categorical_cross_entropy_logits,
            binary_cross_entropy,
            binary_cross_entropy_logits,
            mse,
            mae,
            huber,
        ];
        let y = tensor([[0.0, 1.0, 300.0, 0.25], [1e-7, 0.5, 0.125, -250.0]]);
        let t = tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.25, 0.25]]);
        for (i, f) in all.into_iter().enumerate() {
            for dtype in [F16, BF16] {
                let y = if matches!(i, 0 | 2) { y.clip(0, 1) } else { y.clone() };
                let (y, t) = (y.to(dtype), t.to(dtype));
                let want = f(&y.to(F32), &t.to(F32)).to(dtype);
                let found = f(&y, &t);
                assert_eq!(found.dtype(), dtype);
                assert_eq!(found.item().unwrap(), want.item().unwrap(), "loss {i} in {dtype}");
                let g = grad(|y: Tensor| f(&y, &t)).run(y).unwrap();
                assert!(g.is_finite().all(..).item().unwrap() == 1.0, "loss {i} in {dtype}: {g}");
            }
        }
    }

    #[test]
    fn the_gradient_of_logits_is_softmax_minus_target() {
        let t = tensor([[0.0, 1.0]]);
        let g = grad(|z: Tensor| categorical_cross_entropy_logits(&z, &t))(tensor([[0.0, 0.0]]));
        assert_eq!(g.to_vec::<f32>().unwrap(), [0.5, -0.5]);
    }

    /// Backends recognize the loss and its backward pass by the name of the composite.
    #[test]
    fn the_loss_of_logits_and_its_gradient_keep_the_name_of_the_composite() {
        let graph = |f: neurax_tensor::Jit<'_, Tensor, Tensor>| {
            let stages = f.stages(&tensor([[0.3, -1.2], [1.0, 0.0]]), true).unwrap();
            stages
                .list()
                .iter()
                .rfind(|s| s.name.starts_with("passes/"))
                .unwrap()
                .text
                .clone()
                .unwrap()
        };
        let (t, labels) = (tensor([[0.0, 1.0], [1.0, 0.0]]), tensor([1, 0]));
        let hot = |z: Tensor| categorical_cross_entropy_logits(&z, &t);
        let sparse = |z: Tensor| sparse_categorical_cross_entropy_logits(&z, &labels);
        for text in [graph(jit(hot)), graph(jit(sparse))] {
            assert!(text.contains("= cross_entropy("), "{text}");
        }
        for text in [graph(jit(grad(hot))), graph(jit(grad(sparse)))] {
            assert!(text.contains("callee=\"cross_entropy\""), "{text}");
        }
    }

    /// Differences of gradients, which are right on both sides of the point.
    #[test]
    fn second_derivatives_at_equal_elements_and_zeros_are_right() {
        let all: [(&str, Loss); 7] = [
            ("categorical_cross_entropy", categorical_cross_entropy),
            ("categorical_cross_entropy_logits", categorical_cross_entropy_logits),
            ("binary_cross_entropy", binary_cross_entropy),
            ("binary_cross_entropy_logits", binary_cross_entropy_logits),
            ("mse", mse),
            ("huber", huber),
            ("huber_with", |y, t| huber_with(y, t, 0.2)),
        ];
        let f64s = |x: &[f64]| Tensor::from_vec(x.to_vec(), [2, 2]);
        let t = f64s(&[0.5, 0.5, 1.0, 0.0]);
        let v = [0.7, -0.4, 0.3, 0.9];
        for (name, f) in all {
            let loss = |y: Tensor| f(&y, &t);
            let along = |y: Tensor| (grad(loss)(y) * f64s(&v)).sum(..);
            let point = [0.5, 0.5, 0.9, 0.1];
            let gradient = |h: f64| {
                let x: Vec<f64> = point.iter().zip(v).map(|(x, v)| x + h * v).collect();
                grad(loss)(f64s(&x)).to_vec::<f64>().unwrap()
            };
            let have = [
                grad(along)(f64s(&point)).to_vec::<f64>().unwrap(),
                neurax_tensor::jvp(grad(loss), f64s(&point), f64s(&v)).1.to_vec::<f64>().unwrap(),
            ];
            let (up, down) = (gradient(1e-5), gradient(-1e-5));
            for (i, (up, down)) in up.iter().zip(down).enumerate() {
                let want = (up - down) / 2e-5;
                for have in &have {
                    assert!((have[i] - want).abs() < 1e-6, "{name}, element {i}: {have:?}, {want}");
                }
            }
        }
    }

    #[test]
    fn integers_do_not_wrap_around() {
        let (y, t) = (tensor([3u8, 200]), tensor([7u8, 100]));
        for (f, want) in [(mae as Loss, 52.0), (mse, 5008.0), (huber, 51.5)] {
            assert_eq!(f(&y, &t).item().unwrap(), want);
        }
        assert_eq!(crate::metric::mae().measure(&y, &t).item().unwrap(), 52.0);
    }

    // The number of classes may be beyond the dtype of the labels.
    #[test]
    fn labels_may_be_narrow() {
        use neurax_tensor::dtype_consts::{I8, I16, I64, U8, U64};
        for (dtype, classes) in [(U8, 256), (I8, 128), (I16, 40_000), (I64, 256), (U64, 256)] {
            let y = Tensor::zeros([2, classes]);
            let labels = tensor([0, 127]).to(dtype);
            let want = (classes as f64).ln();
            for y in [
                sparse_categorical_cross_entropy_logits(&y, &labels),
                sparse_categorical_cross_entropy(&y.softmax(-1), &labels),
            ] {
                assert!((y.item().unwrap() - want).abs() < 1e-4, "{dtype}: {y}");
            }
            let hit = crate::metric::accuracy().measure(&labels.one_hot(classes), &labels);
            assert_eq!(hit.item().unwrap(), 1.0, "{dtype}");
        }
    }

    #[test]
    fn shapes_must_agree() {
        let all: [Loss; 7] = [
            categorical_cross_entropy,
            categorical_cross_entropy_logits,
            binary_cross_entropy,
            binary_cross_entropy_logits,
            mse,
            mae,
            huber,
        ];
        for f in all {
            let e = f(&Tensor::zeros([3, 1]), &Tensor::zeros(3)).item().unwrap_err();
            assert!(e.message().contains("prediction and target of equal shapes"), "{e}");
        }
        let e = categorical_cross_entropy(&Tensor::zeros([3, 2]), &tensor([0, 1, 1]))
            .item()
            .unwrap_err()
            .to_string();
        assert!(e.contains("for class indices use `sparse_categorical_cross_entropy`"), "{e}");
        let sparse: [Loss; 2] =
            [sparse_categorical_cross_entropy, sparse_categorical_cross_entropy_logits];
        for f in sparse {
            assert!(
                f(&Tensor::zeros([3, 2]), &Tensor::zeros(3))
                    .item()
                    .unwrap_err()
                    .message()
                    .contains("expected integer class indices")
            );
            assert!(f(&Tensor::zeros([3, 2]), &tensor([0, 1])).error().is_some());
            assert!(f(&Tensor::zeros(()), &tensor(0)).error().is_some());
        }
    }

    #[test]
    fn an_out_of_range_class_index_yields_nan_and_a_zero_gradient() {
        let y = tensor([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]);
        let sparse: [Loss; 2] =
            [sparse_categorical_cross_entropy, sparse_categorical_cross_entropy_logits];
        for f in sparse {
            for stray in [7, 3, -1] {
                let t = tensor([1, stray]);
                let traced =
                    jit(move |y: Tensor| f(&y, &t)).run(y.clone()).unwrap().item().unwrap();
                assert!(traced.is_nan(), "{stray}");
                let t = tensor([1, stray]);
                let g = grad(move |y: Tensor| f(&y, &t))
                    .run(y.clone())
                    .unwrap()
                    .to_vec::<f32>()
                    .unwrap();
                assert!(g[..3].iter().any(|x| *x != 0.0) && g[3..] == [0.0; 3], "{g:?}");
            }
            assert_eq!(f(&y.to(BF16), &tensor([0, 1])).dtype(), BF16);
        }
    }

    #[test]
    fn errors_of_operands_propagate() {
        let bad = Tensor::zeros(2) + Tensor::zeros(3);
        let first = bad.error().unwrap().to_string();
        for y in [mse(&bad, &tensor(0.0)), sparse_categorical_cross_entropy(&tensor([[1.0]]), &bad)]
        {
            assert_eq!(y.error().unwrap().to_string(), first);
        }
    }
}
