//! `neurax devices`: the devices of all backends.

use crate::output::print_line;
use neurax::prelude::*;
use neurax::{backends, default_device};

/// Prints a line for each device: its name, which is a value of `NEURAX_DEVICE`, and what it is.
pub fn run() -> Result<()> {
    let default = default_device()?.to_string();
    let mut rows = vec![("device".to_string(), "backend".to_string())];
    for backend in backends() {
        for number in 0..backend.devices() {
            let name = Device::from_backend(backend.clone(), number)?.to_string();
            // Two devices of one name differ, as each call of `backends` makes new ones.
            let note = if name == default { " (default)" } else { "" };
            rows.push((name, format!("{}{note}", backend.description())));
        }
    }
    let width = rows.iter().map(|(device, _)| device.chars().count()).max().unwrap_or(0);
    for (device, backend) in rows {
        print_line(format!("{device:width$}  {backend}").trim_end())?;
    }
    print_line("NEURAX_DEVICE=DEVICE selects a device, NEURAX_THREADS=N the number of threads")
}
