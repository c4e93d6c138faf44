//! [`ServingCore`]: a serving without its pre- and postprocessing, which alone have the types of
//! the user. Its functions are compiled once, and not in each program that serves a model.

use crate::batch_function::BatchFunction;
use crate::panics::caught;
use crate::pending_outputs::no_result;
use crate::reply_slot::Outputs;
use crate::row_batch::{BatchOrigin, RowBatch};
use crate::serving_options::ServingOptions;
use neurax_tensor::{Literal, Result, Tensor};
use std::ops::Deref;
use std::sync::Arc;

/// The model of a serving, its options and its batch key.
#[derive(Clone)]
pub(crate) struct ServingCore {
    pub(crate) function: BatchFunction,
    pub(crate) options: ServingOptions,
    key: Option<Arc<BatchKey>>,
}

/// The key of the preprocessed inputs of a request.
pub(crate) type BatchKey = dyn Fn(&[Tensor]) -> u64 + Send + Sync;

/// A request that fits the model.
pub(crate) struct CheckedRequest {
    pub(crate) inputs: Vec<Literal>,
    pub(crate) rows: usize,
    pub(crate) key: u64,
}

/// A shared core. It is behind a trait, so that its destructor is compiled here as well: that of a
/// predictor includes those of networks and tensors.
#[derive(Clone)]
pub(crate) struct SharedCore(Arc<dyn HasCore>);

trait HasCore: Send + Sync {
    fn core(&self) -> &ServingCore;
}

impl HasCore for ServingCore {
    fn core(&self) -> &ServingCore {
        self
    }
}

impl Deref for SharedCore {
    type Target = ServingCore;
    fn deref(&self) -> &ServingCore {
        self.0.core()
    }
}

impl SharedCore {
    pub(crate) fn new(function: BatchFunction) -> SharedCore {
        SharedCore(Arc::new(ServingCore {
            function,
            options: ServingOptions::default(),
            key: None,
        }))
    }

    /// Returns the core with changed options.
    pub(crate) fn with_options(&self, set: &mut dyn FnMut(&mut ServingOptions)) -> SharedCore {
        let mut core = ServingCore::clone(self);
        set(&mut core.options);
        SharedCore(Arc::new(core))
    }

    /// Returns the core with a batch key.
    pub(crate) fn with_key(&self, key: Arc<BatchKey>) -> SharedCore {
        SharedCore(Arc::new(ServingCore { key: Some(key), ..ServingCore::clone(self) }))
    }
}

impl ServingCore {
    /// Runs the inputs of one request as a batch without others. Returns the last result.
    pub(crate) fn run(&self, inputs: &[Tensor]) -> Result<Outputs> {
        let mut last = None;
        self.run_inline(inputs, &mut |outputs| last = Some(outputs))?;
        last.ok_or_else(no_result)
    }

    /// Runs the inputs of one request as a batch without others. Returns all results.
    pub(crate) fn run_all(&self, inputs: &[Tensor]) -> Result<Vec<Outputs>> {
        let mut all = Vec::new();
        self.run_inline(inputs, &mut |outputs| all.push(outputs))?;
        Ok(all)
    }

    /// Runs one request as a batch, and calls `emit` with its results.
    fn run_inline(&self, inputs: &[Tensor], emit: &mut dyn FnMut(Outputs)) -> Result<()> {
        let core = self.checked()?;
        let CheckedRequest { inputs, rows, key } = core.check(inputs)?;
        let (size, origin) = (core.options.size_for(rows)?, BatchOrigin { key, partition: 0 });
        let batch = RowBatch::new(&[&inputs], vec![rows], size, origin)?;
        self.function.run(&batch, &mut |parts| {
            parts.into_iter().for_each(&mut *emit);
            Ok(())
        })
    }

    /// Returns the core with all sizes of batches in its options.
    ///
    /// # Errors
    /// If an option is invalid.
    pub(crate) fn checked(&self) -> Result<ServingCore> {
        let options = self.options.checked(self.function.fixed_rows()?)?;
        Ok(ServingCore { options, ..self.clone() })
    }

    /// Checks that the inputs of a request fit the model, whose options were checked.
    ///
    /// # Errors
    /// If they do not, or carry an error; the panic of the batch key.
    pub(crate) fn check(&self, inputs: &[Tensor]) -> Result<CheckedRequest> {
        let key = match &self.key {
            Some(key) => caught("the batch key", || Ok(key(inputs)))?,
            None => 0,
        };
        let inputs = inputs.iter().map(Tensor::to_literal).collect::<Result<Vec<_>>>()?;
        let rows = self.function.rows_of(&inputs)?;
        self.options.size_for(rows)?;
        Ok(CheckedRequest { inputs, rows, key })
    }
}
