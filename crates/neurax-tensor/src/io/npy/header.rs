//! The header of a `.npy` file: a dictionary of Python as text.

use neurax_ir::{DType, Error, Result, Type};
use std::io::Read;

/// The first bytes of a file.
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The bytes of magic, version and length before the header of version 1.0.
const PREFIX_BYTES: usize = 10;

/// The elements of a written file start at a multiple of this number of bytes, as NumPy's do.
const ELEMENT_ALIGNMENT: usize = 64;

/// The largest header in bytes that is read. The header of a tensor of 64 axes takes 1.5 KiB.
const MAX_NPY_HEADER_BYTES: usize = 1 << 16;

/// The largest number of axes that is read, as in NumPy.
const MAX_NPY_AXES: usize = 64;

/// The dtypes that NumPy has, with its code: the kind and the bytes of an element.
const NUMPY_DTYPES: [(DType, &str); 14] = [
    (DType::Bool, "b1"),
    (DType::U8, "u1"),
    (DType::U16, "u2"),
    (DType::U32, "u4"),
    (DType::U64, "u8"),
    (DType::I8, "i1"),
    (DType::I16, "i2"),
    (DType::I32, "i4"),
    (DType::I64, "i8"),
    (DType::F16, "f2"),
    (DType::F32, "f4"),
    (DType::F64, "f8"),
    (DType::C64, "c8"),
    (DType::C128, "c16"),
];

/// The description of the elements of a file.
pub(in crate::io) struct NpyHeader {
    pub(in crate::io) ty: Type,
    /// True if numbers are in the byte order that this machine does not have.
    pub(in crate::io) swapped: bool,
    /// True if the first axis varies fastest.
    pub(in crate::io) fortran_order: bool,
    /// The number of bytes before the elements.
    pub(in crate::io) length: usize,
}

impl NpyHeader {
    /// Checks that the elements take the rest of a file of `size` bytes.
    ///
    /// # Errors
    /// When there are more or fewer bytes behind the header.
    pub(in crate::io) fn check_size(&self, size: u64) -> Result<()> {
        let (bytes, rest) = (self.ty.bytes()?, size.saturating_sub(self.length as u64));
        if rest == bytes as u64 {
            return Ok(());
        }
        let ty = &self.ty;
        Err(malformed(format!("expected {bytes} bytes for {ty} behind the header, got {rest}")))
    }

    /// Checks that the elements of a row are contiguous.
    ///
    /// # Errors
    /// When the array is in Fortran order, and has several axes.
    pub(in crate::io) fn check_rows(&self) -> Result<()> {
        if !self.fortran_order || self.ty.rank() <= 1 {
            return Ok(());
        }
        let why = "expected contiguous rows, got an array in Fortran order; load it whole, or save \
                   it with `numpy.ascontiguousarray`";
        Err(malformed(why))
    }
}

/// Returns the bytes before the elements of a file of `ty`, in version 1.0.
///
/// # Errors
/// When NumPy lacks the dtype.
pub(super) fn text(ty: &Type) -> Result<Vec<u8>, String> {
    let known = NUMPY_DTYPES.iter().find(|(dtype, _)| *dtype == ty.dtype);
    let (_, code) = known.ok_or_else(|| {
        format!("NumPy has no {}; convert it first, e.g. with `.to(F32)`", ty.dtype)
    })?;
    let order = if ty.dtype.bits() == 8 { '|' } else { '<' };
    let sizes: Vec<String> = ty.shape.iter().map(|n| format!("{n},")).collect();
    let shape = sizes.join(" ");
    // Python writes `(2, 3)` and `(2,)`; the comma behind the last of several sizes is left out.
    let shape = if ty.rank() > 1 { shape.trim_end_matches(',') } else { &shape };
    let mut header =
        format!("{{'descr': '{order}{code}', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = (PREFIX_BYTES + header.len() + 1).next_multiple_of(ELEMENT_ALIGNMENT);
    header.push_str(&" ".repeat(length - PREFIX_BYTES - header.len() - 1));
    header.push('\n');
    let bytes = u16::try_from(header.len()).map_err(|_| format!("{ty} has too many axes"))?;
    Ok([&MAGIC[..], &[1, 0], &bytes.to_le_bytes(), header.as_bytes()].concat())
}

/// Reads the header.
///
/// # Errors
/// When it is malformed, too long, or of an unknown version or dtype.
pub(in crate::io) fn read(from: &mut impl Read) -> Result<NpyHeader> {
    let mut start = [0; 8];
    exact(from, &mut start)?;
    if &start[..6] != MAGIC {
        return Err(malformed("expected a .npy file, which starts with the bytes \\x93NUMPY"));
    }
    let (bytes_of_length, length) = match start[6] {
        1 => {
            let mut length = [0; 2];
            exact(from, &mut length)?;
            (2, u16::from_le_bytes(length) as usize)
        }
        2 | 3 => {
            let mut length = [0; 4];
            exact(from, &mut length)?;
            (4, u32::from_le_bytes(length) as usize)
        }
        other => return Err(malformed(format!("expected version 1, 2 or 3, got {other}"))),
    };
    if length > MAX_NPY_HEADER_BYTES {
        let why =
            format!("expected a header of at most {MAX_NPY_HEADER_BYTES} bytes, got {length}");
        return Err(malformed(why));
    }
    let mut text = vec![0; length];
    exact(from, &mut text)?;
    // Latin-1 up to version 2, UTF-8 from version 3 on. What is read here is ASCII.
    let text = String::from_utf8_lossy(&text);
    let length = start.len() + bytes_of_length + length;
    header(&text, length).map_err(|why| malformed(format!("the header {}: {why}", text.trim_end())))
}

fn exact(from: &mut impl Read, to: &mut [u8]) -> Result<()> {
    from.read_exact(to).map_err(|_| malformed("expected a .npy file, got one that is cut short"))
}

fn malformed(why: impl Into<String>) -> Error {
    Error::new("load", why)
}

/// Returns the header with the dictionary `text`.
fn header(text: &str, length: usize) -> Result<NpyHeader, String> {
    let mut text = Python { rest: text };
    let (mut dtype, mut fortran_order, mut shape) = (None, None, None);
    text.expect('{')?;
    while !text.found('}') {
        let key = text.string()?;
        text.expect(':')?;
        let again = match key {
            "descr" => dtype.replace(dtype_of(&mut text)?).is_some(),
            "fortran_order" => fortran_order.replace(text.boolean()?).is_some(),
            "shape" => shape.replace(text.tuple()?).is_some(),
            _ => return Err(format!("expected no key '{key}'")),
        };
        if again {
            return Err(format!("expected one key '{key}', got two"));
        }
        if !text.found(',') {
            text.expect('}')?;
            break;
        }
    }
    if !text.rest.trim().is_empty() {
        return Err(format!("expected its end, got `{}`", text.rest.trim()));
    }
    let (dtype, swapped) = dtype.ok_or("expected a key 'descr'")?;
    let shape = shape.ok_or("expected a key 'shape'")?;
    let fortran_order = fortran_order.ok_or("expected a key 'fortran_order'")?;
    Ok(NpyHeader { ty: Type::new(dtype, shape), swapped, fortran_order, length })
}

/// Reads a dtype, and returns true with it if its byte order is not that of this machine.
fn dtype_of(text: &mut Python) -> Result<(DType, bool), String> {
    if text.rest.trim_start().starts_with('[') {
        return Err("expected numbers, got a structured dtype; save each field alone".into());
    }
    let code = text.string()?;
    let (order, kind) = match code.split_at_checked(1) {
        Some((order @ ("<" | ">" | "|" | "="), kind)) => (order, kind),
        _ => ("=", code),
    };
    let known = NUMPY_DTYPES.iter().find(|(_, theirs)| *theirs == kind);
    let (dtype, _) = known.ok_or_else(|| unknown(code, kind))?;
    let swapped = match order {
        "<" => cfg!(target_endian = "big"),
        ">" => cfg!(target_endian = "little"),
        _ => false,
    };
    Ok((*dtype, swapped))
}

/// Returns the message for a dtype that is not ours.
fn unknown(code: &str, kind: &str) -> String {
    let what = match kind.chars().next() {
        Some('O') => "Python objects, which are pickles",
        Some('U' | 'S' | 'a') => "strings",
        Some('M' | 'm') => "dates or times",
        Some('V') => "raw bytes (as which NumPy saves bf16 and f8; save them as integers or f32)",
        _ => "elements of a dtype that Neurax does not know",
    };
    format!("expected numbers or bools, got '{code}': {what}")
}

/// A reader of the literals of Python that a header consists of.
struct Python<'t> {
    rest: &'t str,
}

impl<'t> Python<'t> {
    /// Skips white space and `c`; returns false if there is no `c`.
    fn found(&mut self, c: char) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.strip_prefix(c);
        self.rest = found.unwrap_or(rest);
        found.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.found(c) { Ok(()) } else { Err(self.wrong(&format!("`{c}`"))) }
    }

    fn wrong(&self, want: &str) -> String {
        match self.rest.chars().next() {
            Some(c) => format!("expected {want}, got `{c}`"),
            None => format!("expected {want}, got its end"),
        }
    }

    /// Reads a string without escapes.
    fn string(&mut self) -> Result<&'t str, String> {
        let quote = if self.found('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (text, rest) = self.rest.split_once(quote).ok_or("expected the end of a string")?;
        self.rest = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        let rest = self.rest.trim_start();
        for (name, value) in [("False", false), ("True", true)] {
            if let Some(rest) = rest.strip_prefix(name) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("expected True or False".into())
    }

    /// Reads a tuple of sizes.
    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut sizes = vec![];
        self.expect('(')?;
        while !self.found(')') {
            if sizes.len() == MAX_NPY_AXES {
                return Err(format!("expected at most {MAX_NPY_AXES} axes"));
            }
            sizes.push(self.size()?);
            if !self.found(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }

    fn size(&mut self) -> Result<usize, String> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        let wrong = |_| format!("expected the size of an axis, got `{digits}`");
        let size = digits.parse().map_err(wrong)?;
        // Python 2 wrote long integers with a suffix.
        self.rest = rest.strip_prefix('L').unwrap_or(rest);
        Ok(size)
    }
}
