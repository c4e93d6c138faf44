//! Initializers of parameters.
//!
//! An [`Init`] is a function of a key and a shape. Some scale with the fan of a kernel: the number
//! of inputs of one output, and of outputs of one input. A kernel of two axes is `[inputs,
//! outputs]`, as that of a dense layer; one of more axes is `[outputs, inputs, window ..]`, as that
//! of `Tensor::conv`. [`Init::axes`] states other layouts.

use neurax_tensor::{DType, Error, Key, Result, Tensor};
use std::fmt;
use std::sync::Arc;

/// An initializer of a parameter: see the functions of this module.
#[derive(Clone)]
pub struct Init {
    name: &'static str,
    make: Arc<MakeFn>,
    /// The axes of inputs and outputs, if they are not those of the module's rule.
    axes: Option<[i64; 2]>,
}

/// A function of a key, a shape, and the axes that [`Init::axes`] set.
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
        Init { name, make: Arc::new(move |key, shape, _| make(key, shape)), axes: None }
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

    /// Returns an initial value of the given shape.
    ///
    /// # Errors
    /// The result carries an error if the shape has not the axes that [`Init::axes`] names.
    pub fn make(&self, key: &Key, shape: &[usize]) -> Tensor {
        (self.make)(key, shape, self.axes)
    }
}

impl fmt::Debug for Init {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
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
    Init::new("constant", move |_, s| Tensor::zeros(s) + x)
}

/// Initializes with a uniform distribution over `low..high`.
pub fn uniform(low: f64, high: f64) -> Init {
    Init::new("uniform", move |k, s| k.uniform_of(DType::F32, s, low, high))
}

/// Initializes with a normal distribution of mean 0 and the given standard deviation.
pub fn normal(deviation: f64) -> Init {
    Init::new("normal", move |k, s| k.normal(s) * deviation)
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
    Init::new("truncated_normal", move |k, s| truncated(k, s) * deviation)
}

/// Samples from the standard normal distribution without what is beyond -2 and 2, by the inverse
/// of its distribution function.
fn truncated(k: &Key, shape: &[usize]) -> Tensor {
    /// The probability of a value from -2 to 2: `erf(sqrt(2))`.
    const WITHIN: f64 = 0.954_499_736_103_641_6;
    let values = k.uniform_of(DType::F32, shape, -WITHIN, WITHIN).erf_inv();
    (values * std::f64::consts::SQRT_2).clip(-2.0, 2.0)
}

/// Initializes with a uniform distribution of variance 2 / (inputs + outputs): Glorot and Bengio,
/// 2010 (<https://proceedings.mlr.press/v9/glorot10a.html>).
///
/// ```
/// use neurax::prelude::*;
/// let kernel = init::glorot_uniform().make(&key(0), &[30, 20]);
/// let limit = (6.0f64 / 50.0).sqrt();
/// assert!(kernel.abs().max(..).item()? <= limit);
/// # Ok::<(), Error>(())
/// ```
pub fn glorot_uniform() -> Init {
    scaled_uniform("glorot_uniform", |fan| 2.0 / (fan.inputs + fan.outputs))
}

/// Initializes with a truncated normal distribution (see [`truncated_normal`]) of variance
/// 2 / (inputs + outputs): Glorot and Bengio, 2010.
pub fn glorot_normal() -> Init {
    scaled_normal("glorot_normal", |fan| 2.0 / (fan.inputs + fan.outputs))
}

/// Initializes with a uniform distribution of variance 2 / inputs, for relu: He et al., 2015
/// (<https://arxiv.org/abs/1502.01852>).
pub fn he_uniform() -> Init {
    scaled_uniform("he_uniform", |fan| 2.0 / fan.inputs)
}

/// Initializes with a truncated normal distribution (see [`truncated_normal`]) of variance
/// 2 / inputs, for relu: He et al., 2015.
pub fn he_normal() -> Init {
    scaled_normal("he_normal", |fan| 2.0 / fan.inputs)
}

/// Initializes with a uniform distribution of variance 1 / inputs: LeCun et al., Efficient
/// BackProp, 1998.
pub fn lecun_uniform() -> Init {
    scaled_uniform("lecun_uniform", |fan| 1.0 / fan.inputs)
}

/// Initializes with a truncated normal distribution (see [`truncated_normal`]) of variance
/// 1 / inputs, for selu: LeCun et al., Efficient BackProp, 1998.
pub fn lecun_normal() -> Init {
    scaled_normal("lecun_normal", |fan| 1.0 / fan.inputs)
}

/// The fan of a kernel: the number of inputs of one output, and of outputs of one input.
struct Fan {
    inputs: f64,
    outputs: f64,
}

impl Fan {
    /// Returns the fan of a kernel with the given axes, or of the layout of the module's rule.
    ///
    /// # Errors
    /// If the shape has not two different axes of these numbers.
    fn of(shape: &[usize], axes: Option<[i64; 2]>) -> Result<Fan> {
        let [inputs, outputs] = match (axes, shape.len()) {
            (Some(axes), rank) => {
                positions(axes, rank).ok_or_else(|| Error::new("init", not_axes(axes, shape)))?
            }
            (None, 0) => return Ok(Fan { inputs: 1.0, outputs: 1.0 }),
            (None, 1) => [0, 0],
            (None, 2) => [0, 1],
            (None, _) => [1, 0],
        };
        // In floats, because the product of sizes that were not checked yet could overflow. The
        // variance of an empty kernel does not matter; 1 keeps it finite.
        let sizes = shape.iter().enumerate().filter(|(i, _)| *i != inputs && *i != outputs);
        let window: f64 = sizes.map(|(_, &n)| n as f64).product();
        let times = |axis: usize| (shape[axis] as f64 * window).max(1.0);
        Ok(Fan { inputs: times(inputs), outputs: times(outputs) })
    }
}

/// Returns the positions of two different axes of a shape of rank `rank`.
fn positions(axes: [i64; 2], rank: usize) -> Option<[usize; 2]> {
    let position = |axis: i64| {
        let from = if axis < 0 { i64::try_from(rank).ok()? } else { 0 };
        usize::try_from(from.checked_add(axis)?).ok().filter(|&axis| axis < rank)
    };
    let [inputs, outputs] = [position(axes[0])?, position(axes[1])?];
    (inputs != outputs).then_some([inputs, outputs])
}

fn not_axes([inputs, outputs]: [i64; 2], shape: &[usize]) -> String {
    format!(
        "expected a kernel with inputs along axis {inputs} and outputs along axis {outputs}, \
             got shape {shape:?}"
    )
}

fn scaled_uniform(name: &'static str, variance: fn(Fan) -> f64) -> Init {
    scaled(name, variance, |k, s, variance| {
        let limit = (3.0 * variance).sqrt();
        k.uniform(s) * (2.0 * limit) - limit
    })
}

fn scaled_normal(name: &'static str, variance: fn(Fan) -> f64) -> Init {
    /// The standard deviation of a normal distribution that is cut off at -2 and 2.
    const CUT: f64 = 0.879_625_661_034_239_8;
    scaled(name, variance, |k, s, variance| truncated(k, s) * (variance.sqrt() / CUT))
}

/// Creates an initializer whose variance depends on the fan.
fn scaled(
    name: &'static str,
    variance: fn(Fan) -> f64,
    make: fn(&Key, &[usize], f64) -> Tensor,
) -> Init {
    let make = move |k: &Key, s: &[usize], axes| match Fan::of(s, axes) {
        Ok(fan) => make(k, s, variance(fan)),
        Err(e) => Tensor::from_error(e),
    };
    Init { name, make: Arc::new(make), axes: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    fn spread(init: Init) -> (f64, f64) {
        let v = init.make(&key(1), &[60, 40]).to_vec::<f32>().unwrap();
        let mean = v.iter().map(|&x| x as f64).sum::<f64>() / v.len() as f64;
        (mean, v.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / v.len() as f64)
    }

    #[test]
    fn variances_are_those_of_the_papers() {
        for (init, variance) in [
            (glorot_uniform(), 0.02),
            (glorot_normal(), 0.02),
            (he_uniform(), 2.0 / 60.0),
            (he_normal(), 2.0 / 60.0),
            (lecun_uniform(), 1.0 / 60.0),
            (lecun_normal(), 1.0 / 60.0),
            (uniform(-3.0, 3.0), 3.0),
            (normal(2.0), 4.0),
            (truncated_normal(2.0), 4.0 * 0.879_625_66f64.powi(2)),
        ] {
            let name = format!("{init:?}");
            let (mean, found) = spread(init);
            assert!(mean.abs() < 4.0 * (variance / 2400.0f64).sqrt(), "{name}: mean {mean}");
            assert!(
                (found / variance - 1.0).abs() < 0.12,
                "{name}: expected variance {variance}, got {found}"
            );
        }
    }

    // The bound is that of Keras and JAX: two deviations before the cut, which lowers the deviation
    // to 0.8796 of it (`scipy.stats.truncnorm(-2, 2).std()`).
    #[test]
    fn scaled_normal_distributions_are_cut_off_at_two_deviations() {
        for (init, variance) in
            [(glorot_normal(), 0.02), (he_normal(), 2.0 / 60.0), (lecun_normal(), 1.0 / 60.0)]
        {
            let bound = 2.0 * f64::sqrt(variance) / 0.879_625_66;
            let largest = init.make(&key(1), &[60, 40]).abs().max(..).item().unwrap();
            assert!(0.95 * bound < largest && largest < 1.000_001 * bound, "{init:?}: {largest}");
        }
    }

    #[test]
    fn the_fan_of_a_convolution_includes_its_window() {
        let fan = |shape: &[usize], axes| {
            let fan = Fan::of(shape, axes).unwrap();
            (fan.inputs, fan.outputs)
        };
        assert_eq!(fan(&[32, 16, 3, 3], None), (144.0, 288.0), "[outputs, inputs, window ..]");
        assert_eq!(fan(&[32, 16, 5], None), (80.0, 160.0));
        assert_eq!(fan(&[3, 3, 16, 32], Some([-2, -1])), (144.0, 288.0));
        assert_eq!(fan(&[16, 32], None), (16.0, 32.0), "[inputs, outputs]");
        assert_eq!(fan(&[32, 16], Some([1, 0])), (16.0, 32.0));
        assert_eq!(fan(&[0, 3, 1 << 40, 1 << 40], None), (3.0 * 2f64.powi(80), 1.0));
        assert_eq!(constant(2.5).make(&key(0), &[2]).to_vec::<f32>().unwrap(), [2.5, 2.5]);
        assert_eq!(glorot_uniform().make(&key(0), &[0, 3]).shape(), [0, 3]);
    }

    #[test]
    fn an_output_of_a_convolution_keeps_the_variance() {
        use neurax_tensor::Windows;
        let x = key(2).normal([1, 16, 12, 12]);
        let kernel = lecun_normal().make(&key(1), &[64, 16, 3, 3]);
        let variance = x.conv(&kernel, Windows::new()).var(.., 0).item().unwrap();
        assert!((variance - 1.0).abs() < 0.2, "{variance}");
    }

    #[test]
    fn axes_that_a_kernel_lacks_are_an_error() {
        for axes in [(0, 2), (-3, 0), (1, 1), (1, -1), (i64::MIN, 0), (i64::MAX, 0)] {
            let kernel = he_normal().axes(axes.0, axes.1).make(&key(0), &[3, 4]);
            assert!(kernel.error().unwrap().message().contains("got shape [3, 4]"), "{axes:?}");
        }
    }
}
