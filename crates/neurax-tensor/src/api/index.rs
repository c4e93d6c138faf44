//! Few elements out of many.

use crate::{
    Tensor,
    args::{AxisInt, axis_of},
    emit::emit,
};
use neurax_ir::op::{Reshape, Slice};
use std::{
    ops::{Bound, RangeBounds},
    panic::Location,
};

impl Tensor {
    /// Entry `i` along axis 0, which is removed; negative ones count from the back.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1.0, 2.0], [3.0, 4.0]]).get(-1).to_vec::<f32>()?, [3.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn get(&self, i: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let Ok(ty) = self.type_ref() else { return self.clone() };
        let Some(&n) = ty.shape.first() else { return Tensor::fail("get", format!("{ty} has no axis to index"), at) };
        match axis_of(i.to_i64(), n) {
            Ok(i) => {
                let row = self.slice(0, i as i64..i as i64 + 1);
                emit(Reshape { shape: ty.shape.removed(0) }, [row], at)
            }
            Err(_) => Tensor::fail("get", format!("index {} is out of range for axis 0 of {ty}", i.to_i64()), at),
        }
    }

    /// A range of one axis. As in Python, negative bounds count from the back and bounds out of range are moved to the end.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(5).slice(0, 1..-1).to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn slice(&self, axis: impl AxisInt, range: impl RangeBounds<i64>) -> Tensor {
        let at = Location::caller();
        let Ok(ty) = self.type_ref() else { return self.clone() };
        let axis = match axis_of(axis.to_i64(), ty.rank()) {
            Ok(a) => a,
            Err(why) => return Tensor::fail("slice", format!("{why}; the operand is {ty}"), at),
        };
        let n = ty.shape[axis];
        let place = |i: i64| usize::try_from(if i < 0 { i.saturating_add(n as i64) } else { i }).unwrap_or(0).min(n);
        // Behind an included -1 comes the end, not index 0.
        let behind = |i: i64| if i == -1 { n } else { place(i + 1) };
        let from = match range.start_bound() {
            Bound::Included(&i) => place(i),
            Bound::Excluded(&i) => behind(i),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(&i) => behind(i),
            Bound::Excluded(&i) => place(i),
            Bound::Unbounded => n,
        };
        let (mut start, mut limit) = (vec![0; ty.rank()], ty.shape.to_vec());
        (start[axis], limit[axis]) = (from, to.max(from));
        emit(Slice { stride: vec![1; ty.rank()], start, limit }, [self.clone()], at)
    }
}
