//! A model that is ready to run.

use crate::dtype::ElementType;
use crate::evaluate::GraphScope;
use crate::graph::{GraphInput, OnnxGraph};
use crate::info::{ModelInfo, declared_type, type_text};
use crate::loop_budget::LoopBudget;
use crate::net::net;
use crate::own_lines::without_own_line;
use crate::plan::SegmentPlan;
use crate::proto::{Dimension, DimensionProto, TypeProto, TypeValue};
use crate::segment_info::SegmentInfo;
use crate::value::OnnxValue;
use neurax_ir::{Error, Result};
use neurax_nn::Net;
use neurax_tensor::TypeSpec;
use std::collections::HashMap;
use std::sync::Arc;

/// A model that is ready to run: compiled for the types of its inputs when they are first seen.
///
/// Operators whose results have shapes that depend on data run on the host between compiled
/// segments. Any number of threads may call a session.
///
/// ```
/// use neurax::onnx::{Importer, OnnxValue};
/// use neurax::prelude::*;
/// use std::collections::HashMap;
/// # let file = b"\x08\x0a:W\x0a\x11\x0a\x01x\x0a\x01w\x12\x01y\x22\x06MatMul\x12\x01g*\x13\x08\
/// # \x02\x08\x01\x10\x01\x22\x08\x00\x00\x00@\x00\x00@@B\x01wZ\x14\x0a\x01x\x12\
/// # \x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01n\x0a\x02\x08\x02b\x14\x0a\x01y\
/// # \x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01n\x0a\x02\x08\x01B\x04\x0a\x00\
/// # \x10\x15";
/// // `file` is a model of `y = x w` in memory.
/// let session = Importer::new().open_bytes(*file)?;
/// assert_eq!(session.info().inputs[0].r#type, "f32[n, 2]");
/// let x = OnnxValue::Tensor(tensor([[1.0, 10.0]]));
/// let outputs = session.run(HashMap::from([("x".to_string(), x)]))?;
/// let Some(OnnxValue::Tensor(y)) = outputs.first() else { panic!("expected a tensor") };
/// assert_eq!(y.to_vec::<f32>()?, [32.0]);
/// assert_eq!(session.plan(), "segment (x: f32[1, 2]): 1 MatMul\n");
/// assert_eq!(session.segments()[0].operators["MatMul"], 1);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Session {
    graph: Arc<OnnxGraph>,
    plan: SegmentPlan,
    info: ModelInfo,
}

impl Session {
    pub(crate) fn new(graph: OnnxGraph, info: ModelInfo) -> Session {
        let graph = Arc::new(graph);
        Session { plan: SegmentPlan::new(graph.clone()), graph, info }
    }

    /// Returns what the file says about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Returns the compiled segments of all calls so far, and the nodes between them that ran on
    /// the host, as text.
    pub fn plan(&self) -> String {
        self.segments().iter().map(SegmentInfo::to_string).collect()
    }

    /// Returns the compiled segments of all calls so far with what they compile to: after each one
    /// those that follow it in a call, whose depth is larger by 1.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.plan.segments()
    }

    /// Returns the names of the inputs, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.graph.inputs.iter().map(|i| i.name.as_str())
    }

    /// Returns the names of the outputs, in order.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.graph.outputs.iter().map(String::as_str)
    }

    /// Returns true if the file has a value for the input `name`, so that a call may leave it out.
    ///
    /// ```no_run
    /// use neurax::onnx::Importer;
    /// // Older exporters list the weights among the inputs.
    /// let session = Importer::new().open("resnet.onnx")?;
    /// assert!(session.has_default("fc.weight") && !session.has_default("image"));
    /// # Ok::<(), neurax::Error>(())
    /// ```
    pub fn has_default(&self, name: &str) -> bool {
        self.graph.initializers.contains_key(name)
    }

    /// Returns the names and declared types of the inputs that have no initializer, for an export
    /// of the network: a size with a name keeps it, and one without is open.
    ///
    /// # Errors
    /// If an input is no tensor of numbers, or has no declared rank.
    pub fn input_types(&self) -> Result<Vec<(String, TypeSpec)>> {
        let inputs = self.graph.inputs.iter();
        let inputs = inputs.filter(|i| !self.has_default(&i.name));
        inputs.map(|i| Ok((i.name.clone(), declared_type(i)?))).collect()
    }

    /// Returns the declared type of an input.
    pub(crate) fn input_type(&self, i: usize) -> Option<&TypeProto> {
        self.graph.inputs.get(i)?.r#type.as_ref()
    }

    /// Returns the network of the model, whose parameters are the initializers.
    ///
    /// # Errors
    /// If an input is no tensor or has no declared rank.
    pub fn net(&self) -> Result<Net> {
        net(&self.graph)
    }

    /// Computes the outputs for inputs by name. Inputs with an initializer may be left out.
    ///
    /// A loop that is compiled with its condition runs until the data make the condition false.
    ///
    /// # Errors
    /// If an input is missing or unknown, a node is invalid for its inputs, or the other loops have
    /// more than 2^24 iterations together.
    pub fn run(&self, inputs: HashMap<String, OnnxValue>) -> Result<Vec<OnnxValue>> {
        self.check(&inputs)?;
        self.plan.run(inputs).map_err(without_own_line)
    }

    /// Computes the outputs node by node, without compiling the graph: to find the node that
    /// computes something wrong. Loops that end by a condition run on the host, so that each call
    /// ends.
    ///
    /// # Errors
    /// As for [`Session::run`], and if the loops have more than 2^24 iterations together.
    pub fn run_eagerly(&self, inputs: HashMap<String, OnnxValue>) -> Result<Vec<OnnxValue>> {
        self.run_eagerly_within(inputs, LoopBudget::default().counting_all())
    }

    /// Computes the outputs as [`Session::run_eagerly`] does, with loops of the iterations of
    /// `budget` at most.
    ///
    /// # Errors
    /// As for [`Session::run_eagerly`], and if the loops need more iterations.
    pub(crate) fn run_eagerly_within(
        &self,
        inputs: HashMap<String, OnnxValue>,
        budget: LoopBudget,
    ) -> Result<Vec<OnnxValue>> {
        self.check(&inputs)?;
        let budget = Arc::new(budget);
        let mut frame = GraphScope::new(&self.graph, [], None, None).with_budget(&budget);
        for input in &self.graph.inputs {
            if let Some(x) = inputs.get(&input.name) {
                frame.set(&input.name, x.clone());
            }
        }
        for node in &self.graph.nodes {
            frame.evaluate(node)?;
        }
        Ok(frame.results()?)
    }

    /// Checks that all inputs are given, and no others.
    fn check(&self, inputs: &HashMap<String, OnnxValue>) -> Result<()> {
        let invalid = |why: String| Err(Error::new("onnx", why));
        if let Some(name) = inputs.keys().find(|name| self.inputs().all(|n| n != *name)) {
            let known = self.inputs().collect::<Vec<_>>().join(", ");
            return invalid(format!("the model has no input `{name}`; it has: {known}"));
        }
        for input in &self.graph.inputs {
            let name = &input.name;
            match inputs.get(name) {
                Some(x) => check_type(input, x)?,
                None if self.has_default(name) => (),
                None => {
                    let declared = input.r#type.as_ref().map(type_text).unwrap_or_default();
                    let of = if declared.is_empty() { "" } else { ": expected " };
                    return invalid(format!("missing input `{name}`{of}{declared}"));
                }
            }
        }
        Ok(())
    }
}

/// Checks that a tensor has the declared type; a name or a negative number is any size.
fn check_type(input: &GraphInput, x: &OnnxValue) -> Result<()> {
    if let Some(e) = x.error() {
        return Err(e.clone());
    }
    let declared = input.r#type.as_ref();
    let (Some(TypeValue::Tensor(t)), OnnxValue::Tensor(x)) =
        (declared.and_then(|t| t.value.as_ref()), x)
    else {
        return Ok(());
    };
    let fits = |(d, &size): (&DimensionProto, &usize)| match d.value {
        Some(Dimension::Size(n)) => n < 0 || usize::try_from(n) == Ok(size),
        Some(Dimension::Name(_)) | None => true,
    };
    let has_shape = t.shape.as_ref().is_none_or(|shape| {
        shape.dim.len() == x.rank() && shape.dim.iter().zip(x.shape().iter()).all(fits)
    });
    let has_dtype = match ElementType::of_number(t.elem_type.into()) {
        Some(ElementType::Number(dtype)) => dtype == x.dtype(),
        Some(ElementType::String) => false,
        None => true,
    };
    if has_shape && has_dtype {
        return Ok(());
    }
    let want = declared.map(type_text).unwrap_or_default();
    Err(Error::new("onnx", format!("expected {want} as input `{}`, got {}", input.name, x.ty()?)))
}
