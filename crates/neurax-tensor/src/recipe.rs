//! Values that nothing traced goes into: `zeros`, `arange`, `eye`, random numbers of a concrete
//! key.
//!
//! A recipe is a small closed graph with small concrete arguments. It is computed when its value is
//! needed, and recorded as equations when it meets a traced value, so that `Tensor::zeros(..)`
//! inside a jitted function costs no captured memory.

use crate::{
    Error, Result, Tensor, Type,
    device::{Device, default_device},
    tensor::{At, Repr},
};
use neurax_ir::{Graph, Place};
use neurax_runtime::Buffer;
use std::sync::{Arc, OnceLock};

pub(crate) struct Recipe {
    /// One output.
    pub graph: Graph,
    /// Concrete tensors.
    pub args: Vec<Tensor>,
    pub ty: Type,
    /// Does it read a named axis, so that it has a value only inside `vmap`?
    pub bound: bool,
    value: OnceLock<Result<Buffer>>,
    at: At,
}

impl Recipe {
    /// A tensor for the only output of `graph`.
    pub fn tensor(graph: Graph, args: Vec<Tensor>, at: At) -> Tensor {
        let bound = graph.eqns().iter().any(|e| e.op.uses_axis(None));
        let Some(&out) = graph.outputs().first() else {
            return Tensor::fail("recipe", "the graph has no output", at);
        };
        let ty = graph.ty(out).clone();
        Tensor(Repr::Recipe(Arc::new(Recipe {
            graph,
            args,
            ty,
            bound,
            value: OnceLock::new(),
            at,
        })))
    }

    /// The value, taken out if this is the last reference.
    pub fn into_value(this: Arc<Recipe>, device: &Device) -> Result<Buffer> {
        if default_device().is_ok_and(|d| d != device) {
            return this.compute(device);
        }
        match Arc::try_unwrap(this) {
            Ok(mut r) => match r.value.take() {
                Some(v) => v,
                None => r.compute(device),
            },
            Err(shared) => shared.value.get_or_init(|| shared.compute(device)).clone(),
        }
    }

    pub fn address(&self) -> usize {
        let Ok(device) = default_device() else { return 0 };
        self.value.get_or_init(|| self.compute(device)).as_ref().map_or(0, Buffer::address)
    }

    fn compute(&self, device: &Device) -> Result<Buffer> {
        let run = || {
            let args = self
                .args
                .iter()
                .map(|x| x.clone().into_buffer("recipe", device))
                .collect::<Result<Vec<_>>>()?;
            device
                .compile(&self.graph)?
                .run(args)?
                .pop()
                .ok_or_else(|| Error::new("recipe", "the program has no output"))
        };
        run().map_err(|e: Error| e.at(&Place::Source(self.at)))
    }
}
