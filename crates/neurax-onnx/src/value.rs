//! Values of ONNX graphs: tensors, strings, sequences, maps and optional values.

use neurax_ir::{Error, Result};
use neurax_tensor::Tensor;
use std::sync::Arc;

/// A value of an ONNX graph.
#[derive(Clone, Debug)]
pub enum OnnxValue {
    /// A tensor of numbers.
    Tensor(Tensor),
    /// A tensor of strings.
    Strings(Strings),
    /// A sequence of values of one type.
    Sequence(Vec<OnnxValue>),
    /// A map, in the order of its keys.
    Map(Vec<(MapKey, OnnxValue)>),
    /// A value, or none.
    Optional(Option<Box<OnnxValue>>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapKey {
    /// An integer.
    Int(i64),
    /// A string.
    String(String),
}

/// A tensor of strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    shape: Vec<usize>,
    elements: Arc<[String]>,
}

impl Strings {
    /// Creates a tensor of strings in row-major order.
    ///
    /// ```
    /// use neurax::onnx::Strings;
    /// let names = Strings::new([2], vec!["a".into(), "b".into()])?;
    /// assert_eq!((names.shape(), names.elements()[1].as_str()), (&[2][..], "b"));
    /// # Ok::<(), neurax::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the number of strings is not that of the shape.
    pub fn new(shape: impl Into<Vec<usize>>, elements: Vec<String>) -> Result<Strings> {
        let shape = shape.into();
        let size = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        if size != Some(elements.len()) {
            let why = format!("expected the strings of shape {shape:?}, got {}", elements.len());
            return Err(Error::new("strings", why));
        }
        Ok(Strings { shape, elements: elements.into() })
    }

    /// Returns the sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the strings in row-major order.
    pub fn elements(&self) -> &[String] {
        &self.elements
    }
}

impl OnnxValue {
    /// Returns the name of the kind of value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            OnnxValue::Tensor(_) => "a tensor",
            OnnxValue::Strings(_) => "strings",
            OnnxValue::Sequence(_) => "a sequence",
            OnnxValue::Map(_) => "a map",
            OnnxValue::Optional(_) => "an optional value",
        }
    }

    /// Returns the error that the value, or a part of it, carries.
    pub(crate) fn error(&self) -> Option<&Error> {
        match self {
            OnnxValue::Tensor(x) => x.error(),
            OnnxValue::Strings(_) | OnnxValue::Optional(None) => None,
            OnnxValue::Sequence(xs) => xs.iter().find_map(OnnxValue::error),
            OnnxValue::Map(entries) => entries.iter().find_map(|(_, x)| x.error()),
            OnnxValue::Optional(Some(x)) => x.error(),
        }
    }

    /// Returns true if the value, or a part of it, is traced.
    pub(crate) fn is_traced(&self) -> bool {
        match self {
            OnnxValue::Tensor(x) => x.is_traced(),
            OnnxValue::Strings(_) | OnnxValue::Optional(None) => false,
            OnnxValue::Sequence(xs) => xs.iter().any(OnnxValue::is_traced),
            OnnxValue::Map(entries) => entries.iter().any(|(_, x)| x.is_traced()),
            OnnxValue::Optional(Some(x)) => x.is_traced(),
        }
    }
}

impl OnnxValue {
    /// Returns true if a compiled program can take or return the value: it consists of tensors.
    pub(crate) fn is_compilable(&self) -> bool {
        match self {
            OnnxValue::Tensor(_) | OnnxValue::Optional(None) => true,
            OnnxValue::Strings(_) | OnnxValue::Map(_) => false,
            OnnxValue::Sequence(xs) => xs.iter().all(OnnxValue::is_compilable),
            OnnxValue::Optional(Some(x)) => x.is_compilable(),
        }
    }

    /// Returns the value with placeholders for its tensors.
    pub(crate) fn skeleton(&self) -> OnnxValue {
        self.with_tensors(&mut || Some(Tensor::zeros(()))).unwrap_or_else(|| self.clone())
    }

    /// Adds the tensors of the value to `to`, in order.
    pub(crate) fn append_tensors(&self, to: &mut Vec<Tensor>) {
        match self {
            OnnxValue::Tensor(x) => to.push(x.clone()),
            OnnxValue::Strings(_) | OnnxValue::Optional(None) => (),
            OnnxValue::Sequence(xs) => xs.iter().for_each(|x| x.append_tensors(to)),
            OnnxValue::Map(entries) => entries.iter().for_each(|(_, x)| x.append_tensors(to)),
            OnnxValue::Optional(Some(x)) => x.append_tensors(to),
        }
    }

    /// Returns the value with other tensors, in order; `None` if there are too few.
    pub(crate) fn with_tensors(
        &self,
        next: &mut dyn FnMut() -> Option<Tensor>,
    ) -> Option<OnnxValue> {
        Some(match self {
            OnnxValue::Tensor(_) => OnnxValue::Tensor(next()?),
            OnnxValue::Strings(_) | OnnxValue::Optional(None) => self.clone(),
            OnnxValue::Sequence(xs) => {
                OnnxValue::Sequence(xs.iter().map(|x| x.with_tensors(next)).collect::<Option<_>>()?)
            }
            OnnxValue::Map(entries) => {
                let entry = |(k, x): &(MapKey, OnnxValue)| Some((k.clone(), x.with_tensors(next)?));
                OnnxValue::Map(entries.iter().map(entry).collect::<Option<_>>()?)
            }
            OnnxValue::Optional(Some(x)) => {
                OnnxValue::Optional(Some(Box::new(x.with_tensors(next)?)))
            }
        })
    }
}

impl From<Tensor> for OnnxValue {
    fn from(x: Tensor) -> OnnxValue {
        OnnxValue::Tensor(x)
    }
}

impl From<&Tensor> for OnnxValue {
    fn from(x: &Tensor) -> OnnxValue {
        OnnxValue::Tensor(x.clone())
    }
}

impl From<Strings> for OnnxValue {
    fn from(x: Strings) -> OnnxValue {
        OnnxValue::Strings(x)
    }
}
