//! The memory of this process.

/// The file that describes this process on Linux.
const STATUS_FILE: &str = "/proc/self/status";
/// The line of it with the memory that is in use now.
const RESIDENT_MEMORY: &str = "VmRSS:";

/// Returns the resident memory of this process in bytes; `None` where the system has no file that
/// tells it.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident_bytes_of(&std::fs::read_to_string(STATUS_FILE).ok()?)
}

fn resident_bytes_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(RESIDENT_MEMORY))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_linux_is_read() {
        let status = "Name:\tneurax\nVmPeak:\t  9000 kB\nVmRSS:\t    2048 kB\nThreads:\t2\n";
        assert_eq!(resident_bytes_of(status), Some(2 << 20));
        assert_eq!(resident_bytes_of("VmRSS:\t unknown\n"), None);
        if cfg!(target_os = "linux") {
            assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}
