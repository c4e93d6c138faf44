//! Pooling by a blur: Zhang, 2019 (<https://arxiv.org/abs/1904.11486>).

use crate::layers::axes::describe;
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, IntoEach, PadMode, Tensor, Windows};
use serde::{Deserialize, Serialize};

/// Applies a binomial filter of `size` elements along each space axis, for instance `1 2 1`,
/// divided by its sum, at distances of `strides`: `x` is `[batch, channels, space ..]`, or
/// `[batch, space .., channels]` with `channels_last`. The input is padded by `padding`, such that
/// windows begin `(size - 1) / 2` elements before it.
///
/// # Errors
/// The result carries an error if `x` has no channels or no space, or `size` is not in 1..=32.
///
/// ```
/// use neurax::{PadMode, prelude::*};
/// let x = tensor([[[0.0, 4.0, 0.0, 0.0]]]);
/// let y = nn::layers::blur_pool(&x, 3, vec![2], PadMode::Reflect, false);
/// assert_eq!(y.to_vec::<f32>()?, [2.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn blur_pool(
    x: &Tensor,
    size: usize,
    strides: impl IntoEach,
    padding: PadMode,
    channels_last: bool,
) -> Tensor {
    let rank = x.rank();
    if !(1..=32).contains(&size) || rank < 3 {
        let got = describe(x);
        let why = format!(
            "expected a size in 1..=32 and an input with axes for batch, channels and space, got \
             size {size} and {got}"
        );
        return Tensor::from_error(Error::new("blur_pool", why));
    }
    let space = rank - 2;
    let low = (size as i64 - 1) / 2;
    let ends = vec![(low, size as i64 - 1 - low); space];
    let options = Windows::new().strides(strides).padding(neurax_tensor::Padding::Each(ends));
    let options = options.padding_mode(padding);
    let (channels, kernel) = (x.dim(if channels_last { -1 } else { 1 }), binomial(size, space));
    let (shape, options) = if channels_last {
        ([&kernel.shape()[..], &[1, channels]].concat(), options.channels_last())
    } else {
        ([&[channels, 1], &kernel.shape()[..]].concat(), options)
    };
    let kernel = match channels_last {
        true => kernel.expand_dims(-1).expand_dims(-1),
        false => kernel,
    };
    x.conv(&kernel.broadcast_to(shape).to(x.dtype()), options.groups(channels))
}

/// Returns the binomial filter of `size` elements along each of `space` axes; its sum is 1.
fn binomial(size: usize, space: usize) -> Tensor {
    let mut row = vec![1.0f32];
    for _ in 1..size {
        let next = |i: usize| row.get(i).unwrap_or(&0.0) + if i > 0 { row[i - 1] } else { 0.0 };
        row = (0..=row.len()).map(next).map(|x| x / 2.0).collect();
    }
    let row = neurax_tensor::tensor(row);
    let outer = |y: Tensor, _| y.expand_dims(-1) * &row;
    (1..space).fold(row.clone(), outer)
}

/// The layer of [`blur_pool`]: a pool with strides that does not alias.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("image", dims![_, 3, 8, 8]).layer(nn::BlurPool::new()).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 8, 8]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 3, 4, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlurPool {
    size: usize,
    strides: Vec<usize>,
    padding: PadMode,
    channels_last: bool,
}

impl BlurPool {
    /// Creates a layer with a filter of 3 elements along each space axis, strides of 2, and padding
    /// by reflection.
    pub fn new() -> BlurPool {
        BlurPool { size: 3, strides: vec![2], padding: PadMode::Reflect, channels_last: false }
    }

    /// Sets the size of the filter along each space axis.
    pub fn size(self, size: usize) -> BlurPool {
        BlurPool { size, ..self }
    }

    /// Sets the distance between neighbouring windows.
    pub fn strides(self, strides: impl IntoEach) -> BlurPool {
        BlurPool { strides: strides.each(), ..self }
    }

    /// Sets how the input is padded.
    pub fn padding_mode(self, padding: PadMode) -> BlurPool {
        BlurPool { padding, ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> BlurPool {
        BlurPool { channels_last: true, ..self }
    }
}

impl Default for BlurPool {
    fn default() -> BlurPool {
        BlurPool::new()
    }
}

impl Layer for BlurPool {
    const NAME: &'static str = "blur_pool";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        blur_pool(&x, self.size, self.strides.clone(), self.padding, self.channels_last)
    }
}

impl Node {
    /// Applies a binomial filter with strides of 2: see [`BlurPool`].
    #[track_caller]
    pub fn blur_pool(&self) -> Node {
        self.layer(BlurPool::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn is_a_layer() {
        check::layer(BlurPool::new(), &types![f32[2, 2, 5]]).unwrap();
        check::layer(BlurPool::new().channels_last(), &types![f32[2, 4, 5, 3]]).unwrap();
        let other = BlurPool::new().size(4).strides([1, 2]).padding_mode(PadMode::Edge);
        check::layer(other, &types![f32[1, 2, 4, 5]]).unwrap();
        check::layer(BlurPool::new(), &types![f32[1, 1, 3, 3, 3]]).unwrap();
    }

    // [1 2 1; 2 4 2; 1 2 1] / 16 of the paper.
    #[test]
    fn the_filter_is_binomial() {
        let filter = (binomial(3, 2) * 16.0).to_vec::<f32>().unwrap();
        assert_eq!(filter, [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]);
        assert_eq!((binomial(4, 1) * 8.0).to_vec::<f32>().unwrap(), [1.0, 3.0, 3.0, 1.0]);
    }

    #[test]
    fn invalid_inputs_are_errors() {
        for (size, t) in [(3, types![f32[2, 3]]), (0, types![f32[2, 3, 4]])] {
            let e = check::layer(BlurPool::new().size(size), &t).unwrap_err().to_string();
            assert!(e.contains(&format!("got size {size} and {}", t[0])), "{e}");
        }
    }
}
