//! [`RunEnvironment`].

use neurax_tensor::default_device;
use serde::{Deserialize, Serialize};
use std::thread::available_parallelism;

/// The file that describes the processors on Linux.
const CPU_FILE: &str = "/proc/cpuinfo";
/// The environment variable with the number of threads of compiled programs.
const RECORDED_VARIABLE: &str = "NEURAX_THREADS";

/// The machine and the program of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnvironment {
    /// The version of Neurax.
    pub neurax: String,
    /// `release` or `debug`.
    pub build: String,
    /// The operating system and the architecture, such as `linux x86_64`.
    pub system: String,
    /// The model of the processor, if it is known.
    pub processor: Option<String>,
    /// The number of processors that the program may use.
    pub processors: Option<usize>,
    /// The value of `NEURAX_THREADS`, if it is set.
    pub threads: Option<String>,
    /// The device that computes.
    pub device: String,
}

impl RunEnvironment {
    /// Returns the environment of this program.
    ///
    /// ```
    /// let here = neurax::train::RunEnvironment::here();
    /// assert!(here.system.contains(std::env::consts::ARCH), "{here:?}");
    /// ```
    pub fn here() -> RunEnvironment {
        let device = default_device().map_or_else(|e| e.to_string(), ToString::to_string);
        RunEnvironment {
            neurax: env!("CARGO_PKG_VERSION").into(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.into(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: processor(),
            processors: available_parallelism().ok().map(Into::into),
            threads: std::env::var(RECORDED_VARIABLE).ok(),
            device,
        }
    }
}

/// Returns the model of the first processor, where the system has a file that names it.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string(CPU_FILE).ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}
