//! `neurax watch`: a dashboard of a run in the terminal, while it trains.

#[cfg(feature = "watch")]
mod dashboard;
#[cfg(feature = "watch")]
mod eta;
#[cfg(feature = "watch")]
mod terminal;
#[cfg(feature = "watch")]
mod view;
#[cfg(not(feature = "watch"))]
mod without_terminal;

use clap::Args;
use neurax::Result;
use std::path::PathBuf;

#[cfg(feature = "watch")]
use terminal::watch;
#[cfg(not(feature = "watch"))]
use without_terminal::watch;

#[derive(Args)]
pub struct Watch {
    /// The directory of a run, as `train::RunDirectory` writes it. It may not exist yet.
    directory: PathBuf,
}

impl Watch {
    pub fn run(self) -> Result<()> {
        watch(self.directory)
    }
}
