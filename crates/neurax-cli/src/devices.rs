//! `neurax devices`: what can run here.

use crate::say::say;
use neurax::prelude::*;
use neurax::{backends, default_device};

pub fn run() -> Result<()> {
    let default = default_device()?;
    for backend in backends() {
        for number in 0..backend.devices() {
            let device = Device::from_backend(backend.clone(), number)?;
            let note = if device == *default { "  (default)" } else { "" };
            say(format!("{device}{note}"))?;
        }
    }
    Ok(())
}
