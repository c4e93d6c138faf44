//! Sample rows of attention.

use super::DotProductAttention;
use crate::op::{Sample, rules::sample};
use crate::{DType, Op, Type};

/// The shapes and attributes of a sample row.
pub(super) struct AttentionRow {
    /// Query, key and value.
    shapes: [&'static [usize]; 3],
    /// Mask, bias and kept.
    extras: [Option<&'static [usize]>; 3],
    before: Option<usize>,
    after: Option<usize>,
    soft_cap: Option<f64>,
}

const PLAIN_ATTENTION: AttentionRow = AttentionRow {
    shapes: [&[1, 2, 2, 3], &[1, 3, 2, 3], &[1, 3, 2, 2]],
    extras: [None; 3],
    before: None,
    after: None,
    soft_cap: None,
};

pub(super) const ATTENTION_ROWS: &[AttentionRow] = &[
    PLAIN_ATTENTION,
    AttentionRow { after: Some(0), soft_cap: Some(2.0), ..PLAIN_ATTENTION },
    // Two heads share one of the key; the second query attends to no key.
    AttentionRow {
        shapes: [&[4, 2, 2], &[2, 1, 2], &[2, 1, 3]],
        extras: [None, Some(&[2, 1, 2]), Some(&[1, 4, 2])],
        before: Some(1),
        after: Some(0),
        ..PLAIN_ATTENTION
    },
    AttentionRow { extras: [Some(&[1, 1, 2, 3]), Some(&[1, 2, 1, 1]), None], ..PLAIN_ATTENTION },
    AttentionRow { shapes: [&[2, 1, 2], &[0, 1, 2], &[0, 1, 2]], ..PLAIN_ATTENTION },
    AttentionRow {
        shapes: [&[0, 2, 1, 2], &[0, 2, 1, 2], &[0, 2, 1, 2]],
        after: Some(0),
        ..PLAIN_ATTENTION
    },
];

impl AttentionRow {
    pub fn sample(&self, d: DType) -> Sample {
        let [mask, bias, kept] = self.extras;
        let op = DotProductAttention {
            before: self.before,
            after: self.after,
            soft_cap: self.soft_cap.map(Into::into),
            mask: mask.is_some(),
            bias: bias.is_some(),
            dropout: kept.map(|_| 0.25.into()),
            ..DotProductAttention::scaled(0.5)
        };
        let typed =
            [Some((d, self.shapes[0])), Some((d, self.shapes[1])), Some((d, self.shapes[2]))];
        let extras =
            [mask.map(|s| (DType::Bool, s)), bias.map(|s| (d, s)), kept.map(|s| (DType::Bool, s))];
        let operands = typed.into_iter().chain(extras).flatten();
        Sample {
            op: Op::from(op),
            inputs: operands.map(|(d, shape)| sample(Type::new(d, shape), -1.0, 1.5)).collect(),
            smooth: d == DType::F64,
        }
    }
}
