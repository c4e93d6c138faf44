//! Streams of the rows of arrays in files: `.npy`, `.npz` and safetensors.

use crate::stream::{ItemTask, ItemTasks, Stream, task};
use neurax_tensor::io::{self, FileRows};
use neurax_tensor::{Result, Tensor};
use std::path::Path;

/// Returns the rows of a `.npy` file, entries along axis 0, with random access. A row is read when
/// it is used, so that the file may be larger than memory; [`npy`](crate::npy()) reads whole files.
///
/// # Errors
/// If the file cannot be read or is malformed, its elements are in Fortran order, or it holds a
/// scalar. An item is an error if the file was shortened meanwhile.
///
/// ```
/// use neurax::{io::npy, prelude::*};
/// # let dir = std::env::temp_dir();
/// # let (x, y) = (dir.join("neurax-doc-rows-x.npy"), dir.join("neurax-doc-rows-y.npy"));
/// npy::save(&tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), &x)?;
/// npy::save(&tensor([0, 1, 2]), &y)?;
/// let examples = data::npy_rows(&x)?.zip(&data::npy_rows(&y)?);
/// assert_eq!(examples.len(), Some(3));
/// let batch = examples.batch(2).epoch_from(0, 1).next().unwrap()?;
/// assert_eq!(batch.x.to_vec::<f32>()?, [5.0, 6.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn npy_rows(path: impl AsRef<Path>) -> Result<Stream<Tensor>> {
    Ok(row_stream(io::npy::rows(path)?))
}

/// Returns the rows of the array `name` of a `.npz` file, entries along axis 0, as [`npy_rows`]
/// does. The rows of a file of `numpy.savez` have random access. Those of `numpy.savez_compressed`
/// are decompressed from the first on, and an epoch that begins at another row decompresses those
/// before it; the checksum of the array is compared behind the last row.
///
/// # Errors
/// As [`npy_rows`], and if the file has no such array.
///
/// ```
/// use neurax::{io::npz, prelude::*};
/// # let path = std::env::temp_dir().join("neurax-doc-set-rows.npz");
/// let set = Dataset::new(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([5, 6]))?;
/// npz::save(&set, &path)?;
/// let examples = data::npz_rows(&path, "x")?.zip(&data::npz_rows(&path, "y")?);
/// let (x, y) = examples.epoch_from(0, 1).next().unwrap()?;
/// assert_eq!((x.to_vec::<f32>()?, y.item()?), (vec![3.0, 4.0], 6.0));
/// npz::save_compressed(&set, &path)?;
/// assert!(!data::npz_rows(&path, "x")?.has_random_access());
/// # Ok::<(), Error>(())
/// ```
pub fn npz_rows(path: impl AsRef<Path>, name: &str) -> Result<Stream<Tensor>> {
    Ok(row_stream(io::npz::rows(path, name)?))
}

/// Returns the rows of the tensor `name` of a safetensors file, entries along axis 0, with random
/// access, as [`npy_rows`] does.
///
/// # Errors
/// As [`npy_rows`], and if the file has no such tensor, or its rows do not take whole bytes, such
/// as `i4[3]`.
///
/// ```
/// use neurax::{io::safetensors, prelude::*};
/// # let path = std::env::temp_dir().join("neurax-doc-set-rows.safetensors");
/// safetensors::save(&Dataset::new(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([5, 6]))?, &path)?;
/// let rows = data::safetensors_rows(&path, "x")?.shuffle(key(0));
/// assert_eq!((rows.len(), rows.epoch(0).count()), (Some(2), 2));
/// # Ok::<(), Error>(())
/// ```
pub fn safetensors_rows(path: impl AsRef<Path>, name: &str) -> Result<Stream<Tensor>> {
    Ok(row_stream(io::safetensors::rows(path, name)?))
}

/// Returns the rows of an array, with random access unless it is compressed.
pub(crate) fn row_stream(rows: FileRows) -> Stream<Tensor> {
    let len = rows.len();
    if rows.has_random_access() {
        return Stream::from_index(len, move |i| rows.row(i));
    }
    let open = move |_, first| {
        let done = |row: Result<Tensor>| -> Result<ItemTask<Tensor>> {
            row.map(|row| task(move || Ok(row)))
        };
        Ok(Box::new(rows.read_from(first)?.map(done)) as ItemTasks<Tensor>)
    };
    Stream::sequential(move || Some(len), open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::io::{npy, npz, safetensors};
    use neurax_tensor::{DType, key};
    use std::path::PathBuf;

    /// The first bytes of a file.
    const NPY_MAGIC: &[u8; 6] = b"\x93NUMPY";

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("neurax-npy-rows-{}-{name}", std::process::id()))
    }

    #[test]
    fn rows_are_those_of_the_array_in_every_format() {
        let path = path("rows");
        type Save = fn(&Tensor, &Path) -> Result<()>;
        type Open = fn(&Path) -> Result<Stream<Tensor>>;
        let formats: [(Save, Open); 4] = [
            (|x, path| npy::save(x, path), |path| npy_rows(path)),
            (|x, path| npz::save(x, path), |path| npz_rows(path, "arr_0")),
            (|x, path| npz::save_compressed(x, path), |path| npz_rows(path, "arr_0")),
            (|x, path| safetensors::save(x, path), |path| safetensors_rows(path, "")),
        ];
        for shape in [&[5, 2, 3][..], &[5], &[5, 0], &[0, 4]] {
            let count = shape.iter().product::<usize>();
            let x = Tensor::arange(count).to(DType::F16).reshape(shape.to_vec());
            for (format, (save, open)) in formats.iter().enumerate() {
                save(&x, &path).unwrap();
                let rows = open(&path).unwrap();
                assert_eq!(rows.len(), Some(shape[0]));
                assert_eq!(rows.epoch(0).count(), shape[0]);
                assert_eq!(rows.has_random_access(), format != 2);
                for (i, row) in rows.epoch(0).enumerate() {
                    assert_eq!(row.unwrap().to_string(), x.take(i as i64, 0).to_string());
                }
            }
        }
    }

    #[test]
    fn a_file_of_many_empty_rows_takes_no_memory() {
        let path = path("claims");
        let bytes = npy::to_bytes(&Tensor::zeros([5, 0])).unwrap();
        let header = String::from_utf8_lossy(&bytes[10..]).replace("(5, 0)", "(1099511627776, 0)");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        std::fs::write(&path, [&bytes[..8], &length, header.as_bytes()].concat()).unwrap();
        let rows = npy_rows(&path).unwrap();
        assert_eq!(rows.len(), Some(1 << 40));
        let row = rows.cache().epoch_from(0, 1 << 39).next().unwrap().unwrap();
        assert_eq!(row.shape(), [0]);
        let shuffled = rows.shuffle(key(0)).epoch(0).next().unwrap().unwrap_err().to_string();
        assert!(shuffled.contains("expected at most 2147483647 examples"), "{shuffled}");
    }

    #[test]
    fn headers_have_any_spaces_and_quotes() {
        let path = path("spaces");
        let file = |header: &str| {
            let length = u16::try_from(header.len()).unwrap().to_le_bytes();
            let elements: Vec<u8> = (0..6i32).flat_map(i32::to_le_bytes).collect();
            let start = [&NPY_MAGIC[..], &[1, 0], &length, header.as_bytes()].concat();
            std::fs::write(&path, [start, elements].concat()).unwrap();
            npy_rows(&path)
        };
        for header in [
            "{'descr': '<i4', 'fortran_order': False, 'shape' : ( 3 ,2 ) }",
            "{'shape':(3,2),'descr':'<i4','fortran_order':False}",
            "{\"shape\": (3, 2), \"descr\": \"<i4\", \"fortran_order\": False}",
        ] {
            let row = file(header).unwrap().epoch_from(0, 1).next().unwrap().unwrap();
            assert_eq!(row.to_vec::<i32>().unwrap(), [2, 3], "{header}");
        }
        let e = file("{'descr':'<i4','fortran_order' :True,'shape':(3,2)}").unwrap_err();
        assert!(e.message().contains("Fortran order"), "{e}");
    }

    #[test]
    fn rows_are_shuffled_by_several_threads() {
        let path = path("threads");
        npy::save(&Tensor::arange(100), &path).unwrap();
        let rows = npy_rows(&path).unwrap().shuffle(key(0));
        let one: Vec<i32> = rows.epoch(1).map(|x| x.unwrap().item().unwrap() as i32).collect();
        let ahead = rows.prefetch(4);
        let four: Vec<i32> = ahead.epoch(1).map(|x| x.unwrap().item().unwrap() as i32).collect();
        assert_eq!((one.len(), &one), (100, &four));
    }

    #[test]
    fn malformed_files_are_errors() {
        let path = path("malformed");
        let error = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = npy_rows(&path).unwrap_err().to_string();
            assert!(error.contains("malformed: "), "{error}");
            error
        };
        assert!(error(b"\x93NUM").contains("one that is cut short"));
        assert!(error(b"no array at all").contains("expected a .npy file"));
        let whole = npy::to_bytes(&Tensor::arange(6)).unwrap();
        let short = error(&whole[..whole.len() - 1]);
        assert!(
            short.contains("expected 24 bytes for i32[6] behind the header, got 23"),
            "{short}"
        );
        let square = npy::to_bytes(&Tensor::zeros([2, 3])).unwrap();
        let fortran = String::from_utf8_lossy(&square[10..128]).replace("False", "True ");
        let fortran = [&square[..10], fortran.as_bytes(), &square[128..]].concat();
        assert!(error(&fortran).contains("got an array in Fortran order"));
        let mut huge = NPY_MAGIC.to_vec();
        huge.extend([2, 0, 255, 255, 255, 255]);
        assert!(error(&huge).contains("expected a header of at most"));
        let scalar = npy::to_bytes(&neurax_tensor::tensor(1.0)).unwrap();
        assert!(error(&scalar).contains("expected rows along axis 0, got f32[]"));
    }

    #[test]
    fn a_compressed_array_that_was_changed_is_an_error_at_its_last_row() {
        let path = path("changed.npz");
        // Random numbers, which deflate stores as they are.
        let x = key(0).uniform([4, 4000]);
        npz::save_compressed(&x, &path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        for first in [0, 3] {
            let error = npz_rows(&path, "arr_0").unwrap().epoch_from(0, first).last().unwrap();
            let error = error.unwrap_err().to_string();
            assert!(error.contains("changed.npz: "), "{error}");
        }
    }
}
