//! The inputs of a model on the command line: files, and random numbers for the others.

use clap::Args;
use neurax::io::npy;
use neurax::onnx::{Exporter, OnnxValue, Session, ValueInfo};
use neurax::prelude::*;
use std::collections::HashMap;

/// The model and its inputs.
#[derive(Args, Clone)]
pub struct ModelArgs {
    /// The ONNX file.
    pub file: String,
    /// The value of an input: NAME=FILE.npy. Inputs without one are random numbers: floats from 0
    /// to 1, other numbers 0 or 1.
    #[arg(long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// The shape of a random input: NAME=1,3,224,224. Without one, named and open sizes are 1.
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    shapes: Vec<String>,
    /// The seed of the random numbers.
    #[arg(long, default_value_t = 0)]
    seed: i64,
}

impl ModelArgs {
    /// Returns the values of the inputs of a model.
    ///
    /// # Errors
    /// If a file cannot be read, or an argument is malformed or names no input.
    pub fn values(&self, session: &Session) -> Result<HashMap<String, OnnxValue>> {
        let (files, shapes) = (pairs("--input", &self.inputs)?, pairs("--shape", &self.shapes)?);
        if let Some(name) = files.keys().find(|name| shapes.contains_key(*name)) {
            let why = "--shape is for random numbers, and --input has the shape of its file";
            return Err(invalid(format!("expected --input or --shape for `{name}`: {why}")));
        }
        let known: Vec<&str> = session.inputs().collect();
        if let Some(name) = files.keys().chain(shapes.keys()).find(|n| !known.contains(&n.as_str()))
        {
            return Err(invalid(format!("expected the inputs {}, got `{name}`", known.join(", "))));
        }
        let mut values = HashMap::new();
        for (i, input) in session.info().inputs.iter().enumerate() {
            let value = match files.get(&input.name) {
                Some(file) => npy::load(file)?,
                None => random(input, shapes.get(&input.name), key(self.seed).fold_in(i as i32))?,
            };
            values.insert(input.name.clone(), OnnxValue::Tensor(value));
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
        let (files, shapes) = (pairs("--input", &self.inputs)?, pairs("--shape", &self.shapes)?);
        let mut lines = vec![];
        for input in &session.info().inputs {
            let Some(OnnxValue::Tensor(x)) = values.get(&input.name) else { continue };
            let (name, ty) = (&input.name, x.ty()?.to_string());
            let source = match (files.get(name), shapes.contains_key(name)) {
                (Some(file), _) => file.as_str(),
                (None, false) if ty != input.r#type => "random numbers, open sizes are 1",
                (None, _) => "random numbers",
            };
            lines.push(format!("{name}: {ty} ({source})"));
        }
        Ok(lines)
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
        if value.is_empty() && option == "--input" {
            return Err(invalid(format!("expected NAME=FILE for {option}, got `{text}`")));
        }
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
    let unknown = || {
        let (name, ty) = (&input.name, &input.r#type);
        let advice = match ty.starts_with("string") {
            true => "strings cannot be given on the command line; use Session::run",
            false => "give a file with --input",
        };
        invalid(format!("the input `{name}` has the type {ty}; {advice}"))
    };
    let (dtype, declared) =
        input.r#type.strip_suffix(']').and_then(|t| t.split_once('[')).ok_or_else(unknown)?;
    let dtype = DType::parse(dtype).ok_or_else(unknown)?;
    let sizes = shape.map_or(declared, |s| s.as_str());
    let size = |text: &str| match (text.trim(), shape.is_some()) {
        (text, true) => text.parse().map_err(|_| {
            let name = &input.name;
            invalid(format!("expected sizes in --shape {name}=SIZES, got `{text}`"))
        }),
        (text, false) => Ok(text.parse().unwrap_or(1)),
    };
    let sizes: Vec<usize> = match sizes.trim() {
        "" => Vec::new(),
        ".." => return Err(unknown()),
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

pub fn invalid(why: String) -> Error {
    Error::new("onnx", why)
}
