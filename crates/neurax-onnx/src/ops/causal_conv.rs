//! Causal convolutions with a state: the last elements of the input, which the next call continues.
//!
//! The state is put in front of the input, so that the convolution needs no padding:
//!
//! ```text
//! past   [batch, channels, (taps - 1) dilation]
//! x      [batch, channels, length]
//! y      the depthwise convolution of past ++ x, of the length of x
//! state  the end of past ++ x
//! ```

use super::axes::{same_dtype, size_of};
use super::conv::with_bias;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{Tensor, Windows, concat, stack};

pub(crate) const OPERATORS: &[Operator] = &[
    op("CausalConvWithState", &[27], 2..=4, causal_conv).attributes(&["activation"]),
    op("CausalConvWithState", &[1], 2..=4, causal_conv).domain("com.microsoft").attributes(&[
        "activation",
        "channels_last",
        "dilation",
        "input_channel_offset",
        "input_channels",
        "ndim",
        "state_channels_last",
        "state_length",
        "state_update_capacity",
        "state_window",
    ]),
];

/// The attributes of `com.microsoft` with their defaults that only its CUDA kernels have.
const ONLY_CUDA: &[(&str, i64)] = &[
    ("input_channel_offset", 0),
    ("input_channels", 0),
    ("ndim", 1),
    ("state_channels_last", -1),
    ("state_length", 0),
    ("state_update_capacity", 0),
];

/// The largest number of states that an output has.
const MOST_STATES: i64 = 8;

fn causal_conv(c: &NodeCall) -> RuleOutcome {
    for &(name, default) in ONLY_CUDA {
        let value = c.int_or(name, default)?;
        if value != default {
            return fail(format!("expected {default} as `{name}`, got {value}"));
        }
    }
    let (given, kernel) = (c.x(0)?, c.x(1)?);
    same_dtype(&given, &kernel)?;
    let is_last = c.flag("channels_last", false)?;
    let x = channels_first(&given, is_last)?;
    let channels = x.dim(1);
    if kernel.rank() != 3 || kernel.dim(0) != channels || kernel.dim(1) != 1 {
        return fail(format!("expected a kernel [{channels}, 1, taps], got {}", kernel.ty()?));
    }
    let dilation = size_of(c.int_or("dilation", 1)?)?;
    let length = kernel.dim(2).checked_sub(1).and_then(|n| n.checked_mul(dilation));
    let (Some(length), true) = (length, dilation > 0) else {
        return fail("expected at least one tap and a dilation of at least 1");
    };
    let window = match c.int_or("state_window", 0)? {
        n @ 0..=MOST_STATES => n as usize,
        n => return fail(format!("expected 0 to {MOST_STATES} as `state_window`, got {n}")),
    };
    let all = concat([past_state(c, &x, length, window, is_last)?, x.clone()], 2);
    let y = all.conv(&kernel, Windows::new().groups(channels.max(1)).dilation(dilation));
    let y = activated(c, with_bias(y, c.maybe(2)?)?)?;
    // The axes as they were given.
    let back = |x: Tensor| match is_last {
        true => {
            let shape = [&[x.dim(0), x.dim(2)], &given.shape()[2..]].concat();
            x.move_axis(1, -1).reshape(shape)
        }
        false => x,
    };
    let state = |end: usize| back(all.slice(2, (end - length) as i64..end as i64));
    let end = length + x.dim(2);
    let state = match window {
        0 => state(end),
        // The states after each of the last elements; those before the first one are 0.
        _ => stack(
            (0..window).map(|j| match (x.dim(2) + j).checked_sub(window) {
                Some(position) => state(length + position + 1),
                None => state(end).zeros_like(),
            }),
            0,
        ),
    };
    Ok(vec![OnnxValue::Tensor(back(y)), OnnxValue::Tensor(state)])
}

/// Computes the activation function, in f32 at least.
fn activated(c: &NodeCall, y: Tensor) -> Result<Tensor, RuleFailure> {
    match c.str_or("activation", "none")?.as_str() {
        "none" | "" => Ok(y),
        "silu" | "swish" => Ok(y.to(y.dtype().at_least_f32()).silu().to(y.dtype())),
        other => fail(format!("expected none, silu or swish as `activation`, got {other}")),
    }
}

/// Returns `[batch, channels, length]`; channels that are the last axes become one.
fn channels_first(x: &Tensor, is_last: bool) -> Result<Tensor, RuleFailure> {
    match (is_last, x.rank()) {
        (false, 3) => Ok(x.clone()),
        (true, 3..) => {
            let channels = x.shape()[2..].iter().product();
            Ok(x.reshape([x.dim(0), x.dim(1), channels]).move_axis(-1, 1))
        }
        _ => fail(format!("expected [batch, channels, length], got {}", x.ty()?)),
    }
}

/// Returns the state before the input, of the given length; zeros if there is none.
fn past_state(
    c: &NodeCall,
    x: &Tensor,
    length: usize,
    window: usize,
    is_last: bool,
) -> Result<Tensor, RuleFailure> {
    let want = [x.dim(0), x.dim(1), length];
    let Some(past) = c.maybe(3)? else { return Ok(Tensor::zeros_of(x.dtype(), want)) };
    same_dtype(x, &past)?;
    let last = match window {
        0 => past.clone(),
        _ if past.dim(0) == window && past.rank() > 0 => past.get(window - 1),
        _ => return fail(format!("expected {window} states, got {}", past.ty()?)),
    };
    let last = channels_first(&last, is_last)?;
    match last.shape()[..] == want {
        true => Ok(last),
        false => fail(format!("expected a state of shape {want:?}, got {}", past.ty()?)),
    }
}
