//! Tests of the reader of IDX files.

use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::path::PathBuf;

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("neurax-idx-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Returns the header of an IDX file.
pub(crate) fn header(code: u8, dims: &[u32]) -> Vec<u8> {
    let mut out = vec![0, 0, code, dims.len() as u8];
    dims.iter().for_each(|d| out.extend(d.to_be_bytes()));
    out
}

/// Returns bytes compressed with gzip.
pub(crate) fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut z = GzEncoder::new(Vec::new(), Compression::fast());
    z.write_all(bytes).unwrap();
    z.finish().unwrap()
}

fn error(name: &str, bytes: &[u8]) -> String {
    let e = idx(file(name, bytes)).unwrap_err().to_string();
    assert!(e.contains(name), "expected the file name in: {e}");
    e
}

#[test]
fn every_element_type_is_big_endian() {
    let x = idx(file("i16", &[header(0x0b, &[2]), vec![0xff, 0xfe, 1, 0]].concat())).unwrap();
    assert_eq!(x.to_vec::<i16>().unwrap(), [-2, 256]);
    let x = idx(file("f64", &[header(0x0e, &[]), 0.5f64.to_be_bytes().to_vec()].concat())).unwrap();
    assert_eq!(x.to_vec::<f64>().unwrap(), [0.5]);
    let x = idx(file("none", &header(0x08, &[3, 0]))).unwrap();
    assert_eq!(x.shape(), [3, 0]);
}

#[test]
fn gzip_is_detected_by_its_first_bytes() {
    let bytes = [header(0x08, &[2]), vec![7, 9]].concat();
    assert_eq!(idx(file("zip", &zip(&bytes))).unwrap().to_vec::<u8>().unwrap(), [7, 9]);
}

#[test]
fn malformed_files_are_errors_that_name_file_and_reason() {
    assert!(error("empty", &[]).contains("the header is truncated"));
    assert!(error("text", b"pixel,pixel").contains("not an IDX file"));
    assert!(error("code", &header(0x07, &[1])).contains("got 0x07"));
    assert!(error("dims", &[0, 0, 8, 3, 0, 0, 0, 1]).contains("the header is truncated"));
    assert!(
        error("short", &[header(8, &[4]), vec![1, 2, 3]].concat())
            .contains("expected 4 bytes of elements, got 3")
    );
    assert!(
        error("long", &[header(8, &[2]), vec![1, 2, 3]].concat())
            .contains("expected 2 bytes of elements, got more")
    );
    let whole =
        zip(&[header(8, &[2000]), (0..2000u32).map(|i| ((i * i) >> 3) as u8).collect()].concat());
    assert!(error("cutzip", &whole[..whole.len() / 2]).contains("of 2000 bytes"));
}

#[test]
fn sizes_that_are_only_declared_allocate_nothing() {
    assert!(error("overflow", &header(0x0e, &[u32::MAX; 4])).contains("the limit of 2 GiB"));
    assert!(
        error("large", &zip(&header(8, &[3 << 10, 1 << 10, 1 << 10])))
            .contains("the limit of 2 GiB")
    );
    assert!(error("claims", &header(8, &[60_000, 100, 100])).contains("bytes of elements, got 0"));
    assert!(error("rank", &[header(8, &[]), vec![]].concat()).contains("bytes of elements, got 0"));
    assert!(error("axes", &header(8, &[0; 65])).contains("declares 65 axes, at most 64"));
}

#[test]
fn a_compressed_file_is_read_no_further_than_its_header_declares() {
    // The zeros take a thousandth of their size, and an invalid header follows them.
    let mut z = GzEncoder::new(Vec::new(), Compression::fast());
    z.write_all(&header(8, &[3])).unwrap();
    (0..16).for_each(|_| z.write_all(&[0; 1 << 20]).unwrap());
    let mut bytes = z.finish().unwrap();
    bytes.extend([0x1f, 0x8b, 1, 2, 3]);
    assert!(error("bomb", &bytes).contains("expected 3 bytes of elements, got more"));
}

#[test]
fn only_regular_files_are_read() {
    let e = idx(std::env::temp_dir()).unwrap_err().to_string();
    assert!(e.contains("expected a file, got a directory"), "{e}");
    #[cfg(unix)]
    {
        let e = idx("/dev/zero").unwrap_err().to_string();
        assert_eq!(e, "idx: /dev/zero: expected a file, got a device");
        let e = crate::csv("/dev/zero").table().unwrap_err().to_string();
        assert_eq!(e, "csv: /dev/zero: expected a file, got a device");
    }
}

#[test]
fn rows_are_those_of_the_array() {
    let bytes = [header(0x0b, &[3, 2]), (0..12).collect()].concat();
    for (name, bytes, is_indexed) in
        [("rows", bytes.clone(), true), ("rows.gz", zip(&bytes), false)]
    {
        let path = file(name, &bytes);
        let (rows, whole) = (idx_rows(&path).unwrap(), idx(&path).unwrap());
        assert_eq!((rows.len(), rows.has_random_access()), (Some(3), is_indexed));
        for first in 0..4 {
            let rest = rows.epoch_from(0, first).map(|row| row.unwrap().to_string());
            let want = (first..3).map(|i| whole.take(i as i64, 0).to_string());
            assert!(rest.eq(want), "{name} from row {first}");
        }
    }
}

#[test]
fn rows_of_malformed_files_are_errors() {
    let error = |name: &str, bytes: &[u8]| {
        let e = match idx_rows(file(name, bytes)) {
            Ok(rows) => rows.epoch(0).last().unwrap().unwrap_err().to_string(),
            Err(e) => e.to_string(),
        };
        assert!(e.contains(name), "expected the file name in: {e}");
        e
    };
    let short = [header(8, &[2, 2]), vec![1, 2, 3]].concat();
    assert!(error("rshort", &short).contains("expected 4 bytes of elements, got 3"));
    let e = error("rshort.gz", &zip(&short));
    assert!(e.contains("row 1: expected 2 bytes of elements, got 1"), "{e}");
    let long = [header(8, &[2, 2]), vec![1, 2, 3, 4, 5]].concat();
    assert!(error("rlong", &long).contains("expected 4 bytes of elements, got more"));
    let e = error("rlong.gz", &zip(&long));
    assert!(e.contains("row 1: expected the end of the 2 rows here, got more"), "{e}");
    let e = error("rnone.gz", &zip(&[header(8, &[0, 2]), vec![1]].concat()));
    assert!(e.contains("expected the end of the 0 rows here, got more"), "{e}");
    let mut sum = zip(&long[..long.len() - 1]);
    let crc = sum.len() - 8;
    sum[crc] ^= 1;
    assert!(error("rsum.gz", &sum).contains("row 1: "));
    assert!(error("rscalar", &header(8, &[])).contains("bytes of elements, got 0"));
    let e = error("rscalar.gz", &zip(&header(8, &[])));
    assert!(e.contains("expected rows along axis 0, got u8[]"), "{e}");
    let e = error("rlarge.gz", &zip(&header(8, &[1, 3 << 10, 1 << 10, 1 << 10])));
    assert!(e.contains("the limit of 2 GiB"), "{e}");
}
