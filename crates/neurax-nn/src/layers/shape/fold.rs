//! Windows as columns of a matrix, as PyTorch's `Unfold` and `Fold`.

use crate::layers::axes::channels_first;
use crate::{Cx, Layer};
use neurax_tensor::{Error, IntoEach, Result, Tensor, vjp};
use serde::{Deserialize, Serialize};

/// Returns the windows of `x`, `[batch, channels, space ..]`, as columns: `[batch, channels ·
/// taps, windows]`, where `taps` is the product of the numbers of elements of a window, and the
/// windows are in row-major order. The options are those of the layer [`Unfold`].
///
/// # Errors
/// The result carries an error if `x` has no space axes, if an option has neither one number nor
/// one for each space axis, or if no window fits into `x`.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[[1.0, 2.0, 3.0]]]);
/// let y = nn::layers::unfold(&x, &nn::Unfold::new(2));
/// assert_eq!(y.shape(), [1, 2, 2]);
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 2.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn unfold(x: &Tensor, options: &Unfold) -> Tensor {
    if x.error().is_some() {
        return x.clone();
    }
    channels_first(x, options.channels_last, |x| {
        let windows = options.windows_of("unfold", &x.shape());
        windows.map_or_else(Tensor::from_error, |windows| columns(x, &windows))
    })
}

/// Returns the sums of windows that are columns, `[batch, channels · taps, windows]`, at their
/// places in `[batch, channels, space ..]`: the transpose of [`unfold`]. `space` has the sizes of
/// the space axes.
///
/// # Errors
/// The result carries an error if [`unfold`] with these options does not make an input of this
/// shape from `space`.
///
/// ```
/// use neurax::prelude::*;
/// let columns = tensor([[[1.0, 2.0], [2.0, 3.0]]]);
/// let x = nn::layers::fold(&columns, &[3], &nn::Unfold::new(2));
/// assert_eq!(x.to_vec::<f32>()?, [1.0, 4.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn fold(x: &Tensor, space: &[usize], options: &Unfold) -> Tensor {
    channels_first(x, options.channels_last, |x| fold_first(x, space, options))
}

/// Computes [`fold`] of columns at axis 1 to channels at axis 1.
#[track_caller]
fn fold_first(x: &Tensor, space: &[usize], options: &Unfold) -> Tensor {
    let ty = match x.ty() {
        Ok(ty) => ty,
        Err(_) => return x.clone(),
    };
    let checked = options.windows_of("fold", &[&[1, 1], space].concat()).and_then(|windows| {
        let taps: usize = windows.iter().map(|w| w.taps).product();
        let count: usize = windows.iter().map(|w| w.count).product();
        match x.shape()[..] {
            [batch, rows, n] if n == count && rows.is_multiple_of(taps) && ty.dtype.is_float() => {
                Ok((windows, [&[batch, rows / taps], space].concat()))
            }
            _ => {
                let why = format!(
                    "expected floats of {count} windows of {taps} elements, [batch, channels · \
                     {taps}, {count}], for the space axes {space:?}, got {ty}"
                );
                Err(Error::new("fold", why))
            }
        }
    });
    let (windows, shape) = match checked {
        Ok(checked) => checked,
        Err(e) => return Tensor::from_error(e),
    };
    let zeros = Tensor::zeros_of(ty.dtype, shape);
    let (_, transposed) = vjp(move |x: Tensor| columns(&x, &windows), zeros);
    transposed(x.clone())
}

/// The windows along one axis.
#[derive(Clone, Copy, Debug)]
pub(in crate::layers) struct AxisWindows {
    pub taps: usize,
    stride: usize,
    pub padding: usize,
    dilation: usize,
    /// The number of windows.
    pub count: usize,
}

impl AxisWindows {
    /// Returns the positions of the elements in the padded axis, `[taps, windows]`.
    pub fn positions(&self) -> Tensor {
        let index = |n: usize, step: usize| Tensor::arange(n) * step as i64;
        index(self.taps, self.dilation).expand_dims(-1) + index(self.count, self.stride)
    }
}

/// Computes [`unfold`] for an input with the channels at axis 1.
fn columns(x: &Tensor, windows: &[AxisWindows]) -> Tensor {
    let shape = x.shape().to_vec();
    let widths = [(0, 0); 2].into_iter().chain(windows.iter().map(|w| (w.padding, w.padding)));
    let mut y = x.pad(widths.collect::<Vec<_>>(), 0);
    for (i, w) in windows.iter().enumerate() {
        // The axis becomes two: taps, windows.
        y = y.take(w.positions(), 2 + 2 * i as i64);
    }
    let pairs = 0..windows.len();
    let order = pairs.clone().map(|i| 2 + 2 * i).chain(pairs.map(|i| 3 + 2 * i));
    let order: Vec<i64> = [0, 1].into_iter().chain(order).map(|i| i as i64).collect();
    let taps: usize = windows.iter().map(|w| w.taps).product();
    let count = windows.iter().map(|w| w.count).product();
    y.permute(&order[..]).reshape([shape[0], shape[1] * taps, count])
}

/// The layer of [`unfold()`], and the options of [`Fold`].
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::Unfold::new([2, 2]).strides(2);
/// let model = nn::input("image", dims![_, 3, 8, 8]).layer(layer).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 8, 8]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 12, 16]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unfold {
    taps: Vec<usize>,
    strides: Vec<usize>,
    padding: Vec<usize>,
    dilation: Vec<usize>,
    channels_last: bool,
}

impl Unfold {
    /// Creates a layer with windows of `taps` elements along each space axis; one number counts for
    /// all axes. The defaults are strides of 1, no padding and no dilation.
    pub fn new(taps: impl IntoEach) -> Unfold {
        let (strides, padding, dilation) = (vec![1], vec![0], vec![1]);
        Unfold { taps: taps.each(), strides, padding, dilation, channels_last: false }
    }

    /// Sets the distance between neighbouring windows.
    pub fn strides(self, strides: impl IntoEach) -> Unfold {
        Unfold { strides: strides.each(), ..self }
    }

    /// Sets the number of zeros at both ends of each space axis.
    pub fn padding(self, padding: impl IntoEach) -> Unfold {
        Unfold { padding: padding.each(), ..self }
    }

    /// Sets the distance between neighbouring elements of a window: 1 is no dilation.
    pub fn dilation(self, dilation: impl IntoEach) -> Unfold {
        Unfold { dilation: dilation.each(), ..self }
    }

    /// Makes the channels the last axis of the input, and `channels · taps` the last one of the
    /// output.
    pub fn channels_last(self) -> Unfold {
        Unfold { channels_last: true, ..self }
    }

    /// Returns the number of elements of a window along each space axis, or one for all of them.
    pub(in crate::layers) fn taps(&self) -> &[usize] {
        &self.taps
    }

    /// Returns true if the channels are the last axis.
    pub(in crate::layers) fn is_channels_last(&self) -> bool {
        self.channels_last
    }

    /// Returns the windows along each space axis of a shape `[batch, channels, space ..]`.
    ///
    /// # Errors
    /// If there is no space axis, or if an option does not fit the axes.
    pub(in crate::layers) fn windows_of(
        &self,
        op: &str,
        shape: &[usize],
    ) -> Result<Vec<AxisWindows>> {
        let space = shape.get(2..).unwrap_or_default();
        if space.is_empty() {
            let why = "expected an input [batch, channels, space ..] with at least one space axis";
            return Err(Error::new(op, format!("{why}, got the shape {shape:?}")));
        }
        let of_axis = |values: &[usize], i: usize| match values {
            [n] => Some(*n),
            _ => values.get(i).copied().filter(|_| values.len() == space.len()),
        };
        let windows = |(i, &n): (usize, &usize)| {
            let [taps, stride, padding, dilation] =
                [&self.taps, &self.strides, &self.padding, &self.dilation].map(|v| of_axis(v, i));
            let count = (|| {
                let reach = taps?.checked_sub(1)?.checked_mul(dilation?)?.checked_add(1)?;
                let room = padding?.checked_mul(2)?.checked_add(n)?.checked_sub(reach)?;
                dilation.filter(|&d| d > 0)?;
                room.checked_div(stride?)?.checked_add(1)
            })();
            match (taps, stride, padding, dilation, count) {
                (Some(taps), Some(stride), Some(padding), Some(dilation), Some(count)) => {
                    Ok(AxisWindows { taps, stride, padding, dilation, count })
                }
                _ => {
                    let Unfold { taps, strides, padding, dilation, .. } = self;
                    let why = format!(
                        "expected windows that fit into each of the space axes {space:?}, got \
                         {taps:?} taps, strides {strides:?}, padding {padding:?} and dilation \
                         {dilation:?}"
                    );
                    Err(Error::new(op, why))
                }
            }
        };
        space.iter().enumerate().map(windows).collect()
    }
}

impl Layer for Unfold {
    const NAME: &'static str = "unfold";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        unfold(&x, self)
    }
}

/// The layer of [`fold()`].
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::Fold::new([8, 8], nn::Unfold::new(2).strides(2));
/// let model = nn::input("patches", dims![_, 12, 16]).layer(layer).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 12, 16]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 3, 8, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fold {
    space: Vec<usize>,
    options: Unfold,
}

impl Fold {
    /// Creates a layer whose output has space axes of the sizes `space`, and whose input is that of
    /// [`Unfold`] with these options.
    pub fn new(space: impl Into<Vec<usize>>, options: Unfold) -> Fold {
        Fold { space: space.into(), options }
    }
}

impl Layer for Fold {
    const NAME: &'static str = "fold";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        fold(&x, &self.space, &self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{TypeSpec, key, types};

    #[test]
    fn are_layers() {
        check::layer(Unfold::new(2), &types![f32[2, 3, 5]]).unwrap();
        let options = || Unfold::new([2, 3]).strides([2, 1]).padding([0, 2]).dilation([1, 2]);
        check::layer(options(), &types![f32[2, 2, 4, 3]]).unwrap();
        check::layer(options().channels_last(), &types![f32[2, 4, 3, 2]]).unwrap();
        check::layer(Fold::new([4, 3], options()), &types![f32[2, 12, 6]]).unwrap();
        let last = Fold::new([4, 3], options().channels_last());
        check::layer(last, &types![f32[2, 6, 12]]).unwrap();
    }

    #[test]
    fn windows_that_do_not_overlap_are_restored() {
        let (x, options) = (key(0).normal([2, 3, 4, 6]), Unfold::new(2).strides(2));
        let y = fold(&unfold(&x, &options), &[4, 6], &options);
        assert_eq!(y.to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
    }

    #[test]
    fn infinite_elements_stay_in_their_windows() {
        let x = neurax_tensor::tensor([[[f32::INFINITY, 1.0, 2.0]]]);
        let y = unfold(&x, &Unfold::new(2));
        assert_eq!(y.to_vec::<f32>().unwrap(), [f32::INFINITY, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn windows_that_do_not_fit_are_errors() {
        let message = |l: Unfold, t: &[TypeSpec; 1]| check::layer(l, t).unwrap_err().to_string();
        let small = &types![f32[1, 2, 3]];
        for l in [
            Unfold::new(4),
            Unfold::new(0),
            Unfold::new([1, 1]),
            Unfold::new(2).strides(0),
            Unfold::new(2).dilation(0),
            Unfold::new(2).dilation(3),
            Unfold::new(usize::MAX).dilation(usize::MAX),
        ] {
            let e = message(l, small);
            assert!(e.contains("expected windows that fit into each of the space axes [3]"), "{e}");
            assert!(e.contains("in layer unfold"), "{e}");
        }
        let e = message(Unfold::new(1), &types![f32[1, 2]]);
        assert!(e.contains("with at least one space axis, got the shape [1, 2]"), "{e}");
        let e = check::layer(Fold::new([4], Unfold::new(2)), &types![f32[1, 5, 3]]).unwrap_err();
        let want = "expected floats of 3 windows of 2 elements, [batch, channels · 2, 3], for";
        assert!(e.to_string().contains(want), "{e}");
    }
}
