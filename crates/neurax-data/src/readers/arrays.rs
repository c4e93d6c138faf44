//! Data sets in files of arrays: `.npy`, `.npz` and safetensors.

use crate::Dataset;
use neurax_tensor::io;
use neurax_tensor::{Error, Result, Tensor};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads the inputs and the targets of a data set from two `.npy` files, with the examples along
/// axis 0. The dtypes are those of the files. [`npy_rows`](crate::npy_rows) reads files that are
/// larger than memory.
///
/// # Errors
/// If a file cannot be read or is malformed, see [`io::npy::load`], or the numbers of examples
/// differ.
///
/// ```
/// use neurax::{io::npy, prelude::*};
/// # let dir = std::env::temp_dir();
/// # let (x, y) = (dir.join("neurax-doc-x.npy"), dir.join("neurax-doc-y.npy"));
/// npy::save(&tensor([[1.0, 2.0], [3.0, 4.0]]), &x)?;
/// npy::save(&tensor([0, 1]), &y)?;
/// let set = data::npy(&x, &y)?;
/// assert_eq!((set.len(), set.y.to_vec::<i32>()?), (2, vec![0, 1]));
/// # Ok::<(), Error>(())
/// ```
pub fn npy(x: impl AsRef<Path>, y: impl AsRef<Path>) -> Result<Dataset> {
    let (x, y) = (x.as_ref(), y.as_ref());
    let set = Dataset::new(io::npy::load(x)?, io::npy::load(y)?);
    set.map_err(|e| invalid("npy", &format!("{} and {}", x.display(), y.display()), &e))
}

/// Reads a data set from a `.npz` file of NumPy: its arrays `x` and `y`, with the examples along
/// axis 0. [`io::npz::load`] returns all arrays of a file, and [`npz_rows`](crate::npz_rows) reads
/// one that is larger than memory.
///
/// # Errors
/// If the file cannot be read or is malformed, has no such array, or the numbers of examples
/// differ.
///
/// ```
/// use neurax::{io::npz, prelude::*};
/// # let path = std::env::temp_dir().join("neurax-doc-set.npz");
/// let arrays = std::collections::BTreeMap::from([
///     ("images".to_string(), Tensor::zeros([2, 8, 8])),
///     ("labels".to_string(), tensor([3, 7])),
/// ]);
/// npz::save(&arrays, &path)?;
/// assert_eq!(data::npz(&path, "images", "labels")?.x.shape(), [2, 8, 8]);
/// let error = data::npz(&path, "images", "classes").unwrap_err().to_string();
/// assert!(error.contains("expected one of the arrays images, labels, got `classes`"), "{error}");
/// # Ok::<(), Error>(())
/// ```
pub fn npz(path: impl AsRef<Path>, x: &str, y: &str) -> Result<Dataset> {
    let path = path.as_ref();
    of_arrays("npz", path, io::npz::load(path)?, x, y)
}

/// Reads a data set from a safetensors file: its tensors `x` and `y`, with the examples along axis
/// 0. [`io::safetensors::load`] returns all tensors of a file, and
/// [`safetensors_rows`](crate::safetensors_rows) reads one that is larger than memory.
///
/// # Errors
/// If the file cannot be read or is malformed, has no such tensor, or the numbers of examples
/// differ.
///
/// ```
/// use neurax::{io::safetensors, prelude::*};
/// # let path = std::env::temp_dir().join("neurax-doc-set.safetensors");
/// safetensors::save(&Dataset::new(Tensor::zeros([4, 3]), Tensor::ones([4]))?, &path)?;
/// assert_eq!(data::safetensors(&path, "x", "y")?.len(), 4);
/// # Ok::<(), Error>(())
/// ```
pub fn safetensors(path: impl AsRef<Path>, x: &str, y: &str) -> Result<Dataset> {
    let path = path.as_ref();
    of_arrays("safetensors", path, io::safetensors::load(path)?, x, y)
}

/// Returns the data set of two arrays of a file.
fn of_arrays(
    op: &str,
    path: &Path,
    arrays: BTreeMap<String, Tensor>,
    x: &str,
    y: &str,
) -> Result<Dataset> {
    let array = |name: &str| {
        arrays.get(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
            let names = names.join(", ");
            let why = format!("expected one of the arrays {names}, got `{name}`");
            Error::new(op, format!("{}: {why}", path.display()))
        })
    };
    let set = Dataset::new(array(x)?, array(y)?);
    set.map_err(|e| invalid(op, &path.display().to_string(), &e))
}

/// Returns the error of arrays that are no data set, with their files.
fn invalid(op: &str, files: &str, e: &Error) -> Error {
    Error::new(op, format!("{files}: {}", e.message())).at_origin(e.origin())
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn errors_name_the_files() {
        let dir = std::env::temp_dir();
        let path = |name: &str| dir.join(format!("neurax-arrays-{}-{name}", std::process::id()));
        let (x, y) = (path("x.npy"), path("y.npy"));
        io::npy::save(&tensor([1, 2, 3]), &x).unwrap();
        io::npy::save(&tensor([1, 2]), &y).unwrap();
        let error = npy(&x, &y).unwrap_err().to_string();
        assert!(error.contains("y.npy: expected 3 rows in `y`, as in `x`, got 2"), "{error}");
        let error = npy(path("none.npy"), &y).unwrap_err().to_string();
        assert!(error.contains("none.npy"), "{error}");
        let file = path("set.npz");
        io::npz::save(&(tensor([1, 2, 3]), tensor(4)), &file).unwrap();
        let error = npz(&file, "0", "1").unwrap_err().to_string();
        assert!(error.contains("set.npz: expected examples along axis 0 of `y`"), "{error}");
    }
}
