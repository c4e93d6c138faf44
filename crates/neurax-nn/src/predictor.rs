//! [`Predictor`]: a network that is compiled for inference.
//!
//! The problem: a program runs one shape, and a server gets several: one row, a full batch, texts
//! of many lengths. The method: the types of the inputs are a pattern, in which `_` is any size. A
//! pattern without `_` is compiled immediately, and a call finds its only program without a lock or
//! a lookup. Otherwise a call looks its types up in a bounded cache, which compiles what is missing
//! and drops the least recently used program.
//!
//! ```text
//! types![f32[1, 30]]    one program, compiled by `Net::predictor`
//! types![f32[_, 30]]    f32[1, 30] -> program, f32[64, 30] -> program, ..
//! ```
//!
//! # Invariants
//!
//! - Programs do not hold weights: the variables, and what is computed from them alone, are
//!   arguments of all programs. A backend that keeps weights in another layout has to share these
//!   as well.
//! - Only types that fit the pattern get into the cache, so wrong inputs do not drop a program.
//! - A program is in no other cache: dropping it frees its memory.

use crate::predictor_state::{FoundProgram, PredictorState};
use crate::tensor_list::TensorList;
use crate::{InputTypes, Inputs, Net, Vars};
use neurax_tensor::runtime::Cache;
use neurax_tensor::{Error, Place, Result, Tensor, Tree, Type, TypeSpec};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// The number of programs that a predictor keeps, unless [`Predictor::max_programs`] sets another
/// one: for the sizes 1, 2, 4, .. 64 of a batch there are 7, and 4 lengths of a text make 28.
const DEFAULT_MAX_PROGRAMS: usize = 32;

/// A network that is compiled for inference; see [`Net::predictor`].
///
/// Any number of threads may call it. Clones are cheap: they share programs and weights.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3]).dense(2);
/// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
/// let predictor = net.predictor(types![f32[_, 3]])?;      // any number of rows
/// assert_eq!(predictor.run(Tensor::ones([1, 3]))?.shape(), [1, 2]);
/// assert_eq!(predictor.run(Tensor::ones([5, 3]))?.shape(), [5, 2]);
/// assert_eq!(predictor.memory().programs, 2);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Predictor(Arc<PredictorState>);

/// The memory of a predictor, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictorMemory {
    /// The variables of the network and what is computed from them alone, which all programs and
    /// clones share; tensors that share memory count once.
    pub weights: usize,
    /// The intermediate values of one call of each program; `None` if the device does not know. The
    /// programs keep this memory, and more if threads call the same program simultaneously.
    pub scratch: Option<usize>,
    /// The number of compiled programs.
    pub programs: usize,
}

impl Net {
    /// Compiles the model for inference on inputs of the given types. `_` is any size: then the
    /// model is compiled for each shape when it is first seen, or named by
    /// [`Predictor::warm_up`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let predictor = net.predictor(types![f32[1, 3]])?;
    /// let x = tensor([[1.0, 2.0, 3.0]]);
    /// assert_eq!(predictor.run(&x)?.to_vec::<f32>()?, net.apply(x).y().to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the types do not fit the model, or a layer cannot be applied to its inputs.
    #[track_caller]
    pub fn predictor(&self, types: impl InputTypes) -> Result<Predictor> {
        let at = Location::caller();
        Predictor::new(self, &types, at).map_err(|e| e.at(&Place::from(at)))
    }
}

impl Predictor {
    /// Compiles `net` as [`Net::predictor`] does, called at the line `at`.
    pub(crate) fn new(
        net: &Net,
        types: &dyn InputTypes,
        at: &'static Location<'static>,
    ) -> Result<Predictor> {
        let types = net.model.in_model_order(types.input_types()?)?;
        net.model.placeholders(&types)?.iter().try_for_each(|x| x.ty().map(|_| ()))?;
        let mut state = PredictorState {
            net: net.clone(),
            inputs: net.model.inputs().map(String::from).zip(types).collect(),
            outputs: net.model.outputs().map(String::from).collect(),
            at,
            constants: Arc::default(),
            only: None,
            programs: Cache::new(DEFAULT_MAX_PROGRAMS),
        };
        let fixed: Result<Vec<Type>> = state.inputs.iter().map(|(_, t)| t.fixed()).collect();
        if let Ok(types) = fixed {
            state.only = Some(Arc::new(state.compile(&types)?));
        }
        Ok(Predictor(Arc::new(state)))
    }

    /// Sets the number of programs that are kept, 32 by default and at least 1: a call with types
    /// for which there is none then drops the least recently used one. Programs of open types that
    /// were compiled already are compiled again.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let predictor = net.predictor(types![f32[_, 3]])?.max_programs(2);
    /// for rows in 1..10 {
    ///     assert_eq!(predictor.run(Tensor::ones([rows, 3]))?.shape(), [rows, 2]);
    /// }
    /// assert_eq!(predictor.memory().programs, 2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn max_programs(&self, count: usize) -> Predictor {
        let s = &self.0;
        Predictor(Arc::new(PredictorState {
            net: s.net.clone(),
            inputs: s.inputs.clone(),
            outputs: s.outputs.clone(),
            at: s.at,
            constants: s.constants.clone(),
            only: s.only.clone(),
            programs: Cache::new(count),
        }))
    }

    /// Computes the first output; most models have only this one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let predictor = net.predictor(types![f32[1, 3]])?;
    /// assert_eq!(predictor.run(Tensor::ones([1, 3]))?.shape(), [1, 2]);
    /// let e = predictor.run(Tensor::ones([1, 4])).unwrap_err();
    /// assert_eq!(e.message(), "input `x`: expected f32[1, 3], got f32[1, 4]");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the inputs do not have the types of the predictor or carry an error, or a layer cannot be
    /// applied to them.
    #[track_caller]
    pub fn run(&self, inputs: impl Inputs) -> Result<Tensor> {
        let outputs = self.results(&inputs)?.0;
        outputs.into_iter().next().ok_or_else(|| Error::bug("a model has no output"))
    }

    /// Computes all outputs by name.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 3]));
    /// let both = nn::concat([&a, &b], -1);
    /// let model = nn::Model::new([("left", &both.dense(1)), ("right", &both.dense(4))]);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 2], f32[_, 3]])?);
    ///
    /// let predictor = net.predictor(types![f32[1, 2], f32[1, 3]])?;
    /// let y = predictor.run_all([("b", Tensor::ones([1, 3])), ("a", Tensor::ones([1, 2]))])?;
    /// assert_eq!(y["right"].shape(), [1, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Predictor::run`].
    #[track_caller]
    pub fn run_all(&self, inputs: impl Inputs) -> Result<BTreeMap<String, Tensor>> {
        let outputs = self.results(&inputs)?.0;
        Ok(self.0.outputs.iter().cloned().zip(outputs).collect())
    }

    /// Computes all outputs into `outs`, in the model's order. An output keeps its memory if it has
    /// the type of the result and no other tensor shares it; otherwise it is replaced. Calls do not
    /// allocate once they are warm, as [`run_into`](neurax_tensor::Compiled::run_into) says, for up
    /// to four inputs without names or with names in the model's order.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let predictor = net.predictor(types![f32[1, 3]])?;
    /// let (x, mut y) = (Tensor::ones([1, 3]), Tensor::zeros([1, 2]));
    /// predictor.run_into(&x, &mut [&mut y])?;
    /// assert_eq!(y.to_vec::<f32>()?, predictor.run(&x)?.to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Predictor::run`], and if `outs` has another length than the model has outputs.
    #[track_caller]
    pub fn run_into(&self, inputs: impl Inputs, outs: &mut [&mut Tensor]) -> Result<()> {
        let at = Location::caller();
        let (program, xs) = self.find(&inputs).map_err(|e| e.at(&Place::from(at)))?;
        let done = program.run_into(&xs, outs);
        done.map_err(|e| self.0.explained(&xs, e).at(&Place::from(at)))
    }

    /// Compiles the programs for inputs of `types`, which have fixed sizes, so that their first
    /// calls need not.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let predictor = net.predictor(types![f32[_, 3]])?;
    /// predictor.warm_up([types![f32[1, 3]], types![f32[64, 3]]])?;
    /// assert_eq!(predictor.memory().programs, 2);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If a size is open, or types do not fit those of the predictor.
    #[track_caller]
    pub fn warm_up<T: InputTypes>(&self, types: impl IntoIterator<Item = T>) -> Result<()> {
        let at = Location::caller();
        for types in types {
            self.0.warm_up(&types).map_err(|e| e.at(&Place::from(at)))?;
        }
        Ok(())
    }

    /// Returns the memory of the weights and of the programs.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let memory = net.predictor(types![f32[1, 3]])?.memory();
    /// assert_eq!((memory.weights, memory.programs), (4 * (3 * 2 + 2), 1));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn memory(&self) -> PredictorMemory {
        let mut programs = self.0.programs.values();
        programs.extend(self.0.only.clone());
        PredictorMemory {
            weights: bytes_of(&self.0.net.vars).saturating_add(self.0.constants.bytes()),
            scratch: programs.iter().map(|p| p.call_bytes()).sum(),
            programs: programs.len(),
        }
    }

    /// Returns the names of the inputs and the types that they may have, in order.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &TypeSpec)> {
        self.0.inputs.iter().map(|(name, t)| (name.as_str(), t))
    }

    /// Returns the names of the outputs, in order.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.0.outputs.iter().map(String::as_str)
    }

    /// Computes the outputs in the model's order.
    #[track_caller]
    fn results(&self, inputs: &dyn Inputs) -> Result<TensorList> {
        let at = Location::caller();
        let (program, xs) = self.find(inputs).map_err(|e| e.at(&Place::from(at)))?;
        program.run(xs).map_err(|e| match self.0.in_order(inputs) {
            Ok(xs) => self.0.explained(&xs, e).at(&Place::from(at)),
            Err(e) => e,
        })
    }

    /// Returns the inputs in the model's order, and the program for them.
    fn find(&self, inputs: &dyn Inputs) -> Result<(FoundProgram<'_>, TensorList)> {
        let xs = self.0.in_order(inputs)?;
        match &self.0.only {
            // It compares the types.
            Some(program) => Ok((FoundProgram::Only(program), xs)),
            None => {
                let types = xs.0.iter().map(Tensor::ty).collect::<Result<SmallVec<[Type; 4]>>>()?;
                Ok((FoundProgram::Cached(self.0.program(&types)?), xs))
            }
        }
    }
}

/// Returns the bytes of variables; those that share memory count once.
fn bytes_of(vars: &Vars) -> usize {
    let (mut seen, mut bytes) = (HashSet::new(), 0);
    vars.each_leaf(|x| {
        if let Ok(n) = x.ty().and_then(|t| t.bytes())
            && seen.insert(x.address())
        {
            bytes += n;
        }
    });
    bytes
}

impl fmt::Debug for Predictor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let types: Vec<String> = self.inputs().map(|(name, t)| format!("{name}: {t}")).collect();
        write!(f, "Predictor({}; {} programs)", types.join(", "), self.memory().programs)
    }
}
