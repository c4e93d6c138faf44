//! The test harness of all layers: the first test in the file of each layer.
//!
//! It checks that a layer can be initialized, that its outputs have the same types in training and
//! in evaluation mode, that its gradients agree with finite differences, that its variables survive
//! saving and loading, as does a network of it if files can name the layer, and that `vmap` yields
//! the same values as single runs. It also checks that `jit` computes the same values and the same
//! state, that an example does not depend on the size of its batch, that an empty batch is no
//! error, that f16 computes nearly the same as f32, as does a policy of bf16 with its gradients,
//! that frozen parameters and two calls of a shared layer change nothing, and that padding has no
//! influence where the layer's rule of masks says so.

mod failure;
mod float_inputs;
mod invariance;
mod outputs;
mod padding;
mod precision;
mod saved;
#[cfg(test)]
mod tests;

use crate::layer::OfInputs;
use crate::node::NodeKind;
use crate::{BlockOutput, Layer, LayerOutput, Mode, Model, Node, Vars, input};
use failure::failed;
use float_inputs::{FloatInputs, sample};
use neurax_tensor::{DType, Result, Tensor, Tree, TypeSpec, key, stack, value_and_grad_at, vmap};
use outputs::all_of;
use std::sync::Arc;

/// Checks a layer with one input of the given type. Every output is checked.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// nn::check::layer(Dense::new(4), &types![f32[2, 3]])?;
/// nn::check::layer(nn::Lstm::new(4).return_state(), &types![f32[2, 5, 3]])?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the layer fails a check; the message names the check and shows the values.
pub fn layer<L: Layer>(l: L, types: &[TypeSpec; 1]) -> Result<()> {
    let l = Arc::new(l);
    let kind = NodeKind::Layer(Arc::new(OfInputs::<L, 1>(l.clone())));
    let all = |[x]: [Node; 1]| {
        let first = Node::first_output(L::NAME, vec![x], kind, L::Output::count(), None);
        (0..L::Output::count()).map(|i| first.sibling(i)).collect::<Vec<_>>()
    };
    nodes(all, types)?;
    padding::padding(&l, &types[0])
}

/// Checks a function of nodes with one input for each of `types`. It returns one node or several:
/// see [`BlockOutput`].
///
/// # Errors
/// If the function fails a check; the message names the check and shows the values.
pub fn nodes<const N: usize, O: BlockOutput>(
    f: impl FnOnce([Node; N]) -> O,
    types: &[TypeSpec; N],
) -> Result<()> {
    check(f, types, true)
}

/// Checks a function of nodes as [`nodes`] does, whose inputs are single examples: they have no
/// batch axis.
///
/// # Errors
/// If the function fails a check; the message names the check and shows the values.
pub fn examples<const N: usize, O: BlockOutput>(
    f: impl FnOnce([Node; N]) -> O,
    types: &[TypeSpec; N],
) -> Result<()> {
    check(f, types, false)
}

fn check<const N: usize, O: BlockOutput>(
    f: impl FnOnce([Node; N]) -> O,
    types: &[TypeSpec; N],
    has_batch: bool,
) -> Result<()> {
    let mut i = 0;
    let inputs = types.each_ref().map(|t| {
        i += 1;
        input(&format!("input{i}"), t.dims.clone())
    });
    let model = outputs::model_of(&f(inputs));
    let vars = model.init(key(7), types)?;
    let xs: Vec<Tensor> = types
        .iter()
        .enumerate()
        .map(|(i, t)| sample(t, key(100 + i as i64)))
        .collect::<Result<_>>()?;
    shapes(&model, &vars, &xs)?;
    gradients(&model, &vars, &xs)?;
    saved::variables(&model, &vars, &xs)?;
    saved::network(&model, types, &vars, &xs)?;
    invariance::compiled(&model, &vars, &xs)?;
    if has_batch {
        invariance::batch_sizes(&model, &vars, &xs)?;
    }
    precision::half(&model, &vars, &xs)?;
    precision::mixed(&model, &vars, &xs)?;
    invariance::frozen(&model, &vars, &xs)?;
    invariance::shared_twice(&model, types, &vars, &xs)?;
    batched(&model, &vars, xs)
}

fn shapes(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    let [evaluated, trained] =
        [Mode::Eval, Mode::Train(key(1))].map(|mode| model.apply(vars, xs, &mode).ok());
    let (evaluated, trained) = (evaluated?, trained?);
    for (name, y) in &evaluated.outputs {
        let (evaluation_type, training_type) = (y.ty()?, trained[name].ty()?);
        if evaluation_type != training_type {
            let why = format!("{training_type} in training mode, but {evaluation_type} in");
            return Err(failed("type", format!("{why} evaluation mode")));
        }
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
    let inputs = FloatInputs::of(&xs.iter().map(wide).collect::<Vec<_>>());
    let at = (vars.params.map_leaves(wide), inputs.floats.clone());
    let state = vars.state.map_leaves(wide);
    let loss = |(params, floats)| inputs.loss(model, &params, &state, floats);
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

fn batched(model: &Model, vars: &Vars, xs: Vec<Tensor>) -> Result<()> {
    const N: usize = 3;
    let rows: Vec<Vec<Tensor>> = (0..N)
        .map(|i| {
            xs.iter()
                .map(|x| if x.dtype().is_float() { x * (1.0 + i as f64) } else { x.clone() })
                .collect()
        })
        .collect();
    let f = |xs: Vec<Tensor>| all_of(&model.apply(vars, xs, &Mode::Eval));
    let single: Vec<Vec<Tensor>> = rows.iter().map(|r| f(r.clone())).collect();
    let together: Vec<Tensor> = (0..xs.len())
        .map(|i| stack(rows.iter().map(|r| r[i].clone()).collect::<Vec<_>>(), 0))
        .collect();
    for (i, batch) in vmap(f)(together).into_iter().enumerate() {
        let runs = single.iter().map(|ys| ys[i].clone()).collect::<Vec<_>>();
        as_single_runs(batch.ok()?, stack(runs, 0).ok()?)?;
    }
    Ok(())
}

/// Checks that the result of `vmap` is that of single runs.
fn as_single_runs(batch: Tensor, runs: Tensor) -> Result<()> {
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
