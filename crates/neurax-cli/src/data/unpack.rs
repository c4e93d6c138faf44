//! The files of an archive `.tar.gz`, unpacked beside it.

use super::checked_file::data_error;
use flate2::read::GzDecoder;
use neurax::Result;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;
use tar::{Archive, Entry};

/// The bytes that are compared at a time.
const COMPARED_BYTES: usize = 1 << 16;

/// The numbers of files of an archive after [`unpack`].
#[derive(Debug, Default, PartialEq)]
pub struct UnpackedFiles {
    /// The number of files that were written.
    pub written: usize,
    /// The number of files that had been there, with the contents of the archive.
    pub kept: usize,
}

/// Unpacks the regular files of an archive into its folder, without the folders in it. A file that
/// is there with the contents of the one in the archive is kept.
///
/// # Errors
/// If the archive is damaged or has two files of one name, a file with other contents is there, or
/// one cannot be written; a file is complete or not there.
pub fn unpack(archive: &Path) -> Result<UnpackedFiles> {
    let folder = archive.parent().unwrap_or(Path::new("."));
    let unpacked = || {
        let mut files = Archive::new(GzDecoder::new(BufReader::new(File::open(archive)?)));
        let (mut counts, mut names) = (UnpackedFiles::default(), BTreeSet::new());
        for entry in files.entries()? {
            let mut entry = entry?;
            // Only the last part of a path, which cannot lead out of the folder.
            let name = entry.path()?.file_name().map(|name| name.to_os_string());
            let Some(name) = name.filter(|_| entry.header().entry_type().is_file()) else {
                continue;
            };
            if !names.insert(name.clone()) {
                let why = format!("expected files of different names, got two of {name:?}");
                return Err(io::Error::other(why));
            }
            match write_entry(&mut entry, folder, name)? {
                true => counts.written += 1,
                false => counts.kept += 1,
            }
        }
        Ok(counts)
    };
    unpacked().map_err(|e: io::Error| data_error(archive, e))
}

/// Writes a file of an archive into a folder. Returns false if it was there.
fn write_entry(
    entry: &mut Entry<'_, impl Read>,
    folder: &Path,
    name: OsString,
) -> io::Result<bool> {
    let path = folder.join(&name);
    if path.try_exists()? {
        let is_equal = File::open(&path).and_then(|file| have_equal_bytes(file, entry))?;
        let why = || format!("another file is there: {}; move it away", path.display());
        return if is_equal { Ok(false) } else { Err(io::Error::other(why())) };
    }
    let mut part = name;
    part.push(".part");
    let part = folder.join(part);
    let mut file = File::create(&part)?;
    io::copy(entry, &mut file)?;
    file.sync_all()?;
    fs::rename(part, path)?;
    Ok(true)
}

/// Returns true if two files have the same bytes to their ends.
fn have_equal_bytes(mut a: impl Read, mut b: impl Read) -> io::Result<bool> {
    let (mut chunk, mut other) = (vec![0; COMPARED_BYTES], Vec::new());
    loop {
        let count = b.read(&mut chunk)?;
        other.clear();
        // At the end of one file, a byte more of the other one shows that it is longer.
        a.by_ref().take(count.max(1) as u64).read_to_end(&mut other)?;
        if other != chunk[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::path::PathBuf;
    use tar::{Builder, Header};

    /// Returns the path of a new archive in a new folder.
    fn archive(folder: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = format!("neurax-unpack-{}-{folder}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, contents) in files {
            let mut header = Header::new_gnu();
            header.set_size(contents.len() as u64);
            builder.append_data(&mut header, name, *contents).unwrap();
        }
        let path = folder.join("data.tar.gz");
        fs::write(&path, builder.into_inner().unwrap().finish().unwrap()).unwrap();
        path
    }

    #[test]
    fn files_are_unpacked_without_their_folders_and_then_kept() {
        let path = archive("whole", &[("set/a.bin", b"first"), ("set/deep/b.bin", b"second")]);
        for (written, kept) in [(2, 0), (0, 2)] {
            assert_eq!(unpack(&path).unwrap(), UnpackedFiles { written, kept });
            assert_eq!(fs::read(path.with_file_name("a.bin")).unwrap(), b"first");
            assert_eq!(fs::read(path.with_file_name("b.bin")).unwrap(), b"second");
        }
        fs::remove_file(path.with_file_name("b.bin")).unwrap();
        assert_eq!(unpack(&path).unwrap(), UnpackedFiles { written: 1, kept: 1 });
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(unpack(&path).unwrap_err().message().contains("data.tar.gz"));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn another_file_is_an_error_and_not_changed() {
        let path = archive("other", &[("set/a.bin", b"first")]);
        // Of the same size, shorter and longer.
        for other in [&b"notes"[..], b"fir", b"first and more"] {
            fs::write(path.with_file_name("a.bin"), other).unwrap();
            let error = unpack(&path).unwrap_err().to_string();
            assert!(error.contains("another file is there") && error.contains("a.bin"), "{error}");
            assert_eq!(fs::read(path.with_file_name("a.bin")).unwrap(), other);
        }
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn two_files_of_one_name_are_an_error() {
        let path = archive("twice", &[("train/a.bin", b"first"), ("test/a.bin", b"first")]);
        let error = unpack(&path).unwrap_err().to_string();
        assert!(error.contains("got two of \"a.bin\""), "{error}");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
