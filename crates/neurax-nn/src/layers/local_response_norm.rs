//! Normalization by the neighbouring channels.

use super::axes::channels_first;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, LayerPrecision};
use neurax_tensor::{Error, Tensor, Windows};
use serde::{Deserialize, Serialize};

/// Divides each element by `(k + alpha · m)^beta`, where `m` is the mean of the squares of `size`
/// neighbouring channels: `x` is `[batch, channels, space ..]`; channels beyond the ends count as
/// zeros. Krizhevsky et al., 2012
/// (<https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html>), as
/// PyTorch's `LocalResponseNorm`; TensorFlow's `alpha` is a `size`-th of this one.
///
/// # Errors
/// The result carries an error if `x` has fewer than two axes, or if `size` is 0.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::local_response_norm(&tensor([[3.0, 1.0]]), 1, 1.0, 0.5, 1.0);
/// let want = [3.0 / 10f32.sqrt(), 1.0 / 2f32.sqrt()];
/// assert!(y.allclose(tensor(want), 1e-6, 0.0).item()? == 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn local_response_norm(x: &Tensor, size: usize, alpha: f64, beta: f64, k: f64) -> Tensor {
    let ty = match x.ty() {
        Ok(ty) => ty,
        Err(_) => return x.clone(),
    };
    if ty.rank() < 2 || size == 0 {
        let why = format!(
            "expected an input [batch, channels, space ..] and a size of at least 1, got {ty} and \
             size {size}"
        );
        return Tensor::from_error(Error::new("local_response_norm", why));
    }
    let wide = at_least_f32(x);
    let space = ty.shape[2..].iter().product();
    let rows = wide.square().reshape([ty.shape[0], 1, ty.shape[1], space]);
    let ends = [((size / 2) as i64, ((size - 1) / 2) as i64), (0, 0)];
    let options = Windows::new().strides(1).padding(ends).count_padding();
    let mean = rows.avg_pool([size, 1], options).reshape(x.shape());
    narrow_as(x, wide / (mean * alpha + k).pow(beta))
}

/// The layer of [`local_response_norm`].
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 8, 4, 4]).layer(nn::LocalResponseNorm::new(5)).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 8, 4, 4]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 8, 4, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalResponseNorm {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
    channels_last: bool,
}

impl LocalResponseNorm {
    /// Creates a layer over `size` neighbouring channels, with an `alpha` of 1e-4, a `beta` of 0.75
    /// and a `k` of 1.
    pub fn new(size: usize) -> LocalResponseNorm {
        LocalResponseNorm { size, alpha: 1e-4, beta: 0.75, k: 1.0, channels_last: false }
    }

    /// Sets the factor of the mean square.
    pub fn alpha(self, alpha: f64) -> LocalResponseNorm {
        LocalResponseNorm { alpha, ..self }
    }

    /// Sets the exponent of the divisor.
    pub fn beta(self, beta: f64) -> LocalResponseNorm {
        LocalResponseNorm { beta, ..self }
    }

    /// Sets the constant that is added to the mean square.
    pub fn k(self, k: f64) -> LocalResponseNorm {
        LocalResponseNorm { k, ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> LocalResponseNorm {
        LocalResponseNorm { channels_last: true, ..self }
    }
}

impl Layer for LocalResponseNorm {
    const NAME: &'static str = "local_response_norm";
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        channels_first(&x, self.channels_last, |x| {
            local_response_norm(x, self.size, self.alpha, self.beta, self.k)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn is_a_layer() {
        check::layer(LocalResponseNorm::new(3).alpha(0.5), &types![f32[2, 4, 3]]).unwrap();
        let last = LocalResponseNorm::new(2).alpha(1.0).beta(0.5).k(2.0).channels_last();
        check::layer(last, &types![f32[2, 3, 2, 4]]).unwrap();
        check::layer(LocalResponseNorm::new(2), &types![bf16[2, 3]]).unwrap();
    }

    #[test]
    fn invalid_inputs_are_errors() {
        for (size, t) in [(2, types![f32[3]]), (0, types![f32[1, 2]])] {
            let e = check::layer(LocalResponseNorm::new(size), &t).unwrap_err().to_string();
            assert!(e.contains(&format!("got {} and size {size}", t[0])), "{e}");
        }
    }
}
