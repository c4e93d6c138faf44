//! The header of a safetensors file: its length in bytes (u64), then JSON that maps the name of
//! each tensor to its dtype, its shape and the range of its bytes.
//!
//! The JSON is read into entries, one after the other: memory is used for tensors only, a few times
//! the bytes of the header, and a shape ends at the largest rank. The checks are those of the
//! reference implementation, and that no name occurs twice, which the format demands as well.

use crate::io::first_names;
use neurax_ir::{DType, Error, Result, Type};
use safetensors::Dtype;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::{collections::BTreeMap, fmt, io::Read, marker::PhantomData, ops::Range};

/// The name in a header that is not a tensor: a map of strings to strings.
pub(super) const METADATA: &str = "__metadata__";

/// The entry of the metadata with the types of the leaves that are stored as bytes.
pub(super) const LEAF_TYPES: &str = "neurax.types";

/// The largest header in bytes that is read or written, as in the reference implementation.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The largest number of tensors that is read or written. The largest published models have some
/// 100,000 tensors in all their files.
pub(super) const MAX_TENSORS: usize = 1 << 20;

/// The largest number of entries of metadata that is read.
const MAX_METADATA: usize = 1 << 16;

/// The largest number of axes that is read.
const MAX_AXES: usize = 64;

/// The dtypes of the format, each with its name there.
const DTYPES: [(DType, Dtype); 19] = [
    (DType::Bool, Dtype::BOOL),
    (DType::U8, Dtype::U8),
    (DType::U16, Dtype::U16),
    (DType::U32, Dtype::U32),
    (DType::U64, Dtype::U64),
    (DType::I8, Dtype::I8),
    (DType::I16, Dtype::I16),
    (DType::I32, Dtype::I32),
    (DType::I64, Dtype::I64),
    (DType::F8E4M3FN, Dtype::F8_E4M3),
    (DType::F8E5M2, Dtype::F8_E5M2),
    (DType::F8E4M3FNUZ, Dtype::F8_E4M3FNUZ),
    (DType::F8E5M2FNUZ, Dtype::F8_E5M2FNUZ),
    (DType::F8E8M0FNU, Dtype::F8_E8M0),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::F32, Dtype::F32),
    (DType::F64, Dtype::F64),
    (DType::C64, Dtype::C64),
];

/// Returns the dtype of the format for one of ours; `None` if the format lacks it.
pub(super) fn format_dtype(dtype: DType) -> Option<Dtype> {
    DTYPES.iter().find(|(ours, _)| *ours == dtype).map(|&(_, theirs)| theirs)
}

/// A tensor of a file.
pub(super) struct TensorEntry {
    pub(super) name: String,
    pub(super) ty: Type,
    /// The bytes of the elements, counted from the first byte of the file.
    pub(super) bytes: Range<usize>,
}

/// Reads the header of a file of `size` bytes. Returns the tensors in the order of their bytes,
/// which cover the rest of the file without holes and without overlap, and the entry of the
/// metadata called [`LEAF_TYPES`], if there is one.
pub(super) fn read(file: &mut impl Read, size: u64) -> Result<(Vec<TensorEntry>, Option<String>)> {
    let text = text(file, size)?;
    let start = 8 + text.len();
    let Header { tensors, metadata: LeafTypesEntry(types) } = parsed(&text)?;
    drop(text);
    let size = usize::try_from(size).map_err(|_| malformed("is larger than the address space"))?;
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    check_cover(&tensors, size - start)?;
    let entries = tensors.into_iter().map(|(name, info)| entry(name, info, start));
    Ok((entries.collect::<Result<_>>()?, types))
}

/// Reads the metadata of a file of `size` bytes, without the types of its leaves.
pub(super) fn read_metadata(file: &mut impl Read, size: u64) -> Result<BTreeMap<String, String>> {
    let mut metadata: BTreeMap<String, String> = parsed(&text(file, size)?)?.metadata;
    metadata.remove(LEAF_TYPES);
    Ok(metadata)
}

fn parsed<S: MetadataSink>(text: &[u8]) -> Result<Header<S>> {
    serde_json::from_slice(text)
        .map_err(|e| malformed(format!("expected the header of a safetensors file: {e}")))
}

/// Reads the JSON of the header, whose length is checked before memory is allocated.
fn text(file: &mut impl Read, size: u64) -> Result<Vec<u8>> {
    let Some(rest) = size.checked_sub(8) else {
        return Err(malformed(
            "is shorter than the 8 bytes that every safetensors file starts with",
        ));
    };
    let failed = |e: std::io::Error| malformed(e.to_string());
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(failed)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(malformed(format!(
            "says its header is {length} bytes long; at most {MAX_HEADER_BYTES} are read: is it a \
             safetensors file?"
        )));
    }
    if length > rest {
        return Err(malformed(format!(
            "says its header is {length} bytes long, but only {rest} follow: it is cut short"
        )));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 != length {
        return Err(malformed("was shortened while it was read"));
    }
    Ok(text)
}

/// Checks that the tensors cover `size` bytes without holes and without overlap.
fn check_cover(tensors: &[(String, Info)], size: usize) -> Result<()> {
    let mut at = 0;
    for (name, Info { data_offsets: (from, to), .. }) in tensors {
        let name = leaf_name(name);
        if *to > size {
            return Err(malformed(format!(
                "{name} ends at byte {to}, but the file holds only {size} bytes of elements: it \
                 is cut short"
            )));
        }
        if *from != at || to < from {
            return Err(malformed(format!(
                "{name} takes bytes {from}..{to}, but the tensor before it ends at {at}"
            )));
        }
        at = *to;
    }
    if at != size {
        return Err(malformed(format!(
            "holds {size} bytes of elements, but its tensors take {at}"
        )));
    }
    Ok(())
}

/// Returns the entry of a tensor, whose size must be that of its bytes. `start` is the offset of
/// the first element in the file.
fn entry(name: String, info: Info, start: usize) -> Result<TensorEntry> {
    let (from, to) = info.data_offsets;
    let shown = leaf_name(&name);
    let ty = Type::new(dtype_of(&shown, info.dtype)?, info.shape.0);
    if ty.bytes().map_err(|e| malformed(format!("{shown}: {}", e.message())))? != to - from {
        return Err(malformed(format!("{shown} is {ty}, but takes {} bytes", to - from)));
    }
    Ok(TensorEntry { name, ty, bytes: start + from..start + to })
}

/// Returns our dtype for one of the format. `name` is the [`leaf_name`] of the tensor.
fn dtype_of(name: &str, theirs: Dtype) -> Result<DType> {
    let known = DTYPES.iter().find(|(_, dtype)| *dtype == theirs);
    known.map(|&(ours, _)| ours).ok_or_else(|| {
        malformed(format!("{name} has elements of type {theirs}, which Neurax does not know"))
    })
}

/// Returns the tensor called `name`; the error lists those that there are.
pub(super) fn find<'a>(entries: &'a [TensorEntry], name: &str) -> Result<&'a TensorEntry> {
    entries.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names = first_names(entries.iter().map(|entry| leaf_name(&entry.name)));
        malformed(format!("expected one of the tensors {names}, got {}", leaf_name(name)))
    })
}

/// Returns the name of the leaf at `path` for messages. A tree that is a single tensor has one
/// leaf, whose path is empty.
pub(super) fn leaf_name(path: &str) -> String {
    if path.is_empty() { "the tensor".into() } else { format!("`{path}`") }
}

/// Returns the error of a file that cannot be read.
pub(super) fn malformed(why: impl Into<String>) -> Error {
    Error::new("load", why)
}

/// The tensors of a header by name, and its metadata.
struct Header<S> {
    tensors: BTreeMap<String, Info>,
    metadata: S,
}

/// A collection of metadata: all of it, or the entry that readers of tensors need.
trait MetadataSink: Default {
    /// Adds an entry.
    ///
    /// # Errors
    /// If there are too many.
    fn add(&mut self, name: String, value: String) -> Result<(), String>;
}

/// The entry of the metadata called [`LEAF_TYPES`], if there is one.
#[derive(Default)]
struct LeafTypesEntry(Option<String>);

impl MetadataSink for LeafTypesEntry {
    fn add(&mut self, name: String, value: String) -> Result<(), String> {
        if name == LEAF_TYPES {
            self.0 = Some(value);
        }
        Ok(())
    }
}

impl MetadataSink for BTreeMap<String, String> {
    fn add(&mut self, name: String, value: String) -> Result<(), String> {
        self.insert(name, value);
        match self.len() > MAX_METADATA {
            true => Err(format!("expected at most {MAX_METADATA} entries")),
            false => Ok(()),
        }
    }
}

/// The description of one tensor.
#[derive(serde::Deserialize)]
#[serde(expecting = "a map of `dtype`, `shape` and `data_offsets`")]
struct Info {
    dtype: Dtype,
    shape: AxisSizes,
    /// The first byte of the elements, and the one after the last, counted from the first element
    /// of the file.
    data_offsets: (usize, usize),
}

/// The sizes of the axes, at most [`MAX_AXES`].
#[derive(serde::Serialize)]
pub(super) struct AxisSizes(pub(super) Vec<usize>);

/// A map of strings to strings.
struct Metadata<S>(S);

impl<'de, S: MetadataSink> Deserialize<'de> for Header<S> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Header<S>, D::Error> {
        struct Entries<S>(PhantomData<S>);
        impl<'de, S: MetadataSink> Visitor<'de> for Entries<S> {
            type Value = Header<S>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header<S>, A::Error> {
                let (mut tensors, mut metadata) = (BTreeMap::new(), None);
                while let Some(name) = map.next_key::<String>()? {
                    let named = |e| A::Error::custom(format!("{}: {e}", leaf_name(&name)));
                    let again = if name == METADATA {
                        metadata.replace(map.next_value::<Metadata<S>>().map_err(named)?).is_some()
                    } else {
                        let info = map.next_value::<Info>().map_err(named)?;
                        tensors.insert(name.clone(), info).is_some()
                    };
                    if again {
                        return Err(A::Error::custom(format!("two entries are called `{name}`")));
                    }
                    if tensors.len() > MAX_TENSORS {
                        let why = format!("expected at most {MAX_TENSORS} tensors");
                        return Err(A::Error::custom(why));
                    }
                }
                let metadata = metadata.map(|Metadata(map)| map).unwrap_or_default();
                Ok(Header { tensors, metadata })
            }
        }
        from.deserialize_map(Entries(PhantomData))
    }
}

impl<'de> Deserialize<'de> for AxisSizes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<AxisSizes, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = AxisSizes;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a list of at most {MAX_AXES} sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AxisSizes, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = list.next_element()? {
                    if sizes.len() == MAX_AXES {
                        return Err(A::Error::custom(format!("expected at most {MAX_AXES} axes")));
                    }
                    sizes.push(size);
                }
                Ok(AxisSizes(sizes))
            }
        }
        from.deserialize_seq(Sizes)
    }
}

impl<'de, S: MetadataSink> Deserialize<'de> for Metadata<S> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Metadata<S>, D::Error> {
        struct Strings<S>(PhantomData<S>);
        impl<'de, S: MetadataSink> Visitor<'de> for Strings<S> {
            type Value = Metadata<S>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of strings to strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata<S>, A::Error> {
                let mut all = S::default();
                while let Some((name, value)) = map.next_entry()? {
                    all.add(name, value).map_err(A::Error::custom)?;
                }
                Ok(Metadata(all))
            }

            // The reference implementation accepts null.
            fn visit_unit<E>(self) -> Result<Metadata<S>, E> {
                Ok(Metadata(S::default()))
            }
        }
        from.deserialize_any(Strings(PhantomData))
    }
}
