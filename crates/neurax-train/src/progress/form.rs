//! [`ProgressForm`]: where the progress output goes, and how it looks there.

use std::io::{IsTerminal, stderr};

/// The environment variable that the notebook kernel evcxr sets for the program of the cells.
const NOTEBOOK_VARIABLE: &str = "EVCXR_IS_RUNTIME";

/// The form of the progress output of a training on standard error: see
/// [`Trainer::progress`](crate::Trainer::progress).
///
/// ```text
/// bar       epoch  3/10 ██████░░░░ 1200/9000 loss 0.2500  accuracy 0.7500  200 examples/s eta 5m
/// log       epoch  3/10  batch 120/900  loss 0.2500  accuracy 0.7500  200 examples/s  eta 5m
///           epoch  3/10  loss 0.2500  accuracy 0.7500  val loss 0.5000  val accuracy 0.5000  1.5 s
///                        200 examples/s  rate 0.01  memory 310 MB  eta 5m          (on one line)
/// notebook  epoch  3/10  loss 0.2500  accuracy 0.7500  val loss 0.5000  val accuracy 0.5000  1.5 s
/// ```
///
/// The rate is that of the optimizer, which is not known in a custom training. The memory is that
/// of the whole process, on Linux. The time that is left is known if the number of batches is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProgressForm {
    /// The bar in a terminal, the form of a notebook in the kernel evcxr, and else that of a log.
    #[default]
    Automatic,
    /// A bar that shows the batches and the scores so far, and a line for each epoch as in a log.
    Bar,
    /// Lines for a file: one for each epoch, and one a minute inside of an epoch.
    Log,
    /// Short lines: at most one a second, and in any case one for the last epoch.
    Notebook,
    /// No output but warnings.
    Quiet,
}

impl ProgressForm {
    /// Returns the form of this program in place of [`ProgressForm::Automatic`].
    pub(super) fn here(self) -> ProgressForm {
        self.at(stderr().is_terminal(), std::env::var_os(NOTEBOOK_VARIABLE).is_some())
    }

    fn at(self, is_terminal: bool, is_notebook: bool) -> ProgressForm {
        match self {
            ProgressForm::Automatic if is_terminal => ProgressForm::Bar,
            ProgressForm::Automatic if is_notebook => ProgressForm::Notebook,
            ProgressForm::Automatic => ProgressForm::Log,
            chosen => chosen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_output_decides_unless_the_user_does() {
        let automatic = |terminal, notebook| ProgressForm::Automatic.at(terminal, notebook);
        assert_eq!(automatic(true, false), ProgressForm::Bar);
        assert_eq!(automatic(false, true), ProgressForm::Notebook);
        assert_eq!(automatic(false, false), ProgressForm::Log);
        assert_eq!(ProgressForm::Log.at(true, true), ProgressForm::Log);
    }
}
