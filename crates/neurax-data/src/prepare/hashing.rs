//! Strings as indices without a vocabulary.

use crate::one_hot;
use neurax_tensor::{Error, Result, Tensor};

/// Strings as the numbers of buckets, by a hash: for names that are too many or not known.
/// Different names may be in one bucket. The empty string is in bucket 0, all others in
/// `1..buckets`.
///
/// The hash is FNV-1a with 64 bits, mixed by the finalizer of SplitMix64: it is the same on all
/// machines and in all versions.
///
/// ```
/// use neurax::{data::prepare::Hashing, prelude::*};
/// let hashing = Hashing::new(100)?;
/// let buckets = hashing.indices(["Paris", "Oslo", "Paris", ""]).to_vec::<i32>()?;
/// assert_eq!(buckets[0], buckets[2]);
/// assert_eq!(buckets[3], 0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hashing {
    buckets: usize,
    seed: u64,
}

impl Hashing {
    /// Creates a hashing into `buckets` buckets.
    ///
    /// # Errors
    /// If `buckets` is less than 2 or larger than the largest i32.
    pub fn new(buckets: usize) -> Result<Hashing> {
        if buckets < 2 || i32::try_from(buckets).is_err() {
            let why = format!("expected 2 to {} buckets, got {buckets}", i32::MAX);
            return Err(Error::new("hashing", why));
        }
        Ok(Hashing { buckets, seed: 0 })
    }

    /// Sets the seed: another seed puts other names together, so that a model can use several.
    ///
    /// ```
    /// use neurax::{data::prepare::Hashing, prelude::*};
    /// let hashing = Hashing::new(1000)?;
    /// assert_ne!(hashing.index("Paris"), hashing.clone().seed(1).index("Paris"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn seed(self, seed: u64) -> Hashing {
        Hashing { seed, ..self }
    }

    /// Returns the bucket of a string.
    pub fn index(&self, string: &str) -> usize {
        if string.is_empty() {
            return 0;
        }
        let hash = string.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut mixed = hash ^ self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        1 + (mixed % (self.buckets as u64 - 1)) as usize
    }

    /// Returns the buckets of strings, `i32[n]`.
    pub fn indices<S: AsRef<str>>(&self, strings: impl IntoIterator<Item = S>) -> Tensor {
        let list: Vec<i32> = strings.into_iter().map(|s| self.index(s.as_ref()) as i32).collect();
        let count = list.len();
        Tensor::from_vec(list, [count])
    }

    /// Returns the buckets of strings as one-hot rows, f32[n, buckets].
    ///
    /// ```
    /// use neurax::{data::prepare::Hashing, prelude::*};
    /// assert_eq!(Hashing::new(3)?.one_hot([""]).to_vec::<f32>()?, [1.0, 0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn one_hot<S: AsRef<str>>(&self, strings: impl IntoIterator<Item = S>) -> Tensor {
        one_hot(strings.into_iter().map(|s| self.index(s.as_ref())), self.buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_even_and_depend_on_the_seed_alone() {
        let (hashing, other) = (Hashing::new(11).unwrap(), Hashing::new(11).unwrap().seed(1));
        let names: Vec<String> = (0..10_000).map(|i| format!("name {i}")).collect();
        let mut counts = [0; 11];
        names.iter().for_each(|name| counts[hashing.index(name)] += 1);
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|n| (900..1100).contains(n)), "{counts:?}");
        let same = names.iter().filter(|n| hashing.index(n) == other.index(n)).count();
        assert!((900..1100).contains(&same), "{same}");
        // Fixed values: a model that was saved depends on them.
        assert_eq!(["a", "neurax"].map(|s| Hashing::new(1000).unwrap().index(s)), [149, 324]);
        assert!(Hashing::new(1).is_err() && Hashing::new(usize::MAX).is_err());
    }

    #[test]
    fn rows_are_one_hot() {
        let rows = Hashing::new(3).unwrap().one_hot(["", "x"]);
        assert_eq!(rows.sum(-1).to_vec::<f32>().unwrap(), [1.0, 1.0]);
        assert_eq!(rows.shape(), [2, 3]);
    }
}
