//! The values that a cache keeps.

use neurax_runtime::{Cache, RecursionError};

/// An error of a computation.
#[derive(Debug)]
struct Failed;

impl From<RecursionError> for Failed {
    fn from(_: RecursionError) -> Failed {
        Failed
    }
}

#[test]
fn the_values_are_those_that_were_computed_and_not_dropped() {
    let cache: Cache<u64, u64> = Cache::new(3);
    let square = |n: u64| {
        let compute = |k: &u64| if *k == 13 { Err(Failed) } else { Ok(k * k) };
        cache.get_or_compute(n, |k| *k == n, || n, compute)
    };
    assert!(cache.values().is_empty());
    for n in [1, 2, 13, 2] {
        assert_eq!(square(n).ok(), (n != 13).then_some(n * n));
    }
    let values = || {
        let mut all = cache.values();
        all.sort_unstable();
        all
    };
    assert_eq!(values(), [1, 4], "13 has no value");
    square(3).unwrap();
    assert_eq!(values(), [4, 9], "1 was used least recently, and 13 takes a place");
}
