//! [`StopOnNan`].

use crate::tuning::MAX_LISTED_VARIABLES;
use crate::{Event, Flow, Handler, State, When};
use neurax_tensor::{Error, Result, Tensor, Tree};

/// A handler that ends training with an error when the loss or a metric of the epoch so far is NaN
/// or infinite. The error names what made the first one, the operation with its layer and your
/// line, and the first variables that are not finite; it holds the state. A score for which nothing
/// counts yet is skipped, such as a gradient norm when the first scaled gradients overflow, or a
/// weighted loss before the first weight.
///
/// The step is run a second time to find the operation, as
/// [`debug::nans`](neurax_tensor::debug::nans) does. Its arguments are kept for that: training
/// needs the memory of the variables and of the optimizer twice.
///
/// [`Trainer::non_finite_loss`](crate::Trainer::non_finite_loss) with `Stop` does the same for the
/// loss without names.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::full([4, 1], 1e30))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(1e9)).handler(train::StopOnNan);
/// let trainer = trainer.non_finite_loss(train::NonFiniteLoss::Ignore);
/// let e = trainer.quiet().run(&set.batched(2), epochs(9)).unwrap_err().to_string();
/// assert!(e.contains("not finite: params.dense.bias, params.dense.kernel"), "{e}");
/// assert!(e.contains("made an infinity"), "{e}");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StopOnNan;

impl Handler for StopOnNan {
    fn name(&self) -> String {
        "stop_on_nan".into()
    }

    fn events(&self) -> Vec<When> {
        vec![Event::BatchEnded.into()]
    }

    fn explains_nan(&self) -> bool {
        true
    }

    fn call(&mut self, _: Event, state: &mut State) -> Result<Flow> {
        let scores = [("loss", state.loss)].into_iter().chain(state.metrics.iter());
        for (name, x) in scores.filter(|(_, x)| !x.is_finite()) {
            if state.so_far.has_weight(name)? {
                return Err(error(name, x, state));
            }
        }
        Ok(Flow::Continue)
    }
}

fn error(name: &str, x: f64, state: &State) -> Error {
    let is_bad = |t: &Tensor| t.dtype().is_float() && !all_finite(t);
    let bad = state.vars.leaves().into_iter().filter(|(_, t)| is_bad(t));
    let bad: Vec<String> = bad.map(|(path, _)| path).collect();
    let (shown, all) = (bad.iter().take(MAX_LISTED_VARIABLES), bad.len());
    let shown: Vec<&str> = shown.map(String::as_str).collect();
    let which = match bad.is_empty() {
        true => "all variables are finite".into(),
        false if shown.len() < all => {
            let more = all - shown.len();
            format!("not finite: {} and {more} more variables", shown.join(", "))
        }
        false => format!("not finite: {}", shown.join(", ")),
    };
    Error::new("train", format!("expected a finite {name}, got {x}; {which}"))
}

fn all_finite(t: &Tensor) -> bool {
    t.is_finite().all(..).item().is_ok_and(|x| x == 1.0)
}
