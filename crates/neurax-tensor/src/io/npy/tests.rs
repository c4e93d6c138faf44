use super::*;
use crate::{prelude::*, testing::Draw};

/// Returns the bytes of a file with the header `text`, in version 1.0, and `elements`.
fn file(text: &str, elements: &[u8]) -> Vec<u8> {
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), elements].concat()
}

fn message(bytes: &[u8]) -> String {
    from_bytes(bytes).unwrap_err().message().to_string()
}

#[test]
fn every_dtype_of_numpy_returns() {
    let mut draw = Draw::new(4);
    for dtype in DType::ALL {
        for shape in [vec![], vec![0], vec![3], vec![2, 3, 1]] {
            let x = draw.tensor(dtype, shape);
            match to_bytes(&x) {
                Ok(bytes) => {
                    let back = from_bytes(&bytes).unwrap();
                    assert_eq!(back.to_literal().unwrap(), x.to_literal().unwrap());
                }
                Err(e) => {
                    let format = neurax_ir::FloatFormat::of(dtype);
                    let is_small = format.is_some_and(|f| f.bits() <= 8);
                    let lacks = dtype.bits() < 8 || dtype == BF16 || is_small;
                    assert!(lacks, "{e}");
                }
            }
        }
    }
}

#[test]
fn headers_of_other_writers_are_read() {
    let one = 1f32.to_le_bytes();
    for text in [
        "{'shape':(1,),'fortran_order':False,'descr':'<f4'}",
        r#"{ "descr" : "=f4" , "fortran_order" : True , "shape" : ( 1L , ) , }"#,
        "{'descr': 'f4', 'fortran_order': False, 'shape': (1, 1), }   \n",
    ] {
        let x = from_bytes(&file(text, &one)).unwrap();
        assert_eq!(x.to_vec::<f32>().unwrap(), [1.0], "{text}");
    }
}

#[test]
fn malformed_headers_are_errors() {
    let of = |text: &str| message(&file(text, &[]));
    let rest = "'fortran_order': False, 'shape': (0,)}";
    for (text, want) in [
        ("", "expected `{`, got its end"),
        ("{'descr': '<f4'", "expected `}`, got its end"),
        ("{'descr': '<f4', 'descr': '<f4'", "expected one key 'descr', got two"),
        ("{'descr': '<f4'}", "expected a key 'shape'"),
        ("{'other': 1}", "expected no key 'other'"),
        ("{'descr': '<f4", "expected the end of a string"),
        ("{'fortran_order': 1}", "expected True or False"),
        ("{'shape': (-1,)}", "expected the size of an axis, got ``"),
        ("{'shape': (99999999999999999999,)}", "expected the size of an axis, got `9999"),
        ("{'shape': 3}", "expected `(`, got `3`"),
        (&format!("{{'descr': '<x4', {rest}"), "got '<x4': elements of a dtype that Neurax does"),
        (&format!("{{'descr': '', {rest}"), "got '': elements of a dtype"),
        (&format!("{{'descr': '<f4', {rest} more"), "expected its end, got `more`"),
        (&format!("{{'shape': ({})}}", "1,".repeat(65)), "expected at most 64 axes"),
    ] {
        let e = of(text);
        assert!(e.starts_with("the header") && e.contains(want), "{text}: {e}");
    }
}

#[test]
fn a_file_of_another_size_is_an_error() {
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
    let sized = |n: usize| message(&file(text, &vec![0; n]));
    assert_eq!(sized(4), "expected 8 bytes for f32[2] behind the header, got 4");
    assert_eq!(sized(12), "expected 8 bytes for f32[2] behind the header, got 12");
    let huge = text.replace("(2,)", "(1125899906842624, 2)");
    assert!(message(&file(&huge, &[])).contains("behind the header, got 0"));
    let overflow = text.replace("(2,)", "(18446744073709551615, 8)");
    assert!(message(&file(&overflow, &[])).contains("f32[18446744073709551615, 8]"));
    assert_eq!(message(b"\x93NUMPY"), "expected a .npy file, got one that is cut short");
    assert!(message(b"PK\x03\x04 and more").starts_with("expected a .npy file, which starts"));
    assert_eq!(message(b"\x93NUMPY\x04\x00"), "expected version 1, 2 or 3, got 4");
    let long = [b"\x93NUMPY\x02\x00", &u32::MAX.to_le_bytes()[..]].concat();
    assert_eq!(message(&long), "expected a header of at most 65536 bytes, got 4294967295");
}

#[test]
fn bools_are_0_and_1() {
    let text = "{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}";
    assert_eq!(
        message(&file(text, &[0, 2])),
        "expected bytes of 0 and 1 for bool elements, got others"
    );
}
