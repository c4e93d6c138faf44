//! [`HyperParameter`].

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// A setting of a run that is written beside its scores, so that runs can be compared: see
/// [`RunDirectory::hyper_parameter`](crate::RunDirectory::hyper_parameter) and
/// [`TensorBoard::hyper_parameter`](crate::TensorBoard::hyper_parameter).
///
/// A number that is not finite is stored as a text, such as `inf`: JSON has no such numbers.
///
/// ```
/// use neurax::train::HyperParameter;
/// let all = [HyperParameter::from(1e-3), 64.into(), true.into(), "adam".into()];
/// assert_eq!(all.map(|x| x.to_string()), ["0.001", "64", "true", "adam"]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HyperParameter {
    /// True or false.
    Flag(bool),
    /// A number.
    Number(#[serde(serialize_with = "write_number")] f64),
    /// A text.
    Text(String),
}

fn write_number<S: Serializer>(x: &f64, to: S) -> Result<S::Ok, S::Error> {
    if x.is_finite() { to.serialize_f64(*x) } else { to.serialize_str(&x.to_string()) }
}

impl fmt::Display for HyperParameter {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            HyperParameter::Flag(x) => x.fmt(f),
            HyperParameter::Number(x) => x.fmt(f),
            HyperParameter::Text(x) => x.fmt(f),
        }
    }
}

impl From<bool> for HyperParameter {
    fn from(x: bool) -> HyperParameter {
        HyperParameter::Flag(x)
    }
}

impl From<f64> for HyperParameter {
    fn from(x: f64) -> HyperParameter {
        HyperParameter::Number(x)
    }
}

impl From<i32> for HyperParameter {
    fn from(x: i32) -> HyperParameter {
        HyperParameter::Number(x.into())
    }
}

impl From<usize> for HyperParameter {
    fn from(x: usize) -> HyperParameter {
        HyperParameter::Number(x as f64)
    }
}

impl From<&str> for HyperParameter {
    fn from(x: &str) -> HyperParameter {
        HyperParameter::Text(x.into())
    }
}

impl From<String> for HyperParameter {
    fn from(x: String) -> HyperParameter {
        HyperParameter::Text(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_are_read_back_as_their_texts() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-3, 64.0] {
            let text = serde_json::to_string(&HyperParameter::from(x)).unwrap();
            let read: HyperParameter = serde_json::from_str(&text).unwrap();
            assert_eq!(read.to_string(), x.to_string(), "{text}");
        }
        let text = serde_json::to_string(&HyperParameter::from(true)).unwrap();
        assert_eq!(serde_json::from_str::<HyperParameter>(&text).unwrap(), true.into());
    }
}
