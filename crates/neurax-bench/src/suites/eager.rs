//! Single operations on small tensors, outside of `jit`, when they are warm.

use crate::{Report, Unit, data};
use neurax::prelude::*;

/// `eager-add`, `eager-exp` and `eager-matmul`, and `jit-call`, a compiled function as small.
pub fn run(report: &mut Report) -> Result<()> {
    let (x, y) = (data::uniform(1, [8, 8]), data::uniform(2, [8, 8]));
    let done = |x: Tensor| x.ok().map(drop);
    report.time("eager-add", 1, Unit::Micros, || done(&x + &y))?;
    report.time("eager-exp", 1, Unit::Micros, || done(x.exp()))?;
    report.time("eager-matmul", 1, Unit::Micros, || done(x.matmul(&y)))?;
    let call = jit(|(x, y): (Tensor, Tensor)| x + y);
    report.time("jit-call", 1, Unit::Micros, || call.run((x.clone(), y.clone())).map(drop))
}
