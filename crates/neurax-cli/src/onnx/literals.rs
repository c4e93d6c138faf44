//! Values in text form, as JSON has them: the inputs that are written on the command line, and the
//! outputs of `--json`.
//!
//! A tensor is a number, a bool or a text, or nested lists of these. JSON has no numbers that are
//! not finite: they are the texts `NaN`, `inf` and `-inf`. A complex number is a list of its real
//! and its imaginary part.

use super::invalid::invalid;
use neurax::onnx::{MapKey, OnnxValue, Strings};
use neurax::prelude::*;
use serde_json::{Value, json};

/// Returns the value of an input from its text: of strings, JSON lists or one text, of numbers,
/// JSON lists or one number. A single element has `rank` axes of size 1.
///
/// # Errors
/// If lists have different lengths, or elements are no strings or not in the range of the dtype.
pub fn parsed(text: &str, dtype: Option<DType>, rank: usize) -> Result<OnnxValue> {
    let is_list = text.trim_start().starts_with('[');
    let value = match (dtype, is_list) {
        (None, false) => Value::from(text),
        _ => serde_json::from_str(text).or_else(|e| match is_list {
            true => Err(not_json(text, &e)),
            false => Ok(Value::from(text)),
        })?,
    };
    let (mut shape, mut elements) = (vec![], vec![]);
    flatten(&value, 0, &mut shape, &mut elements)?;
    if !is_list {
        shape = vec![1; rank];
    }
    match dtype {
        None => strings(shape, &elements).map(OnnxValue::Strings),
        Some(dtype) => numbers(shape, &elements, dtype).map(OnnxValue::Tensor),
    }
}

/// Returns the error of lists that are no JSON.
fn not_json(text: &str, e: &serde_json::Error) -> Error {
    let lower = text.to_lowercase();
    let is_infinite = ["nan", "inf"].iter().any(|name| lower.contains(name));
    let advice = match is_infinite {
        true => "; write \"NaN\", \"inf\" and \"-inf\" in quotes",
        false => "",
    };
    invalid(format!("expected lists as in JSON, got `{text}`: {e}{advice}"))
}

/// Returns true if the text is the value of a tensor of numbers: JSON lists, a number or a bool.
pub fn is_number_text(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('[') || text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok()
}

/// Returns a value for `--json`.
///
/// # Errors
/// The error that a tensor carries.
pub fn as_json(x: &OnnxValue) -> Result<Value> {
    Ok(match x {
        OnnxValue::Tensor(x) => nested(x.shape().as_ref(), &elements(x)?),
        OnnxValue::Strings(s) => {
            let elements: Vec<Value> = s.elements().iter().map(|x| json!(x)).collect();
            nested(s.shape(), &elements)
        }
        OnnxValue::Sequence(xs) => xs.iter().map(as_json).collect::<Result<_>>()?,
        OnnxValue::Map(entries) => {
            let key = |key: &MapKey| match key {
                MapKey::Int(i) => i.to_string(),
                MapKey::String(s) => s.clone(),
            };
            let entry = |(k, x): &(MapKey, OnnxValue)| Ok((key(k), as_json(x)?));
            Value::Object(entries.iter().map(entry).collect::<Result<_>>()?)
        }
        OnnxValue::Optional(None) => Value::Null,
        OnnxValue::Optional(Some(x)) => as_json(x)?,
    })
}

/// Returns the name of the type of a value: that of a tensor, such as `f32[2, 3]`, or its kind.
///
/// # Errors
/// The error that a tensor carries.
pub fn type_name(x: &OnnxValue) -> Result<String> {
    Ok(match x {
        OnnxValue::Tensor(x) => x.ty()?.to_string(),
        OnnxValue::Strings(s) => format!("string{:?}", s.shape()),
        OnnxValue::Sequence(xs) => format!("sequence of {}", xs.len()),
        OnnxValue::Map(entries) => format!("map of {}", entries.len()),
        OnnxValue::Optional(None) => "none".into(),
        OnnxValue::Optional(Some(x)) => type_name(x)?,
    })
}

/// Adds the elements of nested lists, and the sizes of the lists.
fn flatten<'v>(
    value: &'v Value,
    depth: usize,
    shape: &mut Vec<usize>,
    elements: &mut Vec<&'v Value>,
) -> Result<()> {
    let Value::Array(list) = value else {
        // A list that was met before is deeper than this element.
        if depth != shape.len() {
            return Err(invalid(format!("expected a list beside other lists, got {value}")));
        }
        elements.push(value);
        return Ok(());
    };
    match shape.get(depth) {
        None if elements.is_empty() => shape.push(list.len()),
        Some(&size) if size == list.len() => (),
        Some(size) => {
            return Err(invalid(format!(
                "expected {size} elements, got {} in {value}",
                list.len()
            )));
        }
        None => return Err(invalid(format!("expected no list beside elements, got {value}"))),
    }
    list.iter().try_for_each(|x| flatten(x, depth + 1, shape, elements))
}

fn strings(shape: Vec<usize>, elements: &[&Value]) -> Result<Strings> {
    let text = |x: &&Value| match x {
        Value::String(s) => Ok(s.clone()),
        other => Err(invalid(format!("expected texts in quotes, got {other}"))),
    };
    Strings::new(shape, elements.iter().map(text).collect::<Result<_>>()?)
}

/// Returns a tensor of numbers. Integers are exact.
fn numbers(shape: Vec<usize>, elements: &[&Value], dtype: DType) -> Result<Tensor> {
    let wrong = |x: &Value| invalid(format!("expected numbers of {}, got {x}", dtype.name()));
    if dtype.is_float() || dtype.is_complex() {
        let number = |x: &&Value| match x {
            Value::String(s) => s.parse::<f64>().map_err(|_| wrong(x)),
            x => x.as_f64().ok_or_else(|| wrong(x)),
        };
        let numbers: Vec<f64> = elements.iter().map(number).collect::<Result<_>>()?;
        return Ok(Tensor::from_vec(numbers, shape).to(dtype));
    }
    let integer = |x: &&Value| match x {
        Value::Bool(x) if dtype == BOOL => Ok(i128::from(*x)),
        Value::Number(n) => {
            let n = n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
            n.ok_or_else(|| wrong(x))
        }
        _ => Err(wrong(x)),
    };
    let integers: Vec<i128> = elements.iter().map(integer).collect::<Result<_>>()?;
    // As the widest integer of the same sign, of which every integer dtype is a part.
    let x = match dtype {
        U64 => {
            let unsigned = |(x, i): (&&Value, &i128)| u64::try_from(*i).map_err(|_| wrong(x));
            let all = elements.iter().zip(&integers).map(unsigned).collect::<Result<Vec<_>>>()?;
            Tensor::from_vec(all, shape)
        }
        _ => {
            let signed = |(x, i): (&&Value, &i128)| i64::try_from(*i).map_err(|_| wrong(x));
            let all = elements.iter().zip(&integers).map(signed).collect::<Result<Vec<_>>>()?;
            Tensor::from_vec(all, shape)
        }
    };
    let y = x.to(dtype);
    let back = y.to(x.dtype());
    match back.to_literal()? == x.to_literal()? {
        true => Ok(y),
        false => Err(invalid(format!("expected numbers in the range of {}", dtype.name()))),
    }
}

/// Returns the elements of a tensor.
fn elements(x: &Tensor) -> Result<Vec<Value>> {
    let dtype = x.dtype();
    if dtype.is_complex() {
        let pairs = elements(&x.real())?.into_iter().zip(elements(&x.imag())?);
        return Ok(pairs.map(|(re, im)| json!([re, im])).collect());
    }
    Ok(match dtype {
        BOOL => x.to_vec::<bool>()?.into_iter().map(Value::from).collect(),
        U64 => x.to_vec::<u64>()?.into_iter().map(Value::from).collect(),
        // The shortest digits that name an f32, not those of its f64.
        F32 => x.to_vec::<f32>()?.into_iter().map(|x| float(x.into(), x.to_string())).collect(),
        _ if dtype.is_float() => {
            let all = x.to(F64).to_vec::<f64>()?;
            all.into_iter().map(|x| float(x, x.to_string())).collect()
        }
        _ => x.to(I64).to_vec::<i64>()?.into_iter().map(Value::from).collect(),
    })
}

/// Returns a float with the digits of `text`.
fn float(x: f64, text: String) -> Value {
    match x.is_finite() {
        true => text.parse::<f64>().map_or(Value::from(x), Value::from),
        false => Value::from(text),
    }
}

/// Returns nested lists of elements in row-major order.
fn nested(shape: &[usize], elements: &[Value]) -> Value {
    match shape {
        [] => elements.first().cloned().unwrap_or(Value::Null),
        [_] => Value::from(elements),
        [size, inner @ ..] => {
            let step: usize = inner.iter().product();
            let part =
                |i: usize| nested(inner, elements.get(i * step..(i + 1) * step).unwrap_or(&[]));
            (0..*size).map(part).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str, dtype: DType) -> Result<Tensor> {
        match parsed(text, Some(dtype), 1)? {
            OnnxValue::Tensor(x) => x.ty().map(|_| x),
            other => panic!("expected a tensor, got {other:?}"),
        }
    }

    #[test]
    fn numbers_have_the_shape_of_their_lists() {
        let x = number("[[1, 2.5], [\"NaN\", -3e2]]", F32).unwrap();
        assert_eq!(x.shape(), [2, 2]);
        assert_eq!(as_json(&OnnxValue::Tensor(x)).unwrap(), json!([[1.0, 2.5], ["NaN", -300.0]]));
        assert_eq!(number("16000", I64).unwrap().shape(), [1]);
        let large = number("[18446744073709551615]", U64).unwrap();
        assert_eq!(large.to_vec::<u64>().unwrap(), [u64::MAX]);
        assert_eq!(number("[true, false]", BOOL).unwrap().to_vec::<bool>().unwrap(), [true, false]);
        assert_eq!(number("[[], []]", F32).unwrap().shape(), [2, 0]);
        let third = number("[0.1]", F32).unwrap();
        assert_eq!(as_json(&OnnxValue::Tensor(third)).unwrap().to_string(), "[0.1]");
    }

    #[test]
    fn texts_are_one_string_or_lists() {
        let strings = |text: &str| match parsed(text, None, 2) {
            Ok(OnnxValue::Strings(s)) => (s.shape().to_vec(), s.elements().to_vec()),
            other => panic!("expected strings, got {other:?}"),
        };
        assert_eq!(strings("a = b"), (vec![1, 1], vec!["a = b".to_string()]));
        assert_eq!(strings("12"), (vec![1, 1], vec!["12".to_string()]));
        let (shape, all) = strings("[[\"a\"], [\"\"]]");
        assert_eq!((shape, all), (vec![2, 1], vec!["a".to_string(), String::new()]));
    }

    #[test]
    fn malformed_values_are_errors() {
        for (text, dtype, part) in [
            ("[1, [2]]", Some(F32), "expected no list beside elements, got [2]"),
            ("[[1], 2]", Some(F32), "expected a list beside other lists, got 2"),
            ("[[1], [2, 3]]", Some(F32), "expected 1 elements, got 2 in [2,3]"),
            ("[1, 2", Some(F32), "expected lists as in JSON"),
            ("[[NaN]]", Some(F32), "write \"NaN\", \"inf\" and \"-inf\" in quotes"),
            ("[1, -inf]", Some(F32), "write \"NaN\", \"inf\" and \"-inf\" in quotes"),
            ("[300]", Some(U8), "expected numbers in the range of u8"),
            ("[1.5]", Some(I32), "expected numbers of i32, got 1.5"),
            ("[1]", None, "expected texts in quotes, got 1"),
        ] {
            let e = parsed(text, dtype, 1).unwrap_err().to_string();
            assert!(e.contains(part), "{text}: {e}");
        }
    }
}
