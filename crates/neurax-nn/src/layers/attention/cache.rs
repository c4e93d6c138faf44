//! Keys and values of earlier calls, in the state of a layer.

use crate::{Cx, init::Init};
use neurax_tensor::{DType, Error, Tensor, stack};

/// The keys and values of all calls so far, including this one.
pub(super) struct CachedKeys {
    /// `[batch .., length, heads, depth]`, with zeros behind the newest key.
    pub key: Tensor,
    pub value: Tensor,
    /// True unless the cache is full.
    fits: Tensor,
}

/// Returns the number of positions of earlier calls, an i32 scalar.
pub(super) fn position(cx: &mut Cx) -> Tensor {
    cx.state("position", (), Init::new("zero", |_, s| Tensor::zeros(s).to(DType::I32)))
}

impl CachedKeys {
    /// Writes the keys and values of this call behind those of earlier ones, which end at
    /// `position`, and sets the state for the next call.
    ///
    /// # Errors
    /// The key carries an error if there are more than `length` positions in this call.
    #[track_caller]
    pub fn append(
        cx: &mut Cx,
        length: usize,
        position: &Tensor,
        [key, value]: [&Tensor; 2],
    ) -> CachedKeys {
        let new = key.dim(-3);
        if new > length {
            let why = format!("expected at most {length} positions, as its cache, got {new}");
            let error = Tensor::from_error(Error::new("multi_head_attention", why));
            return CachedKeys { key: error.clone(), value: error.clone(), fits: error };
        }
        let mut written = |name: &str, x: &Tensor| {
            let mut shape = x.shape().to_vec();
            let axis = shape.len() - 3;
            shape[axis] = length;
            let old = cx.state(name, shape, crate::init::zeros());
            let zero = Tensor::zeros(()).to(DType::I32);
            let start =
                (0..x.rank()).map(|a| if a == axis { position.clone() } else { zero.clone() });
            let all =
                old.dynamic_update_slice(x.to(old.dtype()), stack(start.collect::<Vec<_>>(), 0));
            cx.set(name, all.clone());
            all.to(x.dtype())
        };
        let (key, value) = (written("key", key), written("value", value));
        let end = position + new as i64;
        cx.set("position", end.clone());
        CachedKeys { key, value, fits: end.le(length as i64) }
    }

    /// Returns `y`, or NaN if the cache was full: the number of positions is known at run time
    /// only, too late for an error.
    #[track_caller]
    pub fn unless_full(&self, y: Tensor) -> Tensor {
        self.fits.select(y, f64::NAN)
    }
}
