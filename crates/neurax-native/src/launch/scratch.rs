//! Scratch memory of a step, kept by every thread, so that warm calls allocate nothing.

#![allow(unsafe_code, reason = "uninitialized memory is handed out as an address")]

use super::frame::ScratchLine;
use crate::{address::Address, tuning::MAX_KEPT_SCRATCH_BYTES};
use std::{cell::RefCell, mem::MaybeUninit};

/// Scratch memory of this thread, returned to the thread when dropped.
pub struct Scratch(Box<[MaybeUninit<ScratchLine>]>);

thread_local! {
    /// The free memory, last returned last: each depth of nesting finds its own again.
    static FREE: RefCell<Vec<Box<[MaybeUninit<ScratchLine>]>>> = const { RefCell::new(vec![]) };
}

impl Scratch {
    /// Takes at least `bytes` bytes, aligned to a cache line, not initialized. The memory of a
    /// call is checked before it starts: see [`super::program::Program::scratch`].
    pub fn new(bytes: usize) -> Scratch {
        let lines = bytes.div_ceil(size_of::<ScratchLine>());
        let kept = FREE.with_borrow_mut(Vec::pop).filter(|kept| kept.len() >= lines);
        Scratch(kept.unwrap_or_else(|| Box::new_uninit_slice(lines)))
    }

    /// Returns the address of the first byte.
    pub fn address(&mut self) -> Address {
        Address(self.0.as_mut_ptr().cast())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut own = std::mem::take(&mut self.0);
        // A large one is freed; an empty one takes its place in the order.
        if size_of_val(&*own) > MAX_KEPT_SCRATCH_BYTES {
            own = Box::default();
        }
        // A thread that ends has no list left.
        let _ = FREE.try_with(|free| free.borrow_mut().push(own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_ones_are_apart_and_come_back() {
        let round = || {
            let mut outer = Scratch::new(1000);
            let mut inner = Scratch::new(500);
            let (a, b) = (outer.address().0, inner.address().0);
            assert!(a.wrapping_add(1000) <= b || b.wrapping_add(500) <= a);
            assert_eq!([a.addr() % 64, b.addr() % 64], [0, 0]);
            [a, b]
        };
        assert_eq!(round(), round(), "warm calls find what they had");
        assert_eq!(Scratch::new(0).0.len() * 64, 1024);
    }
}
