//! Imported models as networks: parameters, layers and inputs of `neurax-nn`.
//!
//! Each node of the file is a layer, and each initializer, or `Constant`, of several floats a
//! parameter: `conv1.weight` is the parameter `weight` of the layer `conv1`. A single float is one
//! if it is a weight by its position ([`crate::single_weights`]). Integers, bools and other single
//! numbers are constants of the layers, as are all in bodies and functions. A network can be
//! trained, changed and taken apart like one that was written with layers.
//!
//! Random numbers come from the key of training. In evaluation, a network is a function of its
//! inputs: a node that draws numbers without a seed is an error, and `Dropout` is the identity.
//!
//! A parameter whose value decides a shape (the scales of `Resize`) has the value of the file
//! there, as a shape cannot be trained.

use crate::call::RuleFailure;
use crate::draw_keys::LayerKeys;
use crate::evaluate::GraphScope;
use crate::graph::{GraphInput, OnnxGraph, OnnxNode};
use crate::info::declared_type;
use crate::param_names::{free_name, is_shadowed, layer_and_name};
use crate::randomness::draws;
use crate::single_weights::{NodeView, is_parameter, weight_names};
use crate::value::OnnxValue;
use neurax_ir::{Error, Result};
use neurax_nn::init::Init;
use neurax_nn::{Cx, Model, Net, Params, Vars, dynamic_layer, typed_input};
use neurax_tensor::{Dim, Tensor, key};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Returns the network of a graph, with the initializers as its parameters.
///
/// # Errors
/// If an input is no tensor or has no declared rank, or a constant cannot be computed.
pub(crate) fn net(graph: &Arc<OnnxGraph>) -> Result<Net> {
    let (values, constants) = values_of(graph);
    let values = Arc::new(values);
    let mut builder = NetBuilder { graph, values, nodes: HashMap::new(), constants };
    let params = builder.params();
    builder.inputs()?;
    let mut paths: HashSet<String> = params.keys().cloned().collect();
    for (i, node) in graph.nodes.iter().enumerate() {
        builder.layer(i, node, &mut paths)?;
    }
    let given = graph.inputs.iter().filter(|x| !graph.initializers.contains_key(&x.name));
    let inputs = given.filter_map(|input| builder.nodes.get(&input.name).cloned());
    let model = Model::with_inputs(inputs.collect::<Vec<_>>(), builder.outputs()?);
    Ok(model.bind(Vars { params, state: Params::new() }))
}

/// The network so far.
struct NetBuilder<'g> {
    graph: &'g Arc<OnnxGraph>,
    /// The values of the parameters in the file.
    values: Arc<BTreeMap<String, OnnxValue>>,
    /// The values that layers compute, and inputs and parameters.
    nodes: HashMap<String, neurax_nn::Node>,
    /// The values that depend on neither inputs nor parameters.
    constants: HashMap<String, OnnxValue>,
}

impl NetBuilder<'_> {
    /// Adds the layers of the parameters. Returns their values.
    fn params(&mut self) -> Params {
        let mut params = Params::new();
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        // In the order of names, which is that of the parameters of a layer.
        for (name, value) in self.values.iter() {
            let (layer, param) = layer_and_name(name);
            if let OnnxValue::Tensor(x) = value {
                params.entry(layer.into()).or_default().insert(param.into(), x.clone());
                names.entry(layer.into()).or_default().push(name.clone());
            }
        }
        for (layer, values) in &params {
            let nodes = param_layer(layer, values);
            self.nodes.extend(names.remove(layer).unwrap_or_default().into_iter().zip(nodes));
        }
        params
    }

    fn inputs(&mut self) -> Result<()> {
        for input in &self.graph.inputs {
            // An input with an initializer has that value, unless it is a parameter.
            if !self.graph.initializers.contains_key(&input.name) {
                self.nodes.insert(input.name.clone(), input_node(input)?);
            }
        }
        Ok(())
    }

    /// Adds the layer of a node, or computes its outputs if all it needs is constant.
    fn layer(&mut self, i: usize, node: &OnnxNode, paths: &mut HashSet<String>) -> Result<()> {
        if node.constant().is_some_and(|(name, _)| self.is_known(name)) {
            return Ok(());
        }
        let needs: Vec<String> = node.needs().map(String::from).collect();
        let inputs: Vec<String> =
            needs.iter().filter(|name| self.nodes.contains_key(*name)).cloned().collect();
        let draws = draws(node, &|name| self.constants.get(name).cloned());
        if inputs.is_empty() && !draws {
            let mut frame = GraphScope::new(self.graph, [], None, None);
            needs.iter().for_each(|name| self.set_constant(&mut frame, name));
            frame.evaluate(node)?;
            let known = node.outputs.iter().filter_map(|y| Some((y.clone(), frame.get(y)?)));
            self.constants.extend(known.collect::<Vec<_>>());
            return Ok(());
        }
        let layer = OperatorLayer {
            graph: self.graph.clone(),
            values: self.values.clone(),
            index: i,
            draws,
            inputs: inputs.clone(),
            constants: needs
                .iter()
                .filter_map(|name| Some((name.clone(), self.constants.get(name)?.clone())))
                .collect(),
        };
        let nodes: Vec<&neurax_nn::Node> =
            inputs.iter().filter_map(|n| self.nodes.get(n)).collect();
        let path = unique_path(&node.label, paths);
        let outputs =
            dynamic_layer(&path, nodes, node.outputs.len(), move |cx, xs| layer.apply(cx, xs));
        for (name, y) in node.outputs.iter().zip(outputs).filter(|(name, _)| !name.is_empty()) {
            self.nodes.insert(name.clone(), y);
        }
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        self.nodes.contains_key(name) || self.constants.contains_key(name)
    }

    fn set_constant<'f>(&self, frame: &mut GraphScope<'f>, name: &'f str) {
        if let Some(x) = self.constants.get(name) {
            frame.set(name, x.clone());
        }
    }

    fn outputs(&self) -> Result<Vec<(String, neurax_nn::Node)>> {
        let output = |name: &String| match (self.nodes.get(name), self.constants.get(name)) {
            (Some(node), _) => Ok((name.clone(), node.clone())),
            (None, Some(OnnxValue::Tensor(x))) => {
                let x = x.clone();
                let nodes =
                    dynamic_layer(name, [] as [neurax_nn::Node; 0], 1, move |_, _| vec![x.clone()]);
                match nodes.into_iter().next() {
                    Some(node) => Ok((name.clone(), node)),
                    None => Err(Error::bug("a layer without an output")),
                }
            }
            (None, Some(other)) => Err(no_tensor(name, other)),
            (None, None) => Err(invalid(format!("nothing computes the output `{name}`"))),
        };
        // A file may list an output twice, a network may not.
        let (mut taken, mut seen) = (self.graph.outputs.iter().cloned().collect(), HashSet::new());
        let mut outputs = self.graph.outputs.iter().map(output).collect::<Result<Vec<_>>>()?;
        for (name, _) in &mut outputs {
            if !seen.insert(name.clone()) {
                *name = unique_path(name, &mut taken);
            }
        }
        Ok(outputs)
    }
}

/// The function of a layer: one node of the file.
struct OperatorLayer {
    graph: Arc<OnnxGraph>,
    /// The values of the parameters in the file.
    values: Arc<BTreeMap<String, OnnxValue>>,
    index: usize,
    /// True if the node draws random numbers.
    draws: bool,
    /// The names of the inputs of the layer.
    inputs: Vec<String>,
    constants: Vec<(String, OnnxValue)>,
}

impl OperatorLayer {
    fn apply(&self, cx: &mut Cx, xs: &[Tensor]) -> Vec<Tensor> {
        let count = self.graph.nodes[self.index].outputs.len();
        // Where only types are computed, any key will do.
        let key = match cx.is_applied() {
            true if self.draws => cx.key(),
            true => None,
            false => Some(key(0)),
        };
        let keys = LayerKeys::new(cx.is_applied() && !cx.training(), key);
        self.outputs(&keys, xs).unwrap_or_else(|e| vec![Tensor::from_error(e); count])
    }

    fn outputs(&self, keys: &LayerKeys, xs: &[Tensor]) -> Result<Vec<Tensor>> {
        let node = &self.graph.nodes[self.index];
        let mut frame = GraphScope::new(&self.graph, [], None, None);
        frame.traces_branches = true;
        frame.keys = Some(keys);
        self.inputs.iter().zip(xs).for_each(|(name, x)| frame.set(name, x.clone().into()));
        self.constants.iter().for_each(|(name, x)| frame.set(name, x.clone()));
        // Each round gives at least one parameter the value of the file.
        loop {
            match frame.evaluate(node) {
                Ok(()) => break,
                Err(RuleFailure::Error(e)) => return Err(e),
                Err(needs) if self.fix(&mut frame, node, &needs) > 0 => (),
                Err(_) => return Err(self.needs_value(node)),
            }
        }
        let tensor = |name: &String| match frame.get(name) {
            Some(OnnxValue::Tensor(x)) => Ok(x),
            Some(other) => Err(no_tensor(name, &other)),
            // An output that is not wanted.
            None => Ok(Tensor::zeros(())),
        };
        node.outputs.iter().map(tensor).collect()
    }

    /// Gives parameters whose values have to be known the values of the file, and returns their
    /// number.
    fn fix<'f>(
        &'f self,
        frame: &mut GraphScope<'f>,
        node: &'f OnnxNode,
        needs: &RuleFailure,
    ) -> usize {
        let names: Vec<&str> = match needs {
            RuleFailure::NeedsValue(k) => {
                node.inputs.get(*k).map(String::as_str).into_iter().collect()
            }
            _ => node.needs().collect(),
        };
        let is_traced =
            |frame: &GraphScope, name: &str| frame.get(name).is_some_and(|x| x.is_traced());
        let mut count = 0;
        for name in names {
            if let Some(x) = self.values.get(name).filter(|_| is_traced(frame, name)) {
                frame.set(name, x.clone());
                count += 1;
            }
        }
        count
    }

    fn needs_value(&self, node: &OnnxNode) -> Error {
        invalid(format!(
            "{}: the shape of a result depends on a value that is computed by the model; run the \
             model as a `Session`, or make the value an initializer",
            node.label
        ))
    }
}

/// Returns the values of the parameters, and the other constants of the file.
fn values_of(graph: &OnnxGraph) -> (BTreeMap<String, OnnxValue>, HashMap<String, OnnxValue>) {
    let of_nodes = graph.nodes.iter().filter_map(OnnxNode::constant);
    let initializers = graph.initializers.iter().map(|(name, x)| (name.as_str(), x));
    let all = initializers.chain(of_nodes).map(|(name, x)| (name.to_string(), x.clone()));
    let nodes: Vec<NodeView> = graph.nodes.iter().map(node_view).collect();
    let weights = weight_names(&nodes, graph.outputs.iter().map(String::as_str));
    let is_param = |(name, x): &(String, OnnxValue)| {
        matches!(x, OnnxValue::Tensor(x)
            if is_parameter(x.dtype(), &x.shape(), weights.contains(name.as_str())))
    };
    let (params, others): (Vec<_>, Vec<_>) = all.partition(is_param);
    let names: HashSet<String> = params.iter().map(|(name, _)| name.clone()).collect();
    let is_second = |name: &str| is_shadowed(name, &names);
    let (seconds, params): (Vec<_>, Vec<_>) = params.into_iter().partition(|(n, _)| is_second(n));
    (params.into_iter().collect(), others.into_iter().chain(seconds).collect())
}

fn node_view(node: &OnnxNode) -> NodeView<'_> {
    NodeView {
        operator: node.operator(),
        inputs: &node.inputs,
        outputs: &node.outputs,
        captures: node.captures.iter().map(String::as_str).collect(),
    }
}

/// Returns the nodes of the parameters of a layer, which has no inputs.
fn param_layer(path: &str, values: &BTreeMap<String, Tensor>) -> Vec<neurax_nn::Node> {
    let values = values.clone();
    dynamic_layer(path, [] as [neurax_nn::Node; 0], values.len(), move |cx, _| {
        let param = |(name, x): (&String, &Tensor)| {
            let (shape, initial) = (x.shape(), x.clone());
            let init = Init::new("imported", move |_, _| initial.clone());
            cx.param(name, shape, init)
        };
        values.iter().map(param).collect()
    })
}

/// Returns the path of a layer for a label, which no other layer has.
fn unique_path(label: &str, taken: &mut HashSet<String>) -> String {
    free_name(&label.split('`').nth(1).unwrap_or(label).replace(' ', "_"), taken)
}

/// Returns the node of an input, with the declared sizes; a name or a negative number is any size.
fn input_node(input: &GraphInput) -> Result<neurax_nn::Node> {
    let spec = declared_type(input)?;
    // Equal names do not promise equal sizes.
    let dim = |d: Dim| if let Dim::Named(_) = d { Dim::Any } else { d };
    let dims: Vec<Dim> = spec.dims.into_iter().map(dim).collect();
    Ok(typed_input(&input.name, spec.dtype, dims))
}

fn no_tensor(name: &str, x: &OnnxValue) -> Error {
    invalid(format!("`{name}` is {}; run the model as a `Session`", x.kind()))
}

fn invalid(why: String) -> Error {
    Error::new("onnx", why)
}

#[cfg(test)]
mod tests {
    use crate::testing::{declared, floats, graph, ints, model, node};
    use crate::{Importer, import_bytes};
    use neurax::prelude::*;

    /// Returns a dense layer whose result is reshaped by the shape of the input.
    fn dense() -> Vec<u8> {
        model(graph(
            &[("x", &[-1, 2])],
            &["y"],
            vec![
                floats("fc.weight", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
                floats("fc.bias", &[3], &[0.5, 0.5, 0.5]),
                ints("three", &[1], &[3]),
            ],
            vec![
                node("MatMul", "x fc.weight", "product"),
                node("Add", "product fc.bias", "sum"),
                node("Shape", "x", "shape"),
                node("Gather", "shape zero", "rows"),
                node("Concat", "rows three", "new").with(crate::testing::int("axis", 0)),
                node("Reshape", "sum new", "y"),
                node("Constant", "", "zero").with(crate::proto::AttributeProto {
                    name: "value_ints".into(),
                    ints: vec![0],
                    r#type: 7,
                    ..Default::default()
                }),
            ],
        ))
    }

    #[test]
    fn initializers_are_parameters_by_name() {
        let net = import_bytes(dense()).unwrap();
        let layers: Vec<&String> = net.vars.params.keys().collect();
        assert_eq!(layers, ["fc"]);
        let y = net.apply(tensor([[1.0, 1.0]]));
        assert_eq!(y["y"].to_vec::<f32>().unwrap(), [5.5, 7.5, 9.5]);
        let y = net.apply(tensor([[1.0, 1.0], [0.0, 0.0]]));
        assert_eq!(y["y"].shape(), [2, 3], "the batch has any size");
        let predictor = net.predictor(types![f32[1, 2]]).unwrap();
        let y = predictor.run(tensor([[1.0, 1.0]])).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [5.5, 7.5, 9.5]);
    }

    #[test]
    fn a_file_becomes_a_predictor_of_its_declared_types() {
        let predictor = Importer::new().predictor_bytes(dense()).unwrap();
        let y = predictor.run_all([("x", tensor([[1.0, 1.0], [0.0, 0.0]]))]).unwrap();
        assert_eq!(y["y"].to_vec::<f32>().unwrap(), [5.5, 7.5, 9.5, 0.5, 0.5, 0.5]);
        let e = predictor.run(Tensor::ones([1, 3])).unwrap_err();
        assert_eq!(e.message(), "input `x`: expected f32[_, 2], got f32[1, 3]");
    }

    #[test]
    fn a_predictor_of_shapes_that_depend_on_data_names_the_session() {
        let nodes = vec![node("NonZero", "x", "y")];
        let e =
            Importer::new().predictor_bytes(model(graph(&[("x", &[4])], &["y"], vec![], nodes)));
        let e = e.unwrap_err().to_string();
        assert!(e.contains("NonZero") && e.contains("run the model as a `Session`"), "{e}");
        assert!(e.contains("net.rs"), "the line of the caller: {e}");
    }

    #[test]
    fn single_floats_are_parameters_if_they_are_weights() {
        let weights = || {
            vec![
                floats("kernel", &[2, 1], &[1.0, 2.0]),
                floats("bias", &[1], &[0.5]),
                floats("low", &[1], &[0.0]),
                floats("two", &[1], &[2.0]),
                floats("one", &[], &[1.0]),
            ]
        };
        let nodes = vec![
            node("MatMul", "x kernel", "p"),
            node("Add", "p bias", "s"),
            node("Add", "s one", "t"),
            node("Max", "t low", "m"),
            node("Div", "m two", "y"),
        ];
        let net = import_bytes(model(graph(&[("x", &[-1, 2])], &["y"], weights(), nodes))).unwrap();
        assert_eq!(net.vars.params.keys().collect::<Vec<_>>(), ["bias", "kernel"]);
        let y = net.apply(tensor([[1.0, 1.0]]));
        assert_eq!(y["y"].to_vec::<f32>().unwrap(), [2.25]);
        let (x, vars) = (tensor([[1.0, 2.0]]), net.vars.clone());
        let (_, grads) = value_and_grad_at(&vars.params, |p| {
            net.model.apply_with(&p, &vars.state, &x, &Mode::Eval).y().sum(..)
        });
        assert_eq!(grads["bias"]["value"].to_vec::<f32>().unwrap(), [0.5]);
    }

    #[test]
    fn inputs_have_the_order_of_the_file() {
        let nodes = vec![node("Sub", "b a", "y")];
        let net = import_bytes(model(graph(&[("a", &[1]), ("b", &[1])], &["y"], vec![], nodes)));
        let net = net.unwrap();
        assert_eq!(net.model.inputs().collect::<Vec<_>>(), ["a", "b"]);
        let y = net.apply([tensor([1.0]), tensor([5.0])]);
        assert_eq!(y.y().to_vec::<f32>().unwrap(), [4.0]);
    }

    #[test]
    fn nodes_of_several_outputs_say_why_they_fail() {
        let nodes = vec![node("TopK", "x k", "y places")];
        let mut g = graph(&[("x", &[4])], &["y"], vec![], nodes);
        g.input.push(declared("k", 7, &["1"]));
        let net = import_bytes(model(g)).unwrap();
        let inputs = [("x", Tensor::ones(4)), ("k", Tensor::from_vec(vec![2i64], [1]))];
        let e = net.apply(inputs)["y"].error().unwrap().to_string();
        assert!(e.contains("TopK") && e.contains("run the model as a `Session`"), "{e}");
    }

    #[test]
    fn networks_are_differentiated_and_initialized_with_the_values_of_the_file() {
        let net = import_bytes(dense()).unwrap();
        let (x, vars) = (tensor([[1.0, 2.0]]), net.vars.clone());
        let (_, grads) = value_and_grad_at(&vars.params, |p| {
            net.model.apply_with(&p, &vars.state, &x, &Mode::Eval).y().sum(..)
        });
        assert_eq!(grads["fc"]["weight"].to_vec::<f32>().unwrap(), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        let again = net.model.init(key(0), &types![f32[_, 2]]).unwrap();
        let bias = again.params["fc"]["bias"].to_vec::<f32>().unwrap();
        assert_eq!(bias, [0.5, 0.5, 0.5]);
    }

    #[test]
    fn all_problems_are_listed() {
        let nodes = vec![node("Foo", "x", "a"), node("Relu", "a b", "y"), node("Bar", "q", "z")];
        let e = Importer::new().open_bytes(model(graph(&[("x", &[2])], &["y"], vec![], nodes)));
        let e = e.unwrap_err().to_string();
        for part in ["Foo #0", "Bar #2", "expected 1 to 1 inputs, got 2"] {
            assert!(e.contains(part), "{e}");
        }
    }
}
