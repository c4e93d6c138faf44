//! Limits of one case: its time, and the memory that reading takes.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The seconds after which a case hangs: a slow machine takes less.
const MAX_SECONDS: u32 = 60;

/// The variable with the path of a file for the current case.
pub(super) const FUZZ_STATE_VARIABLE: &str = "NEURAX_FUZZ_STATE";

/// The address space that reading may take beyond what was in use, in bytes, besides
/// [`SPACE_PER_BYTE`] for each byte of the file: memory is taken from the system in large parts.
const MAX_SPACE: usize = 80 << 20;

/// The largest address space for each byte of a file.
const SPACE_PER_BYTE: usize = 200;

/// A watch over cases that ends the process when one hangs.
pub(super) struct HangWatch {
    current: Arc<Mutex<WatchedCase>>,
    /// Dropped with the watch, which ends its thread.
    _running: Sender<()>,
}

/// The case that runs, and the seconds since it began, in which the process was not stopped.
#[derive(Default)]
struct WatchedCase {
    name: String,
    seconds: u32,
}

impl HangWatch {
    pub(super) fn start() -> HangWatch {
        let (running, is_running) = channel();
        let current = Arc::<Mutex<WatchedCase>>::default();
        let watched = current.clone();
        thread::spawn(move || {
            let second = Duration::from_secs(1);
            while is_running.recv_timeout(second) == Err(RecvTimeoutError::Timeout) {
                let mut case = watched.lock().unwrap_or_else(PoisonError::into_inner);
                case.seconds += 1;
                if case.seconds > MAX_SECONDS {
                    eprintln!("{}: hangs", case.name);
                    // A thread that hangs cannot be ended otherwise.
                    std::process::abort();
                }
            }
        });
        HangWatch { current, _running: running }
    }

    /// Begins a case, and ends the one before.
    pub(super) fn begin(&self, case: &str) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = WatchedCase { name: case.to_string(), seconds: 0 };
    }
}

/// Calls `read`, which reads a file of `bytes` bytes.
///
/// # Errors
/// If the process took much more address space meanwhile, on systems that tell. Only the script
/// asks for this check, as other tests of a process take space as well.
pub(super) fn in_bounded_space<R>(bytes: usize, read: impl FnOnce() -> R) -> Result<R, String> {
    if std::env::var_os(FUZZ_STATE_VARIABLE).is_none() {
        return Ok(read());
    }
    let before = AddressSpace::now();
    let result = read();
    match before.zip(AddressSpace::now()).and_then(|(before, after)| after.excess(&before, bytes)) {
        Some(taken) => Err(format!("took {taken} bytes to read a file of {bytes}")),
        None => Ok(result),
    }
}

/// The address space of this process, in bytes.
struct AddressSpace {
    now: usize,
    peak: usize,
}

impl AddressSpace {
    fn now() -> Option<AddressSpace> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib << 10)
        };
        Some(AddressSpace { now: field("VmSize:")?, peak: field("VmPeak:")? })
    }

    /// Returns the bytes that were taken since `before`, if they are too many for a file of `bytes`
    /// bytes. The peak never falls: an earlier one hides what is smaller.
    fn excess(&self, before: &AddressSpace, bytes: usize) -> Option<usize> {
        let taken = self.peak.saturating_sub(before.now);
        (self.peak > before.peak && taken > MAX_SPACE + SPACE_PER_BYTE * bytes).then_some(taken)
    }
}

#[test]
fn claimed_memory_is_found() {
    let at = |now: usize, peak: usize| AddressSpace { now: now << 20, peak: peak << 20 };
    let before = at(200, 300);
    assert_eq!(at(200, 300).excess(&before, 100), None);
    assert_eq!(at(270, 301).excess(&at(250, 300), 100), None);
    assert_eq!(at(200, 1200).excess(&before, 100), Some(1000 << 20));
    assert_eq!(at(1200, 1200).excess(&before, 10 << 20), None, "a large file");
    if let Some(now) = AddressSpace::now() {
        assert!(now.now > 1 << 20 && now.peak >= now.now);
    }
}
