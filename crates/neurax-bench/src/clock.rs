//! Timing of calls.

use crate::tuning::{
    MAX_CALLS_PER_TIMED_BLOCK, MIN_TIMED_BLOCK_SECONDS, MIN_TIMED_BLOCKS, WARM_UP_SHARE,
};
use neurax::Result;
use std::time::Instant;

/// Returns the seconds per call of `call`, one value for each timed block of calls. The blocks take
/// about `seconds` together. The warm-up calls before them, of which the first may compile, are
/// not included.
///
/// # Errors
/// Returns the first error of a call.
pub fn repeat(seconds: f64, mut call: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    call()?;
    let (warm, mut calls) = (Instant::now(), 0);
    while calls == 0 || warm.elapsed().as_secs_f64() < seconds * WARM_UP_SHARE {
        call()?;
        calls += 1;
    }
    let each = warm.elapsed().as_secs_f64() / f64::from(calls);
    let block = (MIN_TIMED_BLOCK_SECONDS / each).ceil().clamp(1.0, MAX_CALLS_PER_TIMED_BLOCK);
    let block = block as u32;
    let (start, mut samples) = (Instant::now(), vec![]);
    while samples.len() < MIN_TIMED_BLOCKS || start.elapsed().as_secs_f64() < seconds {
        samples.push(once(|| (0..block).try_for_each(|_| call()))? / f64::from(block));
    }
    Ok(samples)
}

/// Returns the seconds that one call takes.
///
/// # Errors
/// Returns the error of the call.
pub fn once(call: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    call()?;
    Ok(start.elapsed().as_secs_f64())
}
