//! Replacing a file atomically: the new contents are written beside it, reach the disk, and are
//! then renamed over it.

use super::open::check_regular;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest number of symbolic links that are followed, as on Linux.
const MAX_LINKS: usize = 40;

/// Writes a file by `write`, and replaces `path` by it when it is complete and on the disk. A
/// failure leaves the old file unchanged.
///
/// A symbolic link stays, and the file that it names is replaced. The new file has the permissions
/// of the old one. What an interrupted replacement of the same file has left behind is removed.
///
/// # Errors
/// When `write` fails, or the file system does, or `path` is not a regular file.
///
/// ```
/// use neurax::io::replace_file;
/// use std::io::{Error, Write};
/// let path = std::env::temp_dir().join("neurax-doc-replace-file");
/// replace_file(&path, |file| file.write_all(b"whole"))?;
/// assert!(replace_file(&path, |_| Err(Error::other("the disk is full"))).is_err());
/// assert_eq!(std::fs::read_to_string(&path)?, "whole");
/// # Ok::<(), Error>(())
/// ```
pub fn replace_file(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let path = resolved(path)?;
    let permissions = permissions_of(&path)?;
    remove_leftovers(&path);
    let mut part = Part::create(&path)?;
    if let Some(permissions) = permissions {
        part.file.set_permissions(permissions)?;
    }
    write(&mut part.file)?;
    part.file.sync_all()?;
    part.rename_to(&path)
}

/// Creates a file in `folder`, and locks it until it is closed, so that [`remove_unlocked`] of
/// another process does not take it for a leftover. `name` returns another name at each call.
///
/// # Errors
/// When the file cannot be created.
#[doc(hidden)]
pub fn create_locked<N: AsRef<Path>>(folder: &Path, name: impl Fn() -> N) -> Result<(N, File)> {
    loop {
        let name = name();
        let path = folder.join(&name);
        let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            // A process of this number in another container, or one before this.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        // Without locks in the file system, no process removes leftovers either.
        let _ = file.lock();
        // Another process may have taken it for a leftover between the two calls above.
        if path.exists() {
            return Ok((name, file));
        }
    }
}

/// Removes a file of [`create_locked`] whose writer has ended, if `is_unused` returns true while
/// the file is locked.
///
/// # Errors
/// When the file is locked, or cannot be removed.
#[doc(hidden)]
pub fn remove_unlocked(path: &Path, is_unused: impl FnOnce() -> bool) -> Result<()> {
    let file = File::open(path)?;
    file.try_lock()?;
    if !is_unused() {
        return Ok(());
    }
    // Still locked, so that `create_locked` of another process sees that it is gone.
    fs::remove_file(path)
}

/// Follows symbolic links, also to a file that does not exist yet.
fn resolved(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            // Not a link.
            Err(_) => return Ok(path),
        }
    }
    Err(Error::other(format!("expected a file, got more than {MAX_LINKS} symbolic links")))
}

/// Returns the permissions of the file at `path`, if there is one.
///
/// # Errors
/// When it is not a regular file.
fn permissions_of(path: &Path) -> Result<Option<Permissions>> {
    match fs::metadata(path) {
        Ok(old) => check_regular(old.file_type()).map(|()| Some(old.permissions())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// A file that is being written beside the one that it is to replace. It is locked until it is
/// closed, and removed unless it was renamed.
struct Part {
    file: File,
    path: Option<PathBuf>,
}

impl Part {
    /// Creates a file in the folder of `path` with a unique name.
    fn create(path: &Path) -> Result<Part> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let (name, file) = create_locked(folder, || part_name(path))?;
        Ok(Part { file, path: Some(folder.join(name)) })
    }

    /// Renames the file to `path`, and waits until the disk knows the new name.
    fn rename_to(mut self, path: &Path) -> Result<()> {
        if let Some(part) = &self.path {
            fs::rename(part, path)?;
        }
        self.path = None;
        sync_folder(path);
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The error of removing the incomplete file would hide the first one.
            let _ = fs::remove_file(path);
        }
    }
}

/// Waits until the disk knows the names of the files in the folder of `path`. Some file systems
/// cannot; the file itself is on the disk then, and either name leads to a complete file.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix)
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
}

/// Returns a name for a part of the file at `path`: that of the file, the process and a number.
fn part_name(path: &Path) -> OsString {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}-{}.part", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    name
}

/// Removes the parts of the file at `path` that no process is writing: those that are not locked.
/// A failure is ignored, as the part takes space only.
fn remove_leftovers(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(files) = fs::read_dir(folder) else { return };
    for file in files.flatten() {
        let is_file = file.file_type().is_ok_and(|t| t.is_file());
        if is_file && is_part(&file.file_name(), name) {
            let _ = remove_unlocked(&file.path(), || true);
        }
    }
}

/// Returns true if `name` is that of a part of the file `whole`.
fn is_part(name: &OsStr, whole: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    let ids = bytes
        .strip_prefix(whole.as_encoded_bytes())
        .and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(b".part"));
    let mut numbers = ids.into_iter().flat_map(|ids| ids.split(|&b| b == b'-'));
    let mut is_number =
        || numbers.next().is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
    is_number() && is_number() && numbers.next().is_none()
}
