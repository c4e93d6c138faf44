//! Initial values of parameters.
//!
//! An [`Init`] is a function of a key and a shape. Kernels have their outputs along the last axis
//! and their inputs along the one before it; axes further left are the window of a convolution.

use neurax_tensor::{Key, Tensor};
use std::fmt;
use std::sync::Arc;

/// How a parameter starts: see the functions of this module.
#[derive(Clone)]
pub struct Init {
    name: &'static str,
    make: Arc<dyn Fn(&Key, &[usize]) -> Tensor + Send + Sync>,
}

impl Init {
    /// Any function of a key and a shape.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let diagonal = init::Init::new("diagonal", |_, shape| Tensor::eye(shape.first().copied().unwrap_or(1)));
    /// assert_eq!(diagonal.make(&key(0), &[2, 2]).to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(
        name: &'static str,
        make: impl Fn(&Key, &[usize]) -> Tensor + Send + Sync + 'static,
    ) -> Init {
        Init { name, make: Arc::new(make) }
    }

    /// A value of that shape.
    pub fn make(&self, key: &Key, shape: &[usize]) -> Tensor {
        (self.make)(key, shape)
    }
}

impl fmt::Debug for Init {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All zeros.
pub fn zeros() -> Init {
    Init::new("zeros", |_, s| Tensor::zeros(s))
}

/// All ones.
pub fn ones() -> Init {
    Init::new("ones", |_, s| Tensor::ones(s))
}

/// All `x`.
pub fn constant(x: f64) -> Init {
    Init::new("constant", move |_, s| Tensor::zeros(s) + x)
}

/// Evenly between `low` and `high`.
pub fn uniform(low: f64, high: f64) -> Init {
    Init::new("uniform", move |k, s| k.uniform(s) * (high - low) + low)
}

/// Around 0, with that standard deviation.
pub fn normal(deviation: f64) -> Init {
    Init::new("normal", move |k, s| k.normal(s) * deviation)
}

/// Uniform with variance 2 / (inputs + outputs): Glorot and Bengio, 2010
/// (<https://proceedings.mlr.press/v9/glorot10a.html>).
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

/// Normal with variance 2 / (inputs + outputs): Glorot and Bengio, 2010.
pub fn glorot_normal() -> Init {
    scaled_normal("glorot_normal", |fan| 2.0 / (fan.inputs + fan.outputs))
}

/// Uniform with variance 2 / inputs, for relu: He et al., 2015
/// (<https://arxiv.org/abs/1502.01852>).
pub fn he_uniform() -> Init {
    scaled_uniform("he_uniform", |fan| 2.0 / fan.inputs)
}

/// Normal with variance 2 / inputs, for relu: He et al., 2015.
pub fn he_normal() -> Init {
    scaled_normal("he_normal", |fan| 2.0 / fan.inputs)
}

/// Uniform with variance 1 / inputs: LeCun et al., Efficient BackProp, 1998.
pub fn lecun_uniform() -> Init {
    scaled_uniform("lecun_uniform", |fan| 1.0 / fan.inputs)
}

/// Normal with variance 1 / inputs, for selu: LeCun et al., Efficient BackProp, 1998.
pub fn lecun_normal() -> Init {
    scaled_normal("lecun_normal", |fan| 1.0 / fan.inputs)
}

/// How many inputs one output has, and the other way round.
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
        // In floats, as nobody has looked yet whether there is memory for such a shape. An empty
        // kernel has no variance to get right; 1 keeps the number finite.
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
    fn variances_are_what_the_papers_say() {
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
                "{name}: variance {found}, not {variance}"
            );
        }
    }

    #[test]
    fn a_convolution_counts_its_window() {
        let fan = Fan::of(&[3, 3, 16, 32]);
        assert_eq!((fan.inputs, fan.outputs), (144.0, 288.0));
        let absurd = Fan::of(&[1 << 40, 1 << 40, 3, 0]);
        assert_eq!((absurd.inputs, absurd.outputs), (3.0 * 2f64.powi(80), 1.0));
        assert_eq!(constant(2.5).make(&key(0), &[2]).to_vec::<f32>().unwrap(), [2.5, 2.5]);
        assert_eq!(glorot_uniform().make(&key(0), &[0, 3]).shape(), [0, 3]);
    }
}
