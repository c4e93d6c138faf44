//! Compile times of the training steps.

use crate::{
    DisplayUnit, Report, Training, clock,
    nets::{Cnn, Mlp, Network, Transformer},
    processes, training_step,
    tuning::COLD_COMPILE_PROCESSES,
};
use neurax::prelude::*;

/// Measures `NAME-compile`, the time to trace and compile a training step in a new process with
/// empty caches, and `transformer-new-batch`, the time to compile the step for another batch size
/// in a process that has compiled it before.
pub fn run(report: &mut Report) -> Result<()> {
    cold::<Mlp>(report, 128)?;
    cold::<Cnn>(report, 128)?;
    cold::<Transformer>(report, 8)?;
    if !report.is_selected("transformer-new-batch") {
        return Ok(());
    }
    let (net, step) = (Transformer::init(), training_step());
    let mut seconds =
        (8..14).map(|batch| compile(&step, &net, batch)).collect::<Result<Vec<_>>>()?;
    seconds.remove(0);
    report.add_seconds("transformer-new-batch", 8, DisplayUnit::Millis, &seconds);
    Ok(())
}

/// Measures `NAME-compile`: in this process if `--cold` is given, else in new processes.
fn cold<N: Network>(report: &mut Report, batch: usize) -> Result<()> {
    let task = format!("{}-compile", N::NAME);
    if !report.is_selected(&task) {
        return Ok(());
    }
    let batch = report.args.batch.map_or(batch, |b| b as usize);
    if report.args.cold {
        let seconds = compile(&training_step(), &N::init(), batch)?;
        report.add_seconds(&task, batch, DisplayUnit::Millis, &[seconds]);
    } else {
        let millis = (0..COLD_COMPILE_PROCESSES)
            .map(|_| processes::median_in_new_process(&task))
            .collect::<Result<Vec<_>>>()?;
        report.add_values(&task, batch, "ms", millis);
    }
    Ok(())
}

/// Returns the seconds to trace and compile `step` for `batch`.
fn compile<N: Network>(
    step: &Jit<'_, (Training<N>, Tensor, Tensor), (Training<N>, Tensor)>,
    net: &N,
    batch: usize,
) -> Result<f64> {
    let (x, y) = N::examples(batch);
    let like = (Training::new(net.clone()), x, y);
    clock::once(|| step.compile(&like).map(drop))
}
