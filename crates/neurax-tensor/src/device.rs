//! Where tensors live and programs run: the one list of backends.

use crate::{Error, Result};
use neurax_runtime::Backend;
pub use neurax_runtime::Device;
use std::sync::{Arc, OnceLock};

static DEFAULT: OnceLock<Result<Device>> = OnceLock::new();

/// Every backend that is compiled in, best first. The first one is the default;
/// `NEURAX_DEVICE=name` or `name:number` picks another.
pub fn backends() -> Vec<Arc<dyn Backend>> {
    let mut all: Vec<Arc<dyn Backend>> = vec![];
    // Where the CPU is not supported, the oracle is what there is.
    #[cfg(feature = "native")]
    if let Ok(native) = neurax_native::Native::new() {
        all.push(Arc::new(native));
    }
    #[cfg(feature = "interp")]
    all.push(Arc::new(neurax_interp::Interp::new()));
    all
}

/// The device that plain tensors use, chosen once.
///
/// # Errors
/// When `NEURAX_DEVICE` names none of the compiled-in backends or a number that it does not have.
pub fn default_device() -> Result<&'static Device> {
    let chosen =
        DEFAULT.get_or_init(|| choose(&backends(), std::env::var("NEURAX_DEVICE").ok().as_deref()));
    chosen.as_ref().map_err(Clone::clone)
}

/// That device, else the default one.
pub(crate) fn or_default(device: Option<&Device>) -> Result<&Device> {
    match device {
        Some(d) => Ok(d),
        None => default_device(),
    }
}

/// Makes a device the default one, before the first tensor is computed.
///
/// # Errors
/// When the default was chosen already.
pub fn set_default_device(device: Device) -> Result<()> {
    DEFAULT.set(Ok(device)).map_err(|_| {
        Error::new(
            "device",
            "the default device was chosen already; set it before the first tensor is computed",
        )
    })
}

/// The device that a wish like `interp` or `xla:1` names.
fn choose(backends: &[Arc<dyn Backend>], wish: Option<&str>) -> Result<Device> {
    let (name, number) = match wish.map(|w| w.split_once(':').unwrap_or((w, "0"))) {
        None | Some(("", _)) => (None, "0"),
        Some((name, number)) => (Some(name), number),
    };
    let found = backends.iter().find(|b| name.is_none_or(|n| n == b.name()));
    let number = number.parse::<usize>().ok();
    match (found, number) {
        (Some(b), Some(n)) => Device::from_backend(b.clone(), n),
        _ => {
            let names: Vec<&str> = backends.iter().map(|b| b.name()).collect();
            let why = match names.first() {
                None => {
                    "no backend is compiled in; turn on a feature of `neurax`, for example `interp`"
                        .to_string()
                }
                Some(first) => format!(
                    "NEURAX_DEVICE is `{}`; it takes one of: {}, with an optional number as in `{first}:0`{}",
                    wish.unwrap_or_default(),
                    names.join(", "),
                    name.and_then(refusal).map_or_else(String::new, |e| format!(" ({e})"))
                ),
            };
            Err(Error::new("device", why))
        }
    }
}

/// Why a backend that is compiled in cannot run here.
fn refusal(name: &str) -> Option<Error> {
    match name {
        #[cfg(feature = "native")]
        "native" => neurax_native::Native::new().err(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read() {
        let all = backends();
        assert_eq!(choose(&all, None).unwrap().to_string(), format!("{}:0", all[0].name()));
        assert_eq!(choose(&all, Some("interp:0")).unwrap().to_string(), "interp:0");
        assert!(choose(&all, Some("interp:7")).unwrap_err().to_string().contains("there is no 7"));
        assert!(
            choose(&all, Some("quantum"))
                .unwrap_err()
                .to_string()
                .contains("it takes one of: native, interp")
        );
    }
}
