//! The fields of an encoded message, without a schema.

use super::tensor_survey::failed;
use neurax_ir::{Error, Result};
use std::ops::Range;

/// A field of a message: all its bytes, and those of the content if it has a length.
pub(super) struct ProtoField {
    pub number: u64,
    pub all: Range<usize>,
    pub content: Option<Range<usize>>,
}

/// Returns a message in which the contents are replaced for which `f`, called with the number of
/// the field and its content, returns another one.
pub(super) fn replaced(
    bytes: &[u8],
    f: &mut dyn FnMut(u64, &[u8]) -> Result<Option<Vec<u8>>>,
) -> Result<Vec<u8>> {
    let mut new = Vec::with_capacity(bytes.len());
    for field in fields(bytes)? {
        let content = match &field.content {
            Some(content) => f(field.number, &bytes[content.clone()])?,
            None => None,
        };
        match (content, field.content) {
            (Some(content), Some(old)) if content != bytes[old.clone()] => {
                prost::encoding::encode_varint(field.number << 3 | 2, &mut new);
                prost::encoding::encode_varint(content.len() as u64, &mut new);
                new.extend_from_slice(&content);
            }
            _ => new.extend_from_slice(&bytes[field.all]),
        }
    }
    Ok(new)
}

/// Returns the fields of a message.
pub(super) fn fields(bytes: &[u8]) -> Result<Vec<ProtoField>> {
    let mut all = vec![];
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let key = varint(bytes, &mut at)?;
        let (number, kind) = (key >> 3, key & 7);
        let mut content = None;
        let length = match kind {
            0 => {
                varint(bytes, &mut at)?;
                0
            }
            1 => 8,
            2 => {
                let length = varint(bytes, &mut at)?;
                let length = usize::try_from(length).map_err(|_| truncated())?;
                content = Some(at..at.checked_add(length).ok_or_else(truncated)?);
                length
            }
            5 => 4,
            kind => {
                return Err(failed(format!("no ONNX model: a damaged field of kind {kind}")));
            }
        };
        at = at.checked_add(length).filter(|&end| end <= bytes.len()).ok_or_else(truncated)?;
        all.push(ProtoField { number, all: start..at, content });
    }
    Ok(all)
}

fn varint(bytes: &[u8], at: &mut usize) -> Result<u64> {
    let mut rest = bytes.get(*at..).unwrap_or_default();
    let before = rest.len();
    let number = prost::encoding::decode_varint(&mut rest).map_err(|_| truncated())?;
    *at += before - rest.len();
    Ok(number)
}

fn truncated() -> Error {
    failed("no ONNX model: it ends in the middle of a field".into())
}
