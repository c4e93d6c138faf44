//! Padding and cropping of space axes.

use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, PadMode, Padding, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Returns the amounts before and after each axis of `x`: 0 but for the space axes.
///
/// # Errors
/// If `widths` has not one pair of amounts for each space axis.
fn widths_of(
    op: &'static str,
    x: &Tensor,
    widths: &Padding,
    channels_last: bool,
) -> Result<Vec<(usize, usize)>> {
    let ty = x.ty()?;
    let space = ty.rank().saturating_sub(2);
    let pairs = match widths {
        Padding::Each(pairs) if pairs.len() == 1 => vec![pairs[0]; space],
        Padding::Each(pairs) => pairs.clone(),
        _ => Vec::new(),
    };
    if ty.rank() < 2 || pairs.len() != space || pairs.iter().any(|&(a, b)| a < 0 || b < 0) {
        let why = format!(
            "expected amounts of at least 0 before and after each space axis, got {widths:?} for \
             {ty}"
        );
        return Err(Error::new(op, why));
    }
    let first = if channels_last { 1 } else { 2 };
    let mut all = vec![(0, 0); ty.rank()];
    for (width, (a, b)) in all[first..].iter_mut().zip(pairs) {
        *width = (a as usize, b as usize);
    }
    Ok(all)
}

/// A layer that pads the space axes of `[batch, channels, space ..]`: Keras's `ZeroPadding1D` to
/// `3D`, Axon's `pad`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 1, 2]).layer(nn::Pad::new([(1, 2)])).model();
/// let out = model.apply(&Vars::default(), tensor([[[5.0, 6.0]]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [0.0, 5.0, 6.0, 0.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pad {
    widths: Padding,
    value: f64,
    mode: Option<PadMode>,
    channels_last: bool,
}

impl Pad {
    /// Creates a layer that pads with zeros: `widths` are pairs of amounts before and after each
    /// space axis, or a number for all ends.
    pub fn new(widths: impl Into<Padding>) -> Pad {
        Pad { widths: widths.into(), value: 0.0, mode: None, channels_last: false }
    }

    /// Pads with `value` instead of zeros.
    pub fn value(self, value: f64) -> Pad {
        Pad { value, mode: None, ..self }
    }

    /// Pads with elements of the input.
    pub fn mode(self, mode: PadMode) -> Pad {
        Pad { mode: Some(mode), ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> Pad {
        Pad { channels_last: true, ..self }
    }
}

impl Layer for Pad {
    const NAME: &'static str = "pad";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        match (widths_of("pad", &x, &self.widths, self.channels_last), self.mode) {
            (Err(e), _) => Tensor::from_error(e),
            (Ok(widths), Some(mode)) => x.pad_with(widths, mode),
            (Ok(widths), None) => x.pad(widths, Tensor::full(1, self.value).to(x.dtype()).sum(..)),
        }
    }
}

/// A layer that removes elements at the ends of the space axes of `[batch, channels, space ..]`:
/// Keras's `Cropping1D` to `3D`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 1, 4]).layer(nn::Cropping::new([(1, 2)])).model();
/// let out = model.apply(&Vars::default(), tensor([[[5.0, 6.0, 7.0, 8.0]]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [6.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cropping {
    widths: Padding,
    channels_last: bool,
}

impl Cropping {
    /// Creates a layer that removes elements: `widths` are pairs of amounts before and after each
    /// space axis, or a number for all ends.
    pub fn new(widths: impl Into<Padding>) -> Cropping {
        Cropping { widths: widths.into(), channels_last: false }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> Cropping {
        Cropping { channels_last: true, ..self }
    }
}

impl Layer for Cropping {
    const NAME: &'static str = "cropping";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let widths = match widths_of("cropping", &x, &self.widths, self.channels_last) {
            Ok(widths) => widths,
            Err(e) => return Tensor::from_error(e),
        };
        let mut y = x.clone();
        for (axis, &(low, high)) in widths.iter().enumerate() {
            let n = x.shape()[axis];
            let Some(end) = n.checked_sub(high).filter(|&end| low <= end) else {
                let why = format!(
                    "expected an axis {axis} of at least {low} + {high} elements to remove, got {n}"
                );
                return Tensor::from_error(Error::new("cropping", why));
            };
            y = y.slice(axis as i64, low as i64..end as i64);
        }
        y
    }
}

impl Node {
    /// Pads the space axes with zeros: see [`Pad`].
    #[track_caller]
    pub fn pad(&self, widths: impl Into<Padding>) -> Node {
        self.layer(Pad::new(widths))
    }

    /// Removes elements at the ends of the space axes: see [`Cropping`].
    #[track_caller]
    pub fn crop(&self, widths: impl Into<Padding>) -> Node {
        self.layer(Cropping::new(widths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(Pad::new(1), &types![f32[2, 2, 3]]).unwrap();
        let last = Pad::new([(1, 0), (2, 1)]).value(0.5).channels_last();
        check::layer(last, &types![f32[1, 2, 3, 2]]).unwrap();
        check::layer(Pad::new(2).mode(PadMode::Reflect), &types![f32[1, 1, 3, 3]]).unwrap();
        check::layer(Cropping::new([(1, 0), (0, 1)]), &types![f32[1, 2, 3, 3]]).unwrap();
        check::layer(Cropping::new(1).channels_last(), &types![f32[1, 4, 2]]).unwrap();
    }

    #[test]
    fn widths_that_do_not_fit_are_errors() {
        let e = check::layer(Pad::new([(1, 1), (1, 1)]), &types![f32[1, 1, 3]]).unwrap_err();
        assert!(e.to_string().contains("each space axis, got") && e.to_string().contains("pad"));
        let e = check::layer(Pad::new([(-1, 1)]), &types![f32[1, 1, 3]]).unwrap_err();
        assert!(e.to_string().contains("amounts of at least 0"), "{e}");
        assert!(check::layer(Pad::new(Padding::Same), &types![f32[1, 1, 3]]).is_err());
        let e = check::layer(Cropping::new(2), &types![f32[1, 1, 3]]).unwrap_err().to_string();
        assert!(
            e.contains("expected an axis 2 of at least 2 + 2 elements to remove, got 3"),
            "{e}"
        );
        assert!(check::layer(Cropping::new(0), &types![f32[3]]).is_err());
    }
}
