//! The inputs of a model on the command line: files and written values, and random numbers for the
//! others.

use super::invalid::invalid;
use super::literals;
use clap::Args;
use neurax::io::npy;
use neurax::onnx::{Exporter, Importer, OnnxValue, Session, ValueInfo};
use neurax::prelude::*;
use std::collections::HashMap;

/// The model and its inputs.
#[derive(Args, Clone)]
pub struct ModelArgs {
    /// The ONNX file.
    pub file: String,
    /// The value of an input: NAME=FILE.npy, NAME=5 or NAME=[[1, 2], [3, 4]] for numbers, NAME=text
    /// or NAME=["a", "b"] for strings. Numbers without a value are random: floats from 0 to 1,
    /// others 0 or 1. An input whose value the file has keeps that.
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// The shape of a random input: NAME=1,3,224,224. Without one, named and open sizes are 1.
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    shapes: Vec<String>,
    /// The seed of the random numbers.
    #[arg(long, default_value_t = 0)]
    seed: i64,
    /// Reads a model of a newer operator set by the rules of the newest known one.
    #[arg(long)]
    allow_newer_opsets: bool,
}

/// The values of `--input` and the sizes of `--shape` by the names of inputs.
struct GivenInputs {
    values: HashMap<String, String>,
    shapes: HashMap<String, String>,
}

impl ModelArgs {
    /// Returns a reader of the model.
    pub fn importer(&self) -> Importer {
        importer(self.allow_newer_opsets)
    }

    /// Returns the values of the inputs of a model. An input with an initializer has a value only
    /// if the arguments name it.
    ///
    /// # Errors
    /// If a file cannot be read, or an argument is malformed or names no input.
    pub fn values(&self, session: &Session) -> Result<HashMap<String, OnnxValue>> {
        let given = self.given()?;
        if let Some(name) = given.values.keys().find(|name| given.shapes.contains_key(*name)) {
            let why = "--shape is for random numbers, and --input has the shape of its value";
            return Err(invalid(format!("expected --input or --shape for `{name}`: {why}")));
        }
        let known: Vec<&str> = session.inputs().collect();
        let mut names = given.values.keys().chain(given.shapes.keys());
        if let Some(name) = names.find(|n| !known.contains(&n.as_str())) {
            return Err(invalid(format!("expected the inputs {}, got `{name}`", known.join(", "))));
        }
        let mut values = HashMap::new();
        for (i, input) in session.info().inputs.iter().enumerate() {
            let shape = given.shapes.get(&input.name);
            let value = match given.values.get(&input.name) {
                Some(text) => value(input, text)?,
                None if shape.is_none() && session.has_default(&input.name) => continue,
                None => OnnxValue::Tensor(random(input, shape, key(self.seed).fold_in(i as i32))?),
            };
            values.insert(input.name.clone(), value);
        }
        Ok(values)
    }

    /// Returns the types of the values of [`ModelArgs::values`], and where these come from.
    ///
    /// # Errors
    /// If a value has no type.
    pub fn described(
        &self,
        session: &Session,
        values: &HashMap<String, OnnxValue>,
    ) -> Result<Vec<String>> {
        let given = self.given()?;
        let mut lines = vec![];
        for input in &session.info().inputs {
            let name = &input.name;
            let Some(x) = values.get(name) else { continue };
            let ty = literals::type_name(x)?;
            let source = match (given.values.get(name), given.shapes.contains_key(name)) {
                (Some(text), _) if is_file(input, text) => text.as_str(),
                (Some(_), _) => "--input",
                (None, false) if ty != input.r#type => "random numbers, open sizes are 1",
                (None, _) => "random numbers",
            };
            lines.push(format!("{name}: {ty} ({source})"));
        }
        Ok(lines)
    }

    fn given(&self) -> Result<GivenInputs> {
        let (values, shapes) = (pairs("--input", &self.inputs)?, pairs("--shape", &self.shapes)?);
        Ok(GivenInputs { values, shapes })
    }
}

/// Returns the value of an input for the text behind `--input NAME=`.
fn value(input: &ValueInfo, text: &str) -> Result<OnnxValue> {
    let in_input = |e: Error| invalid(format!("--input {}=VALUE: {}", input.name, e.message()));
    if is_file(input, text) {
        return npy::load(text).map(OnnxValue::Tensor).map_err(in_input);
    }
    let (dtype, sizes) = declared(input)?;
    let rank = match sizes.as_str() {
        "" | ".." => 0,
        sizes => sizes.split(',').count(),
    };
    literals::parsed(text, dtype, rank).map_err(in_input)
}

/// Returns true if the text behind `--input NAME=` names a file.
fn is_file(input: &ValueInfo, text: &str) -> bool {
    !input.r#type.starts_with("string[") && !literals::is_number_text(text)
}

/// Returns the declared dtype of an input, `None` for strings, and its sizes as text.
///
/// # Errors
/// If it is no tensor.
fn declared(input: &ValueInfo) -> Result<(Option<DType>, String)> {
    let unknown = || {
        let (name, ty) = (&input.name, &input.r#type);
        let why = match ty.is_empty() {
            true => "has no declared type; give a file with --input NAME=FILE.npy".into(),
            false => format!(
                "has the type {ty}, which cannot be given on the command line; use Session::run"
            ),
        };
        invalid(format!("the input `{name}` {why}"))
    };
    let split = input.r#type.strip_suffix(']').and_then(|t| t.split_once('['));
    let (dtype, sizes) = split.ok_or_else(unknown)?;
    let dtype = match dtype {
        "string" => None,
        dtype => Some(DType::parse(dtype).ok_or_else(unknown)?),
    };
    Ok((dtype, sizes.trim().to_string()))
}

/// Returns a reader of models, also of those of newer operator sets if `is_newer_allowed`.
pub fn importer(is_newer_allowed: bool) -> Importer {
    match is_newer_allowed {
        true => Importer::new().allow_newer_opsets(),
        false => Importer::new(),
    }
}

/// Returns the pairs of `NAME=VALUE`.
pub fn pairs(option: &str, given: &[String]) -> Result<HashMap<String, String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_string(), value.to_string())),
        None => Err(invalid(format!("expected NAME=VALUE for {option}, got `{text}`"))),
    };
    let mut all = HashMap::new();
    for text in given {
        let (name, value) = pair(text)?;
        if all.insert(name.clone(), value).is_some() {
            return Err(invalid(format!("{option} is given twice for `{name}`")));
        }
    }
    Ok(all)
}

/// Returns the network of a model, and the types of its inputs for an export: those that the file
/// declares, or of `--shape NAME=_,3,224,224`, where `_` is any size.
///
/// # Errors
/// If the model is no network, or an argument is malformed or names no input.
pub fn export_types(session: &Session, shapes: &[String]) -> Result<(Net, Vec<TypeSpec>)> {
    let net = session.net()?;
    let mut types: HashMap<String, TypeSpec> = session.input_types()?.into_iter().collect();
    for (name, sizes) in &pairs("--shape", shapes)? {
        let spec = types.get_mut(name).ok_or_else(|| {
            let names = session.inputs().collect::<Vec<_>>().join(", ");
            invalid(format!("expected the inputs {names}, got `{name}`"))
        })?;
        let size = |text: &str| match text.trim() {
            "_" => Ok(Dim::Any),
            text => text
                .parse()
                .map(Dim::Size)
                .map_err(|_| invalid(format!("expected a size or `_`, got `{text}`"))),
        };
        spec.dims = sizes.split(',').map(size).collect::<Result<_>>()?;
    }
    // In the order of the network, which is that of the file.
    let types = net.model.inputs().filter_map(|name| types.get(name).cloned()).collect();
    Ok((net, types))
}

/// Returns a writer of models in an opset, with computations in the dtype `float`.
///
/// # Errors
/// If `float` is not the name of a dtype.
pub fn exporter_of(opset: Option<i64>, float: Option<&str>) -> Result<Exporter> {
    let exporter = match opset {
        Some(opset) => Exporter::new().opset(opset),
        None => Exporter::new(),
    };
    let Some(name) = float else { return Ok(exporter) };
    let dtype = DType::parse(name);
    let dtype = dtype.ok_or_else(|| invalid(format!("expected f16 or bf16, got `{name}`")))?;
    Ok(exporter.float(dtype))
}

/// Returns random numbers of the declared type: floats from 0 to 1, other numbers 0 or 1.
fn random(input: &ValueInfo, shape: Option<&String>, key: Key) -> Result<Tensor> {
    let (name, ty) = (&input.name, &input.r#type);
    let (dtype, declared) = declared(input)?;
    let Some(dtype) = dtype else {
        let advice = "give its value with --input NAME=text or --input 'NAME=[\"a\", \"b\"]'";
        return Err(invalid(format!("the input `{name}` has the type {ty}; {advice}")));
    };
    let size = |text: &str| match (text.trim(), shape.is_some()) {
        (text, true) => text
            .parse()
            .map_err(|_| invalid(format!("expected sizes in --shape {name}=SIZES, got `{text}`"))),
        (text, false) => Ok(text.parse().unwrap_or(1)),
    };
    let sizes: Vec<usize> = match shape.unwrap_or(&declared).trim() {
        "" => Vec::new(),
        ".." => {
            let advice = "give its sizes with --shape, or its value with --input";
            return Err(invalid(format!("the input `{name}` has the type {ty}; {advice}")));
        }
        sizes => sizes.split(',').map(size).collect::<Result<_>>()?,
    };
    let x = key.uniform(&sizes);
    Ok(if dtype.is_float() { x.to(dtype) } else { x.round().to(dtype) })
}

/// Returns a number that is not negative, as `clap` parses it.
///
/// # Errors
/// If it is another one.
pub fn not_negative(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(x) if x >= 0.0 && f64::is_finite(x) => Ok(x),
        _ => Err("expected a number of at least 0".into()),
    }
}
