//! Initializers of parameters.
//!
//! An [`Init`] is a function of a key and a shape. Some scale with the fan of a kernel: the number
//! of inputs of one output, and of outputs of one input. A kernel of two axes is `[inputs,
//! outputs]`, as that of a dense layer; one of more axes is `[outputs, inputs, window ..]`, as that
//! of `Tensor::conv`. [`Init::axes`] states other layouts.

mod fan;
mod matrices;
mod saved;
mod scaling;

pub use matrices::{identity, orthogonal};
pub use scaling::{
    Distribution, FanMode, glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal,
    lecun_uniform, variance_scaling,
};

use fan::{default_axes, position};
use neurax_tensor::{DType, Error, Key, Tensor, stack};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// An initializer of a parameter: see the functions of this module.
#[derive(Clone)]
pub struct Init {
    name: Cow<'static, str>,
    /// The numbers that a function of this module makes the initializer from.
    arguments: Vec<f64>,
    make: Arc<MakeFn>,
    /// True if the value depends on the axes of inputs and outputs. A function of the user does
    /// not get them.
    has_fans: bool,
    /// The axes of inputs and outputs that the user states.
    axes: Option<[i64; 2]>,
    /// The axes that the layer states, if they are not those of the module's rule.
    layout: Option<[i64; 2]>,
    /// The axis of separate kernels, if there is one.
    batch_axis: Option<i64>,
    /// The dtype of the value, if it is not that of the function.
    dtype: Option<DType>,
}

/// The axes of a kernel, counted from the back if negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelAxes {
    /// The axis of the outputs, among the axes of one of the separate kernels.
    pub outputs: i64,
    /// The axis of separate kernels, if there is one.
    pub batch: Option<i64>,
}

/// A function of a key, a shape, and the axes of inputs and outputs, if they are stated.
type MakeFn = dyn Fn(&Key, &[usize], Option<[i64; 2]>) -> Tensor + Send + Sync;

impl Init {
    /// Creates an initializer from a function of a key and a shape.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let diagonal = init::Init::new("diagonal", |_, shape| Tensor::eye(shape[0]));
    /// assert_eq!(diagonal.make(&key(0), &[2, 2]).to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(
        name: &'static str,
        make: impl Fn(&Key, &[usize]) -> Tensor + Send + Sync + 'static,
    ) -> Init {
        Init { has_fans: false, ..Init::with_axes(name, move |key, shape, _| make(key, shape)) }
    }

    /// Creates an initializer from a function that also gets the axes that [`Init::axes`] sets.
    fn with_axes(
        name: &'static str,
        make: impl Fn(&Key, &[usize], Option<[i64; 2]>) -> Tensor + Send + Sync + 'static,
    ) -> Init {
        let (name, make) = (Cow::Borrowed(name), Arc::new(make));
        let (arguments, axes, layout) = (Vec::new(), None, None);
        Init { name, arguments, make, has_fans: true, axes, layout, batch_axis: None, dtype: None }
    }

    /// Adds the numbers from which a function of this module creates the initializer.
    fn with<const N: usize>(self, arguments: [f64; N]) -> Init {
        Init { arguments: arguments.to_vec(), ..self }
    }

    /// Sets the axes of inputs and outputs, counted from the back if negative; all others are the
    /// window. It matters to initializers that scale with the fan.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let shape = [3, 3, 16, 32];
    /// let channels_last = init::he_uniform().axes(-2, -1).make(&key(0), &shape);
    /// let limit = (6.0f64 / (3.0 * 3.0 * 16.0)).sqrt();
    /// let largest = channels_last.abs().max(..).item()?;
    /// assert!(0.9 * limit < largest && largest <= limit);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn axes(self, inputs: i64, outputs: i64) -> Init {
        Init { axes: Some([inputs, outputs]), ..self }
    }

    /// Sets the axes of a layer's kernel. They count unless the user has set [`Init::axes`].
    pub(crate) fn of_layout(self, inputs: i64, outputs: i64) -> Init {
        Init { layout: Some([inputs, outputs]), ..self }
    }

    /// Returns the initializer of a layer's kernel whose axes are, by the letters of `roles`,
    /// inputs `i`, outputs `o`, and axes of separate kernels `b`: the value is that of matrices of
    /// all inputs and all outputs. An initializer without fans, or with axes of the user's, gets
    /// the whole shape.
    pub(crate) fn of_roles(self, roles: &str) -> Init {
        if self.axes.is_some() || self.batch_axis.is_some() {
            return self;
        }
        let roles: Vec<char> = roles.chars().collect();
        let last = |role| roles.iter().rposition(|&r| r == role).map(|axis| axis as i64);
        let layout = last('i').zip(last('o')).map(|(inputs, outputs)| [inputs, outputs]);
        if !self.has_fans {
            return Init { layout, ..self };
        }
        let order: Vec<usize> = ['b', 'i', 'o']
            .iter()
            .flat_map(|r| (0..roles.len()).filter(|&axis| roles[axis] == *r).collect::<Vec<_>>())
            .collect();
        let dtype = self.dtype;
        let init = Init::new("of_roles", move |key, shape| {
            let size = |role| {
                let sizes = shape.iter().zip(&roles).filter(|(_, r)| **r == role);
                sizes.map(|(n, _)| n).product::<usize>()
            };
            let matrices = self.clone().batch_axis(0).axes(0, 1);
            let value = matrices.make(key, &[size('b'), size('i'), size('o')]);
            let sizes: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
            let places = (0..shape.len()).map(|axis| order.iter().position(|&i| i == axis));
            let places: Vec<i64> = places.map(|i| i.map_or(0, |i| i as i64)).collect();
            value.reshape(sizes).permute(&places[..])
        });
        Init { dtype, layout, ..init }
    }

    /// Returns the axes of a kernel of rank `rank`: those that the layer states, or else the user.
    pub(crate) fn kernel_axes(&self, rank: usize) -> KernelAxes {
        let batch = self.batch_axis.filter(|_| self.layout.is_none());
        let of_one = || default_axes(rank - usize::from(batch.is_some()).min(rank));
        let [_, outputs] = self.layout.or(self.axes).unwrap_or_else(of_one);
        KernelAxes { outputs, batch }
    }

    /// Makes an axis one of separate kernels, each of which is initialized by itself: the fan does
    /// not count the axis, and an [`orthogonal`] value has one matrix for each of its elements.
    /// [`Init::axes`] counts the other axes. It is `batch_axis` of `jax.nn.initializers`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let experts = init::he_uniform().batch_axis(0).make(&key(0), &[8, 16, 32]);
    /// let limit = (6.0f64 / 16.0).sqrt();
    /// let largest = experts.abs().max(..).item()?;
    /// assert!(0.9 * limit < largest && largest <= limit);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn batch_axis(self, axis: i64) -> Init {
        Init { batch_axis: Some(axis), ..self }
    }

    /// Sets the axis of separate kernels unless it is set.
    pub(crate) fn default_batch_axis(self, axis: i64) -> Init {
        Init { batch_axis: self.batch_axis.or(Some(axis)), ..self }
    }

    /// Sets the dtype of the values, to which they are converted; without it, they are f32.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let kernel = init::he_normal().dtype(BF16).make(&key(0), &[4, 4]);
    /// assert_eq!(kernel.dtype(), BF16);
    /// ```
    pub fn dtype(self, dtype: DType) -> Init {
        Init { dtype: Some(dtype), ..self }
    }

    /// Returns zeros in place of an initial value, of which only the type matters.
    pub(crate) fn zeros(&self, shape: &[usize]) -> Tensor {
        Tensor::zeros_of(self.dtype.unwrap_or(DType::F32), shape)
    }

    /// Returns an initial value of the given shape.
    ///
    /// # Errors
    /// The result carries an error if the shape has not the axes that [`Init::axes`] and
    /// [`Init::batch_axis`] name, or if the initializer is not defined for it.
    pub fn make(&self, key: &Key, shape: &[usize]) -> Tensor {
        let value = match self.batch_axis {
            None => (self.make)(key, shape, self.axes.or(self.layout)),
            Some(axis) => match position(axis, shape.len()) {
                Some(axis) => self.make_each(key, shape, axis),
                None => Tensor::from_error(Error::new("init", no_axis(axis, shape))),
            },
        };
        self.dtype.map_or(value.clone(), |dtype| value.to(dtype))
    }

    /// Returns a value of separate kernels along an axis.
    fn make_each(&self, key: &Key, shape: &[usize], axis: usize) -> Tensor {
        if shape[axis] == 0 {
            return Tensor::zeros(shape);
        }
        let of_one = [&shape[..axis], &shape[axis + 1..]].concat();
        let axes = self.axes.or(self.layout);
        let kernel = |i| (self.make)(&key.fold_in(i), &of_one, axes);
        let kernels: Vec<Tensor> = (0..shape[axis]).map(kernel).collect();
        stack(&kernels, axis as i64)
    }
}

fn no_axis(axis: i64, shape: &[usize]) -> String {
    format!("expected a shape with the axis {axis}, got {shape:?}")
}

impl fmt::Debug for Init {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Initializes with zeros.
pub fn zeros() -> Init {
    Init::new("zeros", |_, s| Tensor::zeros(s))
}

/// Initializes with ones.
pub fn ones() -> Init {
    Init::new("ones", |_, s| Tensor::ones(s))
}

/// Initializes with `x`.
pub fn constant(x: f64) -> Init {
    Init::new("constant", move |_, s| Tensor::zeros(s) + x).with([x])
}

/// Initializes with a uniform distribution over `low..high`.
pub fn uniform(low: f64, high: f64) -> Init {
    Init::new("uniform", move |k, s| k.uniform_of(DType::F32, s, low, high)).with([low, high])
}

/// Initializes with a normal distribution of mean 0 and the given standard deviation.
pub fn normal(deviation: f64) -> Init {
    Init::new("normal", move |k, s| k.normal(s) * deviation).with([deviation])
}

/// Initializes with a normal distribution of mean 0 that is cut off beyond 2 standard deviations,
/// as `keras.initializers.TruncatedNormal`. `deviation` is that before the cut; that of the values
/// is 0.8796 times as large.
///
/// ```
/// use neurax::prelude::*;
/// let values = init::truncated_normal(0.5).make(&key(0), &[1000]);
/// assert!(values.abs().max(..).item()? <= 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn truncated_normal(deviation: f64) -> Init {
    Init::new("truncated_normal", move |k, s| truncated(k, s) * deviation).with([deviation])
}

/// Samples from the standard normal distribution without what is beyond -2 and 2, by the inverse
/// of its distribution function.
fn truncated(k: &Key, shape: &[usize]) -> Tensor {
    /// The probability of a value from -2 to 2: `erf(sqrt(2))`.
    const WITHIN: f64 = 0.954_499_736_103_641_6;
    let values = k.uniform_of(DType::F32, shape, -WITHIN, WITHIN).erf_inv();
    (values * std::f64::consts::SQRT_2).clip(-2.0, 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    #[test]
    fn kernels_along_a_batch_axis_are_separate() {
        let value = he_normal().batch_axis(1).make(&key(0), &[100, 4, 50]);
        let deviation = value.std(.., 0).item().unwrap();
        assert!((deviation / (2.0f64 / 100.0).sqrt() - 1.0).abs() < 0.05, "{deviation}");
        let q = orthogonal(1.0).batch_axis(-3).make(&key(0), &[2, 3, 3]);
        let far = q.matmul(q.swap_axes(-1, -2)) - Tensor::eye(3);
        assert!(far.abs().max(..).item().unwrap() < 1e-5, "{q}");
        assert_ne!(q.take(0, 0).to_vec::<f32>().unwrap(), q.take(1, 0).to_vec::<f32>().unwrap());
        assert_eq!(zeros().batch_axis(0).make(&key(0), &[0, 3]).shape(), [0, 3]);
        let e = zeros().batch_axis(2).make(&key(0), &[2, 3]).item().unwrap_err();
        assert_eq!(e.message(), "expected a shape with the axis 2, got [2, 3]");
    }

    #[test]
    fn values_have_the_shape_and_the_dtype() {
        assert_eq!(constant(2.5).make(&key(0), &[2]).to_vec::<f32>().unwrap(), [2.5, 2.5]);
        assert_eq!(glorot_uniform().make(&key(0), &[0, 3]).shape(), [0, 3]);
        for dtype in [DType::F16, DType::BF16, DType::F64] {
            for init in [ones(), he_normal(), orthogonal(1.0), identity(2.0), uniform(0.0, 1.0)] {
                let value = init.clone().dtype(dtype).make(&key(0), &[3, 2]);
                assert_eq!(value.dtype(), dtype, "{init:?}");
                assert!(value.error().is_none(), "{init:?}");
            }
        }
    }
}
