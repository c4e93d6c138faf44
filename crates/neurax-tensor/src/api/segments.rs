//! Reductions of segments: entries along the first axis that have the same number.
//!
//! Each is one scatter into the identity elements of the operation, in the manner of `jax.ops`.

use super::{common::tensor_or_error, gather::scatter};
use crate::{Tensor, dispatch::dispatch, tensor::CallSite};
use neurax_ir::op::{Broadcast, ReduceKind, ScatterKind};
use std::panic::Location;

/// A table of reductions of segments. A row is `name = kind of scatter, kind of reduction, "doc",
/// "code" => "value";`.
macro_rules! segments {
    ($($f:ident = $V:ident, $K:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\nThe result has an entry for each of `segments`. `ids` has the sizes of the \
                     first axes of the tensor, an integer for each entry; others than \
                     `0..segments` are ignored. The dtype is kept.\n\n\
                     # Errors\n\n\
                     The result carries an error if `ids` are not integers, or have other sizes."]
            #[doc = super::common::example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, ids: &Tensor, segments: usize) -> Tensor {
                let (kinds, at) = ((ScatterKind::$V, ReduceKind::$K), Location::caller());
                tensor_or_error(self.segmented(stringify!($f), kinds, ids, segments, at))
            }
        )*}
    };
}

segments! {
    segment_sum = Add, Sum,
        "Computes the sum of the entries of each segment, 0 for one without entries. Follows \
         `jax.ops.segment_sum`.",
        "tensor([1.0, 2.0, 4.0]).segment_sum(&tensor([1, 0, 1]), 3)" => "[2.0, 5.0, 0.0]";
    segment_prod = Mul, Prod,
        "Computes the product of the entries of each segment, 1 for one without entries. It has \
         no reverse mode. Follows `jax.ops.segment_prod`.",
        "tensor([1.0, 2.0, 4.0]).segment_prod(&tensor([1, 0, 1]), 3)" => "[2.0, 4.0, 1.0]";
    segment_max = Max, Max,
        "Returns the largest entry of each segment; the least value of the dtype for one without \
         entries. Follows `jax.ops.segment_max`.",
        "tensor([1, 2, 4]).segment_max(&tensor([1, 0, 1]), 2)" => "[2, 4]";
    segment_min = Min, Min,
        "Returns the smallest entry of each segment; the greatest value of the dtype for one \
         without entries. Follows `jax.ops.segment_min`.",
        "tensor([1, 2, 4]).segment_min(&tensor([1, 0, 1]), 2)" => "[2, 1]";
}

impl Tensor {
    /// Reduces the entries of each segment by one scatter.
    #[track_caller]
    fn segmented(
        &self,
        op: &str,
        (kind, reduce): (ScatterKind, ReduceKind),
        ids: &Tensor,
        segments: usize,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let (ty, of) = (self.type_or_error()?, ids.type_or_error()?);
        if !of.dtype.is_int() || !ty.shape.starts_with(&of.shape) {
            let why = format!("expected integers for the first axes of {ty}, got {of}");
            return Err(Tensor::fail(op, why, at));
        }
        let mut shape = vec![segments];
        shape.extend_from_slice(&ty.shape[of.rank()..]);
        let identity = Tensor::from(reduce.identity_element(ty.dtype));
        let broadcast = Broadcast { shape: shape.into(), dims: vec![] };
        let start = dispatch(broadcast, [identity], at);
        // A negative number would count from the end.
        let ids = ids.index_along(segments, at);
        let ids = ids.lt(0).select(ids.number(segments), &ids);
        scatter(op, kind, false, &start, &[(0, ids)], self, at)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn segments_of_rows_leave_out_other_numbers() {
        let x = tensor([[1, 2], [3, 4], [5, 6], [7, 8]]);
        let ids = tensor([0, -1, 0, 9]);
        assert_eq!(x.segment_sum(&ids, 2).to_vec::<i32>().unwrap(), [6, 8, 0, 0]);
        assert_eq!(x.segment_prod(&ids, 1).to_vec::<i32>().unwrap(), [5, 12]);
        let least = i32::MIN;
        assert_eq!(x.segment_max(&ids, 2).to_vec::<i32>().unwrap(), [5, 6, least, least]);
        assert_eq!(x.segment_min(&ids, 0).shape(), [0, 2]);
        let pairs = tensor([[0, 1], [1, 0], [0, 0], [1, 1]]);
        assert_eq!(x.segment_sum(&pairs, 2).to_vec::<i32>().unwrap(), [16, 20]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let x = tensor([1.0, 2.0]);
        let why = say(x.segment_sum(&tensor([0.0, 1.0]), 2));
        assert!(
            why.contains("expected integers for the first axes of f32[2], got f32[2]"),
            "{why}"
        );
        assert!(x.segment_max(&tensor([0, 1, 2]), 2).error().is_some());
    }
}
