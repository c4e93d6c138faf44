//! Tests of the rows of arrays in files.

use super::*;
use neurax_ir::DType;

fn file(name: &str, bytes: &[u8]) -> (PathBuf, File) {
    let path = std::env::temp_dir().join(format!("neurax-rows-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    (path, file)
}

fn numbers(rows: impl Iterator<Item = Result<Tensor>>) -> Vec<Vec<u8>> {
    rows.map(|row| row.unwrap().to_vec::<u8>().unwrap()).collect()
}

#[test]
fn rows_are_read_from_any_of_them() {
    let (path, file) = file("plain", &[9, 9, 9, 1, 2, 3, 4, 5, 6, 8]);
    let rows = FileRows::new(&path, file, &Type::new(DType::U8, [3, 2]), 3).unwrap();
    assert_eq!(numbers(rows.read_from(0).unwrap()), [[1, 2], [3, 4], [5, 6]]);
    assert_eq!(numbers(rows.read_from(2).unwrap()), [[5, 6]]);
    assert_eq!(rows.read_from(7).unwrap().count(), 0);
    // Iterators do not disturb each other.
    let (mut a, mut b) = (rows.read_from(0).unwrap(), rows.read_from(1).unwrap());
    let pairs = std::iter::from_fn(|| Some([a.next()?, b.next()?])).flatten();
    assert_eq!(numbers(pairs), [[1, 2], [3, 4], [3, 4], [5, 6]]);
}

#[test]
fn a_file_that_became_shorter_is_an_error_that_names_the_row() {
    let (path, file) = file("short", &[1, 2, 3, 4, 5]);
    let rows = FileRows::new(&path, file, &Type::new(DType::U8, [3, 2]), 0).unwrap();
    let items: Vec<_> = rows.read_from(1).unwrap().collect();
    assert_eq!(items.len(), 2);
    for error in [items[1].as_ref().unwrap_err(), &rows.row(2).unwrap_err()] {
        let why = "short: row 2: expected 2 bytes of elements, got 1: it is cut short";
        assert!(error.to_string().ends_with(why), "{error}");
    }
}

#[test]
fn rows_of_parts_of_bytes_are_refused() {
    let of = |shape: &[usize]| {
        let (path, file) = file("packed", &[0x21, 0x43, 0x65, 0x07]);
        FileRows::new(&path, file, &Type::new(DType::U4, shape.to_vec()), 0)
    };
    let error = of(&[3, 3]).unwrap_err().to_string();
    assert!(error.contains("expected rows of whole bytes, got u4[3]"), "{error}");
    assert_eq!(of(&[2, 4]).unwrap().row(1).unwrap().to_string(), "u4[4] [5, 6, 7, 0]");
    let error = of(&[]).unwrap_err().to_string();
    assert!(error.contains("expected rows along axis 0, got u4[]"), "{error}");
}

#[test]
fn decoded_bytes_end_with_the_last_row() {
    let (path, file) = file("decoded", b"hhh\x01\x02\x03\x04");
    let ty = Type::new(DType::U8, [2, 2]);
    let rows = FileRows::new(&path, file, &ty, 0).unwrap();
    let ends_at = |end| rows.clone().decoded(0..end, 3, |from| Box::new(from));
    assert_eq!(numbers(ends_at(7).read_from(1).unwrap()), [[3, 4]]);
    let error = ends_at(7).row(1).unwrap_err().to_string();
    assert!(error.contains("the array is compressed"), "{error}");
    let error = ends_at(2).read_from(0).unwrap_err().to_string();
    assert!(error.contains("expected 3 bytes in front of row 0, got 2"), "{error}");
    let rows = FileRows { rows: 1, ..ends_at(7) };
    let error = rows.read_from(0).unwrap().next().unwrap().unwrap_err().to_string();
    assert!(error.ends_with("row 0: expected the end of the 1 rows here, got more"));
}
