//! Checks of the operands of losses, their dtypes, and the mean.

use neurax_tensor::{DType, Error, Recorder, Tensor, Type};
use std::panic::Location;

/// Computes the losses `f` of a prediction and a target, which must have equal shapes. `f` gets
/// them in f32 or wider.
#[track_caller]
pub(super) fn paired(
    name: &str,
    y: &Tensor,
    t: &Tensor,
    f: impl FnOnce(&Tensor, &Tensor) -> Tensor,
) -> Tensor {
    if let (Ok(a), Ok(b)) = (y.ty(), t.ty())
        && a.shape != b.shape
    {
        let hint = if name.starts_with("categorical") && b.dtype.is_int() {
            format!("; for class indices use `sparse_{name}`")
        } else {
            String::new()
        };
        let want = "expected prediction and target of equal shapes";
        return invalid(name, format!("{want}, got {a} and {b}{hint}"));
    }
    together(name, [("prediction", y), ("target", t)], |[y, t]| f(&y, &t))
}

/// Computes the losses `f` of operands with names, which must have equal shapes. `f` gets them in
/// f32 or wider.
#[track_caller]
pub(super) fn together<const N: usize>(
    name: &str,
    operands: [(&str, &Tensor); N],
    f: impl FnOnce([Tensor; N]) -> Tensor,
) -> Tensor {
    let tensors = operands.map(|(_, x)| x);
    let Some(types) = types_of(&tensors) else { return first_error(&tensors) };
    if types.windows(2).any(|w| w[0].shape != w[1].shape) {
        let names = operands.map(|(name, _)| name).join(", ");
        return invalid(name, format!("expected {names} of equal shapes, got {}", list(&types)));
    }
    let dtype = computed_in(&types);
    Recorder::of(tensors).at(Location::caller(), || f(tensors.map(|x| x.to(dtype))))
}

/// Computes the losses `f` of a prediction f[.., classes] and class indices i[..]. `f` gets the
/// prediction in f32 or wider, and the indices as i32, 0 where they are out of range. The losses
/// are NaN there, with a gradient of 0.
#[track_caller]
pub(super) fn labelled(
    name: &str,
    y: &Tensor,
    t: &Tensor,
    f: impl FnOnce(&Tensor, &Tensor) -> Tensor,
) -> Tensor {
    let checked = |y: &Tensor, t: &Tensor| {
        let inside = t.ge(0) & t.lt(y.dim(-1));
        let classes = inside.select(t, 0).to(DType::I32);
        inside.select(f(y, &classes), f64::NAN)
    };
    with_labels(name, y, t, checked)
}

/// Computes the losses `f` of a prediction f[.., classes] and class indices i[..], of which some
/// may be out of range. `f` gets the prediction in f32 or wider.
#[track_caller]
pub(super) fn with_labels(
    name: &str,
    y: &Tensor,
    t: &Tensor,
    f: impl FnOnce(&Tensor, &Tensor) -> Tensor,
) -> Tensor {
    let (Ok(a), Ok(b)) = (y.ty(), t.ty()) else { return first_error(&[y, t]) };
    let expected = a.shape.len().checked_sub(1).and_then(|n| a.shape.get(..n));
    if expected != Some(&b.shape[..]) || !b.dtype.is_int() {
        let why = format!(
            "expected integer class indices of the prediction's shape without its last axis, \
             got prediction {a} and target {b}"
        );
        return invalid(name, why);
    }
    let dtype = computed_in(&[a]);
    Recorder::of([y, t]).at(Location::caller(), || f(&y.to(dtype), t))
}

/// Returns the elements of `x` f[.., classes] at the indices `classes` i32[..].
#[track_caller]
pub(super) fn at_class(x: &Tensor, classes: &Tensor) -> Tensor {
    x.take_along_axis(&classes.expand_dims(-1), -1).squeeze(-1)
}

/// Returns the mean of losses, rounded to the dtype of the operands.
#[track_caller]
pub(super) fn mean(losses: &Tensor, operands: &[&Tensor]) -> Tensor {
    Recorder::of([losses]).at(Location::caller(), || rounded(losses.mean(..), operands))
}

/// Rounds a loss to the float dtype to which the operands promote; stays if all are integers.
#[track_caller]
pub(super) fn rounded(loss: Tensor, operands: &[&Tensor]) -> Tensor {
    match float_of(operands.iter().map(|x| x.dtype())) {
        Some(dtype) => loss.to(dtype),
        None => loss,
    }
}

/// Returns the dtype in which losses of operands of these types are computed. Integers are
/// converted, because their differences would wrap around.
fn computed_in(types: &[Type]) -> DType {
    float_of(types.iter().map(|t| t.dtype)).map_or(DType::F32, DType::at_least_f32)
}

/// Returns the dtype to which the floats (and complex numbers) among `dtypes` promote. Those that
/// JAX does not promote, 8-bit floats of different formats, meet in f32.
fn float_of(dtypes: impl Iterator<Item = DType>) -> Option<DType> {
    dtypes.filter(|d| d.is_differentiable()).reduce(|a, b| a.promote(b).unwrap_or(DType::F32))
}

fn types_of(tensors: &[&Tensor]) -> Option<Vec<Type>> {
    tensors.iter().map(|x| x.ty().ok()).collect()
}

/// Returns the first of `tensors` that carries an error.
fn first_error(tensors: &[&Tensor]) -> Tensor {
    let found = tensors.iter().find(|x| x.error().is_some());
    found.map_or_else(
        || Tensor::from_error(Error::bug("an operand has no type and no error")),
        |x| (*x).clone(),
    )
}

/// Returns a tensor with the error `why` of the loss `name`, at the caller's line.
#[track_caller]
pub(super) fn invalid(name: &str, why: String) -> Tensor {
    Tensor::from_error(Error::new(name, why).at(&Location::caller().into()))
}

/// Returns the error of an option that is not `expected`.
#[track_caller]
pub(super) fn invalid_option(name: &str, expected: &str, got: f64) -> Tensor {
    invalid(name, format!("expected {expected}, got {got}"))
}

/// Returns the error of weights of the classes of a prediction `y` f[.., classes] that are not
/// f[classes].
#[track_caller]
pub(super) fn invalid_class_weights(
    name: &str,
    what: &str,
    weights: &Tensor,
    y: &Tensor,
) -> Option<Tensor> {
    let (Ok(w), Ok(y)) = (weights.ty(), y.ty()) else { return None };
    let classes = y.shape.last().copied();
    (classes.is_none() || w.shape.first() != classes.as_ref() || w.rank() != 1).then(|| {
        let classes = classes.map_or_else(|| "classes".to_string(), |n| n.to_string());
        let got = w.shape;
        let why = format!("expected {what} of shape [{classes}], one for each class, got {got}");
        invalid(name, why)
    })
}

/// Returns true if an option is above 0 and not NaN.
pub(super) fn is_positive(x: f64) -> bool {
    x > 0.0
}

/// Formats types for a message: `f32[2], f32[3] and f32[2]`.
fn list(types: &[Type]) -> String {
    let all: Vec<String> = types.iter().map(Type::to_string).collect();
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => all.concat(),
    }
}
