//! The inputs of a model on the command line: files and written values, and random numbers for the
//! others.

use super::invalid::{invalid, without_line};
use super::literals;
use super::named_arguments::{named_sizes, named_value};
use clap::Args;
use neurax::io::npy;
use neurax::onnx::{Exporter, Importer, OnnxValue, Session, ValueInfo};
use neurax::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// The model and its inputs.
#[derive(Args, Clone)]
pub struct ModelArgs {
    /// The ONNX file.
    pub file: String,
    /// The value of an input: NAME=FILE.npy, NAME=5 or NAME=[[1, 2], [3, 4]] for numbers, NAME=text
    /// or NAME=["a", "b"] for strings. Numbers without a value are random: floats from 0 to 1,
    /// others 0 or 1. An input whose value the file has keeps that.
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = named_value)]
    inputs: Vec<(String, String)>,
    /// The shape of a random input: NAME=1,3,224,224. Without one, an axis has the size that the
    /// shape or value of another input gives to the name of the axis, or 1.
    #[arg(long = "shape", value_name = "NAME=SIZES", value_parser = named_sizes)]
    shapes: Vec<(String, Vec<usize>)>,
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
    shapes: HashMap<String, Vec<usize>>,
}

/// The sizes of named axes; `None` for a name with several sizes, which equal names may have.
type SizesOfNames = HashMap<String, Option<usize>>;

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
        let names = given.values.keys().chain(given.shapes.keys());
        check_inputs(session, names)?;
        let (mut values, mut sizes) = (HashMap::new(), SizesOfNames::new());
        for input in &session.info().inputs {
            if let Some(shape) = given.shapes.get(&input.name) {
                bind(input, shape, &mut sizes);
            }
            if let Some(text) = given.values.get(&input.name) {
                let value = value(input, text)?;
                if let OnnxValue::Tensor(x) = &value {
                    bind(input, x.shape().as_ref(), &mut sizes);
                }
                values.insert(input.name.clone(), value);
            }
        }
        for (i, input) in session.info().inputs.iter().enumerate() {
            let shape = given.shapes.get(&input.name);
            let has_value = values.contains_key(&input.name);
            if has_value || (shape.is_none() && session.has_default(&input.name)) {
                continue;
            }
            let x = random(input, shape, &sizes, key(self.seed).fold_in(i as i32))?;
            values.insert(input.name.clone(), OnnxValue::Tensor(x));
        }
        Ok(values)
    }

    /// Runs a model on values, which [`ModelArgs::described`] describes as `inputs`.
    ///
    /// # Errors
    /// If the model fails: with the inputs, and how to give others.
    pub fn run(
        &self,
        session: &Session,
        values: HashMap<String, OnnxValue>,
        inputs: &[String],
    ) -> Result<Vec<OnnxValue>> {
        session.run(values).map_err(|e| {
            let advice = "give other sizes with --shape, or values with --input";
            let why = format!("{} for {}; {advice}", e.message(), inputs.join(", "));
            without_line(&Error::new(e.op(), why).at_origin(e.origin()))
        })
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
                (None, false) if ty != input.r#type && has_other_open_sizes(input, &ty) => {
                    "random numbers, open sizes are 1 or those of other inputs"
                }
                (None, false) if ty != input.r#type => "random numbers, open sizes are 1",
                (None, _) => "random numbers",
            };
            lines.push(format!("{name}: {ty} ({source})"));
        }
        Ok(lines)
    }

    fn given(&self) -> Result<GivenInputs> {
        let (values, shapes) =
            (by_name("--input", &self.inputs)?, by_name("--shape", &self.shapes)?);
        Ok(GivenInputs { values, shapes })
    }
}

/// Returns the value of an input for the text behind `--input NAME=`.
fn value(input: &ValueInfo, text: &str) -> Result<OnnxValue> {
    let in_input = |e: Error| invalid(format!("--input {}=VALUE: {}", input.name, e.message()));
    if is_file(input, text) {
        if !Path::new(text).exists() {
            let why = "expected a number, lists of numbers, or the path of a file that exists";
            return Err(in_input(invalid(format!("{why}, got `{text}`"))));
        }
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

/// Returns the values of arguments by the names in front of them.
///
/// # Errors
/// If a name is given twice.
fn by_name<T: Clone>(option: &str, given: &[(String, T)]) -> Result<HashMap<String, T>> {
    let mut all = HashMap::new();
    for (name, value) in given {
        if all.insert(name.clone(), value.clone()).is_some() {
            return Err(invalid(format!("{option} is given twice for `{name}`")));
        }
    }
    Ok(all)
}

/// Checks that a model has inputs of the given names.
///
/// # Errors
/// If one is missing: with the inputs that the model has.
fn check_inputs<'n>(session: &Session, mut names: impl Iterator<Item = &'n String>) -> Result<()> {
    let known: Vec<&str> = session.inputs().collect();
    match names.find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            let known = known.join(", ");
            Err(invalid(format!("the model has no input `{name}`; it has: {known}")))
        }
        None => Ok(()),
    }
}

/// Returns the declared sizes of an input as text: numbers, names and `_`.
fn sizes_text(input: &ValueInfo) -> impl Iterator<Item = &str> {
    let sizes = input.r#type.strip_suffix(']').and_then(|t| t.split_once('['));
    sizes.map_or("", |(_, sizes)| sizes).split(',').map(str::trim)
}

/// Records the sizes that a shape gives to the named axes of an input.
fn bind(input: &ValueInfo, shape: &[usize], to: &mut SizesOfNames) {
    let is_name = |text: &str| text != "_" && text.parse::<usize>().is_err();
    let named = sizes_text(input).zip(shape).filter(|(text, _)| is_name(text));
    named.for_each(|(name, &size)| record(name, size, to));
}

/// Records the size of a named axis.
fn record(name: &str, size: usize, to: &mut SizesOfNames) {
    let known = to.entry(name.to_string()).or_insert(Some(size));
    *known = known.filter(|&n| n == size);
}

/// Returns true if an open axis of an input has another size than 1 in the type `ty`.
fn has_other_open_sizes(input: &ValueInfo, ty: &str) -> bool {
    let of = ValueInfo { name: String::new(), r#type: ty.into() };
    sizes_text(input).zip(sizes_text(&of)).any(|(declared, size)| declared != size && size != "1")
}

/// Returns the network of a model, and the types of its inputs for an export: those that the file
/// declares, or of `--shape`. An open axis whose name another input's `--shape` gives one size has
/// that.
///
/// # Errors
/// If the model is no network, or an argument names no input or does not fit to the file.
pub fn export_types(
    session: &Session,
    shapes: &[(String, Vec<Dim>)],
) -> Result<(Net, Vec<TypeSpec>)> {
    let net = session.net()?;
    let mut types: HashMap<String, TypeSpec> = session.input_types()?.into_iter().collect();
    let shapes = by_name("--shape", shapes)?;
    check_inputs(session, shapes.keys())?;
    let mut sizes = SizesOfNames::new();
    for (name, dims) in &shapes {
        let Some(spec) = types.get_mut(name) else { continue };
        check_dims(name, &spec.dims, dims)?;
        for (declared, dim) in spec.dims.iter().zip(dims) {
            if let (Dim::Named(name), Dim::Size(n)) = (declared, dim) {
                record(name, *n, &mut sizes);
            }
        }
        spec.dims.clone_from(dims);
    }
    let others = types.iter_mut().filter(|(name, _)| !shapes.contains_key(*name));
    for dim in others.flat_map(|(_, spec)| &mut spec.dims) {
        if let Dim::Named(name) = dim
            && let Some(Some(n)) = sizes.get(name)
        {
            *dim = Dim::Size(*n);
        }
    }
    // In the order of the network, which is that of the file.
    let types = net.model.inputs().filter_map(|name| types.get(name).cloned()).collect();
    Ok((net, types))
}

/// Checks that the sizes of `--shape` are of the rank and the fixed sizes of an input.
///
/// # Errors
/// If they are others.
fn check_dims(input: &str, declared: &[Dim], given: &[Dim]) -> Result<()> {
    if declared.len() != given.len() {
        let (want, got) = (declared.len(), given.len());
        let why = format!("expected {want} sizes in --shape {input}=SIZES, got {got}");
        return Err(invalid(why));
    }
    let is_other = |(_, (want, got)): &(usize, (&Dim, &Dim))| match (want, got) {
        (Dim::Size(n), Dim::Size(m)) => n != m,
        (Dim::Size(_), _) => true,
        _ => false,
    };
    match declared.iter().zip(given).enumerate().find(is_other) {
        Some((axis, (Dim::Size(n), got))) => {
            let got = match got {
                Dim::Size(m) => m.to_string(),
                Dim::Named(name) => name.clone(),
                _ => "_".into(),
            };
            let why = format!("the file fixes axis {axis} to {n}, got {got}");
            Err(invalid(format!("--shape {input}=SIZES: {why}")))
        }
        _ => Ok(()),
    }
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

/// Returns random numbers of the declared type: floats from 0 to 1, other numbers 0 or 1. `sizes`
/// has those of named axes.
fn random(
    input: &ValueInfo,
    shape: Option<&Vec<usize>>,
    sizes: &SizesOfNames,
    key: Key,
) -> Result<Tensor> {
    let (name, ty) = (&input.name, &input.r#type);
    let (dtype, declared) = declared(input)?;
    let Some(dtype) = dtype else {
        let advice = "give its value with --input NAME=text or --input 'NAME=[\"a\", \"b\"]'";
        return Err(invalid(format!("the input `{name}` has the type {ty}; {advice}")));
    };
    let bound = |name: &str| sizes.get(name).copied().flatten().unwrap_or(1);
    let size = |text: &str| text.parse().unwrap_or_else(|_| bound(text));
    let shape: Vec<usize> = match (shape, declared.as_str()) {
        (Some(shape), _) => shape.clone(),
        (None, "") => vec![],
        (None, "..") => {
            let advice = "give its sizes with --shape, or its value with --input";
            return Err(invalid(format!("the input `{name}` has the type {ty}; {advice}")));
        }
        (None, _) => sizes_text(input).map(size).collect(),
    };
    let x = key.uniform(&shape);
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
