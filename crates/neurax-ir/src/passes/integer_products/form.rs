//! The form of a convolution, and its rows and weights as those of a product.

use crate::op::{Binary, Pad, Slice, Slide};
use crate::{Builder, Value};

/// The windows of a convolution, and its epilogue behind the bias.
pub(super) struct ConvolutionForm {
    pub slides: Vec<Slide>,
    /// The taps along each space axis.
    pub taps: Vec<usize>,
    /// An array that is added.
    pub added: Option<Value>,
    pub low: f64,
    pub high: f64,
}

impl ConvolutionForm {
    /// Returns true if the sums can be quantized in the product: nothing else is added, and limits
    /// are those of a quantization in positive steps with the zero point `zero` to a range that
    /// begins at `least`. `step` is the step, if it is known.
    pub fn is_quantizable(&self, zero: i64, least: i128, step: Option<f64>) -> bool {
        let is_positive = step.is_some_and(|step| step > 0.0);
        let is_at_zero = self.low == 0.0 && is_positive && i128::from(zero) == least;
        self.added.is_none()
            && self.high == f64::INFINITY
            && (self.low == f64::NEG_INFINITY || is_at_zero)
    }

    /// Emits the rows of the product from `x` `[batch, space .., features]` of u8, where `zero`
    /// stands for 0.
    pub fn rows(&self, b: &mut Builder, x: Value, zero: Value) -> Value {
        let x = self.padded(b, x, zero);
        let last = self.slides.len() + 1;
        let mut copies = vec![];
        let count: usize = self.taps.iter().product();
        for tap in 0..count {
            copies.push(self.under_tap(b, x, tap));
        }
        b.concat(&copies, last)
    }

    fn padded(&self, b: &mut Builder, x: Value, zero: Value) -> Value {
        let on_axes = |amount: fn(&Slide) -> i64| {
            let space = self.slides.iter().map(amount);
            [0].into_iter().chain(space).chain([0]).collect::<Vec<i64>>()
        };
        let (low, high) = (on_axes(|s| s.low), on_axes(|s| s.high));
        if low.iter().chain(&high).all(|n| *n == 0) {
            return x;
        }
        let interior = vec![0; low.len()];
        b.emit(Pad { low, high, interior }, &[x, zero])
    }

    /// Emits the elements of the padded `x` under tap `tap`, in the order of [`Self::taps`].
    fn under_tap(&self, b: &mut Builder, x: Value, tap: usize) -> Value {
        let shape = b.ty(x).shape.to_vec();
        let (mut start, mut limit) = (vec![0; shape.len()], shape.clone());
        let mut stride = vec![1; shape.len()];
        let mut rest = tap;
        for (i, (slide, taps)) in self.slides.iter().zip(&self.taps).enumerate().rev() {
            let (size, axis) = (shape[i + 1], i + 1);
            let reach = (taps - 1) * slide.window_dilation;
            let windows = (size - reach - 1) / slide.stride;
            start[axis] = rest % taps * slide.window_dilation;
            limit[axis] = start[axis] + windows * slide.stride + 1;
            stride[axis] = slide.stride;
            rest /= taps;
        }
        let is_whole = start.iter().all(|n| *n == 0) && limit == shape;
        match is_whole && stride.iter().all(|n| *n == 1) {
            true => x,
            false => b.emit(Slice { start, limit, stride }, &[x]),
        }
    }

    /// Emits the weights `[results, features, taps ..]` as a matrix `[depth, results]`.
    pub fn matrix(&self, b: &mut Builder, weights: Value) -> Value {
        let shape = b.ty(weights).shape.to_vec();
        let order: Vec<usize> = (2..shape.len()).chain([1, 0]).collect();
        let transposed = b.transpose(weights, &order);
        b.reshape(transposed, [shape[1..].iter().product(), shape[0]])
    }

    /// Emits the steps behind the sums and the bias: the array that is added, limits. `of` returns
    /// the new value of one of the graph.
    pub fn finish(&self, b: &mut Builder, y: Value, of: &dyn Fn(Value) -> Value) -> Value {
        let mut y = self.added.iter().fold(y, |y, x| b.add(y, of(*x)));
        for (limit, op) in [(self.low, Binary::Max), (self.high, Binary::Min)] {
            if limit.is_finite() {
                let limit = b.full_like(y, limit);
                y = b.emit(op, &[y, limit]);
            }
        }
        y
    }
}
