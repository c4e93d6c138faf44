//! Tensors as text: as in NumPy, with dtype and shape, and with the commas of a literal.

use crate::{Tensor, Type, tensor::Repr};
use neurax_ir::{Compute, DType, Kind, Literal, with_compute};
use std::fmt;

/// The largest size in elements that is printed in full.
const MAX_PRINTED_ELEMENTS: usize = 1000;
/// The number of entries that are printed at each end of a long axis.
const EDGE_ENTRIES: usize = 3;
/// The most digits that are printed after the decimal point.
const MAX_DECIMALS: usize = 4;

/// Prints the type and the elements: `f32[2] [1.0, 2.0]`. A matrix starts on a new line; of long
/// axes only the ends are printed.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(tensor([1.0, 2.5]).to_string(), "f32[2] [1.0, 2.5]");
/// assert_eq!(tensor([[1, 10], [-3, 4]]).to_string(), "i32[2, 2]\n[[ 1, 10],\n [-3,  4]]");
/// let long = Tensor::arange(2000).to_string();
/// assert_eq!(long, "i32[2000] [   0,    1,    2, ..., 1997, 1998, 1999]");
/// ```
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.0 {
            Repr::Error(e) => write!(f, "error: {e}"),
            Repr::Traced(t) => write!(f, "{} (traced)", t.ty),
            _ if !self.has_value() => write!(f, "{} (inside vmap)", self.dtype()),
            _ => match self.to_literal() {
                Ok(x) => write_literal(f, &x),
                Err(e) => write!(f, "error: {e}"),
            },
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_literal(f: &mut fmt::Formatter, x: &Literal) -> fmt::Result {
    let ty = x.ty();
    if ty.size() == 0 {
        // The number of empty rows may be huge; the type already shows the shape.
        return write!(f, "{ty} []");
    }
    write!(f, "{ty}{}", if ty.rank() > 1 { "\n" } else { " " })?;
    let shown = shown_indices(ty);
    let words = words(x, &shown, f.precision());
    let width = words.iter().map(|w| w.len()).max().unwrap_or(0);
    let mut words = words.iter();
    write_axis(f, ty, 0, width, &mut words)
}

/// Returns true if entries of long axes are left out.
fn is_elided(ty: &Type) -> bool {
    ty.size() > MAX_PRINTED_ELEMENTS
}

/// Returns the indices of one axis that are printed; `None` stands for the omitted ones.
fn entries(ty: &Type, axis: usize) -> Vec<Option<usize>> {
    let n = ty.shape[axis];
    if is_elided(ty) && n > 2 * EDGE_ENTRIES {
        (0..EDGE_ENTRIES).map(Some).chain([None]).chain((n - EDGE_ENTRIES..n).map(Some)).collect()
    } else {
        (0..n).map(Some).collect()
    }
}

/// Returns the row-major indices of the printed elements, in order.
fn shown_indices(ty: &Type) -> Vec<usize> {
    let strides = ty.shape.strides();
    let mut out = vec![0];
    for (axis, stride) in strides.iter().enumerate() {
        let at: Vec<usize> = entries(ty, axis).into_iter().flatten().collect();
        out = out.iter().flat_map(|o| at.iter().map(move |i| o + i * stride)).collect();
    }
    out
}

/// Writes the elements of `axis` and of the axes behind it; `words` are the elements in order.
fn write_axis<'w>(
    f: &mut fmt::Formatter,
    ty: &Type,
    axis: usize,
    width: usize,
    words: &mut impl Iterator<Item = &'w String>,
) -> fmt::Result {
    if axis == ty.rank() {
        return write!(f, "{:>width$}", words.next().map_or("", |w| w));
    }
    f.write_str("[")?;
    for (k, entry) in entries(ty, axis).into_iter().enumerate() {
        if k > 0 {
            // Rows are separated by a line break, blocks of rows by blank lines, too.
            let breaks = ty.rank() - 1 - axis;
            write!(
                f,
                ",{}",
                if breaks == 0 {
                    " ".into()
                } else {
                    format!("{}{}", "\n".repeat(breaks), " ".repeat(axis + 1))
                }
            )?;
        }
        match entry {
            Some(_) => write_axis(f, ty, axis + 1, width, words)?,
            None => f.write_str("...")?,
        }
    }
    f.write_str("]")
}

/// Returns the elements at the row-major indices `at` as text, floats with the number of decimals
/// if there is one.
fn words(x: &Literal, at: &[usize], decimals: Option<usize>) -> Vec<String> {
    let dtype = x.dtype();
    match dtype.kind() {
        Kind::Bool => {
            with_compute!(any dtype, C => {
                let v = x.load::<C>();
                at.iter().map(|&i| (v[i] != C::ZERO).to_string()).collect()
            })
        }
        Kind::Signed | Kind::Unsigned => {
            with_compute!(any dtype, C => {
                let v = x.load::<C>();
                at.iter().map(|&i| v[i].to_i128().to_string()).collect()
            })
        }
        Kind::Float | Kind::Storage => {
            let values: Vec<f64> = with_compute!(any dtype, C => {
                let v = x.load::<C>();
                at.iter().map(|&i| v[i].to_f64()).collect()
            });
            floats(&values, dtype, decimals)
        }
        Kind::Complex => {
            let parts: Vec<(f64, f64)> = with_compute!(any dtype, C => {
                let v = x.load::<C>();
                at.iter().map(|&i| v[i].parts()).collect()
            });
            let (re, im): (Vec<f64>, Vec<f64>) = parts.into_iter().unzip();
            let format_complex = |(re, im): (String, String)| {
                format!("{re}{}{im}i", if im.starts_with('-') { "" } else { "+" })
            };
            floats(&re, dtype.real(), decimals)
                .into_iter()
                .zip(floats(&im, dtype.real(), decimals))
                .map(format_complex)
                .collect()
        }
    }
}

/// Formats floats in one notation: with the number of decimals of the one that needs most, at most
/// [`MAX_DECIMALS`], or all in scientific notation if one is very large or very small; with
/// `decimals` in the notation of Rust.
fn floats(v: &[f64], dtype: DType, decimals: Option<usize>) -> Vec<String> {
    let finite = || v.iter().copied().filter(|x| x.is_finite() && *x != 0.0).map(f64::abs);
    let (most, least) = (finite().fold(0.0, f64::max), finite().fold(f64::INFINITY, f64::min));
    let is_wide = most >= 1e8 || least < 1e-4 || most / least > 1e8;
    let scientific = decimals.is_none() && is_wide;
    let shortest =
        |x: f64| if dtype == DType::F64 { format!("{x}") } else { format!("{}", x as f32) };
    let digits = |x: &f64| shortest(*x).split_once('.').map_or(1, |(_, d)| d.len());
    let most_digits = || v.iter().filter(|x| x.is_finite()).map(digits).max().unwrap_or(1);
    let precision = decimals.unwrap_or_else(|| most_digits().clamp(1, MAX_DECIMALS));
    let word = |x: &f64| match x {
        x if x.is_nan() => "nan".to_string(),
        x if x.is_infinite() => if *x > 0.0 { "inf" } else { "-inf" }.to_string(),
        x if scientific => format!("{x:.MAX_DECIMALS$e}"),
        x => format!("{x:.precision$}"),
    };
    v.iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn a_precision_is_the_number_of_decimals() {
        let x = tensor([1.0, 0.5]).to(F64) / 3.0;
        assert_eq!(format!("{x:.6}"), "f64[2] [0.333333, 0.166667]");
        assert_eq!(format!("{:.1}", tensor([1e9, 1e-9])), "f32[2] [1000000000.0,          0.0]");
        assert_eq!(format!("{:.1}", tensor([1, 2])), "i32[2] [1, 2]");
    }

    #[test]
    fn an_empty_tensor_is_printed_as_its_type() {
        assert_eq!(Tensor::zeros([0]).to_string(), "f32[0] []");
        assert_eq!(Tensor::zeros([1 << 40, 0]).to_string(), "f32[1099511627776, 0] []");
    }
}
