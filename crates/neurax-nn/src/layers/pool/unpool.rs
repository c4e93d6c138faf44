//! Maximum pooling with the positions of the maxima, and its partial inverse.

use super::MaxPool;
use crate::layers::axes::{channels_first, describe};
use crate::layers::conv::if_fitting;
use crate::{Cx, Layer};
use neurax_tensor::{DType, Error, IntoEach, Tensor};
use serde::{Deserialize, Serialize};

/// Returns zeros of `[batch, channels, space ..]`, with the elements of `x` at the positions
/// `indices`: both are `[batch, channels, windows ..]`, and a position counts the elements of the
/// space of one example and channel in row-major order, as [`Tensor::max_pool_indices`] does. An
/// element whose position is outside of the space is left out; of several with one position, any
/// may be kept. PyTorch's `max_unpool1d` to `max_unpool3d`.
///
/// # Errors
/// The result carries an error if `indices` are no integers of the shape of `x`, or if `space` does
/// not have a size for each space axis.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[[1.0, 5.0, 7.0, 2.0]]]);
/// let (y, at) = (x.max_pool(2, Windows::new()), x.max_pool_indices(2, Windows::new()));
/// let back = nn::layers::max_unpool(&y, &at, &[4]);
/// assert_eq!(back.to_vec::<f32>()?, [0.0, 5.0, 7.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn max_unpool(x: &Tensor, indices: &Tensor, space: &[usize]) -> Tensor {
    let (of_x, of_indices) = match (x.ty(), indices.ty()) {
        (Ok(x), Ok(i)) => (x, i),
        (Err(_), _) => return x.clone(),
        (_, Err(_)) => return indices.clone(),
    };
    let fits = of_x.shape == of_indices.shape && of_x.rank() == space.len() + 2;
    if !fits || !of_indices.dtype.is_int() {
        let why = format!(
            "expected [batch, channels, windows ..] and integer indices of the same shape, to be \
             put into the space {space:?}, got {of_x} and {of_indices}"
        );
        return Tensor::from_error(Error::new("max_unpool", why));
    }
    let planes = of_x.shape[0] * of_x.shape[1];
    let windows: usize = of_x.shape[2..].iter().product();
    let Some(size) = space.iter().try_fold(1usize, |size, &n| size.checked_mul(n)) else {
        let why = format!("expected a space whose elements can be counted, got {space:?}");
        return Tensor::from_error(Error::new("max_unpool", why));
    };
    let indices = indices.reshape([planes, windows]).to(DType::I64);
    // Negative indices would count from the end; `size` is no element.
    let at = indices.lt(0).select(size, &indices);
    let plane = Tensor::arange(planes).to(DType::I64).expand_dims(-1);
    let zeros = Tensor::zeros_of(of_x.dtype, [planes, size]);
    let y = zeros.at((plane, at)).set(x.reshape([planes, windows]));
    y.reshape([&of_x.shape[..2], space].concat())
}

/// A layer with the outputs of [`MaxPool`] and of [`Tensor::max_pool_indices`], which
/// [`MaxPool::with_indices`] creates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaxPoolWithIndices {
    pool: MaxPool,
}

impl MaxPool {
    /// Makes the positions of the maxima a second output, which [`MaxUnpool`] reads, as PyTorch's
    /// `return_indices`: see [`Tensor::max_pool_indices`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, at) = nn::input("x", dims![_, 1, 4]).layer(nn::MaxPool::new(2).with_indices());
    /// let model = nn::MaxUnpool::new(2).call([y, at]).model();
    /// let x = tensor([[[1.0, 3.0, 2.0, 0.0]]]);
    /// let out = model.apply(&Vars::default(), x, &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [0.0, 3.0, 2.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_indices(self) -> MaxPoolWithIndices {
        MaxPoolWithIndices { pool: self }
    }
}

impl Layer for MaxPoolWithIndices {
    const NAME: &'static str = "max_pool_with_indices";
    type Output = (Tensor, Tensor);

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> (Tensor, Tensor) {
        let MaxPool { sizes, options } = &self.pool;
        let y = x.max_pool(sizes.clone(), options.clone());
        let indices = x.max_pool_indices(sizes.clone(), options.clone());
        (if_fitting(cx, Self::NAME, y, &x, sizes, options), indices)
    }
}

/// The layer of [`max_unpool`]: undoes a [`MaxPool`], with zeros in place of the elements that were
/// not maxima. Its inputs are those of a pool with [`MaxPool::with_indices`], or others of the same
/// shapes.
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, 3, 9, 8]);
/// let (y, at) = x.layer(nn::MaxPool::new(2).with_indices());
/// // The windows leave out the last row, so that the sizes of the input must be stated.
/// let model = nn::MaxUnpool::new(2).space([9, 8]).call([y, at]).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 9, 8]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 3, 9, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaxUnpool {
    sizes: Vec<usize>,
    /// The sizes if `None`.
    strides: Option<Vec<usize>>,
    padding: Vec<usize>,
    space: Option<Vec<usize>>,
    channels_last: bool,
}

impl MaxUnpool {
    /// Creates a layer that undoes a pool with windows of `sizes` elements along the space axes;
    /// one number counts for all axes. The defaults are strides of the window's size and no
    /// padding. An axis of `n` windows becomes one of `(n - 1) stride - 2 padding + size` elements.
    pub fn new(sizes: impl IntoEach) -> MaxUnpool {
        let (strides, padding, space) = (None, vec![0], None);
        MaxUnpool { sizes: sizes.each(), strides, padding, space, channels_last: false }
    }

    /// Sets the strides of the pool.
    pub fn strides(self, strides: impl IntoEach) -> MaxUnpool {
        MaxUnpool { strides: Some(strides.each()), ..self }
    }

    /// Sets the padding of the pool at both ends of each space axis.
    pub fn padding(self, padding: impl IntoEach) -> MaxUnpool {
        MaxUnpool { padding: padding.each(), ..self }
    }

    /// Sets the sizes of the space axes of the result, those of the input of the pool: PyTorch's
    /// `output_size`. It is needed where the windows leave out elements.
    pub fn space(self, space: impl Into<Vec<usize>>) -> MaxUnpool {
        MaxUnpool { space: Some(space.into()), ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> MaxUnpool {
        MaxUnpool { channels_last: true, ..self }
    }

    /// Returns the sizes of the space axes of the result for an input of `windows`.
    fn space_of(&self, windows: &[usize]) -> Option<Vec<usize>> {
        if let Some(space) = &self.space {
            return Some(space.clone());
        }
        let of_axis = |values: &[usize], i: usize| match values {
            [n] => Some(*n),
            _ => values.get(i).copied().filter(|_| values.len() == windows.len()),
        };
        let size = |(i, &n): (usize, &usize)| {
            let strides = self.strides.as_ref().unwrap_or(&self.sizes);
            let [taps, stride, padding] =
                [&self.sizes, strides, &self.padding].map(|values| of_axis(values, i));
            let reach = n.checked_sub(1)?.checked_mul(stride?)?.checked_add(taps?)?;
            reach.checked_sub(padding?.checked_mul(2)?)
        };
        windows.iter().enumerate().map(size).collect()
    }
}

impl Layer<2> for MaxUnpool {
    const NAME: &'static str = "max_unpool";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x, indices]: [Tensor; 2]) -> Tensor {
        let indices = match self.channels_last && indices.rank() >= 2 {
            true => indices.move_axis(-1, 1),
            false => indices,
        };
        channels_first(&x, self.channels_last, |x| {
            let windows = x.shape().get(2..).unwrap_or_default().to_vec();
            match self.space_of(&windows) {
                Some(space) => max_unpool(x, &indices, &space),
                None => {
                    let MaxUnpool { sizes, strides, padding, .. } = self;
                    let why = format!(
                        "expected sizes, strides and padding for each of the space axes, got \
                         {sizes:?}, {strides:?} and {padding:?} for {}",
                        describe(x)
                    );
                    Tensor::from_error(Error::new(Self::NAME, why))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Node, check};
    use neurax_tensor::{tensor, types};

    /// Pools and undoes the pool.
    fn there_and_back(pool: MaxPool, unpool: MaxUnpool) -> impl FnOnce([Node; 1]) -> Node {
        |[x]| {
            let (y, at) = x.layer(pool.with_indices());
            unpool.call([y, at])
        }
    }

    #[test]
    fn are_layers() {
        check::layer(MaxPool::new(2).with_indices(), &types![f32[2, 3, 6]]).unwrap();
        let padded = MaxPool::new([3, 2]).strides(2).padding(1).ceil_mode().channels_last();
        check::layer(padded.with_indices(), &types![f32[2, 4, 5, 2]]).unwrap();
        let plain = there_and_back(MaxPool::new(2), MaxUnpool::new(2));
        check::nodes(plain, &types![f32[2, 2, 6]]).unwrap();
        let pool = MaxPool::new(3).strides(2).padding(1).channels_last();
        let unpool = MaxUnpool::new(3).strides(2).padding(1).space([4, 5]).channels_last();
        check::nodes(there_and_back(pool, unpool), &types![f32[2, 4, 5, 2]]).unwrap();
        let pool = MaxPool::new([1, 2, 2]);
        let unpool = MaxUnpool::new([1, 2, 2]).space([2, 3, 4]);
        check::nodes(there_and_back(pool, unpool), &types![f32[1, 2, 2, 3, 4]]).unwrap();
        check::nodes(|x: [_; 2]| MaxUnpool::new(2).call(x), &types![f32[2, 3, 1], i32[2, 3, 1]])
            .unwrap();
    }

    #[test]
    fn maxima_return_to_their_places() {
        let x = tensor([[[1.0, 2.0, 6.0, 3.0, 4.0]]]);
        let y = crate::input("x", neurax_tensor::dims![_, 1, 5]);
        let model = there_and_back(MaxPool::new(2), MaxUnpool::new(2).space([5]))([y]).model();
        let out = model.apply(&crate::Vars::default(), x, &crate::Mode::Eval);
        assert_eq!(out.y().to_vec::<f32>().unwrap(), [0.0, 2.0, 6.0, 0.0, 0.0]);
        // Positions outside of the space, also those below 0, are no elements.
        let (x, at) = (tensor([[[1.0, 2.0, 3.0]]]), tensor([[[-1, 3, 0]]]));
        assert_eq!(max_unpool(&x, &at, &[3]).to_vec::<f32>().unwrap(), [3.0, 0.0, 0.0]);
    }

    #[test]
    fn channels_last_is_the_same_layer() {
        let x = neurax_tensor::key(0).normal([2, 3, 4, 6]);
        let run = |pool: MaxPool, unpool: MaxUnpool, x: &Tensor| {
            let node = crate::input("x", neurax_tensor::dims![_, _, _, _]);
            let model = there_and_back(pool, unpool)([node]).model();
            model.apply(&crate::Vars::default(), x, &crate::Mode::Eval).y().clone()
        };
        let (pool, unpool) = (MaxPool::new([2, 3]), MaxUnpool::new([2, 3]));
        let want = run(pool.clone(), unpool.clone(), &x);
        let last = x.move_axis(1, -1);
        let found = run(pool.channels_last(), unpool.channels_last(), &last).move_axis(-1, 1);
        assert_eq!(found.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
        // One element of each window is kept.
        assert_eq!(want.not_equal(0.0).to(DType::I32).sum(..).item().unwrap(), 24.0);
    }

    #[test]
    fn indices_that_do_not_fit_are_errors() {
        let x = Tensor::ones([1, 1, 2]);
        let message = |indices: &Tensor, space: &[usize]| {
            max_unpool(&x, indices, space).error().map(|e| e.to_string()).unwrap()
        };
        let at = Tensor::zeros([1, 1, 2]);
        assert!(message(&at, &[4]).contains("integer indices of the same shape"));
        let at = at.to(DType::I32);
        let e = max_unpool(
            &Tensor::ones([1, 1, 1, 2]),
            &Tensor::zeros([1, 1, 1, 2]).to(DType::I32),
            &[usize::MAX, 2],
        );
        assert!(e.error().unwrap().to_string().contains("can be counted"), "{e:?}");
        assert!(message(&at, &[2, 2]).contains("the space [2, 2], got f32[1, 1, 2]"));
        let e = check::nodes(
            |x: [_; 2]| MaxUnpool::new([2, 2]).call(x),
            &types![f32[1, 1, 2], i32[1, 1, 2]],
        );
        let e = e.unwrap_err().to_string();
        assert!(e.contains("for each of the space axes, got [2, 2]"), "{e}");
    }
}
