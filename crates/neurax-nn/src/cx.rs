//! The context of a layer: variables, the mode, random keys.

use crate::init::{Init, KernelAxes};
use crate::layer_precision::LayerDTypes;
use crate::path_pattern::nearest;
use crate::stored_param::{Adapter, LORA, QuantizedTensor, entry};
use crate::vars::FROZEN;
use crate::{Mode, Params, Vars};
use neurax_tensor::{DType, Dim, Error, IntoShape, Key, Tensor};
use std::fmt;
use std::sync::Arc;

/// The context of one layer in one application of a model. Layers get their parameters, state and
/// random keys from it. The shapes of the inputs are known in `apply`, so that the shape of a
/// parameter is written once, in terms of these.
#[derive(Debug)]
pub struct Cx<'m> {
    path: &'m str,
    mode: &'m Mode,
    source: VariableSource<'m>,
    /// The variables that this application creates or changes.
    new: &'m mut Vars,
    /// The number of random keys that were drawn so far.
    draws: u32,
    /// The dtypes of float parameters, if a [`Policy`](crate::Policy) sets them.
    dtypes: Option<LayerDTypes>,
    /// The functions that change kernels, those of inner layers last.
    kernel_maps: Vec<KernelMap>,
}

/// A function of the name of a parameter, its value and its axes that returns the kernel to use.
#[derive(Clone)]
struct KernelMap(Arc<KernelMapFn>);

type KernelMapFn = dyn Fn(&mut Cx, &str, &Tensor, KernelAxes) -> Tensor;

impl fmt::Debug for KernelMap {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("KernelMap")
    }
}

/// The source of variables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum VariableSource<'m> {
    /// `init`: variables are created with initializers and this key.
    Key(&'m Key),
    /// `summary`: variables are created as zeros, of which only the types matter.
    Types,
    /// `apply`: parameters are looked up here, state in the new variables.
    Vars { params: &'m Params },
}

impl<'m> Cx<'m> {
    pub(crate) fn new(
        path: &'m str,
        mode: &'m Mode,
        source: VariableSource<'m>,
        new: &'m mut Vars,
    ) -> Cx<'m> {
        let kernel_maps = Vec::new();
        Cx { path, mode, source, new, draws: 0, dtypes: None, kernel_maps }
    }

    /// Returns the parameter `name` of this layer. When the model is initialized, `init` creates it
    /// with the given shape; afterwards it must have that shape. `name` must not contain a dot,
    /// because the path of a leaf is `params.<layer>.<name>`.
    ///
    /// Of a parameter with an adapter ([`lora`](crate::lora)), it is the sum; of a quantized one
    /// ([`quantize`](crate::quantize)), the parameter in f32.
    ///
    /// # Errors
    /// The result carries an error if `name` contains a dot, if `shape` is not a list of sizes, or
    /// if the variables lack the parameter or hold one of another shape.
    #[track_caller]
    pub fn param(&mut self, name: &str, shape: impl IntoShape, init: Init) -> Tensor {
        let dims = shape.dims();
        let axes = init.kernel_axes(dims.len());
        let base = self.variable(VariableKind::Param, name, dims, init);
        let full = match self.adapter(name) {
            Some(adapter) if base.error().is_none() => &base + adapter.update_of(&base),
            _ => base,
        };
        let mapped = match self.is_mapped(name) {
            true => {
                let maps = self.kernel_maps.clone();
                maps.iter().rev().fold(full, |kernel, map| (map.0)(self, name, &kernel, axes))
            }
            false => full,
        };
        self.computed(mapped)
    }

    /// Returns true if a function changes the parameter `name`.
    fn is_mapped(&self, name: &str) -> bool {
        !self.kernel_maps.is_empty() && name.ends_with("kernel")
    }

    /// Runs `f`, in which `map` changes every parameter whose name ends in `kernel`.
    pub(crate) fn with_kernel_map<O>(
        &mut self,
        map: impl Fn(&mut Cx, &str, &Tensor, KernelAxes) -> Tensor + 'static,
        f: impl FnOnce(&mut Cx) -> O,
    ) -> O {
        self.kernel_maps.push(KernelMap(Arc::new(map)));
        let y = f(self);
        self.kernel_maps.pop();
        y
    }

    /// Returns the product of `x` over its last axis and the parameter `name`, a matrix with
    /// `units` columns. It is `x.matmul(cx.param(name, [x.dim(-1), units], init))`, for less if the
    /// parameter has an adapter; if it is quantized dynamically, `x` is quantized as well.
    ///
    /// # Errors
    /// As for [`Cx::param`], the result carries the error.
    #[track_caller]
    pub fn matmul(&mut self, x: &Tensor, name: &str, units: usize, init: Init) -> Tensor {
        let init = init.of_layout(0, 1);
        if self.is_mapped(name) {
            return x.matmul(self.param(name, [x.dim(-1), units], init));
        }
        let y = match (self.quantized(name), x.shape().last()) {
            (Some(q), Some(&inputs)) => q.product(x, [inputs, units]),
            _ => {
                let shape = [x.dim(-1), units];
                let kernel = self.variable(VariableKind::Param, name, shape.dims(), init);
                x.matmul(self.computed(kernel))
            }
        };
        let Some(adapter) = self.adapter(name) else { return y };
        let dropped = match (&adapter.dropout, self.key()) {
            (Some(rate), Some(key)) => {
                let is_kept = key.uniform(x.shape()).ge(rate);
                is_kept.select(x / (1.0 - rate).to(x.dtype()), 0.0)
            }
            _ => x.clone(),
        };
        y + adapter.product(&dropped)
    }

    /// Returns the product of `x` and the transposed parameter `name`, a matrix of the given shape,
    /// for less if the parameter is quantized or has an adapter.
    #[track_caller]
    pub(crate) fn matmul_transposed(
        &mut self,
        x: &Tensor,
        name: &str,
        shape: [usize; 2],
        init: Init,
    ) -> Tensor {
        let y = match self.quantized(name) {
            Some(q) => q.transposed_product(x, shape),
            None => {
                let matrix = self.variable(VariableKind::Param, name, shape.dims(), init);
                x.matmul(self.computed(matrix).swap_axes(0, 1))
            }
        };
        match self.adapter(name) {
            Some(adapter) => y + adapter.transposed_product(x),
            None => y,
        }
    }

    /// Returns the rows of the parameter `name`, a matrix of the given shape, at `indices`. It is
    /// `cx.param(name, shape, init).take(indices, 0)`, for less if the parameter is quantized or
    /// has an adapter.
    ///
    /// # Errors
    /// As for [`Cx::param`], the result carries the error.
    #[track_caller]
    pub fn rows(&mut self, indices: &Tensor, name: &str, shape: [usize; 2], init: Init) -> Tensor {
        let y = match self.quantized(name) {
            Some(q) => self.computed(q.rows(indices, shape)),
            None => {
                let table = self.variable(VariableKind::Param, name, shape.dims(), init);
                self.computed(table).take(indices, 0)
            }
        };
        match self.adapter(name) {
            Some(adapter) if y.error().is_none() => &y + adapter.rows(indices).to(y.dtype()),
            _ => y,
        }
    }

    /// Returns the state `name` of this layer, as the previous call set it with [`Cx::set`]; `init`
    /// creates the first value.
    ///
    /// # Errors
    /// As for [`Cx::param`], the result carries the error.
    #[track_caller]
    pub fn state(&mut self, name: &str, shape: impl IntoShape, init: Init) -> Tensor {
        self.variable(VariableKind::State, name, shape.dims(), init)
    }

    /// Sets the state `name` of this layer to `value` for the next call. Has no effect while the
    /// model is being initialized.
    pub fn set(&mut self, name: &str, value: Tensor) {
        if self.is_applied() {
            self.new.state.entry(self.path.into()).or_default().insert(name.into(), value);
        }
    }

    /// Returns true if the model is applied in training mode.
    pub fn training(&self) -> bool {
        matches!(self.mode, Mode::Train(_))
    }

    /// Returns true if the model is applied to inputs. While variables are created and types are
    /// computed, no values matter, and input axes of any size have sizes that no user has given.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let count = |cx: &mut Cx, [x]: [Tensor; 1]| if cx.is_applied() { x + 1.0 } else { x };
    /// let model = nn::layer("count", [nn::input("x", dims![_])], count).model();
    /// let vars = model.init(key(0), &types![f32[_]])?;
    /// let y = model.apply(&vars, tensor([1.0, 2.0]), &Mode::Eval);
    /// assert_eq!(y.y().to_vec::<f32>()?, [2.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn is_applied(&self) -> bool {
        matches!(self.source, VariableSource::Vars { .. })
    }

    /// Returns a random key for this layer, a different one at each call, or `None` in evaluation
    /// mode.
    ///
    /// The key is derived from the key of the mode and the path of the layer, so it does not change
    /// if other layers are added or removed.
    pub fn key(&mut self) -> Option<Key> {
        let Mode::Train(key) = self.mode else { return None };
        self.draws += 1;
        Some(derive(key, self.path).fold_in(self.draws))
    }

    /// Returns the path of this layer in its model, e.g. `dense_1`.
    pub fn path(&self) -> &str {
        self.path
    }

    /// Calls `f` with the context of a part of this layer, whose variables are below `name`: a
    /// parameter `kernel` has the path `<layer>.<name>.kernel`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let two = |cx: &mut Cx, [x]: [Tensor; 1]| {
    ///     let y = cx.within("first", |cx| Dense::new(4).apply(cx, [x]));
    ///     cx.within("second", |cx| Dense::new(2).apply(cx, [y]))
    /// };
    /// let model = nn::layer("two", [nn::input("x", dims![_, 3])], two);
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["two.first", "two.second"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn within<T>(&mut self, name: &str, f: impl FnOnce(&mut Cx) -> T) -> T {
        let path = format!("{}.{name}", self.path);
        let new = &mut *self.new;
        let mut part = Cx {
            path: &path,
            mode: self.mode,
            source: self.source,
            new,
            draws: self.draws,
            kernel_maps: self.kernel_maps.clone(),
            dtypes: self.dtypes,
        };
        let result = f(&mut part);
        // A part that is used twice draws other numbers.
        self.draws = part.draws;
        result
    }

    #[track_caller]
    fn variable(&mut self, kind: VariableKind, name: &str, dims: Vec<Dim>, init: Init) -> Tensor {
        let shape = match sizes(&dims) {
            Ok(shape) if !name.contains('.') => shape,
            Ok(_) => {
                let why = "expected a name without a dot, which separates layer and name in files";
                return kind.fail(format!("{why}, got `{name}`"));
            }
            Err(why) => return kind.fail(format!("`{name}`: {why}")),
        };
        if let Some(t) = self.found(kind, name, &shape) {
            return match t.error() {
                None if *t.shape() != shape[..] => {
                    let got = t.shape();
                    kind.fail(format!(
                        "expected `{name}` of shape {shape:?}, got {got}; the variables are those \
                         of another model, or of inputs of another size"
                    ))
                }
                _ => t,
            };
        }
        let value = match self.source {
            VariableSource::Key(key) => init.make(&derive(&derive(key, self.path), name), &shape),
            VariableSource::Types => init.zeros(&shape),
            VariableSource::Vars { params } => {
                return kind.fail(format!("missing `{name}`; {}", self.other_variables(params)));
            }
        };
        let value = match kind {
            VariableKind::Param => if_float(value, self.dtypes.and_then(|dtypes| dtypes.params)),
            VariableKind::State => value,
        };
        let layer = kind.of_mut(self.new).entry(self.path.into()).or_default();
        layer.insert(name.into(), value.clone());
        value
    }

    /// Returns what to do about variables in which one of this layer is missing.
    fn other_variables(&self, params: &Params) -> String {
        if params.is_empty() {
            return "create the variables with `init` of this model".into();
        }
        let layers: Vec<String> = params.keys().cloned().collect();
        format!(
            "the variables are those of another model, with the layers {}; load a checkpoint with \
             `Vars::load_renamed`, or create what is missing with `Model::init_missing`",
            nearest(&layers, self.path)
        )
    }

    /// Returns a frozen parameter of this layer.
    fn frozen(&self, name: &str) -> Option<Tensor> {
        self.new.state.get(FROZEN)?.get(&format!("{}.{name}", self.path)).cloned()
    }

    /// Returns a variable that exists. While the model is initialized, earlier calls of a shared
    /// layer have created its variables.
    fn found(&self, kind: VariableKind, name: &str, shape: &[usize]) -> Option<Tensor> {
        let of = |vars: &Params| vars.get(self.path)?.get(name).cloned();
        match (kind, self.source) {
            (VariableKind::State, _) => of(&self.new.state),
            (VariableKind::Param, VariableSource::Key(_) | VariableSource::Types) => {
                of(&self.new.params)
            }
            (VariableKind::Param, VariableSource::Vars { params }) => {
                let quantized = || Some(self.quantized(name)?.dequantized(shape));
                of(params).or_else(|| self.frozen(name)).or_else(quantized)
            }
        }
    }

    /// Returns the adapter of a parameter of this layer.
    fn adapter(&self, name: &str) -> Option<Adapter> {
        let VariableSource::Vars { params } = self.source else { return None };
        let path = format!("{}.{name}", self.path);
        let options = self.new.state.get(&entry(LORA, &path))?;
        let matrices = ["a", "b"].map(|suffix| {
            let name = format!("{name}_lora_{suffix}");
            let own = params.get(self.path).and_then(|vars| vars.get(&name)).cloned();
            own.or_else(|| self.frozen(&name))
        });
        Some(Adapter::new(&path, matrices, options))
    }

    /// Returns a quantized parameter of this layer.
    fn quantized(&self, name: &str) -> Option<QuantizedTensor> {
        let VariableSource::Vars { .. } = self.source else { return None };
        QuantizedTensor::of_entry(&self.new.state, &format!("{}.{name}", self.path))
    }

    /// Converts a float parameter to the dtype in which the layer computes.
    fn computed(&self, x: Tensor) -> Tensor {
        if_float(x, self.dtypes.map(|dtypes| dtypes.compute))
    }

    /// Sets the dtypes of float parameters.
    pub(crate) fn set_dtypes(&mut self, dtypes: LayerDTypes) {
        self.dtypes = Some(dtypes);
    }
}

/// Converts a float to `dtype`, if it is not `None`.
fn if_float(x: Tensor, dtype: Option<DType>) -> Tensor {
    match dtype {
        Some(dtype) if x.error().is_none() && x.dtype().is_float() => x.to(dtype),
        _ => x,
    }
}

#[derive(Clone, Copy)]
enum VariableKind {
    Param,
    State,
}

impl VariableKind {
    fn of_mut(self, vars: &mut Vars) -> &mut Params {
        match self {
            VariableKind::Param => &mut vars.params,
            VariableKind::State => &mut vars.state,
        }
    }

    #[track_caller]
    fn fail(self, why: String) -> Tensor {
        let op = match self {
            VariableKind::Param => "param",
            VariableKind::State => "state",
        };
        Tensor::from_error(Error::new(op, why))
    }
}

fn sizes(dims: &[Dim]) -> Result<Vec<usize>, String> {
    let size = |d: &Dim| match d {
        Dim::Size(n) => Ok(*n),
        other => Err(format!("expected a size for each axis, got {other:?}")),
    };
    dims.iter().map(size).collect()
}

/// Derives a key for `name` by folding in a 64-bit hash, which makes collisions improbable.
pub(crate) fn derive(key: &Key, name: &str) -> Key {
    // FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): it is the same on every machine, unlike
    // the hashers of std.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ b as u64).wrapping_mul(0x0100_0000_01b3));
    key.fold_in((hash >> 32) as u32).fold_in(hash as u32)
}
