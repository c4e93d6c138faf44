//! The fallback: runs an op without machine code on the reference interpreter.
//!
//! `classify` sends an op here whose dtypes or attributes have no kernel: functions of complex
//! numbers, f8, integers below a byte. The operands are lent to the op without a copy (an op that
//! runs a user's function may keep them, and gets copies); the results are copied into the
//! program's buffers. Each evaluation allocates its results.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

use crate::address::Address;
use crate::schedule::BufferId;
use neurax_ir::{Bytes, Eval, Literal, Op, Origin, Result, Type};
use std::sync::Arc;

/// The task of an op that runs on the reference interpreter.
#[derive(Debug)]
pub struct FallbackTask {
    op: Op,
    at: Origin,
    reads: Box<[(BufferId, Type)]>,
    writes: Box<[BufferId]>,
    /// True if the op drops its operands before it returns. Ops that run a user's function may keep
    /// them.
    drops: bool,
}

impl FallbackTask {
    /// Creates the task of `op` at `at`, from the buffers `reads` to the buffers `writes`.
    pub fn new(
        op: &Op,
        at: Origin,
        reads: Box<[(BufferId, Type)]>,
        writes: Box<[BufferId]>,
    ) -> FallbackTask {
        let drops = op.region().is_none() && !matches!(op, Op::Custom(_));
        FallbackTask { op: op.clone(), at, reads, writes, drops }
    }

    /// Evaluates the op.
    ///
    /// # Errors
    /// The errors of the op, at the user's line.
    ///
    /// # Safety
    /// The slots hold addresses of buffers of the op's types, and no other thread uses the results.
    pub unsafe fn run(&self, slots: &[Address]) -> Result<()> {
        let operand = |(b, ty): &(BufferId, Type)| {
            // SAFETY: as promised by the caller; an op that may keep the operand gets a copy, and
            // all others have dropped it when they return.
            let array = unsafe { BorrowedArray::new(slots[*b], ty.bytes()?) };
            Literal::new(
                ty.clone(),
                if self.drops { array.shared() } else { Bytes::copy_of(array.as_ref()) },
            )
        };
        let xs = self.reads.iter().map(operand).collect::<Result<Vec<_>>>()?;
        let ys = self.op.eval(&mut Eval::default(), xs).map_err(|e| e.at_origin(&self.at))?;
        for (y, &b) in ys.iter().zip(&self.writes) {
            // SAFETY: as promised by the caller; `infer` is the type of the buffer.
            unsafe { slots[b].write(y.bytes()) }
        }
        Ok(())
    }
}

/// A buffer of the program that is lent to an op.
struct BorrowedArray {
    at: Address,
    len: usize,
}

/// The alignment of the widest element, in bytes. Buffers have it; arguments that do not are
/// copied.
const ELEMENT_ALIGN: usize = 16;

impl BorrowedArray {
    /// Lends the `len` bytes at `at`.
    ///
    /// # Safety
    /// They are live, and no thread writes them, until the last owner is dropped.
    unsafe fn new(at: Address, len: usize) -> BorrowedArray {
        BorrowedArray { at, len }
    }

    /// Returns the bytes without a copy, if they are aligned.
    fn shared(self) -> Bytes {
        let (len, owner) = (self.len, Arc::new(self));
        Bytes::borrowed(owner.clone(), 0..len, ELEMENT_ALIGN)
            .unwrap_or_else(|| Bytes::copy_of((*owner).as_ref()))
    }
}

impl AsRef<[u8]> for BorrowedArray {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as promised to `new`.
        unsafe { self.at.bytes(self.len) }
    }
}
