//! Downloads that leave a complete and correct file, or none.
//!
//! The bytes go to `NAME.part` beside the file. When all are there, their size and SHA-256 are
//! compared, the file reaches the disk, and is renamed to `NAME`. A connection that is cut leaves
//! the part, and the next call asks for the rest of it (`Range`, RFC 9110); a server that ignores
//! this sends the whole file, which replaces the part. If the contents are wrong and some of them
//! had been there before, the whole file is fetched once more; if they are wrong then, the part is
//! removed.
//!
//! # Invariants
//!
//! - A file called `NAME` is never changed.
//! - One process writes a part: it holds a lock on it, and reads it by the same handle, since a
//!   lock of Windows shuts out all others.
//! - A part is removed if its contents differ, or if nothing was downloaded, not if it cannot be
//!   read.
//! - No more bytes are read than expected, and one more, which shows that there are more.

use super::checked_file::{ExpectedFile, data_error};
use indicatif::{ProgressBar, ProgressStyle};
use neurax::Result;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body};

/// The time in which a connection must be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The time after which a server that sends nothing is given up.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// The bytes that are read from a connection at a time.
const BODY_CHUNK_BYTES: usize = 1 << 16;

/// The progress of a download: file, bar, bytes, speed and the time that is left.
const PROGRESS_TEMPLATE: &str =
    "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta_precise}";

/// The state of a file after [`fetch`].
#[derive(Debug, PartialEq)]
pub enum Fetched {
    /// It had been there, with the expected contents.
    Kept,
    /// It was downloaded, or the rest of it.
    Downloaded,
}

/// Downloads `url` to `path`, unless the file is there.
///
/// # Errors
/// If a file with other contents is there, the server fails or sends something else, or the file
/// cannot be written. After a connection that was cut, the next call continues.
pub fn fetch(url: &str, path: &Path, expected: ExpectedFile) -> Result<Fetched> {
    fetch_within(url, path, expected, SILENCE_TIMEOUT)
}

/// Downloads a file as [`fetch`] from a server that may be silent for the time `silence`.
fn fetch_within(
    url: &str,
    path: &Path,
    expected: ExpectedFile,
    silence: Duration,
) -> Result<Fetched> {
    if path.try_exists().map_err(|e| data_error(path, e))? {
        let difference = File::open(path).and_then(|mut file| expected.difference(&mut file));
        return match difference.map_err(|e| data_error(path, e))? {
            None => Ok(Fetched::Kept),
            Some(why) => {
                let why = format!("another file is there ({why}); move it away");
                Err(data_error(path, why))
            }
        };
    }
    let mut part = PartialFile::open(path)?;
    let completed = part.complete_or_replace(url, expected, silence);
    let difference = completed.inspect_err(|_| part.remove_if_empty())?;
    if let Some(why) = difference {
        fs::remove_file(&part.path).map_err(|e| data_error(&part.path, e))?;
        let why = format!("{url} sent another file, which was removed ({why})");
        return Err(data_error(path, why));
    }
    // The name must not be on the disk before the contents.
    let finished = part.file.sync_all().and_then(|()| fs::rename(&part.path, path));
    finished.map_err(|e| data_error(path, e))?;
    Ok(Fetched::Downloaded)
}

/// The part of a file that was downloaded so far.
struct PartialFile {
    path: PathBuf,
    /// Open for reading and writing, locked.
    file: File,
}

impl PartialFile {
    /// Opens or creates the part of the file `path`.
    fn open(path: &Path) -> Result<PartialFile> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|e| data_error(&path, e))?;
        let why = "another process downloads this file, or the folder has no locks";
        file.try_lock().map_err(|e| data_error(&path, format!("{why} ({e})")))?;
        Ok(PartialFile { path, file })
    }

    /// Returns the difference of the contents from the expected ones.
    fn difference(&mut self, expected: ExpectedFile) -> Result<Option<String>> {
        expected.difference(&mut self.file).map_err(|e| data_error(&self.path, e))
    }

    /// Downloads what is missing; or the whole file, if bytes that were there turn out to be those
    /// of another one. Returns the difference of the contents from the expected ones.
    fn complete_or_replace(
        &mut self,
        url: &str,
        expected: ExpectedFile,
        silence: Duration,
    ) -> Result<Option<String>> {
        let kept = self.complete(url, expected, silence)?;
        let difference = self.difference(expected)?;
        if difference.is_none() || kept == 0 {
            return Ok(difference);
        }
        self.file.set_len(0).map_err(|e| data_error(&self.path, e))?;
        self.complete(url, expected, silence)?;
        self.difference(expected)
    }

    /// Removes the part if nothing was downloaded. The error of the download is the one to report.
    fn remove_if_empty(&self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Downloads what is missing. Returns the number of bytes that were there and were kept.
    fn complete(&mut self, url: &str, expected: ExpectedFile, silence: Duration) -> Result<u64> {
        let failed = |path: &Path, e: std::io::Error| data_error(path, e);
        let size = self.file.metadata().map_err(|e| failed(&self.path, e))?.len();
        if size == expected.bytes {
            return Ok(size);
        }
        // A part that is too long is of another file.
        let start = if size < expected.bytes { size } else { 0 };
        let response = request(url, start, silence).map_err(|why| data_error(&self.path, why))?;
        let start = if response.status() == StatusCode::PARTIAL_CONTENT { start } else { 0 };
        check_length(&response, start, expected.bytes)
            .map_err(|why| data_error(&self.path, format!("{url}: {why}")))?;
        self.file.set_len(start).map_err(|e| failed(&self.path, e))?;
        self.file.seek(SeekFrom::Start(start)).map_err(|e| failed(&self.path, e))?;
        self.append(response.into_body(), start, url, expected.bytes)?;
        Ok(start)
    }

    /// Writes the rest of the file, which begins at byte `start` of `total`.
    fn append(&mut self, body: Body, start: u64, url: &str, total: u64) -> Result<()> {
        let bar = progress_bar(url, start, total);
        let (mut written, mut chunk) = (start, vec![0; BODY_CHUNK_BYTES]);
        let mut body = body.into_reader().take(total - start + 1);
        let cut = loop {
            match body.read(&mut chunk) {
                Ok(0) => break "the connection was closed".to_string(),
                Err(e) => break e.to_string(),
                Ok(n) => {
                    self.file.write_all(&chunk[..n]).map_err(|e| data_error(&self.path, e))?;
                    written += n as u64;
                    bar.set_position(written);
                }
            }
        };
        bar.finish_and_clear();
        if written < total {
            let why = format!("{url}: {cut} after {written} of {total} bytes");
            return Err(data_error(&self.path, format!("{why}; the same command continues")));
        }
        Ok(())
    }
}

/// Asks for a file from byte `start` on.
fn request(
    url: &str,
    start: u64,
    silence: Duration,
) -> std::result::Result<Response<Body>, String> {
    if url.starts_with("https:") && !has_cryptography() {
        return Err(format!(
            "{url}: this CPU lacks the instructions of the cryptography; download \
                            the file with another program"
        ));
    }
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
        .build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(silence))
        .timeout_per_read(Some(silence))
        .user_agent(concat!("neurax/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if start > 0 {
        request = request.header(header::RANGE, format!("bytes={start}-"));
    }
    request.call().map_err(|e| format!("{url}: {e}"))
}

/// Returns true if this CPU has the instructions that Graviola needs; it panics without them.
#[cfg(target_arch = "x86_64")]
fn has_cryptography() -> bool {
    let encrypts = is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq");
    let multiplies = is_x86_feature_detected!("adx") && is_x86_feature_detected!("bmi1");
    let shifts = is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("ssse3");
    encrypts && multiplies && shifts && is_x86_feature_detected!("avx2")
}

/// Returns true if this CPU has the instructions that Graviola needs; it panics without them.
#[cfg(target_arch = "aarch64")]
fn has_cryptography() -> bool {
    use std::arch::is_aarch64_feature_detected;
    is_aarch64_feature_detected!("aes")
        && is_aarch64_feature_detected!("sha2")
        && is_aarch64_feature_detected!("pmull")
}

/// Checks that a response has the rest of a file from byte `start` of `total` on, if it says so.
fn check_length(
    response: &Response<Body>,
    start: u64,
    total: u64,
) -> std::result::Result<(), String> {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let range = text(header::CONTENT_RANGE).unwrap_or_default();
        if !range.starts_with(&format!("bytes {start}-")) {
            return Err(format!("expected the bytes from {start} on, got `{range}`"));
        }
    }
    match text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length != total - start => {
            Err(format!("expected {} bytes, the server has {length}", total - start))
        }
        _ => Ok(()),
    }
}

/// Shows the progress of a download on standard error, if that is a terminal.
fn progress_bar(url: &str, start: u64, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_position(start);
    bar.set_message(url.rsplit('/').next().unwrap_or(url).to_string());
    match ProgressStyle::with_template(PROGRESS_TEMPLATE) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests;
