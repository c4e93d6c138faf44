//! [`ProfileRecord`].

use super::{PROFILE_FILE, document};
use neurax_tensor::{Profile, ProfileRow, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

const PROFILE_FORMAT: &str = "neurax-profile";

/// The time of a program, such as a training step, in `profile.json` of a run directory:
/// [`RunDirectory::profile`](crate::RunDirectory::profile) writes it, and the report shows it.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let run = std::env::temp_dir().join(format!("neurax-doc-times-{}", std::process::id()));
/// # std::fs::create_dir_all(&run)?;
/// let f = jit(|x: Tensor| x.matmul(&x).tanh().sum(..));
/// let profile = f.profile(&Tensor::ones([64, 64]))?;
/// train::ProfileRecord::of(&profile).write(&run)?;
/// let record = train::ProfileRecord::read(&run)?.unwrap_or_default();
/// assert!(record.by_op.iter().any(|row| row.name == "dot_general"));
/// # std::fs::remove_dir_all(&run)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// The number of calls over which the times are averaged.
    pub calls: u32,
    /// The time of one call in nanoseconds.
    pub nanoseconds: u64,
    /// The time of each layer, line and op as folded stacks: see
    /// [`Profile::to_folded`](neurax_tensor::Profile::to_folded).
    pub folded: String,
    /// The shares of the layers, longest first. The name of what is outside of layers is empty.
    pub by_layer: Vec<TimeShare>,
    /// The shares of the ops, longest first.
    pub by_op: Vec<TimeShare>,
    /// The shares of the source lines, longest first.
    pub by_line: Vec<TimeShare>,
}

/// The share of a layer, an op or a line in the time of one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeShare {
    /// The path of the layer, the name of the op, or the line.
    pub name: String,
    /// The time in nanoseconds.
    pub nanoseconds: u64,
    /// The bytes of the arrays that are read and written, rounded.
    pub bytes: u64,
}

impl ProfileRecord {
    /// Returns the times of a profile.
    pub fn of(profile: &Profile) -> ProfileRecord {
        let shares = |rows: Vec<ProfileRow>| rows.into_iter().map(TimeShare::of).collect();
        ProfileRecord {
            calls: profile.calls(),
            nanoseconds: nanoseconds(profile.total()),
            folded: profile.to_folded(),
            by_layer: shares(profile.by_layer()),
            by_op: shares(profile.by_op()),
            by_line: shares(profile.by_line()),
        }
    }

    /// Reads the profile of a run directory; `None` if it has none.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or was written by another version.
    pub fn read(directory: impl AsRef<Path>) -> Result<Option<ProfileRecord>> {
        document::read(&directory.as_ref().join(PROFILE_FILE), PROFILE_FORMAT)
    }

    /// Writes the profile to a run directory, in place of the one before.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, directory: impl AsRef<Path>) -> Result<()> {
        document::write(&directory.as_ref().join(PROFILE_FILE), PROFILE_FORMAT, self)
    }
}

impl TimeShare {
    fn of(row: ProfileRow) -> TimeShare {
        let ProfileRow { name, time, bytes } = row;
        TimeShare { name, nanoseconds: nanoseconds(time), bytes: bytes.round() as u64 }
    }
}

/// Returns a time in nanoseconds; a time beyond the range of the type, of 500 years, is its end.
fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
