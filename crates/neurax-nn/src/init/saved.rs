//! Initializers in files: the name of a function of the module and its numbers.

use super::*;
use crate::saved::fields;
use neurax_tensor::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct SavedInit {
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    arguments: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    axes: Option<[i64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch_axis: Option<i64>,
    #[serde(default, with = "fields::dtype", skip_serializing_if = "Option::is_none")]
    dtype: Option<DType>,
}

impl Serialize for Init {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Init { name, arguments, axes, batch_axis, dtype, .. } = self.clone();
        SavedInit { name: name.into(), arguments, axes, batch_axis, dtype }.serialize(s)
    }
}

impl<'d> Deserialize<'d> for Init {
    fn deserialize<D: Deserializer<'d>>(d: D) -> Result<Init, D::Error> {
        let SavedInit { name, arguments, axes, batch_axis, dtype } = SavedInit::deserialize(d)?;
        let init = by_name(&name, &arguments).unwrap_or_else(|| unknown(name, arguments));
        Ok(Init { axes, batch_axis, dtype, ..init })
    }
}

/// Returns the initializer that a function of the module creates from its numbers.
fn by_name(name: &str, arguments: &[f64]) -> Option<Init> {
    Some(match (name, arguments) {
        ("zeros", []) => zeros(),
        ("ones", []) => ones(),
        ("constant", &[x]) => constant(x),
        ("uniform", &[low, high]) => uniform(low, high),
        ("normal", &[deviation]) => normal(deviation),
        ("truncated_normal", &[deviation]) => truncated_normal(deviation),
        ("glorot_uniform", []) => glorot_uniform(),
        ("glorot_normal", []) => glorot_normal(),
        ("he_uniform", []) => he_uniform(),
        ("he_normal", []) => he_normal(),
        ("lecun_uniform", []) => lecun_uniform(),
        ("lecun_normal", []) => lecun_normal(),
        ("orthogonal", &[gain]) => orthogonal(gain),
        ("identity", &[gain]) => identity(gain),
        ("variance_scaling", &[scale, mode, distribution]) => {
            let modes = [FanMode::FanIn, FanMode::FanOut, FanMode::FanAvg];
            let mode = modes.into_iter().find(|&m| f64::from(m as u8) == mode)?;
            let distributions =
                [Distribution::TruncatedNormal, Distribution::Normal, Distribution::Uniform];
            let found = distributions.into_iter().find(|&d| f64::from(d as u8) == distribution)?;
            variance_scaling(scale, mode, found)
        }
        _ => return None,
    })
}

/// Returns an initializer of a closure in another program: its values carry an error, because a
/// file does not hold the closure. A loaded model has its variables and does not need it.
fn unknown(name: String, arguments: Vec<f64>) -> Init {
    let why = format!(
        "expected an initializer of the library, got `{name}`, which the program that saved the \
         model created with `Init::new`"
    );
    let make = move |_: &Key, _: &[usize], _| Tensor::from_error(Error::new("init", why.clone()));
    let (name, make) = (name.into(), Arc::new(make));
    let (axes, layout, batch_axis, dtype) = (None, None, None, None);
    Init { name, arguments, make, has_fans: false, axes, layout, batch_axis, dtype }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    #[test]
    fn initializers_of_the_library_are_kept() {
        let scaling = variance_scaling(3.0, FanMode::FanOut, Distribution::Uniform);
        for init in [
            zeros(),
            ones(),
            constant(2.5),
            uniform(-1.0, 3.0),
            normal(0.1),
            truncated_normal(0.1),
            glorot_uniform(),
            glorot_normal(),
            he_uniform(),
            he_normal().axes(-2, -1),
            he_normal().batch_axis(0),
            lecun_uniform(),
            lecun_normal().dtype(DType::F64),
            orthogonal(2.0),
            identity(2.0),
            scaling,
        ] {
            let text = serde_json::to_string(&init).unwrap();
            let back: Init = serde_json::from_str(&text).unwrap();
            let [a, b] = [&init, &back].map(|i| i.make(&key(0), &[3, 2]));
            assert_eq!(a.dtype(), b.dtype(), "{text}");
            let [a, b] = [a, b].map(|t| t.to(DType::F64).to_vec::<f64>().unwrap());
            assert_eq!(a, b, "{text}");
        }
    }

    #[test]
    fn closures_are_named_when_they_are_used() {
        let text = serde_json::to_string(&Init::new("mine", |_, s| Tensor::ones(s))).unwrap();
        let back: Init = serde_json::from_str(&text).unwrap();
        let value = back.make(&key(0), &[2]);
        assert!(value.error().unwrap().message().contains("got `mine`"));
    }
}
