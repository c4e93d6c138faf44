//! Child processes that run this program again: with another number of threads, which a process
//! chooses once, or to compile with empty caches.

use neurax::{Error, Result};
use serde_json::Value;
use std::{
    env,
    process::{Command, ExitCode, Stdio},
    thread,
};

const THREADS: &str = "NEURAX_THREADS";

/// Returns the number of threads that this process computes with.
pub fn threads() -> usize {
    let requested = env::var(THREADS).ok().and_then(|n| n.parse().ok()).filter(|&n| n > 0);
    requested.unwrap_or_else(|| thread::available_parallelism().map_or(1, |n| n.get()))
}

/// Runs the same command in a process with `n` threads.
///
/// # Errors
/// Returns an error if the process cannot be started.
pub fn rerun_with_threads(n: u32) -> Result<ExitCode> {
    let status = this_command()?.env(THREADS, n.to_string()).status().map_err(failed)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the same command in a new process and returns the median that it measures for `task`.
///
/// # Errors
/// Returns an error if the process cannot be started or does not print a row for `task`.
pub fn median_in_new_process(task: &str) -> Result<f64> {
    let out = this_command()?
        .args(["--json", "--cold", "--task", task])
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    let rows = String::from_utf8_lossy(&out.stdout);
    let found = rows
        .lines()
        .filter_map(|row| serde_json::from_str::<Value>(row).ok())
        .find(|row| row["task"] == task);
    found
        .and_then(|row| row["median"].as_f64())
        .ok_or_else(|| Error::new("bench", format!("the child process measured no task `{task}`")))
}

/// Returns a command that runs this program with its own arguments.
fn this_command() -> Result<Command> {
    let mut command = Command::new(env::current_exe().map_err(failed)?);
    command.args(env::args_os().skip(1));
    Ok(command)
}

fn failed(e: std::io::Error) -> Error {
    Error::new("bench", format!("cannot start this program as a child process: {e}"))
}
