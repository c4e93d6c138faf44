//! Damage to files: of their bytes, and of the fields of their messages.

use super::wire;
use neurax::testing::Draw;

/// Returns a damaged copy of a message.
pub(super) fn message(intact: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut file = intact.to_vec();
    if draw.below(3) > 0
        && let Some(mut fields) = wire::parsed(&file)
    {
        (0..draw.within(1..=3)).for_each(|_| wire::change(&mut fields, draw));
        file = wire::written(&fields);
        if draw.below(4) > 0 {
            return file;
        }
    }
    wire::change_bytes(&mut file, draw);
    file
}
