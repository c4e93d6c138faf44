//! The activations of recurrent layers, which attributes name.

use crate::call::{NodeCall, RuleFailure, fail};
use neurax_tensor::Tensor;

/// An activation with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StepActivation {
    name: &'static str,
    alpha: f64,
    beta: f64,
}

/// The activations: the name, and the defaults of `alpha` and `beta` if there are such.
const ACTIVATIONS: &[(&str, Option<f64>, Option<f64>)] = &[
    ("Relu", None, None),
    ("Tanh", None, None),
    ("Sigmoid", None, None),
    ("Affine", Some(1.0), Some(0.0)),
    ("LeakyRelu", Some(0.01), None),
    ("ThresholdedRelu", Some(1.0), None),
    ("ScaledTanh", Some(1.0), Some(1.0)),
    ("HardSigmoid", Some(0.2), Some(0.5)),
    ("Elu", Some(1.0), None),
    ("Softsign", None, None),
    ("Softplus", None, None),
];

/// Returns the activations of each direction.
///
/// The parameters are lists without gaps: an activation without `alpha` takes none of them.
///
/// # Errors
/// If a name is unknown, or there are too few.
pub(crate) fn activations(
    c: &NodeCall,
    directions: usize,
    defaults: &[&str],
) -> Result<Vec<Vec<StepActivation>>, RuleFailure> {
    let count = directions * defaults.len();
    let names = match c.strs("activations")? {
        Some(names) => names,
        None => defaults.repeat(directions).into_iter().map(String::from).collect(),
    };
    if names.len() < count {
        return fail(format!("expected {count} activations, got {names:?}"));
    }
    let mut alphas = c.floats("activation_alpha")?.unwrap_or(&[]).iter();
    let mut betas = c.floats("activation_beta")?.unwrap_or(&[]).iter();
    let mut all = Vec::with_capacity(count);
    for name in &names[..count] {
        let row = ACTIVATIONS.iter().find(|row| row.0.eq_ignore_ascii_case(name));
        let Some(&(name, alpha, beta)) = row else {
            return fail(format!("expected the name of an activation, got `{name}`"));
        };
        let next = |default: Option<f64>, given: &mut std::slice::Iter<f32>| match default {
            Some(default) => given.next().map_or(default, |&x| x.into()),
            None => 0.0,
        };
        let (alpha, beta) = (next(alpha, &mut alphas), next(beta, &mut betas));
        all.push(StepActivation { name, alpha, beta });
    }
    Ok(all.chunks(defaults.len()).map(<[StepActivation]>::to_vec).collect())
}

impl StepActivation {
    /// Applies the activation.
    pub(crate) fn of(&self, x: &Tensor) -> Tensor {
        let (alpha, beta) = (self.alpha, self.beta);
        match self.name {
            "Relu" => x.relu(),
            "Sigmoid" => x.sigmoid(),
            "Affine" => x * alpha + beta,
            "LeakyRelu" => x.leaky_relu(alpha),
            "ThresholdedRelu" => x.ge(alpha).select(x, 0.0),
            "ScaledTanh" => (x * beta).tanh() * alpha,
            "HardSigmoid" => (x * alpha + beta).clip(0.0, 1.0),
            "Elu" => x.elu(alpha),
            "Softsign" => x.softsign(),
            "Softplus" => x.softplus(),
            _ => x.tanh(),
        }
    }
}
