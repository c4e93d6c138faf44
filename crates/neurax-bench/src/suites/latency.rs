//! Inference of small networks, one row at a time.

use super::steps::infer;
use crate::{
    Report, Unit, data,
    nets::{Fraud, Mlp, Net},
};
use neurax::Result;

/// `fraud-infer` and `mlp-infer`.
pub fn run(report: &mut Report) -> Result<()> {
    let (fraud, mlp) = (Fraud::start(), Mlp::start());
    for batch in report.arguments.batches(&[1]) {
        if report.wants("fraud-infer") {
            let net = fraud.clone();
            infer(report, "fraud-infer", data::uniform(1, [batch, 30]), Unit::Micros, move |x| {
                net.probability(&x)
            })?;
        }
        if report.wants("mlp-infer") {
            let net = mlp.clone();
            infer(report, "mlp-infer", data::uniform(1, [batch, 784]), Unit::Micros, move |x| {
                net.logits(&x).softmax(-1)
            })?;
        }
    }
    Ok(())
}
