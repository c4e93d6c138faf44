//! The two jitted functions: the training step of a group of batches, and the evaluation of a
//! batch.

use crate::any_batch::AnyBatch;
use crate::batch_group::BatchGroup;
use crate::guard::guarded;
use crate::measure::{Measure, Totals};
use neurax_nn::{OptState, Params, Vars};
use neurax_tensor::{
    Error, Failed, Jit, Key, Profile, Result, Tensor, Tree, Type, eval_shape, jit, scan,
};
use std::collections::HashSet;
use std::sync::Arc;

/// The data that each step takes and returns. It is donated to the step, so that it is updated in
/// place.
#[derive(Tree, Clone)]
pub(crate) struct StepCarry {
    pub vars: Vars,
    pub opt: OptState,
    pub key: Key,
    pub totals: Totals,
}

/// The function of one step: a pure function, which is traced.
pub(crate) type StepBody = Arc<dyn Fn(StepCarry, &AnyBatch) -> StepCarry + Send + Sync>;

/// The function that adds the measures of a batch to the totals.
pub(crate) type EvaluateBody = Arc<dyn Fn(&Vars, Totals, &AnyBatch) -> Totals + Send + Sync>;

/// The function that returns the state of a model after a batch, in training mode.
pub(crate) type StatisticsBody = Arc<dyn Fn(&Vars, Key, &AnyBatch) -> Params + Send + Sync>;

/// The jitted evaluation of a batch.
pub(crate) type EvaluateFn = Jit<'static, (Vars, Totals, AnyBatch), Totals>;

/// The compiled training step of a group of batches. A group of another size is another program.
pub(crate) struct StepProgram {
    run: Jit<'static, (StepCarry, BatchGroup), StepCarry>,
    /// The arguments whose programs are traced.
    traced: HashSet<ArgumentTypes>,
}

/// The key of a program: the kind of the group, and the types of all tensors, where
/// those that carry an error have none.
type ArgumentTypes = (usize, Vec<Option<Type>>);

impl StepProgram {
    pub fn new(step: StepBody) -> StepProgram {
        let run = jit(move |(carry, group): (StepCarry, BatchGroup)| match group {
            BatchGroup::One(batch) => step(carry, &batch),
            BatchGroup::Stacked(all) => {
                scan(carry, all, |carry, batch| (step(carry, &batch), ())).0
            }
            BatchGroup::Rows(set, rows) => {
                let batch = |rows: &Tensor| set.map_leaves(|t| t.take(rows, 0));
                scan(carry, rows, |carry, rows| (step(carry, &batch(&rows)), ())).0
            }
        });
        StepProgram { run, traced: HashSet::new() }
    }

    /// Trains on a group.
    ///
    /// # Errors
    /// If the group does not fit the model, a function of the user panics, or a device fails. The
    /// error holds the carry unless the program had started.
    pub fn run(
        &mut self,
        carry: StepCarry,
        group: BatchGroup,
    ) -> Result<StepCarry, Box<Failed<StepCarry>>> {
        let args = (carry, group);
        // A handler may change the types of the variables.
        let signature = argument_types(&args);
        if !self.traced.contains(&signature) {
            // The functions of the user run now, while a panic does not lose the carry.
            let traced = guarded(STEP_FUNCTION, || self.run.trace(&args).map(drop));
            if let Err(error) = traced.and_then(|traced| traced) {
                return Err(Box::new(Failed { error, args: Some(args.0) }));
            }
            self.traced.insert(signature);
        }
        let run = guarded(STEP_FUNCTION, || self.run.try_run(args).map_err(Box::new));
        let run = run.unwrap_or_else(|error| Err(Box::new(Failed { error, args: None })));
        run.map_err(|failed| {
            let Failed { error, args } = *failed;
            Box::new(Failed { error, args: args.map(|(carry, _)| carry) })
        })
    }
}

impl StepProgram {
    /// Measures a step on a batch, several times.
    ///
    /// # Errors
    /// If the batch does not fit the model, a function of the user panics, or the device does not
    /// measure steps.
    pub fn profile(&self, carry: StepCarry, batch: AnyBatch) -> Result<Profile> {
        guarded(STEP_FUNCTION, || self.run.profile(&(carry, BatchGroup::One(batch))))?
    }

    /// Runs a call again, equation by equation, and returns the error that names the first one that
    /// made NaN or infinity; `None` if all results are finite.
    ///
    /// # Errors
    /// If a function of the user panics, or a device fails.
    pub fn nan_cause(&self, args: &(StepCarry, BatchGroup)) -> Result<Option<Error>> {
        guarded(STEP_FUNCTION, || self.run.nan_cause(args))?
    }
}

/// The name of the step in the error of a panic.
const STEP_FUNCTION: &str = "a function of the training step";

fn argument_types(args: &(StepCarry, BatchGroup)) -> ArgumentTypes {
    let mut types = vec![];
    args.each_leaf(|t| types.push(t.ty().ok()));
    (args.1.kind(), types)
}

/// Jits the evaluation of a batch.
pub(crate) fn evaluate_fn(body: EvaluateBody) -> EvaluateFn {
    jit(move |(vars, totals, batch): (Vars, Totals, AnyBatch)| body(&vars, totals, &batch))
}

/// Checks that `batch` can be evaluated, without computing anything.
///
/// # Errors
/// As evaluating it, if its types do not fit.
pub(crate) fn check_evaluation(
    evaluate: &EvaluateFn,
    vars: &Vars,
    measures: &[Measure],
    batch: AnyBatch,
) -> Result<()> {
    let arguments = (vars.clone(), Totals::new(measures), batch);
    eval_shape(&**evaluate, &arguments).ok().map(|_| ())
}

/// Returns the number of examples of a batch.
///
/// # Errors
/// If there are none: their mean would be NaN.
pub(crate) fn examples(batch: &AnyBatch) -> Result<usize> {
    some_examples(batch.len())
}

/// Returns the numbers of batches of a group and of examples in each.
///
/// # Errors
/// If there are no examples.
pub(crate) fn group_size(group: &BatchGroup) -> Result<(usize, usize)> {
    let (batches, examples) = group.size();
    Ok((batches, some_examples(examples)?))
}

fn some_examples(n: usize) -> Result<usize> {
    match n {
        0 => Err(Error::new("train", "expected at least one example in a batch, got none")),
        n => Ok(n),
    }
}
