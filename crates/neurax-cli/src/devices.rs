//! `neurax devices`: the devices of all backends.

use crate::output::print_line;
use neurax::prelude::*;
use neurax::{backends, default_device};

pub fn run() -> Result<()> {
    let default = default_device()?;
    for backend in backends() {
        for number in 0..backend.devices() {
            let device = Device::from_backend(backend.clone(), number)?;
            let note = if device == *default { "  (default)" } else { "" };
            print_line(format!("{device}{note}"))?;
        }
    }
    Ok(())
}
