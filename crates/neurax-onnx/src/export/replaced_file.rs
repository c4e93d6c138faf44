//! Files that are replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file that is complete and on the disk, beside the one that it replaces. It is removed unless
/// it is renamed.
///
/// Of several files, all are written before the first one is renamed, so that an error of writing
/// leaves all old ones unchanged.
#[derive(Debug)]
pub(super) struct ReplacedFile {
    part: Option<PathBuf>,
    to: PathBuf,
}

impl ReplacedFile {
    /// Writes the file that is to replace `to`, with the permissions of that. A symbolic link
    /// stays, and the file that it names is replaced.
    ///
    /// # Errors
    /// If `write` or the file system fails, or `to` is no file.
    pub fn write(
        to: &Path,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
    ) -> Result<ReplacedFile> {
        let to = fs::canonicalize(to).unwrap_or_else(|_| to.to_path_buf());
        let permissions = match fs::metadata(&to) {
            Ok(old) if !old.is_file() => return Err(Error::other("expected a file")),
            Ok(old) => Some(old.permissions()),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let (file, part) = created_beside(&to)?;
        // From here on, an error removes the part.
        let replaced = ReplacedFile { part: Some(part), to };
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner().map_err(|e| e.into_error())?.sync_all()?;
        Ok(replaced)
    }

    /// Renames the file to its name.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn rename(mut self) -> Result<()> {
        if let Some(part) = &self.part {
            fs::rename(part, &self.to)?;
        }
        self.part = None;
        Ok(())
    }
}

impl Drop for ReplacedFile {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // The error of removing the incomplete file would hide the first one.
            let _ = fs::remove_file(part);
        }
    }
}

/// Creates a file with a unique name in the folder of `path`.
fn created_beside(path: &Path) -> Result<(File, PathBuf)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}-{}.part", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let part = path.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            // A process of this number in another container, or one before this.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
            file => return Ok((file?, part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not() {
        let folder = std::env::temp_dir().join(format!("neurax-replaced-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("file");
        fs::write(&path, "old").unwrap();
        let failed = ReplacedFile::write(&path, |file| {
            file.write_all(b"ha")?;
            Err(Error::other("full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "full");
        let written = ReplacedFile::write(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        written.rename().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no parts are left");
        assert!(ReplacedFile::write(&folder, |_| Ok(())).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
