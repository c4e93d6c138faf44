//! [`ClassifiedSet`]: the data set on which a run directory describes a classifier.

use crate::PredictionRecord;
use crate::guard::guarded;
use neurax_data::Source;
use neurax_nn::{Inputs, Net};
use neurax_tensor::{Result, Tensor, Tree, concat};

/// The data set of [`RunDirectory::classify`](crate::RunDirectory::classify).
pub(super) struct ClassifiedSet {
    outputs: OutputFn,
    names: Vec<String>,
}

/// Returns the outputs of a network and the targets of the first batches of a data set, of which
/// the number is given.
type OutputFn = Box<dyn Fn(&Net, usize) -> Result<(Tensor, Tensor)> + Send>;

impl ClassifiedSet {
    /// Creates the data set of a classifier with these names of classes.
    pub fn new<X: Tree + Inputs + Clone>(
        data: impl Source<X, Tensor> + Send + 'static,
        names: &[&str],
    ) -> ClassifiedSet {
        let outputs = move |net: &Net, batches: usize| {
            let (mut outputs, mut targets) = (vec![], vec![]);
            for batch in data.epoch(0).take(batches) {
                let batch = batch?;
                outputs.push(net.apply(&batch.x).y().clone());
                targets.push(batch.y);
            }
            Ok((concat(outputs, 0).ok()?, concat(targets, 0).ok()?))
        };
        let names = names.iter().map(|name| name.to_string()).collect();
        ClassifiedSet { outputs: Box::new(outputs), names }
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// Checks the outputs and targets of one batch, and the names.
    ///
    /// # Errors
    /// If the shapes or the number of names do not fit, or there is no batch.
    pub fn check(&self, net: &Net) -> Result<()> {
        let (outputs, targets) = self.outputs_of(net, 1)?;
        PredictionRecord::check(&outputs, &targets, &self.names())
    }

    /// Returns the quality of a network after `step` steps.
    ///
    /// # Errors
    /// As [`PredictionRecord::of`].
    pub fn predictions(&self, net: &Net, step: usize) -> Result<PredictionRecord> {
        let (outputs, targets) = self.outputs_of(net, usize::MAX)?;
        let found = PredictionRecord::of(&outputs, &targets, &self.names())?;
        Ok(PredictionRecord { step: Some(step), ..found })
    }

    fn outputs_of(&self, net: &Net, batches: usize) -> Result<(Tensor, Tensor)> {
        guarded("the data set of `classify`", || (self.outputs)(net, batches))?
    }
}
