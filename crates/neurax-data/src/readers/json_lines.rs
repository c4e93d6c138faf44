//! JSON lines: a file with a JSON value in each line (<https://jsonlines.org>).

use super::text_lines::{line_error, numbered_lines};
use crate::stream::Stream;
use neurax_tensor::{Result, Tensor, Tree};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns the values in the lines of a file, as the type `T` of the user. Empty lines are skipped.
/// The file is read while the items are used, again for each epoch, and may be larger than memory;
/// [`Stream::prefetch`] parses several lines in parallel.
///
/// # Errors
/// An item is an error if the file cannot be read, or a line is not a value of `T`: the message has
/// the file, the line and the column. See [`text_lines`](crate::text_lines) as well.
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-lines.jsonl");
/// std::fs::write(&path, "[1, [2, 3]]\n[4, [5, 6]]\n")?;
/// let rows = data::json_lines::<(f32, Vec<f32>)>(&path);
/// let batches = rows.map(|(y, x)| (tensor(x), tensor(y))).batch(2);
/// assert_eq!(batches.epoch(0).next().unwrap()?.x.to_vec::<f32>()?, [2.0, 3.0, 5.0, 6.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn json_lines<T: DeserializeOwned + Send + 'static>(path: impl Into<PathBuf>) -> Stream<T> {
    let path = path.into();
    let file = path.clone();
    without_empty_lines(path).map_indexed(move |_, (line, text)| parse(&file, line, &text))
}

/// Returns the numbers in some fields of the objects in the lines of a file, as f32: a number or
/// bool as a scalar, nested lists as a tensor. Other fields are skipped. For other fields than
/// numbers, see [`json_lines`].
///
/// # Errors
/// As [`json_lines`], and if a line has no such field, or it holds anything but numbers and
/// rectangular lists of them.
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-tensors.jsonl");
/// std::fs::write(&path, r#"{"pixels": [[0, 1], [2, 3]], "label": 1, "name": "a"}"#)?;
/// let rows = data::json_tensors(&path, ["pixels", "label"]);
/// let row = rows.epoch(0).next().unwrap()?;
/// assert_eq!(row["pixels"].shape(), [2, 2]);
/// assert_eq!(row["label"].item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn json_tensors<S: Into<String>>(
    path: impl Into<PathBuf>,
    fields: impl IntoIterator<Item = S>,
) -> Stream<BTreeMap<String, Tensor>> {
    let path = path.into();
    let file = path.clone();
    let fields: Vec<String> = fields.into_iter().map(Into::into).collect();
    without_empty_lines(path).map_indexed(move |_, (line, text)| {
        let mut object: BTreeMap<String, Value> = parse(&file, line, &text)?;
        let tensor = |name: &String| {
            let failed = |why: String| {
                line_error(JSON_LINES_OP, &file, line, format!("field `{name}`: {why}"))
            };
            let value =
                object.remove(name).ok_or_else(|| failed("expected it, got none".into()))?;
            Ok((name.clone(), to_tensor(&value).map_err(failed)?))
        };
        fields.iter().map(tensor).collect()
    })
}

/// The operation in errors.
const JSON_LINES_OP: &str = "json_lines";

fn without_empty_lines(path: PathBuf) -> Stream<(usize, String)> {
    numbered_lines(JSON_LINES_OP, path).filter(|(_, text)| !text.trim().is_empty())
}

fn parse<T: DeserializeOwned>(path: &Path, line: usize, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| {
        let all = e.to_string();
        let why = all.split(" at line ").next().unwrap_or(&all);
        line_error(JSON_LINES_OP, path, line, format!("column {}: {why}", e.column()))
    })
}

/// Returns the numbers of a value. The text of the error completes the name of the field.
fn to_tensor(value: &Value) -> Result<Tensor, String> {
    let (mut shape, mut numbers) = (Vec::new(), Vec::new());
    let mut inner = value;
    while let Value::Array(items) = inner {
        shape.push(items.len());
        match items.first() {
            Some(first) => inner = first,
            None => break,
        }
    }
    collect(value, &shape, &mut numbers)?;
    Tensor::from_vec(numbers, shape).ok().map_err(|e| e.message().to_string())
}

/// Appends the numbers of a value of `shape`.
fn collect(value: &Value, shape: &[usize], numbers: &mut Vec<f32>) -> Result<(), String> {
    match (value, shape.split_first()) {
        (Value::Array(items), Some((&n, rest))) if items.len() == n => {
            items.iter().try_for_each(|item| collect(item, rest, numbers))
        }
        (Value::Array(items), Some((n, _))) => {
            Err(format!("expected lists of {n} items, as the first one, got {}", items.len()))
        }
        (Value::Number(number), None) => {
            let x = number.as_f64().ok_or_else(|| format!("expected a number, got {number}"))?;
            if (x as f32).is_infinite() {
                return Err(format!("expected a number in the range of f32, got {number}"));
            }
            numbers.push(x as f32);
            Ok(())
        }
        (Value::Bool(b), None) => {
            numbers.push(f32::from(u8::from(*b)));
            Ok(())
        }
        (Value::Array(_), None) => Err("expected numbers, as in the first list, got a list".into()),
        (other, _) => Err(format!("expected a number, a bool or a list of them, got {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("neurax-json-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn error(text: &str) -> String {
        let path = file("error", text);
        let result: Result<Vec<_>> = json_tensors(path, ["x"]).epoch(0).collect();
        result.unwrap_err().to_string()
    }

    #[test]
    fn fields_are_tensors_of_their_shape() {
        let text = "{\"x\": [[1, 2.5], [true, -4]], \"y\": 7}\n\n{\"x\": [], \"y\": false}\n";
        let rows = json_tensors(file("fields", text), ["x", "y"]);
        let rows: Vec<_> = rows.epoch(0).collect::<Result<_>>().unwrap();
        assert_eq!(rows[0]["x"].to_string(), "f32[2, 2]\n[[ 1.0,  2.5],\n [ 1.0, -4.0]]");
        assert_eq!((rows[1]["x"].shape()[0], rows[1]["y"].item().unwrap()), (0, 0.0));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_value() {
        let rows = json_lines::<Vec<i32>>(file("bom", "\u{feff}[1]\r\n[2, 3]\r\n"));
        assert_eq!(rows.epoch(0).collect::<Result<Vec<_>>>().unwrap(), [vec![1], vec![2, 3]]);
    }

    #[test]
    fn errors_name_line_and_column_or_field() {
        let bad = error("{\"x\": 1}\n{\"x\": 1,}\n");
        assert!(bad.contains("line 2: column 9: "), "{bad}");
        for (text, why) in [
            ("{\"y\": 1}", "line 1: field `x`: expected it, got none"),
            ("{\"x\": \"a\"}", "expected a number, a bool or a list of them, got \"a\""),
            ("{\"x\": [[1, 2], [3]]}", "expected lists of 2 items, as the first one, got 1"),
            ("{\"x\": [1, [2]]}", "expected numbers, as in the first list, got a list"),
            ("{\"x\": [[1], 2]}", "got 2"),
            ("{\"x\": [1, -1e300]}", "field `x`: expected a number in the range of f32, got -1e"),
        ] {
            assert!(error(text).contains(why), "{text}: {}", error(text));
        }
        let typed = json_lines::<Vec<i32>>(file("typed", "[1]\n[\"a\"]\n"));
        let items: Vec<_> = typed.epoch(0).collect();
        let error = items[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("line 2: column 4: invalid type: string"), "{error}");
    }
}
