//! Training steps and inference of a network on one batch.

use crate::{
    DisplayUnit, Report, Training,
    nets::Network,
    training::{self, InPlace},
    training_step,
};
use neurax::prelude::*;

/// Measures `NAME-train`, a training step, and `NAME-infer`, a call with constant weights.
pub fn run<N: Network>(report: &mut Report, batches: &[usize]) -> Result<()> {
    let net: N = training::initial_network(report)?;
    for batch in report.args.batches(batches) {
        let (x, y) = N::examples(batch);
        let (step, mut training) = (training_step::<N>(), InPlace::new(Training::new(net.clone())));
        let train = || training.advance(|t| step.run((t, x.clone(), y.clone())))?.item().map(drop);
        report.measure(&format!("{}-train", N::NAME), batch, DisplayUnit::Millis, train)?;

        let task = format!("{}-infer", N::NAME);
        if report.is_selected(&task) {
            let net = net.clone();
            infer(report, &task, x, DisplayUnit::Millis, move |x| net.logits(&x))?;
        }
    }
    Ok(())
}

/// Measures one call of the compiled `f` on `x` that writes into an existing output tensor.
pub fn infer(
    report: &mut Report,
    task: &str,
    x: Tensor,
    unit: DisplayUnit,
    f: impl Function<Tensor, Out = Tensor>,
) -> Result<()> {
    let compiled = jit(f).compile(&x)?;
    let mut y = compiled.run(x.clone())?;
    report.measure(task, x.dim(0), unit, || compiled.run_into(&x, &mut [&mut y]))
}
