//! Files that `record.py` beside this file wrote with NumPy, and files for NumPy to read, byte for
//! byte.

use neurax::{
    io::{npy, npz, text},
    prelude::*,
    testing::{assert_equal, check_equal},
};
use std::path::PathBuf;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/numpy/data").join(name)
}

/// Returns the values of `values` in `record.py`.
fn values(dtype: DType, shape: &[usize]) -> Tensor {
    let n = Tensor::arange(shape.iter().product::<usize>());
    let is_odd = (&n % 2).not_equal(0);
    let signed = where_(&is_odd, -&n, &n);
    let x = match dtype {
        BOOL => is_odd,
        d if d.is_complex() => (signed.to(F64) / 4.0).complex(n.to(F64)),
        d if d.is_float() => signed.to(F64) / 4.0,
        I8 | I16 | I32 | I64 => signed,
        _ => n,
    };
    x.to(dtype).reshape(shape)
}

#[test]
fn every_dtype_order_and_layout_of_numpy_is_read() {
    let arrays = npz::load(data("arrays.npz")).unwrap();
    let dtypes = [BOOL, U8, U16, U32, U64, I8, I16, I32, I64, F16, F32, F64, C64, C128];
    assert_eq!(arrays.len(), dtypes.len() * 4 + 3);
    for dtype in dtypes {
        for kind in ["leC", "leF", "beC", "beF"] {
            let name = format!("{dtype}{kind}");
            check_equal(&arrays[&name], &values(dtype, &[2, 3, 4]))
                .unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
    for (name, shape) in [("scalar", &[][..]), ("empty", &[2, 0, 3]), ("vector", &[5])] {
        assert_equal(&arrays[name], &values(F32, shape));
    }
}

#[test]
fn compressed_archives_are_read() {
    let arrays = npz::load(data("compressed.npz")).unwrap();
    assert_eq!(arrays.keys().collect::<Vec<_>>(), ["arr_0", "named"]);
    assert_equal(&arrays["arr_0"], &values(F64, &[3, 5]));
    assert_equal(&arrays["named"], &values(I32, &[4]));
}

#[test]
fn every_version_of_the_header_is_read() {
    for version in 1..=3 {
        let x = npy::load(data(&format!("version{version}.npy"))).unwrap();
        assert_equal(&x, &values(F32, &[2, 3]));
    }
}

#[test]
fn the_bytes_are_those_of_numpy() {
    for (name, shape) in [("written1", &[7][..]), ("written3", &[2, 3, 4]), ("written0", &[])] {
        let want = std::fs::read(data(&format!("{name}.npy"))).unwrap();
        let have = npy::to_bytes(&values(F32, shape)).unwrap();
        assert!(have == want, "{name}: {}", String::from_utf8_lossy(&have[..128]));
    }
}

#[test]
fn other_elements_are_refused_with_their_kind() {
    for (name, want) in [
        ("strings", "expected numbers or bools, got '<U2': strings"),
        ("objects", "expected numbers or bools, got '|O': Python objects, which are pickles"),
        ("dates", "expected numbers or bools, got '<M8[D]': dates or times"),
        ("fields", "expected numbers, got a structured dtype; save each field alone"),
        ("bytes", "expected numbers or bools, got '|V2': raw bytes (as which NumPy saves bf16"),
        ("long", "expected numbers or bools, got '<f16': elements of a dtype that Neurax does"),
    ] {
        let path = data(&format!("refused_{name}.npy"));
        let e = npy::load(&path).unwrap_err().to_string();
        assert!(e.starts_with(&format!("load: {}: the header", path.display())), "{e}");
        assert!(e.contains(want), "{name}: {e}");
    }
}

#[test]
fn text_and_raw_elements_are_read() {
    assert_equal(&text::load(data("text.txt"), F64).unwrap(), &values(F64, &[3, 4]));
    assert_equal(&text::load(data("text.csv"), I32).unwrap(), &values(I32, &[3, 4]));
    let raw = Tensor::from_file(data("raw.f32"), F32).unwrap();
    assert_equal(&raw.reshape([2, 3]), &values(F32, &[2, 3]));
    let bytes = values(F32, &[2, 3]).to_bytes().unwrap();
    assert_eq!(bytes, std::fs::read(data("raw.f32")).unwrap());
}
