//! Traces of the function that is exported.
//!
//! The IR has static shapes. A function with open sizes is therefore traced several times, with
//! different numbers for each of them, which [`OpenShapes`] chooses: two determine how a number
//! depends on a size, and the others check it.
//!
//! ```text
//! f32[_, 64]          traced with f32[5, 64], f32[8, 64], f32[13, 64], .. f32[1009, 64]
//! f32[_, 64, "time"]  traced with f32[5, 64, 29], f32[8, 64, 34], ..
//! ```

use super::captures::{CapturingTrace, shared_captures};
use super::composites::has_operator;
use super::draft::Draft;
use super::emitter::Emitter;
use super::float_type::{narrow_weight, with_float};
use super::inference::NamedGraphs;
use super::merge::merged;
use super::model_file::OpenSizes;
use super::open_shapes::{OpenShapes, SampleSizes, TRACE_COUNT};
use super::options::Exporter;
use super::patterns;
use super::size_formula::OpenSize;
use crate::param_names::free_name;
use neurax_ir::{DType, Error, Graph, Literal, Result, composite::Composite, passes};
use neurax_nn::{Mode, Net, Params};
use neurax_tensor::{Example, Jit, Tensor, Tree, TypeSpec, jit};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A traced function.
#[derive(Debug)]
pub(super) struct TracedModel {
    /// The graph of each trace.
    graphs: Vec<Graph>,
    /// The names of the inputs of the graphs, weights included.
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// The weights by the names of their inputs.
    weights: Vec<(String, Tensor)>,
    open: Vec<OpenSize>,
    /// The divisors that the open sizes of all traces have because of their scale.
    unchecked: usize,
    /// The inputs and axes that have an open size, with its index.
    open_axes: Vec<(String, usize, usize)>,
}

impl Exporter {
    /// Traces a network, with numbers of `sizes` for open sizes.
    ///
    /// # Errors
    /// If the network cannot be traced with these sizes. The error inside is that of traces of
    /// which no model can be made.
    #[track_caller]
    pub(super) fn traced_net(
        &self,
        net: &Net,
        types: &[TypeSpec],
        sizes: SampleSizes,
    ) -> Result<Result<TracedModel>> {
        let (model, vars) = (net.model.clone(), net.vars.clone());
        let names: Vec<String> = model.outputs().map(String::from).collect();
        let wanted = names.clone();
        let f = jit(move |(params, state, xs): (Params, Params, Vec<Tensor>)| {
            let applied = model.apply_with(&params, &state, xs, &Mode::Eval);
            wanted.iter().map(|name| applied[name.as_str()].clone()).collect::<Vec<Tensor>>()
        });
        let of_vars = |params: &Params| -> Vec<(String, Tensor)> {
            let names = params.iter().flat_map(|(layer, of_layer)| {
                of_layer.iter().map(move |(name, x)| (variable_name(layer, name), x.clone()))
            });
            names.collect()
        };
        let variables = [of_vars(&vars.params), of_vars(&vars.state)].concat();
        let own: Vec<String> = net.model.inputs().map(String::from).collect();
        if own.len() != types.len() {
            let list = own.join(", ");
            let why = format!("expected {} types ({list}), got {}", own.len(), types.len());
            return Err(Error::new("onnx export", why));
        }
        let inputs = chosen("inputs", &self.input_names, own)?;
        let trace = |types: &[TypeSpec]| {
            let xs = types.iter().map(placeholder).collect::<Result<Vec<Tensor>>>()?;
            f.trace(&(vars.params.clone(), vars.state.clone(), xs))
        };
        let mut shapes = OpenShapes::of(&inputs, types, sizes)?;
        let traces = shapes.traced(&trace)?;
        let outputs = chosen("outputs", &self.output_names, names)?;
        Ok(self.traced_model(traces, variables, inputs, outputs, shapes))
    }

    /// Traces a function as [`Exporter::traced_net`] traces a network.
    #[track_caller]
    pub(super) fn traced_fn<A: Tree, O: Tree, const N: usize>(
        &self,
        f: &Jit<'_, A, O>,
        types: &[TypeSpec; N],
        sizes: SampleSizes,
    ) -> Result<Result<TracedModel>>
    where
        [TypeSpec; N]: Example<A>,
    {
        let inputs = chosen("inputs", &self.input_names, numbered("x", N))?;
        let mut shapes = OpenShapes::of(&inputs, types, sizes)?;
        let trace = |types: &[TypeSpec]| {
            let mut types = types.iter().cloned();
            let missing = TypeSpec { dtype: DType::F32, dims: vec![] };
            f.trace(std::array::from_fn::<TypeSpec, N, _>(|_| {
                types.next().unwrap_or_else(|| missing.clone())
            }))
        };
        let traces = shapes.traced(&trace)?;
        let count = traces.first().map_or(0, |(graph, _)| graph.outputs().len());
        let outputs = chosen("outputs", &self.output_names, numbered("y", count))?;
        Ok(self.traced_model(traces, vec![], inputs, outputs, shapes))
    }

    /// Returns traces whose inputs are variables, then inputs, then captured tensors.
    fn traced_model(
        &self,
        traces: Vec<CapturingTrace>,
        variables: Vec<(String, Tensor)>,
        inputs: Vec<String>,
        outputs: Vec<String>,
        shapes: OpenShapes,
    ) -> Result<TracedModel> {
        let (graphs, captured) = shared_captures(traces, &shapes.open)?;
        let mut taken: HashSet<String> = inputs.iter().chain(&outputs).cloned().collect();
        if taken.len() < inputs.len() + outputs.len() {
            let why = "expected different names of inputs and outputs; use `input_names`";
            return Err(Error::new("onnx export", why));
        }
        let mut named = |(name, x): (String, Tensor)| (free_name(&name, &mut taken), x);
        let variables: Vec<(String, Tensor)> = variables.into_iter().map(&mut named).collect();
        let captured = captured.into_iter().map(|x| ("captured".to_string(), x));
        let captured: Vec<(String, Tensor)> = captured.map(&mut named).collect();
        let name = |(name, _): &(String, Tensor)| name.clone();
        let names = variables.iter().map(name).chain(inputs.iter().cloned());
        let names: Vec<String> = names.chain(captured.iter().map(name)).collect();
        let weights = [variables, captured].concat();
        let simplified = |graph: &Graph| {
            let graph = passes::discard_rules(graph)?;
            let graph = passes::dce(&passes::cse(&passes::simplify(&graph)?)?)?;
            let has_operator = |op: &Composite| has_operator(op, self.opset);
            Ok(passes::recognize(&graph, &has_operator)?.graph)
        };
        let graphs = graphs.iter().map(simplified).collect::<Result<_>>()?;
        let named = NamedGraphs { graphs, names, weights };
        let named = match self.is_for_inference {
            true => named.for_inference(&mut |name| free_name(name, &mut taken))?,
            false => named,
        };
        let NamedGraphs { mut graphs, names, weights } = named;
        if let Some(dtype) = self.float {
            let narrow = |g: &Graph| with_float(g, dtype, &|i| inputs.contains(&names[i]));
            graphs = graphs.iter().map(narrow).collect::<Result<_>>()?;
        }
        let OpenShapes { open, axes: open_axes, unchecked, .. } = shapes;
        Ok(TracedModel { graphs, inputs: names, outputs, weights, open, unchecked, open_axes })
    }
}

impl TracedModel {
    /// Returns the nodes of the function, and the open sizes of its inputs and outputs.
    ///
    /// # Errors
    /// If an operation has no ONNX form, or a number depends on an open size in a way that cannot
    /// be computed.
    pub fn draft(&self, exporter: &Exporter) -> Result<(Draft, OpenSizes)> {
        let (draft, mut sizes) = self.merged(exporter, &self.graphs)?;
        for (input, axis, open) in &self.open_axes {
            sizes.insert((input.as_str().into(), *axis), self.open[*open].name.clone());
        }
        Ok((draft, sizes))
    }

    /// Returns true if the traces without those of large sizes are one model.
    pub fn fits_small_sizes(&self, exporter: &Exporter) -> bool {
        let small = self.graphs.get(..TRACE_COUNT);
        small.is_some_and(|graphs| self.merged(exporter, graphs).is_ok())
    }

    fn merged(&self, exporter: &Exporter, graphs: &[Graph]) -> Result<(Draft, OpenSizes)> {
        let draft = |graph: &Graph| {
            let emitter = Emitter::new(exporter.opset);
            let mut draft = emitter.model(graph, &self.inputs, &self.outputs)?;
            patterns::apply(&mut draft, exporter.opset, &self.weights);
            Ok(draft)
        };
        let drafts = graphs.iter().map(draft).collect::<Result<Vec<Draft>>>()?;
        merged(drafts, &self.open, self.unchecked)
    }

    /// Returns the values of the weights that the graphs take, in their dtypes.
    ///
    /// # Errors
    /// If a weight carries an error.
    pub fn weights(&self) -> Result<HashMap<Arc<str>, Literal>> {
        let types = self.graphs.first().map(Graph::input_types).unwrap_or_default();
        let dtypes: HashMap<&str, DType> =
            self.inputs.iter().map(String::as_str).zip(types.iter().map(|t| t.dtype)).collect();
        let value = |(name, x): &(String, Tensor)| {
            let dtype = dtypes.get(name.as_str()).copied().unwrap_or(x.dtype());
            let x = if dtype == x.dtype() { x.clone() } else { narrow_weight(x, dtype)? };
            Ok((Arc::from(name.as_str()), x.to_literal()?))
        };
        self.weights.iter().map(value).collect()
    }
}

/// Returns a tensor of type `t` whose value is not read.
fn placeholder(t: &TypeSpec) -> Result<Tensor> {
    let t = t.fixed()?;
    Ok(Tensor::zeros_of(t.dtype, &t.shape))
}

/// Returns the name of a variable in files. The importer splits it at the last dot.
fn variable_name(layer: &str, name: &str) -> String {
    match name.contains('.') || layer.is_empty() {
        true => name.to_string(),
        false => format!("{layer}.{name}"),
    }
}

/// Returns `x`, or `x0`, `x1`, ..
fn numbered(name: &str, count: usize) -> Vec<String> {
    match count {
        1 => vec![name.into()],
        _ => (0..count).map(|i| format!("{name}{i}")).collect(),
    }
}

/// Returns the names that the user gave, or else the `own` ones.
fn chosen(what: &str, given: &[String], own: Vec<String>) -> Result<Vec<String>> {
    match given.len() {
        0 => Ok(own),
        n if n == own.len() => Ok(given.to_vec()),
        n => {
            let why =
                format!("expected {} names of {what}, got {n}: {}", own.len(), given.join(", "));
            Err(Error::new("onnx export", why))
        }
    }
}
