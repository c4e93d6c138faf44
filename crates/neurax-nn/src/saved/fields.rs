//! The form of options in files: dtypes by name, dims as numbers, `null` and names, numbers of
//! operators, tensors as bytes.

use neurax_tensor::ir::Bytes;
use neurax_tensor::{DType, Dim, Literal, Scalar, Shape, Tensor, Type};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A dtype by its name, for `#[serde(with = "..")]`.
pub(crate) mod dtype {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(d: &Option<DType>, s: S) -> Result<S::Ok, S::Error> {
        d.map(DType::name).serialize(s)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<Option<DType>, D::Error> {
        Option::<String>::deserialize(d)?.map(|name| parsed(&name)).transpose()
    }

    pub(super) fn parsed<E: serde::de::Error>(name: &str) -> Result<DType, E> {
        DType::parse(name).ok_or_else(|| E::custom(format!("expected a dtype, got `{name}`")))
    }
}

/// Dims, for `#[serde(with = "..")]`.
pub(crate) mod dims {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum SavedDim {
        Size(usize),
        Named(String),
        Any(()),
    }

    pub(crate) fn serialize<S: Serializer>(dims: &[Dim], s: S) -> Result<S::Ok, S::Error> {
        let saved = dims.iter().map(|d| match d {
            Dim::Size(n) => Ok(SavedDim::Size(*n)),
            Dim::Named(name) => Ok(SavedDim::Named(name.clone())),
            Dim::Any => Ok(SavedDim::Any(())),
            Dim::Bad(text) => Err(S::Error::custom(format!("expected a size, got `{text}`"))),
        });
        saved.collect::<Result<Vec<_>, _>>()?.serialize(s)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<Vec<Dim>, D::Error> {
        let saved = Vec::<SavedDim>::deserialize(d)?;
        let dim = |d| match d {
            SavedDim::Size(n) => Dim::Size(n),
            SavedDim::Named(name) => Dim::Named(name),
            SavedDim::Any(()) => Dim::Any,
        };
        Ok(saved.into_iter().map(dim).collect())
    }
}

/// A number of an operator, for `#[serde(with = "..")]`. Floats and integers are texts, so that
/// infinities and large integers are exact.
pub(crate) mod scalar {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum SavedScalar {
        Bool(bool),
        Int(String),
        Float(String),
        Complex(String, String),
    }

    pub(crate) fn serialize<S: Serializer>(x: &Scalar, s: S) -> Result<S::Ok, S::Error> {
        let saved = match x {
            Scalar::Bool(b) => SavedScalar::Bool(*b),
            Scalar::Int(i) => SavedScalar::Int(i.to_string()),
            Scalar::Float(x) => SavedScalar::Float(x.to_string()),
            Scalar::Complex(re, im) => SavedScalar::Complex(re.to_string(), im.to_string()),
        };
        saved.serialize(s)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<Scalar, D::Error> {
        let float = |s: String| s.parse::<f64>().map_err(D::Error::custom);
        Ok(match SavedScalar::deserialize(d)? {
            SavedScalar::Bool(b) => Scalar::Bool(b),
            SavedScalar::Int(i) => Scalar::Int(i.parse().map_err(D::Error::custom)?),
            SavedScalar::Float(x) => Scalar::Float(float(x)?),
            SavedScalar::Complex(re, im) => Scalar::Complex(float(re)?, float(im)?),
        })
    }
}

/// A tensor, for `#[serde(with = "..")]`: the elements as hexadecimal bytes, low bytes first.
pub(crate) mod tensor {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct SavedTensor {
        dtype: String,
        shape: Vec<usize>,
        bytes: String,
    }

    pub(crate) fn serialize<S: Serializer>(t: &Tensor, s: S) -> Result<S::Ok, S::Error> {
        let literal = t.to_literal().map_err(|e| S::Error::custom(e.message()))?;
        if cfg!(target_endian = "big") {
            return Err(S::Error::custom("expected a little-endian machine for tensor operands"));
        }
        let bytes = literal.bytes().iter().map(|b| format!("{b:02x}")).collect();
        let dtype = literal.dtype().name().into();
        SavedTensor { dtype, shape: literal.shape().to_vec(), bytes }.serialize(s)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<Tensor, D::Error> {
        let saved = SavedTensor::deserialize(d)?;
        let digit = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(text, 16).ok()
        };
        let bytes: Option<Vec<u8>> = saved.bytes.as_bytes().chunks(2).map(digit).collect();
        let bytes = bytes.ok_or_else(|| D::Error::custom("expected hexadecimal bytes"))?;
        let dtype: DType = dtype::parsed(&saved.dtype)?;
        if dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
            return Err(D::Error::custom("expected the bytes 0 and 1 of a bool"));
        }
        let shape = Shape::from(&saved.shape[..]);
        let literal = Literal::new(Type { dtype, shape }, Bytes::copy_of(&bytes));
        literal.map(Tensor::from).map_err(|e| D::Error::custom(e.message()))
    }
}
