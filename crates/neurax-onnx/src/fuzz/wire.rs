//! The wire format of Protocol Buffers, without knowledge of the messages: a file as a tree of
//! fields, which can be changed and written again.
//!
//! The problem: a file with a random byte changed is mostly no message at all, as lengths no longer
//! fit. A changed tree is written with the right lengths, so that the damage gets through to the
//! importer. Bytes that look like a message are one; text rarely does.

use neurax::testing::Draw;

/// The largest number of a field in a message of ONNX.
const MAX_FIELD: u64 = 64;

/// Sizes, axes, counts, and numbers that are none.
const EXTREMES: [u64; 16] = [
    0,
    1,
    2,
    3,
    16,
    127,
    128,
    300,
    65_536,
    1 << 28,
    i32::MAX as u64,
    1 << 32,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
    i64::MIN as u64,
];

/// A field of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WireField {
    number: u64,
    value: WireValue,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
enum WireValue {
    Number(u64),
    /// A number of 4 or 8 bytes.
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<WireField>),
}

/// Returns the fields of a message; `None` if it is none.
pub(super) fn parsed(mut bytes: &[u8]) -> Option<Vec<WireField>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes)?;
        let value = match tag & 7 {
            0 => WireValue::Number(number(&mut bytes)?),
            1 => WireValue::Fixed(taken(&mut bytes, 8)?.to_vec()),
            2 => {
                let length = usize::try_from(number(&mut bytes)?).ok()?;
                let part = taken(&mut bytes, length)?;
                match parsed(part) {
                    Some(fields) if !part.is_empty() => WireValue::Message(fields),
                    _ => WireValue::Bytes(part.to_vec()),
                }
            }
            5 => WireValue::Fixed(taken(&mut bytes, 4)?.to_vec()),
            _ => return None,
        };
        if !(1..=MAX_FIELD).contains(&(tag >> 3)) {
            return None;
        }
        fields.push(WireField { number: tag >> 3, value });
    }
    Some(fields)
}

/// Takes a number of seven bits a byte.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let byte = *taken(bytes, 1)?.first()?;
        n |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(n);
        }
    }
    None
}

fn taken<'b>(bytes: &mut &'b [u8], n: usize) -> Option<&'b [u8]> {
    let (first, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(first)
}

/// Returns the bytes of a message.
pub(super) fn written(fields: &[WireField]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        let (kind, body) = match &field.value {
            WireValue::Number(n) => (0, encoded(*n)),
            WireValue::Fixed(fixed) => (if fixed.len() == 8 { 1 } else { 5 }, fixed.clone()),
            WireValue::Bytes(part) => (2, [encoded(part.len() as u64), part.clone()].concat()),
            WireValue::Message(fields) => {
                let part = written(fields);
                (2, [encoded(part.len() as u64), part].concat())
            }
        };
        bytes.extend(encoded(field.number << 3 | kind));
        bytes.extend(body);
    }
    bytes
}

fn encoded(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n > 127 {
        bytes.push(n as u8 | 128);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// Returns the number of fields, also in nested messages.
fn count(fields: &[WireField]) -> usize {
    let nested = |f: &WireField| match &f.value {
        WireValue::Message(fields) => count(fields),
        _ => 0,
    };
    fields.len() + fields.iter().map(nested).sum::<usize>()
}

/// Returns the message with the field `n` of [`count`], and its position there; takes the fields
/// before it from `n`.
fn find<'f>(
    fields: &'f mut Vec<WireField>,
    n: &mut usize,
) -> Option<(&'f mut Vec<WireField>, usize)> {
    if *n < fields.len() {
        return Some((fields, *n));
    }
    *n -= fields.len();
    for field in fields {
        if let WireValue::Message(nested) = &mut field.value
            && let Some(found) = find(nested, n)
        {
            return Some(found);
        }
    }
    None
}

/// Changes a field: its number or value, or removes, repeats or moves it.
pub(super) fn change(fields: &mut Vec<WireField>, draw: &mut Draw) {
    let total = count(fields);
    let mut other = draw.below(total);
    let other = find(fields, &mut other).map(|(list, i)| list[i].clone());
    let mut n = draw.below(total);
    let (Some((list, i)), Some(other)) = (find(fields, &mut n), other) else { return };
    match draw.below(10) {
        0 => _ = list.remove(i),
        1 => list.insert(i, list[i].clone()),
        2 => {
            let j = draw.below(list.len());
            list.swap(i, j);
        }
        3 => list[i].value = other.value,
        4 => list.insert(i, other),
        5 => list[i].number = draw.within(1..=30) as u64,
        _ => change_value(&mut list[i].value, draw),
    }
}

fn change_value(value: &mut WireValue, draw: &mut Draw) {
    match value {
        WireValue::Number(n) => match draw.below(3) {
            0 => *n = n.wrapping_add(1),
            1 => *n = n.wrapping_sub(1),
            _ => *n = EXTREMES[draw.below(EXTREMES.len())],
        },
        WireValue::Fixed(bytes) => bytes.fill(draw.one_of(&[0, 0x7f, 0x80, 0xff])),
        WireValue::Bytes(bytes) => change_bytes(bytes, draw),
        WireValue::Message(fields) => fields.truncate(draw.below(fields.len())),
    }
}

/// Changes bytes: single bits, whole bytes, ends, repeated and removed parts.
pub(super) fn change_bytes(file: &mut Vec<u8>, draw: &mut Draw) {
    for _ in 0..draw.within(1..=4) {
        if file.is_empty() {
            return;
        }
        let at = draw.below(file.len());
        match draw.below(6) {
            0 => file[at] ^= 1 << draw.below(8),
            1 => file[at] = draw.below(256) as u8,
            2 => file.truncate(at),
            3 => file.insert(at, draw.below(256) as u8),
            4 => _ = file.remove(at),
            _ => {
                let end = (at + draw.within(1..=16)).min(file.len());
                let part = file[at..end].to_vec();
                file.splice(at..at, part);
            }
        }
    }
}

#[test]
fn messages_are_written_as_they_were_read() {
    for model in super::corpus::models() {
        let fields = parsed(&model).unwrap();
        assert_eq!(written(&fields), model);
        let n = count(&fields);
        assert!(n > 20, "only {n} fields of {} bytes", model.len());
    }
}
