//! Devices: the list of backends and the choice of the default device.

use crate::{Error, Result};
use neurax_runtime::Backend;
pub use neurax_runtime::Device;
use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
};

/// The default device, chosen at the first use.
static DEFAULT: OnceLock<Result<Device>> = OnceLock::new();

/// Returns every backend that is compiled in, the fastest first. The first one is the default; the
/// environment variable `NEURAX_DEVICE=name` or `name:number` picks another.
///
/// ```
/// let names: Vec<String> = neurax::backends().iter().map(|b| b.name().to_string()).collect();
/// assert_eq!(names.last().map(String::as_str), Some("interp"), "the slowest one is the last");
/// ```
pub fn backends() -> Vec<Arc<dyn Backend>> {
    #[cfg_attr(not(any(feature = "native", feature = "interp")), allow(unused_mut))]
    let mut all: Vec<Arc<dyn Backend>> = vec![];
    // On a CPU that the compiler does not support, the reference interpreter is the default.
    #[cfg(feature = "native")]
    if let Ok(native) = neurax_native::Native::new() {
        all.push(Arc::new(native));
    }
    #[cfg(feature = "interp")]
    all.push(Arc::new(neurax_interp::Interp::new()));
    all
}

/// Returns the device that plain tensors use. It is chosen once.
///
/// # Errors
/// When `NEURAX_DEVICE` names no compiled-in backend or a device that the backend does not have.
///
/// ```
/// use neurax::{default_device, prelude::*};
/// assert_eq!((tensor(1.0) + 1.0).device()?, *default_device()?);
/// # Ok::<(), Error>(())
/// ```
pub fn default_device() -> Result<&'static Device> {
    let chosen =
        DEFAULT.get_or_init(|| choose(&backends(), std::env::var("NEURAX_DEVICE").ok().as_deref()));
    chosen.as_ref().map_err(Clone::clone)
}

/// Returns `device`, or the default device if it is `None`.
///
/// # Errors
/// As [`default_device`].
pub(crate) fn or_default(device: Option<&Device>) -> Result<&Device> {
    match device {
        Some(d) => Ok(d),
        None => default_device(),
    }
}

/// Returns true if `device` is the default one.
pub(crate) fn is_default(device: &Device) -> bool {
    default_device().is_ok_and(|d| d == device)
}

/// Returns the device that results of a program on `device` remember: none if it is the default
/// one.
pub(crate) fn unless_default(device: &Device) -> Option<&Device> {
    (!is_default(device)).then_some(device)
}

/// Makes `device` the default one. Must be called before the first tensor is computed.
///
/// # Errors
/// When the default device was already chosen.
///
/// ```standalone_crate
/// use neurax::{backends, prelude::*, set_default_device};
/// let slow = Device::from_backend(backends().pop().expect("a backend"), 0)?;
/// set_default_device(slow.clone())?;
/// assert_eq!((tensor(1.0) + 1.0).device()?, slow);
/// assert!(set_default_device(slow).is_err(), "it was already chosen");
/// # Ok::<(), Error>(())
/// ```
pub fn set_default_device(device: Device) -> Result<()> {
    DEFAULT.set(Ok(device)).map_err(|_| {
        Error::new(
            "device",
            "the default device was already chosen; set it before the first tensor is computed",
        )
    })
}

thread_local! {
    /// The device of the innermost [`with_default_device`] of this thread.
    static SCOPE: RefCell<Option<Device>> = const { RefCell::new(None) };
}

/// Runs `f` with `device` as the device of operations whose operands name none, on this thread.
/// Their results stay on it, as those of [`crate::Tensor::on`] do. Follows Nx's
/// `with_default_backend`.
///
/// An operand that was put on another device explicitly decides as before. Operands without a
/// device are moved by the operation that reads them, so that tensors made of data inside `f` are
/// on `device` once they are used. Scopes nest; the end of a scope, by a panic as well, restores
/// the device before it. Threads that `f` starts are not in its scope.
///
/// ```
/// use neurax::{backends, prelude::*, with_default_device};
/// let slow = Device::from_backend(backends().pop().expect("a backend"), 0)?;
/// let y = with_default_device(&slow, || tensor([1.0, 2.0]) * 2.0);
/// assert_eq!((y.device()?, y.to_vec::<f32>()?), (slow, vec![2.0, 4.0]));
/// # Ok::<(), Error>(())
/// ```
pub fn with_default_device<O>(device: &Device, f: impl FnOnce() -> O) -> O {
    /// Restores the device of the scope around this one.
    struct Restore(Option<Device>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let outer = self.0.take();
            // A thread that ends has no scope any more.
            let _ = SCOPE.try_with(|scope| scope.replace(outer));
        }
    }
    let _restore = Restore(SCOPE.with(|scope| scope.replace(Some(device.clone()))));
    f()
}

/// Returns the device of the scope of this thread, `None` if it is the default one.
pub(crate) fn scope_device() -> Option<Device> {
    SCOPE.with(|scope| scope.borrow().clone()).filter(|device| !is_default(device))
}

/// Returns the device that `wish`, e.g. `interp` or `xla:1`, names.
///
/// # Errors
/// When no backend or device has this name.
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
                    "no backend is compiled in; enable a feature of `neurax`, for example `interp`"
                        .to_string()
                }
                Some(first) => format!(
                    "expected NEURAX_DEVICE to be one of {}, with an optional number as in \
                     `{first}:0`, got `{}`{}",
                    names.join(", "),
                    wish.unwrap_or_default(),
                    name.and_then(refusal).map_or_else(String::new, |e| format!(" ({e})"))
                ),
            };
            Err(Error::new("device", why))
        }
    }
}

/// Returns the reason why a compiled-in backend cannot run on this machine.
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
    fn devices_are_chosen_by_name() {
        let all = backends();
        assert_eq!(choose(&all, None).unwrap().to_string(), format!("{}:0", all[0].name()));
        assert_eq!(choose(&all, Some("interp:0")).unwrap().to_string(), "interp:0");
        assert!(
            choose(&all, Some("interp:7"))
                .unwrap_err()
                .to_string()
                .contains("expected a device number below 1 for interp, got 7")
        );
        assert!(
            choose(&all, Some("quantum"))
                .unwrap_err()
                .to_string()
                .contains("one of native, interp,")
        );
    }

    /// Returns a device of the reference interpreter.
    fn interpreter() -> Device {
        choose(&backends(), Some("interp")).unwrap()
    }

    fn device_of_sum() -> Device {
        (crate::tensor([1.0]) + crate::tensor([2.0])).device().unwrap()
    }

    #[test]
    fn scopes_nest_and_end() {
        let (default, inner, outer) = (default_device().unwrap(), interpreter(), interpreter());
        assert_ne!(inner, outer);
        assert_eq!(device_of_sum(), *default);
        with_default_device(&outer, || {
            assert_eq!(device_of_sum(), outer);
            with_default_device(&inner, || assert_eq!(device_of_sum(), inner));
            with_default_device(default, || assert_eq!(device_of_sum(), *default));
            assert_eq!(device_of_sum(), outer);
            let other = std::thread::spawn(device_of_sum).join().unwrap();
            assert_eq!(other, *default, "a scope is that of one thread");
        });
        assert_eq!(device_of_sum(), *default);
        let fails = || with_default_device(&interpreter(), || panic!("in a scope"));
        assert!(std::panic::catch_unwind(fails).is_err());
        assert_eq!(device_of_sum(), *default, "a panic ends the scope");
    }

    #[test]
    fn functions_and_constants_run_in_the_scope() {
        let scope = interpreter();
        let f = crate::jit(|x: crate::Tensor| x.sin() + crate::Tensor::ones([2]));
        let slope = crate::grad(|x: crate::Tensor| (&x * &x).sum(..));
        let x = crate::tensor([1.0, 2.0]);
        let before = f.run(x.clone()).unwrap();
        let (y, dx, zeros) = with_default_device(&scope, || {
            (f.run(x.clone()).unwrap(), slope.run(x.clone()).unwrap(), crate::Tensor::zeros(2) + 1)
        });
        for tensor in [&y, &dx, &zeros] {
            assert_eq!(tensor.device().unwrap(), scope);
        }
        assert_eq!(y.to_vec::<f32>().unwrap().len(), before.to_vec::<f32>().unwrap().len());
        assert_eq!(dx.to_vec::<f32>().unwrap(), [2.0, 4.0]);
        assert_eq!(f.run(x).unwrap().device().unwrap(), *default_device().unwrap());
        // The result stays on its device; an operand that names one decides.
        assert_eq!((&y + 1.0).device().unwrap(), scope);
        let named = crate::tensor([1.0]).on(default_device().unwrap());
        let kept = with_default_device(&scope, || (&named + 1.0).device().unwrap());
        assert_eq!(kept, *default_device().unwrap());
    }
}
