//! The handlers of the library, one file each.

mod best_states;
mod checkpoints;
mod classified_set;
mod csv_log;
mod early_stopping;
mod hyper_parameter;
pub(crate) mod interrupt;
mod json_lines;
mod limits;
mod line_log;
mod plateau;
pub(crate) mod rate;
mod run_directory;
mod run_log;
mod stop_on_nan;
mod tensorboard;
mod watchdog;

pub(crate) use best_states::BEST_STATE;
pub use checkpoints::Checkpoints;
pub use csv_log::CsvLog;
pub use early_stopping::EarlyStopping;
pub use hyper_parameter::HyperParameter;
pub use interrupt::Interrupt;
pub use json_lines::{EpochFields, JsonLines, LineKind, MetricsLine};
pub use limits::{StepLimit, TimeLimit};
pub use plateau::ReduceOnPlateau;
pub(crate) use plateau::set_rate;
pub use run_directory::RunDirectory;
pub use stop_on_nan::StopOnNan;
pub use tensorboard::{EventWriter, ImageAxes, TensorBoard, png_image};
pub use watchdog::WatchdogFile;
