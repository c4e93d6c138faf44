//! The reader of the rows of edge cases that `fixtures/record_edges.py` recorded from JAX.
//! `fixtures/README.md` explains their format.

use neurax_ir::{Complex, Compute, DType, Literal, Type, with_compute};
use std::fs;

/// A row: a function, its operands, and the results that JAX has.
#[derive(Clone, Debug)]
pub struct EdgeRow {
    /// The line of the row in the family's file, from 1 on.
    pub line: usize,
    /// The function's name.
    pub function: String,
    /// The mode: `value`, or the derivative that the results are.
    pub mode: String,
    /// The tolerance.
    pub tolerance: EdgeTolerance,
    /// The key of the exception that defines the results where JAX has others.
    pub exception: Option<String>,
    /// The operands.
    pub operands: Vec<EdgeOperand>,
    /// The results; `None` if the operands are an error.
    pub results: Option<Vec<EdgeResult>>,
}

/// The distance by which a result may differ from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EdgeTolerance {
    /// A number of units in the last place of each element; 0 compares the signs of zeros as well.
    Ulps(u32),
    /// A fraction of the largest finite magnitude of the result.
    OfLargest(f64),
}

/// An operand.
#[derive(Clone, Debug)]
pub enum EdgeOperand {
    /// A tensor.
    Tensor(Literal),
    /// A Rust bool.
    Bool(bool),
    /// A Rust integer.
    Int(i64),
    /// A Rust float.
    Float(f64),
    /// A Rust complex number.
    Complex(Complex<f64>),
}

/// A recorded result.
#[derive(Clone, Debug)]
pub struct EdgeResult {
    /// The result if subnormal numbers are kept.
    pub kept: Literal,
    /// The result if subnormal numbers count as zeros.
    pub flushed: Literal,
}

/// Reads the rows of a family.
///
/// ```
/// let rows = neurax_testkit::edges::read("promotion").unwrap();
/// assert!(rows.iter().any(|r| r.function == "add" && r.results.is_some()));
/// ```
///
/// # Errors
/// If the file does not exist or is not well-formed; the message has the line.
pub fn read(family: &str) -> Result<Vec<EdgeRow>, String> {
    let path = crate::fixtures::folder().join("edges").join(format!("{family}.txt"));
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let rows = text.lines().enumerate().map(|(i, line)| {
        parse_row(i + 1, line).map_err(|e| format!("{}:{}: {e}", path.display(), i + 1))
    });
    rows.collect()
}

fn parse_row(number: usize, line: &str) -> Result<EdgeRow, String> {
    let mut fields = line.split(" | ");
    let mut field =
        |name: &str| fields.next().ok_or(format!("expected {name}, got the line's end"));
    let (head, operands, results) = (field("a head")?, field("operands")?, field("results")?);
    let mut words = head.split(' ').map(str::to_string);
    let mut word = |name: &str| words.next().ok_or(format!("expected {name}, got {head:?}"));
    let (function, mode) = (word("a function")?, word("a mode")?);
    let tolerance = parse_tolerance(&word("a tolerance")?)?;
    let results = match results {
        "error" => None,
        list => Some(list.split("; ").map(parse_result).collect::<Result<_, _>>()?),
    };
    Ok(EdgeRow {
        line: number,
        function,
        mode,
        tolerance,
        exception: words.next(),
        operands: operands.split("; ").map(parse_operand).collect::<Result<_, _>>()?,
        results,
    })
}

fn parse_tolerance(text: &str) -> Result<EdgeTolerance, String> {
    match text.parse() {
        Ok(ulps) => Ok(EdgeTolerance::Ulps(ulps)),
        Err(_) => parse_number(text).map(EdgeTolerance::OfLargest),
    }
}

fn parse_operand(text: &str) -> Result<EdgeOperand, String> {
    let invalid = || format!("invalid operand {text:?}");
    Ok(match text.split_once(' ') {
        Some(("bool", x)) => EdgeOperand::Bool(x == "1"),
        Some(("int", x)) => EdgeOperand::Int(x.parse().map_err(|_| invalid())?),
        Some(("float", x)) => EdgeOperand::Float(parse_number(x)?),
        Some(("complex", x)) => {
            let (re, im) = x.split_once(',').ok_or_else(invalid)?;
            EdgeOperand::Complex(Complex::new(parse_number(re)?, parse_number(im)?))
        }
        _ => EdgeOperand::Tensor(parse_tensor(text)?),
    })
}

fn parse_result(text: &str) -> Result<EdgeResult, String> {
    let alternative = |element: &str, i: usize| element.split('/').nth(i).map(str::to_string);
    let choose = |i: usize| {
        let words = text.split(' ').map(|w| alternative(w, i).unwrap_or_else(|| w.to_string()));
        words.collect::<Vec<_>>().join(" ")
    };
    let parse = |i| parse_tensor(&choose(i));
    Ok(EdgeResult { kept: parse(0)?, flushed: parse(1)? })
}

/// Reads `dtype[sizes] elements`.
fn parse_tensor(text: &str) -> Result<Literal, String> {
    let mut words = text.split(' ');
    let ty = parse_type(words.next().ok_or("expected a type")?)?;
    let elements: Vec<&str> = words.collect();
    if elements.len() != ty.size() {
        return Err(format!("expected {} elements of {ty}, got {}", ty.size(), elements.len()));
    }
    let mut result = Ok(());
    let literal = with_compute!(any ty.dtype, C => Literal::build(ty.clone(), |out: &mut [C]| {
        for (o, text) in out.iter_mut().zip(&elements) {
            match parse_element::<C>(text, ty.dtype) {
                Ok(x) => *o = x,
                Err(e) => result = Err(e),
            }
        }
    }));
    result.map(|()| literal)
}

fn parse_type(text: &str) -> Result<Type, String> {
    let invalid = || format!("invalid type {text:?}");
    let (dtype, sizes) =
        text.strip_suffix(']').and_then(|t| t.split_once('[')).ok_or_else(invalid)?;
    let sizes: Result<Vec<usize>, _> =
        sizes.split(',').filter(|s| !s.is_empty()).map(str::parse).collect();
    Ok(Type::new(DType::parse(dtype).ok_or_else(invalid)?, sizes.map_err(|_| invalid())?))
}

fn parse_element<C: Compute>(text: &str, dtype: DType) -> Result<C, String> {
    if !dtype.is_differentiable() {
        let x = text.parse().map_err(|_| format!("invalid integer {text:?}"))?;
        return Ok(C::from_i128(x));
    }
    match text.split_once(',') {
        Some((re, im)) => Ok(C::from_parts(parse_number(re)?, parse_number(im)?)),
        None => Ok(C::from_f64(parse_number(text)?)),
    }
}

fn parse_number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("invalid number {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back() {
        let row =
            parse_row(7, "div value 4 key | f16[2] 1 -0; int 3 | f32[1,2] 1e-45/0 nan").unwrap();
        assert_eq!((row.line, &*row.function, &*row.mode), (7, "div", "value"));
        assert_eq!(row.tolerance, EdgeTolerance::Ulps(4));
        assert_eq!(row.exception.as_deref(), Some("key"));
        assert_eq!(row.operands.len(), 2);
        let result = &row.results.unwrap()[0];
        assert_eq!(result.kept.ty().to_string(), "f32[1, 2]");
        assert_eq!(result.kept.to_vec::<f32>().unwrap()[0], f32::from_bits(1));
        assert_eq!(result.flushed.to_vec::<f32>().unwrap()[0], 0.0);
    }

    #[test]
    fn errors_name_what_is_missing() {
        assert!(parse_row(1, "div value").unwrap_err().contains("expected operands"));
        assert!(parse_row(1, "div value 0 | f32[2] 1 | error").unwrap_err().contains("2 elements"));
        assert!(parse_row(1, "div value 0 | x32[] 1 | error").unwrap_err().contains("x32"));
    }
}
