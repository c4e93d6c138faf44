//! [`Metric`] and its state.

use crate::precision::wide_index;
use neurax_tensor::{DType, Error, Place, Recorder, Tensor, Tree};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// The functions of a metric. The state is a list of tensors, of the same types for all batches.
///
/// The result must not depend on how the examples are distributed over batches. `weights`, if
/// there are any, have the shape of what is counted or a prefix of it; bool weights are a mask.
pub trait MetricFn: Send + Sync + 'static {
    /// Returns the state of no examples.
    fn init(&self) -> Vec<Tensor>;

    /// Returns the state of the examples of a batch: predictions `y` and targets `t`.
    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor>;

    /// Returns the state of the examples of two states. By default, it is their sum.
    fn merge(&self, a: &[Tensor], b: &[Tensor]) -> Vec<Tensor> {
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    }

    /// Returns the value of the metric: a scalar, or one value for each class. A trainer traces it
    /// before the first step, too, to count its values.
    fn result(&self, state: &[Tensor]) -> Tensor;
}

/// A named metric of predictions and targets.
///
/// The functions [`init`](Metric::init), [`update`](Metric::update), [`merge`](Metric::merge) and
/// [`result`](Metric::result) are pure and may be traced; a trainer calls them in its compiled
/// step. [`measure`](Metric::measure) is the value of a single batch.
#[derive(Clone)]
pub struct Metric {
    name: String,
    of: Arc<dyn MetricFn>,
}

/// The state of a [`Metric`]: all that it needs to know of the examples so far.
#[derive(Tree, Clone, Debug)]
pub struct MetricState(Vec<Tensor>);

impl MetricState {
    /// Returns the tensors of the state.
    pub fn tensors(&self) -> &[Tensor] {
        &self.0
    }
}

/// The parts of a batch that a metric sees: predictions, targets, and optional weights of examples.
/// Tuples of two or three tensors convert to it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The predictions.
    pub y: Tensor,
    /// The targets.
    pub t: Tensor,
    /// The weights of the examples, or a bool mask.
    pub weights: Option<Tensor>,
}

impl From<(Tensor, Tensor)> for Observed {
    fn from((y, t): (Tensor, Tensor)) -> Observed {
        Observed { y, t, weights: None }
    }
}

impl From<(Tensor, Tensor, Tensor)> for Observed {
    fn from((y, t, weights): (Tensor, Tensor, Tensor)) -> Observed {
        Observed { y, t, weights: Some(weights) }
    }
}

/// Creates a metric of an implementation of [`MetricFn`].
///
/// ```
/// use neurax::prelude::*;
///
/// /// The largest error of all examples.
/// struct Worst;
///
/// impl metric::MetricFn for Worst {
///     fn init(&self) -> Vec<Tensor> {
///         vec![tensor(0.0)]
///     }
///     fn batch(&self, y: &Tensor, t: &Tensor, _: Option<&Tensor>) -> Vec<Tensor> {
///         vec![(y - t).abs().max(..)]
///     }
///     fn merge(&self, a: &[Tensor], b: &[Tensor]) -> Vec<Tensor> {
///         vec![a[0].maximum(&b[0])]
///     }
///     fn result(&self, state: &[Tensor]) -> Tensor {
///         state[0].clone()
///     }
/// }
///
/// let worst = metric::custom("worst", Worst);
/// assert_eq!(worst.measure(&tensor([1.0, 2.0]), &tensor([1.0, 5.0])).item()?, 3.0);
/// # Ok::<(), Error>(())
/// ```
pub fn custom(name: &str, of: impl MetricFn) -> Metric {
    Metric { name: name.into(), of: Arc::new(of) }
}

impl Metric {
    /// Returns the name of the metric.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Renames the metric.
    pub fn named(mut self, name: &str) -> Metric {
        self.name = name.into();
        self
    }

    /// Leaves out the positions whose target, a class index, is `index`: their weight is 0.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]);
    /// let accuracy = metric::accuracy().ignore_index(-1);
    /// assert_eq!(accuracy.measure(&y, &tensor([0, 0, -1])).item()?, 0.5);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// The value carries an error if the targets are not integers, and if the metric takes no
    /// weights.
    pub fn ignore_index(self, index: i64) -> Metric {
        let Metric { name, of } = self;
        let ignoring = Ignoring { name: name.clone(), of, index };
        Metric { name, of: Arc::new(ignoring) }
    }

    /// Returns the state of no examples.
    pub fn init(&self) -> MetricState {
        MetricState(self.of.init())
    }

    /// Returns the state of the examples of a batch.
    #[track_caller]
    pub fn of_batch(&self, batch: impl Into<Observed>) -> MetricState {
        let at = Location::caller();
        let Observed { y, t, weights } = batch.into();
        let operands = [&y, &t].into_iter().chain(&weights);
        let state = Recorder::of(operands).at(at, || self.of.batch(&y, &t, weights.as_ref()));
        MetricState(state.into_iter().map(|x| x.at_place(&Place::from(at))).collect())
    }

    /// Returns the state after a batch of predictions `y` and targets `t`.
    #[track_caller]
    pub fn update(&self, state: MetricState, y: &Tensor, t: &Tensor) -> MetricState {
        self.merge(&state, &self.of_batch((y.clone(), t.clone())))
    }

    /// Returns the state after a batch whose examples have `weights`: a tensor of the shape of the
    /// targets or a prefix of it; a bool tensor is a mask.
    #[track_caller]
    pub fn update_weighted(
        &self,
        state: MetricState,
        y: &Tensor,
        t: &Tensor,
        weights: &Tensor,
    ) -> MetricState {
        self.merge(&state, &self.of_batch((y.clone(), t.clone(), weights.clone())))
    }

    /// Returns the state of the examples of two states, e.g. of two threads.
    #[track_caller]
    pub fn merge(&self, a: &MetricState, b: &MetricState) -> MetricState {
        let at = Location::caller();
        MetricState(Recorder::of(a.0.iter().chain(&b.0)).at(at, || self.of.merge(&a.0, &b.0)))
    }

    /// Returns the value of the metric over all examples of a state, in f64: a scalar, or one value
    /// for each class if the metric has several.
    #[track_caller]
    pub fn result(&self, state: &MetricState) -> Tensor {
        let at = Location::caller();
        let result = Recorder::of(&state.0).at(at, || self.of.result(&state.0));
        result.at_place(&Place::from(at))
    }

    /// Returns the value of the metric for the predictions `y` and the targets `t` of one batch, in
    /// f32 unless the predictions are f64.
    #[track_caller]
    pub fn measure(&self, y: &Tensor, t: &Tensor) -> Tensor {
        let result = self.result(&self.of_batch((y.clone(), t.clone())));
        if y.dtype() == DType::F64 { result } else { result.to(DType::F32) }
    }
}

/// The metric of [`Metric::ignore_index`].
struct Ignoring {
    name: String,
    of: Arc<dyn MetricFn>,
    index: i64,
}

impl MetricFn for Ignoring {
    fn init(&self) -> Vec<Tensor> {
        self.of.init()
    }

    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        let weights = match t.ty() {
            Ok(ty) if !ty.dtype.is_int() => {
                let why = format!("expected integer targets with an ignored index, got {ty}");
                Tensor::from_error(Error::new(self.name.clone(), why))
            }
            _ => {
                let is_ignored = wide_index(t).equal(self.index);
                is_ignored.select(0.0, weights_of(&self.name, weights, t))
            }
        };
        self.of.batch(y, t, Some(&weights))
    }

    fn merge(&self, a: &[Tensor], b: &[Tensor]) -> Vec<Tensor> {
        self.of.merge(a, b)
    }

    fn result(&self, state: &[Tensor]) -> Tensor {
        self.of.result(state)
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Returns a f64 scalar of 0.
pub(super) fn zero() -> Tensor {
    Tensor::scalar(DType::F64, 0.0)
}

/// Returns `a / b`, and 0 where `b` is 0.
#[track_caller]
pub(super) fn ratio(a: &Tensor, b: &Tensor) -> Tensor {
    let none = b.equal(0.0);
    none.select(0.0, a / none.select(1.0, b))
}

/// Returns the f64 weights of what is counted, of its shape; 1 without weights.
#[track_caller]
pub(super) fn weights_of(name: &str, weights: Option<&Tensor>, counted: &Tensor) -> Tensor {
    use crate::example_weights::{not_a_prefix, spread};
    let Some(w) = weights else { return Tensor::ones_of(DType::F64, counted.shape()) };
    match not_a_prefix(name, "weights", w, "targets", &counted.shape()) {
        Some(error) => error,
        None => spread(&w.to(DType::F64), counted.rank()).broadcast_to(counted.shape()),
    }
}
