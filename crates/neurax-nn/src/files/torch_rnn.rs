//! The parameters of PyTorch's recurrent modules.
//!
//! `torch.nn.LSTM`, `GRU` and `RNN` call the parameters of their first layer `weight_ih_l0`,
//! `weight_hh_l0`, `bias_ih_l0` and `bias_hh_l0`, those of the second `weight_ih_l1` and so on, and
//! those of the backward direction the same with `_reverse`. Kernels are `[outputs, inputs]`. The
//! gates of a GRU are in the order reset, update, new; ours are update, reset, new. Our LSTM and
//! RNN have one bias, the sum of both.

use crate::Vars;
use neurax_tensor::{Tensor, concat};

/// A renamed parameter.
pub(super) enum Renamed {
    /// The value of the variable at a path.
    Variable(String, Tensor),
    /// One of two parts of the variable at a path, whose sum is its value.
    Part(String, usize, Tensor),
}

/// Returns path and value of a parameter of a recurrent module for a model with the variables
/// `expected`, or `None` if it is another one.
pub(super) fn renamed(expected: &Vars, path: &str, value: &Tensor) -> Option<Renamed> {
    let (layer, name) = path.rsplit_once('.').unwrap_or(("", path));
    let (name, is_reverse) = match name.strip_suffix("_reverse") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (name, number) = name.rsplit_once("_l")?;
    let number: usize = number.parse().ok()?;
    let directions: &[&str] = if is_reverse { &["backward"] } else { &["", "forward"] };
    // A module of one layer is a layer here, one of several is `Stacked`.
    let copy = format!("layer_{number}");
    let copies: &[&str] = if number == 0 { &["", &copy] } else { &[&copy] };
    let within = |(copy, direction): (&&str, &&str)| {
        let parts = [layer, *copy, *direction];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
    };
    let recurrent = |layer: &String| expected.get(&format!("{layer}.recurrent_kernel")).ok();
    let paths = copies.iter().flat_map(|copy| directions.iter().map(move |d| (copy, d)));
    let layer = paths.map(within).find(|layer| recurrent(layer).is_some())?;
    let kernel = recurrent(&layer)?;
    let value = match kernel.dim(1) == 3 * kernel.dim(0) {
        true => with_our_gates(value),
        false => value.clone(),
    };
    let has_two = expected.get(&format!("{layer}.recurrent_bias")).is_ok();
    let at = |name: &str| format!("{layer}.{name}");
    Some(match (name, has_two) {
        ("weight_ih", _) => Renamed::Variable(at("kernel"), value.swap_axes(-2, -1)),
        ("weight_hh", _) => Renamed::Variable(at("recurrent_kernel"), value.swap_axes(-2, -1)),
        ("bias_ih", true) => Renamed::Variable(at("bias"), value),
        ("bias_hh", true) => Renamed::Variable(at("recurrent_bias"), value),
        ("bias_ih", false) => Renamed::Part(at("bias"), 0, value),
        ("bias_hh", false) => Renamed::Part(at("bias"), 1, value),
        _ => return None,
    })
}

/// Returns a parameter of a GRU, whose axis 0 has the gates, with the gates in our order.
fn with_our_gates(value: &Tensor) -> Tensor {
    match &value.split(3, 0)[..] {
        [reset, update, new] => concat([update, reset, new], 0),
        // A value that cannot be split carries the error.
        other => other.first().unwrap_or(value).clone(),
    }
}
