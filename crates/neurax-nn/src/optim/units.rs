//! Transformations of gradients unit by unit: the weights of one output of a layer.
//!
//! Which weights are a unit depends on the layout of the parameter:
//!
//! ```text
//! layer            parameter                          the weights of a unit
//! dense            kernel [inputs, units]             a column: axis 0
//! embedding        embedding [vocabulary, features]   a column: axis 0
//! convolution      kernel [filters, channels, ..]     all axes but 0
//! any              bias, scale [units]                the whole vector
//! ```
//!
//! This is the layout of PyTorch for convolutions and that of Flax for dense layers. Optax's
//! `centralize` takes the mean over all axes but 0, which in the layout of Flax is over the outputs
//! of a dense layer; the paper and this module take it over the inputs. A transposed convolution
//! whose kernel has the inputs at axis 0 can be left out with [`masked`](super::masked).

use super::clip::{limit_error, limiting_factor, root};
use super::{Optim, Rule, Slots, Step, invalid};
use neurax_tensor::{DType, Tensor, keep};

/// Subtracts the mean of each unit from the gradients of matrices and kernels (Yong et al., 2020,
/// <https://arxiv.org/abs/2004.01461>). The units of a matrix `[inputs, units]` are its columns;
/// those of kernels `[units, channels, ..]` are the entries of axis 0. Vectors and scalars pass
/// unchanged.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::centralize(), Tensor::zeros([2, 2]));
/// let (u, _) = opt.update(&p, &tensor([[1.0, 2.0], [3.0, 8.0]]), opt.init(&p));
/// assert_eq!(u.to_vec::<f32>()?, [-1.0, -3.0, 1.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn centralize() -> Optim {
    Optim::new(Centralize)
}

/// Limits the norm of the gradient of each unit to `clipping` times the norm of its weights, which
/// counts as at least `epsilon` (Brock et al., 2021, <https://arxiv.org/abs/2102.06171>, where
/// they are 0.01 and 1e-3). Units are those of [`centralize`]; a vector is one unit. The norms are
/// computed in f64.
///
/// # Errors
///
/// The updates carry an error if `clipping` or `epsilon` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::clip_adaptive(0.1, 1e-3), tensor([3.0, 4.0]));
/// let (u, _) = opt.update(&p, &tensor([30.0, 40.0]), opt.init(&p));
/// assert_eq!(u.to_vec::<f32>()?, [0.3, 0.4]);
/// # Ok::<(), Error>(())
/// ```
pub fn clip_adaptive(clipping: f64, epsilon: f64) -> Optim {
    Optim::new(ClipAdaptive { clipping, epsilon })
}

struct Centralize;

impl Rule for Centralize {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
        let centralized = |g: Tensor| match g.rank() {
            0 | 1 => g,
            // The sum of large gradients may overflow in f32.
            _ => &g - g.to(DType::F64).mean(keep(axes_of_a_unit(&g))).to(g.dtype()),
        };
        grads.into_iter().map(centralized).collect()
    }
}

struct ClipAdaptive {
    clipping: f64,
    epsilon: f64,
}

impl Rule for ClipAdaptive {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = limit_error(self.clipping).or_else(|| limit_error(self.epsilon)) {
            return invalid("clip_adaptive", why, &grads);
        }
        let clipped = |(g, p): (&Tensor, &Tensor)| {
            let limit = unit_norms(p).maximum(self.epsilon) * self.clipping;
            (g.to(DType::F64) * limiting_factor(&unit_norms(g), &limit)).to(g.dtype())
        };
        grads.iter().zip(step.params).map(clipped).collect()
    }
}

/// Returns a matrix with the weights of each unit in a row; `None` for vectors and scalars.
pub(crate) fn unit_rows(x: &Tensor) -> Option<Tensor> {
    match x.rank() {
        0 | 1 => None,
        2 => Some(x.t()),
        _ => {
            let units = x.shape()[0];
            let weights = x.shape()[1..].iter().product::<usize>();
            Some(x.reshape([units, weights]))
        }
    }
}

/// Returns the norm of each unit of `x`, f64, with axes that broadcast to those of `x`.
pub(super) fn unit_norms(x: &Tensor) -> Tensor {
    root(&x.to(DType::F64).square().sum(keep(axes_of_a_unit(x))))
}

/// Returns the axes of `x` over which the weights of one unit extend.
fn axes_of_a_unit(x: &Tensor) -> Vec<i64> {
    match x.rank() {
        rank @ 0..=2 => (0..rank.min(1) as i64).collect(),
        rank => (1..rank as i64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{grad, tensor};

    fn updates(opt: Optim, p: &Tensor, g: &Tensor) -> Vec<f32> {
        opt.update(p, g, opt.init(p)).0.to_vec().unwrap()
    }

    #[test]
    fn units_are_columns_of_matrices_and_entries_of_kernels() {
        let g = tensor([[[1.0, 3.0]], [[5.0, 6.0]]]);
        assert_eq!(updates(centralize(), &g, &g), [-1.0, 1.0, -0.5, 0.5]);
        assert_eq!(updates(centralize(), &g.get(0), &g.get(0)), [0.0, 0.0]);
        assert_eq!(updates(centralize(), &tensor([1.0, 3.0]), &tensor([1.0, 3.0])), [1.0, 3.0]);
        // The columns of `p` have the norms 5 and 0, which counts as 0.5.
        let p = tensor([[3.0, 0.0], [4.0, 0.0]]);
        let clipped = updates(clip_adaptive(0.1, 0.5), &p, &tensor([[0.0, 3.0], [1.0, -4.0]]));
        assert_eq!(clipped, [0.0, 0.03, 0.5, -0.04]);
        let small = tensor([[0.1, 0.01], [-0.1, 0.01]]);
        assert_eq!(updates(clip_adaptive(0.1, 0.5), &p, &small), small.to_vec::<f32>().unwrap());
    }

    #[test]
    fn units_of_layers_are_their_outputs() {
        let x = crate::input("x", neurax_tensor::dims![_, 3, 8]);
        let model = x.layer(crate::Conv::new(5, 3)).flatten().dense(4).model();
        let vars = model.init(neurax_tensor::key(0), &neurax_tensor::types![f32[_, 3, 8]]).unwrap();
        for (layer, units) in [("conv", 5), ("dense", 4)] {
            let rows = unit_rows(&vars.params[layer]["kernel"]).unwrap();
            assert_eq!(rows.shape()[0], units, "{layer}");
            let norms = unit_norms(&vars.params[layer]["kernel"]);
            assert_eq!(norms.size(), units, "{layer}");
        }
    }

    #[test]
    fn gradients_of_zero_have_finite_derivatives() {
        let p = Tensor::zeros([2, 2]);
        let opt = clip_adaptive(0.1, 1e-3);
        let total = |g: Tensor| opt.update(&p, &g, opt.init(&p)).0.sum(..);
        assert_eq!(grad(total)(p.clone()).to_vec::<f32>().unwrap(), [1.0; 4]);
        assert_eq!(updates(opt.clone(), &tensor(2.0), &tensor(8.0)), [0.2]);
        assert!(updates(opt, &Tensor::zeros([0, 2]), &Tensor::zeros([0, 2])).is_empty());
    }

    #[test]
    fn a_negative_limit_is_an_error() {
        let p = tensor([1.0]);
        for opt in [clip_adaptive(-1.0, 0.0), clip_adaptive(1.0, f64::NAN)] {
            let (u, _) = opt.update(&p, &p, opt.init(&p));
            assert!(u.error().unwrap().message().contains("a limit of at least 0"), "{u:?}");
        }
    }
}
