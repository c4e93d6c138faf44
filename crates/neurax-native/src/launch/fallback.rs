//! The fallback: runs an op without machine code on the reference interpreter.
//!
//! `classify` sends an op here whose dtypes or attributes have no kernel: functions of complex
//! numbers, f8, integers below a byte. The operands are lent to the op without a copy (an op that
//! runs a user's function may keep them, and gets copies); the results are copied into the
//! program's buffers. Each evaluation allocates its results.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

use crate::address::Address;
use crate::schedule::BufferId;
use neurax_ir::{Bytes, Error, Eval, Literal, Op, OrBug, Origin, Result, Type, transform};
use std::sync::Arc;

/// The task of an op that runs on the reference interpreter.
#[derive(Debug)]
pub struct FallbackTask {
    op: Op,
    at: Origin,
    reads: Box<[(BufferId, Type)]>,
    /// The buffers of the results, with their sizes in bytes.
    writes: Box<[(BufferId, usize)]>,
    /// The bytes that an evaluation allocates at most at a time.
    bytes: usize,
    /// True if the op drops its operands before it returns. Ops that run a user's function may keep
    /// them.
    drops: bool,
}

impl FallbackTask {
    /// Creates the task of `op` at `at`, from the buffers `reads` to the buffers `writes`, with the
    /// types of their values.
    ///
    /// # Errors
    /// If a result is larger than memory can be.
    pub fn new(
        op: &Op,
        at: Origin,
        reads: &[(BufferId, Type)],
        writes: &[(BufferId, Type)],
    ) -> Result<FallbackTask> {
        let drops = op.region().is_none() && !matches!(op, Op::Custom(_));
        let types = |all: &[(BufferId, Type)]| all.iter().map(|b| b.1.clone()).collect::<Vec<_>>();
        let mut bytes = transform::eval_bytes(op, &types(reads), &types(writes));
        if !drops {
            for (_, ty) in reads {
                bytes = bytes.saturating_add(ty.bytes()?);
            }
        }
        let sizes = writes.iter().map(|(b, ty)| Ok((*b, ty.bytes()?)));
        let writes = sizes.collect::<Result<_>>()?;
        Ok(FallbackTask { op: op.clone(), at, reads: reads.into(), writes, bytes, drops })
    }

    /// Returns the bytes that an evaluation allocates at most at a time.
    pub fn scratch(&self) -> usize {
        self.bytes
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
                if self.drops { array.shared()? } else { Bytes::copy_of(array.as_ref()) },
            )
        };
        let xs = self.reads.iter().map(operand).collect::<Result<Vec<_>>>()?;
        let ys = self.op.eval(&mut Eval::default(), xs).map_err(|e| e.at_origin(&self.at))?;
        // The op may be a user's, whose `infer` need not say the same twice.
        let sizes = self.writes.iter().map(|w| w.1);
        if !ys.iter().map(|y| y.bytes().len()).eq(sizes) {
            return Err(self.wrong_results(&ys));
        }
        for (y, &(b, _)) in ys.iter().zip(&self.writes) {
            // SAFETY: as promised by the caller; the buffer has the size of `y`.
            unsafe { slots[b].write(y.bytes()) }
        }
        Ok(())
    }

    /// Returns the error of results with other sizes than when the op was compiled.
    fn wrong_results(&self, ys: &[Literal]) -> Error {
        let list = |sizes: &mut dyn Iterator<Item = usize>| {
            sizes.map(|n| n.to_string()).collect::<Vec<_>>().join(", ")
        };
        let want = list(&mut self.writes.iter().map(|w| w.1));
        let have = list(&mut ys.iter().map(|y| y.bytes().len()));
        let what = format!(
            "expected results of ({want}) bytes, as when the op was compiled, got ({have}); \
             `infer` must depend on the types of the operands alone"
        );
        Error::new(self.op.name(), what).at_origin(&self.at)
    }
}

/// A buffer of the program that is lent to an op.
struct BorrowedArray {
    at: Address,
    len: usize,
}

impl BorrowedArray {
    /// Lends the `len` bytes at `at`.
    ///
    /// # Safety
    /// They are live, and no thread writes them, until the last owner is dropped.
    unsafe fn new(at: Address, len: usize) -> BorrowedArray {
        BorrowedArray { at, len }
    }

    /// Returns the bytes without a copy.
    fn shared(self) -> Result<Bytes> {
        let len = self.len;
        Bytes::borrowed(Arc::new(self), 0..len).or_bug("a borrowed array is shorter than its type")
    }
}

impl AsRef<[u8]> for BorrowedArray {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as promised to `new`.
        unsafe { self.at.bytes(self.len) }
    }
}
