//! Replacing a folder atomically.
//!
//! The problem: a program may be killed, or the power may fail, at any moment while a folder of
//! several files is written. The method is that of databases and package managers: the files are
//! written to another folder beside it, reach the disk (`fsync`), and the folder is renamed, which
//! a file system does entirely or not at all.
//!
//! For the folder `step-000120`:
//!
//! 1. `.step-000120.4711-0.part` is created and locked, and filled with files that are synced.
//! 2. The folder itself is synced: its entries are on the disk.
//! 3. If there is an old `step-000120`, it is renamed to `.step-000120.old`.
//! 4. The part is renamed to `step-000120`, and the folder around it is synced.
//! 5. `.step-000120.old` is removed.
//!
//! A folder cannot be renamed over one that has files, hence step 3. If the program ends between
//! steps 3 and 4, readers find the old folder under its other name ([`existing`]), and the next
//! replacement renames it back. Readers change nothing: they may be other programs. Parts that a
//! program left behind are removed by the next replacement: a lock on the folder says whether a
//! program still writes it.

use neurax_tensor::{Error, Result, io};
use std::fs::{self, File, TryLockError};
use std::io::{Error as IoError, ErrorKind, Result as IoResult, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

const PART: &str = ".part";
const OLD: &str = ".old";

/// Fills a folder by `write`, and replaces `folder` by it when it is complete and on the disk. The
/// old folder may hold `files` alone, so that a mistaken path removes nothing else.
///
/// # Errors
/// The error of `write`, or of the file system, or if the old folder holds something else. The old
/// folder is unchanged then.
pub(crate) fn replace_folder(
    folder: &Path,
    files: &[&str],
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let names = Names::of(folder)?;
    let cannot = |e: IoError| cannot_write(folder, &e);
    create_folders(&names.around).map_err(cannot)?;
    for replaced in [folder, &names.old()] {
        check_holds_only(replaced, files).map_err(cannot)?;
    }
    recovered(folder, &names).map_err(cannot)?;
    names.remove_leftovers();
    let part = PartFolder::create(&names).map_err(cannot)?;
    write(&part.path).map_err(|e| in_folder(folder, &e))?;
    sync_folder(&part.path).map_err(cannot)?;
    part.rename(folder, &names).map_err(cannot)
}

/// Returns the path at which `folder` is found: its own, or that of the old folder if a replacement
/// ended, or is in progress, between its two renames.
pub(crate) fn existing(folder: &Path) -> PathBuf {
    // A folder without a name, such as `.`, is never renamed.
    let old = Names::of(folder).map(|names| names.old());
    match old {
        Ok(old) if !folder.exists() && old.exists() => old,
        _ => folder.to_path_buf(),
    }
}

/// Writes a file whose bytes are on the disk when this returns.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

/// Replaces a file by another one, which is on the disk when it gets its name, in a folder that is
/// created if there is none. `write_synced` alone would leave half of a file behind if the program
/// is killed.
///
/// # Errors
/// The error of the file system.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let written =
        create_folders(around(path)).and_then(|()| io::replace_file(path, |f| f.write_all(bytes)));
    written.map_err(|e| Error::new("save", format!("cannot write {}: {e}", path.display())))
}

/// Removes a folder with its files, and the old one that a replacement may have left. A folder that
/// is being removed is no longer found under its name. Nothing happens if there is none.
///
/// # Errors
/// The error of the file system.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    let names = Names::of(folder)?;
    let remove = |path: &Path| -> IoResult<()> {
        let part = names.part();
        match fs::rename(path, &part) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            renamed => renamed.and_then(|()| fs::remove_dir_all(part)),
        }
    };
    let why = |e: IoError| format!("cannot remove {}: {e}", folder.display());
    // The old one first: it would be found under the name of the folder otherwise.
    let removed = remove(&names.old()).and_then(|()| remove(folder));
    removed.map_err(|e| Error::new("save", why(e)))
}

/// Creates a folder if there is none, and locks it until the file is closed; `None` where folders
/// cannot be locked. The lock also ends when the program does, so that nothing is left behind.
///
/// # Errors
/// If the folder cannot be created, or another run has locked it.
pub(crate) fn locked_folder(folder: &Path) -> Result<Option<File>> {
    create_folders(folder).map_err(|e| cannot_write(folder, &e))?;
    let Ok(file) = File::open(folder) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let why = format!(
                "another run saves its states in {}; wait for its end, or choose another directory",
                folder.display()
            );
            Err(Error::new("save", why))
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Creates a folder and those around it, and waits until the disk knows their names: a checkpoint
/// in a folder without a name would be lost if the power failed.
fn create_folders(folder: &Path) -> IoResult<()> {
    let is_new = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let new: Vec<&Path> = folder.ancestors().take_while(is_new).collect();
    fs::create_dir_all(folder)?;
    new.into_iter().rev().try_for_each(|path| sync_folder(around(path)))
}

/// Returns the folder that contains `path`.
fn around(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Renames the old folder back if a replacement ended between its two renames.
fn recovered(folder: &Path, names: &Names) -> IoResult<()> {
    match existing(folder) {
        old if old == names.old() => fs::rename(old, folder),
        _ => Ok(()),
    }
}

/// Checks that a folder, if there is one, holds no other files than `files`.
fn check_holds_only(folder: &Path, files: &[&str]) -> IoResult<()> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if !files.iter().any(|own| name == **own) {
            let why = format!(
                "it holds `{}`, which is no file of a saved state; choose another folder",
                name.to_string_lossy()
            );
            return Err(IoError::other(why));
        }
    }
    Ok(())
}

/// The name of a folder, and the names that its replacement uses.
struct Names {
    /// The folder that contains it.
    around: PathBuf,
    name: String,
}

impl Names {
    fn of(folder: &Path) -> Result<Names> {
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| {
            let why = format!("expected the name of a folder, got `{}`", folder.display());
            Error::new("save", why)
        })?;
        Ok(Names { around: around(folder).to_path_buf(), name })
    }

    fn old(&self) -> PathBuf {
        self.around.join(format!(".{}{OLD}", self.name))
    }

    /// Returns an unused name of a part.
    fn part(&self) -> PathBuf {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        self.around.join(format!(".{}.{}-{n}{PART}", self.name, process::id()))
    }

    /// Removes parts that no program is writing, of all folders beside this one. A failure is
    /// ignored: a part only takes space.
    fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(&self.around) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_part = name.starts_with('.') && name.ends_with(PART);
            if !is_part || !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            // The lock is held until the part is removed.
            if let Some(_lock) = lock_of_unused(&entry.path()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A folder that is being written. It is locked until it is renamed, and removed unless it was.
struct PartFolder {
    path: PathBuf,
    /// `None` where folders cannot be opened.
    _lock: Option<File>,
}

impl PartFolder {
    fn create(names: &Names) -> IoResult<PartFolder> {
        loop {
            let path = names.part();
            match fs::create_dir(&path) {
                // A process of this number before this one.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                created => created?,
            }
            let lock = File::open(&path).ok().filter(|f| f.lock().is_ok());
            // Another program may have taken it for a leftover between the two calls above.
            if path.exists() {
                return Ok(PartFolder { path, _lock: lock });
            }
        }
    }

    /// Renames the part to `folder`.
    fn rename(self, folder: &Path, names: &Names) -> IoResult<()> {
        let old = names.old();
        if folder.exists() {
            if old.exists() {
                fs::remove_dir_all(&old)?;
            }
            fs::rename(folder, &old)?;
        }
        if let Err(e) = fs::rename(&self.path, folder) {
            let _ = fs::rename(&old, folder);
            return Err(e);
        }
        sync_folder(&names.around)?;
        if old.exists() {
            // The new folder is on the disk: a failure to remove the old one only takes space.
            let _ = fs::remove_dir_all(&old);
        }
        Ok(())
    }
}

impl Drop for PartFolder {
    fn drop(&mut self) {
        // Nothing if it was renamed. An error here would hide the one of writing it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Locks a part that no program is writing. Without a way to know, it is left alone.
fn lock_of_unused(part: &Path) -> Option<File> {
    File::open(part).ok().filter(|file| file.try_lock().is_ok())
}

/// Waits until the disk knows the entries of a folder, where the system can do so.
fn sync_folder(folder: &Path) -> IoResult<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(e) if [ErrorKind::Unsupported, ErrorKind::InvalidInput].contains(&e.kind()) => Ok(()),
        synced => synced,
    }
}

fn cannot_write(folder: &Path, e: &IoError) -> Error {
    Error::new("save", format!("cannot write the folder {}: {e}", folder.display()))
}

fn in_folder(folder: &Path, e: &Error) -> Error {
    Error::new("save", format!("cannot write the folder {}: {}", folder.display(), e.message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Returns an empty folder for a test.
    fn fresh(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("neurax-folder-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn entries(folder: &Path) -> BTreeSet<String> {
        let all = fs::read_dir(folder).unwrap();
        all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn write(folder: &Path, text: &str) -> Result<()> {
        replace_folder(folder, &["a"], |part| write_synced(&part.join("a"), text.as_bytes()))
    }

    #[test]
    fn a_folder_is_created_and_replaced_and_nothing_else_is_left() {
        let around = fresh("replace");
        let folder = around.join("deep/er/state");
        for text in ["one", "two"] {
            write(&folder, text).unwrap();
            assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), text);
            assert_eq!(entries(folder.parent().unwrap()), ["state".to_string()].into());
        }
    }

    #[test]
    fn a_failure_keeps_the_old_folder() {
        let folder = fresh("failure").join("state");
        write(&folder, "one").unwrap();
        let e = replace_folder(&folder, &["a"], |part| {
            write_synced(&part.join("a"), b"two")?;
            Err(Error::new("io", "No space left on device"))
        });
        let e = e.unwrap_err().to_string();
        assert!(e.contains("cannot write the folder") && e.contains("No space left"), "{e}");
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "one");
        assert_eq!(entries(folder.parent().unwrap()).len(), 1);
    }

    #[test]
    fn leftovers_of_killed_programs_are_removed_and_parts_in_use_are_not() {
        let around = fresh("leftovers");
        for name in [".state.1-0.part", ".step-000001.1-7.part"] {
            fs::create_dir(around.join(name)).unwrap();
            fs::write(around.join(name).join("a"), "half").unwrap();
        }
        let used = PartFolder::create(&Names::of(&around.join("other")).unwrap()).unwrap();
        write(&around.join("state"), "one").unwrap();
        let used_name = used.path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(entries(&around), ["state".to_string(), used_name].into());
    }

    #[test]
    fn leftovers_of_a_killed_replacement_of_a_file_are_removed() {
        let around = fresh("file-leftovers");
        let path = around.join("deep/er/watchdog");
        replace_file(&path, b"one").unwrap();
        for name in ["watchdog.1-0.part", "mine.part"] {
            fs::write(path.with_file_name(name), "half").unwrap();
        }
        replace_file(&path, b"two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let left = entries(path.parent().unwrap());
        assert_eq!(left, ["mine.part".to_string(), "watchdog".into()].into());
        let e = replace_file(&around.join("deep/er/watchdog/x"), b"").unwrap_err().to_string();
        assert!(e.contains("cannot write") && e.contains("watchdog/x: "), "{e}");
    }

    #[test]
    fn an_interrupted_replacement_is_recovered() {
        let around = fresh("recovered");
        let folder = around.join("state");
        write(&folder, "one").unwrap();
        fs::rename(&folder, around.join(".state.old")).unwrap();
        assert_eq!(existing(&folder), around.join(".state.old"));
        assert!(!folder.exists(), "a reader renames nothing");
        write(&folder, "two").unwrap();
        assert_eq!(entries(&around), ["state".to_string()].into());
    }

    #[test]
    fn a_folder_is_removed_with_the_old_one_that_a_killed_replacement_left() {
        let around = fresh("both");
        let folder = around.join("state");
        for names in [&["state", ".state.old"][..], &["state"], &[".state.old"], &[]] {
            names.iter().for_each(|name| fs::create_dir(around.join(name)).unwrap());
            remove_folder(&folder).unwrap();
            assert_eq!(entries(&around), BTreeSet::new(), "{names:?}");
        }
    }

    #[test]
    fn folders_and_files_of_users_are_not_replaced() {
        let around = fresh("users");
        fs::create_dir(around.join("run")).unwrap();
        fs::write(around.join("run/notes.txt"), "mine").unwrap();
        let e = write(&around.join("run"), "one").unwrap_err().to_string();
        assert!(e.contains("it holds `notes.txt`, which is no file of a saved state"), "{e}");
        fs::write(around.join("file"), "mine").unwrap();
        assert!(write(&around.join("file"), "one").is_err());
        assert_eq!(fs::read_to_string(around.join("run/notes.txt")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(around.join("file")).unwrap(), "mine");
        assert_eq!(entries(&around), ["file".to_string(), "run".into()].into());
    }

    #[test]
    fn a_folder_without_a_name_is_an_error() {
        let e = write(Path::new("/"), "one").unwrap_err().to_string();
        assert!(e.contains("expected the name of a folder, got `/`"), "{e}");
    }
}
