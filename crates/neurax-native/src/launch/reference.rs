//! An op that is left to its own meaning in the language: its operands are copied out, its results in.

#![allow(unsafe_code, reason = "arrays are read and written by address")]

use super::frame::Address;
use crate::schedule::BufferId;
use neurax_ir::{Bytes, Eval, Literal, Op, Origin, Result, Type};

/// An op of a program.
#[derive(Debug)]
pub struct ReferenceTask {
    /// The op.
    pub op: Op,
    /// Where it stands.
    pub at: Origin,
    /// Its operands.
    pub reads: Box<[(BufferId, Type)]>,
    /// Its results.
    pub writes: Box<[BufferId]>,
}

impl ReferenceTask {
    /// Runs it.
    ///
    /// # Errors
    /// What the op says, with its place.
    ///
    /// # Safety
    /// The slots hold addresses of arrays of those types, and nobody else uses the results.
    pub unsafe fn run(&self, slots: &[Address]) -> Result<()> {
        let operand = |(b, ty): &(BufferId, Type)| {
            // SAFETY: as promised by the caller.
            let bytes = unsafe { slots[*b].bytes(ty.bytes()?) };
            Literal::new(ty.clone(), Bytes::copy_of(bytes))
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
