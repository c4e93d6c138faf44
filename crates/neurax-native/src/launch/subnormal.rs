//! Subnormal numbers count as zeros while a program runs, as in XLA on CPUs: x86-64 takes 10 to 25
//! times as long for each, and they come in masses where the moments of a training step fade.

#![allow(unsafe_code, reason = "the CPU's mode of arithmetic is set around a call, and set back")]

use neurax_ir::{Error, Result};
use std::{any::Any, panic::AssertUnwindSafe};

/// Runs a closure in that mode, on this thread. Other CPUs than x86-64 and AArch64 have subnormal
/// numbers.
///
/// Rust takes the usual mode for granted: what it compiles may have folded constants by it, and
/// computes what depends on the mode, which is what is wanted here, as the work is that of machine
/// code and matrix kernels, whose instructions are all executed.
pub fn with_flush_to_zero(f: &mut dyn FnMut()) {
    run(f, true);
}

/// Runs a closure inside of [`with_flush_to_zero`] in the usual mode: the language's own ops know subnormal
/// numbers.
pub fn with_subnormals<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let (mut f, mut out) = (Some(f), None);
    run(&mut || out = f.take().map(|f| f()), false);
    out.unwrap_or_else(|| Err(Error::new("native", "a step did not run")))
}

fn run(f: &mut dyn FnMut(), flush: bool) {
    let mut task = ModeCall { f, panic: None };
    // SAFETY: `start` takes such a task, which outlives the call, and does not unwind.
    unsafe { call(start, (&raw mut task).cast(), flush) }
    if let Some(panic) = task.panic {
        std::panic::resume_unwind(panic);
    }
}

struct ModeCall<'a> {
    f: &'a mut dyn FnMut(),
    panic: Option<Box<dyn Any + Send>>,
}

type Trampoline = unsafe extern "C" fn(*mut u8);

/// Runs a task. A panic is kept: it cannot pass through assembly.
unsafe extern "C" fn start(task: *mut u8) {
    // SAFETY: `with_flush_to_zero` gives a task, and does not use it meanwhile.
    let task = unsafe { &mut *task.cast::<ModeCall>() };
    task.panic = std::panic::catch_unwind(AssertUnwindSafe(|| (task.f)())).err();
}

/// Calls with both bits of MXCSR set or not: results flush to zero (15), operands are zeros (6).
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn call(f: Trampoline, data: *mut u8, flush: bool) {
    let (mut old, mut new) = (0u32, if flush { 0x8040u32 } else { 0 });
    // SAFETY: the block calls a function as its convention says (the stack is aligned, all that it
    // may change is named), and sets the mode back before it ends. Registers 12 to 14 survive the
    // call. The argument is in rdi, on Windows in rcx above 32 spare bytes of stack.
    unsafe {
        std::arch::asm!(
            "stmxcsr [r12]",
            "mov eax, [r12]",
            "and eax, 0xffff7fbf",
            "or [r13], eax",
            "ldmxcsr [r13]",
            "sub rsp, {spare}",
            "call r14",
            "add rsp, {spare}",
            "ldmxcsr [r12]",
            // Elsewhere the stack stays as it is: who walks it, for the message of a panic, does
            // not see this change.
            spare = const if cfg!(windows) { 32 } else { 0 },
            in("r12") &raw mut old,
            in("r13") &raw mut new,
            in("r14") f,
            in("rdi") data,
            in("rcx") data,
            clobber_abi("C"),
        );
    }
}

/// Calls with bit 24 of FPCR set or not: operands and results flush to zero.
#[cfg(all(target_arch = "aarch64", not(miri)))]
unsafe fn call(f: Trampoline, data: *mut u8, flush: bool) {
    // SAFETY: as for x86-64. Registers 20 to 22 survive the call.
    unsafe {
        std::arch::asm!(
            "mrs x20, fpcr",
            "bic x9, x20, #0x1000000",
            "orr x9, x9, x22",
            "msr fpcr, x9",
            "blr x21",
            "msr fpcr, x20",
            in("x22") (flush as u64) << 24,
            in("x0") data,
            in("x21") f,
            out("x20") _,
            clobber_abi("C"),
        );
    }
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
unsafe fn call(f: Trampoline, data: *mut u8, _: bool) {
    // SAFETY: as promised by the caller.
    unsafe { f(data) }
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod tests {
    use super::{with_flush_to_zero, with_subnormals};
    use std::hint::black_box;

    #[test]
    fn the_mode_holds_inside_and_only_there() {
        let half = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let mut inside = 1.0;
        let mut usual = 0.0;
        with_flush_to_zero(&mut || {
            usual = with_subnormals(|| Ok(half())).unwrap();
            inside = half();
        });
        assert_eq!(inside, 0.0);
        assert!(usual > 0.0);
        assert!(half() > 0.0);
    }

    #[test]
    fn a_panic_passes_through_and_the_mode_is_set_back() {
        let caught =
            std::panic::catch_unwind(|| with_flush_to_zero(&mut || std::panic::panic_any(7)));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&7));
        assert!(black_box(f32::MIN_POSITIVE) * black_box(0.5) > 0.0);
    }
}
