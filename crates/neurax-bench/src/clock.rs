//! How long a call takes.

use neurax::Result;
use std::time::Instant;

/// Calls are timed in blocks of at least this many seconds, so that reading the clock costs
/// nothing.
const BLOCK: f64 = 50e-6;

/// At least so many blocks are timed.
const BLOCKS: usize = 5;

/// Seconds per call: one figure for each block of calls, for about that many seconds. What is
/// warmed up before does not count: the first call, which may compile, and a tenth of the time.
///
/// # Errors
/// The first error of a call.
pub fn repeat(seconds: f64, mut call: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    call()?;
    let (warm, mut calls) = (Instant::now(), 0);
    while calls == 0 || warm.elapsed().as_secs_f64() < seconds / 10.0 {
        call()?;
        calls += 1;
    }
    let each = warm.elapsed().as_secs_f64() / f64::from(calls);
    let block = (BLOCK / each).ceil().clamp(1.0, 1e5) as u32;
    let (start, mut samples) = (Instant::now(), vec![]);
    while samples.len() < BLOCKS || start.elapsed().as_secs_f64() < seconds {
        samples.push(once(|| (0..block).try_for_each(|_| call()))? / f64::from(block));
    }
    Ok(samples)
}

/// Seconds of one call.
///
/// # Errors
/// That of the call.
pub fn once(call: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    call()?;
    Ok(start.elapsed().as_secs_f64())
}
