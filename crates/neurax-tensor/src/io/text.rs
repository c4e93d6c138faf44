//! Matrices of numbers as text, as NumPy's `loadtxt`, `savetxt` and `fromstring`: a row a line,
//! numbers separated by blanks, tabs, commas or semicolons, and comments from `#` to the end of the
//! line. A table with names of columns is read by `neurax::data::csv`.

use super::{in_file, load_file, open_file, replace::replace_file};
use crate::{DType, Error, Result, Tensor};
use neurax_ir::{Compute, Kind, Literal, Type, with_compute};
use std::{
    fmt::Write as _,
    io::{Read, Write},
    path::Path,
};

/// Reads a matrix `[rows, columns]` of `dtype` from text. Lines without numbers are skipped; text
/// without numbers is a matrix `[0, 0]`. Numbers are written as in Rust: `1`, `-2.5e3`, `inf`,
/// `nan`; bools as `true`, `false`, `1` or `0`.
///
/// # Errors
/// When a word is not a number that the dtype holds, or the rows differ in length: the message has
/// the line; when the dtype is complex.
///
/// ```
/// use neurax::io::text;
/// use neurax::prelude::*;
/// let x = text::parse("# x y\n1 2.5\n3, -4e1\n", F32)?;
/// assert_eq!(x.to_nested::<Vec<Vec<f32>>>()?, [[1.0, 2.5], [3.0, -40.0]]);
/// let e = text::parse("1 2\n3 four", F32).unwrap_err().to_string();
/// assert_eq!(e, "parse: line 2: expected a number of f32, got `four`");
/// # Ok::<(), Error>(())
/// ```
pub fn parse(text: &str, dtype: DType) -> Result<Tensor> {
    if dtype.kind() == Kind::Complex {
        return Err(failed(format!("expected a real dtype, got {dtype}; read both parts apart")));
    }
    let (mut numbers, mut rows, mut columns) = (vec![], 0, 0);
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words = line.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
        let before = numbers.len();
        for word in words.filter(|w| !w.is_empty()) {
            numbers.push(number(word, dtype).ok_or_else(|| {
                failed(format!("line {}: expected a number of {dtype}, got `{word}`", i + 1))
            })?);
        }
        let found = numbers.len() - before;
        if found > 0 {
            if rows > 0 && found != columns {
                let why = format!("line {}: expected {columns} numbers, got {found}", i + 1);
                return Err(failed(why));
            }
            (rows, columns) = (rows + 1, found);
        }
    }
    let ty = Type::new(dtype, [rows, columns]);
    Ok(Tensor::from(with_compute!(any dtype, C => Literal::build(ty, |out: &mut [C]| {
        for (o, x) in out.iter_mut().zip(&numbers) {
            *o = match *x {
                ParsedNumber::Int(x) => C::from_i128(x),
                ParsedNumber::Float(x) => C::from_f64(x),
            };
        }
    }))))
}

/// Reads a matrix from a file as [`parse`] does.
///
/// # Errors
/// As [`parse`]; when the file cannot be read, is not a regular file, or is not UTF-8.
///
/// ```
/// use neurax::io::text;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc.txt");
/// text::save(&tensor([[1, 2], [3, 4]]), &path)?;
/// assert_eq!(text::load(&path, I32)?.shape(), [2, 2]);
/// # Ok::<(), Error>(())
/// ```
pub fn load(path: impl AsRef<Path>, dtype: DType) -> Result<Tensor> {
    load_file(path.as_ref(), |path| {
        let mut text = String::new();
        open_file(path)?.read_to_string(&mut text)?;
        parse(&text, dtype)
    })
}

/// Returns the elements as text: a line for each row of a matrix, or for each element of a vector,
/// with blanks between numbers. Every number is written such that [`parse`] returns it.
///
/// # Errors
/// The error that the tensor carries; when it has not 1 or 2 axes, is complex, or is being traced.
///
/// ```
/// use neurax::io::text;
/// use neurax::prelude::*;
/// assert_eq!(text::format(&tensor([[1.0, 0.1], [3.5, -4.0]]))?, "1 0.1\n3.5 -4\n");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn format(x: &Tensor) -> Result<String> {
    let x = x.to_literal()?;
    let columns = match x.shape()[..] {
        [_] => 1,
        [_, columns] => columns,
        _ => return Err(failed(format!("expected a vector or a matrix, got {}", x.ty()))),
    };
    let dtype = x.dtype();
    if dtype.is_complex() {
        return Err(failed(format!("expected real numbers, got {}; save both parts", x.ty())));
    }
    let words: Vec<String> = with_compute!(any dtype, C => {
        x.load::<C>().iter().map(|&x| match dtype.kind() {
            Kind::Float if dtype == DType::F64 => x.to_f64().to_string(),
            Kind::Float | Kind::Storage => (x.to_f64() as f32).to_string(),
            _ => x.to_i128().to_string(),
        }).collect()
    });
    let mut text = String::new();
    for row in words.chunks(columns.max(1)) {
        let _ = writeln!(text, "{}", row.join(" "));
    }
    Ok(text)
}

/// Writes the elements to a file as [`format()`] does. An existing file is replaced when the new
/// one is complete.
///
/// # Errors
/// As [`format()`]; when the file cannot be written.
///
/// ```
/// use neurax::io::text;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-text-save.txt");
/// text::save(&tensor([[1.0, 0.5], [2.0, -4.0]]), &path)?;
/// assert_eq!(std::fs::read_to_string(&path)?, "1 0.5\n2 -4\n");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn save(x: &Tensor, path: impl AsRef<Path>) -> Result<()> {
    let (text, path) = (format(x)?, path.as_ref());
    replace_file(path, |file| file.write_all(text.as_bytes())).map_err(|e| in_file("save", path, e))
}

/// A number of the text.
enum ParsedNumber {
    Int(i128),
    Float(f64),
}

/// Returns the number that `word` denotes, if `dtype` holds it.
fn number(word: &str, dtype: DType) -> Option<ParsedNumber> {
    match (dtype.int_range(), dtype) {
        (Some(range), _) => word.parse().ok().filter(|x| range.contains(x)).map(ParsedNumber::Int),
        (None, DType::Bool) => match word {
            "true" | "True" | "1" => Some(ParsedNumber::Int(1)),
            "false" | "False" | "0" => Some(ParsedNumber::Int(0)),
            _ => None,
        },
        (None, DType::F64) => word.parse().ok().map(ParsedNumber::Float),
        // Rounded once: the nearest f64 may be a tie between two f32.
        (None, _) => word.parse::<f32>().ok().map(|x| ParsedNumber::Float(x as f64)),
    }
}

fn failed(why: String) -> Error {
    Error::new("parse", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{prelude::*, testing::Draw};

    #[test]
    fn every_real_dtype_returns_from_its_text() {
        let mut draw = Draw::new(3);
        for dtype in DType::ALL.into_iter().filter(|d| !d.is_complex()) {
            for x in [draw.tensor(dtype, [4, 3]), draw.edges(dtype, [20, 1])] {
                let back = parse(&format(&x).unwrap(), dtype).unwrap();
                let (x, back) = (x.to_literal().unwrap(), back.to_literal().unwrap());
                // The largest f8e4m3fn of 20 may be NaN, whose sign is not written.
                let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
                assert_eq!(x.ty(), back.ty());
                assert!(x.to_f64s().iter().zip(&back.to_f64s()).all(same), "{x:?} {back:?}");
            }
        }
    }

    #[test]
    fn lines_without_numbers_are_skipped() {
        let x = parse("\n# only a comment\n1;2 # and one\n\n\t3\t4\n", I64).unwrap();
        assert_eq!(x.to_nested::<Vec<Vec<i64>>>().unwrap(), [[1, 2], [3, 4]]);
        assert_eq!(parse("# nothing", F32).unwrap().shape(), [0, 0]);
    }

    #[test]
    fn what_the_dtype_does_not_hold_is_an_error() {
        let message = |text, dtype| parse(text, dtype).unwrap_err().message().to_string();
        assert_eq!(message("1\n256", U8), "line 2: expected a number of u8, got `256`");
        assert_eq!(message("1.5", I32), "line 1: expected a number of i32, got `1.5`");
        assert_eq!(message("1 2\n3", F32), "line 2: expected 2 numbers, got 1");
        assert_eq!(message("2", BOOL), "line 1: expected a number of bool, got `2`");
        assert_eq!(message("1", C64), "expected a real dtype, got c64; read both parts apart");
        let e = format(&tensor([[[1.0]]])).unwrap_err();
        assert_eq!(e.message(), "expected a vector or a matrix, got f32[1, 1, 1]");
    }
}
