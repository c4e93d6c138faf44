//! Hyper-parameters for TensorBoard's plugin `hparams`.

use super::messages::*;
use crate::{HyperParameter, Status};

/// Returns the names and kinds of the hyper-parameters, and the tags of the metrics.
pub(super) fn experiment(
    values: &[(&str, &HyperParameter)],
    metrics: &[&str],
    created: f64,
) -> HyperMessage {
    let info = |(name, x): &(&str, &HyperParameter)| HyperInfo {
        name: (*name).into(),
        kind: match x {
            HyperParameter::Text(_) => 1,
            HyperParameter::Flag(_) => 2,
            HyperParameter::Number(_) => 3,
        },
    };
    let metric = |tag: &&str| MetricInfo { name: Some(MetricTag { tag: (*tag).into() }) };
    message(HyperContent::Experiment(ExperimentMessage {
        created,
        parameters: values.iter().map(info).collect(),
        metrics: metrics.iter().map(metric).collect(),
    }))
}

/// Returns the values of a run that starts.
pub(super) fn start(values: &[(&str, &HyperParameter)], time: f64) -> HyperMessage {
    let value = |(name, x): &(&str, &HyperParameter)| {
        let content = match x {
            HyperParameter::Text(x) => HyperNumber::Text(x.clone()),
            HyperParameter::Flag(x) => HyperNumber::Flag(*x),
            HyperParameter::Number(x) => HyperNumber::Number(*x),
        };
        (String::from(*name), HyperValue { content: Some(content) })
    };
    let values = values.iter().map(value).collect();
    message(HyperContent::Start(SessionStart { values, time }))
}

/// Returns the end of a run.
pub(super) fn end(status: &Status, time: f64) -> HyperMessage {
    let status = if *status == Status::Failed { 2 } else { 1 };
    message(HyperContent::End(SessionEnd { status, time }))
}

fn message(content: HyperContent) -> HyperMessage {
    HyperMessage { content: Some(content) }
}
