//! An op that is left to its own meaning in the language: its operands are lent to it, its results
//! copied in.

#![allow(unsafe_code, reason = "arrays are read and written by address")]

use super::frame::Address;
use crate::schedule::BufferId;
use neurax_ir::{Bytes, Eval, Literal, Op, Origin, Result, Type};
use std::sync::Arc;

/// An op of a program.
#[derive(Debug)]
pub struct FallbackTask {
    op: Op,
    at: Origin,
    reads: Box<[(BufferId, Type)]>,
    writes: Box<[BufferId]>,
    /// Does the op drop its operands before it is done? Ops that run what users wrote may keep
    /// them.
    drops: bool,
}

impl FallbackTask {
    /// An op that stands there, with the arrays of its operands and results.
    pub fn new(
        op: &Op,
        at: Origin,
        reads: Box<[(BufferId, Type)]>,
        writes: Box<[BufferId]>,
    ) -> FallbackTask {
        let drops = op.region().is_none() && !matches!(op, Op::Custom(_));
        FallbackTask { op: op.clone(), at, reads, writes, drops }
    }

    /// Runs it.
    ///
    /// # Errors
    /// What the op says, with its place.
    ///
    /// # Safety
    /// The slots hold addresses of arrays of those types, and nobody else uses the results.
    pub unsafe fn run(&self, slots: &[Address]) -> Result<()> {
        let operand = |(b, ty): &(BufferId, Type)| {
            // SAFETY: as promised by the caller; where the op may keep it, it gets a copy, and else
            // it is gone when the results are.
            let array = unsafe { BorrowedArray::new(slots[*b], ty.bytes()?) };
            Literal::new(
                ty.clone(),
                if self.drops { array.shared() } else { Bytes::copy_of(array.as_ref()) },
            )
        };
        let xs = self.reads.iter().map(operand).collect::<Result<Vec<_>>>()?;
        let ys = self.op.eval(&mut Eval::default(), xs).map_err(|e| e.at_origin(&self.at))?;
        for (y, &b) in ys.iter().zip(&self.writes) {
            // SAFETY: as promised by the caller; `infer` gave the type of the array.
            unsafe { slots[b].write(y.bytes()) }
        }
        Ok(())
    }
}

/// An array of a program, for as long as an op reads it.
struct BorrowedArray {
    at: Address,
    len: usize,
}

/// What elements are read by: every array begins at a multiple of it, but for some arguments, which
/// are copied.
const ALIGN: usize = 16;

impl BorrowedArray {
    /// So many bytes there.
    ///
    /// # Safety
    /// They are live, and nobody writes them, until the last one who shares them is gone.
    unsafe fn new(at: Address, len: usize) -> BorrowedArray {
        BorrowedArray { at, len }
    }

    /// Memory that is read where it is.
    fn shared(self) -> Bytes {
        let (len, owner) = (self.len, Arc::new(self));
        Bytes::borrowed(owner.clone(), 0..len, ALIGN)
            .unwrap_or_else(|| Bytes::copy_of((*owner).as_ref()))
    }
}

impl AsRef<[u8]> for BorrowedArray {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as promised to `new`.
        unsafe { self.at.bytes(self.len) }
    }
}
