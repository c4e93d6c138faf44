//! Initializers whose variance depends on the fan of the kernel.

use super::fan::Fan;
use super::{Init, truncated};
use neurax_tensor::{Error, Key, Tensor};

/// The number that the variance of [`variance_scaling`] is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanMode {
    /// The number of inputs of one output.
    FanIn,
    /// The number of outputs of one input.
    FanOut,
    /// The mean of both.
    FanAvg,
}

/// The distribution of [`variance_scaling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// The normal distribution, cut off at two standard deviations: see
    /// [`truncated_normal`](super::truncated_normal).
    TruncatedNormal,
    /// The normal distribution.
    Normal,
    /// The uniform distribution.
    Uniform,
}

/// Initializes with a distribution of mean 0 and variance `scale` / fan, as
/// `keras.initializers.VarianceScaling` and `jax.nn.initializers.variance_scaling`. The other
/// initializers that scale with the fan are special cases.
///
/// # Errors
/// The value carries an error if `scale` is not a positive number.
///
/// ```
/// use neurax::prelude::*;
/// use nn::init::{Distribution, FanMode};
/// let init = init::variance_scaling(2.0, FanMode::FanOut, Distribution::Normal);
/// let variance = init.make(&key(0), &[100, 50]).var(.., 0).item()?;
/// assert!((variance - 2.0 / 50.0).abs() < 0.004);
/// # Ok::<(), Error>(())
/// ```
pub fn variance_scaling(scale: f64, mode: FanMode, distribution: Distribution) -> Init {
    scaled("variance_scaling", scale, mode, distribution).with([
        scale,
        f64::from(mode as u8),
        f64::from(distribution as u8),
    ])
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
    scaled("glorot_uniform", 1.0, FanMode::FanAvg, Distribution::Uniform)
}

/// Initializes with a truncated normal distribution, see
/// [`truncated_normal`](super::truncated_normal), of variance
/// 2 / (inputs + outputs): Glorot and Bengio, 2010.
pub fn glorot_normal() -> Init {
    scaled("glorot_normal", 1.0, FanMode::FanAvg, Distribution::TruncatedNormal)
}

/// Initializes with a uniform distribution of variance 2 / inputs, for relu: He et al., 2015
/// (<https://arxiv.org/abs/1502.01852>).
pub fn he_uniform() -> Init {
    scaled("he_uniform", 2.0, FanMode::FanIn, Distribution::Uniform)
}

/// Initializes with a truncated normal distribution, see
/// [`truncated_normal`](super::truncated_normal), of variance
/// 2 / inputs, for relu: He et al., 2015.
pub fn he_normal() -> Init {
    scaled("he_normal", 2.0, FanMode::FanIn, Distribution::TruncatedNormal)
}

/// Initializes with a uniform distribution of variance 1 / inputs: LeCun et al., Efficient
/// BackProp, 1998.
pub fn lecun_uniform() -> Init {
    scaled("lecun_uniform", 1.0, FanMode::FanIn, Distribution::Uniform)
}

/// Initializes with a truncated normal distribution, see
/// [`truncated_normal`](super::truncated_normal), of variance
/// 1 / inputs, for selu: LeCun et al., Efficient BackProp, 1998.
pub fn lecun_normal() -> Init {
    scaled("lecun_normal", 1.0, FanMode::FanIn, Distribution::TruncatedNormal)
}

fn scaled(name: &'static str, scale: f64, mode: FanMode, distribution: Distribution) -> Init {
    Init::with_axes(name, move |k, shape, axes| {
        if !(scale > 0.0 && scale.is_finite()) {
            let why = format!("expected a positive scale, got {scale}");
            return Tensor::from_error(Error::new(name, why));
        }
        match Fan::of(shape, axes) {
            Ok(fan) => distribution.sample(k, shape, scale / mode.of(&fan)),
            Err(e) => Tensor::from_error(e),
        }
    })
}

impl FanMode {
    fn of(self, fan: &Fan) -> f64 {
        match self {
            FanMode::FanIn => fan.inputs,
            FanMode::FanOut => fan.outputs,
            FanMode::FanAvg => (fan.inputs + fan.outputs) / 2.0,
        }
    }
}

impl Distribution {
    /// Samples from the distribution of mean 0 and the given variance.
    fn sample(self, k: &Key, shape: &[usize], variance: f64) -> Tensor {
        /// The standard deviation of a normal distribution that is cut off at -2 and 2.
        const CUT: f64 = 0.879_625_661_034_239_8;
        match self {
            Distribution::TruncatedNormal => truncated(k, shape) * (variance.sqrt() / CUT),
            Distribution::Normal => k.normal(shape) * variance.sqrt(),
            Distribution::Uniform => {
                let limit = (3.0 * variance).sqrt();
                k.uniform(shape) * (2.0 * limit) - limit
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{normal, truncated_normal, uniform};
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

    // Variance scale / fan with inputs 60, outputs 40.
    #[test]
    fn variance_scaling_has_the_variance_of_each_mode_and_distribution() {
        let modes = [(FanMode::FanIn, 60.0), (FanMode::FanOut, 40.0), (FanMode::FanAvg, 50.0)];
        for (mode, fan) in modes {
            for distribution in
                [Distribution::TruncatedNormal, Distribution::Normal, Distribution::Uniform]
            {
                let (mean, variance) = spread(variance_scaling(3.0, mode, distribution));
                let name = format!("{mode:?} {distribution:?}");
                assert!(mean.abs() < 4.0 * f64::sqrt(3.0 / fan / 2400.0), "{name}: mean {mean}");
                assert!((variance * fan / 3.0 - 1.0).abs() < 0.12, "{name}: {variance}");
            }
        }
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let init = variance_scaling(scale, FanMode::FanIn, Distribution::Normal);
            let e = init.make(&key(0), &[2, 2]).error().unwrap().to_string();
            assert!(e.contains("expected a positive scale, got"), "{e}");
        }
    }
}
