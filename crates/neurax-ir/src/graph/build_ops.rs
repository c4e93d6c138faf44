//! Methods of the builder that emit single ops, so that rules can be written as formulas.

use super::{Builder, Value};
use crate::op::*;
use crate::{DType, Literal, Shape, Type};

macro_rules! unary_methods {
    ($($f:ident = $V:ident),*) => {$(
        #[doc = concat!("Emits [`Unary::", stringify!($V), "`].")]
        pub fn $f(&mut self, x: Value) -> Value {
            self.emit(Unary::$V, &[x])
        }
    )*};
}

macro_rules! binary_methods {
    ($($f:ident = $V:ident),*) => {$(
        #[doc = concat!("Emits [`Binary::", stringify!($V), "`].")]
        pub fn $f(&mut self, x: Value, y: Value) -> Value {
            self.emit(Binary::$V, &[x, y])
        }
    )*};
}

impl Builder {
    unary_methods!(
        neg = Neg,
        abs = Abs,
        sign = Sign,
        exp = Exp,
        expm1 = Expm1,
        log = Log,
        log1p = Log1p,
        sin = Sin,
        cos = Cos
    );
    unary_methods!(
        tan = Tan,
        sinh = Sinh,
        cosh = Cosh,
        tanh = Tanh,
        sqrt = Sqrt,
        rsqrt = Rsqrt,
        logistic = Logistic,
        erf = Erf
    );
    unary_methods!(
        floor = Floor,
        not = Not,
        real = Real,
        imag = Imag,
        conj = Conj,
        digamma = Digamma
    );
    binary_methods!(
        add = Add,
        sub = Sub,
        mul = Mul,
        div = Div,
        rem = Rem,
        pow = Pow,
        max = Max,
        min = Min,
        and = And,
        or = Or
    );
    binary_methods!(xor = Xor, complex = Complex, polygamma = Polygamma);

    /// Emits a scalar constant.
    pub fn scalar(&mut self, dtype: DType, x: f64) -> Value {
        self.constant(Literal::scalar(dtype, x))
    }

    /// Emits a value of type `ty` with all elements `x`.
    pub fn full(&mut self, ty: Type, x: f64) -> Value {
        let s = self.scalar(ty.dtype, x);
        if ty.rank() == 0 {
            s
        } else {
            self.emit(Broadcast { shape: ty.shape, dims: vec![] }, &[s])
        }
    }

    /// Emits zeros of type `ty`.
    pub fn zeros(&mut self, ty: Type) -> Value {
        self.full(ty, 0.0)
    }

    /// Emits a value of the type of `like` with all elements `x`.
    pub fn full_like(&mut self, like: Value, x: f64) -> Value {
        let ty = self.ty(like).clone();
        self.full(ty, x)
    }

    /// Emits `x + c`.
    pub fn add_scalar(&mut self, x: Value, c: f64) -> Value {
        let c = self.full_like(x, c);
        self.add(x, c)
    }

    /// Emits `x * c`.
    pub fn mul_scalar(&mut self, x: Value, c: f64) -> Value {
        let c = self.full_like(x, c);
        self.mul(x, c)
    }

    /// Emits `x * x`.
    pub fn square(&mut self, x: Value) -> Value {
        self.mul(x, x)
    }

    /// Converts `x` to `dtype`; returns `x` if it has that dtype.
    pub fn convert(&mut self, x: Value, dtype: DType) -> Value {
        if self.dtype(x) == dtype { x } else { self.emit(Convert { dtype }, &[x]) }
    }

    /// Emits [`Compare`].
    pub fn compare(&mut self, direction: Direction, x: Value, y: Value) -> Value {
        self.emit(Compare { direction }, &[x, y])
    }

    /// Emits [`Select`].
    pub fn select(&mut self, pred: Value, x: Value, y: Value) -> Value {
        self.emit(Select {}, &[pred, x, y])
    }

    /// Emits `x` where `pred` is true and zero elsewhere.
    pub fn select_or_zero(&mut self, pred: Value, x: Value) -> Value {
        let zero = self.full_like(x, 0.0);
        self.select(pred, x, zero)
    }

    /// Emits [`Iota`].
    pub fn iota(&mut self, ty: Type, axis: usize) -> Value {
        self.emit(Iota { ty, axis }, &[])
    }

    /// Reshapes `x`; returns `x` if it has that shape.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Value {
        let shape = shape.into();
        if self.ty(x).shape == shape { x } else { self.emit(Reshape { shape }, &[x]) }
    }

    /// Emits [`Broadcast`]; returns `x` if it has that shape.
    pub fn broadcast(&mut self, x: Value, shape: impl Into<Shape>, dims: &[usize]) -> Value {
        let shape = shape.into();
        if self.ty(x).shape == shape {
            x
        } else {
            self.emit(Broadcast { shape, dims: dims.to_vec() }, &[x])
        }
    }

    /// Broadcasts a scalar to the shape of `like`.
    pub fn broadcast_like(&mut self, scalar: Value, like: Value) -> Value {
        let shape = self.ty(like).shape.clone();
        self.broadcast(scalar, shape, &[])
    }

    /// Broadcasts the result of a reduction over `axes` back to `shape`.
    pub fn unreduce(&mut self, x: Value, shape: impl Into<Shape>, axes: &[usize]) -> Value {
        let shape = shape.into();
        let dims: Vec<usize> = (0..shape.rank()).filter(|i| !axes.contains(i)).collect();
        self.broadcast(x, shape, &dims)
    }

    /// Permutes the axes: axis `i` of the result is axis `permutation[i]` of `x`. Returns `x` if
    /// the order does not change.
    pub fn transpose(&mut self, x: Value, permutation: &[usize]) -> Value {
        let same = permutation.iter().enumerate().all(|(i, &p)| i == p);
        if same { x } else { self.emit(Transpose { permutation: permutation.to_vec() }, &[x]) }
    }

    /// Moves axis `from` to position `to`; the others keep their order.
    pub fn move_axis(&mut self, x: Value, from: usize, to: usize) -> Value {
        let mut p: Vec<usize> = (0..self.ty(x).rank()).filter(|&i| i != from).collect();
        p.insert(to.min(p.len()), from);
        self.transpose(x, &p)
    }

    /// Emits [`Slice`] with strides of 1.
    pub fn slice(&mut self, x: Value, start: &[usize], limit: &[usize]) -> Value {
        let stride = vec![1; start.len()];
        self.emit(Slice { start: start.to_vec(), limit: limit.to_vec(), stride }, &[x])
    }

    /// Emits the slice `from..to` along `axis`.
    pub fn slice_axis(&mut self, x: Value, axis: usize, from: usize, to: usize) -> Value {
        let mut limit = self.ty(x).shape.to_vec();
        let mut start = vec![0; limit.len()];
        (start[axis], limit[axis]) = (from, to);
        self.slice(x, &start, &limit)
    }

    /// Emits [`Concatenate`]; returns the operand if there is only one.
    pub fn concat(&mut self, xs: &[Value], axis: usize) -> Value {
        if let [x] = xs { *x } else { self.emit(Concatenate { axis }, xs) }
    }

    /// Emits [`Reduce`]; returns `x` if there are no axes.
    pub fn reduce(&mut self, kind: ReduceKind, x: Value, axes: &[usize]) -> Value {
        if axes.is_empty() { x } else { self.emit(Reduce { kind, axes: axes.to_vec() }, &[x]) }
    }

    /// Emits the sum over `axes`.
    pub fn sum(&mut self, x: Value, axes: &[usize]) -> Value {
        self.reduce(ReduceKind::Sum, x, axes)
    }

    /// Emits the slices of `x` at `indices` along `axis`. In the result's shape, the axes of
    /// `indices` replace `axis`.
    pub fn take(&mut self, x: Value, indices: Value, axis: usize, mode: OutOfBounds) -> Value {
        let mut sizes = self.ty(x).shape.to_vec();
        sizes.iter_mut().skip(axis).take(1).for_each(|n| *n = 1);
        let n = self.ty(indices).rank();
        let op = Gather {
            offset_dims: (0..axis).chain(axis + n..(sizes.len() + n).saturating_sub(1)).collect(),
            collapsed: vec![axis],
            operand_batch: vec![],
            indices_batch: vec![],
            index_map: vec![axis],
            sizes,
            mode,
        };
        let vectors = self.index_vectors(indices);
        self.emit(op, &[x, vectors])
    }

    /// Emits, for each element of `indices`, the element of `x` at that index along `axis` and the
    /// same indices along the other axes. The shapes agree except for `axis`. Indices out of bounds
    /// are clipped.
    pub fn take_along_axis(&mut self, x: Value, indices: Value, axis: usize) -> Value {
        let rank = self.ty(x).rank();
        let others: Vec<usize> = (0..rank).filter(|&a| a != axis).collect();
        let op = Gather {
            offset_dims: vec![],
            collapsed: vec![axis],
            operand_batch: others.clone(),
            indices_batch: others,
            index_map: vec![axis],
            sizes: vec![1; rank],
            mode: OutOfBounds::Clip,
        };
        let vectors = self.index_vectors(indices);
        self.emit(op, &[x, vectors])
    }

    /// Appends an axis of size 1 to `indices`: each index becomes an index vector.
    fn index_vectors(&mut self, indices: Value) -> Value {
        let shape = self.ty(indices).shape.clone();
        let last = shape.rank();
        self.reshape(indices, shape.inserted(last, 1))
    }

    /// Returns the tangent `t`, or emits zeros of the type of `x` if there is none.
    pub fn tangent_or_zero(&mut self, t: Tangent, x: Value) -> Value {
        t.unwrap_or_else(|| self.full_like(x, 0.0))
    }

    /// Emits `a + b`, where `None` is zero.
    pub fn add_tangents(&mut self, a: Tangent, b: Tangent) -> Tangent {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.add(a, b)),
            (a, b) => a.or(b),
        }
    }

    /// Moves the batch axis `dim` to the front; broadcasts `x` along a new axis of `size` if it is
    /// not batched.
    pub fn batched_at_front(&mut self, x: Value, dim: Option<usize>, size: usize) -> Value {
        match dim {
            Some(d) => self.move_axis(x, d, 0),
            None => {
                let shape = self.ty(x).shape.inserted(0, size);
                let dims: Vec<usize> = (1..shape.rank()).collect();
                self.broadcast(x, shape, &dims)
            }
        }
    }
}
