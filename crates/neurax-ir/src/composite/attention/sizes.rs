//! The axes of attention, and the products over them.

use super::DotProductAttention;
use crate::composite::rules::one_float;
use crate::op::{DotGeneral, rules::*};
use crate::{Builder, DType, Result, Shape, Type, Value};

/// The sizes of the axes.
pub(super) struct AttentionSizes {
    pub batch: Vec<usize>,
    pub queries: usize,
    pub keys: usize,
    pub heads: usize,
    pub key_heads: usize,
    pub depth: usize,
    pub value_depth: usize,
}

impl AttentionSizes {
    /// Returns the sizes of query, key and value, the first three of `xs`.
    pub fn of(xs: &[Type]) -> Result<AttentionSizes> {
        const NAME: &str = DotProductAttention::NAME;
        let [q, k, v, ..] = xs else { return refuse(NAME, "expected query, key and value") };
        one_float(NAME, std::slice::from_ref(q))?;
        let lead = q.rank().checked_sub(3);
        let same = |t: &Type| t.dtype == q.dtype && t.rank() == q.rank();
        let (Some(n), true) = (lead, same(k) && same(v)) else {
            let why = format!(
                "expected query, key and value [batch .., length, heads, depth] of one dtype and \
                 rank, got {q}, {k} and {v}"
            );
            return refuse(NAME, why);
        };
        let (query, key, value) = (&q.shape, &k.shape, &v.shape);
        if query[..n] != key[..n] || key[..n + 2] != value[..n + 2] || query[n + 2] != key[n + 2] {
            let why = format!(
                "expected key and value with the batch axes of the query, equal lengths and heads, \
                 and a key with the depth of the query; got {q}, {k} and {v}"
            );
            return refuse(NAME, why);
        }
        let (heads, key_heads) = (query[n + 1], key[n + 1]);
        if heads.checked_rem(key_heads).unwrap_or(heads) != 0 {
            let why = format!(
                "expected a number of heads that is a multiple of the {key_heads} heads of the \
                 key, got {heads}"
            );
            return refuse(NAME, why);
        }
        Ok(AttentionSizes {
            batch: query[..n].to_vec(),
            queries: query[n],
            keys: key[n],
            heads,
            key_heads,
            depth: query[n + 2],
            value_depth: value[n + 2],
        })
    }

    /// Returns the number of heads that share a head of the key.
    fn group(&self) -> usize {
        self.heads.checked_div(self.key_heads).unwrap_or(1)
    }

    fn with_batch(&self, axes: &[usize]) -> Shape {
        Shape::from([&self.batch[..], axes].concat())
    }

    /// Returns the shape of the scores.
    pub fn scores(&self) -> Shape {
        self.with_batch(&[self.heads, self.queries, self.keys])
    }

    /// Returns the shape of the result.
    pub fn result(&self) -> Shape {
        self.with_batch(&[self.queries, self.heads, self.value_depth])
    }

    /// Returns the shape `[batch .., key heads, rows, keys]` in which the scores are computed. The
    /// rows are the queries of the heads of a group, one head after the other, so that a product
    /// reads the keys of a group once and its result is not rearranged.
    pub fn rows(&self) -> Shape {
        self.with_batch(&[self.key_heads, self.group() * self.queries, self.keys])
    }

    /// Emits the products of all queries and keys of a head, in the shape of the rows.
    pub fn products(&self, b: &mut Builder, query: Value, key: Value) -> Value {
        let (n, group) = (self.batch.len(), self.group());
        let rows = self.with_batch(&[self.key_heads, group * self.queries, self.depth]);
        let heads = (0..n).chain([n + 1]).collect();
        let (q, lhs_batch) = if self.queries == 1 {
            (b.reshape(query, rows), (0..n + 1).collect())
        } else if group == 1 {
            (query, heads)
        } else {
            let q = self.with_batch(&[self.queries, self.key_heads, group, self.depth]);
            let q = b.reshape(query, q);
            let q = b.transpose(q, &self.after_batch(&[1, 2, 0, 3]));
            (b.reshape(q, rows), (0..n + 1).collect())
        };
        let op = DotGeneral {
            lhs_batch,
            rhs_batch: (0..n).chain([n + 1]).collect(),
            lhs_contract: vec![n + 2],
            rhs_contract: vec![n + 2],
            dtype: b.dtype(query),
        };
        b.emit(op, &[q, key])
    }

    /// Emits the sums of the values, weighted by the probabilities `p` of the rows, as the result.
    pub fn weighted_values(&self, b: &mut Builder, p: Value, value: Value) -> Value {
        let n = self.batch.len();
        let op = DotGeneral {
            lhs_batch: (0..n + 1).collect(),
            rhs_batch: (0..n).chain([n + 1]).collect(),
            lhs_contract: vec![n + 2],
            rhs_contract: vec![n],
            dtype: b.dtype(value),
        };
        let sums = b.emit(op, &[p, value]);
        if self.queries == 1 {
            return b.reshape(sums, self.result());
        }
        let sums = b.reshape(sums, self.with_batch(&[self.heads, self.queries, self.value_depth]));
        b.transpose(sums, &self.after_batch(&[1, 0, 2]))
    }

    /// Broadcasts an operand `[batch .., heads, queries, keys]`, whose axes may have size 1, to the
    /// shape of the rows.
    pub fn broadcast_to_rows(&self, b: &mut Builder, x: Value) -> Value {
        let n = self.batch.len();
        let (scores, rows) = (self.scores(), self.rows());
        let dims: Vec<usize> = (0..n + 3).collect();
        let shape = b.ty(x).shape.clone();
        if shape[n] == 1 && shape[n + 1] == 1 {
            return b.broadcast(x, rows, &dims);
        }
        let full = b.broadcast(x, scores, &dims);
        b.reshape(full, rows)
    }

    /// Emits the index of the query of each row, broadcast along the keys: `dtype[rows, keys]`.
    pub fn query_of_row(&self, b: &mut Builder, dtype: DType) -> Value {
        let rows = self.group() * self.queries;
        let ty = Type::new(dtype, [rows, self.keys]);
        if self.group() == 1 {
            return b.iota(ty, 0);
        }
        let query = b.iota(Type::new(dtype, [self.group(), self.queries]), 1);
        let query = b.reshape(query, [rows]);
        b.broadcast(query, ty.shape, &[0])
    }

    /// Returns a permutation that keeps the batch axes and orders those behind them.
    fn after_batch(&self, order: &[usize]) -> Vec<usize> {
        let n = self.batch.len();
        (0..n).chain(order.iter().map(|a| n + a)).collect()
    }
}
