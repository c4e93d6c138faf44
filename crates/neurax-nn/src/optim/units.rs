//! Transformations of gradients unit by unit: the weights of one output of a layer.
//!
//! The layout of the parameter decides which weights are a unit:
//!
//! ```text
//! layer                        parameter                          axis of the units
//! dense, embedding             kernel [inputs, units]             1
//! convolution                  kernel [filters, channels, ..]     0
//! convolution, channels last   kernel [.., channels, filters]     -1, to be named
//! transposed convolution       kernel [channels, filters, ..]     1, to be named
//! any                          bias, scale [units]                the vector is one unit
//! ```
//!
//! The functions without an axis take that of the first two rows: axis 1 of matrices, axis 0 of
//! kernels with more axes. A shape does not tell the layout of a kernel, so that `.._at` takes the
//! axis for models of the other rows; with [`masked`](super::masked), for some of their layers.
//!
//! Optax's `centralize` takes the mean over all axes but 0, which in the layout of Flax is over the
//! outputs of a dense layer; the paper and this module take it over the inputs.

use super::clip::{limit_error, limiting_factor, root};
use super::options::options;
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
    Optim::new(Centralize(UnitAxis(None)))
}

/// Subtracts means as [`centralize`] does, with units along `axis`: -1 for kernels of convolutions
/// with channels last, 1 for those of transposed convolutions.
///
/// # Errors
///
/// The updates carry an error if a matrix or kernel has no such axis.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::centralize_at(0), Tensor::zeros([2, 2]));
/// let (u, _) = opt.update(&p, &tensor([[1.0, 2.0], [3.0, 8.0]]), opt.init(&p));
/// assert_eq!(u.to_vec::<f32>()?, [-0.5, 0.5, -2.5, 2.5]);
/// # Ok::<(), Error>(())
/// ```
pub fn centralize_at(axis: i64) -> Optim {
    Optim::new(Centralize(UnitAxis(Some(axis))))
}

/// Returns [`AdaptiveClip`] with ε = 1e-3: limits the norm of the gradient of each unit to
/// `clipping` times the norm of its weights.
///
/// # Errors
///
/// The updates carry an error if `clipping` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::clip_adaptive(0.1), tensor([3.0, 4.0]));
/// let (u, _) = opt.update(&p, &tensor([30.0, 40.0]), opt.init(&p));
/// assert_eq!(u.to_vec::<f32>()?, [0.3, 0.4]);
/// # Ok::<(), Error>(())
/// ```
pub fn clip_adaptive(clipping: f64) -> Optim {
    AdaptiveClip::new(clipping).transform()
}

/// Adaptive gradient clipping with options: limits the norm of the gradient of each unit to
/// `clipping` times the norm of its weights, which counts as at least ε (Brock et al., 2021,
/// <https://arxiv.org/abs/2102.06171>, where they are 0.01 and 1e-3). Units are those of
/// [`centralize`]; a vector is one unit. The norms are computed in f64. Optax's
/// `adaptive_grad_clip`.
///
/// # Errors
///
/// The updates carry an error if `clipping` or ε is negative or NaN, or if a matrix or kernel does
/// not have the axis of the units.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::AdaptiveClip::new(0.1).eps(0.5).axis(0).transform();
/// let p = tensor([[3.0, 4.0], [0.0, 0.0]]);
/// let (u, _) = opt.update(&p, &tensor([[3.0, 4.0], [0.0, 1.0]]), opt.init(&p));
/// assert_eq!(u.to_vec::<f32>()?, [0.3, 0.4, 0.0, 0.05]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveClip {
    clipping: f64,
    eps: f64,
    axis: UnitAxis,
}

impl AdaptiveClip {
    /// Creates the clipping with ε = 1e-3 and the axes of units of [`centralize`].
    pub fn new(clipping: f64) -> AdaptiveClip {
        AdaptiveClip { clipping, eps: 1e-3, axis: UnitAxis(None) }
    }

    /// Sets the axis of the units, as in [`centralize_at`].
    pub fn axis(self, axis: i64) -> AdaptiveClip {
        AdaptiveClip { axis: UnitAxis(Some(axis)), ..self }
    }

    /// Returns the clipping as a link of a chain.
    pub fn transform(self) -> Optim {
        Optim::new(self)
    }
}

options! {
    impl AdaptiveClip {
        /// Sets ε, the least norm of the weights of a unit.
        eps: f64 = eps;
    }
}

struct Centralize(UnitAxis);

impl Rule for Centralize {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
        if let Some(why) = self.0.error(&grads) {
            return invalid("centralize", why, &grads);
        }
        let centralized = |g: Tensor| match g.rank() {
            0 | 1 => g,
            // The sum of large gradients may overflow in f32.
            _ => &g - g.to(DType::F64).mean(keep(self.0.axes_of_a_unit(&g))).to(g.dtype()),
        };
        grads.into_iter().map(centralized).collect()
    }
}

impl Rule for AdaptiveClip {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        let limits = || limit_error(self.clipping).or_else(|| limit_error(self.eps));
        if let Some(why) = limits().or_else(|| self.axis.error(&grads)) {
            return invalid("clip_adaptive", why, &grads);
        }
        let clipped = |(g, p): (&Tensor, &Tensor)| {
            let limit = self.axis.norms(p).maximum(self.eps) * self.clipping;
            (g.to(DType::F64) * limiting_factor(&self.axis.norms(g), &limit)).to(g.dtype())
        };
        grads.iter().zip(step.params).map(clipped).collect()
    }
}

/// The axis along which a parameter with several axes has its units; `None` for axis 1 of matrices
/// and axis 0 of kernels with more axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitAxis(pub Option<i64>);

impl UnitAxis {
    /// Returns the message of an axis that one of the parameters does not have.
    pub fn error(self, params: &[Tensor]) -> Option<String> {
        let axis = self.0?;
        let has_axis = |x: &&Tensor| (-(x.rank() as i64)..x.rank() as i64).contains(&axis);
        let other = params.iter().filter(|x| x.rank() > 1).find(|x| !has_axis(x))?;
        Some(format!("expected parameters with an axis {axis}, got the shape {}", other.shape()))
    }

    /// Returns the axes of `x` over which the weights of one unit extend.
    pub fn axes_of_a_unit(self, x: &Tensor) -> Vec<i64> {
        let rank = x.rank() as i64;
        let unit = match (self.0, rank) {
            (_, 0 | 1) => return (0..rank).collect(),
            (Some(axis), _) => axis.rem_euclid(rank),
            (None, 2) => 1,
            (None, _) => 0,
        };
        (0..rank).filter(|&axis| axis != unit).collect()
    }

    /// Returns the norm of each unit of `x`, f64, with axes that broadcast to those of `x`.
    pub fn norms(self, x: &Tensor) -> Tensor {
        root(&x.to(DType::F64).square().sum(keep(self.axes_of_a_unit(x))))
    }

    /// Returns a matrix with the weights of each unit in a row; `None` for vectors and scalars.
    pub fn rows(self, x: &Tensor) -> Option<Tensor> {
        let inner = self.axes_of_a_unit(x);
        let unit = (0..x.rank() as i64).find(|axis| !inner.contains(axis))?;
        let units = x.shape()[unit as usize];
        let weights = inner.iter().map(|&axis| x.shape()[axis as usize]).product::<usize>();
        Some(x.move_axis(unit, 0).reshape([units, weights]))
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
        let clip = || AdaptiveClip::new(0.1).eps(0.5).transform();
        let clipped = updates(clip(), &p, &tensor([[0.0, 3.0], [1.0, -4.0]]));
        assert_eq!(clipped, [0.0, 0.03, 0.5, -0.04]);
        let small = tensor([[0.1, 0.01], [-0.1, 0.01]]);
        assert_eq!(updates(clip(), &p, &small), small.to_vec::<f32>().unwrap());
    }

    #[test]
    fn units_of_layers_are_their_outputs() {
        let x = crate::input("x", neurax_tensor::dims![_, 3, 8]);
        let model = x.layer(crate::Conv::new(5, 3)).flatten().dense(4).model();
        let vars = model.init(neurax_tensor::key(0), &neurax_tensor::types![f32[_, 3, 8]]).unwrap();
        for (layer, units) in [("conv", 5), ("dense", 4)] {
            let kernel = &vars.params[layer]["kernel"];
            assert_eq!(UnitAxis(None).rows(kernel).unwrap().shape()[0], units, "{layer}");
            assert_eq!(UnitAxis(None).norms(kernel).size(), units, "{layer}");
        }
        let x = crate::input("x", neurax_tensor::dims![_, 8, 3]);
        let model = x.layer(crate::Conv::new(5, 3).channels_last()).model();
        let vars = model.init(neurax_tensor::key(0), &neurax_tensor::types![f32[_, 8, 3]]).unwrap();
        let kernel = &vars.params["conv"]["kernel"];
        assert_eq!(UnitAxis(Some(-1)).rows(kernel).unwrap().shape(), [5, 9]);
    }

    #[test]
    fn a_named_axis_is_that_of_the_units() {
        let g = tensor([[[1.0, 3.0]], [[5.0, 6.0]]]);
        // The entries of the last axis are [1, 5] and [3, 6].
        assert_eq!(updates(centralize_at(-1), &g, &g), [-2.0, -1.5, 2.0, 1.5]);
        assert_eq!(updates(centralize_at(2), &g, &g), [-2.0, -1.5, 2.0, 1.5]);
        let p = tensor([[3.0, 4.0], [0.0, 0.0]]);
        let clipped = updates(
            AdaptiveClip::new(0.1).eps(0.5).axis(0).transform(),
            &p,
            &tensor([[3.0, 4.0], [0.0, 1.0]]),
        );
        assert_eq!(clipped, [0.3, 0.4, 0.0, 0.05]);
        assert_eq!(updates(centralize_at(7), &tensor([1.0]), &tensor([1.0])), [1.0]);
        let opt = centralize_at(2);
        let (u, _) = opt.update(&p, &p, opt.init(&p));
        assert!(u.error().unwrap().message().contains("an axis 2, got the shape [2, 2]"), "{u:?}");
    }

    #[test]
    fn gradients_of_zero_have_finite_derivatives() {
        let p = Tensor::zeros([2, 2]);
        let opt = clip_adaptive(0.1);
        let total = |g: Tensor| opt.update(&p, &g, opt.init(&p)).0.sum(..);
        assert_eq!(grad(total)(p.clone()).to_vec::<f32>().unwrap(), [1.0; 4]);
        assert_eq!(updates(opt.clone(), &tensor(2.0), &tensor(8.0)), [0.2]);
        assert!(updates(opt, &Tensor::zeros([0, 2]), &Tensor::zeros([0, 2])).is_empty());
    }

    #[test]
    fn a_negative_limit_is_an_error() {
        let p = tensor([1.0]);
        for opt in [clip_adaptive(-1.0), AdaptiveClip::new(1.0).eps(f64::NAN).transform()] {
            let (u, _) = opt.update(&p, &p, opt.init(&p));
            assert!(u.error().unwrap().message().contains("a limit of at least 0"), "{u:?}");
        }
    }
}
