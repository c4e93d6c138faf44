//! The types of values, by which compiled segments are found.

use crate::value::{MapKey, OnnxValue};
use neurax_ir::Type;

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValueType {
    Tensor(Type),
    Strings,
    Sequence(Vec<ValueType>),
    Map(Vec<MapKey>, Vec<ValueType>),
    Optional(Option<Box<ValueType>>),
}

impl ValueType {
    /// Returns the type of a value.
    pub(crate) fn of(x: &OnnxValue) -> ValueType {
        let all = |xs: &[OnnxValue]| xs.iter().map(ValueType::of).collect();
        match x {
            OnnxValue::Tensor(x) => ValueType::Tensor(x.ty().unwrap_or(Type::new(x.dtype(), []))),
            OnnxValue::Strings(_) => ValueType::Strings,
            OnnxValue::Sequence(xs) => ValueType::Sequence(all(xs)),
            OnnxValue::Map(entries) => {
                let (keys, values): (Vec<_>, Vec<_>) = entries.iter().cloned().unzip();
                ValueType::Map(keys, all(&values))
            }
            OnnxValue::Optional(x) => {
                ValueType::Optional(x.as_ref().map(|x| Box::new(ValueType::of(x))))
            }
        }
    }

    /// Returns true if a value has this type.
    pub(crate) fn is_of(&self, x: &OnnxValue) -> bool {
        match (self, x) {
            (ValueType::Tensor(t), OnnxValue::Tensor(x)) => {
                x.dtype() == t.dtype && *x.shape() == t.shape[..]
            }
            _ => *self == ValueType::of(x),
        }
    }
}
