//! Initializers of parameters.
//!
//! An [`Init`] is a function of a key and a shape. A kernel has its outputs along the last axis and
//! its inputs along the axis before it; further axes are the window of a convolution.

use neurax_tensor::{Key, Tensor};
use std::fmt;
use std::sync::Arc;

/// An initializer of a parameter: see the functions of this module.
#[derive(Clone)]
pub struct Init {
    name: &'static str,
    make: Arc<dyn Fn(&Key, &[usize]) -> Tensor + Send + Sync>,
}

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
        Init { name, make: Arc::new(make) }
    }

    /// Returns an initial value of the given shape.
    pub fn make(&self, key: &Key, shape: &[usize]) -> Tensor {
        (self.make)(key, shape)
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
    Init::new("uniform", move |k, s| k.uniform(s) * (high - low) + low)
}

/// Initializes with a normal distribution of mean 0 and the given standard deviation.
pub fn normal(deviation: f64) -> Init {
    Init::new("normal", move |k, s| k.normal(s) * deviation)
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

/// Initializes with a normal distribution of variance 2 / (inputs + outputs): Glorot and Bengio,
/// 2010.
pub fn glorot_normal() -> Init {
    scaled_normal("glorot_normal", |fan| 2.0 / (fan.inputs + fan.outputs))
}

/// Initializes with a uniform distribution of variance 2 / inputs, for relu: He et al., 2015
/// (<https://arxiv.org/abs/1502.01852>).
pub fn he_uniform() -> Init {
    scaled_uniform("he_uniform", |fan| 2.0 / fan.inputs)
}

/// Initializes with a normal distribution of variance 2 / inputs, for relu: He et al., 2015.
pub fn he_normal() -> Init {
    scaled_normal("he_normal", |fan| 2.0 / fan.inputs)
}

/// Initializes with a uniform distribution of variance 1 / inputs: LeCun et al., Efficient
/// BackProp, 1998.
pub fn lecun_uniform() -> Init {
    scaled_uniform("lecun_uniform", |fan| 1.0 / fan.inputs)
}

/// Initializes with a normal distribution of variance 1 / inputs, for selu: LeCun et al., Efficient
/// BackProp, 1998.
pub fn lecun_normal() -> Init {
    scaled_normal("lecun_normal", |fan| 1.0 / fan.inputs)
}

/// The fan of a kernel: the number of inputs of one output, and of outputs of one input.
struct Fan {
    inputs: f64,
    outputs: f64,
}

impl Fan {
    fn of(shape: &[usize]) -> Fan {
        let (inputs, outputs, window) = match shape {
            [] => (1, 1, &[][..]),
            [n] => (*n, *n, &[][..]),
            [window @ .., i, o] => (*i, *o, window),
        };
        // In floats, because the product of sizes that were not checked yet could overflow. The
        // variance of an empty kernel does not matter; 1 keeps it finite.
        let times = |n: usize| window.iter().fold(n as f64, |n, &w| n * w as f64).max(1.0);
        Fan { inputs: times(inputs), outputs: times(outputs) }
    }
}

fn scaled_uniform(name: &'static str, variance: fn(Fan) -> f64) -> Init {
    Init::new(name, move |k, s| {
        let limit = (3.0 * variance(Fan::of(s))).sqrt();
        k.uniform(s) * (2.0 * limit) - limit
    })
}

fn scaled_normal(name: &'static str, variance: fn(Fan) -> f64) -> Init {
    Init::new(name, move |k, s| k.normal(s) * variance(Fan::of(s)).sqrt())
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

    #[test]
    fn the_fan_of_a_convolution_includes_its_window() {
        let fan = Fan::of(&[3, 3, 16, 32]);
        assert_eq!((fan.inputs, fan.outputs), (144.0, 288.0));
        let huge = Fan::of(&[1 << 40, 1 << 40, 3, 0]);
        assert_eq!((huge.inputs, huge.outputs), (3.0 * 2f64.powi(80), 1.0));
        assert_eq!(constant(2.5).make(&key(0), &[2]).to_vec::<f32>().unwrap(), [2.5, 2.5]);
        assert_eq!(glorot_uniform().make(&key(0), &[0, 3]).shape(), [0, 3]);
    }
}
