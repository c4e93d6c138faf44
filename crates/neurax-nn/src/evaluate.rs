//! The evaluation of a model: the values of all nodes in topological order.

use crate::cx::{VariableSource, derive};
use crate::input_shapes::{checked_input, invalid};
use crate::model_graph::{ModelGraph, ModelNode, Paths};
use crate::model_layer::ModelLayer;
use crate::node::NodeKind;
use crate::{Cx, Mode, Vars};
use neurax_tensor::{Error, Place, Recorder, Tensor};
use std::collections::HashMap;

/// A function that sees the path and the values of every input and layer, those of shared layers
/// at their first call.
pub(crate) type Observer<'o> = &'o mut dyn FnMut(&str, &[Tensor]);

/// The values of a layer or input.
pub(crate) struct LayerValues {
    pub(crate) path: String,
    pub(crate) values: Vec<Tensor>,
}

/// One evaluation of a model.
pub(crate) struct Evaluation<'e> {
    source: VariableSource<'e>,
    recorder: Recorder,
    /// The variables that the evaluation creates or changes.
    new: &'e mut Vars,
    observe: Observer<'e>,
    paths: Paths,
    /// True inside of a block that was called before: its layers were observed then.
    is_repeated: bool,
}

impl<'e> Evaluation<'e> {
    pub(crate) fn new(
        source: VariableSource<'e>,
        recorder: Recorder,
        new: &'e mut Vars,
        observe: Observer<'e>,
    ) -> Evaluation<'e> {
        let paths = Paths::default();
        Evaluation { source, recorder, new, observe, paths, is_repeated: false }
    }

    /// Computes the outputs of a graph at `prefix`: the whole model, or a block.
    pub(crate) fn outputs(
        &mut self,
        graph: &ModelGraph,
        prefix: &str,
        inputs: &[Tensor],
        mode: &Mode,
    ) -> Vec<Tensor> {
        if let Some(e) = &graph.error {
            return vec![Tensor::from_error(e.clone()); graph.outputs.len().max(1)];
        }
        let (mut inputs, mut named) = (inputs.iter(), HashMap::new());
        let mut values: Vec<Vec<Tensor>> = Vec::with_capacity(graph.nodes.len());
        for n in &graph.nodes {
            let (path, earlier_calls) = self.paths.resolve(prefix, n);
            let ys = match n.node.kind() {
                NodeKind::Input(spec) => {
                    vec![checked_input(&path, spec, inputs.next(), &mut named)]
                }
                NodeKind::Argument => vec![argument(&path, inputs.next())],
                NodeKind::Layer(f) => {
                    let mode = mode_of_call(mode, earlier_calls);
                    self.layer(n, f.as_ref(), &path, &inputs_of(n, &values), &mode)
                }
                NodeKind::Block(model) => {
                    let mode = mode_of_call(mode, earlier_calls);
                    let outside = self.is_repeated;
                    self.is_repeated |= earlier_calls > 0;
                    let ys = self.outputs(model.graph(), &path, &inputs_of(n, &values), &mode);
                    self.is_repeated = outside;
                    ys
                }
            };
            if earlier_calls == 0 && !self.is_repeated && n.is_listed(prefix) {
                (self.observe)(&path, &ys);
            }
            values.push(ys);
        }
        graph.outputs.iter().map(|o| value(&values, o.value.node, o.value.output)).collect()
    }

    /// Computes the outputs of a layer. An error of an input is that of all outputs.
    fn layer(
        &mut self,
        n: &ModelNode,
        layer: &dyn ModelLayer,
        path: &str,
        xs: &[Tensor],
        mode: &Mode,
    ) -> Vec<Tensor> {
        if let Some(failed) = xs.iter().find(|x| x.error().is_some()) {
            return vec![failed.clone(); n.node.outputs()];
        }
        let ys = self.recorder.within(path, n.node.at(), || {
            layer.apply(&mut Cx::new(path, mode, self.source, self.new), xs)
        });
        ys.into_iter().map(|y| with_layer_in_error(y, n, path)).collect()
    }
}

/// Returns the inputs of a node.
fn inputs_of(n: &ModelNode, values: &[Vec<Tensor>]) -> Vec<Tensor> {
    n.inputs.iter().map(|x| value(values, x.node, x.output)).collect()
}

/// Returns an output of a node, or an error if a called model has fewer outputs.
fn value(values: &[Vec<Tensor>], node: usize, output: usize) -> Tensor {
    let found = values.get(node).and_then(|ys| ys.get(output)).cloned();
    found.unwrap_or_else(|| {
        let why = format!("expected a model with an output of the index {output}, got fewer");
        Tensor::from_error(invalid(why))
    })
}

/// Returns an argument of a block.
fn argument(path: &str, x: Option<&Tensor>) -> Tensor {
    x.cloned().unwrap_or_else(|| {
        Tensor::from_error(Error::bug(format!("the block has no argument for `{path}`")))
    })
}

/// Returns the mode of a call of a shared layer: every call draws other random numbers.
fn mode_of_call(mode: &Mode, earlier_calls: u32) -> Mode {
    match mode {
        Mode::Train(key) if earlier_calls > 0 => {
            Mode::Train(derive(key, &format!("call {earlier_calls}")))
        }
        other => other.clone(),
    }
}

/// Adds the path and the user's line of a layer to its result `y` if that is an error.
fn with_layer_in_error(y: Tensor, n: &ModelNode, path: &str) -> Tensor {
    match y.error() {
        Some(e) => Tensor::from_error(e.clone().at(&Place::from(n.node.at())).within(path)),
        None => y,
    }
}
