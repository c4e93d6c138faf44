//! Single operations on small tensors outside of `jit`, with warm caches.

use crate::{DisplayUnit, Report, data};
use neurax::prelude::*;

/// Measures `eager-add`, `eager-exp` and `eager-matmul`, and `jit-call`, a call of a compiled
/// addition of the same size.
pub fn run(report: &mut Report) -> Result<()> {
    let (x, y) = (data::uniform(1, [8, 8]), data::uniform(2, [8, 8]));
    let done = |x: Tensor| x.ok().map(drop);
    report.measure("eager-add", 1, DisplayUnit::Micros, || done(&x + &y))?;
    report.measure("eager-exp", 1, DisplayUnit::Micros, || done(x.exp()))?;
    report.measure("eager-matmul", 1, DisplayUnit::Micros, || done(x.matmul(&y)))?;
    let call = jit(|(x, y): (Tensor, Tensor)| x + y);
    report
        .measure("jit-call", 1, DisplayUnit::Micros, || call.run((x.clone(), y.clone())).map(drop))
}
