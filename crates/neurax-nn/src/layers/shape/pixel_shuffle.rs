//! Exchange of channels and space: Shi et al., 2016 (<https://arxiv.org/abs/1609.05158>).

use crate::layers::axes::channels_first;
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// Moves channels into space: `[batch, channels · factorᵈ, space ..]` with `d` space axes becomes
/// `[batch, channels, space · factor ..]`. Channel `(c, i, j)` is at row `i` and column `j` of each
/// block of channel `c`, as in PyTorch.
///
/// # Errors
/// The result carries an error if the number of channels is no multiple of `factorᵈ`.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::pixel_shuffle(&tensor([[[1.0, 2.0], [10.0, 20.0]]]), 2);
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 10.0, 2.0, 20.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn pixel_shuffle(x: &Tensor, factor: usize) -> Tensor {
    let shape = x.shape().to_vec();
    let block = checked_block(&shape, factor);
    let Some(block) = block.filter(|b| shape[1].is_multiple_of(*b)) else {
        return wrong("pixel_shuffle", "channels in a multiple of the factor's power", x, factor);
    };
    let space = &shape[2..];
    let channels = shape[1] / block;
    let split = [&[shape[0], channels], &vec![factor; space.len()][..], space].concat();
    // [batch, channels, blocks .., space ..] to [batch, channels, space, block, ..]
    let pairs = (0..space.len()).flat_map(|i| [2 + space.len() + i, 2 + i]);
    let order: Vec<i64> = [0, 1].into_iter().chain(pairs).map(|i| i as i64).collect();
    let grown = space.iter().map(|n| n * factor);
    let merged: Vec<usize> = [shape[0], channels].into_iter().chain(grown).collect();
    x.reshape(split).permute(&order[..]).reshape(merged)
}

/// Moves space into channels, the inverse of [`pixel_shuffle`]: `[batch, channels, space ..]` with
/// `d` space axes becomes `[batch, channels · factorᵈ, space / factor ..]`.
///
/// # Errors
/// The result carries an error if the size of a space axis is no multiple of `factor`.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::pixel_unshuffle(&tensor([[[1.0, 10.0, 2.0, 20.0]]]), 2);
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 10.0, 20.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn pixel_unshuffle(x: &Tensor, factor: usize) -> Tensor {
    let shape = x.shape().to_vec();
    let is_divided = |_: &usize| shape[2..].iter().all(|n| n.is_multiple_of(factor));
    let Some(block) = checked_block(&shape, factor).filter(is_divided) else {
        return wrong("pixel_unshuffle", "space axes in multiples of the factor", x, factor);
    };
    let space: Vec<usize> = shape[2..].iter().map(|n| n / factor).collect();
    let pairs = space.iter().flat_map(|&n| [n, factor]);
    let split: Vec<usize> = shape[..2].iter().copied().chain(pairs).collect();
    let blocks = (0..space.len()).map(|i| 3 + 2 * i);
    let rest = (0..space.len()).map(|i| 2 + 2 * i);
    let order: Vec<i64> = [0, 1].into_iter().chain(blocks).chain(rest).map(|i| i as i64).collect();
    let merged = [&[shape[0], shape[1] * block], &space[..]].concat();
    x.reshape(split).permute(&order[..]).reshape(merged)
}

/// Returns the number of elements of a block, if the shape has space and the factor is no 0.
fn checked_block(shape: &[usize], factor: usize) -> Option<usize> {
    let space = u32::try_from(shape.len().checked_sub(2)?).ok().filter(|&n| n > 0)?;
    factor.checked_pow(space).filter(|&b| b > 0)
}

fn wrong(op: &'static str, expected: &str, x: &Tensor, factor: usize) -> Tensor {
    match x.ty() {
        Ok(ty) => {
            let why = format!(
                "expected an input [batch, channels, space ..] with {expected}, got {ty} and the \
                 factor {factor}"
            );
            Tensor::from_error(Error::new(op, why))
        }
        Err(_) => x.clone(),
    }
}

macro_rules! shuffles {
    ($($(#[$doc:meta])* $Name:ident $f:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $Name {
            factor: usize,
            channels_last: bool,
        }

        impl $Name {
            /// Creates a layer that multiplies or divides each space axis by `factor`.
            pub fn new(factor: usize) -> $Name {
                $Name { factor, channels_last: false }
            }

            /// Makes the channels the last axis. The order of the channels stays that of PyTorch,
            /// which is not that of TensorFlow's `depth_to_space`.
            pub fn channels_last(self) -> $Name {
                $Name { channels_last: true, ..self }
            }
        }

        impl Layer for $Name {
            const NAME: &'static str = stringify!($f);
            type Output = Tensor;

            fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
                channels_first(&x, self.channels_last, |x| $f(x, self.factor))
            }
        }

        impl Node {
            #[doc = concat!("See [`", stringify!($Name), "`].")]
            #[track_caller]
            pub fn $f(&self, factor: usize) -> Node {
                self.layer($Name::new(factor))
            }
        }
    )*};
}

shuffles! {
    /// The layer of [`pixel_shuffle()`]: moves channels into space.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 8, 3, 3]).layer(nn::PixelShuffle::new(2)).model();
    /// let out = model.apply(&Vars::default(), Tensor::ones([1, 8, 3, 3]), &Mode::Eval);
    /// assert_eq!(out.y().shape(), [1, 2, 6, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    PixelShuffle pixel_shuffle;
    /// The layer of [`pixel_unshuffle()`]: moves space into channels.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 2, 6, 6]).layer(nn::PixelUnshuffle::new(2)).model();
    /// let out = model.apply(&Vars::default(), Tensor::ones([1, 2, 6, 6]), &Mode::Eval);
    /// assert_eq!(out.y().shape(), [1, 8, 3, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    PixelUnshuffle pixel_unshuffle;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{key, types};

    #[test]
    fn are_layers() {
        check::layer(PixelShuffle::new(2), &types![f32[2, 8, 2, 3]]).unwrap();
        check::layer(PixelShuffle::new(2).channels_last(), &types![f32[1, 2, 3, 4]]).unwrap();
        check::layer(PixelUnshuffle::new(3), &types![f32[2, 2, 6]]).unwrap();
        check::layer(PixelUnshuffle::new(2).channels_last(), &types![f32[1, 4, 2, 3]]).unwrap();
    }

    #[test]
    fn one_is_the_inverse_of_the_other() {
        for shape in [&[2, 9, 4][..], &[1, 18, 2, 3], &[1, 27, 2, 1, 3]] {
            let x = key(1).normal(shape);
            let y = pixel_unshuffle(&pixel_shuffle(&x, 3), 3);
            assert_eq!(x.to_vec::<f32>().unwrap(), y.to_vec::<f32>().unwrap());
        }
    }

    #[test]
    fn sizes_that_are_no_multiples_are_errors() {
        for (factor, t) in [
            (2, types![f32[1, 6, 2, 2]]),
            (0, types![f32[1, 4, 2]]),
            (
                2,
                types![
                    f32[1, 4]
                ],
            ),
        ] {
            let e = check::layer(PixelShuffle::new(factor), &t).unwrap_err().to_string();
            assert!(e.contains(&format!("got {} and the factor {factor}", t[0])), "{e}");
        }
        let e = check::layer(PixelUnshuffle::new(2), &types![f32[1, 4, 3]]).unwrap_err();
        assert!(e.to_string().contains("space axes in multiples of the factor"), "{e}");
    }
}
