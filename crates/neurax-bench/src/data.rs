//! Numbers to compute with: the same in every run, made on the host, so that nothing of making them
//! is in what is measured.

use neurax::Tensor;

/// SplitMix64: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (2014).
fn bits(seed: u64) -> impl Iterator<Item = u64> {
    (1u64..).map(move |i| {
        let mut z = seed.wrapping_add(i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// f32 between `-size` and `size`.
pub fn around_zero<const N: usize>(seed: u64, shape: [usize; N], size: f32) -> Tensor {
    numbers(seed, shape, |u| (2.0 * u - 1.0) * size)
}

/// f32 between 0 and 1.
pub fn uniform<const N: usize>(seed: u64, shape: [usize; N]) -> Tensor {
    numbers(seed, shape, |u| u)
}

/// i32 from 0 to `classes - 1`.
pub fn classes<const N: usize>(seed: u64, shape: [usize; N], classes: u64) -> Tensor {
    let values = bits(seed).take(shape.iter().product()).map(|b| (b % classes) as i32).collect();
    Tensor::from_vec::<i32>(values, shape)
}

fn numbers<const N: usize>(seed: u64, shape: [usize; N], f: impl Fn(f32) -> f32) -> Tensor {
    let unit = |b: u64| (b >> 40) as f32 / (1 << 24) as f32;
    let values = bits(seed).take(shape.iter().product()).map(|b| f(unit(b))).collect();
    Tensor::from_vec::<f32>(values, shape)
}
