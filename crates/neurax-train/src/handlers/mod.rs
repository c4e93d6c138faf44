//! The handlers of the library, one file each.

mod checkpoints;
mod csv_log;
mod early_stopping;
mod interrupt;
mod json_lines;
mod limits;
mod line_log;
mod plateau;
mod stop_on_nan;
mod watchdog;

pub use checkpoints::Checkpoints;
pub use csv_log::CsvLog;
pub use early_stopping::EarlyStopping;
pub use interrupt::Interrupt;
pub use json_lines::JsonLines;
pub use limits::{StepLimit, TimeLimit};
pub use plateau::ReduceOnPlateau;
pub use stop_on_nan::StopOnNan;
pub use watchdog::WatchdogFile;
