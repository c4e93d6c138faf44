//! Files with a known size and SHA-256.

use super::catalog::DATA_OP;
use neurax::Error;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

/// The bytes that are read at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// The expected contents of a file.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedFile<'a> {
    /// The size.
    pub bytes: u64,
    /// The SHA-256, 64 hexadecimal digits in lower case.
    pub sha256: &'a str,
}

impl ExpectedFile<'_> {
    /// Returns the difference of the contents of an open file, with both sizes or checksums, or
    /// none if they are the expected ones.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn difference(&self, file: &mut File) -> io::Result<Option<String>> {
        let size = file.metadata()?.len();
        if size != self.bytes {
            return Ok(Some(format!("expected {} bytes, got {size}", self.bytes)));
        }
        file.rewind()?;
        let sha256 = hash(file)?;
        let differs = sha256 != self.sha256;
        Ok(differs.then(|| format!("expected SHA-256 {}, got {sha256}", self.sha256)))
    }
}

/// Returns an error that names a file.
pub fn data_error(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(DATA_OP, format!("{}: {why}", path.display()))
}

/// Returns the SHA-256 of all bytes, in hexadecimal.
fn hash(file: &mut impl Read) -> io::Result<String> {
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            n => hasher.update(&chunk[..n]),
        }
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of FIPS 180-4: the hash of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn sizes_and_hashes_are_compared() {
        let path = std::env::temp_dir().join(format!("neurax-hash-{}", std::process::id()));
        let difference = |bytes| {
            let expected = ExpectedFile { bytes, sha256: ABC };
            expected.difference(&mut File::open(&path).unwrap()).unwrap()
        };
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(difference(3), None);
        assert_eq!(difference(4).unwrap(), "expected 4 bytes, got 3");
        std::fs::write(&path, "abd").unwrap();
        let other = difference(3).unwrap();
        assert!(other.starts_with(&format!("expected SHA-256 {ABC}, got a52d159f")), "{other}");
        std::fs::remove_file(&path).unwrap();
    }
}
