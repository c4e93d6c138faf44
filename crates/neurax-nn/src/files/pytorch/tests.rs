//! Files that `record.py` in `fixtures` wrote with PyTorch 2.9.1, and damaged ones.

use super::*;
use neurax_tensor::DType;

fn fixture(name: &str) -> std::path::PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/files/pytorch/fixtures");
    Path::new(folder).join(name)
}

#[test]
fn tensors_of_all_dtypes_and_views_are_read() {
    let t = load(&fixture("tensors.pt")).unwrap();
    let text = |name: &str| {
        let values = t[name].to(DType::F64).to_vec::<f64>().unwrap();
        format!("{} {values:?}", t[name].ty().unwrap())
    };
    assert_eq!(text("f32"), "f32[2, 3] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]");
    assert_eq!(text("transposed"), "f32[3, 2] [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]");
    assert_eq!(text("slice"), "f32[2] [2.0, 5.0]");
    assert_eq!(text("f16"), "f16[2] [1.5, -2.0]");
    assert_eq!(text("bf16"), "bf16[2] [1.5, -2.0]");
    assert_eq!(text("f64"), "f64[] [0.25]");
    assert_eq!(text("i64"), "i64[2] [-1.0, 4294967296.0]");
    assert_eq!(text("u8"), "u8[2] [1.0, 255.0]");
    assert_eq!(text("bool"), "bool[2] [1.0, 0.0]");
    assert_eq!(text("empty"), "f32[0, 3] []");
    assert_eq!(text("parameter"), "f32[1] [7.0]");
    assert_eq!(t.len(), 11);
}

// The dtypes for which PyTorch writes bytes without a type, with torch==2.15.0.
#[test]
fn tensors_of_storages_without_a_type_are_read() {
    let t = load(&fixture("untyped.pt")).unwrap();
    let text = |name: &str| {
        let values = t[name].to(DType::F64).to_vec::<f64>().unwrap();
        format!("{} {values:?}", t[name].ty().unwrap())
    };
    assert_eq!(text("u16"), "u16[2, 2] [0.0, 2.0, 1.0, 65535.0]");
    assert_eq!(text("u32"), "u32[1] [4294967295.0]");
    assert_eq!(text("u64"), "u64[2] [1.0, 4294967296.0]");
    assert_eq!(text("f8e4m3fn"), "f8e4m3fn[2] [1.5, -448.0]");
    assert_eq!(text("f8e5m2"), "f8e5m2[] [0.25]");
    assert_eq!(t.len(), 5);
}

#[test]
fn tensors_of_nested_dicts_have_dotted_names() {
    let t = load(&fixture("nested.pt")).unwrap();
    let names: Vec<&String> = t.keys().collect();
    assert_eq!(names, ["model.0.bias", "model.0.weight", "optimizer.state.0.momentum"]);
}

#[test]
fn functions_in_a_file_are_not_called() {
    let t = load(&fixture("hostile.pt")).unwrap();
    assert_eq!(t.keys().collect::<Vec<_>>(), ["weight"]);
    assert!(!Path::new("/tmp/neurax-was-executed").exists());
}

#[test]
fn other_and_damaged_files_are_errors() {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("neurax-damaged-{}.pt", std::process::id()));
    let whole = std::fs::read(fixture("tensors.pt")).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let e = load(&path).unwrap_err().message().to_string();
    assert!(e.contains("expected a state dict of `torch.save`"), "{e}");
    // Every byte of the pickle may be wrong: no panic, and no memory beyond the file's.
    for at in 0..600 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x5a;
        std::fs::write(&path, &damaged).unwrap();
        if let Err(e) = load(&path) {
            assert!(e.message().contains("neurax-damaged"), "{e}");
        }
    }
    drop(std::fs::remove_file(&path));
}

#[test]
fn dicts_without_an_end_are_errors() {
    // A dict that contains itself: EMPTY_DICT, memo 0, key "a", value memo 0, SETITEM.
    let pickle = b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.";
    let (heap, root) = Pickle::run(pickle).unwrap();
    let e = StateDict { heap: &heap, visits: 0, found: &mut vec![] }.visit(root, "", 0);
    assert!(e.unwrap_err().message().contains("32 nested dicts"));
}
