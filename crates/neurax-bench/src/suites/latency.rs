//! Inference latency of small dense networks, one row at a time.

use super::steps::infer;
use crate::{
    DisplayUnit, Report, data,
    nets::{Fraud, Mlp, Network},
};
use neurax::Result;

/// Measures `fraud-infer` and `mlp-infer`.
pub fn run(report: &mut Report) -> Result<()> {
    let (fraud, mlp) = (Fraud::init(), Mlp::init());
    for batch in report.args.batches(&[1]) {
        if report.is_selected("fraud-infer") {
            let net = fraud.clone();
            infer(
                report,
                "fraud-infer",
                data::uniform(1, [batch, 30]),
                DisplayUnit::Micros,
                move |x| net.probability(&x),
            )?;
        }
        if report.is_selected("mlp-infer") {
            let net = mlp.clone();
            infer(
                report,
                "mlp-infer",
                data::uniform(1, [batch, 784]),
                DisplayUnit::Micros,
                move |x| net.logits(&x).softmax(-1),
            )?;
        }
    }
    Ok(())
}
