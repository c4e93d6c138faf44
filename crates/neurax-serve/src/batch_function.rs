//! [`BatchFunction`]: the model of a serving, a function of batches.

use crate::panics::caught;
use crate::reply_slot::Outputs;
use crate::row_batch::RowBatch;
use neurax_nn::Predictor;
use neurax_tensor::{Dim, Error, Literal, Result, Type, TypeSpec};
use std::sync::Arc;

/// A function that takes one of several results of a batch.
///
/// # Errors
/// If no caller waits for results any more, so that the model can stop.
pub type Emit<'e> = dyn FnMut(Outputs) -> Result<()> + 'e;

/// A model with one result for each batch.
type WholeFunction = dyn Fn(&RowBatch) -> Result<Outputs> + Send + Sync;
/// A model with several results for each batch.
type PartialFunction = dyn Fn(&RowBatch, &mut Emit) -> Result<()> + Send + Sync;

/// The model of a serving.
#[derive(Clone)]
pub(crate) struct BatchFunction {
    kind: FunctionKind,
    /// The names and types of the inputs; empty if they are not known.
    inputs: Vec<(String, TypeSpec)>,
    /// The predictor, if the function calls one.
    predictor: Option<Predictor>,
}

#[derive(Clone)]
enum FunctionKind {
    Whole(Arc<WholeFunction>),
    Partial(Arc<PartialFunction>),
}

impl BatchFunction {
    /// Creates the model of a function.
    pub(crate) fn whole(
        f: impl Fn(&RowBatch) -> Result<Outputs> + Send + Sync + 'static,
    ) -> BatchFunction {
        BatchFunction::of(FunctionKind::Whole(Arc::new(f)))
    }

    /// Creates the model of a function with several results for each batch.
    pub(crate) fn partial(
        f: impl Fn(&RowBatch, &mut Emit) -> Result<()> + Send + Sync + 'static,
    ) -> BatchFunction {
        BatchFunction::of(FunctionKind::Partial(Arc::new(f)))
    }

    /// Creates the model of a predictor, of whose results `f` returns the outputs.
    pub(crate) fn predictor(
        predictor: Predictor,
        f: impl Fn(&Predictor, &RowBatch) -> Result<Outputs> + Send + Sync + 'static,
    ) -> BatchFunction {
        let inputs = predictor.inputs().map(|(name, t)| (name.to_string(), t.clone())).collect();
        let called = predictor.clone();
        let function = BatchFunction::whole(move |batch| f(&called, batch));
        BatchFunction { inputs, predictor: Some(predictor), ..function }
    }

    fn of(kind: FunctionKind) -> BatchFunction {
        BatchFunction { kind, inputs: Vec::new(), predictor: None }
    }

    /// Compiles the predictor for batches of these sizes, if their rows have one shape.
    ///
    /// # Errors
    /// The error of compiling.
    pub(crate) fn warm_up(&self, sizes: &[usize]) -> Result<()> {
        let types = sizes.iter().map(|&rows| {
            let inputs = self.inputs.iter().map(|(_, t)| {
                let dims = [Dim::Size(rows)].into_iter().chain(t.dims.iter().skip(1).cloned());
                TypeSpec { dtype: t.dtype, dims: dims.collect() }
            });
            inputs.collect::<Vec<TypeSpec>>()
        });
        let is_fixed = |inputs: &Vec<TypeSpec>| inputs.iter().all(|t| t.fixed().is_ok());
        let types: Vec<Vec<TypeSpec>> = types.filter(is_fixed).collect();
        self.predictor.as_ref().map_or(Ok(()), |predictor| predictor.warm_up(types))
    }

    /// Returns true if a batch has several results.
    pub(crate) fn is_partial(&self) -> bool {
        matches!(self.kind, FunctionKind::Partial(_))
    }

    /// Returns the number of rows if the model takes only one.
    ///
    /// # Errors
    /// If an input has no rows, or inputs have different numbers of them.
    pub(crate) fn fixed_rows(&self) -> Result<Option<usize>> {
        let mut fixed: Option<(&str, usize)> = None;
        for (name, t) in &self.inputs {
            match (t.dims.first(), fixed) {
                (None, _) => {
                    let why = format!("input `{name}`: expected an axis of rows, got {t}");
                    return Err(Error::new("serving", why));
                }
                (Some(Dim::Size(n)), Some((other, rows))) if *n != rows => {
                    let why = format!(
                        "expected equal numbers of rows, got {rows} of `{other}`, {n} of `{name}`"
                    );
                    return Err(Error::new("serving", why));
                }
                (Some(Dim::Size(n)), _) => fixed = Some((name, *n)),
                (Some(_), _) => (),
            }
        }
        Ok(fixed.map(|(_, rows)| rows))
    }

    /// Checks the inputs of one request, and returns the number of their rows.
    ///
    /// # Errors
    /// If an input has no rows or another type than the model takes, or inputs have different
    /// numbers of rows.
    pub(crate) fn rows_of(&self, inputs: &[Literal]) -> Result<usize> {
        let invalid = |why: String| Err(Error::new("serving", why));
        if !self.inputs.is_empty() && inputs.len() != self.inputs.len() {
            return invalid(format!("expected {} inputs, got {}", self.inputs.len(), inputs.len()));
        }
        for ((name, want), x) in self.inputs.iter().zip(inputs) {
            if !admits_row(want, x.ty()) {
                return invalid(format!("input `{name}`: expected {want}, got {}", x.ty()));
            }
        }
        let mut rows = inputs.iter().map(|x| x.shape().first());
        match rows.next().flatten() {
            Some(&n) if n > 0 && rows.all(|m| m == Some(&n)) => Ok(n),
            _ => {
                let types: Vec<String> = inputs.iter().map(|x| x.ty().to_string()).collect();
                let want = "expected inputs with one number of rows of at least 1, as axis 0";
                invalid(format!("{want}, got ({})", types.join(", ")))
            }
        }
    }

    /// Runs a batch, and calls `emit` with the results of each request. A panic of the model is an
    /// error.
    ///
    /// # Errors
    /// The error of the model or of `emit`; if the outputs do not have the rows of the batch.
    pub(crate) fn run(
        &self,
        batch: &RowBatch,
        emit: &mut dyn FnMut(Vec<Outputs>) -> Result<()>,
    ) -> Result<()> {
        caught("the model", || match &self.kind {
            FunctionKind::Whole(f) => emit(batch.split(&f(batch)?)?),
            FunctionKind::Partial(f) => f(batch, &mut |outputs| emit(batch.split(&outputs)?)),
        })
    }
}

/// Returns true if `got` has the dtype and the shape of the rows of `want`.
fn admits_row(want: &TypeSpec, got: &Type) -> bool {
    let mut got = got.clone();
    if let (Some(Dim::Size(n)), Some(rows)) = (want.dims.first(), got.shape.first_mut()) {
        *rows = *n;
    }
    want.admits(&got)
}
