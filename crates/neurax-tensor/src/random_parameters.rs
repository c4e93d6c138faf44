//! Parameters of random distributions: numbers or tensors, which broadcast to the shape of the
//! sample and decide its dtype.

use crate::{
    DType, IntoShape, Operand, Scalar, Shape, Tensor, api::common::promote_operands, shape::fixed,
    tensor::CallSite,
};

/// A parameter of a distribution.
pub(crate) struct Parameter {
    /// The name for error messages.
    name: &'static str,
    domain: Domain,
    value: ParameterValue,
}

enum ParameterValue {
    Number(Scalar),
    Tensor(Tensor),
}

/// The numbers that a parameter may be. Only numbers of Rust are checked: tensors have no value
/// while a function is traced.
#[derive(Clone, Copy)]
pub(crate) enum Domain {
    Any,
    Positive,
    NotNegative,
    Probability,
}

impl Domain {
    fn contains(self, x: f64) -> bool {
        match self {
            Domain::Any => true,
            Domain::Positive => x > 0.0,
            Domain::NotNegative => x >= 0.0,
            Domain::Probability => (0.0..=1.0).contains(&x),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Domain::Any => "a number",
            Domain::Positive => "a number above 0",
            Domain::NotNegative => "a number of at least 0",
            Domain::Probability => "a number from 0 to 1",
        }
    }
}

impl Parameter {
    /// Creates the parameter `name` from an operand.
    pub fn new(name: &'static str, domain: Domain, x: impl Operand) -> Parameter {
        let value = match x.number() {
            Some(number) => ParameterValue::Number(number),
            None => ParameterValue::Tensor(x.operand(&Tensor::scalar(DType::F32, 0))),
        };
        Parameter { name, domain, value }
    }

    /// Returns a message if the parameter is a number outside of its domain.
    fn check(&self) -> Result<(), String> {
        let ParameterValue::Number(number) = self.value else { return Ok(()) };
        let x = match number {
            Scalar::Float(x) => x,
            Scalar::Int(x) => x as f64,
            Scalar::Bool(x) => x as u8 as f64,
            Scalar::Complex(..) => {
                return Err(format!("expected a real {}, got {number:?}", self.name));
            }
        };
        if self.domain.contains(x) {
            return Ok(());
        }
        Err(format!("expected {} as the {}, got {x:?}", self.domain.describe(), self.name))
    }
}

/// Converts the parameters of the distribution `op` to floats of one dtype, which is that of the
/// tensors among them, or f32 if there are none, and broadcasts them to `shape`.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` for numbers outside of their domain, for tensors
/// of complex numbers or without a common dtype, and for shapes that do not broadcast to `shape`.
#[track_caller]
pub(crate) fn float_parameters<const N: usize>(
    op: &str,
    parameters: [Parameter; N],
    shape: &Shape,
    at: CallSite,
) -> Result<[Tensor; N], Tensor> {
    let mut floats = vec![];
    for p in &parameters {
        p.check().map_err(|why| Tensor::fail(op, why, at))?;
        if let ParameterValue::Tensor(x) = &p.value {
            floats.push(x.real_float(op, at)?);
        }
    }
    let floats = promote_operands(op, &floats, at)?;
    let dtype = floats.first().map_or(DType::F32, Tensor::dtype);
    let mut floats = floats.into_iter();
    let values = parameters.map(|p| match p.value {
        ParameterValue::Number(x) => Tensor::from(x.literal(dtype)),
        ParameterValue::Tensor(_) => floats.next().unwrap_or_else(Tensor::placeholder),
    });
    let mut out = values;
    for x in &mut out {
        *x = broadcast_parameter(op, x, shape, at)?;
    }
    Ok(out)
}

/// Broadcasts a parameter to the shape of the sample.
#[track_caller]
pub(crate) fn broadcast_parameter(
    op: &str,
    x: &Tensor,
    shape: &Shape,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let ty = x.type_or_error()?;
    let y = x.broadcast_to(shape);
    if y.error().is_some() {
        let why = format!("expected parameters that broadcast to {shape}, got {ty}");
        return Err(Tensor::fail(op, why, at));
    }
    Ok(y)
}

/// Returns the sizes of `shape`.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` if a dimension is open.
pub(crate) fn sample_shape(op: &str, shape: impl IntoShape, at: CallSite) -> Result<Shape, Tensor> {
    fixed(shape).map_err(|why| Tensor::fail(op, why, at))
}
