//! Tracing and compiling the training steps.

use crate::{
    Report, Training, Unit, clock,
    nets::{Cnn, Mlp, Net, Transformer},
    processes, training_step,
};
use neurax::prelude::*;

/// In so many processes each step is compiled.
const PROCESSES: usize = 5;

/// `NAME-compile`, each time in a process of its own, whose caches are empty;
/// `transformer-new-batch`, the same step for one more batch size.
pub fn run(report: &mut Report) -> Result<()> {
    cold::<Mlp>(report, 128)?;
    cold::<Cnn>(report, 128)?;
    cold::<Transformer>(report, 8)?;
    if !report.wants("transformer-new-batch") {
        return Ok(());
    }
    let (net, step) = (Transformer::start(), training_step());
    let mut seconds =
        (8..14).map(|batch| compile(&step, &net, batch)).collect::<Result<Vec<_>>>()?;
    seconds.remove(0);
    report.seconds("transformer-new-batch", 8, Unit::Millis, &seconds);
    Ok(())
}

fn cold<N: Net>(report: &mut Report, batch: usize) -> Result<()> {
    let task = format!("{}-compile", N::NAME);
    if !report.wants(&task) {
        return Ok(());
    }
    let batch = report.arguments.batch.map_or(batch, |b| b as usize);
    if report.arguments.cold {
        let seconds = compile(&training_step(), &N::start(), batch)?;
        report.seconds(&task, batch, Unit::Millis, &[seconds]);
    } else {
        let millis = (0..PROCESSES).map(|_| processes::apart(&task)).collect::<Result<Vec<_>>>()?;
        report.figures(&task, batch, "ms", millis);
    }
    Ok(())
}

/// Seconds to trace and compile a step for that batch size.
fn compile<N: Net>(
    step: &Jit<'_, (Training<N>, Tensor, Tensor), (Training<N>, Tensor)>,
    net: &N,
    batch: usize,
) -> Result<f64> {
    let (x, y) = N::examples(batch);
    let like = (Training::new(net.clone()), x, y);
    clock::once(|| step.compile(&like).map(drop))
}
