//! Checks that a layer computes nearly the same in a narrow precision.

use super::failure::failed;
use super::float_inputs::FloatInputs;
use super::invariance::assert_all_near;
use super::outputs::all_of;
use crate::{Mode, Model, Policy, Vars};
use neurax_tensor::{DType, Result, Tensor, Tree, value_and_grad_at};

/// Checks that f16 variables and inputs give nearly the same result, in f16.
pub(super) fn half(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    let narrow = |t: &Tensor| if t.dtype().is_float() { t.to(DType::F16) } else { t.clone() };
    let narrow_xs: Vec<Tensor> = xs.iter().map(narrow).collect();
    let wide_xs: Vec<Tensor> = narrow_xs
        .iter()
        .map(|x| if x.dtype().is_float() { x.to(DType::F32) } else { x.clone() })
        .collect();
    let want = all_of(&model.apply(vars, wide_xs, &Mode::Eval));
    let narrow_vars = Vars { params: vars.params.map_leaves(narrow), state: vars.state.clone() };
    let got = all_of(&model.apply(&narrow_vars, narrow_xs, &Mode::Eval));
    let lost = want.iter().zip(&got).find(|(a, b)| a.dtype().is_float() && !b.dtype().is_float());
    if let Some((_, y)) = lost {
        return Err(failed("half precision", format!("expected floats, got {}", y.dtype())));
    }
    assert_all_near("half precision", &want, &got, 0.02)
}

/// Checks that a policy that computes in bf16 gives nearly the same outputs in both modes, in f32,
/// and nearly the same gradients of the parameters and of the inputs, in their dtypes.
pub(super) fn mixed(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    let rounded = |t: &Tensor| match t.dtype().is_float() {
        true => t.to(DType::BF16).to(t.dtype()),
        false => t.clone(),
    };
    let xs: Vec<Tensor> = xs.iter().map(rounded).collect();
    let policy = Policy::mixed(DType::BF16).apply(model);
    let apply = |model: &Model| all_of(&model.apply(vars, &xs[..], &Mode::Eval));
    let (want, got) = (apply(model), apply(&policy));
    if let Some(y) = got.iter().find(|y| y.dtype().is_float() && y.dtype() != DType::F32) {
        return Err(failed("mixed precision", format!("expected f32, got {}", y.dtype())));
    }
    assert_all_near("mixed precision", &want, &got, 0.03)?;
    let inputs = FloatInputs::of(&xs);
    let at = (vars.params.clone(), inputs.floats.clone());
    let gradient = |model: &Model| {
        value_and_grad_at(&at, |(params, xs)| inputs.loss(model, &params, &vars.state, xs)).1
    };
    let (want, got) = (gradient(model), gradient(&policy));
    want.leaves().iter().zip(got.leaves()).try_for_each(|((path, want), (_, got))| {
        if want.dtype() != got.dtype() {
            let why = format!("expected {}, got {}", want.dtype(), got.dtype());
            return Err(failed(&format!("gradient `{path}` in mixed precision"), why));
        }
        assert_near_in_norm(&format!("gradient `{path}` in mixed precision"), want, got)
    })
}

/// Checks that the norm of the difference is small beside that of `want`. Single elements may
/// differ: at a kink, such as that of a maximum, rounding changes the slope.
fn assert_near_in_norm(check: &str, want: &Tensor, got: &Tensor) -> Result<()> {
    let [want, got] = [want, got].map(|t| t.to(DType::F64));
    let norm = |t: &Tensor| t.square().sum(..).sqrt().item();
    let (norm_of_want, difference) = (norm(&want)?, norm(&(&got - &want))?);
    // A difference that is not a number fails, too.
    if difference <= 0.05 * (1.0 + norm_of_want) {
        return Ok(());
    }
    let why = format!("expected {want}, got {got}: they differ by {difference} in the norm");
    Err(failed(check, why))
}
