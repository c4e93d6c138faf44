//! [`BestRecord`].

use super::CHECKPOINT_FOLDER;
use crate::handlers::BEST_STATE;
use crate::saved::step_and_number;
use neurax_tensor::Result;
use std::path::Path;

/// The best state of a run directory, which [`Checkpoints::best`](crate::Checkpoints::best) saved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BestRecord {
    /// The number of completed steps.
    pub step: usize,
    /// The score by which the state is the best one, if the state has it.
    pub score: Option<f64>,
}

impl BestRecord {
    /// Reads the description of the best state of a run directory; `None` if there is none.
    ///
    /// # Errors
    /// If it is damaged or was written by another version.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let run = std::env::temp_dir().join(format!("neurax-doc-best-{}", std::process::id()));
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let directory = train::RunDirectory::new(&run)
    ///     .checkpoints(|points| points.best(train::lowest("loss")));
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    /// let trained = trainer.record(directory).run(&set.batched(2), epochs(3))?;
    /// let best = train::BestRecord::read(&run)?.unwrap_or_default();
    /// let lowest = trained.history[2].train["loss"];
    /// assert_eq!((best.step, best.score), (6, Some(lowest)));
    /// # std::fs::remove_dir_all(&run)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read(directory: impl AsRef<Path>) -> Result<Option<BestRecord>> {
        let folder = directory.as_ref().join(CHECKPOINT_FOLDER).join(BEST_STATE);
        // The handler of the folder has its name.
        let found = step_and_number(&folder, CHECKPOINT_FOLDER, BEST_STATE)?;
        Ok(found.map(|(step, score)| BestRecord { step, score }))
    }
}
