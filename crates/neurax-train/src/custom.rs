//! [`CustomTraining`]: a training whose step the user writes.
//!
//! The problem: a GAN has two models and two optimizers, and still needs what a supervised training
//! has: handlers, checkpoints, logs, a resume. The loop knows the variables of a training as
//! tensors by name and calls a function of them and a batch. So the leaves of the user's tree are
//! these variables: its step is called with the tree, rebuilt from them, while it is traced. When
//! the compiled step runs, there is no tree.
//!
//! A leaf with the path `generator.dense.kernel` is the variable `dense.kernel` of `generator`, and
//! one with the path `temperature` is the variable `value` of `temperature`: this is how
//! [`State::vars`](crate::State) and the files of saved states name them.

use crate::any_batch::AnyBatch;
use crate::differences::{differences, types};
use crate::measure::{LOSS, Measure, Objective, Total};
use crate::program::{EvaluateBody, StatisticsBody, StepBody, StepCarry};
use crate::task::TrainingTask;
use neurax_data::Batch;
use neurax_nn::regularize::Penalty;
use neurax_nn::{OptState, Optim, Params, Vars};
use neurax_tensor::{DType, Error, Key, Result, Tensor, Tree};
use std::panic::Location;
use std::sync::Arc;

/// The name of a variable whose path has one part, and of its layer if the tree is one tensor.
const LEAF_VALUE: &str = "value";

/// A training with a step of the user: an initial tree of any type, such as a struct of several
/// models and the states of their optimizers, and a function that returns the tree after a batch.
/// [`Trainer::custom`](crate::Trainer::custom) makes a trainer of it, with the same events,
/// handlers, checkpoints and progress as one of a model.
///
/// # Examples
///
/// A network that learns to answer as another one does, with a count of its steps:
///
/// ```
/// use neurax::prelude::*;
///
/// #[derive(Tree, Clone)]
/// struct Student { params: Params, opt: nn::OptState, count: Tensor }
///
/// let teacher = nn::input("x", dims![_, 2]).dense(8).tanh().dense(1).model();
/// let teacher = teacher.bind(teacher.init(key(0), &types![f32[_, 2]])?);
/// let (model, optim) = (nn::input("x", dims![_, 2]).dense(1).model(), optim::adam(0.05));
/// let params = model.init(key(1), &types![f32[_, 2]])?.params;
/// let start = Student { opt: optim.init(&params), params, count: tensor(0) };
///
/// let answer = move |p: &Params, x: &Tensor| {
///     model.apply_with(p, &Params::new(), x, &Mode::Eval).y().clone()
/// };
/// let step = move |s: Student, batch: &data::Batch<Tensor, ()>, _: Key| {
///     let want = teacher.apply(&batch.x).y().clone();
///     let of = |p: Params| loss::mse(&answer(&p, &batch.x), &want);
///     let (loss, grads) = value_and_grad_at(&s.params, of);
///     let (params, opt) = optim.step(&s.params, &grads, s.opt);
///     (Student { params, opt, count: s.count + 1 }, [loss])
/// };
/// let set = Dataset::new(key(2).normal([64, 2]), ())?;
/// let trained = Trainer::custom(train::CustomTraining::new(start, ["loss"], step))
///     .quiet()
///     .run(&set.batched(16), epochs(50))?;
/// assert!(trained.history[49].train["loss"] < trained.history[0].train["loss"] / 2.0);
/// assert_eq!(trained.model.count.item()?, 200.0);
/// # Ok::<(), Error>(())
/// ```
#[must_use = "a trainer runs it: see `Trainer::custom`"]
pub struct CustomTraining<S, X: Tree, Y: Tree, const N: usize> {
    start: S,
    names: [String; N],
    step: Arc<dyn Fn(S, &Batch<X, Y>, Key) -> (S, [Tensor; N]) + Send + Sync>,
    evaluate: Option<Arc<dyn Fn(&S, &Batch<X, Y>) -> [Tensor; N] + Send + Sync>>,
    at: &'static Location<'static>,
}

impl<S: Tree, X: Tree, Y: Tree, const N: usize> CustomTraining<S, X, Y, N> {
    /// Creates a training that begins with the tree `start`. `step` returns the tree after a batch
    /// and the scores of the batch, scalars, in the order of their names; the key is another one
    /// for each step. It is traced, as the functions of `jit` are.
    ///
    /// The first score is called `loss`: it is [`State::loss`](crate::State), and a run ends or
    /// warns if it is not finite. The scores of an epoch are means over its examples.
    ///
    /// The trainer does not know the optimizers in the step: a traced step cannot fail because of
    /// its values, so that `NonFinite::Fail` of one of them skips a step and counts it, as
    /// `NonFinite::Skip` does. A run ends there with
    /// [`NonFiniteLoss::Stop`](crate::NonFiniteLoss::Stop) if the loss is not finite, or with a
    /// handler that reads the count in the state of the optimizer.
    #[track_caller]
    pub fn new(
        start: S,
        scores: [&str; N],
        step: impl Fn(S, &Batch<X, Y>, Key) -> (S, [Tensor; N]) + Send + Sync + 'static,
    ) -> Self {
        let (names, at) = (scores.map(String::from), Location::caller());
        CustomTraining { start, names, step: Arc::new(step), evaluate: None, at }
    }

    /// Sets the function that computes the scores of a batch of other data, for validation sets and
    /// [`Trained::evaluate`](crate::Trained::evaluate).
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let step = |w: Tensor, batch: &data::Batch, _: Key| {
    ///     let (loss, slope) = value_and_grad_at(&w, |w| loss::mse(&(&batch.x * w), &batch.y));
    ///     (w - slope * 0.1, [loss])
    /// };
    /// let scores = |w: &Tensor, batch: &data::Batch| [loss::mse(&(&batch.x * w), &batch.y)];
    /// let set = Dataset::new(tensor([1.0, 2.0]), tensor([3.0, 6.0]))?;
    /// let custom = train::CustomTraining::new(tensor(0.0), ["loss"], step).evaluate_by(scores);
    /// let trainer = Trainer::custom(custom).validate(&set).quiet();
    /// let trained = trainer.run(&set.batched(2), epochs(20))?;
    /// assert!(trained.validation["loss"] < 1e-6 && (trained.model.item()? - 3.0).abs() < 1e-3);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn evaluate_by(
        self,
        scores: impl Fn(&S, &Batch<X, Y>) -> [Tensor; N] + Send + Sync + 'static,
    ) -> Self {
        CustomTraining { evaluate: Some(Arc::new(scores)), ..self }
    }

    /// Returns the scores as measures.
    pub(crate) fn measures(&self) -> Vec<Measure> {
        let measure =
            |name: &String| Measure { name: name.clone(), of: Objective::Score, at: self.at };
        self.names.iter().map(measure).collect()
    }

    /// Returns the start.
    ///
    /// # Errors
    /// If two leaves have one path, or the first score is not the loss.
    fn params(&self) -> Result<Params> {
        if self.names.first().is_none_or(|name| name != LOSS) {
            let names = &self.names;
            let why =
                format!("expected scores of which the first is called `{LOSS}`, got {names:?}");
            return Err(Error::new("custom", why));
        }
        params_of(&self.start)
    }

    /// Returns a tree of the same structure for [`tree_of`], without the variables: they would be
    /// held as long as it.
    pub(crate) fn like(&self) -> S {
        self.start.map_leaves(|_| Tensor::scalar(DType::F32, 0.0))
    }

    /// Returns the part of the training that depends on the types.
    pub(crate) fn task(&self) -> CustomTask {
        let (step, tree) = (self.step.clone(), self.like());
        let step = move |params: &Params, batch: &AnyBatch, key| match batch.downcast() {
            Some(batch) => {
                let (new, scores) = step(tree_of(&tree, params), batch, key);
                params_of(&new).map(|new| (new, scores.into()))
            }
            None => Err(Error::bug("a batch has other types than the trainer")),
        };
        let evaluate = self.evaluate.clone().map(|evaluate| {
            let tree = self.like();
            let evaluate = move |params: &Params, batch: &AnyBatch| match batch.downcast() {
                Some(batch) => Ok(evaluate(&tree_of(&tree, params), batch).into()),
                None => Err(Error::bug("a batch has other types than the trainer")),
            };
            Arc::new(evaluate) as EvaluateOfParams
        });
        CustomTask { start: self.params(), step: Arc::new(step), evaluate }
    }
}

/// A step of a tree as tensors by name, and its scores.
type StepOfParams =
    Arc<dyn Fn(&Params, &AnyBatch, Key) -> Result<(Params, Vec<Tensor>)> + Send + Sync>;
/// The scores of a tree as tensors by name.
type EvaluateOfParams = Arc<dyn Fn(&Params, &AnyBatch) -> Result<Vec<Tensor>> + Send + Sync>;

/// A [`CustomTraining`] of any types.
pub(crate) struct CustomTask {
    start: Result<Params>,
    step: StepOfParams,
    evaluate: Option<EvaluateOfParams>,
}

impl TrainingTask for CustomTask {
    fn init(&self, _: Key, _: &AnyBatch) -> Result<Vars> {
        Ok(Vars { params: self.start.clone()?, state: Params::new() })
    }

    fn optim(&mut self) -> Option<&mut Optim> {
        None
    }

    fn opt(&self, _: &Params) -> OptState {
        OptState::default()
    }

    fn step(&self, measures: &[Measure], _: &Penalty) -> StepBody {
        let (step, measures) = (self.step.clone(), measures.to_vec());
        Arc::new(move |carry, batch| {
            let StepCarry { vars: Vars { params, state }, opt, key, totals } = carry;
            let [key, step_key] = key.split();
            let (params, scores) = match same_types(&params, step(&params, batch, step_key)) {
                Ok(new) => new,
                Err(e) => failed(&params, &measures, &e),
            };
            let totals = totals.add(&measures, values(&measures, scores), batch.len());
            StepCarry { vars: Vars { params, state }, opt, key, totals }
        })
    }

    fn evaluation(&self, measures: &[Measure], _: &Penalty) -> EvaluateBody {
        let (evaluate, measures) = (self.evaluate.clone(), measures.to_vec());
        Arc::new(move |vars, totals, batch| {
            let scores = match &evaluate {
                Some(evaluate) => evaluate(&vars.params, batch),
                None => Err(no_evaluation()),
            };
            let scores = scores.unwrap_or_else(|e| failed(&Params::new(), &measures, &e).1);
            totals.add(&measures, values(&measures, scores), batch.len())
        })
    }

    fn statistics(&self) -> StatisticsBody {
        Arc::new(|vars, _, _| vars.state.clone())
    }

    fn fails_on_non_finite(&self) -> bool {
        false
    }
}

/// Returns the leaves of a tree as tensors by name.
///
/// # Errors
/// If two leaves have one path.
pub(crate) fn params_of(tree: &impl Tree) -> Result<Params> {
    let mut params = Params::new();
    for (path, t) in tree.leaves() {
        let (layer, name) = names(&path);
        if params.entry(layer).or_default().insert(name, t.clone()).is_some() {
            let why = format!("expected leaves of different paths, got two called `{path}`");
            return Err(Error::new("custom", why));
        }
    }
    Ok(params)
}

/// Returns a tree like `like` with the leaves that are stored by name; a missing one carries an
/// error.
pub(crate) fn tree_of<S: Tree>(like: &S, params: &Params) -> S {
    let leaf = |(path, _): (String, &Tensor)| {
        let (layer, name) = names(&path);
        let found = params.get(&layer).and_then(|own| own.get(&name)).cloned();
        found.unwrap_or_else(|| {
            let why = format!("expected a variable for the leaf `{path}` of the tree, got none");
            Tensor::from_error(Error::new("custom", why))
        })
    };
    let leaves: Vec<Tensor> = like.leaves().into_iter().map(leaf).collect();
    like.with_leaves(leaves)
}

/// Returns the layer and the name of a leaf.
fn names(path: &str) -> (String, String) {
    let (layer, name) = path.split_once('.').unwrap_or((path, LEAF_VALUE));
    (if layer.is_empty() { LEAF_VALUE } else { layer }.into(), name.into())
}

/// Checks that a step keeps the structure and the types of the tree.
fn same_types(old: &Params, new: Result<(Params, Vec<Tensor>)>) -> Result<(Params, Vec<Tensor>)> {
    let (new, scores) = new?;
    let differ = differences(&types(old)?, &types(&new)?);
    if !differ.is_empty() {
        let why = "expected a step that returns a tree of the same structure and types";
        return Err(Error::new("custom", format!("{why}: {}", differ.join("; "))));
    }
    Ok((new, scores))
}

/// Returns variables and scores that carry an error.
fn failed(params: &Params, measures: &[Measure], e: &Error) -> (Params, Vec<Tensor>) {
    let error = || Tensor::from_error(e.clone());
    (params.map_leaves(|_| error()), measures.iter().map(|_| error()).collect())
}

/// Returns the scores of a batch as the values of their measures.
fn values(measures: &[Measure], scores: Vec<Tensor>) -> Vec<Total> {
    measures.iter().zip(scores).map(|(m, score)| m.mean(score)).collect()
}

fn no_evaluation() -> Error {
    let why = "expected a custom training with a function for the scores of other data: add \
               `CustomTraining::evaluate_by`";
    Error::new("custom", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;
    use std::collections::BTreeMap;

    #[test]
    fn trees_become_variables_and_back() {
        let map = BTreeMap::from([("b".to_string(), tensor(3.0)), ("a".to_string(), tensor(2.0))]);
        let tree = (tensor(1.0), map, vec![tensor([4.0, 5.0])]);
        let params = params_of(&tree).unwrap();
        let paths: Vec<String> = params.leaves().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["0.value", "1.a", "1.b", "2.0"]);
        let back = tree_of(&tree, &params);
        assert_eq!((back.0.item().unwrap(), back.1["b"].item().unwrap()), (1.0, 3.0));
        assert_eq!(back.2[0].to_vec::<f32>().unwrap(), [4.0, 5.0]);
        let one = params_of(&tensor(7.0)).unwrap();
        assert_eq!(one["value"]["value"].item().unwrap(), 7.0);
        assert_eq!(tree_of(&tensor(0.0), &one).item().unwrap(), 7.0);
        let e = tree_of(&tree, &one).0.item().unwrap_err().to_string();
        assert!(e.contains("expected a variable for the leaf `0` of the tree"), "{e}");
    }
}
