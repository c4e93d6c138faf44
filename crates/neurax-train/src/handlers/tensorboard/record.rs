//! The framing of records, TFRecord: a length, its checksum, the bytes, and their checksum.

/// Added to a rotated checksum, so that the checksum of data with checksums is not trivial.
const MASK_DELTA: u32 = 0xa282_ead8;

/// Returns a record with these bytes.
pub(super) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend(length);
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(masked_checksum(bytes).to_le_bytes());
    record
}

fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_tensorflow() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        let record = framed(b"abc");
        assert_eq!(record[..8], [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(record.len(), 8 + 4 + 3 + 4);
        let unmasked =
            |bytes: [u8; 4]| u32::from_le_bytes(bytes).wrapping_sub(MASK_DELTA).rotate_left(15);
        assert_eq!(unmasked([record[8], record[9], record[10], record[11]]), {
            crc32c::crc32c(&3u64.to_le_bytes())
        });
        assert_eq!(
            unmasked([record[15], record[16], record[17], record[18]]),
            crc32c::crc32c(b"abc")
        );
    }
}
