//! Input data and initial parameters: the same in every run, generated on the host, so that
//! generating them is no part of a measurement.

use neurax::Tensor;

/// Returns the infinite sequence of a SplitMix64 generator (Steele, Lea and Flood, Fast Splittable
/// Pseudorandom Number Generators, 2014).
fn split_mix_64(seed: u64) -> impl Iterator<Item = u64> {
    (1u64..).map(move |i| {
        let mut z = seed.wrapping_add(i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Returns an f32 tensor of uniform values between `-size` and `size`.
pub fn around_zero<const N: usize>(seed: u64, shape: [usize; N], size: f32) -> Tensor {
    map_uniform(seed, shape, |u| (2.0 * u - 1.0) * size)
}

/// Returns an f32 tensor of uniform values between 0 and 1.
pub fn uniform<const N: usize>(seed: u64, shape: [usize; N]) -> Tensor {
    map_uniform(seed, shape, |u| u)
}

/// Returns an i32 tensor of class indices from 0 to `classes - 1`.
pub fn classes<const N: usize>(seed: u64, shape: [usize; N], classes: u64) -> Tensor {
    let bits = split_mix_64(seed).take(shape.iter().product());
    Tensor::from_vec::<i32>(bits.map(|b| (b % classes) as i32).collect(), shape)
}

/// Returns an f32 tensor of `f(u)`, with `u` uniform between 0 and 1.
fn map_uniform<const N: usize>(seed: u64, shape: [usize; N], f: impl Fn(f32) -> f32) -> Tensor {
    let unit = |b: u64| (b >> 40) as f32 / (1 << 24) as f32;
    let bits = split_mix_64(seed).take(shape.iter().product());
    Tensor::from_vec::<f32>(bits.map(|b| f(unit(b))).collect(), shape)
}
