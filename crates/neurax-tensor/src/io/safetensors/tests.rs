use super::*;
use std::{fs, path::PathBuf};

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("neurax-safetensors-{}-{name}", std::process::id()))
}

/// Writes a file with `header` and `elements` bytes of elements.
fn file(name: &str, header: &str, elements: usize) -> PathBuf {
    let bytes =
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![1; elements]].concat();
    std::fs::write(path(name), bytes).unwrap();
    path(name)
}

fn error(name: &str, header: &str, elements: usize) -> String {
    let e = load(file(name, header, elements)).unwrap_err().to_string();
    assert!(e.contains(name), "names the file: {e}");
    e
}

#[test]
fn every_dtype_comes_back() {
    let mut draw = crate::testing::Draw::new(5);
    for dtype in DType::ALL {
        let x = draw.tensor(dtype, [3, 3]);
        save(&x, path("all")).unwrap();
        let y = load_like(&x, path("all")).unwrap();
        assert_eq!(y.to_literal().unwrap(), x.to_literal().unwrap(), "{dtype}");
        assert_eq!(mapped("all").to_literal().unwrap(), x.to_literal().unwrap(), "{dtype}");
    }
}

#[test]
fn files_are_little_endian() {
    let x = vec![
        Tensor::from(Literal::from_slice([2], &[0x0102u16, 3]).unwrap()),
        Tensor::from(Literal::scalar(DType::F64, 1.0)),
    ];
    save(&x, path("endian")).unwrap();
    let bytes = fs::read(path("endian")).unwrap();
    assert!(bytes.ends_with(&[0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 2, 1, 3, 0]), "{bytes:?}");
    let y = load_like(&x, path("endian")).unwrap();
    assert_eq!(y[0].to_vec::<u16>().unwrap(), [0x0102, 3]);
}

/// Returns a file with a leaf `w` of bytes, whose type is `types` in the metadata.
fn typed_file(name: &str, types: &str, elements: &str, bytes: &[u8]) -> PathBuf {
    let types = serde_json::to_string(types).unwrap();
    let header = format!(r#"{{"__metadata__":{{"neurax.types":{types}}},"w":{elements}}}"#);
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path(name), [&length[..], header.as_bytes(), bytes].concat()).unwrap();
    path(name)
}

const TWO_BYTES: &str = r#"{"dtype":"U8","shape":[2],"data_offsets":[0,2]}"#;
const NIBBLES: &str = r#"{"w":{"dtype":"u4","shape":[3]}}"#;

#[test]
fn dtypes_that_the_format_lacks_are_bytes_with_a_type() {
    let nibbles = Tensor::from(Literal::from_f64s(DType::U4, [3], &[1.0, 2.0, 3.0]));
    let tree = BTreeMap::from([("w".to_string(), nibbles)]);
    save(&tree, path("nibbles")).unwrap();
    let file = fs::read(path("nibbles")).unwrap();
    let written = fs::read(typed_file("typed", NIBBLES, TWO_BYTES, &[0x21, 0x03])).unwrap();
    let header = |file: &[u8]| -> serde_json::Value {
        serde_json::from_slice(&file[8..file.len() - 2]).unwrap()
    };
    assert_eq!(header(&file), header(&written));
    assert!(file.ends_with(&[0x21, 0x03]));
    assert_eq!(load(path("typed")).unwrap()["w"].to_string(), "u4[3] [1, 2, 3]");
    // Without the entry they are what the header says.
    let plain = format!(r#"{{"w":{TWO_BYTES}}}"#);
    assert_eq!(load(self::file("plain", &plain, 2)).unwrap()["w"].to_string(), "u8[2] [1, 1]");
}

#[test]
fn damaged_types_of_leaves_are_refused() {
    let error = |types: &str, elements: &str, bytes: &[u8]| {
        let path = typed_file("bad-types", types, elements, bytes);
        let e = load(&path).unwrap_err().to_string();
        e.strip_prefix(&format!("load: {}: ", path.display())).unwrap().to_string()
    };
    let of = |types: &str| error(types, TWO_BYTES, &[1, 1]);
    let entry = "in the metadata `neurax.types`";
    assert!(of("[").starts_with(&format!("expected types {entry}: ")));
    assert!(of(r#"{"w":{"dtype":"u4","shape":[-3]}}"#).starts_with("expected types"));
    let of_type =
        |dtype: &str, shape: &str| of(&format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape}}}}}"#));
    assert_eq!(of_type("x4", "[3]"), format!("`w` {entry}: expected a dtype, got `x4`"));
    assert_eq!(of_type("u4", "[9]"), format!("`w` {entry}: expected 5 bytes for u4[9], got 2"));
    let huge = of_type("c128", "[4294967296,4294967296]");
    assert!(huge.ends_with("c128[4294967296, 4294967296] is larger than the address space"));
    let deep = of_type("u4", &format!("[{}]", ["1"; 65].join(",")));
    assert!(deep.contains("expected at most 64 axes"), "{deep}");
    let other = of(&NIBBLES.replace('w', "v"));
    assert_eq!(other, format!("`v` {entry}: there is no such tensor"));
    let unused = error(NIBBLES, TWO_BYTES, &[0x21, 0x43]);
    assert_eq!(unused, "`w`: expected zeros in the unused bits of the last byte of u4[3]");
    let wide = r#"{"dtype":"I16","shape":[1],"data_offsets":[0,2]}"#;
    let wide = error(NIBBLES, wide, &[1, 0]);
    assert_eq!(wide, format!("`w` {entry}: expected the bytes of u4[3] as u8, got i16[1]"));
}

#[test]
fn types_of_leaves_are_no_metadata_of_the_caller() {
    let x = Tensor::from(Literal::from_f64s(DType::I4, [2], &[1.0, -2.0]));
    let metadata = BTreeMap::from([("a".to_string(), "b".to_string())]);
    save_with_metadata(&x, &metadata, path("own")).unwrap();
    assert_eq!(load_metadata(path("own")).unwrap(), metadata);
    assert_eq!(load_like(&x, path("own")).unwrap().to_literal().unwrap(), x.to_literal().unwrap());
    let reserved = BTreeMap::from([("neurax.types".to_string(), "{}".to_string())]);
    let e = save_with_metadata(&x, &reserved, path("reserved-entry")).unwrap_err().to_string();
    assert_eq!(e, "save: an entry of the metadata is called `neurax.types`, which is reserved");
    assert!(!path("reserved-entry").exists());
}

#[test]
fn a_single_tensor_is_named_by_words() {
    save(&crate::tensor([1.0]), path("single")).unwrap();
    let e = load_like(&crate::tensor([1, 2]), path("single")).unwrap_err().to_string();
    assert!(e.contains("expected the tensor to be i32[2], got f32[1]"), "{e}");
    let e = load_like(&vec![crate::tensor([1, 2])], path("single")).unwrap_err().to_string();
    assert!(e.contains("expected `0` to be i32[2], got no such tensor"), "{e}");
}

#[test]
fn a_file_that_cannot_be_written_leaves_nothing_behind() {
    let folder = path("folder");
    fs::create_dir_all(folder.join("w.safetensors/in the way")).unwrap();
    let e = save(&Tensor::zeros(2), folder.join("w.safetensors")).unwrap_err().to_string();
    assert!(e.contains("w.safetensors"), "{e}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn two_leaves_of_one_name_are_refused() {
    let of = |key: &str, inner: &str| {
        (key.to_string(), BTreeMap::from([(inner.to_string(), Tensor::zeros(1))]))
    };
    let same = BTreeMap::from([of("a", "b.c"), of("a.b", "c")]);
    assert!(
        save(&same, path("same"))
            .unwrap_err()
            .to_string()
            .contains("two leaves are called `a.b.c`")
    );
}

/// Returns the tensor of a file, mapped.
#[allow(unsafe_code, reason = "the tests replace this file by `save` only")]
fn mapped(name: &str) -> Tensor {
    // SAFETY: as above.
    unsafe { load_mapped(path(name)) }.unwrap().remove("").unwrap()
}

#[test]
fn a_mapped_tensor_borrows_the_file_and_outlives_its_name() {
    save(&Tensor::ones([1000]), path("mapped")).unwrap();
    let x = mapped("mapped");
    assert!(!x.to_literal().unwrap().bytes().is_unique(), "read-only memory is never reused");
    save(&Tensor::zeros([1000]), path("mapped")).unwrap();
    std::fs::remove_file(path("mapped")).unwrap();
    assert_eq!(x.to_vec::<f32>().unwrap(), vec![1.0; 1000]);
}

#[test]
fn truncated_files_are_refused() {
    std::fs::write(path("empty"), []).unwrap();
    assert!(load(path("empty")).unwrap_err().to_string().contains("is shorter than the 8 bytes"));
    let whole = file("whole", r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8);
    let bytes = std::fs::read(&whole).unwrap();
    assert!(load(&whole).is_ok());
    for cut in [3, 8, 30, bytes.len() - 1] {
        std::fs::write(path("cut"), &bytes[..cut]).unwrap();
        assert!(load(path("cut")).is_err(), "{cut}");
    }
    std::fs::write(path("cut"), &bytes[..bytes.len() - 1]).unwrap();
    let e = load(path("cut")).unwrap_err().to_string();
    assert!(
        e.ends_with(
            "`a` ends at byte 8, but the file holds only 7 bytes of elements: it is cut short"
        ),
        "{e}"
    );
    assert!(load(path("none-such")).unwrap_err().to_string().contains("none-such"));
}

#[test]
fn inconsistent_headers_are_refused() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    assert!(
        error("size", &entry("F32", "[3]", "[0,8]"), 8)
            .ends_with("`w` is f32[3], but takes 8 bytes")
    );
    assert!(
        error("dtype", &entry("F6_E2M3", "[4]", "[0,3]"), 3).contains("`w` has elements of type")
    );
    assert!(error("noname", &entry("Q7", "[4]", "[0,3]"), 3).contains("`w`: unknown variant `Q7`"));
    assert!(error("hole", &entry("F32", "[1]", "[4,8]"), 8).contains("`w` takes bytes 4..8"));
    assert!(error("back", &entry("F32", "[1]", "[8,4]"), 8).contains("`w` takes bytes 8..4"));
    assert!(
        error("rest", &entry("F32", "[1]", "[0,4]"), 8)
            .contains("holds 8 bytes of elements, but its tensors take 4")
    );
    assert!(error("negative", &entry("F32", "[-1]", "[0,4]"), 4).contains("`w`: invalid value"));
    assert!(error("json", "{\"w\":", 0).contains("expected the header of a safetensors file"));
    assert!(error("list", "[1, 2]", 0).contains("expected the header of a safetensors file"));
    assert!(error("field", r#"{"w":{"dtype":"F32"}}"#, 0).contains("`w`: missing field"));
}

#[test]
fn absurd_sizes_allocate_nothing() {
    let huge = r#"{"w":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
    assert!(
        error("huge", huge, 8)
            .contains("`w`: f64[4294967296, 4294967296] is larger than the address space")
    );
    let far = r#"{"w":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}"#;
    assert!(error("far", far, 8).contains("`w` ends at byte 1000000000000"));
    std::fs::write(path("long"), u64::MAX.to_le_bytes()).unwrap();
    assert!(
        load(path("long"))
            .unwrap_err()
            .to_string()
            .contains("says its header is 18446744073709551615 bytes long")
    );
    std::fs::write(path("long"), 90_000_000u64.to_le_bytes()).unwrap();
    assert!(load(path("long")).unwrap_err().to_string().contains("but only 0 follow"));
}

#[test]
fn bools_must_be_bools() {
    let header = r#"{"w":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}"#;
    let mut bytes = std::fs::read(file("bools", header, 1)).unwrap();
    assert!(load(path("bools")).is_ok());
    *bytes.last_mut().unwrap() = 7;
    std::fs::write(path("bools"), bytes).unwrap();
    assert!(
        load(path("bools")).unwrap_err().to_string().contains("`w`: expected bytes of 0 and 1")
    );
}

/// Returns the names in the folder of `path` that begin with its own.
fn beside(path: &std::path::Path) -> Vec<String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let files = fs::read_dir(path.parent().unwrap()).unwrap();
    let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
    names.filter(|n| n.starts_with(name)).collect()
}

#[test]
fn the_header_is_read_into_tensors_within_limits() {
    let shape = |rank: usize| format!("[{}]", vec!["1"; rank].join(","));
    let entry =
        |shape: &str| format!(r#"{{"w":{{"dtype":"U8","shape":{shape},"data_offsets":[0,1]}}}}"#);
    assert!(load(file("rank-64", &entry(&shape(64)), 1)).is_ok());
    assert!(error("rank-65", &entry(&shape(65)), 1).contains("`w`: expected at most 64 axes"));
    // Nested lists and a list of a million sizes end where they are wrong.
    let deep = format!(r#"{{"__metadata__":{}1{}}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert!(error("deep", &deep, 0).contains("a map of strings to strings"));
    assert!(error("long-shape", &entry(&shape(1 << 20)), 1).contains("at most 64 axes"));
}

#[test]
fn metadata_are_strings() {
    let with = |metadata: &str| {
        format!(
            r#"{{"__metadata__":{metadata},"w":{{"dtype":"U8","shape":[],"data_offsets":[0,1]}}}}"#
        )
    };
    for good in ["{}", "null", r#"{"format":"pt","a\n":"\u00e9"}"#] {
        assert_eq!(load(file("metadata", &with(good), 1)).unwrap().len(), 1, "{good}");
    }
    let read = |metadata: &str| load_metadata(file("metadata", &with(metadata), 1));
    assert!(read("null").unwrap().is_empty());
    assert_eq!(read(r#"{"format":"pt","a\n":"\u00e9"}"#).unwrap()["a\n"], "é");
    assert!(read("[]").unwrap_err().to_string().contains("`__metadata__`: invalid type"));
    let many: Vec<String> = (0..70_000).map(|i| format!(r#""{i}":"""#)).collect();
    let many = format!("{{{}}}", many.join(","));
    let e = read(&many).unwrap_err().to_string();
    assert!(e.contains("expected at most 65536 entries"), "{e}");
    assert!(load(file("metadata", &with(&many), 1)).is_ok());
    for bad in ["3", r#""text""#, "[]", r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":{"b":"c"}}"#] {
        let e = error("metadata", &with(bad), 1);
        assert!(e.contains("`__metadata__`: invalid type"), "{bad}: {e}");
    }
}

#[test]
fn names_occur_once() {
    let entry = r#""w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
    let e = error("twice", &format!("{{{entry},{entry}}}"), 0);
    assert!(e.contains("two entries are called `w`"), "{e}");
    let e = error("twice", r#"{"__metadata__":{},"__metadata__":{}}"#, 0);
    assert!(e.contains("two entries are called `__metadata__`"), "{e}");
}

#[test]
fn a_leaf_called_metadata_is_refused_before_the_old_file_is_touched() {
    save(&Tensor::ones(2), path("reserved")).unwrap();
    let old = fs::read(path("reserved")).unwrap();
    let tree = BTreeMap::from([("__metadata__".to_string(), Tensor::zeros(2))]);
    let e = save(&tree, path("reserved")).unwrap_err().to_string();
    assert!(e.contains("`__metadata__`, which safetensors files reserve"), "{e}");
    assert_eq!(fs::read(path("reserved")).unwrap(), old);
    // Within a map it has a prefix, and no other meaning.
    let nested = BTreeMap::from([("a".to_string(), tree)]);
    save(&nested, path("reserved")).unwrap();
    assert_eq!(load(path("reserved")).unwrap().len(), 1);
}

#[test]
fn a_loaded_tensor_does_not_depend_on_the_file() {
    save(&Tensor::ones([100_000]), path("copied")).unwrap();
    let x = load(path("copied")).unwrap().remove("").unwrap();
    // In place, and shorter: of a mapped tensor, reading would end the program.
    fs::write(path("copied"), b"short").unwrap();
    assert_eq!(x.sum(..).item().unwrap(), 100_000.0);
}

#[test]
fn leftovers_of_interrupted_saves_are_removed() {
    let whole = path("interrupted");
    let part = |id: &str| path(&format!("interrupted.{id}.part"));
    let others = [part("a-b"), part("1"), part("1-2-3"), path("interrupted.1-2.parts")];
    for file in others.iter().chain([&part("4000000-0"), &part("1-17")]) {
        fs::write(file, b"incomplete").unwrap();
    }
    // A part that is being written is locked.
    let locked = part("7-7");
    let written = fs::File::create(&locked).unwrap();
    written.lock().unwrap();
    save(&Tensor::ones(3), &whole).unwrap();
    let mut left = beside(&whole);
    left.sort();
    let mut want: Vec<_> = others.iter().chain([&whole, &locked]).collect();
    want.sort();
    let want: Vec<_> = want.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(left, want);
}

#[cfg(unix)]
#[test]
fn permissions_and_symbolic_links_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (target, link, folder) = (path("target"), path("link"), path("links"));
    let _ = (fs::remove_file(&link), fs::remove_file(&target), fs::remove_dir_all(&folder));
    save(&Tensor::ones(1), &target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(target.file_name().unwrap(), &link).unwrap();
    save(&Tensor::ones(2), &link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(load(&target).unwrap()[""].shape(), [2]);
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    // A link to a file that does not exist yet, in another folder.
    fs::create_dir(&folder).unwrap();
    let (new, dangling) = (folder.join("new"), folder.join("link"));
    symlink(&new, &dangling).unwrap();
    save(&Tensor::ones(3), &dangling).unwrap();
    assert_eq!(load(&new).unwrap()[""].shape(), [3]);
    let circle = folder.join("circle");
    symlink(&circle, &circle).unwrap();
    let e = save(&Tensor::ones(1), &circle).unwrap_err().to_string();
    assert!(e.contains("more than 40 symbolic links"), "{e}");
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read_and_replaced() {
    let e = load("/dev/zero").unwrap_err().to_string();
    assert_eq!(e, "load: /dev/zero: expected a file, got a device");
    let e = save(&Tensor::ones(1), "/dev/null").unwrap_err().to_string();
    assert_eq!(e, "save: /dev/null: expected a file, got a device");
    let e = load(std::env::temp_dir()).unwrap_err().to_string();
    assert!(e.ends_with("expected a file, got a directory"), "{e}");
    let pipe = path("pipe");
    let _ = fs::remove_file(&pipe);
    if std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|s| s.success()) {
        let e = load(&pipe).unwrap_err().to_string();
        assert!(e.contains("expected a file, got a named pipe"), "{e}");
    }
}
