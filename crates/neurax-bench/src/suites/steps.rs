//! Training steps and inference of a network, on one batch.

use crate::{
    Report, Unit,
    nets::Net,
    training::{self, Running},
    training_step,
};
use neurax::prelude::*;

/// `NAME-train` and `NAME-infer`.
pub fn run<N: Net>(report: &mut Report, batches: &[usize]) -> Result<()> {
    let net: N = training::start(report)?;
    for batch in report.arguments.batches(batches) {
        let (x, y) = N::examples(batch);
        let (step, mut training) = (training_step::<N>(), Running::new(&net));
        let train = || training.go(|t| step.run((t, x.clone(), y.clone())))?.item().map(drop);
        report.time(&format!("{}-train", N::NAME), batch, Unit::Millis, train)?;

        let task = format!("{}-infer", N::NAME);
        if report.wants(&task) {
            let net = net.clone();
            infer(report, &task, x, Unit::Millis, move |x| net.logits(&x))?;
        }
    }
    Ok(())
}

/// What it takes to run a compiled function into memory that is there already.
pub fn infer(
    report: &mut Report,
    task: &str,
    x: Tensor,
    unit: Unit,
    f: impl Function<Tensor, Out = Tensor>,
) -> Result<()> {
    let compiled = jit(f).compile(&x)?;
    let mut y = compiled.run(x.clone())?;
    report.time(task, x.dim(0), unit, || compiled.run_into(&x, &mut [&mut y]))
}
