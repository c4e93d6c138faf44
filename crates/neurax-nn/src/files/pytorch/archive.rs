//! The zip archive of a state dict: the pickle, and the elements of tensors.

use super::value::StoredTensor;
use crate::files::error::malformed;
use neurax_tensor::{DType, Literal, Result, Shape, Tensor, Type, ir::Bytes};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// The folder in the archive with all files, and a slash.
    folder: String,
    /// The elements of the storages that were read.
    storages: HashMap<String, Vec<u8>>,
}

impl Archive {
    pub fn open(path: &Path) -> Result<Archive> {
        let file = neurax_tensor::io::open_file(path)?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| {
            let want = "expected a state dict of `torch.save` of PyTorch 1.6 or later (a zip file)";
            malformed(format!("{want}: {e}; load an older file in PyTorch and save it again"))
        })?;
        let names = zip.file_names().filter_map(|name| name.ok());
        let folder =
            names.into_iter().find_map(|name| name.strip_suffix("data.pkl").map(String::from));
        let folder = folder.ok_or_else(|| {
            malformed("expected an archive of `torch.save` with the file data.pkl".into())
        })?;
        let mut archive = Archive { zip, folder, storages: HashMap::new() };
        archive.check_byte_order()?;
        Ok(archive)
    }

    /// Returns the pickle.
    pub fn pickle(&mut self) -> Result<Vec<u8>> {
        self.read("data.pkl")
    }

    /// Returns a tensor with its elements.
    pub fn tensor(&mut self, t: &StoredTensor) -> Result<Tensor> {
        let key = &t.storage.key;
        if !self.storages.contains_key(key) {
            let bytes = self.read(&format!("data/{key}"))?;
            self.storages.insert(key.clone(), bytes);
        }
        let bytes = self.storages.get(key).map_or(&[][..], Vec::as_slice);
        let elements = strided(t, bytes)?;
        if t.storage.dtype == DType::Bool && elements.iter().any(|&b| b > 1) {
            return Err(malformed(format!("storage {key} is bool, but holds other bytes")));
        }
        let ty = Type { dtype: t.storage.dtype, shape: Shape::from(&t.shape[..]) };
        Ok(Tensor::from(Literal::new(ty, Bytes::copy_of(&elements))?))
    }

    /// Checks that numbers have the byte order of this machine.
    fn check_byte_order(&mut self) -> Result<()> {
        let order = match self.zip.index_for_name(&format!("{}byteorder", self.folder)) {
            Some(_) => self.read("byteorder")?,
            // Older files do not say; they were written on little-endian machines.
            None => b"little".to_vec(),
        };
        let own: &[u8] = if cfg!(target_endian = "little") { b"little" } else { b"big" };
        match order.trim_ascii() == own {
            true => Ok(()),
            false => Err(malformed(format!(
                "expected {}-endian numbers, got {}-endian ones",
                String::from_utf8_lossy(own),
                String::from_utf8_lossy(&order)
            ))),
        }
    }

    /// Returns the contents of a file of the archive.
    fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let name = format!("{}{name}", self.folder);
        let failed = |e: &dyn std::fmt::Display| malformed(format!("{name} in the archive: {e}"));
        let mut file = self.zip.by_name(&name).map_err(|e| failed(&e))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        Ok(bytes)
    }
}

/// Returns the bytes of the elements of a view in row-major order.
fn strided(t: &StoredTensor, bytes: &[u8]) -> Result<Vec<u8>> {
    let width = t.storage.dtype.bits() / 8;
    let outside = || {
        malformed(format!(
            "expected a tensor within the {} elements of storage {}, got the shape {:?} with the \
             strides {:?} from {}",
            bytes.len() / width.max(1),
            t.storage.key,
            t.shape,
            t.strides,
            t.offset
        ))
    };
    let count = t.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(outside)?;
    // A view that repeats elements could be larger than any memory.
    if t.shape.len() != t.strides.len() || count > bytes.len() / width.max(1) {
        return Err(outside());
    }
    let mut out = Vec::with_capacity(count * width);
    let mut index = vec![0; t.shape.len()];
    for _ in 0..count {
        let steps = index
            .iter()
            .zip(&t.strides)
            .try_fold(t.offset, |at, (&i, &stride)| at.checked_add(usize::checked_mul(i, stride)?));
        let start = steps.and_then(|at| at.checked_mul(width)).ok_or_else(outside)?;
        let end = start.checked_add(width).ok_or_else(outside)?;
        out.extend_from_slice(bytes.get(start..end).ok_or_else(outside)?);
        advance(&mut index, &t.shape);
    }
    Ok(out)
}

/// Moves an index to the next element in row-major order.
fn advance(index: &mut [usize], shape: &[usize]) {
    for (i, &size) in index.iter_mut().zip(shape).rev() {
        *i += 1;
        if *i < size {
            return;
        }
        *i = 0;
    }
}
