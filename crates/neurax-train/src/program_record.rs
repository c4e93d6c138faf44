//! [`ProgramRecord`]: what a saved training says of its program, so that a resume notices another
//! one.
//!
//! The problem: tensors of equal names and shapes do not show that an activation, the order of
//! layers or a schedule was changed between two starts of a program, and the training would go on
//! as another one than the saved one. The record has the layers of the model, and the learning
//! rates of the optimizer after some numbers of steps, which differ for two schedules of different
//! lengths.
//!
//! With `dense(8).tanh()` and `adam(0.01)`, the record is the lines `dense: dense of [x]` and
//! `tanh: tanh of [dense]`, and six times the rate 0.01.

use crate::differences::shortened;
use neurax_nn::{Model, OptState, Optim};
use neurax_tensor::{Result, tensor};
use serde::{Deserialize, Serialize};

/// The numbers of steps after which the learning rate is compared.
const COMPARED_STEPS: [i32; 6] = [0, 10, 100, 1_000, 10_000, 100_000];

/// The parts of a program that tensors do not show. Empty for a custom training, and in files of
/// versions that wrote none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProgramRecord {
    /// A line for each layer: its path, its kind, and the layers that it reads.
    layers: Vec<String>,
    /// The learning rate after each of some numbers of steps, as a text, which is exact in JSON;
    /// `None` if there is none.
    rates: Vec<Option<String>>,
}

impl ProgramRecord {
    /// Returns true if nothing is known of the program: that of an older file, of a state which the
    /// user made, or of a custom training.
    pub fn is_unknown(&self) -> bool {
        *self == ProgramRecord::default()
    }

    /// Returns the record of a model and an optimizer with its state before the first step.
    ///
    /// # Errors
    /// If a schedule fails.
    pub fn new(model: &Model, optim: &Optim, start: &OptState) -> Result<ProgramRecord> {
        let line = |l: neurax_nn::LayerInfo| {
            format!("{}: {} of [{}]", l.path, l.kind, l.inputs.join(", "))
        };
        let rate = |steps: i32| {
            let mut state = start.clone();
            state.step = tensor(steps);
            let rate = optim.learning_rate(&state).map(|rate| rate.item()).transpose()?;
            // A rate is f32, whose text is the shorter one.
            Ok(rate.map(|rate| (rate as f32).to_string()))
        };
        Ok(ProgramRecord {
            layers: model.layers().into_iter().map(line).collect(),
            rates: COMPARED_STEPS.map(rate).into_iter().collect::<Result<_>>()?,
        })
    }

    /// Returns a line for each layer that differs from those of a saved record, or an empty list.
    pub fn layer_differences(&self, saved: &ProgramRecord) -> Vec<String> {
        if self.layers.is_empty() || saved.layers.is_empty() {
            return vec![];
        }
        let missing = self.layers.iter().filter(|l| !saved.layers.contains(l));
        let unknown = saved.layers.iter().filter(|l| !self.layers.contains(l));
        let lines = missing.map(|l| format!("expected the layer `{l}`"));
        shortened(lines.chain(unknown.map(|l| format!("got the layer `{l}`"))).collect())
    }

    /// Returns a warning if the learning rates differ from those of a saved record.
    pub fn rate_difference(&self, saved: &ProgramRecord) -> Option<String> {
        let both = self.rates.iter().zip(&saved.rates).zip(COMPARED_STEPS);
        let ((own, old), step) = both.into_iter().find(|((own, old), _)| own != old)?;
        let text = |rate: &Option<String>| rate.clone().unwrap_or_else(|| "none".into());
        Some(format!(
            "the learning rates of the program are not those of the run that it resumes: {} \
             instead of {} after {step} steps; a constant rate stays that of the run (it is the \
             slot `rate` in `State::opt`), a schedule is that of the program",
            text(own),
            text(old)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_nn::{input, optim};
    use neurax_tensor::{dims, key, types};

    fn record(hidden: &str, optim: &Optim) -> ProgramRecord {
        let x = input("x", dims![_, 2]).dense(3);
        let model = if hidden == "tanh" { x.tanh() } else { x.relu() }.dense(1).model();
        let vars = model.init(key(0), &types![f32[_, 2]]).unwrap();
        ProgramRecord::new(&model, optim, &optim.init(&vars.params)).unwrap()
    }

    #[test]
    fn another_activation_is_a_difference_of_the_same_tensors() {
        let adam = optim::adam(0.01);
        let (tanh, relu) = (record("tanh", &adam), record("relu", &adam));
        assert!(tanh.layer_differences(&tanh).is_empty());
        let lines = relu.layer_differences(&tanh);
        assert_eq!(lines[0], "expected the layer `relu: relu of [dense]`");
        assert!(lines.contains(&"got the layer `tanh: tanh of [dense]`".to_string()), "{lines:?}");
        assert!(relu.layer_differences(&ProgramRecord::default()).is_empty(), "an older file");
    }

    #[test]
    fn another_rate_or_a_longer_schedule_is_a_difference() {
        let of = |optim: Optim| record("tanh", &optim);
        let (low, high) = (of(optim::adam(0.01)), of(optim::adam(0.5)));
        let warning = high.rate_difference(&low).unwrap();
        assert!(warning.contains("0.5 instead of 0.01 after 0 steps"), "{warning}");
        assert_eq!(low.rate_difference(&low), None);
        assert_eq!(low.rate_difference(&ProgramRecord::default()), None, "an older file");

        let cosine = |steps| of(optim::adam(optim::cosine(0.01, steps)));
        let warning = cosine(200).rate_difference(&cosine(100)).unwrap();
        assert!(warning.contains("after 10 steps"), "{warning}");
    }
}
