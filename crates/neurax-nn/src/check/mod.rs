//! The test harness of all layers: the first test in the file of each layer.
//!
//! It checks that a layer can be initialized, that its output has the same type in training and in
//! evaluation mode, that its gradients agree with finite differences, that its variables survive
//! saving and loading, and that `vmap` yields the same values as single runs. It also checks that
//! `jit` computes the same values, that an example does not depend on the size of its batch, that
//! an empty batch is no error, that f16 computes nearly the same as f32, and that frozen parameters
//! and two calls of a shared layer change nothing.

mod failure;
mod invariance;

use failure::failed;

use crate::{Layer, Mode, Model, Node, Vars, input};
use neurax_tensor::{
    DType, Key, Result, Tensor, Tree, TypeSpec, key, stack, value_and_grad_at, vmap,
};

/// Checks a layer with one input of the given type and one output.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// nn::check::layer(Dense::new(4), &types![f32[2, 3]])?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the layer fails a check; the message names the check and shows the values.
pub fn layer(l: impl Layer<Output = Tensor>, types: &[TypeSpec; 1]) -> Result<()> {
    nodes(|[x]| x.layer(l), types)
}

/// Checks a function of nodes with one input for each of `types`.
///
/// # Errors
/// If the function fails a check; the message names the check and shows the values.
pub fn nodes<const N: usize>(
    f: impl FnOnce([Node; N]) -> Node,
    types: &[TypeSpec; N],
) -> Result<()> {
    check(f, types, true)
}

/// Checks a function of nodes as [`nodes`] does, whose inputs are single examples: they have no
/// batch axis.
///
/// # Errors
/// If the function fails a check; the message names the check and shows the values.
pub fn examples<const N: usize>(
    f: impl FnOnce([Node; N]) -> Node,
    types: &[TypeSpec; N],
) -> Result<()> {
    check(f, types, false)
}

fn check<const N: usize>(
    f: impl FnOnce([Node; N]) -> Node,
    types: &[TypeSpec; N],
    has_batch: bool,
) -> Result<()> {
    let mut i = 0;
    let inputs = types.each_ref().map(|t| {
        i += 1;
        input(&format!("input{i}"), t.dims.clone())
    });
    let model = f(inputs).model();
    let vars = model.init(key(7), types)?;
    let xs: Vec<Tensor> = types
        .iter()
        .enumerate()
        .map(|(i, t)| sample(t, key(100 + i as i64)))
        .collect::<Result<_>>()?;
    shapes(&model, &vars, &xs)?;
    gradients(&model, &vars, &xs)?;
    saved(&model, &vars, &xs)?;
    invariance::compiled(&model, &vars, &xs)?;
    if has_batch {
        invariance::batch_sizes(&model, &vars, &xs)?;
    }
    invariance::half_precision(&model, &vars, &xs)?;
    invariance::frozen(&model, &vars, &xs)?;
    invariance::shared_twice(&model, types, &vars, &xs)?;
    batched(&model, &vars, xs)
}

/// Returns random values away from 0, where many activations have a kink.
fn sample(t: &TypeSpec, k: Key) -> Result<Tensor> {
    let ty = t.fixed()?;
    if !ty.dtype.is_float() {
        return Ok(Tensor::zeros(&ty.shape).to(ty.dtype));
    }
    let x = k.uniform(&ty.shape) * 2.0 - 1.0;
    (&x + x.sign() * 0.1).to(ty.dtype).ok()
}

fn shapes(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    let [evaluated, trained] =
        [Mode::Eval, Mode::Train(key(1))].map(|mode| model.apply(vars, xs, &mode).ok());
    let (evaluated, trained) = (evaluated?, trained?);
    let (evaluation_type, training_type) = (evaluated.y().ty()?, trained.y().ty()?);
    if evaluation_type != training_type {
        return Err(failed(
            "type",
            format!("{training_type} in training mode, but {evaluation_type} in evaluation mode"),
        ));
    }
    match evaluated.state.leaves().iter().zip(trained.state.leaves()).find(|(a, b)| a.0 != b.0) {
        Some((a, _)) => {
            Err(failed("state", format!("training mode adds or removes the state `{}`", a.0)))
        }
        None => Ok(()),
    }
}

/// Compares the directional derivative along one random direction in parameters and inputs with a
/// central difference, in f64.
fn gradients(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    let wide = |t: &Tensor| if t.dtype().is_float() { t.to(DType::F64) } else { t.clone() };
    let (floats, others): (Vec<_>, Vec<_>) =
        xs.iter().map(wide).enumerate().partition(|(_, x)| x.dtype().is_float());
    let (positions, floats): (Vec<usize>, Vec<Tensor>) = floats.into_iter().unzip();
    let at = (vars.params.map_leaves(wide), floats);
    let state = vars.state.map_leaves(wide);
    let mode = Mode::Train(key(3));
    let loss = |(params, floats): (crate::Params, Vec<Tensor>)| {
        let mut all: Vec<(usize, Tensor)> =
            positions.iter().copied().zip(floats).chain(others.iter().cloned()).collect();
        all.sort_by_key(|(i, _)| *i);
        let xs: Vec<Tensor> = all.into_iter().map(|(_, x)| x).collect();
        let y = model.apply_with(&params, &state, xs, &mode).y().to(DType::F64);
        let weights = key(5).uniform(y.shape()).to(DType::F64) + 0.5;
        (y * weights).sum(..)
    };
    let (_, grads) = value_and_grad_at(&at, loss);
    let mut i = 0;
    let direction = at.map_leaves(|t| {
        i += 1;
        key(10 + i).normal(t.shape()).to(DType::F64)
    });
    let step = 1e-5;
    let moved = |by: f64| loss(at.zip_map(&direction, |a, d| a + d * by)).item();
    let difference = (moved(step)? - moved(-step)?) / (2.0 * step);
    let mut slope = 0.0;
    for (g, d) in grads.leaves().iter().zip(direction.leaves()) {
        slope += (g.1 * d.1).sum(..).item()?;
    }
    if (slope - difference).abs() > 1e-6 * (1.0 + slope.abs()) {
        return Err(failed(
            "gradient",
            format!("expected the slope {difference} of a finite difference, got {slope}"),
        ));
    }
    Ok(())
}

fn saved(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    let unique = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    let path = std::env::temp_dir()
        .join(format!("neurax-check-{}-{unique}.safetensors", std::process::id()));
    let back = vars.save(&path).and_then(|()| Vars::load(&path));
    // A file that cannot be removed is left to the cleanup of the system's temporary folder.
    let _ = std::fs::remove_file(&path);
    let run = |vars: &Vars| model.apply(vars, xs, &Mode::Eval).y().to(DType::F64).to_vec::<f64>();
    if run(vars)? != run(&back?)? {
        return Err(failed("save and load", "the outputs differ after loading".into()));
    }
    Ok(())
}

fn batched(model: &Model, vars: &Vars, xs: Vec<Tensor>) -> Result<()> {
    const N: usize = 3;
    let rows: Vec<Vec<Tensor>> = (0..N)
        .map(|i| {
            xs.iter()
                .map(|x| if x.dtype().is_float() { x * (1.0 + i as f64) } else { x.clone() })
                .collect()
        })
        .collect();
    let f = |xs: Vec<Tensor>| model.apply(vars, xs, &Mode::Eval).y().clone();
    let single: Vec<Tensor> = rows.iter().map(|r| f(r.clone())).collect();
    let together: Vec<Tensor> = (0..xs.len())
        .map(|i| stack(rows.iter().map(|r| r[i].clone()).collect::<Vec<_>>(), 0))
        .collect();
    let (batch, runs) = (vmap(f)(together).ok()?, stack(&single, 0).ok()?);
    let (got, expected) = (batch.ty()?, runs.ty()?);
    if got != expected {
        return Err(failed("vmap", format!("expected {expected} as from single runs, got {got}")));
    }
    let runs = runs.to(DType::F64);
    let difference = (batch.to(DType::F64) - &runs).abs();
    let scale = 1.0 + runs.abs().to_vec::<f64>()?.into_iter().fold(0.0, f64::max);
    match difference.to_vec::<f64>()?.into_iter().find(|d| *d > 1e-5 * scale) {
        Some(d) => Err(failed("vmap", format!("differs from single runs by {d}"))),
        None => Ok(()),
    }
}
